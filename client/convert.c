#include "client/internal.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

void presence_id_from_u64(const char *name_space, uint64_t number, uint8_t id[16])
{
	memset(id, 0, 16);
	for (int i = 0; name_space && i < 8 && name_space[i]; i++)
		id[i] = (uint8_t)name_space[i];
	for (int i = 0; i < 8; i++)
		id[8 + i] = (uint8_t)(number >> (56 - 8 * i));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool presence_id_parse(const char *text, uint8_t id[16])
{
	unsigned digits = 0;

	for (; *text; text++) {
		int digit = hex_digit(*text);

		if (*text == '-' && (digits == 8 || digits == 12 || digits == 16 || digits == 20))
			continue;
		if (digit < 0 || digits == 32)
			return false;
		id[digits / 2] = (uint8_t)(digits % 2 ? id[digits / 2] | digit : digit << 4);
		digits++;
	}
	return digits == 32;
}

void presence_id_print(const uint8_t id[16], char text[37])
{
	static const char digit[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = digit[id[i] >> 4];
		*text++ = digit[id[i] & 15];
	}
	*text = '\0';
}

bool client_update_to_wire(const struct presence_update *u, struct pe_wire_update *wire)
{
	unsigned attributes = (u->state & 7u) | (u->visibility & 3u) << 3 |
		(u->power_mode & 3u) << 5 | (u->exactness & 7u) << 7;

	if (u->state > PRESENCE_STATE_CUSTOM || u->power_mode > PRESENCE_ADAPTIVE ||
		u->visibility > PRESENCE_HIDDEN || u->exactness > PRESENCE_WITHIN_10_KM ||
		u->age_ms == INT32_MIN || pe_wire_id_nil(u->id))
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (!isfinite(u->position[i]) || !isfinite(u->velocity[i]))
			return false;
	if (u->height_unknown)
		attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	if (u->relocation)
		attributes |= PE_ATTRIBUTE_RELOCATION;
	*wire = (struct pe_wire_update){
		.position = {u->position[0], u->position[1],
			u->height_unknown ? 0 : u->position[2]},
		.sequence = u->sequence,
		.time_offset_ms = -u->age_ms,
		.ttl_ms = u->ttl_ms,
		.duration_ms = u->duration_ms,
		.radius_m = u->radius_m,
		.precision_m = u->precision_m,
		.velocity = {pe_half_from_float(u->velocity[0]), pe_half_from_float(u->velocity[1]),
			pe_half_from_float(u->velocity[2])},
		.frequency = u->frequency_per_minute,
		.update_frequency = u->announced_per_minute,
		.position_confidence = pe_confidence_from_float(u->position_confidence),
		.status_confidence = pe_confidence_from_float(u->status_confidence),
		.entity_type = u->type,
		.custom_state = u->custom_state,
		.attributes = (uint16_t)attributes,
	};
	memcpy(wire->entity_id, u->id, sizeof wire->entity_id);
	return true;
}

const char *client_update_fault(const struct presence_update *u)
{
	if (pe_wire_id_nil(u->id))
		return "an update with the nil id: name its entity (presence_id_from_u64, presence_id_parse)";
	if (u->state > PRESENCE_STATE_CUSTOM)
		return "an update whose state is none of enum presence_state";
	if (u->power_mode > PRESENCE_ADAPTIVE)
		return "an update whose power_mode is none of enum presence_power";
	if (u->visibility > PRESENCE_HIDDEN)
		return "an update whose visibility is none of enum presence_visibility";
	if (u->exactness > PRESENCE_WITHIN_10_KM)
		return "an update whose exactness is none of enum presence_exactness";
	for (unsigned i = 0; i < 3; i++)
		if (!isfinite(u->position[i]) || !isfinite(u->velocity[i]))
			return "an update whose position or velocity is not a finite number: leave it out";
	if (u->age_ms == INT32_MIN)
		return "an update whose age_ms has no negative: state a smaller age";
	return "no update, or more than PRESENCE_BATCH_MAX in one packet";
}

const char *client_query_fault(const struct presence_query *q)
{
	if (q->volume < PRESENCE_POINT || q->volume > PRESENCE_NEAREST)
		return "a query without a volume: set it to one of enum presence_volume";
	if (q->priority > PRESENCE_CRITICAL)
		return "a query whose priority is none of enum presence_priority";
	if (q->has_time && q->ahead_ms > PRESENCE_AHEAD_MAX_MS)
		return "a query about a moment later than PRESENCE_AHEAD_MAX_MS";
	if (!(q->cell_m >= 0) || isinf(q->cell_m))
		return "a query whose cell_m is negative or not a number";
	if (q->volume == PRESENCE_POLYGON)
		return "a polygon with rings of less than 3 vertices, or too many for a message: `rounded` takes "
		       "PRESENCE_VERTICES_MAX; and its filter needs room, too";
	return "a volume and a filter that together have no room in one message: shorten the filter";
}

bool client_query_to_wire(
	const struct presence_query *q, uint32_t query_id, struct pe_wire_query *wire)
{
	if (q->volume < PRESENCE_POINT || q->volume > PRESENCE_NEAREST ||
		q->priority > PRESENCE_CRITICAL)
		return false;
	*wire = (struct pe_wire_query){
		.query_id = query_id,
		.kind = q->volume,
		.priority = q->priority,
		.flags = (uint16_t)((q->has_origin ? PE_QUERY_HAS_ORIGIN : 0) |
			(q->has_heights ? PE_QUERY_HEIGHT_RANGE : 0) |
			(q->distance_3d ? PE_QUERY_DISTANCE_3D : 0) |
			(q->has_cursor ? PE_QUERY_HAS_CURSOR : 0) |
			(q->with_details ? PE_QUERY_WITH_DETAILS : 0)),
		.max_results = q->results_max,
		.timeout_ms = q->timeout_ms,
		.type_mask = q->type_mask,
		.state_mask = q->state_mask,
		.a = {q->a[0], q->a[1], q->a[2]},
	};
	if (q->volume == PRESENCE_BOX)
		memcpy(wire->b, q->b, sizeof wire->b);
	if (q->volume == PRESENCE_SPHERE || q->volume == PRESENCE_NEAREST)
		wire->b[0] = q->radius_m;
	if (q->has_origin)
		memcpy(wire->origin, q->origin, sizeof wire->origin);
	if (q->has_heights) {
		wire->height_min = q->height_min;
		wire->height_max = q->height_max;
	}
	if (q->has_cursor)
		memcpy(wire->cursor, q->cursor, sizeof wire->cursor);
	return true;
}

static uint32_t put_polygon(const struct presence_polygon *p, uint8_t *extension, uint32_t size)
{
	if (!p || !p->vertices || !p->ring_vertices)
		return 0;
	return pe_wire_put_polygon(extension, 0, size,
		p->rounded ? PE_VERTICES_I16 : PE_VERTICES_F64, p->vertices, p->ring_vertices,
		p->ring_count, p->height_min, p->height_max);
}

// The bytes of the volume's block; 0: it cannot be said.
static uint32_t put_volume(const struct presence_query *q, uint8_t *extension, uint32_t size)
{
	struct pe_wire_oriented_box box;
	struct pe_wire_frustum frustum;

	switch (q->volume) {
	case PRESENCE_POLYGON:
		return put_polygon(q->polygon, extension, size);
	case PRESENCE_ORIENTED_BOX:
		memcpy(box.half, q->half, sizeof box.half);
		memcpy(box.orientation, q->orientation, sizeof box.orientation);
		return pe_wire_put_block(extension, 0, size, PE_BLOCK_VOLUME, &box, sizeof box);
	default:
		memcpy(frustum.orientation, q->orientation, sizeof frustum.orientation);
		frustum.horizontal_deg = q->horizontal_deg;
		frustum.vertical_deg = q->vertical_deg;
		frustum.near_m = q->near_m;
		frustum.far_m = q->far_m;
		return pe_wire_put_block(
			extension, 0, size, PE_BLOCK_VOLUME, &frustum, sizeof frustum);
	}
}

static uint32_t put_resolution(
	const struct presence_query *q, uint8_t *extension, uint32_t used, uint32_t size)
{
	const struct pe_wire_resolution r = {.spatial_m = (float)q->cell_m,
		.temporal_ms = q->age_max_ms,
		.attribute = q->brief ? 0 : PE_RESOLUTION_ATTRIBUTE_DEFAULT};

	// What a float makes nothing of, or no end of.
	if (!(q->cell_m >= 0) || !isfinite(r.spatial_m) || (q->cell_m > 0) != (r.spatial_m > 0))
		return 0;
	return pe_wire_put_block(extension, used, size, PE_BLOCK_RESOLUTION, &r, sizeof r);
}

bool client_query_extend(const struct presence_query *q, struct pe_wire_query *wire,
	uint8_t *extension, uint32_t size)
{
	uint32_t bytes = 0;

	if (pe_query_kind_extended(q->volume)) {
		bytes = put_volume(q, extension, size);
		if (!bytes)
			return false;
	}
	if (q->filter_bytes) {
		bytes = pe_wire_put_block(
			extension, bytes, size, PE_BLOCK_FILTER, q->filter, q->filter_bytes);
		if (!bytes)
			return false;
	}
	if (q->has_time) {
		const struct pe_wire_time t = {.offset_ms = (int32_t)q->ahead_ms};

		if (q->ahead_ms > PRESENCE_AHEAD_MAX_MS)
			return false;
		bytes = pe_wire_put_block(extension, bytes, size, PE_BLOCK_TIME, &t, sizeof t);
		if (!bytes)
			return false;
	}
	if (q->cell_m != 0 || q->age_max_ms || q->brief) {
		bytes = put_resolution(q, extension, bytes, size);
		if (!bytes)
			return false;
	}
	if (bytes)
		wire->flags |= PE_QUERY_HAS_EXTENSION;
	wire->extension_bytes = (uint16_t)bytes;
	return true;
}

void client_found_from_wire(const struct pe_wire_result *wire, struct presence_found *found)
{
	*found = (struct presence_found){
		.position = {wire->position[0], wire->position[1], wire->position[2]},
		.velocity = {pe_half_to_float(wire->velocity[0]),
			pe_half_to_float(wire->velocity[1]), pe_half_to_float(wire->velocity[2])},
		.distance_m = wire->distance_m,
		.precision_m = pe_half_to_float(wire->precision),
		.position_confidence = pe_confidence_to_float(wire->position_confidence),
		.status_confidence = pe_confidence_to_float(wire->status_confidence),
		.age_ms = wire->age_ms,
		.ttl_left_ms = wire->ttl_left * 100u,
		.type = wire->entity_type,
		.state = wire->state & 7u,
		.custom_state = wire->custom_state,
		.height_unknown = wire->state & PE_RESULT_HEIGHT_UNKNOWN,
		.stale = wire->state & PE_RESULT_STALE,
	};
	memcpy(found->id, wire->entity_id, sizeof found->id);
}

void client_get_found(
	const uint8_t *results, unsigned i, unsigned flags, struct presence_found *found)
{
	struct pe_wire_result whole;
	struct pe_wire_short brief;

	if (!(flags & PE_ANSWER_SHORT)) {
		pe_wire_get_result(results, i, &whole);
		client_found_from_wire(&whole, found);
		return;
	}
	pe_wire_get_short(results, i, &brief);
	*found = (struct presence_found){.position = {brief.position[0], brief.position[1]},
		.position_confidence = -1,
		.status_confidence = -1,
		.height_unknown = isnan(brief.position[2])};
	if (!found->height_unknown)
		found->position[2] = brief.position[2];
	memcpy(found->id, brief.entity_id, sizeof found->id);
}

void client_get_cell(const uint8_t *results, unsigned i, struct presence_cell *cell)
{
	struct pe_wire_cell wire;

	pe_wire_get_cell(results, i, &wire);
	*cell = (struct presence_cell){.centre = {wire.centre[0], wire.centre[1], wire.centre[2]},
		.count = wire.count,
		.size_m = wire.size_m,
		.height_m = wire.height_m,
		.newest_age_ms = wire.newest_age_ms,
		.level = wire.level,
		.more = wire.flags & PE_CELL_MORE,
		.below = wire.below,
		.below_cells = wire.below_cells};
}

void client_ack_from_wire(const struct pe_wire_ack_record *wire, struct presence_ack *ack)
{
	*ack = (struct presence_ack){
		.status = wire->status,
		.code = wire->code,
		.reason = wire->reason,
		.known_incarnation = wire->known_incarnation,
		.known_sequence = wire->known_sequence,
		.silence_ms = wire->silence_ms,
	};
}

uint32_t client_put_updates(struct presence_client *client, uint8_t *buffer, const uint8_t *space,
	const struct presence_update *updates, unsigned count, bool ack, uint64_t *sequence)
{
	struct pe_wire_update records[PE_UPDATE_COUNT_MAX];
	struct pe_wire_update_preamble preamble;
	struct pe_wire_header header;

	if (count == 0 || count > PE_UPDATE_COUNT_MAX)
		return 0;
	for (unsigned i = 0; i < count; i++)
		if (!client_update_to_wire(&updates[i], &records[i]))
			return 0;
	header = client_header(client, space, ack ? PE_FLAG_ACK : 0);
	preamble = client_preamble(client, header.sequence);
	*sequence = header.sequence;
	return pe_wire_put_update(buffer, PE_WIRE_BYTES_MAX, &header, &preamble, records, count);
}

uint32_t client_put_query(struct presence_client *client, uint8_t *buffer, const uint8_t *space,
	const struct presence_query *query, uint64_t *sequence)
{
	uint8_t extension[PE_WIRE_BYTES_MAX - sizeof(struct pe_wire_header) -
		sizeof(struct pe_wire_query)];
	struct pe_wire_header header;
	struct pe_wire_query wire;

	if (!client_query_to_wire(query, 1, &wire) ||
		!client_query_extend(query, &wire, extension, sizeof extension))
		return 0;
	header = client_header_timeless(client, space, client->pack);
	*sequence = header.sequence;
	return pe_wire_put_query_extended(
		buffer, PE_WIRE_BYTES_MAX, &header, &wire, 1, extension, wire.extension_bytes);
}
