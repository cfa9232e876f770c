// Payloads of updates, told to the subscriptions that ask for them and have a fence that the entity
// is inside of.
#include "detailed.h"
#include "testing.h"
#include "watching.h"

static struct harness h;
static uint8_t payload[PE_PAYLOAD_BYTES_MAX];

static void start(unsigned workers, struct watching *s)
{
	struct pe_engine_config c = harness_config();

	c.worker_count = workers;
	c.fence_count_max = 64;
	c.member_count_max = 512;
	c.subscription_count_max = 8;
	harness_start(&h, &c);
	watching_init(s, &h, 0, 11);
	s->subscribe.flags = PE_SUBSCRIBE_PAYLOADS;
	for (unsigned i = 0; i < sizeof payload; i++)
		payload[i] = (uint8_t)(1 + i % 251);
}

static void stop(struct watching *s)
{
	watching_free(s);
	harness_stop(&h);
}

static void run(struct watching *s, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		for (unsigned k = 0; k < h.worker_count; k++) {
			harness_turn_worker(&h, k);
			watching_take(s);
		}
		harness_control(&h);
	}
}

static void open_with(struct watching *s, const struct pe_wire_fence *fences, unsigned count)
{
	watching_send(s, PE_SUBSCRIBE_OPEN, fences, count, NULL, 0);
	run(s, 4 + count);
	CU_ASSERT_EQUAL(s->done.code, PE_CODE_SUCCESS);
	CU_ASSERT(s->whole);
	watching_clear(s);
}

static void queue(uint64_t n, uint32_t sequence, double x, uint32_t bytes)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);
	struct detailed d;

	detailed_begin(&d, &u);
	detailed_put(&d, PE_DETAILS_PAYLOAD, payload, bytes);
	(void)harness_queue_detailed(
		&h, 0, HARNESS_INCARNATION, d.bytes, pe_wire_detailed_next(d.bytes), 1, false);
}

static void put(struct watching *s, uint64_t n, uint32_t sequence, double x, uint32_t bytes)
{
	queue(n, sequence, x, bytes);
	run(s, 2);
}

// The payload of entity n that begins with event `at`, of that length. Returns the event behind it.
static unsigned check(
	const struct watching *s, unsigned at, uint32_t fence_id, uint64_t n, uint32_t bytes)
{
	uint8_t got[11 * PE_PIECE_BYTES] = {0};
	unsigned count = bytes ? (bytes + 47) / 48 : 1;

	CU_ASSERT_FATAL(at + count <= s->count);
	for (unsigned i = 0; i < count; i++) {
		const struct pe_wire_event *e = &s->events[at + i];
		struct pe_wire_piece piece;

		memcpy(&piece, &e->result, sizeof piece);
		memcpy(got + i * PE_PIECE_BYTES, piece.bytes, PE_PIECE_BYTES);
		CU_ASSERT_EQUAL(pe_wire_check_event(e), PE_REASON_none);
		CU_ASSERT_EQUAL(e->kind, PE_EVENT_PAYLOAD);
		CU_ASSERT_EQUAL(e->fence_id, fence_id);
		CU_ASSERT_EQUAL(e->cause, i);
		CU_ASSERT_EQUAL(e->flags, bytes);
		CU_ASSERT_EQUAL(e->time_ms, s->events[at].time_ms);
		CU_ASSERT(e->time_ms != 0);
		CU_ASSERT_EQUAL(harness_id_number(piece.entity_id), n);
	}
	CU_ASSERT(memcmp(got, payload, bytes) == 0);
	return at + count;
}

