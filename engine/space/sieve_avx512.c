// All slots of a chunk at once, in two halves of sixteen; and all edges of a word.
#include "space/sieve.h"

#include <immintrin.h>
#include <math.h>

static inline uint64_t joined(__mmask16 a, __mmask16 b, __mmask16 c, __mmask16 d)
{
	return _mm512_kunpackd(_mm512_kunpackw(d, c), _mm512_kunpackw(b, a));
}

void pe_sieve_line_avx512(
	const struct pe_sieve *s, unsigned axis, struct pe_sieve_line *lines, unsigned count)
{
	for (unsigned w = 0; w < s->words; w++) {
		__m512 low[4], high[4];

#pragma GCC unroll 4
		for (unsigned k = 0; k < 4; k++) {
			__m512 a = _mm512_load_ps(&s->begin[axis][64 * w + 16 * k]),
			       b = _mm512_load_ps(&s->end[axis][64 * w + 16 * k]);

			low[k] = _mm512_min_ps(a, b);
			high[k] = _mm512_max_ps(a, b);
		}
		for (unsigned n = 0; n < count; n++) {
			const __m512 from = _mm512_set1_ps(lines[n].from),
				     to = _mm512_set1_ps(lines[n].to);
			__mmask16 before[4], past[4];
			uint64_t all_past;

#pragma GCC unroll 4
			for (unsigned k = 0; k < 4; k++) {
				before[k] = _mm512_cmp_ps_mask(low[k], to, _CMP_LE_OQ);
				past[k] = _mm512_cmp_ps_mask(high[k], from, _CMP_LT_OQ);
			}
			all_past = joined(past[0], past[1], past[2], past[3]);
			lines[n].near[w] =
				joined(before[0], before[1], before[2], before[3]) & ~all_past;
			lines[n].past[w] = all_past;
		}
	}
}

// Of _mm512_range_ps: the less of both magnitudes, without a sign.
#define LEAST_SIZE 0xA
// Of _mm512_ternarylogic_epi32: on different sides of both ends, and not above.
#define OVER_BENEATH 0x14

static inline __m512 coordinate(__m512i low, __m512i high, __m512 from, __m512 per_unit)
{
	const __m512i halves =
		_mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
	__m512i both = _mm512_permutex2var_epi32(low, halves, high);

	both = _mm512_and_si512(both, _mm512_set1_epi32(0xFFFFF));
	return _mm512_fmadd_ps(_mm512_cvtepi32_ps(both), per_unit, from);
}

// Turned where x is less.
static inline __m512i turn(__m512i odd, __m512 x, float at)
{
	return _mm512_xor_si512(odd, _mm512_castps_si512(_mm512_sub_ps(x, _mm512_set1_ps(at))));
}

uint32_t pe_sieve_chunk_avx512(const struct pe_sieve *s, const struct pe_sieve_cell *cell,
	const uint64_t *words, uint32_t mask, uint64_t *copy, uint32_t *sure, bool *flagged)
{
	const __m512 per_unit = _mm512_set1_ps(s->per_unit), from_x = _mm512_set1_ps(cell->from[0]),
		     from_y = _mm512_set1_ps(cell->from[1]), near = _mm512_set1_ps(s->near);
	__m512 at_x[2], at_y[2], nearest[2];
	__m512i odd[2], seen = _mm512_setzero_si512();
	uint32_t inside, doubtful;

	for (unsigned k = 0; k < 2; k++) {
		__m512i low = _mm512_loadu_si512((const void *)&words[16 * k]);
		__m512i high = _mm512_loadu_si512((const void *)&words[16 * k + 8]);

		_mm512_storeu_si512((void *)&copy[16 * k], low);
		_mm512_storeu_si512((void *)&copy[16 * k + 8], high);
		seen = _mm512_or_si512(seen, _mm512_or_si512(low, high));
		at_x[k] = coordinate(low, high, from_x, per_unit);
		at_y[k] = coordinate(
			_mm512_srli_epi64(low, 20), _mm512_srli_epi64(high, 20), from_y, per_unit);
		nearest[k] = _mm512_set1_ps(INFINITY);
		odd[k] = _mm512_setzero_si512();
	}
	*flagged = _mm512_test_epi64_mask(seen, _mm512_set1_epi64((int64_t)~PE_WORD_POSITION)) != 0;
	for (unsigned w = 0; w < s->words; w++) {
		const struct pe_sieve_part *part = &cell->part[w];

		for (uint64_t left = part->meets; left; left &= left - 1) {
			size_t i = 64 * (size_t)w + (size_t)__builtin_ctzll(left);
			__m512 begin = _mm512_set1_ps(s->begin[0][i]),
			       end = _mm512_set1_ps(s->end[0][i]),
			       x = _mm512_set1_ps(s->across[0][i]),
			       y = _mm512_set1_ps(s->across[1][i]), off = _mm512_set1_ps(s->off[i]);

			for (unsigned k = 0; k < 2; k++) {
				__m512 above = _mm512_fmadd_ps(
					at_x[k], x, _mm512_fmadd_ps(at_y[k], y, off));
				__m512i over = _mm512_ternarylogic_epi32(
					_mm512_castps_si512(_mm512_sub_ps(at_x[k], begin)),
					_mm512_castps_si512(_mm512_sub_ps(at_x[k], end)),
					_mm512_castps_si512(above), OVER_BENEATH);

				odd[k] = _mm512_xor_si512(odd[k], over);
				nearest[k] = _mm512_range_ps(nearest[k], above, LEAST_SIZE);
			}
		}
		for (uint64_t left = part->toggles; left; left &= left - 1)
			for (unsigned k = 0; k < 2; k++)
				odd[k] = turn(odd[k], at_x[k],
					s->begin[0]
						[64 * (size_t)w + (size_t)__builtin_ctzll(left)]);
		for (uint64_t left = part->ends; left; left &= left - 1)
			for (unsigned k = 0; k < 2; k++)
				odd[k] = turn(odd[k], at_x[k],
					s->end[0][64 * (size_t)w + (size_t)__builtin_ctzll(left)]);
	}
	inside = _mm512_movepi32_mask(odd[0]) | (uint32_t)_mm512_movepi32_mask(odd[1]) << 16;
	doubtful = _mm512_cmp_ps_mask(nearest[0], near, _CMP_LE_OQ) |
		(uint32_t)_mm512_cmp_ps_mask(nearest[1], near, _CMP_LE_OQ) << 16;
	*sure = mask & inside & ~doubtful;
	return mask & (inside | doubtful);
}
