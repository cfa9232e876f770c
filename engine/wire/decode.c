#include "wire/decode.h"
#include "wire/sound.h"

#include "base/limits.h"
#include "wire/details.h"
#include "wire/extension.h"
#include "wire/half.h"
#include "wire/subscribe.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little endian and so must the processor be"
#endif

// What is legal for a type: the one place that lengths come from.
struct shape {
	uint16_t fixed_bytes;  // header and preamble
	uint16_t record_bytes; // of each of `count` (answers and detailed updates: at least)
	uint16_t count_min;
	uint16_t count_max; // 0 = the type is not known on this side
	uint16_t flags;     // that may be set
	uint16_t flags_needed;
	uint8_t reply; // enum pe_wire_reply; ACK only with PE_FLAG_ACK
};

#define HEADER_BYTES    ((uint32_t)sizeof(struct pe_wire_header))
#define FIXED(preamble) (sizeof(struct pe_wire_header) + sizeof(struct preamble))

static const struct shape engine_shapes[256] = {
	[PE_TYPE_SPATIAL_UPDATE] = {FIXED(pe_wire_update_preamble), sizeof(struct pe_wire_update),
		1, PE_UPDATE_COUNT_MAX, PE_FLAG_ACK, 0, PE_REPLY_ACK},
	[PE_TYPE_WITHDRAW] = {FIXED(pe_wire_update_preamble), sizeof(struct pe_wire_withdraw), 1,
		PE_WITHDRAW_COUNT_MAX, PE_FLAG_ACK, 0, PE_REPLY_ACK},
	[PE_TYPE_DETAILED_UPDATE] = {FIXED(pe_wire_update_preamble), PE_DETAILED_RECORD_BYTES_MIN,
		1, PE_DETAILED_COUNT_MAX, PE_FLAG_ACK, 0, PE_REPLY_ACK},
	[PE_TYPE_SPATIAL_QUERY] = {HEADER_BYTES, sizeof(struct pe_wire_query), 1,
		PE_QUERY_COUNT_MAX, PE_FLAG_PACKED | PE_FLAG_ZSTD, 0, PE_REPLY_ANSWER},
	[PE_TYPE_EXPLAIN] = {FIXED(pe_wire_explain), sizeof(struct pe_wire_query), 1, 1, 0, 0,
		PE_REPLY_EXPLANATION},
	[PE_TYPE_ERASE] = {HEADER_BYTES, sizeof(struct pe_wire_erase), 1, 1, 0, 0, PE_REPLY_ERASED},
	[PE_TYPE_PING] = {HEADER_BYTES, sizeof(struct pe_wire_ping), 1, 1, 0, 0, PE_REPLY_PONG},
	[PE_TYPE_STATE_REQUEST] = {HEADER_BYTES, sizeof(struct pe_wire_state_request), 1, 1, 0, 0,
		PE_REPLY_STATE},
	// its records by operation: pe_wire_subscribe_length
	[PE_TYPE_REGION_SUBSCRIBE] = {FIXED(pe_wire_subscribe), 0, 0, PE_SUBSCRIBE_NAMES_MAX, 0, 0,
		PE_REPLY_SUBSCRIBED},
};

#define ANSWERS_MAX \
	((PE_WIRE_BYTES_MAX - sizeof(struct pe_wire_header)) / sizeof(struct pe_wire_answer))

