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

// Of the slots in the mask, are some beside a move?
__attribute__((noinline)) static uint32_t flagged(const _Atomic uint64_t *words, uint32_t mask)
{
	uint64_t seen = 0;

	for (; mask; mask &= mask - 1)
		seen |= atomic_load_explicit(&words[__builtin_ctz(mask)], memory_order_relaxed);
	return seen & (PE_SLOT_ARRIVING | PE_SLOT_MOVED) ? PE_FIND_FLAGGED : 0;
}

// Eight slots a step, in lanes of 32 bits.
uint32_t pe_find_avx2(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found)
{
	const __m256i low = _mm256_set1_epi32(0xFFFFF);
	const __m128i z_shift = _mm_cvtsi32_si128((int)find->z_shift);
	const __m256i base_x = _mm256_set1_epi32(find->base[0]),
		      base_y = _mm256_set1_epi32(find->base[1]),
		      base_z = _mm256_set1_epi32(find->base[2]);
	const __m256 limit = _mm256_set1_ps(find->limit);
	__m256i seen = _mm256_setzero_si256();
	uint32_t mask = 0;
	uint32_t *to = found;

	for (unsigned i = 0; i < slots; i += 8) {
		// SLOT: as above. Slots 0, 1, 4, 5 and 2, 3, 6, 7: halves of both are then in the
		// slots' order.
		const __m128i *at = (const __m128i *)(const void *)&words[i];
		__m256i a = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_load_si128(at)), _mm_load_si128(at + 2), 1);
		__m256i b = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_load_si128(at + 1)), _mm_load_si128(at + 3), 1);
		__m256i lo = _mm256_castps_si256(
			_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88));
		__m256i hi = _mm256_castps_si256(
			_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xDD));
		__m256i x = _mm256_and_si256(lo, low);
		__m256i y = _mm256_or_si256(_mm256_srli_epi32(lo, 20),
			_mm256_srli_epi32(_mm256_slli_epi32(hi, 24), 12));
		__m256i z = _mm256_and_si256(_mm256_srli_epi32(hi, 8), low);
		__m256 dx = _mm256_cvtepi32_ps(_mm256_add_epi32(x, base_x));
		__m256 dy = _mm256_cvtepi32_ps(_mm256_add_epi32(y, base_y));
		__m256 dz =
			_mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_sll_epi32(z, z_shift), base_z));
		__m256 sum =
			_mm256_fmadd_ps(dx, dx, _mm256_fmadd_ps(dy, dy, _mm256_mul_ps(dz, dz)));
		__m256 in = _mm256_cmp_ps(sum, limit, _CMP_LE_OQ);
		uint32_t hits;

		// MOVED becomes the sign, which the mask is made of.
		in = _mm256_or_ps(in, _mm256_castsi256_ps(_mm256_slli_epi32(hi, 2)));
		seen = _mm256_or_si256(seen, hi);
		hits = (uint32_t)_mm256_movemask_ps(in) & (valid >> i & 0xFF);
		mask |= hits << i;
		// Numbers of the lanes that are hits, four bits each, next to each other.
		uint64_t lanes = _pext_u64(0x76543210u, _pdep_u64(hits, 0x11111111u) * 15);
		__m256i number = _mm256_srlv_epi32(_mm256_set1_epi32((int)lanes),
			_mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
		__m256i handle = _mm256_loadu_si256((const __m256i *)(const void *)&handles[i]);

		// A lane's number is its low three bits.
		_mm256_storeu_si256(
			(__m256i *)(void *)to, _mm256_permutevar8x32_epi32(handle, number));
		to += __builtin_popcount(hits);
	}
	if (__builtin_expect(
		    !_mm256_testz_si256(seen,
			    _mm256_set1_epi32((int)((PE_SLOT_ARRIVING | PE_SLOT_MOVED) >> 32))),
		    0))
		return (uint32_t)(to - found) | flagged(words, mask);
	return (uint32_t)(to - found);
}
