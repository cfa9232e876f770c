// Sizes, memory and the empty grid.
#include "grid/grid.h"

#include "grid/grid_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ALIGN(bytes) (((bytes) + 127) & ~(uint64_t)127)

struct layout {
	uint64_t leaf, node, chunks, classes, leaf_heads, node_heads, stores, workers, pending;
	uint32_t leaf_buckets, node_buckets, departure_blocks, claim_blocks, slabs;
	uint64_t leaf_bytes, node_bytes, chunk_bytes, deferred_bytes, other_bytes, total;
};

static uint32_t buckets_for(uint64_t count)
{
	uint32_t buckets = 64;

	while (buckets < count)
		buckets *= 2;
	return buckets;
}

#define SLOT_BYTES    16
#define CELL_CROWD    16    // entities a cell that the pools are made for, at least …
#define CELLS_FOR_ALL 65536 // … of these, where a cell each costs little

// All slabs' lines, the last one's included, have to be told in a reference.
#define CHUNKS_MAX \
	((unsigned)(PE_LINES_MAX / (sizeof(struct pe_big) / PE_LINE_BYTES)) - PE_SLAB_BIGS)

uint32_t pe_grid_cells(uint32_t entity_count_max)
{
	uint32_t crowded = entity_count_max / CELL_CROWD;
	uint32_t lone = entity_count_max < CELLS_FOR_ALL ? entity_count_max : CELLS_FOR_ALL;

	return crowded > lone ? crowded : lone;
}

static bool derive(
	const struct pe_grid_config *config, struct pe_grid_plan *plan, struct pe_error *error)
{
	uint64_t n = config->entity_count_max;

	if (n == 0 || n > PE_ENTITIES_MAX || config->worker_count == 0 ||
		config->worker_count > PE_WORKERS_MAX) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text,
			"the grid needs 1 to %u entities and 1 to %u workers, and was given %u and "
			"%u",
			PE_ENTITIES_MAX, PE_WORKERS_MAX, config->entity_count_max,
			config->worker_count);
		return false;
	}
	// An entity needs a slot: 14 bytes of a full big chunk, 16 of a small one. A cell needs a
	// leaf, what its newest chunk leaves unused, and a share of a node: a 64th where cells lie
	// side by side, more where they are scattered. What is beyond is refused with PE_FULL.
	plan->leaves = config->leaf_count_max ? config->leaf_count_max :
						pe_grid_cells(config->entity_count_max);
	plan->nodes = config->node_count_max ? config->node_count_max : plan->leaves / 4 + 16384;
	plan->chunks = config->chunk_count_max ?
		config->chunk_count_max :
		(n * SLOT_BYTES + plan->leaves * sizeof(struct pe_small)) / sizeof(struct pe_big) +
			256;
	plan->crossings = config->crossing_count_max ? config->crossing_count_max : n / 16 + 256;
	// No more is ever of use: a chunk and a path of nodes for each cell, a crossing for each
	// entity.
	if (!config->node_count_max && plan->nodes > plan->leaves * PE_LEVELS + 64)
		plan->nodes = plan->leaves * PE_LEVELS + 64;
	if (plan->crossings > n)
		plan->crossings = n;
	if (plan->leaves > 1u << 30 || plan->nodes > 1u << 30 || plan->chunks > CHUNKS_MAX) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text,
			"the grid's pools are bounded to 2^30 leaves and nodes and %u chunks",
			CHUNKS_MAX);
		return false;
	}
	return true;
}

static struct layout lay_out(const struct pe_grid_plan *plan, const struct pe_grid_config *config)
{
	unsigned workers = config->worker_count;
	uint64_t n = config->entity_count_max;
	struct layout l = {0};

