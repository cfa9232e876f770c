// What an entity says of itself beside its state: metadata, typed values by name, and its context,
// a few tags and the name of its activity. Each is one block of bytes that is the same on the wire
// and in store: canonical (equal contents are equal bytes), bounded, without pointers. Shared with
// the client library. Nothing is allocated. Any thread; a block has one writer at a time.
//
// Metadata: at most 16 names and 1,024 bytes.
//   0  u16  bytes     of the whole block, a multiple of eight
//   2  u8   count     of entries
//   3  u8   reserved  0
//   4  u32  reserved  0
//   8  entries (wire/value.h), names in ascending order of their bytes, each once
// A *change* is a block of the same form, in which an entry of type REMOVE takes its name away and
// any other sets it.
//
// Context: at most 8 tags and 304 bytes.
//   0  u16  bytes           of the whole block, a multiple of eight
//   2  u8   tag_count
//   3  u8   activity_bytes  0–32; 0 = none
//   4  u32  reserved        0
//   8  the activity, then for each tag a u8 of its bytes (1–32) and the tag, ascending, each once;
//      zeros to the end
// No block at all (a null pointer, zero bytes) means the same as one with nothing in it.
#pragma once

#include "wire/value.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_BLOCK_HEAD         8u // bytes before the first entry, of either block
#define PE_METADATA_NAMES_MAX 16
#define PE_METADATA_BYTES_MAX 1024u
#define PE_CONTEXT_TAGS_MAX   8
#define PE_CONTEXT_BYTES_MAX \
	(PE_BLOCK_HEAD + PE_NAME_BYTES_MAX + PE_CONTEXT_TAGS_MAX * (1 + PE_NAME_BYTES_MAX))

// Bytes that a block of either kind says it has; `size` bytes are there. 0 when that is more than
// there are, or less than a head. For a block from a message, whose end is not known otherwise.
uint32_t pe_block_bytes(const uint8_t *block, uint32_t size);

// Is this a block, whole and canonical? `bytes` must be exactly its length. *at = offset of the
// first fault (what stands there, or begins there). Faults in this order: SHORT, LENGTH, RESERVED,
// COUNT, those of each entry and its ORDER, LENGTH again for bytes behind the last.
[[nodiscard]] enum pe_block_fault pe_metadata_check(
	const uint8_t *block, uint32_t bytes, uint32_t *at);
[[nodiscard]] enum pe_block_fault pe_metadata_check_change(
	const uint8_t *change, uint32_t bytes, uint32_t *at);
[[nodiscard]] enum pe_block_fault pe_context_check(
	const uint8_t *block, uint32_t bytes, uint32_t *at);

// Walks the entries of a sound block: start with *offset = 0; false at the end. *entry points into
// the block. Stays within `bytes` and ends after at most bytes / 8 entries whatever the block
// holds.
static inline bool pe_metadata_next(
	const uint8_t *block, uint32_t bytes, uint32_t *offset, struct pe_entry *entry)
{
	uint32_t n;

	if (*offset == 0)
		*offset = PE_BLOCK_HEAD;
	if (*offset >= bytes)
		return false;
	n = pe_entry_read(block + *offset, bytes - *offset, entry);
	*offset += n;
	return n != 0;
}

// The value of a name in a sound block; false when it isn't there. *value points into the block.
bool pe_metadata_find(const uint8_t *block, uint32_t bytes, const uint8_t *name,
	uint32_t name_bytes, struct pe_value *value);

// The empty block, into at least PE_BLOCK_HEAD bytes.
void pe_metadata_begin(uint8_t *block);

// Sets one name of a sound block, or takes it away (REMOVE; a name that isn't there is fine). The
// block has room for PE_METADATA_BYTES_MAX. TYPE, NAME, VALUE_BYTES, VALUE: the entry's fault;
// FULL: it has no room. On a fault the block stays as it was. *entry must not point into the block.
[[nodiscard]] enum pe_block_fault pe_metadata_set(uint8_t *block, const struct pe_entry *entry);

// The same for a change that is being built: a removal stays in it.
[[nodiscard]] enum pe_block_fault pe_metadata_set_change(
	uint8_t *change, const struct pe_entry *entry);

// Applies a sound change to a sound block, all of it or, where it has no room (FULL), nothing. The
// block has room for PE_METADATA_BYTES_MAX and does not overlap the change. Work: one merge of
// both.
[[nodiscard]] enum pe_block_fault pe_metadata_apply(
	uint8_t *block, const uint8_t *change, uint32_t change_bytes);

// A text of a context, pointing into its block.
struct pe_name {
	const uint8_t *text; // not terminated
	uint8_t bytes;
};

// What a sound block says. Stays within `bytes` whatever the block holds.
struct pe_context {
	struct pe_name activity; // bytes 0 = none
	uint8_t tag_count;
	struct pe_name tags[PE_CONTEXT_TAGS_MAX];
};
void pe_context_read(const uint8_t *block, uint32_t bytes, struct pe_context *context);

bool pe_context_has_tag(
	const uint8_t *block, uint32_t bytes, const uint8_t *tag, uint32_t tag_bytes);
bool pe_context_has_activity(
	const uint8_t *block, uint32_t bytes, const uint8_t *activity, uint32_t activity_bytes);

// Writes a block of these texts, tags in any order, into room for PE_CONTEXT_BYTES_MAX. COUNT, NAME
// or ORDER (the same tag twice) say what is wrong with them; then nothing is written.
[[nodiscard]] enum pe_block_fault pe_context_write(
	uint8_t *block, const struct pe_context *context);
