// What decode.c and decode_reply.c share: tests of single fields, and the parts of a reply.
#pragma once

#include "wire/decode.h"
#include "wire/half.h"

#include <math.h>

static inline bool finite3(const double v[3])
{
	// false for NaN too
	return v[0] - v[0] == 0.0 && v[1] - v[1] == 0.0 && v[2] - v[2] == 0.0;
}

static inline bool halves_finite(const uint16_t v[3])
{
	return pe_half_finite(v[0]) && pe_half_finite(v[1]) && pe_half_finite(v[2]);
}

static inline bool entity_type_known(uint8_t type)
{
	return type <= PE_ENTITY_RECURRING || type >= PE_ENTITY_CUSTOM;
}

// Bits, not values: −0.0 in a field that must be zero is refused like anything else.
static inline bool bits_zero(const void *from, size_t words)
{
	const uint8_t *p = from;
	uint64_t any = 0, word;

	for (size_t i = 0; i < words; i++) {
		memcpy(&word, p + i * sizeof word, sizeof word);
		any |= word;
	}
	return any == 0;
}

// decode_reply.c. The records of a reply whose envelope was checked.
enum pe_reason pe_wire_check_acks(const struct pe_wire_view *view);
enum pe_reason pe_wire_check_response(const struct pe_wire_view *view);
enum pe_reason pe_wire_check_state(const struct pe_wire_view *view);
