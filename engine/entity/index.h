// The index from entity id to handle. A bucket is one cache line: twelve 8-bit tags and twelve
// handles, found by a keyed hash; an entry that finds its home full lives in one of the next
// buckets of the same partition, and the home counts those that live away, so that a look-up for an
// absent id ends at the home as a rule.
//
// The buckets are split by hash into partitions, one a worker. Only a partition's worker adds and
// removes there; anyone looks up inside a read-side section. A look-up gives candidates whose tag
// fits; the caller compares the id in the record, which stays readable for the rest of its
// read-side section.
//
// Operation × thread: add, remove: the partition's worker; prefetch, find, seek: any RCU reader.
#pragma once

#include "base/hash.h"
#include "base/prefetch.h"
#include "entity/record.h"

#ifdef PE_TEST_STEPS
void pe_test_step(void); // the torture test's: sleeps now and then
#define PE_TABLE_STEP() pe_test_step()
#else
#define PE_TABLE_STEP() ((void)0)
#endif

#define PE_BUCKET_ENTRIES 12
#define PE_INDEX_PROBES   64 // buckets from its home within which an entry must find room

struct pe_bucket {
	// written: the partition's worker; read: anyone. Tag 0 = empty.
	_Atomic uint64_t tags_low;  // entries 0–7
	_Atomic uint32_t tags_high; // entries 8–11
	_Atomic uint32_t away;      // entries whose home this is and that live in a later bucket
	_Atomic uint32_t handle[PE_BUCKET_ENTRIES];
};
static_assert(sizeof(struct pe_bucket) == 64, "one line");

struct pe_index {
	struct pe_bucket *buckets; // partition p: [p × partition_buckets, …)
	uint32_t partition_buckets;
	unsigned partition_count;
	struct pe_hash_key key;
	// INDEX-FURTHEST: so many buckets from its home any entry ever was. written: whoever adds,
	// growing; read: pe_index_seek
	_Atomic uint32_t furthest;
};

// Bytes of buckets for this many entities: at most 60 % of the entries in use.
uint64_t pe_index_bytes(uint32_t entity_count_max, unsigned partition_count);
// memory: zeroed, 64-byte aligned, pe_index_bytes long, outliving the index. Draws the key from the
// system.
[[nodiscard]] bool pe_index_init(
	struct pe_index *index, void *memory, uint32_t entity_count_max, unsigned partition_count);

static inline unsigned pe_index_partition(const struct pe_index *index, uint64_t hash)
{
	return (unsigned)((hash >> 32) * index->partition_count >> 32);
}

static inline uint32_t pe_index_home(const struct pe_index *index, uint64_t hash)
{
	uint64_t spread = (hash >> 32) * index->partition_count;

	return (uint32_t)(spread >> 32) * index->partition_buckets +
		(uint32_t)((spread & 0xFFFFFFFFu) * index->partition_buckets >> 32);
}

static inline uint8_t pe_index_tag(uint64_t hash)
{
	uint8_t tag = (uint8_t)hash;

	return tag ? tag : 1;
}

static inline void pe_index_prefetch(const struct pe_index *index, uint32_t home)
{
	pe_prefetch(&index->buckets[home]);
}

// Entries of a bucket whose tag fits, as a mask of 12 bits.
static inline uint32_t pe_bucket_match(const struct pe_bucket *b, uint8_t tag)
{
	// INDEX: acquire pairs with add's release: a tag that shows has its handle and its record's
	// id behind it. Without it a reader could compare against a record whose id is not written
	// yet and miss, or meet an old handle.
	uint64_t low = atomic_load_explicit(&b->tags_low, memory_order_acquire);
	uint32_t high = atomic_load_explicit(&b->tags_high, memory_order_acquire);
	__m128i tags = _mm_set_epi64x((int64_t)high, (int64_t)low);

	return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag))) & 0xFFFu;
}

// The first candidate in the home bucket, or PE_HANDLE_NONE: its record is asked for. Now and then
// a tag fits twice, and then the id may be the second one's, so that is asked for as well.
static inline uint32_t pe_index_candidate(
	const struct pe_index *index, const struct pe_record *records, uint32_t home, uint64_t hash)
{
	const struct pe_bucket *b = &index->buckets[home];
	uint32_t match = pe_bucket_match(b, pe_index_tag(hash)), handle;

	if (!match)
		return PE_HANDLE_NONE;
	// INDEX: acquire, as in find: the caller compares the id in the record.
	handle = atomic_load_explicit(&b->handle[__builtin_ctz(match)], memory_order_acquire);
	pe_prefetch(&records[handle]);
	for (match &= match - 1; match; match &= match - 1)
		pe_prefetch(&records[atomic_load_explicit(
			&b->handle[__builtin_ctz(match)], memory_order_relaxed)]);
	return handle;
}

// The n-th bucket from home on, within the partition.
static inline uint32_t pe_index_probe(const struct pe_index *index, uint32_t home, uint32_t n)
{
	uint32_t base = home - home % index->partition_buckets;

	return base + (home - base + n) % index->partition_buckets;
}

// Of a home bucket in which no tag fits: do entries of its own live further on? The next bucket is
// then asked for, in which pe_index_candidate finds most of them.
static inline bool pe_index_prefetch_next(
	const struct pe_index *index, uint32_t home, uint32_t *next)
{
	// INDEX-AWAY: relaxed: a hint; pe_index_find looks again.
	if (!atomic_load_explicit(&index->buckets[home].away, memory_order_relaxed))
		return false;
	*next = pe_index_probe(index, home, 1);
	pe_index_prefetch(index, *next);
	return true;
}

// The handle of `id`, or PE_HANDLE_NONE.
uint32_t pe_index_find(const struct pe_index *index, const struct pe_record *records, uint64_t hash,
	const uint8_t id[16]);

// The same, for answers that mustn't tell by their time whether there is such an id: the same lines
// are looked at and the same branches taken for one that is there and one that isn't, but for tags
// that fit by chance, as many in both cases. `stand_in`, a handle, is looked at in the place of the
// id's where there is none. Somewhat dearer than pe_index_find.
uint32_t pe_index_seek(const struct pe_index *index, const struct pe_record *records, uint64_t hash,
	const uint8_t id[16], uint32_t stand_in);

// Adds a handle whose record's id is written. The id must not be there. False: no room within the
// probes.
[[nodiscard]] bool pe_index_add(struct pe_index *index, uint64_t hash, uint32_t handle);
// Removes it; false when it was not there.
bool pe_index_remove(struct pe_index *index, uint64_t hash, uint32_t handle);
