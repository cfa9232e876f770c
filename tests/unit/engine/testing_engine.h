// What the tests of the façade share: a harness whose findings are failed assertions, and short
// words for its steps.
#pragma once

#include "harness.h"
#include "testing.h"

#include <string.h>

static struct harness h;

static inline void testing_harness_failed(const char *what, const char *file, int line)
{
	CU_assertImplementation(CU_FALSE, (unsigned)line, what, file, "", CU_FALSE);
}

static inline void start_with(const struct pe_engine_config *config)
{
	harness_failed = testing_harness_failed;
	harness_start(&h, config);
}

static inline void start(void)
{
	struct pe_engine_config config = harness_config();

	start_with(&config);
}

static inline void stop(void)
{
	harness_stop(&h);
}

// The whole plane, and a million metres about the middle of the earth's space.
#define PLANE 0u
#define EARTH 1u

static inline unsigned sees(uint64_t n, struct pe_wire_result *result)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

	return harness_sees(&h, 0, PLANE, n, &q, result);
}

static inline struct pe_wire_ack_record send(const struct pe_wire_update *update)
{
	return harness_send(&h, PLANE, HARNESS_INCARNATION, update);
}

static inline struct pe_wire_ack_record withdraw(uint64_t n, uint32_t sequence)
{
	return harness_withdraw(&h, PLANE, HARNESS_INCARNATION, n, sequence);
}

#define ASSERT_STATUS(ack, expected) \
	do { \
		struct pe_wire_ack_record ack_ = (ack); \
		CU_ASSERT_EQUAL(ack_.status, expected); \
	} while (0)

#define ASSERT_REFUSED(ack, expected) \
	do { \
		struct pe_wire_ack_record ack_ = (ack); \
		CU_ASSERT_EQUAL(ack_.status, PE_ACK_REFUSED); \
		CU_ASSERT_EQUAL(ack_.reason, PE_REASON_##expected); \
		CU_ASSERT_EQUAL(ack_.code, pe_reason_info[PE_REASON_##expected].code); \
	} while (0)

// Is the entity there, alone, at this x?
#define ASSERT_AT(n, x) \
	do { \
		struct pe_wire_result r_ = {0}; \
		CU_ASSERT_EQUAL(sees(n, &r_), 1); \
		CU_ASSERT_EQUAL(r_.position[0], (double)(x)); \
	} while (0)
#define ASSERT_GONE(n) CU_ASSERT_EQUAL(sees(n, NULL), 0)
