// The socket source: ordinary UDP sockets of the kernel, one a worker on the same port
// (SO_REUSEPORT keeps a sender's packets on one of them). Convenience, not speed: no privileges, no
// DPDK port. One system call a burst each way, no allocation after open.
//
// Where strangers are admitted a worker has a socket for each class of senders (socket_steer.h),
// each with its own queues in the kernel, and every class has its share of a burst: what a class
// leaves goes to those that have more. So neither a flood's backlog nor its turns are anybody
// else's.
#include "socket_steer.h"
#include "source.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

// a message and enough more to see that a datagram is longer than any message
#define RX_BYTES    1536
#define TX_SLOTS    128
#define TX_BYTES    1456 // PE_WIRE_BYTES_MAX, kept a multiple of 8
#define QUEUE_BYTES (4 << 20)

static_assert(RX_BYTES > PE_WIRE_BYTES_MAX && TX_BYTES >= PE_WIRE_BYTES_MAX && TX_BYTES % 8 == 0,
	"slots");

struct lane { // one worker's; only its thread touches it, but for fd and poll_fd, which are
	      // constant
	int fd[PE_STEER_CLASSES];
	int poll_fd; // readable when one of them is
	unsigned class_count;
	unsigned free_count, pending_count;
	uint16_t free[TX_SLOTS], pending[TX_SLOTS];
	struct mmsghdr rx[PE_BURST_MAX], tx[PE_BURST_MAX];
	struct iovec rx_part[PE_BURST_MAX], tx_part[PE_BURST_MAX];
	struct sockaddr_storage rx_from[PE_BURST_MAX], tx_to[TX_SLOTS];
	socklen_t tx_to_bytes[TX_SLOTS];
	uint32_t tx_bytes[TX_SLOTS];
	uint8_t tx_class[TX_SLOTS]; // of the socket that it leaves by
	_Alignas(64) uint8_t rx_data[PE_BURST_MAX][RX_BYTES];
	_Alignas(64) uint8_t tx_data[TX_SLOTS][TX_BYTES];
};

struct socket_source {
	struct pe_source source;
	unsigned lane_count, class_count;
	struct lane *lanes[PE_WORKERS_MAX];
};

static struct lane *lane_of(struct pe_source *source, unsigned worker)
{
	return ((struct socket_source *)source)->lanes[worker];
}

// Who sent it: false when the configuration does not admit the address.
static bool admit(
	const struct pe_source *source, const struct sockaddr_storage *from, struct pe_peer *peer)
{
	const struct pe_config *config = source->config;

	*peer = (struct pe_peer){.source = source->number};
	if (!pe_address_from_kernel(from, peer->address, &peer->port))
		return false;
	peer->trusted = pe_prefixes_hold(config->trusted, config->trusted_count, peer->address);
	return pe_prefixes_hold(config->admitted, config->admitted_count, peer->address);
}

// Up to max datagrams of a class, behind those of this turn that are there.
static unsigned take(struct lane *lane, unsigned class, unsigned at, unsigned max)
{
	int got;

	for (unsigned i = at; i < at + max; i++)
		lane->rx[i].msg_hdr.msg_namelen = sizeof lane->rx_from[i];
	// MSG_TRUNC in the call asks for the datagram's real length.
	got = recvmmsg(lane->fd[class], lane->rx + at, max, MSG_DONTWAIT | MSG_TRUNC, NULL);
	return got > 0 ? (unsigned)got : 0;
}

// Those that are known come first; each class has its part, whatever the others have, and then what
// they leave.
static unsigned take_shares(struct lane *lane, unsigned max)
{
	static const uint8_t order[PE_STEER_CLASSES] = {
		PE_STEER_KNOWN, PE_STEER_SEALED, PE_STEER_OTHER};
	unsigned part[PE_STEER_CLASSES] = {[PE_STEER_OTHER] = max / 4}, count = 0;
	bool more[PE_STEER_CLASSES] = {false};

	if (lane->class_count > PE_STEER_SEALED)
		part[PE_STEER_SEALED] = max / 4;
	part[PE_STEER_KNOWN] = max - part[PE_STEER_SEALED] - part[PE_STEER_OTHER];
	for (unsigned i = 0; i < PE_STEER_CLASSES; i++) {
		unsigned class = order[i], got;

		if (class >= lane->class_count || !part[class])
			continue;
		got = take(lane, class, count, part[class]);
		more[class] = got == part[class];
		count += got;
	}
	for (unsigned i = 0; i < PE_STEER_CLASSES && count < max; i++)
		if (more[order[i]])
			count += take(lane, order[i], count, max - count);
	return count;
}

