// What audiences depend on beside names at start: roles of those who ask, lists that another keyring changes, tags of entities, and where
// an asker stands.
#include "detailed.h"
#include "policy/near.h"
#include "policy/principals.h"
#include "testing.h"
#include "watching.h"
#include "wire/extension.h"
#include "wire/filter.h"

#define PLANE 0u
#define EARTH 1u
#define ALICE 1u
#define BOB   2u
#define CLERK 3u // an administrator of the plane
#define GUARD 4u // … of a part of it

static struct harness h;

static void failed(const char *what, const char *file, int line)
{
	CU_assertImplementation(CU_FALSE, (unsigned)line, what, file, "", CU_FALSE);
}

static struct pe_engine_config config(const struct pe_policy *policies, unsigned count)
{
	struct pe_engine_config c = harness_config();

	c.views = (struct pe_views_config){.policies = policies, .policy_count = count};
	c.fence_count_max = 64;
	c.member_count_max = 512;
	c.subscription_count_max = 8;
	c.details_bytes = 1 << 20;
	return c;
}

static void start(const struct pe_policy *policies, unsigned count)
{
	struct pe_engine_config c = config(policies, count);

	harness_failed = failed;
	harness_start(&h, &c);
}

static void stop(void)
{
	harness_stop(&h);
}

// Alice and Bob may ask and subscribe everywhere. The clerk and the guard ask, too.
static void know(const struct pe_directory_listed *listed, size_t count)
{
	static const struct pe_directory_grant grants[] = {
		{ALICE, PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE,
			PE_DIRECTORY_EVERY_SPACE, {0}},
		{BOB, PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, PE_DIRECTORY_EVERY_SPACE, {0}},
		{CLERK, PE_ROLE_ADMIN | PE_ROLE_QUERY, PLANE, {0}},
		{GUARD, PE_ROLE_QUERY, PLANE, {0}},
		{GUARD, PE_ROLE_ADMIN, PLANE, {2, {0, 0}, {10, 10}}},
	};
	struct pe_directory_owned owned[2] = {
		{.bits = 128, .principal = ALICE}, {.bits = 128, .principal = BOB}};
	struct pe_principals *directory;
	struct pe_error error;
	enum pe_status status;

	harness_id(owned[0].prefix, 1);
	harness_id(owned[1].prefix, 2);
	CU_ASSERT_EQUAL_FATAL(pe_principals_create(grants, sizeof grants / sizeof *grants, owned, 2,
				      &directory, &error),
		PE_OK);
	if (pe_principals_list(directory, listed, count, &error) != PE_OK)
		CU_FAIL_FATAL(error.text);
	status = pe_engine_principals(h.engine, directory);
	for (unsigned i = 0; status == PE_BUSY && i < 100; i++) {
		harness_settle(&h);
		status = pe_engine_principals(h.engine, directory);
	}
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
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

// With a context of these tags.
static struct pe_wire_ack_record put_tags(
	uint64_t n, uint32_t sequence, double x, uint16_t attributes, const char *tags)
{
	struct pe_wire_update u = update(n, sequence, x, 0, attributes);
	struct detailed d;

	detailed_begin(&d, &u);
	detailed_context(&d, NULL, tags);
	return harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes);
}

#define APPLIED(ack) CU_ASSERT_EQUAL((ack).status, PE_ACK_APPLIED)
#define REFUSED(ack, why) \
	do { \
		struct pe_wire_ack_record ack_ = (ack); \
		CU_ASSERT_EQUAL(ack_.status, PE_ACK_REFUSED); \
		CU_ASSERT_EQUAL(ack_.reason, PE_REASON_##why); \
	} while (0)

static unsigned seen_in(unsigned space, uint32_t principal, uint64_t n)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	unsigned seen;

	h.principal = principal;
	seen = harness_sees(&h, 0, space, n, &q, NULL);
	h.principal = 0;
	return seen;
}

static unsigned seen_by(uint32_t principal, uint64_t n)
{
	return seen_in(PLANE, principal, n);
}

// ---- roles ----

