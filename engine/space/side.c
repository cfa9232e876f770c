#include "space/side.h"

#include "space/geodesy.h"
#include "space/region.h"

#include <string.h>

static void point_of(enum pe_space_kind kind, const double position[3], double point[3])
{
	double normal[3];

	if (kind == PE_SPACE_CARTESIAN) {
		memcpy(point, position, 3 * sizeof *point);
		return;
	}
	geo_normal(position[0], position[1], normal);
	geo_point(normal, 0.0, point);
}

static double distance_square(const double p[3], const double q[3])
{
	double d[3] = {p[0] - q[0], p[1] - q[1], p[2] - q[2]};

	return geo_dot(d, d);
}

// The normal where a point of the surface is.
static void surface_normal(const double point[3], double normal[3])
{
	double size;

	normal[0] = point[0];
	normal[1] = point[1];
	normal[2] = point[2] / (1.0 - GEO_E2);
	size = sqrt(geo_dot(normal, normal));
	for (unsigned k = 0; k < 3; k++)
		normal[k] /= size;
}

// Footprints a straight d apart have normals at most this far apart, radians; with room for a
// cell's own curve.
static double angle_of(double d)
{
	return 2.04 * asin(fmin(d / (2.0 * GEO_RADIUS_MIN), 1.0)) + 1e-9;
}

// Of a cell that is too large to be taken for flat: does any of it lie between the spheres of the
// Earth's two radii, and on its frame's side of the planes between frames? A footprint's direction
// is its normal's to 0.0034.
static bool may_hold(
	const struct pe_space *space, unsigned frame, const int64_t lo[3], const int64_t hi[3])
{
	const struct pe_space_frame *f = &space->frame[frame];
	double low[3], high[3], least = 0.0, most = 0.0;

	for (unsigned i = 0; i < 3; i++) { // from the Earth's centre, along the frame's axes
		double scale = i == 2 ? space->units_per_m_up : space->units_per_m;
		double home = geo_dot(f->turn[i], f->home), nearest;

		low[i] = (double)lo[i] / scale + home - 1.0;
		high[i] = ((double)hi[i] + 1.0) / scale + home + 1.0;
		nearest = fmax(fmax(low[i], -high[i]), 0.0);
		least += nearest * nearest;
		most += fmax(low[i] * low[i], high[i] * high[i]);
	}
	if (least > GEO_A * GEO_A || most < GEO_B * GEO_B)
		return false;
	for (unsigned g = 0; g < space->frame_count; g++) {
		double ours = 0.0;

		for (unsigned i = 0; i < 3; i++) {
			double along = geo_dot(f->turn[i], f->up) -
				geo_dot(f->turn[i], space->frame[g].up);

			ours += fmax(along * low[i], along * high[i]);
		}
		if (ours < -0.01 * GEO_A)
			return false;
	}
	return true;
}

bool pe_cell_clip(const struct pe_space *space, unsigned frame, int64_t lo[3], int64_t hi[3])
{
	const struct pe_space_frame *f = &space->frame[frame];
	double normal[3], from_home[3], z, half, angle;
	struct geo_cell cell;

	if (space->config.kind == PE_SPACE_CARTESIAN)
		return true;
	if (!geo_cell_make(space, frame, lo, hi, &cell))
		return may_hold(space, frame, lo, hi);
	for (unsigned k = 0; k < 3; k++)
		from_home[k] = cell.at[k] - f->home[k];
	z = geo_dot(f->turn[2], from_home);
	half = sqrt(geo_dot(cell.axis[2], cell.axis[2])) + GEO_ARITHMETIC_M;
	lo[2] = (int64_t)fmax((double)lo[2], floor((z - half) * space->units_per_m_up));
	hi[2] = (int64_t)fmin((double)hi[2], floor((z + half) * space->units_per_m_up));
	if (lo[2] > hi[2])
		return false;
	if (space->frame_count == 1)
		return true;
	// Footprints that another frame holds.
	surface_normal(cell.at, normal);
	angle = angle_of(cell.radius);
	for (unsigned g = 0; g < space->frame_count; g++)
		if (geo_dot(normal, space->frame[g].up) - geo_dot(normal, f->up) > 2.0 * angle)
			return false;
	return true;
}

