#include "base/memory.h"
#include "base/sanitizers.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_BYTES  ((size_t)2 << 20)
#define SMALL_BYTES ((size_t)4 << 10)

// What is mapped here names blocks of the heap, and LeakSanitizer looks for names only where it is
// told to.
#ifdef PE_ADDRESS_SANITIZER
void __lsan_register_root_region(const void *, size_t);
void __lsan_unregister_root_region(const void *, size_t);
#endif

static void named_here(const struct pe_memory *memory, bool mapped)
{
#ifdef PE_ADDRESS_SANITIZER
	if (mapped)
		__lsan_register_root_region(memory->base, memory->bytes);
	else
		__lsan_unregister_root_region(memory->base, memory->bytes);
#else
	(void)memory;
	(void)mapped;
#endif
}

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

// Faults every page in now, so that no packet pays for it and a lack of memory shows at start.
// Kernels before 5.14 do not know the advice; there a store a page does it.
static bool touch(void *base, size_t bytes)
{
	if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0)
		return true;
	if (errno != EINVAL)
		return false;
	for (size_t at = 0; at < bytes; at += SMALL_BYTES)
		((volatile char *)base)[at] = 0;
	return true;
}

static bool map_huge(size_t bytes, struct pe_memory *memory)
{
	size_t length = round_up(bytes, HUGE_BYTES);
	void *base = mmap(NULL, length, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);

	if (base == MAP_FAILED)
		return false;
	if (!touch(base, length)) {
		munmap(base, length);
		return false;
	}
	*memory = (struct pe_memory){.base = base,
		.bytes = bytes,
		.mapped_bytes = length,
		.mapped = base,
		.kind = PE_MEMORY_HUGE};
	return true;
}

static bool map_ordinary(size_t bytes, struct pe_memory *memory)
{
	bool large = bytes >= HUGE_BYTES;
	size_t length = round_up(bytes, SMALL_BYTES), slack = large ? HUGE_BYTES : 0;
	enum pe_memory_kind kind = PE_MEMORY_ORDINARY;
	char *mapped, *base;

	mapped = mmap(
		NULL, length + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		return false;
	base = mapped;
	if (large) {
		// Transparent huge pages begin at multiples of 2 MiB only; what lies before is
		// never touched.
		base = (char *)round_up((uintptr_t)mapped, HUGE_BYTES);
		if (madvise(base, length, MADV_HUGEPAGE) == 0)
			kind = PE_MEMORY_ADVISED;
	}
	if (!touch(base, length)) {
		int saved = errno;

		munmap(mapped, length + slack);
		errno = saved;
		return false;
	}
	*memory = (struct pe_memory){.base = base,
		.bytes = bytes,
		.mapped_bytes = length + slack,
		.mapped = mapped,
		.kind = kind};
	return true;
}

enum pe_status pe_memory_map(size_t bytes, bool huge, struct pe_memory *memory)
{
	*memory = (struct pe_memory){0};
	if (bytes == 0 || bytes > SIZE_MAX / 2) {
		errno = ENOMEM;
		return PE_NO_MEMORY;
	}
	if (!(huge && map_huge(bytes, memory)) && !map_ordinary(bytes, memory))
		return PE_NO_MEMORY;
	named_here(memory, true);
	return PE_OK;
}

void pe_memory_unmap(struct pe_memory *memory)
{
	if (memory->mapped) {
		named_here(memory, false);
		munmap(memory->mapped, memory->mapped_bytes);
	}
	*memory = (struct pe_memory){0};
}

const char *pe_memory_kind_name(enum pe_memory_kind kind)
{
	switch (kind) {
	case PE_MEMORY_NONE:
		return "none";
	case PE_MEMORY_HUGE:
		return "huge pages";
	case PE_MEMORY_ADVISED:
		return "advised pages";
	case PE_MEMORY_ORDINARY:
		return "ordinary pages";
	}
	return "unknown";
}
