// Entities counted by cell. The walk goes through the tree in the order of its paths, so that a
// cell's leaves come one behind the other: one cell is gathered at a time, and is an answer's next
// record when the walk leaves it. What is counted stood the same tests as a single result. A page
// ends where a cell does; only when a bound of work ends within its first one, that is told in
// part.
//
// Layers of what may only be counted (policy/views.h) are gone through in cells of a size that is
// their policy's, whatever is asked: whole ones, as far as the volume touches them. Of each is told
// how many are in it, or, where fewer than k principals have some, that there are few; of larger
// cells that are asked for the sum of that. So whatever is asked is made of one number a cell, and
// no two answers differ by less.
//
// An entity in a crossing may be met twice, at its old place and at its new one, and belongs to the
// cell of what is published: a slot that it has left leads to its record, and where that lies
// further on, it is kept for the cell there, in which its slot may not be seen yet. A bit for each
// handle says what was counted.
#include "discover/slot.h"

#include <string.h>

#define NO_GROUP     UINT64_MAX
#define REGION_SHIFT PE_PATH_BITS
#define HANDLES_LINE 512u // bits of a cache line
// A cell of this size or more is as good as a frame, and its middle deep in the Earth.
#define GEODETIC_SIZE_MAX_M 1048576.0
// What costs as much as testing or visiting so many: on Earth the place of a position, and a cell's
// middle; and moves of what is kept.
#define PLACE_CANDIDATES 4u
#define CENTRE_CELLS     3u
#define LATE_A_CANDIDATE 8u
static_assert(PE_FRAMES_MAX * PE_AUDIENCES_MAX <= 1 << (64 - PE_PATH_BITS - 1),
	"a region's number and a path fit a word");

// A place in the order of the whole query: the region's number above the path.
struct cells {
	struct pe_query_context *c;
	struct pe_query_slot *s;
	struct pe_query_cells *m;
	unsigned shift;        // from a place to its group, the cell that it is counted in
	unsigned parts_bits;   // halvings of a leaf
	uint64_t start;        // of this page
	bool within_leaf;      // and behind what that leaf begins with
	uint64_t place, group; // that is gone through; NO_GROUP: none
	uint64_t key;          // of a leaf in it
	uint32_t count, max;   // records
	uint64_t stop;         // the group for which there was no room
	unsigned late_next;    // the first of those that are kept
	// Of a layer whose entities may only be counted; k 0: another one
	uint32_t k;
	unsigned audience;
	int level;            // of its cells
	unsigned outer_shift; // from a place to the cell that is told of
	uint64_t outer;       // of the last record; NO_GROUP: none
	// the cell in which the page began, if not where that begins: nothing is told of it
	uint64_t broken;
	unsigned principals; // in the cell that is gathered, up to k
	uint16_t publisher[PE_COUNTS_BELOW_MAX];
};

// ---- what was counted ----

static void forget_counted(struct pe_query_context *c)
{
	for (uint32_t word = 0; word < c->counted_lines_words; word++) {
		uint64_t lines = c->counted_lines[word];

		for (; lines; lines &= lines - 1)
			memset(&c->counted[(word * 64ull + (unsigned)__builtin_ctzll(lines)) *
				       (HANDLES_LINE / 64)],
				0, HANDLES_LINE / 8);
		c->counted_lines[word] = 0;
	}
}

// True: it was counted before.
static bool counted_already(struct pe_query_context *c, uint32_t handle)
{
	uint64_t bit = 1ull << (handle & 63), *word = &c->counted[handle / 64];
	uint32_t line = handle / HANDLES_LINE;
	bool before = *word & bit;

	*word |= bit;
	c->counted_lines[line / 64] |= 1ull << (line & 63);
	return before;
}

// ---- the cell that is gathered ----

static void note_principal(struct cells *n, uint32_t handle)
{
	uint16_t publisher = atomic_load_explicit(
		&n->s->test.rules->publisher_of[pe_handle_number(handle)], memory_order_relaxed);

	if (n->principals == n->k || !publisher || publisher > PE_VIEW_PRINCIPALS)
		return;
	for (unsigned i = 0; i < n->principals; i++)
		if (n->publisher[i] == publisher)
			return;
	n->publisher[n->principals++] = publisher;
}

static void count_in(struct cells *n, unsigned part, uint32_t handle, int32_t age_ms)
{
	struct pe_query_cells *m = n->m;

	if (counted_already(n->c, handle))
		return;
	if (n->k)
		note_principal(n, handle);
	if (m->count[part]++ == 0 || age_ms < m->newest_age_ms[part])
		m->newest_age_ms[part] = age_ms;
	m->gathered++;
}

