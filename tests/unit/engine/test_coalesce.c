// What covers an update: the frequency cap, the three thresholds, a newer record of the same burst;
// and the trailing edge: when updates stop, the state equals the newest accepted one within one
// threshold's time.
#include "internal.h"
#include "testing_engine.h"

static struct pe_wire_update at(uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(1, sequence, x, 10, 10);

	u.ttl_ms = 1000000;
	return u;
}

static struct pe_wire_ack_record put(uint32_t sequence, double x)
{
	struct pe_wire_update u = at(sequence, x);

	return send(&u);
}

static void cap_is_kept_and_nothing_lost(void)
{
	struct pe_wire_update u;
	unsigned changes = 0;
	double seen = 0;

	start();
	// 600 a minute: one in 100 ms; one comes every 7 ms for 3 s.
	for (unsigned i = 0; i < 430; i++) {
		struct pe_wire_result r;

		u = at(1 + i, 1 + i % 50);
		u.frequency = 600;
		(void)send(&u);
		CU_ASSERT_EQUAL(sees(1, &r), 1);
		changes += r.position[0] != seen;
		seen = r.position[0];
		harness_advance(&h, 7);
	}
	CU_ASSERT(changes >= 28 && changes <= 31);
	CU_ASSERT_EQUAL(
		HARNESS_COUNTER(&h, records_applied) + HARNESS_COUNTER(&h, records_coalesced), 430);
	CU_ASSERT(HARNESS_COUNTER(&h, records_coalesced) >= 390);
	// The newest shows as soon as the cap allows, and nothing more happens afterwards.
	harness_advance(&h, 100);
	ASSERT_AT(1, u.position[0]);
	stop();
}

static void cap_to_the_tick(void)
{
	struct pe_wire_update u = at(1, 1);

	start();
	u.frequency = 600;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 50);
	u = at(2, 2);
	u.frequency = 600;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 49);
	ASSERT_AT(1, 1);
	harness_advance(&h, 1);
	ASSERT_AT(1, 2);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 1);
	// A cap began with what was published then.
	harness_advance(&h, 99);
	u = at(3, 3);
	u.frequency = 600;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1);
	ASSERT_AT(1, 3);
	// Into another cell just as well.
	harness_advance(&h, 1);
	u = at(4, 5000);
	u.frequency = 600;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 98);
	ASSERT_AT(1, 3);
	harness_advance(&h, 1);
	ASSERT_AT(1, 5000);
	stop();
}

static void cap_of_the_space(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].frequency_default = 60;
	start_with(&config);
	ASSERT_STATUS(put(1, 1), PE_ACK_APPLIED);
	harness_advance(&h, 999);
	ASSERT_STATUS(put(2, 2), PE_ACK_COALESCED);
	harness_advance(&h, 1);
	ASSERT_AT(1, 2);
	harness_advance(&h, 1000);
	ASSERT_STATUS(put(3, 3), PE_ACK_APPLIED);
	stop();
}

static unsigned state_seen(void)
{
	struct pe_wire_result r;

	CU_ASSERT_EQUAL(sees(1, &r), 1);
	return r.state & 7;
}

// A state holds for as long as the newest accepted update says, held back or not.
static void a_duration_that_goes_on(void)
{
	struct pe_wire_update u = at(1, 1);

	start();
	u.frequency = 1;
	u.attributes = PE_STATE_BUSY;
	u.duration_ms = 5000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	for (unsigned i = 0; i < 4; i++) {
		harness_advance(&h, 4000);
		CU_ASSERT_EQUAL(state_seen(), PE_STATE_BUSY);
		u.sequence++;
		ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	}
	harness_advance(&h, 4999);
	CU_ASSERT_EQUAL(state_seen(), PE_STATE_BUSY);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_seen(), PE_STATE_INACTIVE);
	// Another state than what is seen is held back whole; one until changed ends what runs.
	u.sequence++;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	CU_ASSERT_EQUAL(state_seen(), PE_STATE_INACTIVE);
	harness_advance(&h, 39000);
	CU_ASSERT_EQUAL(state_seen(), PE_STATE_INACTIVE);
	u.sequence++;
	u.duration_ms = 90000;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 60000);
	CU_ASSERT_EQUAL(state_seen(), PE_STATE_BUSY);
	u.sequence++;
	u.duration_ms = 0;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 100000);
	CU_ASSERT_EQUAL(state_seen(), PE_STATE_BUSY);
	stop();
}

