#include "seal/noise.h"
#include "seal/secret.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(crypto_scalarmult_BYTES == 32 && crypto_hash_sha256_BYTES == 32 &&
		crypto_auth_hmacsha256_KEYBYTES == 32 && crypto_auth_hmacsha256_BYTES == 32 &&
		crypto_aead_aes256gcm_KEYBYTES == 32 && crypto_aead_aes256gcm_NPUBBYTES == 12 &&
		crypto_aead_aes256gcm_ABYTES == PE_NOISE_TAG_BYTES,
	"what the pattern's name promises");

#define PAYLOAD_MAX 1024

// Exactly as long as a hash: it stands for itself.
static const char name[32] = "Noise_IKpsk2_25519_AESGCM_SHA256";

void pe_noise_mac(const uint8_t key[32], const void *data, uint32_t bytes, uint8_t out[32])
{
	(void)crypto_auth_hmacsha256(out, data, bytes, key);
}

void pe_noise_public(const uint8_t secret[32], uint8_t out[32])
{
	(void)crypto_scalarmult_base(out, secret);
}

bool pe_noise_product(const uint8_t secret[32], const uint8_t public[32], uint8_t product[32])
{
	return crypto_scalarmult(product, secret, public) == 0;
}

static void mix_hash(struct pe_noise *n, const void *data, uint32_t bytes)
{
	crypto_hash_sha256_state state;

	(void)crypto_hash_sha256_init(&state);
	(void)crypto_hash_sha256_update(&state, n->hash, sizeof n->hash);
	(void)crypto_hash_sha256_update(&state, data, bytes);
	(void)crypto_hash_sha256_final(&state, n->hash);
}

// The pattern's HKDF: `count` outputs of 32 bytes from a chain's key.
static void derive(const uint8_t chain[32], const void *material, uint32_t bytes,
	uint8_t (*out)[32], unsigned count)
{
	uint8_t temp[32], block[33];

	pe_noise_mac(chain, material, bytes, temp);
	for (unsigned i = 0; i < count; i++) {
		if (i)
			memcpy(block, out[i - 1], 32);
		block[i ? 32 : 0] = (uint8_t)(i + 1);
		pe_noise_mac(temp, block, i ? 33 : 1, out[i]);
	}
	pe_secret_wipe(temp, sizeof temp);
	pe_secret_wipe(block, sizeof block);
}

static void mix_key(struct pe_noise *n, const void *material, uint32_t bytes)
{
	uint8_t out[2][32];

	derive(n->chain, material, bytes, out, 2);
	memcpy(n->chain, out[0], 32);
	memcpy(n->key, out[1], 32);
	n->nonce = 0;
	pe_secret_wipe(out, sizeof out);
}

static void mix_psk(struct pe_noise *n, const uint8_t psk[32])
{
	uint8_t out[3][32];

	derive(n->chain, psk, 32, out, 3);
	memcpy(n->chain, out[0], 32);
	mix_hash(n, out[1], 32);
	memcpy(n->key, out[2], 32);
	n->nonce = 0;
	pe_secret_wipe(out, sizeof out);
}

// False when the other's point is of small order: the product would be known to everyone.
static bool mix_product(struct pe_noise *n, const uint8_t secret[32], const uint8_t public[32])
{
	uint8_t product[32];
	bool sound = crypto_scalarmult(product, secret, public) == 0;

	if (sound)
		mix_key(n, product, sizeof product);
	pe_secret_wipe(product, sizeof product);
	return sound;
}

static void next_nonce(struct pe_noise *n, uint8_t nonce[12])
{
	uint64_t big = __builtin_bswap64(n->nonce++);

	memset(nonce, 0, 4);
	memcpy(nonce + 4, &big, 8);
}

// out: bytes + 16.
static void encrypt(struct pe_noise *n, const uint8_t *plain, uint32_t bytes, uint8_t *out)
{
	uint8_t nonce[12];

	next_nonce(n, nonce);
	(void)crypto_aead_aes256gcm_encrypt(
		out, NULL, plain, bytes, n->hash, sizeof n->hash, NULL, nonce, n->key);
	mix_hash(n, out, bytes + PE_NOISE_TAG_BYTES);
}

// in: bytes + 16.
static bool decrypt(struct pe_noise *n, const uint8_t *in, uint32_t bytes, uint8_t *plain)
{
	uint8_t nonce[12];

	next_nonce(n, nonce);
	if (crypto_aead_aes256gcm_decrypt(plain, NULL, NULL, in, bytes + PE_NOISE_TAG_BYTES,
		    n->hash, sizeof n->hash, nonce, n->key) != 0)
		return false;
	mix_hash(n, in, bytes + PE_NOISE_TAG_BYTES);
	return true;
}