// Where in a leaf that is halved so often.
static unsigned part_of(const struct cells *n, uint64_t word)
{
	unsigned shift = PE_CELL_BITS - n->parts_bits;

	return PE_WORD_Y(word) >> shift << n->parts_bits | PE_WORD_X(word) >> shift;
}

// The low end, in units, of what holds the cell with so many bits below it.
static int64_t low_of(uint32_t cell, int64_t offset, unsigned bits)
{
	return ((int64_t)cell << PE_CELL_BITS >> bits << bits) - (offset << PE_CELL_BITS);
}

static void put_record(struct cells *n, unsigned part, uint8_t flags, int level)
{
	const struct pe_space *space = n->s->test.space;
	unsigned node = level > 0 ? (unsigned)level : 0;
	unsigned across = pe_node_bits_across(node) + PE_CELL_BITS,
		 up = pe_node_bits_up(node) + PE_CELL_BITS;
	struct pe_wire_cell *cell = &n->c->cells[n->count++];
	int64_t lo[3], hi[3];

	lo[0] = low_of(PE_KEY_X(n->key), PE_KEY_X_OFFSET, across);
	lo[1] = low_of(PE_KEY_Y(n->key), PE_KEY_X_OFFSET, across);
	lo[2] = low_of(PE_KEY_Z(n->key), PE_KEY_Z_OFFSET, up);
	across -= n->parts_bits;
	lo[0] += (int64_t)(part & ((1u << n->parts_bits) - 1)) << across;
	lo[1] += (int64_t)(part >> n->parts_bits) << across;
	hi[0] = lo[0] + ((int64_t)1 << across) - 1;
	hi[1] = lo[1] + ((int64_t)1 << across) - 1;
	hi[2] = lo[2] + ((int64_t)1 << up) - 1;
	*cell = (struct pe_wire_cell){.count = n->m->count[part],
		.size_m = (float)(space->unit_m * (double)(1ull << across)),
		.height_m = (float)(space->config.leaf_height_m *
			(double)(1ull << (up - PE_CELL_BITS))),
		.newest_age_ms = n->m->newest_age_ms[part],
		.level = (int8_t)level,
		.flags = flags};
	if (n->s->test.ways.geodetic)
		n->s->walk.cells += CENTRE_CELLS;
	pe_space_cell_centre(space, PE_KEY_FRAME(n->key), lo, hi, cell->centre);
}

static void clear_parts(struct cells *n)
{
	memset(n->m->count, 0, sizeof n->m->count[0] << 2 * n->parts_bits);
	n->m->gathered = 0;
}

// The cell's records, of all its parts or none. False: there is no room for them.
static bool put_cell(struct cells *n, uint8_t flags)
{
	unsigned parts = 1u << 2 * n->parts_bits;
	uint32_t records = 0;

	if (!n->m->gathered)
		return true;
	for (unsigned part = 0; part < parts; part++)
		records += n->m->count[part] != 0;
	if (records > n->max - n->count)
		return false;
	for (unsigned part = 0; part < parts; part++)
		if (n->m->count[part])
			put_record(n, part, flags, n->s->cell_level);
	clear_parts(n);
	return true;
}

// A record of a cell that may be told of in part, or not at all: count and age are left out.
static struct pe_wire_cell *put_bare(struct cells *n, int level)
{
	struct pe_wire_cell *cell = &n->c->cells[n->count];

	put_record(n, 0, 0, level);
	cell->count = 0;
	cell->newest_age_ms = 0;
	return cell;
}

// A whole cell of a layer that may only be counted: into the record of the one that was asked for.
// False: there is no room for that.
static bool put_counted(struct cells *n)
{
	uint64_t outer = n->group << n->shift >> n->outer_shift;
	struct pe_wire_cell *cell;

	if (n->m->gathered && n->group != n->broken) {
		if (outer != n->outer && n->count == n->max)
			return false;
		if (outer != n->outer)
			(void)put_bare(
				n, n->level > n->s->cell_level ? n->level : n->s->cell_level);
		n->outer = outer;
		cell = &n->c->cells[n->count - 1];
		if (n->principals >= n->k) {
			cell->count += n->m->count[0];
		} else {
			cell->flags |= PE_CELL_BELOW;
			cell->below = (uint16_t)n->k;
			cell->below_cells++;
		}
	}
	n->principals = 0;
	clear_parts(n);
	return true;
}

// ---- entities that are kept for a cell further on ----

static bool keep_for_later(
	struct cells *n, uint64_t place, const struct pe_place *at, uint32_t handle, int32_t age_ms)
{
	struct pe_query_cells *m = n->m;
	unsigned i = m->late_count;

