#include "discover/member.h"

#include "base/limits.h"
#include "base/memory.h"
#include "base/prefetch.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NONE 0xFFFFFFFFu

enum state {
	STATE_FREE,
	STATE_ENTERING, // inside since less than enter_ms: nothing was told
	STATE_INSIDE,
	STATE_LEAVING, // outside since less than leave_ms
};

struct member {
	uint32_t fence, handle;
	uint32_t chain; // of its bucket; of a free one the next free
	uint32_t entity_next, entity_prev, fence_next, fence_prev;
	uint32_t stamp; // of the last update in which its fence was hit
	struct pe_wheel_link wheel;
	uint32_t state;
	uint64_t key, word; // where it was told of last
};
static_assert(sizeof(struct member) == 64, "a line");

struct fence {
	uint32_t first, count; // members
	uint32_t enter_ms, leave_ms;
	double move_square; // in units across; < 0: no MOVE
	uint32_t z_shift;
	bool open;
};
static_assert(sizeof(struct fence) == 32, "two to a line");

struct pe_member_set {
	struct member *members;
	uint32_t *buckets;
	uint32_t bucket_mask;
	struct fence *fences;
	uint64_t *some;  // bit = the entity has a member
	uint32_t *heads; // of the entities; valid where the bit is set
	uint32_t free;
	uint32_t stamp, tick;
	struct pe_member_config config;
	struct pe_member_use use;
	struct pe_memory memory;
	struct pe_wheel wheel;
};

static uint64_t rounded(uint64_t bytes)
{
	return (bytes + 63) & ~63ull;
}

struct pe_member_plan pe_member_plan(const struct pe_member_config *c)
{
	struct pe_member_plan plan = {0};
	uint64_t buckets = 16;

	if (c->member_count_max < 1 || c->member_count_max >= 1u << 31 || c->fence_count_max < 1 ||
		c->fence_count_max > PE_FENCES_MAX || c->handle_end < 1 || !c->tell)
		return plan;
	while (buckets < c->member_count_max)
		buckets *= 2;
	plan.member_bytes = (uint64_t)c->member_count_max * sizeof(struct member);
	plan.bucket_bytes = buckets * sizeof(uint32_t);
	plan.fence_bytes = rounded((uint64_t)c->fence_count_max * sizeof(struct fence));
	plan.entity_bytes = rounded(((uint64_t)c->handle_end + 63) / 64 * sizeof(uint64_t)) +
		rounded((uint64_t)c->handle_end * sizeof(uint32_t));
	plan.other_bytes = rounded(sizeof(struct pe_member_set));
	plan.total_bytes = plan.member_bytes + plan.bucket_bytes + plan.fence_bytes +
		plan.entity_bytes + plan.other_bytes;
	return plan;
}

static void *carve(char **at, uint64_t bytes)
{
	void *p = *at;

	*at += rounded(bytes);
	return p;
}

enum pe_status pe_member_create(const struct pe_member_config *config, uint32_t tick,
	struct pe_member_set **set_out, struct pe_error *error)
{
	struct pe_member_plan plan = pe_member_plan(config);
	struct pe_member_set *set;
	struct pe_memory memory;
	char *at;

