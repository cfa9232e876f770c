#include "discover/stand.h"

#include "discover/accept.h"
#include "discover/scope.h"
#include "discover/slot.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

static uint32_t rounded(size_t bytes)
{
	return (uint32_t)((bytes + 63) & ~(size_t)63);
}

static uint32_t volume_bytes(unsigned kind)
{
	if (kind == PE_QUERY_POLYGON)
		return rounded(sizeof(struct pe_polygon));
	return kind == PE_QUERY_ORIENTED_BOX || kind == PE_QUERY_FRUSTUM ?
		rounded(sizeof(struct pe_hull)) :
		0;
}

uint32_t pe_stand_bytes(const struct pe_wire_fence *fence)
{
	const struct pe_wire_query *q = &fence->query;

	return volume_bytes(q->kind) +
		(q->flags & PE_QUERY_HAS_EXTENSION ?
				rounded(q->extension_bytes) + rounded(sizeof(struct pe_filter)) :
				0);
}

static enum pe_reason set_extension(struct pe_stand *s, const uint8_t *extension, uint8_t *at)
{
	struct pe_wire_extension e;
	struct pe_filter_error error;
	struct pe_filter *filter;
	uint8_t *copy = at;
	enum pe_reason reason;

	memcpy(copy, extension, s->query.extension_bytes);
	s->extension = copy;
	reason = pe_wire_check_extension(&s->query, copy, s->query.extension_bytes, &e);
	if (reason != PE_REASON_none)
		return reason;
	// Events are whole, single and of now.
	if (e.resolution.spatial_m > 0 || e.resolution.temporal_ms ||
		e.resolution.attribute < PE_RESOLUTION_ATTRIBUTE_DEFAULT || e.timed)
		return PE_REASON_fence_kind;
	if (!e.filter)
		return PE_REASON_none;
	filter = (struct pe_filter *)(at + rounded(s->query.extension_bytes));
	if (pe_filter_compile(filter, e.filter, e.filter_bytes, &error) != PE_FILTER_SOUND)
		return PE_REASON_query_program;
	s->filter = filter;
	return PE_REASON_none;
}

static enum pe_reason set_polygon(struct pe_stand *s, struct pe_polygon *polygon)
{
	double vertices[PE_WIRE_VERTICES_MAX][2];
	unsigned ring_vertices[PE_WIRE_RINGS_MAX];
	struct pe_wire_extension e;
	struct pe_wire_polygon p;
	enum pe_volume_fault fault;
	enum pe_reason reason =
		pe_wire_check_extension(&s->query, s->extension, s->query.extension_bytes, &e);

	if (reason != PE_REASON_none)
		return reason;
	pe_wire_get_polygon(&e, &p, ring_vertices, vertices);
	fault = pe_polygon_prepare(s->space, (const double(*)[2])vertices, ring_vertices,
		p.ring_count, p.height_min, p.height_max, polygon);
	s->volume.kind = PE_FENCE_POLYGON;
	s->volume.polygon = polygon;
	return pe_volume_fault_info[fault].reason;
}

static enum pe_reason set_hull(struct pe_stand *s, struct pe_hull *hull)
{
	const struct pe_wire_query *q = &s->query;
	struct pe_wire_extension e;
	enum pe_volume_fault fault;
	enum pe_reason reason = pe_wire_check_extension(q, s->extension, q->extension_bytes, &e);

	if (reason != PE_REASON_none)
		return reason;
	if (q->kind == PE_QUERY_ORIENTED_BOX) {
		struct pe_wire_oriented_box b;
		struct pe_oriented_box box;

		memcpy(&b, e.volume, sizeof b);
		memcpy(box.centre, q->a, sizeof box.centre);
		memcpy(box.half, b.half, sizeof box.half);
		memcpy(box.orientation, b.orientation, sizeof box.orientation);
		fault = pe_hull_oriented_box(s->space, &box, hull);
	} else {
		struct pe_wire_frustum f;
		struct pe_frustum frustum;

		memcpy(&f, e.volume, sizeof f);
		frustum = (struct pe_frustum){.horizontal_deg = f.horizontal_deg,
			.vertical_deg = f.vertical_deg,
			.near_m = f.near_m,
			.far_m = f.far_m};
		memcpy(frustum.apex, q->a, sizeof frustum.apex);
		memcpy(frustum.orientation, f.orientation, sizeof frustum.orientation);
		fault = pe_hull_frustum(s->space, &frustum, hull);
	}
	s->volume.kind = PE_FENCE_HULL;
	s->volume.hull = hull;
	return pe_volume_fault_info[fault].reason;
}

// Of a FOLLOWing one the radius alone, about the middle of the space.
static enum pe_reason set_sphere(struct pe_stand *s)
{
	enum pe_reason reason = pe_space_check_sphere(s->space, s->query.a, s->query.b[0]);

	s->volume.kind = PE_FENCE_SPHERE;
	memcpy(s->volume.a, s->query.a, sizeof s->volume.a);
	s->volume.radius_m = s->query.b[0];
	s->volume.straight = s->straight;
	if (reason == PE_REASON_none)
		reason = pe_space_check_sphere(
			s->space, s->query.a, s->query.b[0] + s->volume.margin_m);
	if (reason == PE_REASON_none && s->straight && s->query.a[2] < PE_HEIGHT_LOWEST_M)
		reason = PE_REASON_query_bounds;
	memcpy(s->origin, s->query.a, sizeof s->origin);
	return reason;
}

