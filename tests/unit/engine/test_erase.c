// ERASE: who may, from where it goes, what is left; beside moves, in fences, at the wrong worker.
#include "testing_directory.h"

#include "internal.h"
#include "watching.h"

static struct pe_wire_erased erase(uint64_t n, uint32_t incarnation)
{
	return harness_erase(&h, PLANE, n, incarnation);
}

#define ASSERT_ERASED(erased, from) \
	do { \
		struct pe_wire_erased e_ = (erased); \
		CU_ASSERT_EQUAL(e_.status, PE_ACK_APPLIED); \
		CU_ASSERT_EQUAL(e_.where, (from)); \
	} while (0)

static void gone_for_good(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_ack_record a;

	start_with(&config);
	ASSERT_STATUS(say(1, 7, 1), PE_ACK_APPLIED);
	ASSERT_ERASED(erase(1, 0), PE_ERASED_RECORD);
	ASSERT_GONE(1);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, erased), 1);
	// No later update of that life brings it back.
	a = say(1, UINT32_MAX, 2);
	ASSERT_REFUSED(a, stale);
	CU_ASSERT_EQUAL(a.known_incarnation, HARNESS_INCARNATION);
	CU_ASSERT_EQUAL(a.known_sequence, UINT32_MAX);
	ASSERT_REFUSED(withdraw(1, UINT32_MAX), stale);
	// Once more: only that it was, is there to be erased.
	ASSERT_ERASED(erase(1, 0), PE_ERASED_TOMBSTONE);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, erased), 1);
	// A new life does.
	{
		struct pe_wire_update u = harness_update(1, 1, 3, 0, 0);

		ASSERT_STATUS(harness_send(&h, PLANE, HARNESS_INCARNATION + 1, &u), PE_ACK_APPLIED);
	}
	ASSERT_AT(1, 3);
	// Not with an incarnation that the erasure named, either.
	ASSERT_ERASED(erase(1, HARNESS_INCARNATION + 100), PE_ERASED_RECORD);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t lives[] = {0, 1, 100};
		struct pe_wire_update u = harness_update(1, 50, 4, 0, 0);

		ASSERT_REFUSED(harness_send(&h, PLANE, HARNESS_INCARNATION + lives[i], &u), stale);
	}
	// What is left goes as any tombstone.
	harness_settle(&h);
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	CU_ASSERT_EQUAL(erase(1, 0).reason, PE_REASON_unknown_entity);
	ASSERT_STATUS(say(1, 1, 5), PE_ACK_APPLIED);
	stop();
}

// Nothing of where it was is left in the record that stands in memory until the tombstone goes.
static void nothing_is_left_in_memory(void)
{
	struct pe_engine_config config = harness_config();
	const struct pe_table *t;
	const struct pe_record *r;
	uint8_t id[16];
	uint32_t handle;

	config.spaces[PLANE].coalesce_distance_m = 50;
	start_with(&config);
	ASSERT_STATUS(say(1, 1, 1234), PE_ACK_APPLIED);
	ASSERT_STATUS(say(1, 2, 1235), PE_ACK_COALESCED);
	harness_id(id, 1);
	t = &h.engine->table;
	handle = pe_index_find(&t->index, t->records, pe_hash_id(&t->index.key, id), id);
	ASSERT_ERASED(erase(1, 0), PE_ERASED_RECORD | PE_ERASED_WAITING);
	r = &t->records[handle];
	CU_ASSERT_EQUAL(r->shown.position[0], 0);
	CU_ASSERT_EQUAL(r->shown.time_ms, 0);
	CU_ASSERT_EQUAL(r->time_low, 0);
	CU_ASSERT_EQUAL(pe_record_held(r)->position[0], 0);
	harness_advance(&h, 2000); // when it would have been published
	ASSERT_GONE(1);
	stop();
}

