// Queries through the façade: volumes, filters, reach and origin, what is refused, what a result
// says.
#include "space/space.h"
#include "testing_engine.h"

#include <math.h>

static struct harness_answer a;

static void put(unsigned space, uint64_t n, double x, double y, double z)
{
	struct pe_wire_update u = harness_update(n, 1, x, y, z);

	CU_ASSERT_EQUAL(harness_send(&h, space, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
}

// The ids of an answer as a mask (ids below 63); one that is met twice shows as bit 63.
static uint64_t ask(unsigned space, const struct pe_wire_query *q)
{
	uint64_t mask = 0;

	harness_ask(&h, 0, space, q, &a);
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS && !a.truncated);
	for (unsigned i = 0; i < a.count; i++) {
		uint64_t bit = 1ull << harness_id_number(a.results[i].entity_id);

		mask |= mask & bit ? 1ull << 63 : bit;
	}
	return mask;
}

#define BIT(n) (1ull << (n))

static void sphere_on_the_plane(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);

	start();
	put(PLANE, 1, 0, 0, 0);
	put(PLANE, 2, 99.99, 0, 0);
	put(PLANE, 3, 100.01, 0, 0);
	put(PLANE, 4, 0, 0, 99.99);
	put(PLANE, 5, 0, 0, -100.01);
	put(PLANE, 6, -57, 57, 57);
	put(PLANE, 7, -58, 58, 58);
	put(PLANE, 8, 5000, 0, 0);
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1) | BIT(2) | BIT(4) | BIT(6));
	for (unsigned i = 0; i < a.count; i++) {
		const double *p = a.results[i].position;
		double d = sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);

		CU_ASSERT(fabs((double)a.results[i].distance_m - d) <= 0.001 + 1e-6 * d);
	}
	q.b[0] = 0;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1));
	stop();
}

static void sphere_on_the_earth(void)
{
	struct pe_wire_query q = harness_sphere(89.999, 0, 0, 300);

	start();
	// Round the pole: 0.001° are 112 m.
	put(EARTH, 1, 89.999, 180, 0);
	put(EARTH, 2, 89.999, 90, 500);
	put(EARTH, 3, 90, -77, 0);
	put(EARTH, 4, 89.998, 180, 0);
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(1) | BIT(2) | BIT(3));
	// Across the antimeridian.
	put(EARTH, 5, 10, 179.999, 0);
	put(EARTH, 6, 10, -179.999, 0);
	put(EARTH, 7, 10, 180, 0);
	put(EARTH, 8, 10, -180, 0);
	put(EARTH, 9, 10, 179.99, 0);
	q = harness_sphere(10, -179.9995, 0, 400);
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(5) | BIT(6) | BIT(7) | BIT(8));
	// Along the surface, not the chord: 1000 km on the equator are 8.98315284°.
	put(EARTH, 10, 0, 8.98315, 0);
	put(EARTH, 11, 0, 8.98316, 0);
	q = harness_sphere(0, 0, 0, 1000000);
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(10));
	CU_ASSERT(fabs((double)a.results[0].distance_m - 1000000) < 1.1);
	stop();
}

static void three_dimensions(void)
{
	struct pe_wire_query q = harness_sphere(10, 20, 0, 100);
	struct pe_wire_update u = harness_update(3, 1, 10, 20, 0);

	start();
	put(EARTH, 1, 10, 20, 99);
	put(EARTH, 2, 10, 20, 101);
	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	CU_ASSERT_EQUAL(harness_send(&h, EARTH, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(1) | BIT(2) | BIT(3));
	// A straight line needs a height.
	q.flags = PE_QUERY_DISTANCE_3D;
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(1));
	CU_ASSERT(fabs((double)a.results[0].distance_m - 99) < 0.001);
	q.a[2] = 199.5;
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(2));
	// Deeper than the ground goes: the surface above may be further away than the radius.
	put(EARTH, 5, 10, 20, -13000);
	q = harness_sphere(10, 20, -12000, 2000);
	q.flags = PE_QUERY_DISTANCE_3D;
	CU_ASSERT_EQUAL(ask(EARTH, &q), 0);
	put(EARTH, 6, 10, 20, -12600);
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(6));
	q.a[2] = -12701;
	harness_ask(&h, 0, EARTH, &q, &a);
	CU_ASSERT_EQUAL(a.reason, PE_REASON_query_bounds);
	// On the plane the flag changes nothing.
	put(PLANE, 4, 0, 0, 99);
	q = harness_sphere(0, 0, 0, 100);
	q.flags = PE_QUERY_DISTANCE_3D;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(4));
	stop();
}

