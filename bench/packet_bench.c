// presence-packet-bench: packets in at the Ethernet header, records applied and answers out —
// through the production source, worker loop and control thread — at a given number of entities.
// Prints JSON on stdout. One kind of packets a process, since DPDK starts once; with --serve it
// sets up, prints {"ready": …} and then measures for as long as each line "window SECONDS" of its
// input says. (Its worker polls all the time: whoever does not want that between the windows stops
// the process by SIGSTOP.)
#include "dataplane/eal.h"
#include "sealer.h"
#include "setup.h"
#include "stamper.h"

#include <argp.h>
#include <rte_ethdev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOWS_MAX 64u
#define WARM_S      0.1

struct options {
	struct setup setup;
	unsigned records, windows, queries, hits;
	uint8_t seal; // enum pe_seal_level; 0 = none
	double seconds;
	bool serve;
};

static const struct argp_option option_list[] = {
	{"records", 'r', "N", 0, "update records a packet, 1 to 16 (1)", 0},
	{"queries", 'q', "SHARE", 0, "percent of the packets that are a query each (0)", 0},
	{"hits", 'h', "N", 0, "results of a query on average (20)", 0},
	{"seal", 'l', "LEVEL", 0, "sign or encrypt: update packets come sealed, in 64 sessions", 0},
	{"windows", 'w', "N", 0, "measured windows (5)", 0},
	{"window-ms", 'm', "MS", 0, "length of a window (1000)", 0},
	{"serve", 's', NULL, 0, "windows as the input asks for them", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	unsigned long value = argument && key != 'l' ? setup_number(argument, state) : 0;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->setup;
		return 0;
	case 'r':
		if (value < 1 || value > STAMPER_RECORDS_MAX)
			argp_error(state, "--records: 1 to %d", STAMPER_RECORDS_MAX);
		o->records = (unsigned)value;
		return 0;
	case 'q':
		if (value > 100)
			argp_error(state, "--queries: 0 to 100");
		o->queries = (unsigned)value;
		return 0;
	case 'l':
		o->seal = strcmp(argument, "sign") == 0  ? PE_SEAL_SIGN :
			strcmp(argument, "encrypt") == 0 ? PE_SEAL_ENCRYPT :
							   0;
		if (!o->seal)
			argp_error(state, "--seal: sign or encrypt");
		return 0;
	case 'h':
		o->hits = (unsigned)value;
		return 0;
	case 'w':
		if (value < 1 || value > WINDOWS_MAX)
			argp_error(state, "--windows: 1 to %u", WINDOWS_MAX);
		o->windows = (unsigned)value;
		return 0;
	case 'm':
		o->seconds = (double)value / 1000;
		return 0;
	case 's':
		o->serve = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct rates {
	// of the time without the source's own; the last is the share that this took of all
	double updates, queries, answers, tx_dropped, refused, rx_packets, coalesced, results,
		source_share;
};

static struct rates measure(struct pe_engine *engine, const struct stamper *source, double seconds)
{
	uint64_t ticks;
	uint64_t before[PE_COUNTER_COUNT], after[PE_COUNTER_COUNT];
	double from, length, source_share;
	struct rates r;

	tool_sleep_s(WARM_S);
	pe_engine_counters(engine, before);
	from = tool_seconds();
	ticks = atomic_load_explicit(&source->ticks, memory_order_relaxed);
	tool_sleep_s(seconds);
	pe_engine_counters(engine, after);
	ticks = atomic_load_explicit(&source->ticks, memory_order_relaxed) - ticks;
	length = tool_seconds() - from;
	source_share = (double)ticks / (double)rte_get_tsc_hz() / length;
	length *= 1 - source_share;
#define RATE(name) ((double)(after[PE_COUNTER_##name] - before[PE_COUNTER_##name]) / length)
	r = (struct rates){.updates = RATE(records_applied),
		.coalesced = RATE(records_coalesced),
		.queries = RATE(queries_answered),
		.answers = RATE(tx_packets),
		.tx_dropped = RATE(tx_dropped),
		.rx_packets = RATE(rx_packets),
		.results = RATE(query_results),
		.source_share = source_share};
#undef RATE
	for (unsigned i = 1; i < PE_REASON_COUNT; i++)
		r.refused += (double)(after[PE_COUNTER_REASON(i)] - before[PE_COUNTER_REASON(i)]) /
			length;
	return r;
}

static json_t *rates_json(const struct rates *r)
{
	return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "updates", r->updates,
		"coalesced", r->coalesced, "queries", r->queries, "answer_packets", r->answers,
		"rx_packets", r->rx_packets, "tx_dropped", r->tx_dropped, "refused", r->refused,
		"hits_a_query", r->queries > 0 ? r->results / r->queries : 0, "source_share",
		r->source_share);
}

static void serve(struct pe_engine *engine, const struct stamper *source)
{
	char line[128];
	double seconds;

	while (fgets(line, sizeof line, stdin)) {
		struct rates r;

		if (sscanf(line, "window %lf", &seconds) != 1 || !(seconds > 0 && seconds <= 600)) {
			tool_print(json_pack("{s:s}", "error", "not a window"), 0);
			continue;
		}
		r = measure(engine, source, seconds);
		tool_print(rates_json(&r), 0);
	}
}

static void run(struct pe_engine *engine, const struct stamper *source, const struct options *o,
	json_t *result)
{
	double rates[WINDOWS_MAX];
	struct rates r = {0};
	char name[64];

	for (unsigned i = 0; i < o->windows; i++) {
		r = measure(engine, source, o->seconds);
		rates[i] = o->queries == 100 ? r.queries : r.updates;
	}
	if (o->queries == 100)
		snprintf(name, sizeof name, "query_packet_%u", o->hits);
	else
		snprintf(name, sizeof name, "update_packet_%u%s", o->records,
			o->seal == PE_SEAL_SIGN            ? "_sign" :
				o->seal == PE_SEAL_ENCRYPT ? "_encrypt" :
							     "");
	json_object_set_new(result, name,
		tool_figure(rates, o->windows, o->queries == 100 ? "queries/s" : "records/s"));
	json_object_set_new(result, "last_window", rates_json(&r));
}

static json_t *configuration(const struct options *o, double source_ns[5])
{
	return json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:b,s:o}", "records_a_packet", o->records,
		"seal_level", o->seal, "query_percent", o->queries, "hits", o->hits, "entities",
		o->setup.entities, "workers", 1, "huge_pages", !o->setup.no_huge,
		"source_ns_a_packet", tool_figure(source_ns, 5, "ns/packet"));
}

