// Two workers and the control thread, each at full speed, through the façade. Some entities are
// always there, and move across cells all the time: one lot by worker 0, one by worker 1, one by
// both through the rings between them (which are short, so that they overflow). Beside them ids are
// created on both workers at once, withdrawn, and expire. Every query, on either worker, must see
// each of those that are always there exactly once, and nobody twice, and count them all in its
// cells, of whatever size. Each worker keeps a subscription as well, and begins it anew now and
// then: its events come in their order without a hole, ENTER and LEAVE in turns, and when all rests
// its members are those that a query finds, and explanations say so too. A second fence of it
// follows an entity that both workers move; some updates carry payloads, whose pieces come whole
// and in order. At the end, after a drain, the identities hold exactly and agree with what the
// senders counted, and the whole is as many as the engine counts. The seed is printed; PE_TEST_SEED
// sets it, but not what the threads make of it.
#include "driving.h"
#include "wire/extension.h"
#include "wire/subscribe.h"

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

static _Atomic bool ready[DRIVERS];

struct driver {
	struct driving d;
	uint64_t answered, whole_count;
	uint32_t sequence;
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
};

static uint8_t payload_byte(uint64_t n, uint32_t bytes, uint32_t at)
{
	return (uint8_t)(1 + (n * 7 + bytes * 3 + at) % 251);
}

// ---- what comes back ----

// Each goes on with what is there of its fence and entity, or begins anew; what it says names its
// entity and place.
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

static void driving_takes(
	struct driving *driving, const uint8_t *data, const struct pe_wire_view *v)
{
	struct driver *d = (struct driver *)driving;
	struct pe_wire_answer a;
	const uint8_t *results;
	uint32_t offset = 0;

	if (v->header.type == PE_TYPE_NOTICE)
		take_notice(d, data, v);
	if (v->header.type == PE_TYPE_EXPLAIN) {
		pe_wire_get_explanation(v, &d->told);
		EXPECT(d->told.reason == PE_REASON_none);
		d->explained++;
	}
	if (v->header.type != PE_TYPE_SPATIAL_RESPONSE)
		return;
	while (pe_wire_next_answer(v, &offset, &a, &results)) {
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

// ---- messages ----

static struct pe_wire_header header_of(struct driver *d)
{
	return (struct pe_wire_header){.stream_id = d->d.index,
		.sequence = ++d->d.header_sequence,
		.timestamp_ms = driving_now().wall_ms};
}

// Each worker's sender is a peer of its own, whom nobody knows.
static void add(struct driver *d, uint32_t bytes)
{
	driving_add(&d->d, bytes, 0);
	d->d.burst[d->d.burst_count - 1].peer.port += (uint16_t)d->d.index;
}

static struct pe_wire_update somewhere(
	struct driver *d, uint64_t n, uint32_t sequence, uint32_t ttl_ms)
{
	uint64_t r = testing_random(&d->d.random);
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
		pe_wire_put_update(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &preamble, u, count));
	d->d.records += count;
}

static void move_lot(struct driver *d, unsigned lot)
{
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];

	for (unsigned i = 0; i < PE_UPDATE_COUNT_MAX; i++) {
		unsigned k = below(&d->d, ALWAYS);
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
		u[i] = somewhere(d, PASSING_FROM + below(&d->d, PASSING),
			atomic_fetch_add(&shared_sequence, 1), 1 + below(&d->d, 100));
	send_updates(d, u, 8);
	for (unsigned i = 0; i < 4; i++) {
		x[i] = (struct pe_wire_withdraw){.sequence = atomic_fetch_add(&shared_sequence, 1)};
		harness_id(x[i].entity_id, PASSING_FROM + below(&d->d, PASSING));
	}
	header = header_of(d);
	preamble = harness_preamble(header.sequence, HARNESS_INCARNATION);
	add(d,
		pe_wire_put_withdraw(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &preamble, x, 4));
	d->d.records += 4;
}

static void ask(struct driver *d, double radius_m)
{
	struct pe_wire_header header = header_of(d);
	struct pe_wire_query q[2] = {
		harness_sphere(0, 0, 0, radius_m), harness_sphere(0, 0, 0, radius_m)};
	// The second counts those that are always there.
	const struct pe_wire_resolution resolution = {
		.spatial_m = (float)(4u << below(&d->d, 12)), .attribute = 0.5f};
	uint8_t extension[64];
	uint32_t bytes = pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_RESOLUTION,
		&resolution, sizeof resolution);

	q[1].query_id = 2;
	q[1].state_mask = 1u << PE_STATE_AWAY;
	q[1].flags = PE_QUERY_HAS_EXTENSION;
	q[1].extension_bytes = (uint16_t)bytes;
	add(d,
		pe_wire_put_query_extended(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, q, 2, extension, bytes));
	d->d.queries += 2;
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
		pe_wire_put_subscribe(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &s, f, 2, NULL, 0));
	d->next_event = 1;
	d->whole = false;
	memset(d->inside, 0, sizeof d->inside);
}