	if (i == PE_QUERY_LATE_MAX)
		return false;
	for (; i > n->late_next && m->late[i - 1].place > place; i--)
		m->late[i] = m->late[i - 1];
	n->s->walk.candidates += (m->late_count - i) / LATE_A_CANDIDATE;
	m->late[i] = (struct pe_query_late){place, at->key, handle, age_ms, part_of(n, at->word)};
	m->late_count++;
	return true;
}

static uint64_t group_of_late(const struct cells *n)
{
	if (n->late_next == n->m->late_count)
		return NO_GROUP;
	return n->m->late[n->late_next].place >> n->shift;
}

// The group that was gone through is left. False: there is no room for its cell.
static bool finish_group(struct cells *n)
{
	struct pe_query_cells *m = n->m;

	for (; group_of_late(n) == n->group; n->late_next++) {
		const struct pe_query_late *late = &m->late[n->late_next];

		count_in(n, late->part, late->handle, late->age_ms);
	}
	if (n->late_next == m->late_count)
		n->late_next = m->late_count = 0;
	if (!(n->k ? put_counted(n) : put_cell(n, 0))) {
		n->stop = n->group;
		return false;
	}
	n->group = NO_GROUP;
	return true;
}

// The walk has come to the group `next`: what lies before it is finished, cells too in which only
// some are that were kept for them. False: for one of these there is no room.
static bool turn_to(struct cells *n, uint64_t next)
{
	while (n->group != next) {
		if (n->group != NO_GROUP && !finish_group(n))
			return false;
		n->group = group_of_late(n);
		if (n->group < next)
			n->key = n->m->late[n->late_next].key;
		else
			n->group = next;
	}
	return true;
}

// ---- the walk ----

// In the layer that is gone through: what is in another one by now is met there, too.
static unsigned region_of_frame(const struct pe_query_slot *s, unsigned frame)
{
	const struct pe_test *t = &s->test;
	unsigned region = 0;

	if (s->region >= t->region_count)
		return pe_query_layer_of_frame(t, s->region, frame);
	while (region < t->region_count && t->region[region].frame != frame)
		region++;
	return region < t->region_count ? region : t->region_total;
}

// Of a layer whose entities may only be counted: what is published outside of what is gone through
// belongs to a cell that is not.
static bool walked(const struct cells *n, unsigned region, const struct pe_place *at)
{
	const struct pe_units u = pe_place_units(at->key, at->word);
	struct pe_region r;

	if (region >= n->s->test.region_total)
		return false;
	pe_query_layer_region(&n->s->test, region, &r);
	for (unsigned i = 0; i < 3; i++)
		if (u.v[i] < r.lo[i] || u.v[i] > r.hi[i])
			return false;
	return true;
}

// One whose slot may not be where it is by now: it belongs to the cell of what is published.
static void take_moved(
	struct cells *n, const struct pe_wire_result *result, uint32_t handle, uint64_t leaf_key)
{
	const struct pe_test *t = &n->s->test;
	struct pe_place at;
	uint64_t place;
	unsigned region;

	if (pe_space_locate(t->space, result->position, &at) != PE_REASON_none)
		return; // it was located when it was published
	if (t->ways.geodetic)
		n->s->walk.candidates += PLACE_CANDIDATES;
	at.key = (at.key & ~PE_KEY_LAYER_MASK) | (leaf_key & PE_KEY_LAYER_MASK);
	region = region_of_frame(n->s, PE_KEY_FRAME(at.key));
	if (n->k && !walked(n, region, &at))
		return;
	place = (uint64_t)region << REGION_SHIFT | pe_walk_path(at.key);
	if (region < t->region_total && at.key != leaf_key) {
		if (place < n->start)
			return; // of an earlier page
		if (place > n->place && keep_for_later(n, place, &at, handle, result->age_ms))
			return;
	}
	// Behind us, if it is not counted there: it has come there since.
	count_in(n, at.key == leaf_key ? part_of(n, at.word) : 0, handle, result->age_ms);
}

// Hits of one leaf which are all moved or all not.
static void take_run(struct cells *n, unsigned at, unsigned end, bool moved)
{
	struct pe_query_context *c = n->c;
	struct pe_query_extras *e = c->extras;
	uint64_t leaf_key = c->hits[at].key;
	struct pe_hits hits = {.hit = c->hits,
		.handle = c->hit_handles,
		.at = at,
		.end = end,
		.ahead = c->hits_end,
		.asked = c->asked > at ? c->asked : at};
	uint32_t taken = pe_accept(&n->s->test, &hits, e->piece, e->handles, PE_QUERY_PIECE_HITS);

	c->asked = hits.asked;
	for (uint32_t i = 0; i < taken; i++) {
		if (moved || n->parts_bits) // which part is told by the place
			take_moved(n, &e->piece[i], e->handles[i], leaf_key);
		else
			count_in(n, 0, e->handles[i], e->piece[i].age_ms);
	}
}

