// Which edges of a polygon are in each other's way: every pair is looked at, four pairs at a time.
#include "space/polygon_work.h"

#include <immintrin.h>
#include <math.h>

struct lanes {
	__m256d x, y, z;
};

static inline struct lanes lanes_load(const double v[3][GEO_WORK_MAX], unsigned i)
{
	return (struct lanes){
		_mm256_load_pd(&v[0][i]), _mm256_load_pd(&v[1][i]), _mm256_load_pd(&v[2][i])};
}

static inline struct lanes lanes_set(const double v[3][GEO_WORK_MAX], unsigned i)
{
	return (struct lanes){
		_mm256_set1_pd(v[0][i]), _mm256_set1_pd(v[1][i]), _mm256_set1_pd(v[2][i])};
}

// How far p is from q along the unit vector n.
static inline __m256d lanes_along(struct lanes p, struct lanes q, struct lanes n)
{
	__m256d x = _mm256_sub_pd(p.x, q.x), y = _mm256_sub_pd(p.y, q.y),
		z = _mm256_sub_pd(p.z, q.z);

	return _mm256_fmadd_pd(x, n.x, _mm256_fmadd_pd(y, n.y, _mm256_mul_pd(z, n.z)));
}

static inline struct lanes lanes_cross(struct lanes a, struct lanes b)
{
	return (struct lanes){_mm256_fmsub_pd(a.y, b.z, _mm256_mul_pd(a.z, b.y)),
		_mm256_fmsub_pd(a.z, b.x, _mm256_mul_pd(a.x, b.z)),
		_mm256_fmsub_pd(a.x, b.y, _mm256_mul_pd(a.y, b.x))};
}

static inline void lanes_store(double v[3][GEO_WORK_MAX], unsigned i, struct lanes from)
{
	_mm256_store_pd(&v[0][i], from.x);
	_mm256_store_pd(&v[1][i], from.y);
	_mm256_store_pd(&v[2][i], from.z);
}

static inline struct lanes lanes_unit(struct lanes v)
{
	__m256d size = _mm256_sqrt_pd(
		_mm256_fmadd_pd(v.x, v.x, _mm256_fmadd_pd(v.y, v.y, _mm256_mul_pd(v.z, v.z))));

	return (struct lanes){
		_mm256_div_pd(v.x, size), _mm256_div_pd(v.y, size), _mm256_div_pd(v.z, size)};
}

static inline __m256d both_above(__m256d u, __m256d v, __m256d least)
{
	return _mm256_cmp_pd(_mm256_min_pd(u, v), least, _CMP_GT_OQ);
}

static inline __m256d both_below(__m256d u, __m256d v, __m256d most)
{
	return _mm256_cmp_pd(_mm256_max_pd(u, v), most, _CMP_LT_OQ);
}

// None further from the first one than that?
static bool all_about_first(const struct geo_work *w, double radius_m)
{
	const __m256d most = _mm256_set1_pd(radius_m * radius_m);
	struct lanes p = lanes_set(w->a, 0);
	__m256d far = _mm256_setzero_pd();

	for (unsigned i = 0; i < w->count; i += 4) {
		struct lanes q = lanes_load(w->a, i);
		__m256d x = _mm256_sub_pd(p.x, q.x), y = _mm256_sub_pd(p.y, q.y),
			z = _mm256_sub_pd(p.z, q.z);

		far = _mm256_max_pd(
			far, _mm256_fmadd_pd(x, x, _mm256_fmadd_pd(y, y, _mm256_mul_pd(z, z))));
	}
	return !_mm256_movemask_pd(_mm256_cmp_pd(far, most, _CMP_GT_OQ));
}

bool geo_work_near(const struct geo_work *w, double apart_m)
{
	const __m256d most = _mm256_set1_pd(apart_m * apart_m);
	__m256d far = _mm256_setzero_pd();

	if (all_about_first(w, 0.5 * apart_m))
		return true;

	for (unsigned i = 0; i < w->count; i++) {
		struct lanes p = lanes_set(w->a, i);

		for (unsigned j = i & ~3u; j < w->count; j += 4) {
			struct lanes q = lanes_load(w->a, j);
			__m256d x = _mm256_sub_pd(p.x, q.x), y = _mm256_sub_pd(p.y, q.y),
				z = _mm256_sub_pd(p.z, q.z);
			__m256d square =
				_mm256_fmadd_pd(x, x, _mm256_fmadd_pd(y, y, _mm256_mul_pd(z, z)));

			far = _mm256_or_pd(far, _mm256_cmp_pd(square, most, _CMP_GT_OQ));
		}
	}
	return _mm256_testz_pd(far, far);
}

