// presence-paired-bench: do answers take as long where somebody is hidden near the place that is
// asked about as where nobody is? One engine, two states of its world that take turns in random
// order: in one the hidden entities lie about the asked places, in the other they are as many as
// before, far away, or not there at all. The same places are asked about in both, by who may not
// see the hidden ones, a message of one query a turn, measured by the processor's clock from the
// message to its answer.
//
//   presence-paired-bench [--pairs N] [--core N] [--seed N] [--absent | --same]
//       measures, and prints one JSON object
//   presence-paired-bench --count [--seed N] [--absent]
//       asks once for each kind and place, under callgrind
//
// For each kind of question: Welch's t of the two worlds' times, of all times below what 95 in 100
// are below (what interrupts a worker is no part of its answer), and of the medians of each turn of
// a world, which a slow spell of the machine cannot make seem many samples; and the t of the
// differences of two turns that followed each other. `seen` is what the measure shows where there
// is something: the same question by who may see them.
#include "engine.h"
#include "internal.h"
#include "tools_json.h"
#include "wire/encode.h"
#include "wire/extension.h"

#include <argp.h>
#include <math.h>
#include <string.h>
#include <x86intrin.h>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT      ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

#define VISIBLE      40000u
#define SIDE_M       4000.0
#define HIDDEN       512u
#define HIDDEN_AT    1000000u // their numbers begin there
#define OTHERS_AT    2000000u
#define INSTEAD_AT   3000000u // of others, far away, where the hidden ones don't exist
#define PLACES       64u      // that are asked about
#define ASKED        4u       // of them, in a turn of a world, of each kind
#define NEAR_M       60.0     // of an asked place
#define FAR_M        200000.0
#define RADIUS_M     60.0
#define INCARNATION  1700000000u
#define SETTLE       1000u // turns and grace periods between the worlds, at most
#define SETTLE_LEAST 64u   // as many for both worlds, where one is made sooner
#define QUIET        16u   // turns that had nothing left to do
#define CUT          0.95
#define COUNTED      4u // turns of worlds, two of each
#define ALICE        1u // sees them
#define BOB          2u

enum kind { SPHERE, NEAREST, BOX, POINT, CELLS, EXPLAIN, SEEN, KINDS };
static const char *const kind_names[KINDS] = {
	"sphere", "nearest", "box", "point", "cells", "explain", "seen"};

struct options {
	uint64_t pairs, seed;
	int core;
	bool absent, count, same;
};

struct bench {
	struct options options;
	struct pe_engine *engine;
	struct pe_worker *worker;
	struct pe_now now;
	struct pe_sink sink;
	uint8_t *buffers;
	unsigned buffer;
	uint64_t random, sequence;
	uint32_t incarnation, record;
	double place[PLACES][3];
	uint64_t answered, answer_bytes;
	// by world
	double *times[KINDS][2], *medians[KINDS][2];
	size_t count[KINDS], turns;
};

static uint64_t next(struct bench *b)
{
	uint64_t z = b->random += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static double between(struct bench *b, double low, double high)
{
	return low + (high - low) * ((double)(next(b) >> 11) * 0x1p-53);
}

static uint8_t *reserve(void *context, const struct pe_peer *peer)
{
	struct bench *b = context;

	(void)peer;
	b->buffer = (b->buffer + 1) % (PE_OUTBOX_MAX + 1);
	return b->buffers + b->buffer * 2048u;
}

static void commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct bench *b = context;

	(void)peer;
	(void)data;
	b->answered += bytes > 0;
	b->answer_bytes += bytes;
}

static unsigned turn(struct bench *b, const uint8_t *data, uint32_t bytes, uint32_t principal)
{
	struct pe_message m = {.data = data,
		.bytes = bytes,
		.peer = {.port = 4000, .trusted = true, .principal = principal}};

	m.peer.address[15] = 1;
	return pe_worker_turn(b->worker, b->now, &m, bytes ? 1 : 0, &b->sink);
}

// What making a world leaves to be done is no part of an answer.
static void settle(struct bench *b)
{
	for (unsigned i = 0, quiet = 0; i < SETTLE && (i < SETTLE_LEAST || quiet < QUIET); i++) {
		bool busy;

		b->now.mono_ms++;
		b->now.wall_ms++;
		busy = turn(b, NULL, 0, 0) != 0;
		busy |= pe_engine_control(b->engine);
		quiet = busy || pe_worker_in_flight(b->worker) ? 0 : quiet + 1;
	}
}

