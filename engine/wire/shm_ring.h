// Two rings in memory that an engine and a client on the same machine share: `up` from the client
// to the engine, `down` back. What lies in them are the wire's messages, whole. Tuned for 16
// updates a message written in place, and for one line that goes from core to core when a message
// is short. Used by both sides; each one takes what the other may write for hostile: sizes and
// positions are private copies, and what comes from the other is looked at once.
//
// A ring is bytes, a power of two, in lines of 64. A *position* counts bytes from the beginning and
// never falls; its place is position & (bytes − 1). A *record* begins on a line: a word, then the
// message, then nothing up to the next line. The word is 0 where no record has been published yet,
// else ((position / 64 + 1) mod 2³²) << 32 | message bytes, so that what an earlier lap left can't
// pass for a record. A record doesn't go over the ring's end: one that would is preceded by a wrap,
// a word with PE_SHM_WRAP for its bytes, which takes up all lines to the end.
//
// The producer keeps one line free behind what it has published: that line's word is written 0
// before the word before it is published. So the consumer polls one line, and needs no index of the
// producer's.
//
// Operation × thread: room, reserve, commit, put: the producer only. take, release: the consumer
// only. rouse: the producer; drowse, arise: the consumer. new: the engine before the memory is
// handed out. join: the client before it uses the rings.
#pragma once

#include "base/prefetch.h"
#include "wire/wire.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PE_SHM_MAGIC          0x52534550u // "PESR" as bytes
#define PE_SHM_VERSION        2
#define PE_SHM_VERSION_MIN    1 // without the third descriptor, and who the client is
#define PE_SHM_LINE           64u
#define PE_SHM_PAGE_BYTES     4096u // before the first ring
#define PE_SHM_RING_BYTES_MIN 16384u
#define PE_SHM_RING_BYTES_MAX (64u << 20)
#define PE_SHM_WRAP           0xFFFFFFFFu
#define PE_SHM_RECORD_MAX     1472u // lines of the longest message
#define PE_SHM_AHEAD          4u    // lines that are asked for ahead

// What a ring is: in its page's state.
enum pe_shm_state {
	PE_SHM_LIVE = 1,
	PE_SHM_ENDED = 2, // the engine has ended, or no longer has this client
	// the engine found in `up` what no client may write, and reads it no more
	PE_SHM_BROKEN = 3,
};

struct pe_shm_shared { // of one direction
	// written: the consumer; read: the producer. The position up to which lines are given back
	_Alignas(64) _Atomic uint64_t head;
	// written: the consumer, 1 before it sleeps, and the producer, 0 when it wakes it
	_Alignas(64) _Atomic uint32_t asleep;
};

struct pe_shm_page {
	// written once by the engine, before the client has the memory
	uint32_t magic;
	uint16_t version;
	uint16_t line_bytes;
	uint64_t epoch; // of the engine: another one after each start
	uint32_t up_bytes, down_bytes;
	uint64_t up_offset, down_offset;
	// written: the engine; read: the client
	_Alignas(64) _Atomic uint32_t state;
	struct pe_shm_shared up, down;
};

static_assert(sizeof(struct pe_shm_shared) == 128 && offsetof(struct pe_shm_shared, asleep) == 64,
	"a line each");
static_assert(offsetof(struct pe_shm_page, epoch) == 8 &&
		offsetof(struct pe_shm_page, up_offset) == 24 &&
		offsetof(struct pe_shm_page, state) == 64 &&
		offsetof(struct pe_shm_page, up) == 128 &&
		offsetof(struct pe_shm_page, down) == 256 && sizeof(struct pe_shm_page) == 384 &&
		sizeof(struct pe_shm_page) <= PE_SHM_PAGE_BYTES,
	"the page of the protocol");
static_assert(PE_SHM_RECORD_MAX % PE_SHM_LINE == 0 && PE_SHM_RECORD_MAX >= PE_WIRE_BYTES_MAX + 8 &&
		PE_SHM_RECORD_MAX - PE_SHM_LINE < PE_WIRE_BYTES_MAX + 8,
	"the longest record");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words are written at once");

