// Filters as text: what is written is what is read, each mistake with its column, and a program is
// printed as text that makes the same program.
#include "client/filter_text.h"
#include "filter_tree.h"
#include "testing.h"
#include "unit/wire/testing_wire.h"

#include <locale.h>

static uint8_t program[PRESENCE_FILTER_BYTES_MAX];
static char printed[PRESENCE_FILTER_TEXT_MAX];

// Text as it is written, and as it is printed again.
static void forms(void)
{
	static const char *const rows[][2] = {
		{"type in (mobile, static) and state = active and not tag = \"ferry\" and "
		 "meta.draught >= 7.5 and age < 30s",
			"type in (static, mobile) and state = active and not tag = \"ferry\" and "
			"meta.draught >= 7.5 and age < 30s"},
		{" TYPE=Mobile\n\tOR\r\nstate!=AWAY ", "type = mobile or not state = away"},
		{"((type = custom))", "type = custom"},
		{"a", NULL},
		{"(type = mobile or state = busy) and age > 1d",
			"(type = mobile or state = busy) and age > 1d"},
		{"type = mobile and (state = busy and age > 1d)",
			"type = mobile and (state = busy and age > 1d)"},
		{"(type = mobile and state = busy) and age > 1d",
			"type = mobile and state = busy and age > 1d"},
		{"(type = mobile and state = busy) or age > 1d",
			"type = mobile and state = busy or age > 1d"},
		{"not(type=mobile and not state=busy)", "not (type = mobile and not state = busy)"},
		{"type not in (static, static)", "not type = static"},
		{"custom_type<5 or custom_state>=255", "custom_type < 5 or custom_state >= 255"},
		{"position_confidence >= .9 and status_confidence <= 1",
			"position_confidence >= 0.902 and status_confidence <= 1"},
		{"age <= 90min or age = 0h or age > 2m or age != 1500ms",
			"age <= 90min or age = 0s or age > 2min or age != 1500ms"},
		{"age > -9223372036854775808ms", "age > -9223372036854775808ms"},
		{"radius >= 2.5km or radius = unlimited or radius < 10",
			"radius >= 2500m or radius = unlimited or radius < 10m"},
		{"speed > 1e1 m/s or speed < 0.1", "speed > 10m/s or speed < 0.1m/s"},
		{"id in (0F8FAD5B-d9cb-469f-a165-70867728950e,"
		 "00000000-0000-0000-0000-000000000001,0f8fad5b-d9cb-469f-a165-70867728950e)",
			"id in (00000000-0000-0000-0000-000000000001, "
			"0f8fad5b-d9cb-469f-a165-70867728950e)"},
		{"tag != \"\\x41\\\"\\\\ä\"", "not tag = \"A\\\"\\\\ä\""},
		{"activity = \"ice breaking\"", "activity = \"ice breaking\""},
		{"meta.ais.draught exists", "meta.ais.draught exists"},
		{"meta . \"two words\" not in ( 1 ,-2, 3.0,1e3, \"x\\ty\", x\"0aFF\", x\"\", null, "
		 "true,FALSE )",
			"not meta.\"two words\" in (1, -2, 3.0, 1000.0, \"x\\x09y\", x\"0AFF\", x\"\", "
			"null, true, false)"},
		{"meta.big = 9223372036854775807 or meta.big = -9223372036854775808",
			"meta.big = 9223372036854775807 or meta.big = -9223372036854775808"},
		{"meta.x = -0.0 or meta.x = 0.1 or meta.x = 1.7976931348623157e308",
			"meta.x = -0.0 or meta.x = 0.1 or meta.x = 1.7976931348623157e+308"},
		{"meta.x = \"\"", "meta.x = \"\""},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct presence_filter_error error;
		unsigned bytes = presence_filter_parse(rows[i][0], program, &error);
		size_t length;

		if (!rows[i][1]) {
			CU_ASSERT(bytes == 0 && error.column == 1);
			continue;
		}
		if (!bytes)
			printf("%s: column %u: %s\n", rows[i][0], error.column, error.expected);
		CU_ASSERT(bytes != 0 && !error.expected);
		length = presence_filter_print(program, bytes, printed, sizeof printed);
		CU_ASSERT_EQUAL(length, strlen(printed));
		if (strcmp(printed, rows[i][1]) != 0)
			printf("%s\n", printed);
		CU_ASSERT_STRING_EQUAL(printed, rows[i][1]);
	}
}

