#include "fake_engine.h"
#include "base/counters.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/extension.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct asker {
	struct sockaddr_storage address;
	socklen_t bytes;
};

static void reply(
	struct fake_engine *e, const struct asker *to, const uint8_t *data, uint32_t bytes)
{
	if (bytes)
		(void)!sendto(
			e->fd, data, bytes, 0, (const struct sockaddr *)&to->address, to->bytes);
}

// Cut, stretched and altered forms of a sound message.
static void spoil(
	struct fake_engine *e, const struct asker *to, const uint8_t *data, uint32_t bytes)
{
	uint8_t bad[4096] = {0};

	reply(e, to, bad, 1);
	reply(e, to, data, bytes - 1);
	memcpy(bad, data, bytes);
	reply(e, to, bad, bytes + 1);
	reply(e, to, bad, sizeof bad);
	for (unsigned at = 0; at < 80; at += 7) {
		memcpy(bad, data, bytes);
		bad[at] ^= 0xFF;
		// A different stream, sequence or time is sound, and for somebody else or for
		// nobody.
		reply(e, to, bad, bytes);
	}
}

static void answer_ack(
	struct fake_engine *e, const struct asker *to, const struct pe_wire_view *view, bool repeat)
{
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	struct pe_wire_ack_record records[PE_WITHDRAW_COUNT_MAX];
	uint64_t sequence = view->header.sequence;
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes;
	unsigned count = view->count - (e->short_ack ? 1 : 0);

	for (unsigned i = 0; i < view->count; i++) {
		records[i] = pe_wire_ack_record(
			PE_ACK_APPLIED, repeat ? PE_REASON_stale : PE_REASON_none);
		if (repeat && view->header.type == PE_TYPE_SPATIAL_UPDATE) {
			struct pe_wire_update update;

			pe_wire_get_update(view, i, &update);
			records[i].known_incarnation = view->body.update.incarnation;
			records[i].known_sequence = update.sequence;
		}
	}
	if (e->wrong_sequence) {
		bytes = pe_wire_put_ack(data, sizeof data, &header, view->header.type,
			view->body.update.broadcast_id, sequence + 1, PE_REASON_none, records,
			count);
		reply(e, to, data, bytes);
		bytes = pe_wire_put_ack(data, sizeof data, &header, view->header.type,
			(const uint8_t[16]){9}, sequence, PE_REASON_none, records, count);
		reply(e, to, data, bytes);
	}
	bytes = pe_wire_put_ack(data, sizeof data, &header, view->header.type,
		view->body.update.broadcast_id, sequence,
		e->refuse ? PE_REASON_space_unknown : PE_REASON_none, records,
		e->refuse ? 0 : count);
	if (e->junk)
		spoil(e, to, data, bytes);
	reply(e, to, data, bytes);
}

// What the query asks its results to be.
static uint16_t form_of(const struct fake_engine *e)
{
	struct pe_wire_extension extension;

	if (e->other_form || !(e->last_query.flags & PE_QUERY_HAS_EXTENSION) ||
		pe_wire_check_extension(&e->last_query, e->last_extension,
			e->last_query.extension_bytes, &extension) != PE_REASON_none)
		return 0;
	if (extension.resolution.spatial_m > 0)
		return PE_ANSWER_CELLS;
	return extension.resolution.attribute < 0.5f ? PE_ANSWER_SHORT : 0;
}

static bool add(const struct fake_engine *e, struct pe_wire_response *response, unsigned i,
	bool more, uint16_t form)
{
	struct pe_wire_result result = {
		.entity_id = {1, 2, 3}, .position = {i, 0, 0}, .entity_type = 1};
	struct pe_wire_cell cell = {.centre = {i, 0, 0},
		.count = i + 1,
		.size_m = 512,
		.height_m = 1024,
		.newest_age_ms = 1000 - (int32_t)i,
		.level = 1,
		.flags = more ? PE_CELL_MORE : 0};

	memcpy(result.entity_id + 8, &i, sizeof i);
	if (e->cells_in_parts)
		cell.centre[0] = 0;
	switch (form) {
	case PE_ANSWER_CELLS:
		return pe_wire_response_add_cells(response, &cell, 1);
	case PE_ANSWER_SHORT:
		result.state = i % 2 ? PE_RESULT_HEIGHT_UNKNOWN : 0;
		return pe_wire_response_add_short(response, &result, 1);
	default:
		return pe_wire_response_add(response, &result);
	}
}

