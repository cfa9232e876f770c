// Standing queries where courses are followed: what is told although a course covers it, and for
// how long its sender may be silent.
#include "testing_standing.h"
#include "wire/half.h"

static void start(void)
{
	struct pe_engine_config c = harness_config();

	c.spaces[0].predict_distance_m = 50;
	c.fence_count_max = 16;
	c.member_count_max = 64;
	start_with(&c);
}

static void run(unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		harness_turn(&h);
		watching_take(&s);
		harness_control(&h);
	}
}

// A second later entity 1 is at x, y and goes along x with 10 m/s.
static struct pe_wire_ack_record put(uint32_t sequence, double x, double y)
{
	struct pe_wire_update u = harness_update(1, sequence, x, y, 10);
	struct pe_wire_ack_record ack;

	harness_advance(&h, 1000);
	watching_take(&s);
	u.ttl_ms = 1000000;
	u.update_frequency = 60;
	u.attributes |= PE_POWER_ADAPTIVE << 5;
	u.velocity[0] = pe_half_from_float(10);
	ack = harness_send(&h, 0, HARNESS_INCARNATION, &u);
	watching_take(&s);
	run(3);
	return ack;
}

static void open_sphere(double x, double radius_m, float margin_m)
{
	struct pe_wire_fence f = watching_sphere(5, x, 0, 0, radius_m);

	f.margin_m = margin_m;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(6);
	CU_ASSERT(s.done.code == 0 && s.whole);
}

#define ASSERT_SENT(ack, status_) CU_ASSERT_EQUAL((ack).status, PE_ACK_##status_)

// The threshold is what the subscription wants to be told of, while the entity is in its fence.
static void resolution(void)
{
	start();
	ASSERT_SENT(put(1, 0, 0), APPLIED);
	ASSERT_SENT(put(2, 10, 20), COALESCED);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_FILTER_UPDATES;
	s.subscribe.resolution_m = 15;
	open_sphere(0, 10000, 0);
	ASSERT_SENT(put(3, 20, 14), COALESCED);
	ASSERT_SENT(put(4, 30, 16), APPLIED);
	CU_ASSERT(s.count && s.events[s.count - 1].kind == PE_EVENT_MOVE &&
		s.events[s.count - 1].result.position[1] == 16);
	ASSERT_SENT(put(5, 40, 30), COALESCED); // 14 m beside its course
	watching_send(&s, PE_SUBSCRIBE_CLOSE, NULL, 0, NULL, 0);
	run(4);
	ASSERT_SENT(put(6, 50, 60), COALESCED);
	ASSERT_SENT(put(7, 60, 67), APPLIED);
	stop();
}

// Of two subscriptions the finer counts; one that is told of all moves asks for none in particular.
static void the_finest(void)
{
	struct watching t;
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 10000);

	start();
	ASSERT_SENT(put(1, 0, 0), APPLIED);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	open_sphere(0, 10000, 0);
	ASSERT_SENT(put(2, 10, 40), COALESCED);
	h.port++;
	watching_init(&t, &h, 0, 12);
	t.subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_FILTER_UPDATES;
	t.subscribe.resolution_m = 5;
	watching_send(&t, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(6);
	ASSERT_SENT(put(3, 20, 6), APPLIED);
	ASSERT_SENT(put(4, 30, 10), COALESCED);
	watching_free(&t);
	stop();
}

// However exactly its course is followed: it enters when it is over the edge, and leaves then.
static void edges(void)
{
	start();
	open_sphere(120, 30, 5);
	ASSERT_SENT(put(1, 70, 0), APPLIED);
	harness_settle(&h);
	ASSERT_SENT(put(2, 80, 0), COALESCED); // 40 m from the centre
	CU_ASSERT_EQUAL(s.member_count, 0);
	ASSERT_SENT(put(3, 92, 0), APPLIED); // 28 m: inside
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	ASSERT_SENT(put(4, 102, 0), COALESCED);
	ASSERT_SENT(put(5, 112, 0), COALESCED);
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	ASSERT_SENT(put(6, 122, 0), COALESCED);
	// A leaf ends at 128 m: what lies behind it is another matter.
	(void)put(7, 132, 0);
	harness_settle(&h);
	watching_take(&s);
	ASSERT_SENT(put(8, 142, 0), COALESCED);
	ASSERT_SENT(put(9, 152, 0), APPLIED); // in the margin
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	ASSERT_SENT(put(10, 162, 0), APPLIED);
	CU_ASSERT_FALSE(watching_is_member(&s, 5, 1));
	ASSERT_SENT(put(11, 172, 0), COALESCED);
	stop();
}

// Who need not be known as exactly may be silent for longer.
static void silence(void)
{
	uint32_t watched_ms, alone_ms;

	start();
	ASSERT_SENT(put(1, 0, 0), APPLIED);
	alone_ms = put(2, 10, 4).silence_ms;
	s.subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_FILTER_UPDATES;
	s.subscribe.resolution_m = 10;
	open_sphere(0, 10000, 0);
	watched_ms = put(3, 20, 8).silence_ms;
	CU_ASSERT(watched_ms >= 1 && alone_ms > 5 * watched_ms);
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"resolution", resolution},
		{"the finest", the_finest},
		{"edges", edges},
		{"silence", silence},
	};

	return testing_main(
		"engine: standing queries and courses", cases, sizeof cases / sizeof cases[0]);
}
