// Polygons: the test of a position. The ray of a position runs towards −y, or along its meridian to
// the far pole.
#include "space/polygon_work.h"

#include "space/geodesy.h"

#include <immintrin.h>
#include <string.h>

const struct pe_volume_fault_info pe_volume_fault_info[PE_VOLUME_FAULT_COUNT] = {
	{"ok", "nothing", PE_REASON_none},
#define FAULT_INFO(name, reason, text) {#name, text, PE_REASON_##reason},
	PE_VOLUME_FAULTS(FAULT_INFO)
#undef FAULT_INFO
};

static void cross(const double a[3], const double b[3], double product[3])
{
	product[0] = a[1] * b[2] - a[2] * b[1];
	product[1] = a[2] * b[0] - a[0] * b[2];
	product[2] = a[0] * b[1] - a[1] * b[0];
}

static inline __m256d in_interval_round(__m256d across, __m256d from, __m256d to)
{
	__m256d after = _mm256_cmp_pd(across, from, _CMP_GE_OQ),
		before = _mm256_cmp_pd(across, to, _CMP_LT_OQ),
		wraps = _mm256_cmp_pd(to, from, _CMP_LT_OQ);

	return _mm256_or_pd(
		_mm256_and_pd(after, before), _mm256_and_pd(wraps, _mm256_or_pd(after, before)));
}

// Metres along which a way leads north at a footprint, times the footprint's distance from the
// axis.
static double north_of(const double at[3], const double way[3])
{
	double square = at[0] * at[0] + at[1] * at[1];

	return way[2] * square - at[2] * (at[0] * way[0] + at[1] * way[1]);
}

// Further beyond an end than rounding alone can put a position that is beside it.
#define BEYOND_M 5e-9

// A position as near to an edge's plane as rounding knows it, and between the ends' longitudes. It
// is by the edge, or, when the edge all but runs along a meridian, far away on that meridian: then
// the end that it lies beyond tells, and the plane doesn't.
static bool north_near(const struct pe_polygon *p, unsigned i, const double point[3], bool north)
{
	double normal[3], first[3], last[3], from_first[3], from_last[3], along[3];

	for (unsigned k = 0; k < 3; k++) {
		normal[k] = p->normal[k][i];
		first[k] = p->first[k][i];
		last[k] = p->last[k][i];
		from_first[k] = point[k] - first[k];
		from_last[k] = point[k] - last[k];
	}
	cross(normal, first, along);
	if (geo_dot(from_first, along) < -BEYOND_M * GEO_A)
		return north_of(first, along) < 0.0;
	cross(normal, last, along);
	if (geo_dot(from_last, along) > BEYOND_M * GEO_A)
		return north_of(last, along) > 0.0;
	return north;
}

// Of the four edges at i, those whose side of the position (a bit of `north`) has to be turned.
__attribute__((noinline)) static unsigned near_flips(const struct pe_polygon *p, unsigned i,
	const double point[3], unsigned near, unsigned north)
{
	unsigned flips = 0;

	for (; near; near &= near - 1) {
		unsigned lane = (unsigned)__builtin_ctz(near);
		bool plane_says = north >> lane & 1;

		if (north_near(p, i + lane, point, plane_says) != plane_says)
			flips ^= 1u << lane;
	}
	return flips;
}

// What is the same for every edge that a position is tested against.
struct ray {
	__m256d across, x, y, z;
	__m256d other; // all ones where edges to the north are counted instead
	double point[3];
};

static inline struct ray ray_of(const struct pe_polygon *p, double across, const double point[3])
{
	return (struct ray){.across = _mm256_set1_pd(across),
		.x = _mm256_set1_pd(point[0]),
		.y = _mm256_set1_pd(point[1]),
		.z = _mm256_set1_pd(point[2]),
		.other = _mm256_castsi256_pd(_mm256_set1_epi64x(p->from_south ? 0 : -1)),
		.point = {point[0], point[1], point[2]}};
}

