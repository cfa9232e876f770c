// Attacks by what stands and what is bound: fences about places, about the attacker's own entity
// that moves, about the target; courses; an entity in the target's frame.
#include "adversary_internal.h"

#include "wire/details.h"
#include "wire/extension.h"

#define FOLLOW_MS 120u // a fence that follows looks where that is so often, and a little longer

// ---- fences ----

// Seven radii at once.
bool adversary_fences_about(struct adversary *a, double place[3])
{
	struct adversary_fixes f = adversary_about(a->home, ADVERSARY_REACH_M / 2);

	for (unsigned i = 0; i < ADVERSARY_ASKERS; i++) {
		double in = ADVERSARY_FAR_M, out = 0, at[3];
		bool met = false;

		adversary_anywhere(a, ADVERSARY_ASIDE_M, at);
		while (in - out > 0.001) {
			struct pe_wire_fence fence[PE_SUBSCRIBE_FENCES_MAX];
			double step = (in - out) / 8, from = out;
			unsigned entered;

			for (unsigned k = 0; k < 7; k++) {
				fence[k] = watching_sphere(
					0, at[0], at[1], at[2], from + step * (k + 1));
				fence[k].margin_m = 0;
			}
			entered = adversary_fences(a, fence, 7);
			for (unsigned k = 7; k-- > 0;)
				if (entered >> k & 1) {
					in = from + step * (k + 1);
					met = true;
				}
			for (unsigned k = 0; k < 7; k++)
				if (!(entered >> k & 1))
					out = from + step * (k + 1);
			// In none: it is beyond the widest, or not at all.
			if (out >= in)
				break;
		}
		if (met)
			adversary_add(&f, at, (in + out) / 2);
	}
	return adversary_solve(a, &f, false, place);
}

// A fence of one size about its own entity, or about the target, and its own entity that moves.
#define FOLLOW_M 20000.0
struct pursuit {
	struct adversary_ray ray;
	bool of_target;
};

static bool in_pursuit(struct adversary *a, double m, void *context)
{
	const struct pursuit *p = context;
	double at[3];

	adversary_offset(a, p->ray.from, p->ray.x * m, p->ray.y * m, at);
	adversary_put(a, 1, at);
	a->h->now.mono_ms += FOLLOW_MS;
	a->h->now.wall_ms += FOLLOW_MS;
	adversary_settle(a);
	a->questions++;
	for (unsigned i = 0; i < a->watcher.member_count; i++)
		if ((a->watcher.members[i] == ((uint64_t)a->fence << 32 ^ (ADVERSARY_OWN + 1))) ==
			p->of_target)
			return true;
	return false;
}

static bool pursue(struct adversary *a, bool of_target, double place[3])
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
	const struct pe_wire_result *r = adversary_ask(a, &q, NULL, 0);
	struct pe_wire_fence fence = watching_sphere(++a->fence, 0, 0, 0, FOLLOW_M);
	struct adversary_fixes f;
	double shown[3];

	memcpy(shown, r ? r->position : a->home, sizeof shown);
	f = adversary_about(shown, FOLLOW_M);
	adversary_put(a, 1, shown);
	fence.flags = PE_FENCE_FOLLOW;
	if (of_target)
		memcpy(fence.follow_id, a->target, 16);
	else
		harness_id(fence.follow_id, ADVERSARY_OWN + 1);
	a->h->principal = ADVERSARY_ME;
	watching_send(&a->watcher, PE_SUBSCRIBE_ADD, &fence, 1, NULL, 0);
	adversary_settle(a);
	for (unsigned i = 0; i < ADVERSARY_ASKERS; i++) {
		double turn = 2 * M_PI * (i + 0.2) / ADVERSARY_ASKERS, m;
		struct pursuit p = {
			.ray = {.x = cos(turn), .y = sin(turn)}, .of_target = of_target};
		double edge[3];

		memcpy(p.ray.from, shown, sizeof shown);
		m = adversary_bisect(a, ADVERSARY_FAR_M, in_pursuit, &p);
		if (m < 0)
			continue;
		adversary_offset(a, shown, p.ray.x * m, p.ray.y * m, edge);
		adversary_add(&f, edge, 0);
	}
	watching_remove(&a->watcher, &fence.fence_id, 1);
	adversary_settle(a);
	a->watcher.member_count = 0;
	adversary_take(a, 1);
	return adversary_solve(a, &f, true, place);
}

bool adversary_fence_moves(struct adversary *a, double place[3])
{
	return pursue(a, false, place);
}

bool adversary_fence_follows(struct adversary *a, double place[3])
{
	return pursue(a, true, place);
}

// ---- what is bound to it ----

// Where it will be, and from there back.
bool adversary_prediction(struct adversary *a, double place[3])
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
	double at[2][3];

	for (unsigned i = 0; i < 2; i++) {
		struct pe_wire_time t = {.offset_ms = (int32_t)(5000 * (i + 1))};
		_Alignas(8) uint8_t extension[64];
		uint32_t bytes = pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_TIME, &t, sizeof t);
		const struct pe_wire_result *r = adversary_ask(a, &q, extension, bytes);

		if (!r)
			return false;
		memcpy(at[i], r->position, sizeof at[i]);
	}
	for (unsigned k = 0; k < 3; k++)
		place[k] = 2 * at[0][k] - at[1][k];
	return true;
}

void adversary_bind(struct adversary *a)
{
	struct pe_wire_update u = harness_update(ADVERSARY_BOUND, ++a->sequence, 0, 0, 0);
	_Alignas(8) uint8_t record[256];
	uint32_t bytes;

	u.ttl_ms = 3600000;
	(void)pe_wire_begin_details(record, sizeof record, &u);
	bytes = pe_wire_put_details(record, sizeof record, PE_DETAILS_FRAME, a->target, 16);
	a->h->principal = ADVERSARY_ME;
	harness_queue_detailed(a->h, a->in, HARNESS_INCARNATION, record, bytes, 1, true);
	adversary_settle(a);
}

// An entity of its own in the target's frame is placed where the target is.
bool adversary_parent(struct adversary *a, double place[3])
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
	bool found = false;

	adversary_bind(a);
	(void)adversary_ask(a, &q, NULL, 0);
	for (unsigned i = 0; i < a->answer->count; i++)
		if (harness_id_number(a->answer->results[i].entity_id) == ADVERSARY_BOUND) {
			memcpy(place, a->answer->results[i].position, 3 * sizeof *place);
			found = true;
		}
	adversary_take(a, ADVERSARY_BOUND - ADVERSARY_OWN);
	return found;
}
