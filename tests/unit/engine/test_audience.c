// What audiences depend on beside names at start: roles of those who ask, lists that another
// keyring changes, tags of entities.
#include "internal.h"
#include "testing_audience.h"

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
			// An administrator of a part is none where it is to let in, and one where
			// it is to keep out.
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
	harness_failed = testing_failed;
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

// Whoever takes the update and whoever owns the entity: tags are its owner's to know. Several in
// one packet, too, of which none covers another.
static void tags_across_workers(void)
{
	const struct pe_policy p = ward(0);
	struct pe_engine_config c = config(&p, 1);
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);

	c.worker_count = 2;
	harness_failed = testing_failed;
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

// A second crossing within a grace period waits; who sees it no more is told nothing of what is new
// meanwhile, nor are its details.
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

// Blocks of details that the principal is told of the entity.
static uint16_t told_of(uint32_t principal, uint64_t n)
{
	static struct harness_answer a;
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1000);
	struct pe_details_blocks b = {0};

	q.flags |= PE_QUERY_WITH_DETAILS;
	h.principal = principal;
	harness_ask(&h, 0, PLANE, &q, &a);
	h.principal = 0;
	CU_ASSERT_EQUAL_FATAL(a.count, 1);
	CU_ASSERT_EQUAL(harness_id_number(a.results[0].entity_id), n);
	pe_wire_get_details(a.details + a.details_at[0], &b);
	return b.mask;
}

// The details of the only entity that has any.
static struct pe_details_block *only_details(void)
{
	const struct pe_table *t = &h.engine->table;
	const struct pe_details_block *block = NULL;

	for (uint32_t i = 0; i < t->entity_count_max && !block; i++)
		block = pe_details_get(&t->details, pe_handle_nth(i));
	CU_ASSERT_PTR_NOT_NULL_FATAL(block);
	return (struct pe_details_block *)block;
}

// An entity's record and its details are published one behind the other. Who meets the one of
// before with the other of after is told no details: they may be another audience's.
static void details_of_another_audience(void)
{
	const struct pe_policy p = ward(0);
	const uint16_t tags = PE_DETAILS_BIT(PE_DETAILS_CONTEXT);
	uint16_t all, alice;

	start(&p, 1);
	APPLIED(put_tags(5, 1, 0, 0, "blue"));
	all = only_details()->audience;
	CU_ASSERT_EQUAL(told_of(BOB, 5), tags);
	APPLIED(put_tags(5, 2, 0, 0, "ward"));
	harness_settle(&h);
	alice = only_details()->audience;
	CU_ASSERT_NOT_EQUAL(alice, all);
	CU_ASSERT_EQUAL(told_of(ALICE, 5), tags);
	// The moment between: one of the two is of before.
	only_details()->audience = all;
	CU_ASSERT_EQUAL(told_of(ALICE, 5), 0);
	// What an update leaves as it was is theirs who see the entity then.
	APPLIED(put(PLANE, 5, 3, 1, 0, 0));
	CU_ASSERT_EQUAL(only_details()->audience, alice);
	CU_ASSERT_EQUAL(told_of(ALICE, 5), tags);
	APPLIED(put_tags(5, 4, 1, 0, "blue"));
	harness_settle(&h);
	CU_ASSERT_EQUAL(told_of(BOB, 5), tags);
	only_details()->audience = alice;
	CU_ASSERT_EQUAL(told_of(BOB, 5), 0);
	stop();
}

// ---- the ordinary query's way ----

