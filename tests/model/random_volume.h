// Random volumes for queries, on a plane and on Earth, with what decides by other means than the
// engine's who is inside: edges straight in a plane, and the volume's own axes. Drawn from the
// program's stream (draw.h); one thread.
#pragma once

#include "draw.h"
#include "expect.h"
#include "model/plain_geometry.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

// Spaces of the engine.
#define PLANE 0u
#define EARTH 1u

static inline void offset(unsigned s, const double from[3], double x, double y, double to[3])
{
	if (s == EARTH) {
		earth_offset(from, x, y, to);
		return;
	}
	to[0] = from[0] + x;
	to[1] = from[1] + y;
}

struct volume {
	unsigned ring_count, ring_vertices[PE_WIRE_RINGS_MAX], vertex_count;
	double vertices[PE_WIRE_VERTICES_MAX][2]; // as stated
	// in metres of a plane in which edges are straight
	double flat[PE_WIRE_VERTICES_MAX][2];
	double height_min, height_max;
	struct pe_wire_oriented_box box;
	struct pe_wire_frustum frustum;
	// Of the query's a: where it is in metres, the axes there, and the volume's own.
	double at[3], local[3][3], own[3][3];
};

// As metres along three axes; on Earth from its middle.
static inline void metres_of(unsigned s, const double p[3], double v[3])
{
	if (s == PLANE)
		memcpy(v, p, 3 * sizeof v[0]);
	else
		ecef(p[0], p[1], p[2], v);
}

// Into the plane in which the edges of the volume's rings are straight.
static inline void flatten(unsigned s, const struct volume *v, const double p[2], double to[2])
{
	double ground[3], foot[3], up;

	if (s == PLANE) {
		memcpy(to, p, 2 * sizeof to[0]);
		return;
	}
	ecef(p[0], p[1], 0, ground);
	// Lines through the Earth's centre meet the plane that lies across a's.
	memcpy(foot, v->local[2], sizeof foot);
	up = dot(ground, foot) / WGS84_A;
	to[0] = dot(ground, v->local[0]) / up;
	to[1] = dot(ground, v->local[1]) / up;
}

// Turns the volume's own axes somewhere; the quaternion says where.
static inline void make_turn(unsigned s, struct volume *v, double orientation[4])
{
	double length = 0, x, y, z, w;

	for (unsigned i = 0; i < 4; i++)
		orientation[i] = below(8) ? between(-1, 1) : 0;
	orientation[3] += 0.001;
	for (unsigned i = 0; i < 4; i++)
		length += orientation[i] * orientation[i];
	for (unsigned i = 0; i < 4; i++)
		orientation[i] /= sqrt(length);
	x = orientation[0], y = orientation[1], z = orientation[2], w = orientation[3];
	// Rows: the own axes, in the local ones.
	const double turn[3][3] = {
		{1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)},
		{2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)},
		{2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)}};

	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 3; k++)
			v->own[i][k] = s == PLANE ? turn[i][k] :
						    turn[i][0] * v->local[0][k] +
					turn[i][1] * v->local[1][k] + turn[i][2] * v->local[2][k];
}

// Star-shaped about a, evenly turned: no two edges meet, and what is near the middle is inside.
static inline void add_ring(
	unsigned s, const double a[3], struct volume *v, unsigned count, double least, double most)
{
	v->ring_vertices[v->ring_count++] = count;
	for (unsigned i = 0; i < count; i++) {
		double angle = 2 * M_PI * (i + between(-0.2, 0.2)) / count,
		       r = between(least, most);
		double to[3];

		offset(s, a, r * cos(angle), r * sin(angle), to);
		memcpy(v->vertices[v->vertex_count++], to, 2 * sizeof to[0]);
	}
}

// 0: none of this shape can be stated.
static inline uint32_t make_polygon(
	unsigned s, const double a[3], struct volume *v, uint8_t extension[PE_WIRE_BYTES_MAX])
{
	enum pe_vertex_form form = (enum pe_vertex_form)below(2);
	double r = pow(10, between(0, 3.7));
	const struct pe_wire_query q = {.kind = PE_QUERY_POLYGON};
	struct pe_wire_extension e;
	struct pe_wire_polygon p;
	bool far_apart = false;
	uint32_t bytes;

	v->ring_count = v->vertex_count = 0;
	add_ring(s, a, v, 6 + below(form ? 190 : 40), 0.3 * r, r);
	if (below(2))
		add_ring(s, a, v, 3 + below(20), 0.02 * r, 0.15 * r);
	v->height_min = below(2) ? -INFINITY : between(-200, 0);
	v->height_max = below(2) ? INFINITY : between(0, 500);
	// Longitudes that lie on both sides of 180° are no extent for steps.
	for (unsigned i = 1; i < v->vertex_count; i++)
		far_apart |= s == EARTH && fabs(v->vertices[i][1] - v->vertices[0][1]) > 170;
	if (far_apart && v->vertex_count < 60)
		form = PE_VERTICES_F64;
	else if (far_apart)
		return 0;
	bytes = pe_wire_put_polygon(extension, 0, PE_WIRE_BYTES_MAX, form,
		(const double(*)[2])v->vertices, v->ring_vertices, v->ring_count, v->height_min,
		v->height_max);
	EXPECT(bytes && pe_wire_check_extension(&q, extension, bytes, &e) == PE_REASON_none,
		"polygon");
	pe_wire_get_polygon(&e, &p, v->ring_vertices, v->vertices); // rounded, if it was
	for (unsigned i = 0; i < v->vertex_count; i++)
		flatten(s, v, v->vertices[i], v->flat[i]);
	return bytes;
}

// A volume of the query's kind about its a; the bytes of the extension that states it.
static inline uint32_t make_volume(
	unsigned s, struct pe_wire_query *q, struct volume *v, uint8_t extension[PE_WIRE_BYTES_MAX])
{
	metres_of(s, q->a, v->at);
	local_axes(q->a[0], q->a[1], v->local);
	switch (q->kind) {
	case PE_QUERY_POLYGON:
		return make_polygon(s, q->a, v, extension);
	case PE_QUERY_ORIENTED_BOX:
		for (unsigned i = 0; i < 3; i++)
			v->box.half[i] = pow(10, between(-1, 3.5));
		make_turn(s, v, v->box.orientation);
		return pe_wire_put_block(
			extension, 0, PE_WIRE_BYTES_MAX, PE_BLOCK_VOLUME, &v->box, sizeof v->box);
	case PE_QUERY_FRUSTUM:
		v->frustum.horizontal_deg = between(1, 169);
		v->frustum.vertical_deg = between(1, 169);
		v->frustum.near_m = below(2) ? 0 : between(0, 50);
		v->frustum.far_m = v->frustum.near_m + pow(10, between(-1, 3.5));
		make_turn(s, v, v->frustum.orientation);
		return pe_wire_put_block(extension, 0, PE_WIRE_BYTES_MAX, PE_BLOCK_VOLUME,
			&v->frustum, sizeof v->frustum);
	case PE_QUERY_SPHERE:
		q->b[0] = pow(10, between(0, 4));
		return 0;
	default:
		q->b[0] = below(2) ? pow(10, between(1, 5)) : 0;
		q->max_results = (uint16_t)(below(3) ? 1 + below(20) : 1 + below(1000));
		return 0;
	}
}
