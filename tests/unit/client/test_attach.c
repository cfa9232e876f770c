// An engine's side of a ring's socket that offers what no engine offers, to a client that must
// neither fall, nor wait for ever, nor keep what it was given; and what a client says where it is
// its own process that has no room, or a signal that came between.
#include "client/bulk.h"
#include "client/transport.h"
#include "tests/testing.h"
#include "wire/shm_ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES   PE_SHM_RING_BYTES_MIN
#define MEMORY_BYTES (PE_SHM_PAGE_BYTES + 2 * RING_BYTES)

enum memory { SEALED, UNSEALED, SHORT, PLAIN_FILE, HUGE_PAGES };
enum event { EVENT, BROKEN_PIPE, FULL };

// What each that connects is offered.
struct offer {
	enum pe_shm_answer answer;
	enum memory memory;
	enum event event;
	unsigned fd_count; // 0 = three
	unsigned late_ms;
	bool no_room; // for more than one of them
};

static struct peer {
	char folder[32], uri[80];
	int listens;
	struct offer offers[4];
	unsigned count;
	pthread_t thread;
	int socket[4]; // stay open until `leave`
	struct pe_shm_page *page[4];
	_Atomic unsigned served;
} peer;

static void pause_ms(unsigned ms)
{
	struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

// −1: this machine has none of these. The test's end is what unmaps it.
static int memory_of(enum memory memory, void **mapped)
{
	struct pe_shm_rx up;
	struct pe_shm_tx down;
	uint64_t bytes = memory == HUGE_PAGES ? 2u << 20 : MEMORY_BYTES;
	int fd;

	if (memory == PLAIN_FILE) {
		char path[] = "attach-XXXXXX";

		fd = mkstemp(path);
		unlink(path);
	} else {
		fd = memfd_create("attach",
			MFD_CLOEXEC | MFD_ALLOW_SEALING | (memory == HUGE_PAGES ? MFD_HUGETLB : 0));
	}
	if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0)
		return -1;
	*mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*mapped == MAP_FAILED) {
		close(fd);
		return -1;
	}
	pe_shm_new(*mapped, PE_SHM_VERSION, RING_BYTES, RING_BYTES, 1, &up, &down);
	if (memory == SHORT)
		(void)!ftruncate(fd, MEMORY_BYTES - 4096);
	if (memory != UNSEALED && memory != PLAIN_FILE)
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static int event_of(enum event event)
{
	const uint64_t most = UINT64_MAX - 1;
	int fds[2] = {-1, -1};

	if (event == BROKEN_PIPE) {
		(void)!pipe2(fds, O_CLOEXEC);
		close(fds[0]);
		return fds[1];
	}
	fds[0] = eventfd(0, EFD_CLOEXEC);
	if (event == FULL)
		(void)!write(fds[0], &most, sizeof most);
	return fds[0];
}

