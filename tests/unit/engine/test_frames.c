// RELATIVE entities: placed in their parent's frame, following it, bounded, and left alone when it
// goes.
#include "detailed.h"
#include "testing_engine.h"

#include <math.h>

static struct detailed d;

static void start_keeping(unsigned workers)
{
	struct pe_engine_config config = harness_config();

	config.details_bytes = 4 << 20;
	config.worker_count = workers;
	start_with(&config);
}

static void put_parent(uint64_t parent)
{
	uint8_t id[16];

	harness_id(id, parent);
	detailed_put(&d, PE_DETAILS_FRAME, id, sizeof id);
}

// n in the frame of parent (0: in the space), turned about z by so many degrees.
static struct pe_wire_ack_record send_in(unsigned space, uint64_t n, uint32_t sequence,
	uint64_t parent, double x, double y, double z, double turn_deg)
{
	struct pe_wire_update u = harness_update(n, sequence, x, y, z);
	double half = turn_deg * 3.14159265358979 / 360;

	u.ttl_ms = 1000000;
	detailed_begin(&d, &u);
	detailed_orientation(&d, 0, 0, (float)sin(half), (float)cos(half));
	if (parent)
		put_parent(parent);
	return harness_send_detailed(&h, space, HARNESS_INCARNATION, d.bytes);
}

#define SEND(...) ASSERT_STATUS(send_in(PLANE, __VA_ARGS__), PE_ACK_APPLIED)

static bool at(uint64_t n, double x, double y, double z)
{
	struct pe_wire_result r;

	return sees(n, &r) == 1 && fabs(r.position[0] - x) < 1e-4 &&
		fabs(r.position[1] - y) < 1e-4 && fabs(r.position[2] - z) < 1e-4;
}

// Lets crossings settle, so that those that waited are where they belong.
static void settle(void)
{
	for (unsigned i = 0; i < 3; i++) {
		harness_settle(&h);
		harness_advance(&h, 1);
	}
}

static void placed_and_following(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	static struct harness_answer a;

	start_keeping(1);
	SEND(1, 1, 0, 100, 200, 10, 90);
	SEND(2, 1, 1, 5, 0, 1, 0);
	CU_ASSERT(at(2, 100, 205, 11));
	// In the child's frame, which is turned with its parent's, and by its own 90°: 180° in all.
	ASSERT_STATUS(send_in(PLANE, 2, 2, 1, 5, 0, 1, 90), PE_ACK_APPLIED);
	SEND(3, 1, 2, 2, 0, 0, 0);
	CU_ASSERT(at(3, 98, 205, 11));
	// Its details say where it is in that frame.
	q.flags |= PE_QUERY_WITH_DETAILS;
	harness_ask(&h, 0, PLANE, &q, &a);
	for (unsigned i = 0; i < a.count; i++) {
		struct pe_details_blocks b;
		struct pe_wire_placed p;

		pe_wire_get_details(a.details + a.details_at[i], &b);
		if (harness_id_number(a.results[i].entity_id) != 2) {
			continue;
		}
		CU_ASSERT_FATAL(b.content[PE_DETAILS_FRAME] != NULL);
		memcpy(&p, b.content[PE_DETAILS_FRAME], sizeof p);
		CU_ASSERT(harness_id_number(p.parent_id) == 1 && p.position[0] == 5 &&
			p.position[2] == 1);
	}
	// Everyone moves with the parent: within a cell, into another one, by plain updates, and
	// when it turns.
	for (unsigned i = 2; i < 30; i++) {
		struct pe_wire_update u = harness_update(1, i, 100 + 37.0 * i, 200, 10);

		u.ttl_ms = 1000000;
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, i % 2);
		harness_turn(&h);
		settle();
		CU_ASSERT(at(2, 100 + 37.0 * i, 205, 11));
		CU_ASSERT(at(3, 98 + 37.0 * i, 205, 11));
	}
	SEND(1, 40, 0, 0, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 5, 0, 1));
	CU_ASSERT(at(3, 5, 2, 1));
	SEND(1, 41, 0, 0, 0, 0, 180);
	settle();
	CU_ASSERT(at(2, -5, 0, 1));
	CU_ASSERT(at(3, -5, -2, 1));
	stop();
}

static void out_of_the_frame(void)
{
	struct pe_wire_update u;

	start_keeping(1);
	SEND(1, 1, 0, 100, 0, 0, 0);
	SEND(2, 1, 1, 5, 0, 0, 0);
	// A position without a frame is in the space, and so it stays.
	u = harness_update(2, 2, 7, 7, 7);
	u.ttl_ms = 1000000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	settle();
	CU_ASSERT(at(2, 7, 7, 7));
	SEND(1, 2, 0, 300, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 7, 7, 7));
	SEND(2, 3, 1, 5, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 305, 0, 0));
	// The parent goes: its child stays where it was, until a new life of the parent is named
	// again.
	ASSERT_STATUS(withdraw(1, 3), PE_ACK_APPLIED);
	settle();
	CU_ASSERT(at(2, 305, 0, 0));
	ASSERT_REFUSED(send_in(PLANE, 2, 4, 1, 6, 0, 0, 0), frame_unknown);
	(void)send_in(PLANE, 1, 4, 0, 0, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 305, 0, 0));
	SEND(2, 4, 1, 6, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 6, 0, 0));
	// A child that goes is followed by nobody, and leaves its parent as it was.
	ASSERT_STATUS(withdraw(2, 5), PE_ACK_APPLIED);
	SEND(1, 5, 0, 50, 0, 0, 0);
	ASSERT_GONE(2);
	stop();
}

