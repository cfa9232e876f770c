// Queries that have an extension, through the façade: polygons, oriented boxes, frusta and filters;
// and the nearest.
#include "testing_engine.h"
#include "wire/extension.h"
#include "wire/filter.h"

#include <math.h>

static struct harness_answer a;
static uint8_t extension[PE_WIRE_BYTES_MAX];

static void put(unsigned space, uint64_t n, double x, double y, double z)
{
	struct pe_wire_update u = harness_update(n, 1, x, y, z);

	CU_ASSERT_EQUAL(harness_send(&h, space, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
}

// As put, of a height that is not known.
static void put_flat(uint64_t n, double latitude, double longitude)
{
	struct pe_wire_update u = harness_update(n, 1, latitude, longitude, 0);

	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	CU_ASSERT_EQUAL(harness_send(&h, EARTH, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
}

#define BIT(n) (1ull << (n))

static uint64_t ids(void)
{
	uint64_t mask = 0;

	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS && !a.truncated);
	for (unsigned i = 0; i < a.count; i++) {
		uint64_t bit = BIT(harness_id_number(a.results[i].entity_id));

		mask |= mask & bit ? BIT(63) : bit;
	}
	return mask;
}

static uint64_t ask(unsigned space, const struct pe_wire_query *q, uint32_t bytes)
{
	harness_ask_extended(&h, 0, space, q, extension, bytes, &a);
	return ids();
}

static struct pe_wire_query query(enum pe_query_kind kind, double x, double y, double z)
{
	return (struct pe_wire_query){.query_id = 1, .kind = (uint8_t)kind, .a = {x, y, z}};
}

static uint32_t put_polygon(enum pe_vertex_form form, const double (*vertices)[2], unsigned outer,
	unsigned hole, double low, double high)
{
	return pe_wire_put_polygon(extension, 0, sizeof extension, form, vertices,
		(const unsigned[]){outer, hole}, hole ? 2 : 1, low, high);
}

static uint32_t put_box(double x, double y, double z, const double orientation[4])
{
	struct pe_wire_oriented_box b = {.half = {x, y, z}};

	memcpy(b.orientation, orientation, sizeof b.orientation);
	return pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_VOLUME, &b, sizeof b);
}

static uint32_t put_frustum(
	double horizontal, double vertical, double near, double far, const double orientation[4])
{
	struct pe_wire_frustum f = {.horizontal_deg = horizontal,
		.vertical_deg = vertical,
		.near_m = near,
		.far_m = far};

	memcpy(f.orientation, orientation, sizeof f.orientation);
	return pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_VOLUME, &f, sizeof f);
}

// Steps that have no constant, behind what is in the extension already.
static uint32_t put_filter(uint32_t used, const struct pe_wire_filter_step *steps, unsigned count)
{
	struct pe_filter_writer writer;
	struct pe_filter_error error;
	uint8_t program[PE_FILTER_BYTES_MAX];
	uint32_t bytes;

	pe_filter_begin(&writer);
	for (unsigned i = 0; i < count; i++)
		pe_filter_put(&writer, (enum pe_filter_op)steps[i].op, steps[i].argument,
			steps[i].operand);
	bytes = pe_filter_finish(&writer, program, &error);
	CU_ASSERT(bytes > 0);
	return pe_wire_put_block(
		extension, used, sizeof extension, PE_BLOCK_FILTER, program, bytes);
}

static const double level[4] = {0, 0, 0, 1};
static const double left_45[4] = {0, 0, 0.38268343236508977, 0.92387953251128674};
static const double left_90[4] = {0, 0, 0.70710678118654752, 0.70710678118654752};

static void polygons_on_the_plane(void)
{
	static const double l_shape[][2] = {{0, 0}, {100, 0}, {100, 50}, {50, 50}, {50, 100},
		{0, 100}, {10, 10}, {20, 10}, {20, 20}, {10, 20}};
	struct pe_wire_query q = query(PE_QUERY_POLYGON, 0, 0, 0);

	start();
	put(PLANE, 1, 25, 25, 0);
	put(PLANE, 2, 75, 75, 0); // in the notch
	put(PLANE, 3, 15, 15, 0); // in the hole
	put(PLANE, 4, 75, 25, 500);
	put(PLANE, 5, 75, 25, 501);
	put(PLANE, 6, 25, 75, -10);
	put(PLANE, 7, -0.001, 25, 0);
	for (unsigned form = 0; form < 2; form++) {
		enum pe_vertex_form f = (enum pe_vertex_form)form;

		CU_ASSERT_EQUAL(ask(PLANE, &q, put_polygon(f, l_shape, 6, 4, -10, 500)),
			BIT(1) | BIT(4) | BIT(6));
		CU_ASSERT_EQUAL(ask(PLANE, &q, put_polygon(f, l_shape, 6, 0, -INFINITY, INFINITY)),
			BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6));
	}
	// Distances and reach count from a.
	for (unsigned i = 0; i < a.count; i++)
		if (harness_id_number(a.results[i].entity_id) == 1)
			CU_ASSERT(fabs((double)a.results[i].distance_m - sqrt(1250)) < 0.001);
	stop();
}

