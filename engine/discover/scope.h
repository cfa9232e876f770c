// The bounds of an entity's scope (wire/details.h): it is told of to whoever asks from within them.
// The asker's point is that of its reach: what a query or a fence states as its origin, or else the
// centre of its volume; it is the asker's word, and no protection. Pure; any thread.
#pragma once

#include "space/space.h"
#include "wire/details.h"

#include <string.h>

// Does the scope in details as they are kept let a point in? True where there is none.
[[nodiscard]] bool pe_scope_takes(
	const struct pe_space *space, const uint8_t *details, const double point[3]);
// The same of a view's details, which may be NULL.
static inline bool pe_scope_lets(
	const struct pe_space *space, const uint8_t *details, const double point[3])
{
	struct pe_wire_details head;

	if (!details)
		return true;
	memcpy(&head, details, sizeof head);
	return !(head.blocks & PE_DETAILS_BIT(PE_DETAILS_SCOPE)) ||
		pe_scope_takes(space, details, point);
}
