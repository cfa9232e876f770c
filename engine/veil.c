// Updates of entities that not everybody may see as they are: their audience, and what of their
// place anyone may learn. This comes before all else that is done with a place, so that cells,
// thresholds, courses, fences and answers know of nothing more exact; the true place of a rounded
// entity is kept nowhere.
#include "veil.h"

#include "apply.h"
#include "policy/methods.h"
#include "space/offset.h"
#include "space/coarse.h"

#include <math.h>

// Fingerprints of anonymous ones: reach in steps of a factor of two.
static float coarse_reach(float radius_m)
{
	int exponent;

	if (!(radius_m > 0))
		return 0;
	(void)frexpf(radius_m, &exponent);
	return ldexpf(0.5f, exponent);
}

// And precision, upwards: to the millimetre that somebody states it would be as good as a name.
static float coarse_precision(float precision_m)
{
	int exponent;
	float half;

	if (!(precision_m > 0))
		return 0;
	half = frexpf(precision_m, &exponent);
	return half > 0.5f ? ldexpf(1, exponent) : precision_m;
}

static void raise_precision(_Atomic uint32_t *at, float precision_m)
{
	uint32_t bits, seen = atomic_load_explicit(at, memory_order_relaxed);

	precision_m += 0.0f; // −0 becomes 0
	memcpy(&bits, &precision_m, sizeof bits);
	while (bits > seen &&
		!atomic_compare_exchange_weak_explicit(
			at, &seen, bits, memory_order_relaxed, memory_order_relaxed))
		;
}

static void raise_speed(_Atomic uint64_t *at, uint64_t lanes)
{
	uint64_t seen = atomic_load_explicit(at, memory_order_relaxed), wider;

	if (!pe_wire_speed_above(lanes, seen))
		return;
	do {
		wider = PE_WIRE_SPEED_LANES;
		for (unsigned shift = 0; shift < 48; shift += 16) {
			uint64_t a = seen >> shift & 0x7FFF, b = lanes >> shift & 0x7FFF;

			wider |= (a > b ? a : b) << shift;
		}
	} while (wider != seen &&
		!atomic_compare_exchange_weak_explicit(
			at, &seen, wider, memory_order_relaxed, memory_order_relaxed));
}

// What bounds the walks of those who may see it; nobody else's.
void pe_veil_note(struct pe_space_entry *s, unsigned audience, const struct pe_wire_update *u)
{
	raise_precision(&s->audience[audience].precision_seen, u->precision_m);
	raise_speed(&s->audience[audience].speed_seen, pe_wire_speed_lanes(u->velocity));
	if (!(atomic_load_explicit(&s->rules.present, memory_order_relaxed) >> audience & 1))
		atomic_fetch_or_explicit(&s->rules.present, 1u << audience, memory_order_relaxed);
}

// What its audience is not told at all.
static void minimise(struct pe_wire_update *u, const struct pe_veiling *v, bool anonymous)
{
	bool moved = v->edge_m > 0 || v->crowd_m > 0 ||
		(v->policy && (v->policy->laplace_m > 0 || v->policy->method));

	// A course leads finer than a cell; and times of anonymous ones are too coarse for one.
	if (moved || anonymous || (v->policy && v->policy->no_velocity))
		memset(u->velocity, 0, sizeof u->velocity);
	if (!anonymous)
		return;
	u->radius_m = coarse_reach(u->radius_m);
	u->position_confidence = u->status_confidence = 0;
}

// The area of its cohort in the epoch; who is in none, or not in it, is hidden.
static void crowd(struct pe_worker *w, const struct pe_space_entry *s, struct pe_wire_update *u,
	struct pe_veiling *v, uint32_t principal)
{
	struct pe_crowd *crowd = &w->engine->crowd;
	const struct pe_policy *p = v->policy;
	uint64_t epoch = pe_views_epoch(&w->engine->views, w->wall_ms);
	uint64_t left_ms = (epoch + 1) * w->engine->views.epoch_ms - w->wall_ms;
	struct pe_crowd_cell cell = pe_crowd_cell_of(&s->space, p->area_m, u->position);
	int level = PE_CROWD_NOWHERE;

