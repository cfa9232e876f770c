// The door: what may come in and go out, before the engine has any work with it. Token buckets hold
// updates, questions and bytes sent to what the configuration allows — by network of unknown
// sources (IPv4 /24, IPv6 /56), by principal, and in all — and under load the lower classes of
// questions are turned away first. What is malformed passes: the engine refuses it at the same
// price.
//
// A burst is looked at once, in place: a message costs reading its type and count, and one or two
// buckets. Networks have their buckets in a bounded table of each worker's own, so that one whose
// packets reach several workers has its rate at each; principals and totals have theirs in common.
//
// Threads: create and destroy at start and end; the rest is worker w's for its number w.
#pragma once

#include "engine.h"

struct pe_door_budget { // a second; 0 = no limit
	double updates; // records of updates and withdrawals
	// questions, explanations, subscribe messages, pings and requests for counters
	double queries;
	double bytes_out; // of messages
};

struct pe_door_config {
	// of a network whose sources are neither trusted nor anyone that is known
	struct pe_door_budget source;
	struct pe_door_budget principal;
	// Half of it, as it fills up, is never a stranger's: those that are trusted or known come
	// before the others
	struct pe_door_budget total;
	double burst_s;        // seconds' worth that may come at once; 0 = 1
	uint32_t network_sets; // of four networks each, a power of two; 0 = 4,096
	bool sheds;            // pe_door_shed may be called
};

// More messages than this are never refused for want of tokens alone: the largest one has room in
// every bucket.
#define PE_DOOR_RECORDS_MIN 64
#define PE_DOOR_BYTES_MIN   (16 * PE_WIRE_BYTES_MAX)
// Refusals that are told a second and worker, so that telling is no work of its own.
#define PE_DOOR_REPLIES 1000

struct pe_door_refused {
	struct pe_message message;
	enum pe_reason reason;
	bool reply; // the sender is to be told
};

struct pe_door;

// Is there anything to do for a door?
bool pe_door_wanted(const struct pe_door_config *config);
// PE_RANGE: a rate that buckets cannot hold; PE_NO_MEMORY.
[[nodiscard]] enum pe_status pe_door_create(
	const struct pe_door_config *config, unsigned worker_count, struct pe_door **door);
void pe_door_destroy(struct pe_door *door);

// Takes out of a burst what is refused, in order; returns how many messages remain, in front.
// refused: room for `count`; *refused_count of them are filled in. peer.principal and peer.trusted
// are final by then.
unsigned pe_door_admit(struct pe_door *door, unsigned worker, struct pe_message *messages,
	unsigned count, uint64_t mono_ms, struct pe_door_refused *refused, unsigned *refused_count);

// May a message to this peer be begun? Those that were admitted may run into debt, but not without
// end.
bool pe_door_may_send(
	struct pe_door *door, unsigned worker, const struct pe_peer *peer, uint64_t mono_ms);
// So many bytes are sent to it.
void pe_door_sent(struct pe_door *door, unsigned worker, const struct pe_peer *peer, uint32_t bytes,
	uint64_t mono_ms);

// How many classes of questions are turned away from now on: LOW, NORMAL, HIGH. CRITICAL ones never
// are, nor pings and requests for counters; explanations and subscribe messages are NORMAL, and so
// is what a stranger asks at best.
#define PE_DOOR_SHED_MAX 3
void pe_door_shed(struct pe_door *door, unsigned worker, unsigned classes);