static void serve(unsigned n)
{
	const struct offer *o = &peer.offers[n];
	struct pe_shm_welcome welcome = {.magic = PE_SHM_MAGIC,
		.version = PE_SHM_VERSION,
		.answer = (uint8_t)o->answer,
		.epoch = 1,
		.up_bytes = RING_BYTES,
		.down_bytes = RING_BYTES,
		.memory_bytes = MEMORY_BYTES};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec part = {&welcome, pe_shm_welcome_bytes(&welcome)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	unsigned fd_count = o->fd_count ? o->fd_count : 3;
	int fds[8] = {-1, -1, -1, -1, -1, -1, -1, -1},
	    fd = accept4(peer.listens, NULL, NULL, SOCK_CLOEXEC);
	struct pe_shm_hello hello;
	struct cmsghdr *c;

	peer.socket[n] = fd;
	(void)!recv(fd, &hello, sizeof hello, 0);
	pause_ms(o->late_ms);
	if (o->answer == PE_SHM_WELCOME) {
		fds[0] = memory_of(o->memory, (void **)&peer.page[n]);
		if (fds[0] < 0)
			fds[0] = memory_of(UNSEALED, (void **)&peer.page[n]);
		fds[1] = event_of(o->event);
		fds[2] = epoll_create1(EPOLL_CLOEXEC);
		for (unsigned i = 3; i < fd_count; i++)
			fds[i] = dup(fds[1]);
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	if (o->no_room) {
		struct rlimit few;

		getrlimit(RLIMIT_NOFILE, &few);
		few.rlim_cur = (rlim_t)fds[0] + 1;
		setrlimit(RLIMIT_NOFILE, &few);
	}
	(void)!sendmsg(fd, &message, MSG_NOSIGNAL);
	for (unsigned i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (o->answer != PE_SHM_WELCOME) {
		close(fd);
		peer.socket[n] = -1;
	}
	peer.served++;
}

static void *run(void *unused)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (unsigned n = 0; n < peer.count; n++)
		serve(n);
	return unused;
}

static void begin(const struct offer *offers, unsigned count)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	memset(&peer, 0, sizeof peer);
	strcpy(peer.folder, "/tmp/attach-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(peer.folder));
	snprintf(peer.uri, sizeof peer.uri, "shm://%s/p.sock", peer.folder);
	strcpy(at.sun_path, peer.uri + strlen("shm://"));
	peer.listens = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(peer.listens, (struct sockaddr *)&at, sizeof at), 0);
	CU_ASSERT_EQUAL_FATAL(listen(peer.listens, 4), 0);
	memcpy(peer.offers, offers, count * sizeof *offers);
	peer.count = count;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&peer.thread, NULL, run, NULL), 0);
}

static void leave(unsigned n)
{
	close(peer.socket[n]);
	peer.socket[n] = -1;
}

static void finish(void)
{
	pthread_join(peer.thread, NULL);
	for (unsigned n = 0; n < peer.count; n++)
		if (peer.socket[n] > 0)
			leave(n);
	close(peer.listens);
	unlink(peer.uri + strlen("shm://"));
	rmdir(peer.folder);
}

