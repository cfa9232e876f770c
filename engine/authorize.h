// Who may say what: what the directory of principals (policy/principals.h) and a space's rule mean
// to a record, a query and a fence. An OPEN space takes anybody's word, and costs nothing here. In
// the others who publishes, asks or subscribes needs the role for it, and an entity is its owner's
// alone.
//
// What the directory alone decides is decided at the door, on the worker that received the message;
// whose broadcast it first is known on the owner's worker, to which a change carries who says so.
// Spaces in which that counts, or in which speeds are checked (plausible.h), are `owned`: none of
// their updates covers another, and what is spared the general way is looked at in a few
// comparisons (batch.c).
//
// Threads: worker threads, inside of their turn; the directory may be swapped beside them.
#pragma once

#include "base/memory.h"
#include "engine.h"
#include "entity/change.h"
#include "policy/principals.h"
#include "wire/subscribe.h"

struct pe_space_entry;

// The engine's directory, and the one before it, which waits for a grace period.
struct pe_directory {
	// PRINCIPALS. written: who calls pe_engine_principals; read: workers
	_Atomic(struct pe_principals *) current;
	// RETIRED. written: who calls pe_engine_principals, then the control thread (NULL); read:
	// both
	_Atomic(struct pe_principals *) retired;
	uint64_t retired_stamp; // written before `retired`
	// how often it was swapped. written as `current`; read: workers
	_Atomic uint32_t generation;
};

// What the directory says of the sender of the message that is worked, and where it found the owner
// of its last entity: of one turn, in which the directory stays what it is. All zero: of nobody.
struct pe_authorized {
	const struct pe_principals *directory;
	uint32_t principal;
	uint8_t space, roles, everywhere; // enum pe_role
	uint32_t owned;                   // pe_principals_owner_from
};

// Who broadcast an entity first, by pe_handle_number; 0 = nobody. Only where a space asks for it.
struct pe_owners {
	// written: index partition's worker while nobody can find it (0), then the owner's; read:
	// the owner's
	uint32_t *of; // NULL: no space asks
	struct pe_memory memory;
};

// An update or a withdrawal, of a space that is guarded, at the door: role, area, owner,
// implausible (faster by its own word). c: described; its principal and powers are filled in.
// framed: its position is in another entity's frame, and looked at when it is known (…_placed).
[[nodiscard]] enum pe_reason pe_authorize_change(struct pe_worker *w,
	const struct pe_space_entry *s, const struct pe_peer *peer, struct pe_change *c,
	bool framed);
[[nodiscard]] enum pe_reason pe_authorize_placed(
	const struct pe_worker *w, const struct pe_space_entry *s, const struct pe_change *c);
// An ERASE at the door. What only the owner's worker can know is left to it.
[[nodiscard]] enum pe_reason pe_authorize_erase(const struct pe_worker *w,
	const struct pe_space_entry *s, const struct pe_peer *peer, struct pe_change *c);

// On the owner's worker, an update or a withdrawal: owner.
[[nodiscard]] enum pe_reason pe_authorize_owner(
	const struct pe_worker *w, const struct pe_change *c, uint32_t handle);
// The update was taken: its sender is who broadcast it first, if nobody was.
void pe_authorize_taken(struct pe_worker *w, const struct pe_change *c, uint32_t handle);
// May the sender of an ERASE erase this entity?
bool pe_authorize_may_erase(const struct pe_worker *w, const struct pe_change *c, uint32_t handle);

// A query that passed its checks, of a space that is not OPEN: query_role, query_area. extension:
// as it follows; explained (the query is not looked at then, and may be NULL): it is asked why an
// entity is in its answer, which tells where that is wherever it is.
[[nodiscard]] enum pe_reason pe_authorize_query(const struct pe_worker *w,
	const struct pe_space_entry *s, const struct pe_peer *peer,
	const struct pe_wire_query *query, const uint8_t *extension, bool explained);
// Has it an owner by first broadcast alone, or is one remembered? Worker that owns it.
bool pe_authorize_owned(const struct pe_worker *w, uint32_t handle);
// The spaces, a bit each, in which who this is may ask about everything.
uint64_t pe_authorize_spaces(const struct pe_worker *w, const struct pe_peer *peer);
// May it have the engine's counters, in which there is everything that policies hide? Somebody who
// is known has to be an administrator of every space.
bool pe_authorize_counters(const struct pe_worker *w, const struct pe_peer *peer);
// A subscription, and a fence of it that passed its checks: subscribe_role, subscribe_area.
[[nodiscard]] enum pe_reason pe_authorize_subscription(
	const struct pe_worker *w, const struct pe_space_entry *s, const struct pe_peer *peer);
[[nodiscard]] enum pe_reason pe_authorize_fence(const struct pe_worker *w,
	const struct pe_space_entry *s, const struct pe_peer *peer,
	const struct pe_wire_fence *fence, const uint8_t *extension);
// After the directory was swapped: may the subscription go on? One that an area bounds may not,
// since its fences would have to be asked for anew.
bool pe_authorize_keeps(
	const struct pe_worker *w, const struct pe_space_entry *s, uint32_t principal);

// Control thread: destroys the directory before this one when it can be; true while it has still to
// wait.
bool pe_authorize_control(struct pe_directory *directory);
