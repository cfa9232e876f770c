#include "space/hull.h"

#include "base/limits.h"
#include "space/geodesy.h"
#include "space/region.h"

#include <immintrin.h>
#include <string.h>

// Heights down to the lowest bring two points closer than their footprints by this share at most.
#define HEIGHT_SHRINK 0.0021

// Own axes in those of the space: axis[i] is the own axis i. Columns of the quaternion's matrix.
static void axes_of(const double q[4], double axis[3][3])
{
	double n = 1.0 / sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
	double x = q[0] * n, y = q[1] * n, z = q[2] * n, w = q[3] * n;

	axis[0][0] = 1.0 - 2.0 * (y * y + z * z);
	axis[0][1] = 2.0 * (x * y + w * z);
	axis[0][2] = 2.0 * (x * z - w * y);
	axis[1][0] = 2.0 * (x * y - w * z);
	axis[1][1] = 1.0 - 2.0 * (x * x + z * z);
	axis[1][2] = 2.0 * (y * z + w * x);
	axis[2][0] = 2.0 * (x * z + w * y);
	axis[2][1] = 2.0 * (y * z - w * x);
	axis[2][2] = 1.0 - 2.0 * (x * x + y * y);
}

static enum pe_volume_fault check_place(
	const struct pe_space *space, const double place[3], const double q[4])
{
	double square = 0.0;

	for (unsigned i = 0; i < 3; i++)
		if (!(fabs(place[i]) < INFINITY))
			return PE_VOLUME_not_finite;
	for (unsigned i = 0; i < 4; i++) {
		if (!(fabs(q[i]) < INFINITY))
			return PE_VOLUME_not_finite;
		square += q[i] * q[i];
	}
	if (space->config.kind == PE_SPACE_GEODETIC) {
		if (fabs(place[0]) > 90.0 || fabs(place[1]) > 180.0)
			return PE_VOLUME_off_earth;
		if (place[2] < PE_HEIGHT_LOWEST_M)
			return PE_VOLUME_too_large;
	}
	for (unsigned i = 0; i < 3; i++)
		if (fabs(place[i]) > PE_HULL_COORDINATE_MAX_M)
			return PE_VOLUME_too_large;
	return fabs(square - 1.0) <= PE_HULL_UNIT_TOLERANCE ? PE_VOLUME_ok : PE_VOLUME_rotation;
}

// The origin, and the own axes as the planes want them.
static void place_hull(const struct pe_space *space, const double place[3], const double q[4],
	struct pe_hull *hull, double axis[3][3])
{
	double local[3][3], up[3], east[3], north[3];

	memset(hull, 0, sizeof *hull);
	hull->kind = space->config.kind;
	if (hull->kind == PE_SPACE_CARTESIAN) {
		memcpy(hull->origin, place, sizeof hull->origin);
		axes_of(q, axis);
		return;
	}
	axes_of(q, local);
	geo_normal(place[0], place[1], up);
	geo_normal(0.0, place[1] > 90.0 ? place[1] - 270.0 : place[1] + 90.0, east);
	north[0] = up[1] * east[2] - up[2] * east[1];
	north[1] = up[2] * east[0] - up[0] * east[2];
	north[2] = up[0] * east[1] - up[1] * east[0];
	geo_point(up, place[2], hull->origin);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 3; k++)
			axis[i][k] = local[i][0] * east[k] + local[i][1] * north[k] +
				local[i][2] * up[k];
}

// The plane whose normal has these parts along the own axes.
static void face(struct pe_hull *hull, unsigned at, const double axis[3][3], double x, double y,
	double z, double reach)
{
	for (unsigned k = 0; k < 3; k++)
		hull->normal[k][at] = x * axis[0][k] + y * axis[1][k] + z * axis[2][k];
	hull->reach[at] = reach;
}

static void corner(
	struct pe_hull *hull, unsigned at, const double axis[3][3], double x, double y, double z)
{
	for (unsigned k = 0; k < 3; k++)
		hull->corner[at][k] = x * axis[0][k] + y * axis[1][k] + z * axis[2][k];
}

