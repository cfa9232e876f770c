// Answers to queries. Those to one destination share messages up to the MTU; a source that is not
// trusted gets, for each request, at most one message no longer than the request.
#include "answer.h"

#include "base/stages.h"

#define ALWAYS_INLINE __attribute__((always_inline)) static inline

// A message under construction for one destination, space and stream.
struct open_message {
	bool used; // as its bit says
	struct pe_peer peer;
	struct pe_wire_header request; // of the first request answered: stream and space
	struct pe_wire_response response;
	uint8_t *buffer;
};

struct pe_outbox {
	// one reservation is left for replies that stand alone
	struct open_message open[PE_OUTBOX_MAX - 1];
	uint32_t used; // a bit for each of them
	unsigned next; // to be closed when all are in use
};

#define ALL_OPEN ((1u << (PE_OUTBOX_MAX - 1)) - 1)
static_assert(PE_OUTBOX_MAX <= 32, "a bit for each");

enum pe_status pe_outbox_create(struct pe_worker *w)
{
	enum pe_status status = pe_memory_map(sizeof *w->outbox, false, &w->outbox_memory);

	w->outbox = w->outbox_memory.base;
	return status;
}

void pe_outbox_destroy(struct pe_worker *w)
{
	pe_memory_unmap(&w->outbox_memory);
}

static void send_open(struct pe_worker *w, struct open_message *o)
{
	struct pe_wire_header header = pe_answer_header(w, &o->request);

	pe_answer_send_to(w, &o->peer, o->buffer, pe_wire_response_finish(&o->response, &header));
	o->used = false;
	w->outbox->used &= ~(1u << (o - w->outbox->open));
}

void pe_outbox_flush(struct pe_worker *w)
{
	while (w->outbox->used)
		send_open(w, &w->outbox->open[__builtin_ctz(w->outbox->used)]);
	pe_packing_begin_turn(w);
}

// Opens a message; NULL: no buffer.
static struct open_message *open_new(struct pe_worker *w, struct open_message *o,
	const struct pe_message *m, const struct pe_wire_header *request)
{
	uint8_t *buffer;

	if (!w->answers_left) // of its class
		return NULL;
	buffer = w->sink->reserve(w->sink->context, &m->peer);
	if (!buffer) {
		w->answers_refused = true;
		return NULL;
	}
	w->answers_left--;
	o->used = true;
	w->outbox->used |= 1u << (o - w->outbox->open);
	o->peer = m->peer;
	o->request = *request;
	o->buffer = buffer;
	pe_wire_response_begin(
		&o->response, buffer, m->peer.trusted ? PE_WIRE_BYTES_MAX : m->bytes);
	return o;
}

static bool same_destination(const struct open_message *o, const struct pe_message *m,
	const struct pe_wire_header *request)
{
	return pe_peer_same(&o->peer, &m->peer) && o->request.stream_id == request->stream_id &&
		memcmp(o->request.space_id, request->space_id, 16) == 0;
}

// The message in which this request's answers go on. Trusted destinations share; others get one of
// their own.
static struct open_message *open_for(
	struct pe_worker *w, const struct pe_message *m, const struct pe_wire_header *request)
{
	struct pe_outbox *box = w->outbox;
	struct open_message *o;

	if (m->peer.trusted)
		for (uint32_t left = box->used; left; left &= left - 1) {
			o = &box->open[__builtin_ctz(left)];
			if (same_destination(o, m, request))
				return o;
		}
	if (box->used != ALL_OPEN)
		return open_new(w, &box->open[__builtin_ctz(~box->used)], m, request);
	o = &box->open[box->next++ % (PE_OUTBOX_MAX - 1)];
	send_open(w, o);
	return open_new(w, o, m, request);
}

// Counts a query's one outcome.
static void outcome(struct pe_worker *w, enum pe_reason reason)
{
	if (reason)
		pe_count_reason(&w->counters, reason, 1);
	else
		pe_count(&w->counters, PE_COUNTER_queries_answered, 1);
}

