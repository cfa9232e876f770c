// The grid: a hashed 64-tree over leaf cells, whose leaves hold chains of chunks of packed slots.
// Any number of readers walk it in RCU read-side sections; workers insert and move concurrently;
// one control thread closes and frees empty leaves and nodes. Tuned for bursts of moves inside
// cells (one 8-byte store) and for scans of 8 positions a step. Rules and their reasons:
// docs/memory-model.md.
//
// Who may call what:
//   insert, store, mark_moved, settle, remove, poll   the worker that owns the entity, on its own
//                                                     thread
//   walk, count                                       any registered RCU reader, inside a read-side
//                                                     section
//   control                                           the one control thread
// Memory is taken at create; nothing is allocated afterwards.
#pragma once

#include "base/limits.h"
#include "base/status.h"
#include "space/space.h"

#include <stddef.h>
#include <stdint.h>

// Flags of a slot's word.
#define PE_SLOT_ARRIVING (1ull << 60) // the entity may still be met at its old slot too
#define PE_SLOT_MOVED    (1ull << 61) // the entity has a newer slot: read its record instead
#define PE_SLOT_NONE     0xFFFFFFFFu

struct pe_grid;
struct pe_sieve; // space/sieve.h

struct pe_grid_config {
	uint32_t entity_count_max;   // bounds slots; pools are derived from it unless given
	uint32_t leaf_count_max;     // cells in use at one time; 0 = derived, see pe_grid_cells
	uint32_t node_count_max;     // 0 = derived from the cells
	uint32_t chunk_count_max;    // chunks of 32 slots, or each as 3.5 of 8; 0 = derived
	uint32_t crossing_count_max; // crossings in flight at one time; 0 = a 16th of the entities
	unsigned worker_count;
	bool huge_pages; // ask for them; falls back
};

[[nodiscard]] enum pe_status pe_grid_create(
	const struct pe_grid_config *config, struct pe_grid **grid, struct pe_error *error);
void pe_grid_destroy(struct pe_grid *grid);

// The bill: bytes by pool, each with what it needs to be looked up and handed out. Immutable after
// create.
struct pe_grid_plan {
	uint64_t leaves, nodes, chunks, crossings;
	uint64_t leaf_bytes, node_bytes, chunk_bytes, deferred_bytes, other_bytes, total_bytes;
};
struct pe_grid_plan pe_grid_plan(const struct pe_grid *grid);

// Cells that the pools are made for when none are named: one for 16 entities, and one each up to
// 65,536. A world whose cells in use hold fewer than about 20 in the mean needs more.
uint32_t pe_grid_cells(uint32_t entity_count_max);

// Puts an entity into cell `key`: claims a slot, writes word (| ARRIVING when arriving) and handle,
// makes it valid. The record must already be readable through `handle`. PE_FULL: a pool is empty.
// PE_BUSY: the leaf or a node above it is just being taken out, or (arriving) as many crossings as
// there is room for wait for a grace period; try again in a later turn. Never waits.
[[nodiscard]] enum pe_status pe_grid_insert(struct pe_grid *grid, unsigned worker, uint64_t key,
	uint64_t word, uint32_t handle, bool arriving, uint32_t *slot);

// A move inside the cell: one store that keeps ARRIVING. word without flags.
void pe_grid_store(struct pe_grid *grid, uint32_t slot, uint64_t word);
// The same of an entity that is not crossing, and so has no flag to keep: nothing is read, and so
// nothing waited for.
void pe_grid_store_settled(struct pe_grid *grid, uint32_t slot, uint64_t word);
// Its line, to ask for.
const void *pe_grid_slot_line(const struct pe_grid *grid, uint32_t slot);
void pe_grid_prefetch_slot(const struct pe_grid *grid, uint32_t slot);
// What inserts into these cells (at most PE_BATCH_MAX) will touch, asked for in four steps for all
// of them, so that they overlap: each cell's bucket, its leaf, the chunks in which it looks for
// room, and the slot. Worker or reader. leaves: where each is to be put by pe_grid_insert_at,
// within this read-side section.
void pe_grid_prefetch_inserts(const struct pe_grid *grid, const uint64_t *keys, unsigned count,
	uint32_t leaves[static PE_BATCH_MAX]);

