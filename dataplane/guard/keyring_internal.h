// What a keyring is made of: for keyring.c, which looks things up, and keyring_load.c, which fills
// it.
#pragma once

#include "keyring.h"
#include "seal/secret.h"

#include <string.h>

struct pe_keyring {
	struct pe_secret secret; // engine_keys and psks
	struct pe_engine_key *engine_keys;
	uint8_t (*psks)[32]; // 0 is the engine's, zeros when there is none
	struct pe_principal *principals;
	struct pe_grant *grants;
	char (*roles)[PE_ROLE_NAME_MAX];
	struct pe_keyring_key *keys;
	struct pe_owned *owned;
	struct pe_keyring_user *users;
	uint32_t engine_key_count, psk_count, principal_count, grant_count, key_count, owned_count,
		user_count, role_count;
	uint8_t level;
};

static inline bool pe_owned_holds(const struct pe_owned *o, const uint8_t id[16])
{
	unsigned bytes = o->bits / 8, rest = o->bits % 8;

	return memcmp(o->prefix, id, bytes) == 0 &&
		(rest == 0 || (uint8_t)((o->prefix[bytes] ^ id[bytes]) >> (8 - rest)) == 0);
}
