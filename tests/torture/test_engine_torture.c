// Two workers and the control thread, each at full speed, through the façade. Some entities are always there, and move across
// cells all the time: one lot by worker 0, one by worker 1, one by both through the rings between them (which are short,
// so that they overflow). Beside them ids are created on both workers at once, withdrawn, and expire. Every query, on either
// worker, must see each of those that are always there exactly once, and nobody twice, and count them all in its cells, of whatever size.
// Each worker keeps a subscription as well, and begins it anew now and then: its events come in their order without a hole, ENTER and LEAVE in
// turns, and when all rests its members are those that a query finds, and explanations say so too. A second fence of it follows an entity that both
// workers move; some updates carry payloads, whose pieces come whole and in order. At the end, after a drain, the
// identities hold exactly and agree with what the senders counted, and the whole is as many as the engine counts. The seed is printed;
// PE_TEST_SEED sets it, but not what the threads make of it.
#include "harness.h"
#include "testing.h"
#include "wire/extension.h"
#include "wire/subscribe.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ALWAYS        64u   // of each lot
#define PASSING       1000u // ids that come and go, from PASSING_FROM on
#define PASSING_FROM  1000u
#define ID_MAX        (PASSING_FROM + PASSING)
#define RADIUS_M      400.0
#define ALWAYS_TTL_MS 3600000u
#define WATCHED_M     150.0

// Lot 0 and 1: the worker's own. Lot 2: both workers', with sequences drawn from one counter.
#define LOT_ID(lot, k) (1 + (lot)*100 + (k))
#define FOLLOWED       LOT_ID(2, 0)
#define FOLLOWED_M     60.0

static struct pe_engine *engine;
static _Atomic uint32_t shared_sequence = 1;
static _Atomic bool ready[2], draining, stop_control, stop_workers;
static _Atomic uint64_t wrong;
static struct pe_now started;

struct driver {
	unsigned index;
	pthread_t thread;
	uint64_t random;
	uint64_t packets, records, queries; // sent
	uint64_t answered, whole_count;
	uint32_t sequence;
	uint64_t header_sequence;
	uint8_t messages[PE_BURST_MAX][PE_WIRE_BYTES_MAX];
	struct pe_message burst[PE_BURST_MAX];
	unsigned burst_count;
	uint8_t times[ID_MAX]; // of each id in the answer that is being put together
	unsigned complete;     // answers
	uint64_t counted;      // in cells
	// the subscription
	uint32_t epoch;
	uint64_t next_event, events, snapshots;
	bool inside[2][ID_MAX], whole; // of each fence
	uint64_t pieces;
	struct {
		uint8_t next; // piece
		uint16_t bytes;
		uint64_t time_ms;
	} payload[2][ID_MAX];
	struct pe_wire_explanation told;
	uint64_t explained;
	_Alignas(8) uint8_t buffers[PE_OUTBOX_MAX][(PE_WIRE_BYTES_MAX + 7) / 8 * 8];
	unsigned free[PE_OUTBOX_MAX], free_count;
};

#define EXPECT(what) \
	do { \
		if (!(what) && atomic_fetch_add(&wrong, 1) < 10) \
			printf("\n%s:%d: %s", __FILE__, __LINE__, #what); \
	} while (0)

static uint8_t payload_byte(uint64_t n, uint32_t bytes, uint32_t at)
{
	return (uint8_t)(1 + (n * 7 + bytes * 3 + at) % 251);
}

static uint64_t next(struct driver *d)
{
	return testing_random(&d->random);
}

static struct pe_now now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct pe_now){.mono_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000,
		.wall_ms = (uint64_t)HARNESS_INCARNATION * 1000 + 500000};
}

// ---- the sink ----

static uint8_t *reserve(void *context, const struct pe_peer *peer)
{
	struct driver *d = context;

	(void)peer;
	EXPECT(d->free_count > 0);
	return d->free_count ? d->buffers[d->free[--d->free_count]] : NULL;
}

