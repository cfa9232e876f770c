// Budgets of entities and subscriptions, who gives way in a full table, what load changes, and
// messages that are refused before a turn.
#include "testing_engine.h"
#include "watching.h"

static struct pe_engine_config config_of(uint32_t entities)
{
	struct pe_engine_config c = harness_config();

	c.entity_count_max = entities;
	c.tombstone_ms = 2000;
	return c;
}

static struct pe_wire_ack_record put(uint64_t n, uint32_t sequence, uint32_t ttl_ms)
{
	struct pe_wire_update u = harness_update(n, sequence, (double)n, 0, 0);

	u.ttl_ms = ttl_ms;
	return send(&u);
}

static void from(uint32_t principal, uint8_t network, bool untrusted)
{
	h.principal = principal;
	h.network = network;
	h.untrusted = untrusted;
}

// Whoever is not trusted gets no acknowledgement that is longer than the request, but one of a
// record is not.
static void assert_refused(struct pe_wire_ack_record a, enum pe_reason reason)
{
	CU_ASSERT_EQUAL(a.status, PE_ACK_REFUSED);
	CU_ASSERT_EQUAL(a.reason, reason);
}

static void a_budget_each(void)
{
	struct pe_engine_config c = config_of(1000);

	c.principal_entity_max = 5;
	c.network_entity_max = 3;
	start_with(&c);
	for (unsigned who = 1; who <= 3; who++) {
		from(who, 0, who == 2);
		for (uint64_t n = 1; n <= 5; n++)
			ASSERT_STATUS(put(100 * who + n, 1, 0), PE_ACK_APPLIED);
		assert_refused(put(100 * who + 6, 1, 0), PE_REASON_entity_budget);
		// What is known goes on.
		ASSERT_STATUS(put(100 * who + 5, 2, 0), PE_ACK_APPLIED);
	}
	// Sources that nobody knows, by network.
	for (uint8_t network = 1; network <= 2; network++) {
		from(0, network, true);
		for (uint64_t n = 1; n <= 3; n++)
			ASSERT_STATUS(put(1000u * network + n, 1, 0), PE_ACK_APPLIED);
		assert_refused(put(1000u * network + 4, 1, 0), PE_REASON_entity_budget);
	}
	// Trusted by configuration, and nobody in particular: no budget.
	from(0, 0, false);
	for (uint64_t n = 1; n <= 100; n++)
		ASSERT_STATUS(put(5000 + n, 1, 0), PE_ACK_APPLIED);
	// Another's update of an entity costs the other nothing.
	ASSERT_STATUS(put(101, 9, 0), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, entity_budget), 5);
	stop();
}

// A place is free again when nothing is remembered of its entity any more.
static void places_come_back(void)
{
	struct pe_engine_config c = config_of(1000);

	c.principal_entity_max = 4;
	start_with(&c);
	from(9, 0, false);
	for (unsigned round = 0; round < 20; round++) {
		for (uint64_t n = 1; n <= 4; n++)
			ASSERT_STATUS(put(100 * round + n, 1, 1000), PE_ACK_APPLIED);
		assert_refused(put(100 * round + 5, 1, 1000), PE_REASON_entity_budget);
		if (round % 2)
			ASSERT_STATUS(withdraw(100 * round + 1, 2), PE_ACK_APPLIED);
		harness_advance(&h, 1001);
		assert_refused(put(100 * round + 5, 1, 1000), PE_REASON_entity_budget);
		harness_advance(&h, 2001);
		harness_settle(&h);
		harness_advance(&h, 5);
		harness_settle(&h);
		harness_advance(&h, 5);
		harness_settle(&h);
	}
	stop();
}

static void let_pass(void)
{
	for (unsigned i = 0; i < 4; i++) {
		harness_advance(&h, 1);
		harness_control(&h);
	}
}