static void refusals(void)
{
	start_keeping(1);
	ASSERT_REFUSED(send_in(PLANE, 2, 1, 1, 5, 0, 0, 0), frame_unknown);
	ASSERT_REFUSED(send_in(PLANE, 2, 1, 2, 5, 0, 0, 0), frame_unknown); // its own
	(void)send_in(EARTH, 9, 1, 0, 10, 10, 0, 0);
	ASSERT_REFUSED(send_in(PLANE, 2, 1, 9, 5, 0, 0, 0), frame_unknown); // in another space
	SEND(1, 1, 0, 0, 0, 0, 0);
	for (uint64_t n = 2; n <= 5; n++)
		SEND(n, 1, n - 1, 1, 0, 0, 0);
	CU_ASSERT(at(5, 4, 0, 0));
	ASSERT_REFUSED(send_in(PLANE, 6, 1, 5, 1, 0, 0, 0), frame_unknown); // a fifth
	ASSERT_REFUSED(send_in(PLANE, 1, 2, 3, 1, 0, 0, 0), frame_unknown); // in a circle
	ASSERT_REFUSED(send_in(PLANE, 2, 2, 1, 1e300, 0, 0, 0), out_of_bounds);
	settle();
	CU_ASSERT(at(5, 4, 0, 0));
	stop();
}

static void full(void)
{
	unsigned taken = 0;

	start_keeping(1);
	SEND(1, 1, 0, 0, 0, 0, 0);
	for (uint64_t n = 100; n < 170; n++) {
		struct pe_wire_ack_record ack = send_in(PLANE, n, 1, 1, 1, (double)n, 0, 0);

		if (ack.status == PE_ACK_APPLIED)
			taken++;
		else
			ASSERT_REFUSED(ack, frame_full);
	}
	CU_ASSERT_EQUAL(taken, 64);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, frame_full), 6);
	ASSERT_GONE(165);
	SEND(1, 2, 0, 1000, 0, 0, 0);
	settle();
	for (uint64_t n = 100; n < 164; n++)
		CU_ASSERT(at(n, 1001, (double)n, 0));
	// Who was one of them may change; who goes makes room.
	SEND(100, 2, 1, 2, 5, 0, 0);
	ASSERT_STATUS(withdraw(100, 3), PE_ACK_APPLIED);
	SEND(165, 1, 1, 1, 1, 0, 0);
	stop();
}

// Of a parent that is another worker's a child is placed when it is updated itself.
static void across_workers(void)
{
	struct pe_wire_update u = harness_update(1, 1, 100, 0, 0);

	start_keeping(2);
	u.ttl_ms = 1000000;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn_worker(&h, 1);
	settle();
	(void)send_in(PLANE, 2, 1, 1, 5, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 105, 0, 0));
	u = harness_update(1, 2, 200, 0, 0);
	u.ttl_ms = 1000000;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn_worker(&h, 1);
	settle();
	CU_ASSERT(at(2, 105, 0, 0));
	(void)send_in(PLANE, 2, 2, 1, 5, 0, 0, 0);
	settle();
	CU_ASSERT(at(2, 205, 0, 0));
	stop();
}

static void on_earth(void)
{
	struct pe_wire_query q = harness_sphere(60, 25, 0, 1000);
	struct pe_wire_result r;

	start_keeping(1);
	ASSERT_STATUS(send_in(EARTH, 1, 1, 0, 60, 25, 50, 90), PE_ACK_APPLIED);
	// Along the parent's x, which looks north; more than 90 metres are no latitude.
	ASSERT_STATUS(send_in(EARTH, 2, 1, 1, 200, 0, 3, 0), PE_ACK_APPLIED);
	settle();
	CU_ASSERT_EQUAL(harness_sees(&h, 0, EARTH, 2, &q, &r), 1);
	CU_ASSERT(fabs(r.position[1] - 25) < 1e-9);
	CU_ASSERT(fabs(r.position[0] - 60 - 200 / 111412.0) < 1e-5);
	CU_ASSERT(fabs(r.position[2] - 53) < 0.01);
	ASSERT_REFUSED(send_in(EARTH, 2, 2, 1, 200000, 0, 3, 0), out_of_bounds);
	stop();
}

