// Query volumes as regions of frames: spheres, boxes, and the bounds of what a query may state.
#include "space/region.h"

#include "base/limits.h"
#include "space/geodesy.h"
#include "space/sphere.h"

#include <string.h>

// Metres of an axis → units, rounded down and clipped to what the key holds (one unit wider on
// either side, so that a range that lies outside still shows as empty).
static int64_t units_clip(const struct pe_space *space, unsigned axis, double metres)
{
	double scale = axis == 2 ? space->units_per_m_up : space->units_per_m;
	double lo = (double)(space->units_lo[axis] - 1), hi = (double)(space->units_hi[axis] + 1);
	double units = floor(metres * scale);

	// What is not a number becomes the lowest, as with fmin and fmax, which would be calls.
	return (int64_t)(units > lo ? units < hi ? units : hi : lo);
}

bool geo_region_bound(const struct pe_space *space, unsigned frame, const double lo[3],
	const double hi[3], double slack_m, struct pe_region *region)
{
	memset(region, 0, sizeof *region);
	region->space = space->index;
	region->frame = frame;
	region->z_shift = space->z_shift;
	for (unsigned i = 0; i < 3; i++) {
		region->lo[i] = units_clip(space, i, lo[i] - slack_m);
		region->hi[i] = units_clip(space, i, hi[i] + slack_m);
		if (region->lo[i] < space->units_lo[i])
			region->lo[i] = space->units_lo[i];
		if (region->hi[i] > space->units_hi[i])
			region->hi[i] = space->units_hi[i];
		if (region->lo[i] > region->hi[i])
			return false;
	}
	return true;
}

bool geo_region_within(const struct pe_space *space, unsigned frame, double lo[3], double hi[3],
	struct pe_region *region)
{
	for (unsigned i = 0; i < 3 && space->frame_count == 1; i++) {
		hi[i] = fmin(hi[i], space->extent_m);
		lo[i] = fmax(lo[i], -space->extent_m);
	}
	return geo_region_bound(space, frame, lo, hi, GEO_ARITHMETIC_M, region);
}

static void sphere_fill(const struct pe_space *space, const double centre[3], double outer_m,
	double inner_m, struct pe_region *region)
{
	double outer = outer_m * space->units_per_m * (1.0 + 1e-14) + space->slack_units;
	double inner = inner_m * space->units_per_m * (1.0 - 1e-14) - space->slack_units;

	region->test = PE_REGION_SPHERE;
	for (unsigned i = 0; i < 3; i++) {
		double scale = i == 2 ? space->units_per_m_up : space->units_per_m;

		region->centre[i] = (int64_t)floor(centre[i] * scale);
	}
	region->square = outer * outer;
	region->sure = inner >= 0.0 ? inner * inner : -1.0;
}

static unsigned sphere_cartesian(const struct pe_space *space, const double centre[3],
	double radius_m, struct pe_region *region, double *band_m)
{
	struct pe_sphere_lanes lanes;

	*band_m = space->slack_units * space->unit_m;
	if (!pe_sphere_lanes(
		    space, _mm256_setr_pd(centre[0], centre[1], centre[2], 0), radius_m, &lanes))
		return 0;
	pe_sphere_region(space, &lanes, region);
	return 1;
}

// Not sufficient near a cube's corner: the half-spaces between the frame and its neighbours are
// looked at one by one.
bool geo_frame_reached(
	const struct pe_space *space, unsigned frame, const double normal[3], double angle)
{
	double dot = geo_dot(space->frame[frame].up, normal);
	double reach = angle < 0.5 * M_PI ? sin(angle) : 1.0;

	for (unsigned g = 0; g < space->frame_count; g++)
		if (g != frame &&
			dot - geo_dot(space->frame[g].up, normal) < -M_SQRT2 * reach - 1e-9 &&
			geo_dot(space->frame[frame].up, space->frame[g].up) > -0.5)
			return false;
	return dot > -reach - 1e-9;
}

