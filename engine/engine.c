#include "engine.h"

#include "base/rcu.h"
#include "internal.h"
#include "watch.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

static enum pe_status fail(struct pe_error *error, enum pe_status status, const char *format, ...)
{
	va_list args;

	error->status = status;
	va_start(args, format);
	vsnprintf(error->text, sizeof error->text, format, args);
	va_end(args);
	return status;
}

static enum pe_status check_config(const struct pe_engine_config *c, struct pe_error *error)
{
	if (c->worker_count < 1 || c->worker_count > PE_WORKERS_MAX)
		return fail(error, PE_INVALID, "workers: %u, but 1 to %u are possible",
			c->worker_count, PE_WORKERS_MAX);
	if (c->entity_count_max < 1 || c->entity_count_max > PE_ENTITIES_MAX)
		return fail(error, PE_INVALID, "entities: %u, but 1 to %u are possible",
			c->entity_count_max, PE_ENTITIES_MAX);
	if (c->space_count < 1 || c->space_count > PE_SPACES_MAX)
		return fail(error, PE_INVALID, "spaces: %u, but 1 to %u are possible",
			c->space_count, PE_SPACES_MAX);
	if (c->fence_count_max > PE_FENCES_MAX || c->member_count_max >= 1u << 30 ||
		c->subscription_count_max > PE_SUBSCRIPTIONS_MAX)
		return fail(error, PE_INVALID,
			"fences, memberships and subscriptions: at most %u, %u and %u",
			PE_FENCES_MAX, (1u << 30) - 1, PE_SUBSCRIPTIONS_MAX);
	if ((c->event_count_max & (c->event_count_max - 1)) || c->event_count_max == 1 ||
		c->event_count_max > PE_SUBSCRIPTION_EVENTS_MAX)
		return fail(error, PE_INVALID,
			"events of a subscription: %u is not a power of two from 2 to %u",
			c->event_count_max, PE_SUBSCRIPTION_EVENTS_MAX);
	if (c->ring_records & (c->ring_records - 1))
		return fail(error, PE_INVALID, "ring records: %u is not a power of two",
			c->ring_records);
	if (c->tombstone_ms > PE_TTL_MAX_MS || c->clock_ahead_ms > PE_TTL_MAX_MS)
		return fail(error, PE_INVALID, "tombstone and clock_ahead: at most %u ms",
			PE_TTL_MAX_MS);
	if (c->coarse_max > PE_COARSE_MAX)
		return fail(error, PE_INVALID, "thresholds under load: at most %u times as wide",
			PE_COARSE_MAX);
	if (c->details_bytes > PE_DETAILS_BYTES_TOTAL_MAX)
		return fail(error, PE_INVALID, "details: at most %llu bytes",
			PE_DETAILS_BYTES_TOTAL_MAX);
	if (c->query_cells_max > 1u << 30 || c->query_candidates_max > 1u << 30)
		return fail(error, PE_INVALID, "query cells and candidates: at most %u", 1u << 30);
	if (c->query_results_max > PE_QUERY_RESULTS_MAX)
		return fail(error, PE_INVALID, "query results: %u, but at most %u are possible",
			c->query_results_max, PE_QUERY_RESULTS_MAX);
	for (unsigned a = 0; a < c->space_count; a++)
		for (unsigned b = a + 1; b < c->space_count; b++)
			if (memcmp(c->spaces[a].space.id, c->spaces[b].space.id, 16) == 0)
				return fail(error, PE_INVALID, "spaces %u and %u have the same id",
					a + 1, b + 1);
	return PE_OK;
}

// A crossing needs one for a grace period; an entity whose space holds its states back for a time
// of its own has one most of the time. What only the spatial threshold holds back needs none
// (entity/held.h).
static uint32_t default_pending(const struct pe_engine_config *c)
{
	uint32_t quarter = c->entity_count_max / 4 + 64, least = 8192;

	for (unsigned i = 0; i < c->space_count; i++)
		if (c->spaces[i].coalesce_interval_ms || c->spaces[i].frequency_default ||
			c->spaces[i].coalesce_attribute > 0)
			return quarter;
	if (c->entity_count_max / 32 > least)
		return c->entity_count_max / 32;
	return quarter < least ? quarter : least;
}

