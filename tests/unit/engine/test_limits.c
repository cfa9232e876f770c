// What is bounded: bytes to strangers, the entity table, the pending pool, buffers of the sink, the
// configuration, memory.
#include "internal.h"
#include "testing_engine.h"

static struct harness_answer a;

// Every type of message with every count, from a stranger: the harness checks after each turn that
// nobody gets more bytes than they sent.
static void strangers_get_no_more_than_they_sent(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_update u[PE_UPDATE_COUNT_MAX];
	struct pe_wire_withdraw x[PE_WITHDRAW_COUNT_MAX];
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];
	unsigned answered = 0;

	start();
	for (unsigned n = 0; n < 400; n++) {
		u[0] = harness_update(1 + n, 1, n % 20, n / 20, 0);
		ASSERT_STATUS(send(&u[0]), PE_ACK_APPLIED);
	}
	h.untrusted = true;
	for (unsigned i = 0; i < PE_UPDATE_COUNT_MAX; i++)
		u[i] = harness_update(1 + i, 2, 1, 1, 1);
	for (unsigned i = 0; i < PE_WITHDRAW_COUNT_MAX; i++) {
		x[i] = (struct pe_wire_withdraw){.sequence = 1};
		harness_id(x[i].entity_id, 1 + i);
	}
	for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++)
		q[i] = harness_sphere(0, 0, 0, 1e5);
	for (unsigned count = 1; count <= PE_WITHDRAW_COUNT_MAX; count++) {
		struct pe_wire_header header = harness_header(&h, PLANE, 0);
		struct pe_wire_ping ping = {{1, 2}};
		struct pe_wire_state_request state = {.selector = PE_STATE_COUNTERS};

		if (count <= PE_UPDATE_COUNT_MAX) {
			h.port = 1;
			(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, count, true);
			h.port = 2;
			(void)harness_queue_updates(&h, PLANE, UINT32_MAX, u, count, true);
		}
		h.port = 3;
		(void)harness_queue_withdraws(&h, PLANE, HARNESS_INCARNATION, x, count, true);
		if (count <= PE_QUERY_COUNT_MAX) {
			h.port = 4;
			(void)harness_queue_queries(&h, PLANE, q, count);
		}
		h.port = 5;
		harness_queue(&h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &ping));
		h.port = 6;
		harness_queue(&h, buffer,
			pe_wire_put_state_request(buffer, sizeof buffer, &header, &state));
		h.port = 7; // refused as wholes, each in its way
		for (unsigned k = 0; k < 8; k++) {
			uint32_t bytes = pe_wire_put_query(buffer, sizeof buffer, &header, q, 1);

			buffer[(unsigned[]){0, 1, 2, 24, 32, 34, 60, 79}[k]] ^= 0x55;
			harness_queue(&h, buffer, k == 7 ? 79 : bytes);
		}
		harness_turn(&h);
		for (unsigned i = 0; i < h.reply_count; i++) {
			CU_ASSERT(h.replies[i].peer.port != 6 && h.replies[i].peer.port != 7);
			answered |= 1u << h.replies[i].peer.port;
		}
	}
	CU_ASSERT_EQUAL(answered, 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, not_trusted), PE_WITHDRAW_COUNT_MAX);
	// What was carried of refused packets is nothing.
	h.sent_records = HARNESS_COUNTER(&h, records_carried);
	stop();
}

