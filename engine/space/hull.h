// Volumes of six faces, prepared for testing many positions: the oriented box and the frustum. Each
// is the part of space on the inner side of six planes, faces included. Tuned for volumes from a
// room to a region; preparing costs about a microsecond, a test 10 … 40 ns. Immutable once
// prepared: any thread, no locks, no allocation.
//
// Own axes and orientation. A volume has its own right-handed axes; the orientation, a unit
// quaternion {x, y, z, w}, turns them into the axes of the space: v ↦ q·v·q⁻¹. CARTESIAN: x, y, z.
// GEODETIC: east, north and up at the volume's place (at a pole: those of the longitude that is
// stated), and all is straight: points are Earth-centred at their heights, so the ground curves
// away below. An identity frustum looks east, its width runs along north and its height along up.
//
// Heights in a GEODETIC space. A position is tested where it is, at its height. An entity of
// unknown height is in no such volume, as it is in no 3d sphere (the caller has to know; a height
// that is NaN is outside), nor is one below PE_HEIGHT_LOWEST_M.
//
// Faces are decided to a few nanometres on Earth, and to the last bits of the coordinates in a
// CARTESIAN space.
#pragma once

#include "space/space.h"
#include "space/volume.h"

#define PE_HULL_COORDINATE_MAX_M 0x1p50 // further than any key holds, or any height
#define PE_HULL_UNIT_TOLERANCE   1e-6   // of a quaternion's square; it is made a unit then
#define PE_FRUSTUM_ANGLE_MIN_DEG 0.1
#define PE_FRUSTUM_ANGLE_MAX_DEG 170.0

struct pe_oriented_box {
	double centre[3]; // a position
	double half[3];   // half extents along the own x, y, z, m, > 0
	double orientation[4];
};

// A pyramid without its top. Looks along the own x; y is to the left, z up.
struct pe_frustum {
	double apex[3]; // a position
	double orientation[4];
	double horizontal_deg, vertical_deg; // whole angles, in the planes x-y and x-z
	double near_m, far_m;                // along x; 0 ≤ near < far
};

struct pe_hull {
	enum pe_space_kind kind;
	double origin[3];    // of the planes: Earth-centred or x, y, z, m
	double corner[8][3]; // from the origin
	// normal · (p − origin) ≤ reach inside; the last two let everything pass
	_Alignas(32) double normal[3][8], reach[8];
	// GEODETIC: a footprint amid the volume, the normal there, how far the volume's footprints
	// are from it at most, and between which heights they are held
	double foot[3], up[3], foot_reach_m, height_min, height_max;
};

// Check the statement and fill *hull. Anything but PE_VOLUME_ok leaves *hull undefined.
// PE_VOLUME_too_large: GEODETIC, half of the longest way across above PE_QUERY_RADIUS_MAX_M, or the
// place below PE_HEIGHT_LOWEST_M.
[[nodiscard]] enum pe_volume_fault pe_hull_oriented_box(
	const struct pe_space *space, const struct pe_oriented_box *box, struct pe_hull *hull);
[[nodiscard]] enum pe_volume_fault pe_hull_frustum(
	const struct pe_space *space, const struct pe_frustum *frustum, struct pe_hull *hull);

// Is the position inside? Its coordinates must have passed pe_space_locate's checks.
bool pe_hull_holds(const struct pe_hull *hull, const double position[3]);

// The regions that cover the volume, as pe_space_box gives them. Conservative: in a GEODETIC space
// they hold the footprints of all that is inside, above and below ground. Returns their number, 0 =
// nothing of the space is near.
unsigned pe_hull_regions(const struct pe_space *space, const struct pe_hull *hull,
	struct pe_region regions[PE_FRAMES_MAX]);

// How the positions held in lo … hi, in units of a frame and inclusive, lie to the volume.
// Conservative: CROSSING where it isn't certain. GEODETIC: whatever the heights above these
// footprints, so that INSIDE is never the answer.
enum pe_cell_side pe_hull_classify(const struct pe_space *space, const struct pe_hull *hull,
	unsigned frame, const int64_t lo[3], const int64_t hi[3]);
