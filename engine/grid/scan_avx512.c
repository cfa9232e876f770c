// Eight slots a step.
#include "grid/scan.h"

#include <immintrin.h>

uint32_t pe_scan_avx512(const struct pe_scan *scan, const _Atomic uint64_t *words, unsigned slots,
	uint32_t valid, uint64_t *copy)
{
	const __m512i low = _mm512_set1_epi64(0xFFFFF),
		      moved = _mm512_set1_epi64((int64_t)PE_SLOT_MOVED);
	const __m128i z_shift = _mm_cvtsi32_si128((int)scan->z_shift);
	uint32_t hits = 0;

	for (unsigned i = 0; i < slots; i += 8) {
		__mmask8 in = (__mmask8)(valid >> i);
		__m512i word, x, y, z;

		if (!in)
			continue;
		// SLOT: as in the AVX2 kernel; a load of a whole line whose lanes are each read at
		// once.
		word = _mm512_load_si512((const void *)&words[i]);
		_mm512_storeu_si512((void *)&copy[i], word);
		x = _mm512_and_si512(word, low);
		y = _mm512_and_si512(_mm512_srli_epi64(word, 20), low);
		z = _mm512_and_si512(_mm512_srli_epi64(word, 40), low);
		if (scan->box) {
			in = _mm512_mask_cmpge_epi64_mask(in, x, _mm512_set1_epi64(scan->lo[0]));
			in = _mm512_mask_cmple_epi64_mask(in, x, _mm512_set1_epi64(scan->hi[0]));
			in = _mm512_mask_cmpge_epi64_mask(in, y, _mm512_set1_epi64(scan->lo[1]));
			in = _mm512_mask_cmple_epi64_mask(in, y, _mm512_set1_epi64(scan->hi[1]));
			in = _mm512_mask_cmpge_epi64_mask(in, z, _mm512_set1_epi64(scan->lo[2]));
			in = _mm512_mask_cmple_epi64_mask(in, z, _mm512_set1_epi64(scan->hi[2]));
		}
		z = _mm512_sll_epi64(z, z_shift);
		if (scan->sphere && scan->exact) {
			__m512i sum;

			x = _mm512_add_epi64(x, _mm512_set1_epi64(scan->base[0]));
			y = _mm512_add_epi64(y, _mm512_set1_epi64(scan->base[1]));
			z = _mm512_add_epi64(z, _mm512_set1_epi64(scan->base[2]));
			sum = _mm512_add_epi64(_mm512_mul_epi32(x, x), _mm512_mul_epi32(y, y));
			sum = _mm512_add_epi64(sum, _mm512_mul_epi32(z, z));
			in = _mm512_mask_cmple_epi64_mask(in, sum, _mm512_set1_epi64(scan->limit));
		} else if (scan->sphere) {
			__m512d dx = _mm512_add_pd(
				_mm512_cvtepi64_pd(x), _mm512_set1_pd(scan->base_real[0]));
			__m512d dy = _mm512_add_pd(
				_mm512_cvtepi64_pd(y), _mm512_set1_pd(scan->base_real[1]));
			__m512d dz = _mm512_add_pd(
				_mm512_cvtepi64_pd(z), _mm512_set1_pd(scan->base_real[2]));
			__m512d sum = _mm512_fmadd_pd(
				dx, dx, _mm512_fmadd_pd(dy, dy, _mm512_mul_pd(dz, dz)));

			in = _mm512_mask_cmp_pd_mask(
				in, sum, _mm512_set1_pd(scan->square), _CMP_LE_OQ);
		}
		in |= _mm512_test_epi64_mask(word, moved) & (__mmask8)(valid >> i);
		hits |= (uint32_t)in << i;
	}
	return hits;
}

// Of the slots in the mask, are some beside a move?
__attribute__((noinline)) static uint32_t flagged(const _Atomic uint64_t *words, uint32_t mask)
{
	uint64_t seen = 0;

	for (; mask; mask &= mask - 1)
		seen |= atomic_load_explicit(&words[__builtin_ctz(mask)], memory_order_relaxed);
	return seen & (PE_SLOT_ARRIVING | PE_SLOT_MOVED) ? PE_FIND_FLAGGED : 0;
}

