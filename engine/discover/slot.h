// A prepared query, and what the files of discover share of a context. Private to discover. Thread:
// the context's own.
#pragma once

#include "discover/accept.h"
#include "discover/filter_run.h"
#include "discover/query.h"
#include "grid/walker.h"
#include "space/hull.h"
#include "space/polygon.h"
#include "space/sieve.h"

#include <math.h>

struct pe_query_slot {
	struct pe_wire_query query;
	enum pe_reason reason;
	unsigned region;     // that is walked
	uint32_t skip;       // results of the first piece that an earlier answer gave
	bool opened;         // the walker stands before the next piece
	bool walked;         // the next piece's hits are there, met while a query before was run
	bool over;           // all of it was walked
	bool ordinary;       // as ordinary.c has it
	uint32_t bytes_left; // DETAILED: of the answer
	unsigned from, to;   // hits of the piece
	uint8_t form;        // enum pe_query_form
	int8_t cell_level;   // CELLS: as in struct pe_wire_cell
	float cell_size_m;   // CELLS: that is asked for
	uint64_t detail;     // of its answer when it is refused
	struct pe_cursor before; // where it began
	struct pe_asker asker;
	struct pe_asker owner; // whom views of what is the asker's own are built for
	bool owned;            // that region is walked
	bool shuffled;         // the piece is in another order than the walk's
	struct pe_test test;
	struct pe_walk walk;
	struct pe_walker walker;
};

// What only few queries have. Volumes and filters that slots' tests point to; the nearest that were
// met so far.
struct pe_query_near {
	double distance_m; // from the query's a
	uint32_t handle;
	uint32_t result; // index in the context's results
};

#define PE_QUERY_CELL_PARTS 64 // of a leaf that is halved three times, across
// Entities in crossings whose cell comes later; one too many is counted where it was met.
#define PE_QUERY_LATE_MAX 1024
struct pe_query_late {
	uint64_t place, key; // of what is published
	uint32_t handle;
	int32_t age_ms;
	unsigned part;
};

// The cell that is gathered, and what is kept for others.
struct pe_query_cells {
	uint32_t count[PE_QUERY_CELL_PARTS], gathered;
	int32_t newest_age_ms[PE_QUERY_CELL_PARTS];
	unsigned late_count;
	struct pe_query_late late[PE_QUERY_LATE_MAX]; // ascending by place
};

struct pe_query_extras {
	struct pe_polygon polygon[PE_QUERY_POLYGONS];
	struct pe_sieve sieve[PE_QUERY_POLYGONS]; // of each, where its space is CARTESIAN
	struct pe_hull hull[PE_QUERY_SLOTS];
	struct pe_filter filter[PE_QUERY_SLOTS];
	struct pe_query_near near[PE_QUERY_NEAREST_MAX]; // a heap, the furthest at its root
	// of a piece of hits; then the nearest in their order
	struct pe_wire_result piece[PE_QUERY_NEAREST_MAX];
	uint32_t handles[PE_QUERY_PIECE_HITS];
	struct pe_query_cells cells;
	const uint8_t *details[PE_QUERY_NEAREST_MAX]; // with `piece`
};
static_assert(PE_QUERY_PIECE_HITS <= PE_QUERY_NEAREST_MAX, "a piece's results have room");

// prepare.c. Heights down to PE_HEIGHT_LOWEST_M bring two points closer than their footprints: how
// far along the surface a straight line of so many metres may lead.
double pe_query_surface_reach(double straight_m);
// prepare.c. Where an answer that is cut goes on.
void pe_query_set_cursor(const struct pe_test *test, struct pe_query_answer *answer,
	const struct pe_cursor *walk, unsigned region, uint32_t skip);

// query.c. What is left of the turn's bounds is the walk's, or less for who is not trusted.
void pe_query_set_bounds(const struct pe_query_context *context, struct pe_query_slot *slot);
// The walk stands at the start of a region of the test.
void pe_query_enter_region(struct pe_query_slot *slot, unsigned region);
// The walker stands before the next piece.
static inline void pe_query_open_walk(const struct pe_query_context *c, struct pe_query_slot *s)
{
	pe_walker_open(&s->walker, c->grid, &s->walk);
	s->opened = true;
}
// The next piece's hits, behind those that are there already.
void pe_query_scan_piece(struct pe_query_context *context, struct pe_query_slot *slot);
// The turn's bounds know of the walk now that it is over.
void pe_query_end_walk(struct pe_query_context *context, struct pe_query_slot *slot);
static inline bool pe_query_walked_out(const struct pe_query_slot *s)
{
	return s->walk.cells >= s->walk.cells_max || s->walk.candidates >= s->walk.candidates_max;
}

// layers.c: the audiences whose entities a query of cells counts, and nothing else; set as the
// test's `counted` before the layers are added. None, where anything is asked of entities besides
// where they are: what may not be told of them can't be asked for. And is a region one of such a
// layer? pe_query_lattice_level: the level of its cells.
uint32_t pe_query_counted(const struct pe_test *test);
bool pe_query_region_counted(const struct pe_test *test, unsigned number);
int pe_query_lattice_level(const struct pe_test *test, unsigned audience);