// Until the peer has answered so many.
static void served(unsigned count)
{
	while (peer.served < count)
		pause_ms(1);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct presence_client *client;
static char error[256];

static enum presence_result attach(void)
{
	const struct presence_options options = {.uri = peer.uri, .timeout_ms = 50, .attempts = 2};

	error[0] = 0;
	return presence_open(&options, &client, error, sizeof error);
}

static void expect(const char *said, const char *words)
{
	CU_ASSERT_PTR_NOT_NULL(strstr(said, words));
	if (!strstr(said, words))
		printf("\n\"%s\" is not in \"%s\" ", words, said);
}

// What may shrink under the client, or isn't what it is said to be, is not used; and nothing of
// what came stays open.
static void unsound(void)
{
	static const struct offer offers[] = {{.memory = UNSEALED}, {.memory = SHORT},
		{.memory = PLAIN_FILE}, {.memory = HUGE_PAGES}, {.event = BROKEN_PIPE},
		{.fd_count = 2}, {.fd_count = 4}, {.fd_count = 8}};

	for (unsigned i = 0; i < sizeof offers / sizeof offers[0]; i++) {
		unsigned fds = open_fds();

		begin(&offers[i], 1);
		CU_ASSERT_EQUAL(attach(), PRESENCE_SYSTEM);
		CU_ASSERT_EQUAL(errno, EPROTO);
		expect(error, "is not sound");
		CU_ASSERT_PTR_NULL(client);
		if (client)
			printf("\noffer %u was taken ", i);
		presence_close(client);
		finish();
		if (open_fds() != fds)
			printf("\noffer %u leaves descriptors ", i);
		CU_ASSERT_EQUAL(open_fds(), fds);
	}
}

// One that can't take another wake doesn't stop who would wake it.
static void full_event(void)
{
	const struct offer offer = {.event = FULL};
	uint64_t round_trip_us;

	begin(&offer, 1);
	CU_ASSERT_EQUAL_FATAL(attach(), PRESENCE_OK);
	served(1);
	peer.page[0]->up.asleep = 1;
	alarm(60);
	CU_ASSERT_EQUAL(presence_ping(client, &round_trip_us), PRESENCE_TIMED_OUT);
	alarm(0);
	presence_close(client);
	finish();
}

// A process without room for the descriptors hears so, and nothing about the engine.
static void no_room(void)
{
	const struct offer offer = {.no_room = true};
	struct rlimit before;

	getrlimit(RLIMIT_NOFILE, &before);
	begin(&offer, 1);
	CU_ASSERT_EQUAL(attach(), PRESENCE_SYSTEM);
	CU_ASSERT_EQUAL(errno, EMFILE);
	expect(error, "ulimit -n");
	setrlimit(RLIMIT_NOFILE, &before);
	presence_close(client);
	finish();
}

static void ring_the_bell(int signal)
{
	(void)signal;
}

// Signals that come while the answer is awaited are no answer.
static void signals(void)
{
	const struct sigaction act = {.sa_handler = ring_the_bell};
	const struct offer offer = {.late_ms = 100};
	const struct itimerval often = {{0, 5000}, {0, 5000}}, never = {0};

	begin(&offer, 1);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	CU_ASSERT_EQUAL(attach(), PRESENCE_OK);
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	presence_close(client);
	finish();
}

// An engine that comes back and doesn't have this user any more: who is silent, and why.
static void not_any_more(void)
{
	static const struct offer offers[] = {{0}, {.answer = PE_SHM_DENIED}};
	struct presence_record *records;
	uint64_t round_trip_us;

	begin(offers, 2);
	CU_ASSERT_EQUAL_FATAL(attach(), PRESENCE_OK);
	served(1);
	leave(0);
	for (unsigned i = 0; i < 100 && peer.served < 2; i++)
		CU_ASSERT_EQUAL(presence_ping(client, &round_trip_us), PRESENCE_TIMED_OUT);
	CU_ASSERT_EQUAL(presence_ping(client, &round_trip_us), PRESENCE_TIMED_OUT);
	expect(presence_error(client), "allow_uids");
	CU_ASSERT_PTR_NULL(strstr(presence_error(client), "host and port"));
	CU_ASSERT_EQUAL(presence_reserve(client, NULL, &records), PRESENCE_WOULD_BLOCK);
	expect(presence_error(client), "allow_uids");
	presence_close(client);
	finish();
}

// A child that was forked meanwhile, and runs on, has the ring's descriptors too: the one that the
// parent waits on is quiet all the same once it has another ring.
static void forked(void)
{
	static const struct offer offers[] = {{0}, {0}};
	struct pollfd wait = {.events = POLLIN};
	uint64_t round_trip_us;
	int status;
	pid_t child;

	begin(offers, 2);
	CU_ASSERT_EQUAL_FATAL(attach(), PRESENCE_OK);
	served(1);
	child = fork();
	if (child == 0) {
		alarm(60);
		pause();
		_exit(0);
	}
	shutdown(peer.socket[0], SHUT_RDWR);
	leave(0);
	for (unsigned i = 0; i < 100 && presence_traffic(client).attached < 2; i++)
		(void)presence_ping(client, &round_trip_us);
	CU_ASSERT_EQUAL(presence_traffic(client).attached, 2);
	wait.fd = presence_socket(client);
	for (unsigned i = 0; i < 3; i++)
		(void)presence_poll(client, &(struct presence_events){0}, 8, 0);
	CU_ASSERT_EQUAL(poll(&wait, 1, 50), 0);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	presence_close(client);
	finish();
}

TESTING_MAIN("client-attach", {"unsound", unsound}, {"full event", full_event},
	{"no room", no_room}, {"signals", signals}, {"not any more", not_any_more},
	{"forked", forked})