// A table of 200 under a stream of 2,000: each new one is taken, and of the newest none has gone.
static void least_recently_seen(void)
{
	struct pe_engine_config c = config_of(200);
	unsigned newest = 0, oldest = 0;

	c.when_full = PE_FULL_LEAST_RECENT;
	start_with(&c);
	for (uint64_t n = 1; n <= 2000; n++) {
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
		let_pass();
	}
	CU_ASSERT(HARNESS_COUNTER(&h, evicted) >= 1800);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, table_full), 0);
	CU_ASSERT(
		pe_engine_entity_count(h.engine) >= 180 && pe_engine_entity_count(h.engine) <= 200);
	for (uint64_t n = 1951; n <= 2000; n++)
		newest += sees(n, NULL);
	for (uint64_t n = 1; n <= 1500; n++)
		oldest += sees(n, NULL);
	CU_ASSERT_EQUAL(newest, 50);
	CU_ASSERT_EQUAL(oldest, 0);
	// Who is kept fresh stays.
	for (uint64_t n = 3001; n <= 3600; n++) {
		ASSERT_STATUS(put(2000, (uint32_t)n, 1000000), PE_ACK_APPLIED);
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
		let_pass();
	}
	CU_ASSERT_EQUAL(sees(2000, NULL), 1);
	stop();
}

// What is gone already, and only remembered, gives way before anyone who is there.
static void gone_first(void)
{
	struct pe_engine_config c = config_of(200);

	c.when_full = PE_FULL_LEAST_RECENT;
	c.tombstone_ms = 3600000;
	start_with(&c);
	for (uint64_t n = 1; n <= 200; n++)
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
	CU_ASSERT(HARNESS_COUNTER(&h, evicted) > 0); // the reserve was made up
	let_pass();
	for (uint64_t n = 101; n <= 180; n++)
		if (sees(n, NULL))
			ASSERT_STATUS(withdraw(n, 2), PE_ACK_APPLIED);
	uint64_t evicted = HARNESS_COUNTER(&h, evicted);
	for (uint64_t n = 1001; n <= 1050; n++) {
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
		let_pass();
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, evicted), evicted);
	stop();
}

static void lowest_priority(void)
{
	struct pe_engine_config c = config_of(200);
	unsigned strangers = 0, ours = 0, statics = 0, away = 0;

	c.when_full = PE_FULL_LOWEST_PRIORITY;
	start_with(&c);
	// Ours are older: by time alone they would go.
	for (uint64_t n = 1; n <= 40; n++)
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	from(0, 7, true);
	for (uint64_t n = 101; n <= 240; n++) {
		(void)put(n, 1, 1000000);
		let_pass();
	}
	from(0, 0, false);
	for (uint64_t n = 301; n <= 360; n++) {
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
		let_pass();
	}
	for (uint64_t n = 1; n <= 40; n++)
		ours += sees(n, NULL);
	for (uint64_t n = 301; n <= 360; n++)
		ours += sees(n, NULL);
	for (uint64_t n = 101; n <= 240; n++)
		strangers += sees(n, NULL);
	CU_ASSERT_EQUAL(ours, 100);
	CU_ASSERT(strangers < 100);
	stop();

	// Among those of one kind of source: what they say of themselves.
	start_with(&c);
	for (uint64_t n = 1; n <= 150; n++) {
		struct pe_wire_update u = harness_update(n, 1, (double)n, 0, 0);

		u.ttl_ms = 1000000;
		if (n <= 50)
			u.entity_type = PE_ENTITY_STATIC;
		else if (n > 100)
			u.attributes = PE_STATE_AWAY;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	harness_advance(&h, 100);
	for (uint64_t n = 1001; n <= 1120; n++) {
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
		let_pass();
	}
	for (uint64_t n = 1; n <= 150; n++)
		*(n <= 50 ? &statics : n > 100 ? &away : &ours) += sees(n, NULL);
	CU_ASSERT_EQUAL(statics, 50);
	CU_ASSERT(away < 5);
	stop();
}

static void refuse_is_the_default(void)
{
	struct pe_engine_config c = config_of(64);

	start_with(&c);
	for (uint64_t n = 1; n <= 64; n++)
		ASSERT_STATUS(put(n, 1, 1000000), PE_ACK_APPLIED);
	for (uint64_t n = 101; n <= 164; n++)
		assert_refused(put(n, 1, 1000000), PE_REASON_table_full);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, evicted), 0);
	stop();
}

