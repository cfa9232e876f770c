// Buckets of chains for leaves and nodes. Both are arrays of 32-byte objects that begin with struct
// pe_entry.
#include "grid/grid_internal.h"

_Static_assert(sizeof(struct pe_leaf) == sizeof(struct pe_node), "one stride for both tables");

static struct pe_entry *entry_at(const void *base, uint32_t index)
{
	return (struct pe_entry *)((char *)base + (size_t)index * sizeof(struct pe_leaf));
}

uint32_t pe_table_find(const _Atomic uint32_t *bucket, const void *base, uint64_t key)
{
	// HASH: acquire: the object's fields, and its parents' bits, were written before it was
	// published.
	uint32_t index = atomic_load_explicit(bucket, memory_order_acquire);

	while (index != PE_NONE) {
		struct pe_entry *entry = entry_at(base, index);

		if (entry->key == key)
			return index;
		// HASH: acquire
		index = atomic_load_explicit(&entry->next, memory_order_acquire);
	}
	return PE_NONE;
}

// Publishes the object unless its key is there: returns its index, or that of the one that is.
// Nothing with this key can have come and gone between the search and the exchange: it would have
// had to be closed, and a grace period to pass, which waits for us.
uint32_t pe_table_publish(_Atomic uint32_t *bucket, void *base, uint32_t index)
{
	struct pe_entry *entry = entry_at(base, index);
	// HASH: acquire, here and of each next
	uint32_t head = atomic_load_explicit(bucket, memory_order_acquire);

	for (;;) {
		for (uint32_t at = head; at != PE_NONE;
			at = atomic_load_explicit(&entry_at(base, at)->next, memory_order_acquire))
			if (entry_at(base, at)->key == entry->key)
				return at;
		atomic_store_explicit(&entry->next, head, memory_order_relaxed);
		PE_STEP();
		// HASH: release: the object, its chunk and the parents' bits are visible to who
		// finds it. Without it a reader meets a leaf that is not made yet, or an entity
		// under a bit that is not set.
		if (atomic_compare_exchange_strong_explicit(
			    bucket, &head, index, memory_order_release, memory_order_acquire))
			return index;
	}
}

// Control thread only, so that no two neighbours are taken out at once. The object keeps its link:
// who stands on it goes on.
void pe_table_take_out(_Atomic uint32_t *bucket, void *base, uint32_t index)
{
	uint32_t next = atomic_load_explicit(&entry_at(base, index)->next, memory_order_relaxed);
	uint32_t at = index;

	// HASH: release in both cases: the parent's bit was cleared before, so that who finds the
	// key missing sets the bit after us.
	if (atomic_compare_exchange_strong_explicit(
		    bucket, &at, next, memory_order_release, memory_order_acquire))
		return;
	for (;;) {
		_Atomic uint32_t *link = &entry_at(base, at)->next;

		// HASH: acquire
		at = atomic_load_explicit(link, memory_order_acquire);
		assert(at != PE_NONE);
		if (at == index) {
			// HASH: release, as above
			atomic_store_explicit(link, next, memory_order_release);
			return;
		}
	}
}
