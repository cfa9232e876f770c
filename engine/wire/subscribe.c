#include "wire/subscribe.h"

#include "wire/details.h"

#include <float.h>
#include <stddef.h>

#define HEADER_BYTES ((uint32_t)sizeof(struct pe_wire_header))
#define FIXED_BYTES  (HEADER_BYTES + (uint32_t)sizeof(struct pe_wire_subscribe))

struct shape {
	uint16_t record_bytes, count_min, count_max;
};

static const struct shape shapes[PE_SUBSCRIBE_RENEW + 1] = {
	[PE_SUBSCRIBE_OPEN] = {sizeof(struct pe_wire_fence), 0, PE_SUBSCRIBE_FENCES_MAX},
	[PE_SUBSCRIBE_ADD] = {sizeof(struct pe_wire_fence), 1, PE_SUBSCRIBE_FENCES_MAX},
	[PE_SUBSCRIBE_REMOVE] = {sizeof(struct pe_wire_fence_name), 1, PE_SUBSCRIBE_NAMES_MAX},
};

static bool op_known(unsigned op)
{
	return op >= PE_SUBSCRIBE_OPEN && op <= PE_SUBSCRIBE_RENEW;
}

// Of all fences' queries, as their records say.
static uint32_t extension_bytes(const uint8_t *fences, unsigned count)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < count; i++) {
		uint16_t each;

		memcpy(&each,
			fences + i * sizeof(struct pe_wire_fence) +
				offsetof(struct pe_wire_fence, query) +
				offsetof(struct pe_wire_query, extension_bytes),
			sizeof each);
		bytes += each;
	}
	return bytes;
}

enum pe_reason pe_wire_subscribe_length(const uint8_t *data, uint32_t bytes)
{
	uint8_t op = data[HEADER_BYTES + offsetof(struct pe_wire_subscribe, op)];
	const struct shape *shape;
	uint32_t legal_bytes;
	uint16_t count;

	if (!op_known(op))
		return PE_REASON_subscribe_op;
	shape = &shapes[op];
	memcpy(&count, data + offsetof(struct pe_wire_header, count), sizeof count);
	if (count < shape->count_min || count > shape->count_max)
		return PE_REASON_count;
	legal_bytes = FIXED_BYTES + (uint32_t)count * shape->record_bytes;
	if (op <= PE_SUBSCRIBE_ADD && bytes >= legal_bytes && bytes <= PE_WIRE_BYTES_MAX)
		legal_bytes += extension_bytes(data + FIXED_BYTES, count);
	return bytes == legal_bytes ? PE_REASON_none : PE_REASON_length;
}

static bool finite_from_zero(float v)
{
	return v >= 0.0f && v <= FLT_MAX;
}

enum pe_reason pe_wire_subscribe_fields(const uint8_t *data)
{
	struct pe_wire_subscribe s;
	bool open, leased, numbered, sequenced;

	pe_wire_get_subscribe(data, &s);
	if (s.reserved0 | s.reserved1)
		return PE_REASON_body_reserved;
	open = s.op == PE_SUBSCRIBE_OPEN;
	leased = open || s.op == PE_SUBSCRIBE_RENEW;
	numbered = s.op == PE_SUBSCRIBE_ADD || s.op == PE_SUBSCRIBE_REMOVE;
	sequenced = s.op == PE_SUBSCRIBE_RESUME || s.op == PE_SUBSCRIBE_ACKNOWLEDGE;
	if (!finite_from_zero(s.resolution_m) || s.priority >= PE_PRIORITIES ||
		(s.flags & (unsigned)~PE_SUBSCRIBE_FLAGS_DEFINED))
		return PE_REASON_subscribe_fields;
	if (!(s.flags & PE_SUBSCRIBE_FILTER_UPDATES) && s.resolution_m > 0.0f)
		return PE_REASON_subscribe_fields;
	if (!open && (s.priority | s.flags | s.update_frequency | s.window))
		return PE_REASON_subscribe_fields;
	if ((!leased && s.expiration_ms) || numbered != (s.message != 0) ||
		sequenced != (s.sequence != 0))
		return PE_REASON_subscribe_fields;
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_fence(const struct pe_wire_fence *f, bool geodetic)
{
	const struct pe_wire_query *q = &f->query;
	bool follow = f->flags & PE_FENCE_FOLLOW;

	if ((f->reserved0 | f->reserved1) || (f->flags & (unsigned)~PE_FENCE_FLAGS_DEFINED))
		return PE_REASON_fence_rule;
	if (!(f->margin_m >= 0.0f && (double)f->margin_m <= PE_FENCE_MARGIN_MAX_M) ||
		f->enter_ms > PE_FENCE_DWELL_MAX_MS || f->leave_ms > PE_FENCE_DWELL_MAX_MS)
		return PE_REASON_fence_rule;
	if (follow == pe_wire_id_nil(f->follow_id) ||
		(follow &&
			(q->kind != PE_QUERY_SPHERE || q->a[0] != 0 || q->a[1] != 0 ||
				q->a[2] != 0)))
		return PE_REASON_fence_rule;
	if (q->kind == PE_QUERY_POINT || q->kind == PE_QUERY_NEAREST ||
		(q->flags & (PE_QUERY_HAS_CURSOR | PE_QUERY_WITH_DETAILS)) ||
		(q->max_results | q->timeout_ms | q->priority))
		return PE_REASON_fence_kind;
	return pe_wire_check_query(q, geodetic);
}

#define FLOAT_INFINITE 0x7F800000u // and from there on what is none, or negative

enum pe_reason pe_wire_check_subscribed(const uint8_t *data, unsigned count)
{
	struct pe_wire_subscribed s;
	bool success, coarser;
	uint32_t bits;

