#include "dataplane/ring/ring.h"

#include "dataplane/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG      64
#define LOCK_WAIT_MS 1000

static uint64_t read_count(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void report(const struct pe_source *source,
	void (*add)(void *context, const char *name, uint64_t value), void *context)
{
	static const char *const refusals[PE_SHM_ANSWERS] = {"", "hello_malformed", "hello_version",
		"hello_size", "hello_space", "hello_denied", "hello_full", "hello_no_memory"};
	const struct pe_ring *ring = (const struct pe_ring *)source;
	uint64_t received = 0, sent = 0, full = 0;

	for (unsigned n = 0; n < ring->client_count_max; n++) {
		received += read_count(&ring->clients[n].received);
		sent += read_count(&ring->clients[n].sent);
		full += read_count(&ring->clients[n].full);
	}
	add(context, "clients", read_count(&ring->live));
	add(context, "clients_known", read_count(&ring->known));
	add(context, "user_changed", read_count(&ring->changed));
	add(context, "attached", read_count(&ring->attached));
	add(context, "detached", read_count(&ring->detached));
	add(context, "broken", read_count(&ring->broken));
	add(context, "received", received);
	add(context, "sent", sent);
	add(context, "ring_full", full);
	add(context, "hello_late", read_count(&ring->late));
	for (unsigned i = 1; i < PE_SHM_ANSWERS; i++)
		add(context, refusals[i], read_count(&ring->refused[i]));
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

// Somebody may have taken it away, and another engine have made its own there.
static bool is_own_path(const struct pe_ring *ring)
{
	struct stat found;

	return lstat(ring->source.own->path, &found) == 0 && found.st_dev == ring->path_device &&
		found.st_ino == ring->path_inode;
}

static void close_source(struct pe_source *source)
{
	struct pe_ring *ring = pe_ring_of(source);
	const uint64_t one = 1;

	// RING-STOP: release
	atomic_store_explicit(&ring->stop, true, memory_order_release);
	if (ring->running) {
		(void)!write(ring->call_fd, &one, sizeof one);
		pthread_join(ring->attach, NULL);
	}
	for (unsigned n = 0; n < ring->client_count_max; n++)
		if (ring->clients[n].memory)
			pe_ring_forget(ring, &ring->clients[n]);
	for (unsigned i = 0; i < PE_RING_HELLOS_MAX; i++)
		close_fd(ring->hellos[i].fd);
	if (ring->listen_fd >= 0) {
		close(ring->listen_fd);
		if (is_own_path(ring))
			unlink(source->own->path);
	}
	close_fd(ring->call_fd);
	for (unsigned w = 0; w < ring->lane_count; w++) {
		close_fd(ring->lanes[w]->wake_fd);
		close_fd(ring->lanes[w]->ready_fd);
		close_fd(ring->lanes[w]->epoll_fd);
		free(ring->lanes[w]);
	}
	free(ring);
}

static void users_changed(struct pe_source *source)
{
	struct pe_ring *ring = pe_ring_of(source);
	const uint64_t one = 1;

	// RING-USERS: release: those who are known now were set before
	atomic_store_explicit(&ring->users_changed, true, memory_order_release);
	(void)!write(ring->call_fd, &one, sizeof one);
}

static const struct pe_source_ops ops = {
	.receive = pe_ring_receive,
	.release = pe_ring_release,
	.reserve = pe_ring_reserve,
	.commit = pe_ring_commit,
	.flush = pe_ring_flush,
	.waiting = pe_ring_waiting,
	.wait_fd = pe_ring_wait_fd,
	.departed = pe_ring_departed,
	.users_changed = users_changed,
	.report = report,
	.close = close_source,
};

static bool open_lane(struct pe_ring_lane *lane)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	lane->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	lane->ready_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	lane->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < PE_RING_TX_SLOTS; i++)
		lane->free[lane->free_count++] = (uint16_t)(PE_RING_TX_SLOTS - 1 - i);
	return lane->wake_fd >= 0 && lane->ready_fd >= 0 && lane->epoll_fd >= 0 &&
		epoll_ctl(lane->epoll_fd, EPOLL_CTL_ADD, lane->wake_fd, &event) == 0;
}

// What a crash left is taken away; what somebody listens at isn't, nor is anything that is no
// socket.
static int claim_path(const struct sockaddr_un *at)
{
	struct stat found;
	int fd, failed = 0;

	if (lstat(at->sun_path, &found) != 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(found.st_mode))
		return EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno == EAGAIN)
		failed = EADDRINUSE;
	else if (errno != ECONNREFUSED)
		failed = errno;
	close(fd);
	return failed ? failed : unlink(at->sun_path) != 0 ? errno : 0;
}

