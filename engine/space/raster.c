// Drawing a raster. An edge marks, column by column, the cells that it comes near to; and in each
// column whose middle it crosses it turns all cells above, so that a cell without an edge is inside
// where it was turned an odd number of times.
#include "space/polygon_work.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LAST (PE_RASTER_CELLS - 1.0)

// Where the cells begin and how large they are: about all ends, and as far beyond as edges may
// reach with the margin.
static void place(struct pe_raster *r, const struct pe_raster_edges *e, double margin_m)
{
	const double *ends[2][2] = {{e->x[0], e->x[1]}, {e->y[0], e->y[1]}};
	const __m256d infinite = _mm256_set1_pd(INFINITY);

	for (unsigned k = 0; k < 2; k++) {
		__m256d lo = infinite, hi = _mm256_set1_pd(-INFINITY);
		double from, to;

		for (unsigned i = 0; i < e->count; i += 4) {
			__m256d real = _mm256_load_pd((const double *)&e->real[i]);
			__m256d a = _mm256_load_pd(&ends[k][0][i]),
				b = _mm256_load_pd(&ends[k][1][i]);
			__m256d slack = _mm256_load_pd(&e->slack[i]);
			__m256d low = _mm256_sub_pd(_mm256_min_pd(a, b), slack);
			__m256d high = _mm256_add_pd(_mm256_max_pd(a, b), slack);

			lo = _mm256_min_pd(lo, _mm256_blendv_pd(infinite, low, real));
			hi = _mm256_max_pd(
				hi, _mm256_blendv_pd(_mm256_set1_pd(-INFINITY), high, real));
		}
		from = geo_least_of(lo) - 2.0 * margin_m;
		to = geo_most_of(hi) + 2.0 * margin_m;
		r->from[k] = from;
		r->scale[k] = PE_RASTER_CELLS / (to - from);
	}
}

// Four edges in units of cells, each from left to right, a lane an edge.
struct strokes {
	_Alignas(32) double x0[4], x1[4], y0[4], dy[4];
	_Alignas(32) double from[4], to[4]; // columns that they come near to
	_Alignas(32) double part[4];        // of the edge that a column has
	// where along the edge, in parts of it, the left and right sides of column 0 are, widened,
	// and its middle
	_Alignas(32) double left[4], right[4], middle[4];
	_Alignas(32) double sy[4]; // how far above and below they come near
};

// 0 … most
static inline __m256d clamped(__m256d v, __m256d most)
{
	return _mm256_min_pd(_mm256_max_pd(v, _mm256_setzero_pd()), most);
}

static inline __m256i whole(__m256d v)
{
	return _mm256_cvtepi32_epi64(_mm256_cvttpd_epi32(v));
}

// Four columns at a time.
static inline void draw(struct pe_raster *r, const struct strokes *s, unsigned k)
{
	const __m256d y0 = _mm256_set1_pd(s->y0[k]), dy = _mm256_set1_pd(s->dy[k]),
		      part = _mm256_set1_pd(s->part[k]), one = _mm256_set1_pd(1.0),
		      bottom = _mm256_sub_pd(y0, _mm256_set1_pd(s->sy[k])),
		      top = _mm256_add_pd(y0, _mm256_set1_pd(s->sy[k])),
		      highest = _mm256_set1_pd(LAST), to = _mm256_set1_pd(s->to[k]);
	const __m256i ones = _mm256_set1_epi64x(-1), all = _mm256_set1_epi64x(63);
	__m256d column =
		_mm256_add_pd(_mm256_set1_pd(s->from[k]), _mm256_setr_pd(0.0, 1.0, 2.0, 3.0));
	unsigned at = (unsigned)s->from[k], end = (unsigned)s->to[k];

	for (; at <= end; at += 4, column = _mm256_add_pd(column, _mm256_set1_pd(4.0))) {
		__m256d a, b, at_middle, middle = _mm256_add_pd(column, _mm256_set1_pd(0.5));
		__m256i mark, turn, *edge = (__m256i *)&r->edge[at],
				    *inside = (__m256i *)&r->inside[at];

		// Of each column, and a little beside it, the part of the edge: how high its ends
		// are above y0.
		a = _mm256_fmadd_pd(column, part, _mm256_set1_pd(s->left[k]));
		b = _mm256_fmadd_pd(column, part, _mm256_set1_pd(s->right[k]));
		a = _mm256_mul_pd(clamped(a, one), dy);
		b = _mm256_mul_pd(clamped(b, one), dy);
		mark = _mm256_and_si256(
			_mm256_sllv_epi64(ones,
				whole(clamped(
					_mm256_add_pd(_mm256_min_pd(a, b), bottom), highest))),
			_mm256_srlv_epi64(ones,
				_mm256_sub_epi64(all,
					whole(clamped(_mm256_add_pd(_mm256_max_pd(a, b), top),
						highest)))));
		mark = _mm256_and_si256(
			mark, _mm256_castpd_si256(_mm256_cmp_pd(column, to, _CMP_LE_OQ)));
		at_middle = _mm256_fmadd_pd(column, part, _mm256_set1_pd(s->middle[k]));
		at_middle = _mm256_fmadd_pd(clamped(at_middle, one), dy, y0);
		turn = _mm256_sllv_epi64(ones, whole(clamped(at_middle, highest)));
		turn = _mm256_and_si256(turn,
			_mm256_castpd_si256(_mm256_and_pd(
				_mm256_cmp_pd(middle, _mm256_set1_pd(s->x0[k]), _CMP_GE_OQ),
				_mm256_cmp_pd(middle, _mm256_set1_pd(s->x1[k]), _CMP_LT_OQ))));
		_mm256_storeu_si256(edge, _mm256_or_si256(_mm256_loadu_si256(edge), mark));
		_mm256_storeu_si256(inside, _mm256_xor_si256(_mm256_loadu_si256(inside), turn));
	}
}