static void send_part(struct fake_engine *e, const struct asker *to,
	const struct pe_wire_view *view, unsigned part, unsigned first, unsigned count,
	uint16_t flags, const uint64_t cursor[2], uint64_t sequence)
{
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	struct pe_wire_response response;
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	pe_wire_response_begin(&response, data, sizeof data);
	// Somebody else's answer shares the message.
	if (pe_wire_response_open(&response, 1, view->header.stream_id + 1, sequence, 0))
		pe_wire_response_close(&response, PE_REASON_none, PE_ANSWER_LAST, NULL);
	if (!pe_wire_response_open(&response, e->last_query.query_id, view->header.stream_id,
		    sequence, (uint16_t)part))
		return;
	for (unsigned i = first; i < first + count; i++)
		if (!add(e, &response, i, flags & PE_ANSWER_TRUNCATED, form_of(e)))
			break;
	pe_wire_response_close(&response, PE_REASON_none, (uint16_t)(flags | form_of(e)), cursor);
	bytes = pe_wire_response_finish(&response, &header);
	if (e->junk)
		spoil(e, to, data, bytes);
	reply(e, to, data, bytes);
}

static void answer_query(
	struct fake_engine *e, const struct asker *to, const struct pe_wire_view *view)
{
	unsigned from =
		e->last_query.flags & PE_QUERY_HAS_CURSOR ? (unsigned)e->last_query.cursor[0] : 0;
	unsigned end = e->result_count, parts;
	bool truncated = e->page_results && end - from > e->page_results;
	uint64_t cursor[2] = {0, 7}, sequence = view->header.sequence;
	bool dropping = e->drop_part && (!e->drop_part_times || e->queries <= e->drop_part_times) &&
		from >= e->drop_part_behind;

	if (e->refuse) {
		struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
		struct pe_wire_response response;
		uint8_t data[PE_WIRE_BYTES_MAX];

		pe_wire_response_begin(&response, data, sizeof data);
		if (pe_wire_response_open(&response, 0, view->header.stream_id, sequence, 0))
			pe_wire_response_close(&response, PE_REASON_space_unknown,
				PE_ANSWER_PACKET | PE_ANSWER_LAST, NULL);
		reply(e, to, data, pe_wire_response_finish(&response, &header));
		return;
	}
	if (e->refuse_program) {
		struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
		struct pe_wire_response response;
		uint8_t data[PE_WIRE_BYTES_MAX];

		pe_wire_response_begin(&response, data, sizeof data);
		if (pe_wire_response_open(&response, e->last_query.query_id, view->header.stream_id,
			    sequence, 0)) {
			pe_wire_response_detail(
				&response, pe_answer_fault(PE_FILTER_ARGUMENT, 2, 20));
			pe_wire_response_close(
				&response, PE_REASON_query_program, PE_ANSWER_LAST, NULL);
		}
		reply(e, to, data, pe_wire_response_finish(&response, &header));
		return;
	}
	if (truncated) {
		end = from + e->page_results;
		cursor[0] = end;
	}
	if (e->stuck_cursor) {
		truncated = true;
		cursor[0] = 5;
		end = from;
	}
	parts = end > from ? (end - from + e->part_results - 1) / e->part_results : 1;
	if (e->wrong_sequence)
		send_part(e, to, view, 0, 900, 3, PE_ANSWER_LAST, NULL, sequence + 1);
	for (unsigned n = 0; n < parts; n++) {
		unsigned part = e->reverse_parts ? parts - 1 - n : n;
		unsigned first = from + part * e->part_results;
		unsigned count = end - first < e->part_results ? end - first : e->part_results;
		bool last = part == parts - 1 && !e->endless_parts;
		uint16_t flags = (uint16_t)((last ? PE_ANSWER_LAST : 0) |
			(last && truncated ? PE_ANSWER_TRUNCATED : 0));

		if (dropping && part == parts / 2)
			continue;
		if (e->two_lasts && part == 0)
			send_part(e, to, view, parts + 3, 700, 1, PE_ANSWER_LAST, NULL, sequence);
		for (int twice = 0; twice <= e->duplicate_parts; twice++)
			send_part(e, to, view, part, first, count, flags,
				flags & PE_ANSWER_TRUNCATED ? cursor : NULL, sequence);
	}
	for (unsigned part = parts; e->endless_parts && part < parts + 1200; part++)
		send_part(e, to, view, part % 65536, 0, 1, 0, NULL, sequence);
}

