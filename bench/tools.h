// What every benchmark program needs beside its subject: the clock, sleep, a core to stand on, and
// numbers in order. No state; any thread.
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

static inline double tool_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void tool_sleep_s(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) != 0)
		;
}

// The calling thread to a core; −1 leaves it. False: not allowed.
static inline bool tool_pin(int core)
{
	cpu_set_t set;

	if (core < 0)
		return true;
	CPU_ZERO(&set);
	CPU_SET((unsigned)core, &set);
	return sched_setaffinity(0, sizeof set, &set) == 0;
}

static inline int tool_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static inline void tool_sort(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, tool_compare);
}
