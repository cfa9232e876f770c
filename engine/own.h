// What an owner does with its entities (own.c), and what time does to them (own_due.c). All of it
// on the owning worker's thread, for entities that it owns.
#pragma once

#include "internal.h"

// The state that a record holds back, whole. Its owner's thread.
struct pe_published pe_own_held_state(const struct pe_record *r);
enum pe_publish { PE_PUBLISHED, PE_PUBLISH_WAITS, PE_PUBLISH_FULL };
// What a crossing of nearly every entity is: one of this worker that is there, waits for nothing
// and has nothing held back, to another cell. words: of its state; leaf: of its cell, as
// pe_grid_prefetch_inserts found it. Its stamp, and its counter, are the caller's to see to. False:
// there is no room, or the cell is closing, and nothing was done.
bool pe_own_cross(struct pe_worker *w, uint32_t handle, const struct pe_record_words *words,
	uint64_t word, uint64_t key, uint32_t leaf);
// Publishes a state at a cell; when a grace period stands between, it waits in the entity's pending
// node (`owed` = its record has still to be counted).
enum pe_publish pe_own_publish(struct pe_worker *w, uint32_t handle,
	const struct pe_published *state, uint64_t key, bool owed);
// The entity's node, made when it has none; NULL: the pool is empty, or a crossing finds no room in
// it.
struct pe_pending *pe_own_node(struct pe_worker *w, uint32_t handle, bool make);
// Is there an entry for the end of the entity's next state, or one to spare? An entity that crosses
// has one from then on.
bool pe_own_may_end(struct pe_worker *w, uint32_t handle);
// Where this worker's records are published from.
static inline struct pe_draft *pe_own_draft(const struct pe_worker *w)
{
	return &w->engine->table.drafts[w->index];
}
// Puts the node's timer where its flags say, or gives it back when it has none.
void pe_own_schedule(struct pe_worker *w, struct pe_pending *node);
// Drops a waiting state; one that is owed counts as coalesced.
void pe_own_drop_state(struct pe_worker *w, struct pe_pending *node);
// What the record holds back (pe_coalesce_hold) is out of date.
static inline void pe_own_forget_held(struct pe_worker *w, uint32_t handle)
{
	_Atomic uint32_t *at = &w->engine->table.records[handle].status;
	uint32_t status = atomic_load_explicit(at, memory_order_relaxed);

	if (status & PE_STATUS_HELD)
		atomic_store_explicit(at, status & ~PE_STATUS_FLAGS, memory_order_relaxed);
}
// When the published state falls back to INACTIVE; not timed: until changed.
void pe_own_duration(struct pe_worker *w, uint32_t handle, bool timed, uint32_t until);
// What begins when the waiting state is published, while its own duration counts from now on; a
// running cap is cut to the waiting state's own. Its timer is put right.
void pe_own_wait_times(struct pe_worker *w, struct pe_pending *node, uint32_t duration_ms,
	uint32_t cap_ms, uint32_t interval_ms);
void pe_own_begin_holds(
	struct pe_worker *w, uint32_t handle, uint32_t cap_ms, uint32_t interval_ms);
// Liveness without a change of state: what is published gets another expiry.
void pe_own_refresh(struct pe_worker *w, uint32_t handle, uint32_t expiry_tick);
// From everybody, until its next state is published: one with another audience waits.
void pe_own_hide(struct pe_worker *w, uint32_t handle);
// Takes an entity that is there away; its pair is remembered for the tombstone's time.
void pe_own_take_away(struct pe_worker *w, uint32_t handle);
// Moves the expiry timer earlier when it must be.
void pe_own_expires(struct pe_worker *w, uint32_t handle, uint32_t tick);
// Its details changed: when the clock alone changes what is seen of it, its fences look again.
void pe_own_clock(struct pe_worker *w, uint32_t handle);
// Timers, departures, reclaimed handles; returns what was done.
unsigned pe_own_turn(struct pe_worker *w);
// Partition's worker: out of the index.
void pe_own_unindex(struct pe_worker *w, uint32_t handle, uint64_t hash);

// What own.c and own_due.c have of each other.
static inline bool pe_own_reached(uint32_t tick, uint32_t now)
{
	return (int32_t)(now - tick) >= 0;
}
// Does the clock alone change what is seen of it? Without standing queries nobody is told.
static inline bool pe_own_clocked(const struct pe_worker *w, const struct pe_published *p)
{
	return __builtin_expect((p->entity_type == PE_ENTITY_RECURRING) |
			       !!(p->attributes & PE_PUBLISHED_ANNOUNCED),
		       0) &&
		w->watch;
}
// Whether the node's waiting state is of a record that has still to be counted.
void pe_own_owe(struct pe_worker *w, struct pe_pending *node, bool owed);
// A state within its cell, or after the grid was told.
void pe_own_publish_record(struct pe_worker *w, uint32_t handle, const struct pe_published *state);
// A gone or never filled entity leaves the index: here, or on its partition's worker. Too early or
// no room: a tick later.
void pe_own_leave_index(struct pe_worker *w, uint32_t handle);
