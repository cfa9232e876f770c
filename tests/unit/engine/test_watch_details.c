// Standing queries of what entities say beside their state, and of what the clock alone changes:
// filters by tags and metadata, STALE, RECURRING entities that open and close.
#include "detailed.h"
#include "testing_standing.h"
#include "wire/extension.h"
#include "wire/filter.h"

static struct detailed d;
static uint8_t extension[PE_WIRE_BYTES_MAX];

static void start(unsigned workers)
{
	struct pe_engine_config c = harness_config();

	c.worker_count = workers;
	c.details_bytes = 1 << 20;
	c.fence_count_max = 16;
	c.member_count_max = 64;
	c.subscription_count_max = 8;
	start_with(&c);
}

static void run(unsigned turns)
{
	watching_run(&s, turns);
}

static void advance(uint64_t ms)
{
	h.now.mono_ms += ms;
	h.now.wall_ms += ms;
	run(2);
}

static void send(unsigned worker)
{
	(void)harness_queue_detailed(
		&h, 0, HARNESS_INCARNATION, d.bytes, pe_wire_detailed_next(d.bytes), 1, false);
	harness_turn_worker(&h, worker);
	watching_take(&s);
	run(3);
}

static void begin(uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	detailed_begin(&d, &u);
}

static void begin_recurring(uint64_t n, uint32_t sequence, uint32_t ttl_ms)
{
	struct pe_wire_update u = harness_update(n, sequence, 10, 0, 0);

	u.entity_type = PE_ENTITY_RECURRING;
	u.ttl_ms = ttl_ms;
	detailed_begin(&d, &u);
}

static void open_with(const struct pe_filter_writer *w, uint32_t enter_ms)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	uint8_t program[PE_FILTER_BYTES_MAX];
	struct pe_filter_error error;
	uint32_t bytes = 0;

	f.enter_ms = enter_ms;
	if (w) {
		bytes = pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_FILTER, program,
			pe_filter_finish(w, program, &error));
		f.query.flags = PE_QUERY_HAS_EXTENSION;
		f.query.extension_bytes = (uint16_t)bytes;
	}
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, extension, bytes);
	run(6);
	CU_ASSERT(s.done.code == 0 && s.whole);
	watching_clear(&s);
}

// The events that came since, and nothing else.
#define ASSERT_TOLD(kind_, cause_, n) \
	do { \
		CU_ASSERT_EQUAL(s.count, 1); \
		CU_ASSERT(s.count == 1 && s.events[0].kind == (kind_) && \
			s.events[0].cause == (cause_) && \
			harness_id_number(s.events[0].result.entity_id) == (n)); \
		watching_clear(&s); \
	} while (0)
#define ASSERT_SILENT() CU_ASSERT_EQUAL(s.count, 0)

static void tags(void)
{
	struct pe_filter_writer w;

	start(1);
	pe_filter_begin(&w);
	pe_filter_put_text(&w, PE_FILTER_TAG, (const uint8_t *)"ferry", 5);
	begin(1, 1, 10);
	detailed_context(&d, NULL, "ferry");
	send(0);
	open_with(&w, 0);
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	begin(2, 1, 20);
	detailed_context(&d, NULL, "cargo");
	send(0);
	ASSERT_SILENT();
	begin(2, 2, 20);
	detailed_context(&d, NULL, "cargo ferry");
	send(0);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 2);
	// A move leaves them as they are.
	begin(2, 3, 30);
	send(0);
	ASSERT_TOLD(PE_EVENT_MOVE, 0, 2);
	begin(2, 4, 30);
	detailed_put(&d, PE_DETAILS_CONTEXT, "", 0);
	send(0);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_MOVED, 2);
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	stop();
}

static void metadata(void)
{
	struct pe_filter_writer w;

	start(1);
	pe_filter_begin(&w);
	pe_filter_put_text(&w, PE_FILTER_META_EXISTS, (const uint8_t *)"load", 4);
	open_with(&w, 0);
	begin(1, 1, 10);
	detailed_number(&d, "speed", 5);
	send(0);
	ASSERT_SILENT();
	begin(1, 2, 10);
	detailed_number(&d, "load", 7);
	send(0);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	begin(1, 3, 10);
	detailed_number(&d, "load", 8);
	send(0);
	ASSERT_SILENT();
	begin(1, 4, 10);
	detailed_remove(&d, "load");
	send(0);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_MOVED, 1);
	stop();
}

static void put_announced(unsigned worker, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(1, sequence, x, 0, 0);

	u.update_frequency = 60; // stale after 3 s
	u.ttl_ms = 60000;
	(void)harness_queue_updates(&h, 0, HARNESS_INCARNATION, &u, 1, false);
	harness_turn_worker(&h, worker);
	watching_take(&s);
	run(3);
}

// A fence of what is not stale is left when the announced updates have not come, to the
// millisecond, and entered with the next one.
static void stale_on(unsigned workers)
{
	struct pe_filter_writer w;

	start(workers);
	pe_filter_begin(&w);
	pe_filter_put(&w, PE_FILTER_STALE, 0, 0);
	pe_filter_put(&w, PE_FILTER_NOT, 0, 0);
	put_announced(workers - 1, 1, 10); // before there is a fence
	open_with(&w, 0);
	CU_ASSERT_TRUE(watching_is_member(&s, 5, 1));
	advance(2000);
	put_announced(workers - 1, 2, 10);
	advance(2999);
	ASSERT_SILENT();
	advance(1);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_MOVED, 1);
	put_announced(workers - 1, 3, 10);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	CU_ASSERT_EQUAL(s.events[0].result.state & PE_RESULT_STALE, 0);
	// And its end is the ttl's.
	advance(3000);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_MOVED, 1);
	advance(57000);
	ASSERT_SILENT();
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 1);
	stop();
}

