// The cells that a walk has gathered, in stages: heads of the buckets, leaves, chunks ahead, scans.
#include "grid/grid_internal.h"
#include "grid/walker.h"
#include "space/sieve.h"

#include <math.h>

#define ALWAYS_INLINE __attribute__((always_inline)) static inline

#define AHEAD       12 // leaves whose chunks are fetched ahead of the scan
#define FETCHED     12 // leaves of a walk whose chunks are fetched before its own scan
#define CELL_ACROSS (1 << PE_CELL_BITS)

static void emit(struct pe_walker *w, uint64_t key, const struct pe_chunk *chunk, uint32_t ref,
	uint32_t mask, const uint64_t *copy)
{
	const uint32_t *handles = pe_chunk_handles((struct pe_chunk *)chunk, ref);
	struct pe_hit *hit = &w->hits[w->hit_count];
	uint64_t seen = 0;

	w->hit_count += (unsigned)__builtin_popcount(mask);
	for (; mask; mask &= mask - 1, hit++) {
		unsigned i = (unsigned)__builtin_ctz(mask);

		hit->key = key;
		hit->word = copy[i];
		hit->handle = handles[i];
		seen |= copy[i];
	}
	w->seen_flags |= seen;
}

// A chunk's words as they are. True: one may be beside a move, valid or not.
static inline bool copy_words(const uint64_t *words, uint64_t *copy)
{
	const __m256i flags = _mm256_set1_epi64x(PE_SLOT_ARRIVING | PE_SLOT_MOVED);
	__m256i seen = _mm256_setzero_si256();

#pragma GCC unroll 8
	for (unsigned i = 0; i < PE_BIG_SLOTS; i += 4) {
		// SLOT: as in the AVX2 kernel.
		__m256i four = _mm256_loadu_si256((const __m256i *)(const void *)&words[i]);

		_mm256_storeu_si256((__m256i *)(void *)&copy[i], four);
		seen = _mm256_or_si256(seen, four);
	}
	return !_mm256_testz_si256(seen, flags);
}

// Of the slots in the mask, those beside a move.
__attribute__((noinline)) static uint32_t flagged_of(const uint64_t *copy, uint32_t mask)
{
	const uint64_t flags = PE_SLOT_ARRIVING | PE_SLOT_MOVED;
	uint32_t flagged = 0;

	for (; mask; mask &= mask - 1)
		flagged |= copy[__builtin_ctz(mask)] & flags ? mask & -mask : 0;
	return flagged;
}

// The same of those that the walk's sieve lets through. words: of the chunk, or what was copied of
// them; of a cell that is whole inside, they are taken as they are. Beside a move the record is
// what counts.
__attribute__((noinline)) static void emit_sieved(struct pe_walker *w,
	const struct pe_walk_cell *cell, const struct pe_chunk *chunk, uint32_t ref, uint32_t mask,
	const uint64_t *words, uint64_t *copy)
{
	const struct pe_sieve *sieve = w->walk->sieve;
	const struct pe_sieve_cell *sieved = &sieve->cell[cell - w->batch];
	const uint32_t *handles = pe_chunk_handles((struct pe_chunk *)chunk, ref);
	struct pe_hit *hit = &w->hits[w->hit_count];
	uint32_t sure = mask, taken = mask;
	bool beside;

	if (sieved->side == PE_CELL_CROSSING)
		taken = sieve->chunk(sieve, sieved, words, mask, copy, &sure, &beside);
	else
		beside = copy_words(words, copy);
	if (__builtin_expect(beside, 0)) {
		uint32_t flagged = flagged_of(copy, mask);

		taken |= flagged;
		sure &= ~flagged;
		w->seen_flags |= flagged ? PE_SLOT_ARRIVING : 0;
	}
	w->hit_count += (unsigned)__builtin_popcount(taken);
	for (; taken; taken &= taken - 1, hit++) {
		unsigned i = (unsigned)__builtin_ctz(taken);

		hit->key = cell->key;
		hit->word = copy[i];
		hit->handle = handles[i];
		hit->sure = sure >> i & 1;
	}
}

