#include "discover/fence_internal.h"
#include "space/side.h"

#include <math.h>
#include <string.h>

// How far along the surface a straight line of so many metres may lead between places that are no
// deeper than PE_HEIGHT_LOWEST_M, where the Earth is curved most.
static double surface_reach(double straight_m)
{
	return 2.0 * 6335000.0 * asin(fmin((straight_m * 1.0021 + 0.01) / (2.0 * 6335000.0), 1.0));
}

static enum pe_status shape_sphere(
	const struct pe_space *space, struct pe_fence *f, struct pe_fence_shape *shape)
{
	struct pe_region inner[PE_FRAMES_MAX];
	double wide_m = f->radius_m + (double)f->margin_m;

	if (pe_space_check_sphere(space, f->centre, f->radius_m) != PE_REASON_none ||
		pe_space_check_sphere(space, f->centre, wide_m) != PE_REASON_none)
		return PE_INVALID;
	if (f->flags & PE_FENCE_STRAIGHT) {
		if (!(f->centre[2] >= PE_HEIGHT_LOWEST_M))
			return PE_INVALID;
		wide_m = surface_reach(wide_m);
	}
	shape->region_count = pe_space_sphere(space, f->centre, wide_m, shape->region, NULL);
	if (!shape->region_count)
		return PE_OK;
	f->frame = (uint8_t)shape->region[0].frame;
	memcpy(f->u.sphere.at, shape->region[0].centre, sizeof f->u.sphere.at);
	f->u.sphere.wide_square = shape->region[0].square;
	f->u.sphere.wide_sure = shape->region[0].sure;
	f->u.sphere.square = f->u.sphere.sure = -1.0;
	// The squares are the same for every frame.
	if (!(f->flags & PE_FENCE_STRAIGHT) &&
		pe_space_sphere(space, f->centre, f->radius_m, inner, NULL)) {
		f->u.sphere.square = inner[0].square;
		f->u.sphere.sure = inner[0].sure;
	}
	for (unsigned r = 0; r < shape->region_count; r++)
		memcpy(shape->at[r], shape->region[r].centre, sizeof shape->at[r]);
	return PE_OK;
}

static enum pe_status shape_box(
	const struct pe_space *space, struct pe_fence *f, struct pe_fence_shape *shape)
{
	if (pe_space_check_box(space, f->u.box.a, f->u.box.b) != PE_REASON_none)
		return PE_INVALID;
	pe_box_widen(
		space, f->u.box.a, f->u.box.b, (double)f->margin_m, shape->wide_a, shape->wide_b);
	shape->region_count = pe_space_box(space, shape->wide_a, shape->wide_b, shape->region);
	return PE_OK;
}

// The regions of what is no sphere, further out by its margin. A frame beyond a border is reached
// by the margin alone, so that there the ball about the volume tells.
static void widen_regions(
	const struct pe_space *space, struct pe_fence *f, struct pe_fence_shape *shape)
{
	double margin = (double)f->margin_m * 1.01, centre[3], radius_m;

	if (f->kind == PE_FENCE_POLYGON)
		pe_polygon_around(f->u.polygon, centre, &radius_m);
	else
		pe_hull_around(f->u.hull, centre, &radius_m);
	if (f->margin_m > 0.0f && f->kind == PE_FENCE_HULL &&
		space->config.kind == PE_SPACE_CARTESIAN) {
		double a[3], b[3];

		for (unsigned i = 0; i < 3; i++) {
			a[i] = centre[i] - radius_m - margin;
			b[i] = centre[i] + radius_m + margin;
		}
		shape->region_count = pe_space_box(space, a, b, shape->region);
		return;
	}
	if (f->margin_m > 0.0f && (space->frame_count > 1 || f->kind == PE_FENCE_HULL)) {
		shape->region_count =
			pe_space_sphere(space, centre, radius_m + margin, shape->region, NULL);
		return;
	}
	shape->region_count = f->kind == PE_FENCE_POLYGON ?
		pe_polygon_regions(space, f->u.polygon, shape->region) :
		pe_hull_regions(space, f->u.hull, shape->region);
	for (unsigned r = 0; f->margin_m > 0.0f && r < shape->region_count; r++)
		for (unsigned i = 0; i < 3; i++) {
			struct pe_region *region = &shape->region[r];

			region->lo[i] -= shape->margin[i];
			region->hi[i] += shape->margin[i];
			// a footprint's z changes by no more than what is across
			if (region->lo[i] < space->units_lo[i])
				region->lo[i] = space->units_lo[i];
			if (region->hi[i] > space->units_hi[i])
				region->hi[i] = space->units_hi[i];
		}
}

