// The ways of finding somebody out by answers: by distances, by who is nearer, by the edges of
// volumes, by counts, by explanations; and the list of all. Each finds whoever is shown exactly to
// a few centimetres.
#include "adversary_internal.h"

#include "testing.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

// ---- what is told outright ----

// From everywhere, in every way; the mean of what is shown.
static bool repeat(struct adversary *a, double place[3])
{
	uint64_t shown = 0;
	double sum[3] = {0};

	for (uint64_t i = 0; i < a->repeated; i++) {
		static const uint16_t kinds[] = {PE_QUERY_SPHERE, PE_QUERY_SPHERE, PE_QUERY_BOX,
			PE_QUERY_NEAREST, PE_QUERY_POINT};
		_Alignas(8) uint8_t extension[64];
		const struct pe_wire_result *r;
		struct pe_wire_query q;
		uint32_t bytes = 0;
		double at[3], corner[3];

		adversary_anywhere(a, ADVERSARY_ASIDE_M, at);
		q = adversary_sphere(at, adversary_random(a, 0, ADVERSARY_FAR_M));
		q.kind = (uint8_t)kinds[i % 5];
		q.query_id = (uint32_t)i;
		switch (q.kind) {
		case PE_QUERY_NEAREST:
			q.max_results = (uint16_t)(1 + i % 4);
			break;
		case PE_QUERY_POINT:
			q.b[0] = 0;
			break;
		case PE_QUERY_BOX:
			adversary_offset(a, at, -q.b[0], -q.b[0], corner);
			memcpy(q.a, corner, sizeof corner);
			adversary_offset(a, at, q.b[0], q.b[0], corner);
			memcpy(q.b, corner, sizeof corner);
			q.b[2] = q.a[2] = 0;
			if (a->in == 0) {
				q.a[2] = -1000;
				q.b[2] = 1000;
			}
			break;
		default:
			break;
		}
		if (i % 7 == 0) {
			q.flags |= PE_QUERY_HAS_ORIGIN;
			adversary_anywhere(a, ADVERSARY_ASIDE_M, q.origin);
		}
		if (i % 3 == 1) {
			struct pe_wire_time t = {.offset_ms = (int32_t)(i % 60000)};

			bytes = pe_wire_put_block(
				extension, 0, sizeof extension, PE_BLOCK_TIME, &t, sizeof t);
		}
		a->h->untrusted = i % 11 == 0;
		r = adversary_ask(a, &q, extension, bytes);
		a->h->untrusted = false;
		// Where it will be is another question.
		if (!r || bytes)
			continue;
		for (unsigned k = 0; k < 3; k++)
			sum[k] += r->position[k];
		shown++;
	}
	for (unsigned k = 0; k < 3; k++)
		place[k] = sum[k] / (double)shown;
	return shown > 0;
}

static bool distances(struct adversary *a, double place[3])
{
	struct adversary_fixes f = adversary_about(a->home, ADVERSARY_REACH_M / 2);

	for (unsigned i = 0; i < 12; i++) {
		const struct pe_wire_result *r;
		struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
		double at[3];

		adversary_anywhere(a, ADVERSARY_ASIDE_M, at);
		if (i % 2) {
			q.flags |= PE_QUERY_HAS_ORIGIN;
			memcpy(q.origin, at, sizeof at);
		} else {
			q = adversary_sphere(at, ADVERSARY_FAR_M);
		}
		r = adversary_ask(a, &q, NULL, 0);
		if (r)
			adversary_add(&f, at, (double)r->distance_m);
	}
	return adversary_solve(a, &f, false, place);
}

static bool explain(struct adversary *a, double place[3])
{
	struct adversary_fixes f = adversary_about(a->home, ADVERSARY_REACH_M / 2);

	for (unsigned i = 0; i < ADVERSARY_ASKERS; i++) {
		struct pe_wire_explanation e;
		struct pe_wire_query q;
		double at[3];

		adversary_anywhere(a, ADVERSARY_ASIDE_M, at);
		q = adversary_sphere(a->home, adversary_random(a, 1, ADVERSARY_FAR_M));
		q.flags |= PE_QUERY_HAS_ORIGIN;
		memcpy(q.origin, at, sizeof at);
		if (adversary_explain(a, a->target, &q, &e)) {
			if (e.asker_m >= 0)
				adversary_add(&f, at, e.asker_m);
			if (e.distance_m >= 0)
				adversary_add(&f, a->home, e.distance_m);
		}
	}
	return adversary_solve(a, &f, false, place);
}

