// The façade of the engine: a burst of messages in, answers out. No DPDK below this line; the
// dataplane, the tests, the fuzzers and the benchmarks all drive the engine through these calls.
//
// Threads: one engine, N workers, one control thread. A worker belongs to one thread from
// pe_worker_attach to pe_worker_detach; only that thread may call pe_worker_*. Engine-wide calls
// are for the thread that created it unless they say otherwise.
#pragma once

#include "base/counters.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/status.h"
#include "policy/views.h"
#include "space/space.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct pe_engine;
struct pe_worker;

struct pe_space_policy {
	struct pe_space_config space;
	uint32_t ttl_default_ms; // 0 = PE_TTL_DEFAULT_MS
	uint32_t ttl_max_ms;     // 0 = PE_TTL_MAX_MS
	// updates a minute taken from an entity that names none; 0 = no cap
	uint32_t frequency_default;
	// spatial threshold: moves not further than this leave the grid alone; 0 = off
	float coalesce_distance_m;
	// temporal threshold: sooner than this after the last published one; 0 = off
	uint32_t coalesce_interval_ms;
	// attribute threshold: largest change of a confidence that counts as none, 0–1; 0 = off
	float coalesce_attribute;
	// prediction: an update that the published state's course leads to within this is covered
	// by it; in place of the spatial threshold, for all but STATIC entities; 0 = off, at most
	// PE_PREDICT_DISTANCE_MAX_M
	float predict_distance_m;
	// how far a course is followed, for that and for questions about a later moment; 0 =
	// PE_PREDICT_HORIZON_MS
	uint32_t predict_horizon_ms;
	float precision_max_m; // 0 = PE_PRECISION_MAX_M
	// announced updates that may be missed in a row before an entity is stale; 0 =
	// PE_STALE_INTERVALS
	uint32_t stale_intervals;
	// time constants of position_confidence by type (the first is not looked at, the last is
	// CUSTOM's); 0 = three announced intervals, or no decay where none are announced
	uint32_t decay_ms[5];
	// who may say what in it; docs/authorization.md
	uint8_t authorization; // enum pe_authorization
	// FIRST: how long the owner of an entity that is gone is remembered; 0 = PE_OWNER_MEMORY_MS
	uint32_t owner_memory_ms;
	// m/s that no entity of a type exceeds, by type, the last CUSTOM's; 0 = any speed is
	// believed
	float speed_max_mps[5];
	// fixes that have to agree before a jump is believed; 0 = PE_PLAUSIBLE_FIXES, at least 2
	uint32_t plausible_fixes;
};

// Whose word about an entity is taken.
enum pe_authorization {
	PE_AUTHORIZATION_OPEN, // anybody's
	// by the directory; what it gives nobody is whose broadcast it first
	PE_AUTHORIZATION_FIRST,
	PE_AUTHORIZATION_KEYRING, // by the directory alone
};

// Who gives way when the table is full. What is gone already always goes first.
enum pe_when_full {
	PE_FULL_REFUSE,       // nobody: new entities are refused
	PE_FULL_LEAST_RECENT, // whoever was seen longest ago, by event time
	// whoever ranks lowest: those of sources that nobody knows before others, INACTIVE and AWAY
	// before others, TEMPORARY before MOBILE and CUSTOM before RECURRING before STATIC; among
	// equals whoever was seen longest ago
	PE_FULL_LOWEST_PRIORITY,
};

