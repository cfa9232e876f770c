#include "core_ask.h"

#include "base/rcu.h"
#include "core_guard.h"
#include "crowd.h"
#include "internal.h"
#include "tools.h"

#include <stdlib.h>
#include <time.h>

#define ENTITIES_SPARE 1024u
#define THRESHOLD_M    0.5
// the far place of an entity whose small moves are covered by the threshold
#define FAR_M        2.0
#define TTL_MS       36000000u
#define BUFFERS      (PE_OUTBOX_MAX + 1)
#define MESSAGES     32u // of updates, a turn
#define FIXED_MS     (CROWD_INCARNATION * 1000ull + 500000)
#define FILL_LIMIT_S 120
// Guarded: entities take turns in steps of a prime, which is not one of any number of them.
#define TURNS_STEP   2654435761ull
#define COARSE_LEVEL 1u

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct pe_now now(const struct core *core)
{
	if (core->options.fixed)
		return (struct pe_now){.mono_ms = core->fixed_ms, .wall_ms = core->fixed_ms};
	return (struct pe_now){
		.mono_ms = clock_ms(CLOCK_MONOTONIC), .wall_ms = clock_ms(CLOCK_REALTIME)};
}

// ---- answers: encoded, and forgotten ----

static uint8_t *sink_reserve(void *context, const struct pe_peer *peer)
{
	struct core_worker *w = context;

	(void)peer;
	// At most PE_OUTBOX_MAX are open at once, so that the next in turn is closed.
	w->buffer = (w->buffer + 1) % BUFFERS;
	return w->buffers + w->buffer * 2048u;
}

static void sink_commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct core_worker *w = context;

	(void)peer;
	(void)data;
	w->answer_bytes += bytes;
}

// ---- updates ----

// Divided: number's lowest bit says where it comes in, the next whether that is not its owner's.
static unsigned owner_of(const struct core *core, uint32_t number)
{
	return core->options.divided ? (number ^ number >> 1) & 1 : 0;
}

// Apart, so that the others' instructions stay what they were.
__attribute__((noinline, cold)) static void guard_change(
	const struct core_options *o, struct pe_change *c)
{
	enum core_guard guard = o->restricted ? CORE_RESTRICTED : o->guard;

	c->way = PE_WAY_GENERAL;
	c->principal = core_peer.principal;
	if (guard == CORE_RESTRICTED)
		c->update.attributes = pe_audience_put(0, PE_AUDIENCE_POLICY);
	if (guard == CORE_COARSE)
		c->update.attributes = pe_audience_put(0, PE_AUDIENCE_COARSE);
}

static void model_change(const struct core_worker *w, struct pe_change *c, uint64_t wall_ms)
{
	*c = (struct pe_change){.time_ms = wall_ms,
		.incarnation = CROWD_INCARNATION,
		.handle = PE_HANDLE_NONE,
		.ack = PE_ACK_NONE,
		.kind = PE_CHANGE_UPDATE,
		.owner = (uint8_t)w->index,
		.way = w->core->engine->spaces[0].way};
	c->update.entity_type = PE_ENTITY_MOBILE;
	if (__builtin_expect(w->core->options.restricted | w->core->options.guard, 0))
		guard_change(&w->core->options, c);
	c->update.ttl_ms = w->core->engine->spaces[0].policy.ttl_default_ms;
}

static inline void fill_change(const struct core_worker *w, struct pe_change *c,
	const struct pe_change *model, uint32_t number, uint32_t sequence)
{
	*c = *model;
	crowd_id(number, c->update.entity_id);
	crowd_place(number, sequence, w->core->side_m, c->update.position);
	c->update.sequence = sequence;
	c->hash = pe_hash_id(&w->core->engine->table.index.key, c->update.entity_id);
}

// Which entity is next, and where it goes. The shares are of 2^16.
struct shares {
	uint32_t far, foreign;
	bool stays; // the far place is in the same cell
	bool divided;
};

// The way along x to the other one of an entity's two places.
static inline double far_from(double x, bool stays)
{
	double cells = x / CROWD_CELL_M;

	if (!stays)
		return CROWD_CELL_M;
	// Towards the cell's middle, or some of those near its edges would leave it.
	return copysign(FAR_M, 0.5 - (cells - floor(cells)));
}