static void fill_defaults(struct pe_engine_config *c)
{
#define DEFAULT(field, value) \
	if (!c->field) \
	c->field = (value)
	DEFAULT(pending_count_max, default_pending(c));
	// One ring a pair of workers: smaller ones where there are many.
	DEFAULT(ring_records, c->worker_count <= 4 ? PE_RING_RECORDS_MAX : PE_RING_RECORDS_MAX / 8);
	DEFAULT(tombstone_ms, PE_TOMBSTONE_MS);
	DEFAULT(clock_ahead_ms, PE_CLOCK_AHEAD_MS);
	DEFAULT(query_results_max, PE_QUERY_RESULTS_MAX);
	DEFAULT(query_cells_max, PE_QUERY_CELLS_MAX);
	DEFAULT(query_candidates_max, PE_QUERY_CANDIDATES_MAX);
	DEFAULT(member_count_max,
		c->fence_count_max * 16 < 1u << 30 ? c->fence_count_max * 16 : 1u << 29);
	DEFAULT(subscription_count_max, PE_SUBSCRIPTIONS_DEFAULT);
	DEFAULT(event_count_max, 1024);
	DEFAULT(coarse_max, 1);
	for (unsigned i = 0; i < c->space_count; i++) {
		DEFAULT(spaces[i].ttl_default_ms, PE_TTL_DEFAULT_MS);
		DEFAULT(spaces[i].ttl_max_ms, PE_TTL_MAX_MS);
		DEFAULT(spaces[i].predict_horizon_ms, PE_PREDICT_HORIZON_MS);
		DEFAULT(spaces[i].stale_intervals, PE_STALE_INTERVALS);
		DEFAULT(spaces[i].owner_memory_ms, PE_OWNER_MEMORY_MS);
		DEFAULT(spaces[i].plausible_fixes, PE_PLAUSIBLE_FIXES);
		if (!(c->spaces[i].precision_max_m > 0))
			c->spaces[i].precision_max_m = PE_PRECISION_MAX_M;
	}
#undef DEFAULT
}

// Whose word is taken in it, and how fast its entities may be.
static enum pe_status prepare_guard(struct pe_space_entry *s, const struct pe_space_policy *p,
	unsigned i, struct pe_error *error)
{
	if (p->authorization > PE_AUTHORIZATION_KEYRING ||
		p->owner_memory_ms > PE_OWNER_MEMORY_MAX_MS || p->plausible_fixes < 2 ||
		p->plausible_fixes > PE_PLAUSIBLE_FIXES_MAX)
		return fail(error, PE_INVALID,
			"space %u: authorization, its owner memory (at most %u ms) or plausible fixes (2 to %u)",
			i + 1, PE_OWNER_MEMORY_MAX_MS, PE_PLAUSIBLE_FIXES_MAX);
	for (unsigned type = 0; type < 5; type++) {
		if (!(p->speed_max_mps[type] >= 0 && p->speed_max_mps[type] <= 1e9f))
			return fail(error, PE_INVALID,
				"space %u: the greatest speed of a type must be 0 to 1e9 m/s",
				i + 1);
		s->limits_speed |= p->speed_max_mps[type] > 0;
	}
	s->authorizes = p->authorization != PE_AUTHORIZATION_OPEN;
	s->guarded = s->authorizes || s->limits_speed;
	s->owned = s->limits_speed || p->authorization == PE_AUTHORIZATION_FIRST;
	s->surely_m_per_ms = p->speed_max_mps[PE_ENTITY_MOBILE] > 0 ?
		p->speed_max_mps[PE_ENTITY_MOBILE] / 1000 :
		INFINITY;
	s->checks = (uint8_t)((s->limits_speed ? PE_SPACE_SPEED : 0) |
		(p->authorization == PE_AUTHORIZATION_FIRST ? PE_SPACE_OWNER : 0));
	return PE_OK;
}

// What is near is made of few cells.
static enum pe_status check_within(const struct pe_views *views, unsigned space,
	const struct pe_space_config *config, struct pe_error *error)
{
	for (unsigned i = 0; i < views->policy_count; i++) {
		const struct pe_policy *p = &views->policy[i];

		if ((p->space == PE_POLICY_EVERY_SPACE || p->space == space) &&
			p->within_m > PE_NEAR_EDGES_MAX * config->leaf_edge_m)
			return fail(error, PE_INVALID,
				"policy %.31s: within_m: at most %u edges of a leaf cell of the space %.31s, which are %g m",
				p->name, PE_NEAR_EDGES_MAX, config->name,
				PE_NEAR_EDGES_MAX * config->leaf_edge_m);
	}
	return PE_OK;
}