static enum pe_cell_side classify_flat(const struct pe_space *space, const double a[3],
	const double b[3], const int64_t lo[3], const int64_t hi[3])
{
	bool inside = true;
	int exponent;
	// Where an edge is a power of two there is no rounding.
	double rounding = frexp(space->units_per_m, &exponent) == 0.5 ? 0.0 : 1e-15;

	for (unsigned i = 0; i < 3; i++) {
		double scale = i == 2 ? space->units_per_m_up : space->units_per_m;
		double low = (double)lo[i] / scale, high = ((double)hi[i] + 1.0) / scale;
		double slack = (fabs(low) + fabs(high)) * rounding;

		if (high + slack < a[i] || low - slack > b[i])
			return PE_CELL_OUTSIDE;
		inside = inside && low - slack >= a[i] && high + slack <= b[i];
	}
	return inside ? PE_CELL_INSIDE : PE_CELL_CROSSING;
}

enum pe_cell_side pe_box_classify(const struct pe_space *space, const double a[3],
	const double b[3], unsigned frame, const int64_t lo[3], const int64_t hi[3])
{
	double normal[3], latitude, longitude, angle, swing, axis, width, east;
	struct geo_cell cell;
	bool inside;

	if (space->config.kind == PE_SPACE_CARTESIAN)
		return classify_flat(space, a, b, lo, hi);
	if (!geo_cell_make(space, frame, lo, hi, &cell))
		return PE_CELL_CROSSING;
	surface_normal(cell.at, normal);
	latitude = atan2(normal[2], hypot(normal[0], normal[1])) / GEO_DEGREE;
	longitude = atan2(normal[1], normal[0]) / GEO_DEGREE;
	angle = angle_of(cell.radius) / GEO_DEGREE;
	if (latitude + angle < a[0] || latitude - angle > b[0])
		return PE_CELL_OUTSIDE;
	inside = latitude - angle >= a[0] && latitude + angle <= b[0];
	axis = hypot(cell.at[0], cell.at[1]);
	if (cell.radius * 1.01 + 0.01 >= axis)
		return PE_CELL_CROSSING; // by a pole
	swing = asin((cell.radius * 1.01 + 0.01) / axis) / GEO_DEGREE + 1e-9;
	width = b[1] - a[1] + (a[1] > b[1] ? 360.0 : 0.0);
	if (width == 360.0)
		return inside ? PE_CELL_INSIDE : PE_CELL_CROSSING;
	east = longitude - a[1]; // from the western meridian, 0 … 360
	east -= 360.0 * floor(east / 360.0);
	// A pole is in whatever the longitudes, but is no cell of here.
	if (east - swing > width && east + swing < 360.0)
		return PE_CELL_OUTSIDE;
	return inside && east - swing >= 0.0 && east + swing <= width ? PE_CELL_INSIDE :
									PE_CELL_CROSSING;
}

void pe_box_widen(const struct pe_space *space, const double a[3], const double b[3],
	double margin_m, double wide_a[3], double wide_b[3])
{
	double latitude, swing, width, south, north;

	memcpy(wide_a, a, 3 * sizeof *a);
	memcpy(wide_b, b, 3 * sizeof *b);
	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++) {
			wide_a[i] -= margin_m;
			wide_b[i] += margin_m;
		}
		return;
	}
	if (!(margin_m > 0.0))
		return;
	latitude = margin_m / GEO_RADIUS_MIN / GEO_DEGREE;
	south = wide_a[0] = fmax(a[0] - latitude, -90.0);
	north = wide_b[0] = fmin(b[0] + latitude, 90.0);
	// Where it is widest a parallel's radius is no less than cos φ · the smallest radius of the
	// ellipsoid.
	double ring = GEO_RADIUS_MIN * cos(fmax(fabs(south), fabs(north)) * GEO_DEGREE);

	swing = margin_m < ring ? asin(margin_m / ring) / GEO_DEGREE : 180.0;
	width = b[1] - a[1] + (a[1] > b[1] ? 360.0 : 0.0);
	if (width + 2.0 * swing >= 360.0) {
		wide_a[1] = -180.0;
		wide_b[1] = 180.0;
		return;
	}
	wide_a[1] -= swing;
	wide_b[1] += swing;
	wide_a[1] += wide_a[1] < -180.0 ? 360.0 : 0.0;
	wide_b[1] -= wide_b[1] > 180.0 ? 360.0 : 0.0;
}

static void cross(const double a[3], const double b[3], double product[3])
{
	product[0] = a[1] * b[2] - a[2] * b[1];
	product[1] = a[2] * b[0] - a[0] * b[2];
	product[2] = a[0] * b[1] - a[1] * b[0];
}

// Is the foot of the point on the edge between its ends?
static bool beside(const struct pe_polygon *p, const double normal[3], const double point[3],
	const double first[3], const double last[3])
{
	double along[3], back[3];

	if (p->kind == PE_SPACE_CARTESIAN) {
		double t = (point[0] - first[0]) * (last[0] - first[0]) +
			(point[1] - first[1]) * (last[1] - first[1]);
		double square = distance_square(first, last);

		return t >= 0.0 && t <= square;
	}
	cross(normal, first, along);
	cross(last, normal, back);
	return geo_dot(along, point) >= 0.0 && geo_dot(back, point) >= 0.0;
}

