// Spatial queries: from a checked wire query to the views that answer it. A query walks the grid in
// pieces, reads the record of each hit, has its view built, and tests that view: positions at an
// edge, filters, reach. What comes out is in the walk's order of cells. Bounded in cells,
// candidates and results; a bound that is hit gives a cursor.
//
// Queries that are at hand together are prepared together, so that what they wait for overlaps;
// each is then run in its turn.
//
// Thread: an RCU reader, within one read-side section; a context belongs to one thread. No
// allocation after create.
#pragma once

#include "base/counters.h"
#include "base/limits.h"
#include "base/memory.h"
#include "entity/table.h"
#include "grid/grid.h"
#include "policy/view.h"
#include "wire/wire.h"

// Hits of one step of a walk, and of one whose hits cost no more than their records: results of an
// ordinary query of one piece are written where they go out.
#define PE_QUERY_PIECE_HITS  512
#define PE_QUERY_PIECE_PLAIN 2048

// When a query is answered.
struct pe_instant {
	uint32_t tick;    // ttl
	uint64_t wall_ms; // Unix ms: ages
};

// What is known of all that is in a space, and bounds the walks of its queries.
struct pe_query_known {
	float precision_max_m;        // the largest stated
	float veiled_precision_max_m; // of the veiled ones that the asker may see
	float speed_max_mps;          // of the fastest, at most PE_PREDICT_SPEED_MAX_MPS
	uint32_t horizon_ms;          // how far a course is followed
	// how far apart from where it is seen a STATIC entity, and another, may be by the space's
	// thresholds, by power mode
	const float (*hidden_m)[4];
};

#define PE_QUERY_SLOTS    16 // queries prepared together
#define PE_QUERY_POLYGONS 8  // of them with a polygon: one is 34 KB, and its sieve 15

struct pe_query_slot; // slot.h
struct pe_query_extras;

struct pe_query_context {
	const struct pe_grid *grid;
	const struct pe_table *table;
	struct pe_counters *counters;
	uint32_t results_max, cells_max, candidates_max;
	uint32_t cells_left, candidates_left; // in this turn
	struct pe_query_slot *slots;          // PE_QUERY_SLOTS
	struct pe_query_extras *extras;       // volumes, filters, the nearest
	unsigned polygons_used;
	bool charged;                   // the preparation of a polygon, in this turn
	unsigned prepared, fetched;     // slots from the first on
	unsigned walked;                // slots whose first piece was walked
	unsigned hits_end;              // of the hits that were met and are not taken yet
	unsigned asked;                 // hits before it have had their records asked for
	struct pe_hit *hits;            // of some pieces
	uint32_t *hit_handles;          // theirs; of an ordinary query there is nothing else
	struct pe_wire_result *results; // results_max, as they go over the wire
	struct pe_wire_cell *cells;     // in the place of results: of an answer of cells
	uint32_t *handles;              // of the results
	const uint8_t **details;        // of the results, where they are wanted; NULL = none
	uint32_t *met;                  // open-addressed set of handles, met_mask + 1 entries
	uint32_t met_mask;
	// Of an answer of cells: a bit a handle that was counted; a bit a line of these that has
	// any.
	uint64_t *counted, *counted_lines;
	uint32_t counted_lines_words;
	struct pe_memory memory; // holds these arrays
};

// Memory for one worker's queries; grid, records and counters outlive the context.
[[nodiscard]] enum pe_status pe_query_create(struct pe_query_context *context,
	const struct pe_grid *grid, const struct pe_table *table, struct pe_counters *counters,
	uint32_t results_max, uint32_t cells_max, uint32_t candidates_max);
void pe_query_destroy(struct pe_query_context *context);

// Before a turn's first query: what its queries may walk together. When it is used up, the rest are
// truncated.
void pe_query_begin_turn(struct pe_query_context *context);

