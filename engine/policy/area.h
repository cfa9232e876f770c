// Areas: the boxes, in a space's own coordinates, that what somebody may do is bound to; and how
// the volume of a query lies to one. A volume is taken as the box about it, which is never smaller
// than the volume: what is said to lie within an area does, and of what lies close to its edge the
// contrary may be said. Pure functions; any thread.
#pragma once

#include "space/space.h"
#include "wire/extension.h"

// CARTESIAN: x, y, z. GEODETIC: latitude, longitude, height; the second of `low` may be above that
// of `high`, and the area then lies across the antimeridian.
struct pe_area {
	uint8_t dimensions; // 0 = everywhere; 2 or 3: of low and high
	double low[3], high[3];
};

// Edges included. A pole is on every meridian, and −180 and 180 are one.
bool pe_area_holds(const struct pe_area *area, bool geodetic, const double position[3]);

// A box about a volume. GEODETIC: low[1] > high[1] crosses the antimeridian, as in an area.
struct pe_bounds {
	bool bounded;       // false: it may reach anywhere
	bool all_meridians; // GEODETIC
	double low[3], high[3];
};

// Of what a query that passed its checks may find: its volume, `margin_m` (≥ 0) wider, and cut to
// its height range. precision_max_m: the largest precision that an entity of the space may state,
// by which a POINT is wider. extension: of the query, or NULL without one. A GEODETIC volume other
// than a box is taken as a cap of the Earth about it.
void pe_area_bounds(const struct pe_space *space, const struct pe_wire_query *query,
	const uint8_t *extension, double margin_m, double precision_max_m,
	struct pe_bounds *bounds);

// Does all of the box lie within the area?
bool pe_area_holds_bounds(
	const struct pe_area *area, bool geodetic, const struct pe_bounds *bounds);
