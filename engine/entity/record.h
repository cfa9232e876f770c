// An entity's record: three cache lines. The first is the owner's (and the id, which anyone may compare);
// the other two are copies of what the owner has published, behind a version (a latch): the owner writes the copy
// that readers are not using, then moves the version on. So a reader never waits for a writer, not even for one that
// was preempted halfway.
//
// Only the worker that owns the entity writes its record; the index partition's worker prepares a fresh one before anyone
// can find it. A handle is the record's number; it is used again only a grace period after it left the index.
// An ordinary update touches an index bucket, this record's first line, one copy, and the grid slot.
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PE_HANDLE_NONE 0xFFFFFFFFu

// What readers may see of an entity: 64 bytes. The order is nearly that of struct pe_wire_update, so that eight words
// are made of an update with three of them put together (apply.c).
struct pe_published {
	double position[3]; // as sent; GEODETIC z is 0 when the height is not known
	uint64_t word;      // the grid word of that position, without flags
	uint64_t time_ms;   // event time
	float radius_m;
	float precision_m;
	uint16_t velocity[3]; // binary16
	uint8_t position_confidence;
	uint8_t status_confidence;
	uint8_t entity_type;
	uint8_t custom_state;
	uint16_t attributes;  // PE_ATTRIBUTE_*
	uint32_t expiry_tick; // gone when now ≥ this (mod 2^32)
};
#define PE_PUBLISHED_WORDS 8
static_assert(sizeof(struct pe_published) == 8 * PE_PUBLISHED_WORDS, "one line");

enum pe_life {
	PE_LIFE_FREE = 0,  // not in the index
	PE_LIFE_EMPTY = 1, // in the index, nothing published yet
	PE_LIFE_THERE = 2,
	PE_LIFE_GONE = 3, // withdrawn or expired; the pair (incarnation, sequence) is remembered
	PE_LIFE_REMOVING = 4, // its removal from the index is on the way
};

// status: life 0–7, owner 8–15, space 16–23, flags 24–31.
#define PE_STATUS_HELD \
	(1u << 24) // the copy that readers do not use is a newer state: pe_record_hold_words
#define PE_STATUS_LIFE(s)  ((enum pe_life)((s)&0xFFu))
#define PE_STATUS_OWNER(s) (((s) >> 8) & 0xFFu)
#define PE_STATUS_SPACE(s) (((s) >> 16) & 0xFFu)
static inline uint32_t pe_status_make(
	enum pe_life life, unsigned owner, unsigned space, uint32_t flags)
{
	return (uint32_t)life | owner << 8 | space << 16 | flags;
}

// Two words a side: a call of memcmp for every record would cost more than the comparison.
static inline bool pe_id_equal(const uint8_t a[16], const uint8_t b[16])
{
	uint64_t x[2], y[2];

	memcpy(x, a, sizeof x);
	memcpy(y, b, sizeof y);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

// Links of a timer wheel (entity/wheel.h).
struct pe_wheel_link {
	uint32_t next, prev;
	uint32_t tick;
};

struct pe_record {
	// line 0
	// written: index partition's worker before the handle can be found; read: anyone
	uint8_t id[16];
	// LATCH. written: owner; read: anyone. copy[version & 1] is the stable one
	_Atomic uint32_t version;
	_Atomic uint32_t status; // written: partition's worker (fresh), then owner; read: anyone
	uint32_t sequence;       // the owner's from here on
	uint32_t incarnation;
	uint64_t key;               // THERE: the leaf's key. GONE: the stamp of the slots' removal
	uint32_t slot;              // grid slot, or PE_SLOT_NONE
	uint32_t time_low;          // newest accepted event time, low 32 bits (compared mod 2^32)
	uint32_t pending;           // node in the pending pool, or PE_HANDLE_NONE
	struct pe_wheel_link wheel; // expiry, tombstone; free handles: list links
	// lines 1 and 2
	_Alignas(64) struct pe_published copy[2];
};
static_assert(sizeof(struct pe_record) == 192, "three lines");
static_assert(offsetof(struct pe_record, copy) == 64, "copies start a line");

// Owner's thread: the copy that readers do not use.
static inline _Atomic uint64_t *pe_record_spare(struct pe_record *r)
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed);

	return (_Atomic uint64_t *)&r->copy[(version + 1) & 1];
}

// Owner's thread. Makes what the words say (a struct pe_published) what readers see.
static inline void pe_record_publish_words(
	struct pe_record *r, const uint64_t words[PE_PUBLISHED_WORDS])
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed);
	_Atomic uint64_t *to = pe_record_spare(r);