// All lengths, behind the ENTER that the same update brings about and before its LEAVE.
static void lengths(void)
{
	static const uint32_t lengths[] = {0, 1, 47, 48, 49, 96, 97, 511, 512};
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s;
	unsigned at = 1, pieces = 1;

	start(1, &s);
	open_with(&s, &f, 1);
	put(&s, 1, 1, 50, 5);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_ENTER);
	at = check(&s, at, 5, 1, 5);
	for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		put(&s, 1, 2 + i, 50, lengths[i]);
		pieces += pe_wire_pieces(lengths[i]);
		at = check(&s, at, 5, 1, lengths[i]);
		CU_ASSERT_EQUAL(s.count, at);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, events_payload), pieces);
	// One that leaves takes its payload with it; outside there is nothing, nor of an update
	// that is refused.
	put(&s, 1, 100, 500, 8);
	CU_ASSERT_EQUAL(s.count, at + 1);
	CU_ASSERT_EQUAL(s.events[at].kind, PE_EVENT_LEAVE);
	put(&s, 1, 101, 501, 8);
	put(&s, 1, 102, 50, 8);
	CU_ASSERT_EQUAL(s.count, at + 3);
	(void)check(&s, at + 2, 5, 1, 8);
	put(&s, 1, 101, 50, 8);
	CU_ASSERT_EQUAL(s.count, at + 3);
	// Again the same, on demand.
	watching_clear(&s);
	s.next -= 11 + 3;
	watching_sequence(&s, PE_SUBSCRIBE_RESUME, s.next);
	run(&s, 2);
	CU_ASSERT_EQUAL(s.count, 11 + 3);
	CU_ASSERT_EQUAL(check(&s, 0, 5, 1, 512), 11);
	(void)check(&s, 13, 5, 1, 8);
	CU_ASSERT_EQUAL(s.missed, 0);
	stop(&s);
}

// Without the flag; while it waits to enter; while it waits to leave it is inside.
static void who_is_told(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s, plain;

	start(1, &s);
	watching_init(&plain, &h, 0, 12);
	plain.port = (uint16_t)(s.port + 1);
	open_with(&plain, &f, 1);
	f.enter_ms = f.leave_ms = 5000;
	open_with(&s, &f, 1);
	queue(1, 1, 50, 8);
	harness_turn_worker(&h, 0);
	watching_take(&s);
	watching_take(&plain);
	CU_ASSERT_EQUAL(s.count, 0);
	CU_ASSERT_EQUAL(plain.count, 1);
	CU_ASSERT_EQUAL(plain.events[0].kind, PE_EVENT_ENTER);
	harness_advance(&h, 5000);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 1);
	queue(1, 2, 500, 8);
	harness_turn_worker(&h, 0);
	watching_take(&s);
	watching_take(&plain);
	CU_ASSERT_EQUAL(s.count, 2);
	(void)check(&s, 1, 5, 1, 8);
	CU_ASSERT_EQUAL(plain.count, 2);
	CU_ASSERT_EQUAL(plain.events[1].kind, PE_EVENT_LEAVE);
	watching_free(&plain);
	stop(&s);
}

// Each fence on its own, on two workers; a fence elsewhere tells nothing.
static void several_fences(void)
{
	struct pe_wire_fence f[3] = {watching_sphere(1, 0, 0, 0, 100),
		watching_sphere(2, 10, 0, 0, 100), watching_sphere(3, 5000, 0, 0, 100)};
	struct watching s;
	unsigned seen[4] = {0};

	for (unsigned workers = 1; workers <= 2; workers++) {
		start(workers, &s);
		open_with(&s, f, 3);
		for (unsigned n = 1; n <= 8; n++) {
			unsigned at = 0;

			memset(seen, 0, sizeof seen);
			watching_clear(&s);
			queue(n, 1, 20, 100);
			harness_turn_worker(&h, n % workers);
			watching_take(&s);
			run(&s, 4);
			CU_ASSERT_EQUAL(s.count, 2 + 2 * 3);
			while (at < s.count) {
				if (s.events[at].kind == PE_EVENT_ENTER) {
					at++;
					continue;
				}
				seen[s.events[at].fence_id & 3]++;
				CU_ASSERT(watching_is_member(&s, s.events[at].fence_id, n));
				at = check(&s, at, s.events[at].fence_id, n, 100);
			}
			CU_ASSERT(seen[1] == 1 && seen[2] == 1 && seen[3] == 0);
		}
		CU_ASSERT_EQUAL(s.missed, 0);
		stop(&s);
	}
}

