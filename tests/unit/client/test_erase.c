// presence_erase against an engine that forges, loses and refuses.
#include "base/reasons.h"
#include "client/presence.h"
#include "fake_engine.h"
#include "testing.h"

#include <string.h>

static const uint8_t id[16] = {7, 1}, nil[16];

static void erased(void)
{
	struct fake_engine engine = {.erased = {.where = PE_ERASED_RECORD | PE_ERASED_FENCES},
		.wrong_sequence = true,
		.junk = true,
		.ignore = 1};
	struct presence_client *client = fake_client(&engine);
	struct presence_refusal refusal;
	struct presence_erased e;

	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(presence_erase(client, NULL, nil, 0, &e, &refusal), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(e.status, PRESENCE_NOT_TAKEN);
	CU_ASSERT_EQUAL(presence_erase(client, NULL, id, 77, &e, &refusal), PRESENCE_OK);
	CU_ASSERT(e.status == PRESENCE_APPLIED && e.repeated);
	CU_ASSERT_EQUAL(e.where, PRESENCE_ERASED_RECORD | PRESENCE_ERASED_FENCES);
	CU_ASSERT(
		presence_traffic(client).unexpected == 2 && presence_traffic(client).retries == 1);
	presence_close(client);
	fake_stop(&engine);
	CU_ASSERT(memcmp(engine.last_erase.entity_id, id, 16) == 0);
	CU_ASSERT_EQUAL(engine.last_erase.incarnation, 77);
}

static void not_erased(void)
{
	struct fake_engine refusing = {.erased = {.status = PE_ACK_REFUSED,
					       .code = PE_CODE_UNAUTHORIZED,
					       .reason = PE_REASON_owner}};
	struct fake_engine accepting = {.erased = {.status = PE_ACK_ACCEPTED}};
	struct fake_engine silent = {.silent = true};
	struct presence_client *client = fake_client(&refusing);
	struct presence_refusal refusal;
	struct presence_erased e;

	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(presence_erase(client, NULL, id, 0, &e, &refusal), PRESENCE_REFUSED);
	CU_ASSERT(refusal.code == PE_CODE_UNAUTHORIZED && refusal.reason == PE_REASON_owner);
	CU_ASSERT(e.status == PRESENCE_NOT_TAKEN && e.where == 0 && !e.repeated);
	presence_close(client);
	fake_stop(&refusing);
	client = fake_client(&accepting);
	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(presence_erase(client, NULL, id, 0, &e, NULL), PRESENCE_OK);
	CU_ASSERT(e.status == PRESENCE_ACCEPTED && e.where == 0);
	presence_close(client);
	fake_stop(&accepting);
	client = fake_client(&silent);
	CU_ASSERT_PTR_NOT_NULL_FATAL(client);
	CU_ASSERT_EQUAL(presence_erase(client, NULL, id, 0, &e, &refusal), PRESENCE_TIMED_OUT);
	presence_close(client);
	fake_stop(&silent);
	CU_ASSERT_EQUAL(silent.packets, 3);
}

static void names(void)
{
	for (unsigned bit = 0; bit < 32; bit++)
		CU_ASSERT_EQUAL(strcmp(presence_erased_name(1u << bit), "?") != 0, bit < 7);
	CU_ASSERT_STRING_EQUAL(presence_erased_name(0), "?");
	CU_ASSERT_STRING_EQUAL(presence_erased_name(3), "?");
	CU_ASSERT_STRING_EQUAL(presence_erased_name(PRESENCE_ERASED_FENCES), "fences");
}

TESTING_MAIN("client-erase", {"erased", erased}, {"not erased", not_erased}, {"names", names})
