// What a source does when something runs out under it, with DPDK's own software ports and no huge
// page: no packet buffer to receive into or to answer with, a full ring towards another worker, a
// port and a kernel that take nothing to send. The test stands where the worker's loop does, one
// turn at a time, and takes the buffers away itself, so that each count is exact.
#include "dataplane/eal.h"
#include "dataplane/ethdev.h"
#include "dataplane/worker.h"
#include "tests/testing.h"
#include "wire/decode.h"
#include "wire/encode.h"
#include "wire/subscribe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <rte_bus_vdev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_launch.h>
#include <rte_udp.h>
#include <string.h>
#include <unistd.h>

#define PORT          10202
#define INCARNATION   1700000000u
#define WALL_MS       (INCARNATION * UINT64_C(1000) + 60000)
#define FRAME_HEADERS 42
#define FRAME_MAX     1514
#define HELD_MAX      8192
#define FRAMES_MAX    4096

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, host_mac[6] = {2, 0, 0, 0, 0, 2};

// ---- messages and frames ----

static uint64_t sequence;

static struct pe_wire_header header_of(uint16_t flags)
{
	return (struct pe_wire_header){
		.flags = flags, .sequence = ++sequence, .timestamp_ms = WALL_MS};
}

static uint32_t put_ping(uint8_t *data)
{
	struct pe_wire_header h = header_of(0);
	struct pe_wire_ping ping = {{h.sequence, 7}};

	return pe_wire_put_ping(data, PE_WIRE_BYTES_MAX, &h, &ping);
}

// Entity n at (n, y, 0).
static uint32_t put_update(uint8_t *data, uint8_t n, uint32_t of_entity, double y, bool ack)
{
	struct pe_wire_header h = header_of(ack ? PE_FLAG_ACK : 0);
	struct pe_wire_update_preamble p = {.broadcast_id = {n}, .incarnation = INCARNATION};
	struct pe_wire_update u = {.entity_id = {0xE5, [15] = n},
		.position = {n, y, 0},
		.sequence = of_entity,
		.ttl_ms = 1000000,
		.entity_type = PE_ENTITY_MOBILE};

	return pe_wire_put_update(data, PE_WIRE_BYTES_MAX, &h, &p, &u, 1);
}

static uint32_t put_query(uint8_t *data)
{
	struct pe_wire_header h = header_of(0);
	struct pe_wire_query q = {.query_id = 1, .kind = PE_QUERY_SPHERE, .b = {1000}};

	return pe_wire_put_query(data, PE_WIRE_BYTES_MAX, &h, &q, 1);
}

// The frame around a message from 10.0.0.2:port; returns its bytes.
static uint32_t frame_around(uint8_t *frame, uint16_t port, const uint8_t *data, uint32_t bytes)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = htons((uint16_t)(28 + bytes)),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = htonl(0x0A000002),
		.dst_addr = htonl(0x0A000001),
	};
	struct rte_udp_hdr udp = {
		.src_port = htons(port),
		.dst_port = htons(PORT),
		.dgram_len = htons((uint16_t)(8 + bytes)),
	};

	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(frame, own_mac, 6);
	memcpy(frame + 6, host_mac, 6);
	memcpy(frame + 12, "\x08", 2);
	memcpy(frame + 14, &ip, 20);
	memcpy(frame + 34, &udp, 8);
	memcpy(frame + FRAME_HEADERS, data, bytes);
	return FRAME_HEADERS + bytes;
}

// ---- an engine with one source, and the loop's turn ----

struct rig {
	struct pe_config config;
	struct pe_engine *engine;
	struct pe_source *source;
	struct pe_ethdev *port; // the source, when it is one
};

struct place {
	struct rig *rig;
	unsigned worker;
};

static uint8_t *sink_reserve(void *context, const struct pe_peer *peer)
{
	const struct place *p = context;

	return p->rig->source->ops->reserve(p->rig->source, p->worker, peer);
}

static void sink_commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	const struct place *p = context;

	p->rig->source->ops->commit(p->rig->source, p->worker, peer, data, bytes,
		pe_worker_counters(pe_engine_worker(p->rig->engine, p->worker)));
}

static uint32_t sink_keep(void *context, const struct pe_peer *peer, uint32_t kept)
{
	const struct place *p = context;

	return p->rig->source->ops->keep ?
		p->rig->source->ops->keep(p->rig->source, p->worker, peer, kept) :
		peer->link;
}

static void sink_drop(void *context, const struct pe_peer *peer)
{
	const struct place *p = context;

	if (p->rig->source->ops->drop)
		p->rig->source->ops->drop(p->rig->source, p->worker, peer);
}

