// A client and the engine that it talks to, which a test may have lose, repeat, shuffle and forge.
#pragma once

#include "client/presence.h"
#include "fake_engine.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

struct pair {
	struct fake_engine engine;
	struct presence_client *client;
	uint32_t timeout_ms; // 0: ANSWERED_MS
};

// Longer than a busy machine lets an engine's thread wait; where nothing is answered at all,
// SILENCE_MS do.
#define ANSWERED_MS 1000
#define SILENCE_MS  60

static inline bool start(struct pair *p, bool ipv6)
{
	struct presence_options options = {.host = ipv6 ? "::1" : NULL,
		.timeout_ms = p->timeout_ms ? p->timeout_ms : ANSWERED_MS,
		.attempts = 3,
		.incarnation = 77};
	char error[200] = "";

	if (!fake_start(&p->engine, ipv6))
		return false;
	options.port = p->engine.port;
	if (presence_open(&options, &p->client, error, sizeof error) == PRESENCE_OK)
		return true;
	fprintf(stderr, "%s\n", error);
	return false;
}

static inline void stop(struct pair *p)
{
	presence_close(p->client);
	fake_stop(&p->engine);
}

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const struct presence_query everything = {.volume = PRESENCE_SPHERE, .radius_m = 10};