enum pe_status pe_fence_shape(const struct pe_space *space, const struct pe_fence_volume *volume,
	struct pe_fence *f, struct pe_fence_shape *shape)
{
	double margin = volume->margin_m;

	memset(f, 0, sizeof *f);
	shape->space = space;
	shape->fence = f;
	f->kind = (uint8_t)volume->kind;
	f->space = (uint8_t)space->index;
	f->height_min = volume->height_min;
	f->height_max = volume->height_max;
	if (!(margin >= 0.0 && margin <= PE_FENCE_MARGIN_MAX_M))
		return PE_INVALID;
	f->margin_m = (float)margin;
	if ((double)f->margin_m < margin)
		f->margin_m = nextafterf(f->margin_m, INFINITY);
	if (volume->kind == PE_FENCE_POLYGON) {
		f->height_min = volume->polygon->height_min;
		f->height_max = volume->polygon->height_max;
	}
	if (volume->kind == PE_FENCE_HULL) {
		f->height_min = -INFINITY;
		f->height_max = INFINITY;
	}
	if (!(f->height_min <= f->height_max))
		return PE_INVALID;
	if (f->height_min > -INFINITY || f->height_max < INFINITY)
		f->flags |= PE_FENCE_RANGED;
	for (unsigned i = 0; i < 3; i++)
		shape->margin[i] = (int64_t)ceil((double)f->margin_m * 1.01 *
					   (i == 2 ? space->units_per_m_up : space->units_per_m)) +
			(f->margin_m > 0.0f);
	switch (volume->kind) {
	case PE_FENCE_SPHERE:
		memcpy(f->centre, volume->a, sizeof f->centre);
		f->radius_m = volume->radius_m;
		if (volume->straight && space->config.kind == PE_SPACE_GEODETIC)
			f->flags |= PE_FENCE_STRAIGHT;
		return shape_sphere(space, f, shape);
	case PE_FENCE_BOX:
		memcpy(f->u.box.a, volume->a, sizeof f->u.box.a);
		memcpy(f->u.box.b, volume->b, sizeof f->u.box.b);
		return shape_box(space, f, shape);
	case PE_FENCE_POLYGON:
		f->u.polygon = volume->polygon;
		widen_regions(space, f, shape);
		return PE_OK;
	case PE_FENCE_HULL:
		f->u.hull = volume->hull;
		pe_hull_widen(volume->hull, (double)f->margin_m, &shape->wide);
		widen_regions(space, f, shape);
		return PE_OK;
	}
	return PE_INVALID;
}

static enum pe_cell_side classify_sphere(const struct pe_fence_shape *shape, unsigned region,
	const int64_t lo[3], const int64_t hi[3])
{
	const struct pe_fence *f = shape->fence;
	double least = 0.0, most = 0.0;

	for (unsigned i = 0; i < 3; i++) {
		double scale = i == 2 ? (double)(1u << shape->space->z_shift) : 1.0;
		double below = (double)(shape->at[region][i] - lo[i]) * scale;
		double above = (double)(hi[i] - shape->at[region][i]) * scale;
		double out = fmax(fmax(-below, -above), 0.0), far = fmax(below, above);

		least += out * out;
		most += far * far;
	}
	if (least > f->u.sphere.wide_square)
		return PE_CELL_OUTSIDE;
	return most <= f->u.sphere.sure ? PE_CELL_INSIDE : PE_CELL_CROSSING;
}

// Of a volume whose margin is no volume of its kind: outside is what is outside still when it is as
// much larger.
static enum pe_cell_side classify_wide(const struct pe_fence_shape *shape, unsigned frame,
	const int64_t lo[3], const int64_t hi[3])
{
	const struct pe_polygon *polygon = shape->fence->u.polygon;
	enum pe_cell_side side = pe_polygon_classify(shape->space, polygon, frame, lo, hi);
	int64_t wide_lo[3], wide_hi[3];

	if (side != PE_CELL_OUTSIDE || shape->fence->margin_m == 0.0f)
		return side;
	for (unsigned i = 0; i < 3; i++) {
		wide_lo[i] = lo[i] - shape->margin[i];
		wide_hi[i] = hi[i] + shape->margin[i];
	}
	side = pe_polygon_classify(shape->space, polygon, frame, wide_lo, wide_hi);
	return side == PE_CELL_OUTSIDE ? PE_CELL_OUTSIDE : PE_CELL_CROSSING;
}

