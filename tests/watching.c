#include "watching.h"

#include "testing.h"

#include <stdlib.h>
#include <string.h>

void watching_init(struct watching *s, struct harness *h, unsigned space, uint32_t id)
{
	memset(s, 0, sizeof *s);
	s->h = h;
	s->space = space;
	s->port = h->port;
	s->subscribe.subscription_id = id;
	s->subscribe.epoch = 1;
	s->next = 1;
	s->events = calloc(WATCHING_EVENTS_MAX, sizeof *s->events);
	s->members = calloc(WATCHING_EVENTS_MAX, sizeof *s->members);
	if (!s->events || !s->members)
		abort();
}

void watching_free(struct watching *s)
{
	free(s->events);
	free(s->members);
}

static struct pe_wire_subscribe request(struct watching *s, unsigned op)
{
	struct pe_wire_subscribe r = {
		.subscription_id = s->subscribe.subscription_id, .epoch = s->subscribe.epoch};

	if (op == PE_SUBSCRIBE_OPEN) {
		r = s->subscribe;
		s->message = 0;
		s->next = 1;
		s->member_count = 0;
		s->ended = false;
	}
	if (op == PE_SUBSCRIBE_OPEN || op == PE_SUBSCRIBE_ADD)
		s->whole = false;
	if (op == PE_SUBSCRIBE_ADD || op == PE_SUBSCRIBE_REMOVE)
		r.message = ++s->message;
	if (op == PE_SUBSCRIBE_RENEW)
		r.expiration_ms = s->subscribe.expiration_ms;
	r.op = (uint8_t)op;
	return r;
}

static void queue(struct watching *s, const uint8_t *data, uint32_t bytes)
{
	uint16_t port = s->h->port;

	HARNESS_CHECK(bytes > 0);
	s->h->port = s->port;
	harness_queue(s->h, data, bytes);
	s->h->port = port;
}

void watching_send(struct watching *s, unsigned op, const struct pe_wire_fence *fences,
	unsigned count, const uint8_t *extensions, uint32_t bytes)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(s->h, s->space, 0);
	struct pe_wire_subscribe r = request(s, op);

	queue(s, buffer,
		pe_wire_put_subscribe(
			buffer, sizeof buffer, &header, &r, fences, count, extensions, bytes));
}

void watching_remove(struct watching *s, const uint32_t *ids, unsigned count)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(s->h, s->space, 0);
	struct pe_wire_subscribe r = request(s, PE_SUBSCRIBE_REMOVE);
	struct pe_wire_fence_name names[PE_SUBSCRIBE_NAMES_MAX] = {0};

	for (unsigned i = 0; i < count; i++)
		names[i].fence_id = ids[i];
	queue(s, buffer, pe_wire_put_remove(buffer, sizeof buffer, &header, &r, names, count));
}

void watching_sequence(struct watching *s, unsigned op, uint64_t sequence)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = harness_header(s->h, s->space, 0);
	struct pe_wire_subscribe r = request(s, op);

	r.sequence = sequence;
	queue(s, buffer,
		pe_wire_put_subscribe(buffer, sizeof buffer, &header, &r, NULL, 0, NULL, 0));
}

static unsigned find(const struct watching *s, uint64_t pair)
{
	unsigned i = 0;

	while (i < s->member_count && s->members[i] != pair)
		i++;
	return i;
}

bool watching_is_member(const struct watching *s, uint32_t fence_id, uint64_t n)
{
	return find(s, (uint64_t)fence_id << 32 ^ n) < s->member_count;
}

static void take_event(struct watching *s, const struct pe_wire_event *e)
{
	uint64_t pair = (uint64_t)e->fence_id << 32 ^ harness_id_number(e->result.entity_id);
	unsigned at = find(s, pair);

	HARNESS_CHECK(!s->ended);
	if (s->count < WATCHING_EVENTS_MAX)
		s->events[s->count++] = *e;
	switch (e->kind) {
	case PE_EVENT_ENTER:
		HARNESS_CHECK(at == s->member_count);
		HARNESS_CHECK(s->member_count < WATCHING_EVENTS_MAX);
		s->members[s->member_count++] = pair;
		break;
	case PE_EVENT_MOVE:
		HARNESS_CHECK(at < s->member_count);
		break;
	case PE_EVENT_LEAVE:
		HARNESS_CHECK(at < s->member_count);
		if (at < s->member_count)
			s->members[at] = s->members[--s->member_count];
		break;
	case PE_EVENT_PAYLOAD:
		break;
	case PE_EVENT_SNAPSHOT_END:
		s->whole = true;
		break;
	case PE_EVENT_GAP:
		s->member_count = 0;
		s->whole = false;
		s->gaps++;
		break;
	case PE_EVENT_ENDED:
		s->ended = true;
		s->ended_cause = e->cause;
		break;
	default:
		HARNESS_CHECK(!"a kind");
	}
}

