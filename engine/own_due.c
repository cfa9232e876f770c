// What time does to an owner's entities: states that waited or were held back are published,
// crossings settle, durations end, ttls and tombstones pass. Only on the owning worker's thread.
#include "own.h"

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

	pe_own_owe(w, node, false);
	node->flags &= ~(PE_PENDING_STATE | PE_PENDING_RETRY | PE_PENDING_STATE_TIMED);
	if (timed && pe_own_reached(until, w->tick)) {
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
		// It was taken, so it may not be lost: once more when there may be room. Its entry
		// has just been taken out.
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

// What there is to do about an entity that was taken out of the queue.
enum held_entry {
	HELD_NOTHING, // it was published or removed meanwhile, or is another worker's by now
	HELD_LATER,   // it holds back again, something newer
	HELD_DUE
};

// When what the record holds now is due. Not before the entry, which was put in when it held
// something the first time; so that a worker that stood still for minutes is not misled by the low
// bits that there are of it.
static uint32_t true_due(
	const struct pe_worker *w, const struct pe_record *r, const struct pe_held_entry *e)
{
	uint16_t behind = (uint16_t)(pe_record_held(r)->due - e->tick);

	return behind < PE_HELD_TICKS ? e->tick + behind : w->tick;
}

static enum held_entry held_entry(const struct pe_worker *w, const struct pe_held_entry *e)
{
	const struct pe_record *r = &w->engine->table.records[e->handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	if (PE_STATUS_LIFE(status) != PE_LIFE_THERE || PE_STATUS_OWNER(status) != w->index ||
		(status & (PE_STATUS_QUEUED | PE_STATUS_HELD | PE_STATUS_COURSE)) !=
			(PE_STATUS_QUEUED | PE_STATUS_HELD))
		return HELD_NOTHING;
	return pe_own_reached(true_due(w, r, e), w->tick) ? HELD_DUE : HELD_LATER;
}

// Its entry is taken out for good. Not of a record that another worker has by now, or is taking
// over.
static void unqueue(struct pe_worker *w, uint32_t handle)
{
	_Atomic uint32_t *at = &w->engine->table.records[handle].status;
	uint32_t status = atomic_load_explicit(at, memory_order_relaxed);

	if (PE_STATUS_OWNER(status) == w->index && (status & PE_STATUS_QUEUED))
		atomic_store_explicit(at, status & ~PE_STATUS_QUEUED, memory_order_relaxed);
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
	pe_own_publish_record(w, handle, &state);
	pe_count(&w->counters, PE_COUNTER_trailing, 1);
	if (status & PE_STATUS_PARENT)
		pe_frame_follow(w, handle);
}

// The timer of an entity whose record holds back what its course covered: its own, or that of its
// life, which it is put back for.
__attribute__((noinline)) static void course_due(struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t due = pe_coalesce_course_due(w, r);

	if (pe_own_reached(due, w->tick))
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
		if (!pe_own_reached(expiry, w->tick)) {
			if (!(status & PE_STATUS_COURSE))
				pe_wheel_add(&w->wheel, handle, expiry);
			if (pe_own_clocked(w, &r->shown)) {
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
		pe_own_leave_index(w, handle);
		return;
	default:
		return;
	}
}

// In stages, as updates: records, what they still hold, slots.
static unsigned publish_due(struct pe_worker *w)
{
	const struct pe_record *records = w->engine->table.records;
	struct pe_held_entry due[PE_OWN_BATCH];
	unsigned done = 0, n;

	do {
		n = pe_held_take(&w->held, w->tick, due, PE_OWN_BATCH);
		for (unsigned i = 0; i < n; i++) {
			const struct pe_record *r = &records[due[i].handle];

			pe_prefetch_two(r, &r->key);
			pe_prefetch(pe_record_held(r));
		}
		for (unsigned i = 0; i < n; i++)
			if (held_entry(w, &due[i]) == HELD_DUE)
				pe_grid_prefetch_slot(w->engine->grid, records[due[i].handle].slot);
		for (unsigned i = 0; i < n; i++) {
			uint32_t handle = due[i].handle;
			enum held_entry entry = held_entry(w, &due[i]);

			if (entry == HELD_LATER) {
				pe_held_push(
					&w->held, handle, true_due(w, &records[handle], &due[i]));
				continue;
			}
			unqueue(w, handle);
			if (entry == HELD_DUE)
				publish_held(w, handle);
		}
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

	if ((node->flags & PE_PENDING_DURATION) && pe_own_reached(node->state_until, w->tick))
		elapse(w, node);
	if ((node->flags & PE_PENDING_CAP) && pe_own_reached(node->cap_until, w->tick))
		node->flags &= ~PE_PENDING_CAP;
	if ((node->flags & PE_PENDING_INTERVAL) && pe_own_reached(node->interval_until, w->tick))
		node->flags &= ~PE_PENDING_INTERVAL;
	if ((node->flags & PE_PENDING_STATE) &&
		!(node->flags & (PE_PENDING_CROSSING | PE_PENDING_CAP)) &&
		(pe_own_reached(node->trailing_until, w->tick) ||
			(node->flags & (PE_PENDING_RETRY | PE_PENDING_OWED))))
		publish_waiting(w, node);
	else
		pe_own_schedule(w, node);
}

// What crossed is there for as long as it crosses. Of a handle that is somebody else's by now, or
// about to be, nothing but this may be read.
static bool crosses(const struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	return PE_STATUS_OWNER(status) == w->index && PE_STATUS_LIFE(status) == PE_LIFE_THERE;
}

static void settle(struct pe_worker *w, const struct pe_departure *d)
{
	struct pe_record *r = &w->engine->table.records[d->handle];
	struct pe_pending *node;

	if (!crosses(w, d->handle))
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

// Those that wait for nothing but their crossing, which are nearly all. As many as one turn's
// records can make.
static unsigned settle_crossed(struct pe_worker *w)
{
	struct pe_departure crossed[PE_OWN_BATCH];
	unsigned done = 0, rounds = 0, n;
	bool more;

	do {
		n = pe_grid_crossed(w->engine->grid, w->index, crossed, PE_OWN_BATCH, &more);
		for (unsigned i = 0; i < n; i++) {
			pe_prefetch(&w->engine->table.records[crossed[i].handle].pending);
			pe_grid_prefetch_departure(w->engine->grid, &crossed[i]);
		}
		if (!n)
			continue;
		pe_grid_settle_crossed(w->engine->grid, w->index, crossed, n);
		for (unsigned i = 0; i < n; i++)
			w->engine->table.records[crossed[i].handle].pending = PE_HANDLE_NONE;
		done += n;
	} while (more && ++rounds < 2 * PE_HELD_BATCH / PE_OWN_BATCH);
	return done;
}

static void prefetch_node(const struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];

	if (crosses(w, handle) && !(r->pending & PE_CROSSES))
		pe_prefetch(&w->pending.nodes[r->pending]);
}

unsigned pe_own_turn(struct pe_worker *w)
{
	uint32_t nodes[PE_OWN_BATCH];
	struct pe_departure departures[PE_OWN_BATCH];
	unsigned departed = settle_crossed(w), held, due, waiting, n, rounds = 0;

	// As many as one turn's records can make, or the pending nodes that crossings hold would
	// run out.
	do {
		n = pe_grid_poll(w->engine->grid, w->index, departures, PE_OWN_BATCH);
		for (unsigned i = 0; i < n; i++) {
			const struct pe_record *r = &w->engine->table.records[departures[i].handle];

			pe_prefetch_two(r, &r->pending);
			pe_grid_prefetch_departure(w->engine->grid, &departures[i]);
		}
		for (unsigned i = 0; i < n; i++)
			prefetch_node(w, departures[i].handle);
		for (unsigned i = 0; i < n; i++)
			settle(w, &departures[i]);
		departed += n;
	} while (n == PE_OWN_BATCH && ++rounds < PE_BURST_MAX * PE_UPDATE_COUNT_MAX / PE_OWN_BATCH);
	waiting = pe_wheel_due(&w->pending.wheel, w->tick, nodes, PE_OWN_BATCH, PE_WHEEL_WORK);
	for (unsigned i = 0; i < waiting; i++)
		node_due(w, nodes[i]);
	held = publish_due(w);
	// What courses cover is due as often as updates come: as many as one turn's records can
	// make.
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
