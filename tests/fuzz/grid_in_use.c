#include "fuzz/grid_in_use.h"

#include "grid/grid_internal.h"

unsigned fuzz_grid_in_use(const struct pe_grid *grid)
{
	unsigned sum = 0;

	for (unsigned kind = 0; kind < PE_KIND_COUNT; kind++)
		sum += pe_pool_in_use(&grid->pool[kind]);
	return sum;
}
