#include "core.h"

#include "grid/grid_internal.h"

// What a walk or a move may touch: the cells' heads, the nodes above them, and their chunks, as
// many as are in use.
uint64_t core_grid_bytes_used(const struct pe_grid *grid)
{
	return pe_pool_in_use(&grid->pool[PE_KIND_LEAF]) * sizeof(struct pe_leaf) +
		pe_pool_in_use(&grid->pool[PE_KIND_NODE]) * sizeof(struct pe_node) +
		pe_pool_in_use(&grid->pool[PE_KIND_BIG]) * sizeof(struct pe_big) +
		pe_pool_in_use(&grid->pool[PE_KIND_SMALL]) * sizeof(struct pe_small);
}

void core_grid_fix_secret(struct pe_grid *grid)
{
	for (unsigned i = 0; i < 4; i++)
		grid->secret[i] = 0x9E3779B97F4A7C15ull * (i + 1);
}
