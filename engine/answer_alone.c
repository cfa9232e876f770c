// Replies that stand alone: acknowledgements, pongs, counters, and refusals of whole messages. None
// is longer than its request where the source is not trusted.
#include "answer.h"

#include "wire/subscribe.h"

struct pe_wire_header pe_answer_header(struct pe_worker *w, const struct pe_wire_header *request)
{
	return pe_wire_reply_header(request, ++w->tx_sequence, w->wall_ms);
}

void pe_answer_send_to(
	struct pe_worker *w, const struct pe_peer *peer, uint8_t *buffer, uint32_t bytes)
{
	w->sink->commit(w->sink->context, peer, buffer, bytes);
	if (!bytes)
		return;
	pe_count(&w->counters, PE_COUNTER_tx_packets, 1);
	pe_count(&w->counters, PE_COUNTER_tx_bytes, bytes);
}

uint8_t *pe_answer_reserve(struct pe_worker *w, const struct pe_message *m)
{
	uint8_t *buffer = w->sink->reserve(w->sink->context, &m->peer);

	if (!buffer)
		pe_count(&w->counters, PE_COUNTER_tx_dropped, 1);
	return buffer;
}

void pe_answer_send(
	struct pe_worker *w, const struct pe_message *m, uint8_t *buffer, uint32_t bytes)
{
	if (!m->peer.trusted && bytes > m->bytes) {
		pe_count(&w->counters, PE_COUNTER_reply_withheld, 1);
		bytes = 0;
	}
	pe_answer_send_to(w, &m->peer, buffer, bytes);
}

uint8_t *pe_answer_reserve_for(struct pe_worker *w, const struct pe_peer *peer)
{
	uint8_t *buffer = w->sink->reserve(w->sink->context, peer);

	if (!buffer)
		pe_count(&w->counters, PE_COUNTER_tx_dropped, 1);
	return buffer;
}

void pe_answer_ack(struct pe_worker *w, const struct pe_message *m, const struct pe_wire_view *view,
	const struct pe_wire_ack_record *records)
{
	struct pe_wire_header header = pe_answer_header(w, &view->header);
	uint8_t *buffer = pe_answer_reserve(w, m);

	if (buffer)
		pe_answer_send(w, m, buffer,
			pe_wire_put_ack(buffer, PE_WIRE_BYTES_MAX, &header, view->header.type,
				view->body.update.broadcast_id, view->header.sequence,
				PE_REASON_none, records, view->count));
}

void pe_answer_erased(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, const struct pe_wire_ack_record *record)
{
	struct pe_wire_header header = pe_answer_header(w, &view->header);
	struct pe_wire_erased e = {.request_sequence = view->header.sequence,
		.status = record->status,
		.code = record->code,
		.reason = record->reason};
	uint8_t *buffer = pe_answer_reserve(w, m);

	memcpy(e.entity_id, view->body.erase.entity_id, sizeof e.entity_id);
	if (record->status == PE_ACK_APPLIED)
		e.where = record->known_sequence;
	if (buffer)
		pe_answer_send(
			w, m, buffer, pe_wire_put_erased(buffer, PE_WIRE_BYTES_MAX, &header, &e));
}

void pe_answer_pong(
	struct pe_worker *w, const struct pe_message *m, const struct pe_wire_view *view)
{
	struct pe_wire_header header = pe_answer_header(w, &view->header);
	uint8_t *buffer = pe_answer_reserve(w, m);

	if (buffer)
		pe_answer_send(w, m, buffer,
			pe_wire_put_pong(buffer, PE_WIRE_BYTES_MAX, &header, &view->body.ping));
}

void pe_answer_state(
	struct pe_worker *w, const struct pe_message *m, const struct pe_wire_view *view)
{
	struct pe_wire_header header = pe_answer_header(w, &view->header);
	uint64_t values[PE_COUNTER_COUNT];
	struct pe_wire_counter counters[PE_COUNTERS_COUNT_MAX];
	unsigned count = 0;
	uint8_t *buffer = pe_answer_reserve(w, m);

