// A log-linear histogram of times: 64 equal steps in each power of two, so that a value is known to
// 1.6 % from one microsecond to over an hour, in a fixed 16 KiB. One thread.
#pragma once

#include <stdint.h>
#include <string.h>

#define LOAD_HISTOGRAM_BITS  6
#define LOAD_HISTOGRAM_SLOTS (32u << LOAD_HISTOGRAM_BITS)

struct load_histogram {
	uint64_t count, largest;
	uint64_t slot[LOAD_HISTOGRAM_SLOTS];
};

static inline unsigned load_histogram_slot(uint64_t value)
{
	unsigned shift = value >> (LOAD_HISTOGRAM_BITS + 1) ?
		(unsigned)(63 - LOAD_HISTOGRAM_BITS - __builtin_clzll(value)) :
		0;
	unsigned slot = (shift << LOAD_HISTOGRAM_BITS) + (unsigned)(value >> shift);

	return slot < LOAD_HISTOGRAM_SLOTS ? slot : LOAD_HISTOGRAM_SLOTS - 1;
}

static inline void load_histogram_add(struct load_histogram *h, uint64_t value)
{
	h->slot[load_histogram_slot(value)]++;
	h->count++;
	if (value > h->largest)
		h->largest = value;
}

// The upper end of the slot in which the share (0–1) of all values is reached; 0 without values.
static inline uint64_t load_histogram_quantile(const struct load_histogram *h, double share)
{
	uint64_t rank = (uint64_t)(share * (double)h->count), seen = 0;

	if (!h->count)
		return 0;
	if (rank >= h->count)
		rank = h->count - 1;
	for (unsigned i = 0; i < LOAD_HISTOGRAM_SLOTS; i++) {
		seen += h->slot[i];
		if (seen > rank) {
			unsigned shift =
				i >> (LOAD_HISTOGRAM_BITS + 1) ? (i >> LOAD_HISTOGRAM_BITS) - 1 : 0;
			uint64_t upper =
				(((uint64_t)(i - (shift << LOAD_HISTOGRAM_BITS)) + 1) << shift) - 1;

			return upper < h->largest ? upper : h->largest;
		}
	}
	return h->largest;
}

static inline void load_histogram_clear(struct load_histogram *h)
{
	memset(h, 0, sizeof *h);
}
