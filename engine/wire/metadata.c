#include "wire/metadata.h"

#include <assert.h>

static_assert(PE_CONTEXT_BYTES_MAX % 8 == 0, "a full context has no padding");
static_assert(PE_ENTRY_HEAD + PE_VALUE_BYTES_MAX + 4 + PE_BLOCK_HEAD <= PE_METADATA_BYTES_MAX,
	"the longest value with the shortest name");

static uint16_t head_bytes(const uint8_t *block)
{
	uint16_t bytes;

	memcpy(&bytes, block, sizeof bytes);
	return bytes;
}

uint32_t pe_block_bytes(const uint8_t *block, uint32_t size)
{
	uint32_t bytes;

	if (size < PE_BLOCK_HEAD)
		return 0;
	bytes = head_bytes(block);
	return bytes >= PE_BLOCK_HEAD && bytes <= size ? bytes : 0;
}

// What both kinds of block begin with; the counts are looked at afterwards.
static enum pe_block_fault check_head(
	const uint8_t *block, uint32_t bytes, uint32_t bytes_max, uint32_t *at)
{
	*at = 0;
	if (bytes < PE_BLOCK_HEAD)
		return PE_BLOCK_SHORT;
	if (head_bytes(block) != bytes || bytes % 8 || bytes > bytes_max)
		return PE_BLOCK_LENGTH;
	for (*at = 4; *at < PE_BLOCK_HEAD; ++*at)
		if (block[*at])
			return PE_BLOCK_RESERVED;
	return PE_BLOCK_SOUND;
}

static enum pe_block_fault check_entries(
	const uint8_t *block, uint32_t bytes, unsigned flags, uint32_t *at)
{
	enum pe_block_fault fault = check_head(block, bytes, PE_METADATA_BYTES_MAX, at);
	const uint8_t *before = NULL;
	uint32_t offset = PE_BLOCK_HEAD, n;

	if (fault != PE_BLOCK_SOUND)
		return fault;
	*at = 3;
	if (block[3])
		return PE_BLOCK_RESERVED;
	*at = 2;
	if (block[2] > PE_METADATA_NAMES_MAX)
		return PE_BLOCK_COUNT;
	for (unsigned i = 0; i < block[2]; i++) {
		const uint8_t *entry = block + offset;

		fault = pe_entry_check(entry, bytes - offset, flags, &n, at);
		*at += offset;
		if (fault != PE_BLOCK_SOUND)
			return fault;
		if (before &&
			pe_text_compare(before + PE_ENTRY_HEAD, before[1], entry + PE_ENTRY_HEAD,
				entry[1]) >= 0) {
			*at = offset + PE_ENTRY_HEAD;
			return PE_BLOCK_ORDER;
		}
		before = entry;
		offset += n;
	}
	*at = offset;
	return offset == bytes ? PE_BLOCK_SOUND : PE_BLOCK_LENGTH;
}

enum pe_block_fault pe_metadata_check(const uint8_t *block, uint32_t bytes, uint32_t *at)
{
	return check_entries(block, bytes, 0, at);
}

enum pe_block_fault pe_metadata_check_change(const uint8_t *change, uint32_t bytes, uint32_t *at)
{
	return check_entries(change, bytes, PE_ENTRY_REMOVALS, at);
}

// What an entry begins with, in one word: the name's length and its first four bytes (zeros behind
// a shorter one) tell nearly every other name from the one that is looked for.
#define NAME_BITS 0xFFFFFFFF0000FF00ull

bool pe_metadata_find(const uint8_t *block, uint32_t bytes, const uint8_t *name,
	uint32_t name_bytes, struct pe_value *value)
{
	uint8_t begin[8] = {0, (uint8_t)name_bytes};
	uint64_t wanted, head;
	struct pe_entry entry;
	uint32_t offset = PE_BLOCK_HEAD;

	if (name_bytes < 1 || name_bytes > PE_NAME_BYTES_MAX)
		return false;
	memcpy(begin + PE_ENTRY_HEAD, name, name_bytes < 4 ? name_bytes : 4);
	memcpy(&wanted, begin, sizeof wanted);
	// At most 127 rounds, and in a sound block 16.
	for (; offset + 8 <= bytes;
		offset += pe_entry_bytes(head >> 8 & 0xFF, head >> 16 & 0xFFFF)) {
		memcpy(&head, block + offset, sizeof head);
		if (((head ^ wanted) & NAME_BITS) != 0 ||
			!pe_entry_read(block + offset, bytes - offset, &entry) ||
			memcmp(entry.name, name, name_bytes) != 0)
			continue;
		*value = entry.value;
		return true;
	}
	return false;
}