static unsigned receive(struct pe_source *source, unsigned worker, bool fresh,
	struct pe_message *messages, unsigned max, unsigned *seen, struct pe_counters *counters)
{
	struct lane *lane = lane_of(source, worker);
	unsigned count = 0, denied = 0, long_count = 0;
	uint64_t bytes = 0;
	unsigned got;

	*seen = 0;
	if (!fresh)
		return 0;
	got = lane->class_count > 1 ? take_shares(lane, max) : take(lane, 0, 0, max);
	for (unsigned i = 0; i < got; i++) {
		struct pe_message *m = &messages[count];

		bytes += lane->rx[i].msg_len;
		if (!admit(source, &lane->rx_from[i], &m->peer)) {
			denied++;
		} else if (lane->rx[i].msg_len > PE_WIRE_BYTES_MAX) {
			long_count++;
		} else {
			m->data = lane->rx_data[i];
			m->bytes = lane->rx[i].msg_len;
			count++;
		}
	}
	if (!got)
		return 0;
	*seen = got;
	pe_count(counters, PE_COUNTER_rx_packets, got);
	pe_count(counters, PE_COUNTER_rx_bytes, bytes);
	if (denied)
		pe_count_reason(counters, PE_REASON_source_denied, denied);
	if (long_count)
		pe_count_reason(counters, PE_REASON_length, long_count);
	return count;
}

static void release(struct pe_source *source, unsigned worker)
{
}

static uint8_t *reserve(struct pe_source *source, unsigned worker, const struct pe_peer *peer)
{
	struct lane *lane = lane_of(source, worker);

	return lane->free_count ? lane->tx_data[lane->free[--lane->free_count]] : NULL;
}

static void flush(struct pe_source *source, unsigned worker, struct pe_counters *counters)
{
	struct lane *lane = lane_of(source, worker);
	unsigned done = 0, dropped = 0;

	while (done < lane->pending_count) {
		unsigned class = lane->tx_class[lane->pending[done]], burst = 0;
		int sent;

		for (; burst < PE_BURST_MAX && done + burst < lane->pending_count; burst++) {
			unsigned i = burst, slot = lane->pending[done + i];

			if (lane->tx_class[slot] != class)
				break;
			lane->tx_part[i] =
				(struct iovec){lane->tx_data[slot], lane->tx_bytes[slot]};
			lane->tx[i].msg_hdr.msg_name = &lane->tx_to[slot];
			lane->tx[i].msg_hdr.msg_namelen = lane->tx_to_bytes[slot];
		}
		sent = sendmmsg(lane->fd[class], lane->tx, burst, MSG_DONTWAIT);
		if (sent <= 0) { // the first of them cannot be sent; the others may
			dropped++;
			sent = 1;
		}
		done += (unsigned)sent;
	}
	for (unsigned i = 0; i < lane->pending_count; i++)
		lane->free[lane->free_count++] = lane->pending[i];
	lane->pending_count = 0;
	if (dropped)
		pe_count(counters, PE_COUNTER_tx_dropped, dropped);
}

static void commit(struct pe_source *source, unsigned worker, const struct pe_peer *peer,
	uint8_t *data, uint32_t bytes, struct pe_counters *counters)
{
	struct lane *lane = lane_of(source, worker);
	size_t slot = (size_t)(data - lane->tx_data[0]) / TX_BYTES;

	assert(slot < TX_SLOTS && bytes <= TX_BYTES);
	if (bytes == 0) {
		lane->free[lane->free_count++] = (uint16_t)slot;
		return;
	}
	lane->tx_to_bytes[slot] =
		pe_address_to_kernel(peer->address, peer->port, &lane->tx_to[slot]);
	lane->tx_bytes[slot] = bytes;
	// A queue of their own to send from, too.
	lane->tx_class[slot] =
		lane->class_count > 1 && peer->trusted ? PE_STEER_KNOWN : PE_STEER_OTHER;
	lane->pending[lane->pending_count++] = (uint16_t)slot;
	// A turn may answer with more messages than there are slots.
	if (lane->pending_count >= PE_BURST_MAX)
		flush(source, worker, counters);
}

