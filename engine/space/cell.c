// Cells as boxes: for telling whole cells in or out of a volume, and for telling where they are.
#include "space/geodesy.h"
#include "space/region.h"

#include <string.h>

// Units, inclusive and rounded down, to the middle and half of the box that holds the true
// positions.
static void cell_units(const struct pe_space *space, const int64_t lo[3], const int64_t hi[3],
	double middle[3], double half[3])
{
	for (unsigned i = 0; i < 3; i++) {
		double scale = i == 2 ? space->units_per_m_up : space->units_per_m;
		double low = (double)lo[i] / scale, high = ((double)hi[i] + 1.0) / scale;

		middle[i] = 0.5 * (low + high);
		half[i] = 0.5 * (high - low) * (1.0 + 1e-14) + fabs(middle[i]) * 1e-15;
	}
}

// The surface leaves a plane across its normal by at most (a distance)² / 2r, r its smallest radius
// of curvature; seen from a frame at 60° the eightfold of that along the frame's z, and twice as
// much again covers the rest of the cell.
#define CURVED            (16.0 / (2.0 * GEO_RADIUS_MIN))
#define CURVED_CELL_MAX_M 100000.0

// Moves a column's middle onto the surface along the frame's z, and makes it as tall as the surface
// over the column is. False: too large or seen too much from aside to tell.
static bool cell_on_surface(const struct pe_space_frame *frame, double middle[3], double half[3])
{
	double point[3], gradient[3], value = 0.0, slope[3];

	if (half[0] > CURVED_CELL_MAX_M || half[1] > CURVED_CELL_MAX_M)
		return false;
	for (unsigned round = 0; round < 4; round++) { // Newton's
		double size;

		for (unsigned k = 0; k < 3; k++)
			point[k] = frame->home[k] + frame->turn[0][k] * middle[0] +
				frame->turn[1][k] * middle[1] + frame->turn[2][k] * middle[2];
		for (unsigned k = 0; k < 3; k++)
			gradient[k] = point[k] / (k < 2 ? GEO_A * GEO_A : GEO_B * GEO_B);
		value = geo_dot(point, gradient) - 1.0;
		size = sqrt(geo_dot(gradient, gradient));
		for (unsigned i = 0; i < 3; i++)
			slope[i] = geo_dot(frame->turn[i], gradient) / size;
		if (!(slope[2] > 0.5))
			return false;
		middle[2] -= value / (2.0 * size * slope[2]);
	}
	if (!(fabs(value) < 1e-9))
		return false;
	half[2] = 0.01 + CURVED * (half[0] * half[0] + half[1] * half[1]) +
		(fabs(slope[0]) * half[0] + fabs(slope[1]) * half[1]) / slope[2];
	return true;
}

bool geo_cell_make(const struct pe_space *space, unsigned frame_index, const int64_t lo[3],
	const int64_t hi[3], struct geo_cell *cell)
{
	const struct pe_space_frame *frame = &space->frame[frame_index];
	bool flat = space->config.kind == PE_SPACE_CARTESIAN;
	double middle[3], half[3];

	cell_units(space, lo, hi, middle, half);
	if (!flat && !cell_on_surface(frame, middle, half))
		return false;
	for (unsigned i = 0; i < 3; i++) {
		half[i] += flat ? 0.0 : GEO_ARITHMETIC_M;
		cell->at[i] = frame->home[i] + frame->turn[0][i] * middle[0] +
			frame->turn[1][i] * middle[1] + frame->turn[2][i] * middle[2];
		for (unsigned k = 0; k < 3; k++)
			cell->axis[i][k] = frame->turn[i][k] * half[i];
	}
	cell->radius = sqrt(geo_dot(half, half));
	return true;
}

// Latitude and longitude of a point that is not deep in the Earth: each round brings the latitude
// nearer by a factor of e² times the height in Earth radii.
static void ground_below(const double point[3], double position[3])
{
	double across = sqrt(point[0] * point[0] + point[1] * point[1]);
	double latitude = atan2(point[2], across * (1.0 - GEO_E2));

	for (unsigned round = 0; round < 4; round++) {
		double s = sin(latitude), prime = GEO_A / sqrt(1.0 - GEO_E2 * s * s);

		latitude = atan2(point[2] + GEO_E2 * prime * s, across);
	}
	position[0] = fmax(-90.0, fmin(90.0, latitude / GEO_DEGREE));
	position[1] = fmax(-180.0, fmin(180.0, atan2(point[1], point[0]) / GEO_DEGREE));
	position[2] = 0.0;
}

void pe_space_cell_centre(const struct pe_space *space, unsigned frame_index, const int64_t lo[3],
	const int64_t hi[3], double position[3])
{
	const struct pe_space_frame *frame = &space->frame[frame_index];
	double middle[3], half[3], point[3];

	cell_units(space, lo, hi, middle, half);
	if (space->config.kind == PE_SPACE_CARTESIAN) {
		memcpy(position, middle, sizeof middle);
		return;
	}
	for (unsigned k = 0; k < 3; k++)
		point[k] = frame->home[k] + frame->turn[0][k] * middle[0] +
			frame->turn[1][k] * middle[1] + frame->turn[2][k] * middle[2];
	ground_below(point, position);
}