static const struct shape client_shapes[256] = {
	[PE_TYPE_SPATIAL_UPDATE] = {FIXED(pe_wire_ack_preamble), sizeof(struct pe_wire_ack_record),
		0, PE_UPDATE_COUNT_MAX, PE_FLAG_RESPONSE, PE_FLAG_RESPONSE, PE_REPLY_NONE},
	[PE_TYPE_WITHDRAW] = {FIXED(pe_wire_ack_preamble), sizeof(struct pe_wire_ack_record), 0,
		PE_WITHDRAW_COUNT_MAX, PE_FLAG_RESPONSE, PE_FLAG_RESPONSE, PE_REPLY_NONE},
	[PE_TYPE_DETAILED_UPDATE] = {FIXED(pe_wire_ack_preamble), sizeof(struct pe_wire_ack_record),
		0, PE_DETAILED_COUNT_MAX, PE_FLAG_RESPONSE, PE_FLAG_RESPONSE, PE_REPLY_NONE},
	[PE_TYPE_SPATIAL_RESPONSE] = {HEADER_BYTES, sizeof(struct pe_wire_answer), 1, ANSWERS_MAX,
		0, 0, PE_REPLY_NONE},
	[PE_TYPE_EXPLAIN] = {HEADER_BYTES, sizeof(struct pe_wire_explanation), 1, 1,
		PE_FLAG_RESPONSE, PE_FLAG_RESPONSE, PE_REPLY_NONE},
	[PE_TYPE_ERASED] = {HEADER_BYTES, sizeof(struct pe_wire_erased), 1, 1, 0, 0, PE_REPLY_NONE},
	[PE_TYPE_PONG] = {HEADER_BYTES, sizeof(struct pe_wire_ping), 1, 1, 0, 0, PE_REPLY_NONE},
	[PE_TYPE_REGION_SUBSCRIBE] = {FIXED(pe_wire_subscribed), 0, 0, 1, PE_FLAG_RESPONSE,
		PE_FLAG_RESPONSE, PE_REPLY_NONE},
	[PE_TYPE_NOTICE] = {FIXED(pe_wire_notice), sizeof(struct pe_wire_event), 1,
		PE_NOTICE_EVENTS_MAX, 0, 0, PE_REPLY_NONE},
	[PE_TYPE_STATE_RESPONSE] = {FIXED(pe_wire_state_preamble), sizeof(struct pe_wire_counter),
		0, PE_COUNTERS_COUNT_MAX, 0, 0, PE_REPLY_NONE},
};

// 0, 16, 24 or 32 bytes: copies of fixed sizes, since a call of memcpy costs as much as all the
// checks.
static inline void copy_body(void *to, const uint8_t *from, uint32_t bytes)
{
	if (bytes >= 16)
		memcpy(to, from, 16);
	if (bytes == 24)
		memcpy((uint8_t *)to + 16, from + 16, 8);
	if (bytes == 32)
		memcpy((uint8_t *)to + 16, from + 16, 16);
}
static_assert(FIXED(pe_wire_update_preamble) == 80 + 24 && FIXED(pe_wire_ack_preamble) == 80 + 32 &&
		FIXED(pe_wire_state_preamble) == 80 + 16 && FIXED(pe_wire_explain) == 80 + 32 &&
		sizeof(struct pe_wire_erase) == 32 && sizeof(struct pe_wire_erased) == 32 &&
		sizeof(struct pe_wire_ping) == 16 && sizeof(struct pe_wire_state_request) == 16,
	"the sizes that copy_body knows");

// Everything in front of the body. *view gets the header, the preamble (as far as the data holds
// it) and the reply.
static enum pe_reason check_envelope(const uint8_t *data, uint32_t bytes,
	const struct shape shapes[256], struct pe_wire_view *view)
{
	const struct pe_wire_header *h = &view->header;
	const struct shape *shape;
	uint32_t body_bytes, legal_bytes;
	uint64_t tag[2];

	view->records = NULL;
	view->records_bytes = 0;
	view->count = 0;
	view->reply = PE_REPLY_NONE;
	memset(&view->body, 0, sizeof view->body);
	if (bytes < HEADER_BYTES) {
		memset(&view->header, 0, sizeof view->header);
		return PE_REASON_short_header;
	}
	memcpy(&view->header, data, sizeof view->header);
	if (h->version != PE_WIRE_VERSION)
		return PE_REASON_version;
	shape = &shapes[h->type];
	if (!shape->count_max)
		return PE_REASON_type_unknown;
	if ((h->flags & (unsigned)~shape->flags) ||
		(h->flags & shape->flags_needed) != shape->flags_needed ||
		(h->flags & (PE_FLAG_PACKED | PE_FLAG_ZSTD)) == PE_FLAG_ZSTD)
		return PE_REASON_header_flags;

	// From here on a refusal may be told, if the message reaches as far as what the reply must
	// name.
	if (bytes >= shape->fixed_bytes) {
		body_bytes = shape->fixed_bytes - HEADER_BYTES;
		// ping, state request: the record is the body
		if (!body_bytes && shape->count_max == 1 &&
			bytes >= HEADER_BYTES + shape->record_bytes)
			body_bytes = shape->record_bytes;
		copy_body(&view->body, data + HEADER_BYTES, body_bytes);
		if (shape->reply != PE_REPLY_ACK || (h->flags & PE_FLAG_ACK))
			view->reply = shape->reply;
	}

	if (h->reserved0 | h->reserved1 | h->reserved2)
		return PE_REASON_header_reserved;
	if (h->count < shape->count_min || h->count > shape->count_max)
		return PE_REASON_count;
	legal_bytes = shape->fixed_bytes + (uint32_t)h->count * shape->record_bytes;
	if (shape->reply == PE_REPLY_SUBSCRIBED) {
		enum pe_reason reason = bytes < legal_bytes ? PE_REASON_length :
							      pe_wire_subscribe_length(data, bytes);

		if (reason != PE_REASON_none)
			return reason;
		legal_bytes = bytes;
	}
	// Queries are asked, and have extensions behind them.
	if (shape->record_bytes == sizeof(struct pe_wire_query) && shape->reply &&
		bytes >= legal_bytes && bytes <= PE_WIRE_BYTES_MAX)
		legal_bytes += pe_wire_extensions_bytes(data + shape->fixed_bytes, h->count);
	// A client's shape has acknowledgements of one length.
	if (shape->record_bytes == PE_DETAILED_RECORD_BYTES_MIN && bytes >= legal_bytes &&
		bytes <= PE_WIRE_BYTES_MAX)
		legal_bytes = shape->fixed_bytes +
			pe_wire_detailed_bytes(
				data + shape->fixed_bytes, bytes - shape->fixed_bytes, h->count);
	if (h->type == PE_TYPE_SPATIAL_RESPONSE ? bytes < legal_bytes || bytes > PE_WIRE_BYTES_MAX :
						  bytes != legal_bytes)
		return PE_REASON_length;
	if (h->session_id)
		return PE_REASON_session;
	memcpy(tag, h->tag, sizeof tag);
	if (tag[0] | tag[1])
		return PE_REASON_tag;

	view->records = data + shape->fixed_bytes;
	view->records_bytes = bytes - shape->fixed_bytes;
	view->count = h->count;
	return PE_REASON_none;
}