static inline void draw_four(
	struct pe_raster *r, const struct pe_raster_edges *e, unsigned i, double margin_m)
{
	const __m256d from_x = _mm256_set1_pd(r->from[0]), from_y = _mm256_set1_pd(r->from[1]),
		      scale_x = _mm256_set1_pd(r->scale[0]), scale_y = _mm256_set1_pd(r->scale[1]),
		      zero = _mm256_setzero_pd(), one = _mm256_set1_pd(1.0);
	struct strokes s;
	__m256d ax = _mm256_load_pd(&e->x[0][i]), bx = _mm256_load_pd(&e->x[1][i]);
	__m256d ay = _mm256_load_pd(&e->y[0][i]), by = _mm256_load_pd(&e->y[1][i]);
	__m256d swap = _mm256_cmp_pd(ax, bx, _CMP_GT_OQ);
	__m256d x0 = _mm256_mul_pd(_mm256_sub_pd(_mm256_min_pd(ax, bx), from_x), scale_x);
	__m256d x1 = _mm256_mul_pd(_mm256_sub_pd(_mm256_max_pd(ax, bx), from_x), scale_x);
	__m256d y0 = _mm256_mul_pd(_mm256_sub_pd(_mm256_blendv_pd(ay, by, swap), from_y), scale_y);
	__m256d y1 = _mm256_mul_pd(_mm256_sub_pd(_mm256_blendv_pd(by, ay, swap), from_y), scale_y);
	__m256d slack = _mm256_add_pd(_mm256_load_pd(&e->slack[i]), _mm256_set1_pd(margin_m));
	__m256d sx = _mm256_mul_pd(slack, scale_x), sy = _mm256_mul_pd(slack, scale_y), part;

	// One that stands upright leans by a thousandth of what is its room anyway.
	part = _mm256_div_pd(one,
		_mm256_max_pd(_mm256_sub_pd(x1, x0), _mm256_mul_pd(sx, _mm256_set1_pd(0x1p-10))));
	_mm256_store_pd(s.x0, x0);
	_mm256_store_pd(s.x1, x1);
	_mm256_store_pd(s.y0, y0);
	_mm256_store_pd(s.dy, _mm256_sub_pd(y1, y0));
	_mm256_store_pd(s.part, part);
	_mm256_store_pd(s.left, _mm256_mul_pd(_mm256_sub_pd(zero, _mm256_add_pd(x0, sx)), part));
	_mm256_store_pd(s.right, _mm256_mul_pd(_mm256_sub_pd(_mm256_add_pd(one, sx), x0), part));
	_mm256_store_pd(s.middle, _mm256_mul_pd(_mm256_sub_pd(_mm256_set1_pd(0.5), x0), part));
	_mm256_store_pd(
		s.from, _mm256_floor_pd(clamped(_mm256_sub_pd(x0, sx), _mm256_set1_pd(LAST))));
	_mm256_store_pd(
		s.to, _mm256_floor_pd(clamped(_mm256_add_pd(x1, sx), _mm256_set1_pd(LAST))));
	_mm256_store_pd(s.sy, sy);
	for (unsigned k = 0; k < 4; k++)
		if (e->real[i + k])
			draw(r, &s, k);
}

void pe_raster_draw(struct pe_raster *r, const struct pe_raster_edges *e, double margin_m)
{
	memset(r->inside, 0, sizeof r->inside);
	memset(r->edge, 0, sizeof r->edge);
	place(r, e, margin_m);
	for (unsigned i = 0; i < e->count; i += 4)
		draw_four(r, e, i, margin_m);
}
