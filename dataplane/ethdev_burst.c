#include "ethdev.h"
#include "base/prefetch.h"
#include "guard/unseal.h"

#include <rte_ethdev.h>

// a port that still takes nothing loses what is left: it must not stop the worker
#define TX_TRIES 4
// How far ahead frames of a burst are asked for, and their buffers twice as far; and how many lines
// of each: to the end of a message of one record, behind which the processor goes on by itself.
#define FRAMES_AHEAD      8u
#define FRAME_LINES_AHEAD 4u
// of an answer, when it is begun
#define ANSWER_LINES_AHEAD 12u

static struct pe_ethdev *ethdev_of(struct pe_source *source)
{
	return (struct pe_ethdev *)source;
}

static struct pe_net_packet *packet_of(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

// Answers to requests are messages and counted; link replies are not.
static void drop_unsent(struct rte_mbuf **frames, unsigned count, struct pe_counters *counters)
{
	unsigned messages = 0;

	for (unsigned i = 0; i < count; i++)
		messages += packet_of(frames[i])->verdict == PE_NET_MESSAGE;
	rte_pktmbuf_free_bulk(frames, count);
	if (messages)
		pe_count(counters, PE_COUNTER_tx_dropped, messages);
}

static void transmit(struct pe_ethdev *e, unsigned worker, struct rte_mbuf **frames, unsigned count,
	struct pe_counters *counters)
{
	unsigned sent = 0;

	if (worker >= e->tx_queues) {
		sent = rte_ring_mp_enqueue_burst(e->handed, (void **)frames, count, NULL);
	} else {
		for (unsigned try = 0; try < TX_TRIES && sent < count; try++)
			sent += rte_eth_tx_burst(e->port_id, (uint16_t)worker, frames + sent,
				(uint16_t)(count - sent));
	}
	if (sent < count)
		drop_unsent(frames + sent, count - sent, counters);
}

static void queue_frame(
	struct pe_ethdev *e, unsigned worker, struct rte_mbuf *frame, struct pe_counters *counters)
{
	struct pe_ethdev_lane *lane = &e->lanes[worker];

	lane->tx[lane->tx_count++] = frame;
	if (lane->tx_count == PE_ETHDEV_TX_BURST) {
		transmit(e, worker, lane->tx, lane->tx_count, counters);
		lane->tx_count = 0;
	}
}

void pe_ethdev_flush(struct pe_source *source, unsigned worker, struct pe_counters *counters)
{
	struct pe_ethdev *e = ethdev_of(source);
	struct pe_ethdev_lane *lane = &e->lanes[worker];
	struct rte_mbuf *handed[PE_ETHDEV_TX_BURST];
	unsigned count;

	if (lane->tx_count)
		transmit(e, worker, lane->tx, lane->tx_count, counters);
	lane->tx_count = 0;
	if (!e->handed || worker != 0)
		return;
	count = rte_ring_sc_dequeue_burst(e->handed, (void **)handed, PE_ETHDEV_TX_BURST, NULL);
	if (count)
		transmit(e, 0, handed, count, counters);
}

// A tag that the device took off the request goes back on in front of the reply. Takes *frame away
// on failure.
static bool put_tag(uint16_t tci, uint64_t request_flags, struct rte_mbuf **frame)
{
	if (!(request_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
		return true;
	(*frame)->vlan_tci = tci;
	if (rte_vlan_insert(frame) == 0)
		return true;
	rte_pktmbuf_free(*frame);
	return false;
}

// The reply is written over the request.
static void answer_link(
	struct pe_ethdev *e, unsigned worker, struct rte_mbuf *m, struct pe_counters *counters)
{
	uint64_t flags = m->ol_flags;
	uint32_t room = (uint32_t)m->data_len + rte_pktmbuf_tailroom(m);
	uint32_t bytes =
		pe_net_answer(&e->local, packet_of(m), rte_pktmbuf_mtod(m, uint8_t *), room);

	if (bytes == 0) {
		rte_pktmbuf_free(m);
		return;
	}
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	m->ol_flags = 0;
	if (put_tag(m->vlan_tci, flags, &m))
		queue_frame(e, worker, m, counters);
}

static unsigned done_by_device(const struct rte_mbuf *m)
{
	unsigned done = 0;

	if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		done |= PE_NET_IP_VERIFIED;
	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		done |= PE_NET_UDP_VERIFIED;
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)
		done |= PE_NET_TAG_STRIPPED;
	return done;
}

// What the frame is, after the port's own rules: who may send, how long a message may be.
static void read_frame(const struct pe_ethdev *e, struct rte_mbuf *m)
{
	const struct pe_config *config = e->source.config;
	struct pe_net_packet *p = packet_of(m);

	pe_net_parse(&e->local, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len,
		done_by_device(m), m->vlan_tci, p);
	if (m->nb_segs != 1 && p->verdict != PE_NET_REFUSED) { // longer than the MTU we asked for
		p->verdict = PE_NET_REFUSED;
		p->reason = PE_REASON_ip_header;
	}
	if (p->verdict != PE_NET_MESSAGE)
		return;
	if (!pe_prefixes_hold(config->admitted, config->admitted_count, p->peer_address)) {
		p->verdict = PE_NET_REFUSED;
		p->reason = PE_REASON_source_denied;
	} else if (p->payload_bytes > PE_WIRE_BYTES_MAX) {
		p->verdict = PE_NET_REFUSED;
		p->reason = PE_REASON_length;
	}
}

static void hold(
	struct pe_ethdev *e, unsigned worker, struct rte_mbuf *m, struct pe_message *message)
{
	const struct pe_config *config = e->source.config;
	struct pe_ethdev_lane *lane = &e->lanes[worker];
	const struct pe_net_packet *p = packet_of(m);

	*message = (struct pe_message){
		.data = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->payload_offset),
		.bytes = p->payload_bytes,
		.peer = {.port = p->peer_port,
			.source = e->source.number,
			.link = lane->held_count},
	};
	memcpy(message->peer.address, p->peer_address, 16);
	message->peer.trusted =
		pe_prefixes_hold(config->trusted, config->trusted_count, p->peer_address);
	lane->held[lane->held_count++] = m;
}

// The worker of a sealed message's session, wherever it comes from now.
static unsigned steer_session(const struct pe_ethdev *e, struct rte_mbuf *m, unsigned by_sender)
{
	const struct pe_net_packet *p = packet_of(m);
	const uint8_t *message = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->payload_offset);
	uint64_t session_id;

	if (!pe_is_sealed(message, p->payload_bytes))
		return by_sender;
	memcpy(&session_id, message + offsetof(struct pe_wire_header, session_id),
		sizeof session_id);
	return pe_session_worker(session_id) < e->lane_count ? pe_session_worker(session_id) :
							       by_sender;
}

