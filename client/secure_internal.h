// What a sealing transport is made of: for secure.c, which seals and opens, and secure_connect.c,
// which opens sessions.
#pragma once

#include "client/secure.h"
#include "seal/chain.h"
#include "seal/connect.h"
#include "seal/noise.h"
#include "seal/replay.h"
#include "seal/seal.h"
#include "seal/secret.h"

#define SECURE_BATCH_MAX 32u
#define SECURE_NAMES     8192u // sequences that are remembered, a power of two
#define SECURE_BYTES     2048u // of a datagram while there is no session
// that nothing came although something was sent, before the engine is asked
#define SECURE_QUIET_US 2000000u
#define SECURE_LOST_US  5000000u // and before another session is opened

struct secure_direction {
	uint8_t chain[32];
	struct pe_seal_key key, before; // of the epoch, and of the one before it
};

struct secure_name {
	uint64_t sealed, original;
};

struct secure {
	const struct presence_transport *below;
	void *below_context;
	struct pe_secret memory; // that this lies in
	struct pe_seal *seal;
	uint8_t engine_key[32], secret[32], public[32], psk[32];
	uint8_t level; // that is asked for
	uint32_t stream_id;

	// the session; there is none while session_id is 0
	uint64_t session_id;
	uint8_t session_level;
	uint32_t epoch;
	uint64_t began_us, epoch_us, life_us, epoch_life_us;
	// that something came; or that something was sent for the first time since
	uint64_t heard_us;
	bool waiting;      // something was sent since
	uint64_t asked_us; // the last PING of our own
	uint64_t sequence;
	struct secure_direction send, receive;
	struct pe_replay replay;
	uint64_t ping[2]; // what is in such a PING

	// that the engine is to be shown where we receive. A KNOCK is on its way while
	// prove_sequence is not 0
	uint64_t prove_sequence;
	uint64_t prove_again_us; // not before
	uint64_t prove_wait_us;  // 0: nothing to show
	uint64_t proof[2];       // the cookie that was shown last, which comes back in a PONG

	// the handshake; none is on its way while step is 0
	uint8_t step; // the one that an answer is awaited to: PE_CONNECT_KNOCK, PE_CONNECT_HELLO
	uint64_t request_sequence, again_us, wait_us;
	uint8_t cookie[16];
	struct pe_noise noise;

	struct secure_name names[SECURE_NAMES];
	uint8_t out[SECURE_BATCH_MAX][PE_WIRE_BYTES_MAX];
	uint8_t in[SECURE_BATCH_MAX][SECURE_BYTES];
};

// secure_connect.c
uint64_t secure_now_us(void);
void secure_connect(struct secure *s); // begins; nothing when one is on its way
// A KNOCK outside of the opening of a session.
void secure_connect_knock(struct secure *s, uint64_t sequence);
// Repeats what has had no answer for too long.
void secure_connect_tick(struct secure *s);
// A datagram that is no message of the session: it may be an answer to a CONNECT.
void secure_connect_take(struct secure *s, const uint8_t *data, uint32_t bytes);

// secure_prove.c
// A right message of the engine's said so, or did not.
void secure_prove_told(struct secure *s, bool unproved);
// Another session, which begins where it was opened.
void secure_prove_reset(struct secure *s);
// A datagram that is no message of the session: true, and *shown is the cookie, where it answers
// our KNOCK.
bool secure_prove_take(struct secure *s, const uint8_t *data, uint32_t bytes);
