// Scopes: who is told of an entity, by where they ask from; and places that are rounded before
// anything else sees them.
#include "testing_details.h"
#include "watching.h"
#include "wire/half.h"

#include <math.h>

static const struct pe_wire_scope near_origin = {.b = {50, 0, 0}, .bounds = PE_QUERY_SPHERE};

static void put_scope(const struct pe_wire_scope *s)
{
	detailed_put(&d, PE_DETAILS_SCOPE, s ? (const void *)s : "", s ? sizeof *s : 0);
}

static void put_rounded(uint64_t n, uint32_t sequence, double x, float resolution_m)
{
	const struct pe_wire_scope s = {.resolution_m = resolution_m};

	begin(n, sequence, x);
	put_scope(&s);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	harness_settle(&h);
}

static unsigned count_from(unsigned space, const struct pe_wire_query *q)
{
	harness_ask(&h, 0, space, q, &a);
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS);
	return a.count;
}

// In cells.
static uint64_t counted_from(double x)
{
	const struct pe_wire_resolution resolution = {.spatial_m = 512, .attribute = 0.5f};
	struct pe_wire_query q = harness_sphere(x, 0, 0, 1000);
	uint8_t extension[64];
	uint64_t count = 0;

	harness_ask_extended(&h, 0, PLANE, &q, extension,
		pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &resolution,
			sizeof resolution),
		&a);
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS && a.form == PE_ANSWER_CELLS);
	for (unsigned i = 0; i < a.count; i++)
		count += a.cells[i].count;
	return count;
}

// By the volume's centre, or the point that is stated; whatever the kind of the query, and in
// counts by cell too.
static void bounds(void)
{
	const struct pe_wire_scope box = {
		.a = {-10, -10, -10}, .b = {10, 10, 10}, .bounds = PE_QUERY_BOX};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);

	start_keeping(1 << 20);
	begin(1, 1, 200);
	put_scope(&near_origin);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	begin(2, 1, 201);
	put_scope(&box);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	begin(3, 1, 202);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 3);
	q.a[0] = 20;
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 2); // 1 and 3
	q.a[0] = 51;
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	q.flags = PE_QUERY_HAS_ORIGIN;
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 3);
	q.origin[1] = 50;
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 2);
	q = harness_box((const double[]){150, -50, -10}, (const double[]){250, 50, 10});
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	q.flags = PE_QUERY_HAS_ORIGIN;
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 3);
	q = (struct pe_wire_query){.kind = PE_QUERY_NEAREST, .max_results = 2, .a = {200, 0, 0}};
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT_EQUAL(counted_from(0), 3);
	CU_ASSERT_EQUAL(counted_from(51), 1);
	// An update without a scope leaves it, one takes it away.
	begin(1, 2, 205);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	begin(1, 3, 205);
	put_scope(NULL);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 2);
	stop();
}

static void bounds_on_earth(void)
{
	const struct pe_wire_scope box = {
		.a = {-1, 179, 0}, .b = {1, -179, 0}, .bounds = PE_QUERY_BOX};
	struct pe_wire_update u = harness_update(1, 1, 0, 180, 0);
	struct pe_wire_query q = harness_sphere(0, 179.5, 0, 100000);

	start_keeping(1 << 20);
	detailed_begin(&d, &u);
	put_scope(&box);
	ASSERT_STATUS(
		harness_send_detailed(&h, EARTH, HARNESS_INCARNATION, d.bytes), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(count_from(EARTH, &q), 1);
	q.a[1] = -179.5;
	CU_ASSERT_EQUAL(count_from(EARTH, &q), 1);
	q.flags = PE_QUERY_HAS_ORIGIN;
	q.origin[1] = 178.9;
	CU_ASSERT_EQUAL(count_from(EARTH, &q), 0);
	stop();
}

// Everything that is told of a rounded entity is told of its cell.
static void rounded(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	struct pe_wire_update u = harness_update(1, 2, 131, 12, 7);

	start_keeping(1 << 20);
	put_rounded(1, 1, 120, 100);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT(a.results[0].position[0] == 150 && a.results[0].position[1] == 50 &&
		a.results[0].position[2] == 0);
	CU_ASSERT(fabs((double)a.results[0].distance_m - sqrt(150 * 150 + 2500)) < 1e-3);
	CU_ASSERT(fabs((double)pe_half_to_float(a.results[0].precision) - 86.6) < 0.1);
	// Later updates too, with details or without, the short way's and those behind them in one
	// packet.
	u.precision_m = 5;
	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT(a.results[0].position[0] == 150 && a.results[0].position[1] == 50);
	CU_ASSERT(fabs((double)pe_half_to_float(a.results[0].precision) - 91.6) < 0.1);
	struct pe_wire_update two[2] = {u, u};

	two[0].sequence = 3;
	two[0].position[0] = 260;
	two[1].sequence = 4;
	two[1].position[0] = 333;
	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, two, 2, false);
	harness_turn(&h);
	harness_settle(&h);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT(a.results[0].position[0] == 350 && a.results[0].position[1] == 50);
	// The answer's edge is about the cell's middle, and nothing comes of where it is in the
	// cell.
	q.a[0] = 350;
	q.a[1] = 50;
	q.a[2] = 0;
	q.b[0] = 0;
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	u.sequence = 5;
	u.position[0] = 399.9;
	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	// No longer.
	begin(1, 6, 399.9);
	put_scope(NULL);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	harness_settle(&h);
	q = harness_sphere(0, 0, 0, 1000);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT(a.results[0].position[0] == 399.9 && a.results[0].precision == 0);
	u.sequence = 7;
	u.position[0] = 390;
	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT_EQUAL(a.results[0].position[0], 390);
	stop();
}