// A position where a polygon's edges are: of a flat one in the plane.
static void edges_point(const struct pe_polygon *p, const double position[3], double point[3])
{
	point_of(p->kind, position, point);
	if (p->kind == PE_SPACE_CARTESIAN)
		point[2] = 0.0;
}

struct edge {
	double normal[3], first[3], last[3];
	double off; // how far the point is from the line, or plane, that the edge lies in
};

// Edge i of an outline whose ends are in their ring's order.
static bool edge_in_order(
	const struct pe_polygon *p, unsigned i, const double point[3], struct edge *e)
{
	const double first[2] = {p->first[0][i], p->first[1][i]},
		     last[2] = {p->last[0][i], p->last[1][i]};
	double length = hypot(last[0] - first[0], last[1] - first[1]);

	*e = (struct edge){.normal = {first[1] - last[1], last[0] - first[0], 0.0},
		.first = {first[0], first[1], 0.0},
		.last = {last[0], last[1], 0.0}};
	e->off = (e->normal[0] * (point[0] - first[0]) + e->normal[1] * (point[1] - first[1])) /
		length;
	return length > 0.0;
}

// Edge i of a polygon, and how a point lies to it. False: it is padding.
static bool edge_from(const struct pe_polygon *p, unsigned i, const double point[3], struct edge *e)
{
	if (p->in_order)
		return edge_in_order(p, i, point, e);
	if (p->length[i] == 0.0)
		return false;
	for (unsigned k = 0; k < 3; k++) {
		e->normal[k] = p->normal[k][i];
		e->first[k] = p->first[k][i];
		e->last[k] = p->last[k][i];
	}
	e->off = p->kind == PE_SPACE_CARTESIAN ? (e->normal[0] * (point[0] - e->first[0]) +
							 e->normal[1] * (point[1] - e->first[1])) /
			p->length[i] :
						 geo_dot(e->normal, point);
	return true;
}

bool pe_polygon_near(const struct pe_polygon *p, const double position[3], double margin_m)
{
	double point[3], square = margin_m * margin_m;

	edges_point(p, position, point);
	for (unsigned i = 0; i < p->ring_end[p->ring_count - 1]; i++) {
		struct edge e;

		if (!edge_from(p, i, point, &e))
			continue;
		if (fabs(e.off) > margin_m)
			continue;
		if (distance_square(point, e.first) <= square ||
			distance_square(point, e.last) <= square ||
			beside(p, e.normal, point, e.first, e.last))
			return true;
	}
	return false;
}

double pe_polygon_edge_distance(const struct pe_polygon *p, const double position[3])
{
	double point[3], least = INFINITY;

	edges_point(p, position, point);
	for (unsigned i = 0; i < p->ring_end[p->ring_count - 1]; i++) {
		struct edge e;

		if (!edge_from(p, i, point, &e))
			continue;
		least = fmin(least,
			sqrt(fmin(
				distance_square(point, e.first), distance_square(point, e.last))));
		if (fabs(e.off) < least && beside(p, e.normal, point, e.first, e.last))
			least = fabs(e.off);
	}
	return least;
}

double pe_hull_beyond(const struct pe_hull *hull, const double position[3])
{
	double point[3] = {position[0], position[1], position[2]}, d[3], most = -INFINITY;

	if (hull->kind == PE_SPACE_GEODETIC) {
		double normal[3];

		geo_normal(position[0], position[1], normal);
		geo_point(normal, position[2], point);
	}
	for (unsigned k = 0; k < 3; k++)
		d[k] = point[k] - hull->origin[k];
	for (unsigned i = 0; i < 6; i++)
		most = fmax(most,
			d[0] * hull->normal[0][i] + d[1] * hull->normal[1][i] +
				d[2] * hull->normal[2][i] - hull->reach[i]);
	return most;
}

double pe_box_beyond(const struct pe_space *space, const double a[3], const double b[3],
	const double position[3])
{
	double near[3] = {position[0], position[1], position[2]};

	if (pe_space_box_holds(space, a, b, position))
		return 0.0;
	for (unsigned i = 0; i < 3; i++)
		near[i] = fmin(fmax(near[i], a[i]), b[i]);
	if (space->config.kind == PE_SPACE_GEODETIC) {
		double west = a[1] - position[1], east = position[1] - b[1];
		bool holds;

		near[1] = position[1];
		holds = pe_space_box_holds(space, a, b, near);
		west += west < 0.0 ? 360.0 : 0.0; // to go eastwards until the box begins
		east += east < 0.0 ? 360.0 : 0.0;
		if (!holds)
			near[1] = west < east ? a[1] : b[1];
	}
	return pe_space_distance(space, near, position, false);
}

