// Watches that outlive their engine: what is subscribed anew is what stood, and each life's row is
// handed on whole, behind a GAP. And events that are asked for one by one.
#include "watch_client.h"
#include "wire/encode.h"

static const struct presence_watch_options anew = {.resubscribe = true, .window = 64};

static void open_watch(const struct presence_watch_options *options, unsigned count)
{
	static struct presence_fence fences[200];

	for (unsigned i = 0; i < count; i++)
		fences[i] = (struct presence_fence){
			.id = 1 + i, .query = &sphere, .margin_m = (float)i};
	open_watch_of(options, fences, count);
}

static void tell(unsigned count)
{
	enter_many(1, count);
	fake_tell(&fake);
}

static void expect_gap(unsigned at)
{
	CU_ASSERT_EQUAL(seen[at].kind, PRESENCE_GAP);
	CU_ASSERT_EQUAL(seen[at].cause, PRESENCE_GAP_ANEW);
	CU_ASSERT_EQUAL(seen[at].sequence, 0);
}

// The fences' numbers in the messages since the engine was started, in order.
static unsigned told_fences(uint32_t *ids, float *margins)
{
	unsigned n = 0;
	uint32_t message = 0;

	for (unsigned i = 0; i < fake.log_count; i++) {
		const struct fake_request *r = &fake.log[i];
		struct pe_wire_view view;

		if (r->preamble.op != PE_SUBSCRIBE_OPEN && r->preamble.op != PE_SUBSCRIBE_ADD)
			continue;
		CU_ASSERT_EQUAL_FATAL(pe_wire_check(r->data, r->bytes, &view), PE_REASON_none);
		// A repetition.
		if (n && r->preamble.message == message)
			continue;
		message = r->preamble.message;
		for (unsigned j = 0; j < view.count; j++, n++) {
			struct pe_wire_fence f;

			pe_wire_get_fence(&view, j, &f);
			ids[n] = f.fence_id;
			margins[n] = f.margin_m;
		}
	}
	return n;
}

