// The keeper's fences, from their first word to their last.
//
// A fence is ADDed on every worker before it BEGINs on any, so that a message is taken whole or not
// at all; nobody enters before that. It ENDs on every worker, and when the last one has answered
// its memory is freed. What is ordered goes out in the order of enum pe_watch_order, worker by
// worker, as there is room in the rings.
#include "watch.h"

#include <stdlib.h>

static struct pe_watch_fence **fence_bucket(
	const struct pe_watch *x, const struct pe_subscription *s, uint32_t fence_id)
{
	return &x->names[(uint32_t)pe_watch_mix((uint64_t)(s - x->subscriptions), fence_id) &
		x->name_mask];
}

struct pe_watch_fence *pe_watch_find_fence(
	const struct pe_watch *x, const struct pe_subscription *s, uint32_t fence_id)
{
	struct pe_watch_fence *f = *fence_bucket(x, s, fence_id);

	while (f && (f->subscription != s || f->fence_id != fence_id))
		f = f->next_named;
	return f;
}

static void unname_fence(struct pe_watch *x, struct pe_watch_fence *f)
{
	struct pe_watch_fence **at = fence_bucket(x, f->subscription, f->fence_id);

	while (*at && *at != f)
		at = &(*at)->next_named;
	if (*at)
		*at = f->next_named;
}

// ---- orders ----

void pe_watch_order_fence(
	struct pe_worker *w, struct pe_watch_fence *f, enum pe_watch_order order, uint32_t workers)
{
	struct pe_watch *x = w->watch;

	f->todo[order] |= workers;
	if (f->in_orders)
		return;
	f->in_orders = true;
	f->next_order = NULL;
	if (x->orders_last)
		x->orders_last->next_order = f;
	else
		x->orders_first = f;
	x->orders_last = f;
}

static struct pe_watch_message message_of(
	const struct pe_worker *w, const struct pe_watch_fence *f, enum pe_watch_order order)
{
	struct pe_watch_message m = {.fence = (struct pe_watch_fence *)f,
		.order = (uint8_t)order,
		.somewhere = f->somewhere,
		.generation = f->generation,
		.time_ms = w->wall_ms};

	memcpy(m.u.centre, f->centre, sizeof m.u.centre);
	return m;
}

// What is still to be sent to others. False: a ring is full.
static bool order_others(struct pe_worker *w, struct pe_watch_fence *f)
{
	bool whole = true;

	for (unsigned order = 0; order < PE_WATCH_ORDERS; order++)
		for (uint32_t left = f->todo[order] & ~(1u << w->index); left; left &= left - 1) {
			unsigned to = (unsigned)__builtin_ctz(left);
			struct pe_ring_spsc *ring = pe_watch_ring(w->engine, w->index, to);
			struct pe_watch_message m = message_of(w, f, order);
			uint32_t earlier = 0;

			for (unsigned o = 0; o < order; o++)
				earlier |= f->todo[o];
			if (earlier >> to & 1 ||
				pe_ring_spsc_room(ring, PE_WATCH_RING_KEPT / 2) <
					PE_WATCH_RING_KEPT / 2) {
				whole = false;
				continue;
			}
			memcpy(pe_ring_spsc_put(ring), &m, sizeof m);
			f->todo[order] &= ~(1u << to);
		}
	return whole;
}

// What this worker orders of itself; the fence may be gone behind it. False: enough for this turn.
static bool order_self(struct pe_worker *w, struct pe_watch_fence *f)
{
	uint32_t self = 1u << w->index;

	for (unsigned order = 0; order < PE_WATCH_ORDERS; order++) {
		struct pe_watch_message m;

		if (!(f->todo[order] & self))
			continue;
		if ((order == PE_WATCH_ADD || order == PE_WATCH_MOVE) &&
			w->watch->adds >= PE_WATCH_ADDS)
			return false;
		m = message_of(w, f, order);
		f->todo[order] &= ~self;
		pe_watch_obey(w, &m);
	}
	return true;
}

