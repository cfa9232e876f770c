// Standing queries on the worker that owns the entities: what an update, an expiry or a withdrawal
// means to the fences.
#include "watch.h"

#include "base/prefetch.h"

#include <math.h>

// ---- what is told ----

static struct pe_instant now_of(const struct pe_worker *w)
{
	return (struct pe_instant){w->tick, w->wall_ms};
}

// The view that an asker has of an entity that this worker owns and that is there.
enum seen { SEEN_NOT, SEEN_HIDDEN, SEEN };

static enum seen view_of(const struct pe_worker *w, const struct pe_asker *asker, uint32_t handle,
	struct pe_view *view)
{
	const struct pe_table *t = &w->engine->table;
	const struct pe_record *r = &t->records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	const struct pe_view_rules *rules;

	// Past its ttl: its end is near.
	if (PE_STATUS_LIFE(status) != PE_LIFE_THERE || PE_STATUS_OWNER(status) != w->index ||
		!pe_view_build(asker, r, &r->shown, w->tick, view))
		return SEEN_NOT;
	rules = &w->engine->spaces[PE_STATUS_SPACE(status)].rules;
	if (!(r->shown.attributes & PE_PUBLISHED_REST) && !rules->decays)
		return SEEN;
	return pe_view_complete(&t->details, handle, rules, asker, w->tick, w->wall_ms, view) ?
		SEEN :
		SEEN_HIDDEN;
}

static const double *centre_of(const struct pe_watch_fence *f, const struct pe_watch_part *part)
{
	return f->follows ? part->centre : NULL;
}

void pe_watch_lose(struct pe_worker *w, struct pe_watch_fence *f)
{
	struct pe_watch *x = w->watch;
	struct pe_watch_part *part = pe_watch_part(w, f);

	pe_count(&w->counters, PE_COUNTER_events_lost, 1);
	part->lost = true;
	if (part->in_lost)
		return;
	part->in_lost = true;
	part->next_lost = x->lost;
	x->lost = f;
}

void pe_watch_tell_member(void *context, const struct pe_member_event *event)
{
	static const uint8_t kinds[] = {
		[PE_MEMBER_ENTER] = PE_EVENT_ENTER,
		[PE_MEMBER_MOVE] = PE_EVENT_MOVE,
		[PE_MEMBER_LEAVE] = PE_EVENT_LEAVE,
	};
	struct pe_worker *w = context;
	struct pe_watch *x = w->watch;
	struct pe_watch_fence *f =
		(struct pe_watch_fence *)(uintptr_t)pe_fence_id(x->index, event->fence);
	struct pe_watch_part *part = pe_watch_part(w, f);
	struct pe_watch_message message = {.fence = f, .order = PE_WATCH_EVENT};
	const struct pe_asker asker = pe_watch_asker(f);
	const struct pe_record *r;
	struct pe_view view;
	bool shown;

	if (part->quiet)
		return;
	message.kind = kinds[event->kind];
	message.cause = event->cause;
	message.generation = part->generation;
	message.time_ms = w->wall_ms - (uint32_t)(w->tick - event->tick);
	if (event->kind == PE_MEMBER_ENTER && x->in_snapshot)
		message.flags |= PE_EVENT_IN_SNAPSHOT;
	if (x->in_correction)
		message.flags |= PE_EVENT_CORRECTED;
	r = &w->engine->table.records[event->handle];
	if (__builtin_expect(r->shown.attributes & PE_PUBLISHED_VEILED, 0) &&
		!pe_watch_shows(w, f, &r->shown)) {
		// Its hour is over, or the subscriber went away: all is told anew behind a GAP. Or
		// it went away itself, whither is not told.
		if (event->kind != PE_MEMBER_LEAVE || !pe_view_shown(&asker, r->shown.attributes))
			return;
		message.cause = PE_LEAVE_GONE;
	}
	shown = message.cause != PE_LEAVE_GONE && message.cause != PE_LEAVE_ENDED &&
		view_of(w, &asker, event->handle, &view) == SEEN;
	if (shown) {
		// Ages are of the moment that is told, which dwell times may have put off.
		pe_stand_result(&f->stand, centre_of(f, part), &view,
			(struct pe_instant){w->tick, message.time_ms}, &message.u.result);
	} else {
		memset(&message.u.result, 0, sizeof message.u.result);
		pe_view_id(&w->engine->spaces[f->stand.space->index].rules, r, r->shown.attributes,
			w->wall_ms, message.u.result.entity_id);
	}
	if (!pe_watch_send(w, &message))
		pe_watch_lose(w, f);
}
static_assert((int)PE_CAUSE_MOVED == (int)PE_LEAVE_MOVED &&
		(int)PE_CAUSE_GONE == (int)PE_LEAVE_GONE &&
		(int)PE_CAUSE_ENDED == (int)PE_LEAVE_ENDED && PE_CAUSE_NONE == 0,
	"causes are told as they are");

