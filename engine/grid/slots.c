// What an owner does with its entities' slots: insert, move, cross, settle, remove. Every removal
// is deferred past a grace period in the worker's own lists.
#include "grid/grid_internal.h"

// Instead of an entry's handle: its crossing was called off.
#define CALLED_OFF PE_NONE

// Crossings of which the old slot was flagged since the last stamp get theirs, later than it need
// be for the first of them: one fence for all. Before anything else is stamped, so that the lists
// stay in order.
static void stamp_crossings(struct pe_grid_worker *w)
{
	uint32_t stamp = (uint32_t)pe_rcu_stamp();

	for (uint32_t i = 0; i < w->unstamped_count; i++)
		*w->unstamped[i] = stamp;
	w->unstamped_count = 0;
}

void pe_grid_stamp(struct pe_grid *grid, unsigned worker)
{
	if (grid->workers[worker].unstamped_count)
		stamp_crossings(&grid->workers[worker]);
}

// Room for what a crossing will need later, so that nothing of it can fail: entries for the claims
// of both its slots, and room for a batch of departures.
static inline bool reserve(struct pe_grid_worker *w, struct pe_defer *departures)
{
	return pe_defer_reserve(&w->claims, 2 * (w->crossing + 1)) &&
		pe_defer_reserve(departures, PE_BATCH_MAX);
}

enum pe_status pe_grid_insert(struct pe_grid *grid, unsigned worker, uint64_t key, uint64_t word,
	uint32_t handle, bool arriving, uint32_t *slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	enum pe_status status;

	*slot = PE_SLOT_NONE;
	// What is not crossing needs none: see defer_claim.
	if (arriving && !reserve(w, &w->departures))
		return PE_BUSY;
	word &= PE_WORD_POSITION;
	if (arriving)
		word |= PE_SLOT_ARRIVING;
	status = pe_leaf_insert(grid, worker, key, word, handle, slot);
	if (status == PE_OK && arriving)
		w->crossing++;
	return status;
}

enum pe_status pe_grid_insert_at(struct pe_grid *grid, unsigned worker, uint32_t leaf, uint64_t key,
	uint64_t word, uint32_t handle, uint32_t *slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	enum pe_status status;

	if (!reserve(w, &w->crossings))
		return PE_BUSY;
	word = (word & PE_WORD_POSITION) | PE_SLOT_ARRIVING;
	status = __builtin_expect(leaf != PE_NONE, 1) ?
		pe_leaf_insert_in(grid, worker, leaf, word, handle, slot) :
		pe_leaf_insert(grid, worker, key, word, handle, slot);
	w->crossing += status == PE_OK;
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

const void *pe_grid_slot_line(const struct pe_grid *grid, uint32_t slot)
{
	return (const void *)pe_slot_word(grid, slot);
}

void pe_grid_prefetch_slot(const struct pe_grid *grid, uint32_t slot)
{
	pe_prefetch(pe_grid_slot_line(grid, slot));
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

static inline void push_claim(struct pe_grid *grid, unsigned worker, uint32_t slot, uint32_t stamp)
{
	uint32_t *entry = pe_defer_push(&grid->workers[worker].claims, PE_CLAIM_WORDS);

	entry[PE_CLAIM_SLOT] = slot;
	entry[PE_CLAIM_STAMP] = stamp;
#ifdef PE_PLANT_SLOT_FREED_WITHOUT_GRACE
	pe_leaf_release(grid, worker, slot);
#endif
}

// `named`: a departure in the list may still name the slot, which then must wait for it in the list
// of claims; its entry was reserved. Any other claim takes what room is left, and where there is
// none it is left to the control thread, which finds the bit in the chunk, waits a grace period,
// and gives it back: so a whole world can go at once without a list as long as the world.
static void defer_claim(
	struct pe_grid *grid, unsigned worker, uint32_t slot, uint32_t stamp, bool named)
{
	struct pe_grid_worker *w = &grid->workers[worker];

	if (!named && !pe_defer_reserve(&w->claims, 2 * w->crossing + 1)) {
		// ORPHANS: release: the slot was invalidated before (partner: the acquire in the
		// control thread's scan, which stamps it afterwards).
		atomic_fetch_or_explicit(&pe_chunk_at(grid, slot)->orphans,
			1u << pe_slot_number(slot), memory_order_release);
		PE_STEP();
		pe_worker_emptied(grid, worker);
		return;
	}
	push_claim(grid, worker, slot, stamp);
}

// The slot that an entity has left sends readers to its record.
static inline void flag_moved(struct pe_grid *grid, uint32_t old_slot)
{
	_Atomic uint64_t *at = pe_slot_word(grid, old_slot);

	// MOVED: release: the new slot is valid and the record tells the new position before the
	// old slot sends readers to the record. Without it such a reader finds the old position, or
	// misses the entity.
	atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) | PE_SLOT_MOVED,
		memory_order_release);
	PE_STEP();
}

