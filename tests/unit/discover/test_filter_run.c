// What each test of a filter means, row by row of docs/filters.md, and what is decided without
// context and metadata. Filters are written as text here, since that is read at once.
#include "client/filter_text.h"
#include "discover/filter_run.h"
#include "testing.h"
#include "wire/half.h"
#include "wire/metadata.h"

#include <math.h>
#include <string.h>

static uint8_t context[PE_CONTEXT_BYTES_MAX], metadata[PE_METADATA_BYTES_MAX];
static const uint8_t id[16] = {0x0F, 0x8F, 0xAD, 0x5B, 0xD9, 0xCB, 0x46, 0x9F, 0xA1, 0x65, 0x70,
	0x86, 0x77, 0x28, 0x95, 0x0E};

static void set(const char *name, struct pe_value value)
{
	struct pe_entry e = {
		.name = (const uint8_t *)name, .name_bytes = (uint8_t)strlen(name), .value = value};

	CU_ASSERT_EQUAL(pe_metadata_set(metadata, &e), PE_BLOCK_SOUND);
}

// A mobile, busy ferry.
static struct pe_facts ferry(void)
{
	struct pe_context c = {.tag_count = 2,
		.activity = {(const uint8_t *)"crossing", 8},
		.tags = {{(const uint8_t *)"ferry", 5}, {(const uint8_t *)"ice", 3}}};

	CU_ASSERT_EQUAL(pe_context_write(context, &c), PE_BLOCK_SOUND);
	pe_metadata_begin(metadata);
	set("draught", (struct pe_value){.type = PE_VALUE_F64, .real = 7.5});
	set("decks", (struct pe_value){.type = PE_VALUE_I64, .whole = 12});
	set("big", (struct pe_value){.type = PE_VALUE_I64, .whole = 9007199254740993});
	set("dark", (struct pe_value){.type = PE_VALUE_BOOL, .truth = false});
	set("eta", (struct pe_value){.type = PE_VALUE_NULL});
	set("flag",
		(struct pe_value){
			.type = PE_VALUE_TEXT, .bytes = 3, .data = (const uint8_t *)"FIN"});
	set("key",
		(struct pe_value){
			.type = PE_VALUE_BYTES, .bytes = 2, .data = (const uint8_t *)"\x0A\xFF"});
	return (struct pe_facts){.id = id,
		.age_ms = 12000,
		.radius_m = 500,
		.velocity = {pe_half_from_float(3), pe_half_from_float(-4), 0},
		.entity_type = PE_ENTITY_MOBILE,
		.state = PE_STATE_BUSY,
		.position_confidence = 128, // (128 − 1) / 254 = 0.5
		.status_confidence = 0,
		.context = context,
		.context_bytes = pe_block_bytes(context, sizeof context),
		.metadata = metadata,
		.metadata_bytes = pe_block_bytes(metadata, sizeof metadata)};
}

struct row {
	const char *text;
	bool yes;
};

static void check_rows(const struct row *rows, unsigned count, const struct pe_facts *facts)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t program[PRESENCE_FILTER_BYTES_MAX];
		struct presence_filter_error wrong;
		struct pe_filter_error error;
		struct pe_filter filter;
		enum pe_filter_verdict hot;
		unsigned bytes = presence_filter_parse(rows[i].text, program, &wrong);
		bool yes;

		if (!bytes)
			printf("%s: column %u: %s\n", rows[i].text, wrong.column, wrong.expected);
		CU_ASSERT_FATAL(bytes != 0);
		CU_ASSERT_EQUAL_FATAL(
			pe_filter_compile(&filter, program, bytes, &error), PE_FILTER_SOUND);
		yes = pe_filter_run(&filter, facts);
		if (yes != rows[i].yes)
			printf("%s\n", rows[i].text);
		CU_ASSERT_EQUAL(yes, rows[i].yes);
		hot = pe_filter_run_hot(&filter, facts);
		CU_ASSERT(hot == PE_FILTER_NEEDS_COLD || hot == (enum pe_filter_verdict)yes);
		CU_ASSERT(filter.cold || hot != PE_FILTER_NEEDS_COLD);
	}
}

#define CHECK_ROWS(rows, facts) check_rows(rows, sizeof(rows) / sizeof(rows)[0], facts)

