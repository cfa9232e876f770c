// Whose the places are, at random: entities of principals, networks and nobody in particular come,
// go, expire and are evicted, over one worker and over three, and after every few turns the counts
// by publisher are what the records say, nobody is beyond a budget, and what can be found is what
// is there.
#include "harness.h"
#include "internal.h"
#include "testing.h"

#include <inttypes.h>

static struct harness h;
static uint64_t seed;

struct run {
	uint32_t entities;
	unsigned workers, ids; // of which entities are made
	enum pe_when_full when_full;
	uint32_t principal_max, network_max;
};

static unsigned below(unsigned n)
{
	return (unsigned)(testing_random(&seed) % n);
}

// The same sender may come by every worker.
static void queue_some(const struct run *r, uint32_t *sequence)
{
	unsigned messages = 1 + below(12);

	for (unsigned m = 0; m < messages; m++) {
		struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
		struct pe_wire_withdraw x[4];
		unsigned count = 1 + below(PE_UPDATE_COUNT_MAX);

		h.principal = below(3) ? below(6) : 0;
		h.network = (uint8_t)below(4);
		h.untrusted = below(2);
		for (unsigned i = 0; i < count; i++) {
			u[i] = harness_update(1 + below(r->ids), ++*sequence, below(4000) - 2000.0,
				below(4000) - 2000.0, 0);
			u[i].ttl_ms = 1 + below(below(4) ? 60000 : 50);
			if (below(8) == 0)
				u[i].attributes = PE_STATE_AWAY;
		}
		harness_queue_updates(&h, 0, HARNESS_INCARNATION, u, count, below(2));
		if (below(4))
			continue;
		for (unsigned i = 0; i < 4; i++) {
			x[i] = (struct pe_wire_withdraw){.sequence = ++*sequence};
			harness_id(x[i].entity_id, 1 + below(r->ids));
		}
		harness_queue_withdraws(&h, 0, HARNESS_INCARNATION, x, 4, below(2));
	}
}

// All workers rest.
static void check(const struct run *r)
{
	static uint32_t counts[PE_PUBLISHERS];
	const struct pe_engine *e = h.engine;
	uint64_t there = 0;
	unsigned wrong = 0;

	memset(counts, 0, sizeof counts);
	for (uint32_t n = 0; n < r->entities; n++) {
		const struct pe_record *record = &e->table.records[pe_handle_nth(n)];
		enum pe_life life = PE_STATUS_LIFE(atomic_load(&record->status));

		there += life == PE_LIFE_THERE;
		if (life != PE_LIFE_FREE && e->places.of)
			counts[e->places.of[n]]++;
	}
	for (unsigned p = 0; e->places.of && p < PE_PUBLISHERS; p++) {
		uint32_t most = p > PE_PUBLISHER_PRINCIPALS ? r->network_max :
			p                                   ? r->principal_max :
							      0;

		wrong += e->places.count[p] != counts[p];
		wrong += most && counts[p] > most;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(there, pe_engine_entity_count(e));
}

static void check_seen(const struct run *r)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	static struct harness_answer a;
	uint64_t there = 0;

	h.principal = 0;
	h.network = 0;
	h.untrusted = false;
	harness_ask(&h, below(r->workers), 0, &q, &a);
	CU_ASSERT(a.whole && !a.truncated);
	for (uint32_t n = 0; n < r->entities; n++) {
		const struct pe_record *record = &h.engine->table.records[pe_handle_nth(n)];

		there += PE_STATUS_LIFE(atomic_load(&record->status)) == PE_LIFE_THERE &&
			(int32_t)(record->shown.expiry_tick - (uint32_t)h.now.mono_ms) > 0;
	}
	CU_ASSERT_EQUAL(a.count, there);
}

static void play(const struct run *r)
{
	struct pe_engine_config config = harness_config();
	uint32_t sequence = 0;
	unsigned turns = (unsigned)testing_amount(4000);

	harness_failed = testing_failed;
	config.entity_count_max = r->entities;
	config.worker_count = r->workers;
	config.when_full = r->when_full;
	config.principal_entity_max = r->principal_max;
	config.network_entity_max = r->network_max;
	config.tombstone_ms = 200;
	harness_start(&h, &config);
	for (unsigned turn = 0; turn < turns; turn++) {
		queue_some(r, &sequence);
		harness_turn_worker(&h, below(r->workers));
		if (below(2))
			harness_control(&h);
		if (below(3) == 0)
			harness_advance(&h, 1 + below(below(10) ? 10 : 300));
		if (turn % 16 == 0)
			check(r);
		if (turn % 64 == 0) {
			harness_settle(&h);
			check(r);
			check_seen(r);
		}
	}
	harness_settle(&h);
	check(r);
	printf("\n    %u entities, %u workers, policy %u: created %" PRIu64 ", evicted %" PRIu64
	       ", refused for a budget %" PRIu64 ", for want of room %" PRIu64 " ",
		r->entities, r->workers, r->when_full, HARNESS_COUNTER(&h, created),
		HARNESS_COUNTER(&h, evicted), HARNESS_REASON(&h, entity_budget),
		HARNESS_REASON(&h, table_full));
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, evicted) > 0, r->when_full != PE_FULL_REFUSE);
	if (r->principal_max)
		CU_ASSERT(HARNESS_REASON(&h, entity_budget) > 0);
	harness_stop(&h);
	h.principal = 0;
	h.network = 0;
	h.untrusted = false;
}

static void test_one(void)
{
	const struct run runs[] = {
		{300, 1, 3000, PE_FULL_LEAST_RECENT, 0, 0},
		{300, 1, 3000, PE_FULL_LOWEST_PRIORITY, 40, 30},
		{300, 1, 1000, PE_FULL_REFUSE, 50, 30},
		{17, 1, 3000, PE_FULL_LEAST_RECENT, 3, 2},
	};

	for (unsigned i = 0; i < sizeof runs / sizeof runs[0]; i++)
		play(&runs[i]);
}

static void test_three(void)
{
	const struct run runs[] = {
		{2000, 3, 20000, PE_FULL_LEAST_RECENT, 100, 0},
		{2000, 3, 20000, PE_FULL_LOWEST_PRIORITY, 100, 80},
		{2000, 3, 5000, PE_FULL_REFUSE, 90, 60},
	};

	for (unsigned i = 0; i < sizeof runs / sizeof runs[0]; i++)
		play(&runs[i]);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"one worker", test_one},
		{"three workers", test_three},
	};
	const char *given = getenv("PE_TEST_SEED");

	seed = given ? strtoull(given, NULL, 0) : 0xB0D6E7;
	printf("seed 0x%" PRIX64 " (PE_TEST_SEED)\n", seed);
	return testing_main("places-model", cases, sizeof cases / sizeof cases[0]);
}
