// What an entity's scope makes of its updates, on the worker that owns it: a resolution rounds each
// place before anything else looks at it, so that the grid, fences, thresholds and courses know of
// the rounded one alone. Its bounds are the asker's (discover/scope.h).
#include "apply.h"

#include "space/coarse.h"

static bool scope_of(const struct pe_details_blocks *b, struct pe_wire_scope *scope)
{
	if (!b->bytes[PE_DETAILS_SCOPE])
		return false;
	memcpy(scope, b->content[PE_DETAILS_SCOPE], sizeof *scope);
	return true;
}

// By what the update says of it, or else by what is kept.
static float resolution_of(const struct pe_worker *w, const struct pe_change *c, uint32_t handle)
{
	struct pe_details_blocks b = {0};
	struct pe_wire_scope scope;

	if (c->kind == PE_CHANGE_DETAILED)
		pe_wire_get_detailed(c->record, &b);
	if (!b.content[PE_DETAILS_SCOPE]) {
		const struct pe_details_block *kept =
			pe_details_get(&w->engine->table.details, handle);

		if (!kept)
			return 0;
		pe_wire_get_details((const uint8_t *)&kept->head, &b);
	}
	return scope_of(&b, &scope) ? scope.resolution_m : 0;
}

enum pe_reason pe_scope_round(struct pe_worker *w, struct pe_change *c, struct pe_place *place,
	uint32_t handle, bool *rounded)
{
	struct pe_space_entry *s = &w->engine->spaces[c->space];
	float resolution_m = resolution_of(w, c, handle), within_m;

	*rounded = resolution_m > 0;
	if (!*rounded)
		return PE_REASON_none;
	within_m = pe_space_coarse(&s->space, (double)resolution_m, c->update.position,
		!(c->update.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN), c->update.position);
	c->update.precision_m += within_m;
	// Of the veiled ones nothing bounds the walks of those who may not see them; and what their
	// audience is told may be rougher.
	if (!(c->update.attributes & PE_PUBLISHED_VEILED)) {
		if (c->update.precision_m > s->limits.precision_max_m)
			return PE_REASON_precision;
		pe_note_precision(s, c->update.precision_m);
	}
	return pe_space_locate(&s->space, c->update.position, place);
}

enum pe_reason pe_scope_check(const struct pe_space *space, const uint8_t *details)
{
	struct pe_details_blocks b;
	struct pe_wire_scope scope;
	enum pe_reason reason = PE_REASON_none;

	pe_wire_get_details(details, &b);
	if (!scope_of(&b, &scope))
		return PE_REASON_none;
	// The place in its parent's frame is told as it is, and the child would be where its parent
	// isn't.
	if (scope.resolution_m > 0 && b.content[PE_DETAILS_FRAME])
		return PE_REASON_scope_bounds;
	if (scope.bounds == PE_QUERY_SPHERE)
		reason = pe_space_check_sphere(space, scope.a, scope.b[0]);
	else if (scope.bounds == PE_QUERY_BOX)
		reason = pe_space_check_box(space, scope.a, scope.b);
	if (scope.bounds == PE_QUERY_BOX && space->config.kind == PE_SPACE_GEODETIC &&
		(scope.a[2] != 0.0 || scope.b[2] != 0.0))
		reason = PE_REASON_scope_bounds;
	return reason ? PE_REASON_scope_bounds : PE_REASON_none;
}

bool pe_scope_rounds(const uint8_t *details)
{
	struct pe_details_blocks b;
	struct pe_wire_scope scope;

	pe_wire_get_details(details, &b);
	return scope_of(&b, &scope) && scope.resolution_m > 0;
}
