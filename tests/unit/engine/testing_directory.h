// What tests of authorization share: directories in a line or two, and who speaks.
#pragma once

#include "policy/principals.h"
#include "testing_engine.h"

// Principals of the tests.
#define ANN   1u
#define BOB   2u
#define CLERK 3u // an administrator
#define OTHER 9u // known, and granted nothing

#define EVERYWHERE \
	{ \
		0 \
	}
#define ALL_ROLES (PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE)

static inline void know(const struct pe_directory_grant *grants, size_t grant_count,
	const struct pe_directory_owned *owned, size_t owned_count)
{
	struct pe_principals *directory;
	struct pe_error error;
	enum pe_status status =
		pe_principals_create(grants, grant_count, owned, owned_count, &directory, &error);

	if (status != PE_OK)
		CU_FAIL_FATAL(error.text);
	status = pe_engine_principals(h.engine, directory);
	// The one before the last has still to go.
	for (unsigned i = 0; status == PE_BUSY && i < 100; i++) {
		harness_settle(&h);
		status = pe_engine_principals(h.engine, directory);
	}
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
}

// Ann and Bob may do everything in both spaces, the clerk is an administrator of both; the id of
// entity 1 is Ann's and that of 2 Bob's.
static inline void know_everyone(void)
{
	const struct pe_directory_grant grants[] = {
		{ANN, ALL_ROLES, PE_DIRECTORY_EVERY_SPACE, EVERYWHERE},
		{BOB, ALL_ROLES, PE_DIRECTORY_EVERY_SPACE, EVERYWHERE},
		{CLERK, PE_ROLE_ADMIN | PE_ROLE_QUERY, PE_DIRECTORY_EVERY_SPACE, EVERYWHERE},
	};
	struct pe_directory_owned owned[] = {
		{.bits = 128, .principal = ANN}, {.bits = 128, .principal = BOB}};

	harness_id(owned[0].prefix, 1);
	harness_id(owned[1].prefix, 2);
	know(grants, 3, owned, 2);
}

static inline void as(uint32_t principal)
{
	h.principal = principal;
}

static inline struct pe_engine_config guarded(enum pe_authorization rule)
{
	struct pe_engine_config config = harness_config();

	config.spaces[PLANE].authorization = config.spaces[EARTH].authorization = (uint8_t)rule;
	return config;
}

static inline struct pe_wire_ack_record say(uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	return send(&u);
}

static inline enum pe_reason asked(const struct pe_wire_query *q, unsigned space)
{
	static struct harness_answer a;

	harness_ask(&h, 0, space, q, &a);
	CU_ASSERT(a.whole);
	CU_ASSERT_EQUAL(a.code, pe_reason_info[a.reason].code);
	return a.reason;
}
