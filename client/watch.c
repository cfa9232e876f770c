#include "client/watch_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEADER_BYTES (uint32_t)sizeof(struct pe_wire_header)
#define BUSY_MS      5 // before an engine that still works on the last message is asked again

static struct presence_watch_refusal refused(uint8_t code, uint8_t reason, int fence)
{
	return (struct presence_watch_refusal){code, reason, fence};
}

// What a message holds behind its preamble.
struct content {
	union {
		struct pe_wire_fence fences[PE_SUBSCRIBE_FENCES_MAX];
		struct pe_wire_fence_name names[PE_SUBSCRIBE_NAMES_MAX];
	};
	unsigned count;
	uint32_t extensions_bytes;
	uint8_t extensions[WATCH_ROOM];
};

static uint32_t put(struct presence_watch *watch, uint8_t *buffer,
	const struct pe_wire_subscribe *preamble, const struct content *content, uint64_t *sequence)
{
	struct pe_wire_header header = client_header(watch->client, watch->space, 0);

	*sequence = header.sequence;
	if (preamble->op == PE_SUBSCRIBE_REMOVE)
		return pe_wire_put_remove(buffer, PE_WIRE_BYTES_MAX, &header, preamble,
			content->names, content->count);
	return pe_wire_put_subscribe(buffer, PE_WIRE_BYTES_MAX, &header, preamble, content->fences,
		content->count, content->extensions, content->extensions_bytes);
}

uint32_t client_watch_put(struct presence_watch *watch, uint8_t *buffer, enum pe_subscribe_op op,
	uint64_t from, uint32_t expiration_ms, uint64_t *sequence)
{
	static const struct content nothing;
	struct pe_wire_subscribe preamble = {
		.subscription_id = watch->preamble.subscription_id,
		.epoch = watch->preamble.epoch,
		.op = (uint8_t)op,
		.sequence = from,
		.expiration_ms = expiration_ms,
	};

	return put(watch, buffer, &preamble, &nothing, sequence);
}

// What answers is taken by client_watch_take; nothing else is waited for.
static bool take_nothing(void *context, const struct pe_wire_view *view)
{
	(void)context;
	(void)view;
	return false;
}

// Sends a packet until it is answered; one that finds the engine busy again and again for as long
// as one that isn't answered.
static enum presence_result ask(
	struct presence_watch *watch, uint64_t sequence, uint8_t *packet, uint32_t bytes)
{
	struct presence_client *client = watch->client;
	struct client_taker taker = {NULL, take_nothing};
	struct client_exchange e = {.packet = packet, .bytes = bytes, .done = &watch->request.done};
	uint64_t until_us =
		client_now_us() + (uint64_t)client->timeout_ms * client->attempts * 1000;
	enum presence_result result;

	if (!bytes)
		return client_bad(
			client, "fences that have no room in a message: shorten their filters");
	for (;;) {
		watch->request = (struct watch_request){.sequence = sequence};
		result = client_exchange(client, &e, &taker);
		if (result || watch->request.reason != PE_REASON_subscribe_busy ||
			client_now_us() >= until_us)
			break;
		nanosleep(&(struct timespec){.tv_nsec = BUSY_MS * 1000000}, NULL);
	}
	// Late answers find nobody waiting.
	watch->request.sequence = 0;
	if (!result && watch->request.code != PE_CODE_SUCCESS)
		return client_refused(client, watch->request.code, watch->request.reason);
	return result;
}

static const char *fence_fault(const struct presence_fence *fence)
{
	const struct presence_query *q = fence->query;

	if (!q)
		return "a fence without a query: it says which volume the fence is";
	if (q->volume == PRESENCE_POINT || q->volume == PRESENCE_NEAREST || q->has_cursor)
		return "a query that cannot stand: use a sphere, a box, a polygon, an oriented box or a frustum, and "
		       "no cursor";
	if (fence->follow && q->volume != PRESENCE_SPHERE)
		return "a fence that follows an entity and is no sphere";
	return client_query_fault(q);
}

// A fence, its extension behind those of the ones before it; false when it cannot be said or has no
// room.
static bool say_fence(
	const struct presence_fence *fence, struct content *content, uint32_t extensions_max)
{
	struct pe_wire_fence wire = {
		.fence_id = fence->id,
		.flags = fence->follow ? PE_FENCE_FOLLOW : 0,
		.margin_m = fence->margin_m,
		.enter_ms = fence->enter_ms,
		.leave_ms = fence->leave_ms,
	};
	uint32_t used = content->extensions_bytes;

	if (!fence->query || fence->query->volume == PRESENCE_POINT ||
		fence->query->volume == PRESENCE_NEAREST || fence->query->has_cursor ||
		(fence->follow && fence->query->volume != PRESENCE_SPHERE) || used > extensions_max)
		return false;
	if (!client_query_to_wire(fence->query, fence->id, &wire.query) ||
		!client_query_extend(fence->query, &wire.query, content->extensions + used,
			extensions_max - used))
		return false;
	if (fence->follow) {
		memcpy(wire.follow_id, fence->follow_id, sizeof wire.follow_id);
		memset(wire.query.a, 0, sizeof wire.query.a);
	}
	content->extensions_bytes += wire.query.extension_bytes;
	content->fences[content->count++] = wire;
	return true;
}