// ---- entities ----

void pe_watch_note(struct pe_worker *w, uint32_t handle, bool corrected)
{
	struct pe_watch *x = w->watch;

	if (x->touched_count == PE_WATCH_TOUCHED)
		pe_watch_look(w);
	x->touched[x->touched_count] = handle;
	x->corrected[x->touched_count++] = corrected;
}

static inline struct pe_safe_region *safe_of(const struct pe_worker *w, uint32_t handle)
{
	return &w->engine->watch->safe[pe_handle_number(handle)];
}

void pe_watch_prefetch_batch(const struct pe_worker *w)
{
	const struct pe_batch *b = &w->batch;

	for (unsigned i = 0; i < b->count; i++)
		if (b->handle[i] != PE_HANDLE_NONE)
			pe_prefetch(safe_of(w, b->handle[i]));
}

// Is the entity where no fence has to look at it? An entry of this worker's epoch is of an entity
// that was there and this worker's when it was looked at, and hasn't gone since.
static inline bool is_safe(const struct pe_worker *w, uint32_t handle)
{
	const struct pe_safe_region *s = safe_of(w, handle);
	const struct pe_record *r = &w->engine->table.records[handle];

	// What has no more than its record is in its space's own layer, too.
	return !(r->shown.attributes & PE_PUBLISHED_REST) && r->shown.radius_m == 0.0f &&
		pe_safe_holds(s, w->watch->epoch, r->shown.word,
			w->engine->spaces[PE_KEY_SPACE(r->key)].space.z_shift);
}

// Another worker's record and region are its own to read.
static inline bool is_own(const struct pe_worker *w, uint32_t handle)
{
	uint32_t status = atomic_load_explicit(
		&w->engine->table.records[handle].status, memory_order_relaxed);

	return PE_STATUS_LIFE(status) == PE_LIFE_THERE && PE_STATUS_OWNER(status) == w->index;
}

void pe_watch_batch(struct pe_worker *w)
{
	const struct pe_batch *b = &w->batch;

	for (unsigned i = 0; i < b->count; i++)
		if (b->change[i].way != PE_WAY_GENERAL && b->handle[i] != PE_HANDLE_NONE &&
			is_own(w, b->handle[i]) && !is_safe(w, b->handle[i]))
			pe_watch_note(w, b->handle[i], false);
}

void pe_watch_moved(struct pe_worker *w, uint32_t handle)
{
	pe_safe_forget(safe_of(w, handle));
}

// An entity on its way through the stages.
struct look {
	uint32_t handle;
	bool corrected;
};

// Drops the hits that the view does not pass. *plain: none of them may change its mind as long as
// the entity's reach is not limited.
static unsigned take_hits(struct pe_worker *w, const struct pe_view *view,
	const struct pe_published *published, unsigned count, bool *plain)
{
	struct pe_watch *x = w->watch;
	unsigned kept = 0;

	*plain = true;
	for (unsigned i = 0; i < count; i++) {
		struct pe_watch_fence *f;

		*plain = *plain && x->hits[i].plain;
		// Whatever is asked for: a scope may be among details.
		if (x->hits[i].plain && view->shows.radius_m == 0.0f && !view->details &&
			!(published->attributes & PE_PUBLISHED_VEILED)) {
			x->hits[kept++] = x->hits[i];
			continue;
		}
		f = (struct pe_watch_fence *)(uintptr_t)pe_fence_id(x->index, x->hits[i].fence);
		if (f->follows && memcmp(f->follow_id, view->id, 16) == 0)
			continue;
		if (!pe_watch_shows(w, f, published))
			continue;
		if (pe_stand_takes(&f->stand, centre_of(f, pe_watch_part(w, f)), view, now_of(w)))
			x->hits[kept++] = x->hits[i];
	}
	return kept;
}