static enum pe_reason refuse(struct pe_wire_view *view, enum pe_reason reason)
{
	view->records = NULL;
	view->records_bytes = 0;
	view->count = 0;
	return reason;
}

// A PONG and a STATE_RESPONSE answer sound requests; a PING that is not sound has nothing to echo.
static void settle_reply(struct pe_wire_view *view, enum pe_reason reason)
{
	if (reason != PE_REASON_none && view->reply == PE_REPLY_PONG)
		view->reply = PE_REPLY_NONE;
}

// A fence has its query; so that its explanation is no longer than what asks for it, there is room
// for one.
static bool explain_sound(const struct pe_wire_view *view)
{
	const struct pe_wire_explain *e = &view->body.explain;
	uint8_t any = 0;

	if (e->reserved)
		return false;
	if (e->selector == PE_EXPLAIN_QUERY)
		return !e->subject;
	if (e->selector != PE_EXPLAIN_FENCE)
		return false;
	for (unsigned i = 0; i < sizeof(struct pe_wire_query); i++)
		any |= view->records[i];
	return any == 0;
}

enum pe_reason pe_wire_check(const uint8_t *data, uint32_t bytes, struct pe_wire_view *view)
{
	enum pe_reason reason = check_envelope(data, bytes, engine_shapes, view);

	if (reason != PE_REASON_none) {
		settle_reply(view, reason);
		return reason;
	}
	switch (view->header.type) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		if (view->body.update.reserved)
			return refuse(view, PE_REASON_body_reserved);
		break;
	case PE_TYPE_STATE_REQUEST:
		if (view->body.state_request.selector != PE_STATE_COUNTERS ||
			(view->body.state_request.reserved0 | view->body.state_request.reserved1))
			return refuse(view, PE_REASON_body_reserved);
		break;
	case PE_TYPE_ERASE:
		if (view->body.erase.reserved0 || view->body.erase.reserved1)
			return refuse(view, PE_REASON_body_reserved);
		break;
	case PE_TYPE_EXPLAIN:
		if (!explain_sound(view))
			return refuse(view, PE_REASON_body_reserved);
		break;
	case PE_TYPE_REGION_SUBSCRIBE: {
		enum pe_reason fault = pe_wire_subscribe_fields(data);

		if (fault != PE_REASON_none)
			return refuse(view, fault);
		break;
	}
	default:
		break;
	}
	return PE_REASON_none;
}

static bool on_earth(const double v[3])
{
	return v[0] >= -90.0 && v[0] <= 90.0 && v[1] >= -180.0 && v[1] <= 180.0;
}

