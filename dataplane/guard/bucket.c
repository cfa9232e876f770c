#include "bucket.h"

#include <assert.h>
#include <string.h>

static_assert(sizeof(struct pe_bucket_set) == 64, "a set is a cache line");
static_assert(sizeof(struct pe_hash_key) == 64, "the key's size is promised");

enum pe_status pe_rate_make(double per_second, double burst, struct pe_rate *rate)
{
	double period;

	*rate = (struct pe_rate){0};
	if (per_second == 0)
		return PE_OK;
	if (!(per_second >= PE_RATE_PER_SECOND_MIN && per_second <= PE_RATE_PER_SECOND_MAX &&
		    burst >= 1 && burst <= 1e15))
		return PE_RANGE;
	period = 16e9 / per_second;
	if (period * burst > (double)PE_RATE_DEPTH_MAX)
		return PE_RANGE;
	rate->period = (uint64_t)(period + 0.5);
	rate->depth = (uint64_t)(period * burst + 0.5);
	if (rate->depth < rate->period)
		rate->depth = rate->period;
	return PE_OK;
}

enum pe_status pe_bucket_table_create(struct pe_bucket_table *table, uint32_t sets,
	const struct pe_rate *rate, const uint8_t key[64])
{
	*table = (struct pe_bucket_table){.rate = *rate, .mask = sets - 1};
	if (sets == 0 || sets > PE_BUCKET_SETS_MAX || sets & (sets - 1))
		return PE_INVALID;
	if (pe_memory_map(sets * sizeof *table->sets, false, &table->memory) != PE_OK)
		return PE_NO_MEMORY;
	table->sets = table->memory.base;
	memcpy(&table->key, key, 64);
	return PE_OK;
}

void pe_bucket_table_destroy(struct pe_bucket_table *table)
{
	pe_memory_unmap(&table->memory);
	table->sets = NULL;
}

// A host has a /24 or a /56 of addresses for the asking.
static void prefix_of(const uint8_t address[16], uint8_t prefix[16])
{
	static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
	unsigned bytes = memcmp(address, mapped, sizeof mapped) == 0 ? 15 : 7;

	memset(prefix, 0, 16);
	memcpy(prefix, address, bytes);
}

uint64_t *pe_bucket_table_find(
	struct pe_bucket_table *table, const uint8_t address[16], uint64_t now_ns)
{
	struct pe_bucket_set *set;
	uint8_t prefix[16];
	uint64_t hash;
	unsigned way = 0;

	prefix_of(address, prefix);
	hash = pe_hash_id(&table->key, prefix);
	set = &table->sets[hash & table->mask];
	hash |= (uint64_t)1 << 63; // 0 means free
	for (unsigned i = 0; i < PE_BUCKET_WAYS; i++) {
		if (set->prefix[i] == hash)
			return &set->bucket[i];
		if (set->bucket[i] < set->bucket[way])
			way = i;
	}
	table->taken_over += set->prefix[way] != 0 && set->bucket[way] > now_ns << 4;
	set->prefix[way] = hash;
	return &set->bucket[way];
}

bool pe_bucket_table_take(
	struct pe_bucket_table *table, const uint8_t address[16], uint64_t now_ns, uint32_t cost)
{
	return pe_bucket_take(
		pe_bucket_table_find(table, address, now_ns), &table->rate, now_ns, cost);
}
