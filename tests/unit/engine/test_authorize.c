// Who may say what: the rules of spaces, roles and areas, owners by the directory and by who came
// first, another directory while all of it goes on; one worker and two.
#include "testing_directory.h"

#include "wire/subscribe.h"

#define PUBLISH PE_ROLE_PUBLISH

static void an_open_space_asks_nobody(void)
{
	start();
	know_everyone();
	as(0);
	ASSERT_STATUS(say(1, 1, 1), PE_ACK_APPLIED);
	as(BOB);
	ASSERT_STATUS(say(1, 2, 2), PE_ACK_APPLIED); // Ann's by the directory, which is not asked
	as(OTHER);
	ASSERT_STATUS(withdraw(1, 3), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, role) + HARNESS_REASON(&h, owner), 0);
	stop();
}

static void the_keyring_alone(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);

	start_with(&config);
	as(ANN);
	ASSERT_REFUSED(say(1, 1, 1), role); // nobody is known yet
	know_everyone();
	ASSERT_STATUS(say(1, 1, 1), PE_ACK_APPLIED);
	ASSERT_REFUSED(say(2, 1, 1), owner);
	ASSERT_REFUSED(say(3, 1, 1), owner); // nobody's
	as(BOB);
	ASSERT_STATUS(say(2, 1, 1), PE_ACK_APPLIED);
	ASSERT_REFUSED(say(1, 2, 2), owner);
	ASSERT_REFUSED(withdraw(1, 2), owner);
	as(0); // trusted by where it comes from, and nobody
	ASSERT_REFUSED(say(1, 2, 2), role);
	ASSERT_REFUSED(withdraw(1, 2), role);
	as(OTHER);
	ASSERT_REFUSED(say(1, 2, 2), role);
	as(CLERK); // an administrator publishes for nobody
	ASSERT_REFUSED(say(1, 2, 2), role);
	as(ANN);
	ASSERT_AT(1, 1);
	ASSERT_STATUS(withdraw(1, 2), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, owner), 4);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, role), 5);
	stop();
}

// Nothing of an entity is told to who may not publish it: neither its pair nor that it is there.
static void refusals_tell_nothing(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);
	struct pe_wire_ack_record a;

	start_with(&config);
	know_everyone();
	as(ANN);
	ASSERT_STATUS(say(5, 7, 1), PE_ACK_APPLIED);
	as(BOB);
	a = say(5, 1, 1);
	ASSERT_REFUSED(a, owner);
	CU_ASSERT_EQUAL(a.known_incarnation + a.known_sequence, 0);
	a = withdraw(5, 1);
	ASSERT_REFUSED(a, owner);
	CU_ASSERT_EQUAL(a.known_incarnation + a.known_sequence, 0);
	stop();
}

static unsigned why_to(uint32_t principal, uint64_t n)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	struct pe_wire_explanation e;
	uint8_t id[16];

	harness_id(id, n);
	as(principal);
	CU_ASSERT(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
	CU_ASSERT_EQUAL(e.reason, 0);
	return e.first_cause;
}

static unsigned why(uint64_t n)
{
	return why_to(CLERK, n);
}

