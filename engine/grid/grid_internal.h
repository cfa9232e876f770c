// The inside of the grid: layouts, addresses, and what its files call of each other. See grid.h for
// what it does and docs/memory-model.md for the labels of the atomics.
//
// Who writes what:
//   a slot's word         the owner of the entity in it
//   a chunk's bitmaps     any worker by read-modify-write; the control thread closes an empty chunk
//   a leaf's claims       any worker by compare-and-swap; the control thread closes an empty leaf
//   links of a hash chain and of a chain of chunks
//                         any worker adds at the head by compare-and-swap; only the control thread
//                         takes out
//   a node's occupancy    any worker sets bits; only the control thread clears them
#pragma once

#include "base/limits.h"
#include "base/prefetch.h"
#include "grid/defer.h"
#include "grid/grid.h"
#include "grid/pool.h"

#include <assert.h>
#include <immintrin.h>
#include <stdatomic.h>

#define PE_NONE   0xFFFFFFFFu
#define PE_LEVELS 9 // of nodes, 1 … 9: at 9 a frame has one node across and two up
#define PE_CLOSED \
	0x80000000u // of a claim word: no claims are left, and who comes opens it again; with what
	            // follows:
#define PE_TAKEN       0xC0000000u // nobody can any more
#define PE_BIG_SLOTS   32
#define PE_SMALL_SLOTS 8
#define PE_SMALL       0x80000000u // in a slot's or chunk's reference
#define PE_PROBES_MAX  8           // chunks looked into for room before a new one is taken

// A test may put the thread to sleep between any two steps of an operation; elsewhere this is
// nothing.
#ifdef PE_TEST_STEPS
void pe_test_step(void);
#define PE_STEP() pe_test_step()
#else
#define PE_STEP() ((void)0)
#endif

// A leaf and a node begin alike, so that one hash table's code serves both.
struct pe_entry {
	uint64_t key;           // whoever makes it, before it is published
	_Atomic uint32_t claim; // LEAF: claims, or PE_CLOSED, or PE_TAKEN, as a free object is
	_Atomic uint32_t next;  // HASH: the bucket's chain
};

struct pe_leaf {
	struct pe_entry entry; // claims: claimed slots, deferred ones included
	_Atomic uint32_t head; // CHUNK: newest chunk
	_Atomic uint32_t hint; // a chunk that may have room; may be stale
	uint32_t parent;       // node at level 1; before it is published
	uint32_t queued;       // control thread: it stands in `closed`
};
_Static_assert(sizeof(struct pe_leaf) == 32, "two leaves a line");

struct pe_node {
	struct pe_entry entry;      // claims: children published, and creators at work
	_Atomic uint64_t occupancy; // NODE: bit = child may exist
	uint32_t parent;            // PE_NONE at the top; before it is published
	uint8_t level;              // before it is published
	uint8_t queued;             // control thread, as of a leaf
	// Scans that found it empty; relaxed: whoever makes the node sets it to 0, the control
	// thread counts, and a count that is off by a race only closes an unclaimed node sooner or
	// later.
	_Atomic uint16_t idle;
};
_Static_assert(sizeof(struct pe_node) == 32, "two nodes a line");

// Chunks by reference: the line of 64 bytes that it begins at << 5, and PE_SMALL of the small ones;
// a slot's reference adds its number. So either is found without a branch: which class a chunk is
// of is for chance to say, and a wrong guess costs more. `claimed` is all ones while the chunk is
// free or closed, or not yet published: so nobody can claim a slot of a chunk that may go back to
// its pool without a grace period.
struct pe_chunk {
	_Atomic uint32_t claimed; // SLOT: bits of slots taken
	_Atomic uint32_t valid;   // VALID: bits of slots to be read
	_Atomic uint32_t next;    // CHUNK: older chunk of the leaf
	_Atomic uint32_t leaf; // whoever takes the chunk; read by who meets it through a stale hint
	uint64_t key;          // of the leaf; before the chunk is published
	uint32_t sequence;     // in the leaf's chain, newest highest; before the chunk is published
	// ORPHANS: bits of invalid slots whose claims the control thread gives back; any worker
	// sets them, the control thread takes them
	_Atomic uint32_t orphans;
};
_Static_assert(sizeof(struct pe_chunk) == 32, "header of both classes");

