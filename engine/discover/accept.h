// From what a walk met to what is answered: a hit's record is read, its view built, and the view
// tested: the volume's edge, filters, reach. What stands the test is written as it goes over the
// wire, at once. Tuned for many hits of a query without filters: the general way is compiled once
// more for that, with what is known of such a query folded in.
//
// Private to discover. Thread: an RCU reader, within the section in which the hits were met.
#pragma once

#include "base/counters.h"
#include "discover/query.h"
#include "grid/grid.h"
#include "wire/wire.h"

struct pe_filter;
struct pe_polygon;
struct pe_hull;
struct pe_sieve;

// What is asked of a query besides its numbers. Passed by value, so that constants fold.
struct pe_ways {
	bool geodetic;
	bool straight; // distances with heights, on a GEODETIC space
	bool sphere;   // the volume is one, or is made of some
	bool polygon;  // the volume is one
	bool filtered; // by type, state, height, age or a program
	bool centred;  // the asker's point is the volume's centre
	bool complete; // every view is completed: details are wanted, or the space decays
	bool timed;    // at another moment than now: entities are where their courses lead
};

// Of a query about a moment that is not now (predict.c).
struct pe_query_time {
	uint64_t at_ms; // Unix ms
	uint32_t offset_ms, horizon_ms;
	const float (*hidden_m)[4];
	double wider_m; // no entity is further from where it was seen
	double reach_m; // POINT: no precision reaches further
};

// A query made ready: what every hit is tested against. Read only while hits are taken, save the
// metres, which are of the frame of the region that is walked.
struct pe_test {
	const struct pe_space *space;
	const struct pe_wire_query *query;
	const struct pe_asker *asker;
	const struct pe_table *table;
	struct pe_counters *counters;
	struct pe_instant now;
	struct pe_ways ways;
	const struct pe_view_rules *rules; // of the space
	unsigned space_index;
	double radius_m;
	double centre[3]; // of the volume; not of a box
	double origin[3];
	double origin_metres[3];
	double centre_metres[3];
	unsigned region_count;
	struct pe_region region[PE_FRAMES_MAX]; // the first region_count are set
	// Layers of the grid that are walked behind the space's own, each in veiled_count regions,
	// or where who is in it has to be near, in those of what is near. All regions together have
	// numbers: the region_count first, then layer by layer
	unsigned layer_count, veiled_count, region_total;
	// audiences among them whose entities are counted, and nothing else told of them; with
	// layer_count > 0
	uint32_t counted;
	uint8_t layer[PE_AUDIENCES_MAX];               // audience of each
	uint8_t layer_first[PE_AUDIENCES_MAX];         // the number of its first region
	double veiled_walk_m;                          // POINT: how far one of them may be
	struct pe_region veiled_region[PE_FRAMES_MAX]; // for the first layer_count > 0
	// Of a query with an extension; else `filter` is NULL and the others are not looked at.
	const struct pe_filter *filter;
	const struct pe_polygon *polygon; // POLYGON
	struct pe_sieve *sieve;           // of it, for its walks; NULL: its raster tells of hits
	const struct pe_hull *hull;       // ORIENTED_BOX, FRUSTUM
	uint32_t age_max_ms;              // 0: of any age
	struct pe_query_time time;        // with ways.timed
};

// predict.c: the view becomes what it will be at the moment that is asked about.
void pe_query_predict(const struct pe_test *test, struct pe_view *view);

// Hits that are next to each other: of one step of a query's walk up to `end`, and behind it up to
// `ahead` those of the queries that come next, whose records are asked for meanwhile.
struct pe_hits {
	const struct pe_hit *hit;
	const uint32_t *handle; // of each; of an ordinary query's hits there is nothing else
	unsigned at;            // the first that was not taken
	unsigned end;           // of this query's
	unsigned ahead;
	unsigned asked; // records before it were asked for
	// Where details are wanted: written, of each result; and what bytes results may have with
	// them. Else NULL.
	const uint8_t **details;
	uint32_t bytes_left;
};

// A view as it goes over the wire, apart from a query: as far from the asker's point as that.
void pe_accept_result(const struct pe_view *view, const struct pe_instant *now, double origin_m,
	struct pe_wire_result *result);

// Takes hits until all of the query's are taken, or `room` stood the test, or where details are
// wanted the next one has no room in bytes_left. Writes these, at any alignment, and their handles,
// and returns their number.
unsigned pe_accept(const struct pe_test *test, struct pe_hits *hits, struct pe_wire_result *results,
	uint32_t *handles, uint32_t room);

// Of a layer whose entities may only be counted: is this hit one that the asker may be told of in a
// count? Nothing that is asked is looked at: neither the volume's edge, nor filters. Who states a
// reach or a scope is told of to nobody here, since the asker's point is his own word. position:
// where it is published.
bool pe_accept_counted(const struct pe_test *test, const struct pe_hit *hit, unsigned audience,
	double position[3]);

// The same tests of a view apart, for who asks why: what it passes, and its distances, −1 where
// there is none.
struct pe_accept_parts {
	bool type, state, height, filter, volume, reach, scope;
	double centre_m; // from the volume's centre; −1: the volume doesn't measure that
	double asker_m;  // from the asker's point, as in a result
};
void pe_accept_parts(
	const struct pe_test *test, const struct pe_view *view, struct pe_accept_parts *parts);
