// A slot's life: insert, store, cross, settle, remove, and what is deferred meanwhile.
#include "grid_testing.h"

static struct pe_hit hits[4096];

static void insert_is_met_and_stores_move_it(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint64_t key = testing_key(-1, 0, 0), word = pe_word_make(1, 2, 3);
	uint32_t slot = testing_insert(grid, key, word, 7);

	CU_ASSERT_EQUAL(pe_grid_slot_key(grid, slot), key);
	CU_ASSERT_EQUAL_FATAL(
		testing_walk_all(grid, testing_box(-(1 << 20), 1 << 20), hits, 64), 1);
	CU_ASSERT_EQUAL(hits[0].key, key);
	CU_ASSERT_EQUAL(hits[0].word, word);
	CU_ASSERT_EQUAL(hits[0].handle, 7);
	pe_grid_prefetch_slot(grid, slot);
	// Flags that are not the owner's to give are dropped.
	pe_grid_store(grid, slot,
		pe_word_make(0xFFFFF, 0xFFFFF, 0xFFFFF) | PE_SLOT_MOVED | PE_SLOT_ARRIVING);
	CU_ASSERT_EQUAL_FATAL(
		testing_walk_all(grid, testing_box(-(1 << 20), 1 << 20), hits, 64), 1);
	CU_ASSERT_EQUAL(hits[0].word, pe_word_make(0xFFFFF, 0xFFFFF, 0xFFFFF));
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(-(1 << 20), 1 << 20), hits, 64), 0);
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 1);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

static void a_crossing_is_met_at_both_ends_with_flags(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	struct pe_walk walk = testing_walk(testing_box(0, (2 << 20) - 1));
	uint32_t old = testing_insert(grid, testing_key(0, 0, 0), pe_word_make(5, 5, 5), 9), slot;
	struct pe_departure done[4];

	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, testing_key(1, 0, 0), pe_word_make(6, 6, 6), 9,
				true, &slot),
		PE_OK);
	CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, 9, old, slot), PE_OK);
	CU_ASSERT_EQUAL(pe_grid_poll(grid, 0, done, 4), 0);
	// A store keeps `arriving`.
	pe_grid_store(grid, slot, pe_word_make(7, 7, 7));
	CU_ASSERT_EQUAL_FATAL(pe_grid_walk(grid, &walk, hits, 64), 2);
	CU_ASSERT_TRUE(walk.flagged);
	CU_ASSERT_EQUAL(hits[0].word, pe_word_make(5, 5, 5) | PE_SLOT_MOVED);
	CU_ASSERT_EQUAL(hits[1].word, pe_word_make(7, 7, 7) | PE_SLOT_ARRIVING);
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 1);
	pe_rcu_synchronize();
	CU_ASSERT_EQUAL_FATAL(pe_grid_poll(grid, 0, done, 4), 1);
	CU_ASSERT_EQUAL(done[0].handle, 9);
	CU_ASSERT_EQUAL(done[0].old_slot, old);
	CU_ASSERT_EQUAL(done[0].new_slot, slot);
	pe_grid_settle(grid, 0, old, slot);
	walk = testing_walk(testing_box(0, (2 << 20) - 1));
	CU_ASSERT_EQUAL_FATAL(pe_grid_walk(grid, &walk, hits, 64), 1);
	CU_ASSERT_FALSE(walk.flagged);
	CU_ASSERT_EQUAL(hits[0].word, pe_word_make(7, 7, 7));
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

static void a_moved_slot_is_handed_out_wherever_it_was(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint32_t old = testing_insert(grid, testing_key(0, 0, 0), pe_word_make(1000, 5, 5), 9),
		 slot;

	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, testing_key(50, 0, 0), 0, 9, true, &slot), PE_OK);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 999), hits, 64), 0);
	CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, 9, old, slot), PE_OK);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 999), hits, 64), 1);
	pe_grid_destroy(grid);
}

static void a_removal_in_mid_crossing_clears_both(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint32_t old = testing_insert(grid, testing_key(0, 0, 0), 0, 9), slot;
	struct pe_departure done[4];

	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, testing_key(1, 0, 0), 0, 9, true, &slot), PE_OK);
	CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, 9, old, slot), PE_OK);
	pe_grid_remove(grid, 0, slot, old);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 2 << 20), hits, 64), 0);
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 3);
	pe_rcu_synchronize();
	// The departure still comes; what the record says now is the caller's to compare.
	CU_ASSERT_EQUAL(pe_grid_poll(grid, 0, done, 4), 1);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// Puts handle n from its slot into the cell, the short way; its name.