static void place_of(const struct pe_view *view, double position[3])
{
	memcpy(position, view->shows.position, 3 * sizeof position[0]);
	if (view->shows.attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN)
		position[2] = NAN;
}

static void look_one(struct pe_worker *w, const struct look *l, const struct pe_fence_seek *seek)
{
	struct pe_watch *x = w->watch;
	struct pe_safe_region *safe = safe_of(w, l->handle);
	double position[3], room = INFINITY;
	struct pe_view view;
	const struct pe_published *published = &w->engine->table.records[l->handle].shown;
	const struct pe_asker anyone = {
		.trusted = true, .sees = UINT32_MAX, .place = PE_NEAR_EVERYWHERE};
	bool plain, all, refused = pe_safe_refused(safe, x->epoch);
	unsigned count;

	if (!seek->count && !pe_member_some(x->members, l->handle)) {
		pe_safe_set(safe, x->epoch, w->engine->table.records[l->handle].shown.word, room);
		return;
	}
	if (!refused)
		pe_safe_forget(safe);
	switch (view_of(w, &anyone, l->handle, &view)) {
	case SEEN_NOT:
		return;
	case SEEN_HIDDEN:
		pe_member_gone(x->members, l->handle, w->tick);
		return;
	case SEEN:
		break;
	}
	place_of(&view, position);
	count = seek->count ? pe_fence_look(x->index, seek, view.shows.word, position, x->hits,
				      refused ? NULL : &room) :
			      0;
	count = take_hits(w, &view, published, count, &plain);
	x->in_correction = l->corrected;
	all = pe_member_update(
		x->members, l->handle, seek->key, view.shows.word, x->hits, count, w->tick);
	x->in_correction = false;
	if (refused || !all || !plain || view.shows.radius_m != 0.0f ||
		(published->attributes & PE_PUBLISHED_REST))
		return;
	room = fmin(room, pe_member_room(x->members, l->handle, seek->key, view.shows.word));
	if (room == -INFINITY)
		pe_safe_refuse(safe, x->epoch);
	else
		pe_safe_set(safe, x->epoch, view.shows.word, room);
}

void pe_watch_look(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	struct look looks[PE_WATCH_TOUCHED];
	struct pe_fence_seek seeks[PE_WATCH_TOUCHED];
	uint32_t handles[PE_WATCH_TOUCHED];
	unsigned count = 0;

	for (unsigned i = 0; i < x->touched_count; i++) {
		const struct pe_record *r = &w->engine->table.records[x->touched[i]];
		uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

		// Noted before it was known whose it is; what has gone meanwhile was told of.
		if (PE_STATUS_LIFE(status) != PE_LIFE_THERE || PE_STATUS_OWNER(status) != w->index)
			continue;
		if (is_safe(w, x->touched[i]))
			continue;
		looks[count] = (struct look){x->touched[i], x->corrected[i]};
		seeks[count].key = pe_watch_open_key(r, status);
		handles[count++] = x->touched[i];
	}
	x->touched_count = 0;
	if (!count)
		return;
	pe_member_prefetch(x->members, handles, count);
	pe_fence_seek(x->index, seeks, count);
	for (unsigned i = 0; i < count; i++)
		look_one(w, &looks[i], &seeks[i]);
	pe_watch_hear(w);
}

void pe_watch_gone(struct pe_worker *w, uint32_t handle)
{
	struct pe_watch *x = w->watch;

	// What was shown last is told before it is gone.
	if (x->touched_count)
		pe_watch_look(w);
	pe_safe_forget(safe_of(w, handle));
	if (pe_member_some(x->members, handle))
		pe_member_gone(x->members, handle, w->tick);
	pe_watch_hear(w);
}

