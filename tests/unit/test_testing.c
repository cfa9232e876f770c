// testing.h itself: a case that fails throughout a long loop comes to its end, is told with its
// first failures only, and takes nothing from the case behind it.
#include "testing.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char told[65536];
static int outcome;

static void throughout(void)
{
	for (unsigned i = 0; i < 500000; i++)
		CU_ASSERT_EQUAL(i, i + 1);
}

static void once(void)
{
	CU_ASSERT_TRUE(0 == 1);
}

static void never(void)
{
	CU_ASSERT_TRUE(1 == 1);
}

// The failing program, in a process of its own that has 20 s of the processor.
static void run_failing(void)
{
	static const struct testing_case cases[] = {
		{"throughout", throughout}, {"once", once}, {"never", never}};
	FILE *file = tmpfile();
	pid_t child;

	if (!file)
		abort();
	fflush(stdout);
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		setrlimit(RLIMIT_CPU, &(struct rlimit){20, 20});
		dup2(fileno(file), STDOUT_FILENO);
		exit(testing_main("failing", cases, 3));
	}
	if (waitpid(child, &outcome, 0) != child)
		abort();
	rewind(file);
	told[fread(told, 1, sizeof told - 1, file)] = 0;
	fclose(file);
}

static unsigned times(const char *what)
{
	unsigned count = 0;

	for (const char *at = told; (at = strstr(at, what)); at++)
		count++;
	return count;
}

static void bounded(void)
{
	CU_ASSERT_TRUE(WIFEXITED(outcome) && WEXITSTATUS(outcome) == EXIT_FAILURE);
	CU_ASSERT_EQUAL(times("CU_ASSERT_EQUAL(i,i + 1)"), TESTING_FAILURES_MAX);
	CU_ASSERT_EQUAL(times("0 == 1"), 1);
	CU_ASSERT_EQUAL(times("FAILED"), 2);
	CU_ASSERT_EQUAL(times("passed"), 1);
}

int main(void)
{
	static const struct testing_case cases[] = {{"bounded", bounded}};

	run_failing();
	return testing_main("testing", cases, 1);
}
