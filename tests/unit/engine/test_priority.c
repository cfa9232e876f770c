// Classes of queries: who is answered first, what each gets of a turn's work and of what the source
// takes, over many turns in which one class floods; and what a turn's preparations may cost.
#include "testing_engine.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

#define CLASSES PE_PRIORITIES
static const uint8_t from_above[CLASSES] = {
	PE_PRIORITY_CRITICAL, PE_PRIORITY_HIGH, PE_PRIORITY_NORMAL, PE_PRIORITY_LOW};
static const unsigned answered_of[CLASSES] = {PE_COUNTER_queries_normal, PE_COUNTER_queries_low,
	PE_COUNTER_queries_high, PE_COUNTER_queries_critical};

static void fill(unsigned count)
{
	for (unsigned n = 1; n <= count; n++) {
		struct pe_wire_update u = harness_update(n, 1, 64 * (n % 32), 64 * (n / 32), 0);

		u.ttl_ms = PE_TTL_MAX_MS;
		CU_ASSERT_EQUAL(
			harness_send(&h, PLANE, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	}
}

// The id tells class and number.
static uint64_t queue(uint8_t priority, unsigned count, double radius_m)
{
	struct pe_wire_query q[PE_QUERY_COUNT_MAX];

	for (unsigned i = 0; i < count; i++) {
		q[i] = harness_sphere(1000, 400, 0, radius_m);
		q[i].query_id = priority * 1000u + i;
		q[i].priority = priority;
	}
	return harness_queue_queries(&h, PLANE, q, count);
}

// Answers in the order in which they left, their ids.
static unsigned order_of(uint32_t *ids, unsigned most)
{
	unsigned count = 0;

	for (unsigned i = 0; i < h.reply_count; i++) {
		struct pe_wire_view v;
		struct pe_wire_answer a;
		const uint8_t *results;
		uint32_t offset = 0;

		CU_ASSERT_EQUAL(pe_wire_check_reply(h.replies[i].data, h.replies[i].bytes, &v), 0);
		while (pe_wire_next_answer(&v, &offset, &a, &results))
			if ((a.flags & PE_ANSWER_LAST) && count < most)
				ids[count++] = a.query_id;
	}
	return count;
}

static void higher_first(void)
{
	static struct harness_answer a;
	struct pe_wire_query mixed[CLASSES];
	uint32_t ids[64];
	uint64_t sequence;

	start();
	fill(10);
	for (uint8_t priority = 0; priority < CLASSES; priority++)
		queue(priority, 3, 10);
	for (unsigned i = 0; i < CLASSES; i++) {
		mixed[i] = harness_sphere(1000, 400, 0, 10);
		mixed[i].query_id = i * 1000 + 3;
		mixed[i].priority = (uint8_t)i;
	}
	sequence = harness_queue_queries(&h, PLANE, mixed, CLASSES);
	harness_turn(&h);
	CU_ASSERT_EQUAL_FATAL(order_of(ids, 64), 16);
	for (unsigned i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(ids[i], from_above[i / 4] * 1000u + i % 4);
	for (unsigned i = 0; i < CLASSES; i++) {
		CU_ASSERT_EQUAL(harness_counter(&h, answered_of[i]), 4);
		harness_answer(&h, sequence, i * 1000 + 3, &a);
		CU_ASSERT(a.whole && !a.reason);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_answered), 16);
	stop();
}

// Between updates, pings and extensions, in the places that they have; the undefined class is
// refused for itself.
static void mixed_with_others(void)
{
	static struct harness_answer a;
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 0);
	const struct pe_wire_resolution r = {.attribute = 0};
	struct pe_wire_query q[3];
	uint8_t extension[64];
	uint32_t bytes = pe_wire_put_block(
		extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);
	uint64_t first, second;

	start();
	for (unsigned i = 0; i < 3; i++) {
		q[i] = harness_sphere(0, 0, 0, 10);
		q[i].query_id = i;
	}
	q[0].priority = PE_PRIORITY_LOW;
	q[1].priority = 4;
	q[2].priority = PE_PRIORITY_HIGH;
	q[2].flags = PE_QUERY_HAS_EXTENSION;
	q[2].extension_bytes = (uint16_t)bytes;
	first = harness_queue_extended(&h, PLANE, q, 3, extension, bytes);
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
	q[1] = q[2];
	q[1].query_id = 1;
	memcpy(extension + bytes, extension, bytes);
	second = harness_queue_extended(&h, PLANE, q + 1, 2, extension, 2 * bytes);
	harness_turn(&h);
	harness_answer(&h, first, 0, &a);
	CU_ASSERT(a.whole && a.count == 1 && a.form == 0);
	harness_answer(&h, first, 1, &a);
	CU_ASSERT(a.whole && a.reason == PE_REASON_query_flags);
	harness_answer(&h, first, 2, &a);
	CU_ASSERT(a.whole && a.count == 1 && a.form == PE_ANSWER_SHORT);
	harness_answer(&h, second, 1, &a);
	CU_ASSERT(a.whole && a.count == 1 && a.form == PE_ANSWER_SHORT);
	stop();
}

// One class asks for far more than a turn can do, each of the others for a little more than its
// share: what is walked for each.
static void share_of_work(uint8_t flood)
{
	struct pe_engine_config config = harness_config();
	static struct harness_answer a;
	uint64_t results[CLASSES] = {0}, all = 0;
	unsigned turns = 50;

	config.query_cells_max = 200; // 400 a turn
	config.query_results_max = 4096;
	start_with(&config);
	fill(900);
	for (unsigned turn = 0; turn < turns; turn++) {
		uint64_t sequence[CLASSES][8];
		unsigned messages[CLASSES];

		for (unsigned i = 0; i < CLASSES; i++) {
			messages[i] = from_above[i] == flood ? 8 : 2;
			for (unsigned k = 0; k < messages[i]; k++)
				sequence[i][k] = queue(from_above[i], PE_QUERY_COUNT_MAX, 1e5);
		}
		harness_turn(&h);
		for (unsigned i = 0; i < CLASSES; i++)
			for (unsigned k = 0; k < messages[i]; k++)
				for (unsigned q = 0; q < PE_QUERY_COUNT_MAX; q++) {
					harness_answer(
						&h, sequence[i][k], from_above[i] * 1000u + q, &a);
					CU_ASSERT(a.whole && !a.reason && a.truncated);
					results[i] += a.count;
				}
	}
	for (unsigned i = 0; i < CLASSES; i++)
		all += results[i];
	// An entity a cell: what was found is what was walked. 8, 4, 2 and 1 fifteenths.
	for (unsigned i = 0; i < CLASSES; i++) {
		double share = (double)results[i] / (double)all;

		CU_ASSERT(fabs(share - (double)(8u >> i) / 15) < 0.02);
		CU_ASSERT_EQUAL(harness_counter(&h, PE_COUNTER_work_cut_normal + from_above[i]),
			turns * (from_above[i] == flood ? 8 : 2) * PE_QUERY_COUNT_MAX);
	}
	CU_ASSERT(results[CLASSES - 1] * 20 >= all);
	stop();
}

static void shares_of_work(void)
{
	for (uint8_t flood = 0; flood < CLASSES; flood++)
		share_of_work(flood);
}

// What a class does not use is for those below it, and a class alone has everything.
static void what_is_left(void)
{
	struct pe_engine_config config = harness_config();
	static struct harness_answer a;
	uint64_t sequence;

	config.query_cells_max = 200;
	start_with(&config);
	fill(900);
	sequence = queue(PE_PRIORITY_LOW, 1, 1e5);
	harness_turn(&h);
	harness_answer(&h, sequence, 1000, &a);
	CU_ASSERT_EQUAL(a.count, 200);
	(void)queue(PE_PRIORITY_CRITICAL, 1, 10);
	sequence = queue(PE_PRIORITY_LOW, 1, 1e5);
	harness_turn(&h);
	harness_answer(&h, sequence, 1000, &a);
	CU_ASSERT_EQUAL(a.count, 200);
	stop();
}

// A source that takes 20 messages a turn, and a class that could fill a hundred: what of the others
// leaves.
static void share_of_room(uint8_t flood, unsigned room)
{
	uint64_t answers[CLASSES] = {0}, all = 0, before[CLASSES];
	unsigned turns = 300;

	start();
	fill(900);
	h.buffers_a_turn = room;
	for (unsigned i = 0; i < CLASSES; i++)
		before[i] = harness_counter(&h, answered_of[i]);
	for (unsigned turn = 0; turn < turns; turn++) {
		// Each answer fills some messages of a destination of its own.
		for (unsigned i = 0; i < CLASSES; i++)
			for (unsigned k = 0; k < (from_above[i] == flood ? 40 : 4); k++) {
				h.port = (uint16_t)(1000 + 100 * i + k);
				(void)queue(from_above[i], 1, 130);
			}
		harness_turn(&h);
	}
	for (unsigned i = 0; i < CLASSES; i++) {
		answers[i] = harness_counter(&h, answered_of[i]) - before[i];
		all += answers[i];
	}
	CU_ASSERT(all * 10 >= turns * 9ull);   // one fits a message
	for (unsigned i = 0; i < CLASSES; i++) // 5 % or all that it asked for
		CU_ASSERT(answers[i] * 20 >= all || answers[i] == 4ull * turns);
	// Shedding ends when the source takes all again.
	h.buffers_a_turn = 0;
	for (unsigned turn = 0; turn < 60; turn++) {
		for (unsigned i = 0; i < CLASSES; i++)
			(void)queue(from_above[i], PE_QUERY_COUNT_MAX, 10);
		harness_turn(&h);
	}
	all = HARNESS_REASON(&h, answer_no_buffer);
	for (unsigned i = 0; i < CLASSES; i++)
		(void)queue(from_above[i], PE_QUERY_COUNT_MAX, 300);
	harness_turn(&h);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, answer_no_buffer), all);
	stop();
}

