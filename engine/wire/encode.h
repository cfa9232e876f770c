// Encoding: writers of every message into the caller's buffer. Each checks the size and the count,
// writes the exact legal length and returns it; 0 says that nothing sendable was written (no room,
// a count or a flag that is not legal). What records contain is the caller's. No state; any thread.
//
// Of *header the caller sets flags (update, withdraw: PE_FLAG_ACK or 0), stream_id, sequence,
// timestamp_ms, session_id and space_id. Version, type, count, reserved fields and the tag are the
// writer's. A buffer of PE_WIRE_BYTES_MAX always has room for any message of legal count.
#pragma once

#include "base/reasons.h"
#include "wire/erase.h"
#include "wire/explain.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

// A client's messages.
[[nodiscard]] uint32_t pe_wire_put_update(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_update_preamble *preamble,
	const struct pe_wire_update *records, unsigned count);
[[nodiscard]] uint32_t pe_wire_put_withdraw(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_update_preamble *preamble,
	const struct pe_wire_withdraw *records, unsigned count);
// count records of wire/details.h, one behind the other.
[[nodiscard]] uint32_t pe_wire_put_detailed(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_update_preamble *preamble,
	const uint8_t *records, uint32_t records_bytes, unsigned count);
[[nodiscard]] uint32_t pe_wire_put_query(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_query *queries, unsigned count);
// The same with the queries' extensions, one behind the other: as many bytes as the queries say
// (wire/extension.h).
[[nodiscard]] uint32_t pe_wire_put_query_extended(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_query *queries, unsigned count,
	const uint8_t *extensions, uint32_t extensions_bytes);
// One query with its extension, as long as it says.
[[nodiscard]] uint32_t pe_wire_put_explain(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_explain *explain,
	const struct pe_wire_query *query, const uint8_t *extension);
[[nodiscard]] uint32_t pe_wire_put_erase(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_erase *erase);
[[nodiscard]] uint32_t pe_wire_put_ping(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_ping *ping);
[[nodiscard]] uint32_t pe_wire_put_state_request(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_state_request *request);

// The header of what answers a request: its stream and space echoed, sequence and time the engine's
// own.
struct pe_wire_header pe_wire_reply_header(
	const struct pe_wire_header *request, uint64_t sequence, uint64_t wall_ms);

// An engine's messages. The writers of replies set the flags themselves.
[[nodiscard]] uint32_t pe_wire_put_pong(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_ping *ping);

[[nodiscard]] uint32_t pe_wire_put_erased(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_erased *erased);

// type: PE_TYPE_SPATIAL_UPDATE, PE_TYPE_DETAILED_UPDATE or PE_TYPE_WITHDRAW, as in the request.
// Code and reason are made from `refused`: PE_REASON_none with a record each, any other with count
// 0.
[[nodiscard]] uint32_t pe_wire_put_ack(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, enum pe_type type, const uint8_t broadcast_id[16],
	uint64_t request_sequence, enum pe_reason refused, const struct pe_wire_ack_record *records,
	unsigned count);

// Code and reason are made from `refused`; where it is one, nothing but the request's fields is
// told.
[[nodiscard]] uint32_t pe_wire_put_explanation(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, enum pe_reason refused,
	const struct pe_wire_explanation *explanation);

// Code and reason are made from `refused`, as above; count may be 0 with PE_REASON_none (no counter
// from `first` on).
[[nodiscard]] uint32_t pe_wire_put_state_response(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_state_request *request,
	uint64_t request_sequence, uint16_t total, enum pe_reason refused,
	const struct pe_wire_counter *counters, unsigned count);

// An acknowledgement's record: REFUSED or DROPPED with its code, as the reason's verdict says, for
// a reason; else `status`.
struct pe_wire_ack_record pe_wire_ack_record(enum pe_ack_status status, enum pe_reason reason);

// SPATIAL_RESPONSE, piece by piece, since answers to several requests share a message:
//   begin, { open, { add }, close or abandon }, finish.
// Every answer names its own request by stream and sequence; the header's stream and space are
// those that the caller
// gives to finish (the first answer's, by custom) and no client relies on them.
struct pe_wire_response {
	uint8_t *buffer; // any alignment
	uint32_t size;   // room: at most PE_WIRE_BYTES_MAX, less for a source that is not trusted
	uint32_t used;   // header and closed answers, and what the open one has so far
	uint32_t answer; // offset of the open answer; 0 = none open
	uint16_t answer_count;
	uint16_t result_count; // of the open answer
};

// Where the open answer's next results go, at any alignment, and how many have room; and as many
// were written there.
static inline void *pe_wire_response_place(struct pe_wire_response *r, uint32_t *room)
{
	*room = r->used < r->size ? (r->size - r->used) / (uint32_t)sizeof(struct pe_wire_result) :
				    0;
	return r->buffer + r->used;
}
static inline void pe_wire_response_placed(struct pe_wire_response *r, uint32_t count)
{
	r->used += count * (uint32_t)sizeof(struct pe_wire_result);
	r->result_count = (uint16_t)(r->result_count + count);
}

// Sizes above PE_WIRE_BYTES_MAX are cut to it.
void pe_wire_response_begin(struct pe_wire_response *response, uint8_t *buffer, uint32_t size);

// Opens an answer; false when there is no room for it (an answer without results needs 48 bytes),
// or one is open.
[[nodiscard]] bool pe_wire_response_open(struct pe_wire_response *response, uint32_t query_id,
	uint32_t stream_id, uint64_t request_sequence, uint16_t part);

// Results that still fit, into the open answer or, with none open, into one that would be opened
// now.
unsigned pe_wire_response_room(const struct pe_wire_response *response);

// Adds a result to the open answer; false when there is no room (or no open answer).
[[nodiscard]] bool pe_wire_response_add(
	struct pe_wire_response *response, const struct pe_wire_result *result);

// Adds as many of `count` results as there is room for, in order, and returns their number.
[[nodiscard]] unsigned pe_wire_response_add_some(
	struct pe_wire_response *response, const struct pe_wire_result *results, unsigned count);

// The same with SHORT results, made of whole ones, and with cells. An answer has results of one
// kind, which its flags tell.
[[nodiscard]] unsigned pe_wire_response_add_short(
	struct pe_wire_response *response, const struct pe_wire_result *results, unsigned count);
[[nodiscard]] unsigned pe_wire_response_add_cells(
	struct pe_wire_response *response, const struct pe_wire_cell *cells, unsigned count);

// The open answer's detail (struct pe_wire_answer); 0 unless told.
void pe_wire_response_detail(struct pe_wire_response *response, uint64_t detail);
// Adds a result with its details (wire/details.h; NULL: it has none) to the open answer, whose
// flags are to have PE_ANSWER_DETAILED; false when there is no room.
[[nodiscard]] bool pe_wire_response_add_detailed(struct pe_wire_response *response,
	const struct pe_wire_result *result, const uint8_t *details, uint32_t details_bytes);

// Closes the open answer. flags: PE_ANSWER_*. cursor may be NULL (zero). Code and reason are made
// from `refused`.
void pe_wire_response_close(struct pe_wire_response *response, enum pe_reason refused,
	uint16_t flags, const uint64_t cursor[2]);

// Takes the open answer and its results back.
void pe_wire_response_abandon(struct pe_wire_response *response);

// Writes the header over the first 80 bytes and returns the message's bytes; 0 when it has no
// answer. Needs no open answer.
[[nodiscard]] uint32_t pe_wire_response_finish(
	struct pe_wire_response *response, const struct pe_wire_header *header);
