// The words of filters as text that both directions need.
#pragma once

// Bit n of a mask, n as in a query's masks.
static const char *const filter_types[] = {"static", "mobile", "temporary", "recurring", "custom"};
static const char *const filter_states[] = {"active", "inactive", "busy", "away", "custom"};
#define FILTER_MASK_WORDS 5

// By enum pe_filter_compare.
static const char *const filter_compares[] = {"?", "=", "!=", "<", "<=", ">", ">="};

struct filter_unit {
	const char *name;
	long long ms;
};
// The largest first, and of two names the one that is printed first.
static const struct filter_unit filter_units[] = {
	{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define FILTER_UNITS (sizeof filter_units / sizeof filter_units[0])
