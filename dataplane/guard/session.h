// The sessions of one worker: found by their id, each with its keys, its replay window and the
// address of its client. Tuned for a look-up of one line in a table that is at most half full, and
// for keys that are expanded once. Memory is taken at start; nothing is allocated later. One
// thread, the worker's.
//
// An id is drawn at random, but for three parts that the engine needs: bits 0–7 count the epoch
// modulo 256, bits 8–12 are the worker, so that a message that arrives elsewhere (after its
// client's address has changed) can be handed over. An id is nothing secret, and proves nothing.
//
// Epochs: each direction's key comes from a chain of one-way steps. The client begins the next
// epoch by sending in it; both directions move with the first message of it that is right. The
// epoch before is accepted for 30 s more. The engine refuses an epoch that is older than an hour,
// or has had 2³² messages. Sequences go on through epochs, so that there is one replay window.
//
// The order of a message (docs/sessions.md): pe_session_admit finds session and key and looks at
// the window; the tag is worked out (seal.h); pe_session_commit takes the sequence, moves the
// epoch, and follows the client to a new address. Nothing changes before the tag was right.
#pragma once

#include "engine.h"
#include "keyring.h"
#include "seal/noise.h"
#include "seal/replay.h"
#include "seal/seal.h"

#define PE_SESSIONS_MAX              (1u << 20) // a worker; some 2.9 KB each
#define PE_SESSIONS_PER_KEY          16         // live ones of one principal's key, on one worker
#define PE_SESSIONS_OPENING_PER_KEY  4          // beside them, without a message yet
#define PE_SESSION_OPENING_MS        10000u     // for the first message
#define PE_SESSION_IDLE_MS           300000u    // without a message
#define PE_SESSION_LIFE_MS           86400000u  // then a new handshake, with new secrets
#define PE_SESSION_EPOCH_MS          3600000u   // age at which a client has to have moved on
#define PE_SESSION_EPOCH_OVERLAP_MS  30000u     // of an epoch that has ended
#define PE_SESSION_EPOCH_MIN_MS      10000u     // a step costs 4 µs: not with each message
#define PE_SESSION_EPOCH_PACKETS_MAX ((uint64_t)1 << 32)

enum pe_session_verdict {
	PE_SESSION_OK,
	PE_SESSION_UNKNOWN, // no such session here, or it has ended
	// neither this epoch nor its neighbours, or one that has ended, or too soon for the next
	PE_SESSION_EPOCH,
	PE_SESSION_REPLAY, // a sequence that was taken, or behind the window
	PE_SESSION_TAG,    // for the caller: the tag was wrong
	PE_SESSION_VERDICTS
};

struct pe_session_secrets {
	uint8_t chain[32];                  // of the epoch behind `next`
	uint8_t next[PE_SEAL_SECRET_BYTES]; // of the next epoch, not expanded yet
};

struct pe_session {
	struct pe_seal_key receive, send; // of the current epoch
	struct pe_replay replay;
	struct pe_session_secrets receive_secrets, send_secrets;
	uint8_t current[PE_SEAL_SECRET_BYTES];  // what `receive` was expanded from
	uint8_t previous[PE_SEAL_SECRET_BYTES]; // of the epoch before, while it is accepted
	uint64_t id;                            // with epoch bits 0; 0 = a free entry
	uint64_t opened_ms, heard_ms, epoch_ms; // monotonic
	uint64_t ends_ms;                       // by its life or by its key's
	uint64_t received, sent;                // in this epoch
	uint64_t send_sequence;                 // the last one
	uint64_t moves;                         // to other addresses
	struct pe_peer peer;                    // where answers go
	struct pe_peer first;                   // where it was opened from
	uint8_t static_key[32];                 // the client's
	uint64_t hello;                         // the caller's: which HELLO opened it
	uint32_t principal;                     // in the table's keyring, as of `keyring_number`
	uint32_t keyring_number;
	uint32_t principal_number; // that stays from keyring to keyring
	uint32_t epoch;
	// entry + 1 of the next session of this bucket of keys, or of the next free entry
	uint32_t next_of_key;
	uint32_t links;       // the caller's: kept for what is sent in later turns,
	uint64_t links_moves; // as of so many moves
	uint8_t level;        // enum pe_seal_level
	bool live;            // a message of the client was right
	bool proved;          // the client receives at peer: a cookie showed it
};

struct pe_session_config {
	uint32_t session_count_max;
	uint32_t worker; // 0 … PE_WORKERS_MAX − 1
	uint32_t opening_ms, idle_ms;
	uint64_t life_ms; // 0 in any of the three: the caps above
};

