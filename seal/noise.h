// The handshake: Noise_IKpsk2_25519_AESGCM_SHA256 (the Noise Protocol Framework, revision 34), both
// sides of it, from libsodium's primitives. The initiator knows the responder's static key; the
// responder learns the initiator's in the first message, encrypted; a pre-shared key goes into the
// second. Two messages, then keys:
//
//	initiator: start, write_first                read_second, split
//	responder:         start, read_first, (look the key up), write_second, split
//
// Calls in another order assert. After a failure the state is wiped and of no use. Some 0.2 ms for
// a side, most of it in four multiplications on the curve: not for the path of ordinary packets. A
// state belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PE_NOISE_KEY_BYTES 32
#define PE_NOISE_TAG_BYTES 16
// what the messages are longer than their payloads
#define PE_NOISE_FIRST_OVERHEAD  (32 + 48 + PE_NOISE_TAG_BYTES)
#define PE_NOISE_SECOND_OVERHEAD (32 + PE_NOISE_TAG_BYTES)

struct pe_noise {
	uint8_t hash[32], chain[32], key[32];
	uint64_t nonce;
	uint8_t static_secret[32], static_public[32];
	uint8_t ephemeral_secret[32], ephemeral_public[32];
	uint8_t remote_static[32], remote_ephemeral[32];
	bool initiator;
	uint8_t stage; // messages that have passed
};

void pe_noise_public(const uint8_t secret[32], uint8_t out[32]);
// The product of a secret and somebody's public key. False: that is no public key.
[[nodiscard]] bool pe_noise_product(
	const uint8_t secret[32], const uint8_t public[32], uint8_t product[32]);

// remote_static: the responder's key, known to the initiator; NULL on the responder's side.
// ephemeral_secret NULL draws one, and anything else is for tests with known answers. The secrets
// are copied; pe_noise_wipe ends them.
void pe_noise_start(struct pe_noise *noise, bool initiator, const void *prologue,
	uint32_t prologue_bytes, const uint8_t static_secret[32], const uint8_t static_public[32],
	const uint8_t *remote_static, const uint8_t *ephemeral_secret);

// `out` takes bytes + the overhead; a payload is at most 1024 bytes. False: a key on the other side
// is none (its product is zero).
[[nodiscard]] bool pe_noise_write_first(
	struct pe_noise *noise, const uint8_t *payload, uint32_t bytes, uint8_t *out);
[[nodiscard]] bool pe_noise_write_second(struct pe_noise *noise, const uint8_t psk[32],
	const uint8_t *payload, uint32_t bytes, uint8_t *out);

// `bytes` is the message's length, at least the overhead; payload takes the rest. False: not made
// by who knows the keys, or altered.
[[nodiscard]] bool pe_noise_read_first(
	struct pe_noise *noise, const uint8_t *message, uint32_t bytes, uint8_t *payload);
[[nodiscard]] bool pe_noise_read_second(struct pe_noise *noise, const uint8_t psk[32],
	const uint8_t *message, uint32_t bytes, uint8_t *payload);

// After both messages. first: what the initiator sends with; second: the responder.
void pe_noise_split(struct pe_noise *noise, uint8_t first[32], uint8_t second[32]);
void pe_noise_wipe(struct pe_noise *noise);

// HMAC-SHA-256, which the handshake's neighbours derive their keys with.
void pe_noise_mac(const uint8_t key[32], const void *data, uint32_t bytes, uint8_t out[32]);
