#include "discover/query.h"

#include <float.h>
#include <math.h>

#define LATCH_TRIES 1000u
// Where a cursor's second word keeps ours, above the walk's own: results of the piece that were given already, and the region.
#define CURSOR_SKIP_SHIFT   48
#define CURSOR_REGION_SHIFT 60
#define CURSOR_WALK_MASK    ((1ull << CURSOR_SKIP_SHIFT) - 1)
// Always set, so that no cursor is zero: an answer may be cut before its first result.
#define CURSOR_MARK     (1ull << 63)
#define CURSOR_SKIP_MAX 0xFFFu
static_assert(PE_QUERY_PIECE_HITS <= CURSOR_SKIP_MAX, "a piece's results fit the cursor");
// How exact the index is: a unit an axis, the coarser one 1 mm up.
#define INDEX_ERROR_M 0.0025
// Heights down to −12.7 km bring two points closer than their footprints by this share at most.
#define HEIGHT_SHRINK   0.002
#define HEIGHT_LOWEST_M (-12700.0)

enum pe_status pe_query_create(struct pe_query_context *context, const struct pe_grid *grid,
	const struct pe_record *records, struct pe_counters *counters, uint32_t results_max,
	uint32_t cells_max, uint32_t candidates_max)
{
	uint32_t set = 64;
	size_t hit_bytes = PE_QUERY_PIECE_HITS * sizeof(struct pe_hit);
	size_t result_bytes = results_max * sizeof(struct pe_query_result);
	uint8_t *base;

	while (set < 2 * results_max)
		set *= 2;
	*context = (struct pe_query_context){
		.grid = grid,
		.records = records,
		.counters = counters,
		.results_max = results_max,
		.cells_max = cells_max,
		.candidates_max = candidates_max,
		.met_mask = set - 1,
	};
	if (pe_memory_map(hit_bytes + result_bytes + set * sizeof(uint32_t), false,
		    &context->memory) != PE_OK)
		return PE_NO_MEMORY;
	base = context->memory.base;
	context->hits = (struct pe_hit *)base;
	context->results = (struct pe_query_result *)(base + hit_bytes);
	context->met = (uint32_t *)(base + hit_bytes + result_bytes);
	return PE_OK;
}

void pe_query_destroy(struct pe_query_context *context)
{
	pe_memory_unmap(&context->memory);
}

// A query made ready: what every candidate is tested against.
struct test {
	const struct pe_space *space;
	const struct pe_wire_query *query;
	bool geodetic, straight; // straight: distances with heights, on a GEODETIC space
	bool origin_is_centre;
	double radius_m;
	double origin[3];
	struct pe_region region[PE_FRAMES_MAX];
	unsigned region_count;
	double origin_metres[3]; // in the frame of the region that is walked
	double centre_metres[3];
};

static double straight(const double p[3], const double q[3])
{
	double x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2];

	return sqrt(x * x + y * y + z * z);
}

static double frame_distance(const struct test *t, const struct pe_hit *hit, const double from[3])
{
	struct pe_units u = pe_place_units(hit->key, hit->word & PE_WORD_POSITION);
	double metres[3] = {(double)u.v[0] * t->space->unit_m, (double)u.v[1] * t->space->unit_m,
		(double)u.v[2] * t->space->unit_m * (double)(1u << t->space->z_shift)};

	return straight(metres, from);
}

// From a point to a candidate. `met` = the hit's place is the view's, so the frame's metres will do.
static double distance(struct pe_query_context *c, const struct test *t, const struct pe_hit *hit,
	bool met, const struct pe_view *view, const double point[3], const double metres[3],
	double edge_m)
{
	double d, doubt;

	if (!t->geodetic)
		return straight(point, view->shows.position);
	if (t->straight || !met)
		return pe_space_distance(t->space, point, view->shows.position, t->straight);
	d = pe_surface_from_chord(
		t->space, frame_distance(t, hit, metres), view->shows.position[0]);
	doubt = pe_surface_band(d) + INDEX_ERROR_M;
	if (fabs(d - edge_m) > doubt)
		return d;
	pe_count(c->counters, PE_COUNTER_query_exact, 1);
	return pe_space_distance(t->space, point, view->shows.position, false);
}