// Left of the way from a to b is the other side of the plane's normal where that was made from b.
static inline struct lanes left_of(const struct geo_work *w, const struct pe_polygon *p, unsigned i)
{
	const __m256d sign = _mm256_set1_pd(-0.0);
	struct lanes n = lanes_load(p->normal, i), a = lanes_load(w->a, i),
		     first = lanes_load(p->first, i);
	__m256d same = _mm256_and_pd(_mm256_cmp_pd(a.x, first.x, _CMP_EQ_OQ),
		_mm256_and_pd(_mm256_cmp_pd(a.y, first.y, _CMP_EQ_OQ),
			_mm256_cmp_pd(a.z, first.z, _CMP_EQ_OQ)));
	__m256d turn = _mm256_andnot_pd(same, sign);

	return (struct lanes){
		_mm256_xor_pd(n.x, turn), _mm256_xor_pd(n.y, turn), _mm256_xor_pd(n.z, turn)};
}

void geo_work_directions(struct geo_work *w, const struct pe_polygon *p)
{
	unsigned ring_begin = 0;

	for (unsigned r = 0; r < p->ring_count; ring_begin = p->ring_end[r], r++)
		for (unsigned i = ring_begin; i < p->ring_end[r]; i++) {
			bool last = i + 1 == p->ring_end[r] || !w->real[i + 1];

			w->next[i] = (uint16_t)(last ? ring_begin : i + 1);
		}
	for (unsigned i = 0; i < w->count && p->kind == PE_SPACE_CARTESIAN; i += 4) {
		_mm256_store_pd(&w->a[2][i], _mm256_setzero_pd());
		_mm256_store_pd(&w->b[2][i], _mm256_setzero_pd());
	}
	for (unsigned i = 0; i < w->count; i += 4) {
		struct lanes n = left_of(w, p, i), a = lanes_load(w->a, i), b = lanes_load(w->b, i);

		if (p->kind == PE_SPACE_GEODETIC) {
			lanes_store(w->normal, i, n);
			lanes_store(w->begin, i, lanes_unit(lanes_cross(n, a)));
			lanes_store(w->end, i, lanes_unit(lanes_cross(n, b)));
		} else {
			struct lanes along;

			n = lanes_unit(n);
			along = (struct lanes){n.y, _mm256_sub_pd(_mm256_setzero_pd(), n.x), n.z};
			lanes_store(w->normal, i, n);
			lanes_store(w->begin, i, along);
			lanes_store(w->end, i, along);
		}
	}
}

// Seen from the place the ends follow each other round, each edge within less than half a turn,
// once round: then edges lie in sectors of their own, that only meet at their sides. Two that don't
// follow each other have another one's sector between them, and are apart by the least distance of
// an edge's line times the sine of the least sector; two that do don't fold back, as the place is
// off both lines. On Earth a sector is between planes through the Earth's axis through the place,
// and appears in the raster's plane as it is.
static inline __m256d squares(__m256d x, __m256d y)
{
	return _mm256_fmadd_pd(x, x, _mm256_mul_pd(y, y));
}

// The squares of the least distance of an edge's line, and of the least sine of a sector.
static void star_least(
	const struct geo_work *w, const struct pe_polygon *p, double x, double y, double least[2])
{
	const __m256d at_x = _mm256_set1_pd(x), at_y = _mm256_set1_pd(y),
		      infinite = _mm256_set1_pd(INFINITY);
	__m256d off = infinite, sine = infinite;

	for (unsigned i = 0; i < w->count; i += 4) {
		__m256d ax = _mm256_sub_pd(_mm256_load_pd(&w->x[0][i]), at_x);
		__m256d ay = _mm256_sub_pd(_mm256_load_pd(&w->y[0][i]), at_y);
		__m256d bx = _mm256_sub_pd(_mm256_load_pd(&w->x[1][i]), at_x);
		__m256d by = _mm256_sub_pd(_mm256_load_pd(&w->y[1][i]), at_y);
		__m256d real = _mm256_load_pd((const double *)&w->real[i]);
		__m256d length = _mm256_load_pd(&p->length[i]);
		__m256d area = _mm256_fmsub_pd(ax, by, _mm256_mul_pd(ay, bx));
		__m256d square = _mm256_mul_pd(area, area);

		off = _mm256_min_pd(off,
			_mm256_blendv_pd(infinite,
				_mm256_div_pd(square, _mm256_mul_pd(length, length)), real));
		sine = _mm256_min_pd(sine,
			_mm256_blendv_pd(infinite,
				_mm256_div_pd(
					square, _mm256_mul_pd(squares(ax, ay), squares(bx, by))),
				real));
	}
	least[0] = geo_least_of(off);
	least[1] = geo_least_of(sine);
}