static void answer_state(
	struct fake_engine *e, const struct asker *to, const struct pe_wire_view *view)
{
	const struct pe_wire_state_request *request = &view->body.state_request;
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	struct pe_wire_counter counters[PE_COUNTERS_COUNT_MAX] = {0};
	uint8_t data[PE_WIRE_BYTES_MAX];
	unsigned count = 0;

	for (unsigned i = request->first;
		i < PE_COUNTER_COUNT && count < (e->state_short ? 10 : PE_COUNTERS_COUNT_MAX);
		i++, count++)
		counters[count] = (struct pe_wire_counter){
			.index = (uint16_t)(i + (e->state_wrong_index && count == 3)),
			.value = 1000 + i};
	if (e->state_refused)
		count = 0;
	reply(e, to, data,
		pe_wire_put_state_response(data, sizeof data, &header, request,
			view->header.sequence, e->state_refused ? 0 : PE_COUNTER_COUNT,
			e->state_refused ? PE_REASON_not_trusted : PE_REASON_none, counters,
			count));
}

static void explain(struct fake_engine *e, const struct asker *to, const struct pe_wire_view *view)
{
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	struct pe_wire_explanation told = e->told;
	enum pe_reason reason = e->refuse ? PE_REASON_query_bounds : PE_REASON_none;
	uint8_t data[PE_WIRE_BYTES_MAX];

	told.selector = view->body.explain.selector;
	memcpy(told.entity_id, view->body.explain.entity_id, sizeof told.entity_id);
	for (unsigned wrong = e->wrong_sequence ? 2 : 0; wrong; wrong--) {
		struct pe_wire_explanation other = told;

		// Another request's, and another entity's.
		other.request_sequence = view->header.sequence + wrong - 1;
		other.entity_id[0] ^= (uint8_t)(wrong == 1);
		other.verdict = PE_EXPLAIN_UNDECIDED;
		other.first_cause = 0;
		other.causes = 0;
		reply(e, to, data,
			pe_wire_put_explanation(
				data, sizeof data, &header, PE_REASON_none, &other));
	}
	told.request_sequence = view->header.sequence;
	reply(e, to, data, pe_wire_put_explanation(data, sizeof data, &header, reason, &told));
}

static void erase(struct fake_engine *e, const struct asker *to, const struct pe_wire_view *view)
{
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	struct pe_wire_erased told = e->erased;
	uint8_t data[PE_WIRE_BYTES_MAX];

	e->last_erase = view->body.erase;
	memcpy(told.entity_id, view->body.erase.entity_id, sizeof told.entity_id);
	for (unsigned wrong = e->wrong_sequence ? 2 : 0; wrong; wrong--) {
		struct pe_wire_erased other = told;

		// Another request's, and another entity's.
		other.request_sequence = view->header.sequence + wrong - 1;
		other.entity_id[0] ^= (uint8_t)(wrong == 1);
		reply(e, to, data, pe_wire_put_erased(data, sizeof data, &header, &other));
	}
	told.request_sequence = view->header.sequence;
	reply(e, to, data, pe_wire_put_erased(data, sizeof data, &header, &told));
}

