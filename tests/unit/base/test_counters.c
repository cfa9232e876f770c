#include "base/counters.h"
#include "testing.h"

#include <string.h>

static void names_are_unique(void)
{
	for (unsigned a = 0; a < PE_COUNTER_COUNT; a++) {
		CU_ASSERT(strlen(pe_counter_name(a)) > 0);
		for (unsigned b = a + 1; b < PE_COUNTER_COUNT; b++)
			if (strcmp(pe_counter_name(a), pe_counter_name(b)) == 0)
				CU_FAIL(pe_counter_name(a));
	}
	CU_ASSERT_STRING_EQUAL(
		pe_counter_name(PE_COUNTER_REASON(PE_REASON_stale)), "refused_stale");
	CU_ASSERT_STRING_EQUAL(
		pe_counter_name(PE_COUNTER_REASON(PE_REASON_ring_full)), "dropped_ring_full");
}

// Every reason stands on one side of exactly one identity.
static void each_reason_is_in_one_identity(void)
{
	for (unsigned r = 1; r < PE_REASON_COUNT; r++) {
		uint64_t v[PE_COUNTER_COUNT] = {0};
		struct pe_identity i;
		int64_t expected[4] = {0};

		v[PE_COUNTER_REASON(r)] = 1;
		i = pe_identity_check(v);
		expected[pe_reason_info[r].scope] = -1;
		CU_ASSERT_EQUAL(i.packets_difference, expected[PE_SCOPE_PACKET]);
		CU_ASSERT_EQUAL(i.records_difference, expected[PE_SCOPE_RECORD]);
		CU_ASSERT_EQUAL(i.queries_difference, expected[PE_SCOPE_QUERY]);
		CU_ASSERT_EQUAL(i.subscribes_difference, expected[PE_SCOPE_SUBSCRIBE]);
	}
}

static void a_miscount_shows(void)
{
	uint64_t v[PE_COUNTER_COUNT] = {0};

	v[PE_COUNTER_rx_packets] = 3;
	v[PE_COUNTER_carried_update] = 2;
	v[PE_COUNTER_REASON(PE_REASON_length)] = 1;
	v[PE_COUNTER_records_carried] = 5;
	v[PE_COUNTER_records_applied] = 3;
	v[PE_COUNTER_records_coalesced] = 1;
	v[PE_COUNTER_REASON(PE_REASON_ring_full)] = 1;
	CU_ASSERT_EQUAL(pe_identity_check(v).packets_difference, 0);
	CU_ASSERT_EQUAL(pe_identity_check(v).records_difference, 0);
	v[PE_COUNTER_REASON(PE_REASON_ring_full)] = 0;
	CU_ASSERT_EQUAL(pe_identity_check(v).records_difference, 1);
}

TESTING_MAIN("base/counters", {"names are unique", names_are_unique},
	{"each reason is in one identity", each_reason_is_in_one_identity},
	{"a miscount shows", a_miscount_shows})
