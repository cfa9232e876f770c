// Spaces: the one metric world behind them. Positions of a CARTESIAN space are metres already; a
// position of a GEODETIC space (WGS84, latitude and longitude in degrees, ellipsoidal height in
// metres or unknown) is indexed by its footprint, the point on the ellipsoid, in the metres of a
// frame: axes turned so that up at the frame's home is +z, home subtracted. A space has one frame
// (regional) or six (worldwide, one a face of the cube; a point belongs to the frame whose home's
// up is nearest its own).
//
// Frame metres are held as integers. A leaf cell is a column of edge × edge × height metres; within
// it a position has 20 bits an axis. The unit across is edge / 2^20, up it is height / 2^20 = unit
// << z_shift.
//
// A prepared space is immutable: any thread, no locks, no allocation after pe_space_prepare.
#pragma once

#include "base/reasons.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_FRAMES_MAX 6
#define PE_CELL_BITS  20 // of a position within its cell, an axis

#define PE_SPACE_EDGE_MIN_M \
	0.0009765625 // 2^-10: a unit of a nanometre, where double metres still resolve it
#define PE_SPACE_EDGE_MAX_M 1048576.0 // 2^20: a unit of a metre

enum pe_space_kind { PE_SPACE_CARTESIAN, PE_SPACE_GEODETIC };

struct pe_space_config {
	uint8_t id[16];
	char name[32];
	enum pe_space_kind kind;
	double leaf_edge_m;   // across; > 0. default 64
	double leaf_height_m; // up; leaf_edge_m × a power of two from 1 to 256. default 1024
	bool worldwide;       // GEODETIC: six frames; else one, with its home below
	double home[2];       // GEODETIC regional: latitude, longitude, degrees
	double extent_m;      // regional: positions further than this from home are out of bounds;
	                      // CARTESIAN: |coordinate| above this is. 0 = what the cell key holds
};

// A leaf cell's key: space 8 bits (63–56), frame 3 (55–53), x 19 (52–34), y 19 (33–15), z 15
// (14–0). Coordinates are offset: x + 2^18, y + 2^18, z + 2^14, so that they are unsigned.
static inline uint64_t pe_key_make(
	unsigned space, unsigned frame, uint32_t x, uint32_t y, uint32_t z)
{
	return (uint64_t)space << 56 | (uint64_t)frame << 53 | (uint64_t)x << 34 |
		(uint64_t)y << 15 | z;
}
#define PE_KEY_SPACE(key) ((unsigned)((key) >> 56))
#define PE_KEY_FRAME(key) ((unsigned)((key) >> 53) & 7u)
#define PE_KEY_X(key)     ((uint32_t)((key) >> 34) & 0x7FFFFu)
#define PE_KEY_Y(key)     ((uint32_t)((key) >> 15) & 0x7FFFFu)
#define PE_KEY_Z(key)     ((uint32_t)(key)&0x7FFFu)
#define PE_KEY_X_OFFSET   (1 << 18)
#define PE_KEY_Z_OFFSET   (1 << 14)

// A slot's word: x 20 bits (0–19), y (20–39), z (40–59), flags (60–63, grid/grid.h).
#define PE_WORD_POSITION 0x0FFFFFFFFFFFFFFFull
static inline uint64_t pe_word_make(uint32_t x, uint32_t y, uint32_t z)
{
	return (uint64_t)x | (uint64_t)y << 20 | (uint64_t)z << 40;
}
#define PE_WORD_X(word) ((uint32_t)(word)&0xFFFFFu)
#define PE_WORD_Y(word) ((uint32_t)((word) >> 20) & 0xFFFFFu)
#define PE_WORD_Z(word) ((uint32_t)((word) >> 40) & 0xFFFFFu)

// GEODETIC: below the deepest sea. What lies deeper is found by no straight line.
#define PE_HEIGHT_LOWEST_M (-12700.0)

struct pe_place {
	uint64_t key;
	uint64_t word; // flags zero
};

// Frame coordinates in units: x, y in units across, z in units up (1 << z_shift as large). Signed,
// home = 0.
struct pe_units {
	unsigned frame;
	int64_t v[3];
};

