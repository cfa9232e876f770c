// A polygon while it is being checked. Internal to engine/space.
#pragma once

#include "space/polygon.h"

#define GEO_WORK_MAX (PE_POLYGON_VERTICES_MAX + 4)

// The edges in the order of the vertices, an array a quantity; the last four are never a whole polygon's.
struct geo_work {
	unsigned count;
	double resolution; // what is closer than this touches, m
	double bulge;      // an arc leaves its chord by less than the chord's square times this, m
	uint16_t next[GEO_WORK_MAX]; // the edge that begins where this one ends
	_Alignas(32) double a[3][GEO_WORK_MAX], b[3][GEO_WORK_MAX]; // both ends, m
	_Alignas(32) double normal[3][GEO_WORK_MAX]; // unit, left of the way from a to b
	_Alignas(32) double begin[3][GEO_WORK_MAX],
		end[3][GEO_WORK_MAX]; // unit, along the way at a and at b
};

// Is every pair of vertices at most `apart_m` apart?
bool geo_work_near(const struct geo_work *work, double apart_m);
// Does an edge cross or touch another, or fold back onto the one before?
bool geo_work_crossing(const struct geo_work *work);

// Parity of the crossings of a position's ray with the edges from … to (multiples of four). `across` is x or the
// longitude in [−180, 180), point the footprint or (x, y, 0).
bool geo_polygon_parity(const struct pe_polygon *polygon, unsigned from, unsigned to, double across,
	const double point[3]);
// The position's longitude as that wants it.
static inline double geo_longitude(const double position[2])
{
	double latitude = position[0], longitude = position[1];

	return longitude == 180.0 || latitude == 90.0 || latitude == -90.0 ? -180.0 : longitude;
}