// A full table in one turn: more creations in a batch than can be made room for are refused, the
// others stand.
static void more_than_room(void)
{
	struct pe_engine_config c = config_of(64);
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	uint64_t n = 1000;

	c.when_full = PE_FULL_LEAST_RECENT;
	start_with(&c);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned m = 0; m < 16; m++) {
			for (unsigned i = 0; i < PE_UPDATE_COUNT_MAX; i++) {
				n++;
				// One in four is known, and may be taken away in the same batch.
				u[i] = harness_update(i % 4 ? n : n - 16, round + 1,
					(double)(n % 1000), (double)(n % 7), 0);
			}
			harness_queue_updates(
				&h, PLANE, HARNESS_INCARNATION, u, PE_UPDATE_COUNT_MAX, m & 1);
		}
		harness_turn(&h);
		if (round % 3 == 0)
			let_pass();
	}
	CU_ASSERT(HARNESS_REASON(&h, table_full) > 0);
	CU_ASSERT(HARNESS_COUNTER(&h, evicted) > 64);
	stop();
}

static void watchers_are_told(void)
{
	struct pe_engine_config c = config_of(64);
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 1e5);
	struct watching s;
	unsigned left = 0;

	c.when_full = PE_FULL_LEAST_RECENT;
	c.fence_count_max = 16;
	c.member_count_max = 512;
	start_with(&c);
	watching_init(&s, &h, PLANE, 11);
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	for (uint64_t n = 1; n <= 300; n++) {
		struct pe_wire_update u = harness_update(n, 1, (double)n, 0, 0);

		harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		for (unsigned i = 0; i < 3; i++) {
			harness_advance(&h, 1);
			watching_take(&s);
			harness_turn(&h);
			watching_take(&s);
			harness_control(&h);
		}
	}
	for (unsigned i = 0; i < s.count; i++)
		if (s.events[i].kind == PE_EVENT_LEAVE) {
			CU_ASSERT_EQUAL(s.events[i].cause, PE_LEAVE_GONE);
			left++;
		}
	CU_ASSERT_EQUAL(left, HARNESS_COUNTER(&h, evicted));
	CU_ASSERT(left > 200);
	CU_ASSERT_EQUAL(s.member_count, pe_engine_entity_count(h.engine));
	watching_free(&s);
	stop();
}

static void subscriptions_each(void)
{
	struct pe_engine_config c = config_of(100);
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 10);
	struct watching s[6];
	unsigned taken = 0, refused = 0;

	c.fence_count_max = 64;
	c.subscription_count_max = 32;
	c.principal_subscription_max = 2;
	start_with(&c);
	for (unsigned i = 0; i < 6; i++) {
		from(1 + i / 3, 0, false);
		watching_init(&s[i], &h, PLANE, 10 + i);
		watching_send(&s[i], PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
		for (unsigned k = 0; k < 3; k++) {
			harness_turn(&h);
			watching_take(&s[i]);
		}
		CU_ASSERT_EQUAL(s[i].answered, 1);
		taken += s[i].done.code == PE_CODE_SUCCESS;
		refused += s[i].done.reason == PE_REASON_subscription_budget;
	}
	CU_ASSERT_EQUAL(taken, 4);
	CU_ASSERT_EQUAL(refused, 2);
	for (unsigned i = 0; i < 6; i++)
		watching_free(&s[i]);
	stop();
}

// ---- load ----

// When no crossing of it is under way.
static void settled(const struct pe_wire_update *u, unsigned space, enum pe_ack_status expected)
{
	harness_settle(&h);
	ASSERT_STATUS(harness_send(&h, space, HARNESS_INCARNATION, u), expected);
	harness_settle(&h);
}

