// Standing queries against brute force: a world of entities that move, change, expire and are
// withdrawn, and subscribers with fences of every kind, which open, add, remove, renew, resume,
// close and let leases run out meanwhile. The model is the protocol's words: a pair (fence, entity)
// is out, about to enter, in or about to leave; after every step the events that came are those of
// the model, neither more nor fewer, each pair's in order. Some subscribers lose notices, or take
// them backwards, and resume. Others are slow — a window, limits, no buffers — and are compared
// when they have caught up. What must hold of every row of events is checked as it comes
// (tests/watching.c). Some fences follow an entity, and are where it was when it was looked after
// last. Now and then a pair is explained: the explanation is what the model has of it. One worker
// or two, whose turns are taken one after the other in random order, on a plane and on Earth.
// PE_TEST_SEED repeats a run.
#include "internal.h"
#include "testing.h"
#include "watch_pairs.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

static uint64_t seed, state, lost, compared, explained[32];
static unsigned space;
static unsigned wrong;
static uint32_t next_fence = 1, next_epoch = 1;

static unsigned below(unsigned n)
{
	return (unsigned)((testing_random(&state) >> 32) * n >> 32);
}

static void complain(const char *what, const char *file, int line)
{
	if (wrong++ < 20)
		printf("\n    %s:%d: %s (PE_TEST_SEED=%" PRIu64 ")", file, line, what, seed);
}

// ---- turns and comparing ----

static void take_all(void)
{
	for (unsigned i = 0; i < SUBS; i++)
		watching_take(&subs[i].s);
}

static void turn(unsigned worker)
{
	harness_turn_worker(&h, worker);
	take_all();
}

static void run(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		unsigned first = below(h.worker_count);

		for (unsigned k = 0; k < h.worker_count; k++)
			turn((first + k) % h.worker_count);
		harness_control(&h);
	}
}

// What is still under way: walks of fences that were moved come one a turn.
static void finish(void)
{
	for (unsigned i = 0; i < 40; i++) {
		uint32_t in_flight = 0;

		for (unsigned k = 0; k < h.worker_count; k++)
			in_flight += pe_watch_in_flight(pe_engine_worker(h.engine, k));
		if (!in_flight)
			return;
		run(1);
	}
}

// A slow subscriber's members are those of the model when it has caught up; what came about last
// may still wait.
static bool members_agree(const struct subscriber *s)
{
	unsigned count = 0;

	for (unsigned f = 0; f < FENCES; f++)
		for (unsigned n = 0; n < ENTITIES && s->fences[f].used; n++) {
			const struct pair *p = &s->pairs[f][n];

			if (p->state != IN && p->state != LEAVING)
				continue;
			count++;
			if (!watching_is_member(&s->s, s->fences[f].wire.fence_id, n + 1))
				return false;
		}
	return s->s.member_count == count;
}

static void advance_by(unsigned ms);

// Until nothing is missing.
static void catch_up(struct subscriber *s)
{
	for (unsigned i = 0; i < 400 && s->open; i++) {
		unsigned answered = s->s.answered;

		watching_sequence(&s->s, PE_SUBSCRIBE_RESUME, s->s.next);
		turn(s->s.worker);
		if (s->s.answered > answered && s->s.done.op == PE_SUBSCRIBE_RESUME &&
			s->s.done.next_sequence == s->s.next &&
			(!s->slow || (s->s.whole && members_agree(s))))
			return;
		if (!s->slow) {
			run(1);
			continue;
		}
		// An end comes to the other worker a turn later: by then no dwell time may have
		// passed that had not at the end.
		advance_by(10);
		run(6);
	}
	HARNESS_CHECK(!s->open);
}

static bool same(const struct expected *e, const struct pe_wire_event *got)
{
	if (got->kind != e->kind || got->fence_id != e->fence)
		return false;
	if (e->kind > PE_EVENT_LEAVE)
		return got->cause == e->cause;
	return harness_id_number(got->result.entity_id) == e->n &&
		(e->cause == 0xFF || got->cause == e->cause) && got->flags == e->flags &&
		(e->kind == PE_EVENT_LEAVE || !memcmp(got->result.position, e->p, sizeof e->p));
}

