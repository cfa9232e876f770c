#include "coalesce_model.h"

#include <immintrin.h>

#include <math.h>

#define TRAILING 1000u // ms: the time of a threshold that has none

const struct model_policy model_policy[MODEL_SPACES] = {
	[MODEL_DISTANCE] = {.distance = 5},
	[MODEL_INTERVAL] = {.interval = 250},
	[MODEL_BOTH] = {.distance = 4, .interval = 100, .attribute = 0.1f},
	[MODEL_FREQUENCY] = {.frequency = 300},
	[MODEL_COURSE] = {.distance = 5, .course = 5, .attribute = 0.1f},
	[MODEL_EARTH] = {.distance = 5},
};
const unsigned model_factor[4] = {1, 2, 8, 1};
struct model model = {.entities = MODEL_ENTITIES};

// ---- what time does ----

static void forget_waiting(struct model_entity *e)
{
	if (e->waits && e->owed)
		model.told.records_coalesced++;
	e->waits = e->owed = false;
}

static void fall_back(struct model_state *s)
{
	s->u.attributes = (uint16_t)((s->u.attributes & ~7u) | PE_STATE_INACTIVE);
	s->u.custom_state = 0;
	model.told.status_elapsed++;
}

// Nothing stands before it any more.
static void publish(struct model_entity *e, const struct model_state *s)
{
	if (model_key(e->space, s->place) != model_key(e->space, e->shown.place)) {
		e->crossing = true;
		e->passed = false;
		model.told.crossings++;
	}
	forget_waiting(e);
	e->shown = *s;
	e->until = s->until;
	e->cap = s->cap ? model.now + s->cap : 0;
	e->interval = s->interval ? model.now + s->interval : 0;
}

static void publish_waiting(struct model_entity *e)
{
	struct model_state s = e->waiting;

	if (s.until && model.now >= s.until) {
		fall_back(&s);
		s.until = 0;
		model.met.trailing_elapsed++;
	}
	model.met.trailing_moves += s.place != e->shown.place;
	model.met.accepted_published += e->owed;
	*(e->owed ? &model.told.records_applied : &model.told.trailing) += 1;
	e->waits = e->owed = false;
	publish(e, &s);
}

static void take_away(struct model_entity *e)
{
	model.met.accepted_dropped += e->owed;
	forget_waiting(e);
	// What is gone already leaves nothing behind in the grid a second time.
	e->passed &= e->life == MODEL_GONE;
	e->life = MODEL_GONE;
	e->gone_at = model.now;
	e->cap = e->interval = e->until = 0;
	e->crossing = false;
}

// Timers run once a millisecond: what becomes due in the same one later is seen to in the next.
static void time_passes(struct model_entity *e, bool timers)
{
	if (e->life == MODEL_THERE && e->crossing && e->passed) {
		e->crossing = false;
		if (e->waits && e->owed)
			publish_waiting(e);
		else if (e->waits && model.now > e->due)
			model.met.trailing_behind_a_crossing++;
	}
	if (!timers)
		return;
	if (e->life == MODEL_GONE) {
		// Its pair is remembered for at least that long, and until nobody can be reading
		// its place.
		if (model.now >= e->gone_at + MODEL_TOMBSTONE && e->passed)
			e->life = MODEL_UNKNOWN;
		return;
	}
	if (e->life == MODEL_UNKNOWN)
		return;
	if (e->until && model.now >= e->until) {
		e->until = 0;
		fall_back(&e->shown);
	}
	if (e->cap && model.now >= e->cap)
		e->cap = 0;
	if (e->interval && model.now >= e->interval)
		e->interval = 0;
	if (e->waits && !e->owed && !e->crossing && !e->cap && model.now >= e->due) {
		model.met.trailing_in_time += model.now == e->due;
		publish_waiting(e);
	}
	if (model.now >= e->expiry) {
		model.told.expired++;
		take_away(e);
	}
}

// ---- what a record does ----

static bool close_enough(uint8_t a, uint8_t b, float threshold)
{
	return fabs((double)a - b) <= (double)threshold * 254 && (a == 0) == (b == 0);
}

static bool has_course(const struct model_entity *e)
{
	return model_policy[e->space].course > 0 && e->shown.u.entity_type != PE_ENTITY_STATIC;
}

static double metres_a_second(const struct pe_wire_update *u)
{
	return (double)_cvtsh_ss(u->velocity[0]); // the test's entities go along x
}

// How long what a course covers may be held back: twice the time between updates, as long as the
// course is followed. 0: not at all.
static unsigned course_holds(const struct model_entity *e, const struct model_state *s)
{
	double apart = s->time_ms > e->time_before_ms ? (double)(s->time_ms - e->time_before_ms) :
							0,
	       announced = s->u.update_frequency ? 60000.0 / s->u.update_frequency : 0;
	double hold = ceil(2 * (apart > announced ? apart : announced));
	int64_t left = (int64_t)(e->shown.time_ms + MODEL_HORIZON - model.wall_ms);

	if (left > MODEL_HORIZON)
		left = MODEL_HORIZON;
	if (hold < TRAILING)
		hold = TRAILING;
	return left <= 0 ? 0 : hold < (double)left ? (unsigned)hold : (unsigned)left;
}

