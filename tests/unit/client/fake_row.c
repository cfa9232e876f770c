#include "fake_row.h"
#include "testing.h"
#include "wire/encode.h"

#include <string.h>
#include <time.h>

static bool chance(struct fake_row *f, unsigned percent)
{
	return percent && testing_random(&f->random) % 100 < percent;
}

void fake_send(struct fake_row *f, const uint8_t *data, uint32_t bytes)
{
	unsigned last;

	if (f->queued == FAKE_QUEUE_MAX)
		return;
	last = f->first + f->queued++;
	f->queue[last % FAKE_QUEUE_MAX].bytes = bytes;
	memcpy(f->queue[last % FAKE_QUEUE_MAX].data, data, bytes);
}

// As the way is.
static void travel(struct fake_row *f, const uint8_t *data, uint32_t bytes)
{
	if (chance(f, f->lose))
		return;
	fake_send(f, data, bytes);
	if (chance(f, f->repeat))
		fake_send(f, data, bytes);
	if (f->queued > 1 && chance(f, f->late)) {
		unsigned back = 1 + (unsigned)(testing_random(&f->random) % 8);
		unsigned a = f->first + f->queued - 1, b;
		typeof(f->queue[0]) other;

		b = a - (back < f->queued ? back : f->queued - 1);
		other = f->queue[a % FAKE_QUEUE_MAX];
		f->queue[a % FAKE_QUEUE_MAX] = f->queue[b % FAKE_QUEUE_MAX];
		f->queue[b % FAKE_QUEUE_MAX] = other;
	}
}

void fake_event(struct fake_row *f, uint8_t kind, uint8_t cause, uint32_t fence, unsigned entity)
{
	struct pe_wire_event *e = &f->row[f->count++];

	*e = (struct pe_wire_event){.kind = kind, .cause = cause, .time_ms = 1000 + f->count};
	if (kind > PE_EVENT_LEAVE && kind != PE_EVENT_PAYLOAD)
		return;
	e->fence_id = fence;
	e->result.entity_id[0] = 1;
	memcpy(e->result.entity_id + 8, &entity, sizeof entity);
	if (kind == PE_EVENT_PAYLOAD)
		return;
	e->result.entity_type = PE_ENTITY_MOBILE;
	e->result.position[0] = f->count;
}

void fake_restart(struct fake_row *f)
{
	f->unknown = true;
	f->count = f->told = f->fences = 0;
	f->message = 0;
	memset(&f->open, 0, sizeof f->open);
	f->log_count = 0;
	f->queued = 0;
}

static uint32_t put(struct fake_row *f, uint8_t *data, uint64_t from, unsigned count)
{
	struct pe_wire_header header = pe_wire_reply_header(&f->header, 1, 1);
	struct pe_wire_notice notice = {.subscription_id = f->open.subscription_id,
		.epoch = f->open.epoch,
		.first_sequence = from};

	return pe_wire_put_notice(
		data, PE_WIRE_BYTES_MAX, &header, &notice, &f->row[from - 1], count);
}

void fake_notice(struct fake_row *f, uint64_t from, unsigned count)
{
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes = put(f, data, from, count);

	if (bytes)
		fake_send(f, data, bytes);
}

static void send_range(struct fake_row *f, uint64_t from, uint64_t end)
{
	while (from < end) {
		unsigned most = f->notice_max ? f->notice_max : PE_NOTICE_EVENTS_MAX;
		unsigned n = end - from < most ? (unsigned)(end - from) : most;
		uint8_t data[PE_WIRE_BYTES_MAX];

		travel(f, data, put(f, data, from, n));
		from += n;
	}
}

void fake_tell(struct fake_row *f)
{
	send_range(f, f->told + 1, f->count + 1);
	f->told = f->count;
}

// From number s on; where that is not kept any more, from a GAP that voids it.
static void resume(struct fake_row *f, uint64_t s)
{
	uint64_t oldest = f->retained && f->count > f->retained ? f->count - f->retained + 1 : 1;

	f->resumes++;
	if (s < oldest) {
		for (uint64_t i = oldest; i <= f->count; i++)
			if (f->row[i - 1].kind == PE_EVENT_GAP) {
				send_range(f, i, f->count + 1);
				return;
			}
		fake_event(f, PE_EVENT_GAP, 0, 0, 0);
		s = f->count;
	}
	send_range(f, s, f->told > f->count ? s : f->count + 1);
	f->told = f->count;
}

// What a request does; the reason against it.
static enum pe_reason act(
	struct fake_row *f, const struct pe_wire_view *view, const struct pe_wire_subscribe *s)
{
	bool repeat = s->message == f->message;