static void serve(struct fake_engine *e, const struct asker *to, const struct pe_wire_view *view)
{
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	bool ignored = e->packets <= e->ignore;
	uint8_t data[PE_WIRE_BYTES_MAX];

	memcpy(e->last_space, view->header.space_id, 16);
	if (view->header.type == PE_TYPE_SPATIAL_UPDATE) {
		e->updates += view->count;
		pe_wire_get_update(view, 0, &e->last_update);
	} else if (view->header.type == PE_TYPE_WITHDRAW) {
		e->withdrawals += view->count;
	} else if (view->header.type == PE_TYPE_SPATIAL_QUERY) {
		e->queries++;
		pe_wire_get_query(view, 0, &e->last_query);
		memcpy(e->last_extension, view->records + sizeof e->last_query,
			view->records_bytes - sizeof e->last_query);
	}
	if (view->header.type == PE_TYPE_EXPLAIN) {
		e->queries++;
		pe_wire_get_query(view, 0, &e->last_query);
		memcpy(e->last_explained, view->body.explain.entity_id, 16);
		e->last_subject = view->body.explain.subject;
	}
	if (ignored || e->silent)
		return;
	if (e->junk_flood) {
		for (int i = 0; i < 20; i++)
			spoil(e, to, (const uint8_t[PE_WIRE_BYTES_MAX]){1, PE_TYPE_PONG}, 100);
		return;
	}
	switch (view->header.type) {
	case PE_TYPE_PING:
		if (e->wrong_sequence)
			reply(e, to, data,
				pe_wire_put_pong(data, sizeof data, &header,
					&(struct pe_wire_ping){{1, 2}}));
		reply(e, to, data, pe_wire_put_pong(data, sizeof data, &header, &view->body.ping));
		break;
	case PE_TYPE_SPATIAL_UPDATE:
	case PE_TYPE_WITHDRAW:
		if (view->header.flags & PE_FLAG_ACK)
			answer_ack(e, to, view, e->act_when_ignoring);
		break;
	case PE_TYPE_SPATIAL_QUERY:
		answer_query(e, to, view);
		break;
	case PE_TYPE_EXPLAIN:
		explain(e, to, view);
		break;
	case PE_TYPE_ERASE:
		erase(e, to, view);
		break;
	case PE_TYPE_STATE_REQUEST:
		answer_state(e, to, view);
		break;
	}
}

static void *run(void *context)
{
	struct fake_engine *e = context;

	while (!e->stop) {
		struct pollfd wait = {.fd = e->fd, .events = POLLIN};
		struct asker from = {.bytes = sizeof from.address};
		struct pe_wire_view view;
		uint8_t data[2048];
		ssize_t bytes;

		if (poll(&wait, 1, 20) <= 0)
			continue;
		bytes = recvfrom(
			e->fd, data, sizeof data, 0, (struct sockaddr *)&from.address, &from.bytes);
		if (bytes <= 0 || pe_wire_check(data, (uint32_t)bytes, &view) != PE_REASON_none)
			continue;
		e->packets++;
		serve(e, &from, &view);
	}
	return NULL;
}

bool fake_start(struct fake_engine *e, bool ipv6)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_storage bound;
	socklen_t bytes = sizeof bound;

	if (!e->part_results)
		e->part_results = 10;
	e->fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	if (e->fd < 0 ||
		bind(e->fd, ipv6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
			ipv6 ? sizeof v6 : sizeof v4) ||
		getsockname(e->fd, (struct sockaddr *)&bound, &bytes))
		return false;
	e->port = ntohs(ipv6 ? ((struct sockaddr_in6 *)&bound)->sin6_port :
			       ((struct sockaddr_in *)&bound)->sin_port);
	return pthread_create(&e->thread, NULL, run, e) == 0;
}

void fake_stop(struct fake_engine *e)
{
	e->stop = true;
	pthread_join(e->thread, NULL);
	close(e->fd);
}

struct presence_client *fake_client(struct fake_engine *engine)
{
	struct presence_options options = {.timeout_ms = 500, .attempts = 3};
	struct presence_client *client = NULL;

	if (!fake_start(engine, false))
		return NULL;
	options.port = engine->port;
	(void)presence_open(&options, &client, NULL, 0);
	return client;
}
