// What a query and a standing one have in common on the command line: the volume's words, its
// options, masks, heights, origin and filter. A child of a command's own argp parser. One thread.
#pragma once

#include "client/filter_text.h"
#include "client/presence.h"
#include "client/tools/volume_arguments.h"

#include <argp.h>

// All zero at first. The query points into it: it stays where it is.
struct query_arguments {
	struct presence_query query;
	struct volume_polygon polygon;
	uint8_t filter[PRESENCE_FILTER_BYTES_MAX];
	unsigned words, words_wanted;
	bool around;   // an entity: of a sphere only the radius is said
	bool optional; // no volume at all is no mistake: query.volume is then 0
};

// A child of a command's parser, whose input is a struct query_arguments.
extern const struct argp query_argp;
