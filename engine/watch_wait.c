// What waits at a subscription's keeper until it is told: merged by pair, in lists, within the room
// that all subscriptions have together; and the GAP when more came about than may be kept.
// watch_tell.c takes it from there.
//
// A pair's changes while it waits: ENTER then LEAVE tells nothing, MOVEs the last, LEAVE then ENTER
// both. What is urgent (ENTER, LEAVE, what is the subscription's) leaves in the order in which it
// came to wait; MOVEs wait apart where they are limited.
#include "watch.h"

#include "base/prefetch.h"

#define NONE PE_WATCH_NONE

// ---- lists and buckets ----

static void list_put(struct pe_watch *x, struct pe_waiting_list *list, uint32_t n)
{
	x->waiting[n].next = NONE;
	x->waiting[n].prev = list->last;
	if (list->last != NONE)
		x->waiting[list->last].next = n;
	else
		list->first = n;
	list->last = n;
	list->count++;
}

static void list_take(struct pe_watch *x, struct pe_waiting_list *list, uint32_t n)
{
	struct pe_waiting *p = &x->waiting[n];

	if (p->next != NONE)
		x->waiting[p->next].prev = p->prev;
	else
		list->last = p->prev;
	if (p->prev != NONE)
		x->waiting[p->prev].next = p->next;
	else
		list->first = p->next;
	list->count--;
}

// Ids come from strangers: keyed, as in the index of entities.
static uint32_t *bucket_of(
	const struct pe_watch *x, uint32_t subscription, uint32_t fence_id, const uint8_t id[16])
{
	uint64_t mixed = ((uint64_t)subscription << 32 | fence_id) * 0x9E3779B97F4A7C15ull;

	mixed = (mixed ^ mixed >> 31 ^ pe_hash_id(x->key, id)) * 0xBF58476D1CE4E5B9ull;
	return &x->waiting_buckets[(uint32_t)(mixed >> 32) & x->waiting_mask];
}

static uint32_t find(
	const struct pe_watch *x, uint32_t subscription, uint32_t fence_id, const uint8_t id[16])
{
	uint32_t n = *bucket_of(x, subscription, fence_id, id);

	while (n != NONE &&
		(x->waiting[n].subscription != subscription || x->waiting[n].fence_id != fence_id ||
			!pe_id_equal(x->waiting[n].result.entity_id, id)))
		n = x->waiting[n].chain;
	return n;
}

static bool is_move(const struct pe_waiting *p)
{
	return p->waits == PE_WAITS_MOVE && !p->opened;
}

static struct pe_waiting_list *list_of(struct pe_subscription *s, const struct pe_waiting *p)
{
	return is_move(p) ? &s->moves : &s->at_once;
}

static void give(struct pe_watch *x, uint32_t n)
{
	struct pe_waiting *p = &x->waiting[n];
	struct pe_subscription *s = &x->subscriptions[p->subscription];

	atomic_store_explicit(&s->waits, atomic_load_explicit(&s->waits, memory_order_relaxed) - 1,
		memory_order_relaxed);

	if (p->waits) {
		uint32_t *at = bucket_of(x, p->subscription, p->fence_id, p->result.entity_id);

		while (*at != n)
			at = &x->waiting[*at].chain;
		*at = p->chain;
	}
	p->chain = x->waiting_free;
	x->waiting_free = n;
}

void pe_watch_open_moves(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_watch *x = w->watch;
	uint32_t n;

	if (!s->moves.count || !pe_watch_reached(s->moves_tick, w->tick))
		return;
	s->moves_tick = w->tick + s->move_interval_ms;
	n = s->moves.first;
	if (s->at_once.last != NONE) {
		x->waiting[s->at_once.last].next = n;
		x->waiting[n].prev = s->at_once.last;
	} else {
		s->at_once.first = n;
	}
	s->at_once.last = s->moves.last;
	s->at_once.count += s->moves.count;
	s->moves = (struct pe_waiting_list){NONE, NONE, 0};
	for (; n != NONE; n = x->waiting[n].next)
		x->waiting[n].opened = true;
}

