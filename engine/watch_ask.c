// REGION_SUBSCRIBE on the worker that keeps the subscription: what is asked for, checked and done.
#include "watch.h"

#include "policy/grain.h"

#include <math.h>

// Of a request whose outcome is counted when the workers have answered.
#define PENDING PE_REASON_COUNT

// ---- requests ----

struct ask {
	const struct pe_message *message;
	const struct pe_wire_view *view;
	unsigned space;
	struct pe_wire_subscribe subscribe;
	struct pe_wire_subscribed done;
};

// A query's reason is told, and counted as that of its fence.
static enum pe_reason counted_as(enum pe_reason reason)
{
	return pe_reason_info[reason].scope == PE_SCOPE_QUERY ? PE_REASON_fence_query : reason;
}

// What the fence asks for, against what the configuration lets its subscriber see.
static void note_grain(const struct pe_worker *w, struct pe_subscription *s,
	const struct pe_space_entry *space, const struct pe_wire_fence *wire,
	const uint8_t *extension)
{
	double asked_m = pe_grain_asked_m(&space->space, &wire->query,
		wire->query.extension_bytes ? extension : NULL, (double)wire->margin_m);
	double published_m, held_m = (double)space->policy.coalesce_distance_m;

	if (s->resolution_m > 0)
		asked_m = fmin(asked_m, (double)s->resolution_m);
	// PRINCIPALS: acquire pairs with pe_engine_principals.
	published_m = pe_grain_published_m(&w->engine->views,
		atomic_load_explicit(&w->engine->directory.current, memory_order_acquire),
		space->space.index, s->peer.principal, wire->query.type_mask, asked_m);
	// With a prediction fences and their resolutions bound what is held back.
	if (!(space->policy.predict_distance_m > 0) && held_m > asked_m)
		published_m = fmax(published_m, held_m);
	s->published_m = fmaxf(s->published_m, (float)published_m);
}

// One fence of a message, ADDING. `*reason` is what is told; the return value what is counted.
static enum pe_reason make_fence(struct pe_worker *w, struct pe_subscription *s,
	const struct ask *ask, unsigned index, const uint8_t **extension, enum pe_reason *reason)
{
	const struct pe_space_entry *space = &w->engine->spaces[ask->space];
	struct pe_wire_fence wire;
	struct pe_watch_fence *f;

	pe_wire_get_fence(ask->view, index, &wire);
	*reason = pe_wire_check_fence(&wire, space->limits.geodetic);
	if (!*reason && space->authorizes)
		*reason = pe_authorize_fence(w, space, &ask->message->peer, &wire, *extension);
	if (*reason)
		return counted_as(*reason);
	f = pe_watch_find_fence(w->watch, s, wire.fence_id);
	// What is told of the old one comes before what is told of the new one.
	if (f)
		return *reason = f->phase == PE_WATCH_ENDING ? PE_REASON_subscribe_busy :
							       PE_REASON_fence_name;
	f = pe_watch_take_fence(w, pe_stand_bytes(&wire));
	if (!f)
		return *reason = PE_REASON_fences_full;
	*reason = pe_stand_make(&f->stand, &space->space, &wire, *extension,
		(uint8_t *)f + f->bytes - pe_stand_bytes(&wire));
	if (*reason) {
		pe_watch_forget_fence(w, f);
		return counted_as(*reason);
	}
	note_grain(w, s, space, &wire, *extension);
	*extension += wire.query.extension_bytes;
	f->subscription = s;
	f->phase = PE_WATCH_ADDING;
	f->fence_id = wire.fence_id;
	f->keeper = (uint8_t)w->index;
	f->fault_index = (uint8_t)index;
	f->follows = wire.flags & PE_FENCE_FOLLOW;
	atomic_store_explicit(&f->sees, s->sees, memory_order_relaxed);
	atomic_store_explicit(&f->place, s->place, memory_order_relaxed);
	f->payloads = s->flags & PE_SUBSCRIBE_PAYLOADS;
	memcpy(f->follow_id, wire.follow_id, 16);
	f->rule = (struct pe_member_rule){.enter_ms = wire.enter_ms,
		.leave_ms = wire.leave_ms,
		.move_m = s->flags & PE_SUBSCRIBE_MOVES ? (double)s->resolution_m : -1.0};
	if (f->follows)
		(void)pe_watch_look_after(w, f);
	pe_watch_enlist(w->watch, f);
	return PE_REASON_none;
}

