// What a watch asks of an engine that refuses, forgets, is busy or says nothing: fences in
// messages, changes and their answers.
#include "client/filter_text.h"
#include "watch_client.h"
#include "wire/encode.h"
#include "wire/extension.h"

#include <math.h>
#include <stdlib.h>

static void open_watch(const struct presence_watch_options *options)
{
	open_watch_of(options, &fence, 1);
}

// Fences of all kinds in as many messages as it takes; each is what an engine takes for sound, and
// says what was meant.
static void opening(void)
{
	static double corners[200][2];
	unsigned ring = 200;
	struct presence_polygon polygon = {.vertices = (const double(*)[2])corners,
		.ring_vertices = &ring,
		.ring_count = 1,
		.height_min = -INFINITY,
		.height_max = INFINITY,
		.rounded = true};
	uint8_t program[PRESENCE_FILTER_BYTES_MAX], space[16] = {4};
	struct presence_filter_error error;
	struct presence_query queries[5] = {
		{.volume = PRESENCE_SPHERE, .a = {10, 20, 30}, .radius_m = 40, .type_mask = 2},
		{.volume = PRESENCE_BOX, .a = {1, 2, 3}, .b = {4, 5, 6}, .state_mask = 1},
		{.volume = PRESENCE_POLYGON, .polygon = &polygon},
		{.volume = PRESENCE_ORIENTED_BOX, .half = {1, 1, 1}, .orientation = {0, 0, 0, 1}},
		{.volume = PRESENCE_FRUSTUM,
			.orientation = {0, 0, 0, 1},
			.horizontal_deg = 60,
			.vertical_deg = 40,
			.far_m = 100},
	};
	struct presence_fence fences[40];
	struct presence_watch_options options = {.moves = true,
		.filter = true,
		.batch = true,
		.priority = 2,
		.frequency_per_minute = 30,
		.window = 99,
		.resolution_m = 2.5f,
		.lease_ms = 50000};
	unsigned met = 0;

	for (unsigned i = 0; i < 200; i++) {
		corners[i][0] = cos(i * 2 * M_PI / 200) * 100;
		corners[i][1] = sin(i * 2 * M_PI / 200) * 100;
	}
	queries[0].filter = program;
	queries[0].filter_bytes = presence_filter_parse("type = mobile", program, &error);
	CU_ASSERT(queries[0].filter_bytes > 0);
	for (unsigned i = 0; i < 40; i++)
		fences[i] = (struct presence_fence){.id = 100 + i,
			.query = &queries[i % 5],
			.margin_m = (float)i,
			.enter_ms = i,
			.leave_ms = 2 * i,
			.follow = i == 35,
			.follow_id = {i == 35}};
	open_client(200, 4);
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, space, &options, fences, 40, &watch, NULL),
		PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.malformed, 0);
	CU_ASSERT_EQUAL(fake.fences, 40);
	CU_ASSERT(fake.log_count > 8 && fake.log_count < 20);
	for (unsigned i = 0; i < fake.log_count; i++) {
		const struct fake_request *r = &fake.log[i];
		struct pe_wire_view view;
		const uint8_t *extension;

		CU_ASSERT_EQUAL_FATAL(pe_wire_check(r->data, r->bytes, &view), PE_REASON_none);
		CU_ASSERT_EQUAL(r->preamble.op, i ? PE_SUBSCRIBE_ADD : PE_SUBSCRIBE_OPEN);
		CU_ASSERT_EQUAL(r->preamble.message, i);
		CU_ASSERT_EQUAL(r->preamble.subscription_id, fake.log[0].preamble.subscription_id);
		CU_ASSERT_EQUAL(r->preamble.epoch, fake.log[0].preamble.epoch);
		CU_ASSERT_EQUAL(r->header.space_id[0], 4);
		extension = view.records + view.count * sizeof(struct pe_wire_fence);
		for (unsigned j = 0; j < view.count; j++, met++) {
			struct pe_wire_extension parts;
			struct pe_wire_fence f;

			pe_wire_get_fence(&view, j, &f);
			CU_ASSERT_EQUAL(pe_wire_check_fence(&f, false), PE_REASON_none);
			CU_ASSERT_EQUAL(pe_wire_check_extension(&f.query, extension,
						f.query.extension_bytes, &parts),
				PE_REASON_none);
			extension += f.query.extension_bytes;
			CU_ASSERT_EQUAL(f.fence_id, 100 + met);
			CU_ASSERT_EQUAL(f.query.kind, queries[met % 5].volume);
			CU_ASSERT_EQUAL(f.query.type_mask, queries[met % 5].type_mask);
			CU_ASSERT_EQUAL(f.query.state_mask, queries[met % 5].state_mask);
			CU_ASSERT_EQUAL(f.margin_m, (float)met);
			CU_ASSERT_EQUAL(f.enter_ms, met);
			CU_ASSERT_EQUAL(f.leave_ms, 2 * met);
			CU_ASSERT_EQUAL(f.flags, met == 35 ? PE_FENCE_FOLLOW : 0);
			CU_ASSERT_EQUAL(f.follow_id[0], met == 35);
			if (met % 5 == 0 && met != 35)
				CU_ASSERT_EQUAL(f.query.a[2], 30);
			CU_ASSERT_EQUAL(parts.filter != NULL, met % 5 == 0);
		}
	}
	CU_ASSERT_EQUAL(met, 40);
	CU_ASSERT_EQUAL(fake.open.flags, 7);
	CU_ASSERT_EQUAL(fake.open.priority, 2);
	CU_ASSERT_EQUAL(fake.open.update_frequency, 30);
	CU_ASSERT_EQUAL(fake.open.window, 99);
	CU_ASSERT_EQUAL(fake.open.resolution_m, 2.5f);
	CU_ASSERT_EQUAL(fake.open.expiration_ms, 50000);
	CU_ASSERT_EQUAL(presence_watch_status(watch).fences, 40);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.closes, 1);
	presence_close(client);
}

