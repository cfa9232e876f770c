// Polygons: preparing, and the test of a position. The ray of a position runs towards −y, or along its meridian to the far pole.
#include "space/polygon_work.h"

#include "base/limits.h"
#include "space/geodesy.h"

#include <immintrin.h>
#include <string.h>

const struct pe_volume_fault_info pe_volume_fault_info[PE_VOLUME_FAULT_COUNT] = {
	{"ok", "nothing", PE_REASON_none},
#define FAULT_INFO(name, reason, text) {#name, text, PE_REASON_##reason},
	PE_VOLUME_FAULTS(FAULT_INFO)
#undef FAULT_INFO
};

// What the rounding of a footprint may amount to, with room.
#define ROUNDING_M 2e-8

static void cross(const double a[3], const double b[3], double product[3])
{
	product[0] = a[1] * b[2] - a[2] * b[1];
	product[1] = a[2] * b[0] - a[0] * b[2];
	product[2] = a[0] * b[1] - a[1] * b[0];
}

static void unit(double v[3])
{
	double length = sqrt(geo_dot(v, v));

	for (unsigned k = 0; k < 3; k++)
		v[k] /= length;
}

// The normal of the plane through two footprints and the centre. The difference keeps short edges exact.
static void plane(const double west[3], const double east[3], double normal[3])
{
	double way[3] = {east[0] - west[0], east[1] - west[1], east[2] - west[2]};

	cross(west, way, normal);
	unit(normal);
}

static enum pe_volume_fault check_input(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, unsigned ring_count)
{
	unsigned count = 0;
	double limit[2] = {PE_POLYGON_COORDINATE_MAX_M, PE_POLYGON_COORDINATE_MAX_M};
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC;

	if (ring_count < 1 || ring_count > PE_POLYGON_RINGS_MAX)
		return PE_VOLUME_rings;
	for (unsigned r = 0; r < ring_count; r++) {
		if (ring_vertices[r] < 3)
			return PE_VOLUME_few_vertices;
		if (ring_vertices[r] > PE_POLYGON_VERTICES_MAX - count)
			return PE_VOLUME_many_vertices;
		count += ring_vertices[r];
	}
	if (geodetic) {
		limit[0] = 90.0;
		limit[1] = 180.0;
	}
	for (unsigned i = 0; i < count; i++)
		if (!(fabs(vertices[i][0]) < INFINITY && fabs(vertices[i][1]) < INFINITY))
			return PE_VOLUME_not_finite;
	for (unsigned i = 0; i < count; i++)
		if (fabs(vertices[i][0]) > limit[0] || fabs(vertices[i][1]) > limit[1])
			return geodetic ? PE_VOLUME_off_earth : PE_VOLUME_too_large;
	return PE_VOLUME_ok;
}

static void ends(struct pe_polygon *p, unsigned at, const double first[3], const double last[3])
{
	for (unsigned k = 0; k < 3; k++) {
		p->first[k][at] = first[k];
		p->last[k][at] = last[k];
	}
}

// An edge of a flat world: its interval, the vector across it, and what the checks want.
static void edge_flat(const double a[3], const double b[3], struct pe_polygon *p, unsigned at,
	double normal[3], double along[3])
{
	const double *left = a[0] <= b[0] ? a : b, *right = left == a ? b : a;
	double length = p->length[at];

	p->from[at] = left[0];
	p->to[at] = right[0];
	p->normal[0][at] = left[1] - right[1];
	p->normal[1][at] = right[0] - left[0];
	p->normal[2][at] = 0.0;
	ends(p, at, left, right);
	along[0] = (b[0] - a[0]) / length;
	along[1] = (b[1] - a[1]) / length;
	along[2] = 0.0;
	normal[0] = -along[1];
	normal[1] = along[0];
	normal[2] = 0.0;
}

// An edge on Earth. Along a meridian, to a pole or over it no longitude is met: a position there is told by the edges
// on either side of the meridian.
static void edge_round(const double a[3], const double b[3], const double place_a[2],
	const double place_b[2], struct pe_polygon *p, unsigned at, double normal[3])
{
	double from = geo_longitude(place_a), to = geo_longitude(place_b), east = to - from;
	bool eastwards = (east > 0.0 && east <= 180.0) || east < -180.0;
	bool polar = fabs(place_a[0]) == 90.0 || fabs(place_b[0]) == 90.0 || fabs(east) == 180.0;

	// Computed from the western end whichever way the ring runs, so that both polygons beside an edge get equal bits.
	plane(eastwards ? a : b, eastwards ? b : a, normal);
	ends(p, at, eastwards ? a : b, eastwards ? b : a);
	p->from[at] = polar ? INFINITY : eastwards ? from : to;
	p->to[at] = polar ? INFINITY : eastwards ? to : from;
	for (unsigned k = 0; k < 3; k++) {
		p->normal[k][at] = normal[k];
		normal[k] = eastwards ? normal[k] : -normal[k];
	}
}

