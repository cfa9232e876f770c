// A query is made ready: what its hits are tested against, the regions that it walks, and the place
// in them where a cursor says that it goes on. The ordinary query goes straight (ordinary.c).
#include "discover/query.h"

#include "discover/owned.h"
#include "discover/slot.h"

#include <math.h>

// Where a cursor's second word keeps ours, above the walk's own: results of the piece that were
// given already, and the region.
#define CURSOR_SKIP_SHIFT   48
#define CURSOR_REGION_SHIFT 60
// the audience, where the walk has nothing; 0 is the space's own layer
#define CURSOR_LAYER_SHIFT 40
#define CURSOR_LAYER_MASK  0x1Full
#define CURSOR_WALK_MASK   ((1ull << CURSOR_LAYER_SHIFT) - 1)
// Always set, so that no cursor is zero: an answer may be cut before its first result.
#define CURSOR_MARK     (1ull << 63)
#define CURSOR_SKIP_MAX 0xFFFu
static_assert(PE_QUERY_PIECE_PLAIN <= CURSOR_SKIP_MAX, "a piece's results fit the cursor");
// Heights down to PE_HEIGHT_LOWEST_M bring two points closer than their footprints by this share at
// most.
#define CURVATURE_LEAST_M 6335000.0 // along the meridian, at the equator
#define HEIGHT_SHRINK     (-PE_HEIGHT_LOWEST_M / (CURVATURE_LEAST_M + PE_HEIGHT_LOWEST_M))

// An arc of the strongest curvature there is.
double pe_query_surface_reach(double straight_m)
{
	double chord_m = straight_m + straight_m * HEIGHT_SHRINK + 0.01;
	double ratio = chord_m / (2 * CURVATURE_LEAST_M);

	return 2 * CURVATURE_LEAST_M * asin(ratio < 1 ? ratio : 1);
}

// What hits are tested against; the regions' metres are left to the walk.
static enum pe_reason prepare_test(
	struct pe_query_slot *s, const struct pe_space *space, const struct pe_query_known *known)
{
	const struct pe_wire_query *q = &s->query;
	struct pe_test *t = &s->test;
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC, centred;
	enum pe_reason reason = PE_REASON_none;
	double walk_m;

	centred = !(q->flags & PE_QUERY_HAS_ORIGIN);
	t->space = space;
	t->space_index = space->index;
	t->query = q;
	t->ways = (struct pe_ways){.geodetic = geodetic,
		.straight = geodetic && (q->flags & PE_QUERY_DISTANCE_3D),
		.sphere = q->kind == PE_QUERY_SPHERE || q->kind == PE_QUERY_NEAREST,
		.polygon = q->kind == PE_QUERY_POLYGON,
		.filtered = q->type_mask || q->state_mask || (q->flags & PE_QUERY_HEIGHT_RANGE) ||
			t->filter || t->age_max_ms,
		.centred = centred,
		.timed = t->ways.timed,
		.complete = t->rules->decays || s->form == PE_QUERY_DETAILED};
	if (!centred) {
		reason = pe_space_check_sphere(space, q->origin, 0);
		memcpy(t->origin, q->origin, sizeof t->origin);
	}
	if (!reason && t->ways.timed)
		reason = pe_query_prepare_time(t, space, known);
	if (reason)
		return reason;
	if (q->kind == PE_QUERY_BOX) {
		reason = pe_space_check_box(space, q->a, q->b);
		if (reason)
			return reason;
		t->region_count = t->ways.timed ? pe_query_time_regions(t, t->region) :
						  pe_space_box(space, q->a, q->b, t->region);
		if (centred)
			pe_space_box_centre(space, q->a, q->b, t->origin);
		return PE_REASON_none;
	}
	if (q->kind == PE_QUERY_NEAREST)
		return pe_query_prepare_nearest(s);
	memcpy(t->centre, q->a, sizeof t->centre);
	if (pe_query_kind_extended(q->kind)) {
		reason = pe_space_check_sphere(space, q->a, 0);
		if (reason)
			return reason;
		t->region_count = t->ways.timed ? pe_query_time_regions(t, t->region) :
						  pe_query_volume_regions(t, t->region);
		if (centred)
			memcpy(t->origin, q->a, sizeof t->origin);
		return PE_REASON_none;
	}
	t->radius_m = t->ways.sphere ? q->b[0] : 0;
	walk_m = t->ways.sphere ? t->radius_m :
		t->ways.timed   ? t->time.reach_m + 0.001 :
				  (double)known->precision_max_m + 0.001;
	reason = pe_space_check_sphere(space, q->a, walk_m);
	if (reason)
		return reason;
	if (t->ways.straight && q->a[2] < PE_HEIGHT_LOWEST_M)
		return PE_REASON_query_bounds;
	if (t->ways.straight)
		walk_m = pe_query_surface_reach(walk_m);
	t->region_count = pe_query_sphere_regions(t, q->a, walk_m, t->region);
	if (centred)
		memcpy(t->origin, q->a, sizeof t->origin);
	return PE_REASON_none;
}