// A crossing that had to wait for a grace period does not also wait for the cap that it begins.
static void cap_and_pending_crossing(void)
{
	struct pe_wire_update u;

	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 100), PE_ACK_APPLIED);
	u = at(3, 200);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_ACCEPTED);
	ASSERT_AT(1, 100);
	harness_settle(&h);
	ASSERT_AT(1, 200);
	harness_advance(&h, 1);
	u = at(4, 300);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 59998);
	ASSERT_AT(1, 200);
	harness_advance(&h, 1);
	ASSERT_AT(1, 300);
	stop();
}

// A cap is the newest accepted update's: one that names none ends it, a shorter one cuts it, a
// longer one begins with what is published next.
static void cap_ends_with_an_update_that_names_none(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u;

	// Behind a crossing: nothing that was accepted waits for a cap that it did not name.
	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	u = at(2, 100);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ASSERT_STATUS(put(3, 200), PE_ACK_ACCEPTED);
	harness_settle(&h);
	ASSERT_AT(1, 200);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 3);
	// And what is published then begins no cap.
	harness_settle(&h);
	u = at(4, 300);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	// In the same cell: published at once, and the old cap is over for those behind it too.
	ASSERT_STATUS(put(5, 301), PE_ACK_APPLIED);
	u = at(6, 302);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ASSERT_AT(1, 302);
	stop();

	// Held back by a threshold: for that threshold's time.
	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	u = at(1, 10);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 11), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	ASSERT_AT(1, 11);
	stop();
}

static void cap_is_cut_by_a_shorter_one(void)
{
	struct pe_wire_update u = at(1, 10);

	start();
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u = at(2, 20);
	u.frequency = 600;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 99);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_AT(1, 20);
	// A longer one does not lengthen what runs.
	harness_advance(&h, 50);
	u = at(3, 30);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 50);
	ASSERT_AT(1, 30);
	// But begins with it.
	u = at(4, 40);
	u.frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 59999);
	ASSERT_AT(1, 30);
	harness_advance(&h, 1);
	ASSERT_AT(1, 40);
	stop();
}

static void liveness_is_refreshed_by_what_is_covered(void)
{
	struct pe_wire_update u = at(1, 1);

	start();
	u.frequency = 1;
	u.ttl_ms = 1000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 999);
	u.sequence = 2;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 999);
	ASSERT_AT(1, 1);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	// And what waited went with it.
	harness_advance(&h, 100000);
	ASSERT_GONE(1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 0);
	stop();
}

static void spatial_threshold(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 14.99), PE_ACK_COALESCED);
	ASSERT_AT(1, 10);
	// Measured from what is published, so that small steps add up.
	ASSERT_STATUS(put(3, 15.01), PE_ACK_APPLIED);
	ASSERT_AT(1, 15.01);
	ASSERT_STATUS(put(4, 19), PE_ACK_COALESCED);
	// The trailing edge: within a second.
	harness_advance(&h, 999);
	ASSERT_AT(1, 15.01);
	harness_advance(&h, 1);
	ASSERT_AT(1, 19);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 1);
	// Updates that go on do not put it off.
	for (unsigned i = 0; i < 20; i++) {
		ASSERT_STATUS(put(5 + i, 20 + 0.01 * i), PE_ACK_COALESCED);
		harness_advance(&h, 100);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 3);
	// A larger move drops what waited.
	ASSERT_STATUS(put(30, 21), PE_ACK_COALESCED);
	ASSERT_STATUS(put(31, 40), PE_ACK_APPLIED);
	harness_advance(&h, 2000);
	ASSERT_AT(1, 40);
	// Across the border of a cell too (64 m), and there it arrives.
	ASSERT_STATUS(put(32, 60), PE_ACK_APPLIED);
	ASSERT_STATUS(put(33, 64.5), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	ASSERT_AT(1, 64.5);
	stop();
}

