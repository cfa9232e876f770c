// The index from id to handle with the records behind it, a million of them: each found by itself,
// and in batches whose buckets and records are asked for beforehand, as the engine does.
#include "crowd.h"
#include "entity/table.h"
#include "base/hash.h"
#include "modules.h"

#define BATCH 64u

static struct pe_table table;
static uint64_t random_state = CROWD_RANDOM;

static void set_up(void *context)
{
	struct pe_handles handles;

	(void)context;
	if (table.records)
		return;
	if (pe_table_create(&table, MODULE_ENTITIES, 1, true) != PE_OK)
		module_fail("no table");
	pe_handles_init(&handles);
	for (uint32_t n = 0; n < MODULE_ENTITIES; n++) {
		uint32_t handle = pe_handles_take(&table, &handles);

		if (handle == PE_HANDLE_NONE)
			module_fail("no handle");
		crowd_id(n, table.records[handle].id);
		if (!pe_index_add(&table.index,
			    pe_hash_id(&table.index.key, table.records[handle].id), handle))
			module_fail("no room in the index");
	}
}

static void find_alone(void *context, uint64_t count)
{
	(void)context;
	for (uint64_t i = 0; i < count; i++) {
		uint8_t id[16];

		crowd_id(crowd_below(crowd_random(&random_state), MODULE_ENTITIES), id);
		if (pe_index_find(&table.index, table.records, pe_hash_id(&table.index.key, id),
			    id) == PE_HANDLE_NONE)
			module_fail("an entity was not found");
	}
}

static void find_batch(void *context, uint64_t count)
{
	uint8_t id[BATCH][16];
	uint64_t hash[BATCH];

	(void)context;
	for (uint64_t done = 0; done < count; done += BATCH) {
		for (unsigned i = 0; i < BATCH; i++) {
			crowd_id(crowd_below(crowd_random(&random_state), MODULE_ENTITIES), id[i]);
			hash[i] = pe_hash_id(&table.index.key, id[i]);
			pe_index_prefetch(&table.index, pe_index_home(&table.index, hash[i]));
		}
		for (unsigned i = 0; i < BATCH; i++) {
			uint32_t home = pe_index_home(&table.index, hash[i]);

			(void)pe_index_candidate(&table.index, table.records, home, hash[i]);
		}
		for (unsigned i = 0; i < BATCH; i++)
			if (pe_index_find(&table.index, table.records, hash[i], id[i]) ==
				PE_HANDLE_NONE)
				module_fail("an entity was not found");
	}
}

void module_table(void)
{
	static const struct bench_case cases[] = {
		{"table/find_alone", find_alone, NULL, 1024, set_up, NULL},
		{"table/find_batch_64", find_batch, NULL, 1024, set_up, NULL},
	};

	MODULE_CASES(cases);
}
