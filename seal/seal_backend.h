// What a backend of seal.c is made of. One operation at a time; the loop over a burst is seal.c's.
#pragma once

#include "seal/seal.h"

struct pe_seal_ops {
	const char *name;
	void (*expand)(void *state, const uint8_t key[16], uint8_t *expanded);
	// AES-128-GCM in place
	void (*close)(void *state, const uint8_t *expanded, const uint8_t nonce[12],
		const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
		uint8_t tag[16]);
	// false: the tag is wrong, and what the text holds now must not be looked at
	bool (*open)(void *state, const uint8_t *expanded, const uint8_t nonce[12],
		const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
		const uint8_t tag[16]);
	void (*destroy)(void *state);
};

// NULL: not in this build, not for this processor, or no memory.
const struct pe_seal_ops *pe_seal_ipsec_mb(void **state);
const struct pe_seal_ops *pe_seal_openssl(void **state);
