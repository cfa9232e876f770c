// Standing queries behind the façade: what the watch_*.c files share.
//
//   watch.c         what an update, an expiry or a withdrawal means to the fences on its worker
//   watch_memory.c  memory
//   watch_payload.c the payload of an update to the fences that its entity is inside of
//   watch_fence.c   a fence on each worker: begun, walked, moved, ended; the rings between workers
//   watch_ask.c     REGION_SUBSCRIBE on the worker that the subscription belongs to
//   watch_keep.c    subscriptions: names, leases, ends
//   watch_order.c   their fences: what is ordered of the workers, what they answer
//   watch_wait.c    events that wait, and their order
//   watch_tell.c    notices, resuming
//   watch_explain.c EXPLAIN of a fence, on any worker
//   watch_course.c  what is needed of an entity whose course covers its updates
//
// A fence (struct pe_watch_fence) belongs to its subscription, and that to the worker that its OPEN
// arrived at: the *keeper*. Every worker has the fence in an index of its own and tests the updates
// of the entities that it owns, on its own thread; what comes of it goes to the keeper through a
// ring. So an update never leaves its worker for a fence's sake, and nothing is locked.
//
// Fences, and the logs of subscriptions, come from the keeper's heap (base/heap.h) when they are
// asked for; all else is taken at start. Both are bounded by the configuration. The keeper frees a
// fence when every worker has answered that it no longer has it.
#pragma once

#include "internal.h"

#include "discover/fence.h"
#include "discover/member.h"
#include "discover/safe_region.h"
#include "discover/stand.h"
#include "entity/wheel.h"
#include "wire/subscribe.h"

#define PE_WATCH_NONE    0xFFFFFFFFu
#define PE_WATCH_TOUCHED PE_FENCE_BURST // entities looked at together
// fences put into a worker's index a turn: microseconds to milliseconds each
#define PE_WATCH_ADDS        8u
#define PE_WATCH_PIECES      16u   // of work on fences a turn, but one walk at most
#define PE_WATCH_CLOSED      128u  // members of an ending fence in a piece
#define PE_WATCH_ORDERED     512u  // fences with orders that are seen to a turn
#define PE_WATCH_DUE         256u  // dwell times a turn
#define PE_WATCH_WALK_CELLS  2048u // of a turn's piece of one walk
#define PE_WATCH_WALK_HITS   512u
#define PE_WATCH_RING_KEPT   64u   // places in a ring that events leave to what must get through
#define PE_WATCH_MESSAGES    2048u // taken from all rings a turn
#define PE_WATCH_NOTICES     64u   // messages a turn
#define PE_WATCH_LOW_NOTICES 4u    // of them for the lowest class, when it has any: 5 %, rounded up
#define PE_WATCH_STANDS_MS   100u  // so often it is looked where subscribers stand
#define PE_WATCH_FOLLOW_MS   100u  // a fence that follows is moved so often at most
#define PE_WATCH_FOLLOWS     16u   // looked after a turn
#define PE_WATCH_RESTART_MS  1000u // a subscription begins anew after a GAP so often at most
#define PE_WATCH_LINGER_MS   2000u // an ending subscription's last words wait so long at most

struct pe_subscription;

// A fence on one worker. Written and read: that worker.
struct pe_watch_part {
	uint32_t number;     // in the worker's index and set, PE_WATCH_NONE: not there
	uint32_t generation; // of what it tells
	double centre[3];    // of a fence that follows
	bool somewhere;      // centre is one
	bool quiet;          // tells nothing: it begins anew
	bool closing, ending, listing, walking, snapshot;
	bool lost; // a ring was full: what it told is not whole
	bool in_jobs, in_lost;
	uint32_t list;      // pe_member_list's cursor
	uint64_t cursor[2]; // of the walk
	struct pe_watch_fence *next, *next_lost;
	struct pe_watch_fence *next_named; // of the worker's part_names, while it is in the index
};

// What is to be sent to a worker, in this order.
enum pe_watch_order {
	PE_WATCH_ADD,
	PE_WATCH_BEGIN,
	PE_WATCH_MOVE,
	PE_WATCH_RESTART,
	PE_WATCH_END,
	PE_WATCH_ORDERS,
	// answers
	PE_WATCH_ADDED,   // `reason`
	PE_WATCH_WALKED,  // of the generation: the snapshot is whole
	PE_WATCH_REMOVED, // the worker has forgotten it
	PE_WATCH_LOST,    // of the generation
	PE_WATCH_EVENT,
};