// The same of a volume whose margin makes another one: inside of both, or outside of the wider.
static enum pe_cell_side classify_both(const struct pe_fence_shape *shape, unsigned frame,
	const int64_t lo[3], const int64_t hi[3])
{
	const struct pe_fence *f = shape->fence;
	bool box = f->kind == PE_FENCE_BOX;
	enum pe_cell_side side = box ?
		pe_box_classify(shape->space, shape->wide_a, shape->wide_b, frame, lo, hi) :
		pe_hull_classify(shape->space, &shape->wide, frame, lo, hi);

	if (side != PE_CELL_INSIDE || f->margin_m == 0.0f)
		return side;
	side = box ? pe_box_classify(shape->space, f->u.box.a, f->u.box.b, frame, lo, hi) :
		     pe_hull_classify(shape->space, f->u.hull, frame, lo, hi);
	return side == PE_CELL_INSIDE ? side : PE_CELL_CROSSING;
}

// Where in its column the cell can hold anything is looked at last: it takes longest.
enum pe_cell_side pe_fence_classify(const struct pe_fence_shape *shape, unsigned r,
	const int64_t cell_lo[3], const int64_t cell_hi[3])
{
	enum pe_fence_kind kind = (enum pe_fence_kind)shape->fence->kind;
	unsigned frame = shape->region[r].frame;
	int64_t lo[3] = {cell_lo[0], cell_lo[1], cell_lo[2]};
	int64_t hi[3] = {cell_hi[0], cell_hi[1], cell_hi[2]};
	enum pe_cell_side side = kind == PE_FENCE_SPHERE ? classify_sphere(shape, r, lo, hi) :
		kind == PE_FENCE_POLYGON                 ? classify_wide(shape, frame, lo, hi) :
							   classify_both(shape, frame, lo, hi);

	if (side == PE_CELL_OUTSIDE || shape->space->config.kind == PE_SPACE_CARTESIAN)
		return side;
	if (!pe_cell_clip(shape->space, frame, lo, hi))
		return PE_CELL_OUTSIDE;
	return kind == PE_FENCE_SPHERE && side == PE_CELL_CROSSING ?
		classify_sphere(shape, r, lo, hi) :
		side;
}

// What is this far outside of a volume (inside: less than 0), from where its side or its margin's
// changes.
static double edge_room(double beyond, double margin)
{
	if (beyond > margin)
		return beyond - margin;
	return beyond > 0.0 ? fmin(beyond, margin - beyond) : -beyond;
}

// Distances in a frame, so that a move changes them by no more than its length. Within the bands
// that distances decide there is no room.
static double sphere_room(const struct pe_fence *f, double square)
{
	double distance = sqrt(square);

	if (square > f->u.sphere.wide_square)
		return distance - sqrt(fmax(f->u.sphere.wide_square, 0.0));
	if (f->flags & PE_FENCE_STRAIGHT)
		return 0.0;
	if (square <= f->u.sphere.sure)
		return sqrt(f->u.sphere.sure) - distance;
	if (square > f->u.sphere.square && square <= f->u.sphere.wide_sure)
		return fmin(distance - sqrt(fmax(f->u.sphere.square, 0.0)),
			sqrt(f->u.sphere.wide_sure) - distance);
	return 0.0;
}

// Of the other kinds, in metres. A move changes how far each face, or edge, is by no more than its
// length.
static double other_room(const struct pe_space *space, const struct pe_fence *f,
	enum pe_fence_side side, const double position[3])
{
	bool flat = space->config.kind == PE_SPACE_CARTESIAN;
	double margin = (double)f->margin_m, beyond = -INFINITY;

	switch ((enum pe_fence_kind)f->kind) {
	case PE_FENCE_BOX:
		for (unsigned i = 0; i < 3; i++)
			beyond = fmax(beyond,
				fmax(f->u.box.a[i] - position[i], position[i] - f->u.box.b[i]));
		return flat ? edge_room(beyond, margin) : 0.0;
	case PE_FENCE_POLYGON:
		beyond = pe_polygon_edge_distance(f->u.polygon, position);
		return edge_room(side == PE_FENCE_INSIDE ? -beyond : beyond, margin);
	case PE_FENCE_HULL: // where heights are places; its margin ends at a ball, too
		beyond = flat ? pe_hull_beyond(f->u.hull, position) : 0.0;
		return side == PE_FENCE_INSIDE || beyond > margin ? edge_room(beyond, margin) : 0.0;
	default:
		return 0.0;
	}
}

