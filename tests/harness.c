#include "harness.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_and_abort(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

void (*harness_failed)(const char *what, const char *file, int line) = print_and_abort;

// ---- workers ----

struct harness_thread {
	pthread_t thread;
	sem_t go, done;
	struct pe_worker *worker;
	bool stop;
	struct pe_now now;
	const struct pe_message *messages;
	unsigned count;
	const struct pe_sink *sink;
};

static void *run_thread(void *context)
{
	struct harness_thread *t = context;

	pe_worker_attach(t->worker);
	pe_worker_offline(t->worker);
	sem_post(&t->done);
	for (;;) {
		sem_wait(&t->go);
		pe_worker_online(t->worker);
		if (t->stop)
			break;
		(void)pe_worker_turn(t->worker, t->now, t->messages, t->count, t->sink);
		pe_worker_offline(t->worker);
		sem_post(&t->done);
	}
	pe_worker_detach(t->worker);
	return NULL;
}

struct pe_engine_config harness_config(void)
{
	struct pe_engine_config c = {.worker_count = 1, .entity_count_max = 1000, .space_count = 2};

	memset(c.spaces[0].space.id, 0xA0, 16);
	strcpy(c.spaces[0].space.name, "plane");
	c.spaces[0].space.kind = PE_SPACE_CARTESIAN;
	c.spaces[0].space.leaf_edge_m = 64;
	c.spaces[0].space.leaf_height_m = 1024;
	memset(c.spaces[1].space.id, 0xB1, 16);
	strcpy(c.spaces[1].space.name, "earth");
	c.spaces[1].space.kind = PE_SPACE_GEODETIC;
	c.spaces[1].space.leaf_edge_m = 64;
	c.spaces[1].space.leaf_height_m = 1024;
	c.spaces[1].space.worldwide = true;
	return c;
}

void harness_start(struct harness *h, const struct pe_engine_config *config)
{
	struct pe_error error;

	memset(h, 0, sizeof *h);
	if (pe_engine_create(config, &h->engine, &error) != PE_OK) {
		fprintf(stderr, "harness: %s\n", error.text);
		abort();
	}
	h->config = *config;
	h->worker_count = config->worker_count;
	h->now = (struct pe_now){
		.mono_ms = 0x1FFFFF800u, .wall_ms = (uint64_t)HARNESS_INCARNATION * 1000 + 500000};
	h->replies = calloc(HARNESS_REPLIES_MAX, sizeof *h->replies);
	h->threads = calloc(h->worker_count, sizeof *h->threads);
	h->port = 40000;
	if (!h->replies || !h->threads)
		abort();
	pe_worker_attach(pe_engine_worker(h->engine, 0));
	for (unsigned i = 1; i < h->worker_count; i++) {
		struct harness_thread *t = &h->threads[i];

		t->worker = pe_engine_worker(h->engine, i);
		sem_init(&t->go, 0, 0);
		sem_init(&t->done, 0, 0);
		if (pthread_create(&t->thread, NULL, run_thread, t))
			abort();
		sem_wait(&t->done);
	}
}

static void forget_queue(struct harness *h)
{
	for (unsigned i = 0; i < h->queue_count; i++)
		free(h->queue[i].data);
	h->queue_count = 0;
}

void harness_check(struct harness *h)
{
	uint64_t v[PE_COUNTER_COUNT];
	struct pe_identity i;

	harness_settle(h);
	pe_engine_counters(h->engine, v);
	i = pe_identity_check(v);
	HARNESS_CHECK(i.packets_difference == 0);
	HARNESS_CHECK(i.records_difference == 0);
	HARNESS_CHECK(i.queries_difference == 0);
	HARNESS_CHECK(i.subscribes_difference == 0);
	HARNESS_CHECK(i.packets_received == h->sent_packets);
	HARNESS_CHECK(i.records_carried <= h->sent_records);
	HARNESS_CHECK(i.queries_carried <= h->sent_queries);
	HARNESS_CHECK(v[PE_COUNTER_REASON(PE_REASON_none)] == 0);
	HARNESS_CHECK(pe_engine_entity_count(h->engine) <= h->config.entity_count_max);
}

