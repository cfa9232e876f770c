// What an entity says beside its state: from the library's structs to the wire and back, from
// arguments, and what cannot be said.
#include "client/internal.h"
#include "client/tools/details_arguments.h"
#include "testing.h"
#include "wire/metadata.h"

#include <string.h>

static uint8_t record[PE_DETAILED_RECORD_BYTES_MAX];

static struct presence_text text(const char *s)
{
	return (struct presence_text){s, (unsigned)strlen(s)};
}

static bool is(struct presence_text t, const char *s)
{
	return t.bytes == strlen(s) && memcmp(t.text, s, t.bytes) == 0;
}

static uint32_t put(const struct presence_details *d)
{
	struct presence_update u = {.id = {1}, .sequence = 1, .type = PRESENCE_MOBILE};
	struct pe_details_blocks b;
	uint32_t bytes = client_details_to_wire(&u, d, record);

	if (bytes) {
		CU_ASSERT_EQUAL(bytes, pe_wire_detailed_next(record));
		CU_ASSERT_EQUAL(pe_wire_check_detailed(record, &b), PE_REASON_none);
	}
	return bytes;
}

// As an engine would answer with what the record says: without a payload, and with a change of
// nothing but new names.
static void answer(struct presence_details *read)
{
	static uint8_t details[PE_DETAILED_RECORD_BYTES_MAX];
	struct presence_found found = {0};
	struct pe_details_blocks b;

	pe_wire_get_detailed(record, &b);
	CU_ASSERT(pe_wire_begin_details(details, sizeof details, NULL));
	for (unsigned type = 1; type <= PE_DETAILS_TYPES; type++)
		if (b.content[type] && type != PE_DETAILS_PAYLOAD)
			CU_ASSERT(pe_wire_put_details(
				details, sizeof details, type, b.content[type], b.bytes[type]));
	found.details_bytes = pe_wire_detailed_next(details);
	CU_ASSERT_EQUAL(
		pe_wire_check_result_details(details, found.details_bytes), found.details_bytes);
	CU_ASSERT(presence_details_read(details, &found, read));
	found.details_bytes = 0;
	CU_ASSERT(!presence_details_read(details, &found, &(struct presence_details){0}));
}

static void round_trip(void)
{
	struct presence_details d = {.has_orientation = true,
		.orientation = {0, 0, 0.6f, 0.8f},
		.has_context = true,
		.tag_count = 2,
		.metadata_count = 5,
		.has_schedule = true,
		.opening_ms = 5,
		.period_ms = 100,
		.open_for_ms = 10,
		.payload = "hello",
		.payload_bytes = 5,
		.has_scope = true,
		.scope_volume = PRESENCE_BOX,
		.scope_a = {1, 2, 3},
		.scope_b = {4, 5, 6},
		.scope_resolution_m = 100,
		.scope_engines_max = 9};
	struct presence_details read;

	d.activity = text("sailing");
	d.tags[0] = text("white");
	d.tags[1] = text("ferry");
	d.metadata[0] = (struct presence_value){.name = text("z"), .type = PRESENCE_NULL};
	d.metadata[1] =
		(struct presence_value){.name = text("b"), .type = PRESENCE_BOOL, .truth = true};
	d.metadata[2] =
		(struct presence_value){.name = text("i"), .type = PRESENCE_I64, .whole = -7};
	d.metadata[3] =
		(struct presence_value){.name = text("f"), .type = PRESENCE_F64, .real = 7.5};
	d.metadata[4] = (struct presence_value){
		.name = text("t"), .type = PRESENCE_TEXT, .data = text("Ida")};
	CU_ASSERT_FATAL(put(&d) > 0);
	answer(&read);
	CU_ASSERT(read.has_orientation && read.orientation[3] == 0.8f);
	CU_ASSERT(read.has_context && is(read.activity, "sailing") && read.tag_count == 2 &&
		is(read.tags[0], "ferry") && is(read.tags[1], "white"));
	CU_ASSERT_EQUAL(read.metadata_count, 5);
	CU_ASSERT(is(read.metadata[0].name, "b") && read.metadata[0].truth);
	CU_ASSERT(is(read.metadata[1].name, "f") && read.metadata[1].real == 7.5);
	CU_ASSERT(is(read.metadata[2].name, "i") && read.metadata[2].whole == -7);
	CU_ASSERT(is(read.metadata[3].name, "t") && is(read.metadata[3].data, "Ida"));
	CU_ASSERT(is(read.metadata[4].name, "z") && read.metadata[4].type == PRESENCE_NULL);
	CU_ASSERT(read.has_schedule && read.opening_ms == 5 && read.period_ms == 100 &&
		read.open_for_ms == 10);
	CU_ASSERT(!read.has_parent);
	CU_ASSERT(read.has_scope && read.scope_volume == PRESENCE_BOX && read.scope_a[2] == 3 &&
		read.scope_b[1] == 5 && read.scope_resolution_m == 100 &&
		read.scope_engines_max == 9);
}