// ---- edges of volumes ----

static bool within_radius(struct adversary *a, double beyond_m, void *context)
{
	struct adversary_ray *ray = context;

	ray->query.b[0] = ADVERSARY_FAR_M - beyond_m;
	return adversary_ask(a, &ray->query, NULL, 0) != NULL;
}

static bool radius(struct adversary *a, double place[3])
{
	struct adversary_fixes f = adversary_about(a->home, ADVERSARY_REACH_M / 2);

	for (unsigned i = 0; i < ADVERSARY_ASKERS; i++) {
		struct adversary_ray ray;
		double beyond_m;

		adversary_anywhere(a, ADVERSARY_ASIDE_M, ray.from);
		ray.query = adversary_sphere(ray.from, 0);
		if (i % 2) // answered as short as can be
			ray.query.max_results = 1;
		beyond_m = adversary_bisect(a, ADVERSARY_FAR_M, within_radius, &ray);
		if (beyond_m >= 0)
			adversary_add(&f, ray.from, ADVERSARY_FAR_M - beyond_m);
	}
	return adversary_solve(a, &f, false, place);
}

// What is left of the world when it is cut along x or y, so many metres from its end.
struct half {
	unsigned axis, kind;
	double strip; // axis 1: the coordinate along the other axis that it lies about
};

// Which of a position's three is along x, or y.
static unsigned along(const struct adversary *a, unsigned axis)
{
	return a->in ? !axis : axis;
}

static double coordinate(const struct adversary *a, unsigned axis, double metres)
{
	double place[3];

	adversary_offset(a, a->home, axis ? 0 : metres, axis ? metres : 0, place);
	return place[along(a, axis)];
}

static bool in_half(struct adversary *a, double less_m, void *context)
{
	const struct half *half = context;
	_Alignas(8) uint8_t extension[512];
	// Asked from home: the middle of so long a box may be further than the target reaches.
	struct pe_wire_query q = {
		.query_id = 1, .kind = (uint8_t)half->kind, .flags = PE_QUERY_HAS_ORIGIN};
	struct pe_wire_resolution r = {.spatial_m = 8192, .attribute = 0.5f};
	double low[2], high[2], until_m = ADVERSARY_FAR_M - less_m;
	uint64_t counted = 0;
	uint32_t bytes = 0;

	if (!(until_m > -ADVERSARY_FAR_M))
		return false;
	for (unsigned axis = 0; axis < 2; axis++) {
		low[along(a, axis)] = coordinate(a, axis, -ADVERSARY_FAR_M);
		high[along(a, axis)] = coordinate(a, axis, ADVERSARY_FAR_M);
	}
	high[along(a, half->axis)] = coordinate(a, half->axis, until_m);
	// No polygon's edge lies along a parallel, but for a short way.
	if (half->axis) {
		low[along(a, 0)] = half->strip - (a->in ? 0.003 : 200);
		high[along(a, 0)] = half->strip + (a->in ? 0.003 : 200);
	}
	memcpy(q.origin, a->home, sizeof q.origin);
	if (half->kind == PE_QUERY_BOX) {
		memcpy(q.a, low, sizeof low);
		memcpy(q.b, high, sizeof high);
		q.a[2] = a->in ? 0 : -1000;
		q.b[2] = a->in ? 0 : 1000;
	} else {
		const double ring[4][2] = {
			{low[0], low[1]}, {high[0], low[1]}, {high[0], high[1]}, {low[0], high[1]}};
		const unsigned count = 4;

		memcpy(q.a, a->home, sizeof q.a);
		bytes = pe_wire_put_polygon(extension, 0, sizeof extension, PE_VERTICES_F64, ring,
			&count, 1, -INFINITY, INFINITY);
		HARNESS_CHECK(bytes > 0);
	}
	if (!half->axis)
		return adversary_ask(a, &q, extension, bytes) != NULL;
	// Counts do as well.
	bytes = pe_wire_put_block(
		extension, bytes, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);
	(void)adversary_ask(a, &q, extension, bytes);
	for (unsigned i = 0; i < a->answer->count; i++)
		counted += a->answer->cells[i].count;
	return counted > 0;
}

