// What a query has beside its record: a volume of its own, a filter program, and a moment.
#include "discover/slot.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

// Every pair of edges is looked at, which costs as much as a visit to a cell for so many of them.
#define EDGE_PAIRS_A_CELL 64u

// False: the turn has no work left for it. Something is left for the walk, however little a turn
// may do.
static bool charge_polygon(struct pe_query_context *c, const struct pe_wire_extension *extension)
{
	struct pe_wire_polygon p;
	uint32_t cells;

	memcpy(&p, extension->volume, sizeof p);
	if (c->cells_left <= 1 && c->charged)
		return false;
	c->charged = true;
	cells = (uint32_t)p.vertex_count * p.vertex_count / EDGE_PAIRS_A_CELL;
	c->cells_left -= cells < c->cells_left ? cells : c->cells_left - !!c->cells_left;
	return true;
}

static enum pe_volume_fault prepare_polygon(struct pe_query_context *c, struct pe_test *t,
	const struct pe_space *space, const struct pe_wire_extension *extension)
{
	struct pe_polygon *polygon = &c->extras->polygon[c->polygons_used];
	double vertices[PE_WIRE_VERTICES_MAX][2];
	unsigned ring_vertices[PE_WIRE_RINGS_MAX];
	struct pe_wire_polygon p;
	enum pe_volume_fault fault;

	static_assert(PE_WIRE_VERTICES_MAX == PE_POLYGON_VERTICES_MAX &&
			PE_WIRE_RINGS_MAX == PE_POLYGON_RINGS_MAX,
		"what a message may carry can be prepared");
	pe_wire_get_polygon(extension, &p, ring_vertices, vertices);
	fault = pe_polygon_outline(space, (const double(*)[2])vertices, ring_vertices, p.ring_count,
		p.height_min, p.height_max, polygon);
	if (fault != PE_VOLUME_ok)
		return fault;
	t->polygon = polygon;
	t->sieve = NULL;
	// Where courses lead says no place of the index.
	if (space->config.kind == PE_SPACE_CARTESIAN && !extension->timed) {
		t->sieve = &c->extras->sieve[c->polygons_used];
		pe_sieve_make(space, polygon, t->sieve);
	} else {
		pe_polygon_draw(polygon);
	}
	c->polygons_used++;
	return PE_VOLUME_ok;
}

static enum pe_volume_fault prepare_oriented_box(struct pe_hull *hull,
	const struct pe_wire_query *q, const struct pe_space *space, const uint8_t *content)
{
	struct pe_wire_oriented_box b;
	struct pe_oriented_box box;

	memcpy(&b, content, sizeof b);
	memcpy(box.centre, q->a, sizeof box.centre);
	memcpy(box.half, b.half, sizeof box.half);
	memcpy(box.orientation, b.orientation, sizeof box.orientation);
	return pe_hull_oriented_box(space, &box, hull);
}

static enum pe_volume_fault prepare_frustum(struct pe_hull *hull, const struct pe_wire_query *q,
	const struct pe_space *space, const uint8_t *content)
{
	struct pe_wire_frustum f;
	struct pe_frustum frustum;

	memcpy(&f, content, sizeof f);
	frustum = (struct pe_frustum){.horizontal_deg = f.horizontal_deg,
		.vertical_deg = f.vertical_deg,
		.near_m = f.near_m,
		.far_m = f.far_m};
	memcpy(frustum.apex, q->a, sizeof frustum.apex);
	memcpy(frustum.orientation, f.orientation, sizeof frustum.orientation);
	return pe_hull_frustum(space, &frustum, hull);
}

static uint64_t fault_of(const struct pe_filter_error *error)
{
	return pe_answer_fault(error->fault, error->step, error->at);
}

static void set_resolution(struct pe_query_slot *s, const struct pe_wire_resolution *r)
{
	s->test.age_max_ms = r->temporal_ms;
	// The one place where the attribute decides. 1 asks for everything that is kept of an
	// entity.
	if (r->spatial_m > 0)
		s->form = PE_QUERY_CELLS;
	else if (r->attribute < PE_RESOLUTION_ATTRIBUTE_DEFAULT)
		s->form = PE_QUERY_SHORT;
	else if (r->attribute >= 1.0f)
		s->form = PE_QUERY_DETAILED;
	s->cell_size_m = r->spatial_m;
}

enum pe_reason pe_query_extend(struct pe_query_context *c, unsigned slot,
	const struct pe_space *space, const uint8_t *data)
{
	struct pe_query_slot *s = &c->slots[slot];
	const struct pe_wire_query *q = &s->query;
	struct pe_test *t = &s->test;
	enum pe_volume_fault fault = PE_VOLUME_ok;
	struct pe_wire_extension extension;
	enum pe_reason reason = pe_wire_check_extension(q, data, q->extension_bytes, &extension);

	if (reason == PE_REASON_query_program)
		s->detail = fault_of(&extension.filter_error);
	if (reason != PE_REASON_none)
		return reason;
	t->ways.timed = extension.timed;
	t->time.offset_ms = extension.offset_ms;
	set_resolution(s, &extension.resolution);
	if (extension.filter) {
		struct pe_filter_error error;

		if (pe_filter_compile(&c->extras->filter[slot], extension.filter,
			    extension.filter_bytes, &error) != PE_FILTER_SOUND) {
			s->detail = fault_of(&error);
			return PE_REASON_query_program;
		}
		t->filter = &c->extras->filter[slot];
	}
	t->hull = &c->extras->hull[slot];
	switch (q->kind) {
	case PE_QUERY_POLYGON:
		if (charge_polygon(c, &extension))
			fault = prepare_polygon(c, t, space, &extension);
		else
			s->form = PE_QUERY_POSTPONED;
		break;
	case PE_QUERY_ORIENTED_BOX:
		fault = prepare_oriented_box(&c->extras->hull[slot], q, space, extension.volume);
		break;
	case PE_QUERY_FRUSTUM:
		fault = prepare_frustum(&c->extras->hull[slot], q, space, extension.volume);
		break;
	default:
		break;
	}
	return pe_volume_fault_info[fault].reason;
}