static void cannot_be_said(void)
{
	struct presence_query point = {.volume = PRESENCE_POINT}, box = {.volume = PRESENCE_BOX},
			      polygon = {.volume = PRESENCE_POLYGON};
	struct presence_fence bad[] = {{.query = &point}, {.query = NULL}, {.query = &polygon},
		{.query = &box, .follow = true}};
	struct presence_watch_refusal refusal;
	struct presence_watch *other[PRESENCE_WATCHES_MAX + 1];

	open_client(200, 2);
	for (unsigned i = 0; i < 4; i++) {
		struct presence_fence fences[9];

		for (unsigned j = 0; j < 9; j++)
			fences[j] = fence;
		fences[8] = bad[i];
		CU_ASSERT_EQUAL(
			presence_watch_open(client, NULL, NULL, &bad[i], 1, &watch, &refusal),
			PRESENCE_BAD_ARGUMENT);
		CU_ASSERT_PTR_NULL(watch);
		CU_ASSERT_EQUAL(refusal.fence, 0);
		// What had begun is closed.
		CU_ASSERT_EQUAL(
			presence_watch_open(client, NULL, NULL, fences, 9, &watch, &refusal),
			PRESENCE_BAD_ARGUMENT);
		CU_ASSERT_PTR_NULL(watch);
		CU_ASSERT_EQUAL(refusal.fence, 8);
		CU_ASSERT_EQUAL(fake.closes, i + 1);
		fake.message = 0;
		fake.unknown = false;
	}
	for (unsigned i = 0; i < PRESENCE_WATCHES_MAX; i++) {
		CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, NULL, 0, &other[i], NULL),
			PRESENCE_OK);
		CU_ASSERT(i == 0 ||
			presence_watch_status(other[i]).id !=
				presence_watch_status(other[i - 1]).id);
		CU_ASSERT(i == 0 ||
			presence_watch_status(other[i]).epoch >
				presence_watch_status(other[i - 1]).epoch);
	}
	CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, NULL, 0, &watch, NULL),
		PRESENCE_BAD_ARGUMENT);
	presence_close(client); // with all watches
}

static void lost_answers(void)
{
	struct presence_fence fences[20];
	size_t done;

	for (unsigned i = 0; i < 20; i++)
		fences[i] = (struct presence_fence){.id = i, .query = &sphere};
	open_client(200, 4);
	fake.ignore = 2;
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, NULL, fences, 7, &watch, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.log_count, 3);
	// The same message, not a later one.
	for (unsigned i = 1; i < 3; i++)
		CU_ASSERT_EQUAL(memcmp(fake.log[i].data, fake.log[0].data, fake.log[0].bytes), 0);
	fake.ignore = 1;
	CU_ASSERT_EQUAL(presence_watch_add(watch, fences + 7, 13, &done, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(done, 13);
	CU_ASSERT_EQUAL(fake.adds, 2);
	CU_ASSERT_EQUAL(fake.fences, 20);
	fake.ignore = 1;
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	// The answer to the CLOSE is lost; the second one is of a subscription that isn't known.
	fake.ignore = 1;
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.closes, 1);
	presence_close(client);
}

