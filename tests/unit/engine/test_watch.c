// Standing queries over the façade: from OPEN to ENDED, and what is told between.
#include "testing.h"
#include "watching.h"

static struct harness h;

static struct pe_engine_config config(unsigned workers)
{
	struct pe_engine_config c = harness_config();

	c.worker_count = workers;
	c.fence_count_max = 64;
	c.member_count_max = 512;
	c.subscription_count_max = 8;
	return c;
}

static void start(unsigned workers, struct watching *s)
{
	struct pe_engine_config c = config(workers);

	harness_start(&h, &c);
	watching_init(s, &h, 0, 11);
}

static void stop(struct watching *s)
{
	watching_free(s);
	harness_stop(&h);
}

// Turns of all workers, and the clock a little on, until what is under way has come about.
static void run(struct watching *s, unsigned turns)
{
	watching_run(s, turns);
}

static void put(struct watching *s, uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	harness_queue_updates(&h, s->space, HARNESS_INCARNATION, &u, 1, false);
	run(s, 2);
}

static void from_open_to_ended(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1, &s);
	put(&s, 1, 1, 50);
	put(&s, 2, 1, 150);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(&s, 3);
	CU_ASSERT_EQUAL(s.answered, 1);
	CU_ASSERT_EQUAL(s.done.code, PE_CODE_SUCCESS);
	CU_ASSERT_EQUAL(s.done.fence_count, 1);
	CU_ASSERT_EQUAL(s.done.next_sequence, 1);
	CU_ASSERT_EQUAL(s.done.lease_ms, PE_SUBSCRIPTION_LEASE_MS);
	CU_ASSERT(s.whole);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_ENTER);
	CU_ASSERT_EQUAL(s.events[0].flags, PE_EVENT_IN_SNAPSHOT);
	CU_ASSERT_EQUAL(s.events[0].fence_id, 5);
	CU_ASSERT_EQUAL(s.events[0].result.position[0], 50);
	CU_ASSERT_EQUAL(s.events[0].result.distance_m, 50);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	watching_clear(&s);
	put(&s, 2, 2, 90);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_ENTER);
	CU_ASSERT_EQUAL(s.events[0].flags, 0);
	put(&s, 2, 3, 80);
	CU_ASSERT_EQUAL(s.events[1].kind, PE_EVENT_MOVE);
	put(&s, 2, 4, 200);
	CU_ASSERT_EQUAL(s.events[2].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[2].cause, PE_LEAVE_MOVED);
	CU_ASSERT_EQUAL(s.events[2].result.position[0], 200);
	(void)harness_withdraw(&h, 0, HARNESS_INCARNATION, 1, 9);
	watching_take(&s);
	run(&s, 1);
	CU_ASSERT_EQUAL(s.events[3].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[3].cause, PE_LEAVE_GONE);
	CU_ASSERT_EQUAL(s.member_count, 0);
	put(&s, 3, 1, 0);
	CU_ASSERT(watching_is_member(&s, 5, 3));
	watching_clear(&s);
	watching_send(&s, PE_SUBSCRIBE_CLOSE, NULL, 0, NULL, 0);
	run(&s, 3);
	CU_ASSERT_EQUAL(s.done.op, PE_SUBSCRIBE_CLOSE);
	CU_ASSERT_EQUAL(s.done.code, PE_CODE_SUCCESS);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT_EQUAL(s.events[0].cause, PE_LEAVE_ENDED);
	CU_ASSERT(s.ended);
	CU_ASSERT_EQUAL(s.ended_cause, PE_ENDED_CLOSED);
	CU_ASSERT_EQUAL(s.member_count, 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_ended), 1);
	stop(&s);
}

static void open_with(struct watching *s, const struct pe_wire_fence *fences, unsigned count)
{
	watching_send(s, PE_SUBSCRIBE_OPEN, fences, count, NULL, 0);
	run(s, 4 + count); // a walk a turn
	CU_ASSERT_EQUAL(s->done.code, PE_CODE_SUCCESS);
	CU_ASSERT(s->whole);
}

// The whole reply to an operation.
static enum pe_reason told(
	struct watching *s, unsigned op, const struct pe_wire_fence *fences, unsigned count)
{
	unsigned answered = s->answered;

	watching_send(s, op, fences, count, NULL, 0);
	run(s, 3);
	CU_ASSERT_EQUAL(s->answered, answered + 1);
	CU_ASSERT_EQUAL(s->done.code,
		s->done.reason ? pe_reason_info[s->done.reason].code : PE_CODE_SUCCESS);
	return s->done.reason;
}

