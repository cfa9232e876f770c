// The message format of protocol version 1 as C structs: what docs/protocol.md says in words.
// Little endian, naturally aligned, no padding; every length is exact for its type and count.
// Shared with the client library. Nothing here reads a byte: decoding and encoding are in decode.h
// and encode.h.
//
// One UDP datagram carries one message: a header of 80 bytes and a body by type. The header is the
// core specification's with these deviations: the sequence has 64 bits, a session id and a 16-byte
// tag are always present (zero outside a session) so that authentication changes no layout, the
// optional spatial address is reduced to its space id, and the optional checksum is UDP's own.
#pragma once

#include "base/codes.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define PE_WIRE_VERSION   1
#define PE_WIRE_PORT      10202
#define PE_WIRE_BYTES_MAX 1452 // an IPv6 UDP payload in a 1500-byte MTU; no message is longer

enum pe_type {
	PE_TYPE_PING = 0x03,
	PE_TYPE_PONG = 0x04,
	PE_TYPE_SPATIAL_UPDATE = 0x10,
	PE_TYPE_SPATIAL_QUERY = 0x11,
	PE_TYPE_SPATIAL_RESPONSE = 0x12,
	PE_TYPE_REGION_SUBSCRIBE = 0x14,
	PE_TYPE_WITHDRAW = 0x15,
	PE_TYPE_NOTICE = 0x16,
	PE_TYPE_EXPLAIN = 0x17,         // wire/explain.h
	PE_TYPE_DETAILED_UPDATE = 0x18, // wire/details.h
	PE_TYPE_ERASE = 0x19,           // wire/erase.h
	PE_TYPE_ERASED = 0x1A,
	PE_TYPE_STATE_REQUEST = 0x21,
	PE_TYPE_STATE_RESPONSE = 0x22,
};

// Header flags.
#define PE_FLAG_ACK 0x0001u // update, withdraw: acknowledge each record
// update, withdraw, subscribe: this *is* the acknowledgement; explain: the answer
#define PE_FLAG_RESPONSE 0x0002u
// query: parts of the answers may come packed; response: this one is (wire/pack.h)
#define PE_FLAG_PACKED 0x0004u
// query, beside PE_FLAG_PACKED: the block of a packed part may be of Zstandard
#define PE_FLAG_ZSTD 0x0008u
// what the engine says in a session, whatever the type: the client has not shown that it receives
// at the address which this answers. The sealing sets it and takes it away (docs/sessions.md); no
// message is encoded or decoded with it
#define PE_FLAG_UNPROVED 0x8000u
#define PE_FLAGS_DEFINED (PE_FLAG_ACK | PE_FLAG_RESPONSE | PE_FLAG_PACKED | PE_FLAG_ZSTD)

struct pe_wire_header {
	uint8_t version; // PE_WIRE_VERSION
	uint8_t type;    // enum pe_type
	uint16_t flags;
	uint32_t stream_id;    // the sender's choice; echoed in what answers it
	uint64_t sequence;     // of the sender's packets; echoed as request_sequence
	uint64_t timestamp_ms; // Unix ms when sent; 0 = no clock: the receiver's time stands in
	uint64_t session_id;   // 0 = outside a session
	uint16_t count;        // records, queries or answers in the body
	uint16_t reserved0;
	uint32_t reserved1;
	uint8_t space_id[16]; // nil = the engine's first space
	uint64_t reserved2;
	uint8_t tag[16]; // all zero outside a session
};
static_assert(sizeof(struct pe_wire_header) == 80, "header");

// SPATIAL_UPDATE: header, preamble, count records.
struct pe_wire_update_preamble {
	uint8_t broadcast_id[16]; // names the packet in its acknowledgement
	uint32_t incarnation;     // the sender's start time, Unix seconds; with sequence it orders
	uint32_t reserved;
};
static_assert(sizeof(struct pe_wire_update_preamble) == 24, "update preamble");

