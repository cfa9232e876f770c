// Explanations, one case a cause: what is told, with its numbers, to whom; what only the owner's
// worker knows; and what is refused.
#include "testing_engine.h"
#include "wire/extension.h"
#include "wire/filter.h"
#include "wire/half.h"

#include <math.h>

static struct pe_wire_explanation e;
static uint8_t extension[PE_WIRE_BYTES_MAX];

static void ask_at(unsigned worker, unsigned space, uint64_t n, const struct pe_wire_query *q,
	uint32_t extension_bytes)
{
	uint8_t id[16];

	harness_id(id, n);
	memset(&e, 0xAA, sizeof e);
	CU_ASSERT_TRUE(harness_explain(&h, worker, space, id, q, extension, extension_bytes, &e));
	CU_ASSERT(memcmp(e.entity_id, id, sizeof id) == 0 && e.query_id == q->query_id);
	CU_ASSERT_EQUAL(e.selector, PE_EXPLAIN_QUERY);
}

static void ask(uint64_t n, const struct pe_wire_query *q)
{
	ask_at(0, PLANE, n, q, 0);
}

static void put_at(unsigned space, uint64_t n, uint32_t sequence, double x, double y, double z)
{
	struct pe_wire_update u = harness_update(n, sequence, x, y, z);

	ASSERT_STATUS(harness_send(&h, space, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
}

#define BIT(cause) (1u << PE_WHY_##cause)
#define ASSERT_IN() \
	CU_ASSERT(e.code == 0 && e.verdict == PE_EXPLAIN_IN && !e.first_cause && \
		!(e.causes & PE_EXPLAIN_DECIDING))
// These causes and no others, the first of them first.
#define ASSERT_OUT(mask) \
	CU_ASSERT(e.code == 0 && e.verdict == PE_EXPLAIN_OUT && e.causes == (mask) && \
		e.first_cause == __builtin_ctz(mask))
// Nothing but that it isn't there.
#define ASSERT_NOTHING_ELSE() \
	CU_ASSERT(e.distance_m == -1 && e.edge_m == -1 && e.beyond_m == -1 && e.asker_m == -1 && \
		e.held_m == -1 && e.position[0] == 0 && e.position[1] == 0 && e.radius_m == 0 && \
		e.age_ms == 0 && e.ttl_left_ms == 0 && e.state == 0 && e.entity_type == 0)

static void in_the_answer(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 30, 40, 0);

	start();
	u.ttl_ms = 5000;
	u.radius_m = 60;
	u.time_offset_ms = -250;
	u.entity_type = PE_ENTITY_CUSTOM + 3;
	u.attributes = PE_STATE_BUSY;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 1000);
	ask(1, &q);
	ASSERT_IN();
	CU_ASSERT_EQUAL(e.causes, 0);
	CU_ASSERT(e.position[0] == 30 && e.position[1] == 40);
	CU_ASSERT(e.distance_m == 50 && e.edge_m == 100 && e.beyond_m == 0 && e.asker_m == 50);
	CU_ASSERT(e.radius_m == 60 && e.age_ms == 1250 && e.ttl_left_ms == 4000);
	CU_ASSERT(e.state == PE_STATE_BUSY && e.entity_type == PE_ENTITY_CUSTOM + 3);
	CU_ASSERT(e.held_m == -1 && e.held_ms == 0 && e.due_ms == 0 && e.filter_step == 0);
	stop();
}

static void unknown_and_gone(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	struct pe_wire_update u = harness_update(2, 1, 1, 1, 1);

	start();
	ask(1, &q);
	ASSERT_OUT(BIT(UNKNOWN));
	ASSERT_NOTHING_ELSE();
	put_at(PLANE, 1, 1, 1, 1, 1);
	ASSERT_STATUS(withdraw(1, 2), PE_ACK_APPLIED);
	ask(1, &q);
	ASSERT_OUT(BIT(GONE));
	ASSERT_NOTHING_ELSE();
	u.ttl_ms = 100;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 99);
	ask(2, &q);
	ASSERT_IN();
	harness_advance(&h, 1);
	ask(2, &q);
	ASSERT_OUT(BIT(GONE));
	// Who isn't trusted can't tell what is gone from what never was or is hidden.
	h.untrusted = true;
	ask(2, &q);
	ASSERT_OUT(BIT(UNKNOWN));
	ASSERT_NOTHING_ELSE();
	h.untrusted = false;
	harness_advance(&h, PE_TOMBSTONE_MS + 10);
	harness_settle(&h);
	harness_advance(&h, 10);
	ask(2, &q);
	ASSERT_OUT(BIT(UNKNOWN));
	stop();
}

