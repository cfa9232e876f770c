// Stable cells for positions that are told only roughly: the one way in which places are rounded,
// for precision levels, GRID, the resolution of a SCOPE and what stays of noise. Cells are fixed in
// the space, not about the entity, so that asking again, or asking from elsewhere, tells nothing
// that the first answer did not.
//
// CARTESIAN: cubes, of which two faces an axis lie at multiples of the edge across; up, the middle
// of a cell does, so that what stays at z = 0 is told to be there. GEODETIC: bands of latitude of
// equal height, each cut into equal parts of its parallels, neither higher nor wider than the edge;
// heights as up. Pure; any thread.
#pragma once

#include "space/space.h"

#define PE_ROUND_EDGE_MIN_M 0.01
#define PE_ROUND_EDGE_MAX_M 1e6

// The middle of the cell that holds a position, of a space's, that passed pe_space_locate's checks
// of coordinates. height_known: else the height stays what it is. Returns how far from there
// anything in the cell is at most, metres, the same for all of it: with heights where they are
// known. `rounded` may be `position`. A CARTESIAN middle lies within the space's extent; a GEODETIC
// one may be outside, if the space has one.
float pe_space_coarse(const struct pe_space *space, double edge_m, const double position[3],
	bool height_known, double rounded[3]);
