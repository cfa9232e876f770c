// Polygons of a CARTESIAN space: their outline, which is all that a query needs whose candidates
// are told by a sieve, and its edges, made of it for all others. Most are one ring that is seen
// whole from the mean of its corners, and cost two passes over these.
#include "base/limits.h"
#include "space/polygon_work.h"

#include <math.h>
#include <string.h>

// The index rounds down by a unit an axis at most, and what large coordinates round; both with
// room.
#define INDEX_UNITS 4.0
#define INDEX_SHARE 4e-12

// Of all vertices; the sums are no number where some vertex is none.
struct extent {
	__m256d lo[2], hi[2], sum[2];
};

static inline void extent_add(struct extent *e, unsigned k, __m256d v)
{
	e->lo[k] = _mm256_min_pd(e->lo[k], v);
	e->hi[k] = _mm256_max_pd(e->hi[k], v);
	e->sum[k] = _mm256_add_pd(e->sum[k], v);
}

// Four vertices become x and y.
static inline void split(const double (*v)[2], __m256d at[2])
{
	__m256d even = _mm256_set_m128d(_mm_loadu_pd(v[2]), _mm_loadu_pd(v[0])),
		odd = _mm256_set_m128d(_mm_loadu_pd(v[3]), _mm_loadu_pd(v[1]));

	at[0] = _mm256_unpacklo_pd(even, odd);
	at[1] = _mm256_unpackhi_pd(even, odd);
}

// The last three of four, and the first one of the four behind them.
static inline __m256d shifted(__m256d four, __m256d next)
{
	return _mm256_permute4x64_pd(_mm256_blend_pd(four, next, 1), 0x39);
}

// The edges of one ring of so many vertices, from edge `at` on: where they begin, and where they
// end. What fills it up to four begins and ends where the ring begins. Returns the next ring's
// first edge.
static inline unsigned ends_of_ring(const double (*v)[2], unsigned count, unsigned at,
	struct pe_polygon *p, struct extent *extent)
{
	double rest[4][2];
	__m256d before[2], now[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
	unsigned end = at + ((count + 3) & ~3u);

	for (unsigned i = 0; i < 4; i++)
		memcpy(rest[i], v[(count & ~3u) + i < count ? (count & ~3u) + i : 0],
			sizeof rest[i]);
	split(count < 4 ? (const double(*)[2])rest : v, before);
	for (unsigned i = at; i < end; i += 4) {
		for (unsigned k = 0; k < 2; k++) {
			_mm256_store_pd(&p->first[k][i], before[k]);
			extent_add(extent, k, before[k]);
		}
		if (i + 4 < end)
			split(i + 8 <= at + count ? &v[i + 4 - at] : (const double(*)[2])rest, now);
		for (unsigned k = 0; k < 2; k++) {
			_mm256_store_pd(&p->last[k][i], shifted(before[k], now[k]));
			before[k] = now[k];
		}
	}
	for (unsigned k = 0; k < 2; k++)
		p->last[k][end - 1] = v[0][k];
	return end;
}

static void gather_ends(const double (*vertices)[2], const unsigned *ring_vertices,
	struct pe_polygon *p, struct extent *extent)
{
	unsigned at = 0;

