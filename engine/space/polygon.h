// A polygon with a height range and holes, prepared for testing many positions: a copy of
// everything that the tests need, in the caller's memory, an array a quantity with the edges side
// by side, four tested at a time, and of those only the ones near a position's ray; and a raster
// over all of it, which decides for nearly every position by itself. Tuned for rings of 4 … 256
// vertices about the size of a district or a country. Preparing 64 vertices costs some two
// microseconds (one ring that some place amid it sees all of, as most are) to five, a test some
// nanoseconds, tens of them near an edge. Immutable once prepared: any thread, no locks, no
// allocation.
//
// What a vertex and an edge are. CARTESIAN: (x, y); edges are straight, heights are z. GEODETIC:
// (latitude, longitude) in degrees, the footprint of that place; an edge is the shorter way in the
// plane through both footprints and the Earth's centre, so two vertices on one meridian are joined
// by that meridian and two on one parallel by an arc that leaves it towards the pole. A ring is
// closed by itself: its first vertex isn't repeated. Neither the antimeridian nor a pole is
// special.
//
// What is inside. No two vertices of a GEODETIC polygon are more than 2 × PE_QUERY_RADIUS_MAX_M
// apart (straight), so a ring has one small side, and that is its inside, whichever way round the
// vertices are listed. Inside of the polygon is inside of the first ring and outside of all the
// others, the holes.
//
// Who owns an edge. Of two polygons that share an edge (equal bits at both ends) one holds a
// position on it, whichever side rounding puts it on, and where the position is on it to the last
// bit the one that holds it is: CARTESIAN the one towards +y, beside an edge along y the one
// towards +x; GEODETIC the one to the north, beside an edge along a meridian the one to the east; a
// pole counts as lying at longitude −180. A position in a corner, bit for bit, counts as a little
// to the north of it and far less to the east (+y, +x). So polygons that tile an area hold each of
// its positions exactly once; only a few nanometres from a corner, and not in it, three may. Which
// side a position is on is right to a few nanometres on Earth, to the last bits of the coordinates
// in a CARTESIAN space, and exact where the products of coordinates are.
#pragma once

#include "space/raster.h"
#include "space/space.h"
#include "space/volume.h"

#define PE_POLYGON_VERTICES_MAX 256 // of all rings
#define PE_POLYGON_RINGS_MAX    16  // the outer one and 15 holes
// a ring's edges are filled up to a multiple of four with ones that no test meets
#define PE_POLYGON_EDGES_MAX        (PE_POLYGON_VERTICES_MAX + 3 * PE_POLYGON_RINGS_MAX)
#define PE_POLYGON_GROUPS_MAX       (PE_POLYGON_EDGES_MAX / 4) // of edges that are tested together
#define PE_POLYGON_SLABS            64u
#define PE_POLYGON_COORDINATE_MAX_M 0x1p50  // CARTESIAN; further than any key holds
#define PE_POLYGON_RESOLUTION       0x1p-48 // of the largest coordinate: 23 nm on Earth

