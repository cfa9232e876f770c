#include "space/coarse.h"

#include <math.h>

// Metres a degree: at most so many along a meridian, and along a parallel at most as many times the
// cosine of its latitude.
#define DEGREE_MAX_M 111700.0
// Half a diagonal of a square and of a cube, and what rounding adds; and the same of what is no
// square.
#define ACROSS_SQUARE 0.70715f
#define ACROSS_CUBE   0.86610f
#define ALONG         1.0f
#define ALONG_AND_UP  1.11804f
// A parallel that is cut into fewer parts is no straight line any more.
#define PARTS_STRAIGHT 4.0

static double middle(double v, double edge)
{
	return (floor(v / edge) + 0.5) * edge;
}

static double nearest(double v, double edge)
{
	return floor(v / edge + 0.5) * edge;
}

// Of an axis of a CARTESIAN space: within its extent, and within what the key holds, which ends
// below its last multiple.
static double within(const struct pe_space *space, unsigned axis, double v)
{
	double unit_m = 1 / (axis == 2 ? space->units_per_m_up : space->units_per_m);
	double low = ((double)space->units_lo[axis] + 0.5) * unit_m;
	double high = ((double)space->units_hi[axis] + 0.5) * unit_m;

	return fmin(fmax(v, fmax(low, -space->extent_m)), fmin(high, space->extent_m));
}

// True: the cell is no square, not even nearly.
static bool round_geodetic(double edge_m, const double position[3], double rounded[3])
{
	double bands = ceil(180.0 * DEGREE_MAX_M / edge_m);
	double band = fmin(floor((position[0] + 90.0) / 180.0 * bands), bands - 1);
	double south = band / bands * 180.0 - 90.0, north = (band + 1) / bands * 180.0 - 90.0;
	// of the latitude in the band that is nearest the equator
	double least = south > 0 ? south : north < 0 ? -north : 0;
	double parts = fmax(ceil(360.0 * DEGREE_MAX_M * cos(least * M_PI / 180.0) / edge_m), 1);
	double turned = position[1] >= 180.0 ? -180.0 : position[1];
	double part = fmin(floor((turned + 180.0) / 360.0 * parts), parts - 1);

	rounded[0] = (band + 0.5) / bands * 180.0 - 90.0;
	rounded[1] = (part + 0.5) / parts * 360.0 - 180.0;
	return parts < PARTS_STRAIGHT;
}

float pe_space_coarse(const struct pe_space *space, double edge_m, const double position[3],
	bool height_known, double rounded[3])
{
	if (space->config.kind == PE_SPACE_GEODETIC) {
		float across = ACROSS_SQUARE, cube = ACROSS_CUBE;

		rounded[2] = height_known ? nearest(position[2], edge_m) : position[2];
		if (round_geodetic(edge_m, position, rounded))
			across = ALONG, cube = ALONG_AND_UP;
		return (float)edge_m * (height_known ? cube : across);
	}
	for (unsigned i = 0; i < 2; i++)
		rounded[i] = within(space, i, middle(position[i], edge_m));
	rounded[2] = within(space, 2, nearest(position[2], edge_m));
	return (float)edge_m * ACROSS_CUBE;
}
