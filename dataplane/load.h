// How loaded a worker is, as a state that its turns are judged by: normal, coarser (thresholds of
// coalescing are multiplied) and shedding (LOW questions are turned away, then NORMAL, then HIGH
// ones, then new entities; updates of known entities never). What is measured is how many turns
// found as much as they could take, which is what a backlog looks like from inside, in windows of
// 50 ms. A step up takes two windows in a row above a bound, a step down three in a row below half
// of it: so a single burst moves nothing, and a load at a bound doesn't make the state swing. From
// the bottom to the top takes half a second, back three quarters of one.
//
// Pure; the worker's own. Time is given, so that a test decides what happens.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PE_LOAD_WINDOW_MS    50u
#define PE_LOAD_UP_WINDOWS   2u
#define PE_LOAD_DOWN_WINDOWS 3u

struct pe_load_rules {
	// percent of turns that are full; 0 = there is no such state. shedding ≥ coarser where both
	// are set
	uint32_t coarser_percent, shedding_percent;
	uint32_t factor; // of thresholds, in every state but normal; 1 … PE_COARSE_MAX
};

// Steps: 0 normal, 1 coarser, from 2 on shedding.
enum pe_load_step {
	PE_LOAD_NORMAL,
	PE_LOAD_COARSER,
	PE_LOAD_SHED_LOW,
	PE_LOAD_SHED_NORMAL,
	PE_LOAD_SHED_HIGH,
	PE_LOAD_SHED_NEW,
};

struct pe_load {
	uint64_t window_ms; // when this window began; 0 = none yet
	uint32_t turns, full;
	uint32_t above, below; // windows in a row
	bool last_full;        // the turn before
	enum pe_load_step step;
};

static inline bool pe_load_wanted(const struct pe_load_rules *rules)
{
	return rules->coarser_percent || rules->shedding_percent;
}

// A turn ended. True: the step changed, by one (up or down) or, after a sleep, down by more.
bool pe_load_turn(
	struct pe_load *load, const struct pe_load_rules *rules, uint64_t mono_ms, bool full);

// What a step means: questions turned away (as pe_door_shed), and its name for people: "normal",
// "coarser", "shedding low questions", …
unsigned pe_load_sheds(enum pe_load_step step);
const char *pe_load_name(enum pe_load_step step);