static void edge_padding(struct pe_polygon *p, unsigned at)
{
	p->from[at] = p->to[at] = INFINITY;
	p->length[at] = p->near_m[at] = 0.0;
	for (unsigned k = 0; k < 3; k++)
		p->normal[k][at] = p->first[k][at] = p->last[k][at] = 0.0;
}

// One edge, into the polygon at `at` and into the work at `i`. False: it is empty.
static bool edge_fill(
	const double place[2][2], struct pe_polygon *p, unsigned at, struct geo_work *w, unsigned i)
{
	double end[2][3], way[3], normal[3], begin[3], finish[3];
	bool geodetic = p->kind == PE_SPACE_GEODETIC;

	for (unsigned e = 0; e < 2; e++) {
		double up[3];

		if (geodetic) {
			geo_normal(place[e][0], place[e][1], up);
			geo_point(up, 0.0, end[e]);
		} else {
			memcpy(end[e], (double[]){place[e][0], place[e][1], 0.0}, sizeof end[e]);
		}
	}
	for (unsigned k = 0; k < 3; k++) {
		w->a[k][i] = end[0][k];
		w->b[k][i] = end[1][k];
		way[k] = end[1][k] - end[0][k];
	}
	p->length[at] = sqrt(geo_dot(way, way));
	if (!(p->length[at] > w->resolution))
		return false;
	p->near_m[at] = ROUNDING_M * (1.0 + 2.0 * GEO_A / p->length[at]);
	if (geodetic) {
		edge_round(end[0], end[1], place[0], place[1], p, at, normal);
		cross(normal, end[0], begin);
		cross(normal, end[1], finish);
		unit(begin);
		unit(finish);
	} else {
		edge_flat(end[0], end[1], p, at, normal, begin);
		memcpy(finish, begin, sizeof finish);
	}
	for (unsigned k = 0; k < 3; k++) {
		w->normal[k][i] = normal[k];
		w->begin[k][i] = begin[k];
		w->end[k][i] = finish[k];
	}
	return true;
}

static bool rings_fill(const double (*vertices)[2], const unsigned *ring_vertices,
	struct pe_polygon *p, struct geo_work *w)
{
	unsigned at = 0, first = 0;

	for (unsigned r = 0; r < p->ring_count; r++) {
		unsigned count = ring_vertices[r];

		for (unsigned i = first; i < first + count; i++) {
			unsigned next = i + 1 < first + count ? i + 1 : first;
			double place[2][2] = {{vertices[i][0], vertices[i][1]},
				{vertices[next][0], vertices[next][1]}};

			w->next[i] = (uint16_t)next;
			if (!edge_fill(place, p, at++, w, i))
				return false;
		}
		while (at % 4)
			edge_padding(p, at++);
		p->ring_end[r] = at;
		first += count;
	}
	w->count = first;
	return true;
}

// Edges don't cross by now, so a ring is inside of another if one of its vertices is.
static enum pe_volume_fault check_holes(
	const struct pe_polygon *p, const double (*vertices)[2], const unsigned *ring_vertices)
{
	unsigned first = ring_vertices[0];

	for (unsigned r = 1; r < p->ring_count; first += ring_vertices[r], r++) {
		const double *place = vertices[first];
		double point[3] = {place[0], place[1], 0.0}, across = place[0];

		if (p->kind == PE_SPACE_GEODETIC) {
			double normal[3];

			geo_normal(place[0], place[1], normal);
			geo_point(normal, 0.0, point);
			across = geo_longitude(place);
		}
		if (!geo_polygon_parity(p, 0, p->ring_end[0], across, point))
			return PE_VOLUME_hole_outside;
		for (unsigned q = 1; q < p->ring_count; q++)
			if (q != r &&
				geo_polygon_parity(
					p, p->ring_end[q - 1], p->ring_end[q], across, point))
				return PE_VOLUME_hole_nested;
	}
	return PE_VOLUME_ok;
}