static uint32_t cross_shortly(struct pe_grid *grid, uint32_t n, uint64_t key, uint32_t *slot)
{
	uint32_t leaf[PE_BATCH_MAX], old = *slot, crossing;

	pe_grid_prefetch_inserts(grid, &key, 1, leaf);
	CU_ASSERT_EQUAL(pe_grid_insert_at(grid, 0, leaf[0], key, 0, n, slot), PE_OK);
	crossing = pe_grid_cross(grid, 0, n, old, *slot);
	CU_ASSERT(crossing < 1u << 31);
	CU_ASSERT_EQUAL(pe_grid_crossing_from(grid, crossing), old);
	return crossing;
}

// A batch's have one stamp; what was called off is not handed out, and the others are; a cell that
// is new is made.
static void crossings_the_short_way_are_settled_or_called_off(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint32_t old[3], slot[3], crossing[3];
	struct pe_departure done[4];
	bool more;

	for (uint32_t n = 0; n < 3; n++) {
		old[n] = slot[n] = testing_insert(grid, testing_key(0, 0, 0), 0, n);
		crossing[n] = cross_shortly(grid, n, testing_key(n ? 1 : 2, 0, 0), &slot[n]);
	}
	CU_ASSERT_NOT_EQUAL(crossing[0], crossing[1]);
	pe_rcu_synchronize();
	// They had no stamp yet, and get it here.
	CU_ASSERT_EQUAL(pe_grid_crossed(grid, 0, done, 4, &more), 0);
	CU_ASSERT_FALSE(more);
	CU_ASSERT_EQUAL(pe_grid_call_off(grid, crossing[1]), old[1]);
	pe_grid_remove(grid, 0, slot[1], old[1]);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 4 << 20), hits, 64), 4);
	pe_rcu_synchronize();
	CU_ASSERT_EQUAL_FATAL(pe_grid_crossed(grid, 0, done, 1, &more), 1);
	CU_ASSERT_TRUE(more);
	CU_ASSERT(done[0].handle == 0 && done[0].old_slot == old[0] && done[0].new_slot == slot[0]);
	pe_grid_settle_crossed(grid, 0, done, 1);
	CU_ASSERT_EQUAL(pe_grid_crossed(grid, 0, done, 1, &more), 0);
	CU_ASSERT_TRUE(more);
	CU_ASSERT_EQUAL_FATAL(pe_grid_crossed(grid, 0, done, 4, &more), 1);
	CU_ASSERT(done[0].handle == 2 && done[0].old_slot == old[2] && done[0].new_slot == slot[2]);
	pe_grid_settle_crossed(grid, 0, done, 1);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 4 << 20), hits, 64), 2);
	CU_ASSERT_FALSE((hits[0].word | hits[1].word) & (PE_SLOT_ARRIVING | PE_SLOT_MOVED));
	pe_grid_remove(grid, 0, slot[0], PE_SLOT_NONE);
	pe_grid_remove(grid, 0, slot[2], PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

static void a_claim_outlives_its_grace_period_and_no_longer(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint64_t key = testing_key(0, 0, 0);
	uint32_t first = testing_insert(grid, key, 0, 1), second, third;

	pe_grid_remove(grid, 0, first, PE_SLOT_NONE);
	second = testing_insert(grid, key, 0, 2);
	CU_ASSERT_NOT_EQUAL(first, second);
	testing_grace(grid);
	third = testing_insert(grid, key, 0, 3);
	CU_ASSERT_EQUAL(first, third);
	pe_grid_remove(grid, 0, second, third);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// A claim waits for departures that were deferred before it, so that a slot that a departure names
// is not used anew.
static void claims_wait_for_earlier_departures(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint32_t old[3], slot[3];
	struct pe_departure done[4];

	for (uint32_t i = 0; i < 3; i++) {
		old[i] = testing_insert(grid, testing_key(0, 0, 0), 0, i);
		CU_ASSERT_EQUAL(
			pe_grid_insert(grid, 0, testing_key(1, 0, 0), 0, i, true, &slot[i]), PE_OK);
		CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, i, old[i], slot[i]), PE_OK);
		pe_grid_remove(grid, 0, slot[i], old[i]);
	}
	pe_rcu_synchronize();
	CU_ASSERT_EQUAL(pe_grid_poll(grid, 0, done, 1), 1);
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 8);
	CU_ASSERT_EQUAL(pe_grid_poll(grid, 0, done, 4), 2);
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 0);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