// Engines that start at once would each find what a crash left, and the later one take away what
// the other has made of it. −1: the folder may not be read, or somebody keeps it locked, as any
// reader may: that must not hold up a start.
static int lock_folder(const char *path)
{
	char folder[sizeof((struct sockaddr_un *)0)->sun_path];
	const struct timespec little = {.tv_nsec = 1000000};
	int fd;

	snprintf(folder, sizeof folder, "%s", path);
	*(strrchr(folder, '/') + 1) = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; ms++) {
		if (ms == LOCK_WAIT_MS) {
			close(fd);
			return -1;
		}
		nanosleep(&little, NULL);
	}
	return fd;
}

// To be called with the folder locked.
static int listen_alone(struct pe_ring *ring)
{
	const struct pe_source_config *own = ring->source.own;
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat made;
	mode_t mask;
	int failed;

	memcpy(at.sun_path, own->path, strlen(own->path));
	failed = claim_path(&at);
	if (failed)
		return failed;
	ring->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ring->listen_fd < 0)
		return errno;
	// The one thread that there is yet: nobody else makes files meanwhile.
	mask = umask(0117);
	failed = bind(ring->listen_fd, (const struct sockaddr *)&at, sizeof at) != 0 ? errno : 0;
	umask(mask);
	if (failed) {
		close(ring->listen_fd);
		ring->listen_fd = -1;
		return failed;
	}
	if (lstat(own->path, &made) != 0)
		return errno;
	ring->path_device = made.st_dev;
	ring->path_inode = made.st_ino;
	// The group that may connect.
	if (own->gid_count && chown(own->path, (uid_t)-1, own->gids[0]) != 0)
		return errno;
	return listen(ring->listen_fd, BACKLOG) != 0 ? errno : 0;
}

static int listen_at(struct pe_ring *ring)
{
	int lock = lock_folder(ring->source.own->path), failed = listen_alone(ring);

	close_fd(lock);
	return failed;
}

static uint64_t epoch_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int start(struct pe_ring *ring)
{
	sigset_t all, before;
	int failed;

	ring->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->call_fd < 0)
		return errno;
	sigfillset(&all);
	sigdelset(&all, PE_PRIVILEGE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&ring->attach, NULL, pe_ring_attach_run, ring);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return failed;
	ring->running = true;
	pthread_setname_np(ring->attach, "pe-ring");
	return 0;
}

static const char *remedy(int failed)
{
	return failed == EADDRINUSE ?
		"; another engine listens there: ss -xlp" :
		failed == EEXIST ?
		"; something that is no socket is there" :
		failed == ENOENT ?
		"; the folder is missing: install -d -m 0750 it" :
		failed == EACCES ?
		"; the folder must be writable for this user" :
		failed == EPERM ?
		"; only a member of the first of allow_gids can give it that group" :
		"";
}

enum pe_status pe_ring_open(const struct pe_config *config, unsigned number,
	struct pe_source **source, struct pe_error *error)
{
	const struct pe_source_config *own = &config->sources[number];
	struct pe_ring *ring = aligned_alloc(64, (sizeof *ring + 63) / 64 * 64);
	int failed = ring ? 0 : ENOMEM;

	if (!ring)
		goto fail;
	memset(ring, 0, sizeof *ring);
	ring->source = (struct pe_source){
		.ops = &ops, .config = config, .own = own, .number = (uint8_t)number};
	snprintf(ring->source.where, sizeof ring->source.where, "shm://%.200s", own->path);
	ring->client_count_max = own->client_count;
	ring->epoch = epoch_now();
	ring->listen_fd = ring->call_fd = -1;
	for (unsigned i = 0; i < PE_RING_HELLOS_MAX; i++)
		ring->hellos[i].fd = -1;
	for (unsigned w = 0; !failed && w < config->worker_count; w++) {
		struct pe_ring_lane *lane = aligned_alloc(64, (sizeof *lane + 63) / 64 * 64);

		if (!lane) {
			failed = ENOMEM;
			break;
		}
		memset(lane, 0, sizeof *lane);
		lane->wake_fd = lane->ready_fd = lane->epoll_fd = -1;
		ring->lanes[ring->lane_count++] = lane;
		if (!open_lane(lane))
			failed = errno;
	}
	if (!failed)
		failed = listen_at(ring);
	if (!failed)
		failed = start(ring);
	if (!failed) {
		*source = &ring->source;
		error->status = PE_OK;
		return PE_OK;
	}
	close_source(&ring->source);
fail:
	*error = (struct pe_error){.status = failed == ENOMEM ? PE_NO_MEMORY :
			failed == EACCES || failed == EPERM   ? PE_UNSUPPORTED :
								PE_IO};
	snprintf(error->text, sizeof error->text, "cannot listen on %.200s: %s%s", own->path,
		strerror(failed), remedy(failed));
	return error->status;
}