unsigned pe_watch_order_all(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_fence *last = x->orders_last;
	unsigned done = 0;

	while (x->orders_first && done < PE_WATCH_ORDERED) {
		struct pe_watch_fence *f = x->orders_first;
		bool whole, was_last = f == last;

		x->orders_first = f->next_order;
		if (!x->orders_first)
			x->orders_last = NULL;
		f->in_orders = false;
		whole = order_others(w, f);
		whole = order_self(w, f) && whole;
		if (!whole)
			pe_watch_order_fence(w, f, 0, 0);
		done++;
		if (was_last)
			break;
	}
	return done;
}

// ---- fences ----

static void follow_link(struct pe_watch *x, struct pe_watch_fence *f)
{
	if (!x->follows) {
		f->follow_next = f->follow_prev = f;
		x->follows = f;
		return;
	}
	f->follow_next = x->follows;
	f->follow_prev = x->follows->follow_prev;
	f->follow_prev->follow_next = f->follow_next->follow_prev = f;
}

static void follow_unlink(struct pe_watch *x, struct pe_watch_fence *f)
{
	if (!f->follow_next)
		return;
	if (x->follows == f)
		x->follows = f->follow_next == f ? NULL : f->follow_next;
	f->follow_prev->follow_next = f->follow_next;
	f->follow_next->follow_prev = f->follow_prev;
	f->follow_next = NULL;
}

// Where the entity is that the fence follows. True: somewhere else than before.
bool pe_watch_look_after(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_table *t = &w->engine->table;
	uint32_t handle = pe_index_find(
		&t->index, t->records, pe_hash_id(&t->index.key, f->follow_id), f->follow_id);
	bool was = f->somewhere, there = false;
	struct pe_published p;

	f->follow_tick = w->tick + PE_WATCH_FOLLOW_MS;
	if (handle != PE_HANDLE_NONE) {
		const struct pe_record *r = &t->records[handle];
		const struct pe_asker asker = pe_watch_asker(f);
		// LIFE: acquire, before what a new life has published
		uint32_t status = atomic_load_explicit(&r->status, memory_order_acquire);
		struct pe_view view;

		// Who is closed is nowhere, and an anonymous one goes by another name.
		there = PE_STATUS_LIFE(status) == PE_LIFE_THERE &&
			PE_STATUS_SPACE(status) == f->stand.space->index &&
			pe_record_read(r, t->drafts, &p, 1000) &&
			pe_view_build(&asker, r, &p, w->tick, &view) &&
			pe_view_complete(&t->details, handle,
				&w->engine->spaces[f->stand.space->index].rules, &asker, w->tick,
				w->wall_ms, &view) &&
			pe_id_equal(view.id, f->follow_id);
	}
	f->somewhere = there;
	if (!there)
		return was;
	if (was && memcmp(f->centre, p.position, sizeof f->centre) == 0)
		return false;
	memcpy(f->centre, p.position, sizeof f->centre);
	return true;
}

unsigned pe_watch_look_after_all(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_fence *f = x->follows, *first = f;
	unsigned done = 0;

	for (unsigned i = 0; i < PE_WATCH_FOLLOWS; i++) {
		x->follows = f->follow_next;
		// Not before the last order has reached everyone, or they would be out of breath.
		if (f->phase == PE_WATCH_LIVE && !f->todo[PE_WATCH_MOVE] &&
			pe_watch_reached(f->follow_tick, w->tick) && pe_watch_look_after(w, f)) {
			pe_watch_order_fence(w, f, PE_WATCH_MOVE, pe_watch_all(w));
			pe_count(&w->counters, PE_COUNTER_fences_moved, 1);
			done++;
		}
		f = x->follows;
		if (f == first)
			break;
	}
	return done;
}

static void give_back(struct pe_watch_shared *shared, uint32_t bytes)
{
	atomic_fetch_sub_explicit(&shared->fence_count, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&shared->fence_bytes, bytes, memory_order_relaxed);
}

