// The crowd that the benchmarks are about: entities numbered from 0, each with a place of its own
// in a square, 24 a cell of 64 m on average, as in a busy town. A number gives the id and the
// place, so that nothing is looked up and any program can send for, or ask about, the same crowd.
// Pure; any thread.
#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#define CROWD_CELL_M      64.0
#define CROWD_A_CELL      24.0
#define CROWD_HEIGHT_M    10.0
#define CROWD_RANDOM      88172645463325252ull // a start for crowd_random
#define CROWD_STEP_M      0.01                 // a small move, times 0 to 15
#define CROWD_INCARNATION 1700000000u

static inline double crowd_side_m(uint32_t count)
{
	return CROWD_CELL_M * sqrt(count / CROWD_A_CELL);
}

// The radius of a sphere that holds so many of the crowd on average.
static inline double crowd_radius_m(double hits)
{
	return sqrt(hits * CROWD_CELL_M * CROWD_CELL_M / (CROWD_A_CELL * M_PI));
}

static inline uint64_t crowd_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

// Uniform below `count`.
static inline uint32_t crowd_below(uint64_t random, uint32_t count)
{
	return (uint32_t)((random >> 32) * count >> 32);
}

static inline uint64_t crowd_spread(uint32_t number)
{
	return (number + 1ull) * 0x9E3779B97F4A7C15ull;
}

static inline void crowd_id(uint32_t number, uint8_t id[16])
{
	typedef uint64_t halves __attribute__((vector_size(16)));
	// One store of 16 bytes: the hash reads it back at once, and from two stores it would wait.
	halves both = {crowd_spread(number), number};

	memcpy(id, &both, sizeof both);
}

// `step` makes the small moves: some centimetres about the place, in its cell as a rule.
static inline void crowd_place(uint32_t number, uint32_t step, double side_m, double position[3])
{
	uint64_t spread = crowd_spread(number);

	position[0] =
		(double)(spread >> 40) * 0x1p-24 * side_m + (double)(step & 15) * CROWD_STEP_M;
	position[1] = (double)(spread >> 16 & 0xFFFFFF) * 0x1p-24 * side_m;
	position[2] = CROWD_HEIGHT_M;
}