static bool halves(struct adversary *a, unsigned kind, double place[3])
{
	struct half half = {.kind = kind};

	for (half.axis = 0; half.axis < 2; half.axis++) {
		double less_m = adversary_bisect(a, 2 * ADVERSARY_FAR_M, in_half, &half);

		if (less_m < 0)
			return false;
		place[along(a, half.axis)] = coordinate(a, half.axis, ADVERSARY_FAR_M - less_m);
		half.strip = place[along(a, 0)];
	}
	place[2] = 0;
	return true;
}

static bool boxes(struct adversary *a, double place[3])
{
	return halves(a, PE_QUERY_BOX, place);
}

static bool polygons(struct adversary *a, double place[3])
{
	return halves(a, PE_QUERY_POLYGON, place);
}

// The middle of the smallest cell that counts it, of all sizes that there are.
static bool heat(struct adversary *a, double place[3])
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
	double size_m = INFINITY;

	place[2] = 0;
	for (double spatial_m = 0.01; spatial_m < 1e5; spatial_m *= 2) {
		struct pe_wire_resolution r = {.spatial_m = (float)spatial_m, .attribute = 0.5f};
		_Alignas(8) uint8_t extension[64];
		uint32_t bytes = pe_wire_put_block(
			extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);

		(void)adversary_ask(a, &q, extension, bytes);
		for (unsigned i = 0; i < a->answer->count; i++)
			if (a->answer->form == PE_ANSWER_CELLS &&
				(double)a->answer->cells[i].size_m < size_m) {
				size_m = (double)a->answer->cells[i].size_m;
				memcpy(place, a->answer->cells[i].centre, 2 * sizeof *place);
			}
	}
	return size_m < INFINITY;
}

// Pages of one result each, then cursors that nobody gave: of other layers, other cells, bits
// turned.
#define FORGED 600u
static bool cursors(struct adversary *a, double place[3])
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
	uint64_t met[8][2] = {{0}};
	unsigned count = 0;
	bool found = false;

	for (unsigned i = 3; i < 6; i++) {
		double at[3];

		adversary_anywhere(a, ADVERSARY_ASIDE_M, at);
		adversary_put(a, i, at);
	}
	q.max_results = 1;
	for (unsigned i = 0; i < 8 + FORGED; i++) {
		const struct pe_wire_result *r;

		if (i >= 8) {
			uint64_t random = testing_random(&a->random);

			memcpy(q.cursor, met[random % (count ? count : 1)], sizeof q.cursor);
			q.flags |= PE_QUERY_HAS_CURSOR;
			random = testing_random(&a->random);
			if (random % 3 == 0)
				q.cursor[0] = testing_random(&a->random);
			else
				q.cursor[random >> 8 & 1] ^= 1ull << (random >> 16) % 64;
			if (random % 2)
				q.cursor[1] ^= 1ull << (random >> 24) % 64;
		}
		r = adversary_ask(a, &q, NULL, 0);
		if (r) {
			memcpy(place, r->position, 3 * sizeof *place);
			found = true;
		}
		if (i >= 8)
			continue;
		if (a->answer->truncated) {
			memcpy(met[count++], a->answer->cursor, sizeof met[0]);
			memcpy(q.cursor, a->answer->cursor, sizeof q.cursor);
			q.flags |= PE_QUERY_HAS_CURSOR;
		}
	}
	for (unsigned i = 3; i < 6; i++)
		adversary_take(a, i);
	return found;
}

// ---- order ----

// Is it nearer to the asker than the attacker's own one, so far away?
static bool nearer(struct adversary *a, double closer_m, void *context)
{
	const struct adversary_ray *ray = context;
	struct pe_wire_query q = adversary_sphere(ray->from, 0);
	const struct pe_wire_result *r;
	double decoy[3];

	adversary_offset(a, ray->from, ray->x * (ADVERSARY_FAR_M - closer_m),
		ray->y * (ADVERSARY_FAR_M - closer_m), decoy);
	adversary_put(a, 0, decoy);
	q.kind = PE_QUERY_NEAREST;
	q.max_results = 2;
	r = adversary_ask(a, &q, NULL, 0);
	return r && r == &a->answer->results[0];
}

