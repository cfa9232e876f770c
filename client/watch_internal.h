// A watch as its two files share it: watch.c asks for fences and lives, watch_row.c takes what the
// engine tells and hands it on in order. Threads: the client's.
#pragma once

#include "client/internal.h"
#include "client/watch.h"
#include "wire/subscribe.h"

// of fences and their extensions in a message
#define WATCH_ROOM \
	(PE_WIRE_BYTES_MAX - sizeof(struct pe_wire_header) - sizeof(struct pe_wire_subscribe))

#define WATCH_HELD_WORDS (PRESENCE_WATCH_HELD_MAX / 64)

// Payloads whose pieces have not all come: those of different workers of the engine may come in
// turns.
#define WATCH_HALVES_MAX 32
struct watch_half {
	uint8_t entity_id[16];
	uint64_t time_ms;
	uint32_t fence;
	uint16_t bytes;      // of the whole
	uint8_t piece, used; // piece: the next one
	uint8_t payload[PRESENCE_PAYLOAD_MAX];
};

// A request that the caller waits for.
struct watch_request {
	uint64_t sequence; // its header's, which its answer names; 0 = none
	bool done;
	uint8_t code, reason;
	uint16_t fault; // index of the fence in its message
};

// A fence as the engine took it, to be said again.
struct watch_kept {
	struct pe_wire_fence fence;
	uint8_t extension[]; // fence.query.extension_bytes
};

// Subscribing anew: OPEN with the first fences, then ADD message by message, each sent until it is
// answered.
enum watch_anew { WATCH_STANDING, WATCH_OPENING, WATCH_ADDING };

struct presence_watch {
	struct presence_client *client;
	uint8_t space[16];
	struct pe_wire_subscribe preamble; // of the OPEN: what is repeated in each message
	bool expire, resubscribe;

	// The row: events from `next` on, in rings of PRESENCE_WATCH_HELD_MAX.
	uint64_t next;  // to be handed on
	uint64_t end;   // above the last that is known to exist
	uint64_t acked; // all below were acknowledged
	uint64_t final; // sequence of ENDED; 0 = has not come
	uint64_t held[WATCH_HELD_WORDS];
	struct pe_wire_event row[PRESENCE_WATCH_HELD_MAX];
	uint32_t held_count;
	struct watch_half halves[WATCH_HALVES_MAX];
	unsigned turn; // of them: the next to make room
	bool unknown;  // the engine doesn't know the subscription
	bool ended;    // ENDED was handed on

	struct watch_request request;
	uint32_t message; // last one that was taken
	// The message that nobody knows the fate of, but its header; 0 bytes = none.
	uint32_t doubt_bytes;
	uint8_t doubt[PE_WIRE_BYTES_MAX];

	// Clocks, monotonic µs.
	uint64_t heard_us; // anything
	uint64_t ask_us;   // when to ask for what is missing, or whether anything is
	uint32_t ask_ms;   // the pause behind that
	bool missing;      // what ask_us is for
	uint64_t renew_us; // when to renew the lease; 0 = not known yet
	uint64_t lease_us; // when it ends
	struct presence_watch_status counts;
	float published_m; // as the engine said last

	// watch_anew.c
	struct watch_kept **kept; // with resubscribe: all fences, in the order of their messages
	size_t kept_count, kept_room;
	enum watch_anew anew;
	bool anew_refused;      // for good
	size_t anew_at;         // fences that the engine has taken
	unsigned anew_count;    // that are in the message under way
	uint64_t anew_sequence; // its header's
	uint64_t anew_us;       // when it is sent, for the first time or again
	uint32_t anew_ms;       // the pause behind that
	uint32_t anew_bytes;
	uint8_t anew_message[PE_WIRE_BYTES_MAX];
};

// watch_anew.c. Keeps fences that are about to be asked for, their extensions one behind the other;
// false: no memory, and none is kept.
bool client_watch_keep(struct presence_watch *watch, const struct pe_wire_fence *fences,
	unsigned count, const uint8_t *extensions);
void client_watch_unkeep(struct presence_watch *watch, unsigned count); // the last ones
void client_watch_unkeep_named(
	struct presence_watch *watch, const struct pe_wire_fence_name *names, unsigned count);
// What ended so is to be subscribed anew.
bool client_watch_comes_again(const struct presence_watch *watch, unsigned end_cause);
void client_watch_begin_anew(struct presence_watch *watch);
void client_watch_anew_answered(
	struct presence_watch *watch, const struct pe_wire_subscribed *answer);
void client_watch_anew_turn(struct presence_watch *watch, uint64_t now_us);
// A life of its own, so that what is late of an earlier one is never taken for it.
uint32_t client_watch_epoch(struct presence_client *client);

// watch_row.c, for presence_watch_next: hands on at most `most` events of a watch; how many were.
unsigned client_watch_hand(
	struct presence_watch *watch, const struct presence_events *events, unsigned most);
void client_watch_clocks(struct presence_watch *watch, uint64_t now_us);

// watch_payload.c. The next piece in order. True: its payload is whole, and *whole is it until the
// next call.
bool client_watch_piece(struct presence_watch *watch, const struct pe_wire_event *event,
	const struct watch_half **whole);
// A GAP, or the end.
void client_watch_drop_halves(struct presence_watch *watch);

// A message of the watch's that has no fences; in room for PE_WIRE_BYTES_MAX.
uint32_t client_watch_put(struct presence_watch *watch, uint8_t *buffer, enum pe_subscribe_op op,
	uint64_t from, uint32_t expiration_ms, uint64_t *sequence);
