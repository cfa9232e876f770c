#include "policy/grain.h"

#include "policy/area.h"
#include "policy/methods.h"

#include <math.h>

#define DEGREE_M  111320.0
#define MINUTE_MS 60000u

static double half_across(const struct pe_space *space, const double low[3], const double high[3])
{
	double x = high[0] - low[0], y = high[1] - low[1];

	if (space->config.kind == PE_SPACE_GEODETIC) {
		y += y < 0 ? 360 : 0;
		y *= DEGREE_M * cos((low[0] + high[0]) / 2 * M_PI / 180);
		x *= DEGREE_M;
	}
	return fmin(x, y) / 2;
}

double pe_grain_asked_m(const struct pe_space *space, const struct pe_wire_query *q,
	const uint8_t *extension, double margin_m)
{
	double asked_m = margin_m > 0 ? margin_m : INFINITY;
	struct pe_bounds bounds;

	if (q->kind == PE_QUERY_SPHERE)
		return fmin(asked_m, q->b[0]);
	if (q->kind == PE_QUERY_BOX)
		return fmin(asked_m, half_across(space, q->a, q->b));
	pe_area_bounds(space, q, extension, 0, 0, &bounds);
	if (!bounds.bounded || bounds.all_meridians)
		return asked_m;
	return fmin(asked_m, half_across(space, bounds.low, bounds.high));
}

// 0: as they are sent.
static double edge_of(const struct pe_policy *p)
{
	double edge_m = fmax(p->cloak_m, p->laplace_m);

	if (p->k)
		edge_m = fmax(edge_m, p->area_m);
	if (p->method && p->method->edge_m)
		edge_m = fmax(edge_m, p->method->edge_m(p->method_first, p->method_second));
	return edge_m;
}

double pe_grain_published_m(const struct pe_views *v, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint16_t type_mask, double asked_m)
{
	uint32_t sees = pe_views_sees(v, directory, space, principal, 0);
	double published_m = 0;

	for (unsigned i = 0; i < v->policy_count; i++) {
		const struct pe_policy *p = &v->policy[i];
		uint32_t bit = 1u << (PE_AUDIENCE_POLICY + i);
		double edge_m = edge_of(p);

		if (edge_m <= asked_m || edge_m <= published_m ||
			(p->space != PE_POLICY_EVERY_SPACE && p->space != space) ||
			(p->type_mask && type_mask && !(p->type_mask & type_mask)))
			continue;
		// At a time of the day at which it says anything.
		if (sees & bit ||
			(v->timed & bit &&
				pe_views_sees(v, directory, space, principal,
					p->from_minute * (uint64_t)MINUTE_MS) &
					bit))
			published_m = edge_m;
	}
	return published_m;
}