// What tells the scan of this cell from that of others.
static void set_scan(struct pe_walker *w, const struct pe_walk_cell *cell)
{
	const int64_t at[3] = {PE_KEY_X(cell->key), PE_KEY_Y(cell->key), PE_KEY_Z(cell->key)};
	struct pe_scan *scan = &w->scan;

	scan->sphere = !cell->whole;
	scan->box = false;
	for (unsigned i = 0; i < 3; i++) {
		int64_t offset = i < 2 ? PE_KEY_X_OFFSET : PE_KEY_Z_OFFSET;
		int64_t origin = (at[i] - offset) * CELL_ACROSS;

		scan->base[i] = origin * (i < 2 ? 1 : 1 << scan->z_shift) - w->centre[i];
		if (!scan->exact)
			scan->base_real[i] = (double)scan->base[i];
		if (w->need_box) {
			int64_t lo = w->lo[i] - origin, hi = w->hi[i] - origin;

			scan->box |= lo > 0 || hi < CELL_ACROSS - 1;
			scan->lo[i] = (uint32_t)(lo < 0 ? 0 : lo);
			scan->hi[i] = (uint32_t)(hi < CELL_ACROSS ? hi : CELL_ACROSS - 1);
		}
	}
}

// The chunk to begin with: the newest when the cell was found, or where the walk stopped within the
// leaf.
static uint32_t first_chunk(const struct pe_walker *w, const struct pe_walk_cell *cell, bool middle)
{
	const struct pe_grid *grid = w->grid;

	if (middle && w->resume) {
		// It is this leaf's chunk still, and leads on, in the read-side section in which it
		// was met.
		const struct pe_chunk *chunk = pe_chunk_at(grid, w->resume - 1);

		if (atomic_load_explicit(&chunk->leaf, memory_order_relaxed) == cell->index &&
			chunk->sequence == w->sequence)
			return w->resume - 1;
	}
	return cell->head;
}

// What tells the finding in this cell from that in others.
ALWAYS_INLINE void set_find(
	const struct pe_walker *w, const struct pe_walk_cell *cell, struct pe_find *find)
{
	const int64_t x = ((int64_t)PE_KEY_X(cell->key) - PE_KEY_X_OFFSET) * CELL_ACROSS;
	const int64_t y = ((int64_t)PE_KEY_Y(cell->key) - PE_KEY_X_OFFSET) * CELL_ACROSS;
	const int64_t z = ((int64_t)PE_KEY_Z(cell->key) - PE_KEY_Z_OFFSET) * CELL_ACROSS;

	find->base[0] = (int32_t)(x - w->centre[0]);
	find->base[1] = (int32_t)(y - w->centre[1]);
	find->base[2] = (int32_t)(z * ((int64_t)1 << find->z_shift) - w->centre[2]);
	find->limit = cell->whole ? INFINITY : w->find_limit;
}

// Newer than the chunk that the walk goes on with.
static inline bool behind_cursor(const struct pe_walker *w, const struct pe_chunk *chunk)
{
	return (int32_t)(chunk->sequence - w->sequence) > 0;
}

// The slots of a chunk that a walk which goes on within its leaf has still to see. Who stays in a
// cell stays in its slot, so that nobody comes twice or is left out, whoever else comes or goes.
static inline uint32_t not_passed(const struct pe_walker *w, const struct pe_chunk *chunk)
{
	return chunk->sequence == w->sequence ? (uint32_t)(~0ull << w->slots_passed) : ~0u;
}

// What a scan is of: SCAN tests a region. FIND: nothing but handles is wanted, and the sphere is
// all that is tested. COPY: the sieve has all sides of the region in it, so that nothing else is to
// be tested.
enum way { SCAN, FIND, COPY };

