// How a client's datagrams travel: a table of five calls, so that the same client runs over a UDP socket or over
// whatever else carries whole datagrams. Tuned for batches: many messages a call. A transport belongs to
// its client and to the client's thread.
#pragma once

#include "client/presence.h"

#include <sys/uio.h>

struct presence_transport {
	// Takes up to count datagrams, in order, without waiting. Returns how many were taken; 0 when there is no room now; −1
	// with errno when the system refused the first one.
	int (*send)(void *context, const struct iovec *messages, unsigned count);
	// Puts datagrams into messages[].iov_base, of iov_len room, and sets iov_len to their length (above the room when one
	// was cut). Waits at most timeout_ms for the first. Returns how many came, 0 for none, −1 with errno.
	int (*receive)(void *context, struct iovec *messages, unsigned count, int timeout_ms);
	int (*descriptor)(const void *context); // to poll on; −1 = there is none
	void (*close)(void *context);
	// Who is at the other end, as a person would name it; true: lately the system said that nobody is. May be NULL.
	bool (*describe)(const void *context, char *text, size_t size);
};

// Opens a connected, non-blocking UDP socket.
enum presence_result presence_udp_open(
	const struct presence_options *options, void **context, char *error, size_t error_bytes);
extern const struct presence_transport presence_udp;

// A client over a transport that is open. The client closes it, also when this fails.
enum presence_result presence_open_over(const struct presence_transport *transport, void *context,
	const struct presence_options *options, struct presence_client **client);