	atomic_store_explicit(&crowd->wall_ms, w->wall_ms, memory_order_relaxed);
	if (principal)
		level = pe_crowd_place(
			crowd, epoch, v->audience, s->space.index, u->entity_id, principal, cell);
	// No area is shown after its epoch.
	if (!u->ttl_ms)
		u->ttl_ms = s->policy.ttl_default_ms;
	if (u->ttl_ms > left_ms)
		u->ttl_ms = (uint32_t)left_ms;
	if (level == PE_CROWD_NOWHERE) {
		v->audience = PE_AUDIENCE_HIDDEN;
		return;
	}
	u->precision_m +=
		(float)pe_crowd_centre(&s->space, p->area_m, cell, (unsigned)level, u->position);
	v->crowd_m = p->area_m * (double)(1u << level);
	if (!(u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN))
		u->position[2] = floor(u->position[2] / v->crowd_m + 0.5) * v->crowd_m;
}

// What a registered method makes of the place; who has none is hidden.
static void own_method(struct pe_worker *w, const struct pe_space_entry *s,
	struct pe_wire_update *u, struct pe_veiling *v)
{
	const struct pe_policy *p = v->policy;
	struct pe_method_stream stream = {.views = &w->engine->views,
		.id = u->entity_id,
		.epoch = pe_views_epoch(&w->engine->views, w->wall_ms),
		.policy = v->audience};
	double within_m;

	if (pe_method_publish(p->method, &s->space, p->method_first, p->method_second, &stream,
		    !(u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN), u->position, &within_m)) {
		u->precision_m += (float)fmin(within_m, (double)PE_VEIL_PRECISION_MOST_M);
		return;
	}
	pe_count(&w->counters, PE_COUNTER_method_failed, 1);
	v->audience = PE_AUDIENCE_HIDDEN;
}

static enum pe_reason decide(struct pe_worker *w, struct pe_space_entry *s, struct pe_change *c,
	const struct pe_tags *tags, uint32_t principal, bool framed, bool *plain)
{
	const struct pe_views *views = &w->engine->views;
	struct pe_wire_update *u = &c->update;
	const struct pe_policy *policy;
	struct pe_veiling v;
	struct pe_place place;
	enum pe_reason reason = pe_views_match(views, &s->space, u, tags, &v);

	*plain = !reason && v.audience == PE_AUDIENCE_OPEN;
	if (v.open) {
		u->attributes |= PE_CHANGE_OPEN;
		c->principal = principal;
		return PE_REASON_none;
	}
	if (reason || v.audience == PE_AUDIENCE_OPEN)
		return reason;
	// A place in another one's frame says where that is.
	if (framed)
		return PE_REASON_visibility;
	policy = v.policy;
	// What changes with the epoch is more than its place.
	*plain = !policy || !(policy->k || policy->laplace_m > 0 || policy->method);
	// The true place must be one; the middle of a cell is taken to be. Where it stays what it
	// is, its owner sees.
	reason = *plain && !(v.edge_m > 0) ? PE_REASON_none :
					     pe_space_locate(&s->space, u->position, &place);
	if (reason)
		return reason;
	if (policy && policy->k)
		crowd(w, s, u, &v, principal);
	if (v.edge_m > 0) {
		bool known = !(u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN);

		u->precision_m +=
			pe_space_coarse(&s->space, v.edge_m, u->position, known, u->position);
	}
	if (policy && policy->method)
		own_method(w, s, u, &v);
	minimise(u, &v, views->anonymous >> v.audience & 1);
	u->attributes = pe_audience_put(u->attributes, v.audience);
	if (policy && policy->ttl_max_ms) {
		if (!u->ttl_ms)
			u->ttl_ms = s->policy.ttl_default_ms;
		if (u->ttl_ms > policy->ttl_max_ms)
			u->ttl_ms = policy->ttl_max_ms;
	}
	if (policy && policy->laplace_m > 0)
		u->precision_m += (float)(PE_LAPLACE_BOUND * policy->laplace_m);
	if (views->anonymous >> v.audience & 1)
		u->precision_m = coarse_precision(u->precision_m);
	u->precision_m = fminf(u->precision_m, PE_VEIL_PRECISION_MOST_M);
	pe_veil_note(s, v.audience, u);
	return PE_REASON_none;
}

enum pe_reason pe_veil_update(struct pe_worker *w, struct pe_space_entry *s, struct pe_change *c,
	uint32_t principal, bool framed, bool *plain)
{
	static const struct pe_tags unknown = {.known = false};

	return decide(w, s, c, &unknown, principal, framed, plain);
}

