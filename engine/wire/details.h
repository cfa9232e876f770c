// Details of an entity on the wire: what it says beside its 80 bytes of state. Orientation,
// context, metadata, the schedule of a RECURRING entity, the frame of a RELATIVE one, and a payload
// that is handed on and not kept. They come in records of a DETAILED_UPDATE, and go out behind
// results of a query that asks for them. docs/protocol.md says the same in words. Shared with the
// client library. Checking copies nothing and keeps nothing: what comes out points into the
// message, which may be unaligned and hostile. Any thread.
//
// A record of a DETAILED_UPDATE:
//   0  struct pe_wire_details   8 bytes
//   8  struct pe_wire_update   80 bytes
//  88  blocks
// Details of a result, or in store:
//   0  struct pe_wire_details   8 bytes
//   8  blocks
// Blocks are in the order of their types, each at most once and with its bit in `blocks`:
//   0  struct pe_wire_block     8 bytes (wire/extension.h)
//   8  content, `bytes` of it; then zeros to a multiple of eight
#pragma once

#include "base/reasons.h"
#include "wire/extension.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum pe_details_type {
	PE_DETAILS_ORIENTATION = 1, // struct pe_wire_orientation
	PE_DETAILS_CONTEXT = 2,     // a context of wire/metadata.h; replaces
	PE_DETAILS_METADATA = 3,    // update: a change of wire/metadata.h; result: metadata
	PE_DETAILS_SCHEDULE = 4,    // struct pe_wire_schedule
	PE_DETAILS_FRAME = 5,       // update: struct pe_wire_frame; result: struct pe_wire_placed
	PE_DETAILS_PAYLOAD = 6,     // update: at most PE_PAYLOAD_BYTES_MAX, whatever they are
	PE_DETAILS_SCOPE = 7,       // struct pe_wire_scope
};
#define PE_DETAILS_TYPES     7u
#define PE_DETAILS_BIT(type) (1u << ((type)-1))
#define PE_DETAILS_KNOWN     ((1u << PE_DETAILS_TYPES) - 1)
// What is kept and comes in results.
#define PE_DETAILS_KEPT (PE_DETAILS_KNOWN & ~PE_DETAILS_BIT(PE_DETAILS_PAYLOAD))

struct pe_wire_details {
	uint16_t bytes;  // with this head, a multiple of eight; of an update's record: with the
	                 // update
	uint16_t blocks; // PE_DETAILS_BIT of each block that follows
	uint32_t reserved;
};
static_assert(sizeof(struct pe_wire_details) == 8, "details");

#define PE_PAYLOAD_BYTES_MAX 512u
// Of the details of one result: one fits a message by itself.
#define PE_DETAILS_BYTES_MAX \
	((PE_WIRE_BYTES_MAX - 80u - 48u - (uint32_t)sizeof(struct pe_wire_result)) & ~7u)
#define PE_DETAILED_RECORD_BYTES_MIN \
	((uint32_t)(sizeof(struct pe_wire_details) + sizeof(struct pe_wire_update)))
#define PE_DETAILED_RECORD_BYTES_MAX ((PE_WIRE_BYTES_MAX - 80u - 24u) & ~7u)

// A unit quaternion that turns the entity's own axes into x, y, z, on Earth into east, north, up
// where it is; of a RELATIVE entity, into its parent's axes.
struct pe_wire_orientation {
	float q[4]; // x, y, z, w
};
static_assert(sizeof(struct pe_wire_orientation) == 16, "orientation");

// Open from `opening` for open_for, and again after each period, before it as well as behind it.
struct pe_wire_schedule {
	uint64_t opening_ms;  // Unix ms
	uint32_t period_ms;   // > 0
	uint32_t open_for_ms; // 0 < open_for ≤ period
};
static_assert(sizeof(struct pe_wire_schedule) == 16, "schedule");

// The update's position is in the parent's frame: metres along its axes.
struct pe_wire_frame {
	uint8_t parent_id[16]; // not nil, not the entity's own
};
static_assert(sizeof(struct pe_wire_frame) == 16, "frame");

struct pe_wire_placed {
	uint8_t parent_id[16];
	double position[3]; // in the parent's frame
};
static_assert(sizeof(struct pe_wire_placed) == 40, "placed");

// To whom an entity is told of, and how finely. Without bounds a and b are zero.
#define PE_SCOPE_RESOLUTION_MIN_M 0.01f
#define PE_SCOPE_RESOLUTION_MAX_M 100000.0f
struct pe_wire_scope {
	double a[3], b[3]; // of the bounds, as a query's
	float resolution_m; // 0 = as it is; else MIN … MAX: rounded to the middle of a cell of that
	                    // size
	uint16_t max_propagation; // engines that it may cross; kept, nothing crosses yet
	uint8_t bounds; // 0 = everywhere; PE_QUERY_SPHERE or PE_QUERY_BOX: asked for from there
	uint8_t reserved;
};
static_assert(sizeof(struct pe_wire_scope) == 56, "scope");

// Blocks by type; those that are not there are NULL. A block of an update that has no bytes takes
// away what was kept.
struct pe_details_blocks {
	uint16_t mask; // PE_DETAILS_BIT
	uint16_t bytes[PE_DETAILS_TYPES + 1];
	const uint8_t *content[PE_DETAILS_TYPES + 1];
};

// Bytes of `count` records of a DETAILED_UPDATE, as their heads say; 0 when one is shorter than may
// be, no multiple of eight, or longer than what is left.
uint32_t pe_wire_detailed_bytes(const uint8_t *records, uint32_t bytes, unsigned count);

static inline uint32_t pe_wire_detailed_next(const uint8_t *record)
{
	uint16_t bytes;

	memcpy(&bytes, record, sizeof bytes);
	return bytes;
}

// The blocks of one record, whose length was checked as above. details_form: the head or how the
// blocks lie; details_content: what one of them says. The update in it is for pe_wire_check_update.
[[nodiscard]] enum pe_reason pe_wire_check_detailed(
	const uint8_t *record, struct pe_details_blocks *blocks);

// The same of a record that was checked.
void pe_wire_get_detailed(const uint8_t *record, struct pe_details_blocks *blocks);

// Details of a result at the begin of `left` bytes: their length, or 0: not sound.
[[nodiscard]] uint32_t pe_wire_check_result_details(const uint8_t *details, uint32_t left);

// Blocks of details that are sound, as they are kept.
void pe_wire_get_details(const uint8_t *details, struct pe_details_blocks *blocks);

// How long ago a schedule's period began, < period_ms.
static inline uint32_t pe_schedule_into(const struct pe_wire_schedule *s, uint64_t wall_ms)
{
	// Openings before the one that is named count too.
	uint64_t into = wall_ms >= s->opening_ms ? (wall_ms - s->opening_ms) % s->period_ms :
						   (s->opening_ms - wall_ms) % s->period_ms;

	if (wall_ms < s->opening_ms && into)
		into = s->period_ms - into;
	return (uint32_t)into;
}

// Is a schedule open?
static inline bool pe_schedule_open(const struct pe_wire_schedule *s, uint64_t wall_ms)
{
	return pe_schedule_into(s, wall_ms) < s->open_for_ms;
}

// Writers. A head of details or of a record of an update, with no block yet, into `to`; then blocks
// behind it, in the order of their types; each returns the bytes that are used, or 0: no room, or
// out of order. What contents say is the caller's.
uint32_t pe_wire_begin_details(uint8_t *to, uint32_t size, const struct pe_wire_update *update);
[[nodiscard]] uint32_t pe_wire_put_details(
	uint8_t *details, uint32_t size, unsigned type, const void *content, uint32_t bytes);
