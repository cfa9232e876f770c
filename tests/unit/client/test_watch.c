// Watches over a way that loses, repeats and overtakes, against an engine that refuses, forgets and is started again: what is handed
// on is the engine's row, in order, each event once.
#include "client/filter_text.h"
#include "client/watch.h"
#include "fake_row.h"
#include "testing.h"
#include "wire/encode.h"
#include "wire/extension.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEEN_MAX FAKE_ROW_MAX

static struct fake_row fake;
static struct presence_client *client;
static struct presence_watch *watch;

// What the callback was told, of any watch.
static struct presence_watch_event seen[SEEN_MAX];
static unsigned seen_count;

static void watched(
	void *context, struct presence_watch *of, const struct presence_watch_event *event)
{
	(void)context;
	(void)of;
	if (seen_count < SEEN_MAX)
		seen[seen_count++] = *event;
}

static const struct presence_events events = {.watched = watched};
static const struct presence_query sphere = {
	.volume = PRESENCE_SPHERE, .a = {1, 2, 3}, .radius_m = 9};
static const struct presence_fence fence = {.id = 7, .query = &sphere};

static void open_client(uint32_t timeout_ms, uint32_t attempts)
{
	struct presence_options options = {
		.timeout_ms = timeout_ms, .attempts = attempts, .stream_id = 5};

	memset(&fake, 0, sizeof fake);
	fake.lease_ms = 3600000;
	seen_count = 0;
	watch = NULL;
	CU_ASSERT_EQUAL_FATAL(
		presence_open_over(&fake_transport, &fake, &options, &client), PRESENCE_OK);
}

static void open_watch(const struct presence_watch_options *options)
{
	open_client(20, 4);
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, options, &fence, 1, &watch, NULL), PRESENCE_OK);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// Polls until so many events have been seen; false: 20 s have passed.
static bool poll_until(unsigned count)
{
	for (uint64_t end = now_ms() + 20000; now_ms() < end;) {
		presence_poll(client, &events, 64, 5);
		if (seen_count >= count)
			return true;
	}
	return false;
}

static void poll_for(unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;)
		presence_poll(client, &events, 64, 5);
}

// The row from `first` on, without a hole.
static void expect_row(unsigned at, uint64_t first, unsigned count)
{
	CU_ASSERT_EQUAL_FATAL(seen_count, at + count);
	for (unsigned i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(seen[at + i].sequence, first + i);
		CU_ASSERT_EQUAL(seen[at + i].kind, fake.row[first + i - 1].kind);
		CU_ASSERT_EQUAL(seen[at + i].time_ms, fake.row[first + i - 1].time_ms);
	}
}

static void enter_many(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fake_event(&fake, PE_EVENT_ENTER, 0, 7, i + 1);
}

// Fences of all kinds in as many messages as it takes; each is what an engine takes for sound, and says what was meant.
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
	open_client(20, 4);
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

	open_client(20, 2);
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
	open_client(20, 4);
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
	open_client(20, 3);
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
	// Of the second message: its third is the caller's tenth, and the first message's are given back.
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

static void in_order(void)
{
	open_watch(NULL);
	enter_many(40);
	fake_event(&fake, PE_EVENT_SNAPSHOT_END, 0, 0, 0);
	fake_event(&fake, PE_EVENT_LEAVE, PE_LEAVE_GONE, 7, 3);
	fake.row[0].flags = PE_EVENT_IN_SNAPSHOT;
	fake.row[1].flags = PE_EVENT_CORRECTED;
	fake_tell(&fake);
	CU_ASSERT(poll_until(42));
	expect_row(0, 1, 42);
	CU_ASSERT(seen[0].snapshot && !seen[0].corrected);
	CU_ASSERT(!seen[1].snapshot && seen[1].corrected);
	CU_ASSERT_EQUAL(seen[4].fence, 7);
	CU_ASSERT_EQUAL(seen[4].entity.id[8], 5);
	CU_ASSERT_EQUAL(seen[4].entity.position[0], 5);
	CU_ASSERT_EQUAL(seen[40].kind, PRESENCE_SNAPSHOT_END);
	CU_ASSERT_EQUAL(seen[41].cause, PRESENCE_LEFT_GONE);
	CU_ASSERT_EQUAL(fake.resumes, 0);
	// All of it again, in one heap: nothing is told twice.
	for (unsigned i = 0; i < 3; i++)
		fake_notice(&fake, 1 + 11 * i, 16);
	poll_for(30);
	CU_ASSERT_EQUAL(seen_count, 42);
	CU_ASSERT_EQUAL(presence_watch_status(watch).repeated, 48);
	CU_ASSERT_EQUAL(presence_traffic(client).unexpected, 0);
	presence_close(client);
}

