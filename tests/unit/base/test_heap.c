#include "base/heap.h"
#include "testing.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PIECES 512u
#define SEED   20261126

static void takes_aligned_within_its_bound(void)
{
	struct pe_heap *heap;
	void *first, *second;

	CU_ASSERT_EQUAL_FATAL(pe_heap_create(10000, &heap), PE_OK);
	first = pe_heap_take(heap, 4000);
	second = pe_heap_take(heap, 4000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_NOT_NULL_FATAL(second);
	CU_ASSERT_EQUAL((uintptr_t)first % PE_HEAP_ALIGNMENT, 0);
	CU_ASSERT_EQUAL((uintptr_t)second % PE_HEAP_ALIGNMENT, 0);
	memset(first, 1, 4000);
	memset(second, 2, 4000);
	CU_ASSERT_EQUAL(((uint8_t *)first)[3999], 1);
	CU_ASSERT(pe_heap_read(heap).taken_bytes >= 8000);
	CU_ASSERT(pe_heap_read(heap).taken_bytes <= 10000);
	CU_ASSERT_PTR_NULL(pe_heap_take(heap, 4000));
	pe_heap_give(heap, first, 4000);
	first = pe_heap_take(heap, 4000);
	CU_ASSERT_PTR_NOT_NULL(first);
	pe_heap_give(heap, first, 4000);
	pe_heap_give(heap, second, 4000);
	CU_ASSERT_EQUAL(pe_heap_read(heap).taken_bytes, 0);
	pe_heap_destroy(heap);
}

static void refuses_what_cannot_be(void)
{
	struct pe_heap *heap;

	CU_ASSERT_EQUAL_FATAL(pe_heap_create(1 << 20, &heap), PE_OK);
	CU_ASSERT_PTR_NULL(pe_heap_take(heap, 0));
	CU_ASSERT_PTR_NULL(pe_heap_take(heap, SIZE_MAX));
	CU_ASSERT_PTR_NULL(pe_heap_take(heap, SIZE_MAX - 63));
	CU_ASSERT_PTR_NULL(pe_heap_take(heap, (1 << 20) + 1));
	pe_heap_give(heap, NULL, 1);
	CU_ASSERT_EQUAL(pe_heap_read(heap).taken_bytes, 0);
	CU_ASSERT_EQUAL(pe_heap_read(heap).bytes_max, 1 << 20);
	pe_heap_destroy(heap);
	pe_heap_destroy(NULL);
	CU_ASSERT_EQUAL(pe_heap_read(NULL).bytes_max, 0);
}

// Pieces of all sizes come and go at random: none overlaps another, the count is exact at the end,
// and what it keeps stays bounded.
static void comes_and_goes(void)
{
	static struct {
		uint8_t *at;
		size_t bytes;
		uint8_t mark;
	} pieces[PIECES];
	struct pe_heap *heap;
	uint64_t full = 0, random = SEED, steps = testing_amount(200000);

	printf("seed %d\n", SEED);
	CU_ASSERT_EQUAL_FATAL(pe_heap_create(4 << 20, &heap), PE_OK);
	for (uint64_t step = 0; step < steps; step++) {
		unsigned i = (unsigned)(testing_random(&random) % PIECES);

		if (pieces[i].at) {
			if (pieces[i].at[0] != pieces[i].mark ||
				pieces[i].at[pieces[i].bytes - 1] != pieces[i].mark)
				CU_FAIL_FATAL("a piece was written over");
			pe_heap_give(heap, pieces[i].at, pieces[i].bytes);
			pieces[i].at = NULL;
			continue;
		}
		pieces[i].bytes = 1 + testing_random(&random) % 40000;
		pieces[i].mark = (uint8_t)step;
		pieces[i].at = pe_heap_take(heap, pieces[i].bytes);
		if (!pieces[i].at) {
			full++;
			continue;
		}
		pieces[i].at[0] = pieces[i].at[pieces[i].bytes - 1] = pieces[i].mark;
	}
	CU_ASSERT(full > 0);
	CU_ASSERT(pe_heap_read(heap).taken_bytes <= 4 << 20);
	// Its pages: what fragments, at most as much again.
	CU_ASSERT(pe_heap_read(heap).active_bytes <= 8 << 20);
	for (unsigned i = 0; i < PIECES; i++) {
		pe_heap_give(heap, pieces[i].at, pieces[i].bytes);
		pieces[i].at = NULL;
	}
	CU_ASSERT_EQUAL(pe_heap_read(heap).taken_bytes, 0);
	pe_heap_destroy(heap);
}

TESTING_MAIN("base/heap", {"takes aligned memory within its bound", takes_aligned_within_its_bound},
	{"refuses what cannot be", refuses_what_cannot_be}, {"comes and goes", comes_and_goes})
