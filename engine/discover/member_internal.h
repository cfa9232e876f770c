// The inside of the set of memberships: layouts, and what its files call of each other.
//
//   member.c      what an update, a timer or an ending changes
//   member_set.c  memory, and the lists that a membership is in
#pragma once

#include "base/limits.h"
#include "base/memory.h"
#include "discover/member.h"

#define PE_MEMBER_NONE 0xFFFFFFFFu

enum pe_member_state {
	PE_MEMBER_STATE_FREE,
	PE_MEMBER_STATE_ENTERING, // inside since less than enter_ms: nothing was told
	PE_MEMBER_STATE_INSIDE,
	PE_MEMBER_STATE_LEAVING, // outside since less than leave_ms
};

struct pe_member {
	uint32_t fence, handle;
	uint32_t chain; // of its bucket; of a free one the next free
	uint32_t entity_next, entity_prev, fence_next, fence_prev;
	uint32_t stamp; // of the last update in which its fence was hit
	struct pe_wheel_link wheel;
	uint32_t state;
	uint64_t key, word; // where it was told of last
};
static_assert(sizeof(struct pe_member) == 64, "a line");

struct pe_member_fence {
	uint32_t first, count; // members
	uint32_t enter_ms, leave_ms;
	double move_square; // in units across; < 0: no MOVE
	uint32_t z_shift;
	bool open;
};
static_assert(sizeof(struct pe_member_fence) == 32, "two to a line");

struct pe_member_set {
	struct pe_member *members;
	uint32_t *buckets;
	uint32_t bucket_mask;
	struct pe_member_fence *fences;
	uint64_t *some;  // bit = the entity has a member
	uint32_t *heads; // of the entities, by hash: a list is of all those with the same one
	uint32_t free;
	uint32_t stamp, tick;
	struct pe_member_config config;
	struct pe_member_use use;
	struct pe_memory memory;
	struct pe_wheel wheel;
};

// The first member of the entity in a list from `n` on, or PE_MEMBER_NONE.
static inline uint32_t pe_member_same(const struct pe_member_set *set, uint32_t n, uint32_t handle)
{
	while (n != PE_MEMBER_NONE && set->members[n].handle != handle)
		n = set->members[n].entity_next;
	return n;
}
// The first one of all, where the entity has any.
static inline uint32_t pe_member_first(const struct pe_member_set *set, uint32_t handle)
{
	if (!pe_member_some(set, handle))
		return PE_MEMBER_NONE;
	return pe_member_same(
		set, set->heads[(handle * 0x9E3779B1u >> 7) & set->bucket_mask], handle);
}

// member_set.c. PE_MEMBER_NONE: there is no such pair.
uint32_t pe_member_find(const struct pe_member_set *set, uint32_t fence, uint32_t handle);
// A membership of a pair that has none, in all its lists. PE_MEMBER_NONE: there is no room
// (counted).
uint32_t pe_member_take(struct pe_member_set *set, uint32_t fence, uint32_t handle);
void pe_member_give(struct pe_member_set *set, uint32_t number);