static void overtaken(void)
{
	open_watch(NULL);
	enter_many(48);
	fake.told = 48;
	fake_notice(&fake, 33, 16);
	poll_for(5);
	CU_ASSERT_EQUAL(seen_count, 0);
	CU_ASSERT_EQUAL(presence_watch_status(watch).held, 16);
	CU_ASSERT_EQUAL(presence_watch_status(watch).missing_before, 49);
	// Over each other's edges.
	fake_notice(&fake, 10, 16);
	fake_notice(&fake, 1, 12);
	fake_notice(&fake, 20, 16);
	CU_ASSERT(poll_until(48));
	expect_row(0, 1, 48);
	CU_ASSERT_EQUAL(presence_watch_status(watch).held, 0);
	presence_close(client);
}

static void holes_are_asked_for(void)
{
	open_watch(NULL);
	enter_many(48);
	fake.told = 48;
	fake_notice(&fake, 1, 16);
	fake_notice(&fake, 33, 16);
	CU_ASSERT(poll_until(48));
	expect_row(0, 1, 48);
	CU_ASSERT(fake.resumes >= 1);
	// What is lost at the end is found by a look.
	enter_many(5);
	fake.told = 53;
	CU_ASSERT(poll_until(53));
	expect_row(0, 1, 53);
	presence_close(client);
}

// Further ahead than there is room for: left aside, and asked for when it is its turn.
static void beyond(void)
{
	open_watch(NULL);
	enter_many(PRESENCE_WATCH_HELD_MAX + 200);
	fake.told = fake.count;
	for (unsigned from = 2; from + 16 <= fake.count; from += 16)
		fake_notice(&fake, from, 16);
	poll_for(3);
	CU_ASSERT(presence_watch_status(watch).held < PRESENCE_WATCH_HELD_MAX);
	CU_ASSERT(presence_watch_status(watch).beyond > 100);
	CU_ASSERT(poll_until(fake.count));
	expect_row(0, 1, fake.count);
	presence_close(client);
}

static void gaps(void)
{
	open_watch(NULL);
	enter_many(30);
	fake.told = 30;
	fake_notice(&fake, 1, 5);
	fake_notice(&fake, 11, 10); // held, and then void
	CU_ASSERT(poll_until(5));
	fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
	fake_event(&fake, PE_EVENT_ENTER, 0, 7, 1);
	fake.told = 32;
	fake_notice(&fake, 31, 2);
	CU_ASSERT(poll_until(7));
	CU_ASSERT_EQUAL(seen[5].kind, PRESENCE_GAP);
	CU_ASSERT_EQUAL(seen[5].sequence, 31);
	CU_ASSERT_EQUAL(seen[6].sequence, 32);
	CU_ASSERT_EQUAL(presence_watch_status(watch).gaps, 1);
	CU_ASSERT_EQUAL(presence_watch_status(watch).held, 0);
	// What was before it comes late, and is nothing any more; so is the GAP itself.
	fake_notice(&fake, 6, 16);
	fake_notice(&fake, 22, 10);
	poll_for(30);
	CU_ASSERT_EQUAL(seen_count, 7);
	// One that is further ahead than there is room for.
	enter_many(PRESENCE_WATCH_HELD_MAX + 20);
	fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
	fake.told = fake.count;
	fake_notice(&fake, 40, 16);
	fake_notice(&fake, fake.count, 1);
	CU_ASSERT(poll_until(8));
	CU_ASSERT_EQUAL(seen[7].kind, PRESENCE_GAP);
	CU_ASSERT_EQUAL(seen[7].sequence, fake.count);
	// One that the engine makes since it kept too little.
	fake.retained = 4;
	enter_many(10);
	fake.told = fake.count;
	fake_event(&fake, PE_EVENT_ENTER, 0, 7, 99);
	fake_tell(&fake);
	CU_ASSERT(poll_until(9));
	CU_ASSERT_EQUAL(seen[8].kind, PRESENCE_GAP);
	presence_close(client);
}

