// Which record is newer: (incarnation, sequence), event times, tombstones, and what the
// acknowledgement says of it.
#include "closing.h"
#include "internal.h"
#include "testing_engine.h"

static struct pe_wire_ack_record put(
	uint32_t incarnation, uint32_t sequence, int32_t offset_ms, double x)
{
	struct pe_wire_update u = harness_update(1, sequence, x, 10, 10);

	u.time_offset_ms = offset_ms;
	u.ttl_ms = 100000;
	return harness_send(&h, PLANE, incarnation, &u);
}

#define ASSERT_KNOWN(ack, expected, incarnation, sequence) \
	do { \
		struct pe_wire_ack_record known_ = (ack); \
		ASSERT_REFUSED(known_, expected); \
		CU_ASSERT_EQUAL(known_.known_incarnation, incarnation); \
		CU_ASSERT_EQUAL(known_.known_sequence, sequence); \
	} while (0)

static const uint32_t I = HARNESS_INCARNATION;

static void stale_tells_what_is_known(void)
{
	start();
	ASSERT_STATUS(put(I, 5, 0, 1), PE_ACK_APPLIED);
	ASSERT_KNOWN(put(I, 5, 0, 2), stale, I, 5);
	ASSERT_KNOWN(put(I, 4, 0, 2), stale, I, 5);
	ASSERT_KNOWN(put(I - 1, 1000, 0, 2), stale, I, 5);
	ASSERT_AT(1, 1);
	ASSERT_STATUS(put(I, 6, 0, 2), PE_ACK_APPLIED);
	ASSERT_AT(1, 2);
	ASSERT_STATUS(put(I, 0xFFFFFFFFu, 0, 3), PE_ACK_APPLIED);
	ASSERT_KNOWN(put(I, 0, 0, 4), stale, I, 0xFFFFFFFFu);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, stale), 4);
	stop();
}

static void late_by_event_time(void)
{
	start();
	ASSERT_STATUS(put(I, 1, -1000, 1), PE_ACK_APPLIED);
	ASSERT_KNOWN(put(I, 2, -1001, 2), late, I, 1);
	ASSERT_STATUS(put(I, 3, -1000, 3), PE_ACK_APPLIED);
	// A refused record leaves no trace: its sequence is free still.
	ASSERT_KNOWN(put(I, 4, -1001, 2), late, I, 3);
	ASSERT_STATUS(put(I, 4, -999, 4), PE_ACK_APPLIED);
	ASSERT_AT(1, 4);
	stop();
}

static void older_than_a_day_is_late(void)
{
	start();
	ASSERT_STATUS(put(I, 1, -(int32_t)PE_TTL_MAX_MS, 1), PE_ACK_APPLIED);
	ASSERT_REFUSED(put(I, 2, -(int32_t)PE_TTL_MAX_MS - 1, 2), late);
	stop();
}

static void future_is_refused(void)
{
	struct pe_engine_config config = harness_config();

	start();
	ASSERT_STATUS(put(I, 1, PE_CLOCK_AHEAD_MS, 1), PE_ACK_APPLIED);
	ASSERT_REFUSED(put(I, 2, PE_CLOCK_AHEAD_MS + 1, 2), future);
	ASSERT_REFUSED(put(I, 2, INT32_MAX, 2), future);
	ASSERT_AT(1, 1);
	stop();
	config.clock_ahead_ms = 100;
	start_with(&config);
	ASSERT_STATUS(put(I, 1, 100, 1), PE_ACK_APPLIED);
	ASSERT_REFUSED(put(I, 2, 101, 2), future);
	stop();
}

