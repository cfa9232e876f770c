// The inside of the index of fences: layouts, and what its files call of each other.
//
//   fence.c         memory, tables, adding and removing
//   fence_seek.c    look-ups, by the burst
//   fence_place.c   which cells a fence sits on
//   fence_volume.c  what a volume says of a cell and of a position
#pragma once

#include "base/limits.h"
#include "base/memory.h"
#include "discover/fence.h"
#include "grid/grid_internal.h"

#include <assert.h>

#define PE_PLACEMENT_FIRST  0x80000000u  // in a placement's prev
#define PE_FENCE_LINE_HEADS 16u          // a bit of the filter has one line of buckets
#define PE_FENCE_NODE_KEY   (1ull << 63) // a node's key may be a leaf's otherwise
static_assert(PE_SPACES_MAX <= 128, "the key's top bit is free");
static_assert(PE_FENCE_LEVELS == PE_LEVELS + 1, "leaves and nodes");

#define PE_FENCE_RANGED   1u // the heights are tested apart from the volume
#define PE_FENCE_STRAIGHT 2u // SPHERE: only what is certainly outside is told by the squares
#define PE_FENCE_PLAIN    4u // pe_fence_set_plain

// A fence: two lines, of which a sphere's test reads the first.
struct pe_fence {
	uint8_t kind, flags, space, frame; // frame: SPHERE, of `at`
	uint32_t cell_count;
	union {
		struct {
			int64_t at[3]; // centre in units of the frame
			// squared distances, as struct pe_region's: of the volume, and with the
			// margin
			double square, sure, wide_square, wide_sure;
		} sphere;
		struct {
			double a[3], b[3];
		} box;
		const struct pe_polygon *polygon;
		const struct pe_hull *hull;
	} u;
	double centre[3]; // SPHERE; BOX: less used
	double radius_m;
	double height_min, height_max;
	float margin_m; // rounded up
	uint32_t first; // placement; of a free one the next free
	uint64_t id;
};
static_assert(sizeof(struct pe_fence) == 128, "two lines");

#define PE_PLACEMENT_WHOLE 0x80000000u // in `fence`
struct pe_placement {
	uint64_t key;        // fence_key
	uint32_t fence;      // | WHOLE
	uint32_t next, prev; // in the bucket; prev of the first names the bucket: PLACEMENT_FIRST
	uint32_t sibling;    // the fence's next; of a free one the next free
};
static_assert(sizeof(struct pe_placement) == 24, "three to a line and a bit");

// A block of the filter: what is at a node of the third level of a group, and at the nodes and
// leaves below it, as bits of word 0, word 1 and the other six. A set bit may belong to something
// else; a clear one is sure.
#define PE_FENCE_GROUPS 4 // levels 0–2, 3–5, 6–8, 9
struct pe_fence_block {
	_Alignas(64) uint64_t word[8];
};

// Cells that a fence is being placed on.
struct pe_fence_cell {
	uint32_t x, y, z; // at `level`
	uint8_t level, frame, region;
	bool whole;
};

// A volume on its way into the index: the parts that are needed for cells only.
struct pe_fence_shape {
	const struct pe_space *space;
	const struct pe_fence *fence;
	unsigned region_count;
	struct pe_region region[PE_FRAMES_MAX]; // cover the volume and its margin
	int64_t at[PE_FRAMES_MAX][3];           // SPHERE: the centre in each region's frame
	int64_t margin[3];                      // POLYGON, HULL: in units, rounded up
	double wide_a[3], wide_b[3];            // BOX
	struct pe_hull wide;                    // HULL
};

struct pe_fence_index {
	struct pe_fence *fences;
	struct pe_placement *placements;
	uint32_t *heads; // lines of 16 buckets
	uint32_t line_mask;
	struct pe_fence_block *blocks;
	uint32_t block_mask;
	uint32_t free_fence, free_placement, free_placement_count;
	const struct pe_space *space[PE_SPACES_MAX];
	// bit = something sits on a cell of that level in that frame
	uint16_t levels[PE_SPACES_MAX * 8];
	uint32_t level_count[PE_SPACES_MAX * 8][PE_FENCE_LEVELS];
	uint64_t secret[4];
	struct pe_fence_config config;
	struct pe_fence_use use;
	struct pe_fence_cell *cells[3]; // fence_cells_max each: work of pe_fence_place
	struct pe_fence_shape shape;    // work of pe_fence_add
	struct pe_memory memory;
};

// Where the cells above a leaf are: the block of each group, and each cell's bit and line of
// buckets in it.
struct pe_fence_group {
	uint64_t hash;
	uint32_t block;
};

