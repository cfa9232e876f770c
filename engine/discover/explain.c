#include "discover/explain.h"

#include "discover/owned.h"
#include "discover/slot.h"
#include "space/side.h"
#include "wire/extension.h"

#include <float.h>
#include <math.h>

// As often as a hit's record is read.
#define LATCH_TRIES 1000u

static double told(double m)
{
	return m >= 0 && m <= DBL_MAX ? m : PE_EXPLAIN_NOT_TOLD;
}

static void decide(struct pe_wire_explanation *e, bool passed, enum pe_why cause)
{
	if (!passed)
		e->causes |= 1u << cause;
}

// The view of what is there now; how the asker is told of what isn't. spaces: the others of which
// it may know, a bit each; operates: those in which it is told what others aren't.
enum seen { SEEN_NOT, SEEN_GONE, SEEN_BUSY, SEEN };

static enum seen look(const struct pe_query_context *c, const struct pe_asker *asker,
	const struct pe_view_rules *rules, struct pe_instant now,
	const struct pe_explain_subject *subject, uint64_t spaces, uint64_t operates,
	struct pe_view *view, unsigned *space)
{
	uint32_t handle = subject->handle;
	bool absent = handle == PE_HANDLE_NONE;
	uint32_t instead = (uint32_t)pe_mask(absent);
	const struct pe_record *r =
		&c->table->records[pe_choose(instead, subject->stand_in, handle)];
	struct pe_published p;
	enum pe_life life;
	uint32_t status, stated;

	// LIFE: acquire: whoever sees that it is there sees what was published of it.
	stated = atomic_load_explicit(&r->status, memory_order_acquire);
	// What isn't there goes the way of what is hidden here, step by step.
	status = pe_choose(
		instead, pe_status_make(PE_LIFE_THERE, 0, rules->space->index, 0), stated);
	life = PE_STATUS_LIFE(status);
	// Of what is forgotten nothing is left but whose it was.
	if (life == PE_LIFE_FREE || life == PE_LIFE_EMPTY || (status & PE_STATUS_FORGOTTEN))
		return SEEN_NOT;
	if (!pe_record_read(r, c->table->drafts, &p, LATCH_TRIES)) {
		pe_count(c->counters, PE_COUNTER_latch_retries, LATCH_TRIES);
		return absent ? SEEN_NOT : SEEN_BUSY;
	}
	// A life that ended and began again beside it may be in another space.
	if ((stated ^ atomic_load_explicit(&r->status, memory_order_relaxed)) & PE_STATUS_WHOSE)
		return absent ? SEEN_NOT : SEEN_BUSY;
	p.attributes = (uint16_t)pe_choose(
		instead, pe_audience_put(p.attributes, PE_AUDIENCE_HIDDEN), p.attributes);
	*space = PE_STATUS_SPACE(status);
	// Who may not ask in another space is not told either that something is there.
	if (*space != rules->space->index && !(spaces >> *space & 1))
		return SEEN_NOT;
	// Who the asker is in another space is not known here, nor where he stands there.
	if (*space != rules->space->index && asker->place != PE_NEAR_EVERYWHERE &&
		pe_audience_of(p.attributes) >= PE_AUDIENCE_POLICY)
		return SEEN_NOT;
	if (life == PE_LIFE_THERE && pe_view_build(asker, r, &p, now.tick, view))
		// Who is closed is nothing that anyone may know of; nor that an id is that of one
		// who goes by another name.
		return pe_view_complete(&c->table->details, handle, rules, asker, now.tick,
			       now.wall_ms, view) &&
				pe_id_equal(view->id, r->id) ?
			SEEN :
			SEEN_NOT;
	// Of what is veiled, even those who see it are not told that it was there.
	if (p.attributes & PE_PUBLISHED_VEILED)
		return SEEN_NOT;
	// It isn't there, or may not be seen. Only who could see it while it was there is told that
	// it is gone; and only who operates the engine or owns it, or hiding could be told from
	// going.
	if ((operates >> *space & 1) &&
		(life != PE_LIFE_THERE || (int32_t)(now.tick - p.expiry_tick) >= 0) &&
		pe_view_build(asker, r, &p, p.expiry_tick - 1, view))
		return SEEN_GONE;
	return SEEN_NOT;
}

// The number, from 1, of the program's step that its n-th test is.
static uint16_t step_of(const struct pe_wire_query *q, const uint8_t *data, unsigned n)
{
	struct pe_wire_extension extension;
	struct pe_filter_cursor cursor = {0};
	struct pe_filter_step step;
	uint16_t number = 0;

	if (pe_wire_check_extension(q, data, q->extension_bytes, &extension) != PE_REASON_none ||
		!extension.filter)
		return 0;
	while (pe_filter_next(extension.filter, extension.filter_bytes, &cursor, &step)) {
		number++;
		if (step.op != PE_FILTER_NOT && !pe_filter_op_joins(step.op) && n-- == 0)
			break;
	}
	return number;
}