struct pe_session_table;

// The keyring stays the caller's, and must live until the next pe_session_table_keyring or the end.
// PE_INVALID, PE_NO_MEMORY.
[[nodiscard]] enum pe_status pe_session_table_create(const struct pe_session_config *config,
	struct pe_seal *seal, const struct pe_keyring *keyring, struct pe_session_table **table);
void pe_session_table_destroy(struct pe_session_table *table);
size_t pe_session_table_bytes(const struct pe_session_table *table);
// False: the keys could not be locked in memory.
bool pe_session_table_locked(const struct pe_session_table *table);
uint32_t pe_session_count(const struct pe_session_table *table);

// Another keyring from now on: a session whose key is not in it any more ends with its next message
// or sweep.
void pe_session_table_keyring(struct pe_session_table *table, const struct pe_keyring *keyring);

// For who has shown this static key, at the other end of a handshake. pe_session_key has to follow
// before anything else is asked of the table. The session waits for its first message.
// PE_NOT_FOUND: the key is not in the keyring now; PE_FULL. A key that has
// PE_SESSIONS_OPENING_PER_KEY waiting ones loses the oldest of them; one that has
// PE_SESSIONS_PER_KEY live ones loses the longest silent of those when the new one comes alive,
// since until then it may be a stranger's repeat of a handshake.
[[nodiscard]] enum pe_status pe_session_begin(struct pe_session_table *table,
	const uint8_t static_key[32], uint8_t level, const struct pe_peer *peer, struct pe_now now,
	struct pe_session **session);
// first and second are what pe_noise_split gave, wiped here: the client sends with the first.
void pe_session_key(struct pe_session_table *table, struct pe_session *session, uint8_t first[32],
	uint8_t second[32]);
// How long it lives from now, and how long it may be silent, s.
void pe_session_times(const struct pe_session_table *table, const struct pe_session *session,
	struct pe_now now, uint32_t *life_s, uint32_t *idle_s);
void pe_session_end(struct pe_session_table *table, struct pe_session *session);
// Is there a session of this key that the same HELLO opened? An honest client makes each anew.
bool pe_session_repeats(
	struct pe_session_table *table, const uint8_t static_key[32], uint64_t hello);

// Which worker's table knows an id.
static inline unsigned pe_session_worker(uint64_t session_id)
{
	return (unsigned)(session_id >> 8) & 31;
}

struct pe_session_opening {
	struct pe_session *session;
	const struct pe_seal_key *key;
	uint64_t id; // as in the session
	uint64_t sequence;
	uint32_t epoch;
};

// Before the tag. `index` is the message's in its burst, below PE_BURST_MAX: an opening is good
// until the next of the same index. Nothing of the session changes.
[[nodiscard]] enum pe_session_verdict pe_session_admit(struct pe_session_table *table,
	uint64_t session_id, uint64_t sequence, unsigned index, struct pe_now now,
	struct pe_session_opening *opening);
// After the tag was right, in the order of the messages, and after the last tag of the burst was
// worked out: it may replace the keys that openings point to. Anything but OK: the message is not
// taken (its twin came before it in the burst, or the session has ended).
[[nodiscard]] enum pe_session_verdict pe_session_commit(struct pe_session_table *table,
	const struct pe_session_opening *opening, const struct pe_peer *peer, struct pe_now now);

// By its id, with any epoch; NULL: there is none. What has to end is still found until it is swept,
// or a message of it is looked at.
struct pe_session *pe_session_find(struct pe_session_table *table, uint64_t session_id);
// The same, but NULL where it has to end.
struct pe_session *pe_session_alive(
	struct pe_session_table *table, uint64_t session_id, struct pe_now now);
// Its number among the table's, below session_count_max: no other living session has it.
uint32_t pe_session_number(const struct pe_session_table *table, const struct pe_session *session);

// For an answer: the id and sequence of its header, and the key. False: this epoch may not send any
// more; the client has to begin the next.
[[nodiscard]] bool pe_session_answer(struct pe_session *session, struct pe_now now,
	uint64_t *session_id, uint64_t *sequence, const struct pe_seal_key **key);

// The client showed a cookie of this address. Nothing happens when the session is at another one.
void pe_session_prove(struct pe_session *session, const struct pe_peer *peer);

// Looks at the next `count` entries and ends what has to; for each turn a few. Returns how many
// ended.
unsigned pe_session_sweep(struct pe_session_table *table, unsigned count, struct pe_now now);