static void roles_of_the_space(void)
{
	const struct pe_policy policies[] = {
		{.name = "clerks",
			.space = PE_POLICY_EVERY_SPACE,
			.visibility = 1u << PE_RESTRICTED,
			.prefix = {0xA1},
			.prefix_bits = 8,
			.allow_roles = PE_ROLE_ADMIN},
		{.name = "no clerks",
			.space = PE_POLICY_EVERY_SPACE,
			.visibility = 1u << PE_RESTRICTED,
			.prefix = {0xA2},
			.prefix_bits = 8,
			.allow_roles = PE_ROLE_QUERY,
			.deny_roles = PE_ROLE_ADMIN},
		{.name = "everyone else",
			.space = PE_POLICY_EVERY_SPACE,
			.everyone = true,
			.deny_roles = PE_ROLE_ADMIN},
	};
	struct pe_wire_update u = update(5, 1, 0, 0, VISIBILITY(PE_RESTRICTED));

	start(policies, 3);
	for (unsigned space = PLANE; space <= EARTH; space++)
		for (unsigned i = 0; i < 3; i++) {
			u = update(10 * space + 5 + i, 1, 0, 0,
				i == 2 ? 0 : VISIBILITY(PE_RESTRICTED));
			u.entity_id[0] = (uint8_t)(0xA1 + i);
			APPLIED(harness_send(&h, space, HARNESS_INCARNATION, &u));
		}
	// Nobody has a role before anybody is known.
	for (unsigned who = 0; who <= GUARD; who++)
		for (unsigned i = 0; i < 3; i++) {
			struct pe_wire_query q = harness_sphere(0, 0, 0, 10);
			static struct harness_answer a;

			h.principal = who;
			harness_ask(&h, 0, PLANE, &q, &a);
			h.principal = 0;
			CU_ASSERT_EQUAL(a.count, who != 0); // of everyone, whom nobody denies
		}
	know(NULL, 0);
	for (unsigned space = PLANE; space <= EARTH; space++)
		for (unsigned who = 0; who <= GUARD; who++) {
			struct pe_wire_query q = harness_sphere(0, 0, 0, 10);
			bool clerk = who == CLERK && space == PLANE;
			bool part = who == GUARD && space == PLANE;
			bool asks = who == ALICE || who == BOB || clerk || part;
			static struct harness_answer a;
			unsigned seen[3] = {0};

			h.principal = who;
			harness_ask(&h, 0, space, &q, &a);
			h.principal = 0;
			for (unsigned i = 0; i < a.count; i++)
				seen[a.results[i].entity_id[0] - 0xA1]++;
			// An administrator of a part is none where it is to let in, and one where it is to keep out.
			CU_ASSERT_EQUAL(seen[0], clerk);
			CU_ASSERT_EQUAL(seen[1], asks && !clerk && !part);
			CU_ASSERT_EQUAL(seen[2], who && !clerk && !part);
		}
	stop();
}

// ---- lists that change ----

static void lists_of_another_keyring(void)
{
	static const uint32_t deny[] = {GUARD};
	const struct pe_policy policies[] = {
		{.name = "first", .space = PLANE, .type_mask = 1, .everyone = true},
		{.name = "friends",
			.space = PLANE,
			.visibility = 1u << PE_RESTRICTED,
			.denies = true,
			.deny = deny,
			.deny_count = 1},
	};
	struct pe_directory_listed listed[] = {
		{.principal = ALICE, .allow = 2}, {.principal = GUARD, .allow = 2}};

	start(policies, 2);
	APPLIED(put(PLANE, 5, 1, 0, 0, VISIBILITY(PE_RESTRICTED)));
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	know(listed, 2);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	CU_ASSERT_EQUAL(seen_by(GUARD, 5), 0); // on a list that the engine was started with
	CU_ASSERT_EQUAL(seen_by(0, 5), 0);
	// Bob joins, and Alice is allowed and denied: denied.
	listed[0] = (struct pe_directory_listed){.principal = BOB, .allow = 3};
	listed[1] = (struct pe_directory_listed){.principal = ALICE, .allow = 2, .deny = 2};
	know(listed, 2);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 0);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	know(NULL, 0);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_principals(h.engine, NULL), PE_OK);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	stop();
}

