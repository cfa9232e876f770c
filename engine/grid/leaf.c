// Leaves and their chains of chunks: where an entity's slot is claimed, and where its claim is
// given back.
#include "grid/grid_internal.h"

// From this many entities on a leaf's next chunk is a big one: up to here a big one would stay half
// empty, beyond it the chain would grow long.
#define PE_CROWD 48

// A leaf's first chunk is a big one while each cell that may still come can have a small one,
// because scans of one big chunk are fast; then, and where a leaf has grown a little beyond its big
// one, chunks are small, which wastes least.
static uint32_t take_chunk(struct pe_grid *grid, unsigned worker, uint32_t claims)
{
	const struct pe_pool *leaves = &grid->pool[PE_KIND_LEAF];
	uint32_t used = pe_pool_in_use(leaves), ref;
	// A 16th more for what lies in the workers' caches and in slabs that are cut already.
	uint64_t left = leaves->capacity > used ? leaves->capacity - used : 0;
	uint64_t wanted = left + left / 16 + 64;
	bool small = claims ?
		claims < PE_CROWD :
		pe_slab_free_bytes(grid) < sizeof(struct pe_big) + wanted * sizeof(struct pe_small);

	ref = pe_slab_take(grid, worker, small);
	return ref != PE_NONE ? ref : pe_slab_take(grid, worker, !small);
}

// A chunk of the caller's own, with the entity in its first slot; not published yet. Until
// open_chunk nobody can claim a slot of it: a chunk that was another leaf's may still stand in that
// one's hint, and this one may yet go back to the pool without a grace period, because another
// worker published the leaf first.
static void fill_chunk(struct pe_grid *grid, uint32_t ref, uint32_t leaf, uint64_t key,
	uint64_t word, uint32_t handle)
{
	struct pe_chunk *chunk = pe_chunk_at(grid, ref);

	chunk->key = key;
	chunk->sequence = 1;
	atomic_store_explicit(&chunk->next, PE_NONE, memory_order_relaxed);
	atomic_store_explicit(&chunk->leaf, leaf, memory_order_relaxed);
	atomic_store_explicit(pe_slot_word(grid, ref), word, memory_order_relaxed);
	pe_chunk_handles(chunk, ref)[0] = handle;
	atomic_store_explicit(&chunk->valid, 1, memory_order_relaxed);
}

// After the chunk was published.
static void open_chunk(struct pe_grid *grid, uint32_t ref)
{
	// SLOT: release: who claims a slot through a stale hint then sees which leaf the chunk is
	// of. A plain store: while all bits are set nobody else changes them.
	atomic_store_explicit(&pe_chunk_at(grid, ref)->claimed, 1, memory_order_release);
}

// Claims a slot of the chunk if it is of this leaf and has room.
static inline bool claim_slot(
	struct pe_grid *grid, unsigned worker, uint32_t ref, uint32_t leaf, uint32_t *slot)
{
	struct pe_chunk *chunk = pe_chunk_at(grid, ref);
	uint32_t claimed = atomic_load_explicit(&chunk->claimed, memory_order_relaxed), free, bit;

	do {
		free = ~claimed & pe_slots_mask(ref);
		if (!free)
			return false;
		bit = free & -free;
		// SLOT: acquire: partner of the release that frees a claim: the last readers of the
		// slot are done.
	} while (!atomic_compare_exchange_weak_explicit(&chunk->claimed, &claimed, claimed | bit,
		memory_order_acquire, memory_order_relaxed));
	if (atomic_load_explicit(&chunk->leaf, memory_order_relaxed) != leaf) {
		// The hint was stale and the chunk is another leaf's by now. The bit was never
		// valid. The chunk stays what it is as long as we are in this read-side section: a
		// bit was free, so it was published (open_chunk), and what is published goes back
		// to its pool only after a grace period. So the bit that is cleared is the one that
		// was set here, and `leaf` cannot have become ours in between. SLOT: release
		if ((atomic_fetch_and_explicit(&chunk->claimed, ~bit, memory_order_release) &
			    pe_slots_mask(ref)) == bit)
			pe_worker_note(grid, worker, PE_KIND_BIG, ref);
		return false;
	}
	*slot = ref | (unsigned)__builtin_ctz(bit);
	return true;
}

