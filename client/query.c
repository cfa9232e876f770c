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
	// of item_bytes, presence_found or presence_cell, in the order of arrival
	uint8_t *items;
	size_t item_bytes;
	size_t count, room;
	uint16_t form; // what was asked for: PE_ANSWER_SHORT, PE_ANSWER_CELLS, PE_ANSWER_DETAILED
	               // or 0
	uint8_t *details; // of all of them
	size_t details_bytes, details_room;
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
	g->count = g->details_bytes = 0;
	g->part_count = g->parts_total = 0;
	memset(g->parts, 0, sizeof g->parts);
	memset(&g->last, 0, sizeof g->last);
}

static bool grow(struct gathering *g, unsigned more)
{
	size_t room = g->room ? g->room : 32;
	uint8_t *items;

	while (room < g->count + more)
		room *= 2;
	if (room == g->room)
		return true;
	items = realloc(g->items, room * g->item_bytes);
	if (!items)
		return false;
	g->items = items;
	g->room = room;
	return true;
}

// False: no memory, or more than PRESENCE_DETAILS_MAX.
static bool keep_details(
	struct gathering *g, struct presence_found *found, const uint8_t *details, uint32_t bytes)
{
	size_t room = g->details_room ? g->details_room : 4096;
	uint8_t *grown;

	// A head alone says that there is none.
	if (bytes <= sizeof(struct pe_wire_details))
		return true;
	while (room < g->details_bytes + bytes)
		room *= 2;
	if (room > PRESENCE_DETAILS_MAX)
		return false;
	if (room != g->details_room) {
		grown = realloc(g->details, room);
		if (!grown)
			return false;
		g->details = grown;
		g->details_room = room;
	}
	memcpy(g->details + g->details_bytes, details, bytes);
	found->details_at = (uint32_t)g->details_bytes;
	found->details_bytes = bytes;
	g->details_bytes += bytes;
	return true;
}

static bool take_part(
	struct gathering *g, const struct pe_wire_answer *answer, const uint8_t *results)
{
	unsigned part = answer->part;
	bool last = answer->flags & PE_ANSWER_LAST;

	// A part after the last one, a second last one, or more than any engine may give: not an
	// answer to follow.
	if (part >= PARTS_MAX || g->parts[part].here ||
		(g->parts_total && (last || part >= g->parts_total)) ||
		g->count + answer->result_count > PRESENCE_RESULTS_MAX)
		return false;
	// Neither is one of other results than were asked for.
	if (answer->result_count &&
		(answer->flags & (PE_ANSWER_SHORT | PE_ANSWER_CELLS | PE_ANSWER_DETAILED)) !=
			g->form)
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
		void *item = g->items + g->count * g->item_bytes;

		if (g->form == PE_ANSWER_CELLS) {
			client_get_cell(results, i, item);
		} else if (g->form == PE_ANSWER_DETAILED) {
			uint32_t bytes = pe_wire_result_bytes(results, true);

			client_get_found(results, 0, answer->flags, item);
			if (!keep_details(g, item, results + sizeof(struct pe_wire_result),
				    bytes - (uint32_t)sizeof(struct pe_wire_result))) {
				g->no_memory = g->done = true;
				return true;
			}
			results += bytes;
		} else {
			client_get_found(results, i, answer->flags, item);
		}
		g->count++;
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
	uint8_t *sorted;
	size_t n = 0;

