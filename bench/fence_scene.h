// Standing volumes over a moving crowd, for measuring: an operation is an update of one of a
// million entities, looked up in the index and taken to the memberships. Each entity goes back and
// forth between two places 10 m apart, which are located before, outside of what is measured.
// Bursts ask for the lines of 32 updates first, as a worker does. One thread.
#pragma once

#include "discover/member.h"

#include <stdbool.h>
#include <stdio.h>

#define FENCE_BURST    32u
#define FENCE_ENTITIES 1000000u

struct fence_scene {
	const char *name;
	uint32_t fences;
	double radius_m;
	double fences_m, entities_m; // half edges of the squares that they are spread over
	double apart_m;              // of the squares' middles
	double margin_m;
	uint32_t cells_max; // of a fence
	uint32_t placements_max;
	bool moves; // each update of who is inside is told
	// made
	bool made;
	double took_s;                      // to add the fences
	uint64_t index_bytes, member_bytes; // in use; mapped
	struct pe_fence_use use;
	struct pe_fence_index *index;
	struct pe_member_set *set;
	struct pe_place (*places)[2];
	double (*positions)[2][3];
	struct pe_fence_hit *hits;
	uint64_t events, found;
	uint64_t turn; // updates so far
	uint32_t tick;
};

// Adds the fences and puts the entities where they are; ends the program when there is no room. The
// second call does nothing.
void fence_scene_make(struct fence_scene *scene);
// So many updates, one by one, or (a multiple of FENCE_BURST) in bursts; the entities take turns.
void fence_scene_each(struct fence_scene *scene, uint64_t count);
void fence_scene_bursts(struct fence_scene *scene, uint64_t count);

// A GEODETIC space, and a place in it: metres east and north of the middle of Europe.
const struct pe_space *fence_space(void);
void fence_place(double east_m, double north_m, double position[3]);