// Memory within the budget. NULL: none.
struct pe_watch_fence *pe_watch_take_fence(struct pe_worker *w, uint32_t parts_bytes)
{
	struct pe_watch_shared *shared = w->engine->watch;
	size_t head = (sizeof(struct pe_watch_fence) + 63) & ~(size_t)63;
	size_t workers =
		(w->engine->config.worker_count * sizeof(struct pe_watch_part) + 63) & ~(size_t)63;
	uint32_t bytes = (uint32_t)(head + workers + parts_bytes);
	uint32_t count = atomic_fetch_add_explicit(&shared->fence_count, 1, memory_order_relaxed);
	uint64_t taken =
		atomic_fetch_add_explicit(&shared->fence_bytes, bytes, memory_order_relaxed);
	struct pe_watch_fence *f = NULL;

	if (count < shared->fence_count_max && taken + bytes <= shared->fence_bytes_max)
		f = pe_heap_take(w->watch->heap, bytes);
	if (!f) {
		give_back(shared, bytes);
		return NULL;
	}
	memset(f, 0, head + workers);
	f->bytes = bytes;
	f->parts = (struct pe_watch_part *)((uint8_t *)f + head);
	for (unsigned i = 0; i < w->engine->config.worker_count; i++)
		f->parts[i].number = PE_WATCH_NONE;
	return f;
}

static void give_fence(struct pe_worker *w, struct pe_watch_fence *f)
{
	give_back(w->engine->watch, f->bytes);
	pe_heap_give(w->watch->heap, f, f->bytes);
}

void pe_watch_enlist(struct pe_watch *x, struct pe_watch_fence *f)
{
	struct pe_subscription *s = f->subscription;
	struct pe_watch_fence **bucket = fence_bucket(x, s, f->fence_id);

	f->next = s->fences;
	if (f->next)
		f->next->link = &f->next;
	f->link = &s->fences;
	s->fences = f;
	f->next_named = *bucket;
	*bucket = f;
	s->fence_count++;
}

static void unlist(struct pe_watch *x, struct pe_watch_fence *f)
{
	if (!f->link)
		return;
	unname_fence(x, f);
	*f->link = f->next;
	if (f->next)
		f->next->link = f->link;
}

void pe_watch_forget_fence(struct pe_worker *w, struct pe_watch_fence *f)
{
	if (f->link)
		f->subscription->fence_count--;
	unlist(w->watch, f);
	give_fence(w, f);
}

// Nothing is walked any more: that is told, unless all is void or about to end.
static void snapshot_whole(struct pe_worker *w, struct pe_subscription *s)
{
	if (!s->walking && !s->gap_wanted && s->state == PE_SUBSCRIPTION_LIVE && !w->watch->leaving)
		pe_watch_event_alone(w, s, PE_EVENT_SNAPSHOT_END, 0);
}

void pe_watch_end_fence(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_subscription *s = f->subscription;

	if (f->phase == PE_WATCH_ENDING)
		return;
	if (f->phase == PE_WATCH_LIVE)
		pe_count(&w->counters, PE_COUNTER_fences_removed, 1);
	f->phase = PE_WATCH_ENDING;
	f->removing = pe_watch_all(w);
	s->fence_count--;
	if (f->walking) {
		s->walking -= (uint32_t)__builtin_popcount(f->walking);
		f->walking = 0;
		snapshot_whole(w, s);
	}
	follow_unlink(w->watch, f);
	f->todo[PE_WATCH_BEGIN] = f->todo[PE_WATCH_MOVE] = f->todo[PE_WATCH_RESTART] = 0;
	pe_watch_order_fence(w, f, PE_WATCH_END, pe_watch_all(w));
}

static void begin_fence(struct pe_worker *w, struct pe_watch_fence *f)
{
	f->phase = PE_WATCH_LIVE;
	f->walking = pe_watch_all(w);
	f->subscription->walking += (uint32_t)__builtin_popcount(f->walking);
	pe_watch_order_fence(w, f, PE_WATCH_BEGIN, pe_watch_all(w));
	if (f->follows)
		follow_link(w->watch, f);
	pe_count(&w->counters, PE_COUNTER_fences_added, 1);
}

