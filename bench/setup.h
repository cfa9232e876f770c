// What the benchmarks over a DPDK port share: their options, presenced's own configuration for one
// worker, one port and one space with the crowd, and the start of all of it.
#pragma once

#include "dataplane/config.h"
#include "dataplane/trust.h"
#include "dataplane/worker.h"
#include "tools_json.h"

#include <argp.h>

struct setup {
	uint32_t entities;
	int core, control_core;
	bool no_huge;
};
#define SETUP_DEFAULT \
	{ \
		.entities = 1000000, .core = 1 \
	}

// --entities, --core, --control-core, --no-huge: a child of each program's parser, its input a
// struct setup.
extern const struct argp setup_argp;
// A number of at most 2^26, or the end of the program.
unsigned long setup_number(const char *argument, struct argp_state *state);

// The embedded default with one port for its only source and one space for all entities. Ends the
// program on failure.
void setup_config(const struct setup *setup, const char *device, struct pe_config *config);
// Engine and port, after EAL; the port's own address into `mac`. Ends the program on failure.
void setup_open(struct pe_config *config, struct pe_workers *workers, uint8_t mac[6]);
void setup_fail(const char *what, const struct pe_error *error);
// Waits for the crowd; says what the counters are when it does not come.
void setup_wait_filled(struct pe_engine *engine, uint32_t entities);
