// Standing queries on the wire: what the writers make is read back whole; every length, operation
// and field that is not legal has its reason.
#include "testing.h"
#include "testing_wire.h"
#include "wire/subscribe.h"

#include <math.h>

static const struct pe_wire_header header = {.stream_id = 5, .sequence = 9, .space_id = {1}};

static struct pe_wire_fence sphere(uint32_t id)
{
	return (struct pe_wire_fence){
		.fence_id = id, .query = {.kind = PE_QUERY_SPHERE, .a = {1, 2, 3}, .b = {10}}};
}

static enum pe_reason check(const uint8_t *data, uint32_t bytes, struct pe_wire_view *view)
{
	uint8_t *copy = copy_exact(data, bytes);
	enum pe_reason reason = pe_wire_check(copy, bytes, view);

	free_exact(copy);
	return reason;
}

static uint32_t put_open(uint8_t *buffer, unsigned count)
{
	struct pe_wire_subscribe s = {.subscription_id = 7, .epoch = 8, .op = PE_SUBSCRIBE_OPEN};
	struct pe_wire_fence fences[PE_SUBSCRIBE_FENCES_MAX];

	for (unsigned i = 0; i < PE_SUBSCRIBE_FENCES_MAX; i++)
		fences[i] = sphere(i);
	return pe_wire_put_subscribe(
		buffer, PE_WIRE_BYTES_MAX, &header, &s, fences, count, NULL, 0);
}

static void round_trips(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX], extension[64] = {1};
	struct pe_wire_subscribe s = {.subscription_id = 7,
					 .epoch = 8,
					 .op = PE_SUBSCRIBE_OPEN,
					 .priority = PE_PRIORITY_CRITICAL,
					 .flags = PE_SUBSCRIBE_FLAGS_DEFINED,
					 .update_frequency = 60,
					 .window = 32,
					 .resolution_m = 2.5f,
					 .expiration_ms = 1000},
				 got;
	struct pe_wire_fence fences[2] = {sphere(1), sphere(2)}, fence;
	struct pe_wire_fence_name names[PE_SUBSCRIBE_NAMES_MAX] = {{.fence_id = 3}}, name;
	struct pe_wire_subscribed done = {.subscription_id = 7, .fault_index = PE_FAULT_NONE};
	struct pe_wire_subscribed done_got;
	struct pe_wire_notice notice = {.subscription_id = 7, .first_sequence = 1};
	struct pe_wire_event events[2] = {{.fence_id = 1, .kind = PE_EVENT_ENTER},
		{.kind = PE_EVENT_SNAPSHOT_END}},
			     event;
	struct pe_wire_view view;
	uint32_t bytes;

	fences[1].query.flags = PE_QUERY_HAS_EXTENSION;
	fences[1].query.extension_bytes = sizeof extension;
	CU_ASSERT_EQUAL(
		pe_wire_put_subscribe(buffer, sizeof buffer, &header, &s, fences, 2, extension, 56),
		0);
	bytes = pe_wire_put_subscribe(
		buffer, sizeof buffer, &header, &s, fences, 2, extension, sizeof extension);
	CU_ASSERT_EQUAL(bytes, 80 + 48 + 2 * 168 + 64);
	CU_ASSERT_EQUAL(pe_wire_check(buffer, bytes, &view), PE_REASON_none);
	CU_ASSERT_EQUAL(view.count, 2);
	CU_ASSERT_EQUAL(view.reply, PE_REPLY_SUBSCRIBED);
	pe_wire_get_subscribe(buffer, &got);
	CU_ASSERT_EQUAL(memcmp(&got, &s, sizeof s), 0);
	pe_wire_get_fence(&view, 1, &fence);
	CU_ASSERT_EQUAL(memcmp(&fence, &fences[1], sizeof fence), 0);
	CU_ASSERT_EQUAL(view.records[2 * 168], 1);

	s = (struct pe_wire_subscribe){.op = PE_SUBSCRIBE_REMOVE, .message = 1};
	bytes = pe_wire_put_remove(
		buffer, sizeof buffer, &header, &s, names, PE_SUBSCRIBE_NAMES_MAX);
	CU_ASSERT_EQUAL(bytes, 80 + 48 + PE_SUBSCRIBE_NAMES_MAX * 8);
	CU_ASSERT_EQUAL(pe_wire_check(buffer, bytes, &view), PE_REASON_none);
	pe_wire_get_fence_name(&view, 0, &name);
	CU_ASSERT_EQUAL(name.fence_id, 3);

	bytes = pe_wire_put_subscribed(buffer, sizeof buffer, &header, &done);
	CU_ASSERT_EQUAL(bytes, 128);
	CU_ASSERT_EQUAL(pe_wire_check_reply(buffer, bytes, &view), PE_REASON_none);
	pe_wire_get_subscribed(buffer, &done_got);
	CU_ASSERT_EQUAL(memcmp(&done_got, &done, sizeof done), 0);
	CU_ASSERT_EQUAL(pe_wire_check_reply(buffer, bytes - 1, &view), PE_REASON_length);

	events[0].result.entity_id[0] = 1;
	bytes = pe_wire_put_notice(buffer, sizeof buffer, &header, &notice, events, 2);
	CU_ASSERT_EQUAL(bytes, 80 + 32 + 160);
	CU_ASSERT_EQUAL(pe_wire_check_reply(buffer, bytes, &view), PE_REASON_none);
	pe_wire_get_event(&view, 1, &event);
	CU_ASSERT_EQUAL(memcmp(&event, &events[1], sizeof event), 0);
	CU_ASSERT_EQUAL(pe_wire_check_reply(buffer, bytes - 80, &view), PE_REASON_length);
	CU_ASSERT_EQUAL(pe_wire_check(buffer, bytes, &view), PE_REASON_type_unknown);
}

