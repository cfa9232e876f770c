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

#define RECORDS_AT (sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble))
static_assert(RECORDS_AT % alignof(struct presence_record) == 0 &&
		CLIENT_OUT_BYTES % alignof(struct presence_record) == 0,
	"records are filled where they lie");

enum presence_result presence_reserve(
	struct presence_client *client, const uint8_t *space, struct presence_record **records)
{
	enum presence_result result;
	uint8_t *buffer = client_reserve(client, &result);

	*records = NULL;
	if (!buffer)
		return result;
	if (space)
		memcpy(client->bulk_space, space, sizeof client->bulk_space);
	else
		memset(client->bulk_space, 0, sizeof client->bulk_space);
	client->bulk = buffer;
	*records = (struct presence_record *)(buffer + RECORDS_AT);
	return PRESENCE_OK;
}

enum presence_result presence_commit(
	struct presence_client *client, unsigned count, bool ack, uint64_t *sequence)
{
	uint8_t *buffer = client->bulk;
	struct pe_wire_update_preamble preamble;
	struct pe_wire_header header;

	client->bulk = NULL;
	if (count == 0 && buffer)
		return PRESENCE_OK;
	if (!buffer)
		return client_bad(
			client, "no room is reserved; call presence_reserve before each commit");
	if (count > PRESENCE_BATCH_MAX)
		return client_bad(
			client, "more than PRESENCE_BATCH_MAX records; commit several packets");
	header = client_header(client, client->bulk_space, ack ? PE_FLAG_ACK : 0);
	preamble = client_preamble(client, header.sequence);
	if (sequence)
		*sequence = header.sequence;
	client_commit(client,
		pe_wire_put_update_head(buffer, CLIENT_OUT_BYTES, &header, &preamble, count),
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
