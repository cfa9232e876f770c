#include "client/internal.h"

#include <assert.h>
#include <string.h>

// Of the first one that cannot be said; NULL: there is none.
static const char *first_fault(const struct presence_update *updates, size_t count)
{
	struct pe_wire_update unused;

	for (size_t i = 0; i < count; i++)
		if (!client_update_to_wire(&updates[i], &unused))
			return client_update_fault(&updates[i]);
	return NULL;
}

static const char *packet_fault(const struct presence_update *updates, unsigned count)
{
	const char *fault =
		first_fault(updates, count < PE_UPDATE_COUNT_MAX ? count : PE_UPDATE_COUNT_MAX);

	return fault ? fault : "no update, or more than PRESENCE_BATCH_MAX in one packet";
}

enum presence_result presence_submit_updates(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, unsigned count, bool ack, uint64_t *sequence)
{
	enum presence_result result;
	uint8_t *buffer = client_reserve(client, &result);
	uint64_t unused;
	uint32_t bytes;

	if (!buffer)
		return result;
	bytes = client_put_updates(
		client, buffer, space, updates, count, ack, sequence ? sequence : &unused);
	if (!bytes)
		return client_bad(client, packet_fault(updates, count));
	client_commit(client, bytes, count);
	return PRESENCE_OK;
}

enum presence_result presence_send(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, size_t count, size_t *sent)
{
	uint64_t records_before;
	enum presence_result result = PRESENCE_OK;

	if (sent)
		*sent = 0;
	// What was submitted before goes first; it stays gathered where it has no room.
	if (client->out_count)
		result = presence_flush(client, NULL);
	if (result)
		return result;
	records_before = client->traffic.records_sent;
	for (size_t i = 0; i < count && !result; i += PE_UPDATE_COUNT_MAX) {
		size_t left = count - i;

		result = presence_submit_updates(client, space, updates + i,
			left < PE_UPDATE_COUNT_MAX ? (unsigned)left : PE_UPDATE_COUNT_MAX, false,
			NULL);
	}
	if (result == PRESENCE_OK || result == PRESENCE_BAD_ARGUMENT) {
		enum presence_result flushed = presence_flush(client, NULL);

		result = result ? result : flushed;
	}
	// What the system did not take is not sent later behind the caller's back.
	client->out_count = 0;
	if (sent)
		*sent = (size_t)(client->traffic.records_sent - records_before);
	return result;
}

// One packet and its acknowledgement. Updates and withdrawals differ in the type of the header
// only.
struct waiting {
	const struct presence_client *client;
	uint64_t sequence;
	enum pe_type type;
	unsigned count;
	bool done;
	struct presence_refusal refusal;
	struct presence_ack *acks;
};

static bool take_ack(void *context, const struct pe_wire_view *view)
{
	struct waiting *w = context;

	if (w->done || view->header.type != w->type ||
		view->body.ack.request_sequence != w->sequence ||
		!client_owns_broadcast(w->client, view->body.ack.broadcast_id, w->sequence) ||
		view->header.stream_id != w->client->stream_id)
		return false;
	w->refusal = (struct presence_refusal){view->body.ack.code, view->body.ack.reason};
	if (view->body.ack.code == PE_CODE_SUCCESS) {
		if (view->count != w->count)
			return false;
		for (unsigned i = 0; i < w->count; i++) {
			struct pe_wire_ack_record record;

			pe_wire_get_ack(view, i, &record);
			client_ack_from_wire(&record, &w->acks[i]);
		}
	}
	w->done = true;
	return true;
}

// An acknowledgement was lost and its packet sent again: the records are stale by their own doing.
static void mend_repeats(
	const struct presence_client *client, struct waiting *w, const uint32_t *sequences)
{
	for (unsigned i = 0; i < w->count; i++) {
		struct presence_ack *ack = &w->acks[i];

		if (ack->reason != PE_REASON_stale ||
			ack->known_incarnation != client->incarnation ||
			ack->known_sequence != sequences[i])
			continue;
		*ack = (struct presence_ack){.status = PRESENCE_ACCEPTED,
			.repeated = true,
			.known_incarnation = ack->known_incarnation,
			.known_sequence = ack->known_sequence};
	}
}

static enum presence_result exchange(struct presence_client *client, struct waiting *w,
	uint8_t *packet, uint32_t bytes, const uint32_t *sequences,
	struct presence_refusal *refusal)
{
	struct client_taker taker = {w, take_ack};
	struct client_exchange e = {
		.packet = packet, .bytes = bytes, .records = w->count, .done = &w->done};
	enum presence_result result;

	if (!bytes)
		return client_bad(client, "records that have no room in a message: publish fewer");
	result = client_exchange(client, &e, &taker);
	if (result)
		return result;
	if (w->refusal.code != PE_CODE_SUCCESS) {
		for (unsigned i = 0; i < w->count; i++)
			w->acks[i] = (struct presence_ack){.status = PRESENCE_NOT_TAKEN,
				.code = w->refusal.code,
				.reason = w->refusal.reason};
		if (refusal)
			*refusal = w->refusal;
		return client_refused(client, w->refusal.code, w->refusal.reason);
	}
	if (e.attempts > 1)
		mend_repeats(client, w, sequences);
	return PRESENCE_OK;
}

static void begin(struct presence_ack *acks, size_t count, struct presence_refusal *refusal)
{
	for (size_t i = 0; i < count; i++)
		acks[i] = (struct presence_ack){
			.status = PRESENCE_DROPPED, .code = PRESENCE_CODE_TIMEOUT};
	if (refusal)
		*refusal = (struct presence_refusal){0};
}