static inline void write_slot(struct pe_grid *grid, uint32_t slot, uint64_t word, uint32_t handle)
{
	struct pe_chunk *chunk = pe_chunk_at(grid, slot);
	unsigned number = pe_slot_number(slot);

	atomic_store_explicit(pe_slot_word(grid, slot), word, memory_order_relaxed);
	PE_STEP();
	pe_chunk_handles(chunk, slot)[number] = handle;
	PE_STEP();
	// VALID: release: word and handle, and the record behind it, before the bit. Without it a
	// reader meets a half-made slot.
	atomic_fetch_or_explicit(&chunk->valid, 1u << number, memory_order_release);
}

// Where the newest chunk has no room: looks at a few from the hint on, so that freed slots of long
// chains are found again at a bounded price; then takes a new chunk.
__attribute__((noinline)) static enum pe_status claim_further(struct pe_grid *grid, unsigned worker,
	uint32_t leaf_index, uint64_t word, uint32_t handle, uint32_t *slot)
{
	struct pe_leaf *leaf = &grid->leaves[leaf_index];
	// CHUNK: acquire, as in pe_leaf_insert_in
	uint32_t head = atomic_load_explicit(&leaf->head, memory_order_acquire), at, ref;
	struct pe_chunk *chunk;

	if (head != PE_NONE) {
		at = atomic_load_explicit(&leaf->hint, memory_order_relaxed);
		if (at == PE_NONE)
			// CHUNK: acquire
			at = atomic_load_explicit(
				&pe_chunk_at(grid, head)->next, memory_order_acquire);
		for (unsigned i = 0; i < PE_PROBES_MAX && at != PE_NONE; i++) {
			chunk = pe_chunk_at(grid, at);
			if (atomic_load_explicit(&chunk->leaf, memory_order_relaxed) !=
				leaf_index) {
				at = PE_NONE;
				break;
			}
			if (claim_slot(grid, worker, at, leaf_index, slot)) {
				atomic_store_explicit(&leaf->hint, at, memory_order_relaxed);
				write_slot(grid, *slot, word, handle);
				return PE_OK;
			}
			// CHUNK: acquire
			at = atomic_load_explicit(&chunk->next, memory_order_acquire);
		}
		atomic_store_explicit(&leaf->hint, at, memory_order_relaxed);
	}
	ref = take_chunk(
		grid, worker, atomic_load_explicit(&leaf->entry.claim, memory_order_relaxed));
	if (ref == PE_NONE)
		return PE_FULL;
	fill_chunk(grid, ref, leaf_index, leaf->entry.key, word, handle);
	chunk = pe_chunk_at(grid, ref);
	// CHUNK: acquire
	head = atomic_load_explicit(&leaf->head, memory_order_acquire);
	do {
		chunk->sequence = head == PE_NONE ? 1 : pe_chunk_at(grid, head)->sequence + 1;
		atomic_store_explicit(&chunk->next, head, memory_order_relaxed);
		PE_STEP();
		// CHUNK: release: the chunk and its first slot are made before they can be found.
		// The head cannot have gone and come back: a chunk is used again only after a grace
		// period.
	} while (!atomic_compare_exchange_weak_explicit(
		&leaf->head, &head, ref, memory_order_release, memory_order_acquire));
	PE_STEP();
	open_chunk(grid, ref);
	*slot = ref;
	return PE_OK;
}

