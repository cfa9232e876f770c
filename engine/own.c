// What an owner does with its entities: publishing, crossings, states that wait, taking away. Only
// on the owning worker's thread.
#include "own.h"

#include "base/rcu.h"

// What waits only for its crossing comes to wait for it as what waits for more does: its grace
// period begins anew.
static bool defer_crossing(struct pe_worker *w, uint32_t handle, struct pe_pending *node)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t crossing = r->pending & ~PE_CROSSES;

	node->old_slot = pe_grid_crossing_from(w->engine->grid, crossing);
	if (pe_grid_depart(w->engine->grid, w->index, handle, node->old_slot, r->slot) != PE_OK)
		return false;
	(void)pe_grid_call_off(w->engine->grid, crossing);
	node->flags = PE_PENDING_CROSSING;
	return true;
}

struct pe_pending *pe_own_node(struct pe_worker *w, uint32_t handle, bool make)
{
	struct pe_record *r = &w->engine->table.records[handle];
	struct pe_pending *node = pe_pending_node(&w->pending, r->pending);
	uint32_t number;

	if (node || !make)
		return node;
	number = pe_pending_take(&w->pending, handle);
	if (number == PE_HANDLE_NONE)
		return NULL;
	node = &w->pending.nodes[number];
	if (r->pending != PE_HANDLE_NONE && !defer_crossing(w, handle, node)) {
		pe_pending_give(&w->pending, number);
		return NULL;
	}
	r->pending = number;
	return node;
}

bool pe_own_may_end(struct pe_worker *w, uint32_t handle)
{
	if (pe_own_node(w, handle, false))
		return true;
	if (!pe_pending_spare(&w->pending, 0))
		return false;
	// What waits only for its crossing comes to wait in the entry, for which there must be
	// room.
	return !pe_crosses(w->engine->table.records[handle].pending) ||
		pe_own_node(w, handle, true);
}

void pe_own_owe(struct pe_worker *w, struct pe_pending *node, bool owed)
{
	if (owed == !!(node->flags & PE_PENDING_OWED))
		return;
	node->flags ^= PE_PENDING_OWED;
	w->pending.owed += owed ? 1 : -1;
	atomic_store_explicit(&w->owed, w->pending.owed, memory_order_relaxed);
}

void pe_own_drop_state(struct pe_worker *w, struct pe_pending *node)
{
	if (node->flags & PE_PENDING_OWED)
		pe_count(&w->counters, PE_COUNTER_records_coalesced, 1);
	pe_own_owe(w, node, false);
	node->flags &= ~(PE_PENDING_STATE | PE_PENDING_RETRY | PE_PENDING_STATE_TIMED);
}

static void give_node(struct pe_worker *w, struct pe_pending *node)
{
	w->engine->table.records[node->handle].pending = PE_HANDLE_NONE;
	pe_pending_give(&w->pending, (uint32_t)(node - w->pending.nodes));
}

void pe_own_schedule(struct pe_worker *w, struct pe_pending *node)
{
	uint32_t number = (uint32_t)(node - w->pending.nodes);
	uint32_t due = 0;
	bool timed = false;

	if (node->flags == 0) {
		give_node(w, node);
		return;
	}
	// What only waits for its crossing to settle needs no timer.
	if (node->flags == PE_PENDING_CROSSING) {
		pe_wheel_remove(&w->pending.wheel, number);
		return;
	}
#define EARLIEST(flag, at) \
	if ((node->flags & (flag)) && (!timed || (int32_t)((at)-due) < 0)) { \
		due = (at); \
		timed = true; \
	}
	EARLIEST(PE_PENDING_DURATION, node->state_until)
	EARLIEST(PE_PENDING_CAP, node->cap_until)
	EARLIEST(PE_PENDING_INTERVAL, node->interval_until)
	EARLIEST(PE_PENDING_RETRY, w->tick + 1)
	// A state that only waits for its crossing to settle is taken up by the settlement.
	if (!(node->flags & (PE_PENDING_OWED | PE_PENDING_CAP)))
		EARLIEST(PE_PENDING_STATE, node->trailing_until)
#undef EARLIEST
	if (timed && pe_wheel_holds(&w->pending.wheel, number) && node->wheel.tick == due)
		return;
	pe_wheel_remove(&w->pending.wheel, number);
	if (timed)
		pe_wheel_add(&w->pending.wheel, number, due);
}

