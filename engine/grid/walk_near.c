// How a walk begins whose region is a sphere of a few cells in one layer of heights: straight at
// these cells. Their nodes are not looked up, since a cell that is not there costs no more than a
// bucket; distances of all columns and rows are worked out in lanes. Cells and their order are
// those of the general way (walk.c).
#include "grid/grid_internal.h"
#include "grid/walker.h"
#include "space/sphere.h"

#define LANES       4 // columns, and rows, of cells
#define CELL_ACROSS (1 << PE_CELL_BITS)
// Half of what a key holds, in units.
#define HALF_ACROSS ((int64_t)PE_KEY_X_OFFSET * CELL_ACROSS)
#define HALF_UP     ((int64_t)PE_KEY_Z_OFFSET * CELL_ACROSS)

#define ALWAYS_INLINE __attribute__((always_inline)) static inline

_Static_assert(LANES *LANES <= PE_WALK_BATCH && LANES <= 8, "room, and at most two nodes an axis");

ALWAYS_INLINE __m256i load(const int64_t lanes[4])
{
	return _mm256_load_si256((const __m256i *)(const void *)lanes);
}

// The box in cells, and whether it has to be tested beside the sphere. False: not as an ordinary
// region is.
ALWAYS_INLINE bool take_sphere(struct pe_walker *w, const struct pe_sphere_lanes *lanes,
	unsigned z_shift, uint64_t cell_lo[4], uint64_t cell_hi[4])
{
	const __m256i half = _mm256_setr_epi64x(HALF_ACROSS, HALF_ACROSS, HALF_UP, 0);
	const __m256i outside = _mm256_setr_epi64x(
		~(2 * HALF_ACROSS - 1), ~(2 * HALF_ACROSS - 1), ~(2 * HALF_UP - 1), 0);
	__m256i lo = load(lanes->lo), hi = load(lanes->hi), centre = load(lanes->centre), wide;
	__m256i lo_held = _mm256_add_epi64(lo, half), hi_held = _mm256_add_epi64(hi, half);
	__m256i any =
		_mm256_or_si256(_mm256_or_si256(lo_held, hi_held), _mm256_add_epi64(centre, half));
	int64_t reach;

	// Within what the key holds, and so far below 2^50; squares that fit 63 bits, as in walk.c.
	if (z_shift > 8 || !(lanes->square >= 0 && lanes->square <= 1.8e9 * 1.8e9) ||
		!_mm256_testz_si256(any, outside))
		return false;
	_mm256_store_si256((__m256i *)(void *)cell_lo, _mm256_srli_epi64(lo_held, PE_CELL_BITS));
	_mm256_store_si256((__m256i *)(void *)cell_hi, _mm256_srli_epi64(hi_held, PE_CELL_BITS));
	// A root is rounded, but not past a whole number.
	reach = (int64_t)__builtin_sqrt(lanes->square);
	wide = _mm256_setr_epi64x(reach, reach, reach >> z_shift, 0);
	// The usual box is the sphere's own, and needs no test of its own.
	any = _mm256_or_si256(_mm256_cmpgt_epi64(lo, _mm256_sub_epi64(centre, wide)),
		_mm256_cmpgt_epi64(_mm256_add_epi64(centre, wide), hi));
	w->need_box = !_mm256_testz_si256(any, any);
	for (unsigned i = 0; i < 3; i++)
		w->centre[i] = lanes->centre[i];
	w->centre[2] *= (int64_t)1 << z_shift;
	if (__builtin_expect(w->need_box, 0))
		for (unsigned i = 0; i < 3; i++) {
			w->lo[i] = lanes->lo[i];
			w->hi[i] = lanes->hi[i];
		}
	w->sphere = true;
	w->scan.z_shift = z_shift;
	w->scan.exact = true;
	w->scan.limit = (int64_t)lanes->square;
	return true;
}

// Squares of the nearest and the furthest distance of cells whose lowest corners are `lo` units
// across from the centre.
ALWAYS_INLINE void squares(__m256d lo, double last, __m256d *near, __m256d *far)
{
	__m256d below = _mm256_sub_pd(_mm256_setzero_pd(), lo);
	__m256d hi = _mm256_add_pd(lo, _mm256_set1_pd(last));
	__m256d n = _mm256_max_pd(
		_mm256_max_pd(lo, _mm256_sub_pd(below, _mm256_set1_pd(last))), _mm256_setzero_pd());
	__m256d f = _mm256_max_pd(below, hi);

	*near = _mm256_mul_pd(n, n);
	*far = _mm256_mul_pd(f, f);
}