static struct pe_wire_header header(struct bench *b)
{
	return (struct pe_wire_header){.sequence = ++b->sequence, .timestamp_ms = b->now.wall_ms};
}

static void id_of(uint8_t id[16], uint64_t n)
{
	uint64_t spread = n * 0x9E3779B97F4A7C15u;

	memcpy(id, &n, 8);
	memcpy(id + 8, &spread, 8);
}

// Updates of `count` entities from number `first` on, at places that `place` gives.
static void publish(struct bench *b, uint64_t first, uint32_t count, uint16_t attributes,
	void (*place)(struct bench *b, uint32_t i, double position[3]))
{
	_Alignas(8) uint8_t buffer[PE_WIRE_BYTES_MAX];

	b->record++;
	for (uint32_t i = 0; i < count; i += PE_UPDATE_COUNT_MAX) {
		struct pe_wire_update_preamble preamble = {.incarnation = INCARNATION};
		struct pe_wire_update u[PE_UPDATE_COUNT_MAX] = {0};
		struct pe_wire_header h = header(b);

		for (unsigned k = 0; k < PE_UPDATE_COUNT_MAX; k++) {
			id_of(u[k].entity_id, first + i + k);
			place(b, i + k, u[k].position);
			u[k].sequence = b->record;
			u[k].entity_type = PE_ENTITY_MOBILE;
			u[k].attributes = attributes;
			u[k].ttl_ms = 86400000;
			u[k].precision_m = 3;
		}
		(void)turn(b, buffer,
			pe_wire_put_update(
				buffer, sizeof buffer, &h, &preamble, u, PE_UPDATE_COUNT_MAX),
			ALICE);
		if (i % 4096 == 0)
			(void)pe_engine_control(b->engine);
	}
}

static void anywhere(struct bench *b, uint32_t i, double position[3])
{
	(void)i;
	position[0] = between(b, 0, SIDE_M);
	position[1] = between(b, 0, SIDE_M);
	position[2] = 0;
}

static void near_asked(struct bench *b, uint32_t i, double position[3])
{
	position[0] = b->place[i % PLACES][0] + between(b, -NEAR_M, NEAR_M);
	position[1] = b->place[i % PLACES][1] + between(b, -NEAR_M, NEAR_M);
	position[2] = 0;
}

static void far_away(struct bench *b, uint32_t i, double position[3])
{
	near_asked(b, i, position);
	position[0] += FAR_M;
}

static void withdraw(struct bench *b, uint64_t first)
{
	_Alignas(8) uint8_t buffer[PE_WIRE_BYTES_MAX];

	b->record++;
	for (uint32_t i = 0; i < HIDDEN; i += 32) {
		struct pe_wire_update_preamble preamble = {.incarnation = INCARNATION};
		struct pe_wire_withdraw w[32] = {0};
		struct pe_wire_header h = header(b);

		for (unsigned k = 0; k < 32; k++) {
			id_of(w[k].entity_id, first + i + k);
			w[k].sequence = b->record;
		}
		turn(b, buffer, pe_wire_put_withdraw(buffer, sizeof buffer, &h, &preamble, w, 32),
			ALICE);
	}
}

// World 1 has them at hand. The last thing that is done is the same for both, with others, far
// away, of whom nothing is left.
static void make_world(struct bench *b, unsigned world)
{
	const uint16_t restricted = PE_RESTRICTED << 3;

	publish(b, HIDDEN_AT, HIDDEN, restricted, world ? near_asked : far_away);
	if (b->options.absent)
		publish(b, INSTEAD_AT, HIDDEN, restricted, far_away);
	settle(b);
	// As many there are in both worlds, and as many have gone.
	if (b->options.absent)
		withdraw(b, world ? INSTEAD_AT : HIDDEN_AT);
	publish(b, OTHERS_AT, HIDDEN, restricted, far_away);
	settle(b);
	withdraw(b, OTHERS_AT);
	settle(b);
	// What is remembered of who is gone is forgotten.
	b->now.mono_ms += 1000;
	b->now.wall_ms += 1000;
	settle(b);
}