static void shares_of_room(void)
{
	static const unsigned rooms[] = {1, 3, 7, 20};

	for (uint8_t flood = 0; flood < CLASSES; flood++)
		for (unsigned i = 0; i < 4; i++)
			share_of_room(flood, rooms[i]);
}

// No favour for who is not trusted: NORMAL at most, and a request's queries share one message and
// its lowest class.
static void strangers(void)
{
	static struct harness_answer a;
	struct pe_wire_query q[2];
	uint64_t sequence;

	start();
	fill(10);
	h.untrusted = true;
	(void)queue(PE_PRIORITY_CRITICAL, 3, 10);
	for (unsigned i = 0; i < 2; i++) {
		q[i] = harness_sphere(1000, 400, 0, 10);
		q[i].query_id = i;
		q[i].priority = i ? PE_PRIORITY_LOW : PE_PRIORITY_HIGH;
	}
	h.port++;
	sequence = harness_queue_queries(&h, PLANE, q, 2);
	harness_turn(&h);
	for (unsigned i = 0; i < 2; i++) {
		harness_answer(&h, sequence, i, &a);
		CU_ASSERT(a.whole && !a.reason);
	}
	CU_ASSERT_EQUAL(h.reply_count, 2);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_critical), 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_normal), 3);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_low), 2);
	stop();
}

