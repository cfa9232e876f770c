#include "wire/explain.h"

#include "wire/wire.h"

#include <float.h>

static bool distance_sound(double m)
{
	return m == PE_EXPLAIN_NOT_TOLD || (m >= 0.0 && m <= DBL_MAX);
}

// The first cause is the lowest of those that decide, and there is one just when the entity is not
// in, or about to leave.
static bool causes_sound(const struct pe_wire_explanation *e)
{
	uint32_t deciding = e->causes & PE_EXPLAIN_DECIDING;

	if (e->causes & ~PE_EXPLAIN_CAUSES)
		return false;
	if (e->verdict != PE_EXPLAIN_OUT && deciding == 0)
		return e->first_cause == 0;
	if (e->verdict == PE_EXPLAIN_UNDECIDED ||
		(e->verdict == PE_EXPLAIN_IN && !(e->causes & PE_EXPLAIN_GOING)))
		return false;
	return deciding != 0 && e->first_cause == __builtin_ctz(deciding);
}

enum pe_reason pe_wire_check_explanation(const struct pe_wire_explanation *e)
{
	bool success = e->code == PE_CODE_SUCCESS;

	if (success != (e->reason == 0) || e->verdict > PE_EXPLAIN_UNDECIDED ||
		(!success && (e->verdict != PE_EXPLAIN_UNDECIDED || e->causes)) || !causes_sound(e))
		return PE_REASON_body_reserved;
	if ((e->state & 0xE0u) || (e->state & 7u) > PE_STATE_CUSTOM)
		return PE_REASON_state;
	if (e->entity_type > PE_ENTITY_RECURRING && e->entity_type < PE_ENTITY_CUSTOM)
		return PE_REASON_entity_type;
	for (unsigned i = 0; i < 3; i++)
		if (!(e->position[i] - e->position[i] == 0.0))
			return PE_REASON_coordinates;
	if (!distance_sound(e->distance_m) || !distance_sound(e->edge_m) ||
		!distance_sound(e->beyond_m) || !distance_sound(e->asker_m) ||
		!distance_sound(e->held_m) || !(e->radius_m >= 0.0f && e->radius_m <= FLT_MAX) ||
		((e->state & PE_RESULT_HEIGHT_UNKNOWN) && e->position[2] != 0.0))
		return PE_REASON_coordinates;
	return PE_REASON_none;
}