static uint32_t question(struct bench *b, enum kind kind, unsigned place, uint8_t *buffer)
{
	const double *at = b->place[place];
	struct pe_wire_query q = {.query_id = 1,
		.kind = PE_QUERY_SPHERE,
		.a = {at[0], at[1], at[2]},
		.b = {RADIUS_M}};
	struct pe_wire_resolution r = {.spatial_m = 64, .attribute = 0.5f};
	struct pe_wire_explain e = {.selector = PE_EXPLAIN_QUERY};
	struct pe_wire_header h = header(b);
	_Alignas(8) uint8_t extension[64];
	uint32_t bytes = 0;

	switch (kind) {
	case NEAREST:
		q.kind = PE_QUERY_NEAREST;
		q.max_results = 10;
		q.b[0] = 0;
		break;
	case BOX:
		q.kind = PE_QUERY_BOX;
		for (unsigned i = 0; i < 2; i++) {
			q.a[i] = at[i] - RADIUS_M;
			q.b[i] = at[i] + RADIUS_M;
		}
		q.a[2] = -10;
		q.b[2] = 10;
		break;
	case POINT:
		q.kind = PE_QUERY_POINT;
		q.b[0] = 0;
		break;
	case CELLS:
		bytes = pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);
		q.flags = PE_QUERY_HAS_EXTENSION;
		q.extension_bytes = (uint16_t)bytes;
		break;
	case EXPLAIN: // of one that is hidden in both worlds, or absent in one of them
		id_of(e.entity_id, HIDDEN_AT + place);
		return pe_wire_put_explain(buffer, PE_WIRE_BYTES_MAX, &h, &e, &q, NULL);
	default:
		break;
	}
	return pe_wire_put_query_extended(buffer, PE_WIRE_BYTES_MAX, &h, &q, 1, extension, bytes);
}

static double measured(struct bench *b, enum kind kind, unsigned place)
{
	_Alignas(64) uint8_t buffer[PE_WIRE_BYTES_MAX];
	uint32_t bytes = question(b, kind, place, buffer);
	unsigned other;
	uint64_t from, until;

	from = __rdtscp(&other);
	_mm_lfence();
	(void)turn(b, buffer, bytes, kind == SEEN ? ALICE : BOB);
	until = __rdtscp(&other);
	_mm_lfence();
	return (double)(until - from);
}

static void ask(struct bench *b, unsigned world, unsigned first, unsigned from, unsigned until)
{
	double of[KINDS][ASKED];

	// Whatever making the world has taken out of the caches comes back.
	for (unsigned round = 0; round < 3; round++)
		for (unsigned kind = from; kind < until; kind++)
			for (unsigned i = 0; i < ASKED; i++)
				(void)measured(b, kind, (first + i) % PLACES);
	for (unsigned i = 0; i < ASKED; i++)
		for (unsigned kind = from; kind < until; kind++)
			of[kind][i] = measured(b, kind, (first + i) % PLACES);
	for (unsigned kind = from; kind < until; kind++) {
		memcpy(b->times[kind][world] + b->turns * ASKED, of[kind], sizeof of[kind]);
		tool_sort(of[kind], ASKED);
		b->medians[kind][world][b->turns] =
			(of[kind][ASKED / 2 - 1] + of[kind][ASKED / 2]) / 2;
	}
}

// Under callgrind with --collect-atstart=no: the instructions of each question by itself, in dumps
// of the name `world kind place`. The first time is not counted.
static void count(struct bench *b, unsigned world)
{
	_Alignas(64) uint8_t buffer[PE_WIRE_BYTES_MAX];
	char name[64];

	for (unsigned kind = 0; kind < KINDS; kind++)
		for (unsigned i = 0; i < 2 * PLACES; i++) {
			uint32_t bytes = question(b, kind, i % PLACES, buffer);

			// Copies choose their way by where they go to.
			b->buffer = 0;
			if (i < PLACES) {
				(void)turn(b, buffer, bytes, kind == SEEN ? ALICE : BOB);
				continue;
			}
			CALLGRIND_TOGGLE_COLLECT;
			(void)turn(b, buffer, bytes, kind == SEEN ? ALICE : BOB);
			CALLGRIND_TOGGLE_COLLECT;
			snprintf(
				name, sizeof name, "%u %s %u", world, kind_names[kind], i % PLACES);
			CALLGRIND_DUMP_STATS_AT(name);
		}
}

