// Records with details for tests, written block by block.
#pragma once

#include "wire/details.h"
#include "wire/metadata.h"

#include <stdlib.h>
#include <string.h>

struct detailed {
	_Alignas(8) uint8_t bytes[PE_DETAILED_RECORD_BYTES_MAX];
};

static inline void detailed_begin(struct detailed *d, const struct pe_wire_update *update)
{
	if (!pe_wire_begin_details(d->bytes, sizeof d->bytes, update))
		abort();
}

static inline void detailed_put(
	struct detailed *d, unsigned type, const void *content, uint32_t bytes)
{
	if (!pe_wire_put_details(d->bytes, sizeof d->bytes, type, content, bytes))
		abort();
}

static inline void detailed_orientation(struct detailed *d, float x, float y, float z, float w)
{
	const struct pe_wire_orientation o = {{x, y, z, w}};

	detailed_put(d, PE_DETAILS_ORIENTATION, &o, sizeof o);
}

// activity may be NULL; tags are separated by blanks.
static inline void detailed_context(struct detailed *d, const char *activity, const char *tags)
{
	_Alignas(8) uint8_t block[PE_CONTEXT_BYTES_MAX];
	struct pe_context context = {0};

	if (activity)
		context.activity =
			(struct pe_name){(const uint8_t *)activity, (uint8_t)strlen(activity)};
	while (*tags) {
		size_t n = strcspn(tags, " ");

		context.tags[context.tag_count++] =
			(struct pe_name){(const uint8_t *)tags, (uint8_t)n};
		tags += n + (tags[n] != 0);
	}
	if (pe_context_write(block, &context) != PE_BLOCK_SOUND)
		abort();
	detailed_put(d, PE_DETAILS_CONTEXT, block, pe_block_bytes(block, sizeof block));
}

static inline struct pe_entry detailed_entry(const char *name, int64_t value)
{
	return (struct pe_entry){.name = (const uint8_t *)name,
		.name_bytes = (uint8_t)strlen(name),
		.value = {.type = PE_VALUE_I64, .bytes = 8, .whole = value}};
}

// A change that sets one name to a number.
static inline void detailed_number(struct detailed *d, const char *name, int64_t value)
{
	_Alignas(8) uint8_t change[PE_METADATA_BYTES_MAX];
	struct pe_entry entry = detailed_entry(name, value);

	pe_metadata_begin(change);
	if (pe_metadata_set_change(change, &entry) != PE_BLOCK_SOUND)
		abort();
	detailed_put(d, PE_DETAILS_METADATA, change, pe_block_bytes(change, sizeof change));
}

static inline void detailed_remove(struct detailed *d, const char *name)
{
	_Alignas(8) uint8_t change[PE_METADATA_BYTES_MAX];
	struct pe_entry entry = {.name = (const uint8_t *)name,
		.name_bytes = (uint8_t)strlen(name),
		.value = {.type = PE_VALUE_REMOVE}};

	pe_metadata_begin(change);
	if (pe_metadata_set_change(change, &entry) != PE_BLOCK_SOUND)
		abort();
	detailed_put(d, PE_DETAILS_METADATA, change, pe_block_bytes(change, sizeof change));
}

static inline void detailed_schedule(
	struct detailed *d, uint64_t opening_ms, uint32_t period_ms, uint32_t open_for_ms)
{
	const struct pe_wire_schedule s = {opening_ms, period_ms, open_for_ms};

	detailed_put(d, PE_DETAILS_SCHEDULE, &s, sizeof s);
}
