// presence-packet-bench: packets in at the Ethernet header, records applied — through the production source, worker
// loop and control thread — at a given number of entities. Prints one JSON object on stdout. One scenario a run, since
// DPDK starts once a process; scripts/bench interleaves runs.
#include "dataplane/eal.h"
#include "dataplane/worker.h"
#include "stamper.h"

#include <argp.h>
#include <jansson.h>
#include <math.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct options {
	unsigned records, entities, windows, window_ms, memory_lines;
	int core, control_core;
	bool no_huge;
};

static const struct argp_option option_list[] = {
	{"records", 'r', "N", 0, "update records a packet, 1 to 16 (1)", 0},
	{"entities", 'e', "N", 0, "entities (1000000)", 0},
	{"windows", 'w', "N", 0, "measured windows (5)", 0},
	{"window-ms", 'm', "MS", 0, "length of a window (1000)", 0},
	{"core", 'c', "N", 0, "the worker's core (1)", 0},
	{"control-core", 'k', "N", 0, "the control thread's core (0)", 0},
	{"no-huge", 'n', NULL, 0, "ordinary pages", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	char *end = NULL;
	unsigned long value = argument ? strtoul(argument, &end, 10) : 0;

	if (argument && (*end || end == argument || value > 1u << 26))
		argp_error(state, "\"%s\" is not a number in range", argument);
	switch (key) {
	case 'r':
		if (value < 1 || value > STAMPER_RECORDS_MAX)
			argp_error(state, "--records: 1 to %d", STAMPER_RECORDS_MAX);
		o->records = (unsigned)value;
		return 0;
	case 'e':
		o->entities = (unsigned)value;
		return 0;
	case 'w':
		o->windows = (unsigned)value;
		return 0;
	case 'm':
		o->window_ms = (unsigned)value;
		return 0;
	case 'c':
		o->core = (int)value;
		return 0;
	case 'k':
		o->control_core = (int)value;
		return 0;
	case 'n':
		o->no_huge = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what, const struct pe_error *error)
{
	fprintf(stderr, "presence-packet-bench: %s%s%s\n", what, error ? ": " : "",
		error ? error->text : "");
	exit(EXIT_FAILURE);
}

// The embedded default with a null port for its only source and one space for all entities.
static void configure(const struct options *o, struct pe_config *c)
{
	struct pe_error error;
	struct pe_source_config *s = &c->sources[0];

	if (pe_config_load(NULL, c, &error) != PE_OK)
		fail("configuration", &error);
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
	snprintf(s->device, sizeof s->device, "net_null0,size=%u,copy=0",
		stamper_frame_bytes(o->records));
	s->address_count = 1;
	if (!pe_prefix_parse("192.0.2.1/24", false, &s->addresses[0]) ||
		!pe_prefix_parse("192.0.2.0/24", true, &c->admitted[0]))
		fail("addresses", NULL);
	c->admitted_count = 1;
	c->trusted[0] = c->admitted[0];
	c->trusted_count = 1;
	c->engine.entity_count_max = o->entities + 1024;
	c->engine.huge_pages = !o->no_huge;
	c->engine.space_count = 1;
	c->engine.spaces[0] =
		(struct pe_space_policy){.ttl_default_ms = 3600000, .ttl_max_ms = PE_TTL_MAX_MS};
	c->engine.spaces[0].space = (struct pe_space_config){
		.id = {1}, .kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 1024};
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static json_t *summary(double *values, unsigned count, const char *unit)
{
	qsort(values, count, sizeof *values, compare);
	return json_pack("{s:f,s:f,s:f,s:s}", "median", values[count / 2], "min", values[0], "max",
		values[count - 1], "unit", unit);
}

static uint64_t outcomes(const uint64_t v[PE_COUNTER_COUNT])
{
	return v[PE_COUNTER_records_applied];
}

static void sleep_ms(unsigned ms)
{
	struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) != 0)
		;
}

int main(int argc, char **argv)
{
	struct options o = {
		.records = 1, .entities = 1000000, .windows = 5, .window_ms = 1000, .core = 1};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.doc = "Records applied a second, from the Ethernet header on."};
	static struct pe_config config;
	static struct pe_workers workers;
	static struct stamper stamper;
	struct pe_error error;
	struct rte_ether_addr mac;
	double rates[64], source_ns[5], deadline;
	uint64_t v[PE_COUNTER_COUNT];

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.windows < 1 || o.windows > 64 || o.entities < 1)
		fail("windows: 1 to 64; entities: at least 1", NULL);
	configure(&o, &config);
	if (pe_eal_start(&config, &error) != PE_OK)
		fail("EAL", &error);
	workers.config = &config;
	workers.source_count = 1;
	if (pe_engine_create(&config.engine, &workers.engine, &error) != PE_OK)
		fail("engine", &error);
	if (pe_ethdev_open(&config, 0, &workers.sources[0], &error) != PE_OK)
		fail("port", &error);
	// 24 entities a cell of 64 m on average, as in a busy town.
	stamper = (struct stamper){.records = o.records,
		.entity_count = o.entities,
		.side_m = 64 * sqrt(o.entities / 24.0)};
	if (rte_eth_macaddr_get(0, &mac) != 0)
		fail("the port has no address", NULL);
	memcpy(stamper.to_mac, &mac, sizeof stamper.to_mac);
	stamper_init(&stamper);
	if (!stamper_attach(&stamper, 0))
		fail("no receive callback on this port", NULL);
	for (unsigned i = 0; i < 5; i++)
		source_ns[i] = stamper_own_cost_ns(&stamper, 0, 2000000 / o.records);
	if (pe_workers_start(&workers, &error) != PE_OK)
		fail("workers", &error);
	for (deadline = seconds() + 20;
		pe_engine_entity_count(workers.engine) < o.entities && seconds() < deadline;)
		sleep_ms(10);
	if (pe_engine_entity_count(workers.engine) != o.entities) {
		pe_engine_counters(workers.engine, v);
		for (unsigned i = 0; i < PE_COUNTER_COUNT; i++)
			if (v[i])
				fprintf(stderr, "%s %llu\n", pe_counter_name(i),
					(unsigned long long)v[i]);
		fail("the entities did not come to be within 20 s", NULL);
	}
	sleep_ms(o.window_ms);
	for (unsigned i = 0; i < o.windows; i++) {
		double from = seconds();
		uint64_t before;

		pe_engine_counters(workers.engine, v);
		before = outcomes(v);
		sleep_ms(o.window_ms);
		pe_engine_counters(workers.engine, v);
		rates[i] = (double)(outcomes(v) - before) / (seconds() - from);
	}
	(void)pe_workers_drain(&workers, 500);
	pe_engine_counters(workers.engine, v);
	struct pe_identity identity = pe_identity_check(v);
	json_t *result = json_object();
	char name[64];

	snprintf(name, sizeof name, "update_packet_%u", o.records);
	json_object_set_new(result, name, summary(rates, o.windows, "records/s"));
	snprintf(name, sizeof name, "source_packet_%u", o.records);
	json_object_set_new(result, name, summary(source_ns, 5, "ns/packet"));
	json_object_set_new(result, "configuration",
		json_pack("{s:i,s:i,s:i,s:b,s:I,s:I,s:I,s:I,s:f}", "records_a_packet", o.records,
			"entities", o.entities, "workers", 1, "huge_pages", !o.no_huge,
			"records_applied", (json_int_t)v[PE_COUNTER_records_applied],
			"records_coalesced", (json_int_t)v[PE_COUNTER_records_coalesced],
			"packets_difference", (json_int_t)identity.packets_difference,
			"records_difference", (json_int_t)identity.records_difference,
			"crossing_share",
			(double)v[PE_COUNTER_crossings] / (double)v[PE_COUNTER_records_applied]));
	json_dumpf(result, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(8) | JSON_PRESERVE_ORDER);
	printf("\n");
	fflush(stdout);
	// What follows would only give memory back.
	_exit(identity.records_difference || identity.packets_difference ? EXIT_FAILURE :
									   EXIT_SUCCESS);
}
