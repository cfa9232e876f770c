// Who is shown what: visibility, policies by lists, ids, types, areas and times, names, through
// queries, counts and explanations.
#include "testing_veil.h"

#include <string.h>

static bool explained(uint32_t principal, const uint8_t id[16], struct pe_wire_explanation *e)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	bool came;

	h.principal = principal;
	came = harness_explain(&h, 0, PLANE, id, &q, NULL, 0, e);
	h.principal = 0;
	return came;
}

// Explanations of two ids, which are to say the same but for the id.
static bool explained_alike(uint32_t principal, uint64_t n, uint64_t other)
{
	struct pe_wire_explanation x, y;
	uint8_t id[16];

	harness_id(id, n);
	CU_ASSERT_FATAL(explained(principal, id, &x));
	harness_id(id, other);
	CU_ASSERT_FATAL(explained(principal, id, &y));
	memcpy(x.entity_id, y.entity_id, 16);
	x.request_sequence = y.request_sequence;
	return memcmp(&x, &y, sizeof x) == 0;
}

static void hidden_is_absent(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);

	start(NULL, 0);
	APPLIED(put(PLANE, 1, 1, 0, 0, VISIBILITY(PE_HIDDEN)));
	APPLIED(put(PLANE, 2, 1, 10, 0, 0));
	CU_ASSERT_EQUAL(seen_by(0, 1), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 1), 0);
	CU_ASSERT_EQUAL(seen_by(0, 2), 1);
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL(a.count, 1);
	q.kind = PE_QUERY_NEAREST;
	q.max_results = 5;
	q.b[0] = 0;
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL(a.count, 1);
	q = harness_point(0, 0, 0);
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL(a.count, 0);
	CU_ASSERT(explained_alike(0, 1, 77));
	CU_ASSERT(!explained_alike(0, 2, 77));
	// It shows itself, hides again, and is never seen twice or for too long.
	APPLIED(put(PLANE, 1, 2, 0, 0, 0));
	CU_ASSERT_EQUAL(seen_by(0, 1), 1);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(0, 1), 1);
	APPLIED(put(PLANE, 1, 3, 0, 0, VISIBILITY(PE_HIDDEN)));
	CU_ASSERT_EQUAL(seen_by(0, 1), 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(0, 1), 0);
	// What is gone is not told to have been there.
	APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 1, 9));
	CU_ASSERT(explained_alike(0, 1, 77));
	APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 2, 9));
	CU_ASSERT(!explained_alike(0, 2, 77));
	stop();
}

static void restricted_by_lists(void)
{
	static const uint32_t allow[] = {BOB, ALICE}, deny[] = {EVE, BOB};
	const struct pe_policy policies[] = {
		{.name = "friends",
			.space = PLANE,
			.visibility = 1u << PE_RESTRICTED,
			.prefix_bits = 0,
			.allow = allow,
			.allow_count = 2,
			.deny = deny,
			.deny_count = 2},
	};

	start(policies, 1);
	APPLIED(put(PLANE, 1, 1, 0, 0, VISIBILITY(PE_RESTRICTED)));
	CU_ASSERT_EQUAL(seen_by(0, 1), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 1), 1);
	CU_ASSERT_EQUAL(seen_by(BOB, 1), 0); // deny wins
	CU_ASSERT_EQUAL(seen_by(EVE, 1), 0);
	CU_ASSERT_EQUAL(seen_by(9, 1), 0);
	CU_ASSERT(explained_alike(BOB, 1, 77));
	CU_ASSERT(!explained_alike(ALICE, 1, 77));
	// No policy of that space says who may see it.
	REFUSED(put(EARTH, 2, 1, 10, 10, VISIBILITY(PE_RESTRICTED)), visibility);
	stop();
}

static void policies_by_id_type_and_area(void)
{
	static const uint32_t allow[] = {ALICE};
	struct pe_policy policies[3] = {
		{.name = "prefix",
			.space = PE_POLICY_EVERY_SPACE,
			.allow = allow,
			.allow_count = 1},
		{.name = "type",
			.space = PE_POLICY_EVERY_SPACE,
			.type_mask = 1u << 4,
			.allow = allow,
			.allow_count = 1},
		{.name = "area",
			.space = PLANE,
			.area = true,
			.low = {-10, -10, -10},
			.high = {10, 10, 10},
			.allow = allow,
			.allow_count = 1},
	};
	struct pe_wire_update u;

	harness_id(policies[0].prefix, 5);
	policies[0].prefix_bits = 128;
	start(policies, 3);
	APPLIED(put(PLANE, 5, 1, 500, 0, 0));
	APPLIED(put(PLANE, 6, 1, 500, 0, 0));
	u = update(7, 1, 500, 0, 0);
	u.entity_type = 130;
	APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	APPLIED(put(PLANE, 8, 1, 9.9, -10, 0));
	APPLIED(put(PLANE, 9, 1, 10.1, 0, 0));
	for (uint64_t n = 5; n <= 9; n++) {
		CU_ASSERT_EQUAL(seen_by(ALICE, n), 1);
		CU_ASSERT_EQUAL(seen_by(BOB, n), n == 6 || n == 9);
	}
	// Who leaves the area is shown again; who enters it no more.
	APPLIED(put(PLANE, 8, 2, 20, 0, 0));
	APPLIED(put(PLANE, 9, 2, 0, 0, 0));
	CU_ASSERT_EQUAL(seen_by(BOB, 8), 1);
	CU_ASSERT_EQUAL(seen_by(BOB, 9), 0);
	// A policy widens no wish that it does not name.
	APPLIED(put(PLANE, 5, 2, 500, 0, VISIBILITY(PE_HIDDEN)));
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	stop();
}

