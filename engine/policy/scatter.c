// The method `scatter`: somewhere in one's own cell. What it gives depends on the cell and the
// stream alone.
#include "policy/methods.h"

#include "space/coarse.h"
#include "space/offset.h"

#include <string.h>

// Where a cell is no square, or ends with the space, what falls beside it is drawn again; the last
// time the middle will do.
#define TRIES (PE_METHOD_DRAWS_MAX / 2)

static bool in_cell(const struct pe_method_case *c, const double middle[3], const double at[3])
{
	struct pe_place place;
	double own[3];

	if (pe_space_locate(c->space, at, &place) != PE_REASON_none)
		return false;
	(void)pe_space_coarse(c->space, c->first, at, c->height_known, own);
	return memcmp(own, middle, sizeof own) == 0;
}

static bool scatter(const struct pe_method_case *c, double published[3], double *within_m)
{
	double middle[3];

	*within_m = (1 + c->second) *
		(double)pe_space_coarse(c->space, c->first, c->position, c->height_known, middle);
	for (unsigned i = 0; i < TRIES; i++) {
		double off[3] = {0};

		for (unsigned k = 0; k < 2; k++)
			off[k] = (pe_method_draw(c->stream) - 0.5) * c->first * c->second;
		if (!pe_space_offset(c->space, middle, off, published))
			break;
		published[2] = middle[2]; // up, the cell is all that is told
		if (in_cell(c, middle, published))
			return true;
	}
	memcpy(published, middle, sizeof middle);
	return true;
}

static double edge(double first, double second)
{
	return first;
}

const struct pe_method pe_method_scatter = {.name = "scatter",
	.first = {.name = "cell_m", .low = 1, .high = 100000},
	.second = {.name = "share", .low = 0, .high = 1},
	.publish = scatter,
	.edge_m = edge};