struct pe_polygon {
	enum pe_space_kind kind;
	bool from_south; // GEODETIC: edges are counted between a position and this pole, which is
	                 // far away
	unsigned ring_count;
	unsigned ring_end[PE_POLYGON_RINGS_MAX]; // of the edges, rounded up to four; a ring begins
	                                         // where the last ended
	double height_min, height_max;
	double resolution_m; // what is closer than this touches: of the vertices' coordinates
	// Of an outline in a CARTESIAN space: each edge's ends are in its ring's order instead, and
	// from, to, normal, length and z are not set.
	bool in_order;
	// The interval from ≤ x < to of x or of longitudes (eastwards, so to < from crosses the
	// antimeridian) where a position's ray meets the edge. Empty for edges along y or a
	// meridian.
	_Alignas(32) double from[PE_POLYGON_EDGES_MAX], to[PE_POLYGON_EDGES_MAX];
	// Towards +y or north. GEODETIC: the unit normal of the edge's plane. CARTESIAN: across the
	// edge, as long as it is.
	_Alignas(32) double normal[3][PE_POLYGON_EDGES_MAX];
	// The ends, the western or the one of less x first, in metres (Earth-centred or x, y, 0),
	// and the straight length.
	_Alignas(32) double first[3][PE_POLYGON_EDGES_MAX], last[3][PE_POLYGON_EDGES_MAX];
	_Alignas(32) double length[PE_POLYGON_EDGES_MAX];
	// GEODETIC: how exactly the edge's plane is known anywhere on Earth, m; what is nearer is
	// looked at twice
	_Alignas(32) double near_m[PE_POLYGON_EDGES_MAX];
	// Of what follows nothing is set until it is drawn, save the margin, and on Earth the
	// plane.
	bool drawn;
	// Slabs of equal width across the intervals: for each, as bits, the groups of edges that
	// any position of it may meet
	double slab_from, slab_scale;
	uint64_t slab[PE_POLYGON_SLABS][(PE_POLYGON_GROUPS_MAX + 63) / 64];
	// The plane of the raster. CARTESIAN: x and y. GEODETIC: across `up`, the unit vector from
	// the Earth's centre to amid the polygon
	double axis[2][3], up[3];
	double margin_m; // a position closer than that to another one that the raster holds for
	                 // inside (outside) is inside (outside)
	struct pe_raster raster;
	double lo[2], hi[2]; // CARTESIAN: of x and y; set as well
};

// Checks rings and fills *polygon. vertices: the rings' vertices one after the other,
// ring_vertices[i] of them for ring i; the first ring is the outer one. Heights are inclusive and
// may be infinite. Anything but PE_VOLUME_ok leaves *polygon undefined. Refused are also edges that
// come closer to each other than PE_POLYGON_RESOLUTION, so a hole may not touch the outer ring.
[[nodiscard]] enum pe_volume_fault pe_polygon_prepare(const struct pe_space *space,
	const double (*vertices)[2], const unsigned *ring_vertices, unsigned ring_count,
	double height_min, double height_max, struct pe_polygon *polygon);
// The same without what makes tests of many positions fast: of these pe_polygon_holds,
// pe_polygon_covers, pe_polygon_regions and pe_polygon_edge_distance work, and look at every edge.
// For a query, whose candidates are told by a sieve (space/sieve.h), so that few are left.
// pe_polygon_draw adds the rest.
[[nodiscard]] enum pe_volume_fault pe_polygon_outline(const struct pe_space *space,
	const double (*vertices)[2], const unsigned *ring_vertices, unsigned ring_count,
	double height_min, double height_max, struct pe_polygon *polygon);
void pe_polygon_draw(struct pe_polygon *polygon);

// Is the position inside? Its coordinates must have passed pe_space_locate's checks. The height
// range is tested too; of an entity whose height is unknown the caller decides, with
// pe_polygon_covers.
bool pe_polygon_holds(const struct pe_polygon *polygon, const double position[3]);
// The same whatever the height.
bool pe_polygon_covers(const struct pe_polygon *polygon, const double position[3]);

// The regions that cover the polygon, as pe_space_box gives them: conservative, and in each frame
// the smallest box about what the outer ring encloses (a regional space's clipped to its extent).
// Returns their number, 0 = nothing of the space is near.
unsigned pe_polygon_regions(const struct pe_space *space, const struct pe_polygon *polygon,
	struct pe_region regions[PE_FRAMES_MAX]);

// How the positions held in lo … hi, in units of a frame and inclusive, lie to the polygon.
// Conservative: CROSSING where it isn't certain. CARTESIAN: heights included. GEODETIC: footprints
// only, so that a height range is left to be tested.
enum pe_cell_side pe_polygon_classify(const struct pe_space *space,
	const struct pe_polygon *polygon, unsigned frame, const int64_t lo[3], const int64_t hi[3]);
