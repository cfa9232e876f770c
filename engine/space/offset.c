#include "space/offset.h"

#include "space/geodesy.h"

#define STEPS 6 // each leaves less than a hundredth of the error, near the surface

// Earth-centred metres → latitude, longitude, height.
static void locate(const double p[3], double position[3])
{
	double across = hypot(p[0], p[1]), latitude = atan2(p[2], across * (1 - GEO_E2));
	double s = 0, prime = GEO_A;

	for (unsigned i = 0; i < STEPS; i++) {
		s = sin(latitude);
		prime = GEO_A / sqrt(1 - GEO_E2 * s * s);
		latitude = atan2(p[2] + GEO_E2 * prime * s, across);
	}
	s = sin(latitude);
	prime = GEO_A / sqrt(1 - GEO_E2 * s * s);
	position[0] = latitude / GEO_DEGREE;
	position[1] = atan2(p[1], p[0]) / GEO_DEGREE;
	// Along the normal, which works at the poles too.
	position[2] = across * cos(latitude) + p[2] * s - prime * (1 - GEO_E2 * s * s);
}

bool pe_space_offset(const struct pe_space *space, const double from[3], const double metres[3],
	double position[3])
{
	double up[3], east[3], north[3], p[3], square = geo_dot(metres, metres);
	double longitude = from[1] * GEO_DEGREE;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++)
			position[i] = from[i] + metres[i];
		return square - square == 0;
	}
	if (!(square <= PE_OFFSET_MAX_M * PE_OFFSET_MAX_M))
		return false;
	geo_normal(from[0], from[1], up);
	geo_point(up, from[2], p);
	// At a pole the longitude that is named says where north is.
	east[0] = -sin(longitude);
	east[1] = cos(longitude);
	east[2] = 0;
	north[0] = up[1] * east[2] - up[2] * east[1];
	north[1] = up[2] * east[0] - up[0] * east[2];
	north[2] = up[0] * east[1] - up[1] * east[0];
	for (unsigned i = 0; i < 3; i++)
		p[i] += metres[0] * east[i] + metres[1] * north[i] + metres[2] * up[i];
	locate(p, position);
	return true;
}
