#include "policy/near.h"

#include "space/coarse.h"

#include <math.h>
#include <stddef.h>

// A place: the highest bit, and CARTESIAN: its cell's key without the space; GEODETIC: latitude and
// longitude, 31 and 32 bits.
#define PLACE         (1ull << 63)
#define PLACE_KEY     0x00FFFFFFFFFFFFFFull
#define DEGREES       1e7
#define PLACE_SLACK_M 0.02 // what that rounding may be

static bool geodetic(const struct pe_space *space)
{
	return space->config.kind == PE_SPACE_GEODETIC;
}

static double round_edge_m(const struct pe_space *space)
{
	return fmin(fmax(space->config.leaf_edge_m, PE_NEAR_ROUND_MIN_M), PE_ROUND_EDGE_MAX_M);
}

uint64_t pe_near_place(const struct pe_space *space, const double position[3])
{
	struct pe_place place;
	double middle[3];

	if (pe_space_locate(space, position, &place) != PE_REASON_none)
		return PE_NEAR_NOWHERE;
	if (!geodetic(space))
		return PLACE | (place.key & PLACE_KEY);
	(void)pe_space_coarse(space, round_edge_m(space), position, false, middle);
	return PLACE | (uint64_t)llrint((middle[0] + 90) * DEGREES) << 32 |
		(uint64_t)llrint((middle[1] + 180) * DEGREES);
}

// Whole cells from one to another, along an axis.
static void set_cells(struct pe_region *box, unsigned axis, int64_t from, int64_t to)
{
	box->lo[axis] = from * (1 << PE_CELL_BITS);
	box->hi[axis] = (to + 1) * (1 << PE_CELL_BITS) - 1;
}

static unsigned box_cartesian(
	const struct pe_space *space, uint64_t place, double reach_m, struct pe_region *box)
{
	const int64_t at[3] = {(int64_t)PE_KEY_X(place) - PE_KEY_X_OFFSET,
		(int64_t)PE_KEY_Y(place) - PE_KEY_X_OFFSET,
		(int64_t)PE_KEY_Z(place) - PE_KEY_Z_OFFSET};

	*box = (struct pe_region){.space = space->index, .z_shift = space->z_shift};
	for (unsigned i = 0; i < 3; i++) {
		double edge_m = i < 2 ? space->config.leaf_edge_m : space->config.leaf_height_m;
		int64_t cells = (int64_t)(reach_m / edge_m) + 1;

		set_cells(box, i, at[i] - cells, at[i] + cells);
	}
	return 1;
}

unsigned pe_near_boxes(const struct pe_space *space, uint64_t place, double reach_m,
	struct pe_region boxes[PE_FRAMES_MAX])
{
	double position[3] = {0}, middle[3], bound_m;
	unsigned count;

	if (place == PE_NEAR_NOWHERE)
		return 0;
	if (!geodetic(space))
		return box_cartesian(space, place, reach_m, boxes);
	position[0] = (double)(place >> 32 & 0x7FFFFFFF) / DEGREES - 90;
	position[1] = (double)(place & 0xFFFFFFFF) / DEGREES - 180;
	position[0] = fmin(fmax(position[0], -90), 90);
	position[1] = fmin(fmax(position[1], -180), 180);
	bound_m = (double)pe_space_coarse(space, round_edge_m(space), position, false, middle);
	count = pe_space_sphere(space, position, reach_m + bound_m + PLACE_SLACK_M, boxes, NULL);
	for (unsigned b = 0; b < count; b++) {
		boxes[b].test = PE_REGION_ALL;
		for (unsigned i = 0; i < 3; i++)
			set_cells(&boxes[b], i, boxes[b].lo[i] >> PE_CELL_BITS,
				boxes[b].hi[i] >> PE_CELL_BITS);
	}
	return count;
}

bool pe_near_holds(
	const struct pe_space *space, uint64_t place, double reach_m, const double position[3])
{
	struct pe_region boxes[PE_FRAMES_MAX];
	unsigned count;
	struct pe_place at;
	struct pe_units u;

	if (place == PE_NEAR_EVERYWHERE)
		return true;
	count = pe_near_boxes(space, place, reach_m, boxes);
	if (!count || pe_space_locate(space, position, &at) != PE_REASON_none)
		return false;
	u = pe_place_units(at.key, at.word);
	for (unsigned b = 0; b < count; b++)
		if (boxes[b].frame == u.frame && u.v[0] >= boxes[b].lo[0] &&
			u.v[0] <= boxes[b].hi[0] && u.v[1] >= boxes[b].lo[1] &&
			u.v[1] <= boxes[b].hi[1] && u.v[2] >= boxes[b].lo[2] &&
			u.v[2] <= boxes[b].hi[2])
			return true;
	return false;
}
