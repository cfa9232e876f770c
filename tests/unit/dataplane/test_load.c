// The state of load, with the clock and the turns given: up and down by steps, neither by a burst
// nor to and fro at a bound.
#include "dataplane/load.h"
#include "tests/testing.h"

#include <stdbool.h>

static const struct pe_load_rules rules = {
	.coarser_percent = 50, .shedding_percent = 80, .factor = 4};
static struct pe_load load;
static uint64_t now_ms;

static void begin(void)
{
	load = (struct pe_load){0};
	now_ms = 1000;
}

// Milliseconds of two turns each, of which so many percent are full. How often the step changed.
static unsigned run(const struct pe_load_rules *r, unsigned ms, unsigned percent)
{
	unsigned changes = 0;
	static unsigned share;

	for (unsigned i = 0; i < 2 * ms; i++) {
		share += percent;
		changes += pe_load_turn(&load, r, now_ms, share >= 100);
		share %= 100;
		now_ms += i & 1;
	}
	return changes;
}

static void test_up_and_down(void)
{
	begin();
	CU_ASSERT_EQUAL(run(&rules, 10000, 49), 0);
	CU_ASSERT_EQUAL(run(&rules, 10000, 60), 1);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_COARSER);
	// A step each 100 ms, and no further than the last. What a window was is known when it has
	// ended.
	CU_ASSERT_EQUAL(run(&rules, PE_LOAD_WINDOW_MS, 95), 0);
	for (enum pe_load_step s = PE_LOAD_SHED_LOW; s <= PE_LOAD_SHED_NEW; s++) {
		CU_ASSERT_EQUAL(run(&rules, 2 * PE_LOAD_WINDOW_MS, 95), 1);
		CU_ASSERT_EQUAL(load.step, s);
	}
	CU_ASSERT_EQUAL(run(&rules, 5000, 100), 0);
	// Down below half of the bound: 40 of shedding, then 25 of coarser.
	CU_ASSERT_EQUAL(run(&rules, 5000, 45), 0);
	CU_ASSERT_EQUAL(run(&rules, 5000, 35), 4);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_COARSER);
	CU_ASSERT_EQUAL(run(&rules, 5000, 26), 0);
	CU_ASSERT_EQUAL(run(&rules, 5000, 20), 1);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_NORMAL);
}

static void test_back_within_a_second(void)
{
	begin();
	CU_ASSERT_EQUAL(run(&rules, 700, 100), PE_LOAD_SHED_NEW);
	// From the highest step on, and from the middle of a window.
	CU_ASSERT_EQUAL(run(&rules, 25, 100), 0);
	CU_ASSERT_EQUAL(run(&rules, 900, 5), PE_LOAD_SHED_NEW);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_NORMAL);
}

// One full window moves nothing, however often it comes; nor does a quiet one.
static void test_bursts(void)
{
	begin();
	for (unsigned i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(run(&rules, PE_LOAD_WINDOW_MS, 100), 0);
		CU_ASSERT_EQUAL(run(&rules, 2 * PE_LOAD_WINDOW_MS, 10), 0);
	}
	CU_ASSERT_EQUAL(run(&rules, 500, 60), 1);
	for (unsigned i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(run(&rules, (PE_LOAD_DOWN_WINDOWS - 1) * PE_LOAD_WINDOW_MS, 0), 0);
		CU_ASSERT_EQUAL(run(&rules, 2 * PE_LOAD_WINDOW_MS, 60), 0);
	}
}

// At a bound that the load swings about there is one step, not many.
static void test_hysteresis(void)
{
	unsigned changes = 0;

	begin();
	for (unsigned i = 0; i < 200; i++)
		changes += run(&rules, 300, i & 1 ? 52 : 48);
	CU_ASSERT_EQUAL(changes, 1);
}

static void test_parts(void)
{
	struct pe_load_rules coarser = {.coarser_percent = 30, .factor = 2},
			     shedding = {.shedding_percent = 90, .factor = 2}, none = {0};

	begin();
	CU_ASSERT_EQUAL(run(&coarser, 5000, 100), 1);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_COARSER);
	CU_ASSERT_EQUAL(run(&coarser, 5000, 0), 1);
	begin();
	CU_ASSERT_EQUAL(run(&shedding, 5000, 100), 4);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_SHED_NEW);
	CU_ASSERT_EQUAL(run(&shedding, 5000, 0), 4);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_NORMAL);
	begin();
	CU_ASSERT_EQUAL(run(&none, 5000, 100), 0);
	CU_ASSERT_FALSE(pe_load_wanted(&none));
}

// Who slept was idle; whose turn was long was not.
static void test_gaps(void)
{
	begin();
	(void)run(&rules, 700, 100);
	CU_ASSERT_EQUAL(load.step, PE_LOAD_SHED_NEW);
	for (unsigned i = 0; i < 50; i++) { // each turn takes 300 ms
		CU_ASSERT_FALSE(pe_load_turn(&load, &rules, now_ms, true));
		now_ms += 300;
	}
	CU_ASSERT_FALSE(pe_load_turn(&load, &rules, now_ms, false));
	now_ms += 3600000; // an hour's sleep
	CU_ASSERT(pe_load_turn(&load, &rules, now_ms, false));
	CU_ASSERT_EQUAL(load.step, PE_LOAD_NORMAL);
	// A clock that steps back begins a window.
	CU_ASSERT_FALSE(pe_load_turn(&load, &rules, now_ms - 5000, true));
	CU_ASSERT_EQUAL(load.window_ms, now_ms - 5000);
}

// By random turns: it moves by one step at a time while turns come, and stays within its steps.
static void test_random(void)
{
	uint64_t seed = 0x10AD;
	unsigned seen = 0;

	begin();
	for (uint64_t n = 0; n < testing_amount(300000); n++) {
		uint64_t r = testing_random(&seed);
		enum pe_load_step before = load.step;
		unsigned percent = (unsigned)(n / 3000 % 11 * 10);
		bool changed = pe_load_turn(&load, &rules, now_ms, r % 100 < percent);

		CU_ASSERT(load.step <= PE_LOAD_SHED_NEW);
		CU_ASSERT_EQUAL(changed, before != load.step);
		CU_ASSERT(load.step + 1 >= before && load.step <= before + 1);
		seen |= 1u << load.step;
		now_ms += r >> 32 & 1;
	}
	CU_ASSERT_EQUAL(seen, 63);
}

static void test_meaning(void)
{
	CU_ASSERT_EQUAL(pe_load_sheds(PE_LOAD_NORMAL), 0);
	CU_ASSERT_EQUAL(pe_load_sheds(PE_LOAD_COARSER), 0);
	CU_ASSERT_EQUAL(pe_load_sheds(PE_LOAD_SHED_LOW), 1);
	CU_ASSERT_EQUAL(pe_load_sheds(PE_LOAD_SHED_HIGH), 3);
	CU_ASSERT_EQUAL(pe_load_sheds(PE_LOAD_SHED_NEW), 3);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"up and down", test_up_and_down},
		{"back within a second", test_back_within_a_second},
		{"bursts", test_bursts},
		{"hysteresis", test_hysteresis},
		{"one state without the other", test_parts},
		{"gaps", test_gaps},
		{"random turns", test_random},
		{"what a step means", test_meaning},
	};

	return testing_main("dataplane-load", cases, sizeof cases / sizeof cases[0]);
}
