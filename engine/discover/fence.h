// An index of standing volumes: which of them is a position in? A fence sits on the coarsest cells
// of the grid's 64-tree that it covers whole, and on small cells along its edge, so that a position
// looks at the fences on its leaf and on the nine nodes above it and at no others. On a cell that
// is covered whole nothing is computed; on an edge's cell the volume's own test decides. Tuned for
// very many updates under few fences: cells are told from empty ones by bits, and those of a leaf
// and the two nodes above it are in one cache line, so that an update under no fence reads one line
// (and one more for each three levels that anything sits on at all).
//
// A fence has two edges: what is inside of the volume is inside; what is outside by more than the
// margin is outside; between them nothing changes (discover/member.h). How far outside is told in
// the way that is natural to a kind: a sphere's radius, a box's and an oriented box's or a
// frustum's faces each moved out (space/side.h), the distance from a polygon's edges.
//
// Memory is taken at create, and bounded by the configuration; pe_fence_remove gives back all that
// pe_fence_add took. A fence has a bounded number of cells (its edge is placed on coarser ones
// rather than on more), a cell a bounded number of fences (another one is refused), and so a
// look-up a bounded amount of work.
//
// One thread owns an index and calls everything here.
#pragma once

#include "base/status.h"
#include "space/hull.h"
#include "space/polygon.h"

#include <stddef.h>

#define PE_FENCE_NONE   0xFFFFFFFFu
#define PE_FENCE_LEVELS 10 // of cells: leaves and nodes

enum pe_fence_kind { PE_FENCE_SPHERE, PE_FENCE_BOX, PE_FENCE_POLYGON, PE_FENCE_HULL };

struct pe_fence_volume {
	enum pe_fence_kind kind;
	double a[3];                      // SPHERE: centre; BOX: the corner of least coordinates
	double b[3];                      // BOX: the other corner
	double radius_m;                  // SPHERE; GEODETIC: along the surface, or straight
	const struct pe_polygon *polygon; // the caller's; outlives the fence
	const struct pe_hull *hull;       // the caller's; outlives the fence
	// SPHERE, BOX: inclusive, of the third coordinate; −INFINITY … INFINITY where any is
	// inside. A polygon has its own.
	double height_min, height_max;
	double margin_m; // 0 … PE_FENCE_MARGIN_MAX_M
	// SPHERE, GEODETIC: distances are straight, between places at their heights; outside are
	// unknown heights and those below PE_HEIGHT_LOWEST_M
	bool straight;
};

enum pe_fence_side { PE_FENCE_OUTSIDE, PE_FENCE_MARGIN, PE_FENCE_INSIDE };

struct pe_fence_hit {
	uint32_t fence;
	// enum pe_fence_side, never OUTSIDE; a caller may put PE_MEMBER_HIDDEN here
	// (discover/member.h)
	uint16_t side;
	uint16_t plain; // pe_fence_set_plain
};

struct pe_fence_config {
	uint32_t fence_count_max;     // ≤ PE_FENCES_MAX
	uint32_t placement_count_max; // of all fences together
	uint32_t fence_cells_max;     // of one fence: 64 … PE_FENCE_CELLS_MAX
	uint32_t stack_max;           // of one cell: 1 … PE_FENCE_STACK_MAX
	bool huge_pages;              // ask for them; falls back
};

// The bill.
struct pe_fence_plan {
	uint64_t fence_bytes, placement_bytes, bucket_bytes, filter_bytes, other_bytes, total_bytes;
	uint32_t hits_max; // of one look-up
};
// Of a configuration; total_bytes is 0 where pe_fence_create would refuse it.
struct pe_fence_plan pe_fence_plan(const struct pe_fence_config *config);

struct pe_fence_index;
[[nodiscard]] enum pe_status pe_fence_create(const struct pe_fence_config *config,
	struct pe_fence_index **index, struct pe_error *error);
void pe_fence_destroy(struct pe_fence_index *index);