static void endings(void)
{
	open_watch(NULL);
	enter_many(3);
	fake_event(&fake, PE_EVENT_LEAVE, PE_LEAVE_ENDED, 7, 1);
	fake_event(&fake, PE_EVENT_ENDED, PE_ENDED_EXPIRED, 0, 0);
	fake_tell(&fake);
	CU_ASSERT(poll_until(5));
	expect_row(0, 1, 5);
	CU_ASSERT_EQUAL(seen[4].cause, PRESENCE_END_EXPIRED);
	CU_ASSERT(presence_watch_status(watch).ended);
	// Nothing is asked any more.
	fake.log_count = 0;
	poll_for(100);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.log_count, 0);
	presence_close(client);

	// An engine that was started again.
	open_watch(NULL);
	enter_many(3);
	fake_tell(&fake);
	CU_ASSERT(poll_until(3));
	fake.unknown = true;
	CU_ASSERT(poll_until(4));
	CU_ASSERT_EQUAL(seen[3].kind, PRESENCE_ENDED);
	CU_ASSERT_EQUAL(seen[3].cause, PRESENCE_END_UNKNOWN);
	CU_ASSERT_EQUAL(seen[3].sequence, 0);
	poll_for(20);
	CU_ASSERT_EQUAL(seen_count, 4);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	presence_close(client);

	// What was before the end is lost, and the engine has forgotten all: the end is told all the same.
	open_watch(NULL);
	enter_many(3);
	fake_event(&fake, PE_EVENT_ENDED, PE_ENDED_REPLACED, 0, 0);
	fake.told = 4;
	fake_notice(&fake, 1, 1);
	fake_notice(&fake, 4, 1);
	fake.unknown = true;
	CU_ASSERT(poll_until(2));
	CU_ASSERT_EQUAL(seen_count, 2);
	CU_ASSERT_EQUAL(seen[1].kind, PRESENCE_ENDED);
	CU_ASSERT_EQUAL(seen[1].cause, PRESENCE_END_REPLACED);
	presence_close(client);
}

// What comes while another call waits is for the next poll.
static void kept_meanwhile(void)
{
	uint64_t us;

	open_watch(NULL);
	enter_many(20);
	fake_tell(&fake);
	CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_TIMED_OUT); // the fake knows no pings
	CU_ASSERT_EQUAL(seen_count, 0);
	presence_poll(client, &events, 64, 1000);
	expect_row(0, 1, 20);
	// Without a callback they are gone, and counted.
	enter_many(1);
	fake_tell(&fake);
	presence_poll(client, &(struct presence_events){0}, 64, 100);
	CU_ASSERT_EQUAL(presence_watch_status(watch).next_sequence, 22);
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

static void window_and_lease(void)
{
	open_watch(&(struct presence_watch_options){.window = 8});
	enter_many(8);
	fake_tell(&fake);
	CU_ASSERT(poll_until(8));
	CU_ASSERT_EQUAL(fake.acknowledged, 9);
	// It is lost: asking again tells as much.
	enter_many(8);
	fake_tell(&fake);
	fake.lose = 100;
	CU_ASSERT(poll_until(16));
	fake.lose = 0;
	for (uint64_t end = now_ms() + 20000; fake.acknowledged < 17 && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	CU_ASSERT_EQUAL(fake.acknowledged, 17);
	presence_close(client);

	open_client(20, 4);
	fake.lease_ms = 100;
	CU_ASSERT_EQUAL(
		presence_watch_open(client, NULL, NULL, &fence, 1, &watch, NULL), PRESENCE_OK);
	CU_ASSERT(presence_watch_status(watch).lease_left_ms <= 100);
	poll_for(300);
	CU_ASSERT(fake.renews >= 2 && fake.renews <= 12);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	fake.unknown = false;
	fake.renews = 0;
	CU_ASSERT_EQUAL(
		presence_watch_open(client, NULL, &(struct presence_watch_options){.expire = true},
			&fence, 1, &watch, NULL),
		PRESENCE_OK);
	poll_for(150);
	CU_ASSERT_EQUAL(fake.renews, 0);
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.renews, 1);
	presence_close(client);
}