// A new leaf with the entity already in it. PE_NOT_FOUND: another worker published one first.
__attribute__((noinline)) static enum pe_status create(struct pe_grid *grid, unsigned worker,
	uint64_t key, uint64_t word, uint32_t handle, uint32_t *slot)
{
	struct pe_pool *pool = &grid->pool[PE_KIND_LEAF];
	uint32_t index = pe_pool_take(pool, worker), ref, parent;
	enum pe_status status = PE_FULL;
	struct pe_leaf *leaf;

	if (index == PE_NONE)
		return PE_FULL;
	ref = take_chunk(grid, worker, 0);
	if (ref == PE_NONE)
		goto no_chunk;
	status = pe_node_claim(grid, worker, key, &parent);
	if (status != PE_OK)
		goto no_parent;
	fill_chunk(grid, ref, index, key, word, handle);
	leaf = &grid->leaves[index];
	leaf->entry.key = key;
	leaf->parent = parent;
	atomic_store_explicit(&leaf->head, ref, memory_order_relaxed);
	atomic_store_explicit(&leaf->hint, PE_NONE, memory_order_relaxed);
	// LEAF: the claim of the entity in it is there before anybody could close it.
	atomic_store_explicit(&leaf->entry.claim, 1, memory_order_relaxed);
	pe_node_set(grid, parent, pe_child_number_of(key, 0));
	pe_heights_add(grid, key);
	PE_STEP();
	*slot = ref;
	if (pe_table_publish(pe_leaf_bucket(grid, key), grid->leaves, index) == index) {
		PE_STEP();
		open_chunk(grid, ref);
		return PE_OK;
	}
	atomic_store_explicit(&leaf->entry.claim, PE_TAKEN, memory_order_relaxed);
	pe_node_unclaim(grid, worker, parent);
	status = PE_NOT_FOUND;
no_parent:
	pe_slab_give(grid, worker, ref);
no_chunk:
	pe_pool_give(pool, worker, index);
	return status;
}

enum pe_status pe_leaf_insert_in(struct pe_grid *grid, unsigned worker, uint32_t index,
	uint64_t word, uint32_t handle, uint32_t *slot)
{
	struct pe_leaf *leaf = &grid->leaves[index];
	enum pe_status status;
	uint32_t head;

	if (!pe_entry_claim(&leaf->entry))
		return PE_BUSY;
	PE_STEP();
	// CHUNK: acquire: partner of the release that pushes a chunk.
	head = atomic_load_explicit(&leaf->head, memory_order_acquire);
	if (head != PE_NONE && claim_slot(grid, worker, head, index, slot)) {
		write_slot(grid, *slot, word, handle);
		return PE_OK;
	}
	status = claim_further(grid, worker, index, word, handle, slot);
	if (status != PE_OK && pe_entry_unclaim(&leaf->entry) == 0)
		pe_worker_note(grid, worker, PE_KIND_LEAF, index);
	return status;
}

enum pe_status pe_leaf_insert(struct pe_grid *grid, unsigned worker, uint64_t key, uint64_t word,
	uint32_t handle, uint32_t *slot)
{
	_Atomic uint32_t *bucket = pe_leaf_bucket(grid, key);

	// Twice at most: a leaf that another worker published is there until a grace period has
	// passed.
	for (;;) {
		uint32_t index = pe_table_find(bucket, grid->leaves, key);
		enum pe_status status;

		if (index != PE_NONE)
			return pe_leaf_insert_in(grid, worker, index, word, handle, slot);
		status = create(grid, worker, key, word, handle, slot);
		if (status != PE_NOT_FOUND)
			return status;
	}
}

// The first free slot of a chunk, and its handle. False: there is none.
static inline bool prefetch_room(const struct pe_grid *grid, uint32_t ref)
{
	struct pe_chunk *chunk = pe_chunk_at(grid, ref);
	uint32_t claimed = atomic_load_explicit(&chunk->claimed, memory_order_relaxed);
	uint32_t free = ~claimed & pe_slots_mask(ref);
	unsigned slot;

	if (!free)
		return false;
	slot = (unsigned)__builtin_ctz(free);
	pe_prefetch_two(
		(const void *)pe_slot_word(grid, ref | slot), &pe_chunk_handles(chunk, ref)[slot]);
	return true;
}

