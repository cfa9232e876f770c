// Who is near: the cells of the grid about the place of an asker, as policies with within_m mean
// them (views.h). What is near is made of whole cells, so that a walk that looks at no other cells
// meets nothing that its asker is not shown; and the asker's place is rounded to cells, so that
// what is near changes only when he comes to another one. Whoever is within the reach is near; who
// is not may be as far as the corner of the box of cells about it: 1.5 times the reach and three
// edges of a cell, at most, across; heights: whole cells, too. On Earth, where a frame's cells lie
// aslant in the ground, 2.5 times as far as the reach and three edges, at the corners between
// frames.
//
// Pure functions; any thread.
#pragma once

#include "space/space.h"

#define PE_NEAR_NOWHERE    0u
#define PE_NEAR_EVERYWHERE UINT64_MAX // of who looks for others: everything is near
#define PE_NEAR_EDGES_MAX \
	32u // a reach, in edges of a leaf cell: bounds what a walk meets beside what it shows
#define PE_NEAR_ROUND_MIN_M 1.0

// The place of an asker at a position of the space: a word that is equal for equal cells, and never
// PE_NEAR_NOWHERE but for a position that no entity of the space may have.
uint64_t pe_near_place(const struct pe_space *space, const double position[3]);
// What is near: boxes of whole cells, at most one a frame; returns their number. Nothing is near
// NOWHERE.
unsigned pe_near_boxes(const struct pe_space *space, uint64_t place, double reach_m,
	struct pe_region boxes[PE_FRAMES_MAX]);
bool pe_near_holds(
	const struct pe_space *space, uint64_t place, double reach_m, const double position[3]);