// What sixteen slots have in common.
struct sixteen {
	__m512i base_x, base_y, base_z, seen;
	__m512 limit;
	__m128i z_shift;
};

__attribute__((always_inline)) static inline __mmask16 find_sixteen(
	struct sixteen *s, __m512i a, __m512i b)
{
	const __m512i low = _mm512_set1_epi32(0xFFFFF);
	const __m512i even =
		_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
	const __m512i odd =
		_mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
	__m512i lo = _mm512_permutex2var_epi32(a, even, b),
		hi = _mm512_permutex2var_epi32(a, odd, b);
	__m512i x = _mm512_and_si512(lo, low);
	__m512i y = _mm512_or_si512(
		_mm512_srli_epi32(lo, 20), _mm512_srli_epi32(_mm512_slli_epi32(hi, 24), 12));
	__m512i z = _mm512_and_si512(_mm512_srli_epi32(hi, 8), low);
	__m512 dx = _mm512_cvtepi32_ps(_mm512_add_epi32(x, s->base_x));
	__m512 dy = _mm512_cvtepi32_ps(_mm512_add_epi32(y, s->base_y));
	__m512 dz =
		_mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_sll_epi32(z, s->z_shift), s->base_z));
	__m512 sum = _mm512_fmadd_ps(dx, dx, _mm512_fmadd_ps(dy, dy, _mm512_mul_ps(dz, dz)));

	s->seen = _mm512_or_si512(s->seen, hi);
	return _mm512_cmp_ps_mask(sum, s->limit, _CMP_LE_OQ) |
		_mm512_test_epi32_mask(hi, _mm512_set1_epi32((int)(PE_SLOT_MOVED >> 32)));
}

// Sixteen slots a step, in lanes of 32 bits.
uint32_t pe_find_avx512(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found)
{
	struct sixteen s = {.base_x = _mm512_set1_epi32(find->base[0]),
		.base_y = _mm512_set1_epi32(find->base[1]),
		.base_z = _mm512_set1_epi32(find->base[2]),
		.seen = _mm512_setzero_si512(),
		.limit = _mm512_set1_ps(find->limit),
		.z_shift = _mm_cvtsi32_si128((int)find->z_shift)};
	const char *at = (const char *)words;
	uint32_t mask, count;

	// SLOT: as above
	if (slots == 8) {
		mask = find_sixteen(&s, _mm512_load_si512(at), _mm512_setzero_si512()) & valid;
		// The register is compressed, not the store, which some processors do word by word.
		_mm512_storeu_si512((void *)found,
			_mm512_maskz_compress_epi32((__mmask16)mask,
				_mm512_castsi256_si512(_mm256_loadu_si256(
					(const __m256i *)(const void *)handles))));
		count = (uint32_t)__builtin_popcount(mask);
	} else {
		uint32_t first =
			find_sixteen(&s, _mm512_load_si512(at), _mm512_load_si512(at + 64)) & valid;
		uint32_t second =
			find_sixteen(&s, _mm512_load_si512(at + 128), _mm512_load_si512(at + 192)) &
			valid >> 16;

		count = (uint32_t)__builtin_popcount(first);
		_mm512_storeu_si512((void *)found,
			_mm512_maskz_compress_epi32((__mmask16)first, _mm512_loadu_si512(handles)));
		_mm512_storeu_si512((void *)(found + count),
			_mm512_maskz_compress_epi32(
				(__mmask16)second, _mm512_loadu_si512(handles + 16)));
		count += (uint32_t)__builtin_popcount(second);
		mask = first | second << 16;
	}
	if (__builtin_expect(_mm512_test_epi32_mask(s.seen,
				     _mm512_set1_epi32(
					     (int)((PE_SLOT_ARRIVING | PE_SLOT_MOVED) >> 32))) != 0,
		    0))
		return count | flagged(words, mask);
	return count;
}