static void polygons_on_the_earth(void)
{
	static const double across[][2] = {{-1, 179}, {-1, -179}, {1, -179}, {1, 179}};
	static const double pole[][2] = {{89, 0}, {89, 90}, {89, 180}, {89, -90}};
	struct pe_wire_query q = query(PE_QUERY_POLYGON, 0, 180, 0);

	start();
	put(EARTH, 1, 0, 179.5, 100);
	put(EARTH, 2, 0, -179.5, 200);
	put(EARTH, 3, 0, 178.9, 100);
	put_flat(4, 0.5, 180);
	CU_ASSERT_EQUAL(
		ask(EARTH, &q, put_polygon(PE_VERTICES_F64, across, 4, 0, -INFINITY, INFINITY)),
		BIT(1) | BIT(2) | BIT(4));
	// A height that is not known is in no range.
	CU_ASSERT_EQUAL(
		ask(EARTH, &q, put_polygon(PE_VERTICES_F64, across, 4, 0, -INFINITY, 150)), BIT(1));
	CU_ASSERT_EQUAL(ask(EARTH, &q, put_polygon(PE_VERTICES_F64, across, 4, 0, -100, INFINITY)),
		BIT(1) | BIT(2));
	put(EARTH, 5, 90, 0, 0);
	put(EARTH, 6, 89.5, -135, 0);
	put(EARTH, 7, 88.9, 45, 0);
	q.a[0] = 90;
	CU_ASSERT_EQUAL(
		ask(EARTH, &q, put_polygon(PE_VERTICES_F64, pole, 4, 0, -INFINITY, INFINITY)),
		BIT(5) | BIT(6));
	stop();
}

// More polygons in one message than are prepared at once, and other kinds between them.
static void many_polygons(void)
{
	struct pe_wire_query q[10];
	uint8_t all[PE_WIRE_BYTES_MAX];
	uint32_t bytes = 0;
	uint64_t packet;
	unsigned asked = 0;

	start();
	for (unsigned i = 0; i < 8; i++)
		put(PLANE, 1 + i, 100 * i + 5.0, 5, 0);
	for (unsigned i = 0; i < 8; i++) {
		double x = 100.0 * i, triangle[][2] = {{x, 0}, {x + 10, 0}, {x + 5, 10}};
		uint32_t one =
			put_polygon(PE_VERTICES_I16, (const double(*)[2])triangle, 3, 0, -1, 1);

		if (i % 4 == 3) { // a sphere
			q[asked] = harness_sphere(x, 0, 0, 20);
		} else {
			q[asked] = query(PE_QUERY_POLYGON, x, 0, 0);
			q[asked].flags = PE_QUERY_HAS_EXTENSION;
			q[asked].extension_bytes = (uint16_t)one;
			CU_ASSERT_FATAL(bytes + one <= sizeof all);
			memcpy(all + bytes, extension, one);
			bytes += one;
		}
		q[asked++].query_id = i;
		if (80 + asked * 128 + bytes + 300 > PE_WIRE_BYTES_MAX)
			break;
	}
	CU_ASSERT(asked >= 5);
	packet = harness_queue_extended(&h, PLANE, q, asked, all, bytes);
	(void)harness_queue_extended(&h, PLANE, q, asked, all, bytes);
	harness_turn(&h);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < asked; i++) {
			harness_answer(&h, packet + k, i, &a);
			CU_ASSERT_EQUAL(ids(), BIT(1 + i));
		}
	stop();
}