	*set_out = NULL;
	if (!plan.total_bytes) {
		error->status = PE_INVALID;
		snprintf(error->text, sizeof error->text,
			"%u memberships, %u standing volumes and handles below %u: they are 1 to %u, 1 to %u and 1 or more",
			config->member_count_max, config->fence_count_max, config->handle_end,
			(1u << 31) - 1, PE_FENCES_MAX);
		return error->status;
	}
	if (pe_memory_map(plan.total_bytes, config->huge_pages, &memory) != PE_OK) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text,
			"the memberships of standing volumes need %llu MiB and could not have them (%s); lower their "
			"number or give the machine more memory",
			(unsigned long long)(plan.total_bytes >> 20), strerror(errno));
		return error->status;
	}
	at = memory.base;
	set = carve(&at, sizeof *set);
	set->memory = memory;
	set->config = *config;
	set->tick = tick;
	set->members = carve(&at, plan.member_bytes);
	set->buckets = carve(&at, plan.bucket_bytes);
	set->bucket_mask = (uint32_t)(plan.bucket_bytes / sizeof(uint32_t) - 1);
	set->fences = carve(&at, plan.fence_bytes);
	set->some = carve(&at, ((uint64_t)config->handle_end + 63) / 64 * sizeof(uint64_t));
	set->heads = carve(&at, (uint64_t)config->handle_end * sizeof(uint32_t));
	assert(at <= (char *)memory.base + memory.bytes);
	memset(set->buckets, 0xFF, plan.bucket_bytes);
	for (uint32_t i = 0; i < config->member_count_max; i++) {
		set->members[i].chain = i + 1 < config->member_count_max ? i + 1 : NONE;
		pe_wheel_link_init(&set->members[i].wheel);
	}
	for (uint32_t i = 0; i < config->fence_count_max; i++)
		set->fences[i].first = NONE;
	pe_wheel_init(&set->wheel, &set->members[0].wheel, sizeof(struct member), tick);
	*set_out = set;
	return PE_OK;
}

void pe_member_destroy(struct pe_member_set *set)
{
	struct pe_memory memory;

	if (!set)
		return;
	memory = set->memory;
	pe_memory_unmap(&memory);
}

enum pe_status pe_member_open(struct pe_member_set *set, uint32_t number,
	const struct pe_space *space, const struct pe_member_rule *rule)
{
	struct fence *f = &set->fences[number];
	double units = rule->move_m * space->units_per_m;

	assert(number < set->config.fence_count_max && !f->open && !f->count);
	if (rule->enter_ms > PE_FENCE_DWELL_MAX_MS || rule->leave_ms > PE_FENCE_DWELL_MAX_MS ||
		!(rule->move_m < INFINITY))
		return PE_INVALID;
	*f = (struct fence){.first = NONE,
		.enter_ms = rule->enter_ms,
		.leave_ms = rule->leave_ms,
		.move_square = units < 0.0 ? -1.0 : units * units,
		.z_shift = space->z_shift,
		.open = true};
	return PE_OK;
}

// ---- the set ----

static uint32_t *bucket_of(const struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint64_t mixed = ((uint64_t)fence << 32 | handle) * 0x9E3779B97F4A7C15ull;

	mixed = (mixed ^ mixed >> 32) * 0xBF58476D1CE4E5B9ull;
	return &set->buckets[(uint32_t)(mixed >> 32) & set->bucket_mask];
}

static uint32_t find(const struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint32_t n = *bucket_of(set, fence, handle);

	while (n != NONE && (set->members[n].fence != fence || set->members[n].handle != handle))
		n = set->members[n].chain;
	return n;
}

static bool some(const struct pe_member_set *set, uint32_t handle)
{
	return set->some[handle / 64] >> (handle % 64) & 1;
}

// NONE: there is no room.
static uint32_t take(struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint32_t n = set->free, *bucket = bucket_of(set, fence, handle);
	struct fence *f = &set->fences[fence];
	struct member *m;

	if (set->use.members == set->config.member_count_max) {
		set->use.refused++;
		return NONE;
	}
	m = &set->members[n];
	set->free = m->chain;
	m->fence = fence;
	m->handle = handle;
	m->chain = *bucket;
	*bucket = n;
	m->fence_prev = m->entity_prev = NONE;
	m->fence_next = f->first;
	if (f->first != NONE)
		set->members[f->first].fence_prev = n;
	f->first = n;
	f->count++;
	m->entity_next = some(set, handle) ? set->heads[handle] : NONE;
	if (m->entity_next != NONE)
		set->members[m->entity_next].entity_prev = n;
	set->heads[handle] = n;
	set->some[handle / 64] |= 1ull << (handle % 64);
	m->stamp = set->stamp;
	set->use.members++;
	return n;
}

