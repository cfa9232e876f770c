// presence-core-bench: what the engine does without packets: updates through table, coalescing and
// grid, and queries answered into nothing, on an engine that holds the crowd of crowd.h.
//
//   presence-core-bench SCENARIO [options]   measures it and prints one JSON object
//   presence-core-bench serve [options]      sets up, prints {"ready": …}, then measures each line
//                                            "SCENARIO SECONDS" of its input as it comes and prints
//                                            one line of JSON for it
//   presence-core-bench plan [options]       prints the memory that an engine of this size takes
//
// Scenarios, shares in percent:
//   update           each of a uniformly random entity, a small move, all written
//   message:RECORDS  the same as messages of 1 to 16 records: checked, decoded, applied
//   crossing:SHARE   the same, this share into a neighbour cell
//   coalesced:SHARE  the same, this share covered by a threshold (--thresholds)
//   predict:SHARE    the same, by a prediction
//   query:HITS       spheres with so many hits on average, ten a message
//   nearest:COUNT    the COUNT nearest to a place, ten a message
//   polygon:HITS     polygons of 64 vertices with so many hits on average, three a message
//   mixed:SHARE      updates, and queries of 20 hits as this share of the operations
//   foreign:SHARE    two workers update, this share comes in at the worker that does not own the
//                    entity (--divided)
//   reader:HITS      worker 1 queries while worker 0 has nothing to do (--workers 2)
//   beside:HITS      worker 0 updates while worker 1 queries (--workers 2)
#include "base/prefetch.h"
#include "base/stages.h"
#include "core_guard.h"
#include "crowd.h"
#include "internal.h"
#include "tools_json.h"

#include <argp.h>
#include <stdlib.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION ((void)0)
#define CALLGRIND_STOP_INSTRUMENTATION  ((void)0)
#define CALLGRIND_ZERO_STATS            ((void)0)
#endif

#define WINDOWS_MAX 100u
#define WARM_S      0.1

struct options {
	const char *scenario;
	struct core_options core;
	double seconds;
	unsigned windows;
	unsigned long iterations;
};

enum key {
	KEY_CONTROL = 256,
	KEY_CORE2,
	KEY_THRESHOLDS,
	KEY_FENCES,
	KEY_MOVES,
	KEY_RESTRICTED,
	KEY_GUARD,
	KEY_DIVIDED,
	KEY_PREFETCH,
	KEY_WORKERS,
	KEY_JSON
};

