// presence-ring-bench: a client of an engine's ring source, two processes on two cores, and the
// bare ring beside it. Updates are written in place, 16 a message, as fast as the ring takes them;
// what the engine applied is what its own counters say. Queries are asked one at a time, spinning,
// and timed from the first byte written to the last part read.
//
// Prints {"ready": …} when the crowd is there, and then a line for each line of its input:
//   updates SECONDS         records applied a second
//   query:HITS SECONDS      round trips: the least, p50, p99 and the longest, microseconds
//   floor SECONDS           the plain ring of 64-byte elements between this process and a child on
//                           the worker's core, which the engine must have left (SIGSTOP): elements
//                           a second in bursts of 32, and the round trip of one
#include "base/ring_spsc.h"
#include "client/presence.h"
#include "client/tools/load_histogram.h"
#include "client/transport.h"
#include "crowd.h"
#include "tools_json.h"
#include "wire/encode.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDS       16u
#define RECORDS_AT    (sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble))
#define MESSAGE_BYTES (RECORDS_AT + RECORDS * sizeof(struct pe_wire_update))
#define BARE_ELEMENTS 4096u
#define BARE_BYTES    64u
#define BARE_BURST    32u
#define FILL_LIMIT_S  60.0

struct options {
	const char *uri;
	uint32_t entities;
	int core, engine_core;
};

struct bench {
	const struct options *options;
	void *ring; // a transport's context: for updates in place
	struct presence_client *client;
	double side_m;
	uint64_t random, messages;
	uint32_t sequence, filled;
	uint8_t message[MESSAGE_BYTES];
	struct load_histogram ns;
	unsigned parts, parts_all;
	uint64_t asked, results;
};

