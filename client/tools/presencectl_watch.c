#include "client/tools/arguments.h"
#include "client/tools/fence_arguments.h"
#include "client/tools/presencectl.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define LEASE_MS      60000 // renewed while it runs; what is killed is forgotten soon
#define SILENT_MAX_MS 30000
#define UNANSWERED    4 // a watch that stood still itself has not asked so often
#define LOOK_MS       200

struct watching {
	struct ctl *ctl;
	struct presence_watch_options options;
	struct fence_arguments only; // of the command line
	const char *file;
	uint32_t for_ms; // 0 = until a signal
	unsigned long long events;
	uint8_t ended; // cause
};

static volatile sig_atomic_t stop;

enum {
	KEY_MOVES = 256,
	KEY_PAYLOADS,
	KEY_RESOLUTION,
	KEY_FREQUENCY,
	KEY_PRIORITY,
	KEY_BATCH,
	KEY_WINDOW,
	KEY_LEASE,
	KEY_FOR,
	KEY_FENCES,
	KEY_ID
};

static const struct argp_option options[] = {
	{"moves", KEY_MOVES, NULL, 0, "tell of moves inside as well", 0},
	{"payloads", KEY_PAYLOADS, NULL, 0, "tell what updates inside carry as well", 0},
	{"resolution", KEY_RESOLUTION, "M", 0,
		"moves further than that from where the last was told of", 0},
	{"frequency", KEY_FREQUENCY, "N", 0, "moves are told at most so many times a minute", 0},
	{"priority", KEY_PRIORITY, "NAME", 0, "normal (default), low, high, critical", 0},
	{"batch", KEY_BATCH, NULL, 0, "in few large messages, up to 100 ms late", 0},
	{"window", KEY_WINDOW, "N", 0,
		"events that the engine sends without an acknowledgement (512); 0 = no limit", 0},
	{"lease", KEY_LEASE, "TIME", 0, "renewed at half of it (60s)", 0},
	{"id", KEY_ID, "N", 0, "the subscription's number, for explain --subscription (any)", 0},
	{"for", KEY_FOR, "TIME", 0, "end after so long (on a signal)", 0},
	{"fences", KEY_FENCES, "FILE", 0,
		"many: lines of a number and then a volume's words and options, as here; - is standard input",
		0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct watching *w = state->input;
	uint64_t n = 0;
	double d = 0;
	bool good = true;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &w->only;
		state->child_inputs[1] = w->ctl;
		return 0;
	case KEY_MOVES:
		w->options.moves = true;
		break;
	case KEY_PAYLOADS:
		w->options.payloads = true;
		break;
	case KEY_RESOLUTION:
		good = argument_double(text, &d) && d >= 0;
		w->options.resolution_m = (float)d;
		w->options.moves = w->options.filter = true;
		break;
	case KEY_FREQUENCY:
		good = argument_u64(text, UINT16_MAX, &n);
		w->options.frequency_per_minute = (uint16_t)n;
		w->options.moves = true;
		break;
	case KEY_PRIORITY:
		good = argument_priority(text, &w->options.priority);
		break;
	case KEY_BATCH:
		w->options.batch = true;
		break;
	case KEY_WINDOW:
		good = argument_u64(text, UINT16_MAX, &n);
		w->options.window = (uint16_t)n;
		break;
	case KEY_LEASE:
		good = argument_duration_ms(text, &w->options.lease_ms) && w->options.lease_ms;
		break;
	case KEY_FOR:
		good = argument_duration_ms(text, &w->for_ms) && w->for_ms;
		break;
	case KEY_ID:
		good = argument_u64(text, UINT32_MAX, &n) && n;
		w->options.id = (uint32_t)n;
		break;
	case KEY_FENCES:
		w->file = text;
		w->only.query.optional = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, options, key, text);
	return 0;
}

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void print_time(uint64_t time_ms, char text[32])
{
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm parts;
	size_t n;

	if (!gmtime_r(&seconds, &parts) || !(n = strftime(text, 24, "%FT%T", &parts)))
		n = (size_t)snprintf(text, 24, "?");
	snprintf(text + n, 32 - n, ".%03uZ", (unsigned)(time_ms % 1000));
}

