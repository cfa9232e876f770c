// Standing queries on the wire: REGION_SUBSCRIBE and its acknowledgement, NOTICE with its events.
// docs/protocol.md says the same in words. Shared with the client library. Decoding copies; data
// may be unaligned and hostile. No state; any thread.
//
// A subscription is named by who sent it (source, address, port) and its number. It has any number
// of fences, each a query that stands: a volume, filters, a margin and dwell times. What comes
// about is told as events on one row of sequence numbers a subscription, from 1, dense.
//
// REGION_SUBSCRIBE: header (count = fences, or numbers of fences), struct pe_wire_subscribe, then
// by operation
//   OPEN, ADD   count × struct pe_wire_fence, then the extensions of their queries, in their order
//               and without gaps
//   REMOVE      count × struct pe_wire_fence_name
//   others      nothing; count 0
// Its acknowledgement: header (RESPONSE, count 0), struct pe_wire_subscribed.
// NOTICE: header (count = events), struct pe_wire_notice, count × struct pe_wire_event.
#pragma once

#include "base/limits.h"
#include "wire/decode.h"
#include "wire/wire.h"

#include <stddef.h>

enum pe_subscribe_op {
	PE_SUBSCRIBE_OPEN = 1,
	PE_SUBSCRIBE_ADD = 2,
	PE_SUBSCRIBE_REMOVE = 3,
	PE_SUBSCRIBE_RESUME = 4,
	PE_SUBSCRIBE_ACKNOWLEDGE = 5,
	PE_SUBSCRIBE_CLOSE = 6,
	PE_SUBSCRIBE_RENEW = 7,
};

#define PE_SUBSCRIBE_MOVES          0x0001u // MOVE is told of what is inside
#define PE_SUBSCRIBE_FILTER_UPDATES 0x0002u // MOVE only for more than resolution_m
// a notice is sent when it is full, or after PE_NOTICE_BATCH_MS
#define PE_SUBSCRIBE_BATCH_UPDATES 0x0004u
#define PE_SUBSCRIBE_PAYLOADS      0x0008u // PAYLOAD is told of what is inside
#define PE_SUBSCRIBE_FLAGS_DEFINED 0x000Fu

struct pe_wire_subscribe {
	uint32_t subscription_id; // the subscriber's choice
	// of the subscriber's own life; another one ends the old subscription
	uint32_t epoch;
	uint8_t op;                // enum pe_subscribe_op
	uint8_t priority;          // OPEN: enum pe_priority; else 0
	uint16_t flags;            // OPEN: PE_SUBSCRIBE_*; else 0
	uint16_t update_frequency; // OPEN: flushes of MOVEs a minute at most; 0 = no limit
	uint16_t window;           // OPEN: events that may be unacknowledged; 0 = no flow control
	float resolution_m;        // OPEN with FILTER_UPDATES: ≥ 0; else 0
	uint32_t expiration_ms;    // OPEN, RENEW: lease from receipt; 0 = PE_SUBSCRIPTION_LEASE_MS
	// RESUME: the first wanted; ACKNOWLEDGE: all below were received; else 0
	uint64_t sequence;
	// ADD, REMOVE: the last one that was taken + 1, or it again; else 0
	uint32_t message;
	uint32_t reserved0;
	uint64_t reserved1;
};
static_assert(sizeof(struct pe_wire_subscribe) == 48, "subscribe");

#define PE_FENCE_FOLLOW        0x0001u // the SPHERE's centre is where follow_id is
#define PE_FENCE_FLAGS_DEFINED 0x0001u

struct pe_wire_fence {
	uint32_t fence_id; // the subscriber's choice, once in a subscription
	uint16_t flags;    // PE_FENCE_*
	uint16_t reserved0;
	float margin_m; // outside is what is outside by more than that
	uint32_t enter_ms, leave_ms;
	uint32_t reserved1;
	uint8_t follow_id[16]; // nil unless FOLLOW; query.a is zero then
	// kinds SPHERE, BOX, POLYGON, ORIENTED_BOX, FRUSTUM; max_results, timeout_ms, priority and
	// cursor are zero; no RESOLUTION
	struct pe_wire_query query;
};
static_assert(sizeof(struct pe_wire_fence) == 168 && offsetof(struct pe_wire_fence, query) == 40,
	"fence");

