#include "harness.h"

#include <stdlib.h>
#include <string.h>

int harness_acks(struct harness *h, uint64_t sequence, struct pe_wire_ack_record *records,
	enum pe_reason *refused)
{
	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;

		if (harness_check_reply(h, i, &v) != PE_REASON_none)
			continue;
		if ((v.header.type != PE_TYPE_SPATIAL_UPDATE &&
			    v.header.type != PE_TYPE_DETAILED_UPDATE &&
			    v.header.type != PE_TYPE_WITHDRAW) ||
			v.body.ack.request_sequence != sequence)
			continue;
		HARNESS_CHECK(memcmp(v.body.ack.broadcast_id, &sequence, sizeof sequence) == 0);
		*refused = v.body.ack.reason;
		for (unsigned k = 0; k < v.count; k++)
			pe_wire_get_ack(&v, k, &records[k]);
		return v.count;
	}
	return -1;
}

static struct pe_wire_ack_record only_ack(struct harness *h, uint64_t sequence)
{
	struct pe_wire_ack_record records[PE_WITHDRAW_COUNT_MAX];
	enum pe_reason refused;
	int count = harness_acks(h, sequence, records, &refused);

	HARNESS_CHECK(count == 1);
	if (count != 1)
		memset(records, 0xFF, sizeof records[0]);
	return records[0];
}

struct pe_wire_ack_record harness_send(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_update *update)
{
	uint64_t sequence = harness_queue_updates(h, space, incarnation, update, 1, true);

	harness_turn(h);
	return only_ack(h, sequence);
}

struct pe_wire_ack_record harness_send_detailed(
	struct harness *h, unsigned space, uint32_t incarnation, const uint8_t *record)
{
	uint64_t sequence = harness_queue_detailed(
		h, space, incarnation, record, pe_wire_detailed_next(record), 1, true);

	harness_turn(h);
	return only_ack(h, sequence);
}

struct pe_wire_ack_record harness_withdraw(
	struct harness *h, unsigned space, uint32_t incarnation, uint64_t n, uint32_t sequence)
{
	struct pe_wire_withdraw x = {.sequence = sequence};
	uint64_t packet;

	harness_id(x.entity_id, n);
	packet = harness_queue_withdraws(h, space, incarnation, &x, 1, true);
	harness_turn(h);
	return only_ack(h, packet);
}

struct pe_wire_erased harness_erased(struct harness *h, uint64_t sequence)
{
	struct pe_wire_erased e;

	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;

		if (pe_wire_check_reply(h->replies[i].data, h->replies[i].bytes, &v) !=
				PE_REASON_none ||
			v.header.type != PE_TYPE_ERASED)
			continue;
		pe_wire_get_erased(&v, &e);
		if (e.request_sequence == sequence)
			return e;
	}
	memset(&e, 0xFF, sizeof e);
	return e;
}

struct pe_wire_erased harness_erase(
	struct harness *h, unsigned space, uint64_t n, uint32_t incarnation)
{
	uint64_t sequence = harness_queue_erase(h, space, n, incarnation);

	harness_turn(h);
	return harness_erased(h, sequence);
}

// Its bytes.
static uint32_t take_result(struct harness_answer *answer, const uint8_t *results, unsigned flags)
{
	uint32_t bytes = pe_answer_result_bytes(flags), details_bytes = 0;
	struct pe_wire_result *r = &answer->results[answer->count];
	struct pe_wire_short brief;

	if (flags & PE_ANSWER_CELLS) {
		pe_wire_get_cell(results, 0, &answer->cells[answer->count]);
	} else if (flags & PE_ANSWER_SHORT) {
		pe_wire_get_short(results, 0, &brief);
		memset(r, 0, sizeof *r);
		memcpy(r->entity_id, brief.entity_id, sizeof r->entity_id);
		memcpy(r->position, brief.position, sizeof r->position);
		if (r->position[2] != r->position[2]) {
			r->position[2] = 0;
			r->state = PE_RESULT_HEIGHT_UNKNOWN;
		}
	} else {
		pe_wire_get_result(results, 0, r);
	}
	if (flags & PE_ANSWER_DETAILED) {
		bytes = pe_wire_result_bytes(results, true);
		details_bytes = bytes - (uint32_t)sizeof *r;
	}
	HARNESS_CHECK(answer->details_bytes + details_bytes <= HARNESS_DETAILS_MAX);
	if (answer->details_bytes + details_bytes <= HARNESS_DETAILS_MAX) {
		memcpy(answer->details + answer->details_bytes, results + sizeof *r, details_bytes);
		answer->details_at[answer->count] = answer->details_bytes;
		answer->details_bytes += details_bytes;
	}
	answer->count++;
	return bytes;
}

