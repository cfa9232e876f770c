// presencectl: publish, withdraw, query and look at a presence engine by hand.
#include "client/tools/arguments.h"
#include "client/tools/presencectl.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

const char *argp_program_version = "presencectl " PE_VERSION;

void ctl_print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(object);
}

int ctl_failed(const struct ctl *ctl, const char *what, enum presence_result result,
	struct presence_refusal refusal)
{
	// The client knows whom it asked, and what mends it. Keys are made without one.
	const char *message = ctl->client ? presence_error(ctl->client) : "";

	if (!*message)
		message = presence_result_text(result);
	fprintf(stderr, "presencectl: %s: %s\n", what, message);
	if (ctl->json)
		ctl_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "error",
			presence_result_text(result), "what", what, "code",
			result == PRESENCE_REFUSED ? presence_code_name(refusal.code) : "",
			"reason",
			result == PRESENCE_REFUSED ? presence_reason_name(refusal.reason) : "",
			"message", message));
	return exit_code(result, refusal);
}

static const struct argp_option json_option[] = {
	{"json", 'j', NULL, 0, "print JSON", 0},
	{0},
};

static error_t parse_json(int key, char *text, struct argp_state *state)
{
	(void)text;
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	((struct ctl *)state->input)->json = true;
	return 0;
}

const struct argp ctl_json_argp = {json_option, parse_json, NULL, NULL, NULL, NULL, NULL};
const struct argp_child ctl_json_child[] = {
	{&ctl_json_argp, 0, NULL, 0},
	{0},
};

// A command without options of its own.
static error_t parse_none(int key, char *text, struct argp_state *state)
{
	(void)text;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = state->input;
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int ping(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {NULL, parse_none, NULL,
		"Asks whether the engine answers, and how soon; over shared memory also who it takes you for.",
		ctl_json_child, NULL, NULL};
	uint64_t us;
	enum presence_result result;
	uint8_t id[16];
	char text[37];

	argp_parse(&argp, argc, argv, 0, NULL, ctl);
	result = presence_ping(ctl->client, &us);
	if (result)
		return ctl_failed(ctl, "ping", result, (struct presence_refusal){0});
	*text = 0;
	if (presence_known_as(ctl->client, id))
		presence_id_print(id, text);
	if (ctl->json)
		ctl_print_json(json_pack("{s:I, s:s*}", "round_trip_us", (json_int_t)us, "known_as",
			*text ? text : NULL));
	else
		printf("answered after %llu us%s%s\n", (unsigned long long)us,
			*text ? ", by an engine that knows you as " : "", text);
	return EX_OK;
}

static const struct {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char **argv);
} commands[] = {{"ping", ping}, {"publish", ctl_publish}, {"withdraw", ctl_withdraw},
	{"query", ctl_query}, {"erase", ctl_erase}, {"explain", ctl_explain}, {"heat", ctl_heat},
	{"stats", ctl_stats}, {"watch", ctl_watch}};

struct common {
	struct ctl ctl;
	struct presence_options options;
	struct presence_session session;
	int command; // index in argv
};

enum { KEY_INCARNATION = 256 };

static const struct argp_option common_options[] = {
	{"host", 'H', "HOST", 0, "engine's name or address (127.0.0.1)", 0},
	{"port", 'p', "PORT", 0, "its UDP port (10202)", 0},
	{"uri", 'u', "URI", 0,
		"instead of both: udp://host:port, or shm://PATH for memory shared with an engine here",
		0},
	{"space", 's', "UUID", 0, "space (the engine's first)", 0},
	{"incarnation", KEY_INCARNATION, "SECONDS", 0,
		"our start time, by which what is published is ordered, Unix seconds (now): where our clock was set back, one above that which a refusal tells",
		0},
	{"json", 'j', NULL, 0, "print JSON; also behind the command", 0},
	{"pack", 'z', NULL, 0, "large answers may come packed", 0},
	{"timeout", 't', "TIME", 0, "wait for an answer before a retry (250ms)", 0},
	{"attempts", 'a', "N", 0, "sendings of one request (4)", 0},
	ARGUMENT_SESSION_OPTIONS,
	{0},
};