static const struct argp_option option_list[] = {
	{"entities", 'e', "N", 0, "entities (1000000)", 0},
	{"seconds", 's', "S", 0, "length of a window (1)", 0},
	{"windows", 'w', "N", 0, "windows (5)", 0},
	{"iterations", 'i', "N", 0,
		"no clock and no threads: so many operations, the same on every run; under callgrind "
		"only they are counted",
		0},
	{"core", 'c', "N", 0, "worker 0's core (-1: any)", 0},
	{"second-core", KEY_CORE2, "N", 0, "worker 1's core (-1: any)", 0},
	{"control-core", KEY_CONTROL, "N", 0, "the control thread's core (-1: any)", 0},
	{"workers", KEY_WORKERS, "N", 0, "1 or 2 (1)", 0},
	{"thresholds", KEY_THRESHOLDS, NULL, 0, "the space has a spatial threshold", 0},
	{"fences", KEY_FENCES, "N", 0, "circles of 5 km that are subscribed to (0)", 0},
	{"moves", KEY_MOVES, NULL, 0, "moves of those inside of the circles are told, each", 0},
	{"restricted", KEY_RESTRICTED, NULL, 0, "every entity is shown to who asks alone", 0},
	{"guard", KEY_GUARD, "WHAT", 0,
		"what guards the space, for messages: open, keyring, first, speed, first_speed, tags, "
		"restricted, coarse",
		0},
	{"divided", KEY_DIVIDED, NULL, 0, "two workers own half of the entities each", 0},
	{"prefetch", KEY_PREFETCH, "LEVEL", 0,
		"level of the caches that lines are asked for into: 1 or 2 (the processor's own)",
		0},
	{"no-huge", 'n', NULL, 0, "ordinary pages", 0},
	{"json", KEY_JSON, NULL, 0, "print JSON (it always does)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	char *end = NULL;
	double value = 0;

	if (key == ARGP_KEY_ARG) {
		if (o->scenario)
			argp_error(state, "one scenario, not two");
		o->scenario = argument;
		return 0;
	}
	if (key == ARGP_KEY_END && !o->scenario)
		argp_error(state, "which scenario?");
	if (key == KEY_GUARD) {
		o->core.guard = core_guard_of(argument);
		if (o->core.guard == CORE_GUARDS)
			argp_error(state, "\"%s\" guards nothing", argument);
		return 0;
	}
	if (argument) {
		value = strtod(argument, &end);
		if (*end || end == argument || !(value >= -1 && value <= 1e12))
			argp_error(state, "\"%s\" is not a number in range", argument);
	}
	switch (key) {
	case 'e':
		if (!(value >= 64 && value <= PE_ENTITIES_MAX - 4096))
			argp_error(state, "--entities: 64 to %u", PE_ENTITIES_MAX - 4096);
		o->core.entities = (uint32_t)value / 4 * 4;
		return 0;
	case 's':
		if (!(value > 0 && value <= 3600))
			argp_error(state, "--seconds: more than 0, at most 3600");
		o->seconds = value;
		return 0;
	case 'w':
		if (!(value >= 1 && value <= WINDOWS_MAX))
			argp_error(state, "--windows: 1 to %u", WINDOWS_MAX);
		o->windows = (unsigned)value;
		return 0;
	case 'i':
		if (!(value >= 1))
			argp_error(state, "--iterations: at least 1");
		o->iterations = (unsigned long)value;
		o->core.fixed = true;
		return 0;
	case 'c':
		o->core.cores[0] = (int)value;
		return 0;
	case KEY_CORE2:
		o->core.cores[1] = (int)value;
		return 0;
	case KEY_CONTROL:
		o->core.control_core = (int)value;
		return 0;
	case KEY_WORKERS:
		if (value != 1 && value != 2)
			argp_error(state, "--workers: 1 or 2");
		o->core.workers = (unsigned)value;
		return 0;
	case KEY_THRESHOLDS:
		o->core.thresholds = true;
		return 0;
	case KEY_FENCES:
		if (!(value >= 0 && value <= 100000))
			argp_error(state, "--fences: at most 100000");
		o->core.fences = (uint32_t)value;
		return 0;
	case KEY_PREFETCH:
		if (value != 1 && value != 2)
			argp_error(state, "--prefetch: 1 or 2");
		pe_prefetch_choice.first = value == 1;
		return 0;
	case KEY_MOVES:
		o->core.moves = true;
		return 0;
	case KEY_RESTRICTED:
		o->core.restricted = true;
		return 0;
	case KEY_DIVIDED:
		o->core.divided = true;
		o->core.workers = 2;
		return 0;
	case 'n':
		o->core.huge_pages = false;
		return 0;
	case KEY_JSON:
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "presence-core-bench: %s%s%s\n", what, why ? ": " : "", why ? why : "");
	exit(EXIT_FAILURE);
}

// ---- scenarios ----

struct scenario {
	char name[32];
	struct core_work work[CORE_WORKERS_MAX];
	bool queries; // worker 0's rate is of queries
};

// False: it is none, or not one for such an engine.
static bool parse_scenario(const char *text, const struct core_options *o, struct scenario *s)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	char *end = NULL;
	double value = colon ? strtod(colon + 1, &end) : -1;
	struct core_work *w = s->work;
	bool share = value >= 0 && value <= 100;

	*s = (struct scenario){0};
	if (length >= sizeof s->name || (colon && (*end || end == colon + 1 || !(value >= 0))))
		return false;
	memcpy(s->name, text, length);
	w[0].kind = CORE_UPDATES;
	w[1].kind = o->divided ? CORE_UPDATES : CORE_IDLE;
	if (o->guard && strcmp(s->name, "message") != 0)
		return false;
	if (strcmp(s->name, "update") == 0)
		return !colon && !o->thresholds;
	if (strcmp(s->name, "message") == 0) {
		w[0] = (struct core_work){.kind = CORE_MESSAGES, .records = (unsigned)value};
		w[1].kind = CORE_IDLE;
		return value >= 1 && value <= PE_UPDATE_COUNT_MAX && !o->thresholds && !o->divided;
	}
	if (strcmp(s->name, "crossing") == 0) {
		w[0].crossing = w[1].crossing = value / 100;
		return share && !o->thresholds;
	}
	if (strcmp(s->name, "coalesced") == 0 || strcmp(s->name, "predict") == 0) {
		w[0].coalesced = w[1].coalesced = value / 100;
		return share && o->thresholds && o->predicts == (s->name[0] == 'p');
	}
	if (strcmp(s->name, "foreign") == 0) {
		w[0].foreign = w[1].foreign = value / 100;
		return share && o->divided;
	}
	if (strcmp(s->name, "query") == 0) {
		w[0] = (struct core_work){.kind = CORE_QUERIES, .hits = value};
		s->queries = true;
		return value > 0 && value <= 4000;
	}
	if (strcmp(s->name, "nearest") == 0 || strcmp(s->name, "polygon") == 0) {
		w[0] = (struct core_work){.kind = CORE_QUERIES,
			.volume = s->name[0] == 'n' ? CORE_NEAREST : CORE_POLYGON,
			.hits = value};
		s->queries = true;
		return value >= 1 && value <= 1000;
	}
	if (strcmp(s->name, "mixed") == 0) {
		w[0] = (struct core_work){.kind = CORE_MIXED, .hits = 20, .queries = value / 100};
		return share && value > 0 && value < 100;
	}
	if (strcmp(s->name, "beside") == 0) {
		w[1] = (struct core_work){.kind = CORE_QUERIES, .hits = value};
		return value > 0 && value <= 4000 && o->workers == 2 && !o->divided;
	}
	if (strcmp(s->name, "reader") == 0) {
		w[0].kind = CORE_IDLE;
		w[1] = (struct core_work){.kind = CORE_QUERIES, .hits = value};
		s->queries = true;
		return value > 0 && value <= 4000 && o->workers == 2 && !o->divided;
	}
	return false;
}