static void another_space(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);

	start();
	put_at(EARTH, 1, 1, 0, 0, 0);
	ask(1, &q);
	ASSERT_OUT(BIT(SPACE));
	ASSERT_NOTHING_ELSE();
	ask_at(0, EARTH, 1, &q, 0);
	ASSERT_IN();
	stop();
}

static void masks_and_heights(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	struct pe_wire_update u = harness_update(2, 1, 0, 0, 0);

	start();
	put_at(PLANE, 1, 1, 1, 1, 20);
	q.type_mask = 1 << PE_ENTITY_STATIC;
	ask(1, &q);
	ASSERT_OUT(BIT(TYPE));
	q.state_mask = 1 << PE_STATE_AWAY;
	ask(1, &q);
	ASSERT_OUT(BIT(TYPE) | BIT(STATE));
	q.flags = PE_QUERY_HEIGHT_RANGE;
	q.height_max = 19;
	ask(1, &q);
	ASSERT_OUT(BIT(TYPE) | BIT(STATE) | BIT(HEIGHT));
	q.type_mask = q.state_mask = 0;
	ask(1, &q);
	ASSERT_OUT(BIT(HEIGHT));
	q.height_max = 20;
	ask(1, &q);
	ASSERT_IN();
	// A height that is not known is in no range, and at no straight distance.
	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	ask_at(0, EARTH, 2, &q, 0);
	ASSERT_OUT(BIT(HEIGHT));
	CU_ASSERT_EQUAL(e.state, PE_RESULT_HEIGHT_UNKNOWN);
	q = harness_sphere(0, 0, 0, 100);
	q.flags = PE_QUERY_DISTANCE_3D;
	ask_at(0, EARTH, 2, &q, 0);
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT(e.distance_m == -1 && e.beyond_m == -1 && e.edge_m == 100);
	stop();
}

static uint32_t put_filter(const struct pe_wire_filter_step *steps, unsigned count)
{
	uint8_t program[PE_FILTER_BYTES_MAX] = {0};
	uint32_t bytes = (uint32_t)(8 + (count * sizeof *steps + 7) / 8 * 8);
	struct pe_wire_filter head = {.bytes = (uint16_t)bytes, .step_count = (uint8_t)count};

	memcpy(program, &head, sizeof head);
	memcpy(program + sizeof head, steps, count * sizeof *steps);
	return pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_FILTER, program, bytes);
}

// Numbers of steps count the joining ones too.
static void filter_steps(void)
{
	const struct pe_wire_filter_step away = {PE_FILTER_STATE, 0, 1 << PE_STATE_AWAY};
	const struct pe_wire_filter_step active = {PE_FILTER_STATE, 0, 1 << PE_STATE_ACTIVE};
	const struct pe_wire_filter_step mobile = {PE_FILTER_TYPE, 0, 1 << PE_ENTITY_MOBILE};
	const struct pe_wire_filter_step fixed = {PE_FILTER_TYPE, 0, 1 << PE_ENTITY_STATIC};
	const struct pe_wire_filter_step and = {PE_FILTER_AND, 0, 0}, or = {PE_FILTER_OR, 0, 0},
					 not = {PE_FILTER_NOT, 0, 0};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);

	start();
	put_at(PLANE, 1, 1, 1, 1, 1);
	ask_at(0, PLANE, 1, &q, put_filter((struct pe_wire_filter_step[]){away}, 1));
	ASSERT_OUT(BIT(FILTER));
	CU_ASSERT_EQUAL(e.filter_step, 1);
	ask_at(0, PLANE, 1, &q,
		put_filter((struct pe_wire_filter_step[]){mobile, active, and, fixed, and}, 5));
	ASSERT_OUT(BIT(FILTER));
	CU_ASSERT_EQUAL(e.filter_step, 4);
	ask_at(0, PLANE, 1, &q,
		put_filter((struct pe_wire_filter_step[]){mobile, away, and, fixed, or }, 5));
	ASSERT_OUT(BIT(FILTER));
	CU_ASSERT_EQUAL(e.filter_step, 4);
	ask_at(0, PLANE, 1, &q,
		put_filter((struct pe_wire_filter_step[]){away, not, fixed, or }, 4));
	ASSERT_IN();
	CU_ASSERT_EQUAL(e.filter_step, 1);
	stop();
}

static uint32_t put_resolution(uint32_t at, const struct pe_wire_resolution *r)
{
	return pe_wire_put_block(
		extension, at, sizeof extension, PE_BLOCK_RESOLUTION, r, sizeof *r);
}

