// Four slots a step.
#include "grid/scan.h"

#include <immintrin.h>

uint32_t pe_scan_avx2(const struct pe_scan *scan, const _Atomic uint64_t *words, unsigned slots,
	uint32_t valid, uint64_t *copy)
{
	const __m256i low = _mm256_set1_epi64x(0xFFFFF),
		      moved = _mm256_set1_epi64x((int64_t)PE_SLOT_MOVED);
	const __m128i z_shift = _mm_cvtsi32_si128((int)scan->z_shift);
	// Signed comparisons serve: all operands of 20 bits are positive.
	const __m256i lo_x = _mm256_set1_epi64x((int64_t)scan->lo[0] - 1),
		      hi_x = _mm256_set1_epi64x(scan->hi[0]);
	const __m256i lo_y = _mm256_set1_epi64x((int64_t)scan->lo[1] - 1),
		      hi_y = _mm256_set1_epi64x(scan->hi[1]);
	const __m256i lo_z = _mm256_set1_epi64x((int64_t)scan->lo[2] - 1),
		      hi_z = _mm256_set1_epi64x(scan->hi[2]);
	// 2^52: a positive integer below it, or-ed into the mantissa, is that number plus 2^52.
	const __m256d magic = _mm256_set1_pd(4503599627370496.0);
	uint32_t hits = 0;

	for (unsigned i = 0; i < slots; i += 4) {
		__m256i word, x, y, z, in, out;

		if (!(valid >> i & 0xF))
			continue;
		// SLOT: aligned lanes of 8 bytes are not torn on this architecture, and its loads
		// acquire; the compiler is kept from moving them by the fence in the walk.
		word = _mm256_load_si256((const __m256i *)(const void *)&words[i]);
		_mm256_storeu_si256((__m256i *)(void *)&copy[i], word);
		x = _mm256_and_si256(word, low);
		y = _mm256_and_si256(_mm256_srli_epi64(word, 20), low);
		z = _mm256_and_si256(_mm256_srli_epi64(word, 40), low);
		in = _mm256_set1_epi64x(-1);
		if (scan->box) {
			out = _mm256_or_si256(
				_mm256_cmpgt_epi64(x, hi_x), _mm256_cmpgt_epi64(y, hi_y));
			out = _mm256_or_si256(out, _mm256_cmpgt_epi64(z, hi_z));
			in = _mm256_and_si256(
				_mm256_cmpgt_epi64(x, lo_x), _mm256_cmpgt_epi64(y, lo_y));
			in = _mm256_and_si256(in, _mm256_cmpgt_epi64(z, lo_z));
			in = _mm256_andnot_si256(out, in);
		}
		z = _mm256_sll_epi64(z, z_shift);
		if (scan->sphere && scan->exact) {
			__m256i sum;

			x = _mm256_add_epi64(x, _mm256_set1_epi64x(scan->base[0]));
			y = _mm256_add_epi64(y, _mm256_set1_epi64x(scan->base[1]));
			z = _mm256_add_epi64(z, _mm256_set1_epi64x(scan->base[2]));
			sum = _mm256_add_epi64(_mm256_mul_epi32(x, x), _mm256_mul_epi32(y, y));
			sum = _mm256_add_epi64(sum, _mm256_mul_epi32(z, z));
			out = _mm256_cmpgt_epi64(sum, _mm256_set1_epi64x(scan->limit));
			in = _mm256_andnot_si256(out, in);
		} else if (scan->sphere) {
			__m256d dx, dy, dz, sum;

			dx = _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(x), magic), magic);
			dy = _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(y), magic), magic);
			dz = _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(z), magic), magic);
			dx = _mm256_add_pd(dx, _mm256_set1_pd(scan->base_real[0]));
			dy = _mm256_add_pd(dy, _mm256_set1_pd(scan->base_real[1]));
			dz = _mm256_add_pd(dz, _mm256_set1_pd(scan->base_real[2]));
			sum = _mm256_fmadd_pd(
				dx, dx, _mm256_fmadd_pd(dy, dy, _mm256_mul_pd(dz, dz)));
			sum = _mm256_cmp_pd(sum, _mm256_set1_pd(scan->square), _CMP_LE_OQ);
			in = _mm256_and_si256(in, _mm256_castpd_si256(sum));
		}
		in = _mm256_or_si256(in, _mm256_cmpeq_epi64(_mm256_and_si256(word, moved), moved));
		hits |= (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(in)) << i;
	}
	return hits & valid;
}
