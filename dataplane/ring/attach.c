// The thread that greets clients and parts from them. All that may sleep, allocate or fail is here.
#include "dataplane/ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GROUPS_MAX 256  // of a user, that are looked at
#define LOOK_MS    1000 // between two looks at what nobody tells of

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void count(_Atomic uint64_t *counter, int64_t n)
{
	atomic_store_explicit(counter,
		atomic_load_explicit(counter, memory_order_relaxed) + (uint64_t)n,
		memory_order_relaxed);
}

// ---- who may ----

static bool listed(const uint32_t *list, unsigned n, uint32_t id)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == id)
			return true;
	return false;
}

// By the kernel's word, of the time of connect(2).
static bool admitted(const struct pe_source_config *own, int fd, struct ucred *who)
{
	socklen_t bytes = sizeof *who;
	gid_t groups[GROUPS_MAX];

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &bytes) != 0 || bytes != sizeof *who)
		return false;
	if (listed(own->uids, own->uid_count, who->uid) ||
		listed(own->gids, own->gid_count, who->gid))
		return true;
	bytes = sizeof groups;
	if (own->gid_count == 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) != 0)
		return false;
	for (unsigned i = 0; i < bytes / sizeof groups[0]; i++)
		if (listed(own->gids, own->gid_count, groups[i]))
			return true;
	return false;
}

// Who that is, beside whether they may. Nobody: *user is zero.
static bool welcome_user(const struct pe_ring *ring, uint32_t uid, struct pe_user *user)
{
	return pe_users_find(ring->source.config->users, uid, user) ||
		!ring->source.own->known_only;
}

// Answers may be longer than requests: nobody can ask here in another's name, and who may ask for
// something may have it.
static bool trusts(const struct pe_ring *ring, const struct pe_user *user)
{
	return ring->source.own->trusted || user->asks;
}

static const struct pe_space_config *space_of(const struct pe_config *config, const uint8_t id[16])
{
	static const uint8_t nil[16];

	for (unsigned i = 0; i < config->engine.space_count; i++)
		if (memcmp(id, nil, 16) == 0 ||
			memcmp(id, config->engine.spaces[i].space.id, 16) == 0)
			return &config->engine.spaces[i].space;
	return NULL;
}

// ---- hand-out ----

// fd00::/8, of this machine alone: the user, the process and how many clients there have been. The
// user is in the first 56 bits, by which strangers are told apart elsewhere.
static struct pe_peer peer_of(const struct pe_ring *ring, const struct ucred *who,
	const struct pe_user *user, unsigned n, uint32_t generation)
{
	struct pe_peer peer = {.address = {0xFD, 'R'},
		.port = (uint16_t)(n + 1),
		.trusted = trusts(ring, user),
		.source = ring->source.number,
		.principal = user->principal,
		.link = generation << PE_RING_LINK_CLIENTS | n};
	uint32_t parts[3] = {who->uid, (uint32_t)who->pid, generation};

	memcpy(peer.address + 2, &parts[0], 4);
	memcpy(peer.address + 8, &parts[1], 8);
	return peer;
}

