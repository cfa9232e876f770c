#include "ethdev.h"

#include "socket_steer.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEER_RING 1024
#define POOL_CACHE 128
#define ANSWERS    (PE_BURST_MAX * 4) // written or queued, beyond the descriptors
#define WHY_BYTES  256

static void report(const struct pe_source *source,
	void (*add)(void *context, const char *name, uint64_t value), void *context)
{
	const struct pe_ethdev *e = (const struct pe_ethdev *)source;
	struct rte_eth_stats stats = {0};

	if (rte_eth_stats_get(e->port_id, &stats) != 0)
		return;
	add(context, "rx_missed", stats.imissed);
	add(context, "rx_errors", stats.ierrors);
	add(context, "rx_no_buffer", stats.rx_nombuf);
	add(context, "tx_errors", stats.oerrors);
	if (e->class_count > 1 && pe_port_steer_made(e->steer)) {
		uint64_t known = 0, other = 0;

		for (unsigned w = 0; w < e->rx_queues; w++) {
			known += atomic_load_explicit(
				&e->lanes[w].known_frames, memory_order_relaxed);
			other += atomic_load_explicit(
				&e->lanes[w].other_frames, memory_order_relaxed);
		}
		add(context, "rx_known", known);
		add(context, "rx_other", other);
		add(context, "steer_rules", pe_port_steer_made(e->steer));
	}
}

static int wait_fd(const struct pe_source *source, unsigned worker)
{
	return -1;
}

