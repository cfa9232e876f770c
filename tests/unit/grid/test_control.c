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

static void a_leaf_that_is_being_closed_says_busy_and_is_made_anew(void)
{
	struct pe_grid *grid = testing_grid((struct pe_grid_config){0});
	uint64_t key = testing_key(0, 0, 0);
	uint32_t slot = testing_insert(grid, key, 0, 1);
	unsigned turns = 0;

	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_grace(grid);
	CU_ASSERT(pe_grid_control(grid) > 0); // closes it
	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, key, 0, 2, false, &slot), PE_BUSY);
	CU_ASSERT_EQUAL(slot, PE_SLOT_NONE);
	while (pe_grid_insert(grid, 0, key, 0, 2, false, &slot) == PE_BUSY && turns++ < 100) {
		pe_rcu_synchronize();
		pe_grid_control(grid);
	}
	// Its parents wait: it does not meet one closing ancestor after the other.
	CU_ASSERT(turns <= 2);
	CU_ASSERT_EQUAL(testing_walk_all(grid, testing_box(0, 1 << 20), hits, 64), 1);
	pe_grid_remove(grid, 0, slot, PE_SLOT_NONE);
	testing_all_given_back(grid);
	pe_grid_destroy(grid);
}

// Each alone, far from the others, until the grid refuses; then everything is still there, goes, and fits again.
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
	{"a leaf that is being closed says busy and is made anew",
		a_leaf_that_is_being_closed_says_busy_and_is_made_anew},
	{"each pool refuses and recovers", each_pool_refuses_and_recovers},
	{"a bad configuration is refused in words", a_bad_configuration_is_refused_in_words},
	{"the bill adds up", the_bill_adds_up})
