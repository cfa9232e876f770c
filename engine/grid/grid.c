// Sizes, memory and the empty grid.
#include "grid/grid.h"

#include "grid/grid_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ALIGN(bytes) (((bytes) + 127) & ~(uint64_t)127)

struct layout {
	uint64_t leaf, node, big, small, heads, pools, stores, workers, pending, total;
	uint32_t leaf_buckets, node_buckets, departure_blocks, claim_blocks;
};

static uint32_t buckets_for(uint64_t count)
{
	uint32_t buckets = 64;

	while (buckets < count)
		buckets *= 2;
	return buckets;
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
	// A lone entity needs a leaf, a small chunk, and where nobody else is up to a node a level;
	// a crowd needs a 32nd of a big chunk an entity. The pools hold any crowd, and any scatter
	// whose entities share their third level (16 km at 64 m a cell); what comes beyond is
	// refused with PE_FULL.
	plan->leaves = config->leaf_count_max ? config->leaf_count_max : n + n / 4 + 1024;
	plan->nodes = config->node_count_max ? config->node_count_max : 2 * n + 8192;
	plan->chunks = config->chunk_count_max ? config->chunk_count_max : n / 8 + 256;
	plan->smalls = config->small_count_max ? config->small_count_max : n + 1024;
	if (plan->leaves > 1u << 30 || plan->nodes > 1u << 30 || plan->chunks > 1u << 26 ||
		plan->smalls >= (1u << 28) - 1) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text,
			"the grid's pools are bounded to 2^30 leaves and nodes, 2^26 chunks and "
			"2^28 - 2 small ones");
		return false;
	}
	return true;
}

static struct layout lay_out(const struct pe_grid_plan *plan, const struct pe_grid_config *config)
{
	unsigned workers = config->worker_count;
	uint64_t n = config->entity_count_max;
	struct layout l = {0};

	l.leaf_buckets = buckets_for(plan->leaves);
	l.node_buckets = buckets_for(plan->nodes);
	// An entity has two slots at most that will need an entry in a list of claims, and as much
	// again as half of them may wait there; a departure each, and some of removed entities.
	l.claim_blocks = (uint32_t)(3 * n / (PE_DEFER_BLOCK_WORDS / 2) + 8 * workers + 16);
	l.departure_blocks = (uint32_t)(5 * n / 4 / (PE_DEFER_BLOCK_WORDS / 4) + 8 * workers + 16);
	l.leaf = ALIGN(plan->leaves * sizeof(struct pe_leaf));
	l.node = ALIGN(plan->nodes * sizeof(struct pe_node));
	l.big = ALIGN(plan->chunks * sizeof(struct pe_big));
	l.small = ALIGN(plan->smalls * sizeof(struct pe_small));
	l.heads = ALIGN(4ull * l.leaf_buckets) + ALIGN(4ull * l.node_buckets);
	l.pools = pe_pool_bytes((uint32_t)plan->leaves, workers) +
		pe_pool_bytes((uint32_t)plan->nodes, workers) +
		pe_pool_bytes((uint32_t)plan->chunks, workers) +
		pe_pool_bytes((uint32_t)plan->smalls, workers) +
		pe_pool_bytes(l.claim_blocks, workers) + pe_pool_bytes(l.departure_blocks, workers);
	l.stores = ALIGN((uint64_t)(l.claim_blocks + l.departure_blocks) * PE_DEFER_BLOCK_BYTES);
	l.workers = ALIGN(workers * sizeof(struct pe_grid_worker));
	l.pending = ALIGN(2ull * PE_PENDING_MAX * sizeof(struct pe_pending));
	l.total = l.leaf + l.node + l.big + l.small + l.heads + l.pools + l.stores + l.workers +
		l.pending;
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
	grid->bigs = carve(&at, l->big);
	grid->smalls = carve(&at, l->small);
	grid->leaves = carve(&at, l->leaf);
	grid->nodes = carve(&at, l->node);
	grid->leaf_table =
		(struct pe_table){carve(&at, 4ull * l->leaf_buckets), l->leaf_buckets - 1};
	grid->node_table =
		(struct pe_table){carve(&at, 4ull * l->node_buckets), l->node_buckets - 1};
	carve_pool(&at, &grid->pool[PE_KIND_LEAF], plan->leaves, workers);
	carve_pool(&at, &grid->pool[PE_KIND_NODE], plan->nodes, workers);
	carve_pool(&at, &grid->pool[PE_KIND_BIG], plan->chunks, workers);
	carve_pool(&at, &grid->pool[PE_KIND_SMALL], plan->smalls, workers);
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
		atomic_init(&grid->leaves[i].entry.claim, PE_CLOSED);
	for (uint64_t i = 0; i < grid->plan.nodes; i++)
		atomic_init(&grid->nodes[i].entry.claim, PE_CLOSED);
	for (uint32_t i = 0; i < grid->plan.chunks; i++)
		atomic_init(&pe_chunk_at(grid, pe_big_ref(i))->claimed, PE_NONE);
	for (uint32_t i = 0; i < grid->plan.smalls; i++)
		atomic_init(&pe_chunk_at(grid, pe_small_ref(i))->claimed, PE_NONE);
	for (unsigned i = 0; i < grid->worker_count; i++) {
		struct pe_grid_worker *w = &grid->workers[i];
		bool claims = pe_defer_init(&w->claims, &grid->claim_store, i, 2);
		bool departures = pe_defer_init(&w->departures, &grid->departure_store, i, 4);

		assert(claims && departures);
		(void)claims;
		(void)departures;
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
	plan.leaf_bytes = l.leaf;
	plan.node_bytes = l.node;
	plan.chunk_bytes = l.big;
	plan.small_bytes = l.small;
	plan.table_bytes = l.heads + l.pools + l.stores + l.workers + l.pending;
	plan.total_bytes = ALIGN(sizeof *grid) + l.total + 32 * 128; // rounding between the parts
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
	grid->big_reserve = (uint32_t)(plan.chunks / 2);
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
