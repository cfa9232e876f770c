#include "wire/details.h"

#include "wire/decode.h"
#include "wire/metadata.h"

#include <math.h>
#include <string.h>

#define HEAD_BYTES  ((uint32_t)sizeof(struct pe_wire_details))
#define BLOCK_BYTES ((uint32_t)sizeof(struct pe_wire_block))
// How far a quaternion's square may be from 1: numbers that were written with four digits pass.
#define UNIT_SLACK 1e-4

uint32_t pe_wire_detailed_bytes(const uint8_t *records, uint32_t bytes, unsigned count)
{
	uint32_t at = 0;

	for (unsigned i = 0; i < count; i++) {
		uint32_t n;

		if (bytes - at < PE_DETAILED_RECORD_BYTES_MIN)
			return 0;
		n = pe_wire_detailed_next(records + at);
		if (n < PE_DETAILED_RECORD_BYTES_MIN || n % 8 || n > bytes - at)
			return 0;
		at += n;
	}
	return at;
}

static bool zeros(const uint8_t *from, uint32_t bytes)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < bytes; i++)
		any |= from[i];
	return any == 0;
}

// How blocks lie: `mask` says which. They fill `bytes` to the last one.
static bool layout_sound(
	const uint8_t *data, uint32_t bytes, unsigned mask, struct pe_details_blocks *blocks)
{
	uint32_t at = 0;

	memset(blocks, 0, sizeof *blocks);
	for (unsigned type = 1; type <= PE_DETAILS_TYPES; type++) {
		struct pe_wire_block block;
		uint32_t room;

		if (!(mask & PE_DETAILS_BIT(type)))
			continue;
		if (bytes - at < BLOCK_BYTES)
			return false;
		memcpy(&block, data + at, sizeof block);
		at += BLOCK_BYTES;
		room = pe_round8(block.bytes);
		if (block.type != type || block.reserved || bytes - at < room ||
			!zeros(data + at + block.bytes, room - block.bytes))
			return false;
		blocks->content[type] = data + at;
		blocks->bytes[type] = block.bytes;
		at += room;
	}
	blocks->mask = (uint16_t)mask;
	return at == bytes;
}

static bool orientation_sound(const uint8_t *content, uint32_t bytes)
{
	struct pe_wire_orientation o;
	double square = 0;

	if (bytes != sizeof o)
		return false;
	memcpy(&o, content, sizeof o);
	for (unsigned i = 0; i < 4; i++)
		square += (double)o.q[i] * (double)o.q[i];
	return square >= 1 - UNIT_SLACK && square <= 1 + UNIT_SLACK; // no for NaN
}

static bool schedule_sound(const uint8_t *content, uint32_t bytes)
{
	struct pe_wire_schedule s;

	if (bytes != sizeof s)
		return false;
	memcpy(&s, content, sizeof s);
	return s.open_for_ms > 0 && s.open_for_ms <= s.period_ms;
}

static bool placed_sound(const uint8_t *content, uint32_t bytes)
{
	struct pe_wire_placed p;

	if (bytes != sizeof p)
		return false;
	memcpy(&p, content, sizeof p);
	for (unsigned i = 0; i < 3; i++)
		if (p.position[i] - p.position[i] != 0.0)
			return false;
	return !pe_wire_id_nil(p.parent_id);
}

static bool scope_sound(const uint8_t *content, uint32_t bytes)
{
	struct pe_wire_scope s;
	uint64_t any[6];

	if (bytes != sizeof s)
		return false;
	memcpy(&s, content, sizeof s);
	memcpy(any, content, sizeof any);
	if (s.reserved || !(s.resolution_m >= 0.0f) || signbit(s.resolution_m) ||
		(s.resolution_m > 0.0f && s.resolution_m < PE_SCOPE_RESOLUTION_MIN_M) ||
		s.resolution_m > PE_SCOPE_RESOLUTION_MAX_M)
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (s.a[i] - s.a[i] != 0.0 || s.b[i] - s.b[i] != 0.0)
			return false;
	switch (s.bounds) {
	case 0:
		return !(any[0] | any[1] | any[2] | any[3] | any[4] | any[5]);
	case PE_QUERY_SPHERE:
		return s.b[0] >= 0.0 && !(any[4] | any[5]);
	case PE_QUERY_BOX:
		return true; // what is inverted is its space's to say
	default:
		return false;
	}
}

