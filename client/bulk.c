#include "client/bulk.h"
#include "client/internal.h"
#include "wire/half.h"

#include <string.h>

// The public record is the wire's.
#define SAME(ours, theirs) \
	static_assert( \
		offsetof(struct presence_record, ours) == offsetof(struct pe_wire_update, theirs), \
		#ours)
static_assert(sizeof(struct presence_record) == sizeof(struct pe_wire_update), "record");
SAME(id, entity_id);
SAME(position, position);
SAME(sequence, sequence);
SAME(time_offset_ms, time_offset_ms);
SAME(ttl_ms, ttl_ms);
SAME(duration_ms, duration_ms);
SAME(radius_m, radius_m);
SAME(precision_m, precision_m);
SAME(velocity, velocity);
SAME(frequency_per_minute, frequency);
SAME(announced_per_minute, update_frequency);
SAME(position_confidence, position_confidence);
SAME(status_confidence, status_confidence);
SAME(type, entity_type);
SAME(custom_state, custom_state);
SAME(attributes, attributes);
static_assert(PRESENCE_RECORD_HEIGHT_UNKNOWN == PE_ATTRIBUTE_HEIGHT_UNKNOWN &&
		PRESENCE_RECORD_RELOCATION == PE_ATTRIBUTE_RELOCATION &&
		PE_ATTRIBUTE_POWER_MODE(PRESENCE_RECORD_POWER(2)) == 2,
	"attributes");
static_assert(PRESENCE_BATCH_MAX == PE_UPDATE_COUNT_MAX, "records of a packet");

// The packet as it is made, where it is sent from. The engine's writers (wire/encode.h) copy
// records; these are there already.
struct packet {
	struct pe_wire_header header;
	struct pe_wire_update_preamble preamble;
	struct presence_record records[PRESENCE_BATCH_MAX];
};
static_assert(offsetof(struct packet, records) ==
			sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble) &&
		sizeof(struct packet) <= PE_WIRE_BYTES_MAX &&
		CLIENT_OUT_BYTES % alignof(struct packet) == 0,
	"no padding, and aligned wherever it lies among the others");

enum presence_result presence_reserve(
	struct presence_client *client, const uint8_t *space, struct presence_record **records)
{
	enum presence_result result;
	struct packet *packet = (struct packet *)client_reserve(client, &result);

	*records = NULL;
	if (!packet)
		return result;
	packet->header = (struct pe_wire_header){.version = PE_WIRE_VERSION,
		.type = PE_TYPE_SPATIAL_UPDATE,
		.stream_id = client->stream_id};
	if (space)
		memcpy(packet->header.space_id, space, sizeof packet->header.space_id);
	client->bulk = (uint8_t *)packet;
	*records = packet->records;
	return PRESENCE_OK;
}

// What is not a packet, told apart from the way of those that are.
static enum presence_result no_packet(
	struct presence_client *client, const struct packet *packet, unsigned count)
{
	if (!packet)
		return client_bad(
			client, "no room is reserved; call presence_reserve before each commit");
	if (count)
		return client_bad(
			client, "more than PRESENCE_BATCH_MAX records; commit several packets");
	return PRESENCE_OK;
}

enum presence_result presence_commit(
	struct presence_client *client, unsigned count, bool ack, uint64_t *sequence)
{
	struct packet *packet = (struct packet *)client->bulk;

	client->bulk = NULL;
	if (!packet || count - 1 >= PRESENCE_BATCH_MAX)
		return no_packet(client, packet, count);
	packet->header.flags = ack ? PE_FLAG_ACK : 0;
	packet->header.sequence = ++client->sequence;
	packet->header.timestamp_ms = client_wall_ms();
	packet->header.count = (uint16_t)count;
	packet->preamble = (struct pe_wire_update_preamble){.incarnation = client->incarnation};
	memcpy(packet->preamble.broadcast_id, &client->key, sizeof client->key);
	memcpy(packet->preamble.broadcast_id + 8, &client->sequence, sizeof client->sequence);
	if (sequence)
		*sequence = client->sequence;
	client_commit(client,
		(uint32_t)(offsetof(struct packet, records) + count * sizeof packet->records[0]),
		count);
	return PRESENCE_OK;
}

bool presence_record_from(struct presence_record *record, const struct presence_update *update)
{
	struct pe_wire_update wire;

	if (!client_update_to_wire(update, &wire))
		return false;
	memcpy(record, &wire, sizeof wire);
	return true;
}

uint16_t presence_half(float metres_per_second)
{
	return pe_half_from_float(metres_per_second);
}