// What is in a space in which one may not ask isn't told by the way, to an administrator of another
// one neither, whatever his rights there; and hiding isn't told from going.
static void explanations_tell_no_more_than_answers(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);
	const struct pe_directory_grant grants[] = {
		{ANN, ALL_ROLES, PE_DIRECTORY_EVERY_SPACE, EVERYWHERE},
		{BOB, PE_ROLE_QUERY, PLANE, EVERYWHERE},
		{BOB, PE_ROLE_QUERY, EARTH, {2, {-1, -1}, {1, 1}}},
		{CLERK, PE_ROLE_ADMIN | PE_ROLE_QUERY, PLANE, EVERYWHERE},
		{CLERK, PE_ROLE_QUERY, EARTH, EVERYWHERE},
	};
	struct pe_directory_owned owned[4];
	struct pe_wire_update u = harness_update(1, 1, 0, 0, 0);

	start_with(&config);
	for (uint64_t n = 1; n <= 4; n++) {
		owned[n - 1] = (struct pe_directory_owned){.bits = 128, .principal = ANN};
		harness_id(owned[n - 1].prefix, n);
	}
	know(grants, 5, owned, 4);
	as(ANN);
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	u = harness_update(2, 1, 0, 0, 0);
	u.attributes |= PE_HIDDEN << 3;
	ASSERT_STATUS(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
	for (uint64_t n = 3; n <= 4; n++)
		ASSERT_STATUS(say(n, 1, 1), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(why_to(ANN, 1), PE_WHY_SPACE);
	CU_ASSERT_EQUAL(why_to(ANN, 2), PE_WHY_SPACE);
	CU_ASSERT_EQUAL(why_to(BOB, 1), PE_WHY_UNKNOWN);
	CU_ASSERT_EQUAL(why_to(BOB, 2), PE_WHY_UNKNOWN);
	CU_ASSERT_EQUAL(why_to(CLERK, 1), PE_WHY_SPACE);
	CU_ASSERT_EQUAL(why_to(CLERK, 2), PE_WHY_UNKNOWN);
	as(ANN);
	u = harness_update(3, 2, 1, 0, 0);
	u.attributes |= PE_HIDDEN << 3;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(4, 2), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(why_to(BOB, 3), PE_WHY_UNKNOWN);
	CU_ASSERT_EQUAL(why_to(BOB, 4), PE_WHY_UNKNOWN);
	CU_ASSERT_EQUAL(why_to(CLERK, 4), PE_WHY_GONE);
	CU_ASSERT_EQUAL(why_to(ANN, 4), PE_WHY_GONE);
	// Nor is who administers this space told it of another one.
	as(ANN);
	ASSERT_STATUS(harness_withdraw(&h, EARTH, HARNESS_INCARNATION, 1, 2), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(why_to(CLERK, 1), PE_WHY_UNKNOWN);
	CU_ASSERT_EQUAL(why_to(ANN, 1), PE_WHY_GONE);
	stop();
}

// Counters count what is hidden too: they are for who operates the engine.
static void counters_are_for_administrators(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);
	const struct pe_directory_grant grants[] = {
		{ANN, ALL_ROLES, PE_DIRECTORY_EVERY_SPACE, EVERYWHERE},
		{BOB, PE_ROLE_ADMIN, PLANE, EVERYWHERE},
		{CLERK, PE_ROLE_ADMIN, PE_DIRECTORY_EVERY_SPACE, EVERYWHERE},
	};
	const struct pe_wire_state_request state = {.selector = PE_STATE_COUNTERS};
	const struct pe_wire_header header = {0};
	const uint32_t who[] = {0, ANN, BOB, CLERK, OTHER};
	struct pe_wire_state_preamble told;
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	start_with(&config);
	know(grants, 3, NULL, 0);
	for (unsigned i = 0; i < 5; i++) {
		as(who[i]);
		harness_queue(&h, buffer,
			pe_wire_put_state_request(buffer, sizeof buffer, &header, &state));
		harness_turn(&h);
		CU_ASSERT_EQUAL_FATAL(h.reply_count, 1);
		memcpy(&told, h.replies[0].data + sizeof header, sizeof told);
		CU_ASSERT_EQUAL(told.code == 0, who[i] == 0 || who[i] == CLERK);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, not_trusted), 3);
	stop();
}