// An engine that says nothing is asked less and less.
static void silence(void)
{
	open_watch(NULL);
	fake.deaf = true;
	poll_for(400);
	CU_ASSERT(presence_watch_status(watch).silent_ms >= 350);
	CU_ASSERT_EQUAL(
		presence_watch_status(watch).unanswered, presence_watch_status(watch).resumes);
	// 20, 40, 80, 160 ms
	CU_ASSERT(presence_watch_status(watch).resumes >= 2 &&
		presence_watch_status(watch).resumes <= 6);
	CU_ASSERT_EQUAL(seen_count, 0);
	fake.deaf = false;
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_watch_status(watch).unanswered, 0);
	fake.deaf = true;
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_TIMED_OUT);
	presence_close(client);
}

// Messages for nobody, and numbers at the end of the world.
static void strangers(void)
{
	struct pe_wire_header header;
	struct pe_wire_notice notice;
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	open_watch(NULL);
	enter_many(16);
	for (unsigned i = 0; i < 4; i++) {
		header = pe_wire_reply_header(&fake.header, 1, 1);
		notice = (struct pe_wire_notice){.subscription_id = fake.open.subscription_id,
			.epoch = fake.open.epoch,
			.first_sequence = 1};
		header.stream_id += i == 0;
		notice.epoch -= i == 1;
		notice.subscription_id += i == 2;
		if (i == 3)
			notice.first_sequence = UINT64_MAX - 16;
		bytes = pe_wire_put_notice(data, sizeof data, &header, &notice, fake.row, 16);
		fake_send(&fake, data, bytes);
	}
	presence_poll(client, &events, 64, 0);
	CU_ASSERT_EQUAL(seen_count, 0);
	CU_ASSERT_EQUAL(presence_traffic(client).unexpected, 3);
	CU_ASSERT_EQUAL(presence_watch_status(watch).beyond, 16);
	// Cut, stretched, and with every byte altered in turn: nothing but whole events is handed on.
	notice.first_sequence = 1;
	bytes = pe_wire_put_notice(data, sizeof data, &header, &notice, fake.row, 2);
	for (unsigned cut = 0; cut < bytes; cut += 3)
		fake_send(&fake, data, cut);
	fake_send(&fake, data, bytes + 8);
	for (unsigned at = 0; at < bytes; at++) {
		data[at] ^= 0x80;
		fake_send(&fake, data, bytes);
		data[at] ^= 0x80;
	}
	for (unsigned i = 0; i < 20; i++)
		presence_poll(client, &events, 64, 0);
	CU_ASSERT(presence_traffic(client).malformed > bytes / 3 + 50);
	for (unsigned i = 0; i < seen_count; i++)
		CU_ASSERT(seen[i].kind >= PRESENCE_ENTER && seen[i].kind <= PRESENCE_ENDED);
	presence_close(client);
}