// Extensions of queries that are refused are passed over, whatever their length.
static void after_a_refusal(void)
{
	static const double area[][2] = {{-9, -9}, {9, -9}, {0, 9}};
	struct pe_wire_query q[4] = {{.kind = 9}, query(PE_QUERY_POLYGON, 0, 0, 0),
		query(PE_QUERY_POLYGON, 0, 0, 0), query(PE_QUERY_POLYGON, 0, 0, 0)};
	static const enum pe_reason reasons[4] = {
		PE_REASON_query_kind, PE_REASON_query_extension, PE_REASON_none, PE_REASON_none};
	uint8_t all[PE_WIRE_BYTES_MAX] = {0};
	uint32_t one, bytes = 16 + 13;
	uint64_t packet;

	start();
	put(PLANE, 1, 0, 0, 0);
	one = put_polygon(PE_VERTICES_F64, area, 3, 0, -1, 1);
	for (unsigned i = 0; i < 4; i++) {
		q[i].query_id = i;
		q[i].flags = PE_QUERY_HAS_EXTENSION;
		q[i].extension_bytes = (uint16_t)(i == 0 ? 16 : i == 1 ? 13 : one);
	}
	for (unsigned i = 0; i < 2; i++, bytes += one)
		memcpy(all + bytes, extension, one);
	packet = harness_queue_extended(&h, PLANE, q, 4, all, bytes);
	harness_turn(&h);
	for (unsigned i = 0; i < 4; i++) {
		harness_answer(&h, packet, i, &a);
		CU_ASSERT(a.whole);
		CU_ASSERT_EQUAL(a.reason, reasons[i]);
		CU_ASSERT_EQUAL(a.count, i >= 2);
	}
	stop();
}

static void oriented_boxes(void)
{
	struct pe_wire_query q = query(PE_QUERY_ORIENTED_BOX, 100, 100, 0);

	start();
	// Turned by 45° to the left: its long axis leads to the north-east.
	put(PLANE, 1, 100, 100, 0);
	put(PLANE, 2, 165, 165, 0); // 91.9 m along
	put(PLANE, 3, 35, 165, 0);  // across
	put(PLANE, 4, 172, 172, 0); // 101.8 m along
	put(PLANE, 5, 100, 100, 20);
	put(PLANE, 6, 100, 100, 20.001);
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_box(100, 10, 20, left_45)), BIT(1) | BIT(2) | BIT(5));
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_box(10, 100, 20, left_45)), BIT(1) | BIT(3) | BIT(5));
	// On Earth: east, north and up of the centre; heights count, and have to be known.
	put(EARTH, 11, 60, 25, 50);
	put(EARTH, 12, 60, 25.001, 50);  // 55.8 m to the east
	put(EARTH, 13, 60.0005, 25, 50); // 55.7 m to the north
	put(EARTH, 14, 60, 25, 80);
	put_flat(15, 60, 25);
	q = query(PE_QUERY_ORIENTED_BOX, 60, 25, 50);
	CU_ASSERT_EQUAL(ask(EARTH, &q, put_box(60, 10, 20, level)), BIT(11) | BIT(12));
	CU_ASSERT_EQUAL(ask(EARTH, &q, put_box(60, 10, 20, left_90)), BIT(11) | BIT(13));
	stop();
}

static void frusta(void)
{
	struct pe_wire_query q = query(PE_QUERY_FRUSTUM, 0, 0, 0);

	start();
	put(PLANE, 1, 10, 0, 0);
	put(PLANE, 2, 50, 49, 0);
	put(PLANE, 3, 50, 51, 0);
	put(PLANE, 4, 50, 0, 28); // 30° up are 28.87 m
	put(PLANE, 5, 50, 0, 30);
	put(PLANE, 6, 101, 0, 0);
	put(PLANE, 7, 4, 0, 0);
	put(PLANE, 8, -10, 0, 0);
	put(PLANE, 9, 0, 10, 0);
	CU_ASSERT_EQUAL(
		ask(PLANE, &q, put_frustum(90, 60, 5, 100, level)), BIT(1) | BIT(2) | BIT(4));
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_frustum(60, 60, 0, 100, left_90)), BIT(9));
	put(EARTH, 11, -5, 179.9999, 100); // 55.4 m to the west of it, 11.1 m to the east:
	put(EARTH, 12, -5, -179.9999, 100);
	put(EARTH, 13, -4.9999, 180, 100);
	put_flat(14, -5, -179.9999);
	q = query(PE_QUERY_FRUSTUM, -5, 180, 100);
	CU_ASSERT_EQUAL(ask(EARTH, &q, put_frustum(60, 60, 0, 100, level)), BIT(12));
	CU_ASSERT_EQUAL(ask(EARTH, &q, put_frustum(60, 60, 0, 100, left_90)), BIT(13));
	stop();
}

