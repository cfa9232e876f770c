// What a subscription's keeper tells: what waits, merged by pair; numbers, which are given when something is sent; notices by class;
// the log from which they are sent again; and the GAP when more came about than may be kept.
//
// A pair's changes while it waits: ENTER then LEAVE tells nothing, MOVEs the last, LEAVE then ENTER both. What is urgent (ENTER,
// LEAVE, what is the subscription's) leaves in the order in which it came to wait; MOVEs wait apart where they are limited.
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

static uint32_t number_of(const struct pe_watch *x, const struct pe_subscription *s)
{
	return (uint32_t)(s - x->subscriptions);
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
	x->waiting[n].subscription = number_of(x, s);
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

// Pieces of payloads are never merged.
static void wait_piece(
	struct pe_worker *w, struct pe_subscription *s, const struct pe_watch_message *m)
{
	struct pe_watch *x = w->watch;
	uint32_t n = take(w, s);
	struct pe_waiting *p;

	if (n == NONE)
		return;
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

	return find(x, number_of(x, f->subscription), f->fence_id, entity_id) != NONE;
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
	n = find(x, number_of(x, s), m->fence->fence_id, m->u.result.entity_id);
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
	pe_prefetch(bucket_of(x, number_of(x, m->fence->subscription), m->fence->fence_id,
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

// ---- when something can be sent ----

static uint64_t window_left(const struct pe_worker *w, const struct pe_subscription *s)
{
	uint64_t unacknowledged = s->next_sequence - s->acknowledged;

	if (!s->window || s->state == PE_SUBSCRIPTION_ENDING)
		return w->engine->watch->events_max;
	return unacknowledged < s->window ? s->window - unacknowledged : 0;
}

// From when on what waits may be sent; *none: nothing waits, or only for an acknowledgement.
static uint32_t due_tick(const struct pe_worker *w, const struct pe_subscription *s, bool *none)
{
	const struct pe_watch *x = w->watch;
	uint32_t at_once = w->tick, moves = w->tick;

	*none = false;
	if (s->resend)
		return w->tick;
	if (window_left(w, s) < 2) {
		*none = true;
		return w->tick;
	}
	if (s->gap_wanted)
		return pe_watch_reached(s->gap_tick, w->tick) ? w->tick : s->gap_tick;
	*none = !s->at_once.count && !s->moves.count;
	if (*none || s->state == PE_SUBSCRIPTION_ENDING)
		return w->tick;
	if ((s->flags & PE_SUBSCRIBE_BATCH_UPDATES) &&
		s->at_once.count + s->moves.count < PE_NOTICE_EVENTS_MAX) {
		if (s->at_once.count)
			at_once = x->waiting[s->at_once.first].tick + PE_NOTICE_BATCH_MS;
		if (s->moves.count)
			moves = x->waiting[s->moves.first].tick + PE_NOTICE_BATCH_MS;
	}
	if (s->moves.count && !pe_watch_reached(s->moves_tick, moves))
		moves = s->moves_tick;
	if (!s->moves.count)
		return at_once;
	if (!s->at_once.count)
		return moves;
	return pe_watch_reached(at_once, moves) ? at_once : moves;
}

uint32_t pe_watch_wait_ms(const struct pe_worker *w, const struct pe_subscription *s, uint32_t cap)
{
	bool none;
	uint32_t due = due_tick(w, s, &none);

	if (none)
		return cap;
	return pe_watch_reached(due, w->tick) ? 0 : due - w->tick < cap ? due - w->tick : cap;
}

static void ready_put(struct pe_watch *x, struct pe_subscription *s)
{
	uint32_t n = number_of(x, s), *head = &x->ready[s->priority];

	s->ready = true;
	if (*head == NONE) {
		*head = s->next_ready = s->prev_ready = n;
		return;
	}
	s->next_ready = *head;
	s->prev_ready = x->subscriptions[*head].prev_ready;
	x->subscriptions[s->prev_ready].next_ready = n;
	x->subscriptions[s->next_ready].prev_ready = n;
}

static void ready_take(struct pe_watch *x, struct pe_subscription *s)
{
	uint32_t n = number_of(x, s), *head = &x->ready[s->priority];

	s->ready = false;
	if (s->next_ready == n) {
		*head = NONE;
		return;
	}
	if (*head == n)
		*head = s->next_ready;
	x->subscriptions[s->prev_ready].next_ready = s->next_ready;
	x->subscriptions[s->next_ready].prev_ready = s->prev_ready;
}

void pe_watch_consider(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_watch *x = w->watch;
	bool none = true, ready = false;
	uint32_t due = w->tick;

	if (s->state >= PE_SUBSCRIPTION_LIVE) {
		due = due_tick(w, s, &none);
		ready = !none && pe_watch_reached(due, w->tick);
	}
	if (ready && !s->ready)
		ready_put(x, s);
	else if (!ready && s->ready)
		ready_take(x, s);
	// What has to wait for the clock: the timer looks again.
	if (!ready && !none &&
		(!pe_wheel_holds(&x->timers, number_of(x, s)) ||
			(int32_t)(due - s->timer.tick) < 0))
		pe_watch_set_timer(w, s);
}

// ---- notices ----

static struct pe_wire_event *log_of(
	const struct pe_worker *w, const struct pe_subscription *s, uint64_t sequence)
{
	return &s->log[sequence & (w->engine->watch->events_max - 1)];
}

static void send(struct pe_worker *w, struct pe_subscription *s, uint8_t *buffer, uint64_t sequence,
	const struct pe_wire_event *events, unsigned count)
{
	struct pe_wire_notice notice = {.subscription_id = s->subscription_id,
		.epoch = s->epoch,
		.first_sequence = sequence};
	struct pe_wire_header request = {.stream_id = s->stream_id}, header;

	memcpy(request.space_id, s->space_id, sizeof request.space_id);
	header = pe_answer_header(w, &request);
	pe_answer_send_to(w, &s->peer, buffer,
		pe_wire_put_notice(buffer, PE_WIRE_BYTES_MAX, &header, &notice, events, count));
	pe_count(&w->counters, PE_COUNTER_notices, 1);
}

static void count_event(struct pe_worker *w, unsigned kind)
{
	static const uint16_t counters[] = {
		[PE_EVENT_ENTER] = PE_COUNTER_events_enter,
		[PE_EVENT_MOVE] = PE_COUNTER_events_move,
		[PE_EVENT_LEAVE] = PE_COUNTER_events_leave,
		[PE_EVENT_GAP] = PE_COUNTER_events_gap,
		[PE_EVENT_PAYLOAD] = PE_COUNTER_events_payload,
	};

	if (kind != PE_EVENT_SNAPSHOT_END && kind != PE_EVENT_ENDED)
		pe_count(&w->counters, counters[kind], 1);
}

// One entry as one event or two.
static unsigned put_events(const struct pe_waiting *p, struct pe_wire_event *e)
{
	unsigned count = 0;

	if (!p->waits) {
		e[0] = (struct pe_wire_event){
			.kind = p->kind, .cause = p->cause, .time_ms = p->time_ms};
		if (p->kind == PE_EVENT_PAYLOAD) {
			e[0].fence_id = p->fence_id;
			e[0].flags = p->flags;
			e[0].result = p->result;
		}
		return 1;
	}
	if (p->waits & PE_WAITS_LEAVE) {
		e[count] = (struct pe_wire_event){.fence_id = p->fence_id,
			.kind = PE_EVENT_LEAVE,
			.cause = p->leave_cause,
			.flags = p->leave_flags,
			.time_ms = p->leave_time_ms};
		if (p->waits == PE_WAITS_LEAVE)
			e[count].result = p->result;
		else
			memcpy(e[count].result.entity_id, p->result.entity_id, 16);
		count++;
	}
	if (p->waits & (PE_WAITS_ENTER | PE_WAITS_MOVE))
		e[count++] = (struct pe_wire_event){.fence_id = p->fence_id,
			.kind = p->waits & PE_WAITS_ENTER ? PE_EVENT_ENTER : PE_EVENT_MOVE,
			.flags = p->flags,
			.time_ms = p->time_ms,
			.result = p->result};
	return count;
}

// MOVEs whose time has come stand with the others from now on.
static void open_moves(struct pe_worker *w, struct pe_subscription *s)
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

static bool tell_new(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_watch *x = w->watch;
	struct pe_wire_event events[PE_NOTICE_EVENTS_MAX + 1];
	uint64_t room = window_left(w, s);
	unsigned count = 0, max = PE_NOTICE_EVENTS_MAX;
	uint8_t *buffer = w->sink->reserve(w->sink->context, &s->peer);
	bool ended = false;

	if (!buffer)
		return false;
	if (room < max)
		max = (unsigned)room;
	if (s->gap_wanted) {
		events[count++] =
			(struct pe_wire_event){.kind = PE_EVENT_GAP, .time_ms = w->wall_ms};
		s->gap_wanted = false;
		s->gap_sequence = s->next_sequence;
		s->gap_tick = w->tick + PE_WATCH_RESTART_MS;
		pe_watch_restart(w, s);
		if (s->state == PE_SUBSCRIPTION_ENDING && !s->fences)
			pe_watch_event_alone(w, s, PE_EVENT_ENDED, s->ended_cause);
	}
	open_moves(w, s);
	while (s->at_once.count && count < max) {
		uint32_t n = s->at_once.first;
		struct pe_waiting *p = &x->waiting[n];

		if (p->waits == (PE_WAITS_LEAVE | PE_WAITS_ENTER) && count + 2 > max)
			break;
		count += put_events(p, &events[count]);
		ended |= !p->waits && p->kind == PE_EVENT_ENDED;
		if (n == s->end_marker)
			s->end_marker = NONE;
		list_take(x, &s->at_once, n);
		give(x, n);
	}
	for (unsigned i = 0; i < count; i++) {
		count_event(w, events[i].kind);
		*log_of(w, s, s->next_sequence + i) = events[i];
	}
	if (count)
		send(w, s, buffer, s->next_sequence, events, count);
	else
		w->sink->commit(w->sink->context, &s->peer, buffer, 0);
	s->next_sequence += count;
	s->ended_told = ended;
	return count != 0;
}

static bool tell_again(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_wire_event events[PE_NOTICE_EVENTS_MAX];
	uint8_t *buffer = w->sink->reserve(w->sink->context, &s->peer);
	unsigned count = 0;

	if (!buffer)
		return false;
	while (count < PE_NOTICE_EVENTS_MAX && s->resend + count < s->next_sequence) {
		events[count] = *log_of(w, s, s->resend + count);
		count++;
	}
	send(w, s, buffer, s->resend, events, count);
	pe_count(&w->counters, PE_COUNTER_events_repeated, count);
	s->resend += count;
	if (s->resend == s->next_sequence)
		s->resend = 0;
	return true;
}

bool pe_watch_resume(struct pe_worker *w, struct pe_subscription *s, uint64_t sequence)
{
	uint64_t events_max = w->engine->watch->events_max;
	uint64_t oldest = s->next_sequence > events_max ? s->next_sequence - events_max : 1;

	if (sequence > s->next_sequence)
		return false;
	if (sequence > s->acknowledged)
		s->acknowledged = sequence;
	// What came before a GAP that the subscriber has not seen is void.
	if (s->gap_sequence >= sequence && s->gap_sequence >= oldest)
		sequence = s->gap_sequence;
	s->resend = 0;
	if (sequence < oldest)
		pe_watch_gap(w, s);
	else if (sequence < s->next_sequence && !s->gap_wanted)
		s->resend = sequence;
	pe_watch_consider(w, s);
	return true;
}

// One subscription's next message. False: no buffer.
static bool tell_one(struct pe_worker *w, struct pe_subscription *s)
{
	bool sent = s->resend ? tell_again(w, s) : tell_new(w, s);

	// An engine that ends takes its fences with it.
	if (s->ended_told && !s->fences) {
		pe_watch_forget(w, s);
		pe_watch_release(w, s);
		return sent;
	}
	pe_watch_consider(w, s);
	return sent;
}

// Round and round, a message each. Returns how many were sent.
static unsigned tell_class(struct pe_worker *w, unsigned priority, unsigned max)
{
	struct pe_watch *x = w->watch;
	unsigned sent = 0;

	for (unsigned tries = 0; tries < 2 * max && sent < max; tries++) {
		uint32_t n = x->ready[priority];

		if (n == NONE)
			break;
		x->ready[priority] = x->subscriptions[n].next_ready;
		sent += tell_one(w, &x->subscriptions[n]);
	}
	return sent;
}

unsigned pe_watch_tell(struct pe_worker *w)
{
	static const uint8_t order[] = {PE_PRIORITY_CRITICAL, PE_PRIORITY_HIGH, PE_PRIORITY_NORMAL};
	unsigned left = PE_WATCH_NOTICES, low = 0, sent = 0;

	if (w->watch->ready[PE_PRIORITY_LOW] != NONE)
		low = PE_WATCH_LOW_NOTICES;
	left -= low;
	for (unsigned i = 0; i < 3 && left; i++) {
		unsigned n = tell_class(w, order[i], left);

		left -= n;
		sent += n;
	}
	return sent + tell_class(w, PE_PRIORITY_LOW, left + low);
}
