// Asking for a cache line that is read or written some hundred instructions later.
//
// Into the second level, not the first: a core has room for about twice as many outstanding lines there, and what random lines
// cost is how many are on their way at once. Measured, random lines of 200 MB asked for 64 at a time and then changed: 14 ns each
// into the first level, whether to be read or to be written, and 9.7 ns into the second (docs/hot-path.md).
#pragma once

static inline void pe_prefetch(const void *line)
{
	__builtin_prefetch(line, 0, 2);
}