static void cannot_be_said(void)
{
	static char longest[PRESENCE_PAYLOAD_MAX + 2];
	struct presence_details d;

	memset(longest, 'a', sizeof longest - 1);
#define REFUSED(...) \
	do { \
		d = (struct presence_details){__VA_ARGS__}; \
		CU_ASSERT_EQUAL(put(&d), 0); \
	} while (0)
	REFUSED(.has_context = true, .tag_count = 9);
	REFUSED(.has_context = true, .activity = {longest, 33});
	REFUSED(.has_context = true, .tag_count = 2, .tags = {text("a"), text("a")});
	REFUSED(.has_context = true, .tag_count = 1, .tags = {text("\x01")});
	REFUSED(.metadata_count = 17);
	REFUSED(.metadata_count = 1, .metadata = {{.name = text("")}});
	REFUSED(.metadata_count = 1, .metadata = {{.name = {longest, 33}}});
	REFUSED(.metadata_count = 1, .metadata = {{.name = text("a"), .type = 77}});
	REFUSED(.metadata_count = 1,
		.metadata = {{.name = text("a"), .type = PRESENCE_F64, .real = 1.0 / 0.0}});
	REFUSED(.metadata_count = 1,
		.metadata = {
			{.name = text("a"), .type = PRESENCE_BYTES, .data = {longest, 70000}}});
	REFUSED(.payload = longest, .payload_bytes = PRESENCE_PAYLOAD_MAX + 1);
	d = (struct presence_details){.payload = longest, .payload_bytes = PRESENCE_PAYLOAD_MAX};
	CU_ASSERT(put(&d) > 0);
	d = (struct presence_details){
		.no_orientation = true, .no_schedule = true, .no_scope = true};
	CU_ASSERT_EQUAL(put(&d), 88 + 8 + 8 + 8);
}

static void scopes(void)
{
	static const char *const bad[] = {
		"", "1,2", "1,2:", "1,2:-3", "1:2", "x,1:2", "1,2:3,x", "1,2:3,4,5,6", "1,2:3:4"};
	struct presence_details d = {0};

	CU_ASSERT(argument_scope("60.1,24.9:500", &d) && d.has_scope);
	CU_ASSERT(d.scope_volume == PRESENCE_SPHERE && d.scope_a[0] == 60.1 && d.scope_b[0] == 500);
	CU_ASSERT(argument_scope("1,2,3:4,5,6", &d) && d.scope_volume == PRESENCE_BOX &&
		d.scope_a[2] == 3 && d.scope_b[2] == 6);
	CU_ASSERT(argument_scope("none", &d) && d.no_scope);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		d = (struct presence_details){0};
		CU_ASSERT_FALSE(argument_scope(bad[i], &d));
	}
}

static void arguments(void)
{
	struct presence_details d = {0}, bad = {0};
	char words[8][40] = {"crew=12", "draught=7.5", "name=Ida av Åbo", "free=null", "open=true",
		"key=x\"00fF\"", "pilot", "x=x\"0\""};
	char *printed;
	json_t *json;

	for (unsigned i = 0; i < 8; i++)
		CU_ASSERT(argument_metadata(words[i], &d));
	CU_ASSERT(d.metadata[0].type == PRESENCE_I64 && d.metadata[0].whole == 12);
	CU_ASSERT(d.metadata[1].type == PRESENCE_F64 && d.metadata[1].real == 7.5);
	CU_ASSERT(d.metadata[2].type == PRESENCE_TEXT && is(d.metadata[2].data, "Ida av Åbo"));
	CU_ASSERT(d.metadata[3].type == PRESENCE_NULL);
	CU_ASSERT(d.metadata[4].type == PRESENCE_BOOL && d.metadata[4].truth);
	CU_ASSERT(d.metadata[5].type == PRESENCE_BYTES && d.metadata[5].data.bytes == 2 &&
		memcmp(d.metadata[5].data.text, "\x00\xFF", 2) == 0);
	CU_ASSERT(d.metadata[6].type == PRESENCE_REMOVE && is(d.metadata[6].name, "pilot"));
	CU_ASSERT(d.metadata[7].type == PRESENCE_TEXT);
	CU_ASSERT(!argument_metadata((char[]){"=1"}, &d));
	d.metadata_count = 8;
	CU_ASSERT(argument_tag("ferry", &d) && argument_activity("sailing", &d));
	CU_ASSERT(argument_quaternion("0,0,3,4", &d) && d.orientation[2] == 0.6f);
	CU_ASSERT(argument_schedule("100,24h,8h", &d) && d.opening_ms == 100000 &&
		d.period_ms == 86400000 && d.open_for_ms == 28800000);
	CU_ASSERT(!argument_quaternion("0,0,0,0", &bad) && !argument_quaternion("1,2,3", &bad) &&
		!argument_quaternion("1,2,3,4,5", &bad) && !argument_quaternion("x,0,0,1", &bad));
	CU_ASSERT(!argument_schedule("100,1h,2h", &bad) && !argument_schedule("100,1h", &bad) &&
		!argument_schedule("x,1h,1h", &bad) && !argument_schedule("0,1h,0s", &bad));
	CU_ASSERT(put(&d) > 0);
	json = details_to_json(&d);
	printed = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "\"tags\":[\"ferry\"]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(printed, "{\"bytes\":\"00ff\"}"));
	free(printed);
	json_decref(json);
	CU_ASSERT(details_any(&d));
	CU_ASSERT(!details_any(&(struct presence_details){0}));
}

TESTING_MAIN("client: details", {"round trip", round_trip}, {"cannot be said", cannot_be_said},
	{"arguments", arguments}, {"scopes", scopes})
