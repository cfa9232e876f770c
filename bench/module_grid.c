// Moves in the grid alone, a million entities: inside a cell (one store, slots asked for a batch
// ahead), and into a neighbour cell with its departure, grace period and settlement. An operation
// is a move.
#include "base/rcu.h"
#include "crowd.h"
#include "grid/grid.h"
#include "modules.h"

#include <stdlib.h>

#define BATCH   64u
#define CROSSED 1024u // crossings between two grace periods

static struct pe_grid *grid;
static struct pe_space space;
static uint32_t *slots; // by entity
static uint8_t *side;
static uint64_t random_state = CROWD_RANDOM;

static struct pe_place place_of(uint32_t n, uint32_t step, double shift_m)
{
	struct pe_place place;
	double position[3];

	crowd_place(n, step, crowd_side_m(MODULE_ENTITIES), position);
	position[0] += shift_m;
	if (pe_space_locate(&space, position, &place) != PE_REASON_none)
		module_fail("a place out of bounds");
	return place;
}

static void set_up(void *context)
{
	struct pe_space_config config = {.id = {1},
		.kind = PE_SPACE_CARTESIAN,
		.leaf_edge_m = CROWD_CELL_M,
		.leaf_height_m = 1024};
	struct pe_grid_config sizes = {
		.entity_count_max = MODULE_ENTITIES, .worker_count = 1, .huge_pages = true};
	struct pe_error error;

	(void)context;
	pe_rcu_register();
	if (grid)
		return;
	slots = calloc(MODULE_ENTITIES, sizeof *slots);
	side = calloc(MODULE_ENTITIES, 1);
	if (!slots || !side || pe_space_prepare(&space, &config, 0, &error) != PE_OK ||
		pe_grid_create(&sizes, &grid, &error) != PE_OK)
		module_fail("no grid");
	for (uint32_t n = 0; n < MODULE_ENTITIES; n++) {
		struct pe_place place = place_of(n, 0, 0);

		if (pe_grid_insert(grid, 0, place.key, place.word, n, false, &slots[n]) != PE_OK)
			module_fail("an entity finds no slot");
	}
}

static void tear_down(void *context)
{
	(void)context;
	pe_rcu_unregister();
}

static void move_inside(void *context, uint64_t count)
{
	uint32_t number[BATCH];

	(void)context;
	for (uint64_t done = 0; done < count; done += BATCH) {
		for (unsigned i = 0; i < BATCH; i++) {
			number[i] = crowd_below(crowd_random(&random_state), MODULE_ENTITIES);
			pe_grid_prefetch_slot(grid, slots[number[i]]);
		}
		for (unsigned i = 0; i < BATCH; i++) {
			// Words only: whose cell it is, is not looked at by a store.
			uint64_t word = pe_word_make(number[i] & 0xFFFFF, i, 1);

			pe_grid_store(grid, slots[number[i]], word);
		}
	}
}

static void settle_all(void)
{
	struct pe_departure done[BATCH];
	unsigned n;

	do {
		(void)pe_grid_control(grid);
		pe_rcu_synchronize();
		while ((n = pe_grid_poll(grid, 0, done, BATCH)) > 0)
			for (unsigned i = 0; i < n; i++)
				pe_grid_settle(grid, 0, done[i].old_slot, done[i].new_slot);
	} while (pe_grid_deferred(grid, 0));
}

static void cross(void *context, uint64_t count)
{
	static uint32_t next;

	(void)context;
	for (uint64_t i = 0; i < count; i++) {
		// A stride that is coprime: scattered, and none twice within a grace period.
		uint32_t n = next = (next + 618033u) % MODULE_ENTITIES, slot;
		struct pe_place place = place_of(n, 0, side[n] ? 0 : CROWD_CELL_M);

		if (pe_grid_insert(grid, 0, place.key, place.word, n, true, &slot) != PE_OK ||
			pe_grid_depart(grid, 0, n, slots[n], slot) != PE_OK)
			module_fail("a crossing failed");
		slots[n] = slot;
		side[n] ^= 1;
		if (i % CROSSED == CROSSED - 1)
			settle_all();
	}
}

void module_grid(void)
{
	static const struct bench_case cases[] = {
		{"grid/move_inside", move_inside, NULL, 1024, set_up, tear_down},
		{"grid/cross", cross, NULL, 2 * CROSSED, set_up, tear_down},
	};

	MODULE_CASES(cases);
}