static void fixed_fields(void)
{
	static const struct row rows[] = {
		{"type = mobile", true},
		{"type = static", false},
		{"type in (static, mobile)", true},
		{"type not in (static, mobile)", false},
		{"type != custom", true},
		{"state = busy", true},
		{"state in (active, away)", false},
		{"custom_type = 0", false},
		{"custom_type != 0", false}, // not CUSTOM at all
		{"custom_state >= 0", false},
		{"id = 0f8fad5b-d9cb-469f-a165-70867728950e", true},
		{"id = 0f8fad5b-d9cb-469f-a165-70867728950f", false},
		{"id in (00000000-0000-0000-0000-000000000001, "
		 "0F8FAD5B-D9CB-469F-A165-70867728950E)",
			true},
		{"id != 0f8fad5b-d9cb-469f-a165-70867728950e", false},
		{"position_confidence = 0.5", true},
		{"position_confidence >= 0.5", true},
		{"position_confidence <= 0.5", true},
		{"position_confidence > 0.5", false},
		{"position_confidence < 0.51", true},
		{"position_confidence != 0.5", false},
		{"status_confidence >= 0", false},
		{"status_confidence <= 1", false}, // not stated
		{"not status_confidence >= 0", true},
		{"age < 30s", true},
		{"age = 12s", true},
		{"age <= 11999ms", false},
		{"age > 12s", false},
		{"age >= 12000ms", true},
		{"age != 12s", false},
		{"age > -1s", true},
		{"radius = 500m", true},
		{"radius >= 0.5km", true},
		{"radius < 500", false},
		{"radius != unlimited", true},
		{"radius < unlimited", true},
		{"speed = 5", true},
		{"speed > 5m/s", false},
		{"speed <= 5 m/s", true},
		{"speed < 5.0000001", true},
		{"speed != 5", false},
		{"speed >= 5", true},
	};
	static const struct row none[] = {{"radius = unlimited", true}, {"radius > 1e300", true},
		{"radius <= 1e300", false}, {"radius < unlimited", false},
		{"custom_type = 5", true}, {"custom_type > 5", false}, {"custom_type <= 5", true},
		{"type = custom and custom_type != 5", false}, {"custom_state = 200", true},
		{"custom_state < 200", false}, {"state = custom", true}, {"age < 0s", true},
		{"age >= 0s", false}, {"id = 0f8fad5b-d9cb-469f-a165-70867728950e", false},
		{"id != 0f8fad5b-d9cb-469f-a165-70867728950e", true}};
	struct pe_facts f = ferry();

	CHECK_ROWS(rows, &f);
	f.radius_m = 0;
	f.entity_type = 128 + 5;
	f.state = PE_STATE_CUSTOM;
	f.custom_state = 200;
	f.age_ms = -5;
	f.id = NULL;
	CHECK_ROWS(none, &f);
}

static void context_and_metadata(void)
{
	static const struct row rows[] = {
		{"tag = \"ferry\"", true},
		{"tag = \"ferr\"", false},
		{"tag = \"tug\"", false},
		{"tag != \"tug\"", true},
		{"activity = \"crossing\"", true},
		{"activity = \"ferry\"", false},
		{"activity != \"crossing\"", false},
		{"meta.draught exists", true},
		{"meta.eta exists", true},
		{"meta.none exists", false},
		{"meta.draught = 7.5", true},
		{"meta.draught >= 7.5", true},
		{"meta.draught > 7", true},
		{"meta.draught < 8", true},
		{"meta.draught <= 7", false},
		{"meta.draught != 7", true},
		{"meta.decks = 12", true},
		{"meta.decks = 12.0", true},
		{"meta.decks < 12.5", true},
		{"meta.decks > 11.5", true},
		{"meta.big > 9007199254740992.0", true},
		{"meta.big = 9007199254740992.0", false},
		{"meta.big < 9223372036854775808.0", true},
		{"meta.dark = false", true},
		{"meta.dark != false", false},
		{"meta.dark = 0", false},
		{"meta.dark != 0", true}, // other kinds are different
		{"meta.eta = null", true},
		{"meta.eta != null", false},
		{"meta.eta != 1", true},
		{"meta.eta = 0", false},
		{"meta.eta < 1", false},
		{"meta.eta >= 1", false},
		{"meta.decks = null", false},
		{"meta.decks != null", true},
		{"meta.none = null", false},
		{"meta.none != null", false},
		{"meta.none != 1", false},
		{"not meta.none = 1", true},
		{"meta.flag = \"FIN\"", true},
		{"meta.flag > \"FI\"", true},
		{"meta.flag < \"FIN \"", true},
		{"meta.flag >= 1", false},
		{"meta.flag != 1", true},
		{"meta.key = x\"0aff\"", true},
		{"meta.key > x\"0AFE\"", true},
		{"meta.key = \"\\n\"", false},
		{"meta.decks in (11, 12.0)", true},
		{"meta.decks in (\"12\", null)", false},
		{"meta.decks not in (1, 2)", true},
		{"meta.none in (1, null)", false},
		{"meta.none not in (1)", true},
		{"meta.flag in (\"EST\", \"FIN\", \"SWE\")", true},
	};
	static const struct row nothing[] = {{"tag = \"ferry\"", false},
		{"not tag = \"ferry\"", true}, {"activity != \"crossing\"", true},
		{"meta.draught exists", false}, {"meta.eta = null", false}};
	struct pe_facts f = ferry();

	CHECK_ROWS(rows, &f);
	f.context = f.metadata = NULL;
	f.context_bytes = f.metadata_bytes = 0;
	CHECK_ROWS(nothing, &f);
}

