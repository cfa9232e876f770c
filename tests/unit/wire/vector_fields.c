#include "vector_fields.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/details.h"
#include "wire/erase.h"
#include "wire/explain.h"
#include "wire/half.h"
#include "wire/subscribe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(type, member, name, kind, count) \
	{ \
		name, offsetof(struct type, member), VECTOR_##kind, count \
	}
#define END \
	{ \
		NULL, 0, VECTOR_ID, 0 \
	}

const struct vector_field vector_header[] = {
	FIELD(pe_wire_header, version, "version", U8, 1),
	FIELD(pe_wire_header, type, "type", U8, 1),
	FIELD(pe_wire_header, flags, "flags", U16, 1),
	FIELD(pe_wire_header, stream_id, "stream_id", U32, 1),
	FIELD(pe_wire_header, sequence, "sequence", U64, 1),
	FIELD(pe_wire_header, timestamp_ms, "timestamp", U64, 1),
	FIELD(pe_wire_header, session_id, "session_id", U64, 1),
	FIELD(pe_wire_header, count, "count", U16, 1),
	FIELD(pe_wire_header, space_id, "space_id", ID, 1),
	FIELD(pe_wire_header, tag, "tag", ID, 1),
	END,
};
const struct vector_field vector_update_preamble[] = {
	FIELD(pe_wire_update_preamble, broadcast_id, "broadcast_id", ID, 1),
	FIELD(pe_wire_update_preamble, incarnation, "incarnation", U32, 1),
	END,
};
const struct vector_field vector_update[] = {
	FIELD(pe_wire_update, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_update, position, "position", F64, 3),
	FIELD(pe_wire_update, sequence, "sequence", U32, 1),
	FIELD(pe_wire_update, time_offset_ms, "time_offset", I32, 1),
	FIELD(pe_wire_update, ttl_ms, "ttl", U32, 1),
	FIELD(pe_wire_update, duration_ms, "duration", U32, 1),
	FIELD(pe_wire_update, radius_m, "radius", F32, 1),
	FIELD(pe_wire_update, precision_m, "precision", F32, 1),
	FIELD(pe_wire_update, velocity, "velocity", F16, 3),
	FIELD(pe_wire_update, frequency, "frequency", U16, 1),
	FIELD(pe_wire_update, update_frequency, "update_frequency", U16, 1),
	FIELD(pe_wire_update, position_confidence, "position_confidence", U8, 1),
	FIELD(pe_wire_update, status_confidence, "status_confidence", U8, 1),
	FIELD(pe_wire_update, entity_type, "entity_type", U8, 1),
	FIELD(pe_wire_update, custom_state, "custom_state", U8, 1),
	FIELD(pe_wire_update, attributes, "attributes", U16, 1),
	END,
};
const struct vector_field vector_withdraw[] = {
	FIELD(pe_wire_withdraw, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_withdraw, sequence, "sequence", U32, 1),
	FIELD(pe_wire_withdraw, time_offset_ms, "time_offset", I32, 1),
	END,
};
const struct vector_field vector_ack_preamble[] = {
	FIELD(pe_wire_ack_preamble, broadcast_id, "broadcast_id", ID, 1),
	FIELD(pe_wire_ack_preamble, request_sequence, "request_sequence", U64, 1),
	FIELD(pe_wire_ack_preamble, code, "code", U8, 1),
	FIELD(pe_wire_ack_preamble, reason, "reason", U8, 1),
	END,
};
const struct vector_field vector_ack[] = {
	FIELD(pe_wire_ack_record, status, "status", U8, 1),
	FIELD(pe_wire_ack_record, code, "code", U8, 1),
	FIELD(pe_wire_ack_record, reason, "reason", U8, 1),
	FIELD(pe_wire_ack_record, known_incarnation, "known_incarnation", U32, 1),
	FIELD(pe_wire_ack_record, known_sequence, "known_sequence", U32, 1),
	FIELD(pe_wire_ack_record, silence_ms, "silence", U32, 1),
	END,
};
const struct vector_field vector_ping[] = {
	FIELD(pe_wire_ping, opaque, "opaque", ID, 1),
	END,
};
const struct vector_field vector_query[] = {
	FIELD(pe_wire_query, query_id, "query_id", U32, 1),
	FIELD(pe_wire_query, kind, "kind", U8, 1),
	FIELD(pe_wire_query, priority, "priority", U8, 1),
	FIELD(pe_wire_query, flags, "flags", U16, 1),
	FIELD(pe_wire_query, max_results, "max_results", U16, 1),
	FIELD(pe_wire_query, timeout_ms, "timeout", U16, 1),
	FIELD(pe_wire_query, type_mask, "type_mask", U16, 1),
	FIELD(pe_wire_query, state_mask, "state_mask", U16, 1),
	FIELD(pe_wire_query, a, "a", F64, 3),
	FIELD(pe_wire_query, b, "b", F64, 3),
	FIELD(pe_wire_query, origin, "origin", F64, 3),
	FIELD(pe_wire_query, height_min, "height_min", F32, 1),
	FIELD(pe_wire_query, height_max, "height_max", F32, 1),
	FIELD(pe_wire_query, cursor, "cursor", U64, 2),
	FIELD(pe_wire_query, extension_bytes, "extension_bytes", U16, 1),
	END,
};
const struct vector_field vector_subscribe[] = {
	FIELD(pe_wire_subscribe, subscription_id, "subscription_id", U32, 1),
	FIELD(pe_wire_subscribe, epoch, "epoch", U32, 1),
	FIELD(pe_wire_subscribe, op, "op", U8, 1),
	FIELD(pe_wire_subscribe, priority, "priority", U8, 1),
	FIELD(pe_wire_subscribe, flags, "flags", U16, 1),
	FIELD(pe_wire_subscribe, update_frequency, "update_frequency", U16, 1),
	FIELD(pe_wire_subscribe, window, "window", U16, 1),
	FIELD(pe_wire_subscribe, resolution_m, "resolution", F32, 1),
	FIELD(pe_wire_subscribe, expiration_ms, "expiration", U32, 1),
	FIELD(pe_wire_subscribe, sequence, "sequence", U64, 1),
	FIELD(pe_wire_subscribe, message, "message", U32, 1),
	END,
};
const struct vector_field vector_subscribed[] = {
	FIELD(pe_wire_subscribed, subscription_id, "subscription_id", U32, 1),
	FIELD(pe_wire_subscribed, epoch, "epoch", U32, 1),
	FIELD(pe_wire_subscribed, op, "op", U8, 1),
	FIELD(pe_wire_subscribed, code, "code", U8, 1),
	FIELD(pe_wire_subscribed, reason, "reason", U8, 1),
	FIELD(pe_wire_subscribed, flags, "flags", U8, 1),
	FIELD(pe_wire_subscribed, fault_index, "fault_index", U16, 1),
	FIELD(pe_wire_subscribed, fence_count, "fence_count", U32, 1),
	FIELD(pe_wire_subscribed, message, "message", U32, 1),
	FIELD(pe_wire_subscribed, next_sequence, "next_sequence", U64, 1),
	FIELD(pe_wire_subscribed, lease_ms, "lease", U32, 1),
	FIELD(pe_wire_subscribed, published_m, "published", F32, 1),
	FIELD(pe_wire_subscribed, request_sequence, "request_sequence", U64, 1),
	END,
};
const struct vector_field vector_fence[] = {
	FIELD(pe_wire_fence, fence_id, "fence_id", U32, 1),
	FIELD(pe_wire_fence, flags, "fence_flags", U16, 1),
	FIELD(pe_wire_fence, margin_m, "margin", F32, 1),
	FIELD(pe_wire_fence, enter_ms, "enter_ms", U32, 1),
	FIELD(pe_wire_fence, leave_ms, "leave_ms", U32, 1),
	FIELD(pe_wire_fence, follow_id, "follow_id", ID, 1),
	FIELD(pe_wire_fence, query.query_id, "query_id", U32, 1),
	FIELD(pe_wire_fence, query.kind, "kind", U8, 1),
	FIELD(pe_wire_fence, query.flags, "flags", U16, 1),
	FIELD(pe_wire_fence, query.type_mask, "type_mask", U16, 1),
	FIELD(pe_wire_fence, query.state_mask, "state_mask", U16, 1),
	FIELD(pe_wire_fence, query.a, "a", F64, 3),
	FIELD(pe_wire_fence, query.b, "b", F64, 3),
	FIELD(pe_wire_fence, query.extension_bytes, "extension_bytes", U16, 1),
	END,
};
const struct vector_field vector_fence_name[] = {
	FIELD(pe_wire_fence_name, fence_id, "fence_id", U32, 1),
	END,
};
const struct vector_field vector_notice[] = {
	FIELD(pe_wire_notice, subscription_id, "subscription_id", U32, 1),
	FIELD(pe_wire_notice, epoch, "epoch", U32, 1),
	FIELD(pe_wire_notice, first_sequence, "first_sequence", U64, 1),
	END,
};
const struct vector_field vector_event[] = {
	FIELD(pe_wire_event, fence_id, "fence_id", U32, 1),
	FIELD(pe_wire_event, kind, "kind", U8, 1),
	FIELD(pe_wire_event, cause, "cause", U8, 1),
	FIELD(pe_wire_event, flags, "flags", U16, 1),
	FIELD(pe_wire_event, time_ms, "time", U64, 1),
	FIELD(pe_wire_event, result.entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_event, result.position, "position", F64, 3),
	FIELD(pe_wire_event, result.age_ms, "age", I32, 1),
	FIELD(pe_wire_event, result.distance_m, "distance", F32, 1),
	FIELD(pe_wire_event, result.velocity, "velocity", F16, 3),
	FIELD(pe_wire_event, result.precision, "precision", F16, 1),
	FIELD(pe_wire_event, result.ttl_left, "ttl_left", U16, 1),
	FIELD(pe_wire_event, result.state, "state", U8, 1),
	FIELD(pe_wire_event, result.entity_type, "entity_type", U8, 1),
	FIELD(pe_wire_event, result.position_confidence, "position_confidence", U8, 1),
	END,
};
const struct vector_field vector_answer[] = {
	FIELD(pe_wire_answer, query_id, "query_id", U32, 1),
	FIELD(pe_wire_answer, code, "code", U8, 1),
	FIELD(pe_wire_answer, reason, "reason", U8, 1),
	FIELD(pe_wire_answer, flags, "flags", U16, 1),
	FIELD(pe_wire_answer, request_sequence, "request_sequence", U64, 1),
	FIELD(pe_wire_answer, stream_id, "stream_id", U32, 1),
	FIELD(pe_wire_answer, part, "part", U16, 1),
	FIELD(pe_wire_answer, result_count, "result_count", U16, 1),
	FIELD(pe_wire_answer, cursor, "cursor", U64, 2),
	FIELD(pe_wire_answer, detail, "detail", U64, 1),
	END,
};
const struct vector_field vector_short[] = {
	FIELD(pe_wire_short, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_short, position, "position", F64, 3),
	END,
};
const struct vector_field vector_cell[] = {
	FIELD(pe_wire_cell, centre, "centre", F64, 3),
	FIELD(pe_wire_cell, count, "count", U32, 1),
	FIELD(pe_wire_cell, size_m, "size", F32, 1),
	FIELD(pe_wire_cell, height_m, "height", F32, 1),
	FIELD(pe_wire_cell, newest_age_ms, "newest_age", I32, 1),
	FIELD(pe_wire_cell, level, "level", U8, 1),
	FIELD(pe_wire_cell, flags, "flags", U8, 1),
	FIELD(pe_wire_cell, below, "below", U16, 1),
	FIELD(pe_wire_cell, below_cells, "below_cells", U32, 1),
	END,
};
const struct vector_field vector_result[] = {
	FIELD(pe_wire_result, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_result, position, "position", F64, 3),
	FIELD(pe_wire_result, age_ms, "age", I32, 1),
	FIELD(pe_wire_result, distance_m, "distance", F32, 1),
	FIELD(pe_wire_result, velocity, "velocity", F16, 3),
	FIELD(pe_wire_result, precision, "precision", F16, 1),
	FIELD(pe_wire_result, ttl_left, "ttl_left", U16, 1),
	FIELD(pe_wire_result, state, "state", U8, 1),
	FIELD(pe_wire_result, custom_state, "custom_state", U8, 1),
	FIELD(pe_wire_result, entity_type, "entity_type", U8, 1),
	FIELD(pe_wire_result, position_confidence, "position_confidence", U8, 1),
	FIELD(pe_wire_result, status_confidence, "status_confidence", U8, 1),
	END,
};
const struct vector_field vector_state_request[] = {
	FIELD(pe_wire_state_request, selector, "selector", U16, 1),
	FIELD(pe_wire_state_request, first, "first", U16, 1),
	END,
};
const struct vector_field vector_state_preamble[] = {
	FIELD(pe_wire_state_preamble, selector, "selector", U16, 1),
	FIELD(pe_wire_state_preamble, first, "first", U16, 1),
	FIELD(pe_wire_state_preamble, total, "total", U16, 1),
	FIELD(pe_wire_state_preamble, code, "code", U8, 1),
	FIELD(pe_wire_state_preamble, reason, "reason", U8, 1),
	FIELD(pe_wire_state_preamble, request_sequence, "request_sequence", U64, 1),
	END,
};
const struct vector_field vector_erase[] = {
	FIELD(pe_wire_erase, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_erase, incarnation, "incarnation", U32, 1),
	END,
};
const struct vector_field vector_erased[] = {
	FIELD(pe_wire_erased, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_erased, request_sequence, "request_sequence", U64, 1),
	FIELD(pe_wire_erased, where, "where", U32, 1),
	FIELD(pe_wire_erased, status, "status", U8, 1),
	FIELD(pe_wire_erased, code, "code", U8, 1),
	FIELD(pe_wire_erased, reason, "reason", U8, 1),
	END,
};
const struct vector_field vector_explain[] = {
	FIELD(pe_wire_explain, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_explain, selector, "selector", U32, 1),
	FIELD(pe_wire_explain, subject, "subject", U64, 1),
	END,
};
const struct vector_field vector_explanation[] = {
	FIELD(pe_wire_explanation, request_sequence, "request_sequence", U64, 1),
	FIELD(pe_wire_explanation, selector, "selector", U32, 1),
	FIELD(pe_wire_explanation, query_id, "query_id", U32, 1),
	FIELD(pe_wire_explanation, code, "code", U8, 1),
	FIELD(pe_wire_explanation, reason, "reason", U8, 1),
	FIELD(pe_wire_explanation, verdict, "verdict", U8, 1),
	FIELD(pe_wire_explanation, first_cause, "first_cause", U8, 1),
	FIELD(pe_wire_explanation, causes, "causes", U32, 1),
	FIELD(pe_wire_explanation, entity_id, "entity_id", ID, 1),
	FIELD(pe_wire_explanation, position, "position", F64, 3),
	FIELD(pe_wire_explanation, distance_m, "distance", F64, 1),
	FIELD(pe_wire_explanation, edge_m, "edge", F64, 1),
	FIELD(pe_wire_explanation, beyond_m, "beyond", F64, 1),
	FIELD(pe_wire_explanation, asker_m, "asker", F64, 1),
	FIELD(pe_wire_explanation, held_m, "held", F64, 1),
	FIELD(pe_wire_explanation, radius_m, "radius", F32, 1),
	FIELD(pe_wire_explanation, age_ms, "age", I32, 1),
	FIELD(pe_wire_explanation, ttl_left_ms, "ttl_left", U32, 1),
	FIELD(pe_wire_explanation, held_ms, "held_ms", U32, 1),
	FIELD(pe_wire_explanation, due_ms, "due", U32, 1),
	FIELD(pe_wire_explanation, filter_step, "filter_step", U16, 1),
	FIELD(pe_wire_explanation, state, "state", U8, 1),
	FIELD(pe_wire_explanation, entity_type, "entity_type", U8, 1),
	END,
};
const struct vector_field vector_counter[] = {
	FIELD(pe_wire_counter, index, "index", U16, 1),
	FIELD(pe_wire_counter, value, "value", U64, 1),
	END,
};

