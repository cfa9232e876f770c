// The gate of one worker, between its sources and the engine: CONNECT messages open sessions here,
// sealed messages of a burst leave their seals here, and what goes back to a session's peer is
// sealed here. What passes has peer.principal set; what does not is counted with its reason and
// gets silence. Without a keyring there is no gate, and a worker's loop asks once a burst.
//
// To the engine a session is a peer of its own: the address that it was opened from, and for a port
// the session's number, so that a client whose address changes stays the same peer, and two
// sessions at one address are two. Where the client really is, and which session an answer belongs
// to, is in a table here; pe_peer.link says where (PE_GATE_LINK). So sources keep bit 30 of their
// links 0.
//
// Messages are refused in the order of what it costs to find out: length, version, what the source
// demands, the shape of a CONNECT and its cookie, the source's bucket, session, epoch and window,
// tag, then all that the engine looks at. A handshake costs as much as thousands of messages: one a
// turn, and one a millisecond while there is much else to do, so that they take a fifth of the
// worker's time at most; the others wait in a small ring, for which the messages are copied.
//
// Threads: create, destroy and offer are the main thread's, the first two while the worker does not
// run; everything else is the worker's. Memory is taken at create.
#pragma once

#include "guard/bucket.h"
#include "guard/connect.h"
#include "guard/unseal.h"

#include <stdatomic.h>

#define PE_GATE_LINK        0x40000000u // in pe_peer.link: the gate's
#define PE_GATE_KEPT        0x20000000u // beside it: good over turns
#define PE_GATE_HANDSHAKES  1u          // with public-key work, a turn
#define PE_GATE_BUSY        16u         // other messages in a turn: much else to do
#define PE_GATE_WAITING_MAX 32u         // HELLOs that wait for a turn
#define PE_GATE_SOURCES_MAX 256u

// Between all workers' gates: messages of sessions that came to another worker.
struct pe_gate_mail;
// NULL: no memory. Created before the gates, destroyed after them.
struct pe_gate_mail *pe_gate_mail_create(unsigned worker_count);
void pe_gate_mail_destroy(struct pe_gate_mail *mail);

struct pe_gate_config {
	struct pe_worker *worker; // whose counters are counted in; its index is `index`
	unsigned index, worker_count;
	uint32_t session_count_max;   // 1 … PE_SESSIONS_MAX
	uint32_t link_count_max;      // for subscriptions: kept at one time
	struct pe_rate connects;      // handshakes of a source's prefix
	uint32_t opening_ms, idle_ms; // as in struct pe_session_config
	uint64_t life_ms;
	uint8_t cookie_seed[32]; // the same for all workers, with the time it was drawn
	uint64_t cookie_began_ms;
	struct pe_gate_mail *mail; // NULL: nothing is handed over
	// By source: an answer may leave by any worker, so that a message may be handed over to its
	// session's
	bool portable[PE_GATE_SOURCES_MAX];
	// By source: the least level of its messages, 0 = none, which only trusted peers may use.
	uint8_t level[PE_GATE_SOURCES_MAX];
};

struct pe_gate;

// PE_INVALID, PE_NO_MEMORY, PE_UNSUPPORTED. The keyring, whose principals have their numbers, stays
// the caller's, and lives until another one is used.
[[nodiscard]] enum pe_status pe_gate_create(const struct pe_gate_config *config,
	const struct pe_keyring *keyring, struct pe_gate **gate, struct pe_error *error);
void pe_gate_destroy(struct pe_gate *gate);
size_t pe_gate_bytes(const struct pe_gate *gate);
bool pe_gate_locked(const struct pe_gate *gate); // its keys stay out of the swap
const char *pe_gate_backend(const struct pe_gate *gate);
uint32_t pe_gate_session_count(const struct pe_gate *gate);

// The sink that the engine is to be given: seals what belongs to a session and passes everything on
// to `below`, which stays the caller's and outlives the gate's use. For each `below` once.
const struct pe_sink *pe_gate_sink(struct pe_gate *gate, const struct pe_sink *below);

// How many messages the next burst may have: less than PE_BURST_MAX where other workers have handed
// some over.
unsigned pe_gate_room(const struct pe_gate *gate);
// Before the engine's turn, also without messages; after pe_gate_sink. Takes the burst as it came
// from the sources, whose bytes it may write to, and adds what other workers have handed over, up
// to PE_BURST_MAX. Returns how many are for the engine, at the front of `messages`, which has room
// for PE_BURST_MAX, in their order.
unsigned pe_gate_take(
	struct pe_gate *gate, struct pe_now now, struct pe_message *messages, unsigned count);
// Handshakes and handed-over messages that wait: the worker may not sleep.
unsigned pe_gate_waiting(const struct pe_gate *gate);
// Now and then, beside what the turn does: the clock's work on sessions, and another keyring where
// one is offered.
void pe_gate_housekeep(struct pe_gate *gate, struct pe_now now);

// Another keyring, to be used from the next housekeeping on; the one that pe_gate_used tells is
// still read.
void pe_gate_offer(struct pe_gate *gate, const struct pe_keyring *keyring);
const struct pe_keyring *pe_gate_used(const struct pe_gate *gate);
