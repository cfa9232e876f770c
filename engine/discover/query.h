// Spatial queries: from a checked wire query to the views that answer it. A query walks the grid in pieces, reads the record
// of each hit, has its view built, and tests that view: positions at an edge, filters, reach. What comes out is in
// the walk's order of cells. Bounded in cells, candidates and results; a bound that is hit gives a cursor.
//
// Thread: an RCU reader, within one read-side section; a context belongs to one thread. No allocation after create.
#pragma once

#include "base/counters.h"
#include "base/limits.h"
#include "base/memory.h"
#include "grid/grid.h"
#include "policy/view.h"
#include "wire/wire.h"

// What lies deeper is found by no straight line.
#define PE_HEIGHT_LOWEST_M (-12700.0)

#define PE_QUERY_PIECE_HITS 512 // hits of one step of a walk: their records are prefetched together

// When a query is answered.
struct pe_instant {
	uint32_t tick;    // ttl
	uint64_t wall_ms; // Unix ms: ages
};

struct pe_query_context {
	const struct pe_grid *grid;
	const struct pe_record *records;
	struct pe_counters *counters;
	uint32_t results_max, cells_max, candidates_max;
	uint32_t cells_left, candidates_left; // in this turn
	struct pe_hit *hits;                  // PE_QUERY_PIECE_HITS
	struct pe_wire_result *results;       // results_max, as they go over the wire
	uint32_t *handles;                    // of the results
	uint32_t *met;                        // open-addressed set of handles, met_mask + 1 entries
	uint32_t met_mask;
	struct pe_memory memory; // holds the four arrays
};

// Memory for one worker's queries; grid, records and counters outlive the context.
[[nodiscard]] enum pe_status pe_query_create(struct pe_query_context *context,
	const struct pe_grid *grid, const struct pe_record *records, struct pe_counters *counters,
	uint32_t results_max, uint32_t cells_max, uint32_t candidates_max);
void pe_query_destroy(struct pe_query_context *context);

// Before a turn's first query: what its queries may walk together. When it is used up, the rest are truncated.
void pe_query_begin_turn(struct pe_query_context *context);

struct pe_query_answer {
	uint32_t result_count; // in context->results
	bool truncated;
	uint64_t cursor[2]; // truncated: where to go on
};

// query: passed pe_wire_check_query. precision_max_m: the largest precision in the space (bounds a POINT query's walk).
// results_max: at most the context's. PE_REASON_none, or a QUERY-scope reason.
[[nodiscard]] enum pe_reason pe_query_run(struct pe_query_context *context,
	const struct pe_space *space, const struct pe_wire_query *query,
	const struct pe_asker *asker, struct pe_instant now, float precision_max_m,
	uint32_t results_max, struct pe_query_answer *answer);