bool geo_work_star(const struct geo_work *w, const struct pe_polygon *p, double x, double y)
{
	const __m256d at_x = _mm256_set1_pd(x), at_y = _mm256_set1_pd(y),
		      zero = _mm256_setzero_pd(), infinite = _mm256_set1_pd(INFINITY);
	__m256d shortest = infinite, longest = zero, reach = zero, low = infinite, high;
	double area, least[2], length, longest_m, reach_square,
		room = GEO_STAR_ROOM * w->resolution;
	unsigned rounds = 0;

	high = _mm256_sub_pd(zero, infinite);
	for (unsigned i = 0; i < w->count; i += 4) {
		__m256d ax = _mm256_sub_pd(_mm256_load_pd(&w->x[0][i]), at_x);
		__m256d ay = _mm256_sub_pd(_mm256_load_pd(&w->y[0][i]), at_y);
		__m256d bx = _mm256_sub_pd(_mm256_load_pd(&w->x[1][i]), at_x);
		__m256d by = _mm256_sub_pd(_mm256_load_pd(&w->y[1][i]), at_y);
		__m256d real = _mm256_load_pd((const double *)&w->real[i]), up;
		__m256d length_m = _mm256_load_pd(&p->length[i]); // 0: no edge
		__m256d twice = _mm256_fmsub_pd(ax, by, _mm256_mul_pd(ay, bx));

		low = _mm256_min_pd(low, _mm256_blendv_pd(infinite, twice, real));
		high = _mm256_max_pd(
			high, _mm256_blendv_pd(_mm256_sub_pd(zero, infinite), twice, real));
		longest = _mm256_max_pd(longest, length_m);
		shortest = _mm256_min_pd(shortest, _mm256_blendv_pd(infinite, length_m, real));
		reach = _mm256_max_pd(reach, squares(ax, ay));
		// What is no edge begins where it ends.
		up = _mm256_andnot_pd(by, ay);
		rounds += (unsigned)__builtin_popcount((unsigned)_mm256_movemask_pd(up));
	}
	area = geo_least_of(low);
	if (rounds != 1 || !(area > 0.0 || geo_most_of(high) < 0.0))
		return false;
	area = area > 0.0 ? area : -geo_most_of(high);
	length = geo_least_of(shortest);
	longest_m = geo_most_of(longest);
	reach_square = geo_most_of(reach);
	// No line is nearer than the least of these over the longest edge, which nearly always is
	// far enough.
	least[0] = area / longest_m * (area / longest_m);
	least[1] = area / reach_square * (area / reach_square);
	if (least[0] * least[1] > room * room &&
		least[0] * length * length > room * room * reach_square)
		return true;
	star_least(w, p, x, y, least);
	return least[0] * least[1] > room * room &&
		least[0] * length * length > room * room * reach_square;
}

// The shared end s of two consecutive edges, their other ends p and q: does one lie on the other?
static bool folded(const struct geo_work *w, unsigned first, unsigned second)
{
	double along = 0.0, q_off = 0.0, p_off = 0.0;

	for (unsigned k = 0; k < 3; k++) {
		double p = w->a[k][first] - w->b[k][first], q = w->b[k][second] - w->a[k][second];

		along += p * q;
		q_off += q * w->normal[k][first];
		p_off += p * w->normal[k][second];
	}
	return along > 0.0 && (fabs(q_off) <= w->resolution || fabs(p_off) <= w->resolution);
}

// Edge i against the four edges from j: bits of those that it meets. A plane separates two edges if
// it is that of either, or if it stands across either at one of its ends (planes through the
// Earth's centre have an edge whose ends are on one side wholly on that side; so have planes in a
// flat world).
static unsigned meets(const struct geo_work *w, unsigned i, unsigned j)
{
	const __m256d above = _mm256_set1_pd(w->resolution), below = _mm256_set1_pd(-w->resolution);
	struct lanes a = lanes_set(w->a, i), b = lanes_set(w->b, i), c = lanes_load(w->a, j),
		     d = lanes_load(w->b, j);
	struct lanes n = lanes_set(w->normal, i), m = lanes_load(w->normal, j);
	__m256d u = lanes_along(c, a, n), v = lanes_along(d, a, n);
	__m256d s = lanes_along(a, c, m), t = lanes_along(b, c, m);
	__m256d apart = _mm256_or_pd(_mm256_or_pd(both_above(u, v, above), both_below(u, v, below)),
		_mm256_or_pd(both_above(s, t, above), both_below(s, t, below)));

	if (_mm256_movemask_pd(apart) == 15)
		return 0;
	n = lanes_set(w->begin, i);
	m = lanes_set(w->end, i);
	apart = _mm256_or_pd(apart, both_below(lanes_along(c, a, n), lanes_along(d, a, n), below));
	apart = _mm256_or_pd(apart, both_above(lanes_along(c, b, m), lanes_along(d, b, m), above));
	n = lanes_load(w->begin, j);
	m = lanes_load(w->end, j);
	apart = _mm256_or_pd(apart, both_below(lanes_along(a, c, n), lanes_along(b, c, n), below));
	apart = _mm256_or_pd(apart, both_above(lanes_along(a, d, m), lanes_along(b, d, m), above));
	return ~(unsigned)_mm256_movemask_pd(apart) & 15u;
}

