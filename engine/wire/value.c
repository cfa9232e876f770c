#include "wire/value.h"

#include <assert.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire is little endian and so must the processor be"
#endif

const char *pe_block_fault_text(enum pe_block_fault fault)
{
	static const char *const texts[PE_BLOCK_FAULTS] = {
		[PE_BLOCK_SOUND] = "sound",
		[PE_BLOCK_SHORT] = "ends before what it announces",
		[PE_BLOCK_LENGTH] = "a length that is not exact, no multiple of eight, or too long",
		[PE_BLOCK_RESERVED] = "a reserved field that is not zero",
		[PE_BLOCK_COUNT] = "too many names or tags",
		[PE_BLOCK_TYPE] = "an undefined type of value",
		[PE_BLOCK_NAME] =
			"a name that is empty, longer than 32 bytes, no UTF-8 or has control characters",
		[PE_BLOCK_ORDER] = "names out of order, or one name twice",
		[PE_BLOCK_VALUE_BYTES] = "a length of value that does not fit its type",
		[PE_BLOCK_VALUE] =
			"a bool other than 0 and 1, a number that is not finite, or a text that is no UTF-8",
		[PE_BLOCK_PADDING] = "padding that is not zero",
		[PE_BLOCK_FULL] = "more names or bytes than there may be",
	};

	return (unsigned)fault < PE_BLOCK_FAULTS ? texts[fault] : "?";
}

