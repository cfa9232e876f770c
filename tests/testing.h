// What every CUnit program of this tree shares: one suite, its cases, and an exit code that tells
// failed assertions too (CU_get_error alone does not).
#pragma once

#include <CUnit/Basic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// CUnit walks its list of failed assertions for each further one, so that a long loop that fails
// throughout would be ended by its time limit, and nobody would read what failed. The first of
// each case are enough.
#define TESTING_FAILURES_MAX 100

static inline CU_BOOL testing_assert(CU_BOOL holds, unsigned line, const char *what,
	const char *file, const char *function, CU_BOOL fatal)
{
	static const struct CU_Test *test;
	static unsigned failed;

	if (holds || fatal)
		return CU_assertImplementation(holds, line, what, file, function, fatal);
	if (test != CU_get_current_test()) {
		test = CU_get_current_test();
		failed = 0;
	}
	if (failed++ >= TESTING_FAILURES_MAX)
		return CU_FALSE;
	return CU_assertImplementation(holds, line, what, file, function, fatal);
}

// Of all of CUnit's macros.
#define CU_assertImplementation testing_assert

// How much of `n` (operations, moves, milliseconds) this run should do: scripts/test --long sets
// PE_TEST_LONG for ten times of it, sanitizer builds set PE_TEST_SHORT for a tenth.
static inline uint64_t testing_amount(uint64_t n)
{
	if (getenv("PE_TEST_LONG"))
		return n * 10;
	if (getenv("PE_TEST_SHORT"))
		return n < 10 ? n : n / 10;
	return n;
}

// Pseudo-random numbers (splitmix64); the state is the caller's, and begins with its seed.
static inline uint64_t testing_random(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

// For the hooks of what tests are built on (harness_failed and the like): a failed assertion of the
// running test.
static inline void testing_failed(const char *what, const char *file, int line)
{
	CU_assertImplementation(CU_FALSE, (unsigned)line, what, file, "", CU_FALSE);
}

// For a test that this machine cannot run: the reason reaches the report of scripts/test, and the
// test counts as skipped.
_Noreturn static inline void testing_skip(const char *reason)
{
	printf("SKIP: %s\n", reason);
	fflush(stdout);
	exit(77);
}

struct testing_case {
	const char *name;
	void (*run)(void);
};

static inline int testing_main(
	const char *suite_name, const struct testing_case *cases, unsigned count)
{
	CU_pSuite suite;
	unsigned failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return CU_get_error();
	suite = CU_add_suite(suite_name, NULL, NULL);
	for (unsigned i = 0; suite && i < count; i++)
		if (!CU_add_test(suite, cases[i].name, cases[i].run)) {
			fprintf(stderr, "%s: cannot add %s\n", suite_name, cases[i].name);
			return EXIT_FAILURE;
		}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures() + CU_get_number_of_tests_failed();
	if (CU_get_number_of_tests_run() != count)
		failures++;
	CU_cleanup_registry();
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define TESTING_MAIN(suite, ...) \
	int main(void) \
	{ \
		static const struct testing_case cases[] = {__VA_ARGS__}; \
		return testing_main(suite, cases, sizeof cases / sizeof cases[0]); \
	}