static void coarser(void)
{
	struct pe_engine_config c = config_of(100);
	struct pe_worker *w;
	uint32_t sequence = 1;

	c.spaces[PLANE].coalesce_distance_m = 10;
	c.coarse_max = 4;
	start_with(&c);
	w = pe_engine_worker(h.engine, 0);
	for (unsigned coarse = 1; coarse <= 4; coarse += 3) {
		double x = 1000.0 * coarse;
		struct pe_wire_update u = harness_update(1, sequence++, x, 0, 0);

		pe_worker_set_load(w, coarse, false);
		settled(&u, PLANE, PE_ACK_APPLIED);
		u = harness_update(1, sequence++, x + 9.9 * coarse, 0, 0);
		settled(&u, PLANE, PE_ACK_COALESCED);
		u = harness_update(1, sequence++, x + 10.2 * coarse, 0, 0);
		settled(&u, PLANE, PE_ACK_APPLIED);
		// The short way decides as the long one.
		for (unsigned k = 0; k < 2; k++) {
			uint64_t before = HARNESS_COUNTER(&h, records_coalesced);

			u = harness_update(1, sequence++, x + (k ? 30.5 : 19.9) * coarse, 0, 0);
			harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
			harness_turn(&h);
			CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_coalesced) - before, !k);
		}
	}
	stop();
}

static void coarser_in_time_and_course(void)
{
	struct pe_engine_config c = config_of(100);
	struct pe_worker *w;
	struct pe_wire_update u;

	c.spaces[PLANE].coalesce_interval_ms = 100;
	c.spaces[EARTH].predict_distance_m = 10;
	c.coarse_max = 4;
	start_with(&c);
	w = pe_engine_worker(h.engine, 0);
	pe_worker_set_load(w, 4, false);
	ASSERT_STATUS(put(1, 1, 0), PE_ACK_APPLIED);
	harness_advance(&h, 350);
	ASSERT_STATUS(put(1, 2, 0), PE_ACK_COALESCED);
	harness_advance(&h, 1000);
	pe_worker_set_load(w, 1, false);
	ASSERT_STATUS(put(2, 1, 0), PE_ACK_APPLIED);
	harness_advance(&h, 150);
	ASSERT_STATUS(put(2, 2, 0), PE_ACK_APPLIED);
	// 30 m off its course, a second later.
	for (unsigned coarse = 1; coarse <= 4; coarse += 3) {
		pe_worker_set_load(w, coarse, false);
		u = harness_update(50 + coarse, 1, 10, 10, 0);
		settled(&u, EARTH, PE_ACK_APPLIED);
		harness_advance(&h, 1000);
		u = harness_update(50 + coarse, 2, 10 + 30 / 111000.0, 10, 0);
		settled(&u, EARTH, coarse == 1 ? PE_ACK_APPLIED : PE_ACK_COALESCED);
	}
	stop();
}

static void no_new_ones(void)
{
	struct pe_engine_config c = config_of(100);
	struct pe_worker *w;

	start_with(&c);
	w = pe_engine_worker(h.engine, 0);
	ASSERT_STATUS(put(1, 1, 0), PE_ACK_APPLIED);
	pe_worker_set_load(w, 1, true);
	{
		struct pe_wire_ack_record a = put(2, 1, 0);

		CU_ASSERT_EQUAL(a.status, PE_ACK_DROPPED);
		CU_ASSERT_EQUAL(a.reason, PE_REASON_shed_new);
		CU_ASSERT_EQUAL(a.code, PE_CODE_CPU_EXCEEDED);
	}
	ASSERT_STATUS(put(1, 2, 0), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(sees(2, NULL), 0);
	pe_worker_set_load(w, 1, false);
	ASSERT_STATUS(put(2, 1, 0), PE_ACK_APPLIED);
	stop();
}

// ---- refused before a turn ----

static uint8_t told[PE_WIRE_BYTES_MAX];
static uint32_t told_bytes;

static uint8_t *reserve(void *context, const struct pe_peer *peer)
{
	return told;
}

static void commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	told_bytes = bytes;
}

