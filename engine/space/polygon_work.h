// A polygon while it is being prepared. Internal to engine/space.
#pragma once

#include "space/polygon.h"

#include <immintrin.h>

#define GEO_WORK_MAX PE_POLYGON_EDGES_MAX

// The edges at the places that they have in the polygon, an array a quantity. What fills a ring up
// to four begins and ends where the ring begins.
struct geo_work {
	unsigned count;    // a multiple of four
	double resolution; // what is closer than this touches, m
	double bulge;      // an arc leaves its chord by less than the chord's square times this, m
	_Alignas(32) double a[3][GEO_WORK_MAX], b[3][GEO_WORK_MAX]; // both ends, m
	_Alignas(32) uint64_t real[GEO_WORK_MAX];      // all ones; zero: no edge, but filling
	_Alignas(32) double on_plane[4][GEO_WORK_MAX]; // GEODETIC: ends in the raster's plane, x,
	                                               // y, x, y
	const double *x[2], *y[2];                     // of both ends, in that plane
	// For geo_work_crossing; geo_work_directions sets them.
	uint16_t next[GEO_WORK_MAX];                 // the edge that begins where this one ends
	_Alignas(32) double normal[3][GEO_WORK_MAX]; // unit, left of the way from a to b
	_Alignas(32) double begin[3][GEO_WORK_MAX],
		end[3][GEO_WORK_MAX]; // unit, along the way at a and at b
};

// A ring's edges from `at` on are real, and what fills it up to four is not.
void geo_work_real(struct geo_work *work, unsigned at, unsigned count);
// Is every pair of vertices at most `apart_m` apart?
bool geo_work_near(const struct geo_work *work, double apart_m);
// As far beyond the resolution things have to be for what is seen from one place to agree with what
// every pair of edges would say.
#define GEO_STAR_ROOM 0x1p20
// Is it one ring that is seen whole from a place (x, y) of the plane, and not nearly touching
// itself? Then no edge meets another; else the next one has to tell.
bool geo_work_star(
	const struct geo_work *work, const struct pe_polygon *polygon, double x, double y);
void geo_work_directions(struct geo_work *work, const struct pe_polygon *polygon);
// Does an edge cross or touch another, or fold back onto the one before?
bool geo_work_crossing(const struct geo_work *work);
// Are all rings simple, and apart from each other? By these; (x, y): the mean of a ring's vertices
// in the plane.
bool geo_work_apart(struct geo_work *work, const struct pe_polygon *polygon, double x, double y);
// And do holes lie as they should? places: GEODETIC: of both ends, latitudes and longitudes.
enum pe_volume_fault geo_work_holes(const struct geo_work *work, const struct pe_polygon *polygon,
	const double places[4][GEO_WORK_MAX]);

// PE_VOLUME_not_finite where a coordinate is, or else what is said.
enum pe_volume_fault geo_vertices_fault(
	const double (*vertices)[2], unsigned count, enum pe_volume_fault otherwise);
// CARTESIAN: pe_polygon_outline for rings whose sizes are in order; kind, rings and heights are
// set. And what it leaves undone, if it did.
enum pe_volume_fault geo_flat_outline(const struct pe_space *space, const double (*vertices)[2],
	const unsigned *ring_vertices, unsigned vertex_count, struct pe_polygon *polygon);
void geo_flat_sort(struct pe_polygon *polygon);

// Parity of the crossings of a position's ray with the edges from … to (multiples of four).
// `across` is x or the longitude in [−180, 180), point the footprint or (x, y, 0).
bool geo_polygon_parity(const struct pe_polygon *polygon, unsigned from, unsigned to, double across,
	const double point[3]);
static inline double geo_least_of(__m256d v)
{
	__m128d pair = _mm_min_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_min_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

static inline double geo_most_of(__m256d v)
{
	__m128d pair = _mm_max_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_max_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

static inline double geo_sum_of(__m256d v)
{
	__m128d pair = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));

	return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
}

// Does not decrease with `across`, so that what lies in an edge's interval lies in the slabs from
// its one end's to its other's.
static inline unsigned geo_slab_of(const struct pe_polygon *p, double across)
{
	double at = (across - p->slab_from) * p->slab_scale;

	at = at > 0.0 ? at : 0.0;
	return (unsigned)(at < PE_POLYGON_SLABS - 1.0 ? at : PE_POLYGON_SLABS - 1.0);
}

// The position's longitude as that wants it.
static inline double geo_longitude(const double position[2])
{
	double latitude = position[0], longitude = position[1];

	return longitude == 180.0 || latitude == 90.0 || latitude == -90.0 ? -180.0 : longitude;
}
