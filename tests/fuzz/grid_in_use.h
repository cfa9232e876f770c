// What the fuzzer asks of the grid's inside, which does not go into one file with the engine's.
#pragma once

#include "grid/grid.h"

// Leaves, nodes and chunks that are not free.
unsigned fuzz_grid_in_use(const struct pe_grid *grid);
