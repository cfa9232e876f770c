// presence-ring-restart: programs that stay attached to an engine's ring source while the engine is
// killed and started again. Each has one client with a watch that subscribes anew by itself, and an
// entity of its own in the middle of it; all of them wait in one poll(2), as a program with a loop
// of its own does.
//
// Prints {"ready": …} when every watch has had its snapshot, and for each line `restart` on its
// input, once all of them go on, the times at which the last one did so, in seconds of
// CLOCK_MONOTONIC: gap_s told that the engine it had is gone, attached_s to another one,
// subscribed_s the snapshot there was told, told_s an update published there came back as an event.
// {"error": …} after 20 s.
#include "client/presence.h"
#include "client/watch.h"
#include "tools_json.h"

#include <argp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX 64
#define LIMIT_S     20.0
#define PUBLISH_S   0.005 // between two updates of an entity that was not heard of yet
#define POLL_MS     5

enum step { GAP, ATTACHED, SUBSCRIBED, TOLD, STEPS };

struct one {
	struct presence_client *client;
	struct presence_watch *watch;
	uint8_t id[16];
	uint32_t sequence;
	double published_s;
	uint64_t attached;  // when the round began
	double at_s[STEPS]; // 0: not yet
};

struct all {
	const char *uri;
	unsigned count;
	struct one one[CLIENTS_MAX];
};

static const struct argp_option option_list[] = {
	{"clients", 'n', "N", 0, "that are attached (8)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct all *a = state->input;

	switch (key) {
	case 'n':
		a->count = (unsigned)strtoul(argument, NULL, 10);
		if (a->count < 1 || a->count > CLIENTS_MAX)
			argp_error(state, "--clients: from 1 to %d", CLIENTS_MAX);
		return 0;
	case ARGP_KEY_ARG:
		a->uri = argument;
		return state->arg_num ? ARGP_ERR_UNKNOWN : 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void fail(const char *what)
{
	printf("{\"error\": \"%s\"}\n", what);
	fflush(stdout);
	exit(EXIT_FAILURE);
}

static void reach(struct one *o, enum step step)
{
	if (o->at_s[step] == 0)
		o->at_s[step] = tool_seconds();
}

static void told(void *context, struct presence_watch *watch, const struct presence_watch_event *e)
{
	struct one *o = context;

	(void)watch;
	if (e->kind == PRESENCE_GAP)
		reach(o, GAP);
	else if (e->kind == PRESENCE_SNAPSHOT_END && o->at_s[GAP] != 0)
		reach(o, SUBSCRIBED);
	else if (e->kind == PRESENCE_ENTER && memcmp(e->entity.id, o->id, 16) == 0 &&
		o->at_s[GAP] != 0)
		reach(o, TOLD);
}

static void turn(struct one *o)
{
	const struct presence_events events = {.context = o, .watched = told};

	(void)presence_poll(o->client, &events, 256, 0);
	if (presence_traffic(o->client).attached > o->attached)
		reach(o, ATTACHED);
	if (o->at_s[ATTACHED] != 0 && o->at_s[TOLD] == 0 &&
		tool_seconds() - o->published_s > PUBLISH_S) {
		struct presence_update u = {.type = PRESENCE_MOBILE,
			.ttl_ms = 60000,
			.sequence = ++o->sequence,
			.position_confidence = -1,
			.status_confidence = -1};

		memcpy(u.id, o->id, 16);
		(void)presence_send(o->client, NULL, &u, 1, NULL);
		o->published_s = tool_seconds();
	}
}

// Until all have come to `step`, or the limit.
static bool run(struct all *a, enum step step)
{
	double end = tool_seconds() + LIMIT_S;

	for (;;) {
		struct pollfd wait[CLIENTS_MAX];
		unsigned there = 0;

		for (unsigned i = 0; i < a->count; i++) {
			turn(&a->one[i]);
			there += a->one[i].at_s[step] != 0;
		}
		if (there == a->count)
			return true;
		if (tool_seconds() > end)
			return false;
		for (unsigned i = 0; i < a->count; i++)
			wait[i] = (struct pollfd){
				.fd = presence_socket(a->one[i].client), .events = POLLIN};
		(void)poll(wait, a->count, POLL_MS);
	}
}

static void open_all(struct all *a)
{
	static const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const struct presence_fence fence = {.id = 1, .query = &q};
	const struct presence_watch_options options = {.resubscribe = true};
	char error[300];

	for (unsigned i = 0; i < a->count; i++) {
		struct one *o = &a->one[i];

		presence_id_from_u64("restart", i + 1, o->id);
		if (presence_open(&(struct presence_options){.uri = a->uri, .timeout_ms = 5000},
			    &o->client, error, sizeof error) != PRESENCE_OK)
			fail(error);
		if (presence_watch_open(o->client, NULL, &options, &fence, 1, &o->watch, NULL) !=
			PRESENCE_OK)
			fail("no watch");
		// As after a restart: what it waits for is the snapshot.
		o->at_s[GAP] = tool_seconds();
	}
	if (!run(a, SUBSCRIBED))
		fail("no snapshot in time");
}

static json_t *restart(struct all *a)
{
	double last[STEPS] = {0};

	for (unsigned i = 0; i < a->count; i++) {
		a->one[i].attached = presence_traffic(a->one[i].client).attached;
		memset(a->one[i].at_s, 0, sizeof a->one[i].at_s);
	}
	for (unsigned step = 0; step < STEPS; step++)
		if (!run(a, (enum step)step))
			fail("not all go on after a restart");
	for (unsigned i = 0; i < a->count; i++)
		for (unsigned step = 0; step < STEPS; step++)
			if (a->one[i].at_s[step] > last[step])
				last[step] = a->one[i].at_s[step];
	return json_pack("{s:f,s:f,s:f,s:f}", "gap_s", last[GAP], "attached_s", last[ATTACHED],
		"subscribed_s", last[SUBSCRIBED], "told_s", last[TOLD]);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.args_doc = "shm://PATH",
		.doc = "Clients of an engine's shared-memory rings that live through its end."};
	static struct all a = {.count = 8};
	char text[64];

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	open_all(&a);
	tool_print(json_pack("{s:{s:i}}", "ready", "clients", (int)a.count), 0);
	while (fgets(text, sizeof text, stdin))
		if (strcmp(text, "restart\n") == 0)
			tool_print(restart(&a), 0);
		else
			tool_print(json_pack("{s:s}", "error", "not a work"), 0);
	for (unsigned i = 0; i < a.count; i++)
		presence_close(a.one[i].client);
	return EXIT_SUCCESS;
}