// Does not decrease with `across`, so that what lies in an edge's interval lies in the slabs from its one end's to its other's.
static inline unsigned slab_of(const struct pe_polygon *p, double across)
{
	double at = (across - p->slab_from) * p->slab_scale;

	at = at > 0.0 ? at : 0.0;
	return (unsigned)(at < PE_POLYGON_SLABS - 1.0 ? at : PE_POLYGON_SLABS - 1.0);
}

static void slab_add(struct pe_polygon *p, unsigned from, unsigned to, unsigned group)
{
	for (unsigned s = from; s <= to; s++)
		p->slab[s][group / 64] |= 1ull << group % 64;
}

static void slabs_fill(struct pe_polygon *p)
{
	unsigned count = p->ring_end[p->ring_count - 1];
	double least = INFINITY, most = -INFINITY;

	memset(p->slab, 0, sizeof p->slab);
	for (unsigned i = 0; i < count; i++)
		if (p->from[i] < INFINITY) {
			double low = p->from[i] < p->to[i] ? p->from[i] : p->to[i];
			double high = p->from[i] < p->to[i] ? p->to[i] : p->from[i];

			least = low < least ? low : least;
			most = high > most ? high : most;
		}
	p->slab_from = least < INFINITY ? least : 0.0;
	p->slab_scale = PE_POLYGON_SLABS / (most - least);
	// All in the first one where there is no width to speak of, or no edge with an interval at all.
	if (!(p->slab_scale > 0.0 && p->slab_scale < 1e300))
		p->slab_scale = 0.0;
	for (unsigned i = 0; i < count; i++) {
		unsigned from, to;

		if (!(p->from[i] < INFINITY))
			continue;
		from = slab_of(p, p->from[i]);
		to = slab_of(p, p->to[i]);
		if (p->from[i] <= p->to[i]) {
			slab_add(p, from, to, i / 4);
		} else { // across the antimeridian
			slab_add(p, from, PE_POLYGON_SLABS - 1, i / 4);
			slab_add(p, 0, to, i / 4);
		}
	}
}

enum pe_volume_fault pe_polygon_prepare(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, unsigned ring_count, double height_min, double height_max,
	struct pe_polygon *p)
{
	struct geo_work work;
	enum pe_volume_fault fault = check_input(space, vertices, ring_vertices, ring_count);
	double largest = GEO_A;

	if (fault)
		return fault;
	if (!(height_min <= height_max))
		return PE_VOLUME_heights;
	p->kind = space->config.kind;
	p->ring_count = ring_count;
	p->height_min = height_min;
	p->height_max = height_max;
	if (p->kind == PE_SPACE_CARTESIAN) {
		unsigned count = 0;

		for (unsigned r = 0; r < ring_count; r++)
			count += ring_vertices[r];
		largest = 0.0;
		for (unsigned i = 0; i < count; i++)
			largest = fmax(largest, fmax(fabs(vertices[i][0]), fabs(vertices[i][1])));
	}
	work.resolution = largest * PE_POLYGON_RESOLUTION;
	p->resolution_m = work.resolution;
	work.bulge = p->kind == PE_SPACE_GEODETIC ? 0.25 / GEO_RADIUS_MIN : 0.0;
	if (!rings_fill(vertices, ring_vertices, p, &work))
		return PE_VOLUME_empty_edge;
	for (unsigned i = work.count; i < work.count + 4; i++)
		for (unsigned k = 0; k < 3;
			k++) // lanes beyond the last edge: near, and without an effect
			work.a[k][i] = work.b[k][i] = work.normal[k][i] = work.begin[k][i] =
				work.end[k][i] = work.a[k][0];
	if (p->kind == PE_SPACE_GEODETIC) {
		double north = 0.0;

		if (!geo_work_near(&work, 2.0 * PE_QUERY_RADIUS_MAX_M))
			return PE_VOLUME_too_large;
		for (unsigned i = 0; i < work.count; i++)
			north += work.a[2][i];
		p->from_south = north >= 0.0;
	} else {
		p->from_south = true;
	}
	if (geo_work_crossing(&work))
		return PE_VOLUME_crossing;
	slabs_fill(p);
	return check_holes(p, vertices, ring_vertices);
}

static inline __m256d in_interval_round(__m256d across, __m256d from, __m256d to)
{
	__m256d after = _mm256_cmp_pd(across, from, _CMP_GE_OQ),
		before = _mm256_cmp_pd(across, to, _CMP_LT_OQ),
		wraps = _mm256_cmp_pd(to, from, _CMP_LT_OQ);

	return _mm256_or_pd(
		_mm256_and_pd(after, before), _mm256_and_pd(wraps, _mm256_or_pd(after, before)));
}