static void stale(void)
{
	stale_on(1);
	stale_on(2);
}

// What is stale says so in what is told of it.
static void stale_is_told(void)
{
	struct pe_filter_writer w;

	start(1);
	pe_filter_begin(&w);
	pe_filter_put(&w, PE_FILTER_STALE, 0, 0);
	open_with(&w, 0);
	put_announced(0, 1, 10);
	ASSERT_SILENT();
	advance(3000);
	CU_ASSERT(s.count == 1 && s.events[0].result.state == (PE_STATE_ACTIVE | PE_RESULT_STALE));
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	put_announced(0, 2, 10);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_MOVED, 1);
	stop();
}

// Opens and closes by the clock, to the millisecond, without an update, for as long as it lives.
static void recurring_on(unsigned workers)
{
	start(workers);
	open_with(NULL, 0);
	begin_recurring(1, 1, 60000);
	detailed_schedule(&d, h.now.wall_ms + 1000, 5000, 2000);
	send(workers - 1);
	ASSERT_SILENT();
	advance(999);
	ASSERT_SILENT();
	for (unsigned i = 0; i < 11; i++) {
		advance(1);
		ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
		advance(1999);
		ASSERT_SILENT();
		advance(1);
		ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_GONE, 1);
		advance(2999);
		ASSERT_SILENT();
	}
	// Another schedule: it is closed from now on, and opens once more before its end.
	begin_recurring(1, 2, 3000);
	detailed_schedule(&d, h.now.wall_ms + 2000, 100000, 90000);
	send(workers - 1);
	ASSERT_SILENT();
	advance(1999);
	ASSERT_SILENT();
	advance(1);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	advance(999);
	ASSERT_SILENT();
	advance(1);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_GONE, 1);
	stop();
}

static void recurring(void)
{
	recurring_on(1);
	recurring_on(2);
}

// Who is closed is nobody's to know of, nor to follow: a fence about him is nowhere until he opens.
static void follow_on(unsigned workers)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	start(workers);
	begin(2, 1, 20);
	send(0);
	begin_recurring(1, 1, 60000);
	detailed_schedule(&d, h.now.wall_ms + 1000, 5000, 2000);
	send(workers - 1);
	f.flags = PE_FENCE_FOLLOW;
	harness_id(f.follow_id, 1);
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(6);
	CU_ASSERT(s.done.code == 0 && s.whole);
	watching_clear(&s);
	for (unsigned i = 0; i < 9; i++)
		advance(100);
	ASSERT_SILENT();
	for (unsigned i = 0; i < 3; i++)
		advance(100);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 2);
	for (unsigned i = 0; i < 17; i++)
		advance(100);
	ASSERT_SILENT();
	for (unsigned i = 0; i < 3; i++)
		advance(100);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_MOVED, 2);
	stop();
}

static void recurring_followed(void)
{
	follow_on(1);
	follow_on(2);
}

static void recurring_later_fence(void)
{
	start(1);
	begin_recurring(1, 1, 60000);
	detailed_schedule(&d, h.now.wall_ms + 1000, 5000, 2000);
	send(0);
	advance(500);
	// The fence comes after it, and it has to be inside for 700 ms.
	open_with(NULL, 700);
	advance(500);
	advance(699);
	ASSERT_SILENT();
	advance(1);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	advance(1299);
	ASSERT_SILENT();
	advance(1);
	ASSERT_TOLD(PE_EVENT_LEAVE, PE_LEAVE_GONE, 1);
	// Closed again before it was in for long enough.
	begin_recurring(1, 2, 60000);
	detailed_schedule(&d, h.now.wall_ms, 5000, 600);
	send(0);
	advance(4000);
	ASSERT_SILENT();
	// No longer recurring: it is there.
	begin(1, 3, 10);
	detailed_put(&d, PE_DETAILS_SCHEDULE, "", 0);
	send(0);
	advance(700);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	advance(10000);
	ASSERT_SILENT();
	stop();
}

// One that opens and closes all the time is looked at a few times a second, however often that is.
static void recurring_fast(void)
{
	unsigned enters = 0;

	start(1);
	open_with(NULL, 0);
	begin_recurring(1, 1, 60000);
	detailed_schedule(&d, h.now.wall_ms, 2, 1);
	send(0);
	for (unsigned i = 0; i < 1000; i++)
		advance(1);
	for (unsigned i = 0; i < s.count; i++)
		enters += s.events[i].kind == PE_EVENT_ENTER;
	CU_ASSERT(enters >= 1 && enters <= 5);
	stop();
}

// The wall clock is put forward: it is noticed within a minute.
static void recurring_clock_steps(void)
{
	start(1);
	open_with(NULL, 0);
	begin_recurring(1, 1, 3600000);
	detailed_schedule(&d, h.now.wall_ms + 1800000, 86400000, 3600000);
	send(0);
	advance(1000);
	ASSERT_SILENT();
	h.now.wall_ms += 1800000;
	advance(60000);
	ASSERT_TOLD(PE_EVENT_ENTER, 0, 1);
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"tags", tags},
		{"metadata", metadata},
		{"stale", stale},
		{"stale is told", stale_is_told},
		{"recurring", recurring},
		{"recurring: followed", recurring_followed},
		{"recurring: a later fence", recurring_later_fence},
		{"recurring: fast", recurring_fast},
		{"recurring: the clock steps", recurring_clock_steps},
	};

	return testing_main(
		"engine: standing queries and details", cases, sizeof cases / sizeof cases[0]);
}