static void filters(void)
{
	static const struct pe_wire_filter_step mobile_or_busy[] = {{PE_FILTER_TYPE, 0,
									    1 << PE_ENTITY_MOBILE},
		{PE_FILTER_STATE, 0, 1 << PE_STATE_BUSY}, {PE_FILTER_OR, 0, 0}},
						sure[] = {{PE_FILTER_POSITION_CONFIDENCE,
							PE_FILTER_GREATER_EQUAL, 128}},
						unsure[] = {{PE_FILTER_POSITION_CONFIDENCE,
								    PE_FILTER_GREATER_EQUAL, 128},
							{PE_FILTER_NOT, 0, 0}};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	int64_t age_ms = 5000;
	double radius_m = 500;
	uint8_t id[16];
	uint32_t bytes;

	start();
	for (unsigned n = 1; n <= 8; n++) {
		struct pe_wire_update u = harness_update(n, 1, n, 0, 0);

		u.entity_type = n & 1 ? PE_ENTITY_MOBILE : PE_ENTITY_STATIC;
		u.attributes = n & 2 ? PE_STATE_BUSY : PE_STATE_ACTIVE;
		u.position_confidence = n & 4 ? 200 : n == 8 ? 100 : 0;
		u.time_offset_ms = n > 4 ? -9000 : 0;
		u.radius_m = n == 3 ? 400 : 0;
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_filter(0, mobile_or_busy, 3)),
		BIT(1) | BIT(2) | BIT(3) | BIT(5) | BIT(6) | BIT(7));
	// Masks are there as well.
	q.state_mask = 1 << PE_STATE_ACTIVE;
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_filter(0, mobile_or_busy, 3)), BIT(1) | BIT(5));
	q.state_mask = 0;
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_filter(0, sure, 1)), BIT(4) | BIT(5) | BIT(6) | BIT(7));
	CU_ASSERT_EQUAL(
		ask(PLANE, &q, put_filter(0, unsure, 2)), BIT(1) | BIT(2) | BIT(3) | BIT(8));
	{
		struct pe_filter_writer w;
		struct pe_filter_error error;
		uint8_t program[PE_FILTER_BYTES_MAX];
		static const uint8_t ferry[] = "ferry";

#define ASK(...) \
	(pe_filter_begin(&w), __VA_ARGS__, bytes = pe_filter_finish(&w, program, &error), \
		bytes = pe_wire_put_block( \
			extension, 0, sizeof extension, PE_BLOCK_FILTER, program, bytes), \
		ask(PLANE, &q, bytes))
		harness_id(id, 6);
		CU_ASSERT_EQUAL(ASK(pe_filter_put_constant(&w, PE_FILTER_ID, 1, id, 16)), BIT(6));
		CU_ASSERT_EQUAL(ASK(pe_filter_put_constant(
					&w, PE_FILTER_AGE, PE_FILTER_GREATER, &age_ms, 8)),
			BIT(5) | BIT(6) | BIT(7) | BIT(8));
		CU_ASSERT_EQUAL(ASK(pe_filter_put_constant(
					&w, PE_FILTER_RADIUS, PE_FILTER_LESS, &radius_m, 8)),
			BIT(3));
		// What no entity has yet: false, and not false is true.
		CU_ASSERT_EQUAL(ASK(pe_filter_put_text(&w, PE_FILTER_TAG, ferry, 5)), 0);
		CU_ASSERT_EQUAL(ASK(pe_filter_put_text(&w, PE_FILTER_META_EXISTS, ferry, 5),
					pe_filter_put(&w, PE_FILTER_NOT, 0, 0)),
			0x1FE);
#undef ASK
	}
	// Beside a volume, and for the nearest: what is refused does not count.
	q = query(PE_QUERY_ORIENTED_BOX, 0, 0, 0);
	CU_ASSERT_EQUAL(
		ask(PLANE, &q, put_filter(put_box(5.5, 1, 1, level), sure, 1)), BIT(4) | BIT(5));
	q = query(PE_QUERY_NEAREST, 0, 0, 0);
	q.max_results = 2;
	CU_ASSERT_EQUAL(ask(PLANE, &q, put_filter(0, sure, 1)), BIT(4) | BIT(5));
	stop();
}

