// How answers are cut, numbered, packed and gone on with: pages and cursors, the engine's bounds of
// work, several queries and requests at once.
#include "discover/query.h"
#include "testing_engine.h"

static struct harness_answer a;
static uint64_t random_state = 1;

#define MANY 2600u // more than a piece of hits

static void start_many(void)
{
	struct pe_engine_config config = harness_config();

	config.entity_count_max = 2 * MANY;
	start_with(&config);
}

static void put_many(void)
{
	for (unsigned i = 0; i < MANY; i += 16) {
		struct pe_wire_update u[16];
		unsigned count = MANY - i < 16 ? MANY - i : 16;

		for (unsigned k = 0; k < count; k++) {
			unsigned n = i + k;

			// A crowd in one cell, a line over many, and a few far away.
			if (n < 300)
				u[k] = harness_update(1 + n, 1, 0.1 * n, 3, 0);
			else if (n < MANY - 100)
				u[k] = harness_update(1 + n, 1, 37.0 * n, -20.0 * n, 5.0 * n);
			else
				u[k] = harness_update(1 + n, 1, -90000.0 - 300.0 * n, 0, 0);
		}
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, count, false);
		harness_turn(&h);
	}
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), MANY);
}

// All pages together are the whole, and nobody is in two of them.
static void page_through(struct pe_wire_query q, unsigned expected, unsigned page_max)
{
	static uint8_t times[1 + MANY];
	unsigned pages = 0, total = 0;

	memset(times, 0, sizeof times);
	for (bool more = true; more && pages <= MANY; pages++) {
		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS);
		CU_ASSERT(!page_max || a.count <= page_max);
		for (unsigned i = 0; i < a.count; i++) {
			times[harness_id_number(a.results[i].entity_id)]++;
			total++;
		}
		more = a.truncated;
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	}
	CU_ASSERT(!a.truncated);
	CU_ASSERT_EQUAL(total, expected);
	for (unsigned n = 1; n <= MANY; n++)
		CU_ASSERT(times[n] <= 1);
}

static void pages(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);
	static const unsigned sizes[] = {1, 7, 64, 299, 300, 301, MANY - 1, MANY, MANY + 1};

	start_many();
	put_many();
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		q.max_results = (uint16_t)sizes[i];
		page_through(q, MANY, sizes[i]);
	}
	q = harness_box((double[]){-1, -1, -1}, (double[]){30, 10, 1});
	q.max_results = 11;
	page_through(q, 300, 11);
	stop();
}

// Between two pages one that was told and one that is still to come go away, and others come to the
// same cells: of all that stays nobody is left out, and nobody comes twice.
static void page_beside_changes(struct pe_wire_query q, unsigned of)
{
	static uint8_t times[1 + 3 * MANY], gone[1 + 3 * MANY];
	unsigned fresh = MANY, told = 0, pages = 0;

	memset(times, 0, sizeof times);
	memset(gone, 0, sizeof gone);
	for (bool more = true; more && pages < 2 * MANY; pages++) {
		struct pe_wire_update u;

		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT_FATAL(a.whole && a.code == PE_CODE_SUCCESS);
		for (unsigned i = 0; i < a.count; i++) {
			told = harness_id_number(a.results[i].entity_id);
			times[told]++;
		}
		more = a.truncated;
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
		if (pages % 3 || !told)
			continue;
		for (unsigned i = 0; i < 2; i++) {
			unsigned n = i ? 1 + testing_random(&random_state) % of : told;

			if (gone[n] || n > of)
				continue;
			gone[n] = 1;
			ASSERT_STATUS(withdraw(n, 2), PE_ACK_APPLIED);
		}
		fresh++;
		u = harness_update(fresh, 1, 0.1 * (testing_random(&random_state) % 300), 3, 0);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		harness_turn(&h);
	}
	CU_ASSERT(!a.truncated);
	for (unsigned n = 1; n <= of; n++)
		CU_ASSERT(times[n] == 1 || (gone[n] && times[n] == 0));
	for (unsigned n = MANY + 1; n <= fresh; n++)
		CU_ASSERT(times[n] <= 1);
}

static void pages_beside_changes(void)
{
	static const unsigned sizes[] = {1, 7, 31, 32, 33, 100};

	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (unsigned way = 0; way < 3; way++) {
			struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);

			if (way == 1)
				q = harness_box((double[]){-1, -1, -1}, (double[]){30, 10, 1});
			if (way == 2)
				q.type_mask = 0x1F;
			if (way != 1 && sizes[i] < 31)
				continue;
			start_many();
			put_many();
			q.max_results = (uint16_t)sizes[i];
			page_beside_changes(q, way == 1 ? 300 : MANY);
			stop();
		}
}