static void who_comes_first(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);

	config.spaces[PLANE].owner_memory_ms = 60000;
	start_with(&config);
	know_everyone();
	as(ANN);
	ASSERT_STATUS(say(5, 1, 1), PE_ACK_APPLIED);
	ASSERT_REFUSED(say(2, 1, 1), owner); // Bob's by the directory, whoever comes first
	as(BOB);
	ASSERT_REFUSED(say(5, 2, 2), owner);
	as(0);
	ASSERT_REFUSED(say(6, 1, 1), role);
	as(ANN);
	ASSERT_STATUS(withdraw(5, 2), PE_ACK_APPLIED);
	as(BOB);
	ASSERT_REFUSED(say(5, 3, 2), owner); // remembered with its pair
	CU_ASSERT_EQUAL(why(5), PE_WHY_GONE);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	CU_ASSERT_EQUAL(why(5), PE_WHY_UNKNOWN);
	as(BOB);
	ASSERT_REFUSED(say(5, 3, 2), owner); // and without it
	ASSERT_REFUSED(withdraw(5, 3), unknown_entity);
	as(ANN);
	ASSERT_STATUS(say(5, 1, 3), PE_ACK_APPLIED); // the pair is forgotten
	ASSERT_AT(5, 3);
	ASSERT_STATUS(withdraw(5, 2), PE_ACK_APPLIED);
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	harness_advance(&h, 60000 - PE_TOMBSTONE_MS);
	harness_settle(&h);
	as(BOB);
	ASSERT_STATUS(say(5, 1, 4), PE_ACK_APPLIED); // all is forgotten
	as(ANN);
	ASSERT_REFUSED(say(5, 2, 5), owner);
	stop();
}

// The time runs from its end, whether withdrawn or expired, to the tick.
static void owners_are_remembered_to_the_tick(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);

	config.spaces[PLANE].owner_memory_ms = 15000;
	start_with(&config);
	know_everyone();
	for (unsigned late = 0; late < 2; late++) {
		struct pe_wire_update u = harness_update(40 + late, 1, 0, 0, 0);

		u.ttl_ms = 1000;
		as(ANN);
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		harness_advance(&h, 1000);
		for (unsigned ms = 0; ms < 15000; ms += 1000) {
			as(BOB);
			ASSERT_REFUSED(say(40 + late, 1, 1), owner);
			harness_advance(&h, 1000 - (ms == 14000 && !late));
			harness_settle(&h);
		}
		as(BOB);
		if (late)
			ASSERT_STATUS(say(41, 1, 1), PE_ACK_APPLIED);
		else
			ASSERT_REFUSED(say(40, 1, 1), owner);
	}
	stop();
}

// An id that somebody owns by first broadcast cannot be taken to another space, nor be locked from
// there.
static void another_space_is_no_way_around(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);
	struct pe_wire_update u = harness_update(5, 9, 10, 10, 0);

	config.spaces[EARTH].authorization = PE_AUTHORIZATION_OPEN;
	start_with(&config);
	know_everyone();
	as(ANN);
	ASSERT_STATUS(say(5, 1, 1), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(5, 2), PE_ACK_APPLIED);
	as(BOB);
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION + 1, &u), owner);
	ASSERT_REFUSED(harness_withdraw(&h, EARTH, HARNESS_INCARNATION + 1, 5, 9), owner);
	as(ANN);
	ASSERT_STATUS(say(5, 3, 1), PE_ACK_APPLIED);
	stop();
}

static void areas(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);
	const struct pe_directory_grant grants[] = {
		{ANN, PUBLISH, PLANE, {2, {0, 0}, {100, 100}}},
		{ANN, PUBLISH | PE_ROLE_QUERY, PLANE, {3, {200, -50, 0}, {300, 50, 10}}},
		{ANN, PUBLISH, EARTH, {2, {-20, 170}, {-10, -170}}},
	};
	struct pe_wire_update u = harness_update(7, 1, -15, 175, 0);

	start_with(&config);
	know(grants, 3, NULL, 0);
	as(ANN);
	ASSERT_STATUS(say(5, 1, 100), PE_ACK_APPLIED);
	ASSERT_REFUSED(say(5, 2, 100.001), area);
	ASSERT_STATUS(say(5, 3, 200), PE_ACK_APPLIED);
	ASSERT_REFUSED(say(5, 4, -0.001), area);
	ASSERT_STATUS(withdraw(5, 5), PE_ACK_APPLIED);
	// Across the antimeridian.
	for (unsigned i = 0; i < 6; i++) {
		static const double longitudes[] = {170, 180, -180, -170, 169.999, -169.999};

		harness_settle(&h);
		u.sequence = i + 1;
		u.position[1] = longitudes[i];
		if (i < 4)
			ASSERT_STATUS(
				harness_send(&h, EARTH, HARNESS_INCARNATION, &u), PE_ACK_APPLIED);
		else
			ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), area);
	}
	u.sequence = 9;
	u.position[0] = -9.999;
	ASSERT_REFUSED(harness_send(&h, EARTH, HARNESS_INCARNATION, &u), area);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, area), 5);
	stop();
}