enum pe_watch_phase { PE_WATCH_ADDING, PE_WATCH_LIVE, PE_WATCH_ENDING };

struct pe_watch_fence {
	// constants once it was sent to the workers
	struct pe_stand stand;
	uint32_t fence_id;
	uint8_t keeper;
	bool follows;
	bool payloads; // are told
	uint8_t follow_id[16];
	// audiences that its subscriber belongs to; written: the keeper, and then all begins anew;
	// read: any worker
	_Atomic uint32_t sees;
	_Atomic uint64_t place; // where its subscriber stands, likewise
	struct pe_member_rule rule;
	uint32_t bytes; // of this piece of memory

	// the keeper's
	struct pe_subscription *subscription;
	uint8_t phase; // enum pe_watch_phase
	bool in_orders, failed;
	uint8_t fault_index;                // in the message that it came with
	uint32_t generation;                // that counts
	uint32_t adding, walking, removing; // workers whose answer is awaited, as bits
	// workers that an order is still to be sent to, as bits
	uint32_t todo[PE_WATCH_ORDERS];
	struct pe_watch_fence *next_order;   // list of those with something to send
	struct pe_watch_fence *next, **link; // of the subscription
	struct pe_watch_fence *next_named;   // in the table of names
	struct pe_watch_fence *follow_next, *follow_prev;
	double centre[3];
	bool somewhere;
	uint32_t follow_tick; // when it is looked after again

	struct pe_watch_part *parts; // a worker each
};
static_assert(PE_WORKERS_MAX <= 32, "a bit a worker");

// From worker to worker.
struct pe_watch_message {
	struct pe_watch_fence *fence;
	uint8_t order; // enum pe_watch_order
	uint8_t kind, cause, reason;
	uint16_t flags;
	uint16_t somewhere;
	uint32_t generation;
	uint32_t reserved;
	uint64_t time_ms;
	union {
		double centre[3];
		struct pe_wire_result result;
	} u;
};
static_assert(sizeof(struct pe_watch_message) == 96, "a line and a half");

// What of a pair (fence, entity) waits to be told; or a SNAPSHOT_END, ENDED or a piece of a
// payload.
#define PE_WAITS_LEAVE 1u
#define PE_WAITS_ENTER 2u // behind the LEAVE, if both
#define PE_WAITS_MOVE  4u
struct pe_waiting {
	uint32_t subscription, fence_id;
	uint32_t chain;      // of its bucket; of a free one the next free
	uint32_t next, prev; // in its list
	uint8_t waits;       // PE_WAITS_*; 0: not of a pair
	uint8_t kind, cause; // not of a pair
	uint8_t leave_cause;
	bool opened; // a MOVE that stands with what is told at once
	uint16_t flags, leave_flags;
	uint32_t tick; // since when
	uint64_t time_ms, leave_time_ms;
	struct pe_wire_result result; // of the newest
};

struct pe_waiting_list {
	uint32_t first, last, count;
};

enum pe_subscription_state {
	PE_SUBSCRIPTION_FREE,
	PE_SUBSCRIPTION_OPENING, // its first fences are on their way
	PE_SUBSCRIPTION_LIVE,
	PE_SUBSCRIPTION_ENDING, // its fences are; then its last words
};

struct pe_subscription {
	uint8_t state; // enum pe_subscription_state
	uint8_t space, priority, ended_cause;
	uint16_t flags, window;
	bool named;  // can be found: not when another life took its place
	bool ready;  // in a list of what can be sent to
	bool silent; // ends without a word
	bool ended_told;
	struct pe_peer peer;
	uint32_t subscription_id, epoch, stream_id;
	uint8_t space_id[16];
	uint32_t next_named, next_free;
	uint32_t sees;  // audiences that the peer belongs to
	uint64_t place; // where it stands (policy/near.h), if one of them asks for that
	float resolution_m;
	float published_m; // the coarsest that its fences were told of so far; 0 = as finely as
	                   // they ask
	uint32_t move_interval_ms, moves_tick; // MOVEs not before that
	uint32_t lease_tick, linger_tick;
	struct pe_wheel_link timer;
	uint32_t next_ready, prev_ready;