// Of the four edges at i, those that the ray meets: *odd is turned in their lanes; returns the
// lanes that have to be turned back.
static inline unsigned meet_round(
	const struct pe_polygon *p, unsigned i, const struct ray *r, __m256d *odd)
{
	const __m256d zero = _mm256_setzero_pd();
	const __m256d magnitude = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
	__m256d in = in_interval_round(
		r->across, _mm256_load_pd(&p->from[i]), _mm256_load_pd(&p->to[i]));
	// From the western end, so that a position in that corner is on the edge, to the last bit.
	__m256d u = _mm256_sub_pd(r->x, _mm256_load_pd(&p->first[0][i])),
		v = _mm256_sub_pd(r->y, _mm256_load_pd(&p->first[1][i])),
		w = _mm256_sub_pd(r->z, _mm256_load_pd(&p->first[2][i]));
	__m256d off = _mm256_fmadd_pd(u, _mm256_load_pd(&p->normal[0][i]),
		_mm256_fmadd_pd(v, _mm256_load_pd(&p->normal[1][i]),
			_mm256_mul_pd(w, _mm256_load_pd(&p->normal[2][i]))));
	__m256d north = _mm256_cmp_pd(off, zero, _CMP_GE_OQ);
	__m256d near = _mm256_and_pd(in,
		_mm256_cmp_pd(
			_mm256_and_pd(off, magnitude), _mm256_load_pd(&p->near_m[i]), _CMP_LE_OQ));

	*odd = _mm256_xor_pd(*odd, _mm256_and_pd(in, _mm256_xor_pd(north, r->other)));
	if (__builtin_expect(_mm256_testz_pd(near, near), 1))
		return 0;
	return near_flips(p, i, r->point, (unsigned)_mm256_movemask_pd(near),
		(unsigned)_mm256_movemask_pd(north));
}

static inline void meet_flat(
	const struct pe_polygon *p, unsigned i, __m256d x, __m256d y, __m256d *odd)
{
	__m256d left = _mm256_load_pd(&p->from[i]);
	__m256d in = _mm256_and_pd(_mm256_cmp_pd(x, left, _CMP_GE_OQ),
		_mm256_cmp_pd(x, _mm256_load_pd(&p->to[i]), _CMP_LT_OQ));
	__m256d off = _mm256_fmadd_pd(_mm256_sub_pd(y, _mm256_load_pd(&p->first[1][i])),
		_mm256_load_pd(&p->normal[1][i]),
		_mm256_mul_pd(_mm256_sub_pd(x, left), _mm256_load_pd(&p->normal[0][i])));

	*odd = _mm256_xor_pd(
		*odd, _mm256_and_pd(in, _mm256_cmp_pd(off, _mm256_setzero_pd(), _CMP_GE_OQ)));
}

// The same of edges that are in their ring's order: what geo_flat_sort would make of them.
static inline void meet_in_order(
	const struct pe_polygon *p, unsigned i, __m256d x, __m256d y, __m256d *odd)
{
	__m256d ax = _mm256_load_pd(&p->first[0][i]), ay = _mm256_load_pd(&p->first[1][i]);
	__m256d bx = _mm256_load_pd(&p->last[0][i]), by = _mm256_load_pd(&p->last[1][i]);
	__m256d swap = _mm256_cmp_pd(ax, bx, _CMP_GT_OQ), left = _mm256_min_pd(bx, ax),
		right = _mm256_max_pd(bx, ax);
	__m256d at_left = _mm256_blendv_pd(ay, by, swap), at_right = _mm256_blendv_pd(by, ay, swap);
	__m256d in = _mm256_and_pd(
		_mm256_cmp_pd(x, left, _CMP_GE_OQ), _mm256_cmp_pd(x, right, _CMP_LT_OQ));
	__m256d off = _mm256_fmadd_pd(_mm256_sub_pd(y, at_left), _mm256_sub_pd(right, left),
		_mm256_mul_pd(_mm256_sub_pd(x, left), _mm256_sub_pd(at_left, at_right)));

	*odd = _mm256_xor_pd(
		*odd, _mm256_and_pd(in, _mm256_cmp_pd(off, _mm256_setzero_pd(), _CMP_GE_OQ)));
}

static unsigned parity_round(const struct pe_polygon *p, unsigned from, unsigned to, double across,
	const double point[3])
{
	const struct ray ray = ray_of(p, across, point);
	__m256d odd = _mm256_setzero_pd();
	unsigned flips = 0;

	for (unsigned i = from; i < to; i += 4)
		flips ^= meet_round(p, i, &ray, &odd);
	return (unsigned)_mm256_movemask_pd(odd) ^ flips;
}