// Straight lines are shorter than the surface, the more the longer they are: at the edge of wide
// spheres, all around.
static void wide_straight_spheres(void)
{
	const struct pe_engine_config config = harness_config();
	struct pe_space space;
	struct pe_error error;
	static const double radii[] = {1000, 100000, 1298000, 1450000, 1999000};

	CU_ASSERT_EQUAL_FATAL(
		pe_space_prepare(&space, &config.spaces[EARTH].space, EARTH, &error), PE_OK);
	start();
	for (unsigned i = 0; i < sizeof radii / sizeof radii[0]; i++) {
		struct pe_wire_query q = harness_sphere(20, 10, 0, radii[i]);
		// Along the equator the chord of an angle is that of a circle.
		double degrees = 2 * asin(radii[i] * 0.99999 / (2 * 6378137.0)) * 180 / M_PI;
		uint64_t n = 2 * i + 1;

		q.a[0] = 0;
		q.flags = PE_QUERY_DISTANCE_3D;
		put(EARTH, n, 0, 10 + degrees, 0);
		put(EARTH, n + 1, 0, 10 + degrees * 1.0001, 0);
		CU_ASSERT(ask(EARTH, &q) & BIT(n));
		CU_ASSERT_FALSE(ask(EARTH, &q) & BIT(n + 1));
	}
	// As deep as there may be, where the ground bends most.
	for (unsigned i = 0; i < sizeof radii / sizeof radii[0]; i++) {
		struct pe_wire_query q = harness_sphere(0, 10, PE_HEIGHT_LOWEST_M, radii[i]);
		double north[3] = {0, 10, PE_HEIGHT_LOWEST_M}, step = 90;
		uint64_t n = 20 + i;

		for (; step > 1e-12; step /= 2) {
			north[0] += step;
			if (pe_space_distance(&space, q.a, north, true) > radii[i] - 0.001)
				north[0] -= step;
		}
		q.flags = PE_QUERY_DISTANCE_3D;
		put(EARTH, n, north[0], north[1], north[2]);
		CU_ASSERT(ask(EARTH, &q) & BIT(n));
	}
	stop();
}

// Who is at the point itself is in a sphere of radius 0, with heights too, by whatever name the
// meridian goes.
static void no_radius(void)
{
	static const double places[][3] = {
		{-0.0033645572017908867, 179.98122372410714, 2515.910098323847},
		{-0.25, 44.99951171875, 0}, {-0.0004021745657656217, 45.000210958696094, 10},
		{60.17, 24.94, 12.5}, {10, 180, 5}, {90, 33, -10}, {-90, -120, 20}};

	start();
	for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
		const double *p = places[i];
		struct pe_wire_query q = harness_sphere(p[0], p[1], p[2], 0);

		put(EARTH, i + 1, p[0], p[1], p[2]);
		CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(i + 1));
		q.flags = PE_QUERY_DISTANCE_3D;
		CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(i + 1));
		q.a[1] += p[1] == 180 ? -360 : fabs(p[0]) == 90 ? 50 : 0;
		CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(i + 1));
		q.a[2] += 1e-6;
		CU_ASSERT_EQUAL(ask(EARTH, &q), 0);
	}
	stop();
}

static void height_range(void)
{
	struct pe_wire_query q = harness_sphere(10, 20, 0, 100);
	struct pe_wire_update u = harness_update(4, 1, 10, 20, 0);
	struct pe_wire_result r = {0};

	start();
	put(EARTH, 1, 10, 20, 0);
	put(EARTH, 2, 10, 20, 50);
	put(EARTH, 3, 10, 20, 50.01);
	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	CU_ASSERT_EQUAL(harness_send(&h, EARTH, HARNESS_INCARNATION, &u).status, PE_ACK_APPLIED);
	q.flags = PE_QUERY_HEIGHT_RANGE;
	q.height_min = -10;
	q.height_max = 50;
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(1) | BIT(2));
	q.flags = 0;
	q.height_min = q.height_max = 0;
	CU_ASSERT_EQUAL(harness_sees(&h, 0, EARTH, 4, &q, &r), 1);
	CU_ASSERT_EQUAL(r.state, PE_STATE_ACTIVE | PE_RESULT_HEIGHT_UNKNOWN);
	stop();
}

