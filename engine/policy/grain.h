// How finely a standing query asks, and how finely its asker may be answered: what a subscription
// is told of that when it begins. Computed from what is asked, from the configuration and from who
// asks, and from nothing else: whether any entity is there that a policy concerns has no part in
// it, nor has the time of day. What entities ask for themselves (precision levels) is not known
// here. Pure; any thread.
#pragma once

#include "policy/views.h"

// The least length that a standing query names, metres: half of its volume's shorter side across (a
// SPHERE's radius; of a POLYGON, a FRUSTUM, and of an ORIENTED_BOX, of the box about it) and its
// margin, if that is not 0. Infinite: none. The query passed pe_wire_check_query; extension: its
// extension, or NULL.
double pe_grain_asked_m(const struct pe_space *space, const struct pe_wire_query *query,
	const uint8_t *extension, double margin_m);

// The edge of the coarsest places that policies of the space publish for the asker, of what the
// query's type mask lets in, where that is more than asked_m; else 0.
double pe_grain_published_m(const struct pe_views *views, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint16_t type_mask, double asked_m);