static void mistakes(void)
{
	static const struct {
		const char *text;
		unsigned column;
		const char *expected; // its begin
	} rows[] = {
		{"", 1, "a test (type"},
		{"   ", 4, "a test (type"},
		{"type", 5, "=, !=, in"},
		{"types = mobile", 1, "a test"},
		{"type mobile", 6, "=, !=, in"},
		{"type < mobile", 6, "=, !=, in"},
		{"type = mobil", 8, "static, mobile"},
		{"type = mobiles", 8, "static, mobile"},
		{"type in mobile", 9, "( and a list"},
		{"type in (mobile", 16, ", or )"},
		{"type in (mobile,)", 17, "static, mobile"},
		{"type in ()", 10, "static, mobile"},
		{"state = x", 9, "active, inactive"},
		{"type = mobile state = busy", 15, "and, or, or the end"},
		{"type = mobile)", 14, "and, or, or the end"},
		{"(type = mobile", 15, "and, or, )"},
		{"type = mobile and", 18, "a test"},
		{"not", 4, "a test"},
		{"and", 1, "a test"},
		{"custom_type = 128", 15, "a code of 0 to 127"},
		{"custom_state = -1", 16, "a code of 0 to 255"},
		{"custom_state = 1.0", 16, "a code of 0 to 255"},
		{"custom_type in (1)", 13, "one of = !="},
		{"id = 0f8fad5b", 6, "an id such as"},
		{"id = 0f8fad5b-d9cb-469f-a165-70867728950e0", 6, "an id such as"},
		{"id = 0f8fad5b-d9cb-469f", 6, "an id such as"},
		{"id = 00000000-0000-0000-0000-000000000000", 6, "an id that is not nil"},
		{"position_confidence > 1.01", 23, "a number from 0 to 1"},
		{"position_confidence > -0.1", 23, "a number from 0 to 1"},
		{"age < 30", 7, "a whole number with its unit"},
		{"age < 30 weeks", 7, "a whole"},
		{"age < 1.5s", 7, "a whole"},
		{"age < 9223372036854775807s", 7, "a shorter time"},
		{"age < 92233720368547758070ms", 7, "a whole"},
		{"radius > -1", 10, "a length"},
		{"radius > 1e400", 10, "a length"},
		{"radius > nan", 10, "a length"},
		{"speed > unlimited", 9, "a speed"},
		{"speed > 5m", 9, "a speed"},
		{"speed > 5 km", 11, "and, or, or the end"},
		{"tag = ferry", 7, "a text in"},
		{"tag < \"a\"", 5, "= or !="},
		{"tag = \"\"", 7, "a text of 1 to 32"},
		{"tag = \"a", 9, "a \" that ends"},
		{"tag = \"\\q\"", 8, "an escape"},
		{"tag = \"\\x80\"", 8, "an escape \\x01"},
		{"tag = \"\\x00\"", 8, "an escape \\x01"},
		{"tag = \"a\\n\"", 7, "a text of 1 to 32"},
		{"tag = \"abcdefghijklmnopqrstuvwxyz0123456\"", 7, "a shorter text"},
		{"tag = \"\xC3(\"", 7, "a text in UTF-8"},
		{"meta = 1", 6, ". and a name"},
		{"meta. = 1", 7, "a name, in"},
		{"meta.a", 7, "one of = !="},
		{"meta.a is 1", 8, "one of = !="},
		{"meta.a not 1", 8, "one of = !="},
		{"meta.a = x", 10, "a value: null"},
		{"meta.a = 1.2.3", 10, "a finite number"},
		{"meta.a = 9223372036854775808", 10, "an integer of 64 bits"},
		{"meta.a = x\"0\"", 12, "two hexadecimal"},
		{"meta.a < null", 8, "= or !=: null"},
		{"meta.a >= true", 8, "= or !=: null"},
		{"meta.a in (1 2)", 14, ", or )"},
		{"meta.abcdefghijklmnopqrstuvwxyz0123456 = 1", 6, "a name of at most 32"},
		{"tag = \"ä\" and x", 15, "a test"}, // characters are counted, not bytes
		{"type = mobile # x", 15, "and, or, or the end"},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct presence_filter_error error;
		unsigned bytes = presence_filter_parse(rows[i].text, program, &error);

		CU_ASSERT_EQUAL(bytes, 0);
		if (bytes)
			continue;
		if (error.column != rows[i].column ||
			strncmp(error.expected, rows[i].expected, strlen(rows[i].expected)) != 0)
			printf("%s: column %u: %s\n", rows[i].text, error.column, error.expected);
		CU_ASSERT_EQUAL(error.column, rows[i].column);
		CU_ASSERT(strncmp(error.expected, rows[i].expected, strlen(rows[i].expected)) == 0);
	}
}

