// What those who watch an entity need of it where courses are followed (predict.c): how far beside
// its published course it may be, and that it is on the same side of every edge as where it is
// seen, so that nothing enters or leaves unseen because a course covers it.
#include "watch.h"

#include <math.h>

double pe_watch_needed_m(const struct pe_worker *w, uint32_t handle)
{
	const struct pe_watch *x = w->watch;
	uint32_t cursor = PE_MEMBER_LIST_START, number;
	double needed_m = INFINITY;

	// Bounded by the memberships of one entity.
	while ((number = pe_member_inside_next(x->members, handle, &cursor)) !=
		PE_MEMBER_LIST_END) {
		const struct pe_watch_fence *f =
			(const struct pe_watch_fence *)(uintptr_t)pe_fence_id(x->index, number);

		// Who asks for all moves is told of those that there are.
		if (f->rule.move_m > 0.0)
			needed_m = fmin(needed_m, f->rule.move_m);
	}
	return needed_m;
}

#define SIDES_MAX 64u // of more fences it isn't found out

static unsigned sides(const struct pe_watch *x, const struct pe_fence_seek *seek, uint64_t word,
	const double p[3], bool height_known)
{
	double position[3] = {p[0], p[1], height_known ? p[2] : NAN};

	return pe_fence_look(x->index, seek, word, position, x->hits, NULL);
}

bool pe_watch_same_sides(
	const struct pe_worker *w, uint32_t handle, const struct pe_wire_update *update)
{
	const struct pe_watch *x = w->watch;
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	const struct pe_space *space = &w->engine->spaces[PE_STATUS_SPACE(status)].space;
	struct pe_fence_hit seen[SIDES_MAX];
	struct pe_fence_seek seek = {.key = pe_watch_open_key(r, status)};
	struct pe_place place;
	unsigned count;

	if (pe_space_locate(space, update->position, &place) != PE_REASON_none ||
		place.key != seek.key)
		return false;
	if (pe_safe_holds(&w->engine->watch->safe[pe_handle_number(handle)], x->epoch, place.word,
		    space->z_shift))
		return true;
	pe_fence_seek(x->index, &seek, 1);
	if (!seek.count)
		return true;
	// How far it reaches is an edge of its own.
	if (update->radius_m > 0.0f)
		return false;
	count = sides(x, &seek, r->shown.word, r->shown.position,
		!(r->shown.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN));
	if (count > SIDES_MAX)
		return false;
	memcpy(seen, x->hits, count * sizeof *seen);
	// The same leaf is sought in the same order.
	if (sides(x, &seek, place.word, update->position,
		    !(update->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN)) != count)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (seen[i].fence != x->hits[i].fence || seen[i].side != x->hits[i].side)
			return false;
	return true;
}