static bool position_sound(const double v[3], bool geodetic)
{
	return finite3(v) && (!geodetic || on_earth(v));
}

enum pe_reason pe_wire_check_update(
	const struct pe_wire_update *u, const struct pe_wire_limits *limits)
{
	unsigned state = PE_ATTRIBUTE_STATE(u->attributes);

	if (pe_wire_id_nil(u->entity_id))
		return PE_REASON_id_nil;
	if (u->attributes & PE_ATTRIBUTES_RESERVED)
		return PE_REASON_record_reserved;
	if (!entity_type_known(u->entity_type))
		return PE_REASON_entity_type;
	if (state > PE_STATE_CUSTOM || (u->custom_state && state != PE_STATE_CUSTOM))
		return PE_REASON_state;
	// Undefined, so not taken: an entity that asks to be shown less must not be shown as it is.
	if (PE_ATTRIBUTE_PRECISION_LEVEL(u->attributes) > PE_PRECISION_LEVEL_MAX)
		return PE_REASON_visibility;
	if (!position_sound(u->position, limits->geodetic) || !halves_finite(u->velocity))
		return PE_REASON_coordinates;
	if ((u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN) &&
		(!limits->geodetic || u->position[2] != 0.0))
		return PE_REASON_coordinates;
	if (!(u->precision_m >= 0.0f && u->precision_m <= limits->precision_max_m))
		return PE_REASON_precision;
	if (!(u->radius_m >= 0.0f && u->radius_m <= FLT_MAX))
		return PE_REASON_radius;
	if (u->ttl_ms > limits->ttl_max_ms || u->duration_ms > limits->ttl_max_ms)
		return PE_REASON_ttl;
	if (u->entity_type == PE_ENTITY_TEMPORARY && !(u->ttl_ms | u->duration_ms))
		return PE_REASON_ttl_missing;
	return PE_REASON_none;
}

enum pe_reason pe_wire_check_withdraw(const struct pe_wire_withdraw *withdraw)
{
	return pe_wire_id_nil(withdraw->entity_id) ? PE_REASON_id_nil : PE_REASON_none;
}

static enum pe_reason check_volume(const struct pe_wire_query *q, bool geodetic)
{
	switch (q->kind) {
	case PE_QUERY_POINT:
		return position_sound(q->a, geodetic) ? PE_REASON_none :
							PE_REASON_query_coordinates;
	case PE_QUERY_SPHERE:
		if (!position_sound(q->a, geodetic) || !(q->b[0] >= 0.0 && q->b[0] <= DBL_MAX))
			return PE_REASON_query_coordinates;
		return PE_REASON_none;
	case PE_QUERY_NEAREST:
		if (!position_sound(q->a, geodetic) || !(q->b[0] >= 0.0 && q->b[0] <= DBL_MAX))
			return PE_REASON_query_coordinates;
		return q->max_results >= 1 && q->max_results <= PE_QUERY_NEAREST_MAX ?
			PE_REASON_none :
			PE_REASON_query_nearest;
	case PE_QUERY_BOX:
		if (!position_sound(q->a, geodetic) || !position_sound(q->b, geodetic) ||
			q->a[0] > q->b[0])
			return PE_REASON_query_coordinates;
		if (!geodetic && (q->a[1] > q->b[1] || q->a[2] > q->b[2]))
			return PE_REASON_query_coordinates;
		// Heights do not bound a GEODETIC box; one that states them expects what it would
		// not get.
		if (geodetic && (q->a[2] != 0.0 || q->b[2] != 0.0))
			return PE_REASON_query_coordinates;
		return PE_REASON_none;
	default:
		return position_sound(q->a, geodetic) ? PE_REASON_none :
							PE_REASON_query_coordinates;
	}
}

enum pe_reason pe_wire_check_query(const struct pe_wire_query *q, bool geodetic)
{
	enum pe_reason reason;

