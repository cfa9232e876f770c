#include "base/memory.h"
#include "base/sanitizers.h"
#include "testing.h"

#include <stdint.h>
#include <stdlib.h>

static void check(size_t bytes, bool huge)
{
	struct pe_memory m;
	const unsigned char *p;
	size_t set = 0;

	CU_ASSERT_EQUAL_FATAL(pe_memory_map(bytes, huge, &m), PE_OK);
	p = m.base;
	CU_ASSERT_EQUAL(m.bytes, bytes);
	CU_ASSERT(m.mapped_bytes >= bytes);
	CU_ASSERT_NOT_EQUAL(m.kind, PE_MEMORY_NONE);
	CU_ASSERT_EQUAL((uintptr_t)p % 4096, 0);
	if (bytes >= 2u << 20)
		CU_ASSERT_EQUAL((uintptr_t)p % (2u << 20), 0);
	for (size_t i = 0; i < bytes; i++)
		set += p[i] != 0;
	CU_ASSERT_EQUAL(set, 0);
	((char *)m.base)[bytes - 1] = 1;
	pe_memory_unmap(&m);
	CU_ASSERT_PTR_NULL(m.base);
	CU_ASSERT_EQUAL(m.kind, PE_MEMORY_NONE);
	pe_memory_unmap(&m);
}

static void maps_zeroed_and_aligned(void)
{
	check(1, false);
	check(4097, false);
	check((5u << 20) + 3, false);
}

// With none reserved this is the fall-back; with some it is the real thing.
static void asks_for_huge_pages(void)
{
	check(1, true);
	check((5u << 20) + 3, true);
}

static void refuses_what_cannot_be(void)
{
	struct pe_memory m;

	CU_ASSERT_EQUAL(pe_memory_map(0, false, &m), PE_NO_MEMORY);
	CU_ASSERT_EQUAL(pe_memory_map(SIZE_MAX, true, &m), PE_NO_MEMORY);
	CU_ASSERT_EQUAL(pe_memory_map((size_t)1 << 50, false, &m), PE_NO_MEMORY);
	CU_ASSERT_PTR_NULL(m.base);
}

#ifdef PE_ADDRESS_SANITIZER
int __lsan_do_recoverable_leak_check(void);

// Nothing of it stays behind in the caller's frame.
__attribute__((noinline)) static void keep_a_block(void **at)
{
	*at = malloc(100);
}

// What only mapped memory names is no leak.
static void names_blocks_of_the_heap(void)
{
	struct pe_memory m;
	void **at;

	CU_ASSERT_EQUAL_FATAL(pe_memory_map(4096, false, &m), PE_OK);
	at = m.base;
	for (unsigned i = 0; i < 64; i++)
		keep_a_block(&at[i]);
	CU_ASSERT_EQUAL(__lsan_do_recoverable_leak_check(), 0);
	for (unsigned i = 0; i < 64; i++)
		free(at[i]);
	pe_memory_unmap(&m);
}
#define LEAK_CASE \
	, \
	{ \
		"names blocks of the heap", names_blocks_of_the_heap \
	}
#else
#define LEAK_CASE
#endif

TESTING_MAIN("base/memory", {"maps zeroed and aligned", maps_zeroed_and_aligned},
	{"asks for huge pages", asks_for_huge_pages},
	{"refuses what cannot be", refuses_what_cannot_be} LEAK_CASE)
