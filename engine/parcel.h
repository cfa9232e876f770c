// Records with details on their way from worker to worker: struct pe_change has no room for them,
// so they are copied into a parcel of the worker that hands them over first, and the change refers
// to it. Whoever is done with the change gives the parcel back.
//
// Operation × thread: take: the sender, with its own pool; give: anyone, once for each take.
#pragma once

#include "base/memory.h"
#include "wire/details.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PE_PARCELS      512u // of each worker: 700 KB
#define PE_PARCEL_TRIES 8u

struct pe_parcel {
	// PARCEL. written: the sender (1), then whoever is done with it (0); read: the sender
	_Atomic uint32_t used;
	uint8_t record[PE_DETAILED_RECORD_BYTES_MAX];
};

struct pe_parcels {
	struct pe_parcel *parcels; // PE_PARCELS; NULL: there is no other worker
	uint32_t next;
	struct pe_memory memory;
};

// NULL: of those that come next none is free.
static inline struct pe_parcel *pe_parcel_take(struct pe_parcels *pool, const uint8_t *record)
{
	for (unsigned i = 0; pool->parcels && i < PE_PARCEL_TRIES; i++) {
		struct pe_parcel *p = &pool->parcels[pool->next++ % PE_PARCELS];

		// PARCEL: acquire pairs with pe_parcel_give: who had it has finished reading.
		if (atomic_load_explicit(&p->used, memory_order_acquire))
			continue;
		atomic_store_explicit(&p->used, 1, memory_order_relaxed);
		memcpy(p->record, record, pe_wire_detailed_next(record));
		return p;
	}
	return NULL;
}

// The parcel that a record is in.
static inline void pe_parcel_give(const uint8_t *record)
{
	struct pe_parcel *p =
		(struct pe_parcel *)(uintptr_t)(record - offsetof(struct pe_parcel, record));

	// PARCEL: release: the record was read.
	atomic_store_explicit(&p->used, 0, memory_order_release);
}