// As many results from `first` on as there is room for, with their details; an empty message has
// room for any one.
__attribute__((noinline)) static uint32_t add_detailed(
	struct pe_worker *w, struct pe_wire_response *response, uint32_t first, uint32_t end)
{
	uint32_t i = first;

	for (; i < end; i++) {
		const uint8_t *details = w->query.details[i];
		uint16_t bytes = 0;

		if (details)
			memcpy(&bytes, details, sizeof bytes);
		if (!pe_wire_response_add_detailed(response, &w->query.results[i], details, bytes))
			break;
	}
	return i - first;
}

// As many results as there is room for, of another form than whole ones.
__attribute__((noinline)) static unsigned add_otherwise(struct pe_worker *w,
	struct pe_wire_response *response, const struct pe_query_answer *answer, uint32_t sent)
{
	if (answer->form == PE_QUERY_DETAILED)
		return add_detailed(w, response, sent, answer->result_count);
	if (answer->form == PE_QUERY_CELLS)
		return pe_wire_response_add_cells(
			response, &w->query.cells[sent], answer->result_count - sent);
	return pe_wire_response_add_short(
		response, &w->query.results[sent], answer->result_count - sent);
}

// One query's answer in as many parts as it takes. False: a buffer was missing.
static bool put_answer(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned slot, enum pe_reason refused,
	const struct pe_query_answer *answer, struct open_message **open)
{
	static const uint16_t forms[] = {[PE_QUERY_SHORT] = PE_ANSWER_SHORT,
		[PE_QUERY_DETAILED] = PE_ANSWER_DETAILED,
		[PE_QUERY_CELLS] = PE_ANSWER_CELLS,
		[PE_QUERY_POSTPONED] = 0};
	uint32_t query_id = pe_query_id(&w->query, slot);
	uint16_t part = 0, form = forms[answer->form];
	uint32_t sent = 0;
	bool truncated = answer->truncated;
	const uint64_t *cursor = answer->cursor;

	if (__builtin_expect(view->header.flags & PE_FLAG_PACKED, 0) && m->peer.trusted)
		sent = pe_answer_packed(w, m, view, query_id, form, answer, &part);
	for (;;) {
		struct pe_wire_response *response;

		if (!*open || !(*open)->used)
			*open = open_for(w, m, &view->header);
		if (!*open)
			return false;
		response = &(*open)->response;
		if (!pe_wire_response_open(response, query_id, view->header.stream_id,
			    view->header.sequence, part)) {
			if (!m->peer.trusted)
				return false;
			send_open(w, *open);
			continue;
		}
		if (__builtin_expect(answer->form != PE_QUERY_WHOLE, 0))
			sent += add_otherwise(w, response, answer, sent);
		else
			sent += pe_wire_response_add_some(
				response, &w->query.results[sent], answer->result_count - sent);
		if (sent == answer->result_count)
			break;
		pe_wire_response_close(response, PE_REASON_none, form, NULL);
		send_open(w, *open);
		part++;
	}
	if (refused == PE_REASON_query_program)
		pe_wire_response_detail(&(*open)->response, pe_query_detail(&w->query, slot));
	pe_wire_response_close(&(*open)->response, refused,
		(uint16_t)(PE_ANSWER_LAST | form | (truncated ? PE_ANSWER_TRUNCATED : 0)),
		truncated ? cursor : NULL);
	return true;
}

// As put_answer, of results that are taken where they go out.
static bool put_parts(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned slot, struct pe_query_parts *parts,
	struct open_message **open)
{
	uint32_t query_id = pe_query_id(&w->query, slot), room, taken, waits = 0;
	struct pe_wire_result next; // which had no room
	uint16_t part = 0;