// What the results of an answer are.
enum pe_query_form {
	PE_QUERY_WHOLE,
	PE_QUERY_SHORT,
	PE_QUERY_DETAILED, // whole, with what is in context->details, until the next quiescent
	                   // state
	PE_QUERY_CELLS,
	PE_QUERY_POSTPONED, // none: the turn's work was used up before it was made ready
};

struct pe_query_answer {
	uint32_t result_count; // in context->results, or context->cells
	bool truncated;
	bool worked_out;    // truncated by a bound of work
	uint8_t form;       // enum pe_query_form; SHORT is made of whole results as they are sent
	uint64_t cursor[2]; // truncated: where to go on
};

// Bytes of a result in an answer with details; details may be NULL.
static inline uint32_t pe_query_detailed_bytes(const uint8_t *details)
{
	struct pe_wire_details head = {.bytes = sizeof head};

	if (details)
		memcpy(&head, details, sizeof head);
	return (uint32_t)sizeof(struct pe_wire_result) + head.bytes;
}

// Queries are taken up one behind the other, at most PE_QUERY_SLOTS: the next one's place, which
// the caller fills; then either its preparation, by which where it looks is asked for, or its
// refusal. The first slot is 0 again after pe_query_begin.
void pe_query_begin(struct pe_query_context *context);
struct pe_wire_query *pe_query_next(struct pe_query_context *context);
// False: it has a polygon, and there is no more room for one before the next pe_query_begin.
bool pe_query_next_fits(const struct pe_query_context *context);
// ordinary.c: the next one in one go, from its record, if it is a sphere that asks for nothing more
// and everything about it is in order. False: it is taken up as any other, and nothing was done.
bool pe_query_prepare_ordinary(struct pe_query_context *context, const struct pe_space *space,
	const struct pe_view_rules *rules, const struct pe_asker *asker, struct pe_instant now,
	const uint8_t *record);
// The query passed pe_wire_check_query. extension: its extension_bytes, as they came, not needed
// afterwards. space, rules and known->hidden_m outlive the run.
void pe_query_prepare(struct pe_query_context *context, const struct pe_space *space,
	const struct pe_view_rules *rules, const struct pe_asker *asker, struct pe_instant now,
	const struct pe_query_known *known, const uint8_t *extension);
void pe_query_refuse(struct pe_query_context *context, enum pe_reason reason);

// Runs a prepared query; the slots are run in order, once each. results_max: at most the context's;
// bytes_max: what results may take in the answer, details and all. PE_REASON_none, or a QUERY-scope
// reason.
[[nodiscard]] enum pe_reason pe_query_run(struct pe_query_context *context, unsigned slot,
	uint32_t results_max, uint32_t bytes_max, struct pe_query_answer *answer);
// The results of a prepared query, whose hits are all there, by the part: each is written where it
// goes out, instead of into the context's.
struct pe_query_parts {
	struct pe_query_slot *slot;
	unsigned at, asked; // as in struct pe_hits
	uint32_t count;     // results so far
};
// In the place of pe_query_run, for who is trusted. False: it is no ordinary query, or there may be
// more of it than an answer has: pe_query_run.
bool pe_query_run_parts(
	struct pe_query_context *context, unsigned slot, struct pe_query_parts *parts);
// At most `room` results more, at any alignment; fewer: there are no more.
uint32_t pe_query_take_part(struct pe_query_context *context, struct pe_query_parts *parts,
	struct pe_wire_result *results, uint32_t room);
void pe_query_end_parts(struct pe_query_context *context, const struct pe_query_parts *parts);
uint32_t pe_query_id(const struct pe_query_context *context, unsigned slot);
// Bytes of a result on the wire; and what its answer tells besides the reason when it is refused
// (struct pe_wire_answer).
uint32_t pe_query_result_bytes(const struct pe_query_context *context, unsigned slot);
uint64_t pe_query_detail(const struct pe_query_context *context, unsigned slot);
