// Standing queries of libpresence: a subscription is a set of fences — volumes, with what a query
// filters by — of which the engine tells who enters, moves within and leaves them
// (docs/standing-queries.md). Tuned for programs that keep one subscription of many fences for
// hours: events come through presence_poll, in the order of their numbers, each once; what the
// network lost is asked for again, what it repeated is left aside, and memory is bounded whatever
// comes.
//
// What the caller owes: presence_poll, often enough (a second is often enough). It hands events on,
// asks again for what is missing, acknowledges, and renews the lease when half of it is over. What
// comes while another call of the client waits is kept for the next poll.
//
// Threads: a watch belongs to its client's thread. A callback must not call the client or a watch.
#pragma once

#include "presence.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PRESENCE_WATCHES_MAX 16 // of one client
// events of a watch that wait for one before them; those beyond are left aside and asked for again
#define PRESENCE_WATCH_HELD_MAX 1024

enum presence_event_kind {
	PRESENCE_ENTER = 1,
	PRESENCE_MOVE = 2,
	PRESENCE_LEAVE = 3,
	// who was inside when they began has been told, of all fences so far
	PRESENCE_SNAPSHOT_END = 4,
	// The engine could not tell everything: forget all members, of all fences. A new snapshot
	// follows.
	PRESENCE_GAP = 5,
	PRESENCE_ENDED = 6, // the subscription; nothing follows
	// what an update of an entity inside of the fence carried
	PRESENCE_PAYLOAD = 7,
};

enum presence_leave_cause {
	PRESENCE_LEFT_MOVED = 1, // out of the volume
	PRESENCE_LEFT_GONE = 2,  // expired, withdrawn, or not shown any more
	PRESENCE_LEFT_ENDED = 3, // the fence was taken away
};

enum presence_end_cause {
	PRESENCE_END_CLOSED = 1,
	PRESENCE_END_EXPIRED = 2, // the lease
	PRESENCE_END_REPLACED = 3,
	PRESENCE_END_ENGINE = 4,
	// Said by this library: the engine refuses what is to be subscribed anew; presence_error
	// says why.
	PRESENCE_END_REFUSED = 254,
	// Likewise: the engine doesn't know the subscription. It was started again, or its own word
	// was lost.
	PRESENCE_END_UNKNOWN = 255,
};

enum presence_gap_cause {
	PRESENCE_GAP_BEHIND = 0, // the subscriber could not be told everything
	// Said by this library, of a watch with `resubscribe`: the engine's part of it is gone and
	// is asked for anew. Sequences begin with 1 again.
	PRESENCE_GAP_ANEW = 1,
};

struct presence_fence {
	uint32_t id; // the caller's choice, once in a watch
	// SPHERE, BOX, POLYGON, ORIENTED_BOX or FRUSTUM, with its masks, heights, origin and
	// filter; not copied
	const struct presence_query *query;
	bool follow; // a SPHERE around an entity, wherever it is; query->a is not used
	uint8_t follow_id[16];
	float margin_m;    // who is inside leaves further outside than that
	uint32_t enter_ms; // who is inside for so long enters
	uint32_t leave_ms; // who is outside for so long leaves
};

// All zero is a sound choice: ENTER and LEAVE, as soon as they come about.
struct presence_watch_options {
	uint32_t id;      // the subscription's; 0 = one that this client has not used
	bool moves;       // MOVE as well
	bool filter;      // MOVE only further than resolution_m from where it was told of last
	bool payloads;    // PAYLOAD as well
	bool batch;       // few large messages, up to 100 ms late
	uint8_t priority; // as of queries: 0 normal, 1 low, 2 high, 3 critical
	uint16_t frequency_per_minute; // flushes of MOVEs; 0 = no limit
	// events that the engine may send without an acknowledgement; 0 = no limit. A reader that
	// is slower gets the newest state, not all states.
	uint16_t window;
	float resolution_m;
	// Lease; 0 = the engine's default. It is renewed by presence_poll unless `expire`.
	uint32_t lease_ms;
	bool expire;
	// When the engine doesn't know the subscription any more — it was started again, ended, or
	// the lease was over — presence_poll subscribes anew, for as long as it takes: a GAP
	// (PRESENCE_GAP_ANEW) is told, then the snapshot. The fences are kept for it.
	bool resubscribe;
	uint64_t reserved[8];
};

struct presence_watch;

