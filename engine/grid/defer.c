#include "grid/defer.h"

#include <assert.h>

bool pe_defer_init(
	struct pe_defer *list, struct pe_defer_store *store, unsigned worker, uint32_t entry_words)
{
	*list = (struct pe_defer){.store = store,
		.worker = worker,
		.entry_words = entry_words,
		.per_block = PE_DEFER_BLOCK_WORDS / entry_words,
		.block_count = 1};
	list->first = list->last = list->tail = pe_pool_take(&store->pool, worker);
	if (list->first == PE_POOL_NONE)
		return false;
	store->blocks[list->first].next = PE_POOL_NONE;
	return true;
}

bool pe_defer_attach(struct pe_defer *list, uint32_t room)
{
	while (pe_defer_room(list) < room) {
		uint32_t block = pe_pool_take(&list->store->pool, list->worker);

		if (block == PE_POOL_NONE)
			return false;
		list->store->blocks[block].next = PE_POOL_NONE;
		list->store->blocks[list->tail].next = block;
		list->tail = block;
		list->block_count++;
	}
	return true;
}

void pe_defer_turn(struct pe_defer *list)
{
	uint32_t next = list->store->blocks[list->last].next;

	assert(next != PE_POOL_NONE);
	list->last = next;
	list->write = 0;
}

void pe_defer_pass(struct pe_defer *list, uint32_t keep)
{
	struct pe_defer_store *store = list->store;
	uint32_t block = list->first;

	if (pe_defer_count(list) == 0 && list->first == list->last) {
		list->read = list->write = 0;
		return;
	}
	if (list->read < list->per_block)
		return;
	// The block is done: it goes to the end of the list, or back to the store.
	list->read = 0;
	list->first = store->blocks[block].next;
	list->block_count--;
	if (pe_defer_room(list) >= keep + list->per_block) {
		pe_pool_give(&store->pool, list->worker, block);
		return;
	}
	store->blocks[block].next = PE_POOL_NONE;
	store->blocks[list->tail].next = block;
	list->tail = block;
	list->block_count++;
}