static unsigned parity_flat(
	const struct pe_polygon *p, unsigned from, unsigned to, const double point[2])
{
	const __m256d x = _mm256_set1_pd(point[0]), y = _mm256_set1_pd(point[1]);
	__m256d odd = _mm256_setzero_pd();

	for (unsigned i = from; i < to && p->in_order; i += 4)
		meet_in_order(p, i, x, y, &odd);
	for (unsigned i = from; i < to && !p->in_order; i += 4)
		meet_flat(p, i, x, y, &odd);
	return (unsigned)_mm256_movemask_pd(odd);
}

// The same with the edges alone that a position can meet.
static bool meets_odd_round(const struct pe_polygon *p, double across, const double point[3])
{
	const struct ray ray = ray_of(p, across, point);
	const uint64_t *groups = p->slab[geo_slab_of(p, across)];
	__m256d odd = _mm256_setzero_pd();
	unsigned flips = 0;

	for (unsigned w = 0; w < sizeof p->slab[0] / sizeof p->slab[0][0]; w++)
		for (uint64_t left = groups[w]; left; left &= left - 1)
			flips ^= meet_round(
				p, 4 * (64 * w + (unsigned)__builtin_ctzll(left)), &ray, &odd);
	return __builtin_popcount((unsigned)_mm256_movemask_pd(odd) ^ flips) & 1;
}

static bool meets_odd_flat(const struct pe_polygon *p, const double point[2])
{
	const __m256d x = _mm256_set1_pd(point[0]), y = _mm256_set1_pd(point[1]);
	const uint64_t *groups = p->slab[geo_slab_of(p, point[0])];
	__m256d odd = _mm256_setzero_pd();

	for (unsigned w = 0; w < sizeof p->slab[0] / sizeof p->slab[0][0]; w++)
		for (uint64_t left = groups[w]; left; left &= left - 1)
			meet_flat(p, 4 * (64 * w + (unsigned)__builtin_ctzll(left)), x, y, &odd);
	return __builtin_popcount((unsigned)_mm256_movemask_pd(odd)) & 1;
}

bool geo_polygon_parity(const struct pe_polygon *p, unsigned from, unsigned to, double across,
	const double point[3])
{
	unsigned odd = p->kind == PE_SPACE_GEODETIC ? parity_round(p, from, to, across, point) :
						      parity_flat(p, from, to, point);

	return __builtin_popcount(odd) & 1;
}

// By every edge.
static bool covers_outline(const struct pe_polygon *p, const double position[3])
{
	double normal[3], point[3] = {position[0], position[1], 0.0}, across = position[0];

	if (p->kind == PE_SPACE_GEODETIC) {
		geo_normal(position[0], position[1], normal);
		geo_point(normal, 0.0, point);
		across = geo_longitude(position);
	}
	return geo_polygon_parity(p, 0, p->ring_end[p->ring_count - 1], across, point);
}

bool pe_polygon_covers(const struct pe_polygon *p, const double position[3])
{
	double normal[3], point[3];
	enum pe_cell_side side;

	if (!p->drawn)
		return covers_outline(p, position);
	if (p->kind == PE_SPACE_CARTESIAN) {
		side = pe_raster_side(&p->raster, position[0], position[1]);
		return side == PE_CELL_CROSSING ? meets_odd_flat(p, position) :
						  side == PE_CELL_INSIDE;
	}
	geo_normal(position[0], position[1], normal);
	geo_point(normal, 0.0, point);
	// What is on the far side of the Earth appears in the plane as well.
	if (!(geo_dot(point, p->up) > 0.0))
		return false;
	side = pe_raster_side(&p->raster, geo_dot(point, p->axis[0]), geo_dot(point, p->axis[1]));
	return side == PE_CELL_CROSSING ? meets_odd_round(p, geo_longitude(position), point) :
					  side == PE_CELL_INSIDE;
}

bool pe_polygon_holds(const struct pe_polygon *p, const double position[3])
{
	return position[2] >= p->height_min && position[2] <= p->height_max &&
		pe_polygon_covers(p, position);
}