void harness_stop(struct harness *h)
{
	h->buffers_refused = false;
	harness_check(h);
	for (unsigned i = 1; i < h->worker_count; i++) {
		struct harness_thread *t = &h->threads[i];

		t->stop = true;
		sem_post(&t->go);
		pthread_join(t->thread, NULL);
		sem_destroy(&t->go);
		sem_destroy(&t->done);
	}
	pe_worker_detach(pe_engine_worker(h->engine, 0));
	pe_engine_destroy(h->engine);
	forget_queue(h);
	free(h->threads);
	free(h->replies);
	h->engine = NULL;
}

// ---- turns ----

static uint8_t *sink_reserve(void *context, const struct pe_peer *peer)
{
	struct harness *h = context;

	(void)peer;
	if (h->buffers_refused || (h->buffers_a_turn && h->buffers_given == h->buffers_a_turn))
		return NULL;
	h->buffers_given++;
	HARNESS_CHECK(h->reserved < PE_OUTBOX_MAX);
	if (++h->reserved > h->reserved_most)
		h->reserved_most = h->reserved;
	return aligned_alloc(8, (PE_WIRE_BYTES_MAX + 7) / 8 * 8);
}

static void sink_commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct harness *h = context;

	HARNESS_CHECK(h->reserved > 0);
	HARNESS_CHECK(bytes <= PE_WIRE_BYTES_MAX);
	h->reserved--;
	if (bytes) {
		HARNESS_CHECK(h->reply_count < HARNESS_REPLIES_MAX);
		if (h->reply_count < HARNESS_REPLIES_MAX) {
			struct harness_reply *r = &h->replies[h->reply_count++];

			r->peer = *peer;
			r->bytes = bytes;
			memcpy(r->data, data, bytes);
		}
	}
	free(data);
}

// The view of a packed one is of `unpacked`, until the next.
static enum pe_reason check_reply(struct harness *h, unsigned i, struct pe_wire_view *view)
{
	static uint8_t unpacked[PE_UNPACKED_BYTES_MAX];
	static _Alignas(64) uint8_t zstd[1 << 18];
	static struct pe_pack_scratch scratch;
	const struct harness_reply *r = &h->replies[i];

	if (!scratch.zstd_unpacks && pe_wire_zstd_bytes(false))
		(void)pe_wire_zstd_start(&scratch, false, zstd, sizeof zstd);
	if (!pe_wire_is_packed(r->data, r->bytes))
		return pe_wire_check_reply(r->data, r->bytes, view);
	HARNESS_CHECK(r->peer.trusted);
	return pe_wire_unpack(r->data, r->bytes, unpacked, view, &scratch);
}

static void check_replies(struct harness *h)
{
	struct pe_wire_view view;

	HARNESS_CHECK(h->reserved == 0);
	for (unsigned i = 0; i < h->reply_count; i++)
		HARNESS_CHECK(check_reply(h, i, &view) == PE_REASON_none);
	// What went to each peer that is not trusted against what came from it.
	for (unsigned i = 0; i < h->reply_count; i++) {
		uint64_t in = 0, out = 0;

		if (h->replies[i].peer.trusted)
			continue;
		for (unsigned k = 0; k < h->reply_count; k++)
			if (!h->replies[k].peer.trusted &&
				h->replies[k].peer.port == h->replies[i].peer.port)
				out += h->replies[k].bytes;
		for (unsigned k = 0; k < h->queue_count; k++)
			if (!h->queue[k].peer.trusted &&
				h->queue[k].peer.port == h->replies[i].peer.port)
				in += h->queue[k].bytes;
		HARNESS_CHECK(out <= in);
	}
}

void harness_queue(struct harness *h, const uint8_t *data, uint32_t bytes)
{
	struct harness_message *m = &h->queue[h->queue_count];

	if (h->queue_count == PE_BURST_MAX)
		abort();
	h->queue_count++;
	*m = (struct harness_message){.data = malloc(bytes ? bytes : 1), .bytes = bytes};
	if (!m->data)
		abort();
	memcpy(m->data, data, bytes);
	m->peer = (struct pe_peer){
		.port = h->port, .trusted = !h->untrusted, .principal = h->principal};
	m->peer.address[15] = 1;
	if (h->network)
		memcpy(m->peer.address + 10, (const uint8_t[]){0xFF, 0xFF, 198, 51, h->network, 1},
			6);
	h->sent_packets++;
}

