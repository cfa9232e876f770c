// Who is shown what: visibility, precision, policies, names, through queries, counts, explanations and standing queries.
#include "space/coarse.h"
#include "testing.h"
#include "watching.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

#define PLANE 0u
#define EARTH 1u
#define ALICE 1u
#define BOB   2u
#define EVE   3u

static struct harness h;
static struct harness_answer a;

static void failed(const char *what, const char *file, int line)
{
	CU_assertImplementation(CU_FALSE, (unsigned)line, what, file, "", CU_FALSE);
}

static void start(const struct pe_policy *policies, unsigned count)
{
	struct pe_engine_config c = harness_config();

	c.views = (struct pe_views_config){.policies = policies, .policy_count = count};
	c.fence_count_max = 64;
	c.member_count_max = 512;
	c.subscription_count_max = 8;
	c.details_bytes = 1 << 20;
	harness_failed = failed;
	harness_start(&h, &c);
}

static void stop(void)
{
	harness_stop(&h);
}

#define VISIBILITY(v) ((uint16_t)((v) << 3))
#define LEVEL(l)      ((uint16_t)((l) << 7))

static struct pe_wire_update update(
	uint64_t n, uint32_t sequence, double x, double y, uint16_t attributes)
{
	struct pe_wire_update u = harness_update(n, sequence, x, y, 0);

	u.attributes |= attributes;
	return u;
}

static struct pe_wire_ack_record put(
	unsigned space, uint64_t n, uint32_t sequence, double x, double y, uint16_t attributes)
{
	struct pe_wire_update u = update(n, sequence, x, y, attributes);

	return harness_send(&h, space, HARNESS_INCARNATION, &u);
}

#define APPLIED(ack) CU_ASSERT_EQUAL((ack).status, PE_ACK_APPLIED)
#define REFUSED(ack, why) \
	do { \
		struct pe_wire_ack_record ack_ = (ack); \
		CU_ASSERT_EQUAL(ack_.status, PE_ACK_REFUSED); \
		CU_ASSERT_EQUAL(ack_.reason, PE_REASON_##why); \
	} while (0)

static unsigned seen_by(uint32_t principal, uint64_t n)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	unsigned seen;

	h.principal = principal;
	seen = harness_sees(&h, 0, PLANE, n, &q, NULL);
	h.principal = 0;
	return seen;
}

static void ask(uint32_t principal, unsigned space, const struct pe_wire_query *q)
{
	h.principal = principal;
	harness_ask(&h, 0, space, q, &a);
	h.principal = 0;
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS);
}

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

// Without libsodium there are neither names nor noise: then nobody may be anonymous, and what a policy would draw for is refused.
static bool draws(void)
{
#ifdef PE_HAVE_SODIUM
	return true;
#else
	printf("(in part: built without libsodium) ");
	return false;
#endif
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
	harness_failed = failed;
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

// ---- noise ----

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
	// Gamma(2): the mean is twice the scale; 1 − (1 + r) e^−r of them within r scales. Four standard errors, or more.
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

// ---- standing queries ----

static void run(struct watching *s, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		harness_turn(&h);
		watching_take(s);
		harness_control(&h);
	}
}

static void move(struct watching *s, uint64_t n, uint32_t sequence, double x, uint16_t attributes)
{
	struct pe_wire_update u = update(n, sequence, x, 0, attributes);

	harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	run(s, 3);
	// A cell that is being closed is asked again a little later.
	for (unsigned i = 0; i < 3; i++) {
		harness_advance(&h, 1);
		watching_take(s);
		harness_control(&h);
	}
}

static void open_as(struct watching *s, uint32_t principal, struct pe_wire_fence *f)
{
	watching_init(s, &h, PLANE, 11 + principal);
	s->port = (uint16_t)(5000 + principal);
	s->subscribe.flags = PE_SUBSCRIBE_MOVES;
	h.principal = principal;
	watching_send(s, PE_SUBSCRIBE_OPEN, f, 1, NULL, 0);
	run(s, 4);
	h.principal = 0;
	CU_ASSERT_EQUAL(s->done.code, PE_CODE_SUCCESS);
}

static void subscribers_see_what_they_may(void)
{
	static const uint32_t allow[] = {ALICE};
	const struct pe_policy p = {.name = "friends",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = allow,
		.allow_count = 1};
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s, other;

	start(&p, 1);
	open_as(&s, ALICE, &f);
	open_as(&other, BOB, &f);
	watching_clear(&s);
	watching_clear(&other);
	move(&s, 1, 1, 0, VISIBILITY(PE_RESTRICTED));
	watching_take(&other);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	move(&s, 1, 2, 10, VISIBILITY(PE_RESTRICTED));
	move(&s, 1, 3, 500, VISIBILITY(PE_RESTRICTED));
	CU_ASSERT_EQUAL(s.count, 3);
	// Nothing of it was ever told to the other one: the first event's number is the first thing that it may see.
	move(&other, 2, 1, 0, 0);
	CU_ASSERT_EQUAL(other.count, 1);
	CU_ASSERT(watching_is_member(&other, 5, 2));
	CU_ASSERT_EQUAL(other.missed, 0);
	watching_free(&s);
	watching_free(&other);
	stop();
}