static struct shares shares_of(const struct core *core, const struct core_work *work)
{
	// With a threshold all that is not covered goes to the other one of two places in the same
	// cell.
	bool covered = core->options.thresholds;
	double far = covered ? 1 - work->coalesced : work->crossing;

	return (struct shares){.far = (uint32_t)(far * 65536),
		.foreign = (uint32_t)(work->foreign * 65536),
		.stays = covered,
		.divided = core->options.divided};
}

static inline void next_change(struct core_worker *w, struct pe_change *c,
	const struct pe_change *model, const struct shares *s)
{
	uint64_t random = crowd_random(&w->random);
	uint32_t count = w->core->options.entities, number, sequence = ++w->sequence;

	if (s->divided)
		number = crowd_below(random, count / 4) * 4 +
			((random >> 16 & 0xFFFF) < s->foreign) * 2 + w->index;
	else
		number = crowd_below(random, count);
	fill_change(w, c, model, number, sequence);
	// Once some have moved they stay where they are until a work moves them again.
	if (s->far || w->any_moved) {
		// No branch hangs on chance here: the engine is measured, and not how well its
		// source is foreseen.
		uint64_t *at = &w->moved[number >> 6], moved = *at;

		moved ^= (uint64_t)((random & 0xFFFF) < s->far) << (number & 63);
		*at = moved;
		c->update.position[0] += far_from(c->update.position[0], s->stays) *
			(double)(moved >> (number & 63) & 1);
	}
}

static unsigned updates(struct core_worker *w, const struct core_work *work, uint64_t wall_ms)
{
	struct shares s = shares_of(w->core, work);
	struct pe_change model;

	model_change(w, &model, wall_ms);
	w->any_moved = w->any_moved || s.far;
	pe_count(&w->worker->counters, PE_COUNTER_records_carried, CORE_TURN_RECORDS);
	for (unsigned i = 0; i < CORE_TURN_RECORDS; i++) {
		next_change(w, pe_apply_next(w->worker), &model, &s);
		pe_apply_add(w->worker);
	}
	pe_apply_flush(w->worker);
	pe_apply_flush_rings(w->worker);
	return CORE_TURN_RECORDS;
}

// The next numbers of those that this worker shall own.
static unsigned fill(struct core_worker *w, uint64_t wall_ms)
{
	struct pe_change model;
	uint32_t *n = &w->filled;
	unsigned sent = 0;

	model_change(w, &model, wall_ms);
	for (; *n < w->core->options.entities && sent < CORE_TURN_RECORDS; ++*n) {
		if (owner_of(w->core, *n) != w->index)
			continue;
		fill_change(w, pe_apply_next(w->worker), &model, *n, 1);
		pe_apply_add(w->worker);
		sent++;
	}
	pe_count(&w->worker->counters, PE_COUNTER_records_carried, sent);
	pe_apply_flush(w->worker);
	pe_apply_flush_rings(w->worker);
	return sent;
}

double core_source_ns(struct core *core, const struct core_work *work)
{
	struct core_worker *w = &core->workers[0];
	struct shares s = shares_of(core, work);
	struct core_worker own = *w;
	struct pe_change model, batch[PE_BATCH_MAX];
	const unsigned rounds = 1u << 16;
	double from;

	model_change(&own, &model, FIXED_MS);
	// The bits of the true source stay as they are.
	s.far = 0;
	from = tool_seconds();
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = 0; i < PE_BATCH_MAX; i++) {
			next_change(&own, &batch[i], &model, &s);
			__asm__ volatile("" ::"r"(&batch[i]) : "memory");
		}
	return (tool_seconds() - from) * 1e9 / rounds / PE_BATCH_MAX;
}

// ---- updates as messages ----

// What a source would hand over: messages whose records are of random entities.
static unsigned messages_of(
	struct core_worker *w, const struct core_work *work, struct pe_message messages[MESSAGES])
{
	const enum core_guard guard = w->core->options.guard;
	const uint32_t entities = w->core->options.entities;
	const uint16_t attributes = guard == CORE_RESTRICTED ? PE_RESTRICTED << 3 :
		guard == CORE_COARSE                         ? COARSE_LEVEL << 7 :
							       0;
	uint32_t first = sizeof(struct pe_wire_header) + sizeof(struct pe_wire_update_preamble);
	uint32_t bytes = first + work->records * (uint32_t)sizeof(struct pe_wire_update);