// What is held back and published again and again takes room once: all that is covered is held
// back, however often that is, and the trailing edge is that of the newest.
static void held_again_and_again(void)
{
	struct pe_engine_config config = harness_config();
	uint32_t sequence = 0;

	config.spaces[PLANE].coalesce_distance_m = 5;
	config.entity_count_max = 16;
	config.pending_count_max = 1;
	start_with(&config);
	ASSERT_STATUS(put(++sequence, 10), PE_ACK_APPLIED);
	for (unsigned i = 0; i < 400; i++) {
		ASSERT_STATUS(put(++sequence, i & 1 ? 10 : 30), PE_ACK_APPLIED);
		ASSERT_STATUS(put(++sequence, i & 1 ? 11 : 31), PE_ACK_COALESCED);
		harness_advance(&h, 1);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 0);
	harness_advance(&h, 500);
	ASSERT_STATUS(put(++sequence, 20), PE_ACK_APPLIED);
	ASSERT_STATUS(put(++sequence, 21), PE_ACK_COALESCED);
	// Its entry is looked at sooner, and put back.
	harness_advance(&h, 999);
	ASSERT_AT(1, 20);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 0);
	harness_advance(&h, 1);
	ASSERT_AT(1, 21);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 1);
	// And the next begins anew.
	ASSERT_STATUS(put(++sequence, 22), PE_ACK_COALESCED);
	harness_advance(&h, 999);
	ASSERT_AT(1, 21);
	harness_advance(&h, 1);
	ASSERT_AT(1, 22);
	stop();
}

// One that is over while its entry is in the queue leaves it to nobody: who has its place then is
// held back for as long as anybody.
static void held_and_over(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 11), PE_ACK_COALESCED);
	harness_advance(&h, 300);
	ASSERT_STATUS(withdraw(1, 3), PE_ACK_APPLIED);
	harness_settle(&h);
	ASSERT_STATUS(put(4, 50), PE_ACK_APPLIED);
	ASSERT_STATUS(put(5, 51), PE_ACK_COALESCED);
	harness_advance(&h, 999);
	ASSERT_AT(1, 50);
	harness_advance(&h, 1);
	ASSERT_AT(1, 51);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 1);
	stop();
}

// Where the queue is full, what would be held back is published: nothing is lost.
static void held_without_room(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	h.engine->workers[0]->held.count_max = 0;
	ASSERT_STATUS(put(2, 11), PE_ACK_APPLIED);
	ASSERT_AT(1, 11);
	h.engine->workers[0]->held.count_max = 1;
	ASSERT_STATUS(put(3, 12), PE_ACK_COALESCED);
	ASSERT_AT(1, 11);
	harness_advance(&h, 1000);
	ASSERT_AT(1, 12);
	CU_ASSERT_EQUAL(
		HARNESS_COUNTER(&h, records_applied) + HARNESS_COUNTER(&h, records_coalesced), 3);
	stop();
}

// A state that is held back in its record is carried on by what covers it in turn, whatever that
// asks for, and is not put off.
static void held_and_covered_again(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u;

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 11), PE_ACK_COALESCED);
	harness_advance(&h, 600);
	u = at(3, 12);
	u.duration_ms = 5000;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 399);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_AT(1, 12);
	// Withdrawn and back, it begins anew.
	ASSERT_STATUS(put(4, 13), PE_ACK_COALESCED);
	CU_ASSERT_EQUAL(
		harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 1, 5).status, PE_ACK_APPLIED);
	harness_settle(&h);
	ASSERT_STATUS(put(6, 50), PE_ACK_APPLIED);
	harness_advance(&h, 1000);
	ASSERT_AT(1, 50);
	stop();
}