struct presence_watch_event {
	// in the watch's one row, from 1; 0 with what this library says itself. A PAYLOAD takes up
	// to 11 numbers, of which it has the last
	uint64_t sequence;
	uint64_t time_ms; // Unix, the engine's: when it came about
	uint32_t fence;
	uint8_t kind, cause;
	bool snapshot;  // ENTER: was inside when the fence began
	bool corrected; // changes what was told before
	// ENTER, MOVE, LEAVE (its id, and where it was told of last); PAYLOAD: its id alone; else
	// zero
	struct presence_found entity;
	// PAYLOAD: at most PRESENCE_PAYLOAD_MAX bytes, which are gone after the callback; else NULL
	const uint8_t *payload;
	unsigned payload_bytes;
};

// Why a call was refused: `fence` is the index of the one at fault in the caller's array, −1 =
// none.
struct presence_watch_refusal {
	uint8_t code, reason;
	int fence;
};

// Begins a watch: OPEN, then messages of as many fences as fit, each repeated until it is
// acknowledged or the client's attempts are used up. On failure *watch is NULL and what had begun
// is closed. count may be 0. *refusal may be NULL. PRESENCE_BAD_ARGUMENT: PRESENCE_WATCHES_MAX
// exist, or a fence that cannot be said (refusal->fence). The watch is the client's: presence_close
// frees it.
enum presence_result presence_watch_open(struct presence_client *client, const uint8_t *space,
	const struct presence_watch_options *options, const struct presence_fence *fences,
	size_t count, struct presence_watch **watch, struct presence_watch_refusal *refusal);

// Add and remove fences, likewise. A message is taken whole or refused whole: *done (may be NULL)
// is how many fences were taken, from the first on. After PRESENCE_TIMED_OUT nobody knows whether
// the next ones were: the same call with what is left of its array goes on, whichever it was; any
// other is PRESENCE_BAD_ARGUMENT until it has. PRESENCE_WOULD_BLOCK, of these and of
// presence_watch_renew: it is being subscribed anew, poll first.
enum presence_result presence_watch_add(struct presence_watch *watch,
	const struct presence_fence *fences, size_t count, size_t *done,
	struct presence_watch_refusal *refusal);
enum presence_result presence_watch_remove(struct presence_watch *watch, const uint32_t *fences,
	size_t count, size_t *done, struct presence_watch_refusal *refusal);

// Events one by one, for who would rather ask than be called: the next one of this watch, waited
// for at most timeout_ms (0 = not at all; −1 = for ever). Returns 1 with *event, whose payload is
// valid until the next call on the client; 0: none came, a signal did, or the watch has ended; −1
// with errno. The clocks of all of the client's watches are looked after meanwhile; what comes for
// others of them waits in their rows, and what answers submitted requests is left aside: take those
// with presence_poll.
int presence_watch_next(
	struct presence_watch *watch, struct presence_watch_event *event, int timeout_ms);

// Begins the lease anew; 0 = as it was opened.
enum presence_result presence_watch_renew(
	struct presence_watch *watch, uint32_t lease_ms, struct presence_watch_refusal *refusal);

// CLOSE, and frees the watch whatever comes of it. PRESENCE_TIMED_OUT: the engine did not answer,
// its lease will end it. Events that were not handed on are lost.
enum presence_result presence_watch_close(struct presence_watch *watch);

struct presence_watch_status {
	uint32_t id, epoch;
	uint32_t fences;        // that the engine said it has
	uint64_t next_sequence; // of the next event to be handed on
	// events that exist and have not come end below this; = next_sequence: none
	uint64_t missing_before;
	uint32_t held;          // events that wait for one before them
	uint32_t lease_left_ms; // as far as known
	uint32_t silent_ms;     // since the engine said anything of it
	uint32_t unanswered;    // times it has been asked since
	bool ended;
	uint64_t notices, events; // received; handed on
	uint64_t repeated;        // events that came again
	uint64_t beyond;          // events left aside, for they were too far ahead
	uint64_t halves; // payloads, or pieces of some, that were dropped for want of the others
	uint64_t gaps, resumes, acknowledgements, renewals;
	bool opening;  // is being subscribed anew
	uint64_t anew; // times it was
};
struct presence_watch_status presence_watch_status(const struct presence_watch *watch);

// Is this watch told less finely than it asks for? The edge in metres of the coarsest places that
// the engine's policies, or the threshold of the space, publish of what its asker may see, where
// that is more than a radius, half a volume's width, a margin or resolution_m of the watch; else 0.
// It says what is configured, not what is there: whether any such entity exists has no part in it.
// As the engine said last.
float presence_watch_published_m(const struct presence_watch *watch);

const char *presence_event_name(unsigned kind); // "ENTER"; "?" for what is not defined
// "moved"; "" where there is none
const char *presence_told_cause_name(unsigned kind, unsigned cause);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