static void write_head(uint8_t *block, uint32_t bytes, unsigned count)
{
	uint16_t length = (uint16_t)bytes;

	memset(block, 0, PE_BLOCK_HEAD);
	memcpy(block, &length, sizeof length);
	block[2] = (uint8_t)count;
}

void pe_metadata_begin(uint8_t *block)
{
	write_head(block, PE_BLOCK_HEAD, 0);
}

struct merge {
	uint8_t block[PE_METADATA_BYTES_MAX];
	uint32_t bytes;
	unsigned count;
};

static bool merge_add(struct merge *m, const uint8_t *entry, uint32_t bytes)
{
	if (m->count == PE_METADATA_NAMES_MAX || bytes > sizeof m->block - m->bytes)
		return false;
	memcpy(m->block + m->bytes, entry, bytes);
	m->bytes += bytes;
	m->count++;
	return true;
}

// Both have their names in order, so one walk side by side keeps it; where a name is in both the
// change's entry is taken.
static enum pe_block_fault merge(
	uint8_t *block, const uint8_t *change, uint32_t change_bytes, bool removals_stay)
{
	uint32_t block_bytes = pe_block_bytes(block, PE_METADATA_BYTES_MAX);
	uint32_t old_at = PE_BLOCK_HEAD, new_at = PE_BLOCK_HEAD;
	struct merge m;

	m.bytes = PE_BLOCK_HEAD;
	m.count = 0;
	for (;;) {
		struct pe_entry old, new;
		uint32_t old_bytes = 0, new_bytes = 0;
		int order;

		if (old_at < block_bytes)
			old_bytes = pe_entry_read(block + old_at, block_bytes - old_at, &old);
		if (new_at < change_bytes)
			new_bytes = pe_entry_read(change + new_at, change_bytes - new_at, &new);
		if (!old_bytes && !new_bytes)
			break;
		if (!old_bytes || !new_bytes)
			order = old_bytes ? -1 : 1;
		else
			order = pe_text_compare(old.name, old.name_bytes, new.name, new.name_bytes);
		if (order < 0) {
			if (!merge_add(&m, block + old_at, old_bytes))
				return PE_BLOCK_FULL;
		} else if (new.value.type != PE_VALUE_REMOVE || removals_stay) {
			if (!merge_add(&m, change + new_at, new_bytes))
				return PE_BLOCK_FULL;
		}
		if (order <= 0)
			old_at += old_bytes;
		if (order >= 0)
			new_at += new_bytes;
	}
	write_head(m.block, m.bytes, m.count);
	memcpy(block, m.block, m.bytes);
	return PE_BLOCK_SOUND;
}

enum pe_block_fault pe_metadata_apply(uint8_t *block, const uint8_t *change, uint32_t change_bytes)
{
	return merge(block, change, change_bytes, false);
}

static enum pe_block_fault set(uint8_t *block, const struct pe_entry *entry, bool removals_stay)
{
	uint8_t change[PE_METADATA_BYTES_MAX];
	enum pe_block_fault fault;
	uint32_t bytes, checked, at;

	if (entry->name_bytes < 1 || entry->name_bytes > PE_NAME_BYTES_MAX)
		return PE_BLOCK_NAME;
	bytes = pe_entry_write(change + PE_BLOCK_HEAD, sizeof change - PE_BLOCK_HEAD, entry);
	if (!bytes)
		return PE_BLOCK_FULL;
	fault = pe_entry_check(change + PE_BLOCK_HEAD, bytes, PE_ENTRY_REMOVALS, &checked, &at);
	if (fault != PE_BLOCK_SOUND)
		return fault;
	write_head(change, PE_BLOCK_HEAD + bytes, 1);
	return merge(block, change, PE_BLOCK_HEAD + bytes, removals_stay);
}

enum pe_block_fault pe_metadata_set(uint8_t *block, const struct pe_entry *entry)
{
	return set(block, entry, false);
}

enum pe_block_fault pe_metadata_set_change(uint8_t *change, const struct pe_entry *entry)
{
	return set(change, entry, true);
}