#ifdef PE_STAGES
struct pe_stages pe_stages;
static uint64_t stage_cycles(unsigned stage)
{
	return atomic_load_explicit(&pe_stages.cycles[stage], memory_order_relaxed);
}
#else
static uint64_t stage_cycles(unsigned stage)
{
	(void)stage;
	return 0;
}
#endif

struct window {
	double seconds;
	uint64_t value[CORE_WORKERS_MAX][PE_COUNTER_COUNT];
	uint64_t stage[PE_STAGE_COUNT]; // cycles; 0 where the build has no marks
};

static void read_counters(struct core *core, struct window *w)
{
	w->seconds = tool_seconds();
	for (unsigned i = 0; i < core->options.workers; i++)
		for (unsigned c = 0; c < PE_COUNTER_COUNT; c++)
			w->value[i][c] = atomic_load_explicit(
				&core->workers[i].worker->counters.value[c], memory_order_relaxed);
	for (unsigned s = 0; s < PE_STAGE_COUNT; s++)
		w->stage[s] = stage_cycles(s);
}

static double per_second(
	const struct window *from, const struct window *to, unsigned worker, unsigned counter)
{
	return (double)(to->value[worker][counter] - from->value[worker][counter]) /
		(to->seconds - from->seconds);
}

static double total(const struct window *from, const struct window *to, unsigned counter)
{
	double sum = 0;

	for (unsigned i = 0; i < CORE_WORKERS_MAX; i++)
		sum += per_second(from, to, i, counter);
	return sum;
}

#define TOTAL(name) total(from, to, PE_COUNTER_##name)

// Cycles of the time-stamp counter an operation, by stage; NULL where the build has no marks.
static json_t *stages(const struct window *from, const struct window *to, double operations)
{
#define NAME(stage) #stage,
	static const char *const names[] = {PE_STAGE_LIST(NAME)};
#undef NAME
	json_t *o = NULL;

	for (unsigned s = 0; s < PE_STAGE_COUNT; s++) {
		if (to->stage[s] == from->stage[s])
			continue;
		if (!o)
			o = json_object();
		json_object_set_new(o, names[s],
			json_real((double)(to->stage[s] - from->stage[s]) / operations));
	}
	return o;
}