void pe_hull_widen(const struct pe_hull *hull, double margin_m, struct pe_hull *wide)
{
	*wide = *hull;
	for (unsigned i = 0; i < 8; i++)
		wide->reach[i] += margin_m;
	wide->foot_reach_m += margin_m;
	wide->height_min -= margin_m;
	wide->height_max += margin_m;
}

// The ball about the corners: its middle, from the hull's origin, and the square of its radius.
static double ball_square(const struct pe_hull *hull, double middle[3])
{
	double square = 0.0;

	for (unsigned k = 0; k < 3; k++) {
		middle[k] = 0.0;
		for (unsigned c = 0; c < 8; c++)
			middle[k] += hull->corner[c][k] / 8.0;
	}
	for (unsigned c = 0; c < 8; c++)
		square = fmax(square, distance_square(hull->corner[c], middle));
	return square;
}

bool pe_hull_near(const struct pe_hull *hull, const double position[3], double margin_m)
{
	double point[3], d[3], middle[3], radius;

	point_of(hull->kind, position, point);
	if (hull->kind == PE_SPACE_GEODETIC) {
		double normal[3];

		// What is far is known without its height above the ellipsoid.
		radius = hull->foot_reach_m + margin_m;
		if (!(position[2] >= PE_HEIGHT_LOWEST_M) ||
			distance_square(point, hull->foot) > radius * radius ||
			position[2] < hull->height_min - margin_m ||
			position[2] > hull->height_max + margin_m)
			return false;
		geo_normal(position[0], position[1], normal);
		geo_point(normal, position[2], point);
	}
	for (unsigned k = 0; k < 3; k++)
		d[k] = point[k] - hull->origin[k];
	radius = sqrt(ball_square(hull, middle)) + margin_m;
	if (!(distance_square(d, middle) <= radius * radius))
		return false;
	for (unsigned i = 0; i < 6; i++)
		if (!(d[0] * hull->normal[0][i] + d[1] * hull->normal[1][i] +
				    d[2] * hull->normal[2][i] <=
			    hull->reach[i] + margin_m))
			return false;
	return true;
}

static void position_of(const double point[3], double position[3])
{
	double normal[3];

	surface_normal(point, normal);
	position[0] = atan2(normal[2], hypot(normal[0], normal[1])) / GEO_DEGREE;
	position[1] = atan2(normal[1], normal[0]) / GEO_DEGREE;
	position[2] = 0.0;
}

static double along_surface(double straight_m)
{
	return 1.01 * 2.0 * GEO_A * asin(fmin(straight_m / (2.0 * GEO_RADIUS_MIN), 1.0)) + 0.01;
}

void pe_polygon_around(const struct pe_polygon *p, double centre[3], double *radius_m)
{
	double sum[3] = {0}, point[3], square = 0.0;
	unsigned count = 0;

	for (unsigned i = 0; i < p->ring_end[0]; i++) {
		if (p->length[i] == 0.0)
			continue;
		for (unsigned k = 0; k < 3; k++)
			sum[k] += p->first[k][i] + p->last[k][i];
		count += 2;
	}
	for (unsigned k = 0; k < 3; k++)
		centre[k] = sum[k] / count;
	memcpy(point, centre, sizeof point);
	if (p->kind == PE_SPACE_GEODETIC) {
		position_of(point, centre);
		point_of(p->kind, centre, point);
	}
	for (unsigned i = 0; i < p->ring_end[0]; i++) {
		double first[3] = {p->first[0][i], p->first[1][i], p->first[2][i]};
		double last[3] = {p->last[0][i], p->last[1][i], p->last[2][i]};

		if (p->length[i] > 0.0)
			square = fmax(square,
				fmax(distance_square(point, first), distance_square(point, last)));
	}
	*radius_m = p->kind == PE_SPACE_GEODETIC ? along_surface(sqrt(square)) : sqrt(square);
}

void pe_hull_around(const struct pe_hull *hull, double centre[3], double *radius_m)
{
	double middle[3];

	if (hull->kind == PE_SPACE_GEODETIC) {
		position_of(hull->foot, centre);
		*radius_m = along_surface(hull->foot_reach_m);
		return;
	}
	*radius_m = sqrt(ball_square(hull, middle));
	for (unsigned k = 0; k < 3; k++)
		centre[k] = hull->origin[k] + middle[k];
}
