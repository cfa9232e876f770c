// The directory of principals: who may do what in which space, and whose entities are whose,
// compiled from a keyring for looking up in the packet's path. A principal is known by a number
// (struct pe_peer.principal) that stays its own while the engine runs, whatever the keyring
// becomes; 0 is nobody who is known, who has no role and owns nothing.
//
// Immutable: any thread reads it, inside of a read-side section (base/rcu.h) where another one may
// take its place (pe_engine_principals). A role is looked up in at most PE_DIRECTORY_GRANTS_MAX
// steps, an owner in 16 and a few, lists in 20. Made and destroyed by the control thread, or at
// start.
#pragma once

#include "base/limits.h"
#include "base/status.h"
#include "policy/area.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PE_PRINCIPAL_NUMBER_MAX  (1u << 20)
#define PE_DIRECTORY_GRANTS_MAX  64u        // of one principal
#define PE_DIRECTORY_OWNED_MAX   (1u << 20) // prefixes in all
#define PE_DIRECTORY_EVERY_SPACE 0xFFu

enum pe_role {
	PE_ROLE_PUBLISH = 1,
	PE_ROLE_QUERY = 2,
	PE_ROLE_SUBSCRIBE = 4,
	PE_ROLE_ADMIN = 8, // to erase what is another's, and to say that it was moved on purpose
};

// What a principal may do in a space, or in an area of it.
struct pe_directory_grant {
	uint32_t principal; // number, 1 … PE_PRINCIPAL_NUMBER_MAX
	uint8_t roles;      // enum pe_role, or'ed
	uint8_t space;      // index in the engine's list, or PE_DIRECTORY_EVERY_SPACE
	struct pe_area area;
};

// Entities whose ids have these first bits are this principal's alone.
struct pe_directory_owned {
	uint8_t prefix[16]; // zero behind `bits`
	uint8_t bits;       // 1–128
	uint32_t principal;
};

// What is said of a principal beside what it may do: the lists of the policies (policy/views.h)
// that it is on by a name, and where it stands.
struct pe_directory_listed {
	uint32_t principal;
	uint32_t allow, deny; // bit n: of the n-th policy
	uint8_t stands[16];   // an entity of its own, whose place is its own; nil = nowhere
};

struct pe_principals;

// Both lists in any order; they are copied. PE_INVALID: a number, a space or a count out of range,
// bits behind a prefix, a prefix that holds another one. PE_NO_MEMORY. On failure *directory is
// NULL.
[[nodiscard]] enum pe_status pe_principals_create(const struct pe_directory_grant *grants,
	size_t grant_count, const struct pe_directory_owned *owned, size_t owned_count,
	struct pe_principals **directory, struct pe_error *error);
// Before the directory is anybody's but the maker's, and once: in any order, and of a principal as
// often as need be. PE_INVALID: a number out of range, or a principal that stands at two entities,
// or at one that is not its own. PE_NO_MEMORY. The directory is still sound then, and says nothing
// of lists.
[[nodiscard]] enum pe_status pe_principals_list(struct pe_principals *directory,
	const struct pe_directory_listed *listed, size_t count, struct pe_error *error);
void pe_principals_destroy(struct pe_principals *directory);
uint64_t pe_principals_bytes(const struct pe_principals *directory);

// A directory of NULL knows nobody.

// Whose entity it is by its id; 0 = nobody's.
uint32_t pe_principals_owner(const struct pe_principals *directory, const uint8_t id[16]);
// The same of many, one after the other: *at is where the one before was found, at first anything,
// and of any directory. Where the last one's prefix holds this one too, that is all that is looked
// at.
uint32_t pe_principals_owner_from(
	const struct pe_principals *directory, const uint8_t id[16], uint32_t *at);
// What pe_principals_list was told of it; NULL: nothing.
const struct pe_directory_listed *pe_principals_listed(
	const struct pe_principals *directory, uint32_t principal);
// What the principal may do somewhere in this space: enum pe_role, or'ed over its grants, areas
// left aside.
unsigned pe_principals_roles(
	const struct pe_principals *directory, uint32_t principal, unsigned space);
// The same of grants that are bound to no area.
unsigned pe_principals_roles_everywhere(
	const struct pe_principals *directory, uint32_t principal, unsigned space);
// May it, at this place? One grant has to say so.
bool pe_principals_may_at(const struct pe_principals *directory, uint32_t principal, unsigned space,
	enum pe_role role, bool geodetic, const double position[3]);
// May it, in all of this volume? One grant has to hold it.
bool pe_principals_may_within(const struct pe_principals *directory, uint32_t principal,
	unsigned space, enum pe_role role, bool geodetic, const struct pe_bounds *bounds);
