// Queries are run: walked a piece at a time, the next ones ahead while one's records are on their
// way, and their hits taken into answers. What they were made of is prepare.c's.
#include "discover/query.h"

#include "base/stages.h"
#include "discover/owned.h"
#include "discover/slot.h"

#define HITS_ROOM (3 * PE_QUERY_PIECE_PLAIN)
// Nodes of the grid that a step may meet beside its cells for nothing. A walk stops at as many for
// all of its cells (met_max).
#define NODES_AT_FIRST 64
#define NODES_A_CELL   PE_WALK_NODES_A_CELL
#define CHUNKS_AHEAD   3u  // queries whose chunks were asked for before one is walked
#define HITS_AHEAD     48u // of queries that come next are met while a query's own are taken

enum pe_status pe_query_create(struct pe_query_context *context, const struct pe_grid *grid,
	const struct pe_table *table, struct pe_counters *counters, uint32_t results_max,
	uint32_t cells_max, uint32_t candidates_max)
{
	uint32_t set = 64;
	size_t hit_bytes = HITS_ROOM * sizeof(struct pe_hit);
	// Results start a line each.
	size_t slot_bytes = (PE_QUERY_SLOTS * sizeof(struct pe_query_slot) + 63) & ~(size_t)63;
	size_t extra_bytes = (sizeof(struct pe_query_extras) + 63) & ~(size_t)63;
	size_t result_bytes = results_max * sizeof(struct pe_wire_result);
	size_t handle_bytes = results_max * sizeof(uint32_t);
	size_t hit_handle_bytes = (HITS_ROOM + PE_FIND_SLACK) * sizeof(uint32_t);
	// Whole lines of 512 handles, and words of 64 lines; eight words are a line.
	// Numbers of handles have gaps.
	size_t handles = pe_handle_nth(table->entity_count_max - 1) + 1ull;
	size_t lines = (handles + 511) / 512, words = (lines + 63) / 64;
	size_t counted_bytes = lines * 64 + (words + 7) / 8 * 64;
	size_t details_bytes = results_max * sizeof(const uint8_t *);
	uint8_t *base;

	while (set < 2 * results_max)
		set *= 2;
	*context = (struct pe_query_context){
		.grid = grid,
		.table = table,
		.counters = counters,
		.results_max = results_max,
		.cells_max = cells_max,
		.candidates_max = candidates_max,
		.met_mask = set - 1,
	};
	if (pe_memory_map(slot_bytes + extra_bytes + counted_bytes + result_bytes + hit_bytes +
			    details_bytes + hit_handle_bytes + handle_bytes +
			    set * sizeof(uint32_t),
		    false, &context->memory) != PE_OK)
		return PE_NO_MEMORY;
	base = context->memory.base;
	context->slots = (struct pe_query_slot *)base;
	context->extras = (struct pe_query_extras *)(base += slot_bytes);
	context->counted = (uint64_t *)(base += extra_bytes);
	context->counted_lines = context->counted + lines * 8;
	context->counted_lines_words = (uint32_t)words;
	context->results = (struct pe_wire_result *)(base += counted_bytes);
	context->cells = (struct pe_wire_cell *)base;
	context->hits = (struct pe_hit *)(base += result_bytes);
	context->details = (const uint8_t **)(void *)(base += hit_bytes);
	context->hit_handles = (uint32_t *)(base += details_bytes);
	context->handles = (uint32_t *)(base += hit_handle_bytes);
	context->met = (uint32_t *)(base + handle_bytes);
	return PE_OK;
}

void pe_query_destroy(struct pe_query_context *context)
{
	pe_memory_unmap(&context->memory);
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
		if (kept != i) {
			c->results[kept] = c->results[i];
			c->details[kept] = c->details[i];
		}
		c->handles[kept] = handle;
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
	c->charged = false;
}

// Where details are wanted: the results from *count on with theirs, as far as they have room; what
// is passed over has no bound.
__attribute__((noinline)) static uint32_t accept_detailed(struct pe_query_context *c,
	struct pe_query_slot *s, struct pe_hits *hits, uint32_t at, uint32_t room)
{
	const uint8_t **passed = hits->details;
	uint32_t added;

	hits->details = &c->details[at];
	hits->bytes_left = s->bytes_left;
	added = pe_accept(&s->test, hits, &c->results[at], &c->handles[at], room);
	s->bytes_left = hits->bytes_left;
	hits->details = passed;
	hits->bytes_left = UINT32_MAX;
	return added;
}

