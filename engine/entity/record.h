// An entity's record: two cache lines side by side. Readers see the id, the status and what is
// published; the rest is the owner's. What is published stands here once, behind a version (a
// latch): the owner writes what it is about to publish into a draft of its own, makes the version
// odd, writes the record, and makes it even. A reader that meets an odd version reads the owner's
// draft. So a reader never waits for a writer, not even for one that was preempted halfway.
//
// Records lie in pages of 4 KiB, 25 in each. Behind them every record has 35 bytes for a newer
// state that is held back: in the page whose translation the record has paid for. A handle is a
// record's place, counted as if a page were full of records (128 × handle is its offset), so that
// not every number is a handle.
//
// Only the worker that owns the entity writes its record; the index partition's worker prepares a
// fresh one before anyone can find it. A handle is used again only a grace period after it left the
// index.
// An ordinary update touches an index bucket, this record's two lines, and the grid slot.
#pragma once

#include <assert.h>
#include <immintrin.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PE_HANDLE_NONE 0xFFFFFFFFu

// What readers may see of an entity: 64 bytes, of which the first five words decide whether it is
// in an answer. The words are made of struct pe_wire_update's with three of them put together
// (apply.h).
struct pe_published {
	double position[3]; // as sent; GEODETIC z is 0 when the height is not known
	uint64_t word;      // the grid word of that position, without flags
	uint8_t entity_type;
	uint8_t custom_state;
	uint16_t attributes;  // PE_ATTRIBUTE_*
	uint32_t expiry_tick; // gone when now ≥ this (mod 2^32)
	uint64_t time_ms;     // event time
	float radius_m;
	float precision_m;
	uint16_t velocity[3]; // binary16
	uint8_t position_confidence;
	uint8_t status_confidence;
};
// Bits of `attributes` that are the engine's own, and zero on the wire. What is published of an
// entity that has one of them is more than stands here: entity/details.h.
#define PE_PUBLISHED_DETAILS   0x1000u // it has details
#define PE_PUBLISHED_ANNOUNCED 0x2000u // its sender announced how often it updates
#define PE_PUBLISHED_ROUNDED   0x8000u // its scope rounds its places: its owner's
#define PE_PUBLISHED_MORE      (PE_PUBLISHED_DETAILS | PE_PUBLISHED_ANNOUNCED)
// Of an update on its way, where that bit says nothing yet: its audience depends on the entity's
// tags, which its owner knows (veil.h).
#define PE_CHANGE_OPEN 0x8000u
// It belongs to an audience (policy/views.h), which the bits for visibility and precision level
// then name.
#define PE_PUBLISHED_VEILED 0x4000u
#define PE_PUBLISHED_REST \
	(PE_PUBLISHED_MORE | PE_PUBLISHED_VEILED) // a view of it has to be completed
#define PE_PUBLISHED_WORDS       8
#define PE_PUBLISHED_EXPIRY_WORD 4 // its upper half
static_assert(sizeof(struct pe_published) == 8 * PE_PUBLISHED_WORDS &&
		offsetof(struct pe_published, expiry_tick) == 8 * PE_PUBLISHED_EXPIRY_WORD + 4,
	"words");

enum pe_life {
	PE_LIFE_FREE = 0,  // not in the index
	PE_LIFE_EMPTY = 1, // in the index, nothing published yet
	PE_LIFE_THERE = 2,
	PE_LIFE_GONE = 3, // withdrawn or expired; the pair (incarnation, sequence) is remembered
	PE_LIFE_REMOVING = 4, // its removal from the index is on the way
};

// status: life 0–7, owner 8–14, space 16–23, flags 15 and 24–31.
// an entry of its owner's queue names it (entity/held.h), whatever it holds now. The owner's, while
// it has one
#define PE_STATUS_QUEUED (1u << 15)
// life, owner and space
#define PE_STATUS_WHOSE (0xFFFFFFu & ~PE_STATUS_QUEUED)
#define PE_STATUS_HELD  (1u << 24) // a newer state is held back: pe_record_held
#define PE_STATUS_OLDER (1u << 25) // … which is not of the newest accepted time: pe_record_older
#define PE_STATUS_COURSE \
	(1u << 26) // … by a prediction: its timer is the record's own, at pe_record_due