struct pe_engine_config {
	unsigned worker_count;     // 1 … PE_WORKERS_MAX
	uint32_t entity_count_max; // handles; the bill follows from it
	// coalesced states and crossings waiting at one time; 0 = a quarter of the entities where a
	// space holds states back for a time (a coalescing interval or a frequency of its own),
	// else a 32nd. What only a coalescing distance holds back is not counted among them
	uint32_t pending_count_max;
	uint32_t cell_count_max;  // cells in use at one time; 0 = see pe_grid_cells
	uint32_t node_count_max;  // of the tree over the cells; 0 = derived from them
	uint32_t chunk_count_max; // of 32 entities in one cell; 0 = derived from entities and cells
	// worker-to-worker ring, records; a power of two; 0 = PE_RING_RECORDS_MAX
	uint32_t ring_records;
	uint32_t tombstone_ms;      // 0 = PE_TOMBSTONE_MS
	uint32_t clock_ahead_ms;    // 0 = PE_CLOCK_AHEAD_MS
	uint32_t query_results_max; // 0 = the caps of limits.h
	uint32_t query_cells_max;
	uint32_t query_candidates_max;
	// for details of entities (wire/details.h), in blocks of 64 bytes to 2 KiB, the same for
	// each worker; 0 = none are kept, and announced updates are not either
	uint64_t details_bytes;
	// Standing queries. Fences of all subscriptions together, on every worker; 0 = off
	uint32_t fence_count_max;
	uint32_t member_count_max;       // entities in fences, each pair one; 0 = 16 a fence
	uint32_t subscription_count_max; // of all workers together; 0 = 64
	// of a subscription that can be resumed; a power of two; 0 = 1,024
	uint32_t event_count_max;
	bool huge_pages;
	enum pe_when_full when_full;
	// Budgets; 0 = none. Entities of one principal, and of one network of sources that are
	// neither trusted nor known (places.h)
	uint32_t principal_entity_max, network_entity_max;
	// subscriptions of one principal, or of one address of nobody in particular, on each worker
	uint32_t principal_subscription_max;
	// the most that pe_worker_set_load may multiply thresholds by, 1 … PE_COARSE_MAX; 0 = 1.
	// Questions about a moment look as much further
	uint32_t coarse_max;
	struct pe_views_config views; // read while the engine is created
	unsigned space_count;
	struct pe_space_policy spaces[PE_SPACES_MAX];
};

[[nodiscard]] enum pe_status pe_engine_create(
	const struct pe_engine_config *config, struct pe_engine **engine, struct pe_error *error);
// After all workers are detached and the control thread has stopped.
void pe_engine_destroy(struct pe_engine *engine);
// The fixed memory plan, a line a pool, as printed at start. Any thread.
void pe_engine_print_plan(const struct pe_engine *engine, FILE *out);
uint64_t pe_engine_memory_bytes(const struct pe_engine *engine);
// What the workers' heaps hold beside that plan, together (base/heap.h). Any thread; it takes a
// lock of the allocator's.
struct pe_heap_use pe_engine_heap_use(const struct pe_engine *engine);

// Who may do what from now on: takes the place of the directory before, which is destroyed when
// nobody reads it any more. The engine owns it from then on; NULL = nobody is known. PE_BUSY: the
// one before the last has still to go; nothing was done, ask again after a few steps of
// pe_engine_control. One thread at a time.
struct pe_principals; // policy/principals.h
[[nodiscard]] enum pe_status pe_engine_principals(
	struct pe_engine *engine, struct pe_principals *directory);

// Where a message came from and an answer goes.
struct pe_peer {
	uint8_t address[16]; // IPv6, or IPv4 mapped
	uint16_t port;       // host order
	// by configuration: answers may be longer than requests, STATE_REQUEST is served unless a
	// principal is no administrator
	bool trusted;
	uint8_t source; // the dataplane's number of the source
	// who it is shown to be, by a number that stays the principal's while the engine runs; 0 =
	// nobody that is known. Two principals at one address are two peers
	uint32_t principal;
	uint32_t link; // the dataplane's own; not read by the engine, and not compared
};

// The same place to answer to, for the same principal.
static inline bool pe_peer_same(const struct pe_peer *a, const struct pe_peer *b)
{
	return a->port == b->port && a->source == b->source && a->principal == b->principal &&
		memcmp(a->address, b->address, sizeof a->address) == 0;
}

struct pe_message {
	const uint8_t *data; // the UDP payload; readable for `bytes`, unchanged during the turn
	uint32_t bytes;
	struct pe_peer peer;
};

