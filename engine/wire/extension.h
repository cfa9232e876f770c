// Extensions of queries on the wire: what does not fit the 128 bytes of a query. A volume that is
// not a sphere, box or point, a filter program, a moment that is not now, how finely is answered.
// They follow all queries of the message, in the order of the queries. docs/protocol.md says the
// same in words. Checking copies nothing and keeps nothing: what comes out points into the message.
// Shared with the client library; data may be unaligned and hostile. Any thread.
//
// An extension is some blocks, in the order of their types, each at most once:
//   0  struct pe_wire_block   8 bytes
//   8  content, `bytes` of it; then zeros to a multiple of eight
#pragma once

#include "base/reasons.h"
#include "wire/filter.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum pe_block_type {
	PE_BLOCK_VOLUME = 1, // by the query's kind: POLYGON, ORIENTED_BOX, FRUSTUM
	PE_BLOCK_FILTER = 2, // a program, wire/filter.h
	PE_BLOCK_TIME = 3,   // struct pe_wire_time
	PE_BLOCK_RESOLUTION = 4,
};

struct pe_wire_block {
	uint16_t type;  // enum pe_block_type
	uint16_t bytes; // of the content, without the zeros behind it
	uint32_t reserved;
};
static_assert(sizeof(struct pe_wire_block) == 8, "block");

#define PE_WIRE_VERTICES_MAX 256u // of all rings of a polygon
#define PE_WIRE_RINGS_MAX    16u  // the outer one and its holes

enum pe_vertex_form {
	PE_VERTICES_F64 = 0, // two f64 a vertex
	// an origin and a scale of two f64 each, then two i16 a vertex: origin + scale × pair
	PE_VERTICES_I16 = 1,
};

// Then u16 ring_vertices[ring_count], zeros to a multiple of eight, the vertices of all rings.
struct pe_wire_polygon {
	uint8_t form;          // enum pe_vertex_form
	uint8_t ring_count;    // 1–16; the first ring is the outer one
	uint16_t vertex_count; // of all rings
	uint32_t reserved;
	double height_min, height_max; // inclusive; may be infinite
};
static_assert(sizeof(struct pe_wire_polygon) == 24, "polygon");

struct pe_wire_oriented_box { // the centre is the query's a
	double half[3];
	double orientation[4]; // x, y, z, w
};
static_assert(sizeof(struct pe_wire_oriented_box) == 56, "oriented box");

struct pe_wire_frustum {       // the apex is the query's a
	double orientation[4]; // x, y, z, w
	double horizontal_deg, vertical_deg;
	double near_m, far_m;
};
static_assert(sizeof(struct pe_wire_frustum) == 64, "frustum");

// The moment that is asked about: the engine's clock, when it answers, and so many ms more.
struct pe_wire_time {
	int32_t offset_ms; // from 0 to the space's horizon
	uint32_t reserved;
};
static_assert(sizeof(struct pe_wire_time) == 8, "time");
// How finely is answered. None of them negative, not even a zero.
struct pe_wire_resolution {
	// entities in one cell of that size come as one, with their number; 0 = singly
	float spatial_m;
	uint32_t temporal_ms; // results older than that are left out; 0 = of any age
	// How much of an entity is told, 0–1: below 0.5 id and position, from 0.5 on the ordinary
	// result
	float attribute;
	uint32_t reserved;
};
static_assert(sizeof(struct pe_wire_resolution) == 16, "resolution");
#define PE_RESOLUTION_ATTRIBUTE_DEFAULT 0.5f

// A checked extension. Pointers go into the message.
struct pe_wire_extension {
	const uint8_t *volume; // content; NULL = none
	const uint8_t *filter; // a whole program; NULL = none
	uint32_t volume_bytes, filter_bytes;
	struct pe_wire_resolution resolution; // the default where there is no block
	struct pe_filter_error filter_error;  // with query_program
	bool timed;                           // it has a moment, so much ahead:
	uint32_t offset_ms;
};

// Bytes of all extensions of `count` packed queries, as their records say.
uint32_t pe_wire_extensions_bytes(const uint8_t *queries, unsigned count);

// Everything about a query's extension that needs no space. The query passed pe_wire_check_query;
// `bytes` is its extension_bytes, 0 without one. query_extension: the blocks, or the layout of a
// volume; query_resolution; query_program: the filter, with *extension's filter_error.
// query_time: a moment before now, or later than any space's horizon.
// What a volume bounds is for pe_polygon_prepare and pe_hull_…
[[nodiscard]] enum pe_reason pe_wire_check_extension(const struct pe_wire_query *query,
	const uint8_t *data, uint32_t bytes, struct pe_wire_extension *extension);

// A polygon's rings and vertices, out of a checked block: room for PE_WIRE_RINGS_MAX and
// PE_WIRE_VERTICES_MAX.
void pe_wire_get_polygon(const struct pe_wire_extension *extension, struct pe_wire_polygon *polygon,
	unsigned *ring_vertices, double (*vertices)[2]);

// Writers of blocks, each behind the `used` bytes of an extension in room for `size`; the new
// `used`, or 0: no room, or nothing that is legal. What the numbers are is the caller's.
[[nodiscard]] uint32_t pe_wire_put_block(uint8_t *extension, uint32_t used, uint32_t size,
	enum pe_block_type type, const void *content, uint32_t bytes);
// As pairs of f64, or rounded to a 65,534th part of the vertices' extent on each axis (half of that
// at most beside the place).
[[nodiscard]] uint32_t pe_wire_put_polygon(uint8_t *extension, uint32_t used, uint32_t size,
	enum pe_vertex_form form, const double (*vertices)[2], const unsigned *ring_vertices,
	unsigned ring_count, double height_min, double height_max);