// A crossing is: insert(arriving) in the new cell; publish the record; depart(old, new). depart
// flags the old slot MOVED and defers the settlement past a grace period. An entity that comes back
// within the grace period of its removal is inserted arriving too, and departs with old =
// PE_SLOT_NONE. PE_FULL: the deferred list is full (it is sized so that one deferred settlement and
// one removal an entity always fit, so this is a programmer's error).
[[nodiscard]] enum pe_status pe_grid_depart(struct pe_grid *grid, unsigned worker, uint32_t handle,
	uint32_t old_slot, uint32_t new_slot);

// Most crossings are these, of entities that wait for nothing else: insert_at, which puts one into
// the leaf that prefetch_inserts found for its cell (arriving; as pe_grid_insert otherwise);
// publish the record; cross. cross flags the old slot MOVED, defers the settlement and returns its
// name, below 2^31, until it is handed out or called off. Its stamp comes with pe_grid_stamp, at
// the end of the batch.
[[nodiscard]] enum pe_status pe_grid_insert_at(struct pe_grid *grid, unsigned worker, uint32_t leaf,
	uint64_t key, uint64_t word, uint32_t handle, uint32_t *slot);
uint32_t pe_grid_cross(struct pe_grid *grid, unsigned worker, uint32_t handle, uint32_t old_slot,
	uint32_t new_slot);
void pe_grid_stamp(struct pe_grid *grid, unsigned worker);
// The slot that it left. call_off: it is not handed out any more; the entity is taken away, or its
// settlement deferred otherwise.
uint32_t pe_grid_crossing_from(const struct pe_grid *grid, uint32_t crossing);
uint32_t pe_grid_call_off(struct pe_grid *grid, uint32_t crossing);

#define PE_POLL_MAX 64
struct pe_departure {
	uint32_t handle, old_slot, new_slot;
};
// Departures whose grace period has passed, at most `max` (≤ PE_POLL_MAX), oldest first; also frees
// claims whose second grace period has passed (bounded by max). The caller checks that its record
// still says (old_slot, new_slot) and then calls settle; a record that says otherwise was removed
// meanwhile and needs nothing.
unsigned pe_grid_poll(
	struct pe_grid *grid, unsigned worker, struct pe_departure *done, unsigned max);
// What settling it will touch.
void pe_grid_prefetch_departure(const struct pe_grid *grid, const struct pe_departure *departure);

// The same of those of pe_grid_cross, but for claims; they are of the caller's entities, and as he
// left them. more: there may be others yet. Then settle_crossed, before anything else of the grid
// is done.
unsigned pe_grid_crossed(
	struct pe_grid *grid, unsigned worker, struct pe_departure *done, unsigned max, bool *more);
void pe_grid_settle_crossed(struct pe_grid *grid, unsigned worker,
	const struct pe_departure *departures, unsigned count);

// Ends a crossing: old slot invalid, its claim deferred, ARRIVING cleared from the new. old may be
// PE_SLOT_NONE.
void pe_grid_settle(struct pe_grid *grid, unsigned worker, uint32_t old_slot, uint32_t new_slot);

// Takes an entity away: both slots' valid bits are cleared at once, claims after a grace period.
// Either may be PE_SLOT_NONE.
void pe_grid_remove(struct pe_grid *grid, unsigned worker, uint32_t slot, uint32_t old_slot);

// Deferred work of this worker that waits for a grace period (0 = none); drives the control thread.
unsigned pe_grid_deferred(const struct pe_grid *grid, unsigned worker);

// The cell of a slot. Owner, or a reader for a slot met in this read-side section.
uint64_t pe_grid_slot_key(const struct pe_grid *grid, uint32_t slot);

struct pe_hit {
	uint64_t key;  // of the leaf
	uint64_t word; // as met, with flags; MOVED: the position is not to be used
	uint32_t handle;
	uint32_t sure; // written by a walk with a sieve, which has it inside for certain
};

