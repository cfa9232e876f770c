// Explanations of fences, one case a cause: who is in, who is out, who is between, and what only
// another worker knows.
#include "testing_standing.h"
#include "wire/extension.h"
#include "wire/filter.h"

#include <string.h>

static struct pe_wire_explanation e;

#define BIT(cause) (1u << PE_WHY_##cause)
#define ASSERT_IS(word, mask) \
	do { \
		CU_ASSERT_EQUAL(e.reason, 0); \
		CU_ASSERT_EQUAL(e.verdict, PE_EXPLAIN_##word); \
		CU_ASSERT_EQUAL(e.causes, (mask)); \
		CU_ASSERT_EQUAL( \
			e.first_cause, (mask)&PE_EXPLAIN_DECIDING ? __builtin_ctz(mask) : 0); \
	} while (0)

static void start(unsigned workers)
{
	struct pe_engine_config c = harness_config();

	c.worker_count = workers;
	c.fence_count_max = 16;
	c.member_count_max = 16;
	c.subscription_count_max = 8;
	start_with(&c);
}

static void run(unsigned turns)
{
	watching_run(&s, turns);
}

static void put_with(unsigned worker, struct pe_wire_update *u)
{
	harness_queue_updates(&h, s.space, HARNESS_INCARNATION, u, 1, false);
	harness_turn_worker(&h, worker);
	watching_take(&s);
	run(3);
}

static void put(uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	put_with(0, &u);
}

static void open_extended(
	const struct pe_wire_fence *fence, const uint8_t *extension, uint32_t bytes)
{
	watching_send(&s, PE_SUBSCRIBE_OPEN, fence, 1, extension, bytes);
	run(6);
	CU_ASSERT(s.done.code == 0 && s.whole);
}

static void open_one(const struct pe_wire_fence *fence)
{
	open_extended(fence, NULL, 0);
}

static void ask_at(unsigned worker, uint64_t n)
{
	memset(&e, 0xAA, sizeof e);
	CU_ASSERT_TRUE(watching_explain(&s, worker, 5, n, &e));
}

static void ask(uint64_t n)
{
	ask_at(0, n);
}

static void in_and_out(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1);
	f.query.query_id = 77;
	put(1, 1, 60);
	put(2, 1, 150);
	open_one(&f);
	ask(1);
	ASSERT_IS(IN, 0);
	CU_ASSERT(e.query_id == 77 && e.position[0] == 60 && e.distance_m == 60);
	CU_ASSERT(e.edge_m == 100 && e.beyond_m == 0 && e.asker_m == 60 && e.due_ms == 0);
	ask(2);
	ASSERT_IS(OUT, BIT(VOLUME));
	CU_ASSERT(e.distance_m == 150 && e.beyond_m == 50);
	ask(3);
	ASSERT_IS(OUT, BIT(UNKNOWN));
	(void)harness_withdraw(&h, 0, HARNESS_INCARNATION, 1, 9);
	ask(1);
	ASSERT_IS(OUT, BIT(GONE));
	stop();
}

static void masks_and_reach(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 60, 0, 0);

	start(1);
	f.query.type_mask = 1 << PE_ENTITY_STATIC;
	f.query.state_mask = 1 << PE_STATE_AWAY;
	u.radius_m = 50;
	put_with(0, &u);
	open_one(&f);
	ask(1);
	ASSERT_IS(OUT, BIT(TYPE) | BIT(STATE) | BIT(REACH));
	CU_ASSERT(e.asker_m == 60 && e.radius_m == 50);
	stop();
}

static void margin(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1);
	f.margin_m = 20;
	put(1, 1, 60);
	put(2, 1, 110);
	open_one(&f);
	put(1, 2, 110);
	ask(1);
	ASSERT_IS(IN, BIT(MARGIN));
	CU_ASSERT_EQUAL(e.beyond_m, 10);
	ask(2);
	ASSERT_IS(OUT, BIT(VOLUME) | BIT(MARGIN));
	put(1, 3, 121);
	ask(1);
	ASSERT_IS(OUT, BIT(VOLUME));
	stop();
}

// The range of heights is part of a sphere's volume, and has its margin.
static void margin_of_heights(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 5);

	start(1);
	f.margin_m = 20;
	f.query.flags = PE_QUERY_HEIGHT_RANGE;
	f.query.height_max = 10;
	put_with(0, &u);
	open_one(&f);
	ask(1);
	ASSERT_IS(IN, 0);
	u.position[2] = 25;
	u.sequence++;
	put_with(0, &u);
	ask(1);
	ASSERT_IS(IN, BIT(MARGIN));
	u.position[2] = 31;
	u.sequence++;
	put_with(0, &u);
	ask(1);
	ASSERT_IS(OUT, BIT(HEIGHT));
	stop();
}

static void dwell(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1);
	f.enter_ms = 500;
	f.leave_ms = 800;
	open_one(&f);
	put(1, 1, 60);
	harness_advance(&h, 200);
	ask(1);
	ASSERT_IS(OUT, BIT(DWELL));
	CU_ASSERT_EQUAL(e.due_ms, 300);
	CU_ASSERT_FALSE(watching_is_member(&s, 5, 1));
	harness_advance(&h, 300);
	watching_take(&s);
	ask(1);
	ASSERT_IS(IN, 0);
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	put(1, 2, 130);
	harness_advance(&h, 100);
	ask(1);
	ASSERT_IS(IN, BIT(VOLUME) | BIT(LEAVING));
	CU_ASSERT(e.due_ms == 700 && e.beyond_m == 30);
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	harness_advance(&h, 700);
	ask(1);
	ASSERT_IS(OUT, BIT(VOLUME));
	stop();
}

