// Polygons: what is checked of them, and all that the tests of positions need, made from their
// vertices, four edges at a time.
#include "base/limits.h"
#include "space/geodesy.h"
#include "space/polygon_work.h"

#include <immintrin.h>
#include <string.h>

// What the rounding of a footprint may amount to, with room.
#define ROUNDING_M 2e-8
// The index rounds down by a unit an axis at most, with room.
#define INDEX_UNITS 4.0
// An arc leaves its chord by less than the chord's square times this.
#define BULGE (0.25 / GEO_RADIUS_MIN)

static inline __m256d magnitude(__m256d v)
{
	return _mm256_andnot_pd(_mm256_set1_pd(-0.0), v);
}

enum pe_volume_fault geo_vertices_fault(
	const double (*vertices)[2], unsigned count, enum pe_volume_fault otherwise)
{
	for (unsigned i = 0; i < count; i++)
		if (!(fabs(vertices[i][0]) < INFINITY && fabs(vertices[i][1]) < INFINITY))
			return PE_VOLUME_not_finite;
	return otherwise;
}

static enum pe_volume_fault check_vertices(const double (*vertices)[2], unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!(fabs(vertices[i][0]) <= 90.0 && fabs(vertices[i][1]) <= 180.0))
			return geo_vertices_fault(vertices, count, PE_VOLUME_off_earth);
	return PE_VOLUME_ok;
}

static enum pe_volume_fault check_rings(
	const unsigned *ring_vertices, unsigned ring_count, unsigned *vertex_count)
{
	*vertex_count = 0;
	if (ring_count < 1 || ring_count > PE_POLYGON_RINGS_MAX)
		return PE_VOLUME_rings;
	for (unsigned r = 0; r < ring_count; r++) {
		if (ring_vertices[r] < 3)
			return PE_VOLUME_few_vertices;
		if (ring_vertices[r] > PE_POLYGON_VERTICES_MAX - *vertex_count)
			return PE_VOLUME_many_vertices;
		*vertex_count += ring_vertices[r];
	}
	return PE_VOLUME_ok;
}

// What a ring's vertices are, where its edges begin: v[at …], filled up to a multiple of four with
// the first one; and where they end.
static inline void ends_of_ring(double *begin, double *end, unsigned at, unsigned count)
{
	unsigned i = at;

	for (; i + 4 < at + count; i += 4)
		_mm256_store_pd(&end[i], _mm256_loadu_pd(&begin[i + 1]));
	for (; i + 1 < at + count; i++)
		end[i] = begin[i + 1];
	end[i] = begin[at];
	for (i = at + count; i % 4; i++)
		begin[i] = end[i] = begin[at];
}

void geo_work_real(struct geo_work *w, unsigned at, unsigned count)
{
	const __m256i ones = _mm256_set1_epi64x(-1);
	unsigned i = at;

	for (; i < at + count; i += 4)
		_mm256_store_si256((__m256i *)&w->real[i], ones);
	for (unsigned k = at + count; k < i; k++)
		w->real[k] = 0;
}

// The edges' ends, ring by ring. places: of both ends, latitudes and longitudes.
static void ends_round(const double (*vertices)[2], const unsigned *ring_vertices,
	struct pe_polygon *p, struct geo_work *w, double places[4][GEO_WORK_MAX])
{
	unsigned at = 0;

	for (unsigned r = 0; r < p->ring_count; r++) {
		unsigned count = ring_vertices[r];

		for (unsigned i = 0; i < count; i++) {
			const double *v = vertices[i];
			double up[3], point[3];

			geo_normal(v[0], v[1], up);
			geo_point(up, 0.0, point);
			for (unsigned k = 0; k < 3; k++)
				w->a[k][at + i] = point[k];
			places[0][at + i] = v[0];
			places[1][at + i] = geo_longitude(v);
		}
		geo_work_real(w, at, count);
		for (unsigned k = 0; k < 3; k++)
			ends_of_ring(w->a[k], w->b[k], at, count);
		for (unsigned k = 0; k < 2; k++)
			ends_of_ring(places[k], places[k + 2], at, count);
		vertices += count;
		at = (at + count + 3) & ~3u;
		p->ring_end[r] = at;
	}
	w->count = at;
}

struct vector {
	__m256d v[3];
};

static inline struct vector cross(struct vector a, struct vector b)
{
	struct vector c;

	for (unsigned k = 0; k < 3; k++) {
		unsigned m = (k + 1) % 3, n = (k + 2) % 3;

		c.v[k] = _mm256_fmsub_pd(a.v[m], b.v[n], _mm256_mul_pd(a.v[n], b.v[m]));
	}
	return c;
}