#define PE_STATUS_FLAGS   (PE_STATUS_HELD | PE_STATUS_OLDER | PE_STATUS_COURSE)
#define PE_STATUS_DETAILS (1u << 28) // it has details, which every update passes on
// a place of it may be in quarantine (plausible.h), which the next update that is taken ends
#define PE_STATUS_SUSPECT (1u << 30)
// GONE: its pair is forgotten, only whose it was is still remembered
#define PE_STATUS_FORGOTTEN (1u << 31)
// Not for updates that are spared anything:
#define PE_STATUS_FRAMED   (1u << 29) // it is placed in another entity's frame
#define PE_STATUS_PARENT   (1u << 27) // others are placed in its frame
#define PE_STATUS_FRAMES   (PE_STATUS_FRAMED | PE_STATUS_PARENT)
#define PE_STATUS_LIFE(s)  ((enum pe_life)((s)&0xFFu))
#define PE_STATUS_OWNER(s) (((s) >> 8) & 0x7Fu)
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
	// written: index partition's worker before the handle can be found (pe_record_name); read:
	// anyone who found the handle, and by pe_record_named anyone
	uint8_t id[16];
	// LATCH. written: owner; read: anyone. Odd: `shown` is being written, the owner's draft
	// stands in
	_Atomic uint32_t version;
	_Atomic uint32_t status; // written: partition's worker (fresh), then owner; read: anyone
	// LATCH. written: owner, in words; read: anyone, in words; the first five are the rest of
	// line 0
	struct pe_published shown;
	// The owner's from here on.
	uint64_t key; // THERE: the leaf's key. GONE: the stamp of the slots' removal
	uint32_t sequence;
	uint32_t incarnation;
	uint32_t slot;     // grid slot, or PE_SLOT_NONE
	uint32_t time_low; // newest accepted event time, low 32 bits (compared mod 2^32)
	uint32_t pending;  // entity/pending.h: a node, or a crossing's name, or PE_HANDLE_NONE
	struct pe_wheel_link wheel; // expiry, tombstone; free handles: list links
};
static_assert(sizeof(struct pe_record) == 128, "two lines");
static_assert(offsetof(struct pe_record, shown) == 24, "what decides is in line 0");
static_assert(offsetof(struct pe_record, id) % sizeof(uint64_t) == 0, "RECORD-NAME: whole words");

// Index partition's worker: whose record it is from now on. In words: who was sent to a free record
// instead of another one (pe_index_seek) may be reading it.
static inline void pe_record_name(struct pe_record *r, const uint8_t id[16])
{
	_Atomic uint64_t *to = (_Atomic uint64_t *)&r->id;
	uint64_t words[2];

	memcpy(words, id, sizeof words);
	// RECORD-NAME: relaxed: the index (INDEX) orders it for who shall find it
	atomic_store_explicit(&to[0], words[0], memory_order_relaxed);
	atomic_store_explicit(&to[1], words[1], memory_order_relaxed);
}

// Any thread, of any record: does this id stand in it? Of one that the caller did not find in the
// index it says nothing: its name may be about to change, and be half of one and half of another.
static inline bool pe_record_named(const struct pe_record *r, const uint8_t id[16])
{
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)&r->id;
	uint64_t words[2];

	memcpy(words, id, sizeof words);
	// RECORD-NAME: relaxed: who found the record in the index comes after its name, and for
	// others what stands here decides nothing
	return ((atomic_load_explicit(&from[0], memory_order_relaxed) ^ words[0]) |
		       (atomic_load_explicit(&from[1], memory_order_relaxed) ^ words[1])) == 0;
}

// What a threshold holds back of a newer state that is otherwise as the published one: where it is
// and how it moves. Its time is the newest accepted one, or earlier by what pe_record_older says.
// Its owner's alone.
struct pe_held_state {
	double position[3];
	uint16_t velocity[3];
	uint16_t due; // low bits of the tick at which it is published
};

#define PE_PAGE_BYTES   4096u
#define PE_PAGE_RECORDS 25u
#define PE_PAGE_HANDLES (PE_PAGE_BYTES / sizeof(struct pe_record)) // with those that are none
static_assert(PE_PAGE_RECORDS *
			(sizeof(struct pe_record) + sizeof(struct pe_held_state) +
				sizeof(uint16_t) + sizeof(uint8_t)) <=
		PE_PAGE_BYTES,
	"a page's records and what they hold back");

// A handle's n.
static inline uint32_t pe_handle_number(uint32_t handle)
{
	return handle / (uint32_t)PE_PAGE_HANDLES * PE_PAGE_RECORDS +
		handle % (uint32_t)PE_PAGE_HANDLES;
}

