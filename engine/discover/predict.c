// Queries about a moment that is not now: entities are tested where their courses lead by then. The
// grid knows where they were seen, so that a walk looks as much further as the fastest may have
// come since.
#include "discover/slot.h"
#include "space/predict.h"
#include "space/side.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

// Below the ellipsoid a metre is more than a metre of footprint: by 0.2 % at PE_HEIGHT_LOWEST_M.
#define WIDER_FACTOR 1.003
// Further than this from its centre no region of an Earth is known to be whole (pe_surface_band).
#define WALK_MAX_M 2400000.0

enum pe_reason pe_query_prepare_time(
	struct pe_test *t, const struct pe_space *space, const struct pe_query_known *known)
{
	struct pe_query_time *time = &t->time;
	double way_m = (double)known->speed_max_mps * known->horizon_ms / 1000, hidden_m = 0;

	if (time->offset_ms > known->horizon_ms)
		return PE_REASON_query_time;
	time->at_ms = t->now.wall_ms + time->offset_ms;
	time->horizon_ms = known->horizon_ms;
	time->hidden_m = known->hidden_m;
	time->wider_m = way_m * WIDER_FACTOR + 0.01;
	for (unsigned i = 0; i < 8; i++)
		hidden_m = fmax(hidden_m, (double)known->hidden_m[i / 4][i % 4]);
	time->reach_m = (double)known->precision_max_m + hidden_m + 2 * way_m;
	if (space->config.kind == PE_SPACE_GEODETIC)
		time->reach_m = fmin(time->reach_m, PE_QUERY_RADIUS_MAX_M / 2);
	return PE_REASON_none;
}

// CARTESIAN: the box about a volume.
static void bounds_of(const struct pe_test *t, double lo[3], double hi[3])
{
	const struct pe_polygon *p = t->polygon;
	bool polygon = t->query->kind == PE_QUERY_POLYGON;
	unsigned count = polygon ? p->ring_end[0] : 8;

	for (unsigned k = 0; k < 3; k++) {
		lo[k] = INFINITY;
		hi[k] = -INFINITY;
	}
	for (unsigned i = 0; i < count; i++)
		for (unsigned k = 0; k < 3; k++) {
			double a, b;

			if (polygon && p->length[i] == 0.0)
				continue; // filling
			a = polygon ? p->first[k][i] : t->hull->origin[k] + t->hull->corner[i][k];
			b = polygon ? p->last[k][i] : a;
			lo[k] = fmin(lo[k], fmin(a, b));
			hi[k] = fmax(hi[k], fmax(a, b));
		}
	if (!polygon)
		return;
	lo[2] = p->height_min;
	hi[2] = p->height_max;
}

unsigned pe_query_time_regions(const struct pe_test *t, struct pe_region regions[PE_FRAMES_MAX])
{
	double a[3], b[3], wide_a[3], wide_b[3], radius_m;

	if (t->query->kind == PE_QUERY_BOX) {
		pe_box_widen(t->space, t->query->a, t->query->b, t->time.wider_m, wide_a, wide_b);
		return pe_space_box(t->space, wide_a, wide_b, regions);
	}
	if (t->space->config.kind == PE_SPACE_CARTESIAN) {
		bounds_of(t, a, b);
		pe_box_widen(t->space, a, b, t->time.wider_m, wide_a, wide_b);
		return pe_space_box(t->space, wide_a, wide_b, regions);
	}
	if (t->query->kind == PE_QUERY_POLYGON)
		pe_polygon_around(t->polygon, a, &radius_m);
	else
		pe_hull_around(t->hull, a, &radius_m);
	return pe_query_sphere_regions(t, a, fmin(radius_m, WALK_MAX_M - t->time.wider_m), regions);
}

// The bound may not be less than it says: up to the next binary16 where it has none of its own.
static float rounded_up(double value)
{
	float whole = (float)value;
	uint16_t half;

	if (!(value < (double)PE_HALF_MAX))
		return PE_HALF_MAX;
	half = pe_half_from_float(whole);
	if ((double)pe_half_to_float(half) < value)
		half++;
	return pe_half_to_float(half);
}

void pe_query_predict(const struct pe_test *t, struct pe_view *view)
{
	struct pe_published *p = &view->shows;
	bool fixed = p->entity_type == PE_ENTITY_STATIC;
	int64_t ahead_ms = (int64_t)(t->time.at_ms - p->time_ms);
	struct pe_motion m = {
		.height_known = !(p->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN),
	};
	double seconds, speed, known;

	ahead_ms = ahead_ms < 0 ? 0 : ahead_ms > t->time.horizon_ms ? t->time.horizon_ms : ahead_ms;
	seconds = fixed ? 0 : (double)ahead_ms / 1000;
	for (unsigned i = 0; i < 3; i++) {
		m.position[i] = p->position[i];
		m.velocity[i] = (double)pe_half_to_float(p->velocity[i]);
	}
	speed = sqrt(m.velocity[0] * m.velocity[0] + m.velocity[1] * m.velocity[1] +
		m.velocity[2] * m.velocity[2]);
	known = fmin(speed, PE_PREDICT_SPEED_MAX_MPS);
	if (seconds > 0 && speed > 0) {
		m = pe_space_predict(t->space, &m, seconds);
		for (unsigned i = 0; i < 3; i++) {
			p->position[i] = m.position[i];
			p->velocity[i] = pe_half_from_float((float)m.velocity[i]);
		}
	}
	// As long as it has not become faster it is within its speed times the time of where it
	// was, as its course is.
	p->precision_m = rounded_up((double)p->precision_m +
		(double)t->time.hidden_m[!fixed][PE_ATTRIBUTE_POWER_MODE(p->attributes)] +
		(known < speed ? (double)PE_HALF_MAX : 2 * known * seconds));
	if (p->position_confidence && !fixed) {
		float c = pe_confidence_to_float(p->position_confidence);

		p->position_confidence = pe_confidence_from_float(
			c * expf(-(float)ahead_ms / (float)t->time.horizon_ms));
	}
}
