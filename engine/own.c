// What an owner does with its entities: publishing, crossings and their settlement, states held back, and what time does
// to them — expiry, the end of a state's duration, tombstones. Only on the owning worker's thread.
#include "internal.h"

#include "base/rcu.h"

static bool reached(uint32_t tick, uint32_t now)
{
	return (int32_t)(now - tick) >= 0;
}

struct pe_pending *pe_own_node(struct pe_worker *w, uint32_t handle, bool make)
{
	struct pe_record *r = &w->engine->table.records[handle];

	if (r->pending == PE_HANDLE_NONE && make)
		r->pending = pe_pending_take(&w->pending, handle);
	return r->pending == PE_HANDLE_NONE ? NULL : &w->pending.nodes[r->pending];
}

static void owed_set(struct pe_worker *w, struct pe_pending *node, bool owed)
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
	owed_set(w, node, false);
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
	struct pe_pending *node = pe_own_node(w, handle, cap_ms || interval_ms);

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
	// An earlier state's cap holds this one for no longer than its own would, and not at all where it names none.
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

// When an entity is to be looked at although nothing comes of it: a RECURRING one when it opens or closes, an announced one when it
// becomes stale. Its expiry, if that is sooner.
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

// Without standing queries nobody is told.
static inline bool clocked(const struct pe_worker *w, const struct pe_published *p)
{
	return __builtin_expect((p->entity_type == PE_ENTITY_RECURRING) |
			       !!(p->attributes & PE_PUBLISHED_ANNOUNCED),
		       0) &&
		w->watch;
}

void pe_own_clock(struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	if (PE_STATUS_LIFE(status) == PE_LIFE_THERE && clocked(w, &r->shown))
		pe_own_expires(w, handle, next_look(w, handle));
}

static void set_life(struct pe_record *r, enum pe_life life)
{
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	// LIFE: release, after the fields that the step has written. What was held back is over.
	atomic_store_explicit(&r->status,
		(status & ~(0xFFu | PE_STATUS_FLAGS | PE_STATUS_FORGOTTEN)) | life,
		memory_order_release);
}

void pe_own_refresh(struct pe_worker *w, uint32_t handle, uint32_t expiry_tick)
{
	pe_record_extend(&w->engine->table.records[handle], expiry_tick);
	pe_own_expires(w, handle, expiry_tick);
}

static void publish_record(struct pe_worker *w, uint32_t handle, const struct pe_published *state)
{
	// To those who see it no more it is gone, whatever it is to others.
	if (__builtin_expect(w->watching, 0) &&
		pe_audience_differs(
			w->engine->table.records[handle].shown.attributes, state->attributes))
		pe_watch_gone(w, handle);
	pe_record_publish(&w->engine->table.records[handle], pe_own_draft(w), state);
	pe_own_forget_held(w, handle);
	pe_watch_shown(w, handle);
}

static enum pe_publish wait(struct pe_worker *w, struct pe_pending *node,
	const struct pe_published *state, uint64_t key, bool owed, bool retry)
{
	if (node->flags & PE_PENDING_STATE)
		pe_own_drop_state(w, node);
	pe_own_forget_held(w, node->handle);
	node->state = *state;
	node->key = key;
	node->flags |= PE_PENDING_STATE | (retry ? PE_PENDING_RETRY : 0);
	node->trailing_until = w->tick + PE_TRAILING_MS;
	owed_set(w, node, owed);
	pe_count(&w->counters, PE_COUNTER_crossings_pending, 1);
	pe_own_schedule(w, node);
	return PE_PUBLISH_WAITS;
}