int main(int argc, char **argv)
{
	struct options o = {
		.setup = SETUP_DEFAULT, .records = 1, .hits = 20, .windows = 5, .seconds = 1};
	static const struct argp_child children[] = {{.argp = &setup_argp}, {0}};
	static const struct argp argp = {.options = option_list,
		.children = children,
		.parser = parse_option,
		.doc = "Records applied and queries answered a second, from the Ethernet header on."};
	static struct pe_config config;
	static struct pe_workers workers;
	static struct stamper stamper;
	struct pe_error error;
	struct sealer *sealer;
	uint8_t mac[6];
	double source_ns[5];
	uint64_t v[PE_COUNTER_COUNT];
	uint32_t bytes;
	char device[64];

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	bytes = stamper_frame_bytes(o.records);
	if (o.queries && bytes < stamper_query_bytes())
		bytes = stamper_query_bytes();
	snprintf(device, sizeof device, "net_null0,size=%u,copy=0", bytes);
	setup_config(&o.setup, device, &config);
	if (o.seal && o.queries) // a query's frame is copied, and so not sealed
		setup_fail("--seal is for updates alone", NULL);
	sealer = o.seal ? sealer_create(&config, o.seal) : NULL;
	if (pe_eal_start(&config, &error) != PE_OK)
		setup_fail("EAL", &error);
	setup_open(&config, &workers, mac);
	stamper = (struct stamper){.records = o.records,
		.entity_count = o.setup.entities,
		.query_share = o.queries / 100.0,
		.hits = o.hits};
	memcpy(stamper.to_mac, mac, sizeof mac);
	if (sealer) {
		sealer_open(sealer, workers.trust);
		stamper.seal = sealer_seal;
		stamper.seal_context = sealer;
	}
	stamper_init(&stamper);
	if (!stamper_attach(&stamper, 0))
		setup_fail("no receive callback on this port", NULL);
	for (unsigned i = 0; i < 5; i++)
		source_ns[i] = stamper_own_cost_ns(&stamper, 0, 2000000 / o.records);
	if (pe_workers_start(&workers, &error) != PE_OK)
		setup_fail("workers", &error);
	setup_wait_filled(workers.engine, o.setup.entities);
	json_t *result = json_object();

	if (o.serve) {
		tool_print(json_pack("{s:o}", "ready", configuration(&o, source_ns)), 0);
		serve(workers.engine, &stamper);
	} else {
		run(workers.engine, &stamper, &o, result);
	}
	(void)pe_workers_drain(&workers, 500);
	pe_engine_counters(workers.engine, v);
	struct pe_identity identity = pe_identity_check(v);
	if (!o.serve) {
		json_object_set_new(result, "configuration", configuration(&o, source_ns));
		tool_print(result, JSON_INDENT(1));
	}
	if (identity.records_difference || identity.packets_difference ||
		identity.queries_difference) {
		fprintf(stderr, "presence-packet-bench: packets, records or queries were lost\n");
		_exit(EXIT_FAILURE);
	}
	// What follows would only give memory back.
	_exit(EXIT_SUCCESS);
}