static enum pe_status prepare_spaces(struct pe_engine *e, struct pe_error *error)
{
	e->seen = calloc(
		// cold: at start
		(size_t)e->config.space_count * PE_AUDIENCES_MAX, sizeof *e->seen);
	if (!e->seen)
		return fail(error, PE_NO_MEMORY, "no memory for %u spaces", e->config.space_count);
	for (unsigned i = 0; i < e->config.space_count; i++) {
		struct pe_space_entry *s = &e->spaces[i];
		const struct pe_space_policy *p = &e->config.spaces[i];
		enum pe_status status;

		if (p->ttl_max_ms > PE_TTL_MAX_MS || p->ttl_default_ms > p->ttl_max_ms)
			return fail(error, PE_INVALID,
				"space %u: ttl default %u and cap %u must not be above %u ms",
				i + 1, p->ttl_default_ms, p->ttl_max_ms, PE_TTL_MAX_MS);
		if (p->coalesce_interval_ms > PE_TTL_MAX_MS)
			return fail(error, PE_INVALID, "space %u: coalescing interval above %u ms",
				i + 1, PE_TTL_MAX_MS);
		if (!(p->coalesce_distance_m >= 0 && p->coalesce_distance_m <= 1e6f) ||
			!(p->coalesce_attribute >= 0 && p->coalesce_attribute <= 1))
			return fail(error, PE_INVALID,
				"space %u: coalescing distance must be 0 to 1,000,000 m, attribute 0 to 1",
				i + 1);
		if (!(p->predict_distance_m >= 0 &&
			    p->predict_distance_m <= PE_PREDICT_DISTANCE_MAX_M) ||
			p->predict_horizon_ms > PE_PREDICT_HORIZON_MAX_MS)
			return fail(error, PE_INVALID,
				"space %u: prediction distance must be 0 to %g m, its horizon at most %u ms",
				i + 1, (double)PE_PREDICT_DISTANCE_MAX_M,
				PE_PREDICT_HORIZON_MAX_MS);
		status = pe_space_prepare(&s->space, &p->space, i, error);
		if (status != PE_OK)
			return status;
		s->policy = *p;
		// A confidence that hardly changed covers no move: the attribute threshold alone
		// holds nothing back.
		s->thresholds = p->coalesce_distance_m > 0 || p->coalesce_interval_ms ||
			p->predict_distance_m > 0;
		atomic_init(&s->speed_seen, PE_WIRE_SPEED_LANES);
		s->limits = (struct pe_wire_limits){
			.geodetic = p->space.kind == PE_SPACE_GEODETIC,
			.ttl_max_ms = p->ttl_max_ms,
			.precision_max_m = p->precision_max_m,
		};
		s->ordinary = pe_wire_ordinary_make(&s->limits);
		s->rules.views = &e->views;
		s->rules.space = &s->space;
		atomic_init(&s->rules.present, pe_views_within(&e->views, i));
		status = check_within(&e->views, i, &p->space, error);
		if (status != PE_OK)
			return status;
		s->veils = pe_views_watch_all(&e->views, i);
		s->audience = &e->seen[(size_t)i * PE_AUDIENCES_MAX];
		for (unsigned a = 0; a < PE_AUDIENCES_MAX; a++)
			atomic_init(&s->audience[a].speed_seen, PE_WIRE_SPEED_LANES);
		for (unsigned type = 0; type < 5; type++) {
			s->rules.decay_ms[type] = p->decay_ms[type];
			s->rules.decays |= type && p->decay_ms[type];
		}
		s->frequencies = e->config.details_bytes ? UINT32_MAX : UINT16_MAX;
		for (unsigned mode = 0; mode < 4; mode++) {
			pe_predict_hidden(p, mode, s->hidden_m);
			s->hidden_m[0][mode] *= (float)e->config.coarse_max;
			s->hidden_m[1][mode] *= (float)e->config.coarse_max;
		}
		status = prepare_guard(s, p, i, error);
		if (status != PE_OK)
			return status;
		s->looked = s->guarded || s->veils;
		if (!p->frequency_default && !p->coalesce_interval_ms)
			s->way = p->predict_distance_m > 0 ? PE_WAY_COURSE :
				s->thresholds              ? PE_WAY_COVERED :
							     PE_WAY_PLAIN;
		e->covers |= s->way >= PE_WAY_COVERED;
		e->guards |= s->owned || e->views.tagged;
		e->predicts |= p->predict_distance_m > 0;
		e->holds |= p->coalesce_distance_m > 0 && !p->frequency_default &&
			!p->coalesce_interval_ms;
	}
	return PE_OK;
}

