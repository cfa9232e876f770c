// Policies with within_m: who stands near is shown, in queries, explanations and standing queries;
// and who stands where.
#include "policy/near.h"
#include "testing_audience.h"

// ---- where the asker stands ----

// Of the plane: who is within 100 m of the entity that is his. Entity 1 is Alice's, and Bob's is 2.
static const struct pe_policy nearby = {.name = "nearby",
	.space = PE_POLICY_EVERY_SPACE,
	.visibility = 1u << PE_RESTRICTED,
	.allow_roles = PE_ROLE_QUERY,
	.within_m = 100};

static void start_near(enum pe_authorization rule)
{
	struct pe_directory_listed listed[] = {{.principal = ALICE}, {.principal = BOB}};
	struct pe_engine_config c = config(&nearby, 1);

	c.spaces[PLANE].authorization = (uint8_t)rule;
	harness_failed = testing_failed;
	harness_start(&h, &c);
	harness_id(listed[0].stands, 1);
	harness_id(listed[1].stands, 2);
	know(listed, 2);
}

static void as_alice(struct pe_wire_ack_record (*say)(void))
{
	h.principal = ALICE;
	APPLIED(say());
	h.principal = 0;
}

static uint32_t alice_sequence;
static double alice_at;

static struct pe_wire_ack_record stand(void)
{
	return put(PLANE, 1, ++alice_sequence, alice_at, 0, VISIBILITY(PE_HIDDEN));
}

static void stand_at(double x)
{
	alice_at = x;
	as_alice(stand);
	harness_settle(&h);
}

static struct pe_wire_ack_record say_as_alice(uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_ack_record ack;

	h.principal = ALICE;
	ack = put(PLANE, n, sequence, x, 0, VISIBILITY(PE_RESTRICTED));
	h.principal = 0;
	return ack;
}

static bool explained(uint32_t principal, uint64_t n)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	struct pe_wire_explanation e;
	uint8_t id[16];
	bool came;

	harness_id(id, n);
	h.principal = principal;
	came = harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e);
	h.principal = 0;
	CU_ASSERT(came);
	return e.verdict == PE_EXPLAIN_IN;
}

static void by_distance(void)
{
	start_near(PE_AUTHORIZATION_FIRST);
	alice_sequence = 0;
	APPLIED(say_as_alice(5, 1, 1000));
	// She stands nowhere yet; then far away; then nearer and nearer.
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	for (double x = 0; x <= 2000; x += 50) {
		double d = x < 1000 ? 1000 - x : x - 1000;
		unsigned seen;

		stand_at(x);
		seen = seen_by(ALICE, 5);
		CU_ASSERT_EQUAL(explained(ALICE, 5), seen);
		if (d <= 100)
			CU_ASSERT_EQUAL(seen, 1);
		if (d > 1.5 * 100 + 3 * 64)
			CU_ASSERT_EQUAL(seen, 0);
		CU_ASSERT_EQUAL(seen_by(BOB, 5), 0); // nowhere
		CU_ASSERT_EQUAL(seen_by(CLERK, 5), 0);
	}
	// It comes to her.
	stand_at(5000);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	APPLIED(say_as_alice(5, 2, 5050));
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	// Points, later moments, nearest, counts.
	{
		static struct harness_answer a;
		struct pe_wire_query q = harness_point(5050, 0, 0);

		h.principal = ALICE;
		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT_EQUAL(a.count, 1);
		q = harness_sphere(5000, 0, 0, 0);
		q.kind = PE_QUERY_NEAREST;
		q.b[0] = 0;
		q.max_results = 3;
		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT_EQUAL(a.count, 1);
		h.principal = 0;
	}
	// Her place ends, and with it what is near.
	h.principal = ALICE;
	APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 1, ++alice_sequence));
	h.principal = 0;
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	stop();
}

