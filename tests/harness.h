// A single-threaded harness around the engine's façade: it builds messages, runs turns with a clock
// of its own, captures and decodes what comes back, and checks after every turn what must always
// hold — replies are sound, nobody who is not trusted gets more bytes than they sent, buffers are
// given back — and at the end the identities of the counters. Tuned for tests that read as a list
// of steps. Worker 0 runs on the caller's thread; more workers have threads of their own (a thread
// is one RCU reader) and are driven in lock-step, so that only one runs at a time.
#pragma once

#include "engine.h"

#include "wire/decode.h"
#include "wire/details.h"
#include "wire/encode.h"
#include "wire/pack.h"

#include <stdbool.h>
#include <stdint.h>

#define HARNESS_REPLIES_MAX 1024
#define HARNESS_DETAILS_MAX (256u << 10)

struct harness_message {
	uint8_t *data; // on the heap, of exact size, so that a sanitizer sees a read past the end
	uint32_t bytes;
	struct pe_peer peer;
};

struct harness_reply {
	struct pe_peer peer;
	uint32_t bytes;
	uint8_t data[PE_WIRE_BYTES_MAX];
};

struct harness_thread;

struct harness {
	struct pe_engine *engine;
	struct pe_engine_config config;
	unsigned worker_count;
	struct harness_thread *threads; // of workers 1 …
	struct pe_now now;              // set by the test, or by harness_advance

	// What the next turn takes, and what the last one gave.
	struct harness_message queue[PE_BURST_MAX];
	unsigned queue_count;
	struct harness_reply *replies; // HARNESS_REPLIES_MAX
	unsigned reply_count;

	// The sink: no buffer is given while buffers_refused; open reservations now.
	bool buffers_refused;
	unsigned buffers_a_turn; // 0 = as many as are asked for
	unsigned buffers_given;  // in this turn
	unsigned reserved, reserved_most;

	uint64_t sequence;  // of the harness's own packets
	uint16_t port;      // of the next message's peer; the same unless a test changes it
	bool untrusted;     // peers of the next messages
	uint32_t principal; // theirs
	uint8_t network;    // 0, or they come from 198.51.network.1
	bool packed;        // answers to the next queries may come packed
	bool zstd;          // by Zstandard too

	// The sender's own counts: what the engine's must agree with.
	uint64_t sent_packets, sent_records, sent_queries;
};

