// Whole messages, as docs/protocol.md has them, for programs that make and read them by themselves
// — a client in another language above all — and want of libpresence how they travel: over UDP or
// shared memory, sealed in a session (presence_options.session), and unpacked where they may come
// packed (presence_options.pack). Tuned for a program with a loop of its own: nothing here waits
// unless it is told to.
//
//	presence_open(&options, &client, error, sizeof error);
//	presence_message_send(client, message, bytes);
//	… presence_socket(client) can be read, or PRESENCE_MESSAGE_TURN_MS have passed:
//	presence_message_poll(client, came, context, 64, 0);
//
// A session keeps itself while the program takes its turns, and is opened anew when the engine has
// forgotten it; until then nothing is sent. A sealed message travels under another sequence than
// its own; what answers it names its own again.
//
// Threads: those of presence.h.
#pragma once

#include "presence.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PRESENCE_MESSAGE_BYTES_MAX  1452  // of one that is sent
#define PRESENCE_UNPACKED_BYTES_MAX 16512 // of one that comes, where it came packed
// A program that waits on presence_socket and calls presence_message_poll no more seldom keeps its
// session.
#define PRESENCE_MESSAGE_TURN_MS 250

// Sends one message once, as any datagram is: it may be lost. Its header says session 0; with
// `pack` a SPATIAL_QUERY is given the flags of that. PRESENCE_WOULD_BLOCK: there is no room now, or
// no session yet; PRESENCE_BAD_ARGUMENT: shorter than a header or longer than any message;
// PRESENCE_SYSTEM: errno.
enum presence_result presence_message_send(
	struct presence_client *client, const void *message, size_t bytes);

// Takes what has come, at most messages_max datagrams; waits at most timeout_ms (0 = not at all)
// for the first. `came` is called with each message that is sound to its last byte, which is its
// until it returns; it must not call the client. Returns how many datagrams were taken, sound or
// not, or −1 with errno. What the client's own watches wait for is theirs.
int presence_message_poll(struct presence_client *client,
	void (*came)(void *context, const void *message, size_t bytes), void *context,
	unsigned messages_max, int timeout_ms);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