static void destroy_worker(struct pe_worker *w)
{
	if (!w)
		return;
	pe_watch_destroy(w);
	pe_outbox_destroy(w);
	pe_packing_destroy(w);
	pe_query_destroy(&w->query);
	pe_memory_unmap(&w->pending_memory);
	pe_memory_unmap(&w->held_memory);
	pe_memory_unmap(&w->parcels.memory);
	pe_frames_destroy(&w->frames);
	pe_suspects_destroy(&w->suspects);
	free(w);
}

// Entries for what a worker's records hold back: one an entity, for twice as many as it would have,
// were they spread evenly.
static uint32_t held_count(const struct pe_engine *e)
{
	uint32_t all = e->config.entity_count_max, share = all / e->config.worker_count + 1;

	if (!e->holds)
		return 0;
	return 2 * share < all ? 2 * share : all;
}

static enum pe_status create_worker(struct pe_engine *e, unsigned index, struct pe_error *error)
{
	struct pe_engine_config *c = &e->config;
	uint32_t pending = c->pending_count_max / c->worker_count + 1;
	uint32_t held = held_count(e);
	struct pe_worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);

	if (!w)
		return fail(error, PE_NO_MEMORY, "no memory for a worker (%zu bytes)", sizeof *w);
	memset(w, 0, sizeof *w);
	e->workers[index] = w;
	e->other_bytes += sizeof *w;
	w->engine = e;
	w->index = index;
	w->priority_room.messages = UINT32_MAX;
	w->evict_seed = 0x9E3779B97F4A7C15u * (index + 1);
	w->parent = PE_FRAME_NONE;
	pe_worker_set_load(w, 1, false);
	pe_handles_init(&w->handles);
	if (pe_memory_map((size_t)pending * sizeof(struct pe_pending), c->huge_pages,
		    &w->pending_memory) != PE_OK)
		return fail(error, PE_NO_MEMORY, "no memory for %u pending states", pending);
	pe_pending_init(&w->pending, w->pending_memory.base, pending, 0);
	if (held && pe_memory_map(pe_held_bytes(held), c->huge_pages, &w->held_memory) != PE_OK)
		return fail(error, PE_NO_MEMORY, "no memory for %u held states", held);
	if (held)
		pe_held_init(&w->held, w->held_memory.base, held);
	if (c->details_bytes) {
		pe_details_arena_init(&w->arena, &e->table.details, index);
		if (!pe_frames_create(&w->frames))
			return fail(error, PE_NO_MEMORY, "no memory for a worker's frames");
	}
	for (unsigned i = 0; i < c->space_count && !w->suspects.set_count; i++)
		if (e->spaces[i].limits_speed &&
			!pe_suspects_create(&w->suspects, c->entity_count_max / c->worker_count))
			return fail(error, PE_NO_MEMORY, "no memory for a worker's quarantine");
	if (c->worker_count > 1) {
		if (pe_memory_map(PE_PARCELS * sizeof(struct pe_parcel), c->huge_pages,
			    &w->parcels.memory) != PE_OK)
			return fail(error, PE_NO_MEMORY, "no memory for a worker's parcels");
		w->parcels.parcels = w->parcels.memory.base;
	}
	pe_wheel_init(&w->wheel, &e->table.records[0].wheel, sizeof(struct pe_record), 0);
	if (pe_query_create(&w->query, e->grid, &e->table, &w->counters, c->query_results_max,
		    c->query_cells_max, c->query_candidates_max) != PE_OK ||
		pe_outbox_create(w) != PE_OK || pe_packing_create(w) != PE_OK)
		return fail(error, PE_NO_MEMORY, "no memory for a worker's answers");
	return pe_watch_create(w, error);
}

static enum pe_status create_owners(struct pe_engine *e, struct pe_error *error)
{
	bool wanted = false;