// The rates between two readings, by name.
static json_t *rates(const struct core *core, const struct window *from, const struct window *to)
{
	double updates = TOTAL(records_applied) + TOTAL(records_coalesced);
	double queries = TOTAL(queries_answered), refused = 0;
	json_t *o = json_object(), *by_stage;

	for (unsigned r = 1; r < PE_REASON_COUNT; r++)
		refused += total(from, to, PE_COUNTER_REASON(r));
	json_object_set_new(o, "updates", json_real(updates));
	json_object_set_new(o, "queries", json_real(queries));
	if (updates > 0) {
		json_object_set_new(o, "crossing_share", json_real(TOTAL(crossings) / updates));
		json_object_set_new(
			o, "coalesced_share", json_real(TOTAL(records_coalesced) / updates));
		json_object_set_new(
			o, "forwarded_share", json_real(TOTAL(records_forwarded) / updates));
		json_object_set_new(o, "trailing_share", json_real(TOTAL(trailing) / updates));
		json_object_set_new(o, "crossings_pending_share",
			json_real(TOTAL(crossings_pending) / updates));
	}
	if (queries > 0) {
		json_object_set_new(o, "scanned", json_real(TOTAL(query_candidates)));
		json_object_set_new(o, "hits_a_query", json_real(TOTAL(query_results) / queries));
		json_object_set_new(o, "cells_a_query", json_real(TOTAL(query_cells) / queries));
		json_object_set_new(
			o, "scanned_a_query", json_real(TOTAL(query_candidates) / queries));
		json_object_set_new(o, "truncated", json_real(TOTAL(queries_truncated)));
	}
	if (core->options.fences)
		json_object_set_new(o, "events",
			json_real(TOTAL(events_enter) + TOTAL(events_move) + TOTAL(events_leave)));
	if (core->options.moves) {
		json_object_set_new(o, "events_merged", json_real(TOTAL(events_merged)));
		json_object_set_new(o, "events_lost", json_real(TOTAL(events_lost)));
		json_object_set_new(o, "notices", json_real(TOTAL(notices)));
	}
	json_object_set_new(o, "refused", json_real(refused));
	by_stage = stages(from, to, (updates + queries) * (to->seconds - from->seconds));
	if (by_stage && core->options.workers == 1 && updates + queries > 0)
		json_object_set_new(o, "stages", json_incref(by_stage));
	json_decref(by_stage);
	if (core->options.workers > 1)
		json_object_set_new(o, "updates_worker_0",
			json_real(per_second(from, to, 0, PE_COUNTER_records_applied)));
	return o;
}

static json_t *measure(struct core *core, const struct scenario *s, double seconds)
{
	static const struct core_work idle = {.kind = CORE_IDLE};
	struct window from, to;

	memset(&from, 0, sizeof from);
	memset(&to, 0, sizeof to);
	for (unsigned i = 0; i < core->options.workers; i++)
		core_set_work(core, i, &s->work[i]);
	tool_sleep_s(WARM_S);
	read_counters(core, &from);
	tool_sleep_s(seconds);
	read_counters(core, &to);
	for (unsigned i = 0; i < core->options.workers; i++)
		core_set_work(core, i, &idle);
	return rates(core, &from, &to);
}

static json_t *configuration(const struct core *core)
{
	const struct core_options *o = &core->options;
	uint64_t bytes = pe_engine_memory_bytes(core->engine);

	return json_pack("{s:I,s:i,s:b,s:b,s:b,s:i,s:s,s:s,s:I,s:I,s:f,s:f,s:f,s:f}", "entities",
		(json_int_t)o->entities, "workers", o->workers, "huge_pages_asked", o->huge_pages,
		"thresholds", o->thresholds, "divided", o->divided, "fences", (int)o->fences,
		"pages", pe_memory_kind_name(core->engine->table.record_memory.kind), "scan",
		pe_scan_best() == PE_SCAN_AVX512 ? "AVX-512" : "AVX2", "memory_bytes",
		(json_int_t)bytes, "working_set_bytes", (json_int_t)core_working_set(core),
		"bytes_an_entity", (double)bytes / core->engine->config.entity_count_max,
		"create_s", core->create_s, "fill_s", core->fill_s, "subscribe_s",
		core->subscribe_s);
}

// ---- ways to run ----

static void run_windows(struct core *core, const struct options *o, const struct scenario *s)
{
	double values[WINDOWS_MAX];
	json_t *last = NULL, *figure;

	for (unsigned i = 0; i < o->windows; i++) {
		json_decref(last);
		last = measure(core, s, o->seconds);
		values[i] = json_number_value(
			json_object_get(last, s->queries ? "queries" : "updates"));
	}
	figure = tool_figure(values, o->windows, s->queries ? "queries/s" : "records/s");
	tool_print(json_pack("{s:o,s:o,s:f,s:o}", o->scenario, figure, "last_window", last,
			   "source_ns", core_source_ns(core, &s->work[0]), "configuration",
			   configuration(core)),
		JSON_INDENT(1));
}

