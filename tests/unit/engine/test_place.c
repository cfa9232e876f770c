// Where entities are: cells and crossings, STATIC entities, spaces, TEMPORARY ones.
#include "testing_engine.h"

static struct pe_wire_ack_record put(uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(1, sequence, x, 10, 10);

	return send(&u);
}

static void moves_inside_a_cell(void)
{
	start();
	for (unsigned i = 0; i < 50; i++) {
		ASSERT_STATUS(put(1 + i, 0.5 + i), PE_ACK_APPLIED);
		ASSERT_AT(1, 0.5 + i);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, crossings), 0);
	stop();
}

static void crossing_is_visible_at_once(void)
{
	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 100), PE_ACK_APPLIED);
	ASSERT_AT(1, 100);
	harness_settle(&h);
	ASSERT_AT(1, 100);
	ASSERT_STATUS(put(3, -100), PE_ACK_APPLIED);
	ASSERT_AT(1, -100);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, crossings), 2);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, crossings_pending), 0);
	stop();
}

static void second_crossing_waits(void)
{
	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 100), PE_ACK_APPLIED);
	ASSERT_STATUS(put(3, 200), PE_ACK_ACCEPTED);
	ASSERT_AT(1, 100);
	CU_ASSERT_EQUAL(pe_worker_in_flight(pe_engine_worker(h.engine, 0)), 1);
	// A newer one takes its place.
	ASSERT_STATUS(put(4, 300), PE_ACK_ACCEPTED);
	ASSERT_AT(1, 100);
	CU_ASSERT_EQUAL(pe_worker_in_flight(pe_engine_worker(h.engine, 0)), 1);
	harness_settle(&h);
	ASSERT_AT(1, 300);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 3);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_coalesced), 1);
	// Known all the while: its pair orders.
	ASSERT_STATUS(put(5, 400), PE_ACK_APPLIED);
	ASSERT_STATUS(put(6, 500), PE_ACK_ACCEPTED);
	ASSERT_REFUSED(put(6, 600), stale);
	// One in the published cell cancels what waits.
	ASSERT_STATUS(put(7, 401), PE_ACK_APPLIED);
	ASSERT_AT(1, 401);
	harness_settle(&h);
	ASSERT_AT(1, 401);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, crossings), 3);
	stop();
}

static void back_to_where_it_came_from(void)
{
	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 100), PE_ACK_APPLIED);
	ASSERT_STATUS(put(3, 11), PE_ACK_ACCEPTED); // its old slot is still there
	ASSERT_AT(1, 100);
	harness_settle(&h);
	ASSERT_AT(1, 11);
	stop();
}

static void withdrawn_beside_a_crossing(void)
{
	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 100), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(1, 3), PE_ACK_APPLIED);
	ASSERT_GONE(1);
	ASSERT_STATUS(put(4, 200), PE_ACK_APPLIED);
	ASSERT_AT(1, 200);
	ASSERT_STATUS(put(5, 300), PE_ACK_ACCEPTED);
	ASSERT_STATUS(withdraw(1, 6), PE_ACK_APPLIED);
	ASSERT_GONE(1);
	harness_settle(&h);
	ASSERT_GONE(1);
	ASSERT_STATUS(put(7, 400), PE_ACK_APPLIED);
	ASSERT_AT(1, 400);
	harness_settle(&h);
	ASSERT_AT(1, 400);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, withdrawn), 2);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 1);
	stop();
}

static void expired_beside_a_pending_crossing(void)
{
	struct pe_wire_update u = harness_update(1, 3, 200, 10, 10);

	start();
	ASSERT_STATUS(put(1, 10), PE_ACK_APPLIED);
	ASSERT_STATUS(put(2, 100), PE_ACK_APPLIED);
	u.ttl_ms = 50;
	ASSERT_STATUS(send(&u), PE_ACK_ACCEPTED);
	harness_advance(&h, 49);
	ASSERT_AT(1, 100);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	harness_settle(&h);
	ASSERT_GONE(1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 1);
	stop();
}

static void a_static_entity_stays(void)
{
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);

	start();
	u.entity_type = PE_ENTITY_STATIC;
	u.precision_m = 5;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[0] = 14.9;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 3;
	u.position[0] = 20;
	ASSERT_REFUSED(send(&u), relocation);
	ASSERT_AT(1, 14.9);
	u.attributes |= PE_ATTRIBUTE_RELOCATION;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ASSERT_AT(1, 20);
	u.sequence = 4;
	u.attributes = PE_STATE_ACTIVE;
	u.position[2] = 16;
	ASSERT_REFUSED(send(&u), relocation);
	// It may stop being static, and move then.
	u.entity_type = PE_ENTITY_MOBILE;
	u.position[0] = 500;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ASSERT_AT(1, 500);
	// Without a precision of its own: a metre.
	u = harness_update(2, 1, 0, 0, 0);
	u.entity_type = PE_ENTITY_STATIC;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[0] = 0.9;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 3;
	u.position[0] = 2;
	ASSERT_REFUSED(send(&u), relocation);
	stop();
}

// A type that arrives with a state that waits counts as well.
static void becomes_static_while_held_back(void)
{
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);

	start();
	u.frequency = 60;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.entity_type = PE_ENTITY_STATIC;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	u.sequence = 3;
	u.position[0] = 20;
	ASSERT_REFUSED(send(&u), relocation);
	stop();
}

