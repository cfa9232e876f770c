// The ring source from both sides: who may attach and who may not, what a client says and hears, and what becomes of those who break their ring, don't
// read, don't speak, or leave.
#include "client/bulk.h"
#include "client/watch.h"
#include "policy/principals.h"
#include "tests/rings/ring_rig.h"
#include "tests/testing.h"
#include "wire/encode.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void rest_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL);
}

static struct presence_update update(uint64_t n, uint32_t sequence)
{
	struct presence_update u = {.position = {(double)(n % 100), 0, 0},
		.sequence = sequence,
		.type = PRESENCE_MOBILE,
		.ttl_ms = 600000,
		.position_confidence = -1,
		.status_confidence = -1};

	presence_id_from_u64("rig", n, u.id);
	return u;
}

static unsigned found(struct presence_client *client)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	struct presence_answer a;
	unsigned count = 0;

	if (presence_query_all(client, NULL, &q, 100, &a) == PRESENCE_OK)
		count = (unsigned)a.count;
	presence_answer_free(&a);
	return count;
}

static bool closed(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char byte[64];

	while (poll(&wait, 1, 10000) == 1)
		if (recv(fd, byte, sizeof byte, 0) <= 0)
			return true;
	return false;
}

static void test_life(void)
{
	struct presence_update u[40];
	struct presence_ack acks[40];
	struct presence_refusal refusal;
	unsigned descriptors = rig_descriptors(), mappings = rig_mappings();
	struct presence_client *c;
	struct stat file;
	struct rig rig;
	uint64_t us;

	rig_prepare(&rig);
	rig.config.worker_count = 2;
	rig_start(&rig);
	CU_ASSERT_EQUAL(stat(rig.config.sources[0].path, &file), 0);
	CU_ASSERT_EQUAL(file.st_mode & 07777, 0660);
	for (unsigned life = 1; life <= 5; life++) {
		c = rig_open(&rig, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		CU_ASSERT_EQUAL(rig_report(&rig, "clients"), 1);
		CU_ASSERT_EQUAL(presence_ping(c, &us), PRESENCE_OK);
		for (unsigned i = 0; i < 40; i++)
			u[i] = update(i, life);
		CU_ASSERT_EQUAL(presence_publish(c, NULL, u, 40, acks, &refusal), PRESENCE_OK);
		// Entities of the other worker are on their way to it.
		CU_ASSERT_TRUE(acks[39].status <= PRESENCE_ACCEPTED);
		for (unsigned turn = 0; turn < 1000 && found(c) != 40; turn++)
			rest_ms(1);
		CU_ASSERT_EQUAL(found(c), 40);
		CU_ASSERT_EQUAL(presence_traffic(c).malformed, 0);
		presence_close(c);
		CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
		CU_ASSERT_EQUAL(rig_report(&rig, "detached"), life);
	}
	CU_ASSERT_EQUAL(rig_mappings(), mappings);
	rig_stop(&rig);
	CU_ASSERT_NOT_EQUAL(stat(rig.config.sources[0].path, &file), 0);
	CU_ASSERT_EQUAL(rig_descriptors(), descriptors);
	rig_remove(&rig);
}

// A client that sleeps on its descriptor, as a program with a loop of its own does, is woken; and it wakes a worker that sleeps.
static void test_sleep(void)
{
	struct presence_events events = {0};
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	struct presence_client *c;
	struct rig rig;
	uint64_t sequence;

	rig_prepare(&rig);
	rig_start(&rig);
	c = rig_open(&rig, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (unsigned i = 0; i < 50; i++) {
		struct pollfd wait = {.fd = presence_socket(c), .events = POLLIN};
		int taken = 0;

		if (i % 5 == 0)
			rest_ms(20);
		CU_ASSERT_EQUAL(presence_submit_query(c, NULL, &q, &sequence), PRESENCE_OK);
		CU_ASSERT_EQUAL(presence_flush(c, NULL), PRESENCE_OK);
		// An answer that was there before the wait is not slept on either.
		if (i % 3 == 0)
			rest_ms(3);
		wait.fd = presence_socket(c);
		for (unsigned turn = 0; turn < 10 && !taken; turn++) {
			CU_ASSERT_EQUAL(poll(&wait, 1, 20000), 1);
			taken = presence_poll(c, &events, 64, 0);
		}
		CU_ASSERT_EQUAL(taken, 1);
	}
	presence_close(c);
	rig_stop(&rig);
	rig_remove(&rig);
}

static void put_ping(struct rig_raw *raw, bool rouse)
{
	bool broken;
	uint8_t *to = pe_shm_reserve(&raw->up, PE_WIRE_BYTES_MAX, &broken);
	struct pe_wire_header header = {.sequence = 1};
	const uint64_t one = 1;

	CU_ASSERT_PTR_NOT_NULL_FATAL(to);
	pe_shm_commit(&raw->up,
		pe_wire_put_ping(to, PE_WIRE_BYTES_MAX, &header, &(struct pe_wire_ping){0}));
	if (pe_shm_rouse(&raw->up) && rouse)
		(void)!write(raw->event_fd, &one, sizeof one);
}

// Says something, sleeps until it is woken on `fd`, and takes the answer.
static void answered_on(struct rig_raw *raw, int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	const uint8_t *data;

	CU_ASSERT_TRUE(pe_shm_drowse(&raw->down));
	put_ping(raw, true);
	CU_ASSERT_EQUAL(poll(&wait, 1, 20000), 1);
	pe_shm_arise(&raw->down);
	CU_ASSERT_TRUE(pe_shm_take(&raw->down, &data) > 0);
	pe_shm_release(&raw->down);
}

// Another process, which has what it was given and nothing else: it can't take the engine's end out of what wakes it, nor write there, nor make
// the engine wait.
static _Noreturn void meddle(const struct rig *rig)
{
	struct pe_shm_hello h = rig_hello();
	struct epoll_event event = {.events = EPOLLIN};
	struct rig_raw raw;
	uint64_t most = UINT64_MAX - 1;

	close_range(3, ~0u, 0);
	alarm(20);
	if (!rig_attach(rig, &h, sizeof h, &raw) || write(raw.wake_fd, &most, 8) != -1 ||
		fcntl(raw.wake_fd, F_SETFL, 0) != 0 || fcntl(raw.event_fd, F_SETFL, 0) != 0)
		_exit(1);
	for (int fd = 0; fd < 1024; fd++)
		if (epoll_ctl(raw.wake_fd, EPOLL_CTL_DEL, fd, NULL) == 0 ||
			epoll_ctl(raw.wake_fd, EPOLL_CTL_MOD, fd, &event) == 0)
			_exit(2);
	// Its own eventfd may stand in it beside the engine's; full, it would block who writes there.
	if (epoll_ctl(raw.wake_fd, EPOLL_CTL_ADD, raw.event_fd, &event) != 0 ||
		write(raw.event_fd, &most, 8) != 8)
		_exit(3);
	(void)epoll_wait(raw.wake_fd, &event, 1, 0);
	(void)epoll_ctl(raw.wake_fd, EPOLL_CTL_DEL, raw.event_fd, NULL);
	for (unsigned i = 0; i < 20; i++) {
		struct pollfd wait = {.fd = raw.wake_fd, .events = POLLIN};
		const uint8_t *data;

		if (!pe_shm_drowse(&raw.down))
			_exit(4);
		put_ping(&raw, false);
		if (poll(&wait, 1, 20000) != 1 || epoll_wait(raw.wake_fd, &event, 1, 0) != 1 ||
			pe_shm_take(&raw.down, &data) <= 0)
			_exit(5);
		pe_shm_release(&raw.down);
	}
	_exit(0);
}

// Who sleeps is woken by what its version says: a byte, or a descriptor that is no more than that to it, whatever it does with it.
static void test_wakes(void)
{
	struct pe_shm_hello h = rig_hello();
	struct pollfd both[2];
	struct epoll_event event = {.events = EPOLLIN};
	struct rig_raw raw;
	char bytes[8];
	struct rig rig;
	int status = -1;
	pid_t child;

	rig_prepare(&rig);
	rig_start(&rig);
	h.version_max = 1;
	CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
	CU_ASSERT_EQUAL(raw.welcome.version, 1);
	CU_ASSERT_EQUAL(raw.wake_fd, -1);
	answered_on(&raw, raw.fd);
	CU_ASSERT_EQUAL(recv(raw.fd, bytes, sizeof bytes, 0), 1);
	rig_detach(&raw);
	h = rig_hello();
	CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
	CU_ASSERT_EQUAL(raw.welcome.version, 2);
	CU_ASSERT_TRUE_FATAL(raw.wake_fd >= 0);
	both[0] = (struct pollfd){.fd = raw.fd, .events = POLLIN};
	both[1] = (struct pollfd){.fd = raw.wake_fd, .events = POLLIN};
	CU_ASSERT_EQUAL(poll(both, 2, 0), 0);
	for (unsigned i = 0; i < 20; i++) {
		answered_on(&raw, raw.wake_fd);
		// Nothing on the socket; and once it is taken off, nothing here.
		CU_ASSERT_EQUAL(poll(both, 2, 0), 1);
		CU_ASSERT_EQUAL(epoll_wait(raw.wake_fd, &event, 1, 0), 1);
		CU_ASSERT_EQUAL(poll(both, 2, 0), 0);
	}
	rig_detach(&raw);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	child = fork();
	if (child == 0)
		meddle(&rig);
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	rig_stop(&rig);
	rig_remove(&rig);
}

// ---- who a client is ----

#define FERRY 7u
#define GUEST 9u // known, and granted nothing

static void know(struct rig *rig)
{
	const struct pe_directory_grant grants[] = {
		{FERRY, PE_ROLE_PUBLISH | PE_ROLE_QUERY, 0, {0}}};
	struct pe_directory_owned owned[] = {{.bits = 24, .principal = FERRY}};
	struct pe_principals *directory;
	struct pe_error error;

	memcpy(owned[0].prefix, "rig", 3);
	CU_ASSERT_EQUAL_FATAL(pe_principals_create(grants, 1, owned, 1, &directory, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_engine_principals(rig->engine, directory), PE_OK);
}

// uid is this principal; 0: nobody.
static void user_is(struct rig *rig, uint32_t uid, uint32_t principal, bool asks)
{
	const struct pe_user list[] = {
		{.uid = uid + 1, .principal = 3},
		{.uid = uid,
			.principal = principal,
			.id = {1, [15] = (uint8_t)principal},
			.asks = asks},
	};

	CU_ASSERT_EQUAL(pe_users_set(rig->config.users, list, principal ? 2 : 1), PE_OK);
	if (rig->source)
		rig->source->ops->users_changed(rig->source);
}

// What becomes of one update, once the client has been attached for the n-th time.
static uint8_t said(struct presence_client *c, uint64_t attached, uint32_t sequence)
{
	struct presence_update u = update(1, sequence);
	struct presence_ack ack = {0};

	for (unsigned turn = 0; turn < 10000 && presence_traffic(c).attached < attached; turn++)
		(void)presence_poll(c, &(struct presence_events){0}, 16, 2);
	CU_ASSERT_EQUAL(presence_traffic(c).attached, attached);
	CU_ASSERT_EQUAL(presence_publish(c, NULL, &u, 1, &ack, NULL), PRESENCE_OK);
	return ack.status == PRESENCE_APPLIED ? 0 : ack.code;
}

static void test_users(void)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const uint32_t uid = geteuid();
	struct presence_client *c, *other;
	struct presence_answer a;
	struct pe_users *users = pe_users_create();
	char error[300];
	struct rig rig;
	uint8_t id[16];

	rig_prepare(&rig);
	rig.config.users = users;
	rig.config.sources[0].trusted = false;
	rig.config.engine.spaces[0].authorization = PE_AUTHORIZATION_KEYRING;
	user_is(&rig, uid, FERRY, true);
	rig_start(&rig);
	know(&rig);
	c = rig_open(&rig, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_TRUE(presence_known_as(c, id) && id[0] == 1 && id[15] == FERRY);
	CU_ASSERT_EQUAL(rig_report(&rig, "clients_known"), 1);
	CU_ASSERT_EQUAL(said(c, 1, 1), 0);
	// Who may ask is answered, though the source is not trusted.
	CU_ASSERT_EQUAL(presence_query(c, NULL, &q, &a), PRESENCE_OK);
	CU_ASSERT_EQUAL(a.count, 1);
	presence_answer_free(&a);
	// The same again: nobody is let go.
	user_is(&rig, uid, FERRY, true);
	rest_ms(20);
	CU_ASSERT_EQUAL(said(c, 1, 2), 0);
	CU_ASSERT_EQUAL(rig_report(&rig, "user_changed"), 0);
	// Somebody else, nobody, and himself again: each time he is let go, and comes back as that.
	user_is(&rig, uid, GUEST, false);
	CU_ASSERT_EQUAL(said(c, 2, 3), PE_CODE_UNAUTHORIZED);
	CU_ASSERT_TRUE(presence_known_as(c, id) && id[15] == GUEST);
	user_is(&rig, uid, 0, false);
	CU_ASSERT_EQUAL(said(c, 3, 4), PE_CODE_UNAUTHORIZED);
	CU_ASSERT_FALSE(presence_known_as(c, id));
	CU_ASSERT_EQUAL(rig_report(&rig, "clients_known"), 0);
	user_is(&rig, uid, FERRY, true);
	CU_ASSERT_EQUAL(said(c, 4, 5), 0);
	CU_ASSERT_EQUAL(rig_report(&rig, "user_changed"), 3);
	rig_stop(&rig);
	// Known users only.
	rig.config.sources[0].known_only = true;
	rig_start(&rig);
	know(&rig);
	CU_ASSERT_EQUAL(said(c, 5, 6), 0);
	user_is(&rig, uid, 0, false);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = rig.uri}, &other, error,
				sizeof error),
		PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "not admitted"));
	CU_ASSERT_TRUE(rig_report(&rig, "hello_denied") > 0);
	presence_close(c);
	rig_stop(&rig);
	// Without a list nobody is known.
	rig.config.users = NULL;
	rig_start(&rig);
	CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = rig.uri}, &other, error,
				sizeof error),
		PRESENCE_SYSTEM);
	rig_stop(&rig);
	rig_remove(&rig);
	pe_users_destroy(users);
}