// As many fences as fit a message. Returns how many.
static unsigned say_fences(
	const struct presence_fence *fences, size_t count, struct content *content)
{
	memset(content, 0, sizeof *content);
	while (content->count < count && content->count < PE_SUBSCRIBE_FENCES_MAX &&
		say_fence(&fences[content->count], content,
			(uint32_t)(WATCH_ROOM - (content->count + 1) * sizeof content->fences[0])))
		;
	return content->count;
}

static enum presence_result exchange(struct presence_watch *watch,
	const struct pe_wire_subscribe *preamble, const struct content *content, size_t done,
	struct presence_watch_refusal *refusal)
{
	uint8_t packet[PE_WIRE_BYTES_MAX];
	uint64_t sequence;
	uint32_t bytes = put(watch, packet, preamble, content, &sequence);
	enum presence_result result = ask(watch, sequence, packet, bytes);

	if (result == PRESENCE_REFUSED)
		*refusal = refused(watch->request.code, watch->request.reason,
			watch->request.fault < content->count ? (int)(done + watch->request.fault) :
								-1);
	return result;
}

static bool keep(struct presence_watch *watch, const struct content *content)
{
	return client_watch_keep(watch, content->fences, content->count, content->extensions);
}

static enum presence_result is_opening(const struct presence_watch *watch)
{
	watch->client->error = (struct client_error){.result = PRESENCE_WOULD_BLOCK,
		.what = "the watch is being subscribed anew; poll until its snapshot has ended"};
	return PRESENCE_WOULD_BLOCK;
}

// One message that changes the set. One whose fate nobody knows must be sent again before anything
// else: its number may have been taken.
static enum presence_result change(struct presence_watch *watch, enum pe_subscribe_op op,
	const struct content *content, size_t done, struct presence_watch_refusal *refusal)
{
	struct pe_wire_subscribe preamble = {
		.subscription_id = watch->preamble.subscription_id,
		.epoch = watch->preamble.epoch,
		.op = (uint8_t)op,
		.message = watch->message + 1,
	};
	uint8_t said[PE_WIRE_BYTES_MAX];
	uint64_t sequence;
	uint32_t bytes;
	enum presence_result result;

	if (watch->anew)
		return is_opening(watch);
	bytes = put(watch, said, &preamble, content, &sequence);
	if (watch->doubt_bytes &&
		(watch->doubt_bytes != bytes - HEADER_BYTES ||
			memcmp(watch->doubt, said + HEADER_BYTES, watch->doubt_bytes) != 0))
		return client_bad(watch->client,
			"another change than the one that was not answered: repeat that one first");
	if (op == PE_SUBSCRIBE_ADD && !keep(watch, content))
		return client_failed(watch->client, PRESENCE_MEMORY);
	result = exchange(watch, &preamble, content, done, refusal);
	watch->doubt_bytes = 0;
	if (result && op == PE_SUBSCRIBE_ADD)
		client_watch_unkeep(watch, content->count);
	else if (!result && op == PE_SUBSCRIBE_REMOVE)
		client_watch_unkeep_named(watch, content->names, content->count);
	if (result == PRESENCE_OK) {
		watch->message++;
	} else if (result != PRESENCE_REFUSED && bytes) {
		watch->doubt_bytes = bytes - HEADER_BYTES;
		memcpy(watch->doubt, said + HEADER_BYTES, watch->doubt_bytes);
	}
	return result;
}

enum presence_result presence_watch_add(struct presence_watch *watch,
	const struct presence_fence *fences, size_t count, size_t *done,
	struct presence_watch_refusal *refusal)
{
	struct presence_watch_refusal unused;
	size_t unwanted;

	refusal = refusal ? refusal : &unused;
	done = done ? done : &unwanted;
	*refusal = refused(0, 0, -1);
	for (*done = 0; *done < count;) {
		struct content content;
		enum presence_result result;
		unsigned n = say_fences(fences + *done, count - *done, &content);

		if (!n) {
			refusal->fence = (int)*done;
			return client_bad(watch->client, fence_fault(&fences[*done]));
		}
		result = change(watch, PE_SUBSCRIBE_ADD, &content, *done, refusal);
		if (result)
			return result;
		*done += n;
	}
	return PRESENCE_OK;
}

enum presence_result presence_watch_remove(struct presence_watch *watch, const uint32_t *fences,
	size_t count, size_t *done, struct presence_watch_refusal *refusal)
{
	struct presence_watch_refusal unused;
	size_t unwanted;

	refusal = refusal ? refusal : &unused;
	done = done ? done : &unwanted;
	*refusal = refused(0, 0, -1);
	for (*done = 0; *done < count;) {
		struct content content = {0};
		enum presence_result result;

		for (; content.count < PE_SUBSCRIBE_NAMES_MAX && *done + content.count < count;
			content.count++)
			content.names[content.count].fence_id = fences[*done + content.count];
		result = change(watch, PE_SUBSCRIBE_REMOVE, &content, *done, refusal);
		if (result)
			return result;
		*done += content.count;
	}
	return PRESENCE_OK;
}

