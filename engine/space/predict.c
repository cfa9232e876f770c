#include "space/predict.h"

#include "base/limits.h"
#include "space/geodesy.h"

#include <string.h>

// Heights beyond these count as these: the share of the ground's way is then right where anything
// flies.
#define HEIGHT_COUNTED_MAX_M 1e6

// East, north and up at a place, Earth-centred. East from the longitude alone, so that it exists at
// the poles.
struct axes {
	double east[3], north[3], up[3];
};

static struct axes axes_at(const double position[3])
{
	double longitude = position[1] + (position[1] > 90.0 ? -270.0 : 90.0);
	struct axes x;

	geo_normal(position[0], position[1], x.up);
	geo_normal(0.0, longitude, x.east);
	x.north[0] = x.up[1] * x.east[2] - x.up[2] * x.east[1];
	x.north[1] = x.up[2] * x.east[0] - x.up[0] * x.east[2];
	x.north[2] = x.up[0] * x.east[1] - x.up[1] * x.east[0];
	return x;
}

static double length(const double v[3])
{
	return sqrt(geo_dot(v, v));
}

double pe_motion_speed(const double velocity[3])
{
	return fmin(length(velocity), PE_PREDICT_SPEED_MAX_MPS);
}

// The point of the ellipsoid below or above one that is close to it.
static void footprint_of(const double point[3], double position[3])
{
	double across = hypot(point[0], point[1]);
	double theta = atan2(point[2] * GEO_A, across * GEO_B);
	double sine = sin(theta), cosine = cos(theta);
	double second = (GEO_A * GEO_A - GEO_B * GEO_B) / GEO_B; // e′² · b
	double latitude = atan2(point[2] + second * sine * sine * sine,
		across - GEO_E2 * GEO_A * cosine * cosine * cosine);

	position[0] = fmin(fmax(latitude / GEO_DEGREE, -90.0), 90.0);
	position[1] = fmin(fmax(atan2(point[1], point[0]) / GEO_DEGREE, -180.0), 180.0);
}

// On along the surface with (east, north) m/s.
static void along_surface(const struct pe_motion *from, double east, double north, double seconds,
	struct pe_motion *to)
{
	const struct axes here = axes_at(from->position);
	double square = east * east + north * north, speed = sqrt(square);
	double w2 = 1.0 - GEO_E2 * here.up[2] * here.up[2];
	double prime = GEO_A / sqrt(w2), meridian = prime * (1.0 - GEO_E2) / w2;
	// Euler: the curvature in a direction.
	double radius = square / (north * north / meridian + east * east / prime);
	double height = from->height_known ?
		fmin(fmax(from->position[2], PE_HEIGHT_LOWEST_M), HEIGHT_COUNTED_MAX_M) :
		0.0;
	double angle = speed * seconds / (radius + height), sine = sin(angle), cosine = cos(angle);
	double point[3], forward[3], there_east, there_north, scale;
	struct axes there;

	geo_point(here.up, 0.0, point);
	for (unsigned i = 0; i < 3; i++) {
		double ahead = (here.east[i] * east + here.north[i] * north) / speed;

		point[i] += radius * (sine * ahead - (1.0 - cosine) * here.up[i]);
		forward[i] = cosine * ahead - sine * here.up[i];
	}
	footprint_of(point, to->position);
	there = axes_at(to->position);
	there_east = geo_dot(forward, there.east);
	there_north = geo_dot(forward, there.north);
	scale = hypot(from->velocity[0], from->velocity[1]) / hypot(there_east, there_north);
	to->velocity[0] = there_east * scale;
	to->velocity[1] = there_north * scale;
}

struct pe_motion pe_space_predict(
	const struct pe_space *space, const struct pe_motion *from, double seconds)
{
	struct pe_motion to = *from;
	double v[3] = {from->velocity[0], from->velocity[1], from->velocity[2]};
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC;
	double speed;

	if (geodetic && !from->height_known)
		v[2] = 0.0;
	speed = length(v);
	if (!(speed > 0.0) || !(seconds > 0.0))
		return to;
	if (speed > PE_PREDICT_SPEED_MAX_MPS)
		for (unsigned i = 0; i < 3; i++)
			v[i] *= PE_PREDICT_SPEED_MAX_MPS / speed;
	if (!geodetic) {
		for (unsigned i = 0; i < 3; i++)
			to.position[i] += v[i] * seconds;
		return to;
	}
	if (v[0] != 0.0 || v[1] != 0.0)
		along_surface(from, v[0], v[1], seconds, &to);
	to.position[2] += v[2] * seconds;
	return to;
}

double pe_motion_apart_square(
	const struct pe_space *space, const struct pe_motion *a, const struct pe_motion *b)
{
	double p[3], q[3], normal[3], d[3], square;

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++)
			d[i] = b->position[i] - a->position[i];
		return geo_dot(d, d);
	}
	geo_normal(a->position[0], a->position[1], normal);
	geo_point(normal, 0.0, p);
	geo_normal(b->position[0], b->position[1], normal);
	geo_point(normal, 0.0, q);
	for (unsigned i = 0; i < 3; i++)
		d[i] = q[i] - p[i];
	square = geo_dot(d, d);
	if (a->height_known && b->height_known) {
		double up = b->position[2] - a->position[2];

		square += up * up;
	}
	return square;
}

double pe_motion_turned(
	const struct pe_space *space, const struct pe_motion *a, const struct pe_motion *b)
{
	double d[3];

	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++)
			d[i] = b->velocity[i] - a->velocity[i];
		return length(d);
	}
	const struct axes p = axes_at(a->position), q = axes_at(b->position);
	double up = a->height_known && b->height_known ? b->velocity[2] - a->velocity[2] : 0.0;

	for (unsigned i = 0; i < 3; i++)
		d[i] = q.east[i] * b->velocity[0] + q.north[i] * b->velocity[1] -
			p.east[i] * a->velocity[0] - p.north[i] * a->velocity[1];
	return sqrt(geo_dot(d, d) + up * up);
}