struct pe_wire_update {
	uint8_t entity_id[16]; // nil is refused
	// CARTESIAN x, y, z m; GEODETIC latitude deg, longitude deg, height m
	double position[3];
	uint32_t sequence;      // of this entity in this incarnation; must grow
	int32_t time_offset_ms; // event time − header timestamp
	uint32_t ttl_ms;        // 0 = the space's default
	uint32_t duration_ms;   // of the state; 0 = until changed
	float radius_m;         // reach; 0 = no limit
	float precision_m;      // of the position; 0 = not stated
	uint16_t velocity[3];   // binary16, m/s; CARTESIAN axes, GEODETIC east, north, up
	uint16_t frequency;     // updates a minute that the engine takes; 0 = the space's default
	uint16_t update_frequency;   // updates a minute that the sender announces; 0 = not stated
	uint8_t position_confidence; // 0 = not stated, else (v − 1) / 254
	uint8_t status_confidence;   // likewise
	uint8_t entity_type;         // enum pe_entity_type
	uint8_t custom_state;        // the code when the state is CUSTOM, else 0
	uint16_t attributes;         // PE_ATTRIBUTE_*
};
static_assert(sizeof(struct pe_wire_update) == 80, "update");

enum pe_entity_type {
	PE_ENTITY_STATIC = 0,
	PE_ENTITY_MOBILE = 1,
	PE_ENTITY_TEMPORARY = 2,
	PE_ENTITY_RECURRING = 3,
	PE_ENTITY_CUSTOM = 128, // 128–255: CUSTOM, with an application's code of 0–127
};

enum pe_state {
	PE_STATE_ACTIVE = 0,
	PE_STATE_INACTIVE = 1,
	PE_STATE_BUSY = 2,
	PE_STATE_AWAY = 3,
	PE_STATE_CUSTOM = 4,
};

enum pe_visibility { PE_PUBLIC = 0, PE_ANONYMOUS = 1, PE_RESTRICTED = 2, PE_HIDDEN = 3 };

// attributes: state 0–2, visibility 3–4, power mode 5–6, precision level 7–9 (EXACT, 1 m, 10 m, 100
// m, 1 km, 10 km), height unknown 10 (position[2] must then be 0), relocation 11, 12–15 reserved.
#define PE_ATTRIBUTE_STATE(a)           ((unsigned)(a)&7u)
#define PE_ATTRIBUTE_VISIBILITY(a)      (((unsigned)(a) >> 3) & 3u)
#define PE_POWER_ADAPTIVE               3u
#define PE_ATTRIBUTE_POWER_MODE(a)      (((unsigned)(a) >> 5) & 3u)
#define PE_ATTRIBUTE_PRECISION_LEVEL(a) (((unsigned)(a) >> 7) & 7u)
#define PE_PRECISION_LEVEL_MAX          5u
#define PE_ATTRIBUTES_VEIL              0x0398u // visibility and precision level
#define PE_ATTRIBUTE_HEIGHT_UNKNOWN     0x0400u // GEODETIC only
#define PE_ATTRIBUTE_RELOCATION         0x0800u
#define PE_ATTRIBUTES_RESERVED          0xF000u

// WITHDRAW: header, the update preamble, count records.
struct pe_wire_withdraw {
	uint8_t entity_id[16];
	uint32_t sequence;
	int32_t time_offset_ms;
};
static_assert(sizeof(struct pe_wire_withdraw) == 24, "withdraw");

// Acknowledgement: an UPDATE or WITHDRAW header with PE_FLAG_RESPONSE, the preamble, a status a
// record in the order of the request; none when the packet as a whole was refused.
struct pe_wire_ack_preamble {
	uint8_t broadcast_id[16];
	uint64_t request_sequence;
	uint8_t code;   // enum pe_code: SUCCESS, or why the whole packet was refused
	uint8_t reason; // enum pe_reason, 0 with SUCCESS
	uint16_t reserved0;
	uint32_t reserved1;
};
static_assert(sizeof(struct pe_wire_ack_preamble) == 32, "ack preamble");

