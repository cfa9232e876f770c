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