static void give(struct pe_member_set *set, uint32_t n)
{
	struct member *m = &set->members[n];
	struct fence *f = &set->fences[m->fence];
	uint32_t *at = bucket_of(set, m->fence, m->handle);

	while (*at != n)
		at = &set->members[*at].chain;
	*at = m->chain;
	if (m->fence_next != NONE)
		set->members[m->fence_next].fence_prev = m->fence_prev;
	if (m->fence_prev != NONE)
		set->members[m->fence_prev].fence_next = m->fence_next;
	else
		f->first = m->fence_next;
	f->count--;
	if (m->entity_next != NONE)
		set->members[m->entity_next].entity_prev = m->entity_prev;
	if (m->entity_prev != NONE)
		set->members[m->entity_prev].entity_next = m->entity_next;
	else if (m->entity_next != NONE)
		set->heads[m->handle] = m->entity_next;
	else
		set->some[m->handle / 64] &= ~(1ull << (m->handle % 64));
	pe_wheel_remove(&set->wheel, n);
	m->state = STATE_FREE;
	m->chain = set->free;
	set->free = n;
	set->use.members--;
}

// ---- changes ----

static void tell(struct pe_member_set *set, const struct member *m, enum pe_member_kind kind,
	enum pe_member_cause cause, uint32_t tick)
{
	struct pe_member_event event = {.kind = (uint8_t)kind,
		.cause = (uint8_t)cause,
		.fence = m->fence,
		.handle = m->handle,
		.tick = tick};

	set->config.tell(set->config.context, &event);
}

static void enter(struct pe_member_set *set, struct member *m, uint32_t tick)
{
	m->state = STATE_INSIDE;
	set->use.inside++;
	set->use.entered++;
	tell(set, m, PE_MEMBER_ENTER, PE_CAUSE_NONE, tick);
}

// Ends what was told of with a LEAVE, and what wasn't without.
static void end(struct pe_member_set *set, uint32_t n, enum pe_member_cause cause, uint32_t tick)
{
	struct member *m = &set->members[n];

	if (m->state == STATE_ENTERING) {
		set->use.returned++;
	} else {
		set->use.inside--;
		set->use.left[cause]++;
		tell(set, m, PE_MEMBER_LEAVE, cause, tick);
	}
	give(set, n);
}

