// What a model test finds wrong: counted, the first ones printed, so that a run of a hundred
// thousand steps ends with one assertion.
#pragma once

#include <stdbool.h>
#include <stdio.h>

static unsigned wrong;

#define EXPECT(what, ...) \
	do { \
		if (!(what) && wrong++ < 20) { \
			printf("\n%s:%d: %s: ", __FILE__, __LINE__, #what); \
			printf(__VA_ARGS__); \
		} \
	} while (0)

// For harness_failed.
static void failed(const char *what, const char *file, int line)
{
	if (wrong++ < 20)
		printf("\n%s:%d: %s", file, line, what);
}