// A header without a time: the engine's stands in. One at the end of time never wraps into the
// past.
static void header_times(void)
{
	struct pe_wire_update u = harness_update(1, 1, 1, 1, 1);
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	static const uint64_t hostile[] = {UINT64_MAX, UINT64_MAX - 5, 1ull << 63};
	struct pe_wire_update_preamble preamble = {.incarnation = HARNESS_INCARNATION};
	struct pe_wire_result r;

	start();
	for (unsigned i = 0; i < 4; i++) {
		struct pe_wire_header header = harness_header(&h, PLANE, PE_FLAG_ACK);
		uint32_t bytes;

		header.timestamp_ms = i < 3 ? hostile[i] : 0;
		u.time_offset_ms = i < 3 ? 1000 : -70;
		bytes = pe_wire_put_update(buffer, sizeof buffer, &header, &preamble, &u, 1);
		harness_queue(&h, buffer, bytes);
		h.sent_records++;
		harness_turn(&h);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, future), 3);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.age_ms, 70);
	stop();
}

static void incarnations(void)
{
	uint32_t newest;

	start();
	newest = (uint32_t)((h.now.wall_ms + PE_CLOCK_AHEAD_MS) / 1000);
	ASSERT_STATUS(put(I, 100, 500, 1), PE_ACK_APPLIED);
	// A new life begins anew, with its sequence and its event time.
	ASSERT_STATUS(put(I + 1, 1, -60000, 2), PE_ACK_APPLIED);
	ASSERT_AT(1, 2);
	ASSERT_KNOWN(put(I, 101, 600, 3), stale, I + 1, 1);
	ASSERT_STATUS(put(I + 1, 2, -59000, 4), PE_ACK_APPLIED);
	ASSERT_STATUS(put(newest, 1, 0, 5), PE_ACK_APPLIED);
	ASSERT_AT(1, 5);
	stop();
}

static void incarnation_ahead_refuses_the_packet(void)
{
	struct pe_wire_update u = harness_update(1, 1, 1, 1, 1);
	struct pe_wire_withdraw x = {.sequence = 1};
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	enum pe_reason refused;
	uint32_t newest;
	uint64_t packet;

	start();
	newest = (uint32_t)((h.now.wall_ms + PE_CLOCK_AHEAD_MS) / 1000);
	packet = harness_queue_updates(&h, PLANE, newest + 1, &u, 1, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 0);
	CU_ASSERT_EQUAL(refused, PE_REASON_incarnation_future);
	harness_id(x.entity_id, 1);
	packet = harness_queue_withdraws(&h, PLANE, UINT32_MAX, &x, 1, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 0);
	CU_ASSERT_EQUAL(refused, PE_REASON_incarnation_future);
	ASSERT_GONE(1);
	stop();
}

static void withdraw_takes_away_at_once(void)
{
	struct pe_wire_ack_record a;

	start();
	ASSERT_REFUSED(withdraw(1, 1), unknown_entity);
	ASSERT_STATUS(put(I, 5, 0, 1), PE_ACK_APPLIED);
	a = withdraw(1, 5);
	ASSERT_REFUSED(a, stale);
	CU_ASSERT_EQUAL(a.known_sequence, 5);
	ASSERT_AT(1, 1);
	ASSERT_STATUS(withdraw(1, 6), PE_ACK_APPLIED);
	ASSERT_GONE(1);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, withdrawn), 1);
	// Again: it is known to be gone, and the pair has moved on.
	ASSERT_REFUSED(withdraw(1, 6), stale);
	ASSERT_STATUS(withdraw(1, 7), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, withdrawn), 1);
	stop();
}

static void tombstone_keeps_old_updates_out(void)
{
	start();
	ASSERT_STATUS(put(I, 5, 0, 1), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(1, 8), PE_ACK_APPLIED);
	ASSERT_KNOWN(put(I, 7, 0, 2), stale, I, 8);
	ASSERT_KNOWN(put(I, 8, 0, 2), stale, I, 8);
	ASSERT_KNOWN(put(I - 1, 1000, 0, 2), stale, I, 8);
	ASSERT_GONE(1);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS - 1);
	ASSERT_KNOWN(put(I, 7, 0, 2), stale, I, 8);
	ASSERT_GONE(1);
	// When the pair is forgotten the id is new.
	harness_advance(&h, 1);
	harness_settle(&h);
	ASSERT_STATUS(put(I, 7, 0, 3), PE_ACK_APPLIED);
	ASSERT_AT(1, 3);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, created), 2);
	stop();
}

