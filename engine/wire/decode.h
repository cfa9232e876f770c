// Decoding: from a datagram to a checked view of it. Tuned for bursts of small messages: one table
// maps a type to its exact legal length before anything reads the body, the checks go from cheap to
// dear, and nothing is allocated or kept. Data may be unaligned and hostile; it is read once, into
// copies. What is returned is a reason, PE_REASON_none when the input is sound. No state; any
// thread.
//
// The checks of a message, in this order (docs/protocol.md promises the order, so that a message
// with several faults has one reason): short_header, version, type_unknown, header_flags,
// header_reserved, count, length, session, tag, body_reserved. Those of a record and of a query are
// listed at their functions.
#pragma once

#include "base/reasons.h"
#include "wire/erase.h"
#include "wire/explain.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// What answers a message, also one that was refused as a whole.
enum pe_wire_reply {
	PE_REPLY_NONE =
		0,    // nothing: not asked for, or the message is not sound enough to be answered
	PE_REPLY_ACK, // acknowledgement (update, withdraw with PE_FLAG_ACK)
	PE_REPLY_ANSWER, // SPATIAL_RESPONSE
	PE_REPLY_PONG,
	PE_REPLY_STATE, // STATE_RESPONSE
	PE_REPLY_EXPLANATION,
	PE_REPLY_SUBSCRIBED, // acknowledgement of REGION_SUBSCRIBE
	PE_REPLY_ERASED,
};

// A checked message. records points into the caller's data, which must outlive the view; the rest
// is copied.
struct pe_wire_view {
	struct pe_wire_header header; // zero when the data was shorter than a header
	union {
		struct pe_wire_update_preamble update; // SPATIAL_UPDATE, DETAILED_UPDATE, WITHDRAW
		struct pe_wire_ping ping;              // PING, PONG
		struct pe_wire_state_request state_request;
		struct pe_wire_explain explain;
		struct pe_wire_erase erase;
		struct pe_wire_ack_preamble ack;     // acknowledgements
		struct pe_wire_state_preamble state; // STATE_RESPONSE
	} body;
	// first record, query, answer or counter; NULL unless sound. Extensions follow the last
	// query
	const uint8_t *records;
	uint32_t records_bytes;
	uint16_t count; // of records, queries, answers or counters; 0 unless sound
	// enum pe_wire_reply; also set for a refused message that may be answered, and then
	uint8_t reply;
	// header.{sequence, stream_id, space_id} and body.update.broadcast_id are valid
};

// An engine's side: SPATIAL_UPDATE, DETAILED_UPDATE, SPATIAL_QUERY, WITHDRAW, EXPLAIN, ERASE, PING,
// STATE_REQUEST, REGION_SUBSCRIBE. Types that only an engine sends are type_unknown here, and an
// acknowledgement is header_flags. *view is written in every case.
[[nodiscard]] enum pe_reason pe_wire_check(
	const uint8_t *data, uint32_t bytes, struct pe_wire_view *view);

// A client's side: PONG, acknowledgements, SPATIAL_RESPONSE, explanations, ERASED, STATE_RESPONSE,
// NOTICE, each validated to its last byte, answers and results included. Further faults of records
// are told by the reasons named at the checks below.
[[nodiscard]] enum pe_reason pe_wire_check_reply(
	const uint8_t *data, uint32_t bytes, struct pe_wire_view *view);

// The same of an answer that came packed and is not any more (wire/pack.h): a SPATIAL_RESPONSE of
// whatever length.
[[nodiscard]] enum pe_reason pe_wire_check_unpacked(
	const uint8_t *data, uint32_t bytes, struct pe_wire_view *view);

// Record i of a sound view, copied out. i < view->count.
static inline void pe_wire_get_update(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_update *update)
{
	memcpy(update, view->records + i * sizeof *update, sizeof *update);
}

static inline void pe_wire_get_withdraw(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_withdraw *withdraw)
{
	memcpy(withdraw, view->records + i * sizeof *withdraw, sizeof *withdraw);
}

static inline void pe_wire_get_query(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_query *query)
{
	memcpy(query, view->records + i * sizeof *query, sizeof *query);
}

static inline void pe_wire_get_ack(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_ack_record *ack)
{
	memcpy(ack, view->records + i * sizeof *ack, sizeof *ack);
}

static inline void pe_wire_get_explanation(
	const struct pe_wire_view *view, struct pe_wire_explanation *explanation)
{
	memcpy(explanation, view->records, sizeof *explanation);
}

static inline void pe_wire_get_erased(
	const struct pe_wire_view *view, struct pe_wire_erased *erased)
{
	memcpy(erased, view->records, sizeof *erased);
}

