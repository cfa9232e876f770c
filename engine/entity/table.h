// The entity table: records, the index over them, and the supply of free handles. All memory is
// taken at create. Free handles live in the engine's common store in chains, from which each worker
// draws and to which it gives back, by compare-and-swap on a tagged head; between that a worker
// uses a list of its own, of fewer than two chains. What lies there is of no use to the others: so
// chains are short in small tables.
//
// Operation × thread: take, give, retire, reclaim: a worker with its own pe_handles; the rest as in
// entity/index.h.
#pragma once

#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"
#include "entity/details.h"
#include "entity/index.h"

#define PE_HANDLE_CHAIN 256 // handles of a chain, at most
// … in all, all workers may have one of so many places lying about
#define PE_HANDLES_IDLE 8

struct pe_table {
	struct pe_record *records;
	struct pe_draft drafts[PE_WORKERS_MAX]; // by owner
	uint32_t entity_count_max;
	uint32_t chain; // handles of one, 1 … PE_HANDLE_CHAIN
	struct pe_index index;
	struct pe_memory record_memory, index_memory;
	struct pe_details_store details;
	// HANDLES. tag 32 bits, first handle of the first chain 32 bits; written and read: all
	// workers, by compare-and-swap
	_Alignas(64) _Atomic uint64_t store;
};

// A worker's supply. Its own.
struct pe_handles {
	uint32_t first, count; // free now; linked by wheel.next
	// retired: wait for a grace period, oldest first; linked by wheel.next, stamped in key
	uint32_t retired_first, retired_last, retired_count;
};

[[nodiscard]] enum pe_status pe_table_create(struct pe_table *table, uint32_t entity_count_max,
	unsigned partition_count, bool huge_pages);
void pe_table_destroy(struct pe_table *table);

// Are all free handles in the hands of workers?
static inline bool pe_table_store_empty(const struct pe_table *table)
{
	return (uint32_t)atomic_load_explicit(&table->store, memory_order_relaxed) ==
		PE_HANDLE_NONE;
}

void pe_handles_init(struct pe_handles *handles);
// A free handle, or PE_HANDLE_NONE: the table is full.
uint32_t pe_handles_take(struct pe_table *table, struct pe_handles *handles);
// Gives back a handle that nobody can find (it never was in the index).
void pe_handles_give(struct pe_table *table, struct pe_handles *handles, uint32_t handle);
// After it left the index: free once a grace period has passed.
void pe_handles_retire(struct pe_table *table, struct pe_handles *handles, uint32_t handle);
// Frees retired handles whose grace period has passed, at most max.
void pe_handles_reclaim(struct pe_table *table, struct pe_handles *handles, unsigned max);