// Metres along which a way leads north at a footprint, times the footprint's distance from the axis.
static double north_of(const double at[3], const double way[3])
{
	double square = at[0] * at[0] + at[1] * at[1];

	return way[2] * square - at[2] * (at[0] * way[0] + at[1] * way[1]);
}

// Further beyond an end than rounding alone can put a position that is beside it.
#define BEYOND_M 5e-9

// A position as near to an edge's plane as rounding knows it, and between the ends' longitudes. It is by the edge, or, when the edge
// all but runs along a meridian, far away on that meridian: then the end that it lies beyond tells, and the plane doesn't.
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

// Of the four edges at i, those that the ray meets: *odd is turned in their lanes; returns the lanes that have to be turned back.
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

	for (unsigned i = from; i < to; i += 4)
		meet_flat(p, i, x, y, &odd);
	return (unsigned)_mm256_movemask_pd(odd);
}

// The same with the edges alone that a position can meet.
static bool meets_odd_round(const struct pe_polygon *p, double across, const double point[3])
{
	const struct ray ray = ray_of(p, across, point);
	const uint64_t *groups = p->slab[slab_of(p, across)];
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
	const uint64_t *groups = p->slab[slab_of(p, point[0])];
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

bool pe_polygon_covers(const struct pe_polygon *p, const double position[3])
{
	double normal[3], point[3];

	if (p->kind == PE_SPACE_CARTESIAN)
		return meets_odd_flat(p, position);
	geo_normal(position[0], position[1], normal);
	geo_point(normal, 0.0, point);
	return meets_odd_round(p, geo_longitude(position), point);
}

bool pe_polygon_holds(const struct pe_polygon *p, const double position[3])
{
	return position[2] >= p->height_min && position[2] <= p->height_max &&
		pe_polygon_covers(p, position);
}

bool pe_polygon_clear(const struct pe_polygon *p, double x, double y, double margin_m)
{
	const __m256d at_x = _mm256_set1_pd(x), at_y = _mm256_set1_pd(y),
		      margin = _mm256_set1_pd(margin_m), reach = _mm256_set1_pd(1.5 * margin_m),
		      magnitude = _mm256_castsi256_pd(_mm256_set1_epi64x(INT64_MAX));
	unsigned last = slab_of(p, x + margin_m);
	__m256d odd = _mm256_setzero_pd(), near = odd;

	for (unsigned w = 0; w < sizeof p->slab[0] / sizeof p->slab[0][0]; w++) {
		uint64_t left = 0;

		for (unsigned s = slab_of(p, x - margin_m); s <= last; s++)
			left |= p->slab[s][w];
		for (; left; left &= left - 1) {
			unsigned i = 4 * (64 * w + (unsigned)__builtin_ctzll(left));
			__m256d from = _mm256_load_pd(&p->from[i]), to = _mm256_load_pd(&p->to[i]);
			__m256d off = _mm256_fmadd_pd(
				_mm256_sub_pd(at_y, _mm256_load_pd(&p->first[1][i])),
				_mm256_load_pd(&p->normal[1][i]),
				_mm256_mul_pd(_mm256_sub_pd(at_x, from),
					_mm256_load_pd(&p->normal[0][i])));
			__m256d in = _mm256_and_pd(_mm256_cmp_pd(at_x, from, _CMP_GE_OQ),
				_mm256_cmp_pd(at_x, to, _CMP_LT_OQ));
			// By the edge's line, and not further beside its ends than the margin: one along y is near for any y.
			__m256d by = _mm256_cmp_pd(_mm256_and_pd(off, magnitude),
				_mm256_mul_pd(reach, _mm256_load_pd(&p->length[i])), _CMP_LE_OQ);
			__m256d beside = _mm256_and_pd(
				_mm256_cmp_pd(at_x, _mm256_sub_pd(from, margin), _CMP_GE_OQ),
				_mm256_cmp_pd(at_x, _mm256_add_pd(to, margin), _CMP_LE_OQ));

			odd = _mm256_xor_pd(odd,
				_mm256_and_pd(
					in, _mm256_cmp_pd(off, _mm256_setzero_pd(), _CMP_GE_OQ)));
			near = _mm256_or_pd(near, _mm256_and_pd(by, beside));
		}
	}
	return _mm256_testz_pd(near, near) &&
		!(__builtin_popcount((unsigned)_mm256_movemask_pd(odd)) & 1);
}