// Earth-centred point → the normal above or below it and its height. The fixed point of the
// latitude gains more than two digits a round; points near the Earth's centre, where it doesn't,
// have been refused or are below everything.
static double normal_at(const double p[3], double normal[3])
{
	double across = hypot(p[0], p[1]), latitude = atan2(p[2], across * (1.0 - GEO_E2));
	double longitude = atan2(p[1], p[0]), prime = GEO_A;

	for (unsigned round = 0; round < 8; round++) {
		double s = sin(latitude);

		prime = GEO_A / sqrt(1.0 - GEO_E2 * s * s);
		latitude = atan2(p[2] + GEO_E2 * prime * s, across);
	}
	normal[0] = cos(latitude) * cos(longitude);
	normal[1] = cos(latitude) * sin(longitude);
	normal[2] = sin(latitude);
	return across * cos(latitude) + p[2] * sin(latitude) -
		GEO_A * sqrt(1.0 - GEO_E2 * normal[2] * normal[2]);
}

// Where the volume's footprints may be. The nearest point of a convex body is no further apart for
// two points outside of it than these are, and by HEIGHT_SHRINK more for points that are a little
// inside.
static enum pe_volume_fault measure(struct pe_hull *hull)
{
	double middle[3] = {0}, radius = 0.0, height, furthest = 0.0, highest = -INFINITY,
	       lowest = INFINITY;

	for (unsigned c = 0; c < 8; c++)
		for (unsigned k = 0; k < 3; k++)
			middle[k] += hull->corner[c][k] / 8.0;
	for (unsigned c = 0; c < 8; c++) {
		double d[3];

		for (unsigned k = 0; k < 3; k++)
			d[k] = hull->corner[c][k] - middle[k];
		radius = fmax(radius, sqrt(geo_dot(d, d)));
	}
	if (hull->kind == PE_SPACE_CARTESIAN)
		return radius > PE_HULL_COORDINATE_MAX_M ? PE_VOLUME_too_large : PE_VOLUME_ok;
	if (!(radius <= PE_QUERY_RADIUS_MAX_M))
		return PE_VOLUME_too_large;
	for (unsigned k = 0; k < 3; k++)
		middle[k] += hull->origin[k];
	height = normal_at(middle, hull->up);
	geo_point(hull->up, 0.0, hull->foot);
	// A middle far below ground is lifted first.
	radius += fmax(PE_HEIGHT_LOWEST_M - height, 0.0);
	hull->foot_reach_m = radius * (1.0 + HEIGHT_SHRINK) + 0.01;
	for (unsigned c = 0; c < 8; c++) {
		double d[3], above;

		for (unsigned k = 0; k < 3; k++)
			d[k] = hull->corner[c][k] + hull->origin[k] - hull->foot[k];
		above = geo_dot(d, hull->up);
		highest = fmax(highest, above);
		lowest = fmin(lowest, above);
		furthest = fmax(furthest, geo_dot(d, d));
	}
	// Heights are those above the tangent plane at the foot, and what the ground falls away
	// from it more; a ball of the smallest radius of curvature rolls inside of the ellipsoid.
	hull->height_min = fmax(fmin(lowest, 0.0), PE_HEIGHT_LOWEST_M) - 0.01;
	hull->height_max = fmax(highest, 0.0) + furthest / (2.0 * GEO_RADIUS_MIN) + 0.01;
	return PE_VOLUME_ok;
}

enum pe_volume_fault pe_hull_oriented_box(
	const struct pe_space *space, const struct pe_oriented_box *box, struct pe_hull *hull)
{
	enum pe_volume_fault fault = check_place(space, box->centre, box->orientation);
	double axis[3][3];

	if (fault)
		return fault;
	for (unsigned i = 0; i < 3; i++) {
		if (!(fabs(box->half[i]) < INFINITY))
			return PE_VOLUME_not_finite;
		if (!(box->half[i] > 0.0))
			return PE_VOLUME_extents;
		if (box->half[i] > PE_HULL_COORDINATE_MAX_M)
			return PE_VOLUME_too_large;
	}
	place_hull(space, box->centre, box->orientation, hull, axis);
	for (unsigned i = 0; i < 8; i++) {
		double side = i & 1 ? -1.0 : 1.0;

		if (i < 6)
			face(hull, i, axis, i / 2 == 0 ? side : 0.0, i / 2 == 1 ? side : 0.0,
				i / 2 == 2 ? side : 0.0, box->half[i / 2]);
		else
			hull->reach[i] = INFINITY;
		corner(hull, i, axis, i & 1 ? -box->half[0] : box->half[0],
			i & 2 ? -box->half[1] : box->half[1], i & 4 ? -box->half[2] : box->half[2]);
	}
	return measure(hull);
}

