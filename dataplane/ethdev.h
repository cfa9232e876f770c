// The ethdev source: any port that DPDK has, one receive queue a worker where the port spreads
// packets itself (RSS), one queue and hand-over rings where it does not. Between ethdev.c, which
// makes the port ready and reports on it (main thread), and ethdev_burst.c, which moves the packets
// (workers).
//
// Hand-over, when the port has fewer queues than there are workers:
//   receive  worker 0 takes everything and passes on by a hash of the sender, or by the session of
//            a sealed message, one ring a worker, single producer and single consumer; full =
//            dropped as steer_full. Strangers, where any are admitted, fill half of it
//   send     workers without a queue pass their frames to worker 0, one ring, many producers and
//            one consumer; full = tx_dropped
//
// Where the driver takes flow rules a worker that has a receive queue has two: one for those that
// are known and one for the rest (port_steer.h). Every burst has a part for either, and what one of
// them leaves the other has.
#pragma once

#include "net.h"
#include "port_steer.h"
#include "source.h"

#include <rte_mbuf.h>
#include <rte_ring.h>

#define PE_ETHDEV_PRIVATE  RTE_ALIGN(sizeof(struct pe_net_packet), RTE_MBUF_PRIV_ALIGN)
#define PE_ETHDEV_TX_BURST 64

#define PE_ETHDEV_KEPT 0x80000000u // in pe_peer.link: a route's index

// What of a request's frame answers are made from, for those in later turns.
struct pe_ethdev_route {
	struct pe_net_packet packet; // a free one: payload_offset 0
	uint64_t flags;
	uint16_t tag;
	uint8_t head[PE_NET_HEADERS_MAX + 64]; // of the frame, up to the payload
};

struct pe_ethdev_lane {           // worker w's alone, but for the rings' other ends
	struct rte_mempool *pool; // what its queue receives into and its answers are written in
	struct rte_ring *steered; // worker 0 → this one; NULL: it has a receive queue
	// frames taken from either queue. Written: the worker, relaxed; read: any thread
	_Atomic uint64_t known_frames, other_frames;
	uint16_t held_count, tx_count;
	struct rte_mbuf *held[PE_BURST_MAX]; // the requests of this turn; pe_peer.link is the index
	struct rte_mbuf *tx[PE_ETHDEV_TX_BURST];
	uint32_t route_count;
	struct pe_ethdev_route *routes; // NULL: none are kept
} __rte_cache_aligned;

struct pe_ethdev {
	struct pe_source source;
	// immutable while workers run
	uint16_t port_id;
	bool started, tx_checksums;
	bool sessions;  // sealed messages are passed on by their session's worker
	bool strangers; // some of who is admitted is not trusted
	// Workers with receive queues are the first rx_queues; with two classes worker w's are w
	// and, for the known, rx_queues + w.
	unsigned rx_queues, tx_queues, lane_count, class_count;
	uint32_t steer_seed;
	struct pe_net_local local;
	struct pe_port_steer *steer; // NULL: there are no rules
	// frames to be sent by worker 0; NULL: every worker has a send queue
	struct rte_ring *handed;
	struct pe_ethdev_lane lanes[PE_WORKERS_MAX];
};

unsigned pe_ethdev_receive(struct pe_source *source, unsigned worker, bool fresh,
	struct pe_message *messages, unsigned max, unsigned *seen, struct pe_counters *counters);
void pe_ethdev_release(struct pe_source *source, unsigned worker);
uint8_t *pe_ethdev_reserve(struct pe_source *source, unsigned worker, const struct pe_peer *peer);
void pe_ethdev_commit(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
	uint8_t *data, uint32_t bytes, struct pe_counters *counters);
uint32_t pe_ethdev_keep(
	struct pe_source *source, unsigned worker, const struct pe_peer *peer, uint32_t kept);
void pe_ethdev_drop(struct pe_source *source, unsigned worker, const struct pe_peer *peer);
void pe_ethdev_flush(struct pe_source *source, unsigned worker, struct pe_counters *counters);