// Seeded rows over a bad way: all of it is handed on once and in order, but for what lies before a GAP.
static void any_way(void)
{
	uint64_t seed = getenv("PE_SEED") ? strtoull(getenv("PE_SEED"), NULL, 0) : 1,
		 rounds = testing_amount(40), total = 0, gaps_seen = 0, resumes = 0;

	for (uint64_t round = 0; round < rounds; round++) {
		uint64_t random = seed * 1000003 + round, next = 1;
		unsigned events_total = 200 + (unsigned)(testing_random(&random) % 3000);

		open_client(5, 16);
		fake.random = random;
		fake.lose = (unsigned)(testing_random(&random) % 40);
		fake.repeat = (unsigned)(testing_random(&random) % 40);
		fake.late = (unsigned)(testing_random(&random) % 60);
		fake.notice_max = 1 + (unsigned)(testing_random(&random) % 16);
		fake.retained = testing_random(&random) % 3 == 0 ?
			64 + (unsigned)(testing_random(&random) % 512) :
			0;
		if (presence_watch_open(client, NULL,
			    &(struct presence_watch_options){
				    .window = (uint16_t)(testing_random(&random) % 2)},
			    &fence, 1, &watch, NULL) != PRESENCE_OK) {
			presence_close(client); // all attempts were lost
			continue;
		}
		for (uint64_t end = now_ms() + 60000; now_ms() < end;) {
			if (fake.count < events_total) {
				unsigned n = 1 + (unsigned)(testing_random(&random) % 40);

				enter_many(n);
				if (testing_random(&random) % 50 == 0)
					fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
				fake_tell(&fake);
			} else if (presence_watch_status(watch).next_sequence > fake.count) {
				break;
			}
			presence_poll(client, &events, 64, 2);
		}
		for (unsigned i = 0; i < seen_count; i++) {
			const struct presence_watch_event *e = &seen[i];

			if (e->sequence != next && e->kind != PRESENCE_GAP) {
				fprintf(stderr, "seed %llu round %llu: %llu instead of %llu\n",
					(unsigned long long)seed, (unsigned long long)round,
					(unsigned long long)e->sequence, (unsigned long long)next);
				CU_FAIL_FATAL("a row with a hole");
			}
			CU_ASSERT_FATAL(e->sequence >= next && e->sequence <= fake.count);
			CU_ASSERT_FATAL(e->kind == fake.row[e->sequence - 1].kind &&
				e->time_ms == fake.row[e->sequence - 1].time_ms);
			gaps_seen += e->kind == PRESENCE_GAP;
			next = e->sequence + 1;
		}
		CU_ASSERT_EQUAL(next, fake.count + 1);
		total += seen_count;
		resumes += presence_watch_status(watch).resumes;
		presence_close(client);
	}
	printf("seed %llu: %llu events, %llu gaps, %llu resumes ", (unsigned long long)seed,
		(unsigned long long)total, (unsigned long long)gaps_seen,
		(unsigned long long)resumes);
	CU_ASSERT(total > rounds * 100 && gaps_seen > 0 && resumes > rounds);
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

static uint8_t got[64][PRESENCE_PAYLOAD_MAX];

static void payload_watched(
	void *context, struct presence_watch *of, const struct presence_watch_event *event)
{
	if (event->kind == PRESENCE_PAYLOAD && seen_count < 64 && event->payload_bytes)
		memcpy(got[seen_count], event->payload, event->payload_bytes);
	watched(context, of, event);
}

// A piece of the payload of that entity, whose bytes are the entity's number and their places.
static void piece(unsigned entity, unsigned number, unsigned bytes, uint64_t time_ms)
{
	struct pe_wire_event *e = &fake.row[fake.count];
	unsigned from = number * PE_PIECE_BYTES;
	struct pe_wire_piece p;

	fake_event(&fake, PE_EVENT_PAYLOAD, (uint8_t)number, 7, entity);
	e->flags = (uint16_t)bytes;
	e->time_ms = time_ms;
	memcpy(&p, &e->result, sizeof p);
	for (unsigned i = 0; i < PE_PIECE_BYTES && from + i < bytes; i++)
		p.bytes[i] = (uint8_t)(entity + (from + i) * 3);
	memcpy(&e->result, &p, sizeof p);
}

static void whole(unsigned entity, unsigned bytes, uint64_t time_ms)
{
	for (unsigned i = 0; i < pe_wire_pieces(bytes); i++)
		piece(entity, i, bytes, time_ms);
}

static void expect_payload(unsigned at, unsigned entity, unsigned bytes, uint64_t time_ms)
{
	CU_ASSERT_FATAL(at < seen_count);
	CU_ASSERT_EQUAL(seen[at].kind, PRESENCE_PAYLOAD);
	CU_ASSERT_EQUAL(seen[at].cause, 0);
	CU_ASSERT(!seen[at].snapshot && !seen[at].corrected);
	CU_ASSERT_EQUAL(seen[at].fence, 7);
	CU_ASSERT_EQUAL(seen[at].time_ms, time_ms);
	CU_ASSERT_EQUAL(seen[at].payload_bytes, bytes);
	CU_ASSERT_EQUAL(memcmp(seen[at].entity.id + 8, &entity, sizeof entity), 0);
	for (unsigned i = 0; i < bytes; i++)
		CU_ASSERT_EQUAL(got[at][i], (uint8_t)(entity + i * 3));
}

// Pieces of all lengths, in turns with others' and over a way that loses, become one event each; what is not whole is none.
static void payloads(void)
{
	static const unsigned lengths[] = {0, 1, 47, 48, 49, 96, 97, 511, 512};
	const struct presence_events with = {.watched = payload_watched};
	unsigned count = sizeof lengths / sizeof lengths[0];

	open_watch(&(struct presence_watch_options){.payloads = true});
	CU_ASSERT_EQUAL(fake.open.flags, PE_SUBSCRIBE_PAYLOADS);
	fake.lose = fake.late = fake.repeat = 20;
	fake.random = 7;
	fake.notice_max = 2;
	for (unsigned i = 0; i < count; i++)
		whole(1 + i, lengths[i], 100 + i);
	piece(50, 0, 97, 200);
	piece(51, 0, 97, 200);
	piece(50, 1, 97, 200);
	piece(51, 1, 97, 200);
	piece(50, 2, 97, 200);
	piece(51, 2, 97, 200);
	piece(60, 1, 97, 300); // without its first
	piece(61, 0, 97, 300);
	piece(61, 2, 97, 300); // a hole
	piece(62, 0, 97, 300);
	piece(62, 1, 97, 301); // of another one
	piece(63, 0, 97, 300);
	piece(63, 1, 96, 300); // of another length
	piece(64, 0, 97, 300);
	whole(64, 97, 302);    // it begins anew
	piece(65, 0, 97, 300); // void with the GAP
	fake_event(&fake, PE_EVENT_SNAPSHOT_END, 0, 0, 0);
	fake_tell(&fake);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && seen_count < count + 4;)
		presence_poll(client, &with, 64, 5);
	fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
	piece(65, 1, 97, 300);
	piece(65, 2, 97, 300);
	whole(66, 5, 303);
	fake_tell(&fake);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && seen_count < count + 6;)
		presence_poll(client, &with, 64, 5);
	CU_ASSERT_EQUAL_FATAL(seen_count, count + 6);
	for (unsigned i = 0; i < count; i++)
		expect_payload(i, 1 + i, lengths[i], 100 + i);
	expect_payload(count, 50, 97, 200);
	expect_payload(count + 1, 51, 97, 200);
	expect_payload(count + 2, 64, 97, 302);
	CU_ASSERT_EQUAL(seen[count + 4].kind, PRESENCE_GAP);
	CU_ASSERT_PTR_NULL(seen[count + 4].payload);
	expect_payload(count + 5, 66, 5, 303);
	CU_ASSERT_EQUAL(presence_watch_status(watch).events, count + 6);
	CU_ASSERT(presence_watch_status(watch).halves == 8);
	presence_close(client);
}

