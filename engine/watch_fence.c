// A fence on one worker: what its keeper orders, and what takes more than a turn — the walk of a
// snapshot, the members of a fence that moved or ends — a piece at a time. And the rings between
// workers.
#include "watch.h"

bool pe_watch_send(struct pe_worker *w, const struct pe_watch_message *message)
{
	struct pe_watch_fence *f = message->fence;
	uint32_t kept = message->order == PE_WATCH_EVENT ? PE_WATCH_RING_KEPT : 0;
	struct pe_ring_spsc *ring;

	if (f->keeper == w->index) {
		if (message->order == PE_WATCH_EVENT) {
			pe_watch_put_heard(w, message);
			return true;
		}
		pe_watch_hear(w); // events of before
		pe_watch_answer(w, w->index, message);
		return true;
	}
	ring = pe_watch_ring(w->engine, w->index, f->keeper);
	if (pe_ring_spsc_room(ring, kept + 1) < kept + 1)
		return false;
	memcpy(pe_ring_spsc_put(ring), message, sizeof *message);
	return true;
}

static bool answer(struct pe_worker *w, struct pe_watch_fence *f, enum pe_watch_order order,
	enum pe_reason reason, uint32_t generation)
{
	const struct pe_watch_message message = {.fence = f,
		.order = (uint8_t)order,
		.reason = (uint8_t)reason,
		.generation = generation};

	return pe_watch_send(w, &message);
}

static void add_job(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_part *part = pe_watch_part(w, f);

	if (part->in_jobs)
		return;
	part->in_jobs = true;
	part->next = NULL;
	if (x->jobs_last)
		pe_watch_part(w, x->jobs_last)->next = f;
	else
		x->jobs_first = f;
	x->jobs_last = f;
}

static struct pe_watch_fence *take_job(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_fence *f = x->jobs_first;
	struct pe_watch_part *part = pe_watch_part(w, f);

	x->jobs_first = part->next;
	if (!x->jobs_first)
		x->jobs_last = NULL;
	part->in_jobs = false;
	return f;
}

static void set_centre(struct pe_watch_part *part, const struct pe_watch_message *m)
{
	part->somewhere = m->somewhere;
	memcpy(part->centre, m->u.centre, sizeof part->centre);
}

// *moved: room for a copy at the centre. NULL: nowhere.
static const struct pe_fence_volume *volume_of(
	const struct pe_watch_fence *f, const struct pe_watch_part *part, struct pe_stand *moved)
{
	if (!f->follows)
		return &f->stand.volume;
	if (!part->somewhere)
		return NULL;
	pe_stand_at(&f->stand, part->centre, moved);
	return &moved->volume;
}

static void add(struct pe_worker *w, struct pe_watch_fence *f, const struct pe_watch_message *m)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_part *part = pe_watch_part(w, f);
	const struct pe_fence_volume *volume;
	enum pe_reason reason = PE_REASON_none;
	struct pe_stand moved;
	enum pe_status status;

	set_centre(part, m);
	volume = volume_of(f, part, &moved);
	status = volume ?
		pe_fence_add(x->index, f->stand.space, volume, (uintptr_t)f, &part->number) :
		PE_INVALID;
	// Where what it follows is it cannot stand: it waits for a better place.
	if (f->follows && status == PE_INVALID)
		status =
			pe_fence_add_nowhere(x->index, f->stand.space, (uintptr_t)f, &part->number);
	if (status != PE_OK) {
		part->number = PE_WATCH_NONE;
		reason = status == PE_FULL ? PE_REASON_fences_full : PE_REASON_query_bounds;
	} else {
		if (f->stand.plain && !f->follows)
			pe_fence_set_plain(x->index, part->number);
		x->number_count++;
		pe_watch_name_part(w, f);
		w->watching = true;
	}
	if (!answer(w, f, PE_WATCH_ADDED, reason, 0))
		assert(!"room that was looked for before");
}

static void start_walk(struct pe_worker *w, struct pe_watch_fence *f, bool snapshot)
{
	struct pe_watch_part *part = pe_watch_part(w, f);

	part->walking = true;
	part->snapshot |= snapshot;
	part->cursor[0] = part->cursor[1] = 0;
	add_job(w, f);
}

static void open_members(struct pe_worker *w, struct pe_watch_fence *f)
{
	enum pe_status status = pe_member_open(
		w->watch->members, pe_watch_part(w, f)->number, f->stand.space, &f->rule);

	assert(status == PE_OK); // the rule was checked when it was asked for
	(void)status;
}