// What is wrong, and where; prints and aborts unless a test program replaces it. Returning goes on.
extern void (*harness_failed)(const char *what, const char *file, int line);
#define HARNESS_CHECK(condition) \
	((condition) ? (void)0 : harness_failed(#condition, __FILE__, __LINE__))

// Two spaces: 0 CARTESIAN "plane", 1 GEODETIC worldwide "earth"; one worker, 1000 entities, no
// thresholds, ttl 30 s.
struct pe_engine_config harness_config(void);
// Starts an engine and attaches its workers. The monotonic clock begins a little before its low 32
// bits wrap, so that every test that runs for longer crosses that. A failure to start aborts.
void harness_start(struct harness *h, const struct pe_engine_config *config);
// Drains, checks the identities against the sender's counts and each other, detaches and destroys.
void harness_stop(struct harness *h);
// The identities, the entity count and the sender's counts, after a drain.
void harness_check(struct harness *h);

// Queues bytes for the next turn of worker 0, counted as received (by harness_turn_worker for the
// others).
void harness_queue(struct harness *h, const uint8_t *data, uint32_t bytes);
// One turn of a worker with what is queued; forgets earlier replies first.
void harness_turn_worker(struct harness *h, unsigned worker);
void harness_turn(struct harness *h);
// A step of the control thread's work (one grace period at most).
void harness_control(struct harness *h);
// Turns and grace periods until nothing is in flight and no crossing waits; the clock stands still.
// Replies are kept only of the last turn.
void harness_settle(struct harness *h);
// Moves both clocks on and runs a turn without messages on every worker.
void harness_advance(struct harness *h, uint64_t ms);
uint64_t harness_counter(struct harness *h, unsigned counter);
#define HARNESS_COUNTER(h, name) harness_counter(h, PE_COUNTER_##name)
#define HARNESS_REASON(h, name)  harness_counter(h, PE_COUNTER_REASON(PE_REASON_##name))

// ---- messages (harness_messages.c) ----

// The id numbered n (> 0), different in every byte's neighbourhood.
void harness_id(uint8_t id[16], uint64_t n);
uint64_t harness_id_number(const uint8_t id[16]);
// An ACTIVE MOBILE entity, ttl the space's default.
struct pe_wire_update harness_update(uint64_t n, uint32_t sequence, double x, double y, double z);
struct pe_wire_header harness_header(struct harness *h, unsigned space, uint16_t flags);

// Names the packet by its sequence.
struct pe_wire_update_preamble harness_preamble(uint64_t sequence, uint32_t incarnation);

#define HARNESS_INCARNATION \
	1700000000u // what the helpers below send unless told; before the clock's start

struct pe_wire_query harness_sphere(double x, double y, double z, double radius_m);
struct pe_wire_query harness_point(double x, double y, double z);
struct pe_wire_query harness_box(const double a[3], const double b[3]);

// Queue a message of records; returns the packet's sequence.
uint64_t harness_queue_updates(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_update *updates, unsigned count, bool ack);
uint64_t harness_queue_erase(struct harness *h, unsigned space, uint64_t n, uint32_t incarnation);
// Records of wire/details.h, one behind the other.
uint64_t harness_queue_detailed(struct harness *h, unsigned space, uint32_t incarnation,
	const uint8_t *records, uint32_t bytes, unsigned count, bool ack);
uint64_t harness_queue_withdraws(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_withdraw *withdraws, unsigned count, bool ack);
uint64_t harness_queue_queries(
	struct harness *h, unsigned space, const struct pe_wire_query *queries, unsigned count);
// The same with extensions, as long as the queries say.
uint64_t harness_queue_extended(struct harness *h, unsigned space,
	const struct pe_wire_query *queries, unsigned count, const uint8_t *extensions,
	uint32_t extensions_bytes);

// ---- replies (harness_replies.c) ----

// Is the last turn's reply sound? The view of a packed one is of memory that the next call takes.
enum pe_reason harness_check_reply(struct harness *h, unsigned reply, struct pe_wire_view *view);

// The acknowledgement records for a packet among the last turn's replies; returns their number, −1
// without one. *refused: the reason for the whole packet.
int harness_acks(struct harness *h, uint64_t sequence, struct pe_wire_ack_record *records,
	enum pe_reason *refused);

// One record in a packet of its own, one turn of worker 0, its acknowledgement record (all bits set
// without one).
struct pe_wire_ack_record harness_send(struct harness *h, unsigned space, uint32_t incarnation,
	const struct pe_wire_update *update);
struct pe_wire_ack_record harness_send_detailed(
	struct harness *h, unsigned space, uint32_t incarnation, const uint8_t *record);
struct pe_wire_ack_record harness_withdraw(
	struct harness *h, unsigned space, uint32_t incarnation, uint64_t n, uint32_t sequence);

// What answers an ERASE among the last turn's replies (all bits set without one); and one in a
// packet of its own, one turn of worker 0.
struct pe_wire_erased harness_erased(struct harness *h, uint64_t sequence);
struct pe_wire_erased harness_erase(
	struct harness *h, unsigned space, uint64_t n, uint32_t incarnation);

// An answer put together from its numbered parts.
struct harness_answer {
	bool whole; // every part from 0 to the LAST one was there
	uint8_t code, reason;
	bool truncated;
	uint64_t cursor[2];
	unsigned part_count;
	uint16_t form; // PE_ANSWER_SHORT, PE_ANSWER_CELLS or 0, the same in all parts
	uint64_t detail;
	unsigned count; // of results, or of cells
	// of a SHORT answer id, position and whether the height is known
	struct pe_wire_result results[PE_QUERY_RESULTS_MAX];
	struct pe_wire_cell cells[PE_QUERY_RESULTS_MAX];
	// of an answer with details: where each result's begin in `details`
	uint32_t details_at[PE_QUERY_RESULTS_MAX];
	uint32_t details_bytes;
	uint8_t details[HARNESS_DETAILS_MAX];
};

// Gathers the answer to a query among the last turn's replies.
void harness_answer(
	struct harness *h, uint64_t sequence, uint32_t query_id, struct harness_answer *answer);
// Asks one query in a packet of its own; one turn of the worker.
void harness_ask(struct harness *h, unsigned worker, unsigned space,
	const struct pe_wire_query *query, struct harness_answer *answer);
// The same with an extension of so many bytes; 0 = none. Its flag and length are the harness's.
void harness_ask_extended(struct harness *h, unsigned worker, unsigned space,
	const struct pe_wire_query *query, const uint8_t *extension, uint32_t extension_bytes,
	struct harness_answer *answer);
// Asks why an entity is or isn't in a query's answer; one turn of the worker. False: no explanation
// came.
bool harness_explain(struct harness *h, unsigned worker, unsigned space, const uint8_t id[16],
	const struct pe_wire_query *query, const uint8_t *extension, uint32_t extension_bytes,
	struct pe_wire_explanation *explanation);
// Results of a query for everything near (a sphere) that name n: 0 or 1, more when it is met twice.
// *result may be NULL.
unsigned harness_sees(struct harness *h, unsigned worker, unsigned space, uint64_t n,
	const struct pe_wire_query *query, struct pe_wire_result *result);