void pe_own_begin_holds(struct pe_worker *w, uint32_t handle, uint32_t cap_ms, uint32_t interval_ms)
{
	struct pe_pending *node =
		pe_own_node(w, handle, (cap_ms || interval_ms) && pe_pending_spare(&w->pending, 0));

	if (!node) {
		if (cap_ms || interval_ms)
			pe_count(&w->counters, PE_COUNTER_pending_exhausted, 1);
		return;
	}
	node->flags &= ~(PE_PENDING_CAP | PE_PENDING_INTERVAL);
	if (cap_ms)
		node->flags |= PE_PENDING_CAP;
	if (interval_ms)
		node->flags |= PE_PENDING_INTERVAL;
	node->cap_until = w->tick + cap_ms;
	node->interval_until = w->tick + interval_ms;
	pe_own_schedule(w, node);
}

void pe_own_duration(struct pe_worker *w, uint32_t handle, bool timed, uint32_t until)
{
	struct pe_pending *node = pe_own_node(w, handle, timed);

	if (!node) {
		if (timed)
			pe_count(&w->counters, PE_COUNTER_pending_exhausted, 1);
		return;
	}
	node->flags &= ~PE_PENDING_DURATION;
	if (timed) {
		node->flags |= PE_PENDING_DURATION;
		node->state_until = until;
	}
	pe_own_schedule(w, node);
}

void pe_own_wait_times(struct pe_worker *w, struct pe_pending *node, uint32_t duration_ms,
	uint32_t cap_ms, uint32_t interval_ms)
{
	node->cap_ms = cap_ms;
	node->interval_ms = interval_ms;
	if (duration_ms) {
		node->flags |= PE_PENDING_STATE_TIMED;
		node->waiting_until = w->tick + duration_ms;
	}
	// An earlier state's cap holds this one for no longer than its own would, and not at all
	// where it names none.
	if ((node->flags & PE_PENDING_CAP) && !cap_ms)
		node->flags &= ~PE_PENDING_CAP;
	else if ((node->flags & PE_PENDING_CAP) &&
		(int32_t)(node->cap_until - w->tick - cap_ms) > 0)
		node->cap_until = w->tick + cap_ms;
	pe_own_schedule(w, node);
}

void pe_own_expires(struct pe_worker *w, uint32_t handle, uint32_t tick)
{
	struct pe_record *r = &w->engine->table.records[handle];

	if (pe_wheel_holds(&w->wheel, handle)) {
		// Later expiries are looked at when the timer fires.
		if ((int32_t)(tick - r->wheel.tick) >= 0)
			return;
		pe_wheel_remove(&w->wheel, handle);
	}
	pe_wheel_add(&w->wheel, handle, tick);
}

// ---- what the clock alone changes of what is seen ----

// Schedules that open or close sooner than this after they did are looked at so often.
#define SCHEDULE_LOOK_MS 250u
// So that a step of the wall clock is noticed.
#define CLOCK_LOOK_MS 60000u

// ms until a schedule opens or closes.
static uint32_t switches_in_ms(const struct pe_wire_schedule *s, uint64_t wall_ms)
{
	uint32_t into = pe_schedule_into(s, wall_ms), closed_for = s->period_ms - s->open_for_ms;
	uint32_t left = into < s->open_for_ms ? s->open_for_ms - into : s->period_ms - into;

	if (!closed_for)
		return CLOCK_LOOK_MS;
	if ((s->open_for_ms < SCHEDULE_LOOK_MS || closed_for < SCHEDULE_LOOK_MS) &&
		left < SCHEDULE_LOOK_MS)
		left = SCHEDULE_LOOK_MS;
	return left < CLOCK_LOOK_MS ? left : CLOCK_LOOK_MS;
}