// ---- the handshake, over a SOCK_SEQPACKET socket: one packet each way ----

// The client's. Sizes of 0: as the engine likes. Nil space: the engine's first one.
struct pe_shm_hello {
	uint32_t magic;
	uint16_t version_min, version_max;
	uint32_t up_bytes, down_bytes;
	uint8_t space_id[16];
	uint8_t reserved[16];
};

enum pe_shm_answer {
	// with descriptors: the memory; the eventfd that wakes the engine; from version 2 on, what
	// becomes readable when the engine wakes the client
	PE_SHM_WELCOME = 0,
	PE_SHM_MALFORMED = 1,
	PE_SHM_VERSION_UNKNOWN = 2, // version says which one is spoken
	PE_SHM_SIZE = 3,            // no power of two, or below or above what there may be
	PE_SHM_SPACE = 4,
	PE_SHM_DENIED = 5, // this user is not admitted
	PE_SHM_FULL = 6,   // as many clients as there may be
	PE_SHM_NO_MEMORY = 7,
	PE_SHM_ANSWERS
};

struct pe_shm_welcome {
	uint32_t magic;
	uint16_t version;
	uint8_t answer; // enum pe_shm_answer; behind it all is 0 unless WELCOME
	uint8_t reserved;
	uint64_t epoch;
	uint32_t up_bytes, down_bytes;
	uint64_t memory_bytes;
	uint8_t space_id[16];
	// from version 2 on, and only with WELCOME: who the client's user is by the keyring; zero:
	// nobody that it knows
	uint8_t principal_id[16];
};

static_assert(
	sizeof(struct pe_shm_hello) == 48 && sizeof(struct pe_shm_welcome) == 64, "no padding");

static inline size_t pe_shm_welcome_bytes(const struct pe_shm_welcome *welcome)
{
	return welcome->answer == PE_SHM_WELCOME && welcome->version >= 2 ?
		sizeof *welcome :
		offsetof(struct pe_shm_welcome, principal_id);
}

static inline bool pe_shm_size_sound(uint32_t bytes)
{
	return bytes >= PE_SHM_RING_BYTES_MIN && bytes <= PE_SHM_RING_BYTES_MAX &&
		(bytes & (bytes - 1)) == 0;
}

// The engine's half: what came, to the last byte, against what it offers. A wish above `bytes_max`
// becomes that; *hello gets what is agreed on, the version as version_max. The space is the
// caller's to look up.
static inline enum pe_shm_answer pe_shm_check_hello(
	const void *data, size_t bytes, uint32_t bytes_max, struct pe_shm_hello *hello)
{
	static const uint8_t zeros[sizeof hello->reserved];

	if (bytes != sizeof *hello)
		return PE_SHM_MALFORMED;
	memcpy(hello, data, sizeof *hello);
	if (hello->magic != PE_SHM_MAGIC || hello->version_min > hello->version_max ||
		memcmp(hello->reserved, zeros, sizeof zeros) != 0)
		return PE_SHM_MALFORMED;
	if (hello->version_min > PE_SHM_VERSION || hello->version_max < PE_SHM_VERSION_MIN)
		return PE_SHM_VERSION_UNKNOWN;
	hello->version_max =
		hello->version_max < PE_SHM_VERSION ? hello->version_max : PE_SHM_VERSION;
	if (!hello->up_bytes)
		hello->up_bytes = bytes_max;
	if (!hello->down_bytes)
		hello->down_bytes = bytes_max;
	if (!pe_shm_size_sound(hello->up_bytes) || !pe_shm_size_sound(hello->down_bytes))
		return PE_SHM_SIZE;
	hello->up_bytes = hello->up_bytes < bytes_max ? hello->up_bytes : bytes_max;
	hello->down_bytes = hello->down_bytes < bytes_max ? hello->down_bytes : bytes_max;
	return PE_SHM_WELCOME;
}

// ---- the two ends ----