// What a scope rounds is the middle of the level's cell, so that nothing of the true place is left.
static void rounded_after_level(void)
{
	const struct pe_wire_scope s = {.resolution_m = 10};
	struct pe_wire_query q = harness_sphere(500, 500, 0, 1000);

	start_keeping(1 << 20);
	for (uint32_t i = 1; i <= 3; i++) {
		struct pe_wire_update u = harness_update(1, i, i * 300, 7.0 * i, i);

		u.attributes = 4u << 7; // 1 km
		u.precision_m = 5;
		detailed_begin(&d, &u);
		put_scope(&s);
		ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
		CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
		CU_ASSERT(a.results[0].position[0] == 505 && a.results[0].position[1] == 505 &&
			a.results[0].position[2] == 0);
		CU_ASSERT(fabs((double)pe_half_to_float(a.results[0].precision) - 879.7) < 1);
	}
	stop();
}

// Held back by thresholds, forwarded, expired and come back: rounded all the same.
static void rounded_elsewhere(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	struct pe_wire_update u = harness_update(1, 2, 190, 12, 7);

	config.details_bytes = 1 << 20;
	config.worker_count = 2;
	config.spaces[PLANE].coalesce_distance_m = 500;
	start_with(&config);
	begin(1, 1, 120);
	put_scope(&(struct pe_wire_scope){.resolution_m = 100});
	(void)send_details(); // worker 0 owns it
	harness_settle(&h);
	u.position[0] = 390;
	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn_worker(&h, 1);
	harness_turn_worker(&h, 0);
	CU_ASSERT(HARNESS_COUNTER(&h, records_coalesced) == 1);
	harness_advance(&h, 2000);
	harness_settle(&h);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT_EQUAL(a.results[0].position[0], 350);
	ASSERT_STATUS(withdraw(1, 3), PE_ACK_APPLIED);
	// A new life begins without a scope.
	u.sequence = 4;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_settle(&h);
	CU_ASSERT_EQUAL(count_from(PLANE, &q), 1);
	CU_ASSERT_EQUAL(a.results[0].position[0], 390);
	stop();
}

static void refused(void)
{
	const struct pe_wire_scope inverted = {.a = {1, 0, 0},
					   .b = {0, 1, 1},
					   .bounds = PE_QUERY_BOX},
				   too_large = {.b = {3e6, 0, 0}, .bounds = PE_QUERY_SPHERE},
				   off = {.a = {91, 0, 0},
					   .b = {5, 0, 0},
					   .bounds = PE_QUERY_SPHERE},
				   high = {.a = {0, 0, 1}, .b = {1, 1, 1}, .bounds = PE_QUERY_BOX},
				   coarse = {.resolution_m = 1200}, fine = {.resolution_m = 10};
	const struct pe_wire_scope *const earthly[] = {&too_large, &off, &high};
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 0);
	uint8_t parent[16];

	start_keeping(1 << 20);
	begin(1, 1, 0);
	put_scope(&inverted);
	ASSERT_REFUSED(send_details(), scope_bounds);
	for (unsigned i = 0; i < 3; i++) {
		detailed_begin(&d, &u);
		put_scope(earthly[i]);
		ASSERT_REFUSED(harness_send_detailed(&h, EARTH, HARNESS_INCARNATION, d.bytes),
			scope_bounds);
	}
	// Its precision would be above the cap.
	begin(1, 1, 0);
	put_scope(&coarse);
	ASSERT_REFUSED(send_details(), precision);
	CU_ASSERT_EQUAL(sees(1, NULL), 0);
	// Where the middle of the last cell is outside, the space's end stands for it.
	begin(7, 1, 16777215.0);
	put_scope(&(struct pe_wire_scope){.resolution_m = 1000});
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	// RELATIVE and rounded exclude each other, whichever comes second.
	begin(9, 1, 0);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	harness_id(parent, 9);
	begin(1, 1, 0);
	detailed_put(&d, PE_DETAILS_FRAME, parent, sizeof parent);
	put_scope(&fine);
	ASSERT_REFUSED(send_details(), scope_bounds);
	begin(1, 1, 0);
	put_scope(&fine);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	begin(1, 2, 0);
	detailed_put(&d, PE_DETAILS_FRAME, parent, sizeof parent);
	ASSERT_REFUSED(send_details(), scope_bounds);
	// Bounds alone go with it.
	begin(1, 3, 3);
	detailed_put(&d, PE_DETAILS_FRAME, parent, sizeof parent);
	put_scope(&near_origin);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	stop();
}

