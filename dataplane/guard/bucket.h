// Token buckets: how much a source may send. A bucket is one number, the time at which it will be full again, so that
// taking from it is a multiplication and a comparison and idle time costs nothing. Times are in sixteenths of a
// nanosecond: a period of one is 16 billion tokens a second, and 64 bits last for 36 years of monotonic clock.
//
// A table keeps buckets for sources that nobody registered, by prefix (IPv4 /24, IPv6 /56), in sets of four that fill
// one cache line. It is bounded, and whoever comes when a set is full takes over the fullest bucket *with what was
// drawn from it*: so a flood from invented addresses shares what its sets hold and never gets a fresh bucket by being
// new, and a set is chosen by a keyed hash, so that nobody can choose whose set is flooded. Two prefixes of one set
// then share a bucket, to the disadvantage of both: sources that matter are registered, or trusted. The table belongs
// to one thread.
#pragma once

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct pe_rate {
	uint64_t period; // of one token, 1/16 ns; 0 = no limit
	uint64_t depth;  // of a full bucket, 1/16 ns
};

#define PE_RATE_PER_SECOND_MIN 1e-3
#define PE_RATE_PER_SECOND_MAX 16e9
#define PE_RATE_DEPTH_MAX      ((uint64_t)1 << 60)
#define PE_RATE_COST_MAX       65536 // tokens at once

// per_second within the bounds above, or 0 for no limit; burst ≥ 1 tokens. PE_RANGE: outside of them, or a bucket
// that would take more than two years to fill.
[[nodiscard]] enum pe_status pe_rate_make(double per_second, double burst, struct pe_rate *rate);

// Takes `cost` tokens (≤ PE_RATE_COST_MAX), all or none. A zeroed bucket is full. now_ns is monotonic; a step back
// gives nothing and takes nothing.
static inline bool pe_bucket_take(
	uint64_t *bucket, const struct pe_rate *rate, uint64_t now_ns, uint32_t cost)
{
	uint64_t now = now_ns << 4, full_at = *bucket > now ? *bucket : now;
	uint64_t after = full_at + rate->period * cost;

	if (rate->period && after - now > rate->depth)
		return false;
	*bucket = after;
	return true;
}

#define PE_BUCKET_WAYS 4

struct pe_bucket_set {
	uint64_t prefix[PE_BUCKET_WAYS]; // keyed hash of the prefix; 0 = free
	uint64_t bucket[PE_BUCKET_WAYS];
};

struct pe_bucket_table {
	struct pe_hash_key key;
	struct pe_rate rate;
	uint64_t mask; // sets − 1
	struct pe_bucket_set *sets;
	struct pe_memory memory;
	uint64_t taken_over; // buckets that went to another prefix before they were full
};

#define PE_BUCKET_SETS_MAX (1u << 20)

// `sets` a power of two up to PE_BUCKET_SETS_MAX, 64 bytes each; the key is 64 random bytes. PE_INVALID,
// PE_NO_MEMORY: nothing to destroy.
[[nodiscard]] enum pe_status pe_bucket_table_create(struct pe_bucket_table *table, uint32_t sets,
	const struct pe_rate *rate, const uint8_t key[64]);
void pe_bucket_table_destroy(struct pe_bucket_table *table);

// For the source with this address (IPv6, or IPv4 mapped).
bool pe_bucket_table_take(
	struct pe_bucket_table *table, const uint8_t address[16], uint64_t now_ns, uint32_t cost);