static void boxes(void)
{
	struct pe_wire_query q = harness_box((double[]){-10, -20, -30}, (double[]){10, 20, 30});

	start();
	put(PLANE, 1, 10, 20, 30);
	put(PLANE, 2, -10, -20, -30);
	put(PLANE, 3, 10.001, 0, 0);
	put(PLANE, 4, 0, -20.001, 0);
	put(PLANE, 5, 0, 0, 30.001);
	put(PLANE, 6, 0, 0, 0);
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1) | BIT(2) | BIT(6));
	for (unsigned i = 0; i < a.count; i++) { // from the box's middle
		double d = harness_id_number(a.results[i].entity_id) == 6 ? 0 : sqrt(1400);

		CU_ASSERT(fabs((double)a.results[i].distance_m - d) < 0.001);
	}
	put(EARTH, 11, 50, 10, 0);
	put(EARTH, 12, 50.1, 10.1, 0);
	put(EARTH, 13, 50.1001, 10.05, 0);
	put(EARTH, 14, 50.05, 9.9999, 0);
	q = harness_box((double[]){50, 10, 0}, (double[]){50.1, 10.1, 0});
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(11) | BIT(12));
	put(EARTH, 21, -5, 179.99, 0);
	put(EARTH, 22, -5, -179.99, 0);
	put(EARTH, 23, -5, 180, 0);
	put(EARTH, 24, -5, 179, 0);
	q = harness_box((double[]){-5.1, 179.95, 0}, (double[]){-4.9, -179.95, 0});
	CU_ASSERT_EQUAL(ask(EARTH, &q), BIT(21) | BIT(22) | BIT(23));
	stop();
}

// Who is here: each entity's own precision says how near is here.
static void points(void)
{
	static const float precisions[] = {0, 1, 10, 100, 999};
	struct pe_wire_query q = harness_point(50, 0, 0);

	start();
	for (unsigned i = 0; i < 5; i++) {
		struct pe_wire_update u = harness_update(1 + i, 1, 0, 0, 0);

		u.precision_m = precisions[i];
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(4) | BIT(5));
	q.a[0] = 0;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5));
	q.a[0] = 998.99;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(5));
	q.a[0] = 999.01;
	CU_ASSERT_EQUAL(ask(PLANE, &q), 0);
	stop();
}

static void filters(void)
{
	static const uint8_t types[] = {
		PE_ENTITY_STATIC, PE_ENTITY_MOBILE, PE_ENTITY_TEMPORARY, PE_ENTITY_CUSTOM, 255};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 10);

	start();
	for (unsigned i = 0; i < 25; i++) {
		struct pe_wire_update u = harness_update(1 + i, 1, 0, 0, 0);

		u.entity_type = types[i % 5];
		u.ttl_ms = 1000;
		u.attributes = (uint16_t)(i / 5);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	for (unsigned type_mask = 0; type_mask < 32; type_mask += 3)
		for (unsigned state_mask = 0; state_mask < 32; state_mask += 5) {
			uint64_t expected = 0;

			for (unsigned i = 0; i < 25; i++) {
				unsigned bit = types[i % 5] >= 128 ? 4 : types[i % 5];

				if ((!type_mask || type_mask >> bit & 1) &&
					(!state_mask || state_mask >> (i / 5) & 1))
					expected |= BIT(1 + i);
			}
			q.type_mask = (uint16_t)type_mask;
			q.state_mask = (uint16_t)state_mask;
			CU_ASSERT_EQUAL(ask(PLANE, &q), expected);
		}
	stop();
}