static void run(struct watching *s, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		harness_turn(&h);
		watching_take(s);
		harness_control(&h);
	}
}

static void open_as(struct watching *s, uint32_t principal)
{
	struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 100);

	watching_init(s, &h, PLANE, 11 + principal);
	s->port = (uint16_t)(5000 + principal);
	s->subscribe.flags = PE_SUBSCRIBE_MOVES;
	h.principal = principal;
	watching_send(s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	run(s, 4);
	h.principal = 0;
	CU_ASSERT_EQUAL(s->done.code, PE_CODE_SUCCESS);
}

static void subscribers_of_another_keyring(void)
{
	const struct pe_policy p = {.name = "friends",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.denies = true};
	const struct pe_directory_listed joins = {.principal = BOB, .allow = 1};
	struct watching s, other;

	start(&p, 1);
	know(NULL, 0);
	APPLIED(put(PLANE, 5, 1, 0, 0, VISIBILITY(PE_RESTRICTED)));
	open_as(&s, BOB);
	open_as(&other, ALICE);
	CU_ASSERT(!watching_is_member(&s, 5, 5));
	know(&joins, 1);
	run(&s, 6);
	watching_take(&other);
	CU_ASSERT_EQUAL(s.gaps, 1);
	CU_ASSERT(watching_is_member(&s, 5, 5));
	CU_ASSERT_EQUAL(other.gaps, 0); // nothing is another thing to her
	run(&s, 6);
	know(NULL, 0);
	for (unsigned i = 0; i < 6; i++) { // GAPs have their time between them
		harness_advance(&h, 500);
		watching_take(&s);
	}
	CU_ASSERT(!watching_is_member(&s, 5, 5));
	watching_free(&s);
	watching_free(&other);
	stop();
}

// ---- tags ----

static const uint32_t only_alice[] = {ALICE};

static struct pe_policy ward(uint8_t visibility)
{
	return (struct pe_policy){.name = "ward",
		.space = PLANE,
		.visibility = visibility,
		.tags = {{4, "ward"}, {4, "icu+"}},
		.tag_count = 2,
		.allow = only_alice,
		.allow_count = 1};
}

static void by_tags(void)
{
	const struct pe_policy p = ward(0);
	struct pe_wire_update u;
	struct detailed d;

	start(&p, 1);
	APPLIED(put(PLANE, 5, 1, 0, 0, 0));
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	// One of them is enough, others beside it do no harm.
	APPLIED(put_tags(5, 2, 0, 0, "blue ward"));
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	// They are kept: of what says nothing of them, and of what says something else.
	APPLIED(put(PLANE, 5, 3, 1, 0, 0));
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	u = update(5, 4, 2, 0, 0);
	detailed_begin(&d, &u);
	detailed_orientation(&d, 0, 0, 0, 1);
	APPLIED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes));
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	// Other tags, no tags, another life.
	APPLIED(put_tags(5, 5, 2, 0, "icu+"));
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	APPLIED(put_tags(5, 6, 2, 0, "wards blue"));
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	APPLIED(put_tags(5, 7, 2, 0, "ward"));
	harness_settle(&h);
	APPLIED(harness_withdraw(&h, PLANE, HARNESS_INCARNATION, 5, 8));
	APPLIED(put(PLANE, 5, 9, 2, 0, 0));
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	// A first state with tags; and what is refused changes nothing.
	APPLIED(put_tags(6, 1, 50, 0, "ward"));
	CU_ASSERT_EQUAL(seen_by(BOB, 6), 0);
	REFUSED(put_tags(6, 1, 50, 0, ""), stale);
	CU_ASSERT_EQUAL(seen_by(BOB, 6), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 6), 1);
	// Another space, another wish: not what the policy is about.
	APPLIED(put(PLANE, 7, 1, 0, 0, VISIBILITY(PE_HIDDEN)));
	CU_ASSERT_EQUAL(seen_by(ALICE, 7), 0);
	stop();
}