// A change that was due by `tick` comes about first, unless its fence is ending. False: the member has left.
static bool settle(struct pe_member_set *set, uint32_t n, uint32_t tick)
{
	struct member *m = &set->members[n];
	uint32_t due = m->wheel.tick;

	if (m->state == STATE_INSIDE || (int32_t)(tick - due) < 0 || !set->fences[m->fence].open)
		return true;
	if (m->state == STATE_LEAVING) {
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

static void place(struct member *m, uint64_t key, uint64_t word)
{
	m->key = key;
	m->word = word & PE_WORD_POSITION;
}

// True: it is further from where it was told of last than its fence wants to know.
static bool has_moved(const struct fence *f, const struct member *m, uint64_t key, uint64_t word)
{
	struct pe_units then, now;
	double x, y, z;

	if (f->move_square < 0.0 || (m->key == key && m->word == word))
		return false;
	then = pe_place_units(m->key, m->word);
	now = pe_place_units(key, word);
	if (then.frame != now.frame)
		return true;
	x = (double)(now.v[0] - then.v[0]);
	y = (double)(now.v[1] - then.v[1]);
	z = (double)((now.v[2] - then.v[2]) * ((int64_t)1 << f->z_shift));
	return x * x + y * y + z * z > f->move_square;
}

static void hit_stranger(struct pe_member_set *set, const struct pe_fence_hit *hit, uint32_t handle,
	uint64_t key, uint64_t word, uint32_t tick)
{
	const struct fence *f = &set->fences[hit->fence];
	uint32_t n;

	if (hit->side != PE_FENCE_INSIDE || !f->open)
		return;
	n = take(set, hit->fence, handle);
	if (n == NONE)
		return;
	place(&set->members[n], key, word);
	if (f->enter_ms) {
		set->members[n].state = STATE_ENTERING;
		pe_wheel_add(&set->wheel, n, tick + f->enter_ms);
		return;
	}
	enter(set, &set->members[n], tick);
}

static void hit_member(struct pe_member_set *set, const struct pe_fence_hit *hit, uint32_t n,
	uint64_t key, uint64_t word, uint32_t tick)
{
	struct member *m = &set->members[n];
	const struct fence *f = &set->fences[hit->fence];

	m->stamp = set->stamp;
	if (hit->side == PE_MEMBER_HIDDEN) {
		end(set, n, PE_CAUSE_GONE, tick);
		return;
	}
	if (!f->open) {
		end(set, n, PE_CAUSE_ENDED, tick);
		return;
	}
	if (m->state == STATE_ENTERING) {
		if (hit->side == PE_FENCE_INSIDE)
			place(m, key, word);
		else
			end(set, n, PE_CAUSE_MOVED, tick);
		return;
	}
	if (m->state == STATE_LEAVING) {
		pe_wheel_remove(&set->wheel, n);
		m->state = STATE_INSIDE;
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
	struct member *m = &set->members[n];
	const struct fence *f = &set->fences[m->fence];

	if (!f->open) {
		end(set, n, PE_CAUSE_ENDED, tick);
	} else if (m->state == STATE_ENTERING || !f->leave_ms) {
		end(set, n, PE_CAUSE_MOVED, tick);
	} else if (m->state == STATE_INSIDE) {
		m->state = STATE_LEAVING;
		pe_wheel_add(&set->wheel, n, tick + f->leave_ms);
	}
}

void pe_member_update(struct pe_member_set *set, uint32_t handle, uint64_t key, uint64_t word,
	const struct pe_fence_hit *hits, unsigned hit_count, uint32_t tick)
{
	assert(handle < set->config.handle_end);
	if (!hit_count && !some(set, handle))
		return;
	word &= PE_WORD_POSITION;
	tick = advance(set, tick);
	set->stamp++;
	for (uint32_t n = some(set, handle) ? set->heads[handle] : NONE, next; n != NONE;
		n = next) {
		next = set->members[n].entity_next;
		set->members[n].stamp = set->stamp - 1;
		settle(set, n, tick);
	}
	for (unsigned i = 0; i < hit_count; i++) {
		uint32_t n = find(set, hits[i].fence, handle);

		if (n == NONE)
			hit_stranger(set, &hits[i], handle, key, word, tick);
		else
			hit_member(set, &hits[i], n, key, word, tick);
	}
	for (uint32_t n = some(set, handle) ? set->heads[handle] : NONE, next; n != NONE;
		n = next) {
		next = set->members[n].entity_next;
		if (set->members[n].stamp != set->stamp)
			missed(set, n, tick);
	}
}

enum pe_status pe_member_start(struct pe_member_set *set, uint32_t fence, uint32_t handle,
	uint64_t key, uint64_t word, uint32_t tick)
{
	uint32_t n = find(set, fence, handle);

	assert(fence < set->config.fence_count_max && handle < set->config.handle_end);
	if (!set->fences[fence].open)
		return PE_NOT_FOUND;
	tick = advance(set, tick);
	if (n == NONE) {
		n = take(set, fence, handle);
		if (n == NONE)
			return PE_FULL;
	} else if (set->members[n].state != STATE_ENTERING) {
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
	while (some(set, handle)) {
		uint32_t n = set->heads[handle];

		if (settle(set, n, tick))
			end(set, n, PE_CAUSE_GONE, tick);
	}
}

uint32_t pe_member_close(struct pe_member_set *set, uint32_t number, uint32_t tick, uint32_t max)
{
	struct fence *f = &set->fences[number];

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
			struct member *m = &set->members[nodes[i]];

			if (m->state == STATE_LEAVING)
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

bool pe_member_some(const struct pe_member_set *set, uint32_t handle)
{
	return some(set, handle);
}

void pe_member_prefetch(const struct pe_member_set *set, uint32_t handle)
{
	pe_prefetch(&set->some[handle / 64]);
}

bool pe_member_inside(const struct pe_member_set *set, uint32_t fence, uint32_t handle)
{
	uint32_t n = find(set, fence, handle);

	return n != NONE && set->members[n].state != STATE_ENTERING;
}

struct pe_member_use pe_member_use(const struct pe_member_set *set)
{
	return set->use;
}