static inline uint64_t pe_fence_key(uint64_t leaf_key, unsigned level)
{
	return level ? pe_node_key_of(leaf_key, level) | PE_FENCE_NODE_KEY : leaf_key;
}

static inline struct pe_fence_group pe_fence_group_of(
	const struct pe_fence_index *index, uint64_t leaf_key, unsigned group)
{
	unsigned top = group < 3 ? 3 * group + 2 : PE_LEVELS;
	uint64_t key = pe_node_key_of(leaf_key, top);
	__m128i k0 = _mm_set_epi64x((int64_t)index->secret[1], (int64_t)index->secret[0]);
	__m128i k1 = _mm_set_epi64x((int64_t)index->secret[3], (int64_t)index->secret[2]);
	__m128i v = _mm_xor_si128(_mm_set_epi64x((int64_t)key, (int64_t)~key), k0);
	struct pe_fence_group g;

	v = _mm_aesenc_si128(v, k1);
	v = _mm_aesenc_si128(v, k0);
	v = _mm_aesenc_si128(v, k1);
	g.hash = (uint64_t)_mm_cvtsi128_si64(v);
	g.block = (uint32_t)(g.hash >> 32) & index->block_mask;
	return g;
}

// The bit of the cell of `level` above the leaf, 0 … 511 in its group's block.
static inline unsigned pe_fence_bit_of(struct pe_fence_group g, uint64_t leaf_key, unsigned level)
{
	unsigned from_top = level == PE_LEVELS ? 0 : 2 - level % 3;

	if (from_top == 0)
		return (unsigned)g.hash & 63;
	if (from_top == 1)
		return 64 + (pe_child_number_of(leaf_key, level) ^ ((g.hash >> 6) & 63));
	uint32_t path =
		pe_child_number_of(leaf_key, level + 1) << 6 | pe_child_number_of(leaf_key, level);

	path = (path ^ ((uint32_t)(g.hash >> 12) & 4095)) * 40503u & 0xFFFF;
	return 128 + (path * 384 >> 16);
}

static inline uint32_t pe_fence_line_of(
	const struct pe_fence_index *index, struct pe_fence_group g, unsigned bit)
{
	uint64_t mixed = ((uint64_t)g.block << 9 | bit) * 0x9E3779B97F4A7C15ull;

	return (uint32_t)(mixed >> 32) & index->line_mask;
}

static inline uint32_t pe_fence_bucket_of(const struct pe_fence_index *index,
	struct pe_fence_group g, uint64_t leaf_key, unsigned level)
{
	uint32_t line = pe_fence_line_of(index, g, pe_fence_bit_of(g, leaf_key, level));

	return line * PE_FENCE_LINE_HEADS +
		((pe_child_number_of(leaf_key, level) ^ (uint32_t)(g.hash >> 24)) &
			(PE_FENCE_LINE_HEADS - 1));
}

static inline unsigned pe_fence_frame_index(uint64_t key)
{
	return (unsigned)(key >> 53) & (PE_SPACES_MAX * 8 - 1);
}

// fence_volume.c. Fills a fence and what places it; PE_INVALID.
enum pe_status pe_fence_shape(const struct pe_space *space, const struct pe_fence_volume *volume,
	struct pe_fence *fence, struct pe_fence_shape *shape);
// Units of the region's frame, inclusive.
enum pe_cell_side pe_fence_classify(const struct pe_fence_shape *shape, unsigned region,
	const int64_t lo[3], const int64_t hi[3]);
// The volume with its margin against a position; the heights against a height. *room_units: lowered
// to how far the position is from where that changes; NULL: nobody asks.
enum pe_fence_side pe_fence_volume_side(const struct pe_space *space, const struct pe_fence *fence,
	uint64_t key, uint64_t word, const double position[3], double *room_units);
// How a position lies to a fence on one of its cells, heights included. *room_units as above.
enum pe_fence_side pe_fence_side_of(const struct pe_fence_index *index,
	const struct pe_fence *fence, bool whole, uint64_t key, uint64_t word,
	const double position[3], double *room_units);
static inline enum pe_fence_side pe_fence_height_side(const struct pe_fence *f, double height)
{
	if (height >= f->height_min && height <= f->height_max)
		return PE_FENCE_INSIDE;
	return height >= f->height_min - (double)f->margin_m &&
			height <= f->height_max + (double)f->margin_m ?
		PE_FENCE_MARGIN :
		PE_FENCE_OUTSIDE;
}

// fence_place.c. The cells, at most max (≥ 64), in index->cells[0]. Returns their number.
unsigned pe_fence_place(
	struct pe_fence_index *index, const struct pe_fence_shape *shape, unsigned max);