static void what_stood(void)
{
	struct presence_fence more = {.id = 500, .query = &sphere, .margin_m = 3};
	const uint32_t gone[] = {2, 40, 41, 100};
	uint32_t ids[256], epoch;
	float margins[256];
	unsigned n, next = 0;

	open_watch(&anew, 100);
	CU_ASSERT_EQUAL(presence_watch_remove(watch, gone, 4, NULL, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_watch_add(watch, &more, 1, NULL, NULL), PRESENCE_OK);
	tell(10);
	CU_ASSERT(poll_until(10));
	epoch = presence_watch_status(watch).epoch;
	for (unsigned life = 1; life < 4; life++) {
		fake_restart(&fake);
		CU_ASSERT(poll_until(11 * life));
		expect_gap(11 * life - 1);
		CU_ASSERT(presence_watch_status(watch).epoch > epoch);
		CU_ASSERT_EQUAL(presence_watch_status(watch).epoch, fake.open.epoch);
		CU_ASSERT_EQUAL(presence_watch_status(watch).anew, life);
		CU_ASSERT_EQUAL(fake.open.window, 64);
		epoch = fake.open.epoch;
		n = told_fences(ids, margins);
		CU_ASSERT_EQUAL(n, 97);
		CU_ASSERT_EQUAL(fake.fences, 97);
		next = 0;
		for (unsigned id = 1; id <= 100; id++) {
			if (id == 2 || id == 40 || id == 41 || id == 100)
				continue;
			CU_ASSERT_EQUAL(ids[next], id);
			CU_ASSERT_EQUAL(margins[next++], (float)(id - 1));
		}
		CU_ASSERT_EQUAL(ids[next], 500);
		tell(10);
		CU_ASSERT(poll_until(11 * life + 10));
		for (unsigned i = 0; i < 10; i++)
			CU_ASSERT_EQUAL(seen[11 * life + i].sequence, i + 1);
	}
	// It stands: it can be changed again, and is closed.
	CU_ASSERT_EQUAL(presence_watch_remove(watch, &more.id, 1, NULL, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.fences, 96);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.closes, 1);
	presence_close(client);
}

// A way that loses and overtakes, and engines that are started again whenever they like, also while
// a watch is being subscribed anew. Each life's events come in order, from 1, each once; the last
// life's all come.
static void any_way(void)
{
	uint64_t seed = 7, random = seed;
	unsigned lives = (unsigned)testing_amount(60);
	unsigned gaps = 0, at = 0;

	printf("seed %llu ", (unsigned long long)seed);
	open_watch(&anew, 60);
	fake.lose = 20;
	fake.repeat = 10;
	fake.late = 20;
	fake.random = seed;
	for (unsigned life = 0; life < lives; life++) {
		poll_for((unsigned)(testing_random(&random) % 60));
		if (fake.open.epoch) {
			tell((unsigned)(testing_random(&random) % 40));
			poll_for((unsigned)(testing_random(&random) % 20));
		}
		if (life + 1 < lives)
			fake_restart(&fake);
		if (testing_random(&random) % 4 == 0) {
			fake.deaf = true;
			poll_for(30);
			fake.deaf = false;
		}
		if (seen_count > SEEN_MAX / 2)
			break;
	}
	fake.lose = 0;
	for (uint64_t end = now_ms() + 30000; now_ms() < end;) {
		struct presence_watch_status s;

		presence_poll(client, &events, 64, 5);
		s = presence_watch_status(watch);
		if (!s.opening && s.epoch == fake.open.epoch && !fake.unknown &&
			s.next_sequence == fake.count + 1)
			break;
	}
	CU_ASSERT_EQUAL(fake.fences, 60);
	CU_ASSERT_EQUAL(presence_watch_status(watch).next_sequence, fake.count + 1);
	for (unsigned i = 0; i < seen_count; i++) {
		if (seen[i].kind == PRESENCE_GAP && seen[i].cause == PRESENCE_GAP_ANEW) {
			gaps++;
			at = 0;
			continue;
		}
		CU_ASSERT_EQUAL(seen[i].sequence, ++at);
	}
	CU_ASSERT_EQUAL(at, fake.count);
	CU_ASSERT(gaps >= 1); // as many as there was time to notice
	CU_ASSERT_EQUAL(fake.malformed, 0);
	printf("%u lives, %u gaps, %u events ", lives, gaps, seen_count);
	presence_close(client);
}

static void endings(void)
{
	static const struct {
		uint8_t cause;
		bool expire, resubscribe, again;
	} rows[] = {
		{PRESENCE_END_ENGINE, false, true, true},
		{PRESENCE_END_ENGINE, true, true, true},
		{PRESENCE_END_EXPIRED, false, true, true},
		{PRESENCE_END_EXPIRED, true, true, false},
		{PRESENCE_END_CLOSED, false, true, false},
		{PRESENCE_END_REPLACED, false, true, false},
		{PRESENCE_END_ENGINE, false, false, false},
		{PRESENCE_END_EXPIRED, false, false, false},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct presence_watch_options options = {
			.resubscribe = rows[i].resubscribe, .expire = rows[i].expire};

		open_watch(&options, 2);
		tell(2);
		fake_event(&fake, PE_EVENT_ENDED, rows[i].cause, 0, 0);
		fake_tell(&fake);
		fake.unknown = true;
		CU_ASSERT(poll_until(3));
		if (rows[i].again) {
			expect_gap(2);
			fake.count = fake.told = 0;
			CU_ASSERT_EQUAL(fake.fences, 2);
			tell(1);
			CU_ASSERT(poll_until(4));
			CU_ASSERT_EQUAL(seen[3].sequence, 1);
		} else {
			CU_ASSERT_EQUAL(seen[2].kind, PRESENCE_ENDED);
			CU_ASSERT_EQUAL(seen[2].cause, rows[i].cause);
			CU_ASSERT(presence_watch_status(watch).ended);
			poll_for(30);
			CU_ASSERT_EQUAL(seen_count, 3);
		}
		presence_close(client);
	}
}

static void refused_anew(void)
{
	// For want of room: again, until there is some.
	open_watch(&anew, 3);
	fake_restart(&fake);
	fake.refuse_op = PE_SUBSCRIBE_OPEN;
	fake.refuse_reason = PE_REASON_subscriptions_full;
	for (uint64_t end = now_ms() + 30000; fake.log_count < 4 && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	CU_ASSERT_EQUAL(seen_count, 1);
	CU_ASSERT(presence_watch_status(watch).opening);
	CU_ASSERT(fake.log_count >= 4 && fake.log_count < 12);
	fake.refuse_op = 0;
	CU_ASSERT(poll_until(1));
	CU_ASSERT_EQUAL(fake.fences, 3);
	// For good.
	fake_restart(&fake);
	fake.refuse_op = PE_SUBSCRIBE_OPEN;
	fake.refuse_reason = PE_REASON_space_unknown;
	for (uint64_t end = now_ms() + 30000; seen_count < 3 && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	CU_ASSERT_EQUAL_FATAL(seen_count, 3);
	expect_gap(1);
	CU_ASSERT_EQUAL(seen[2].kind, PRESENCE_ENDED);
	CU_ASSERT_EQUAL(seen[2].cause, PRESENCE_END_REFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(presence_error(client), "space_unknown"));
	CU_ASSERT(presence_watch_status(watch).ended);
	poll_for(50);
	CU_ASSERT_EQUAL(seen_count, 3);
	CU_ASSERT_STRING_EQUAL(
		presence_told_cause_name(PRESENCE_ENDED, PRESENCE_END_REFUSED), "refused");
	CU_ASSERT_STRING_EQUAL(presence_told_cause_name(PRESENCE_GAP, PRESENCE_GAP_ANEW), "anew");
	CU_ASSERT_STRING_EQUAL(presence_told_cause_name(PRESENCE_GAP, 0), "");
	presence_close(client);
}

// An engine that is away is asked for ever, and seldom; what a caller would change waits.
static void away(void)
{
	struct presence_fence more = {.id = 500, .query = &sphere};
	const uint32_t id = 1;
	uint64_t before, passed;

	open_watch(&anew, 3);
	fake_restart(&fake);
	for (uint64_t end = now_ms() + 30000; !seen_count && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	fake_restart(&fake);
	fake.deaf = true;
	before = presence_traffic(client).packets_sent;
	passed = poll_for(600);
	CU_ASSERT(presence_traffic(client).packets_sent - before <= 7 + passed / 600);
	CU_ASSERT_EQUAL(presence_watch_add(watch, &more, 1, NULL, NULL), PRESENCE_WOULD_BLOCK);
	CU_ASSERT_PTR_NOT_NULL(strstr(presence_error(client), "poll until its snapshot"));
	CU_ASSERT_EQUAL(presence_watch_remove(watch, &id, 1, NULL, NULL), PRESENCE_WOULD_BLOCK);
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_WOULD_BLOCK);
	fake.deaf = false;
	CU_ASSERT(poll_until(1));
	CU_ASSERT_EQUAL(fake.fences, 3);
	CU_ASSERT_EQUAL(presence_watch_add(watch, &more, 1, NULL, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.fences, 4);
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	presence_close(client);
}

static void one_by_one(void)
{
	struct presence_watch_event event;
	struct presence_watch *other;
	const struct presence_fence ninth = {.id = 9, .query = &sphere};
	uint64_t begin;

	open_watch(&anew, 1);
	CU_ASSERT_EQUAL(presence_watch_next(watch, &event, 0), 0);
	tell(40);
	for (unsigned i = 0; i < 40; i++) {
		CU_ASSERT_EQUAL_FATAL(presence_watch_next(watch, &event, 1000), 1);
		CU_ASSERT_EQUAL(event.sequence, i + 1);
	}
	begin = now_ms();
	CU_ASSERT_EQUAL(presence_watch_next(watch, &event, 0), 0);
	// Waits where there is nothing, but no longer than asked (the fake way's naps are short,
	// and end it).
	CU_ASSERT_EQUAL(presence_watch_next(watch, &event, 30), 0);
	CU_ASSERT(now_ms() - begin < 10000);
	// The next life.
	fake_restart(&fake);
	for (uint64_t end = now_ms() + 30000;
		!presence_watch_next(watch, &event, 50) && now_ms() < end;)
		;
	CU_ASSERT_EQUAL(event.kind, PRESENCE_GAP);
	CU_ASSERT_EQUAL(event.cause, PRESENCE_GAP_ANEW);
	for (uint64_t end = now_ms() + 30000;
		presence_watch_status(watch).opening && now_ms() < end;)
		CU_ASSERT_EQUAL(presence_watch_next(watch, &event, 5), 0);
	// Behind another watch, whose events wait, and which is none the worse for it.
	tell(3);
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, NULL, &ninth, 1, &other, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_watch_next(other, &event, 20), 0);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(presence_watch_next(watch, &event, 1000), 1);
	// The fake row is the other one's now. After the end nothing is waited for.
	fake.count = fake.told = 0;
	tell(1);
	fake_event(&fake, PE_EVENT_ENDED, PRESENCE_END_CLOSED, 0, 0);
	fake_tell(&fake);
	CU_ASSERT_EQUAL(presence_watch_next(other, &event, 1000), 1);
	CU_ASSERT_EQUAL(presence_watch_next(other, &event, 1000), 1);
	CU_ASSERT_EQUAL(event.kind, PRESENCE_ENDED);
	CU_ASSERT_EQUAL(presence_watch_next(other, &event, -1), 0);
	presence_close(client);
}

// A way that waits as long as it is told to, and counts how often it is asked.
static unsigned receives;

static int patient_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	int came = fake_transport.receive(context, messages, count, 0);

	receives++;
	if (!came && timeout_ms > 0) {
		for (uint64_t end = now_ms() + (unsigned)timeout_ms; now_ms() <= end;)
			nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
		came = fake_transport.receive(context, messages, count, 0);
	}
	return came;
}

// Who waits for one watch's events sleeps, also beside another one that was refused for good and
// has yet to say so.
static void beside_a_refused_one(void)
{
	struct presence_options options = {.timeout_ms = 20, .attempts = 4, .stream_id = 5};
	struct presence_transport patient = fake_transport;
	const struct presence_fence ninth = {.id = 9, .query = &sphere};
	struct presence_watch_event event;
	struct presence_watch *other;

	patient.receive = patient_receive;
	memset(&fake, 0, sizeof fake);
	fake.lease_ms = 3600000;
	seen_count = 0;
	CU_ASSERT_EQUAL_FATAL(presence_open_over(&patient, &fake, &options, &client), PRESENCE_OK);
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, &anew, &fence, 1, &watch, NULL), PRESENCE_OK);
	// The fake row is the other one's: the first is unknown.
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, NULL, &ninth, 1, &other, NULL), PRESENCE_OK);
	fake.refuse_op = PE_SUBSCRIBE_OPEN;
	fake.refuse_reason = PE_REASON_space_unknown;
	for (uint64_t end = now_ms() + 30000; !seen_count && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	expect_gap(0);
	CU_ASSERT_EQUAL(presence_watch_next(other, &event, 200), 0);
	receives = 0;
	CU_ASSERT_EQUAL(presence_watch_next(other, &event, 300), 0);
	CU_ASSERT(receives < 100);
	for (uint64_t end = now_ms() + 30000; seen_count < 2 && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	CU_ASSERT_EQUAL(seen[1].cause, PRESENCE_END_REFUSED);
	presence_close(client);
}

TESTING_MAIN("client-anew", {"what stood", what_stood}, {"any way", any_way}, {"endings", endings},
	{"refused anew", refused_anew}, {"away", away}, {"one by one", one_by_one},
	{"beside a refused one", beside_a_refused_one})
