#include "discover/member_internal.h"

#include <math.h>

#define KNOWN 12u

enum pe_status pe_member_open(struct pe_member_set *set, uint32_t number,
	const struct pe_space *space, const struct pe_member_rule *rule)
{
	struct pe_member_fence *f = &set->fences[number];
	double units = rule->move_m * space->units_per_m;

	assert(number < set->config.fence_count_max && !f->open && !f->count);
	if (rule->enter_ms > PE_FENCE_DWELL_MAX_MS || rule->leave_ms > PE_FENCE_DWELL_MAX_MS ||
		!(rule->move_m < INFINITY))
		return PE_INVALID;
	*f = (struct pe_member_fence){.first = PE_MEMBER_NONE,
		.enter_ms = rule->enter_ms,
		.leave_ms = rule->leave_ms,
		.move_square = units < 0.0 ? -1.0 : units * units,
		.z_shift = space->z_shift,
		.open = true};
	return PE_OK;
}

static void tell(struct pe_member_set *set, const struct pe_member *m, enum pe_member_kind kind,
	enum pe_member_cause cause, uint32_t tick)
{
	struct pe_member_event event = {.kind = (uint8_t)kind,
		.cause = (uint8_t)cause,
		.fence = m->fence,
		.handle = m->handle,
		.tick = tick};

	set->config.tell(set->config.context, &event);
}

static void enter(struct pe_member_set *set, struct pe_member *m, uint32_t tick)
{
	m->state = PE_MEMBER_STATE_INSIDE;
	set->use.inside++;
	set->use.entered++;
	tell(set, m, PE_MEMBER_ENTER, PE_CAUSE_NONE, tick);
}

// Ends what was told of with a LEAVE, and what wasn't without.
static void end(struct pe_member_set *set, uint32_t n, enum pe_member_cause cause, uint32_t tick)
{
	struct pe_member *m = &set->members[n];

	if (m->state == PE_MEMBER_STATE_ENTERING) {
		set->use.returned++;
	} else {
		set->use.inside--;
		set->use.left[cause]++;
		tell(set, m, PE_MEMBER_LEAVE, cause, tick);
	}
	pe_member_give(set, n);
}

// A change that was due by `tick` comes about first, unless its fence is ending. False: the member
// has left.
static bool settle(struct pe_member_set *set, uint32_t n, uint32_t tick)
{
	struct pe_member *m = &set->members[n];
	uint32_t due = m->wheel.tick;

	if (m->state == PE_MEMBER_STATE_INSIDE || (int32_t)(tick - due) < 0 ||
		!set->fences[m->fence].open)
		return true;
	if (m->state == PE_MEMBER_STATE_LEAVING) {
		end(set, n, PE_CAUSE_MOVED, due);
		return false;
	}
	pe_wheel_remove(&set->wheel, n);
	enter(set, m, due);
	return true;
}

static uint32_t advance(struct pe_member_set *set, uint32_t tick)
{
	if ((int32_t)(tick - set->tick) > 0)
		set->tick = tick;
	return set->tick;
}

static void place(struct pe_member *m, uint64_t key, uint64_t word)
{
	m->key = key;
	m->word = word & PE_WORD_POSITION;
}

// How far it is from where it was told of last, squared; INFINITY in another frame.
static double moved_square(
	const struct pe_member_fence *f, const struct pe_member *m, uint64_t key, uint64_t word)
{
	struct pe_units then = pe_place_units(m->key, m->word), now = pe_place_units(key, word);
	double x, y, z;

	if (then.frame != now.frame)
		return INFINITY;
	x = (double)(now.v[0] - then.v[0]);
	y = (double)(now.v[1] - then.v[1]);
	z = (double)((now.v[2] - then.v[2]) * ((int64_t)1 << f->z_shift));
	return x * x + y * y + z * z;
}

// True: further than its fence wants to know.
static bool has_moved(
	const struct pe_member_fence *f, const struct pe_member *m, uint64_t key, uint64_t word)
{
	if (f->move_square < 0.0 || (m->key == key && m->word == word))
		return false;
	return moved_square(f, m, key, word) > f->move_square;
}

// False: it is inside and no member.
static bool hit_stranger(struct pe_member_set *set, const struct pe_fence_hit *hit, uint32_t handle,
	uint64_t key, uint64_t word, uint32_t tick)
{
	const struct pe_member_fence *f = &set->fences[hit->fence];
	uint32_t n;

	if (hit->side != PE_FENCE_INSIDE)
		return true;
	n = f->open ? pe_member_take(set, hit->fence, handle) : PE_MEMBER_NONE;
	if (n == PE_MEMBER_NONE)
		return false;
	place(&set->members[n], key, word);
	if (f->enter_ms) {
		set->members[n].state = PE_MEMBER_STATE_ENTERING;
		pe_wheel_add(&set->wheel, n, tick + f->enter_ms);
		return true;
	}
	enter(set, &set->members[n], tick);
	return true;
}

