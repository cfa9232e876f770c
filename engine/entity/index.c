#include "entity/index.h"

#include <sys/random.h>

static uint32_t partition_buckets(uint32_t entity_count_max, unsigned partition_count)
{
	// Hashing spreads entities over partitions and buckets unevenly: a square root's worth
	// more, and a floor.
	uint64_t each = (entity_count_max + partition_count - 1) / partition_count;
	uint64_t buckets = each * 10 / 6 / PE_BUCKET_ENTRIES + 64;

	return (uint32_t)buckets;
}

uint64_t pe_index_bytes(uint32_t entity_count_max, unsigned partition_count)
{
	return (uint64_t)partition_buckets(entity_count_max, partition_count) * partition_count *
		sizeof(struct pe_bucket);
}

bool pe_index_init(
	struct pe_index *index, void *memory, uint32_t entity_count_max, unsigned partition_count)
{
	index->buckets = memory;
	index->partition_buckets = partition_buckets(entity_count_max, partition_count);
	index->partition_count = partition_count;
	atomic_init(&index->furthest, 0);
	return getrandom(&index->key, sizeof index->key, 0) == (ssize_t)sizeof index->key;
}

static uint32_t find_in(const struct pe_bucket *b, const struct pe_record *records, uint8_t tag,
	const uint8_t id[16])
{
	for (uint32_t match = pe_bucket_match(b, tag); match; match &= match - 1) {
		PE_TABLE_STEP();
		// INDEX: acquire: the entry may have become another entity's since its tag was
		// read.
		uint32_t handle = atomic_load_explicit(
			&b->handle[__builtin_ctz(match)], memory_order_acquire);

		if (pe_id_equal(records[handle].id, id))
			return handle;
	}
	return PE_HANDLE_NONE;
}

uint32_t pe_index_find(const struct pe_index *index, const struct pe_record *records, uint64_t hash,
	const uint8_t id[16])
{
	uint32_t home = pe_index_home(index, hash);
	uint8_t tag = pe_index_tag(hash);
	uint32_t handle = find_in(&index->buckets[home], records, tag, id);

	PE_TABLE_STEP();
	// INDEX-AWAY: acquire pairs with add's release of `away`, which comes before the entry's
	// tag is shown.
	if (handle != PE_HANDLE_NONE ||
		!atomic_load_explicit(&index->buckets[home].away, memory_order_acquire))
		return handle;
	for (uint32_t n = 1; n < PE_INDEX_PROBES; n++) {
		handle = find_in(&index->buckets[pe_index_probe(index, home, n)], records, tag, id);
		if (handle != PE_HANDLE_NONE)
			return handle;
	}
	return PE_HANDLE_NONE;
}

// The entries' bits of so many buckets fit a word, with one of the stand-in.
#define SEEK_BUCKETS 5u
#define STAND_IN     (1ull << SEEK_BUCKETS * PE_BUCKET_ENTRIES)

// Tags that fit in the n-th bucket from home on and those behind it, up to the `last`.
static uint64_t matches(
	const struct pe_index *index, uint32_t home, uint32_t n, uint32_t last, uint8_t tag)
{
	uint64_t bits = 0;

	for (unsigned k = 0; k < SEEK_BUCKETS && n + k <= last; k++)
		bits |= (uint64_t)pe_bucket_match(
				&index->buckets[pe_index_probe(index, home, n + k)], tag)
			<< PE_BUCKET_ENTRIES * k;
	return bits;
}

