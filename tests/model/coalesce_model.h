// Caps, thresholds, trailing edges, crossings that wait, durations and ttls as docs/protocol.md has
// them: a plain structure an entity, whose times are looked at one by one. Places are numbers into
// tables that the test fills, with the cell of each and the distance between any two. Nothing is
// shared with the engine but its types. One thread.
#pragma once

#include "engine.h"

#include "wire/wire.h"

#define MODEL_ENTITIES 20u
// entities that stay where they are and keep each cell in use, so that no move meets a cell that is
// being closed
#define MODEL_ANCHORS   100u
#define MODEL_PLACES    30u // a space
#define MODEL_TOMBSTONE 3000u
#define MODEL_HORIZON   4000 // ms: how far a course is followed

enum model_space {
	MODEL_DISTANCE,
	MODEL_INTERVAL,
	MODEL_BOTH, // and a confidence
	MODEL_FREQUENCY,
	MODEL_PLAIN,
	MODEL_COURSE, // a prediction; the distance is for what is STATIC
	MODEL_EARTH,
	MODEL_SPACES
};

struct model_policy {
	double distance, course;
	unsigned interval, frequency;
	float attribute;
};
extern const struct model_policy model_policy[MODEL_SPACES];
extern const unsigned model_factor[4]; // of the power mode

// Times are the engine's monotonic ms; 0 = none.
struct model_state {
	struct pe_wire_update u;
	unsigned place;
	uint64_t time_ms, until; // event time; end of the duration
	unsigned cap, interval;  // that begin with its publication
};

struct model_entity {
	enum { MODEL_UNKNOWN, MODEL_THERE, MODEL_GONE } life;
	unsigned space;
	uint32_t incarnation, sequence;
	// of the newest update that was taken, and of the one before it
	uint64_t time_ms, time_before_ms;
	struct model_state shown, waiting;
	bool waits, owed; // there is a `waiting`; and its record is not counted yet
	bool crossing;    // a grace period has to pass before the next move into another cell
	bool passed;      // and has
	uint64_t due;     // of `waiting`
	uint64_t cap, interval, until, expiry, gone_at;
};

struct model_record {
	unsigned n, space, place;
	uint32_t incarnation;
	uint64_t time_ms;
	bool withdraw, ack;
	struct pe_wire_update u;
	// what becomes of it
	bool covered; // by a later one of its burst
	enum pe_ack_status status;
	enum pe_reason reason;
	uint32_t known_incarnation, known_sequence;
};

// What the engine's counters must say, and what a run must have met to be worth anything.
// clang-format off
#define MODEL_TOLD(X) \
	X(records_applied) X(records_coalesced) X(trailing) X(status_elapsed) X(created) X(expired) X(withdrawn) X(crossings)
#define MODEL_MET(X) \
	X(capped) X(covered_by_threshold) X(exactly_at_threshold) X(cap_ended) X(cap_cut) X(cap_longer) X(accepted) \
	X(accepted_replaced) X(accepted_dropped) X(accepted_published) X(trailing_moves) X(trailing_elapsed) \
	X(trailing_in_time) X(trailing_behind_a_crossing) X(superseded) X(back_in_grace) X(back_elsewhere) \
	X(withdrawn_again) X(refused) X(covered_by_course) X(off_course) X(swerved) X(course_over)
// clang-format on
#define MODEL_COUNTER(name) uint64_t name;

struct model_place {
	double at[3];
	uint64_t key; // of the cell
};

struct model {
	uint64_t now, wall_ms; // set by the test
	uint64_t timers_ran;
	struct model_place place[MODEL_SPACES][MODEL_PLACES];
	double apart[MODEL_SPACES][MODEL_PLACES][MODEL_PLACES];         // m
	struct model_entity entity[1 + MODEL_ENTITIES + MODEL_ANCHORS]; // from 1; anchors last
	unsigned entities;
	struct {
		MODEL_TOLD(MODEL_COUNTER)
	} told;
	struct {
		MODEL_MET(MODEL_COUNTER)
	} met;
};
extern struct model model;

static inline uint64_t model_key(unsigned space, unsigned place)
{
	return model.place[space][place].key;
}

// A grace period has run since the last turn.
void model_grace(void);
// A turn: what time has ended, then a burst's records in their order, with their outcome.
void model_turn(struct model_record *burst, unsigned count);
// What is wrong with a record whatever is known of its entity.
enum pe_reason model_door(const struct model_record *r);
// When something visible happens to an entity that is there, at the latest.
uint64_t model_next_due(const struct model_entity *e);
