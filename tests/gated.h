// The harness behind a gate: messages are built by harness.h's helpers, sealed by clients of the
// tests, and go through the gate before the engine sees them; what comes back is kept as it left.
// The dataplane's own sink is played here, with links that are good for a turn, and some that are
// kept.
#pragma once

#include "dataplane/gate.h"
#include "dataplane/gate_internal.h"
#include "harness.h"
#include "unit/guard/client_side.h"

#define GATED_WALL_MS   ((uint64_t)HARNESS_INCARNATION * 1000 + 500000)
#define GATED_LINKS_MAX 64u
#define GATED_CLIENTS   4u // principals in the keyring: 3 at ENCRYPT, 4 without grants

struct gated_reply {
	struct pe_peer to;
	uint32_t bytes;
	uint8_t data[PE_WIRE_BYTES_MAX];
};

struct gated {
	struct harness h; // its engine, its builders and its clock
	struct pe_gate *gate;
	struct pe_gate_config config;
	struct pe_keyring *keyring;
	struct pe_roster *roster;
	struct pe_sink below;
	uint8_t engine_public[32];
	struct pe_seal *seal; // the clients'
	uint64_t connect_sequence;

	unsigned count; // of the next turn's messages
	uint8_t data[PE_BURST_MAX][PE_WIRE_BYTES_MAX + 1];
	struct pe_message messages[PE_BURST_MAX];

	struct gated_reply *replies; // of the last turn, HARNESS_REPLIES_MAX
	unsigned reply_count, reserved;
	bool buffers_refused, links_refused;
	// who answers go to without a session, by their source; 0: nobody that is known
	uint32_t known;
	// kept links: where they lead to; a free one has port 0
	struct pe_peer kept[GATED_LINKS_MAX];
	unsigned kept_count;
};

// level: what the only source demands; peers of gated_peer are trusted where the test says so.
// config may be NULL.
void gated_start(struct gated *g, uint8_t level, const struct pe_engine_config *config);
void gated_stop(struct gated *g);
// A keyring of clients 1 … GATED_CLIENTS, those of the mask `without` left out, in another order
// when `turned`. The caller's.
struct pe_keyring *gated_keyring(struct gated *g, unsigned without, bool turned);

struct pe_peer gated_peer(unsigned host, uint16_t port, bool trusted);
struct client_side gated_client(struct gated *g, uint8_t number);

// Queues bytes for the next turn.
void gated_send(struct gated *g, const void *data, uint32_t bytes, const struct pe_peer *from);
// Takes what the harness's helpers have queued last, seals it for the client with its next
// sequence, and queues it. Returns its bytes; into copy, when not NULL, as it is on the wire.
uint32_t gated_send_sealed(
	struct gated *g, struct client_side *c, const struct pe_peer *from, uint8_t *copy);
// Gate, engine, housekeeping.
void gated_turn(struct gated *g);
// Both rounds, each in a turn of its own; false: no welcome came.
bool gated_open(struct gated *g, struct client_side *c, const struct pe_peer *from, uint8_t level);
// Reply n of the last turn, opened by the client in place; false: it is not sealed for it.
bool gated_opens(struct gated *g, struct client_side *c, unsigned n);
