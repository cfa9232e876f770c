#include "load.h"

// The bound above which a step is left upwards; 0 = there is none above it.
static uint32_t bound_above(const struct pe_load_rules *rules, enum pe_load_step step)
{
	if (step == PE_LOAD_NORMAL && rules->coarser_percent)
		return rules->coarser_percent;
	return step == PE_LOAD_SHED_NEW ? 0 : rules->shedding_percent;
}

static enum pe_load_step above(const struct pe_load_rules *rules, enum pe_load_step step)
{
	return step == PE_LOAD_NORMAL && !rules->coarser_percent ? PE_LOAD_SHED_LOW : step + 1;
}

static enum pe_load_step below(const struct pe_load_rules *rules, enum pe_load_step step)
{
	return step == PE_LOAD_SHED_LOW && !rules->coarser_percent ? PE_LOAD_NORMAL : step - 1;
}

// A window of which so many percent were full.
static void judge(struct pe_load *load, const struct pe_load_rules *rules, uint32_t percent)
{
	uint32_t up = bound_above(rules, load->step), down;

	load->above = up && percent >= up ? load->above + 1 : 0;
	if (load->above >= PE_LOAD_UP_WINDOWS) {
		load->step = above(rules, load->step);
		load->above = load->below = 0;
		return;
	}
	if (load->step == PE_LOAD_NORMAL)
		return;
	down = bound_above(rules, below(rules, load->step));
	load->below = 2 * percent < down ? load->below + 1 : 0;
	if (load->below >= PE_LOAD_DOWN_WINDOWS) {
		load->step = below(rules, load->step);
		load->above = load->below = 0;
	}
}

bool pe_load_turn(
	struct pe_load *load, const struct pe_load_rules *rules, uint64_t mono_ms, bool full)
{
	enum pe_load_step before = load->step;
	uint64_t passed = mono_ms - load->window_ms;

	if (load->window_ms == 0 || mono_ms < load->window_ms) {
		load->window_ms = mono_ms;
		passed = 0;
	}
	if (passed >= PE_LOAD_WINDOW_MS) {
		judge(load, rules, load->turns ? (uint32_t)(load->full * 100ull / load->turns) : 0);
		// Windows without a turn: who slept was not busy, whose turn was long was. No more
		// of them than it takes to come down.
		passed = load->last_full ? 0 : passed / PE_LOAD_WINDOW_MS - 1;
		for (unsigned i = 0; i < passed && load->step != PE_LOAD_NORMAL &&
			i < PE_LOAD_SHED_NEW * PE_LOAD_DOWN_WINDOWS;
			i++)
			judge(load, rules, 0);
		load->window_ms = mono_ms;
		load->turns = load->full = 0;
	}
	load->turns++;
	load->full += full;
	load->last_full = full;
	return load->step != before;
}

unsigned pe_load_sheds(enum pe_load_step step)
{
	if (step < PE_LOAD_SHED_LOW)
		return 0;
	return step < PE_LOAD_SHED_NEW ? step - PE_LOAD_SHED_LOW + 1 : 3;
}

const char *pe_load_name(enum pe_load_step step)
{
	static const char *const names[] = {
		[PE_LOAD_NORMAL] = "normal",
		[PE_LOAD_COARSER] = "coarser",
		[PE_LOAD_SHED_LOW] = "shedding questions of class LOW",
		[PE_LOAD_SHED_NORMAL] = "shedding questions of class NORMAL and below",
		[PE_LOAD_SHED_HIGH] = "shedding all but CRITICAL questions",
		[PE_LOAD_SHED_NEW] = "shedding all but CRITICAL questions, and new entities",
	};

	return names[step];
}
