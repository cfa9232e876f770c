// What an entity says beside its state, to the wire and back. What comes back was checked as part
// of its message.
#include "client/internal.h"
#include "wire/metadata.h"

#include <math.h>
#include <string.h>

static_assert(PRESENCE_TAGS_MAX == PE_CONTEXT_TAGS_MAX &&
		PRESENCE_METADATA_MAX == PE_METADATA_NAMES_MAX &&
		PRESENCE_NAME_MAX == PE_NAME_BYTES_MAX &&
		PRESENCE_PAYLOAD_MAX == PE_PAYLOAD_BYTES_MAX &&
		(int)PRESENCE_REMOVE == (int)PE_VALUE_REMOVE &&
		(int)PRESENCE_BYTES == (int)PE_VALUE_BYTES,
	"the library's names for what is on the wire");

static bool name_of(const struct presence_text *text, struct pe_name *name)
{
	if (text->bytes > PE_NAME_BYTES_MAX)
		return false;
	*name = (struct pe_name){(const uint8_t *)text->text, (uint8_t)text->bytes};
	return true;
}

// The bytes of the block; 0: it cannot be said.
static uint32_t put_context(const struct presence_details *d, uint8_t *block)
{
	struct pe_context context = {.tag_count = (uint8_t)d->tag_count};

	if (d->tag_count > PE_CONTEXT_TAGS_MAX || !name_of(&d->activity, &context.activity))
		return 0;
	for (unsigned i = 0; i < d->tag_count; i++)
		if (!name_of(&d->tags[i], &context.tags[i]))
			return 0;
	if (pe_context_write(block, &context) != PE_BLOCK_SOUND)
		return 0;
	return pe_block_bytes(block, PE_CONTEXT_BYTES_MAX);
}

static bool put_value(const struct presence_value *v, uint8_t *change)
{
	struct pe_entry e = {.name = (const uint8_t *)v->name.text,
		.name_bytes = (uint8_t)v->name.bytes,
		.value = {.type = v->type}};

	if (v->name.bytes > PE_NAME_BYTES_MAX)
		return false;
	switch (v->type) {
	case PRESENCE_BOOL:
		e.value.bytes = 1;
		e.value.truth = v->truth;
		break;
	case PRESENCE_I64:
		e.value.bytes = 8;
		e.value.whole = v->whole;
		break;
	case PRESENCE_F64:
		e.value.bytes = 8;
		e.value.real = v->real;
		break;
	case PRESENCE_TEXT:
	case PRESENCE_BYTES:
		if (v->data.bytes > PE_VALUE_BYTES_MAX)
			return false;
		e.value.bytes = (uint16_t)v->data.bytes;
		e.value.data = (const uint8_t *)v->data.text;
		break;
	default:
		break;
	}
	return pe_metadata_set_change(change, &e) == PE_BLOCK_SOUND;
}

static uint32_t put_metadata(const struct presence_details *d, uint8_t *change)
{
	if (d->metadata_count > PE_METADATA_NAMES_MAX)
		return 0;
	pe_metadata_begin(change);
	for (unsigned i = 0; i < d->metadata_count; i++)
		if (!put_value(&d->metadata[i], change))
			return 0;
	return pe_block_bytes(change, PE_METADATA_BYTES_MAX);
}

static_assert(
	(int)PRESENCE_SPHERE == (int)PE_QUERY_SPHERE && (int)PRESENCE_BOX == (int)PE_QUERY_BOX,
	"volumes are those of the wire");

// A block of so many bytes, or an empty one, which takes away. False: no room.
static bool put(uint8_t *record, unsigned type, const void *content, uint32_t bytes)
{
	return pe_wire_put_details(record, PE_DETAILED_RECORD_BYTES_MAX, type, content, bytes) != 0;
}

