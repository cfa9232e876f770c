// How finely a query is answered: ages, short results, counts by cell; and what is told of a filter
// that is none.
#include "testing_engine.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

static struct harness_answer a;
static uint8_t extension[PE_WIRE_BYTES_MAX];

static void ask(unsigned space, const struct pe_wire_query *q, float spatial_m,
	uint32_t temporal_ms, float attribute)
{
	const struct pe_wire_resolution r = {spatial_m, temporal_ms, attribute, 0};

	harness_ask_extended(&h, 0, space, q, extension,
		pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r),
		&a);
	CU_ASSERT(a.whole);
}

static void put(unsigned space, uint64_t n, double x, double y, double z, int32_t age_ms)
{
	struct pe_wire_update u = harness_update(n, 1, x, y, z);

	u.time_offset_ms = -age_ms;
	CU_ASSERT_EQUAL(harness_send(&h, space, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
}

// Every entity that the table has room for, whatever its handle, is counted once, and leaves alone
// what was counted.
static void full_table(void)
{
	const struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	uint32_t total = 0;

	start();
	for (unsigned n = 1; n <= 1000; n++)
		put(PLANE, n, n * 0.5, 3, 0, 0);
	for (unsigned again = 0; again < 2; again++) {
		ask(PLANE, &q, 64, 0, 0.5f);
		total = 0;
		for (unsigned i = 0; i < a.count; i++)
			total += a.cells[i].count;
		CU_ASSERT_EQUAL(total, 1000);
	}
	stop();
}

static void temporal(void)
{
	const struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);

	start();
	for (unsigned n = 1; n <= 10; n++)
		put(PLANE, n, n, 0, 0, 100 * (int32_t)n);
	ask(PLANE, &q, 0, 0, 0.5f);
	CU_ASSERT_EQUAL(a.count, 10);
	ask(PLANE, &q, 0, 500, 0.5f); // the edge is inside
	CU_ASSERT_EQUAL(a.count, 5);
	ask(PLANE, &q, 0, 499, 0.5f);
	CU_ASSERT_EQUAL(a.count, 4);
	ask(PLANE, &q, 0, 99, 0.5f);
	CU_ASSERT_EQUAL(a.count, 0);
	// What is too old does not count for max_results, nor in a cell.
	struct pe_wire_query most = q;

	most.max_results = 5;
	ask(PLANE, &most, 0, 500, 0.5f);
	CU_ASSERT_EQUAL(a.count, 5);
	CU_ASSERT_FALSE(a.truncated);
	ask(PLANE, &q, 64, 500, 0.5f);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	CU_ASSERT_EQUAL(a.cells[0].count, 5);
	CU_ASSERT_EQUAL(a.cells[0].newest_age_ms, 100);
	// It grows with the time.
	harness_advance(&h, 150);
	ask(PLANE, &q, 0, 500, 0.5f);
	CU_ASSERT_EQUAL(a.count, 3);
	stop();
}

static void attribute(void)
{
	const struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	struct pe_wire_update u = harness_update(100, 1, 10, 20, 0);
	const struct pe_wire_query there = harness_sphere(10, 20, 0, 1000);

	start();
	for (unsigned n = 1; n <= 66; n++)
		put(PLANE, n, n, 2 * n, 3 * n, 0);
	ask(PLANE, &q, 0, 0, 0.5f);
	CU_ASSERT_EQUAL(a.form, 0);
	CU_ASSERT_EQUAL(a.part_count, 4);
	// 33 fit a message.
	ask(PLANE, &q, 0, 0, 0.49f);
	CU_ASSERT_EQUAL(a.form, PE_ANSWER_SHORT);
	CU_ASSERT_EQUAL(a.count, 66);
	CU_ASSERT_EQUAL(a.part_count, 2);
	for (unsigned i = 0; i < a.count; i++) {
		double n = (double)harness_id_number(a.results[i].entity_id);

		CU_ASSERT(a.results[i].position[0] == n && a.results[i].position[1] == 2 * n &&
			a.results[i].position[2] == 3 * n);
	}
	ask(PLANE, &q, 0, 0, 0);
	CU_ASSERT_EQUAL(a.form, PE_ANSWER_SHORT);
	// Everything: with details, of which there are none here.
	ask(PLANE, &q, 0, 0, 1);
	CU_ASSERT(a.form == 0 && a.details_bytes == 66 * sizeof(struct pe_wire_details));
	CU_ASSERT_EQUAL(a.count, 66);
	ask(PLANE, &q, 0, 0, 0.99f);
	CU_ASSERT(a.form == 0 && a.details_bytes == 0);
	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	CU_ASSERT_EQUAL(harness_send(&h, EARTH, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	ask(EARTH, &there, 0, 0, 0);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	CU_ASSERT(a.results[0].state & PE_RESULT_HEIGHT_UNKNOWN);
	// The nearest in short, in their order.
	struct pe_wire_query nearest = {.query_id = 1, .kind = PE_QUERY_NEAREST, .max_results = 40};

	ask(PLANE, &nearest, 0, 0, 0);
	CU_ASSERT_EQUAL_FATAL(a.count, 40);
	for (unsigned i = 0; i < 40; i++)
		CU_ASSERT_EQUAL(harness_id_number(a.results[i].entity_id), i + 1);
	stop();
}

static void refused(void)
{
	static const float bad[] = {-1, -0.0f, NAN, INFINITY};
	const struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	const struct pe_wire_query nearest = {
		.query_id = 1, .kind = PE_QUERY_NEAREST, .max_results = 4};
	uint64_t n = 0;

	start();
	for (unsigned i = 0; i < 4; i++) {
		ask(PLANE, &q, bad[i], 0, 0.5f);
		CU_ASSERT_EQUAL(a.reason, PE_REASON_query_resolution);
		ask(PLANE, &q, 0, 0, bad[i]);
		CU_ASSERT_EQUAL(a.reason, PE_REASON_query_resolution);
		CU_ASSERT_EQUAL(a.form, 0);
		n += 2;
	}
	ask(PLANE, &q, 0, 0, 1.01f);
	CU_ASSERT_EQUAL(a.reason, PE_REASON_query_resolution);
	ask(PLANE, &nearest, 64, 0, 0.5f);
	CU_ASSERT_EQUAL(a.reason, PE_REASON_query_resolution);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, query_resolution), n + 2);
	stop();
}

static void cells(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	struct pe_wire_update u;

	start();
	put(PLANE, 1, 1, 1, 1, 0);
	put(PLANE, 2, 63.9, 1, 1000, 7);
	put(PLANE, 3, 64, 1, 1, 0);
	put(PLANE, 4, -1, 1, 1, 0);
	ask(PLANE, &q, 100, 0, 0.5f);
	CU_ASSERT_EQUAL(a.form, PE_ANSWER_CELLS);
	CU_ASSERT_EQUAL_FATAL(a.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct pe_wire_cell *c = &a.cells[i];

		CU_ASSERT(c->size_m == 64 && c->height_m == 1024 && c->level == 0 && !c->flags);
		CU_ASSERT(c->centre[1] == 32 && c->centre[2] == 512);
		CU_ASSERT_EQUAL(c->count, c->centre[0] == 32 ? 2 : 1);
	}
	ask(PLANE, &q, 511, 0, 0.5f); // not eight leaves yet
	CU_ASSERT_EQUAL(a.count, 3);
	ask(PLANE, &q, 512, 0, 0.5f);
	CU_ASSERT_EQUAL(a.count, 2);
	CU_ASSERT(a.cells[0].size_m == 512 && a.cells[0].level == 1);
	ask(PLANE, &q, 8, 0, 0.5f);
	CU_ASSERT_EQUAL_FATAL(a.count, 4);
	CU_ASSERT(a.cells[0].size_m == 8 && a.cells[0].level == -3);
	ask(PLANE, &q, 1e-30f, 0, 0.5f); // no finer than that
	CU_ASSERT(a.count == 4 && a.cells[0].size_m == 8);
	q.max_results = 63; // less than a leaf's parts: whole leaves
	ask(PLANE, &q, 8, 0, 0.5f);
	CU_ASSERT(a.count == 3 && a.cells[0].size_m == 64);
	// The same cell again: the place of its middle is its name. One that leaves its cell is
	// counted in the new one, at once.
	u = harness_update(2, 2, 65, 1, 1000);
	CU_ASSERT_EQUAL(harness_send(&h, PLANE, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	q.max_results = 1;
	for (unsigned page = 0, sum = 0; page < 3; page++) {
		ask(PLANE, &q, 64, 0, 0.5f);
		CU_ASSERT_EQUAL_FATAL(a.count, 1);
		CU_ASSERT_EQUAL(a.truncated, page < 2);
		CU_ASSERT_EQUAL(a.cells[0].count, a.cells[0].centre[0] == 96 ? 2 : 1);
		sum += a.cells[0].count;
		CU_ASSERT(page < 2 || sum == 4);
		q.flags = PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	}
	// Nothing past its ttl.
	q = harness_sphere(0, 0, 0, 1e6);
	harness_advance(&h, PE_TTL_DEFAULT_MS);
	ask(PLANE, &q, 1e6f, 0, 0.5f);
	CU_ASSERT_EQUAL(a.count, 0);
	stop();
}

static void cells_on_earth(void)
{
	struct pe_wire_query q = harness_sphere(0, 180, 0, 1000);
	uint32_t sum = 0;

	start();
	for (unsigned n = 1; n <= 20; n++) // about the antimeridian
		put(EARTH, n, 0, n % 2 ? 179.9999 : -179.9999, 0, 0);
	ask(EARTH, &q, 64, 0, 0.5f);
	CU_ASSERT(a.count >= 2);
	for (unsigned i = 0; i < a.count; i++) {
		sum += a.cells[i].count;
		CU_ASSERT(fabs(a.cells[i].centre[0]) < 0.001 &&
			fabs(a.cells[i].centre[1]) > 179.998 && a.cells[i].centre[2] == 0);
	}
	CU_ASSERT_EQUAL(sum, 20);
	ask(EARTH, &q, 1e9f, 0, 0.5f); // never coarser than this
	CU_ASSERT(a.count >= 1 && a.cells[0].size_m == 1048576);
	stop();
}

// A source that is not trusted gets as many as its request is long, and goes on.
static void strangers(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	uint32_t sum = 0, pages = 0;

	start();
	for (unsigned n = 1; n <= 100; n++)
		put(PLANE, n, 64 * n, 0, 0, 0);
	h.untrusted = true;
	do {
		ask(PLANE, &q, 64, 0, 0.5f);
		CU_ASSERT(a.count <= 2); // 232 bytes: two records behind the heads
		for (unsigned i = 0; i < a.count; i++)
			sum += a.cells[i].count;
		q.flags = PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	} while (a.truncated && ++pages < 200);
	CU_ASSERT_EQUAL(sum, 100);
	q = harness_sphere(0, 0, 0, 1e6);
	ask(PLANE, &q, 0, 0, 0);
	CU_ASSERT(a.count == 2 && a.form == PE_ANSWER_SHORT && a.truncated);
	stop();
}

// The program's first fault is told with its step and its byte.
static void faults(void)
{
	// type mobile; an operation that there is not
	const uint8_t program[] = {16, 0, 2, 0, 0, 0, 0, 0, 16, 0, 2, 0, 15, 0, 0, 0};
	const struct pe_wire_query q = harness_sphere(0, 0, 0, 1);
	uint32_t bytes = pe_wire_put_block(
		extension, 0, sizeof extension, PE_BLOCK_FILTER, program, sizeof program);

	start();
	// Bytes 0–7 are the program's head.
	extension[8] = 16;
	extension[10] = 2; // steps
	harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
	CU_ASSERT_EQUAL(a.reason, PE_REASON_query_program);
	CU_ASSERT_EQUAL(PE_ANSWER_FAULT(a.detail), PE_FILTER_OPERATION);
	CU_ASSERT_EQUAL(PE_ANSWER_FAULT_STEP(a.detail), 1);
	CU_ASSERT_EQUAL(PE_ANSWER_FAULT_AT(a.detail), 12);
	// An empty one: of the whole.
	bytes = pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_FILTER, program, 0);
	harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
	CU_ASSERT_EQUAL(a.detail, pe_answer_fault(PE_FILTER_SHORT, PE_FILTER_NO_STEP, 0));
	// Other refusals and answers have none.
	ask(PLANE, &q, -1, 0, 0.5f);
	CU_ASSERT_EQUAL(a.detail, 0);
	ask(PLANE, &q, 0, 0, 0.5f);
	CU_ASSERT_EQUAL(a.detail, 0);
	stop();
}

TESTING_MAIN("engine resolution", {"temporal", temporal}, {"attribute", attribute},
	{"refused", refused}, {"cells", cells}, {"cells of a full table", full_table},
	{"cells on earth", cells_on_earth}, {"strangers", strangers}, {"faults of filters", faults})
