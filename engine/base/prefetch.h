// Asking for a cache line that is read or written some hundred instructions later.
//
// Into the second level, not the first: a core has room for about twice as many outstanding lines there, and what random lines
// cost is how many are on their way at once (docs/hot-path.md; memory_lines and memory_lines_second_level of scripts/bench).
#pragma once

static inline void pe_prefetch(const void *line)
{
	__builtin_prefetch(line, 0, 2);
}

// A line that this thread is about to write, into the first level: whoever has it gives it up now.
static inline void pe_prefetch_own(const void *line)
{
	__builtin_prefetch(line, 1, 3);
}