static unsigned sphere_geodetic(const struct pe_space *space, const double centre[3],
	double radius_m, struct pe_region *regions, double *band_m)
{
	double band = pe_surface_band(radius_m), latitude = centre[0];
	double outer = geo_chord(radius_m + band, latitude) + GEO_ARITHMETIC_M;
	double inner =
		radius_m > band ? geo_chord(radius_m - band, latitude) - GEO_ARITHMETIC_M : -1.0;
	double rounding = space->slack_units * space->unit_m + GEO_ARITHMETIC_M;
	double normal[3];
	unsigned count = 0;

	// A metre of chord is at most 1/cos(half the arc) metres of surface; 1.03 at the cap and
	// beyond.
	*band_m = band + 1.03 * rounding;
	geo_normal(centre[0], centre[1], normal);
	for (unsigned f = 0; f < space->frame_count; f++) {
		const struct pe_space_frame *frame = &space->frame[f];
		double at[3], lo[3], hi[3];

		if (space->frame_count > 1 &&
			!geo_frame_reached(space, f, normal, (radius_m + 1.0) / GEO_RADIUS_MIN))
			continue;
		pe_space_frame_metres(space, f, centre, at);
		if (space->frame_count == 1 &&
			sqrt(geo_dot(at, at)) > space->extent_m + outer + rounding)
			continue;
		// Everything of the surface within a chord c of the centre lies between the
		// centre's tangent plane and c²/2r below it, r the smallest radius of curvature: a
		// flat cap, not a ball.
		double sag = outer * outer / (2.0 * GEO_RADIUS_MIN);

		for (unsigned i = 0; i < 3; i++) {
			double along =
				geo_dot(frame->turn[i], normal); // this axis on the centre's up
			double flat =
				outer * sqrt(fmax(1.0 - along * along, 0.0)) + GEO_ARITHMETIC_M;

			lo[i] = at[i] - fmin(outer, flat + fmax(along, 0.0) * sag);
			hi[i] = at[i] + fmin(outer, flat + fmax(-along, 0.0) * sag);
		}
		if (!geo_region_bound(space, f, lo, hi, rounding, &regions[count]))
			continue;
		sphere_fill(space, at, outer, inner, &regions[count]);
		count++;
	}
	return count;
}

unsigned pe_space_sphere(const struct pe_space *space, const double centre[3], double radius_m,
	struct pe_region regions[PE_FRAMES_MAX], double *band_m)
{
	double ignored;

	if (!band_m)
		band_m = &ignored;
	if (space->config.kind == PE_SPACE_CARTESIAN)
		return sphere_cartesian(space, centre, radius_m, regions, band_m);
	return sphere_geodetic(space, centre, radius_m, regions, band_m);
}

// A frame's footprints all lie below its home's plane, and a face's own ones not further out than
// this.
static bool box_frame(const struct pe_space *space, unsigned f, const struct geo_box *box,
	struct pe_region *region)
{
	const struct pe_space_frame *frame = &space->frame[f];
	double lo[3], hi[3];

	for (unsigned g = 0; g < space->frame_count; g++) {
		double between[3];

		if (g == f)
			continue;
		for (unsigned i = 0; i < 3; i++)
			between[i] = frame->up[i] - space->frame[g].up[i];
		if (geo_box_normal_max(box, between) < -1e-9)
			return false;
	}
	for (unsigned i = 0; i < 3; i++) {
		double minus[3] = {-frame->turn[i][0], -frame->turn[i][1], -frame->turn[i][2]};
		double home = geo_dot(frame->turn[i], frame->home);

		hi[i] = geo_box_point_max(box, frame->turn[i]) - home;
		lo[i] = -geo_box_point_max(box, minus) - home;
	}
	return geo_region_within(space, f, lo, hi, region);
}

unsigned pe_space_box(const struct pe_space *space, const double a[3], const double b[3],
	struct pe_region regions[PE_FRAMES_MAX])
{
	unsigned count = 0;