static void test_table_of_users(void)
{
	static struct pe_user list[PE_USERS_MAX + 1];
	struct pe_users *users = pe_users_create();
	struct pe_user user;

	CU_ASSERT_PTR_NOT_NULL_FATAL(users);
	CU_ASSERT_FALSE(pe_users_find(users, 0, &user));
	CU_ASSERT_FALSE(pe_users_find(NULL, 0, &user));
	for (uint32_t i = 0; i < PE_USERS_MAX + 1; i++)
		list[i] = (struct pe_user){.uid = i * 2654435761u, .principal = i + 1};
	CU_ASSERT_EQUAL(pe_users_set(users, list, PE_USERS_MAX + 1), PE_RANGE);
	CU_ASSERT_FALSE(pe_users_find(users, 0, &user));
	CU_ASSERT_EQUAL(pe_users_set(users, list, PE_USERS_MAX), PE_OK);
	for (uint32_t i = 0; i < PE_USERS_MAX; i++)
		CU_ASSERT_TRUE(
			pe_users_find(users, i * 2654435761u, &user) && user.principal == i + 1);
	CU_ASSERT_FALSE(pe_users_find(users, PE_USERS_MAX * 2654435761u, &user));
	CU_ASSERT_EQUAL(user.principal, 0);
	CU_ASSERT_EQUAL(pe_users_set(users, NULL, 0), PE_OK);
	CU_ASSERT_FALSE(pe_users_find(users, 0, &user));
	pe_users_destroy(users);
	pe_users_destroy(NULL);
}