enum presence_result presence_publish(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, size_t count, struct presence_ack *acks,
	struct presence_refusal *refusal)
{
	enum presence_result worst = PRESENCE_OK;
	const char *fault = first_fault(updates, count);

	begin(acks, count, refusal);
	if (fault)
		return client_bad(client, fault);
	for (size_t done = 0; done < count;) {
		unsigned n = count - done < PE_UPDATE_COUNT_MAX ? (unsigned)(count - done) :
								  PE_UPDATE_COUNT_MAX;
		struct waiting w = {.client = client,
			.type = PE_TYPE_SPATIAL_UPDATE,
			.count = n,
			.acks = acks + done};
		uint32_t sequences[PE_UPDATE_COUNT_MAX];
		uint8_t packet[PE_WIRE_BYTES_MAX];
		enum presence_result result;
		uint32_t bytes;

		for (unsigned i = 0; i < n; i++)
			sequences[i] = updates[done + i].sequence;
		bytes = client_put_updates(
			client, packet, space, updates + done, n, true, &w.sequence);
		result = exchange(client, &w, packet, bytes, sequences, refusal);
		worst = worst ? worst : result;
		if (result && result != PRESENCE_REFUSED)
			return result;
		done += n;
	}
	return worst;
}

static enum presence_result publish_detailed(struct presence_client *client, const uint8_t *space,
	const struct presence_update *update, const struct presence_details *details,
	struct presence_ack *ack, struct presence_refusal *refusal)
{
	struct waiting w = {
		.client = client, .type = PE_TYPE_DETAILED_UPDATE, .count = 1, .acks = ack};
	struct pe_wire_header header;
	struct pe_wire_update_preamble preamble;
	uint8_t packet[PE_WIRE_BYTES_MAX], record[PE_DETAILED_RECORD_BYTES_MAX];
	uint32_t bytes = client_details_to_wire(update, details, record);

	header = client_header(client, space, PE_FLAG_ACK);
	preamble = client_preamble(client, header.sequence);
	w.sequence = header.sequence;
	bytes = pe_wire_put_detailed(packet, sizeof packet, &header, &preamble, record, bytes, 1);
	return exchange(client, &w, packet, bytes, &update->sequence, refusal);
}

enum presence_result presence_publish_detailed(struct presence_client *client, const uint8_t *space,
	const struct presence_update *updates, const struct presence_details *details, size_t count,
	struct presence_ack *acks, struct presence_refusal *refusal)
{
	enum presence_result worst = PRESENCE_OK;
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX];

	begin(acks, count, refusal);
	for (size_t i = 0; i < count; i++)
		if (!client_details_to_wire(&updates[i], &details[i], record))
			return client_bad(client,
				pe_wire_id_nil(updates[i].id) ?
					client_update_fault(&updates[i]) :
					"an update or its details that cannot be said: a number "
					"that is not finite, a name, tag or text that is empty, too "
					"long or not UTF-8, or more than an entity may have");
	for (size_t i = 0; i < count; i++) {
		enum presence_result result = publish_detailed(
			client, space, &updates[i], &details[i], &acks[i], refusal);

		worst = worst ? worst : result;
		if (result && result != PRESENCE_REFUSED)
			return result;
	}
	return worst;
}

enum presence_result presence_withdraw(struct presence_client *client, const uint8_t *space,
	const struct presence_withdrawal *withdrawals, size_t count, struct presence_ack *acks,
	struct presence_refusal *refusal)
{
	enum presence_result worst = PRESENCE_OK;

	begin(acks, count, refusal);
	for (size_t i = 0; i < count; i++)
		if (pe_wire_id_nil(withdrawals[i].id) || withdrawals[i].age_ms == INT32_MIN)
			return client_bad(client,
				"a withdrawal with the nil id, or whose age has no negative");
	for (size_t done = 0; done < count;) {
		unsigned n = count - done < PE_WITHDRAW_COUNT_MAX ? (unsigned)(count - done) :
								    PE_WITHDRAW_COUNT_MAX;
		struct waiting w = {.client = client,
			.type = PE_TYPE_WITHDRAW,
			.count = n,
			.acks = acks + done};
		struct pe_wire_header header = client_header(client, space, PE_FLAG_ACK);
		struct pe_wire_update_preamble preamble = client_preamble(client, header.sequence);
		struct pe_wire_withdraw records[PE_WITHDRAW_COUNT_MAX];
		uint32_t sequences[PE_WITHDRAW_COUNT_MAX];
		uint8_t packet[PE_WIRE_BYTES_MAX];
		enum presence_result result;
		uint32_t bytes;

		for (unsigned i = 0; i < n; i++) {
			const struct presence_withdrawal *from = &withdrawals[done + i];

			records[i] = (struct pe_wire_withdraw){
				.sequence = from->sequence, .time_offset_ms = -from->age_ms};
			memcpy(records[i].entity_id, from->id, sizeof records[i].entity_id);
			sequences[i] = from->sequence;
		}
		w.sequence = header.sequence;
		bytes = pe_wire_put_withdraw(packet, sizeof packet, &header, &preamble, records, n);
		result = exchange(client, &w, packet, bytes, sequences, refusal);
		worst = worst ? worst : result;
		if (result && result != PRESENCE_REFUSED)
			return result;
		done += n;
	}
	return worst;
}