enum pe_reason pe_veil_open(struct pe_worker *w, uint32_t handle, struct pe_change *c)
{
	struct pe_space_entry *s = &w->engine->spaces[c->space];
	const struct pe_details_block *kept = pe_details_get(&w->engine->table.details, handle);
	struct pe_details_blocks update = {0}, known = {0}, *from = &known;
	struct pe_tags tags = {.known = true};
	enum pe_reason reason;
	bool plain;

	if (c->kind == PE_CHANGE_DETAILED)
		pe_wire_get_detailed(c->record, &update);
	if (kept)
		pe_wire_get_details((const uint8_t *)&kept->head, &known);
	if (update.content[PE_DETAILS_CONTEXT])
		from = &update;
	tags.context = from->content[PE_DETAILS_CONTEXT];
	tags.bytes = from->bytes[PE_DETAILS_CONTEXT];
	c->update.attributes &= (uint16_t)~PE_CHANGE_OPEN;
	reason = decide(w, s, c, &tags, c->principal, update.bytes[PE_DETAILS_FRAME] != 0, &plain);
	if (reason || (c->update.attributes & PE_PUBLISHED_VEILED))
		return reason;
	pe_note_precision(s, c->update.precision_m);
	pe_note_speed(s, pe_wire_speed_lanes(c->update.velocity));
	return PE_REASON_none;
}

// Of the low bits of what is noised, too, nothing is told (Mironov, 2012): it is rounded.
#define LAPLACE_ROUND 16.0

static bool blur(const struct pe_worker *w, const struct pe_space *space,
	const struct pe_policy *policy, const struct pe_wire_update *u, uint64_t epoch,
	double position[3])
{
	bool known = !(u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN);
	double cell[3], noise[3] = {0}, moved[3];

	(void)pe_space_coarse(space, policy->laplace_m, u->position, known, cell);
	pe_views_noise(&w->engine->views, u->entity_id, epoch, cell, policy->laplace_m, noise);
	// Rare, and no more is promised of its tail (precision_m says so).
	for (unsigned i = 0; i < 2; i++)
		noise[i] = fmin(fmax(noise[i], -PE_LAPLACE_BOUND * policy->laplace_m),
			PE_LAPLACE_BOUND * policy->laplace_m);
	if (!pe_space_offset(space, u->position, noise, moved))
		return false;
	moved[2] = cell[2]; // up, a cell is all that is told
	(void)pe_space_coarse(space, policy->laplace_m / LAPLACE_ROUND, moved, known, position);
	position[2] = cell[2];
	return true;
}

bool pe_veil_own(struct pe_worker *w, uint32_t handle, struct pe_change *c, struct pe_place *place,
	enum pe_reason *reason)
{
	const struct pe_views *views = &w->engine->views;
	const struct pe_space *space = &w->engine->spaces[c->space].space;
	const struct pe_record *r = pe_apply_record(w, handle);
	unsigned audience = pe_audience_of(c->update.attributes);
	const struct pe_policy *policy = audience < PE_AUDIENCE_POLICY ?
		NULL :
		&views->policy[audience - PE_AUDIENCE_POLICY];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	uint64_t epoch = pe_views_epoch(views, w->wall_ms);
	bool known =
		PE_STATUS_LIFE(status) == PE_LIFE_THERE || PE_STATUS_LIFE(status) == PE_LIFE_GONE;

	*reason = PE_REASON_none;
	if (policy && policy->laplace_m > 0) {
		// One place an epoch: it is held until the next, also over an end and a new
		// beginning.
		if (known && PE_STATUS_SPACE(status) == c->space &&
			pe_audience_of(r->shown.attributes) == audience &&
			pe_views_epoch(views, r->shown.time_ms) == epoch)
			memcpy(c->update.position, r->shown.position, sizeof r->shown.position);
		else if (!blur(w, space, policy, &c->update, epoch, c->update.position))
			*reason = PE_REASON_out_of_bounds;
		if (!*reason)
			*reason = pe_space_locate(space, c->update.position, place);
	}
	place->key = pe_views_key(views, c->space, c->update.attributes, place->key);
	return policy && policy->laplace_m > 0;
}