// An entity's power mode widens its space's thresholds: for it alone.
// Of several records of one entity in a burst each is judged against what the one before has
// published, whatever stands between them: a refused one, or one of an entity whose handle looks
// alike (its low bits).
static void judged_against_what_is_shown(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u[3] = {at(2, 40), at(3, 1e15), at(4, 12)};
	const unsigned alike = PE_NEWEST / PE_PAGE_HANDLES * PE_PAGE_RECORDS + 1;

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	for (unsigned n = 1; n <= alike; n++) {
		struct pe_wire_update first =
			harness_update(n, 1, n == 1 ? 10 : 1000 + 10 * n, 0, 0);

		ASSERT_STATUS(send(&first), PE_ACK_APPLIED);
	}
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 3, false);
	harness_turn(&h);
	ASSERT_AT(1, 12);
	u[0] = at(5, 40);
	u[1] = harness_update(alike, 2, 2000, 0, 0);
	u[2] = at(6, 14);
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 3, false);
	harness_turn(&h);
	ASSERT_AT(1, 14);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, trailing), 0);
	stop();
}

// A state that is held back is published with its own time, though a record that came later was
// taken and the one that covered that record refused.
static void held_with_its_own_time(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u[2];
	struct pe_wire_ack_record records[2];
	struct pe_wire_result result;
	enum pe_reason refused;
	uint64_t packet;

	config.spaces[PLANE].coalesce_distance_m = 5;
	config.pending_count_max = 1;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	for (unsigned n = 2; n <= 3; n++) {
		u[0] = harness_update(n, 1, 10, 0, 0);
		ASSERT_STATUS(send(&u[0]), PE_ACK_APPLIED);
	}
	// Crossings take what may wait, so that nothing crosses behind them.
	for (unsigned n = 2; n <= 3; n++) {
		u[0] = harness_update(n, 2, 100, 0, 0);
		(void)send(&u[0]);
	}
	ASSERT_STATUS(put(2, 12), PE_ACK_COALESCED);
	for (unsigned round = 0; round < 2; round++) {
		harness_advance(&h, 400);
		u[0] = at(3 + 2 * round, 200);
		u[1] = at(4 + 2 * round, 201);
		packet = harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 2, true);
		harness_turn(&h);
		CU_ASSERT_EQUAL_FATAL(harness_acks(&h, packet, records, &refused), 2);
		ASSERT_STATUS(records[0], PE_ACK_COALESCED);
		ASSERT_REFUSED(records[1], grid_full);
	}
	harness_advance(&h, 200);
	CU_ASSERT_EQUAL_FATAL(sees(1, &result), 1);
	CU_ASSERT_EQUAL(result.position[0], 12);
	CU_ASSERT_EQUAL(result.age_ms, 1000);
	stop();
}

static void power_mode(void)
{
	static const struct {
		unsigned mode;
		double far_m,
			further_m; // from what is published: just below and just above the widened
		                   // threshold
	} cases[] = {{0, 9, 11}, {1, 19, 21}, {2, 79, 81}, {3, 9, 11}};
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].coalesce_distance_m = 10;
	start_with(&config);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct pe_wire_update u = harness_update(100 + i, 1, 0, 1000.0 * i, 0);

		u.attributes = (uint16_t)(cases[i].mode << 5);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u.sequence = 2;
		u.position[0] = cases[i].far_m;
		ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
		u.sequence = 3;
		u.position[0] = cases[i].further_m;
		CU_ASSERT_NOT_EQUAL(send(&u).status, PE_ACK_COALESCED);
	}
	stop();
}

static void temporal_threshold(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].coalesce_interval_ms = 250;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	harness_advance(&h, 1);
	ASSERT_STATUS(put(2, 500), PE_ACK_COALESCED);
	harness_advance(&h, 248);
	ASSERT_AT(1, 10);
	harness_advance(&h, 1);
	ASSERT_AT(1, 500);
	harness_advance(&h, 250);
	harness_settle(&h);
	ASSERT_STATUS(put(3, 600), PE_ACK_APPLIED);
	ASSERT_AT(1, 600);
	stop();
}