enum pe_ack_status {
	PE_ACK_APPLIED = 0,   // visible to the next query on any worker
	PE_ACK_ACCEPTED = 1,  // on its way: to the owning worker, or past a grace period
	PE_ACK_COALESCED = 2, // taken; a newer state, a threshold or the frequency cap covers it
	PE_ACK_REFUSED = 3,
	PE_ACK_DROPPED = 4,
};

struct pe_wire_ack_record {
	uint8_t status; // enum pe_ack_status
	uint8_t code;   // enum pe_code
	uint8_t reason; // enum pe_reason
	uint8_t reserved;
	uint32_t known_incarnation; // what the engine knows, for a stale or late record; else 0
	uint32_t known_sequence;
	uint32_t silence_ms; // how long the sender may stay silent; 0 = not stated
};
static_assert(sizeof(struct pe_wire_ack_record) == 16, "ack record");

// PING and PONG: header and 16 bytes that the PONG echoes.
struct pe_wire_ping {
	uint64_t opaque[2];
};
static_assert(sizeof(struct pe_wire_ping) == 16, "ping");

// SPATIAL_QUERY: header, count queries, then the extensions of those that have one.
enum pe_query_kind {
	PE_QUERY_POINT = 1,  // who is here: entities whose precision sphere holds a
	PE_QUERY_SPHERE = 2, // centre a, radius b[0] m; b[1] = b[2] = 0
	// from a to b; GEODETIC: south-west to north-east, west > east crosses the antimeridian
	PE_QUERY_BOX = 3,
	// Volumes of an extension (wire/extension.h); b is zero.
	PE_QUERY_POLYGON = 4,      // a: the place that stands for it
	PE_QUERY_ORIENTED_BOX = 5, // centre a
	PE_QUERY_FRUSTUM = 6,      // apex a
	// the max_results entities nearest to a, ordered; within b[0] m when above 0; b[1] = b[2] =
	// 0
	PE_QUERY_NEAREST = 7,
};

// Who is served first where queries of several classes meet, and with how much of what there is.
enum pe_priority {
	PE_PRIORITY_NORMAL = 0,
	PE_PRIORITY_LOW = 1,
	PE_PRIORITY_HIGH = 2,
	PE_PRIORITY_CRITICAL = 3,
	PE_PRIORITIES,
};

// The volume is in the query's extension.
static inline bool pe_query_kind_extended(unsigned kind)
{
	return kind >= PE_QUERY_POLYGON && kind <= PE_QUERY_FRUSTUM;
}

// origin is the asker's point; else the volume's centre stands in
#define PE_QUERY_HAS_ORIGIN   0x0001u
#define PE_QUERY_HEIGHT_RANGE 0x0002u // height_min … height_max applies
// GEODETIC: straight line with heights, not along the surface
#define PE_QUERY_DISTANCE_3D   0x0004u
#define PE_QUERY_HAS_CURSOR    0x0008u // go on where a truncated answer ended
#define PE_QUERY_HAS_EXTENSION 0x0010u // extension_bytes of this query follow all queries
#define PE_QUERY_WITH_DETAILS  0x0020u // results come with what is kept of context, metadata, …
#define PE_QUERY_FLAGS_DEFINED 0x003Fu

struct pe_wire_query {
	uint32_t query_id;    // the asker's choice, echoed
	uint8_t kind;         // enum pe_query_kind
	uint8_t priority;     // enum pe_priority
	uint16_t flags;       // PE_QUERY_*
	uint16_t max_results; // 0 = the engine's cap
	uint16_t timeout_ms;  // 0 = the engine's default
	uint16_t type_mask;   // bit n = entity type n, bit 4 = CUSTOM; 0 = all
	uint16_t state_mask;  // bit n = enum pe_state n; 0 = all
	double a[3];
	double b[3];
	double origin[3]; // zero unless PE_QUERY_HAS_ORIGIN
	float height_min; // zero unless PE_QUERY_HEIGHT_RANGE
	float height_max;
	uint64_t cursor[2];       // zero unless PE_QUERY_HAS_CURSOR; opaque
	uint16_t extension_bytes; // a multiple of 8; zero unless PE_QUERY_HAS_EXTENSION
	uint16_t reserved1;
	uint32_t reserved2;
	uint64_t reserved3;
};
static_assert(sizeof(struct pe_wire_query) == 128, "query");
#define PE_QUERY_TYPE_MASK_DEFINED  0x001Fu
#define PE_QUERY_STATE_MASK_DEFINED 0x001Fu

