#include "setup.h"

#include "crowd.h"

#include <errno.h>
#include <rte_ethdev.h>
#include <string.h>

#define FILL_LIMIT_S 30

static const struct argp_option option_list[] = {
	{"entities", 'e', "N", 0, "entities (1000000)", 0},
	{"core", 'c', "N", 0, "the worker's core (1)", 0},
	{"control-core", 'k', "N", 0, "the core of the control thread, and of who asks (0)", 0},
	{"no-huge", 'n', NULL, 0, "ordinary pages", 0},
	{0},
};

unsigned long setup_number(const char *argument, struct argp_state *state)
{
	char *end = NULL;
	unsigned long value = strtoul(argument, &end, 10);

	if (*end || end == argument || value > 1u << 26)
		argp_error(state, "\"%s\" is not a number in range", argument);
	return value;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct setup *s = state->input;

	switch (key) {
	case 'e':
		s->entities = (uint32_t)setup_number(argument, state);
		if (s->entities < 64)
			argp_error(state, "--entities: at least 64");
		return 0;
	case 'c':
		s->core = (int)setup_number(argument, state);
		return 0;
	case 'k':
		s->control_core = (int)setup_number(argument, state);
		return 0;
	case 'n':
		s->no_huge = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp setup_argp = {.options = option_list, .parser = parse_option};

void setup_fail(const char *what, const struct pe_error *error)
{
	fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, what, error ? ": " : "",
		error ? error->text : "");
	exit(EXIT_FAILURE);
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

void setup_open(struct pe_config *config, struct pe_workers *workers, uint8_t mac[6])
{
	struct rte_ether_addr address;
	struct pe_error error;

	workers->config = config;
	workers->source_count = 1;
	if (pe_trust_load(config, &workers->trust, &error) != PE_OK)
		setup_fail("keyring", &error);
	if (pe_engine_create(&config->engine, &workers->engine, &error) != PE_OK)
		setup_fail("engine", &error);
	if (pe_trust_open(workers->trust, workers->engine, &error) != PE_OK)
		setup_fail("keyring", &error);
	if (pe_ethdev_open(config, 0, &workers->sources[0], &error) != PE_OK)
		setup_fail("port", &error);
	if (rte_eth_macaddr_get(0, &address) != 0)
		setup_fail("the port has no address", NULL);
	memcpy(mac, &address, sizeof address);
}

void setup_wait_filled(struct pe_engine *engine, uint32_t entities)
{
	double deadline = tool_seconds() + FILL_LIMIT_S;
	uint64_t v[PE_COUNTER_COUNT];

	while (pe_engine_entity_count(engine) < entities && tool_seconds() < deadline)
		tool_sleep_s(0.005);
	if (pe_engine_entity_count(engine) == entities)
		return;
	pe_engine_counters(engine, v);
	for (unsigned i = 0; i < PE_COUNTER_COUNT; i++)
		if (v[i])
			fprintf(stderr, "%s %llu\n", pe_counter_name(i), (unsigned long long)v[i]);
	setup_fail("the entities did not come to be in time", NULL);
}