// Bytes of the character at p, of which there are `left`; 0 = not sound.
static uint32_t character_bytes(const uint8_t *p, uint32_t left)
{
	// The second byte's range depends on the first; the others are 80–BF.
	uint8_t low = 0x80, high = 0xBF;
	uint32_t bytes;

	if (p[0] < 0x80)
		return p[0] != 0;
	if (p[0] >= 0xC2 && p[0] <= 0xDF)
		bytes = 2;
	else if (p[0] >= 0xE0 && p[0] <= 0xEF)
		bytes = 3;
	else if (p[0] >= 0xF0 && p[0] <= 0xF4)
		bytes = 4;
	else
		return 0;
	if (bytes > left)
		return 0;
	if (p[0] == 0xE0)
		low = 0xA0; // overlong
	else if (p[0] == 0xED)
		high = 0x9F; // surrogates
	else if (p[0] == 0xF0)
		low = 0x90; // overlong
	else if (p[0] == 0xF4)
		high = 0x8F; // above U+10FFFF
	if (p[1] < low || p[1] > high)
		return 0;
	for (uint32_t i = 2; i < bytes; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	return bytes;
}

bool pe_text_sound(const uint8_t *text, uint32_t bytes, uint32_t *at)
{
	uint32_t n;

	for (*at = 0; *at < bytes; *at += n) {
		n = character_bytes(text + *at, bytes - *at);
		if (!n)
			return false;
	}
	return true;
}

bool pe_name_sound(const uint8_t *name, uint32_t bytes, uint32_t *at)
{
	*at = 0;
	if (bytes < 1 || bytes > PE_NAME_BYTES_MAX || !pe_text_sound(name, bytes, at))
		return false;
	for (*at = 0; *at < bytes; ++*at)
		if (name[*at] < 0x20 || name[*at] == 0x7F)
			return false;
	return true;
}

// *at = the first byte that isn't zero.
static bool zeros(const uint8_t *data, uint32_t from, uint32_t to, uint32_t *at)
{
	for (*at = from; *at < to; ++*at)
		if (data[*at])
			return false;
	return true;
}

static bool value_bytes_fit(uint8_t type, uint32_t bytes)
{
	switch (type) {
	case PE_VALUE_NULL:
	case PE_VALUE_REMOVE:
		return bytes == 0;
	case PE_VALUE_BOOL:
		return bytes == 1;
	case PE_VALUE_I64:
	case PE_VALUE_F64:
		return bytes == 8;
	default:
		return bytes <= PE_VALUE_BYTES_MAX;
	}
}

static bool value_sound(uint8_t type, const uint8_t *data, uint32_t bytes, uint32_t *at)
{
	double real;

	*at = 0;
	switch (type) {
	case PE_VALUE_BOOL:
		return data[0] <= 1;
	case PE_VALUE_F64:
		memcpy(&real, data, sizeof real);
		return real - real == 0.0; // neither an infinity nor NaN
	case PE_VALUE_TEXT:
		return pe_text_sound(data, bytes, at);
	default:
		return true;
	}
}

enum pe_block_fault pe_entry_check(
	const uint8_t *data, uint32_t left, unsigned flags, uint32_t *bytes, uint32_t *at)
{
	uint32_t name_bytes, value_at;
	uint16_t value_bytes;
	uint8_t type;

	*at = 0;
	if (left < 8)
		return PE_BLOCK_SHORT;
	type = data[0];
	name_bytes = data[1];
	memcpy(&value_bytes, data + 2, sizeof value_bytes);
	value_at = pe_round8(PE_ENTRY_HEAD + name_bytes);
	if (pe_entry_bytes(name_bytes, value_bytes) > left)
		return PE_BLOCK_SHORT;
	if (type >= PE_VALUE_TYPES && !(type == PE_VALUE_REMOVE && (flags & PE_ENTRY_REMOVALS)))
		return PE_BLOCK_TYPE;
	*at = 1;
	if (flags & PE_ENTRY_NAMELESS) {
		if (name_bytes)
			return PE_BLOCK_NAME;
	} else if (name_bytes < 1 || name_bytes > PE_NAME_BYTES_MAX) {
		return PE_BLOCK_NAME;
	} else if (!pe_name_sound(data + PE_ENTRY_HEAD, name_bytes, at)) {
		*at += PE_ENTRY_HEAD;
		return PE_BLOCK_NAME;
	}
	*at = 2;
	if (!value_bytes_fit(type, value_bytes))
		return PE_BLOCK_VALUE_BYTES;
	*bytes = value_at + pe_round8(value_bytes);
	if (!zeros(data, PE_ENTRY_HEAD + name_bytes, value_at, at) ||
		!zeros(data, value_at + value_bytes, *bytes, at))
		return PE_BLOCK_PADDING;
	if (!value_sound(type, data + value_at, value_bytes, at)) {
		*at += value_at;
		return PE_BLOCK_VALUE;
	}
	return PE_BLOCK_SOUND;
}

uint32_t pe_entry_write(uint8_t *to, uint32_t size, const struct pe_entry *entry)
{
	const struct pe_value *v = &entry->value;
	uint16_t value_bytes = 0;
	uint32_t value_at = pe_round8(PE_ENTRY_HEAD + entry->name_bytes), bytes;

	if (v->type == PE_VALUE_TEXT || v->type == PE_VALUE_BYTES)
		value_bytes = v->bytes;
	else if (v->type == PE_VALUE_BOOL)
		value_bytes = 1;
	else if (v->type == PE_VALUE_I64 || v->type == PE_VALUE_F64)
		value_bytes = 8;
	bytes = value_at + pe_round8(value_bytes);
	if (bytes > size)
		return 0;
	memset(to, 0, bytes);
	to[0] = v->type;
	to[1] = entry->name_bytes;
	memcpy(to + 2, &value_bytes, sizeof value_bytes);
	if (entry->name_bytes)
		memcpy(to + PE_ENTRY_HEAD, entry->name, entry->name_bytes);
	if (v->type == PE_VALUE_BOOL)
		to[value_at] = v->truth;
	else if (v->type == PE_VALUE_I64 || v->type == PE_VALUE_F64)
		// the double's bits, if it is one
		memcpy(to + value_at, &v->whole, sizeof v->whole);
	else if (value_bytes)
		memcpy(to + value_at, v->data, value_bytes);
	return bytes;
}

static enum pe_order sign(int order)
{
	return order < 0 ? PE_ORDER_LESS : order > 0 ? PE_ORDER_GREATER : PE_ORDER_EQUAL;
}

// Without rounding the integer: what is left of the double behind its point decides where the whole
// parts agree.
static enum pe_order compare_mixed(int64_t whole, double real)
{
	int64_t truncated;
	double rest;

	if (real >= 0x1p63)
		return PE_ORDER_LESS;
	if (real < -0x1p63)
		return PE_ORDER_GREATER;
	if (real != real)
		return PE_ORDER_NONE; // no sound value
	truncated = (int64_t)real;
	if (whole != truncated)
		return whole < truncated ? PE_ORDER_LESS : PE_ORDER_GREATER;
	rest = real - (double)truncated;
	return rest > 0 ? PE_ORDER_LESS : rest < 0 ? PE_ORDER_GREATER : PE_ORDER_EQUAL;
}

enum pe_order pe_value_compare(const struct pe_value *a, const struct pe_value *b)
{
	if (a->type != b->type) {
		if (a->type == PE_VALUE_I64 && b->type == PE_VALUE_F64)
			return compare_mixed(a->whole, b->real);
		if (a->type == PE_VALUE_F64 && b->type == PE_VALUE_I64) {
			enum pe_order order = compare_mixed(b->whole, a->real);

			return order == PE_ORDER_NONE ? order : (enum pe_order)(-(int)order);
		}
		return PE_ORDER_NONE;
	}
	switch (a->type) {
	case PE_VALUE_NULL:
		return PE_ORDER_EQUAL;
	case PE_VALUE_BOOL:
		return a->truth == b->truth ? PE_ORDER_EQUAL : PE_ORDER_NONE;
	case PE_VALUE_I64:
		return a->whole < b->whole ? PE_ORDER_LESS : sign(a->whole > b->whole);
	case PE_VALUE_F64:
		if (a->real < b->real)
			return PE_ORDER_LESS;
		if (a->real > b->real)
			return PE_ORDER_GREATER;
		return a->real == b->real ? PE_ORDER_EQUAL : PE_ORDER_NONE;
	case PE_VALUE_TEXT:
	case PE_VALUE_BYTES:
		return sign(pe_text_compare(a->data, a->bytes, b->data, b->bytes));
	default:
		return PE_ORDER_NONE;
	}
}
