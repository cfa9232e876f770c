// What an owner does with its entities' slots: insert, move, cross, settle, remove. Every removal
// is deferred past a grace period in the worker's own lists.
#include "grid/grid_internal.h"

enum { DEPART_HANDLE, DEPART_OLD, DEPART_NEW, DEPART_STAMP };
enum { CLAIM_SLOT, CLAIM_STAMP };

enum pe_status pe_grid_insert(struct pe_grid *grid, unsigned worker, uint64_t key, uint64_t word,
	uint32_t handle, bool arriving, uint32_t *slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	enum pe_status status;

	*slot = PE_SLOT_NONE;
	// Room for what a crossing will need later, so that depart, settle and remove cannot fail: entries for the claims
	// of both its slots, and room for a batch of departures. What is not crossing needs none: see defer_claim.
	if (arriving &&
		(!pe_defer_reserve(&w->claims, 2 * (w->crossing + 1)) ||
			!pe_defer_reserve(&w->departures, PE_BATCH_MAX)))
		return PE_BUSY;
	word &= PE_WORD_POSITION;
	if (arriving)
		word |= PE_SLOT_ARRIVING;
	status = pe_leaf_insert(grid, worker, key, word, handle, slot);
	if (status == PE_OK && arriving)
		w->crossing++;
	return status;
}

void pe_grid_store(struct pe_grid *grid, uint32_t slot, uint64_t word)
{
	_Atomic uint64_t *at = pe_slot_word(grid, slot);
	uint64_t flags = atomic_load_explicit(at, memory_order_relaxed) & PE_SLOT_ARRIVING;

	// SLOT: release: what the owner wrote before (the record) is there for who reads the new
	// position. One writer, so load and store need not be one step.
	atomic_store_explicit(at, (word & PE_WORD_POSITION) | flags, memory_order_release);
}

void pe_grid_store_settled(struct pe_grid *grid, uint32_t slot, uint64_t word)
{
	// SLOT: release, as above.
	atomic_store_explicit(
		pe_slot_word(grid, slot), word & PE_WORD_POSITION, memory_order_release);
}

void pe_grid_prefetch_slot(const struct pe_grid *grid, uint32_t slot)
{
	pe_prefetch((const void *)pe_slot_word(grid, slot));
}

static void invalidate(struct pe_grid *grid, uint32_t slot)
{
	// VALID: release: the slot that replaces it was made valid before (partner: the reader's
	// acquire of this bitmap). A reader that began before keeps its copy of the bit; the claim
	// outlives it.
	atomic_fetch_and_explicit(&pe_chunk_at(grid, slot)->valid, ~(1u << pe_slot_number(slot)),
		memory_order_release);
	PE_STEP();
}

// `named`: a departure in the list may still name the slot, which then must wait for it in the list of claims; its entry
// was reserved. Any other claim takes what room is left, and where there is none it is left to the control thread,
// which finds the bit in the chunk, waits a grace period, and gives it back: so a whole world can go at once
// without a list as long as the world.
static void defer_claim(
	struct pe_grid *grid, unsigned worker, uint32_t slot, uint32_t stamp, bool named)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	uint32_t *entry;

	if (!named && !pe_defer_reserve(&w->claims, 2 * w->crossing + 1)) {
		// ORPHANS: release: the slot was invalidated before (partner: the acquire in the control thread's scan, which
		// stamps it afterwards).
		atomic_fetch_or_explicit(&pe_chunk_at(grid, slot)->orphans,
			1u << pe_slot_number(slot), memory_order_release);
		PE_STEP();
		pe_worker_emptied(grid, worker);
		return;
	}
	entry = pe_defer_push(&w->claims);
	entry[CLAIM_SLOT] = slot;
	entry[CLAIM_STAMP] = stamp;
#ifdef PE_PLANT_SLOT_FREED_WITHOUT_GRACE
	pe_leaf_release(grid, worker, slot);
#endif
}

enum pe_status pe_grid_depart(struct pe_grid *grid, unsigned worker, uint32_t handle,
	uint32_t old_slot, uint32_t new_slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	uint32_t *entry;

	if (!pe_defer_reserve(&w->departures, 1))
		return PE_FULL;
	if (old_slot != PE_SLOT_NONE) {
		_Atomic uint64_t *at = pe_slot_word(grid, old_slot);

		// MOVED: release: the new slot is valid and the record tells the new position
		// before the old slot sends readers to the record. Without it such a reader finds
		// the old position, or misses the entity.
		atomic_store_explicit(at,
			atomic_load_explicit(at, memory_order_relaxed) | PE_SLOT_MOVED,
			memory_order_release);
		PE_STEP();
	}
	entry = pe_defer_push(&w->departures);
	entry[DEPART_HANDLE] = handle;
	entry[DEPART_OLD] = old_slot;
	entry[DEPART_NEW] = new_slot;
	entry[DEPART_STAMP] = (uint32_t)pe_rcu_stamp();
	return PE_OK;
}

