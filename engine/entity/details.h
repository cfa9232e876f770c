// What is kept of an entity beside its record: its details (wire/details.h) and how often it
// announced to update. Most entities have none, so both are apart, in an entry a handle, and only
// an entity whose published attributes say so is looked for here. Details are a block of bytes in
// the form in which they go over the wire; a block never changes. Who changes an entity's details
// makes a new block, publishes its number in the entry, and retires the old one until a grace
// period has passed.
//
// Blocks come from an arena of each worker's own: units of 64 bytes, put together to 1, 2, 4 … 32
// of them (a buddy system in pieces of 2 KiB), so that taking and giving need five steps at most,
// and the budget is fixed at start. A block is taken, retired and given back by the worker that
// owns the entity; anyone reads it.
//
// Operation × thread: read, entry: any RCU reader; publish, take, give, retire, reclaim: the owner,
// with its own arena.
#pragma once

#include "base/memory.h"
#include "base/status.h"
#include "entity/record.h"
#include "wire/details.h"

#include <stdatomic.h>

#define PE_DETAILS_UNIT_BYTES 64u
#define PE_DETAILS_ORDERS     6u                              // blocks of 1 … 32 units
#define PE_DETAILS_PIECE      (1u << (PE_DETAILS_ORDERS - 1)) // units
#define PE_DETAILS_NONE       0u                              // number of no block

struct pe_details_entry {
	// DETAILS. written: owner; read: anyone. Number of the block, or PE_DETAILS_NONE
	_Atomic uint32_t block;
	// ANNOUNCED only. written: owner, before what it belongs to is published; read: anyone.
	_Atomic uint32_t lead_ms;      // stale so long before it expires; 0 = never
	_Atomic uint32_t announced_ms; // three intervals
};
static_assert(sizeof(struct pe_details_entry) == 12, "what a handle costs");

struct pe_details_block {
	// the owner's
	uint64_t stamp; // retired
	uint32_t next;  // retired: the next one's number
	uint8_t order;  // 1 << order units
	uint8_t reserved;
	// DETAILS-AUDIENCE. Of the published attributes those that say who sees them
	// (policy/views.h): details and record are published one behind the other, and who meets
	// the one of before with the other of after must know. written: owner; read: anyone
	_Atomic uint16_t audience;
	// constant while it is published
	struct pe_wire_details head; // and the blocks behind it
};
static_assert(sizeof(struct pe_details_block) == 24, "details block");
#define PE_DETAILS_BLOCK_HEAD ((uint32_t)offsetof(struct pe_details_block, head))
static_assert(
	PE_DETAILS_BLOCK_HEAD + PE_DETAILS_BYTES_MAX <= PE_DETAILS_PIECE * PE_DETAILS_UNIT_BYTES,
	"the largest details fit a piece");

struct pe_details_store {
	struct pe_details_entry *entries; // by pe_handle_number; NULL: nothing is kept
	uint8_t *units;
	uint8_t *orders;     // of each unit: FREE | order where a free block begins; else 0
	uint32_t unit_count; // a worker's
	struct pe_memory entry_memory, unit_memory;
};

// A worker's.
struct pe_details_arena {
	struct pe_details_store *store;
	uint32_t first;                   // unit
	uint32_t free[PE_DETAILS_ORDERS]; // first block of each order, or PE_DETAILS_NONE
	uint32_t used;                    // units that are taken, retired ones among them
	uint32_t retired_first, retired_last, retired_count;
};

// Memory for entity_count_max handles and `bytes` of blocks in all, spread over the workers; bytes
// = 0: nothing is kept.
[[nodiscard]] enum pe_status pe_details_create(struct pe_details_store *store,
	uint32_t entity_count_max, uint64_t bytes, unsigned worker_count, bool huge_pages);
void pe_details_destroy(struct pe_details_store *store);
void pe_details_arena_init(
	struct pe_details_arena *arena, struct pe_details_store *store, unsigned worker);

static inline struct pe_details_block *pe_details_at(
	const struct pe_details_store *store, uint32_t number)
{
	return (struct pe_details_block *)(store->units +
		(uint64_t)(number - 1) * PE_DETAILS_UNIT_BYTES);
}

static inline struct pe_details_entry *pe_details_entry(
	const struct pe_details_store *store, uint32_t handle)
{
	return &store->entries[pe_handle_number(handle)];
}

// Any RCU reader: the details of a handle, good until its next quiescent state; NULL: it has none.
static inline const struct pe_details_block *pe_details_get(
	const struct pe_details_store *store, uint32_t handle)
{
	uint32_t number;

	if (!store->entries)
		return NULL;
	// DETAILS: acquire pairs with pe_details_publish: the block's bytes are there before its
	// number.
	number =
		atomic_load_explicit(&pe_details_entry(store, handle)->block, memory_order_acquire);
	return number == PE_DETAILS_NONE ? NULL : pe_details_at(store, number);
}

// A block for details of so many bytes, whose head says them, unpublished; PE_DETAILS_NONE: no
// room. The caller writes head and blocks.
uint32_t pe_details_take(struct pe_details_arena *arena, uint32_t bytes);
// Gives back at once what nobody can have read.
void pe_details_give(struct pe_details_arena *arena, uint32_t number);
// Makes a block the entity's; what was there before is retired. Either may be PE_DETAILS_NONE.
void pe_details_publish(struct pe_details_arena *arena, uint32_t handle, uint32_t number);
// Gives back what was retired a grace period ago, at most max.
void pe_details_reclaim(struct pe_details_arena *arena, unsigned max);
