// Random worlds for the model of standing volumes: volumes, places and what is inside of what, told
// by every volume's own test and, for spheres, by distances.
#pragma once

#include "discover/member.h"

struct world_shape {
	const char *name;
	bool geodetic, worldwide, lazy;
	double focus[2]; // latitude and longitude, or x and y
	double spread_m;
	double edge_m, height_m;
	uint32_t members_max, cells_max;
};

struct world {
	const struct world_shape *shape;
	uint64_t random;
	struct pe_space space;
};

struct model_fence {
	bool there;
	uint32_t number;
	struct pe_fence_volume volume;
	struct pe_member_rule rule;
	double margin;    // as it is held
	double centre[3]; // Earth-centred, of a sphere
	struct pe_polygon polygon;
	struct pe_hull hull;
	uint32_t newest; // tick of its newest event
};

double world_uniform(struct world *w, double lo, double hi);
unsigned world_below(struct world *w, unsigned n);
// A place so many metres east and north of another.
void world_offset(struct world *w, const double from[2], double east, double north, double to[3]);
void world_height(struct world *w, double position[3]);
void world_place(struct world *w, double position[3]);
// A volume and its rule; false: it came out as none.
bool world_volume(struct world *w, struct model_fence *f);
enum pe_fence_side world_side(
	struct world *w, const struct model_fence *f, const double position[3]);