// Too old is told apart from what a program does not take.
static void too_old(void)
{
	const struct pe_wire_filter_step away = {PE_FILTER_STATE, 0, 1 << PE_STATE_AWAY};
	const struct pe_wire_filter_step active = {PE_FILTER_STATE, 0, 1 << PE_STATE_ACTIVE};
	const struct pe_wire_resolution fresh = {0, 1000, 0.5f, 0};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	uint32_t bytes = put_resolution(0, &fresh);

	start();
	put_at(PLANE, 1, 1, 1, 1, 1);
	harness_advance(&h, 1000);
	ask_at(0, PLANE, 1, &q, bytes);
	ASSERT_IN();
	bytes = put_resolution(put_filter(&active, 1), &fresh);
	ask_at(0, PLANE, 1, &q, bytes);
	ASSERT_IN();
	CU_ASSERT_EQUAL(e.filter_step, 1);
	harness_advance(&h, 1);
	ask_at(0, PLANE, 1, &q, bytes);
	ASSERT_OUT(BIT(FILTER));
	CU_ASSERT(e.filter_step == 0 && e.age_ms == 1001);
	ask_at(0, PLANE, 1, &q, put_resolution(put_filter(&away, 1), &fresh));
	ASSERT_OUT(BIT(FILTER));
	CU_ASSERT_EQUAL(e.filter_step, 1);
	ask_at(0, PLANE, 1, &q, put_resolution(0, &fresh));
	ASSERT_OUT(BIT(FILTER));
	CU_ASSERT_EQUAL(e.filter_step, 0);
	stop();
}

static uint32_t put_square(double half, double height_max)
{
	const double corners[4][2] = {{-half, -half}, {half, -half}, {half, half}, {-half, half}};
	const unsigned count = 4;

	return pe_wire_put_polygon(extension, 0, sizeof extension, PE_VERTICES_F64, corners, &count,
		1, -INFINITY, height_max);
}

static void volumes(void)
{
	struct pe_wire_oriented_box box = {.half = {1, 2, 3}, .orientation = {0, 0, 0, 1}};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 40);
	const double a[3] = {0, 0, 0}, b[3] = {10, 10, 10};

	start();
	put_at(PLANE, 1, 1, 30, 40, 0);
	ask(1, &q);
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT(e.distance_m == 50 && e.edge_m == 40 && e.beyond_m == 10);
	q = harness_point(30, 41, 0);
	ask(1, &q);
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT(e.distance_m == 1 && e.edge_m == 0 && e.beyond_m == 1);
	q = harness_box(a, b);
	ask(1, &q);
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT(e.distance_m == -1 && e.edge_m == -1);
	CU_ASSERT_DOUBLE_EQUAL(e.beyond_m, hypot(20, 30), 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(e.asker_m, sqrt(25 * 25 + 35 * 35 + 25), 1e-9);
	q = (struct pe_wire_query){.kind = PE_QUERY_POLYGON};
	ask_at(0, PLANE, 1, &q, put_square(10, INFINITY));
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT_DOUBLE_EQUAL(e.distance_m, 50, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(e.beyond_m, hypot(20, 30), 1e-9);
	ask_at(0, PLANE, 1, &q, put_square(100, -7));
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT_DOUBLE_EQUAL(e.beyond_m, 7, 1e-9);
	q.kind = PE_QUERY_ORIENTED_BOX;
	ask_at(0, PLANE, 1, &q,
		pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_VOLUME, &box, sizeof box));
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT_DOUBLE_EQUAL(e.beyond_m, 38, 1e-9); // of the face that it is furthest from
	// On Earth: a degree east of a box across the antimeridian, and 10 m south of a square.
	put_at(EARTH, 2, 1, 0, -178, 0);
	q = harness_box((const double[]){-1, 178, 0}, (const double[]){1, -179, 0});
	ask_at(0, EARTH, 2, &q, 0);
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT_DOUBLE_EQUAL(e.beyond_m, 111319.5, 1);
	put_at(EARTH, 3, 1, -0.001 - 10 / 110574.3, 0, 0);
	q = (struct pe_wire_query){.kind = PE_QUERY_POLYGON};
	ask_at(0, EARTH, 3, &q, put_square(0.001, INFINITY));
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT_DOUBLE_EQUAL(e.beyond_m, 10, 0.001);
	stop();
}

static void reach(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 30, 40, 0);

	start();
	u.radius_m = 49;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ask(1, &q);
	ASSERT_OUT(BIT(REACH));
	CU_ASSERT(e.asker_m == 50 && e.radius_m == 49);
	q.flags = PE_QUERY_HAS_ORIGIN;
	q.origin[0] = 30;
	q.origin[1] = 1000;
	ask(1, &q);
	ASSERT_OUT(BIT(REACH));
	CU_ASSERT(e.asker_m == 960 && e.distance_m == 50);
	q.origin[1] = 39;
	ask(1, &q);
	ASSERT_IN();
	stop();
}

