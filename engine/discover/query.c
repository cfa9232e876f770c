#include "discover/query.h"

#include "discover/accept.h"

// Where a cursor's second word keeps ours, above the walk's own: results of the piece that were given already, and the region.
#define CURSOR_SKIP_SHIFT   48
#define CURSOR_REGION_SHIFT 60
#define CURSOR_WALK_MASK    ((1ull << CURSOR_SKIP_SHIFT) - 1)
// Always set, so that no cursor is zero: an answer may be cut before its first result.
#define CURSOR_MARK     (1ull << 63)
#define CURSOR_SKIP_MAX 0xFFFu
static_assert(PE_QUERY_PIECE_HITS <= CURSOR_SKIP_MAX, "a piece's results fit the cursor");
// Heights down to PE_HEIGHT_LOWEST_M bring two points closer than their footprints by this share at most.
#define HEIGHT_SHRINK 0.002

enum pe_status pe_query_create(struct pe_query_context *context, const struct pe_grid *grid,
	const struct pe_record *records, struct pe_counters *counters, uint32_t results_max,
	uint32_t cells_max, uint32_t candidates_max)
{
	uint32_t set = 64;
	size_t hit_bytes = PE_QUERY_PIECE_HITS * sizeof(struct pe_hit);
	size_t result_bytes = results_max * sizeof(struct pe_wire_result);
	size_t handle_bytes = results_max * sizeof(uint32_t);
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
	if (pe_memory_map(hit_bytes + result_bytes + handle_bytes + set * sizeof(uint32_t), false,
		    &context->memory) != PE_OK)
		return PE_NO_MEMORY;
	base = context->memory.base;
	context->hits = (struct pe_hit *)base;
	context->results = (struct pe_wire_result *)(base + hit_bytes);
	context->handles = (uint32_t *)(base + hit_bytes + result_bytes);
	context->met = (uint32_t *)(base + hit_bytes + result_bytes + handle_bytes);
	return PE_OK;
}

void pe_query_destroy(struct pe_query_context *context)
{
	pe_memory_unmap(&context->memory);
}

// Fills *t for a query of this turn; region metres are left to the walk.
static enum pe_reason prepare(struct pe_test *t, const struct pe_space *space,
	const struct pe_wire_query *q, float precision_max_m)
{
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC, centred;
	enum pe_reason reason = PE_REASON_none;
	double walk_m;

	centred = !(q->flags & PE_QUERY_HAS_ORIGIN);
	t->space = space;
	t->query = q;
	t->ways = (struct pe_ways){.geodetic = geodetic,
		.straight = geodetic && (q->flags & PE_QUERY_DISTANCE_3D),
		.sphere = q->kind == PE_QUERY_SPHERE,
		.filtered = q->type_mask || q->state_mask || (q->flags & PE_QUERY_HEIGHT_RANGE),
		.centred = centred};
	if (!centred) {
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
		if (centred)
			pe_space_box_centre(space, q->a, q->b, t->origin);
		return PE_REASON_none;
	}
	t->radius_m = t->ways.sphere ? q->b[0] : 0;
	walk_m = t->ways.sphere ? t->radius_m : (double)precision_max_m + 0.001;
	reason = pe_space_check_sphere(space, q->a, walk_m);
	if (reason)
		return reason;
	if (t->ways.straight && q->a[2] < PE_HEIGHT_LOWEST_M)
		return PE_REASON_query_bounds;
	if (t->ways.straight)
		walk_m += walk_m * HEIGHT_SHRINK + 0.01;
	t->region_count = pe_space_sphere(space, q->a, walk_m, t->region, NULL);
	if (centred)
		memcpy(t->origin, q->a, sizeof t->origin);
	return PE_REASON_none;
}

// Removes results whose entity was met twice; the first meeting stays.
static uint32_t drop_doubles(struct pe_query_context *c, uint32_t count)
{
	uint32_t kept = 0;

	memset(c->met, 0xFF, ((size_t)c->met_mask + 1) * sizeof *c->met);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t handle = c->handles[i];
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

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void pe_query_begin_turn(struct pe_query_context *c)
{
	c->cells_left = c->cells_max * PE_TURN_QUERIES;
	c->candidates_left = c->candidates_max * PE_TURN_QUERIES;
}

static void set_cursor(struct pe_query_answer *answer, const struct pe_cursor *walk,
	unsigned region, uint32_t skip)
{
	answer->cursor[0] = walk->word[0];
	answer->cursor[1] = walk->word[1] | CURSOR_MARK | (uint64_t)region << CURSOR_REGION_SHIFT |
		(uint64_t)skip << CURSOR_SKIP_SHIFT;
}

// Takes a piece's hits, without the first `skip` results that an earlier answer gave, into c->results from *count on. True: there is
// one more than fits; *given is then how many of the piece's results are in answers.
static bool take_piece(struct pe_query_context *c, const struct pe_test *t, unsigned hits,
	uint32_t skip, uint32_t results_max, uint32_t *count, uint32_t *given)
{
	struct pe_wire_result passed;
	uint32_t handle, added;
	unsigned at = 0;

	*given = 0;
	while (*given < skip && at < hits)
		*given += pe_accept(t, c->hits, hits, &at, &passed, &handle, 1);
	added = pe_accept(t, c->hits, hits, &at, &c->results[*count], &c->handles[*count],
		results_max - *count);
	*given += added;
	*count += added;
	if (at == hits || !pe_accept(t, c->hits, hits, &at, &passed, &handle, 1))
		return false;
#ifdef PE_PLANT_CURSOR_REPEATS // tests only: the fault that a test must find
	if (*given > 1)
		--*given;
#endif
	return true;
}

enum pe_reason pe_query_run(struct pe_query_context *c, const struct pe_space *space,
	const struct pe_wire_query *q, const struct pe_asker *asker, struct pe_instant now,
	float precision_max_m, uint32_t results_max, struct pe_query_answer *answer)
{
	struct pe_test t;
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
	t.asker = asker;
	t.records = c->records;
	t.counters = c->counters;
	t.now = now;
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
				set_cursor(answer, &before, region, skip);
				break;
			}
			hits = pe_grid_walk(c->grid, &walk, c->hits, PE_QUERY_PIECE_HITS);
			// Nodes without leaves are work as well: a step that met only such counts as a quarter.
			if (!hits && walk.cells == cells && !pe_walk_ended(&walk))
				walk.cells += walk.cells_max / 4 + 1;
			pe_accept_ahead(&t, c->hits, hits);
			if (take_piece(c, &t, hits, skip, results_max, &count, &given)) {
				// The next query walks the piece again and leaves out what was given.
				full = true;
				set_cursor(answer, &before, region, given);
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
