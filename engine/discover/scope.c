#include "discover/scope.h"

bool pe_scope_takes(const struct pe_space *space, const uint8_t *details, const double point[3])
{
	struct pe_details_blocks blocks;
	struct pe_wire_scope s;

	pe_wire_get_details(details, &blocks);
	if (!blocks.content[PE_DETAILS_SCOPE])
		return true;
	memcpy(&s, blocks.content[PE_DETAILS_SCOPE], sizeof s);
	switch (s.bounds) {
	case PE_QUERY_SPHERE:
		return pe_space_distance(space, s.a, point, false) <= s.b[0];
	case PE_QUERY_BOX:
		return pe_space_box_holds(space, s.a, s.b, point);
	default:
		return true;
	}
}