// A worker's turn that takes at most `max` packets; returns what it saw and did.
static unsigned turn(struct rig *rig, unsigned w, unsigned max)
{
	struct pe_worker *worker = pe_engine_worker(rig->engine, w);
	struct pe_counters *counters = pe_worker_counters(worker);
	const struct pe_now now = {.mono_ms = 1000000, .wall_ms = WALL_MS};
	struct pe_message messages[PE_BURST_MAX];
	struct place place = {rig, w};
	const struct pe_sink sink = {&place, sink_reserve, sink_commit, sink_keep, sink_drop};
	unsigned seen = 0, count, done;

	count = rig->source->ops->receive(rig->source, w, true, messages, max, &seen, counters);
	done = pe_worker_turn(worker, now, messages, count, &sink);
	rig->source->ops->flush(rig->source, w, counters);
	rig->source->ops->release(rig->source, w);
	return seen + done;
}

#define ALL_TRUSTED "trusted: [10.0.0.0/8, 127.0.0.0/8]\nadmitted: [10.0.0.0/8, 127.0.0.0/8]\n"
static const char *who = ALL_TRUSTED; // of the next rig

static void set_up(struct rig *rig, unsigned workers, const char *source)
{
	struct pe_error error = {0};
	char text[1024];

	*rig = (struct rig){0};
	snprintf(text, sizeof text,
		"workers: {count: %u}\nmemory: {entities: 1000}\nsources:\n  - %s\n%s", workers,
		source, who);
	CU_ASSERT_EQUAL_FATAL(
		pe_config_load_text("test", text, strlen(text), &rig->config, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_engine_create(&rig->config.engine, &rig->engine, &error), PE_OK);
	if (rig->config.sources[0].kind == PE_SOURCE_SOCKET) {
		CU_ASSERT_EQUAL_FATAL(pe_socket_open(&rig->config, 0, &rig->source, &error), PE_OK);
	} else {
		enum pe_status status = pe_ethdev_open(&rig->config, 0, &rig->source, &error);

		if (status != PE_OK)
			printf("\n    %s", error.text);
		CU_ASSERT_EQUAL_FATAL(status, PE_OK);
		rig->port = (struct pe_ethdev *)rig->source;
		memcpy(rig->port->local.mac, own_mac, 6);
	}
	pe_worker_attach(pe_engine_worker(rig->engine, 0));
}

static void tear_down(struct rig *rig)
{
	pe_worker_detach(pe_engine_worker(rig->engine, 0));
	rig->source->ops->close(rig->source);
	pe_engine_destroy(rig->engine);
	pe_config_free(&rig->config);
}

static uint64_t counted(const struct rig *rig, unsigned counter)
{
	uint64_t values[PE_COUNTER_COUNT];

	pe_engine_counters(rig->engine, values);
	return values[counter];
}
#define COUNTED(rig, name) counted(rig, PE_COUNTER_##name)
#define DROPPED(rig, name) counted(rig, PE_COUNTER_REASON(PE_REASON_##name))

// The identities but for `in_rings` packets that lie between workers.
static void check_identities(const struct rig *rig, int64_t in_rings)
{
	uint64_t values[PE_COUNTER_COUNT];
	struct pe_identity i;

	pe_engine_counters(rig->engine, values);
	i = pe_identity_check(values);
	CU_ASSERT_EQUAL(i.packets_difference, in_rings);
	CU_ASSERT_EQUAL(i.records_difference, 0);
	CU_ASSERT_EQUAL(i.queries_difference, 0);
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void take_report(void *context, const char *name, uint64_t value)
{
	struct wanted *wanted = context;

	if (strcmp(name, wanted->name) == 0)
		wanted->value = value;
}

// As /presence/sources and the last lines of the log have it.
static uint64_t reported(const struct rig *rig, const char *name)
{
	struct wanted wanted = {name, UINT64_MAX};

	rig->source->ops->report(rig->source, take_report, &wanted);
	return wanted.value;
}

// Entities in the first answer among some frames' messages, all at y; −1: no answer.
static int entities_in(const uint8_t *data, uint32_t bytes, double y)
{
	struct pe_wire_view v;
	struct pe_wire_answer a;
	struct pe_wire_result r;
	const uint8_t *results;
	uint32_t offset = 0;

	if (pe_wire_check_reply(data, bytes, &v) != PE_REASON_none ||
		v.header.type != PE_TYPE_SPATIAL_RESPONSE ||
		!pe_wire_next_answer(&v, &offset, &a, &results) || a.code != 0)
		return -1;
	for (unsigned i = 0; i < a.result_count; i++) {
		pe_wire_get_result(results, i, &r);
		CU_ASSERT_EQUAL(r.position[1], y);
	}
	return (int)a.result_count;
}

// ---- buffers taken away ----

static struct rte_mbuf *held[HELD_MAX];
static unsigned held_count;

// Everything that is free in the pool of worker 0, whose thread this is.
static void hold_all(struct rte_mempool *pool)
{
	while (held_count < HELD_MAX && (held[held_count] = rte_pktmbuf_alloc(pool)))
		held_count++;
	CU_ASSERT_FATAL(held_count > 0 && held_count < HELD_MAX);
}

static void give_back(unsigned count)
{
	CU_ASSERT_FATAL(count <= held_count);
	rte_pktmbuf_free_bulk(held + held_count - count, count);
	held_count -= count;
}

// ---- a recording that a port plays: its frames are there whether or not somebody has room for
// them ----

static FILE *recording;
static unsigned recorded;

static void record(const uint8_t *data, uint32_t bytes)
{
	uint8_t frame[FRAME_MAX];
	uint32_t length = frame_around(frame, 4000, data, bytes);
	const uint32_t head[4] = {recorded++, 0, length, length};

	fwrite(head, sizeof head, 1, recording);
	fwrite(frame, length, 1, recording);
}

// Frames of a recording; *last is the last one's entities as above.
static unsigned read_recording(const char *path, double y, int *last)
{
	FILE *in = fopen(path, "re");
	static uint8_t frame[65536];
	uint32_t head[6] = {0};
	unsigned count = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	CU_ASSERT_EQUAL_FATAL(fread(head, 24, 1, in), 1);
	while (fread(head, 16, 1, in) == 1 && head[2] <= sizeof frame &&
		fread(frame, head[2], 1, in) == 1)
		count++;
	*last = entities_in(frame + FRAME_HEADERS, head[2] - FRAME_HEADERS, y);
	fclose(in);
	return count;
}

static void no_packet_buffers(void)
{
	static const uint32_t file_head[6] = {0xA1B2C3D4, 4 << 16 | 2, 0, 0, 65535, 1};
	char in[] = "/tmp/presence-in-XXXXXX", out[] = "/tmp/presence-out-XXXXXX", arguments[128];
	int in_fd = mkstemp(in), out_fd = mkstemp(out), found;
	uint8_t data[PE_WIRE_BYTES_MAX];
	static struct rig rig;

	CU_ASSERT_FATAL(in_fd >= 0 && out_fd >= 0);
	recording = fdopen(in_fd, "w");
	recorded = 0;
	fwrite(file_head, sizeof file_head, 1, recording);
	for (uint8_t n = 1; n <= 10; n++) // taken
		record(data, put_update(data, n, 1, 1, true));
	for (uint8_t n = 1; n <= 10; n++) // lost: nobody has room for them
		record(data, put_update(data, n, 2, 2, true));
	record(data, put_ping(data)); // received, but nothing is left to answer with
	record(data, put_query(data));
	record(data, put_update(data, 1, 3, 3, true));
	record(data, put_query(data)); // and again as if nothing had been
	for (uint8_t n = 1; n <= 10; n++)
		record(data, put_update(data, n, 4, 4, true));
	record(data, put_query(data));
	fclose(recording);
	snprintf(arguments, sizeof arguments, "rx_pcap=%s,tx_pcap=%s", in, out);
	CU_ASSERT_EQUAL_FATAL(rte_vdev_init("net_pcap_faults", arguments), 0);
	set_up(&rig, 1,
		"ethdev: {device: net_pcap_faults, addresses: [10.0.0.1/8], descriptors: 64}");
	struct rte_mempool *pool = rig.port->lanes[0].pool;

	(void)turn(&rig, 0, 10);
	CU_ASSERT_EQUAL(COUNTED(&rig, rx_packets), 10);
	CU_ASSERT_EQUAL(COUNTED(&rig, records_applied), 10);

	hold_all(pool);
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(turn(&rig, 0, 1), 0);
	CU_ASSERT_EQUAL(reported(&rig, "rx_no_buffer"), 10);
	CU_ASSERT_EQUAL(COUNTED(&rig, rx_packets), 10);
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 0);
	check_identities(&rig, 0);

	give_back(3);
	(void)turn(&rig, 0, 3);
	CU_ASSERT_EQUAL(COUNTED(&rig, rx_packets), 13);
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 2); // the pong and the acknowledgement
	CU_ASSERT_EQUAL(DROPPED(&rig, answer_no_buffer), 1);
	CU_ASSERT_EQUAL(COUNTED(&rig, records_applied), 11); // taken all the same
	check_identities(&rig, 0);

	give_back(held_count);
	(void)turn(&rig, 0, 1);
	CU_ASSERT_EQUAL(COUNTED(&rig, query_results), 10 + 10); // none of the ten is forgotten
	(void)turn(&rig, 0, PE_BURST_MAX);
	CU_ASSERT_EQUAL(COUNTED(&rig, records_applied), 21);
	CU_ASSERT_EQUAL(reported(&rig, "rx_no_buffer"), 10);
	CU_ASSERT_EQUAL(COUNTED(&rig, rx_packets) + reported(&rig, "rx_no_buffer"), recorded);
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 2);
	// A port that cannot receive never shows us the packet: nothing was dropped on our side of
	// it.
	CU_ASSERT_EQUAL(DROPPED(&rig, no_buffer), 0);
	check_identities(&rig, 0);
	// Every buffer is back.
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
	tear_down(&rig);
	CU_ASSERT_EQUAL(read_recording(out, 4, &found), 10 + 1 + 10 + 1);
	CU_ASSERT_EQUAL(found, 10);
	unlink(in);
	unlink(out);
}

