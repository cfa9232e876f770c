#include "wire/encode.h"

#include "wire/details.h"
#include "wire/extension.h"

#include <stddef.h>
#include <string.h>

#define HEADER_BYTES ((uint32_t)sizeof(struct pe_wire_header))

// Written where they stand, field by field: a copy made of them first would have to wait for its
// own narrow stores.
typedef struct pe_wire_header header_in_place __attribute__((aligned(1)));
typedef struct pe_wire_answer answer_in_place __attribute__((aligned(1)));

static void put_header(uint8_t *buffer, const struct pe_wire_header *header, enum pe_type type,
	uint16_t flags, unsigned count)
{
	header_in_place *h = (void *)buffer;

	h->version = PE_WIRE_VERSION;
	h->type = (uint8_t)type;
	h->flags = flags;
	h->stream_id = header->stream_id;
	h->sequence = header->sequence;
	h->timestamp_ms = header->timestamp_ms;
	h->session_id = header->session_id;
	h->count = (uint16_t)count;
	h->reserved0 = 0;
	h->reserved1 = 0;
	memcpy(h->space_id, header->space_id, sizeof h->space_id);
	h->reserved2 = 0;
	memset(h->tag, 0, sizeof h->tag);
}

// Header, preamble, records; the caller has checked count.
static uint32_t put_message(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	enum pe_type type, uint16_t flags, const void *preamble, uint32_t preamble_bytes,
	const void *records, uint32_t record_bytes, unsigned count)
{
	uint32_t bytes = HEADER_BYTES + preamble_bytes + count * record_bytes;

	if (size < bytes)
		return 0;
	put_header(buffer, header, type, flags, count);
	if (preamble_bytes)
		memcpy(buffer + HEADER_BYTES, preamble, preamble_bytes);
	if (count)
		memcpy(buffer + HEADER_BYTES + preamble_bytes, records, count * record_bytes);
	return bytes;
}

static bool request_sound(const struct pe_wire_header *header, uint16_t flags_legal, unsigned count,
	unsigned count_max)
{
	return !(header->flags & (unsigned)~flags_legal) && count >= 1 && count <= count_max;
}

uint32_t pe_wire_put_update(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_update_preamble *preamble, const struct pe_wire_update *records,
	unsigned count)
{
	if (!request_sound(header, PE_FLAG_ACK, count, PE_UPDATE_COUNT_MAX))
		return 0;
	return put_message(buffer, size, header, PE_TYPE_SPATIAL_UPDATE, header->flags, preamble,
		sizeof *preamble, records, sizeof *records, count);
}

uint32_t pe_wire_put_detailed(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_update_preamble *preamble, const uint8_t *records,
	uint32_t records_bytes, unsigned count)
{
	uint32_t bytes;

	if (!request_sound(header, PE_FLAG_ACK, count, PE_DETAILED_COUNT_MAX) ||
		pe_wire_detailed_bytes(records, records_bytes, count) != records_bytes)
		return 0;
	size = size < PE_WIRE_BYTES_MAX ? size : PE_WIRE_BYTES_MAX;
	if (size < HEADER_BYTES + sizeof *preamble + records_bytes)
		return 0;
	bytes = put_message(buffer, size, header, PE_TYPE_DETAILED_UPDATE, header->flags, preamble,
		sizeof *preamble, NULL, 0, 0);
	// One length for all records is what put_message knows.
	put_header(buffer, header, PE_TYPE_DETAILED_UPDATE, header->flags, count);
	memcpy(buffer + bytes, records, records_bytes);
	return bytes + records_bytes;
}

uint32_t pe_wire_put_withdraw(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_update_preamble *preamble, const struct pe_wire_withdraw *records,
	unsigned count)
{
	if (!request_sound(header, PE_FLAG_ACK, count, PE_WITHDRAW_COUNT_MAX))
		return 0;
	return put_message(buffer, size, header, PE_TYPE_WITHDRAW, header->flags, preamble,
		sizeof *preamble, records, sizeof *records, count);
}

uint32_t pe_wire_put_query(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_query *queries, unsigned count)
{
	return pe_wire_put_query_extended(buffer, size, header, queries, count, NULL, 0);
}

