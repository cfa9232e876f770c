// What a line of the conformance driver asks, as a query of libpresence, and what was found, as
// fields of a line.
#pragma once

#include "words.h"

#include <presence/filter_text.h>
#include <presence/presence.h>

// A query and what it points to.
struct asking {
	struct presence_query query;
	struct presence_polygon polygon;
	double vertices[PRESENCE_VERTICES_MAX][2];
	unsigned ring_vertices[PRESENCE_RINGS_MAX];
	uint8_t program[PRESENCE_FILTER_BYTES_MAX];
};

// NULL, or what is wrong with its filter.
const char *asking_of(const struct words *in, struct asking *asking);

// Fields of the line that has begun.
void put_number(const char *name, double number);
void put_details(const struct presence_details *details);
void put_found(const struct presence_found *found);