static inline struct pe_units pe_place_units(uint64_t key, uint64_t word)
{
	struct pe_units u = {.frame = PE_KEY_FRAME(key)};
	u.v[0] = ((int64_t)PE_KEY_X(key) - PE_KEY_X_OFFSET) * (1 << PE_CELL_BITS) + PE_WORD_X(word);
	u.v[1] = ((int64_t)PE_KEY_Y(key) - PE_KEY_X_OFFSET) * (1 << PE_CELL_BITS) + PE_WORD_Y(word);
	u.v[2] = ((int64_t)PE_KEY_Z(key) - PE_KEY_Z_OFFSET) * (1 << PE_CELL_BITS) + PE_WORD_Z(word);
	return u;
}

struct pe_space_frame {
	double turn[3][3]; // rows: frame x, y, z in Earth-centred axes; identity for CARTESIAN
	double home[3];    // Earth-centred metres of the frame's origin; zero for CARTESIAN
	double up[3];      // the ellipsoid's normal at home
};

struct pe_space {
	struct pe_space_config config;
	unsigned index; // in the engine's list: the key's space
	unsigned frame_count;
	unsigned z_shift; // log2(leaf_height / leaf_edge)
	double unit_m;    // metres a unit across
	double units_per_m;
	double units_per_m_up;            // of the units up
	double extent_m;                  // effective
	int64_t units_lo[3], units_hi[3]; // what the key holds, inclusive, in units
	// rounding: |held difference − true difference| of two positions at most
	double slack_units;
	struct pe_space_frame frame[PE_FRAMES_MAX];
	// units across of one unit of a word's x, y, z; the fourth lane is 0
	_Alignas(32) double lane_units_across[4];
	// CARTESIAN, an axis a lane; the fourth is 0 or lets 0 pass
	_Alignas(32) double lane_extent_m[4], lane_units_per_m[4];
	_Alignas(32) double lane_held_m[4]; // what the key holds
	_Alignas(32) double lane_units_lo[4], lane_units_hi[4];
	_Alignas(32) int64_t lane_lo[4], lane_outside[4];
};

// Checks a configuration and fills *space. PE_INVALID with a sentence in *error.
[[nodiscard]] enum pe_status pe_space_prepare(struct pe_space *space,
	const struct pe_space_config *config, unsigned index, struct pe_error *error);

// Position → cell and word. position as in pe_wire_update; height does not move a GEODETIC
// footprint and may be anything finite. PE_REASON_none, PE_REASON_coordinates (not finite,
// |latitude| > 90, |longitude| > 180 — 180 and −180 are the same) or PE_REASON_out_of_bounds.
//
// Rounding is down, an axis at a time: the held position is at most one unit below the true one
// (and 10 nm of arithmetic), so two positions less than a unit apart may share a word. Poles have
// one place whatever the longitude. A footprint on a border between frames goes to the lower frame
// number.
[[nodiscard]] enum pe_reason pe_space_locate(
	const struct pe_space *space, const double position[3], struct pe_place *place);
// The same over arrays: positions[i] is read at (const char *)positions + i × stride_bytes.
// reasons[i] is pe_space_locate's answer; places[i] is written only where that is none.
void pe_space_locate_batch(const struct pe_space *space, const double *positions,
	unsigned stride_bytes, unsigned count, struct pe_place *places, enum pe_reason *reasons);

// The same in metres of a given frame (not only the point's own), without quantisation. Used for
// query centres. position must have passed pe_space_locate's coordinate checks.
void pe_space_frame_metres(
	const struct pe_space *space, unsigned frame, const double position[3], double metres[3]);

// The middle of the box of cells lo … hi (inclusive, in units of the frame) as a position.
// GEODETIC: of the place on the ground under it or above it, with a height of 0.
void pe_space_cell_centre(const struct pe_space *space, unsigned frame, const int64_t lo[3],
	const int64_t hi[3], double position[3]);