struct pe_shm_tx { // the producer's own
	uint8_t *ring;
	struct pe_shm_shared *shared;
	uint64_t mask;
	uint64_t tail;      // where the next record begins
	uint64_t head_seen; // up to where lines are known to be given back
};

struct pe_shm_rx { // the consumer's own
	uint8_t *ring;
	struct pe_shm_shared *shared;
	uint64_t mask;
	uint64_t head; // where the next record is looked for
};

// Bytes of the memory; both sizes sound.
static inline uint64_t pe_shm_footprint(uint32_t up_bytes, uint32_t down_bytes)
{
	return (uint64_t)PE_SHM_PAGE_BYTES + up_bytes + down_bytes;
}

static inline void pe_shm_tx_init(
	struct pe_shm_tx *tx, uint8_t *ring, uint32_t bytes, struct pe_shm_shared *shared)
{
	*tx = (struct pe_shm_tx){.ring = ring, .shared = shared, .mask = bytes - 1};
}

static inline void pe_shm_rx_init(
	struct pe_shm_rx *rx, uint8_t *ring, uint32_t bytes, struct pe_shm_shared *shared)
{
	*rx = (struct pe_shm_rx){.ring = ring, .shared = shared, .mask = bytes - 1};
}

// The engine: memory is pe_shm_footprint zero bytes on a page's edge. What the ends know afterwards
// is their own: the page is not read again.
static inline void pe_shm_new(void *memory, uint16_t version, uint32_t up_bytes,
	uint32_t down_bytes, uint64_t epoch, struct pe_shm_rx *up, struct pe_shm_tx *down)
{
	struct pe_shm_page *page = memory;
	uint8_t *ring = (uint8_t *)memory + PE_SHM_PAGE_BYTES;

	page->magic = PE_SHM_MAGIC;
	page->version = version;
	page->line_bytes = PE_SHM_LINE;
	page->epoch = epoch;
	page->up_bytes = up_bytes;
	page->down_bytes = down_bytes;
	page->up_offset = PE_SHM_PAGE_BYTES;
	page->down_offset = (uint64_t)PE_SHM_PAGE_BYTES + up_bytes;
	atomic_store_explicit(&page->state, PE_SHM_LIVE, memory_order_relaxed);
	pe_shm_rx_init(up, ring, up_bytes, &page->up);
	pe_shm_tx_init(down, ring + up_bytes, down_bytes, &page->down);
}

// The client: does the page say what the welcome said? Then both ends are set.
static inline bool pe_shm_join(void *memory, const struct pe_shm_welcome *welcome,
	struct pe_shm_tx *up, struct pe_shm_rx *down)
{
	struct pe_shm_page *page = memory;
	uint8_t *ring = (uint8_t *)memory + PE_SHM_PAGE_BYTES;

	if (welcome->version < PE_SHM_VERSION_MIN || welcome->version > PE_SHM_VERSION ||
		!pe_shm_size_sound(welcome->up_bytes) || !pe_shm_size_sound(welcome->down_bytes) ||
		welcome->memory_bytes != pe_shm_footprint(welcome->up_bytes, welcome->down_bytes) ||
		page->magic != PE_SHM_MAGIC || page->version != welcome->version ||
		page->line_bytes != PE_SHM_LINE || page->epoch != welcome->epoch ||
		page->up_bytes != welcome->up_bytes || page->down_bytes != welcome->down_bytes ||
		page->up_offset != PE_SHM_PAGE_BYTES ||
		page->down_offset != (uint64_t)PE_SHM_PAGE_BYTES + welcome->up_bytes)
		return false;
	pe_shm_tx_init(up, ring, welcome->up_bytes, &page->up);
	pe_shm_rx_init(down, ring + welcome->up_bytes, welcome->down_bytes, &page->down);
	return true;
}

// Lines of a record, in bytes.
static inline uint32_t pe_shm_record_bytes(uint32_t message_bytes)
{
	return (message_bytes + 8 + PE_SHM_LINE - 1) & ~(PE_SHM_LINE - 1);
}

