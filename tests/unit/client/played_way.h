// What comes to a client over a way that is no network: the test queues messages, the client takes
// them in order. Sending is the test's own. One thread.
#pragma once

#include "client/transport.h"
#include "testing.h"
#include "wire/wire.h"

#include <string.h>

#define PLAYED_MAX 64

static struct {
	unsigned queued, taken;
	struct {
		size_t bytes;
		uint8_t data[PE_WIRE_BYTES_MAX + 8];
	} queue[PLAYED_MAX];
} played;

static inline void queue(const uint8_t *data, size_t bytes)
{
	CU_ASSERT_FATAL(
		bytes > 0 && bytes <= sizeof played.queue[0].data && played.queued < PLAYED_MAX);
	memcpy(played.queue[played.queued].data, data, bytes);
	played.queue[played.queued++].bytes = bytes;
}

// Transport: receive, close. Nobody waits: what is not there does not come.
static inline int played_receive(
	void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	unsigned n = 0;

	(void)context, (void)timeout_ms;
	for (; n < count && played.taken < played.queued; n++, played.taken++) {
		memcpy(messages[n].iov_base, played.queue[played.taken].data,
			played.queue[played.taken].bytes);
		messages[n].iov_len = played.queue[played.taken].bytes;
	}
	return (int)n;
}

static inline void played_close(void *context)
{
	(void)context;
}