static void who_hides_is_gone(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct watching s;

	start(NULL, 0);
	f.leave_ms = 5000;
	open_as(&s, 0, &f);
	watching_clear(&s);
	move(&s, 1, 1, 0, 0);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	watching_clear(&s);
	// Out of the fence at the same time: that is not told.
	move(&s, 1, 2, 500, VISIBILITY(PE_HIDDEN));
	CU_ASSERT_EQUAL_FATAL(s.count, 1);
	CU_ASSERT_EQUAL(s.events[0].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[0].cause, PE_LEAVE_GONE);
	CU_ASSERT_EQUAL(s.events[0].result.position[0], 0);
	move(&s, 1, 3, 10, VISIBILITY(PE_HIDDEN));
	move(&s, 1, 4, 20, VISIBILITY(PE_HIDDEN));
	CU_ASSERT_EQUAL(s.count, 1);
	move(&s, 1, 5, 30, 0);
	CU_ASSERT_EQUAL(s.count, 2);
	CU_ASSERT(watching_is_member(&s, 5, 1));
	watching_free(&s);
	stop();
}

static void edges_are_of_what_is_published(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 120);
	struct watching s;

	start(NULL, 0);
	open_as(&s, 0, &f);
	watching_clear(&s);
	// Cells of 100 m: from 0 to 100 its place is 50, then 150.
	for (uint32_t i = 0; i < 100; i++)
		move(&s, 1, 1 + i, i + 0.5, LEVEL(3));
	CU_ASSERT_EQUAL(s.count, 1);
	move(&s, 1, 200, 100.5, LEVEL(3));
	CU_ASSERT_EQUAL(s.count, 2);
	for (uint32_t i = 0; i < 99; i++)
		move(&s, 1, 201 + i, 199 - i, LEVEL(3));
	CU_ASSERT_EQUAL(s.count, 2);
	watching_free(&s);
	stop();
}

static void names_change_behind_a_gap(void)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);
	struct pe_wire_update u = update(1, 1, 0, 0, VISIBILITY(PE_ANONYMOUS));
	uint8_t name[16];
	struct watching s;

	if (!draws())
		return;
	start(NULL, 0);
	u.ttl_ms = 2 * PE_EPOCH_MS;
	APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	open_as(&s, 0, &f);
	CU_ASSERT_EQUAL_FATAL(s.count, 2);
	memcpy(name, s.events[0].result.entity_id, 16);
	CU_ASSERT_NOT_EQUAL(harness_id_number(name), 1);
	watching_clear(&s);
	s.subscribe.expiration_ms = 0;
	for (unsigned i = 0; i < 80 && !s.gaps; i++) {
		watching_sequence(&s, PE_SUBSCRIBE_RENEW, 0);
		harness_advance(&h, PE_EPOCH_MS / 60);
		watching_take(&s);
	}
	CU_ASSERT_EQUAL(s.gaps, 1);
	run(&s, 5);
	CU_ASSERT_EQUAL(s.member_count, 1);
	CU_ASSERT(s.count >= 1);
	if (s.count)
		CU_ASSERT_NOT_EQUAL(memcmp(name, s.events[s.count - 1].result.entity_id, 16), 0);
	watching_free(&s);
	stop();
}

// ---- anything at all ----

static uint64_t random_state;

static unsigned below(unsigned n)
{
	return (unsigned)(testing_random(&random_state) % n);
}

static void random_update(uint32_t sequence)
{
	_Alignas(8) uint8_t record[512];
	struct pe_wire_update u = update(1 + below(25), sequence, below(400) - 200.0,
		below(400) - 200.0, (uint16_t)(testing_random(&random_state) & 0x0FFFu));
	uint8_t parent[16];
	uint32_t bytes = 0;

	u.entity_type = (uint8_t)(below(6) ? below(4) : 128 + below(3));
	u.ttl_ms = below(2) ? below(90000) : 0;
	u.duration_ms = below(4) ? 0 : below(5000);
	u.radius_m = (float)below(3) * 100;
	u.velocity[0] = below(2) ? 0x4500 : 0;
	u.update_frequency = (uint16_t)below(60);
	u.frequency = (uint16_t)(below(4) ? 0 : 60);
	if (below(3)) {
		harness_queue_updates(
			&h, below(8) ? PLANE : EARTH, HARNESS_INCARNATION, &u, 1, false);
		return;
	}
	bytes = pe_wire_begin_details(record, sizeof record, &u);
	if (below(2)) {
		harness_id(parent, 1 + below(25));
		bytes = pe_wire_put_details(record, sizeof record, PE_DETAILS_FRAME, parent, 16);
	}
	if (below(2))
		bytes = pe_wire_put_details(
			record, sizeof record, PE_DETAILS_PAYLOAD, "whatever", 8);
	harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, record, bytes, 1, false);
}

