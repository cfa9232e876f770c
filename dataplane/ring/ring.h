// The ring source: programs on this machine that share memory with the engine instead of sending
// datagrams (wire/shm_ring.h has the layout, docs/rings.md the life of a ring). Between ring.c,
// which opens, reports and closes (main thread), attach.c, whose thread listens, greets, hands
// rings to workers and takes them back, and burst.c, the workers' half. Knows no DPDK. No client is
// trusted: whatever one writes, costs its worker a bounded share of a turn.
//
// A client belongs to one worker, from its stage ATTACHED to DONE:
//
//   FREE ──attach──▶ ATTACHED ──its socket closed, or it broke its ring──▶ CLOSING
//   CLOSING ──worker──▶ DONE ──attach──▶ FREE
//
// The attach thread writes every stage but DONE. It fills a client in before ATTACHED and unmaps it
// after DONE; between the two the memory is the worker's to touch, and `up` and `down` are its
// alone. A worker that is told of CLOSING takes what was published before, no more than one ring's
// worth, so that who sends and leaves is heard.
#pragma once

#include "dataplane/ring/users.h"
#include "dataplane/source.h"
#include "wire/shm_ring.h"

#include <pthread.h>

#define PE_RING_HELLO_MS     2000 // for a client to say what it wants
#define PE_RING_HELLOS_MAX   16   // connections that have not yet said it
#define PE_RING_TX_SLOTS     (2 * PE_OUTBOX_MAX)
#define PE_RING_TX_BYTES     1456 // PE_WIRE_BYTES_MAX, kept a multiple of 8
#define PE_RING_LINK_CLIENTS 6    // bits of pe_peer.link; the others are the client's generation

static_assert(PE_RING_CLIENTS_MAX == 1u << PE_RING_LINK_CLIENTS, "links and bit masks");

enum pe_ring_stage { PE_RING_FREE, PE_RING_ATTACHED, PE_RING_CLOSING, PE_RING_DONE };
// As it is written in a client, together with the worker that it is about: a worker that saw one
// stage and then looked whose the client is could find the next client's there.
#define PE_RING_STAGE(word) ((enum pe_ring_stage)((word)&0xFFu))
static inline uint32_t pe_ring_word(enum pe_ring_stage stage, unsigned worker)
{
	return (uint32_t)stage | worker << 8;
}

struct pe_ring_client {
	// written: attach, before ATTACHED and after DONE; read: attach, and the worker between
	// them
	int socket_fd; // closed by the client, or by its death: it has gone. In version 1 the
	               // worker wakes it by a byte
	int event_fd;  // written by the client, to wake the worker; nobody reads it
	// written by the worker, to wake the client; nobody else has it. −1: version 1
	int wake_fd;
	void *memory;
	uint64_t memory_bytes;
	unsigned worker;     // attach's own: a worker goes by the stage's word
	bool ended;          // attach's own: it was told so, and keeps its place alone
	uint32_t generation; // of what has been at this place
	uint32_t uid;
	struct pe_peer peer;
	// pe_ring_word, written as enum pe_ring_stage says. RING-STAGE
	_Atomic uint32_t stage;
	// written: the worker, when it has met what is no record; read: attach
	_Atomic bool broken;
	// written: the worker; read: report
	_Atomic uint64_t received, sent, full;

	// the worker's own
	_Alignas(64) struct pe_shm_rx up;
	struct pe_shm_tx down;
	uint64_t last_bytes; // CLOSING: what may still be taken
};

struct pe_ring_lane { // one worker's, but for what attach writes
	// written: attach, release; read: the worker: raised after stages changed
	_Alignas(64) _Atomic uint32_t change;
	int wake_fd;  // written: attach, to end a sleep; the worker reads it
	int epoll_fd; // wake_fd and the event_fd of each client, edge-triggered; added: attach;
	              // waited on: the worker
	int ready_fd; // always readable: given in place of epoll_fd when there is something already

	// the worker's own
	_Alignas(64) uint32_t change_seen;
	unsigned turn;
	bool armed;        // its clients are told that it sleeps
	uint64_t active;   // clients whose up is read
	uint64_t closing;  // of them, those that are to be let go
	uint64_t gone;     // let go, and not yet told to the engine
	uint64_t to_rouse; // clients with something new in down
	unsigned free_count;
	uint16_t free[PE_RING_TX_SLOTS];
	_Alignas(64) uint8_t rx_data[PE_BURST_MAX][PE_SHM_RECORD_MAX];
	_Alignas(64) uint8_t tx_data[PE_RING_TX_SLOTS][PE_RING_TX_BYTES];
};

struct pe_ring_hello { // attach's own: who has connected and not yet said anything
	int fd;        // −1: nobody
	uint64_t until_ms;
};

struct pe_ring {
	struct pe_source source;
	unsigned lane_count, client_count_max;
	uint64_t epoch;
	// call_fd: written by main (close) and by workers (a client to look after), read by attach
	int listen_fd, call_fd;
	dev_t path_device; // what was made at the path: another engine's is left alone
	ino_t path_inode;
	bool running;
	pthread_t attach;
	// written: main, release; read: attach
	_Atomic bool stop;
	// written: main, release; taken by attach: who is attached is to be looked up again
	_Atomic bool users_changed;
	struct pe_ring_hello hellos[PE_RING_HELLOS_MAX];
	// written: attach; read: report
	_Atomic uint64_t attached, detached, broken, refused[PE_SHM_ANSWERS], late, live, known,
		changed;
	struct pe_ring_lane *lanes[PE_WORKERS_MAX];
	struct pe_ring_client clients[PE_RING_CLIENTS_MAX];
};

static inline struct pe_ring *pe_ring_of(struct pe_source *source)
{
	return (struct pe_ring *)source; // its first member
}

// attach.c: the thread, until `stop`. context: the struct pe_ring. Signals are blocked in it.
void *pe_ring_attach_run(void *context);
// Takes a client's memory and descriptors away. The worker has let go of it, or has ended.
void pe_ring_forget(struct pe_ring *ring, struct pe_ring_client *client);

// burst.c: the operations of struct pe_source_ops that workers call.
unsigned pe_ring_receive(struct pe_source *source, unsigned worker, bool fresh,
	struct pe_message *messages, unsigned max, unsigned *seen, struct pe_counters *counters);
void pe_ring_release(struct pe_source *source, unsigned worker);
uint8_t *pe_ring_reserve(struct pe_source *source, unsigned worker, const struct pe_peer *peer);
void pe_ring_commit(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
	uint8_t *data, uint32_t bytes, struct pe_counters *counters);
void pe_ring_flush(struct pe_source *source, unsigned worker, struct pe_counters *counters);
bool pe_ring_waiting(const struct pe_source *source, unsigned worker, unsigned *looks);
int pe_ring_wait_fd(const struct pe_source *source, unsigned worker);
bool pe_ring_departed(struct pe_source *source, unsigned worker, struct pe_peer *peer);