// What wishes for something that only the policy of a tag gives.
static void restricted_by_tags(void)
{
	struct pe_policy policies[2] = {ward(1u << PE_RESTRICTED), ward(1u << PE_RESTRICTED)};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500);
	struct pe_wire_result r;

	policies[0].cloak_m = 100;
	policies[1].tag_count = 1;
	policies[1].tags[0].bytes = 3;
	memcpy(policies[1].tags[0].text, "red", 3);
	start(policies, 2);
	REFUSED(put(PLANE, 5, 1, 0, 0, VISIBILITY(PE_RESTRICTED)), visibility);
	REFUSED(put_tags(5, 1, 0, VISIBILITY(PE_RESTRICTED), "blue"), visibility);
	APPLIED(put_tags(5, 2, 17, VISIBILITY(PE_RESTRICTED), "red"));
	h.principal = ALICE;
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 5, &q, &r), 1);
	CU_ASSERT_EQUAL(r.position[0], 17);
	h.principal = 0;
	// The first that matches counts, and rounds.
	APPLIED(put_tags(5, 3, 17, VISIBILITY(PE_RESTRICTED), "red ward"));
	harness_settle(&h);
	h.principal = ALICE;
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 5, &q, &r), 1);
	CU_ASSERT_EQUAL(r.position[0], 50);
	h.principal = 0;
	APPLIED(put(PLANE, 5, 4, 117, 0, VISIBILITY(PE_RESTRICTED)));
	harness_settle(&h);
	h.principal = ALICE;
	CU_ASSERT_EQUAL(harness_sees(&h, 0, PLANE, 5, &q, &r), 1);
	CU_ASSERT_EQUAL(r.position[0], 150);
	h.principal = 0;
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	REFUSED(put_tags(5, 5, 17, VISIBILITY(PE_RESTRICTED), "blue"), visibility);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	stop();
}

// Neither a threshold nor a cap holds back who sees it.
static void tags_are_not_held_back(void)
{
	const struct pe_policy p = ward(0);
	struct pe_engine_config c = config(&p, 1);
	struct watching s;

	c.spaces[PLANE].coalesce_distance_m = 50;
	c.spaces[PLANE].coalesce_interval_ms = 10000;
	c.spaces[PLANE].frequency_default = 6;
	harness_failed = failed;
	harness_start(&h, &c);
	APPLIED(put(PLANE, 5, 1, 0, 0, 0));
	open_as(&s, BOB);
	CU_ASSERT(watching_is_member(&s, 5, 5));
	APPLIED(put_tags(5, 2, 1, 0, "ward"));
	watching_take(&s);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	run(&s, 3);
	CU_ASSERT(!watching_is_member(&s, 5, 5));
	harness_settle(&h);
	APPLIED(put_tags(5, 3, 1, 0, ""));
	watching_take(&s);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	run(&s, 3);
	CU_ASSERT(watching_is_member(&s, 5, 5));
	watching_free(&s);
	stop();
}

// Whoever takes the update and whoever owns the entity: tags are its owner's to know. Several in one packet, too, of which none covers
// another.
static void tags_across_workers(void)
{
	const struct pe_policy p = ward(0);
	struct pe_engine_config c = config(&p, 1);
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);

	c.worker_count = 2;
	harness_failed = failed;
	harness_start(&h, &c);
	for (uint32_t i = 1; i <= 60; i++) {
		bool tagged = i % 3 == 0;
		uint64_t n = 5 + i % 4;
		struct pe_wire_update u[3];
		struct detailed d;

		u[0] = update(n, 4 * i, 10.0 * (i % 7), 0, 0);
		detailed_begin(&d, &u[0]);
		detailed_context(&d, NULL, tagged ? "ward" : "blue");
		harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes,
			pe_wire_detailed_next(d.bytes), 1, false);
		harness_turn_worker(&h, i / 8 % 2);
		harness_settle(&h);
		for (unsigned k = 0; k < 3; k++)
			u[k] = update(n, 4 * i + 1 + k, 10.0 * (i % 7) + k, 0, 0);
		harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 3, false);
		harness_turn_worker(&h, i / 5 % 2);
		harness_settle(&h);
		for (unsigned w = 0; w < 2; w++)
			for (unsigned who = 0; who <= BOB; who++) {
				h.principal = who;
				CU_ASSERT_EQUAL(harness_sees(&h, w, PLANE, n, &q, NULL),
					!tagged || who == ALICE);
				h.principal = 0;
			}
	}
	stop();
}