// Takes the hits of the slot's piece, without the first `skip` results that an earlier answer gave,
// into c->results from *count on. True: there is one more than fits; *given is then how many of the
// piece's results are in answers, and *to the hit behind the last of them.
static bool take_piece(struct pe_query_context *c, struct pe_query_slot *s, uint32_t skip,
	uint32_t results_max, uint32_t *count, uint32_t *given, unsigned *to)
{
	struct pe_hits hits = {.hit = c->hits,
		.handle = c->hit_handles,
		.at = s->from,
		.end = s->to,
		.ahead = c->hits_end,
		.asked = c->asked > s->from ? c->asked : s->from};
	struct pe_wire_result passed;
	uint32_t handle, added;
	bool more;

	*given = 0;
	while (*given < skip && hits.at < hits.end)
		*given += pe_accept(&s->test, &hits, &passed, &handle, 1);
	if (__builtin_expect(s->form == PE_QUERY_DETAILED, 0))
		added = accept_detailed(c, s, &hits, *count, results_max - *count);
	else
		added = pe_accept(&s->test, &hits, &c->results[*count], &c->handles[*count],
			results_max - *count);
	*given += added;
	*count += added;
	*to = hits.at;
	more = hits.at < hits.end && pe_accept(&s->test, &hits, &passed, &handle, 1);
	c->asked = hits.asked;
#ifdef PE_PLANT_CURSOR_REPEATS // tests only: the fault that a test must find
	if (more && *given > 1) {
		--*given;
		s->shuffled = true;
	}
#endif
	return more;
}

// Where the answer goes on that is cut within the slot's piece, behind `given` of its results, the
// last of which is the hit before `to`: at the slot behind it, where the next one is even when
// others have gone meanwhile. In a piece of another order, and where it is moving, they are
// counted.
__attribute__((noinline)) static void cut_piece(const struct pe_query_context *c,
	struct pe_query_slot *s, uint32_t given, unsigned to, struct pe_query_answer *answer)
{
	struct pe_walk walk = s->walk;

	walk.cursor = s->before;
	walk.resume = walk.cells = 0;
	if (given && !s->shuffled && !s->owned) {
		uint32_t handle = c->hit_handles[to - 1];
		bool once = true;

		for (unsigned i = s->from; walk.flagged && i < s->to; i++)
			once &= i + 1 == to || c->hit_handles[i] != handle;
		if (once && pe_grid_walk_behind(c->grid, &walk, handle, &s->walk.cursor))
			given = 0;
	}
	pe_query_set_cursor(&s->test, answer, &walk.cursor, s->region, given);
}

void pe_query_set_bounds(const struct pe_query_context *c, struct pe_query_slot *s)
{
	s->walk.cells_max = least(c->cells_max, c->cells_left);
	s->walk.candidates_max = least(c->candidates_max, c->candidates_left);
	if (!s->test.asker->trusted) {
		s->walk.cells_max = least(s->walk.cells_max, PE_STRANGER_CELLS_MAX);
		s->walk.candidates_max = least(s->walk.candidates_max, PE_STRANGER_CANDIDATES_MAX);
	}
}

// The first bounds may be other ones when the queries before have run: then the walk is opened
// again.
static void set_bounds_again(const struct pe_query_context *c, struct pe_query_slot *s)
{
	uint32_t cells_max = s->walk.cells_max;

	pe_query_set_bounds(c, s);
	s->opened &= s->walk.cells_max == cells_max;
}

static void enter_owned(struct pe_query_slot *s, unsigned region)
{
	unsigned of;

	s->owned = pe_query_layer_audience(&s->test, region, &of) == PE_AUDIENCE_HIDDEN;
	if (!s->owned)
		return;
	s->owner = s->asker;
	s->owner.sees = UINT32_MAX;
	s->owner.place = PE_NEAR_EVERYWHERE;
	s->test.asker = &s->owner;
}

// Are the places of what is met told by the polygon? Not where courses lead, nor of who is only
// counted.
static bool sieved(const struct pe_query_slot *s)
{
	return !s->test.ways.timed &&
		(__builtin_expect(s->region < s->test.region_count, 1) ||
			!pe_query_region_counted(&s->test, s->region));
}