static void who_may(void)
{
	static const struct {
		enum pe_authorization rule;
		bool untrusted;
		uint32_t principal;
		uint64_t n; // 1 is Ann's, 2 Bob's by the directory; 5 Ann's since she came first
		enum pe_reason reason;
	} rows[] = {
		{PE_AUTHORIZATION_OPEN, true, 0, 1, PE_REASON_role},
		{PE_AUTHORIZATION_OPEN, true, OTHER, 1, PE_REASON_role},
		{PE_AUTHORIZATION_OPEN, true, BOB, 1, PE_REASON_owner},
		{PE_AUTHORIZATION_OPEN, true, BOB, 5, PE_REASON_owner},
		{PE_AUTHORIZATION_OPEN, true, ANN, 1, PE_REASON_none},
		{PE_AUTHORIZATION_OPEN, true, CLERK, 5, PE_REASON_none},
		{PE_AUTHORIZATION_OPEN, false, 0, 5, PE_REASON_none},
		{PE_AUTHORIZATION_KEYRING, false, 0, 1, PE_REASON_role},
		{PE_AUTHORIZATION_KEYRING, false, OTHER, 1, PE_REASON_role},
		{PE_AUTHORIZATION_KEYRING, false, BOB, 1, PE_REASON_owner},
		{PE_AUTHORIZATION_KEYRING, false, ANN, 1, PE_REASON_none},
		{PE_AUTHORIZATION_KEYRING, false, CLERK, 1, PE_REASON_none},
		{PE_AUTHORIZATION_FIRST, false, 0, 5, PE_REASON_role},
		{PE_AUTHORIZATION_FIRST, false, OTHER, 5, PE_REASON_owner},
		{PE_AUTHORIZATION_FIRST, false, BOB, 5, PE_REASON_owner},
		{PE_AUTHORIZATION_FIRST, false, BOB, 1, PE_REASON_owner},
		{PE_AUTHORIZATION_FIRST, false, ANN, 5, PE_REASON_none},
		{PE_AUTHORIZATION_FIRST, false, ANN, 1, PE_REASON_none},
		{PE_AUTHORIZATION_FIRST, false, CLERK, 5, PE_REASON_none},
		// Who may not does not learn whether there is one.
		{PE_AUTHORIZATION_FIRST, false, BOB, 77, PE_REASON_owner},
		{PE_AUTHORIZATION_KEYRING, false, BOB, 77, PE_REASON_owner},
		{PE_AUTHORIZATION_KEYRING, false, CLERK, 77, PE_REASON_unknown_entity},
		{PE_AUTHORIZATION_OPEN, false, 0, 77, PE_REASON_unknown_entity},
		{PE_AUTHORIZATION_OPEN, false, 0, 0, PE_REASON_id_nil},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pe_engine_config config = guarded(rows[i].rule);
		struct pe_wire_erased e;

		start_with(&config);
		know_everyone();
		as(ANN);
		ASSERT_STATUS(say(1, 1, 1), PE_ACK_APPLIED);
		if (rows[i].n == 5)
			ASSERT_STATUS(say(5, 1, 1), PE_ACK_APPLIED);
		as(rows[i].principal);
		h.untrusted = rows[i].untrusted;
		e = erase(rows[i].n, 0);
		CU_ASSERT_EQUAL(e.reason, rows[i].reason);
		CU_ASSERT_EQUAL(e.code, pe_reason_info[rows[i].reason].code);
		CU_ASSERT_EQUAL(e.status, rows[i].reason ? PE_ACK_REFUSED : PE_ACK_APPLIED);
		CU_ASSERT_EQUAL(e.where, rows[i].reason ? 0 : PE_ERASED_RECORD);
		h.untrusted = false;
		CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, erased), !rows[i].reason);
		CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, carried_erase), 1);
		stop();
	}
}

static void an_administrator_of_an_area(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);
	const struct pe_directory_grant grants[] = {
		{ANN, PE_ROLE_PUBLISH, PLANE, EVERYWHERE},
		{CLERK, PE_ROLE_ADMIN, PLANE, {2, {0, 0}, {100, 100}}},
	};

	start_with(&config);
	know(grants, 2, NULL, 0);
	as(ANN);
	ASSERT_STATUS(say(5, 1, 100), PE_ACK_APPLIED);
	ASSERT_STATUS(say(6, 1, 101), PE_ACK_APPLIED);
	as(CLERK);
	ASSERT_ERASED(erase(5, 0), PE_ERASED_RECORD);
	CU_ASSERT_EQUAL(erase(6, 0).reason, PE_REASON_owner);
	CU_ASSERT_EQUAL(erase(5, 0).reason, PE_REASON_owner); // it is nowhere any more
	CU_ASSERT_EQUAL(erase(7, 0).reason, PE_REASON_owner);
	as(ANN);
	ASSERT_ERASED(erase(5, 0), PE_ERASED_TOMBSTONE);
	// The id stays hers for as long as owners are remembered.
	harness_advance(&h, PE_TOMBSTONE_MS);
	harness_settle(&h);
	ASSERT_ERASED(erase(5, 0), PE_ERASED_TOMBSTONE);
	stop();
}