static bool height_known(const struct test *t, const struct pe_published *p)
{
	return !t->geodetic || !(p->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN);
}

static bool passes_filters(const struct test *t, const struct pe_published *p)
{
	const struct pe_wire_query *q = t->query;
	unsigned type = p->entity_type >= PE_ENTITY_CUSTOM ? 4u : p->entity_type;

	if (q->type_mask && !(q->type_mask >> type & 1))
		return false;
	if (q->state_mask && !(q->state_mask >> PE_ATTRIBUTE_STATE(p->attributes) & 1))
		return false;
	if (q->flags & PE_QUERY_HEIGHT_RANGE)
		return height_known(t, p) && p->position[2] >= (double)q->height_min &&
			p->position[2] <= (double)q->height_max;
	return true;
}

// Is the view inside the volume? *centre_m: its distance from the volume's centre, where that was needed.
static bool inside(struct pe_query_context *c, const struct test *t, const struct pe_hit *hit,
	bool met, const struct pe_view *view, double *centre_m)
{
	const struct pe_wire_query *q = t->query;

	*centre_m = -1;
	if (q->kind == PE_QUERY_BOX)
		return pe_space_box_holds(t->space, q->a, q->b, view->shows.position);
	// What lies deeper than the walk allows for is found by no straight line, rather than by some.
	if (t->straight &&
		(!height_known(t, &view->shows) || view->shows.position[2] < HEIGHT_LOWEST_M))
		return false;
	if (q->kind == PE_QUERY_POINT) {
		double reach = (double)view->shows.precision_m;

		*centre_m = distance(c, t, hit, met, view, q->a, t->centre_metres, reach);
		return *centre_m <= reach + 0.001;
	}
	*centre_m = distance(c, t, hit, met, view, q->a, t->centre_metres, t->radius_m);
	return *centre_m <= t->radius_m;
}

static bool accept(struct pe_query_context *c, const struct test *t, const struct pe_asker *asker,
	uint32_t now_tick, const struct pe_hit *hit, struct pe_query_result *result)
{
	const struct pe_record *r = &c->records[hit->handle];
	struct pe_published p;
	double centre_m, origin_m;
	bool met;

	if (!pe_record_read(r, &p, LATCH_TRIES)) {
		pe_count(c->counters, PE_COUNTER_latch_retries, LATCH_TRIES);
		return false;
	}
	if (!pe_view_build(asker, r, &p, now_tick, &result->view) ||
		!passes_filters(t, &result->view.shows))
		return false;
	if (PE_STATUS_SPACE(atomic_load_explicit(&r->status, memory_order_relaxed)) !=
		t->space->index)
		return false; // it came back in another space meanwhile
	// The slot was read before the record: beside a move they may differ, and the record is what is shown.
	met = !(hit->word & PE_SLOT_MOVED) && (hit->word & PE_WORD_POSITION) == p.word;
	if (!inside(c, t, hit, met, &result->view, &centre_m))
		return false;
	origin_m = t->origin_is_centre && centre_m >= 0 ?
		centre_m :
		distance(c, t, hit, met, &result->view, t->origin, t->origin_metres,
			(double)p.radius_m);
	if (p.radius_m > 0) {
		// The edge that `distance` was exact at was the volume's, if it came from there.
		if (t->origin_is_centre && centre_m >= 0)
			origin_m = distance(c, t, hit, met, &result->view, t->origin,
				t->origin_metres, (double)p.radius_m);
		if (origin_m > (double)p.radius_m)
			return false;
	}
	result->handle = hit->handle;
	// Of a box without end the centre may be further away than a float can say.
	result->distance_m = (float)fmin(origin_m, (double)FLT_MAX);
	return true;
}

