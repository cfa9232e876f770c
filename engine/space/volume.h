// What is wrong with a volume that a query states: one cause each, for a polygon (space/polygon.h),
// an oriented box or a frustum (space/hull.h). The asker is told the reason that the cause belongs
// to; the text is for logs and for tests. Immutable, any thread.
#pragma once

#include "base/reasons.h"

// clang-format off
#define PE_VOLUME_FAULTS(PE_FAULT) \
	PE_FAULT(not_finite, query_coordinates, "a coordinate, an extent or an angle is infinite or not a number") \
	PE_FAULT(off_earth, query_coordinates, "a latitude beyond 90 or a longitude beyond 180 degrees") \
	PE_FAULT(heights, query_coordinates, "the height range is inverted or not a number") \
	PE_FAULT(rings, query_shape, "no ring, or more rings than PE_POLYGON_RINGS_MAX") \
	PE_FAULT(few_vertices, query_shape, "a ring of fewer than three vertices") \
	PE_FAULT(many_vertices, query_shape, "more vertices than PE_POLYGON_VERTICES_MAX in all rings") \
	PE_FAULT(too_large, query_bounds, "larger than a query may be, or too far out") \
	PE_FAULT(empty_edge, query_shape, "two consecutive vertices are one place") \
	PE_FAULT(crossing, query_shape, "edges cross, touch or fold back") \
	PE_FAULT(hole_outside, query_shape, "a hole that is not inside of the outer ring") \
	PE_FAULT(hole_nested, query_shape, "a hole inside of another hole") \
	PE_FAULT(rotation, query_shape, "an orientation that is not a unit quaternion") \
	PE_FAULT(extents, query_shape, "a half extent that is not above zero") \
	PE_FAULT(angles, query_shape, "a field of view outside of PE_FRUSTUM_ANGLE_MIN_DEG … PE_FRUSTUM_ANGLE_MAX_DEG") \
	PE_FAULT(distances, query_shape, "a near distance that is negative or not below the far one")
// clang-format on

enum pe_volume_fault {
	PE_VOLUME_ok = 0,
#define PE_VOLUME_ENUM(name, reason, text) PE_VOLUME_##name,
	PE_VOLUME_FAULTS(PE_VOLUME_ENUM)
#undef PE_VOLUME_ENUM
		PE_VOLUME_FAULT_COUNT
};

struct pe_volume_fault_info {
	const char *name;
	const char *text;
	enum pe_reason reason; // what the asker is told; none for PE_VOLUME_ok
};

// Indexed by enum pe_volume_fault.
extern const struct pe_volume_fault_info pe_volume_fault_info[PE_VOLUME_FAULT_COUNT];

// How a cell lies to a volume.
enum pe_cell_side {
	PE_CELL_OUTSIDE,  // nothing of it is inside
	PE_CELL_CROSSING, // not known: each position is to be tested
	PE_CELL_INSIDE,   // all of it is inside
};
