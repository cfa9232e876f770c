// Which cells a fence sits on: from the lowest level at which its box is a few cells, level by
// level down, an edge's cell is replaced by those of its children that are not outside, until there
// is no room for them.
#include "discover/fence_internal.h"
#include "grid/grid_internal.h"

#include <string.h>

// Units to cells of a level.
static void cell_range(const struct pe_space *space, const struct pe_region *region, unsigned level,
	uint32_t lo[3], uint32_t hi[3])
{
	for (unsigned i = 0; i < 3; i++) {
		unsigned shift =
			PE_CELL_BITS + (i == 2 ? pe_level_up(level) : pe_level_across(level));

		lo[i] = (uint32_t)((region->lo[i] - space->units_lo[i]) >> shift);
		hi[i] = (uint32_t)((region->hi[i] - space->units_lo[i]) >> shift);
	}
}

static enum pe_cell_side side_of(
	const struct pe_fence_shape *shape, const struct pe_fence_cell *cell)
{
	const struct pe_space *space = shape->space;
	const uint32_t at[3] = {cell->x, cell->y, cell->z};
	int64_t lo[3], hi[3];

	for (unsigned i = 0; i < 3; i++) {
		unsigned shift = PE_CELL_BITS +
			(i == 2 ? pe_level_up(cell->level) : pe_level_across(cell->level));

		lo[i] = ((int64_t)at[i] << shift) + space->units_lo[i];
		hi[i] = lo[i] + (((int64_t)1 << shift) - 1);
	}
	return pe_fence_classify(shape, cell->region, lo, hi);
}

// The cells of a level in a range that are not outside. Returns their number, of at most 64.
static unsigned gather(const struct pe_fence_shape *shape, unsigned region, unsigned level,
	const uint32_t lo[3], const uint32_t hi[3], struct pe_fence_cell *cells)
{
	struct pe_fence_cell cell = {.level = (uint8_t)level,
		.frame = (uint8_t)shape->region[region].frame,
		.region = (uint8_t)region};
	unsigned count = 0;

	for (cell.z = lo[2]; cell.z <= hi[2]; cell.z++)
		for (cell.y = lo[1]; cell.y <= hi[1]; cell.y++)
			for (cell.x = lo[0]; cell.x <= hi[0]; cell.x++) {
				enum pe_cell_side side = side_of(shape, &cell);

				if (side == PE_CELL_OUTSIDE)
					continue;
				cell.whole = side == PE_CELL_INSIDE;
				cells[count++] = cell;
			}
	return count;
}

static unsigned children(const struct pe_fence_shape *shape, const struct pe_fence_cell *parent,
	struct pe_fence_cell *cells)
{
	const uint32_t at[3] = {parent->x, parent->y, parent->z};
	unsigned level = parent->level - 1u;
	unsigned across = pe_level_across(parent->level) - pe_level_across(level),
		 up = pe_level_up(parent->level) - pe_level_up(level);
	uint32_t lo[3], hi[3];

	cell_range(shape->space, &shape->region[parent->region], level, lo, hi);
	for (unsigned i = 0; i < 3; i++) {
		unsigned shift = i == 2 ? up : across;
		uint32_t first = at[i] << shift, last = first + (1u << shift) - 1;

		lo[i] = lo[i] > first ? lo[i] : first;
		hi[i] = hi[i] < last ? hi[i] : last;
	}
	return gather(shape, parent->region, level, lo, hi, cells);
}

static unsigned start_level(const struct pe_fence_shape *shape)
{
	unsigned level = 0;

	for (unsigned r = 0; r < shape->region_count; r++)
		for (; level < PE_LEVELS; level++) {
			uint32_t lo[3], hi[3];

			cell_range(shape->space, &shape->region[r], level, lo, hi);
			if (hi[0] - lo[0] < 2 && hi[1] - lo[1] < 2 && hi[2] - lo[2] < 2)
				break;
		}
	return level;
}

unsigned pe_fence_place(
	struct pe_fence_index *index, const struct pe_fence_shape *shape, unsigned max)
{
	struct pe_fence_cell *done = index->cells[0], *edge = index->cells[1],
			     *next = index->cells[2], below[64];
	unsigned done_count = 0, edge_count = 0, level = start_level(shape);

	// At most eight cells each of six frames.
	for (unsigned r = 0; r < shape->region_count; r++) {
		uint32_t lo[3], hi[3];

		cell_range(shape->space, &shape->region[r], level, lo, hi);
		edge_count += gather(shape, r, level, lo, hi, edge + edge_count);
	}
	for (; edge_count; level--) {
		unsigned next_count = 0;
		bool full = false;

		for (unsigned i = 0; i < edge_count; i++) {
			unsigned count, others = done_count + next_count + edge_count - i - 1;

			if (edge[i].whole || level == 0 || full) {
				done[done_count++] = edge[i];
				continue;
			}
			count = children(shape, &edge[i], below);
			// Others might fit still, but each look costs 64 cells.
			full = others + count > max;
			if (full) {
				done[done_count++] = edge[i];
				continue;
			}
			memcpy(next + next_count, below, count * sizeof *below);
			next_count += count;
		}
		struct pe_fence_cell *swap = edge;

		edge = next;
		next = swap;
		edge_count = next_count;
	}
	return done_count;
}