// Every type of question, from a stranger: told in no more bytes than were sent, or not at all;
// counted once each time.
static void refused_before_a_turn(void)
{
	static const struct pe_sink sink = {.reserve = reserve, .commit = commit};
	struct pe_wire_header header;
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 0);
	struct pe_wire_update_preamble p = harness_preamble(1, HARNESS_INCARNATION);
	struct pe_wire_ping ping = {{1, 2}};
	struct pe_wire_state_request state = {.selector = PE_STATE_COUNTERS};
	struct pe_message m = {.peer = {.port = 1}};
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_view view;
	struct pe_worker *w;

	start();
	w = pe_engine_worker(h.engine, 0);
	m.data = buffer;
	for (unsigned trusted = 0; trusted < 2; trusted++)
		for (unsigned kind = 0; kind < 6; kind++) {
			bool answers = kind < 2 || (kind == 3 && trusted);

			header = harness_header(&h, PLANE, kind == 1 ? PE_FLAG_ACK : 0);
			m.peer.trusted = trusted;
			told_bytes = 0;
			m.bytes = kind == 0 ?
				pe_wire_put_query(buffer, sizeof buffer, &header, &q, 1) :
				kind < 3 ?
				pe_wire_put_update(buffer, sizeof buffer, &header, &p, &u, 1) :
				kind == 3 ?
				pe_wire_put_state_request(buffer, sizeof buffer, &header, &state) :
				pe_wire_put_ping(buffer, sizeof buffer, &header, &ping);
			if (kind == 5)
				m.bytes = 79; // is no message
			pe_worker_refuse(w, h.now, &m, PE_REASON_rate_source, &sink);
			h.sent_packets++;
			pe_count(pe_worker_counters(w), PE_COUNTER_rx_packets, 1);
			if (kind == 3 && !trusted)
				answers = told_bytes != 0 && told_bytes <= m.bytes;
			CU_ASSERT_EQUAL(told_bytes != 0, answers);
			if (!trusted)
				CU_ASSERT(told_bytes <= m.bytes);
			if (told_bytes)
				CU_ASSERT_EQUAL(pe_wire_check_reply(told, told_bytes, &view),
					PE_REASON_none);
			told_bytes = 0;
			pe_worker_refuse(w, h.now, &m, PE_REASON_bandwidth, NULL);
			h.sent_packets++;
			pe_count(pe_worker_counters(w), PE_COUNTER_rx_packets, 1);
			CU_ASSERT_EQUAL(told_bytes, 0);
		}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, rate_source), 12);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, bandwidth), 12);
	stop();
}

static void configuration(void)
{
	struct pe_engine_config c = config_of(100);
	struct pe_engine *e;
	struct pe_error error;

	c.coarse_max = PE_COARSE_MAX + 1;
	CU_ASSERT_EQUAL(pe_engine_create(&c, &e, &error), PE_INVALID);
	c = config_of(1000);
	c.principal_entity_max = 1;
	start();
	uint64_t without = pe_engine_memory_bytes(h.engine);
	stop();
	start_with(&c);
	CU_ASSERT(pe_engine_memory_bytes(h.engine) > without); // it is on the bill
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"a budget each", a_budget_each},
		{"places come back", places_come_back},
		{"least recently seen", least_recently_seen},
		{"gone first", gone_first},
		{"lowest priority", lowest_priority},
		{"refuse is the default", refuse_is_the_default},
		{"more than there is room for", more_than_room},
		{"watchers are told", watchers_are_told},
		{"subscriptions each", subscriptions_each},
		{"coarser", coarser},
		{"coarser in time and course", coarser_in_time_and_course},
		{"no new ones", no_new_ones},
		{"refused before a turn", refused_before_a_turn},
		{"configuration", configuration},
	};

	return testing_main("engine-places", cases, sizeof cases / sizeof cases[0]);
}