enum pe_volume_fault pe_hull_frustum(
	const struct pe_space *space, const struct pe_frustum *f, struct pe_hull *hull)
{
	enum pe_volume_fault fault = check_place(space, f->apex, f->orientation);
	double axis[3][3], across, up;

	if (fault)
		return fault;
	if (!(fabs(f->horizontal_deg) < INFINITY && fabs(f->vertical_deg) < INFINITY &&
		    fabs(f->near_m) < INFINITY && fabs(f->far_m) < INFINITY))
		return PE_VOLUME_not_finite;
	if (fmin(f->horizontal_deg, f->vertical_deg) < PE_FRUSTUM_ANGLE_MIN_DEG ||
		fmax(f->horizontal_deg, f->vertical_deg) > PE_FRUSTUM_ANGLE_MAX_DEG)
		return PE_VOLUME_angles;
	if (f->near_m < 0.0 || f->near_m >= f->far_m)
		return PE_VOLUME_distances;
	if (f->far_m > PE_HULL_COORDINATE_MAX_M)
		return PE_VOLUME_too_large;
	place_hull(space, f->apex, f->orientation, hull, axis);
	across = 0.5 * f->horizontal_deg * GEO_DEGREE;
	up = 0.5 * f->vertical_deg * GEO_DEGREE;
	face(hull, 0, axis, 1.0, 0.0, 0.0, f->far_m);
	face(hull, 1, axis, -1.0, 0.0, 0.0, -f->near_m);
	face(hull, 2, axis, -sin(across), cos(across), 0.0, 0.0);
	face(hull, 3, axis, -sin(across), -cos(across), 0.0, 0.0);
	face(hull, 4, axis, -sin(up), 0.0, cos(up), 0.0);
	face(hull, 5, axis, -sin(up), 0.0, -cos(up), 0.0);
	hull->reach[6] = hull->reach[7] = INFINITY;
	for (unsigned i = 0; i < 8; i++) {
		double x = i & 1 ? f->near_m : f->far_m;

		corner(hull, i, axis, x, x * tan(across) * (i & 2 ? -1.0 : 1.0),
			x * tan(up) * (i & 4 ? -1.0 : 1.0));
	}
	return measure(hull);
}

bool pe_hull_holds(const struct pe_hull *hull, const double position[3])
{
	double point[3] = {position[0], position[1], position[2]};
	__m256d x, y, z, in = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));

	if (hull->kind == PE_SPACE_GEODETIC) {
		double normal[3];

		if (position[2] < PE_HEIGHT_LOWEST_M)
			return false;
		geo_normal(position[0], position[1], normal);
		geo_point(normal, position[2], point);
	}
	x = _mm256_set1_pd(point[0] - hull->origin[0]);
	y = _mm256_set1_pd(point[1] - hull->origin[1]);
	z = _mm256_set1_pd(point[2] - hull->origin[2]);
	for (unsigned i = 0; i < 8; i += 4) {
		__m256d along = _mm256_fmadd_pd(x, _mm256_load_pd(&hull->normal[0][i]),
			_mm256_fmadd_pd(y, _mm256_load_pd(&hull->normal[1][i]),
				_mm256_mul_pd(z, _mm256_load_pd(&hull->normal[2][i]))));

		in = _mm256_and_pd(
			in, _mm256_cmp_pd(along, _mm256_load_pd(&hull->reach[i]), _CMP_LE_OQ));
	}
	return _mm256_movemask_pd(in) == 15;
}

// One frame of a GEODETIC space. A footprint is p − h·n(p); against the normal u at the foot amid
// the volume, n is off by at most (the footprints' distance) / r. So along an axis t of the frame
// it is where p's shadow on the tangent plane is, give or take h times that, and below the plane by
// at most (distance)² / 2r.
static bool frame_region(const struct pe_space *space, const struct pe_hull *hull, unsigned f,
	struct pe_region *region)
{
	const struct pe_space_frame *frame = &space->frame[f];
	double lo[3], hi[3], reach = hull->foot_reach_m,
			     sag = reach * reach / (2.0 * GEO_RADIUS_MIN);
	double lean = fmax(hull->height_max, -hull->height_min) * fmin(reach / GEO_RADIUS_MIN, 1.0);