// Where answers go: filled by whoever drives the engine. All calls come from the worker's thread,
// within pe_worker_turn. reserve gives PE_WIRE_BYTES_MAX writable bytes (aligned to 8) or NULL (no
// buffer: counted by the engine); at most PE_OUTBOX_MAX reservations are open at once. commit sends
// `bytes` of it to *peer; bytes = 0 gives the buffer back.
#define PE_OUTBOX_MAX 16
//
// keep: peer->link is good in this turn only; what it gives instead is good until `drop`, on this
// worker. kept: what it gave before, to be brought up to date, or PE_LINK_NONE. PE_LINK_NONE: there
// is no room. Both may be NULL: links are good for ever.
#define PE_LINK_NONE 0xFFFFFFFFu
struct pe_sink {
	void *context;
	uint8_t *(*reserve)(void *context, const struct pe_peer *peer);
	void (*commit)(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes);
	uint32_t (*keep)(void *context, const struct pe_peer *peer, uint32_t kept);
	void (*drop)(void *context, const struct pe_peer *peer);
};

struct pe_now {
	uint64_t mono_ms; // monotonic; ttl, thresholds and timers
	uint64_t wall_ms; // Unix ms; event times only
};

struct pe_worker *pe_engine_worker(struct pe_engine *engine, unsigned index);
// The calling thread becomes the worker: registers with RCU, online.
void pe_worker_attach(struct pe_worker *worker);
void pe_worker_detach(struct pe_worker *worker);

// One turn: takes `count` messages (0 … PE_BURST_MAX) to the end, drains the rings of other
// workers, runs timers and deferred work (each bounded), sends answers through *sink, announces a
// quiescent state. Returns what it did besides the messages (0 = the worker may idle). rx_packets
// and rx_bytes are the caller's to count.
unsigned pe_worker_turn(struct pe_worker *worker, struct pe_now now,
	const struct pe_message *messages, unsigned count, const struct pe_sink *sink);

// A message that is not taken, for a reason of the caller's; scope PACKET. Counted; and told where
// sink is not NULL, the message can be answered and the answer is no longer than the peer is owed.
// Outside a turn; the message is readable until this returns.
void pe_worker_refuse(struct pe_worker *worker, struct pe_now now, const struct pe_message *message,
	enum pe_reason reason, const struct pe_sink *sink);

// From the next turn on: spatial, temporal and predicted thresholds of coalescing on this worker
// are `coarse` times what their spaces say (1 … coarse_max; what is 0 stays off), and with
// refuse_new no entities are made by it (shed_new).
void pe_worker_set_load(struct pe_worker *worker, uint32_t coarse, bool refuse_new);

// Nothing new is received any more: with the next turns every subscription of this worker is told
// that the engine ends, as far as there are buffers, and nothing else.
void pe_worker_end_subscriptions(struct pe_worker *worker);

// *peer has gone, and nothing reaches it any more: its subscriptions on this worker end. Not within
// a turn.
void pe_worker_depart(struct pe_worker *worker, const struct pe_peer *peer);
// What a link that the sink has kept leads to is over: the subscription that it was kept for ends
// with the next turns, like one whose lease has run out.
void pe_worker_end_link(struct pe_worker *worker, uint32_t link);

// Before and after the thread sleeps or blocks.
void pe_worker_offline(struct pe_worker *worker);
void pe_worker_online(struct pe_worker *worker);
// How long the worker may sleep before its next timer, ms, at most 1000.
uint32_t pe_worker_idle_ms(const struct pe_worker *worker, struct pe_now now);
// Records in rings towards this worker, or pending in it. 0 on all workers = drained.
uint32_t pe_worker_in_flight(const struct pe_worker *worker);

// The worker's counters; the dataplane counts its own outcomes in them, from the worker's thread.
struct pe_counters *pe_worker_counters(struct pe_worker *worker);
// Sum over workers. Any thread.
void pe_engine_counters(const struct pe_engine *engine, uint64_t values[PE_COUNTER_COUNT]);
// Entities that are there (created, not gone). Any thread; exact at rest.
uint64_t pe_engine_entity_count(const struct pe_engine *engine);

// Control thread: does one step (at most one grace period, closing of empty cells). Returns true
// while more is outstanding; false = sleep a little (1 ms) and ask again. The caller need not be
// registered with RCU.
bool pe_engine_control(struct pe_engine *engine);
