#include "client/internal.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 1024 // of one answer; an engine needs 205 for its 4096 results

// The parts of one attempt's answer as they come, in any order.
struct gathering {
	struct presence_client *client;
	const uint8_t *space;
	const struct presence_query *query;
	uint8_t *packet;
	uint64_t sequence;
	struct presence_found *found; // in the order of arrival
	size_t count, room;
	struct {
		uint32_t first;
		uint16_t count;
		bool here;
	} parts[PARTS_MAX];
	unsigned part_count;  // that have come
	unsigned parts_total; // 0 = the last one has not come
	struct pe_wire_answer last;
	bool no_memory;
	bool done;
};

static void forget(struct gathering *g)
{
	g->count = 0;
	g->part_count = g->parts_total = 0;
	memset(g->parts, 0, sizeof g->parts);
	memset(&g->last, 0, sizeof g->last);
}

static bool grow(struct gathering *g, unsigned more)
{
	size_t room = g->room ? g->room : 32;
	struct presence_found *found;

	while (room < g->count + more)
		room *= 2;
	if (room == g->room)
		return true;
	found = realloc(g->found, room * sizeof *found);
	if (!found)
		return false;
	g->found = found;
	g->room = room;
	return true;
}

static bool take_part(
	struct gathering *g, const struct pe_wire_answer *answer, const uint8_t *results)
{
	unsigned part = answer->part;
	bool last = answer->flags & PE_ANSWER_LAST;

	// A part after the last one, a second last one, or more than any engine may give: not an answer to follow.
	if (part >= PARTS_MAX || g->parts[part].here ||
		(g->parts_total && (last || part >= g->parts_total)) ||
		g->count + answer->result_count > PRESENCE_RESULTS_MAX)
		return false;
	if (last)
		for (unsigned p = part + 1; p < PARTS_MAX; p++)
			if (g->parts[p].here)
				return false;
	if (!grow(g, answer->result_count)) {
		g->no_memory = g->done = true;
		return true;
	}
	g->parts[part].here = true;
	g->parts[part].first = (uint32_t)g->count;
	g->parts[part].count = answer->result_count;
	for (unsigned i = 0; i < answer->result_count; i++) {
		struct pe_wire_result result;

		pe_wire_get_result(results, i, &result);
		client_found_from_wire(&result, &g->found[g->count++]);
	}
	g->part_count++;
	if (last) {
		g->parts_total = part + 1;
		g->last = *answer;
	}
	g->done = g->parts_total && g->part_count == g->parts_total;
	return true;
}

static bool take_answers(void *context, const struct pe_wire_view *view)
{
	struct gathering *g = context;
	struct pe_wire_answer answer;
	const uint8_t *results;
	uint32_t offset = 0;
	bool ours = false;

	if (view->header.type != PE_TYPE_SPATIAL_RESPONSE)
		return false;
	while (!g->done && pe_wire_next_answer(view, &offset, &answer, &results)) {
		if (answer.request_sequence != g->sequence ||
			answer.stream_id != g->client->stream_id)
			continue;
		if (answer.flags & PE_ANSWER_PACKET) {
			g->last = answer;
			g->done = ours = true;
		} else if (answer.query_id == 1) {
			ours |= take_part(g, &answer, results);
		}
	}
	return ours;
}

static uint32_t ask_again(void *context)
{
	struct gathering *g = context;

	forget(g);
	return client_put_query(g->client, g->packet, g->space, g->query, &g->sequence);
}

// The results in the order of their parts.
static bool arrange(struct gathering *g, struct presence_answer *answer)
{
	struct presence_found *sorted;
	size_t n = 0;

	if (!g->count)
		return true;
	sorted = malloc(g->count * sizeof *sorted);
	if (!sorted)
		return false;
	for (unsigned p = 0; p < PARTS_MAX; p++)
		if (g->parts[p].here) {
			memcpy(sorted + n, g->found + g->parts[p].first,
				g->parts[p].count * sizeof *sorted);
			n += g->parts[p].count;
		}
	answer->found = sorted;
	answer->count = n;
	return true;
}