// ---- a port made of two rings: the test is the wire ----

static struct rte_ring *wire_in, *wire_out;
static struct rte_mempool *wire_pool;

static void make_wire(const char *name, unsigned out_frames)
{
	char ring[32];

	snprintf(ring, sizeof ring, "%s-in", name);
	wire_in = rte_ring_create(ring, FRAMES_MAX, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(ring, sizeof ring, "%s-out", name);
	wire_out = rte_ring_create(ring, out_frames, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!wire_pool)
		wire_pool = rte_pktmbuf_pool_create("wire", FRAMES_MAX - 1, 0, PE_ETHDEV_PRIVATE,
			RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	CU_ASSERT_FATAL(wire_in && wire_out && wire_pool);
	CU_ASSERT_FATAL(rte_eth_from_rings(name, &wire_in, 1, &wire_out, 1, 0) >= 0);
}

static void arrive(uint16_t port, const uint8_t *data, uint32_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(wire_pool);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	m->data_len = (uint16_t)frame_around(rte_pktmbuf_mtod(m, uint8_t *), port, data, bytes);
	m->pkt_len = m->data_len;
	CU_ASSERT_EQUAL_FATAL(rte_ring_sp_enqueue(wire_in, m), 0);
}

// What left the port, by kind of message.
struct left {
	unsigned pongs, acks, others, answers;
	int entities; // in the answers
};

static void take_what_left(struct left *left, double y)
{
	struct rte_mbuf *m;

	while (rte_ring_sc_dequeue(wire_out, (void **)&m) == 0) {
		const uint8_t *data = rte_pktmbuf_mtod_offset(m, const uint8_t *, FRAME_HEADERS);

		if (data[1] == PE_TYPE_PONG)
			left->pongs++;
		else if (data[1] == PE_TYPE_SPATIAL_UPDATE)
			left->acks++;
		else if (data[1] == PE_TYPE_SPATIAL_RESPONSE && ++left->answers)
			left->entities += entities_in(data, m->data_len - FRAME_HEADERS, y);
		else
			left->others++;
		rte_pktmbuf_free(m);
	}
}

static void cut_wire(struct rig *rig)
{
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(wire_pool), 0);
	for (unsigned w = 0; w < rig->config.worker_count; w++)
		CU_ASSERT_EQUAL(rte_mempool_in_use_count(rig->port->lanes[w].pool), 0);
	tear_down(rig);
	rte_ring_free(wire_in);
	rte_ring_free(wire_out);
}

// The other worker, on a thread of its own, until it has nothing more to do.
static int run_worker_1(void *context)
{
	struct rig *rig = context;
	struct pe_worker *worker = pe_engine_worker(rig->engine, 1);

	pe_worker_attach(worker);
	for (unsigned idle = 0; idle < 4;)
		idle = turn(rig, 1, PE_BURST_MAX) ? 0 : idle + 1;
	pe_worker_detach(worker);
	return 0;
}

static void run_both(struct rig *rig, struct left *left, double y)
{
	struct pe_worker *worker = pe_engine_worker(rig->engine, 0);

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned idle = 0; idle < 4;) {
			idle = turn(rig, 0, PE_BURST_MAX) || rte_ring_count(rig->port->handed) ?
				0 :
				idle + 1;
			take_what_left(left, y);
		}
		pe_worker_offline(worker);
		CU_ASSERT_EQUAL_FATAL(rte_eal_remote_launch(run_worker_1, rig, 2), 0);
		CU_ASSERT_EQUAL(rte_eal_wait_lcore(2), 0);
		pe_worker_online(worker);
	}
}

