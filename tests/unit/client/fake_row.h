// An engine's side of standing queries over a transport that is no network: a row of events that
// the test writes, notices of them that get lost, repeated and out of order by a seed, and answers
// to what the client asks. It knows the wire and nothing of the client. One thread: everything
// happens inside of the client's calls.
#pragma once

#include "client/transport.h"
#include "wire/subscribe.h"

#include <stdbool.h>

#define FAKE_ROW_MAX   8192
#define FAKE_QUEUE_MAX 4096
#define FAKE_LOG_MAX   256

struct fake_request {
	struct pe_wire_header header;
	struct pe_wire_subscribe preamble;
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes;
};

struct fake_row {
	// how the way is, in percent; a message that is late comes behind up to 8 others
	unsigned lose, repeat, late;
	uint64_t random;
	// what the engine does
	unsigned ignore;     // requests that are taken without an answer
	unsigned busy;       // requests that are told to come again
	unsigned retained;   // events that can be sent again; 0 = all
	unsigned notice_max; // events a notice; 0 = 16
	uint8_t refuse_op;   // this one is refused, from the second on with refuse_later
	bool refuse_later;
	uint8_t refuse_reason; // enum pe_reason
	uint16_t refuse_fault;
	bool unknown; // no subscription is known
	bool deaf;    // nothing is taken
	uint32_t lease_ms;
	float published_m; // told with what is taken
	// what it has been told
	struct fake_request log[FAKE_LOG_MAX]; // the first ones
	unsigned log_count, malformed, resumes, acknowledges, renews, closes;
	unsigned adds; // messages that were not taken before
	uint32_t message, fences;
	uint64_t acknowledged;
	// its row; event i has the number i + 1
	struct pe_wire_event row[FAKE_ROW_MAX];
	unsigned count;
	unsigned told;                // that were sent for the first time
	struct pe_wire_header header; // of the OPEN
	struct pe_wire_subscribe open;
	// the way to the client
	struct {
		uint32_t bytes;
		uint8_t data[PE_WIRE_BYTES_MAX];
	} queue[FAKE_QUEUE_MAX];
	unsigned first, queued;
};

extern const struct presence_transport fake_transport;

// Puts an event into the row, and tells nobody yet.
void fake_event(
	struct fake_row *fake, uint8_t kind, uint8_t cause, uint32_t fence, unsigned entity);
// Forgets everything but how the way is: the subscription, its row, what was on the way.
void fake_restart(struct fake_row *fake);
// Sends what was not told yet.
void fake_tell(struct fake_row *fake);
// Sends events from number `from` on, `count` of them, in one notice, whatever the way.
void fake_notice(struct fake_row *fake, uint64_t from, unsigned count);
// A message as it is.
void fake_send(struct fake_row *fake, const uint8_t *data, uint32_t bytes);