// Those of an axis, from the first of its cells on.
ALWAYS_INLINE void axis(
	const struct pe_sphere_lanes *lanes, unsigned i, uint64_t cell, __m256d *near, __m256d *far)
{
	int64_t lo = (int64_t)cell * CELL_ACROSS - HALF_ACROSS - lanes->centre[i];

	squares(_mm256_add_pd(_mm256_set1_pd((double)lo),
			_mm256_setr_pd(0, CELL_ACROSS, 2.0 * CELL_ACROSS, 3.0 * CELL_ACROSS)),
		CELL_ACROSS - 1, near, far);
}

// The cells of the box, a bit each: 4 × row + column.
struct cells {
	uint64_t x, y, z; // the first
	unsigned columns, rows;
	unsigned near, whole;
};
#define ALL_ROWS 0x1111u // times the bits of a row's columns

// Squared sums of all of them, a row a step.
ALWAYS_INLINE void measure(
	const struct pe_sphere_lanes *lanes, unsigned z_shift, struct cells *cells)
{
	const int64_t scale = (int64_t)1 << z_shift;
	// Generous by more than the rounding of the sums, as in walk.c.
	const __m256d outside = _mm256_set1_pd(lanes->square * (1 + 1e-9) + 1);
	const __m256d inside = _mm256_set1_pd(lanes->square * (1 - 1e-9) - 1);
	__m256d near_x, far_x, near_y, far_y, near_z, far_z;
	_Alignas(32) double near[LANES], far[LANES];
	unsigned is_near = 0, is_whole = 0;

	axis(lanes, 0, cells->x, &near_x, &far_x);
	axis(lanes, 1, cells->y, &near_y, &far_y);
	squares(_mm256_set1_pd(
			(double)(((int64_t)cells->z * CELL_ACROSS - HALF_UP - lanes->centre[2]) *
				scale)),
		(double)((CELL_ACROSS - 1) * scale), &near_z, &far_z);
	_mm256_store_pd(near, near_y);
	_mm256_store_pd(far, far_y);
	for (unsigned row = 0; row < cells->rows; row++) {
		__m256d n = _mm256_add_pd(
			_mm256_add_pd(near_x, _mm256_broadcast_sd(&near[row])), near_z);
		__m256d f =
			_mm256_add_pd(_mm256_add_pd(far_x, _mm256_broadcast_sd(&far[row])), far_z);

		n = _mm256_cmp_pd(n, outside, _CMP_LE_OQ);
		f = _mm256_cmp_pd(f, inside, _CMP_LT_OQ);
		is_near |= (unsigned)_mm256_movemask_pd(n) << LANES * row;
		is_whole |= (unsigned)_mm256_movemask_pd(f) << LANES * row;
	}
	cells->near = is_near & ((1u << cells->columns) - 1) * ALL_ROWS;
	cells->whole = is_whole;
}

// Of a key that is turned so far, the lowest bits of x and of y.
#define KEY_X_AT     34
#define TURNED(bits) ((uint64_t)(bits) | (uint64_t)(bits) << (64 - KEY_X_AT + 15))

// Those of them that lie in one node of level 1.
struct part {
	unsigned cells;
	unsigned x, y; // of the node, from the first cell's on
};

ALWAYS_INLINE void add_part(
	struct pe_walker *w, const struct cells *cells, const struct part *part, uint64_t first_key)
{
	struct pe_walk_cell *cell = &w->batch[w->batch_count];
	// pe_node_key
	const uint64_t node_key = ((first_key & ~(7ull << 34 | 7ull << 15)) | 1ull << 15) +
		((uint64_t)part->x << 37) + ((uint64_t)part->y << 18);
	const struct pe_siblings siblings = pe_siblings(
		&w->grid->leaf_table, pe_siblings_hash(w->grid, &w->grid->leaf_table, node_key));
	// With x in the lowest bits and y above, as in a child's number.
	const uint64_t first = first_key >> KEY_X_AT | first_key << (64 - KEY_X_AT);
	const unsigned whole = cells->whole;

	for (unsigned left = part->cells; left; left &= left - 1, cell++) {
		unsigned number = (unsigned)__builtin_ctz(left);
		uint64_t turned = first + _pdep_u64(number, TURNED(LANES - 1));

		cell->key = turned << KEY_X_AT | turned >> (64 - KEY_X_AT);
		cell->bucket =
			pe_siblings_bucket(&siblings, (unsigned)_pext_u64(turned, TURNED(7)));
		cell->whole = whole >> number & 1;
		pe_prefetch((const void *)cell->bucket);
	}
	w->batch_count = (unsigned)(cell - w->batch);
}