// When an entity is to be looked at although nothing comes of it: a RECURRING one when it opens or
// closes, an announced one when it becomes stale. Its expiry, if that is sooner.
static uint32_t next_look(const struct pe_worker *w, uint32_t handle)
{
	const struct pe_details_store *store = &w->engine->table.details;
	const struct pe_published *shown = &w->engine->table.records[handle].shown;
	uint32_t next = shown->expiry_tick, at;

	if (shown->entity_type == PE_ENTITY_RECURRING) {
		const struct pe_details_block *block = pe_details_get(store, handle);
		struct pe_details_blocks blocks;
		struct pe_wire_schedule schedule;

		if (block)
			pe_wire_get_details((const uint8_t *)&block->head, &blocks);
		if (block && blocks.content[PE_DETAILS_SCHEDULE]) {
			memcpy(&schedule, blocks.content[PE_DETAILS_SCHEDULE], sizeof schedule);
			at = w->tick + switches_in_ms(&schedule, w->wall_ms);
			next = (int32_t)(at - next) < 0 ? at : next;
		}
	}
	if ((shown->attributes & PE_PUBLISHED_ANNOUNCED) && store->entries) {
		at = shown->expiry_tick -
			atomic_load_explicit(
				&pe_details_entry(store, handle)->lead_ms, memory_order_relaxed);
		if ((int32_t)(at - w->tick) > 0 && (int32_t)(at - next) < 0)
			next = at;
	}
	return next;
}

void pe_own_clock(struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	if (PE_STATUS_LIFE(status) == PE_LIFE_THERE && pe_own_clocked(w, &r->shown))
		pe_own_expires(w, handle, next_look(w, handle));
}

static void set_life(struct pe_record *r, enum pe_life life)
{
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	uint32_t over = PE_STATUS_FLAGS | PE_STATUS_FORGOTTEN;

	// Who will have the handle puts in an entry of his own.
	if (life == PE_LIFE_REMOVING || life == PE_LIFE_FREE)
		over |= PE_STATUS_QUEUED;
	// LIFE: release, after the fields that the step has written. What was held back is over.
	atomic_store_explicit(&r->status, (status & ~(0xFFu | over)) | life, memory_order_release);
}

void pe_own_refresh(struct pe_worker *w, uint32_t handle, uint32_t expiry_tick)
{
	pe_record_extend(&w->engine->table.records[handle], expiry_tick);
	pe_own_expires(w, handle, expiry_tick);
}

void pe_own_publish_record(struct pe_worker *w, uint32_t handle, const struct pe_published *state)
{
	// To those who see it no more it is gone, whatever it is to others.
	if (__builtin_expect(w->watching, 0) &&
		pe_audience_ends(
			w->engine->table.records[handle].shown.attributes, state->attributes))
		pe_watch_gone(w, handle);
	pe_record_publish(&w->engine->table.records[handle], pe_own_draft(w), state);
	pe_own_forget_held(w, handle);
	pe_watch_shown(w, handle);
}

void pe_own_hide(struct pe_worker *w, uint32_t handle)
{
	struct pe_published hidden = w->engine->table.records[handle].shown;

	hidden.attributes = pe_audience_put(hidden.attributes, PE_AUDIENCE_HIDDEN);
	pe_own_publish_record(w, handle, &hidden);
}

static enum pe_publish wait(struct pe_worker *w, struct pe_pending *node,
	const struct pe_published *state, uint64_t key, bool owed, bool retry)
{
	if (node->flags & PE_PENDING_STATE)
		pe_own_drop_state(w, node);
	pe_own_forget_held(w, node->handle);
	node->state = *state;
	node->key = key;
	// What comes here was not to wait for a cap: who sees an entity, and where its parent takes
	// it, is not held back.
	node->flags &= ~PE_PENDING_CAP;
	node->flags |= PE_PENDING_STATE | (retry ? PE_PENDING_RETRY : 0);
	node->trailing_until = w->tick + PE_TRAILING_MS;
	pe_own_owe(w, node, owed);
	pe_count(&w->counters, PE_COUNTER_crossings_pending, 1);
	pe_own_schedule(w, node);
	return PE_PUBLISH_WAITS;
}

