#include "client/internal.h"

#include <string.h>

// The most that a message has room for, of any kind, also one that came packed.
#define RESULTS_MAX (PE_PACKED_PLAIN_MAX / sizeof(struct pe_wire_short))

struct polling {
	const struct presence_client *client;
	const struct presence_events *events;
};

static bool take_ack(const struct polling *p, const struct pe_wire_view *view)
{
	struct presence_refusal refusal = {view->body.ack.code, view->body.ack.reason};
	struct presence_ack acks[PE_WITHDRAW_COUNT_MAX];

	if (!client_owns_broadcast(
		    p->client, view->body.ack.broadcast_id, view->body.ack.request_sequence) ||
		view->body.ack.request_sequence > p->client->sequence ||
		view->count > PE_WITHDRAW_COUNT_MAX)
		return false;
	for (unsigned i = 0; i < view->count; i++) {
		struct pe_wire_ack_record record;

		pe_wire_get_ack(view, i, &record);
		client_ack_from_wire(&record, &acks[i]);
	}
	if (p->events->acked)
		p->events->acked(p->events->context, view->body.ack.request_sequence, refusal, acks,
			view->count);
	return true;
}

// One with its details, which are named by their place behind `from`. Its bytes.
static uint32_t get_detailed(
	const uint8_t *from, const uint8_t *result, struct presence_found *found)
{
	const uint32_t whole = sizeof(struct pe_wire_result);
	uint32_t bytes = pe_wire_result_bytes(result, true);

	client_get_found(result, 0, PE_ANSWER_DETAILED, found);
	// A head alone says that there is none.
	if (bytes > whole + sizeof(struct pe_wire_details)) {
		found->details_at = (uint32_t)(result + whole - from);
		found->details_bytes = bytes - whole;
	}
	return bytes;
}

static bool take_answers(const struct polling *p, const struct pe_wire_view *view)
{
	union {
		struct presence_found found[RESULTS_MAX];
		struct presence_cell cells[RESULTS_MAX];
	} r;
	struct pe_wire_answer answer;
	const uint8_t *results;
	uint32_t offset = 0;
	bool ours = false;

	while (pe_wire_next_answer(view, &offset, &answer, &results)) {
		struct presence_part part = {
			.sequence = answer.request_sequence,
			.part = answer.part,
			.result_count = answer.result_count,
			.last = answer.flags & (PE_ANSWER_LAST | PE_ANSWER_PACKET),
			.truncated = answer.flags & PE_ANSWER_TRUNCATED,
			.cells = answer.flags & PE_ANSWER_CELLS,
			.code = answer.code,
			.reason = answer.reason,
			.details = results,
		};
		const uint8_t *result = results;

		if (answer.stream_id != p->client->stream_id ||
			answer.request_sequence > p->client->sequence ||
			answer.result_count > RESULTS_MAX)
			continue;
		for (unsigned i = 0; i < answer.result_count; i++)
			if (part.cells)
				client_get_cell(results, i, &r.cells[i]);
			else if (answer.flags & PE_ANSWER_DETAILED)
				result += get_detailed(results, result, &r.found[i]);
			else
				client_get_found(results, i, answer.flags, &r.found[i]);
		if (part.cells && p->events->counted)
			p->events->counted(p->events->context, &part, r.cells);
		if (!part.cells && p->events->answered)
			p->events->answered(p->events->context, &part, r.found);
		ours = true;
	}
	return ours;
}

static bool take(void *context, const struct pe_wire_view *view)
{
	const struct polling *p = context;

	switch (view->header.type) {
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_DETAILED_UPDATE:
	case PE_TYPE_WITHDRAW:
		return take_ack(p, view);
	case PE_TYPE_SPATIAL_RESPONSE:
		return take_answers(p, view);
	}
	return false;
}

enum presence_result presence_submit_query(struct presence_client *client, const uint8_t *space,
	const struct presence_query *query, uint64_t *sequence)
{
	enum presence_result result;
	uint8_t *buffer = client_reserve(client, &result);
	uint32_t bytes;

	if (!buffer)
		return result;
	bytes = client_put_query(client, client_draft(client, buffer), space, query, sequence);
	if (!bytes)
		return client_bad(client, client_query_fault(query));
	client_commit_draft(client, bytes);
	return PRESENCE_OK;
}

// Without watches one look is all. With them the time is spent in pieces, at whose ends their
// clocks are looked at.
int presence_poll(struct presence_client *client, const struct presence_events *events,
	unsigned messages_max, int timeout_ms)
{
	struct polling p = {client, events};
	struct client_taker taker = {&p, take};
	uint64_t begin_us, looked_us;

	// Who doesn't wait and watches nothing needs no clock.
	if (timeout_ms == 0 && client->watch_count == 0) {
		int came = client_receive(client, &taker, messages_max, 0);

		if (came < 0)
			(void)client_failed(client, PRESENCE_SYSTEM);
		return came;
	}
	begin_us = looked_us = client_now_us();
	for (;;) {
		int64_t left_ms = timeout_ms;
		int wait_ms, came;

		if (timeout_ms > 0) {
			left_ms -= (int64_t)((looked_us - begin_us) / 1000);
			left_ms = left_ms > 0 ? left_ms : 0;
		}
		wait_ms = client_watch_wait(client, NULL, (int)left_ms);
		came = client_receive(client, &taker, messages_max, wait_ms);
		if (came < 0) {
			(void)client_failed(client, PRESENCE_SYSTEM);
			return -1;
		}
		if (client_watch_turn(client, events) || came || wait_ms == left_ms)
			return came;
		// A signal ends the waiting, as it does without watches.
		if (client_now_us() - looked_us + 1000 < wait_ms * 1000ull)
			return 0;
		looked_us = client_now_us();
	}
}