	l.leaf_buckets = 2 * buckets_for(plan->leaves);
	l.node_buckets = 2 * buckets_for(plan->nodes);
	// A departure for each crossing, and some of removed entities; two claims for each, and
	// some of entities that are not crossing.
	l.departure_blocks =
		(uint32_t)(5 * plan->crossings / 4 / (PE_DEFER_BLOCK_WORDS / PE_DEPART_WORDS) +
			16 * workers + 16);
	l.claim_blocks = (uint32_t)((2 * plan->crossings + n / 64) /
			(PE_DEFER_BLOCK_WORDS / PE_CLAIM_WORDS) +
		8 * workers + 16);
	l.slabs = (uint32_t)((plan->chunks + PE_SLAB_BIGS - 1) / PE_SLAB_BIGS);
	l.leaf = ALIGN(plan->leaves * sizeof(struct pe_leaf));
	l.node = ALIGN(plan->nodes * sizeof(struct pe_node));
	l.chunks = ALIGN((uint64_t)l.slabs * PE_SLAB_BYTES);
	l.classes = ALIGN((uint64_t)l.slabs);
	l.leaf_heads = ALIGN(4ull * l.leaf_buckets);
	l.node_heads = ALIGN(4ull * l.node_buckets);
	l.stores = ALIGN((uint64_t)l.claim_blocks * PE_DEFER_BLOCK_BYTES) +
		ALIGN((uint64_t)l.departure_blocks * PE_DEFER_BLOCK_BYTES);
	l.workers = ALIGN(workers * sizeof(struct pe_grid_worker));
	l.pending = ALIGN(PE_PENDING_MAX * sizeof(struct pe_pending));
	l.leaf_bytes = l.leaf + l.leaf_heads + pe_pool_bytes((uint32_t)plan->leaves, workers);
	l.node_bytes = l.node + l.node_heads + pe_pool_bytes((uint32_t)plan->nodes, workers);
	l.chunk_bytes = l.chunks + l.classes + pe_pool_bytes(l.slabs * PE_SLAB_BIGS, workers) +
		pe_pool_bytes(l.slabs * PE_SLAB_SMALLS, workers);
	l.deferred_bytes = l.stores + pe_pool_bytes(l.claim_blocks, workers) +
		pe_pool_bytes(l.departure_blocks, workers);
	l.other_bytes = ALIGN(sizeof(struct pe_grid)) + l.workers + 2 * l.pending +
		32 * 128; // rounding between the parts
	l.total = l.leaf_bytes + l.node_bytes + l.chunk_bytes + l.deferred_bytes + l.other_bytes;
	return l;
}

static void *carve(char **at, uint64_t bytes)
{
	void *here = *at;

	*at += ALIGN(bytes);
	return here;
}

static void carve_pool(char **at, struct pe_pool *pool, uint64_t capacity, unsigned workers)
{
	void *memory = carve(at, pe_pool_bytes((uint32_t)capacity, workers));

	pe_pool_init(pool, memory, (uint32_t)capacity, workers);
}

static void place(struct pe_grid *grid, const struct layout *l)
{
	const struct pe_grid_plan *plan = &grid->plan;
	unsigned workers = grid->worker_count;
	char *at = grid->memory.base;

	carve(&at, sizeof *grid);
	// Chunks first: they are the ones that want to begin on a line.
	grid->chunks = carve(&at, l->chunks);
	grid->leaves = carve(&at, l->leaf);
	grid->nodes = carve(&at, l->node);
	grid->leaf_table = (struct pe_table){
		carve(&at, l->leaf_heads), l->leaf_buckets - 1, l->leaf_buckets / 2};
	grid->node_table = (struct pe_table){
		carve(&at, l->node_heads), l->node_buckets - 1, l->node_buckets / 2};
	carve_pool(&at, &grid->pool[PE_KIND_LEAF], plan->leaves, workers);
	carve_pool(&at, &grid->pool[PE_KIND_NODE], plan->nodes, workers);
	grid->slabs.class = carve(&at, l->classes);
	grid->slabs.count = l->slabs;
	carve_pool(&at, &grid->pool[PE_KIND_BIG], (uint64_t)l->slabs * PE_SLAB_BIGS, workers);
	carve_pool(&at, &grid->pool[PE_KIND_SMALL], (uint64_t)l->slabs * PE_SLAB_SMALLS, workers);
	pe_pool_start_empty(&grid->pool[PE_KIND_BIG]);
	pe_pool_start_empty(&grid->pool[PE_KIND_SMALL]);
	carve_pool(&at, &grid->claim_store.pool, l->claim_blocks, workers);
	carve_pool(&at, &grid->departure_store.pool, l->departure_blocks, workers);
	grid->claim_store.blocks = carve(&at, (uint64_t)l->claim_blocks * PE_DEFER_BLOCK_BYTES);
	grid->departure_store.blocks =
		carve(&at, (uint64_t)l->departure_blocks * PE_DEFER_BLOCK_BYTES);
	grid->workers = carve(&at, l->workers);
	grid->control.closed.entry = carve(&at, PE_PENDING_MAX * sizeof(struct pe_pending));
	grid->control.gone.entry = carve(&at, PE_PENDING_MAX * sizeof(struct pe_pending));
	assert(at <= (char *)grid->memory.base + grid->memory.bytes);
}