static void reach_and_origin(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);

	start();
	for (unsigned i = 0; i < 4; i++) {
		struct pe_wire_update u = harness_update(1 + i, 1, 100, 0, 0);

		u.radius_m = (float[]){0, 99.9f, 100.1f, 500}[i];
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	// Without an origin the centre is where the asker stands.
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1) | BIT(3) | BIT(4));
	q.flags = PE_QUERY_HAS_ORIGIN;
	q.origin[0] = 100;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1) | BIT(2) | BIT(3) | BIT(4));
	CU_ASSERT(a.results[0].distance_m < 0.001f);
	q.origin[0] = -390;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1) | BIT(4));
	CU_ASSERT(fabsf(a.results[0].distance_m - 490) < 0.001f);
	// The asker may stand outside of what it asks for.
	q.origin[0] = 1e5;
	CU_ASSERT_EQUAL(ask(PLANE, &q), BIT(1));
	CU_ASSERT(fabsf(a.results[0].distance_m - 99900) < 0.1f);
	stop();
}

static void refused_queries(void)
{
	struct {
		enum pe_reason reason;
		unsigned space;
		struct pe_wire_query q;
	} table[] = {
		{PE_REASON_query_kind, PLANE, {.kind = 9}},
		{PE_REASON_query_kind, PLANE, {.kind = 0}},
		{PE_REASON_query_flags, PLANE, {.kind = PE_QUERY_POINT, .flags = 0x8000}},
		{PE_REASON_query_flags, PLANE, {.kind = PE_QUERY_POINT, .reserved1 = 1}},
		{PE_REASON_query_coordinates, PLANE, {.kind = PE_QUERY_SPHERE, .b = {-1}}},
		{PE_REASON_query_coordinates, PLANE, {.kind = PE_QUERY_SPHERE, .a = {NAN}}},
		{PE_REASON_query_coordinates, EARTH, {.kind = PE_QUERY_SPHERE, .a = {91}}},
		{PE_REASON_query_coordinates, PLANE, {.kind = PE_QUERY_BOX, .a = {1}, .b = {0}}},
		{PE_REASON_query_bounds, EARTH,
			{.kind = PE_QUERY_SPHERE, .b = {PE_QUERY_RADIUS_MAX_M * 1.01}}},
		{PE_REASON_query_filter, PLANE, {.kind = PE_QUERY_POINT, .type_mask = 0x20}},
		{PE_REASON_query_cursor, PLANE,
			{.kind = PE_QUERY_POINT, .flags = PE_QUERY_HAS_CURSOR}},
		{PE_REASON_query_cursor, PLANE,
			{.kind = PE_QUERY_POINT,
				.flags = PE_QUERY_HAS_CURSOR,
				.cursor = {1, UINT64_MAX}}},
	};
	unsigned n = sizeof table / sizeof table[0];

	start();
	for (unsigned i = 0; i < n; i++) {
		harness_ask(&h, 0, table[i].space, &table[i].q, &a);
		CU_ASSERT(a.whole);
		CU_ASSERT_EQUAL(a.reason, table[i].reason);
		CU_ASSERT_EQUAL(a.count, 0);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_answered), 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, queries_carried), n);
	stop();
}

static void what_a_result_says(void)
{
	struct pe_wire_update u = harness_update(1, 1, 1.5, 2.5, 3.5);
	struct pe_wire_result r = {0};

	start();
	u.time_offset_ms = -250;
	u.ttl_ms = 12340;
	u.velocity[0] = 0x3C00;
	u.velocity[1] = 0xBC00;
	u.velocity[2] = 0x4200;
	u.precision_m = 7.5f;
	u.position_confidence = 33;
	u.status_confidence = 44;
	u.entity_type = 200;
	u.attributes = PE_STATE_CUSTOM;
	u.custom_state = 9;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 100);
	CU_ASSERT_EQUAL(sees(1, &r), 1);
	CU_ASSERT_EQUAL(r.position[0], 1.5);
	CU_ASSERT_EQUAL(r.position[1], 2.5);
	CU_ASSERT_EQUAL(r.position[2], 3.5);
	CU_ASSERT_EQUAL(r.age_ms, 350);
	CU_ASSERT_EQUAL(r.ttl_left, 123);
	CU_ASSERT_EQUAL(r.velocity[0], 0x3C00);
	CU_ASSERT_EQUAL(r.velocity[1], 0xBC00);
	CU_ASSERT_EQUAL(r.velocity[2], 0x4200);
	CU_ASSERT_EQUAL(r.precision, 0x4780);
	CU_ASSERT_EQUAL(r.position_confidence, 33);
	CU_ASSERT_EQUAL(r.status_confidence, 44);
	CU_ASSERT_EQUAL(r.entity_type, 200);
	CU_ASSERT_EQUAL(r.state, PE_STATE_CUSTOM);
	CU_ASSERT_EQUAL(r.custom_state, 9);
	stop();
}

