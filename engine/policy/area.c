#include "policy/area.h"

#include <math.h>
#include <string.h>

// The smallest radius of curvature of WGS84, of the meridian at the equator: an angle worked out
// with it is never too small.
#define CURVATURE_MIN_M 6335439.0
// What chords, heights below the ellipsoid and the ellipsoid's shape add up to within
// PE_QUERY_RADIUS_MAX_M.
#define CAP_SLACK   1.01
#define CAP_MAX_RAD 1.3 // beyond it a cap is no cap to speak of

static double radians(double degrees)
{
	return degrees * (M_PI / 180);
}

static double degrees(double radians)
{
	return radians * (180 / M_PI);
}

// By how much one longitude is east of another, 0 ≤ … < 360.
static double east_of(double longitude, double west)
{
	double d = fmod(longitude - west, 360);

	return d < 0 ? d + 360 : d;
}

// From west to east; two that are the same, or −180 and 180 the other way, bound one meridian.
static double width(double west, double east)
{
	return east >= west ? east - west : east - west + 360;
}

bool pe_area_holds(const struct pe_area *area, bool geodetic, const double position[3])
{
	bool turns = geodetic && area->dimensions >= 2;

	for (unsigned i = 0; i < area->dimensions; i++)
		if (!(turns && i == 1) &&
			!(area->low[i] <= position[i] && position[i] <= area->high[i]))
			return false;
	if (!turns || fabs(position[0]) == 90)
		return true;
	return width(area->low[1], area->high[1]) >= 360 ||
		east_of(position[1], area->low[1]) <= width(area->low[1], area->high[1]);
}

bool pe_area_holds_bounds(const struct pe_area *area, bool geodetic, const struct pe_bounds *b)
{
	double room;

	if (!area->dimensions)
		return true;
	if (!b->bounded)
		return false;
	for (unsigned i = 0; i < area->dimensions; i++)
		if (!(geodetic && i == 1) &&
			!(area->low[i] <= b->low[i] && b->high[i] <= area->high[i]))
			return false;
	if (!geodetic)
		return true;
	room = width(area->low[1], area->high[1]);
	if (room >= 360)
		return true;
	return !b->all_meridians &&
		east_of(b->low[1], area->low[1]) + width(b->low[1], b->high[1]) <= room;
}

static void box_about(const double at[3], double radius_m, struct pe_bounds *b)
{
	b->bounded = radius_m <= 1e18;
	for (unsigned i = 0; i < 3; i++) {
		b->low[i] = at[i] - radius_m;
		b->high[i] = at[i] + radius_m;
	}
}

// Widens a box in latitude and longitude by an angle along the surface.
static void widen(struct pe_bounds *b, double angle)
{
	double furthest = fmax(fabs(b->low[0]), fabs(b->high[0])), about;

	if (angle > CAP_MAX_RAD) {
		b->bounded = false;
		return;
	}
	b->low[0] -= degrees(angle);
	b->high[0] += degrees(angle);
	if (radians(furthest) + angle >= M_PI / 2) {
		b->all_meridians = true;
		b->low[0] = fmax(b->low[0], -90);
		b->high[0] = fmin(b->high[0], 90);
		return;
	}
	about = degrees(asin(sin(angle) / cos(radians(furthest))));
	if (width(b->low[1], b->high[1]) + 2 * about >= 360) {
		b->all_meridians = true;
		return;
	}
	b->low[1] -= about;
	b->high[1] += about;
	if (b->low[1] < -180)
		b->low[1] += 360;
	if (b->high[1] > 180)
		b->high[1] -= 360;
}

// Latitudes are geodetic, and a metre of surface is at most so much of an angle between two
// normals.
static double angle_of(double surface_m)
{
	return surface_m * CAP_SLACK / CURVATURE_MIN_M;
}

static void cap_about(const double at[3], double radius_m, struct pe_bounds *b)
{
	b->bounded = true;
	memcpy(b->low, at, sizeof b->low);
	memcpy(b->high, at, sizeof b->high);
	widen(b, angle_of(radius_m));
}

static void about(
	const struct pe_space *space, const double at[3], double radius_m, struct pe_bounds *b)
{
	if (space->config.kind == PE_SPACE_GEODETIC)
		cap_about(at, radius_m, b);
	else
		box_about(at, radius_m, b);
}