	// Rounding down keeps order, so a CARTESIAN box needs no slack at all.
	if (space->config.kind == PE_SPACE_CARTESIAN)
		return geo_region_bound(space, 0, a, b, 0.0, regions) ? 1 : 0;

	struct geo_box box = geo_box_make(a, b);

	for (unsigned f = 0; f < space->frame_count; f++)
		count += box_frame(space, f, &box, &regions[count]);
	return count;
}

static bool longitude_holds(double west, double east, double longitude)
{
	if (west <= east)
		return longitude >= west && longitude <= east;
	return longitude >= west || longitude <= east;
}

bool pe_space_box_holds(const struct pe_space *space, const double a[3], const double b[3],
	const double position[3])
{
	if (space->config.kind == PE_SPACE_CARTESIAN) {
		for (unsigned i = 0; i < 3; i++)
			if (!(position[i] >= a[i] && position[i] <= b[i]))
				return false;
		return true;
	}
	if (!(position[0] >= a[0] && position[0] <= b[0]))
		return false;
	// A pole is one point, whatever longitude it was given.
	if (fabs(position[0]) == 90.0)
		return true;
	return longitude_holds(a[1], b[1], position[1]) ||
		(fabs(position[1]) == 180.0 && longitude_holds(a[1], b[1], -position[1]));
}

void pe_space_box_centre(
	const struct pe_space *space, const double a[3], const double b[3], double centre[3])
{
	for (unsigned i = 0; i < 3; i++)
		centre[i] = 0.5 * a[i] + 0.5 * b[i];
	if (space->config.kind == PE_SPACE_GEODETIC && a[1] > b[1])
		centre[1] += centre[1] > 0.0 ? -180.0 : 180.0;
}

enum pe_reason pe_space_check_sphere(
	const struct pe_space *space, const double centre[3], double radius_m)
{
	for (unsigned i = 0; i < 3; i++)
		if (!(fabs(centre[i]) < INFINITY))
			return PE_REASON_query_coordinates;
	if (!(radius_m >= 0.0 && radius_m < INFINITY))
		return PE_REASON_query_coordinates;
	if (space->config.kind == PE_SPACE_CARTESIAN) {
		double across = space->config.leaf_edge_m * PE_KEY_X_OFFSET,
		       up = space->config.leaf_height_m * PE_KEY_Z_OFFSET;

		return fabs(centre[0]) > across || fabs(centre[1]) > across ||
				fabs(centre[2]) > up ?
			PE_REASON_query_bounds :
			PE_REASON_none;
	}
	if (fabs(centre[0]) > 90.0 || fabs(centre[1]) > 180.0)
		return PE_REASON_query_coordinates;
	return radius_m > PE_QUERY_RADIUS_MAX_M ? PE_REASON_query_bounds : PE_REASON_none;
}

enum pe_reason pe_space_check_box(
	const struct pe_space *space, const double a[3], const double b[3])
{
	for (unsigned i = 0; i < 3; i++)
		if (!(fabs(a[i]) < INFINITY && fabs(b[i]) < INFINITY))
			return PE_REASON_query_coordinates;
	if (space->config.kind == PE_SPACE_CARTESIAN)
		return a[0] > b[0] || a[1] > b[1] || a[2] > b[2] ? PE_REASON_query_coordinates :
								   PE_REASON_none;
	if (fabs(a[0]) > 90.0 || fabs(b[0]) > 90.0 || a[0] > b[0] || fabs(a[1]) > 180.0 ||
		fabs(b[1]) > 180.0)
		return PE_REASON_query_coordinates;

	struct geo_box box = geo_box_make(a, b);
	double nearest = box.south > 0.0 ? box.south :
		box.north < 0.0          ? box.north :
					   0.0; // to the equator
	double half_height = 0.5 * (box.north - box.south) * GEO_A;
	double half_width = GEO_A * cos(nearest) * sin(0.5 * fmin(box.width, M_PI));

	return fmax(half_height, half_width) > PE_QUERY_RADIUS_MAX_M ? PE_REASON_query_bounds :
								       PE_REASON_none;
}
