#include "base/rcu.h"
#include "entity/table.h"
#include "testing.h"

#define ENTITIES 20000u

static void id_of(uint32_t n, uint8_t id[16])
{
	memset(id, 0, 16);
	memcpy(id, &n, sizeof n);
	id[15] = 7;
}

// pe_index_find's handle; pe_index_seek gives the same one, whatever stands in.
static uint32_t found(const struct pe_table *t, const uint8_t id[16])
{
	uint64_t hash = pe_hash_id(&t->index.key, id);
	uint32_t h = pe_index_find(&t->index, t->records, hash, id);
	uint32_t stand_in = pe_handle_spread(hash, t->entity_count_max);

	CU_ASSERT_EQUAL_FATAL(pe_index_seek(&t->index, t->records, hash, id, stand_in), h);
	// What a record was that left the index still stands in it, and isn't what is looked for.
	if (h != PE_HANDLE_NONE)
		CU_ASSERT_EQUAL_FATAL(pe_index_seek(&t->index, t->records, hash, id, h), h);
	return h;
}

static void stand_ins_are_records(void)
{
	static const uint32_t counts[] = {1, 24, 25, 26, 2000, 1000000};
	uint64_t state = 1;

	for (unsigned c = 0; c < sizeof counts / sizeof counts[0]; c++) {
		CU_ASSERT_EQUAL(pe_handle_spread(0, counts[c]), 0);
		CU_ASSERT_EQUAL(
			pe_handle_spread(UINT64_MAX, counts[c]), pe_handle_nth(counts[c] - 1));
		for (unsigned i = 0; i < 10000; i++) {
			uint32_t h = pe_handle_spread(testing_random(&state), counts[c]);

			CU_ASSERT_FATAL(h % PE_PAGE_HANDLES < PE_PAGE_RECORDS);
			CU_ASSERT_FATAL(pe_handle_number(h) < counts[c]);
		}
	}
}

static void add_find_remove_over_partitions(void)
{
	for (unsigned partitions = 1; partitions <= 3; partitions++) {
		struct pe_table t;
		struct pe_handles supply;
		uint8_t id[16];

		CU_ASSERT_EQUAL_FATAL(pe_table_create(&t, ENTITIES, partitions, false), PE_OK);
		pe_handles_init(&supply);
		for (uint32_t i = 0; i < ENTITIES; i++) {
			uint32_t h = pe_handles_take(&t, &supply);

			CU_ASSERT_NOT_EQUAL_FATAL(h, PE_HANDLE_NONE);
			id_of(i, t.records[h].id);
			CU_ASSERT_FATAL(pe_index_add(
				&t.index, pe_hash_id(&t.index.key, t.records[h].id), h));
		}
		CU_ASSERT_EQUAL(pe_handles_take(&t, &supply), PE_HANDLE_NONE);
		for (uint32_t i = 0; i < ENTITIES; i += 2) {
			uint64_t hash;
			uint32_t h;

			id_of(i, id);
			hash = pe_hash_id(&t.index.key, id);
			h = found(&t, id);
			CU_ASSERT_NOT_EQUAL_FATAL(h, PE_HANDLE_NONE);
			CU_ASSERT_FATAL(pe_index_remove(&t.index, hash, h));
			CU_ASSERT_FALSE(pe_index_remove(&t.index, hash, h));
			pe_handles_retire(&t, &supply, h);
		}
		for (uint32_t i = 0; i < ENTITIES; i++) {
			uint32_t h;

			id_of(i, id);
			h = found(&t, id);
			CU_ASSERT_EQUAL_FATAL(h == PE_HANDLE_NONE, i % 2 == 0);
		}
		// Retired handles come back after a grace period, all of them, and not before.
		pe_handles_reclaim(&t, &supply, ENTITIES);
		CU_ASSERT_EQUAL(pe_handles_take(&t, &supply), PE_HANDLE_NONE);
		pe_rcu_synchronize();
		pe_handles_reclaim(&t, &supply, ENTITIES);
		CU_ASSERT_EQUAL(supply.retired_count, 0);
		uint32_t back = 0;
		while (pe_handles_take(&t, &supply) != PE_HANDLE_NONE)
			back++;
		CU_ASSERT_EQUAL(back, ENTITIES / 2);
		pe_table_destroy(&t);
	}
}