	if (count)
		return PE_REASON_count;
	pe_wire_get_subscribed(data, &s);
	success = s.code == PE_CODE_SUCCESS;
	memcpy(&bits, &s.published_m, sizeof bits);
	coarser = s.flags & PE_SUBSCRIBED_COARSER;
	// Sign and not a number in one comparison.
	if (s.reserved1 || (s.flags & ~PE_SUBSCRIBED_FLAGS_DEFINED) || (coarser && !success) ||
		(coarser ? !bits || bits >= FLOAT_INFINITE : bits) || success != (s.reason == 0) ||
		(success && s.fault_index != PE_FAULT_NONE))
		return PE_REASON_body_reserved;
	return PE_REASON_none;
}

static bool all_zero(const void *from, size_t bytes)
{
	const uint8_t *p = from;
	uint8_t any = 0;

	for (size_t i = 0; i < bytes; i++)
		any |= p[i];
	return any == 0;
}

static enum pe_reason check_piece(const struct pe_wire_event *e)
{
	unsigned from = e->cause * PE_PIECE_BYTES, bytes;
	struct pe_wire_piece piece;

	if (e->flags > PE_PAYLOAD_BYTES_MAX || e->cause >= pe_wire_pieces(e->flags))
		return PE_REASON_record_reserved;
	memcpy(&piece, &e->result, sizeof piece);
	if (pe_wire_id_nil(piece.entity_id))
		return PE_REASON_id_nil;
	bytes = e->flags - from < PE_PIECE_BYTES ? e->flags - from : PE_PIECE_BYTES;
	return all_zero(piece.bytes + bytes, PE_PIECE_BYTES - bytes) ? PE_REASON_none :
								       PE_REASON_record_reserved;
}

enum pe_reason pe_wire_check_event(const struct pe_wire_event *e)
{
	bool pair = e->kind >= PE_EVENT_ENTER && e->kind <= PE_EVENT_LEAVE;
	unsigned cause_max = e->kind == PE_EVENT_LEAVE ? PE_LEAVE_ENDED :
		e->kind == PE_EVENT_ENDED              ? PE_ENDED_ENGINE :
							 0;

	if (e->kind == PE_EVENT_PAYLOAD)
		return check_piece(e);
	if (e->kind < PE_EVENT_ENTER || e->kind > PE_EVENT_ENDED || e->cause > cause_max ||
		(cause_max && !e->cause) || (e->flags & (unsigned)~PE_EVENT_FLAGS_DEFINED))
		return PE_REASON_record_reserved;
	if (!pair)
		return e->fence_id || e->flags || !all_zero(&e->result, sizeof e->result) ?
			PE_REASON_record_reserved :
			PE_REASON_none;
	if (e->kind == PE_EVENT_LEAVE && !pe_wire_id_nil(e->result.entity_id) &&
		all_zero(e->result.position, sizeof e->result - sizeof e->result.entity_id))
		return PE_REASON_none;
	return pe_wire_check_result(&e->result);
}

enum pe_reason pe_wire_check_notice(const uint8_t *data, const struct pe_wire_view *view)
{
	struct pe_wire_notice n;