static inline _Atomic uint64_t *pe_shm_word(uint8_t *ring, uint64_t mask, uint64_t position)
{
	return (_Atomic uint64_t *)(void *)(ring + (position & mask));
}

static inline uint64_t pe_shm_word_of(uint64_t position, uint32_t bytes)
{
	return (position / PE_SHM_LINE + 1) << 32 | bytes;
}

// ---- producer ----

static inline void pe_shm_publish(struct pe_shm_tx *tx, uint32_t bytes, uint64_t next)
{
	atomic_store_explicit(pe_shm_word(tx->ring, tx->mask, next), 0, memory_order_relaxed);
	// SHM-WORD: release pairs with take's acquire: the message and the next word's 0 are there
	// before this word shows. Without it the consumer could read half a message, or take what
	// an earlier lap left behind it for a record.
	atomic_store_explicit(pe_shm_word(tx->ring, tx->mask, tx->tail),
		pe_shm_word_of(tx->tail, bytes), memory_order_release);
	tx->tail = next;
}

// Is there room for `bytes` and the line behind them? −1: the other side has given back what it
// cannot have had.
static inline int pe_shm_room(struct pe_shm_tx *tx, uint64_t bytes)
{
	uint64_t seen;

	if (tx->mask + 1 - (tx->tail - tx->head_seen) >= bytes + PE_SHM_LINE)
		return 1;
	// SHM-HEAD: acquire pairs with release's store: the consumer has read what it gives back.
	// Without it a record could be written over one that is still being read.
	seen = atomic_load_explicit(&tx->shared->head, memory_order_acquire);
	if (seen - tx->head_seen > tx->tail - tx->head_seen || seen % PE_SHM_LINE)
		return -1;
	tx->head_seen = seen;
	return tx->mask + 1 - (tx->tail - seen) >= bytes + PE_SHM_LINE;
}

// Where a message of at most `bytes` ≤ PE_WIRE_BYTES_MAX goes, 8 bytes behind a line's beginning;
// NULL: no room now, or *broken. It may be written and left again: nothing shows before commit.
static inline uint8_t *pe_shm_reserve(struct pe_shm_tx *tx, uint32_t bytes, bool *broken)
{
	uint32_t need = pe_shm_record_bytes(bytes);
	uint64_t at = tx->tail & tx->mask, rest = tx->mask + 1 - at;
	int room = pe_shm_room(tx, rest < need ? rest + need : need);

	if (room <= 0) {
		*broken = room < 0;
		return NULL;
	}
	if (rest < need)
		pe_shm_publish(tx, PE_SHM_WRAP, tx->tail + rest);
	return tx->ring + (tx->tail & tx->mask) + 8;
}

// The message that was reserved last, of 1 … so many bytes, shows.
static inline void pe_shm_commit(struct pe_shm_tx *tx, uint32_t bytes)
{
	pe_shm_publish(tx, bytes, tx->tail + pe_shm_record_bytes(bytes));
}

// A message of 1 … as many bytes as were reserved, made elsewhere, into the room `to`; it shows.
// The consumer looks at its first line all the time,
// which therefore is written at the end and at once: written first, it would go to the consumer,
// which finds nothing yet, and have to come back for the word.
static inline void pe_shm_put(
	struct pe_shm_tx *tx, uint8_t *to, const void *message, uint32_t bytes)
{
	const uint32_t first = PE_SHM_LINE - 8;
	const uint8_t *from = message;
	uint64_t next = tx->tail + pe_shm_record_bytes(bytes);

	if (__builtin_expect(bytes < first, 0)) {
		memcpy(to, from, bytes);
		pe_shm_publish(tx, bytes, next);
		return;
	}
	memcpy(to + first, from + first, bytes - first);
	atomic_store_explicit(pe_shm_word(tx->ring, tx->mask, next), 0, memory_order_relaxed);
	// SHM-WORD: the compiler's order only, for the line's sake; what makes it sound is the
	// word's release, below.
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(to, from, first);
	// SHM-WORD: release, as in pe_shm_publish
	atomic_store_explicit(pe_shm_word(tx->ring, tx->mask, tx->tail),
		pe_shm_word_of(tx->tail, bytes), memory_order_release);
	tx->tail = next;
}