// A stranger's query is cut to what fits, and can be gone on with to the end.
static void a_stranger_pages_through(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	unsigned total = 0, pages = 0;

	start();
	for (unsigned n = 0; n < 60; n++) {
		struct pe_wire_update u = harness_update(1 + n, 1, 50.0 * n, 0, 0);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	h.untrusted = true;
	do {
		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT(a.whole && a.part_count == 1);
		total += a.count;
		q.flags = PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	} while (a.truncated && ++pages < 100);
	CU_ASSERT_EQUAL(total, 60);
	stop();
}

static void state_request(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_state_request state = {.selector = PE_STATE_COUNTERS};
	struct pe_wire_header header;
	struct pe_wire_view v;
	unsigned got = 0;

	start();
	for (unsigned first = 0; first < PE_COUNTER_COUNT; first += PE_COUNTERS_COUNT_MAX) {
		header = harness_header(&h, PLANE, 0);
		state.first = (uint16_t)first;
		harness_queue(&h, buffer,
			pe_wire_put_state_request(buffer, sizeof buffer, &header, &state));
		harness_turn(&h);
		CU_ASSERT_EQUAL(h.reply_count, 1);
		CU_ASSERT_EQUAL(pe_wire_check_reply(h.replies[0].data, h.replies[0].bytes, &v),
			PE_REASON_none);
		CU_ASSERT_EQUAL(v.body.state.total, PE_COUNTER_COUNT);
		for (unsigned i = 0; i < v.count; i++, got++) {
			struct pe_wire_counter c;

			pe_wire_get_counter(&v, i, &c);
			CU_ASSERT_EQUAL(c.index, got);
			if (c.index == PE_COUNTER_rx_packets)
				CU_ASSERT_EQUAL(c.value, 1);
		}
	}
	CU_ASSERT_EQUAL(got, PE_COUNTER_COUNT);
	stop();
}

static void pong_echoes(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_ping ping = {{0x1122334455667788, 42}};
	struct pe_wire_header header;
	struct pe_wire_view v;

	start();
	header = harness_header(&h, PLANE, 0);
	harness_queue(&h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &ping));
	harness_turn(&h);
	CU_ASSERT_EQUAL(h.reply_count, 1);
	CU_ASSERT_EQUAL(
		pe_wire_check_reply(h.replies[0].data, h.replies[0].bytes, &v), PE_REASON_none);
	CU_ASSERT_EQUAL(v.header.type, PE_TYPE_PONG);
	CU_ASSERT(memcmp(&v.body.ping, &ping, sizeof ping) == 0);
	CU_ASSERT_EQUAL(v.header.stream_id, 7);
	stop();
}

static void a_full_table_keeps_what_it_has(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

	config.entity_count_max = 300;
	start_with(&config);
	for (unsigned n = 0; n < 400; n++) {
		struct pe_wire_update u = harness_update(1 + n, 1, n, 0, 0);

		u.ttl_ms = 1000000;
		if (n < 300)
			ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		else
			ASSERT_REFUSED(send(&u), table_full);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, table_full), 100);
	for (unsigned n = 0; n < 300; n++) {
		struct pe_wire_update u = harness_update(1 + n, 2, n + 0.5, 100, 0);

		u.ttl_ms = 1000000;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		if (n % 50 == 49) // crossings that settle hold a node each
			harness_settle(&h);
	}
	harness_settle(&h);
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT_EQUAL(a.count, 300);
	for (unsigned i = 0; i < a.count; i++)
		CU_ASSERT_EQUAL(a.results[i].position[1], 100);
	// Room comes back with withdrawals, after the time in which their pairs are remembered.
	for (unsigned n = 0; n < 50; n++)
		ASSERT_STATUS(withdraw(1 + n, 3), PE_ACK_APPLIED);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	for (unsigned n = 0; n < 51; n++) {
		struct pe_wire_update u = harness_update(1000 + n, 1, n, 0, 0);

		if (n < 50)
			ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		else
			ASSERT_REFUSED(send(&u), table_full);
	}
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 300);
	stop();
}

// Ids that come and go for long never use the table up.
static void ids_that_come_and_go(void)
{
	struct pe_engine_config config = harness_config();

	config.entity_count_max = 100;
	start_with(&config);
	for (unsigned n = 0; n < 3000; n++) {
		struct pe_wire_update u = harness_update(1 + n, 1, 10.0 * (n % 500), 0, 0);

		u.ttl_ms = 1;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		harness_advance(&h, 200);
		harness_control(&h);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, expired), 3000);
	stop();
}

