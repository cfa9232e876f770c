// Typed values and how one lies on the wire: an *entry*, which is a name and a value. Metadata are
// entries in a block (wire/metadata.h), and a filter's constants are entries too (wire/filter.h).
// Shared with the client library. Nothing is allocated or kept; every reader is told how many bytes
// there are and looks at no other. Any thread.
//
// An entry, from a multiple of eight:
//   0  u8   type        enum pe_value_type
//   1  u8   name_bytes  1–32; 0 for the further values of a filter's list
//   2  u16  value_bytes null 0, bool 1, i64 and f64 8, text and bytes what they have
//   4  name, then zeros to a multiple of eight
//   …  value, then zeros to a multiple of eight
// So numbers lie at multiples of their size. Numbers are finite, as everywhere in the protocol; a
// negative zero is taken as a coordinate's is, kept, and equal to zero. Texts are UTF-8 without
// U+0000; names besides have no control characters.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PE_NAME_BYTES_MAX 32 // of a name, a tag, an activity
#define PE_ENTRY_HEAD     4  // bytes before the name
// what a block of 1 KiB has left beside its head and the shortest name
#define PE_VALUE_BYTES_MAX 1008u

enum pe_value_type {
	PE_VALUE_NULL = 0,
	PE_VALUE_BOOL = 1,
	PE_VALUE_I64 = 2,
	PE_VALUE_F64 = 3,
	PE_VALUE_TEXT = 4,
	PE_VALUE_BYTES = 5,
	PE_VALUE_TYPES = 6,
	PE_VALUE_REMOVE = 255, // in changes only: the name goes
};

struct pe_value {
	uint8_t type;   // enum pe_value_type
	uint16_t bytes; // of data
	// TEXT, BYTES: points into what was read, any alignment; else not looked at
	const uint8_t *data;
	union {
		bool truth;    // BOOL
		int64_t whole; // I64
		double real;   // F64
	};
};

struct pe_entry {
	const uint8_t *name; // not terminated; any alignment
	uint8_t name_bytes;
	struct pe_value value;
};

// Why an entry or a block isn't sound. pe_block_fault_text says it in words.
enum pe_block_fault {
	PE_BLOCK_SOUND = 0,
	PE_BLOCK_SHORT, // ends before what it announces
	// its length is not what it says, no multiple of eight, or above the cap
	PE_BLOCK_LENGTH,
	PE_BLOCK_RESERVED,    // a reserved field is not zero
	PE_BLOCK_COUNT,       // more names or tags than there may be
	PE_BLOCK_TYPE,        // a type of value that is not defined, or not here
	PE_BLOCK_NAME,        // a name, tag or activity: its length, its UTF-8, a control character
	PE_BLOCK_ORDER,       // names or tags are not in ascending order, or one is there twice
	PE_BLOCK_VALUE_BYTES, // value_bytes does not fit the type
	// a bool other than 0 and 1, a number that is not finite, a text's UTF-8
	PE_BLOCK_VALUE,
	PE_BLOCK_PADDING, // a byte between the fields is not zero
	PE_BLOCK_FULL,    // a change would make more names or bytes than there may be
	PE_BLOCK_FAULTS,
};

// A short English text without a full stop; "?" for a number that is not defined.
const char *pe_block_fault_text(enum pe_block_fault fault);

// UTF-8 as RFC 3629 has it (no surrogates, nothing overlong, at most U+10FFFF), without U+0000.
// *at = offset of the first character that is not sound, when there is one.
bool pe_text_sound(const uint8_t *text, uint32_t bytes, uint32_t *at);

// A name, tag or activity: 1–32 bytes of such text without control characters (below U+0020, and
// U+007F).
bool pe_name_sound(const uint8_t *name, uint32_t bytes, uint32_t *at);

// Order of names, tags and texts: bytes as numbers, a beginning before what goes on. Negative, 0,
// positive.
static inline int pe_text_compare(
	const uint8_t *a, uint32_t a_bytes, const uint8_t *b, uint32_t b_bytes)
{
	uint32_t least = a_bytes < b_bytes ? a_bytes : b_bytes;
	int order = least ? memcmp(a, b, least) : 0;

	return order ? order : (int)a_bytes - (int)b_bytes;
}

static inline uint32_t pe_round8(uint32_t bytes)
{
	return (bytes + 7) & ~7u;
}

static inline uint32_t pe_entry_bytes(uint32_t name_bytes, uint32_t value_bytes)
{
	return pe_round8(PE_ENTRY_HEAD + name_bytes) + pe_round8(value_bytes);
}

// What pe_entry_check lets through beside an entry of metadata.
#define PE_ENTRY_NAMELESS 0x1u // name_bytes must be 0
#define PE_ENTRY_REMOVALS 0x2u // PE_VALUE_REMOVE, without a value, is a type

// Checks the entry at the begin of `left` bytes. *bytes = its length when it is sound; *at = offset
// of the fault when it is not. In this order: SHORT, TYPE, NAME, VALUE_BYTES, PADDING, VALUE.
[[nodiscard]] enum pe_block_fault pe_entry_check(
	const uint8_t *data, uint32_t left, unsigned flags, uint32_t *bytes, uint32_t *at);

// Reads an entry of a block that is sound and returns its length; 0 when it doesn't lie within
// `left` bytes, so that even a block that was never checked is not left.
static inline uint32_t pe_entry_read(const uint8_t *data, uint32_t left, struct pe_entry *entry)
{
	struct pe_value *v = &entry->value;
	uint32_t value_at, bytes;

	if (left < 8)
		return 0;
	v->type = data[0];
	entry->name_bytes = data[1];
	memcpy(&v->bytes, data + 2, sizeof v->bytes);
	value_at = pe_round8(PE_ENTRY_HEAD + entry->name_bytes);
	bytes = value_at + pe_round8(v->bytes);
	if (bytes > left)
		return 0;
	entry->name = data + PE_ENTRY_HEAD;
	v->data = data + value_at;
	v->whole = 0;
	if (v->type == PE_VALUE_BOOL)
		v->truth = v->bytes && v->data[0];
	else if (v->bytes == sizeof v->whole)
		memcpy(&v->whole, v->data, sizeof v->whole);
	return bytes;
}

// Writes an entry and returns its length; 0 when it has no room. What it says is the caller's (and
// pe_entry_check's): name_bytes and TEXT's and BYTES' bytes are taken as they are.
[[nodiscard]] uint32_t pe_entry_write(uint8_t *to, uint32_t size, const struct pe_entry *entry);

// How two values compare.
enum pe_order {
	PE_ORDER_LESS = -1,
	PE_ORDER_EQUAL = 0,
	PE_ORDER_GREATER = 1,
	PE_ORDER_NONE = 2, // different, and neither is less: other kinds of value, null, bool
};

// i64 and f64 are one kind, and compare as the numbers that they are, without rounding. Texts
// compare with texts and bytes with bytes, as pe_text_compare says. Null and bool have no order:
// EQUAL or NONE.
enum pe_order pe_value_compare(const struct pe_value *a, const struct pe_value *b);
