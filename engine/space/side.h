// How cells and positions lie to volumes, beyond what the volumes' own headers tell: boxes that
// state no more than two corners, cells that no footprint can be in, and positions that are not
// inside but near. Pure; any thread.
#pragma once

#include "space/hull.h"
#include "space/polygon.h"

// Narrows lo[2] … hi[2], in units of a frame and inclusive, to where positions with the cell's x
// and y can be held: a GEODETIC space holds footprints only, so most cells of a column are empty
// for good. False: nothing can be held in the cell.
bool pe_cell_clip(const struct pe_space *space, unsigned frame, int64_t lo[3], int64_t hi[3]);

// A box as pe_space_box_holds has it, and the positions held in lo … hi. Conservative, as
// pe_polygon_classify is.
enum pe_cell_side pe_box_classify(const struct pe_space *space, const double a[3],
	const double b[3], unsigned frame, const int64_t lo[3], const int64_t hi[3]);

// A box whose faces are at least margin_m further out: GEODETIC, its parallels by margin_m at the
// sharpest curve of a meridian, its meridians by what margin_m spans where they are closest
// together; heights stay.
void pe_box_widen(const struct pe_space *space, const double a[3], const double b[3],
	double margin_m, double wide_a[3], double wide_b[3]);

// Is an edge of the polygon within margin_m (> 0) of the position, whatever the heights? GEODETIC:
// straight, from the footprint; beside an edge the distance from its plane counts, which is right
// to a 2e-5 part up to 50 km: the plane goes through the Earth's centre, so it is not quite
// upright.
bool pe_polygon_near(const struct pe_polygon *polygon, const double position[3], double margin_m);

// Metres from the position to the nearest of the polygon's edges, as pe_polygon_near has it.
double pe_polygon_edge_distance(const struct pe_polygon *polygon, const double position[3]);
// Metres by which the position is outside of the face that it is furthest outside of; 0 or less
// inside. So a position is at least that far from the volume.
double pe_hull_beyond(const struct pe_hull *hull, const double position[3]);
// Metres from the position to the box; 0 inside. GEODETIC: along the surface, to where the box
// comes closest in latitude and longitude, which is somewhat further than the nearest place where a
// meridian is its edge.
double pe_box_beyond(const struct pe_space *space, const double a[3], const double b[3],
	const double position[3]);

// The volume of pe_hull_near: *wide is the hull with each face margin_m further out. It is for
// pe_hull_near and pe_hull_classify only.
void pe_hull_widen(const struct pe_hull *hull, double margin_m, struct pe_hull *wide);
// Is the position within margin_m of each face's inner side, and of the ball about the volume?
// Further out than margin_m where faces meet at a sharp angle, never less far.
bool pe_hull_near(const struct pe_hull *hull, const double position[3], double margin_m);

// A place amid the volume, as a position, and how far what is inside reaches from it (GEODETIC: its
// footprints, along the surface, with a hundredth to spare).
void pe_polygon_around(const struct pe_polygon *polygon, double centre[3], double *radius_m);
void pe_hull_around(const struct pe_hull *hull, double centre[3], double *radius_m);