static void none_are_kept(void)
{
	start();
	ASSERT_STATUS(
		harness_send(&h, PLANE, HARNESS_INCARNATION,
			&(struct pe_wire_update){
				.entity_id = {1}, .entity_type = PE_ENTITY_MOBILE, .sequence = 1}),
		PE_ACK_APPLIED);
	{
		struct pe_wire_update u = harness_update(2, 1, 1, 1, 1);

		detailed_begin(&d, &u);
		detailed_put(&d, PE_DETAILS_FRAME, (uint8_t[16]){1}, 16);
		ASSERT_REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes),
			details_full);
	}
	stop();
}

// What follows through a crossing keeps the times of its own state: its place waits for no cap, and
// the state ends when it said.
static void a_child_keeps_its_times(void)
{
	struct pe_wire_update u = harness_update(2, 1, 5, 0, 0);
	struct pe_wire_result r;

	start_keeping(1);
	SEND(1, 1, 0, 0, 0, 0, 0);
	u.ttl_ms = 1000000;
	u.attributes = PE_STATE_BUSY;
	u.duration_ms = 2000;
	u.frequency = 1;
	detailed_begin(&d, &u);
	put_parent(1);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes), PE_ACK_APPLIED);
	// The second one comes while the child still crosses for the first.
	SEND(1, 2, 0, 1000, 0, 0, 0);
	CU_ASSERT_EQUAL(send_in(PLANE, 1, 3, 0, 2000, 0, 0, 0).status, PE_ACK_ACCEPTED);
	settle();
	CU_ASSERT(at(1, 2000, 0, 0));
	CU_ASSERT(at(2, 2005, 0, 0));
	CU_ASSERT_EQUAL(sees(2, &r), 1);
	CU_ASSERT_EQUAL(r.state & 7, PE_STATE_BUSY);
	// Its own updates are capped as before.
	u.sequence = 2;
	u.position[0] = 6;
	detailed_begin(&d, &u);
	put_parent(1);
	harness_advance(&h, 1000);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes), PE_ACK_COALESCED);
	harness_advance(&h, 58900);
	CU_ASSERT(at(2, 2005, 0, 0));
	harness_advance(&h, 200);
	settle();
	CU_ASSERT(at(2, 2006, 0, 0));
	stop();
}

static void a_child_falls_back(void)
{
	struct pe_wire_update u = harness_update(2, 1, 5, 0, 0);
	struct pe_wire_result r;

	start_keeping(1);
	SEND(1, 1, 0, 0, 0, 0, 0);
	u.ttl_ms = 1000000;
	u.attributes = PE_STATE_BUSY;
	u.duration_ms = 2000;
	detailed_begin(&d, &u);
	put_parent(1);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes), PE_ACK_APPLIED);
	SEND(1, 2, 0, 1000, 0, 0, 0);
	CU_ASSERT_EQUAL(send_in(PLANE, 1, 3, 0, 2000, 0, 0, 0).status, PE_ACK_ACCEPTED);
	settle();
	harness_advance(&h, 1990);
	CU_ASSERT_EQUAL(sees(2, &r), 1);
	CU_ASSERT_EQUAL(r.state & 7, PE_STATE_BUSY);
	harness_advance(&h, 10);
	CU_ASSERT_EQUAL(sees(2, &r), 1);
	CU_ASSERT_EQUAL(r.state & 7, PE_STATE_INACTIVE);
	CU_ASSERT(at(2, 2005, 0, 0));
	stop();
}

// Where a threshold holds a child's newest state back, and its parent moves, that state goes along.
static void a_child_that_is_held_back(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u = harness_update(2, 1, 5, 0, 0);
	struct pe_wire_result r;

	config.details_bytes = 4 << 20;
	config.spaces[PLANE].coalesce_distance_m = 10;
	start_with(&config);
	SEND(1, 1, 0, 0, 0, 0, 0);
	u.ttl_ms = 1000000;
	detailed_begin(&d, &u);
	put_parent(1);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes), PE_ACK_APPLIED);
	harness_advance(&h, 500);
	u.sequence = 2;
	u.position[0] = 6;
	u.velocity[0] = 0x3C00; // 1
	detailed_begin(&d, &u);
	put_parent(1);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes), PE_ACK_COALESCED);
	SEND(1, 2, 0, 50, 0, 0, 0);
	settle();
	harness_advance(&h, 2000);
	CU_ASSERT(at(2, 56, 0, 0));
	CU_ASSERT_EQUAL(sees(2, &r), 1);
	CU_ASSERT_EQUAL(r.velocity[0], 0x3C00);
	CU_ASSERT_EQUAL(r.age_ms, 2003);
	stop();
}

TESTING_MAIN("engine: frames", {"placed and following", placed_and_following},
	{"out of the frame", out_of_the_frame}, {"refusals", refusals}, {"full", full},
	{"across workers", across_workers}, {"on Earth", on_earth},
	{"a child keeps its times", a_child_keeps_its_times},
	{"a child falls back", a_child_falls_back},
	{"a child that is held back", a_child_that_is_held_back}, {"none are kept", none_are_kept})