// Each goes on with what is there of its fence and entity, or begins anew; what it says names its entity and place.
static void take_piece(struct driver *d, const struct pe_wire_event *e, uint64_t n)
{
	struct pe_wire_piece piece;
	uint32_t from = e->cause * PE_PIECE_BYTES;

	memcpy(&piece, &e->result, sizeof piece);
	EXPECT(e->flags <= PE_PAYLOAD_BYTES_MAX && e->cause < pe_wire_pieces(e->flags));
	if (e->cause == 0) {
		d->payload[e->fence_id][n].next = 0;
		d->payload[e->fence_id][n].bytes = e->flags;
		d->payload[e->fence_id][n].time_ms = e->time_ms;
	}
	EXPECT(d->payload[e->fence_id][n].next == e->cause &&
		d->payload[e->fence_id][n].bytes == e->flags &&
		d->payload[e->fence_id][n].time_ms == e->time_ms);
	d->payload[e->fence_id][n].next = (uint8_t)(e->cause + 1);
	for (uint32_t i = 0; i < PE_PIECE_BYTES; i++)
		EXPECT(piece.bytes[i] ==
			(from + i < e->flags ? payload_byte(n, e->flags, from + i) : 0));
	d->pieces++;
}

static void take_event(struct driver *d, const struct pe_wire_event *e)
{
	uint64_t n = harness_id_number(e->result.entity_id);
	bool *inside;

	EXPECT(n < ID_MAX && e->fence_id < 2);
	if (n >= ID_MAX || e->fence_id >= 2)
		return;
	inside = &d->inside[e->fence_id][n];
	d->events++;
	switch (e->kind) {
	case PE_EVENT_ENTER:
		EXPECT(!*inside);
		EXPECT(e->fence_id == 0 || n != FOLLOWED);
		*inside = true;
		break;
	case PE_EVENT_MOVE:
		EXPECT(*inside);
		break;
	case PE_EVENT_LEAVE:
		EXPECT(*inside);
		*inside = false;
		break;
	case PE_EVENT_PAYLOAD:
		take_piece(d, e, n);
		break;
	case PE_EVENT_SNAPSHOT_END:
		d->whole = true;
		d->snapshots++;
		break;
	case PE_EVENT_GAP:
		memset(d->inside, 0, sizeof d->inside);
		d->whole = false;
		break;
	default:
		break;
	}
}

static void take_notice(struct driver *d, const uint8_t *data, const struct pe_wire_view *v)
{
	struct pe_wire_notice notice;
	struct pe_wire_event e;

	pe_wire_get_notice(data, &notice);
	if (notice.epoch != d->epoch)
		return;
	EXPECT(notice.first_sequence == d->next_event);
	d->next_event = notice.first_sequence + v->count;
	for (unsigned i = 0; i < v->count; i++) {
		pe_wire_get_event(v, i, &e);
		take_event(d, &e);
	}
}

static void commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct driver *d = context;
	struct pe_wire_view v;
	struct pe_wire_answer a;
	const uint8_t *results;
	uint32_t offset = 0;

	(void)peer;
	d->free[d->free_count++] = (unsigned)((data - d->buffers[0]) / (long)sizeof d->buffers[0]);
	if (!bytes)
		return;
	EXPECT(pe_wire_check_reply(data, bytes, &v) == PE_REASON_none);
	if (v.header.type == PE_TYPE_NOTICE)
		take_notice(d, data, &v);
	if (v.header.type == PE_TYPE_EXPLAIN) {
		pe_wire_get_explanation(&v, &d->told);
		EXPECT(d->told.reason == PE_REASON_none);
		d->explained++;
	}
	if (v.header.type != PE_TYPE_SPATIAL_RESPONSE)
		return;
	while (pe_wire_next_answer(&v, &offset, &a, &results)) {
		EXPECT(a.code == PE_CODE_SUCCESS && !(a.flags & PE_ANSWER_TRUNCATED));
		d->complete += (a.flags & PE_ANSWER_LAST) != 0;
		if (a.flags & PE_ANSWER_CELLS) {
			for (unsigned i = 0; i < a.result_count; i++) {
				struct pe_wire_cell cell;

				pe_wire_get_cell(results, i, &cell);
				d->counted += cell.count;
			}
			continue;
		}
		d->whole_count += a.result_count;
		for (unsigned i = 0; i < a.result_count; i++) {
			struct pe_wire_result r;
			uint64_t n;

			pe_wire_get_result(results, i, &r);
			n = harness_id_number(r.entity_id);
			EXPECT(n < ID_MAX);
			if (n < ID_MAX)
				d->times[n]++;
		}
	}
}