	for (unsigned i = 0; i < e->config.space_count; i++)
		wanted |= e->spaces[i].policy.authorization == PE_AUTHORIZATION_FIRST;
	if (wanted &&
		pe_memory_map((size_t)e->config.entity_count_max * sizeof *e->owners.of,
			e->config.huge_pages, &e->owners.memory) != PE_OK)
		return fail(error, PE_NO_MEMORY, "no memory for the owners of %u entities",
			e->config.entity_count_max);
	e->owners.of = e->owners.memory.base;
	return PE_OK;
}

static enum pe_status create_rings(struct pe_engine *e, struct pe_error *error)
{
	unsigned n = e->config.worker_count;
	uint64_t each = pe_ring_spsc_bytes(e->config.ring_records, sizeof(struct pe_change));

	if (n == 1)
		return PE_OK;
	e->rings = aligned_alloc(64, (size_t)n * n * sizeof *e->rings);
	if (!e->rings ||
		pe_memory_map((size_t)(each * n * n), e->config.huge_pages, &e->ring_memory) !=
			PE_OK)
		return fail(error, PE_NO_MEMORY,
			"no memory for the rings between %u workers (%" PRIu64 " bytes)", n,
			each * n * n);
	for (unsigned i = 0; i < n * n; i++)
		pe_ring_spsc_init(&e->rings[i], (uint8_t *)e->ring_memory.base + i * each,
			e->config.ring_records, sizeof(struct pe_change));
	return PE_OK;
}

enum pe_status pe_engine_create(
	const struct pe_engine_config *config, struct pe_engine **engine, struct pe_error *error)
{
	struct pe_engine *e = aligned_alloc(64, (sizeof *e + 63) / 64 * 64);
	enum pe_status status;

	*engine = NULL;
	if (!e)
		return fail(error, PE_NO_MEMORY, "no memory for the engine");
	memset(e, 0, sizeof *e);
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("aes")) {
		free(e);
		return fail(error, PE_UNSUPPORTED,
			"this processor lacks AVX2 or AES; x86-64-v3 with AES is needed");
	}
	status = check_config(config, error);
	if (status != PE_OK)
		goto failed;
	e->config = *config;
	fill_defaults(&e->config);
	status = pe_views_make(&e->views, &config->views, config->space_count, error);
	if (status != PE_OK)
		goto failed;
	if (e->views.crowds)
		status = pe_crowd_make(&e->crowd, e->views.cohort_epochs, error);
	if (status != PE_OK)
		goto failed;
	e->other_bytes += e->crowd.memory.mapped_bytes;
	for (unsigned i = 0; i < e->views.policy_count; i++)
		e->crowd.k[PE_AUDIENCE_POLICY + i] = e->views.policy[i].k;
	status = prepare_spaces(e, error);
	if (status != PE_OK)
		goto failed;
	if (pe_table_create(&e->table, e->config.entity_count_max, e->config.worker_count,
		    e->config.huge_pages) != PE_OK) {
		status = fail(error, PE_NO_MEMORY, "no memory for %u entities; lower `entities`",
			e->config.entity_count_max);
		goto failed;
	}
	status = pe_details_create(&e->table.details, e->config.entity_count_max,
		e->config.details_bytes, e->config.worker_count, e->config.huge_pages);
	if (status != PE_OK) {
		status = fail(error, status, "no memory for %" PRIu64 " bytes of details",
			e->config.details_bytes);
		goto failed;
	}
	status = create_owners(e, error);
	if (status != PE_OK)
		goto failed;
	status = pe_places_create(&e->places, &e->config);
	if (status != PE_OK) {
		status = fail(error, status, "no memory for whose %u entities are",
			e->config.entity_count_max);
		goto failed;
	}
	for (unsigned i = 0; e->views.counted && i < config->space_count; i++)
		e->spaces[i].rules.publisher_of = e->places.of;
	struct pe_grid_config grid = {
		.entity_count_max = e->config.entity_count_max,
		.leaf_count_max = e->config.cell_count_max,
		.node_count_max = e->config.node_count_max,
		.chunk_count_max = e->config.chunk_count_max,
		.crossing_count_max = e->config.pending_count_max,
		.worker_count = e->config.worker_count,
		.huge_pages = e->config.huge_pages,
	};
	status = pe_grid_create(&grid, &e->grid, error);
	if (status != PE_OK)
		goto failed;
	e->workers = calloc(e->config.worker_count, sizeof *e->workers);
	status = e->workers ? create_rings(e, error) :
			      fail(error, PE_NO_MEMORY, "no memory for workers");
	if (status == PE_OK)
		status = pe_watch_create_shared(e, error);
	for (unsigned i = 0; i < e->config.worker_count && status == PE_OK; i++)
		status = create_worker(e, i, error);
	if (status != PE_OK)
		goto failed;
	*engine = e;
	return PE_OK;
