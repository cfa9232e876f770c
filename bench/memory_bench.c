// presence-memory-bench: what the memory of this machine allows. Random lines of 64 bytes are read,
// changed and written by a loop that asks for each line 32 ahead, over as many bytes as the
// engine's updates choose among. Prints one JSON object; with --serve {"ready": …} first and then a
// line for each line "lines SECONDS" of its input.
#include "base/memory.h"
#include "crowd.h"
#include "tools.h"

#include <argp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD       32u
#define WINDOWS     5u
#define WINDOW_S    0.3
#define BLOCK_STEPS (1u << 20)

struct line {
	uint64_t word[8];
};

struct options {
	unsigned long long bytes, stride;
	long core;
	bool no_huge, serve;
};

static const struct argp_option option_list[] = {
	{"bytes", 'b', "N", 0, "how much memory (224000000)", 0},
	{"core", 'c', "N", 0, "core (1)", 0},
	{"no-huge", 'n', NULL, 0, "ordinary pages", 0},
	{"stride", 't', "N", 0,
		"every N-th line alone (1): 2 leaves out the odd ones, which some processors have "
		"places of their own for",
		0},
	{"serve", 's', NULL, 0, "windows as the input asks for them", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	char *end = NULL;
	unsigned long long value = argument ? strtoull(argument, &end, 10) : 0;

	if (argument && (*end || end == argument || value > 1ull << 40))
		argp_error(state, "\"%s\" is not a number in range", argument);
	switch (key) {
	case 'b':
		if (value < 1 << 20)
			argp_error(state, "--bytes: at least a mebibyte");
		o->bytes = value;
		return 0;
	case 'c':
		o->core = (long)value;
		return 0;
	case 't':
		if (value < 1 || value > 1024)
			argp_error(state, "--stride: 1 to 1024");
		o->stride = value;
		return 0;
	case 'n':
		o->no_huge = true;
		return 0;
	case 's':
		o->serve = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

// Every stride-th one of some lines.
struct choice {
	struct line *lines;
	uint64_t count, stride;
};

static inline struct line *choose(const struct choice *from, uint64_t *random)
{
	return &from->lines[((crowd_random(random) >> 32) * from->count >> 32) * from->stride];
}

// Lines a second over at least so many seconds.
__attribute__((always_inline)) static inline double run(
	const struct choice *from_lines, uint64_t *random, double length, const bool second_level)
{
	const struct choice lines = *from_lines;
	struct line *ahead[AHEAD];
	double from, now;
	uint64_t steps = 0;

	for (unsigned i = 0; i < AHEAD; i++)
		ahead[i] = choose(&lines, random);
	from = tool_seconds();
	do {
		for (unsigned i = 0; i < BLOCK_STEPS; i++) {
			struct line *l = ahead[i % AHEAD];

			l->word[0]++;
			ahead[i % AHEAD] = choose(&lines, random);
			if (second_level)
				__builtin_prefetch(ahead[i % AHEAD], 0, 2);
			else
				__builtin_prefetch(ahead[i % AHEAD], 1);
		}
		steps += BLOCK_STEPS;
		now = tool_seconds();
	} while (now - from < length);
	return (double)steps / (now - from);
}

// The lines are asked for into the first level of the caches, or into the second.
static double window(const struct choice *lines, uint64_t *random, double length, bool second_level)
{
	if (second_level)
		return run(lines, random, length, true);
	return run(lines, random, length, false);
}

static void print_windows(
	const struct choice *lines, uint64_t *random, bool second_level, const char *name)
{
	double rates[WINDOWS];

	for (unsigned i = 0; i < WINDOWS; i++)
		rates[i] = window(lines, random, WINDOW_S, second_level);
	tool_sort(rates, WINDOWS);
	printf(" \"%s\": {\"median\": %.0f, \"min\": %.0f, \"max\": %.0f, \"unit\": \"lines/s\"},\n",
		name, rates[WINDOWS / 2], rates[0], rates[WINDOWS - 1]);
}

int main(int argc, char **argv)
{
	struct options o = {.bytes = 224000000, .stride = 1, .core = 1};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.doc = "Random lines of memory a second, one core."};
	struct pe_memory memory;
	struct choice lines;
	uint64_t random = CROWD_RANDOM;
	double length;
	char text[128];

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (!tool_pin((int)o.core))
		perror("presence-memory-bench: not pinned");
	if (pe_memory_map(o.bytes, !o.no_huge, &memory) != PE_OK) {
		perror("presence-memory-bench: memory");
		return EXIT_FAILURE;
	}
	lines = (struct choice){
		memory.base, memory.bytes / sizeof(struct line) / o.stride, o.stride};
	(void)window(&lines, &random, WINDOW_S / 10, false);
	if (o.serve) {
		printf("{\"ready\": {\"bytes\": %zu, \"pages\": \"%s\"}}\n", memory.bytes,
			pe_memory_kind_name(memory.kind));
		fflush(stdout);
		while (fgets(text, sizeof text, stdin)) {
			bool second = sscanf(text, "second_level %lf", &length) == 1;

			if ((second || sscanf(text, "lines %lf", &length) == 1) && length > 0 &&
				length <= 600)
				printf("{\"lines\": %.0f}\n",
					window(&lines, &random, length, second));
			else
				printf("{\"error\": \"not a window\"}\n");
			fflush(stdout);
		}
		return EXIT_SUCCESS;
	}
	printf("{\n");
	print_windows(&lines, &random, false, "memory_lines");
	print_windows(&lines, &random, true, "memory_lines_second_level");
	printf(" \"configuration\": {\"bytes\": %zu, \"pages\": \"%s\", \"stride\": %llu}}\n",
		memory.bytes, pe_memory_kind_name(memory.kind), o.stride);
	return EXIT_SUCCESS;
}
