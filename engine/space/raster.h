// A polygon in a plane, drawn coarsely: 64 columns of 64 cells over all of it, with two bits a
// cell. Inside: every place of the cell, and every one within a margin of it, is inside. Edge: an
// edge may come as near as the margin. Neither: outside in the same way, as is what lies beyond the
// cells. So the few places in cells of edges need the edges, and the others cost a bit. Drawing 64
// edges costs about half a microsecond, a look-up some 2 ns. Immutable once drawn: any thread.
#pragma once

#include "space/volume.h"

#include <stdint.h>

#define PE_RASTER_CELLS 64u // along either axis
// columns behind the last one, which are written and not read: four are drawn at a time
#define PE_RASTER_SPARE 4u

struct pe_raster {
	double from[2], scale[2]; // cells begin where, and how many a metre
	_Alignas(
		32) uint64_t inside[PE_RASTER_CELLS + PE_RASTER_SPARE]; // of a column, a bit a cell
	_Alignas(32) uint64_t edge[PE_RASTER_CELLS + PE_RASTER_SPARE];
};

// Edges in a plane, as arrays that begin at multiples of 32 bytes. Metres.
struct pe_raster_edges {
	unsigned count;            // a multiple of four
	const double *x[2], *y[2]; // of both ends
	const double *slack;       // how far an edge may leave the straight line between its ends
	const uint64_t *real;      // all ones, or zero: no edge
};

// The edges are of closed rings that don't meet; margin_m > 0, and large beside the rounding of the
// coordinates.
void pe_raster_draw(struct pe_raster *raster, const struct pe_raster_edges *edges, double margin_m);

// How a place lies to the polygon; CROSSING: its edges have to tell.
static inline enum pe_cell_side pe_raster_side(const struct pe_raster *r, double x, double y)
{
	double column = (x - r->from[0]) * r->scale[0], row = (y - r->from[1]) * r->scale[1];
	unsigned c, bit;

	if (!(column >= 0.0 && column < PE_RASTER_CELLS && row >= 0.0 && row < PE_RASTER_CELLS))
		return PE_CELL_OUTSIDE;
	c = (unsigned)column;
	bit = (unsigned)row;
	if (r->edge[c] >> bit & 1)
		return PE_CELL_CROSSING;
	return r->inside[c] >> bit & 1 ? PE_CELL_INSIDE : PE_CELL_OUTSIDE;
}