static void a_worker_that_stands_still(void)
{
	uint8_t data[PE_WIRE_BYTES_MAX];
	struct left left = {0};
	uint64_t own, dropped, handed_over;
	static struct rig rig;

	make_wire("steer", 2048);
	set_up(&rig, 2,
		"ethdev: {device: net_ring_steer, addresses: [10.0.0.1/8], descriptors: 1024}");
	CU_ASSERT_FATAL(rig.port->rx_queues == 1 && rig.port->lanes[1].steered && rig.port->handed);
	for (uint8_t n = 1; n <= 40; n++)
		arrive(5000 + n, data, put_update(data, n, 1, 1, true));
	run_both(&rig, &left, 1);
	CU_ASSERT_EQUAL(left.acks, 40);
	CU_ASSERT_EQUAL(COUNTED(&rig, created), 40);

	// Worker 1 stands still: its ring takes what it holds, and what comes then is dropped and
	// counted.
	for (unsigned i = 0; i < 3000; i++)
		arrive((uint16_t)(10000 + i), data, put_ping(data));
	while (rte_ring_count(wire_in)) {
		(void)turn(&rig, 0, PE_BURST_MAX);
		take_what_left(&left, 1);
	}
	own = COUNTED(&rig, carried_ping);
	dropped = DROPPED(&rig, steer_full);
	handed_over = rte_ring_count(rig.port->lanes[1].steered);
	CU_ASSERT(own > 1000); // those of worker 0 are served all the while
	CU_ASSERT_EQUAL(left.pongs, own);
	CU_ASSERT(dropped > 100);
	CU_ASSERT_EQUAL(handed_over, rte_ring_get_capacity(rig.port->lanes[1].steered));
	CU_ASSERT_EQUAL(COUNTED(&rig, rx_packets), 40 + 3000);
	CU_ASSERT_EQUAL(own + dropped + handed_over, 3000);
	check_identities(&rig, (int64_t)handed_over);

	// It goes on: nothing else is lost, and what is known is known.
	run_both(&rig, &left, 1);
	CU_ASSERT_EQUAL(COUNTED(&rig, carried_ping), 3000 - dropped);
	CU_ASSERT_EQUAL(left.pongs + COUNTED(&rig, tx_dropped), 3000 - dropped);
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 0);
	check_identities(&rig, 0);
	for (unsigned i = 0; i < 500; i++)
		arrive((uint16_t)(10000 + i), data, put_ping(data));
	arrive(6000, data, put_query(data));
	run_both(&rig, &left, 1);
	CU_ASSERT_EQUAL(left.pongs, 3500 - dropped);
	CU_ASSERT_EQUAL(left.entities, 40);
	CU_ASSERT_EQUAL(left.others, 0);
	CU_ASSERT_EQUAL(DROPPED(&rig, steer_full), dropped);
	check_identities(&rig, 0);
	cut_wire(&rig);
}