void harness_turn_worker(struct harness *h, unsigned worker)
{
	struct pe_message messages[PE_BURST_MAX];
	struct pe_sink sink = {.context = h, .reserve = sink_reserve, .commit = sink_commit};
	struct pe_worker *w = pe_engine_worker(h->engine, worker);

	h->reply_count = h->buffers_given = 0;
	for (unsigned i = 0; i < h->queue_count; i++) {
		messages[i] = (struct pe_message){.data = h->queue[i].data,
			.bytes = h->queue[i].bytes,
			.peer = h->queue[i].peer};
		// Nobody else runs now, so that the caller may count for any worker.
		pe_count(pe_worker_counters(w), PE_COUNTER_rx_packets, 1);
		pe_count(pe_worker_counters(w), PE_COUNTER_rx_bytes, h->queue[i].bytes);
	}
	if (worker == 0) {
		(void)pe_worker_turn(w, h->now, messages, h->queue_count, &sink);
	} else {
		struct harness_thread *t = &h->threads[worker];

		t->now = h->now;
		t->messages = messages;
		t->count = h->queue_count;
		t->sink = &sink;
		sem_post(&t->go);
		sem_wait(&t->done);
	}
	check_replies(h);
	forget_queue(h);
}

void harness_turn(struct harness *h)
{
	harness_turn_worker(h, 0);
}

void harness_control(struct harness *h)
{
	(void)pe_engine_control(h->engine);
}

void harness_settle(struct harness *h)
{
	unsigned in_flight = 1, rounds = 0;

	// Two quiet rounds: a departure that is settled may publish a crossing that waits once
	// more.
	for (unsigned quiet = 0; quiet < 3 && rounds < 10000; rounds++) {
		bool busy;

		for (unsigned i = 0; i < h->worker_count; i++)
			harness_turn_worker(h, i);
		busy = pe_engine_control(h->engine);
		in_flight = 0;
		for (unsigned i = 0; i < h->worker_count; i++) {
			struct pe_worker *w = pe_engine_worker(h->engine, i);

			in_flight += pe_worker_in_flight(w);
			busy |= pe_worker_idle_ms(w, h->now) == 0; // timers that are behind
		}
		quiet = in_flight || busy ? 0 : quiet + 1;
		// A leaf that is being closed, a capped state: what needs the clock to move is not
		// in flight here.
		if (in_flight && rounds % 64 == 63)
			h->now.mono_ms++;
	}
	HARNESS_CHECK(in_flight == 0);
}

void harness_advance(struct harness *h, uint64_t ms)
{
	h->now.mono_ms += ms;
	h->now.wall_ms += ms;
	for (unsigned i = 0; i < h->worker_count; i++)
		harness_turn_worker(h, i);
}

uint64_t harness_counter(struct harness *h, unsigned counter)
{
	uint64_t v[PE_COUNTER_COUNT];

	pe_engine_counters(h->engine, v);
	return v[counter];
}

// ---- messages ----

void harness_id(uint8_t id[16], uint64_t n)
{
	uint64_t spread = n * 0x9E3779B97F4A7C15u;

	memcpy(id, &n, 8);
	memcpy(id + 8, &spread, 8);
}

uint64_t harness_id_number(const uint8_t id[16])
{
	uint64_t n;

	memcpy(&n, id, 8);
	return n;
}

struct pe_wire_update harness_update(uint64_t n, uint32_t sequence, double x, double y, double z)
{
	struct pe_wire_update u = {
		.position = {x, y, z},
		.sequence = sequence,
		.entity_type = PE_ENTITY_MOBILE,
		.attributes = PE_STATE_ACTIVE,
	};

	harness_id(u.entity_id, n);
	return u;
}

struct pe_wire_header harness_header(struct harness *h, unsigned space, uint16_t flags)
{
	struct pe_wire_header header = {.flags = flags,
		.stream_id = 7,
		.sequence = ++h->sequence,
		.timestamp_ms = h->now.wall_ms};