	for (;;) {
		struct pe_wire_response *response;
		uint8_t *place;

		if (!*open || !(*open)->used)
			*open = open_for(w, m, &view->header);
		if (!*open) {
			while (pe_query_take_part(&w->query, parts, &next, 1))
				;
			return false;
		}
		response = &(*open)->response;
		if (!pe_wire_response_open(response, query_id, view->header.stream_id,
			    view->header.sequence, part)) {
			send_open(w, *open);
			continue;
		}
		place = pe_wire_response_place(response, &room);
		if (waits && room) {
			memcpy(place, &next, sizeof next);
			place += sizeof next;
			pe_wire_response_placed(response, 1);
			room--;
			waits = 0;
		}
		if (!waits) {
			taken = pe_query_take_part(&w->query, parts, (void *)place, room);
			pe_wire_response_placed(response, taken);
			if (taken < room)
				break;
			waits = pe_query_take_part(&w->query, parts, &next, 1);
			if (!waits)
				break;
		}
		pe_wire_response_close(response, PE_REASON_none, 0, NULL);
		send_open(w, *open);
		part++;
	}
	pe_stage_end(PE_STAGE_accept);
	pe_wire_response_close(&(*open)->response, PE_REASON_none, PE_ANSWER_LAST, NULL);
	return true;
}

// One message's queries while they are answered.
struct request {
	const struct pe_message *message;
	const struct pe_wire_view *view;
	unsigned query;            // the next of it
	struct open_message *open; // in which its answers go on
	uint32_t left;             // bytes for results that a source that is not trusted is owed
};

static void begin_request(
	struct request *r, const struct pe_message *m, const struct pe_wire_view *view)
{
	*r = (struct request){.message = m,
		.view = view,
		// What one message no longer than the request has room for, after an answer's head
	        // for each query.
		.left = m->bytes - (uint32_t)sizeof(struct pe_wire_header) -
			view->count * (uint32_t)sizeof(struct pe_wire_answer)};
}

__attribute__((noinline)) static uint32_t results_bytes(
	const struct pe_worker *w, unsigned slot, const struct pe_query_answer *answer)
{
	uint32_t bytes = 0;

	if (answer->form != PE_QUERY_DETAILED)
		return answer->result_count * pe_query_result_bytes(&w->query, slot);
	for (uint32_t i = 0; i < answer->result_count; i++)
		bytes += pe_query_detailed_bytes(w->query.details[i]);
	return bytes;
}

ALWAYS_INLINE void answer_prepared(struct pe_worker *w, struct request *r, unsigned slot)
{
	const struct pe_message *m = r->message;
	uint32_t left = r->left;
	uint32_t results_max = m->peer.trusted ? w->query.results_max :
						 left / pe_query_result_bytes(&w->query, slot);
	struct pe_query_answer answer;
	struct pe_query_parts parts;
	enum pe_reason reason;

	if (m->peer.trusted && !(r->view->header.flags & PE_FLAG_PACKED) &&
		pe_query_run_parts(&w->query, slot, &parts)) {
		reason = put_parts(w, m, r->view, slot, &parts, &r->open) ?
			PE_REASON_none :
			PE_REASON_answer_no_buffer;
		pe_query_end_parts(&w->query, &parts);
		outcome(w, reason);
		r->query++;
		pe_stage_end(PE_STAGE_answer);
		return;
	}
	reason = pe_query_run(
		&w->query, slot, results_max, m->peer.trusted ? UINT32_MAX : left, &answer);

	if (!m->peer.trusted)
		r->left -= results_bytes(w, slot, &answer);
	if (answer.truncated) {
		pe_count(&w->counters, PE_COUNTER_queries_truncated, 1);
		if (answer.worked_out)
			pe_count(&w->counters, PE_COUNTER_work_cut_normal + w->answers_class, 1);
	}
	if (!put_answer(w, m, r->view, slot, reason, &answer, &r->open))
		reason = PE_REASON_answer_no_buffer;
	outcome(w, reason);
	pe_stage_end(PE_STAGE_answer);
	if (++r->query == r->view->count && r->open && r->open->used && !m->peer.trusted)
		send_open(w, r->open);
}