void pe_query_enter_region(struct pe_query_slot *s, unsigned region)
{
	struct pe_test *t = &s->test;

	s->region = region;
	if (__builtin_expect(region < t->region_count, 1)) {
		s->walk.region = t->region[region];
		s->walk.boxed = false;
	} else {
		s->walk.boxed = pe_query_layer_region(t, region, &s->walk.region);
		enter_owned(s, region);
	}
	s->walk.sieve = s->query.kind == PE_QUERY_POLYGON && sieved(s) ? t->sieve : NULL;
	pe_space_frame_metres(t->space, s->walk.region.frame, t->origin, t->origin_metres);
	if (s->query.kind != PE_QUERY_BOX)
		pe_space_frame_metres(t->space, s->walk.region.frame, s->query.a, t->centre_metres);
}

uint32_t pe_query_id(const struct pe_query_context *c, unsigned slot)
{
	return c->slots[slot].query.query_id;
}

uint32_t pe_query_result_bytes(const struct pe_query_context *c, unsigned slot)
{
	switch (c->slots[slot].form) {
	case PE_QUERY_CELLS:
		return sizeof(struct pe_wire_cell);
	case PE_QUERY_SHORT:
		return sizeof(struct pe_wire_short);
	default:
		return sizeof(struct pe_wire_result);
	}
}

uint64_t pe_query_detail(const struct pe_query_context *c, unsigned slot)
{
	return c->slots[slot].detail;
}

// The lines of all that were prepared, in stages; chunks of the first of them alone.
static void fetch(struct pe_query_context *c)
{
	unsigned near = least(c->fetched + CHUNKS_AHEAD, c->prepared);

	pe_stage_end(PE_STAGE_prepare);
	for (unsigned i = c->fetched; i < c->prepared; i++)
		if (!c->slots[i].reason && c->slots[i].opened)
			pe_walker_fetch_leaves(&c->slots[i].walker);
	for (unsigned i = c->fetched; i < near; i++)
		if (!c->slots[i].reason && c->slots[i].opened)
			pe_walker_fetch_chunks(&c->slots[i].walker);
	c->fetched = c->prepared;
	pe_stage_end(PE_STAGE_fetch);
}

void pe_query_end_walk(struct pe_query_context *c, struct pe_query_slot *s)
{
	s->over = true;
	c->cells_left -= least(c->cells_left, s->walk.cells);
	c->candidates_left -= least(c->candidates_left, s->walk.candidates);
	pe_count(c->counters, PE_COUNTER_query_cells, s->walk.cells);
	pe_count(c->counters, PE_COUNTER_query_candidates, s->walk.candidates);
}

// After hits were put in another order, or left out.
static void copy_handles(const struct pe_query_context *c, const struct pe_query_slot *s)
{
	for (unsigned i = s->from; i < s->to; i++)
		c->hit_handles[i] = c->hits[i].handle;
}

// What is the asker's own comes in one piece, from no place.
__attribute__((noinline)) static void scan_owned(
	struct pe_query_context *c, struct pe_query_slot *s)
{
	s->before = (struct pe_cursor){{0, 0}};
	s->opened = false;
	s->walked = true;
	s->from = c->hits_end;
	s->to = s->from + pe_query_gather_owned(s, &c->hits[s->from]);
	copy_handles(c, s);
	c->hits_end = s->to;
	s->walk.candidates += s->to - s->from;
	s->walk.cursor = (struct pe_cursor){{UINT64_MAX, UINT64_MAX}};
	s->walk.flagged = true;
}

// What a polygon's raster says of the hits of a piece, which a walk without a sieve leaves to
// others.
static void sieve(const struct pe_query_context *c, struct pe_query_slot *s)
{
	if (s->walk.sieve)
		return;
	if (sieved(s)) {
		s->to = pe_query_polygon_sieve(&s->test, c->hits, s->from, s->to);
		copy_handles(c, s);
		return;
	}
	for (unsigned i = s->from; i < s->to; i++)
		c->hits[i].sure = 0;
}

// It depends on nothing but the query and the region, so that a piece is found again of which
// results were counted. What a hit costs besides is counted when its piece is over: where that is
// much, pieces are small.
static inline uint32_t piece_max(const struct pe_query_slot *s)
{
	bool dear = s->test.ways.timed || s->region >= s->test.region_count ||
		s->form > PE_QUERY_SHORT || s->query.kind == PE_QUERY_NEAREST;

	return dear ? PE_QUERY_PIECE_HITS : PE_QUERY_PIECE_PLAIN;
}