static void the_message_as_a_whole(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_erased e;

	start_with(&config);
	ASSERT_STATUS(say(1, 1, 1), PE_ACK_APPLIED);
	e = erase(1, HARNESS_INCARNATION + 1000000);
	CU_ASSERT_EQUAL(e.status, PE_ACK_REFUSED);
	CU_ASSERT_EQUAL(e.reason, PE_REASON_incarnation_future);
	e = harness_erase(&h, EARTH, 1, 0);
	CU_ASSERT_EQUAL(e.reason, PE_REASON_space_differs);
	ASSERT_AT(1, 1);
	// Who isn't trusted is told nothing of a message that is refused as a whole.
	h.untrusted = true;
	CU_ASSERT_EQUAL(erase(1, HARNESS_INCARNATION + 1000000).status, 0xFF);
	h.untrusted = false;
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, incarnation_future), 2);
	stop();
}

static void from_everywhere(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_update u = harness_update(2, 1, 3, 0, 0);
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX], parent[16];
	static const float turn[4] = {0, 0, 0.6f, 0.8f};
	struct watching s;

	config.details_bytes = 1 << 20;
	config.fence_count_max = 16;
	config.spaces[PLANE].coalesce_distance_m = 5;
	config.spaces[PLANE].speed_max_mps[PE_ENTITY_MOBILE] = 10;
	start_with(&config);
	watching_init(&s, &h, PLANE, 1);
	{
		struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 100);

		watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
		harness_turn(&h);
		watching_take(&s);
	}
	harness_id(parent, 1);
	ASSERT_STATUS(say(1, 1, 1), PE_ACK_APPLIED);
	watching_take(&s);
	CU_ASSERT(pe_wire_begin_details(record, sizeof record, &u) > 0);
	CU_ASSERT(pe_wire_put_details(
			  record, sizeof record, PE_DETAILS_ORIENTATION, turn, sizeof turn) > 0);
	CU_ASSERT(pe_wire_put_details(
			  record, sizeof record, PE_DETAILS_FRAME, parent, sizeof parent) > 0);
	ASSERT_STATUS(
		harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, record), PE_ACK_APPLIED);
	watching_take(&s);
	CU_ASSERT(watching_is_member(&s, 1, 2));
	ASSERT_REFUSED(say(2, 2, 5000), implausible);
	ASSERT_ERASED(erase(2, 0),
		PE_ERASED_RECORD | PE_ERASED_DETAILS | PE_ERASED_FENCES | PE_ERASED_FRAMES |
			PE_ERASED_QUARANTINE);
	watching_take(&s);
	CU_ASSERT(!watching_is_member(&s, 1, 2));
	CU_ASSERT_EQUAL(s.events[s.count - 1].kind, PE_EVENT_LEAVE);
	CU_ASSERT_EQUAL(s.events[s.count - 1].cause, PE_LEAVE_GONE);
	// Its parent is nobody's parent any more, and its details are gone: what comes back has
	// none.
	h.now.wall_ms += 1000;
	ASSERT_ERASED(erase(1, 0), PE_ERASED_RECORD | PE_ERASED_FENCES);
	u = harness_update(2, 1, 5000, 0, 0);
	ASSERT_STATUS(harness_send(&h, PLANE, HARNESS_INCARNATION + 1, &u), PE_ACK_APPLIED);
	ASSERT_ERASED(erase(2, 0), PE_ERASED_RECORD);
	watching_free(&s);
	stop();
}

// Beside a crossing that has not settled, and a state that waits for one.
static void beside_moves(void)
{
	struct pe_engine_config config = harness_config();

	start_with(&config);
	for (uint64_t n = 1; n <= 20; n++) {
		ASSERT_STATUS(say(n, 1, 1), PE_ACK_APPLIED);
		ASSERT_STATUS(say(n, 2, 100), PE_ACK_APPLIED);
		if (n & 1)
			ASSERT_STATUS(say(n, 3, 200), PE_ACK_ACCEPTED);
		ASSERT_ERASED(erase(n, 0), PE_ERASED_RECORD | (n & 1 ? PE_ERASED_WAITING : 0));
		ASSERT_GONE(n);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	CU_ASSERT_EQUAL(sees(1, NULL), 0);
	stop();
}

static void at_the_wrong_worker(void)
{
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);

	config.worker_count = 2;
	start_with(&config);
	know_everyone();
	for (unsigned n = 10; n < 60; n++) {
		struct pe_wire_update u = harness_update(n, 1, 1, 0, 0);

		as(n & 1 ? ANN : BOB);
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		harness_turn_worker(&h, 0);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 50);
	as(ANN);
	for (unsigned n = 10; n < 60; n++) {
		uint64_t sequence = harness_queue_erase(&h, PLANE, n, 0);
		struct pe_wire_erased e;

		harness_turn_worker(&h, 1);
		e = harness_erased(&h, sequence);
		CU_ASSERT_EQUAL(e.status, PE_ACK_ACCEPTED);
		CU_ASSERT_EQUAL(e.where, 0);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 25);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, erased), 25);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, owner), 25);
	// Of what nobody knows, asked of the worker whose part of the index it is not: told there,
	// counted all the same.
	for (unsigned n = 100; n < 110; n++)
		(void)harness_queue_erase(&h, PLANE, n, 0);
	harness_turn_worker(&h, 1);
	harness_settle(&h);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, owner), 35);
	stop();
}