// A filter that asks for the age of a state is asked when there is an update: until then it is in,
// and going.
static void outdated(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	static uint8_t extension[64];
	// age < 1000
	struct {
		struct pe_wire_filter head;
		struct pe_wire_filter_step step[2];
		int64_t age_ms;
	} program = {{.bytes = sizeof program, .step_count = 1},
		{{PE_FILTER_AGE, PE_FILTER_LESS, 0}}, 1000};
	uint32_t bytes = pe_wire_put_block(
		extension, 0, sizeof extension, PE_BLOCK_FILTER, &program, sizeof program);

	start(1);
	f.query.flags = PE_QUERY_HAS_EXTENSION;
	f.query.extension_bytes = (uint16_t)bytes;
	put(1, 1, 60);
	open_extended(&f, extension, bytes);
	ask(1);
	ASSERT_IS(IN, 0);
	CU_ASSERT_EQUAL(e.filter_step, 1);
	harness_advance(&h, 1500);
	ask(1);
	ASSERT_IS(IN, BIT(FILTER) | BIT(OUTDATED));
	stop();
}

static void no_room(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1);
	open_one(&f);
	for (unsigned n = 1; n <= 18; n++)
		put(n, 1, 10);
	ask(18);
	ASSERT_IS(OUT, BIT(UNLOOKED) | BIT(FULL));
	stop();
}

static void follows(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1);
	f.flags = PE_FENCE_FOLLOW;
	harness_id(f.follow_id, 1);
	put(1, 1, 1000);
	put(2, 1, 1050);
	open_one(&f);
	ask(2);
	ASSERT_IS(IN, 0);
	CU_ASSERT_EQUAL(e.distance_m, 50);
	ask(1);
	ASSERT_IS(OUT, BIT(ITSELF));
	(void)harness_withdraw(&h, 0, HARNESS_INCARNATION, 1, 9);
	for (unsigned i = 0; i < 5; i++) {
		harness_advance(&h, 60);
		run(2);
	}
	ask(2);
	ASSERT_IS(OUT, BIT(VOLUME) | BIT(NOWHERE));
	stop();
}

// What waits for the subscriber is known where it is kept.
static void waits(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	s.subscribe.update_frequency = 6;
	open_one(&f);
	put(1, 1, 10);
	put(1, 2, 20); // the first MOVE of its ten seconds
	ask(1);
	ASSERT_IS(IN, 0);
	put(1, 3, 30);
	ask(1);
	ASSERT_IS(IN, BIT(WAITS));
	stop();
}

static void two_workers(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 60, 0, 0);

	start(2);
	f.margin_m = 20;
	put_with(1, &u); // worker 1 owns it, worker 0 keeps the subscription
	open_one(&f);
	ask_at(0, 1);
	ASSERT_IS(IN, BIT(ELSEWHERE));
	ask_at(1, 1);
	ASSERT_IS(IN, BIT(KEPT));
	u.position[0] = 110;
	u.sequence++;
	put_with(1, &u);
	ask_at(0, 1);
	ASSERT_IS(UNDECIDED, BIT(ELSEWHERE) | BIT(MARGIN));
	CU_ASSERT_EQUAL(e.position[0], 110);
	ask_at(1, 1);
	ASSERT_IS(IN, BIT(KEPT) | BIT(MARGIN));
	stop();
}

static void who_asks(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching other;
	uint16_t port = 0;

	start(1);
	put(1, 1, 60);
	CU_ASSERT_TRUE(watching_explain(&s, 0, 5, 1, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_explain_fence);
	CU_ASSERT_EQUAL(e.verdict, PE_EXPLAIN_UNDECIDED);
	open_one(&f);
	CU_ASSERT_TRUE(watching_explain(&s, 0, 6, 1, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_explain_fence);
	// Another program there, whose own port is another, while there is one subscription of that
	// name.
	port = s.port;
	s.port++;
	ask(1);
	ASSERT_IS(IN, 0);
	h.port = s.port + 1;
	watching_init(&other, &h, 0, 11);
	watching_send(&other, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(5);
	CU_ASSERT_TRUE(watching_explain(&s, 0, 5, 1, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_explain_fence);
	// Its own is the one that is meant.
	s.port = port;
	ask(1);
	ASSERT_IS(IN, 0);
	// Another space has no such fence; strangers are told nothing.
	s.space = 1;
	CU_ASSERT_TRUE(watching_explain(&s, 0, 5, 1, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_explain_fence);
	s.space = 0;
	h.untrusted = true;
	h.sent_queries--;
	CU_ASSERT_FALSE(watching_explain(&s, 0, 5, 1, &e));
	h.untrusted = false;
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, not_trusted), 1);
	watching_send(&s, PE_SUBSCRIBE_CLOSE, NULL, 0, NULL, 0);
	run(4);
	s.port = (uint16_t)(port + 1);
	ask(1); // one is left
	ASSERT_IS(IN, 0);
	watching_free(&other);
	stop();
}

static void switched_off(void)
{
	struct pe_engine_config c = harness_config();

	harness_start(&h, &c);
	watching_init(&s, &h, 0, 11);
	CU_ASSERT_TRUE(watching_explain(&s, 0, 5, 1, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_explain_fence);
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"in and out", in_and_out},
		{"masks and reach", masks_and_reach},
		{"margin", margin},
		{"margin of heights", margin_of_heights},
		{"dwell", dwell},
		{"outdated", outdated},
		{"no room", no_room},
		{"follows", follows},
		{"waits", waits},
		{"two workers", two_workers},
		{"who asks", who_asks},
		{"switched off", switched_off},
	};

	return testing_main(
		"engine: explanations of fences", cases, sizeof cases / sizeof cases[0]);
}