static int wait_fd(const struct pe_source *source, unsigned worker)
{
	return ((const struct socket_source *)source)->lanes[worker]->poll_fd;
}

// Datagrams that the kernel dropped since no worker took them in time. They never reached the
// source, so they are in no identity.
static void report(const struct pe_source *source,
	void (*add)(void *context, const char *name, uint64_t value), void *context)
{
	const struct socket_source *s = (const struct socket_source *)source;
	static const char *const names[PE_STEER_CLASSES] = {
		"kernel_dropped_other", "kernel_dropped_known", "kernel_dropped_sealed"};
	uint64_t drops[PE_STEER_CLASSES] = {0}, all = 0;

	for (unsigned w = 0; w < s->lane_count; w++)
		for (unsigned c = 0; c < s->lanes[w]->class_count; c++) {
			uint32_t info[SK_MEMINFO_VARS];
			socklen_t bytes = sizeof info;

			if (getsockopt(s->lanes[w]->fd[c], SOL_SOCKET, SO_MEMINFO, info, &bytes) ==
					0 &&
				bytes > SK_MEMINFO_DROPS * sizeof info[0])
				drops[c] += info[SK_MEMINFO_DROPS];
		}
	for (unsigned c = 0; c < PE_STEER_CLASSES; c++)
		all += drops[c];
	add(context, "kernel_dropped", all);
	for (unsigned c = 0; s->class_count > 1 && c < s->class_count; c++)
		add(context, names[c], drops[c]);
}

static void close_source(struct pe_source *source)
{
	struct socket_source *s = (struct socket_source *)source;

	for (unsigned w = 0; w < s->lane_count; w++) {
		for (unsigned c = 0; c < s->lanes[w]->class_count; c++)
			if (s->lanes[w]->fd[c] >= 0)
				close(s->lanes[w]->fd[c]);
		if (s->lanes[w]->class_count > 1 && s->lanes[w]->poll_fd >= 0)
			close(s->lanes[w]->poll_fd);
		free(s->lanes[w]); // cold: stop
	}
	free(s); // cold: stop
}

static const struct pe_source_ops ops = {
	.receive = receive,
	.release = release,
	.reserve = reserve,
	.commit = commit,
	.flush = flush,
	.wait_fd = wait_fd,
	.report = report,
	.close = close_source,
};

// SO_REUSEPORT would let a second engine share the port in silence: the first socket asks for it
// without, which fails where anybody has it, and lets only ours join it afterwards.
static int open_socket(
	const struct sockaddr_storage *at, socklen_t at_bytes, bool first, bool others, int *fd)
{
	int one = 1, queue = QUEUE_BYTES;

	*fd = socket(at->ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	if (*fd < 0)
		return -1;
	if ((!first && setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) ||
		(at->ss_family == AF_INET6 &&
			setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0))
		return -1;
	// Best effort: the kernel caps both at net.core.rmem_max and wmem_max.
	(void)setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
	(void)setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &queue, sizeof queue);
	if (bind(*fd, (const struct sockaddr *)at, at_bytes) != 0)
		return -1;
	return first && others ? setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) : 0;
}

// Who sleeps waits for one descriptor.
static int join(struct lane *lane)
{
	lane->poll_fd = lane->fd[0];
	if (lane->class_count == 1)
		return 0;
	lane->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (lane->poll_fd < 0)
		return -1;
	for (unsigned c = 0; c < lane->class_count; c++) {
		struct epoll_event e = {.events = EPOLLIN};

		if (epoll_ctl(lane->poll_fd, EPOLL_CTL_ADD, lane->fd[c], &e) != 0)
			return -1;
	}
	return 0;
}

