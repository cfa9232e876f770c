// Metadata and context: what a sound block is to the byte, each fault with its place, changes, the
// order of values.
#include "testing.h"
#include "testing_wire.h"
#include "wire/metadata.h"

#include <math.h>

static struct pe_entry entry_of(const char *name, uint8_t type)
{
	return (struct pe_entry){.name = (const uint8_t *)name,
		.name_bytes = (uint8_t)strlen(name),
		.value = {.type = type}};
}

static struct pe_entry whole(const char *name, int64_t value)
{
	struct pe_entry e = entry_of(name, PE_VALUE_I64);

	e.value.whole = value;
	return e;
}

static struct pe_entry text(const char *name, const char *value)
{
	struct pe_entry e = entry_of(name, PE_VALUE_TEXT);

	e.value.data = (const uint8_t *)value;
	e.value.bytes = (uint16_t)strlen(value);
	return e;
}

static uint32_t bytes_of(const uint8_t *block)
{
	return pe_block_bytes(block, PE_METADATA_BYTES_MAX);
}

static bool find(const uint8_t *block, const char *name, struct pe_value *value)
{
	return pe_metadata_find(
		block, bytes_of(block), (const uint8_t *)name, (uint32_t)strlen(name), value);
}

static void layout(void)
{
	static const uint8_t expected[] = {
		64, 0, 3, 0, 0, 0, 0, 0,                                  // head: 64 bytes, 3 names
		1, 4, 1, 0, 'b', 'o', 'o', 'l', 1, 0, 0, 0, 0, 0, 0, 0,   // bool
		3, 1, 8, 0, 'd', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1E, 0x40,   // 7.5
		4, 5, 3, 0, 'f', 'l', 'a', 'g', 's', 0, 0, 0, 0, 0, 0, 0, // padded name
		'F', 'I', 'N', 0, 0, 0, 0, 0,                             // padded value
	};
	uint8_t block[PE_METADATA_BYTES_MAX];
	struct pe_entry e;
	struct pe_value v;
	uint32_t offset = 0, at;

	pe_metadata_begin(block);
	CU_ASSERT_EQUAL(bytes_of(block), PE_BLOCK_HEAD);
	CU_ASSERT_EQUAL(pe_metadata_check(block, 8, &at), PE_BLOCK_SOUND);
	e = text("flags", "FIN"); // the order of sets is not that of names
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	e = entry_of("bool", PE_VALUE_BOOL);
	e.value.truth = true;
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	e = entry_of("d", PE_VALUE_F64);
	e.value.real = 7.5;
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(bytes_of(block), sizeof expected);
	CU_ASSERT(memcmp(block, expected, sizeof expected) == 0);
	CU_ASSERT_EQUAL(pe_metadata_check(block, sizeof expected, &at), PE_BLOCK_SOUND);
	CU_ASSERT(find(block, "d", &v) && v.type == PE_VALUE_F64 && v.real == 7.5);
	CU_ASSERT(find(block, "bool", &v) && v.type == PE_VALUE_BOOL && v.truth);
	CU_ASSERT(find(block, "flags", &v) && v.bytes == 3 && memcmp(v.data, "FIN", 3) == 0);
	CU_ASSERT(!find(block, "flag", &v) && !find(block, "", &v) && !find(block, "z", &v));
	CU_ASSERT(!pe_metadata_find(NULL, 0, (const uint8_t *)"d", 1, &v));
	CU_ASSERT(pe_metadata_next(block, sizeof expected, &offset, &e) && e.name_bytes == 4);
	CU_ASSERT(pe_metadata_next(block, sizeof expected, &offset, &e) && e.name_bytes == 1);
	CU_ASSERT(pe_metadata_next(block, sizeof expected, &offset, &e) && e.name_bytes == 5);
	CU_ASSERT(!pe_metadata_next(block, sizeof expected, &offset, &e));
}

// A byte of a sound block changed, and what the checker says of it, where.
struct change {
	uint16_t offset;
	uint8_t byte;
	uint8_t fault;
	uint16_t at;
};