// Where edges are, give or take: arcs leave their chords by less than a quarter of their square
// over the radius.
struct bounds {
	double lo[3], hi[3];
};

// Of every edge, an array a quantity.
struct edges {
	_Alignas(32) double lo[3][GEO_WORK_MAX], hi[3][GEO_WORK_MAX];
};

// Of each of the four edges from i on, and of them together. What is no edge is nowhere.
static void bounds_of(
	const struct geo_work *w, unsigned i, struct edges *edges, struct bounds *group)
{
	const __m256d infinite = _mm256_set1_pd(INFINITY);
	__m256d real = _mm256_load_pd((const double *)&w->real[i]);
	__m256d lo[3], hi[3], square = _mm256_setzero_pd(), slack;

	for (unsigned k = 0; k < 3; k++) {
		__m256d a = _mm256_load_pd(&w->a[k][i]), b = _mm256_load_pd(&w->b[k][i]);
		__m256d way = _mm256_sub_pd(b, a);

		square = _mm256_fmadd_pd(way, way, square);
		lo[k] = _mm256_min_pd(a, b);
		hi[k] = _mm256_max_pd(a, b);
	}
	slack = _mm256_fmadd_pd(square, _mm256_set1_pd(w->bulge), _mm256_set1_pd(w->resolution));
	for (unsigned k = 0; k < 3; k++) {
		lo[k] = _mm256_blendv_pd(infinite, _mm256_sub_pd(lo[k], slack), real);
		hi[k] = _mm256_blendv_pd(
			_mm256_sub_pd(slack, infinite), _mm256_add_pd(hi[k], slack), real);
		group->lo[k] = geo_least_of(lo[k]);
		group->hi[k] = geo_most_of(hi[k]);
		_mm256_store_pd(&edges->lo[k][i], lo[k]);
		_mm256_store_pd(&edges->hi[k][i], hi[k]);
	}
}

static bool clear_of(const struct bounds *a, const struct bounds *b)
{
	return a->hi[0] < b->lo[0] || b->hi[0] < a->lo[0] || a->hi[1] < b->lo[1] ||
		b->hi[1] < a->lo[1] || a->hi[2] < b->lo[2] || b->hi[2] < a->lo[2];
}

// Of the four edges from j on, those whose bounds edge i's are not clear of.
static unsigned close_to(const struct edges *e, unsigned i, unsigned j)
{
	__m256d clear = _mm256_setzero_pd();

	for (unsigned k = 0; k < 3; k++) {
		__m256d below = _mm256_cmp_pd(_mm256_set1_pd(e->hi[k][i]),
				_mm256_load_pd(&e->lo[k][j]), _CMP_LT_OQ),
			above = _mm256_cmp_pd(_mm256_load_pd(&e->hi[k][j]),
				_mm256_set1_pd(e->lo[k][i]), _CMP_LT_OQ);

		clear = _mm256_or_pd(clear, _mm256_or_pd(below, above));
	}
	return ~(unsigned)_mm256_movemask_pd(clear) & 15u;
}

// Edge i against the four from j on, of which those behind it count.
static bool edge_crosses(
	const struct geo_work *w, const struct edges *edges, unsigned i, unsigned j)
{
	unsigned close = close_to(edges, i, j), others = 0;

	for (; close; close &= close - 1) {
		unsigned lane = (unsigned)__builtin_ctz(close), k = j + lane;

		if (k <= i)
			continue;
		// Consecutive edges share a vertex, and may share no more. In a triangle each
		// follows each.
		if (w->next[i] == k ? folded(w, i, k) : w->next[k] == i && folded(w, k, i))
			return true;
		if (w->next[i] != k && w->next[k] != i)
			others |= 1u << lane;
	}
	return others && (meets(w, i, j) & others);
}

// Edges whose bounds are clear of each other don't meet: most of a ring's.
bool geo_work_crossing(const struct geo_work *w)
{
	struct bounds group[GEO_WORK_MAX / 4];
	struct edges edges;
	unsigned groups = w->count / 4;

	for (unsigned g = 0; g < groups; g++)
		bounds_of(w, 4 * g, &edges, &group[g]);
	for (unsigned g = 0; g < groups; g++)
		for (unsigned o = g; o < groups; o++) {
			if (clear_of(&group[g], &group[o]))
				continue;
			for (unsigned i = 4 * g; i < 4 * g + 4; i++)
				if (edge_crosses(w, &edges, i, 4 * o))
					return true;
		}
	return false;
}