// What a state's end has no timer for is refused, and the last ones are kept for crossings.
static void durations_without_room(void)
{
	enum { NODES = 32, MANY = 100 };
	struct pe_engine_config config = harness_config();
	struct pe_wire_result r;
	unsigned taken = 0, busy = 0;

	config.pending_count_max = NODES;
	start_with(&config);
	for (unsigned n = 1; n <= MANY; n++) {
		struct pe_wire_update u = harness_update(n, 1, 10, 10, 10);
		struct pe_wire_ack_record ack;

		u.ttl_ms = 60000;
		u.duration_ms = 1000;
		u.attributes = PE_STATE_BUSY;
		ack = send(&u);
		taken += ack.status == PE_ACK_APPLIED;
		if (ack.status != PE_ACK_APPLIED) {
			ASSERT_REFUSED(ack, grid_full);
			CU_ASSERT_EQUAL(sees(n, &r), 0);
		}
	}
	CU_ASSERT(taken > NODES / 2 && taken < NODES);
	// One that comes back at once goes its way by a node.
	{
		struct pe_wire_update u = harness_update(MANY + 1, 1, 10, 10, 10);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		ASSERT_STATUS(withdraw(MANY + 1, 2), PE_ACK_APPLIED);
		u.sequence = 3;
		u.position[0] = 500;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	// Those that have theirs go on with it.
	for (unsigned n = 1; n <= taken; n++) {
		struct pe_wire_update u = harness_update(n, 2, 11, 10, 10);

		u.ttl_ms = 60000;
		u.duration_ms = 1000;
		u.attributes = PE_STATE_BUSY;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	harness_advance(&h, 1001);
	for (unsigned n = 1; n <= taken; n++)
		busy += sees(n, &r) && (r.state & 7) != PE_STATE_INACTIVE;
	CU_ASSERT_EQUAL(busy, 0);
	stop();
}

// Nor is what its crossing leaves no room for: many cross at once, and then say how long they are
// busy.
static void durations_beside_crossings(void)
{
	enum { MANY = 3500 };
	struct pe_engine_config config = harness_config();
	unsigned crossing = 0, refused = 0, busy = 0;
	struct pe_wire_result r;

	config.entity_count_max = 4000;
	config.pending_count_max = 2000;
	start_with(&config);
	for (uint32_t sequence = 1; sequence <= 2; sequence++) {
		for (unsigned n = 1; n <= MANY; n++) {
			struct pe_wire_update u =
				harness_update(n, sequence, 100.0 * sequence, 10, 0);

			u.ttl_ms = 60000;
			(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
			if (n % 32 == 0 || n == MANY)
				harness_turn(&h);
		}
		if (sequence == 1)
			harness_settle(&h);
	}
	for (unsigned i = 0; i < config.entity_count_max; i++)
		crossing += pe_crosses(h.engine->table.records[pe_handle_nth(i)].pending);
	CU_ASSERT(crossing > MANY - 100);
	for (unsigned n = 1; n <= MANY; n++) {
		struct pe_wire_update u = harness_update(n, 3, 200, 10, 0);
		struct pe_wire_ack_record ack;

		u.ttl_ms = 60000;
		u.attributes = PE_STATE_BUSY;
		u.duration_ms = 1000;
		ack = send(&u);
		refused += ack.status == PE_ACK_REFUSED;
		if (ack.status == PE_ACK_REFUSED)
			ASSERT_REFUSED(ack, grid_full);
	}
	CU_ASSERT(refused > 0 && refused < MANY);
	harness_settle(&h);
	harness_advance(&h, 1001);
	harness_settle(&h);
	for (unsigned n = 1; n <= MANY; n++)
		busy += sees(n, &r) && (r.state & 7) == PE_STATE_BUSY;
	CU_ASSERT_EQUAL(busy, 0);
	CU_ASSERT_EQUAL(h.engine->workers[0]->pending.used, 0);
	stop();
}

// Nor do states that are held back take the last ones: a move into another cell finds its own.
static void held_back_without_room(void)
{
	enum { NODES = 32, MANY = 60, MOVER = 100 };
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u;

	config.pending_count_max = NODES;
	config.spaces[PLANE].coalesce_distance_m = 20;
	start_with(&config);
	u = harness_update(MOVER, 1, 10, 10, 10);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	for (uint32_t sequence = 1; sequence <= 3; sequence++)
		for (unsigned n = 1; n <= MANY; n++) {
			struct pe_wire_ack_record ack;

			u = harness_update(n, sequence, 10, 10, 10);
			u.frequency = 1;
			ack = send(&u);
			CU_ASSERT(ack.status == PE_ACK_APPLIED || ack.status == PE_ACK_COALESCED);
		}
	u = harness_update(MOVER, 2, 5000, 10, 10);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	stop();
}

static void pending_pool_exhausted(void)
{
	struct pe_engine_config config = harness_config();

	config.pending_count_max = 2;
	start_with(&config);
	for (unsigned n = 0; n < 10; n++) {
		struct pe_wire_update u = harness_update(1 + n, 1, 10, 10, 10);

		u.frequency = 60;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	CU_ASSERT(HARNESS_COUNTER(&h, pending_exhausted) >= 7);
	// What cannot be held back is applied at once.
	for (unsigned n = 5; n < 10; n++) {
		struct pe_wire_update u = harness_update(1 + n, 2, 11, 10, 10);

		u.frequency = 60;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		ASSERT_AT(1 + n, 11);
		// Nor can it cross: it stays where it is known, and says so.
		u.sequence = 3;
		u.position[0] = 1000;
		ASSERT_REFUSED(send(&u), grid_full);
		ASSERT_AT(1 + n, 11);
	}
	// Nodes come back when what they waited for is over.
	harness_advance(&h, 2000);
	harness_settle(&h);
	for (unsigned n = 5; n < 10; n++) {
		struct pe_wire_update u = harness_update(1 + n, 4, 2000, 10, 10);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		ASSERT_AT(1 + n, 2000);
		harness_settle(&h);
	}
	stop();
}

// Entities `step` metres apart until the grid refuses: what is known stays, moves in its cell and
// lives; what is refused leaves no trace, neither a new entity nor a crossing; and all that went in
// fits in again once it has gone.
static void fill_grid(const struct pe_engine_config *config, double step, unsigned least)
{
	struct pe_wire_query everything = harness_sphere(0, 0, 0, 1.9e6);
	struct pe_wire_ack_record ack = {0};
	struct pe_wire_update u;
	unsigned n = 0;

	start_with(config);
	for (unsigned i = 0; i < 900; i++) {
		u = harness_update(1 + i, 1, step * i + 1, 5, 5);
		u.ttl_ms = 600000;
		ack = send(&u);
		if (ack.status != PE_ACK_APPLIED)
			break;
		n++;
	}
	CU_ASSERT_FATAL(n >= least && n < 900);
	ASSERT_REFUSED(ack, grid_full);
	ASSERT_GONE(1 + n);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, grid_full), 1);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), n);
	for (unsigned i = 0; i < n; i++) {
		double x = step * i + 1;

		// Far from everybody.
		u = harness_update(1 + i, 2, 300000 + 70000.0 * (i % 9), -900000, 5);
		u.ttl_ms = 600000;
		ASSERT_REFUSED(send(&u), grid_full);
		ASSERT_AT(1 + i, x);
		// Nothing of the refused record was kept, not even its sequence.
		u = harness_update(1 + i, 2, x + 0.25, 5, 5);
		u.ttl_ms = i == 0 ? 1000 : 600000;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		ASSERT_AT(1 + i, x + 0.25);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, grid_full), 1 + n);
	harness_ask(&h, 0, PLANE, &everything, &a);
	CU_ASSERT_EQUAL(a.count, n);
	// Nor its ttl: a refused crossing keeps nobody alive.
	harness_advance(&h, 600);
	u = harness_update(1, 3, 300000, -900000, 5);
	u.ttl_ms = 600000;
	ASSERT_REFUSED(send(&u), grid_full);
	ASSERT_AT(1, 1.25);
	harness_advance(&h, 500);
	ASSERT_GONE(1);
	for (unsigned i = 1; i < n; i++)
		ASSERT_STATUS(withdraw(1 + i, 3), PE_ACK_APPLIED);
	for (unsigned i = 0; i < 20; i++)
		harness_settle(&h);
	for (unsigned i = 0; i < n; i++) {
		u = harness_update(2000 + i, 1, -step * i - 1, 5, 5);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	stop();
}