void pe_watch_told(struct pe_watch *x, struct pe_subscription *s)
{
	uint32_t n = s->at_once.first;

	if (n == s->end_marker)
		s->end_marker = NONE;
	list_take(x, &s->at_once, n);
	give(x, n);
}

static void drop_list(struct pe_watch *x, struct pe_waiting_list *list)
{
	while (list->count) {
		uint32_t n = list->first;

		list_take(x, list, n);
		give(x, n);
	}
}

void pe_watch_forget(struct pe_worker *w, struct pe_subscription *s)
{
	drop_list(w->watch, &s->at_once);
	drop_list(w->watch, &s->moves);
	s->end_marker = NONE;
	pe_watch_consider(w, s);
}

// ---- what comes to wait ----

void pe_watch_gap(struct pe_worker *w, struct pe_subscription *s)
{
	if (s->gap_wanted)
		return;
	s->gap_wanted = true;
	s->resend = 0;
	pe_watch_forget(w, s);
}

// The one that has most waiting makes room for the others.
static struct pe_subscription *slowest(struct pe_watch *x)
{
	struct pe_subscription *found = &x->subscriptions[0];

	for (uint32_t i = 1; i < x->subscription_count_max; i++)
		if (atomic_load_explicit(&x->subscriptions[i].waits, memory_order_relaxed) >
			atomic_load_explicit(&found->waits, memory_order_relaxed))
			found = &x->subscriptions[i];
	return found;
}

static uint32_t take(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_watch *x = w->watch;
	uint32_t n, waits = atomic_load_explicit(&s->waits, memory_order_relaxed);

	if (x->waiting_free == NONE && waits < x->waiting_count_max / 2)
		pe_watch_gap(w, slowest(x));
	n = x->waiting_free;
	// One that is slow leaves the others their room.
	if (n == NONE || waits >= x->waiting_count_max / 2 || s->gap_wanted) {
		pe_count(&w->counters, PE_COUNTER_events_lost, 1);
		pe_watch_gap(w, s);
		return NONE;
	}
	atomic_store_explicit(&s->waits, atomic_load_explicit(&s->waits, memory_order_relaxed) + 1,
		memory_order_relaxed);
	x->waiting_free = x->waiting[n].chain;
	x->waiting[n].subscription = pe_watch_number(x, s);
	x->waiting[n].tick = w->tick;
	return n;
}

static void merge(struct pe_waiting *p, const struct pe_watch_message *m)
{
	if (m->kind == PE_EVENT_LEAVE) {
		p->waits = PE_WAITS_LEAVE;
		p->leave_cause = m->cause;
		p->leave_flags = m->flags;
		p->leave_time_ms = m->time_ms;
	} else {
		if (m->kind == PE_EVENT_ENTER)
			p->waits |= PE_WAITS_ENTER;
		else if (!(p->waits & PE_WAITS_ENTER))
			p->waits = PE_WAITS_MOVE;
		p->flags = (uint16_t)(m->kind == PE_EVENT_ENTER ? m->flags : p->flags | m->flags);
		p->time_ms = m->time_ms;
	}
	p->result = m->u.result;
}

static void wait_new(
	struct pe_worker *w, struct pe_subscription *s, const struct pe_watch_message *m)
{
	struct pe_watch *x = w->watch;
	uint32_t n = take(w, s), *bucket;
	struct pe_waiting *p;

	if (n == NONE)
		return;
	p = &x->waiting[n];
	p->fence_id = m->fence->fence_id;
	p->waits = 0;
	p->flags = 0;
	p->opened = false;
	merge(p, m);
	bucket = bucket_of(x, p->subscription, p->fence_id, p->result.entity_id);
	p->chain = *bucket;
	*bucket = n;
	list_put(x, list_of(s, p), n);
}

// Pieces of payloads are never merged. They come behind MOVEs, unless these wait for a frequency.
static void wait_piece(
	struct pe_worker *w, struct pe_subscription *s, const struct pe_watch_message *m)
{
	struct pe_watch *x = w->watch;
	uint32_t n = take(w, s);
	struct pe_waiting *p;

