// See the header. One port with one queue each way serves all clients of the process; each has an
// UDP port of its own, and a datagram that another client's turn brings waits in that client's
// queue. IPv4 only; the destination's hardware address is asked for by ARP, and ARP requests for
// our own address are answered.
#include "client/tools/port_dpdk.h"
#include "client/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_arp.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX  4
#define QUEUE_MAX    4096 // datagrams that wait for a client
#define BURST        32
#define PAYLOAD_MAX  1472
#define UDP_FIRST    40000
#define ARP_ATTEMPTS 20
#define ARP_WAIT_US  100000
#define FRAME_HEADERS \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))

struct port_client {
	uint16_t udp_port; // host order
	unsigned first, count;
	uint64_t dropped; // since the queue was full
	struct rte_mbuf *queue[QUEUE_MAX];
};

static struct {
	bool open;
	uint16_t id;
	struct rte_mempool *pool;
	struct rte_ether_addr own_mac, engine_mac;
	bool engine_known;
	rte_be32_t own_ip, engine_ip;
	uint16_t engine_port;
	unsigned client_count, closed_count;
	struct port_client *clients[CLIENTS_MAX];
} port;

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void send_arp(uint16_t operation, const struct rte_ether_addr *to, rte_be32_t to_ip)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(port.pool);
	struct rte_ether_hdr *ether;
	struct rte_arp_hdr *arp;

	if (!m)
		return;
	// Short frames are filled up to Ethernet's least, with nothing of ours.
	ether = (struct rte_ether_hdr *)rte_pktmbuf_append(m, 60);
	if (!ether) {
		rte_pktmbuf_free(m);
		return;
	}
	memset(ether, 0, 60);
	arp = (struct rte_arp_hdr *)(ether + 1);
	memset(&ether->dst_addr, 0xFF, sizeof ether->dst_addr);
	if (operation == RTE_ARP_OP_REPLY)
		ether->dst_addr = *to;
	ether->src_addr = port.own_mac;
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP);
	arp->arp_hardware = rte_cpu_to_be_16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = 4;
	arp->arp_opcode = rte_cpu_to_be_16(operation);
	arp->arp_data.arp_sha = port.own_mac;
	arp->arp_data.arp_sip = port.own_ip;
	if (operation == RTE_ARP_OP_REPLY)
		arp->arp_data.arp_tha = *to;
	arp->arp_data.arp_tip = to_ip;
	if (rte_eth_tx_burst(port.id, 0, &m, 1) != 1)
		rte_pktmbuf_free(m);
}

static void take_arp(const struct rte_mbuf *m)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod_offset(
		m, const struct rte_arp_hdr *, sizeof(struct rte_ether_hdr));

	if (rte_pktmbuf_data_len(m) < sizeof(struct rte_ether_hdr) + sizeof *arp ||
		arp->arp_protocol != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4) ||
		arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != 4 ||
		arp->arp_data.arp_tip != port.own_ip)
		return;
	if (arp->arp_opcode == rte_cpu_to_be_16(RTE_ARP_OP_REQUEST)) {
		send_arp(RTE_ARP_OP_REPLY, &arp->arp_data.arp_sha, arp->arp_data.arp_sip);
	} else if (arp->arp_data.arp_sip == port.engine_ip) {
		port.engine_mac = arp->arp_data.arp_sha;
		port.engine_known = true;
	}
}

// A datagram's sum, its own field included, over the pseudo header is all ones. 0 in the field:
// none was made.
static bool sum_holds(
	const struct rte_ipv4_hdr *ip, const struct rte_udp_hdr *udp, unsigned udp_bytes)
{
	uint32_t sum = (uint32_t)rte_raw_cksum(udp, udp_bytes) + rte_ipv4_phdr_cksum(ip, 0);

	sum = (sum >> 16) + (sum & 0xFFFF);
	sum = (sum >> 16) + (sum & 0xFFFF);
	return udp->dgram_cksum == 0 || sum == 0xFFFF;
}