struct pe_big {
	struct pe_chunk chunk;
	char spare[32];
	_Atomic uint64_t word[PE_BIG_SLOTS]; // SLOT: owner of each
	uint32_t handle[PE_BIG_SLOTS];       // owner of each, before the slot is valid
};
struct pe_small {
	struct pe_chunk chunk;
	uint32_t handle[PE_SMALL_SLOTS];
	_Atomic uint64_t word[PE_SMALL_SLOTS];
};
#define PE_WORD_OFFSET 64
_Static_assert(
	sizeof(struct pe_big) == 448 && offsetof(struct pe_big, word) == PE_WORD_OFFSET, "7 lines");
_Static_assert(sizeof(struct pe_small) == 128 && offsetof(struct pe_small, word) == PE_WORD_OFFSET,
	"2 lines");

// Chunks of both classes come from slabs of 896 bytes: two big ones or seven small ones, as they
// are wanted. A slab keeps its class for good, so a stale reference to a chunk still leads to one
// of its class.
#define PE_SLAB_BYTES  896
#define PE_SLAB_BIGS   2
#define PE_SLAB_SMALLS 7
_Static_assert(PE_SLAB_BIGS * sizeof(struct pe_big) == PE_SLAB_BYTES &&
		PE_SLAB_SMALLS * sizeof(struct pe_small) == PE_SLAB_BYTES,
	"both classes are addressed from the same base");
enum pe_slab_class { PE_SLAB_FRESH, PE_SLAB_BIG, PE_SLAB_SMALL };
struct pe_slabs {
	_Atomic uint8_t *class; // SLAB: whoever cuts it; read: control thread
	uint32_t count;
	_Atomic uint32_t fresh; // slabs from here on were never cut; whoever cuts one
};

// Two halves of buckets, or in the chains that it goes by an open cell's reader would feel the
// cells of layers that he doesn't walk.
struct pe_table {
	_Atomic uint32_t *heads; // HASH
	uint32_t mask;           // buckets − 1; a multiple of 64 buckets
	uint32_t veiled;         // bit of those of what is in a layer that is not a space's own
};

// What a worker left empty, for the control thread to look at these alone: going through all cells
// and chunks takes their lines out of the workers' caches. A ring; where it is full, `emptied` is
// counted instead.
#define PE_NOTES_MAX 4096
struct pe_note {
	uint32_t kind;  // enum pe_kind: a leaf, a node, or (PE_KIND_BIG) a chunk of either class
	uint32_t index; // of a chunk its reference
};
struct pe_notes {
	// EMPTIED: written: the worker; read: control thread
	_Atomic uint32_t tail;
	struct pe_note note[PE_NOTES_MAX];
	// EMPTIED: written: control thread; read: the worker
	_Atomic uint32_t head __attribute__((aligned(128)));
};

// Words of the entries of the deferred lists (slots.c).
enum { PE_DEPART_HANDLE, PE_DEPART_OLD, PE_DEPART_NEW, PE_DEPART_STAMP, PE_DEPART_WORDS };
enum { PE_CLAIM_SLOT, PE_CLAIM_STAMP, PE_CLAIM_WORDS };

struct pe_grid_worker {
	// All of its worker only, save what is said.
	struct pe_defer departures; // entries: handle, old, new, stamp
	struct pe_defer crossings;  // the same of those that can be called off
	struct pe_defer claims;     // entries: slot, stamp
	// arriving slots: the claims of each and of the one it left are sure of an entry
	uint32_t crossing;
	// crossings that have no stamp yet: where it goes
	uint32_t unstamped_count;
	uint32_t *unstamped[PE_BATCH_MAX];
	// What it left empty and could not note; read: control thread, which then looks at
	// everything.
	_Atomic uint32_t emptied;
	struct pe_notes notes;
} __attribute__((aligned(128)));