static void *make_memory(uint64_t bytes, int *fd)
{
	void *memory;

	*fd = memfd_create("presence-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return NULL;
	// With its size sealed no access within it can fail, whatever the client does with its
	// descriptor.
	if (ftruncate(*fd, (off_t)bytes) != 0 ||
		fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return NULL;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, *fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

// It is told why, wakes nobody from now on, and keeps nothing of the engine's memory but the page
// that says so: a client may keep its mapping for ever.
static void end(struct pe_ring *ring, struct pe_ring_client *c)
{
	struct pe_shm_page *page = c->memory;

	// Who looks, sees why; who sleeps, is woken by the end of its socket.
	atomic_store_explicit(&page->state,
		atomic_load_explicit(&c->broken, memory_order_relaxed) ? PE_SHM_BROKEN :
									 PE_SHM_ENDED,
		memory_order_relaxed);
	(void)shutdown(c->socket_fd, SHUT_RDWR);
	(void)epoll_ctl(ring->lanes[c->worker]->epoll_fd, EPOLL_CTL_DEL, c->event_fd, NULL);
	(void)madvise((uint8_t *)c->memory + PE_SHM_PAGE_BYTES, c->memory_bytes - PE_SHM_PAGE_BYTES,
		MADV_REMOVE);
	c->ended = true;
}

// A welcome that its client leaves in its socket goes on to hold descriptors in the engine's name,
// of which the kernel lets each user have so many under way: until it is taken, or the client
// closes its end, it counts as a client.
static bool heard(const struct pe_ring_client *c)
{
	int unread = 0;

	return ioctl(c->socket_fd, SIOCOUTQ, &unread) != 0 || unread == 0;
}

void pe_ring_forget(struct pe_ring *ring, struct pe_ring_client *c)
{
	if (!c->ended)
		end(ring, c);
	close(c->socket_fd);
	close(c->event_fd);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	munmap(c->memory, c->memory_bytes);
	c->memory = NULL;
	count(&ring->live, -1);
	count(&ring->known, -(int64_t)(c->peer.principal != 0));
	count(&ring->detached, 1);
	// RING-STAGE: release: nothing of it is touched after this
	atomic_store_explicit(
		&c->stage, pe_ring_word(PE_RING_FREE, c->worker), memory_order_release);
}

// An eventfd that nobody but the engine has, so that nobody can make a write to it wait; and for
// the client an epoll that watches it, of which it can take what was signalled, and nothing else.
// False: neither is there.
static bool make_wake(int *wake_fd, int *client_fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	*wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*client_fd = epoll_create1(EPOLL_CLOEXEC);
	if (*wake_fd >= 0 && *client_fd >= 0 &&
		epoll_ctl(*client_fd, EPOLL_CTL_ADD, *wake_fd, &event) == 0)
		return true;
	if (*wake_fd >= 0)
		close(*wake_fd);
	if (*client_fd >= 0)
		close(*client_fd);
	*wake_fd = *client_fd = -1;
	return false;
}

static void tell(struct pe_ring *ring, unsigned worker)
{
	struct pe_ring_lane *lane = ring->lanes[worker];
	const uint64_t one = 1;

	// RING-STAGE: release pairs with receive's acquire: what stages said before is seen
	atomic_fetch_add_explicit(&lane->change, 1, memory_order_release);
	(void)!write(lane->wake_fd, &one, sizeof one);
}

static enum pe_ring_stage stage_of(const struct pe_ring_client *c)
{
	// RING-STAGE: acquire pairs with the worker's DONE
	return PE_RING_STAGE(atomic_load_explicit(&c->stage, memory_order_acquire));
}

static unsigned least_busy(const struct pe_ring *ring)
{
	unsigned clients[PE_WORKERS_MAX] = {0}, best = 0;

	for (unsigned n = 0; n < ring->client_count_max; n++)
		if (ring->clients[n].memory)
			clients[ring->clients[n].worker]++;
	for (unsigned w = 1; w < ring->lane_count; w++)
		best = clients[w] < clients[best] ? w : best;
	return best;
}

static bool send_welcome(
	int fd, const struct pe_shm_welcome *welcome, const int *fds, unsigned fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)welcome, pe_shm_welcome_bytes(welcome)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd_count) {
		struct cmsghdr *c;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)part.iov_len;
}

static void refuse(struct pe_ring *ring, int fd, enum pe_shm_answer answer)
{
	struct pe_shm_welcome welcome = {
		.magic = PE_SHM_MAGIC, .version = PE_SHM_VERSION, .answer = (uint8_t)answer};

	uint8_t unheard[sizeof(struct pe_shm_hello) + 1];

	count(&ring->refused[answer], 1);
	// A socket that is closed with something unread in it resets its other end, before the
	// answer is read there.
	(void)recv(fd, unheard, sizeof unheard, MSG_DONTWAIT);
	(void)send_welcome(fd, &welcome, NULL, 0);
	close(fd);
}

// Takes fd over.
static void hand_out(struct pe_ring *ring, int fd, const struct ucred *who,
	const struct pe_user *user, const struct pe_shm_hello *hello,
	const struct pe_space_config *space)
{
	struct pe_shm_welcome welcome = {.magic = PE_SHM_MAGIC,
		.version = hello->version_max,
		.epoch = ring->epoch,
		.up_bytes = hello->up_bytes,
		.down_bytes = hello->down_bytes,
		.memory_bytes = pe_shm_footprint(hello->up_bytes, hello->down_bytes)};
	struct pe_ring_client *c = NULL;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	int memory_fd = -1, event_fd = -1, wake_fd = -1, client_fd = -1;
	void *memory = NULL;
	unsigned n;

	for (n = 0; n < ring->client_count_max; n++)
		if (stage_of(&ring->clients[n]) == PE_RING_FREE)
			break;
	if (n == ring->client_count_max) {
		refuse(ring, fd, PE_SHM_FULL);
		return;
	}
	c = &ring->clients[n];
	memcpy(welcome.space_id, space->id, sizeof welcome.space_id);
	memcpy(welcome.principal_id, user->id, sizeof welcome.principal_id);
	memory = make_memory(welcome.memory_bytes, &memory_fd);
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->worker = least_busy(ring);
	if (!memory || event_fd < 0 || (welcome.version >= 2 && !make_wake(&wake_fd, &client_fd)) ||
		epoll_ctl(ring->lanes[c->worker]->epoll_fd, EPOLL_CTL_ADD, event_fd, &event) != 0) {
		if (memory)
			munmap(memory, welcome.memory_bytes);
		if (memory_fd >= 0)
			close(memory_fd);
		if (event_fd >= 0)
			close(event_fd);
		if (wake_fd >= 0) {
			close(wake_fd);
			close(client_fd);
		}
		refuse(ring, fd, PE_SHM_NO_MEMORY);
		return;
	}
	c->generation = (c->generation + 1) & 0xFFFFFF;
	c->socket_fd = fd;
	c->event_fd = event_fd;
	c->wake_fd = wake_fd;
	c->memory = memory;
	c->memory_bytes = welcome.memory_bytes;
	c->uid = who->uid;
	c->peer = peer_of(ring, who, user, n, c->generation);
	c->ended = false;
	atomic_store_explicit(&c->broken, false, memory_order_relaxed);
	pe_shm_new(memory, welcome.version, hello->up_bytes, hello->down_bytes, ring->epoch, &c->up,
		&c->down);
	count(&ring->live, 1);
	count(&ring->known, user->principal != 0);
	count(&ring->attached, 1);
	// RING-STAGE: release: the client is filled in. A reply that can't be sent is a client that
	// has gone: it's noticed as such.
	atomic_store_explicit(
		&c->stage, pe_ring_word(PE_RING_ATTACHED, c->worker), memory_order_release);
	tell(ring, c->worker);
	(void)send_welcome(fd, &welcome, (int[]){memory_fd, event_fd, client_fd},
		welcome.version >= 2 ? 3 : 2);
	close(memory_fd);
	if (client_fd >= 0)
		close(client_fd);
}

// ---- the loop ----

static void greet(struct pe_ring *ring)
{
	int fd = accept4(ring->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct pe_ring_hello *oldest = &ring->hellos[0];
	struct pe_user user;
	struct ucred who;

	if (fd < 0) {
		// Without a descriptor to spare it stays at the door, which calls again at once.
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			(void)poll(NULL, 0, 10);
		return;
	}
	if (!admitted(ring->source.own, fd, &who) || !welcome_user(ring, who.uid, &user)) {
		refuse(ring, fd, PE_SHM_DENIED);
		return;
	}
	for (unsigned i = 0; i < PE_RING_HELLOS_MAX && oldest->fd >= 0; i++)
		if (ring->hellos[i].fd < 0 || ring->hellos[i].until_ms < oldest->until_ms)
			oldest = &ring->hellos[i];
	// Who connects and says nothing makes room for those who come after.
	if (oldest->fd >= 0) {
		count(&ring->late, 1);
		close(oldest->fd);
	}
	*oldest = (struct pe_ring_hello){.fd = fd, .until_ms = clock_ms() + PE_RING_HELLO_MS};
}

static void hear(struct pe_ring *ring, struct pe_ring_hello *h, uint64_t now_ms)
{
	uint8_t data[sizeof(struct pe_shm_hello) + 1]; // a byte more shows what is too long
	const struct pe_space_config *space;
	struct pe_shm_hello hello;
	enum pe_shm_answer answer;
	struct pe_user user;
	struct ucred who;
	int fd = h->fd;
	// Descriptors that come along are not taken: without room for them the kernel drops them.
	ssize_t got = recv(fd, data, sizeof data, MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR) && now_ms < h->until_ms)
		return;
	h->fd = -1;
	if (got <= 0) {
		count(&ring->late, 1);
		close(fd);
		return;
	}
	answer = pe_shm_check_hello(data, (size_t)got, ring->source.own->ring_bytes, &hello);
	space = answer == PE_SHM_WELCOME ? space_of(ring->source.config, hello.space_id) : NULL;
	if (answer == PE_SHM_WELCOME && !space)
		answer = PE_SHM_SPACE;
	if (answer == PE_SHM_WELCOME &&
		(!admitted(ring->source.own, fd, &who) || !welcome_user(ring, who.uid, &user)))
		answer = PE_SHM_DENIED;
	if (answer == PE_SHM_WELCOME)
		hand_out(ring, fd, &who, &user, &hello, space);
	else
		refuse(ring, fd, answer);
}

static void part(struct pe_ring *ring, struct pe_ring_client *c)
{
	// RING-STAGE: release
	atomic_store_explicit(
		&c->stage, pe_ring_word(PE_RING_CLOSING, c->worker), memory_order_release);
	tell(ring, c->worker);
}

// Clients that have died, left, broken their ring, or been let go by their worker.
static void look_after(struct pe_ring *ring, struct pe_ring_client *c, bool spoke)
{
	enum pe_ring_stage stage = stage_of(c);

	if (stage == PE_RING_DONE) {
		if (!c->ended)
			end(ring, c);
		if (heard(c))
			pe_ring_forget(ring, c);
	} else if (stage == PE_RING_ATTACHED &&
		atomic_load_explicit(&c->broken, memory_order_relaxed)) {
		count(&ring->broken, 1);
		part(ring, c);
	} else if (stage == PE_RING_ATTACHED && spoke) {
		// The end of the socket; or words, of which there are none after the hello.
		part(ring, c);
	}
}

// The keyring was read again: who is another principal by it, or none any more, is let go, with all
// that was its, and attaches again as who it is now. What a client is never changes while it is
// attached: a worker need not look.
static void look_up_again(struct pe_ring *ring)
{
	for (unsigned n = 0; n < ring->client_count_max; n++) {
		struct pe_ring_client *c = &ring->clients[n];
		struct pe_user user;

		if (stage_of(c) != PE_RING_ATTACHED ||
			(welcome_user(ring, c->uid, &user) && user.principal == c->peer.principal &&
				trusts(ring, &user) == c->peer.trusted))
			continue;
		count(&ring->changed, 1);
		part(ring, c);
	}
}

void *pe_ring_attach_run(void *context)
{
	struct pe_ring *ring = context;

	// RING-STOP: acquire
	while (!atomic_load_explicit(&ring->stop, memory_order_acquire)) {
		struct pollfd fds[2 + PE_RING_HELLOS_MAX + PE_RING_CLIENTS_MAX];
		unsigned hellos = 2, clients = hellos + PE_RING_HELLOS_MAX;
		uint64_t told, now_ms;

		fds[0] = (struct pollfd){.fd = ring->call_fd, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = ring->listen_fd, .events = POLLIN};
		for (unsigned i = 0; i < PE_RING_HELLOS_MAX; i++)
			fds[hellos + i] =
				(struct pollfd){.fd = ring->hellos[i].fd, .events = POLLIN};
		for (unsigned n = 0; n < ring->client_count_max; n++)
			fds[clients + n] = (struct pollfd){
				.fd = stage_of(&ring->clients[n]) == PE_RING_ATTACHED ?
					ring->clients[n].socket_fd :
					-1,
				.events = POLLIN};
		if (poll(fds, clients + ring->client_count_max, LOOK_MS) < 0 && errno != EINTR)
			return NULL;
		if (fds[0].revents)
			(void)!read(ring->call_fd, &told, sizeof told);
		// RING-USERS: acquire
		if (atomic_exchange_explicit(&ring->users_changed, false, memory_order_acquire))
			look_up_again(ring);
		for (unsigned n = 0; n < ring->client_count_max; n++)
			look_after(ring, &ring->clients[n], fds[clients + n].revents != 0);
		now_ms = clock_ms();
		for (unsigned i = 0; i < PE_RING_HELLOS_MAX; i++)
			if (fds[hellos + i].fd >= 0 &&
				(fds[hellos + i].revents || now_ms >= ring->hellos[i].until_ms))
				hear(ring, &ring->hellos[i], now_ms);
		if (fds[1].revents)
			greet(ring);
	}
	return NULL;
}
