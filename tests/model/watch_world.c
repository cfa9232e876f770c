#include "watch_world.h"

#include "plain_geometry.h"
#include "testing.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

bool world_earth;

// On Earth the differences between a plane and the ellipsoid, a few centimetres; and the margin of
// a box is up to 1 % wider there than it says (space/side.h).
double world_doubt_m(void)
{
	return world_earth ? 0.35 : 0.002;
}
#define DOUBT_M world_doubt_m()

void world_wire(const double p[3], double wire[3])
{
	static const double site[3] = {48.85, 2.35};
	double to[3] = {p[0], p[1], p[2]};

	if (world_earth)
		earth_offset(site, p[0], p[1], to);
	memcpy(wire, to, sizeof to);
}

static double between(uint64_t *random, double low, double high)
{
	return low + (high - low) * (double)(testing_random(random) >> 11) * 0x1p-53;
}

static unsigned below(uint64_t *random, unsigned n)
{
	return (unsigned)((testing_random(random) >> 32) * n >> 32);
}

double world_distance(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = world_earth ? 0 : a[2] - b[2];

	return sqrt(x * x + y * y + z * z);
}

void world_place(uint64_t *random, double p[3])
{
	p[0] = between(random, -WORLD_EDGE_M, WORLD_EDGE_M);
	p[1] = between(random, -WORLD_EDGE_M, WORLD_EDGE_M);
	p[2] = between(random, 0, 60);
}

static void make_polygon(uint64_t *random, struct world_fence *f)
{
	struct pe_wire_query *q = &f->wire.query;
	double angle = between(random, 0, 6.28);

	// Four places around a; not a square, and convex or not.
	for (unsigned i = 0; i < 4; i++) {
		double reach = between(random, 30, 120);

		f->vertices[i][0] = q->a[0] + reach * cos(angle);
		f->vertices[i][1] = q->a[1] + reach * sin(angle);
		angle += between(random, 1.2, 1.8);
	}
	f->height_min = below(random, 2) ? -INFINITY : 10;
	f->height_max = below(random, 2) ? INFINITY : 45;
	double wire[4][2];

	for (unsigned i = 0; i < 4; i++) {
		double at[3] = {f->vertices[i][0], f->vertices[i][1], 0};

		world_wire(at, at);
		memcpy(wire[i], at, sizeof wire[i]);
	}
	f->extension_bytes = pe_wire_put_polygon(f->extension, 0, sizeof f->extension,
		PE_VERTICES_F64, (const double(*)[2])wire, (const unsigned[]){4}, 1, f->height_min,
		f->height_max);
}

static void make_hull(uint64_t *random, struct world_fence *f)
{
	double s, c;

	f->turn = between(random, 0, 6.28);
	s = sin(f->turn / 2);
	c = cos(f->turn / 2);
	if (f->wire.query.kind == PE_QUERY_ORIENTED_BOX) {
		struct pe_wire_oriented_box b = {.orientation = {0, 0, s, c}};

		for (unsigned i = 0; i < 3; i++)
			b.half[i] = f->half[i] = between(random, 15, 100);
		f->extension_bytes = pe_wire_put_block(
			f->extension, 0, sizeof f->extension, PE_BLOCK_VOLUME, &b, sizeof b);
		return;
	}
	f->horizontal_deg = between(random, 20, 100);
	f->vertical_deg = between(random, 20, 100);
	f->near_m = between(random, 0, 10);
	f->far_m = between(random, 60, 200);
	struct pe_wire_frustum w = {.orientation = {0, 0, s, c},
		.horizontal_deg = f->horizontal_deg,
		.vertical_deg = f->vertical_deg,
		.near_m = f->near_m,
		.far_m = f->far_m};
	f->wire.margin_m = 0;
	f->extension_bytes = pe_wire_put_block(
		f->extension, 0, sizeof f->extension, PE_BLOCK_VOLUME, &w, sizeof w);
}

void world_fence(uint64_t *random, uint32_t id, bool dwell, struct world_fence *f)
{
	static const uint8_t kinds[] = {PE_QUERY_SPHERE, PE_QUERY_BOX, PE_QUERY_POLYGON,
		PE_QUERY_ORIENTED_BOX, PE_QUERY_FRUSTUM};
	struct pe_wire_query *q = &f->wire.query;

	memset(f, 0, sizeof *f);
	f->used = true;
	f->wire.fence_id = id;
	q->kind = kinds[below(random, 5)];
	world_place(random, q->a);
	if (below(random, 2))
		f->wire.margin_m = (float)below(random, 30);
	if (dwell && below(random, 2))
		f->wire.enter_ms = below(random, 500);
	if (dwell && below(random, 2))
		f->wire.leave_ms = below(random, 500);
	switch (q->kind) {
	case PE_QUERY_SPHERE:
		q->b[0] = between(random, 20, 150);
		if (below(random, 3) == 0) {
			q->flags |= PE_QUERY_HEIGHT_RANGE;
			q->height_min = 12;
			q->height_max = 40;
		}
		break;
	case PE_QUERY_BOX:
		for (unsigned i = 0; i < 3; i++)
			q->b[i] = q->a[i] + between(random, 20, 200);
		break;
	case PE_QUERY_POLYGON:
		make_polygon(random, f);
		break;
	default:
		make_hull(random, f);
		break;
	}
	if (f->extension_bytes) {
		q->flags |= PE_QUERY_HAS_EXTENSION;
		q->extension_bytes = (uint16_t)f->extension_bytes;
	}
	if (below(random, 4) == 0)
		q->type_mask = 1u << PE_ENTITY_MOBILE | 1u << PE_ENTITY_TEMPORARY;
	if (below(random, 4) == 0)
		q->state_mask = 1u << PE_STATE_ACTIVE | 1u << PE_STATE_BUSY;
	if (below(random, 6) == 0) {
		q->flags |= PE_QUERY_HAS_ORIGIN;
		world_place(random, q->origin);
	}
	f->local = *q;
	if (!world_earth)
		return;
	world_wire(f->local.a, q->a);
	if (q->flags & PE_QUERY_HAS_ORIGIN)
		world_wire(f->local.origin, q->origin);
	if (q->kind == PE_QUERY_BOX) {
		world_wire(f->local.b, q->b);
		q->a[2] = q->b[2] = 0;
	}
}