// In an OPEN space anybody may say where an entity is; and who stands at what is not his is no
// directory at all.
static void nobody_stands_in_an_open_space(void)
{
	struct pe_directory_listed listed = {.principal = ALICE};
	struct pe_principals *directory;
	struct pe_directory_owned owned = {.bits = 128, .principal = BOB};
	struct pe_error error;

	start_near(PE_AUTHORIZATION_OPEN);
	alice_sequence = 0;
	APPLIED(say_as_alice(5, 1, 0));
	stand_at(0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	stop();
	harness_id(owned.prefix, 1);
	harness_id(listed.stands, 1);
	CU_ASSERT_EQUAL_FATAL(pe_principals_create(NULL, 0, &owned, 1, &directory, &error), PE_OK);
	CU_ASSERT_EQUAL(pe_principals_list(directory, &listed, 1, &error), PE_INVALID);
	CU_ASSERT_PTR_NULL(pe_principals_listed(directory, ALICE));
	pe_principals_destroy(directory);
}

// ENTER when either comes near, LEAVE gone when either goes, and never where it went.
static void subscribers_near(void)
{
	struct pe_wire_fence f = watching_sphere(7, 0, 0, 0, 5000);
	struct watching s;

	start_near(PE_AUTHORIZATION_FIRST);
	alice_sequence = 0;
	stand_at(0);
	APPLIED(say_as_alice(5, 1, 2000));
	harness_settle(&h);
	watching_init(&s, &h, PLANE, 12);
	s.port = 5000;
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	s.subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
	h.principal = ALICE;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(&s, 4);
	h.principal = 0;
	CU_ASSERT_EQUAL(s.done.code, PE_CODE_SUCCESS);
	CU_ASSERT(!watching_is_member(&s, 7, 5));
	// It comes.
	(void)say_as_alice(5, 2, 50);
	watching_take(&s);
	run(&s, 6);
	harness_advance(&h, 5);
	watching_take(&s);
	CU_ASSERT(watching_is_member(&s, 7, 5));
	CU_ASSERT_EQUAL(s.gaps, 0);
	watching_clear(&s);
	// It goes, still within the fence.
	(void)say_as_alice(5, 3, 1500);
	watching_take(&s);
	run(&s, 6);
	harness_advance(&h, 5);
	watching_take(&s);
	CU_ASSERT(!watching_is_member(&s, 7, 5));
	CU_ASSERT_EQUAL_FATAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[0].cause, PE_LEAVE_GONE);
	CU_ASSERT_EQUAL(s.events[0].result.position[0], 0);
	(void)say_as_alice(5, 4, 1400);
	watching_take(&s);
	run(&s, 6);
	CU_ASSERT_EQUAL(s.count, 1);
	// She comes to it: behind a GAP.
	h.principal = ALICE;
	alice_at = 1400;
	(void)stand();
	watching_take(&s);
	h.principal = 0;
	for (unsigned i = 0; i < 30 && !watching_is_member(&s, 7, 5); i++) {
		harness_advance(&h, 100);
		watching_take(&s);
		harness_control(&h);
	}
	CU_ASSERT_EQUAL(s.gaps, 1);
	CU_ASSERT(watching_is_member(&s, 7, 5));
	// She goes.
	h.principal = ALICE;
	alice_at = 0;
	(void)stand();
	watching_take(&s);
	h.principal = 0;
	for (unsigned i = 0; i < 30; i++) {
		harness_advance(&h, 100);
		watching_take(&s);
		harness_control(&h);
	}
	CU_ASSERT_EQUAL(s.gaps, 2);
	CU_ASSERT(!watching_is_member(&s, 7, 5));
	CU_ASSERT_EQUAL(s.missed, 0);
	watching_free(&s);
	stop();
}

// Who comes near is shown at once, wherever others have just been: that a cell is being given up
// for want of those whom Alice does not see would tell her of them.
static void a_cell_that_is_given_up_holds_nobody_back(void)
{
	const unsigned steps = 40; // of the control thread: so long a cell and those above it take
	                           // to go, and longer

	start_near(PE_AUTHORIZATION_FIRST);
	alice_sequence = 0;
	stand_at(0);
	for (unsigned i = 0; i < steps; i++) {
		// There, and gone again, once for each state of giving up what is left.
		APPLIED(say_as_alice(5, 3 * i + 1, 30));
		harness_settle(&h);
		APPLIED(say_as_alice(5, 3 * i + 2, 3000));
		for (unsigned k = 0; k < i; k++) {
			harness_turn(&h);
			harness_control(&h);
		}
		APPLIED(say_as_alice(6, 2 * i + 1, 30));
		CU_ASSERT_EQUAL(seen_by(ALICE, 6), 1);
		h.principal = ALICE;
		APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 6, 2 * i + 2));
		h.principal = 0;
		harness_settle(&h);
	}
	stop();
}

static void too_far_to_be_near(void)
{
	struct pe_policy p = nearby;
	struct pe_engine_config c = config(&p, 1);
	struct pe_engine *engine;
	struct pe_error error;

	p.within_m = 64 * PE_NEAR_EDGES_MAX + 1;
	CU_ASSERT_EQUAL(pe_engine_create(&c, &engine, &error), PE_INVALID);
	CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "within_m"));
	p.within_m = -1;
	CU_ASSERT_EQUAL(pe_engine_create(&c, &engine, &error), PE_INVALID);
}

TESTING_MAIN("engine/near", {"by distance", by_distance},
	{"nobody stands in an open space", nobody_stands_in_an_open_space},
	{"subscribers near", subscribers_near},
	{"a cell that is given up holds nobody back", a_cell_that_is_given_up_holds_nobody_back},
	{"too far to be near", too_far_to_be_near})