// What strangers send to a worker that stands still fills half of its ring; who is trusted has the
// rest.
static void strangers_leave_room(void)
{
	struct pe_prefix trusted;
	uint8_t data[PE_WIRE_BYTES_MAX];
	struct left left = {0};
	struct rte_ring *ring;
	static struct rig rig;

	make_wire("strangers", 2048);
	set_up(&rig, 2,
		"ethdev: {device: net_ring_strangers, addresses: [10.0.0.1/8], descriptors: 1024}");
	CU_ASSERT_FALSE(rig.port->strangers);
	rig.port->strangers = true;
	trusted = rig.config.trusted[0];
	CU_ASSERT_FATAL(pe_prefix_parse("10.200.0.0/16", true, &rig.config.trusted[0]));
	ring = rig.port->lanes[1].steered;
	for (unsigned turns = 0; turns < 2; turns++) {
		for (unsigned i = 0; i < 3000; i++)
			arrive((uint16_t)(10000 + i), data, put_ping(data));
		while (rte_ring_count(wire_in)) {
			(void)turn(&rig, 0, PE_BURST_MAX);
			take_what_left(&left, 1);
		}
		CU_ASSERT_EQUAL(rte_ring_count(ring),
			turns ? rte_ring_get_capacity(ring) :
				(rte_ring_get_capacity(ring) + 1) / 2);
		rig.config.trusted[0] = trusted;
	}
	CU_ASSERT(DROPPED(&rig, steer_full) > 100);
	check_identities(&rig, (int64_t)rte_ring_count(ring));
	run_both(&rig, &left, 1);
	check_identities(&rig, 0);
	cut_wire(&rig);
}

static uint32_t put_subscribe(uint8_t *data, unsigned op)
{
	const struct pe_wire_header header = {.sequence = 1};
	const struct pe_wire_subscribe subscribe = {
		.subscription_id = 1, .epoch = 1, .op = (uint8_t)op};
	const struct pe_wire_fence fence = {.query = {.kind = PE_QUERY_SPHERE, .b = {1000000}}};

	return pe_wire_put_subscribe(data, PE_WIRE_BYTES_MAX, &header, &subscribe, &fence,
		op == PE_SUBSCRIBE_OPEN, NULL, 0);
}

