// Standing queries over the harness: messages to a subscription, and a subscriber that keeps the
// set of members and checks what must hold of every row of events: numbers without holes, ENTER and
// LEAVE in turns, MOVE only between them.
#pragma once

#include "harness.h"

#include "wire/subscribe.h"

#define WATCHING_EVENTS_MAX 65536

struct watching {
	struct harness *h;
	unsigned worker, space;
	uint16_t port;
	struct pe_wire_subscribe subscribe; // the OPEN; its id and epoch name the rest
	uint32_t message;
	// the last acknowledgement; `answered` counts them
	struct pe_wire_subscribed done;
	unsigned answered;
	// what was received in order
	uint64_t next;
	struct pe_wire_event *events; // since watching_clear
	unsigned count;
	bool void_set;     // a GAP came; forgets all
	bool ended, whole; // ENDED, SNAPSHOT_END since the last OPEN, ADD or GAP
	unsigned ended_cause, gaps;
	unsigned missed; // events that did not follow
	uint64_t *lose;  // NULL, or random numbers: notices are lost, and taken in another order
	// members: pairs (fence << 32 ^ entity's number)
	uint64_t *members;
	unsigned member_count;
};

void watching_init(struct watching *s, struct harness *h, unsigned space, uint32_t id);
void watching_free(struct watching *s);
// Queue a message of `op`; fences may be NULL. Fields of the OPEN are s->subscribe's.
void watching_send(struct watching *s, unsigned op, const struct pe_wire_fence *fences,
	unsigned count, const uint8_t *extensions, uint32_t bytes);
void watching_remove(struct watching *s, const uint32_t *ids, unsigned count);
void watching_sequence(struct watching *s, unsigned op, uint64_t sequence);
// What is for this subscriber among the last turn's replies.
void watching_take(struct watching *s);
// Why entity n is or isn't in a fence, as `worker` knows; one turn of it. False: no explanation
// came.
bool watching_explain(struct watching *s, unsigned worker, uint32_t fence_id, uint64_t n,
	struct pe_wire_explanation *explanation);
// The two halves of it: the question, whose sequence is returned, and what is among the last turn's
// replies.
uint64_t watching_ask(struct watching *s, uint32_t fence_id, uint64_t n);
bool watching_told(struct watching *s, uint64_t sequence, struct pe_wire_explanation *explanation);
// Turns of all workers and of the control thread, each worker's replies taken.
void watching_run(struct watching *s, unsigned turns);
bool watching_is_member(const struct watching *s, uint32_t fence_id, uint64_t n);
static inline void watching_clear(struct watching *s)
{
	s->count = 0;
}
struct pe_wire_fence watching_sphere(uint32_t id, double x, double y, double z, double radius_m);