static void newer_update_brings_it_back(void)
{
	start();
	// Within the grace period of its removal, in the same cell and in another one.
	for (unsigned i = 0; i < 4; i++) {
		ASSERT_STATUS(put(I, 10 * i + 5, 0, 1), PE_ACK_APPLIED);
		ASSERT_STATUS(withdraw(1, 10 * i + 6), PE_ACK_APPLIED);
		if (i & 1)
			harness_settle(&h);
		ASSERT_STATUS(put(I, 10 * i + 7, 0, i & 2 ? 1000 : 2), PE_ACK_APPLIED);
		ASSERT_AT(1, i & 2 ? 1000 : 2);
		ASSERT_STATUS(withdraw(1, 10 * i + 8), PE_ACK_APPLIED);
		ASSERT_GONE(1);
		harness_settle(&h);
	}
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	stop();
}

static void tombstone_after_expiry(void)
{
	struct pe_wire_update u = harness_update(1, 5, 1, 1, 1);

	start();
	u.ttl_ms = 100;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	ASSERT_GONE(1);
	ASSERT_KNOWN(put(I, 4, 0, 2), stale, I, 5);
	ASSERT_STATUS(put(I, 6, 0, 3), PE_ACK_APPLIED);
	ASSERT_AT(1, 3);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, created), 2);
	stop();
}

static void the_same_packet_again_changes_nothing(void)
{
	struct pe_wire_update u[3];
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	enum pe_reason refused;
	uint64_t packet;

	start();
	for (unsigned i = 0; i < 3; i++)
		u[i] = harness_update(1 + i, 1, 10 * i, 0, 0);
	packet = harness_queue_updates(&h, PLANE, I, u, 3, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 3);
	packet = harness_queue_updates(&h, PLANE, I, u, 3, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, packet, records, &refused), 3);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_REFUSED(records[i], stale);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 3);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, stale), 3);
	stop();
}

// Leaves the cell at (x, 10, 10) closed, and puts something there in the moment in which it is
// taken out: that waits. False: it was not met closed.
static bool accepted_in_closing_cell(struct pe_wire_update *update, unsigned controls)
{
	struct pe_wire_update other = harness_update(900, update->sequence, 10, 10, 10);
	bool taken, accepted;

	other.ttl_ms = 100000;
	other.position[0] = update->position[0];
	ASSERT_STATUS(send(&other), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(900, update->sequence + 1), PE_ACK_APPLIED);
	for (unsigned i = 0; i < controls; i++) {
		harness_control(&h);
		harness_turn(&h);
	}
	taken = closing_take(h.engine->grid);
	accepted = send(update).status == PE_ACK_ACCEPTED;
	CU_ASSERT_EQUAL(accepted, taken);
	closing_give(h.engine->grid);
	return accepted;
}

// Where nothing else asks for a grace period, a second withdrawal must not wait for one.
static void withdrawn_twice_is_forgotten_in_time(void)
{
	start();
	ASSERT_STATUS(put(I, 5, 0, 1), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(1, 6), PE_ACK_APPLIED);
	harness_settle(&h);
	ASSERT_STATUS(withdraw(1, 7), PE_ACK_APPLIED);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS - 1);
	ASSERT_KNOWN(put(I, 7, 0, 2), stale, I, 7);
	harness_advance(&h, 1);
	ASSERT_REFUSED(withdraw(1, 8), unknown_entity);
	ASSERT_STATUS(put(I, 1, 0, 2), PE_ACK_APPLIED);
	stop();
}

