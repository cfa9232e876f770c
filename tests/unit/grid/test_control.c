// Leaves and nodes come and go; pools that are empty refuse and recover.
#include "grid_testing.h"

static struct pe_hit hits[4096];

static void the_path_is_made_and_freed(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint32_t near = testing_insert(grid, testing_key(0, 0, 0), 0, 1), sibling, far;

	CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_NODE]), PE_LEVELS);
	sibling = testing_insert(grid, testing_key(7, 7, 0), 0, 2);
	CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_NODE]), PE_LEVELS);
	CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_LEAF]), 2);
	// The other side of the origin shares nothing but the top two levels.
	far = testing_insert(grid, testing_key(-1, -1, 0), 0, 3);
	CU_ASSERT(pe_pool_in_use(&grid->pool[PE_KIND_NODE]) > PE_LEVELS + 4);
	pe_grid_remove(grid, 0, far, PE_SLOT_NONE);
	testing_settle_all(grid);
	CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_NODE]), PE_LEVELS);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(INT64_MIN, INT64_MAX), hits, 64), 2);
	pe_grid_remove(grid, 0, near, sibling);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

static uint32_t claim_of_leaf(struct pe_grid *grid)
{
	return atomic_load(&grid->leaves[0].entry.claim);
}

// One leaf, given up and closed by the control thread, which waits for a grace period.
static struct pe_grid *closed_leaf(uint64_t key)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint32_t slot = testing_insert(grid, key, 0, 1);

	CU_ASSERT_EQUAL(claim_of_leaf(grid), 1);
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_grace(grid);
	CU_ASSERT_EQUAL(pe_grid_control(grid), 2);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), PE_CLOSED);
	return grid;
}

// Whoever comes into a cell that is being given up doesn't wait, and doesn't lose his place when
// the grace period is over.
static void a_closed_leaf_is_opened_by_who_comes(void)
{
	uint64_t key = testing_key(0, 0, 0);
	struct pe_grid *grid = closed_leaf(key);
	uint32_t slot = testing_insert(grid, key, 0, 2);

	for (unsigned i = 0; i < 10; i++) {
		pe_rcu_synchronize();
		pe_grid_control(grid);
		CU_ASSERT_EQUAL(claim_of_leaf(grid), 1);
		CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 1 << 20), hits, 64), 1);
	}
	CU_ASSERT_EQUAL(pe_grid_control(grid), 0);
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// Opened and left again before the control thread looks: it is closed anew, for a whole grace
// period, and goes in the end.
static void a_leaf_that_was_opened_waits_anew(void)
{
	uint64_t key = testing_key(0, 0, 0);
	struct pe_grid *grid = closed_leaf(key);
	uint32_t slot = testing_insert(grid, key, 0, 2);

	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_grace(grid);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), 0);
	(void)pe_grid_control(grid); // meets it open in its list, and looks again
	CU_ASSERT_EQUAL(claim_of_leaf(grid), PE_CLOSED);
	(void)pe_grid_control(grid);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), PE_CLOSED); // no grace period has passed
	testing_all_given_back(grid);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), PE_TAKEN);
	pe_grid_destroy(grid);
}

// As by who finds no slot after all: the claim goes back at once. It is not closed a second time
// before its turn comes, or the first grace period would do for both.
static void a_claim_that_goes_back_at_once_waits_anew(void)
{
	struct pe_grid *grid = closed_leaf(testing_key(0, 0, 0));
	struct pe_entry *entry = &grid->leaves[0].entry;

	CU_ASSERT(pe_entry_claim(entry));
	CU_ASSERT_EQUAL(pe_entry_unclaim(entry), 0);
	pe_worker_emptied(grid, 0);
	for (unsigned i = 0; i < 3; i++)
		(void)pe_grid_control(grid);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), 0);
	CU_ASSERT_EQUAL(grid->control.closed.count, 1);
	pe_rcu_synchronize();
	(void)pe_grid_control(grid);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), PE_CLOSED);
	testing_all_given_back(grid);
	CU_ASSERT_EQUAL(claim_of_leaf(grid), PE_TAKEN);
	pe_grid_destroy(grid);
}

static void a_node_that_is_closed_is_opened_by_who_comes(void)
{
	uint64_t key = testing_key(0, 0, 0);
	struct pe_grid *grid = closed_leaf(key);
	struct pe_node *nodes = grid->nodes;
	uint32_t slot, found = PE_NONE;

	// Until the leaf is gone, and a node above it is closed.
	for (unsigned i = 0; i < 100 && found == PE_NONE; i++) {
		pe_rcu_synchronize();
		(void)pe_grid_control(grid);
		for (uint32_t n = 0; n < PE_LEVELS; n++)
			if (atomic_load(&nodes[n].entry.claim) == PE_CLOSED)
				found = n;
	}
	CU_ASSERT_FATAL(found != PE_NONE);
	slot = testing_insert(grid, key, 0, 2);
	CU_ASSERT_EQUAL(atomic_load(&nodes[found].entry.claim), 1);
	for (unsigned i = 0; i < 10; i++) {
		pe_rcu_synchronize();
		(void)pe_grid_control(grid);
		CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 1 << 20), hits, 64), 1);
	}
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