// Gives the frame to the client it is for, as its payload alone; false = nobody's.
static bool take_udp(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(
		m, const struct rte_ipv4_hdr *, sizeof(struct rte_ether_hdr));
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	unsigned room = rte_pktmbuf_data_len(m), udp_bytes;
	uint16_t to;

	if (room < FRAME_HEADERS || ip->version_ihl != RTE_IPV4_VHL_DEF ||
		ip->next_proto_id != IPPROTO_UDP || ip->dst_addr != port.own_ip ||
		ip->src_addr != port.engine_ip ||
		(ip->fragment_offset &
			rte_cpu_to_be_16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return false;
	udp_bytes = rte_be_to_cpu_16(udp->dgram_len);
	if (udp_bytes < sizeof *udp ||
		udp_bytes > room - sizeof(struct rte_ether_hdr) - sizeof *ip ||
		rte_be_to_cpu_16(udp->src_port) != port.engine_port ||
		rte_be_to_cpu_16(ip->total_length) != sizeof *ip + udp_bytes ||
		!sum_holds(ip, udp, udp_bytes))
		return false;
	to = rte_be_to_cpu_16(udp->dst_port);
	for (unsigned i = 0; i < port.client_count; i++) {
		struct port_client *c = port.clients[i];

		if (!c || c->udp_port != to)
			continue;
		if (c->count == QUEUE_MAX) {
			c->dropped++;
			return false;
		}
		rte_pktmbuf_adj(m, FRAME_HEADERS);
		rte_pktmbuf_trim(
			m, (uint16_t)(rte_pktmbuf_data_len(m) - (udp_bytes - sizeof *udp)));
		c->queue[(c->first + c->count++) % QUEUE_MAX] = m;
		return true;
	}
	return false;
}

static unsigned take_frames(void)
{
	struct rte_mbuf *frames[BURST];
	unsigned came = rte_eth_rx_burst(port.id, 0, frames, BURST);

	for (unsigned i = 0; i < came; i++) {
		struct rte_mbuf *m = frames[i];
		const struct rte_ether_hdr *ether =
			rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
		bool kept = false;

		if (m->nb_segs == 1 && rte_pktmbuf_data_len(m) >= sizeof *ether) {
			if (ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP))
				take_arp(m);
			else if (ether->ether_type == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
				kept = take_udp(m);
		}
		if (!kept)
			rte_pktmbuf_free(m);
	}
	return came;
}

static struct rte_mbuf *frame_of(const struct port_client *c, const struct iovec *message)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(port.pool);
	struct rte_ether_hdr *ether;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;
	uint16_t udp_bytes = (uint16_t)(sizeof *udp + message->iov_len);

	if (!m || message->iov_len > PAYLOAD_MAX) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	ether = (struct rte_ether_hdr *)rte_pktmbuf_append(
		m, (uint16_t)(FRAME_HEADERS + message->iov_len));
	if (!ether) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	ip = (struct rte_ipv4_hdr *)(ether + 1);
	udp = (struct rte_udp_hdr *)(ip + 1);
	ether->dst_addr = port.engine_mac;
	ether->src_addr = port.own_mac;
	ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof *ip + udp_bytes)),
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = port.own_ip,
		.dst_addr = port.engine_ip,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*udp = (struct rte_udp_hdr){.src_port = rte_cpu_to_be_16(c->udp_port),
		.dst_port = rte_cpu_to_be_16(port.engine_port),
		.dgram_len = rte_cpu_to_be_16(udp_bytes)};
	memcpy(udp + 1, message->iov_base, message->iov_len);
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	return m;
}

static int port_send(void *context, const struct iovec *messages, unsigned count)
{
	struct rte_mbuf *frames[BURST];
	unsigned made = 0, sent;

	while (made < count && made < BURST && (frames[made] = frame_of(context, &messages[made])))
		made++;
	sent = rte_eth_tx_burst(port.id, 0, frames, (uint16_t)made);
	for (unsigned i = sent; i < made; i++)
		rte_pktmbuf_free(frames[i]);
	return (int)sent;
}

static int port_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	struct port_client *c = context;
	uint64_t end_us = clock_us() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000;
	unsigned n = 0;

	// A port is polled. On a machine with few processors the engine may be waiting for this
	// one.
	while (take_frames() == 0 && !c->count && timeout_ms > 0 && clock_us() < end_us)
		sched_yield();
	for (; n < count && c->count; n++) {
		struct rte_mbuf *m = c->queue[c->first];
		size_t bytes = rte_pktmbuf_data_len(m);

		memcpy(messages[n].iov_base, rte_pktmbuf_mtod(m, const void *),
			bytes < messages[n].iov_len ? bytes : messages[n].iov_len);
		messages[n].iov_len = bytes;
		rte_pktmbuf_free(m);
		c->first = (c->first + 1) % QUEUE_MAX;
		c->count--;
	}
	return (int)n;
}

static int port_descriptor(const void *context)
{
	return -1;
}

