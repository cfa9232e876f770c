// Datagrams through memory that is shared with an engine on the same machine (wire/shm_ring.h). The ring is attached
// again by itself when the engine ends and another one listens.
#include "client/transport.h"
#include "wire/shm_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ATTACH_MS   2000 // for the engine to answer a hello
#define REATTACH_MS 20   // between two attempts to find an engine
#define LOOK_EMPTY  64   // empty looks, at least, between two at the socket
#define LOOK_CYCLES \
	(1u << 20) // and cycles of the processor's counter: who looks all the time makes no system call each microsecond
#define DRAIN_BYTES 256
#define FDS         3 // that come with a welcome, at most

struct shm {
	struct sockaddr_un at;
	uint32_t ring_bytes; // wished; 0 = as the engine likes
	uint8_t space_id[16];
	uint8_t principal_id[16]; // who we are, as of the last time that the ring was attached
	// What callers wait on, an epoll over the next three and wake_fd: it stays the same when the ring is attached again.
	int descriptor;
	int fd;       // its end is the ring's; −1: not attached
	int self_fd;  // an eventfd: something lay there already when the caller was about to wait
	int timer_fd; // not attached: time to try again
	// the caller has asked for the descriptor: it may sleep after any look that finds nothing
	bool waits;
	int event_fd; // wakes the engine
	// woken by the engine, with its own epoll; −1: by bytes on fd, as version 1 does
	int wake_fd;
	void *memory;
	uint64_t memory_bytes;
	struct pe_shm_tx up;
	struct pe_shm_rx down;
	uint64_t attached; // times
	int knock_fd;      // not attached: a hello was said, and is not yet answered; −1: none
	uint64_t knock_until_ms;
	uint64_t next_ms;  // not attached: when to try again
	unsigned empty;    // looks without a message since the last one at the socket
	uint64_t looked;   // the processor's counter then
	uint8_t *reserved; // in the ring, being filled
};

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set_timer(struct shm *s, unsigned ms)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = ms * 1000000l, .it_value.tv_nsec = ms * 1000000l};

	(void)timerfd_settime(s->timer_fd, 0, &every, NULL);
}

static void detach(struct shm *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	close(s->event_fd);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	munmap(s->memory, s->memory_bytes);
	s->fd = s->event_fd = s->wake_fd = -1;
	s->memory = NULL;
	s->reserved = NULL;
	s->next_ms = clock_ms() + 1;
	set_timer(s, REATTACH_MS);
}

// ---- the handshake ----

static const char *answer_text(unsigned answer)
{
	static const char *const texts[PE_SHM_ANSWERS] = {
		[PE_SHM_MALFORMED] =
			"the engine does not understand the greeting: is it of another version?",
		[PE_SHM_VERSION_UNKNOWN] = "the engine speaks another version of rings",
		[PE_SHM_SIZE] = "no ring has such a size: a power of two from 16 KiB to 64 MiB",
		[PE_SHM_SPACE] = "the engine has no such space",
		[PE_SHM_DENIED] =
			"this user is not admitted: allow_uids or allow_gids of the engine's ring source",
		[PE_SHM_FULL] =
			"the engine has as many clients as its ring source allows (clients)",
		[PE_SHM_NO_MEMORY] = "the engine has no memory for another ring",
	};

	return answer < PE_SHM_ANSWERS && texts[answer] ? texts[answer] : "refused";
}

// The reply and its descriptors (−1: none). Its bytes, or −1 with errno.
static ssize_t read_welcome(int fd, struct pe_shm_welcome *welcome, int fds[FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS * sizeof(int))];
	} control;
	struct iovec part = {welcome, sizeof *welcome};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	unsigned count = 0;
	ssize_t got;

	// An engine that has refused before it heard the hello resets the socket: the answer is there all the same.
	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !count++)));
	count = 0;
	for (unsigned i = 0; i < FDS; i++)
		fds[i] = -1;
	if (got < 0)
		return got;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			count = count < FDS ? count : FDS;
			memcpy(fds, CMSG_DATA(c), count * sizeof(int));
		}
	return got;
}

static enum presence_result join(
	struct shm *s, int fd, const struct pe_shm_welcome *welcome, const int fds[FDS])
{
	struct epoll_event in = {.events = EPOLLIN}, woken;
	struct stat file;
	void *memory;