	memcpy(header.space_id, h->config.spaces[space].space.id, 16);
	return header;
}

struct pe_wire_update_preamble harness_preamble(uint64_t sequence, uint32_t incarnation)
{
	struct pe_wire_update_preamble p = {.incarnation = incarnation};

	memcpy(p.broadcast_id, &sequence, sizeof sequence);
	return p;
}

uint64_t harness_queue_updates(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_update *updates, unsigned count, bool ack)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble preamble = harness_preamble(header.sequence, incarnation);
	uint32_t bytes =
		pe_wire_put_update(buffer, sizeof buffer, &header, &preamble, updates, count);

	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_records += count;
	return header.sequence;
}

uint64_t harness_queue_detailed(struct harness *h, unsigned space, uint32_t incarnation,
	const uint8_t *records, uint32_t bytes, unsigned count, bool ack)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble preamble = harness_preamble(header.sequence, incarnation);

	bytes = pe_wire_put_detailed(
		buffer, sizeof buffer, &header, &preamble, records, bytes, count);
	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_records += count;
	return header.sequence;
}

uint64_t harness_queue_withdraws(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_withdraw *withdraws, unsigned count, bool ack)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble preamble = harness_preamble(header.sequence, incarnation);
	uint32_t bytes =
		pe_wire_put_withdraw(buffer, sizeof buffer, &header, &preamble, withdraws, count);

	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_records += count;
	return header.sequence;
}

uint64_t harness_queue_erase(struct harness *h, unsigned space, uint64_t n, uint32_t incarnation)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space, 0);
	struct pe_wire_erase erase = {.incarnation = incarnation};
	uint32_t bytes;

	if (n)
		harness_id(erase.entity_id, n);
	bytes = pe_wire_put_erase(buffer, sizeof buffer, &header, &erase);
	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_records++;
	return header.sequence;
}

uint64_t harness_queue_queries(
	struct harness *h, unsigned space, const struct pe_wire_query *queries, unsigned count)
{
	return harness_queue_extended(h, space, queries, count, NULL, 0);
}

uint64_t harness_queue_extended(struct harness *h, unsigned space,
	const struct pe_wire_query *queries, unsigned count, const uint8_t *extensions,
	uint32_t extensions_bytes)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(h, space,
		!h->packed      ? 0 :
			h->zstd ? PE_FLAG_PACKED | PE_FLAG_ZSTD :
				  PE_FLAG_PACKED);
	uint32_t bytes = pe_wire_put_query_extended(
		buffer, sizeof buffer, &header, queries, count, extensions, extensions_bytes);

	HARNESS_CHECK(bytes > 0);
	harness_queue(h, buffer, bytes);
	h->sent_queries += count;
	return header.sequence;
}

int harness_acks(struct harness *h, uint64_t sequence, struct pe_wire_ack_record *records,
	enum pe_reason *refused)
{
	for (unsigned i = 0; i < h->reply_count; i++) {
		struct pe_wire_view v;

		if (check_reply(h, i, &v) != PE_REASON_none)
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

// ---- answers ----

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

		if (check_reply(h, i, &v) != PE_REASON_none ||
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

struct pe_wire_query harness_sphere(double x, double y, double z, double radius_m)
{
	return (struct pe_wire_query){
		.query_id = 1, .kind = PE_QUERY_SPHERE, .a = {x, y, z}, .b = {radius_m}};
}

struct pe_wire_query harness_point(double x, double y, double z)
{
	return (struct pe_wire_query){.query_id = 1, .kind = PE_QUERY_POINT, .a = {x, y, z}};
}

struct pe_wire_query harness_box(const double a[3], const double b[3])
{
	return (struct pe_wire_query){.query_id = 1,
		.kind = PE_QUERY_BOX,
		.a = {a[0], a[1], a[2]},
		.b = {b[0], b[1], b[2]}};
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

		if (check_reply(h, i, &v) != PE_REASON_none || v.header.type != PE_TYPE_EXPLAIN)
			continue;
		pe_wire_get_explanation(&v, explanation);
		if (explanation->request_sequence == header.sequence)
			return true;
	}
	return false;
}
