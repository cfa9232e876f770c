// The Internet checksum: a sum of 16-bit words as they lie in memory, since their byte order
// cancels out (RFC 1071).
#include "net.h"

#include <immintrin.h>
#include <string.h>

#define LINE_BYTES 64u
// The halves of 32 bits that are summed in lanes of 32 bits have room for so many bytes.
#define LINES_BYTES_MAX (1u << 20)

static uint64_t sum_lines(const uint8_t *bytes, uint32_t count)
{
	const __m256i low = _mm256_set1_epi32(0xFFFF), half = _mm256_set1_epi64x(0xFFFFFFFF);
	__m256i even = _mm256_setzero_si256(), odd = even, all;
	_Alignas(32) uint64_t lanes[4];

	for (const uint8_t *end = bytes + count; bytes < end; bytes += LINE_BYTES) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
		__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(bytes + 32));

		even = _mm256_add_epi32(
			even, _mm256_add_epi32(_mm256_and_si256(a, low), _mm256_and_si256(b, low)));
		odd = _mm256_add_epi32(
			odd, _mm256_add_epi32(_mm256_srli_epi32(a, 16), _mm256_srli_epi32(b, 16)));
	}
	all = _mm256_add_epi64(_mm256_and_si256(even, half), _mm256_srli_epi64(even, 32));
	all = _mm256_add_epi64(all, _mm256_and_si256(odd, half));
	all = _mm256_add_epi64(all, _mm256_srli_epi64(odd, 32));
	_mm256_store_si256((__m256i *)(void *)lanes, all);
	return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

uint64_t pe_net_sum(const uint8_t *bytes, uint32_t count, uint64_t sum)
{
	uint32_t lines = count / LINE_BYTES * LINE_BYTES, word;
	uint16_t half;

	if (lines > LINES_BYTES_MAX)
		lines = LINES_BYTES_MAX;
	if (lines) {
		sum += sum_lines(bytes, lines);
		bytes += lines;
		count -= lines;
	}
	for (; count >= 4; count -= 4, bytes += 4) {
		memcpy(&word, bytes, 4);
		sum += word;
	}
	if (count >= 2) {
		memcpy(&half, bytes, 2);
		sum += half;
		bytes += 2;
		count -= 2;
	}
	if (count) {
		half = 0;
		memcpy(&half, bytes, 1);
		sum += half;
	}
	return sum;
}

uint16_t pe_net_sum_end(uint64_t sum)
{
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFFFFFF) + (sum >> 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)~sum;
}