static void turn(struct driver *d)
{
	struct pe_sink sink = {.context = d, .reserve = reserve, .commit = commit};
	struct pe_worker *w = pe_engine_worker(engine, d->index);

	for (unsigned i = 0; i < d->burst_count; i++) {
		pe_count(pe_worker_counters(w), PE_COUNTER_rx_packets, 1);
		pe_count(pe_worker_counters(w), PE_COUNTER_rx_bytes, d->burst[i].bytes);
	}
	d->packets += d->burst_count;
	(void)pe_worker_turn(w, now(), d->burst, d->burst_count, &sink);
	d->burst_count = 0;
	EXPECT(d->free_count == PE_OUTBOX_MAX);
}

// ---- messages ----

static struct pe_wire_header header_of(struct driver *d)
{
	return (struct pe_wire_header){.stream_id = d->index,
		.sequence = ++d->header_sequence,
		.timestamp_ms = started.wall_ms};
}

static void add(struct driver *d, uint32_t bytes)
{
	struct pe_message *m = &d->burst[d->burst_count];

	*m = (struct pe_message){.data = d->messages[d->burst_count], .bytes = bytes};
	m->peer.port = (uint16_t)(1 + d->index);
	m->peer.trusted = true;
	d->burst_count++;
}

static struct pe_wire_update somewhere(
	struct driver *d, uint64_t n, uint32_t sequence, uint32_t ttl_ms)
{
	uint64_t r = next(d);
	// Within the query's sphere, over a hundred cells.
	double x = (double)(r & 511) - 256, y = (double)(r >> 9 & 511) - 256;
	struct pe_wire_update u = harness_update(n, sequence, x, y, 0);

	u.ttl_ms = ttl_ms;
	u.attributes = ttl_ms == ALWAYS_TTL_MS ? PE_STATE_AWAY : PE_STATE_ACTIVE;
	return u;
}

static void send_updates(struct driver *d, const struct pe_wire_update *u, unsigned count)
{
	struct pe_wire_header header = header_of(d);
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, HARNESS_INCARNATION);

	add(d,
		pe_wire_put_update(d->messages[d->burst_count], PE_WIRE_BYTES_MAX, &header,
			&preamble, u, count));
	d->records += count;
}

static void move_lot(struct driver *d, unsigned lot)
{
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];

	for (unsigned i = 0; i < PE_UPDATE_COUNT_MAX; i++) {
		unsigned k = (unsigned)(next(d) % ALWAYS);
		uint32_t sequence =
			lot == 2 ? atomic_fetch_add(&shared_sequence, 1) : ++d->sequence;

		u[i] = somewhere(d, LOT_ID(lot, k), sequence, ALWAYS_TTL_MS);
	}
	send_updates(d, u, PE_UPDATE_COUNT_MAX);
}

// Ids that both workers speak of: created anywhere, soon gone by ttl or withdrawal, created again.
static void pass_by(struct driver *d)
{
	struct pe_wire_update u[8];
	struct pe_wire_withdraw x[4];
	struct pe_wire_header header;
	struct pe_wire_update_preamble preamble;

	for (unsigned i = 0; i < 8; i++)
		u[i] = somewhere(d, PASSING_FROM + next(d) % PASSING,
			atomic_fetch_add(&shared_sequence, 1), 1 + (uint32_t)(next(d) % 100));
	send_updates(d, u, 8);
	for (unsigned i = 0; i < 4; i++) {
		x[i] = (struct pe_wire_withdraw){.sequence = atomic_fetch_add(&shared_sequence, 1)};
		harness_id(x[i].entity_id, PASSING_FROM + next(d) % PASSING);
	}
	header = header_of(d);
	preamble = harness_preamble(header.sequence, HARNESS_INCARNATION);
	add(d,
		pe_wire_put_withdraw(
			d->messages[d->burst_count], PE_WIRE_BYTES_MAX, &header, &preamble, x, 4));
	d->records += 4;
}