// Everything free: closed, so that neither a stale hint nor the control thread's scan takes it for
// more.
static void make_empty(struct pe_grid *grid, const struct layout *l)
{
	for (uint64_t i = 0; i < l->leaf_buckets; i++)
		atomic_init(&grid->leaf_table.heads[i], PE_NONE);
	for (uint64_t i = 0; i < l->node_buckets; i++)
		atomic_init(&grid->node_table.heads[i], PE_NONE);
	for (uint64_t i = 0; i < grid->plan.leaves; i++)
		atomic_init(&grid->leaves[i].entry.claim, PE_TAKEN);
	for (uint64_t i = 0; i < grid->plan.nodes; i++)
		atomic_init(&grid->nodes[i].entry.claim, PE_TAKEN);
	for (unsigned i = 0; i < grid->worker_count; i++) {
		struct pe_grid_worker *w = &grid->workers[i];
		bool claims = pe_defer_init(&w->claims, &grid->claim_store, i, PE_CLAIM_WORDS);
		bool departures =
			pe_defer_init(&w->departures, &grid->departure_store, i, PE_DEPART_WORDS);
		bool crossings =
			pe_defer_init(&w->crossings, &grid->departure_store, i, PE_DEPART_WORDS);

		assert(claims && departures && crossings);
		(void)claims;
		(void)departures;
		(void)crossings;
	}
}

enum pe_status pe_grid_create(
	const struct pe_grid_config *config, struct pe_grid **grid_out, struct pe_error *error)
{
	struct pe_grid_plan plan = {0};
	struct pe_memory memory;
	struct pe_grid *grid;
	struct layout l;

	*grid_out = NULL;
	if (!derive(config, &plan, error))
		return error->status;
	l = lay_out(&plan, config);
	plan.chunks = (uint64_t)l.slabs * PE_SLAB_BIGS;
	plan.leaf_bytes = l.leaf_bytes;
	plan.node_bytes = l.node_bytes;
	plan.chunk_bytes = l.chunk_bytes;
	plan.deferred_bytes = l.deferred_bytes;
	plan.other_bytes = l.other_bytes;
	plan.total_bytes = l.total;
	if (pe_memory_map(plan.total_bytes, config->huge_pages, &memory) != PE_OK) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text,
			"the grid needs %llu MiB for %u entities and could not have them (%s); lower the number of "
			"entities or give the machine more memory",
			(unsigned long long)(plan.total_bytes >> 20), config->entity_count_max,
			strerror(errno));
		return error->status;
	}
	grid = memory.base;
	grid->memory = memory;
	if (getrandom(grid->secret, sizeof grid->secret, 0) != (ssize_t)sizeof grid->secret) {
		error->status = PE_IO;
		snprintf(error->text, sizeof error->text, "the system gave no random bytes: %s",
			strerror(errno));
		pe_memory_unmap(&memory);
		return error->status;
	}
	plan.total_bytes = grid->memory.mapped_bytes;
	grid->plan = plan;
	grid->worker_count = config->worker_count;
	place(grid, &l);
	make_empty(grid, &l);
	pe_grid_force_scan(grid, pe_scan_best());
	*grid_out = grid;
	return PE_OK;
}

void pe_grid_destroy(struct pe_grid *grid)
{
	struct pe_memory memory;

	if (!grid)
		return;
	memory = grid->memory;
	pe_memory_unmap(&memory);
}

struct pe_grid_plan pe_grid_plan(const struct pe_grid *grid)
{
	return grid->plan;
}