// The ids of the answer, in its order.
static void expect_order(const unsigned *expected, unsigned count)
{
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS && !a.truncated);
	CU_ASSERT_EQUAL_FATAL(a.count, count);
	for (unsigned i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(harness_id_number(a.results[i].entity_id), expected[i]);
		CU_ASSERT(i == 0 || a.results[i].distance_m >= a.results[i - 1].distance_m);
	}
}

static void nearest(void)
{
	struct pe_wire_query q = query(PE_QUERY_NEAREST, 0, 0, 0);

	start();
	put(PLANE, 5, 0, 3, 0);
	put(PLANE, 9, -4, 0, 0);
	put(PLANE, 2, 0, 4, 0); // as far as 9: by id
	put(PLANE, 7, 0, 0, 5000);
	put(PLANE, 1, 900000, 0, 0);
	put(PLANE, 3, -1e6, -1e6, 1e6);
	q.max_results = 1;
	CU_ASSERT_EQUAL(ask(PLANE, &q, 0), BIT(5));
	q.max_results = 3;
	(void)ask(PLANE, &q, 0);
	{
		uint8_t two[16], nine[16];

		harness_id(two, 2);
		harness_id(nine, 9);
		expect_order(memcmp(two, nine, 16) < 0 ? (const unsigned[]){5, 2, 9} :
							 (const unsigned[]){5, 9, 2},
			3);
	}
	q.max_results = 1000;
	CU_ASSERT_EQUAL(ask(PLANE, &q, 0), BIT(1) | BIT(2) | BIT(3) | BIT(5) | BIT(7) | BIT(9));
	CU_ASSERT_EQUAL(harness_id_number(a.results[5].entity_id), 3);
	q.b[0] = 5000;
	CU_ASSERT_EQUAL(ask(PLANE, &q, 0), BIT(2) | BIT(5) | BIT(7) | BIT(9));
	q.b[0] = 3.5;
	CU_ASSERT_EQUAL(ask(PLANE, &q, 0), BIT(5));
	q.a[0] = 5e5;
	CU_ASSERT_EQUAL(ask(PLANE, &q, 0), 0);
	// On Earth, about the pole and far away.
	put(EARTH, 11, 89.9, 0, 0);
	put(EARTH, 12, 89.8, 120, 0);
	put(EARTH, 13, 89.95, -170, 4000);
	put(EARTH, 14, 80, 0, 0);
	put(EARTH, 15, 60, 0, 0); // 3,300 km: beyond what a query may reach
	put_flat(16, 89.99, 5);
	q = query(PE_QUERY_NEAREST, 90, 0, 0);
	q.max_results = 10;
	(void)ask(EARTH, &q, 0);
	expect_order((const unsigned[]){16, 13, 11, 12, 14}, 5);
	// a height that is not known is nowhere; 4 km up are further than along the ground
	q.flags = PE_QUERY_DISTANCE_3D;
	(void)ask(EARTH, &q, 0);
	expect_order((const unsigned[]){13, 11, 12, 14}, 4);
	// Distances are told from the asker's point, the order is by those from a.
	q.flags = PE_QUERY_HAS_ORIGIN;
	q.origin[0] = 89.8;
	q.origin[1] = 120;
	q.max_results = 4;
	harness_ask(&h, 0, EARTH, &q, &a);
	CU_ASSERT_EQUAL(a.count, 4);
	CU_ASSERT_EQUAL(harness_id_number(a.results[3].entity_id), 12);
	CU_ASSERT(a.results[3].distance_m < 0.001f);
	stop();
}

// Who is owed fewer results than they ask for gets the first of them.
static void nearest_for_a_stranger(void)
{
	struct pe_wire_query q = query(PE_QUERY_NEAREST, 0, 0, 0);

	start();
	for (unsigned n = 1; n <= 20; n++)
		put(PLANE, n, 21.0 - n, 0, 0);
	h.untrusted = true;
	q.max_results = 10; // a message of 208 bytes has room for one
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && a.truncated && a.count == 1);
	CU_ASSERT_EQUAL(harness_id_number(a.results[0].entity_id), 20);
	CU_ASSERT_EQUAL(a.cursor[0] | a.cursor[1], 0);
	q.max_results = 1;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && !a.truncated && a.count == 1);
	h.untrusted = false;
	stop();
}

