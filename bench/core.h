// An engine without packets, for measuring: filled with the crowd of crowd.h, and workers that
// update or query it as fast as they can. Updates are made in the worker's own batch and go through
// table, coalescing and grid as those of a packet do once they are decoded; queries go in as
// messages, and what is answered is thrown away after it was encoded.
//
// Two ways to run it. On threads: each worker has one, pinned, which does the work that core_work
// names, beside a control thread that paces grace periods as the production one does; the main
// thread looks at the counters. Fixed: one worker, the caller's thread, a clock and keys that are
// the same every time, grace periods between the turns: the same instructions on every run.
#pragma once

#include "engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CORE_WORKERS_MAX  2
#define CORE_TURN_RECORDS 256u // updates a turn

// What guards the space: core_guard.h.
enum core_guard {
	CORE_UNGUARDED,
	CORE_OPEN,        // nothing, and all else is as with the others
	CORE_KEYRING,     // owners by keyring
	CORE_FIRST,       // by first broadcast
	CORE_SPEED,       // a greatest speed
	CORE_FIRST_SPEED, // both
	CORE_TAGS,        // a policy with tags, that may concern everything
	CORE_RESTRICTED,  // every entity is, to who asks
	CORE_COARSE,      // every entity asks for a precision level
	CORE_GUARDS
};

struct core_options {
	uint32_t entities;
	unsigned workers; // 1 or 2
	// two workers: half of the entities belong to each, and half of those come in at the other;
	// else worker 0 has all
	bool divided;
	bool huge_pages;
	bool fixed;
	bool thresholds; // a spatial threshold, so that small moves coalesce
	// … and it is a prediction's: the crowd states no velocity, so its courses stand still
	bool predicts;
	// of 5 km about the middle, with one worker: subscribed to when the crowd is there. Between
	// them lie 10 km, so that most of the crowd is in one; none is told of a MOVE
	uint32_t fences;
	enum core_guard guard;                     // with messages alone
	bool restricted;                           // every entity is, to who asks
	bool moves;                                // of those inside of fences are told
	int cores[CORE_WORKERS_MAX], control_core; // −1: not pinned
};

enum core_kind {
	CORE_IDLE,
	CORE_FILL,
	CORE_SUBSCRIBE,
	CORE_UPDATES,
	CORE_QUERIES,
	CORE_MIXED,
	CORE_MESSAGES
};
enum core_volume { CORE_SPHERE, CORE_NEAREST, CORE_POLYGON }; // of a query
struct core_work {
	enum core_kind kind;
	enum core_volume volume;
	double crossing;  // share of the updates that go to a neighbour cell
	double coalesced; // share of the updates that the threshold covers
	double foreign;   // divided: share of the updates that come in at the wrong worker
	double hits;      // queries: results of each, on average
	double queries;   // mixed: their share of the operations
	unsigned records; // messages: update records in each
};

struct core;

// What one worker's source knows; its thread's alone but for `work`.
struct core_worker {
	struct core *core;
	struct pe_worker *worker;
	unsigned index;
	uint64_t random;
	uint32_t sequence;
	uint64_t *moved; // a bit an entity: it is on the far side of its two places
	bool any_moved;  // one of them at least
	uint8_t *request, *messages;
	unsigned records;       // that the prepared messages have
	uint64_t turns;         // guarded: entities that had theirs
	enum core_volume asked; // that the prepared requests have
	uint32_t request_bytes;
	double outer_m; // of a prepared polygon with one hit on average
	uint64_t answer_bytes;
	double queries_due;
	unsigned buffer;
	uint8_t *buffers;
	pthread_t thread;
	// written: main thread, release; read: the worker's. Points at what is not changed while it
	// is named.
	const struct core_work *_Atomic work;
	// written: the worker, release, once it took `work` over; read: main thread, acquire.
	const struct core_work *_Atomic taken;
	uint32_t filled; // numbers below were sent once
	uint32_t subscribe_bytes;
	uint32_t subscribed, subscribes,
		busy; // fences of messages that were sent; these; how many were to be sent again
};

struct core {
	struct core_options options;
	struct pe_engine *engine;
	double side_m;
	uint64_t fixed_ms;
	struct core_worker workers[CORE_WORKERS_MAX];
	pthread_t control;
	_Atomic bool stop; // written: main thread; read: all
	bool threads;      // run
	double create_s, fill_s, subscribe_s;
};

// Makes the engine, starts the threads (not fixed) and fills it. PE_OK, or a sentence in *error.
[[nodiscard]] enum pe_status core_start(
	struct core *core, const struct core_options *options, struct pe_error *error);
void core_stop(struct core *core);

// Threads: what a worker does from now on; returns when it has begun.
void core_set_work(struct core *core, unsigned worker, const struct core_work *work);
// Fixed: so many operations at least, in whole turns; returns how many. Grace periods are run by
// core_control.
uint64_t core_run(struct core *core, const struct core_work *work, uint64_t operations);
// One turn of updates or queries: what is counted when instructions are. Returns operations.
unsigned core_turn(struct core_worker *worker, const struct core_work *work);

// Nanoseconds that making one update costs without an engine behind it.
double core_source_ns(struct core *core, const struct core_work *work);

// Bytes that updates of the crowd choose among at random: records, index and the chunks that are in
// use. Less than the engine's bill: its pools are sized for a scatter that a crowd never makes.
uint64_t core_working_set(const struct core *core);

// core_grid.c: what only the grid's own header shows.
struct pe_grid;
uint64_t core_grid_bytes_used(const struct pe_grid *grid);
void core_grid_fix_secret(struct pe_grid *grid);
