// presence-load: an open-loop load generator. What is due is sent when it is due, whatever the
// engine answers, and a query's latency counts from the moment it was meant to leave. Only the
// window holds updates back, so that a slow receiver is shown as a lower rate and not as datagrams
// that the kernel drops.
#include "client/tools/arguments.h"
#include "client/tools/load.h"

#include <argp.h>
#include <stdio.h>
#include <sysexits.h>

const char *argp_program_version = "presence-load " PE_VERSION;

enum {
	KEY_WALKERS = 256,
	KEY_VEHICLES,
	KEY_CROWDS,
	KEY_REPLAY,
	KEY_LAPSE,
	KEY_RATE,
	KEY_BATCH,
	KEY_QUERIES,
	KEY_RADIUS,
	KEY_GEO_RADIUS,
	KEY_AREA,
	KEY_ACK,
	KEY_WINDOW,
	KEY_FOR,
	KEY_VIEW,
	KEY_GEO_SPACE,
	KEY_SEED,
	KEY_TIMEOUT,
	KEY_DEVICE
};

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "The engine:", 1},
	{"host", 'H', "HOST", 0, "name or address (127.0.0.1)", 0},
	{"port", 'p', "PORT", 0, "UDP port (10202)", 0},
	{"uri", 'u', "URI", 0,
		"instead of both: udp://host:port, or shm://PATH for memory shared with an engine here",
		0},
	ARGUMENT_SESSION_OPTIONS,
	{"space", 's', "UUID", 0,
		"CARTESIAN space of the crowds (the built-in configuration's \"local\")", 0},
	{"geo-space", KEY_GEO_SPACE, "UUID", 0, "GEODETIC space of the recording (its \"world\")",
		0},
	{"device", KEY_DEVICE, "ADDRESS@DEVICE", 0,
		"a DPDK port of its own instead of the socket: own IPv4 address, and a vdev or PCI device",
		0},
	{NULL, 0, NULL, 0, "What moves:", 2},
	{"walkers", KEY_WALKERS, "N", 0, "people on foot", 0},
	{"vehicles", KEY_VEHICLES, "N", 0, "vehicles with headings", 0},
	{"crowds", KEY_CROWDS, "N", 0, "people around hot spots", 0},
	{"area", KEY_AREA, "M", 0, "side of their square (10000)", 0},
	{"replay", KEY_REPLAY, "FILE", 0, "a recording, looped, stamped with the present", 0},
	{"lapse", KEY_LAPSE, "FACTOR", 0,
		"how much faster than recorded; speeds are scaled with it (1)", 0},
	{"seed", KEY_SEED, "N", 0, "of all that is random", 0},
	{NULL, 0, NULL, 0, "How fast:", 3},
	{"rate", KEY_RATE, "N", 0, "updates a second, without the recording's (10000)", 0},
	{"batch", KEY_BATCH, "N", 0, "updates a packet, 1-16 (16)", 0},
	{"queries", KEY_QUERIES, "N", 0, "queries a second (0)", 0},
	{"radius", KEY_RADIUS, "M", 0, "of queries about crowds (50)", 0},
	{"geo-radius", KEY_GEO_RADIUS, "M", 0, "of queries about ships (5000)", 0},
	{"query-timeout", KEY_TIMEOUT, "TIME", 0,
		"a query without an answer is lost after this (1s)", 0},
	{"ack", KEY_ACK, "SHARE", 0,
		"share of update packets that ask for acknowledgements, 0-1 (0.0625)", 0},
	{"window", KEY_WINDOW, "N", 0,
		"update packets in flight at most, by acknowledgements; 0 = no bound (64)", 0},
	{"for", KEY_FOR, "TIME", 0, "end after 20s, 500ms, 2m (until a signal)", 0},
	{NULL, 0, NULL, 0, "What is shown:", 4},
	{"json", 'j', NULL, 0, "one JSON object on stdout at the end", 0},
	{"view", KEY_VIEW, NULL, 0, "live view on the terminal", 0},
	{"quiet", 'q', NULL, 0, "no progress on stderr", 0},
	{0},
};

static bool read_counts(struct load_config *c, int key, const char *text)
{
	uint64_t n;

	if (!argument_u64(text, LOAD_ENTITIES_MAX, &n))
		return false;
	c->counts[key == KEY_WALKERS        ? LOAD_WALKERS :
			key == KEY_VEHICLES ? LOAD_VEHICLES :
					      LOAD_CROWDS] = (uint32_t)n;
	return true;
}