// The same of a layer whose entities may only be counted.
static void take_counted(struct cells *n, unsigned at, unsigned end)
{
	struct pe_wire_result result = {0};

	for (; at < end; at++) {
		const struct pe_hit *hit = &n->c->hits[at];

		if (!pe_accept_counted(&n->s->test, hit, n->audience, result.position))
			continue;
		if (hit->word & PE_SLOT_MOVED)
			take_moved(n, &result, hit->handle, hit->key);
		else
			count_in(n, 0, hit->handle, 0);
	}
}

static bool take_piece(struct cells *n)
{
	const struct pe_hit *hits = n->c->hits;
	unsigned end = n->s->from;

	for (unsigned at = end; at < n->s->to; at = end) {
		bool moved = hits[at].word & PE_SLOT_MOVED;

		for (end = at + 1; end < n->s->to && hits[end].key == hits[at].key &&
			!!(hits[end].word & PE_SLOT_MOVED) == moved;
			end++)
			;
		n->place = (uint64_t)n->s->region << REGION_SHIFT | pe_walk_path(hits[at].key);
		if (!turn_to(n, n->place >> n->shift))
			return false;
		n->key = hits[at].key;
		if (n->k)
			take_counted(n, at, end);
		else
			take_run(n, at, end, moved);
	}
	return true;
}

// In a layer whose entities may only be counted nothing is told of a cell that is not whole, and
// the next page begins with it. One that is too large for a whole page is passed over, and that is
// told, where the bounds were those of a whole query. True: nothing is left.
static bool cut_counted(struct cells *n, struct pe_query_answer *answer)
{
	struct pe_query_slot *s = n->s;
	const struct pe_query_context *c = n->c;
	uint64_t stands =
		(uint64_t)s->region << REGION_SHIFT | pe_walk_cursor_path(&s->walk.cursor);
	uint64_t group = stands >> n->shift, met = n->group, path;
	struct pe_cursor from;
	unsigned region;
	bool first;

	// It may have come to the end of the one that it went through last.
	if (met != NO_GROUP && met >= group)
		group = met;
	else if (!turn_to(n, group))
		group = n->stop;
	first = group == n->start >> n->shift;

	if (n->count && group << n->shift >> n->outer_shift == n->outer)
		c->cells[n->count - 1].flags |= PE_CELL_MORE;
	if (first && c->cells_left >= c->cells_max && c->candidates_left >= c->candidates_max) {
		if (met == group && group != n->broken && n->count < n->max) {
			struct pe_wire_cell *cell = put_bare(n, n->level);

			cell->flags = PE_CELL_BELOW;
			cell->below_cells = 1;
		}
		group++;
	}
	path = group << n->shift & PE_PATH_MASK;
	region = (unsigned)(group << n->shift >> REGION_SHIFT);
	if (region >= s->test.region_total)
		return true;
	from = path ? pe_walk_cursor_at(path) : (struct pe_cursor){{0, 0}};
	pe_query_set_cursor(&s->test, answer, &from, region, 0);
	return false;
}

// A bound of work was reached: where the next page goes on. True: nothing is left.
static bool cut(struct cells *n, struct pe_query_answer *answer)
{
	struct pe_query_slot *s = n->s;

	if (n->k)
		return cut_counted(n, answer);
	if (n->count && n->m->gathered) {
		// The cell that is not whole comes on the next page, with what was kept for it.
		struct pe_cursor from = pe_walk_cursor_at(n->group << n->shift & PE_PATH_MASK);

		pe_query_set_cursor(&s->test, answer, &from,
			(unsigned)(n->group << n->shift >> REGION_SHIFT), 0);
		return false;
	}
	// Room there is: nothing was put yet.
	(void)put_cell(n, PE_CELL_MORE);
	pe_query_set_cursor(&s->test, answer, &s->walk.cursor, s->region, 0);
	return false;
}