// More that are half than there is room for: the oldest make room, and the newest become whole.
static void too_many_halves(void)
{
	const struct presence_events with = {.watched = payload_watched};

	open_watch(&(struct presence_watch_options){.payloads = true});
	for (unsigned i = 0; i < 40; i++)
		piece(1 + i, 0, 49, 100);
	for (unsigned i = 0; i < 40; i++)
		piece(1 + i, 1, 49, 100);
	fake_event(&fake, PE_EVENT_SNAPSHOT_END, 0, 0, 0);
	fake_tell(&fake);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && seen_count < 33;)
		presence_poll(client, &with, 64, 5);
	CU_ASSERT_EQUAL_FATAL(seen_count, 33);
	for (unsigned i = 0; i < 32; i++)
		expect_payload(i, 9 + i, 49, 100);
	CU_ASSERT_EQUAL(presence_watch_status(watch).halves, 16);
	presence_close(client);
}

TESTING_MAIN("client-watch", {"fences in messages", opening},
	{"what cannot be said", cannot_be_said}, {"lost answers", lost_answers},
	{"late answers", late_answers}, {"a change in doubt", in_doubt}, {"removing", removing},
	{"refusals", refusals}, {"in order, once", in_order}, {"overtaken", overtaken},
	{"holes are asked for", holes_are_asked_for}, {"too far ahead", beyond}, {"gaps", gaps},
	{"endings", endings}, {"kept meanwhile", kept_meanwhile},
	{"window and lease", window_and_lease}, {"silence", silence}, {"strangers", strangers},
	{"coarser than asked", coarser}, {"any way", any_way}, {"names", names},
	{"payloads", payloads}, {"too many halves", too_many_halves})