#pragma GCC unroll 8
	for (unsigned i = 0; i < PE_PUBLISHED_WORDS; i++)
		atomic_store_explicit(&to[i], words[i], memory_order_relaxed);
	// LATCH: release pairs with the reader's acquire of version: whoever sees the number sees the copy.
	atomic_store_explicit(&r->version, version + 1, memory_order_release);
	// LATCH: and the next publish's stores to the other copy come after this store, or a reader of the other
	// copy could see them under the old number. Stores are ordered among themselves by a release fence.
	atomic_thread_fence(memory_order_release);
}

// Owner's thread. Puts a newer state into the copy that readers do not use, where it stays until it, or another, is published:
// for readers it is a publication that has not come to its end. All but the expiry, which is the owner's to use for something
// else (pe_record_hold_tick): so nothing of the line is read.
static inline void pe_record_hold_words(
	struct pe_record *r, const uint64_t words[PE_PUBLISHED_WORDS])
{
	_Atomic uint64_t *to = pe_record_spare(r);

#pragma GCC unroll 8
	for (unsigned i = 0; i < PE_PUBLISHED_WORDS - 1; i++)
		atomic_store_explicit(&to[i], words[i], memory_order_relaxed);
	atomic_store_explicit((_Atomic uint32_t *)&to[PE_PUBLISHED_WORDS - 1],
		(uint32_t)words[PE_PUBLISHED_WORDS - 1], memory_order_relaxed);
}
static inline void pe_record_hold_tick(struct pe_record *r, uint32_t tick)
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed) + 1;

	atomic_store_explicit(
		(_Atomic uint32_t *)&r->copy[version & 1].expiry_tick, tick, memory_order_relaxed);
}

// Owner's thread: what pe_record_hold_words put there.
static inline const struct pe_published *pe_record_held(const struct pe_record *r)
{
	return &r->copy[(atomic_load_explicit(&r->version, memory_order_relaxed) + 1) & 1];
}

// Owner's thread. Publishes what is held, with the expiry of what is published.
static inline void pe_record_publish_held(struct pe_record *r)
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed);

	pe_record_hold_tick(r, r->copy[version & 1].expiry_tick);
	// LATCH: as in pe_record_publish_words.
	atomic_store_explicit(&r->version, version + 1, memory_order_release);
	atomic_thread_fence(memory_order_release);
}

// Owner's thread. Another expiry for what is published, in place: it shares its word with what stays the same, so a reader
// finds the one or the other and needs no new version.
static inline void pe_record_extend(struct pe_record *r, uint32_t expiry_tick)
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed);
	_Atomic uint64_t *last = (_Atomic uint64_t *)&r->copy[version & 1] + PE_PUBLISHED_WORDS - 1;
	uint64_t word = atomic_load_explicit(last, memory_order_relaxed);

	atomic_store_explicit(
		last, (word & 0xFFFFFFFFull) | (uint64_t)expiry_tick << 32, memory_order_relaxed);
}
static_assert(offsetof(struct pe_published, expiry_tick) == 8 * PE_PUBLISHED_WORDS - 4,
	"expiry is the upper half of the last word");

static inline void pe_record_publish(struct pe_record *r, const struct pe_published *p)
{
	uint64_t words[PE_PUBLISHED_WORDS];

	memcpy(words, p, sizeof words);
	pe_record_publish_words(r, words);
}

// Any RCU reader: one attempt, whose words stay in registers where the caller takes them apart. False: an owner moved on.
static inline bool pe_record_read_once(
	const struct pe_record *r, uint64_t words[PE_PUBLISHED_WORDS])
{
	uint32_t seen = atomic_load_explicit(&r->version, memory_order_acquire); // LATCH
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)&r->copy[seen & 1];

#pragma GCC unroll 8
	for (unsigned i = 0; i < PE_PUBLISHED_WORDS; i++)
		words[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	// LATCH: acquire fence before the second look: the loads above are not moved after it. Without it a copy
	// that the owner began to overwrite could pass.
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&r->version, memory_order_relaxed) == seen;
}

// Any RCU reader. False after `tries` attempts beside an owner that moved on each time (counted by the caller).
static inline bool pe_record_read(const struct pe_record *r, struct pe_published *p, unsigned tries)
{
	uint64_t words[PE_PUBLISHED_WORDS];

	for (unsigned t = 0; t < tries; t++)
		if (pe_record_read_once(r, words)) {
			memcpy(p, words, sizeof words);
			return true;
		}
	return false;
}

// Owner's thread: the stable copy, in place.
static inline const struct pe_published *pe_record_own(const struct pe_record *r)
{
	return &r->copy[atomic_load_explicit(&r->version, memory_order_relaxed) & 1];
}
