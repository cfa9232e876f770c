// What a subscription's keeper tells of what waits (watch_wait.c): when; numbers, which are given
// when something is sent; notices by class; and the log from which they are sent again.
#include "answer.h"
#include "watch.h"

#define NONE PE_WATCH_NONE

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
	uint32_t n = pe_watch_number(x, s), *head = &x->ready[s->priority];

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
	uint32_t n = pe_watch_number(x, s), *head = &x->ready[s->priority];

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
		(!pe_wheel_holds(&x->timers, pe_watch_number(x, s)) ||
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
	pe_watch_open_moves(w, s);
	while (s->at_once.count && count < max) {
		uint32_t n = s->at_once.first;
		struct pe_waiting *p = &x->waiting[n];

		if (p->waits == (PE_WAITS_LEAVE | PE_WAITS_ENTER) && count + 2 > max)
			break;
		count += put_events(p, &events[count]);
		ended |= !p->waits && p->kind == PE_EVENT_ENDED;
		pe_watch_told(x, s);
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