// Where it is known to be is the newest accepted place, held back or not.
static void relocated_while_held_back(double threshold_m, uint16_t frequency, double to)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);

	config.spaces[PLANE].coalesce_distance_m = (float)threshold_m;
	start_with(&config);
	u.entity_type = PE_ENTITY_STATIC;
	u.frequency = frequency;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[0] = to;
	u.attributes |= PE_ATTRIBUTE_RELOCATION;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	// It says so again, and is not back where it came from.
	u.sequence = 3;
	u.attributes = PE_STATE_ACTIVE;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	u.sequence = 4;
	u.position[0] = 10;
	ASSERT_REFUSED(send(&u), relocation);
	harness_advance(&h, 60000);
	stop();
}

static void a_static_entity_is_relocated_while_held_back(void)
{
	relocated_while_held_back(0, 60, 14);
	relocated_while_held_back(0, 60, 5000);
	relocated_while_held_back(20, 0, 14);
}

static void a_static_entity_on_a_border_of_frames(void)
{
	struct pe_wire_update u = harness_update(1, 1, 0, 45, 0);

	start();
	u.entity_type = PE_ENTITY_STATIC;
	u.precision_m = 5;
	for (unsigned i = 0; i < 8; i++) {
		u.sequence = 1 + i;
		u.position[1] = 45 + (i & 1 ? 0.00001 : -0.00001); // 2 m
		CU_ASSERT(
			harness_send(&h, EARTH, HARNESS_INCARNATION, &u).reason == PE_REASON_none);
		harness_settle(&h);
	}
	u.sequence = 20;
	u.position[1] = 45.0001;
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), relocation);
	stop();
}

static void spaces(void)
{
	struct pe_wire_update u = harness_update(1, 1, 10, 20, 0);
	struct pe_wire_query q = harness_sphere(10, 20, 0, 10);
	struct pe_wire_header header;
	struct pe_wire_update_preamble preamble;
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	static struct harness_answer a;
	enum pe_reason refused;

	start();
	// Nil names the first.
	header = harness_header(&h, PLANE, PE_FLAG_ACK);
	preamble = harness_preamble(header.sequence, HARNESS_INCARNATION);
	memset(header.space_id, 0, 16);
	harness_queue(
		&h, buffer, pe_wire_put_update(buffer, sizeof buffer, &header, &preamble, &u, 1));
	h.sent_records++;
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 1, &q, NULL), 1);
	CU_ASSERT_EQUAL(harness_sees(&h, 0, EARTH, 1, &q, NULL), 0);
	// An entity lives in one space until it is gone.
	u.sequence = 2;
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), space_differs);
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION + 1, &u), space_differs);
	ASSERT_REFUSED(harness_withdraw(&h, EARTH, HARNESS_INCARNATION, 1, 2), space_differs);
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 1, &q, NULL), 1);
	ASSERT_STATUS(withdraw(1, 3), PE_ACK_APPLIED);
	u.sequence = 4;
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 1, &q, NULL), 0);
	CU_ASSERT_EQUAL(harness_sees(&h, 0, EARTH, 1, &q, NULL), 1);
	// One that is not held here.
	header = harness_header(&h, PLANE, PE_FLAG_ACK);
	header.space_id[3] ^= 1;
	preamble = harness_preamble(header.sequence, HARNESS_INCARNATION);
	u.sequence = 5;
	harness_queue(
		&h, buffer, pe_wire_put_update(buffer, sizeof buffer, &header, &preamble, &u, 1));
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, header.sequence, records, &refused), 0);
	CU_ASSERT_EQUAL(refused, PE_REASON_space_unknown);
	header = harness_header(&h, PLANE, 0);
	header.space_id[15] ^= 0x80;
	harness_queue(&h, buffer, pe_wire_put_query(buffer, sizeof buffer, &header, &q, 1));
	harness_turn(&h);
	harness_answer(&h, header.sequence, 1, &a);
	CU_ASSERT_EQUAL(a.reason, PE_REASON_space_unknown);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, space_unknown), 2);
	stop();
}

static void bounds_of_a_space(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u = harness_update(1, 1, 1000, -1000, 1000);

	config.spaces[PLANE].space.extent_m = 1000;
	start_with(&config);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 2;
	u.position[0] = 1000.1;
	ASSERT_REFUSED(send(&u), out_of_bounds);
	u.position[0] = 1e300;
	ASSERT_REFUSED(send(&u), out_of_bounds);
	u = harness_update(2, 1, 90.0000001, 0, 0);
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), coordinates);
	stop();
}

static void a_temporary_entity(void)
{
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);
	struct pe_wire_result r;

	start();
	u.entity_type = PE_ENTITY_TEMPORARY;
	ASSERT_REFUSED(send(&u), ttl_missing);
	u.ttl_ms = 10;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 10);
	ASSERT_GONE(1);
	// With a duration of its state alone it stands for the space's ttl.
	u.sequence = 2;
	u.ttl_ms = 0;
	u.duration_ms = 100;
	u.attributes = PE_STATE_BUSY;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.state, PE_STATE_INACTIVE);
	stop();
}

TESTING_MAIN("engine: places", {"moves inside a cell", moves_inside_a_cell},
	{"a crossing is visible at once", crossing_is_visible_at_once},
	{"a second crossing waits", second_crossing_waits},
	{"back to where it came from", back_to_where_it_came_from},
	{"withdrawn beside a crossing", withdrawn_beside_a_crossing},
	{"expired beside a pending crossing", expired_beside_a_pending_crossing},
	{"a static entity stays", a_static_entity_stays},
	{"becomes static while held back", becomes_static_while_held_back},
	{"relocated while held back", a_static_entity_is_relocated_while_held_back},
	{"static on a border of frames", a_static_entity_on_a_border_of_frames}, {"spaces", spaces},
	{"bounds of a space", bounds_of_a_space}, {"a temporary entity", a_temporary_entity})
