// When what a spatial threshold holds back is due: handles by the tick at which they are to be
// looked at, in chunks of a line. The state itself, and its true tick, lie beside the record
// (PE_STATUS_HELD, entity/record.h), so that being covered costs no line beyond the record's. An
// entity has one entry (PE_STATUS_QUEUED), however often it is published and holds back again
// before that is taken out: whoever takes it out puts it back where it is not due yet. One thread.
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PE_HELD_TICKS 2048u // further ahead nothing is put in
#define PE_HELD_CHUNK 15u
#define PE_HELD_NONE  UINT32_MAX

struct pe_held_entry {
	uint32_t handle, tick; // for which it was put in
};

struct pe_held_chunk {
	uint32_t next;
	uint32_t handle[PE_HELD_CHUNK];
};
static_assert(sizeof(struct pe_held_chunk) == 64, "one line");

// Of a tick: chunks, oldest entries first; those of the first from `from` on, of the last below
// `to`.
struct pe_held_bucket {
	uint32_t first, last; // PE_HELD_NONE: empty
	uint8_t from, to;
};

struct pe_held {
	struct pe_held_bucket *buckets; // by the tick's low bits
	struct pe_held_chunk *chunks;
	uint32_t count, count_max; // entries
	uint32_t free,
		fresh; // chunks that were used before, linked; and from which number on none was
	uint32_t tick; // the first whose bucket is not taken out
};

// All entries in whole chunks, and two more a bucket, one begun and one not yet used up.
static inline size_t pe_held_bytes(uint32_t count_max)
{
	return PE_HELD_TICKS * sizeof(struct pe_held_bucket) +
		(count_max / PE_HELD_CHUNK + 2 * PE_HELD_TICKS) * sizeof(struct pe_held_chunk);
}

// memory: pe_held_bytes(count_max), 64-byte aligned.
static inline void pe_held_init(struct pe_held *held, void *memory, uint32_t count_max)
{
	*held = (struct pe_held){.chunks = memory,
		.buckets = (struct pe_held_bucket *)((struct pe_held_chunk *)memory +
			count_max / PE_HELD_CHUNK + 2 * PE_HELD_TICKS),
		.count_max = count_max,
		.free = PE_HELD_NONE};
	for (unsigned i = 0; i < PE_HELD_TICKS; i++)
		held->buckets[i].first = PE_HELD_NONE;
}

static inline bool pe_held_full(const struct pe_held *held)
{
	return held->count == held->count_max;
}

// For so many more entries.
static inline uint32_t pe_held_room(const struct pe_held *held)
{
	return held->count_max - held->count;
}

static inline uint32_t pe_held_new_chunk(struct pe_held *held)
{
	uint32_t chunk = held->free;

	if (chunk == PE_HELD_NONE)
		return held->fresh++;
	held->free = held->chunks[chunk].next;
	return chunk;
}

// There must be room for `count`. due: a tick. What is due before the next that is taken out is put
// there, and what is too far ahead at the furthest.
static inline void pe_held_push_all(
	struct pe_held *held, const uint32_t *handles, unsigned count, uint32_t due)
{
	uint32_t ahead = due - held->tick;
	struct pe_held_bucket *b;

	if (count == 0) // there may be no queue at all
		return;
	if (ahead >= PE_HELD_TICKS)
		due = held->tick + ((int32_t)ahead < 0 ? 0 : PE_HELD_TICKS - 1);
	b = &held->buckets[due % PE_HELD_TICKS];
	for (unsigned i = 0; i < count; i++) {
		if (b->first == PE_HELD_NONE) {
			b->first = b->last = pe_held_new_chunk(held);
			b->from = b->to = 0;
		} else if (b->to == PE_HELD_CHUNK) {
			uint32_t chunk = pe_held_new_chunk(held);

			held->chunks[b->last].next = chunk;
			b->last = chunk;
			b->to = 0;
		}
		held->chunks[b->last].handle[b->to++] = handles[i];
	}
	held->count += count;
}

static inline void pe_held_push(struct pe_held *held, uint32_t handle, uint32_t due)
{
	pe_held_push_all(held, &handle, 1, due);
}

static inline uint32_t pe_held_pop(struct pe_held *held, struct pe_held_bucket *b)
{
	struct pe_held_chunk *chunk = &held->chunks[b->first];
	uint32_t number = b->first, handle = chunk->handle[b->from++];
	bool last = number == b->last;

	held->count--;
	if (b->from < (last ? b->to : PE_HELD_CHUNK))
		return handle;
	b->first = last ? PE_HELD_NONE : chunk->next;
	b->from = 0;
	chunk->next = held->free;
	held->free = number;
	return handle;
}

// Takes out what is due until `now`, tick by tick and in each in the order in which it was put in,
// at most max; returns how many. No more than max and PE_HELD_TICKS steps.
static inline unsigned pe_held_take(
	struct pe_held *held, uint32_t now, struct pe_held_entry *entries, unsigned max)
{
	unsigned n = 0;

	while ((int32_t)(now - held->tick) >= 0) {
		struct pe_held_bucket *b;

		if (!held->count) {
			held->tick = now + 1;
			break;
		}
		b = &held->buckets[held->tick % PE_HELD_TICKS];
		while (b->first != PE_HELD_NONE && n < max)
			entries[n++] = (struct pe_held_entry){pe_held_pop(held, b), held->tick};
		if (b->first != PE_HELD_NONE)
			break;
		held->tick++;
	}
	return n;
}

// Ticks from `now` on until some are due; at most `most`.
static inline uint32_t pe_held_next(const struct pe_held *held, uint32_t now, uint32_t most)
{
	for (uint32_t t = held->tick; held->count && (int32_t)(t - now) < (int32_t)most; t++)
		if (held->buckets[t % PE_HELD_TICKS].first != PE_HELD_NONE)
			return (int32_t)(t - now) > 0 ? t - now : 0;
	return most;
}
