// A query that stands: what a fence asks of an entity besides its place, and the volume that it
// puts into an index of fences. Made once from what came over the wire, then read by any thread.
// Its parts of varying size (a polygon, a hull, a compiled filter, the extension as it came, which
// a walk of the grid wants again) lie behind it in one piece of memory of the caller's.
//
// What is asked of the place is the index's (discover/fence.h): the volume, its margin, and, of a
// SPHERE or BOX, the height range. The rest is asked of the view: types, states, the filter, the
// heights of other kinds, and whether the asker's point is within the entity's reach.
#pragma once

#include "discover/fence.h"
#include "discover/filter_run.h"
#include "discover/query.h"
#include "policy/view.h"
#include "wire/subscribe.h"

struct pe_stand {
	const struct pe_space *space;
	struct pe_wire_query query; // its cursor and bounds are zero
	struct pe_fence_volume volume;
	const struct pe_filter *filter; // NULL: none
	const uint8_t *extension;       // NULL: none
	double origin[3];               // the asker's point, or the volume's centre
	bool straight;                  // distances with heights
	// any view in the volume is taken, unless its reach is limited
	bool plain;
};

// Bytes of memory that the parts of a checked fence need; a multiple of 8.
uint32_t pe_stand_bytes(const struct pe_wire_fence *fence);

// Makes *stand from a fence that passed pe_wire_check_fence and its extension; parts: as many bytes
// as pe_stand_bytes says, at a multiple of 64, which outlive it. A fence that FOLLOWs stands at
// `at`; else `at` is not looked at. PE_REASON_none, or what its query is refused for; then nothing
// refers to `parts`.
[[nodiscard]] enum pe_reason pe_stand_make(struct pe_stand *stand, const struct pe_space *space,
	const struct pe_wire_fence *fence, const uint8_t *extension, void *parts);

// The same about another centre: what a fence that follows asks now. moved->query.a is then the
// centre.
void pe_stand_at(const struct pe_stand *stand, const double at[3], struct pe_stand *moved);

// Does the view pass what is asked besides the place? centre: of a fence that follows; else NULL.
bool pe_stand_takes(const struct pe_stand *stand, const double *centre, const struct pe_view *view,
	struct pe_instant now);
// The view as it goes over the wire, with its distance from the asker's point, or the volume's
// centre.
void pe_stand_result(const struct pe_stand *stand, const double *centre, const struct pe_view *view,
	struct pe_instant now, struct pe_wire_result *result);
