#include "client/internal.h"
#include "base/counters.h"

#include <assert.h>
#include <string.h>

static_assert(PE_COUNTER_COUNT <= PRESENCE_COUNTERS_MAX, "room for every counter");

struct pong {
	struct pe_wire_ping ping;
	bool done;
};

static bool take_pong(void *context, const struct pe_wire_view *view)
{
	struct pong *p = context;

	if (p->done || view->header.type != PE_TYPE_PONG ||
		memcmp(&view->body.ping, &p->ping, sizeof p->ping) != 0)
		return false;
	p->done = true;
	return true;
}

enum presence_result presence_ping(struct presence_client *client, uint64_t *round_trip_us)
{
	enum presence_result result = PRESENCE_TIMED_OUT;
	uint32_t attempts = client->attempts;

	// Attempt by attempt, each with a name of its own, so that a late echo is not taken for the
	// round trip of a later one.
	client->attempts = 1;
	for (unsigned i = 0; i < attempts && result == PRESENCE_TIMED_OUT; i++) {
		struct pe_wire_header header = client_header(client, NULL, 0);
		struct pong p = {.ping = {{client->key, header.sequence}}};
		struct client_taker taker = {&p, take_pong};
		uint8_t packet[PE_WIRE_BYTES_MAX];
		struct client_exchange e = {.packet = packet, .done = &p.done};
		uint64_t begin_us = client_now_us();

		e.bytes = pe_wire_put_ping(packet, sizeof packet, &header, &p.ping);
		client->traffic.retries += i > 0;
		result = client_exchange(client, &e, &taker);
		if (!result && round_trip_us)
			*round_trip_us = client_now_us() - begin_us;
	}
	client->attempts = attempts;
	return result;
}

struct page {
	const struct presence_client *client;
	struct presence_stats *stats;
	uint64_t sequence;
	unsigned first, count, total;
	struct presence_refusal refusal;
	bool done;
};

static bool take_page(void *context, const struct pe_wire_view *view)
{
	struct page *p = context;
	const struct pe_wire_state_preamble *s = &view->body.state;

	if (p->done || view->header.type != PE_TYPE_STATE_RESPONSE ||
		s->request_sequence != p->sequence ||
		view->header.stream_id != p->client->stream_id)
		return false;
	p->refusal = (struct presence_refusal){s->code, s->reason};
	if (s->code == PE_CODE_SUCCESS) {
		if (s->first != p->first || s->selector != PE_STATE_COUNTERS ||
			s->total > PRESENCE_COUNTERS_MAX)
			return false;
		// All of the page or nothing: its counters follow one another.
		for (unsigned i = 0; i < view->count; i++) {
			struct pe_wire_counter counter;

			pe_wire_get_counter(view, i, &counter);
			if (counter.index != p->first + i || counter.index >= s->total)
				return false;
		}
		for (unsigned i = 0; i < view->count; i++) {
			struct pe_wire_counter counter;

			pe_wire_get_counter(view, i, &counter);
			p->stats->value[counter.index] = counter.value;
		}
	}
	p->count = view->count;
	p->total = s->total;
	p->done = true;
	return true;
}

enum presence_result presence_stats(struct presence_client *client, struct presence_stats *stats,
	struct presence_refusal *refusal)
{
	*stats = (struct presence_stats){0};
	if (refusal)
		*refusal = (struct presence_refusal){0};
	for (unsigned first = 0;;) {
		struct pe_wire_header header = client_header(client, NULL, 0);
		struct pe_wire_state_request request = {
			.selector = PE_STATE_COUNTERS, .first = (uint16_t)first};
		struct page p = {.client = client,
			.stats = stats,
			.sequence = header.sequence,
			.first = first};
		struct client_taker taker = {&p, take_page};
		uint8_t packet[PE_WIRE_BYTES_MAX];
		struct client_exchange e = {.packet = packet, .done = &p.done};
		enum presence_result result;

		e.bytes = pe_wire_put_state_request(packet, sizeof packet, &header, &request);
		result = client_exchange(client, &e, &taker);
		if (result)
			return result;
		if (p.refusal.code != PE_CODE_SUCCESS) {
			if (refusal)
				*refusal = p.refusal;
			return client_refused(client, p.refusal.code, p.refusal.reason);
		}
		stats->count = p.total;
		first += p.count;
		if (first >= p.total)
			break;
		if (p.count == 0)
			return client_failed(client, PRESENCE_INCOMPLETE);
	}
	if (stats->count == PE_COUNTER_COUNT) {
		struct pe_identity i = pe_identity_check(stats->value);

		stats->identities = true;
		stats->packets_difference = i.packets_difference;
		stats->records_difference = i.records_difference;
		stats->queries_difference = i.queries_difference;
		stats->subscribes_difference = i.subscribes_difference;
		stats->records_refused = i.records_refused;
		stats->records_dropped = i.records_dropped;
		stats->packets_refused = i.packets_refused;
		stats->packets_dropped = i.packets_dropped;
	}
	return PRESENCE_OK;
}
