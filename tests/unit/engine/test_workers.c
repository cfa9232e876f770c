// Two workers in lock-step: records that arrive at the wrong one, new entities of the other's part
// of the index, one id created on both, full rings.
#include "entity/table.h"
#include "testing_engine.h"

#define ENTITIES 200u

static void start_two(uint32_t ring_records)
{
	struct pe_engine_config config = harness_config();

	config.worker_count = 2;
	config.ring_records = ring_records;
	config.entity_count_max = 2000;
	start_with(&config);
}

static void send_at(unsigned worker, uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 5.0 * n, 0);

	u.ttl_ms = 1000000;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
	harness_turn_worker(&h, worker);
}

// How many of the entities 1 … ENTITIES a worker sees at x, each once.
static unsigned seen_at(unsigned worker, double x)
{
	static struct harness_answer a;
	static uint8_t times[1 + ENTITIES];
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	unsigned right = 0;

	memset(times, 0, sizeof times);
	harness_ask(&h, worker, PLANE, &q, &a);
	CU_ASSERT(a.whole && !a.truncated);
	for (unsigned i = 0; i < a.count; i++) {
		uint64_t n = harness_id_number(a.results[i].entity_id);

		CU_ASSERT(times[n]++ == 0);
		right += a.results[i].position[0] == x;
	}
	return right;
}

static void anyone_sees_everything(void)
{
	start_two(0);
	for (unsigned n = 1; n <= ENTITIES; n++)
		send_at(n & 1, n, 1, 1);
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), ENTITIES);
	CU_ASSERT_EQUAL(seen_at(0, 1), ENTITIES);
	CU_ASSERT_EQUAL(seen_at(1, 1), ENTITIES);
	// About half of them lie in the other worker's part of the index, and half of those come at
	// the wrong one.
	CU_ASSERT(HARNESS_COUNTER(&h, records_forwarded) > ENTITIES / 4);
	stop();
}

static void updates_at_the_wrong_worker(void)
{
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	enum pe_reason refused;
	uint64_t forwarded;

	start_two(0);
	for (unsigned n = 1; n <= ENTITIES; n++)
		send_at(0, n, 1, 1);
	harness_settle(&h);
	forwarded = HARNESS_COUNTER(&h, records_forwarded);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		send_at(1, n, 2, 2);
		CU_ASSERT_EQUAL(harness_acks(&h, h.sequence, records, &refused), 1);
		ASSERT_STATUS(records[0], PE_ACK_ACCEPTED);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_forwarded), forwarded + ENTITIES);
	CU_ASSERT_EQUAL(seen_at(1, 2), ENTITIES);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 2 * ENTITIES);
	// Withdrawals find their way too.
	for (unsigned n = 1; n <= ENTITIES; n++) {
		struct pe_wire_withdraw x = {.sequence = 3};

		harness_id(x.entity_id, n);
		(void)harness_queue_withdraws(&h, PLANE, HARNESS_INCARNATION, &x, 1, false);
		harness_turn_worker(&h, 1);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	CU_ASSERT_EQUAL(seen_at(0, 2), 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, withdrawn), ENTITIES);
	// And when the pairs are forgotten the ids are new, on whichever worker.
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	for (unsigned n = 1; n <= ENTITIES; n++)
		send_at(1, n, 1, 7);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_at(0, 7), ENTITIES);
	stop();
}

// Both hear of a new id before either knows of the other's: there is one entity, with the newer
// state.
static void one_id_created_on_both(void)
{
	start_two(0);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		send_at(0, n, 1, 1);
		send_at(1, n, 2, 2);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), ENTITIES);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, created), ENTITIES);
	CU_ASSERT_EQUAL(seen_at(0, 2), ENTITIES);
	CU_ASSERT_EQUAL(seen_at(1, 2), ENTITIES);
	stop();
}

static void a_full_ring_drops_and_says_so(void)
{
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	enum pe_reason refused;
	unsigned dropped = 0;

	start_two(16);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		send_at(0, n, 1, 1);
		harness_settle(&h);
	}
	for (unsigned n = 1; n <= 50; n++) {
		send_at(1, n, 2, 2);
		CU_ASSERT_EQUAL(harness_acks(&h, h.sequence, records, &refused), 1);
		if (records[0].status == PE_ACK_DROPPED) {
			CU_ASSERT_EQUAL(records[0].reason, PE_REASON_ring_full);
			dropped++;
		} else {
			ASSERT_STATUS(records[0], PE_ACK_ACCEPTED);
		}
	}
	CU_ASSERT_EQUAL(dropped, 50 - 16);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, ring_full), dropped);
	CU_ASSERT_EQUAL(pe_worker_in_flight(pe_engine_worker(h.engine, 0)), 16);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_at(0, 2), 16);
	// Nothing of what was dropped sticks: the same records again are taken.
	for (unsigned n = 17; n <= 32; n++)
		send_at(1, n, 2, 2);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_at(0, 2), 32);
	stop();
}

