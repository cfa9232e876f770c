// WGS84 in the few forms that the spaces need: footprints, turned axes, radii of curvature.
// Internal to engine/space. Pure functions of their arguments; any thread.
#pragma once

#include <math.h>
#include <stdbool.h>

#define GEO_A  6378137.0             // semi-major axis, m
#define GEO_F  (1.0 / 298.257223563) // flattening
#define GEO_E2 (GEO_F * (2.0 - GEO_F))
#define GEO_B  (GEO_A * (1.0 - GEO_F))
#define GEO_RADIUS_MIN \
	(GEO_A * (1.0 - GEO_E2)) // smallest radius of curvature: along the meridian, at the equator
#define GEO_DEGREE 0.017453292519943295769

// Sine and cosine of 0 … 90 degrees, without a branch and several times faster than the library's:
// folded at 45°, where the Taylor series ends below a tenth of the last bit. Exact at 0 and 90.
static inline void geo_sincos(double degrees, double *sine, double *cosine)
{
	bool swap = degrees > 45.0;
	double x = (swap ? 90.0 - degrees : degrees) * GEO_DEGREE, y = x * x;
	double s = -1.0 / 1307674368000.0, c = 1.0 / 20922789888000.0;

	s = s * y + 1.0 / 6227020800.0;
	s = s * y - 1.0 / 39916800.0;
	s = s * y + 1.0 / 362880.0;
	s = s * y - 1.0 / 5040.0;
	s = s * y + 1.0 / 120.0;
	s = s * y - 1.0 / 6.0;
	s = x + x * y * s;
	c = c * y - 1.0 / 87178291200.0;
	c = c * y + 1.0 / 479001600.0;
	c = c * y - 1.0 / 3628800.0;
	c = c * y + 1.0 / 40320.0;
	c = c * y - 1.0 / 720.0;
	c = c * y + 1.0 / 24.0;
	c = 1.0 + y * (c * y - 0.5);
	*sine = swap ? c : s;
	*cosine = swap ? s : c;
}

// The normal at a latitude and longitude, in Earth-centred axes. Exact at the multiples of 90°, and
// the same for every longitude at a pole and for −180° and 180°, so that equal places get equal
// bits.
static inline void geo_normal(double latitude, double longitude, double normal[3])
{
	double east = fabs(longitude), fold = east > 90.0 ? 180.0 - east : east;
	double sin_lat, cos_lat, sin_lon, cos_lon;

	geo_sincos(fabs(latitude), &sin_lat, &cos_lat);
	geo_sincos(fold, &sin_lon, &cos_lon);
	normal[0] = cos_lat * (east > 90.0 ? -cos_lon : cos_lon);
	normal[1] = cos_lat * copysign(sin_lon, longitude);
	normal[2] = copysign(sin_lat, latitude);
}

// Normal → the point on the ellipsoid, or `height` above it, in Earth-centred metres.
static inline void geo_point(const double normal[3], double height, double point[3])
{
	double prime = GEO_A / sqrt(1.0 - GEO_E2 * normal[2] * normal[2]);

	point[0] = (prime + height) * normal[0];
	point[1] = (prime + height) * normal[1];
	point[2] = (prime * (1.0 - GEO_E2) + height) * normal[2];
}

static inline double geo_dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// Mean of the squared extreme curvatures at a latitude, 1/m²: a chord c along the surface is longer
// by about c³ × this / 24.
double geo_curvature_square(double latitude);
// Chord between two footprints at a surface distance, by the mean curvature at a latitude; the
// inverse of pe_surface_from_chord. At most the diameter.
double geo_chord(double surface_m, double latitude);

// Extremes of p·cos(t) + q·sin(t) over t in [from, to], from ≤ to, radians within ±π/2. Exact but
// for rounding.
double geo_wave_max(double p, double q, double from, double to);

// A latitude-longitude box in radians: longitudes from `west` over `width` eastwards.
struct geo_box {
	double south, north, west, width;
};
struct geo_box geo_box_make(const double a[3], const double b[3]);
// Largest value of direction · normal over a box's normals, and of direction · footprint over its
// footprints.
double geo_box_normal_max(const struct geo_box *box, const double direction[3]);
double geo_box_point_max(const struct geo_box *box, const double direction[3]);