static void operations(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_view view;
	uint32_t bytes = put_open(buffer, 0);

	for (unsigned op = 0; op < 256; op++) {
		enum pe_reason reason;

		buffer[88] = (uint8_t)op;
		reason = check(buffer, bytes, &view);
		if (op < PE_SUBSCRIBE_OPEN || op > PE_SUBSCRIBE_RENEW)
			CU_ASSERT_EQUAL(reason, PE_REASON_subscribe_op);
		if (op == PE_SUBSCRIBE_ADD || op == PE_SUBSCRIBE_REMOVE)
			CU_ASSERT_EQUAL(reason, PE_REASON_count);
		if (op == PE_SUBSCRIBE_OPEN || op == PE_SUBSCRIBE_CLOSE || op == PE_SUBSCRIBE_RENEW)
			CU_ASSERT_EQUAL(reason, PE_REASON_none);
		if (op == PE_SUBSCRIBE_RESUME || op == PE_SUBSCRIBE_ACKNOWLEDGE)
			CU_ASSERT_EQUAL(reason, PE_REASON_subscribe_fields);
	}
}

static void lengths(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX + 1] = {0};
	struct pe_wire_view view;
	uint32_t bytes = put_open(buffer, 2);
	uint16_t extension = 8, count = PE_SUBSCRIBE_FENCES_MAX + 1;

	for (uint32_t n = 80; n <= PE_WIRE_BYTES_MAX; n++)
		CU_ASSERT_EQUAL(
			check(buffer, n, &view), n == bytes ? PE_REASON_none : PE_REASON_length);
	memcpy(buffer + 128 + 40 + 112, &extension, 2);
	CU_ASSERT_EQUAL(check(buffer, bytes, &view), PE_REASON_length);
	CU_ASSERT_EQUAL(check(buffer, bytes + 8, &view), PE_REASON_none);
	extension = 0xFFFF;
	memcpy(buffer + 128 + 40 + 112, &extension, 2);
	CU_ASSERT_EQUAL(check(buffer, bytes + 8, &view), PE_REASON_length);
	memcpy(buffer + 32, &count, 2);
	CU_ASSERT_EQUAL(check(buffer, PE_WIRE_BYTES_MAX, &view), PE_REASON_count);
}

