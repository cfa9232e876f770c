// Token buckets: how much a source may send. A bucket is one number, the time at which it will be
// full again, so that taking from it is a multiplication and a comparison and idle time costs
// nothing. Times are in sixteenths of a nanosecond: a period of one is 16 billion tokens a second,
// and 64 bits last for 36 years of monotonic clock.
//
// A table keeps buckets for sources that nobody registered, by prefix (IPv4 /24, IPv6 /56), in sets
// of four that fill one cache line. It is bounded, and whoever comes when a set is full takes over
// the fullest bucket *with what was drawn from it*: so a flood from invented addresses shares what
// its sets hold and never gets a fresh bucket by being new, and a set is chosen by a keyed hash, so
// that nobody can choose whose set is flooded. Two prefixes of one set then share a bucket, to the
// disadvantage of both: sources that matter are registered, or trusted. The table belongs to one
// thread.
#pragma once

#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"

#include <stdatomic.h>
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

// per_second within the bounds above, or 0 for no limit; burst ≥ 1 tokens. PE_RANGE: outside of
// them, or a bucket that would take more than two years to fill.
[[nodiscard]] enum pe_status pe_rate_make(double per_second, double burst, struct pe_rate *rate);

// Takes `cost` tokens (≤ PE_RATE_COST_MAX), all or none. A zeroed bucket is full. now_ns is
// monotonic; a step back gives nothing and takes nothing.
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

// What was used without asking before, as an answer's bytes are: it may leave the bucket in debt,
// of at most PE_RATE_DEBTS_MAX times its depth.
#define PE_RATE_DEBTS_MAX 4
static inline void pe_bucket_draw(
	uint64_t *bucket, const struct pe_rate *rate, uint64_t now_ns, uint32_t cost)
{
	uint64_t now = now_ns << 4, full_at = *bucket > now ? *bucket : now;
	uint64_t after = full_at + rate->period * cost,
		 most = now + PE_RATE_DEBTS_MAX * rate->depth;

	*bucket = after < most ? after : most;
}

// Is it in debt by more than `debts` times its depth? 0: is it empty?
static inline bool pe_bucket_owes(
	uint64_t bucket, const struct pe_rate *rate, uint64_t now_ns, unsigned debts)
{
	return rate->period && bucket >= (now_ns << 4) + (1 + debts) * rate->depth;
}

// The same of a bucket that several threads draw from. Relaxed: a bucket says nothing of other
// memory. Beside so many others that each of its attempts met one of them, a draw is lost: in
// favour of who came.
#define PE_BUCKET_TRIES 16
static inline bool pe_bucket_take_shared(
	_Atomic uint64_t *bucket, const struct pe_rate *rate, uint64_t now_ns, uint32_t cost)
{
	uint64_t seen = atomic_load_explicit(bucket, memory_order_relaxed), next;

	for (unsigned i = 0; i < PE_BUCKET_TRIES; i++) {
		next = seen;
		if (!pe_bucket_take(&next, rate, now_ns, cost))
			return false;
		if (atomic_compare_exchange_weak_explicit(
			    bucket, &seen, next, memory_order_relaxed, memory_order_relaxed))
			return true;
	}
	return true;
}
static inline void pe_bucket_draw_shared(
	_Atomic uint64_t *bucket, const struct pe_rate *rate, uint64_t now_ns, uint32_t cost)
{
	uint64_t seen = atomic_load_explicit(bucket, memory_order_relaxed), next;

	for (unsigned i = 0; i < PE_BUCKET_TRIES; i++) {
		next = seen;
		pe_bucket_draw(&next, rate, now_ns, cost);
		if (atomic_compare_exchange_weak_explicit(
			    bucket, &seen, next, memory_order_relaxed, memory_order_relaxed))
			return;
	}
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

// `sets` a power of two up to PE_BUCKET_SETS_MAX, 64 bytes each; the key is 64 random bytes.
// PE_INVALID, PE_NO_MEMORY: nothing to destroy.
[[nodiscard]] enum pe_status pe_bucket_table_create(struct pe_bucket_table *table, uint32_t sets,
	const struct pe_rate *rate, const uint8_t key[64]);
void pe_bucket_table_destroy(struct pe_bucket_table *table);

// For the source with this address (IPv6, or IPv4 mapped).
bool pe_bucket_table_take(
	struct pe_bucket_table *table, const uint8_t address[16], uint64_t now_ns, uint32_t cost);
// Its bucket, until the next call; table->rate is that of all of them.
uint64_t *pe_bucket_table_find(
	struct pe_bucket_table *table, const uint8_t address[16], uint64_t now_ns);