// EAL leaves its directory behind: it is this process's alone, by its prefix.
static void stop_eal(void)
{
	char directory[256];

	snprintf(directory, sizeof directory, "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	(void)rmdir(directory);
}

static void port_close(void *context)
{
	struct port_client *c = context;

	for (; c->count; c->count--, c->first = (c->first + 1) % QUEUE_MAX)
		rte_pktmbuf_free(c->queue[c->first]);
	for (unsigned i = 0; i < port.client_count; i++)
		if (port.clients[i] == c)
			port.clients[i] = NULL;
	free(c);
	if (++port.closed_count == port.client_count) {
		rte_eth_dev_stop(port.id);
		rte_eth_dev_close(port.id);
		stop_eal();
		port.open = false;
	}
}

static const struct presence_transport port_transport = {
	port_send, port_receive, port_descriptor, port_close};

static bool start_eal(const char *device, char *error, size_t error_bytes)
{
	char prefix[40], name[300], lcores[40];
	unsigned domain, bus, slot, function;
	bool pci = sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4;
	char *arguments[] = {"presence-load", lcores, "--no-huge", "--no-shconf", "-m", "128",
		"--no-telemetry", "--log-level=error", prefix, name, pci ? NULL : "--no-pci"};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	snprintf(lcores, sizeof lcores, "--lcores=0@(0-%ld)", cpus > 1 ? cpus - 1 : 1);
	if (cpus <= 1)
		snprintf(lcores, sizeof lcores, "--lcores=0@0");
	snprintf(prefix, sizeof prefix, "--file-prefix=presence-load-%d", (int)getpid());
	snprintf(name, sizeof name, pci ? "--allow=%s" : "--vdev=%s", device);
	if (rte_eal_init(pci ? 10 : 11, arguments) < 0) {
		snprintf(error, error_bytes, "DPDK does not start with %s: %s", device,
			rte_strerror(rte_errno));
		return false;
	}
	return true;
}

static bool start_port(char *error, size_t error_bytes)
{
	struct rte_eth_conf conf = {0};
	const char *step = "no port";

	port.id = (uint16_t)rte_eth_find_next(0);
	if (port.id >= RTE_MAX_ETHPORTS)
		goto fail;
	step = "no memory for buffers";
	port.pool = rte_pktmbuf_pool_create(
		"presence-load", 16383, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!port.pool)
		goto fail;
	step = "the port cannot be set up";
	if (rte_eth_dev_configure(port.id, 1, 1, &conf) ||
		rte_eth_rx_queue_setup(port.id, 0, 1024, SOCKET_ID_ANY, NULL, port.pool) ||
		rte_eth_tx_queue_setup(port.id, 0, 1024, SOCKET_ID_ANY, NULL) ||
		rte_eth_dev_start(port.id) || rte_eth_macaddr_get(port.id, &port.own_mac))
		goto fail;
	return true;
fail:
	snprintf(error, error_bytes, "%s: %s", step, rte_strerror(rte_errno));
	return false;
}

static bool find_engine(char *error, size_t error_bytes)
{
	for (unsigned i = 0; i < ARP_ATTEMPTS && !port.engine_known; i++) {
		uint64_t end_us = clock_us() + ARP_WAIT_US;

		send_arp(RTE_ARP_OP_REQUEST, NULL, port.engine_ip);
		while (!port.engine_known && clock_us() < end_us)
			if (take_frames() == 0)
				sched_yield();
	}
	if (!port.engine_known)
		snprintf(error, error_bytes,
			"nobody on the port's network answers for the engine's address");
	return port.engine_known;
}

// "ADDRESS@DEVICE": our own IPv4 address, and what EAL is given.
enum presence_result port_dpdk_open(const char *device, const struct presence_options *options,
	struct presence_client **client, char *error, size_t error_bytes)
{
	const char *at = strchr(device, '@');
	struct port_client *c;
	char own[20] = "";

	*client = NULL;
	if (!port.open) {
		if (!at || at - device >= (long)sizeof own || !options->host) {
			snprintf(error, error_bytes,
				"a device is named ADDRESS@DEVICE, and the engine by --host with its IPv4 address");
			return PRESENCE_BAD_ARGUMENT;
		}
		memcpy(own, device, (size_t)(at - device));
		if (inet_pton(AF_INET, own, &port.own_ip) != 1 ||
			inet_pton(AF_INET, options->host, &port.engine_ip) != 1) {
			snprintf(error, error_bytes,
				"%s, %s: over a DPDK device both addresses are IPv4", own,
				options->host);
			return PRESENCE_BAD_ARGUMENT;
		}
		port.engine_port = options->port ? options->port : PRESENCE_PORT;
		if (!start_eal(at + 1, error, error_bytes))
			return PRESENCE_SYSTEM;
		if (!start_port(error, error_bytes) || !find_engine(error, error_bytes)) {
			stop_eal();
			return PRESENCE_SYSTEM;
		}
		port.open = true;
	}
	if (port.client_count == CLIENTS_MAX || !(c = calloc(1, sizeof *c)))
		return PRESENCE_MEMORY;
	c->udp_port = (uint16_t)(UDP_FIRST + (unsigned)getpid() % 8000 * 3 + port.client_count);
	port.clients[port.client_count++] = c;
	return presence_open_over(&port_transport, c, options, client);
}
