// What waits for an entity: a newer state that a threshold, the frequency cap or a grace period
// holds back, a crossing that is being settled, the end of a state's duration. Only entities that
// wait for something have a node, and those that wait for nothing but their crossing have none
// either: their record names its departure (PE_CROSSES). Each worker has a bounded pool of its own;
// when it is empty nothing is held back. One thread.
#pragma once

#include "base/prefetch.h"
#include "entity/wheel.h"

#include <stdbool.h>

#define PE_PENDING_CROSSING    0x01u // old_slot waits for its grace period
#define PE_PENDING_STATE       0x02u // `state` and `key` wait to be published
#define PE_PENDING_OWED        0x04u // … and their record has not been counted yet
#define PE_PENDING_DURATION    0x08u // state_until counts
#define PE_PENDING_CAP         0x10u // cap_until counts: nothing is published sooner
#define PE_PENDING_INTERVAL    0x20u // interval_until counts: the temporal threshold
#define PE_PENDING_STATE_TIMED 0x80u // waiting_until counts
#define PE_PENDING_RETRY       0x40u // a leaf was closing: try again with the next turn

// In a record's `pending`, with the crossing's name (pe_grid_cross): there is no node.
// PE_HANDLE_NONE has the bit, too.
#define PE_CROSSES 0x80000000u

struct pe_pending {
	struct pe_wheel_link wheel;
	uint32_t handle;
	uint32_t flags;
	uint32_t old_slot;
	uint32_t state_until; // ticks
	uint32_t cap_until;
	uint32_t interval_until;
	uint32_t trailing_until; // STATE: published at the latest then
	uint64_t key;            // of `state`
	uint32_t interval_ms;    // of the hold that begins when `state` is published
	uint32_t cap_ms;
	uint32_t waiting_until; // end of the duration of `state`
	_Alignas(64) struct pe_published state;
};
static_assert(sizeof(struct pe_pending) == 128, "two lines");

struct pe_pending_pool {
	struct pe_pending *nodes;
	uint32_t count_max, used;
	uint32_t free; // linked by wheel.next
	uint32_t owed; // nodes with PE_PENDING_OWED
	struct pe_wheel wheel;
};

// memory: count_max nodes, 64-byte aligned.
static inline void pe_pending_init(
	struct pe_pending_pool *pool, void *memory, uint32_t count_max, uint32_t tick)
{
	pool->nodes = memory;
	pool->count_max = count_max;
	pool->used = pool->owed = 0;
	pool->free = count_max ? 0 : PE_HANDLE_NONE;
	for (uint32_t i = 0; i < count_max; i++)
		pool->nodes[i].wheel.next = i + 1 < count_max ? i + 1 : PE_HANDLE_NONE;
	pe_wheel_init(&pool->wheel, &pool->nodes[0].wheel, sizeof pool->nodes[0], tick);
}

// Room for one more of these, and so many beside it, that are not crossings: the last entries are
// for those, which would be refused without.
static inline bool pe_pending_spare(const struct pe_pending_pool *pool, uint32_t beside)
{
	return pool->count_max - pool->used > pool->count_max / 16 + beside;
}

static inline bool pe_crosses(uint32_t pending)
{
	return (pending & PE_CROSSES) && pending != PE_HANDLE_NONE;
}

// The node that a record's `pending` names; NULL: there is none.
static inline struct pe_pending *pe_pending_node(
	const struct pe_pending_pool *pool, uint32_t pending)
{
	return pending & PE_CROSSES ? NULL : &pool->nodes[pending];
}

// PE_HANDLE_NONE: none is free.
static inline uint32_t pe_pending_take(struct pe_pending_pool *pool, uint32_t handle)
{
	uint32_t node = pool->free;
	struct pe_pending *p;

	if (node == PE_HANDLE_NONE)
		return node;
	p = &pool->nodes[node];
	pool->free = p->wheel.next;
	pool->used++;
	// For the next one, which would wait for it.
	if (pool->free != PE_HANDLE_NONE)
		pe_prefetch(&pool->nodes[pool->free]);
	memset(p, 0, offsetof(struct pe_pending, state));
	pe_wheel_link_init(&p->wheel);
	p->handle = handle;
	p->old_slot = 0xFFFFFFFFu;
	return node;
}

static inline void pe_pending_give(struct pe_pending_pool *pool, uint32_t node)
{
	pe_wheel_remove(&pool->wheel, node);
	pool->nodes[node].wheel.next = pool->free;
	pool->free = node;
	pool->used--;
}