// A place in another one's frame says where that is: not of who is veiled by a tag.
static void tags_in_frames(void)
{
	const struct pe_policy p = ward(0);
	struct pe_wire_update u = update(6, 1, 3, 0, 0);
	uint8_t parent[16];
	struct detailed d;

	start(&p, 1);
	harness_id(parent, 5);
	APPLIED(put(PLANE, 5, 1, 0, 0, 0));
	for (unsigned i = 0; i < 2; i++) {
		u.sequence = 1 + i;
		detailed_begin(&d, &u);
		if (i)
			detailed_context(&d, NULL, "ward");
		detailed_put(&d, PE_DETAILS_FRAME, parent, 16);
		if (i)
			REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes),
				visibility);
		else
			APPLIED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes));
	}
	CU_ASSERT_EQUAL(seen_by(BOB, 6), 1);
	stop();
}

// A second crossing within a grace period waits; who sees it no more is told nothing of what is new meanwhile, nor are its details.
static void who_waits_is_hidden(void)
{
	const struct pe_policy p = ward(0);
	struct pe_wire_update u = update(5, 3, 200, 0, 0);
	struct detailed d;
	struct watching s;

	start(&p, 1);
	APPLIED(put(PLANE, 5, 1, 0, 0, 0));
	watching_init(&s, &h, PLANE, 12);
	{
		struct pe_wire_fence f = watching_sphere(5, 0, 0, 0, 1000);

		s.port = 5000;
		s.subscribe.flags = PE_SUBSCRIBE_MOVES | PE_SUBSCRIBE_PAYLOADS;
		watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
		run(&s, 4);
	}
	CU_ASSERT(watching_is_member(&s, 5, 5));
	harness_settle(&h);
	APPLIED(put(PLANE, 5, 2, 100, 0, 0));
	watching_take(&s);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	watching_take(&s);
	watching_clear(&s);
	detailed_begin(&d, &u);
	detailed_context(&d, "surgery", "ward");
	detailed_put(&d, PE_DETAILS_PAYLOAD, "whatever", 8);
	CU_ASSERT_EQUAL(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes).status,
		PE_ACK_ACCEPTED);
	watching_take(&s);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	watching_take(&s);
	CU_ASSERT(!watching_is_member(&s, 5, 5));
	for (unsigned i = 0; i < s.count; i++)
		CU_ASSERT_NOT_EQUAL(s.events[i].kind, PE_EVENT_PAYLOAD);
	// The update after it, too, may wait, and the one behind that is shown to everybody again.
	(void)put(PLANE, 5, 4, 300, 0, 0);
	watching_take(&s);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 0);
	CU_ASSERT_EQUAL(seen_by(ALICE, 5), 1);
	APPLIED(put_tags(5, 5, 400, 0, ""));
	harness_settle(&h);
	CU_ASSERT_EQUAL(seen_by(BOB, 5), 1);
	watching_free(&s);
	stop();
}

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
	harness_failed = failed;
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

// In an OPEN space anybody may say where an entity is; and who stands at what is not his is no directory at all.
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

// ---- what is one's own ----

static uint32_t put_ids(uint8_t *extension, const uint64_t *numbers, unsigned count, bool not_them)
{
	_Alignas(8) uint8_t program[PE_FILTER_BYTES_MAX], ids[4][16];
	struct pe_filter_writer writer;
	struct pe_filter_error fault;
	uint32_t bytes;

	for (unsigned i = 0; i < count; i++)
		harness_id(ids[i], numbers[i]);
	for (unsigned i = 1; i < count; i++) // ascending
		for (unsigned k = i; k > 0 && memcmp(ids[k - 1], ids[k], 16) > 0; k--) {
			uint8_t swap[16];

			memcpy(swap, ids[k], 16);
			memcpy(ids[k], ids[k - 1], 16);
			memcpy(ids[k - 1], swap, 16);
		}
	pe_filter_begin(&writer);
	(void)pe_filter_put_constant(&writer, PE_FILTER_ID, count, ids, 16 * count);
	if (not_them)
		(void)pe_filter_put(&writer, PE_FILTER_NOT, 0, 0);
	bytes = pe_filter_finish(&writer, program, &fault);
	CU_ASSERT_FATAL(bytes != 0);
	return pe_wire_put_block(extension, 0, 256, PE_BLOCK_FILTER, program, bytes);
}