static void queries_need_their_role(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);
	const struct pe_directory_grant grants[] = {
		{ANN, PE_ROLE_QUERY, PLANE, EVERYWHERE},
		{BOB, PE_ROLE_QUERY, PLANE, {2, {0, 0}, {100, 100}}},
		{CLERK, PUBLISH | PE_ROLE_SUBSCRIBE | PE_ROLE_ADMIN, PLANE, EVERYWHERE},
	};
	const double low[3] = {0, 0, -10}, high[3] = {100, 100, 10}, beyond[3] = {100, 100.5, 10};
	struct pe_wire_query q = harness_sphere(50, 50, 0, 50), all = harness_sphere(0, 0, 0, 1e6);
	struct pe_wire_explanation e;
	uint8_t id[16];

	start_with(&config);
	know(grants, 3, NULL, 0);
	harness_id(id, 1);
	as(ANN);
	CU_ASSERT_EQUAL(asked(&all, PLANE), PE_REASON_none);
	CU_ASSERT_EQUAL(asked(&all, EARTH), PE_REASON_query_role);
	CU_ASSERT(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
	CU_ASSERT_EQUAL(e.reason, 0);
	as(BOB);
	CU_ASSERT_EQUAL(asked(&q, PLANE), PE_REASON_none);
	CU_ASSERT_EQUAL(asked(&all, PLANE), PE_REASON_query_area);
	q.b[0] = 50.001;
	CU_ASSERT_EQUAL(asked(&q, PLANE), PE_REASON_query_area);
	q = harness_box(low, high);
	CU_ASSERT_EQUAL(asked(&q, PLANE), PE_REASON_none);
	q = harness_box(low, beyond);
	CU_ASSERT_EQUAL(asked(&q, PLANE), PE_REASON_query_area);
	q = harness_box(low, high);
	// It would tell where the entity is, wherever that is.
	CU_ASSERT(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
	CU_ASSERT_EQUAL(e.reason, PE_REASON_query_area);
	CU_ASSERT_EQUAL(e.code, PE_CODE_UNAUTHORIZED);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t others[] = {0, CLERK, OTHER};

		as(others[i]);
		CU_ASSERT_EQUAL(asked(&q, PLANE), PE_REASON_query_role);
		CU_ASSERT(harness_explain(&h, 0, PLANE, id, &q, NULL, 0, &e));
		CU_ASSERT_EQUAL(e.reason, PE_REASON_query_role);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, query_role), 7);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, query_area), 4);
	stop();
}

// What is asked for first is answered, and the refused one beside it counts as refused.
static void queries_of_one_message(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);
	const struct pe_directory_grant grant = {
		BOB, PE_ROLE_QUERY | PUBLISH, PLANE, {2, {0, 0}, {100, 100}}};
	struct pe_directory_owned owned = {.bits = 128, .principal = BOB};
	struct pe_wire_query q[2] = {harness_sphere(50, 50, 0, 50), harness_sphere(0, 0, 0, 1)};
	static struct harness_answer a;
	uint64_t sequence;

	start_with(&config);
	harness_id(owned.prefix, 1);
	know(&grant, 1, &owned, 1);
	as(BOB);
	ASSERT_STATUS(say(1, 1, 50), PE_ACK_APPLIED);
	q[0].query_id = 1;
	q[1].query_id = 2;
	q[0].b[0] = 50;
	sequence = harness_queue_queries(&h, PLANE, q, 2);
	harness_turn(&h);
	harness_answer(&h, sequence, 1, &a);
	CU_ASSERT(a.whole && a.reason == 0 && a.count == 1);
	harness_answer(&h, sequence, 2, &a);
	CU_ASSERT(a.whole && a.reason == PE_REASON_query_area && a.count == 0);
	stop();
}