static bool printable(const uint8_t *payload, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		if (payload[i] < 0x20 || payload[i] > 0x7E)
			return false;
	return true;
}

// Room for 2 × PRESENCE_PAYLOAD_MAX + 1.
static void print_hex(char *text, const uint8_t *payload, unsigned bytes)
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < bytes; i++) {
		*text++ = digits[payload[i] >> 4];
		*text++ = digits[payload[i] & 15];
	}
	*text = 0;
}

// Text as itself, other bytes as those of metadata.
static void json_payload(json_t *object, const struct presence_watch_event *e)
{
	char hex[2 * PRESENCE_PAYLOAD_MAX + 1], id[37];

	presence_id_print(e->entity.id, id);
	print_hex(hex, e->payload, e->payload_bytes);
	json_object_set_new(object, "entity", json_pack("{s:s}", "id", id));
	json_object_set_new(object, "payload",
		printable(e->payload, e->payload_bytes) ?
			json_stringn((const char *)e->payload, e->payload_bytes) :
			json_pack("{s:s}", "bytes", hex));
}

static void print_json(const struct presence_watch_event *e, const char *time)
{
	json_t *object = json_pack("{s:s, s:I, s:I, s:s, s:s, s:I, s:b, s:b}", "time", time,
		"time_ms", (json_int_t)e->time_ms, "sequence", (json_int_t)e->sequence, "event",
		presence_event_name(e->kind), "cause", presence_told_cause_name(e->kind, e->cause),
		"fence", (json_int_t)e->fence, "snapshot", e->snapshot, "corrected", e->corrected);

	if (e->kind <= PRESENCE_LEAVE)
		json_object_set_new(object, "entity", ctl_found_json(&e->entity));
	if (e->kind == PRESENCE_PAYLOAD)
		json_payload(object, e);
	json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(object);
}

static void print_payload(const struct presence_watch_event *e)
{
	char hex[2 * PRESENCE_PAYLOAD_MAX + 1], id[37];

	presence_id_print(e->entity.id, id);
	printf("  fence %-5u  %s  ", e->fence, id);
	print_hex(hex, e->payload, e->payload_bytes);
	if (printable(e->payload, e->payload_bytes))
		printf("\"%.*s\"\n", (int)e->payload_bytes, (const char *)e->payload);
	else
		printf("x\"%s\"\n", hex);
}

static void print_line(const struct presence_watch_event *e, const char *time)
{
	const struct presence_found *f = &e->entity;
	char id[37], height[32] = "?";

	printf("%s  %-12s", time, presence_event_name(e->kind));
	if (e->kind == PRESENCE_PAYLOAD) {
		print_payload(e);
		return;
	}
	if (e->kind <= PRESENCE_LEAVE) {
		presence_id_print(f->id, id);
		if (!f->height_unknown)
			snprintf(height, sizeof height, "%.2f", f->position[2]);
		printf("  fence %-5u  %s  %14.7f %14.7f %10s", e->fence, id, f->position[0],
			f->position[1], height);
	}
	printf("  %s%s%s\n", presence_told_cause_name(e->kind, e->cause),
		e->snapshot ? "snapshot" : "", e->corrected ? " corrected" : "");
}

static void told(
	void *context, struct presence_watch *watch, const struct presence_watch_event *event)
{
	struct watching *w = context;
	char time[32];

	(void)watch;
	print_time(event->time_ms ? event->time_ms : clock_ms(CLOCK_REALTIME), time);
	w->events++;
	if (event->kind == PRESENCE_ENDED)
		w->ended = event->cause;
	if (w->ctl->json)
		print_json(event, time);
	else
		print_line(event, time);
}

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	action.sa_handler = SIG_IGN; // who reads no more is noticed at the next line
	sigaction(SIGPIPE, &action, NULL);
}