static void print_events(unsigned sub)
{
	printf("\n    subscriber %u", sub);
	for (unsigned f = 0; f < FENCES; f++)
		if (subs[sub].fences[f].used)
			printf(" (fence %u: kind %u, margin %g%s)",
				subs[sub].fences[f].wire.fence_id,
				subs[sub].fences[f].wire.query.kind,
				(double)subs[sub].fences[f].wire.margin_m,
				subs[sub].fences[f].follows ? ", follows" : "");
	for (unsigned i = 0; i < expected_count[sub]; i++)
		printf("\n      wanted kind %u cause %u flags %u fence %u entity %u",
			expected[sub][i].kind, expected[sub][i].cause, expected[sub][i].flags,
			expected[sub][i].fence, expected[sub][i].n);
	for (unsigned i = 0; i < subs[sub].s.count; i++) {
		const struct pe_wire_event *e = &subs[sub].s.events[i];

		printf("\n      got    kind %u cause %u flags %u fence %u entity %" PRIu64, e->kind,
			e->cause, e->flags, e->fence_id, harness_id_number(e->result.entity_id));
	}
}

// What did not come is an ENTER and the LEAVE behind it in one turn: then neither is told.
static bool rest_cancels(const struct expected *e, unsigned count, bool *used)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned k = i + 1;

		if (used[i])
			continue;
		while (k < count && (used[k] || e[k].fence != e[i].fence || e[k].n != e[i].n))
			k++;
		if (k == count || e[i].kind != PE_EVENT_ENTER || e[k].kind != PE_EVENT_LEAVE)
			return false;
		used[k] = true;
	}
	return true;
}

static void compare(void)
{
	for (unsigned sub = 0; sub < SUBS; sub++) {
		struct subscriber *s = &subs[sub];
		bool used[EXPECTED] = {0}, fine = true;

		if (s->exact && s->s.lose && s->open)
			catch_up(s);
		for (unsigned i = 0; s->exact && !s->unsure && fine && i < s->s.count; i++) {
			unsigned k = 0;

			while (k < expected_count[sub] &&
				(used[k] || !same(&expected[sub][k], &s->s.events[i])))
				k++;
			if (k == expected_count[sub])
				fine = false;
			else
				used[k] = true;
		}
		if (s->exact && !s->unsure && fine)
			fine = rest_cancels(expected[sub], expected_count[sub], used);
		if (!fine && wrong++ < 3)
			print_events(sub);
		compared += s->s.count;
		expected_count[sub] = 0;
		s->unsure = false;
		watching_clear(&s->s);
	}
}

// ---- steps ----

// Of a fence that is made, or that will be looked after.
static bool doubtful_fence(const struct world_fence *fence)
{
	bool doubt = false;

	for (unsigned n = 0; n < ENTITIES; n++)
		if (entities[n].there)
			(void)world_takes(fence, &entities[n], &doubt);
	return doubt;
}

// A fence that follows, where it will be when its anchor is at `p`.
static struct world_fence when_at(const struct world_fence *fence, const double p[3])
{
	struct world_fence then = *fence;

	memcpy(then.local.a, p, sizeof then.local.a);
	then.nowhere = false;
	return then;
}

// Where its anchor is; of one that is gone its heights count all the same.
static struct world_fence when_it_comes(const struct world_fence *fence)
{
	static const double far[3] = {1e4, 0, 0};
	const struct world_entity *anchor = &entities[fence->follows - 1];

	return when_at(fence, anchor->there ? anchor->p : far);
}