static void what_is_just_being_taken_out_says_busy(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint64_t key = testing_key(0, 0, 0);
	uint32_t slot = testing_insert(grid, key, 0, 1), other = 0;
	_Atomic uint32_t *claim = &grid->leaves[0].entry.claim;

	// As between the two steps of the control thread.
	atomic_store(claim, PE_TAKEN);
	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, key, 0, 2, false, &other), PE_BUSY);
	CU_ASSERT_EQUAL(other, PE_SLOT_NONE);
	atomic_store(claim, 1);
	// A neighbour's leaf would need the node above it.
	claim = &grid->nodes[grid->leaves[0].parent].entry.claim;
	atomic_store(claim, PE_TAKEN);
	CU_ASSERT_EQUAL(
		pe_grid_insert(grid, 0, testing_key(1, 0, 0), 0, 2, false, &other), PE_BUSY);
	CU_ASSERT_EQUAL(other, PE_SLOT_NONE);
	atomic_store(claim, 1);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 1 << 20), hits, 64), 1);
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// What is left empty is looked at in the next step, however many cells there are: nothing has to
// come round to it.
static void what_is_left_empty_is_found_at_once(void)
{
	enum { CELLS = 20000 };
	static uint32_t slot[CELLS];
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = CELLS});
	uint32_t left, ref;
	struct pe_note note;

	for (int32_t i = 0; i < CELLS; i++)
		slot[i] = testing_insert(grid, testing_key(i % 200, i / 200, 0), 0, (uint32_t)i);
	pe_grid_remove(grid, 0, slot[CELLS - 1], PE_SLOT_NONE);
	testing_grace(grid);
	CU_ASSERT_EQUAL(pe_grid_control(grid), 2);
	CU_ASSERT_FALSE(grid->control.scanning);
	CU_ASSERT_EQUAL(grid->workers[0].emptied, 0);
	for (unsigned i = 0; i < 2; i++) {
		pe_rcu_synchronize();
		(void)pe_grid_control(grid);
	}
	CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_LEAF]), CELLS - 1);
	// A second chunk that the last of its entities left, in a cell that the others stay in.
	for (uint32_t i = 0; i < PE_BIG_SLOTS; i++)
		(void)testing_insert(grid, testing_key(0, 0, 0), 0, CELLS + i);
	left = pe_pool_in_use(&grid->pool[PE_KIND_BIG]) +
		pe_pool_in_use(&grid->pool[PE_KIND_SMALL]);
	ref = atomic_load(&grid->leaves[atomic_load(&pe_chunk_at(grid, slot[0])->leaf)].head);
	CU_ASSERT_EQUAL_FATAL(atomic_load(&pe_chunk_at(grid, ref)->claimed), 1);
	pe_grid_remove(grid, 0, ref, PE_SLOT_NONE);
	testing_grace(grid);
	note = grid->workers[0].notes.note[(grid->workers[0].notes.tail - 1) % PE_NOTES_MAX];
	CU_ASSERT_EQUAL(note.kind, PE_KIND_BIG);
	CU_ASSERT_EQUAL(note.index, ref);
	for (unsigned i = 0; i < 2; i++) {
		(void)pe_grid_control(grid);
		pe_rcu_synchronize();
	}
	(void)pe_grid_control(grid);
	CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[PE_KIND_BIG]) +
			pe_pool_in_use(&grid->pool[PE_KIND_SMALL]),
		left - 1);
	pe_grid_destroy(grid);
}

// More than there is room to note: everything is looked at, and found.
static void more_than_can_be_noted_is_found_too(void)
{
	enum { CELLS = 3 * PE_NOTES_MAX };
	static uint32_t slot[CELLS];
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = CELLS});

	for (int32_t i = 0; i < CELLS; i++)
		slot[i] = testing_insert(grid, testing_key(i % 200, i / 200, 0), 0, (uint32_t)i);
	for (uint32_t i = 0; i < CELLS; i++) {
		pe_grid_remove(grid, 0, slot[i], PE_SLOT_NONE);
		if (i % 64 == 63)
			testing_grace(grid);
	}
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 0);
	CU_ASSERT_EQUAL(grid->workers[0].notes.tail, PE_NOTES_MAX);
	CU_ASSERT_EQUAL(grid->workers[0].emptied, CELLS - PE_NOTES_MAX);
	testing_all_given_back(grid);
	CU_ASSERT_EQUAL(grid->workers[0].notes.head, grid->workers[0].notes.tail);
	pe_grid_destroy(grid);
}