static void faults(void)
{
	// 0 head; 8 bool b=true; 24 f64 d; 40 i64 i; 56 text "tt"="abc"
	static const struct change changes[] = {
		{0, 80, PE_BLOCK_LENGTH, 0},
		{0, 71, PE_BLOCK_LENGTH, 0},
		{4, 1, PE_BLOCK_RESERVED, 4},
		{7, 1, PE_BLOCK_RESERVED, 7},
		{3, 1, PE_BLOCK_RESERVED, 3},
		{2, 17, PE_BLOCK_COUNT, 2},
		{2, 5, PE_BLOCK_SHORT, 72},
		{2, 3, PE_BLOCK_LENGTH, 56},
		{8, 6, PE_BLOCK_TYPE, 8},
		{24, 255, PE_BLOCK_TYPE, 24},
		{9, 0, PE_BLOCK_NAME, 9},
		{9, 33, PE_BLOCK_NAME, 9},
		{12, 0x1F, PE_BLOCK_NAME, 12},
		{12, 0x7F, PE_BLOCK_NAME, 12},
		{12, 0xC3, PE_BLOCK_NAME, 12},
		{61, 0x80, PE_BLOCK_NAME, 61},
		{28, 'b', PE_BLOCK_ORDER, 28},
		{28, 'a', PE_BLOCK_ORDER, 28},
		{10, 0, PE_BLOCK_VALUE_BYTES, 10},
		{26, 7, PE_BLOCK_VALUE_BYTES, 26},
		{8, 0, PE_BLOCK_VALUE_BYTES, 10},
		{8, 2, PE_BLOCK_VALUE_BYTES, 10},
		{16, 2, PE_BLOCK_VALUE, 16},
		{64, 0, PE_BLOCK_VALUE, 64},
		{65, 0xFF, PE_BLOCK_VALUE, 65},
		{13, 1, PE_BLOCK_PADDING, 13},
		{17, 1, PE_BLOCK_PADDING, 17},
		{67, 'd', PE_BLOCK_PADDING, 67},
		{59, 255, PE_BLOCK_SHORT, 56},
	};
	static const double refused[] = {(double)INFINITY, -(double)INFINITY, (double)NAN};
	uint8_t block[PE_METADATA_BYTES_MAX], *copy;
	uint32_t at;
	struct pe_entry e = entry_of("b", PE_VALUE_BOOL);

	pe_metadata_begin(block);
	e.value.truth = true;
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	e = entry_of("d", PE_VALUE_F64);
	e.value.real = -0.0; // is taken
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	e = whole("i", INT64_MIN);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	e = text("tt", "abc");
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(bytes_of(block), 72);
	for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		const struct change *c = &changes[i];
		enum pe_block_fault fault;

		copy = copy_exact(block, 72);
		copy[c->offset] = c->byte;
		fault = pe_metadata_check(copy, 72, &at);
		if (fault != c->fault || at != c->at)
			printf("byte %u = %u: %u at %u\n", c->offset, c->byte, fault, at);
		CU_ASSERT(fault == c->fault && at == c->at);
		free_exact(copy);
	}
	for (unsigned i = 0; i < 3; i++) {
		copy = copy_exact(block, 72);
		memcpy(copy + 32, &refused[i], 8);
		CU_ASSERT_EQUAL(pe_metadata_check(copy, 72, &at), PE_BLOCK_VALUE);
		CU_ASSERT_EQUAL(at, 32);
		free_exact(copy);
	}
	CU_ASSERT_EQUAL(pe_metadata_check(block, 7, &at), PE_BLOCK_SHORT);
	for (unsigned i = 0; i < PE_BLOCK_FAULTS; i++)
		CU_ASSERT_STRING_NOT_EQUAL(pe_block_fault_text((enum pe_block_fault)i), "?");
	CU_ASSERT_STRING_EQUAL(pe_block_fault_text(PE_BLOCK_FAULTS), "?");
}

