// The ring of a client: how it is attached, and attached again by itself when the engine ends and
// another one listens. Private to the transport (transport_shm.c); one thread at a time.
#pragma once

#include "client/transport.h"
#include "wire/shm_ring.h"

#include <sys/un.h>

#define SHM_REATTACH_MS 20 // between two attempts to find an engine
#define SHM_LOOK_EMPTY  64 // empty looks, at least, between two at the socket

struct shm {
	struct sockaddr_un at;
	uint32_t ring_bytes; // wished; 0 = as the engine likes
	uint8_t space_id[16];
	uint8_t principal_id[16]; // who we are, as of the last time that the ring was attached
	// What callers wait on, an epoll over the next three and wake_fd: it stays the same when
	// the ring is attached again.
	int descriptor;
	int fd;       // its end is the ring's; −1: not attached
	int self_fd;  // an eventfd: something lay there already when the caller was about to wait
	int timer_fd; // not attached: time to try again
	// the caller has asked for the descriptor: it may sleep after any look that finds nothing
	bool waits;
	int event_fd; // wakes the engine
	// woken by the engine, with its own epoll; −1: by bytes on fd, as version 1 does
	int wake_fd;
	void *memory;
	uint64_t memory_bytes;
	struct pe_shm_tx up;
	struct pe_shm_rx down;
	uint64_t attached; // times
	int knock_fd;      // not attached: a hello was said, and is not yet answered; −1: none
	uint64_t knock_until_ms;
	uint64_t next_ms;  // not attached: when to try again
	unsigned empty;    // looks without a message since the last one at the socket
	uint64_t looked;   // the processor's counter then
	uint8_t *reserved; // in the ring, being filled
	char why[256]; // not attached: what the last attempt ran into; "": none was answered yet
};

// The first time: waits for the answer, 2 s. Not PRESENCE_OK: error and errno say why.
enum presence_result shm_attach(struct shm *s, char *error, size_t error_bytes);
// Lets go of the ring, if it is attached; shm_ready looks for another one.
void shm_detach(struct shm *s);
// Not attached: knocks when it is time to, or takes the answer. No call waits for that. False:
// there is no engine now.
bool shm_attach_again(struct shm *s);
// Wakes that came are taken off; the end of the socket is the end of the ring.
void shm_look_at_socket(struct shm *s);

static inline bool shm_ready(struct shm *s)
{
	return s->fd >= 0 || shm_attach_again(s);
}