unsigned pe_grid_poll(
	struct pe_grid *grid, unsigned worker, struct pe_departure *done, unsigned max)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	unsigned count = 0, freed = 0;
	uint32_t *entry, *claim, slots[4 * PE_POLL_MAX];

	assert(max <= PE_POLL_MAX);
	while (count < max && (entry = pe_defer_front(&w->departures)) &&
		pe_defer_passed(entry[DEPART_STAMP])) {
		done[count++] = (struct pe_departure){.handle = entry[DEPART_HANDLE],
			.old_slot = entry[DEPART_OLD],
			.new_slot = entry[DEPART_NEW]};
		pe_defer_pop(&w->departures, PE_BATCH_MAX);
	}
	// More claims than departures, because a removal defers two. A claim waits for the
	// departures before it: while one that names a slot is still in the list, the slot isn't
	// used again, and so the caller's comparison with its record cannot be misled.
	entry = pe_defer_front(&w->departures);
	for (; freed < 4 * max && (claim = pe_defer_front(&w->claims)); freed++) {
		if (!pe_defer_passed(claim[CLAIM_STAMP]))
			break;
		if (entry && (int32_t)(claim[CLAIM_STAMP] - entry[DEPART_STAMP]) >= 0)
			break;
		slots[freed] = claim[CLAIM_SLOT];
		pe_prefetch(pe_chunk_at(grid, slots[freed]));
		pe_defer_pop(&w->claims, 2 * (w->crossing + 1));
	}
#ifndef PE_PLANT_SLOT_FREED_WITHOUT_GRACE
	for (unsigned i = 0; i < freed; i++)
		pe_leaf_prefetch(grid, slots[i]);
	for (unsigned i = 0; i < freed; i++)
		pe_leaf_release(grid, worker, slots[i]);
#endif
	return count;
}

void pe_grid_prefetch_departure(const struct pe_grid *grid, const struct pe_departure *departure)
{
	if (departure->old_slot != PE_SLOT_NONE)
		pe_prefetch(pe_chunk_at(grid, departure->old_slot));
	if (departure->new_slot != PE_SLOT_NONE)
		pe_grid_prefetch_slot(grid, departure->new_slot);
}

// The arriving flag is there from the insert until the crossing is settled or the entity removed.
static bool end_crossing(struct pe_grid *grid, unsigned worker, uint32_t slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];

	if (slot == PE_SLOT_NONE ||
		!(atomic_load_explicit(pe_slot_word(grid, slot), memory_order_relaxed) &
			PE_SLOT_ARRIVING))
		return false;
	assert(w->crossing > 0);
	w->crossing--;
	return true;
}

void pe_grid_settle(struct pe_grid *grid, unsigned worker, uint32_t old_slot, uint32_t new_slot)
{
	_Atomic uint64_t *at;

	(void)end_crossing(grid, worker, new_slot);
	if (old_slot != PE_SLOT_NONE)
		invalidate(grid, old_slot);
	if (new_slot != PE_SLOT_NONE) {
		at = pe_slot_word(grid, new_slot);
		// SLOT: the owner clears the flag, from what only it writes: an atomic AND by
		// another thread would be undone by a move's store.
		atomic_store_explicit(at,
			atomic_load_explicit(at, memory_order_relaxed) & ~PE_SLOT_ARRIVING,
			memory_order_release);
	}
	if (old_slot != PE_SLOT_NONE)
		// Its departure has been polled, so nothing names it any more.
		defer_claim(grid, worker, old_slot, (uint32_t)pe_rcu_stamp(), false);
}

void pe_grid_remove(struct pe_grid *grid, unsigned worker, uint32_t slot, uint32_t old_slot)
{
	bool named = end_crossing(grid, worker, slot);
	uint32_t stamp;

	// All bits first, then one stamp: a slot that still said `moved` would show a removed
	// entity.
	if (slot != PE_SLOT_NONE)
		invalidate(grid, slot);
	if (old_slot != PE_SLOT_NONE)
		invalidate(grid, old_slot);
	stamp = (uint32_t)pe_rcu_stamp();
	if (slot != PE_SLOT_NONE)
		defer_claim(grid, worker, slot, stamp, named);
	if (old_slot != PE_SLOT_NONE)
		defer_claim(grid, worker, old_slot, stamp, named);
}

unsigned pe_grid_deferred(const struct pe_grid *grid, unsigned worker)
{
	const struct pe_grid_worker *w = &grid->workers[worker];

	return pe_defer_count(&w->departures) + pe_defer_count(&w->claims);
}

uint64_t pe_grid_slot_key(const struct pe_grid *grid, uint32_t slot)
{
	return pe_chunk_at(grid, slot)->key;
}