size_t vector_unhex(const char *text, uint8_t *to, size_t size)
{
	size_t n = strlen(text) / 2;

	if (strlen(text) % 2 || n > size)
		abort();
	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			abort();
		to[i] = (uint8_t)byte;
	}
	return n;
}

static uint64_t integer(const json_t *v)
{
	return json_is_string(v) ? strtoull(json_string_value(v), NULL, 10) :
				   (uint64_t)json_integer_value(v);
}

static void fill_one(uint8_t *at, enum vector_kind kind, const json_t *v)
{
	double number = json_number_value(v);
	uint64_t whole = integer(v);
	float single = (float)number;
	uint16_t half = pe_half_from_float(single);

	switch (kind) {
	case VECTOR_ID:
		if (vector_unhex(json_string_value(v), at, 16) != 16)
			abort();
		break;
	case VECTOR_U8:
		memcpy(at, &whole, 1);
		break;
	case VECTOR_U16:
		memcpy(at, &whole, 2);
		break;
	case VECTOR_U32:
	case VECTOR_I32:
		memcpy(at, &whole, 4);
		break;
	case VECTOR_U64:
		memcpy(at, &whole, 8);
		break;
	case VECTOR_F32:
		memcpy(at, &single, 4);
		break;
	case VECTOR_F64:
		memcpy(at, &number, 8);
		break;
	case VECTOR_F16:
		memcpy(at, &half, 2);
		break;
	}
}

const char *vector_fill(void *to, const struct vector_field *fields, const json_t *from)
{
	static const size_t bytes_of[] = {[VECTOR_ID] = 16,
		[VECTOR_U8] = 1,
		[VECTOR_U16] = 2,
		[VECTOR_U32] = 4,
		[VECTOR_U64] = 8,
		[VECTOR_I32] = 4,
		[VECTOR_F32] = 4,
		[VECTOR_F64] = 8,
		[VECTOR_F16] = 2};
	const char *name, *wrong = NULL;
	json_t *value;

	json_object_foreach((json_t *)from, name, value)
	{
		const struct vector_field *f = fields;

		if (strcmp(name, "results") == 0 || strcmp(name, "extension") == 0 ||
			strcmp(name, "blocks") == 0)
			continue;
		while (f->name && strcmp(f->name, name) != 0)
			f++;
		if (!f->name) {
			wrong = name;
			continue;
		}
		if (json_is_array(value) && json_array_size(value) != f->count)
			wrong = name;
		for (unsigned i = 0; i < f->count; i++)
			fill_one((uint8_t *)to + f->offset + i * bytes_of[f->kind], f->kind,
				json_is_array(value) ? json_array_get(value, i) : value);
	}

	return wrong;
}