uint32_t pe_wire_put_query_extended(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_query *queries, unsigned count,
	const uint8_t *extensions, uint32_t extensions_bytes)
{
	uint32_t bytes;

	if (!request_sound(header, PE_FLAG_PACKED | PE_FLAG_ZSTD, count, PE_QUERY_COUNT_MAX) ||
		(header->flags & (PE_FLAG_PACKED | PE_FLAG_ZSTD)) == PE_FLAG_ZSTD ||
		pe_wire_extensions_bytes((const uint8_t *)queries, count) != extensions_bytes)
		return 0;
	size = size < PE_WIRE_BYTES_MAX ? size : PE_WIRE_BYTES_MAX;
	if (size < extensions_bytes)
		return 0;
	bytes = put_message(buffer, size - extensions_bytes, header, PE_TYPE_SPATIAL_QUERY,
		header->flags, NULL, 0, queries, sizeof *queries, count);
	if (!bytes)
		return 0;
	if (extensions_bytes)
		memcpy(buffer + bytes, extensions, extensions_bytes);
	return bytes + extensions_bytes;
}

uint32_t pe_wire_put_explain(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_explain *explain, const struct pe_wire_query *query,
	const uint8_t *extension)
{
	uint32_t extension_bytes =
		query->flags & PE_QUERY_HAS_EXTENSION ? query->extension_bytes : 0;
	uint32_t bytes;

	size = size < PE_WIRE_BYTES_MAX ? size : PE_WIRE_BYTES_MAX;
	if (!request_sound(header, 0, 1, 1) || size < extension_bytes)
		return 0;
	bytes = put_message(buffer, size - extension_bytes, header, PE_TYPE_EXPLAIN, 0, explain,
		sizeof *explain, query, sizeof *query, 1);
	if (bytes && extension_bytes)
		memcpy(buffer + bytes, extension, extension_bytes);
	return bytes ? bytes + extension_bytes : 0;
}

uint32_t pe_wire_put_erase(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_erase *erase)
{
	if (!request_sound(header, 0, 1, 1))
		return 0;
	return put_message(
		buffer, size, header, PE_TYPE_ERASE, 0, NULL, 0, erase, sizeof *erase, 1);
}

uint32_t pe_wire_put_erased(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_erased *erased)
{
	return put_message(
		buffer, size, header, PE_TYPE_ERASED, 0, NULL, 0, erased, sizeof *erased, 1);
}

uint32_t pe_wire_put_ping(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_ping *ping)
{
	if (!request_sound(header, 0, 1, 1))
		return 0;
	return put_message(buffer, size, header, PE_TYPE_PING, 0, NULL, 0, ping, sizeof *ping, 1);
}

uint32_t pe_wire_put_state_request(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_state_request *request)
{
	if (!request_sound(header, 0, 1, 1))
		return 0;
	return put_message(buffer, size, header, PE_TYPE_STATE_REQUEST, 0, NULL, 0, request,
		sizeof *request, 1);
}

struct pe_wire_header pe_wire_reply_header(
	const struct pe_wire_header *request, uint64_t sequence, uint64_t wall_ms)
{
	struct pe_wire_header header = {
		.stream_id = request->stream_id,
		.sequence = sequence,
		.timestamp_ms = wall_ms,
	};

	memcpy(header.space_id, request->space_id, sizeof header.space_id);
	return header;
}

uint32_t pe_wire_put_pong(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_ping *ping)
{
	return put_message(buffer, size, header, PE_TYPE_PONG, 0, NULL, 0, ping, sizeof *ping, 1);
}

uint32_t pe_wire_put_ack(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	enum pe_type type, const uint8_t broadcast_id[16], uint64_t request_sequence,
	enum pe_reason refused, const struct pe_wire_ack_record *records, unsigned count)
{
	struct pe_wire_ack_preamble preamble = {
		.request_sequence = request_sequence,
		.code = pe_reason_info[refused].code,
		.reason = (uint8_t)refused,
	};
	unsigned count_max = type == PE_TYPE_SPATIAL_UPDATE ? PE_UPDATE_COUNT_MAX :
		type == PE_TYPE_DETAILED_UPDATE             ? PE_DETAILED_COUNT_MAX :
		type == PE_TYPE_WITHDRAW                    ? PE_WITHDRAW_COUNT_MAX :
							      0;

	if (count > count_max || !count_max || (refused == PE_REASON_none) != (count != 0))
		return 0;
	memcpy(preamble.broadcast_id, broadcast_id, sizeof preamble.broadcast_id);
	return put_message(buffer, size, header, type, PE_FLAG_RESPONSE, &preamble, sizeof preamble,
		records, sizeof *records, count);
}