// ---- standing queries ----

static struct pe_wire_subscribed subscribe(
	unsigned op, uint32_t message, const struct pe_wire_fence *f, unsigned count)
{
	struct pe_wire_header header = harness_header(&h, PLANE, 0);
	const struct pe_wire_subscribe s = {
		.subscription_id = 1, .epoch = 1, .op = (uint8_t)op, .message = message};
	struct pe_wire_subscribed done = {.reason = 0xFF};
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	uint32_t bytes =
		pe_wire_put_subscribe(buffer, sizeof buffer, &header, &s, f, count, NULL, 0);

	CU_ASSERT_FATAL(bytes > 0);
	harness_queue(&h, buffer, bytes);
	harness_turn(&h);
	for (unsigned i = 0; i < h.reply_count; i++)
		if (h.replies[i].data[1] == PE_TYPE_REGION_SUBSCRIBE)
			pe_wire_get_subscribed(h.replies[i].data, &done);
	return done;
}

static void subscriptions_need_their_role(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);
	const struct pe_directory_grant grants[] = {
		{ANN, PE_ROLE_SUBSCRIBE, PLANE, EVERYWHERE},
		{BOB, PE_ROLE_SUBSCRIBE, PLANE, {2, {0, 0}, {100, 100}}},
		{CLERK, PUBLISH | PE_ROLE_QUERY | PE_ROLE_ADMIN, PLANE, EVERYWHERE},
	};
	struct pe_wire_fence f[2] = {{.fence_id = 1, .query = harness_sphere(50, 50, 0, 40)},
		{.fence_id = 2, .query = harness_sphere(0, 0, 0, 40)}};
	struct pe_wire_subscribed done;

	config.fence_count_max = 16;
	start_with(&config);
	know(grants, 3, NULL, 0);
	as(CLERK);
	done = subscribe(PE_SUBSCRIBE_OPEN, 0, f, 2);
	CU_ASSERT_EQUAL(done.reason, PE_REASON_subscribe_role);
	CU_ASSERT_EQUAL(done.code, PE_CODE_UNAUTHORIZED);
	as(BOB);
	done = subscribe(PE_SUBSCRIBE_OPEN, 0, f, 2);
	CU_ASSERT_EQUAL(done.reason, PE_REASON_subscribe_area);
	CU_ASSERT_EQUAL(done.fault_index, 1);
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_OPEN, 0, f, 1).reason, 0);
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_ADD, 1, f + 1, 1).reason, PE_REASON_subscribe_area);
	f[1].query = harness_sphere(50, 50, 0, 30);
	f[1].margin_m = 20.5f; // outside is outside of the margin too
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_ADD, 1, f + 1, 1).reason, PE_REASON_subscribe_area);
	f[1].margin_m = 20;
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_ADD, 1, f + 1, 1).reason, 0);
	f[1] = (struct pe_wire_fence){.fence_id = 3,
		.flags = PE_FENCE_FOLLOW,
		.follow_id = {1},
		.query = harness_sphere(0, 0, 0, 1)};
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_ADD, 2, f + 1, 1).reason, PE_REASON_subscribe_area);
	as(ANN);
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_OPEN, 0, f, 2).reason, 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_opened), 2);
	// Another directory: who has the role everywhere goes on, who has it no more, or within an
	// area, begins anew.
	harness_settle(&h);
	know(grants, 1, NULL, 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_ended), 1);
	know(grants + 1, 2, NULL, 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_ended), 2);
	as(BOB);
	CU_ASSERT_EQUAL(subscribe(PE_SUBSCRIBE_OPEN, 0, f, 1).reason, 0);
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, subscriptions_ended), 2);
	stop();
}

// ---- details, two workers, another directory ----