// Adds a volume; *fence is its number, below fence_count_max, until it is removed. id is the
// caller's own. The space outlives the index. PE_INVALID: a volume that pe_space_check_sphere or
// pe_space_check_box refuses (with its margin, for a sphere), or a margin or heights that are none.
// PE_FULL: no room for a fence or its cells, or one of its cells holds stack_max already; nothing
// has changed then. Takes microseconds to tens of milliseconds: at most fence_cells_max × 64 cells
// a level are looked at.
[[nodiscard]] enum pe_status pe_fence_add(struct pe_fence_index *index,
	const struct pe_space *space, const struct pe_fence_volume *volume, uint64_t id,
	uint32_t *fence);
// The same of a volume that is nowhere yet: a fence on no cell, which nothing is inside of until it
// is moved.
[[nodiscard]] enum pe_status pe_fence_add_nowhere(
	struct pe_fence_index *index, const struct pe_space *space, uint64_t id, uint32_t *fence);
// The fence is another volume of the same space from now on; NULL: nowhere. Who is inside is not
// changed by that: the caller looks again. As pe_fence_add; what it cannot be leaves it nowhere.
[[nodiscard]] enum pe_status pe_fence_move(struct pe_fence_index *index, uint32_t fence,
	const struct pe_space *space, const struct pe_fence_volume *volume);
// The number may be given out again at once: whatever refers to it has been cleared up before
// (pe_member_close).
void pe_fence_remove(struct pe_fence_index *index, uint32_t fence);
uint64_t pe_fence_id(const struct pe_fence_index *index, uint32_t fence);
// Its hits say `plain` from now on, until it is moved or removed: for a caller who asks some fences
// for nothing but the place.
void pe_fence_set_plain(struct pe_fence_index *index, uint32_t fence);

// Look-ups are made for a burst of updates together, so that what each of them waits for overlaps:
// first, which fences sit on the cells of each leaf (pe_fence_seek), then how each position lies to
// them (pe_fence_look). The index does not change between the two.
#define PE_FENCE_BURST  64u
#define PE_FENCE_SOUGHT 20u
struct pe_fence_seek {
	uint64_t key; // of the leaf, given
	// Which levels there may be fences at, as bits: the leaf's and of the nodes above it. 0:
	// there is none, for certain
	uint32_t levels;
	uint32_t count; // of `fence`; above PE_FENCE_SOUGHT: too many, which are sought again
	uint32_t fence[PE_FENCE_SOUGHT]; // the index's own
};
// count ≤ PE_FENCE_BURST; `key` of each is given.
void pe_fence_seek(const struct pe_fence_index *index, struct pe_fence_seek *seeks, unsigned count);
// The fences that a position is inside of or in the margin of, each once, in no particular order.
// seek: of the position's leaf; key and word are those of pe_space_locate(position). An unknown
// height of a GEODETIC position is NaN: it is outside of what has heights. hits: room for the
// plan's hits_max. Returns their number. *room_units (may be NULL) is lowered to how far, in units
// across, the entity may go within its leaf, at least, before any of this changes, whatever its
// height does; 0 where that is not known.
unsigned pe_fence_look(const struct pe_fence_index *index, const struct pe_fence_seek *seek,
	uint64_t word, const double position[3], struct pe_fence_hit *hits, double *room_units);
// How a position lies to one fence, without its cells.
enum pe_fence_side pe_fence_test(const struct pe_fence_index *index, uint32_t fence, uint64_t key,
	uint64_t word, const double position[3]);

struct pe_fence_use {
	// now; whole: placements on cells that are covered whole
	uint32_t fences, placements, whole;
	uint32_t level[PE_FENCE_LEVELS]; // placements now, by level
	uint64_t refused;                // adds for which there was no room
	uint64_t added, removed;
};
struct pe_fence_use pe_fence_use(const struct pe_fence_index *index);
uint32_t pe_fence_cells(const struct pe_fence_index *index, uint32_t fence);