static enum pe_fence_side side_sphere(const struct pe_space *space, const struct pe_fence *f,
	uint64_t key, uint64_t word, const double position[3], double *room_units)
{
	struct pe_region region = {.z_shift = space->z_shift};
	bool straight = f->flags & PE_FENCE_STRAIGHT;
	double square, distance;

	if (PE_KEY_FRAME(key) == f->frame) {
		memcpy(region.centre, f->u.sphere.at, sizeof region.centre);
	} else {
		double at[3];

		pe_space_frame_metres(space, PE_KEY_FRAME(key), f->centre, at);
		for (unsigned i = 0; i < 3; i++)
			region.centre[i] = (int64_t)floor(
				at[i] * (i == 2 ? space->units_per_m_up : space->units_per_m));
	}
	square = pe_region_square(&region, key, word);
	if (room_units)
		*room_units = fmin(*room_units, sphere_room(f, square));
	if (square <= f->u.sphere.sure)
		return PE_FENCE_INSIDE;
	if (square > f->u.sphere.wide_square)
		return PE_FENCE_OUTSIDE;
	if (!straight && square > f->u.sphere.square && square <= f->u.sphere.wide_sure)
		return PE_FENCE_MARGIN;
	if (straight && !(position[2] >= PE_HEIGHT_LOWEST_M))
		return PE_FENCE_OUTSIDE;
	distance = pe_space_distance(space, f->centre, position, straight);
	if (distance <= f->radius_m)
		return PE_FENCE_INSIDE;
	return distance <= f->radius_m + (double)f->margin_m ? PE_FENCE_MARGIN : PE_FENCE_OUTSIDE;
}

static enum pe_fence_side side_box(
	const struct pe_space *space, const struct pe_fence *f, const double position[3])
{
	double a[3], b[3];

	if (pe_space_box_holds(space, f->u.box.a, f->u.box.b, position))
		return PE_FENCE_INSIDE;
	if (!(f->margin_m > 0.0f))
		return PE_FENCE_OUTSIDE;
	pe_box_widen(space, f->u.box.a, f->u.box.b, (double)f->margin_m, a, b);
	return pe_space_box_holds(space, a, b, position) ? PE_FENCE_MARGIN : PE_FENCE_OUTSIDE;
}

static enum pe_fence_side side_other(
	const struct pe_space *space, const struct pe_fence *f, const double position[3])
{
	bool margin = f->margin_m > 0.0f;

	switch ((enum pe_fence_kind)f->kind) {
	case PE_FENCE_SPHERE:
		break;
	case PE_FENCE_BOX:
		return side_box(space, f, position);
	case PE_FENCE_POLYGON:
		if (pe_polygon_covers(f->u.polygon, position))
			return PE_FENCE_INSIDE;
		return margin && pe_polygon_near(f->u.polygon, position, (double)f->margin_m) ?
			PE_FENCE_MARGIN :
			PE_FENCE_OUTSIDE;
	case PE_FENCE_HULL:
		if (pe_hull_holds(f->u.hull, position))
			return PE_FENCE_INSIDE;
		return margin && pe_hull_near(f->u.hull, position, (double)f->margin_m) ?
			PE_FENCE_MARGIN :
			PE_FENCE_OUTSIDE;
	}
	return PE_FENCE_OUTSIDE;
}

enum pe_fence_side pe_fence_volume_side(const struct pe_space *space, const struct pe_fence *f,
	uint64_t key, uint64_t word, const double position[3], double *room_units)
{
	enum pe_fence_side side;

	if (f->kind == PE_FENCE_SPHERE)
		return side_sphere(space, f, key, word, position, room_units);
	side = side_other(space, f, position);
	// A thousandth, and a centimetre: edges on Earth are not told more exactly (space/side.h).
	if (room_units)
		*room_units = fmin(*room_units,
			(other_room(space, f, side, position) * 0.999 - 0.01) * space->units_per_m);
	return side;
}

static enum pe_fence_side least(enum pe_fence_side a, enum pe_fence_side b)
{
	return a < b ? a : b;
}

enum pe_fence_side pe_fence_side_of(const struct pe_fence_index *index,
	const struct pe_fence *fence, bool whole, uint64_t key, uint64_t word,
	const double position[3], double *room_units)
{
	enum pe_fence_side side = PE_FENCE_INSIDE, across = PE_FENCE_INSIDE;

	if (fence->flags & PE_FENCE_RANGED)
		side = pe_fence_height_side(fence, position[2]);
	if (!whole && (side != PE_FENCE_OUTSIDE || room_units))
		across = pe_fence_volume_side(
			index->space[fence->space], fence, key, word, position, room_units);
	// A height may change without a move.
	if (room_units && fence->flags & PE_FENCE_RANGED && across != PE_FENCE_OUTSIDE)
		*room_units = 0.0;
	return least(side, across);
}