failed:
	pe_engine_destroy(e);
	return status;
}

void pe_engine_destroy(struct pe_engine *engine)
{
	if (!engine)
		return;
	for (unsigned i = 0; engine->workers && i < engine->config.worker_count; i++)
		destroy_worker(engine->workers[i]);
	free(engine->workers);
	pe_crowd_unmake(&engine->crowd);
	pe_views_unmake(&engine->views);
	free(engine->seen);
	pe_watch_destroy_shared(engine);
	pe_memory_unmap(&engine->ring_memory);
	free(engine->rings);
	if (engine->grid)
		pe_grid_destroy(engine->grid);
	pe_places_destroy(&engine->places);
	pe_details_destroy(&engine->table.details);
	pe_table_destroy(&engine->table);
	pe_memory_unmap(&engine->owners.memory);
	pe_principals_destroy(
		atomic_load_explicit(&engine->directory.retired, memory_order_relaxed));
	pe_principals_destroy(
		atomic_load_explicit(&engine->directory.current, memory_order_relaxed));
	free(engine);
}

struct pe_worker *pe_engine_worker(struct pe_engine *engine, unsigned index)
{
	assert(index < engine->config.worker_count);
	return engine->workers[index];
}

uint64_t pe_engine_memory_bytes(const struct pe_engine *engine)
{
	uint64_t bytes = engine->table.record_memory.mapped_bytes +
		engine->table.index_memory.mapped_bytes + pe_grid_plan(engine->grid).total_bytes +
		engine->table.details.entry_memory.mapped_bytes +
		engine->table.details.unit_memory.mapped_bytes +
		engine->places.memory.mapped_bytes + engine->ring_memory.mapped_bytes +
		engine->owners.memory.mapped_bytes + engine->other_bytes +
		pe_watch_memory_bytes(engine);

	for (unsigned i = 0; i < engine->config.worker_count; i++)
		bytes += engine->workers[i]->pending_memory.mapped_bytes +
			engine->workers[i]->held_memory.mapped_bytes +
			engine->workers[i]->parcels.memory.mapped_bytes +
			engine->workers[i]->frames.memory.mapped_bytes +
			engine->workers[i]->suspects.memory.mapped_bytes +
			engine->workers[i]->query.memory.mapped_bytes +
			engine->workers[i]->outbox_memory.mapped_bytes +
			engine->workers[i]->packing_memory.mapped_bytes;
	return bytes;
}

static void print_pool(FILE *out, const char *name, uint64_t count, const char *what,
	uint64_t bytes, const char *pages)
{
	fprintf(out, "  %-16s %12" PRIu64 " %-10s %10.1f MiB  %s\n", name, count, what,
		(double)bytes / (1 << 20), pages);
}