// True: some fence's edge, or a MOVE's length, is so near that rounding decides.
static bool doubtful(unsigned n, const struct world_entity *e)
{
	bool doubt = false;

	EACH_PAIR(sub, f)
	{
		const struct world_fence *fence = &subs[sub].fences[f];
		const struct pair *p = &subs[sub].pairs[f][n];
		double d = world_distance(p->told, e->p);
		struct world_fence then;

		(void)world_takes(fence, e, &doubt);
		doubt |= fabs(d - (double)subs[sub].s.subscribe.resolution_m) < world_doubt_m();
		if (!fence->follows)
			continue;
		then = when_it_comes(fence);
		(void)world_takes(&then, e, &doubt);
		if (n == fence->follows - 1) {
			then = when_at(fence, e->p);
			doubt |= doubtful_fence(&then);
		}
	}
	return doubt;
}

// Until the record is where it belongs: a crossing that waits for another takes the clock.
// True: that was so.
static bool arrive(void)
{
	bool late = false;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t in_flight = 0;

		for (unsigned k = 0; k < h.worker_count; k++)
			in_flight += pe_worker_in_flight(pe_engine_worker(h.engine, k));
		if (!in_flight)
			return late;
		if (i % 8 == 7) {
			advance_by(1);
			late = true;
		}
		run(1);
	}
	HARNESS_CHECK(!"in flight for ever");
	return late;
}

static void update(void)
{
	unsigned n = below(ENTITIES), worker = below(h.worker_count);
	struct world_entity e = entities[n];
	struct pe_wire_update u;
	double p[3];
	bool late;

	if (e.there && below(12) == 0) {
		// An older one, late: nothing comes of it.
		u = harness_update(n + 1, e.sequence, 0, 0, 0);
		harness_queue_updates(&h, space, HARNESS_INCARNATION, &u, 1, false);
		turn(worker);
		return;
	}
	do {
		world_place(&state, p);
		// mostly a step, sometimes a leap; sometimes where it is
		for (unsigned i = 0; i < 3; i++)
			e.p[i] = !entities[n].there || below(8) == 0 ? p[i] :
				below(20) == 0                       ? entities[n].p[i] :
						 entities[n].p[i] + (p[i] - entities[n].p[i]) * 0.1;
	} while (doubtful(n, &e));
	e.there = true;
	e.sequence = entities[n].sequence + 1;
	e.type = (uint8_t)(1 + n % 2); // MOBILE, TEMPORARY
	e.state = (uint8_t)below(4);
	e.radius_m = n % 5 == 0 ? 200.0f : 0.0f;
	world_wire(e.p, p);
	u = harness_update(n + 1, e.sequence, p[0], p[1], p[2]);
	u.entity_type = e.type;
	u.attributes = e.state;
	u.radius_m = e.radius_m;
	u.ttl_ms = n < ANCHORS ? PE_TTL_MAX_MS : 500 + below(6000);
	u.duration_ms = below(6) ? 0 : 1 + below(800);
	e.expiry_ms = h.now.mono_ms + u.ttl_ms;
	e.state_until_ms = u.duration_ms ? h.now.mono_ms + u.duration_ms : 0;
	if (doubtful(n, &e))
		return;
	harness_queue_updates(&h, space, HARNESS_INCARNATION, &u, 1, false);
	if (n >= ANCHORS)
		entities[n] = e;
	turn(worker);
	late = arrive();
	entities[n] = e;
	EACH_PAIR(sub, f) pairs_look(sub, f, n);
	if (!late)
		return;
	// When it arrived while the clock went on is not known to the millisecond: until dwell
	// times are over, and fences have been looked after, some may be told of otherwise.
	for (unsigned sub = 0; sub < SUBS; sub++)
		subs[sub].unsure = true;
	for (unsigned i = 0; i < 7; i++) {
		advance_by(FOLLOW_MS);
		run(6);
	}
	finish();
}

static void withdraw(void)
{
	unsigned n = below(ENTITIES);
	struct pe_wire_withdraw x = {.sequence = entities[n].sequence + 1};

	if (!entities[n].there)
		return;
	entities[n].sequence++;
	harness_id(x.entity_id, n + 1);
	harness_queue_withdraws(&h, space, HARNESS_INCARNATION, &x, 1, false);
	turn(below(h.worker_count));
	pairs_gone(n, false);
}