// A cap about the middle of the vertices, in which all of them are, has the edges and the smaller
// side of the ring too.
static void cap_of(const double (*vertices)[2], unsigned count, struct pe_bounds *b)
{
	double middle[3] = {0}, length, furthest = 0, centre[3] = {0};

	for (unsigned i = 0; i < count; i++) {
		double latitude = radians(vertices[i][0]), longitude = radians(vertices[i][1]);

		middle[0] += cos(latitude) * cos(longitude);
		middle[1] += cos(latitude) * sin(longitude);
		middle[2] += sin(latitude);
	}
	length = sqrt(middle[0] * middle[0] + middle[1] * middle[1] + middle[2] * middle[2]);
	if (!(length > 1e-3 * count)) {
		b->bounded = false;
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		double latitude = radians(vertices[i][0]), longitude = radians(vertices[i][1]);
		double chord = hypot(hypot(cos(latitude) * cos(longitude) - middle[0] / length,
					     cos(latitude) * sin(longitude) - middle[1] / length),
			sin(latitude) - middle[2] / length);

		furthest = fmax(furthest, 2 * asin(fmin(1, chord / 2)));
	}
	centre[0] = degrees(asin(fmax(-1, fmin(1, middle[2] / length))));
	centre[1] = degrees(atan2(middle[1], middle[0]));
	b->bounded = true;
	memcpy(b->low, centre, sizeof centre);
	memcpy(b->high, centre, sizeof centre);
	// Edges lie in planes through the Earth's centre, latitudes are those of normals: distances
	// differ by 0.7 % each way.
	widen(b, furthest * CAP_SLACK * CAP_SLACK);
}

static void bounds_of_polygon(const struct pe_space *space,
	const struct pe_wire_extension *extension, struct pe_bounds *b)
{
	unsigned ring_vertices[PE_WIRE_RINGS_MAX];
	double vertices[PE_WIRE_VERTICES_MAX][2];
	struct pe_wire_polygon p;
	unsigned outer;

	pe_wire_get_polygon(extension, &p, ring_vertices, vertices);
	outer = ring_vertices[0] < p.vertex_count ? ring_vertices[0] : p.vertex_count;
	if (outer == 0) {
		b->bounded = false;
		return;
	}
	if (space->config.kind == PE_SPACE_GEODETIC) {
		cap_of((const double(*)[2])vertices, outer, b);
	} else {
		b->bounded = true;
		for (unsigned k = 0; k < 2; k++) {
			b->low[k] = b->high[k] = vertices[0][k];
			for (unsigned i = 1; i < outer; i++) {
				b->low[k] = fmin(b->low[k], vertices[i][k]);
				b->high[k] = fmax(b->high[k], vertices[i][k]);
			}
		}
	}
	b->low[2] = p.height_min;
	b->high[2] = p.height_max;
}

static void bounds_of_volume(const struct pe_space *space, const struct pe_wire_query *q,
	const uint8_t *extension, struct pe_bounds *b)
{
	struct pe_wire_oriented_box box;
	struct pe_wire_extension e;
	struct pe_wire_frustum f;
	double across, up;

	if (!extension ||
		pe_wire_check_extension(q, extension, q->extension_bytes, &e) != PE_REASON_none ||
		!e.volume)
		return; // it is refused, for a reason of its own
	switch (q->kind) {
	case PE_QUERY_POLYGON:
		bounds_of_polygon(space, &e, b);
		break;
	case PE_QUERY_ORIENTED_BOX:
		memcpy(&box, e.volume, sizeof box);
		about(space, q->a,
			sqrt(box.half[0] * box.half[0] + box.half[1] * box.half[1] +
				box.half[2] * box.half[2]),
			b);
		break;
	default:
		memcpy(&f, e.volume, sizeof f);
		across = tan(radians(f.horizontal_deg / 2));
		up = tan(radians(f.vertical_deg / 2));
		about(space, q->a, f.far_m * sqrt(1 + across * across + up * up), b);
		break;
	}
}

void pe_area_bounds(const struct pe_space *space, const struct pe_wire_query *q,
	const uint8_t *extension, double margin_m, double precision_max_m, struct pe_bounds *b)
{
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC;

	*b = (struct pe_bounds){0};
	switch (q->kind) {
	case PE_QUERY_POINT:
		about(space, q->a, precision_max_m, b);
		break;
	case PE_QUERY_SPHERE:
		about(space, q->a, q->b[0], b);
		break;
	case PE_QUERY_NEAREST:
		if (q->b[0] > 0)
			about(space, q->a, q->b[0], b);
		break;
	case PE_QUERY_BOX:
		b->bounded = true;
		memcpy(b->low, q->a, sizeof b->low);
		memcpy(b->high, q->b, sizeof b->high);
		break;
	default:
		bounds_of_volume(space, q, extension, b);
		break;
	}
	// Heights bound nothing on Earth but a polygon that states them.
	if (geodetic && q->kind != PE_QUERY_POLYGON) {
		b->low[2] = -INFINITY;
		b->high[2] = INFINITY;
	}
	if (!b->bounded)
		return;
	if (q->flags & PE_QUERY_HEIGHT_RANGE) {
		b->low[2] = fmax(b->low[2], (double)q->height_min);
		b->high[2] = fmin(b->high[2], (double)q->height_max);
	}
	if (!(margin_m > 0))
		return;
	for (unsigned i = geodetic ? 2 : 0; i < 3; i++) {
		b->low[i] -= margin_m;
		b->high[i] += margin_m;
	}
	if (geodetic && !b->all_meridians)
		widen(b, angle_of(margin_m));
	else if (geodetic) {
		b->low[0] = fmax(-90, b->low[0] - degrees(angle_of(margin_m)));
		b->high[0] = fmin(90, b->high[0] + degrees(angle_of(margin_m)));
	}
}