static void joined(void)
{
	static const struct row rows[] = {
		{"type = mobile and state = busy", true},
		{"type = static and state = busy", false},
		{"type = static or state = busy", true},
		{"type = static or state = away", false},
		// and binds closer than or
		{"type = mobile or state = away and type = static", true},
		{"(type = mobile or state = away) and type = static", false},
		{"not type = static and state = busy", true},
		{"not (type = static or state = busy)", false},
		{"not not type = mobile", true},
		{"not (not type = mobile and not state = away) and not (type = static or not "
		 "tag = \"ice\")",
			true},
		{"type in (mobile, static) and state = busy and not tag = \"tug\" and meta.draught "
		 ">= 7.5 and age < 30s",
			true},
	};
	struct pe_facts f = ferry();

	CHECK_ROWS(rows, &f);
}

static void without_cold(void)
{
	static const struct {
		const char *text;
		enum pe_filter_verdict hot;
	} rows[] = {
		{"tag = \"ferry\"", PE_FILTER_NEEDS_COLD},
		{"not tag = \"ferry\"", PE_FILTER_NEEDS_COLD},
		{"tag = \"ferry\" and type = static", PE_FILTER_NO},
		{"type = static and tag = \"ferry\"", PE_FILTER_NO},
		{"meta.a = 1 or type = mobile", PE_FILTER_YES},
		{"not (meta.a = 1 or type = mobile)", PE_FILTER_NO},
		{"meta.a = 1 or type = static", PE_FILTER_NEEDS_COLD},
		{"meta.a = 1 and not tag = \"x\" or age > 1h", PE_FILTER_NEEDS_COLD},
		{"(meta.a = 1 or not meta.a = 1) and type = static", PE_FILTER_NO},
		{"meta.a exists or not meta.a exists", PE_FILTER_NEEDS_COLD}, // as the header says
		{"activity = \"x\" and not (tag = \"y\" or type = mobile)", PE_FILTER_NO},
	};
	struct pe_facts f = ferry();

	// It doesn't look: these would not even be memory.
	f.context = f.metadata = (const uint8_t *)1;
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint8_t program[PRESENCE_FILTER_BYTES_MAX];
		struct presence_filter_error wrong;
		struct pe_filter_error error;
		struct pe_filter filter;
		unsigned bytes = presence_filter_parse(rows[i].text, program, &wrong);

		CU_ASSERT_EQUAL_FATAL(
			pe_filter_compile(&filter, program, bytes, &error), PE_FILTER_SOUND);
		CU_ASSERT_EQUAL(pe_filter_run_hot(&filter, &f), rows[i].hot);
	}
}

// The longest programs: every test is made, once.
static void longest(void)
{
	struct pe_filter_writer w;
	uint8_t program[PE_FILTER_BYTES_MAX];
	struct pe_filter_error error;
	struct pe_filter filter;
	struct pe_facts f = ferry();
	uint32_t bytes;

	pe_filter_begin(&w);
	pe_filter_put(&w, PE_FILTER_TYPE, 0, 2);
	while (w.step_count < PE_FILTER_STEPS_MAX - 1) {
		pe_filter_put(&w, PE_FILTER_STATE, 0, 1 << PE_STATE_BUSY);
		pe_filter_put(&w, PE_FILTER_AND, 0, 0);
	}
	bytes = pe_filter_finish(&w, program, &error);
	CU_ASSERT_EQUAL(pe_filter_compile(&filter, program, bytes, &error), PE_FILTER_SOUND);
	CU_ASSERT_EQUAL(filter.test_count, 32);
	CU_ASSERT(pe_filter_run(&filter, &f));
	f.state = PE_STATE_AWAY;
	CU_ASSERT(!pe_filter_run(&filter, &f));

	pe_filter_begin(&w);
	pe_filter_put(&w, PE_FILTER_TYPE, 0, 2);
	while (w.step_count < PE_FILTER_STEPS_MAX)
		pe_filter_put(&w, PE_FILTER_NOT, 0, 0); // 63 of them
	bytes = pe_filter_finish(&w, program, &error);
	CU_ASSERT_EQUAL(pe_filter_compile(&filter, program, bytes, &error), PE_FILTER_SOUND);
	CU_ASSERT(!pe_filter_run(&filter, &f));
	program[8] = 0;
	CU_ASSERT_EQUAL(pe_filter_compile(&filter, program, bytes, &error), PE_FILTER_OPERATION);
}

TESTING_MAIN("discover-filter-run", {"fixed fields", fixed_fields},
	{"context and metadata", context_and_metadata}, {"joined", joined},
	{"without context and metadata", without_cold}, {"longest programs", longest})
