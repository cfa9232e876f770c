// Memory for keys, and the start of the library that makes them. What lies here is kept out of the
// swap and out of core dumps where the system allows it, and is zeroed before it is given back.
// Tuned for a few long-lived blocks: each is a mapping of its own. Map and unmap at start, stop and
// on reload; any thread.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pe_secret {
	void *base; // zeroed, aligned to a page; NULL = nothing is mapped
	size_t mapped_bytes;
	bool locked; // false: the system's limit of locked memory did not allow it
};

// Once a process, before anything else of the guard; again does nothing. PE_UNSUPPORTED: the
// processor lacks what the handshake's cipher needs; the text says what.
[[nodiscard]] enum pe_status pe_secret_start(struct pe_error *error);

// `bytes` > 0. PE_NO_MEMORY: nothing is mapped. That memory cannot be locked is no failure: *secret
// tells it.
[[nodiscard]] enum pe_status pe_secret_map(size_t bytes, struct pe_secret *secret);
// Zeroes, then unmaps. An empty one is left alone.
void pe_secret_unmap(struct pe_secret *secret);

// From the system's generator.
void pe_secret_random(void *to, size_t bytes);
// Zeroes in a way that the compiler keeps.
void pe_secret_wipe(void *at, size_t bytes);
// Compares in a time that depends on `bytes` only.
bool pe_secret_equal(const void *a, const void *b, size_t bytes);
