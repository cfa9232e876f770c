// Fixed pools: memory that is mapped once at start, zeroed and touched, and never grows. On huge
// pages of 2 MiB where they are asked for and reserved, else on ordinary pages with transparent
// huge pages advised. Tuned for large arrays that are met at random for the life of the process.
// Pages are placed on the NUMA node of the thread that maps them (first touch, no library): map a
// worker's pools from its own core, or shared ones from the control thread's. Map and unmap are for
// start and stop; any thread, no locks.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum pe_memory_kind {
	PE_MEMORY_NONE,     // nothing is mapped
	PE_MEMORY_HUGE,     // reserved pages of 2 MiB
	PE_MEMORY_ADVISED,  // transparent huge pages advised; the kernel gives what it has
	PE_MEMORY_ORDINARY, // pages of 4 KiB
};

struct pe_memory {
	void *base;   // aligned to a page of its kind, and to 2 MiB when at least that long; zeroed
	size_t bytes; // as asked
	size_t mapped_bytes; // as taken from the system: the bill
	void *mapped;        // what to unmap
	enum pe_memory_kind kind;
};

// Maps, zeroes and touches `bytes` (> 0). `huge` asks for reserved huge pages and falls back.
// PE_NO_MEMORY: nothing is mapped and *memory is empty; errno says why.
[[nodiscard]] enum pe_status pe_memory_map(size_t bytes, bool huge, struct pe_memory *memory);
// An empty *memory is left alone. Empties it.
void pe_memory_unmap(struct pe_memory *memory);
const char *pe_memory_kind_name(enum pe_memory_kind kind);