static void closed(unsigned sub, unsigned cause)
{
	for (unsigned f = 0; f < FENCES; f++)
		if (subs[sub].fences[f].used)
			pairs_end(sub, f);
	pairs_expect(sub, 0, 0, PE_EVENT_ENDED, cause, 0);
	subs[sub].open = false;
	// Last words that are lost cannot be had again.
	subs[sub].unsure |= subs[sub].s.lose != NULL;
}

static void advance_by(unsigned ms)
{
	h.now.mono_ms += ms;
	h.now.wall_ms += ms;
	for (unsigned n = 0; n < ENTITIES; n++) {
		struct world_entity *e = &entities[n];

		if (!e->there)
			continue;
		if (e->expiry_ms <= h.now.mono_ms) {
			pairs_gone(n, true);
			continue;
		}
		EACH_PAIR(sub, f) pairs_settle(sub, f, n);
		if (e->state_until_ms && e->state_until_ms <= h.now.mono_ms) {
			e->state = PE_STATE_INACTIVE;
			e->state_until_ms = 0;
			EACH_PAIR(sub, f) pairs_look(sub, f, n);
		}
	}
	for (unsigned sub = 0; sub < SUBS; sub++)
		if (subs[sub].open && subs[sub].lease_ms <= h.now.mono_ms)
			closed(sub, PE_ENDED_EXPIRED);
	pairs_look_after_all();
}

static void advance(void)
{
	advance_by(1 + below(150));
}

// Makes a sphere of it that follows.
static void follow(struct world_fence *made)
{
	struct pe_wire_fence *w = &made->wire;

	if (w->query.kind != PE_QUERY_SPHERE)
		return;
	made->follows = 1 + below(ANCHORS);
	made->nowhere = true; // until it is looked after
	w->flags = PE_FENCE_FOLLOW;
	harness_id(w->follow_id, made->follows);
	w->enter_ms = w->leave_ms = 0;
	memset(w->query.a, 0, sizeof w->query.a);
	memset(made->local.a, 0, sizeof made->local.a);
}

static unsigned put_fences(struct subscriber *s, unsigned max, struct pe_wire_fence *wire,
	uint8_t *extensions, uint32_t *bytes, unsigned *slots)
{
	unsigned count = 0;

	*bytes = 0;
	for (unsigned f = 0; f < FENCES && count < max; f++) {
		struct world_fence made;

		if (s->fences[f].used)
			continue;
		for (;;) {
			bool doubt;

			world_fence(&state, next_fence, true, &made);
			if (s->exact && below(4) == 0)
				follow(&made);
			doubt = doubtful_fence(&made);
			if (made.follows) {
				struct world_fence then = when_it_comes(&made);

				doubt |= doubtful_fence(&then);
			}
			if (!doubt)
				break;
		}
		if (128 + (count + 1) * 168 + *bytes + made.extension_bytes > PE_WIRE_BYTES_MAX)
			break;
		next_fence++;
		memcpy(extensions + *bytes, made.extension, made.extension_bytes);
		*bytes += made.extension_bytes;
		wire[count] = made.wire;
		s->fences[f] = made;
		if (made.follows)
			(void)pairs_look_after((unsigned)(s - subs), f);
		slots[count++] = f;
	}
	return count;
}