enum presence_result presence_query(struct presence_client *client, const uint8_t *space,
	const struct presence_query *query, struct presence_answer *answer)
{
	uint8_t packet[PE_WIRE_BYTES_MAX];
	struct gathering *g = calloc(1, sizeof *g);
	struct client_taker taker = {g, take_answers};
	struct client_exchange e = {
		.packet = packet, .again = ask_again, .done = g ? &g->done : NULL};
	uint64_t begin_us = client_now_us();
	enum presence_result result;

	*answer = (struct presence_answer){.pages = 1};
	if (!g)
		return PRESENCE_MEMORY;
	g->client = client;
	g->space = space;
	g->query = query;
	g->packet = packet;
	e.bytes = client_put_query(client, packet, space, query, &g->sequence);
	result = e.bytes ? client_exchange(client, &e, &taker) : PRESENCE_BAD_ARGUMENT;
	answer->attempts = e.attempts;
	answer->elapsed_us = client_now_us() - begin_us;
	answer->parts = g->part_count;
	answer->code = g->last.code;
	answer->reason = g->last.reason;
	answer->truncated = g->last.flags & PE_ANSWER_TRUNCATED;
	memcpy(answer->cursor, g->last.cursor, sizeof answer->cursor);
	if (result == PRESENCE_TIMED_OUT && g->part_count)
		result = PRESENCE_INCOMPLETE;
	else if (!result && g->last.code != PE_CODE_SUCCESS)
		result = PRESENCE_REFUSED;
	if (g->no_memory || ((!result || result == PRESENCE_INCOMPLETE) && !arrange(g, answer)))
		result = PRESENCE_MEMORY;
	free(g->found);
	free(g);
	return result;
}

enum presence_result presence_query_all(struct presence_client *client, const uint8_t *space,
	const struct presence_query *query, unsigned pages_max, struct presence_answer *answer)
{
	struct presence_query next = *query;
	enum presence_result result = presence_query(client, space, query, answer);

	if (query->volume == PRESENCE_NEAREST)
		pages_max = 1;
	while (!result && answer->truncated && answer->pages < pages_max) {
		struct presence_answer page;
		struct presence_found *found;

		next.has_cursor = true;
		memcpy(next.cursor, answer->cursor, sizeof next.cursor);
		result = presence_query(client, space, &next, &page);
		answer->parts += page.parts;
		answer->attempts += page.attempts;
		answer->elapsed_us += page.elapsed_us;
		answer->code = page.code;
		answer->reason = page.reason;
		if (result && result != PRESENCE_INCOMPLETE) {
			presence_answer_free(&page);
			break;
		}
		// One page too many: the cursor that is kept leads to it.
		if (answer->count + page.count > PRESENCE_RESULTS_MAX) {
			presence_answer_free(&page);
			break;
		}
		found = realloc(answer->found, (answer->count + page.count + 1) * sizeof *found);
		if (!found) {
			presence_answer_free(&page);
			return PRESENCE_MEMORY;
		}
		if (page.count)
			memcpy(found + answer->count, page.found, page.count * sizeof *found);
		answer->found = found;
		answer->count += page.count;
		answer->pages++;
		answer->truncated = page.truncated;
		// A cursor that does not move would be followed in a circle.
		if (page.truncated && page.count == 0 &&
			memcmp(answer->cursor, page.cursor, sizeof page.cursor) == 0)
			pages_max = 0;
		memcpy(answer->cursor, page.cursor, sizeof answer->cursor);
		presence_answer_free(&page);
	}
	return result;
}

void presence_answer_free(struct presence_answer *answer)
{
	free(answer->found);
	answer->found = NULL;
	answer->count = 0;
}
