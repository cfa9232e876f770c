#include "client/shm_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define ATTACH_MS   2000 // for the engine to answer a hello
#define DRAIN_BYTES 256
#define FDS         3 // that come with a welcome, at most
#define SILENT      "%s: nobody answers there"
#define UNSOUND     "the ring that was offered is not sound"

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int left_ms(uint64_t until_ms)
{
	uint64_t now_ms = clock_ms();

	return now_ms < until_ms ? (int)(until_ms - now_ms) : 0;
}

static void set_timer(struct shm *s, unsigned ms)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = ms * 1000000l, .it_value.tv_nsec = ms * 1000000l};

	(void)timerfd_settime(s->timer_fd, 0, &every, NULL);
}

void shm_detach(struct shm *s)
{
	if (s->fd < 0)
		return;
	// Closed is not enough: a child that was forked meanwhile may have it open still.
	(void)epoll_ctl(s->descriptor, EPOLL_CTL_DEL, s->fd, NULL);
	if (s->wake_fd >= 0)
		(void)epoll_ctl(s->descriptor, EPOLL_CTL_DEL, s->wake_fd, NULL);
	close(s->fd);
	close(s->event_fd);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	munmap(s->memory, s->memory_bytes);
	s->fd = s->event_fd = s->wake_fd = -1;
	s->memory = NULL;
	s->reserved = NULL;
	s->next_ms = clock_ms() + 1;
	set_timer(s, SHM_REATTACH_MS);
}

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

// The reply and its descriptors (−1: none). Its bytes, or −1 with errno: EMFILE, this process has
// no room for them.
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
		// Without the padding, in which another one would find room.
		.msg_controllen = CMSG_LEN(FDS * sizeof(int))};
	unsigned count = 0;
	ssize_t got;

	// An engine that has refused before it heard the hello resets the socket: the answer is
	// there all the same.
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
	if (!(message.msg_flags & MSG_CTRUNC))
		return got;
	errno = count < FDS ? EMFILE : EPROTO;
	return -1;
}

// What is mapped must be there, and stay: no file of a file system, which may shrink, and no huge
// pages, which may be taken out of it and be gone. What is written to is an eventfd, which has no
// type, and no pipe whose other end may be closed.
static bool is_sound(const struct pe_shm_welcome *welcome, const int fds[FDS])
{
	struct epoll_event woken;
	struct stat file, event;
	struct statfs system;
	int seals = fcntl(fds[0], F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fds[0], &file) != 0 ||
		(uint64_t)file.st_size < welcome->memory_bytes || fstatfs(fds[0], &system) != 0 ||
		system.f_type != TMPFS_MAGIC ||
		welcome->memory_bytes > PE_SHM_PAGE_BYTES + 2ull * PE_SHM_RING_BYTES_MAX)
		return false;
	if (fstat(fds[1], &event) != 0 || (event.st_mode & S_IFMT) != 0)
		return false;
	// A wake that can't be taken off would keep who waits for it awake.
	return (welcome->version >= 2) == (fds[2] >= 0) &&
		(fds[2] < 0 || epoll_wait(fds[2], &woken, 1, 0) >= 0);
}

static enum presence_result join(
	struct shm *s, int fd, const struct pe_shm_welcome *welcome, const int fds[FDS])
{
	struct epoll_event in = {.events = EPOLLIN};
	void *memory;

	if (!is_sound(welcome, fds))
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
	s->why[0] = '\0';
	// The next look is a whole one, at which watches hear of another engine.
	s->empty = SHM_LOOK_EMPTY;
	(void)epoll_ctl(s->descriptor, EPOLL_CTL_ADD, fd, &in);
	if (s->wake_fd >= 0)
		(void)epoll_ctl(s->descriptor, EPOLL_CTL_ADD, s->wake_fd, &in);
	set_timer(s, 0);
	return PRESENCE_OK;
}

// Knocks and says what is wanted, without waiting. −1 with errno; EAGAIN: too many are before the
// door now.
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

	if (got < 0 && failure == EMFILE) {
		snprintf(error, error_bytes,
			"%s: no room for the descriptors of a ring: close files, or raise `ulimit -n`",
			s->at.sun_path);
	} else if (got < 0 && failure == EPROTO) {
		snprintf(error, error_bytes, "%s: %s", s->at.sun_path, UNSOUND);
	} else if (got != (ssize_t)pe_shm_welcome_bytes(&welcome) ||
		welcome.magic != PE_SHM_MAGIC) {
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
		snprintf(error, error_bytes, "%s: %s", s->at.sun_path, UNSOUND);
		failure = EPROTO;
	}
	for (unsigned i = 0; i < FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	close(fd);
	errno = failure;
	return PRESENCE_SYSTEM;
}

// A knock that failed, with errno.
static void say_closed(const struct shm *s, char *error, size_t error_bytes)
{
	int failure = errno;

	snprintf(error, error_bytes, "cannot attach to %s: %s%s", s->at.sun_path, strerror(failure),
		failure == ENOENT || failure == ECONNREFUSED ?
			"; is presenced running, with a ring source at this path?" :
			failure == EACCES ?
			"; the socket is for its group: see allow_gids of the engine's ring source" :
			"");
	errno = failure;
}

enum presence_result shm_attach(struct shm *s, char *error, size_t error_bytes)
{
	uint64_t until_ms = clock_ms() + ATTACH_MS;
	struct pollfd wait = {.fd = knock(s), .events = POLLIN};
	int came;

	while (wait.fd < 0 && errno == EAGAIN && clock_ms() < until_ms) {
		(void)poll(NULL, 0, 1);
		wait.fd = knock(s);
	}
	if (wait.fd < 0) {
		say_closed(s, error, error_bytes);
		return PRESENCE_SYSTEM;
	}
	// A signal is no answer.
	until_ms = clock_ms() + ATTACH_MS;
	do
		came = poll(&wait, 1, left_ms(until_ms));
	while (came < 0 && errno == EINTR);
	if (came == 1)
		return enter(s, wait.fd, error, error_bytes);
	snprintf(error, error_bytes, SILENT, s->at.sun_path);
	close(wait.fd);
	errno = ETIMEDOUT;
	return PRESENCE_SYSTEM;
}

bool shm_attach_again(struct shm *s)
{
	struct pollfd answer;
	uint64_t now_ms;

	now_ms = clock_ms();
	if (s->knock_fd < 0) {
		if (now_ms < s->next_ms)
			return false;
		s->next_ms = now_ms + SHM_REATTACH_MS;
		s->knock_until_ms = now_ms + ATTACH_MS;
		s->knock_fd = knock(s);
		if (s->knock_fd < 0)
			say_closed(s, s->why, sizeof s->why);
	}
	answer = (struct pollfd){.fd = s->knock_fd, .events = POLLIN};
	if (s->knock_fd < 0 || (poll(&answer, 1, 0) != 1 && now_ms < s->knock_until_ms))
		return false;
	s->knock_fd = -1;
	if (answer.revents)
		return enter(s, answer.fd, s->why, sizeof s->why) == PRESENCE_OK;
	snprintf(s->why, sizeof s->why, SILENT, s->at.sun_path);
	close(answer.fd);
	return false;
}

void shm_look_at_socket(struct shm *s)
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
				shm_detach(s);
			return;
		}
		if (got < 0)
			return;
	}
}
