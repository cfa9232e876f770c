// Google Benchmark behind C. A case is a function that does its operation so many times; it is
// called in batches, so that the indirect call is paid once for many. Beside the time of an
// operation each case prints its cycles, as the time-stamp counter has them (a fixed rate, which
// may differ from the core's clock).
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Does it `count` times.
typedef void bench_function(void *context, uint64_t count);

struct bench_case {
	const char *name;
	bench_function *function;
	void *context;
	uint64_t batch; // operations a call
	// Before and after, and not counted; may be NULL.
	void (*set_up)(void *context);
	void (*tear_down)(void *context);
};
// What it points at outlives the run.
void bench_register(const struct bench_case *cases, unsigned count);
// Takes Google Benchmark's arguments; runs what is registered and fits --benchmark_filter. Exit
// code.
int bench_run(int argc, char **argv);

// The compiler must believe that somebody reads it.
static inline void bench_keep(const void *p)
{
	__asm__ volatile("" ::"r"(p) : "memory");
}

#ifdef __cplusplus
}
#endif
