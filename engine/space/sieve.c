#include "space/sieve.h"

#include <float.h>
#include <immintrin.h>
#include <math.h>

// Of the sum of a cell's and the polygon's size: how exact floats are, with room.
#define FLOAT_SHARE 0x1p-20
// Beyond everything, for what is no edge.
#define ABOVE 0x1p100f

bool pe_sieve_supported(enum pe_sieve_isa isa)
{
	return isa == PE_SIEVE_AVX2 ||
		(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"));
}

void pe_sieve_force(struct pe_sieve *s, enum pe_sieve_isa isa)
{
	s->meet = isa == PE_SIEVE_AVX512 ? pe_sieve_meet_avx512 : pe_sieve_meet_avx2;
	s->chunk = isa == PE_SIEVE_AVX512 ? pe_sieve_chunk_avx512 : pe_sieve_chunk_avx2;
}

// Eight edges' coordinates of one kind in the plane.
static inline __m256 on_plane(const double *metres, __m256d middle, __m256d scale)
{
	__m256d low = _mm256_mul_pd(_mm256_sub_pd(_mm256_load_pd(metres), middle), scale);
	__m256d high = _mm256_mul_pd(_mm256_sub_pd(_mm256_load_pd(metres + 4), middle), scale);

	return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
}

static inline void add_edges(struct pe_sieve *s, const struct pe_polygon *p, unsigned i)
{
	const __m256d scale = _mm256_set1_pd(s->scale), middle_x = _mm256_set1_pd(s->middle[0]),
		      middle_y = _mm256_set1_pd(s->middle[1]);
	const __m256 above = _mm256_set1_ps(ABOVE);
	__m256 x0 = on_plane(&p->first[0][i], middle_x, scale),
	       x1 = on_plane(&p->last[0][i], middle_x, scale);
	__m256 y0 = on_plane(&p->first[1][i], middle_y, scale),
	       y1 = on_plane(&p->last[1][i], middle_y, scale);
	__m256 right = _mm256_sub_ps(x1, x0), up = _mm256_sub_ps(y1, y0), square, size, x, y;
	// Filling has an interval without an end.
	__m256 none = _mm256_set_m128(_mm256_cvtpd_ps(_mm256_load_pd(&p->from[i + 4])),
		_mm256_cvtpd_ps(_mm256_load_pd(&p->from[i])));

	none = _mm256_cmp_ps(none, _mm256_set1_ps(INFINITY), _CMP_EQ_OQ);
	// Of unit length to a thousandth or so; one without length is near to everything, and told by its neighbours.
	square = _mm256_fmadd_ps(right, right, _mm256_mul_ps(up, up));
	size = _mm256_rsqrt_ps(_mm256_max_ps(square, _mm256_set1_ps(FLT_MIN)));
	x = _mm256_mul_ps(_mm256_sub_ps(_mm256_setzero_ps(), up), size);
	y = _mm256_mul_ps(right, size);
	_mm256_store_ps(&s->from[i], _mm256_blendv_ps(x0, above, none));
	_mm256_store_ps(&s->to[i], x1);
	_mm256_store_ps(&s->low[i], _mm256_blendv_ps(_mm256_min_ps(y0, y1), above, none));
	_mm256_store_ps(&s->high[i], _mm256_max_ps(y0, y1));
	_mm256_store_ps(&s->across[0][i], x);
	_mm256_store_ps(&s->across[1][i], y);
	_mm256_store_ps(&s->off[i],
		_mm256_sub_ps(_mm256_setzero_ps(), _mm256_fmadd_ps(x, x0, _mm256_mul_ps(y, y0))));
}

// Edges that are none, up to a multiple of sixteen.
static void add_none(struct pe_sieve *s, unsigned from)
{
	s->count = (from + 15) & ~15u;
	for (unsigned i = from; i < s->count; i++)
		s->from[i] = s->low[i] = ABOVE;
}

void pe_sieve_make(const struct pe_space *space, const struct pe_polygon *p, struct pe_sieve *s)
{
	unsigned count = p->ring_end[p->ring_count - 1];
	double wide = p->hi[0] - p->lo[0], tall = p->hi[1] - p->lo[1],
	       half = 0.5 * (wide > tall ? wide : tall);

	// What is smaller than a unit of the index has no place of it inside for certain anyway.
	half = half > space->unit_m ? half : space->unit_m;
	pe_sieve_force(s, pe_sieve_supported(PE_SIEVE_AVX512) ? PE_SIEVE_AVX512 : PE_SIEVE_AVX2);
	s->edge_m = space->config.leaf_edge_m;
	for (unsigned k = 0; k < 2; k++)
		s->middle[k] = 0.5 * p->lo[k] + 0.5 * p->hi[k];
	s->scale = 1.0 / half;
	s->per_unit = (float)(space->unit_m * s->scale);
	s->near = (float)((1.5 * p->margin_m + (half + s->edge_m) * FLOAT_SHARE) * s->scale);
	// Of the last eight four may be what an earlier polygon left there.
	for (unsigned i = 0; i < count; i += 8)
		add_edges(s, p, i);
	add_none(s, count);
}

static inline float wider(double at, double by)
{
	return (float)(at + by + (by > 0.0 ? 0x1p-22 : -0x1p-22) * fabs(at));
}

static inline void box_of(const struct pe_sieve *s, uint64_t key, unsigned bits_across,
	struct pe_sieve_box *box, double corner[2])
{
	const double side = s->edge_m * s->scale * (double)(1u << bits_across),
		     near = (double)s->near;
	const int32_t cell[2] = {
		(int32_t)PE_KEY_X(key) - PE_KEY_X_OFFSET, (int32_t)PE_KEY_Y(key) - PE_KEY_X_OFFSET};

	for (unsigned k = 0; k < 2; k++) {
		corner[k] = ((double)cell[k] * s->edge_m - s->middle[k]) * s->scale;
		box->from[k] = wider(corner[k], -near);
		box->to[k] = wider(corner[k] + side, near);
	}
}

bool pe_sieve_meet_avx2(
	const struct pe_sieve *s, const struct pe_sieve_box *box, struct pe_sieve_cell *cell)
{
	const __m256 from_x = _mm256_set1_ps(box->from[0]), from_y = _mm256_set1_ps(box->from[1]),
		     to_x = _mm256_set1_ps(box->to[0]), to_y = _mm256_set1_ps(box->to[1]);
	uint64_t any = 0;

	for (unsigned i = 0; i < s->count; i += 64) {
		uint64_t meets = 0, beneath = 0;
		unsigned end = i + 64 < s->count ? i + 64 : s->count;

		for (unsigned k = i; k < end; k += 8) {
			__m256 beside = _mm256_and_ps(
				_mm256_cmp_ps(_mm256_load_ps(&s->from[k]), to_x, _CMP_LE_OQ),
				_mm256_cmp_ps(_mm256_load_ps(&s->to[k]), from_x, _CMP_GE_OQ));
			unsigned lower = (unsigned)_mm256_movemask_ps(_mm256_and_ps(beside,
				_mm256_cmp_ps(_mm256_load_ps(&s->low[k]), to_y, _CMP_LE_OQ)));
			unsigned reach = lower &
				(unsigned)_mm256_movemask_ps(_mm256_cmp_ps(
					_mm256_load_ps(&s->high[k]), from_y, _CMP_GE_OQ));

			meets |= (uint64_t)reach << k % 64;
			beneath |= (uint64_t)(lower ^ reach) << k % 64;
		}
		cell->meets[i / 64] = meets;
		cell->beneath[i / 64] = beneath;
		any |= meets;
	}
	return any != 0;
}

// No edge comes into the box, so that all of it is inside, or outside, as its left side is.
static bool parity(
	const struct pe_sieve *s, const struct pe_sieve_box *box, const struct pe_sieve_cell *cell)
{
	unsigned odd = 0;

	for (unsigned w = 0; 64 * w < s->count; w++)
		for (uint64_t left = cell->beneath[w]; left; left &= left - 1) {
			unsigned i = 64 * w + (unsigned)__builtin_ctzll(left);

			odd ^= s->from[i] <= box->from[0] && box->from[0] < s->to[i];
		}
	return odd;
}

enum pe_cell_side pe_sieve_enter(struct pe_sieve *s, unsigned at, uint64_t key)
{
	struct pe_sieve_cell *cell = &s->cell[at];
	struct pe_sieve_box box;
	double corner[2];

	box_of(s, key, 0, &box, corner);
	cell->from[0] = (float)corner[0];
	cell->from[1] = (float)corner[1];
	cell->side = s->meet(s, &box, cell) ? PE_CELL_CROSSING :
		parity(s, &box, cell)       ? PE_CELL_INSIDE :
					      PE_CELL_OUTSIDE;
	return cell->side;
}

bool pe_sieve_outside(const struct pe_sieve *s, uint64_t key, unsigned bits_across)
{
	struct pe_sieve_cell cell;
	struct pe_sieve_box box;
	double corner[2];

	box_of(s, key, bits_across, &box, corner);
	return !s->meet(s, &box, &cell) && !parity(s, &box, &cell);
}

// Sixteen slots' places in the plane.
struct places {
	__m256 x[2], y[2];
};

static inline __m256 coordinate(__m256i low, __m256i high, __m256 from, __m256 per_unit)
{
	const __m256i bits = _mm256_set1_epi32(0xFFFFF);
	// The lower halves of eight words, in order.
	__m256i both = _mm256_castps_si256(
		_mm256_shuffle_ps(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high), 0x88));

	both = _mm256_and_si256(_mm256_permute4x64_epi64(both, 0xD8), bits);
	return _mm256_fmadd_ps(_mm256_cvtepi32_ps(both), per_unit, from);
}