// What the control thread has closed: in `closed` until nobody can be making something of it, then
// taken out of its table, and in `gone` until nobody reads it.
enum pe_kind { PE_KIND_LEAF, PE_KIND_NODE, PE_KIND_BIG, PE_KIND_SMALL, PE_KIND_COUNT };
#define PE_PENDING_ORPHANS PE_KIND_COUNT // of a chunk: what else may wait in `gone`
struct pe_pending {
	uint32_t stamp; // of pe_defer_passed
	uint32_t kind, index;
	uint32_t slots; // PE_PENDING_ORPHANS: of the chunk whose reference is `index`
};
#define PE_PENDING_MAX 8192
struct pe_pending_list {
	struct pe_pending *entry;
	uint32_t head, count; // ring
};
struct pe_control {
	struct pe_pending_list closed, gone;
	uint32_t scan_kind, scan_index; // next object to look at
	bool scanning, only_nodes;
	uint32_t sweep_kind, sweep_index; // the same of the slow round beside notes
	bool look;                        // orphans were given back and left something empty
	bool again; // a node was found or left empty: look once more after a grace period
	uint64_t emptied_seen; // sum of the workers' `emptied` when the scan began
};

struct pe_scan;
typedef uint32_t pe_scan_function(const struct pe_scan *scan, const _Atomic uint64_t *words,
	unsigned slots, uint32_t valid, uint64_t *copy);
struct pe_find;
typedef uint32_t pe_find_function(const struct pe_find *find, const _Atomic uint64_t *words,
	const uint32_t *handles, unsigned slots, uint32_t valid, uint32_t *found);

struct pe_grid {
	// Immutable after create.
	struct pe_leaf *leaves;
	struct pe_node *nodes;
	char *chunks; // slabs
	struct pe_table leaf_table, node_table;
	uint64_t secret[4];
	pe_scan_function *scan;
	pe_find_function *find;
	unsigned worker_count;
	struct pe_memory memory;
	struct pe_grid_plan plan;
	// Shared.
	struct pe_pool pool[PE_KIND_COUNT];
	struct pe_slabs slabs;
	struct pe_defer_store departure_store, claim_store;
	struct pe_grid_worker *workers;
	struct pe_control control; // control thread
	// HEIGHTS: of each space's own cells, a frame a word, between which lowest and highest cell
	// all lie that were ever made; whoever makes one widens it; read: walks. A layer's are not
	// kept: who may not be told of its cells could tell from a walk how high they are.
	_Atomic uint32_t heights[PE_SPACES_MAX][8];
};

// A word of `heights`: 0 is none. Both halves only grow.
#define PE_HEIGHTS_END(heights)   ((heights) >> 16)               // behind the highest z
#define PE_HEIGHTS_BEGIN(heights) (0x8000u - ((heights)&0xFFFFu)) // the lowest z
static inline void pe_heights_add(struct pe_grid *grid, uint64_t leaf_key)
{
	uint32_t z = PE_KEY_Z(leaf_key), end = z + 1, begin = 0x8000u - z, old, wider;
	_Atomic uint32_t *heights;

	if (PE_KEY_SPACE(leaf_key) >= PE_SPACES_MAX)
		return;
	heights = &grid->heights[PE_KEY_SPACE(leaf_key)][PE_KEY_FRAME(leaf_key)];
	old = atomic_load_explicit(heights, memory_order_relaxed);
	do {
		wider = (old >> 16 > end ? old >> 16 : end) << 16;
		wider |= (old & 0xFFFF) > begin ? old & 0xFFFF : begin;
		if (wider == old)
			return;
		// HEIGHTS: made visible by the release that publishes the leaf (HASH).
	} while (!atomic_compare_exchange_weak_explicit(
		heights, &old, wider, memory_order_release, memory_order_relaxed));
}

// Cells of a level: bits of x and y, and of z, below it.
static inline unsigned pe_level_across(unsigned level)
{
	return level <= 2 ? 3 * level : 2 * level + 2;
}
static inline unsigned pe_level_up(unsigned level)
{
	return level <= 2 ? 0 : 2 * level - 4;
}

// The child's number in its parent at level + 1; x, y, z are coordinates at the child's level.
static inline unsigned pe_child_number(unsigned level, uint32_t x, uint32_t y, uint32_t z)
{
	if (level < 2)
		return (y & 7) << 3 | (x & 7);
	return (z & 3) << 4 | (y & 3) << 2 | (x & 3);
}