// The fences of an OPEN or ADD. PENDING: its acknowledgement waits for the workers; else why there
// are none of them.
static enum pe_reason make_fences(struct pe_worker *w, struct pe_subscription *s, struct ask *ask)
{
	const struct pe_wire_view *view = ask->view;
	const uint8_t *extension = view->records + view->count * sizeof(struct pe_wire_fence);
	enum pe_reason counted = PE_REASON_none, told = PE_REASON_none;
	uint32_t workers = w->engine->config.worker_count;
	float published_m = s->published_m;

	for (unsigned i = 0; i < view->count && !counted; i++) {
		counted = make_fence(w, s, ask, i, &extension, &told);
		if (counted)
			ask->done.fault_index = (uint16_t)i;
	}
	if (counted) {
		s->published_m = published_m;
		// None of them has been heard of yet.
		for (struct pe_watch_fence *f = s->fences, *next; f && f->phase == PE_WATCH_ADDING;
			f = next) {
			next = f->next;
			pe_watch_forget_fence(w, f);
		}
		ask->done.reason = (uint8_t)told;
		return counted;
	}
	s->request.op = ask->subscribe.op;
	s->request.failed = false;
	s->request.message = ask->subscribe.message;
	s->request.sequence = view->header.sequence;
	s->request.stream_id = view->header.stream_id;
	s->request.adding = view->count * workers;
	for (struct pe_watch_fence *f = s->fences; f && f->phase == PE_WATCH_ADDING; f = f->next) {
		f->adding = pe_watch_all(w);
		pe_watch_order_fence(w, f, PE_WATCH_ADD, pe_watch_all(w));
	}
	if (!view->count)
		pe_watch_request_done(w, s);
	return PENDING;
}

// Has whoever asks as many subscriptions on this worker as one may have?
static bool over_budget(const struct pe_worker *w, const struct pe_peer *peer)
{
	const struct pe_watch *x = w->watch;
	uint32_t most = w->engine->config.principal_subscription_max, has = 0;

	for (uint32_t i = 0; most && i < x->subscription_count_max; i++) {
		const struct pe_subscription *s = &x->subscriptions[i];

		has += s->named && s->peer.principal == peer->principal &&
			(peer->principal || memcmp(s->peer.address, peer->address, 16) == 0);
	}
	return most && has >= most;
}

// *later: the acknowledgement waits.
static enum pe_reason open_it(
	struct pe_worker *w, struct pe_subscription *old, struct ask *ask, bool *later)
{
	const struct pe_wire_subscribe *a = &ask->subscribe;
	uint32_t events_max = w->engine->watch->events_max;
	struct pe_subscription *s;
	enum pe_reason reason;

	if (old && old->epoch == a->epoch) {
		if (old->state == PE_SUBSCRIPTION_OPENING) {
			*later = true; // the first one's is on its way
			return PE_REASON_subscribe_busy;
		}
		pe_watch_set_lease(w, old, a->expiration_ms);
		pe_watch_say_state(w, old, &ask->done);
		return PE_REASON_none;
	}
	if (old)
		pe_watch_end(w, old, PE_ENDED_REPLACED);
	if (over_budget(w, &ask->message->peer))
		return PE_REASON_subscription_budget;
	s = pe_watch_take(w, &ask->message->peer);
	if (!s)
		return PE_REASON_subscriptions_full;
	s->subscription_id = a->subscription_id;
	s->epoch = a->epoch;
	s->space = (uint8_t)ask->space;
	s->priority = a->priority;
	s->flags = a->flags;
	pe_watch_see(w, s, &s->sees, &s->place);
	s->window = a->window < events_max ? a->window : (uint16_t)events_max;
	if (s->window == 1)
		s->window = 2; // a LEAVE and an ENTER go together
	s->resolution_m = a->flags & PE_SUBSCRIBE_FILTER_UPDATES ? a->resolution_m : 0.0f;
	s->move_interval_ms = a->update_frequency ? 60000u / a->update_frequency : 0;
	s->moves_tick = w->tick;
	s->gap_tick = w->tick;
	s->stream_id = ask->view->header.stream_id;
	memcpy(s->space_id, ask->view->header.space_id, sizeof s->space_id);
	pe_watch_name(w->watch, s);
	pe_watch_set_lease(w, s, a->expiration_ms);
	reason = make_fences(w, s, ask);
	*later = reason == PENDING;
	if (reason != PENDING)
		pe_watch_end(w, s, PE_ENDED_ENGINE);
	return reason;
}

static enum pe_reason add_or_remove(
	struct pe_worker *w, struct pe_subscription *s, struct ask *ask, bool *later)
{
	const struct pe_wire_subscribe *a = &ask->subscribe;
	struct pe_wire_fence_name name;
	enum pe_reason reason;

