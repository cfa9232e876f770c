#include "client/watch_internal.h"

#include <limits.h>
#include <string.h>

#define ASK_AFTER_MS 20   // what is overtaken on the way has come by then
#define ASK_MAX_MS   2000 // between two askings for the same events
#define QUIET_MAX_MS 8000 // between two looks whether the last notice was lost
#define ROW          PRESENCE_WATCH_HELD_MAX
static_assert((ROW & (ROW - 1)) == 0 && ROW % 64 == 0, "a ring by masks");

static bool held(const struct presence_watch *watch, uint64_t sequence)
{
	return watch->held[sequence % ROW / 64] >> (sequence % 64) & 1;
}

static void drop_before(struct presence_watch *watch, uint64_t sequence)
{
	for (; watch->next < sequence && watch->held_count; watch->next++)
		if (held(watch, watch->next)) {
			watch->held[watch->next % ROW / 64] &= ~(1ull << watch->next % 64);
			watch->held_count--;
		}
	watch->next = sequence > watch->next ? sequence : watch->next;
}

static void hold(struct presence_watch *watch, uint64_t sequence, const struct pe_wire_event *event)
{
	if (sequence >= watch->end)
		watch->end = sequence + 1;
	if (sequence < watch->next) {
		watch->counts.repeated++;
		return;
	}
	// All before a GAP is void, come or not.
	if (event->kind == PE_EVENT_GAP)
		drop_before(watch, sequence);
	if (sequence - watch->next >= ROW) {
		watch->counts.beyond++;
		return;
	}
	if (held(watch, sequence)) {
		watch->counts.repeated++;
		return;
	}
	watch->held[sequence % ROW / 64] |= 1ull << sequence % 64;
	watch->held_count++;
	watch->row[sequence % ROW] = *event;
	if (event->kind == PE_EVENT_ENDED)
		watch->final = sequence;
}

static void take_notice(struct presence_watch *watch, const struct pe_wire_notice *notice,
	const struct pe_wire_view *view)
{
	uint64_t before = watch->next + watch->held_count;

	watch->counts.notices++;
	for (unsigned i = 0; i < view->count; i++) {
		struct pe_wire_event event;

		pe_wire_get_event(view, i, &event);
		hold(watch, notice->first_sequence + i, &event);
	}
	// News: whatever is asked for next is asked for soon.
	if (watch->next + watch->held_count != before) {
		watch->ask_ms = watch->client->timeout_ms;
		if (!watch->missing)
			watch->ask_us = watch->heard_us + watch->ask_ms * 1000ull;
	}
}

static void take_answer(struct presence_watch *watch, const struct pe_wire_subscribed *ack)
{
	struct watch_request *request = &watch->request;

	if (watch->anew && ack->request_sequence == watch->anew_sequence)
		client_watch_anew_answered(watch, ack);
	if (ack->code == PE_CODE_SUCCESS) {
		watch->counts.fences = ack->fence_count;
		watch->published_m = ack->published_m;
		if (ack->next_sequence > watch->end)
			watch->end = ack->next_sequence;
		watch->lease_us = watch->heard_us + ack->lease_ms * 1000ull;
		watch->renew_us = watch->heard_us + ack->lease_ms * 500ull;
	} else if (ack->reason == PE_REASON_subscription_unknown && ack->op != PE_SUBSCRIBE_OPEN) {
		watch->unknown = true;
	} else if (ack->reason == PE_REASON_subscribe_order && ack->op == PE_SUBSCRIBE_RESUME) {
		// Of events that it has told it says that they don't exist: it was started again,
		// and a message that was on its way opened the subscription anew.
		watch->unknown = true;
	}
	if (!request->done && request->sequence && ack->request_sequence == request->sequence) {
		request->done = true;
		request->code = ack->code;
		request->reason = ack->reason;
		request->fault = ack->fault_index;
	}
}

bool client_watch_take(
	struct presence_client *client, const uint8_t *data, const struct pe_wire_view *view)
{
	bool notice = view->header.type == PE_TYPE_NOTICE;
	struct pe_wire_subscribed answer = {0};
	struct pe_wire_notice preamble = {0};