// An id whose removal is on its way to the worker that keeps its part of the index is neither known
// nor new there: an update that comes in between is dropped and says so, and is taken when it comes
// again.
static void between_removal_and_return(void)
{
	struct pe_wire_ack_record records[PE_UPDATE_COUNT_MAX];
	bool again[1 + ENTITIES] = {0};
	enum pe_reason refused;
	unsigned dropped = 0;

	start_two(0);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		send_at(0, n, 1, 1);
		harness_settle(&h);
	}
	for (unsigned n = 1; n <= ENTITIES; n++) {
		struct pe_wire_withdraw x = {.sequence = 2};

		harness_id(x.entity_id, n);
		(void)harness_queue_withdraws(&h, PLANE, HARNESS_INCARNATION, &x, 1, false);
		harness_turn_worker(&h, 0);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	// Worker 0 forgets them, so many a turn; worker 1 hears of it in its next turn, behind
	// that turn's packets.
	h.now.mono_ms += PE_TOMBSTONE_MS + 1000;
	h.now.wall_ms += PE_TOMBSTONE_MS + 1000;
	for (unsigned i = 0; i < 64; i++)
		harness_turn_worker(&h, 0);
	for (unsigned i = 0; i < PE_BURST_MAX; i++) {
		struct pe_wire_update u = harness_update(1 + i, 1, 3, 5.0 * i, 0);

		u.ttl_ms = 1000000;
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
	}
	harness_turn_worker(&h, 1);
	for (unsigned i = 0; i < PE_BURST_MAX; i++) {
		uint64_t sequence = h.sequence - PE_BURST_MAX + 1 + i;

		CU_ASSERT_EQUAL(harness_acks(&h, sequence, records, &refused), 1);
		again[1 + i] = records[0].status == PE_ACK_DROPPED;
		if (again[1 + i]) {
			CU_ASSERT_EQUAL(records[0].reason, PE_REASON_reroute);
			CU_ASSERT_EQUAL(records[0].code, pe_reason_info[PE_REASON_reroute].code);
			dropped++;
		}
	}
	CU_ASSERT(dropped > 0 && dropped < PE_BURST_MAX);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, reroute), dropped);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_at(0, 3), PE_BURST_MAX - dropped);
	for (unsigned n = 1; n <= PE_BURST_MAX; n++)
		if (again[n])
			send_at(1, n, 1, 3);
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, reroute), dropped);
	CU_ASSERT_EQUAL(seen_at(0, 3), PE_BURST_MAX);
	CU_ASSERT_EQUAL(seen_at(1, 3), PE_BURST_MAX);
	stop();
}

static void expiry_is_the_owners(void)
{
	start_two(0);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		struct pe_wire_update u = harness_update(n, 1, 1, 5.0 * n, 0);

		u.ttl_ms = 500;
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		harness_turn_worker(&h, n & 1);
	}
	harness_settle(&h);
	h.now.mono_ms += 499;
	CU_ASSERT_EQUAL(seen_at(0, 1), ENTITIES);
	h.now.mono_ms += 1;
	CU_ASSERT_EQUAL(seen_at(0, 1), 0); // though worker 1 had no turn yet
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), ENTITIES);
	stop();
}

// Whichever part of the index an id is in, it finds a place while there is one: no worker keeps the
// free ones of a small table to itself, neither at the start nor when they have been used.
static void a_small_table_is_shared(void)
{
	static const struct {
		uint32_t entities;
		unsigned workers;
	} of[] = {{16, 2}, {100, 3}, {300, 2}, {2000, 4}};

	for (unsigned i = 0; i < sizeof of / sizeof *of; i++) {
		struct pe_engine_config config = harness_config();
		uint32_t n = of[i].entities;

		config.entity_count_max = n;
		config.worker_count = of[i].workers;
		config.tombstone_ms = 1;
		start_with(&config);
		for (unsigned round = 0; round < 4; round++) {
			for (unsigned k = 0; k < n; k++) {
				struct pe_wire_update u =
					harness_update(1 + round * n + k, 1, 1, 1, 0);

				u.ttl_ms = 1000;
				(void)harness_queue_updates(
					&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
				harness_turn_worker(&h, k % of[i].workers);
				harness_settle(&h);
			}
			CU_ASSERT(pe_engine_entity_count(h.engine) >= n - n / PE_HANDLES_IDLE);
			for (unsigned k = 0; k < 3; k++) {
				harness_advance(&h, 1000);
				harness_settle(&h);
			}
			CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
		}
		stop();
	}
}

TESTING_MAIN("engine: workers", {"anyone sees everything", anyone_sees_everything},
	{"updates at the wrong worker", updates_at_the_wrong_worker},
	{"one id created on both", one_id_created_on_both},
	{"a full ring drops and says so", a_full_ring_drops_and_says_so},
	{"between removal and return", between_removal_and_return},
	{"expiry is the owner's", expiry_is_the_owners},
	{"a small table is shared", a_small_table_is_shared})
