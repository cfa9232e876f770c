#include "fence_world.h"

#include "base/limits.h"
#include "space/side.h"
#include "testing.h"

#include <math.h>
#include <string.h>

#define DEGREE   0.017453292519943295769
#define EARTH_A  6378137.0
#define EARTH_E2 0.0066943799901413165

double world_uniform(struct world *w, double lo, double hi)
{
	return lo + (hi - lo) * ((double)(testing_random(&w->random) >> 11) * 0x1p-53);
}
unsigned world_below(struct world *w, unsigned n)
{
	return (unsigned)(testing_random(&w->random) % n);
}

static void earth(const double *position, double height, double point[3])
{
	double sin_lat = sin(position[0] * DEGREE), cos_lat = cos(position[0] * DEGREE);
	double prime = EARTH_A / sqrt(1.0 - EARTH_E2 * sin_lat * sin_lat);

	point[0] = (prime + height) * cos_lat * cos(position[1] * DEGREE);
	point[1] = (prime + height) * cos_lat * sin(position[1] * DEGREE);
	point[2] = (prime * (1.0 - EARTH_E2) + height) * sin_lat;
}

// A place so many metres east and north of another.
void world_offset(struct world *w, const double from[2], double east, double north, double to[3])
{
	double lat = from[0] * DEGREE, lon = from[1] * DEGREE, point[3];

	if (!w->shape->geodetic) {
		to[0] = from[0] + east;
		to[1] = from[1] + north;
		return;
	}
	earth(from, 0.0, point);
	point[0] += -sin(lon) * east - sin(lat) * cos(lon) * north;
	point[1] += cos(lon) * east - sin(lat) * sin(lon) * north;
	point[2] += cos(lat) * north;
	to[0] = atan2(point[2] / (1.0 - EARTH_E2), hypot(point[0], point[1])) / DEGREE;
	to[1] = atan2(point[1], point[0]) / DEGREE;
}

void world_height(struct world *w, double position[3])
{
	position[2] = world_uniform(w, -100.0, 300.0);
	if (w->shape->geodetic && world_below(w, 8) == 0)
		position[2] = NAN;
}

void world_place(struct world *w, double position[3])
{
	double s = w->shape->spread_m;

	world_offset(
		w, w->shape->focus, world_uniform(w, -s, s), world_uniform(w, -s, s), position);
	world_height(w, position);
}

static void random_rotation(struct world *w, double q[4])
{
	double square = 0.0;

	for (unsigned i = 0; i < 4; i++) {
		q[i] = world_uniform(w, -1.0, 1.0);
		square += q[i] * q[i];
	}
	for (unsigned i = 0; i < 4; i++)
		q[i] /= sqrt(square);
}

static bool random_polygon(
	struct world *w, struct model_fence *f, const double centre[3], double size)
{
	double vertices[24][2], at[3];
	unsigned corners = 3 + world_below(w, 9), rings[2] = {corners, 0}, count = 1;

	for (unsigned i = 0; i < corners; i++) {
		double angle = 2.0 * M_PI * (i + world_uniform(w, 0.0, 0.6)) / corners,
		       reach = size * world_uniform(w, 0.5, 1.0);

		world_offset(w, centre, reach * cos(angle), reach * sin(angle), at);
		memcpy(vertices[i], at, sizeof vertices[i]);
	}
	if (corners > 5 && world_below(w, 2)) { // a hole
		for (unsigned i = 0; i < 4; i++) {
			world_offset(w, centre, size * 0.15 * cos(i * M_PI / 2),
				size * 0.15 * sin(i * M_PI / 2), at);
			memcpy(vertices[corners + i], at, sizeof vertices[corners + i]);
		}
		rings[1] = 4;
		count = 2;
	}
	f->volume.kind = PE_FENCE_POLYGON;
	f->volume.polygon = &f->polygon;
	return pe_polygon_prepare(&w->space, vertices, rings, count, f->volume.height_min,
		       f->volume.height_max, &f->polygon) == PE_VOLUME_ok;
}

static void random_box(struct world *w, struct model_fence *f, const double centre[3], double size)
{
	struct pe_fence_volume *v = &f->volume;
	double across = size * world_uniform(w, 0.2, 1.0),
	       along = size * world_uniform(w, 0.2, 1.0);

	v->kind = PE_FENCE_BOX;
	if (!w->shape->geodetic) {
		double half[3] = {across, along, world_uniform(w, 50, 300)};

		for (unsigned i = 0; i < 3; i++) {
			v->a[i] = centre[i] - half[i];
			v->b[i] = centre[i] + half[i];
		}
		return;
	}
	double latitude = along / 6371000.0 / DEGREE;
	double longitude =
		fmin(across / 6371000.0 / DEGREE / fmax(cos(centre[0] * DEGREE), 1e-6), 150.0);

	v->a[0] = fmax(centre[0] - latitude, -90.0);
	v->b[0] = fmin(centre[0] + latitude, 90.0);
	v->a[1] = centre[1] - longitude;
	v->b[1] = centre[1] + longitude;
	v->a[1] += v->a[1] < -180.0 ? 360.0 : 0.0;
	v->b[1] -= v->b[1] > 180.0 ? 360.0 : 0.0;
}