	pe_wire_get_notice(data, &n);
	if (n.flags | n.reserved0 | n.reserved1 | n.reserved2 || !n.first_sequence ||
		n.first_sequence + view->count < n.first_sequence)
		return PE_REASON_body_reserved;
	for (unsigned i = 0; i < view->count; i++) {
		struct pe_wire_event event;
		enum pe_reason reason;

		pe_wire_get_event(view, i, &event);
		reason = pe_wire_check_event(&event);
		if (reason != PE_REASON_none)
			return reason;
	}
	return PE_REASON_none;
}

static void put_header(uint8_t *buffer, const struct pe_wire_header *header, enum pe_type type,
	uint16_t flags, unsigned count)
{
	struct pe_wire_header h = {
		.version = PE_WIRE_VERSION,
		.type = (uint8_t)type,
		.flags = flags,
		.stream_id = header->stream_id,
		.sequence = header->sequence,
		.timestamp_ms = header->timestamp_ms,
		.session_id = header->session_id,
		.count = (uint16_t)count,
	};

	memcpy(h.space_id, header->space_id, sizeof h.space_id);
	memcpy(buffer, &h, sizeof h);
}

static uint32_t put_request(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_subscribe *subscribe, const void *records, uint32_t record_bytes,
	unsigned count, const uint8_t *extensions, uint32_t extensions_bytes)
{
	uint32_t records_bytes = count * record_bytes;
	uint32_t bytes = FIXED_BYTES + records_bytes + extensions_bytes;

	if (header->flags || !op_known(subscribe->op) || count < shapes[subscribe->op].count_min ||
		count > shapes[subscribe->op].count_max || bytes > size ||
		bytes > PE_WIRE_BYTES_MAX)
		return 0;
	put_header(buffer, header, PE_TYPE_REGION_SUBSCRIBE, 0, count);
	memcpy(buffer + HEADER_BYTES, subscribe, sizeof *subscribe);
	if (records_bytes)
		memcpy(buffer + FIXED_BYTES, records, records_bytes);
	if (extensions_bytes)
		memcpy(buffer + FIXED_BYTES + records_bytes, extensions, extensions_bytes);
	return bytes;
}

uint32_t pe_wire_put_subscribe(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_subscribe *subscribe, const struct pe_wire_fence *fences,
	unsigned count, const uint8_t *extensions, uint32_t extensions_bytes)
{
	if (subscribe->op == PE_SUBSCRIBE_REMOVE || count > PE_SUBSCRIBE_FENCES_MAX ||
		(count ? extension_bytes((const uint8_t *)fences, count) : 0) != extensions_bytes)
		return 0;
	return put_request(buffer, size, header, subscribe, fences, sizeof *fences, count,
		extensions, extensions_bytes);
}

uint32_t pe_wire_put_remove(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_subscribe *subscribe, const struct pe_wire_fence_name *names,
	unsigned count)
{
	if (subscribe->op != PE_SUBSCRIBE_REMOVE)
		return 0;
	return put_request(buffer, size, header, subscribe, names, sizeof *names, count, NULL, 0);
}

uint32_t pe_wire_put_subscribed(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_subscribed *subscribed)
{
	if (size < HEADER_BYTES + sizeof *subscribed)
		return 0;
	put_header(buffer, header, PE_TYPE_REGION_SUBSCRIBE, PE_FLAG_RESPONSE, 0);
	memcpy(buffer + HEADER_BYTES, subscribed, sizeof *subscribed);
	return HEADER_BYTES + (uint32_t)sizeof *subscribed;
}

uint32_t pe_wire_put_notice(uint8_t *buffer, uint32_t size, const struct pe_wire_header *header,
	const struct pe_wire_notice *notice, const struct pe_wire_event *events, unsigned count)
{
	uint32_t fixed = HEADER_BYTES + (uint32_t)sizeof *notice;

	if (count < 1 || count > PE_NOTICE_EVENTS_MAX || size < fixed + count * sizeof *events)
		return 0;
	put_header(buffer, header, PE_TYPE_NOTICE, 0, count);
	memcpy(buffer + HEADER_BYTES, notice, sizeof *notice);
	memcpy(buffer + fixed, events, count * sizeof *events);
	return fixed + count * (uint32_t)sizeof *events;
}