// What strangers may not take is for those that are trusted, and for messages that name a session.
static bool has_room(const struct pe_ethdev *e, const struct rte_ring *ring, struct rte_mbuf *m)
{
	const struct pe_config *config = e->source.config;
	const struct pe_net_packet *p = packet_of(m);

	return !e->strangers || rte_ring_free_count(ring) > rte_ring_get_capacity(ring) / 2 ||
		pe_prefixes_hold(config->trusted, config->trusted_count, p->peer_address) ||
		(e->sessions &&
			pe_is_sealed(rte_pktmbuf_mtod_offset(m, const uint8_t *, p->payload_offset),
				p->payload_bytes));
}

// One of worker 0's messages when others have no queue. True: it is ours.
static bool steer(struct pe_ethdev *e, struct rte_mbuf *m, struct pe_counters *counters)
{
	unsigned to = e->rx_queues < e->lane_count ?
		pe_net_steer(packet_of(m), e->steer_seed) % e->lane_count :
		0;

	if (e->sessions && e->rx_queues < e->lane_count)
		to = steer_session(e, m, to);
	if (to == 0)
		return true;
	if (!has_room(e, e->lanes[to].steered, m) ||
		rte_ring_sp_enqueue(e->lanes[to].steered, m) != 0) {
		rte_pktmbuf_free(m);
		pe_count_reason(counters, PE_REASON_steer_full, 1);
	}
	return false;
}

// Lines of a buffer that are read or written when its frame is looked at, and when it is given
// back.
static void ask_for_buffer(struct rte_mbuf *m)
{
	pe_prefetch_lines(m, 2);
	pe_prefetch(packet_of(m));
}

static void ask_for_frame(const struct rte_mbuf *m)
{
	const char *frame = rte_pktmbuf_mtod(m, const char *);

	pe_prefetch_lines(frame, FRAME_LINES_AHEAD);
}

