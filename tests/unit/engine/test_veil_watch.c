// Who is shown what by standing queries; and a world of every wish, every policy, moves, ends,
// frames, payloads and time.
#include "testing_veil.h"

#include <string.h>

static void move(struct watching *s, uint64_t n, uint32_t sequence, double x, uint16_t attributes)
{
	struct pe_wire_update u = update(n, sequence, x, 0, attributes);

	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	run(s, 3);
	// A crossing that waits for another comes about a little later.
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 1);
		watching_take(s);
		harness_control(&h);
	}
}

static void open_as(struct watching *s, uint32_t principal, struct pe_wire_fence *f)
{
	watching_init(s, &h, PLANE, 11 + principal);
	s->port = (uint16_t)(5000 + principal);
	s->subscribe.flags = PE_SUBSCRIBE_MOVES;
	h.principal = principal;
	watching_send(s, PE_SUBSCRIBE_OPEN, f, 1, NULL, 0);
	run(s, 4);
	h.principal = 0;
	CU_ASSERT_EQUAL(s->done.code, PE_CODE_SUCCESS);
}

static void subscribers_see_what_they_may(void)
{
	static const uint32_t allow[] = {ALICE};
	const struct pe_policy p = {.name = "friends",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = allow,
		.allow_count = 1};
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s, other;

	start(&p, 1);
	open_as(&s, ALICE, &f);
	open_as(&other, BOB, &f);
	watching_clear(&s);
	watching_clear(&other);
	move(&s, 1, 1, 0, VISIBILITY(PE_RESTRICTED));
	watching_take(&other);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	move(&s, 1, 2, 10, VISIBILITY(PE_RESTRICTED));
	move(&s, 1, 3, 500, VISIBILITY(PE_RESTRICTED));
	CU_ASSERT_EQUAL(s.count, 3);
	// Nothing of it was ever told to the other one: the first event's number is the first thing
	// that it may see.
	move(&other, 2, 1, 0, 0);
	CU_ASSERT_EQUAL(other.count, 1);
	CU_ASSERT(watching_is_member(&other, 5, 2));
	CU_ASSERT_EQUAL(other.missed, 0);
	watching_free(&s);
	watching_free(&other);
	stop();
}

static void who_hides_is_gone(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s;

	start(NULL, 0);
	f.leave_ms = 5000;
	open_as(&s, 0, &f);
	watching_clear(&s);
	move(&s, 1, 1, 0, 0);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	watching_clear(&s);
	// Out of the fence at the same time: that is not told.
	move(&s, 1, 2, 500, VISIBILITY(PE_HIDDEN));
	CU_ASSERT_EQUAL_FATAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[0].cause, PE_LEAVE_GONE);
	CU_ASSERT_EQUAL(s.events[0].result.position[0], 0);
	move(&s, 1, 3, 10, VISIBILITY(PE_HIDDEN));
	move(&s, 1, 4, 20, VISIBILITY(PE_HIDDEN));
	CU_ASSERT_EQUAL(s.count, 1);
	move(&s, 1, 5, 30, 0);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	watching_free(&s);
	stop();
}

static void edges_are_of_what_is_published(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 120);
	struct watching s;

	start(NULL, 0);
	open_as(&s, 0, &f);
	watching_clear(&s);
	// Cells of 100 m: from 0 to 100 its place is 50, then 150.
	for (uint32_t i = 0; i < 100; i++)
		move(&s, 1, 1 + i, i + 0.5, LEVEL(3));
	CU_ASSERT_EQUAL(s.count, 1);
	move(&s, 1, 200, 100.5, LEVEL(3));
	CU_ASSERT_EQUAL(s.count, 2);
	for (uint32_t i = 0; i < 99; i++)
		move(&s, 1, 201 + i, 199 - i, LEVEL(3));
	CU_ASSERT_EQUAL(s.count, 2);
	watching_free(&s);
	stop();
}

// Who is told more coarsely, or exactly again, was there all the while: it moves, and neither goes
// nor waits to enter anew.
static void coarser_is_not_gone(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 120);
	struct pe_wire_update u = update(1, 1, 30, 0, 0);
	struct watching s;

	start(NULL, 0);
	APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	f.enter_ms = 5000;
	open_as(&s, 0, &f);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	watching_clear(&s);
	move(&s, 1, 2, 30, LEVEL(3));
	CU_ASSERT_EQUAL_FATAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_MOVE);
	CU_ASSERT_EQUAL(s.events[0].result.position[0], 50);
	for (uint32_t i = 0; i < 4; i++)
		move(&s, 1, 3 + i, 30, i & 1 ? LEVEL(3) : 0);
	CU_ASSERT_EQUAL(s.count, 5);
	for (unsigned i = 0; i < s.count; i++)
		CU_ASSERT_EQUAL(s.events[i].kind, PE_EVENT_MOVE);
	move(&s, 1, 7, 130, LEVEL(3));
	CU_ASSERT_EQUAL(s.events[s.count - 1].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[s.count - 1].cause, PE_LEAVE_MOVED);
	watching_free(&s);
	stop();
}