static void test_refusals(void)
{
	struct pe_shm_hello h = rig_hello();
	struct presence_client *c[3] = {0};
	struct rig_raw raw;
	uint8_t longer[sizeof h + 1] = {0};
	char error[300];
	struct rig rig;

	rig_prepare(&rig);
	rig.config.sources[0].client_count = 2;
	rig_start(&rig);
#define REFUSED(change, expected) \
	do { \
		h = rig_hello(); \
		change; \
		CU_ASSERT_FALSE(rig_attach(&rig, &h, sizeof h, &raw)); \
		CU_ASSERT_EQUAL(raw.welcome.answer, expected); \
		CU_ASSERT_EQUAL(raw.welcome.memory_bytes, 0); \
	} while (0)
	REFUSED(h.magic++, PE_SHM_MALFORMED);
	REFUSED(h.version_min = h.version_max = 7, PE_SHM_VERSION_UNKNOWN);
	CU_ASSERT_EQUAL(raw.welcome.version, PE_SHM_VERSION);
	REFUSED(h.up_bytes = 5, PE_SHM_SIZE);
	REFUSED(h.space_id[3] = 9, PE_SHM_SPACE);
	memcpy(longer, &h, sizeof h);
	CU_ASSERT_FALSE(rig_attach(&rig, longer, sizeof longer, &raw));
	CU_ASSERT_EQUAL(raw.welcome.answer, PE_SHM_MALFORMED);
	CU_ASSERT_FALSE(rig_attach(&rig, &h, 10, &raw));
	CU_ASSERT_EQUAL(raw.welcome.answer, PE_SHM_MALFORMED);
	CU_ASSERT_EQUAL(rig_report(&rig, "hello_malformed"), 3);
	CU_ASSERT_EQUAL(rig_report(&rig, "hello_space"), 1);
	h = rig_hello();
	h.space_id[0] = 1; // its id
	h.up_bytes = 1 << 20;
	h.down_bytes = 16384;
	CU_ASSERT_TRUE(rig_attach(&rig, &h, sizeof h, &raw));
	CU_ASSERT_EQUAL(raw.welcome.up_bytes, 65536); // not more than is offered
	CU_ASSERT_EQUAL(raw.welcome.down_bytes, 16384);
	CU_ASSERT_EQUAL(raw.welcome.space_id[0], 1);
	rig_detach(&raw);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	// As many as there may be, and one more.
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_PTR_NOT_NULL_FATAL((c[i] = rig_open(&rig, NULL)));
	CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = rig.uri}, &c[2], error,
				sizeof error),
		PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "as many clients"));
	presence_close(c[0]);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 1));
	CU_ASSERT_PTR_NOT_NULL((c[0] = rig_open(&rig, NULL)));
	presence_close(c[0]);
	presence_close(c[1]);
	rig_stop(&rig);
	// Not of the users that are admitted.
	rig.config.sources[0].uids[0]++;
	rig_start(&rig);
	h = rig_hello();
	CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = rig.uri}, &c[2], error,
				sizeof error),
		PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "allow_uids"));
	CU_ASSERT_EQUAL(rig_report(&rig, "hello_denied"), 1);
	rig_stop(&rig);
	// By its group.
	rig.config.sources[0].gid_count = 1;
	rig.config.sources[0].gids[0] = getegid();
	rig_start(&rig);
	CU_ASSERT_PTR_NOT_NULL_FATAL((c[0] = rig_open(&rig, NULL)));
	presence_close(c[0]);
	rig_stop(&rig);
	rig_remove(&rig);