	for (unsigned i = 0; i < 3; i++) {
		double along = geo_dot(frame->turn[i], hull->up), flat[3], at = 0.0;
		double most = -INFINITY, least = INFINITY;

		for (unsigned k = 0; k < 3; k++) {
			flat[k] = frame->turn[i][k] - along * hull->up[k];
			at += frame->turn[i][k] * (hull->foot[k] - frame->home[k]);
		}
		for (unsigned c = 0; c < 8; c++) {
			double d = 0.0;

			for (unsigned k = 0; k < 3; k++)
				d += flat[k] *
					(hull->corner[c][k] + hull->origin[k] - hull->foot[k]);
			most = fmax(most, d);
			least = fmin(least, d);
		}
		double off = lean * sqrt(geo_dot(flat, flat)) + 0.001;

		hi[i] = at + fmin(reach, most + off + fmax(-along, 0.0) * sag);
		lo[i] = at + fmax(-reach, least - off - fmax(along, 0.0) * sag);
	}
	return geo_region_within(space, f, lo, hi, region);
}

unsigned pe_hull_regions(const struct pe_space *space, const struct pe_hull *hull,
	struct pe_region regions[PE_FRAMES_MAX])
{
	unsigned count = 0;

	if (hull->kind == PE_SPACE_CARTESIAN) {
		double lo[3] = {INFINITY, INFINITY, INFINITY},
		       hi[3] = {-INFINITY, -INFINITY, -INFINITY}, largest = 0.0;

		for (unsigned c = 0; c < 8; c++)
			for (unsigned k = 0; k < 3; k++) {
				double at = hull->origin[k] + hull->corner[c][k];

				lo[k] = fmin(lo[k], at);
				hi[k] = fmax(hi[k], at);
				largest = fmax(largest, fabs(hull->corner[c][k]) + fabs(at));
			}
		return geo_region_bound(space, 0, lo, hi, largest * 1e-14, regions) ? 1 : 0;
	}
	// Footprints c apart have normals 2·asin(c / 2r) apart at most.
	double angle = 2.0 * asin(fmin(hull->foot_reach_m / (2.0 * GEO_RADIUS_MIN), 1.0));

	for (unsigned f = 0; f < space->frame_count; f++)
		if (space->frame_count == 1 || geo_frame_reached(space, f, hull->up, angle + 1e-6))
			count += frame_region(space, hull, f, &regions[count]);
	return count;
}

enum pe_cell_side pe_hull_classify(const struct pe_space *space, const struct pe_hull *hull,
	unsigned frame, const int64_t lo[3], const int64_t hi[3])
{
	struct geo_cell cell;
	double up[3] = {0}, low = 0.0, high = 0.0, lean = 0.0;
	bool inside = hull->kind == PE_SPACE_CARTESIAN;

	if (!geo_cell_make(space, frame, lo, hi, &cell))
		return PE_CELL_CROSSING;
	if (!inside) {
		double size;

		memcpy(up, cell.at,
			sizeof up); // on the surface, where the normal is the point with z / (1 −
		                    // e²)
		up[2] /= 1.0 - GEO_E2;
		size = sqrt(geo_dot(up, up));
		for (unsigned k = 0; k < 3; k++)
			up[k] /= size;
		low = hull->height_min;
		high = hull->height_max;
		lean = fmax(high, -low) * fmin(cell.radius / GEO_RADIUS_MIN, 1.0) + 0.001;
	}
	for (unsigned i = 0; i < 6; i++) {
		double n[3] = {hull->normal[0][i], hull->normal[1][i], hull->normal[2][i]};
		double rise = geo_dot(n, up), along = 0.0, spread = lean, size = 0.0;

		for (unsigned k = 0; k < 3; k++) {
			along += n[k] * (cell.at[k] - hull->origin[k]);
			spread += fabs(geo_dot(n, cell.axis[k]));
			size += fabs(cell.at[k] - hull->origin[k]);
		}
		spread += size * 1e-14;
		if (along + fmin(rise * low, rise * high) - spread > hull->reach[i])
			return PE_CELL_OUTSIDE;
		inside = inside && along + spread <= hull->reach[i];
	}
	return inside ? PE_CELL_INSIDE : PE_CELL_CROSSING;
}