static void told_with_details(void)
{
	struct pe_details_blocks b;

	start_keeping(1 << 20);
	begin(1, 1, 3);
	put_scope(&near_origin);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	b = blocks_of(1);
	CU_ASSERT(b.content[PE_DETAILS_SCOPE] &&
		memcmp(b.content[PE_DETAILS_SCOPE], &near_origin, sizeof near_origin) == 0);
	stop();
}

static void explained(void)
{
	struct pe_wire_query q = harness_sphere(60, 0, 0, 1000);
	struct pe_wire_explanation e;
	uint8_t id[16];

	start_keeping(1 << 20);
	begin(1, 1, 3);
	put_scope(&near_origin);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	harness_id(id, 1);
	CU_ASSERT_TRUE(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
	CU_ASSERT(e.verdict == PE_EXPLAIN_OUT && e.first_cause == PE_WHY_SCOPE &&
		e.causes == 1u << PE_WHY_SCOPE && e.position[0] == 3);
	h.untrusted = true;
	CU_ASSERT_TRUE(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
	CU_ASSERT(e.verdict == PE_EXPLAIN_OUT && e.causes == 1u << PE_WHY_UNKNOWN &&
		e.position[0] == 0 && e.age_ms == 0 && e.distance_m == -1);
	q.a[0] = 0;
	CU_ASSERT_TRUE(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
	CU_ASSERT(e.verdict == PE_EXPLAIN_IN && !e.causes);
	h.untrusted = false;
	stop();
}

// A fence's own point decides, and a scope that changes is looked at.
static void fences(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_fence f[2] = {
		watching_sphere(1, 0, 0, 0, 500), watching_sphere(2, 60, 0, 0, 500)};
	struct watching s;

	config.details_bytes = 1 << 20;
	config.fence_count_max = 16;
	start_with(&config);
	watching_init(&s, &h, PLANE, 11);
	watching_send(&s, PE_SUBSCRIBE_OPEN, f, 2, NULL, 0);
	for (unsigned i = 0; i < 6; i++) {
		harness_turn(&h);
		watching_take(&s);
	}
#define TOLD(n, sequence, x, scope) \
	do { \
		begin(n, sequence, x); \
		put_scope(scope); \
		(void)send_details(); \
		watching_take(&s); \
		harness_turn(&h); \
		watching_take(&s); \
	} while (0)
	TOLD(1, 1, 100, &near_origin);
	CU_ASSERT(watching_is_member(&s, 1, 1) && !watching_is_member(&s, 2, 1));
	TOLD(1, 2, 100, &(struct pe_wire_scope){0});
	CU_ASSERT(watching_is_member(&s, 1, 1) && watching_is_member(&s, 2, 1));
	TOLD(1, 3, 100, &near_origin);
	CU_ASSERT(watching_is_member(&s, 1, 1) && !watching_is_member(&s, 2, 1));
	// Rounded: at 380, 380, 0.
	TOLD(1, 4, 100, &(struct pe_wire_scope){.resolution_m = 760});
	CU_ASSERT(!watching_is_member(&s, 1, 1) && watching_is_member(&s, 2, 1));
	watching_free(&s);
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"bounds", bounds},
		{"bounds on Earth", bounds_on_earth},
		{"rounded", rounded},
		{"rounded after a level", rounded_after_level},
		{"rounded elsewhere", rounded_elsewhere},
		{"refused", refused},
		{"told with details", told_with_details},
		{"explained", explained},
		{"fences", fences},
	};

	return testing_main("engine: scopes", cases, sizeof cases / sizeof cases[0]);
}