static unsigned sort_frames(struct pe_ethdev *e, unsigned worker, struct rte_mbuf **frames,
	unsigned count, struct pe_message *messages, struct pe_counters *counters)
{
	unsigned taken = 0, link = 0;
	uint64_t bytes = 0;
	bool all_queues = e->rx_queues == e->lane_count;

	for (unsigned i = 0; i < count && i < 2 * FRAMES_AHEAD; i++)
		ask_for_buffer(frames[i]);
	for (unsigned i = 0; i < count && i < FRAMES_AHEAD; i++)
		ask_for_frame(frames[i]);
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = frames[i];
		const struct pe_net_packet *p = packet_of(m);

		if (i + 2 * FRAMES_AHEAD < count)
			ask_for_buffer(frames[i + 2 * FRAMES_AHEAD]);
		if (i + FRAMES_AHEAD < count)
			ask_for_frame(frames[i + FRAMES_AHEAD]);
		bytes += m->pkt_len;
		read_frame(e, m);
		switch (p->verdict) {
		case PE_NET_MESSAGE:
			if (all_queues || steer(e, m, counters))
				hold(e, worker, m, &messages[taken++]);
			break;
		case PE_NET_ANSWER:
			link++;
			answer_link(e, worker, m, counters);
			break;
		case PE_NET_SILENT:
			link++;
			rte_pktmbuf_free(m);
			break;
		default:
			pe_count_reason(counters, p->reason, 1);
			rte_pktmbuf_free(m);
		}
	}
	pe_count(counters, PE_COUNTER_rx_packets, count);
	pe_count(counters, PE_COUNTER_rx_bytes, bytes);
	if (link)
		pe_count(counters, PE_COUNTER_carried_link, link);
	return taken;
}

static void note(_Atomic uint64_t *frames, unsigned count)
{
	atomic_store_explicit(frames, atomic_load_explicit(frames, memory_order_relaxed) + count,
		memory_order_relaxed);
}

// Those that are known come first, but for a quarter; and then what either of them leaves.
// Vectorised drivers give frames by fours, so parts are such numbers.
static unsigned take_shares(
	struct pe_ethdev *e, unsigned worker, struct rte_mbuf **frames, unsigned max)
{
	uint16_t known = (uint16_t)(e->rx_queues + worker), other = (uint16_t)worker;
	uint16_t other_part = (uint16_t)(max >= 16 ? max / 4 & ~3u : max / 4),
		 known_part = (uint16_t)(max - other_part);
	struct pe_ethdev_lane *lane = &e->lanes[worker];
	unsigned of_known = rte_eth_rx_burst(e->port_id, known, frames, known_part), of_other, more;
	unsigned count = of_known;

	count += of_other = rte_eth_rx_burst(e->port_id, other, frames + count, other_part);
	if (of_known == known_part && count < max) {
		more = rte_eth_rx_burst(e->port_id, known, frames + count, (uint16_t)(max - count));
		of_known += more;
		count += more;
	}
	if (of_other == other_part && count < max) {
		more = rte_eth_rx_burst(e->port_id, other, frames + count, (uint16_t)(max - count));
		of_other += more;
		count += more;
	}
	note(&lane->known_frames, of_known);
	note(&lane->other_frames, of_other);
	return count;
}

static unsigned take(struct pe_ethdev *e, unsigned worker, struct rte_mbuf **frames, unsigned max)
{
	return e->class_count > 1 ?
		take_shares(e, worker, frames, max) :
		rte_eth_rx_burst(e->port_id, (uint16_t)worker, frames, (uint16_t)max);
}

unsigned pe_ethdev_receive(struct pe_source *source, unsigned worker, bool fresh,
	struct pe_message *messages, unsigned max, unsigned *seen, struct pe_counters *counters)
{
	struct pe_ethdev *e = ethdev_of(source);
	struct pe_ethdev_lane *lane = &e->lanes[worker];
	struct rte_mbuf *frames[PE_BURST_MAX];
	unsigned count;

	if (lane->steered) {
		count = rte_ring_sc_dequeue_burst(lane->steered, (void **)frames, max, NULL);
		for (unsigned i = 0; i < count; i++)
			hold(e, worker, frames[i], &messages[i]);
		*seen = count;
		return count;
	}
	count = fresh ? take(e, worker, frames, max) : 0;
	*seen = count;
	return count ? sort_frames(e, worker, frames, count, messages, counters) : 0;
}