// Sockets are numbered in their group as they are bound: class by class.
static int open_lanes(
	struct socket_source *s, const struct sockaddr_storage *at, socklen_t at_bytes)
{
	struct sock_filter program[PE_STEER_PROGRAM_MAX];

	for (unsigned c = 0; c < s->class_count; c++)
		for (unsigned w = 0; w < s->lane_count; w++)
			if (open_socket(at, at_bytes, c == 0 && w == 0,
				    s->class_count * s->lane_count > 1, &s->lanes[w]->fd[c]) != 0)
				return errno;
	for (unsigned w = 0; w < s->lane_count; w++)
		if (join(s->lanes[w]) != 0)
			return errno;
	if (s->class_count > 1 &&
		!pe_steer_attach(s->lanes[0]->fd[0], program,
			pe_steer_program(s->source.config, at->ss_family == AF_INET, s->class_count,
				program)))
		pe_log(PE_LOG_WARNING,
			"%s: the kernel keeps strangers and others not apart (%s): what strangers send too much of, others lose too",
			s->source.where, strerror(errno));
	return 0;
}

static void prepare_lane(struct lane *lane)
{
	for (unsigned i = 0; i < PE_BURST_MAX; i++) {
		lane->rx_part[i] = (struct iovec){lane->rx_data[i], RX_BYTES};
		lane->rx[i].msg_hdr = (struct msghdr){
			.msg_name = &lane->rx_from[i],
			.msg_iov = &lane->rx_part[i],
			.msg_iovlen = 1,
		};
		lane->tx[i].msg_hdr =
			(struct msghdr){.msg_iov = &lane->tx_part[i], .msg_iovlen = 1};
	}
	for (unsigned i = 0; i < TX_SLOTS; i++)
		lane->free[lane->free_count++] = (uint16_t)(TX_SLOTS - 1 - i);
}

enum pe_status pe_socket_open(const struct pe_config *config, unsigned number,
	struct pe_source **source, struct pe_error *error)
{
	const struct pe_source_config *own = &config->sources[number];
	struct socket_source *s = calloc(1, sizeof *s); // cold: start
	struct sockaddr_storage at = {0};
	socklen_t at_bytes = pe_address_to_kernel(own->bind.address, own->port, &at);
	char where[PE_ADDRESS_TEXT];
	int failed;

	*error = (struct pe_error){.status = PE_NO_MEMORY};
	pe_address_print(own->bind.address, own->port, where);
	snprintf(error->text, sizeof error->text, "socket %s: no memory", where);
	if (!s)
		return PE_NO_MEMORY;
	s->source = (struct pe_source){
		.ops = &ops,
		.config = config,
		.own = own,
		.number = (uint8_t)number,
		.beyond_loopback = !pe_address_is_loopback(own->bind.address),
	};
	snprintf(s->source.where, sizeof s->source.where, "%s", where);
	s->class_count = pe_steer_class_count(config);
	for (unsigned w = 0; w < config->worker_count; w++) {
		struct lane *lane = aligned_alloc(64, (sizeof *lane + 63) / 64 * 64); // cold: start

		if (!lane)
			goto fail;
		memset(lane, 0, sizeof *lane);
		lane->class_count = s->class_count;
		lane->poll_fd = -1;
		for (unsigned c = 0; c < s->class_count; c++)
			lane->fd[c] = -1;
		s->lanes[s->lane_count++] = lane;
		prepare_lane(lane);
	}
	failed = open_lanes(s, &at, at_bytes);
	if (!failed) {
		*source = &s->source;
		error->status = PE_OK;
		return PE_OK;
	}
	error->status = failed == EACCES || failed == EPERM ? PE_UNSUPPORTED : PE_IO;
	snprintf(error->text, sizeof error->text, "cannot listen on %s: %s%s", where,
		strerror(failed),
		failed == EADDRINUSE ?
			"; see who does: ss -lunp" :
			failed == EADDRNOTAVAIL ?
			"; see the addresses of this machine: ip address" :
			failed == EACCES ?
			"; a port below net.ipv4.ip_unprivileged_port_start needs a right: "
			"setcap cap_net_bind_service+ep presenced, or take a higher port" :
			"");
fail:
	close_source(&s->source);
	return error->status;
}