// Until time, a signal, the subscription's end, or the engine's silence.
static int run(struct watching *w, struct presence_watch *watch)
{
	struct presence_events events = {.context = w, .watched = told};
	uint64_t begin_ms = clock_ms(CLOCK_MONOTONIC), passed_ms = 0;

	while (!stop && !w->ended && !ferror(stdout)) {
		struct presence_watch_status status;
		uint64_t wait_ms = LOOK_MS;

		if (w->for_ms && passed_ms >= w->for_ms)
			break;
		if (w->for_ms && w->for_ms - passed_ms < wait_ms)
			wait_ms = w->for_ms - passed_ms;
		if (presence_poll(w->ctl->client, &events, 64, (int)wait_ms) < 0)
			return ctl_failed(
				w->ctl, "watch", PRESENCE_SYSTEM, (struct presence_refusal){0});
		fflush(stdout);
		status = presence_watch_status(watch);
		if (status.silent_ms > SILENT_MAX_MS && status.unanswered >= UNANSWERED)
			return ctl_failed(
				w->ctl, "watch", PRESENCE_TIMED_OUT, (struct presence_refusal){0});
		passed_ms = clock_ms(CLOCK_MONOTONIC) - begin_ms;
	}
	if (ferror(stdout))
		return EX_IOERR;
	return w->ended && w->ended != PRESENCE_END_CLOSED ? EX_UNAVAILABLE : EX_OK;
}

static int refused(const struct ctl *ctl, enum presence_result result,
	const struct presence_watch_refusal *refusal, const struct presence_fence *fences)
{
	char what[64] = "watch";

	if (refusal->fence >= 0)
		snprintf(what, sizeof what, "watch: fence %u", fences[refusal->fence].id);
	return ctl_failed(
		ctl, what, result, (struct presence_refusal){refusal->code, refusal->reason});
}

// Once: what is seen may be coarser than what was asked for.
static void say_coarser(const struct watching *w, const struct presence_watch *watch)
{
	double published_m = (double)presence_watch_published_m(watch);
	uint64_t now_ms = clock_ms(CLOCK_REALTIME);
	char time[32];

	if (!(published_m > 0))
		return;
	print_time(now_ms, time);
	if (w->ctl->json)
		printf("{\"time\":\"%s\",\"time_ms\":%llu,\"event\":\"COARSER\",\"published_m\":%g}\n",
			time, (unsigned long long)now_ms, published_m);
	else
		printf("%s  %-12s  than asked for: of what may be seen here some is published at %g m\n",
			time, "COARSER", published_m);
}

int ctl_watch(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = {
		{&fence_argp, 0, NULL, 0}, {&ctl_json_argp, 0, NULL, 0}, {0}};
	static const struct argp argp = {options, parse,
		"sphere X,Y[,Z] RADIUS\nbox X,Y[,Z] X,Y[,Z]\n--polygon|--oriented-box|--frustum …\n--follow ID sphere RADIUS\n--fences FILE",
		"Tells who enters and leaves a volume, until a signal. Volumes and filters are those of query."
		"\vpresencectl watch sphere 60.17,24.96 500 --margin 20 --leave 10s\n"
		"presencectl watch --follow mmsi:230035780 sphere 1000 --moves --frequency 12 --for 10m\n\n"
		"Ends with 0 after a signal or --for, 69 when the engine ended it or is silent.",
		children, NULL, NULL};
	static struct fence_arguments *read[FENCE_FILE_MAX];
	static struct presence_fence fences[FENCE_FILE_MAX];
	static struct watching w = {.options = {.window = 512, .lease_ms = LEASE_MS}};
	struct presence_watch_refusal refusal;
	struct presence_watch *watch;
	enum presence_result result;
	unsigned count = 1;
	int code;

	w.ctl = ctl;
	w.only.fence.id = 1;
	argp_parse(&argp, argc, argv, 0, NULL, &w);
	if (w.file) {
		if (w.only.query.query.volume) {
			fprintf(stderr, "presencectl: either --fences or a volume\n");
			return EX_USAGE;
		}
		count = fence_file_read(w.file, read);
		if (!count)
			return EX_NOINPUT;
	} else {
		read[0] = &w.only;
	}
	for (unsigned i = 0; i < count; i++)
		fences[i] = read[i]->fence;
	catch_signals();
	result = presence_watch_open(
		ctl->client, ctl_space(ctl), &w.options, fences, count, &watch, &refusal);
	if (result) {
		code = refused(ctl, result, &refusal, fences);
	} else {
		say_coarser(&w, watch);
		code = run(&w, watch);
		(void)presence_watch_close(watch);
	}
	for (unsigned i = 0; w.file && i < count; i++)
		free(read[i]);
	return code;
}