static void details_are_no_way_around(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_KEYRING);
	const struct pe_directory_grant grants[] = {{ANN, PUBLISH, PLANE, {2, {0, 0}, {100, 100}}}};
	struct pe_directory_owned owned[2] = {
		{.bits = 128, .principal = ANN}, {.bits = 128, .principal = ANN}};
	struct pe_wire_update u = harness_update(2, 1, 5, 0, 0);
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX], parent[16];

	config.details_bytes = 1 << 20;
	start_with(&config);
	harness_id(owned[0].prefix, 1);
	harness_id(owned[1].prefix, 2);
	know(grants, 1, owned, 2);
	as(BOB);
	CU_ASSERT(pe_wire_begin_details(record, sizeof record, &u) > 0);
	ASSERT_REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record), role);
	as(ANN);
	ASSERT_STATUS(say(1, 1, 98), PE_ACK_APPLIED);
	// In another's frame it is where that is.
	harness_id(parent, 1);
	CU_ASSERT(pe_wire_put_details(
			  record, sizeof record, PE_DETAILS_FRAME, parent, sizeof parent) > 0);
	ASSERT_REFUSED(harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record), area);
	u.position[0] = 2;
	u.sequence = 2;
	CU_ASSERT(pe_wire_begin_details(record, sizeof record, &u) > 0);
	CU_ASSERT(pe_wire_put_details(
			  record, sizeof record, PE_DETAILS_FRAME, parent, sizeof parent) > 0);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record), PE_ACK_APPLIED);
	stop();
}

static void at_the_wrong_worker(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);

	config.worker_count = 2;
	config.entity_count_max = 2000;
	start_with(&config);
	know_everyone();
	for (unsigned n = 10; n < 110; n++) {
		struct pe_wire_update u = harness_update(n, 1, 1, 0, 0);

		as(n & 1 ? ANN : BOB);
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		harness_turn_worker(&h, n & 2 ? 1 : 0);
	}
	harness_settle(&h);
	// All of it by Ann, at either worker: half of it is Bob's.
	as(ANN);
	for (unsigned n = 10; n < 110; n++) {
		struct pe_wire_update u = harness_update(n, 2, 2, 0, 0);

		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		harness_turn_worker(&h, n & 4 ? 1 : 0);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, owner), 50);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 150);
	CU_ASSERT(HARNESS_COUNTER(&h, records_forwarded) > 50);
	for (unsigned n = 10; n < 110; n++) {
		struct pe_wire_result r = {0};

		CU_ASSERT_EQUAL(sees(n, &r), 1);
		CU_ASSERT_EQUAL(r.position[0], n & 1 ? 2 : 1);
	}
	// Both of them at once, each at another worker: one of them is first.
	for (unsigned n = 200; n < 250; n++)
		for (unsigned k = 0; k < 2; k++) {
			struct pe_wire_update u = harness_update(n, 1 + k, 1 + k, 0, 0);

			as(k ? ANN : BOB);
			(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
			harness_turn_worker(&h, k);
		}
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, owner), 100);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, created), 150);
	stop();
}

// A batch with updates of one entity by several: none covers another's.
static void one_burst_of_many(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);

	start_with(&config);
	know_everyone();
	for (unsigned i = 1; i <= 8; i++) {
		struct pe_wire_update u = harness_update(5, i, i, 0, 0);

		as(i & 1 ? ANN : BOB);
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	}
	harness_turn(&h);
	as(ANN);
	ASSERT_AT(5, 7);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, owner), 4);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 4);
	stop();
}