	// What is mapped must be there, and stay.
	if (fds[0] < 0 || fds[1] < 0 || (welcome->version >= 2) != (fds[2] >= 0) ||
		welcome->memory_bytes > PE_SHM_PAGE_BYTES + 2ull * PE_SHM_RING_BYTES_MAX ||
		fstat(fds[0], &file) != 0 || (uint64_t)file.st_size < welcome->memory_bytes ||
		!(fcntl(fds[0], F_GET_SEALS) & F_SEAL_SHRINK))
		return PRESENCE_SYSTEM;
	// A wake that can't be taken off would keep who waits for it awake.
	if (fds[2] >= 0 && epoll_wait(fds[2], &woken, 1, 0) < 0)
		return PRESENCE_SYSTEM;
	memory = mmap(NULL, welcome->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	if (memory == MAP_FAILED)
		return PRESENCE_MEMORY;
	if (!pe_shm_join(memory, welcome, &s->up, &s->down)) {
		munmap(memory, welcome->memory_bytes);
		return PRESENCE_SYSTEM;
	}
	close(fds[0]);
	s->memory = memory;
	s->memory_bytes = welcome->memory_bytes;
	s->event_fd = fds[1];
	s->wake_fd = fds[2];
	s->fd = fd;
	memcpy(s->principal_id, welcome->principal_id, sizeof s->principal_id);
	s->attached++;
	// The next look is a whole one, at which watches hear of another engine.
	s->empty = LOOK_EMPTY;
	(void)epoll_ctl(s->descriptor, EPOLL_CTL_ADD, fd, &in);
	if (s->wake_fd >= 0)
		(void)epoll_ctl(s->descriptor, EPOLL_CTL_ADD, s->wake_fd, &in);
	set_timer(s, 0);
	return PRESENCE_OK;
}

// Knocks and says what is wanted, without waiting. −1 with errno; EAGAIN: too many are before the door now.
static int knock(struct shm *s)
{
	struct pe_shm_hello hello = {.magic = PE_SHM_MAGIC,
		.version_min = PE_SHM_VERSION_MIN,
		.version_max = PE_SHM_VERSION,
		.up_bytes = s->ring_bytes,
		.down_bytes = s->ring_bytes};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), failure;

	if (fd < 0)
		return -1;
	memcpy(hello.space_id, s->space_id, sizeof hello.space_id);
	if (connect(fd, (const struct sockaddr *)&s->at, sizeof s->at) == 0 &&
		// Who is refused before the hello was read has its answer all the same.
		(send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello || errno == EPIPE))
		return fd;
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

// The answer to a knock is there. Takes fd over.
static enum presence_result enter(struct shm *s, int fd, char *error, size_t error_bytes)
{
	struct pe_shm_welcome welcome = {0};
	int fds[FDS] = {-1, -1, -1};
	ssize_t got = read_welcome(fd, &welcome, fds);
	int failure = errno;

	if (got != (ssize_t)pe_shm_welcome_bytes(&welcome) || welcome.magic != PE_SHM_MAGIC) {
		snprintf(error, error_bytes, "%s: %s", s->at.sun_path,
			got < 0          ? strerror(failure) :
				got == 0 ? "the engine closed the connection" :
					   "what listens there is no presence engine");
		failure = got < 0 ? failure : EPROTO;
	} else if (welcome.answer != PE_SHM_WELCOME) {
		snprintf(error, error_bytes, "%s: %s", s->at.sun_path, answer_text(welcome.answer));
		failure = welcome.answer == PE_SHM_DENIED  ? EACCES :
			welcome.answer == PE_SHM_FULL      ? EBUSY :
			welcome.answer == PE_SHM_NO_MEMORY ? ENOMEM :
							     EPROTO;
	} else {
		if (join(s, fd, &welcome, fds) == PRESENCE_OK)
			return PRESENCE_OK;
		snprintf(error, error_bytes, "%s: the ring that was offered is not sound",
			s->at.sun_path);
		failure = EPROTO;
	}
	for (unsigned i = 0; i < FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	close(fd);
	errno = failure;
	return PRESENCE_SYSTEM;
}

// The first time: waits for the answer.
static enum presence_result attach(struct shm *s, char *error, size_t error_bytes)
{
	uint64_t until_ms = clock_ms() + ATTACH_MS;
	struct pollfd wait = {.fd = knock(s), .events = POLLIN};