static double polygon_beyond(const struct pe_polygon *p, const double position[3], bool known)
{
	double across = pe_polygon_covers(p, position) ? 0 : pe_polygon_edge_distance(p, position);
	bool any = p->height_min == -INFINITY && p->height_max == INFINITY;

	if (!known && !any)
		return -1;
	return hypot(across,
		any ? 0 : fmax(fmax(p->height_min - position[2], position[2] - p->height_max), 0));
}

// How far outside of the volume, where it doesn't measure from its centre.
static double beyond(const struct pe_test *t, const struct pe_view *view)
{
	const struct pe_wire_query *q = t->query;
	const double *position = view->shows.position;
	bool known = !(view->shows.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN);

	switch (q->kind) {
	case PE_QUERY_BOX:
		return pe_box_beyond(t->space, q->a, q->b, position);
	case PE_QUERY_POLYGON:
		return polygon_beyond(t->polygon, position, known);
	case PE_QUERY_ORIENTED_BOX:
	case PE_QUERY_FRUSTUM:
		return known ? fmax(pe_hull_beyond(t->hull, position), 0) : -1;
	default:
		return -1;
	}
}

static void explain_volume(const struct pe_test *t, const struct pe_view *view,
	const struct pe_accept_parts *parts, struct pe_wire_explanation *e)
{
	double edge_m =
		t->query->kind == PE_QUERY_POINT ? (double)view->shows.precision_m : t->radius_m;
	double out_m;

	e->distance_m = told(parts->centre_m);
	if (t->ways.sphere || t->query->kind == PE_QUERY_POINT) {
		e->edge_m = edge_m < DBL_MAX ? told(edge_m) : PE_EXPLAIN_NOT_TOLD;
		out_m = parts->centre_m >= 0 ? fmax(parts->centre_m - edge_m, 0) : -1;
	} else {
		out_m = beyond(t, view);
		e->distance_m = t->query->kind == PE_QUERY_BOX ?
			PE_EXPLAIN_NOT_TOLD :
			told(pe_space_distance(
				t->space, t->query->a, view->shows.position, t->ways.straight));
	}
	e->beyond_m = parts->volume ? 0 : told(out_m);
}

static void explain_tests(const struct pe_query_slot *s, const struct pe_view *view,
	const uint8_t *extension, struct pe_wire_explanation *e)
{
	struct pe_accept_parts parts;

	pe_accept_parts(&s->test, view, &parts);
	decide(e, parts.type, PE_WHY_TYPE);
	decide(e, parts.state, PE_WHY_STATE);
	decide(e, parts.height, PE_WHY_HEIGHT);
	decide(e, parts.filter, PE_WHY_FILTER);
	decide(e, parts.volume, PE_WHY_VOLUME);
	decide(e, parts.reach, PE_WHY_REACH);
	decide(e, parts.scope, PE_WHY_SCOPE);
	e->asker_m = told(parts.asker_m);
	explain_volume(&s->test, view, &parts, e);
	// Where its age alone keeps it out, no step did.
	if (s->test.filter && (parts.filter || !pe_query_filter_takes(&s->test, view)))
		e->filter_step =
			step_of(&s->query, extension, pe_query_filter_test(&s->test, view));
}

// Others decide about one that stands every test.
static enum pe_reason explain_rank(
	struct pe_query_context *c, const uint8_t id[16], struct pe_wire_explanation *e)
{
	const struct pe_query_slot *s = &c->slots[0];
	struct pe_query_answer answer;
	enum pe_reason reason = pe_query_run(c, 0, c->results_max, UINT32_MAX, &answer);

	if (reason)
		return reason;
	for (uint32_t i = 0; i < answer.result_count; i++)
		if (pe_id_equal(c->results[i].entity_id, id))
			return PE_REASON_none;
	decide(e, false, answer.truncated ? PE_WHY_BOUND : PE_WHY_RANK);
	if (answer.result_count)
		e->edge_m = told(pe_space_distance(s->test.space, s->query.a,
			c->results[answer.result_count - 1].position, s->test.ways.straight));
	return PE_REASON_none;
}

static int32_t milliseconds(uint64_t later_ms, uint64_t sooner_ms)
{
	int64_t ms = (int64_t)(later_ms - sooner_ms);

	return ms > INT32_MAX ? INT32_MAX : ms < INT32_MIN ? INT32_MIN : (int32_t)ms;
}