static bool read_number(struct load_config *c, int key, const char *text)
{
	double d = 0;

	if (!argument_double(text, &d) || d < 0)
		return false;
	switch (key) {
	case KEY_LAPSE:
		c->lapse = d;
		return d >= 0.01 && d <= 10000;
	case KEY_RATE:
		c->rate = d;
		return d <= 1e8;
	case KEY_QUERIES:
		c->query_rate = d;
		return d <= 1e7;
	case KEY_RADIUS:
		c->radius_m = d;
		return true;
	case KEY_GEO_RADIUS:
		c->geo_radius_m = d;
		return true;
	case KEY_AREA:
		c->half_side_m = d / 2;
		return d >= 1 && d <= 1e7;
	case KEY_ACK:
		c->ack_share = d;
		return d <= 1;
	}
	return false;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct load_config *c = state->input;
	uint64_t n = 0;
	bool good = true;

	switch (key) {
	case 'H':
		c->engine.host = text;
		break;
	case 'u':
		c->engine.uri = text;
		break;
	case 'p':
		good = argument_u64(text, 65535, &n) && n;
		c->engine.port = (uint16_t)n;
		break;
	case ARGUMENT_KEY:
	case ARGUMENT_ENGINE_KEY:
	case ARGUMENT_PSK:
	case ARGUMENT_LEVEL:
		good = argument_session(key, text, &c->session, &c->engine);
		break;
	case 's':
		good = presence_id_parse(text, c->space);
		break;
	case KEY_GEO_SPACE:
		good = presence_id_parse(text, c->geo_space);
		break;
	case KEY_WALKERS:
	case KEY_VEHICLES:
	case KEY_CROWDS:
		good = read_counts(c, key, text);
		break;
	case KEY_LAPSE:
	case KEY_RATE:
	case KEY_QUERIES:
	case KEY_RADIUS:
	case KEY_GEO_RADIUS:
	case KEY_AREA:
	case KEY_ACK:
		good = read_number(c, key, text);
		break;
	case KEY_REPLAY:
		c->replay = text;
		break;
	case KEY_SEED:
		good = argument_u64(text, UINT64_MAX, &c->seed);
		break;
	case KEY_BATCH:
		good = argument_u64(text, PRESENCE_BATCH_MAX, &n) && n;
		c->batch = (unsigned)n;
		break;
	case KEY_WINDOW:
		good = argument_u64(text, LOAD_PROBES_MAX, &n);
		c->window = (unsigned)n;
		break;
	case KEY_TIMEOUT:
		good = argument_duration_ms(text, &c->query_timeout_ms) && c->query_timeout_ms;
		break;
	case KEY_FOR:
		good = argument_duration_ms(text, &c->for_ms) && c->for_ms;
		break;
	case KEY_DEVICE:
		c->port_device = text;
		break;
	case KEY_VIEW:
		c->view = true;
		break;
	case 'j':
		c->json = true;
		break;
	case 'q':
		c->quiet = true;
		break;
	case ARGP_KEY_ARG:
		argp_usage(state);
		break;
	case ARGP_KEY_END:
		if (!c->counts[0] && !c->counts[1] && !c->counts[2] && !c->replay)
			argp_error(state,
				"nothing moves: name --walkers, --vehicles, --crowds or --replay");
		if (c->ack_share == 0 && c->window)
			argp_error(state,
				"a window needs acknowledgements: --ack above 0, or --window 0");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, options, key, text);
	return 0;
}

static void stop(int signal)
{
	load_stopped = 1;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {options, parse, NULL,
		"Drives a presence engine: moving entities and queries at a given rate, whatever it answers.\v"
		"At the end the engine's counters are compared with what was sent: accounting_difference is 0 when nothing "
		"was lost on the way and every record has exactly one outcome. Others that talk to the engine meanwhile "
		"show in it.\n\n"
		"Exit codes: 0 done, 64 usage, 65 no recording, 66 a file cannot be read, 68 unknown host, 69 no engine, no answer or no counters, "
		"71 system error, 74 the output cannot be written.",
		NULL, NULL, NULL};
	struct load_config config = {
		.lapse = 1,
		.rate = 10000,
		.radius_m = 50,
		.geo_radius_m = 5000,
		.half_side_m = 5000,
		.batch = PRESENCE_BATCH_MAX,
		.ack_share = 1.0 / 16,
		.window = 64,
		.query_timeout_ms = 1000,
		.seed = 1,
	};

	presence_id_parse("6c6f6361-6c00-4000-8000-000000000001", config.space);
	presence_id_parse("776f726c-6400-4000-8000-000000000001", config.geo_space);
	argp_err_exit_status = EX_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &config);
	if (!config.counts[0] && !config.counts[1] && !config.counts[2])
		config.rate = 0;
	sigaction(SIGINT, &(struct sigaction){.sa_handler = stop, .sa_flags = SA_RESETHAND}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop, .sa_flags = SA_RESETHAND}, NULL);
	return output_exit_code("presence-load", load_run(&config));
}