#undef REFUSED
}

// Those who connect and say nothing neither keep others out nor stay for ever.
static void test_silent(void)
{
	int fds[3 * PE_RING_HELLOS_MAX];
	struct presence_client *c;
	unsigned late = 0;
	struct rig rig;

	rig_prepare(&rig);
	rig_start(&rig);
	for (unsigned i = 0; i < 3 * PE_RING_HELLOS_MAX; i++)
		CU_ASSERT_TRUE((fds[i] = rig_connect(&rig)) >= 0);
	c = rig_open(&rig, NULL);
	CU_ASSERT_PTR_NOT_NULL(c);
	presence_close(c);
	for (unsigned i = 0; i < 3 * PE_RING_HELLOS_MAX; i++) {
		late += closed(fds[i]);
		close(fds[i]);
	}
	CU_ASSERT_EQUAL(late, 3 * PE_RING_HELLOS_MAX);
	rig_stop(&rig);
	rig_remove(&rig);
}

// What was published before a client left is heard, though nobody waited for it.
static void test_last_words(void)
{
	struct presence_update u[16];
	struct rig rig;

	rig_prepare(&rig);
	rig.config.sources[0].client_count = 32;
	rig_start(&rig);
	for (unsigned life = 0; life < 20; life++) {
		struct presence_client *c = rig_open(&rig, NULL);
		size_t sent;

		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		for (unsigned m = 0; m < 40; m++) {
			for (unsigned i = 0; i < 16; i++)
				u[i] = update(life * 1000 + m * 16 + i, 1);
			CU_ASSERT_EQUAL(presence_send(c, NULL, u, 16, &sent), PRESENCE_OK);
		}
		presence_close(c);
	}
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	rest_ms(50);
	CU_ASSERT_EQUAL(RIG_COUNTER(&rig, records_applied), 20 * 640);
	rig_stop(&rig);
	rig_remove(&rig);
}