static inline __m256d dot(struct vector a, struct vector b)
{
	return _mm256_fmadd_pd(
		a.v[0], b.v[0], _mm256_fmadd_pd(a.v[1], b.v[1], _mm256_mul_pd(a.v[2], b.v[2])));
}

static inline struct vector load(const double v[3][GEO_WORK_MAX], unsigned i)
{
	return (struct vector){
		{_mm256_load_pd(&v[0][i]), _mm256_load_pd(&v[1][i]), _mm256_load_pd(&v[2][i])}};
}

static inline void store(double v[3][GEO_WORK_MAX], unsigned i, struct vector from)
{
	for (unsigned k = 0; k < 3; k++)
		_mm256_store_pd(&v[k][i], from.v[k]);
}

// Where the mask is set b, else a.
static inline struct vector either(struct vector a, struct vector b, __m256d mask)
{
	for (unsigned k = 0; k < 3; k++)
		a.v[k] = _mm256_blendv_pd(a.v[k], b.v[k], mask);
	return a;
}

static inline struct vector masked(struct vector a, __m256d mask)
{
	for (unsigned k = 0; k < 3; k++)
		a.v[k] = _mm256_and_pd(a.v[k], mask);
	return a;
}

static inline struct vector minus(struct vector a, struct vector b)
{
	for (unsigned k = 0; k < 3; k++)
		a.v[k] = _mm256_sub_pd(a.v[k], b.v[k]);
	return a;
}

static inline struct vector unit(struct vector a)
{
	__m256d length = _mm256_sqrt_pd(dot(a, a));

	for (unsigned k = 0; k < 3; k++)
		a.v[k] = _mm256_div_pd(a.v[k], length);
	return a;
}

// Four edges' lengths. False: one is empty.
static inline bool lengths(
	struct pe_polygon *p, const struct geo_work *w, unsigned i, struct vector way, __m256d real)
{
	__m256d length = _mm256_sqrt_pd(dot(way, way));
	__m256d long_enough = _mm256_cmp_pd(length, _mm256_set1_pd(w->resolution), _CMP_GT_OQ);

	_mm256_store_pd(&p->length[i], _mm256_and_pd(length, real));
	return !_mm256_movemask_pd(_mm256_andnot_pd(long_enough, real));
}

// Edges on Earth. Along a meridian, to a pole or over it no longitude is met: a position there is
// told by the edges on either side of the meridian. Planes are computed from the western end
// whichever way the ring runs, so that both polygons beside an edge get equal bits; the difference
// of the ends keeps short edges exact.
static bool edges_round(
	struct pe_polygon *p, struct geo_work *w, const double places[4][GEO_WORK_MAX])
{
	const __m256d infinite = _mm256_set1_pd(INFINITY), half = _mm256_set1_pd(180.0),
		      pole = _mm256_set1_pd(90.0), zero = _mm256_setzero_pd();
	bool sound = true;

	for (unsigned i = 0; i < w->count; i += 4) {
		struct vector a = load(w->a, i), b = load(w->b, i), west, east, way;
		__m256d real = _mm256_load_pd((const double *)&w->real[i]);
		__m256d from = _mm256_load_pd(&places[1][i]), to = _mm256_load_pd(&places[3][i]);
		__m256d by = _mm256_sub_pd(to, from);
		__m256d westwards =
			_mm256_or_pd(_mm256_and_pd(_mm256_cmp_pd(by, zero, _CMP_LE_OQ),
					     _mm256_cmp_pd(by, _mm256_set1_pd(-180.0), _CMP_GE_OQ)),
				_mm256_cmp_pd(by, half, _CMP_GT_OQ));
		__m256d polar = _mm256_cmp_pd(magnitude(by), half, _CMP_EQ_OQ);
		__m256d length;

		for (unsigned k = 0; k < 4; k += 2)
			polar = _mm256_or_pd(polar,
				_mm256_cmp_pd(magnitude(_mm256_load_pd(&places[k][i])), pole,
					_CMP_EQ_OQ));
		polar = _mm256_or_pd(
			polar, _mm256_xor_pd(real, _mm256_castsi256_pd(_mm256_set1_epi64x(-1))));
		west = either(a, b, westwards);
		east = either(b, a, westwards);
		way = minus(east, west);
		sound &= lengths(p, w, i, way, real);
		length = _mm256_load_pd(&p->length[i]);
		store(p->normal, i, masked(unit(cross(west, way)), real));
		store(p->first, i, masked(west, real));
		store(p->last, i, masked(east, real));
		_mm256_store_pd(&p->from[i],
			_mm256_blendv_pd(_mm256_blendv_pd(from, to, westwards), infinite, polar));
		_mm256_store_pd(&p->to[i],
			_mm256_blendv_pd(_mm256_blendv_pd(to, from, westwards), infinite, polar));
		_mm256_store_pd(&p->near_m[i],
			_mm256_and_pd(real,
				_mm256_fmadd_pd(_mm256_set1_pd(2.0 * GEO_A * ROUNDING_M),
					_mm256_div_pd(_mm256_set1_pd(1.0), length),
					_mm256_set1_pd(ROUNDING_M))));
	}
	return sound;
}

