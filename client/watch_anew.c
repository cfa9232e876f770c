#include "client/watch_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_MAX_MS 2000 // between two sendings of a message
#define BUSY_MS      5    // before an engine that still works on the last message is asked again
#define ROOM_MIN     16

void client_watch_free(struct presence_watch *watch)
{
	client_watch_unkeep(watch, (unsigned)watch->kept_count);
	free(watch->kept);
	free(watch);
}

uint32_t client_watch_epoch(struct presence_client *client)
{
	uint32_t now_s = (uint32_t)time(NULL);

	client->watch_epoch = now_s > client->watch_epoch ? now_s : client->watch_epoch + 1;
	return client->watch_epoch;
}

static bool keep(
	struct presence_watch *watch, const struct pe_wire_fence *fence, const uint8_t *extension)
{
	size_t bytes = fence->query.extension_bytes;
	struct watch_kept *kept;

	if (watch->kept_count == watch->kept_room) {
		size_t room = watch->kept_room ? 2 * watch->kept_room : ROOM_MIN;
		struct watch_kept **grown = realloc(watch->kept, room * sizeof *grown);

		if (!grown)
			return false;
		watch->kept = grown;
		watch->kept_room = room;
	}
	kept = malloc(sizeof *kept + bytes);
	if (!kept)
		return false;
	kept->fence = *fence;
	if (bytes)
		memcpy(kept->extension, extension, bytes);
	watch->kept[watch->kept_count++] = kept;
	return true;
}

bool client_watch_keep(struct presence_watch *watch, const struct pe_wire_fence *fences,
	unsigned count, const uint8_t *extensions)
{
	if (!watch->resubscribe)
		return true;
	for (unsigned i = 0; i < count; i++) {
		if (!keep(watch, &fences[i], extensions)) {
			client_watch_unkeep(watch, i);
			return false;
		}
		extensions += fences[i].query.extension_bytes;
	}
	return true;
}

void client_watch_unkeep(struct presence_watch *watch, unsigned count)
{
	for (; watch->kept_count && count; count--)
		free(watch->kept[--watch->kept_count]);
}

void client_watch_unkeep_named(
	struct presence_watch *watch, const struct pe_wire_fence_name *names, unsigned count)
{
	size_t left = 0;

	for (size_t i = 0; i < watch->kept_count; i++) {
		struct watch_kept *kept = watch->kept[i];
		unsigned n = 0;

		while (n < count && names[n].fence_id != kept->fence.fence_id)
			n++;
		if (n < count)
			free(kept);
		else
			watch->kept[left++] = kept;
	}
	watch->kept_count = left;
}

bool client_watch_comes_again(const struct presence_watch *watch, unsigned end_cause)
{
	return watch->resubscribe &&
		(end_cause == PRESENCE_END_UNKNOWN || end_cause == PRESENCE_END_ENGINE ||
			end_cause == PRESENCE_END_EXPIRED) &&
		!(watch->expire && end_cause != PRESENCE_END_ENGINE);
}

// The next message: as many of the fences that are left as fit it.
static void prepare(struct presence_watch *watch)
{
	struct pe_wire_header header = client_header(watch->client, watch->space, 0);
	struct pe_wire_fence fences[PE_SUBSCRIBE_FENCES_MAX];
	uint8_t extensions[WATCH_ROOM];
	struct pe_wire_subscribe preamble = watch->preamble;
	unsigned count = 0;
	uint32_t used = 0;

	if (watch->anew == WATCH_ADDING)
		preamble = (struct pe_wire_subscribe){
			.subscription_id = watch->preamble.subscription_id,
			.epoch = watch->preamble.epoch,
			.op = PE_SUBSCRIBE_ADD,
			.message = watch->message + 1,
		};
	while (count < PE_SUBSCRIBE_FENCES_MAX && watch->anew_at + count < watch->kept_count) {
		const struct watch_kept *kept = watch->kept[watch->anew_at + count];
		uint32_t bytes = kept->fence.query.extension_bytes;

		if ((count + 1) * sizeof fences[0] + used + bytes > WATCH_ROOM)
			break;
		fences[count++] = kept->fence;
		memcpy(extensions + used, kept->extension, bytes);
		used += bytes;
	}
	watch->anew_count = count;
	watch->anew_sequence = header.sequence;
	watch->anew_bytes = pe_wire_put_subscribe(watch->anew_message, sizeof watch->anew_message,
		&header, &preamble, fences, count, extensions, used);
	watch->anew_ms = watch->client->timeout_ms;
	watch->anew_us = client_now_us();
}

void client_watch_begin_anew(struct presence_watch *watch)
{
	watch->preamble.epoch = client_watch_epoch(watch->client);
	watch->next = watch->end = watch->acked = 1;
	watch->final = 0;
	memset(watch->held, 0, sizeof watch->held);
	watch->held_count = 0;
	client_watch_drop_halves(watch);
	watch->unknown = watch->missing = false;
	watch->message = 0;
	watch->doubt_bytes = 0;
	watch->lease_us = watch->renew_us = 0;
	watch->ask_ms = watch->client->timeout_ms;
	watch->anew = WATCH_OPENING;
	watch->anew_at = 0;
	prepare(watch);
}

static void answered_well(struct presence_watch *watch)
{
	if (watch->anew == WATCH_ADDING)
		watch->message++;
	else
		watch->ask_us = client_now_us() + watch->ask_ms * 1000ull;
	watch->anew = WATCH_ADDING;
	watch->anew_at += watch->anew_count;
	if (watch->anew_at < watch->kept_count) {
		prepare(watch);
		return;
	}
	watch->anew = WATCH_STANDING;
	watch->counts.anew++;
}

void client_watch_anew_answered(
	struct presence_watch *watch, const struct pe_wire_subscribed *answer)
{
	if (answer->code == PE_CODE_SUCCESS) {
		answered_well(watch);
	} else if (answer->reason == PE_REASON_subscribe_busy) {
		watch->anew_us = client_now_us() + BUSY_MS * 1000ull;
	} else if (answer->reason == PE_REASON_subscribe_order) {
		// Started again between two messages, and opened by one that was on its way: from
		// the beginning.
		watch->unknown = true;
	} else if (answer->reason != PE_REASON_subscription_unknown &&
		answer->code != PE_CODE_OUT_OF_MEMORY && answer->code != PE_CODE_CPU_EXCEEDED) {
		// What has no room now may have some later; anything else stays as it is.
		watch->anew_refused = true;
		(void)client_refused(watch->client, answer->code, answer->reason);
	}
}

// What the system doesn't take now is lost, like anything on the way.
void client_watch_anew_turn(struct presence_watch *watch, uint64_t now_us)
{
	struct presence_client *client = watch->client;
	struct iovec packet = {watch->anew_message, watch->anew_bytes};

	if (now_us < watch->anew_us || watch->anew_refused)
		return;
	if (client->transport->send(client->transport_context, &packet, 1) == 1) {
		client->traffic.packets_sent++;
		client->traffic.bytes_sent += watch->anew_bytes;
	}
	watch->anew_us = now_us + watch->anew_ms * 1000ull;
	watch->anew_ms = watch->anew_ms * 2 < PAUSE_MAX_MS ? watch->anew_ms * 2 : PAUSE_MAX_MS;
}