uint32_t pe_wire_put_explanation(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, enum pe_reason refused,
	const struct pe_wire_explanation *explanation)
{
	struct pe_wire_explanation e = *explanation;

	if (refused) {
		e = (struct pe_wire_explanation){
			.request_sequence = e.request_sequence,
			.selector = e.selector,
			.query_id = e.query_id,
			.verdict = PE_EXPLAIN_UNDECIDED,
			.distance_m = PE_EXPLAIN_NOT_TOLD,
			.edge_m = PE_EXPLAIN_NOT_TOLD,
			.beyond_m = PE_EXPLAIN_NOT_TOLD,
			.asker_m = PE_EXPLAIN_NOT_TOLD,
			.held_m = PE_EXPLAIN_NOT_TOLD,
		};
		memcpy(e.entity_id, explanation->entity_id, sizeof e.entity_id);
	}
	e.code = pe_reason_info[refused].code;
	e.reason = (uint8_t)refused;
	return put_message(
		buffer, size, header, PE_TYPE_EXPLAIN, PE_FLAG_RESPONSE, NULL, 0, &e, sizeof e, 1);
}

uint32_t pe_wire_put_state_response(uint8_t *buffer, uint32_t size,
	const struct pe_wire_header *header, const struct pe_wire_state_request *request,
	uint64_t request_sequence, uint16_t total, enum pe_reason refused,
	const struct pe_wire_counter *counters, unsigned count)
{
	const struct pe_wire_state_preamble preamble = {
		.selector = PE_STATE_COUNTERS,
		.first = request->first,
		.total = total,
		.code = pe_reason_info[refused].code,
		.reason = (uint8_t)refused,
		.request_sequence = request_sequence,
	};

	if (count > PE_COUNTERS_COUNT_MAX || (refused != PE_REASON_none && count))
		return 0;
	return put_message(buffer, size, header, PE_TYPE_STATE_RESPONSE, 0, &preamble,
		sizeof preamble, counters, sizeof *counters, count);
}

struct pe_wire_ack_record pe_wire_ack_record(enum pe_ack_status status, enum pe_reason reason)
{
	struct pe_wire_ack_record record = {.status = (uint8_t)status};

	if (reason != PE_REASON_none) {
		record.status = pe_reason_info[reason].verdict == PE_VERDICT_DROPPED ?
			PE_ACK_DROPPED :
			PE_ACK_REFUSED;
		record.code = pe_reason_info[reason].code;
		record.reason = (uint8_t)reason;
	}
	return record;
}

void pe_wire_response_begin(struct pe_wire_response *r, uint8_t *buffer, uint32_t size)
{
	*r = (struct pe_wire_response){
		.buffer = buffer,
		.size = size < PE_WIRE_BYTES_MAX ? size : PE_WIRE_BYTES_MAX,
		.used = HEADER_BYTES,
	};
}

static uint32_t room_bytes(const struct pe_wire_response *r)
{
	return r->used < r->size ? r->size - r->used : 0;
}

bool pe_wire_response_open(struct pe_wire_response *r, uint32_t query_id, uint32_t stream_id,
	uint64_t request_sequence, uint16_t part)
{
	answer_in_place *answer = (void *)(r->buffer + r->used);

	if (r->answer || room_bytes(r) < sizeof *answer)
		return false;
	memset(answer, 0, sizeof *answer);
	answer->query_id = query_id;
	answer->request_sequence = request_sequence;
	answer->stream_id = stream_id;
	answer->part = part;
	r->answer = r->used;
	r->used += (uint32_t)sizeof *answer;
	r->result_count = 0;
	return true;
}

unsigned pe_wire_response_room(const struct pe_wire_response *r)
{
	uint32_t room = room_bytes(r),
		 opening = r->answer ? 0 : (uint32_t)sizeof(struct pe_wire_answer);

	return room < opening ? 0 : (room - opening) / (uint32_t)sizeof(struct pe_wire_result);
}

unsigned pe_wire_response_add_some(
	struct pe_wire_response *r, const struct pe_wire_result *results, unsigned count)
{
	unsigned room = r->answer ? room_bytes(r) / (uint32_t)sizeof *results : 0;

	if (count > room)
		count = room;
	memcpy(r->buffer + r->used, results, count * sizeof *results);
	r->used += count * (uint32_t)sizeof *results;
	r->result_count = (uint16_t)(r->result_count + count);
	return count;
}