#define MANY 600u

static void put_row(void)
{
	for (unsigned n = 1; n <= MANY; n += 12) {
		struct pe_wire_update u[12];

		for (unsigned i = 0; i < 12; i++)
			u[i] = harness_update(n + i, 1, 40.0 * (n + i), 0, 0);
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 12, false);
		harness_turn(&h);
	}
}

// The first of the row, ascending.
static void expect_row(unsigned count)
{
	CU_ASSERT_EQUAL_FATAL(a.count, count);
	for (unsigned i = 0; i < count; i++)
		CU_ASSERT_EQUAL(harness_id_number(a.results[i].entity_id), 1 + i);
}

// What a bound cuts is said to be cut, has no cursor, and is in order.
static void nearest_within_bounds(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = query(PE_QUERY_NEAREST, 0, 0, 0);

	config.query_results_max = 50;
	start_with(&config);
	put_row();
	q.max_results = 50;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && !a.truncated);
	expect_row(50);
	q.max_results = 51;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && a.truncated);
	expect_row(50);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_truncated), 1);
	stop();

	config = harness_config();
	start_with(&config);
	put_row();
	for (unsigned k = 1; k <= 1000; k += 37) { // of more than there are, all
		q.max_results = (uint16_t)k;
		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT(a.whole && !a.truncated);
		expect_row(k < MANY ? k : MANY);
	}
	stop();

	config.query_cells_max = 8; // a cell has 64 m
	start_with(&config);
	put_row();
	q.max_results = 3;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && !a.truncated);
	expect_row(3);
	q.max_results = 500;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS && a.truncated && a.count < 500);
	CU_ASSERT_EQUAL(a.cursor[0] | a.cursor[1], 0);
	for (unsigned i = 1; i < a.count; i++)
		CU_ASSERT(a.results[i - 1].distance_m < a.results[i].distance_m);
	CU_ASSERT(HARNESS_COUNTER(&h, query_cells) <= 2 * 8 + 8);
	stop();
}

static void refused(
	unsigned space, const struct pe_wire_query *q, uint32_t bytes, enum pe_reason reason)
{
	static uint64_t before[PE_REASON_COUNT];
	uint64_t now;

	harness_ask_extended(&h, 0, space, q, extension, bytes, &a);
	now = harness_counter(&h, PE_COUNTER_REASON(reason));
	CU_ASSERT(a.whole && a.count == 0);
	CU_ASSERT_EQUAL(a.reason, reason);
	CU_ASSERT_EQUAL(a.code, pe_reason_info[reason].code);
	CU_ASSERT_EQUAL(now, ++before[reason]);
}

