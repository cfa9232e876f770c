// What time does to entities, to the tick: ttl, durations of states, steps of the wall clock.
#include "testing_engine.h"

static void create(uint64_t n, uint32_t sequence, uint32_t ttl_ms)
{
	struct pe_wire_update u = harness_update(n, sequence, 10, 10, 10);

	u.ttl_ms = ttl_ms;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
}

static void ttl_to_the_tick(void)
{
	static const uint32_t ttls[] = {
		1, 2, 255, 256, 257, 5000, 65535, 65536, 70000, 16777216, 86400000};

	for (unsigned i = 0; i < sizeof ttls / sizeof ttls[0]; i++) {
		start();
		create(1, 1, ttls[i]);
		if (ttls[i] > 1)
			harness_advance(&h, ttls[i] - 1);
		ASSERT_AT(1, 10);
		CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 1);
		harness_advance(&h, 1);
		ASSERT_GONE(1);
		harness_settle(&h); // a long jump of the clock is worked off in more than one turn
		CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
		CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 1);
		stop();
	}
}

static void ttl_default_of_the_space(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].ttl_default_ms = 1234;
	start_with(&config);
	create(1, 1, 0);
	harness_advance(&h, 1233);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	stop();
	start();
	create(1, 1, 0);
	harness_advance(&h, PE_TTL_DEFAULT_MS - 1);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	stop();
}

static void ttl_lengthened_and_shortened(void)
{
	start();
	create(1, 1, 1000);
	harness_advance(&h, 900);
	create(1, 2, 1000);
	harness_advance(&h, 999);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(1);

	create(2, 1, 100000);
	harness_advance(&h, 100);
	create(2, 2, 50);
	harness_advance(&h, 49);
	ASSERT_AT(2, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(2);

	// Shortened, and lengthened again before the shorter one ended.
	create(3, 1, 100000);
	create(3, 2, 50);
	harness_advance(&h, 49);
	create(3, 3, 500);
	harness_advance(&h, 499);
	ASSERT_AT(3, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(3);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 3);
	stop();
}

// More entities end in one millisecond than a turn takes away: none of them is in an answer of that
// very turn, whichever way the query takes: a type mask of all types asks for the same, by the
// general one.
static void nothing_past_its_ttl(uint16_t type_mask)
{
	static struct harness_answer a;
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

	q.type_mask = type_mask;
	start();
	for (unsigned i = 0; i < 500; i++)
		create(1 + i, 1, 700);
	h.now.mono_ms += 699;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT_EQUAL(a.count, 500);
	h.now.mono_ms += 1;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole);
	CU_ASSERT_EQUAL(a.count, 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 500);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	stop();
}

static void nothing_past_its_ttl_in_an_answer(void)
{
	nothing_past_its_ttl(0);
	nothing_past_its_ttl(0x1F);
}

static void wall_clock_steps_change_no_ttl(void)
{
	struct pe_wire_result r;

	start();
	create(1, 1, 1000);
	create(2, 1, 100000);
	h.now.wall_ms += 3600000;
	harness_advance(&h, 999);
	ASSERT_AT(1, 10);
	h.now.wall_ms -= 2 * 3600000;
	harness_turn(&h);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	CU_ASSERT_EQUAL(sees(2, &r), 1);
	CU_ASSERT_EQUAL(r.ttl_left, 990);
	CU_ASSERT_EQUAL(r.age_ms, 1000 - 3600000);
	harness_advance(&h, 98999);
	ASSERT_AT(2, 10);
	harness_advance(&h, 1);
	ASSERT_GONE(2);
	stop();
}

static void ttl_left_is_rounded_up(void)
{
	struct pe_wire_result r;

	start();
	create(1, 1, 1001);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.ttl_left, 11);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.ttl_left, 10);
	harness_advance(&h, 999);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.ttl_left, 1);
	create(2, 1, 86400000);
	CU_ASSERT_EQUAL(sees(2, &r), 1);
	CU_ASSERT_EQUAL(r.ttl_left, 65535);
	stop();
}

static void put_state(uint64_t n, uint32_t sequence, unsigned state, uint32_t duration_ms)
{
	struct pe_wire_update u = harness_update(n, sequence, 10, 10, 10);

	u.attributes = (uint16_t)state;
	u.custom_state = state == PE_STATE_CUSTOM ? 99 : 0;
	u.duration_ms = duration_ms;
	u.ttl_ms = 100000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
}

static int state_of(uint64_t n)
{
	struct pe_wire_result r;

	return sees(n, &r) == 1 ? (r.state & 7) | r.custom_state << 8 : -1;
}

static void duration_to_the_tick(void)
{
	start();
	put_state(1, 1, PE_STATE_BUSY, 2000);
	put_state(2, 1, PE_STATE_CUSTOM, 2001);
	put_state(3, 1, PE_STATE_AWAY, 0);
	harness_advance(&h, 1999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_BUSY);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_INACTIVE);
	CU_ASSERT_EQUAL(state_of(2), PE_STATE_CUSTOM | 99 << 8);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_of(2), PE_STATE_INACTIVE);
	CU_ASSERT_EQUAL(state_of(3), PE_STATE_AWAY);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, status_elapsed), 2);
	stop();
}