static void hit_member(struct pe_member_set *set, const struct pe_fence_hit *hit, uint32_t n,
	uint64_t key, uint64_t word, uint32_t tick)
{
	struct pe_member *m = &set->members[n];
	const struct pe_member_fence *f = &set->fences[hit->fence];

	m->stamp = set->stamp;
	if (hit->side == PE_MEMBER_HIDDEN) {
		end(set, n, PE_CAUSE_GONE, tick);
		return;
	}
	if (!f->open) {
		end(set, n, PE_CAUSE_ENDED, tick);
		return;
	}
	if (m->state == PE_MEMBER_STATE_ENTERING) {
		if (hit->side == PE_FENCE_INSIDE)
			place(m, key, word);
		else
			end(set, n, PE_CAUSE_MOVED, tick);
		return;
	}
	if (m->state == PE_MEMBER_STATE_LEAVING) {
		pe_wheel_remove(&set->wheel, n);
		m->state = PE_MEMBER_STATE_INSIDE;
		set->use.returned++;
	}
	if (has_moved(f, m, key, word)) {
		place(m, key, word);
		set->use.moved++;
		tell(set, m, PE_MEMBER_MOVE, PE_CAUSE_NONE, tick);
	}
}

// The member's fence was not hit.
static void missed(struct pe_member_set *set, uint32_t n, uint32_t tick)
{
	struct pe_member *m = &set->members[n];
	const struct pe_member_fence *f = &set->fences[m->fence];

	if (!f->open) {
		end(set, n, PE_CAUSE_ENDED, tick);
	} else if (m->state == PE_MEMBER_STATE_ENTERING || !f->leave_ms) {
		end(set, n, PE_CAUSE_MOVED, tick);
	} else if (m->state == PE_MEMBER_STATE_INSIDE) {
		m->state = PE_MEMBER_STATE_LEAVING;
		pe_wheel_add(&set->wheel, n, tick + f->leave_ms);
	}
}

// An entity's members when its update came, so that its hits need not be looked for in the table:
// that is a line or two for each.
struct known {
	unsigned count; // above KNOWN: more than there is room for
	uint32_t fence[KNOWN], member[KNOWN];
};

static void remember(struct known *k, uint32_t fence, uint32_t member)
{
	if (k->count < KNOWN) {
		k->fence[k->count] = fence;
		k->member[k->count] = member;
	}
	k->count += k->count <= KNOWN;
}

static uint32_t find(
	const struct pe_member_set *set, const struct known *k, uint32_t fence, uint32_t handle)
{
	if (k->count > KNOWN)
		return pe_member_find(set, fence, handle);
	for (unsigned i = 0; i < k->count; i++)
		if (k->fence[i] == fence)
			return k->member[i];
	return PE_MEMBER_NONE;
}

bool pe_member_update(struct pe_member_set *set, uint32_t handle, uint64_t key, uint64_t word,
	const struct pe_fence_hit *hits, unsigned hit_count, uint32_t tick)
{
	struct known known = {.count = 0};
	bool all = true;

	assert(handle < set->config.handle_end);
	if (!hit_count && !pe_member_some(set, handle))
		return true;
	word &= PE_WORD_POSITION;
	tick = advance(set, tick);
	set->stamp++;
	for (uint32_t n = pe_member_first(set, handle), next; n != PE_MEMBER_NONE; n = next) {
		next = pe_member_same(set, set->members[n].entity_next, handle);
		set->members[n].stamp = set->stamp - 1;
		if (settle(set, n, tick))
			remember(&known, set->members[n].fence, n);
	}
	for (unsigned i = 0; i < hit_count; i++) {
		uint32_t n = find(set, &known, hits[i].fence, handle);

		if (n == PE_MEMBER_NONE)
			all &= hit_stranger(set, &hits[i], handle, key, word, tick);
		else
			hit_member(set, &hits[i], n, key, word, tick);
	}
	for (uint32_t n = pe_member_first(set, handle), next; n != PE_MEMBER_NONE; n = next) {
		next = pe_member_same(set, set->members[n].entity_next, handle);
		if (set->members[n].stamp != set->stamp)
			missed(set, n, tick);
	}
	return all;
}

double pe_member_room(const struct pe_member_set *set, uint32_t handle, uint64_t key, uint64_t word)
{
	double room = INFINITY;

	word &= PE_WORD_POSITION;
	for (uint32_t n = pe_member_first(set, handle); n != PE_MEMBER_NONE;
		n = pe_member_same(set, set->members[n].entity_next, handle)) {
		const struct pe_member *m = &set->members[n];
		const struct pe_member_fence *f = &set->fences[m->fence];

		if (m->state != PE_MEMBER_STATE_INSIDE || !f->open)
			return 0.0;
		if (f->move_square == 0.0)
			return -INFINITY;
		if (f->move_square > 0.0)
			room = fmin(
				room, sqrt(f->move_square) - sqrt(moved_square(f, m, key, word)));
	}
	return room;
}