static void run_fixed(struct core *core, const struct options *o, const struct scenario *s)
{
	uint64_t done = 0, before = 0, after = 0, v[PE_COUNTER_COUNT];

	// Once over, so that what is made on first use is there.
	(void)core_run(core, &s->work[0], o->iterations / 4 + 1);
	pe_engine_counters(core->engine, v);
	before = v[PE_COUNTER_records_applied] + v[PE_COUNTER_records_coalesced] +
		v[PE_COUNTER_queries_answered];
	CALLGRIND_START_INSTRUMENTATION;
	CALLGRIND_ZERO_STATS;
	done = core_run(core, &s->work[0], o->iterations);
	CALLGRIND_STOP_INSTRUMENTATION;
	pe_engine_counters(core->engine, v);
	after = v[PE_COUNTER_records_applied] + v[PE_COUNTER_records_coalesced] +
		v[PE_COUNTER_queries_answered];
	tool_print(json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "scenario", o->scenario, "operations",
			   (json_int_t)done, "outcomes", (json_int_t)(after - before), "applied",
			   (json_int_t)v[PE_COUNTER_records_applied], "coalesced",
			   (json_int_t)v[PE_COUNTER_records_coalesced], "crossings",
			   (json_int_t)v[PE_COUNTER_crossings], "results",
			   (json_int_t)v[PE_COUNTER_query_results]),
		0);
}

static void serve(struct core *core, const struct options *o)
{
	char line[128], name[64];
	double seconds;

	tool_print(json_pack("{s:o}", "ready", configuration(core)), 0);
	while (fgets(line, sizeof line, stdin)) {
		struct scenario s;

		if (sscanf(line, "%63s %lf", name, &seconds) != 2 ||
			!parse_scenario(name, &o->core, &s) || !(seconds > 0 && seconds <= 600))
			tool_print(
				json_pack("{s:s}", "error", "not a scenario for this engine"), 0);
		else
			tool_print(measure(core, &s, seconds), 0);
	}
}

// The counters must agree with each other when nothing is in flight, or the figures are of
// something else.
static void check(struct core *core)
{
	uint64_t v[PE_COUNTER_COUNT];
	struct pe_identity i;

	tool_sleep_s(core->options.fixed ? 0 : 0.3);
	pe_engine_counters(core->engine, v);
	i = pe_identity_check(v);
	if (i.queries_difference || (i.records_difference && !core->options.fixed))
		fail("records or queries were lost", NULL);
	if (i.records_refused + i.records_dropped > i.records_carried / 1000)
		fail("more than one record in a thousand was refused", NULL);
}

// Exact without taking it all: the bill grows by entity.
static void print_plan(const struct options *o)
{
	uint64_t bytes[2];

	for (unsigned i = 0; i < 2; i++) {
		struct core core;
		struct core_options c = o->core;
		struct pe_error error;

		c.fixed = true;
		c.entities = 65536u << i;
		c.huge_pages = false;
		if (core_start(&core, &c, &error) != PE_OK)
			fail("plan", error.text);
		bytes[i] = pe_engine_memory_bytes(core.engine);
		core_stop(&core);
	}
	double each = (double)(bytes[1] - bytes[0]) / 65536;
	tool_print(json_pack("{s:f,s:f}", "bytes_an_entity", each, "memory_bytes",
			   (double)bytes[0] + each * ((double)o->core.entities - 65536)),
		0);
}

int main(int argc, char **argv)
{
	struct options o = {.seconds = 1, .windows = 5};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.args_doc = "SCENARIO",
		.doc = "The engine without packets. Scenarios: update message:RECORDS crossing:% coalesced:% predict:% query:HITS nearest:COUNT polygon:HITS mixed:% "
		       "foreign:% beside:HITS reader:HITS, serve (they come on standard input, each with its "
		       "seconds), plan."};
	static struct core core;
	struct scenario scenario = {0};
	struct pe_error error;

	o.core = (struct core_options){.entities = 1000000,
		.workers = 1,
		.huge_pages = true,
		.cores = {-1, -1},
		.control_core = -1};
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (strcmp(o.scenario, "plan") == 0) {
		print_plan(&o);
		return EXIT_SUCCESS;
	}
	if (strncmp(o.scenario, "coalesced", 9) == 0)
		o.core.thresholds = true;
	if (strncmp(o.scenario, "predict", 7) == 0)
		o.core.thresholds = o.core.predicts = true;
	if (strncmp(o.scenario, "foreign", 7) == 0) {
		o.core.divided = true;
		o.core.workers = 2;
	}
	if (strncmp(o.scenario, "beside", 6) == 0)
		o.core.workers = 2;
	if (strcmp(o.scenario, "serve") != 0 && !parse_scenario(o.scenario, &o.core, &scenario))
		fail(o.scenario, "no such scenario (--help lists them)");
	if (core_start(&core, &o.core, &error) != PE_OK)
		fail("start", error.text);
	if (o.core.fixed)
		run_fixed(&core, &o, &scenario);
	else if (strcmp(o.scenario, "serve") == 0)
		serve(&core, &o);
	else
		run_windows(&core, &o, &scenario);
	check(&core);
	core_stop(&core);
	return EXIT_SUCCESS;
}