// Whose chunks are asked for while this one is walked: all at once they would be more than may be
// on their way, and nothing be done meanwhile. NULL: nobody's.
static struct pe_walker *walked_later(struct pe_query_context *c, const struct pe_query_slot *s)
{
	unsigned number = (unsigned)(s - c->slots) + CHUNKS_AHEAD;
	struct pe_query_slot *later;

	if (number >= c->prepared)
		return NULL;
	later = &c->slots[number];
	return !later->reason && later->opened ? &later->walker : NULL;
}

void pe_query_scan_piece(struct pe_query_context *c, struct pe_query_slot *s)
{
	uint32_t cells = s->walk.cells;
	uint64_t met, ordinary;

	if (__builtin_expect(s->owned, 0)) {
		scan_owned(c, s);
		return;
	}

	s->before = s->walk.cursor;
	if (!s->opened)
		pe_query_open_walk(c, s);
	s->opened = s->shuffled = false;
	s->walked = true;
	s->from = c->hits_end;
	s->to = s->from +
		pe_walker_scan(&s->walker, walked_later(c, s), &c->hits[s->from],
			&c->hit_handles[s->from], piece_max(s));
	if (s->query.kind == PE_QUERY_POLYGON)
		sieve(c, s);
	// Names and order are as dear as courses.
	if (__builtin_expect(s->region >= s->test.region_count, 0) &&
		pe_query_shuffle(&s->test, s->region, c->hits, s->from, s->to)) {
		copy_handles(c, s);
		s->walk.candidates += (s->to - s->from) * PE_QUERY_TIME_CANDIDATES;
		s->shuffled = true;
	}
	c->hits_end = s->to;
	if (s->test.ways.timed)
		s->walk.candidates += (s->to - s->from) * PE_QUERY_TIME_CANDIDATES;
	// Nodes without leaves and empty chunks are work as well, whether the walk came to its end
	// or not: what is beyond the ordinary share of the cells counts, and a step that met only
	// such, and as many as it may, is a whole query's.
	met = (s->walk.boxed ? 0 : s->walker.nodes_met) + s->walker.empties_met;
	ordinary = NODES_AT_FIRST + NODES_A_CELL * (uint64_t)(s->walk.cells - cells);
	if (met > ordinary)
		s->walk.cells += (uint32_t)((met - ordinary) / NODES_A_CELL) + 1;
}

static void walk_piece(struct pe_query_context *c, struct pe_query_slot *s)
{
	pe_query_scan_piece(c, s);
	if (pe_walk_ended(&s->walk) && s->region + 1 == s->test.region_total)
		pe_query_end_walk(c, s);
}

// Walks the first piece of the next query ahead of its run. False: it must wait for that, or there
// is none.
static bool walk_ahead(struct pe_query_context *c)
{
	struct pe_query_slot *s = &c->slots[c->walked];

	// Bounds of the turn are known when the walk before is over; who is not trusted may have no
	// room for a result.
	if (c->walked == c->prepared || !c->slots[c->walked - 1].over || s->reason || !s->opened ||
		!s->test.asker->trusted || c->hits_end + piece_max(s) > HITS_ROOM)
		return false;
	set_bounds_again(c, s);
	if (pe_query_walked_out(s) || pe_walk_ended(&s->walk))
		return false;
	walk_piece(c, s);
	c->walked++;
	return true;
}

// Goes on to the next piece or region of a query that is run. False: there is none, or (*full) a
// bound was reached.
static bool next_piece(
	struct pe_query_context *c, struct pe_query_slot *s, bool results_full, bool *full)
{
	if (s->walked)
		return true;
	if (s->over || s->region >= s->test.region_total)
		return false;
	if (pe_walk_ended(&s->walk)) {
		if (s->region + 1 == s->test.region_total)
			return false;
		s->walk.cursor = (struct pe_cursor){{0, 0}};
		s->walk.resume = 0;
		pe_query_enter_region(s, s->region + 1);
	}
	*full = results_full || pe_query_walked_out(s);
	if (*full)
		return false;
	c->hits_end = c->asked = 0;
	walk_piece(c, s);
	return true;
}

__attribute__((noinline)) static void run_otherwise(struct pe_query_context *c,
	struct pe_query_slot *s, uint32_t results_max, struct pe_query_answer *answer)
{
	if (s->form == PE_QUERY_CELLS) {
		pe_query_run_cells(c, s, results_max, answer);
		return;
	}
	// It begins again where it would have begun now; its cursor was not looked at, and will be.
	s->over = answer->truncated = answer->worked_out = true;
	if (s->query.flags & PE_QUERY_HAS_CURSOR)
		memcpy(answer->cursor, s->query.cursor, sizeof answer->cursor);
	else
		pe_query_set_cursor(&s->test, answer, &(struct pe_cursor){{0, 0}}, 0, 0);
}