// Below all of them is covered, above any of them is not.
static void thresholds_together(void)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].coalesce_interval_ms = 250;
	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	harness_advance(&h, 10);
	ASSERT_STATUS(put(2, 16), PE_ACK_APPLIED);
	harness_advance(&h, 10);
	ASSERT_STATUS(put(3, 17), PE_ACK_COALESCED);
	harness_advance(&h, 239);
	ASSERT_AT(1, 16);
	harness_advance(&h, 1);
	ASSERT_AT(1, 17);
	harness_advance(&h, 251);
	ASSERT_STATUS(put(4, 17.5), PE_ACK_APPLIED);
	stop();
}

static void attribute_threshold(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u = at(1, 10);
	struct pe_wire_result r;

	config.spaces[PLANE].coalesce_distance_m = 5;
	config.spaces[PLANE].coalesce_attribute = 0.1f;
	start_with(&config);
	u.status_confidence = 200;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.status_confidence = 220;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	u.sequence = 3;
	u.status_confidence = 240; // 40 of 254 from what is published
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 4;
	u.status_confidence = 0; // not stated is not a small change
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 5;
	u.attributes = PE_STATE_BUSY; // nor is another state
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 6;
	u.radius_m = 300;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 7;
	u.velocity[0] = 0x4000;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.velocity[0], 0x4000);
	stop();

	// Alone it holds nothing back.
	config = harness_config();
	config.spaces[PLANE].coalesce_attribute = 0.1f;
	start_with(&config);
	u = at(1, 10);
	u.status_confidence = 200;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u = at(2, 10.01);
	u.status_confidence = 201;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	stop();
}

static void ten_in_a_burst(void)
{
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	enum pe_reason refused;
	uint64_t packet;

	start();
	ASSERT_STATUS(put(1, 1), PE_ACK_APPLIED);
	for (unsigned i = 0; i < 10; i++)
		u[i] = at(10 + i, 2 + i);
	packet = harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 10, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 10);
	for (unsigned i = 0; i < 9; i++)
		ASSERT_STATUS(records[i], PE_ACK_COALESCED);
	ASSERT_STATUS(records[9], PE_ACK_APPLIED);
	ASSERT_AT(1, 11);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_coalesced), 9);

	// Over packets of one burst, and out of order: the newest stands, the older ones are stale.
	u[0] = at(30, 30);
	u[1] = at(29, 29);
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u[0], 1, true);
	packet = harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u[1], 1, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 1);
	ASSERT_REFUSED(records[0], stale);
	ASSERT_AT(1, 30);

	// What would be refused covers nothing.
	u[0] = at(40, 40);
	u[1] = at(41, 41);
	u[1].time_offset_ms = -1000000; // late
	packet = harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 2, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 2);
	ASSERT_STATUS(records[0], PE_ACK_APPLIED);
	ASSERT_REFUSED(records[1], late);
	ASSERT_AT(1, 40);
	u[0] = at(50, 50);
	u[1] = at(51, 51);
	u[1].radius_m = -1;
	packet = harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 2, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 2);
	ASSERT_STATUS(records[0], PE_ACK_APPLIED);
	ASSERT_REFUSED(records[1], radius);
	ASSERT_AT(1, 50);
	stop();
}

