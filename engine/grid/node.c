// Inner nodes: the path from the root of a frame down to a leaf's parent, made from above, so that
// a child can never be found under a bit that is not set.
#include "grid/grid_internal.h"

void pe_node_set(struct pe_grid *grid, uint32_t node, unsigned child)
{
	_Atomic uint64_t *occupancy = &grid->nodes[node].occupancy;
	uint64_t bit = 1ull << child;

	// NODE: made visible by the release that publishes the child (HASH). Whoever sets it again
	// after the control thread cleared it has found the old child missing, which is later
	// (HASH).
	if (!(atomic_load_explicit(occupancy, memory_order_relaxed) & bit))
		atomic_fetch_or_explicit(occupancy, bit, memory_order_release);
}

void pe_node_unclaim(struct pe_grid *grid, unsigned worker, uint32_t node)
{
	if (pe_entry_unclaim(&grid->nodes[node].entry) == 0)
		pe_worker_note(grid, worker, PE_KIND_NODE, node);
}

// A new node at `level` under `parent`, whose claim the caller hands over to it; with one claim for
// the caller.
static enum pe_status create(struct pe_grid *grid, unsigned worker, uint64_t leaf_key,
	unsigned level, uint32_t parent, uint32_t *node)
{
	struct pe_pool *pool = &grid->pool[PE_KIND_NODE];
	uint32_t index = pe_pool_take(pool, worker), winner;
	struct pe_node *n;

	if (index == PE_NONE) {
		if (parent != PE_NONE)
			pe_node_unclaim(grid, worker, parent);
		return PE_FULL;
	}
	n = &grid->nodes[index];
	n->entry.key = pe_node_key_of(leaf_key, level);
	n->parent = parent;
	n->level = (uint8_t)level;
	atomic_store_explicit(&n->idle, 0, memory_order_relaxed);
	atomic_store_explicit(&n->occupancy, 0, memory_order_relaxed);
	atomic_store_explicit(&n->entry.claim, 1, memory_order_relaxed);
	if (parent != PE_NONE)
		pe_node_set(grid, parent, pe_child_number_of(leaf_key, level));
	PE_STEP();
	winner = pe_table_publish(pe_node_bucket(grid, leaf_key, level), grid->nodes, index);
	*node = winner;
	if (winner == index)
		return PE_OK;
	atomic_store_explicit(&n->entry.claim, PE_TAKEN, memory_order_relaxed);
	pe_pool_give(pool, worker, index);
	if (parent != PE_NONE)
		pe_node_unclaim(grid, worker, parent);
	return pe_entry_claim(&grid->nodes[winner].entry) ? PE_OK : PE_BUSY;
}

enum pe_status pe_node_claim(
	struct pe_grid *grid, unsigned worker, uint64_t leaf_key, uint32_t *node)
{
	uint32_t at = PE_NONE;
	unsigned level;

	for (level = 1; level <= PE_LEVELS; level++) {
		at = pe_table_find(pe_node_bucket(grid, leaf_key, level), grid->nodes,
			pe_node_key_of(leaf_key, level));
		if (at == PE_NONE)
			continue;
		// A node that is just being taken out is out of its table in a moment; the inserter
		// comes back in a later turn.
		if (!pe_entry_claim(&grid->nodes[at].entry))
			return PE_BUSY;
		break;
	}
	while (level > 1) {
		enum pe_status status = create(grid, worker, leaf_key, level - 1, at, &at);

		if (status != PE_OK)
			return status;
		level--;
	}
	*node = at;
	return PE_OK;
}