static enum pe_reason prepare(struct test *t, const struct pe_space *space,
	const struct pe_wire_query *q, float precision_max_m)
{
	enum pe_reason reason = PE_REASON_none;
	double walk_m;

	*t = (struct test){
		.space = space, .query = q, .geodetic = space->config.kind == PE_SPACE_GEODETIC};
	t->straight = t->geodetic && (q->flags & PE_QUERY_DISTANCE_3D);
	t->origin_is_centre = !(q->flags & PE_QUERY_HAS_ORIGIN);
	if (!t->origin_is_centre) {
		reason = pe_space_check_sphere(space, q->origin, 0);
		memcpy(t->origin, q->origin, sizeof t->origin);
	}
	if (reason)
		return reason;
	if (q->kind == PE_QUERY_BOX) {
		reason = pe_space_check_box(space, q->a, q->b);
		if (reason)
			return reason;
		t->region_count = pe_space_box(space, q->a, q->b, t->region);
		if (t->origin_is_centre)
			pe_space_box_centre(space, q->a, q->b, t->origin);
		return PE_REASON_none;
	}
	t->radius_m = q->kind == PE_QUERY_SPHERE ? q->b[0] : 0;
	walk_m = q->kind == PE_QUERY_SPHERE ? t->radius_m : (double)precision_max_m + 0.001;
	reason = pe_space_check_sphere(space, q->a, walk_m);
	if (reason)
		return reason;
	if (t->straight && q->a[2] < HEIGHT_LOWEST_M)
		return PE_REASON_query_bounds;
	if (t->straight)
		walk_m += walk_m * HEIGHT_SHRINK + 0.01;
	t->region_count = pe_space_sphere(space, q->a, walk_m, t->region, NULL);
	if (t->origin_is_centre)
		memcpy(t->origin, q->a, sizeof t->origin);
	return PE_REASON_none;
}

// Removes results whose entity was met twice; the first meeting stays.
static uint32_t drop_doubles(struct pe_query_context *c, uint32_t count)
{
	uint32_t kept = 0;

	memset(c->met, 0xFF, ((size_t)c->met_mask + 1) * sizeof *c->met);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t handle = c->results[i].handle;
		uint32_t at = handle * 2654435761u & c->met_mask;

		while (c->met[at] != PE_HANDLE_NONE && c->met[at] != handle)
			at = (at + 1) & c->met_mask;
		if (c->met[at] == handle)
			continue;
		c->met[at] = handle;
		if (kept != i)
			c->results[kept] = c->results[i];
		kept++;
	}
	return kept;
}

static void prefetch_records(const struct pe_query_context *c, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		const struct pe_record *r = &c->records[c->hits[i].handle];

		__builtin_prefetch(r);
		__builtin_prefetch(&r->copy[0]);
		__builtin_prefetch(&r->copy[1]);
	}
}

#define PREFETCH_AHEAD 8u

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void pe_query_begin_turn(struct pe_query_context *c)
{
	c->cells_left = c->cells_max * PE_TURN_QUERIES;
	c->candidates_left = c->candidates_max * PE_TURN_QUERIES;
}