// An update of one that is always there, with a payload that names it.
static void send_payload(struct driver *d)
{
	uint64_t n = LOT_ID(d->d.index, below(&d->d, ALWAYS));
	struct pe_wire_update u = somewhere(d, n, ++d->sequence, ALWAYS_TTL_MS);
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX], payload[PE_PAYLOAD_BYTES_MAX];
	uint32_t bytes = below(&d->d, PE_PAYLOAD_BYTES_MAX + 1);
	struct pe_wire_header header = header_of(d);
	struct pe_wire_update_preamble preamble =
		harness_preamble(header.sequence, HARNESS_INCARNATION);

	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = payload_byte(n, bytes, i);
	(void)pe_wire_begin_details(record, sizeof record, &u);
	if (!pe_wire_put_details(record, sizeof record, PE_DETAILS_PAYLOAD, payload, bytes))
		abort();
	add(d,
		pe_wire_put_detailed(driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &preamble,
			record, pe_wire_detailed_next(record), 1));
	d->d.records++;
}

static void explain(struct driver *d, uint32_t fence_id, uint64_t n)
{
	static const struct pe_wire_query none = {0};
	struct pe_wire_header header = header_of(d);
	struct pe_wire_explain explain = {
		.selector = PE_EXPLAIN_FENCE, .subject = (uint64_t)fence_id << 32 | 1};

	harness_id(explain.entity_id, n);
	add(d,
		pe_wire_put_explain(
			driving_next(&d->d), PE_WIRE_BYTES_MAX, &header, &explain, &none, NULL));
	d->d.queries++;
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

		u[0] = somewhere(d, LOT_ID(d->d.index, k), ++d->sequence, ALWAYS_TTL_MS);
		u[1] = somewhere(
			d, LOT_ID(2, k), atomic_fetch_add(&shared_sequence, 1), ALWAYS_TTL_MS);
		send_updates(d, u, (k & 1) == d->d.index ? 2 : 1);
		driving_turn(&d->d);
	}
}

static void *run_worker(void *context)
{
	struct driver *d = context;
	struct pe_worker *w = pe_engine_worker(engine, d->d.index);
	unsigned turns = 0;

	pe_worker_attach(w);
	driving_turn(&d->d);
	create_always(d);
	atomic_store(&ready[d->d.index], true);
	while (!atomic_load(&ready[1 - d->d.index]) || pe_worker_in_flight(w))
		driving_turn(&d->d);
	for (unsigned i = 0; i < 10000000 && pe_engine_entity_count(engine) < 3 * ALWAYS; i++)
		driving_turn(&d->d);
	while (!atomic_load(&draining)) {
		unsigned kind = below(&d->d, 64);

		move_lot(d, d->d.index);
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
			explain(d, kind >> 3 & 1, 1 + below(&d->d, ID_MAX - 1));
		ask(d, RADIUS_M);
		driving_turn(&d->d);
		check_answer(d);
	}
	while (!atomic_load(&stop_workers))
		driving_turn(&d->d);
	EXPECT(d->whole);
	ask(d, WATCHED_M); // nothing moves any more
	driving_turn(&d->d);
	for (unsigned n = 0; n < ID_MAX; n++)
		EXPECT(d->times[n] == d->inside[0][n]);
	for (unsigned n = 1; n < PASSING_FROM; n++) {
		explain(d, 0, n);
		driving_turn(&d->d);
		EXPECT(d->told.verdict == (d->inside[0][n] ? PE_EXPLAIN_IN : PE_EXPLAIN_OUT));
	}
	if (d->d.index == 0) { // all the others rest
		ask(d, 1e5);
		driving_turn(&d->d);
		check_answer(d);
		EXPECT(d->whole_count == pe_engine_entity_count(engine));
	}
	pe_worker_detach(w);
	return NULL;
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
	static struct driver drivers[DRIVERS];
	struct pe_engine_config config = harness_config();
	uint64_t v[PE_COUNTER_COUNT], seed = driving_seed(), end_ms;
	struct pe_identity i;
	pthread_t control;

	config.worker_count = DRIVERS;
	config.entity_count_max = 4000;
	config.ring_records = 128;
	config.fence_count_max = 64;
	config.member_count_max = 16384;
	config.details_bytes = 1 << 20;
	config.tombstone_ms =
		50; // ids are forgotten and made anew while the other worker still speaks of them
	driving_begin(&config, &control);
	for (unsigned k = 0; k < DRIVERS; k++)
		driving_start(&drivers[k].d, k, seed, run_worker);
	end_ms = driving_now().mono_ms + testing_amount(20000);
	// A busy machine may need longer.
	while (driving_now().mono_ms < end_ms ||
		(!enough() && driving_now().mono_ms < end_ms + 100000))
		usleep(20000);
	driving_end((struct driving *[]){&drivers[0].d, &drivers[1].d}, control, v);
	i = pe_identity_check(v);
	CU_ASSERT(drivers[0].snapshots > 0 && drivers[1].snapshots > 0);
	CU_ASSERT(drivers[0].events + drivers[1].events > 100);
	CU_ASSERT(drivers[0].pieces + drivers[1].pieces > 10);
	CU_ASSERT(drivers[0].explained > PASSING_FROM / 2);
	CU_ASSERT_EQUAL(i.queries_answered, i.queries_carried);
	CU_ASSERT_EQUAL(pe_engine_entity_count(engine), 3 * ALWAYS);
	CU_ASSERT(enough());
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
