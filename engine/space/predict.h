// Where something will be that goes on as it does: constant velocity from a position. CARTESIAN:
// straight. GEODETIC: velocity is metres a second to the east, to the north and up, at the place
// and at its height; it goes on along the surface without turning, and rises by itself. Poles and
// the antimeridian are ordinary places. Tuned for a call an update or a candidate: 10 ns on a
// plane, some 200 ns on Earth.
//
// On Earth the way is an arc of the circle that fits the ellipsoid in the direction of the start:
// beside the geodesic by 1 mm at most up to 30 km, by 0.3 m at 210 km, which is the furthest there
// is.
//
// Pure functions of their arguments; any thread.
#pragma once

#include "space/space.h"

struct pe_motion {
	double position[3];
	// GEODETIC: along the axes at `position`; at a pole, those of the longitude that is stated
	double velocity[3];
	bool height_known; // GEODETIC; else position[2] and velocity[2] are left alone
};

// The speed that a prediction takes for an entity with this velocity: at most
// PE_PREDICT_SPEED_MAX_MPS.
double pe_motion_speed(const double velocity[3]);

// After `seconds`, from 0 to PE_PREDICT_HORIZON_MAX_MS. What is faster than
// PE_PREDICT_SPEED_MAX_MPS gets that far only; its velocity is kept. Where nothing moves the
// position is kept to the bit. The position must have passed pe_space_locate's checks, and the
// velocity be finite.
struct pe_motion pe_space_predict(
	const struct pe_space *space, const struct pe_motion *from, double seconds);

// How far apart two places are, squared, straight and in metres: GEODETIC between the footprints,
// and between the heights where both are known.
double pe_motion_apart_square(
	const struct pe_space *space, const struct pe_motion *a, const struct pe_motion *b);
// How different two velocities are, m/s, each along the axes of its own place: near a pole equal
// numbers are no equal velocities.
double pe_motion_turned(
	const struct pe_space *space, const struct pe_motion *a, const struct pe_motion *b);