	if (w->records != work->records) {
		struct pe_wire_header header = {.stream_id = w->index + 1};
		struct pe_wire_update_preamble preamble = {.incarnation = CROWD_INCARNATION};
		struct pe_wire_update records[PE_UPDATE_COUNT_MAX] = {0};

		for (unsigned r = 0; r < work->records; r++)
			records[r] = (struct pe_wire_update){.entity_id = {1},
				.entity_type = PE_ENTITY_MOBILE,
				.attributes = attributes};
		for (unsigned m = 0; m < MESSAGES; m++)
			(void)!pe_wire_put_update(w->messages + m * PE_WIRE_BYTES_MAX,
				PE_WIRE_BYTES_MAX, &header, &preamble, records, work->records);
		w->records = work->records;
	}
	for (unsigned m = 0; m < MESSAGES; m++) {
		uint8_t *at = w->messages + m * PE_WIRE_BYTES_MAX;

		messages[m] = (struct pe_message){.data = at, .bytes = bytes, .peer = core_peer};
		at += first;
		for (unsigned r = 0; r < work->records; r++) {
			struct pe_wire_update *u = (struct pe_wire_update *)at;
			double position[3];
			uint32_t number = guard ? (uint32_t)(w->turns++ * TURNS_STEP % entities) :
						  crowd_below(crowd_random(&w->random), entities);

			w->sequence++;
			crowd_id(number, at);
			crowd_place(number, w->sequence, w->core->side_m, position);
			memcpy(u->position, position, sizeof position);
			memcpy(&u->sequence, &w->sequence, sizeof w->sequence);
			at += sizeof *u;
		}
	}
	pe_count(&w->worker->counters, PE_COUNTER_rx_packets, MESSAGES);
	return MESSAGES * work->records;
}

// ---- turns ----

// Records handed over are not to be dropped: a worker sends nothing new while it or its neighbour
// is behind.
static bool behind(const struct core_worker *w)
{
	const struct core *core = w->core;
	uint32_t most = w->worker->engine->config.ring_records / 4;

	return core->options.workers > 1 &&
		(pe_worker_in_flight(core->workers[!w->index].worker) > most ||
			pe_worker_in_flight(w->worker) > most);
}

__attribute__((noinline)) unsigned core_turn(struct core_worker *w, const struct core_work *work)
{
	const struct pe_sink sink = {w, sink_reserve, sink_commit};
	struct pe_message messages[MESSAGES];
	struct pe_now time = now(w->core);
	unsigned count = 0, done = 0;

	// Mixed: a turn's updates, and the queries that are due by now.
	if (work->kind == CORE_MIXED)
		w->queries_due += CORE_TURN_RECORDS * work->queries / (1 - work->queries);
	if (work->kind == CORE_QUERIES ||
		w->queries_due >= CORE_QUERY_MESSAGES * PE_QUERY_COUNT_MAX) {
		done = core_queries(w, work, messages);
		count = CORE_QUERY_MESSAGES;
		w->queries_due = work->kind == CORE_MIXED ? w->queries_due - done : 0;
	}
	if (work->kind == CORE_SUBSCRIBE)
		count = core_subscribe(w, messages);
	if (work->kind == CORE_MESSAGES && !behind(w)) {
		done = messages_of(w, work, messages);
		count = MESSAGES;
	}
	(void)pe_worker_turn(w->worker, time, messages, count, &sink);
	if ((work->kind == CORE_UPDATES || work->kind == CORE_MIXED) && !behind(w))
		done += updates(w, work, time.wall_ms);
	else if (work->kind == CORE_FILL && !behind(w))
		done = fill(w, time.wall_ms);
	return done;
}

static void *run_worker(void *context)
{
	struct core_worker *w = context;
	struct core *core = w->core;
	const struct core_work *last = NULL;

	if (!tool_pin(core->options.cores[w->index]))
		fprintf(stderr, "not pinned to core %d\n", core->options.cores[w->index]);
	pe_worker_attach(w->worker);
	for (unsigned turn = 0;; turn++) {
		const struct core_work *work = atomic_load_explicit(&w->work, memory_order_acquire);

		if (work != last) {
			last = work;
			atomic_store_explicit(&w->taken, work, memory_order_release);
		}
		if (turn % 16 == 0 && atomic_load_explicit(&core->stop, memory_order_relaxed))
			break;
		(void)core_turn(w, work);
	}
	pe_worker_detach(w->worker);
	return NULL;
}