static void pages_within(
	void (*set)(struct pe_engine_config *), unsigned page_max, unsigned cut_least)
{
	struct pe_engine_config config = harness_config();

	config.entity_count_max = 2 * MANY;
	set(&config);
	start_with(&config);
	put_many();
	page_through(harness_sphere(0, 0, 0, 2e6), MANY, page_max);
	CU_ASSERT(HARNESS_COUNTER(&h, queries_truncated) >= cut_least);
	stop();
}

static void few_results(struct pe_engine_config *c)
{
	c->query_results_max = 50;
}

static void few_cells(struct pe_engine_config *c)
{
	c->query_cells_max = 8;
}

static void few_candidates(struct pe_engine_config *c)
{
	c->query_candidates_max = 64;
}

// The engine's own bounds cut too, and paging still meets everybody.
static void bounds_of_work(void)
{
	pages_within(few_results, 50, MANY / 50 - 1);
	pages_within(few_cells, 0, 10);
	pages_within(few_candidates, 0, 3);
}

// Queries of more than one piece of hits: cut at a piece's end, within one, or not. The general way
// answers the same.
static void compare_ways(uint32_t size, bool crossing)
{
	static struct harness_answer general;
	struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);
	unsigned expected = size && size < MANY ? size : MANY;

	q.max_results = (uint16_t)size;
	harness_ask(&h, 0, PLANE, &q, &a);
	q.type_mask = 0x1F;
	harness_ask(&h, 0, PLANE, &q, &general);
	CU_ASSERT_FATAL(a.whole && general.whole);
	// Who is met in two cells takes the room of two results where the answer is cut.
	CU_ASSERT(a.count == expected || (crossing && size && a.count < expected));
	CU_ASSERT_EQUAL(a.count, general.count);
	CU_ASSERT_EQUAL(a.truncated, general.truncated);
	CU_ASSERT(!a.truncated || !memcmp(a.cursor, general.cursor, sizeof a.cursor));
	CU_ASSERT_FALSE(memcmp(a.results, general.results, a.count * sizeof a.results[0]));
}

static void more_than_a_piece(void)
{
	enum { PIECE = PE_QUERY_PIECE_PLAIN };
	static const unsigned sizes[] = {0, 300, PIECE - 1, PIECE, PIECE + 1, MANY - 1, MANY};
	const unsigned count = sizeof sizes / sizeof sizes[0];

	_Static_assert(MANY > PIECE + 100, "two pieces");
	start_many();
	put_many();
	for (unsigned i = 0; i < count; i++)
		compare_ways(sizes[i], false);
	// Some are crossing, and stand in two cells.
	for (unsigned n = MANY - 100; n > 0; n -= 250) {
		struct pe_wire_update u = harness_update(n, 2, -300.0 * n, 150.0 * n, 0);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		for (unsigned i = 0; i < count; i++)
			compare_ways(sizes[i], true);
	}
	page_through(harness_sphere(0, 0, 0, 2e6), MANY, 0);
	stop();
}

// Queries of one turn share a budget: those that come too late are cut, with a cursor that goes on
// from their beginning.
static void a_turn_has_a_budget(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];
	uint64_t packet;
	unsigned whole = 0, found = 0;

	config.query_cells_max = 8;
	start_with(&config);
	for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++) {
		struct pe_wire_update u = harness_update(1 + i, 1, 1000.0 * i + 10, 10, 0);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u = harness_update(101 + i, 1, 1000.0 * i + 74, 10, 0);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		q[i] = harness_sphere(1000.0 * i + 40, 10, 0, 60);
		q[i].query_id = i;
	}
	packet = harness_queue_queries(&h, PLANE, q, PE_QUERY_COUNT_MAX);
	harness_turn(&h);
	for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++) {
		harness_answer(&h, packet, i, &a);
		CU_ASSERT(a.whole);
		CU_ASSERT(a.truncated || a.count == 2);
		whole += !a.truncated;
		found += a.count;
		if (!a.truncated)
			continue;
		q[i].flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q[i].cursor, a.cursor, sizeof a.cursor);
	}
	// Two cells each, sixteen in a turn.
	CU_ASSERT(whole >= 4 && whole < PE_QUERY_COUNT_MAX);
	for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++)
		if (q[i].flags & PE_QUERY_HAS_CURSOR) {
			harness_ask(&h, 0, PLANE, &q[i], &a);
			CU_ASSERT(!a.truncated);
			found += a.count;
		}
	CU_ASSERT_EQUAL(found, 2 * PE_QUERY_COUNT_MAX);
	stop();
}

