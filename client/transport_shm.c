// Datagrams through memory that is shared with an engine on the same machine (wire/shm_ring.h): the
// transport's table.
#include "client/shm_attach.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LOOK_CYCLES \
	(1u << 20) // between two looks at the socket: who looks all the time makes no system call
	           // each microsecond

// The eventfd's file is the engine's too, and with it the flag that says whether a write may wait:
// one that is full already will wake whoever reads it.
static void wake(struct shm *s)
{
	struct pollfd room = {.fd = s->event_fd, .events = POLLOUT};
	const uint64_t one = 1;

	pe_shm_ahead(&s->up);
	if (pe_shm_rouse(&s->up) && poll(&room, 1, 0) == 1 && room.revents == POLLOUT)
		(void)!write(s->event_fd, &one, sizeof one);
}

static uint8_t *shm_reserve(void *context)
{
	struct shm *s = context;
	bool broken = false;

	if (!shm_ready(s))
		return NULL;
	s->reserved = pe_shm_reserve(&s->up, PE_WIRE_BYTES_MAX, &broken);
	if (!s->reserved) {
		wake(s);
		shm_look_at_socket(s);
		if (broken)
			shm_detach(s);
	}
	return s->reserved;
}

static bool shm_commit(void *context, uint8_t *data, uint32_t bytes)
{
	struct shm *s = context;

	if (data != s->reserved || !data) // detached meanwhile
		return false;
	s->reserved = NULL;
	if (bytes)
		pe_shm_commit(&s->up, bytes);
	return true;
}

static bool shm_put(void *context, uint8_t *data, const uint8_t *message, uint32_t bytes)
{
	struct shm *s = context;

	if (data != s->reserved || !data) // detached meanwhile
		return false;
	s->reserved = NULL;
	pe_shm_put(&s->up, data, message, bytes);
	return true;
}

static void shm_flush(void *context)
{
	struct shm *s = context;

	if (s->fd >= 0)
		wake(s);
}

static int shm_send(void *context, const struct iovec *messages, unsigned count)
{
	struct shm *s = context;
	unsigned done = 0;

	for (; done < count; done++) {
		uint8_t *to;

		if (messages[done].iov_len == 0 || messages[done].iov_len > PE_WIRE_BYTES_MAX) {
			errno = EMSGSIZE;
			if (!done)
				return -1;
			break;
		}
		to = shm_reserve(s);
		if (!to)
			break;
		(void)shm_put(s, to, messages[done].iov_base, (uint32_t)messages[done].iov_len);
	}
	shm_flush(s);
	return (int)done;
}

// What is in the ring now; −1: the engine has written what no engine writes.
static int take(struct shm *s, struct iovec *messages, unsigned count)
{
	uint64_t begin = s->down.head;
	unsigned came = 0;
	int bytes = 0;

	for (; came < count; came++) {
		const uint8_t *data;

		bytes = pe_shm_take(&s->down, &data);
		if (bytes <= 0)
			break;
		memcpy(messages[came].iov_base, data,
			(size_t)bytes < messages[came].iov_len ? (size_t)bytes :
								 messages[came].iov_len);
		messages[came].iov_len = (size_t)bytes;
	}
	if (s->down.head != begin)
		pe_shm_release(&s->down);
	if (bytes < 0)
		shm_detach(s);
	return (int)came;
}

static bool long_not_looked(struct shm *s)
{
	s->empty = 0;
	return __builtin_ia32_rdtsc() - s->looked >= LOOK_CYCLES;
}

// The time for the socket is receive's to find.
static bool shm_silent(void *context)
{
	struct shm *s = context;

	if (s->fd < 0 || s->waits || pe_shm_glance(&s->down) || s->empty >= SHM_LOOK_EMPTY)
		return false;
	s->empty++;
	return true;
}

static int shm_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	struct shm *s = context;
	struct pollfd wait[2];
	int came;

	if (!shm_ready(s)) {
		uint64_t times;

		(void)!read(s->timer_fd, &times, sizeof times);
		wait[0] = (struct pollfd){.fd = s->knock_fd, .events = POLLIN};
		if (timeout_ms > 0)
			(void)poll(wait, 1,
				timeout_ms < SHM_REATTACH_MS ? timeout_ms : SHM_REATTACH_MS);
		return 0;
	}
	came = take(s, messages, count);
	if (came || s->fd < 0)
		return came;
	if (timeout_ms <= 0) {
		if (s->waits || (++s->empty >= SHM_LOOK_EMPTY && long_not_looked(s)))
			shm_look_at_socket(s);
		if (s->fd < 0 || !s->waits || pe_shm_drowse(&s->down))
			return 0;
		pe_shm_arise(&s->down);
		return take(s, messages, count);
	}
	wake(s);
	if (pe_shm_drowse(&s->down)) {
		wait[0] = (struct pollfd){.fd = s->fd, .events = POLLIN};
		wait[1] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
		(void)poll(wait, 2, timeout_ms);
	}
	pe_shm_arise(&s->down);
	shm_look_at_socket(s);
	return s->fd < 0 ? 0 : take(s, messages, count);
}