static void rank_and_bound(void)
{
	struct pe_wire_query q = {
		.query_id = 5, .kind = PE_QUERY_NEAREST, .max_results = 3, .b = {50}};
	struct pe_engine_config config = harness_config();

	start();
	for (unsigned n = 1; n <= 6; n++)
		put_at(PLANE, n, 1, 10.0 * n, 0, 0);
	ask(3, &q);
	ASSERT_IN();
	CU_ASSERT(e.distance_m == 30 && e.edge_m == 50);
	ask(4, &q);
	ASSERT_OUT(BIT(RANK));
	CU_ASSERT(e.distance_m == 40 && e.edge_m == 30 && e.beyond_m == 0);
	ask(6, &q); // out of the question, whoever is nearer
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT(e.distance_m == 60 && e.edge_m == 50 && e.beyond_m == 10);
	q.b[0] = 0;
	q.max_results = 6;
	ask(6, &q);
	ASSERT_IN();
	CU_ASSERT_EQUAL(e.edge_m, -1);
	stop();
	// A walk that may not come so far.
	config.query_cells_max = 4;
	start_with(&config);
	put_at(PLANE, 1, 1, 5000, 0, 0);
	for (unsigned n = 2; n <= 20; n++)
		put_at(PLANE, n, 1, 64.0 * n, 0, 0);
	q.max_results = 20;
	ask(1, &q);
	ASSERT_OUT(BIT(BOUND));
	stop();
}

static void held_back(void)
{
	struct pe_wire_query q = harness_sphere(10, 10, 0, 1);
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u;

	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	put_at(PLANE, 1, 1, 10, 10, 0);
	harness_advance(&h, 200);
	u = harness_update(1, 2, 13, 14, 0);
	u.velocity[0] = pe_half_from_float(1);
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	harness_advance(&h, 300);
	ask(1, &q);
	ASSERT_IN();
	CU_ASSERT_EQUAL(e.causes, BIT(COALESCED));
	CU_ASSERT(e.position[0] == 10 && e.held_m == 5);
	CU_ASSERT(e.held_ms == 200 && e.due_ms == 700 && e.age_ms == 500);
	CU_ASSERT(e.ttl_left_ms == PE_TTL_DEFAULT_MS - 300);
	// The same for who isn't trusted, without what is held back.
	h.untrusted = true;
	ask(1, &q);
	ASSERT_IN();
	CU_ASSERT(e.causes == 0 && e.held_m == -1 && e.held_ms == 0 && e.due_ms == 0);
	h.untrusted = false;
	harness_advance(&h, 700);
	ask(1, &q);
	ASSERT_OUT(BIT(VOLUME));
	CU_ASSERT(e.position[0] == 13 && e.held_m == -1);
	// A frequency holds back in a node of the pool.
	u = harness_update(1, 3, 13, 14, 0);
	u.frequency = 60;
	u.attributes = PE_STATE_BUSY;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 400);
	u = harness_update(1, 4, 13, 26, 0);
	u.frequency = 60;
	ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
	ask(1, &q);
	CU_ASSERT_EQUAL(e.causes, BIT(VOLUME) | BIT(COALESCED));
	CU_ASSERT(e.held_m == 12 && e.held_ms == 400 && e.due_ms == 600);
	CU_ASSERT(e.verdict == PE_EXPLAIN_OUT && e.first_cause == PE_WHY_VOLUME);
	stop();
}

static void pending_crossing(void)
{
	struct pe_wire_query q = harness_sphere(100, 0, 0, 1);
	struct pe_wire_update u = harness_update(1, 3, 200, 0, 0);

	start();
	put_at(PLANE, 1, 1, 10, 0, 0);
	put_at(PLANE, 1, 2, 100, 0, 0);
	ASSERT_STATUS(send(&u), PE_ACK_ACCEPTED);
	ask(1, &q);
	ASSERT_IN();
	CU_ASSERT_EQUAL(e.causes, BIT(PENDING));
	CU_ASSERT(e.position[0] == 100 && e.held_m == 100 && e.due_ms == 0);
	h.untrusted = true;
	ask(1, &q);
	CU_ASSERT(e.causes == 0 && e.held_m == -1);
	h.untrusted = false;
	harness_settle(&h);
	ask(1, &q);
	ASSERT_OUT(BIT(VOLUME));
	stop();
}