// Records are filled in the ring itself; what else uses the ring meanwhile, or the ring's end, takes the room away.
static void test_bulk(void)
{
	struct presence_record *records;
	struct presence_client *c;
	struct presence_update u;
	enum presence_result result;
	uint64_t us;
	unsigned packets;
	struct rig rig;

	rig_prepare(&rig);
	rig_start(&rig);
	c = rig_open(&rig, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (unsigned m = 0; m < 200; m++) {
		// 64 KiB are full now and then
		while ((result = presence_reserve(c, NULL, &records)) == PRESENCE_WOULD_BLOCK) {
			CU_ASSERT_PTR_NULL(records);
			CU_ASSERT_PTR_NOT_NULL(strstr(presence_error(c), rig.uri));
			rest_ms(1);
		}
		CU_ASSERT_EQUAL_FATAL(result, PRESENCE_OK);
		for (unsigned i = 0; i < PRESENCE_BATCH_MAX; i++) {
			u = update(m * PRESENCE_BATCH_MAX + i, 1);
			CU_ASSERT_TRUE(presence_record_from(&records[i], &u));
		}
		CU_ASSERT_EQUAL(presence_commit(c, PRESENCE_BATCH_MAX, false, NULL), PRESENCE_OK);
	}
	CU_ASSERT_EQUAL(presence_flush(c, &packets), PRESENCE_OK);
	CU_ASSERT_EQUAL(packets, 200);
	CU_ASSERT_EQUAL(presence_ping(c, &us), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_reserve(c, NULL, &records), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_ping(c, &us), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_commit(c, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(RIG_COUNTER(&rig, records_applied), 200 * PRESENCE_BATCH_MAX);
	CU_ASSERT_EQUAL(presence_reserve(c, NULL, &records), PRESENCE_OK);
	rig_stop(&rig);
	while (presence_poll(c, &(struct presence_events){0}, 1000, 0) > 0 || rig_mappings())
		;
	CU_ASSERT_EQUAL(presence_commit(c, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_reserve(c, NULL, &records), PRESENCE_WOULD_BLOCK);
	presence_close(c);
	rig_remove(&rig);
}

// A client whose ring is full of answers that it doesn't read loses them; others don't.
static void test_back_pressure(void)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	struct presence_client *deaf, *other;
	struct presence_update u[160];
	struct presence_ack acks[160];
	uint64_t us;
	struct rig rig;

	rig_prepare(&rig);
	rig_start(&rig);
	deaf = rig_open(&rig, NULL);
	other = rig_open(&rig, NULL);
	CU_ASSERT_TRUE_FATAL(deaf && other);
	for (unsigned i = 0; i < 160; i++)
		u[i] = update(i, 1);
	CU_ASSERT_EQUAL(presence_publish(other, NULL, u, 160, acks, NULL), PRESENCE_OK);
	for (unsigned i = 0; i < 200; i++) {
		(void)presence_submit_query(deaf, NULL, &q, &us);
		(void)presence_flush(deaf, NULL);
		CU_ASSERT_EQUAL(found(other), 160);
	}
	CU_ASSERT_TRUE(rig_report(&rig, "ring_full") > 0);
	CU_ASSERT_EQUAL(RIG_COUNTER(&rig, tx_dropped), rig_report(&rig, "ring_full"));
	CU_ASSERT_EQUAL(presence_traffic(other).retries, 0);
	// It reads again: what comes from then on comes.
	while (presence_poll(deaf, &(struct presence_events){0}, 1000, 0) > 0)
		;
	CU_ASSERT_EQUAL(presence_ping(deaf, &us), PRESENCE_OK);
	CU_ASSERT_EQUAL(found(deaf), 160);
	presence_close(deaf);
	presence_close(other);
	rig_stop(&rig);
	rig_remove(&rig);
}

// Each way to break a ring: seen once, counted, and only its own client is let go.
static void test_broken(void)
{
	struct pe_shm_hello h = rig_hello();
	struct presence_client *other;
	struct rig_raw raw;
	unsigned count = 0;
	struct rig rig;
	uint64_t us;

	rig_prepare(&rig);
	rig_start(&rig);
	other = rig_open(&rig, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	for (unsigned way = 0; way < 8; way++) {
		static const uint32_t bytes[] = {0, PE_WIRE_BYTES_MAX + 1, PE_SHM_WRAP};
		_Atomic uint64_t *word;

		CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
		word = pe_shm_word(raw.up.ring, raw.up.mask, 0);
		switch (way) {
		case 0:
		case 1:
		case 2:
			*word = pe_shm_word_of(0, bytes[way]);
			break;
		case 3:
			*word = 1;
			break;
		case 4:
			*word = UINT64_MAX;
			break;
		default: { // of its other ring: positions that cannot be, found when there is something to be said
			const uint64_t heads[] = {1, UINT64_C(1) << 40, UINT64_MAX - 63};
			uint8_t ping[PE_WIRE_BYTES_MAX];
			struct pe_wire_header header = {.sequence = 1};
			struct pe_wire_ping body = {{1, 2}};
			uint32_t length = pe_wire_put_ping(ping, sizeof ping, &header, &body);

			atomic_store(&raw.down.shared->head, heads[way - 5]);
			for (unsigned i = 0; i < 2000; i++) {
				bool broken = false;
				uint8_t *to = pe_shm_reserve(&raw.up, length, &broken);

				if (!to) {
					rest_ms(1);
					continue;
				}
				memcpy(to, ping, length);
				pe_shm_commit(&raw.up, length);
				if (pe_shm_rouse(&raw.up))
					(void)!write(raw.event_fd, &(uint64_t){1}, 8);
			}
			break;
		}
		}
		(void)!write(raw.event_fd, &(uint64_t){1}, 8);
		CU_ASSERT_TRUE(closed(raw.fd));
		CU_ASSERT_EQUAL(((struct pe_shm_page *)raw.memory)->state, PE_SHM_BROKEN);
		count += way < 5;
		CU_ASSERT_EQUAL(rig_counter(&rig, PE_COUNTER_REASON(PE_REASON_ring_record)), count);
		CU_ASSERT_EQUAL(rig_report(&rig, "broken"), way + 1);
		rig_detach(&raw);
		CU_ASSERT_EQUAL(presence_ping(other, &us), PRESENCE_OK);
	}
	// Words after the hello are none of its business either.
	CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
	CU_ASSERT_EQUAL(send(raw.fd, "x", 1, 0), 1);
	CU_ASSERT_TRUE(closed(raw.fd));
	CU_ASSERT_EQUAL(((struct pe_shm_page *)raw.memory)->state, PE_SHM_ENDED);
	rig_detach(&raw);
	// The eventfd is full and made to block: the engine neither reads nor writes it.
	CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
	(void)!write(raw.event_fd, &(uint64_t){UINT64_MAX - 1}, 8);
	rest_ms(20);
	CU_ASSERT_EQUAL(presence_ping(other, &us), PRESENCE_OK);
	rig_detach(&raw);
	presence_close(other);
	rig_stop(&rig);
	rig_remove(&rig);
}

// The subscriptions of who has gone end, so that others have room: more lives than there are subscriptions.
static void test_subscriptions(void)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const struct presence_fence fence = {.id = 1, .query = &q};
	struct presence_watch_refusal refusal;
	struct rig rig;

	rig_prepare(&rig);
	rig.config.engine.subscription_count_max = 8;
	rig_start(&rig);
	for (unsigned life = 1; life <= 40; life++) {
		struct presence_client *c = rig_open(&rig, NULL);
		struct presence_watch *w = NULL;
		enum presence_result result = PRESENCE_REFUSED;

		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		// An ended one lingers for a moment.
		for (unsigned turn = 0; turn < 500 && result == PRESENCE_REFUSED; turn++) {
			result = presence_watch_open(c, NULL, NULL, &fence, 1, &w, &refusal);
			if (result == PRESENCE_REFUSED)
				rest_ms(20);
		}
		CU_ASSERT_EQUAL_FATAL(result, PRESENCE_OK);
		presence_close(c); // as who dies: without a word about the watch
		CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	}
	rest_ms(20);
	CU_ASSERT_EQUAL(RIG_COUNTER(&rig, subscriptions_opened), 40);
	CU_ASSERT_EQUAL(RIG_COUNTER(&rig, subscriptions_ended), 40);
	rig_stop(&rig);
	rig_remove(&rig);
}

// ---- what is no engine ----

enum fake {
	FAKE_SHORT,
	FAKE_GARBAGE,
	FAKE_ALONE,
	FAKE_SMALL,
	FAKE_UNSEALED,
	FAKE_PAGE,
	FAKE_SIZES,
	FAKE_COUNT
};

struct fake_engine {
	int listen_fd;
	enum fake fake;
};

static int fake_memory(enum fake fake, const struct pe_shm_welcome *w)
{
	int fd = memfd_create("fake", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct pe_shm_rx up;
	struct pe_shm_tx down;
	void *memory;

	if (ftruncate(fd, fake == FAKE_SMALL ? 4096 : (off_t)w->memory_bytes) != 0)
		return fd;
	if (fake != FAKE_UNSEALED)
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pe_shm_new(memory, 1, 16384, 16384, fake == FAKE_PAGE ? 8 : 7, &up, &down);
	munmap(memory, 4096);
	return fd;
}

static void *be_fake(void *context)
{
	struct fake_engine *e = context;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} ancillary = {0};
	struct pe_shm_welcome w = {.magic = PE_SHM_MAGIC,
		.version = 1,
		.epoch = 7,
		.up_bytes = 16384,
		.down_bytes = e->fake == FAKE_SIZES ? 3 << 13 : 16384,
		.memory_bytes = 4096 + 2 * 16384};
	struct iovec part = {&w, e->fake == FAKE_SHORT ? 7 : pe_shm_welcome_bytes(&w)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fd = accept(e->listen_fd, NULL, NULL), fds[2];
	uint8_t hello[64];
	struct cmsghdr *c;

	(void)!recv(fd, hello, sizeof hello, 0);
	if (e->fake == FAKE_GARBAGE)
		memset(&w, 0xA5, sizeof w);
	fds[0] = fake_memory(e->fake, &w);
	fds[1] = eventfd(0, EFD_CLOEXEC);
	if (e->fake >= FAKE_SMALL) {
		message.msg_control = ancillary.bytes;
		message.msg_controllen = sizeof ancillary.bytes;
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fds);
		memcpy(CMSG_DATA(c), fds, sizeof fds);
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL);
	close(fds[0]);
	close(fds[1]);
	close(fd);
	return NULL;
}

// What listens may be anything: the client says so and keeps nothing of it.
static void test_no_engine(void)
{
	unsigned descriptors = rig_descriptors();
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct presence_client *client;
	struct fake_engine e;
	pthread_t thread;
	char error[300];
	struct rig rig;

	rig_prepare(&rig);
	snprintf(at.sun_path, sizeof at.sun_path, "%s", rig.config.sources[0].path);
	e.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(e.listen_fd, (struct sockaddr *)&at, sizeof at), 0);
	CU_ASSERT_EQUAL_FATAL(listen(e.listen_fd, 4), 0);
	for (e.fake = 0; e.fake < FAKE_COUNT; e.fake++) {
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, be_fake, &e), 0);
		error[0] = 0;
		CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = rig.uri}, &client,
					error, sizeof error),
			PRESENCE_SYSTEM);
		CU_ASSERT_PTR_NULL(client);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(error, e.fake <= FAKE_GARBAGE ? "no presence engine" : "not sound"));
		pthread_join(thread, NULL);
	}
	// It listens, and that is all.
	CU_ASSERT_EQUAL(presence_open(&(struct presence_options){.uri = rig.uri}, &client, error,
				sizeof error),
		PRESENCE_SYSTEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, "nobody answers"));
	close(e.listen_fd);
	CU_ASSERT_EQUAL(rig_descriptors(), descriptors);
	rig_remove(&rig);
}

TESTING_MAIN("ring-source", {"life", test_life}, {"sleep", test_sleep}, {"wakes", test_wakes},
	{"users", test_users}, {"table of users", test_table_of_users}, {"refusals", test_refusals},
	{"silent", test_silent}, {"last words", test_last_words}, {"bulk", test_bulk},
	{"back-pressure", test_back_pressure}, {"broken rings", test_broken},
	{"subscriptions", test_subscriptions}, {"no engine", test_no_engine})