// A payload comes behind the MOVE of its update, unless MOVEs wait for a frequency.
static void behind_moves(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s;

	for (unsigned held = 0; held <= 1; held++) {
		unsigned moved = 0;

		start(1, &s);
		s.subscribe.flags |= PE_SUBSCRIBE_MOVES;
		s.subscribe.update_frequency = held ? 60 : 0;
		open_with(&s, &f, 1);
		for (unsigned n = 1; n <= 2; n++)
			put(&s, n, 1, 50, 0);
		watching_clear(&s);
		for (unsigned n = 1; n <= 2; n++)
			queue(n, 2, 50 + n, 60);
		run(&s, 1);
		CU_ASSERT_EQUAL(s.count, 2 * (1 + 2));
		for (unsigned i = 0; i < s.count && !held; i++) {
			uint64_t n = harness_id_number(s.events[i].result.entity_id);

			if (s.events[i].kind == PE_EVENT_MOVE)
				moved |= 1u << n;
			else
				CU_ASSERT(moved >> n & 1);
		}
		watching_clear(&s);
		put(&s, 1, 3, 60, 0);
		CU_ASSERT_EQUAL(s.count, held ? 1 : 2);
		harness_advance(&h, 1000);
		watching_take(&s);
		CU_ASSERT_EQUAL(s.count, 2);
		CU_ASSERT_EQUAL(s.events[0].kind, held ? PE_EVENT_PAYLOAD : PE_EVENT_MOVE);
		CU_ASSERT_EQUAL(s.missed, 0);
		stop(&s);
	}
}

// What waits is kept in order, and a GAP tells of what there was no room for.
static void a_slow_subscriber(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s;
	unsigned at = 0;

	start(1, &s);
	s.subscribe.flags |= PE_SUBSCRIBE_MOVES;
	open_with(&s, &f, 1);
	put(&s, 1, 1, 50, 3);
	watching_clear(&s);
	h.buffers_refused = true;
	for (unsigned i = 0; i < 40; i++)
		put(&s, 1, 2 + i, 50, 12 * i);
	CU_ASSERT_EQUAL(s.count, 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, events_lost), 0);
	h.buffers_refused = false;
	run(&s, 4);
	for (unsigned i = 0; i < 40; i++)
		at = check(&s, at, 5, 1, 12 * i);
	CU_ASSERT_EQUAL(s.count, at);
	h.buffers_refused = true;
	for (unsigned i = 0; i < 60; i++) // 512 of 1,024 places at most
		put(&s, 1, 100 + i, 50, 512);
	CU_ASSERT(HARNESS_COUNTER(&h, events_lost) > 0);
	watching_clear(&s);
	h.buffers_refused = false;
	for (unsigned i = 0; i < 100 && !(s.gaps && s.whole); i++) {
		harness_advance(&h, 100);
		watching_take(&s);
	}
	CU_ASSERT_EQUAL(s.gaps, 1);
	CU_ASSERT(s.whole);
	CU_ASSERT_EQUAL(s.count, 3); // GAP, ENTER, SNAPSHOT_END
	CU_ASSERT_EQUAL(s.events[1].kind, PE_EVENT_ENTER);
	CU_ASSERT_EQUAL(s.missed, 0);
	watching_clear(&s);
	put(&s, 1, 200, 50, 512);
	(void)check(&s, 0, 5, 1, 512);
	stop(&s);
}

// The ring to the keeper is too full for all of them: a GAP, and no half payload stands for a whole
// one.
static void a_full_ring(void)
{
	struct pe_wire_fence f[PE_SUBSCRIBE_FENCES_MAX];
	struct watching s;

	for (unsigned i = 0; i < PE_SUBSCRIBE_FENCES_MAX; i++)
		f[i] = watching_sphere(1 + i, 0, 0, 0, 100);
	start(2, &s);
	open_with(&s, f, PE_SUBSCRIBE_FENCES_MAX);
	for (unsigned n = 1; n <= 16; n++)
		queue(n, 1, 20, 0);
	harness_turn_worker(&h, 1);
	watching_take(&s);
	run(&s, 4);
	// Worker 1 takes all that comes; 0, the keeper, has no turn meanwhile.
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned n = 1; n <= 16; n++)
			queue(n, 2 + i, 20, 512);
		harness_turn_worker(&h, 1);
	}
	CU_ASSERT(HARNESS_COUNTER(&h, events_lost) > 0);
	for (unsigned i = 0; i < 100 && !(s.gaps && s.whole); i++) {
		h.now.mono_ms += 100;
		h.now.wall_ms += 100;
		run(&s, 2);
	}
	CU_ASSERT(s.gaps > 0);
	CU_ASSERT(s.whole);
	CU_ASSERT_EQUAL(s.member_count, 16 * PE_SUBSCRIBE_FENCES_MAX);
	CU_ASSERT_EQUAL(s.missed, 0);
	stop(&s);
}

TESTING_MAIN("engine/watch_payload", {"lengths", lengths}, {"who is told", who_is_told},
	{"several fences", several_fences}, {"behind moves", behind_moves},
	{"a slow subscriber", a_slow_subscriber}, {"a full ring", a_full_ring})
