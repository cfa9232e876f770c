// libFuzzer target of filters, metadata and context. The first byte of an input says what the rest
// is: a filter's program, a block, or a filter as text. What is looked at is a heap copy of its
// exact size at an odd address. Beyond "no crash": a sound program is no longer sound one byte
// shorter, runs the same with and without its first look, says the same steps when its text is
// read; a sound block is found again name by name, and stays sound through a change.
#include "client/filter_text.h"
#include "discover/filter_run.h"
#include "wire/metadata.h"

#include <stdlib.h>
#include <string.h>

#define EXPECT(what) \
	do { \
		if (!(what)) \
			abort(); \
	} while (0)

static uint8_t stored[PE_METADATA_BYTES_MAX]; // a sound block that changes are applied to
static uint8_t context[PE_CONTEXT_BYTES_MAX]; // the newest sound one
static uint32_t context_bytes;

static uint32_t stored_bytes(void)
{
	return pe_block_bytes(stored, sizeof stored);
}

static struct pe_facts facts_of(const uint8_t *seed)
{
	static const uint8_t id[16] = {1};
	struct pe_facts f = {.id = id,
		.age_ms = 30000,
		.radius_m = 100,
		.velocity = {0x4200, 0x4400, 0},
		.entity_type = seed[0],
		.state = seed[1] % 5,
		.custom_state = seed[2],
		.position_confidence = seed[3],
		.status_confidence = 128,
		.context = context,
		.context_bytes = context_bytes,
		.metadata = stored,
		.metadata_bytes = stored_bytes()};

	return f;
}

static void program(const uint8_t *data, uint32_t bytes)
{
	struct pe_filter filter;
	struct pe_filter_error error;
	struct pe_filter_cursor cursor = {0};
	struct pe_filter_step step;
	struct presence_filter_error wrong;
	struct pe_facts facts;
	enum pe_filter_verdict hot;
	char text[PRESENCE_FILTER_TEXT_MAX];
	uint8_t again[PE_FILTER_BYTES_MAX];
	unsigned steps = 0;
	size_t length;
	bool run;

	for (; pe_filter_next(data, bytes, &cursor, &step); steps++)
		EXPECT(step.constant_at + step.constant_bytes <= (int)bytes);
	if (pe_filter_compile(&filter, data, bytes, &error) != PE_FILTER_SOUND) {
		EXPECT(error.fault < PE_FILTER_FAULTS && error.at <= bytes);
		EXPECT(presence_filter_print(data, bytes, text, sizeof text) == 0);
		return;
	}
	EXPECT(steps == data[2]);
	EXPECT(pe_filter_check(data, bytes - 1, &error) != PE_FILTER_SOUND);
	facts = facts_of(data + 8);
	hot = pe_filter_run_hot(&filter, &facts);
	run = pe_filter_run(&filter, &facts);
	EXPECT(hot == PE_FILTER_NEEDS_COLD ? filter.cold : hot == (enum pe_filter_verdict)run);
	length = presence_filter_print(data, bytes, text, sizeof text);
	EXPECT(length > 0 && length < sizeof text);
	EXPECT(presence_filter_parse(text, again, &wrong) == bytes);
	EXPECT(memcmp(again, data, bytes) == 0);
}

static void metadata(const uint8_t *data, uint32_t bytes)
{
	struct pe_entry entry;
	struct pe_value value;
	uint32_t offset = 0, at = 0;
	unsigned entries = 0;
	bool change;

	for (; pe_metadata_next(data, bytes, &offset, &entry); entries++)
		EXPECT(entry.value.data + entry.value.bytes <= data + bytes);
	change = pe_metadata_check_change(data, bytes, &at) == PE_BLOCK_SOUND;
	if (!change) {
		EXPECT(at <= bytes);
		EXPECT(pe_metadata_check(data, bytes, &at) != PE_BLOCK_SOUND);
		return;
	}
	EXPECT(entries == data[2]);
	if (pe_metadata_apply(stored, data, bytes) != PE_BLOCK_SOUND)
		pe_metadata_begin(stored);
	EXPECT(pe_metadata_check(stored, stored_bytes(), &at) == PE_BLOCK_SOUND);
	for (offset = 0; pe_metadata_next(data, bytes, &offset, &entry);) {
		bool found = pe_metadata_find(
			stored, stored_bytes(), entry.name, entry.name_bytes, &value);

		EXPECT(found == (entry.value.type != PE_VALUE_REMOVE) || stored[2] == 0);
	}
}

static void context_block(const uint8_t *data, uint32_t bytes)
{
	struct pe_context c;
	uint8_t again[PE_CONTEXT_BYTES_MAX];
	uint32_t at;

	pe_context_read(data, bytes, &c);
	if (pe_context_check(data, bytes, &at) != PE_BLOCK_SOUND) {
		EXPECT(at <= bytes);
		return;
	}
	EXPECT(pe_context_write(again, &c) == PE_BLOCK_SOUND);
	EXPECT(memcmp(again, data, bytes) == 0);
	for (unsigned i = 0; i < c.tag_count; i++)
		EXPECT(pe_context_has_tag(data, bytes, c.tags[i].text, c.tags[i].bytes));
	memcpy(context, data, bytes);
	context_bytes = bytes;
}

static void text(const uint8_t *data, uint32_t bytes)
{
	uint8_t made[PE_FILTER_BYTES_MAX];
	struct presence_filter_error wrong;
	char *copy = malloc(bytes + 1);
	unsigned made_bytes;

	EXPECT(copy);
	memcpy(copy, data, bytes);
	copy[bytes] = '\0';
	made_bytes = presence_filter_parse(copy, made, &wrong);
	if (made_bytes)
		program(made, made_bytes);
	else
		EXPECT(wrong.expected && wrong.column >= 1 && wrong.column <= bytes + 1);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	uint32_t bytes = size > 4096 ? 4096 : size ? (uint32_t)size - 1 : 0;
	uint8_t *block = malloc(bytes + 1), *data = block + 1;

	EXPECT(block);
	if (!stored[0])
		pe_metadata_begin(stored);
	if (bytes)
		memcpy(data, input + 1, bytes);
	switch (size ? input[0] % 4 : 0) {
	case 0:
		program(data, bytes);
		break;
	case 1:
		metadata(data, bytes);
		break;
	case 2:
		context_block(data, bytes);
		break;
	default:
		text(data, bytes);
	}
	free(block);
	return 0;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

// The length that a program or a block says is mended three times in four: else hardly anything got
// past it.
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
	uint16_t bytes;

	size = LLVMFuzzerMutate(data, size, size_max);
	if (seed % 4 == 0 || size < 9 || data[0] % 4 == 3)
		return size;
	size = 1 + ((size - 1) & ~(size_t)7);
	bytes = (uint16_t)(size - 1);
	memcpy(data + 1, &bytes, sizeof bytes);
	return size;
}
