#include "seal/chain.h"
#include "seal/noise.h"
#include "seal/secret.h"

#include <sodium.h>
#include <string.h>

void pe_chain_key_id(const uint8_t public[32], uint8_t id[8])
{
	static const char what[] = "presenced key id";
	uint8_t text[sizeof what - 1 + 32], hash[32];

	memcpy(text, what, sizeof what - 1);
	memcpy(text + sizeof what - 1, public, 32);
	(void)crypto_hash_sha256(hash, text, sizeof text);
	memcpy(id, hash, 8);
}

void pe_chain_mac_key(const uint8_t public[32], uint8_t mac_key[32])
{
	static const char what[] = "presenced mac key";
	uint8_t text[sizeof what - 1 + 32];

	memcpy(text, what, sizeof what - 1);
	memcpy(text + sizeof what - 1, public, 32);
	(void)crypto_hash_sha256(mac_key, text, sizeof text);
}

void pe_chain_start(const uint8_t split[32], uint8_t chain[32])
{
	pe_noise_mac(split, "presenced chain", 15, chain);
}

void pe_chain_step(uint8_t chain[32], uint8_t secret[PE_SEAL_SECRET_BYTES])
{
	uint8_t out[32];

	pe_noise_mac(chain, "presenced seal", 14, out);
	memcpy(secret, out, PE_SEAL_SECRET_BYTES);
	pe_noise_mac(chain, "presenced next", 14, out);
	memcpy(chain, out, 32);
	pe_secret_wipe(out, sizeof out);
}