static void ask(struct subscriber *s, unsigned op, unsigned max)
{
	struct pe_wire_fence wire[FENCES];
	uint8_t extensions[PE_WIRE_BYTES_MAX];
	unsigned slots[FENCES], count, answered = s->s.answered;
	uint32_t bytes, message = s->s.message;

	count = put_fences(s, max, wire, extensions, &bytes, slots);
	if (!count && op == PE_SUBSCRIBE_ADD)
		return;
	watching_send(&s->s, op, wire, count, extensions, bytes);
	turn(s->s.worker);
	run(2);
	HARNESS_CHECK(s->s.answered == answered + 1 && s->s.done.code == 0);
	HARNESS_CHECK(op == PE_SUBSCRIBE_OPEN || s->s.message == message + 1);
	s->open = true;
	for (unsigned i = 0; i < count; i++)
		pairs_begin((unsigned)(s - subs), slots[i]);
	pairs_expect((unsigned)(s - subs), 0, 0, PE_EVENT_SNAPSHOT_END, 0, 0);
	// A repeat does nothing.
	if (op == PE_SUBSCRIBE_ADD && below(3) == 0) {
		bool whole = s->s.whole;

		s->s.message--;
		watching_send(&s->s, op, wire, count, extensions, bytes);
		s->s.whole = whole;
		turn(s->s.worker);
		HARNESS_CHECK(s->s.done.code == 0 && s->s.message == message + 1);
	}
}

static void open_it(unsigned sub)
{
	struct subscriber *s = &subs[sub];
	struct pe_wire_subscribe *o = &s->s.subscribe;

	o->epoch = next_epoch++;
	o->flags = below(2) ? PE_SUBSCRIBE_MOVES : 0;
	o->resolution_m = 0;
	o->expiration_ms = below(3) ? 0 : 2000 + below(20000);
	if (o->flags && below(2)) {
		o->flags |= PE_SUBSCRIBE_FILTER_UPDATES;
		o->resolution_m = 25.0f;
	}
	if (s->slow) {
		o->window = (uint16_t)(below(2) ? 0 : 1 + below(20));
		o->update_frequency = (uint16_t)(below(2) ? 0 : 600);
		o->flags |= below(2) ? PE_SUBSCRIBE_BATCH_UPDATES : 0;
	}
	o->priority = (uint8_t)below(4);
	s->lease_ms =
		h.now.mono_ms + (o->expiration_ms ? o->expiration_ms : PE_SUBSCRIPTION_LEASE_MS);
	memset(s->fences, 0, sizeof s->fences);
	ask(s, PE_SUBSCRIBE_OPEN, 1 + below(3));
}

static void change_subscriptions(void)
{
	unsigned sub = below(SUBS);
	struct subscriber *s = &subs[sub];
	uint32_t ids[FENCES];
	unsigned count = 0;

	if (!s->open) {
		open_it(sub);
		return;
	}
	switch (below(8)) {
	case 0:
		watching_send(&s->s, PE_SUBSCRIBE_CLOSE, NULL, 0, NULL, 0);
		turn(s->s.worker);
		closed(sub, PE_ENDED_CLOSED);
		return;
	case 1:
	case 2:
		for (unsigned f = 0; f < FENCES; f++)
			if (s->fences[f].used && below(2)) {
				ids[count++] = s->fences[f].wire.fence_id;
				pairs_end(sub, f);
			}
		if (!count)
			return;
		watching_remove(&s->s, ids, count);
		turn(s->s.worker);
		HARNESS_CHECK(s->s.done.code == 0);
		return;
	case 3:
		s->s.subscribe.expiration_ms = 3000 + below(5000);
		s->lease_ms = h.now.mono_ms + s->s.subscribe.expiration_ms;
		watching_send(&s->s, PE_SUBSCRIBE_RENEW, NULL, 0, NULL, 0);
		turn(s->s.worker);
		return;
	case 4:
		// The same epoch again renews and does nothing else.
		if (s->slow)
			return;
		{
			uint64_t next = s->s.next;
			unsigned members = s->s.member_count;
			uint32_t message = s->s.message;

			s->s.subscribe.expiration_ms = 0;
			s->lease_ms = h.now.mono_ms + PE_SUBSCRIPTION_LEASE_MS;
			watching_send(&s->s, PE_SUBSCRIBE_OPEN, NULL, 0, NULL, 0);
			s->s.next = next;
			s->s.member_count = members;
			turn(s->s.worker);
			HARNESS_CHECK(s->s.message == message);
		}
		return;
	default:
		ask(s, PE_SUBSCRIBE_ADD, 1 + below(3));
		return;
	}
}