// out: how far outside; below zero inside.
static enum world_side of(double out, double margin, bool *doubt)
{
	if (fabs(out) < DOUBT_M || fabs(out - margin) < DOUBT_M)
		*doubt = true;
	return out <= 0 ? WORLD_INSIDE : out <= margin ? WORLD_MARGIN : WORLD_OUTSIDE;
}

static double range_out(double v, double low, double high)
{
	return fmax(low - v, v - high);
}

static double edge_distance(const double p[3], const double a[2], const double b[2])
{
	double x = b[0] - a[0], y = b[1] - a[1];
	double t = ((p[0] - a[0]) * x + (p[1] - a[1]) * y) / (x * x + y * y);

	t = t < 0 ? 0 : t > 1 ? 1 : t;
	return hypot(p[0] - a[0] - t * x, p[1] - a[1] - t * y);
}

static double polygon_out(const struct world_fence *f, const double p[3])
{
	bool in = false;
	double least = INFINITY;

	for (unsigned i = 0; i < 4; i++) {
		const double *a = f->vertices[i], *b = f->vertices[(i + 1) % 4];

		if ((a[1] > p[1]) != (b[1] > p[1]) &&
			p[0] < a[0] + (p[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0]))
			in = !in;
		least = fmin(least, edge_distance(p, a, b));
	}
	return in ? -least : least;
}

static enum world_side lesser(enum world_side a, enum world_side b)
{
	return a < b ? a : b;
}

enum world_side world_side(const struct world_fence *f, const struct world_entity *e, bool *doubt)
{
	const struct pe_wire_query *q = &f->local;
	double margin = (double)f->wire.margin_m, x, y, z, out;
	enum world_side side;

	if (f->nowhere)
		return WORLD_OUTSIDE;
	switch (q->kind) {
	case PE_QUERY_SPHERE:
		side = of(world_distance(e->p, q->a) - q->b[0], margin, doubt);
		if (q->flags & PE_QUERY_HEIGHT_RANGE)
			side = lesser(side,
				of(range_out(e->p[2], (double)q->height_min, (double)q->height_max),
					margin, doubt));
		return side;
	case PE_QUERY_BOX:
		out = -INFINITY;
		for (unsigned i = 0; i < (world_earth ? 2 : 3); i++)
			out = fmax(out, range_out(e->p[i], q->a[i], q->b[i]));
		return of(out, margin, doubt);
	case PE_QUERY_POLYGON:
		return lesser(of(polygon_out(f, e->p), margin, doubt),
			of(range_out(e->p[2], f->height_min, f->height_max), margin, doubt));
	default:
		break;
	}
	x = (e->p[0] - q->a[0]) * cos(f->turn) + (e->p[1] - q->a[1]) * sin(f->turn);
	y = (e->p[1] - q->a[1]) * cos(f->turn) - (e->p[0] - q->a[0]) * sin(f->turn);
	z = e->p[2] - q->a[2];
	if (q->kind == PE_QUERY_ORIENTED_BOX) {
		out = fmax(fabs(x) - f->half[0], fmax(fabs(y) - f->half[1], fabs(z) - f->half[2]));
		// the margin goes no further than the ball about the box and itself
		return lesser(of(out, margin, doubt),
			of(sqrt(x * x + y * y + z * z) -
					sqrt(f->half[0] * f->half[0] + f->half[1] * f->half[1] +
						f->half[2] * f->half[2]),
				margin, doubt));
	}
	out = fmax(range_out(x, f->near_m, f->far_m),
		fmax(fabs(y) - x * tan(f->horizontal_deg * M_PI / 360),
			fabs(z) - x * tan(f->vertical_deg * M_PI / 360)));
	return of(out, margin, doubt);
}

enum world_side world_takes(const struct world_fence *f, const struct world_entity *e, bool *doubt)
{
	const struct pe_wire_query *q = &f->local;
	enum world_side side = world_side(f, e, doubt);
	double from[3], reach;

	if (q->type_mask && !(q->type_mask >> e->type & 1))
		return WORLD_OUTSIDE;
	if (q->state_mask && !(q->state_mask >> e->state & 1))
		return WORLD_OUTSIDE;
	if (!(e->radius_m > 0))
		return side;
	memcpy(from, q->flags & PE_QUERY_HAS_ORIGIN ? q->origin : q->a, sizeof from);
	if (q->kind == PE_QUERY_BOX && !(q->flags & PE_QUERY_HAS_ORIGIN))
		for (unsigned i = 0; i < 3; i++)
			from[i] = (q->a[i] + q->b[i]) / 2;
	reach = world_distance(from, e->p) - (double)e->radius_m;
	*doubt |= fabs(reach) < DOUBT_M;
	return reach <= 0 ? side : WORLD_OUTSIDE;
}