// Where a walk stands: opaque to clients, the two words of a query's cursor. {0, 0} = the start. A
// walk uses bits 0–62 of word[0] and 0–31 of word[1]; the others are zero (all ones after the end)
// and ignored, so that a caller may keep something of its own there.
struct pe_cursor {
	uint64_t word[2];
};

struct pe_walk {
	// in
	struct pe_region region;
	uint32_t cells_max, candidates_max;
	// Nodes that are met are nobody's to count, nor to bound: the region is a small one, and
	// what is beside it must not tell.
	bool boxed;
	// Nothing but the handles of hits is wanted (walker.h).
	bool handles;
	// Of what is in the region only what the sieve lets through is met; NULL: all. The
	// caller's, and the walk's own until it is over.
	struct pe_sieve *sieve;
	// The two bounds are of `cells` and `candidates` below, so a query may share them between
	// walks.
	//
	// in and out: the next place; after the walk ended, {~0, ~0}
	struct pe_cursor cursor;
	// out, added to
	uint32_t cells, candidates;
	// a hit had ARRIVING or MOVED: the caller must drop handles met twice in the whole query
	bool flagged;
	// in and out, the walk's own (0 at the start): the chunk at which it stopped within a leaf,
	// so that the next page does not go down a long chain again. Only within one read-side
	// section: a walk that goes on in another starts from a fresh struct pe_walk and the
	// cursor.
	uint32_t resume;
	uint32_t passed; // out, added to: chunks passed on the way back to the cursor
};

// Walks the region in a fixed order of cells from cursor on and stores what is inside (and every
// MOVED slot of the cells met, whatever its position) into hits. Stops at hit_max − one chunk's
// worth, at cells_max or at candidates_max, at a chunk's boundary. Returns the number of hits;
// walk->cursor tells where to go on. hit_max ≥ 64. PE_INVALID cursor words (not given by a walk of
// this region) never read out of bounds: the walk just goes on at the next cell in order, or ends.
unsigned pe_grid_walk(
	const struct pe_grid *grid, struct pe_walk *walk, struct pe_hit *hits, unsigned hit_max);
bool pe_walk_ended(const struct pe_walk *walk);
// Does it go on between the slots of one chunk?
bool pe_walk_cursor_splits(const struct pe_cursor *cursor);
// The cursor goes on from where it stands to behind the slot in which a walk that went on from
// there to `end` has met the entity, and met it once; in the read-side section of that walk. False:
// it is not there any more, or is moving from cell to cell, and the cursor stays.
bool pe_grid_walk_behind(const struct pe_grid *grid, struct pe_walk *walk, uint32_t handle,
	const struct pe_cursor *end);

// Where cells stand in the order of a walk: a leaf's path in the tree, one bit of the root and six
// a level. So the leaves of a node at level n are one behind the other, and their paths >> 6 n are
// its own.
#define PE_PATH_BITS 55
#define PE_PATH_MASK ((1ull << PE_PATH_BITS) - 1)
uint64_t pe_walk_path(uint64_t leaf_key);
// A walk from there begins with the first leaf at or behind the path; and the path at which a walk
// begins.
struct pe_cursor pe_walk_cursor_at(uint64_t path);
uint64_t pe_walk_cursor_path(const struct pe_cursor *cursor);
// A node's extent in leaves, as powers of two: across and up. level 0–9; 0 is the leaf.
#define PE_NODE_LEVELS 9
unsigned pe_node_bits_across(unsigned level);
unsigned pe_node_bits_up(unsigned level);

// Control thread, between grace periods: step 1 picks and closes some empty leaves and returns how
// many grace periods' worth of work is outstanding (0 = nothing to do). The caller then runs a
// grace period (pe_rcu_synchronize, which advances the stamp counters) and calls again.
unsigned pe_grid_control(struct pe_grid *grid);

// Scan kernels: chosen at create by what the processor has; a test may force one. The three must
// agree bit for bit.
enum pe_scan_isa { PE_SCAN_SCALAR, PE_SCAN_AVX2, PE_SCAN_AVX512, PE_SCAN_ISA_COUNT };
bool pe_scan_supported(enum pe_scan_isa isa);
enum pe_scan_isa pe_scan_best(void);
void pe_grid_force_scan(struct pe_grid *grid, enum pe_scan_isa isa);