void pe_ethdev_release(struct pe_source *source, unsigned worker)
{
	struct pe_ethdev_lane *lane = &ethdev_of(source)->lanes[worker];

	if (lane->held_count)
		rte_pktmbuf_free_bulk(lane->held, lane->held_count);
	lane->held_count = 0;
}

// An answer is about to be written there: the lines of its first results, while its head is made.
static uint8_t *ask_for_answer(uint8_t *payload)
{
#pragma GCC unroll 12
	for (unsigned line = 0; line < ANSWER_LINES_AHEAD; line++)
		pe_prefetch_own(payload + line * RTE_CACHE_LINE_MIN_SIZE);
	return payload;
}

uint8_t *pe_ethdev_reserve(struct pe_source *source, unsigned worker, const struct pe_peer *peer)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(ethdev_of(source)->lanes[worker].pool);

	return m ? ask_for_answer(rte_pktmbuf_mtod(m, uint8_t *)) : NULL;
}

void pe_ethdev_commit(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
	uint8_t *data, uint32_t bytes, struct pe_counters *counters)
{
	struct pe_ethdev *e = ethdev_of(source);
	struct pe_ethdev_lane *lane = &e->lanes[worker];
	// As rte_pktmbuf_init lays a buffer out: header, private area, headroom, data.
	struct rte_mbuf *m =
		(struct rte_mbuf *)(data - RTE_PKTMBUF_HEADROOM - PE_ETHDEV_PRIVATE - sizeof *m);
	const struct pe_net_packet *p;
	const uint8_t *frame;
	uint64_t flags;
	uint16_t tag;
	bool later;
	uint32_t headers;

	assert(m->pool == lane->pool);
	if (bytes == 0) {
		rte_pktmbuf_free(m);
		return;
	}
	if (peer->link & PE_ETHDEV_KEPT) {
		const struct pe_ethdev_route *r = &lane->routes[peer->link & ~PE_ETHDEV_KEPT];

		p = &r->packet;
		frame = r->head;
		flags = r->flags;
		tag = r->tag;
	} else {
		struct rte_mbuf *request;

		assert(peer->link < lane->held_count); // an answer leaves in its request's turn
		request = lane->held[peer->link];
		p = packet_of(request);
		frame = rte_pktmbuf_mtod(request, const uint8_t *);
		flags = request->ol_flags;
		tag = request->vlan_tci;
	}
	later = e->tx_checksums && !(flags & RTE_MBUF_F_RX_VLAN_STRIPPED);
	headers = pe_net_prepend(&e->local, p, frame, data, bytes, later);
	m->data_off = (uint16_t)(m->data_off - headers);
	m->data_len = (uint16_t)(headers + bytes);
	m->pkt_len = headers + bytes;
	if (later) {
		m->l2_len = p->l3_offset;
		m->l3_len = p->v6 ? 40 : 20;
		m->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM |
			(p->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
	}
	packet_of(m)->verdict = PE_NET_MESSAGE;
	if (put_tag(tag, flags, &m))
		queue_frame(e, worker, m, counters);
	else
		pe_count(counters, PE_COUNTER_tx_dropped, 1);
}

uint32_t pe_ethdev_keep(
	struct pe_source *source, unsigned worker, const struct pe_peer *peer, uint32_t kept)
{
	struct pe_ethdev_lane *lane = &ethdev_of(source)->lanes[worker];
	const struct rte_mbuf *m = lane->held[peer->link];
	const struct pe_net_packet *p = packet_of((struct rte_mbuf *)m);
	struct pe_ethdev_route *r;
	uint32_t n = kept & ~PE_ETHDEV_KEPT;

	assert(!(peer->link & PE_ETHDEV_KEPT) && peer->link < lane->held_count);
	if (kept == PE_LINK_NONE)
		for (n = 0; n < lane->route_count && lane->routes[n].packet.payload_offset; n++)
			;
	if (n >= lane->route_count || p->payload_offset > sizeof r->head)
		return kept;
	r = &lane->routes[n];
	r->packet = *p;
	r->flags = m->ol_flags;
	r->tag = m->vlan_tci;
	memcpy(r->head, rte_pktmbuf_mtod(m, const uint8_t *), p->payload_offset);
	return n | PE_ETHDEV_KEPT;
}

void pe_ethdev_drop(struct pe_source *source, unsigned worker, const struct pe_peer *peer)
{
	struct pe_ethdev_lane *lane = &ethdev_of(source)->lanes[worker];

	lane->routes[peer->link & ~PE_ETHDEV_KEPT].packet.payload_offset = 0;
}