	while (wait.fd < 0 && errno == EAGAIN && clock_ms() < until_ms) {
		(void)poll(NULL, 0, 1);
		wait.fd = knock(s);
	}
	if (wait.fd < 0) {
		snprintf(error, error_bytes, "cannot attach to %s: %s%s", s->at.sun_path,
			strerror(errno),
			errno == ENOENT || errno == ECONNREFUSED ?
				"; is presenced running, with a ring source at this path?" :
				errno == EACCES ?
				"; the socket is for its group: see allow_gids of the engine's ring source" :
				"");
		return PRESENCE_SYSTEM;
	}
	if (poll(&wait, 1, ATTACH_MS) == 1)
		return enter(s, wait.fd, error, error_bytes);
	snprintf(error, error_bytes, "%s: nobody answers there", s->at.sun_path);
	close(wait.fd);
	errno = ETIMEDOUT;
	return PRESENCE_SYSTEM;
}

// Attached, if need be again: no call waits for that. False: there is no engine now.
static bool ready(struct shm *s)
{
	struct pollfd answer;
	char unused[1];
	uint64_t now_ms;

	if (s->fd >= 0)
		return true;
	now_ms = clock_ms();
	if (s->knock_fd < 0) {
		if (now_ms < s->next_ms)
			return false;
		s->next_ms = now_ms + REATTACH_MS;
		s->knock_until_ms = now_ms + ATTACH_MS;
		s->knock_fd = knock(s);
	}
	answer = (struct pollfd){.fd = s->knock_fd, .events = POLLIN};
	if (s->knock_fd < 0 || (poll(&answer, 1, 0) != 1 && now_ms < s->knock_until_ms))
		return false;
	s->knock_fd = -1;
	if (answer.revents)
		return enter(s, answer.fd, unused, sizeof unused) == PRESENCE_OK;
	close(answer.fd);
	return false;
}

// Wakes that came are taken off; the end of the socket is the end of the ring.
static void look_at_socket(struct shm *s)
{
	char wakes[DRAIN_BYTES];
	struct epoll_event woken;
	uint64_t count;
	ssize_t got;

	s->empty = 0;
	s->looked = __builtin_ia32_rdtsc();
	if (s->waits)
		(void)!read(s->self_fd, &count, sizeof count);
	if (s->wake_fd >= 0)
		(void)epoll_wait(s->wake_fd, &woken, 1, 0);
	for (unsigned i = 0; i < 64; i++) {
		got = recv(s->fd, wakes, sizeof wakes, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
			// What the engine said before it ended is still there.
			if (pe_shm_empty(&s->down))
				detach(s);
			return;
		}
		if (got < 0)
			return;
	}
}

// ---- the table ----

static void wake(struct shm *s)
{
	const uint64_t one = 1;

	pe_shm_ahead(&s->up);
	if (pe_shm_rouse(&s->up))
		(void)!write(s->event_fd, &one, sizeof one);
}

static uint8_t *shm_reserve(void *context)
{
	struct shm *s = context;
	bool broken = false;

	if (!ready(s))
		return NULL;
	s->reserved = pe_shm_reserve(&s->up, PE_WIRE_BYTES_MAX, &broken);
	if (!s->reserved) {
		wake(s);
		look_at_socket(s);
		if (broken)
			detach(s);
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
		detach(s);
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

	if (s->fd < 0 || s->waits || pe_shm_glance(&s->down) || s->empty >= LOOK_EMPTY)
		return false;
	s->empty++;
	return true;
}

static int shm_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	struct shm *s = context;
	struct pollfd wait[2];
	int came;

	if (!ready(s)) {
		uint64_t times;

		(void)!read(s->timer_fd, &times, sizeof times);
		wait[0] = (struct pollfd){.fd = s->knock_fd, .events = POLLIN};
		if (timeout_ms > 0)
			(void)poll(wait, 1, timeout_ms < REATTACH_MS ? timeout_ms : REATTACH_MS);
		return 0;
	}
	came = take(s, messages, count);
	if (came || s->fd < 0)
		return came;
	if (timeout_ms <= 0) {
		if (s->waits || (++s->empty >= LOOK_EMPTY && long_not_looked(s)))
			look_at_socket(s);
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
	look_at_socket(s);
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
	detach(s);
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
		result = attach(s, error, error_bytes);
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
