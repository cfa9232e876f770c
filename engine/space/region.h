// What the makers of regions share. Internal to engine/space. Pure functions of their arguments;
// any thread.
#pragma once

#include "space/space.h"

// Metres that cover the rounding of footprints computed twice in different ways.
#define GEO_ARITHMETIC_M 1e-6

// Fills a region that tests nothing but lo … hi, from ranges in metres of the frame, `slack_m`
// wider. False: the range is empty or outside of the key.
bool geo_region_bound(const struct pe_space *space, unsigned frame, const double lo[3],
	const double hi[3], double slack_m, struct pe_region *region);

// The same of a range in metres of a GEODETIC space's frame, cut to what the space holds: what lies
// outside holds no entity, and wide volumes would start high.
bool geo_region_within(const struct pe_space *space, unsigned frame, double lo[3], double hi[3],
	struct pe_region *region);

// Can a point within `angle` radians of `normal` belong to the frame? Necessary, not sufficient.
bool geo_frame_reached(
	const struct pe_space *space, unsigned frame, const double normal[3], double angle);

// A cell as a box about a place inside of it: half of it along each of its frame's axes, and its
// half diagonal, in metres, the rounding of what it holds included. Earth-centred or x, y, z.
struct geo_cell {
	double at[3], axis[3][3], radius;
};
// From units, inclusive. GEODETIC: the box is about a place of the surface, and as tall as the
// surface over the cell is, not as the cell. False: too large a cell, or seen too much from aside,
// to tell.
bool geo_cell_make(const struct pe_space *space, unsigned frame, const int64_t lo[3],
	const int64_t hi[3], struct geo_cell *cell);