	if (!buffer)
		return;
	pe_engine_counters(w->engine, values);
	for (unsigned i = view->body.state_request.first;
		i < PE_COUNTER_COUNT && count < PE_COUNTERS_COUNT_MAX; i++)
		counters[count++] =
			(struct pe_wire_counter){.index = (uint16_t)i, .value = values[i]};
	pe_answer_send(w, m, buffer,
		pe_wire_put_state_response(buffer, PE_WIRE_BYTES_MAX, &header,
			&view->body.state_request, view->header.sequence, PE_COUNTER_COUNT,
			PE_REASON_none, counters, count));
}

void pe_answer_refusal(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, enum pe_reason reason)
{
	// Junk from strangers gets silence.
	if (m->peer.trusted)
		pe_answer_refused(w, m, view, reason);
}

void pe_answer_refused(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, enum pe_reason reason)
{
	struct pe_wire_header header;
	uint8_t *buffer;
	uint32_t bytes = 0;

	// What cannot be answered.
	if (view->reply == PE_REPLY_NONE)
		return;
	buffer = pe_answer_reserve(w, m);
	if (!buffer)
		return;
	header = pe_answer_header(w, &view->header);
	switch (view->reply) {
	case PE_REPLY_ACK:
		bytes = pe_wire_put_ack(buffer, PE_WIRE_BYTES_MAX, &header, view->header.type,
			view->body.update.broadcast_id, view->header.sequence, reason, NULL, 0);
		break;
	case PE_REPLY_ANSWER: {
		struct pe_wire_response r;

		pe_wire_response_begin(&r, buffer, PE_WIRE_BYTES_MAX);
		if (pe_wire_response_open(
			    &r, 0, view->header.stream_id, view->header.sequence, 0)) {
			pe_wire_response_close(&r, reason, PE_ANSWER_LAST | PE_ANSWER_PACKET, NULL);
			bytes = pe_wire_response_finish(&r, &header);
		}
		break;
	}
	case PE_REPLY_STATE:
		bytes = pe_wire_put_state_response(buffer, PE_WIRE_BYTES_MAX, &header,
			&view->body.state_request, view->header.sequence, PE_COUNTER_COUNT, reason,
			NULL, 0);
		break;
	case PE_REPLY_EXPLANATION: {
		struct pe_wire_explanation e = {.request_sequence = view->header.sequence,
			.selector = view->body.explain.selector};

		memcpy(e.entity_id, view->body.explain.entity_id, sizeof e.entity_id);
		bytes = pe_wire_put_explanation(buffer, PE_WIRE_BYTES_MAX, &header, reason, &e);
		break;
	}
	case PE_REPLY_ERASED: {
		struct pe_wire_erased e = {.request_sequence = view->header.sequence,
			.status = PE_ACK_REFUSED,
			.code = pe_reason_info[reason].code,
			.reason = (uint8_t)reason};

		memcpy(e.entity_id, view->body.erase.entity_id, sizeof e.entity_id);
		bytes = pe_wire_put_erased(buffer, PE_WIRE_BYTES_MAX, &header, &e);
		break;
	}
	case PE_REPLY_SUBSCRIBED: {
		struct pe_wire_subscribe request;
		struct pe_wire_subscribed done = {.fault_index = PE_FAULT_NONE};

		pe_wire_get_subscribe(m->data, &request);
		done.subscription_id = request.subscription_id;
		done.epoch = request.epoch;
		done.op = request.op;
		done.reason = (uint8_t)reason;
		done.code = pe_reason_info[reason].code;
		done.request_sequence = view->header.sequence;
		bytes = pe_wire_put_subscribed(buffer, PE_WIRE_BYTES_MAX, &header, &done);
		break;
	}
	default: // a ping that is malformed
		break;
	}
	pe_answer_send(w, m, buffer, bytes);
}