void harness_answer(
	struct harness *h, uint64_t sequence, uint32_t query_id, struct harness_answer *answer)
{
	bool last = false;

	answer->whole = answer->truncated = false;
	answer->code = answer->reason = 0;
	answer->form = 0;
	answer->detail = 0;
	answer->count = answer->part_count = answer->details_bytes = 0;
	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;
		struct pe_wire_answer a;
		const uint8_t *results;
		uint32_t offset = 0;

		if (harness_check_reply(h, i, &v) != PE_REASON_none ||
			v.header.type != PE_TYPE_SPATIAL_RESPONSE)
			continue;
		while (pe_wire_next_answer(&v, &offset, &a, &results)) {
			if (a.request_sequence != sequence ||
				(a.query_id != query_id && !(a.flags & PE_ANSWER_PACKET)))
				continue;
			HARNESS_CHECK(!last && a.part == answer->part_count);
			HARNESS_CHECK(!answer->part_count ||
				answer->form == (a.flags & (PE_ANSWER_SHORT | PE_ANSWER_CELLS)));
			answer->form = a.flags & (PE_ANSWER_SHORT | PE_ANSWER_CELLS);
			answer->detail = a.detail;
			answer->part_count++;
			answer->code = a.code;
			answer->reason = a.reason;
			for (unsigned k = 0;
				k < a.result_count && answer->count < PE_QUERY_RESULTS_MAX; k++)
				results += take_result(answer, results, a.flags);
			last |= (a.flags & PE_ANSWER_LAST) != 0;
			if (a.flags & PE_ANSWER_TRUNCATED) {
				answer->truncated = true;
				memcpy(answer->cursor, a.cursor, sizeof answer->cursor);
			}
		}
	}
	answer->whole = last;
}

void harness_ask(struct harness *h, unsigned worker, unsigned space,
	const struct pe_wire_query *query, struct harness_answer *answer)
{
	harness_ask_extended(h, worker, space, query, NULL, 0, answer);
}

void harness_ask_extended(struct harness *h, unsigned worker, unsigned space,
	const struct pe_wire_query *query, const uint8_t *extension, uint32_t extension_bytes,
	struct harness_answer *answer)
{
	struct pe_wire_query q = *query;
	uint64_t sequence;

	if (extension_bytes) {
		q.flags |= PE_QUERY_HAS_EXTENSION;
		q.extension_bytes = (uint16_t)extension_bytes;
	}
	sequence = harness_queue_extended(h, space, &q, 1, extension, extension_bytes);
	harness_turn_worker(h, worker);
	harness_answer(h, sequence, query->query_id, answer);
}

unsigned harness_sees(struct harness *h, unsigned worker, unsigned space, uint64_t n,
	const struct pe_wire_query *query, struct pe_wire_result *result)
{
	struct harness_answer *a = malloc(sizeof *a);
	unsigned count = 0;

	if (!a)
		abort();
	harness_ask(h, worker, space, query, a);
	HARNESS_CHECK(a->whole && a->code == PE_CODE_SUCCESS);
	for (unsigned i = 0; i < a->count; i++)
		if (harness_id_number(a->results[i].entity_id) == n) {
			count++;
			if (result)
				*result = a->results[i];
		}
	free(a);
	return count;
}

bool harness_explain(struct harness *h, unsigned worker, unsigned space, const uint8_t id[16],
	const struct pe_wire_query *query, const uint8_t *extension, uint32_t extension_bytes,
	struct pe_wire_explanation *explanation)
{
	struct pe_wire_header header = harness_header(h, space, 0);
	struct pe_wire_explain explain = {.selector = PE_EXPLAIN_QUERY};
	struct pe_wire_query q = *query;
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	memcpy(explain.entity_id, id, sizeof explain.entity_id);
	if (extension_bytes) {
		q.flags |= PE_QUERY_HAS_EXTENSION;
		q.extension_bytes = (uint16_t)extension_bytes;
	}
	bytes = pe_wire_put_explain(buffer, sizeof buffer, &header, &explain, &q, extension);
	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_queries++;
	harness_turn_worker(h, worker);
	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;

		if (harness_check_reply(h, i, &v) != PE_REASON_none ||
			v.header.type != PE_TYPE_EXPLAIN)
			continue;
		pe_wire_get_explanation(&v, explanation);
		if (explanation->request_sequence == header.sequence)
			return true;
	}
	return false;
}