static void ask(struct driver *d, double radius_m)
{
	struct pe_wire_header header = header_of(d);
	struct pe_wire_query q[2] = {
		harness_sphere(0, 0, 0, radius_m), harness_sphere(0, 0, 0, radius_m)};
	// The second counts those that are always there.
	const struct pe_wire_resolution resolution = {
		.spatial_m = (float)(4u << next(d) % 12), .attribute = 0.5f};
	uint8_t extension[64];
	uint32_t bytes = pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_RESOLUTION,
		&resolution, sizeof resolution);

	q[1].query_id = 2;
	q[1].state_mask = 1u << PE_STATE_AWAY;
	q[1].flags = PE_QUERY_HAS_EXTENSION;
	q[1].extension_bytes = (uint16_t)bytes;
	add(d,
		pe_wire_put_query_extended(d->messages[d->burst_count], PE_WIRE_BYTES_MAX, &header,
			q, 2, extension, bytes));
	d->queries += 2;
	memset(d->times, 0, sizeof d->times);
	d->complete = 0;
	d->whole_count = d->counted = 0;
}

// A new life of the subscription.
static void subscribe(struct driver *d)
{
	struct pe_wire_header header = header_of(d);
	const struct pe_wire_subscribe s = {.subscription_id = 1,
		.epoch = ++d->epoch,
		.op = PE_SUBSCRIBE_OPEN,
		.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_PAYLOADS};
	struct pe_wire_fence f[2] = {{.query = harness_sphere(0, 0, 0, WATCHED_M)},
		{.fence_id = 1,
			.flags = PE_FENCE_FOLLOW,
			.query = harness_sphere(0, 0, 0, FOLLOWED_M)}};

	harness_id(f[1].follow_id, FOLLOWED);
	add(d,
		pe_wire_put_subscribe(d->messages[d->burst_count], PE_WIRE_BYTES_MAX, &header, &s,
			f, 2, NULL, 0));
	d->next_event = 1;
	d->whole = false;
	memset(d->inside, 0, sizeof d->inside);
}

// An update of one that is always there, with a payload that names it.
static void send_payload(struct driver *d)
{
	uint64_t n = LOT_ID(d->index, next(d) % ALWAYS);
	struct pe_wire_update u = somewhere(d, n, ++d->sequence, ALWAYS_TTL_MS);
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX], payload[PE_PAYLOAD_BYTES_MAX];
	uint32_t bytes = (uint32_t)(next(d) % (PE_PAYLOAD_BYTES_MAX + 1));
	struct pe_wire_header header = header_of(d);
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, HARNESS_INCARNATION);

	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = payload_byte(n, bytes, i);
	(void)pe_wire_begin_details(record, sizeof record, &u);
	if (!pe_wire_put_details(record, sizeof record, PE_DETAILS_PAYLOAD, payload, bytes))
		abort();
	add(d,
		pe_wire_put_detailed(d->messages[d->burst_count], PE_WIRE_BYTES_MAX, &header,
			&preamble, record, pe_wire_detailed_next(record), 1));
	d->records++;
}

static void explain(struct driver *d, uint32_t fence_id, uint64_t n)
{
	static const struct pe_wire_query none = {0};
	struct pe_wire_header header = header_of(d);
	struct pe_wire_explain explain = {
		.selector = PE_EXPLAIN_FENCE, .subject = (uint64_t)fence_id << 32 | 1};

	harness_id(explain.entity_id, n);
	add(d,
		pe_wire_put_explain(d->messages[d->burst_count], PE_WIRE_BYTES_MAX, &header,
			&explain, &none, NULL));
	d->queries++;
}

static void check_answer(struct driver *d)
{
	EXPECT(d->complete == 2);
	EXPECT(d->counted == 3 * ALWAYS);
	for (unsigned lot = 0; lot < 3; lot++)
		for (unsigned k = 0; k < ALWAYS; k++)
			EXPECT(d->times[LOT_ID(lot, k)] == 1);
	for (unsigned n = PASSING_FROM; n < ID_MAX; n++)
		EXPECT(d->times[n] <= 1);
	d->answered++;
}

// ---- threads ----