	struct pe_watch_fence *fences;
	uint32_t fence_count;
	uint32_t walking, removing; // (fence, worker)s that are awaited

	uint32_t message; // the last that was taken
	struct {
		uint8_t op; // 0: none
		bool failed;
		uint8_t reason, fault_reason;
		uint16_t fault_index;
		uint32_t message, adding;
		uint64_t sequence;
		uint32_t stream_id;
	} request; // whose acknowledgement waits for the workers

	struct pe_wire_event *log; // events_max of the last events, by number
	uint64_t next_sequence, acknowledged, gap_sequence;
	uint64_t resend; // the next to be sent again; 0: none
	struct pe_waiting_list at_once, moves;
	_Atomic uint32_t waits; // in both; written: the keeper; read: who walks for it
	uint32_t end_marker;    // a SNAPSHOT_END that waits
	bool gap_wanted;
	uint32_t gap_tick; // not before that
};

#define PE_WATCH_HEARD 32u
struct pe_watch_plan {
	uint64_t index_bytes, member_bytes, subscription_bytes, waiting_bytes, ring_bytes,
		fence_bytes_max, event_bytes_max;
};

// One worker's.
struct pe_watch {
	struct pe_fence_index *index;
	struct pe_member_set *members;
	struct pe_fence_hit *hits;
	uint32_t number_count; // fences in the index
	uint32_t touched[PE_WATCH_TOUCHED];
	bool corrected[PE_WATCH_TOUCHED];
	unsigned touched_count;
	unsigned adds;  // this turn
	uint64_t epoch; // of safe regions
	// events of fences that this worker is the keeper of: worked together, so that their misses
	// overlap
	struct pe_watch_message heard[PE_WATCH_HEARD];
	unsigned heard_count;
	// what pe_member's events are about meanwhile
	bool in_snapshot, in_correction;
	struct pe_watch_fence *jobs_first, *jobs_last;
	struct pe_watch_fence *lost; // whose keeper has still to be told
	struct pe_watch_fence *
		*part_names; // in the index, by the subscription's id and the fence's

	// as a keeper
	struct pe_watch_fence *orders_first, *orders_last;
	struct pe_watch_fence **names; // by (subscription, fence_id)
	uint32_t name_mask;
	struct pe_watch_fence *follows; // a ring
	struct pe_subscription *subscriptions;
	uint32_t subscription_count_max, subscription_free;
	uint32_t *subscription_names;
	uint32_t subscription_name_mask;
	struct pe_wheel timers; // of subscriptions
	uint32_t ready[PE_PRIORITIES];
	struct pe_waiting *waiting;
	uint32_t waiting_count_max, waiting_free;
	uint32_t *waiting_buckets;
	uint32_t waiting_mask;
	const struct pe_hash_key *key; // of the index of entities
	uint32_t kept;                 // subscriptions that are not free
	uint32_t reviewed;             // the directory by which they may go on, by its generation
	uint64_t sees_from_ms, sees_until_ms; // who sees what is known for that time
	uint32_t stands_tick;                 // when it is looked again where subscribers stand
	bool leaving;                         // the engine ends: its last word has been said
	struct pe_memory memory;
	struct pe_heap
		*heap; // fences and logs of those subscriptions that this worker is the keeper of
};

// Shared by the workers.
struct pe_watch_shared {
	uint32_t events_max; // of a subscription's log; a power of two
	uint64_t fence_bytes_max;
	uint32_t fence_count_max, subscription_count_max;
	// taken by all; written: keepers
	_Atomic uint32_t fence_count, subscription_count;
	_Atomic uint64_t fence_bytes;
	struct pe_ring_spsc *rings; // [from × worker_count + to]
	struct pe_memory ring_memory;
	struct pe_safe_region *safe; // by a handle's number; written and read: the entity's owner
	struct pe_memory safe_memory;
};

