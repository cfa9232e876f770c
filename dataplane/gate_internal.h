// What a gate is made of: for gate.c, which takes what comes, and gate_link.c, which seals what
// goes.
#pragma once

#include "gate.h"

#include <string.h>

struct gate_turn {         // of a message that passed, for its answers
	struct pe_peer at; // where it came from, with the source's link
	struct pe_session *session;
	bool unproved; // the client has not shown that it receives there
};

struct gate_kept { // of a subscription, for its notices
	// where the session was when the link was made, with the source's kept link
	struct pe_peer at;
	uint64_t session_id; // 0 = free
	uint32_t principal;  // as the engine has it
	uint32_t next_free;
};

struct gate_waiting {
	struct pe_peer at; // with a kept link
	struct pe_wire_connect hello;
};

struct pe_gate {
	struct pe_gate_config config;
	struct pe_counters *counters;
	struct pe_seal *seal;
	struct pe_session_table *table;
	struct pe_cookie cookie;
	struct pe_connect connect;
	struct pe_bucket_table buckets;
	bool buckets_made;

	struct pe_sink sink;
	const struct pe_sink *below;
	struct pe_now now;
	struct gate_turn turn[PE_BURST_MAX];
	unsigned turn_count;
	unsigned handshakes;            // in this turn
	uint64_t handshake_ms;          // of the last one
	unsigned connects, others;      // of this turn's messages; of the last turn's
	uint64_t leaving[PE_BURST_MAX]; // sessions that end when the turn is over
	unsigned leaving_count;

	struct gate_kept *kept;
	uint32_t kept_free, kept_at; // of the next free one; where housekeeping goes on
	struct gate_waiting waiting[PE_GATE_WAITING_MAX];
	unsigned waiting_first, waiting_count;

	unsigned letters[PE_WORKERS_MAX]; // of each other worker, that are read in this turn

	// written: main thread, release; read: the worker, acquire
	_Alignas(64) _Atomic(const struct pe_keyring *) offered;
	// written: the worker, release; read: main thread, acquire
	_Alignas(64) _Atomic(const struct pe_keyring *) used;
};

static inline bool gate_same_place(const struct pe_peer *a, const struct pe_peer *b)
{
	return a->port == b->port && a->source == b->source &&
		memcmp(a->address, b->address, sizeof a->address) == 0;
}

// The engine's number of a session's principal.
static inline uint32_t gate_principal(const struct pe_session *s)
{
	return 1 + s->principal_number;
}

// gate_link.c
void gate_links_init(struct pe_gate *g);
void gate_links_sink(struct pe_gate *g);
// The session's client is at another place: what is kept for it follows. at: of a message from
// there.
void gate_links_follow(struct pe_gate *g, struct pe_session *s, const struct pe_peer *at);
// Tells the engine of up to `count` kept links whose session is over.
void gate_links_sweep(struct pe_gate *g, unsigned count);

// gate_mail.c
// Copies the message for its session's worker; false: that one's ring is full.
bool gate_mail_post(struct pe_gate *g, unsigned to, const struct pe_message *m);
unsigned gate_mail_waiting(const struct pe_gate *g);
// What was handed over, readable until the next call.
unsigned gate_mail_take(struct pe_gate *g, struct pe_message *messages, unsigned max);