// Scans a leaf's chunks from where the cursor says. false: a bound was reached.
ALWAYS_INLINE bool scan_leaf(
	struct pe_walker *w, const struct pe_walk_cell *cell, const enum way way)
{
	const struct pe_grid *grid = w->grid;
	struct pe_walk *walk = w->walk;
	bool middle = w->middle && pe_walk_path(cell->key) == w->code;
	struct pe_find find = {.z_shift = w->scan.z_shift};
	uint64_t copy[PE_BIG_SLOTS];
	uint32_t ref;

	if (walk->cells >= walk->cells_max) {
		pe_walk_stop_at(w, pe_walk_path(cell->key), middle, w->sequence);
		return false;
	}
	walk->cells++;
	if (way == FIND)
		set_find(w, cell, &find);
	else if (way == SCAN)
		set_scan(w, cell);
	ref = first_chunk(w, cell, middle);
	while (ref != PE_NONE) {
		const struct pe_chunk *chunk = pe_chunk_at(grid, ref);
		// CHUNK: acquire
		uint32_t next = atomic_load_explicit(&chunk->next, memory_order_acquire), valid,
			 mask;
		const _Atomic uint64_t *words;
		const uint64_t *met = copy;

		if (middle && behind_cursor(w, chunk)) {
			walk->passed++;
			ref = next;
			continue;
		}
		if (next != PE_NONE)
			pe_prefetch(pe_chunk_at(grid, next));
		if (w->hit_count + PE_BIG_SLOTS > w->hit_max ||
			walk->candidates >= walk->candidates_max || w->empties_met >= w->met_max) {
			pe_walk_stop_at(w, pe_walk_path(cell->key), true, chunk->sequence);
			walk->resume = ref + 1;
			return false;
		}
		// VALID: acquire: word and handle were written before the bit.
		valid = atomic_load_explicit(&chunk->valid, memory_order_acquire);
		if (middle)
			valid &= not_passed(w, chunk);
		if (!valid) {
			w->empties_met++;
			ref = next;
			continue;
		}
		PE_STEP();
		words = (const _Atomic uint64_t *)((const char *)chunk + PE_WORD_OFFSET);
		if (way == FIND) {
			mask = grid->find(&find, words,
				pe_chunk_handles((struct pe_chunk *)chunk, ref),
				ref & PE_SMALL ? PE_SMALL_SLOTS : PE_BIG_SLOTS, valid,
				&w->handles[w->hit_count]);
			w->hit_count += mask & ~PE_FIND_FLAGGED;
			if (__builtin_expect(mask & PE_FIND_FLAGGED, 0))
				w->seen_flags |= PE_SLOT_ARRIVING;
		} else if (way == COPY && !(ref & PE_SMALL)) {
			// What is smaller than what the sieve reads is copied first.
			met = (const uint64_t *)(const void *)words;
			mask = valid;
		} else {
			mask = grid->scan(&w->scan, words,
				ref & PE_SMALL ? PE_SMALL_SLOTS : PE_BIG_SLOTS, valid, copy);
		}
		walk->candidates += (uint32_t)__builtin_popcount(valid);
		if (way != FIND && mask) {
			if (way == COPY || __builtin_expect(walk->sieve != NULL, 0))
				emit_sieved(w, cell, chunk, ref, mask, met, copy);
			else
				emit(w, cell->key, chunk, ref, mask, copy);
		}
#ifndef __SANITIZE_THREAD__
		// MOVED: acquire: the kernel's plain loads come before the caller reads records.
		atomic_thread_fence(memory_order_acquire);
#endif
		ref = next;
	}
	return true;
}

// All of its lines: one that is left out is waited for in the scan, and costs as much as the others
// together.
static void fetch_chunk(const struct pe_walker *w, uint32_t ref)
{
	const void *chunk = pe_chunk_at(w->grid, ref);

	if (ref & PE_SMALL)
		pe_prefetch_lines(chunk, sizeof(struct pe_small) / 64);
	else
		pe_prefetch_lines(chunk, sizeof(struct pe_big) / 64);
}

