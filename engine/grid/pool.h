// A fixed pool of objects known by index: a lock-free stack of free indices with a tag against
// reuse, and a small cache a worker in front of it. Tuned for objects that are taken rarely and
// given back in batches by the control thread. take and give: any thread with its own worker
// number; give_shared: any thread.
#pragma once

#include "base/memory.h"

#include <stdatomic.h>
#include <stdint.h>

#define PE_POOL_NONE  0xFFFFFFFFu
#define PE_POOL_CACHE 30 // indices a worker keeps at most: with count and mark, two cache lines

struct pe_pool_cache {
	uint32_t count;                // its worker only
	uint32_t index[PE_POOL_CACHE]; // its worker only
	uint32_t spare;
} __attribute__((aligned(128)));

struct pe_pool {
	// POOL: the top of the stack, tag in the high half. Written by whoever takes or gives.
	// Release on give, acquire on take: what was written to the object before it was given is
	// visible to who takes it.
	_Atomic uint64_t top __attribute__((aligned(64)));
	_Atomic uint32_t fresh;  // indices from here on were never taken; also bounds the control
	                         // thread's scans
	_Atomic uint32_t in_use; // taken, caches not counted as taken; a hint while others work
	// Immutable after init.
	uint32_t capacity __attribute__((aligned(64)));
	uint32_t cache_max; // 0: the pool is too small to leave indices in caches
	unsigned worker_count;
	_Atomic uint32_t *next;       // links of the stack
	struct pe_pool_cache *caches; // one a worker
};

// Memory that a pool of `capacity` needs for itself; *pool then stands on `memory` (aligned to
// 128).
size_t pe_pool_bytes(uint32_t capacity, unsigned worker_count);
void pe_pool_init(struct pe_pool *pool, void *memory, uint32_t capacity, unsigned worker_count);
// From then on only indices that were added are given out: of objects that are made as they are
// wanted. count_taken: of one that its maker keeps for itself.
void pe_pool_start_empty(struct pe_pool *pool);
void pe_pool_add(struct pe_pool *pool, uint32_t index);
void pe_pool_count_taken(struct pe_pool *pool);

// An index of the caller's own, or PE_POOL_NONE.
uint32_t pe_pool_take(struct pe_pool *pool, unsigned worker);
// Gives back what nobody else can reach any more.
void pe_pool_give(struct pe_pool *pool, unsigned worker, uint32_t index);
void pe_pool_give_shared(struct pe_pool *pool, uint32_t index);

// At rest exact, else a hint.
static inline uint32_t pe_pool_in_use(const struct pe_pool *pool)
{
	return atomic_load_explicit(&pool->in_use, memory_order_relaxed);
}

// Indices below were taken at least once.
static inline uint32_t pe_pool_mark(const struct pe_pool *pool)
{
	uint32_t mark = atomic_load_explicit(&pool->fresh, memory_order_relaxed);

	return mark < pool->capacity ? mark : pool->capacity;
}
