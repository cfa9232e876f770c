// A bounded ring of fixed-size elements between one producer and one consumer thread. Elements are
// copied in and out whole; both sides keep a private copy of the other's index and touch the shared
// line only when it runs out, so a burst costs one cache-line transfer of indices. Tuned for bursts
// of 128-byte records.
//
// Operation × thread: put, flush, room: the producer only; peek, release: the consumer only; count:
// anyone (a hint).
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

struct pe_ring_spsc {
	// constants after init
	uint8_t *elements;
	uint32_t mask;
	uint32_t element_bytes;

	// written: producer; read: consumer
	_Alignas(64) _Atomic uint32_t tail;
	// producer's own
	uint32_t tail_private;
	uint32_t head_seen;

	// written: consumer; read: producer
	_Alignas(64) _Atomic uint32_t head;
	// consumer's own
	uint32_t head_private;
	uint32_t tail_seen;
};

static inline uint64_t pe_ring_spsc_bytes(uint32_t count, uint32_t element_bytes)
{
	return (uint64_t)count * element_bytes;
}

// count: a power of two. memory: pe_ring_spsc_bytes of it, owned by the caller and outliving the
// ring.
static inline void pe_ring_spsc_init(
	struct pe_ring_spsc *r, void *memory, uint32_t count, uint32_t element_bytes)
{
	assert(count && (count & (count - 1)) == 0);
	memset(r, 0, sizeof *r);
	r->elements = memory;
	r->mask = count - 1;
	r->element_bytes = element_bytes;
}

// Producer: elements that can be put now; looks at the consumer's index only when the known room is
// less than `wanted`.
static inline uint32_t pe_ring_spsc_room(struct pe_ring_spsc *r, uint32_t wanted)
{
	uint32_t room = r->mask + 1 - (r->tail_private - r->head_seen);

	if (room < wanted) {
		// RING-HEAD: acquire pairs with release's store: the consumer has finished reading
		// what it gave back. Without it a new element could overwrite one that is still
		// being read.
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		room = r->mask + 1 - (r->tail_private - r->head_seen);
	}
	return room;
}

// Producer: where the next element goes, after room() said ≥ 1. Becomes visible with flush.
static inline void *pe_ring_spsc_put(struct pe_ring_spsc *r)
{
	return r->elements + (uint64_t)(r->tail_private++ & r->mask) * r->element_bytes;
}

// Producer: publishes all that was put since the last flush.
static inline void pe_ring_spsc_flush(struct pe_ring_spsc *r)
{
	// RING-TAIL: release pairs with peek's acquire: the element's bytes are written before its
	// index shows. Without it the consumer could read a half-written element.
	if (r->tail_private != atomic_load_explicit(&r->tail, memory_order_relaxed))
		atomic_store_explicit(&r->tail, r->tail_private, memory_order_release);
}

// Consumer: the n-th waiting element, or NULL. Valid until release.
static inline const void *pe_ring_spsc_peek(struct pe_ring_spsc *r, uint32_t n)
{
	if (r->tail_seen - r->head_private <= n) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire); // RING-TAIL
		if (r->tail_seen - r->head_private <= n)
			return NULL;
	}
	return r->elements + (uint64_t)((r->head_private + n) & r->mask) * r->element_bytes;
}

// Consumer: gives back the first n elements.
static inline void pe_ring_spsc_release(struct pe_ring_spsc *r, uint32_t n)
{
	r->head_private += n;
	atomic_store_explicit(&r->head, r->head_private, memory_order_release); // RING-HEAD
}

// Anyone: about how many are waiting; exact when both sides rest and everything put was flushed.
static inline uint32_t pe_ring_spsc_count(const struct pe_ring_spsc *r)
{
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	return atomic_load_explicit(&r->tail, memory_order_relaxed) - head;
}