void pe_grid_prefetch_inserts(const struct pe_grid *grid, const uint64_t *keys, unsigned count,
	uint32_t leaves[static PE_BATCH_MAX])
{
	const _Atomic uint32_t *buckets[PE_BATCH_MAX];
	uint32_t heads[PE_BATCH_MAX];

	assert(count <= PE_BATCH_MAX);
	for (unsigned i = 0; i < count; i++) {
		buckets[i] = pe_leaf_bucket(grid, keys[i]);
		pe_prefetch((const void *)buckets[i]);
	}
	for (unsigned i = 0; i < count; i++) {
		// HASH: acquire
		leaves[i] = atomic_load_explicit(buckets[i], memory_order_acquire);
		if (leaves[i] != PE_NONE)
			pe_prefetch(&grid->leaves[leaves[i]]);
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t leaf = leaves[i], hint;

		// The bucket's first, nearly always.
		if (leaf != PE_NONE && grid->leaves[leaf].entry.key != keys[i])
			leaf = leaves[i] = pe_table_find(buckets[i], grid->leaves, keys[i]);
		heads[i] = PE_NONE;
		if (leaf == PE_NONE)
			continue;
		// CHUNK: acquire
		heads[i] = atomic_load_explicit(&grid->leaves[leaf].head, memory_order_acquire);
		hint = atomic_load_explicit(&grid->leaves[leaf].hint, memory_order_relaxed);
		if (heads[i] != PE_NONE)
			pe_prefetch(pe_chunk_at(grid, heads[i]));
		if (hint != heads[i] && hint != PE_NONE)
			pe_prefetch(pe_chunk_at(grid, hint));
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t hint;

		if (heads[i] == PE_NONE || prefetch_room(grid, heads[i]))
			continue;
		hint = atomic_load_explicit(&grid->leaves[leaves[i]].hint, memory_order_relaxed);
		if (hint != PE_NONE)
			prefetch_room(grid, hint);
	}
}

void pe_leaf_release(struct pe_grid *grid, unsigned worker, uint32_t slot)
{
	struct pe_chunk *chunk = pe_chunk_at(grid, slot);
	unsigned number = pe_slot_number(slot);
	uint32_t index = atomic_load_explicit(&chunk->leaf, memory_order_relaxed);
	struct pe_leaf *leaf = &grid->leaves[index];
	uint32_t bit = 1u << number, ref = pe_chunk_of(slot);
	bool empty;

	atomic_store_explicit(&leaf->hint, ref, memory_order_relaxed);
	PE_STEP();
	// SLOT: release: the grace period, and so the last readers, before the slot can be claimed.
	// Without it the next owner's word shows under this one's bit.
	empty = (atomic_fetch_and_explicit(&chunk->claimed, ~bit, memory_order_release) &
			pe_slots_mask(slot)) == bit;
	PE_STEP();
	// The slot's bit first: when the leaf has no claims, no chunk of it has one. An empty leaf
	// goes with its chunks.
	if (pe_entry_unclaim(&leaf->entry) == 0)
		pe_worker_note(grid, worker, PE_KIND_LEAF, index);
	else if (empty)
		pe_worker_note(grid, worker, PE_KIND_BIG, ref);
}

bool pe_leaf_release_orphans(struct pe_grid *grid, uint32_t ref, uint32_t slots)
{
	struct pe_chunk *chunk = pe_chunk_at(grid, ref);
	struct pe_leaf *leaf =
		&grid->leaves[atomic_load_explicit(&chunk->leaf, memory_order_relaxed)];
	uint32_t left;

	// SLOT and LEAF: release, as in pe_leaf_release.
	atomic_store_explicit(&leaf->hint, ref, memory_order_relaxed);
	left = atomic_fetch_and_explicit(&chunk->claimed, ~slots, memory_order_release) & ~slots &
		pe_slots_mask(ref);
	PE_STEP();
	return (atomic_fetch_sub_explicit(&leaf->entry.claim, (uint32_t)__builtin_popcount(slots),
			memory_order_release) == (uint32_t)__builtin_popcount(slots)) |
		(left == 0);
}