// A subscription's notices leave when the frame of its request is long gone: by the way back that
// was kept.
static void notices_in_later_turns(void)
{
	uint8_t data[PE_WIRE_BYTES_MAX];
	unsigned notices = 0, answers = 0;
	static struct rig rig;
	struct rte_mbuf *m;

	make_wire("watch", 2048);
	set_up(&rig, 1,
		"ethdev: {device: net_ring_watch, addresses: [10.0.0.1/8], descriptors: 1024}");
	arrive(5000, data, put_subscribe(data, PE_SUBSCRIBE_OPEN));
	for (unsigned i = 0; i < 3; i++)
		(void)turn(&rig, 0, PE_BURST_MAX);
	CU_ASSERT_NOT_EQUAL(rig.port->lanes[0].routes[0].packet.payload_offset, 0);
	for (unsigned i = 0; i < 5; i++) {
		arrive((uint16_t)(6000 + i), data, put_update(data, (uint8_t)(i + 1), 1, 1, false));
		(void)turn(&rig, 0, PE_BURST_MAX);
		(void)turn(&rig, 0, PE_BURST_MAX);
	}
	arrive(5000, data, put_subscribe(data, PE_SUBSCRIBE_CLOSE));
	for (unsigned i = 0; i < 3; i++)
		(void)turn(&rig, 0, PE_BURST_MAX);
	CU_ASSERT_EQUAL(rig.port->lanes[0].routes[0].packet.payload_offset, 0);
	while (rte_ring_sc_dequeue(wire_out, (void **)&m) == 0) {
		const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
		struct pe_wire_view view;

		CU_ASSERT_EQUAL(frame[36] << 8 | frame[37], 5000); // to the subscriber's port
		CU_ASSERT_EQUAL(pe_wire_check_reply(
					frame + FRAME_HEADERS, m->data_len - FRAME_HEADERS, &view),
			PE_REASON_none);
		notices += view.header.type == PE_TYPE_NOTICE;
		answers += view.header.type == PE_TYPE_REGION_SUBSCRIBE;
		rte_pktmbuf_free(m);
	}
	CU_ASSERT_EQUAL(answers, 2);
	CU_ASSERT_EQUAL(notices, 7); // the snapshot's end, five ENTERs, the end
	check_identities(&rig, 0);
	cut_wire(&rig);
}

static void a_port_that_sends_nothing(void)
{
	uint8_t data[PE_WIRE_BYTES_MAX];
	struct left left = {0};
	static struct rig rig;
	unsigned room;

	make_wire("slow", 64);
	room = rte_ring_get_capacity(wire_out);
	set_up(&rig, 1,
		"ethdev: {device: net_ring_slow, addresses: [10.0.0.1/8], descriptors: 64}");
	for (unsigned i = 0; i < 200; i++)
		arrive(7000, data, put_ping(data));
	for (uint8_t n = 1; n <= 10; n++)
		arrive(7001, data, put_update(data, n, 1, 1, n % 2));
	while (rte_ring_count(wire_in))
		(void)turn(&rig, 0, PE_BURST_MAX);
	// What cannot leave is dropped and counted; what need not leave is done.
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 205 - room);
	CU_ASSERT_EQUAL(COUNTED(&rig, carried_ping), 200);
	CU_ASSERT_EQUAL(COUNTED(&rig, records_applied), 10);
	check_identities(&rig, 0);
	take_what_left(&left, 1);
	CU_ASSERT_EQUAL(left.pongs, room);

	arrive(7000, data, put_ping(data));
	arrive(7002, data, put_query(data));
	(void)turn(&rig, 0, PE_BURST_MAX);
	take_what_left(&left, 1);
	CU_ASSERT_EQUAL(left.pongs, room + 1);
	CU_ASSERT_EQUAL(left.entities, 10);
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 205 - room);
	check_identities(&rig, 0);
	cut_wire(&rig);
}

// ---- the kernel's sockets ----

static struct pe_peer peer_at(uint32_t address, uint16_t port)
{
	struct pe_peer peer = {.port = port};

	address = htonl(address);
	memcpy(peer.address + 10, "\xFF\xFF", 2);
	memcpy(peer.address + 12, &address, 4);
	return peer;
}

static void send_from(struct rig *rig, const struct pe_peer *peer, uint8_t mark)
{
	struct pe_counters *counters = pe_worker_counters(pe_engine_worker(rig->engine, 0));
	uint8_t *data = rig->source->ops->reserve(rig->source, 0, peer);

	CU_ASSERT_PTR_NOT_NULL_FATAL(data);
	memset(data, mark, 100);
	rig->source->ops->commit(rig->source, 0, peer, data, 100, counters);
}

static int socket_at(uint32_t address, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	if (to)
		CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)to, sizeof *to), 0);
	return fd;
}