// After commits: does the consumer sleep? Then the caller wakes it, once.
static inline bool pe_shm_rouse(struct pe_shm_tx *tx)
{
	// SHM-SLEEP: seq_cst, as drowse's fence: either the consumer's second look finds the
	// record, or this finds it asleep. Without both fences each could miss the other's store,
	// and the consumer sleeps beside a record.
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&tx->shared->asleep, memory_order_relaxed) &&
		atomic_exchange_explicit(&tx->shared->asleep, 0, memory_order_relaxed);
}

// After a message, by who writes one now and then: lines of the next one are asked for before it is
// known. Not the first of them, which the consumer looks at meanwhile.
static inline void pe_shm_ahead(const struct pe_shm_tx *tx)
{
	for (unsigned line = 1; line <= PE_SHM_AHEAD; line++)
		pe_prefetch_own(tx->ring + ((tx->tail + line * PE_SHM_LINE) & tx->mask));
}

// ---- consumer ----

// The next message: *data points into the ring, where the other side may still write: copy, then
// read. Its bytes; 0 = there is none; −1 = what lies there is no record. The message stays until
// release.
static inline int pe_shm_take(struct pe_shm_rx *rx, const uint8_t **data)
{
	for (;;) {
		uint64_t at = rx->head & rx->mask;
		// SHM-WORD: acquire
		uint64_t word = atomic_load_explicit(
			pe_shm_word(rx->ring, rx->mask, rx->head), memory_order_acquire);
		uint32_t bytes = (uint32_t)word;

		if (word == 0)
			return 0;
		if (word != pe_shm_word_of(rx->head, bytes))
			return -1;
		if (bytes == PE_SHM_WRAP && at != 0) { // not twice in a row: then at is 0
			rx->head += rx->mask + 1 - at;
			continue;
		}
		if (bytes == 0 || bytes > PE_WIRE_BYTES_MAX ||
			pe_shm_record_bytes(bytes) > rx->mask + 1 - at)
			return -1;
		*data = rx->ring + at + 8;
		rx->head += pe_shm_record_bytes(bytes);
		return (int)bytes;
	}
}

// All that was taken so far has been read.
static inline void pe_shm_release(struct pe_shm_rx *rx)
{
	// SHM-HEAD: release
	atomic_store_explicit(&rx->shared->head, rx->head, memory_order_release);
}

static inline bool pe_shm_empty(const struct pe_shm_rx *rx)
{
	return atomic_load_explicit(
		       pe_shm_word(rx->ring, rx->mask, rx->head), memory_order_relaxed) == 0;
}

// As pe_shm_empty; and the lines behind the first of what is there are asked for, by who takes it a
// moment later.
static inline bool pe_shm_glance(const struct pe_shm_rx *rx)
{
	uint64_t word = atomic_load_explicit(
		pe_shm_word(rx->ring, rx->mask, rx->head), memory_order_relaxed);

	if (word == 0)
		return false;
	for (uint32_t line = 1; line <= PE_SHM_AHEAD && line * PE_SHM_LINE < (uint32_t)word + 8;
		line++)
		__builtin_prefetch(rx->ring + ((rx->head + line * PE_SHM_LINE) & rx->mask), 0, 3);
	return true;
}

// Before sleeping. False: something is there, do not sleep.
static inline bool pe_shm_drowse(struct pe_shm_rx *rx)
{
	atomic_store_explicit(&rx->shared->asleep, 1, memory_order_relaxed);
	// SHM-SLEEP: seq_cst
	atomic_thread_fence(memory_order_seq_cst);
	return pe_shm_empty(rx);
}

// Awake: nobody need be told any more.
static inline void pe_shm_arise(struct pe_shm_rx *rx)
{
	atomic_store_explicit(&rx->shared->asleep, 0, memory_order_relaxed);
}
