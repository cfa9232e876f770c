// ERASE and ERASED: an entity and what is remembered of it is taken away for good. Both are a
// header with a count of 1 and 32 bytes, so that the answer may go to anyone. Every ERASE is
// answered. docs/protocol.md says the same in words. Shared with the client library.
#pragma once

#include "base/reasons.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

struct pe_wire_erase {
	uint8_t entity_id[16]; // nil is refused
	// Lives with this incarnation, or a lower one, are over; the last one that was known is in
	// any case
	uint32_t incarnation;
	uint32_t reserved0;
	uint64_t reserved1;
};
static_assert(sizeof(struct pe_wire_erase) == 32, "erase");

// From where it went.
#define PE_ERASED_RECORD     0x0001u // it was there: record, index and grid
#define PE_ERASED_TOMBSTONE  0x0002u // it was gone, but remembered
#define PE_ERASED_DETAILS    0x0004u // what it said beside its state
#define PE_ERASED_WAITING    0x0008u // a newer state that was held back or waited
#define PE_ERASED_FENCES     0x0010u // it was inside of fences, which were told that it is gone
#define PE_ERASED_FRAMES     0x0020u // it was in another entity's frame, or others in its own
#define PE_ERASED_QUARANTINE 0x0040u // a jump that was not believed
#define PE_ERASED_DEFINED    0x007Fu

struct pe_wire_erased {
	uint8_t entity_id[16];     // the request's
	uint64_t request_sequence; // its header's
	uint32_t where;            // PE_ERASED_*, with APPLIED; else 0
	uint8_t status; // enum pe_ack_status: APPLIED, ACCEPTED (its owner does it), REFUSED,
	                // DROPPED
	uint8_t code;   // enum pe_code
	uint8_t reason; // enum pe_reason
	uint8_t reserved;
};
static_assert(sizeof(struct pe_wire_erased) == 32, "erased");

// Client: is the answer sound? record_reserved, state (as of an acknowledgement record; also:
// APPLIED from nowhere).
[[nodiscard]] enum pe_reason pe_wire_check_erased(const struct pe_wire_erased *erased);