// What is newer than what is published: told to who is trusted, as views of both.
static void explain_own(const struct pe_query_context *c, const struct pe_test *t,
	const struct pe_explain_subject *subject, const struct pe_explain_own *own,
	const struct pe_view *view, struct pe_wire_explanation *e)
{
	struct pe_view newest;
	int32_t held_ms;

	if (!t->asker->trusted)
		return;
	if (!own->here) {
		e->causes |= 1u << PE_WHY_ELSEWHERE;
		return;
	}
	// What is about to be shown to others, or under another name, is not told with what is
	// shown now.
	if (!(own->coalesced || own->pending) || (own->newest.attributes & PE_PUBLISHED_VEILED) ||
		!pe_view_build(t->asker, &c->table->records[subject->handle], &own->newest,
			t->now.tick, &newest))
		return;
	held_ms = milliseconds(newest.shows.time_ms, view->shows.time_ms);
	e->causes |= 1u << (own->pending ? PE_WHY_PENDING : PE_WHY_COALESCED);
	e->held_m = told(pe_space_distance(
		t->space, view->shows.position, newest.shows.position, t->ways.straight));
	e->held_ms = held_ms > 0 ? (uint32_t)held_ms : 0;
	e->due_ms = own->due_ms;
}

// What the margin has a say in: nothing changes there, whatever the volume says.
static uint32_t of_place(const struct pe_wire_query *q)
{
	bool ranged = q->kind == PE_QUERY_SPHERE || q->kind == PE_QUERY_BOX;

	return 1u << PE_WHY_VOLUME | (ranged ? 1u << PE_WHY_HEIGHT : 0);
}

// Of a fence: the tests have said who is inside; who is in it is known where the entity is owned.
// There they may differ: by the margin, by dwell times, and while nobody has looked.
static void explain_standing(const struct pe_explain_standing *f, const struct pe_test *t,
	const struct pe_explain_subject *subject, const struct pe_explain_own *own,
	const struct pe_view *view, struct pe_wire_explanation *e)
{
	enum pe_fence_side side = PE_FENCE_OUTSIDE;
	enum pe_member_phase phase;
	struct pe_place place;
	double position[3];
	uint32_t until = t->now.tick;

	memcpy(position, view->shows.position, sizeof position);
	if (view->shows.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN)
		position[2] = NAN;
	if (!f->nowhere &&
		pe_space_locate(t->space, view->shows.position, &place) == PE_REASON_none)
		side = pe_fence_test(f->index, f->fence, place.key, place.word, position);
	if (f->nowhere)
		e->causes |= 1u << PE_WHY_VOLUME | 1u << PE_WHY_NOWHERE;
	if (side == PE_FENCE_MARGIN)
		e->causes |= 1u << PE_WHY_MARGIN;
	decide(e, !f->itself, PE_WHY_ITSELF);
	e->causes |= f->kept ? 0 : 1u << PE_WHY_KEPT;
	e->causes |= f->waits ? 1u << PE_WHY_WAITS : 0;
	if (!own->here) {
		// What can be seen from here says so, but for the margin: who is there may be in or
		// not.
		if (side == PE_FENCE_MARGIN &&
			!(e->causes & PE_EXPLAIN_DECIDING & ~of_place(t->query))) {
			e->causes &= ~of_place(t->query);
			e->verdict = PE_EXPLAIN_UNDECIDED;
		}
		return;
	}
	phase = pe_member_phase(f->members, f->fence, subject->handle, &until);
	if (phase == PE_MEMBER_ENTERS || phase == PE_MEMBER_LEAVES)
		e->due_ms = (int32_t)(until - t->now.tick) > 0 ? until - t->now.tick : 0;
	switch (phase) {
	case PE_MEMBER_OUT:
		if (e->causes & PE_EXPLAIN_DECIDING)
			return;
		e->causes |= 1u << PE_WHY_UNLOOKED;
		if (pe_member_full(f->members))
			e->causes |= 1u << PE_WHY_FULL;
		return;
	case PE_MEMBER_ENTERS:
		decide(e, e->causes & PE_EXPLAIN_DECIDING, PE_WHY_DWELL);
		return;
	case PE_MEMBER_LEAVES:
		e->causes |= 1u << PE_WHY_LEAVING;
		e->verdict = PE_EXPLAIN_IN;
		return;
	case PE_MEMBER_IN:
		e->verdict = PE_EXPLAIN_IN;
		if (side == PE_FENCE_MARGIN)
			e->causes &= ~of_place(t->query);
		if (e->causes & PE_EXPLAIN_DECIDING)
			e->causes |= 1u << PE_WHY_OUTDATED;
		return;
	}
}

