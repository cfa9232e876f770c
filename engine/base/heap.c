#include "base/heap.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef PE_JEMALLOC
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#endif

struct pe_heap {
	uint64_t bytes_max;
	// Written by the heap's worker alone.
	_Atomic uint64_t taken_bytes;
	unsigned arena;
	int flags;
};

#ifdef PE_JEMALLOC

static bool open_arena(struct pe_heap *h)
{
	size_t size = sizeof h->arena;
	ssize_t never = -1;
	char name[64];

	if (mallctl("arenas.create", &h->arena, &size, NULL, 0))
		return false;
	// Caches of threads would hold what is counted as given back.
	h->flags = MALLOCX_ALIGN(PE_HEAP_ALIGNMENT) | MALLOCX_ARENA(h->arena) | MALLOCX_TCACHE_NONE;
	snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", h->arena);
	return !mallctl(name, NULL, NULL, &never, sizeof never);
}

static void close_arena(struct pe_heap *h)
{
	char name[64];

	snprintf(name, sizeof name, "arena.%u.destroy", h->arena);
	mallctl(name, NULL, NULL, NULL, 0);
}

static size_t rounded(const struct pe_heap *h, size_t bytes)
{
	return nallocx(bytes, h->flags);
}

static void *take(const struct pe_heap *h, size_t bytes)
{
	return mallocx(bytes, h->flags);
}

static void give(const struct pe_heap *h, void *memory)
{
	dallocx(memory, h->flags);
}

static uint64_t statistic(const struct pe_heap *h, const char *what, uint64_t unit)
{
	char name[64];
	size_t value = 0, size = sizeof value;

	snprintf(name, sizeof name, "stats.arenas.%u.%s", h->arena, what);
	return mallctl(name, &value, &size, NULL, 0) ? 0 : value * unit;
}

static void read_arena(const struct pe_heap *h, struct pe_heap_use *use)
{
	uint64_t epoch = 1;
	size_t page = 0, size = sizeof page;

	mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
	if (mallctl("arenas.page", &page, &size, NULL, 0))
		return;
	use->active_bytes = statistic(h, "pactive", page);
	use->mapped_bytes = statistic(h, "mapped", 1);
}

#else

static bool open_arena(struct pe_heap *h)
{
	(void)h;
	return true;
}

static void close_arena(struct pe_heap *h)
{
	(void)h;
}

static size_t rounded(const struct pe_heap *h, size_t bytes)
{
	(void)h;
	return bytes > SIZE_MAX - PE_HEAP_ALIGNMENT ?
		0 :
		(bytes + PE_HEAP_ALIGNMENT - 1) / PE_HEAP_ALIGNMENT * PE_HEAP_ALIGNMENT;
}

static void *take(const struct pe_heap *h, size_t bytes)
{
	return aligned_alloc(PE_HEAP_ALIGNMENT, rounded(h, bytes)); // cold: see the header
}

static void give(const struct pe_heap *h, void *memory)
{
	(void)h;
	free(memory); // cold: see the header
}

static void read_arena(const struct pe_heap *h, struct pe_heap_use *use)
{
	(void)h;
	(void)use;
}

#endif

enum pe_status pe_heap_create(uint64_t bytes_max, struct pe_heap **heap)
{
	struct pe_heap *h = calloc(1, sizeof *h); // cold: at start

	*heap = NULL;
	if (!h)
		return PE_NO_MEMORY;
	h->bytes_max = bytes_max;
	if (!open_arena(h)) {
		free(h); // cold: at start
		return PE_NO_MEMORY;
	}
	*heap = h;
	return PE_OK;
}

void pe_heap_destroy(struct pe_heap *h)
{
	if (!h)
		return;
	close_arena(h);
	free(h); // cold: at the end
}

void *pe_heap_take(struct pe_heap *h, size_t bytes)
{
	uint64_t taken = atomic_load_explicit(&h->taken_bytes, memory_order_relaxed);
	size_t size = bytes && bytes <= h->bytes_max ? rounded(h, bytes) : 0;
	void *memory = NULL;

	if (size && size <= h->bytes_max - taken)
		memory = take(h, bytes);
	if (memory)
		atomic_store_explicit(&h->taken_bytes, taken + size, memory_order_relaxed);
	return memory;
}

void pe_heap_give(struct pe_heap *h, void *memory, size_t bytes)
{
	if (!memory)
		return;
	give(h, memory);
	atomic_store_explicit(&h->taken_bytes,
		atomic_load_explicit(&h->taken_bytes, memory_order_relaxed) - rounded(h, bytes),
		memory_order_relaxed);
}

struct pe_heap_use pe_heap_read(const struct pe_heap *h)
{
	struct pe_heap_use use = {0};

	if (!h)
		return use;
	use.taken_bytes = atomic_load_explicit(&h->taken_bytes, memory_order_relaxed);
	use.bytes_max = h->bytes_max;
	read_arena(h, &use);
	return use;
}
