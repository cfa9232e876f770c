// What tells of the candidates of a walk, a chunk of slots at a time, which ones a polygon may hold, without their records: by their places in
// the index. Tuned for a query of some hundred candidates, which lie in a dozen leaf cells: a cell first finds, with all edges in a few
// steps, those that come near to it and those that lie beneath; then only these are met, each by 8 or 16 slots at once, in floats. Where a float cannot
// tell (a candidate that is nearly on an edge) the edges of the polygon decide on the record. So nothing has to be drawn: what is
// prepared is one pass over the edges.
//
// Plane coordinates are of a CARTESIAN space's x and y, with the polygon's middle at 0 and its longer half extent as 1, so that they are within
// ±1 wherever it matters. Floats of cells and edges are off by less than 2^-22 of the larger of a cell and the polygon; `near` is
// 2^-20 of both, and what the index rounds beside. What is further than that from all edges has the same number of them beneath it, even or odd,
// as in exact numbers: on the way from the one to the other no edge is crossed.
//
// Prepared by one thread, and its own until the walk is over: cells are written in it.
#pragma once

#include "space/polygon.h"

#define PE_SIEVE_EDGES_MAX ((PE_POLYGON_EDGES_MAX + 15u) & ~15u)
#define PE_SIEVE_WORDS     ((PE_SIEVE_EDGES_MAX + 63u) / 64)
#define PE_SIEVE_CELLS     32u // that a walk gathers at once
#define PE_SIEVE_SLOTS     32u // of a chunk, at most

// A leaf cell, as a walk meets it.
struct pe_sieve_cell {
	enum pe_cell_side side;
	float from[2]; // of its lowest corner
	// Edges by bits: those that may come into it, and those that lie beneath all of it, so that only their x matter.
	uint64_t meets[PE_SIEVE_WORDS], beneath[PE_SIEVE_WORDS];
};

struct pe_sieve;
// A box of the plane, a little larger than what it stands for.
struct pe_sieve_box {
	float from[2], to[2];
};
// Sets the cell's edges; returns whether any may come into the box.
typedef bool pe_sieve_meet_function(
	const struct pe_sieve *sieve, const struct pe_sieve_box *box, struct pe_sieve_cell *cell);
// Of the slots of a chunk in `mask`, those that the polygon may hold; *sure: those that it holds for certain, whatever their height. words: PE_SIEVE_SLOTS of them
// can be read, whatever is in those that are not in the mask. The cell's side is CROSSING.
typedef uint32_t pe_sieve_chunk_function(const struct pe_sieve *sieve,
	const struct pe_sieve_cell *cell, const uint64_t *words, uint32_t mask, uint32_t *sure);

struct pe_sieve {
	pe_sieve_meet_function *meet;
	pe_sieve_chunk_function *chunk;
	unsigned count; // of edges, a multiple of 16; what is no edge lies above everything
	double middle[2], scale, edge_m;
	float per_unit; // of a word's x and y
	float near;
	// From the left end to the right one, and from the lower to the upper.
	_Alignas(64) float from[PE_SIEVE_EDGES_MAX], to[PE_SIEVE_EDGES_MAX],
		low[PE_SIEVE_EDGES_MAX], high[PE_SIEVE_EDGES_MAX];
	// A place is so far above an edge's line: across × (x, y) + off. Negative: beneath it.
	_Alignas(64) float across[2][PE_SIEVE_EDGES_MAX], off[PE_SIEVE_EDGES_MAX];
	struct pe_sieve_cell cell[PE_SIEVE_CELLS];
};

enum pe_sieve_isa { PE_SIEVE_AVX2, PE_SIEVE_AVX512, PE_SIEVE_ISA_COUNT };
bool pe_sieve_supported(enum pe_sieve_isa isa);

// CARTESIAN; the polygon needs its edges only (pe_polygon_outline). With what the processor has.
void pe_sieve_make(
	const struct pe_space *space, const struct pe_polygon *polygon, struct pe_sieve *sieve);
// For tests, which compare them.
void pe_sieve_force(struct pe_sieve *sieve, enum pe_sieve_isa isa);

// The leaf cell of that key as cell number `at`; returns its side.
enum pe_cell_side pe_sieve_enter(struct pe_sieve *sieve, unsigned at, uint64_t key);
// Is all of a box of leaf cells outside? From the key of its lowest one, and as powers of two how many of them there are along x and y.
bool pe_sieve_outside(const struct pe_sieve *sieve, uint64_t key, unsigned bits_across);

pe_sieve_meet_function pe_sieve_meet_avx2, pe_sieve_meet_avx512;
pe_sieve_chunk_function pe_sieve_chunk_avx2, pe_sieve_chunk_avx512;
