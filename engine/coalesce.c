// What decides whether an update reaches the grid at once or is held back: the spatial, temporal
// and attribute thresholds of its space, its course (predict.c) and the frequency cap. The trailing
// edge is kept by the pending node (own.c).
#include "internal.h"
#include "own.h"

#include <math.h>

double pe_coalesce_moved_square(const struct pe_space *space, uint64_t key,
	const struct pe_published *own, const struct pe_place *place, const double position[3])
{
	struct pe_units a, b;
	double d[3], square = 0;

	if (space->config.kind == PE_SPACE_CARTESIAN)
		return pe_coalesce_straight(own->position, position);
	// Whichever the layers: the caller knows that it is one space.
	if (((key ^ place->key) & ~PE_KEY_LAYER_MASK) == 0)
		return pe_coalesce_in_cell(
			       space, own->word, place->word, position[2] - own->position[2]) *
			space->unit_m * space->unit_m;
	a = pe_place_units(key, own->word);
	b = pe_place_units(place->key, place->word);
	if (a.frame != b.frame) { // rare: across a border between frames
		d[0] = pe_space_distance(space, own->position, position, true);
		return d[0] * d[0];
	}
	for (unsigned i = 0; i < 3; i++) {
		d[i] = (double)(b.v[i] - a.v[i]) * space->unit_m;
		if (i == 2)
			d[i] *= (double)(1u << space->z_shift);
		square += d[i] * d[i];
	}
	square += (position[2] - own->position[2]) * (position[2] - own->position[2]);
	return square;
}

static bool near(uint8_t a, uint8_t b, float threshold)
{
	return fabsf((float)a - (float)b) <= threshold * 254.0f && !a == !b;
}

// Changed less than the attribute threshold: all that is not a number is the same, confidences
// nearly so.
static bool attributes_near(
	const struct pe_published *a, const struct pe_published *b, float threshold)
{
	return a->attributes == b->attributes && a->entity_type == b->entity_type &&
		a->custom_state == b->custom_state && a->radius_m == b->radius_m &&
		a->precision_m == b->precision_m &&
		near(a->position_confidence, b->position_confidence, threshold) &&
		near(a->status_confidence, b->status_confidence, threshold);
}

bool pe_coalesce_below(struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_record *r, const struct pe_pending *node, const struct pe_published *p,
	const struct pe_place *place, const struct pe_prediction *x)
{
	const struct pe_published *own = &r->shown;
	float distance = s->policy.coalesce_distance_m * (float)pe_coalesce_factor(p->attributes) *
		w->coarse;

	if (!attributes_near(own, p, s->policy.coalesce_attribute))
		return false;
	if (pe_predict_applies(s, own->entity_type)) {
		if (!x->covers)
			return false;
	} else if (distance > 0) {
		if (pe_coalesce_moved_square(&s->space, r->key, own, place, p->position) >
			(double)distance * distance)
			return false;
	} else if (!s->policy.coalesce_interval_ms) {
		return false; // STATIC, and nothing but a prediction asked for
	}
	if (s->policy.coalesce_interval_ms)
		return node && (node->flags & PE_PENDING_INTERVAL) &&
			(int32_t)(node->interval_until - w->tick) > 0;
	return true;
}

bool pe_coalesce_hold_begin(struct pe_worker *w, uint32_t handle)
{
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	uint32_t due = w->tick + PE_TRAILING_MS;

	if (!(status & PE_STATUS_HELD)) {
		// One that was published meanwhile is in the queue still, and looked at no later.
		if (!(status & PE_STATUS_QUEUED)) {
			if (pe_held_full(&w->held))
				return false;
#ifndef PE_PLANT_TRAILING_LOST // tests only
			pe_held_push(&w->held, handle, due);
#endif
		}
		pe_record_held(r)->due = (uint16_t)due;
		atomic_store_explicit(&r->status, status | PE_STATUS_HELD | PE_STATUS_QUEUED,
			memory_order_relaxed);
	} else if (status & PE_STATUS_OLDER) {
		atomic_store_explicit(&r->status, status & ~PE_STATUS_OLDER, memory_order_relaxed);
	}
	return true;
}

