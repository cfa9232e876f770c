// The pool and the deferred lists on it.
#include "grid/defer.h"

#include "grid_testing.h"

#include <pthread.h>
#include <string.h>

static _Alignas(128) char memory[1 << 20];

static void every_index_is_given_out_once(void)
{
	struct pe_pool pool;
	static bool out[1000];

	for (uint32_t capacity = 1; capacity <= 1000; capacity = capacity * 3 + 1) {
		CU_ASSERT(pe_pool_bytes(capacity, 2) <= sizeof memory);
		pe_pool_init(&pool, memory, capacity, 2);
		for (unsigned round = 0; round < 3; round++) {
			memset(out, 0, sizeof out);
			for (uint32_t i = 0; i < capacity; i++) {
				uint32_t index = pe_pool_take(&pool, 0);

				CU_ASSERT_FATAL(index < capacity);
				CU_ASSERT_FALSE(out[index]);
				out[index] = true;
			}
			CU_ASSERT_EQUAL(pe_pool_take(&pool, 0), PE_POOL_NONE);
			CU_ASSERT_EQUAL(pe_pool_in_use(&pool), capacity);
			CU_ASSERT_EQUAL(pe_pool_mark(&pool), capacity);
			for (uint32_t i = 0; i < capacity; i++)
				if (round == 1)
					pe_pool_give(&pool, 0, i);
				else
					pe_pool_give_shared(&pool, i);
			CU_ASSERT_EQUAL(pe_pool_in_use(&pool), 0);
		}
	}
}

static struct pe_pool shared_pool;
static _Atomic uint32_t held[500];
static _Atomic uint32_t clashes;

static void *take_and_give(void *argument)
{
	unsigned worker = (unsigned)(uintptr_t)argument;
	uint32_t mine[200];

	for (unsigned round = 0; round < 4000; round++) {
		unsigned n = 0;

		while (n < 1 + round % 200) {
			uint32_t index = pe_pool_take(&shared_pool, worker);

			if (index == PE_POOL_NONE)
				break;
			clashes += atomic_fetch_add(&held[index], 1) != 0;
			mine[n++] = index;
		}
		while (n--) {
			atomic_fetch_sub(&held[mine[n]], 1);
			if (n % 3)
				pe_pool_give(&shared_pool, worker, mine[n]);
			else
				pe_pool_give_shared(&shared_pool, mine[n]);
		}
	}
	return NULL;
}

static void threads_never_hold_the_same_index(void)
{
	pthread_t threads[4];

	pe_pool_init(&shared_pool, memory, 500, 4);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, take_and_give, (void *)i);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(clashes, 0);
	CU_ASSERT_EQUAL(pe_pool_in_use(&shared_pool), 0);
}

// At most so many of the oldest run; how many.
static uint32_t drop_some(struct pe_defer *list, uint32_t *popped, uint32_t most, uint32_t keep)
{
	uint32_t n, all = pe_defer_count(list);
	const uint32_t *run = pe_defer_run(list, 4, &n);

	CU_ASSERT((n > 0) == (all > 0) && n <= all);
	n = n < most ? n : most;
	for (uint32_t i = 0; i < n; i++)
		CU_ASSERT_EQUAL(run[4 * i + 3], (*popped)++);
	if (n)
		pe_defer_drop(list, n, keep);
	CU_ASSERT_EQUAL(pe_defer_count(list), all - n);
	return n;
}

static void deferred_lists_keep_order_and_room(void)
{
	static struct pe_defer_block blocks[20];
	struct pe_defer_store store = {.blocks = blocks};
	struct pe_defer list, other;
	uint32_t pushed = 0, popped = 0, r = 1;

	pe_pool_init(&store.pool, memory, 20, 2);
	CU_ASSERT_TRUE_FATAL(pe_defer_init(&list, &store, 0, 4));
	CU_ASSERT_TRUE_FATAL(pe_defer_init(&other, &store, 1, 2));
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t count, room;

		r = r * 1664525 + 1013904223;
		count = r >> 24;
		if (pe_defer_reserve(&list, count)) {
			room = pe_defer_room(&list);
			CU_ASSERT(room >= count);
			for (uint32_t i = 0; i < count; i++)
				pe_defer_push(&list, 4)[3] = pushed++;
			CU_ASSERT_EQUAL(pe_defer_room(&list), room - count);
		}
		CU_ASSERT_EQUAL(pe_defer_count(&list), pushed - popped);
		for (uint32_t i = (r >> 8) % 200, n = 1; i > 0 && n; i -= n)
			n = drop_some(&list, &popped, i, 64);
	}
	while (drop_some(&list, &popped, UINT32_MAX, 0))
		;
	CU_ASSERT_EQUAL(pushed, popped);
	CU_ASSERT(pushed > 50000);
	CU_ASSERT_NOT_EQUAL(pe_pool_in_use(&store.pool), 20);
	CU_ASSERT_FALSE(pe_defer_reserve(&other, 20 * PE_DEFER_BLOCK_WORDS));
}

TESTING_MAIN("grid/pool", {"every index is given out once", every_index_is_given_out_once},
	{"threads never hold the same index", threads_never_hold_the_same_index},
	{"deferred lists keep order and room", deferred_lists_keep_order_and_room})