// Every one of lot 0 and 1 by its worker, lot 2 by halves.
static void create_always(struct driver *d)
{
	for (unsigned k = 0; k < ALWAYS; k++) {
		struct pe_wire_update u[2];

		u[0] = somewhere(d, LOT_ID(d->index, k), ++d->sequence, ALWAYS_TTL_MS);
		u[1] = somewhere(
			d, LOT_ID(2, k), atomic_fetch_add(&shared_sequence, 1), ALWAYS_TTL_MS);
		send_updates(d, u, (k & 1) == d->index ? 2 : 1);
		turn(d);
	}
}

static void *run_worker(void *context)
{
	struct driver *d = context;
	struct pe_worker *w = pe_engine_worker(engine, d->index);
	unsigned turns = 0;

	pe_worker_attach(w);
	turn(d);
	create_always(d);
	atomic_store(&ready[d->index], true);
	while (!atomic_load(&ready[1 - d->index]) || pe_worker_in_flight(w))
		turn(d);
	for (unsigned i = 0; i < 10000000 && pe_engine_entity_count(engine) < 3 * ALWAYS; i++)
		turn(d);
	while (!atomic_load(&draining)) {
		unsigned kind = (unsigned)(next(d) % 64);

		move_lot(d, d->index);
		if (kind & 2)
			move_lot(d, 2);
		if (kind == 7) // enough at once to fill the ring
			for (unsigned i = 0; i < 30; i++)
				move_lot(d, 2);
		if (kind & 1)
			pass_by(d);
		if (turns++ % 4096 == 0)
			subscribe(d);
		if (kind % 8 == 3)
			send_payload(d);
		if (kind % 8 == 5 && d->whole)
			explain(d, kind >> 3 & 1, 1 + next(d) % (ID_MAX - 1));
		ask(d, RADIUS_M);
		turn(d);
		check_answer(d);
	}
	while (!atomic_load(&stop_workers))
		turn(d);
	EXPECT(d->whole);
	ask(d, WATCHED_M); // nothing moves any more
	turn(d);
	for (unsigned n = 0; n < ID_MAX; n++)
		EXPECT(d->times[n] == d->inside[0][n]);
	for (unsigned n = 1; n < PASSING_FROM; n++) {
		explain(d, 0, n);
		turn(d);
		EXPECT(d->told.verdict == (d->inside[0][n] ? PE_EXPLAIN_IN : PE_EXPLAIN_OUT));
	}
	if (d->index == 0) { // all the others rest
		ask(d, 1e5);
		turn(d);
		check_answer(d);
		EXPECT(d->whole_count == pe_engine_entity_count(engine));
	}
	pe_worker_detach(w);
	return NULL;
}

static void *run_control(void *context)
{
	(void)context;
	while (!atomic_load(&stop_control))
		if (!pe_engine_control(engine))
			usleep(500);
	return NULL;
}

static void sleep_ms(uint64_t ms)
{
	usleep((useconds_t)(ms * 1000));
}

static void drain(void)
{
	unsigned quiet = 0;

	for (unsigned i = 0; i < 3000 && quiet < 20; i++) {
		uint32_t in_flight = pe_worker_in_flight(pe_engine_worker(engine, 0)) +
			pe_worker_in_flight(pe_engine_worker(engine, 1));

		quiet = in_flight ? 0 : quiet + 1;
		sleep_ms(10);
	}
	EXPECT(quiet == 20);
}

// Has what this is about happened?
static bool enough(void)
{
	uint64_t v[PE_COUNTER_COUNT];

	pe_engine_counters(engine, v);
	return v[PE_COUNTER_crossings] > 50 && v[PE_COUNTER_crossings_pending] > 0 &&
		v[PE_COUNTER_records_forwarded] > 50 && v[PE_COUNTER_expired] > 0 &&
		v[PE_COUNTER_withdrawn] > 0 && v[PE_COUNTER_fences_moved] > 0 &&
		v[PE_COUNTER_events_enter] + v[PE_COUNTER_events_leave] > 100 &&
		v[PE_COUNTER_events_payload] > 20 && v[PE_COUNTER_REASON(PE_REASON_ring_full)] > 0;
}

