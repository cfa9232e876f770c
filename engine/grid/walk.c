// A reader's way through a region: from the lowest level at which few nodes cover it down by the
// bits of their occupancy, leaf after leaf in the order of their paths. Leaves are gathered a batch
// at a time, so that the lines of all of them are on their way while the first is scanned.
#include "grid/grid_internal.h"
#include "grid/scan.h"

#include <string.h>

#define CODE_BITS   55 // of a leaf's path: one of the root, six a level
#define CODE_MASK   ((1ull << CODE_BITS) - 1)
#define MIDDLE      (1ull << 56) // in a cursor: goes on within the leaf
#define BATCH       32
#define AHEAD       4 // leaves whose chunks are fetched ahead of the scan
#define CELL_ACROSS (1 << 20)

struct frame {
	uint32_t at[3]; // the node, in cells of its level
	uint64_t path;  // its code
	uint64_t left;  // children still to visit
};

struct found {
	uint64_t code, key;
	uint32_t at[3];
	uint32_t index; // of the leaf, PE_NONE: none
	const _Atomic uint32_t *bucket;
};

struct walker {
	const struct pe_grid *grid;
	struct pe_walk *walk;
	struct pe_hit *hits;
	unsigned hit_count, hit_max;
	unsigned space, frame;
	int64_t lo[3], hi[3];
	uint32_t cell_lo[3], cell_hi[3];
	bool sphere, need_box, exact;
	unsigned z_shift;
	int64_t centre[3]; // z in units across
	int64_t limit;
	double square, outside,
		inside; // outside and inside: squared distances beyond which a whole cell is so
	// Where to go on.
	uint64_t code;
	bool middle;
	uint32_t sequence;
	uint32_t resume; // chunk's reference + 1, or 0
	// Nodes and empty chunks met, which are not the caller's to count: bounded for the case
	// that there are many.
	uint64_t nodes_met, empties_met, met_max;
	bool stopped;
	uint64_t seen_flags;
	struct frame stack[PE_LEVELS + 1];
	struct found batch[BATCH];
	unsigned batch_count, batch_max;
};