static enum pe_reason told_of(struct watching *s, unsigned op, uint64_t sequence)
{
	watching_sequence(s, op, sequence);
	run(s, 2);
	return s->done.reason;
}

static void switched_off(void)
{
	struct pe_engine_config c = config(1);
	struct watching s;

	c.fence_count_max = 0;
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_OPEN, NULL, 0), PE_REASON_standing_off);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, standing_off), 1);
	stop(&s);
}

static void strangers(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1, &s);
	h.untrusted = true;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	harness_turn(&h);
	CU_ASSERT_EQUAL(h.reply_count, 0);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, not_trusted), 1);
	h.untrusted = false;
	stop(&s);
}

static void unknown_subscriptions(void)
{
	struct watching s;

	start(1, &s);
	for (unsigned op = PE_SUBSCRIBE_CLOSE; op <= PE_SUBSCRIBE_RENEW; op++)
		CU_ASSERT_EQUAL(told(&s, op, NULL, 0), PE_REASON_subscription_unknown);
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_RESUME, 1), PE_REASON_subscription_unknown);
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_ACKNOWLEDGE, 1), PE_REASON_subscription_unknown);
	open_with(&s, NULL, 0);
	// Of another port, and of another epoch.
	s.port++;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), PE_REASON_subscription_unknown);
	s.port--;
	s.subscribe.epoch = 2;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), PE_REASON_subscription_unknown);
	s.subscribe.epoch = 1;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), 0);
	stop(&s);
}

static void order_of_messages(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(1, &s);
	open_with(&s, &f, 1);
	f.fence_id = 6;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f, 1), 0);
	CU_ASSERT_EQUAL(s.done.message, 1);
	CU_ASSERT_EQUAL(s.done.fence_count, 2);
	// The same again: taken as done.
	s.message = 0;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f, 1), 0);
	CU_ASSERT_EQUAL(s.done.fence_count, 2);
	s.message = 2;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f, 1), PE_REASON_subscribe_order);
	CU_ASSERT_EQUAL(s.done.message, 1);
	// The same epoch again changes nothing; another one ends the old life.
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_OPEN, &f, 1), 0);
	CU_ASSERT_EQUAL(s.done.fence_count, 2);
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_RESUME, 1000), PE_REASON_subscribe_order);
	CU_ASSERT_EQUAL(told_of(&s, PE_SUBSCRIBE_ACKNOWLEDGE, 1000), PE_REASON_subscribe_order);
	s.subscribe.epoch = 2;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_OPEN, &f, 1), 0);
	CU_ASSERT_EQUAL(s.done.fence_count, 1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_opened), 2);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_ended), 1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, fences_removed), 2);
	stop(&s);
}

static void refusals_of_fences(void)
{
	struct watching s;
	struct pe_wire_fence f[3] = {watching_sphere(1, 0, 0, 0, 100),
		watching_sphere(2, 0, 0, 0, 100), watching_sphere(1, 0, 0, 0, 100)};
	uint32_t ids[2] = {2, 9};

	start(1, &s);
	// Whole or not at all.
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_OPEN, f, 3), PE_REASON_fence_name);
	CU_ASSERT_EQUAL(s.done.fault_index, 2);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), PE_REASON_subscription_unknown);
	open_with(&s, f, 2);
	f[2].fence_id = 3;
	f[2].query.a[0] = 1e300;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f[1], 2), PE_REASON_fence_name);
	CU_ASSERT_EQUAL(s.done.fault_index, 0);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f[2], 1), PE_REASON_query_bounds);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, fence_query), 1);
	f[2].query.a[0] = 0;
	f[2].query.kind = PE_QUERY_NEAREST;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f[2], 1), PE_REASON_fence_kind);
	f[2].query.kind = 0;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f[2], 1), PE_REASON_query_kind);
	f[2].query.kind = PE_QUERY_SPHERE;
	f[2].margin_m = -1;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f[2], 1), PE_REASON_fence_rule);
	CU_ASSERT_EQUAL(s.done.fence_count, 2);
	watching_remove(&s, ids, 2);
	run(&s, 2);
	CU_ASSERT_EQUAL(s.done.reason, PE_REASON_fence_name);
	CU_ASSERT_EQUAL(s.done.fault_index, 1);
	watching_remove(&s, ids, 1);
	run(&s, 2);
	CU_ASSERT_EQUAL(s.done.reason, 0);
	CU_ASSERT_EQUAL(s.done.fence_count, 1);
	stop(&s);
}