static void utf8(void)
{
	static const char *const sound[] = {"", "a", "ä", "€", "𝄞", "\xF4\x8F\xBF\xBF",
		"\xED\x9F\xBF", "\xEE\x80\x80", "\xE0\xA0\x80", "\xF0\x90\x80\x80", "\xC2\x80"};
	static const char *const unsound[] = {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF",
		"\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
		"\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE2\x82", "\xF0\x9D\x84", "\xC3(",
		"\xE2(\xAC", "\xE2\x82(", "\xF0\x9D\x84("};
	uint32_t at;

	for (unsigned i = 0; i < sizeof sound / sizeof sound[0]; i++)
		CU_ASSERT(
			pe_text_sound((const uint8_t *)sound[i], (uint32_t)strlen(sound[i]), &at));
	for (unsigned i = 0; i < sizeof unsound / sizeof unsound[0]; i++) {
		uint8_t *copy = copy_exact((const uint8_t *)unsound[i], strlen(unsound[i]));

		CU_ASSERT(!pe_text_sound(copy, (uint32_t)strlen(unsound[i]), &at) && at == 0);
		free_exact(copy);
	}
	CU_ASSERT(!pe_text_sound((const uint8_t *)"ab\0c", 4, &at) && at == 2);
	CU_ASSERT(pe_name_sound((const uint8_t *)"größe", 7, &at));
	CU_ASSERT(!pe_name_sound((const uint8_t *)"", 0, &at));
	CU_ASSERT(!pe_name_sound((const uint8_t *)"a\tb", 3, &at) && at == 1);
}

static void caps(void)
{
	static const uint8_t many[PE_VALUE_BYTES_MAX + 8] = {0};
	uint8_t block[PE_METADATA_BYTES_MAX], before[PE_METADATA_BYTES_MAX];
	struct pe_entry e;
	uint32_t at;
	char name[8];

	pe_metadata_begin(block);
	for (unsigned i = 0; i < PE_METADATA_NAMES_MAX; i++) {
		snprintf(name, sizeof name, "n%02u", i * 7 % 16);
		e = whole(name, i);
		CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	}
	CU_ASSERT_EQUAL(pe_metadata_check(block, bytes_of(block), &at), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(block[2], 16);
	memcpy(before, block, sizeof before);
	e = whole("one more", 1);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_FULL);
	CU_ASSERT(memcmp(before, block, bytes_of(before)) == 0);
	e = whole("n03", -5); // one that is there can be set again
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);

	pe_metadata_begin(block);
	e = entry_of("abcd", PE_VALUE_BYTES);
	e.value.data = many;
	e.value.bytes = PE_VALUE_BYTES_MAX; // exactly 1,024
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(bytes_of(block), PE_METADATA_BYTES_MAX);
	CU_ASSERT_EQUAL(pe_metadata_check(block, PE_METADATA_BYTES_MAX, &at), PE_BLOCK_SOUND);
	e.value.bytes++;
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_FULL);
	e = entry_of("b", PE_VALUE_NULL);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_FULL);
	e = entry_of("", PE_VALUE_NULL);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_NAME);
	e = entry_of("abcdefghijklmnopqrstuvwxyz0123456", PE_VALUE_NULL);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_NAME);
	e = entry_of("x", 6);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_TYPE);
	e = text("x", "\xFF");
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_VALUE);
	CU_ASSERT_EQUAL(bytes_of(block), PE_METADATA_BYTES_MAX);
}