// What a query's walk looks at, in one frame. Boxes are inclusive, in units of that frame.
enum pe_region_test {
	PE_REGION_ALL, // everything in lo … hi is a candidate (decided on the record afterwards)
	PE_REGION_SPHERE, // lo … hi and squared distance ≤ square
};

struct pe_region {
	unsigned space, frame;
	enum pe_region_test test;
	unsigned z_shift;
	int64_t lo[3], hi[3];
	int64_t centre[3]; // SPHERE, in units
	// SPHERE: squared radius in units across; distances compare z << z_shift
	double square;
	// SPHERE: a squared distance at or below this is inside for certain, rounding and chord
	// included; between sure and square pe_space_distance decides. −1 = nothing is sure
	double sure;
};

// Squared distance in units across of a slot from a region's centre, as `square` and `sure` are
// meant.
static inline double pe_region_square(const struct pe_region *r, uint64_t key, uint64_t word)
{
	struct pe_units u = pe_place_units(key, word);
	double x = (double)(u.v[0] - r->centre[0]), y = (double)(u.v[1] - r->centre[1]);
	double z = (double)((u.v[2] - r->centre[2]) * ((int64_t)1 << r->z_shift));

	return x * x + y * y + z * z;
}

// The regions of a sphere about `centre` with `radius_m` (GEODETIC: along the surface, heights
// ignored). Conservative: a position within radius_m is inside the region of the frame it belongs
// to, rounding included. Returns the number of regions, at most PE_FRAMES_MAX; 0 = nothing of the
// space is near. *band_m: with d the distance that the index gives (CARTESIAN: √pe_region_square ×
// unit_m; GEODETIC: pe_surface_from_chord of that, at the centre's latitude), |d − radius_m| >
// *band_m means that d decides as pe_space_distance would; `sure` and `square` say the same without
// a root. Centre and radius must have passed pe_space_check_sphere. band_m may be NULL.
unsigned pe_space_sphere(const struct pe_space *space, const double centre[3], double radius_m,
	struct pe_region regions[PE_FRAMES_MAX], double *band_m);

// The regions that cover a box (conservative; decide on the record with pe_space_box_holds).
// GEODETIC: from south-west a to north-east b; a[1] > b[1] crosses the antimeridian; heights are
// ignored.
unsigned pe_space_box(const struct pe_space *space, const double a[3], const double b[3],
	struct pe_region regions[PE_FRAMES_MAX]);
bool pe_space_box_holds(const struct pe_space *space, const double a[3], const double b[3],
	const double position[3]);
// The box's middle, as a position (the origin that stands in when a query names none).
void pe_space_box_centre(
	const struct pe_space *space, const double a[3], const double b[3], double centre[3]);

// Distance in metres between positions: CARTESIAN straight; GEODETIC along the surface (PROJ's
// geodesic, heights ignored), or with `straight` the chord between the points at their heights.
double pe_space_distance(
	const struct pe_space *space, const double p[3], const double q[3], bool straight);

// Surface distance from a chord between two footprints (metres), by the mean curvature at the
// latitude of either; and its error bound: |surface − geodesic| ≤ pe_surface_band(geodesic). The
// band grows with the distance and is infinite above PE_SURFACE_BAND_MAX_M. Cheap: no PROJ, at most
// one sine and one arcsine.
#define PE_SURFACE_BAND_MAX_M 2500000.0
double pe_surface_from_chord(const struct pe_space *space, double chord_m, double latitude_deg);
double pe_surface_band(double distance_m);

// Bounds of the volumes a query may state. PE_REASON_query_coordinates: not finite, not on Earth,
// radius < 0, an inverted box. PE_REASON_query_bounds: GEODETIC radius above PE_QUERY_RADIUS_MAX_M,
// or a box with half of its height along the meridian or half of the straight width of its widest
// parallel above it; CARTESIAN centre beyond what the key holds. CARTESIAN radii and boxes are
// clipped to the space, not refused.
[[nodiscard]] enum pe_reason pe_space_check_sphere(
	const struct pe_space *space, const double centre[3], double radius_m);
[[nodiscard]] enum pe_reason pe_space_check_box(
	const struct pe_space *space, const double a[3], const double b[3]);