static void describe(
	const struct pe_view *view, struct pe_instant now, struct pe_wire_explanation *e)
{
	const struct pe_published *p = &view->shows;

	memcpy(e->position, p->position, sizeof e->position);
	e->radius_m = p->radius_m;
	e->age_ms = milliseconds(now.wall_ms, p->time_ms);
	e->ttl_left_ms = p->expiry_tick - now.tick;
	e->state = (uint8_t)(PE_ATTRIBUTE_STATE(p->attributes) |
		(p->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN ? PE_RESULT_HEIGHT_UNKNOWN : 0) |
		(view->stale ? PE_RESULT_STALE : 0));
	e->entity_type = p->entity_type;
}

static struct pe_wire_explanation nothing(
	uint32_t query_id, const struct pe_explain_subject *subject)
{
	struct pe_wire_explanation e = {.query_id = query_id,
		.verdict = PE_EXPLAIN_OUT,
		.distance_m = PE_EXPLAIN_NOT_TOLD,
		.edge_m = PE_EXPLAIN_NOT_TOLD,
		.beyond_m = PE_EXPLAIN_NOT_TOLD,
		.asker_m = PE_EXPLAIN_NOT_TOLD,
		.held_m = PE_EXPLAIN_NOT_TOLD};

	memcpy(e.entity_id, subject->id, sizeof e.entity_id);
	return e;
}

enum pe_reason pe_explain(struct pe_query_context *c, const struct pe_space *space,
	const struct pe_view_rules *rules, const struct pe_asker *asker, struct pe_instant now,
	const struct pe_query_known *known, const uint8_t *extension,
	const struct pe_explain_subject *subject, struct pe_wire_explanation *e)
{
	struct pe_query_slot *s = &c->slots[0];
	enum pe_reason reason = PE_REASON_none;
	const struct pe_asker owner = {
		.trusted = asker->trusted, .sees = UINT32_MAX, .place = PE_NEAR_EVERYWHERE};
	struct pe_explain_own own = {0};
	struct pe_view view, then;
	unsigned in_space = 0;
	bool mine, owns, owned = false;
	uint64_t everywhere, operates = 0;
	enum seen seen;

	*e = nothing(pe_query_next(c)->query_id, subject);
	pe_query_prepare(c, space, rules, asker, now, known, extension);
	if (s->reason)
		return s->reason;
	// Whose it is goes by the id alone, and is looked up whether there is one of it or not.
	owns = !subject->standing && pe_query_owns(asker, space->index, subject->id);
	mine = !subject->standing && pe_query_owns_by_keyring(asker, subject->id);
	everywhere = mine ? UINT64_MAX : 0;
	// An administrator is one of this space alone.
	if (asker->trusted)
		operates = asker->principal && !mine ? (uint64_t)owns << space->index : UINT64_MAX;
	seen = look(c, asker, rules, now, subject, subject->spaces | everywhere, operates, &view,
		&in_space);
	if (seen == SEEN_NOT && owns && subject->handle != PE_HANDLE_NONE) {
		seen = look(c, &owner, rules, now, subject, everywhere, operates, &view, &in_space);
		owned = seen == SEEN;
	}
	if (seen == SEEN_BUSY || s->form == PE_QUERY_POSTPONED) {
		e->verdict = PE_EXPLAIN_UNDECIDED;
		return PE_REASON_none;
	}
	decide(e, seen != SEEN_NOT, PE_WHY_UNKNOWN);
	decide(e, seen != SEEN_GONE, PE_WHY_GONE);
	if (seen == SEEN)
		decide(e, in_space == space->index, PE_WHY_SPACE);
	if (!e->causes) {
		// Each round of a run has its own radius; until then there is the limit, if there
		// is one.
		if (s->query.kind == PE_QUERY_NEAREST)
			s->test.radius_m = pe_query_nearest_limit(s);
		subject->own(subject->worker, subject->handle, &own);
		then = view;
		if (s->test.ways.timed)
			pe_query_predict(&s->test, &then);
		describe(&then, now, e);
		explain_tests(s, &then, extension, e);
		decide(e, !owned || pe_query_names(s, subject->id), PE_WHY_VEILED);
		if (s->query.kind == PE_QUERY_NEAREST && !e->causes)
			reason = explain_rank(c, subject->id, e);
		explain_own(c, &s->test, subject, &own, &view, e);
		if (subject->standing)
			explain_standing(subject->standing, &s->test, subject, &own, &view, e);
		// To a stranger there is nothing of it.
		if ((e->causes & 1u << PE_WHY_SCOPE) && !asker->trusted) {
			*e = nothing(s->query.query_id, subject);
			decide(e, false, PE_WHY_UNKNOWN);
		}
	}
	if (e->causes & PE_EXPLAIN_DECIDING)
		e->first_cause = (uint8_t)__builtin_ctz(e->causes & PE_EXPLAIN_DECIDING);
	else if (e->verdict == PE_EXPLAIN_OUT)
		e->verdict = PE_EXPLAIN_IN;
	return reason;
}