	if ((!notice && view->header.type != PE_TYPE_REGION_SUBSCRIBE) ||
		view->header.stream_id != client->stream_id)
		return false;
	if (notice)
		pe_wire_get_notice(data, &preamble);
	else
		pe_wire_get_subscribed(data, &answer);
	for (unsigned i = 0; i < client->watch_count; i++) {
		struct presence_watch *watch = client->watches[i];

		if (watch->preamble.subscription_id !=
				(notice ? preamble.subscription_id : answer.subscription_id) ||
			watch->preamble.epoch != (notice ? preamble.epoch : answer.epoch))
			continue;
		watch->heard_us = client_now_us();
		watch->counts.unanswered = 0;
		// What comes before the answer to an OPEN may be of an engine that is gone when it
		// is sent again: it is asked for when there is one.
		if (notice && watch->anew != WATCH_OPENING)
			take_notice(watch, &preamble, view);
		else if (notice)
			watch->counts.notices++;
		else
			take_answer(watch, &answer);
		return true;
	}
	return false;
}

// False: a piece of what is not whole yet.
static bool hand_on(struct presence_watch *watch, const struct presence_events *events,
	uint64_t sequence, const struct pe_wire_event *from)
{
	const struct watch_half *whole;
	struct presence_watch_event event = {
		.sequence = sequence,
		.time_ms = from->time_ms,
		.fence = from->fence_id,
		.kind = from->kind,
		.cause = from->cause,
		.snapshot = from->flags & PE_EVENT_IN_SNAPSHOT,
		.corrected = from->flags & PE_EVENT_CORRECTED,
	};

	if (from->kind <= PE_EVENT_LEAVE)
		client_found_from_wire(&from->result, &event.entity);
	if (from->kind == PE_EVENT_GAP || from->kind == PE_EVENT_ENDED)
		client_watch_drop_halves(watch);
	if (from->kind == PE_EVENT_PAYLOAD) {
		if (!client_watch_piece(watch, from, &whole))
			return false;
		event.cause = 0;
		event.snapshot = event.corrected = false; // its flags are a length
		memcpy(event.entity.id, whole->entity_id, sizeof event.entity.id);
		event.payload = whole->payload;
		event.payload_bytes = whole->bytes;
	}
	watch->counts.events++;
	watch->counts.gaps += from->kind == PE_EVENT_GAP;
	watch->ended = from->kind == PE_EVENT_ENDED;
	if (events->watched)
		events->watched(events->context, watch, &event);
	return true;
}

// Said by this library.
static unsigned say(struct presence_watch *watch, const struct presence_events *events,
	uint8_t kind, uint8_t cause)
{
	return hand_on(watch, events, 0, &(struct pe_wire_event){.kind = kind, .cause = cause});
}

unsigned client_watch_hand(
	struct presence_watch *watch, const struct presence_events *events, unsigned most)
{
	unsigned count = 0;
	bool again = false;

	// What is missing will not come any more.
	if (watch->unknown && watch->final)
		drop_before(watch, watch->final);
	while (count < most && !again && !watch->ended && watch->held_count &&
		held(watch, watch->next)) {
		struct pe_wire_event event = watch->row[watch->next % ROW];
		uint64_t sequence = watch->next;

		drop_before(watch, sequence + 1);
		if (event.kind == PE_EVENT_ENDED && client_watch_comes_again(watch, event.cause))
			again = true;
		else
			count += hand_on(watch, events, sequence, &event);
	}
	if (count == most || watch->ended)
		return count;
	if (watch->anew_refused) {
		count += say(watch, events, PE_EVENT_ENDED, PRESENCE_END_REFUSED);
	} else if (again ||
		(watch->unknown && client_watch_comes_again(watch, PRESENCE_END_UNKNOWN))) {
		client_watch_begin_anew(watch);
		count += say(watch, events, PE_EVENT_GAP, PRESENCE_GAP_ANEW);
	} else if (watch->unknown) {
		count += say(watch, events, PE_EVENT_ENDED, PRESENCE_END_UNKNOWN);
	}
	return count;
}

// What the system doesn't take now is lost, like anything on the way: the clocks come back to it.
static void send_now(struct presence_watch *watch, enum pe_subscribe_op op, uint64_t sequence,
	uint32_t expiration_ms)
{
	struct presence_client *client = watch->client;
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	uint64_t unused;
	uint32_t bytes = client_watch_put(watch, buffer, op, sequence, expiration_ms, &unused);
	struct iovec packet = {buffer, bytes};

	if (bytes && client->transport->send(client->transport_context, &packet, 1) == 1) {
		client->traffic.packets_sent++;
		client->traffic.bytes_sent += bytes;
	}
}