static inline struct pe_ring_spsc *pe_watch_ring(struct pe_engine *e, unsigned from, unsigned to)
{
	return &e->watch->rings[from * e->config.worker_count + to];
}
static inline struct pe_watch_part *pe_watch_part(
	const struct pe_worker *w, struct pe_watch_fence *fence)
{
	return &fence->parts[w->index];
}
// All workers, as bits.
static inline uint32_t pe_watch_all(const struct pe_worker *w)
{
	unsigned n = w->engine->config.worker_count;

	return n == 32 ? UINT32_MAX : (1u << n) - 1;
}
// Of what trusted sources choose.
static inline uint64_t pe_watch_mix(uint64_t a, uint64_t b)
{
	a = (a ^ (a >> 32) ^ b) * 0x9E3779B97F4A7C15ull;
	a = (a ^ (a >> 29)) * 0xBF58476D1CE4E5B9ull;
	return a ^ a >> 32;
}
// The fence's subscriber.
static inline struct pe_asker pe_watch_asker(const struct pe_watch_fence *f)
{
	return (struct pe_asker){.trusted = true,
		.sees = atomic_load_explicit(&f->sees, memory_order_relaxed),
		.place = atomic_load_explicit(&f->place, memory_order_relaxed)};
}
// Is what is published shown to him?
static inline bool pe_watch_shows(const struct pe_worker *w, const struct pe_watch_fence *f,
	const struct pe_published *published)
{
	const struct pe_asker asker = pe_watch_asker(f);

	return !(published->attributes & PE_PUBLISHED_VEILED) ||
		(pe_view_shown(&asker, published->attributes) &&
			pe_view_near(&asker, &w->engine->spaces[f->stand.space->index].rules,
				published));
}
// Fences stand in their space, whichever layer of it an entity lies in.
static inline uint64_t pe_watch_open_key(const struct pe_record *r, uint32_t status)
{
	return (r->key & ~PE_KEY_LAYER_MASK) | (uint64_t)PE_STATUS_SPACE(status) << 56;
}
static inline bool pe_watch_reached(uint32_t tick, uint32_t now)
{
	return (int32_t)(now - tick) >= 0;
}

// watch_keep.c. What a subscriber sees now, and where he stands, if that counts.
void pe_watch_see(const struct pe_worker *w, const struct pe_subscription *s, uint32_t *sees,
	uint64_t *place);

// watch.c. What the worker's member set tells; context: the worker.
void pe_watch_tell_member(void *context, const struct pe_member_event *event);
// A find of a snapshot: a member at once, if it is inside.
void pe_watch_start(struct pe_worker *w, struct pe_watch_fence *fence, uint32_t handle);

// The volumes of this worker are others, or who is to be told of what in them: there are no safe
// regions any more.
static inline void pe_watch_unsafe(struct pe_watch *x)
{
	x->epoch++;
}

// An event of the fence found no room: the keeper will be told, and begins anew.
void pe_watch_lose(struct pe_worker *w, struct pe_watch_fence *fence);

// watch_fence.c. What a keeper orders, on the worker that it is ordered of.
void pe_watch_obey(struct pe_worker *w, const struct pe_watch_message *message);
// To the keeper; an event only while the ring has room beyond what is kept. False: there is none.
bool pe_watch_send(struct pe_worker *w, const struct pe_watch_message *message);
// Closing, listing and walking, a piece each; what was lost. Returns what was done.
unsigned pe_watch_work(struct pe_worker *w);
// What came through the rings. Returns their number.
unsigned pe_watch_take_rings(struct pe_worker *w);

// watch_explain.c. A fence that comes into the index, or leaves it.
void pe_watch_name_part(struct pe_worker *w, struct pe_watch_fence *fence);
void pe_watch_unname_part(struct pe_worker *w, struct pe_watch_fence *fence);

// watch_order.c. The keeper's fences. One of a subscription by its number; NULL: none.
struct pe_watch_fence *pe_watch_find_fence(
	const struct pe_watch *x, const struct pe_subscription *s, uint32_t fence_id);
// Memory within the budget, with so many bytes at its end for the parts of a stand; NULL: none.
struct pe_watch_fence *pe_watch_take_fence(struct pe_worker *w, uint32_t parts_bytes);
// Into its subscription's list and names; and the end of one that no worker has heard of.
void pe_watch_enlist(struct pe_watch *x, struct pe_watch_fence *fence);
void pe_watch_forget_fence(struct pe_worker *w, struct pe_watch_fence *fence);
void pe_watch_order_fence(struct pe_worker *w, struct pe_watch_fence *fence,
	enum pe_watch_order order, uint32_t workers);
