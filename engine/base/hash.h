// Keyed hash of an entity id. Ids come from strangers, so the key is drawn at start: without it nobody can
// choose ids that share a bucket. Three rounds of the processor's AES with a random key each: every bit of the id
// reaches every bit of the result. Pure; any thread.
#pragma once

#include <immintrin.h>
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