// Ids that share the home bucket and the tag: the look-up must compare ids and go beyond the home.
static void one_bucket_overflows(void)
{
	struct pe_table t;
	uint64_t hash = 0x123456789ABCDEF0ull;
	uint32_t held = 0;

	CU_ASSERT_EQUAL_FATAL(pe_table_create(&t, ENTITIES, 1, false), PE_OK);
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t h = pe_handle_nth(i);

		id_of(i, t.records[h].id);
		if (!pe_index_add(&t.index, hash, h))
			break;
		held++;
	}
	CU_ASSERT_EQUAL(held, PE_BUCKET_ENTRIES * PE_INDEX_PROBES);
	// Eight buckets turned somebody away in 3 of 150 tables of a million.
	CU_ASSERT(held >= 64 * PE_BUCKET_ENTRIES);
	for (uint32_t i = 0; i < 1000; i++) {
		uint8_t id[16];

		id_of(i, id);
		CU_ASSERT_EQUAL(pe_index_find(&t.index, t.records, hash, id),
			i < held ? pe_handle_nth(i) : PE_HANDLE_NONE);
		// Behind any number of words of candidates, too.
		CU_ASSERT_EQUAL(pe_index_seek(&t.index, t.records, hash, id, pe_handle_nth(1000)),
			i < held ? pe_handle_nth(i) : PE_HANDLE_NONE);
	}
	for (uint32_t i = 0; i < held; i++)
		CU_ASSERT(pe_index_remove(&t.index, hash, pe_handle_nth(i)));
	CU_ASSERT_EQUAL(atomic_load(&t.index.buckets[pe_index_home(&t.index, hash)].away), 0);
	pe_table_destroy(&t);
}

// Nobody is turned away while there are handles, however the hash falls: many keys, each table
// filled to its last entity.
static void every_table_fills(void)
{
	for (unsigned round = 0; round < 5; round++) {
		struct pe_table t;
		unsigned missed = 0;

		CU_ASSERT_EQUAL_FATAL(pe_table_create(&t, 200000, 1, false), PE_OK);
		for (uint32_t i = 0; i < 200000; i++) {
			uint32_t h = pe_handle_nth(i);

			id_of(i, t.records[h].id);
			missed += !pe_index_add(
				&t.index, pe_hash_id(&t.index.key, t.records[h].id), h);
		}
		CU_ASSERT_EQUAL(missed, 0);
		pe_table_destroy(&t);
	}
}

static void supplies_exchange_chains(void)
{
	struct pe_table t;
	struct pe_handles a, b;
	uint32_t taken[2000];

	CU_ASSERT_EQUAL_FATAL(pe_table_create(&t, 2000, 2, false), PE_OK);
	pe_handles_init(&a);
	pe_handles_init(&b);
	for (unsigned i = 0; i < 2000; i++)
		taken[i] = pe_handles_take(&t, &a);
	CU_ASSERT_EQUAL(pe_handles_take(&t, &b), PE_HANDLE_NONE);
	for (unsigned i = 0; i < 2000; i++)
		pe_handles_give(&t, &a, taken[i]);
	// What a does not need is there for b: all but what stays with a.
	unsigned got = 0;
	static bool seen[PE_PAGE_HANDLES * 2000 / PE_PAGE_RECORDS];
	for (uint32_t h; (h = pe_handles_take(&t, &b)) != PE_HANDLE_NONE; got++) {
		CU_ASSERT_FATAL(
			h < sizeof seen && h % PE_PAGE_HANDLES < PE_PAGE_RECORDS && !seen[h]);
		seen[h] = true;
	}
	CU_ASSERT_EQUAL(got + a.count, 2000);
	CU_ASSERT(a.count < 2 * t.chain && 2 * 2 * t.chain <= 2000 / PE_HANDLES_IDLE);
	pe_table_destroy(&t);
}

TESTING_MAIN("entity/table", {"add, find, remove over partitions", add_find_remove_over_partitions},
	{"one bucket overflows", one_bucket_overflows}, {"every table fills", every_table_fills},
	{"stand-ins are records", stand_ins_are_records},
	{"supplies exchange chains", supplies_exchange_chains})
