// Where somebody is shown to be: rounded places and places with noise, and that neither tells more
// by moves, by epochs or by the order of answers.
#include "testing_veil.h"

#include <math.h>
#include <string.h>

static void places_are_rounded(void)
{
	static const double edges[] = {0, 1, 10, 100, 1000, 10000};

	start(NULL, 0);
	for (unsigned space = PLANE; space <= EARTH; space++)
		for (unsigned level = 1; level <= 5; level++) {
			double x = space == EARTH ? 60.16 : 4321.7,
			       y = space == EARTH ? 24.9 : -77.3;
			struct pe_wire_query q = harness_sphere(x, y, 0, 20000);
			uint64_t n = 10 * (uint64_t)space + level;
			struct pe_wire_update u = update(n, 1, x, y, LEVEL(level));
			const struct pe_wire_result *r = &a.results[0];
			double expected[3];
			struct pe_space s;
			struct pe_error error;

			u.velocity[0] = 0x3c00;
			u.precision_m = 2;
			APPLIED(harness_send(&h, space, HARNESS_INCARNATION, &u));
			CU_ASSERT_EQUAL_FATAL(
				pe_space_prepare(&s, &h.config.spaces[space].space, space, &error),
				PE_OK);
			(void)pe_space_coarse(&s, edges[level], u.position, true, expected);
			ask(0, space, &q);
			CU_ASSERT_EQUAL_FATAL(a.count, 1);
			CU_ASSERT_EQUAL(memcmp(r->position, expected, sizeof expected), 0);
			CU_ASSERT_EQUAL(r->velocity[0], 0);
			CU_ASSERT(pe_space_distance(&s, u.position, r->position, false) <=
				edges[level]);
			CU_ASSERT(fabs((double)r->distance_m -
					  pe_space_distance(&s, q.a, r->position, false)) < 0.1);
			// Here it may be, and so a point finds it; there not.
			q = harness_point(x, y, 0);
			ask(0, space, &q);
			CU_ASSERT_EQUAL(a.count, 1);
			APPLIED(harness_withdraw(&h, space, HARNESS_INCARNATION, n, 9));
		}
	REFUSED(put(PLANE, 1, 1, 0, 0, LEVEL(6)), visibility);
	REFUSED(put(PLANE, 1, 1, 1e9, 0, LEVEL(5)), out_of_bounds);
	stop();
}

static void rounded_moves_tell_nothing(void)
{
	struct pe_wire_query q = harness_sphere(50, 50, 0, 500);
	struct pe_wire_result first;

	start(NULL, 0);
	APPLIED(put(PLANE, 1, 1, 10, 20, LEVEL(3)));
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	first = a.results[0];
	for (uint32_t i = 2; i < 60; i++) {
		APPLIED(put(PLANE, 1, i, 1 + i, 99 - i, LEVEL(3)));
		ask(0, PLANE, &q);
		CU_ASSERT_EQUAL_FATAL(a.count, 1);
		CU_ASSERT_EQUAL(memcmp(&first, &a.results[0], sizeof first), 0);
	}
	stop();
}

// Of many ids, in one epoch: distances from the truth have the distribution that is promised.
static void noise_has_its_distribution(void)
{
	static const struct pe_policy p = {
		.name = "noise", .space = PLANE, .everyone = true, .laplace_m = 100};
	double sum = 0, east = 0, north = 0;
	unsigned within[3] = {0}, n = 900;

	if (!draws())
		return;
	start(&p, 1);
	for (unsigned i = 1; i <= n; i++) {
		struct pe_wire_query q = harness_sphere(20, 30, 0, 5000);
		const double *at = a.results[0].position;
		double d;

		APPLIED(put(PLANE, i, 1, 20, 30, 0));
		ask(0, PLANE, &q);
		CU_ASSERT_EQUAL_FATAL(a.count, 1);
		CU_ASSERT_EQUAL(a.results[0].velocity[0], 0);
		d = hypot(at[0] - 20, at[1] - 30);
		CU_ASSERT(d <= (double)pe_half_to_float(a.results[0].precision) * 1.42 + 10);
		sum += d;
		east += at[0] - 20;
		north += at[1] - 30;
		for (unsigned k = 0; k < 3; k++)
			within[k] += d <= 100.0 * (k + 1);
		APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, i, 9));
	}
	// Gamma(2): the mean is twice the scale; 1 − (1 + r) e^−r of them within r scales. Four
	// standard errors, or more.
	CU_ASSERT(fabs(sum / n - 200) < 20);
	CU_ASSERT(fabs(east / n) < 25 && fabs(north / n) < 25);
	for (unsigned k = 0; k < 3; k++)
		CU_ASSERT(fabs((double)within[k] / n - (1 - (2.0 + k) * exp(-1.0 - k))) < 0.067);
	stop();
}