static void free_ring(struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

static void close_source(struct pe_source *source)
{
	struct pe_ethdev *e = (struct pe_ethdev *)source;

	if (e->started && e->steer)
		pe_port_steer_destroy(e->steer);
	if (e->started)
		(void)rte_eth_dev_stop(e->port_id);
	if (rte_eth_dev_is_valid_port(e->port_id))
		(void)rte_eth_dev_close(e->port_id);
	for (unsigned w = 0; w < e->lane_count; w++)
		free_ring(e->lanes[w].steered);
	free_ring(e->handed);
	for (unsigned w = 0; w < e->lane_count; w++) {
		rte_mempool_free(e->lanes[w].pool);
		rte_free(e->lanes[w].routes);
	}
	rte_free(e->steer);
	rte_free(e);
}

static const struct pe_source_ops ops = {
	.receive = pe_ethdev_receive,
	.release = pe_ethdev_release,
	.reserve = pe_ethdev_reserve,
	.commit = pe_ethdev_commit,
	.keep = pe_ethdev_keep,
	.drop = pe_ethdev_drop,
	.flush = pe_ethdev_flush,
	.wait_fd = wait_fd,
	.report = report,
	.close = close_source,
};

__attribute__((format(printf, 3, 4))) static enum pe_status fail(
	struct pe_error *error, const struct pe_source_config *own, const char *format, ...)
{
	size_t used =
		(size_t)snprintf(error->text, sizeof error->text, "ethdev %.120s: ", own->device);
	va_list args;

	va_start(args, format);
	vsnprintf(error->text + used, sizeof error->text - used, format, args);
	va_end(args);
	return error->status = PE_IO;
}

static bool raw_sockets_allowed(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool allowed = fd >= 0 || errno != EPERM;

	if (fd >= 0)
		close(fd);
	return allowed;
}

static enum pe_status find_port(struct pe_ethdev *e, struct pe_error *error)
{
	const struct pe_source_config *own = e->source.own;
	char name[sizeof own->device];

	snprintf(name, sizeof name, "%s", own->device);
	name[strcspn(name, ",")] = '\0';
	if (rte_eth_dev_get_port_by_name(name, &e->port_id) == 0)
		return PE_OK;
	e->port_id = RTE_MAX_ETHPORTS;
	if (strncmp(name, "net_af_", 7) == 0 && !raw_sockets_allowed()) {
		(void)fail(error, own,
			"a raw socket is not ours to open (CAP_NET_RAW; af_xdp needs CAP_NET_ADMIN and CAP_BPF too): "
			"setcap cap_net_raw,cap_net_admin,cap_bpf+ep presenced, or run as root");
		return error->status = PE_UNSUPPORTED;
	}
	return fail(error, own,
		"DPDK has no such port; it knows %u. A NIC must be bound to vfio-pci (dpdk-devbind.py --status), a "
		"vdev needs its interface or file (log: debug shows what EAL says)",
		rte_eth_dev_count_avail());
}

// One queue a worker where the port spreads packets itself, or where the configuration says that it
// does.
static void choose_queues(struct pe_ethdev *e, const struct rte_eth_dev_info *info)
{
	unsigned asked = e->source.own->queues;
	bool spreads = info->flow_type_rss_offloads != 0 || asked >= e->lane_count;

	e->rx_queues =
		spreads && info->max_rx_queues >= e->lane_count && asked != 1 ? e->lane_count : 1;
	e->tx_queues = info->max_tx_queues >= e->lane_count ? e->lane_count : 1;
}

static enum pe_status make_pools(struct pe_ethdev *e, int socket, struct pe_error *error)
{
	const struct pe_source_config *own = e->source.own;
	unsigned room = RTE_PKTMBUF_HEADROOM + RTE_MAX(own->mtu + 64, 2048u);
	unsigned count = own->descriptors * (1 + e->class_count) + ANSWERS + PE_BURST_MAX * 2 +
		POOL_CACHE * 2;

	// Worker 0 receives for those without a queue: what lies in their rings is of its pool.
	for (unsigned w = 0; w < e->lane_count; w++) {
		unsigned more = w == 0 && e->rx_queues < e->lane_count ?
			STEER_RING * (e->lane_count - 1) :
			0;
		char name[RTE_MEMPOOL_NAMESIZE];

		snprintf(name, sizeof name, "presence-%u-%u", e->source.number, w);
		e->lanes[w].pool = rte_pktmbuf_pool_create(
			name, count + more, POOL_CACHE, PE_ETHDEV_PRIVATE, (uint16_t)room, socket);
		if (!e->lanes[w].pool)
			return fail(error, own,
				"no memory for %u packet buffers of worker %u (%s): raise memory.socket_mem_mb "
				"(%" PRIu32 ")",
				count + more, w, rte_strerror(rte_errno),
				e->source.config->dpdk_mb);
		if (!e->source.config->engine.fence_count_max)
			continue;
		// A way back to each subscriber that the engine may have.
		e->lanes[w].route_count = e->source.config->engine.subscription_count_max ?
			e->source.config->engine.subscription_count_max :
			PE_SUBSCRIPTIONS_DEFAULT;
		e->lanes[w].routes = rte_zmalloc_socket("presence-routes",
			e->lanes[w].route_count * sizeof(struct pe_ethdev_route), 0, socket);
		if (!e->lanes[w].routes)
			return fail(error, own,
				"no memory for the ways back to %u subscribers: lower memory.subscriptions",
				e->lanes[w].route_count);
	}
	return PE_OK;
}

static enum pe_status make_rings(struct pe_ethdev *e, int socket, struct pe_error *error)
{
	char name[RTE_RING_NAMESIZE];

	for (unsigned w = 1; e->rx_queues < e->lane_count && w < e->lane_count; w++) {
		snprintf(name, sizeof name, "steer-%u-%u", e->source.number, w);
		e->lanes[w].steered =
			rte_ring_create(name, STEER_RING, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!e->lanes[w].steered)
			return fail(error, e->source.own, "no memory for a ring: %s",
				rte_strerror(rte_errno));
	}
	if (e->tx_queues < e->lane_count) {
		snprintf(name, sizeof name, "handed-%u", e->source.number);
		e->handed = rte_ring_create(name, STEER_RING, socket, RING_F_SC_DEQ);
		if (!e->handed)
			return fail(error, e->source.own, "no memory for a ring: %s",
				rte_strerror(rte_errno));
	}
	return PE_OK;
}

static enum pe_status configure(
	struct pe_ethdev *e, const struct rte_eth_dev_info *info, struct pe_error *error)
{
	const uint64_t tx_sums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	const uint64_t rx_sums = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
	const struct pe_source_config *own = e->source.own;
	struct rte_eth_conf conf = {.rxmode.mtu = own->mtu};
	uint16_t rx_descriptors = (uint16_t)own->descriptors, tx_descriptors = rx_descriptors;
	int failed, socket = rte_eth_dev_socket_id(e->port_id);
	unsigned queues = e->rx_queues * e->class_count, tx_queues = e->tx_queues;

	conf.rxmode.offloads = info->rx_offload_capa & rx_sums;
	e->tx_checksums = (info->tx_offload_capa & tx_sums) == tx_sums;
	conf.txmode.offloads = e->tx_checksums ? tx_sums : 0;
	if (queues > 1 && info->flow_type_rss_offloads) {
		const uint64_t by_port = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP;

		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & by_port;
	}
	failed = rte_eth_dev_configure(e->port_id, (uint16_t)queues, (uint16_t)tx_queues, &conf);
	// Some drivers (tap) want as many of either kind: the others stay unused.
	if (failed && e->class_count > 1 && info->max_tx_queues >= queues) {
		tx_queues = queues;
		failed = rte_eth_dev_configure(
			e->port_id, (uint16_t)queues, (uint16_t)tx_queues, &conf);
	}
	if (failed && info->max_mtu < own->mtu)
		return fail(
			error, own, "takes an MTU of at most %u, not %u", info->max_mtu, own->mtu);
	if (failed)
		return fail(error, own, "cannot be configured: %s", rte_strerror(-failed));
	failed = rte_eth_dev_adjust_nb_rx_tx_desc(e->port_id, &rx_descriptors, &tx_descriptors);
	for (unsigned q = 0; !failed && q < queues; q++)
		failed = rte_eth_rx_queue_setup(e->port_id, (uint16_t)q, rx_descriptors,
			socket < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)socket, NULL,
			e->lanes[q % e->rx_queues].pool);
	for (unsigned q = 0; !failed && q < tx_queues; q++)
		failed = rte_eth_tx_queue_setup(e->port_id, (uint16_t)q, tx_descriptors,
			socket < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)socket, NULL);
	if (failed)
		return fail(error, own, "a queue cannot be made: %s", rte_strerror(-failed));
	return PE_OK;
}