static void names_change_behind_a_gap(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct pe_wire_update u = update(1, 1, 0, 0, VISIBILITY(PE_ANONYMOUS));
	uint8_t name[16];
	struct watching s;

	if (!draws())
		return;
	start(NULL, 0);
	u.ttl_ms = 2 * PE_EPOCH_MS;
	APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	open_as(&s, 0, &f);
	CU_ASSERT_EQUAL_FATAL(s.count, 2);
	memcpy(name, s.events[0].result.entity_id, 16);
	CU_ASSERT_NOT_EQUAL(harness_id_number(name), 1);
	watching_clear(&s);
	s.subscribe.expiration_ms = 0;
	for (unsigned i = 0; i < 80 && !s.gaps; i++) {
		watching_sequence(&s, PE_SUBSCRIBE_RENEW, 0);
		harness_advance(&h, PE_EPOCH_MS / 60);
		watching_take(&s);
	}
	CU_ASSERT_EQUAL(s.gaps, 1);
	run(&s, 5);
	CU_ASSERT_EQUAL(s.member_count, 1);
	CU_ASSERT(s.count >= 1);
	if (s.count)
		CU_ASSERT_NOT_EQUAL(memcmp(name, s.events[s.count - 1].result.entity_id, 16), 0);
	watching_free(&s);
	stop();
}

// A turn that has begun before the epoch ends after another worker's that has begun in it: whether
// it is the keeper's or the owner's, only names of one epoch are told, and those are the new one's.
static void an_epoch_between_turns(void)
{
	for (unsigned early = 0; early <= 1; early++) {
		struct pe_engine_config c = config(NULL, 0);
		struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
		struct pe_wire_update u = update(1, 1, 0, 0, VISIBILITY(PE_ANONYMOUS));
		struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
		struct watching s;
		uint64_t epoch_ms;

		if (!draws())
			return;
		c.worker_count = 2;
		harness_start(&h, &c);
		u.ttl_ms = 2 * PE_EPOCH_MS;
		harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		harness_turn_worker(&h, 1);
		watching_init(&s, &h, PLANE, 11);
		s.subscribe.flags = PE_SUBSCRIBE_MOVES;
		s.subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
		watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
		watching_run(&s, 5);
		CU_ASSERT_EQUAL(s.member_count, 1);
		epoch_ms = (h.now.wall_ms / PE_EPOCH_MS + 1) * PE_EPOCH_MS;
		h.now.mono_ms += epoch_ms - h.now.wall_ms;
		h.now.wall_ms = epoch_ms - 1;
		watching_run(&s, 5);
		watching_clear(&s);
		h.now.wall_ms = epoch_ms;
		if (early) {
			u.sequence = 2;
			u.position[0] = 10;
			harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		}
		for (unsigned i = 0; i < 4; i++) {
			harness_turn_worker(&h, early);
			watching_take(&s);
		}
		h.now.wall_ms = epoch_ms - 1;
		harness_turn_worker(&h, !early);
		watching_take(&s);
		h.now.wall_ms = epoch_ms + 1;
		watching_run(&s, 10);
		CU_ASSERT_EQUAL(s.gaps, 1);
		CU_ASSERT_EQUAL(s.missed, 0);
		CU_ASSERT_EQUAL_FATAL(s.count, 3);
		CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_GAP);
		CU_ASSERT_EQUAL(s.events[1].kind, PE_EVENT_ENTER);
		CU_ASSERT_EQUAL(s.events[2].kind, PE_EVENT_SNAPSHOT_END);
		ask(0, PLANE, &q);
		CU_ASSERT_EQUAL_FATAL(a.count, 1);
		CU_ASSERT(memcmp(a.results[0].entity_id, s.events[1].result.entity_id, 16) == 0);
		watching_free(&s);
		stop();
	}
}

static uint64_t random_state;

static unsigned below(unsigned n)
{
	return (unsigned)(testing_random(&random_state) % n);
}

static void random_update(uint32_t sequence)
{
	_Alignas(8) uint8_t record[512];
	struct pe_wire_update u = update(1 + below(25), sequence, below(400) - 200.0,
		below(400) - 200.0, (uint16_t)(testing_random(&random_state) & 0x0FFFu));
	uint8_t parent[16];
	uint32_t bytes = 0;

	u.entity_type = (uint8_t)(below(6) ? below(4) : 128 + below(3));
	u.ttl_ms = below(2) ? below(90000) : 0;
	u.duration_ms = below(4) ? 0 : below(5000);
	u.radius_m = (float)below(3) * 100;
	u.velocity[0] = below(2) ? 0x4500 : 0;
	u.update_frequency = (uint16_t)below(60);
	u.frequency = (uint16_t)(below(4) ? 0 : 60);
	if (below(3)) {
		harness_queue_updates(
			&h, below(8) ? PLANE : EARTH, HARNESS_INCARNATION, &u, 1, false);
		return;
	}
	bytes = pe_wire_begin_details(record, sizeof record, &u);
	if (below(2)) {
		harness_id(parent, 1 + below(25));
		bytes = pe_wire_put_details(record, sizeof record, PE_DETAILS_FRAME, parent, 16);
	}
	if (below(2))
		bytes = pe_wire_put_details(
			record, sizeof record, PE_DETAILS_PAYLOAD, "whatever", 8);
	harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, record, bytes, 1, false);
}