static void field(uint32_t at, uint32_t width, uint64_t value, uint8_t op, enum pe_reason want)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_view view;
	uint32_t bytes = put_open(buffer, 0);
	uint32_t number = 1;

	buffer[88] = op;
	if (op == PE_SUBSCRIBE_RESUME || op == PE_SUBSCRIBE_ACKNOWLEDGE)
		memcpy(buffer + 104, &number, 4);
	memcpy(buffer + at, &value, width);
	CU_ASSERT_EQUAL(check(buffer, bytes, &view), want);
}

static void fields(void)
{
	const enum pe_reason none = PE_REASON_none, bad = PE_REASON_subscribe_fields;

	field(89, 1, 3, PE_SUBSCRIBE_OPEN, none);
	field(89, 1, 4, PE_SUBSCRIBE_OPEN, bad);
	field(90, 2, 15, PE_SUBSCRIBE_OPEN, none);
	field(90, 2, 16, PE_SUBSCRIBE_OPEN, bad);
	field(96, 4, 0x3F800000, PE_SUBSCRIBE_OPEN, bad); // without its flag
	field(96, 4, 0x7FC00000, PE_SUBSCRIBE_OPEN, bad);
	field(96, 4, 0x7F800000, PE_SUBSCRIBE_OPEN, bad);
	field(96, 4, 0xBF800000, PE_SUBSCRIBE_OPEN, bad);
	field(104, 8, 1, PE_SUBSCRIBE_OPEN, bad);
	field(112, 4, 1, PE_SUBSCRIBE_OPEN, bad);
	for (unsigned i = 116; i < 128; i++)
		field(i, 1, 1, PE_SUBSCRIBE_OPEN, PE_REASON_body_reserved);
	field(100, 4, 1, PE_SUBSCRIBE_RENEW, none);
	field(100, 4, 1, PE_SUBSCRIBE_CLOSE, bad);
	for (unsigned op = PE_SUBSCRIBE_RESUME; op <= PE_SUBSCRIBE_RENEW; op++) {
		field(89, 1, 1, (uint8_t)op, bad);
		field(90, 2, 1, (uint8_t)op, bad);
		field(92, 2, 1, (uint8_t)op, bad);
		field(94, 2, 1, (uint8_t)op, bad);
		field(112, 4, 1, (uint8_t)op, bad);
	}
	field(104, 8, 0, PE_SUBSCRIBE_RESUME, bad);
	field(104, 8, 5, PE_SUBSCRIBE_ACKNOWLEDGE, none);
	field(104, 8, 5, PE_SUBSCRIBE_CLOSE, bad);
}

static void fences(void)
{
	struct pe_wire_fence f;
#define CHECK(change, want) \
	f = sphere(1); \
	change; \
	CU_ASSERT_EQUAL(pe_wire_check_fence(&f, false), want)
	CHECK((void)0, PE_REASON_none);
	CHECK(f.flags = 2, PE_REASON_fence_rule);
	CHECK(f.reserved0 = 1, PE_REASON_fence_rule);
	CHECK(f.reserved1 = 1, PE_REASON_fence_rule);
	CHECK(f.margin_m = -1, PE_REASON_fence_rule);
	CHECK(f.margin_m = NAN, PE_REASON_fence_rule);
	CHECK(f.margin_m = 50001, PE_REASON_fence_rule);
	CHECK(f.margin_m = 50000, PE_REASON_none);
	CHECK(f.enter_ms = 3600001, PE_REASON_fence_rule);
	CHECK(f.leave_ms = 3600001, PE_REASON_fence_rule);
	CHECK(f.follow_id[3] = 1, PE_REASON_fence_rule);
	CHECK(f.flags = PE_FENCE_FOLLOW, PE_REASON_fence_rule);
	CHECK((f.flags = PE_FENCE_FOLLOW, f.follow_id[3] = 1), PE_REASON_fence_rule);
	CHECK((f.flags = PE_FENCE_FOLLOW, f.follow_id[3] = 1, memset(f.query.a, 0, 24)),
		PE_REASON_none);
	CHECK(f.query.kind = PE_QUERY_POINT, PE_REASON_fence_kind);
	CHECK(f.query.kind = PE_QUERY_NEAREST, PE_REASON_fence_kind);
	CHECK(f.query.max_results = 1, PE_REASON_fence_kind);
	CHECK(f.query.timeout_ms = 1, PE_REASON_fence_kind);
	CHECK(f.query.flags = PE_QUERY_HAS_CURSOR, PE_REASON_fence_kind);
	CHECK(f.query.kind = 0, PE_REASON_query_kind);
	CHECK(f.query.b[0] = -1, PE_REASON_query_coordinates);
	CHECK(f.query.type_mask = 0x20, PE_REASON_query_filter);
#undef CHECK
}