// The n-th handle, and the bytes that so many records take.
static inline uint32_t pe_handle_nth(uint32_t n)
{
	return n / PE_PAGE_RECORDS * (uint32_t)PE_PAGE_HANDLES + n % PE_PAGE_RECORDS;
}
// One of the first `count` handles, the same one for a hash.
static inline uint32_t pe_handle_spread(uint64_t hash, uint32_t count)
{
	return pe_handle_nth((uint32_t)((hash >> 32) * count >> 32));
}
static inline size_t pe_records_bytes(uint32_t count)
{
	return ((size_t)count + PE_PAGE_RECORDS - 1) / PE_PAGE_RECORDS * PE_PAGE_BYTES;
}

// What the owner of some records is about to publish, one at a time. Written: that worker; read:
// anyone.
struct pe_draft {
	_Alignas(64) _Atomic uint64_t words[PE_PUBLISHED_WORDS]; // LATCH
};

static inline struct pe_held_state *pe_record_held(const struct pe_record *r)
{
	uintptr_t at = (uintptr_t)r, page = at & ~(uintptr_t)(PE_PAGE_BYTES - 1);

	return (struct pe_held_state *)(page + PE_PAGE_RECORDS * sizeof(struct pe_record)) +
		(at - page) / sizeof(struct pe_record);
}

// By how many ms the state held back is older than the newest accepted time, at most 65,535; with
// PE_STATUS_OLDER.
static inline uint16_t *pe_record_older(const struct pe_record *r)
{
	uintptr_t at = (uintptr_t)r, page = at & ~(uintptr_t)(PE_PAGE_BYTES - 1);

	return (uint16_t *)(page +
		       PE_PAGE_RECORDS *
			       (sizeof(struct pe_record) + sizeof(struct pe_held_state))) +
		(at - page) / sizeof(struct pe_record);
}

// Of what a prediction holds back, the bits of `due` above its low 16.
static inline uint8_t *pe_record_due_high(const struct pe_record *r)
{
	uintptr_t at = (uintptr_t)r, page = at & ~(uintptr_t)(PE_PAGE_BYTES - 1);

	return (uint8_t *)(page +
		       PE_PAGE_RECORDS *
			       (sizeof(struct pe_record) + sizeof(struct pe_held_state) +
				       sizeof(uint16_t))) +
		(at - page) / sizeof(struct pe_record);
}

// What is to be published, as it is stored: a vector for the place and its grid word, and the words
// behind them, from entity_type on.
struct pe_record_words {
	__m256d place;
	uint64_t rest[4];
};
static_assert(sizeof(struct pe_record_words) == sizeof(struct pe_published), "all words");

// LATCH: stores what the owner alone writes and whoever reads looks at under a version. Each lane
// of a vector is stored at once, which is what a word's atomic store is for; ThreadSanitizer only
// knows the latter.
static inline void pe_record_store_words(_Atomic uint64_t *to, const struct pe_record_words *words)
{
#ifdef __SANITIZE_THREAD__
	uint64_t place[4];

	memcpy(place, &words->place, sizeof place);
	for (unsigned i = 0; i < 4; i++)
		atomic_store_explicit(&to[i], place[i], memory_order_relaxed); // LATCH
#else
	_mm256_storeu_pd((double *)(void *)to, words->place);
#endif
#pragma GCC unroll 4
	for (unsigned i = 0; i < 4; i++)
		atomic_store_explicit(&to[4 + i], words->rest[i], memory_order_relaxed); // LATCH
}

// Owner's thread. Makes the words (a struct pe_published) what readers see.
static inline void pe_record_publish_words(
	struct pe_record *r, struct pe_draft *draft, const struct pe_record_words *words)
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_relaxed);

	pe_record_store_words(draft->words, words);
	// LATCH: release pairs with the reader's acquire of version: whoever sees the odd number
	// sees the draft.
	atomic_store_explicit(&r->version, version + 1, memory_order_release);
	// LATCH: and the stores to the record come after it, or a reader could see them under the
	// old number.
	atomic_thread_fence(memory_order_release);
	pe_record_store_words((_Atomic uint64_t *)&r->shown, words);
	// LATCH: release: whoever sees the even number sees the record.
	atomic_store_explicit(&r->version, version + 2, memory_order_release);
	// LATCH: and the next publication's stores to the draft come after it, or a reader of the
	// draft could see them under the odd number. Stores are ordered among themselves by a
	// release fence.
	atomic_thread_fence(memory_order_release);
}

static inline void pe_record_publish(
	struct pe_record *r, struct pe_draft *draft, const struct pe_published *p)
{
	struct pe_record_words words;

	memcpy(&words, p, sizeof words);
	pe_record_publish_words(r, draft, &words);
}

