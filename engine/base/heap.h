// Heaps: memory for what varies in size and comes and goes while the engine runs, as shapes of
// standing volumes and logs of subscriptions do. One a worker, in an arena of jemalloc's that is
// its own: what one worker takes never meets another's locks or pages, a bound holds each, and
// pages stay with the heap once it has them, so that nothing is given back to the system (a system
// call) while a worker runs. Arrays that never grow are pools (base/memory.h) instead.
//
// Built without jemalloc a heap is the C library's allocator behind the same bound.
//
// Taking and giving: one thread at a time, that of the heap's worker; tens of nanoseconds, or a
// system call when the heap has to grow, so nothing that a packet of the ordinary kind does.
// Reading what is in use: any thread.
#pragma once

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PE_HEAP_ALIGNMENT 64u // of everything that is taken

struct pe_heap;

struct pe_heap_use {
	uint64_t taken_bytes; // by those who hold them, rounded as the allocator does; at most
	                      // bytes_max
	uint64_t bytes_max;
	uint64_t active_bytes; // pages in use; 0 without jemalloc
	uint64_t mapped_bytes; // taken from the system and not given back; 0 without jemalloc
};

// A heap of at most bytes_max. PE_NO_MEMORY: *heap is NULL. At start; any thread.
[[nodiscard]] enum pe_status pe_heap_create(uint64_t bytes_max, struct pe_heap **heap);
// Whatever was taken and not given back is gone with it where jemalloc is; give it back first. NULL
// is left alone.
void pe_heap_destroy(struct pe_heap *heap);

// At least `bytes` (> 0), not zeroed. NULL: over the bound, or the system has none; nothing is
// changed.
void *pe_heap_take(struct pe_heap *heap, size_t bytes);
// What was taken from this heap, with the bytes that were asked for. NULL is left alone.
void pe_heap_give(struct pe_heap *heap, void *memory, size_t bytes);

// What is in use, of NULL nothing.
struct pe_heap_use pe_heap_read(const struct pe_heap *heap);
