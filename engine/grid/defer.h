// Deferred work of one worker: a first-in first-out list of fixed-size entries in blocks from a
// shared pool, so that the room follows whoever has the entities. One worker pushes and pops; the
// number of entries may be read by anyone. Stamps are 32 bits of pe_rcu_stamp: an entry so old that
// they wrapped waits longer, never shorter.
#pragma once

#include "base/rcu.h"
#include "grid/pool.h"

#include <stdbool.h>

#define PE_DEFER_BLOCK_BYTES 1024
#define PE_DEFER_BLOCK_WORDS (PE_DEFER_BLOCK_BYTES / 4 - 1)

struct pe_defer_block {
	uint32_t next; // the list's worker
	uint32_t word[PE_DEFER_BLOCK_WORDS];
};

struct pe_defer_store { // shared by the lists of all workers
	struct pe_pool pool;
	struct pe_defer_block *blocks;
};

struct pe_defer {
	// All of its worker only, save `count`.
	struct pe_defer_store *store;
	unsigned worker;
	uint32_t entry_words;       // words an entry
	uint32_t per_block;         // entries a block
	uint32_t first, last, tail; // blocks: being read, being written, last attached
	uint32_t read, write;       // entries done in `first` and in `last`
	uint32_t block_count;
	_Atomic uint32_t count; // written: worker; read: control thread
};

// Takes the first block. The store must have one.
bool pe_defer_init(
	struct pe_defer *list, struct pe_defer_store *store, unsigned worker, uint32_t entry_words);

static inline uint32_t pe_defer_count(const struct pe_defer *list)
{
	return atomic_load_explicit(&list->count, memory_order_relaxed);
}

// Entries that can still be pushed without another block.
static inline uint32_t pe_defer_room(const struct pe_defer *list)
{
	// What was read of `first` comes back only with the whole block.
	return list->block_count * list->per_block - list->read - pe_defer_count(list);
}

// Attaches blocks until `room` entries fit. false: the store is empty.
bool pe_defer_attach(struct pe_defer *list, uint32_t room);
static inline bool pe_defer_reserve(struct pe_defer *list, uint32_t room)
{
	return __builtin_expect(pe_defer_room(list) >= room, 1) || pe_defer_attach(list, room);
}

// The next attached block is the one that is written. Asserts that there is one.
void pe_defer_turn(struct pe_defer *list);

static inline void pe_defer_count_add(struct pe_defer *list, uint32_t change)
{
	// One writer: no read-modify-write needed.
	atomic_store_explicit(&list->count, pe_defer_count(list) + change, memory_order_relaxed);
}

// Room for one entry of entry_words at the end; its words are the caller's to write. Asserts that
// there is room.
static inline uint32_t *pe_defer_push(struct pe_defer *list, uint32_t entry_words)
{
	if (__builtin_expect(list->write == list->per_block, 0))
		pe_defer_turn(list);
	pe_defer_count_add(list, 1);
	return &list->store->blocks[list->last].word[list->write++ * entry_words];
}

// The oldest entries that lie side by side, and how many; 0: there is none.
static inline uint32_t *pe_defer_run(
	const struct pe_defer *list, uint32_t entry_words, uint32_t *count)
{
	uint32_t all = pe_defer_count(list), side = list->per_block - list->read;

	*count = all < side ? all : side;
	return &list->store->blocks[list->first].word[list->read * entry_words];
}

// Drops entries of the oldest run; keeps room for `keep` entries and gives further blocks back.
void pe_defer_pass(struct pe_defer *list, uint32_t keep);
static inline void pe_defer_drop(struct pe_defer *list, uint32_t count, uint32_t keep)
{
	pe_defer_count_add(list, -count);
	list->read += count;
	if (list->read == list->per_block || pe_defer_count(list) == 0)
		pe_defer_pass(list, keep);
}

static inline bool pe_defer_passed(uint32_t stamp)
{
	// GP: acquire: whoever sees the number sees that the readers are done (partner:
	// pe_rcu_synchronize).
	uint64_t completed = atomic_load_explicit(&pe_rcu_completed, memory_order_acquire);

	return (int32_t)((uint32_t)completed - stamp) > 0;
}
