// What apply.c, which sees to one record at a time, and batch.c, which takes many through the same
// stages, have of each other.
#pragma once

#include "internal.h"

static inline struct pe_record *pe_apply_record(const struct pe_worker *w, uint32_t handle)
{
	return &w->engine->table.records[handle];
}

// Type, state and attributes as they are published, from the last word of the record on the wire.
static inline uint32_t pe_apply_tail(uint64_t tail)
{
	return (uint32_t)(tail >> 32) & ~((uint32_t)PE_ATTRIBUTE_RELOCATION << 16);
}

// What is to be published of a record on the wire.
static inline struct pe_record_words pe_apply_words(
	const struct pe_change *c, uint64_t word, uint32_t expiry_tick)
{
	const struct pe_wire_update *u = &c->update;
	uint64_t velocity = pe_wire_word(u->velocity), tail = pe_wire_word(&u->update_frequency);
	// what follows the position gives way to the word
	__m256d place = _mm256_loadu_pd(u->position),
		last = _mm256_castsi256_pd(_mm256_set1_epi64x((int64_t)word));

	return (struct pe_record_words){
		.place = _mm256_blend_pd(place, last, 1 << 3),
		.rest = {pe_apply_tail(tail) | (uint64_t)expiry_tick << 32, c->time_ms,
			pe_wire_word(&u->radius_m), // and precision_m
			(velocity & 0x0000FFFFFFFFFFFFull) |
				(tail & 0xFFFF0000ull) << 32}, // confidences
	};
}
static_assert(offsetof(struct pe_wire_update, precision_m) == 60 &&
		offsetof(struct pe_wire_update, radius_m) == 56 &&
		offsetof(struct pe_wire_update, velocity) == 64 &&
		offsetof(struct pe_wire_update, update_frequency) == 72 &&
		offsetof(struct pe_wire_update, position_confidence) == 74 &&
		offsetof(struct pe_wire_update, attributes) == 78 &&
		offsetof(struct pe_published, entity_type) == 32 &&
		offsetof(struct pe_published, attributes) == 34 &&
		offsetof(struct pe_published, expiry_tick) == 36 &&
		offsetof(struct pe_published, radius_m) == 48 &&
		offsetof(struct pe_published, velocity) == 56 &&
		offsetof(struct pe_published, position_confidence) == 62,
	"the words of pe_apply_words");

static inline uint32_t pe_apply_expiry(const struct pe_worker *w, const struct pe_change *c)
{
#ifdef PE_PLANT_EXPIRY_LATE // tests only
	return w->tick + c->update.ttl_ms + 1;
#endif
	return w->tick + c->update.ttl_ms;
}

// (incarnation, sequence) and event time against what is known.
static inline enum pe_reason pe_apply_check_order(
	const struct pe_record *r, const struct pe_change *c)
{
	if (c->incarnation < r->incarnation ||
		(c->incarnation == r->incarnation && c->update.sequence <= r->sequence))
		return PE_REASON_stale;
	// A new incarnation also resets the event time: its clock may have stepped back.
	if (c->incarnation == r->incarnation && (int32_t)((uint32_t)c->time_ms - r->time_low) < 0)
		return PE_REASON_late;
	return PE_REASON_none;
}

// What passed check_order is what the next one is checked against, whatever becomes of its state.
static inline void pe_apply_remember(struct pe_record *r, const struct pe_change *c)
{
	r->incarnation = c->incarnation;
	r->sequence = c->update.sequence;
	r->time_low = (uint32_t)c->time_ms;
}

// apply.c. Counts a record as refused or dropped, and says so to who asked. known: what its
// acknowledgement tells of; or NULL.
void pe_apply_refuse(struct pe_worker *w, const struct pe_change *c, enum pe_reason reason,
	const struct pe_record *known);
// Finds whose business a change is. The handle when it is this worker's; PE_HANDLE_NONE when it has
// been seen to.
uint32_t pe_apply_route(struct pe_worker *w, const struct pe_change *c, uint32_t handle);
// An entity of this worker is withdrawn, erased or expired at the sender's word: the record counts
// as applied.
void pe_apply_applied(struct pe_worker *w, const struct pe_change *c);
// erase.c. What the sender of an ERASE of what is not known is told.
enum pe_reason pe_erase_unknown(const struct pe_change *c);
// An update of an entity that this worker owns. superseded: a later one of its batch covers it.
void pe_apply_own(struct pe_worker *w, const struct pe_change *c, const struct pe_place *place,
	uint32_t handle, bool superseded);