static void by_time_of_day(void)
{
	static const uint32_t allow[] = {ALICE};
	struct pe_policy p = {.name = "hours",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = allow,
		.allow_count = 1};
	uint64_t day_ms = 86400000;
	unsigned minute;

	// The harness's clock, an hour on.
	start(NULL, 0);
	minute = (unsigned)(h.now.wall_ms / 60000 % 1440);
	stop();
	p.from_minute = (uint16_t)((minute + 10) % 1440);
	p.until_minute = (uint16_t)((minute + 20) % 1440);
	start(&p, 1);
	for (unsigned m = 0; m < 25; m++) {
		APPLIED(put(PLANE, 1, 1 + m, 0, 0, VISIBILITY(PE_RESTRICTED)));
		minute = (unsigned)(h.now.wall_ms % day_ms / 60000);
		CU_ASSERT_EQUAL(seen_by(ALICE, 1), (minute + 1440 - p.from_minute) % 1440 < 10);
		harness_advance(&h, 60000);
	}
	stop();
}

static void anonymous_ones_have_other_names(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	struct pe_wire_explanation e;
	uint8_t name[16], id[16];

	start(NULL, 0);
	if (!draws()) {
		REFUSED(put(PLANE, 1, 1, 0, 0, VISIBILITY(PE_ANONYMOUS)), visibility);
		stop();
		return;
	}
	APPLIED(put(PLANE, 1, 1, 0, 0, VISIBILITY(PE_ANONYMOUS)));
	APPLIED(put(PLANE, 2, 1, 0, 0, VISIBILITY(PE_ANONYMOUS)));
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 2);
	memcpy(name, a.results[0].entity_id, 16);
	harness_id(id, 1);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_NOT_EQUAL(harness_id_number(a.results[i].entity_id), 1);
		CU_ASSERT_NOT_EQUAL(harness_id_number(a.results[i].entity_id), 2);
	}
	CU_ASSERT_NOT_EQUAL(memcmp(name, a.results[1].entity_id, 16), 0);
	// Neither name leads to it.
	CU_ASSERT(explained_alike(0, 1, 77));
	CU_ASSERT_FATAL(explained(0, name, &e));
	CU_ASSERT_EQUAL(e.first_cause, PE_WHY_UNKNOWN);
	// The same for the epoch, for everybody; another one in the next.
	ask(ALICE, PLANE, &q);
	CU_ASSERT_EQUAL(memcmp(name, a.results[0].entity_id, 16), 0);
	harness_advance(&h, PE_EPOCH_MS);
	APPLIED(put(PLANE, 1, 2, 0, 0, VISIBILITY(PE_ANONYMOUS)));
	ask(0, PLANE, &q);
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	CU_ASSERT_NOT_EQUAL(memcmp(name, a.results[0].entity_id, 16), 0);
	stop();
}

static void parents_are_not_given_away(void)
{
	_Alignas(8) uint8_t record[256];
	struct pe_wire_update u = update(2, 1, 5, 0, 0);
	uint8_t parent[16];
	uint32_t bytes;

	start(NULL, 0);
	APPLIED(put(PLANE, 1, 1, 0, 0, VISIBILITY(PE_HIDDEN)));
	for (unsigned i = 0; i < 3; i++) {
		harness_id(parent, i ? 77 : 1);
		u.attributes = i == 2 ? VISIBILITY(PE_HIDDEN) : 0;
		bytes = pe_wire_begin_details(record, sizeof record, &u);
		bytes = pe_wire_put_details(record, sizeof record, PE_DETAILS_FRAME, parent, 16);
		CU_ASSERT_FATAL(bytes);
		if (i < 2) // hidden or absent
			REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record),
				frame_unknown);
		else
			REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record),
				visibility);
	}
	stop();
}

// Whoever takes the update, and whoever owns the entity: it is in the layer of its audience.
static void two_workers(void)
{
	static const uint32_t allow[] = {ALICE};
	const struct pe_policy p = {.name = "friends",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = allow,
		.allow_count = 1};
	struct pe_engine_config c = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);

	c.worker_count = 2;
	c.views = (struct pe_views_config){.policies = &p, .policy_count = 1};
	harness_failed = testing_failed;
	harness_start(&h, &c);
	for (uint32_t i = 1; i <= 40; i++) {
		struct pe_wire_update u = update(1 + i % 8, i, 10.0 * (i % 7), 0,
			i % 3 == 0 ? 0 : VISIBILITY(i % 3 == 1 ? PE_RESTRICTED : PE_HIDDEN));

		harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		harness_turn_worker(&h, i / 8 % 2);
		harness_settle(&h);
		for (unsigned w = 0; w < 2; w++)
			for (unsigned who = 0; who <= BOB; who++) {
				h.principal = who;
				CU_ASSERT_EQUAL(harness_sees(&h, w, PLANE, 1 + i % 8, &q, NULL),
					i % 3 == 0 || (i % 3 == 1 && who == ALICE));
				h.principal = 0;
			}
	}
	stop();
}

TESTING_MAIN("engine/veil", {"hidden is absent", hidden_is_absent},
	{"restricted by lists", restricted_by_lists},
	{"by id, type and area", policies_by_id_type_and_area}, {"by time of day", by_time_of_day},
	{"anonymous names", anonymous_ones_have_other_names},
	{"parents", parents_are_not_given_away}, {"two workers", two_workers})