// As the production one (dataplane/lifecycle.c): a millisecond between grace periods.
static void *run_control(void *context)
{
	struct core *core = context;

	(void)tool_pin(core->options.control_core);
	while (!atomic_load_explicit(&core->stop, memory_order_relaxed)) {
		(void)pe_engine_control(core->engine);
		tool_sleep_s(0.001);
	}
	return NULL;
}

void core_set_work(struct core *core, unsigned worker, const struct core_work *work)
{
	struct core_worker *w = &core->workers[worker];

	atomic_store_explicit(&w->work, work, memory_order_release);
	while (atomic_load_explicit(&w->taken, memory_order_acquire) != work)
		tool_sleep_s(0.0001);
}

uint64_t core_run(struct core *core, const struct core_work *work, uint64_t operations)
{
	uint64_t done = 0;

	while (done < operations) {
		unsigned n = core_turn(&core->workers[0], work);

		done += n;
		if (work->kind == CORE_FILL && !n)
			break;
		core->fixed_ms++;
		(void)pe_engine_control(core->engine);
	}
	return done;
}

// ---- start and stop ----

static enum pe_status fail(struct pe_error *error, enum pe_status status, const char *text)
{
	error->status = status;
	snprintf(error->text, sizeof error->text, "%s", text);
	return status;
}

static struct pe_engine_config config_of(const struct core_options *o)
{
	struct pe_engine_config c = {.worker_count = o->workers,
		.entity_count_max = o->entities + ENTITIES_SPARE,
		.huge_pages = o->huge_pages,
		.fence_count_max = o->fences,
		.member_count_max = o->fences ? o->entities + o->entities / 4 : 0,
		.space_count = 1};

	c.spaces[0] =
		(struct pe_space_policy){.ttl_default_ms = TTL_MS, .ttl_max_ms = PE_TTL_MAX_MS};
	c.spaces[0].space = (struct pe_space_config){.id = {1},
		.kind = PE_SPACE_CARTESIAN,
		.leaf_edge_m = CROWD_CELL_M,
		.leaf_height_m = 1024};
	if (o->thresholds && o->predicts)
		c.spaces[0].predict_distance_m = (float)THRESHOLD_M;
	else if (o->thresholds)
		c.spaces[0].coalesce_distance_m = (float)THRESHOLD_M;
	core_guard_config(o->restricted ? CORE_RESTRICTED : o->guard, &c);
	return c;
}

static const struct core_work idle_work = {.kind = CORE_IDLE}, fill_work = {.kind = CORE_FILL},
			      subscribe_work = {.kind = CORE_SUBSCRIBE};

static enum pe_status start_workers(struct core *core, struct pe_error *error)
{
	const struct core_options *o = &core->options;

	for (unsigned i = 0; i < o->workers; i++) {
		struct core_worker *w = &core->workers[i];

		w->core = core;
		w->worker = pe_engine_worker(core->engine, i);
		w->index = i;
		w->random = CROWD_RANDOM + i * 0x9E3779B97F4A7C15ull;
		w->sequence = 1;
		w->moved = calloc(o->entities / 64 + 1, sizeof *w->moved);
		w->request =
			aligned_alloc(64, (CORE_QUERY_MESSAGES * PE_WIRE_BYTES_MAX + 63) / 64 * 64);
		w->messages = aligned_alloc(64, (MESSAGES * PE_WIRE_BYTES_MAX + 63) / 64 * 64);
		w->buffers = aligned_alloc(64, BUFFERS * 2048);
		if (!w->moved || !w->request || !w->messages || !w->buffers)
			return fail(error, PE_NO_MEMORY, "no memory for a worker's source");
		memset(w->buffers, 0, BUFFERS * 2048);
		core_prepare_requests(w, CORE_SPHERE);
		atomic_store_explicit(&w->work, &idle_work, memory_order_relaxed);
		if (!o->fixed && pthread_create(&w->thread, NULL, run_worker, w))
			return fail(error, PE_IO, "no thread for a worker");
	}
	if (o->fixed)
		pe_worker_attach(core->workers[0].worker);
	else if (pthread_create(&core->control, NULL, run_control, core))
		return fail(error, PE_IO, "no control thread");
	core->threads = !o->fixed;
	return PE_OK;
}