static void queries_beside_moves(void)
{
	static struct driver drivers[2];
	struct pe_engine_config config = harness_config();
	const char *text = getenv("PE_TEST_SEED");
	uint64_t v[PE_COUNTER_COUNT], seed, end_ms;
	struct pe_identity i;
	struct pe_error error;
	pthread_t control;

	config.worker_count = 2;
	config.entity_count_max = 4000;
	config.ring_records = 128;
	config.fence_count_max = 64;
	config.member_count_max = 16384;
	config.details_bytes = 1 << 20;
	config.tombstone_ms =
		50; // ids are forgotten and made anew while the other worker still speaks of them
	if (pe_engine_create(&config, &engine, &error) != PE_OK) {
		CU_FAIL_FATAL(error.text);
	}
	started = now();
	seed = text ? strtoull(text, NULL, 0) : started.mono_ms;
	printf("seed %" PRIu64 " ", seed);
	pthread_create(&control, NULL, run_control, NULL);
	for (unsigned k = 0; k < 2; k++) {
		struct driver *d = &drivers[k];

		d->index = k;
		d->random = seed * 2 + k;
		for (unsigned b = 0; b < PE_OUTBOX_MAX; b++)
			d->free[d->free_count++] = b;
		pthread_create(&d->thread, NULL, run_worker, d);
	}
	// A busy machine may need longer.
	end_ms = started.mono_ms + testing_amount(20000);
	while (now().mono_ms < end_ms || (!enough() && now().mono_ms < end_ms + 100000))
		sleep_ms(20);
	atomic_store(&draining, true);
	drain();
	// Worker 1 goes first, so that worker 0's last look is at what rests; its own entities' timers rest with it.
	sleep_ms(300);
	atomic_store(&stop_workers, true);
	pthread_join(drivers[1].thread, NULL);
	pthread_join(drivers[0].thread, NULL);
	atomic_store(&stop_control, true);
	pthread_join(control, NULL);

	pe_engine_counters(engine, v);
	i = pe_identity_check(v);
	CU_ASSERT_EQUAL(i.packets_difference, 0);
	CU_ASSERT_EQUAL(i.records_difference, 0);
	CU_ASSERT_EQUAL(i.queries_difference, 0);
	CU_ASSERT_EQUAL(i.subscribes_difference, 0);
	CU_ASSERT(drivers[0].snapshots > 0 && drivers[1].snapshots > 0);
	CU_ASSERT(drivers[0].events + drivers[1].events > 100);
	CU_ASSERT(drivers[0].pieces + drivers[1].pieces > 10);
	CU_ASSERT(drivers[0].explained > PASSING_FROM / 2);
	CU_ASSERT_EQUAL(i.packets_received, drivers[0].packets + drivers[1].packets);
	CU_ASSERT_EQUAL(i.records_carried, drivers[0].records + drivers[1].records);
	CU_ASSERT_EQUAL(i.queries_carried, drivers[0].queries + drivers[1].queries);
	CU_ASSERT_EQUAL(i.queries_answered, i.queries_carried);
	CU_ASSERT_EQUAL(pe_engine_entity_count(engine), 3 * ALWAYS);
	CU_ASSERT(enough());
	CU_ASSERT_EQUAL(atomic_load(&wrong), 0);
	printf("%" PRIu64 " answers, %" PRIu64 " records: %" PRIu64 " applied, %" PRIu64
	       " coalesced, %" PRIu64 " refused, %" PRIu64 " dropped; %" PRIu64
	       " crossings, %" PRIu64 " forwarded, %" PRIu64 " created, %" PRIu64
	       " expired, %" PRIu64 " withdrawn; %" PRIu64 " events, %" PRIu64 " gaps ",
		drivers[0].answered + drivers[1].answered, i.records_carried, i.records_applied,
		i.records_coalesced, i.records_refused, i.records_dropped, v[PE_COUNTER_crossings],
		v[PE_COUNTER_records_forwarded], v[PE_COUNTER_created], v[PE_COUNTER_expired],
		v[PE_COUNTER_withdrawn], drivers[0].events + drivers[1].events,
		v[PE_COUNTER_events_gap]);
	pe_engine_destroy(engine);
}

TESTING_MAIN("engine: torture", {"queries beside moves", queries_beside_moves})