enum presence_result presence_watch_renew(
	struct presence_watch *watch, uint32_t lease_ms, struct presence_watch_refusal *refusal)
{
	uint8_t packet[PE_WIRE_BYTES_MAX];
	uint64_t sequence;
	enum presence_result result;
	uint32_t bytes;

	if (watch->anew) {
		result = is_opening(watch);
	} else {
		bytes = client_watch_put(watch, packet, PE_SUBSCRIBE_RENEW, 0,
			lease_ms ? lease_ms : watch->preamble.expiration_ms, &sequence);
		result = ask(watch, sequence, packet, bytes);
	}
	if (refusal)
		*refusal = result == PRESENCE_REFUSED ?
			refused(watch->request.code, watch->request.reason, -1) :
			refused(0, 0, -1);
	return result;
}

static void forget(struct presence_watch *watch)
{
	struct presence_client *client = watch->client;

	for (unsigned i = 0; i < client->watch_count; i++)
		if (client->watches[i] == watch)
			client->watches[i] = client->watches[--client->watch_count];
	client_watch_free(watch);
}

enum presence_result presence_watch_close(struct presence_watch *watch)
{
	uint8_t packet[PE_WIRE_BYTES_MAX];
	enum presence_result result = PRESENCE_OK;

	if (!watch)
		return PRESENCE_OK;
	if (!watch->ended && !watch->unknown) {
		uint64_t sequence;
		uint32_t bytes =
			client_watch_put(watch, packet, PE_SUBSCRIBE_CLOSE, 0, 0, &sequence);

		result = ask(watch, sequence, packet, bytes);
		// An engine that doesn't know it has closed it: the answer to an earlier sending
		// was lost.
		if (result == PRESENCE_REFUSED &&
			watch->request.reason == PE_REASON_subscription_unknown)
			result = PRESENCE_OK;
	}
	forget(watch);
	return result;
}

static struct presence_watch *begin(struct presence_client *client, const uint8_t *space,
	const struct presence_watch_options *options)
{
	struct presence_watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		return NULL;
	if (!options->id)
		client->watch_id += client->watch_id ? 1 : client->stream_id | 1;
	watch->client = client;
	if (space)
		memcpy(watch->space, space, sizeof watch->space);
	watch->preamble = (struct pe_wire_subscribe){
		.subscription_id = options->id ? options->id : client->watch_id,
		.epoch = client_watch_epoch(client),
		.op = PE_SUBSCRIBE_OPEN,
		.priority = options->priority,
		.flags = (uint16_t)((options->moves ? PE_SUBSCRIBE_MOVES : 0) |
			(options->filter ? PE_SUBSCRIBE_FILTER_UPDATES : 0) |
			(options->payloads ? PE_SUBSCRIBE_PAYLOADS : 0) |
			(options->batch ? PE_SUBSCRIBE_BATCH_UPDATES : 0)),
		.update_frequency = options->frequency_per_minute,
		.window = options->window,
		.resolution_m = options->resolution_m,
		.expiration_ms = options->lease_ms,
	};
	watch->expire = options->expire;
	watch->resubscribe = options->resubscribe;
	watch->next = watch->end = watch->acked = 1;
	watch->heard_us = client_now_us();
	watch->ask_ms = client->timeout_ms;
	watch->ask_us = watch->heard_us + watch->ask_ms * 1000ull;
	client->watches[client->watch_count++] = watch;
	return watch;
}

enum presence_result presence_watch_open(struct presence_client *client, const uint8_t *space,
	const struct presence_watch_options *options, const struct presence_fence *fences,
	size_t count, struct presence_watch **watch, struct presence_watch_refusal *refusal)
{
	static const struct presence_watch_options none;
	struct presence_watch_refusal unused;
	enum presence_result result;
	struct presence_watch *w;
	struct content content;
	unsigned first;

	*watch = NULL;
	refusal = refusal ? refusal : &unused;
	*refusal = refused(0, 0, -1);
	if (client->watch_count == PRESENCE_WATCHES_MAX)
		return client_bad(client,
			"PRESENCE_WATCHES_MAX watches are open: put several fences into one, or close some");
	first = say_fences(fences, count, &content);
	if (count && !first) {
		refusal->fence = 0;
		return client_bad(client, fence_fault(&fences[0]));
	}
	w = begin(client, space, options ? options : &none);
	if (!w || !keep(w, &content)) {
		if (w)
			forget(w);
		return client_failed(client, PRESENCE_MEMORY);
	}
	result = exchange(w, &w->preamble, &content, 0, refusal);
	if (result == PRESENCE_REFUSED) {
		forget(w);
		return result;
	}
	if (!result && first < count) {
		result = presence_watch_add(w, fences + first, count - first, NULL, refusal);
		if (refusal->fence >= 0)
			refusal->fence += (int)first;
	}
	if (result) {
		struct client_error error = client->error;

		(void)presence_watch_close(w);
		client->error = error;
		return result;
	}
	*watch = w;
	return PRESENCE_OK;
}