static void random_question(void)
{
	struct pe_wire_query q =
		harness_sphere(below(300) - 150.0, below(300) - 150.0, 0, below(300));

	if (below(4) == 0)
		q = harness_point(below(300) - 150.0, below(300) - 150.0, 0);
	if (below(4) == 0) {
		q.flags |= PE_QUERY_HAS_CURSOR;
		q.cursor[0] = testing_random(&random_state);
		q.cursor[1] = testing_random(&random_state);
		q.cursor[below(2)] = below(2) ? a.cursor[0] : a.cursor[1];
	}
	if (below(3) == 0)
		q.max_results = (uint16_t)(1 + below(3));
	harness_ask(&h, below(2), PLANE, &q, &a);
}

// Every wish, every policy, moves, ends, frames, payloads, time; subscribers check their rows of events, the harness its identities.
static void anything(void)
{
	static const uint32_t allow[] = {ALICE, EVE}, deny[] = {EVE};
	struct pe_policy policies[] = {
		{.name = "crowd",
			.space = PLANE,
			.type_mask = 1,
			.everyone = true,
			.k = 2,
			.area_m = 50},
		{.name = "noise",
			.space = PLANE,
			.type_mask = 4,
			.everyone = true,
			.laplace_m = 30},
		{.name = "grid",
			.space = PLANE,
			.type_mask = 16,
			.everyone = true,
			.cloak_m = 70,
			.anonymous = true,
			.no_details = true},
		{.name = "hours",
			.space = PE_POLICY_EVERY_SPACE,
			.visibility = 12,
			.allow = allow,
			.allow_count = 2,
			.deny = deny,
			.deny_count = 1,
			.until_minute = 720},
	};
	struct pe_engine_config c = harness_config();
	struct pe_wire_fence f[2] = {
		watching_sphere(5, 0, 0, 0, 120), watching_sphere(6, 50, 50, 0, 90)};
	struct watching s[2];
	uint64_t amount = testing_amount(40000);

	if (!draws())
		return;
	c.worker_count = 2;
	c.views = (struct pe_views_config){
		.policies = policies, .policy_count = 4, .epoch_ms = PE_EPOCH_MIN_MS};
	c.details_bytes = 1 << 20;
	c.fence_count_max = 64;
	c.member_count_max = 4096;
	c.subscription_count_max = 8;
	harness_failed = failed;
	harness_start(&h, &c);
	random_state = 1;
	for (unsigned i = 0; i < 2; i++) {
		watching_init(&s[i], &h, PLANE, 11 + i);
		s[i].port = (uint16_t)(5000 + i);
		s[i].subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_PAYLOADS;
		s[i].subscribe.expiration_ms = PE_SUBSCRIPTION_LEASE_MAX_MS;
		f[1].leave_ms = f[1].enter_ms = 700;
		h.principal = i;
		watching_send(&s[i], PE_SUBSCRIBE_OPEN, f, 2, NULL, 0);
		harness_turn_worker(&h, i);
		watching_take(&s[i]);
	}
	for (uint32_t i = 1; i < amount; i++) {
		h.principal = below(4);
		if (below(3))
			random_update(i);
		else
			random_question();
		h.principal = 0;
		for (unsigned k = 0; k < 2; k++)
			watching_take(&s[k]);
		if (below(20) == 0) {
			struct pe_wire_withdraw gone = {.sequence = i};

			harness_id(gone.entity_id, 1 + below(25));
			harness_queue_withdraws(&h, PLANE, HARNESS_INCARNATION, &gone, 1, false);
		}
		if (below(3) == 0) {
			h.now.mono_ms += below(60);
			h.now.wall_ms += below(60);
		}
		for (unsigned w = 0; w < 2; w++) {
			harness_turn_worker(&h, w);
			for (unsigned k = 0; k < 2; k++)
				watching_take(&s[k]);
		}
		if (below(2))
			harness_control(&h);
		if (i % 4000 == 0) {
			// Subscribers renew, and a morning may become an afternoon.
			h.now.mono_ms += 600000;
			h.now.wall_ms += 3600000;
		}
	}
	CU_ASSERT(s[0].gaps > 0 && s[0].missed == 0 && s[1].missed == 0);
	CU_ASSERT(s[0].count > 20);
	for (unsigned i = 0; i < 2; i++)
		watching_free(&s[i]);
	stop();
}

TESTING_MAIN("engine/veil", {"hidden is absent", hidden_is_absent},
	{"restricted by lists", restricted_by_lists},
	{"by id, type and area", policies_by_id_type_and_area}, {"by time of day", by_time_of_day},
	{"places are rounded", places_are_rounded},
	{"rounded moves tell nothing", rounded_moves_tell_nothing},
	{"anonymous names", anonymous_ones_have_other_names},
	{"parents", parents_are_not_given_away}, {"two workers", two_workers},
	{"noise", noise_has_its_distribution}, {"noise is held", noise_is_held},
	{"order is not a name", order_is_not_a_name}, {"anything at all", anything},
	{"subscribers", subscribers_see_what_they_may}, {"who hides is gone", who_hides_is_gone},
	{"edges are of what is published", edges_are_of_what_is_published},
	{"names change behind a gap", names_change_behind_a_gap})