static void one_by_one(void)
{
	uint8_t block[PE_METADATA_BYTES_MAX], change[PE_METADATA_BYTES_MAX];
	struct pe_entry e;
	struct pe_value v;
	uint32_t at;

	pe_metadata_begin(block);
	pe_metadata_begin(change);
	e = whole("b", 1);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	e = whole("c", 2);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	// Takes b away, sets c anew in another type, brings a and d; e isn't there anyway.
	e = entry_of("b", PE_VALUE_REMOVE);
	CU_ASSERT_EQUAL(pe_metadata_set_change(change, &e), PE_BLOCK_SOUND);
	e = entry_of("e", PE_VALUE_REMOVE);
	CU_ASSERT_EQUAL(pe_metadata_set_change(change, &e), PE_BLOCK_SOUND);
	e = text("c", "two");
	CU_ASSERT_EQUAL(pe_metadata_set_change(change, &e), PE_BLOCK_SOUND);
	e = whole("a", 0);
	CU_ASSERT_EQUAL(pe_metadata_set_change(change, &e), PE_BLOCK_SOUND);
	e = entry_of("d", PE_VALUE_NULL);
	CU_ASSERT_EQUAL(pe_metadata_set_change(change, &e), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(change[2], 5);
	CU_ASSERT_EQUAL(pe_metadata_check_change(change, bytes_of(change), &at), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(pe_metadata_check(change, bytes_of(change), &at), PE_BLOCK_TYPE);
	CU_ASSERT_EQUAL(pe_metadata_apply(block, change, bytes_of(change)), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(pe_metadata_check(block, bytes_of(block), &at), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(block[2], 3);
	CU_ASSERT(!find(block, "b", &v) && !find(block, "e", &v));
	CU_ASSERT(find(block, "a", &v) && v.whole == 0);
	CU_ASSERT(find(block, "c", &v) && v.type == PE_VALUE_TEXT && v.bytes == 3);
	CU_ASSERT(find(block, "d", &v) && v.type == PE_VALUE_NULL);
	e = entry_of("a", PE_VALUE_REMOVE);
	CU_ASSERT_EQUAL(pe_metadata_set(block, &e), PE_BLOCK_SOUND);
	CU_ASSERT(!find(block, "a", &v) && block[2] == 2);
}

static struct pe_name name_of(const char *s)
{
	return (struct pe_name){(const uint8_t *)s, (uint8_t)strlen(s)};
}

static bool has_tag(const uint8_t *block, const char *tag)
{
	return pe_context_has_tag(
		block, bytes_of(block), (const uint8_t *)tag, (uint32_t)strlen(tag));
}

static void context(void)
{
	static const uint8_t expected[] = {24, 0, 2, 4, 0, 0, 0, 0, 'f', 'i', 's', 'h', 3, 't', 'u',
		'g', 5, 't', 'u', 'g', 's', '!', 0, 0};
	static const struct change changes[] = {
		{0, 16, PE_BLOCK_LENGTH, 0},
		{5, 1, PE_BLOCK_RESERVED, 5},
		{2, 9, PE_BLOCK_COUNT, 2},
		{3, 17, PE_BLOCK_SHORT, 3},
		{2, 1, PE_BLOCK_LENGTH, 16},
		{2, 3, PE_BLOCK_NAME, 22},
		{8, 0x7F, PE_BLOCK_NAME, 8},
		{13, 0xFF, PE_BLOCK_NAME, 13},
		{17, 's', PE_BLOCK_ORDER, 16},
		{16, 8, PE_BLOCK_SHORT, 16},
		{12, 0, PE_BLOCK_NAME, 12},
		{22, 1, PE_BLOCK_PADDING, 22},
		{23, 1, PE_BLOCK_PADDING, 23},
	};
	uint8_t block[PE_CONTEXT_BYTES_MAX], *copy;
	struct pe_context c = {.activity = name_of("fish"), .tag_count = 2}, read;
	uint32_t at;

	c.tags[0] = name_of("tugs!");
	c.tags[1] = name_of("tug");
	CU_ASSERT_EQUAL(pe_context_write(block, &c), PE_BLOCK_SOUND);
	CU_ASSERT(memcmp(block, expected, sizeof expected) == 0);
	CU_ASSERT_EQUAL(pe_context_check(block, 24, &at), PE_BLOCK_SOUND);
	CU_ASSERT(has_tag(block, "tug") && has_tag(block, "tugs!") && !has_tag(block, "tu") &&
		!has_tag(block, "fish"));
	CU_ASSERT(pe_context_has_activity(block, 24, (const uint8_t *)"fish", 4) &&
		!pe_context_has_activity(block, 24, (const uint8_t *)"fis", 3) &&
		!pe_context_has_activity(NULL, 0, (const uint8_t *)"fis", 3));
	pe_context_read(block, 24, &read);
	CU_ASSERT(read.activity.bytes == 4 && read.tag_count == 2 && read.tags[1].bytes == 5);
	for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		enum pe_block_fault fault;

		copy = copy_exact(block, 24);
		copy[changes[i].offset] = changes[i].byte;
		fault = pe_context_check(copy, 24, &at);
		if (fault != changes[i].fault || at != changes[i].at)
			printf("byte %u = %u: %u at %u\n", changes[i].offset, changes[i].byte,
				fault, at);
		CU_ASSERT(fault == changes[i].fault && at == changes[i].at);
		free_exact(copy);
	}
	c.tags[0] = name_of("tug");
	CU_ASSERT_EQUAL(pe_context_write(block, &c), PE_BLOCK_ORDER);
	c.tags[0] = name_of("");
	CU_ASSERT_EQUAL(pe_context_write(block, &c), PE_BLOCK_NAME);
	c.tag_count = 9;
	CU_ASSERT_EQUAL(pe_context_write(block, &c), PE_BLOCK_COUNT);
}

static void full_context(void)
{
	char texts[9][33];
	uint8_t block[PE_CONTEXT_BYTES_MAX];
	struct pe_context c = {.tag_count = 8};
	uint32_t at;

	for (unsigned i = 0; i < 9; i++)
		snprintf(texts[i], sizeof texts[i], "%u-bcdefghijklmnopqrstuvwxyz01234", 8 - i);
	for (unsigned i = 0; i < 8; i++)
		c.tags[i] = name_of(texts[i]);
	c.activity = name_of(texts[8]);
	CU_ASSERT_EQUAL(pe_context_write(block, &c), PE_BLOCK_SOUND);
	CU_ASSERT_EQUAL(bytes_of(block), sizeof block);
	CU_ASSERT_EQUAL(pe_context_check(block, sizeof block, &at), PE_BLOCK_SOUND);
	for (unsigned i = 0; i < 8; i++)
		CU_ASSERT(has_tag(block, texts[i]));
}

static void orders(void)
{
	static const struct {
		int64_t whole;
		double real;
		enum pe_order order; // of the whole beside the real
	} mixed[] = {{7, 7.0, PE_ORDER_EQUAL}, {7, 7.5, PE_ORDER_LESS},
		{-7, -7.5, PE_ORDER_GREATER}, {0, -0.0, PE_ORDER_EQUAL},
		{(1ll << 53) + 1, 0x1p53, PE_ORDER_GREATER}, {INT64_MAX, 0x1p63, PE_ORDER_LESS},
		{INT64_MIN, -0x1p63, PE_ORDER_EQUAL},
		{INT64_MIN, -0x1.0000000000001p63, PE_ORDER_GREATER}, {0, 5e-324, PE_ORDER_LESS},
		{INT64_MAX, 1e300, PE_ORDER_LESS}};
	struct pe_value a = {.type = PE_VALUE_I64}, b = {.type = PE_VALUE_F64};
	struct pe_value null = {.type = PE_VALUE_NULL}, yes = {.type = PE_VALUE_BOOL};
	struct pe_value no = yes, t = text("", "a").value, longer = text("", "ab").value;
	struct pe_value raw = t;

	for (unsigned i = 0; i < sizeof mixed / sizeof mixed[0]; i++) {
		a.whole = mixed[i].whole;
		b.real = mixed[i].real;
		CU_ASSERT_EQUAL(pe_value_compare(&a, &b), mixed[i].order);
		CU_ASSERT_EQUAL((int)pe_value_compare(&b, &a), -(int)mixed[i].order);
	}
	yes.truth = true;
	no.truth = false;
	raw.type = PE_VALUE_BYTES;
	CU_ASSERT_EQUAL(pe_value_compare(&null, &null), PE_ORDER_EQUAL);
	CU_ASSERT_EQUAL(pe_value_compare(&null, &a), PE_ORDER_NONE);
	CU_ASSERT_EQUAL(pe_value_compare(&yes, &no), PE_ORDER_NONE);
	CU_ASSERT_EQUAL(pe_value_compare(&yes, &yes), PE_ORDER_EQUAL);
	CU_ASSERT_EQUAL(pe_value_compare(&t, &longer), PE_ORDER_LESS);
	CU_ASSERT_EQUAL(pe_value_compare(&longer, &t), PE_ORDER_GREATER);
	CU_ASSERT_EQUAL(pe_value_compare(&t, &raw), PE_ORDER_NONE);
	CU_ASSERT_EQUAL(pe_value_compare(&raw, &raw), PE_ORDER_EQUAL);
}

TESTING_MAIN("wire-metadata", {"layout", layout}, {"faults and their places", faults},
	{"UTF-8", utf8}, {"caps", caps}, {"changed one by one", one_by_one}, {"context", context},
	{"a full context", full_context}, {"order of values", orders})