static void random_question(void)
{
	struct pe_wire_query q =
		harness_sphere(below(300) - 150.0, below(300) - 150.0, 0, below(300));

	if (below(4) == 0)
		q = harness_point(below(300) - 150.0, below(300) - 150.0, 0);
	if (below(4) == 0) {
		q.flags |= PE_QUERY_HAS_CURSOR;
		q.cursor[0] = testing_random(&random_state);
		q.cursor[1] = testing_random(&random_state);
		q.cursor[below(2)] = below(2) ? a.cursor[0] : a.cursor[1];
	}
	if (below(3) == 0)
		q.max_results = (uint16_t)(1 + below(3));
	harness_ask(&h, below(2), PLANE, &q, &a);
}

// Every wish, every policy, moves, ends, frames, payloads, time; subscribers check their rows of
// events, the harness its identities.
static void anything(void)
{
	static const uint32_t allow[] = {ALICE, EVE}, deny[] = {EVE};
	struct pe_policy policies[] = {
		{.name = "crowd",
			.space = PLANE,
			.type_mask = 1,
			.everyone = true,
			.k = 2,
			.area_m = 50},
		{.name = "noise",
			.space = PLANE,
			.type_mask = 4,
			.everyone = true,
			.laplace_m = 30},
		{.name = "grid",
			.space = PLANE,
			.type_mask = 16,
			.everyone = true,
			.cloak_m = 70,
			.anonymous = true,
			.no_details = true},
		{.name = "hours",
			.space = PE_POLICY_EVERY_SPACE,
			.visibility = 12,
			.allow = allow,
			.allow_count = 2,
			.deny = deny,
			.deny_count = 1,
			.until_minute = 720},
	};
	struct pe_engine_config c = harness_config();
	struct pe_wire_fence f[2] = {
		watching_sphere(5, 0, 0, 0, 120), watching_sphere(6, 50, 50, 0, 90)};
	struct watching s[2];
	uint64_t amount = testing_amount(40000);

	if (!draws())
		return;
	c.worker_count = 2;
	c.views = (struct pe_views_config){
		.policies = policies, .policy_count = 4, .epoch_ms = PE_EPOCH_MIN_MS};
	c.details_bytes = 1 << 20;
	c.fence_count_max = 64;
	c.member_count_max = 4096;
	c.subscription_count_max = 8;
	harness_failed = testing_failed;
	harness_start(&h, &c);
	random_state = 1;
	for (unsigned i = 0; i < 2; i++) {
		watching_init(&s[i], &h, PLANE, 11 + i);
		s[i].port = (uint16_t)(5000 + i);
		s[i].subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_PAYLOADS;
		s[i].subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
		f[1].leave_ms = f[1].enter_ms = 700;
		h.principal = i;
		watching_send(&s[i], PE_SUBSCRIBE_OPEN, f, 2, NULL, 0);
		harness_turn_worker(&h, i);
		watching_take(&s[i]);
	}
	for (uint32_t i = 1; i < amount; i++) {
		h.principal = below(4);
		if (below(3))
			random_update(i);
		else
			random_question();
		h.principal = 0;
		for (unsigned k = 0; k < 2; k++)
			watching_take(&s[k]);
		if (below(20) == 0) {
			struct pe_wire_withdraw gone = {.sequence = i};

			harness_id(gone.entity_id, 1 + below(25));
			harness_queue_withdraws(&h, PLANE, HARNESS_INCARNATION, &gone, 1, false);
		}
		if (below(3) == 0) {
			h.now.mono_ms += below(60);
			h.now.wall_ms += below(60);
		}
		for (unsigned w = 0; w < 2; w++) {
			harness_turn_worker(&h, w);
			for (unsigned k = 0; k < 2; k++)
				watching_take(&s[k]);
		}
		if (below(2))
			harness_control(&h);
		if (i % 4000 == 0) {
			// Subscribers renew, and a morning may become an afternoon.
			h.now.mono_ms += 600000;
			h.now.wall_ms += 3600000;
		}
	}
	CU_ASSERT(s[0].gaps > 0 && s[0].missed == 0 && s[1].missed == 0);
	CU_ASSERT(s[0].count > 20);
	for (unsigned i = 0; i < 2; i++)
		watching_free(&s[i]);
	stop();
}

TESTING_MAIN("engine/veil-watch", {"subscribers", subscribers_see_what_they_may},
	{"who hides is gone", who_hides_is_gone},
	{"edges are of what is published", edges_are_of_what_is_published},
	{"coarser is not gone", coarser_is_not_gone},
	{"names change behind a gap", names_change_behind_a_gap},
	{"an epoch between turns", an_epoch_between_turns}, {"anything at all", anything})
