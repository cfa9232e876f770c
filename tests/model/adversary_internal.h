// What the files of attacks share.
#pragma once

#include "adversary.h"

#include <math.h>
#include <string.h>

#define ADVERSARY_ASKERS  6u
#define ADVERSARY_ASIDE_M 15000.0 // askers are within it of home

static inline void adversary_anywhere(struct adversary *a, double within_m, double place[3])
{
	double x = adversary_random(a, -within_m, within_m);

	adversary_offset(a, a->home, x, adversary_random(a, -within_m, within_m), place);
}

static inline struct adversary_fixes adversary_about(const double place[3], double around_m)
{
	return (struct adversary_fixes){
		.about = {place[0], place[1], place[2]}, .around_m = around_m};
}

static inline void adversary_add(struct adversary_fixes *f, const double from[3], double metres)
{
	memcpy(f->from[f->count], from, sizeof f->from[0]);
	f->metres[f->count++] = metres;
}

// From a place, which way.
struct adversary_ray {
	double from[3];
	double x, y; // a unit, which way
	struct pe_wire_query query;
};

// Of standing queries, and of what may be bound to somebody (adversary_standing.c).
bool adversary_fences_about(struct adversary *a, double place[3]);
bool adversary_fence_moves(struct adversary *a, double place[3]);
bool adversary_fence_follows(struct adversary *a, double place[3]);
bool adversary_prediction(struct adversary *a, double place[3]);
bool adversary_parent(struct adversary *a, double place[3]);
