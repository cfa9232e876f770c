// What the benchmarks over a DPDK port share: presenced's own configuration for one worker, one port and one space with the
// crowd, small numbers, and lines of JSON.
#pragma once

#include "dataplane/config.h"
#include "dataplane/worker.h"

#include <jansson.h>

struct setup {
	uint32_t entities;
	int core, control_core;
	bool no_huge;
};

// The embedded default with one port for its only source and one space for all entities. Ends the program on failure.
void setup_config(const struct setup *setup, const char *device, struct pe_config *config);
void setup_fail(const char *what, const struct pe_error *error);
double setup_seconds(void);
void setup_sleep_s(double seconds);
// Prints a line and drops the object.
void setup_print(json_t *object, size_t flags);
// Waits for the crowd; says what the counters are when it does not come.
void setup_wait_filled(struct pe_engine *engine, uint32_t entities);