struct pe_wire_fence_name {
	uint32_t fence_id;
	uint32_t reserved;
};
static_assert(sizeof(struct pe_wire_fence_name) == 8, "fence name");

#define PE_FAULT_NONE 0xFFFFu

// Something of what the subscriber may see is published more coarsely than the subscription asks
// for: published_m
#define PE_SUBSCRIBED_COARSER       0x01u
#define PE_SUBSCRIBED_FLAGS_DEFINED 0x01u

struct pe_wire_subscribed {
	uint32_t subscription_id, epoch; // the request's
	uint8_t op;                      // the request's
	// enum pe_code: SUCCESS, or why nothing of the request was taken
	uint8_t code;
	uint8_t reason;       // enum pe_reason, 0 with SUCCESS
	uint8_t flags;        // PE_SUBSCRIBED_*; 0 unless SUCCESS
	uint16_t fault_index; // of the fence at fault, or PE_FAULT_NONE
	uint16_t reserved1;
	uint32_t fence_count;      // that the subscription has now
	uint32_t message;          // the last that was taken
	uint64_t next_sequence;    // of the next event
	uint32_t lease_ms;         // left
	float published_m;         // COARSER: the edge of the coarsest, > 0, finite; else 0
	uint64_t request_sequence; // the request's header sequence
};
static_assert(sizeof(struct pe_wire_subscribed) == 48, "subscribed");

struct pe_wire_notice {
	uint32_t subscription_id, epoch;
	uint64_t first_sequence; // of the first event; the others follow without gaps
	uint16_t flags;          // 0
	uint16_t reserved0;
	uint32_t reserved1;
	uint64_t reserved2;
};
static_assert(sizeof(struct pe_wire_notice) == 32, "notice");

enum pe_event_kind {
	PE_EVENT_ENTER = 1,
	PE_EVENT_MOVE = 2,
	PE_EVENT_LEAVE = 3,
	PE_EVENT_SNAPSHOT_END = 4, // of all fences begun so far
	PE_EVENT_GAP = 5,          // what was told before is void; a new snapshot follows
	PE_EVENT_ENDED = 6,        // of the subscription: nothing follows
	PE_EVENT_PAYLOAD = 7,      // a piece of what an update of an entity inside carried
};

enum pe_leave_cause { PE_LEAVE_MOVED = 1, PE_LEAVE_GONE = 2, PE_LEAVE_ENDED = 3 };
enum pe_ended_cause {
	PE_ENDED_CLOSED = 1,
	PE_ENDED_EXPIRED = 2,
	PE_ENDED_REPLACED = 3,
	PE_ENDED_ENGINE = 4,
};

#define PE_EVENT_IN_SNAPSHOT   0x0001u // ENTER: it was inside when the fence began
#define PE_EVENT_CORRECTED     0x0002u // a correction changed what had been told, not a move
#define PE_EVENT_FLAGS_DEFINED 0x0003u

struct pe_wire_event {
	uint32_t fence_id; // 0 of what is the subscription's: SNAPSHOT_END, GAP, ENDED
	uint8_t kind;      // enum pe_event_kind
	// LEAVE: enum pe_leave_cause; ENDED: enum pe_ended_cause; PAYLOAD: the piece, from 0; else
	// 0
	uint8_t cause;
	uint16_t flags; // PE_EVENT_*; PAYLOAD: bytes of the whole
	// the engine's Unix ms when it came about; ages and times to live are from then
	uint64_t time_ms;
	// The view of the entity. LEAVE: entity_id at least; the rest, if not zero, where it went.
	// Of what is the subscription's: zero.
	// PAYLOAD: struct pe_wire_piece
	struct pe_wire_result result;
};
static_assert(sizeof(struct pe_wire_event) == 80, "event");

// In the place of a PAYLOAD's result. The pieces of a payload follow each other on the row, full
// but for the last; all have its fence_id, entity_id, time_ms and flags.
#define PE_PIECE_BYTES 48u
struct pe_wire_piece {
	uint8_t entity_id[16];
	uint8_t bytes[PE_PIECE_BYTES]; // zeros behind the payload's end
};
static_assert(sizeof(struct pe_wire_piece) == sizeof(struct pe_wire_result), "piece");
// Of a payload of so many bytes; an empty one is a piece too.
static inline unsigned pe_wire_pieces(unsigned bytes)
{
	return bytes ? (bytes + PE_PIECE_BYTES - 1) / PE_PIECE_BYTES : 1;
}

