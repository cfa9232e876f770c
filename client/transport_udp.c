#include "client/transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH_MAX 64

struct udp {
	int fd;
	bool refused; // by the last datagram's destination, which has said nothing since
	char peer[160];
};

static int udp_send(void *context, const struct iovec *messages, unsigned count)
{
	struct udp *udp = context;
	struct mmsghdr headers[BATCH_MAX];
	int sent;

	if (count > BATCH_MAX)
		count = BATCH_MAX;
	memset(headers, 0, count * sizeof headers[0]);
	for (unsigned i = 0; i < count; i++) {
		headers[i].msg_hdr.msg_iov = (struct iovec *)&messages[i];
		headers[i].msg_hdr.msg_iovlen = 1;
	}
	// A connected socket reports an earlier datagram's "port unreachable" here once; the
	// datagram at hand is then not sent. One more try, so that an engine that has just started
	// is not missed.
	for (int turn = 0; turn < 2; turn++) {
		sent = sendmmsg(udp->fd, headers, count, MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		udp->refused |= errno == ECONNREFUSED;
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
			return 0;
		if (errno != ECONNREFUSED && errno != EINTR)
			return -1;
	}
	return errno == EINTR ? 0 : -1;
}

static int udp_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	struct udp *udp = context;
	struct mmsghdr headers[BATCH_MAX];
	int came;

	if (count > BATCH_MAX)
		count = BATCH_MAX;
	memset(headers, 0, count * sizeof headers[0]);
	for (unsigned i = 0; i < count; i++) {
		headers[i].msg_hdr.msg_iov = &messages[i];
		headers[i].msg_hdr.msg_iovlen = 1;
	}
	came = recvmmsg(udp->fd, headers, count, MSG_DONTWAIT | MSG_TRUNC, NULL);
	if (came < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && timeout_ms > 0) {
		struct pollfd wait = {.fd = udp->fd, .events = POLLIN};

		if (poll(&wait, 1, timeout_ms) <= 0)
			return 0;
		came = recvmmsg(udp->fd, headers, count, MSG_DONTWAIT | MSG_TRUNC, NULL);
	}
	if (came < 0) {
		udp->refused |= errno == ECONNREFUSED;
		// Refused: nobody listens at the moment. To the caller that is silence: the next
		// attempt may be luckier.
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ||
				errno == ECONNREFUSED ?
			0 :
			-1;
	}
	udp->refused &= came == 0;
	for (int i = 0; i < came; i++)
		messages[i].iov_len = headers[i].msg_len;
	return came;
}

static int udp_descriptor(const void *context)
{
	return ((const struct udp *)context)->fd;
}

static void udp_close(void *context)
{
	close(((struct udp *)context)->fd);
	free(context);
}

static bool udp_describe(const void *context, char *text, size_t size)
{
	const struct udp *udp = context;

	snprintf(text, size, "%s", udp->peer);
	return udp->refused;
}

const struct presence_transport presence_udp = {
	.send = udp_send,
	.receive = udp_receive,
	.descriptor = udp_descriptor,
	.close = udp_close,
	.describe = udp_describe,
};

// A name may have several addresses, of which one is spoken to: both are said.
static void name_peer(struct udp *udp, const char *host, const char *port)
{
	struct sockaddr_storage at;
	socklen_t bytes = sizeof at;
	char address[64] = "";

	if (getpeername(udp->fd, (struct sockaddr *)&at, &bytes) != 0 ||
		getnameinfo((struct sockaddr *)&at, bytes, address, sizeof address, NULL, 0,
			NI_NUMERICHOST) != 0 ||
		strcmp(address, host) == 0)
		snprintf(udp->peer, sizeof udp->peer, "%.60s port %s", host, port);
	else
		snprintf(udp->peer, sizeof udp->peer, "%.60s (%s) port %s", host, address, port);
}

enum presence_result presence_udp_open(
	const struct presence_options *options, void **context, char *error, size_t error_bytes)
{
	const char *host = options->host ? options->host : "127.0.0.1";
	struct addrinfo wish = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM}, *list = NULL;
	int buffer_bytes = options->buffer_bytes ? (int)options->buffer_bytes : 4 << 20;
	char port[8];
	struct udp *udp;
	int code, fd = -1, failure = 0;

	*context = NULL;
	snprintf(port, sizeof port, "%u", options->port ? options->port : PRESENCE_PORT);
	code = getaddrinfo(host, port, &wish, &list);
	if (code) {
		snprintf(error, error_bytes,
			"cannot resolve %s: %s; name a host that `getent hosts` knows, or an address",
			host, code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
		return PRESENCE_SYSTEM;
	}
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			failure = errno;
			close(fd);
			fd = -1;
		} else if (fd < 0) {
			failure = errno;
		}
	}
	freeaddrinfo(list);
	if (fd < 0) {
		snprintf(error, error_bytes,
			"cannot open a UDP socket to %s port %s: %s; see that `ip route get` knows a way "
			"there, and that `ulimit -n` leaves room",
			host, port, strerror(failure));
		errno = failure;
		return PRESENCE_SYSTEM;
	}
	// Smaller buffers than wished still work.
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
	udp = malloc(sizeof *udp);
	if (!udp) {
		close(fd);
		snprintf(error, error_bytes, "no memory for a socket");
		return PRESENCE_MEMORY;
	}
	udp->fd = fd;
	udp->refused = false;
	name_peer(udp, host, port);
	*context = udp;
	return PRESENCE_OK;
}
