// Memory of standing queries: what all workers share, what each has of its own, and the heaps for
// what comes and goes with fences and subscriptions.
#include "watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t power_of_two(uint64_t n)
{
	uint64_t p = 1;

	while (p < n)
		p *= 2;
	return (uint32_t)p;
}

// Messages of a ring: fewer where there are many.
static uint32_t ring_count(const struct pe_engine *e)
{
	return e->config.worker_count <= 2 ? 4096 : e->config.worker_count <= 4 ? 1024 : 256;
}

// Cells of a fence: as many as there are for each, so that all fences find room however wide they
// are. Its edge is placed on coarser cells rather than on more.
#define FENCE_CELLS 64u

static struct pe_fence_config fence_config(const struct pe_engine_config *c)
{
	uint64_t placements = (uint64_t)c->fence_count_max * FENCE_CELLS;

	return (struct pe_fence_config){.fence_count_max = c->fence_count_max,
		.placement_count_max = placements < 4096 ? 4096 :
			placements < 1u << 29            ? (uint32_t)placements :
							   1u << 29,
		.fence_cells_max = FENCE_CELLS,
		.stack_max = 256,
		.huge_pages = c->huge_pages};
}

static uint32_t handle_end(const struct pe_engine_config *c)
{
	return pe_handle_nth(c->entity_count_max - 1) + 1;
}

static struct pe_member_config member_config(struct pe_worker *w)
{
	const struct pe_engine_config *c = &w->engine->config;

	return (struct pe_member_config){
		.member_count_max = c->member_count_max / c->worker_count + 1,
		.fence_count_max = c->fence_count_max,
		.handle_end = handle_end(c),
		.huge_pages = c->huge_pages,
		.tell = pe_watch_tell_member,
		.context = w};
}

static enum pe_status fail(struct pe_error *error, const char *what)
{
	error->status = PE_NO_MEMORY;
	snprintf(error->text, sizeof error->text,
		"no memory for %s of standing queries; lower `fences`", what);
	return PE_NO_MEMORY;
}

enum pe_status pe_watch_create_shared(struct pe_engine *e, struct pe_error *error)
{
	struct pe_engine_config *c = &e->config;
	unsigned n = c->worker_count;
	uint64_t each = pe_ring_spsc_bytes(ring_count(e), sizeof(struct pe_watch_message));
	struct pe_watch_shared *s;

	if (!c->fence_count_max)
		return PE_OK;
	// cold: at start
	s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
	if (!s)
		return fail(error, "what workers share");
	memset(s, 0, sizeof *s);
	e->watch = s;
	s->events_max = c->event_count_max;
	s->fence_count_max = c->fence_count_max;
	s->subscription_count_max = c->subscription_count_max;
	s->fence_bytes_max = (4u << 20) + 2048 * (uint64_t)c->fence_count_max;
	if (pe_memory_map((uint64_t)c->entity_count_max * sizeof *s->safe, c->huge_pages,
		    &s->safe_memory) != PE_OK)
		return fail(error, "the safe regions");
	s->safe = s->safe_memory.base;
	if (n == 1)
		return PE_OK;
	// cold: at start
	s->rings = aligned_alloc(64, (size_t)n * n * sizeof *s->rings);
	if (!s->rings ||
		pe_memory_map((size_t)(each * n * n), c->huge_pages, &s->ring_memory) != PE_OK)
		return fail(error, "the rings");
	for (unsigned i = 0; i < n * n; i++)
		pe_ring_spsc_init(&s->rings[i], (uint8_t *)s->ring_memory.base + i * each,
			ring_count(e), sizeof(struct pe_watch_message));
	return PE_OK;
}

static void *carve(uintptr_t *at, uint64_t bytes)
{
	void *p = (void *)*at;

	*at += (bytes + 63) & ~63ull;
	return p;
}

// Two passes over one list: the bill, then the places.
static uint64_t lay_out(
	struct pe_watch *x, const struct pe_engine_config *c, uint32_t hits_max, void *base)
{
	uintptr_t at = (uintptr_t)base;

	x->hits = carve(&at, hits_max * sizeof *x->hits);
	x->names = carve(&at, ((uint64_t)x->name_mask + 1) * sizeof(void *));
	x->part_names = carve(&at, ((uint64_t)x->name_mask + 1) * sizeof(void *));
	x->subscriptions =
		carve(&at, (uint64_t)x->subscription_count_max * sizeof *x->subscriptions);
	x->subscription_names =
		carve(&at, ((uint64_t)x->subscription_name_mask + 1) * sizeof(uint32_t));
	x->waiting = carve(&at, (uint64_t)x->waiting_count_max * sizeof *x->waiting);
	x->waiting_buckets = carve(&at, ((uint64_t)x->waiting_mask + 1) * sizeof(uint32_t));
	return at - (uintptr_t)base;
}