static error_t parse_common(int key, char *text, struct argp_state *state)
{
	struct common *c = state->input;
	uint64_t n = 0;
	bool good = true;

	switch (key) {
	case 'H':
		c->options.host = text;
		break;
	case 'u':
		c->options.uri = text;
		break;
	case 'p':
		good = argument_u64(text, 65535, &n) && n;
		c->options.port = (uint16_t)n;
		break;
	case 's':
		good = c->ctl.has_space = argument_id(text, c->ctl.space_id);
		break;
	case 'j':
		c->ctl.json = true;
		break;
	case 'z':
		c->options.pack = true;
		break;
	case KEY_INCARNATION:
		good = argument_u64(text, UINT32_MAX, &n) && n;
		c->options.incarnation = (uint32_t)n;
		break;
	case 't':
		good = argument_duration_ms(text, &c->options.timeout_ms) && c->options.timeout_ms;
		break;
	case 'a':
		good = argument_u64(text, 16, &n) && n;
		c->options.attempts = (uint32_t)n;
		break;
	case ARGUMENT_KEY:
	case ARGUMENT_ENGINE_KEY:
	case ARGUMENT_PSK:
	case ARGUMENT_LEVEL:
		good = argument_session(key, text, &c->session, &c->options);
		break;
	case ARGP_KEY_ARG:
		c->command = state->next - 1;
		state->next = state->argc;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, common_options, key, text);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {common_options, parse_common, "COMMAND …",
		"Publishes to a presence engine, asks it and looks at its counters.\v"
		"Commands, each with its own --help:\n"
		"  ping\n"
		"  publish ID X,Y[,Z]\n"
		"  withdraw ID…\n"
		"  erase ID\n"
		"  query point|sphere|box|--polygon|--oriented-box|--frustum …\n"
		"  explain ID point|sphere|box|…, explain ID --subscription N --fence N\n"
		"  heat point|sphere|box|--polygon|… [--cells SIZE]\n"
		"  watch sphere|box|--polygon|--oriented-box|--frustum …, or --fences FILE\n"
		"  stats\n"
		"  keygen FILE\n\n"
		"Exit codes: 0 done, 64 usage, 65 refused, 66 a file cannot be read, 68 unknown host, 69 no engine or no answer, "
		"71 system error, 73 a key cannot be written, 74 the output cannot, 75 try again, 77 not permitted.",
		NULL, NULL, NULL};
	struct common c = {0};
	char error[300], name[64], keygen[] = "presencectl keygen";

	argp_err_exit_status = EX_USAGE;
	argument_protect(argc, argv);
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &c);
	if (strcmp(argv[c.command], "keygen") == 0) {
		argv[c.command] = keygen;
		return output_exit_code(
			"presencectl", ctl_keygen(&c.ctl, argc - c.command, argv + c.command));
	}
	for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		enum presence_result result;
		int code;

		if (strcmp(argv[c.command], commands[i].name) != 0)
			continue;
		result = presence_open(&c.options, &c.ctl.client, error, sizeof error);
		if (result) {
			fprintf(stderr, "presencectl: %s\n",
				*error ? error : presence_result_text(result));
			return open_exit_code(&c.options, result);
		}
		snprintf(name, sizeof name, "presencectl %s", commands[i].name);
		argv[c.command] = name;
		code = commands[i].run(&c.ctl, argc - c.command, argv + c.command);
		presence_close(c.ctl.client);
		return output_exit_code("presencectl", code);
	}
	fprintf(stderr, "presencectl: '%s': no such command; presencectl --help lists them\n",
		argv[c.command]);
	return EX_USAGE;
}