static void full_tables(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f[7];
	struct watching s, other;

	c.fence_count_max = 16;
	c.member_count_max = 8;
	c.subscription_count_max = 2;
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	watching_init(&other, &h, 0, 2);
	for (unsigned i = 0; i < 7; i++)
		f[i] = watching_sphere(i, 0, 0, 0, 100);
	open_with(&s, f, 7);
	for (unsigned i = 0; i < 7; i++)
		f[i].fence_id += 7;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, f, 7), 0);
	for (unsigned i = 0; i < 7; i++)
		f[i].fence_id += 7;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, f, 3), PE_REASON_fences_full);
	CU_ASSERT_EQUAL(s.done.fault_index, 2);
	CU_ASSERT_EQUAL(s.done.fence_count, 14);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, f, 2), 0);
	// Nine memberships for sixteen fences: some enter not, and nothing is owed to them.
	put(&s, 1, 1, 0);
	CU_ASSERT_EQUAL(s.member_count, 9);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, members_refused), 7);
	put(&s, 1, 2, 1000);
	CU_ASSERT_EQUAL(s.member_count, 0);
	// Subscriptions.
	open_with(&other, NULL, 0);
	other.subscribe.subscription_id = 3;
	CU_ASSERT_EQUAL(told(&other, PE_SUBSCRIBE_OPEN, NULL, 0), PE_REASON_subscriptions_full);
	other.subscribe.subscription_id = 2;
	CU_ASSERT_EQUAL(told(&other, PE_SUBSCRIBE_CLOSE, NULL, 0), 0);
	other.subscribe.subscription_id = 3;
	other.ended = false;
	CU_ASSERT_EQUAL(told(&other, PE_SUBSCRIBE_OPEN, NULL, 0), 0);
	watching_free(&other);
	stop(&s);
}

static void two_workers(void)
{
	struct watching s;
	struct pe_wire_fence f[2] = {
		watching_sphere(1, 0, 0, 0, 100), watching_sphere(2, 0, 0, 0, 50)};
	struct pe_wire_update u = harness_update(1, 1, 10, 0, 0);

	start(2, &s);
	harness_queue_updates(&h, 0, HARNESS_INCARNATION, &u, 1, false);
	harness_turn_worker(&h, 1);
	run(&s, 4);
	watching_send(&s, PE_SUBSCRIBE_OPEN, f, 1, NULL, 0);
	harness_turn(&h);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.answered, 0); // the other worker has not said that it has the fence
	watching_send(&s, PE_SUBSCRIBE_ADD, &f[1], 1, NULL, 0);
	harness_turn(&h);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.done.reason, PE_REASON_subscribe_busy);
	run(&s, 4);
	CU_ASSERT_EQUAL(s.answered, 2);
	CU_ASSERT_EQUAL(s.done.op, PE_SUBSCRIBE_OPEN);
	CU_ASSERT_EQUAL(s.done.code, 0);
	CU_ASSERT(s.whole);
	CU_ASSERT(watching_is_member(&s, 1, 1));
	s.message = 0;
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, &f[1], 1), 0);
	CU_ASSERT(watching_is_member(&s, 2, 1));
	// It moves on the worker that owns it; the update comes in at the other.
	u = harness_update(1, 2, 70, 0, 0);
	harness_queue_updates(&h, 0, HARNESS_INCARNATION, &u, 1, false);
	run(&s, 4);
	CU_ASSERT(watching_is_member(&s, 1, 1));
	CU_ASSERT(!watching_is_member(&s, 2, 1));
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_CLOSE, NULL, 0), 0);
	run(&s, 4);
	CU_ASSERT(s.ended);
	CU_ASSERT_EQUAL(s.member_count, 0);
	stop(&s);
}

static void the_lease(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);

	start(1, &s);
	put(&s, 1, 1, 0);
	s.subscribe.expiration_ms = 1000;
	open_with(&s, &f, 1);
	CU_ASSERT_EQUAL(s.done.lease_ms, 1000);
	harness_advance(&h, 999);
	watching_take(&s);
	CU_ASSERT(!s.ended);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_RENEW, NULL, 0), 0);
	CU_ASSERT_EQUAL(s.done.lease_ms, 1000);
	harness_advance(&h, 999);
	watching_take(&s);
	CU_ASSERT(!s.ended);
	CU_ASSERT(pe_worker_idle_ms(pe_engine_worker(h.engine, 0), h.now) <= 1);
	harness_advance(&h, 1);
	watching_take(&s);
	run(&s, 3);
	CU_ASSERT(s.ended);
	CU_ASSERT_EQUAL(s.ended_cause, PE_ENDED_EXPIRED);
	CU_ASSERT_EQUAL(s.member_count, 0);
	// No longer than a day.
	s.subscribe.expiration_ms = UINT32_MAX;
	s.subscribe.epoch++;
	open_with(&s, &f, 1);
	CU_ASSERT_EQUAL(s.done.lease_ms, PE_SUBSCRIPTION_LEASE_MAX_MS);
	stop(&s);
}

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