void pe_engine_print_plan(const struct pe_engine *engine, FILE *out)
{
	const struct pe_engine_config *c = &engine->config;
	const struct pe_table *t = &engine->table;
	struct pe_grid_plan g = pe_grid_plan(engine->grid);
	uint64_t pending = 0, held = 0, held_states = 0, suspects = 0,
		 workers = engine->other_bytes, total = pe_engine_memory_bytes(engine);

	for (unsigned i = 0; i < c->worker_count; i++) {
		pending += engine->workers[i]->pending_memory.mapped_bytes;
		held += engine->workers[i]->held_memory.mapped_bytes;
		held_states += engine->workers[i]->held.count_max;
		suspects += engine->workers[i]->suspects.memory.mapped_bytes;
		workers += engine->workers[i]->query.memory.mapped_bytes +
			engine->workers[i]->parcels.memory.mapped_bytes +
			engine->workers[i]->frames.memory.mapped_bytes +
			engine->workers[i]->outbox_memory.mapped_bytes +
			engine->workers[i]->packing_memory.mapped_bytes;
	}
	fprintf(out, "memory plan (taken at start, never grows):\n");
	print_pool(out, "records", c->entity_count_max, "entities", t->record_memory.mapped_bytes,
		pe_memory_kind_name(t->record_memory.kind));
	print_pool(out, "index", t->index.partition_buckets * (uint64_t)t->index.partition_count,
		"buckets", t->index_memory.mapped_bytes, pe_memory_kind_name(t->index_memory.kind));
	print_pool(out, "leaves", g.leaves, "cells", g.leaf_bytes, "");
	print_pool(out, "nodes", g.nodes, "nodes", g.node_bytes, "");
	print_pool(out, "chunks", g.chunks, "of 32", g.chunk_bytes, "");
	print_pool(out, "deferred", g.crossings, "crossings", g.deferred_bytes, "");
	print_pool(out, "grid, the rest", 0, "",
		g.total_bytes - g.leaf_bytes - g.node_bytes - g.chunk_bytes - g.deferred_bytes, "");
	print_pool(out, "pending", c->pending_count_max, "states", pending, "");
	if (held)
		print_pool(out, "held back", held_states, "states", held, "");
	if (c->details_bytes) {
		print_pool(out, "details", t->details.unit_count * (uint64_t)c->worker_count,
			"of 64", t->details.unit_memory.mapped_bytes, "");
		print_pool(out, "", c->entity_count_max, "entries",
			t->details.entry_memory.mapped_bytes, "");
	}
	if (engine->owners.of)
		print_pool(out, "owners", c->entity_count_max, "entities",
			engine->owners.memory.mapped_bytes, "");
	if (suspects)
		print_pool(out, "quarantine", suspects / sizeof(struct pe_suspect), "suspects",
			suspects, "");
	print_pool(out, "rings", (uint64_t)c->worker_count * (c->worker_count - 1), "rings",
		engine->ring_memory.mapped_bytes, "");
	if (engine->watch)
		print_pool(out, "standing queries", c->fence_count_max, "fences",
			pe_watch_memory_bytes(engine), "");
	print_pool(out, "workers", c->worker_count, "workers", workers, "");
	fprintf(out, "  %-16s %12s %-10s %10.1f MiB  %.0f bytes an entity\n", "in all", "", "",
		(double)total / (1 << 20),
		(double)(total - t->details.unit_memory.mapped_bytes) / c->entity_count_max);
	if (engine->watch)
		fprintf(out,
			"  %-16s %12s %-10s %10.1f MiB  shapes and logs, taken when they are asked for\n",
			"at most besides", "", "",
			(double)pe_watch_memory_more(engine) / (1 << 20));
}

struct pe_heap_use pe_engine_heap_use(const struct pe_engine *engine)
{
	struct pe_heap_use all = {0};

	for (unsigned i = 0; engine->watch && i < engine->config.worker_count; i++) {
		struct pe_heap_use one = pe_heap_read(engine->workers[i]->watch->heap);

		all.taken_bytes += one.taken_bytes;
		all.bytes_max = one.bytes_max; // what all of them may hold together
		all.active_bytes += one.active_bytes;
		all.mapped_bytes += one.mapped_bytes;
	}
	return all;
}

void pe_engine_counters(const struct pe_engine *engine, uint64_t values[PE_COUNTER_COUNT])
{
	memset(values, 0, PE_COUNTER_COUNT * sizeof values[0]);
	for (unsigned i = 0; i < engine->config.worker_count; i++)
		for (unsigned c = 0; c < PE_COUNTER_COUNT; c++)
			values[c] += atomic_load_explicit(
				&engine->workers[i]->counters.value[c], memory_order_relaxed);
}

uint64_t pe_engine_entity_count(const struct pe_engine *engine)
{
	uint64_t v[PE_COUNTER_COUNT];

	pe_engine_counters(engine, v);
	return v[PE_COUNTER_created] - v[PE_COUNTER_expired] - v[PE_COUNTER_withdrawn] -
		v[PE_COUNTER_erased] - v[PE_COUNTER_evicted];
}

bool pe_engine_control(struct pe_engine *engine)
{
	bool wanted = atomic_exchange_explicit(&engine->control_wanted, 0, memory_order_relaxed);
	bool grid = pe_grid_control(engine->grid) != 0;

	wanted |= pe_authorize_control(&engine->directory);
	if (engine->views.crowds)
		pe_crowd_prepare(&engine->crowd, engine->views.epoch_ms);
	if (!wanted && !grid)
		return false;
	pe_rcu_synchronize();
	return true;
}
