// The keeper's subscriptions: their names, what they are told of themselves, their leases and their
// ends.
#include "answer.h"
#include "watch.h"

#include <stdlib.h>

static uint32_t *subscription_bucket(
	const struct pe_watch *x, const struct pe_peer *peer, uint32_t subscription_id)
{
	uint64_t words[2];

	memcpy(words, peer->address, sizeof words);
	return &x->subscription_names[(uint32_t)pe_watch_mix(pe_watch_mix(words[0], words[1]),
					      (uint64_t)subscription_id << 24 |
						      (uint64_t)peer->port << 8 | peer->source) &
		x->subscription_name_mask];
}

struct pe_subscription *pe_watch_find(
	const struct pe_watch *x, const struct pe_peer *peer, uint32_t subscription_id)
{
	uint32_t n = *subscription_bucket(x, peer, subscription_id);

	while (n != PE_WATCH_NONE) {
		struct pe_subscription *s = &x->subscriptions[n];

		if (s->subscription_id == subscription_id && pe_peer_same(&s->peer, peer))
			return s;
		n = s->next_named;
	}
	return NULL;
}

static void unname(struct pe_watch *x, struct pe_subscription *s)
{
	uint32_t *at = subscription_bucket(x, &s->peer, s->subscription_id);
	uint32_t number = (uint32_t)(s - x->subscriptions);

	if (!s->named)
		return;
	while (*at != number)
		at = &x->subscriptions[*at].next_named;
	*at = s->next_named;
	s->named = false;
}

// ---- what is acknowledged ----

void pe_watch_acknowledge(struct pe_worker *w, const struct pe_peer *peer,
	const struct pe_wire_header *request, struct pe_wire_subscribed *done)
{
	struct pe_wire_header header = pe_answer_header(w, request);
	uint8_t *buffer = pe_answer_reserve_for(w, peer);

	done->code = done->reason ? pe_reason_info[done->reason].code : PE_CODE_SUCCESS;
	done->request_sequence = request->sequence;
	if (buffer)
		pe_answer_send_to(w, peer, buffer,
			pe_wire_put_subscribed(buffer, PE_WIRE_BYTES_MAX, &header, done));
}

void pe_watch_say_state(
	const struct pe_worker *w, const struct pe_subscription *s, struct pe_wire_subscribed *done)
{
	done->fence_count = s->fence_count;
	done->message = s->message;
	done->next_sequence = s->next_sequence;
	done->published_m = s->published_m;
	done->flags = s->published_m > 0 ? PE_SUBSCRIBED_COARSER : 0;
	done->lease_ms = pe_watch_reached(s->lease_tick, w->tick) ? 0 : s->lease_tick - w->tick;
}

// Counts a request's one outcome.
void pe_watch_outcome(struct pe_worker *w, enum pe_reason reason)
{
	if (reason)
		pe_count_reason(&w->counters, reason, 1);
	else
		pe_count(&w->counters, PE_COUNTER_subscribes_taken, 1);
}

// ---- from the first word to the last ----