void pe_walker_fetch_leaves(struct pe_walker *w)
{
	for (; w->looked < w->batch_count; w->looked++) {
		struct pe_walk_cell *cell = &w->batch[w->looked];

		// HASH: acquire
		cell->index = atomic_load_explicit(cell->bucket, memory_order_acquire);
		if (cell->index != PE_NONE)
			pe_prefetch(&w->grid->leaves[cell->index]);
	}
}

// The cell's own leaf, at which most buckets begin; and its first chunk is asked for.
static void find_leaf(struct pe_walker *w)
{
	struct pe_walk_cell *cell = &w->batch[w->found++];

	if (cell->index != PE_NONE && w->grid->leaves[cell->index].entry.key != cell->key)
		cell->index = pe_table_find(cell->bucket, w->grid->leaves, cell->key);
	if (cell->index == PE_NONE)
		return;
	// CHUNK: acquire
	cell->head = atomic_load_explicit(&w->grid->leaves[cell->index].head, memory_order_acquire);
	if (cell->head != PE_NONE)
		fetch_chunk(w, cell->head);
}

void pe_walker_fetch_chunks(struct pe_walker *w)
{
	while (w->found < w->looked && w->found < FETCHED)
		find_leaf(w);
}

ALWAYS_INLINE void scan_cells(struct pe_walker *w, struct pe_walker *later, const enum way way)
{
	pe_walker_fetch_leaves(w);
	for (unsigned i = 0; i < w->batch_count; i++) {
		while (w->found < w->batch_count && w->found <= i + AHEAD)
			find_leaf(w);
		// One a cell: a scan is the work that there is while a chunk's lines come.
		if (later && later->found < later->looked && later->found < FETCHED)
			find_leaf(later);
		if (w->batch[i].index != PE_NONE && !scan_leaf(w, &w->batch[i], way))
			return;
	}
}

__attribute__((noinline)) static void copy_batch(struct pe_walker *w, struct pe_walker *later)
{
	w->scan.box = w->scan.sphere = false;
	scan_cells(w, later, COPY);
}

static void scan_batch(struct pe_walker *w, struct pe_walker *later)
{
#ifndef __SANITIZE_THREAD__ // which takes a vector load for a race with the owner's atomic store
	if (__builtin_expect(w->walk->sieve && !w->need_box, 0)) {
		copy_batch(w, later);
		return;
	}
#endif
	scan_cells(w, later, SCAN);
}

// Handles alone, of a sphere whose box need not be tested.
static void find_batch(struct pe_walker *w, struct pe_walker *later)
{
	scan_cells(w, later, FIND);
}

// Those of hits, for who reads them there.
static void copy_handles(struct pe_walker *w)
{
	for (unsigned i = 0; i < w->hit_count; i++)
		w->handles[i] = w->hits[i].handle;
}

unsigned pe_walker_scan(struct pe_walker *w, struct pe_walker *later, struct pe_hit *hits,
	uint32_t *handles, unsigned hit_max)
{
	struct pe_walk *walk = w->walk;
	const bool find = walk->handles && w->sphere && w->scan.exact && !w->need_box;

	assert(hit_max >= 2 * PE_BIG_SLOTS);
	w->hits = hits;
	w->handles = handles;
	w->hit_max = hit_max;
	w->hit_count = 0;
	if (find)
		w->find_limit = (float)(walk->region.square * PE_FIND_MARGIN);
	for (;;) {
		if (find)
			find_batch(w, later);
		else
			scan_batch(w, later);
		if (w->stopped || w->exhausted)
			break;
		w->batch_count = w->looked = w->found = 0;
		pe_walk_gather(w);
	}
	if (later)
		pe_walker_fetch_chunks(later);
	if (!find && handles)
		copy_handles(w);
	if (w->cut && !w->stopped)
		pe_walk_stop_at(w, w->cut_code, false, 0);
	if (w->seen_flags & (PE_SLOT_ARRIVING | PE_SLOT_MOVED))
		walk->flagged = true;
	if (!w->stopped)
		walk->cursor.word[0] = walk->cursor.word[1] = ~0ull;
	return w->hit_count;
}