	if (f->refuse_op == s->op && !f->refuse_later)
		return f->refuse_reason;
	if (f->refuse_op == s->op)
		f->refuse_later = false;
	if (s->op == PE_SUBSCRIBE_OPEN) {
		f->message = s->epoch == f->open.epoch ? f->message : 0;
		f->unknown = false;
		f->header = view->header;
		f->open = *s;
		f->fences = view->count;
		return PE_REASON_none;
	}
	if (f->unknown || s->subscription_id != f->open.subscription_id ||
		s->epoch != f->open.epoch)
		return PE_REASON_subscription_unknown;
	switch (s->op) {
	case PE_SUBSCRIBE_ADD:
	case PE_SUBSCRIBE_REMOVE:
		if (!repeat && s->message != f->message + 1)
			return PE_REASON_subscribe_order;
		if (repeat)
			return PE_REASON_none;
		f->message = s->message;
		f->adds++;
		f->fences += s->op == PE_SUBSCRIBE_ADD ? view->count : 0u - view->count;
		return PE_REASON_none;
	case PE_SUBSCRIBE_RESUME:
		if (s->sequence > (f->told > f->count ? f->told : f->count) + 1)
			return PE_REASON_subscribe_order;
		f->acknowledged = s->sequence > f->acknowledged ? s->sequence : f->acknowledged;
		resume(f, s->sequence);
		return PE_REASON_none;
	case PE_SUBSCRIBE_RENEW:
		f->renews++;
		return PE_REASON_none;
	case PE_SUBSCRIBE_CLOSE:
		f->closes++;
		f->unknown = true;
		return PE_REASON_none;
	default:
		f->acknowledges++;
		f->acknowledged = s->sequence > f->acknowledged ? s->sequence : f->acknowledged;
		return PE_REASON_none;
	}
}

static void serve(struct fake_row *f, const uint8_t *data, uint32_t bytes)
{
	struct pe_wire_subscribed answer = {.fault_index = PE_FAULT_NONE, .lease_ms = f->lease_ms};
	uint8_t reply[PE_WIRE_BYTES_MAX];
	struct pe_wire_subscribe s;
	struct pe_wire_header header;
	struct pe_wire_view view;
	enum pe_reason reason;

	if (pe_wire_check(data, bytes, &view) != PE_REASON_none) {
		f->malformed++;
		return;
	}
	if (view.header.type != PE_TYPE_REGION_SUBSCRIBE || f->deaf)
		return;
	pe_wire_get_subscribe(data, &s);
	if (f->log_count < FAKE_LOG_MAX) {
		struct fake_request *log = &f->log[f->log_count++];

		log->header = view.header;
		log->preamble = s;
		log->bytes = bytes;
		memcpy(log->data, data, bytes);
	}
	if (f->busy) {
		f->busy--;
		reason = PE_REASON_subscribe_busy;
	} else {
		reason = act(f, &view, &s);
	}
	if (f->ignore) {
		f->ignore--;
		return;
	}
	if (s.op == PE_SUBSCRIBE_ACKNOWLEDGE)
		return;
	answer.subscription_id = s.subscription_id;
	answer.epoch = s.epoch;
	answer.op = s.op;
	answer.code = pe_reason_info[reason].code;
	answer.reason = (uint8_t)reason;
	if (reason != PE_REASON_none && f->refuse_op == s.op)
		answer.fault_index = f->refuse_fault;
	answer.fence_count = f->fences;
	answer.message = f->message;
	answer.next_sequence = f->told + 1;
	if (reason == PE_REASON_none && f->published_m > 0) {
		answer.flags = PE_SUBSCRIBED_COARSER;
		answer.published_m = f->published_m;
	}
	answer.request_sequence = view.header.sequence;
	header = pe_wire_reply_header(&view.header, 1, 1);
	travel(f, reply, pe_wire_put_subscribed(reply, sizeof reply, &header, &answer));
}

static int fake_sent(void *context, const struct iovec *messages, unsigned count)
{
	struct fake_row *f = context;

	for (unsigned i = 0; i < count; i++)
		if (!chance(f, f->lose))
			serve(f, messages[i].iov_base, (uint32_t)messages[i].iov_len);
	return (int)count;
}

static int fake_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	struct fake_row *f = context;
	unsigned n = 0;

	if (!f->queued && timeout_ms > 0)
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	for (; n < count && f->queued; n++, f->queued--, f->first++) {
		uint32_t bytes = f->queue[f->first % FAKE_QUEUE_MAX].bytes;

		memcpy(messages[n].iov_base, f->queue[f->first % FAKE_QUEUE_MAX].data, bytes);
		messages[n].iov_len = bytes;
	}
	return (int)n;
}

static int fake_descriptor(const void *context)
{
	(void)context;
	return -1;
}

static void fake_close(void *context)
{
	(void)context;
}

const struct presence_transport fake_transport = {
	fake_sent, fake_receive, fake_descriptor, fake_close};
