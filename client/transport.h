// How a client's datagrams travel: a table of five calls, so that the same client runs over a UDP
// socket or over whatever else carries whole datagrams. Tuned for batches: many messages a call. A
// transport belongs to its client and to the client's thread.
#pragma once

#include "client/presence.h"

#include <sys/uio.h>

struct presence_transport {
	// Takes up to count datagrams, in order, without waiting. Returns how many were taken; 0
	// when there is no room now; −1 with errno when the system refused the first one.
	int (*send)(void *context, const struct iovec *messages, unsigned count);
	// Puts datagrams into messages[].iov_base, of iov_len room, and sets iov_len to their
	// length (above the room when one was cut). Waits at most timeout_ms for the first. Returns
	// how many came, 0 for none, −1 with errno.
	int (*receive)(void *context, struct iovec *messages, unsigned count, int timeout_ms);
	int (*descriptor)(const void *context); // to poll on; −1 = there is none
	void (*close)(void *context);
	// Who is at the other end, as a person would name it; true: lately the system said that
	// nobody is. May be NULL.
	bool (*describe)(const void *context, char *text, size_t size);
	// What the client called the message that left with this sequence; NULL: just so.
	uint64_t (*original)(const void *context, uint64_t sequence);
	// What follows may be NULL, all five of them together: datagrams are then gathered by the
	// client and sent in batches.
	//
	// Where the next datagram of at most PE_WIRE_BYTES_MAX bytes may be written in place; NULL:
	// no room now. One at a time; one that isn't committed is as if it had not been reserved.
	uint8_t *(*reserve)(void *context);
	// It is sent. false: the other side has gone meanwhile.
	bool (*commit)(void *context, uint8_t *data, uint32_t bytes);
	// Likewise, of one that was made elsewhere and is yet to be written there: a short one is
	// quicker so than in place.
	bool (*put)(void *context, uint8_t *data, const uint8_t *message, uint32_t bytes);
	// who sleeps on the other side is woken for what was committed
	void (*flush)(void *context);
	// True: nothing has come, and nothing else need be looked after by a receive that doesn't
	// wait. May be NULL: that is for receive to find out.
	bool (*silent)(void *context);
	// How many times the other end was found: a higher number than before says that it isn't
	// the one that was there
	uint64_t (*attached)(const void *context);
	// As presence_known_as. May be NULL: nobody says.
	void (*known_as)(const void *context, uint8_t id[16]);
	// Where describe says that nobody is there: why, and what mends it; NULL: nothing more than
	// that is known. May be NULL.
	const char *(*why_nobody)(const void *context);
};

// Which of them a URI means. False: none; error says what is understood.
//   shm:///run/presence/presence.sock   presence_shm; path is the rest from the third / on
//   udp://host:port, udp://host, udp://[::1]:port
struct presence_address {
	bool shm;
	char text[256]; // the path, or the host
	uint16_t port;  // 0: not said
};
bool presence_uri_parse(
	const char *uri, struct presence_address *address, char *error, size_t error_bytes);

// Attaches to the ring source of an engine at this path; buffer_bytes of the options is then the
// wished size of each ring.
enum presence_result presence_shm_open(const char *path, const struct presence_options *options,
	void **context, char *error, size_t error_bytes);
extern const struct presence_transport presence_shm;

// Opens a connected, non-blocking UDP socket.
enum presence_result presence_udp_open(
	const struct presence_options *options, void **context, char *error, size_t error_bytes);
extern const struct presence_transport presence_udp;

// A client over a transport that is open. The client closes it, also when this fails.
enum presence_result presence_open_over(const struct presence_transport *transport, void *context,
	const struct presence_options *options, struct presence_client **client);