uint32_t pe_index_seek(const struct pe_index *index, const struct pe_record *records, uint64_t hash,
	const uint8_t id[16], uint32_t stand_in)
{
	// INDEX-FURTHEST: acquire pairs with add's release.
	uint32_t last = atomic_load_explicit(&index->furthest, memory_order_acquire);
	uint32_t home = pe_index_home(index, hash), found = PE_HANDLE_NONE;
	uint64_t there = 0;

	for (uint32_t n = 0; n <= last; n += SEEK_BUCKETS) {
		uint64_t bits = matches(index, home, n, last, pe_index_tag(hash));

		// As many turns where it is there as where it isn't: the stand-in's is its own's.
		bits |= n + SEEK_BUCKETS > last ? STAND_IN : 0;
		while (bits & ~(there & STAND_IN)) {
			uint32_t bit = (uint32_t)__builtin_ctzll(bits);
			uint32_t instead =
				(uint32_t)pe_mask(bit >= SEEK_BUCKETS * PE_BUCKET_ENTRIES);
			uint32_t at = bit & ~instead, handle;
			uint64_t same;
			const struct pe_bucket *b = &index->buckets[pe_index_probe(
				index, home, n + at / PE_BUCKET_ENTRIES)];

			bits &= bits - 1;
			// INDEX: acquire, as in find_in
			handle = atomic_load_explicit(
				&b->handle[at % PE_BUCKET_ENTRIES], memory_order_acquire);
			handle = pe_choose(instead, stand_in, handle);
			// The stand-in may be free, and what it was still stand in it; or be about
			// to become another.
			same = pe_mask(!instead & pe_record_named(&records[handle], id));
			there |= same;
			found = pe_choose((uint32_t)same, handle, found);
		}
	}
	return found;
}

static void set_tag(struct pe_bucket *b, unsigned entry, uint8_t tag)
{
	// INDEX: release pairs with pe_bucket_match. Plain read-modify-write: a partition has one
	// writer.
	if (entry < 8) {
		uint64_t low = atomic_load_explicit(&b->tags_low, memory_order_relaxed);

		low = (low & ~(0xFFull << (8 * entry))) | (uint64_t)tag << (8 * entry);
		atomic_store_explicit(&b->tags_low, low, memory_order_release);
	} else {
		uint32_t high = atomic_load_explicit(&b->tags_high, memory_order_relaxed);

		entry -= 8;
		high = (high & ~(0xFFu << (8 * entry))) | (uint32_t)tag << (8 * entry);
		// INDEX: release
		atomic_store_explicit(&b->tags_high, high, memory_order_release);
	}
}

static void count_away(struct pe_bucket *home, int change)
{
	uint32_t away = atomic_load_explicit(&home->away, memory_order_relaxed);

	// INDEX-AWAY
	atomic_store_explicit(&home->away, away + (uint32_t)change, memory_order_release);
}

// Before such an entry is shown. Others may raise it beside us, each at most as often as there are
// probes.
static void reach(struct pe_index *index, uint32_t n)
{
	uint32_t seen = atomic_load_explicit(&index->furthest, memory_order_relaxed);

	// INDEX-FURTHEST: release
	while (seen < n &&
		!atomic_compare_exchange_weak_explicit(
			&index->furthest, &seen, n, memory_order_release, memory_order_relaxed))
		;
}

bool pe_index_add(struct pe_index *index, uint64_t hash, uint32_t handle)
{
	uint32_t home = pe_index_home(index, hash);

	for (uint32_t n = 0; n < PE_INDEX_PROBES; n++) {
		struct pe_bucket *b = &index->buckets[pe_index_probe(index, home, n)];
		uint32_t empty = pe_bucket_match(b, 0);

		if (!empty)
			continue;
		if (n) {
			count_away(&index->buckets[home], 1);
			reach(index, n);
			PE_TABLE_STEP();
		}
		// INDEX: release, and again with the tag: who saw the tag that was here before
		// comes to this handle too.
		atomic_store_explicit(
			&b->handle[__builtin_ctz(empty)], handle, memory_order_release);
		PE_TABLE_STEP();
		set_tag(b, (unsigned)__builtin_ctz(empty), pe_index_tag(hash));
		return true;
	}
	return false;
}

bool pe_index_remove(struct pe_index *index, uint64_t hash, uint32_t handle)
{
	uint32_t home = pe_index_home(index, hash);

	for (uint32_t n = 0; n < PE_INDEX_PROBES; n++) {
		struct pe_bucket *b = &index->buckets[pe_index_probe(index, home, n)];

		for (uint32_t match = pe_bucket_match(b, pe_index_tag(hash)); match;
			match &= match - 1) {
			unsigned entry = (unsigned)__builtin_ctz(match);

			if (atomic_load_explicit(&b->handle[entry], memory_order_relaxed) != handle)
				continue;
			set_tag(b, entry, 0);
			if (n)
				count_away(&index->buckets[home], -1);
			return true;
		}
	}
	return false;
}