#define PE_SUBSCRIBE_FENCES_MAX 7u   // of one message
#define PE_SUBSCRIBE_NAMES_MAX  165u // of one REMOVE
#define PE_NOTICE_EVENTS_MAX    16u
static_assert(80 + 48 + PE_SUBSCRIBE_FENCES_MAX * 168 <= PE_WIRE_BYTES_MAX &&
		80 + 48 + PE_SUBSCRIBE_NAMES_MAX * 8 <= PE_WIRE_BYTES_MAX &&
		80 + 32 + PE_NOTICE_EVENTS_MAX * 80 <= PE_WIRE_BYTES_MAX,
	"messages fit");

// Everything behind the header's own checks that needs neither state nor space: count and exact
// length for the operation, then the fields of the preamble. `bytes` ≥ header and preamble.
// subscribe_op, count, length, body_reserved, subscribe_fields. Part of pe_wire_check, which calls
// the two halves around its other checks.
[[nodiscard]] enum pe_reason pe_wire_subscribe_length(const uint8_t *data, uint32_t bytes);
[[nodiscard]] enum pe_reason pe_wire_subscribe_fields(const uint8_t *data);

// One fence that needs no space: reserved fields and flags, the rule (margin, dwell, FOLLOW of a
// SPHERE), then the query (pe_wire_check_query, of a kind that can stand and without cursor, bound
// or time-out). fence_rule, fence_kind, or a query's reason.
[[nodiscard]] enum pe_reason pe_wire_check_fence(const struct pe_wire_fence *fence, bool geodetic);

// Out of a message that passed pe_wire_check or pe_wire_check_reply.
static inline void pe_wire_get_subscribe(const uint8_t *data, struct pe_wire_subscribe *subscribe)
{
	memcpy(subscribe, data + sizeof(struct pe_wire_header), sizeof *subscribe);
}
static inline void pe_wire_get_subscribed(
	const uint8_t *data, struct pe_wire_subscribed *subscribed)
{
	memcpy(subscribed, data + sizeof(struct pe_wire_header), sizeof *subscribed);
}
static inline void pe_wire_get_notice(const uint8_t *data, struct pe_wire_notice *notice)
{
	memcpy(notice, data + sizeof(struct pe_wire_header), sizeof *notice);
}
// Item i of the view: i < view->count.
static inline void pe_wire_get_fence(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_fence *fence)
{
	memcpy(fence, view->records + i * sizeof *fence, sizeof *fence);
}
static inline void pe_wire_get_fence_name(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_fence_name *name)
{
	memcpy(name, view->records + i * sizeof *name, sizeof *name);
}
static inline void pe_wire_get_event(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_event *event)
{
	memcpy(event, view->records + i * sizeof *event, sizeof *event);
}

// Client: what follows the header's checks of an acknowledgement and of a NOTICE. Part of
// pe_wire_check_reply.
[[nodiscard]] enum pe_reason pe_wire_check_subscribed(const uint8_t *data, unsigned count);
[[nodiscard]] enum pe_reason pe_wire_check_notice(
	const uint8_t *data, const struct pe_wire_view *view);
[[nodiscard]] enum pe_reason pe_wire_check_event(const struct pe_wire_event *event);

// Writers; as those of wire/encode.h. A client's: op and count belong together; extensions: as many
// bytes as the queries say.
[[nodiscard]] uint32_t pe_wire_put_subscribe(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_subscribe *subscribe,
	const struct pe_wire_fence *fences, unsigned count, const uint8_t *extensions,
	uint32_t extensions_bytes);
[[nodiscard]] uint32_t pe_wire_put_remove(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_subscribe *subscribe,
	const struct pe_wire_fence_name *names, unsigned count);
// The engine's.
[[nodiscard]] uint32_t pe_wire_put_subscribed(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_subscribed *subscribed);
[[nodiscard]] uint32_t pe_wire_put_notice(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_notice *notice,
	const struct pe_wire_event *events, unsigned count);