static const uint8_t *extensions_of(const struct pe_wire_view *view)
{
	return view->records + view->count * sizeof(struct pe_wire_query);
}

// Prepares a query in the next slot. False: it needs room that the queries prepared before have
// taken. *extension: where its extension begins, if it has one; then where that of the message's
// next does.
ALWAYS_INLINE bool prepare_query(struct pe_worker *w, const struct pe_space_entry *s,
	const struct pe_wire_view *view, unsigned query, const struct pe_peer *peer,
	const uint8_t **extension)
{
	const struct pe_asker asker = pe_asker_of(w, s, peer);
	struct pe_wire_query *q = pe_query_next(&w->query);
	struct pe_query_known known;
	enum pe_reason reason;

	if (!s->authorizes &&
		pe_query_prepare_ordinary(&w->query, &s->space, &s->rules, &asker,
			(struct pe_instant){w->tick, w->wall_ms},
			view->records + query * sizeof(struct pe_wire_query)))
		return true;
	pe_wire_get_query(view, query, q);
	if (!pe_query_next_fits(&w->query))
		return false;
	reason = pe_wire_check_query(q, s->limits.geodetic);
	if (__builtin_expect(s->authorizes, 0) && !reason)
		reason = pe_authorize_query(w, s, peer, q, *extension, false);
	known = pe_predict_known(s, q, &asker);
	if (reason)
		pe_query_refuse(&w->query, reason);
	else
		pe_query_prepare(&w->query, &s->space, &s->rules, &asker,
			(struct pe_instant){w->tick, w->wall_ms}, &known, *extension);
	if (q->flags & PE_QUERY_HAS_EXTENSION)
		*extension += q->extension_bytes;
	return true;
}

// Neither cloned nor inlined: one place from which a query is prepared and run keeps these inlined
// here.
__attribute__((noinline, noclone)) void pe_answer_queries(struct pe_worker *w,
	const struct pe_message *messages, const struct pe_wire_view *views, const uint8_t *spaces,
	const struct pe_ask *asks, unsigned count)
{
	unsigned next = 0, query = 0; // to be prepared: of the messages, or of `asks`
	unsigned at = 0;              // the message, or the one of `asks`, that is answered
	struct request request = {0};
	const uint8_t *extension = NULL; // of the next
	uint64_t answered = pe_counted(&w->counters, PE_COUNTER_queries_answered);

	pe_stage_end(PE_STAGE_decode);
	while (next < count) {
		pe_query_begin(&w->query);
		while (next < count && w->query.prepared < PE_QUERY_SLOTS) {
			unsigned m = next;

			if (asks) {
				m = asks[next].message;
				query = asks[next].query;
				extension = extensions_of(&views[m]) + asks[next].extension_at;
			} else if (query == 0) {
				extension = extensions_of(&views[m]);
			}
			if (!prepare_query(w, &w->engine->spaces[spaces[m]], &views[m], query,
				    &messages[m].peer, &extension))
				break;
			if (++query == views[m].count || asks) {
				query = 0;
				next++;
			}
		}
		for (unsigned slot = 0; slot < w->query.prepared; slot++) {
			unsigned m = asks ? asks[at + slot].message : at;

			if (asks ? request.message != &messages[m] :
				   !request.view || request.query == request.view->count) {
				begin_request(&request, &messages[m], &views[m]);
				at += !asks;
			}
			answer_prepared(w, &request, slot);
		}
		at += asks ? w->query.prepared : 0;
	}
	pe_count(&w->counters, PE_COUNTER_queries_normal + w->answers_class,
		pe_counted(&w->counters, PE_COUNTER_queries_answered) - answered);
}