bool pe_walk_ended(const struct pe_walk *walk)
{
	return walk->cursor.word[0] == ~0ull && walk->cursor.word[1] == ~0ull;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static uint64_t path_of(unsigned level, uint32_t x, uint32_t y, uint32_t z)
{
	uint64_t code;
	unsigned at = PE_LEVELS;

	// Coordinates are of `level`; shifts are relative to it.
	code = z >> (pe_level_up(at) - pe_level_up(level));
	while (at-- > level) {
		unsigned across = pe_level_across(at) - pe_level_across(level);
		unsigned up = pe_level_up(at) - pe_level_up(level);

		code = code << 6 | pe_child_number(at, x >> across, y >> across, z >> up);
	}
	return code;
}

// false: nothing can be inside.
static bool prepare(struct walker *w)
{
	const struct pe_region *r = &w->walk->region;
	static const int64_t cells[3] = {
		2 * PE_KEY_X_OFFSET, 2 * PE_KEY_X_OFFSET, 2 * PE_KEY_Z_OFFSET};

	w->space = r->space & 0xFF;
	w->frame = r->frame & 7;
	w->z_shift = r->z_shift < 10 ? r->z_shift : 10;
	for (unsigned i = 0; i < 3; i++) {
		int64_t half = cells[i] / 2 * CELL_ACROSS;

		if (r->lo[i] > r->hi[i] || r->lo[i] >= half || r->hi[i] < -half)
			return false;
		w->lo[i] = clamp(r->lo[i], -half, half - 1);
		w->hi[i] = clamp(r->hi[i], -half, half - 1);
		w->cell_lo[i] = (uint32_t)((w->lo[i] + half) >> PE_CELL_BITS);
		w->cell_hi[i] = (uint32_t)((w->hi[i] + half) >> PE_CELL_BITS);
	}
	w->sphere = r->test == PE_REGION_SPHERE;
	w->need_box = true;
	if (w->sphere) {
		// Beyond 2^50 units no cell is near; the bound keeps differences within 64 bits.
		for (unsigned i = 0; i < 3; i++)
			w->centre[i] = clamp(r->centre[i], -(1ll << 50), 1ll << 50);
		w->centre[2] *= 1 << w->z_shift;
		if (!(r->square >= 0))
			return false;
		w->square = r->square;
		// Generous by more than the rounding of the sums.
		w->outside = r->square * (1 + 1e-9) + 1;
		w->inside = r->square * (1 - 1e-9) - 1;
		// 1.8e9 units, and the longest cell, 2^28, still fit 31 bits; so does the sum of
		// squares 63.
		w->exact = r->square <= 1.8e9 * 1.8e9 && w->z_shift <= 8;
		w->limit = w->exact ? (int64_t)r->square : 0;
		if (w->exact) {
			int64_t reach = (int64_t)__builtin_sqrt(r->square) + 1,
				reach_z = (reach >> w->z_shift) + 1;
			const int64_t *at = w->centre, up = at[2] / (1 << w->z_shift);

			// The usual box is the sphere's own, and needs no test of its own.
			w->need_box = r->lo[0] > at[0] - reach || r->hi[0] < at[0] + reach ||
				r->lo[1] > at[1] - reach || r->hi[1] < at[1] + reach ||
				r->lo[2] > up - reach_z || r->hi[2] < up + reach_z;
		}
	}
	return true;
}

// Squares of the nearest and the furthest distance from the centre of a cell at `level`, in
// doubles.
static void cell_distances(const struct walker *w, unsigned level, const uint32_t at[3],
	double *nearest, double *furthest)
{
	double near = 0, far = 0;

	for (unsigned i = 0; i < 3; i++) {
		unsigned bits = i < 2 ? pe_level_across(level) : pe_level_up(level);
		int64_t offset = i < 2 ? PE_KEY_X_OFFSET : PE_KEY_Z_OFFSET;
		int64_t scale = i < 2 ? 1 : 1 << w->z_shift;
		int64_t lo = (((int64_t)at[i] << bits) - offset) * (1 << PE_CELL_BITS) * scale -
			w->centre[i];
		int64_t hi = lo + ((((int64_t)1 << bits) << PE_CELL_BITS) - 1) * scale;
		double a = lo > 0 ? (double)lo : hi < 0 ? (double)hi : 0;
		double b = -lo > hi ? (double)lo : (double)hi;

		near += a * a;
		far += b * b;
	}
	*nearest = near;
	*furthest = far;
}

static uint64_t bits_between(uint32_t lo, uint32_t hi)
{
	return (2ull << hi) - (1ull << lo);
}

// Children of a node that the region's box meets.
static uint64_t box_mask(const struct walker *w, unsigned level, const uint32_t at[3])
{
	unsigned across = pe_level_across(level - 1), up = pe_level_up(level - 1);
	unsigned bits = pe_level_across(level) - across, bits_z = pe_level_up(level) - up;
	uint32_t lo[3], hi[3];

	for (unsigned i = 0; i < 3; i++) {
		unsigned b = i < 2 ? bits : bits_z, shift = i < 2 ? across : up;
		uint32_t base = at[i] << b, last = base + (1u << b) - 1;
		uint32_t l = w->cell_lo[i] >> shift, h = w->cell_hi[i] >> shift;

		if (l > last || h < base)
			return 0;
		lo[i] = l > base ? l - base : 0;
		hi[i] = h < last ? h - base : last - base;
	}
	if (bits == 3)
		return bits_between(lo[0], hi[0]) *
			(0x0101010101010101ull & bits_between(8 * lo[1], 8 * hi[1] + 7));
	return bits_between(lo[0], hi[0]) * (0x1111ull & bits_between(4 * lo[1], 4 * hi[1] + 3)) *
		(0x0001000100010001ull & bits_between(16 * lo[2], 16 * hi[2] + 15));
}

static void stop_at(struct walker *w, uint64_t code, bool middle, uint32_t sequence)
{
	w->stopped = true;
	w->walk->cursor.word[0] = (code & CODE_MASK) << 1 | 1 | (middle ? MIDDLE : 0);
	w->walk->cursor.word[1] = middle ? sequence : 0;
}

static void emit(struct walker *w, uint64_t key, const struct pe_chunk *chunk, uint32_t ref,
	uint32_t mask, const uint64_t *copy)
{
	const uint32_t *handles = pe_chunk_handles((struct pe_chunk *)chunk, ref);
	struct pe_hit *hit = &w->hits[w->hit_count];

	w->hit_count += (unsigned)__builtin_popcount(mask);
	for (; mask; mask &= mask - 1, hit++) {
		unsigned i = (unsigned)__builtin_ctz(mask);

		*hit = (struct pe_hit){.key = key, .word = copy[i], .handle = handles[i]};
		w->seen_flags |= copy[i];
	}
}

// Scans a leaf's chunks from where the cursor says. false: a bound was reached.
static bool scan_leaf(struct walker *w, const struct found *f)
{
	const struct pe_grid *grid = w->grid;
	struct pe_walk *walk = w->walk;
	struct pe_scan scan = {
		.z_shift = w->z_shift, .exact = w->exact, .sphere = w->sphere, .box = false};
	bool middle = w->middle && f->code == w->code;
	uint64_t copy[PE_BIG_SLOTS];
	uint32_t ref;

	if (walk->cells >= walk->cells_max) {
		stop_at(w, f->code, middle, w->sequence);
		return false;
	}
	walk->cells++;
	for (unsigned i = 0; i < 3; i++) {
		int64_t offset = i < 2 ? PE_KEY_X_OFFSET : PE_KEY_Z_OFFSET;
		int64_t origin = ((int64_t)f->at[i] - offset) * CELL_ACROSS, lo = w->lo[i] - origin,
			hi = w->hi[i] - origin;

		scan.box |= lo > 0 || hi < CELL_ACROSS - 1;
		scan.lo[i] = (uint32_t)clamp(lo, 0, CELL_ACROSS - 1);
		scan.hi[i] = (uint32_t)clamp(hi, 0, CELL_ACROSS - 1);
		scan.base[i] = origin * (i < 2 ? 1 : 1 << w->z_shift) - w->centre[i];
		scan.base_real[i] = (double)scan.base[i];
	}
	scan.box &= w->need_box;
	if (w->sphere) {
		double nearest, furthest;

		cell_distances(w, 0, f->at, &nearest, &furthest);
		scan.sphere = !(furthest < w->inside);
		scan.limit = w->limit;
		scan.square = w->square;
	}
	ref = atomic_load_explicit(&grid->leaves[f->index].head, memory_order_acquire);
	if (middle && w->resume) {
		// It is this leaf's chunk still, and leads on, in the read-side section in which it was met.
		const struct pe_chunk *chunk = pe_chunk_at(grid, w->resume - 1);

		if (atomic_load_explicit(&chunk->leaf, memory_order_relaxed) == f->index &&
			chunk->sequence == w->sequence)
			ref = w->resume - 1;
	}
	while (ref != PE_NONE) {
		const struct pe_chunk *chunk = pe_chunk_at(grid, ref);
		uint32_t next = atomic_load_explicit(&chunk->next, memory_order_acquire), valid,
			 mask;

		if (middle && (int32_t)(chunk->sequence - w->sequence) > 0) {
			walk->passed++;
			ref = next;
			continue;
		}
		if (next != PE_NONE)
			__builtin_prefetch(pe_chunk_at(grid, next));
		if (w->hit_count + PE_BIG_SLOTS > w->hit_max ||
			walk->candidates >= walk->candidates_max || w->empties_met >= w->met_max) {
			stop_at(w, f->code, true, chunk->sequence);
			walk->resume = ref + 1;
			return false;
		}
		// VALID: acquire: word and handle were written before the bit.
		valid = atomic_load_explicit(&chunk->valid, memory_order_acquire);
		if (!valid) {
			w->empties_met++;
			ref = next;
			continue;
		}
		PE_STEP();
		mask = grid->scan(&scan,
			(const _Atomic uint64_t *)((const char *)chunk + PE_WORD_OFFSET),
			ref & PE_SMALL ? PE_SMALL_SLOTS : PE_BIG_SLOTS, valid, copy);
#ifndef __SANITIZE_THREAD__
		// MOVED: acquire: the kernel's plain loads come before the caller reads records.
		atomic_thread_fence(memory_order_acquire);
#endif
		walk->candidates += (uint32_t)__builtin_popcount(valid);
		if (mask)
			emit(w, f->key, chunk, ref, mask, copy);
		ref = next;
	}
	return true;
}

static void fetch_chunk(const struct walker *w, const struct found *f)
{
	uint32_t ref;
	const char *chunk;

	if (f->index == PE_NONE)
		return;
	ref = atomic_load_explicit(&w->grid->leaves[f->index].head, memory_order_acquire);
	if (ref == PE_NONE)
		return;
	chunk = (const char *)pe_chunk_at(w->grid, ref);
	__builtin_prefetch(chunk);
	__builtin_prefetch(chunk + 64);
	if (!(ref & PE_SMALL)) {
		__builtin_prefetch(chunk + 128);
		__builtin_prefetch(chunk + 192);
		__builtin_prefetch(chunk + 320);
	}
}

// The batch in stages: heads of the chains, leaves, chunks ahead, scans.
static void flush(struct walker *w)
{
	const struct pe_grid *grid = w->grid;
	unsigned count = w->batch_count;

	w->batch_count = 0;
	for (unsigned i = 0; i < count; i++) {
		w->batch[i].index = atomic_load_explicit(w->batch[i].bucket, memory_order_acquire);
		if (w->batch[i].index != PE_NONE)
			__builtin_prefetch(&grid->leaves[w->batch[i].index]);
	}
	for (unsigned i = 0; i < count + AHEAD; i++) {
		if (i < count) {
			struct found *f = &w->batch[i];

			f->index = pe_table_find(f->bucket, grid->leaves, f->key);
			fetch_chunk(w, f);
		}
		if (i >= AHEAD && w->batch[i - AHEAD].index != PE_NONE &&
			!scan_leaf(w, &w->batch[i - AHEAD]))
			return;
	}
}

static void add_leaf(
	struct walker *w, uint64_t siblings, unsigned child, const uint32_t at[3], uint64_t code)
{
	struct found *f = &w->batch[w->batch_count++];

	f->code = code;
	f->key = pe_key_make(w->space, w->frame, at[0], at[1], at[2]);
	memcpy(f->at, at, sizeof f->at);
	f->bucket = pe_bucket(&w->grid->leaf_table, siblings, child);
	__builtin_prefetch((const void *)f->bucket);
	if (w->batch_count == w->batch_max)
		flush(w);
}

// Finds the node and the children of it that are to be visited. false: none.
static bool enter(struct walker *w, unsigned level, struct frame *frame)
{
	uint64_t key, from = w->code >> 6 * level;
	uint32_t index;

	if (frame->path < from)
		return false;
	key = pe_node_key(w->space, w->frame, level, frame->at[0], frame->at[1], frame->at[2]);
	w->nodes_met++;
	index = pe_table_find(
		pe_node_bucket(w->grid,
			pe_key_make(w->space, w->frame, frame->at[0] << pe_level_across(level),
				frame->at[1] << pe_level_across(level),
				frame->at[2] << pe_level_up(level)),
			level),
		w->grid->nodes, key);
	if (index == PE_NONE)
		return false;
	// NODE: acquire: a set bit leads to what was published under it. A bit that is not seen yet
	// belongs to a child that came after this walk began.
	frame->left = atomic_load_explicit(&w->grid->nodes[index].occupancy, memory_order_acquire) &
		box_mask(w, level, frame->at);
	if (frame->path == from)
		frame->left &= ~0ull << (w->code >> 6 * (level - 1) & 63);
	return frame->left != 0;
}

static uint64_t leaf_siblings(const struct walker *w, const uint32_t at[3])
{
	return pe_siblings_hash(w->grid, pe_node_key(w->space, w->frame, 1, at[0], at[1], at[2]));
}

// Goes through a start node and what is below it.
static void descend(struct walker *w, unsigned top)
{
	unsigned level = top;
	uint64_t siblings = 0;

	if (!enter(w, level, &w->stack[level]))
		return;
	if (level == 1)
		siblings = leaf_siblings(w, w->stack[1].at);
	for (;;) {
		struct frame *frame = &w->stack[level], *child;
		unsigned number, bits = level <= 2 ? 3 : 2, bits_z = level <= 2 ? 0 : 2;
		struct frame leaf;

		if (!frame->left) {
			if (level++ == top)
				return;
			continue;
		}
		number = (unsigned)__builtin_ctzll(frame->left);
		frame->left &= frame->left - 1;
		child = level > 1 ? &w->stack[level - 1] : &leaf;
		child->at[0] = frame->at[0] << bits | (number & ((1u << bits) - 1));
		child->at[1] = frame->at[1] << bits | (number >> bits & ((1u << bits) - 1));
		child->at[2] = frame->at[2] << bits_z | (bits_z ? number >> 4 : 0);
		child->path = frame->path << 6 | number;
		if (w->sphere) {
			double nearest, furthest;

			cell_distances(w, level - 1, child->at, &nearest, &furthest);
			if (nearest > w->outside)
				continue;
		}
		if (level == 1) {
			add_leaf(w, siblings, number, child->at, child->path);
			if (w->stopped)
				return;
			continue;
		}
		if (w->nodes_met >= w->met_max) {
			flush(w);
			if (!w->stopped)
				stop_at(w, child->path << 6 * (level - 1), false, 0);
			return;
		}
		if (enter(w, level - 1, child)) {
			level--;
			if (level == 1)
				siblings = leaf_siblings(w, child->at);
		}
	}
}

// The lowest level at which the region's box spans at most two nodes an axis, and these nodes in
// order.
static unsigned start_nodes(const struct walker *w, struct frame nodes[8], unsigned *level_out)
{
	unsigned level = 1, count = 0;
	uint32_t lo[3], hi[3];

	for (;; level++) {
		bool small = true;

		for (unsigned i = 0; i < 3; i++) {
			unsigned shift = i < 2 ? pe_level_across(level) : pe_level_up(level);

			lo[i] = w->cell_lo[i] >> shift;
			hi[i] = w->cell_hi[i] >> shift;
			small &= hi[i] - lo[i] <= 1;
		}
		if (small || level == PE_LEVELS)
			break;
	}
	for (uint32_t z = lo[2]; z <= hi[2]; z++)
		for (uint32_t y = lo[1]; y <= hi[1]; y++)
			for (uint32_t x = lo[0]; x <= hi[0]; x++) {
				struct frame frame = {
					.at = {x, y, z}, .path = path_of(level, x, y, z)};
				unsigned i = count++;

				for (; i > 0 && nodes[i - 1].path > frame.path; i--)
					nodes[i] = nodes[i - 1];
				nodes[i] = frame;
			}
	*level_out = level;
	return count;
}

unsigned pe_grid_walk(
	const struct pe_grid *grid, struct pe_walk *walk, struct pe_hit *hits, unsigned hit_max)
{
	struct walker w;
	struct frame nodes[8];
	unsigned level, count;

	assert(hit_max >= 2 * PE_BIG_SLOTS);
	memset(&w, 0, offsetof(struct walker, stack));
	w.batch_count = 0;
	w.batch_max = BATCH;
	// No further ahead than the bound lets us go.
	if ((uint64_t)walk->cells + BATCH > walk->cells_max)
		w.batch_max = walk->cells < walk->cells_max ? walk->cells_max - walk->cells : 1;
	w.grid = grid;
	w.walk = walk;
	w.hits = hits;
	w.hit_max = hit_max;
	w.met_max = 64 + 16 * (uint64_t)walk->cells_max;
	if (pe_walk_ended(walk) || !prepare(&w)) {
		walk->cursor.word[0] = walk->cursor.word[1] = ~0ull;
		return 0;
	}
	w.code = walk->cursor.word[0] >> 1 & CODE_MASK;
	w.middle = walk->cursor.word[0] & MIDDLE;
	w.sequence = (uint32_t)walk->cursor.word[1];
	w.resume = walk->resume;
	walk->resume = 0;
	count = start_nodes(&w, nodes, &level);
	for (unsigned i = 0; i < count && !w.stopped; i++) {
		w.stack[level] = nodes[i];
		descend(&w, level);
	}
	if (!w.stopped && w.batch_count)
		flush(&w);
	if (w.seen_flags & (PE_SLOT_ARRIVING | PE_SLOT_MOVED))
		walk->flagged = true;
	if (!w.stopped)
		walk->cursor.word[0] = walk->cursor.word[1] = ~0ull;
	return w.hit_count;
}