// A place in another cell, or the first one. `old_slot` is PE_SLOT_NONE for an entity that was not there.
static enum pe_publish publish_elsewhere(struct pe_worker *w, uint32_t handle,
	const struct pe_published *state, uint64_t key, bool owed)
{
	struct pe_engine *e = w->engine;
	struct pe_record *r = &e->table.records[handle];
	enum pe_life life = PE_STATUS_LIFE(atomic_load_explicit(&r->status, memory_order_relaxed));
	bool there = life == PE_LIFE_THERE;
	// An entity that comes back within the grace period of its removal may still be met at its old slot.
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
		publish_record(w, handle, state); // nobody reads it before the slot is valid
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
		publish_record(w, handle, state);
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

bool pe_own_cross(
	struct pe_worker *w, uint32_t handle, const struct pe_published *state, uint64_t key)
{
	struct pe_engine *e = w->engine;
	struct pe_record *r = &e->table.records[handle];
	struct pe_pending *node = pe_own_node(w, handle, true);
	enum pe_status status;
	uint32_t slot;

	if (!node)
		return false;
	if (pe_grid_insert(e->grid, w->index, key, state->word, handle, true, &slot) != PE_OK) {
		give_node(w, node);
		return false;
	}
	pe_record_publish(r, pe_own_draft(w), state);
	pe_count(&w->counters, PE_COUNTER_crossings, 1);
	status = pe_grid_depart(e->grid, w->index, handle, r->slot, slot);
	assert(status == PE_OK);
	(void)status;
	node->flags = PE_PENDING_CROSSING;
	node->old_slot = r->slot;
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
		publish_record(w, handle, state);
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
	if (clocked(w, state))
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

// The pair of a gone entity has been remembered for long enough. Is whose it was to be remembered longer?
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

// A gone or never filled entity leaves the index: here, or on its partition's worker. Too early or no room: a tick later.
static void leave_index(struct pe_worker *w, uint32_t handle)
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

static void fall_back(struct pe_published *p)
{
	p->attributes = (uint16_t)((p->attributes & ~7u) | PE_STATE_INACTIVE);
	p->custom_state = 0;
}

// A state that waited is due, and nothing stands before it any more.
static void publish_waiting(struct pe_worker *w, struct pe_pending *node)
{
	struct pe_published state = node->state;
	uint32_t handle = node->handle, cap_ms = node->cap_ms, interval_ms = node->interval_ms;
	uint32_t until = node->waiting_until;
	uint64_t key = node->key;
	bool owed = node->flags & PE_PENDING_OWED, timed = node->flags & PE_PENDING_STATE_TIMED;

	owed_set(w, node, false);
	node->flags &= ~(PE_PENDING_STATE | PE_PENDING_RETRY | PE_PENDING_STATE_TIMED);
	if (timed && reached(until, w->tick)) {
		fall_back(&state);
		pe_count(&w->counters, PE_COUNTER_status_elapsed, 1);
		timed = false;
	}
	switch (pe_own_publish(w, handle, &state, key, owed)) {
	case PE_PUBLISHED:
		pe_count(&w->counters, owed ? PE_COUNTER_records_applied : PE_COUNTER_trailing, 1);
		pe_own_duration(w, handle, timed, until);
		pe_own_begin_holds(w, handle, cap_ms, interval_ms);
		return;
	case PE_PUBLISH_FULL:
		if (owed)
			pe_count_reason(&w->counters, PE_REASON_grid_full, 1);
		// A first state that comes to nothing leaves nothing.
		if (owed &&
			PE_STATUS_LIFE(atomic_load_explicit(
				&w->engine->table.records[handle].status, memory_order_relaxed)) !=
				PE_LIFE_THERE)
			pe_details_drop(w, handle);
		node = pe_own_node(w, handle, !owed);
		if (node && !owed) {
			// It was taken, so it may not be lost: once more when there may be room.
			node->state = state;
			node->key = key;
			node->flags |= PE_PENDING_STATE;
			node->trailing_until = w->tick + PE_TRAILING_MS;
			pe_own_wait_times(
				w, node, timed ? until - w->tick : 0, cap_ms, interval_ms);
		} else if (node) {
			pe_own_schedule(w, node);
		}
		return;
	case PE_PUBLISH_WAITS:
		pe_own_wait_times(w, pe_own_node(w, handle, false), timed ? until - w->tick : 0,
			cap_ms, interval_ms);
		return;
	}
}

struct pe_published pe_own_held_state(const struct pe_record *r)
{
	const struct pe_held_state *held = pe_record_held(r);
	struct pe_published state = r->shown;

	memcpy(state.position, held->position, sizeof state.position);
	memcpy(state.velocity, held->velocity, sizeof state.velocity);
	state.time_ms += (uint64_t)(int32_t)(r->time_low - (uint32_t)state.time_ms);
	if (atomic_load_explicit(&r->status, memory_order_relaxed) & PE_STATUS_OLDER)
		state.time_ms -= *pe_record_older(r);
	return state;
}

// What a record held back goes another way than within its cell.
static void publish_held_elsewhere(struct pe_worker *w, uint32_t handle,
	const struct pe_published *state, uint64_t key, bool course)
{
	switch (pe_own_publish(w, handle, state, key, false)) {
	case PE_PUBLISHED:
		pe_count(&w->counters, PE_COUNTER_trailing, 1);
		return;
	case PE_PUBLISH_WAITS:
		pe_own_wait_times(w, pe_own_node(w, handle, false), 0, 0, 0);
		return;
	case PE_PUBLISH_FULL:
		// It was taken, so it may not be lost: once more when there may be room. Its entry has just been taken out.
		if (course) {
			pe_coalesce_hold_course(w, handle, state->position, state->velocity,
				w->tick + PE_TRAILING_MS);
			return;
		}
		pe_own_forget_held(w, handle);
		if (!pe_coalesce_hold(w, handle, state->position, state->velocity))
			assert(!"no room where there was");
		return;
	}
}

// Does the record still hold back what the entry is about? Otherwise it was published or removed meanwhile, or holds anew.
static bool holds(const struct pe_worker *w, const struct pe_held_entry *e)
{
	const struct pe_record *r = &w->engine->table.records[e->handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	return PE_STATUS_LIFE(status) == PE_LIFE_THERE && PE_STATUS_OWNER(status) == w->index &&
		(status & (PE_STATUS_HELD | PE_STATUS_COURSE)) == PE_STATUS_HELD &&
		pe_record_held(r)->due == (uint16_t)e->due;
}

static void publish_held(struct pe_worker *w, uint32_t handle)
{
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	struct pe_published state = pe_own_held_state(r);
	struct pe_place place;
	enum pe_reason reason;

	reason = pe_space_locate(
		&w->engine->spaces[PE_STATUS_SPACE(status)].space, state.position, &place);
	assert(reason == PE_REASON_none); // it was found when it was held
	(void)reason;
	state.word = place.word;
	place.key = pe_views_key(
		&w->engine->views, PE_STATUS_SPACE(status), state.attributes, place.key);
	if (place.key != r->key) {
		publish_held_elsewhere(w, handle, &state, place.key, status & PE_STATUS_COURSE);
		return;
	}
	pe_grid_store_settled(w->engine->grid, r->slot, place.word);
	publish_record(w, handle, &state);
	pe_count(&w->counters, PE_COUNTER_trailing, 1);
	if (status & PE_STATUS_PARENT)
		pe_frame_follow(w, handle);
}

// The timer of an entity whose record holds back what its course covered: its own, or that of its life, which it is put back for.
__attribute__((noinline)) static void course_due(struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t due = pe_coalesce_course_due(w, r);

	if (reached(due, w->tick))
		publish_held(w, handle);
	else
		pe_own_expires(w, handle, due);
	pe_own_expires(w, handle, r->shown.expiry_tick);
}

static void entity_due(struct pe_worker *w, uint32_t handle)
{
	struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	switch (PE_STATUS_LIFE(status)) {
	case PE_LIFE_THERE: {
		uint32_t expiry = r->shown.expiry_tick;

		if (status & PE_STATUS_COURSE)
			course_due(w, handle);
		if (!reached(expiry, w->tick)) {
			if (!(status & PE_STATUS_COURSE))
				pe_wheel_add(&w->wheel, handle, expiry);
			if (clocked(w, &r->shown)) {
				pe_watch_changed(w, handle);
				pe_own_clock(w, handle);
			}
			return;
		}
		pe_count(&w->counters, PE_COUNTER_expired, 1);
		pe_own_take_away(w, handle);
		return;
	}
	case PE_LIFE_EMPTY:
	case PE_LIFE_GONE:
		leave_index(w, handle);
		return;
	default:
		return;
	}
}

// In stages, as updates: records, what the entries still hold of them, slots.
static unsigned publish_due(struct pe_worker *w)
{
	struct pe_held_entry due[PE_OWN_BATCH];
	const struct pe_held_entry *next;
	unsigned done = 0, n;

	do {
		for (n = 0; n < PE_OWN_BATCH && (next = pe_held_front(&w->held)) &&
			reached(next->due, w->tick);
			n++) {
			struct pe_record *r = &w->engine->table.records[next->handle];

			pe_prefetch(r);
			pe_prefetch(&r->key);
			pe_prefetch(pe_record_held(r));
			due[n] = *next;
			pe_held_pop(&w->held);
		}
		for (unsigned i = 0; i < n; i++)
			if (holds(w, &due[i]))
				pe_grid_prefetch_slot(w->engine->grid,
					w->engine->table.records[due[i].handle].slot);
		for (unsigned i = 0; i < n; i++)
			if (holds(w, &due[i]))
				publish_held(w, due[i].handle);
		done += n;
	} while (n == PE_OWN_BATCH && done < PE_HELD_BATCH);
	return done;
}

static void elapse(struct pe_worker *w, struct pe_pending *node)
{
	struct pe_record *r = &w->engine->table.records[node->handle];
	struct pe_published p = r->shown;

	node->flags &= ~PE_PENDING_DURATION;
	fall_back(&p);
	pe_record_publish(r, pe_own_draft(w), &p);
	pe_watch_changed(w, node->handle);
	pe_count(&w->counters, PE_COUNTER_status_elapsed, 1);
}

static void node_due(struct pe_worker *w, uint32_t number)
{
	struct pe_pending *node = &w->pending.nodes[number];

	if ((node->flags & PE_PENDING_DURATION) && reached(node->state_until, w->tick))
		elapse(w, node);
	if ((node->flags & PE_PENDING_CAP) && reached(node->cap_until, w->tick))
		node->flags &= ~PE_PENDING_CAP;
	if ((node->flags & PE_PENDING_INTERVAL) && reached(node->interval_until, w->tick))
		node->flags &= ~PE_PENDING_INTERVAL;
	if ((node->flags & PE_PENDING_STATE) &&
		!(node->flags & (PE_PENDING_CROSSING | PE_PENDING_CAP)) &&
		(reached(node->trailing_until, w->tick) ||
			(node->flags & (PE_PENDING_RETRY | PE_PENDING_OWED))))
		publish_waiting(w, node);
	else
		pe_own_schedule(w, node);
}

static void settle(struct pe_worker *w, const struct pe_departure *d)
{
	struct pe_record *r = &w->engine->table.records[d->handle];
	struct pe_pending *node;

	if (PE_STATUS_OWNER(atomic_load_explicit(&r->status, memory_order_relaxed)) != w->index)
		return;
	node = pe_own_node(w, d->handle, false);
	if (!node || !(node->flags & PE_PENDING_CROSSING) || node->old_slot != d->old_slot ||
		r->slot != d->new_slot)
		return;
	pe_grid_settle(w->engine->grid, w->index, d->old_slot, d->new_slot);
	node->flags &= ~PE_PENDING_CROSSING;
	node->old_slot = PE_SLOT_NONE;
	if ((node->flags & PE_PENDING_OWED) && !(node->flags & PE_PENDING_CAP))
		publish_waiting(w, node);
	else
		pe_own_schedule(w, node);
}

unsigned pe_own_turn(struct pe_worker *w)
{
	uint32_t nodes[PE_OWN_BATCH];
	struct pe_departure departures[PE_OWN_BATCH];
	unsigned departed = 0, held, due, waiting, n, rounds = 0;

	// As many as one turn's records can make, or the pending nodes that crossings hold would run out.
	do {
		n = pe_grid_poll(w->engine->grid, w->index, departures, PE_OWN_BATCH);
		for (unsigned i = 0; i < n; i++) {
			pe_prefetch(&w->engine->table.records[departures[i].handle]);
			pe_grid_prefetch_departure(w->engine->grid, &departures[i]);
		}
		for (unsigned i = 0; i < n; i++)
			settle(w, &departures[i]);
		departed += n;
	} while (n == PE_OWN_BATCH && ++rounds < PE_BURST_MAX * PE_UPDATE_COUNT_MAX / PE_OWN_BATCH);
	waiting = pe_wheel_due(&w->pending.wheel, w->tick, nodes, PE_OWN_BATCH, PE_WHEEL_WORK);
	for (unsigned i = 0; i < waiting; i++)
		node_due(w, nodes[i]);
	held = publish_due(w);
	// What courses cover is due as often as updates come: as many as one turn's records can make.
	rounds = w->engine->predicts ? PE_HELD_BATCH / PE_OWN_BATCH : 1;
	due = 0;
	do {
		n = pe_wheel_due(&w->wheel, w->tick, nodes, PE_OWN_BATCH, PE_WHEEL_WORK);
		for (unsigned i = 0; i < n; i++)
			pe_prefetch(&w->engine->table.records[nodes[i]]);
		for (unsigned i = 0; i < n; i++)
			entity_due(w, nodes[i]);
		due += n;
	} while (n == PE_OWN_BATCH && --rounds);
	if (w->watching)
		pe_watch_look(w);
	pe_handles_reclaim(&w->engine->table, &w->handles, PE_OWN_BATCH);
	pe_details_reclaim(&w->arena, PE_OWN_BATCH);
	return departed + waiting + held + due;
}