static void events(void)
{
	struct pe_wire_event e;
#define CHECK(change, want) \
	e = (struct pe_wire_event){.fence_id = 1, .kind = PE_EVENT_LEAVE, .cause = 1}; \
	e.result.entity_id[0] = 1; \
	change; \
	CU_ASSERT_EQUAL(pe_wire_check_event(&e), want)
	CHECK((void)0, PE_REASON_none);
	CHECK(e.cause = 0, PE_REASON_record_reserved);
	CHECK(e.cause = 4, PE_REASON_record_reserved);
	CHECK(e.flags = 4, PE_REASON_record_reserved);
	CHECK(e.kind = 0, PE_REASON_record_reserved);
	CHECK(e.kind = 8, PE_REASON_record_reserved);
	CHECK(e.kind = PE_EVENT_ENTER, PE_REASON_record_reserved);
	CHECK((e.kind = PE_EVENT_ENTER, e.cause = 0), PE_REASON_none);
	CHECK(e.result.entity_id[0] = 0, PE_REASON_id_nil);
	CHECK(e.result.position[1] = NAN, PE_REASON_coordinates);
	CHECK(e.kind = PE_EVENT_ENDED, PE_REASON_record_reserved);
	CHECK((e.kind = PE_EVENT_ENDED, e.fence_id = 0, e.result.entity_id[0] = 0), PE_REASON_none);
#undef CHECK
}

static void pieces(void)
{
	struct pe_wire_event e;
	uint8_t *bytes = (uint8_t *)&e.result + offsetof(struct pe_wire_piece, bytes);
#define CHECK(change, want) \
	e = (struct pe_wire_event){.fence_id = 1, .kind = PE_EVENT_PAYLOAD, .flags = 49}; \
	e.result.entity_id[0] = 1; \
	change; \
	CU_ASSERT_EQUAL(pe_wire_check_event(&e), want)
	CU_ASSERT_EQUAL(pe_wire_pieces(0), 1);
	CU_ASSERT_EQUAL(pe_wire_pieces(48), 1);
	CU_ASSERT_EQUAL(pe_wire_pieces(49), 2);
	CU_ASSERT_EQUAL(pe_wire_pieces(512), 11);
	CHECK((void)0, PE_REASON_none);
	CHECK(bytes[47] = 1, PE_REASON_none);
	CHECK((e.cause = 1, bytes[0] = 1), PE_REASON_none);
	CHECK((e.cause = 1, bytes[1] = 1), PE_REASON_record_reserved);
	CHECK(e.cause = 2, PE_REASON_record_reserved);
	CHECK((e.cause = 1, e.flags = 48), PE_REASON_record_reserved);
	CHECK(e.flags = 0, PE_REASON_none);
	CHECK((e.flags = 0, bytes[0] = 1), PE_REASON_record_reserved);
	CHECK((e.flags = 0, e.cause = 1), PE_REASON_record_reserved);
	CHECK((e.flags = 512, e.cause = 10, bytes[31] = 1), PE_REASON_none);
	CHECK((e.flags = 512, e.cause = 10, bytes[32] = 1), PE_REASON_record_reserved);
	CHECK((e.flags = 512, e.cause = 11), PE_REASON_record_reserved);
	CHECK(e.flags = 513, PE_REASON_record_reserved);
	CHECK((e.flags = 0xFFFF, e.cause = 255), PE_REASON_record_reserved);
	CHECK(e.result.entity_id[0] = 0, PE_REASON_id_nil);
#undef CHECK
}

TESTING_MAIN("wire/subscribe", {"round trips", round_trips}, {"operations", operations},
	{"lengths", lengths}, {"fields", fields}, {"fences", fences}, {"events", events},
	{"pieces", pieces})
