#include "entity/details.h"

#include "base/rcu.h"

#define FREE 0x80u

// A free block's links: numbers, in its first bytes.
struct free_block {
	uint32_t next, prev;
};

enum pe_status pe_details_create(struct pe_details_store *store, uint32_t entity_count_max,
	uint64_t bytes, unsigned worker_count, bool huge_pages)
{
	uint64_t pieces = bytes / (PE_DETAILS_PIECE * PE_DETAILS_UNIT_BYTES) / worker_count;
	uint64_t units;
	enum pe_status status;

	*store = (struct pe_details_store){0};
	if (!bytes)
		return PE_OK;
	if (!pieces)
		pieces = 1;
	units = pieces * PE_DETAILS_PIECE * worker_count;
	if (units >= UINT32_MAX)
		return PE_INVALID;
	status = pe_memory_map((size_t)entity_count_max * sizeof(struct pe_details_entry),
		huge_pages, &store->entry_memory);
	if (status == PE_OK)
		status = pe_memory_map(
			units * (PE_DETAILS_UNIT_BYTES + 1), huge_pages, &store->unit_memory);
	if (status != PE_OK) {
		pe_details_destroy(store);
		return status;
	}
	store->entries = store->entry_memory.base;
	store->units = store->unit_memory.base;
	store->orders = store->units + units * PE_DETAILS_UNIT_BYTES;
	store->unit_count = (uint32_t)(units / worker_count);
	return PE_OK;
}

void pe_details_destroy(struct pe_details_store *store)
{
	pe_memory_unmap(&store->entry_memory);
	pe_memory_unmap(&store->unit_memory);
	store->entries = NULL;
}

static struct free_block *free_at(const struct pe_details_arena *a, uint32_t number)
{
	return (struct free_block *)(void *)pe_details_at(a->store, number);
}

static void push(struct pe_details_arena *a, uint32_t number, unsigned order)
{
	struct free_block *f = free_at(a, number);

	f->prev = PE_DETAILS_NONE;
	f->next = a->free[order];
	if (f->next != PE_DETAILS_NONE)
		free_at(a, f->next)->prev = number;
	a->free[order] = number;
	a->store->orders[number - 1] = (uint8_t)(FREE | order);
}

static void unlink_free(struct pe_details_arena *a, uint32_t number, unsigned order)
{
	struct free_block *f = free_at(a, number);

	if (f->prev == PE_DETAILS_NONE)
		a->free[order] = f->next;
	else
		free_at(a, f->prev)->next = f->next;
	if (f->next != PE_DETAILS_NONE)
		free_at(a, f->next)->prev = f->prev;
	a->store->orders[number - 1] = 0;
}

void pe_details_arena_init(
	struct pe_details_arena *a, struct pe_details_store *store, unsigned worker)
{
	*a = (struct pe_details_arena){.store = store, .first = worker * store->unit_count};
	// The last piece first, so that they are taken from the lowest on.
	for (uint32_t unit = store->unit_count; unit > 0; unit -= PE_DETAILS_PIECE)
		push(a, a->first + unit - PE_DETAILS_PIECE + 1, PE_DETAILS_ORDERS - 1);
}

static unsigned order_of(uint32_t bytes)
{
	unsigned order = 0;

	while (PE_DETAILS_UNIT_BYTES << order < bytes)
		order++;
	return order;
}

uint32_t pe_details_take(struct pe_details_arena *a, uint32_t bytes)
{
	unsigned order = order_of(PE_DETAILS_BLOCK_HEAD + bytes), from = order;
	struct pe_details_block *block;
	uint32_t number;

	assert(bytes <= PE_DETAILS_BYTES_MAX);
	while (from < PE_DETAILS_ORDERS && a->free[from] == PE_DETAILS_NONE)
		from++;
	if (from == PE_DETAILS_ORDERS)
		return PE_DETAILS_NONE;
	number = a->free[from];
	unlink_free(a, number, from);
	while (from > order) {
		from--;
		push(a, number + (1u << from), from);
	}
	block = pe_details_at(a->store, number);
	*block = (struct pe_details_block){.order = (uint8_t)order};
	a->used += 1u << order;
	return number;
}

void pe_details_give(struct pe_details_arena *a, uint32_t number)
{
	unsigned order = pe_details_at(a->store, number)->order;

	a->used -= 1u << order;
	// Arenas begin at whole pieces, so a block's other half differs in one bit of the unit's
	// number.
	for (; order + 1 < PE_DETAILS_ORDERS; order++) {
		uint32_t other = ((number - 1) ^ (1u << order)) + 1;

		if (a->store->orders[other - 1] != (FREE | order))
			break;
		unlink_free(a, other, order);
		number = number < other ? number : other;
	}
	push(a, number, order);
}

static void retire(struct pe_details_arena *a, uint32_t number)
{
	struct pe_details_block *block = pe_details_at(a->store, number);

	block->next = PE_DETAILS_NONE;
	block->stamp = pe_rcu_stamp();
	if (a->retired_count++)
		pe_details_at(a->store, a->retired_last)->next = number;
	else
		a->retired_first = number;
	a->retired_last = number;
}

void pe_details_publish(struct pe_details_arena *a, uint32_t handle, uint32_t number)
{
	_Atomic uint32_t *at = &pe_details_entry(a->store, handle)->block;
	uint32_t before = atomic_load_explicit(at, memory_order_relaxed);

	// DETAILS: release: whoever sees the number sees the block.
	atomic_store_explicit(at, number, memory_order_release);
	if (before != PE_DETAILS_NONE)
		retire(a, before);
}

void pe_details_reclaim(struct pe_details_arena *a, unsigned max)
{
	while (max-- && a->retired_count) {
		uint32_t number = a->retired_first;
		const struct pe_details_block *block = pe_details_at(a->store, number);

		if (!pe_rcu_passed(block->stamp))
			return;
		a->retired_first = block->next;
		a->retired_count--;
		pe_details_give(a, number);
	}
}