static void packed(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);

	start(1, &s);
	s.subscribe.flags = PE_SUBSCRIBE_BATCH_UPDATES;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(&s, 3);
	harness_advance(&h, 100);
	watching_take(&s);
	CU_ASSERT(s.whole);
	watching_clear(&s);
	for (unsigned i = 0; i < 15; i++)
		put(&s, 1 + i, 1, i);
	CU_ASSERT_EQUAL(s.count, 0);
	put(&s, 16, 1, 0);
	CU_ASSERT_EQUAL(s.count, 16); // full
	put(&s, 17, 1, 0);
	harness_advance(&h, 99);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 16);
	harness_advance(&h, 1);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 17);
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

static void follow(unsigned workers)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct pe_wire_withdraw x = {.sequence = 100};

	start(workers, &s);
	f.flags = PE_FENCE_FOLLOW;
	harness_id(f.follow_id, 7);
	put(&s, 1, 1, 1000); // stands still
	put(&s, 2, 1, 2000); // stands still
	open_with(&s, &f, 1);
	CU_ASSERT_EQUAL(s.member_count, 0); // nowhere yet
	put(&s, 7, 1, 1050);
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 100);
		watching_take(&s);
		run(&s, 4);
	}
	CU_ASSERT(watching_is_member(&s, 1, 1));
	CU_ASSERT_EQUAL(s.member_count, 1); // it is never its own
	CU_ASSERT_EQUAL(s.events[s.count - 1].result.distance_m, 50);
	put(&s, 7, 2, 1990);
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 100);
		watching_take(&s);
		run(&s, 4);
	}
	CU_ASSERT(!watching_is_member(&s, 1, 1));
	CU_ASSERT(watching_is_member(&s, 1, 2));
	put(&s, 3, 1, 2000); // moves into what has moved
	run(&s, 4);
	CU_ASSERT(watching_is_member(&s, 1, 3));
	CU_ASSERT(HARNESS_COUNTER(&h, fences_moved) >= 2);
	// Gone: nobody is near it. Back: they are again.
	harness_id(x.entity_id, 7);
	harness_queue_withdraws(&h, 0, HARNESS_INCARNATION, &x, 1, false);
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 100);
		watching_take(&s);
		run(&s, 4);
	}
	CU_ASSERT_EQUAL(s.member_count, 0);
	put(&s, 7, 101, 2010);
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 100);
		watching_take(&s);
		run(&s, 4);
	}
	CU_ASSERT_EQUAL(s.member_count, 2);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_CLOSE, NULL, 0), 0);
	run(&s, 4);
	CU_ASSERT(s.ended);
	stop(&s);
}

static void a_fence_that_follows(void)
{
	follow(1);
	follow(2);
}

static void corrections(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 10, 0, 0);

	start(1, &s);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	open_with(&s, &f, 1);
	u.entity_type = PE_ENTITY_STATIC;
	(void)harness_send(&h, 0, HARNESS_INCARNATION, &u);
	watching_take(&s);
	u.sequence++;
	u.position[0] = 50;
	u.attributes |= PE_ATTRIBUTE_RELOCATION;
	watching_clear(&s);
	(void)harness_send(&h, 0, HARNESS_INCARNATION, &u);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].flags, PE_EVENT_CORRECTED);
	// A newer life whose clock is behind; late ones tell nothing.
	u = harness_update(2, 5, 10, 0, 0);
	(void)harness_send(&h, 0, HARNESS_INCARNATION, &u);
	watching_take(&s);
	watching_clear(&s);
	u.sequence = 6;
	u.time_offset_ms = -1000;
	u.position[0] = 500;
	CU_ASSERT_EQUAL(harness_send(&h, 0, HARNESS_INCARNATION, &u).reason, PE_REASON_late);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 0);
	u.sequence = 1;
	u.position[0] = 20;
	(void)harness_send(&h, 0, HARNESS_INCARNATION + 1, &u);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_MOVE);
	CU_ASSERT_EQUAL(s.events[0].flags, PE_EVENT_CORRECTED);
	CU_ASSERT_EQUAL(s.events[0].result.age_ms, 1000);
	stop(&s);
}