// ---- statistics ----

struct moments {
	double count, mean, variance;
};

static struct moments moments_of(const double *v, size_t count, double below)
{
	struct moments m = {0};

	for (size_t i = 0; i < count; i++) {
		double d = v[i] - m.mean;

		if (v[i] > below)
			continue;
		m.count++;
		m.mean += d / m.count;
		m.variance += d * (v[i] - m.mean);
	}
	m.variance /= m.count - 1;
	return m;
}

static double welch(const struct moments *a, const struct moments *b)
{
	return (b->mean - a->mean) / sqrt(a->variance / a->count + b->variance / b->count);
}

static double cut_of(double *const of[2], size_t count)
{
	double *all = malloc(2 * count * sizeof *all), cut;

	if (!all)
		abort();
	memcpy(all, of[0], count * sizeof *all);
	memcpy(all + count, of[1], count * sizeof *all);
	tool_sort(all, (unsigned)(2 * count));
	cut = all[(size_t)(CUT * (double)(2 * count))];
	free(all);
	return cut;
}

// Of the differences of turns that follow each other, which no drift of the machine is in.
static double t_of_pairs(struct bench *b, enum kind kind)
{
	double *apart = malloc(b->turns * sizeof *apart), *far = malloc(b->turns * sizeof *far),
	       cut;
	struct moments m;
	size_t count = 0;

	if (!apart || !far)
		abort();
	for (size_t i = 0; i < b->turns; i++) {
		apart[i] = b->medians[kind][1][i] - b->medians[kind][0][i];
		far[i] = fabs(apart[i]);
	}
	tool_sort(far, (unsigned)b->turns);
	cut = far[(size_t)(CUT * (double)b->turns)];
	for (size_t i = 0; i < b->turns; i++)
		if (fabs(apart[i]) <= cut)
			apart[count++] = apart[i];
	m = moments_of(apart, count, INFINITY);
	free(apart);
	free(far);
	return m.mean / sqrt(m.variance / m.count);
}

static json_t *told(struct bench *b, enum kind kind, double ns_a_tick)
{
	size_t count = b->turns * ASKED;
	double cut = cut_of(b->times[kind], count),
	       cut_medians = cut_of(b->medians[kind], b->turns);
	struct moments t[2], m[2];

	for (unsigned w = 0; w < 2; w++) {
		t[w] = moments_of(b->times[kind][w], count, cut);
		m[w] = moments_of(b->medians[kind][w], b->turns, cut_medians);
	}
	return json_pack("{s:f,s:f,s:f,s:f,s:f,s:I}", "t", welch(&t[0], &t[1]), "t_of_medians",
		welch(&m[0], &m[1]), "t_of_pairs", t_of_pairs(b, kind), "ns", t[0].mean * ns_a_tick,
		"more_ns", (t[1].mean - t[0].mean) * ns_a_tick, "queries", (json_int_t)(2 * count));
}

// ---- the engine ----

static void set_up(struct bench *b)
{
	static const uint32_t allow[] = {ALICE};
	struct pe_policy policy = {.name = "friends",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_RESTRICTED,
		.allow = allow,
		.allow_count = 1};
	struct pe_engine_config c = {
		.worker_count = 1, .entity_count_max = 2 * VISIBLE, .space_count = 1};
	struct pe_error error;

	strcpy(c.spaces[0].space.name, "plane");
	memset(c.spaces[0].space.id, 0xA0, 16);
	c.spaces[0].space.kind = PE_SPACE_CARTESIAN;
	c.spaces[0].space.leaf_edge_m = 64;
	c.spaces[0].space.leaf_height_m = 1024;
	c.pending_count_max = c.entity_count_max;
	c.tombstone_ms = 500;
	c.views = (struct pe_views_config){.policies = &policy, .policy_count = 1};
	if (pe_engine_create(&c, &b->engine, &error) != PE_OK) {
		fprintf(stderr, "presence-paired-bench: %s\n", error.text);
		exit(1);
	}
	b->worker = pe_engine_worker(b->engine, 0);
	b->sink = (struct pe_sink){.context = b, .reserve = reserve, .commit = commit};
	b->now = (struct pe_now){.mono_ms = 1000, .wall_ms = INCARNATION * 1000ull + 500000};
	b->buffers = aligned_alloc(64, (PE_OUTBOX_MAX + 1) * 2048u);
	for (unsigned kind = 0; kind < KINDS; kind++)
		for (unsigned w = 0; w < 2; w++) {
			b->times[kind][w] = calloc(b->options.pairs * ASKED, sizeof(double));
			b->medians[kind][w] = calloc(b->options.pairs, sizeof(double));
			if (!b->times[kind][w] || !b->medians[kind][w])
				abort();
		}
	if (!b->buffers)
		abort();
	pe_worker_attach(b->worker);
	for (unsigned i = 0; i < PLACES; i++) {
		anywhere(b, i, b->place[i]);
		b->place[i][0] = 200 + b->place[i][0] * 0.9;
		b->place[i][1] = 200 + b->place[i][1] * 0.9;
	}
	publish(b, 1, VISIBLE, 0, anywhere);
	settle(b);
}

