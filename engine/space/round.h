// Places rounded to the middle of a cell of a grid that is fixed in the space and belongs to a size: whoever is told of the middle alone
// learns the cell and no more, however often. CARTESIAN: cubes that meet at the origin. GEODETIC: rows between parallels from the south
// pole on, each divided between meridians from −180° on into cells that are at least so wide at the row's middle; heights in steps
// from 0. Pure; any thread.
#pragma once

#include "space/space.h"

// Rounds *position to the middle of its cell of resolution_m (0.01 … 100,000); an unknown height stays 0. Returns how far what was there
// may be from what is now, m: the same for all of a cell. The middle may be out of the space's bounds.
double pe_space_round(
	const struct pe_space *space, double resolution_m, bool height_known, double position[3]);