static struct harness_answer answer;

// How often the first of them is in the answer, of so many in all.
static unsigned asked_by_id(uint32_t principal, const struct pe_wire_query *q,
	const uint64_t *numbers, unsigned count, unsigned all)
{
	_Alignas(8) uint8_t extension[256];
	uint32_t bytes = put_ids(extension, numbers, count, false);
	unsigned seen = 0;

	h.principal = principal;
	harness_ask_extended(&h, 0, PLANE, q, extension, bytes, &answer);
	h.principal = 0;
	CU_ASSERT(answer.whole && answer.code == PE_CODE_SUCCESS);
	CU_ASSERT_EQUAL(answer.count, all);
	for (unsigned i = 0; i < answer.count; i++)
		seen += harness_id_number(answer.results[i].entity_id) == numbers[0];
	return seen;
}

static void explain_to(uint32_t principal, uint64_t n, bool by_id, struct pe_wire_explanation *e)
{
	_Alignas(8) uint8_t extension[256];
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500);
	uint32_t bytes = by_id ? put_ids(extension, &n, 1, false) : 0;
	uint8_t id[16];

	harness_id(id, n);
	h.principal = principal;
	CU_ASSERT_FATAL(harness_explain(&h, 0, PLANE, id, &q, extension, bytes, e));
	h.principal = 0;
}

// Of Alice's entity and of one that there is not: the same but for the id.
static void explained_alike(uint32_t principal, bool by_id)
{
	struct pe_wire_explanation x, y;

	explain_to(principal, 1, by_id, &x);
	explain_to(principal, 77, by_id, &y);
	memcpy(x.entity_id, y.entity_id, 16);
	x.request_sequence = y.request_sequence;
	CU_ASSERT_EQUAL(memcmp(&x, &y, sizeof x), 0);
	CU_ASSERT_EQUAL(x.causes, 1u << PE_WHY_UNKNOWN);
}