// However often it moves, is asked for, goes and comes back: one place an epoch.
static void noise_is_held(void)
{
	static const struct pe_policy p = {.name = "noise",
		.space = PE_POLICY_EVERY_SPACE,
		.everyone = true,
		.laplace_m = 100};
	struct pe_wire_query q = harness_sphere(20, 30, 0, 5000);
	double first[3];
	unsigned moved = 0;

	if (!draws())
		return;
	start(&p, 1);
	h.now.wall_ms += PE_EPOCH_MS - h.now.wall_ms % PE_EPOCH_MS;
	APPLIED(put(PLANE, 1, 1, 20, 30, 0));
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	memcpy(first, a.results[0].position, sizeof first);
	for (unsigned i = 2; i < 1000; i++) {
		if (i % 100 == 0) {
			APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 1, i));
		} else {
			APPLIED(put(PLANE, 1, i, 20 + i % 300, 30 - (int)(i % 200), 0));
		}
		if (i % 7 == 0)
			harness_advance(&h, 50);
		harness_settle(&h);
		ask(0, PLANE, &q);
		CU_ASSERT_EQUAL(a.count, i % 100 != 0);
		for (unsigned k = 0; k < a.count; k++)
			moved += memcmp(first, a.results[k].position, sizeof first) != 0;
	}
	CU_ASSERT_EQUAL(moved, 0);
	// The next epoch's is another one.
	harness_advance(&h, PE_EPOCH_MS);
	(void)put(PLANE, 1, 2000, 20, 30, 0);
	harness_settle(&h);
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	CU_ASSERT_NOT_EQUAL(memcmp(first, a.results[0].position, sizeof first), 0);
	// On Earth too.
	q = harness_sphere(60, 25, 0, 5000);
	APPLIED(put(EARTH, 2, 1, 60, 25, 0));
	ask(0, EARTH, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	CU_ASSERT(a.results[0].distance_m > 0 && a.results[0].distance_m < 2000);
	stop();
}

// The order of answers says nothing of who was who in the epoch before.
static void order_is_not_a_name(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	unsigned same = 0, n = 40;
	double position[64];

	if (!draws())
		return;
	start(NULL, 0);
	// Exact places tell the test who is who.
	for (unsigned epoch = 0; epoch < 2; epoch++) {
		for (unsigned i = 1; i <= n; i++)
			(void)put(PLANE, i, 1 + epoch, 0.5 * i, 1, VISIBILITY(PE_ANONYMOUS));
		harness_settle(&h);
		ask(0, PLANE, &q);
		CU_ASSERT_EQUAL_FATAL(a.count, n);
		for (unsigned i = 0; i < n; i++) {
			same += epoch && position[i] == a.results[i].position[0];
			position[i] = a.results[i].position[0];
		}
		harness_advance(&h, PE_EPOCH_MS);
	}
	CU_ASSERT(same < n / 4);
	stop();
}

// Nor does a cursor: who is in which slot of a cell outlives the epoch, so that none begins there.
static void cursors_name_no_slot(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	uint64_t given;

	if (!draws())
		return;
	start(NULL, 0);
	for (unsigned i = 1; i <= 40; i++)
		(void)put(PLANE, i, 1, 0.5 * i, 1, VISIBILITY(PE_ANONYMOUS));
	harness_settle(&h);
	q.max_results = 7;
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 7);
	CU_ASSERT(a.truncated);
	q.flags |= PE_QUERY_HAS_CURSOR;
	memcpy(q.cursor, a.cursor, sizeof q.cursor);
	given = q.cursor[0];
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL(a.code, PE_CODE_SUCCESS);
	CU_ASSERT_EQUAL(a.count, 7);
	// Of the same leaf, behind its newest chunk's first slots.
	for (uint64_t slots = 1; slots < 64; slots++) {
		CU_ASSERT_EQUAL(given >> 57, 0);
		q.cursor[0] = given | 1ull << 56 | slots << 57;
		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT_EQUAL(a.reason, PE_REASON_query_cursor);
		CU_ASSERT_EQUAL(a.count, 0);
	}
	// What everybody may name can be gone through by slots.
	for (unsigned i = 1; i <= 40; i++)
		(void)put(PLANE, i, 2, 0.5 * i, 1, 0);
	harness_settle(&h);
	q.flags &= (uint16_t)~PE_QUERY_HAS_CURSOR;
	memset(q.cursor, 0, sizeof q.cursor);
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL(a.count, 7);
	CU_ASSERT(a.cursor[0] >> 57 & 0x3F);
	stop();
}

TESTING_MAIN("engine/veil-places", {"places are rounded", places_are_rounded},
	{"rounded moves tell nothing", rounded_moves_tell_nothing},
	{"noise", noise_has_its_distribution}, {"noise is held", noise_is_held},
	{"order is not a name", order_is_not_a_name},
	{"cursors name no slot", cursors_name_no_slot})