// The slow ones: sometimes they acknowledge, sometimes nobody can be sent to.
static void be_slow(void)
{
	for (unsigned sub = 0; sub < SUBS; sub++) {
		struct subscriber *s = &subs[sub];

		if (!s->slow || !s->open || below(6))
			continue;
		watching_sequence(&s->s, below(4) ? PE_SUBSCRIBE_ACKNOWLEDGE : PE_SUBSCRIBE_RESUME,
			s->s.next);
		turn(s->s.worker);
	}
}

// What the model has of a pair is what it is explained by, on the worker that owns the entity; on
// another one what can be seen there.
static void explain(void)
{
	unsigned sub = below(SUBS), f = below(FENCES), n = below(ENTITIES);
	unsigned worker = below(h.worker_count);
	struct subscriber *s = &subs[sub];
	const struct world_fence *fence = &s->fences[f];
	const struct pair *p = &s->pairs[f][n];
	const struct world_entity *e = &entities[n];
	struct pe_wire_explanation told;
	enum world_side side, by_place;
	bool doubt = false, own, itself;
	uint32_t causes;
	uint64_t sequence;

	// Random pairs are mostly far apart.
	for (unsigned i = 0; i < 20 && p->state == OUT; i++) {
		n = below(ENTITIES);
		p = &s->pairs[f][n];
		e = &entities[n];
	}
	if (!s->open || !s->exact || !fence->used)
		return;
	sequence = watching_ask(&s->s, fence->wire.fence_id, n + 1);
	turn(worker);
	if (!watching_told(&s->s, sequence, &told) || told.reason) {
		HARNESS_CHECK(!"an explanation");
		return;
	}
	causes = told.causes;
	for (unsigned i = 0; i < 32; i++)
		explained[i] += causes >> i & 1;
	if (!e->there) {
		HARNESS_CHECK(told.verdict == PE_EXPLAIN_OUT);
		HARNESS_CHECK(
			told.first_cause == PE_WHY_UNKNOWN || told.first_cause == PE_WHY_GONE);
		return;
	}
	own = !(causes >> PE_WHY_ELSEWHERE & 1);
	itself = fence->follows == n + 1;
	by_place = world_side(fence, e, &doubt);
	side = pairs_take(fence, e, &doubt);
	HARNESS_CHECK(!(causes >> PE_WHY_KEPT & 1) == (worker == s->s.worker));
	HARNESS_CHECK(!(causes >> PE_WHY_ITSELF & 1) == !itself);
	HARNESS_CHECK(!(causes >> PE_WHY_NOWHERE & 1) == !fence->nowhere);
	HARNESS_CHECK(!(causes >> PE_WHY_MARGIN & 1) == (by_place != WORLD_MARGIN));
	HARNESS_CHECK(!(causes &
		(1u << PE_WHY_UNLOOKED | 1u << PE_WHY_OUTDATED | 1u << PE_WHY_WAITS |
			1u << PE_WHY_FULL)));
	if (by_place == WORLD_INSIDE)
		HARNESS_CHECK(!(causes & (1u << PE_WHY_VOLUME | 1u << PE_WHY_HEIGHT)));
	HARNESS_CHECK(!(causes >> PE_WHY_TYPE & 1) ==
		(!fence->local.type_mask || (fence->local.type_mask >> e->type & 1)));
	HARNESS_CHECK(!(causes >> PE_WHY_STATE & 1) ==
		(!fence->local.state_mask || (fence->local.state_mask >> e->state & 1)));
	if (!own) {
		HARNESS_CHECK(told.verdict ==
			(side == WORLD_INSIDE                 ? PE_EXPLAIN_IN :
					side == WORLD_OUTSIDE ? PE_EXPLAIN_OUT :
								PE_EXPLAIN_UNDECIDED));
		return;
	}
	HARNESS_CHECK(told.verdict ==
		(p->state == IN || p->state == LEAVING ? PE_EXPLAIN_IN : PE_EXPLAIN_OUT));
	HARNESS_CHECK(!(causes >> PE_WHY_DWELL & 1) == (p->state != ENTERING));
	HARNESS_CHECK(!(causes >> PE_WHY_LEAVING & 1) == (p->state != LEAVING));
	if (p->state == ENTERING || p->state == LEAVING)
		HARNESS_CHECK(told.due_ms == p->due_ms - h.now.mono_ms);
	if (p->state == LEAVING || (p->state == OUT && !itself))
		HARNESS_CHECK(causes & PE_EXPLAIN_DECIDING);
}

