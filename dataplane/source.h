// A source: where messages come from and answers go. Every kind gives bursts of the same
// `pe_message`, so that the rest does not know whether a message came from a socket or a NIC. Tuned
// for bursts of up to PE_BURST_MAX and for one indirect call a burst and an answer.
//
// Threads: open, close and report are the main thread's, before the workers start, after they have
// ended and, report, at any time. The others are worker w's alone for its index w: a source keeps
// its state apart by worker. Counting: a source counts rx_packets and rx_bytes and every outcome
// that it decides itself (engine/base/ reasons.h, the first block, and `length` for what is longer
// than any message); what it hands out as a message is for the engine to count. Sent messages are
// the engine's to count, tx_dropped is the source's.
#pragma once

#include "config.h"

struct pe_source;

struct pe_source_ops {
	// Up to max messages, the worker's alone until release: what is sealed is opened in place.
	// Their peers' links have bit 30 clear, which is the gate's (gate.h); and so have those
	// that keep gives. *seen = packets taken, messages or not. Not fresh: nothing from outside,
	// only what another worker has handed over.
	unsigned (*receive)(struct pe_source *source, unsigned worker, bool fresh,
		struct pe_message *messages, unsigned max, unsigned *seen,
		struct pe_counters *counters);
	// The messages of the last receive have been read.
	void (*release)(struct pe_source *source, unsigned worker);
	// As in struct pe_sink. An answer is committed before the release of the message it
	// answers.
	uint8_t *(*reserve)(struct pe_source *source, unsigned worker, const struct pe_peer *peer);
	void (*commit)(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
		uint8_t *data, uint32_t bytes, struct pe_counters *counters);
	// As in struct pe_sink; NULL: links are good for ever.
	uint32_t (*keep)(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
		uint32_t kept);
	void (*drop)(struct pe_source *source, unsigned worker, const struct pe_peer *peer);
	// What was committed leaves now.
	void (*flush)(struct pe_source *source, unsigned worker, struct pe_counters *counters);
	// Whether receive may have something, by a look that costs next to nothing; *looks grows by
	// how many places were looked at.
	// NULL: only receive tells.
	bool (*waiting)(const struct pe_source *source, unsigned worker, unsigned *looks);
	// Readable when something may be received; −1 = only polling tells.
	int (*wait_fd)(const struct pe_source *source, unsigned worker);
	// The next of those who have gone and whom nothing reaches any more; false: nobody. NULL:
	// nobody is seen to go.
	bool (*departed)(struct pe_source *source, unsigned worker, struct pe_peer *peer);
	// Main thread: other users of this machine may be known (config->users). NULL: it asks for
	// nobody.
	void (*users_changed)(struct pe_source *source);
	// Adds numbers of the layer below (kernel drops, NIC misses) by calling add for each. Any
	// thread.
	void (*report)(const struct pe_source *source,
		void (*add)(void *context, const char *name, uint64_t value), void *context);
	void (*close)(struct pe_source *source);
};

struct pe_source {
	const struct pe_source_ops *ops;
	const struct pe_config *config;
	const struct pe_source_config *own;
	uint8_t number;  // pe_peer.source
	char where[256]; // "127.0.0.1:10202": for the ready line
	bool beyond_loopback;
};

// error->status: PE_IO with errno's meaning in the text. On success *source is the caller's to
// close.
[[nodiscard]] enum pe_status pe_socket_open(const struct pe_config *config, unsigned number,
	struct pe_source **source, struct pe_error *error);
[[nodiscard]] enum pe_status pe_ring_open(const struct pe_config *config, unsigned number,
	struct pe_source **source, struct pe_error *error);
[[nodiscard]] enum pe_status pe_ethdev_open(const struct pe_config *config, unsigned number,
	struct pe_source **source, struct pe_error *error);