static enum pe_status start(struct pe_ethdev *e, struct pe_error *error)
{
	int failed = rte_eth_dev_start(e->port_id);

	if (failed)
		return fail(error, e->source.own, "does not start: %s", rte_strerror(-failed));
	e->started = true;
	// Neighbour solicitations come by multicast.
	if (e->local.v6_count && rte_eth_allmulticast_enable(e->port_id) != 0 &&
		rte_eth_promiscuous_enable(e->port_id) != 0)
		pe_log(PE_LOG_WARNING,
			"%s: no multicast: other machines may not find its IPv6 addresses",
			e->source.own->device);
	return PE_OK;
}

// Two queues a worker, if there is anybody to keep apart and the port takes rules for that;
// *why_not otherwise, or "".
static bool wants_two(struct pe_ethdev *e, const struct rte_eth_dev_info *info, char *why_not)
{
	const struct pe_source_config *own = e->source.own;

	why_not[0] = '\0';
	if (own->steer == PE_PORT_STEER_OFF)
		return false;
	e->steer = rte_zmalloc("presence-port-steer", sizeof *e->steer, 0);
	if (!e->steer)
		return false;
	*e->steer = (struct pe_port_steer){.port_id = e->port_id,
		.udp_port = own->port,
		.vlan = (uint16_t)own->vlan,
		.lanes = (uint16_t)e->rx_queues,
		.rss = info->flow_type_rss_offloads,
		.reta_size = info->flow_type_rss_offloads ? info->reta_size : 0};
	if (!pe_port_steer_plan(e->source.config, own, e->steer)) {
		if (own->steer == PE_PORT_STEER_ON)
			snprintf(why_not, WHY_BYTES,
				"trusted and admitted leave nobody to keep apart");
		return false;
	}
	if (info->max_rx_queues < e->rx_queues * 2) {
		snprintf(why_not, WHY_BYTES, "it has %u receive queues, and two a worker are %u%s",
			info->max_rx_queues, e->rx_queues * 2,
			e->rx_queues > 1 ? " (queues: 1 would do with two in all)" : "");
		return false;
	}
	return true;
}

static enum pe_status cannot_steer(struct pe_ethdev *e, const char *why_not, struct pe_error *error)
{
	if (e->source.own->steer == PE_PORT_STEER_ON)
		return fail(error, e->source.own,
			"steer is on, but the port cannot: %s. With auto it runs without", why_not);
	pe_log(PE_LOG_INFO, "%.120s cannot steer: %s; whoever sends shares the workers' queues",
		e->source.own->device, why_not);
	return PE_OK;
}

// Buffers and queues: with rules for the known where the port says that it takes them, else
// without.
static enum pe_status lay_out(
	struct pe_ethdev *e, const struct rte_eth_dev_info *info, struct pe_error *error)
{
	int socket = rte_eth_dev_socket_id(e->port_id);
	char why_not[WHY_BYTES];
	bool none = false;
	unsigned missing;

	e->class_count = wants_two(e, info, why_not) ? 2 : 1;
	if (why_not[0] && cannot_steer(e, why_not, error) != PE_OK)
		return error->status;
	if (make_pools(e, socket, error) != PE_OK || make_rings(e, socket, error) != PE_OK)
		return error->status;
	if (e->class_count == 1)
		return configure(e, info, error);
	if (configure(e, info, error) == PE_OK) {
		missing = pe_port_steer_validate(e->steer, &none);
		if (!none && (!missing || e->source.own->steer != PE_PORT_STEER_ON))
			return PE_OK;
		snprintf(why_not, sizeof why_not, "%s", e->steer->why);
	} else {
		snprintf(why_not, sizeof why_not, "%.200s", error->text);
	}
	if (cannot_steer(e, why_not, error) != PE_OK)
		return error->status;
	error->status = PE_OK;
	e->class_count = 1;
	return configure(e, info, error);
}