// A snapshot's find: a member at once, if it is inside.
void pe_watch_start(struct pe_worker *w, struct pe_watch_fence *f, uint32_t handle)
{
	struct pe_watch *x = w->watch;
	const struct pe_watch_part *part = pe_watch_part(w, f);
	const struct pe_record *r = &w->engine->table.records[handle];
	const struct pe_asker asker = pe_watch_asker(f);
	struct pe_view view;
	double position[3];
	enum pe_status status;
	uint64_t key;

	if (view_of(w, &asker, handle, &view) != SEEN ||
		(f->follows && memcmp(f->follow_id, view.id, 16) == 0))
		return;
	place_of(&view, position);
	key = pe_watch_open_key(r, atomic_load_explicit(&r->status, memory_order_relaxed));
	if (pe_fence_test(x->index, part->number, key, view.shows.word, position) !=
			PE_FENCE_INSIDE ||
		!pe_stand_takes(&f->stand, centre_of(f, part), &view, now_of(w)))
		return;
	x->in_snapshot = true;
	status = pe_member_start(x->members, part->number, handle, key, view.shows.word, w->tick);
	x->in_snapshot = false;
	(void)status; // no room: it enters with its next update, if there is some then
}

bool pe_watch_inside_any(const struct pe_worker *w, uint32_t handle)
{
	return pe_member_some(w->watch->members, handle);
}

// ---- turns ----

static void count_refused(struct pe_worker *w)
{
	uint64_t refused = pe_member_use(w->watch->members).refused;

	pe_count(&w->counters, PE_COUNTER_members_refused,
		refused -
			atomic_load_explicit(&w->counters.value[PE_COUNTER_members_refused],
				memory_order_relaxed));
}

void pe_watch_start_clock(struct pe_worker *w)
{
	pe_member_set_tick(w->watch->members, w->tick);
	w->watch->timers.tick = w->tick;
}

unsigned pe_watch_begin_turn(struct pe_worker *w)
{
	unsigned settled;

	w->watch->adds = 0;
	settled = pe_member_due(w->watch->members, w->tick, PE_WATCH_DUE, PE_WHEEL_WORK);
	pe_watch_hear(w);
	return settled;
}

unsigned pe_watch_turn(struct pe_worker *w)
{
	struct pe_watch *x = w->watch;
	unsigned did = 0;

	// Without a fence anywhere nothing is on its way.
	if (!x->kept && !w->watching &&
		!atomic_load_explicit(&w->engine->watch->fence_count, memory_order_relaxed))
		return 0;
	if (x->touched_count)
		pe_watch_look(w);
	pe_watch_review(w);
	did += pe_watch_take_rings(w);
	did += pe_watch_order_all(w);
	did += pe_watch_work(w);
	did += pe_watch_keep(w);
	did += pe_watch_tell(w);
	if (w->watching)
		count_refused(w);
	w->watching = x->number_count != 0;
	for (unsigned to = 0; to < w->engine->config.worker_count; to++)
		if (to != w->index)
			pe_ring_spsc_flush(pe_watch_ring(w->engine, w->index, to));
	return did;
}

uint32_t pe_watch_idle_ms(const struct pe_worker *w, uint32_t tick, uint32_t cap)
{
	const struct pe_watch *x = w->watch;

	// What can go on is no idle turn's; what cannot, looks again.
	if (x->jobs_first || x->orders_first || x->lost)
		cap = cap < 1 ? cap : 1;
	for (unsigned i = 0; i < PE_PRIORITIES; i++)
		if (x->ready[i] != PE_WATCH_NONE)
			cap = cap < 1 ? cap : 1;
	if (x->follows && cap > PE_WATCH_FOLLOW_MS / 4)
		cap = PE_WATCH_FOLLOW_MS / 4;
	if (x->kept && w->engine->views.within && cap > PE_WATCH_STANDS_MS / 4)
		cap = PE_WATCH_STANDS_MS / 4;
	cap = pe_member_next(x->members, tick, cap);
	return x->kept ? pe_wheel_next(&x->timers, tick, cap) : cap;
}

uint32_t pe_watch_in_flight(const struct pe_worker *w)
{
	const struct pe_watch *x = w->watch;
	uint32_t count = 0;

	for (unsigned from = 0; from < w->engine->config.worker_count; from++)
		if (from != w->index)
			count += pe_ring_spsc_count(pe_watch_ring(w->engine, from, w->index));
	return count + (x->jobs_first != NULL) + (x->orders_first != NULL) + (x->lost != NULL);
}
