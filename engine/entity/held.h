// Entities whose newest state a spatial threshold holds back, in the order in which it is due: a first-in first-out ring of
// (handle, due tick). The state itself lies beside the record (PE_STATUS_HELD, entity/record.h), so
// that being covered costs no line beyond the record's. An entry may be out of date — its entity was published or removed
// meanwhile, and perhaps held again — and is then not what its record says, and passed over. Bounded: where there is no
// room, nothing is held back. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pe_held_entry {
	uint32_t handle, due; // due: tick
};

struct pe_held {
	struct pe_held_entry *entries;
	uint32_t count_max, count, first;
};

// memory: count_max entries.
static inline void pe_held_init(struct pe_held *held, void *memory, uint32_t count_max)
{
	*held = (struct pe_held){.entries = memory, .count_max = count_max};
}

static inline bool pe_held_full(const struct pe_held *held)
{
	return held->count == held->count_max;
}

// There must be room. Ticks must not decrease from one push to the next.
static inline void pe_held_push(struct pe_held *held, uint32_t handle, uint32_t due)
{
	uint32_t at = held->first + held->count;

	if (at >= held->count_max)
		at -= held->count_max;
	held->entries[at] = (struct pe_held_entry){handle, due};
	held->count++;
}

// The one that is due first, or NULL.
static inline const struct pe_held_entry *pe_held_front(const struct pe_held *held)
{
	return held->count ? &held->entries[held->first] : NULL;
}

static inline void pe_held_pop(struct pe_held *held)
{
	held->count--;
	if (++held->first == held->count_max)
		held->first = 0;
}
