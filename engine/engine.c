// An engine made and unmade, in one order and the reverse, and what the control thread does for it.
#include "engine.h"

#include "answer.h"
#include "base/rcu.h"
#include "internal.h"
#include "watch.h"

#include <inttypes.h>
#include <stdlib.h>

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
		return pe_fail(
			error, PE_NO_MEMORY, "no memory for a worker (%zu bytes)", sizeof *w);
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
		return pe_fail(error, PE_NO_MEMORY, "no memory for %u pending states", pending);
	pe_pending_init(&w->pending, w->pending_memory.base, pending, 0);
	if (held && pe_memory_map(pe_held_bytes(held), c->huge_pages, &w->held_memory) != PE_OK)
		return pe_fail(error, PE_NO_MEMORY, "no memory for %u held states", held);
	if (held)
		pe_held_init(&w->held, w->held_memory.base, held);
	if (c->details_bytes) {
		pe_details_arena_init(&w->arena, &e->table.details, index);
		if (!pe_frames_create(&w->frames))
			return pe_fail(error, PE_NO_MEMORY, "no memory for a worker's frames");
	}
	for (unsigned i = 0; i < c->space_count && !w->suspects.set_count; i++)
		if (e->spaces[i].limits_speed &&
			!pe_suspects_create(&w->suspects, c->entity_count_max / c->worker_count))
			return pe_fail(error, PE_NO_MEMORY, "no memory for a worker's quarantine");
	if (c->worker_count > 1) {
		if (pe_memory_map(PE_PARCELS * sizeof(struct pe_parcel), c->huge_pages,
			    &w->parcels.memory) != PE_OK)
			return pe_fail(error, PE_NO_MEMORY, "no memory for a worker's parcels");
		w->parcels.parcels = w->parcels.memory.base;
	}
	pe_wheel_init(&w->wheel, &e->table.records[0].wheel, sizeof(struct pe_record), 0);
	if (pe_query_create(&w->query, e->grid, &e->table, &w->counters, c->query_results_max,
		    c->query_cells_max, c->query_candidates_max) != PE_OK ||
		pe_outbox_create(w) != PE_OK || pe_packing_create(w) != PE_OK)
		return pe_fail(error, PE_NO_MEMORY, "no memory for a worker's answers");
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
		return pe_fail(error, PE_NO_MEMORY, "no memory for the owners of %u entities",
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
		return pe_fail(error, PE_NO_MEMORY,
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
		return pe_fail(error, PE_NO_MEMORY, "no memory for the engine");
	memset(e, 0, sizeof *e);
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("aes")) {
		free(e);
		return pe_fail(error, PE_UNSUPPORTED,
			"this processor lacks AVX2 or AES; x86-64-v3 with AES is needed");
	}
	status = pe_engine_configure(e, config, error);
	if (status != PE_OK)
		goto failed;
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
	status = pe_engine_prepare_spaces(e, error);
	if (status != PE_OK)
		goto failed;
	if (pe_table_create(&e->table, e->config.entity_count_max, e->config.worker_count,
		    e->config.huge_pages) != PE_OK) {
		status = pe_fail(error, PE_NO_MEMORY, "no memory for %u entities; lower `entities`",
			e->config.entity_count_max);
		goto failed;
	}
	status = pe_details_create(&e->table.details, e->config.entity_count_max,
		e->config.details_bytes, e->config.worker_count, e->config.huge_pages);
	if (status != PE_OK) {
		status = pe_fail(error, status, "no memory for %" PRIu64 " bytes of details",
			e->config.details_bytes);
		goto failed;
	}
	status = create_owners(e, error);
	if (status != PE_OK)
		goto failed;
	status = pe_places_create(&e->places, &e->config);
	if (status != PE_OK) {
		status = pe_fail(error, status, "no memory for whose %u entities are",
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
			      pe_fail(error, PE_NO_MEMORY, "no memory for workers");
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
