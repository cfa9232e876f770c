// presence_explain against an engine that forges, loses and refuses.
#include "client/presence.h"
#include "base/reasons.h"
#include "fake_engine.h"
#include "testing.h"

#include <string.h>

static const uint8_t id[16] = {7, 1};
static const struct presence_query near = {
	.volume = PRESENCE_SPHERE, .a = {1, 2, 3}, .radius_m = 500, .type_mask = 2};
static const struct pe_wire_explanation outside = {.verdict = PE_EXPLAIN_OUT,
	.first_cause = PE_WHY_VOLUME,
	.causes = 1u << PE_WHY_VOLUME | 1u << PE_WHY_COALESCED,
	.position = {4, 5, 0},
	.distance_m = 600,
	.edge_m = 500,
	.beyond_m = 100,
	.asker_m = 601,
	.held_m = 2.5,
	.radius_m = 50,
	.age_ms = -3,
	.ttl_left_ms = 8000,
	.held_ms = 40,
	.due_ms = 60,
	.filter_step = 3,
	.state = PE_STATE_BUSY | PE_RESULT_HEIGHT_UNKNOWN,
	.entity_type = 200};

static void told(void)
{
	struct fake_engine engine = {
		.told = outside, .wrong_sequence = true, .junk = true, .ignore = 1};
	struct presence_client *client = fake_client(&engine);
	struct presence_explanation e;
	struct presence_refusal refusal;

	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(presence_explain(client, NULL, id, &near, &e, &refusal), PRESENCE_OK);
	CU_ASSERT(e.verdict == PRESENCE_OUT && e.first_cause == PRESENCE_OUTSIDE && e.placed);
	CU_ASSERT_EQUAL(e.causes, 1u << PRESENCE_OUTSIDE | 1u << PRESENCE_HELD_BACK);
	CU_ASSERT(e.position[0] == 4 && e.position[1] == 5 && e.height_unknown);
	CU_ASSERT(e.distance_m == 600 && e.edge_m == 500 && e.beyond_m == 100);
	CU_ASSERT(e.asker_m == 601 && e.held_m == 2.5 && e.radius_m == 50);
	CU_ASSERT(e.age_ms == -3 && e.ttl_left_ms == 8000 && e.held_ms == 40 && e.due_ms == 60);
	CU_ASSERT(e.filter_step == 3 && e.state == PRESENCE_BUSY && e.type == 200);
	CU_ASSERT_STRING_EQUAL(presence_cause_name(e.first_cause), "VOLUME");
	CU_ASSERT(
		presence_traffic(client).unexpected == 2 && presence_traffic(client).retries == 1);
	presence_close(client);
	fake_stop(&engine);
	CU_ASSERT(memcmp(engine.last_explained, id, 16) == 0);
	CU_ASSERT(engine.last_query.kind == PE_QUERY_SPHERE && engine.last_query.b[0] == 500 &&
		engine.last_query.type_mask == 2);
}

static void not_told(void)
{
	struct fake_engine refusing = {.refuse = true}, silent = {.silent = true};
	struct presence_client *client = fake_client(&refusing);
	struct presence_query unsayable = {.volume = 0};
	struct presence_explanation e;
	struct presence_refusal refusal;

	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(presence_explain(client, NULL, id, &near, &e, &refusal), PRESENCE_REFUSED);
	CU_ASSERT_EQUAL(refusal.reason, PE_REASON_query_bounds);
	CU_ASSERT(e.verdict == PRESENCE_UNDECIDED && !e.placed);
	CU_ASSERT_EQUAL(
		presence_explain(client, NULL, id, &unsayable, &e, NULL), PRESENCE_BAD_ARGUMENT);
	presence_close(client);
	fake_stop(&refusing);
	client = fake_client(&silent);
	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(
		presence_explain(client, NULL, id, &near, &e, &refusal), PRESENCE_TIMED_OUT);
	CU_ASSERT_EQUAL(e.verdict, PRESENCE_UNDECIDED);
	presence_close(client);
	fake_stop(&silent);
	CU_ASSERT_EQUAL(silent.packets, 3);
}

static void fence(void)
{
	struct fake_engine engine = {.told = outside, .wrong_sequence = true, .ignore = 1};
	struct presence_client *client;
	struct presence_explanation e;
	struct presence_refusal refusal;

	engine.told.verdict = PE_EXPLAIN_IN;
	engine.told.causes = 1u << PE_WHY_VOLUME | 1u << PE_WHY_LEAVING;
	client = fake_client(&engine);
	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(
		presence_explain_fence(client, NULL, id, 0x11223344, 0x55667788, &e, &refusal),
		PRESENCE_OK);
	CU_ASSERT(e.verdict == PRESENCE_IN && e.first_cause == PRESENCE_OUTSIDE && e.placed);
	CU_ASSERT_EQUAL(e.causes, 1u << PRESENCE_OUTSIDE | 1u << PRESENCE_LEAVING);
	CU_ASSERT(e.due_ms == 60 && e.beyond_m == 100);
	presence_close(client);
	fake_stop(&engine);
	CU_ASSERT(memcmp(engine.last_explained, id, 16) == 0);
	CU_ASSERT_EQUAL(engine.last_subject, 0x5566778811223344ull);
	CU_ASSERT_EQUAL(engine.last_query.kind, 0);
}

static void names(void)
{
	for (unsigned cause = 0; cause < 40; cause++) {
		bool known = (cause >= 1 && cause <= 26);

		CU_ASSERT_EQUAL(strcmp(presence_cause_name(cause), "?") != 0, known);
		CU_ASSERT(strlen(presence_cause_text(cause)) > 10);
	}
}

TESTING_MAIN("client-explain", {"told", told}, {"not told", not_told}, {"fence", fence},
	{"names", names})