// A box as large as numbers go: its centre may be further away than a float can say, and the answer
// is sound still.
static void box_without_end(void)
{
	struct pe_wire_query q =
		harness_box((const double[]){0, 0, 0}, (const double[]){1e308, 1e308, 1e308});
	struct pe_wire_update u = harness_update(1, 1, 10, 10, 10);
	struct pe_wire_result r;

	start();
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 1, &q, &r), 1);
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_none);
	stop();
}

// The sphere of an ordinary query is answered by a way of its own; one that names all types, by the
// general one. Every field of every result is the same, at the edge, too.
static void two_ways_one_answer(void)
{
	static struct harness_answer ordinary, general;
	uint64_t random = 0x9E3779B97F4A7C15u, compared = 0, left_out = 0;

	start();
	for (uint64_t n = 1; n <= 300; n++) {
		double x = (double)(testing_random(&random) % 400) - 200,
		       y = (double)(testing_random(&random) % 400) - 200,
		       z = (double)(testing_random(&random) % 40) - 20;
		struct pe_wire_update u = harness_update(n, 1, x, y, z);
		uint64_t r = testing_random(&random);

		u.entity_type =
			r & 1 ? PE_ENTITY_MOBILE : (uint8_t)(PE_ENTITY_CUSTOM + (r >> 1) % 128);
		u.attributes = (uint16_t)((r >> 8) % 5);
		u.custom_state = u.attributes == PE_STATE_CUSTOM ? (uint8_t)(r >> 16) : 0;
		u.time_offset_ms = -(int32_t)((r >> 24) % 2000);
		u.ttl_ms = 500 + (uint32_t)((r >> 36) % 3000) * (r >> 48 & 1 ? 1 : 20);
		u.radius_m = r >> 49 & 7 ? 0 : (float)(1 + (r >> 52) % 200);
		u.precision_m = r >> 60 & 1 ? (float)((r >> 32) % 1000) * 0.37f : 0;
		r = testing_random(&random);
		for (unsigned i = 0; i < 3; i++)
			u.velocity[i] = (uint16_t)(r >> 16 * i & 0x83FF) | 0x4000;
		u.position_confidence = (uint8_t)(r >> 48);
		u.status_confidence = (uint8_t)(r >> 56);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	}
	for (unsigned i = 0; i < 400; i++) {
		// Whole metres, so that many lie on the edge.
		struct pe_wire_query q =
			harness_sphere((double)(testing_random(&random) % 400) - 200,
				(double)(testing_random(&random) % 400) - 200, 0,
				(double)(testing_random(&random) % 300));

		if (i % 40 == 39)
			harness_advance(&h, 300);
		harness_ask(&h, 0, PLANE, &q, &ordinary);
		q.type_mask = 0x1F;
		harness_ask(&h, 0, PLANE, &q, &general);
		CU_ASSERT_FATAL(ordinary.whole && general.whole);
		CU_ASSERT_EQUAL(ordinary.count, general.count);
		CU_ASSERT_FALSE(memcmp(ordinary.results, general.results,
			ordinary.count * sizeof ordinary.results[0]));
		compared += ordinary.count;
		left_out += 300 - ordinary.count;
	}
	CU_ASSERT(compared > 10000 && left_out > 10000);
	stop();
}

TESTING_MAIN("engine: queries", {"sphere on the plane", sphere_on_the_plane},
	{"sphere on the earth", sphere_on_the_earth}, {"three dimensions", three_dimensions},
	{"wide straight spheres", wide_straight_spheres}, {"no radius", no_radius},
	{"height range", height_range}, {"boxes", boxes}, {"points", points}, {"filters", filters},
	{"reach and origin", reach_and_origin}, {"refused queries", refused_queries},
	{"what a result says", what_a_result_says}, {"box without end", box_without_end},
	{"two ways, one answer", two_ways_one_answer})