// In one turn: updates, withdrawals, erasures, questions.
static void its_place_in_a_turn(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 100);
	struct pe_wire_update u = harness_update(1, 1, 1, 0, 0);
	static struct harness_answer a;
	uint64_t asked, erased;

	start_with(&config);
	q.query_id = 7;
	asked = harness_queue_queries(&h, PLANE, &q, 1);
	erased = harness_queue_erase(&h, PLANE, 1, 0);
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	harness_answer(&h, asked, 7, &a);
	CU_ASSERT(a.whole && a.count == 0);
	CU_ASSERT_EQUAL(harness_erased(&h, erased).where, PE_ERASED_RECORD);
	// A full turn of them.
	for (unsigned i = 0; i < PE_BURST_MAX; i++)
		(void)harness_queue_erase(&h, PLANE, 1 + i, 0);
	harness_turn(&h);
	CU_ASSERT_EQUAL(h.reply_count, PE_BURST_MAX);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, carried_erase), PE_BURST_MAX + 1);
	// Without buffers it is done, and not told.
	ASSERT_STATUS(say(70, 1, 1), PE_ACK_APPLIED);
	h.buffers_refused = true;
	(void)harness_queue_erase(&h, PLANE, 70, 0);
	harness_turn(&h);
	h.buffers_refused = false;
	ASSERT_GONE(70);
	stop();
}

// What is veiled goes as anything does, from its layer too, whoever may not see it.
static void veiled(void)
{
	static const uint32_t ann[] = {ANN};
	const struct pe_policy policy = {.name = "friends",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = ann,
		.allow_count = 1};
	static const uint16_t wishes[] = {3u << 7, PE_HIDDEN << 3, PE_RESTRICTED << 3};
	struct pe_engine_config config = guarded(PE_AUTHORIZATION_FIRST);

	config.views = (struct pe_views_config){.policies = &policy, .policy_count = 1};
	config.spaces[PLANE].coalesce_distance_m = 50;
	start_with(&config);
	know_everyone();
	for (unsigned i = 0; i < 3; i++) {
		struct pe_wire_update u = harness_update(10 + i, 1, 5, 0, 0);

		as(ANN);
		u.attributes |= wishes[i];
		ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		u.sequence = 2;
		u.position[0] = 6; // held back, but of the rounded one, which is where it is
		ASSERT_STATUS(send(&u), PE_ACK_COALESCED);
		CU_ASSERT_EQUAL(sees(10 + i, NULL), wishes[i] != PE_HIDDEN << 3);
		as(BOB);
		CU_ASSERT_EQUAL(sees(10 + i, NULL), i == 0);
		CU_ASSERT_EQUAL(erase(10 + i, 0).reason, PE_REASON_owner);
		as(i & 1 ? ANN : CLERK);
		ASSERT_ERASED(erase(10 + i, 0), PE_ERASED_RECORD | PE_ERASED_WAITING);
		as(ANN);
		CU_ASSERT_EQUAL(sees(10 + i, NULL), 0);
		harness_advance(&h, 2000);
		CU_ASSERT_EQUAL(sees(10 + i, NULL), 0);
	}
	harness_settle(&h);
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, erased), 3);
	stop();
}

TESTING_MAIN("engine: erase", {"gone for good", gone_for_good},
	{"nothing is left in memory", nothing_is_left_in_memory}, {"who may", who_may},
	{"an administrator of an area", an_administrator_of_an_area},
	{"the message as a whole", the_message_as_a_whole}, {"from everywhere", from_everywhere},
	{"beside moves", beside_moves}, {"at the wrong worker", at_the_wrong_worker},
	{"its place in a turn", its_place_in_a_turn}, {"veiled", veiled})
