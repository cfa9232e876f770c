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
	unsigned long long bytes;
	long core;
	bool no_huge, serve;
};

static const struct argp_option option_list[] = {
	{"bytes", 'b', "N", 0, "how much memory (224000000)", 0},
	{"core", 'c', "N", 0, "core (1)", 0},
	{"no-huge", 'n', NULL, 0, "ordinary pages", 0},
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

// Lines a second over at least so many seconds.
__attribute__((always_inline)) static inline double run(struct line *lines, uint64_t count,
	uint64_t *random, double length, const bool second_level)
{
	struct line *ahead[AHEAD];
	double from, now;
	uint64_t steps = 0;

	for (unsigned i = 0; i < AHEAD; i++)
		ahead[i] = &lines[(crowd_random(random) >> 32) * count >> 32];
	from = tool_seconds();
	do {
		for (unsigned i = 0; i < BLOCK_STEPS; i++) {
			struct line *l = ahead[i % AHEAD];

			l->word[0]++;
			ahead[i % AHEAD] = &lines[(crowd_random(random) >> 32) * count >> 32];
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
static double window(
	struct line *lines, uint64_t count, uint64_t *random, double length, bool second_level)
{
	if (second_level)
		return run(lines, count, random, length, true);
	return run(lines, count, random, length, false);
}

int main(int argc, char **argv)
{
	struct options o = {.bytes = 224000000, .core = 1};
	static const struct argp argp = {.options = option_list,
		.parser = parse_option,
		.doc = "Random lines of memory a second, one core."};
	struct pe_memory memory;
	uint64_t random = CROWD_RANDOM, count;
	double rates[WINDOWS], length;
	char text[128];

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (!tool_pin((int)o.core))
		perror("presence-memory-bench: not pinned");
	if (pe_memory_map(o.bytes, !o.no_huge, &memory) != PE_OK) {
		perror("presence-memory-bench: memory");
		return EXIT_FAILURE;
	}
	count = memory.bytes / sizeof(struct line);
	(void)window(memory.base, count, &random, WINDOW_S / 10, false);
	if (o.serve) {
		printf("{\"ready\": {\"bytes\": %zu, \"pages\": \"%s\"}}\n", memory.bytes,
			pe_memory_kind_name(memory.kind));
		fflush(stdout);
		while (fgets(text, sizeof text, stdin)) {
			bool second = sscanf(text, "second_level %lf", &length) == 1;

			if ((second || sscanf(text, "lines %lf", &length) == 1) && length > 0 &&
				length <= 600)
				printf("{\"lines\": %.0f}\n",
					window(memory.base, count, &random, length, second));
			else
				printf("{\"error\": \"not a window\"}\n");
			fflush(stdout);
		}
		return EXIT_SUCCESS;
	}
	for (unsigned i = 0; i < WINDOWS; i++)
		rates[i] = window(memory.base, count, &random, WINDOW_S, false);
	tool_sort(rates, WINDOWS);
	printf("{\"memory_lines\": {\"median\": %.0f, \"min\": %.0f, \"max\": %.0f, \"unit\": \"lines/s\"},\n"
	       " \"configuration\": {\"bytes\": %zu, \"pages\": \"%s\"}}\n",
		rates[WINDOWS / 2], rates[0], rates[WINDOWS - 1], memory.bytes,
		pe_memory_kind_name(memory.kind));
	return EXIT_SUCCESS;
}