// layers.c: the layers of the grid that the asker may see besides the space's own; owned: and the
// region of what is his own (owned.h). After the test's regions were set, and again whenever they
// change.
void pe_query_add_layers(struct pe_test *test, const struct pe_query_known *known, bool owned);
void pe_query_spread_layers(struct pe_test *test);
static inline void pe_query_set_layers(struct pe_test *t)
{
	t->region_total = t->region_count;
	if (__builtin_expect(t->layer_count != 0, 0))
		pe_query_spread_layers(t);
}
// A region by its number, and back: an audience and one of its regions. The audience's number is
// the cursor's: OPEN for the space's own. True: it is of those who have to be near, and holds
// nobody else's cells; it may be empty.
bool pe_query_layer_region(const struct pe_test *test, unsigned number, struct pe_region *region);
unsigned pe_query_layer_audience(const struct pe_test *test, unsigned number, unsigned *region);
// Of what none is: region_total.
unsigned pe_query_layer_number(const struct pe_test *test, unsigned audience, unsigned region);
// The number of the region of a frame in the layer that has this number's.
unsigned pe_query_layer_of_frame(const struct pe_test *test, unsigned number, unsigned frame);
// Is the region in a layer of anonymous ones, where the order of slots is that of last epoch's?
bool pe_query_reorders(const struct pe_test *test, unsigned region);
// Hits of a leaf in such a region are put into an order of this epoch's. True: they were.
bool pe_query_shuffle(const struct pe_test *test, unsigned region, struct pe_hit *hits,
	unsigned from, unsigned to);

// extension.c: the slot's volume, filter and form, out of its query's extension. A polygon's
// preparation is part of the turn's work, or the form is POSTPONED. For pe_query_prepare.
[[nodiscard]] enum pe_reason pe_query_extend(struct pe_query_context *context, unsigned slot,
	const struct pe_space *space, const uint8_t *extension);
// The test of a volume of the extension: what is inside of an ORIENTED_BOX or a FRUSTUM, and of a
// POLYGON (sure: its edges hold the position, only its heights are asked); which regions cover it.
[[nodiscard]] bool pe_query_volume_holds(
	const struct pe_test *test, const double position[3], bool height_known);
[[nodiscard]] static inline bool pe_query_polygon_holds(
	const struct pe_test *t, const double position[3], bool height_known, bool sure)
{
	const struct pe_polygon *p = t->polygon;

	// It may be at any height: inside of what all heights are inside of.
	if (height_known ? !(position[2] >= p->height_min && position[2] <= p->height_max) :
			   p->height_min != -INFINITY || p->height_max != INFINITY)
		return false;
	return sure || pe_polygon_covers(p, position);
}
unsigned pe_query_volume_regions(
	const struct pe_test *test, struct pe_region regions[PE_FRAMES_MAX]);
// GEODETIC: of the hits from … to, which are of one frame, those that a POLYGON may hold, moved
// together; returns the new end. What is outside for certain costs no record; what is inside for
// certain, whatever its height, is marked as sure.
unsigned pe_query_polygon_sieve(
	const struct pe_test *test, struct pe_hit *hits, unsigned from, unsigned to);
// Does the program take the view?
[[nodiscard]] bool pe_query_filter_takes(const struct pe_test *test, const struct pe_view *view);
// Which of the program's tests, from 0, says so?
unsigned pe_query_filter_test(const struct pe_test *test, const struct pe_view *view);

// predict.c: a query about a moment that is not now. Its offset is known; the rest of t->time is
// set. query_time: beyond the horizon.
[[nodiscard]] enum pe_reason pe_query_prepare_time(
	struct pe_test *test, const struct pe_space *space, const struct pe_query_known *known);
// The regions of a volume, as much wider as entities may be from where they were seen. Of POLYGON,
// ORIENTED_BOX and FRUSTUM what their test says; else of a box, or of a sphere.
unsigned pe_query_time_regions(const struct pe_test *test, struct pe_region regions[PE_FRAMES_MAX]);
static inline unsigned pe_query_sphere_regions(const struct pe_test *t, const double centre[3],
	double radius_m, struct pe_region regions[PE_FRAMES_MAX])
{
	return pe_space_sphere(t->space, centre,
		t->ways.timed ? radius_m + t->time.wider_m : radius_m, regions, NULL);
}
// A hit of such a query has its record read and its course followed, whatever the volume: so many
// positions' work.
#define PE_QUERY_TIME_CANDIDATES 16u

// nearest.c: a NEAREST query's test, and its run. As pe_query_prepare and pe_query_run.
[[nodiscard]] enum pe_reason pe_query_prepare_nearest(struct pe_query_slot *slot);
// How far the nearest may be: as asked for, or what the space bounds.
double pe_query_nearest_limit(const struct pe_query_slot *slot);
void pe_query_run_nearest(struct pe_query_context *context, struct pe_query_slot *slot,
	uint32_t results_max, struct pe_query_answer *answer);

// cells.c: the run of a query that counts by cell, and the level of its cells: the coarsest of an
// edge up to size_m that an answer of so many records may have.
int pe_query_cell_level(const struct pe_space *space, double size_m, uint32_t results_max);
void pe_query_run_cells(struct pe_query_context *context, struct pe_query_slot *slot,
	uint32_t results_max, struct pe_query_answer *answer);
