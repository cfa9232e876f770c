// What the two halves of K_ANONYMITY (policy/crowd.h) share: words in which workers and the control
// thread tell each other of places and areas. crowd.c is the workers', cohorts.c the control
// thread's.
#pragma once

#include "policy/crowd.h"

// Where an entity was: its cell, the epoch's lowest bits, and whether it was in its cohort's area.
#define PE_COHORT_EPOCHS 31u
#define PE_COHORT_INSIDE 1ull

static inline uint64_t pe_cohort_place(struct pe_crowd_cell cell, uint64_t epoch, bool inside)
{
	return (uint64_t)cell.x << 35 | (uint64_t)cell.y << 6 | (epoch & PE_COHORT_EPOCHS) << 1 |
		inside;
}

// Is it of that epoch? Words of older ones are taken away before their bits come again. No word is
// 0 that is of an epoch: those of a free place are of none.
static inline bool pe_cohort_place_epoch(uint64_t place, uint64_t epoch)
{
	return place && (place >> 1 & PE_COHORT_EPOCHS) == (epoch & PE_COHORT_EPOCHS);
}

static inline struct pe_crowd_cell pe_cohort_place_cell(uint64_t place)
{
	return (struct pe_crowd_cell){(uint32_t)(place >> 35), (uint32_t)(place >> 6) & 0x1FFFFFFF};
}

// Epoch and level of an area.
#define PE_COHORT_LEVEL_BITS 8u
#define PE_COHORT_LEVEL      0xFFu

// Between the steps of a worker that control may come in between of.
#ifdef PE_TEST_STEPS
void pe_test_step(void); // the torture test's: sleeps now and then
#define PE_COHORT_STEP() pe_test_step()
#else
#define PE_COHORT_STEP() ((void)0)
#endif