static void move(struct pe_worker *w, struct pe_watch_fence *f, const struct pe_watch_message *m)
{
	struct pe_watch_part *part = pe_watch_part(w, f);
	struct pe_stand moved;
	enum pe_status status;

	set_centre(part, m);
	status = pe_fence_move(
		w->watch->index, part->number, f->stand.space, volume_of(f, part, &moved));
	(void)status; // no room at that place: nowhere until the next one
	if (part->ending)
		return;
	part->listing = true;
	part->list = PE_MEMBER_LIST_START;
	start_walk(w, f, false);
}

void pe_watch_obey(struct pe_worker *w, const struct pe_watch_message *m)
{
	struct pe_watch_fence *f = m->fence;
	struct pe_watch_part *part = pe_watch_part(w, f);

	pe_watch_unsafe(w->watch);
	switch (m->order) {
	case PE_WATCH_ADD:
		w->watch->adds++;
		add(w, f, m);
		return;
	case PE_WATCH_BEGIN:
		part->generation = m->generation;
		open_members(w, f);
		start_walk(w, f, true);
		return;
	case PE_WATCH_MOVE:
		w->watch->adds++;
		move(w, f, m);
		return;
	case PE_WATCH_RESTART:
		part->generation = m->generation;
		part->quiet = part->closing = part->snapshot = true;
		part->lost = false;
		add_job(w, f);
		return;
	case PE_WATCH_END:
		part->closing = part->ending = true;
		part->walking = part->listing = false;
		add_job(w, f);
		return;
	default:
		return;
	}
}

// A piece of the members that end. True: there are none left.
static bool close_piece(struct pe_worker *w, struct pe_watch_part *part)
{
	return part->number == PE_WATCH_NONE ||
		!pe_member_close(w->watch->members, part->number, w->tick, PE_WATCH_CLOSED);
}

// All members have left. True: there is more to do.
static bool closed(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_part *part = pe_watch_part(w, f);

	if (part->ending) {
		if (part->in_lost)
			return true; // its keeper has to be told first
		if (part->number != PE_WATCH_NONE) {
			pe_watch_unsafe(x);
			pe_fence_remove(x->index, part->number);
			pe_watch_unname_part(w, f);
			x->number_count--;
			part->number = PE_WATCH_NONE;
		}
		return !answer(w, f, PE_WATCH_REMOVED, PE_REASON_none, 0);
	}
	part->closing = part->quiet = false;
	pe_watch_unsafe(w->watch);
	open_members(w, f);
	start_walk(w, f, true);
	return false;
}

static void list_piece(struct pe_worker *w, struct pe_watch_part *part)
{
	uint32_t handles[PE_WATCH_TOUCHED];
	unsigned count = pe_member_list(
		w->watch->members, part->number, &part->list, handles, PE_WATCH_TOUCHED);

	for (unsigned i = 0; i < count; i++)
		pe_watch_note(w, handles[i], false);
	pe_watch_look(w);
	part->listing = part->list != PE_MEMBER_LIST_END;
}

// A page of the query that the fence is, among this worker's own entities.
static void walk_piece(struct pe_worker *w, struct pe_watch_fence *f)
{
	const struct pe_asker asker = pe_watch_asker(f);
	static const struct pe_query_known now_and_here = {0}; // no point, no later moment
	struct pe_watch_part *part = pe_watch_part(w, f);
	struct pe_query_context *c = &w->query;
	struct pe_query_answer answer = {0};
	struct pe_wire_query *q;
	enum pe_reason reason;

	part->walking = false;
	if (f->follows && !part->somewhere)
		return;
	// At the end of a turn: a budget of its own, or many queries would keep it waiting.
	c->cells_left = PE_WATCH_WALK_CELLS;
	c->candidates_left = PE_WATCH_WALK_CELLS * 16;
	pe_query_begin(c);
	q = pe_query_next(c);
	*q = f->stand.query;
	if (f->follows)
		memcpy(q->a, part->centre, sizeof q->a);
	if (part->cursor[0] | part->cursor[1]) {
		q->flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q->cursor, part->cursor, sizeof q->cursor);
	}
	pe_query_prepare(c, f->stand.space, &w->engine->spaces[f->stand.space->index].rules, &asker,
		(struct pe_instant){w->tick, w->wall_ms}, &now_and_here, f->stand.extension);
	c->cells_left = PE_WATCH_WALK_CELLS; // what a polygon's preparation has taken of it
	reason = pe_query_run(c, 0, PE_WATCH_WALK_HITS, UINT32_MAX, &answer);
	if (reason != PE_REASON_none)
		return; // a place where it cannot stand
	for (uint32_t i = 0; i < answer.result_count; i++)
		if (part->snapshot)
			pe_watch_start(w, f, c->handles[i]);
		else
			pe_watch_note(w, c->handles[i], false);
	if (w->watch->touched_count)
		pe_watch_look(w);
	part->walking = answer.truncated;
	memcpy(part->cursor, answer.cursor, sizeof part->cursor);
}