static void make_empty(struct pe_watch *x)
{
	for (uint32_t i = 0; i < x->subscription_count_max; i++) {
		x->subscriptions[i].next_free =
			i + 1 < x->subscription_count_max ? i + 1 : PE_WATCH_NONE;
		pe_wheel_link_init(&x->subscriptions[i].timer);
	}
	for (uint32_t i = 0; i < x->waiting_count_max; i++)
		x->waiting[i].chain = i + 1 < x->waiting_count_max ? i + 1 : PE_WATCH_NONE;
	memset(x->subscription_names, 0xFF,
		((size_t)x->subscription_name_mask + 1) * sizeof(uint32_t));
	memset(x->waiting_buckets, 0xFF, ((size_t)x->waiting_mask + 1) * sizeof(uint32_t));
	for (unsigned i = 0; i < PE_PRIORITIES; i++)
		x->ready[i] = PE_WATCH_NONE;
	pe_wheel_init(&x->timers, &x->subscriptions[0].timer, sizeof(struct pe_subscription), 0);
}

enum pe_status pe_watch_create(struct pe_worker *w, struct pe_error *error)
{
	const struct pe_engine_config *c = &w->engine->config;
	struct pe_fence_config fences = fence_config(c);
	struct pe_member_config members;
	struct pe_watch *x;
	uint32_t hits_max;
	enum pe_status status;

	if (!w->engine->watch)
		return PE_OK;
	members = member_config(w);
	// cold: at start
	x = aligned_alloc(64, (sizeof *x + 63) / 64 * 64);
	if (!x)
		return fail(error, "a worker");
	memset(x, 0, sizeof *x);
	w->watch = x;
	// Any of the workers may come to keep all that there is.
	if (pe_heap_create(pe_watch_memory_more(w->engine), &x->heap) != PE_OK)
		return fail(error, "what comes and goes");
	status = pe_fence_create(&fences, &x->index, error);
	if (status == PE_OK)
		status = pe_member_create(&members, 0, &x->members, error);
	if (status != PE_OK)
		return status;
	hits_max = pe_fence_plan(&fences).hits_max;
	x->name_mask = power_of_two(c->fence_count_max) - 1;
	x->subscription_count_max = c->subscription_count_max;
	x->subscription_name_mask = power_of_two(c->subscription_count_max) - 1;
	x->waiting_count_max = c->member_count_max / 4 < 1024 ? 1024 : c->member_count_max / 4;
	x->waiting_mask = power_of_two(x->waiting_count_max) - 1;
	if (pe_memory_map(lay_out(x, c, hits_max, NULL), c->huge_pages, &x->memory) != PE_OK)
		return fail(error, "the subscriptions");
	lay_out(x, c, hits_max, x->memory.base);
	make_empty(x);
	x->key = &w->engine->table.index.key;
	x->epoch = PE_SAFE_EPOCH(w->index);
	return PE_OK;
}

static void destroy_fences(struct pe_watch *x, uint32_t events_max)
{
	for (uint32_t i = 0; i < x->subscription_count_max; i++) {
		struct pe_subscription *s = &x->subscriptions[i];

		for (struct pe_watch_fence *f = s->fences, *next; f; f = next) {
			next = f->next;
			pe_heap_give(x->heap, f, f->bytes);
		}
		pe_heap_give(x->heap, s->log, (size_t)events_max * sizeof *s->log);
	}
}

void pe_watch_destroy(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;

	if (!x)
		return;
	if (x->memory.base)
		destroy_fences(x, w->engine->watch->events_max);
	pe_heap_destroy(x->heap);
	pe_fence_destroy(x->index);
	pe_member_destroy(x->members);
	pe_memory_unmap(&x->memory);
	free(x); // cold: at the end
	w->watch = NULL;
}

void pe_watch_destroy_shared(struct pe_engine *e)
{
	if (!e->watch)
		return;
	pe_memory_unmap(&e->watch->ring_memory);
	pe_memory_unmap(&e->watch->safe_memory);
	free(e->watch->rings); // cold: at the end
	free(e->watch);        // cold: at the end
	e->watch = NULL;
}

uint64_t pe_watch_memory_bytes(const struct pe_engine *e)
{
	struct pe_fence_config fences = fence_config(&e->config);
	uint64_t bytes = 0;

	if (!e->watch)
		return 0;
	for (unsigned i = 0; i < e->config.worker_count; i++) {
		struct pe_member_config members = member_config(e->workers[i]);

		bytes += pe_fence_plan(&fences).total_bytes + pe_member_plan(&members).total_bytes +
			sizeof(struct pe_watch) + e->workers[i]->watch->memory.mapped_bytes;
	}
	return bytes + sizeof *e->watch + e->watch->ring_memory.mapped_bytes +
		e->watch->safe_memory.mapped_bytes;
}

uint64_t pe_watch_memory_more(const struct pe_engine *e)
{
	if (!e->watch)
		return 0;
	return e->watch->fence_bytes_max +
		(uint64_t)e->watch->subscription_count_max * e->watch->events_max *
		sizeof(struct pe_wire_event);
}
