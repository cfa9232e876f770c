// How a session is opened: CONNECT messages of a client, and what answers them. Two rounds: KNOCK →
// COOKIE, HELLO → WELCOME. Until the cookie has come back nothing is kept of a stranger and no
// public-key work is done; who does not know the engine's public key gets silence; and no answer is
// longer than what it answers.
//
// What is checked, from cheap to dear: length and shape, the engine's key, the MAC (one HMAC), the
// cookie (one or two SipHashes), the handshake (0.2 ms), the keyring, room for a session. The
// caller has taken a token of the source's bucket before (bucket.h): a handshake costs as much as
// some thousands of ordinary messages, and belongs to a thread that can spare them.
//
// The layouts are those of docs/sessions.md. One thread for a struct pe_connect, its cookie and its
// table.
#pragma once

#include "cookie.h"
#include "keyring.h"
#include "seal/connect.h"
#include "session.h"

// What came of a message. Up to PE_CONNECT_WELCOMED there is an answer.
enum pe_connect_verdict {
	PE_CONNECT_COOKIED,  // a cookie, to KNOCK, and to HELLO with one that has passed its time
	PE_CONNECT_WELCOMED, // a session
	// Silence:
	PE_CONNECT_MALFORMED, // length, version, flags, reserved fields, step
	PE_CONNECT_KEY,       // none of the engine's keys
	PE_CONNECT_MAC,       // does not know the engine's public key, or was altered
	PE_CONNECT_LATE,      // cookies cannot be worked out now (cookie.h)
	PE_CONNECT_HANDSHAKE, // does not know a secret key, or was altered
	PE_CONNECT_LEVEL,     // no such level
	PE_CONNECT_STRANGER,  // a key that is not in the keyring now
	PE_CONNECT_FULL,      // no room for a session
	PE_CONNECT_VERDICTS
};

struct pe_connect {
	const struct pe_keyring *keyring; // the table's, too
	struct pe_cookie *cookie;
	struct pe_session_table *table;
	uint64_t sequence; // of the engine's own messages outside sessions
	uint64_t counts[PE_CONNECT_VERDICTS];
};

// A message whose type byte is PE_TYPE_CONNECT, of any length. reply takes PE_CONNECT_REPLY_MAX
// bytes; *reply_bytes = 0: silence.
enum pe_connect_verdict pe_connect_receive(struct pe_connect *connect, const uint8_t *data,
	uint32_t bytes, const struct pe_peer *peer, struct pe_now now, uint8_t *reply,
	uint32_t *reply_bytes);