static enum pe_reason set_box(struct pe_stand *s)
{
	const struct pe_wire_query *q = &s->query;
	enum pe_reason reason = pe_space_check_box(s->space, q->a, q->b);

	s->volume.kind = PE_FENCE_BOX;
	memcpy(s->volume.a, q->a, sizeof s->volume.a);
	memcpy(s->volume.b, q->b, sizeof s->volume.b);
	if (reason == PE_REASON_none)
		pe_space_box_centre(s->space, q->a, q->b, s->origin);
	return reason;
}

enum pe_reason pe_stand_make(struct pe_stand *s, const struct pe_space *space,
	const struct pe_wire_fence *fence, const uint8_t *extension, void *parts)
{
	const struct pe_wire_query *q = &s->query;
	bool surface = fence->query.kind == PE_QUERY_SPHERE || fence->query.kind == PE_QUERY_BOX;
	enum pe_reason reason = PE_REASON_none;

	*s = (struct pe_stand){.space = space,
		.query = fence->query,
		.straight = space->config.kind == PE_SPACE_GEODETIC &&
			(fence->query.flags & PE_QUERY_DISTANCE_3D)};
	s->volume.margin_m = (double)fence->margin_m;
	s->volume.height_min = -INFINITY;
	s->volume.height_max = INFINITY;
	if (surface && (q->flags & PE_QUERY_HEIGHT_RANGE)) {
		s->volume.height_min = (double)q->height_min;
		s->volume.height_max = (double)q->height_max;
	}
	if (q->flags & PE_QUERY_HAS_EXTENSION)
		reason = set_extension(s, extension, (uint8_t *)parts + volume_bytes(q->kind));
	if (reason != PE_REASON_none)
		return reason;
	if (!surface) {
		// as of a query: the place that stands for the volume must be in the space
		reason = pe_space_check_sphere(space, q->a, 0);
		if (reason != PE_REASON_none)
			return reason;
		memcpy(s->origin, q->a, sizeof s->origin);
	}
	switch (q->kind) {
	case PE_QUERY_SPHERE:
		reason = set_sphere(s);
		break;
	case PE_QUERY_BOX:
		reason = set_box(s);
		break;
	case PE_QUERY_POLYGON:
		reason = set_polygon(s, parts);
		break;
	default:
		reason = set_hull(s, parts);
		break;
	}
	if (reason == PE_REASON_none && (q->flags & PE_QUERY_HAS_ORIGIN)) {
		reason = pe_space_check_sphere(space, q->origin, 0);
		memcpy(s->origin, q->origin, sizeof s->origin);
	}
	s->plain = !q->type_mask && !q->state_mask && !s->filter &&
		(surface || !(q->flags & PE_QUERY_HEIGHT_RANGE));
	return reason;
}

void pe_stand_at(const struct pe_stand *stand, const double at[3], struct pe_stand *moved)
{
	*moved = *stand;
	memcpy(moved->query.a, at, sizeof moved->query.a);
	memcpy(moved->volume.a, at, sizeof moved->volume.a);
	if (!(stand->query.flags & PE_QUERY_HAS_ORIGIN))
		memcpy(moved->origin, at, sizeof moved->origin);
}

// The asker's point.
static const double *point_of(const struct pe_stand *s, const double *centre)
{
	return !centre || (s->query.flags & PE_QUERY_HAS_ORIGIN) ? s->origin : centre;
}

static double distance(const struct pe_stand *s, const double *centre, const double position[3])
{
	return pe_space_distance(s->space, point_of(s, centre), position, s->straight);
}

static bool asks_more(const struct pe_stand *s, const struct pe_view *view, struct pe_instant now)
{
	const struct pe_wire_query *q = &s->query;
	const struct pe_published *p = &view->shows;
	unsigned type = p->entity_type >= PE_ENTITY_CUSTOM ? 4u : p->entity_type;
	struct pe_test test;

	if (q->type_mask && !(q->type_mask >> type & 1))
		return false;
	if (q->state_mask && !(q->state_mask >> PE_ATTRIBUTE_STATE(p->attributes) & 1))
		return false;
	if ((q->flags & PE_QUERY_HEIGHT_RANGE) && s->volume.kind != PE_FENCE_SPHERE &&
		s->volume.kind != PE_FENCE_BOX &&
		((p->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN) ||
			p->position[2] < (double)q->height_min ||
			p->position[2] > (double)q->height_max))
		return false;
	if (!s->filter)
		return true;
	// As a query would: a filter asks for the view and the time alone.
	test.query = q;
	test.filter = s->filter;
	test.now = now;
	return pe_query_filter_takes(&test, view);
}

bool pe_stand_takes(const struct pe_stand *s, const double *centre, const struct pe_view *view,
	struct pe_instant now)
{
	if (!s->plain && !asks_more(s, view, now))
		return false;
	if (!pe_scope_lets(s->space, view->details, point_of(s, centre)))
		return false;
	return !(view->shows.radius_m > 0) ||
		distance(s, centre, view->shows.position) <= (double)view->shows.radius_m;
}

void pe_stand_result(const struct pe_stand *s, const double *centre, const struct pe_view *view,
	struct pe_instant now, struct pe_wire_result *result)
{
	pe_accept_result(view, &now, distance(s, centre, view->shows.position), result);
}
