// All slots of a chunk at once, in two halves of sixteen.
#include "space/sieve.h"

#include <immintrin.h>
#include <math.h>

bool pe_sieve_meet_avx512(
	const struct pe_sieve *s, const struct pe_sieve_box *box, struct pe_sieve_cell *cell)
{
	const __m512 from_x = _mm512_set1_ps(box->from[0]), from_y = _mm512_set1_ps(box->from[1]),
		     to_x = _mm512_set1_ps(box->to[0]), to_y = _mm512_set1_ps(box->to[1]);
	uint64_t any = 0;

	for (unsigned i = 0; i < s->count; i += 64) {
		uint64_t meets = 0, beneath = 0;
		unsigned end = i + 64 < s->count ? i + 64 : s->count;

		for (unsigned k = i; k < end; k += 16) {
			__mmask16 lower =
				_mm512_cmp_ps_mask(_mm512_load_ps(&s->from[k]), to_x, _CMP_LE_OQ);
			__mmask16 reach;

			lower = _mm512_mask_cmp_ps_mask(
				lower, _mm512_load_ps(&s->to[k]), from_x, _CMP_GE_OQ);
			lower = _mm512_mask_cmp_ps_mask(
				lower, _mm512_load_ps(&s->low[k]), to_y, _CMP_LE_OQ);
			reach = _mm512_mask_cmp_ps_mask(
				lower, _mm512_load_ps(&s->high[k]), from_y, _CMP_GE_OQ);
			meets |= (uint64_t)reach << k % 64;
			beneath |= (uint64_t)(lower ^ reach) << k % 64;
		}
		cell->meets[i / 64] = meets;
		cell->beneath[i / 64] = beneath;
		any |= meets;
	}
	return any != 0;
}

// Of _mm512_range_ps: the less of both magnitudes, without a sign.
#define LEAST_SIZE 0xA

static inline __m512 coordinate(__m512i low, __m512i high, __m512 from, __m512 per_unit)
{
	const __m512i halves =
		_mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
	__m512i both = _mm512_permutex2var_epi32(low, halves, high);

	both = _mm512_and_si512(both, _mm512_set1_epi32(0xFFFFF));
	return _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), per_unit, from);
}

// A bit of the sixteen slots whose x is over the edge.
static inline __mmask16 over(__m512 x, __m512 from, __m512 to)
{
	return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(x, from, _CMP_GE_OQ), x, to, _CMP_LT_OQ);
}

uint32_t pe_sieve_chunk_avx512(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint32_t mask, uint32_t *sure)
{
	const __m512 per_unit = _mm512_set1_ps(s->per_unit), from_x = _mm512_set1_ps(cell->from[0]),
		     from_y = _mm512_set1_ps(cell->from[1]), zero = _mm512_setzero_ps(),
		     near = _mm512_set1_ps(s->near);
	__m512 at_x[2], at_y[2], nearest[2];
	__mmask16 odd[2] = {0, 0};
	uint32_t inside, doubtful;

	for (unsigned k = 0; k < 2; k++) {
		__m512i low = _mm512_loadu_si512((const void *)&words[16 * k]);
		__m512i high = _mm512_loadu_si512((const void *)&words[16 * k + 8]);

		at_x[k] = coordinate(low, high, from_x, per_unit);
		at_y[k] = coordinate(
			_mm512_srli_epi64(low, 20), _mm512_srli_epi64(high, 20), from_y, per_unit);
		nearest[k] = _mm512_set1_ps(INFINITY);
	}
	for (unsigned w = 0; 64 * w < s->count; w++) {
		for (uint64_t left = cell->meets[w]; left; left &= left - 1) {
			unsigned i = 64 * w + (unsigned)__builtin_ctzll(left);
			__m512 from = _mm512_set1_ps(s->from[i]), to = _mm512_set1_ps(s->to[i]),
			       x = _mm512_set1_ps(s->across[0][i]),
			       y = _mm512_set1_ps(s->across[1][i]), off = _mm512_set1_ps(s->off[i]);

			for (unsigned k = 0; k < 2; k++) {
				__m512 above = _mm512_fmadd_ps(
					at_x[k], x, _mm512_fmadd_ps(at_y[k], y, off));

				odd[k] ^= _mm512_mask_cmp_ps_mask(
					over(at_x[k], from, to), above, zero, _CMP_GE_OQ);
				nearest[k] = _mm512_range_ps(nearest[k], above, LEAST_SIZE);
			}
		}
		for (uint64_t left = cell->beneath[w]; left; left &= left - 1) {
			unsigned i = 64 * w + (unsigned)__builtin_ctzll(left);
			__m512 from = _mm512_set1_ps(s->from[i]), to = _mm512_set1_ps(s->to[i]);

			for (unsigned k = 0; k < 2; k++)
				odd[k] ^= over(at_x[k], from, to);
		}
	}
	inside = odd[0] | (uint32_t)odd[1] << 16;
	doubtful = _mm512_cmp_ps_mask(nearest[0], near, _CMP_LE_OQ) |
		(uint32_t)_mm512_cmp_ps_mask(nearest[1], near, _CMP_LE_OQ) << 16;
	*sure = mask & inside & ~doubtful;
	return mask & (inside | doubtful);
}