static bool refused_with(const char *text, const char *expected)
{
	struct presence_filter_error error;

	if (presence_filter_parse(text, program, &error) == 0 && strstr(error.expected, expected))
		return true;
	printf("%.60s…: %s\n", text, error.expected ? error.expected : "taken");
	return false;
}

static void bounds(void)
{
	static char text[8192];
	struct presence_filter_error error;
	char *p;

	// Brackets that are open at once: 64 are fine, as many as a program is printed with.
	for (unsigned n = 64; n <= 65; n++) {
		memset(text, '(', n);
		strcpy(text + n, "type = static");
		memset(text + n + 13, ')', n);
		text[n + 13 + n] = '\0';
		CU_ASSERT_EQUAL(presence_filter_parse(text, program, &error) != 0, n == 64);
	}
	CU_ASSERT(error.column == 65 && strstr(error.expected, "brackets"));
	memset(text, '(', 4000);
	text[4000] = '\0';
	CU_ASSERT(refused_with(text, "brackets"));
	// Values that wait: each bracket leaves one.
	p = text;
	for (unsigned i = 0; i < 16; i++)
		p += sprintf(p, "type = static or (");
	strcpy(p, "type = static");
	CU_ASSERT(refused_with(text, "more than 16 values"));
	p = text;
	for (unsigned i = 0; i < 33; i++)
		p += sprintf(p, "%stype = static", i ? " or " : "");
	CU_ASSERT(refused_with(text, "more than 64 steps"));
	p = text;
	for (unsigned i = 0; i < 14; i++)
		p += sprintf(p, "%stag = \"abcdefghijklmnopqrstuvwxyz0123%u\"", i ? " or " : "", i);
	CU_ASSERT(refused_with(text, "more than 512 bytes"));
	p = text + sprintf(text, "meta.a in (null");
	for (unsigned i = 0; i < 63; i++)
		p += sprintf(p, ", null");
	strcpy(p, ")");
	CU_ASSERT(refused_with(text, "at most 63 values"));
	p = text + sprintf(text, "id in (");
	for (unsigned i = 1; i <= 32; i++)
		p += sprintf(p, "%s00000000-0000-0000-0000-0000000000%02x", i > 1 ? "," : "", i);
	strcpy(p, ")");
	CU_ASSERT(refused_with(text, "at most 31 ids"));
	p = text + sprintf(text, "meta.a = \"");
	memset(p, 'a', 600);
	strcpy(p + 600, "\"");
	CU_ASSERT(refused_with(text, "a shorter text"));
	memset(text, ' ', 4097);
	text[4097] = '\0';
	CU_ASSERT(refused_with(text, "4096"));
}

static void into_little_room(void)
{
	struct presence_filter_error error;
	unsigned bytes = presence_filter_parse("type = mobile and age < 30s", program, &error);
	char few[8];

	CU_ASSERT_EQUAL(presence_filter_print(program, bytes, few, sizeof few), 27);
	CU_ASSERT_STRING_EQUAL(few, "type = ");
	CU_ASSERT_EQUAL(presence_filter_print(program, bytes, NULL, 0), 27);
	CU_ASSERT_EQUAL(presence_filter_print(program, bytes - 1, few, sizeof few), 0);
	CU_ASSERT_STRING_EQUAL(few, "");
}