// Alice's is hidden: she is told of it where she asks for it by its id, the clerk too, and nobody else anything.
static void own_by_id(void)
{
	const struct pe_policy p = {.name = "other names",
		.space = PLANE,
		.visibility = 1u << PE_RESTRICTED,
		.allow_roles = PE_ROLE_ADMIN,
		.anonymous = true};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 500), other = harness_sphere(900, 0, 0, 5);
	const uint64_t mine[] = {1, 2, 3}, all[] = {1, 2, 4, 5};
	struct pe_wire_explanation e;

	start(&p, 1);
	know(NULL, 0);
	APPLIED(put(PLANE, 3, 1, 0, 0, 0));
	// Nothing is hidden yet, and nothing is there.
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 3, 1), 0);
	APPLIED(put(PLANE, 1, 1, 10, 0, VISIBILITY(PE_HIDDEN)));
	APPLIED(put(PLANE, 2, 1, 20, 0, VISIBILITY(PE_HIDDEN)));
	CU_ASSERT_EQUAL(seen_by(ALICE, 1), 0);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 3, 2), 1);
	CU_ASSERT_EQUAL(answer.results[1].position[0], 10);
	CU_ASSERT_EQUAL(answer.results[1].distance_m, 10);
	CU_ASSERT_EQUAL(asked_by_id(CLERK, &q, mine, 3, 3), 1);
	CU_ASSERT_EQUAL(asked_by_id(BOB, &q, mine, 1, 0), 0);
	CU_ASSERT_EQUAL(asked_by_id(GUARD, &q, mine, 1, 0), 0);
	CU_ASSERT_EQUAL(asked_by_id(0, &q, mine, 1, 0), 0);
	// The volume and the rest of the query hold.
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &other, mine, 1, 0), 0);
	q.type_mask = 1u << PE_ENTITY_STATIC;
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	q.type_mask = 0;
	q.kind = PE_QUERY_NEAREST;
	q.max_results = 5;
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	q = harness_point(10, 0, 0);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
	{
		const double low[3] = {5, -5, -5}, high[3] = {15, 5, 5};
		_Alignas(8) uint8_t extension[256];
		uint32_t bytes = put_ids(extension, mine, 1, true);

		q = harness_box(low, high);
		CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
		q.flags |= PE_QUERY_WITH_DETAILS;
		CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
		q.flags = 0;
		// Named, and not wanted.
		h.principal = ALICE;
		harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &answer);
		h.principal = 0;
		CU_ASSERT_EQUAL(answer.count, 0);
	}
	// Page by page, each once.
	APPLIED(put(PLANE, 4, 1, 30, 0, VISIBILITY(PE_HIDDEN)));
	APPLIED(put(PLANE, 5, 1, 40, 0, VISIBILITY(PE_HIDDEN)));
	q = harness_sphere(0, 0, 0, 500);
	q.max_results = 1;
	for (unsigned page = 0, sum = 0; page < 6; page++) {
		unsigned more = page < 4;

		(void)asked_by_id(CLERK, &q, all, 4, more);
		sum += answer.count ? (unsigned)harness_id_number(answer.results[0].entity_id) : 0;
		if (!answer.truncated) {
			CU_ASSERT_EQUAL(sum, 1 + 2 + 4 + 5);
			break;
		}
		CU_ASSERT(page < 5);
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, answer.cursor, sizeof q.cursor);
	}
	// Why: it is others who are shown it; and by its id it is in.
	explain_to(ALICE, 1, false, &e);
	CU_ASSERT(e.verdict == PE_EXPLAIN_OUT && e.causes == 1u << PE_WHY_VEILED &&
		e.first_cause == PE_WHY_VEILED && e.position[0] == 10);
	CU_ASSERT_EQUAL(pe_wire_check_explanation(&e), PE_REASON_none);
	explain_to(ALICE, 1, true, &e);
	CU_ASSERT(e.verdict == PE_EXPLAIN_IN && !(e.causes & PE_EXPLAIN_DECIDING));
	explain_to(CLERK, 1, false, &e);
	CU_ASSERT_EQUAL(e.causes, 1u << PE_WHY_VEILED);
	explained_alike(BOB, false);
	explained_alike(BOB, true);
	explained_alike(GUARD, true);
	explained_alike(0, true);
	// Shown, it is there once; by another name, it is not told which that is.
	APPLIED(put(PLANE, 1, 2, 10, 0, LEVEL(3)));
	harness_settle(&h);
	q = harness_sphere(0, 0, 0, 500);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
	APPLIED(put(PLANE, 1, 3, 10, 0, VISIBILITY(PE_RESTRICTED)));
	harness_settle(&h);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	explained_alike(ALICE, true);
	// Another keyring: hers no more.
	APPLIED(put(PLANE, 1, 4, 10, 0, VISIBILITY(PE_HIDDEN)));
	harness_settle(&h);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 1), 1);
	CU_ASSERT_EQUAL(pe_engine_principals(h.engine, NULL), PE_OK);
	CU_ASSERT_EQUAL(asked_by_id(ALICE, &q, mine, 1, 0), 0);
	explained_alike(ALICE, true);
	stop();
}

TESTING_MAIN("engine/audience", {"roles", roles_of_the_space},
	{"lists of another keyring", lists_of_another_keyring},
	{"subscribers of another keyring", subscribers_of_another_keyring}, {"by tags", by_tags},
	{"restricted by tags", restricted_by_tags},
	{"tags are not held back", tags_are_not_held_back},
	{"tags across workers", tags_across_workers}, {"tags in frames", tags_in_frames},
	{"who waits is hidden", who_waits_is_hidden}, {"by distance", by_distance},
	{"nobody stands in an open space", nobody_stands_in_an_open_space},
	{"subscribers near", subscribers_near}, {"too far to be near", too_far_to_be_near},
	{"own, by id", own_by_id})