// SPATIAL_RESPONSE: header, count answers, each followed by its results. Answers to several
// requests of one destination may share a message.
#define PE_ANSWER_LAST      0x0001u // no further part of this answer follows
#define PE_ANSWER_TRUNCATED 0x0002u // a bound cut it (last part only); cursor goes on
// code and reason are of the whole request packet; query_id is 0
#define PE_ANSWER_PACKET 0x0004u
// What the results are: struct pe_wire_short, or struct pe_wire_cell; else struct pe_wire_result.
// Not both.
#define PE_ANSWER_SHORT         0x0008u
#define PE_ANSWER_CELLS         0x0010u
#define PE_ANSWER_DETAILED      0x0020u // its details (wire/details.h) behind each whole result
#define PE_ANSWER_FLAGS_DEFINED 0x003Fu

struct pe_wire_answer {
	uint32_t query_id;
	uint8_t code;
	uint8_t reason;
	uint16_t flags;            // PE_ANSWER_*
	uint64_t request_sequence; // the request's header sequence
	uint32_t stream_id;        // the request's
	uint16_t part;             // 0, 1, …
	uint16_t result_count;     // results that follow in this message
	uint64_t cursor[2];
	// refused as query_program: where the program is at fault, pe_answer_fault; else 0
	uint64_t detail;
};
static_assert(sizeof(struct pe_wire_answer) == 48, "answer");

// Bits 0–7 enum pe_filter_fault, 8–15 the step (255: of the whole program), 16–31 the byte of the
// program.
static inline uint64_t pe_answer_fault(unsigned fault, unsigned step, unsigned at)
{
	return (fault & 0xFFu) | (step & 0xFFu) << 8 | (uint64_t)(at & 0xFFFFu) << 16;
}
#define PE_ANSWER_FAULT(detail)      ((unsigned)(detail)&0xFFu)
#define PE_ANSWER_FAULT_STEP(detail) ((unsigned)((detail) >> 8) & 0xFFu)
#define PE_ANSWER_FAULT_AT(detail)   ((unsigned)((detail) >> 16) & 0xFFFFu)

struct pe_wire_result {
	uint8_t entity_id[16];
	double position[3];
	int32_t age_ms;       // header timestamp − event time; a little negative for clocks ahead
	float distance_m;     // from the query's origin, or else from its centre
	uint16_t velocity[3]; // binary16
	uint16_t precision;   // binary16, m; 0 = not stated
	uint16_t ttl_left;    // tenths of a second, rounded up, at most 65535
	uint8_t state;        // bits 0–2 enum pe_state, bit 3 height unknown, bit 4 stale
	uint8_t custom_state;
	uint8_t entity_type;
	uint8_t position_confidence;
	uint8_t status_confidence;
	uint8_t reserved;
};
static_assert(sizeof(struct pe_wire_result) == 64, "result");
#define PE_RESULT_HEIGHT_UNKNOWN 0x08u
#define PE_RESULT_STALE          0x10u // announced updates have not come

// A result of an answer that is SHORT. A height that is not known is a NaN, of just these bits.
#define PE_SHORT_HEIGHT_UNKNOWN 0x7FF8000000000000ull
struct pe_wire_short {
	uint8_t entity_id[16];
	double position[3];
};
static_assert(sizeof(struct pe_wire_short) == 40, "short result");