static inline uint32_t *push_departure(
	struct pe_defer *list, uint32_t handle, uint32_t old_slot, uint32_t new_slot)
{
	uint32_t *entry = pe_defer_push(list, PE_DEPART_WORDS);

	entry[PE_DEPART_HANDLE] = handle;
	entry[PE_DEPART_OLD] = old_slot;
	entry[PE_DEPART_NEW] = new_slot;
	return entry;
}

enum pe_status pe_grid_depart(struct pe_grid *grid, unsigned worker, uint32_t handle,
	uint32_t old_slot, uint32_t new_slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];

	if (!pe_defer_reserve(&w->departures, 1))
		return PE_FULL;
	if (old_slot != PE_SLOT_NONE)
		flag_moved(grid, old_slot);
	push_departure(&w->departures, handle, old_slot, new_slot)[PE_DEPART_STAMP] =
		(uint32_t)pe_rcu_stamp();
	return PE_OK;
}

uint32_t pe_grid_cross(struct pe_grid *grid, unsigned worker, uint32_t handle, uint32_t old_slot,
	uint32_t new_slot)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	uint32_t *entry;

	flag_moved(grid, old_slot);
	if (__builtin_expect(w->unstamped_count == PE_BATCH_MAX, 0))
		stamp_crossings(w);
	entry = push_departure(&w->crossings, handle, old_slot, new_slot);
	w->unstamped[w->unstamped_count++] = &entry[PE_DEPART_STAMP];
	return (uint32_t)(entry - (uint32_t *)grid->departure_store.blocks);
}

uint32_t pe_grid_call_off(struct pe_grid *grid, uint32_t crossing)
{
	uint32_t *entry = (uint32_t *)grid->departure_store.blocks + crossing;

	assert(entry[PE_DEPART_HANDLE] != CALLED_OFF);
	entry[PE_DEPART_HANDLE] = CALLED_OFF;
	return entry[PE_DEPART_OLD];
}

uint32_t pe_grid_crossing_from(const struct pe_grid *grid, uint32_t crossing)
{
	return ((const uint32_t *)grid->departure_store.blocks)[crossing + PE_DEPART_OLD];
}

// Frees claims whose grace period has passed, at most `max`. A claim waits for the departures
// before it: while one that names a slot is still in the list, the slot isn't used again, and so
// the caller's comparison with its record cannot be misled.
static void free_claims(struct pe_grid *grid, unsigned worker, unsigned max)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	uint32_t slots[PE_POLL_MAX], ahead, side;
	const uint32_t *departure = pe_defer_run(&w->departures, PE_DEPART_WORDS, &ahead);
	unsigned done = 0, n;

	do {
		const uint32_t *claim = pe_defer_run(&w->claims, PE_CLAIM_WORDS, &side);

		if (side > PE_POLL_MAX)
			side = PE_POLL_MAX;
		if (side > max - done)
			side = max - done;
		for (n = 0; n < side; n++, claim += PE_CLAIM_WORDS) {
			uint32_t stamp = claim[PE_CLAIM_STAMP];

			if (!pe_defer_passed(stamp) ||
				(ahead && (int32_t)(stamp - departure[PE_DEPART_STAMP]) >= 0))
				break;
			slots[n] = claim[PE_CLAIM_SLOT];
			pe_prefetch(pe_chunk_at(grid, slots[n]));
		}
		if (!n)
			return;
		pe_defer_drop(&w->claims, n, 2 * (w->crossing + 1));
#ifndef PE_PLANT_SLOT_FREED_WITHOUT_GRACE
		for (unsigned i = 0; i < n; i++)
			pe_leaf_prefetch(grid, slots[i]);
		for (unsigned i = 0; i < n; i++)
			pe_leaf_release(grid, worker, slots[i]);
#endif
		done += n;
	} while (n == side && done < max);
}

