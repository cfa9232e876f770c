// Is an update surely as slow as its space wants it to be? A bound of the way that it went, from
// above, in a few multiplications and without a root or a sine; what is not sure is decided by
// pe_plausible_check (plausible.h), which alone refuses. On the owner's thread.
#pragma once

#include "internal.h"

#include <math.h>

// WGS84: no normal section at any place is flatter than the one at a pole, whose radius of
// curvature this is, rounded up.
#define PE_SURELY_RADIUS_M 6399594.0
// What arithmetic may lose on either side.
#define PE_SURELY_BAND 1e-6

// At least the square of what pe_space_distance says.
//
// On Earth the way is taken along which latitude, longitude and height change together. No piece of
// it is longer than where the surface is flattest, it is highest, and parallels are longest: so it
// is at most 1 % too long of a short way, and is longer than the shortest.
static inline double pe_surely_square(
	enum pe_space_kind kind, const double from[3], const double to[3])
{
	double d[3] = {to[0] - from[0], to[1] - from[1], to[2] - from[2]};
	double highest = from[2] > to[2] ? from[2] : to[2];
	double radius_m, lowest, square, parallel;

	if (kind == PE_SPACE_CARTESIAN)
		return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
	highest = highest > 0 ? highest : 0;
	radius_m = (PE_SURELY_RADIUS_M + highest) * (M_PI / 180);
	// The lowest latitude on the way, and a bound of its cosine.
	lowest = fabs(to[0]) - fabs(d[0]);
	lowest = lowest > 0 ? lowest * (M_PI / 180) : 0;
	square = lowest * lowest;
	parallel = 1 +
		square *
			(square * (1.0 / 24 + square * (square * (1.0 / 40320) - 1.0 / 720)) - 0.5);
	d[1] = fabs(d[1]);
	d[1] = (d[1] > 180 ? 360 - d[1] : d[1]) * radius_m * parallel;
	d[0] *= radius_m;
	return d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
}

// change: of a MOBILE entity, which goes on from what the record has: the same life, and no
// earlier. By how much rounding may have moved places that are veiled is left aside, which only
// makes it less sure.
static inline bool pe_plausible_surely(
	const struct pe_space_entry *s, const struct pe_record *r, const struct pe_change *c)
{
	uint32_t elapsed_ms = (uint32_t)c->time_ms - r->time_low;
	const double *from = r->shown.position;
	double way_m = (double)s->surely_m_per_ms * (double)elapsed_ms + PE_PLAUSIBLE_ROUNDING_M;

	if (atomic_load_explicit(&r->status, memory_order_relaxed) & PE_STATUS_HELD)
		from = pe_record_held(r)->position;
	return (r->shown.entity_type == PE_ENTITY_MOBILE) &
		(pe_surely_square(s->space.config.kind, from, c->update.position) <=
			way_m * way_m * (1 - PE_SURELY_BAND));
}
