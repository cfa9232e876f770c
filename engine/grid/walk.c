// A reader's way through a region: from the lowest level at which few nodes cover it down by the
// bits of their occupancy, leaf after leaf in the order of their paths. Leaves are gathered a batch
// at a time, and scanned (walk_scan.c) before the next batch is.
#include "grid/grid_internal.h"
#include "grid/walker.h"
#include "space/sieve.h"

#include <string.h>

#define CODE_MASK   PE_PATH_MASK
#define KEY_X_BITS  19 // of a key's x and y
#define CELL_ACROSS (1 << PE_CELL_BITS)
// Nodes met before the scan: enough for nearly every walk's first cells, and little where there are
// none.
#define OPEN_NODES 256

#define ALWAYS_INLINE __attribute__((always_inline)) static inline

_Static_assert(PE_WALK_LEVELS == PE_LEVELS, "room for the way down");
_Static_assert(
	PE_WALK_BATCH == PE_SIEVE_CELLS && PE_BIG_SLOTS == PE_SIEVE_SLOTS && PE_SIEVE_ACROSS == 8,
	"room for the cells of a batch, a chunk's slots, and a node's columns and rows");
_Static_assert(
	PE_NODE_LEVELS == PE_LEVELS && PE_PATH_BITS == 6 * PE_LEVELS + 1, "what grid.h says");

