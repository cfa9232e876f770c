// A client over a way that the test plays (fake_row.h), with one watch: what its callback was told,
// and polling until it was. One thread.
#pragma once

#include "client/watch.h"
#include "fake_row.h"
#include "testing.h"

#include <string.h>
#include <time.h>

#define SEEN_MAX FAKE_ROW_MAX

static struct fake_row fake;
static struct presence_client *client;
static struct presence_watch *watch;

// What the callback was told, of any watch.
static struct presence_watch_event seen[SEEN_MAX];
static unsigned seen_count;

static inline void watched(
	void *context, struct presence_watch *of, const struct presence_watch_event *event)
{
	(void)context;
	(void)of;
	if (seen_count < SEEN_MAX)
		seen[seen_count++] = *event;
}

static const struct presence_events events = {.watched = watched};
static const struct presence_query sphere = {
	.volume = PRESENCE_SPHERE, .a = {1, 2, 3}, .radius_m = 9};
static const struct presence_fence fence = {.id = 7, .query = &sphere};

// With an engine that has never been asked and lets a lease run for an hour.
static inline void open_client(uint32_t timeout_ms, uint32_t attempts)
{
	struct presence_options options = {
		.timeout_ms = timeout_ms, .attempts = attempts, .stream_id = 5};

	memset(&fake, 0, sizeof fake);
	fake.lease_ms = 3600000;
	seen_count = 0;
	watch = NULL;
	CU_ASSERT_EQUAL_FATAL(
		presence_open_over(&fake_transport, &fake, &options, &client), PRESENCE_OK);
}

// A client, and its watch of these fences.
static inline void open_watch_of(const struct presence_watch_options *options,
	const struct presence_fence *fences, unsigned count)
{
	open_client(20, 4);
	CU_ASSERT_EQUAL_FATAL(
		presence_watch_open(client, NULL, options, fences, count, &watch, NULL),
		PRESENCE_OK);
}

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// Polls until so many events have been seen and the watch stands; false: 30 s have passed.
static inline bool poll_until(unsigned count)
{
	for (uint64_t end = now_ms() + 30000; now_ms() < end;) {
		presence_poll(client, &events, 64, 5);
		if (seen_count >= count && !presence_watch_status(watch).opening)
			return true;
	}
	return false;
}

// For so long, and some turns at least, how long ever the machine stands still; how long it was.
static inline uint64_t poll_for(unsigned ms)
{
	uint64_t begin = now_ms();

	for (unsigned turn = 0; turn < 4 || now_ms() < begin + ms; turn++)
		presence_poll(client, &events, 64, 5);
	return now_ms() - begin;
}

// So many ENTERs of the fence, by entities 1 and on; they are in the row, not yet sent.
static inline void enter_many(uint32_t fence_id, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fake_event(&fake, PE_EVENT_ENTER, 0, fence_id, i + 1);
}