static void a_full_grid_keeps_what_it_has(void)
{
	struct pe_engine_config config = harness_config();

	config.entity_count_max = 2000;
	config.cell_count_max = 20;
	fill_grid(&config, 1000, 20);
	config.cell_count_max = 0;
	config.node_count_max = 40;
	fill_grid(&config, 1000, 10);
	config.node_count_max = 0;
	config.chunk_count_max = 2;
	fill_grid(&config, 0.01, 56); // all in one cell
	config.chunk_count_max = 20;
	fill_grid(&config, 1000, 50);
}

static void no_buffers(void)
{
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_ping ping = {{1, 2}};
	struct pe_wire_header header;

	start();
	h.buffers_refused = true;
	for (unsigned round = 0; round < 2; round++) {
		h.untrusted = round;
		u.sequence = 1 + round;
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
		(void)harness_queue_queries(&h, PLANE, (struct pe_wire_query[]){q, q, q}, 3);
		header = harness_header(&h, PLANE, 0);
		harness_queue(&h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &ping));
		harness_turn(&h);
		CU_ASSERT_EQUAL(h.reply_count, 0);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, answer_no_buffer), 6);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, tx_dropped), 4);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 2);
	// They come back, and so do the answers.
	h.buffers_refused = false;
	ASSERT_AT(1, 10);
	stop();
}