void pe_noise_start(struct pe_noise *noise, bool initiator, const void *prologue,
	uint32_t prologue_bytes, const uint8_t static_secret[32], const uint8_t static_public[32],
	const uint8_t *remote_static, const uint8_t *ephemeral_secret)
{
	assert(initiator == (remote_static != NULL));
	*noise = (struct pe_noise){.initiator = initiator};
	memcpy(noise->static_secret, static_secret, 32);
	memcpy(noise->static_public, static_public, 32);
	if (remote_static)
		memcpy(noise->remote_static, remote_static, 32);
	if (ephemeral_secret)
		memcpy(noise->ephemeral_secret, ephemeral_secret, 32);
	else
		pe_secret_random(noise->ephemeral_secret, 32);
	memcpy(noise->hash, name, 32);
	memcpy(noise->chain, name, 32);
	mix_hash(noise, prologue, prologue_bytes);
	mix_hash(noise, initiator ? remote_static : static_public, 32);
}

// The token e, with what a pre-shared key adds to it.
static void send_ephemeral(struct pe_noise *n, uint8_t *out)
{
	pe_noise_public(n->ephemeral_secret, n->ephemeral_public);
	memcpy(out, n->ephemeral_public, 32);
	mix_hash(n, out, 32);
	mix_key(n, out, 32);
}

static void take_ephemeral(struct pe_noise *n, const uint8_t *in)
{
	memcpy(n->remote_ephemeral, in, 32);
	mix_hash(n, in, 32);
	mix_key(n, in, 32);
}

static bool done(struct pe_noise *n, bool sound)
{
	n->stage++;
	if (!sound)
		pe_noise_wipe(n);
	return sound;
}

bool pe_noise_write_first(
	struct pe_noise *noise, const uint8_t *payload, uint32_t bytes, uint8_t *out)
{
	assert(noise->initiator && noise->stage == 0 && bytes <= PAYLOAD_MAX);
	send_ephemeral(noise, out);
	if (!mix_product(noise, noise->ephemeral_secret, noise->remote_static))
		return done(noise, false);
	encrypt(noise, noise->static_public, 32, out + 32);
	if (!mix_product(noise, noise->static_secret, noise->remote_static))
		return done(noise, false);
	encrypt(noise, payload, bytes, out + 80);
	return done(noise, true);
}

bool pe_noise_read_first(
	struct pe_noise *noise, const uint8_t *message, uint32_t bytes, uint8_t *payload)
{
	assert(!noise->initiator && noise->stage == 0);
	assert(bytes >= PE_NOISE_FIRST_OVERHEAD && bytes <= PAYLOAD_MAX + PE_NOISE_FIRST_OVERHEAD);
	take_ephemeral(noise, message);
	return done(noise,
		mix_product(noise, noise->static_secret, noise->remote_ephemeral) &&
			decrypt(noise, message + 32, 32, noise->remote_static) &&
			mix_product(noise, noise->static_secret, noise->remote_static) &&
			decrypt(noise, message + 80, bytes - PE_NOISE_FIRST_OVERHEAD, payload));
}

bool pe_noise_write_second(struct pe_noise *noise, const uint8_t psk[32], const uint8_t *payload,
	uint32_t bytes, uint8_t *out)
{
	assert(!noise->initiator && noise->stage == 1 && bytes <= PAYLOAD_MAX);
	send_ephemeral(noise, out);
	if (!mix_product(noise, noise->ephemeral_secret, noise->remote_ephemeral) ||
		!mix_product(noise, noise->ephemeral_secret, noise->remote_static))
		return done(noise, false);
	mix_psk(noise, psk);
	encrypt(noise, payload, bytes, out + 32);
	return done(noise, true);
}

bool pe_noise_read_second(struct pe_noise *noise, const uint8_t psk[32], const uint8_t *message,
	uint32_t bytes, uint8_t *payload)
{
	bool sound;

	assert(noise->initiator && noise->stage == 1);
	assert(bytes >= PE_NOISE_SECOND_OVERHEAD &&
		bytes <= PAYLOAD_MAX + PE_NOISE_SECOND_OVERHEAD);
	take_ephemeral(noise, message);
	sound = mix_product(noise, noise->ephemeral_secret, noise->remote_ephemeral) &&
		mix_product(noise, noise->static_secret, noise->remote_ephemeral);
	if (sound)
		mix_psk(noise, psk);
	return done(noise,
		sound && decrypt(noise, message + 32, bytes - PE_NOISE_SECOND_OVERHEAD, payload));
}

void pe_noise_split(struct pe_noise *noise, uint8_t first[32], uint8_t second[32])
{
	uint8_t out[2][32];

	assert(noise->stage == 2);
	derive(noise->chain, NULL, 0, out, 2);
	memcpy(first, out[0], 32);
	memcpy(second, out[1], 32);
	pe_secret_wipe(out, sizeof out);
}

void pe_noise_wipe(struct pe_noise *noise)
{
	pe_secret_wipe(noise, sizeof *noise);
}