	for (unsigned k = 0; k < 2; k++) {
		extent->lo[k] = _mm256_set1_pd(INFINITY);
		extent->hi[k] = _mm256_set1_pd(-INFINITY);
		extent->sum[k] = _mm256_setzero_pd();
	}
	for (unsigned r = 0; r < p->ring_count; r++) {
		at = ends_of_ring(vertices, ring_vertices[r], at, p, extent);
		vertices += ring_vertices[r];
		p->ring_end[r] = at;
	}
}

// What the edges of a ring are, seen from a place.
struct sectors {
	__m256d low, high;         // twice the area of the triangle of the place and an edge
	__m256d shortest, longest; // squares of the edges' lengths
	__m256d reach;             // and of the corners' distances
	__m256i rounds;
};

static inline __m256d squares(__m256d x, __m256d y)
{
	return _mm256_fmadd_pd(x, x, _mm256_mul_pd(y, y));
}

// Four edges; those that are none don't count where some are.
static inline void sectors_add(struct sectors *s, const struct pe_polygon *p, unsigned i,
	const __m256d from[2], __m256d real, const bool some)
{
	const __m256d infinite = _mm256_set1_pd(INFINITY);
	__m256d ax = _mm256_sub_pd(_mm256_load_pd(&p->first[0][i]), from[0]);
	__m256d ay = _mm256_sub_pd(_mm256_load_pd(&p->first[1][i]), from[1]);
	__m256d bx = _mm256_sub_pd(_mm256_load_pd(&p->last[0][i]), from[0]);
	__m256d by = _mm256_sub_pd(_mm256_load_pd(&p->last[1][i]), from[1]);
	__m256d twice = _mm256_fmsub_pd(ax, by, _mm256_mul_pd(ay, bx)), low = twice, high = twice;
	__m256d length = squares(_mm256_sub_pd(bx, ax), _mm256_sub_pd(by, ay)), least = length;

	if (some) {
		low = _mm256_blendv_pd(infinite, low, real);
		high = _mm256_blendv_pd(_mm256_sub_pd(_mm256_setzero_pd(), infinite), high, real);
		least = _mm256_blendv_pd(infinite, least, real);
	}
	s->low = _mm256_min_pd(s->low, low);
	s->high = _mm256_max_pd(s->high, high);
	s->shortest = _mm256_min_pd(s->shortest, least);
	s->longest = _mm256_max_pd(s->longest, length);
	s->reach = _mm256_max_pd(s->reach, squares(ax, ay));
	// Upwards over the height of the place. What is no edge begins where it ends.
	s->rounds = _mm256_add_epi64(
		s->rounds, _mm256_srli_epi64(_mm256_castpd_si256(_mm256_andnot_pd(by, ay)), 63));
}

// Is the one ring, of `count` vertices, seen whole from a place amid it, with all the room that
// geo_work_star asks for? Then no edge is empty either: none is as short as that room.
static bool is_star(const struct pe_polygon *p, unsigned count, double x, double y)
{
	const __m256d from[2] = {_mm256_set1_pd(x), _mm256_set1_pd(y)}, zero = _mm256_setzero_pd(),
		      infinite = _mm256_set1_pd(INFINITY);
	struct sectors s = {.low = infinite,
		.high = _mm256_sub_pd(zero, infinite),
		.shortest = infinite,
		.longest = zero,
		.reach = zero,
		.rounds = _mm256_setzero_si256()};
	double room = GEO_STAR_ROOM * p->resolution_m, area, area_square, shortest, longest, reach;
	uint64_t rounds[4];
	unsigned i = 0;

	for (; i + 4 <= count; i += 4)
		sectors_add(&s, p, i, from, zero, false);
	if (i < count) {
		__m256i left = _mm256_set1_epi64x(count - i), lane = _mm256_setr_epi64x(0, 1, 2, 3);

		sectors_add(
			&s, p, i, from, _mm256_castsi256_pd(_mm256_cmpgt_epi64(left, lane)), true);
	}
	_mm256_storeu_si256((__m256i *)rounds, s.rounds);
	area = geo_least_of(s.low);
	if (rounds[0] + rounds[1] + rounds[2] + rounds[3] != 1 ||
		!(area > 0.0 || geo_most_of(s.high) < 0.0))
		return false;
	area = area > 0.0 ? area : -geo_most_of(s.high);
	area_square = area * area;
	shortest = geo_least_of(s.shortest);
	longest = geo_most_of(s.longest);
	reach = geo_most_of(s.reach);
	// No line is nearer to the place than the least area over the longest edge, no sector's
	// sine less than that over the square of the reach.
	return area_square * area_square > room * room * longest * (reach * reach) &&
		area_square * shortest > room * room * longest * reach;
}

static inline __m256d real_of(__m256d ax, __m256d ay, __m256d bx, __m256d by)
{
	return _mm256_or_pd(_mm256_cmp_pd(ax, bx, _CMP_NEQ_UQ), _mm256_cmp_pd(ay, by, _CMP_NEQ_UQ));
}

void geo_flat_sort(struct pe_polygon *p)
{
	const __m256d infinite = _mm256_set1_pd(INFINITY), zero = _mm256_setzero_pd();

	if (!p->in_order)
		return;
	p->in_order = false;
	memset(p->axis, 0, sizeof p->axis);
	p->axis[0][0] = p->axis[1][1] = 1.0;
	for (unsigned i = 0; i < p->ring_end[p->ring_count - 1]; i += 4) {
		__m256d ax = _mm256_load_pd(&p->first[0][i]), ay = _mm256_load_pd(&p->first[1][i]);
		__m256d bx = _mm256_load_pd(&p->last[0][i]), by = _mm256_load_pd(&p->last[1][i]);
		__m256d real = real_of(ax, ay, bx, by);
		__m256d swap = _mm256_cmp_pd(ax, bx, _CMP_GT_OQ);
		__m256d left = _mm256_min_pd(bx, ax), right = _mm256_max_pd(bx, ax);
		__m256d at_left = _mm256_blendv_pd(ay, by, swap),
			at_right = _mm256_blendv_pd(by, ay, swap);
		__m256d across_x = _mm256_sub_pd(at_left, at_right),
			across_y = _mm256_sub_pd(right, left);

		_mm256_store_pd(&p->length[i], _mm256_sqrt_pd(squares(across_x, across_y)));
		_mm256_store_pd(&p->from[i], _mm256_blendv_pd(infinite, left, real));
		_mm256_store_pd(&p->to[i], _mm256_blendv_pd(infinite, right, real));
		// What is no edge has both ends in one place, and so nothing across it, and no
		// length.
		_mm256_store_pd(&p->normal[0][i], across_x);
		_mm256_store_pd(&p->normal[1][i], across_y);
		_mm256_store_pd(&p->normal[2][i], zero);
		_mm256_store_pd(&p->first[0][i], left);
		_mm256_store_pd(&p->first[1][i], at_left);
		_mm256_store_pd(&p->first[2][i], zero);
		_mm256_store_pd(&p->last[0][i], right);
		_mm256_store_pd(&p->last[1][i], at_right);
		_mm256_store_pd(&p->last[2][i], zero);
	}
}

// All edges of a polygon that is no plain star: is one empty, does any meet another, and where do
// holes lie?
__attribute__((noinline)) static enum pe_volume_fault check_edges(
	struct pe_polygon *p, const unsigned *ring_vertices, double x, double y)
{
	struct geo_work work;
	enum pe_volume_fault fault;
	unsigned at = 0;