uint32_t client_details_to_wire(
	const struct presence_update *update, const struct presence_details *d, uint8_t *record)
{
	const struct pe_wire_schedule schedule = {d->opening_ms, d->period_ms, d->open_for_ms};
	const struct pe_wire_scope scope = {.a = {d->scope_a[0], d->scope_a[1], d->scope_a[2]},
		.b = {d->scope_b[0], d->scope_b[1], d->scope_b[2]},
		.resolution_m = d->scope_resolution_m,
		.max_propagation = d->scope_engines_max,
		.bounds = d->scope_volume};
	_Alignas(8) uint8_t block[PE_METADATA_BYTES_MAX];
	struct pe_wire_update wire;
	uint32_t bytes;

	if (!client_update_to_wire(update, &wire) || d->payload_bytes > PE_PAYLOAD_BYTES_MAX ||
		!pe_wire_begin_details(record, PE_DETAILED_RECORD_BYTES_MAX, &wire))
		return 0;
	if ((d->has_orientation || d->no_orientation) &&
		!put(record, PE_DETAILS_ORIENTATION, d->orientation,
			d->has_orientation ? sizeof d->orientation : 0))
		return 0;
	if (d->has_context) {
		bytes = put_context(d, block);
		if (!bytes || !put(record, PE_DETAILS_CONTEXT, block, bytes))
			return 0;
	}
	if (d->metadata_count) {
		bytes = put_metadata(d, block);
		if (!bytes || !put(record, PE_DETAILS_METADATA, block, bytes))
			return 0;
	}
	if ((d->has_schedule || d->no_schedule) &&
		!put(record, PE_DETAILS_SCHEDULE, &schedule, d->has_schedule ? sizeof schedule : 0))
		return 0;
	if (d->has_parent && !put(record, PE_DETAILS_FRAME, d->parent, sizeof d->parent))
		return 0;
	if (d->payload_bytes && !put(record, PE_DETAILS_PAYLOAD, d->payload, d->payload_bytes))
		return 0;
	if ((d->has_scope || d->no_scope) &&
		!put(record, PE_DETAILS_SCOPE, &scope, d->has_scope ? sizeof scope : 0))
		return 0;
	return pe_wire_detailed_next(record);
}

static struct presence_text text_of(const uint8_t *text, unsigned bytes)
{
	return (struct presence_text){(const char *)text, bytes};
}

static void read_context(const uint8_t *block, uint32_t bytes, struct presence_details *d)
{
	struct pe_context context;

	pe_context_read(block, bytes, &context);
	d->has_context = true;
	d->activity = text_of(context.activity.text, context.activity.bytes);
	d->tag_count = context.tag_count;
	for (unsigned i = 0; i < context.tag_count; i++)
		d->tags[i] = text_of(context.tags[i].text, context.tags[i].bytes);
}

static void read_metadata(const uint8_t *block, uint32_t bytes, struct presence_details *d)
{
	struct pe_entry e;
	uint32_t offset = 0;

	while (d->metadata_count < PRESENCE_METADATA_MAX &&
		pe_metadata_next(block, bytes, &offset, &e)) {
		struct presence_value *v = &d->metadata[d->metadata_count++];

		*v = (struct presence_value){.name = text_of(e.name, e.name_bytes),
			.type = e.value.type,
			.data = text_of(e.value.data, e.value.bytes)};
		if (v->type == PRESENCE_BOOL)
			v->truth = e.value.truth;
		else if (v->type == PRESENCE_I64)
			v->whole = e.value.whole;
		else if (v->type == PRESENCE_F64)
			v->real = e.value.real;
	}
}

bool presence_details_read(
	const uint8_t *details, const struct presence_found *found, struct presence_details *d)
{
	struct pe_details_blocks b;

	memset(d, 0, sizeof *d);
	if (!details || !found->details_bytes)
		return false;
	pe_wire_get_details(details + found->details_at, &b);
	if (b.content[PE_DETAILS_ORIENTATION]) {
		d->has_orientation = true;
		memcpy(d->orientation, b.content[PE_DETAILS_ORIENTATION], sizeof d->orientation);
	}
	if (b.content[PE_DETAILS_CONTEXT])
		read_context(b.content[PE_DETAILS_CONTEXT], b.bytes[PE_DETAILS_CONTEXT], d);
	if (b.content[PE_DETAILS_METADATA])
		read_metadata(b.content[PE_DETAILS_METADATA], b.bytes[PE_DETAILS_METADATA], d);
	if (b.content[PE_DETAILS_SCHEDULE]) {
		struct pe_wire_schedule s;

		memcpy(&s, b.content[PE_DETAILS_SCHEDULE], sizeof s);
		d->has_schedule = true;
		d->opening_ms = s.opening_ms;
		d->period_ms = s.period_ms;
		d->open_for_ms = s.open_for_ms;
	}
	if (b.content[PE_DETAILS_FRAME]) {
		struct pe_wire_placed p;

		memcpy(&p, b.content[PE_DETAILS_FRAME], sizeof p);
		d->has_parent = true;
		memcpy(d->parent, p.parent_id, sizeof d->parent);
		memcpy(d->position, p.position, sizeof d->position);
	}
	if (b.content[PE_DETAILS_SCOPE]) {
		struct pe_wire_scope s;

		memcpy(&s, b.content[PE_DETAILS_SCOPE], sizeof s);
		d->has_scope = true;
		d->scope_volume = s.bounds;
		memcpy(d->scope_a, s.a, sizeof d->scope_a);
		memcpy(d->scope_b, s.b, sizeof d->scope_b);
		d->scope_resolution_m = s.resolution_m;
		d->scope_engines_max = s.max_propagation;
	}
	return true;
}