bool pe_wire_response_add_detailed(struct pe_wire_response *r, const struct pe_wire_result *result,
	const uint8_t *details, uint32_t details_bytes)
{
	static const struct pe_wire_details none = {.bytes = sizeof none};

	if (!details) {
		details = (const uint8_t *)&none;
		details_bytes = sizeof none;
	}
	if (!r->answer || room_bytes(r) < sizeof *result + details_bytes)
		return false;
	memcpy(r->buffer + r->used, result, sizeof *result);
	memcpy(r->buffer + r->used + sizeof *result, details, details_bytes);
	r->used += (uint32_t)sizeof *result + details_bytes;
	r->result_count++;
	return true;
}

bool pe_wire_response_add(struct pe_wire_response *r, const struct pe_wire_result *result)
{
	return pe_wire_response_add_some(r, result, 1) == 1;
}

static unsigned room_for(const struct pe_wire_response *r, uint32_t bytes, unsigned count)
{
	unsigned room = r->answer ? room_bytes(r) / bytes : 0;

	return count < room ? count : room;
}

unsigned pe_wire_response_add_short(
	struct pe_wire_response *r, const struct pe_wire_result *results, unsigned count)
{
	const uint64_t unknown = PE_SHORT_HEIGHT_UNKNOWN;
	struct pe_wire_short brief;

	count = room_for(r, sizeof brief, count);
	for (unsigned i = 0; i < count; i++) {
		memcpy(brief.entity_id, results[i].entity_id, sizeof brief.entity_id);
		memcpy(brief.position, results[i].position, sizeof brief.position);
		if (results[i].state & PE_RESULT_HEIGHT_UNKNOWN)
			memcpy(&brief.position[2], &unknown, sizeof unknown);
		memcpy(r->buffer + r->used, &brief, sizeof brief);
		r->used += (uint32_t)sizeof brief;
	}
	r->result_count = (uint16_t)(r->result_count + count);
	return count;
}

unsigned pe_wire_response_add_cells(
	struct pe_wire_response *r, const struct pe_wire_cell *cells, unsigned count)
{
	count = room_for(r, sizeof *cells, count);
	memcpy(r->buffer + r->used, cells, count * sizeof *cells);
	r->used += count * (uint32_t)sizeof *cells;
	r->result_count = (uint16_t)(r->result_count + count);
	return count;
}

void pe_wire_response_detail(struct pe_wire_response *r, uint64_t detail)
{
	assert(r->answer);
	memcpy(r->buffer + r->answer + offsetof(struct pe_wire_answer, detail), &detail,
		sizeof detail);
}

void pe_wire_response_close(struct pe_wire_response *r, enum pe_reason refused, uint16_t flags,
	const uint64_t cursor[2])
{
	struct {
		uint8_t code, reason;
		uint16_t flags;
	} outcome = {pe_reason_info[refused].code, (uint8_t)refused, flags};
	uint8_t *answer = r->buffer + r->answer;

	assert(r->answer);
	// What open wrote stays unread: loads would have to wait for stores of another width.
	static_assert(offsetof(struct pe_wire_answer, reason) ==
				offsetof(struct pe_wire_answer, code) + 1 &&
			offsetof(struct pe_wire_answer, flags) ==
				offsetof(struct pe_wire_answer, code) + 2,
		"the outcome is one word");
	memcpy(answer + offsetof(struct pe_wire_answer, code), &outcome, sizeof outcome);
	memcpy(answer + offsetof(struct pe_wire_answer, result_count), &r->result_count,
		sizeof r->result_count);
	if (cursor)
		memcpy(answer + offsetof(struct pe_wire_answer, cursor), cursor,
			2 * sizeof cursor[0]);
	r->answer_count++;
	r->answer = 0;
	r->result_count = 0;
}

void pe_wire_response_abandon(struct pe_wire_response *r)
{
	assert(r->answer);
	r->used = r->answer;
	r->answer = 0;
	r->result_count = 0;
}

uint32_t pe_wire_response_finish(struct pe_wire_response *r, const struct pe_wire_header *header)
{
	assert(!r->answer);
	if (!r->answer_count)
		return 0;
	put_header(r->buffer, header, PE_TYPE_SPATIAL_RESPONSE, 0, r->answer_count);
	return r->used;
}