enum pe_status pe_member_start(struct pe_member_set *set, uint32_t fence, uint32_t handle,
	uint64_t key, uint64_t word, uint32_t tick)
{
	uint32_t n = pe_member_find(set, fence, handle);

	assert(fence < set->config.fence_count_max && handle < set->config.handle_end);
	if (!set->fences[fence].open)
		return PE_NOT_FOUND;
	tick = advance(set, tick);
	if (n == PE_MEMBER_NONE) {
		n = pe_member_take(set, fence, handle);
		if (n == PE_MEMBER_NONE)
			return PE_FULL;
	} else if (set->members[n].state != PE_MEMBER_STATE_ENTERING) {
		return PE_OK;
	}
	pe_wheel_remove(&set->wheel, n);
	place(&set->members[n], key, word);
	enter(set, &set->members[n], tick);
	return PE_OK;
}

void pe_member_gone(struct pe_member_set *set, uint32_t handle, uint32_t tick)
{
	assert(handle < set->config.handle_end);
	tick = advance(set, tick);
	while (pe_member_some(set, handle)) {
		uint32_t n = pe_member_first(set, handle);

		if (settle(set, n, tick))
			end(set, n, PE_CAUSE_GONE, tick);
	}
}

uint32_t pe_member_close(struct pe_member_set *set, uint32_t number, uint32_t tick, uint32_t max)
{
	struct pe_member_fence *f = &set->fences[number];

	assert(number < set->config.fence_count_max);
	tick = advance(set, tick);
	f->open = false;
	for (; f->count && max; max--)
		end(set, f->first, PE_CAUSE_ENDED, tick);
	return f->count;
}

unsigned pe_member_due(struct pe_member_set *set, uint32_t now, unsigned max, unsigned work)
{
	uint32_t nodes[64];
	unsigned settled = 0;

	now = advance(set, now);
	while (settled < max) {
		unsigned room = max - settled < 64 ? max - settled : 64;
		unsigned count = pe_wheel_due(&set->wheel, now, nodes, room, work);

		for (unsigned i = 0; i < count; i++) {
			struct pe_member *m = &set->members[nodes[i]];

			if (m->state == PE_MEMBER_STATE_LEAVING)
				end(set, nodes[i],
					set->fences[m->fence].open ? PE_CAUSE_MOVED :
								     PE_CAUSE_ENDED,
					m->wheel.tick);
			else if (set->fences[m->fence].open)
				enter(set, m, m->wheel.tick);
			else
				end(set, nodes[i], PE_CAUSE_ENDED, m->wheel.tick);
		}
		settled += count;
		if (count < room)
			break;
	}
	return settled;
}

uint32_t pe_member_next(const struct pe_member_set *set, uint32_t now, uint32_t cap)
{
	return pe_wheel_next(&set->wheel, now, cap);
}

unsigned pe_member_list(const struct pe_member_set *set, uint32_t fence, uint32_t *cursor,
	uint32_t *handles, unsigned max)
{
	uint32_t n = *cursor;
	unsigned count = 0;

	if (n == PE_MEMBER_LIST_START || set->members[n].fence != fence ||
		set->members[n].state == PE_MEMBER_STATE_FREE)
		n = set->fences[fence].first;
	for (; n != PE_MEMBER_NONE && count < max; n = set->members[n].fence_next)
		handles[count++] = set->members[n].handle;
	*cursor = n == PE_MEMBER_NONE ? PE_MEMBER_LIST_END : n;
	return count;
}

void pe_member_set_tick(struct pe_member_set *set, uint32_t tick)
{
	assert(!set->use.members);
	set->tick = set->wheel.tick = tick;
}

bool pe_member_inside(const struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint32_t n = pe_member_find(set, fence, handle);

	return n != PE_MEMBER_NONE && set->members[n].state != PE_MEMBER_STATE_ENTERING;
}

enum pe_member_phase pe_member_phase(
	const struct pe_member_set *set, uint32_t fence, uint32_t handle, uint32_t *until)
{
	uint32_t n = pe_member_find(set, fence, handle);

	if (n == PE_MEMBER_NONE)
		return PE_MEMBER_OUT;
	*until = set->members[n].wheel.tick;
	return (enum pe_member_phase)set->members[n].state;
}
static_assert((int)PE_MEMBER_ENTERS == (int)PE_MEMBER_STATE_ENTERING &&
		(int)PE_MEMBER_IN == (int)PE_MEMBER_STATE_INSIDE &&
		(int)PE_MEMBER_LEAVES == (int)PE_MEMBER_STATE_LEAVING,
	"phases are the states of members");

bool pe_member_full(const struct pe_member_set *set)
{
	return set->use.members == set->config.member_count_max;
}

uint32_t pe_member_inside_next(const struct pe_member_set *set, uint32_t handle, uint32_t *cursor)
{
	uint32_t n = *cursor == PE_MEMBER_LIST_START ?
		pe_member_first(set, handle) :
		pe_member_same(set, set->members[*cursor].entity_next, handle);

	while (n != PE_MEMBER_NONE && set->members[n].state == PE_MEMBER_STATE_ENTERING)
		n = pe_member_same(set, set->members[n].entity_next, handle);
	*cursor = n;
	return n == PE_MEMBER_NONE ? PE_MEMBER_LIST_END : set->members[n].fence;
}

struct pe_member_use pe_member_use(const struct pe_member_set *set)
{
	return set->use;
}