// Senders of each class have their part of every burst, and what the others leave; an answer leaves
// by the socket of its class.
static void classes_share_a_burst(void)
{
	// known, sealed, strangers; the first and the last one; all; nobody else
	static const unsigned waiting[][3] = {{200, 200, 200}, {200, 0, 200}, {0, 200, 200},
		{200, 0, 0}, {0, 0, 200}, {5, 3, 200}, {0, 0, 0}};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t at_bytes = sizeof at;
	struct pe_message messages[PE_BURST_MAX];
	struct pe_counters *counters;
	struct pollfd poll_one = {.events = POLLIN};
	static struct rig rig;
	uint8_t data[100] = {PE_WIRE_VERSION}, got[200];
	char text[64];
	int fd = socket_at(INADDR_LOOPBACK, NULL), from[3];

	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &at_bytes), 0);
	close(fd);
	snprintf(text, sizeof text, "socket: {port: %u}", ntohs(at.sin_port));
	who = "trusted: [127.0.0.1/32]\nadmitted: [127.0.0.0/8]\nsecurity: {keyring: nowhere.yaml}\n";
	set_up(&rig, 1, text);
	who = ALL_TRUSTED;
	counters = pe_worker_counters(pe_engine_worker(rig.engine, 0));
	for (unsigned c = 0; c < 3; c++)
		from[c] = socket_at(INADDR_LOOPBACK + c, &at);
	poll_one.fd = rig.source->ops->wait_fd(rig.source, 0);
	for (unsigned n = 0; n < sizeof waiting / sizeof waiting[0]; n++) {
		unsigned left[3], bursts = 0, total = 0;

		for (unsigned c = 0; c < 3; c++) {
			left[c] = waiting[n][c];
			total += left[c];
			data[24] = c == 1;
			data[80] = (uint8_t)c;
			for (unsigned i = 0; i < left[c]; i++)
				CU_ASSERT_EQUAL(send(from[c], data, sizeof data, 0), sizeof data);
		}
		CU_ASSERT_EQUAL(poll(&poll_one, 1, 0), total > 0);
		while (total) {
			unsigned seen, of[3] = {0}, share = PE_BURST_MAX / 4,
				       count = rig.source->ops->receive(rig.source, 0, true,
					       messages, PE_BURST_MAX, &seen, counters);

			CU_ASSERT_EQUAL(count, total < PE_BURST_MAX ? total : PE_BURST_MAX);
			for (unsigned i = 0; i < count; i++) {
				of[messages[i].data[80]]++;
				CU_ASSERT_EQUAL(
					messages[i].peer.trusted, messages[i].data[80] == 0);
			}
			for (unsigned c = 0; c < 3; c++) {
				unsigned part = c == 0 ? 2 * share : share;

				CU_ASSERT(of[c] >= (left[c] < part ? left[c] : part));
				left[c] -= of[c];
			}
			if (!count || ++bursts > 20)
				break;
			total -= count;
		}
		CU_ASSERT_EQUAL(total, 0);
	}
	CU_ASSERT_EQUAL(poll(&poll_one, 1, 0), 0);
	// To whom it was asked by, whichever socket that leaves by.
	for (unsigned c = 0; c < 3; c++) {
		struct sockaddr_in own;
		socklen_t own_bytes = sizeof own;
		struct pe_peer peer;

		CU_ASSERT_EQUAL(getsockname(from[c], (struct sockaddr *)&own, &own_bytes), 0);
		peer = peer_at(INADDR_LOOPBACK + c, ntohs(own.sin_port));
		peer.trusted = c == 0;
		for (uint8_t i = 0; i < 5; i++)
			send_from(&rig, &peer, i);
	}
	rig.source->ops->flush(rig.source, 0, counters);
	for (unsigned c = 0; c < 3; c++) {
		for (uint8_t i = 0; i < 5; i++) {
			CU_ASSERT_EQUAL(recv(from[c], got, sizeof got, 0), 100);
			CU_ASSERT_EQUAL(got[0], i);
		}
		close(from[c]);
	}
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 0);
	tear_down(&rig);
}