void pe_query_set_cursor(const struct pe_test *t, struct pe_query_answer *answer,
	const struct pe_cursor *walk, unsigned number, uint32_t skip)
{
	unsigned region = number, audience = pe_query_layer_audience(t, number, &region);

	answer->cursor[0] = walk->word[0];
	answer->cursor[1] = walk->word[1] | CURSOR_MARK | (uint64_t)region << CURSOR_REGION_SHIFT |
		(uint64_t)audience << CURSOR_LAYER_SHIFT | (uint64_t)skip << CURSOR_SKIP_SHIFT;
}

static enum pe_reason prepare(struct pe_query_context *c, struct pe_query_slot *s,
	const struct pe_space *space, const struct pe_query_known *known)
{
	const struct pe_wire_query *q = &s->query;
	enum pe_reason reason = prepare_test(s, space, known);
	unsigned region = 0;

	if (reason)
		return reason;
	if (__builtin_expect(s->asker.sees != 0 || (s->asker.directory && s->test.filter), 0)) {
		s->test.counted = s->form == PE_QUERY_CELLS ? pe_query_counted(&s->test) : 0;
		pe_query_add_layers(&s->test, known, pe_query_wants_owned(s));
	}
	pe_query_set_layers(&s->test);
	s->walk.cursor = (struct pe_cursor){{0, 0}};
	s->walk.cells = s->walk.candidates = s->walk.passed = s->walk.resume = 0;
	s->walk.flagged = s->walk.handles = s->opened = s->walked = s->over = false;
	s->skip = 0;
	s->region = 0;
	if (q->flags & PE_QUERY_HAS_CURSOR) {
		region = pe_query_layer_number(&s->test,
			(unsigned)(q->cursor[1] >> CURSOR_LAYER_SHIFT & CURSOR_LAYER_MASK),
			(unsigned)(q->cursor[1] >> CURSOR_REGION_SHIFT) & 7u);
		s->skip = (uint32_t)(q->cursor[1] >> CURSOR_SKIP_SHIFT) & CURSOR_SKIP_MAX;
		s->walk.cursor =
			(struct pe_cursor){{q->cursor[0], q->cursor[1] & CURSOR_WALK_MASK}};
		if (!(q->cursor[1] & CURSOR_MARK) || region >= s->test.region_total ||
			s->skip > PE_QUERY_PIECE_PLAIN)
			return PE_REASON_query_cursor;
		// Who is in which slot outlives the epoch; we give no such cursor there.
		if (region >= s->test.region_count && pe_query_reorders(&s->test, region) &&
			pe_walk_cursor_splits(&s->walk.cursor))
			return PE_REASON_query_cursor;
	}
	pe_query_set_bounds(c, s);
	if (region < s->test.region_total) {
		pe_query_enter_region(s, region);
		if (s->form != PE_QUERY_CELLS) // which are not walked ahead
			pe_query_open_walk(c, s);
	}
	return PE_REASON_none;
}

void pe_query_begin(struct pe_query_context *c)
{
	c->prepared = c->fetched = c->walked = c->polygons_used = 0;
	c->hits_end = c->asked = 0;
}

struct pe_wire_query *pe_query_next(struct pe_query_context *c)
{
	return &c->slots[c->prepared].query;
}

bool pe_query_next_fits(const struct pe_query_context *c)
{
	return c->slots[c->prepared].query.kind != PE_QUERY_POLYGON ||
		c->polygons_used < PE_QUERY_POLYGONS;
}

void pe_query_prepare(struct pe_query_context *c, const struct pe_space *space,
	const struct pe_view_rules *rules, const struct pe_asker *asker, struct pe_instant now,
	const struct pe_query_known *known, const uint8_t *extension)
{
	struct pe_query_slot *s = &c->slots[c->prepared++];

	s->asker = *asker;
	s->test.asker = &s->asker;
	s->owned = false;
	s->test.layer_count = 0;
	s->test.rules = rules;
	s->test.table = c->table;
	s->test.counters = c->counters;
	s->test.now = now;
	s->test.filter = NULL;
	s->test.age_max_ms = 0;
	s->form = s->query.flags & PE_QUERY_WITH_DETAILS ? PE_QUERY_DETAILED : PE_QUERY_WHOLE;
	s->test.ways.timed = false;
	s->ordinary = false;
	s->reason = PE_REASON_none;
	if (s->query.flags & PE_QUERY_HAS_EXTENSION)
		s->reason = pe_query_extend(c, c->prepared - 1, space, extension);
	if (s->form == PE_QUERY_POSTPONED)
		s->opened = s->over = false;
	else if (!s->reason)
		s->reason = prepare(c, s, space, known);
}

void pe_query_refuse(struct pe_query_context *c, enum pe_reason reason)
{
	c->slots[c->prepared++].reason = reason;
}
