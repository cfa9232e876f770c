// What tells of the candidates of a walk, a chunk of slots at a time, which ones a polygon may
// hold, without their records: by their places in the index. Tuned for a query of some hundred
// candidates, which lie in a dozen leaf cells of one node or two: the node finds, with all edges in
// a few steps, for each column and for each row of its cells the edges that come near to it, and
// for a row those beneath. What both a cell's column and its row are near to comes near to the
// cell; only these edges are met, each by 16 or 32 slots at once, in floats. Where a float cannot
// tell (a candidate that is nearly on an edge) the edges of the polygon decide on the record. So
// nothing has to be drawn: what is prepared is one pass over the edges.
//
// Plane coordinates are of a CARTESIAN space's x and y, with the polygon's middle at 0 and its
// longer half extent as 1, so that they are within ±1 wherever it matters. Floats of cells and
// edges are off by less than 2^-22 of the larger of a cell and the polygon; `near` is 2^-20 of
// both, and what the index rounds beside. What is further than that from all edges has the same
// number of them beneath it, even or odd, as in exact numbers: on the way from the one to the other
// no edge is crossed.
//
// Of edges beneath a cell only the x matter. Where they follow each other in a ring, what one
// counts the next one goes on with, so that each run of them is looked at where it begins and where
// it ends alone.
//
// Prepared by one thread, and its own until the walk is over: lines and cells are written in it.
#pragma once

#include "space/polygon.h"

#define PE_SIEVE_WORDS     ((PE_POLYGON_EDGES_MAX + 63u) / 64)
#define PE_SIEVE_EDGES_MAX (64 * PE_SIEVE_WORDS)
#define PE_SIEVE_CELLS     32u // that a walk gathers at once
#define PE_SIEVE_SLOTS     32u // of a chunk, at most
#define PE_SIEVE_ACROSS    8u  // leaf cells of a node, along x and along y

// 64 edges by bits, as a cell has to do with them.
struct pe_sieve_part {
	uint64_t meets; // those that may come into it
	uint64_t
		toggles; // at whose beginnings the number of edges beneath it changes, even or odd,
	uint64_t ends;   // and at whose ends
};

// A leaf cell, as a walk meets it.
struct pe_sieve_cell {
	enum pe_cell_side side;
	float from[2]; // of its lowest corner
	struct pe_sieve_part part[PE_SIEVE_WORDS];
};

// A column or a row of cells, in the plane, and a little wider than they are; edges by bits.
struct pe_sieve_line {
	float at; // where its cells begin
	float from, to;
	uint64_t near[PE_SIEVE_WORDS]; // that come into it
	uint64_t past[PE_SIEVE_WORDS]; // that end before it
};

struct pe_sieve;
// Sets near and past of the lines of an axis, by their from and to.
typedef void pe_sieve_line_function(
	const struct pe_sieve *sieve, unsigned axis, struct pe_sieve_line *lines, unsigned count);
// Of the slots of a chunk in `mask`, those that the polygon may hold; *sure: those that it holds
// for certain, whatever their height. words: PE_SIEVE_SLOTS of them can be read, whatever is in
// those that are not in the mask, and each is read once: copy is what was seen, at least of those
// in the mask. It may be `words`. *flagged: one of them, in the mask or not, has bits above its
// position. The cell's side is CROSSING.
typedef uint32_t pe_sieve_chunk_function(const struct pe_sieve *sieve,
	const struct pe_sieve_cell *cell, const uint64_t *words, uint32_t mask, uint64_t *copy,
	uint32_t *sure, bool *flagged);

struct pe_sieve {
	pe_sieve_line_function *line;
	pe_sieve_chunk_function *chunk;
	unsigned words; // of edges by bits; what is no edge lies above everything
	double middle[2], scale, edge_m;
	float per_unit; // of a word's x and y
	float near;
	// The edge of the next bit begins where this one ends.
	uint64_t followed[PE_SIEVE_WORDS];
	// x and y of an edge's ends, in its ring's order.
	_Alignas(64) float begin[2][PE_SIEVE_EDGES_MAX], end[2][PE_SIEVE_EDGES_MAX];
	// A place is so far above an edge's line: across × (x, y) + off. Negative: beneath it.
	_Alignas(64) float across[2][PE_SIEVE_EDGES_MAX], off[PE_SIEVE_EDGES_MAX];
	struct pe_sieve_line
		lines[2][PE_SIEVE_ACROSS]; // columns and rows of the node that is gone through
	struct pe_sieve_cell cell[PE_SIEVE_CELLS];
};

enum pe_sieve_isa { PE_SIEVE_AVX2, PE_SIEVE_AVX512, PE_SIEVE_ISA_COUNT };
bool pe_sieve_supported(enum pe_sieve_isa isa);

// CARTESIAN; the polygon is an outline (pe_polygon_outline). With what the processor has.
void pe_sieve_make(
	const struct pe_space *space, const struct pe_polygon *polygon, struct pe_sieve *sieve);
// For tests, which compare them.
void pe_sieve_force(struct pe_sieve *sieve, enum pe_sieve_isa isa);

// A walk goes through the leaf cells lo … hi of a node of PE_SIEVE_ACROSS²; key: of the node's
// lowest one.
void pe_sieve_node(
	struct pe_sieve *sieve, uint64_t key, const uint32_t lo[2], const uint32_t hi[2]);
// Its cell in that column and row as cell number `at`; returns its side.
enum pe_cell_side pe_sieve_enter(
	struct pe_sieve *sieve, unsigned at, unsigned column, unsigned row);
// Is all of a box of leaf cells outside? From the key of its lowest one, and as powers of two how
// many of them there are along x and y.
bool pe_sieve_outside(const struct pe_sieve *sieve, uint64_t key, unsigned bits_across);

pe_sieve_line_function pe_sieve_line_avx2, pe_sieve_line_avx512;
pe_sieve_chunk_function pe_sieve_chunk_avx2, pe_sieve_chunk_avx512;