// The engine ends: one word each, and nothing behind it.
static void the_engine_ends(void)
{
	struct watching s;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);

	start(1, &s);
	put(&s, 1, 1, 0);
	open_with(&s, &f, 1);
	watching_clear(&s);
	pe_worker_end_subscriptions(pe_engine_worker(h.engine, 0));
	pe_worker_end_subscriptions(pe_engine_worker(h.engine, 0));
	put(&s, 1, 2, 500);
	run(&s, 4);
	CU_ASSERT_EQUAL(s.count, 1);
	CU_ASSERT(s.ended);
	CU_ASSERT_EQUAL(s.ended_cause, PE_ENDED_ENGINE);
	harness_advance(&h, 10000);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.count, 1);
	stop(&s);
}

// What a threshold holds back is told when it is published.
static void what_is_held_back(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);
	struct watching s;

	c.spaces[0].coalesce_distance_m = 10;
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	put(&s, 1, 1, 95);
	open_with(&s, &f, 1);
	CU_ASSERT_EQUAL(s.member_count, 1);
	put(&s, 1, 2, 102); // covered
	CU_ASSERT_EQUAL(s.member_count, 1);
	harness_advance(&h, 1000);
	watching_take(&s);
	CU_ASSERT_EQUAL(s.member_count, 0);
	put(&s, 1, 3, 80); // further than the threshold
	CU_ASSERT_EQUAL(s.member_count, 1);
	stop(&s);
}

// Updates that cannot reach an edge are spared a look; those that something else brings in or out are not.
static void spared_looks(void)
{
	struct pe_engine_config c = config(1);
	struct pe_wire_fence f[9];
	struct pe_wire_update u;
	struct watching s;

	c.member_count_max = 8; // nine memberships
	harness_start(&h, &c);
	watching_init(&s, &h, 0, 1);
	for (unsigned i = 0; i < 9; i++)
		f[i] = watching_sphere(i, 0, 0, 0, 100);
	open_with(&s, f, 7);
	CU_ASSERT_EQUAL(told(&s, PE_SUBSCRIBE_ADD, f + 7, 2), 0);
	put(&s, 1, 1, 1);
	CU_ASSERT_EQUAL(s.member_count, 9);
	// No room for the second, until the first has left.
	put(&s, 2, 1, 2);
	CU_ASSERT_EQUAL(s.member_count, 9);
	put(&s, 1, 2, 1000);
	CU_ASSERT_EQUAL(s.member_count, 0);
	put(&s, 2, 2, 2);
	CU_ASSERT_EQUAL(s.member_count, 9);
	CU_ASSERT(watching_is_member(&s, 3, 2));
	// Its reach is no longer as far as the asker's point, where it stands; then it is again.
	put(&s, 2, 3, 20);
	CU_ASSERT_EQUAL(s.member_count, 9);
	for (unsigned i = 0; i < 2; i++) {
		u = harness_update(2, 4 + i, 20, 0, 0);
		u.radius_m = i ? 0 : 10;
		harness_queue_updates(&h, s.space, HARNESS_INCARNATION, &u, 1, false);
		run(&s, 2);
		CU_ASSERT_EQUAL(s.member_count, i ? 9 : 0);
	}
	// Another cell, and back, to where an edge is as near as it was; and out from there.
	put(&s, 2, 6, 70);
	put(&s, 2, 7, 20);
	put(&s, 2, 8, 60);
	CU_ASSERT_EQUAL(s.member_count, 9);
	put(&s, 2, 9, 101);
	CU_ASSERT_EQUAL(s.member_count, 0);
	stop(&s);
}

TESTING_MAIN("engine/watch", {"from open to ended", from_open_to_ended},
	{"switched off", switched_off}, {"strangers", strangers},
	{"unknown subscriptions", unknown_subscriptions}, {"order of messages", order_of_messages},
	{"refusals of fences", refusals_of_fences}, {"full tables", full_tables},
	{"two workers", two_workers}, {"the lease", the_lease},
	{"moves at a frequency", moves_at_a_frequency}, {"packed", packed}, {"a window", a_window},
	{"resuming", resuming}, {"too slow", too_slow}, {"slow beside fast", slow_beside_fast},
	{"the higher class first", the_higher_class_first},
	{"a fence that follows", a_fence_that_follows}, {"corrections", corrections},
	{"the engine ends", the_engine_ends}, {"what is held back", what_is_held_back},
	{"spared looks", spared_looks})
