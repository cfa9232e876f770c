#include "client/watch_internal.h"

static void take(
	void *context, struct presence_watch *watch, const struct presence_watch_event *event)
{
	(void)watch;
	*(struct presence_watch_event *)context = *event;
}

// Answers to requests that were submitted are for presence_poll.
static bool leave(void *context, const struct pe_wire_view *view)
{
	(void)context;
	(void)view;
	return false;
}

int presence_watch_next(
	struct presence_watch *watch, struct presence_watch_event *event, int timeout_ms)
{
	const struct presence_events events = {.context = event, .watched = take};
	const struct client_taker taker = {NULL, leave};
	struct presence_client *client = watch->client;
	uint64_t begin_us = client_now_us();

	for (;;) {
		uint64_t now_us = client_now_us();
		int64_t left_ms = timeout_ms;
		int came, wait_ms;

		if (client_watch_hand(watch, &events, 1))
			return 1;
		if (watch->ended)
			return 0;
		for (unsigned i = 0; i < client->watch_count; i++)
			if (!client->watches[i]->ended)
				client_watch_clocks(client->watches[i], now_us);
		if (timeout_ms > 0) {
			left_ms -= (int64_t)((now_us - begin_us) / 1000);
			left_ms = left_ms > 0 ? left_ms : 0;
		}
		wait_ms = client_watch_wait(client, watch, (int)left_ms);
		came = client_receive(client, &taker, CLIENT_IN_MAX, wait_ms);
		if (came < 0) {
			(void)client_failed(client, PRESENCE_SYSTEM);
			return -1;
		}
		// A signal ends the waiting, as it does that of presence_poll.
		if (!came && (left_ms == 0 || client_now_us() - now_us + 1000 < wait_ms * 1000ull))
			return 0;
	}
}
