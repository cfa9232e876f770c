// Announced updates that do not come: entities go stale before they go, and confidence in their
// position decays.
#include "testing_details.h"

static unsigned state_of(uint64_t n)
{
	struct pe_wire_result r = {.state = 0xFF};

	(void)sees(n, &r);
	return r.state;
}

static void stale(void)
{
	struct pe_wire_update u = harness_update(1, 1, 1, 0, 0);
	struct pe_engine_config config = harness_config();
	struct pe_filter_writer w;

	config.details_bytes = 1 << 20;
	config.spaces[EARTH].stale_intervals = 10;
	start_with(&config);
	// Six a minute: 30 s are three intervals.
	u.update_frequency = 6;
	u.ttl_ms = 100000;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 29999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE | PE_RESULT_STALE);
	pe_filter_begin(&w);
	pe_filter_put(&w, PE_FILTER_STALE, 0, 0);
	CU_ASSERT_EQUAL(ask_filter(&w, 0), 1);
	pe_filter_put(&w, PE_FILTER_NOT, 0, 0);
	CU_ASSERT_EQUAL(ask_filter(&w, 0), 0);
	// An update without an acknowledgement, too, and one that goes another way.
	u.sequence = 2;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
	harness_advance(&h, 30000);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE | PE_RESULT_STALE);
	harness_advance(&h, 69999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE | PE_RESULT_STALE);
	harness_advance(&h, 1);
	ASSERT_GONE(1);
	// A new life, another rate; none at all; and a ttl that ends before three intervals.
	u.sequence = 3;
	u.update_frequency = 60;
	(void)send(&u);
	harness_settle(&h);
	harness_advance(&h, 2999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
	harness_advance(&h, 1);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE | PE_RESULT_STALE);
	u.sequence = 4;
	u.update_frequency = 0;
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
	harness_turn(&h);
	harness_advance(&h, 99999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
	u.sequence = 5;
	u.update_frequency = 1;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	harness_advance(&h, 99999);
	CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
	// How many may be missed is the space's.
	u = harness_update(2, 1, 1, 1, 0);
	u.update_frequency = 60;
	(void)harness_send(&h, EARTH, HARNESS_INCARNATION, &u);
	harness_advance(&h, 9999);
	for (unsigned late = 0; late < 2; late++) {
		struct pe_wire_query q = harness_sphere(1, 1, 0, 100);
		struct pe_wire_result r;

		CU_ASSERT_EQUAL(harness_sees(&h, 0, EARTH, 2, &q, &r), 1);
		CU_ASSERT_EQUAL(r.state, late ? PE_RESULT_STALE : 0);
		harness_advance(&h, 1);
	}
	stop();
}

// What a threshold holds back is an update all the same.
static void coalesced_is_not_stale(void)
{
	struct pe_engine_config config = harness_config();

	for (unsigned way = 0; way < 3; way++) {
		struct pe_wire_update u = harness_update(1, 1, 1, 0, 0);

		config.details_bytes = 1 << 20;
		config.spaces[PLANE].coalesce_distance_m = way == 0 ? 10 : 0;
		config.spaces[PLANE].coalesce_interval_ms = way == 1 ? 600000 : 0;
		config.spaces[PLANE].frequency_default = way == 2 ? 1 : 0;
		start_with(&config);
		u.update_frequency = 60;
		u.ttl_ms = 1000000;
		(void)send(&u);
		for (unsigned i = 2; i < 30; i++) {
			u.sequence = i;
			harness_advance(&h, 2000);
			(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, i % 2);
			harness_turn(&h);
			CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
		}
		CU_ASSERT(HARNESS_COUNTER(&h, records_coalesced) > 10);
		harness_advance(&h, 3000);
		CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE | PE_RESULT_STALE);
		// The first one without an announcement ends it at once, however it is taken.
		u.sequence = 40;
		u.update_frequency = 0;
		(void)send(&u);
		CU_ASSERT_EQUAL(state_of(1), PE_STATE_ACTIVE);
		stop();
	}
}

static unsigned confidence_of(uint64_t n)
{
	struct pe_wire_result r = {0};

	CU_ASSERT_EQUAL(sees(n, &r), 1);
	return r.position_confidence;
}

static void confidence_decays(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_filter_writer w;

	config.details_bytes = 1 << 20;
	for (unsigned configured = 0; configured < 2; configured++) {
		config.spaces[PLANE].decay_ms[PE_ENTITY_TEMPORARY] = configured ? 10000 : 0;
		start_with(&config);
		for (unsigned n = 1; n <= 5; n++) {
			struct pe_wire_update u = harness_update(n, 1, n, 0, 0);

			u.ttl_ms = 1000000;
			u.position_confidence = n == 5 ? 0 : 255;
			u.status_confidence = 255;
			// 1 announces and moves, 2 announces and does not, 3 says nothing, 4 is of
			// the type that is configured.
			u.update_frequency = n == 1 || n == 2 || n == 5 ? 6 : 0;
			u.entity_type = n == 2 ? PE_ENTITY_STATIC :
				n == 4         ? PE_ENTITY_TEMPORARY :
						 PE_ENTITY_MOBILE;
			ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
		}
		CU_ASSERT_EQUAL(confidence_of(1), 255);
		harness_advance(&h, 30000);
		CU_ASSERT_EQUAL(confidence_of(1), 1 + 93); // 254 / e
		CU_ASSERT_EQUAL(confidence_of(2), 255);
		CU_ASSERT_EQUAL(confidence_of(3), 255);
		CU_ASSERT_EQUAL(confidence_of(4), configured ? 1 + 13 : 255); // 254 / e³
		CU_ASSERT_EQUAL(confidence_of(5), 0);
		pe_filter_begin(&w);
		pe_filter_put(&w, PE_FILTER_POSITION_CONFIDENCE, PE_FILTER_GREATER_EQUAL, 95);
		CU_ASSERT_EQUAL(ask_filter(&w, 0), configured ? 2 : 3);
		harness_advance(&h, 600000);
		CU_ASSERT_EQUAL(confidence_of(1), 1); // 0.0, not "not stated"
		stop();
	}
}

TESTING_MAIN("engine: announced", {"stale", stale},
	{"coalesced is not stale", coalesced_is_not_stale},
	{"confidence decays", confidence_decays})
