// What the grid's unit tests share: a small grid with one worker, whose only thread is everybody.
#pragma once

#include "base/rcu.h"
#include "grid/grid_internal.h"
#include "testing.h"

static inline struct pe_grid *testing_grid(struct pe_grid_config config)
{
	struct pe_error error = {0};
	struct pe_grid *grid = NULL;

	if (!config.entity_count_max)
		config.entity_count_max = 1000;
	if (!config.worker_count)
		config.worker_count = 1;
	CU_ASSERT_EQUAL_FATAL(pe_grid_create(&config, &grid, &error), PE_OK);
	return grid;
}

// A cell by signed coordinates, in space 1 and frame 0.
static inline uint64_t testing_key(int32_t x, int32_t y, int32_t z)
{
	return pe_key_make(1, 0, (uint32_t)(x + PE_KEY_X_OFFSET), (uint32_t)(y + PE_KEY_X_OFFSET),
		(uint32_t)(z + PE_KEY_Z_OFFSET));
}

static inline uint32_t testing_insert(
	struct pe_grid *grid, uint64_t key, uint64_t word, uint32_t handle)
{
	uint32_t slot;

	CU_ASSERT_EQUAL(pe_grid_insert(grid, 0, key, word, handle, false, &slot), PE_OK);
	return slot;
}

static inline struct pe_region testing_box(int64_t lo, int64_t hi)
{
	return (struct pe_region){
		.space = 1, .lo = {lo, lo, lo}, .hi = {hi, hi, hi}, .test = PE_REGION_ALL};
}

static inline struct pe_walk testing_walk(struct pe_region region)
{
	return (struct pe_walk){.region = region, .cells_max = 1000000, .candidates_max = 10000000};
}

// All of a region, in one page.
static inline unsigned testing_walk_all(
	struct pe_grid *grid, struct pe_region region, struct pe_hit *hits, unsigned hit_max)
{
	struct pe_walk walk = testing_walk(region);
	unsigned n = pe_grid_walk(grid, &walk, hits, hit_max);

	CU_ASSERT(pe_walk_ended(&walk));
	return n;
}

static inline void testing_grace(struct pe_grid *grid)
{
	struct pe_departure done[64];

	pe_rcu_synchronize();
	CU_ASSERT_EQUAL(pe_grid_poll(grid, 0, done, 64), 0);
}

// Until nothing is deferred and nothing is outstanding. Nothing may depart meanwhile.
static inline void testing_settle_all(struct pe_grid *grid)
{
	for (unsigned i = 0; i < 10000 && (pe_grid_deferred(grid, 0) || pe_grid_control(grid)); i++)
		testing_grace(grid);
	CU_ASSERT_EQUAL(pe_grid_deferred(grid, 0), 0);
	CU_ASSERT_EQUAL(pe_grid_control(grid), 0);
}

static inline void testing_all_given_back(struct pe_grid *grid)
{
	testing_settle_all(grid);
	for (unsigned kind = 0; kind < PE_KIND_COUNT; kind++)
		CU_ASSERT_EQUAL(pe_pool_in_use(&grid->pool[kind]), 0);
}