static void a_crowd_fills_many_chunks_and_freed_slots_are_found_again(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 4000});
	uint64_t key = testing_key(3, 3, 0);
	static uint32_t slot[4000];
	uint32_t bigs;

	for (uint32_t i = 0; i < 4000; i++)
		slot[i] = testing_insert(grid, key, i, i);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 10 << 20), hits, 4096), 4000);
	bigs = pe_pool_in_use(&grid->pool[PE_KIND_BIG]);
	CU_ASSERT(bigs >= 125 && bigs <= 126);
	// Half of them go, all over the chain, and as many come: the chain grows by a little at
	// most.
	for (uint32_t round = 0; round < 10; round++) {
		for (uint32_t i = round % 2; i < 4000; i += 2)
			pe_grid_remove(grid, 0, slot[i], PE_SLOT_NONE);
		for (unsigned j = 0; j < 20; j++)
			testing_grace(grid);
		CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 0);
		for (uint32_t i = round % 2; i < 4000; i += 2)
			slot[i] = testing_insert(grid, key, i, i);
	}
	CU_ASSERT(pe_pool_in_use(&grid->pool[PE_KIND_BIG]) <= bigs + bigs / 8);
	// All but one go: their chunks come back though the leaf stays.
	for (uint32_t i = 1; i < 4000; i++)
		pe_grid_remove(grid, 0, slot[i], PE_SLOT_NONE);
	testing_settle_all(grid);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 10 << 20), hits, 64), 1);
	CU_ASSERT(pe_pool_in_use(&grid->pool[PE_KIND_BIG]) <= 2);
	pe_grid_remove(grid, 0, slot[0], PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// One worker's claims pile up while no grace period passes: it is refused with PE_BUSY, nothing is
// lost, and after a grace period it goes on.
static void endless_churn_is_refused_until_a_grace_period(void)
{
	struct pe_grid *grid = testing_grid(
		(struct pe_grid_config){.entity_count_max = 64, .chunk_count_max = 4096});
	enum pe_status status = PE_OK;
	uint32_t slot, n = 0;

	while (n < 100000) {
		status = pe_grid_insert(grid, 0, testing_key(0, 0, 0), 0, 1, true, &slot);
		if (status != PE_OK)
			break;
		CU_ASSERT_EQUAL(pe_grid_depart(grid, 0, 1, PE_SLOT_NONE, slot), PE_OK);
		pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
		n++;
	}
	CU_ASSERT_EQUAL(status, PE_BUSY);
	CU_ASSERT(n > 64);
	pe_rcu_synchronize();
	for (unsigned i = 0; i < 100000 && pe_grid_deferred(grid, 0); i++) {
		struct pe_departure done[64];

		pe_grid_poll(grid, 0, done, 64);
	}
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 0);
	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, testing_key(0, 0, 0), 0, 1, true, &slot), PE_OK);
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// A whole world goes at once, with lists that hold a small part of it: the rest is given back by
// the control thread, not before a grace period, and every slot can be used again.
static void a_world_that_goes_at_once_needs_no_list(void)
{
	enum { COUNT = 20000 };
	static uint32_t slot[COUNT];
	struct pe_grid *grid = testing_grid(
		(struct pe_grid_config){.entity_count_max = COUNT, .crossing_count_max = 1});

	for (unsigned round = 0; round < 3; round++) {
		uint32_t listed, claims = 0;

		for (uint32_t i = 0; i < COUNT; i++)
			slot[i] = testing_insert(grid,
				testing_key((int32_t)(i / 40 % 25), (int32_t)(i / 1000), 0), i, i);
		for (uint32_t i = 0; i < COUNT; i++)
			pe_grid_remove(grid, 0, slot[i], PE_SLOT_NONE);
		CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 30 << 20), hits, 4096), 0);
		listed = pe_grid_deferred(grid, 0);
		CU_ASSERT(listed < COUNT / 2);
		// The control thread meets them, and gives none back without a grace period.
		for (unsigned i = 0; i < 3; i++)
			CU_ASSERT(pe_grid_control(grid) > 0);
		for (uint32_t i = 0; i < pe_pool_mark(&grid->pool[PE_KIND_LEAF]); i++)
			claims += atomic_load(&grid->leaves[i].entry.claim) & ~PE_TAKEN;
		CU_ASSERT_EQUAL(claims, COUNT);
		testing_all_given_back(grid);
	}
	pe_grid_destroy(grid);
}

TESTING_MAIN("grid/slots", {"insert is met and stores move it", insert_is_met_and_stores_move_it},
	{"a crossing is met at both ends with flags", a_crossing_is_met_at_both_ends_with_flags},
	{"a moved slot is handed out wherever it was", a_moved_slot_is_handed_out_wherever_it_was},
	{"a removal in mid crossing clears both", a_removal_in_mid_crossing_clears_both},
	{"crossings the short way are settled or called off",
		crossings_the_short_way_are_settled_or_called_off},
	{"a claim outlives its grace period and no longer",
		a_claim_outlives_its_grace_period_and_no_longer},
	{"claims wait for earlier departures", claims_wait_for_earlier_departures},
	{"a crowd fills many chunks and freed slots are found again",
		a_crowd_fills_many_chunks_and_freed_slots_are_found_again},
	{"endless churn is refused until a grace period",
		endless_churn_is_refused_until_a_grace_period},
	{"a world that goes at once needs no list", a_world_that_goes_at_once_needs_no_list})
