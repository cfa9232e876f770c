// How the benchmark programs print: lines of JSON, and a figure as its median, least and most.
#pragma once

#include "tools.h"

#include <jansson.h>
#include <stdio.h>

// Prints a line and drops the object.
static inline void tool_print(json_t *object, size_t flags)
{
	json_dumpf(object, stdout, JSON_REAL_PRECISION(8) | JSON_PRESERVE_ORDER | flags);
	printf("\n");
	fflush(stdout);
	json_decref(object);
}

// Sorts the values.
static inline json_t *tool_figure(double *values, unsigned count, const char *unit)
{
	tool_sort(values, count);
	return json_pack("{s:f,s:f,s:f,s:s}", "median", values[count / 2], "min", values[0], "max",
		values[count - 1], "unit", unit);
}