// Both ends of four edges in the plane across `up`: x, y, x, y.
static inline void on_plane(const struct pe_polygon *p, struct vector a, struct vector b,
	unsigned i, double at[4][GEO_WORK_MAX])
{
	for (unsigned k = 0; k < 4; k++) {
		struct vector axis;

		for (unsigned m = 0; m < 3; m++)
			axis.v[m] = _mm256_set1_pd(p->axis[k % 2][m]);
		_mm256_store_pd(&at[k][i], dot(k < 2 ? a : b, axis));
	}
}

// GEODETIC: across the direction of the vertices' middle, from which none is further than a third
// of a right angle or so: seen along that direction no two places of the polygon are one.
static void plane_round(const struct pe_space *space, struct pe_polygon *p, struct geo_work *w)
{
	double sum[3] = {0.0, 0.0, 0.0}, size;

	for (unsigned i = 0; i < w->count; i++)
		for (unsigned k = 0; k < 3; k++)
			sum[k] += w->a[k][i];
	size = sqrt(geo_dot(sum, sum));
	for (unsigned k = 0; k < 3; k++)
		p->up[k] = sum[k] / size;
	// Eastwards; near a pole any way across will do.
	if (fabs(p->up[2]) < 0.999)
		memcpy(p->axis[0], (double[]){-p->up[1], p->up[0], 0.0}, sizeof p->axis[0]);
	else
		memcpy(p->axis[0], (double[]){p->up[2], 0.0, -p->up[0]}, sizeof p->axis[0]);
	size = sqrt(geo_dot(p->axis[0], p->axis[0]));
	for (unsigned k = 0; k < 3; k++)
		p->axis[0][k] /= size;
	for (unsigned k = 0; k < 3; k++) {
		unsigned m = (k + 1) % 3, n = (k + 2) % 3;

		p->axis[1][k] = p->up[m] * p->axis[0][n] - p->up[n] * p->axis[0][m];
	}
	p->margin_m = INDEX_UNITS * space->unit_m * (double)(1u << space->z_shift) + 1e-6;
	for (unsigned i = 0; i < w->count; i += 4)
		on_plane(p, load(w->a, i), load(w->b, i), i, w->on_plane);
	w->x[0] = w->on_plane[0];
	w->y[0] = w->on_plane[1];
	w->x[1] = w->on_plane[2];
	w->y[1] = w->on_plane[3];
}

bool geo_work_apart(struct geo_work *w, const struct pe_polygon *p, double x, double y)
{
	if (p->ring_count == 1 && geo_work_star(w, p, x, y))
		return true;
	geo_work_directions(w, p);
	return !geo_work_crossing(w);
}

// The mean of the edges' ends in the plane.
static void mean_of(const struct geo_work *w, double mean[2])
{
	__m256d x = _mm256_setzero_pd(), y = x;

	for (unsigned i = 0; i < w->count; i += 4) {
		x = _mm256_add_pd(x, _mm256_load_pd(&w->x[0][i]));
		y = _mm256_add_pd(y, _mm256_load_pd(&w->y[0][i]));
	}
	mean[0] = geo_sum_of(x) / w->count;
	mean[1] = geo_sum_of(y) / w->count;
}

