// Drawing a raster. An edge marks, column by column, the cells that it comes near to; and in each column whose middle it crosses it turns
// all cells above, so that a cell without an edge is inside where it was turned an odd number of times.
#include "space/polygon_work.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LAST (PE_RASTER_CELLS - 1.0)

// Where the cells begin and how large they are: about all ends, and as far beyond as edges may reach with the margin.
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
			hi = _mm256_max_pd(hi,
				_mm256_blendv_pd(_mm256_set1_pd(-INFINITY), high, real));
		}
		from = geo_least_of(lo) - 2.0 * margin_m;
		to = geo_most_of(hi) + 2.0 * margin_m;
		r->from[k] = from;
		r->scale[k] = PE_RASTER_CELLS / (to - from);
	}
}

// An edge in units of cells, from left to right. sx, sy: how far cells that it comes near to may be from it.
struct stroke {
	double x0, x1, y0, dy, per_x; // per_x: 1 / (x1 − x0), infinite if it stands upright
	double sx, sy;
};

static inline __m256d clamped(__m256d v, double most)
{
	// Not a number (nowhere along an upright edge) becomes 0: both beside such an edge are told right, as sx > 0.
	return _mm256_min_pd(
		_mm256_max_pd(v, _mm256_setzero_pd()), _mm256_set1_pd(most));
}

static inline __m256i whole(__m256d v)
{
	return _mm256_cvtepi32_epi64(_mm256_cvttpd_epi32(v));
}

static inline void draw(struct pe_raster *r, const struct stroke *s)
{
	const __m256d x0 = _mm256_set1_pd(s->x0), y0 = _mm256_set1_pd(s->y0),
		      dy = _mm256_set1_pd(s->dy), per_x = _mm256_set1_pd(s->per_x);
	const __m256d sy = _mm256_set1_pd(s->sy), half = _mm256_set1_pd(0.5);
	const __m256i ones = _mm256_set1_epi64x(-1);
	double last = s->x1 + s->sx;
	double first = s->x0 - s->sx;

	first = first > 0.0 ? (double)(unsigned)first : 0.0;
	for (; first <= last && first <= LAST; first += 4.0) {
		__m256d column = _mm256_add_pd(
			_mm256_set1_pd(first), _mm256_setr_pd(0.0, 1.0, 2.0, 3.0));
		__m256d left = _mm256_sub_pd(column, x0);
		__m256d from = _mm256_sub_pd(left, _mm256_set1_pd(s->sx));
		__m256d to = _mm256_add_pd(left, _mm256_set1_pd(1.0 + s->sx));
		__m256d middle = _mm256_add_pd(column, half);
		unsigned at = (unsigned)first;
		__m256d a, b, cross;
		__m256i low, high, mark, turn;

		// Of each column, and a little beside it, the part of the edge: its ends' heights.
		a = _mm256_fmadd_pd(clamped(_mm256_mul_pd(from, per_x), 1.0), dy, y0);
		b = _mm256_fmadd_pd(clamped(_mm256_mul_pd(to, per_x), 1.0), dy, y0);
		low = whole(clamped(_mm256_sub_pd(_mm256_min_pd(a, b), sy), LAST));
		high = whole(clamped(_mm256_add_pd(_mm256_max_pd(a, b), sy), LAST));
		mark = _mm256_and_si256(_mm256_sllv_epi64(ones, low),
			_mm256_srlv_epi64(
				ones, _mm256_sub_epi64(_mm256_set1_epi64x(63), high)));
		mark = _mm256_and_si256(mark,
			_mm256_castpd_si256(
				_mm256_cmp_pd(column, _mm256_set1_pd(last), _CMP_LE_OQ)));
		cross = _mm256_mul_pd(_mm256_add_pd(left, half), per_x);
		cross = clamped(_mm256_fmadd_pd(clamped(cross, 1.0), dy, y0), LAST);
		turn = _mm256_sllv_epi64(ones, whole(cross));
		turn = _mm256_and_si256(turn,
			_mm256_castpd_si256(_mm256_and_pd(
				_mm256_cmp_pd(middle, x0, _CMP_GE_OQ),
				_mm256_cmp_pd(middle, _mm256_set1_pd(s->x1), _CMP_LT_OQ))));
		_mm256_storeu_si256((__m256i *)&r->edge[at],
			_mm256_or_si256(
				_mm256_loadu_si256((const __m256i *)&r->edge[at]), mark));
		_mm256_storeu_si256((__m256i *)&r->inside[at],
			_mm256_xor_si256(
				_mm256_loadu_si256((const __m256i *)&r->inside[at]), turn));
	}
}

// Four edges as strokes.
static inline void draw_four(
	struct pe_raster *r, const struct pe_raster_edges *e, unsigned i, double margin_m)
{
	const __m256d from_x = _mm256_set1_pd(r->from[0]), from_y = _mm256_set1_pd(r->from[1]),
		      scale_x = _mm256_set1_pd(r->scale[0]), scale_y = _mm256_set1_pd(r->scale[1]);
	_Alignas(32) double x0[4], x1[4], y0[4], dy[4], per_x[4], sx[4], sy[4];
	__m256d ax = _mm256_load_pd(&e->x[0][i]), bx = _mm256_load_pd(&e->x[1][i]);
	__m256d ay = _mm256_load_pd(&e->y[0][i]), by = _mm256_load_pd(&e->y[1][i]);
	__m256d swap = _mm256_cmp_pd(ax, bx, _CMP_GT_OQ);
	__m256d left = _mm256_mul_pd(_mm256_sub_pd(_mm256_min_pd(ax, bx), from_x), scale_x);
	__m256d right = _mm256_mul_pd(_mm256_sub_pd(_mm256_max_pd(ax, bx), from_x), scale_x);
	__m256d first = _mm256_mul_pd(
		_mm256_sub_pd(_mm256_blendv_pd(ay, by, swap), from_y), scale_y);
	__m256d last = _mm256_mul_pd(
		_mm256_sub_pd(_mm256_blendv_pd(by, ay, swap), from_y), scale_y);
	__m256d slack = _mm256_add_pd(_mm256_load_pd(&e->slack[i]), _mm256_set1_pd(margin_m));

	_mm256_store_pd(x0, left);
	_mm256_store_pd(x1, right);
	_mm256_store_pd(y0, first);
	_mm256_store_pd(dy, _mm256_sub_pd(last, first));
	_mm256_store_pd(per_x, _mm256_div_pd(_mm256_set1_pd(1.0), _mm256_sub_pd(right, left)));
	_mm256_store_pd(sx, _mm256_mul_pd(slack, scale_x));
	_mm256_store_pd(sy, _mm256_mul_pd(slack, scale_y));
	for (unsigned k = 0; k < 4; k++)
		if (e->real[i + k])
			draw(r, &(struct stroke){.x0 = x0[k],
					.x1 = x1[k],
					.y0 = y0[k],
					.dy = dy[k],
					.per_x = per_x[k],
					.sx = sx[k],
					.sy = sy[k]});
}

void pe_raster_draw(struct pe_raster *r, const struct pe_raster_edges *e, double margin_m)
{
	memset(r->inside, 0, sizeof r->inside);
	memset(r->edge, 0, sizeof r->edge);
	place(r, e, margin_m);
	for (unsigned i = 0; i < e->count; i += 4)
		draw_four(r, e, i, margin_m);
}