static enum pe_status fill_all(struct core *core, struct pe_error *error)
{
	uint32_t entities = core->options.entities;
	double limit = tool_seconds() + FILL_LIMIT_S;

	if (core->options.fixed)
		(void)core_run(core, &fill_work, UINT64_MAX);
	else
		for (unsigned i = 0; i < core->options.workers; i++)
			core_set_work(core, i, &fill_work);
	while (pe_engine_entity_count(core->engine) < entities && tool_seconds() < limit)
		tool_sleep_s(0.001);
	if (!core->options.fixed)
		for (unsigned i = 0; i < core->options.workers; i++)
			core_set_work(core, i, &idle_work);
	if (pe_engine_entity_count(core->engine) == entities)
		return PE_OK;
	return fail(error, PE_FULL, "the entities did not all come to be");
}

// Until all fences are in place, and everyone who is in one was told of.
static enum pe_status subscribe_all(struct core *core, struct pe_error *error)
{
	const struct core_worker *w = &core->workers[0];
	double limit = tool_seconds() + FILL_LIMIT_S;
	uint64_t told = 0, quiet = 0;

	core_set_work(core, 0, &subscribe_work);
	while (quiet < 100 && tool_seconds() < limit) {
		uint64_t now = core_counted(w, PE_COUNTER_events_enter);

		tool_sleep_s(0.01);
		quiet = now == told &&
				core_counted(w, PE_COUNTER_fences_added) == core->options.fences ?
			quiet + 1 :
			0;
		told = now;
	}
	core_set_work(core, 0, &idle_work);
	if (quiet < 100 || core_counted(w, PE_COUNTER_events_gap) ||
		core_counted(w, PE_COUNTER_members_refused))
		return fail(error, PE_FULL, "the fences did not all come to stand");
	core->subscribe_s -= 1; // the quiet second
	return PE_OK;
}

enum pe_status core_start(
	struct core *core, const struct core_options *options, struct pe_error *error)
{
	struct pe_engine_config config = config_of(options);
	enum pe_status status;
	double from = tool_seconds();

	*core = (struct core){.options = *options, .fixed_ms = FIXED_MS};
	core->side_m = crowd_side_m(options->entities);
	if (options->workers < 1 || options->workers > CORE_WORKERS_MAX || options->entities < 64 ||
		options->entities % 4 || (options->fixed && options->workers != 1) ||
		(options->fences && (options->fixed || options->workers != 1)))
		return fail(error, PE_INVALID,
			"1 or 2 workers, 1 when fixed; entities: a multiple of 4, at least 64");
	status = pe_engine_create(&config, &core->engine, error);
	if (status != PE_OK)
		return status;
	if (options->fixed) {
		memset(&core->engine->table.index.key, 0x5A, sizeof core->engine->table.index.key);
		core_grid_fix_secret(core->engine->grid);
	}
	if (options->restricted) // which an update's door would have noted
		atomic_store(&core->engine->spaces[0].rules.present, 1u << PE_AUDIENCE_POLICY);
	status = core_guard_open(core, error);
	if (status != PE_OK) {
		pe_engine_destroy(core->engine);
		return status;
	}
	core->create_s = tool_seconds() - from;
	status = start_workers(core, error);
	if (status == PE_OK)
		status = fill_all(core, error);
	core->fill_s = tool_seconds() - from - core->create_s;
	if (status == PE_OK && options->fences)
		status = subscribe_all(core, error);
	if (options->fences)
		core->subscribe_s += tool_seconds() - from - core->create_s - core->fill_s;
	if (status != PE_OK)
		core_stop(core);
	return status;
}

void core_stop(struct core *core)
{
	const struct core_options *o = &core->options;

	atomic_store_explicit(&core->stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < o->workers; i++) {
		struct core_worker *w = &core->workers[i];

		if (w->thread)
			pthread_join(w->thread, NULL);
		free(w->moved);
		free(w->request);
		free(w->messages);
		free(w->buffers);
	}
	if (core->threads)
		pthread_join(core->control, NULL);
	else if (core->workers[0].worker && o->fixed)
		pe_worker_detach(core->workers[0].worker);
	pe_engine_destroy(core->engine);
	core->engine = NULL;
}

uint64_t core_working_set(const struct core *core)
{
	const struct pe_table *t = &core->engine->table;

	return pe_records_bytes(core->options.entities) + t->index_memory.bytes +
		core_grid_bytes_used(core->engine->grid);
}