// What cells the region is gone through in. Where the layer changes, nothing of the one before is
// gathered or kept any more.
static void enter_layer(struct cells *n)
{
	struct pe_query_slot *s = n->s;
	const struct pe_test *t = &s->test;
	unsigned of;

	n->k = 0;
	n->shift = s->cell_level > 0 ? 6 * (unsigned)s->cell_level : 0;
	n->parts_bits = s->cell_level < 0 ? (unsigned)-s->cell_level : 0;
	if (__builtin_expect(!t->layer_count || !pe_query_region_counted(t, s->region), 1)) {
		n->group = NO_GROUP;
		return;
	}
	n->audience = pe_query_layer_audience(t, s->region, &of);
	n->k = t->rules->views->policy[n->audience - PE_AUDIENCE_POLICY].counts_below;
	n->level = pe_query_lattice_level(t, n->audience);
	n->outer_shift = n->shift;
	n->shift = 6 * (unsigned)n->level;
	n->outer_shift = n->outer_shift > n->shift ? n->outer_shift : n->shift;
	n->parts_bits = 0;
	n->group = NO_GROUP;
	n->outer = NO_GROUP;
	n->principals = 0;
	n->broken = n->start & ((1ull << n->shift) - 1) || n->within_leaf ? n->start >> n->shift :
									    NO_GROUP;
}

// True: all of it was walked and has room.
static bool walk_all(struct cells *n, struct pe_query_answer *answer)
{
	struct pe_query_context *c = n->c;
	struct pe_query_slot *s = n->s;

	if (s->region >= s->test.region_total)
		return true;
	for (;;) {
		if (pe_query_walked_out(s)) {
			answer->worked_out = !cut(n, answer);
			return !answer->worked_out;
		}
		c->hits_end = c->asked = 0;
		pe_query_scan_piece(c, s);
		if (!take_piece(n))
			break;
		if (!pe_walk_ended(&s->walk))
			continue;
		if (s->region + 1 == s->test.region_total) {
			if (turn_to(n, NO_GROUP))
				return true;
			break;
		}
		if (!turn_to(n, (uint64_t)(s->region + 1) << REGION_SHIFT >> n->shift))
			break;
		s->walk.cursor = (struct pe_cursor){{0, 0}};
		s->walk.resume = 0;
		pe_query_enter_region(s, s->region + 1);
		enter_layer(n);
	}
	// No room for the next cell: the next page begins with it.
	struct pe_cursor from = pe_walk_cursor_at(n->stop << n->shift & PE_PATH_MASK);

	pe_query_set_cursor(
		&s->test, answer, &from, (unsigned)(n->stop << n->shift >> REGION_SHIFT), 0);
	return false;
}

int pe_query_cell_level(const struct pe_space *space, double size_m, uint32_t results_max)
{
	// A leaf's parts come together or not at all.
	int level = results_max < PE_QUERY_CELL_PARTS ? 0 : PE_CELL_LEVEL_MIN;

	size_m *= 1 + 1e-6; // a float says the edge of a leaf no better
	if (space->config.kind == PE_SPACE_GEODETIC && size_m > GEODETIC_SIZE_MAX_M)
		size_m = GEODETIC_SIZE_MAX_M;
	while (level < PE_CELL_LEVEL_MAX) {
		double edge_m = level < 0 ?
			space->config.leaf_edge_m / (double)(1u << (-level - 1)) :
			space->config.leaf_edge_m *
				(double)(1u << pe_node_bits_across((unsigned)level + 1));

		if (edge_m > size_m)
			break;
		level++;
	}
	return level;
}

void pe_query_run_cells(struct pe_query_context *c, struct pe_query_slot *s, uint32_t results_max,
	struct pe_query_answer *answer)
{
	uint64_t path = pe_walk_cursor_path(&s->walk.cursor);
	struct cells n = {.c = c,
		.s = s,
		.m = &c->extras->cells,
		.start = (uint64_t)s->region << REGION_SHIFT | path,
		.within_leaf = s->walk.cursor.word[1] ||
			(path && s->walk.cursor.word[0] != pe_walk_cursor_at(path).word[0]),
		.group = NO_GROUP,
		.max = results_max};

	s->cell_level = pe_query_cell_level(s->test.space, (double)s->cell_size_m, results_max);
	if (s->region < s->test.region_total)
		enter_layer(&n);
	n.m->late_count = 0;
	memset(n.m->count, 0, sizeof n.m->count);
	n.m->gathered = 0;
	pe_query_set_bounds(c, s);
	answer->truncated = !results_max;
	if (results_max) {
		answer->truncated = !walk_all(&n, answer);
		forget_counted(c);
	} else {
		pe_query_set_cursor(&s->test, answer, &s->walk.cursor, s->region, 0);
	}
	c->hits_end = c->asked = 0;
	pe_query_end_walk(c, s);
	answer->result_count = n.count;
	pe_count(c->counters, PE_COUNTER_query_results, n.count);
}