static bool on_course(const struct model_entity *e, const struct model_state *s)
{
	const struct pe_wire_update *a = &e->shown.u, *b = &s->u;
	double limit = model_policy[e->space].course *
		model_factor[PE_ATTRIBUTE_POWER_MODE(a->attributes)];
	double after = (double)(int64_t)(s->time_ms - e->shown.time_ms) / 1000;
	double x = b->position[0] - (a->position[0] + metres_a_second(a) * after),
	       y = b->position[1] - a->position[1], z = b->position[2] - a->position[2];
	double swerves = fabs(metres_a_second(b) - metres_a_second(a)) * course_holds(e, s);

	if (after < 0 || after * 1000 > MODEL_HORIZON || !course_holds(e, s)) {
		model.met.course_over++;
		return false;
	}
	if (sqrt(x * x + y * y + z * z) > limit) {
		model.met.off_course++;
		return false;
	}
	model.met.swerved += swerves > 1000 * limit;
	model.met.covered_by_course +=
		swerves <= 1000 * limit && model.apart[e->space][e->shown.place][s->place] > limit;
	return swerves <= 1000 * limit;
}

static bool below_thresholds(const struct model_entity *e, const struct model_state *s)
{
	const struct pe_wire_update *a = &e->shown.u, *b = &s->u;
	double limit = model_policy[e->space].distance *
		model_factor[PE_ATTRIBUTE_POWER_MODE(b->attributes)];
	double moved = model.apart[e->space][e->shown.place][s->place];
	float threshold = model_policy[e->space].attribute;

	if (!model_policy[e->space].interval && !(model_policy[e->space].distance > 0))
		return false;
	if (a->attributes != b->attributes || a->entity_type != b->entity_type ||
		a->custom_state != b->custom_state || a->radius_m < b->radius_m ||
		a->radius_m > b->radius_m || a->precision_m < b->precision_m ||
		a->precision_m > b->precision_m ||
		!close_enough(a->position_confidence, b->position_confidence, threshold) ||
		!close_enough(a->status_confidence, b->status_confidence, threshold))
		return false;
	if (has_course(e))
		return on_course(e, s);
	if (limit > 0 && moved > limit)
		return false;
	if (model_policy[e->space].interval && !(e->interval > model.now))
		return false;
	model.met.exactly_at_threshold += limit > 0 && moved >= limit;
	return true;
}

static void hold_back(struct model_entity *e, const struct model_state *s, bool by_cap_alone)
{
	// The first that is held back says when: updates that go on do not put it off.
	if (has_course(e) && !by_cap_alone) // unless they follow a course
		e->due = model.now + course_holds(e, s);
	else if (!e->waits || e->owed)
		e->due = model.now + (s->interval ? s->interval : TRAILING);
	if (e->interval)
		e->due = e->interval;
	if (by_cap_alone)
		e->due = model.now; // and so when the cap has ended
	model.met.accepted_replaced += e->owed;
	forget_waiting(e);
	e->waiting = *s;
	e->waits = true;
	// It goes on with the state that is seen, for as long as it says.
	if (PE_ATTRIBUTE_STATE(e->shown.u.attributes) == PE_ATTRIBUTE_STATE(s->u.attributes) &&
		e->shown.u.custom_state == s->u.custom_state)
		e->until = s->until;
}

// An update of an entity that is there: its status.
static enum pe_ack_status update_there(struct model_entity *e, const struct model_state *s)
{
	bool moves = model_key(e->space, s->place) != model_key(e->space, e->shown.place), covered;

	// The newest accepted update's frequency counts.
	if (e->cap && !s->cap) {
		model.met.cap_ended++;
		e->cap = 0;
	} else if (e->cap && e->cap > model.now + s->cap) {
		model.met.cap_cut++;
		e->cap = model.now + s->cap;
	} else if (e->cap && e->cap < model.now + s->cap) {
		model.met.cap_longer++;
	}
	covered = below_thresholds(e, s);
	if (covered || e->cap) {
		hold_back(e, s, !covered);
		model.told.records_coalesced++;
		*(covered ? &model.met.covered_by_threshold : &model.met.capped) += 1;
		return PE_ACK_COALESCED;
	}
	if (moves && e->crossing) {
		model.met.accepted_replaced += e->owed;
		forget_waiting(e);
		e->waiting = *s;
		e->waits = e->owed = true;
		model.met.accepted++;
		return PE_ACK_ACCEPTED;
	}
	model.met.accepted_replaced += e->owed;
	publish(e, s);
	model.told.records_applied++;
	return PE_ACK_APPLIED;
}

static void create(struct model_entity *e, unsigned s, const struct model_state *first)
{
	// Its old place may still be read: that is as if it came from there.
	bool in_grace = e->life == MODEL_GONE && !e->passed;

	model.met.back_in_grace += in_grace;
	model.met.back_elsewhere += e->life == MODEL_GONE && e->space != s;
	e->life = MODEL_THERE;
	e->space = s;
	e->waits = e->owed = false;
	e->shown = *first;
	publish(e, first);
	e->crossing = in_grace;
	e->passed = false;
	model.told.created++;
	model.told.records_applied++;
}