// The oldest of a list whose grace period has passed, at most `max`; what was called off is left
// out, so that fewer need not be all.
static unsigned take_departed(
	struct pe_defer *list, struct pe_departure *done, unsigned max, bool *more)
{
	uint32_t side;
	const uint32_t *entry = pe_defer_run(list, PE_DEPART_WORDS, &side);
	unsigned count = 0, n;

	if (side > max)
		side = max;
	for (n = 0; n < side && pe_defer_passed(entry[PE_DEPART_STAMP]);
		n++, entry += PE_DEPART_WORDS) {
		done[count] = (struct pe_departure){.handle = entry[PE_DEPART_HANDLE],
			.old_slot = entry[PE_DEPART_OLD],
			.new_slot = entry[PE_DEPART_NEW]};
		count += entry[PE_DEPART_HANDLE] != CALLED_OFF;
	}
	*more = n && n == side;
	if (n)
		pe_defer_drop(list, n, PE_BATCH_MAX);
	return count;
}

unsigned pe_grid_poll(
	struct pe_grid *grid, unsigned worker, struct pe_departure *done, unsigned max)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	unsigned count = 0;
	bool more = true;

	assert(max <= PE_POLL_MAX);
	// The end of a run is not the end of the list.
	while (more && count < max)
		count += take_departed(&w->departures, done + count, max - count, &more);
	// More claims than departures, because a removal defers two.
	free_claims(grid, worker, 4 * max);
	return count;
}

unsigned pe_grid_crossed(
	struct pe_grid *grid, unsigned worker, struct pe_departure *done, unsigned max, bool *more)
{
	struct pe_grid_worker *w = &grid->workers[worker];

	assert(max <= PE_POLL_MAX);
	pe_grid_stamp(grid, worker);
	return take_departed(&w->crossings, done, max, more);
}

void pe_grid_settle_crossed(struct pe_grid *grid, unsigned worker,
	const struct pe_departure *departures, unsigned count)
{
	struct pe_grid_worker *w = &grid->workers[worker];
	uint32_t stamp;

	assert(w->crossing >= count);
	for (unsigned i = 0; i < count; i++) {
		_Atomic uint64_t *at = pe_slot_word(grid, departures[i].new_slot);

		invalidate(grid, departures[i].old_slot);
		// SLOT: as in pe_grid_settle
		atomic_store_explicit(at,
			atomic_load_explicit(at, memory_order_relaxed) & ~PE_SLOT_ARRIVING,
			memory_order_release);
	}
	// Later than it need be for the first of them: one fence for all.
	stamp = (uint32_t)pe_rcu_stamp();
	for (unsigned i = 0; i < count; i++)
		push_claim(grid, worker, departures[i].old_slot, stamp);
	w->crossing -= count;
	// More than came: what removals defer is to be freed as well.
	free_claims(grid, worker, 2 * count + 1);
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

	pe_grid_stamp(grid, worker);
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

	return pe_defer_count(&w->departures) + pe_defer_count(&w->crossings) +
		pe_defer_count(&w->claims);
}

uint64_t pe_grid_slot_key(const struct pe_grid *grid, uint32_t slot)
{
	return pe_chunk_at(grid, slot)->key;
}
