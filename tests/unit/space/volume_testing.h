// Random polygons for the tests of engine/space: stars about a place, with holes that are stars
// too. One thread.
#pragma once

#include "space/polygon.h"
#include "space_testing.h"

struct rings {
	double vertex[PE_POLYGON_VERTICES_MAX][2];
	unsigned size[PE_POLYGON_RINGS_MAX], count, vertices;
	double centre[3], radius; // of the outer ring
};

// A ring of `size` vertices around a place, at 0.6 … 1 of the radius, with azimuths that never
// leave half a step of their own.
static inline void rings_add(
	struct rings *r, bool geodetic, const double centre[3], double radius, unsigned size)
{
	double turn = random_between(0, 360);
	bool clockwise = random_bits() & 1;

	for (unsigned i = 0; i < size; i++) {
		double angle = turn + (i + random_between(-0.3, 0.3)) * 360.0 / size;
		double metres = radius * random_between(0.6, 1.0), place[3];
		double *v = r->vertex[r->vertices + (clockwise ? size - 1 - i : i)];

		if (geodetic) {
			geodesic_to(centre, angle, metres, place);
			v[0] = place[0];
			v[1] = place[1];
		} else {
			v[0] = centre[0] + metres * cos(angle * M_PI / 180);
			v[1] = centre[1] + metres * sin(angle * M_PI / 180);
		}
	}
	r->size[r->count++] = size;
	r->vertices += size;
}

// vertices ≥ 3 of the outer ring; holes 0 … 4 of 3 … 8 vertices.
static inline void rings_random(struct rings *r, bool geodetic, const double centre[3],
	double radius, unsigned vertices, unsigned holes)
{
	double turn = random_between(0, 360);

	memcpy(r->centre, centre, sizeof r->centre);
	r->radius = radius;
	r->count = r->vertices = 0;
	// A triangle's sides may pass its centre at 0.6 × cos(96°): only what has more corners has
	// room for holes.
	if (vertices < 6)
		holes = 0;
	rings_add(r, geodetic, centre, radius, vertices);
	for (unsigned h = 0; h < holes; h++) {
		double place[3], angle = turn + h * 90.0, metres = 0.2 * radius;

		if (geodetic) {
			geodesic_to(centre, angle, metres, place);
		} else {
			place[0] = centre[0] + metres * cos(angle * M_PI / 180);
			place[1] = centre[1] + metres * sin(angle * M_PI / 180);
			place[2] = 0;
		}
		rings_add(r, geodetic, place, radius * random_between(0.01, 0.1),
			3 + (unsigned)(random_bits() % 6));
	}
}

// Where a ring is all but one that is seen whole from its middle: a spiral of two arms, a comb with
// upright teeth, a sliver.
static inline void rings_odd(struct rings *r, bool geodetic, unsigned shape, unsigned vertices)
{
	double away[PE_POLYGON_VERTICES_MAX][2];
	unsigned half = vertices / 2;

	for (unsigned i = 0; i < vertices; i++) {
		bool back = i >= half;
		unsigned step = back ? vertices - 1 - i : i;
		double t = (double)step / half, angle = 3.0 * 2.0 * M_PI * t;
		double reach = 0.2 + 0.7 * t + (back ? 0.08 : 0.0);

		if (shape == 0) {
			away[i][0] = reach * cos(angle);
			away[i][1] = reach * sin(angle);
		} else if (shape == 1) {
			away[i][0] =
				back ? 1.6 * t - 0.8 : 0.8 * (2.0 * (step / 2 * 2) / half - 1.0);
			away[i][1] = back ? -0.9 : step & 1 ? 0.8 : -0.8;
			if (!back && step & 1)
				away[i][0] += random_bits() & 1 ? 0.0 : 0.3 / vertices;
		} else {
			away[i][0] = 1.8 * t - 0.9;
			away[i][1] = back ? 1e-6 + 1e-7 * (double)(step % 3) : 0.0;
		}
	}
	r->count = 1;
	r->size[0] = r->vertices = vertices;
	for (unsigned i = 0; i < vertices; i++) {
		double *v = r->vertex[i], place[3];

		if (geodetic) {
			geodesic_to(r->centre, atan2(away[i][0], away[i][1]) * 180 / M_PI,
				r->radius * hypot(away[i][0], away[i][1]), place);
			v[0] = place[0];
			v[1] = place[1];
		} else {
			v[0] = r->centre[0] + r->radius * away[i][0];
			v[1] = r->centre[1] + r->radius * away[i][1];
		}
	}
}

// A position about the polygon: anywhere in its circle, or near an edge, a vertex or its meridian.
static inline void rings_place(const struct rings *r, bool geodetic, double place[3])
{
	unsigned i = (unsigned)(random_bits() % r->size[0]), k = (i + 1) % r->size[0];
	const double *a = r->vertex[i], *b = r->vertex[k];
	double metres = random_bits() & 1 ? r->radius * random_between(0, 1.1) :
					    r->radius * random_log(1e-9, 1e-1);
	double from[3] = {a[0], a[1], 0}, angle = random_between(0, 360);

	switch (random_bits() % 4) {
	case 0: // amid an edge, roughly
		if (fabs(a[1] - b[1]) < 180 || !geodetic)
			for (unsigned d = 0; d < 2; d++)
				from[d] = a[d] + (b[d] - a[d]) * random_between(0, 1);
		break;
	case 1:
		break;
	default:
		memcpy(from, r->centre, sizeof from);
		metres = r->radius * random_between(0, 1.1);
		break;
	}
	if (geodetic) {
		geodesic_to(from, angle, metres, place);
	} else {
		place[0] = from[0] + metres * cos(angle * M_PI / 180);
		place[1] = from[1] + metres * sin(angle * M_PI / 180);
		place[2] = random_between(-100, 100);
	}
	if (random_bits() % 16 == 0)
		place[1] = a[1]; // on a vertex's meridian (or level with it)
	if (random_bits() % 16 == 0 && !geodetic)
		place[0] = a[0];
}

static inline enum pe_volume_fault rings_prepare(
	const struct pe_space *space, const struct rings *r, struct pe_polygon *polygon)
{
	return pe_polygon_prepare(
		space, r->vertex, r->size, r->count, -INFINITY, INFINITY, polygon);
}