enum pe_reason model_door(const struct model_record *r)
{
	if (r->u.radius_m < 0)
		return PE_REASON_radius;
	if (r->time_ms > model.wall_ms + PE_CLOCK_AHEAD_MS)
		return PE_REASON_future;
	return PE_REASON_none;
}

static enum pe_reason check(const struct model_entity *e, const struct model_record *r)
{
	enum pe_reason reason = model_door(r);

	if (reason)
		return reason;
	if (e->life == MODEL_UNKNOWN)
		return r->withdraw ? PE_REASON_unknown_entity : PE_REASON_none;
	if (r->incarnation < e->incarnation ||
		(r->incarnation == e->incarnation && r->u.sequence <= e->sequence))
		return PE_REASON_stale;
	if (r->incarnation == e->incarnation && r->time_ms < e->time_ms)
		return PE_REASON_late;
	if (e->life == MODEL_THERE && e->space != r->space)
		return PE_REASON_space_differs;
	return PE_REASON_none;
}

static void take(struct model_record *r)
{
	struct model_entity *e = &model.entity[r->n];
	unsigned frequency = r->u.frequency ? r->u.frequency : model_policy[r->space].frequency;
	struct model_state s = {.u = r->u, .place = r->place, .time_ms = r->time_ms};

	r->reason = check(e, r);
	if (r->reason) {
		r->status = PE_ACK_REFUSED;
		if (r->reason == PE_REASON_stale || r->reason == PE_REASON_late ||
			r->reason == PE_REASON_space_differs) {
			r->known_incarnation = e->incarnation;
			r->known_sequence = e->sequence;
		}
		model.met.refused++;
		return;
	}
	e->incarnation = r->incarnation;
	e->sequence = r->u.sequence;
	e->time_before_ms = e->time_ms;
	e->time_ms = r->time_ms;
	if (r->withdraw) {
		model.told.withdrawn += e->life == MODEL_THERE;
		model.met.withdrawn_again += e->life == MODEL_GONE;
		model.told.records_applied++;
		take_away(e);
		r->status = PE_ACK_APPLIED;
		return;
	}
	if (r->covered) {
		model.told.records_coalesced++;
		model.met.superseded++;
		r->status = PE_ACK_COALESCED;
		return;
	}
	s.u.attributes &= (uint16_t)~PE_ATTRIBUTE_RELOCATION; // says nothing of one that moves
	s.until = r->u.duration_ms ? model.now + r->u.duration_ms : 0;
	s.cap = frequency ? 60000 / frequency : 0;
	s.interval = model_policy[r->space].interval *
		model_factor[PE_ATTRIBUTE_POWER_MODE(r->u.attributes)];
	if (e->life == MODEL_THERE) {
		r->status = update_there(e, &s);
	} else {
		create(e, r->space, &s);
		r->status = PE_ACK_APPLIED;
	}
	// Whatever became of its state, it is alive.
	e->expiry = model.now + (r->u.ttl_ms ? r->u.ttl_ms : PE_TTL_DEFAULT_MS);
}

// A burst's later record of an entity covers the one before it when it would pass wherever that
// does: of the same sender's life, newer in both orders, in the same space, and in that one's cell
// or the entity's.
static void supersede(struct model_record *burst, unsigned burst_count)
{
	for (unsigned i = 0; i < burst_count; i++) {
		struct model_record *r = &burst[i], *later = NULL;
		const struct model_entity *e = &model.entity[r->n];

		if (r->withdraw || model_door(r) || e->life == MODEL_UNKNOWN)
			continue;
		for (unsigned k = i + 1; k < burst_count && !later; k++)
			if (burst[k].n == r->n && !burst[k].withdraw && !model_door(&burst[k]))
				later = &burst[k];
		if (!later)
			continue;
		uint64_t key = model_key(later->space, later->place);
		r->covered = later->incarnation == r->incarnation &&
			later->u.sequence > r->u.sequence && later->time_ms >= r->time_ms &&
			later->space == r->space &&
			(key == model_key(r->space, r->place) ||
				(e->life == MODEL_THERE &&
					key == model_key(e->space, e->shown.place)));
	}
}

void model_grace(void)
{
	for (unsigned n = 1; n <= model.entities; n++)
		model.entity[n].passed = true;
}

void model_turn(struct model_record *burst, unsigned count)
{
	for (unsigned n = 1; n <= model.entities; n++)
		time_passes(&model.entity[n], model.now > model.timers_ran);
	model.timers_ran = model.now;
	supersede(burst, count);
	for (unsigned i = 0; i < count; i++)
		take(&burst[i]);
}

uint64_t model_next_due(const struct model_entity *e)
{
	uint64_t due = e->expiry;

	if (e->until && e->until < due)
		due = e->until;
	if (e->waits && !e->owed && !e->crossing && e->due < due)
		due = e->cap > e->due ? e->cap : e->due;
	return due > model.now ? due : model.now + 1;
}