static void a_send_that_the_kernel_refuses(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct pe_peer good, broken = peer_at(INADDR_BROADCAST, 9); // not without SO_BROADCAST
	socklen_t at_bytes = sizeof at;
	struct pe_counters *counters;
	uint8_t *slots[1024], got[200];
	static struct rig rig;
	unsigned count = 0;
	char text[64];

	// A port that is free: ours for a moment, then the source's.
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &at_bytes), 0);
	close(fd);
	snprintf(text, sizeof text, "socket: {port: %u}", ntohs(at.sin_port));
	set_up(&rig, 1, text);
	counters = pe_worker_counters(pe_engine_worker(rig.engine, 0));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	at.sin_port = 0;
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&at, &at_bytes), 0);
	good = peer_at(INADDR_LOOPBACK, ntohs(at.sin_port));

	// In one flush: the first, a middle and the last cannot be sent, the others are.
	for (uint8_t i = 0; i < 9; i++)
		send_from(&rig, i % 4 == 0 ? &broken : &good, i);
	rig.source->ops->flush(rig.source, 0, counters);
	CU_ASSERT_EQUAL(COUNTED(&rig, tx_dropped), 3);
	for (uint8_t i = 0; i < 9; i++)
		if (i % 4) {
			CU_ASSERT_EQUAL(recv(fd, got, sizeof got, 0), 100);
			CU_ASSERT_EQUAL(got[0], i);
		}
	CU_ASSERT(recv(fd, got, sizeof got, 0) < 0 && errno == EAGAIN);

	// Slots run out and come back: none was lost with what could not be sent.
	for (unsigned round = 0; round < 2; round++) {
		unsigned before = count;

		count = 0;
		while (count < 1024 &&
			(slots[count] = rig.source->ops->reserve(rig.source, 0, &good)))
			count++;
		CU_ASSERT(count >= PE_BURST_MAX + PE_OUTBOX_MAX && count < 1024);
		CU_ASSERT(round == 0 || count == before);
		for (unsigned i = 0; i < count; i++)
			rig.source->ops->commit(rig.source, 0, &good, slots[i], 0, counters);
	}
	send_from(&rig, &good, 77);
	rig.source->ops->flush(rig.source, 0, counters);
	CU_ASSERT(recv(fd, got, sizeof got, 0) == 100 && got[0] == 77);
	close(fd);
	tear_down(&rig);
}

struct opening {
	const struct pe_config *config;
	pthread_barrier_t *together;
	struct pe_source *source;
};

static void *open_with_others(void *context)
{
	struct opening *o = context;
	struct pe_error error = {0};

	pthread_barrier_wait(o->together);
	if (pe_socket_open(o->config, 0, &o->source, &error) != PE_OK)
		o->source = NULL;
	return NULL;
}

// Of engines that start at once one has the port: they never share it in silence.
static void a_port_for_one(void)
{
	pthread_barrier_t together;
	unsigned opened, two = 0, none = 0;
	pthread_t threads[2];
	static struct rig rig;

	pthread_barrier_init(&together, NULL, 2);
	for (unsigned workers = 1; workers <= 2; workers++) {
		set_up(&rig, workers, "socket: {address: 127.0.0.1, port: 10231}");
		for (unsigned round = 0; round < 300; round++) {
			struct opening o[2] = {
				{&rig.config, &together, NULL}, {&rig.config, &together, NULL}};
			struct pe_error error = {0};

			CU_ASSERT_NOT_EQUAL(
				pe_socket_open(&rig.config, 0, &o[0].source, &error), PE_OK);
			rig.source->ops->close(rig.source);
			for (unsigned i = 0; i < 2; i++)
				CU_ASSERT_EQUAL_FATAL(
					pthread_create(&threads[i], NULL, open_with_others, &o[i]),
					0);
			opened = 0;
			for (unsigned i = 0; i < 2; i++) {
				pthread_join(threads[i], NULL);
				opened += o[i].source != NULL;
			}
			two += opened == 2;
			none += opened == 0;
			for (unsigned i = 0; i < 2; i++)
				if (o[i].source)
					o[i].source->ops->close(o[i].source);
			CU_ASSERT_EQUAL_FATAL(
				pe_socket_open(&rig.config, 0, &rig.source, &error), PE_OK);
		}
		tear_down(&rig);
	}
	CU_ASSERT_EQUAL(two, 0);
	CU_ASSERT_EQUAL(none, 0);
	pthread_barrier_destroy(&together);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"no packet buffers", no_packet_buffers},
		{"a worker that stands still", a_worker_that_stands_still},
		{"strangers leave room", strangers_leave_room},
		{"a port that sends nothing", a_port_that_sends_nothing},
		{"classes share a burst", classes_share_a_burst},
		{"a send that the kernel refuses", a_send_that_the_kernel_refuses},
		{"notices in later turns", notices_in_later_turns},
		{"a port for one", a_port_for_one},
	};
	static struct pe_config config;
	struct pe_error error = {0};
	int failed;

	if (pe_config_load_text("test", "workers: {count: 2}\n", 20, &config, &error) != PE_OK ||
		pe_eal_start(&config, &error) != PE_OK) {
		fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	failed = testing_main("dataplane: faults", cases, sizeof cases / sizeof cases[0]);
	pe_eal_stop();
	pe_config_free(&config);
	return failed;
}
