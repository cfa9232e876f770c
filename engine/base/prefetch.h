// Asking for a cache line that is read or written some hundred instructions later.
//
// Into which level of the caches is the processor's to say (docs/hot-path.md; memory_lines and
// memory_lines_second_level of scripts/bench). AMD's have more lines on their way at once where
// they are asked for into the second level. Intel's have as many either way, but a line that lies
// in the second level takes another of the few places where lines are waited for when it is read.
#pragma once

#include <stdbool.h>

// first: into the first level. Set before main, by the processor's maker; a benchmark may set it
// while no other thread runs. Read: any thread, all the time, so that nobody's writes may be in its
// line.
struct pe_prefetch_choice {
	_Alignas(64) bool first;
};
extern struct pe_prefetch_choice pe_prefetch_choice;

// In assembly, since gcc 12 takes a function that does nothing but __builtin_prefetch for one
// without effects, and leaves out calls of it that it has not inlined by then.
static inline void pe_prefetch_to(const void *line, bool first)
{
	if (first)
		__asm__ volatile("prefetcht0 %0" : : "m"(*(const char *)line));
	else
		__asm__ volatile("prefetcht1 %0" : : "m"(*(const char *)line));
}

static inline void pe_prefetch(const void *line)
{
	pe_prefetch_to(line, pe_prefetch_choice.first);
}

// Two lines, or so many that follow each other: one look at the processor.
static inline void pe_prefetch_two(const void *line, const void *other)
{
	if (pe_prefetch_choice.first) {
		pe_prefetch_to(line, true);
		pe_prefetch_to(other, true);
	} else {
		pe_prefetch_to(line, false);
		pe_prefetch_to(other, false);
	}
}

__attribute__((always_inline)) static inline void pe_prefetch_lines(
	const void *first_line, const unsigned count)
{
	const char *line = first_line;

	if (pe_prefetch_choice.first) {
#pragma GCC unroll 8
		for (unsigned i = 0; i < count; i++)
			pe_prefetch_to(line + 64 * i, true);
	} else {
#pragma GCC unroll 8
		for (unsigned i = 0; i < count; i++)
			pe_prefetch_to(line + 64 * i, false);
	}
}

// A line that this thread is about to write, into the first level: whoever has it gives it up now.
static inline void pe_prefetch_own(const void *line)
{
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
}
