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

static inline __m256d both_above(__m256d u, __m256d v, __m256d least)
{
	return _mm256_cmp_pd(_mm256_min_pd(u, v), least, _CMP_GT_OQ);
}

static inline __m256d both_below(__m256d u, __m256d v, __m256d most)
{
	return _mm256_cmp_pd(_mm256_max_pd(u, v), most, _CMP_LT_OQ);
}

bool geo_work_near(const struct geo_work *w, double apart_m)
{
	const __m256d most = _mm256_set1_pd(apart_m * apart_m);
	__m256d far = _mm256_setzero_pd();

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

// Edge i against the four edges from j: bits of those that it meets. A plane separates two edges if it is that of either, or if it
// stands across either at one of its ends (planes through the Earth's centre have an edge whose ends are on one side
// wholly on that side; so have planes in a flat world).
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

// Where edges are, give or take: arcs leave their chords by less than a quarter of their square over the radius.
struct bounds {
	double lo[3], hi[3];
};

static inline double least_of(__m256d v)
{
	__m128d pair = _mm_min_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_min_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

static inline double most_of(__m256d v)
{
	__m128d pair = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_max_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

// Of every edge, an array a quantity.
struct edges {
	_Alignas(32) double lo[3][GEO_WORK_MAX], hi[3][GEO_WORK_MAX];
};

// Of each of the four edges from i on, and of them together. Lanes beyond the last edge are where the first one begins.
static void bounds_of(
	const struct geo_work *w, unsigned i, struct edges *edges, struct bounds *group)
{
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
		lo[k] = _mm256_sub_pd(lo[k], slack);
		hi[k] = _mm256_add_pd(hi[k], slack);
		group->lo[k] = least_of(lo[k]);
		group->hi[k] = most_of(hi[k]);
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

		if (k <= i || k >= w->count)
			continue;
		// Consecutive edges share a vertex, and may share no more. In a triangle each follows each.
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
	unsigned groups = (w->count + 3) / 4;

	for (unsigned g = 0; g < groups; g++)
		bounds_of(w, 4 * g, &edges, &group[g]);
	for (unsigned g = 0; g < groups; g++)
		for (unsigned o = g; o < groups; o++) {
			if (clear_of(&group[g], &group[o]))
				continue;
			for (unsigned i = 4 * g; i < 4 * g + 4 && i < w->count; i++)
				if (edge_crosses(w, &edges, i, 4 * o))
					return true;
		}
	return false;
}
