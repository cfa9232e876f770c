// What tests of audiences share: an engine with policies, principals whose roles and lists are
// known, and who sees what.
#pragma once

#include "detailed.h"
#include "policy/principals.h"
#include "testing.h"
#include "watching.h"

#define PLANE 0u
#define EARTH 1u
#define ALICE 1u
#define BOB   2u
#define CLERK 3u // an administrator of the plane
#define GUARD 4u // … of a part of it

static struct harness h;

static inline struct pe_engine_config config(const struct pe_policy *policies, unsigned count)
{
	struct pe_engine_config c = harness_config();

	c.views = (struct pe_views_config){.policies = policies, .policy_count = count};
	c.fence_count_max = 64;
	c.member_count_max = 512;
	c.subscription_count_max = 8;
	c.details_bytes = 1 << 20;
	return c;
}

static inline void start(const struct pe_policy *policies, unsigned count)
{
	struct pe_engine_config c = config(policies, count);

	harness_failed = testing_failed;
	harness_start(&h, &c);
}

static inline void stop(void)
{
	harness_stop(&h);
}

// Alice and Bob may ask and subscribe everywhere. The clerk and the guard ask, too.
static inline void know(const struct pe_directory_listed *listed, size_t count)
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

static inline struct pe_wire_update update(
	uint64_t n, uint32_t sequence, double x, double y, uint16_t attributes)
{
	struct pe_wire_update u = harness_update(n, sequence, x, y, 0);

	u.attributes |= attributes;
	return u;
}

static inline struct pe_wire_ack_record put(
	unsigned space, uint64_t n, uint32_t sequence, double x, double y, uint16_t attributes)
{
	struct pe_wire_update u = update(n, sequence, x, y, attributes);

	return harness_send(&h, space, HARNESS_INCARNATION, &u);
}

// With a context of these tags.
static inline struct pe_wire_ack_record put_tags(
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

static inline unsigned seen_in(unsigned space, uint32_t principal, uint64_t n)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e5);
	unsigned seen;

	h.principal = principal;
	seen = harness_sees(&h, 0, space, n, &q, NULL);
	h.principal = 0;
	return seen;
}

static inline unsigned seen_by(uint32_t principal, uint64_t n)
{
	return seen_in(PLANE, principal, n);
}

static inline void run(struct watching *s, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		harness_turn(&h);
		watching_take(s);
		harness_control(&h);
	}
}
