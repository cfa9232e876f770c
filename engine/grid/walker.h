// A walk in stages, for whoever has several queries at hand: open each (the buckets of its first
// cells are asked for), fetch the leaves of each, then the first chunks of some, and scan one after
// the other, each time with one whose chunks are fetched meanwhile. What is waited for overlaps,
// and the outcome is that of pe_grid_walk, which is the same without anything in between.
//
// Thread: an RCU reader, within one read-side section from open to the last scan. A walker is the
// caller's memory; it points to the caller's struct pe_walk.
#pragma once

#include "grid/grid.h"
#include "grid/scan.h"

#define PE_WALK_LEVELS 9 // of nodes (PE_LEVELS)
#define PE_WALK_BATCH  32
#define PE_WALK_MIDDLE (1ull << 56) // in a cursor: goes on within the leaf
// In a cursor, above it: so many slots of the chunk that it begins with are passed over.
#define PE_WALK_PASSED_SHIFT 57
#define PE_WALK_PASSED_MASK  0x3Full
// Nodes, and empty chunks, that a walk may meet for each cell that it may visit: far beyond it a
// hostile scatter begins.
#define PE_WALK_NODES_A_CELL 4u

// A node on the way, in cells of its level.
struct pe_walk_node {
	uint32_t at[3];
	uint64_t path; // its code
	uint64_t left; // children still to visit
};

// A cell that may be there.
struct pe_walk_cell {
	uint64_t key;
	const _Atomic uint32_t *bucket;
	uint32_t index; // of the leaf, PE_NONE: none
	uint32_t head;  // its newest chunk, when the cell is found
	uint32_t whole; // all of it lies in the sphere
};

struct pe_walker {
	const struct pe_grid *grid;
	struct pe_walk *walk;
	struct pe_hit *hits;
	uint32_t *handles;
	unsigned hit_count, hit_max;
	unsigned space, frame;
	int64_t lo[3], hi[3];
	uint32_t cell_lo[3], cell_hi[3];
	bool sphere, need_box;
	int64_t centre[3];      // z in units across
	double outside, inside; // squared distances beyond which a whole cell is so
	struct pe_scan scan;    // what all cells have in common
	float find_limit;
	// Where to go on.
	uint64_t code;
	bool middle;
	uint32_t sequence;
	uint32_t slots_passed; // of that chunk
	uint32_t resume;       // chunk's reference + 1, or 0
	// Nodes and empty chunks met, which are not the caller's to count: bounded for the case
	// that there are many.
	uint64_t nodes_met, empties_met, met_max;
	uint64_t pause; // gathers no further when so many nodes were met
	bool stopped;   // a bound was reached
	bool exhausted; // all cells were gathered
	bool cut;       // too many nodes: stops at cut_code behind what is gathered
	uint64_t cut_code;
	uint64_t seen_flags;
	// The cells of the node at level 1 that is gone through.
	uint64_t siblings, first_key;
	double near[3][8], far[3][8]; // squares, an axis
	// Start nodes, and the way down from one of them.
	unsigned top, level; // level > top: the next start node
	unsigned node_count, node_next;
	// Cells gathered; those before `looked` have their bucket's head in `index`, those before
	// `found` their own leaf.
	unsigned batch_count, batch_max, looked, found;
	struct pe_walk_node nodes[8];
	struct pe_walk_node stack[PE_WALK_LEVELS + 1];
	struct pe_walk_cell batch[PE_WALK_BATCH];
};

// The walk stands where its cursor says, and nothing of its region is known yet.
static inline void pe_walker_begin(
	struct pe_walker *w, const struct pe_grid *grid, struct pe_walk *walk)
{
	w->grid = grid;
	w->walk = walk;
	w->code = walk->cursor.word[0] >> 1 & PE_PATH_MASK;
	w->middle = walk->cursor.word[0] & PE_WALK_MIDDLE;
	w->sequence = (uint32_t)walk->cursor.word[1];
	w->slots_passed = walk->cursor.word[0] >> PE_WALK_PASSED_SHIFT & PE_WALK_PASSED_MASK;
	w->resume = walk->resume;
	walk->resume = 0;
	w->nodes_met = w->empties_met = 0;
	w->met_max = 64 + PE_WALK_NODES_A_CELL * (uint64_t)walk->cells_max;
	w->stopped = w->cut = false;
	w->seen_flags = 0;
	w->batch_count = w->looked = w->found = 0;
	w->batch_max = PE_WALK_BATCH;
}

void pe_walker_open(struct pe_walker *walker, const struct pe_grid *grid, struct pe_walk *walk);
void pe_walker_fetch_leaves(struct pe_walker *walker);
void pe_walker_fetch_chunks(struct pe_walker *walker);
// The same where the region of the walk, which is whole, is known in lanes too: a space's own, of
// its only frame.
struct pe_sphere_lanes; // space/sphere.h
void pe_walker_open_sphere(struct pe_walker *walker, const struct pe_grid *grid,
	struct pe_walk *walk, const struct pe_sphere_lanes *lanes);
// As pe_grid_walk, from where the walk stood at open; once. handles: those of the hits, in the same
// order, with room for PE_FIND_SLACK more (NULL: not wanted). Where the walk wants nothing else,
// hits may be left as they are, and a few be among them that the sphere only nearly holds. later:
// another one, whose chunks are fetched meanwhile (NULL: none).
unsigned pe_walker_scan(struct pe_walker *walker, struct pe_walker *later, struct pe_hit *hits,
	uint32_t *handles, unsigned hit_max);
