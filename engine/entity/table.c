#include "entity/table.h"

#include "base/rcu.h"

// In the common store a chain's first handle links to the next chain. A taker reads that while
// another may have taken the chain already, and made entities of its handles: the tag makes its
// compare-and-swap fail then. So the link stands in a word of what is published, which is written
// as a whole, atomically, by whoever owns the record.
static _Atomic uint64_t *chain_next(const struct pe_table *t, uint32_t handle)
{
	return (_Atomic uint64_t *)&t->records[handle].shown.word;
}

// Where nobody else wants a handle chains may be long.
static uint32_t chain_of(uint32_t entity_count_max, unsigned workers)
{
	uint32_t share = entity_count_max / (2 * PE_HANDLES_IDLE * workers);

	if (workers == 1 || share > PE_HANDLE_CHAIN)
		return PE_HANDLE_CHAIN;
	return share ? share : 1;
}

// With the next tag.
static uint64_t head_of(uint64_t before, uint32_t first)
{
	return ((before >> 32) + 1) << 32 | first;
}

static void store_push(struct pe_table *t, uint32_t first)
{
	uint64_t head = atomic_load_explicit(&t->store, memory_order_relaxed);

	// HANDLES: release pairs with store_pop's acquire: the chain's links are written before it
	// can be taken.
	do {
		atomic_store_explicit(chain_next(t, first), (uint32_t)head, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&t->store, &head, head_of(head, first),
		memory_order_release, memory_order_relaxed));
}

static uint32_t store_pop(struct pe_table *t)
{
	uint64_t head = atomic_load_explicit(&t->store, memory_order_acquire); // HANDLES

	while ((uint32_t)head != PE_HANDLE_NONE) {
		uint64_t next =
			atomic_load_explicit(chain_next(t, (uint32_t)head), memory_order_relaxed);

		PE_TABLE_STEP();
		// HANDLES: acquire
		if (atomic_compare_exchange_weak_explicit(&t->store, &head,
			    head_of(head, (uint32_t)next), memory_order_acquire,
			    memory_order_acquire))
			return (uint32_t)head;
	}
	return PE_HANDLE_NONE;
}

enum pe_status pe_table_create(struct pe_table *table, uint32_t entity_count_max,
	unsigned partition_count, bool huge_pages)
{
	enum pe_status status;

	memset(table, 0, sizeof *table);
	status = pe_memory_map(
		pe_records_bytes(entity_count_max), huge_pages, &table->record_memory);
	if (status != PE_OK)
		return status;
	status = pe_memory_map(pe_index_bytes(entity_count_max, partition_count), huge_pages,
		&table->index_memory);
	if (status != PE_OK)
		goto no_index;
	table->records = table->record_memory.base;
	table->entity_count_max = entity_count_max;
	if (!pe_index_init(
		    &table->index, table->index_memory.base, entity_count_max, partition_count)) {
		status = PE_IO;
		goto no_key;
	}
	table->chain = chain_of(entity_count_max, partition_count);
	atomic_init(&table->store, PE_HANDLE_NONE);
	// The last chain first, so that handles are drawn from 0 on.
	for (uint32_t end = entity_count_max; end > 0;) {
		uint32_t first = (end - 1) / table->chain * table->chain;

		for (uint32_t n = first; n < end; n++)
			table->records[pe_handle_nth(n)].wheel.next =
				n + 1 < end ? pe_handle_nth(n + 1) : PE_HANDLE_NONE;
		store_push(table, pe_handle_nth(first));
		end = first;
	}
	return PE_OK;
no_key:
	pe_memory_unmap(&table->index_memory);
no_index:
	pe_memory_unmap(&table->record_memory);
	return status;
}

void pe_table_destroy(struct pe_table *table)
{
	pe_memory_unmap(&table->index_memory);
	pe_memory_unmap(&table->record_memory);
}

void pe_handles_init(struct pe_handles *handles)
{
	*handles = (struct pe_handles){.first = PE_HANDLE_NONE,
		.retired_first = PE_HANDLE_NONE,
		.retired_last = PE_HANDLE_NONE};
}

uint32_t pe_handles_take(struct pe_table *table, struct pe_handles *handles)
{
	uint32_t handle = handles->first;

	if (handle == PE_HANDLE_NONE) {
		handle = store_pop(table);
		if (handle == PE_HANDLE_NONE)
			return PE_HANDLE_NONE;
		for (uint32_t h = handle; h != PE_HANDLE_NONE; h = table->records[h].wheel.next)
			handles->count++;
	}
	handles->first = table->records[handle].wheel.next;
	handles->count--;
	return handle;
}

void pe_handles_give(struct pe_table *table, struct pe_handles *handles, uint32_t handle)
{
	table->records[handle].wheel.next = handles->first;
	handles->first = handle;
	if (++handles->count < 2 * table->chain)
		return;
	// One chain too many: cut the first one off and store it.
	uint32_t last = handle;
	for (unsigned i = 1; i < table->chain; i++)
		last = table->records[last].wheel.next;
	handles->first = table->records[last].wheel.next;
	handles->count -= table->chain;
	table->records[last].wheel.next = PE_HANDLE_NONE;
	store_push(table, handle);
}

void pe_handles_retire(struct pe_table *table, struct pe_handles *handles, uint32_t handle)
{
	struct pe_record *r = &table->records[handle];

	r->wheel.next = PE_HANDLE_NONE;
	r->key = pe_rcu_stamp();
	if (handles->retired_last == PE_HANDLE_NONE)
		handles->retired_first = handle;
	else
		table->records[handles->retired_last].wheel.next = handle;
	handles->retired_last = handle;
	handles->retired_count++;
}

void pe_handles_reclaim(struct pe_table *table, struct pe_handles *handles, unsigned max)
{
	while (max-- && handles->retired_first != PE_HANDLE_NONE) {
		uint32_t handle = handles->retired_first;
		struct pe_record *r = &table->records[handle];

		if (!pe_rcu_passed(r->key))
			return;
		handles->retired_first = r->wheel.next;
		if (handles->retired_first == PE_HANDLE_NONE)
			handles->retired_last = PE_HANDLE_NONE;
		handles->retired_count--;
		pe_handles_give(table, handles, handle);
	}
}