	if (n == NONE)
		return;
	if (!s->move_interval_ms)
		pe_watch_open_moves(w, s);
	p = &x->waiting[n];
	p->fence_id = m->fence->fence_id;
	p->waits = 0;
	p->kind = m->kind;
	p->cause = m->cause;
	p->flags = m->flags;
	p->time_ms = m->time_ms;
	p->result = m->u.result;
	list_put(x, &s->at_once, n);
	pe_watch_consider(w, s);
}

bool pe_watch_waits(
	const struct pe_worker *w, const struct pe_watch_fence *f, const uint8_t entity_id[16])
{
	const struct pe_watch *x = w->watch;

	return find(x, pe_watch_number(x, f->subscription), f->fence_id, entity_id) != NONE;
}

void pe_watch_event(struct pe_worker *w, const struct pe_watch_message *m)
{
	struct pe_watch *x = w->watch;
	struct pe_subscription *s = m->fence->subscription;
	struct pe_waiting *p;
	uint32_t n;

	// Of before a GAP, or of what begins anew anyhow.
	if (m->generation != m->fence->generation || s->gap_wanted || s->silent || x->leaving)
		return;
	if (m->kind == PE_EVENT_PAYLOAD) {
		wait_piece(w, s, m);
		return;
	}
	n = find(x, pe_watch_number(x, s), m->fence->fence_id, m->u.result.entity_id);
	if (n == NONE) {
		wait_new(w, s, m);
		pe_watch_consider(w, s);
		return;
	}
	p = &x->waiting[n];
	if (m->kind == PE_EVENT_ENTER && p->waits == PE_WAITS_LEAVE) {
		merge(p, m);
	} else if (m->kind == PE_EVENT_LEAVE && p->waits == PE_WAITS_ENTER) {
		pe_count(&w->counters, PE_COUNTER_events_merged, 2);
		list_take(x, &s->at_once, n);
		give(x, n);
	} else if (m->kind == PE_EVENT_LEAVE && (p->waits & PE_WAITS_LEAVE)) {
		pe_count(&w->counters, PE_COUNTER_events_merged, 2);
		merge(p, m);
	} else {
		pe_count(&w->counters, PE_COUNTER_events_merged, 1);
		if (is_move(p) && m->kind == PE_EVENT_LEAVE) {
			list_take(x, &s->moves, n);
			p->tick = w->tick;
			list_put(x, &s->at_once, n);
		}
		merge(p, m);
	}
	pe_watch_consider(w, s);
}

void pe_watch_put_heard(struct pe_worker *w, const struct pe_watch_message *m)
{
	struct pe_watch *x = w->watch;

	x->heard[x->heard_count++] = *m;
	pe_prefetch(bucket_of(x, pe_watch_number(x, m->fence->subscription), m->fence->fence_id,
		m->u.result.entity_id));
	if (x->heard_count == PE_WATCH_HEARD)
		pe_watch_hear_all(w);
}

void pe_watch_hear_all(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;

	for (unsigned i = 0; i < x->heard_count; i++)
		pe_watch_event(w, &x->heard[i]);
	x->heard_count = 0;
}

void pe_watch_event_alone(
	struct pe_worker *w, struct pe_subscription *s, unsigned kind, unsigned cause)
{
	struct pe_watch *x = w->watch;
	uint32_t n;

	if (kind == PE_EVENT_SNAPSHOT_END && s->end_marker != NONE) {
		n = s->end_marker;
		list_take(x, &s->at_once, n);
	} else {
		n = take(w, s);
	}
	if (n == NONE)
		return;
	x->waiting[n].waits = 0;
	x->waiting[n].kind = (uint8_t)kind;
	x->waiting[n].cause = (uint8_t)cause;
	x->waiting[n].time_ms = w->wall_ms;
	if (kind == PE_EVENT_SNAPSHOT_END)
		s->end_marker = n;
	list_put(x, &s->at_once, n);
	pe_watch_consider(w, s);
}