static void another_directory(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);
	const struct pe_directory_grant grants[] = {
		{ANN, PUBLISH, PLANE, EVERYWHERE}, {BOB, PUBLISH, PLANE, EVERYWHERE}};
	struct pe_directory_owned owned = {.bits = 128, .principal = BOB};
	struct pe_principals *directory;
	struct pe_error error;

	start_with(&config);
	know(grants, 2, NULL, 0);
	as(ANN);
	ASSERT_STATUS(say(5, 1, 1), PE_ACK_APPLIED);
	know(grants + 1, 1, NULL, 0);
	ASSERT_REFUSED(say(5, 2, 2), role);
	as(BOB);
	ASSERT_REFUSED(say(5, 2, 2), owner); // it stays Ann's
	harness_id(owned.prefix, 5);
	know(grants, 2, &owned, 1);
	ASSERT_REFUSED(say(5, 2, 2), owner); // until it is gone and forgotten
	as(ANN);
	ASSERT_REFUSED(say(5, 2, 2), owner);
	// One waits for its grace period, so that there is no room for a third.
	CU_ASSERT_EQUAL_FATAL(pe_principals_create(grants, 2, NULL, 0, &directory, &error), PE_OK);
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_principals(h.engine, NULL), PE_OK);
	CU_ASSERT_EQUAL(pe_engine_principals(h.engine, directory), PE_BUSY);
	ASSERT_REFUSED(say(5, 2, 2), role);
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_principals(h.engine, directory), PE_OK);
	ASSERT_STATUS(say(5, 2, 2), PE_ACK_APPLIED);
	stop();
}

// Filling the table gives nobody another's id, neither of who is there nor of who has gone.
static void a_full_table_forgets_no_owner(void)
{
	for (unsigned rule = PE_FULL_LEAST_RECENT; rule <= PE_FULL_LOWEST_PRIORITY; rule++) {
		struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);
		unsigned refused = 0;

		config.entity_count_max = 256;
		config.when_full = (uint8_t)rule;
		start_with(&config);
		know_everyone();
		as(ANN);
		ASSERT_STATUS(say(5, 1, 1), PE_ACK_APPLIED);
		ASSERT_STATUS(say(6, 1, 1), PE_ACK_APPLIED);
		ASSERT_STATUS(withdraw(6, 2), PE_ACK_APPLIED);
		harness_advance(&h, 100);
		as(BOB);
		for (uint64_t n = 100; n < 2100; n++) {
			refused += say(n, 1, 2).reason == PE_REASON_table_full;
			if (n % 100 == 0)
				harness_advance(&h, 5);
		}
		CU_ASSERT(refused > 1000);
		harness_advance(&h, 5);
		harness_settle(&h);
		ASSERT_REFUSED(say(5, 9, 3), owner);
		ASSERT_REFUSED(say(6, 9, 3), owner);
		as(ANN);
		ASSERT_AT(5, 1);
		ASSERT_STATUS(say(6, 3, 1), PE_ACK_APPLIED);
		stop();
	}
}

// Owners cost four bytes an entity where somebody asks for them, and nothing elsewhere.
static void the_bill(void)
{
	struct pe_engine_config config = harness_config();
	uint64_t without, with;

	config.entity_count_max = 1u << 20;
	start_with(&config);
	without = pe_engine_memory_bytes(h.engine);
	stop();
	config.spaces[EARTH].authorization = PE_AUTHORIZATION_KEYRING;
	start_with(&config);
	CU_ASSERT_EQUAL(pe_engine_memory_bytes(h.engine), without);
	stop();
	config.spaces[EARTH].authorization = PE_AUTHORIZATION_FIRST;
	start_with(&config);
	with = pe_engine_memory_bytes(h.engine);
	CU_ASSERT(with >= without + (4u << 20) && with <= without + (6u << 20));
	stop();
}

TESTING_MAIN("engine: authorize", {"an open space asks nobody", an_open_space_asks_nobody},
	{"the keyring alone", the_keyring_alone}, {"refusals tell nothing", refusals_tell_nothing},
	{"who comes first", who_comes_first},
	{"explanations tell no more than answers", explanations_tell_no_more_than_answers},
	{"counters are for administrators", counters_are_for_administrators},
	{"owners are remembered to the tick", owners_are_remembered_to_the_tick},
	{"another space is no way around", another_space_is_no_way_around}, {"areas", areas},
	{"queries need their role", queries_need_their_role},
	{"queries of one message", queries_of_one_message},
	{"subscriptions need their role", subscriptions_need_their_role},
	{"details are no way around", details_are_no_way_around},
	{"at the wrong worker", at_the_wrong_worker}, {"one burst of many", one_burst_of_many},
	{"another directory", another_directory},
	{"a full table forgets no owner", a_full_table_forgets_no_owner}, {"the bill", the_bill})