static void configuration_errors(void)
{
	struct pe_engine_config bad[12], good = harness_config();
	unsigned n = 0;

	for (unsigned i = 0; i < 12; i++)
		bad[i] = good;
	bad[n++].worker_count = 0;
	bad[n++].worker_count = PE_WORKERS_MAX + 1;
	bad[n++].entity_count_max = 0;
	bad[n++].entity_count_max = PE_ENTITIES_MAX + 1;
	bad[n++].space_count = 0;
	bad[n++].space_count = PE_SPACES_MAX + 1;
	bad[n++].ring_records = 1000;
	bad[n++].query_results_max = PE_QUERY_RESULTS_MAX + 1;
	memcpy(bad[n++].spaces[1].space.id, good.spaces[0].space.id, 16);
	bad[n++].spaces[0].ttl_max_ms = PE_TTL_MAX_MS + 1;
	bad[n++].spaces[0].coalesce_attribute = 1.5f;
	bad[n++].spaces[0].space.leaf_edge_m = -1;
	for (unsigned i = 0; i < n; i++) {
		struct pe_engine *engine = (struct pe_engine *)&bad;
		struct pe_error error = {0};

		CU_ASSERT_EQUAL(pe_engine_create(&bad[i], &engine, &error), PE_INVALID);
		CU_ASSERT_PTR_NULL(engine);
		CU_ASSERT(strlen(error.text) > 10);
	}
}

static void memory_plan(void)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	start();
	pe_engine_print_plan(h.engine, out);
	fclose(out);
	CU_ASSERT(pe_engine_memory_bytes(h.engine) > 1000 * 192);
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(text,
			(const char *[]){"records", "index", "leaves", "pending", "in all"}[i]));
	free(text);
	stop();
}

TESTING_MAIN("engine: limits",
	{"strangers get no more than they sent", strangers_get_no_more_than_they_sent},
	{"a stranger pages through", a_stranger_pages_through}, {"state request", state_request},
	{"pong", pong_echoes}, {"a full table keeps what it has", a_full_table_keeps_what_it_has},
	{"ids that come and go", ids_that_come_and_go},
	{"pending pool exhausted", pending_pool_exhausted},
	{"durations without room", durations_without_room},
	{"durations beside crossings", durations_beside_crossings},
	{"held back without room", held_back_without_room},
	{"a full grid keeps what it has", a_full_grid_keeps_what_it_has},
	{"no buffers", no_buffers}, {"configuration errors", configuration_errors},
	{"memory plan", memory_plan})
