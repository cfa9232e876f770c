// What both sides of a session derive from what they share: the names that follow from an engine's
// public key, and the secrets of a session's epochs, by one-way steps from what the handshake ends
// in (docs/sessions.md). Pure; any thread.
#pragma once

#include "seal/seal.h"

// Names the key in messages: the first 8 bytes of a hash of it.
void pe_chain_key_id(const uint8_t public[32], uint8_t id[8]);
// What those who know the public key sign their first messages with.
void pe_chain_mac_key(const uint8_t public[32], uint8_t mac_key[32]);

// A direction's chain, from what pe_noise_split gave for it.
void pe_chain_start(const uint8_t split[32], uint8_t chain[32]);
// The secret of the epoch that a chain is at, and the chain behind it.
void pe_chain_step(uint8_t chain[32], uint8_t secret[PE_SEAL_SECRET_BYTES]);
