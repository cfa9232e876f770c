// What a published state's course covers, and for how long it may be expected to: the part of
// coalescing that knows of velocity. The published state is all that is kept of a course, so that
// every reader follows the same one.
#include "internal.h"

#include "space/predict.h"

#include <math.h>

// What is announced counts as so many intervals.
#define ADAPTIVE_INTERVALS_MAX 16.0

static struct pe_motion motion_of(
	const double position[3], const uint16_t velocity[3], uint16_t attributes)
{
	struct pe_motion m = {
		.height_known = !(attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN),
	};

	for (unsigned i = 0; i < 3; i++) {
		m.position[i] = position[i];
		m.velocity[i] = (double)pe_half_to_float(velocity[i]);
	}
	return m;
}

double pe_predict_needed_m(const struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	const struct pe_space_policy *p = &w->engine->spaces[PE_STATUS_SPACE(status)].policy;

	double needed_m = (double)(p->predict_distance_m *
		(float)pe_coalesce_factor(r->shown.attributes) * w->coarse);

	return w->watching ? fmin(needed_m, pe_watch_needed_m(w, handle)) : needed_m;
}

static double interval_ms(const struct pe_change *c)
{
	return c->update.update_frequency ? 60000.0 / c->update.update_frequency : 0;
}

// Until what is left of the course, and for twice as long as updates are apart: who is silent for
// longer has stopped sending.
static uint32_t trailing_ms(double apart_ms, int64_t left_ms)
{
	double ms = fmax(2 * apart_ms, PE_TRAILING_MS);

	return (uint32_t)fmin(ceil(ms), (double)left_ms);
}

struct pe_prediction pe_predict(
	const struct pe_worker *w, uint32_t handle, const struct pe_change *c)
{
	const struct pe_space_entry *s = &w->engine->spaces[c->space];
	const struct pe_record *r = &w->engine->table.records[handle];
	const struct pe_published *own = &r->shown;
	int64_t horizon_ms = s->policy.predict_horizon_ms;
	int64_t age_ms = (int64_t)(c->time_ms - own->time_ms);
	int64_t left_ms = (int64_t)(own->time_ms - w->wall_ms) + horizon_ms;
	int32_t apart_ms = (int32_t)((uint32_t)c->time_ms - r->time_low);
	struct pe_motion from, predicted, to;
	struct pe_prediction x = {0};

	if (!pe_predict_applies(s, own->entity_type) || age_ms < 0 || age_ms > horizon_ms)
		return x;
	from = motion_of(own->position, own->velocity, own->attributes);
	to = motion_of(c->update.position, c->update.velocity, c->update.attributes);
	predicted = pe_space_predict(&s->space, &from, (double)age_ms / 1000);
	x.known = true;
	x.age_ms = (uint32_t)age_ms;
	x.error_m = sqrt(pe_motion_apart_square(&s->space, &predicted, &to));
	x.turned_mps = pe_motion_turned(&s->space, &predicted, &to);
	x.threshold_m = pe_predict_needed_m(w, handle);
	if (left_ms > horizon_ms)
		left_ms = horizon_ms;
	if (left_ms <= 0)
		return x; // by now nobody follows it any more
	x.trailing_ms = trailing_ms(fmax(interval_ms(c), apart_ms > 0 ? apart_ms : 0), left_ms);
	// Another velocity is covered where it makes no more than the threshold, too, until the
	// state is published.
	x.covers =
		x.error_m <= x.threshold_m && x.turned_mps * x.trailing_ms <= 1000 * x.threshold_m;
	if (x.covers && w->watching)
		x.covers = pe_watch_same_sides(w, handle, &c->update);
	return x;
}

// How long the course that others see is expected to stay within the threshold: on from the error
// that there is, at the rate at which it grows; of a course that has just begun, at the rates at
// which the one before it went wrong.
static double lasts_ms(const struct pe_prediction *x)
{
	double age_s = x->age_ms / 1000.0, grows_mps = x->error_m / age_s;

	if (x->covers)
		return 1000 * (x->threshold_m - x->error_m) / fmax(grows_mps, x->turned_mps);
	return 1000 *
		fmin(x->threshold_m / grows_mps, sqrt(2 * x->threshold_m * age_s / x->turned_mps));
}

uint32_t pe_predict_silence_ms(const struct pe_change *c, const struct pe_prediction *x)
{
	static const double intervals[4] = {1, 2, 8, 1};
	unsigned mode = PE_ATTRIBUTE_POWER_MODE(c->update.attributes);
	double interval = interval_ms(c), ms = interval * intervals[mode];

	if (!(interval > 0))
		return 0;
	if (mode == PE_POWER_ADAPTIVE && x && x->known && x->age_ms && x->threshold_m > 0) {
		ms = lasts_ms(x);
		// Nothing divided by nothing: it stands still.
		if (!(ms <= ADAPTIVE_INTERVALS_MAX * interval))
			ms = ADAPTIVE_INTERVALS_MAX * interval;
	}
	ms = fmin(ms, c->update.ttl_ms / 2.0);
	return ms < 1 ? 1 : (uint32_t)ms;
}

static float fastest(uint64_t lanes)
{
	double v[3];

	for (unsigned i = 0; i < 3; i++)
		v[i] = (double)pe_half_to_float((uint16_t)(lanes >> 16 * i & 0x7FFF));
	return (float)pe_motion_speed(v);
}

void pe_predict_known_veiled(const struct pe_space_entry *s, const struct pe_wire_query *q,
	uint32_t audiences, struct pe_query_known *known)
{
	for (; audiences; audiences &= audiences - 1) {
		unsigned a = (unsigned)__builtin_ctz(audiences);
		uint32_t bits =
			atomic_load_explicit(&s->audience[a].precision_seen, memory_order_relaxed);
		float precision_m,
			speed_mps = fastest(atomic_load_explicit(
				&s->audience[a].speed_seen, memory_order_relaxed));

		memcpy(&precision_m, &bits, sizeof precision_m);
		if (precision_m > known->veiled_precision_max_m)
			known->veiled_precision_max_m = precision_m;
		if ((q->flags & PE_QUERY_HAS_EXTENSION) && speed_mps > known->speed_max_mps)
			known->speed_max_mps = speed_mps;
	}
}

float pe_predict_fastest(const struct pe_space_entry *s)
{
	return fastest(atomic_load_explicit(&s->speed_seen, memory_order_relaxed));
}

void pe_predict_hidden(const struct pe_space_policy *p, unsigned mode, float hidden_m[2][4])
{
	float factor = (float)pe_coalesce_factor((uint16_t)(mode << 5));

	hidden_m[0][mode] = p->coalesce_distance_m * factor;
	hidden_m[1][mode] =
		(p->predict_distance_m > 0 ? p->predict_distance_m : p->coalesce_distance_m) *
		factor;
}