static inline void pe_wire_get_counter(
	const struct pe_wire_view *view, unsigned i, struct pe_wire_counter *counter)
{
	memcpy(counter, view->records + i * sizeof *counter, sizeof *counter);
}

// Walks the answers of a sound SPATIAL_RESPONSE: start with *offset = 0; false at the end. *results
// points at answer->result_count packed results: pe_wire_get_result, or by the answer's flags
// pe_wire_get_short or pe_wire_get_cell. With PE_ANSWER_DETAILED each is pe_wire_result_bytes long.
bool pe_wire_next_answer(const struct pe_wire_view *view, uint32_t *offset,
	struct pe_wire_answer *answer, const uint8_t **results);

static inline void pe_wire_get_result(
	const uint8_t *results, unsigned i, struct pe_wire_result *result)
{
	memcpy(result, results + i * sizeof *result, sizeof *result);
}

static inline void pe_wire_get_short(
	const uint8_t *results, unsigned i, struct pe_wire_short *result)
{
	memcpy(result, results + i * sizeof *result, sizeof *result);
}

static inline void pe_wire_get_cell(const uint8_t *results, unsigned i, struct pe_wire_cell *cell)
{
	memcpy(cell, results + i * sizeof *cell, sizeof *cell);
}

// A result and, where the answer is detailed, the details behind it.
static inline uint32_t pe_wire_result_bytes(const uint8_t *result, bool detailed)
{
	uint16_t bytes = 0;

	if (detailed)
		memcpy(&bytes, result + sizeof(struct pe_wire_result), sizeof bytes);
	return (uint32_t)sizeof(struct pe_wire_result) + bytes;
}

// What a space allows; the rest of the checks is the same everywhere.
struct pe_wire_limits {
	bool geodetic;
	uint32_t ttl_max_ms;
	float precision_max_m; // finite
};

// Everything about one update that needs no engine state, in this order: id_nil, record_reserved,
// entity_type, state, visibility, coordinates, precision, radius, ttl, ttl_missing.
[[nodiscard]] enum pe_reason pe_wire_check_update(
	const struct pe_wire_update *update, const struct pe_wire_limits *limits);

// id_nil.
[[nodiscard]] enum pe_reason pe_wire_check_withdraw(const struct pe_wire_withdraw *withdraw);

// Everything about one query that needs no space, in this order: query_kind, query_flags,
// query_extension (whether it is there, and its length), query_coordinates, query_nearest,
// query_filter, query_cursor. The extension itself is for pe_wire_check_extension, the size of the
// volume for pe_space_check_sphere and _box.
[[nodiscard]] enum pe_reason pe_wire_check_query(const struct pe_wire_query *query, bool geodetic);

// Client: one acknowledgement record (record_reserved, state: status that is not defined or does
// not fit its code and reason), one result (id_nil, record_reserved, entity_type, state,
// coordinates, precision). Part of pe_wire_check_reply; offered for tests.
[[nodiscard]] enum pe_reason pe_wire_check_ack_record(const struct pe_wire_ack_record *ack);
[[nodiscard]] enum pe_reason pe_wire_check_result(const struct pe_wire_result *result);
// Likewise: id_nil, coordinates (only the height may be a NaN); record_reserved (also: no entity,
// an undefined level), coordinates.
[[nodiscard]] enum pe_reason pe_wire_check_short(const struct pe_wire_short *result);
[[nodiscard]] enum pe_reason pe_wire_check_cell(const struct pe_wire_cell *cell);

// Event time, Unix ms: header timestamp (0 = the receiver's wall_ms stands in) + offset. A
// timestamp above PE_WIRE_BASE_MAX_MS stands for that, and nothing is before 0: a hostile one is
// far in the future, or long ago, and never wraps.
#define PE_WIRE_BASE_MAX_MS (1ull << 62)
static inline uint64_t pe_wire_event_ms(uint64_t timestamp_ms, int32_t offset_ms, uint64_t wall_ms)
{
	uint64_t base_ms = timestamp_ms ? timestamp_ms : wall_ms;
	int64_t event_ms =
		(int64_t)(base_ms < PE_WIRE_BASE_MAX_MS ? base_ms : PE_WIRE_BASE_MAX_MS) +
		offset_ms;

	return event_ms > 0 ? (uint64_t)event_ms : 0;
}

static inline bool pe_wire_id_nil(const uint8_t id[16])
{
	uint64_t half[2];

	memcpy(half, id, sizeof half);
	return (half[0] | half[1]) == 0;
}
