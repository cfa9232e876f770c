// Geometry in a few lines of its own, for comparing the engine's with: the Earth by its formulas,
// polygons by counting crossings. What is within EDGE_M of an edge may be in or out. Pure.
#pragma once

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define EDGE_M   1e-5
#define WGS84_A  6378137.0
#define WGS84_E2 6.69437999014131699614e-3
#define DEGREE   (M_PI / 180)

static inline double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static inline void ecef(double latitude, double longitude, double height, double v[3])
{
	double s = sin(latitude * DEGREE), c = cos(latitude * DEGREE);
	double n = WGS84_A / sqrt(1 - WGS84_E2 * s * s);

	v[0] = (n + height) * c * cos(longitude * DEGREE);
	v[1] = (n + height) * c * sin(longitude * DEGREE);
	v[2] = (n * (1 - WGS84_E2) + height) * s;
}

// Rows east, north, up.
static inline void local_axes(double latitude, double longitude, double axis[3][3])
{
	double s = sin(latitude * DEGREE), c = cos(latitude * DEGREE);
	double sl = sin(longitude * DEGREE), cl = cos(longitude * DEGREE);
	const double rows[3][3] = {{-sl, cl, 0}, {-s * cl, -s * sl, c}, {c * cl, c * sl, s}};

	memcpy(axis, rows, sizeof rows);
}

// The position so many metres from another one along its axes; heights are left to the caller.
static inline void earth_offset(const double from[3], double x, double y, double to[3])
{
	double axis[3][3], v[3], p, latitude;

	ecef(from[0], from[1], 0, v);
	local_axes(from[0], from[1], axis);
	for (unsigned i = 0; i < 3; i++)
		v[i] += x * axis[0][i] + y * axis[1][i];
	p = hypot(v[0], v[1]);
	latitude = atan2(v[2], p * (1 - WGS84_E2));
	for (unsigned i = 0; i < 5; i++) {
		double sine = sin(latitude), n = WGS84_A / sqrt(1 - WGS84_E2 * sine * sine);

		latitude = atan2(v[2] + WGS84_E2 * n * sine, p);
	}
	to[0] = fmin(90, fmax(-90, latitude / DEGREE));
	to[1] = fmin(180, fmax(-180, atan2(v[1], v[0]) / DEGREE));
}

enum verdict { OUT, MAY, IN };

static inline enum verdict both(enum verdict a, enum verdict b)
{
	return a < b ? a : b;
}

static inline enum verdict below_limit(double x, double limit, double doubt)
{
	return x < limit - doubt ? IN : x > limit + doubt ? OUT : MAY;
}

// Crossings of the edges with a ray, of rings one behind the other.
static inline enum verdict in_rings(const double (*flat)[2], const unsigned *ring_vertices,
	unsigned ring_count, const double p[2])
{
	unsigned begin = 0;
	bool inside = false;

	for (unsigned r = 0; r < ring_count; r++) {
		unsigned end = begin + ring_vertices[r];

		for (unsigned i = begin, j = end - 1; i < end; j = i++) {
			const double *a = flat[i], *b = flat[j];
			double dx = b[0] - a[0], dy = b[1] - a[1];
			double along =
				((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy);
			double t = fmin(1, fmax(0, along));

			if (hypot(a[0] + t * dx - p[0], a[1] + t * dy - p[1]) < EDGE_M)
				return MAY;
			if ((a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + dx * (p[1] - a[1]) / dy)
				inside = !inside;
		}
		begin = end;
	}
	return inside ? IN : OUT;
}
