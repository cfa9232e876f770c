// The world of the model of standing queries: entities and fences on a plane, or on a piece of the
// Earth that is nearly one, and what a fence says of an entity, worked out from the protocol's
// words alone. Places are metres here, whatever they are on the wire.
#pragma once

#include "wire/subscribe.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_EDGE_M 300.0

struct world_entity {
	bool there;
	double p[3];
	uint32_t sequence;
	uint64_t expiry_ms, state_until_ms; // 0: not timed
	uint8_t type, state;
	float radius_m;
};

struct world_fence {
	bool used;
	struct pe_wire_fence wire;
	struct pe_wire_query local; // the wire's, in metres
	unsigned follows; // entity's number from 1; 0: none. local.a is then where it was when it
	                  // was looked after
	bool nowhere;
	uint8_t extension[PE_WIRE_BYTES_MAX];
	uint32_t extension_bytes;
	// as made
	double half[3], turn; // ORIENTED_BOX
	double vertices[4][2], height_min, height_max;
	double horizontal_deg, vertical_deg, near_m, far_m;
};

enum world_side { WORLD_OUTSIDE, WORLD_MARGIN, WORLD_INSIDE };

// On Earth distances are along the surface, and boxes have no heights.
extern bool world_earth;
// As it goes over the wire.
void world_wire(const double p[3], double wire[3]);
// How near an edge rounding decides, m.
double world_doubt_m(void);

// random: splitmix64's state.
void world_place(uint64_t *random, double p[3]);
void world_fence(uint64_t *random, uint32_t id, bool dwell, struct world_fence *fence);
// *doubt: so near an edge that rounding decides.
enum world_side world_side(
	const struct world_fence *fence, const struct world_entity *entity, bool *doubt);
// The same with masks and reach: what does not pass is outside.
enum world_side world_takes(
	const struct world_fence *fence, const struct world_entity *entity, bool *doubt);
double world_distance(const double a[3], const double b[3]);
