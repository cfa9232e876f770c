// From what a walk met to what is answered: a hit's record is read, its view built, and the view tested: the volume's edge,
// filters, reach. What stands the test is written as it goes over the wire, at once. Tuned for many hits of a query
// without filters: the general way is compiled once more for that, with what is known of such a query folded in.
//
// Private to discover. Thread: an RCU reader, within the section in which the hits were met.
#pragma once

#include "base/counters.h"
#include "discover/query.h"
#include "grid/grid.h"
#include "wire/wire.h"

// What is asked of a query besides its numbers. Passed by value, so that constants fold.
struct pe_ways {
	bool geodetic;
	bool straight; // distances with heights, on a GEODETIC space
	bool sphere;   // the volume is one
	bool filtered; // by type, state or height
	bool centred;  // the asker's point is the volume's centre
};

// A query made ready: what every hit is tested against. Read only while hits are taken, save the metres, which are of the frame
// of the region that is walked.
struct pe_test {
	const struct pe_space *space;
	const struct pe_wire_query *query;
	const struct pe_asker *asker;
	const struct pe_record *records;
	struct pe_counters *counters;
	struct pe_instant now;
	struct pe_ways ways;
	double radius_m;
	double origin[3];
	double origin_metres[3];
	double centre_metres[3];
	unsigned region_count;
	struct pe_region region[PE_FRAMES_MAX]; // the first region_count are set
};

// Takes hits from *at on until all are taken or `room` stood the test. Writes these and their handles, returns their number, and
// leaves in *at the first hit that was not taken. The lines of records ahead are asked for.
unsigned pe_accept(const struct pe_test *test, const struct pe_hit *hits, unsigned count,
	unsigned *at, struct pe_wire_result *results, uint32_t *handles, uint32_t room);

// Asks for the lines of the first records, which the above takes for done.
void pe_accept_ahead(const struct pe_test *test, const struct pe_hit *hits, unsigned count);
