// Halts the control thread of a grid, for a test, in the moment in which it takes leaves out of
// their table: whoever comes into one of them then is turned away. One thread.
#pragma once

#include <stdbool.h>

struct pe_grid;

// All closed leaves are marked as taken. False: there are none.
bool closing_take(struct pe_grid *grid);
// They are closed again, as if nothing had been. Not after the control thread has run.
void closing_give(struct pe_grid *grid);
