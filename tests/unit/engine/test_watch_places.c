// Who is in a fence and where: fences that follow, corrections, what a threshold holds back, and
// looks that are spared.
#include "testing_watch.h"

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

// Updates that cannot reach an edge are spared a look; those that something else brings in or out
// are not.
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

TESTING_MAIN("engine/watch-places", {"a fence that follows", a_fence_that_follows},
	{"corrections", corrections}, {"what is held back", what_is_held_back},
	{"spared looks", spared_looks})