// Where the bits of a leaf's coordinates stand in its path (pe_child_number, level by level); those
// of a node are 6 bits a level further down.
#define PE_PATH_X 0x00030C30C30C31C7ull
#define PE_PATH_Y 0x000C30C30C30CE38ull
#define PE_PATH_Z 0x0070C30C30C30000ull
static inline uint64_t pe_path_of(unsigned level, uint32_t x, uint32_t y, uint32_t z)
{
	return _pdep_u64(x, PE_PATH_X >> 6 * level) | _pdep_u64(y, PE_PATH_Y >> 6 * level) |
		_pdep_u64(z, PE_PATH_Z >> 6 * level);
}

// A node's key: that of its lowest cell, with the level in bits that are zero then.
static inline uint64_t pe_node_key(
	unsigned space, unsigned frame, unsigned level, uint32_t x, uint32_t y, uint32_t z)
{
	unsigned across = pe_level_across(level), up = pe_level_up(level);

	return pe_key_make(space, frame, x << across, y << across, z << up) |
		(uint64_t)(level & 7) << 15 | (uint64_t)(level >> 3) << 34;
}

static inline uint64_t pe_node_key_of(uint64_t leaf_key, unsigned level)
{
	unsigned across = pe_level_across(level), up = pe_level_up(level);

	return pe_node_key(PE_KEY_SPACE(leaf_key), PE_KEY_FRAME(leaf_key), level,
		PE_KEY_X(leaf_key) >> across, PE_KEY_Y(leaf_key) >> across,
		PE_KEY_Z(leaf_key) >> up);
}

// The number of the cell of `level` that holds the leaf cell, in its parent.
static inline unsigned pe_child_number_of(uint64_t leaf_key, unsigned level)
{
	unsigned across = pe_level_across(level), up = pe_level_up(level);

	return pe_child_number(level, PE_KEY_X(leaf_key) >> across, PE_KEY_Y(leaf_key) >> across,
		PE_KEY_Z(leaf_key) >> up);
}

// Siblings share 64 neighbouring buckets (four lines), so that going through a node's children
// meets few lines; which of them a child gets depends on the secret, too. Keys come from strangers'
// positions, so the hash is keyed.
static inline uint64_t pe_siblings_hash(
	const struct pe_grid *grid, const struct pe_table *table, uint64_t parent_key)
{
	__m128i k0 = _mm_set_epi64x((int64_t)grid->secret[1], (int64_t)grid->secret[0]);
	__m128i k1 = _mm_set_epi64x((int64_t)grid->secret[3], (int64_t)grid->secret[2]);
	__m128i v = _mm_xor_si128(_mm_set_epi64x((int64_t)parent_key, (int64_t)~parent_key), k0);

	v = _mm_aesenc_si128(v, k1);
	v = _mm_aesenc_si128(v, k0);
	v = _mm_aesenc_si128(v, k1);
	return ((uint64_t)_mm_cvtsi128_si64(v) & ~(uint64_t)table->veiled) |
		(parent_key >> 56 < PE_SPACES_MAX ? 0 : table->veiled);
}
// The buckets of a node's children, for who goes through them.
struct pe_siblings {
	_Atomic uint32_t *first;
	unsigned turn;
};
static inline struct pe_siblings pe_siblings(const struct pe_table *table, uint64_t siblings)
{
	return (struct pe_siblings){
		&table->heads[(uint32_t)siblings & table->mask & ~63u], (unsigned)(siblings >> 58)};
}
static inline _Atomic uint32_t *pe_siblings_bucket(
	const struct pe_siblings *siblings, unsigned child)
{
	return &siblings->first[(child ^ siblings->turn) & 63];
}
static inline _Atomic uint32_t *pe_bucket(
	const struct pe_table *table, uint64_t siblings, unsigned child)
{
	const struct pe_siblings all = pe_siblings(table, siblings);

	return pe_siblings_bucket(&all, child);
}
// A node's bucket; the parent of the top level is the frame itself.
static inline _Atomic uint32_t *pe_leaf_bucket(const struct pe_grid *grid, uint64_t key)
{
	return pe_bucket(&grid->leaf_table,
		pe_siblings_hash(grid, &grid->leaf_table, pe_node_key_of(key, 1)),
		pe_child_number_of(key, 0));
}
static inline _Atomic uint32_t *pe_node_bucket(
	const struct pe_grid *grid, uint64_t leaf_key, unsigned level)
{
	uint64_t parent =
		level < PE_LEVELS ? pe_node_key_of(leaf_key, level + 1) : leaf_key >> 53 << 53;

	return pe_bucket(&grid->node_table, pe_siblings_hash(grid, &grid->node_table, parent),
		pe_child_number_of(leaf_key, level));
}

