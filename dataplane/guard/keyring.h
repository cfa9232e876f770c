// The keyring: who there is, with which keys, and what each may do. Read from a YAML file
// (docs/sessions.md describes it) that holds nothing secret itself: secret keys and pre-shared keys
// stand in files of their own, which only their owner may read. A mistake is told as file, line and
// key, and never with a byte of a secret.
//
// A loaded keyring is immutable, so that any thread may read it without a lock. A changed file is
// loaded into a second one; whoever holds the pointer swaps it, and destroys the old one when
// nobody reads it any more. Keys have times from which and until which they hold: two that overlap
// are how one is replaced by the next without a gap. Secrets lie in locked memory, and are wiped
// when the keyring goes. Load and destroy: start and control thread. Looking up: some tens of
// comparisons at most, any thread.
#pragma once

#include "base/status.h"
#include "policy/principals.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PE_KEYRING_FILE_MAX     (1u << 24) // bytes
#define PE_PRINCIPALS_MAX       16384u
#define PE_PRINCIPAL_KEYS_MAX   4u // one in use, one to come, and as much again for who is late
#define PE_ENGINE_KEYS_MAX      4u
#define PE_PRINCIPAL_GRANTS_MAX 16u
#define PE_PRINCIPAL_OWNS_MAX   4096u
#define PE_KEYRING_OWNS_MAX     262144u // of all principals
#define PE_PRINCIPAL_UIDS_MAX   16u
#define PE_KEYRING_USERS_MAX    16384u // of all principals
#define PE_PRINCIPAL_ROLES_MAX  16u    // free ones, of one principal
#define PE_ROLE_NAME_MAX        32u    // bytes, with the end
#define PE_PRINCIPAL_NONE       UINT32_MAX

// What a principal may do in a space, or in an area of it. The area is data: whether a position is
// inside is for the space to say.
struct pe_grant {
	uint8_t roles; // enum pe_role, or'ed
	bool every_space;
	uint8_t dimensions; // of the area: 0 = everywhere, 2 or 3
	uint8_t space_id[16];
	double low[3], high[3]; // in the space's coordinates; low ≤ high but for longitudes
};

struct pe_principal {
	uint8_t id[16];
	char name[64];
	uint8_t level; // enum pe_seal_level: the least that is accepted
	uint32_t first_grant, grant_count;
	uint32_t first_role, role_count; // free ones: words that policies know it by
	uint8_t stands[16]; // an entity under its `owns`, whose place is its own; nil = none
	uint32_t number;    // stays the principal's from keyring to keyring (roster.h)
};

// A principal's key. Sorted by `public`.
struct pe_keyring_key {
	uint8_t public[32];
	uint64_t from_ms, until_ms; // Unix ms, until excluded
	uint32_t principal;
	uint32_t psk; // index of its pre-shared key
};

// One of the engine's own keys; in locked memory.
struct pe_engine_key {
	uint8_t secret[32], public[32];
	uint8_t mac_key[32]; // what those who know the public key sign their first messages with
	uint8_t id[8];       // names the key in messages
	uint64_t from_ms, until_ms;
};

// Entities with these first bits are this principal's alone. Sorted, and none holds another.
struct pe_owned {
	uint8_t prefix[16]; // zero behind `bits`
	uint8_t bits;       // 1–128
	uint32_t principal;
};

// A user of this machine, on whose word the kernel vouches for a principal. Sorted by uid, none
// twice.
struct pe_keyring_user {
	uint32_t uid, principal;
};

struct pe_keyring;

// PE_IO: a file cannot be read; PE_INVALID: "file:line: key: what"; PE_NO_MEMORY. On failure
// *keyring is NULL.
[[nodiscard]] enum pe_status pe_keyring_load(
	const char *path, struct pe_keyring **keyring, struct pe_error *error);
// The same from memory: `name` stands for the file in errors, and files that it names are looked
// for in `folder`.
[[nodiscard]] enum pe_status pe_keyring_load_text(const char *name, const char *folder,
	const char *text, size_t bytes, struct pe_keyring **keyring, struct pe_error *error);
void pe_keyring_destroy(struct pe_keyring *keyring);

// False: the system's limit of locked memory (ulimit -l) was too small for the secrets, so that
// they may reach the swap.
bool pe_keyring_locked(const struct pe_keyring *keyring);
uint32_t pe_keyring_principal_count(const struct pe_keyring *keyring);
const struct pe_principal *pe_keyring_principal(const struct pe_keyring *keyring, uint32_t index);
const struct pe_grant *pe_keyring_grant(const struct pe_keyring *keyring, uint32_t index);

// The n-th free role of a principal, n < role_count.
const char *pe_keyring_role(const struct pe_keyring *keyring, uint32_t index, unsigned n);

// The engine's key with this id that holds now; NULL: none.
const struct pe_engine_key *pe_keyring_engine_key(
	const struct pe_keyring *keyring, const uint8_t id[8], uint64_t wall_ms);
// By index, 0 …, for who prints or publishes them; NULL behind the last.
const struct pe_engine_key *pe_keyring_engine_key_at(
	const struct pe_keyring *keyring, unsigned index);
// The principal's key that is `public` and holds now; NULL: nobody's.
const struct pe_keyring_key *pe_keyring_find(
	const struct pe_keyring *keyring, const uint8_t public[32], uint64_t wall_ms);
const uint8_t *pe_keyring_psk(
	const struct pe_keyring *keyring, const struct pe_keyring_key *key); // 32 bytes

// By index, 0 …; NULL behind the last.
const struct pe_keyring_user *pe_keyring_user_at(const struct pe_keyring *keyring, uint32_t index);

// What the principal may do somewhere at all: roles or'ed over all its grants.
unsigned pe_keyring_roles_any(const struct pe_keyring *keyring, uint32_t principal);
// Whose entity it is by the keyring; PE_PRINCIPAL_NONE: nobody's.
uint32_t pe_keyring_owner(const struct pe_keyring *keyring, const uint8_t entity_id[16]);
// What the principal may do somewhere in this space: roles or'ed over its grants, areas left aside.
unsigned pe_keyring_roles(
	const struct pe_keyring *keyring, uint32_t principal, const uint8_t space_id[16]);