// Who waits on the descriptor is woken for what comes from now on.
static int shm_descriptor(const void *context)
{
	struct shm *s = (struct shm *)context;
	const uint64_t one = 1;

	s->waits = true;
	if (s->fd >= 0 && !pe_shm_drowse(&s->down))
		(void)!write(s->self_fd, &one, sizeof one);
	return s->descriptor;
}

static void free_shm(struct shm *s)
{
	const int fds[] = {s->descriptor, s->self_fd, s->timer_fd, s->knock_fd};

	for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(s);
}

static bool open_descriptor(struct shm *s)
{
	struct epoll_event in = {.events = EPOLLIN};

	s->descriptor = epoll_create1(EPOLL_CLOEXEC);
	s->self_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return s->descriptor >= 0 && s->self_fd >= 0 && s->timer_fd >= 0 &&
		epoll_ctl(s->descriptor, EPOLL_CTL_ADD, s->self_fd, &in) == 0 &&
		epoll_ctl(s->descriptor, EPOLL_CTL_ADD, s->timer_fd, &in) == 0;
}

static void shm_close(void *context)
{
	struct shm *s = context;

	if (s->fd >= 0)
		wake(s);
	// First, so that a child that only closes takes nothing off what its parent waits on.
	close(s->descriptor);
	s->descriptor = -1;
	shm_detach(s);
	free_shm(s);
}

static uint64_t shm_attached(const void *context)
{
	return ((const struct shm *)context)->attached;
}

static void shm_known_as(const void *context, uint8_t id[16])
{
	memcpy(id, ((const struct shm *)context)->principal_id, 16);
}

static bool shm_describe(const void *context, char *text, size_t size)
{
	const struct shm *s = context;

	snprintf(text, size, "shm://%s", s->at.sun_path);
	return s->fd < 0;
}

static const char *shm_why_nobody(const void *context)
{
	const struct shm *s = context;

	return s->fd < 0 && s->why[0] ? s->why : NULL;
}

const struct presence_transport presence_shm = {
	.send = shm_send,
	.receive = shm_receive,
	.descriptor = shm_descriptor,
	.close = shm_close,
	.reserve = shm_reserve,
	.commit = shm_commit,
	.put = shm_put,
	.silent = shm_silent,
	.flush = shm_flush,
	.attached = shm_attached,
	.describe = shm_describe,
	.known_as = shm_known_as,
	.why_nobody = shm_why_nobody,
};

enum presence_result presence_shm_open(const char *path, const struct presence_options *options,
	void **context, char *error, size_t error_bytes)
{
	struct shm *s;
	enum presence_result result;

	*context = NULL;
	if (path[0] != '/' || strlen(path) >= sizeof s->at.sun_path) {
		snprintf(error, error_bytes,
			"shm://%s: must be a whole path of at most %zu bytes, as in "
			"shm:///run/presence/presence.sock",
			path, sizeof s->at.sun_path - 1);
		return PRESENCE_BAD_ARGUMENT;
	}
	s = calloc(1, sizeof *s);
	if (!s) {
		snprintf(error, error_bytes, "no memory for a ring");
		return PRESENCE_MEMORY;
	}
	s->at.sun_family = AF_UNIX;
	memcpy(s->at.sun_path, path, strlen(path));
	s->fd = s->event_fd = s->wake_fd = s->knock_fd = s->descriptor = s->self_fd = s->timer_fd =
		-1;
	for (s->ring_bytes = PE_SHM_RING_BYTES_MIN;
		s->ring_bytes < options->buffer_bytes && s->ring_bytes < PE_SHM_RING_BYTES_MAX;)
		s->ring_bytes *= 2;
	if (!options->buffer_bytes)
		s->ring_bytes = 0;
	if (!open_descriptor(s)) {
		snprintf(error, error_bytes, "no descriptor to wait on: %s", strerror(errno));
		result = PRESENCE_SYSTEM;
	} else {
		result = shm_attach(s, error, error_bytes);
	}
	if (result) {
		int kept = errno;

		free_shm(s);
		errno = kept;
		return result;
	}
	*context = s;
	return PRESENCE_OK;
}