void pe_coalesce_hold_course(struct pe_worker *w, uint32_t handle, const double position[3],
	const uint16_t velocity[3], uint32_t due)
{
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	struct pe_held_state *held = pe_record_held(r);

	memcpy(held->position, position, sizeof held->position);
	memcpy(held->velocity, velocity, sizeof held->velocity);
	held->due = (uint16_t)due;
	*pe_record_due_high(r) = (uint8_t)(due >> 16);
#ifndef PE_PLANT_TRAILING_LOST // tests only
	pe_own_expires(w, handle, due);
#endif
	atomic_store_explicit(&r->status,
		(status & ~PE_STATUS_FLAGS) | PE_STATUS_HELD | PE_STATUS_COURSE,
		memory_order_relaxed);
}

// Beside the record. False: no room.
static bool hold_beside(struct pe_worker *w, uint32_t handle, const struct pe_published *p,
	const struct pe_prediction *x)
{
	if (!x->covers)
		return pe_coalesce_hold(w, handle, p->position, p->velocity);
	pe_coalesce_hold_course(w, handle, p->position, p->velocity, w->tick + x->trailing_ms);
	return true;
}

// What is held back says the same state as what is seen: that holds for as long as the newest
// update says, or it would fall back between two that go on with it.
static void prolong(const struct pe_worker *w, const struct pe_record *r, struct pe_pending *node,
	const struct pe_published *p, uint32_t duration_ms)
{
	if (PE_ATTRIBUTE_STATE(r->shown.attributes) != PE_ATTRIBUTE_STATE(p->attributes) ||
		r->shown.custom_state != p->custom_state)
		return;
	node->flags &= ~PE_PENDING_DURATION;
	if (duration_ms)
		node->flags |= PE_PENDING_DURATION;
	node->state_until = w->tick + duration_ms;
}

bool pe_coalesce_hold_back(struct pe_worker *w, uint32_t handle, const struct pe_change *c,
	const struct pe_published *p, const struct pe_place *place, const struct pe_prediction *x,
	bool capped, uint32_t cap_ms, uint32_t interval_ms)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	struct pe_pending *node = pe_own_node(w, handle, false);

	// Not while it is crossing: what is held beside the record takes its slot for settled.
	bool beside = r->pending == PE_HANDLE_NONE && !cap_ms && !interval_ms &&
		!c->update.duration_ms && attributes_near(&r->shown, p, 0);

	if (beside && hold_beside(w, handle, p, x)) {
		pe_own_refresh(w, handle, p->expiry_tick);
		return true;
	}
	// Where there is no room beside the record it is published: the nodes are for what needs
	// them, or crossings would be refused.
	if (!beside)
		node = pe_own_node(w, handle, pe_pending_spare(&w->pending, 0));
	if (!node) {
		pe_count(&w->counters, PE_COUNTER_pending_exhausted, 1);
		return false;
	}
	// What covers a state that is held back already does not put it off, unless it shows that
	// the course goes on.
	if (x->covers)
		node->trailing_until = w->tick + x->trailing_ms;
	else if (atomic_load_explicit(&r->status, memory_order_relaxed) & PE_STATUS_HELD)
		node->trailing_until = pe_coalesce_due(w, r);
	else if (!(node->flags & PE_PENDING_STATE) || (node->flags & PE_PENDING_OWED))
		node->trailing_until = w->tick + (interval_ms ? interval_ms : PE_TRAILING_MS);
	if (node->flags & PE_PENDING_INTERVAL)
		node->trailing_until = node->interval_until;
	if (capped)
		node->trailing_until = w->tick;
	if (node->flags & PE_PENDING_STATE)
		pe_own_drop_state(w, node);
	pe_own_forget_held(w, handle);
	node->state = *p;
	node->key = place->key;
#ifndef PE_PLANT_TRAILING_LOST
	node->flags |= PE_PENDING_STATE;
#endif
	prolong(w, r, node, p, c->update.duration_ms);
	pe_own_wait_times(w, node, c->update.duration_ms, cap_ms, interval_ms);
	pe_own_refresh(w, handle, p->expiry_tick);
	return true;
}
