// Apart from its users, as the grid's own header and those of entities name their parts alike.
#include "closing.h"

#include "grid/grid_internal.h"

// From one mark to the other; free leaves have the second, and are told by their place in no list.
static unsigned mark(struct pe_grid *grid, uint32_t from, uint32_t to)
{
	unsigned marked = 0;

	for (uint32_t i = 0; i < pe_pool_mark(&grid->pool[PE_KIND_LEAF]); i++) {
		struct pe_leaf *leaf = &grid->leaves[i];

		if (!leaf->queued || atomic_load(&leaf->entry.claim) != from)
			continue;
		atomic_store(&leaf->entry.claim, to);
		marked++;
	}
	return marked;
}

bool closing_take(struct pe_grid *grid)
{
	return mark(grid, PE_CLOSED, PE_TAKEN) > 0;
}

void closing_give(struct pe_grid *grid)
{
	(void)mark(grid, PE_TAKEN, PE_CLOSED);
}
