#include "grid/pool.h"

#include <string.h>

#define TAG_ONE (1ull << 32)

size_t pe_pool_bytes(uint32_t capacity, unsigned worker_count)
{
	size_t links = ((size_t)capacity * sizeof(uint32_t) + 127) & ~(size_t)127;

	return links + worker_count * sizeof(struct pe_pool_cache);
}

void pe_pool_init(struct pe_pool *pool, void *memory, uint32_t capacity, unsigned worker_count)
{
	memset(pool, 0, sizeof *pool);
	pool->capacity = capacity;
	pool->worker_count = worker_count;
	// Caches together hold back at most an eighth of the pool.
	pool->cache_max = capacity / (8 * worker_count);
	if (pool->cache_max > PE_POOL_CACHE)
		pool->cache_max = PE_POOL_CACHE;
	pool->caches = memory;
	memset(pool->caches, 0, worker_count * sizeof(struct pe_pool_cache));
	pool->next = (void *)((char *)memory + worker_count * sizeof(struct pe_pool_cache));
	atomic_store_explicit(&pool->top, PE_POOL_NONE, memory_order_relaxed);
}

static uint32_t pop(struct pe_pool *pool)
{
	// POOL: acquire: the giver's last writes to the object come before ours.
	uint64_t top = atomic_load_explicit(&pool->top, memory_order_acquire);
	uint32_t fresh;

	while ((uint32_t)top != PE_POOL_NONE) {
		// May be stale when another thread took the index meanwhile; then the tag differs
		// and the exchange fails.
		uint32_t next =
			atomic_load_explicit(&pool->next[(uint32_t)top], memory_order_relaxed);
		uint64_t want = ((top & ~0xFFFFFFFFull) + TAG_ONE) | next;

		// POOL: acquire
		if (atomic_compare_exchange_weak_explicit(
			    &pool->top, &top, want, memory_order_acquire, memory_order_acquire))
			return (uint32_t)top;
	}
	fresh = atomic_load_explicit(&pool->fresh, memory_order_relaxed);
	while (fresh < pool->capacity)
		if (atomic_compare_exchange_weak_explicit(&pool->fresh, &fresh, fresh + 1,
			    memory_order_relaxed, memory_order_relaxed))
			return fresh;
	return PE_POOL_NONE;
}

static void push(struct pe_pool *pool, uint32_t index)
{
	uint64_t top = atomic_load_explicit(&pool->top, memory_order_relaxed), want;

	do {
		atomic_store_explicit(&pool->next[index], (uint32_t)top, memory_order_relaxed);
		want = ((top & ~0xFFFFFFFFull) + TAG_ONE) | index;
		// POOL: release, see pop.
	} while (!atomic_compare_exchange_weak_explicit(
		&pool->top, &top, want, memory_order_release, memory_order_relaxed));
}

void pe_pool_start_empty(struct pe_pool *pool)
{
	atomic_store_explicit(&pool->fresh, pool->capacity, memory_order_relaxed);
}

void pe_pool_add(struct pe_pool *pool, uint32_t index)
{
	push(pool, index);
}

void pe_pool_count_taken(struct pe_pool *pool)
{
	atomic_fetch_add_explicit(&pool->in_use, 1, memory_order_relaxed);
}

uint32_t pe_pool_take(struct pe_pool *pool, unsigned worker)
{
	struct pe_pool_cache *cache = &pool->caches[worker];
	uint32_t index = cache->count ? cache->index[--cache->count] : pop(pool);

	if (index != PE_POOL_NONE)
		atomic_fetch_add_explicit(&pool->in_use, 1, memory_order_relaxed);
	return index;
}

void pe_pool_give(struct pe_pool *pool, unsigned worker, uint32_t index)
{
	struct pe_pool_cache *cache = &pool->caches[worker];

	atomic_fetch_sub_explicit(&pool->in_use, 1, memory_order_relaxed);
	if (cache->count < pool->cache_max)
		cache->index[cache->count++] = index;
	else
		push(pool, index);
}

void pe_pool_give_shared(struct pe_pool *pool, uint32_t index)
{
	atomic_fetch_sub_explicit(&pool->in_use, 1, memory_order_relaxed);
	push(pool, index);
}