#define PE_LINE_BYTES 64
#define PE_LINES_MAX  (1u << 26) // of all chunks together: what a reference has room for
static inline struct pe_chunk *pe_chunk_at(const struct pe_grid *grid, uint32_t ref)
{
	_Static_assert(PE_LINE_BYTES == 2 * PE_BIG_SLOTS, "a line is << 5 in a reference");

	return (struct pe_chunk *)(grid->chunks +
		2 * (size_t)(ref & ~(PE_SMALL | (PE_BIG_SLOTS - 1))));
}
static inline uint32_t pe_slot_number(uint32_t slot)
{
	return slot & (PE_BIG_SLOTS - 1);
}
static inline uint32_t pe_chunk_of(uint32_t slot)
{
	return slot & ~(uint32_t)(PE_BIG_SLOTS - 1);
}
static inline uint32_t pe_slots_mask(uint32_t ref)
{
	return 0xFFFFFFFFu >> (PE_BIG_SLOTS - PE_SMALL_SLOTS) * (ref >> 31);
}
#define PE_BIG_STEP   (sizeof(struct pe_big) / PE_LINE_BYTES << 5)
#define PE_SMALL_STEP (sizeof(struct pe_small) / PE_LINE_BYTES << 5)
static inline uint32_t pe_big_ref(uint32_t index)
{
	return index * (uint32_t)PE_BIG_STEP;
}
static inline uint32_t pe_small_ref(uint32_t index)
{
	return PE_SMALL | index * (uint32_t)PE_SMALL_STEP;
}
static inline uint32_t pe_chunk_index(uint32_t ref)
{
	return ref & PE_SMALL ? (ref & ~PE_SMALL) / (uint32_t)PE_SMALL_STEP :
				ref / (uint32_t)PE_BIG_STEP;
}
// The one behind it in its slab.
static inline uint32_t pe_chunk_next(uint32_t ref)
{
	return ref + (uint32_t)(ref & PE_SMALL ? PE_SMALL_STEP : PE_BIG_STEP);
}
// Needs nothing but the reference: no header is read.
static inline _Atomic uint64_t *pe_slot_word(const struct pe_grid *grid, uint32_t slot)
{
	return (_Atomic uint64_t *)((char *)pe_chunk_at(grid, slot) + PE_WORD_OFFSET) +
		pe_slot_number(slot);
}
static inline uint32_t *pe_chunk_handles(struct pe_chunk *chunk, uint32_t ref)
{
	const size_t big = offsetof(struct pe_big, handle),
		     small = offsetof(struct pe_small, handle);

	return (uint32_t *)((char *)chunk + big - (big - small) * (ref >> 31));
}

// One claim more, unless the object is being taken out; what is closed is open again. Release and
// acquire on one word with closing and taking (LEAF): either the claim is seen by them, which then
// fail, or the taking by the claim.
static inline bool pe_entry_claim(struct pe_entry *entry)
{
	uint32_t claim = atomic_load_explicit(&entry->claim, memory_order_relaxed);

	do {
		if (claim >= PE_TAKEN)
			return false;
		// LEAF: acquire
	} while (!atomic_compare_exchange_weak_explicit(&entry->claim, &claim,
		(claim & ~PE_CLOSED) + 1, memory_order_acquire, memory_order_relaxed));
	return true;
}
// LEAF: release: what its claim was for is done before the closing can succeed. Returns what is
// left.
static inline uint32_t pe_entry_unclaim(struct pe_entry *entry)
{
	return atomic_fetch_sub_explicit(&entry->claim, 1, memory_order_release) - 1;
}

// A worker's own count of what it left empty: wakes the control thread's scan.
static inline void pe_worker_emptied(struct pe_grid *grid, unsigned worker)
{
	_Atomic uint32_t *emptied = &grid->workers[worker].emptied;

	// EMPTIED: release
	atomic_store_explicit(emptied, atomic_load_explicit(emptied, memory_order_relaxed) + 1,
		memory_order_release);
}

