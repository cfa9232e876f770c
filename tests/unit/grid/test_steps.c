// Between the steps of an insert: the grid is compiled again with a call between them, in which
// another worker inserts into the same cell, and in which is looked at what somebody with a stale
// hint could do.
#include "grid_testing.h"

static struct pe_grid *watched;
static unsigned steps, at_step, looked, nested_slots;
static uint64_t nested_key;
static bool inside;

// A chunk of which a slot can be claimed can be found through its leaf: one that is not published
// may go back to its pool without a grace period, and a claim on it would then be on somebody
// else's slot.
static void look(void)
{
	uint32_t fresh = atomic_load(&watched->slabs.fresh);

	for (uint32_t slab = 0; slab < fresh; slab++) {
		uint32_t ref = 0;
		unsigned count = pe_slab_chunks(watched, slab, &ref);

		for (unsigned i = 0; i < count; i++, ref = pe_chunk_next(ref)) {
			struct pe_chunk *chunk = pe_chunk_at(watched, ref);
			struct pe_leaf *leaf = &watched->leaves[atomic_load(&chunk->leaf)];
			uint32_t at;

			if (!(~atomic_load(&chunk->claimed) & pe_slots_mask(ref)))
				continue;
			looked++;
			at = pe_table_find(
				pe_leaf_bucket(watched, chunk->key), watched->leaves, chunk->key);
			CU_ASSERT_FATAL(at != PE_NONE && leaf == &watched->leaves[at]);
			for (at = atomic_load(&leaf->head); at != PE_NONE && at != ref;)
				at = atomic_load(&pe_chunk_at(watched, at)->next);
			CU_ASSERT_EQUAL(at, ref);
		}
	}
}

void pe_test_step(void);
void pe_test_step(void)
{
	uint32_t slot;

	if (!watched)
		return;
	look();
	if (inside || steps++ != at_step)
		return;
	inside = true;
	CU_ASSERT_EQUAL(pe_grid_insert(watched, 1, nested_key, 0, 900, false, &slot), PE_OK);
	nested_slots++;
	inside = false;
}

static void what_is_not_published_cannot_be_claimed(void)
{
	static struct pe_hit hits[4096];
	unsigned last = 1, nested = 0;

	for (at_step = 0; at_step < last; at_step++) {
		struct pe_grid *grid = testing_grid((struct pe_grid_config){.worker_count = 2});
		unsigned met = 0;

		nested_slots = 0;
		for (uint32_t i = 0; i < 120; i++) {
			nested_key = testing_key((int32_t)(i / 60), 0, 0);
			steps = 0;
			watched = grid;
			testing_insert(grid, nested_key, i, i);
			watched = NULL;
			if (steps > last)
				last = steps;
		}
		for (struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX));
			!pe_walk_ended(&walk);)
			met += pe_grid_walk(grid, &walk, hits, 4096);
		CU_ASSERT_EQUAL(met, 120 + nested_slots);
		nested += nested_slots;
		// Every claim is an entity's, and the chunk that lost is back in its pool.
		for (uint32_t i = 0; i < 2; i++) {
			uint64_t key = testing_key((int32_t)i, 0, 0);
			struct pe_leaf *leaf = &grid->leaves[pe_table_find(
				pe_leaf_bucket(grid, key), grid->leaves, key)];
			uint32_t claimed = 0, claims = atomic_load(&leaf->entry.claim);

			for (uint32_t at = atomic_load(&leaf->head); at != PE_NONE;
				at = atomic_load(&pe_chunk_at(grid, at)->next))
				claimed += (uint32_t)__builtin_popcount(
					atomic_load(&pe_chunk_at(grid, at)->claimed) &
					pe_slots_mask(at));
			CU_ASSERT_EQUAL(claimed, claims);
		}
		CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_LEAF]), 2);
		pe_grid_destroy(grid);
	}
	CU_ASSERT(last > 8 && looked > 1000 && nested > 100);
}

TESTING_MAIN("grid/steps",
	{"what is not published cannot be claimed", what_is_not_published_cannot_be_claimed})
