// Explanations: one query, or a fence, with one entity, looked up in the index, and what its owner
// alone knows of it when that is this worker. Each counts as one query.
#include "answer.h"
#include "own.h"

#include "discover/explain.h"

static uint32_t left_until(const struct pe_worker *w, uint32_t tick)
{
	return (int32_t)(tick - w->tick) > 0 ? tick - w->tick : 0;
}

// What is newer than what is published. Only of an entity that this worker owns.
static void gather_own(const struct pe_worker *w, uint32_t handle, struct pe_explain_own *own)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	// LIFE: acquire, before the owner's fields
	uint32_t status = atomic_load_explicit(&r->status, memory_order_acquire);
	const struct pe_pending *node;

	own->here = PE_STATUS_LIFE(status) == PE_LIFE_THERE && PE_STATUS_OWNER(status) == w->index;
	if (!own->here)
		return;
	if (status & PE_STATUS_HELD) {
		own->coalesced = true;
		own->newest = pe_own_held_state(r);
		own->due_ms = left_until(w,
			status & PE_STATUS_COURSE ? pe_coalesce_course_due(w, r) :
						    pe_coalesce_due(w, r));
		return;
	}
	node = pe_pending_node(&w->pending, r->pending);
	if (!node || !(node->flags & PE_PENDING_STATE))
		return;
	own->newest = node->state;
	own->pending = node->flags & (PE_PENDING_OWED | PE_PENDING_RETRY);
	own->coalesced = !own->pending;
	if (own->coalesced)
		own->due_ms = left_until(
			w, node->flags & PE_PENDING_CAP ? node->cap_until : node->trailing_until);
}

static void find(
	const struct pe_worker *w, const struct pe_peer *peer, struct pe_explain_subject *subject)
{
	const struct pe_table *t = &w->engine->table;
	uint64_t hash = pe_hash_id(&t->index.key, subject->id);

	subject->stand_in = pe_handle_spread(hash, t->entity_count_max);
	subject->handle =
		pe_index_seek(&t->index, t->records, hash, subject->id, subject->stand_in);
	subject->own = gather_own;
	subject->worker = w;
	subject->spaces = pe_authorize_spaces(w, peer);
}

static enum pe_reason explain(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, const struct pe_space_entry *s,
	struct pe_wire_explanation *e)
{
	const struct pe_asker asker = pe_asker_of(w, s, &m->peer);
	struct pe_explain_subject subject = {.handle = PE_HANDLE_NONE};
	struct pe_query_known known;
	struct pe_wire_query *q;
	enum pe_reason reason;

	memcpy(subject.id, view->body.explain.entity_id, sizeof subject.id);
	pe_query_begin(&w->query);
	if (view->body.explain.selector == PE_EXPLAIN_FENCE) {
		if (pe_wire_id_nil(subject.id))
			return PE_REASON_explain_id;
		reason = s->authorizes ? pe_authorize_query(w, s, &m->peer, NULL, NULL, true) :
					 PE_REASON_none;
		if (reason)
			return reason;
		find(w, &m->peer, &subject);
		return pe_watch_explain(
			w, &m->peer, view->body.explain.subject, s->space.index, &subject, e);
	}
	q = pe_query_next(&w->query);
	pe_wire_get_query(view, 0, q);
	e->query_id = q->query_id;
	if (pe_wire_id_nil(subject.id))
		return PE_REASON_explain_id;
	reason = pe_wire_check_query(q, s->limits.geodetic);
	if (!reason && s->authorizes)
		reason = pe_authorize_query(w, s, &m->peer, q, view->records + sizeof *q, true);
	if (reason)
		return reason;
	known = pe_predict_known(s, q, &asker);
	find(w, &m->peer, &subject);
	return pe_explain(&w->query, &s->space, &s->rules, &asker,
		(struct pe_instant){w->tick, w->wall_ms}, &known, view->records + sizeof *q,
		&subject, e);
}

void pe_answer_explain(struct pe_worker *w, const struct pe_message *m,
	const struct pe_wire_view *view, unsigned space)
{
	struct pe_wire_explanation e = {0};
	struct pe_wire_header header = pe_answer_header(w, &view->header);
	uint8_t *buffer = pe_answer_reserve(w, m);
	enum pe_reason reason;

	pe_count(&w->counters, PE_COUNTER_queries_carried, 1);
	if (!buffer) {
		pe_count_reason(&w->counters, PE_REASON_answer_no_buffer, 1);
		return;
	}
	reason = explain(w, m, view, &w->engine->spaces[space], &e);
	e.request_sequence = view->header.sequence;
	e.selector = view->body.explain.selector;
	memcpy(e.entity_id, view->body.explain.entity_id, sizeof e.entity_id);
	if (reason)
		pe_count_reason(&w->counters, reason, 1);
	else
		pe_count(&w->counters, PE_COUNTER_queries_answered, 1);
	pe_answer_send(w, m, buffer,
		pe_wire_put_explanation(buffer, PE_WIRE_BYTES_MAX, &header, reason, &e));
}