static const struct argp_option option_list[] = {
	{"entities", 'e', "N", 0, "entities (1000000)", 0},
	{"core", 'c', "N", 0, "this process's core (0)", 0},
	{"engine-core", 'w', "N", 0, "the core of the engine's worker, for the bare ring (1)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'e':
		o->entities = (uint32_t)strtoul(argument, NULL, 10);
		return 0;
	case 'c':
		o->core = atoi(argument);
		return 0;
	case 'w':
		o->engine_core = atoi(argument);
		return 0;
	case ARGP_KEY_ARG:
		o->uri = argument;
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

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// ---- the bare ring ----

struct bare {
	struct pe_ring_spsc to, from;
	_Alignas(64) _Atomic bool stop;
	_Alignas(64) uint8_t memory[2][BARE_ELEMENTS * BARE_BYTES];
};

static _Noreturn void give_back(struct bare *b, int core)
{
	(void)tool_pin(core);
	while (!atomic_load_explicit(&b->stop, memory_order_relaxed)) {
		const void *element;
		unsigned n = 0;

		// One comes: it goes back. Many come: their count does.
		while (n < BARE_BURST && (element = pe_ring_spsc_peek(&b->to, n))) {
			if (n == 0 && pe_ring_spsc_room(&b->from, 1))
				memcpy(pe_ring_spsc_put(&b->from), element, BARE_BYTES);
			n++;
		}
		if (!n)
			continue;
		pe_ring_spsc_flush(&b->from);
		pe_ring_spsc_release(&b->to, n);
	}
	_exit(0);
}

static void forget_returned(struct bare *b)
{
	unsigned n = 0;

	while (pe_ring_spsc_peek(&b->from, n))
		n++;
	if (n)
		pe_ring_spsc_release(&b->from, n);
}

static json_t *measure_bare(struct bench *w, double length)
{
	struct bare *b =
		mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint8_t element[BARE_BYTES] = {0};
	double from, seconds;
	uint64_t sent = 0, least = UINT64_MAX;
	pid_t child;

	if (b == MAP_FAILED)
		fail("no memory for the bare ring");
	pe_ring_spsc_init(&b->to, b->memory[0], BARE_ELEMENTS, BARE_BYTES);
	pe_ring_spsc_init(&b->from, b->memory[1], BARE_ELEMENTS, BARE_BYTES);
	fflush(stdout);
	child = fork();
	if (child < 0)
		fail("no child for the bare ring");
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		give_back(b, w->options->engine_core);
	}
	load_histogram_clear(&w->ns);
	for (from = tool_seconds(); tool_seconds() - from < length / 2;) {
		uint64_t begin = now_ns(), took;

		memcpy(pe_ring_spsc_put(&b->to), element, BARE_BYTES);
		pe_ring_spsc_flush(&b->to);
		while (!pe_ring_spsc_peek(&b->from, 0))
			;
		pe_ring_spsc_release(&b->from, 1);
		took = now_ns() - begin;
		load_histogram_add(&w->ns, took);
		least = took < least ? took : least;
	}
	from = tool_seconds();
	while ((seconds = tool_seconds() - from) < length / 2) {
		if (pe_ring_spsc_room(&b->to, BARE_BURST) >= BARE_BURST) {
			for (unsigned i = 0; i < BARE_BURST; i++)
				memcpy(pe_ring_spsc_put(&b->to), element, BARE_BYTES);
			pe_ring_spsc_flush(&b->to);
			sent += BARE_BURST;
		}
		forget_returned(b);
	}
	atomic_store_explicit(&b->stop, true, memory_order_relaxed);
	waitpid(child, NULL, 0);
	munmap(b, sizeof *b);
	return json_pack("{s:f,s:f,s:f,s:f}", "elements", (double)sent / seconds, "least_us",
		(double)least / 1000, "p50_us", (double)load_histogram_quantile(&w->ns, 0.5) / 1000,
		"p99_us", (double)load_histogram_quantile(&w->ns, 0.99) / 1000);
}

// ---- updates ----

static void prepare(struct bench *w)
{
	struct pe_wire_header header = {.stream_id = 1};
	struct pe_wire_update_preamble preamble = {.incarnation = CROWD_INCARNATION};
	struct pe_wire_update records[RECORDS] = {0};

	for (unsigned r = 0; r < RECORDS; r++)
		records[r] =
			(struct pe_wire_update){.entity_id = {1}, .entity_type = PE_ENTITY_MOBILE};
	if (pe_wire_put_update(w->message, sizeof w->message, &header, &preamble, records,
		    RECORDS) != MESSAGE_BYTES)
		fail("the message has another length");
}

// One message, in place. False: no room.
static bool put_message(struct bench *w)
{
	uint8_t *to = presence_shm.reserve(w->ring);

	if (!to)
		return false;
	memcpy(to, w->message, RECORDS_AT);
	for (unsigned r = 0; r < RECORDS; r++) {
		struct pe_wire_update *u =
			(void *)(to + RECORDS_AT + r * sizeof(struct pe_wire_update));
		uint32_t number = w->filled < w->options->entities ?
			w->filled++ :
			crowd_below(crowd_random(&w->random), w->options->entities);
		double position[3];

		memcpy(u, w->message + RECORDS_AT, sizeof *u);
		w->sequence++;
		crowd_id(number, u->entity_id);
		crowd_place(number, w->sequence, w->side_m, position);
		memcpy(&u->position, position, sizeof position);
		u->sequence = w->sequence;
	}
	return presence_shm.commit(w->ring, to, MESSAGE_BYTES);
}

static uint64_t counter(struct bench *w, const char *name)
{
	static struct presence_stats stats;

	if (presence_stats(w->client, &stats, NULL) != PRESENCE_OK)
		fail("no counters from the engine");
	return stats.value[presence_counter_find(name)];
}

static void fill(struct bench *w)
{
	double end = tool_seconds() + FILL_LIMIT_S;

	while (w->filled < w->options->entities && tool_seconds() < end)
		if (!put_message(w))
			presence_shm.flush(w->ring);
	presence_shm.flush(w->ring);
	while (counter(w, "created") < w->options->entities)
		if (tool_seconds() > end)
			fail("the crowd did not come to be in time");
		else
			tool_sleep_s(0.01);
}

static json_t *measure_updates(struct bench *w, double length)
{
	uint64_t before = counter(w, "records_applied"), full = 0, after;
	double from = tool_seconds(), seconds;

	while ((seconds = tool_seconds() - from) < length) {
		for (unsigned i = 0; i < 64; i++)
			if (!put_message(w)) {
				full++;
				break;
			}
		presence_shm.flush(w->ring);
	}
	after = counter(w, "records_applied");
	seconds = tool_seconds() - from;
	return json_pack("{s:f,s:I}", "updates", (double)(after - before) / seconds, "times_full",
		(json_int_t)full);
}

// ---- queries ----

static void answered(
	void *context, const struct presence_part *part, const struct presence_found *found)
{
	struct bench *w = context;

	(void)found;
	if (part->sequence != w->asked)
		return;
	w->parts++;
	w->results += part->result_count;
	if (part->last)
		w->parts_all = part->part + 1;
}

static json_t *measure_queries(struct bench *w, double hits, double length)
{
	const struct presence_events events = {.context = w, .answered = answered};
	double radius_m = crowd_radius_m(hits), room = w->side_m - 2 * radius_m,
	       from = tool_seconds();
	uint64_t count = 0, lost = 0, least = UINT64_MAX, took;

	load_histogram_clear(&w->ns);
	w->results = 0;
	while (tool_seconds() - from < length) {
		uint64_t random = crowd_random(&w->random), begin;
		struct presence_query q = {.volume = PRESENCE_SPHERE,
			.radius_m = radius_m,
			.a = {radius_m + (double)(random >> 32) * 0x1p-32 * room,
				radius_m + (double)(random & 0xFFFFFFFFu) * 0x1p-32 * room,
				CROWD_HEIGHT_M}};

		w->parts = 0;
		w->parts_all = UINT32_MAX;
		begin = now_ns();
		if (presence_submit_query(w->client, NULL, &q, &w->asked) != PRESENCE_OK)
			continue;
		(void)presence_flush(w->client, NULL);
		// The clock is for what is lost only: it would be most of what the loop does.
		for (uint64_t looks = 1;
			w->parts < w->parts_all && (looks % 4096 || now_ns() - begin < 1000000000);
			looks++)
			(void)presence_poll(w->client, &events, 16, 0);
		if (w->parts < w->parts_all) {
			lost++;
			continue;
		}
		took = now_ns() - begin;
		load_histogram_add(&w->ns, took);
		least = took < least ? took : least;
		count++;
	}
	return json_pack("{s:f,s:f,s:f,s:f,s:I,s:f,s:I}", "least_us",
		count ? (double)least / 1000 : 0, "p50_us",
		(double)load_histogram_quantile(&w->ns, 0.5) / 1000, "p99_us",
		(double)load_histogram_quantile(&w->ns, 0.99) / 1000, "max_us",
		(double)w->ns.largest / 1000, "queries", (json_int_t)count, "results",
		count ? (double)w->results / (double)count : 0, "lost", (json_int_t)lost);
}

static void serve(struct bench *w)
{
	char text[128];
	double hits, length;

	while (fgets(text, sizeof text, stdin)) {
		if (sscanf(text, "updates %lf", &length) == 1 && length > 0 && length <= 60)
			tool_print(measure_updates(w, length), 0);
		else if (sscanf(text, "query:%lf %lf", &hits, &length) == 2 && hits > 0 &&
			hits <= 4000 && length > 0 && length <= 60)
			tool_print(measure_queries(w, hits, length), 0);
		else if (sscanf(text, "floor %lf", &length) == 1 && length > 0 && length <= 60)
			tool_print(measure_bare(w, length), 0);
		else
			tool_print(json_pack("{s:s}", "error", "not a work"), 0);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.entities = 1000000, .engine_core = 1};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.args_doc = "shm://PATH",
		.doc = "A client of an engine's shared-memory ring."};
	static struct bench w;
	char error[300];

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (!tool_pin(o.core))
		perror("presence-ring-bench: not pinned");
	w = (struct bench){
		.options = &o, .side_m = crowd_side_m(o.entities), .random = CROWD_RANDOM};
	if (strncmp(o.uri, "shm://", 6) != 0)
		fail("not a shm:// URI");
	if (presence_shm_open(o.uri + 6, &(struct presence_options){.buffer_bytes = 1 << 20},
		    &w.ring, error, sizeof error) != PRESENCE_OK ||
		presence_open(&(struct presence_options){.uri = o.uri, .timeout_ms = 5000},
			&w.client, error, sizeof error) != PRESENCE_OK)
		fail(error);
	prepare(&w);
	fill(&w);
	tool_print(json_pack("{s:{s:i}}", "ready", "entities", (int)o.entities), 0);
	serve(&w);
	presence_shm.close(w.ring);
	presence_close(w.client);
	return EXIT_SUCCESS;
}