// A place in another cell, or the first one. `old_slot` is PE_SLOT_NONE for an entity that was not
// there.
static enum pe_publish publish_elsewhere(struct pe_worker *w, uint32_t handle,
	const struct pe_published *state, uint64_t key, bool owed)
{
	struct pe_engine *e = w->engine;
	struct pe_record *r = &e->table.records[handle];
	enum pe_life life = PE_STATUS_LIFE(atomic_load_explicit(&r->status, memory_order_relaxed));
	bool there = life == PE_LIFE_THERE;
	// An entity that comes back within the grace period of its removal may still be met at its
	// old slot.
	bool arriving = there || (life == PE_LIFE_GONE && !pe_rcu_passed(r->key));
	struct pe_pending *node = pe_own_node(w, handle, arriving);
	uint32_t slot = PE_SLOT_NONE;
	enum pe_status status;

	if (arriving && !node) {
		pe_count(&w->counters, PE_COUNTER_pending_exhausted, 1);
		return PE_PUBLISH_FULL;
	}
	if (node && (node->flags & PE_PENDING_CROSSING)) {
		if (there)
			pe_own_refresh(w, handle, state->expiry_tick);
		return wait(w, node, state, key, owed, false);
	}
	if (!there)
		pe_own_publish_record(w, handle, state); // nobody reads it before the slot is valid
	status = pe_grid_insert(e->grid, w->index, key, state->word, handle, arriving, &slot);
	if (status == PE_BUSY) {
		node = pe_own_node(w, handle, true);
		if (node && there)
			pe_own_refresh(w, handle, state->expiry_tick);
		if (node)
			return wait(w, node, state, key, owed, true);
		pe_count(&w->counters, PE_COUNTER_pending_exhausted, 1);
		return PE_PUBLISH_FULL;
	}
	if (status != PE_OK) {
		if (node)
			pe_own_schedule(w, node);
		return PE_PUBLISH_FULL;
	}
	if (there) {
		pe_own_publish_record(w, handle, state);
		pe_count(&w->counters, PE_COUNTER_crossings, 1);
	} else {
		pe_count(&w->counters, PE_COUNTER_created, 1);
	}
	if (arriving) {
		status = pe_grid_depart(
			e->grid, w->index, handle, there ? r->slot : PE_SLOT_NONE, slot);
		assert(status == PE_OK);
		node->flags |= PE_PENDING_CROSSING;
		node->old_slot = there ? r->slot : PE_SLOT_NONE;
	}
	r->slot = slot;
	r->key = key;
	if (w->watching)
		pe_watch_moved(w, handle);
	if (!there)
		set_life(r, PE_LIFE_THERE);
	return PE_PUBLISHED;
}

bool pe_own_cross(struct pe_worker *w, uint32_t handle, const struct pe_record_words *words,
	uint64_t word, uint64_t key, uint32_t leaf)
{
	struct pe_grid *grid = w->engine->grid;
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t slot;

	if (pe_grid_insert_at(grid, w->index, leaf, key, word, handle, &slot) != PE_OK)
		return false;
	pe_record_publish_words(r, pe_own_draft(w), words);
	r->pending = PE_CROSSES | pe_grid_cross(grid, w->index, handle, r->slot, slot);
	r->slot = slot;
	r->key = key;
	return true;
}

enum pe_publish pe_own_publish(struct pe_worker *w, uint32_t handle,
	const struct pe_published *state, uint64_t key, bool owed)
{
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	bool there = PE_STATUS_LIFE(status) == PE_LIFE_THERE;
	struct pe_pending *node;
	enum pe_publish done = PE_PUBLISHED;

	if (there && key == r->key) {
		pe_grid_store(w->engine->grid, r->slot, state->word);
		pe_own_publish_record(w, handle, state);
	} else {
		done = publish_elsewhere(w, handle, state, key, owed);
	}
	if (done == PE_PUBLISHED) {
		node = pe_own_node(w, handle, false);
		if (node && (node->flags & PE_PENDING_STATE)) // what waited is older
			pe_own_drop_state(w, node);
		if (node)
			pe_own_schedule(w, node);
	}
	if (done != PE_PUBLISH_FULL)
		pe_own_expires(w, handle, state->expiry_tick);
	if (pe_own_clocked(w, state))
		pe_own_clock(w, handle);
	if (__builtin_expect(status & PE_STATUS_PARENT, 0) && done == PE_PUBLISHED)
		pe_frame_follow(w, handle);
	return done;
}