enum pe_reason pe_query_run(struct pe_query_context *c, const struct pe_space *space,
	const struct pe_wire_query *q, const struct pe_asker *asker, uint32_t now_tick,
	float precision_max_m, uint32_t results_max, struct pe_query_answer *answer)
{
	struct test t;
	struct pe_walk walk = {
		.cells_max = least(c->cells_max, c->cells_left),
		.candidates_max = least(c->candidates_max, c->candidates_left),
	};
	unsigned first_region = 0;
	uint32_t skip = 0, count = 0;
	bool flagged = false, full = false;
	enum pe_reason reason = prepare(&t, space, q, precision_max_m);

	*answer = (struct pe_query_answer){0};
	if (reason)
		return reason;
	if (!asker->trusted) {
		walk.cells_max = least(walk.cells_max, PE_STRANGER_CELLS_MAX);
		walk.candidates_max = least(walk.candidates_max, PE_STRANGER_CANDIDATES_MAX);
	}
	results_max = least(results_max, c->results_max);
	if (q->max_results && q->max_results < results_max)
		results_max = q->max_results;
	if (q->flags & PE_QUERY_HAS_CURSOR) {
		first_region = (unsigned)(q->cursor[1] >> CURSOR_REGION_SHIFT) & 7u;
		skip = (uint32_t)(q->cursor[1] >> CURSOR_SKIP_SHIFT) & CURSOR_SKIP_MAX;
		walk.cursor = (struct pe_cursor){{q->cursor[0], q->cursor[1] & CURSOR_WALK_MASK}};
		if (!(q->cursor[1] & CURSOR_MARK) || first_region >= t.region_count ||
			skip > PE_QUERY_PIECE_HITS)
			return PE_REASON_query_cursor;
	}
	for (unsigned region = first_region; region < t.region_count && !full; region++) {
		walk.region = t.region[region];
		if (region != first_region) {
			walk.cursor = (struct pe_cursor){{0, 0}};
			walk.resume = 0;
		}
		pe_space_frame_metres(space, walk.region.frame, t.origin, t.origin_metres);
		if (q->kind != PE_QUERY_BOX)
			pe_space_frame_metres(space, walk.region.frame, q->a, t.centre_metres);
		while (!pe_walk_ended(&walk)) {
			struct pe_cursor before = walk.cursor;
			uint32_t given = 0, cells = walk.cells;
			unsigned hits;

			if (count == results_max || walk.cells >= walk.cells_max ||
				walk.candidates >= walk.candidates_max) {
				full = true;
				answer->cursor[0] = before.word[0];
				answer->cursor[1] = before.word[1] | CURSOR_MARK |
					(uint64_t)region << CURSOR_REGION_SHIFT |
					(uint64_t)skip << CURSOR_SKIP_SHIFT;
				break;
			}
			hits = pe_grid_walk(c->grid, &walk, c->hits, PE_QUERY_PIECE_HITS);
			// Nodes without leaves are work as well: a step that met only such counts as a quarter.
			if (!hits && walk.cells == cells && !pe_walk_ended(&walk))
				walk.cells += walk.cells_max / 4 + 1;
			prefetch_records(c, 0, hits < PREFETCH_AHEAD ? hits : PREFETCH_AHEAD);
			for (unsigned i = 0; i < hits; i++) {
				if (i + PREFETCH_AHEAD < hits)
					prefetch_records(
						c, i + PREFETCH_AHEAD, i + PREFETCH_AHEAD + 1);
#ifdef PE_PLANT_CURSOR_REPEATS // tests only: the fault that a test must find
				if (given > 1 && count == results_max)
					given--;
#endif
				if (given >= skip && count == results_max) {
					// Cut within the piece: the next query walks it again and leaves out what was given.
					struct pe_query_result probe;

					if (!accept(c, &t, asker, now_tick, &c->hits[i], &probe))
						continue;
					full = true;
					answer->cursor[0] = before.word[0];
					answer->cursor[1] = before.word[1] | CURSOR_MARK |
						(uint64_t)region << CURSOR_REGION_SHIFT |
						(uint64_t)given << CURSOR_SKIP_SHIFT;
					break;
				}
				if (given < skip) {
					struct pe_query_result passed;

					given += accept(
						c, &t, asker, now_tick, &c->hits[i], &passed);
					continue;
				}
				if (accept(c, &t, asker, now_tick, &c->hits[i],
					    &c->results[count])) {
					given++;
					count++;
				}
			}
			skip = 0;
			if (full)
				break;
		}
		flagged |= walk.flagged;
	}
	if (flagged)
		count = drop_doubles(c, count);
	answer->result_count = count;
	answer->truncated = full;
	c->cells_left -= least(c->cells_left, walk.cells);
	c->candidates_left -= least(c->candidates_left, walk.candidates);
	pe_count(c->counters, PE_COUNTER_query_cells, walk.cells);
	pe_count(c->counters, PE_COUNTER_query_candidates, walk.candidates);
	pe_count(c->counters, PE_COUNTER_query_results, count);
	return PE_REASON_none;
}