static double tick_ns(void)
{
	double from_s = tool_seconds();
	uint64_t from = __rdtsc();

	tool_sleep_s(0.05);
	return (tool_seconds() - from_s) * 1e9 / (double)(__rdtsc() - from);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'p':
		o->pairs = strtoull(argument, NULL, 0);
		if (o->pairs < 10 || o->pairs > 1000000)
			argp_error(state, "--pairs: 10 to 1000000");
		return 0;
	case 'c':
		o->core = (int)strtol(argument, NULL, 0);
		return 0;
	case 's':
		o->seed = strtoull(argument, NULL, 0);
		return 0;
	case 'a':
		o->absent = true;
		return 0;
	case 'e':
		o->same = true;
		return 0;
	case 'n':
		o->count = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_list[] = {
	{"pairs", 'p', "N", 0, "turns of both worlds (13000)", 0},
	{"core", 'c', "N", 0, "to stand on (-1: any)", 0},
	{"seed", 's', "N", 0, "of places and order (1)", 0},
	{"absent", 'a', NULL, 0, "where they are not near they don't exist", 0},
	{"same", 'e', NULL, 0, "both worlds are the one without: what the measure makes of nothing",
		0},
	{"count", 'n', NULL, 0, "for callgrind: each question in its own dump", 0},
	{0},
};
static const struct argp argp = {option_list, parse, NULL,
	"Answer times of two worlds, with and without hidden entities near the asked place.", NULL,
	NULL, NULL};

static void measure_kinds(struct bench *b, uint64_t pairs, unsigned from, unsigned until)
{
	for (b->turns = 0; b->turns < pairs; b->turns++) {
		unsigned first = (unsigned)(next(b) % PLACES), order = (unsigned)(next(b) & 1);

		for (unsigned k = 0; k < 2; k++) {
			make_world(b, (order ^ k) && !b->options.same);
			ask(b, order ^ k, first, from, until);
		}
	}
}

static void measure(struct bench *b)
{
	json_t *out = json_object();
	double ns;

	measure_kinds(b, b->options.pairs, 0, SEEN);
	ns = tick_ns();
	for (unsigned kind = 0; kind < SEEN; kind++)
		json_object_set_new(out, kind_names[kind], told(b, kind, ns));
	// Apart: what it looks at, which differs, would be felt by the others.
	measure_kinds(b, b->options.pairs / 10, SEEN, KINDS);
	json_object_set_new(out, kind_names[SEEN], told(b, SEEN, ns));
	tool_print(out, JSON_INDENT(1));
}

int main(int argc, char **argv)
{
	static struct bench b = {.options = {.pairs = 13000, .seed = 1, .core = -1}};

	argp_parse(&argp, argc, argv, 0, NULL, &b.options);
	if (!tool_pin(b.options.core))
		fprintf(stderr, "presence-paired-bench: cannot stand on core %d\n", b.options.core);
	b.random = b.options.seed;
	set_up(&b);
	if (b.options.count) {
		for (unsigned i = 0; i < COUNTED; i++) {
			make_world(&b, i & 1);
			count(&b, i & 1);
		}
	} else {
		measure(&b);
	}
	pe_worker_detach(b.worker);
	pe_engine_destroy(b.engine);
	return 0;
}
