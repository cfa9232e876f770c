// presence-memory-bench: what the memory of this machine allows. Random lines of 64 bytes are read, changed and written by
// a loop that asks for each line 32 ahead, over as many bytes as the engine takes for so many entities. Prints one JSON
// object on stdout.
#include "base/memory.h"

#include <argp.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

// What an update of one of N entities chooses among: record, index and slot of each. The pools that a hostile scatter
// would need are not touched, and not counted.
#define BYTES_AN_ENTITY 224u
#define AHEAD           32u
#define WINDOWS         5u
#define STEPS           (1u << 24)

struct line {
	uint64_t word[8];
};

struct options {
	unsigned long entities, core;
	bool no_huge;
};

static const struct argp_option option_list[] = {{"entities", 'e', "N", 0, "entities (1000000)", 0},
	{"core", 'c', "N", 0, "core (1)", 0}, {"no-huge", 'n', NULL, 0, "ordinary pages", 0}, {0}};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	char *end = NULL;
	unsigned long value = argument ? strtoul(argument, &end, 10) : 0;

	if (argument && (*end || end == argument || value > 1u << 26))
		argp_error(state, "\"%s\" is not a number in range", argument);
	switch (key) {
	case 'e':
		o->entities = value;
		return 0;
	case 'c':
		o->core = value;
		return 0;
	case 'n':
		o->no_huge = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static double window(struct line *lines, uint64_t count, uint64_t *random)
{
	struct line *ahead[AHEAD];
	struct timespec from, to;

	for (unsigned i = 0; i < AHEAD; i++)
		ahead[i] = &lines[(next_random(random) >> 32) * count >> 32];
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; i < STEPS; i++) {
		struct line *l = ahead[i % AHEAD];

		l->word[0]++;
		ahead[i % AHEAD] = &lines[(next_random(random) >> 32) * count >> 32];
		__builtin_prefetch(ahead[i % AHEAD], 1);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	return STEPS /
		((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct options o = {.entities = 1000000, .core = 1};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.doc = "Random lines of memory a second, one core."};
	struct pe_memory memory;
	uint64_t random = 88172645463325252ull, count;
	double rates[WINDOWS];
	cpu_set_t set;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	CPU_ZERO(&set);
	CPU_SET(o.core, &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		perror("presence-memory-bench: not pinned");
	if (pe_memory_map(o.entities * BYTES_AN_ENTITY, !o.no_huge, &memory) != PE_OK) {
		perror("presence-memory-bench: memory");
		return EXIT_FAILURE;
	}
	count = memory.bytes / sizeof(struct line);
	(void)window(memory.base, count, &random);
	for (unsigned i = 0; i < WINDOWS; i++)
		rates[i] = window(memory.base, count, &random);
	qsort(rates, WINDOWS, sizeof rates[0], compare);
	printf("{\"memory_lines_1m\": {\"median\": %.0f, \"min\": %.0f, \"max\": %.0f, \"unit\": \"lines/s\"},\n"
	       " \"configuration\": {\"bytes\": %zu, \"pages\": \"%s\"}}\n",
		rates[WINDOWS / 2], rates[0], rates[WINDOWS - 1], memory.bytes,
		pe_memory_kind_name(memory.kind));
	return EXIT_SUCCESS;
}
