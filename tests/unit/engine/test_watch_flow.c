// How fast a subscriber is told: frequencies, windows, what is sent again, and those who are slow
// beside those who are not.
#include "testing_watch.h"

static void moves_at_a_frequency(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);

	start(1, &s);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	s.subscribe.update_frequency = 60;
	put(&s, 1, 1, 0);
	open_with(&s, &f, 1);
	put(&s, 1, 2, 1); // the first at once
	watching_clear(&s);
	for (unsigned i = 0; i < 10; i++)
		put(&s, 1, 3 + i, 2 + i);
	CU_ASSERT_EQUAL(s.count, 0);
	put(&s, 2, 1, 5); // what enters does not wait
	CU_ASSERT_EQUAL(s.count, 1);
	harness_advance(&h, 999);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT(pe_worker_idle_ms(pe_engine_worker(h.engine, 0), h.now) <= 1);
	harness_advance(&h, 1);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT_EQUAL(s.events[1].kind, PE_EVENT_MOVE);
	CU_ASSERT_EQUAL(s.events[1].result.position[0], 11); // the newest
	// One that waits to be told of a move and leaves is told of the leaving, at once.
	put(&s, 1, 20, 12);
	put(&s, 1, 21, 500);
	CU_ASSERT_EQUAL(s.count, 3);
	CU_ASSERT_EQUAL(s.events[2].kind, PE_EVENT_LEAVE);
	stop(&s);
}

// What waits for an acknowledgement: one thing a pair, the newest; numbers without holes.
static void a_window(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);

	start(1, &s);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	s.subscribe.window = 4;
	open_with(&s, &f, 1); // the snapshot's end is the first
	for (unsigned i = 0; i < 5; i++)
		put(&s, 1 + i, 1, i);
	CU_ASSERT_EQUAL(s.next, 4); // there is room for two events, or none
	put(&s, 3, 2, 500);         // entered and left: neither is told
	put(&s, 1, 2, 500);         // LEAVE …
	put(&s, 1, 3, 7);           // … and ENTER: both
	put(&s, 4, 2, 8);           // the newest
	CU_ASSERT_EQUAL(s.next, 4);
	watching_clear(&s);
	for (unsigned i = 0; i < 5; i++) {
		watching_sequence(&s, PE_SUBSCRIBE_ACKNOWLEDGE, s.next);
		run(&s, 1);
	}
	CU_ASSERT_EQUAL(s.count, 4);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_ENTER);
	CU_ASSERT_EQUAL(harness_id_number(s.events[0].result.entity_id), 4);
	CU_ASSERT_EQUAL(s.events[0].result.position[0], 8);
	CU_ASSERT_EQUAL(harness_id_number(s.events[1].result.entity_id), 5);
	CU_ASSERT_EQUAL(s.events[2].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[3].kind, PE_EVENT_ENTER);
	CU_ASSERT_EQUAL(s.events[3].result.position[0], 7);
	CU_ASSERT_EQUAL(s.missed, 0);
	CU_ASSERT_EQUAL(s.member_count, 4);
	stop(&s);
}

static void resuming(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct watching s;

	c.event_count_max = 16;
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	open_with(&s, &f, 1);
	for (unsigned i = 0; i < 8; i++)
		put(&s, 1 + i, 1, i);
	CU_ASSERT_EQUAL(s.next, 10);
	// Again from the third on: the same events under the same numbers.
	watching_clear(&s);
	s.next = 3;
	s.member_count = 1;
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_RESUME, 3), 0);
	CU_ASSERT_EQUAL(s.done.next_sequence, 10);
	CU_ASSERT_EQUAL(s.count, 7);
	CU_ASSERT_EQUAL(s.member_count, 8);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, events_repeated), 7);
	// From what the window holds no longer: a GAP, and all over again.
	for (unsigned i = 0; i < 16; i++)
		put(&s, 1 + i % 8, 2 + i, i / 8 ? 5 : 500);
	CU_ASSERT_EQUAL(s.next, 26);
	s.next = 3;
	watching_clear(&s);
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_RESUME, 3), 0);
	run(&s, 3);
	CU_ASSERT_EQUAL(s.gaps, 1);
	CU_ASSERT(s.whole);
	CU_ASSERT_EQUAL(s.member_count, 8);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_GAP);
	CU_ASSERT_EQUAL(s.events[1].flags, PE_EVENT_IN_SNAPSHOT);
	// The same question again finds that GAP, and makes no other one.
	s.next = 3;
	s.member_count = 0;
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_RESUME, 3), 0);
	CU_ASSERT_EQUAL(s.gaps, 2);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, events_gap), 1);
	CU_ASSERT_EQUAL(s.member_count, 8);
	stop(&s);
}

// A subscription that has stood for half as long as ticks last, and was told neither of a MOVE nor
// of a GAP: both come at once.
static void after_weeks(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct watching s;

	c.event_count_max = 16;
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	s.subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
	open_with(&s, &f, 1);
	for (unsigned days = 0; days < 26; days++) {
		CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), 0);
		harness_advance(&h, PE_SUBSCRIPTION_LEASE_MAX_MS - 1000);
		watching_take(&s);
	}
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), 0);
	CU_ASSERT(!s.ended);
	for (unsigned i = 0; i < 20; i++)
		put(&s, 1, 1 + i, i);
	CU_ASSERT_EQUAL(s.next, 2 + 20); // the snapshot's end, ENTER, MOVEs
	s.next = 1;
	s.member_count = 0;
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_RESUME, 1), 0);
	run(&s, 3);
	CU_ASSERT_EQUAL(s.gaps, 1);
	CU_ASSERT_EQUAL(s.member_count, 1);
	stop(&s);
}

