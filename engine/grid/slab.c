// Where chunks come from: slabs that are cut into big or small chunks when there is none of the
// class wanted, and the pools of those that were given back.
#include "grid/grid_internal.h"

static uint32_t ref_of(bool small, uint32_t index)
{
	return small ? pe_small_ref(index) : pe_big_ref(index);
}

static struct pe_pool *pool_of(struct pe_grid *grid, uint32_t ref)
{
	return &grid->pool[ref & PE_SMALL ? PE_KIND_SMALL : PE_KIND_BIG];
}

// Cuts the next slab: the first chunk is the caller's, the others go to the pool.
static uint32_t cut(struct pe_grid *grid, bool small)
{
	struct pe_slabs *slabs = &grid->slabs;
	struct pe_pool *pool = &grid->pool[small ? PE_KIND_SMALL : PE_KIND_BIG];
	unsigned each = small ? PE_SLAB_SMALLS : PE_SLAB_BIGS;
	uint32_t slab = atomic_load_explicit(&slabs->fresh, memory_order_relaxed), first;

	do {
		if (slab >= slabs->count)
			return PE_NONE;
	} while (!atomic_compare_exchange_weak_explicit(
		&slabs->fresh, &slab, slab + 1, memory_order_relaxed, memory_order_relaxed));
	first = slab * each;
	for (unsigned i = 0; i < each; i++)
		atomic_store_explicit(&pe_chunk_at(grid, ref_of(small, first + i))->claimed,
			PE_NONE, memory_order_relaxed);
	// SLAB: release: the chunks are closed before the control thread looks at them as such (its
	// partner is the acquire in pe_slab_chunks).
	atomic_store_explicit(
		&slabs->class[slab], small ? PE_SLAB_SMALL : PE_SLAB_BIG, memory_order_release);
	for (unsigned i = 1; i < each; i++)
		pe_pool_add(pool, first + i);
	pe_pool_count_taken(pool);
	return ref_of(small, first);
}

uint32_t pe_slab_take(struct pe_grid *grid, unsigned worker, bool small)
{
	uint32_t index = pe_pool_take(&grid->pool[small ? PE_KIND_SMALL : PE_KIND_BIG], worker);

	return index != PE_NONE ? ref_of(small, index) : cut(grid, small);
}

void pe_slab_give(struct pe_grid *grid, unsigned worker, uint32_t ref)
{
	pe_pool_give(pool_of(grid, ref), worker, pe_chunk_index(ref));
}

void pe_slab_give_shared(struct pe_grid *grid, uint32_t ref)
{
	pe_pool_give_shared(pool_of(grid, ref), pe_chunk_index(ref));
}

uint64_t pe_slab_free_bytes(const struct pe_grid *grid)
{
	uint64_t all = (uint64_t)grid->slabs.count * PE_SLAB_BYTES;
	uint64_t used = pe_pool_in_use(&grid->pool[PE_KIND_BIG]) * sizeof(struct pe_big) +
		pe_pool_in_use(&grid->pool[PE_KIND_SMALL]) * sizeof(struct pe_small);

	return used < all ? all - used : 0;
}

unsigned pe_slab_chunks(const struct pe_grid *grid, uint32_t slab, uint32_t *first)
{
	// SLAB
	switch (atomic_load_explicit(&grid->slabs.class[slab], memory_order_acquire)) {
	case PE_SLAB_BIG:
		*first = pe_big_ref(slab * PE_SLAB_BIGS);
		return PE_SLAB_BIGS;
	case PE_SLAB_SMALL:
		*first = pe_small_ref(slab * PE_SLAB_SMALLS);
		return PE_SLAB_SMALLS;
	default:
		return 0;
	}
}
