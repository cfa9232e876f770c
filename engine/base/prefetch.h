// Asking for a cache line that is read or written some hundred instructions later.
//
// Into the second level, not the first: a core has room for about twice as many outstanding lines
// there, and what random lines cost is how many are on their way at once (docs/hot-path.md;
// memory_lines and memory_lines_second_level of scripts/bench).
#pragma once

// In assembly, since gcc 12 takes a function that does nothing but __builtin_prefetch for one
// without effects, and leaves out calls of it that it has not inlined by then.
static inline void pe_prefetch(const void *line)
{
	__asm__ volatile("prefetcht1 %0" : : "m"(*(const char *)line));
}

// A line that this thread is about to write, into the first level: whoever has it gives it up now.
static inline void pe_prefetch_own(const void *line)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
}