// False: it has to wait.
static bool work_piece(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_watch_part *part = pe_watch_part(w, f);

	if (part->closing) {
		if (!close_piece(w, part) || closed(w, f))
			add_job(w, f);
		return true; // it may be gone
	}
	// A subscriber that is slow is not told more of a snapshot than it takes: that would end in
	// a GAP, and begin again.
	if (part->walking && part->snapshot &&
		atomic_load_explicit(&f->subscription->waits, memory_order_relaxed) >
			w->watch->waiting_count_max / 8) {
		add_job(w, f);
		return false;
	}
	if (part->listing)
		list_piece(w, part);
	else if (part->walking)
		walk_piece(w, f);
	if (part->listing || part->walking) {
		add_job(w, f);
		return true;
	}
	if (!part->snapshot)
		return true;
	if (answer(w, f, PE_WATCH_WALKED, PE_REASON_none, part->generation))
		part->snapshot = false;
	else
		add_job(w, f);
	return true;
}

static unsigned tell_lost(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	unsigned done = 0;

	for (; x->lost; done++) {
		struct pe_watch_fence *f = x->lost;
		struct pe_watch_part *part = pe_watch_part(w, f);

		// `lost` stays until the fence begins anew: one word is enough.
		if (part->lost && !answer(w, f, PE_WATCH_LOST, PE_REASON_none, part->generation))
			break;
		x->lost = part->next_lost;
		part->in_lost = false;
	}
	return done;
}

unsigned pe_watch_work(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	unsigned done = x->lost ? tell_lost(w) : 0;

	// One walk, or some of what is cheaper.
	for (unsigned i = 0; i < PE_WATCH_PIECES && x->jobs_first; i++) {
		bool walk = !pe_watch_part(w, x->jobs_first)->closing &&
			pe_watch_part(w, x->jobs_first)->walking;
		bool worked = work_piece(w, take_job(w));

		done += worked;
		// One that waits for its subscriber keeps nobody else's waiting.
		if (walk && worked)
			break;
	}
	pe_watch_hear(w);
	return done;
}

unsigned pe_watch_take_rings(struct pe_worker *w)
{
	struct pe_engine *e = w->engine;
	unsigned taken = 0;

	for (unsigned from = 0; from < e->config.worker_count; from++) {
		const struct pe_watch_message *m;
		struct pe_ring_spsc *ring;
		unsigned n = 0;

		if (from == w->index)
			continue;
		ring = pe_watch_ring(e, from, w->index);
		for (; n < PE_WATCH_MESSAGES / e->config.worker_count &&
			(m = pe_ring_spsc_peek(ring, n));
			n++) {
			// This turn may have begun before the sender's. Of the same time are the
			// names of anonymous ones that both tell, or one of them renames all
			// behind a GAP and the other one doesn't know yet. A clock that was set
			// back between the two stays where it is.
			if (m->time_ms > w->wall_ms && m->time_ms - w->wall_ms < 1000)
				w->wall_ms = m->time_ms;
			if (m->order < PE_WATCH_ORDERS) {
				// Its answer must find room: then it waits where it is.
				if ((m->order == PE_WATCH_ADD || m->order == PE_WATCH_MOVE) &&
					(w->watch->adds >= PE_WATCH_ADDS ||
						pe_ring_spsc_room(
							pe_watch_ring(e, w->index, from), 1) < 1))
					break;
				pe_watch_obey(w, m);
			} else if (m->order == PE_WATCH_EVENT) {
				pe_watch_event(w, m);
			} else {
				pe_watch_answer(w, from, m);
			}
		}
		if (n)
			pe_ring_spsc_release(ring, n);
		taken += n;
	}
	return taken;
}