// Walks a query's first pieces, and those of the queries that come next while there are few hits.
static void walk_next(struct pe_query_context *c, const struct pe_query_slot *s)
{
	while (c->hits_end < s->to + HITS_AHEAD && s->over && walk_ahead(c))
		;
}

static void begin_run(struct pe_query_context *c, unsigned slot)
{
	if (c->walked <= slot)
		c->walked = slot + 1;
	if (c->fetched < c->prepared)
		fetch(c);
}

bool pe_query_run_parts(struct pe_query_context *c, unsigned slot, struct pe_query_parts *parts)
{
	struct pe_query_slot *s = &c->slots[slot];
	uint32_t results_max = c->results_max;
	bool full = false;

	if (s->reason || !s->ordinary)
		return false;
	begin_run(c, slot);
	if (s->query.max_results && s->query.max_results < results_max)
		results_max = s->query.max_results;
	if (!s->walked)
		set_bounds_again(c, s);
	if (!next_piece(c, s, false, &full))
		return false;
	walk_next(c, s);
	if (!s->over || s->walk.flagged || s->to - s->from > results_max)
		return false;
	s->walked = false;
	*parts = (struct pe_query_parts){
		.slot = s, .at = s->from, .asked = c->asked > s->from ? c->asked : s->from};
	pe_stage_end(PE_STAGE_scan);
	return true;
}

uint32_t pe_query_take_part(struct pe_query_context *c, struct pe_query_parts *parts,
	struct pe_wire_result *results, uint32_t room)
{
	struct pe_hits hits = {.hit = c->hits,
		.handle = c->hit_handles,
		.at = parts->at,
		.end = parts->slot->to,
		.ahead = c->hits_end,
		.asked = parts->asked};
	uint32_t taken = pe_accept(&parts->slot->test, &hits, results, c->handles, room);

	parts->at = hits.at;
	parts->asked = hits.asked;
	parts->count += taken;
	return taken;
}

void pe_query_end_parts(struct pe_query_context *c, const struct pe_query_parts *parts)
{
	c->asked = parts->asked;
	pe_count(c->counters, PE_COUNTER_query_results, parts->count);
}

enum pe_reason pe_query_run(struct pe_query_context *c, unsigned slot, uint32_t results_max,
	uint32_t bytes_max, struct pe_query_answer *answer)
{
	struct pe_query_slot *s = &c->slots[slot];
	uint32_t count = 0, skip = s->skip, given;
	unsigned to;
	bool full = false;

	*answer = (struct pe_query_answer){0};
	if (s->reason) {
		if (c->walked <= slot)
			c->walked = slot + 1;
		s->over = true;
		return s->reason;
	}
	begin_run(c, slot);
	results_max = least(results_max, c->results_max);
	answer->form = s->form;
	s->bytes_left = bytes_max;
	if (s->query.kind == PE_QUERY_NEAREST) {
		pe_query_run_nearest(c, s, results_max, answer);
		return PE_REASON_none;
	}
	if (s->query.max_results && s->query.max_results < results_max)
		results_max = s->query.max_results;
	if (s->form >= PE_QUERY_CELLS) {
		run_otherwise(c, s, results_max, answer);
		return PE_REASON_none;
	}
	if (!s->walked)
		set_bounds_again(c, s);
	while (!full && next_piece(c, s, count == results_max, &full)) {
		walk_next(c, s);
		pe_stage_end(PE_STAGE_scan);
		s->walked = false;
		if (take_piece(c, s, skip, results_max, &count, &given, &to)) {
			full = true;
			cut_piece(c, s, given, to, answer);
		}
		pe_stage_end(PE_STAGE_accept);
		skip = 0;
	}
	if (full && !answer->cursor[1])
		pe_query_set_cursor(&s->test, answer, &s->walk.cursor, s->region, skip);
	if (!s->over)
		pe_query_end_walk(c, s);
	if (s->walk.flagged)
		count = drop_doubles(c, count);
	answer->result_count = count;
	answer->truncated = full;
	answer->worked_out = full && count < results_max && pe_query_walked_out(s);
	pe_count(c->counters, PE_COUNTER_query_results, count);
	return PE_REASON_none;
}