struct pe_subscription *pe_watch_take(struct pe_worker *w, const struct pe_peer *peer)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_shared *shared = w->engine->watch;
	uint32_t n = x->subscription_free, of_address = 0, link = peer->link;
	struct pe_subscription *s;

	for (uint32_t i = 0; i < x->subscription_count_max; i++)
		of_address += x->subscriptions[i].named &&
			memcmp(x->subscriptions[i].peer.address, peer->address, 16) == 0;
	if (n == PE_WATCH_NONE || 2 * of_address > x->subscription_count_max)
		return NULL;
	if (atomic_fetch_add_explicit(&shared->subscription_count, 1, memory_order_relaxed) >=
		shared->subscription_count_max) {
		atomic_fetch_sub_explicit(&shared->subscription_count, 1, memory_order_relaxed);
		return NULL;
	}
	s = &x->subscriptions[n];
	// Notices leave in later turns.
	if (w->sink->keep)
		link = w->sink->keep(w->sink->context, peer, PE_LINK_NONE);
	if (w->sink->keep && link == PE_LINK_NONE) {
		atomic_fetch_sub_explicit(&shared->subscription_count, 1, memory_order_relaxed);
		return NULL;
	}
	x->subscription_free = s->next_free;
	*s = (struct pe_subscription){.state = PE_SUBSCRIPTION_OPENING,
		.peer = *peer,
		.next_sequence = 1,
		.acknowledged = 1,
		.at_once = {PE_WATCH_NONE, PE_WATCH_NONE, 0},
		.moves = {PE_WATCH_NONE, PE_WATCH_NONE, 0},
		.end_marker = PE_WATCH_NONE};
	s->peer.link = link;
	pe_wheel_link_init(&s->timer);
	// Nobody looked at the clock while there were none.
	if (!x->kept++)
		x->timers.tick = w->tick;
	s->log = pe_heap_take(x->heap, (size_t)shared->events_max * sizeof *s->log);
	if (!s->log) {
		pe_watch_release(w, s);
		return NULL;
	}
	return s;
}

void pe_watch_release(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_watch *x = w->watch;

	assert(!s->fences && !s->at_once.count && !s->moves.count);
	unname(x, s);
	pe_wheel_remove(&x->timers, (uint32_t)(s - x->subscriptions));
	if (w->sink->drop)
		w->sink->drop(w->sink->context, &s->peer);
	pe_heap_give(x->heap, s->log, (size_t)w->engine->watch->events_max * sizeof *s->log);
	s->log = NULL;
	s->state = PE_SUBSCRIPTION_FREE;
	x->kept--;
	pe_watch_consider(w, s);
	s->next_free = x->subscription_free;
	x->subscription_free = (uint32_t)(s - x->subscriptions);
	atomic_fetch_sub_explicit(&w->engine->watch->subscription_count, 1, memory_order_relaxed);
}

// All its fences are gone.
void pe_watch_last_words(struct pe_worker *w, struct pe_subscription *s)
{
	if (s->state != PE_SUBSCRIPTION_ENDING || s->fences)
		return;
	if (s->silent) {
		pe_watch_forget(w, s);
		pe_watch_release(w, s);
		return;
	}
	s->linger_tick = w->tick + PE_WATCH_LINGER_MS;
	pe_watch_event_alone(w, s, PE_EVENT_ENDED, s->ended_cause);
	pe_watch_set_timer(w, s);
}

void pe_watch_end(struct pe_worker *w, struct pe_subscription *s, unsigned cause)
{
	if (s->state == PE_SUBSCRIPTION_ENDING)
		return;
	s->silent = s->state == PE_SUBSCRIPTION_OPENING;
	s->state = PE_SUBSCRIPTION_ENDING;
	s->ended_cause = (uint8_t)cause;
	unname(w->watch, s);
	for (struct pe_watch_fence *f = s->fences; f; f = f->next)
		pe_watch_end_fence(w, f);
	if (s->request.op) {
		// What had been asked for last will not be.
		s->request.op = 0;
		pe_watch_outcome(w, PE_REASON_subscribe_busy);
	}
	if (!s->silent)
		pe_count(&w->counters, PE_COUNTER_subscriptions_ended, 1);
	pe_watch_set_timer(w, s);
	pe_watch_last_words(w, s);
}

void pe_watch_set_timer(struct pe_worker *w, struct pe_subscription *s)
{
	struct pe_watch *x = w->watch;
	uint32_t number = (uint32_t)(s - x->subscriptions), wait;

	pe_wheel_remove(&x->timers, number);
	if (s->state == PE_SUBSCRIPTION_FREE)
		return;
	if (s->state == PE_SUBSCRIPTION_ENDING)
		wait = s->fences                                  ? 1000 :
			pe_watch_reached(s->linger_tick, w->tick) ? 1 :
								    s->linger_tick - w->tick;
	else
		wait = pe_watch_reached(s->lease_tick, w->tick) ? 1 : s->lease_tick - w->tick;
	if (!s->ready)
		wait = pe_watch_wait_ms(w, s, wait);
	pe_wheel_add(&x->timers, number, w->tick + (wait ? wait : 1));
}