	work.count = p->ring_end[p->ring_count - 1];
	work.resolution = p->resolution_m;
	work.bulge = 0.0;
	for (unsigned k = 0; k < 2; k++) {
		memcpy(work.a[k], p->first[k], work.count * sizeof work.a[k][0]);
		memcpy(work.b[k], p->last[k], work.count * sizeof work.b[k][0]);
		work.x[k] = k ? work.b[0] : work.a[0];
		work.y[k] = k ? work.b[1] : work.a[1];
	}
	for (unsigned r = 0; r < p->ring_count; at = p->ring_end[r++])
		geo_work_real(&work, at, ring_vertices[r]);
	geo_flat_sort(p);
	for (unsigned i = 0; i < work.count; i++)
		if (work.real[i] && !(p->length[i] > work.resolution))
			return PE_VOLUME_empty_edge;
	if (!geo_work_apart(&work, p, x, y))
		return PE_VOLUME_crossing;
	fault = geo_work_holes(&work, p, NULL);
	for (unsigned k = 0; k < 2; k++) {
		memcpy(p->first[k], work.a[k], work.count * sizeof work.a[k][0]);
		memcpy(p->last[k], work.b[k], work.count * sizeof work.b[k][0]);
	}
	p->in_order = true;
	return fault;
}

enum pe_volume_fault geo_flat_outline(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, unsigned vertex_count, struct pe_polygon *p)
{
	struct extent extent;
	double largest = 0.0, sum[2];
	bool sound = true;

	gather_ends(vertices, ring_vertices, p, &extent);
	for (unsigned k = 0; k < 2; k++) {
		p->lo[k] = geo_least_of(extent.lo[k]);
		p->hi[k] = geo_most_of(extent.hi[k]);
		sum[k] = geo_sum_of(extent.sum[k]);
		largest = largest > -p->lo[k] ? largest : -p->lo[k]; // fmax would be a call
		largest = largest > p->hi[k] ? largest : p->hi[k];
		sound = sound && fabs(sum[k]) < INFINITY;
	}
	if (!(sound && largest <= PE_POLYGON_COORDINATE_MAX_M))
		return geo_vertices_fault(vertices, vertex_count, PE_VOLUME_too_large);
	if (!(p->height_min <= p->height_max))
		return PE_VOLUME_heights;
	p->in_order = true;
	p->from_south = true;
	p->resolution_m = largest * PE_POLYGON_RESOLUTION;
	p->margin_m = INDEX_UNITS * space->unit_m + INDEX_SHARE * largest + 8.0 * p->resolution_m;
	for (unsigned k = 0; k < 2; k++)
		sum[k] /= p->ring_end[p->ring_count - 1];
	if (p->ring_count == 1 && is_star(p, ring_vertices[0], sum[0], sum[1]))
		return PE_VOLUME_ok;
	return check_edges(p, ring_vertices, sum[0], sum[1]);
}
