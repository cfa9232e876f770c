// What a subscription is told of how finely it can be answered: by what it asks, what is configured
// and who it is, and by nothing that is there.
#include "policy/grain.h"
#include "policy/methods.h"
#include "testing.h"
#include "watching.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

#define PLANE 0u
#define EARTH 1u
#define ALICE 1u
#define BOB   2u

static struct harness h;
static struct watching s;

static void start(const struct pe_engine_config *c)
{
	harness_failed = testing_failed;
	harness_start(&h, c);
}

static struct pe_engine_config config(const struct pe_policy *policies, unsigned count)
{
	struct pe_engine_config c = harness_config();

	c.views = (struct pe_views_config){.policies = policies, .policy_count = count};
	c.fence_count_max = 64;
	c.subscription_count_max = 8;
	return c;
}

// The fence is opened; what its acknowledgement says.
static float open_it(unsigned space, uint32_t principal, float resolution_m,
	const struct pe_wire_fence *f, const uint8_t *extension)
{
	static uint32_t id;
	float published_m;

	watching_init(&s, &h, space, ++id);
	if (resolution_m >= 0) {
		s.subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_FILTER_UPDATES;
		s.subscribe.resolution_m = resolution_m;
	}
	h.principal = principal;
	watching_send(&s, PE_SUBSCRIBE_OPEN, f, 1, extension, f->query.extension_bytes);
	watching_run(&s, 6);
	CU_ASSERT_EQUAL(s.answered, 1);
	CU_ASSERT_EQUAL(s.done.code, PE_CODE_SUCCESS);
	CU_ASSERT_EQUAL(!!(s.done.flags & PE_SUBSCRIBED_COARSER), s.done.published_m > 0);
	published_m = s.done.published_m;
	watching_send(&s, PE_SUBSCRIBE_CLOSE, NULL, 0, NULL, 0);
	watching_run(&s, 6);
	h.principal = 0;
	watching_free(&s);
	return published_m;
}

static float sphere(unsigned space, uint32_t principal, double radius_m, float margin_m)
{
	struct pe_wire_fence f = watching_sphere(1, 10, 10, 0, radius_m);

	f.margin_m = margin_m;
	return open_it(space, principal, -1, &f, NULL);
}

static void by_policies(void)
{
	static const uint32_t allow[] = {ALICE}, deny[] = {BOB};
	static const struct pe_policy policies[] = {
		{.name = "grid", .space = PLANE, .everyone = true, .cloak_m = 100},
		{.name = "noise",
			.space = PLANE,
			.visibility = 1u << PE_RESTRICTED,
			.allow = allow,
			.allow_count = 1,
			.laplace_m = 400},
		{.name = "crowd",
			.space = PLANE,
			.type_mask = 1u << PE_ENTITY_STATIC,
			.everyone = true,
			.deny = deny,
			.deny_count = 1,
			.k = 5,
			.area_m = 700},
		{.name = "night",
			.space = PLANE,
			.visibility = 1u << PE_RESTRICTED,
			.allow = deny,
			.allow_count = 1,
			.from_minute = 60,
			.until_minute = 120,
			.cloak_m = 300},
		{.name = "velocity", .space = EARTH, .everyone = true, .no_velocity = true},
	};
	struct pe_engine_config c = config(policies, 5);
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 50);

	start(&c);
	// Nobody in particular, where somebody is denied, is denied as well.
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 50, 0), 100);
	CU_ASSERT_EQUAL(sphere(PLANE, ALICE, 50, 0), 700);
	CU_ASSERT_EQUAL(sphere(PLANE, BOB, 50, 0), 300); // at night
	CU_ASSERT_EQUAL(sphere(PLANE, 3, 50, 0), 700);
	CU_ASSERT_EQUAL(sphere(EARTH, ALICE, 50, 0), 0);
	// What is asked for.
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 99.9, 0), 100);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 100, 0), 0);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 1000, 20), 100);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 1000, 100), 0);
	CU_ASSERT_EQUAL(sphere(PLANE, ALICE, 500, 0), 700);
	f = watching_sphere(1, 0, 0, 0, 1000);
	CU_ASSERT_EQUAL(open_it(PLANE, 0, 5, &f, NULL), 100);
	CU_ASSERT_EQUAL(open_it(PLANE, 0, 200, &f, NULL), 0);
	CU_ASSERT_EQUAL(open_it(PLANE, 0, 0, &f, NULL), 0); // none is named
	// Which types.
	f = watching_sphere(1, 0, 0, 0, 50);
	f.query.type_mask = 1u << PE_ENTITY_MOBILE;
	CU_ASSERT_EQUAL(open_it(PLANE, 3, -1, &f, NULL), 100);
	f.query.type_mask |= 1u << PE_ENTITY_STATIC;
	CU_ASSERT_EQUAL(open_it(PLANE, 3, -1, &f, NULL), 700);
	// Boxes by their shorter side.
	f = watching_sphere(1, 0, 0, 0, 50);
	f.query.kind = PE_QUERY_BOX;
	memcpy(f.query.a, (double[3]){0, 0, 0}, sizeof f.query.a);
	memcpy(f.query.b, (double[3]){1000, 199, 1000}, sizeof f.query.b);
	CU_ASSERT_EQUAL(open_it(PLANE, 0, -1, &f, NULL), 100);
	f.query.b[1] = 200;
	CU_ASSERT_EQUAL(open_it(PLANE, 0, -1, &f, NULL), 0);
	harness_stop(&h);
}