static bool order(struct adversary *a, double place[3])
{
	struct adversary_fixes f = adversary_about(a->home, ADVERSARY_REACH_M / 2);

	for (unsigned i = 0; i < ADVERSARY_ASKERS; i++) {
		double turn = adversary_random(a, 0, 2 * M_PI), closer_m, decoy[3];
		struct adversary_ray ray = {.x = cos(turn), .y = sin(turn)};

		adversary_anywhere(a, ADVERSARY_ASIDE_M, ray.from);
		closer_m = adversary_bisect(a, ADVERSARY_FAR_M, nearer, &ray);
		if (closer_m < 0)
			continue;
		adversary_offset(a, ray.from, ray.x * (ADVERSARY_FAR_M - closer_m),
			ray.y * (ADVERSARY_FAR_M - closer_m), decoy);
		adversary_add(&f, ray.from, adversary_metres(a, ray.from, decoy));
	}
	adversary_take(a, 0);
	return adversary_solve(a, &f, false, place);
}

// ---- what is around it ----

// From where it is shown outwards, until it is no longer there: what is found is on a circle about
// it.
static bool outwards(struct adversary *a, double most_m,
	bool (*there)(struct adversary *a, double at, void *context), double place[3])
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);
	const struct pe_wire_result *r = adversary_ask(a, &q, NULL, 0);
	struct adversary_fixes f;
	double shown[3];

	if (!r)
		return false;
	memcpy(shown, r->position, sizeof shown);
	f = adversary_about(shown, 1);
	for (unsigned i = 0; i < ADVERSARY_ASKERS; i++) {
		double turn = 2 * M_PI * (i + 0.3) / ADVERSARY_ASKERS, m;
		struct adversary_ray ray = {.x = cos(turn), .y = sin(turn)};
		double edge[3];

		memcpy(ray.from, shown, sizeof shown);
		m = adversary_bisect(a, most_m, there, &ray);
		if (m < 0)
			continue;
		adversary_offset(a, shown, ray.x * m, ray.y * m, edge);
		adversary_add(&f, edge, 0);
		f.around_m = m;
	}
	return adversary_solve(a, &f, true, place);
}

static bool holds_point(struct adversary *a, double m, void *context)
{
	const struct adversary_ray *ray = context;
	struct pe_wire_query q;
	double at[3];

	adversary_offset(a, ray->from, ray->x * m, ray->y * m, at);
	q = harness_point(at[0], at[1], at[2]);
	return adversary_ask(a, &q, NULL, 0) != NULL;
}

static bool point(struct adversary *a, double place[3])
{
	return outwards(a, ADVERSARY_FAR_M, holds_point, place);
}

static bool within_reach(struct adversary *a, double m, void *context)
{
	const struct adversary_ray *ray = context;
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);

	q.flags |= PE_QUERY_HAS_ORIGIN;
	adversary_offset(a, ray->from, ray->x * m, ray->y * m, q.origin);
	return adversary_ask(a, &q, NULL, 0) != NULL;
}

static bool reach(struct adversary *a, double place[3])
{
	return outwards(a, ADVERSARY_FAR_M, within_reach, place);
}

const struct adversary_attack adversary_attacks[] = {
	{"repeat", repeat, 0.01, false},
	{"prediction", adversary_prediction, 0.05, false},
	{"distances", distances, 0.05, false},
	{"radius", radius, 0.05, false},
	{"cursors", cursors, 0.01, false},
	{"order", order, 0.05, false},
	{"boxes", boxes, 0.05, false},
	{"polygons", polygons, 0.05, false},
	{"heat", heat, 2500, false}, // cells at the edge of a frame of the Earth are that long
	{"point", point, 0.05, false},
	{"reach", reach, 0.05, false},
	{"parent", adversary_parent, 0.01, true},
	{"explain", explain, 0.01, true},
	{"fences", adversary_fences_about, 0.05, false},
	{"fence moves", adversary_fence_moves, 0.05, false},
	{"fence follows", adversary_fence_follows, 0.05, true},
};
const unsigned adversary_attack_count = sizeof adversary_attacks / sizeof adversary_attacks[0];
