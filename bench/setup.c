#include "setup.h"

#include "crowd.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define FILL_LIMIT_S 30

void setup_fail(const char *what, const struct pe_error *error)
{
	fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what, error ? ": " : "",
		error ? error->text : "");
	exit(EXIT_FAILURE);
}

double setup_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void setup_sleep_s(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&t, &t) != 0)
		;
}

void setup_print(json_t *object, size_t flags)
{
	json_dumpf(object, stdout, JSON_REAL_PRECISION(8) | JSON_PRESERVE_ORDER | flags);
	printf("\n");
	fflush(stdout);
	json_decref(object);
}

void setup_config(const struct setup *o, const char *device, struct pe_config *c)
{
	struct pe_error error;
	struct pe_source_config *s = &c->sources[0];

	if (pe_config_load(NULL, c, &error) != PE_OK)
		setup_fail("configuration", &error);
	c->worker_count = c->engine.worker_count = 1;
	c->core_count = 1;
	c->cores[0] = (unsigned)o->core;
	c->control_core = o->control_core;
	c->idle = PE_IDLE_SPIN;
	c->no_huge = o->no_huge;
	c->dpdk_mb = 128;
	c->telemetry = false;
	c->source_count = 1;
	*s = (struct pe_source_config){
		.kind = PE_SOURCE_ETHDEV, .port = PE_WIRE_PORT, .queues = 1, .mtu = 1500};
	s->descriptors = 512;
	snprintf(s->device, sizeof s->device, "%s", device);
	s->address_count = 1;
	if (!pe_prefix_parse("192.0.2.1/24", false, &s->addresses[0]) ||
		!pe_prefix_parse("192.0.2.0/24", true, &c->admitted[0]))
		setup_fail("addresses", NULL);
	c->admitted_count = 1;
	c->trusted[0] = c->admitted[0];
	c->trusted_count = 1;
	c->engine.entity_count_max = o->entities + 1024;
	c->engine.huge_pages = !o->no_huge;
	c->engine.space_count = 1;
	c->engine.spaces[0] =
		(struct pe_space_policy){.ttl_default_ms = 36000000, .ttl_max_ms = PE_TTL_MAX_MS};
	c->engine.spaces[0].space = (struct pe_space_config){.id = {1},
		.kind = PE_SPACE_CARTESIAN,
		.leaf_edge_m = CROWD_CELL_M,
		.leaf_height_m = 1024};
}

void setup_wait_filled(struct pe_engine *engine, uint32_t entities)
{
	double deadline = setup_seconds() + FILL_LIMIT_S;
	uint64_t v[PE_COUNTER_COUNT];

	while (pe_engine_entity_count(engine) < entities && setup_seconds() < deadline)
		setup_sleep_s(0.005);
	if (pe_engine_entity_count(engine) == entities)
		return;
	pe_engine_counters(engine, v);
	for (unsigned i = 0; i < PE_COUNTER_COUNT; i++)
		if (v[i])
			fprintf(stderr, "%s %llu\n", pe_counter_name(i), (unsigned long long)v[i]);
	setup_fail("the entities did not come to be in time", NULL);
}