static inline struct places places_of(
	const struct pe_sieve *s, const struct pe_sieve_cell *cell, const uint64_t *words)
{
	const __m256 per_unit = _mm256_set1_ps(s->per_unit), x = _mm256_set1_ps(cell->from[0]),
		     y = _mm256_set1_ps(cell->from[1]);
	struct places p;

	for (unsigned k = 0; k < 2; k++) {
		__m256i low = _mm256_loadu_si256((const __m256i *)(const void *)&words[8 * k]);
		__m256i high = _mm256_loadu_si256((const __m256i *)(const void *)&words[8 * k + 4]);

		p.x[k] = coordinate(low, high, x, per_unit);
		p.y[k] = coordinate(
			_mm256_srli_epi64(low, 20), _mm256_srli_epi64(high, 20), y, per_unit);
	}
	return p;
}

static inline __m256 over(__m256 x, __m256 from, __m256 to)
{
	return _mm256_and_ps(_mm256_cmp_ps(x, from, _CMP_GE_OQ), _mm256_cmp_ps(x, to, _CMP_LT_OQ));
}

// Bits of the sixteen that are inside, and of those that are near to an edge.
static inline uint32_t sixteen(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint32_t *doubtful)
{
	const __m256 sign = _mm256_set1_ps(-0.0f), near = _mm256_set1_ps(s->near);
	const struct places p = places_of(s, cell, words);
	__m256 odd[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
	__m256 nearest[2] = {_mm256_set1_ps(INFINITY), _mm256_set1_ps(INFINITY)};

	for (unsigned w = 0; 64 * w < s->count; w++) {
		for (uint64_t left = cell->meets[w]; left; left &= left - 1) {
			unsigned i = 64 * w + (unsigned)__builtin_ctzll(left);
			__m256 from = _mm256_set1_ps(s->from[i]), to = _mm256_set1_ps(s->to[i]),
			       x = _mm256_set1_ps(s->across[0][i]),
			       y = _mm256_set1_ps(s->across[1][i]), off = _mm256_set1_ps(s->off[i]);

			for (unsigned k = 0; k < 2; k++) {
				__m256 above =
					_mm256_fmadd_ps(p.x[k], x, _mm256_fmadd_ps(p.y[k], y, off));

				odd[k] = _mm256_xor_ps(
					odd[k], _mm256_andnot_ps(above, over(p.x[k], from, to)));
				nearest[k] =
					_mm256_min_ps(nearest[k], _mm256_andnot_ps(sign, above));
			}
		}
		for (uint64_t left = cell->beneath[w]; left; left &= left - 1) {
			unsigned i = 64 * w + (unsigned)__builtin_ctzll(left);
			__m256 from = _mm256_set1_ps(s->from[i]), to = _mm256_set1_ps(s->to[i]);

			for (unsigned k = 0; k < 2; k++)
				odd[k] = _mm256_xor_ps(odd[k], over(p.x[k], from, to));
		}
	}
	*doubtful = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(nearest[0], near, _CMP_LE_OQ)) |
		(unsigned)_mm256_movemask_ps(_mm256_cmp_ps(nearest[1], near, _CMP_LE_OQ)) << 8;
	return (unsigned)_mm256_movemask_ps(odd[0]) | (unsigned)_mm256_movemask_ps(odd[1]) << 8;
}

uint32_t pe_sieve_chunk_avx2(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint32_t mask, uint32_t *sure)
{
	uint32_t inside = 0, doubtful = 0;

	for (unsigned i = 0; i < PE_SIEVE_SLOTS; i += 16) {
		uint32_t near;

		if (!(mask >> i & 0xFFFF))
			continue;
		inside |= sixteen(s, cell, words + i, &near) << i;
		doubtful |= near << i;
	}
	*sure = mask & inside & ~doubtful;
	return mask & (inside | doubtful);
}