// A result of an answer of CELLS: how many entities stood the query's tests in a cell of the tree.
struct pe_wire_cell {
	double centre[3];      // a position; GEODETIC: the height is 0, a cell has none
	uint32_t count;        // ≥ 1; 0 only with BELOW
	float size_m;          // edge across
	float height_m;        // edge up, along the frame's axis
	int32_t newest_age_ms; // of the entities that were counted
	int8_t level;          // 0: a leaf; below: a leaf halved so often; above: nodes of the tree
	uint8_t flags;         // PE_CELL_*
	// BELOW: so many cells of a policy's that are in it have 1 to below − 1 each, which are not
	// in count; below 0: how many is not told. Else 0
	uint16_t below;
	uint32_t below_cells;
};
static_assert(sizeof(struct pe_wire_cell) == 48, "cell");
// A bound of work ended within the cell: the next page goes on in it, and what it counts is to be
// added.
#define PE_CELL_MORE 0x01u
// Of what may be counted only, and not where there are few: policy/views.h
#define PE_CELL_BELOW         0x02u
#define PE_CELL_FLAGS_DEFINED 0x03u
#define PE_CELL_BELOW_MIN     3u // fewer than 2 is 1
#define PE_CELL_LEVEL_MIN     (-3)
#define PE_CELL_LEVEL_MAX     9

// Bytes of one result of an answer with such flags.
static inline uint32_t pe_answer_result_bytes(unsigned flags)
{
	if (flags & PE_ANSWER_CELLS)
		return sizeof(struct pe_wire_cell);
	return flags & PE_ANSWER_SHORT ? sizeof(struct pe_wire_short) :
					 sizeof(struct pe_wire_result);
}

// STATE_REQUEST and STATE_RESPONSE: the engine's counters, answered to trusted sources only, and of
// principals to administrators of every space.
#define PE_STATE_COUNTERS 1
struct pe_wire_state_request {
	uint16_t selector; // PE_STATE_COUNTERS
	uint16_t first;    // index of the first counter wanted
	uint32_t reserved0;
	uint64_t reserved1;
};
static_assert(sizeof(struct pe_wire_state_request) == 16, "state request");

struct pe_wire_state_preamble {
	uint16_t selector;
	uint16_t first;
	uint16_t total; // counters that the engine has
	uint8_t code;   // enum pe_code
	uint8_t reason;
	uint64_t request_sequence;
};
static_assert(sizeof(struct pe_wire_state_preamble) == 16, "state preamble");

struct pe_wire_counter {
	uint16_t index; // in the list of base/counters.h
	uint16_t reserved0;
	uint32_t reserved1;
	uint64_t value;
};
static_assert(sizeof(struct pe_wire_counter) == 16, "counter");

// Most records a message, by type: what fits PE_WIRE_BYTES_MAX, and for updates 16.
#define PE_UPDATE_COUNT_MAX   16
#define PE_WITHDRAW_COUNT_MAX 48
#define PE_DETAILED_COUNT_MAX 15
#define PE_QUERY_COUNT_MAX    10
#define PE_COUNTERS_COUNT_MAX 84

static_assert(80 + 24 + PE_UPDATE_COUNT_MAX * 80 <= PE_WIRE_BYTES_MAX, "updates");
static_assert(80 + 24 + PE_WITHDRAW_COUNT_MAX * 24 <= PE_WIRE_BYTES_MAX, "withdraws");
static_assert(80 + 24 + PE_DETAILED_COUNT_MAX * (8 + 80) <= PE_WIRE_BYTES_MAX, "detailed updates");
static_assert(80 + PE_QUERY_COUNT_MAX * 128 <= PE_WIRE_BYTES_MAX, "queries");
static_assert(80 + 32 + PE_WITHDRAW_COUNT_MAX * 16 <= PE_WIRE_BYTES_MAX, "acknowledgements");
static_assert(80 + 16 + PE_COUNTERS_COUNT_MAX * 16 <= PE_WIRE_BYTES_MAX, "counters");