void pe_watch_leave(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;

	if (x->leaving)
		return;
	x->leaving = true;
	for (uint32_t i = 0; i < x->subscription_count_max; i++)
		if (x->subscriptions[i].state != PE_SUBSCRIPTION_FREE)
			pe_watch_forget(w, &x->subscriptions[i]);
	for (uint32_t i = 0; i < x->subscription_count_max; i++) {
		struct pe_subscription *s = &x->subscriptions[i];

		if (s->state != PE_SUBSCRIPTION_LIVE)
			continue;
		s->state = PE_SUBSCRIPTION_ENDING;
		s->gap_wanted = false;
		s->resend = 0;
		s->linger_tick = w->tick + PE_WATCH_LINGER_MS;
		pe_count(&w->counters, PE_COUNTER_subscriptions_ended, 1);
		pe_watch_event_alone(w, s, PE_EVENT_ENDED, PE_ENDED_ENGINE);
	}
}

void pe_watch_depart(struct pe_worker *w, const struct pe_peer *peer)
{
	struct pe_watch *x = w->watch;

	for (uint32_t i = 0; x->kept && i < x->subscription_count_max; i++) {
		struct pe_subscription *s = &x->subscriptions[i];

		if (s->state != PE_SUBSCRIPTION_FREE && pe_peer_same(&s->peer, peer))
			pe_watch_end(w, s, PE_ENDED_CLOSED);
	}
}

void pe_watch_end_link(struct pe_worker *w, uint32_t link)
{
	struct pe_watch *x = w->watch;

	for (uint32_t i = 0; i < x->subscription_count_max; i++) {
		struct pe_subscription *s = &x->subscriptions[i];

		if (s->state == PE_SUBSCRIPTION_FREE || s->state == PE_SUBSCRIPTION_ENDING ||
			s->peer.link != link)
			continue;
		s->lease_tick = w->tick;
		pe_watch_set_timer(w, s);
	}
}

static uint32_t lease_of(uint32_t expiration_ms)
{
	if (!expiration_ms)
		return PE_SUBSCRIPTION_LEASE_MS;
	return expiration_ms < PE_SUBSCRIPTION_LEASE_MAX_MS ? expiration_ms :
							      PE_SUBSCRIPTION_LEASE_MAX_MS;
}

void pe_watch_see(
	const struct pe_worker *w, const struct pe_subscription *s, uint32_t *sees, uint64_t *place)
{
	*sees = pe_asker_sees(w->engine, s->space, s->peer.principal, w->wall_ms);
	*place = *sees & w->engine->views.within & pe_views_within(&w->engine->views, s->space) ?
		pe_asker_place(w, &w->engine->spaces[s->space], s->peer.principal) :
		PE_NEAR_NOWHERE;
}