// A withdrawal takes what waits for its cell away, too: nothing comes back behind it.
static void withdrawn_while_it_waits(void)
{
	unsigned waited = 0;

	start();
	for (unsigned controls = 0; controls < 12; controls++) {
		struct pe_wire_update u = harness_update(1, 100 * controls + 10, 0, 10, 10);

		u.position[0] = 1000.0 * controls;
		u.ttl_ms = 100000;
		waited += accepted_in_closing_cell(&u, controls);
		ASSERT_STATUS(withdraw(1, 100 * controls + 11), PE_ACK_APPLIED);
		harness_settle(&h);
		harness_advance(&h, 5);
		harness_settle(&h);
		ASSERT_GONE(1);
	}
	CU_ASSERT(waited > 0);
	stop();
}

// An older update does not replace a first state that waits for its cell.
static void stale_while_the_first_state_waits(void)
{
	unsigned waited = 0;

	start();
	for (unsigned controls = 0; controls < 12; controls++) {
		struct pe_wire_update u =
			harness_update(1 + controls, 100 * controls + 10, 0, 10, 10);

		u.position[0] = 1000.0 * controls;
		u.ttl_ms = 100000;
		waited += accepted_in_closing_cell(&u, controls);
		u.sequence--;
		u.position[0]++;
		ASSERT_REFUSED(send(&u), stale);
		harness_settle(&h);
		harness_advance(&h, 5);
		harness_settle(&h);
		ASSERT_AT(1 + controls, 1000.0 * controls);
	}
	CU_ASSERT(waited > 0);
	stop();
}

// Clocks that are set by weeks at once, the engine's and the senders': nobody is late for it who is
// known with a long life, and what is held back has a time that can be told.
static void clocks_set_by_weeks(void)
{
	static const uint64_t days[] = {1, 24, 25, 30, 49, 50, 75, 365, 20000};
	struct pe_engine_config config = harness_config();
	struct pe_wire_result r;

	config.spaces[PLANE].coalesce_distance_m = 20;
	for (unsigned i = 0; i < sizeof days / sizeof *days; i++) {
		struct pe_wire_update u = harness_update(1, 1, 10, 0, 0);

		start_with(&config);
		u.ttl_ms = 86400000;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u = harness_update(2, 1, 10, 0, 0);
		u.ttl_ms = 86400000;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		h.now.wall_ms += days[i] * 86400000;
		u = harness_update(1, 2, 50, 0, 0);
		u.ttl_ms = 86400000;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u.sequence = 3;
		u.time_offset_ms = -1;
		ASSERT_REFUSED(send(&u), late);
		u.time_offset_ms = 0;
		u.sequence = 4;
		u.position[0] = 51;
		ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
		harness_advance(&h, 1000);
		CU_ASSERT_EQUAL(sees(1, &r), 1);
		CU_ASSERT_EQUAL(r.age_ms, 1000);
		ASSERT_STATUS(withdraw(2, 2), PE_ACK_APPLIED);
		stop();
	}
}

TESTING_MAIN("engine: order", {"stale tells what is known", stale_tells_what_is_known},
	{"late by event time", late_by_event_time},
	{"older than a day is late", older_than_a_day_is_late}, {"future", future_is_refused},
	{"header times", header_times}, {"incarnations", incarnations},
	{"incarnation ahead refuses the packet", incarnation_ahead_refuses_the_packet},
	{"withdraw", withdraw_takes_away_at_once},
	{"tombstone keeps old updates out", tombstone_keeps_old_updates_out},
	{"a newer update brings it back", newer_update_brings_it_back},
	{"tombstone after expiry", tombstone_after_expiry},
	{"withdrawn twice is forgotten in time", withdrawn_twice_is_forgotten_in_time},
	{"withdrawn while it waits", withdrawn_while_it_waits},
	{"stale while the first state waits", stale_while_the_first_state_waits},
	{"the same packet again", the_same_packet_again_changes_nothing},
	{"clocks set by weeks", clocks_set_by_weeks})