void pe_own_take_away(struct pe_worker *w, uint32_t handle)
{
	struct pe_record *r = &w->engine->table.records[handle];
	struct pe_pending *node = pe_own_node(w, handle, false);
	uint32_t old_slot = PE_SLOT_NONE;

	if (w->watching)
		pe_watch_gone(w, handle);
	if (node) {
		if (node->flags & PE_PENDING_CROSSING)
			old_slot = node->old_slot;
		if (node->flags & PE_PENDING_STATE)
			pe_own_drop_state(w, node);
		give_node(w, node);
	} else if (r->pending != PE_HANDLE_NONE) {
		old_slot = pe_grid_call_off(w->engine->grid, r->pending & ~PE_CROSSES);
		r->pending = PE_HANDLE_NONE;
	}
	// What is gone already keeps its stamp: a newer one would wait for a grace period that
	// nothing asks for.
	if (r->slot != PE_SLOT_NONE) {
		pe_grid_remove(w->engine->grid, w->index, r->slot, old_slot);
		r->slot = PE_SLOT_NONE;
		r->key = pe_rcu_stamp();
	}
	pe_details_drop(w, handle);
	set_life(r, PE_LIFE_GONE);
	pe_wheel_remove(&w->wheel, handle);
	pe_wheel_add(&w->wheel, handle, w->tick + w->engine->config.tombstone_ms);
}

// The pair of a gone entity has been remembered for long enough. Is whose it was to be remembered
// longer?
static bool owner_remembered(struct pe_worker *w, uint32_t handle)
{
	const struct pe_engine *e = w->engine;
	struct pe_record *r = &e->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	uint32_t memory_ms = e->spaces[PE_STATUS_SPACE(status)].policy.owner_memory_ms;

	if (!e->owners.of || !e->owners.of[pe_handle_number(handle)] ||
		PE_STATUS_LIFE(status) != PE_LIFE_GONE || (status & PE_STATUS_FORGOTTEN) ||
		memory_ms <= e->config.tombstone_ms)
		return false;
	r->incarnation = r->sequence = r->time_low = 0;
	atomic_store_explicit(&r->status, status | PE_STATUS_FORGOTTEN, memory_order_relaxed);
	// From when the tombstone was due, however late that is seen.
	pe_wheel_add(&w->wheel, handle, r->wheel.tick + memory_ms - e->config.tombstone_ms);
	return true;
}

void pe_own_unindex(struct pe_worker *w, uint32_t handle, uint64_t hash)
{
	struct pe_table *t = &w->engine->table;
	bool was_there = pe_index_remove(&t->index, hash, handle);

	assert(was_there);
	(void)was_there;
	set_life(&t->records[handle], PE_LIFE_FREE);
	if (w->engine->places.of)
		pe_places_give(&w->engine->places, handle);
	pe_handles_retire(t, &w->handles, handle);
}

// A gone or never filled entity leaves the index: here, or on its partition's worker. Too early or
// no room: a tick later.
void pe_own_leave_index(struct pe_worker *w, uint32_t handle)
{
	struct pe_engine *e = w->engine;
	struct pe_record *r = &e->table.records[handle];
	enum pe_life life = PE_STATUS_LIFE(atomic_load_explicit(&r->status, memory_order_relaxed));
	uint64_t hash = pe_hash_id(&e->table.index.key, r->id);
	unsigned partition = pe_index_partition(&e->table.index, hash);

	if (r->pending != PE_HANDLE_NONE || (life == PE_LIFE_GONE && !pe_rcu_passed(r->key))) {
		pe_wheel_add(&w->wheel, handle, w->tick + 1);
		return;
	}
	if (e->owners.of && owner_remembered(w, handle))
		return;
	// The handle will be another entity's, which is no suspect for this one's sake.
	(void)pe_plausible_forget(w, handle);
	// Of a first state that waited in vain.
	pe_details_drop(w, handle);
	if (partition == w->index) {
		pe_own_unindex(w, handle, hash);
		return;
	}
	struct pe_ring_spsc *ring = pe_ring_between(e, w->index, partition);
	if (pe_ring_spsc_room(ring, 1) < 1) {
		pe_wheel_add(&w->wheel, handle, w->tick + 1);
		return;
	}
	set_life(r, PE_LIFE_REMOVING);
	struct pe_change *c = pe_ring_spsc_put(ring);
	memset(c, 0, sizeof *c);
	c->kind = PE_CHANGE_REMOVE;
	c->handle = handle;
	c->hash = hash;
}
