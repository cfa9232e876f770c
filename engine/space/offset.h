// A place so many metres from another one, along the axes of the space there: x, y, z, or on Earth
// east, north and up at it. Pure; any thread.
#pragma once

#include "space/space.h"

#define PE_OFFSET_MAX_M 100000.0 // on Earth

// False: further than PE_OFFSET_MAX_M on Earth, or no number.
[[nodiscard]] bool pe_space_offset(const struct pe_space *space, const double from[3],
	const double metres[3], double position[3]);
