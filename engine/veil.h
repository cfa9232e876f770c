// Veiled entities behind the façade: what an update becomes at the door, before its place is looked
// at, and what its owner does with it.
#pragma once

#include "internal.h"

// What a result's binary16 can say.
#define PE_VEIL_PRECISION_MOST_M 65000.0f

// PLANAR_LAPLACE: no place is further from the true one, an axis, than so many times the scale.
#define PE_LAPLACE_BOUND 12.0

// A sound update on the worker that received it. What asks for nothing, and what no policy
// concerns, stays as it is; else it is given its audience, and rounded. What depends on tags is
// marked PE_CHANGE_OPEN and left to its owner. framed: its place is in another entity's frame.
// principal: of its sender. *plain: nothing more is to be done on its owner than to publish it in
// its layer (of one that is marked: if the entity has no details). visibility: nothing provides
// what it asks for.
[[nodiscard]] enum pe_reason pe_veil_update(struct pe_worker *w, struct pe_space_entry *s,
	struct pe_change *c, uint32_t principal, bool framed, bool *plain);

// Would an update that is marked, and shown to everybody, widen nobody's walks? Owner's thread.
static inline bool pe_veil_noted(const struct pe_space_entry *s, const struct pe_wire_update *u)
{
	uint32_t precision;

	memcpy(&precision, &u->precision_m, sizeof precision);
	// Not negative, so that it orders like its bits; −0 is taken to be large.
	return precision <= atomic_load_explicit(&s->precision_seen, memory_order_relaxed) &&
		!pe_wire_speed_above(pe_wire_speed_lanes(u->velocity),
			atomic_load_explicit(&s->speed_seen, memory_order_relaxed));
}

// The same on its owner, of an update that is marked: by the tags that it brings, or else those
// that are kept. c: a copy of its own; the mark is gone then.
[[nodiscard]] enum pe_reason pe_veil_open(
	struct pe_worker *w, uint32_t handle, struct pe_change *c);

// How far what is veiled may be, and how fast it is: bounds the walks of those who may see it;
// nobody else's. Any thread.
void pe_veil_note(struct pe_space_entry *s, unsigned audience, const struct pe_wire_update *u);

// The time that what is noised is told to be of.
static inline uint64_t pe_veil_epoch_ms(const struct pe_worker *w)
{
	return pe_views_epoch(&w->engine->views, w->wall_ms) * w->engine->views.epoch_ms;
}

// A veiled update (PE_PUBLISHED_VEILED) on its owner: its place in its layer, and the noise of the
// epoch. c, place: copies of its own. True: it is published at a place that is held for the epoch,
// with that one's time, and no threshold applies. *reason: out_of_bounds.
[[nodiscard]] bool pe_veil_own(struct pe_worker *w, uint32_t handle, struct pe_change *c,
	struct pe_place *place, enum pe_reason *reason);