// Nothing that is there is told by it; with entities and without it is the same bytes.
static void not_by_entities(void)
{
	static const uint32_t allow[] = {ALICE};
	static const struct pe_policy p = {.name = "grid",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = allow,
		.allow_count = 1,
		.cloak_m = 100};
	struct pe_engine_config c = config(&p, 1);
	struct pe_wire_subscribed done[2];

	for (unsigned world = 0; world < 2; world++) {
		struct pe_wire_fence f[2] = {
			watching_sphere(1, 0, 0, 0, 5000), watching_sphere(2, 0, 0, 0, 50)};

		start(&c);
		for (uint64_t n = 1; world && n < 30; n++) {
			struct pe_wire_update u = harness_update(n, 1, (double)n, 0, 0);

			u.attributes |= PE_RESTRICTED << 3;
			CU_ASSERT_EQUAL(harness_send(&h, PLANE, HARNESS_INCARNATION, &u).status,
				PE_ACK_APPLIED);
		}
		CU_ASSERT_EQUAL(sphere(PLANE, 0, 50, 0), 0);
		CU_ASSERT_EQUAL(sphere(PLANE, BOB, 50, 0), 0);
		CU_ASSERT_EQUAL(sphere(PLANE, ALICE, 50, 0), 100);
		// A wide fence, and then a small one; then it is said with every answer.
		h.principal = ALICE;
		watching_init(&s, &h, PLANE, 77);
		s.subscribe.expiration_ms = 60000;
		watching_send(&s, PE_SUBSCRIBE_OPEN, f, 1, NULL, 0);
		watching_run(&s, 6);
		CU_ASSERT(s.done.flags == 0 && s.done.published_m == 0);
		// One that is refused is not told of.
		f[1].margin_m = -1;
		watching_send(&s, PE_SUBSCRIBE_ADD, &f[1], 1, NULL, 0);
		watching_run(&s, 6);
		CU_ASSERT(s.done.code != PE_CODE_SUCCESS && s.done.published_m == 0);
		f[1].margin_m = 0;
		watching_send(&s, PE_SUBSCRIBE_ADD, &f[1], 1, NULL, 0);
		watching_run(&s, 6);
		CU_ASSERT_EQUAL(s.done.published_m, 100);
		watching_send(&s, PE_SUBSCRIBE_RENEW, NULL, 0, NULL, 0);
		watching_run(&s, 6);
		CU_ASSERT_EQUAL(s.done.op, PE_SUBSCRIBE_RENEW);
		CU_ASSERT_EQUAL(s.done.published_m, 100);
		done[world] = s.done;
		done[world].next_sequence = done[world].request_sequence = 0;
		h.principal = 0;
		watching_free(&s);
		harness_stop(&h);
	}
	CU_ASSERT(memcmp(&done[0], &done[1], sizeof done[0]) == 0);
}

// The space's threshold, where no prediction takes its place; and a registered method.
static void by_the_space(void)
{
	static const struct pe_policy p = {.name = "own",
		.space = EARTH,
		.everyone = true,
		.method = &pe_method_scatter,
		.method_first = 250,
		.method_second = 1};
	struct pe_engine_config c = config(NULL, 0);
	struct pe_error error;

	c.spaces[PLANE].coalesce_distance_m = 10;
	start(&c);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 9, 0), 10);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 11, 0), 0);
	CU_ASSERT_EQUAL(sphere(EARTH, 0, 9, 0), 0);
	harness_stop(&h);
	c.spaces[PLANE].predict_distance_m = 10;
	start(&c);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 9, 0), 0);
	harness_stop(&h);
	CU_ASSERT_EQUAL_FATAL(pe_method_register(&pe_method_scatter, &error), PE_OK);
	c = config(&p, 1);
	start(&c);
	CU_ASSERT_EQUAL(sphere(EARTH, 0, 9, 0), 250);
	CU_ASSERT_EQUAL(sphere(PLANE, 0, 9, 0), 0);
	harness_stop(&h);
}

static void lengths(void)
{
	static const double square[4][2] = {{0, 0}, {100, 0}, {100, 60}, {0, 60}};
	static const unsigned ring = 4;
	struct pe_engine_config c = harness_config();
	struct pe_wire_query q = {.kind = PE_QUERY_BOX, .a = {59.9, 179.9}, .b = {60.1, -179.9}};
	_Alignas(8) uint8_t extension[256];
	struct pe_space plane, earth;
	struct pe_error error;

	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&plane, &c.spaces[PLANE].space, 0, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&earth, &c.spaces[EARTH].space, 1, &error), PE_OK);
	// 0.2° of a meridian, and of the parallel of 60°: half.
	CU_ASSERT(fabs(pe_grain_asked_m(&earth, &q, NULL, 0) - 0.1 * 111320 * 0.5) < 50);
	CU_ASSERT_EQUAL(pe_grain_asked_m(&earth, &q, NULL, 7), 7);
	q = (struct pe_wire_query){.kind = PE_QUERY_POLYGON,
		.flags = PE_QUERY_HAS_EXTENSION,
		.extension_bytes = (uint16_t)pe_wire_put_polygon(extension, 0, sizeof extension,
			PE_VERTICES_F64, square, &ring, 1, -INFINITY, INFINITY)};
	CU_ASSERT(q.extension_bytes > 0);
	CU_ASSERT(fabs(pe_grain_asked_m(&plane, &q, extension, 0) - 30) < 1e-6);
	CU_ASSERT_EQUAL(pe_grain_asked_m(&plane, &q, extension, 12), 12);
}

TESTING_MAIN("engine/grain", {"by policies", by_policies}, {"not by entities", not_by_entities},
	{"by the space", by_the_space}, {"lengths", lengths})