// Random programs are printed and parsed to the same bytes.
static void round_trips(void)
{
	uint64_t times = testing_amount(50000);
	size_t longest = 0;

	random_seed();
	for (uint64_t i = 0; i < times; i++) {
		uint64_t seed = random_u64(), random = seed;
		uint8_t again[PRESENCE_FILTER_BYTES_MAX];
		struct presence_filter_error error = {0};
		struct tree tree;
		size_t length;
		unsigned bytes, again_bytes;

		do {
			tree_random(&tree, 1 + random_below(20), &random);
			bytes = tree_write(&tree, program);
		} while (!bytes);
		length = presence_filter_print(program, bytes, printed, sizeof printed);
		CU_ASSERT_FATAL(length > 0 && length < sizeof printed);
		again_bytes = presence_filter_parse(printed, again, &error);
		if (again_bytes != bytes || memcmp(again, program, bytes) != 0) {
			printf("seed %" PRIu64 ": %s: column %u: %s\n", seed, printed, error.column,
				error.expected ? error.expected : "another program");
			CU_FAIL("another program");
		}
		longest = length > longest ? length : longest;
	}
	printf("%" PRIu64 " round trips, the longest text has %zu bytes ", times, longest);
}

// Random changes of texts: parsed or refused within the text, never more.
static void mutated(void)
{
	uint64_t times = testing_amount(200000), parsed = 0;

	random_seed();
	for (uint64_t i = 0; i < times; i++) {
		uint64_t random = random_u64();
		struct presence_filter_error error;
		struct tree tree;
		size_t length = 0;
		char *copy;
		unsigned bytes;

		tree_random(&tree, 1 + random_below(4), &random);
		bytes = tree_write(&tree, program);
		if (bytes)
			length = presence_filter_print(program, bytes, printed, sizeof printed);
		if (!length)
			continue;
		length = random_below(3) ? length : random_below((unsigned)length + 1);
		copy = malloc(length + 1);
		if (!copy)
			abort();
		memcpy(copy, printed, length);
		copy[length] = '\0';
		for (unsigned n = random_below(3); length && n > 0; n--)
			copy[random_below((unsigned)length)] = random_below(2) ?
				(char)(1 + random_below(255)) :
				" ()\",.=<>-xe0m"[random_below(14)];
		bytes = presence_filter_parse(copy, program, &error);
		if (bytes)
			parsed++;
		else
			CU_ASSERT_FATAL(
				error.expected && error.column >= 1 && error.column <= length + 1);
		free(copy);
	}
	printf("%" PRIu64 " of %" PRIu64 " parsed ", parsed, times);
	CU_ASSERT(parsed > times / 20 && parsed < times);
}

static void steps(void)
{
	struct presence_filter_error error;
	unsigned bytes = presence_filter_parse(
		"type = mobile and not (age < 30s or state = busy)", program, &error);

	CU_ASSERT(bytes != 0);
	CU_ASSERT(presence_filter_print_step(program, bytes, 2, printed, sizeof printed) == 9);
	CU_ASSERT_STRING_EQUAL(printed, "age < 30s");
	(void)presence_filter_print_step(program, bytes, 4, printed, sizeof printed);
	CU_ASSERT_STRING_EQUAL(printed, "age < 30s or state = busy");
	(void)presence_filter_print_step(program, bytes, 6, printed, sizeof printed);
	CU_ASSERT_STRING_EQUAL(printed, "type = mobile and not (age < 30s or state = busy)");
	CU_ASSERT_EQUAL(presence_filter_print_step(program, bytes, 0, printed, sizeof printed), 0);
	CU_ASSERT_EQUAL(presence_filter_print_step(program, bytes, 7, printed, sizeof printed), 0);
	CU_ASSERT_STRING_EQUAL(printed, "");
}

// Where a comma divides whole numbers from their parts, a point still does here.
static void other_languages(void)
{
	static const char *const locales[] = {"de_DE.UTF-8", "fi_FI.UTF-8", "fr_FR.UTF-8"};
	struct presence_filter_error error;
	unsigned bytes, i;

	for (i = 0; i < 3 && !setlocale(LC_ALL, locales[i]); i++)
		;
	bytes = presence_filter_parse("meta.a = 7.5", program, &error);
	CU_ASSERT(bytes != 0);
	CU_ASSERT(presence_filter_print(program, bytes, printed, sizeof printed) != 0);
	CU_ASSERT_STRING_EQUAL(printed, "meta.a = 7.5");
	setlocale(LC_ALL, "C");
	if (i == 3)
		printf("(no such locale on this machine) ");
}

TESTING_MAIN("client-filter-text", {"written and printed", forms},
	{"mistakes and their columns", mistakes}, {"bounds", bounds},
	{"into little room", into_little_room}, {"steps", steps}, {"round trips", round_trips},
	{"mutations are harmless", mutated}, {"other languages", other_languages})
