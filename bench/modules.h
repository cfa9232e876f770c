// presence-module-bench: each hot module by itself. One file a module registers its cases; what a
// case stands on is made on its first call, so that --benchmark_filter sets up only what it runs.
#pragma once

#include "bench_c.h"

#include <stdbool.h>

#define MODULE_ENTITIES     1000000u
#define MODULE_CASES(cases) bench_register(cases, sizeof(cases) / sizeof(cases)[0])

void module_codec(void);
void module_table(void);
void module_coalesce(void);
void module_grid(void);
void module_scan(void);
void module_pack(void);
void module_query(void);
void module_ring(void);
void module_encode(void);
void module_fence(void);
void module_filter(void);
void module_guard(void);

// An engine of core.h, fixed, with the crowd in it; made when it is first asked for. The thread is
// its worker from enter to leave: a thread can be one worker at a time.
struct core;
struct core *module_core(bool thresholds);
void module_core_enter(bool thresholds);
void module_core_leave(bool thresholds);

void module_fail(const char *what);