static void refusals(void)
{
	static const double bow[][2] = {{0, 0}, {10, 10}, {10, 0}, {0, 10}},
			    far[][2] = {{0, 0}, {0, 60}, {60, 60}},
			    off[][2] = {{0, 0}, {91, 0}, {5, 5}},
			    odd[][2] = {{0, 0}, {NAN, 0}, {5, 5}}, line[][2] = {{0, 0}, {5, 5}};
	struct pe_wire_query q = query(PE_QUERY_POLYGON, 0, 0, 0);
	uint32_t bytes;

	start();
	refused(PLANE, &q, put_polygon(PE_VERTICES_F64, bow, 4, 0, 0, 1), PE_REASON_query_shape);
	refused(PLANE, &q, put_polygon(PE_VERTICES_F64, line, 2, 0, 0, 1), PE_REASON_query_shape);
	refused(PLANE, &q, put_polygon(PE_VERTICES_F64, odd, 3, 0, 0, 1),
		PE_REASON_query_coordinates);
	refused(PLANE, &q, put_polygon(PE_VERTICES_F64, far, 3, 0, 1, 0),
		PE_REASON_query_coordinates);
	refused(EARTH, &q, put_polygon(PE_VERTICES_F64, off, 3, 0, 0, 1),
		PE_REASON_query_coordinates);
	refused(EARTH, &q, put_polygon(PE_VERTICES_F64, far, 3, 0, 0, 1), PE_REASON_query_bounds);
	bytes = put_polygon(PE_VERTICES_F64, far, 3, 0, 0, 1);
	refused(PLANE, &q, bytes - 8, PE_REASON_query_extension);
	refused(PLANE, &q, 0, PE_REASON_query_extension);
	extension[0] = 7;
	refused(PLANE, &q, bytes, PE_REASON_query_extension);
	q.a[0] = 1e300; // a place that is in no cell
	refused(PLANE, &q, put_polygon(PE_VERTICES_F64, far, 3, 0, 0, 1), PE_REASON_query_bounds);
	q = query(PE_QUERY_ORIENTED_BOX, 0, 0, 0);
	refused(PLANE, &q, put_box(1, 0, 1, level), PE_REASON_query_shape);
	refused(PLANE, &q, put_box(1, 1, 1, (const double[]){0, 0, 1, 1}), PE_REASON_query_shape);
	refused(PLANE, &q, put_box(1, NAN, 1, level), PE_REASON_query_coordinates);
	refused(EARTH, &q, put_box(3e6, 1, 1, level), PE_REASON_query_bounds);
	refused(PLANE, &q, put_frustum(90, 60, 0, 10, level), PE_REASON_query_extension);
	q = query(PE_QUERY_FRUSTUM, 0, 0, 0);
	refused(PLANE, &q, put_frustum(171, 60, 0, 10, level), PE_REASON_query_shape);
	refused(PLANE, &q, put_frustum(90, 60, 10, 10, level), PE_REASON_query_shape);
	refused(PLANE, &q, put_frustum(90, 60, 0, INFINITY, level), PE_REASON_query_coordinates);
	q = harness_sphere(0, 0, 0, 1);
	bytes = put_filter(0, (const struct pe_wire_filter_step[]){{PE_FILTER_STATE, 0, 1}}, 1);
	extension[8 + 8] = 99;
	refused(PLANE, &q, bytes, PE_REASON_query_program);
	q = query(PE_QUERY_NEAREST, 0, 0, 0);
	refused(PLANE, &q, 0, PE_REASON_query_nearest);
	q.max_results = 1001;
	refused(PLANE, &q, 0, PE_REASON_query_nearest);
	q.max_results = 1;
	q.flags = PE_QUERY_HAS_CURSOR;
	refused(PLANE, &q, 0, PE_REASON_query_cursor);
	q.flags = 0;
	q.b[0] = 2000001;
	refused(EARTH, &q, 0, PE_REASON_query_bounds);
	q = query(PE_QUERY_NEAREST, 0, 0, -12701);
	q.max_results = 1;
	q.flags = PE_QUERY_DISTANCE_3D;
	refused(EARTH, &q, 0, PE_REASON_query_bounds);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_answered), 0);
	stop();
}

// A polygon's answer in pages: the cursor goes on in the same volume.
static void pages(void)
{
	static const double area[][2] = {{-500, -500}, {500, -500}, {0, 600}};
	struct pe_wire_query q = query(PE_QUERY_POLYGON, 0, 0, 0);
	uint64_t met = 0;
	unsigned count = 0;

	start();
	for (unsigned n = 1; n <= 60; n++)
		put(PLANE, n, 7.0 * n - 200, 3.0 * n - 100, 0);
	q.max_results = 7;
	do {
		uint32_t bytes = put_polygon(PE_VERTICES_F64, area, 3, 0, -1, 1);

		harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
		CU_ASSERT(a.whole && a.code == 0 && a.count <= 7);
		for (unsigned i = 0; i < a.count; i++)
			met |= BIT(harness_id_number(a.results[i].entity_id));
		count += a.count;
		q.flags = PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
	} while (a.truncated && count < 100);
	CU_ASSERT_EQUAL(count, 60);
	CU_ASSERT_EQUAL(met, BIT(61) - 2);
	stop();
}

TESTING_MAIN("engine: volumes", {"polygons on the plane", polygons_on_the_plane},
	{"polygons on the earth", polygons_on_the_earth}, {"many polygons", many_polygons},
	{"after a refusal", after_a_refusal}, {"oriented boxes", oriented_boxes},
	{"frusta", frusta}, {"filters", filters}, {"nearest", nearest},
	{"nearest for a stranger", nearest_for_a_stranger},
	{"nearest within bounds", nearest_within_bounds}, {"pages", pages}, {"refusals", refusals})