// Edges don't cross by now, so a ring is inside of another if one of its vertices is.
enum pe_volume_fault geo_work_holes(
	const struct geo_work *w, const struct pe_polygon *p, const double places[4][GEO_WORK_MAX])
{
	bool geodetic = p->kind == PE_SPACE_GEODETIC;

	for (unsigned r = 1; r < p->ring_count; r++) {
		unsigned i = p->ring_end[r - 1];
		double point[3] = {w->a[0][i], w->a[1][i], w->a[2][i]};
		double across = geodetic ? places[1][i] : point[0];

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

static void slab_add(struct pe_polygon *p, double from, double to, unsigned group)
{
	unsigned last = geo_slab_of(p, to);

	for (unsigned s = geo_slab_of(p, from); s <= last; s++)
		p->slab[s][group / 64] |= 1ull << group % 64;
}

static void slabs_fill(struct pe_polygon *p)
{
	unsigned count = p->ring_end[p->ring_count - 1];
	double least = INFINITY, most = -INFINITY, low[PE_POLYGON_GROUPS_MAX],
	       high[PE_POLYGON_GROUPS_MAX];

	memset(p->slab, 0, sizeof p->slab);
	// Of four edges together: intervals that lie beside each other mostly.
	for (unsigned i = 0; i < count; i += 4) {
		double from = INFINITY, to = -INFINITY;

		for (unsigned k = i; k < i + 4; k++) {
			bool wraps = p->to[k] < p->from[k], none = !(p->from[k] < INFINITY);

			// across the antimeridian: anywhere
			from = none ? from : wraps ? -180.0 : p->from[k] < from ? p->from[k] : from;
			to = none ? to : wraps ? 180.0 : p->to[k] > to ? p->to[k] : to;
		}
		low[i / 4] = from;
		high[i / 4] = to;
		least = from < least ? from : least;
		most = to > most ? to : most;
	}
	p->slab_from = least < INFINITY ? least : 0.0;
	p->slab_scale = PE_POLYGON_SLABS / (most - least);
	// All in the first one where there is no width to speak of, or no edge with an interval at
	// all.
	if (!(p->slab_scale > 0.0 && p->slab_scale < 1e300))
		p->slab_scale = 0.0;
	for (unsigned g = 0; g < count / 4; g++)
		if (low[g] < INFINITY)
			slab_add(p, low[g], high[g], g);
}

// On Earth.
static enum pe_volume_fault outline_round(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, struct pe_polygon *p)
{
	struct geo_work work;
	_Alignas(32) double places[4][GEO_WORK_MAX];
	double mean[2];

	work.resolution = GEO_A * PE_POLYGON_RESOLUTION;
	p->resolution_m = work.resolution;
	work.bulge = BULGE;
	ends_round(vertices, ring_vertices, p, &work, places);
	if (!edges_round(p, &work, places))
		return PE_VOLUME_empty_edge;
	if (!geo_work_near(&work, 2.0 * PE_QUERY_RADIUS_MAX_M))
		return PE_VOLUME_too_large;
	plane_round(space, p, &work);
	p->from_south = p->up[2] >= 0.0;
	mean_of(&work, mean);
	if (!geo_work_apart(&work, p, mean[0], mean[1]))
		return PE_VOLUME_crossing;
	return geo_work_holes(&work, p, places);
}

enum pe_volume_fault pe_polygon_outline(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, unsigned ring_count, double height_min, double height_max,
	struct pe_polygon *p)
{
	unsigned vertex_count;
	enum pe_volume_fault fault = check_rings(ring_vertices, ring_count, &vertex_count);

	if (fault)
		return fault;
	p->kind = space->config.kind;
	p->drawn = p->in_order = false;
	p->ring_count = ring_count;
	p->height_min = height_min;
	p->height_max = height_max;
	if (p->kind == PE_SPACE_CARTESIAN)
		return geo_flat_outline(space, vertices, ring_vertices, vertex_count, p);
	fault = check_vertices(vertices, vertex_count);
	if (fault)
		return fault;
	if (!(height_min <= height_max))
		return PE_VOLUME_heights;
	return outline_round(space, vertices, ring_vertices, p);
}

void pe_polygon_draw(struct pe_polygon *p)
{
	_Alignas(32) double at[4][GEO_WORK_MAX], slack[GEO_WORK_MAX];
	_Alignas(32) uint64_t real[GEO_WORK_MAX];
	const bool round = p->kind == PE_SPACE_GEODETIC;
	const struct pe_raster_edges plane = {.count = p->ring_end[p->ring_count - 1],
		.x = {round ? at[0] : p->first[0], round ? at[2] : p->last[0]},
		.y = {round ? at[1] : p->first[1], round ? at[3] : p->last[1]},
		.slack = slack,
		.real = real};

	geo_flat_sort(p);
	for (unsigned i = 0; i < plane.count; i += 4) {
		__m256d length = _mm256_load_pd(&p->length[i]);

		_mm256_store_pd(
			(double *)&real[i], _mm256_cmp_pd(length, _mm256_setzero_pd(), _CMP_GT_OQ));
		_mm256_store_pd(&slack[i],
			_mm256_mul_pd(_mm256_mul_pd(length, length),
				_mm256_set1_pd(round ? BULGE : 0.0)));
		if (round)
			on_plane(p, load(p->first, i), load(p->last, i), i, at);
	}
	pe_raster_draw(&p->raster, &plane, p->margin_m);
	slabs_fill(p);
	p->drawn = true;
}

enum pe_volume_fault pe_polygon_prepare(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, unsigned ring_count, double height_min, double height_max,
	struct pe_polygon *p)
{
	enum pe_volume_fault fault = pe_polygon_outline(
		space, vertices, ring_vertices, ring_count, height_min, height_max, p);

	if (fault == PE_VOLUME_ok)
		pe_polygon_draw(p);
	return fault;
}
