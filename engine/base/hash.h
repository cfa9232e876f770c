// Keyed hash of an entity id. Ids come from strangers, so the key is drawn at start: without it
// nobody can choose ids that share a bucket. Three rounds of the processor's AES with a random key
// each: every bit of the id reaches every bit of the result. Pure; any thread.
#pragma once

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

struct pe_hash_key {
	_Alignas(16) uint8_t round[4][16]; // random
};

static inline uint64_t pe_hash_id(const struct pe_hash_key *key, const uint8_t id[16])
{
	const __m128i *k = (const __m128i *)key->round;
	__m128i x = _mm_xor_si128(_mm_loadu_si128((const __m128i *)id), _mm_load_si128(k));

	x = _mm_aesenc_si128(x, _mm_load_si128(k + 1));
	x = _mm_aesenc_si128(x, _mm_load_si128(k + 2));
	x = _mm_aesenc_si128(x, _mm_load_si128(k + 3));
	return (uint64_t)_mm_cvtsi128_si64(x);
}

// All ones or zero, of which the compiler makes no branch; and one of two values by it. For what
// mustn't tell by its time which of them it was.
static inline uint64_t pe_mask(bool set)
{
	uint64_t mask = -(uint64_t)set;

	__asm__("" : "+r"(mask));
	return mask;
}
static inline uint32_t pe_choose(uint32_t mask, uint32_t where_set, uint32_t where_not)
{
	return (where_set & mask) | (where_not & ~mask);
}