static void owned_elsewhere(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(10, 10, 0, 1);
	struct pe_wire_update u = harness_update(1, 2, 12, 10, 0);

	config.worker_count = 2;
	config.spaces[PLANE].coalesce_distance_m = 5;
	start_with(&config);
	u.sequence = 1;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
	harness_turn(&h);
	harness_settle(&h);
	q.a[0] = 12;
	u.sequence = 2;
	u.position[0] = 15;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, true);
	harness_turn(&h);
	ask_at(0, PLANE, 1, &q, 0);
	ASSERT_IN();
	CU_ASSERT(e.causes == BIT(COALESCED) && e.held_m == 3);
	// The same of what is published; the rest is the owner's.
	ask_at(1, PLANE, 1, &q, 0);
	ASSERT_IN();
	CU_ASSERT(e.causes == BIT(ELSEWHERE) && e.held_m == -1 && e.position[0] == 12);
	h.untrusted = true;
	ask_at(1, PLANE, 1, &q, 0);
	CU_ASSERT_EQUAL(e.causes, 0);
	h.untrusted = false;
	stop();
}

static void refused(const struct pe_wire_query *q, uint32_t bytes, enum pe_reason reason)
{
	uint64_t before = harness_counter(&h, PE_COUNTER_REASON(reason));

	for (unsigned stranger = 0; stranger < 2; stranger++) {
		h.untrusted = stranger;
		ask_at(0, PLANE, 1, q, bytes);
		CU_ASSERT_EQUAL(e.reason, reason);
		CU_ASSERT_EQUAL(e.code, pe_reason_info[reason].code);
		CU_ASSERT(e.verdict == PE_EXPLAIN_UNDECIDED && e.causes == 0 && !e.first_cause);
		ASSERT_NOTHING_ELSE();
	}
	h.untrusted = false;
	CU_ASSERT_EQUAL(harness_counter(&h, PE_COUNTER_REASON(reason)), before + 2);
}

static void refusals(void)
{
	static const uint8_t nil[16];
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1);

	start();
	put_at(PLANE, 1, 1, 0, 0, 0);
	CU_ASSERT_TRUE(harness_explain(&h, 0, PLANE, nil, &q, NULL, 0, &e));
	CU_ASSERT(e.reason == PE_REASON_explain_id && e.verdict == PE_EXPLAIN_UNDECIDED);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, explain_id), 1);
	q.kind = 9;
	refused(&q, 0, PE_REASON_query_kind);
	q = harness_sphere(0, 0, 0, -1);
	refused(&q, 0, PE_REASON_query_coordinates);
	q = harness_sphere(1e300, 0, 0, 1);
	refused(&q, 0, PE_REASON_query_bounds);
	q = harness_sphere(0, 0, 0, 1);
	q.flags = PE_QUERY_HAS_CURSOR;
	q.cursor[1] = 5;
	refused(&q, 0, PE_REASON_query_cursor);
	q = harness_sphere(0, 0, 0, 1);
	memset(extension, 0, 16);
	refused(&q, 16, PE_REASON_query_extension);
	q.kind = PE_QUERY_NEAREST;
	refused(&q, 0, PE_REASON_query_nearest);
	// Refused as a whole: told to who is trusted.
	h.config.spaces[PLANE].space.id[0] ^= 1;
	q = harness_sphere(0, 0, 0, 1);
	CU_ASSERT_TRUE(harness_explain(&h, 0, PLANE, (const uint8_t[16]){1}, &q, NULL, 0, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_space_unknown);
	h.untrusted = true;
	CU_ASSERT_FALSE(harness_explain(&h, 0, PLANE, (const uint8_t[16]){1}, &q, NULL, 0, &e));
	h.untrusted = false;
	h.config.spaces[PLANE].space.id[0] ^= 1;
	// No buffer: dropped and counted.
	h.buffers_refused = true;
	CU_ASSERT_FALSE(harness_explain(&h, 0, PLANE, (const uint8_t[16]){1}, &q, NULL, 0, &e));
	h.buffers_refused = false;
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, answer_no_buffer), 1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, carried_explain), HARNESS_COUNTER(&h, queries_carried));
	stop();
}

TESTING_MAIN("engine: explain", {"in the answer", in_the_answer},
	{"unknown and gone", unknown_and_gone}, {"another space", another_space},
	{"masks and heights", masks_and_heights}, {"filter steps", filter_steps},
	{"too old", too_old}, {"volumes", volumes}, {"reach", reach},
	{"rank and bound", rank_and_bound}, {"held back", held_back},
	{"pending crossing", pending_crossing}, {"owned elsewhere", owned_elsewhere},
	{"refusals", refusals})
