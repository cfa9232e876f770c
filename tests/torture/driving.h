// What torture tests share that drive two workers of an engine, each on a thread of its own, and
// the control thread beside them: messages, the clock, the sink, and who is waited for. A program
// that includes this has its own struct driver, with a struct driving as its first member, and
// takes what comes back in driving_takes.
#pragma once

#include "harness.h"
#include "testing.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRIVERS 2u

static struct pe_engine *engine;
static _Atomic bool draining, stop_control, stop_workers;
static _Atomic uint64_t wrong;
static _Atomic uint32_t shared_sequence = 1; // of entities that both speak of
static uint64_t began_ms;                    // by the monotonic clock
static uint64_t wall_ahead_ms = 500000;      // of HARNESS_INCARNATION, when it begins
static unsigned wall_speed; // the wall clock goes so much faster, 0: it stands still

struct driving {
	unsigned index;
	pthread_t thread;
	uint64_t random;
	uint64_t packets, records, queries; // sent
	uint64_t header_sequence;
	struct pe_now now; // of the last turn
	uint8_t messages[PE_BURST_MAX][PE_WIRE_BYTES_MAX];
	struct pe_message burst[PE_BURST_MAX];
	unsigned burst_count;
	_Alignas(8) uint8_t buffers[PE_OUTBOX_MAX][(PE_WIRE_BYTES_MAX + 7) / 8 * 8];
	unsigned free[PE_OUTBOX_MAX], free_count;
};

// A reply that is sound.
static void driving_takes(struct driving *d, const uint8_t *data, const struct pe_wire_view *view);

#define EXPECT(what) \
	do { \
		if (!(what) && atomic_fetch_add(&wrong, 1) < 10) \
			printf("\n%s:%d: %s", __FILE__, __LINE__, #what); \
	} while (0)

static unsigned below(struct driving *d, unsigned n)
{
	return (unsigned)(testing_random(&d->random) % n);
}

static struct pe_now driving_now(void)
{
	struct timespec t;
	uint64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	return (struct pe_now){.mono_ms = ms,
		.wall_ms = (uint64_t)HARNESS_INCARNATION * 1000 + wall_ahead_ms +
			(began_ms ? (ms - began_ms) * wall_speed : 0)};
}

static uint8_t *driving_reserve(void *context, const struct pe_peer *peer)
{
	struct driving *d = context;

	(void)peer;
	EXPECT(d->free_count > 0);
	return d->free_count ? d->buffers[d->free[--d->free_count]] : NULL;
}

static void driving_commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct driving *d = context;
	struct pe_wire_view view;
	enum pe_reason reason;

	(void)peer;
	d->free[d->free_count++] = (unsigned)((data - d->buffers[0]) / (long)sizeof d->buffers[0]);
	if (!bytes)
		return;
	reason = pe_wire_check_reply(data, bytes, &view);
	EXPECT(reason == PE_REASON_none);
	if (reason)
		printf(" (%s, type %u)", pe_reason_info[reason].name,
			data[offsetof(struct pe_wire_header, type)]);
	else
		driving_takes(d, data, &view);
}

static struct pe_sink driving_sink(struct driving *d)
{
	return (struct pe_sink){.context = d, .reserve = driving_reserve, .commit = driving_commit};
}

static void driving_turn(struct driving *d)
{
	struct pe_sink sink = driving_sink(d);
	struct pe_worker *w = pe_engine_worker(engine, d->index);

	for (unsigned i = 0; i < d->burst_count; i++) {
		pe_count(pe_worker_counters(w), PE_COUNTER_rx_packets, 1);
		pe_count(pe_worker_counters(w), PE_COUNTER_rx_bytes, d->burst[i].bytes);
	}
	d->packets += d->burst_count;
	d->now = driving_now();
	(void)pe_worker_turn(w, d->now, d->burst, d->burst_count, &sink);
	d->burst_count = 0;
	EXPECT(d->free_count == PE_OUTBOX_MAX);
}

// Where the next message is written.
static uint8_t *driving_next(struct driving *d)
{
	if (d->burst_count == PE_BURST_MAX)
		driving_turn(d);
	return d->messages[d->burst_count];
}

static void driving_add(struct driving *d, uint32_t bytes, uint32_t principal)
{
	struct pe_message *m = &d->burst[d->burst_count];

	EXPECT(bytes > 0);
	*m = (struct pe_message){.data = d->messages[d->burst_count], .bytes = bytes};
	m->peer.port = (uint16_t)(1 + principal);
	m->peer.principal = principal;
	m->peer.trusted = true;
	d->burst_count++;
}

static void *driving_control(void *context)
{
	(void)context;
	while (!atomic_load(&stop_control))
		if (!pe_engine_control(engine))
			usleep(200);
	return NULL;
}

static uint64_t driving_seed(void)
{
	const char *text = getenv("PE_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	printf("seed %" PRIu64 " ", seed);
	return seed;
}

// Nothing is on its way any more, for as long as the threads go on turning, and has not been for
// half a second: what lives shorter is gone.
static void driving_drain(void)
{
	unsigned quiet = 0;

	for (unsigned i = 0; i < 6000 && quiet < 50; i++) {
		uint32_t in_flight = 0;

		for (unsigned k = 0; k < DRIVERS; k++)
			in_flight += pe_worker_in_flight(pe_engine_worker(engine, k));
		quiet = in_flight ? 0 : quiet + 1;
		usleep(10000);
	}
	EXPECT(quiet == 50);
}

// Starts the engine and the control thread. Then threads of the caller's, which run until
// `draining`, and turn until `stop_workers`.
static void driving_begin(const struct pe_engine_config *config, pthread_t *control)
{
	struct pe_error error;

	if (pe_engine_create(config, &engine, &error) != PE_OK) {
		printf("%s ", error.text);
		CU_FAIL_FATAL("no engine");
	}
	began_ms = driving_now().mono_ms;
	pthread_create(control, NULL, driving_control, NULL);
}

static void driving_start(struct driving *d, unsigned index, uint64_t seed, void *(*run)(void *))
{
	d->index = index;
	d->random = seed * DRIVERS + index;
	for (unsigned b = 0; b < PE_OUTBOX_MAX; b++)
		d->free[d->free_count++] = b;
	pthread_create(&d->thread, NULL, run, d);
}

// Ends all threads, and checks what must hold whatever was done. The counters are what is left; the
// engine is the caller's to destroy.
static void driving_end(
	struct driving *const *drivers, pthread_t control, uint64_t v[PE_COUNTER_COUNT])
{
	uint64_t packets = 0, records = 0, queries = 0;
	struct pe_identity i;

	atomic_store(&draining, true);
	driving_drain();
	atomic_store(&stop_workers, true);
	for (unsigned k = 0; k < DRIVERS; k++) {
		pthread_join(drivers[k]->thread, NULL);
		packets += drivers[k]->packets;
		records += drivers[k]->records;
		queries += drivers[k]->queries;
	}
	atomic_store(&stop_control, true);
	pthread_join(control, NULL);
	pe_engine_counters(engine, v);
	i = pe_identity_check(v);
	CU_ASSERT_EQUAL(i.packets_difference, 0);
	CU_ASSERT_EQUAL(i.records_difference, 0);
	CU_ASSERT_EQUAL(i.queries_difference, 0);
	CU_ASSERT_EQUAL(i.subscribes_difference, 0);
	CU_ASSERT_EQUAL(i.packets_received, packets);
	CU_ASSERT_EQUAL(i.records_carried, records);
	CU_ASSERT_EQUAL(i.queries_carried, queries);
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
}