bool pe_walk_ended(const struct pe_walk *walk)
{
	return walk->cursor.word[0] == ~0ull && walk->cursor.word[1] == ~0ull;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

uint64_t pe_walk_path(uint64_t leaf_key)
{
	return pe_path_of(0, PE_KEY_X(leaf_key), PE_KEY_Y(leaf_key), PE_KEY_Z(leaf_key));
}

struct pe_cursor pe_walk_cursor_at(uint64_t path)
{
	return (struct pe_cursor){{(path & CODE_MASK) << 1 | 1, 0}};
}

bool pe_walk_cursor_splits(const struct pe_cursor *cursor)
{
	return cursor->word[0] >> PE_WALK_PASSED_SHIFT & PE_WALK_PASSED_MASK;
}

uint64_t pe_walk_cursor_path(const struct pe_cursor *cursor)
{
	return cursor->word[0] >> 1 & CODE_MASK;
}

unsigned pe_node_bits_across(unsigned level)
{
	unsigned bits = pe_level_across(level);

	return bits < KEY_X_BITS ? bits : KEY_X_BITS;
}

unsigned pe_node_bits_up(unsigned level)
{
	return pe_level_up(level);
}

bool pe_walk_clip_heights(
	const struct pe_grid *grid, unsigned space, unsigned frame, uint64_t *lo, uint64_t *hi)
{
	// HEIGHTS: acquire: what is not within them yet was made after this walk began.
	uint32_t heights = atomic_load_explicit(&grid->heights[space][frame], memory_order_acquire);
	uint32_t begin = PE_HEIGHTS_BEGIN(heights), end = PE_HEIGHTS_END(heights);

	*lo = *lo > begin ? *lo : begin;
	*hi = *hi < end ? *hi : end - 1;
	return end > 0 && *lo <= *hi;
}

// The same of all that the region is.
static bool clip_heights(struct pe_walker *w)
{
	uint64_t lo = w->cell_lo[2], hi = w->cell_hi[2];
	bool any = pe_walk_clip_heights(w->grid, w->space, w->frame, &lo, &hi);

	w->cell_lo[2] = (uint32_t)lo;
	w->cell_hi[2] = (uint32_t)hi;
	return any;
}

// false: nothing can be inside.
static bool prepare(struct pe_walker *w)
{
	const struct pe_region *r = &w->walk->region;
	static const int64_t cells[3] = {
		2 * PE_KEY_X_OFFSET, 2 * PE_KEY_X_OFFSET, 2 * PE_KEY_Z_OFFSET};

	w->space = r->space & 0xFF;
	w->frame = r->frame & 7;
	w->scan.z_shift = r->z_shift < 10 ? r->z_shift : 10;
	w->scan.exact = false;
	for (unsigned i = 0; i < 3; i++) {
		int64_t half = cells[i] / 2 * CELL_ACROSS;

		if (r->lo[i] > r->hi[i] || r->lo[i] >= half || r->hi[i] < -half)
			return false;
		w->lo[i] = clamp(r->lo[i], -half, half - 1);
		w->hi[i] = clamp(r->hi[i], -half, half - 1);
		w->cell_lo[i] = (uint32_t)((w->lo[i] + half) >> PE_CELL_BITS);
		w->cell_hi[i] = (uint32_t)((w->hi[i] + half) >> PE_CELL_BITS);
	}
	w->sphere = r->test == PE_REGION_SPHERE;
	if (w->cell_hi[2] > w->cell_lo[2] && w->space < PE_SPACES_MAX && !clip_heights(w))
		return false;
	// A sieve has the sides of its region in it.
	w->need_box = !w->walk->sieve || w->lo[2] > -cells[2] / 2 * CELL_ACROSS ||
		w->hi[2] < cells[2] / 2 * CELL_ACROSS - 1;
	memset(w->centre, 0, sizeof w->centre); // of a box too: corners are told from it
	if (w->sphere) {
		// Beyond 2^50 units no cell is near; the bound keeps differences within 64 bits.
		for (unsigned i = 0; i < 3; i++)
			w->centre[i] = clamp(r->centre[i], -(1ll << 50), 1ll << 50);
		w->centre[2] *= 1 << w->scan.z_shift;
		if (!(r->square >= 0))
			return false;
		w->scan.square = r->square;
		// Generous by more than the rounding of the sums.
		w->outside = r->square * (1 + 1e-9) + 1;
		w->inside = r->square * (1 - 1e-9) - 1;
		// 1.8e9 units, and the longest cell, 2^28, still fit 31 bits; so does the sum of
		// squares 63.
		w->scan.exact = r->square <= 1.8e9 * 1.8e9 && w->scan.z_shift <= 8;
		w->scan.limit = w->scan.exact ? (int64_t)r->square : 0;
		if (w->scan.exact) {
			// A place of the sphere is no further along an axis than this whole number:
			// a root is rounded, but not past one.
			int64_t reach = (int64_t)__builtin_sqrt(r->square),
				reach_z = reach >> w->scan.z_shift;
			const int64_t *at = w->centre, up = at[2] / (1 << w->scan.z_shift);

			// The usual box is the sphere's own, and needs no test of its own.
			w->need_box = r->lo[0] > at[0] - reach || r->hi[0] < at[0] + reach ||
				r->lo[1] > at[1] - reach || r->hi[1] < at[1] + reach ||
				r->lo[2] > up - reach_z || r->hi[2] < up + reach_z;
		}
	}
	return true;
}

// Squares of the nearest and the furthest distance from the centre along an axis, in doubles, of
// what has the number `at` among the cells of `level`.
static inline void axis_distances(const struct pe_walker *w, unsigned level, unsigned axis,
	uint32_t at, double *near, double *far)
{
	unsigned bits = axis < 2 ? pe_level_across(level) : pe_level_up(level);
	int64_t offset = axis < 2 ? PE_KEY_X_OFFSET : PE_KEY_Z_OFFSET;
	int64_t scale = axis < 2 ? 1 : 1 << w->scan.z_shift;
	int64_t lo =
		(((int64_t)at << bits) - offset) * (1 << PE_CELL_BITS) * scale - w->centre[axis];
	int64_t hi = lo + ((((int64_t)1 << bits) << PE_CELL_BITS) - 1) * scale;
	double a = lo > 0 ? (double)lo : hi < 0 ? (double)hi : 0;
	double b = -lo > hi ? (double)lo : (double)hi;

	*near = a * a;
	*far = b * b;
}

static double nearest(const struct pe_walker *w, unsigned level, const uint32_t at[3])
{
	double near[3], far[3];

	for (unsigned i = 0; i < 3; i++)
		axis_distances(w, level, i, at[i], &near[i], &far[i]);
	return near[0] + near[1] + near[2];
}

static uint64_t bits_between(uint32_t lo, uint32_t hi)
{
	return (2ull << hi) - (1ull << lo);
}

// Children of a node that the region's box meets, and their first and last along each axis.
ALWAYS_INLINE uint64_t box_mask(const struct pe_walker *w, const unsigned level,
	const uint32_t at[3], uint32_t lo[3], uint32_t hi[3])
{
	unsigned across = pe_level_across(level - 1), up = pe_level_up(level - 1);
	unsigned bits = pe_level_across(level) - across, bits_z = pe_level_up(level) - up;

	for (unsigned i = 0; i < 3; i++) {
		unsigned b = i < 2 ? bits : bits_z, shift = i < 2 ? across : up;
		uint32_t base = at[i] << b, last = base + (1u << b) - 1;
		uint32_t l = w->cell_lo[i] >> shift, h = w->cell_hi[i] >> shift;

		if (l > last || h < base)
			return 0;
		lo[i] = l > base ? l - base : 0;
		hi[i] = h < last ? h - base : last - base;
	}
	if (bits == 3)
		return bits_between(lo[0], hi[0]) *
			(0x0101010101010101ull & bits_between(8 * lo[1], 8 * hi[1] + 7));
	return bits_between(lo[0], hi[0]) * (0x1111ull & bits_between(4 * lo[1], 4 * hi[1] + 3)) *
		(0x0001000100010001ull & bits_between(16 * lo[2], 16 * hi[2] + 15));
}

void pe_walk_stop_at(struct pe_walker *w, uint64_t code, bool middle, uint32_t sequence)
{
	w->stopped = true;
	w->walk->cursor.word[0] = (code & CODE_MASK) << 1 | 1 | (middle ? PE_WALK_MIDDLE : 0);
	w->walk->cursor.word[1] = middle ? sequence : 0;
	// Before the chunk that it began with, it has not gone on.
	if (middle && w->middle && code == w->code && sequence == w->sequence)
		w->walk->cursor.word[0] |= (uint64_t)w->slots_passed << PE_WALK_PASSED_SHIFT;
}

// Ready to go through the cells lo … hi of a node at level 1.
static void enter_cells(
	struct pe_walker *w, const uint32_t at[3], const uint32_t lo[3], const uint32_t hi[3])
{
	w->siblings = pe_siblings_hash(w->grid, &w->grid->leaf_table,
		pe_node_key(w->space, w->frame, 1, at[0], at[1], at[2]));
	w->first_key = pe_key_make(w->space, w->frame, at[0] << 3, at[1] << 3, at[2]);
	if (!w->sphere) {
		if (w->walk->sieve)
			pe_sieve_node(w->walk->sieve, w->first_key, lo, hi);
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t k = lo[i]; k <= hi[i]; k++)
			axis_distances(w, 0, i, at[i] << 3 | k, &w->near[i][k], &w->far[i][k]);
	axis_distances(w, 0, 2, at[2], &w->near[2][0], &w->far[2][0]);
}

ALWAYS_INLINE bool enter_at(struct pe_walker *w, const unsigned level, struct pe_walk_node *node)
{
	uint64_t key, from = w->code >> 6 * level;
	uint32_t index, lo[3], hi[3];

	if (node->path < from)
		return false;
	key = pe_node_key(w->space, w->frame, level, node->at[0], node->at[1], node->at[2]);
	w->nodes_met++;
	index = pe_table_find(
		pe_node_bucket(w->grid,
			pe_key_make(w->space, w->frame, node->at[0] << pe_level_across(level),
				node->at[1] << pe_level_across(level),
				node->at[2] << pe_level_up(level)),
			level),
		w->grid->nodes, key);
	if (index == PE_NONE)
		return false;
	// NODE: acquire: a set bit leads to what was published under it. A bit that is not seen yet
	// belongs to a child that came after this walk began.
	node->left = atomic_load_explicit(&w->grid->nodes[index].occupancy, memory_order_acquire) &
		box_mask(w, level, node->at, lo, hi);
	if (node->path == from)
		node->left &= ~0ull << (w->code >> 6 * (level - 1) & 63);
	if (!node->left)
		return false;
	if (level == 1)
		enter_cells(w, node->at, lo, hi);
	return true;
}

// Finds the node and the children of it that are to be visited. false: none. Most are of level 1,
// and what that makes of keys folds.
static bool enter(struct pe_walker *w, unsigned level, struct pe_walk_node *node)
{
	return level == 1 ? enter_at(w, 1, node) : enter_at(w, level, node);
}

// Adds cells of a node at level 1 to the batch while there is room.
static void add_cells(struct pe_walker *w, struct pe_walk_node *node)
{
	while (node->left && w->batch_count < w->batch_max) {
		unsigned number = (unsigned)__builtin_ctzll(node->left), x = number & 7,
			 y = number >> 3;
		struct pe_walk_cell *cell = &w->batch[w->batch_count];

		node->left &= node->left - 1;
		cell->whole = !w->sphere;
		if (w->sphere) {
			if (w->near[0][x] + w->near[1][y] + w->near[2][0] > w->outside)
				continue;
			cell->whole = w->far[0][x] + w->far[1][y] + w->far[2][0] < w->inside;
		} else if (w->walk->sieve &&
			pe_sieve_enter(w->walk->sieve, w->batch_count, x, y) == PE_CELL_OUTSIDE) {
			continue;
		}
		cell->key = w->first_key + ((uint64_t)x << 34) + ((uint64_t)y << 15);
		cell->bucket = pe_bucket(&w->grid->leaf_table, w->siblings, number);
		pe_prefetch((const void *)cell->bucket);
		w->batch_count++;
	}
}

__attribute__((noinline)) static bool sieved_out(
	const struct pe_walker *w, unsigned level, const uint32_t at[3])
{
	unsigned across = pe_level_across(level);

	return pe_sieve_outside(
		w->walk->sieve, pe_key_make(0, 0, at[0] << across, at[1] << across, 0), across);
}

// To the next child of a node above level 1, if it is there and near.
static void go_down(struct pe_walker *w, struct pe_walk_node *node)
{
	unsigned level = w->level, bits = level <= 2 ? 3 : 2, bits_z = level <= 2 ? 0 : 2;
	struct pe_walk_node *child = &w->stack[level - 1];
	unsigned number = (unsigned)__builtin_ctzll(node->left);

	node->left &= node->left - 1;
	child->at[0] = node->at[0] << bits | (number & ((1u << bits) - 1));
	child->at[1] = node->at[1] << bits | (number >> bits & ((1u << bits) - 1));
	child->at[2] = node->at[2] << bits_z | (bits_z ? number >> 4 : 0);
	child->path = node->path << 6 | number;
	if (w->sphere ? nearest(w, level - 1, child->at) > w->outside :
			w->walk->sieve && sieved_out(w, level - 1, child->at))
		return;
	if (w->nodes_met >= w->met_max && !w->walk->boxed) {
		w->exhausted = w->cut = true;
		w->cut_code = child->path << 6 * (level - 1);
		return;
	}
	if (enter(w, level - 1, child))
		w->level--;
}

void pe_walk_gather(struct pe_walker *w)
{
	while (w->batch_count < w->batch_max && !w->exhausted && w->nodes_met < w->pause) {
		struct pe_walk_node *node = &w->stack[w->level];

		if (w->level > w->top) {
			if (w->node_next == w->node_count) {
				w->exhausted = true;
				return;
			}
			w->stack[w->top] = w->nodes[w->node_next++];
			if (enter(w, w->top, &w->stack[w->top]))
				w->level = w->top;
		} else if (!node->left)
			w->level++;
		else if (w->level == 1)
			add_cells(w, node);
		else
			go_down(w, node);
	}
}

// The lowest level at which the region's box spans at most two nodes an axis, and these nodes in
// order.
static void start_nodes(struct pe_walker *w)
{
	unsigned level = 1, count = 0;
	uint32_t lo[3], hi[3];

	for (;; level++) {
		bool small = true;

		for (unsigned i = 0; i < 3; i++) {
			unsigned shift = i < 2 ? pe_level_across(level) : pe_level_up(level);

			lo[i] = w->cell_lo[i] >> shift;
			hi[i] = w->cell_hi[i] >> shift;
			small &= hi[i] - lo[i] <= 1;
		}
		if (small || level == PE_LEVELS)
			break;
	}
	for (uint32_t z = lo[2]; z <= hi[2]; z++)
		for (uint32_t y = lo[1]; y <= hi[1]; y++)
			for (uint32_t x = lo[0]; x <= hi[0]; x++) {
				uint64_t path = pe_path_of(level, x, y, z);
				unsigned i = count++;

				for (; i > 0 && w->nodes[i - 1].path > path; i--)
					w->nodes[i] = w->nodes[i - 1];
				w->nodes[i] = (struct pe_walk_node){.at = {x, y, z}, .path = path};
			}
	w->top = level;
	w->level = level + 1;
	w->node_count = count;
	w->node_next = 0;
}

void pe_walker_open(struct pe_walker *w, const struct pe_grid *grid, struct pe_walk *walk)
{
	pe_walker_begin(w, grid, walk);
	// No further ahead than the bound lets us go.
	if ((uint64_t)walk->cells + PE_WALK_BATCH > walk->cells_max)
		w->batch_max = walk->cells < walk->cells_max ? walk->cells_max - walk->cells : 1;
	else if (!walk->cursor.word[0] && !walk->boxed && pe_walk_open_near(w))
		return;
	w->exhausted = pe_walk_ended(walk) || !prepare(w);
	if (w->exhausted)
		return;
	start_nodes(w);
	w->pause = OPEN_NODES;
	pe_walk_gather(w);
	w->pause = UINT64_MAX;
}