// What a block says. kept: as in results, else as in updates.
static bool content_sound(unsigned type, const uint8_t *content, uint32_t bytes, bool kept)
{
	uint32_t at;

	// Nothing, in an update, takes away what is kept. A change that is empty is a head.
	if (!bytes)
		return !kept && type != PE_DETAILS_METADATA;
	switch ((enum pe_details_type)type) {
	case PE_DETAILS_ORIENTATION:
		return orientation_sound(content, bytes);
	case PE_DETAILS_CONTEXT:
		return pe_context_check(content, bytes, &at) == PE_BLOCK_SOUND;
	case PE_DETAILS_METADATA:
		return (kept ? pe_metadata_check(content, bytes, &at) :
			       pe_metadata_check_change(content, bytes, &at)) == PE_BLOCK_SOUND;
	case PE_DETAILS_SCHEDULE:
		return schedule_sound(content, bytes);
	case PE_DETAILS_FRAME:
		return kept ? placed_sound(content, bytes) :
			      bytes == sizeof(struct pe_wire_frame) && !pe_wire_id_nil(content);
	case PE_DETAILS_PAYLOAD:
		return bytes <= PE_PAYLOAD_BYTES_MAX;
	case PE_DETAILS_SCOPE:
		return scope_sound(content, bytes);
	}
	return false;
}

static bool contents_sound(const struct pe_details_blocks *blocks, bool kept)
{
	for (unsigned type = 1; type <= PE_DETAILS_TYPES; type++)
		if (blocks->content[type] &&
			!content_sound(type, blocks->content[type], blocks->bytes[type], kept))
			return false;
	return true;
}

enum pe_reason pe_wire_check_detailed(const uint8_t *record, struct pe_details_blocks *blocks)
{
	struct pe_wire_details head;

	memcpy(&head, record, sizeof head);
	if (head.reserved || (head.blocks & ~PE_DETAILS_KNOWN) ||
		!layout_sound(record + PE_DETAILED_RECORD_BYTES_MIN,
			head.bytes - PE_DETAILED_RECORD_BYTES_MIN, head.blocks, blocks))
		return PE_REASON_details_form;
	return contents_sound(blocks, false) ? PE_REASON_none : PE_REASON_details_content;
}

void pe_wire_get_detailed(const uint8_t *record, struct pe_details_blocks *blocks)
{
	struct pe_wire_details head;

	memcpy(&head, record, sizeof head);
	(void)layout_sound(record + PE_DETAILED_RECORD_BYTES_MIN,
		head.bytes - PE_DETAILED_RECORD_BYTES_MIN, head.blocks, blocks);
}

uint32_t pe_wire_check_result_details(const uint8_t *details, uint32_t left)
{
	struct pe_details_blocks blocks;
	struct pe_wire_details head;

	if (left < HEAD_BYTES)
		return 0;
	memcpy(&head, details, sizeof head);
	if (head.bytes < HEAD_BYTES || head.bytes % 8 || head.bytes > left ||
		head.bytes > PE_DETAILS_BYTES_MAX || head.reserved ||
		(head.blocks & ~PE_DETAILS_KEPT) ||
		!layout_sound(
			details + HEAD_BYTES, head.bytes - HEAD_BYTES, head.blocks, &blocks) ||
		!contents_sound(&blocks, true))
		return 0;
	return head.bytes;
}

void pe_wire_get_details(const uint8_t *details, struct pe_details_blocks *blocks)
{
	struct pe_wire_details head;

	memcpy(&head, details, sizeof head);
	(void)layout_sound(details + HEAD_BYTES, head.bytes - HEAD_BYTES, head.blocks, blocks);
}

uint32_t pe_wire_begin_details(uint8_t *to, uint32_t size, const struct pe_wire_update *update)
{
	struct pe_wire_details head = {
		.bytes = (uint16_t)(HEAD_BYTES + (update ? sizeof *update : 0))};

	if (size < head.bytes)
		return 0;
	memcpy(to, &head, sizeof head);
	if (update)
		memcpy(to + HEAD_BYTES, update, sizeof *update);
	return head.bytes;
}

uint32_t pe_wire_put_details(
	uint8_t *details, uint32_t size, unsigned type, const void *content, uint32_t bytes)
{
	struct pe_wire_details head;
	uint32_t used;

	memcpy(&head, details, sizeof head);
	if (type < 1 || type > PE_DETAILS_TYPES || head.blocks >= PE_DETAILS_BIT(type))
		return 0;
	used = pe_wire_put_block(
		details, head.bytes, size, (enum pe_block_type)type, content, bytes);
	if (!used || used > UINT16_MAX)
		return 0;
	head.bytes = (uint16_t)used;
	head.blocks = (uint16_t)(head.blocks | PE_DETAILS_BIT(type));
	memcpy(details, &head, sizeof head);
	return used;
}