// Asks for what is missing; where nothing seems to be, whether that is so.
static void ask(struct presence_watch *watch, uint64_t now_us)
{
	bool missing = watch->end > watch->next;

	if (missing != watch->missing) {
		uint64_t pause_ms = missing ? ASK_AFTER_MS : watch->client->timeout_ms;

		watch->missing = missing;
		watch->ask_ms = watch->client->timeout_ms;
		watch->ask_us = now_us + pause_ms * 1000;
	}
	if (now_us < watch->ask_us)
		return;
	// One that doesn't answer may be starting again: it is noticed soon.
	missing |= watch->counts.unanswered > 1;
	watch->counts.resumes++;
	watch->counts.unanswered++;
	send_now(watch, PE_SUBSCRIBE_RESUME, watch->next, 0);
	watch->ask_us = now_us + watch->ask_ms * 1000ull;
	watch->ask_ms *= 2;
	if (watch->ask_ms > (missing ? ASK_MAX_MS : QUIET_MAX_MS))
		watch->ask_ms = missing ? ASK_MAX_MS : QUIET_MAX_MS;
}

void client_watch_clocks(struct presence_watch *watch, uint64_t now_us)
{
	if (watch->anew)
		client_watch_anew_turn(watch, now_us);
	if (watch->anew == WATCH_OPENING)
		return;
	if (watch->preamble.window && watch->next != watch->acked) {
		watch->acked = watch->next;
		watch->counts.acknowledgements++;
		send_now(watch, PE_SUBSCRIBE_ACKNOWLEDGE, watch->next, 0);
	}
	ask(watch, now_us);
	if (!watch->expire && watch->renew_us && now_us >= watch->renew_us) {
		watch->renew_us = now_us + 4000ull * watch->client->timeout_ms;
		watch->counts.renewals++;
		send_now(watch, PE_SUBSCRIBE_RENEW, 0, watch->preamble.expiration_ms);
	}
}

void client_watch_ask_now(struct presence_watch *watch)
{
	watch->ask_us = client_now_us();
}

unsigned client_watch_turn(struct presence_client *client, const struct presence_events *events)
{
	uint64_t now_us = client_now_us();
	unsigned count = 0;

	for (unsigned i = 0; i < client->watch_count; i++) {
		struct presence_watch *watch = client->watches[i];

		count += client_watch_hand(watch, events, UINT_MAX);
		if (!watch->ended)
			client_watch_clocks(watch, now_us);
	}
	return count;
}

int client_watch_wait(
	const struct presence_client *client, const struct presence_watch *only, int timeout_ms)
{
	uint64_t now_us = client_now_us(), next_us = UINT64_MAX, left_ms;

	for (unsigned i = 0; i < client->watch_count; i++) {
		const struct presence_watch *watch = client->watches[i];

		if (watch->ended)
			continue;
		if ((!only || only == watch) &&
			(watch->unknown || watch->anew_refused ||
				(watch->held_count && held(watch, watch->next))))
			return 0;
		if (watch->anew && !watch->anew_refused && watch->anew_us < next_us)
			next_us = watch->anew_us;
		if (watch->anew == WATCH_OPENING)
			continue;
		if (watch->ask_us < next_us)
			next_us = watch->ask_us;
		if (!watch->expire && watch->renew_us && watch->renew_us < next_us)
			next_us = watch->renew_us;
	}
	if (next_us == UINT64_MAX)
		return timeout_ms;
	left_ms = next_us > now_us ? (next_us - now_us + 999) / 1000 : 0;
	return timeout_ms >= 0 && left_ms > (uint64_t)timeout_ms ? timeout_ms : (int)left_ms;
}

float presence_watch_published_m(const struct presence_watch *watch)
{
	return watch->published_m;
}

struct presence_watch_status presence_watch_status(const struct presence_watch *watch)
{
	struct presence_watch_status status = watch->counts;
	uint64_t now_us = client_now_us();

	status.id = watch->preamble.subscription_id;
	status.epoch = watch->preamble.epoch;
	status.next_sequence = watch->next;
	status.missing_before = watch->end;
	status.held = watch->held_count;
	status.lease_left_ms =
		watch->lease_us > now_us ? (uint32_t)((watch->lease_us - now_us) / 1000) : 0;
	status.silent_ms = (uint32_t)((now_us - watch->heard_us) / 1000);
	status.ended = watch->ended;
	status.opening = watch->anew;
	return status;
}