// The box lies in two nodes along an axis, or in four: a multiple of eight cells is between them.
// They come in the order of their paths.
__attribute__((noinline)) static unsigned split(
	const struct cells *cells, struct part parts[4], bool two_x, bool two_y)
{
	unsigned left = two_x ? ((1u << (8 - (cells->x & 7))) - 1) * ALL_ROWS : 0xFFFF;
	unsigned below = two_y ? (1u << LANES * (8 - (cells->y & 7))) - 1 : 0xFFFF;
	uint32_t x = (uint32_t)cells->x >> 3, y = (uint32_t)cells->y >> 3, z = (uint32_t)cells->z;
	// Along x first, then along y, or the other way round.
	unsigned across = pe_path_of(1, x + 1, y, z) < pe_path_of(1, x, y + 1, z) ? 1 : 2;

	parts[0] = (struct part){cells->near & left & below, 0, 0};
	parts[across] = (struct part){cells->near & ~left & below, 1, 0};
	parts[3 - across] = (struct part){cells->near & left & ~below, 0, 1};
	parts[3] = (struct part){cells->near & ~left & ~below, 1, 1};
	return 4;
}

ALWAYS_INLINE bool open_near(
	struct pe_walker *w, const struct pe_sphere_lanes *lanes, unsigned z_shift)
{
	_Alignas(32) uint64_t lo[4], hi[4];
	struct part parts[4];
	struct cells cells;
	uint64_t first_key;
	unsigned count = 1;
	bool two_x, two_y;

	// Buckets of layers are shared: who looks for a cell that is not there would feel those of
	// others.
	if (w->space >= PE_SPACES_MAX || !take_sphere(w, lanes, z_shift, lo, hi))
		return false;
	cells.columns = (unsigned)(hi[0] - lo[0] + 1);
	cells.rows = (unsigned)(hi[1] - lo[1] + 1);
	if (cells.columns - 1 >= LANES || cells.rows - 1 >= LANES ||
		(hi[2] != lo[2] &&
			!pe_walk_clip_heights(w->grid, w->space, w->frame, &lo[2], &hi[2])) ||
		hi[2] != lo[2])
		return false;
	cells.x = lo[0];
	cells.y = lo[1];
	cells.z = lo[2];
	measure(lanes, z_shift, &cells);
	first_key = pe_key_make(
		w->space, w->frame, (uint32_t)cells.x, (uint32_t)cells.y, (uint32_t)cells.z);
	parts[0] = (struct part){cells.near, 0, 0};
	two_x = (cells.x & 7) + cells.columns > 8;
	two_y = (cells.y & 7) + cells.rows > 8;
	w->nodes_met = (1u + two_x) * (1u + two_y);
	if (__builtin_expect(two_x | two_y, 0))
		count = split(&cells, parts, two_x, two_y);
	for (unsigned i = 0; i < count; i++)
		if (parts[i].cells)
			add_part(w, &cells, &parts[i], first_key);
	w->exhausted = true;
	return true;
}

bool pe_walk_open_near(struct pe_walker *w)
{
	const struct pe_region *r = &w->walk->region;
	struct pe_sphere_lanes lanes = {.square = r->square};

	if (r->test != PE_REGION_SPHERE)
		return false;
	for (unsigned i = 0; i < 3; i++) {
		lanes.lo[i] = r->lo[i];
		lanes.hi[i] = r->hi[i];
		lanes.centre[i] = r->centre[i];
	}
	w->space = r->space & 0xFF;
	w->frame = r->frame & 7;
	return open_near(w, &lanes, r->z_shift);
}

void pe_walker_open_sphere(struct pe_walker *w, const struct pe_grid *grid, struct pe_walk *walk,
	const struct pe_sphere_lanes *lanes)
{
	if (__builtin_expect(!walk->cursor.word[0] && !walk->boxed &&
			    walk->cells + PE_WALK_BATCH <= walk->cells_max,
		    1)) {
		pe_walker_begin(w, grid, walk);
		w->space = walk->region.space;
		w->frame = 0;
		if (open_near(w, lanes, walk->region.z_shift))
			return;
	}
	pe_walker_open(w, grid, walk);
}
