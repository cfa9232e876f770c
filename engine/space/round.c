#include "space/round.h"

#include "space/geodesy.h"

// So that what the Earth is not a ball for, and rounding of numbers, is in the bound.
#define SLACK 1.01

static double middle(double v, double size)
{
	return (floor(v / size) + 0.5) * size;
}

// The middle of one of `count` equal parts of low … low + span.
static double middle_of(double v, double low, double span, double count)
{
	double part = floor((v - low) / span * count);

	part = part < 0 ? 0 : part > count - 1 ? count - 1 : part;
	return low + span * ((part + 0.5) / count);
}

double pe_space_round(
	const struct pe_space *space, double resolution_m, bool height_known, double position[3])
{
	double rows, columns, high_m, wide_m, up_m = 0, widest;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++)
			position[i] = middle(position[i], resolution_m);
		return 0.5 * sqrt(3.0) * resolution_m * SLACK;
	}
	rows = floor(M_PI * GEO_A / resolution_m);
	position[0] = middle_of(position[0], -90.0, 180.0, rows);
	columns = floor(2 * M_PI * GEO_A * cos(position[0] * M_PI / 180) / resolution_m);
	columns = columns < 1 ? 1 : columns;
	position[1] = middle_of(position[1], -180.0, 360.0, columns);
	high_m = M_PI * GEO_A / rows;
	// Wider towards the equator.
	widest = fmax(fabs(position[0]) - 90.0 / rows, 0) * M_PI / 180;
	wide_m = 2 * M_PI * GEO_A * cos(widest) / columns;
	if (height_known) {
		position[2] = middle(position[2], resolution_m);
		up_m = resolution_m;
	}
	return 0.5 * sqrt(high_m * high_m + wide_m * wide_m + up_m * up_m) * SLACK;
}