// No buffers: the pool of what waits runs out, and a GAP says so when something can be said again.
static void too_slow(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct watching s;

	c.entity_count_max = 4000;
	c.member_count_max = 4000; // 1,024 may wait, half of them for one
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	open_with(&s, &f, 1);
	h.buffers_refused = true;
	for (unsigned i = 0; i < 600; i += 16) {
		struct pe_wire_update u[16];

		for (unsigned k = 0; k < 16; k++)
			u[k] = harness_update(1 + i + k, 1, 5, 0, 0);
		harness_queue_updates(&h, 0, HARNESS_INCARNATION, u, 16, false);
		run(&s, 1);
	}
	CU_ASSERT(HARNESS_COUNTER(&h, events_lost) > 0);
	h.buffers_refused = false;
	for (unsigned i = 0; i < 100 && !(s.gaps && s.whole); i++) {
		harness_advance(&h, 100);
		watching_take(&s);
	}
	CU_ASSERT_EQUAL(s.gaps, 1);
	CU_ASSERT(s.whole);
	CU_ASSERT_EQUAL(s.missed, 0);
	CU_ASSERT_EQUAL(s.member_count, 608);
	stop(&s);
}

// Who is slow leaves those who are not alone.
static void slow_beside_fast(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct watching slow[3], fast;

	c.entity_count_max = 4000;
	c.member_count_max = 4000;
	harness_start(&h, &c);
	watching_init(&fast, &h, 0, 1);
	open_with(&fast, &f, 1);
	for (unsigned i = 0; i < 3; i++) {
		watching_init(&slow[i], &h, 0, 2 + i);
		slow[i].subscribe.window = 4;
		open_with(&slow[i], &f, 1);
	}
	for (unsigned i = 0; i < 800; i += 16) {
		struct pe_wire_update u[16];

		for (unsigned k = 0; k < 16; k++)
			u[k] = harness_update(1 + i + k, 1, 5, 0, 0);
		harness_queue_updates(&h, 0, HARNESS_INCARNATION, u, 16, false);
		run(&fast, 1);
	}
	CU_ASSERT_EQUAL(fast.gaps, 0);
	CU_ASSERT_EQUAL(fast.missed, 0);
	CU_ASSERT_EQUAL(fast.member_count, 800);
	for (unsigned i = 0; i < 3; i++)
		watching_free(&slow[i]);
	stop(&fast);
}

static void the_higher_class_first(void)
{
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct pe_engine_config c = config(1);
	struct watching low, critical;
	unsigned first_low, first_critical;

	c.entity_count_max = 4000;
	c.member_count_max = 8000;
	harness_start(&h, &c);
	watching_init(&low, &h, 0, 1);
	watching_init(&critical, &h, 0, 2);
	low.subscribe.priority = PE_PRIORITY_LOW;
	critical.subscribe.priority = PE_PRIORITY_CRITICAL;
	for (unsigned i = 0; i < 2000; i += 16) {
		struct pe_wire_update u[16];

		for (unsigned k = 0; k < 16; k++)
			u[k] = harness_update(1 + i + k, 1, 5, 0, 0);
		harness_queue_updates(&h, 0, HARNESS_INCARNATION, u, 16, false);
		run(&low, 1);
	}
	open_with(&low, NULL, 0);
	open_with(&critical, NULL, 0);
	h.buffers_refused = true;
	watching_send(&low, PE_SUBSCRIBE_ADD, &f, 1, NULL, 0);
	watching_send(&critical, PE_SUBSCRIBE_ADD, &f, 1, NULL, 0);
	run(&low, 30);
	h.buffers_refused = false;
	harness_turn(&h);
	watching_take(&low);
	watching_take(&critical);
	first_low = low.member_count;
	first_critical = critical.member_count;
	// Both have more waiting than a turn's notices hold; the low one gets its four.
	CU_ASSERT(first_critical > 4 * first_low || first_critical > 200);
	CU_ASSERT(first_low >= 4 * PE_NOTICE_EVENTS_MAX);
	for (unsigned i = 0; i < 60; i++) {
		harness_turn(&h);
		watching_take(&low);
		watching_take(&critical);
	}
	CU_ASSERT(low.whole && critical.whole);
	CU_ASSERT_EQUAL(low.member_count, 2000);
	CU_ASSERT_EQUAL(critical.member_count, 2000);
	watching_free(&critical);
	stop(&low);
}

TESTING_MAIN("engine/watch-flow", {"moves at a frequency", moves_at_a_frequency},
	{"a window", a_window}, {"resuming", resuming}, {"after weeks", after_weeks},
	{"too slow", too_slow}, {"slow beside fast", slow_beside_fast},
	{"the higher class first", the_higher_class_first})