// Has a walk that stands at `end` come to the leaf at this path, perhaps to nothing in it yet?
static bool has_come_to(const struct pe_cursor *end, uint64_t path)
{
	return end->word[0] == ~0ull || path <= pe_walk_cursor_path(end);
}

// Has it not come to this chunk of such a leaf?
static bool is_past(const struct pe_cursor *end, uint64_t path, uint32_t sequence)
{
	return end->word[0] != ~0ull && path == pe_walk_cursor_path(end) &&
		(!(end->word[0] & PE_WALK_MIDDLE) ||
			(int32_t)(sequence - (uint32_t)end->word[1]) <= 0);
}

// Behind the entity's slot in the leaf. False: it is not met there, or it is moving; or, with
// `stopped`, nowhere.
static bool seek_leaf(struct pe_walker *w, const struct pe_walk_cell *cell, uint32_t handle,
	const struct pe_cursor *end)
{
	uint64_t path = pe_walk_path(cell->key);
	bool middle = w->middle && path == w->code;

	for (uint32_t ref = first_chunk(w, cell, middle); ref != PE_NONE;) {
		struct pe_chunk *chunk = pe_chunk_at(w->grid, ref);
		const uint32_t *handles = pe_chunk_handles(chunk, ref);
		// VALID: acquire, as in scan_leaf
		uint32_t valid = atomic_load_explicit(&chunk->valid, memory_order_acquire);

		w->stopped = is_past(end, path, chunk->sequence);
		if (w->stopped)
			return false;
		if (middle)
			valid &= behind_cursor(w, chunk) ? 0 : not_passed(w, chunk);
		for (; valid; valid &= valid - 1) {
			unsigned slot = (unsigned)__builtin_ctz(valid);
			uint64_t word;

			if (handles[slot] != handle)
				continue;
			// Where it crosses there are two of it, and which one was told is not
			// known.
			w->stopped = true;
			word = atomic_load_explicit(
				pe_slot_word(w->grid, ref | slot), memory_order_relaxed);
			if (word & (PE_SLOT_MOVED | PE_SLOT_ARRIVING))
				return false;
			pe_walk_stop_at(w, path, true, chunk->sequence);
			w->walk->cursor.word[0] &= ~(PE_WALK_PASSED_MASK << PE_WALK_PASSED_SHIFT);
			w->walk->cursor.word[0] |= (slot + 1ull) << PE_WALK_PASSED_SHIFT;
			return true;
		}
		// CHUNK: acquire
		ref = atomic_load_explicit(&chunk->next, memory_order_acquire);
	}
	return false;
}

bool pe_grid_walk_behind(const struct pe_grid *grid, struct pe_walk *walk, uint32_t handle,
	const struct pe_cursor *end)
{
	struct pe_walker w;

	pe_walker_open(&w, grid, walk);
	for (;;) {
		pe_walker_fetch_leaves(&w);
		for (unsigned i = 0; i < w.batch_count; i++) {
			while (w.found < w.batch_count && w.found <= i + AHEAD)
				find_leaf(&w);
			if (!has_come_to(end, pe_walk_path(w.batch[i].key)))
				return false;
			if (w.batch[i].index != PE_NONE && seek_leaf(&w, &w.batch[i], handle, end))
				return true;
			if (w.stopped)
				return false;
		}
		if (w.exhausted || w.cut)
			return false;
		w.batch_count = w.looked = w.found = 0;
		pe_walk_gather(&w);
	}
}

unsigned pe_grid_walk(
	const struct pe_grid *grid, struct pe_walk *walk, struct pe_hit *hits, unsigned hit_max)
{
	struct pe_walker w;

	assert(!walk->handles);
	pe_walker_open(&w, grid, walk);
	return pe_walker_scan(&w, NULL, hits, NULL, hit_max);
}