// The same of one object that it left empty.
static inline void pe_worker_note(
	struct pe_grid *grid, unsigned worker, enum pe_kind kind, uint32_t index)
{
	struct pe_notes *n = &grid->workers[worker].notes;
	uint32_t tail = atomic_load_explicit(&n->tail, memory_order_relaxed);

	// EMPTIED: acquire: the control thread has read what is overwritten.
	if (tail - atomic_load_explicit(&n->head, memory_order_acquire) == PE_NOTES_MAX) {
		pe_worker_emptied(grid, worker);
		return;
	}
	n->note[tail % PE_NOTES_MAX] = (struct pe_note){.kind = kind, .index = index};
	// EMPTIED: release: the note, and what was given up before.
	atomic_store_explicit(&n->tail, tail + 1, memory_order_release);
}

// table.c: `base` and `size` say which array the indices are of.
uint32_t pe_table_find(const _Atomic uint32_t *bucket, const void *base, uint64_t key);
uint32_t pe_table_publish(_Atomic uint32_t *bucket, void *base, uint32_t index);
void pe_table_take_out(_Atomic uint32_t *bucket, void *base, uint32_t index);

// slab.c: a chunk of the class as a reference, with `claimed` all ones; PE_NONE: neither a free one
// nor an uncut slab is left. given back by its worker when nobody else can reach it, or by the
// control thread.
uint32_t pe_slab_take(struct pe_grid *grid, unsigned worker, bool small);
void pe_slab_give(struct pe_grid *grid, unsigned worker, uint32_t ref);
void pe_slab_give_shared(struct pe_grid *grid, uint32_t ref);
// Bytes not in any chunk that is in use; a hint while others work.
uint64_t pe_slab_free_bytes(const struct pe_grid *grid);
// Chunks of a slab, for the control thread: the first one's reference, and how many; 0 when it is
// not cut yet.
unsigned pe_slab_chunks(const struct pe_grid *grid, uint32_t slab, uint32_t *first);

// node.c: the node at level 1 above the leaf, with a claim on it. PE_FULL, PE_BUSY.
enum pe_status pe_node_claim(
	struct pe_grid *grid, unsigned worker, uint64_t leaf_key, uint32_t *node);
void pe_node_unclaim(struct pe_grid *grid, unsigned worker, uint32_t node);
void pe_node_set(struct pe_grid *grid, uint32_t node, unsigned child);

// leaf.c: a slot in the leaf of `key` with word and handle in it, valid.
enum pe_status pe_leaf_insert(struct pe_grid *grid, unsigned worker, uint64_t key, uint64_t word,
	uint32_t handle, uint32_t *slot);
// The same in a leaf that was found in this read-side section.
enum pe_status pe_leaf_insert_in(struct pe_grid *grid, unsigned worker, uint32_t leaf,
	uint64_t word, uint32_t handle, uint32_t *slot);
// Asks for the leaf that a slot's chunk is of; the chunk's header is read.
static inline void pe_leaf_prefetch(const struct pe_grid *grid, uint32_t slot)
{
	pe_prefetch(&grid->leaves[atomic_load_explicit(
		&pe_chunk_at(grid, slot)->leaf, memory_order_relaxed)]);
}
// Gives the claim of an invalid slot back.
void pe_leaf_release(struct pe_grid *grid, unsigned worker, uint32_t slot);
// The control thread's: those of several slots of a chunk. True when that left the leaf or the
// chunk empty.
bool pe_leaf_release_orphans(struct pe_grid *grid, uint32_t ref, uint32_t slots);

struct pe_walker;
// walk.c, for its neighbours: of heights in cells those that a space's own have in a frame, since a
// box that knows none would begin at the root, and go down level by level, and a sphere on the
// ground would look for cells beneath it. False: there are none.
bool pe_walk_clip_heights(
	const struct pe_grid *grid, unsigned space, unsigned frame, uint64_t *lo, uint64_t *hi);
// walk_near.c: all cells of a small sphere into a fresh walker's batch. False: it is none, and
// nothing is gathered.
bool pe_walk_open_near(struct pe_walker *walker);
// walk.c, for walk_scan.c: more cells into a walker's batch; and what a bound does to the cursor.
void pe_walk_gather(struct pe_walker *walker);
void pe_walk_stop_at(struct pe_walker *walker, uint64_t code, bool middle, uint32_t sequence);
