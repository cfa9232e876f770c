// Cookies: proof that a stranger receives at the address that it writes from, without a byte kept
// for it. A cookie is a keyed hash (SipHash-2-4 of 128 bits) of source, address, port and the
// minute; it holds in its minute and in the next. The secret changes every two minutes: it comes
// out of a chain of one-way steps from a seed that is drawn at start, so that workers who were
// given the same seed agree without sharing anything, and who learns a secret learns none before
// it. Tuned for one hash to make one and at most two to check, some 50 ns each. Pure but for the
// chain, which belongs to one thread; each worker has its own copy.
#pragma once

#include "engine.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_COOKIE_BYTES     16
#define PE_COOKIE_MINUTE_MS 60000u
#define PE_COOKIE_STEPS_MAX 64 // steps of the chain in one call of pe_cookie_tick

struct pe_cookie {
	uint64_t period; // of `current`: two minutes each
	uint8_t chain[32];
	uint8_t current[16], previous[16]; // of `period` and of the one before
};

// All who share a seed give the same began_ms, the monotonic clock when the seed was drawn.
void pe_cookie_start(struct pe_cookie *cookie, const uint8_t seed[32], uint64_t began_ms);
// Before make and holds, once a turn. Moves the chain at most PE_COOKIE_STEPS_MAX periods; false:
// it is still behind (after hours without a call), and until it is not, cookies are neither made
// nor accepted.
bool pe_cookie_tick(struct pe_cookie *cookie, uint64_t mono_ms);
void pe_cookie_wipe(struct pe_cookie *cookie);

// False: the chain is not at this time's period.
[[nodiscard]] bool pe_cookie_make(const struct pe_cookie *cookie, const struct pe_peer *peer,
	uint64_t mono_ms, uint8_t out[PE_COOKIE_BYTES]);
[[nodiscard]] bool pe_cookie_holds(const struct pe_cookie *cookie, const struct pe_peer *peer,
	uint64_t mono_ms, const uint8_t in[PE_COOKIE_BYTES]);