void pe_watch_restart(struct pe_worker *w, struct pe_subscription *s)
{
	s->walking = 0;
	for (struct pe_watch_fence *f = s->fences; f; f = f->next) {
		f->generation++;
		if (f->phase != PE_WATCH_LIVE)
			continue;
		f->walking = pe_watch_all(w);
		s->walking += (uint32_t)__builtin_popcount(f->walking);
		pe_watch_order_fence(w, f, PE_WATCH_RESTART, pe_watch_all(w));
	}
	snapshot_whole(w, s);
}

// ---- what workers answer ----

void pe_watch_request_done(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_wire_subscribed done = {.subscription_id = s->subscription_id,
		.epoch = s->epoch,
		.op = s->request.op,
		.fault_index = PE_FAULT_NONE};
	struct pe_wire_header request = {
		.stream_id = s->request.stream_id, .sequence = s->request.sequence};
	bool failed = s->request.failed;

	memcpy(request.space_id, s->space_id, sizeof request.space_id);
	s->request.op = 0;
	for (struct pe_watch_fence *f = s->fences; f; f = f->next)
		if (f->phase == PE_WATCH_ADDING) {
			if (failed)
				pe_watch_end_fence(w, f);
			else
				begin_fence(w, f);
		}
	if (failed) {
		done.reason = s->request.fault_reason;
		done.fault_index = s->request.fault_index;
		pe_watch_outcome(w, s->request.reason);
	} else {
		s->message = s->request.message;
		pe_watch_outcome(w, PE_REASON_none);
	}
	if (s->state == PE_SUBSCRIPTION_OPENING && !failed) {
		s->state = PE_SUBSCRIPTION_LIVE;
		pe_count(&w->counters, PE_COUNTER_subscriptions_opened, 1);
		if (!s->fences)
			pe_watch_event_alone(w, s, PE_EVENT_SNAPSHOT_END, 0);
	}
	if (s->state != PE_SUBSCRIPTION_OPENING || !failed)
		pe_watch_say_state(w, s, &done);
	pe_watch_acknowledge(w, &s->peer, &request, &done);
	if (s->state == PE_SUBSCRIPTION_OPENING)
		pe_watch_end(w, s, PE_ENDED_ENGINE);
}

static void added(struct pe_worker *w, struct pe_watch_fence *f, unsigned from,
	const struct pe_watch_message *m)
{
	struct pe_subscription *s = f->subscription;

	f->adding &= ~(1u << from);
	if (f->phase != PE_WATCH_ADDING || !s->request.op)
		return;
	if (m->reason && !s->request.failed) {
		bool full = m->reason == PE_REASON_fences_full;

		s->request.failed = true;
		s->request.reason = full ? PE_REASON_fences_full : PE_REASON_fence_query;
		s->request.fault_reason = m->reason;
		s->request.fault_index = f->fault_index;
	}
	if (--s->request.adding == 0)
		pe_watch_request_done(w, s);
}

static void walked(
	struct pe_worker *w, struct pe_watch_fence *f, unsigned from, uint32_t generation)
{
	struct pe_subscription *s = f->subscription;

	if (generation != f->generation || !(f->walking >> from & 1))
		return;
	f->walking &= ~(1u << from);
	s->walking--;
	snapshot_whole(w, s);
}

static void removed(struct pe_worker *w, struct pe_watch_fence *f, unsigned from)
{
	struct pe_subscription *s = f->subscription;

	f->removing &= ~(1u << from);
	if (f->removing)
		return;
	unlist(w->watch, f);
	give_fence(w, f);
	pe_watch_last_words(w, s);
}

void pe_watch_answer(struct pe_worker *w, unsigned from, const struct pe_watch_message *m)
{
	struct pe_watch_fence *f = m->fence;

	switch (m->order) {
	case PE_WATCH_ADDED:
		added(w, f, from, m);
		return;
	case PE_WATCH_WALKED:
		walked(w, f, from, m->generation);
		return;
	case PE_WATCH_REMOVED:
		removed(w, f, from);
		return;
	case PE_WATCH_LOST:
		if (m->generation == f->generation)
			pe_watch_gap(w, f->subscription);
		return;
	default:
		return;
	}
}
