// Standing queries over the façade: from OPEN to ENDED, what is refused, leases, full tables, and
// the end of the engine.
#include "testing_watch.h"

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

TESTING_MAIN("engine/watch", {"from open to ended", from_open_to_ended},
	{"switched off", switched_off}, {"strangers", strangers},
	{"unknown subscriptions", unknown_subscriptions}, {"order of messages", order_of_messages},
	{"refusals of fences", refusals_of_fences}, {"full tables", full_tables},
	{"two workers", two_workers}, {"the lease", the_lease}, {"packed", packed},
	{"the engine ends", the_engine_ends})