// The rules, now that the port runs. Its queues stay as they are, whatever comes of it: each of
// them is looked at.
static enum pe_status set_rules(struct pe_ethdev *e, struct pe_error *error)
{
	unsigned missing;
	bool none;

	if (e->class_count == 1)
		return PE_OK;
	missing = pe_port_steer_create(e->steer, &none);
	if (none || (missing && e->source.own->steer == PE_PORT_STEER_ON)) {
		pe_port_steer_destroy(e->steer);
		return cannot_steer(e, e->steer->why, error);
	}
	if (missing)
		pe_log(PE_LOG_WARNING,
			"%s steers in part: %u of its rules are missing: %s; who they are for shares the strangers' queues",
			e->source.where, missing, e->steer->why);
	pe_log(PE_LOG_INFO, "%s steers: %u rules give those that are known queues of their own%s",
		e->source.where, pe_port_steer_made(e->steer),
		e->steer->by_prefix ? ", each prefix at one worker" : "");
	return PE_OK;
}

static enum pe_status name_addresses(struct pe_ethdev *e, struct pe_error *error)
{
	const struct pe_source_config *own = e->source.own;
	struct pe_net_local *local = &e->local;
	struct rte_ether_addr mac;
	size_t used;
	int failed = rte_eth_macaddr_get(e->port_id, &mac);

	if (failed)
		return fail(error, own, "has no MAC address: %s", rte_strerror(-failed));
	memcpy(local->mac, mac.addr_bytes, 6);
	local->vlan = (uint16_t)own->vlan;
	local->port = own->port;
	used = (size_t)snprintf(e->source.where, sizeof e->source.where, "%.*s",
		(int)strcspn(own->device, ","), own->device);
	for (unsigned i = 0; i < own->address_count; i++) {
		const uint8_t *address = own->addresses[i].address;
		char text[PE_ADDRESS_TEXT];

		if (pe_address_is_v4(address))
			pe_net_add_v4(local, address + 12, own->addresses[i].bits - 96u);
		else
			memcpy(local->v6[local->v6_count++], address, 16);
		pe_address_print(address, own->port, text);
		if (used < sizeof e->source.where)
			used += (size_t)snprintf(
				e->source.where + used, sizeof e->source.where - used, " %s", text);
	}
	// Neighbours speak IPv6 from and to link-local addresses, whatever else there is.
	if (local->v6_count)
		pe_net_link_local(local->mac, local->v6[local->v6_count++]);
	return PE_OK;
}

enum pe_status pe_ethdev_open(const struct pe_config *config, unsigned number,
	struct pe_source **source, struct pe_error *error)
{
	const struct pe_source_config *own = &config->sources[number];
	struct pe_ethdev *e = rte_zmalloc("presence-ethdev", sizeof *e, RTE_CACHE_LINE_SIZE);
	struct rte_eth_dev_info info;
	int failed;

	if (!e)
		return fail(error, own, "no memory: raise memory.socket_mem_mb");
	e->source = (struct pe_source){
		.ops = &ops,
		.config = config,
		.own = own,
		.number = (uint8_t)number,
		.beyond_loopback = true,
	};
	e->lane_count = config->worker_count;
	e->port_id = RTE_MAX_ETHPORTS;
	if (find_port(e, error) != PE_OK)
		goto fail;
	failed = rte_eth_dev_info_get(e->port_id, &info);
	if (failed) {
		(void)fail(error, own, "does not describe itself: %s", rte_strerror(-failed));
		goto fail;
	}
	e->sessions = config->keyring[0] != '\0';
	e->strangers = pe_steer_class_count(config) > 1;
	if (getrandom(&e->steer_seed, sizeof e->steer_seed, 0) != sizeof e->steer_seed)
		e->steer_seed = 1; // spreads as well; only easier to foresee
	choose_queues(e, &info);
	if (lay_out(e, &info, error) != PE_OK || name_addresses(e, error) != PE_OK ||
		start(e, error) != PE_OK || set_rules(e, error) != PE_OK)
		goto fail;
	pe_log(PE_LOG_INFO, "%s: driver %s, %u receive and %u send queues, checksums %s",
		e->source.where, info.driver_name, e->rx_queues * e->class_count, e->tx_queues,
		e->tx_checksums ? "by the device" : "by us");
	*source = &e->source;
	return PE_OK;
fail:
	close_source(&e->source);
	return error->status;
}