// A burst of many entities, each several times, some new: each ends at its newest, and everything
// is counted once.
static void a_full_burst(void)
{
	uint32_t newest[40] = {0};

	start();
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned m = 0; m < PE_BURST_MAX; m++) {
			struct pe_wire_update u[PE_UPDATE_COUNT_MAX];

			for (unsigned i = 0; i < PE_UPDATE_COUNT_MAX; i++) {
				unsigned n = (m * 7 + i * 3 + round) % 40;

				newest[n]++;
				u[i] = harness_update(
					1 + n, newest[n], 0.25 * newest[n], 200.0 * n, 0);
			}
			(void)harness_queue_updates(
				&h, PLANE, HARNESS_INCARNATION, u, PE_UPDATE_COUNT_MAX, m & 1);
		}
		harness_turn(&h);
		for (unsigned n = 0; n < 40; n++)
			if (newest[n])
				ASSERT_AT(1 + n, 0.25 * newest[n]);
	}
	CU_ASSERT_EQUAL(
		HARNESS_COUNTER(&h, records_applied) + HARNESS_COUNTER(&h, records_coalesced),
		5 * PE_BURST_MAX * PE_UPDATE_COUNT_MAX);
	CU_ASSERT(HARNESS_COUNTER(&h, records_coalesced) > 100);
	stop();
}

// Bursts in which some are covered and some are not, as chance has it: what is shown of each is
// what was shown, or the newest that was too far from that, or what was held back for the time of
// the threshold.
static void some_are_covered(void)
{
	struct pe_engine_config config = harness_config();
	struct {
		double shown, held;
		unsigned due; // 0: nothing is held back
	} model[48] = {0};
	unsigned covered = 0, trailing = 0;
	uint64_t random = 20261127;

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	for (unsigned round = 0, now = 0; round < 200; round++) {
		struct pe_wire_update u[48];

		for (unsigned n = 0; n < 48; n++) {
			bool near = testing_random(&random) % 4 != 0;
			double x = round ? model[n].shown +
					(near ? 4.875 : 6) * (model[n].shown > 20 ? -1 : 1) :
					   10;

			u[n] = harness_update(1 + n, 1 + round, x, 200.0 * n, 0);
			u[n].ttl_ms = 1000000;
			if (!round || !near) {
				model[n].shown = x;
				model[n].due = 0;
				continue;
			}
			covered++;
			model[n].held = x;
			if (!model[n].due)
				model[n].due = now + 1000;
		}
		for (unsigned n = 0; n < 48; n += PE_UPDATE_COUNT_MAX)
			(void)harness_queue_updates(
				&h, PLANE, HARNESS_INCARNATION, &u[n], PE_UPDATE_COUNT_MAX, false);
		harness_turn(&h);
		CU_ASSERT_EQUAL_FATAL(HARNESS_COUNTER(&h, records_coalesced), covered);
		for (unsigned end = now + 37 * (round % 12); now < end; now++)
			harness_advance(&h, 1);
		for (unsigned n = 0; n < 48; n++) {
			if (model[n].due && model[n].due <= now) {
				model[n].shown = model[n].held;
				model[n].due = 0;
				trailing++;
			}
			ASSERT_AT(1 + n, model[n].shown);
		}
		CU_ASSERT_EQUAL_FATAL(HARNESS_COUNTER(&h, trailing), trailing);
	}
	CU_ASSERT(trailing > 100 && covered > 6000);
	stop();
}

TESTING_MAIN("engine: coalescing", {"cap kept, nothing lost", cap_is_kept_and_nothing_lost},
	{"cap to the tick", cap_to_the_tick}, {"a duration that goes on", a_duration_that_goes_on},
	{"cap of the space", cap_of_the_space},
	{"cap and pending crossing", cap_and_pending_crossing},
	{"a cap ends with an update that names none", cap_ends_with_an_update_that_names_none},
	{"a cap is cut by a shorter one", cap_is_cut_by_a_shorter_one},
	{"liveness", liveness_is_refreshed_by_what_is_covered},
	{"spatial threshold", spatial_threshold}, {"held again and again", held_again_and_again},
	{"held and over", held_and_over}, {"held without room", held_without_room},
	{"held and covered again", held_and_covered_again},
	{"judged against what is shown", judged_against_what_is_shown},
	{"held with its own time", held_with_its_own_time}, {"power mode", power_mode},
	{"temporal threshold", temporal_threshold}, {"thresholds together", thresholds_together},
	{"attribute threshold", attribute_threshold}, {"ten in a burst", ten_in_a_burst},
	{"a full burst", a_full_burst}, {"some are covered", some_are_covered})
