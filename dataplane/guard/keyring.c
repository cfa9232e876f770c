#include "keyring_internal.h"

#include <stdlib.h>

void pe_keyring_destroy(struct pe_keyring *keyring)
{
	if (!keyring)
		return;
	pe_secret_unmap(&keyring->secret);
	free(keyring->principals);
	free(keyring->keys);
	free(keyring->owned);
	free(keyring->grants);
	free(keyring->users);
	free(keyring->roles);
	free(keyring);
}

bool pe_keyring_locked(const struct pe_keyring *keyring)
{
	return keyring->secret.locked;
}

uint32_t pe_keyring_principal_count(const struct pe_keyring *keyring)
{
	return keyring->principal_count;
}

const struct pe_principal *pe_keyring_principal(const struct pe_keyring *keyring, uint32_t index)
{
	return &keyring->principals[index];
}

const struct pe_grant *pe_keyring_grant(const struct pe_keyring *keyring, uint32_t index)
{
	return &keyring->grants[index];
}

const char *pe_keyring_role(const struct pe_keyring *keyring, uint32_t index, unsigned n)
{
	return keyring->roles[keyring->principals[index].first_role + n];
}

const struct pe_engine_key *pe_keyring_engine_key(
	const struct pe_keyring *keyring, const uint8_t id[8], uint64_t wall_ms)
{
	for (unsigned i = 0; i < keyring->engine_key_count; i++) {
		const struct pe_engine_key *key = &keyring->engine_keys[i];

		if (memcmp(key->id, id, 8) == 0)
			return key->from_ms <= wall_ms && wall_ms < key->until_ms ? key : NULL;
	}
	return NULL;
}

const struct pe_engine_key *pe_keyring_engine_key_at(
	const struct pe_keyring *keyring, unsigned index)
{
	return index < keyring->engine_key_count ? &keyring->engine_keys[index] : NULL;
}

const struct pe_keyring_key *pe_keyring_find(
	const struct pe_keyring *keyring, const uint8_t public[32], uint64_t wall_ms)
{
	uint32_t low = 0, high = keyring->key_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pe_keyring_key *key = &keyring->keys[middle];
		int order = memcmp(public, key->public, 32);

		if (order == 0)
			return key->from_ms <= wall_ms && wall_ms < key->until_ms ? key : NULL;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const uint8_t *pe_keyring_psk(const struct pe_keyring *keyring, const struct pe_keyring_key *key)
{
	return keyring->psks[key->psk];
}

const struct pe_keyring_user *pe_keyring_user_at(const struct pe_keyring *keyring, uint32_t index)
{
	return index < keyring->user_count ? &keyring->users[index] : NULL;
}

uint32_t pe_keyring_owner(const struct pe_keyring *keyring, const uint8_t entity_id[16])
{
	uint32_t low = 0, high = keyring->owned_count;

	// The last prefix that is not behind the id: as none holds another, it is the only one that
	// may hold it.
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (memcmp(keyring->owned[middle].prefix, entity_id, 16) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || !pe_owned_holds(&keyring->owned[low - 1], entity_id))
		return PE_PRINCIPAL_NONE;
	return keyring->owned[low - 1].principal;
}

unsigned pe_keyring_roles(
	const struct pe_keyring *keyring, uint32_t principal, const uint8_t space_id[16])
{
	const struct pe_principal *p = &keyring->principals[principal];
	unsigned roles = 0;

	for (uint32_t i = 0; i < p->grant_count; i++) {
		const struct pe_grant *grant = &keyring->grants[p->first_grant + i];

		if (grant->every_space || memcmp(grant->space_id, space_id, 16) == 0)
			roles |= grant->roles;
	}
	return roles;
}

unsigned pe_keyring_roles_any(const struct pe_keyring *keyring, uint32_t principal)
{
	const struct pe_principal *p = &keyring->principals[principal];
	unsigned roles = 0;

	for (uint32_t i = 0; i < p->grant_count; i++)
		roles |= keyring->grants[p->first_grant + i].roles;
	return roles;
}