// Nodes that lead to no cell of the region are work, too, and count even where the walk comes to
// its end: or a burst of thin boxes between the columns of a full grid would hold its worker up for
// as long as it likes.
static void nodes_without_cells_are_of_the_budget(void)
{
	struct pe_engine_config config = harness_config();
	const double a_cell = config.spaces[PLANE].space.leaf_edge_m, a_node = 8 * a_cell;
	const double lo[3] = {4.1 * a_cell, 0, 0}, hi[3] = {4.9 * a_cell, 900 * a_node, 1};
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];
	uint64_t packets[2];
	unsigned whole = 0;

	config.query_cells_max = 256; // and 1088 nodes
	start_with(&config);
	for (unsigned i = 0; i < 900; i++) {
		struct pe_wire_update u =
			harness_update(1 + i, 1, a_cell / 2, i * a_node + a_cell / 2, 0);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++) {
		q[i] = harness_box(lo, hi);
		q[i].query_id = i;
	}
	for (unsigned p = 0; p < 2; p++)
		packets[p] = harness_queue_queries(&h, PLANE, q, PE_QUERY_COUNT_MAX);
	harness_turn(&h);
	for (unsigned i = 0; i < 2 * PE_QUERY_COUNT_MAX; i++) {
		harness_answer(&h, packets[i / PE_QUERY_COUNT_MAX], i % PE_QUERY_COUNT_MAX, &a);
		CU_ASSERT(a.whole && a.count == 0);
		whole += !a.truncated;
	}
	// As good as 240 cells each, 512 in a turn.
	CU_ASSERT(whole >= 2 && whole <= 4);
	// With a turn of its own each comes to its end.
	harness_ask(&h, 0, PLANE, &q[0], &a);
	CU_ASSERT(a.whole && !a.truncated);
	stop();
}

static void numbered_parts(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);

	start_many();
	put_many();
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && !a.truncated);
	CU_ASSERT_EQUAL(a.count, MANY);
	CU_ASSERT(a.part_count >= MANY / 21);
	CU_ASSERT_EQUAL(h.reply_count, a.part_count);
	stop();
}

static bool only(uint64_t n)
{
	return a.count == 1 && harness_id_number(a.results[0].entity_id) == n;
}

static void queries_packed_together(void)
{
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];
	uint64_t packets[3];

	start();
	for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++) {
		struct pe_wire_update u = harness_update(1 + i, 1, 100 * i, 0, 0);

		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		q[i] = harness_sphere(100 * i, 0, 0, 10);
		q[i].query_id = 500 + i;
	}
	q[4].kind = 77; // one that is refused does not spoil the others
	packets[0] = harness_queue_queries(&h, PLANE, q, PE_QUERY_COUNT_MAX);
	packets[1] = harness_queue_queries(&h, PLANE, q, 3);
	packets[2] = harness_queue_queries(&h, PLANE, q + 5, 1);
	harness_turn(&h);
	// One asker, trusted: its answers share messages.
	CU_ASSERT_EQUAL(h.reply_count, 2);
	for (unsigned p = 0; p < 3; p++)
		for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++) {
			bool asked = p == 0 || (p == 1 && i < 3) || (p == 2 && i == 5);

			harness_answer(&h, packets[p], 500 + i, &a);
			CU_ASSERT_EQUAL(a.whole, asked);
			if (!asked)
				continue;
			CU_ASSERT_EQUAL(a.reason, i == 4 ? PE_REASON_query_kind : PE_REASON_none);
			CU_ASSERT(i == 4 ? a.count == 0 : only(1 + i));
		}
	stop();
}

// More askers in a burst than messages may be open at once.
static void many_askers(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 10);
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 0);
	uint64_t packets[PE_BURST_MAX];
	unsigned seen[PE_BURST_MAX] = {0};

	start();
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	for (unsigned round = 0; round < 2; round++) {
		h.untrusted = round;
		for (unsigned i = 0; i < PE_BURST_MAX; i++) {
			h.port = (uint16_t)(1000 + i);
			packets[i] = harness_queue_queries(&h, PLANE, &q, 1);
		}
		harness_turn(&h);
		CU_ASSERT(h.reserved_most <= PE_OUTBOX_MAX);
		CU_ASSERT_EQUAL(h.reply_count, PE_BURST_MAX);
		for (unsigned i = 0; i < PE_BURST_MAX; i++) {
			harness_answer(&h, packets[i], 1, &a);
			CU_ASSERT(a.whole && only(1));
			seen[h.replies[i].peer.port - 1000]++;
		}
		for (unsigned i = 0; i < PE_BURST_MAX; i++)
			CU_ASSERT_EQUAL(seen[i], 1 + round);
	}
	stop();
}

TESTING_MAIN("engine: answers", {"pages", pages}, {"pages beside changes", pages_beside_changes},
	{"bounds of work", bounds_of_work}, {"a turn has a budget", a_turn_has_a_budget},
	{"nodes without cells are of the budget", nodes_without_cells_are_of_the_budget},
	{"more than a piece", more_than_a_piece}, {"numbered parts", numbered_parts},
	{"queries packed together", queries_packed_together}, {"many askers", many_askers})
