// A policy with a registered method, through the engine: where its entities are, and who is hidden
// for want of a place.
#include "policy/methods.h"
#include "space/coarse.h"
#include "testing.h"
#include "watching.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

#define PLANE 0u
#define EARTH 1u

static struct harness h;
static struct harness_answer a;

// Of a space's western half it makes nothing, of its north something that is none.
static bool moody(const struct pe_method_case *c, double published[3], double *within_m)
{
	*within_m = c->first;
	published[0] = floor(c->position[0] / c->first) * c->first;
	published[1] = c->position[1] > 500 ? NAN : pe_method_draw(c->stream);
	published[2] = 0;
	return c->position[0] >= 0;
}

static const struct pe_method moods = {
	.name = "moods", .first = {.name = "step", .low = 1, .high = 1000}, .publish = moody};

static void start(const struct pe_policy *p)
{
	static bool registered;
	struct pe_engine_config c = harness_config();
	struct pe_error error;

	if (!registered)
		CU_ASSERT(pe_method_register(&pe_method_scatter, &error) == PE_OK &&
			pe_method_register(&moods, &error) == PE_OK);
	registered = true;
	c.views = (struct pe_views_config){.policies = p, .policy_count = 1};
	harness_failed = testing_failed;
	harness_start(&h, &c);
}

static struct pe_wire_ack_record put(
	unsigned space, uint64_t n, uint32_t sequence, double x, double y, unsigned level)
{
	struct pe_wire_update u = harness_update(n, sequence, x, y, 0);

	u.velocity[0] = 0x4500;
	u.attributes |= (uint16_t)(level << 7);
	return harness_send(&h, space, HARNESS_INCARNATION, &u);
}

static bool sees(uint64_t n, struct pe_wire_result *r)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);

	return harness_sees(&h, 0, PLANE, n, &q, r) == 1;
}

static void hidden_without_a_place(void)
{
	static const struct pe_policy p = {
		.name = "own", .everyone = true, .method = &moods, .method_first = 100};
	struct pe_wire_result r, again;

	start(&p);
	CU_ASSERT_EQUAL(put(PLANE, 1, 1, 250, 7, 0).status, PE_ACK_APPLIED);
	CU_ASSERT(sees(1, &r));
	CU_ASSERT(r.position[0] == 200 && r.position[1] > 0 && r.position[1] <= 1);
	CU_ASSERT(r.velocity[0] == 0 && fabs((double)pe_half_to_float(r.precision) - 100) < 0.1);
	// The same all of the epoch, and another one in the next.
	CU_ASSERT_EQUAL(put(PLANE, 1, 2, 260, 9, 0).status, PE_ACK_APPLIED);
	CU_ASSERT(sees(1, &again));
	CU_ASSERT(memcmp(r.position, again.position, sizeof r.position) == 0);
	harness_advance(&h, PE_EPOCH_MS);
	CU_ASSERT_EQUAL(put(PLANE, 1, 3, 260, 9, 0).status, PE_ACK_APPLIED);
	CU_ASSERT(sees(1, &again));
	CU_ASSERT(memcmp(r.position, again.position, sizeof r.position) != 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, method_failed), 0);
	harness_settle(&h);
	// None, and no number: taken, and shown to nobody until there is one again.
	CU_ASSERT_EQUAL(put(PLANE, 1, 4, -5, 9, 0).status, PE_ACK_APPLIED);
	CU_ASSERT(!sees(1, NULL));
	CU_ASSERT_EQUAL(put(PLANE, 2, 1, 5, 501, 0).status, PE_ACK_APPLIED);
	CU_ASSERT(!sees(2, NULL));
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, method_failed), 2);
	harness_settle(&h);
	CU_ASSERT_EQUAL(put(PLANE, 1, 5, 5, 9, 0).status, PE_ACK_APPLIED);
	CU_ASSERT(sees(1, &r));
	CU_ASSERT_EQUAL(r.position[0], 0);
	// Who asks for a level is rounded before the method sees the place.
	CU_ASSERT_EQUAL(put(PLANE, 3, 1, 1, 1, 4).status, PE_ACK_APPLIED);
	CU_ASSERT(sees(3, &r));
	CU_ASSERT_EQUAL(r.position[0], 500);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, method_failed), 2);
	harness_stop(&h);
}

static void scattered(void)
{
	static const struct pe_policy p = {.name = "scatter",
		.space = PE_POLICY_EVERY_SPACE,
		.everyone = true,
		.method = &pe_method_scatter,
		.method_first = 400,
		.method_second = 1};

	start(&p);
	for (unsigned space = PLANE; space <= EARTH; space++) {
		double x = space == EARTH ? 60.16 : 4321.7, y = space == EARTH ? 24.9 : -77.3;
		struct pe_wire_query q = harness_sphere(x, y, 0, 2000);
		double expected[3], cell[3], seen[8][3];
		struct pe_space s;
		struct pe_error error;

		CU_ASSERT_EQUAL_FATAL(
			pe_space_prepare(&s, &h.config.spaces[space].space, space, &error), PE_OK);
		(void)pe_space_coarse(&s, 400, (double[3]){x, y, 0}, true, expected);
		for (unsigned i = 0; i < 8; i++) {
			CU_ASSERT_EQUAL(
				put(space, 20 * space + i + 1, 1, x, y, 0).status, PE_ACK_APPLIED);
		}
		harness_ask(&h, 0, space, &q, &a);
		CU_ASSERT_EQUAL_FATAL(a.count, 8);
		for (unsigned i = 0; i < 8; i++) {
			memcpy(seen[i], a.results[i].position, sizeof seen[i]);
			(void)pe_space_coarse(&s, 400, seen[i], true, cell);
			CU_ASSERT(memcmp(cell, expected, sizeof cell) == 0);
			for (unsigned k = 0; k < i; k++)
				CU_ASSERT(memcmp(seen[i], seen[k], sizeof seen[i]) != 0);
		}
		// Here each may be.
		q = harness_point(x, y, 0);
		harness_ask(&h, 0, space, &q, &a);
		CU_ASSERT_EQUAL(a.count, 8);
	}
	harness_stop(&h);
}

TESTING_MAIN("engine/methods", {"hidden without a place", hidden_without_a_place},
	{"scattered", scattered})