static void one_world(unsigned workers, bool earth, uint64_t steps)
{
	struct pe_engine_config c = harness_config();

	c.worker_count = workers;
	c.fence_count_max = 256;
	c.member_count_max = 16384;
	c.subscription_count_max = 64;
	c.event_count_max = 256;
	c.tombstone_ms = 300;
	c.clock_ahead_ms = 1000000;
	world_earth = earth;
	space = earth;
	harness_start(&h, &c);
	memset(entities, 0, sizeof entities);
	memset(subs, 0, sizeof subs);
	for (unsigned i = 0; i < SUBS; i++) {
		h.port = (uint16_t)(41000 + i);
		watching_init(&subs[i].s, &h, space, 100 + i);
		subs[i].s.worker = i % workers;
		subs[i].slow = i >= SUBS - 3;
		subs[i].exact = !subs[i].slow;
		if (i % 2)
			subs[i].s.lose = &lost;
	}
	h.port = 40000;
	for (uint64_t i = 0; i < steps && wrong < 20; i++) {
		unsigned what = below(100);

		if (what < 80)
			update();
		else if (what < 84)
			withdraw();
		else if (what < 96)
			advance();
		else
			change_subscriptions();
		be_slow();
		run(6);
		finish();
		if (below(4) == 0)
			explain();
		compare();
		if (i % 500 == 499) {
			for (unsigned sub = 0; sub < SUBS; sub++)
				if (subs[sub].open && subs[sub].slow) {
					catch_up(&subs[sub]);
					run(6);
					compare();
				}
		}
	}
	for (unsigned i = 0; i < SUBS; i++)
		watching_free(&subs[i].s);
	harness_stop(&h);
}

static void one_worker(void)
{
	one_world(1, false, testing_amount(40000));
	CU_ASSERT_EQUAL(wrong, 0);
}

static void two_workers(void)
{
	one_world(2, false, testing_amount(40000));
	CU_ASSERT_EQUAL(wrong, 0);
}

static void on_earth(void)
{
	static const uint8_t met[] = {PE_WHY_UNKNOWN, PE_WHY_GONE, PE_WHY_STATE, PE_WHY_HEIGHT,
		PE_WHY_VOLUME, PE_WHY_REACH, PE_WHY_DWELL, PE_WHY_ELSEWHERE, PE_WHY_MARGIN,
		PE_WHY_LEAVING, PE_WHY_KEPT};

	one_world(2, true, testing_amount(30000));
	CU_ASSERT_EQUAL(wrong, 0);
	printf("%" PRIu64 " events compared, %" PRIu64 " fences moved, explained by cause:",
		compared, followed);
	for (unsigned i = 1; i <= PE_WHY_NOWHERE; i++)
		printf(" %" PRIu64, explained[i]);
	printf(" ");
	// Those that this world has were met.
	for (unsigned i = 0; i < sizeof met; i++)
		CU_ASSERT(wrong || explained[met[i]] > 0);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"one worker", one_worker},
		{"two workers", two_workers},
		{"on Earth", on_earth},
	};
	const char *text = getenv("PE_TEST_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 0) :
		      (uint64_t)now.tv_sec * 1000003u ^ (uint64_t)now.tv_nsec;
	printf("PE_TEST_SEED=%" PRIu64 "\n", seed);
	state = seed;
	lost = seed + 1;
	harness_failed = complain;
	return testing_main("model/watch", cases, 3);
}