// An answer to something else is none.
static void late_answers(void)
{
	struct pe_wire_subscribed late = {.code = PE_CODE_STATE_CONFLICT,
		.reason = PE_REASON_subscribe_order,
		.op = PE_SUBSCRIBE_RENEW,
		.fault_index = PE_FAULT_NONE,
		.request_sequence = 1};
	struct pe_wire_header header;
	uint8_t data[PE_WIRE_BYTES_MAX];

	open_watch(NULL);
	late.subscription_id = fake.open.subscription_id;
	late.epoch = fake.open.epoch;
	header = pe_wire_reply_header(&fake.header, 1, 1);
	fake_send(&fake, data, pe_wire_put_subscribed(data, sizeof data, &header, &late));
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.renews, 1);
	presence_close(client);
}

static void in_doubt(void)
{
	struct presence_fence fences[9];
	const uint32_t names[] = {7};
	size_t done;

	for (unsigned i = 0; i < 9; i++)
		fences[i] = (struct presence_fence){.id = 20 + i, .query = &sphere};
	open_watch(NULL);
	// Taken, but all answers are lost.
	fake.ignore = 4;
	CU_ASSERT_EQUAL(presence_watch_add(watch, fences, 9, &done, NULL), PRESENCE_TIMED_OUT);
	CU_ASSERT_EQUAL(done, 0);
	CU_ASSERT_EQUAL(fake.fences, 8);
	// Its number can't be given to anything else.
	CU_ASSERT_EQUAL(
		presence_watch_add(watch, fences + 1, 8, &done, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_watch_remove(watch, names, 1, &done, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_watch_add(watch, fences, 9, &done, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(done, 9);
	CU_ASSERT_EQUAL(fake.fences, 10);
	CU_ASSERT_EQUAL(fake.adds, 2);
	CU_ASSERT_EQUAL(presence_watch_remove(watch, names, 1, &done, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.fences, 9);
	presence_close(client);
}

static void removing(void)
{
	uint32_t names[400];
	size_t done;

	for (unsigned i = 0; i < 400; i++)
		names[i] = 1000 + i;
	open_watch(NULL);
	fake.fences = 401;
	CU_ASSERT_EQUAL(presence_watch_remove(watch, names, 400, &done, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(done, 400);
	CU_ASSERT_EQUAL(fake.fences, 1);
	CU_ASSERT_EQUAL(fake.adds, 3);
	CU_ASSERT_EQUAL(fake.malformed, 0);
	presence_close(client);
}

static void refusals(void)
{
	struct presence_watch_refusal refusal;
	struct presence_fence fences[20];
	size_t done;

	for (unsigned i = 0; i < 20; i++)
		fences[i] = (struct presence_fence){.id = i, .query = &sphere};
	open_client(500, 3);
	fake.refuse_op = PE_SUBSCRIBE_OPEN;
	fake.refuse_reason = PE_REASON_fences_full;
	fake.refuse_fault = 2;
	CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, fences, 20, &watch, &refusal),
		PRESENCE_REFUSED);
	CU_ASSERT_PTR_NULL(watch);
	CU_ASSERT_EQUAL(refusal.fence, 2);
	CU_ASSERT_EQUAL(refusal.reason, PE_REASON_fences_full);
	CU_ASSERT_EQUAL(refusal.code, PE_CODE_OUT_OF_MEMORY);
	CU_ASSERT_EQUAL(fake.closes, 0);
	// Of the second message: its third is the caller's tenth, and the first message's are given
	// back.
	fake.refuse_op = PE_SUBSCRIBE_ADD;
	CU_ASSERT_EQUAL(presence_watch_open(client, NULL, NULL, fences, 20, &watch, &refusal),
		PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(refusal.fence, 9);
	CU_ASSERT_EQUAL(fake.closes, 1);
	fake.unknown = false;
	// An open one stays as it is.
	fake.refuse_op = 0;
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, NULL, fences, 7, &watch, NULL), PRESENCE_OK);
	fake.refuse_op = PE_SUBSCRIBE_ADD;
	fake.refuse_fault = PE_FAULT_NONE;
	CU_ASSERT_EQUAL(
		presence_watch_add(watch, fences + 7, 13, &done, &refusal), PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(done, 0);
	CU_ASSERT_EQUAL(refusal.fence, -1);
	fake.refuse_op = 0;
	CU_ASSERT_EQUAL(presence_watch_add(watch, fences + 7, 13, &done, &refusal), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.fences, 20);
	// Of the second message of a call: the first one's seven stay.
	fake.refuse_op = PE_SUBSCRIBE_ADD;
	fake.refuse_later = true;
	fake.refuse_fault = 3;
	CU_ASSERT_EQUAL(presence_watch_add(watch, fences, 20, &done, &refusal), PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(done, 7);
	CU_ASSERT_EQUAL(refusal.fence, 10);
	CU_ASSERT_EQUAL(fake.fences, 27);
	fake.refuse_op = 0;
	fake.fences = 20;
	// An engine that is busy is asked again; one that stays so is a refusal in the end.
	fake.busy = 3;
	CU_ASSERT_EQUAL(
		presence_watch_remove(watch, &fences[0].id, 1, &done, &refusal), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.fences, 19);
	fake.busy = 1000000;
	CU_ASSERT_EQUAL(
		presence_watch_remove(watch, &fences[1].id, 1, &done, &refusal), PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(refusal.reason, PE_REASON_subscribe_busy);
	presence_close(client);
}

// What the engine says of how finely it tells; a refusal says nothing of it.
static void coarser(void)
{
	struct presence_watch_refusal refusal;
	struct presence_fence other = fence;
	size_t done;

	open_watch(NULL);
	CU_ASSERT_EQUAL(presence_watch_published_m(watch), 0);
	other.id = 99;
	fake.published_m = 250;
	CU_ASSERT_EQUAL(presence_watch_add(watch, &other, 1, &done, &refusal), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_watch_published_m(watch), 250);
	fake.refuse_op = PE_SUBSCRIBE_RENEW;
	fake.refuse_reason = PE_REASON_subscribe_order;
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 1000, &refusal), PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(presence_watch_published_m(watch), 250);
	presence_close(client);
}

// An engine that says nothing is asked less and less.
static void silence(void)
{
	uint64_t passed;

	open_watch(NULL);
	fake.deaf = true;
	passed = poll_for(400);
	for (uint64_t end = now_ms() + 30000;
		presence_watch_status(watch).resumes < 2 && now_ms() < end;)
		passed += poll_for(100);
	CU_ASSERT(presence_watch_status(watch).silent_ms >= 350);
	CU_ASSERT_EQUAL(
		presence_watch_status(watch).unanswered, presence_watch_status(watch).resumes);
	// 20, 40, 80, 160 ms
	CU_ASSERT(presence_watch_status(watch).resumes >= 2 &&
		presence_watch_status(watch).resumes <= 5 + passed / 400);
	CU_ASSERT_EQUAL(seen_count, 0);
	fake.deaf = false;
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_watch_status(watch).unanswered, 0);
	fake.deaf = true;
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_TIMED_OUT);
	presence_close(client);
}

static void names(void)
{
	CU_ASSERT_STRING_EQUAL(presence_event_name(PRESENCE_ENTER), "ENTER");
	CU_ASSERT_STRING_EQUAL(presence_event_name(PRESENCE_ENDED), "ENDED");
	CU_ASSERT_STRING_EQUAL(presence_event_name(8), "?");
	CU_ASSERT_STRING_EQUAL(presence_told_cause_name(PRESENCE_ENTER, 0), "");
	CU_ASSERT_STRING_EQUAL(
		presence_told_cause_name(PRESENCE_LEAVE, PRESENCE_LEFT_GONE), "gone");
	CU_ASSERT_STRING_EQUAL(presence_told_cause_name(PRESENCE_LEAVE, 4), "?");
	CU_ASSERT_STRING_EQUAL(
		presence_told_cause_name(PRESENCE_ENDED, PRESENCE_END_ENGINE), "engine");
	CU_ASSERT_STRING_EQUAL(
		presence_told_cause_name(PRESENCE_ENDED, PRESENCE_END_UNKNOWN), "unknown");
	CU_ASSERT_STRING_EQUAL(presence_told_cause_name(PRESENCE_ENDED, 5), "?");
}

TESTING_MAIN("client-watch", {"fences in messages", opening},
	{"what cannot be said", cannot_be_said}, {"lost answers", lost_answers},
	{"late answers", late_answers}, {"a change in doubt", in_doubt}, {"removing", removing},
	{"refusals", refusals}, {"coarser than asked", coarser}, {"silence", silence},
	{"names", names})