	if (a->message == s->message)
		return PE_REASON_none; // a repeat
	if (s->request.op) {
		*later = a->message == s->request.message;
		return PE_REASON_subscribe_busy;
	}
	if (a->message != s->message + 1)
		return PE_REASON_subscribe_order;
	if (a->op == PE_SUBSCRIBE_ADD) {
		if (ask->space != s->space)
			return PE_REASON_subscribe_order;
		reason = make_fences(w, s, ask);
		*later = reason == PENDING;
		return reason;
	}
	for (unsigned i = 0; i < ask->view->count; i++) {
		struct pe_watch_fence *f;
		bool twice = false;

		pe_wire_get_fence_name(ask->view, i, &name);
		f = pe_watch_find_fence(w->watch, s, name.fence_id);
		for (unsigned k = 0; k < i; k++) {
			struct pe_wire_fence_name earlier;

			pe_wire_get_fence_name(ask->view, k, &earlier);
			twice |= earlier.fence_id == name.fence_id;
		}
		if (!f || f->phase != PE_WATCH_LIVE || twice || name.reserved) {
			ask->done.fault_index = (uint16_t)i;
			return PE_REASON_fence_name;
		}
	}
	for (unsigned i = 0; i < ask->view->count; i++) {
		pe_wire_get_fence_name(ask->view, i, &name);
		pe_watch_end_fence(w, pe_watch_find_fence(w->watch, s, name.fence_id));
	}
	s->message = a->message;
	return PE_REASON_none;
}

static enum pe_reason do_it(struct pe_worker *w, struct ask *ask, bool *later)
{
	const struct pe_wire_subscribe *a = &ask->subscribe;
	struct pe_subscription *s =
		pe_watch_find(w->watch, &ask->message->peer, a->subscription_id);
	enum pe_reason reason = PE_REASON_none;

	// It may be reached another way since.
	if (s && w->sink->keep)
		s->peer.link = w->sink->keep(w->sink->context, &ask->message->peer, s->peer.link);
	if (w->engine->spaces[ask->space].authorizes &&
		(a->op == PE_SUBSCRIBE_OPEN || a->op == PE_SUBSCRIBE_ADD))
		reason = pe_authorize_subscription(
			w, &w->engine->spaces[ask->space], &ask->message->peer);
	if (reason)
		return reason;
	if (a->op == PE_SUBSCRIBE_OPEN)
		return open_it(w, s, ask, later);
	if (!s || s->epoch != a->epoch)
		return PE_REASON_subscription_unknown;
	switch (a->op) {
	case PE_SUBSCRIBE_ADD:
	case PE_SUBSCRIBE_REMOVE:
		reason = add_or_remove(w, s, ask, later);
		break;
	case PE_SUBSCRIBE_RESUME:
		if (!pe_watch_resume(w, s, a->sequence))
			reason = PE_REASON_subscribe_order;
		break;
	case PE_SUBSCRIBE_ACKNOWLEDGE:
		if (a->sequence > s->next_sequence) {
			reason = PE_REASON_subscribe_order;
			break;
		}
		if (a->sequence > s->acknowledged)
			s->acknowledged = a->sequence;
		pe_watch_consider(w, s);
		*later = true; // only a refusal is told
		return PE_REASON_none;
	case PE_SUBSCRIBE_RENEW:
		pe_watch_set_lease(w, s, a->expiration_ms);
		break;
	default:
		pe_watch_say_state(w, s, &ask->done);
		pe_watch_end(w, s, PE_ENDED_CLOSED);
		ask->done.lease_ms = 0;
		return PE_REASON_none;
	}
	pe_watch_say_state(w, s, &ask->done);
	return reason;
}

// Not inlined: in pe_take_messages, its only caller, it would take registers from the ordinary
// packet.
__attribute__((noinline)) void pe_watch_subscribe(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned space)
{
	struct ask ask = {.message = m, .view = view, .space = space};
	enum pe_reason reason = PE_REASON_standing_off;
	bool later = false;

	pe_wire_get_subscribe(m->data, &ask.subscribe);
	ask.done = (struct pe_wire_subscribed){.subscription_id = ask.subscribe.subscription_id,
		.epoch = ask.subscribe.epoch,
		.op = ask.subscribe.op,
		.fault_index = PE_FAULT_NONE};
	if (w->watch) {
		// Before it, so that what it asks for is judged once.
		pe_watch_review(w);
		reason = do_it(w, &ask, &later);
	}
	if (reason != PENDING)
		pe_watch_outcome(w, reason);
	if (later)
		return;
	if (reason && !ask.done.reason)
		ask.done.reason = (uint8_t)reason;
	pe_watch_acknowledge(w, &m->peer, &view->header, &ask.done);
}