static void duration_replaced_and_cancelled(void)
{
	start();
	put_state(1, 1, PE_STATE_BUSY, 1000);
	put_state(2, 1, PE_STATE_BUSY, 1000);
	harness_advance(&h, 500);
	put_state(1, 2, PE_STATE_AWAY, 1000);
	put_state(2, 2, PE_STATE_ACTIVE, 0);
	harness_advance(&h, 999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_AWAY);
	CU_ASSERT_EQUAL(state_of(2), PE_STATE_ACTIVE);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_INACTIVE);
	harness_advance(&h, 5000);
	CU_ASSERT_EQUAL(state_of(2), PE_STATE_ACTIVE);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, status_elapsed), 1);
	stop();
}

// A withdrawn entity that comes back has nothing of its earlier life's duration or ttl.
static void a_new_life_has_its_own_times(void)
{
	start();
	put_state(1, 1, PE_STATE_BUSY, 1000);
	ASSERT_STATUS(withdraw(1, 2), PE_ACK_APPLIED);
	put_state(1, 3, PE_STATE_BUSY, 0);
	harness_advance(&h, 1000);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_BUSY);
	harness_advance(&h, 98999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_BUSY);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	stop();
}

// The end of a state that a newer, waiting one replaces is not the end of the newer one.
static void duration_of_what_is_held_back(void)
{
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);

	start();
	u.frequency = 60; // one a second
	u.ttl_ms = 100000;
	u.attributes = PE_STATE_BUSY;
	u.duration_ms = 500;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	u.sequence = 2;
	u.attributes = PE_STATE_AWAY;
	u.duration_ms = 0;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 400);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_INACTIVE);
	harness_advance(&h, 500);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_AWAY);
	harness_advance(&h, 5000);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_AWAY);

	// And the other way round: a waiting state's own duration counts from when it was sent.
	u.sequence = 3;
	u.attributes = PE_STATE_BUSY;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	u.sequence = 4;
	u.attributes = PE_STATE_AWAY;
	u.duration_ms = 2000;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_AWAY);
	harness_advance(&h, 999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_AWAY);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_INACTIVE);
	stop();
}

static void idle_time_reaches_the_next_timer(void)
{
	struct pe_worker *w;

	start();
	w = pe_engine_worker(h.engine, 0);
	create(1, 1, 800);
	harness_settle(&h);
	// Sleeping as told never oversleeps the expiry.
	for (unsigned i = 0; i < 1000 && pe_engine_entity_count(h.engine); i++) {
		uint32_t idle = pe_worker_idle_ms(w, h.now);

		CU_ASSERT(idle <= 1000);
		if (!idle)
			idle = 1;
		CU_ASSERT(h.now.mono_ms + idle <= 0x1FFFFF800u + 800);
		harness_advance(&h, idle);
	}
	CU_ASSERT_EQUAL(h.now.mono_ms, 0x1FFFFF800u + 800);
	stop();
}

static struct pe_wire_ack_record move_to(uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(1, sequence, x, 10, 10);

	return send(&u);
}

// A turn that follows an idle one leaves out what the idle one has just found not to be due, and
// nothing else.
static void a_message_behind_an_idle_turn(void)
{
	uint64_t turns_idle;

	start();
	create(1, 1, 1000);
	harness_settle(&h);
	turns_idle = HARNESS_COUNTER(&h, turns_idle);
	harness_turn(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, turns_idle), turns_idle + 1);
	// A tick later: what ends then has ended before the message.
	h.now.mono_ms += 1000;
	h.now.wall_ms += 1000;
	create(2, 1, 50000);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 1);
	stop();

	// In the same tick: a grace period ends when it ends, so that the way out of the cell
	// before is free.
	start();
	create(1, 1, 50000);
	harness_settle(&h);
	ASSERT_STATUS(move_to(2, 500), PE_ACK_APPLIED);
	harness_turn(&h);
	turns_idle = HARNESS_COUNTER(&h, turns_idle);
	harness_turn(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, turns_idle), turns_idle + 1);
	harness_control(&h);
	ASSERT_STATUS(move_to(3, 1000), PE_ACK_APPLIED);
	ASSERT_AT(1, 1000);
	stop();
}

TESTING_MAIN("engine: time", {"ttl to the tick", ttl_to_the_tick},
	{"default ttl", ttl_default_of_the_space},
	{"ttl lengthened and shortened", ttl_lengthened_and_shortened},
	{"nothing past its ttl in an answer", nothing_past_its_ttl_in_an_answer},
	{"wall clock steps", wall_clock_steps_change_no_ttl}, {"ttl left", ttl_left_is_rounded_up},
	{"duration to the tick", duration_to_the_tick},
	{"duration replaced and cancelled", duration_replaced_and_cancelled},
	{"a new life has its own times", a_new_life_has_its_own_times},
	{"duration of what is held back", duration_of_what_is_held_back},
	{"idle time", idle_time_reaches_the_next_timer},
	{"a message behind an idle turn", a_message_behind_an_idle_turn})