// What follows a GAP is taken from there, whatever was missed before it.
static void take_notice(struct watching *s, const uint8_t *data, const struct pe_wire_view *view)
{
	struct pe_wire_notice notice;
	struct pe_wire_event e;

	pe_wire_get_notice(data, &notice);
	if (notice.subscription_id != s->subscribe.subscription_id ||
		notice.epoch != s->subscribe.epoch)
		return;
	for (unsigned i = 0; i < view->count; i++) {
		uint64_t sequence = notice.first_sequence + i;

		pe_wire_get_event(view, i, &e);
		if (sequence < s->next)
			continue;
		if (sequence > s->next && e.kind != PE_EVENT_GAP) {
			s->missed++;
			continue;
		}
		s->next = sequence + 1;
		take_event(s, &e);
	}
}

void watching_take(struct watching *s)
{
	bool backwards = s->lose && testing_random(s->lose) % 4 == 0;

	for (unsigned k = 0; k < s->h->reply_count; k++) {
		unsigned i = backwards ? s->h->reply_count - 1 - k : k;
		const struct harness_reply *r = &s->h->replies[i];
		struct pe_wire_subscribed done;
		struct pe_wire_view view;

		if (r->peer.port != s->port ||
			pe_wire_check_reply(r->data, r->bytes, &view) != PE_REASON_none)
			continue;
		if (view.header.type == PE_TYPE_NOTICE && (!s->lose || testing_random(s->lose) % 4))
			take_notice(s, r->data, &view);
		if (view.header.type != PE_TYPE_REGION_SUBSCRIBE)
			continue;
		pe_wire_get_subscribed(r->data, &done);
		if (done.subscription_id != s->subscribe.subscription_id ||
			done.epoch != s->subscribe.epoch)
			continue;
		s->done = done;
		s->answered++;
		if (done.op == PE_SUBSCRIBE_OPEN || done.op == PE_SUBSCRIBE_ADD ||
			done.op == PE_SUBSCRIBE_REMOVE)
			s->message = done.message;
	}
}

uint64_t watching_ask(struct watching *s, uint32_t fence_id, uint64_t n)
{
	static const struct pe_wire_query none = {0};
	struct pe_wire_header header = harness_header(s->h, s->space, 0);
	struct pe_wire_explain explain = {.selector = PE_EXPLAIN_FENCE,
		.subject = (uint64_t)fence_id << 32 | s->subscribe.subscription_id};
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	harness_id(explain.entity_id, n);
	queue(s, buffer,
		pe_wire_put_explain(buffer, sizeof buffer, &header, &explain, &none, NULL));
	s->h->sent_queries++;
	return header.sequence;
}

bool watching_told(struct watching *s, uint64_t sequence, struct pe_wire_explanation *e)
{
	for (unsigned i = 0; i < s->h->reply_count; i++) {
		struct pe_wire_view v;

		if (pe_wire_check_reply(s->h->replies[i].data, s->h->replies[i].bytes, &v) !=
				PE_REASON_none ||
			v.header.type != PE_TYPE_EXPLAIN)
			continue;
		pe_wire_get_explanation(&v, e);
		if (e->request_sequence == sequence)
			return e->selector == PE_EXPLAIN_FENCE;
	}
	return false;
}

bool watching_explain(struct watching *s, unsigned worker, uint32_t fence_id, uint64_t n,
	struct pe_wire_explanation *e)
{
	uint64_t sequence = watching_ask(s, fence_id, n);

	harness_turn_worker(s->h, worker);
	watching_take(s);
	return watching_told(s, sequence, e);
}

struct pe_wire_fence watching_sphere(uint32_t id, double x, double y, double z, double radius_m)
{
	return (struct pe_wire_fence){.fence_id = id, .query = harness_sphere(x, y, z, radius_m)};
}

void watching_run(struct watching *s, unsigned turns)
{
	for (unsigned i = 0; i < turns; i++) {
		for (unsigned k = 0; k < s->h->worker_count; k++) {
			harness_turn_worker(s->h, k);
			watching_take(s);
		}
		harness_control(s->h);
	}
}