// What is shown as it stands in its record is taken by a way of its own; a query that names all
// types takes the general one. Who sees what, and every byte of it, is the same.
static void two_ways_one_answer(void)
{
	static const uint32_t allowed[] = {ALICE};
	const struct pe_policy policies[] = {
		{.name = "alice",
			.space = PLANE,
			.visibility = 1u << PE_RESTRICTED,
			.allow = allowed,
			.allow_count = 1},
		{.name = "nameless",
			.space = PLANE,
			.type_mask = 1,
			.everyone = true,
			.anonymous = true},
		{.name = "without details",
			.space = PLANE,
			.type_mask = 16,
			.everyone = true,
			.no_details = true},
	};
	static const uint8_t types[] = {
		PE_ENTITY_STATIC, PE_ENTITY_MOBILE, PE_ENTITY_MOBILE, PE_ENTITY_CUSTOM};
	static struct harness_answer ordinary, general;
	unsigned seen[3] = {0};

	start(policies, 3);
	know(NULL, 0);
	for (unsigned n = 0; n < 240; n++) {
		uint16_t attributes = VISIBILITY(n / 4 % 4) | LEVEL(n / 16 % 5 == 4 ? 2 : 0);
		struct pe_wire_update u =
			update(5 + n, 1, (n * 37 % 199) - 99.0, (n * 61 % 199) - 99.0, attributes);

		u.entity_type = types[n % 4];
		u.radius_m = n % 7 ? 0 : 150;
		u.precision_m = (float)(n % 50) / 4;
		u.position_confidence = (uint8_t)n;
		u.attributes |= (uint16_t)(n % 3);
		APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	}
	harness_settle(&h);
	for (unsigned i = 0; i < 60; i++)
		for (unsigned who = 0; who <= BOB; who++) {
			struct pe_wire_query q = harness_sphere(
				(i * 53 % 199) - 99.0, (i * 29 % 199) - 99.0, 0, 10 + 3 * i);

			h.principal = who;
			harness_ask(&h, 0, PLANE, &q, &ordinary);
			q.type_mask = 0x1F;
			harness_ask(&h, 0, PLANE, &q, &general);
			h.principal = 0;
			CU_ASSERT_FATAL(ordinary.whole && general.whole);
			CU_ASSERT_EQUAL(ordinary.count, general.count);
			CU_ASSERT_FALSE(memcmp(ordinary.results, general.results,
				ordinary.count * sizeof ordinary.results[0]));
			seen[who] += ordinary.count;
		}
	CU_ASSERT(seen[0] > 1000 && seen[BOB] == seen[0] && seen[ALICE] > seen[BOB] + 500);
	stop();
}

// Who sees an entity waits for a move, and for no cap: until then it is hidden.
static void no_cap_hides(void)
{
	struct pe_wire_update u = update(1, 1, 0, 0, 0);

	start(NULL, 0);
	u.ttl_ms = 600000;
	u.frequency = 1;
	APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	harness_settle(&h);
	harness_advance(&h, 60000);
	u.sequence = 2;
	u.position[0] = 500;
	APPLIED(harness_send(&h, PLANE, HARNESS_INCARNATION, &u));
	u.sequence = 3;
	u.attributes = LEVEL(2);
	CU_ASSERT_EQUAL(harness_send(&h, PLANE, HARNESS_INCARNATION, &u).status, PE_ACK_ACCEPTED);
	CU_ASSERT_EQUAL(seen_by(0, 1), 0);
	harness_control(&h);
	harness_advance(&h, 1);
	harness_control(&h);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(seen_by(0, 1), 1);
	CU_ASSERT_EQUAL(pe_worker_in_flight(pe_engine_worker(h.engine, 0)), 0);
	// From then on the cap counts again.
	u.sequence = 4;
	u.position[0] = 560;
	CU_ASSERT_EQUAL(harness_send(&h, PLANE, HARNESS_INCARNATION, &u).status, PE_ACK_COALESCED);
	stop();
}

TESTING_MAIN("engine/audience", {"roles", roles_of_the_space},
	{"lists of another keyring", lists_of_another_keyring},
	{"subscribers of another keyring", subscribers_of_another_keyring}, {"by tags", by_tags},
	{"restricted by tags", restricted_by_tags},
	{"tags are not held back", tags_are_not_held_back},
	{"tags across workers", tags_across_workers}, {"tags in frames", tags_in_frames},
	{"who waits is hidden", who_waits_is_hidden},
	{"details of another audience", details_of_another_audience},
	{"two ways, one answer", two_ways_one_answer}, {"no cap hides", no_cap_hides})