bool pe_query_volume_holds(const struct pe_test *t, const double position[3], bool height_known)
{
	return height_known && pe_hull_holds(t->hull, position);
}

// From a frame's units to the plane of a polygon's raster: x, y, and on Earth the way up.
struct to_plane {
	double from[3], per_unit[3][3];
};

static void make_to_plane(const struct pe_test *t, unsigned frame, struct to_plane *to)
{
	const struct pe_space_frame *f = &t->space->frame[frame];
	const struct pe_polygon *p = t->polygon;
	const double *row[3] = {p->axis[0], p->axis[1], p->up};
	double unit_m = t->space->unit_m;

	for (unsigned i = 0; i < 3; i++) {
		to->from[i] =
			row[i][0] * f->home[0] + row[i][1] * f->home[1] + row[i][2] * f->home[2];
		for (unsigned k = 0; k < 3; k++)
			to->per_unit[i][k] =
				(row[i][0] * f->turn[k][0] + row[i][1] * f->turn[k][1] +
					row[i][2] * f->turn[k][2]) *
				unit_m * (k < 2 ? 1.0 : (double)(1u << t->space->z_shift));
	}
}

static enum pe_cell_side side_round(
	const struct pe_polygon *p, const struct to_plane *to, const struct pe_units *u)
{
	double at[3];

	for (unsigned i = 0; i < 3; i++)
		at[i] = to->from[i] + (double)u->v[0] * to->per_unit[i][0] +
			(double)u->v[1] * to->per_unit[i][1] + (double)u->v[2] * to->per_unit[i][2];
	// What is on the far side of the Earth appears in the plane as well.
	return at[2] > 0.0 ? pe_raster_side(&p->raster, at[0], at[1]) : PE_CELL_OUTSIDE;
}

unsigned pe_query_polygon_sieve(
	const struct pe_test *t, struct pe_hit *hits, unsigned from, unsigned to)
{
	const struct pe_polygon *p = t->polygon;
	struct to_plane plane;
	unsigned kept = from;

	if (from == to)
		return to;
	// Hits are of one frame: that of the region that is walked.
	make_to_plane(t, PE_KEY_FRAME(hits[from].key), &plane);
	for (unsigned i = from; i < to; i++) {
		struct pe_hit hit = hits[i];
		struct pe_units u = pe_place_units(hit.key, hit.word & PE_WORD_POSITION);
		enum pe_cell_side side = side_round(p, &plane, &u);

		// Beside a move the record is what counts.
		if (hit.word & (PE_SLOT_MOVED | PE_SLOT_ARRIVING))
			side = PE_CELL_CROSSING;
		hit.sure = side == PE_CELL_INSIDE;
		hits[kept] = hit;
		kept += side != PE_CELL_OUTSIDE;
	}
	return kept;
}

unsigned pe_query_volume_regions(const struct pe_test *t, struct pe_region regions[PE_FRAMES_MAX])
{
	return t->query->kind == PE_QUERY_POLYGON ?
		pe_polygon_regions(t->space, t->polygon, regions) :
		pe_hull_regions(t->space, t->hull, regions);
}

static struct pe_facts facts_of(const struct pe_test *t, const struct pe_view *view)
{
	const struct pe_published *p = &view->shows;

	return (struct pe_facts){.id = view->id,
		.age_ms = (int64_t)(t->now.wall_ms - p->time_ms),
		.radius_m = p->radius_m,
		.velocity = {p->velocity[0], p->velocity[1], p->velocity[2]},
		.entity_type = p->entity_type,
		.state = (uint8_t)PE_ATTRIBUTE_STATE(p->attributes),
		.custom_state = p->custom_state,
		.position_confidence = p->position_confidence,
		.status_confidence = p->status_confidence,
		.stale = view->stale};
}

// The rest of them, where a test asks for it.
static void add_details(struct pe_facts *facts, const struct pe_view *view)
{
	struct pe_details_blocks blocks;

	if (!view->details)
		return;
	pe_wire_get_details(view->details, &blocks);
	facts->context = blocks.content[PE_DETAILS_CONTEXT];
	facts->context_bytes = blocks.bytes[PE_DETAILS_CONTEXT];
	facts->metadata = blocks.content[PE_DETAILS_METADATA];
	facts->metadata_bytes = blocks.bytes[PE_DETAILS_METADATA];
}

bool pe_query_filter_takes(const struct pe_test *t, const struct pe_view *view)
{
	struct pe_facts facts = facts_of(t, view);
	enum pe_filter_verdict verdict = pe_filter_run_hot(t->filter, &facts);

	if (verdict != PE_FILTER_NEEDS_COLD)
		return verdict == PE_FILTER_YES;
	add_details(&facts, view);
	return pe_filter_run(t->filter, &facts);
}

unsigned pe_query_filter_test(const struct pe_test *t, const struct pe_view *view)
{
	struct pe_facts facts = facts_of(t, view);
	unsigned test;

	add_details(&facts, view);
	(void)!pe_filter_decide(t->filter, &facts, &test);
	return test;
}
