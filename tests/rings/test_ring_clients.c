// How the ring source's clients are woken, and who they are: versions of the ring, a client that
// does what it likes with what it was given, users whom the keyring knows and users whom it knows
// otherwise the next moment.
#include "client/watch.h"
#include "policy/principals.h"
#include "tests/rings/ring_rig.h"
#include "tests/testing.h"
#include "wire/encode.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct presence_update update(uint64_t n, uint32_t sequence)
{
	struct presence_update u = {.sequence = sequence,
		.type = PRESENCE_MOBILE,
		.ttl_ms = 600000,
		.position_confidence = -1,
		.status_confidence = -1};

	presence_id_from_u64("rig", n, u.id);
	return u;
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
	const uint8_t *data;

	CU_ASSERT_TRUE(pe_shm_drowse(&raw->down));
	put_ping(raw, true);
	CU_ASSERT_TRUE(rig_wait_readable(fd));
	pe_shm_arise(&raw->down);
	CU_ASSERT_TRUE(pe_shm_take(&raw->down, &data) > 0);
	pe_shm_release(&raw->down);
}

// Another process, which has what it was given and nothing else: it can't take the engine's end out
// of what wakes it, nor write there, nor make the engine wait.
static _Noreturn void meddle(const struct rig *rig)
{
	struct pe_shm_hello h = rig_hello();
	struct epoll_event event = {.events = EPOLLIN};
	struct rig_raw raw;
	uint64_t most = UINT64_MAX - 1;

	close_range(3, ~0u, 0);
	alarm(90);
	if (!rig_attach(rig, &h, sizeof h, &raw) || write(raw.wake_fd, &most, 8) != -1 ||
		fcntl(raw.wake_fd, F_SETFL, 0) != 0 || fcntl(raw.event_fd, F_SETFL, 0) != 0)
		_exit(1);
	for (int fd = 0; fd < 1024; fd++)
		if (epoll_ctl(raw.wake_fd, EPOLL_CTL_DEL, fd, NULL) == 0 ||
			epoll_ctl(raw.wake_fd, EPOLL_CTL_MOD, fd, &event) == 0)
			_exit(2);
	// Its own eventfd may stand in it beside the engine's; full, it would block who writes
	// there.
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
		if (poll(&wait, 1, 60000) != 1 || epoll_wait(raw.wake_fd, &event, 1, 0) != 1 ||
			pe_shm_take(&raw.down, &data) <= 0)
			_exit(5);
		pe_shm_release(&raw.down);
	}
	_exit(0);
}

// Who sleeps is woken by what its version says: a byte, or a descriptor that is no more than that
// to it, whatever it does with it.
static void test_wakes(void)
{
	struct pe_shm_hello h = rig_hello();
	struct pollfd both[2];
	struct epoll_event event = {.events = EPOLLIN};
	struct rig_raw raw;
	char bytes[8];
	static struct rig rig;
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
		{FERRY, PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE, 0, {0}}};
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

// Turns of waiting that a case has left, for all that it waits for: what doesn't come once won't
// come the next time, and the case has to end in time to say so.
static unsigned patience;

// What becomes of one update, once the client has been attached for the n-th time.
static uint8_t said(struct presence_client *c, uint64_t attached, uint32_t sequence)
{
	struct presence_update u = update(1, sequence);
	struct presence_ack ack = {0};

	for (; patience && presence_traffic(c).attached < attached; patience--)
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
	static struct rig rig;
	uint8_t id[16];

	patience = 30000;
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
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
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

// The keyring is read again and again under clients that never rest: who each of them is in the end
// is who he should be, nothing is left over of those who were let go, and every message is
// accounted for.
static void test_changes(void)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const struct presence_fence fence = {.id = 1, .query = &q};
	const struct presence_watch_options options = {.resubscribe = true};
	const char *text = getenv("PE_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL), sequence;
	const uint32_t uid = geteuid();
	struct presence_client *c[6];
	struct presence_watch *w;
	struct pe_users *users = pe_users_create();
	unsigned descriptors, mappings, changes = (unsigned)testing_amount(200);
	static struct rig rig;
	uint8_t id[16];

	printf(" PE_TEST_SEED=%llu ", (unsigned long long)seed);
	rig_prepare(&rig);
	rig.config.users = users;
	rig.config.worker_count = 2;
	rig.config.engine.spaces[0].authorization = PE_AUTHORIZATION_FIRST;
	user_is(&rig, uid, FERRY, true);
	rig_start(&rig);
	know(&rig);
	for (unsigned i = 0; i < 6; i++) {
		c[i] = rig_open(&rig, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(c[i]);
	}
	CU_ASSERT_EQUAL(
		presence_watch_open(c[0], NULL, &options, &fence, 1, &w, NULL), PRESENCE_OK);
	descriptors = rig_descriptors();
	mappings = rig_mappings();
	for (unsigned n = 0; n < changes; n++) {
		static const uint32_t who[] = {FERRY, GUEST, 0};

		user_is(&rig, uid, who[testing_random(&seed) % 3], testing_random(&seed) % 2);
		for (unsigned turn = (unsigned)(testing_random(&seed) % 40); turn; turn--) {
			struct presence_client *one = c[testing_random(&seed) % 6];
			struct presence_update u = update(testing_random(&seed) % 100, n + 1);

			(void)presence_send(one, NULL, &u, 1, NULL);
			(void)presence_submit_query(one, NULL, &q, &sequence);
			(void)presence_flush(one, NULL);
			(void)presence_poll(one, &(struct presence_events){0}, 64,
				(int)(testing_random(&seed) % 3));
		}
	}
	user_is(&rig, uid, GUEST, false);
	patience = 30000;
	for (unsigned i = 0; i < 6; i++) {
		for (; patience; patience--) {
			(void)presence_poll(c[i], &(struct presence_events){0}, 64, 1);
			if (presence_known_as(c[i], id) && id[15] == GUEST &&
				rig_report(&rig, "clients_known") == 6)
				break;
			for (unsigned k = 0; k < 6; k++)
				(void)presence_poll(c[k], &(struct presence_events){0}, 64, 0);
		}
		CU_ASSERT_TRUE(presence_known_as(c[i], id) && id[15] == GUEST);
	}
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 6));
	CU_ASSERT_TRUE(rig_report(&rig, "user_changed") > 10);
	CU_ASSERT_EQUAL(rig_report(&rig, "broken"), 0);
	CU_ASSERT_EQUAL(rig_descriptors(), descriptors);
	CU_ASSERT_EQUAL(rig_mappings(), mappings);
	// What the ferry watched went with it.
	CU_ASSERT_TRUE(presence_watch_status(w).gaps + presence_watch_status(w).anew > 0);
	for (unsigned i = 0; i < 6; i++)
		presence_close(c[i]);
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

TESTING_MAIN("ring-clients", {"wakes", test_wakes}, {"users", test_users},
	{"changes", test_changes}, {"table of users", test_table_of_users})
