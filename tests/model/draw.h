// What a model test draws from its seed: set `state` to it, and all that follows is the same again.
// One stream a program; one thread.
#pragma once

#include "testing.h"

static uint64_t state;

static inline uint64_t next(void)
{
	return testing_random(&state);
}

// 0 … n − 1; n ≥ 1.
static inline unsigned below(unsigned n)
{
	return (unsigned)(next() % n);
}

static inline double between(double low, double high)
{
	return low + (high - low) * ((double)(next() >> 11) * 0x1p-53);
}