// What a subscriber sees depends on the time, on the directory, and on where he stands, and the
// names of anonymous ones on their epoch. When either has changed all is told anew, of everybody at
// once: told one by one, an old name and the new one would come together.
__attribute__((noinline)) static void see_anew(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	const struct pe_views *v = &w->engine->views;
	uint64_t minute_ms = (w->wall_ms / 60000 + 1) * 60000;
	uint64_t epoch = pe_views_epoch(v, w->wall_ms);
	bool renamed = x->sees_until_ms && pe_views_epoch(v, x->sees_from_ms) != epoch;

	for (uint32_t i = 0; i < x->subscription_count_max; i++) {
		struct pe_subscription *s = &x->subscriptions[i];
		uint32_t sees, present;
		uint64_t place;

		if (s->state != PE_SUBSCRIPTION_LIVE && s->state != PE_SUBSCRIPTION_OPENING)
			continue;
		pe_watch_see(w, s, &sees, &place);
		present = atomic_load_explicit(
			&w->engine->spaces[s->space].rules.present, memory_order_relaxed);
		if (sees == s->sees && place == s->place &&
			!(renamed && (present & v->anonymous & sees)))
			continue;
		s->sees = sees;
		s->place = place;
		for (struct pe_watch_fence *f = s->fences; f; f = f->next) {
			atomic_store_explicit(&f->sees, sees, memory_order_relaxed);
			atomic_store_explicit(&f->place, place, memory_order_relaxed);
		}
		pe_watch_gap(w, s);
	}
	x->sees_from_ms = w->wall_ms;
	x->stands_tick = w->tick + PE_WATCH_STANDS_MS;
	x->sees_until_ms = (epoch + 1) * v->epoch_ms;
	if (v->timed && x->sees_until_ms > minute_ms)
		x->sees_until_ms = minute_ms;
}

unsigned pe_watch_keep(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	uint32_t due[64];
	unsigned count = pe_wheel_due(&x->timers, w->tick, due, 64, PE_WHEEL_WORK);

	if (w->wall_ms >= x->sees_until_ms || w->wall_ms < x->sees_from_ms ||
		(w->engine->views.within && pe_watch_reached(x->stands_tick, w->tick)))
		see_anew(w);
	for (unsigned i = 0; i < count; i++) {
		struct pe_subscription *s = &x->subscriptions[due[i]];

		if (s->state == PE_SUBSCRIPTION_FREE)
			continue;
		if (s->state == PE_SUBSCRIPTION_ENDING && !s->fences &&
			pe_watch_reached(s->linger_tick, w->tick)) {
			pe_watch_forget(w, s);
			pe_watch_release(w, s);
			continue;
		}
		if (s->state != PE_SUBSCRIPTION_ENDING &&
			pe_watch_reached(s->lease_tick, w->tick)) {
			pe_watch_end(w, s, PE_ENDED_EXPIRED);
			continue;
		}
		pe_watch_consider(w, s);
		pe_watch_set_timer(w, s);
	}
	return count + (x->follows ? pe_watch_look_after_all(w) : 0);
}

void pe_watch_review(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	// PRINCIPALS: acquire: the directory that the number belongs to is looked at.
	uint32_t generation =
		atomic_load_explicit(&w->engine->directory.generation, memory_order_acquire);

	if (x->reviewed == generation)
		return;
	x->reviewed = generation;
	for (uint32_t i = 0; i < x->subscription_count_max; i++) {
		struct pe_subscription *s = &x->subscriptions[i];
		const struct pe_space_entry *space = &w->engine->spaces[s->space];

		if ((s->state == PE_SUBSCRIPTION_OPENING || s->state == PE_SUBSCRIPTION_LIVE) &&
			space->authorizes && !pe_authorize_keeps(w, space, s->peer.principal))
			pe_watch_end(w, s, PE_ENDED_CLOSED);
	}
	// Who sees what goes by the directory, too.
	see_anew(w);
}

void pe_watch_set_lease(struct pe_worker *w, struct pe_subscription *s, uint32_t expiration_ms)
{
	s->lease_tick = w->tick + lease_of(expiration_ms);
	// Ticks wrap after weeks, and leases are begun anew before: what is past stays past.
	if (pe_watch_reached(s->moves_tick, w->tick))
		s->moves_tick = w->tick;
	if (pe_watch_reached(s->gap_tick, w->tick))
		s->gap_tick = w->tick;
	pe_watch_set_timer(w, s);
}

void pe_watch_name(struct pe_watch *x, struct pe_subscription *s)
{
	uint32_t *bucket = subscription_bucket(x, &s->peer, s->subscription_id);

	s->next_named = *bucket;
	*bucket = (uint32_t)(s - x->subscriptions);
	s->named = true;
}