// Each alone, far from the others, until the grid refuses; then everything is still there, goes,
// and fits again.
static void scatter_until_full(struct pe_grid_config config, uint32_t least)
{
	static uint32_t slot[20000];
	struct pe_grid *grid = testing_grid(config);

	for (unsigned round = 0; round < 3; round++) {
		uint32_t n = 0, refused = 0, met;

		for (uint32_t i = 0; i < 20000 && refused < 100; i++) {
			int32_t x = (int32_t)(i * 7919u % 400000) - 200000,
				y = (int32_t)(i * 104729u % 400000) - 200000;
			enum pe_status status = pe_grid_insert(grid, 0,
				testing_key(x, y, (int32_t)(i % 1000)), 0, n, false, &slot[n]);

			CU_ASSERT(status == PE_OK || status == PE_FULL);
			n += status == PE_OK;
			refused += status == PE_FULL;
		}
		CU_ASSERT(refused > 0);
		CU_ASSERT(n >= least);
		met = 0;
		for (struct pe_walk walk = testing_walk(testing_box(INT64_MIN, INT64_MAX));
			!pe_walk_ended(&walk);)
			met += pe_grid_walk(grid, &walk, hits, 4096);
		CU_ASSERT_EQUAL(met, n);
		for (uint32_t i = 0; i < n; i++)
			pe_grid_remove(grid, 0, slot[i], PE_SLOT_NONE);
		testing_all_given_back(grid);
	}
	pe_grid_destroy(grid);
}

static void each_pool_refuses_and_recovers(void)
{
	scatter_until_full(
		(struct pe_grid_config){.entity_count_max = 10000, .leaf_count_max = 100}, 100);
	scatter_until_full(
		(struct pe_grid_config){.entity_count_max = 10000, .node_count_max = 100}, 10);
	scatter_until_full(
		(struct pe_grid_config){.entity_count_max = 10000, .chunk_count_max = 50}, 50);
	scatter_until_full((struct pe_grid_config){.entity_count_max = 2000}, 2000);
}

static void a_bad_configuration_is_refused_in_words(void)
{
	static const struct pe_grid_config bad[] = {
		{.entity_count_max = 0, .worker_count = 1},
		{.entity_count_max = 10, .worker_count = 0},
		{.entity_count_max = 10, .worker_count = PE_WORKERS_MAX + 1},
		{.entity_count_max = PE_ENTITIES_MAX + 1, .worker_count = 1},
		{.entity_count_max = 10, .worker_count = 1, .chunk_count_max = 1u << 26},
	};

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct pe_error error = {0};
		struct pe_grid *grid;

		CU_ASSERT_EQUAL(pe_grid_create(&bad[i], &grid, &error), PE_INVALID);
		CU_ASSERT_PTR_NULL(grid);
		CU_ASSERT(error.text[0] != 0);
	}
	pe_grid_destroy(NULL);
}

static void the_bill_adds_up(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){.entity_count_max = 100000});
	struct pe_grid_plan plan = pe_grid_plan(grid);

	CU_ASSERT(plan.leaves == 65536 && plan.chunks * 448 >= 100000 * 16 + 65536 * 128);
	CU_ASSERT(plan.total_bytes >= plan.leaf_bytes + plan.node_bytes + plan.chunk_bytes +
			plan.deferred_bytes + plan.other_bytes);
	CU_ASSERT(plan.total_bytes < 100000ull * 200);
	pe_grid_destroy(grid);
	// What a million and ten million cost.
	for (uint32_t n = 1000000; n <= 4000000; n *= 4) {
		grid = testing_grid((struct pe_grid_config){.entity_count_max = n});
		CU_ASSERT(pe_grid_plan(grid).leaves >= n / 16);
		CU_ASSERT(pe_grid_plan(grid).total_bytes < n * 36ull);
		pe_grid_destroy(grid);
	}
}

TESTING_MAIN("grid/control", {"the path is made and freed", the_path_is_made_and_freed},
	{"a closed leaf is opened by who comes", a_closed_leaf_is_opened_by_who_comes},
	{"a leaf that was opened waits anew", a_leaf_that_was_opened_waits_anew},
	{"a claim that goes back at once waits anew", a_claim_that_goes_back_at_once_waits_anew},
	{"a node that is closed is opened by who comes",
		a_node_that_is_closed_is_opened_by_who_comes},
	{"what is just being taken out says busy", what_is_just_being_taken_out_says_busy},
	{"what is left empty is found at once", what_is_left_empty_is_found_at_once},
	{"more than can be noted is found too", more_than_can_be_noted_is_found_too},
	{"each pool refuses and recovers", each_pool_refuses_and_recovers},
	{"a bad configuration is refused in words", a_bad_configuration_is_refused_in_words},
	{"the bill adds up", the_bill_adds_up})