	if (q->kind < PE_QUERY_POINT || q->kind > PE_QUERY_NEAREST)
		return PE_REASON_query_kind;
	if ((q->reserved1 | q->reserved2 | q->reserved3) || q->priority >= PE_PRIORITIES ||
		(q->flags & (unsigned)~PE_QUERY_FLAGS_DEFINED))
		return PE_REASON_query_flags;
	if (!(q->flags & PE_QUERY_HAS_ORIGIN) && !bits_zero(q->origin, 3))
		return PE_REASON_query_flags;
	if (q->kind != PE_QUERY_BOX && !bits_zero(q->b + 1, 2))
		return PE_REASON_query_flags;
	if (q->kind != PE_QUERY_BOX && q->kind != PE_QUERY_SPHERE && q->kind != PE_QUERY_NEAREST &&
		!bits_zero(q->b, 1))
		return PE_REASON_query_flags;
	if (q->flags & PE_QUERY_HAS_EXTENSION) {
		if (!q->extension_bytes || q->extension_bytes % 8)
			return PE_REASON_query_extension;
	} else if (q->extension_bytes) {
		return PE_REASON_query_flags;
	} else if (pe_query_kind_extended(q->kind)) {
		return PE_REASON_query_extension;
	}
	reason = check_volume(q, geodetic);
	if (reason != PE_REASON_none)
		return reason;
	if ((q->flags & PE_QUERY_HAS_ORIGIN) && !position_sound(q->origin, geodetic))
		return PE_REASON_query_coordinates;
	if ((q->type_mask & (unsigned)~PE_QUERY_TYPE_MASK_DEFINED) ||
		(q->state_mask & (unsigned)~PE_QUERY_STATE_MASK_DEFINED))
		return PE_REASON_query_filter;
	if (q->flags & PE_QUERY_HEIGHT_RANGE) {
		if (!(q->height_min >= -FLT_MAX && q->height_max <= FLT_MAX &&
			    q->height_min <= q->height_max))
			return PE_REASON_query_filter;
	} else if (!bits_zero(&q->height_min, 1)) { // and height_max, which follows it
		return PE_REASON_query_filter;
	}
	// A cursor of zero with its flag is the start: where an answer ended that had room for
	// nothing.
	if (!(q->flags & PE_QUERY_HAS_CURSOR) && !bits_zero(q->cursor, 2))
		return PE_REASON_query_cursor;
	// Its answer is whole, or it is cut and there is no going on.
	if (q->kind == PE_QUERY_NEAREST && (q->flags & PE_QUERY_HAS_CURSOR))
		return PE_REASON_query_cursor;
	return PE_REASON_none;
}
static_assert(offsetof(struct pe_wire_query, height_max) ==
		offsetof(struct pe_wire_query, height_min) + 4,
	"the two heights are one word");

enum pe_reason pe_wire_check_reply(const uint8_t *data, uint32_t bytes, struct pe_wire_view *view)
{
	enum pe_reason reason = check_envelope(data, bytes, client_shapes, view);
	struct pe_wire_explanation explanation;
	struct pe_wire_erased erased;

	if (reason != PE_REASON_none)
		return reason;
	switch (view->header.type) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		reason = pe_wire_check_acks(view);
		break;
	case PE_TYPE_SPATIAL_RESPONSE:
		reason = pe_wire_check_response(view);
		break;
	case PE_TYPE_EXPLAIN:
		pe_wire_get_explanation(view, &explanation);
		reason = pe_wire_check_explanation(&explanation);
		break;
	case PE_TYPE_ERASED:
		pe_wire_get_erased(view, &erased);
		reason = pe_wire_check_erased(&erased);
		break;
	case PE_TYPE_STATE_RESPONSE:
		reason = pe_wire_check_state(view);
		break;
	case PE_TYPE_REGION_SUBSCRIBE:
		reason = pe_wire_check_subscribed(data, view->count);
		break;
	case PE_TYPE_NOTICE:
		reason = pe_wire_check_notice(data, view);
		break;
	default:
		break;
	}
	return reason == PE_REASON_none ? reason : refuse(view, reason);
}

// All that the envelope tells of lengths is that an answer has room.
enum pe_reason pe_wire_check_unpacked(
	const uint8_t *data, uint32_t bytes, struct pe_wire_view *view)
{
	enum pe_reason reason = check_envelope(
		data, bytes < PE_WIRE_BYTES_MAX ? bytes : PE_WIRE_BYTES_MAX, client_shapes, view);

	if (reason == PE_REASON_none && view->header.type != PE_TYPE_SPATIAL_RESPONSE)
		reason = PE_REASON_type_unknown;
	view->records_bytes = bytes - HEADER_BYTES;
	if (reason == PE_REASON_none)
		reason = pe_wire_check_response(view);
	return reason == PE_REASON_none ? reason : refuse(view, reason);
}