bool world_volume(struct world *w, struct model_fence *f)
{
	double centre[3], size = w->shape->spread_m * pow(2.0, world_uniform(w, -6.0, 0.3));
	struct pe_fence_volume *v = &f->volume;
	unsigned kind = world_below(w, 8);

	world_place(w, centre);
	centre[2] = world_uniform(w, -50.0, 150.0);
	*v = (struct pe_fence_volume){.height_min = -INFINITY, .height_max = INFINITY};
	v->margin_m = world_below(w, 2) ?
		0.0 :
		fmin(floor(size * world_uniform(w, 0.0, 0.3)), PE_FENCE_MARGIN_MAX_M);
	if (world_below(w, 3) == 0) {
		v->height_min = world_uniform(w, -200.0, 100.0);
		v->height_max = v->height_min + world_uniform(w, 0.0, 300.0);
	}
	f->margin = v->margin_m;
	f->rule = (struct pe_member_rule){.enter_ms = world_below(w, 2) ? 0 : world_below(w, 400),
		.leave_ms = world_below(w, 2) ? 0 : world_below(w, 400),
		.move_m = world_below(w, 2) ? -1.0 : world_uniform(w, 0.0, 60.0)};
	if (kind == 0) {
		struct pe_oriented_box box = {
			.half = {size * world_uniform(w, 0.2, 1.0),
				size * world_uniform(w, 0.2, 1.0), world_uniform(w, 20.0, 300.0)}};

		memcpy(box.centre, centre, sizeof centre);
		random_rotation(w, box.orientation);
		v->kind = PE_FENCE_HULL;
		v->hull = &f->hull;
		v->height_min = -INFINITY;
		v->height_max = INFINITY;
		return pe_hull_oriented_box(&w->space, &box, &f->hull) == PE_VOLUME_ok;
	}
	if (kind <= 2)
		return random_polygon(w, f, centre, size);
	if (kind <= 4) {
		random_box(w, f, centre, size);
		return true;
	}
	v->kind = PE_FENCE_SPHERE;
	memcpy(v->a, centre, sizeof centre);
	v->radius_m = size;
	v->straight = w->shape->geodetic && world_below(w, 3) == 0;
	if (w->shape->geodetic)
		earth(centre, 0.0, f->centre);
	return true;
}

static enum pe_fence_side side_of_sphere(
	struct world *w, const struct model_fence *f, const double position[3])
{
	double distance, wide = f->volume.radius_m + f->margin;

	if (f->volume.straight) {
		if (!(position[2] >= PE_HEIGHT_LOWEST_M))
			return PE_FENCE_OUTSIDE;
	} else if (w->shape->geodetic) {
		double p[3], d[3], straight;

		earth(position, 0.0, p);
		for (unsigned i = 0; i < 3; i++)
			d[i] = p[i] - f->centre[i];
		straight = sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
		// An arc is longer than its chord, up to 2,000 km by less than 0.6 %.
		if (straight > wide)
			return PE_FENCE_OUTSIDE;
		if (straight * 1.006 + 0.01 < f->volume.radius_m)
			return PE_FENCE_INSIDE;
	}
	distance = pe_space_distance(&w->space, f->volume.a, position, f->volume.straight);
	return distance <= f->volume.radius_m ? PE_FENCE_INSIDE :
		distance <= wide              ? PE_FENCE_MARGIN :
						PE_FENCE_OUTSIDE;
}

enum pe_fence_side world_side(
	struct world *w, const struct model_fence *f, const double position[3])
{
	const struct pe_fence_volume *v = &f->volume;
	enum pe_fence_side side = PE_FENCE_OUTSIDE, height = PE_FENCE_OUTSIDE;
	double a[3], b[3], h = position[2];

	if (v->height_min == -INFINITY && v->height_max == INFINITY)
		height = PE_FENCE_INSIDE;
	else if (h >= v->height_min && h <= v->height_max)
		height = PE_FENCE_INSIDE;
	else if (h >= v->height_min - f->margin && h <= v->height_max + f->margin)
		height = PE_FENCE_MARGIN;
	switch (v->kind) {
	case PE_FENCE_SPHERE:
		side = side_of_sphere(w, f, position);
		break;
	case PE_FENCE_BOX:
		pe_box_widen(&w->space, v->a, v->b, f->margin, a, b);
		side = pe_space_box_holds(&w->space, v->a, v->b, position) ? PE_FENCE_INSIDE :
			f->margin > 0.0 && pe_space_box_holds(&w->space, a, b, position) ?
									     PE_FENCE_MARGIN :
									     PE_FENCE_OUTSIDE;
		break;
	case PE_FENCE_POLYGON:
		side = pe_polygon_covers(&f->polygon, position) ? PE_FENCE_INSIDE :
			f->margin > 0.0 && pe_polygon_near(&f->polygon, position, f->margin) ?
								  PE_FENCE_MARGIN :
								  PE_FENCE_OUTSIDE;
		break;
	case PE_FENCE_HULL:
		side = pe_hull_holds(&f->hull, position) ? PE_FENCE_INSIDE :
			f->margin > 0.0 && pe_hull_near(&f->hull, position, f->margin) ?
							   PE_FENCE_MARGIN :
							   PE_FENCE_OUTSIDE;
		break;
	}
	return side < height ? side : height;
}