// Owner's thread. Another expiry for what is published, in place: it shares its word with what
// stays the same, so a reader finds the one or the other and needs no new version.
static inline void pe_record_extend(struct pe_record *r, uint32_t expiry_tick)
{
	_Atomic uint64_t *at = (_Atomic uint64_t *)&r->shown + PE_PUBLISHED_EXPIRY_WORD;
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	atomic_store_explicit(
		at, (word & 0xFFFFFFFFull) | (uint64_t)expiry_tick << 32, memory_order_relaxed);
}

// The same where the owner knows the word's other half, type, state and attributes.
static inline void pe_record_extend_same(struct pe_record *r, uint32_t half, uint32_t expiry_tick)
{
	_Atomic uint64_t *at = (_Atomic uint64_t *)&r->shown + PE_PUBLISHED_EXPIRY_WORD;

	atomic_store_explicit(at, half | (uint64_t)expiry_tick << 32, memory_order_relaxed);
}

// Any RCU reader, after loads from the record under an even version, or from the draft under an odd
// one: was all of it that version's?
static inline bool pe_record_unchanged(const struct pe_record *r, uint32_t seen)
{
	// LATCH: acquire fence before the second look: the loads before are not moved after it.
	// Without it a state that the owner began to overwrite could pass.
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&r->version, memory_order_relaxed) == seen;
}

static inline bool pe_words_read(const struct pe_record *r, const _Atomic uint64_t *from,
	uint32_t seen, uint64_t words[PE_PUBLISHED_WORDS])
{
#pragma GCC unroll 8
	for (unsigned i = 0; i < PE_PUBLISHED_WORDS; i++)
		words[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	return pe_record_unchanged(r, seen);
}

// Any RCU reader: the same words in the lanes of vectors. Loads of a vector read each of its lanes
// at once, which is what a word's atomic load is for; ThreadSanitizer only knows the latter.
struct pe_record_lanes {
	__m256d place; // position, and the grid word in the last lane
	__m256i rest;  // from entity_type on: a word each of tail, time, bounds (radius, precision)
	               // and motion (velocity, confidences)
	uint64_t tail; // expiry above; beside `rest` it may be another one
	uint64_t time_ms;     // as in `rest`
	uint32_t radius_bits; // of the float, likewise
};

static inline bool pe_record_read_lanes(const struct pe_record *r, struct pe_record_lanes *lanes)
{
	uint32_t seen = atomic_load_explicit(&r->version, memory_order_acquire); // LATCH
	const _Atomic uint64_t *from = (const _Atomic uint64_t *)&r->shown;

#ifdef __SANITIZE_THREAD__
	uint64_t word[8];

	for (unsigned i = 0; i < 8; i++)
		word[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	memcpy(&lanes->place, word, sizeof lanes->place);
	memcpy(&lanes->rest, word + 4, sizeof lanes->rest);
#else
	lanes->place = _mm256_loadu_pd(r->shown.position);
	lanes->rest = _mm256_loadu_si256((const __m256i *)(const void *)&r->shown.entity_type);
#endif
	lanes->tail = atomic_load_explicit(&from[4], memory_order_relaxed);
	lanes->time_ms = atomic_load_explicit(&from[5], memory_order_relaxed);
	lanes->radius_bits = (uint32_t)atomic_load_explicit(&from[6], memory_order_relaxed);
	return !(seen & 1) && pe_record_unchanged(r, seen);
}
static_assert(offsetof(struct pe_published, entity_type) == 32, "the second vector");

// Any RCU reader: one attempt at the record itself, whose words stay in registers where the caller
// takes them apart. False: the owner is writing or moved on.
static inline bool pe_record_read_once(
	const struct pe_record *r, uint64_t words[PE_PUBLISHED_WORDS])
{
	uint32_t seen = atomic_load_explicit(&r->version, memory_order_acquire); // LATCH

	return !(seen & 1) && pe_words_read(r, (const _Atomic uint64_t *)&r->shown, seen, words);
}

// Any RCU reader. drafts: of all owners. False after `tries` attempts beside an owner that moved on
// each time (counted by the caller).
static inline bool pe_record_read(const struct pe_record *r, const struct pe_draft *drafts,
	struct pe_published *p, unsigned tries)
{
	uint64_t words[PE_PUBLISHED_WORDS];

	for (unsigned t = 0; t < tries; t++) {
		uint32_t seen = atomic_load_explicit(&r->version, memory_order_acquire); // LATCH
		uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
		const _Atomic uint64_t *from = seen & 1 ? drafts[PE_STATUS_OWNER(status)].words :
							  (const _Atomic uint64_t *)&r->shown;

		if (pe_words_read(r, from, seen, words)) {
			memcpy(p, words, sizeof words);
			return true;
		}
	}
	return false;
}
