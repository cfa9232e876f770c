#include "watch_pairs.h"

#include <stdlib.h>
#include <string.h>

struct harness h;
struct world_entity entities[ENTITIES];
struct subscriber subs[SUBS];
struct expected expected[SUBS][EXPECTED];
unsigned expected_count[SUBS];
uint64_t followed;

enum world_side pairs_take(
	const struct world_fence *fence, const struct world_entity *e, bool *doubt)
{
	if (fence->follows && e == &entities[fence->follows - 1])
		return WORLD_OUTSIDE;
	return world_takes(fence, e, doubt);
}

void pairs_expect(
	unsigned sub, uint32_t fence, unsigned n, unsigned kind, unsigned cause, unsigned flags)
{
	struct expected *e = &expected[sub][expected_count[sub]];

	if (!subs[sub].exact)
		return;
	if (expected_count[sub] == EXPECTED)
		abort();
	expected_count[sub]++;
	*e = (struct expected){fence, n, (uint8_t)kind, (uint8_t)cause, (uint8_t)flags, {0}};
	if (n)
		world_wire(entities[n - 1].p, e->p);
}

static void enter(unsigned sub, unsigned f, unsigned n, unsigned flags)
{
	struct pair *p = &subs[sub].pairs[f][n];

	p->state = IN;
	pairs_expect(sub, subs[sub].fences[f].wire.fence_id, n + 1, PE_EVENT_ENTER, 0, flags);
}

static void leave(unsigned sub, unsigned f, unsigned n, unsigned cause)
{
	subs[sub].pairs[f][n].state = OUT;
	pairs_expect(sub, subs[sub].fences[f].wire.fence_id, n + 1, PE_EVENT_LEAVE, cause, 0);
}

static bool moves(const struct subscriber *s, const struct pair *p, const double at[3])
{
	double d = world_distance(p->told, at);

	return (s->s.subscribe.flags & PE_SUBSCRIBE_MOVES) && d > 0.001 &&
		d > (double)s->s.subscribe.resolution_m;
}

void pairs_settle(unsigned sub, unsigned f, unsigned n)
{
	struct pair *p = &subs[sub].pairs[f][n];

	if (p->state == ENTERING && p->due_ms <= h.now.mono_ms)
		enter(sub, f, n, 0);
	else if (p->state == LEAVING && p->due_ms <= h.now.mono_ms)
		leave(sub, f, n, PE_LEAVE_MOVED);
}

void pairs_look(unsigned sub, unsigned f, unsigned n)
{
	struct subscriber *s = &subs[sub];
	const struct world_fence *fence = &s->fences[f];
	const struct world_entity *e = &entities[n];
	struct pair *p = &s->pairs[f][n];
	bool doubt = false;
	enum world_side side = pairs_take(fence, e, &doubt);

	pairs_settle(sub, f, n);
	switch (p->state) {
	case OUT:
		if (side != WORLD_INSIDE)
			return;
		memcpy(p->told, e->p, sizeof p->told);
		if (fence->wire.enter_ms) {
			p->state = ENTERING;
			p->due_ms = h.now.mono_ms + fence->wire.enter_ms;
		} else {
			enter(sub, f, n, 0);
		}
		return;
	case ENTERING:
		if (side == WORLD_INSIDE)
			memcpy(p->told, e->p, sizeof p->told);
		else
			p->state = OUT;
		return;
	case IN:
	case LEAVING:
		if (side == WORLD_OUTSIDE) {
			if (!fence->wire.leave_ms)
				leave(sub, f, n, PE_LEAVE_MOVED);
			else if (p->state == IN) {
				p->state = LEAVING;
				p->due_ms = h.now.mono_ms + fence->wire.leave_ms;
			}
			return;
		}
		p->state = IN;
		if (moves(s, p, e->p)) {
			memcpy(p->told, e->p, sizeof p->told);
			pairs_expect(sub, fence->wire.fence_id, n + 1, PE_EVENT_MOVE, 0, 0);
		}
		return;
	}
}

void pairs_gone(unsigned n, bool late)
{
	EACH_PAIR(sub, f)
	{
		struct pair *p = &subs[sub].pairs[f][n];

		if (p->state == IN || p->state == LEAVING)
			leave(sub, f, n,
				late && p->state == LEAVING && p->due_ms <= h.now.mono_ms ?
					0xFF :
					PE_LEAVE_GONE);
		p->state = OUT;
	}
	entities[n].there = false;
}

void pairs_begin(unsigned sub, unsigned f)
{
	for (unsigned n = 0; n < ENTITIES; n++) {
		struct pair *p = &subs[sub].pairs[f][n];
		bool doubt = false;

		p->state = OUT;
		if (!entities[n].there ||
			pairs_take(&subs[sub].fences[f], &entities[n], &doubt) != WORLD_INSIDE)
			continue;
		memcpy(p->told, entities[n].p, sizeof p->told);
		enter(sub, f, n, PE_EVENT_IN_SNAPSHOT);
	}
}

void pairs_end(unsigned sub, unsigned f)
{
	for (unsigned n = 0; n < ENTITIES; n++) {
		struct pair *p = &subs[sub].pairs[f][n];

		if (p->state == IN || p->state == LEAVING)
			leave(sub, f, n, PE_LEAVE_ENDED);
		p->state = OUT;
	}
	subs[sub].fences[f].used = false;
}

bool pairs_look_after(unsigned sub, unsigned f)
{
	struct world_fence *fence = &subs[sub].fences[f];
	const struct world_entity *anchor = &entities[fence->follows - 1];
	bool was = !fence->nowhere;

	subs[sub].looked_ms[f] = h.now.mono_ms + FOLLOW_MS;
	fence->nowhere = !anchor->there;
	if (fence->nowhere)
		return was;
	if (was && memcmp(fence->local.a, anchor->p, sizeof anchor->p) == 0)
		return false;
	memcpy(fence->local.a, anchor->p, sizeof anchor->p);
	return true;
}

void pairs_look_after_all(void)
{
	EACH_PAIR(sub, f)
	{
		if (!subs[sub].fences[f].follows || subs[sub].looked_ms[f] > h.now.mono_ms ||
			!pairs_look_after(sub, f))
			continue;
		followed++;
		for (unsigned n = 0; n < ENTITIES; n++)
			if (entities[n].there)
				pairs_look(sub, f, n);
	}
}