// Polygons that are costly to make ready: those for which the turn has no work left are put off,
// whole, and come later.
static void polygons(void)
{
	struct pe_engine_config config = harness_config();
	static struct harness_answer a;
	static double vertices[256][2];
	uint8_t extension[PE_WIRE_BYTES_MAX];
	const unsigned ring = 256;
	struct pe_wire_query q = {
		.query_id = 1, .kind = PE_QUERY_POLYGON, .flags = PE_QUERY_HAS_EXTENSION};
	unsigned answered = 0, postponed = 0;
	uint64_t sequence[PE_BURST_MAX];

	for (unsigned i = 0; i < ring; i++) {
		vertices[i][0] = 500 * cos(2 * M_PI * i / ring);
		vertices[i][1] = 500 * sin(2 * M_PI * i / ring);
	}
	q.extension_bytes = (uint16_t)pe_wire_put_polygon(extension, 0, sizeof extension,
		PE_VERTICES_I16, (const double(*)[2])vertices, &ring, 1, -INFINITY, INFINITY);
	config.query_cells_max = 5000; // 10,000 a turn: nine at 1,024, and what they walk
	start_with(&config);
	fill(5);
	for (unsigned i = 0; i < PE_BURST_MAX; i++)
		sequence[i] =
			harness_queue_extended(&h, PLANE, &q, 1, extension, q.extension_bytes);
	harness_turn(&h);
	for (unsigned i = 0; i < PE_BURST_MAX; i++) {
		harness_answer(&h, sequence[i], 1, &a);
		CU_ASSERT(a.whole && !a.reason);
		answered += !a.truncated;
		if (a.truncated && !a.count)
			postponed++;
	}
	CU_ASSERT(answered >= 5 && answered <= 10);
	CU_ASSERT(postponed >= PE_BURST_MAX - 12);
	CU_ASSERT(HARNESS_COUNTER(&h, work_cut_normal) >= postponed);
	// The last one goes on with what it was given.
	harness_answer(&h, sequence[PE_BURST_MAX - 1], 1, &a);
	q.flags |= PE_QUERY_HAS_CURSOR;
	memcpy(q.cursor, a.cursor, sizeof q.cursor);
	sequence[0] = harness_queue_extended(&h, PLANE, &q, 1, extension, q.extension_bytes);
	harness_turn(&h);
	harness_answer(&h, sequence[0], 1, &a);
	CU_ASSERT(a.whole && !a.reason && !a.truncated && a.count == 5);
	stop();
}

TESTING_MAIN("engine priority", {"higher first", higher_first},
	{"mixed with others", mixed_with_others}, {"shares of work", shares_of_work},
	{"what is left", what_is_left}, {"shares of room", shares_of_room},
	{"strangers", strangers}, {"polygons", polygons})