// What is still to be sent. Returns how many fences were seen to.
unsigned pe_watch_order_all(struct pe_worker *w);
void pe_watch_end_fence(struct pe_worker *w, struct pe_watch_fence *fence);
// All fences begin anew, behind a GAP.
void pe_watch_restart(struct pe_worker *w, struct pe_subscription *s);
// Where the entity is that the fence follows. True: somewhere else than before.
bool pe_watch_look_after(struct pe_worker *w, struct pe_watch_fence *fence);
unsigned pe_watch_look_after_all(struct pe_worker *w);
// An answer of a worker; the end of a request that has waited for them.
void pe_watch_answer(struct pe_worker *w, unsigned from, const struct pe_watch_message *message);
void pe_watch_request_done(struct pe_worker *w, struct pe_subscription *s);

// watch_keep.c. The keeper's subscriptions. The named one; NULL: none.
struct pe_subscription *pe_watch_find(
	const struct pe_watch *x, const struct pe_peer *peer, uint32_t subscription_id);
void pe_watch_name(struct pe_watch *x, struct pe_subscription *s);
// NULL: there is no room.
struct pe_subscription *pe_watch_take(struct pe_worker *w, const struct pe_peer *peer);
void pe_watch_release(struct pe_worker *w, struct pe_subscription *s);
void pe_watch_end(struct pe_worker *w, struct pe_subscription *s, unsigned cause);
// Its fences are gone: what is left to be said.
void pe_watch_last_words(struct pe_worker *w, struct pe_subscription *s);
void pe_watch_set_lease(struct pe_worker *w, struct pe_subscription *s, uint32_t expiration_ms);
void pe_watch_set_timer(struct pe_worker *w, struct pe_subscription *s);
unsigned pe_watch_keep(struct pe_worker *w); // leases, timers, fences that follow
// If the directory of principals was swapped: who may not subscribe any more is ended.
void pe_watch_review(struct pe_worker *w);
// A request's one outcome is counted, and told.
void pe_watch_outcome(struct pe_worker *w, enum pe_reason reason);
void pe_watch_acknowledge(struct pe_worker *w, const struct pe_peer *peer,
	const struct pe_wire_header *request, struct pe_wire_subscribed *done);
void pe_watch_say_state(const struct pe_worker *w, const struct pe_subscription *s,
	struct pe_wire_subscribed *done);

// watch_wait.c. A keeper's: an event of a pair comes to wait; SNAPSHOT_END, ENDED. One that is
// heard waits for others, or for pe_watch_hear, which whoever brings about events calls in the end.
void pe_watch_event(struct pe_worker *w, const struct pe_watch_message *message);
void pe_watch_put_heard(struct pe_worker *w, const struct pe_watch_message *message);
void pe_watch_hear_all(struct pe_worker *w);
static inline void pe_watch_hear(struct pe_worker *w)
{
	if (w->watch->heard_count)
		pe_watch_hear_all(w);
}
void pe_watch_event_alone(
	struct pe_worker *w, struct pe_subscription *s, unsigned kind, unsigned cause);
// Does something of the pair wait to be told?
bool pe_watch_waits(
	const struct pe_worker *w, const struct pe_watch_fence *fence, const uint8_t entity_id[16]);
// What waits is forgotten and a GAP told instead.
void pe_watch_gap(struct pe_worker *w, struct pe_subscription *s);
void pe_watch_forget(struct pe_worker *w, struct pe_subscription *s);
// MOVEs whose time has come stand with the others from now on.
void pe_watch_open_moves(struct pe_worker *w, struct pe_subscription *s);
// The first of what leaves in order was told.
void pe_watch_told(struct pe_watch *x, struct pe_subscription *s);
static inline uint32_t pe_watch_number(const struct pe_watch *x, const struct pe_subscription *s)
{
	return (uint32_t)(s - x->subscriptions);
}

// watch_tell.c. From that number on again. False: it was not given yet.
bool pe_watch_resume(struct pe_worker *w, struct pe_subscription *s, uint64_t sequence);
// Puts it where it can be sent to, or takes it from there.
void pe_watch_consider(struct pe_worker *w, struct pe_subscription *s);
// Notices, by class. Returns how many were sent.
unsigned pe_watch_tell(struct pe_worker *w);
// When it may have something to send that must wait now, ms from now; cap.
uint32_t pe_watch_wait_ms(const struct pe_worker *w, const struct pe_subscription *s, uint32_t cap);