	if (!g->count)
		return true;
	sorted = malloc(g->count * g->item_bytes);
	if (!sorted)
		return false;
	for (unsigned p = 0; p < PARTS_MAX; p++)
		if (g->parts[p].here) {
			memcpy(sorted + n * g->item_bytes,
				g->items + g->parts[p].first * g->item_bytes,
				g->parts[p].count * g->item_bytes);
			n += g->parts[p].count;
		}
	if (g->form == PE_ANSWER_CELLS)
		answer->cells = (struct presence_cell *)sorted;
	else
		answer->found = (struct presence_found *)sorted;
	answer->count = n;
	answer->details = g->details;
	answer->details_bytes = g->details_bytes;
	g->details = NULL;
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
		return client_failed(client, PRESENCE_MEMORY);
	g->client = client;
	g->space = space;
	g->query = query;
	g->packet = packet;
	g->form = query->cell_m > 0 ? PE_ANSWER_CELLS :
		query->brief        ? PE_ANSWER_SHORT :
		query->with_details ? PE_ANSWER_DETAILED :
				      0;
	g->item_bytes =
		query->cell_m > 0 ? sizeof(struct presence_cell) : sizeof(struct presence_found);
	e.bytes = client_put_query(client, packet, space, query, &g->sequence);
	result = e.bytes ? client_exchange(client, &e, &taker) :
			   client_bad(client, client_query_fault(query));
	answer->attempts = e.attempts;
	answer->elapsed_us = client_now_us() - begin_us;
	answer->parts = g->part_count;
	answer->code = g->last.code;
	answer->reason = g->last.reason;
	if (g->last.reason == PE_REASON_query_program) {
		answer->filter_fault = (uint8_t)PE_ANSWER_FAULT(g->last.detail);
		answer->filter_step = (uint8_t)PE_ANSWER_FAULT_STEP(g->last.detail);
		answer->filter_at = (uint16_t)PE_ANSWER_FAULT_AT(g->last.detail);
	}
	answer->truncated = g->last.flags & PE_ANSWER_TRUNCATED;
	memcpy(answer->cursor, g->last.cursor, sizeof answer->cursor);
	if (result == PRESENCE_TIMED_OUT && g->part_count)
		result = client_failed(client, PRESENCE_INCOMPLETE);
	else if (!result && g->last.code != PE_CODE_SUCCESS)
		result = client_refused(client, g->last.code, g->last.reason);
	if (g->no_memory || ((!result || result == PRESENCE_INCOMPLETE) && !arrange(g, answer)))
		result = client_failed(client, PRESENCE_MEMORY);
	free(g->details);
	free(g->items);
	free(g);
	return result;
}

// A page's details behind those of the pages before; what was found on it then points there.
static bool append_details(struct presence_answer *answer, struct presence_answer *page)
{
	uint8_t *details;

	if (!page->details_bytes)
		return true;
	if (answer->details_bytes + page->details_bytes > PRESENCE_DETAILS_MAX)
		return false;
	details = realloc(answer->details, answer->details_bytes + page->details_bytes);
	if (!details)
		return false;
	memcpy(details + answer->details_bytes, page->details, page->details_bytes);
	for (size_t i = 0; i < page->count; i++)
		if (page->found[i].details_bytes)
			page->found[i].details_at += (uint32_t)answer->details_bytes;
	answer->details = details;
	answer->details_bytes += page->details_bytes;
	return true;
}

static bool add_found(struct presence_answer *answer, struct presence_answer *page)
{
	struct presence_found *found =
		realloc(answer->found, (answer->count + page->count + 1) * sizeof *found);

	if (!found)
		return false;
	answer->found = found;
	if (!append_details(answer, page))
		return false;
	if (page->count)
		memcpy(found + answer->count, page->found, page->count * sizeof *found);
	answer->count += page->count;
	return true;
}

// Cells that said that more of them comes are the last ones: parts of one leaf, or one.
static struct presence_cell *unfinished(
	struct presence_cell *cells, size_t count, const struct presence_cell *like)
{
	for (; count && cells[count - 1].more; count--) {
		struct presence_cell *c = &cells[count - 1];

		if (c->size_m == like->size_m &&
			memcmp(c->centre, like->centre, sizeof c->centre) == 0)
			return c;
	}
	return NULL;
}

static bool add_cells(struct presence_answer *answer, const struct presence_answer *page)
{
	struct presence_cell *cells =
		realloc(answer->cells, (answer->count + page->count + 1) * sizeof *cells);
	size_t before = answer->count;

	if (!cells)
		return false;
	answer->cells = cells;
	for (size_t i = 0; i < page->count; i++) {
		const struct presence_cell *more = &page->cells[i];
		struct presence_cell *c = unfinished(cells, before, more);

		if (!c) {
			cells[answer->count++] = *more;
			continue;
		}
		c->count += more->count;
		c->below_cells += more->below_cells;
		c->below = more->below > c->below ? more->below : c->below;
		if (more->newest_age_ms < c->newest_age_ms)
			c->newest_age_ms = more->newest_age_ms;
	}
	// The last cells of the page are those of which more comes; where there are none, nothing
	// more of the earlier ones does.
	if (page->count && !page->cells[page->count - 1].more)
		for (size_t i = before; i && cells[i - 1].more; i--)
			cells[i - 1].more = false;
	return true;
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
		if (!(query->cell_m > 0 ? add_cells(answer, &page) : add_found(answer, &page))) {
			presence_answer_free(&page);
			return client_failed(client, PRESENCE_MEMORY);
		}
		answer->pages++;
		// What is missing lies behind the cursor that led to the page, and is asked for
		// there again.
		if (result == PRESENCE_INCOMPLETE) {
			presence_answer_free(&page);
			break;
		}
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
	free(answer->cells);
	free(answer->details);
	answer->found = NULL;
	answer->cells = NULL;
	answer->details = NULL;
	answer->details_bytes = 0;
	answer->count = 0;
}
