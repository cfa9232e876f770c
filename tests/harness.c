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

enum pe_reason harness_check_reply(struct harness *h, unsigned i, struct pe_wire_view *view)
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
		HARNESS_CHECK(harness_check_reply(h, i, &view) == PE_REASON_none);
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
