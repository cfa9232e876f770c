// The ring source from both sides: who may attach and who may not, what a client says and hears,
// and what becomes of those who break their ring, don't read, don't speak, or leave.
#include "client/bulk.h"
#include "client/watch.h"
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
	char byte[64];

	while (rig_wait_readable(fd))
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
	static struct rig rig;
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
		for (unsigned turn = 0; turn < 30000 && found(c) != 40; turn++)
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

// A client that sleeps on its descriptor, as a program with a loop of its own does, is woken; and
// it wakes a worker that sleeps.
static void test_sleep(void)
{
	struct presence_events events = {0};
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	struct presence_client *c;
	static struct rig rig;
	uint64_t sequence;

	rig_prepare(&rig);
	rig_start(&rig);
	c = rig_open(&rig, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (unsigned i = 0; i < 50; i++) {
		int taken = 0;

		if (i % 5 == 0)
			rest_ms(20);
		CU_ASSERT_EQUAL(presence_submit_query(c, NULL, &q, &sequence), PRESENCE_OK);
		CU_ASSERT_EQUAL(presence_flush(c, NULL), PRESENCE_OK);
		// An answer that was there before the wait is not slept on either.
		if (i % 3 == 0)
			rest_ms(3);
		for (unsigned turn = 0; turn < 10 && !taken; turn++) {
			CU_ASSERT_TRUE(rig_wait_readable(presence_socket(c)));
			taken = presence_poll(c, &events, 64, 0);
		}
		CU_ASSERT_EQUAL(taken, 1);
	}
	presence_close(c);
	rig_stop(&rig);
	rig_remove(&rig);
}

static void test_refusals(void)
{
	struct pe_shm_hello h = rig_hello();
	struct presence_client *c[3] = {0};
	struct rig_raw raw;
	uint8_t longer[sizeof h + 1] = {0};
	char error[300];
	static struct rig rig;

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
	presence_close(c[2]);
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
	static struct rig rig;

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
	static struct rig rig;

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
	CU_ASSERT_TRUE(RIG_WAIT_COUNTER(&rig, records_applied, 20 * 640));
	rig_stop(&rig);
	rig_remove(&rig);
}

// Records are filled in the ring itself; what else uses the ring meanwhile, or the ring's end,
// takes the room away.
static void test_bulk(void)
{
	struct presence_record *records;
	struct presence_client *c;
	struct presence_update u;
	enum presence_result result;
	uint64_t us;
	unsigned packets, mappings = rig_mappings();
	static struct rig rig;

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
	for (unsigned turn = 0; turn < 10000 &&
		(presence_poll(c, &(struct presence_events){0}, 1000, 0) > 0 ||
			rig_mappings() > mappings);
		turn++)
		rest_ms(1);
	CU_ASSERT_EQUAL(rig_mappings(), mappings);
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
	static struct rig rig;

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
	static struct rig rig;
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
		default: { // of its other ring: positions that cannot be, found when there is
			   // something to be said
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

// Published, nothing more.
static void put(struct rig_raw *raw, const uint8_t *message, uint32_t length)
{
	bool broken = false;
	uint8_t *to = pe_shm_reserve(&raw->up, length, &broken);

	CU_ASSERT_PTR_NOT_NULL_FATAL(to);
	memcpy(to, message, length);
	pe_shm_commit(&raw->up, length);
}

// The socket is closed while much is still to be taken, and what is at its end finds the ring back
// broken: the place is free again all the same, and the worker sleeps again.
static void test_broken_as_it_leaves(void)
{
	struct pe_shm_hello h = rig_hello();
	struct pe_wire_header header = {.sequence = 1};
	struct pe_wire_ping body = {{1, 2}};
	uint8_t ping[PE_WIRE_BYTES_MAX], junk[PE_WIRE_BYTES_MAX];
	uint32_t length = pe_wire_put_ping(ping, sizeof ping, &header, &body);
	struct presence_client *other;
	struct rig_raw raw;
	static struct rig rig;
	uint64_t us, turns;

	memcpy(junk, ping, length);
	junk[0] = 9; // a version that nobody answers
	rig_prepare(&rig);
	rig.config.sources[0].ring_bytes = 1 << 20;
	rig_start(&rig);
	h.down_bytes = 16384;
	for (unsigned life = 0; life < 8; life++) {
		CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
		atomic_store(&raw.down.shared->head, 1);
		for (unsigned i = 0; i < 7000; i++)
			put(&raw, junk, length);
		for (unsigned i = 0; i < 500; i++)
			put(&raw, ping, length);
		(void)!write(raw.event_fd, &(uint64_t){1}, 8);
		rig_detach(&raw);
		CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL((other = rig_open(&rig, NULL)));
	CU_ASSERT_EQUAL(presence_ping(other, &us), PRESENCE_OK);
	presence_close(other);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	rest_ms(50);
	turns = atomic_load(&rig.workers[0].turns);
	rest_ms(50);
	CU_ASSERT_TRUE(atomic_load(&rig.workers[0].turns) - turns < 1000);
	rig_stop(&rig);
	rig_remove(&rig);
}

// What a client's rings took is given back when it has gone, though it keeps what it was given.
static void test_kept_memory(void)
{
	struct pe_shm_hello h = rig_hello();
	struct rig_raw raw;
	static struct rig rig;
	unsigned char there[16];

	rig_prepare(&rig);
	rig_start(&rig);
	CU_ASSERT_TRUE_FATAL(rig_attach(&rig, &h, sizeof h, &raw));
	CU_ASSERT_EQUAL(mincore(raw.up.ring + 32768, 4096, there), 0);
	CU_ASSERT_EQUAL(there[0] & 1, 1);
	close(raw.fd);
	raw.fd = -1;
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	CU_ASSERT_EQUAL(mincore(raw.up.ring + 32768, 4096, there), 0);
	CU_ASSERT_EQUAL(there[0] & 1, 0);
	CU_ASSERT_EQUAL(((struct pe_shm_page *)raw.memory)->state, PE_SHM_ENDED);
	rig_detach(&raw);
	rig_stop(&rig);
	rig_remove(&rig);
}

// Who leaves its welcome where it is has its place until it takes it or goes, whatever it says.
static void test_unread_welcomes(void)
{
	const struct pe_shm_hello h = rig_hello();
	struct pe_shm_welcome welcome;
	struct presence_client *c;
	static struct rig rig;
	uint64_t us;
	int fds[12];

	rig_prepare(&rig);
	rig.config.sources[0].client_count = 3;
	rig_start(&rig);
	for (unsigned i = 0; i < 12; i++) {
		CU_ASSERT_TRUE_FATAL((fds[i] = rig_connect(&rig)) >= 0);
		CU_ASSERT_EQUAL(send(fds[i], &h, sizeof h, 0), sizeof h);
		CU_ASSERT_TRUE(rig_wait_report(
			&rig, i < 3 ? "attached" : "hello_full", i < 3 ? i + 1 : i - 2));
		(void)send(fds[i], "x", 1, MSG_NOSIGNAL);
	}
	rest_ms(50);
	CU_ASSERT_EQUAL(rig_report(&rig, "clients"), 3);
	CU_ASSERT_EQUAL(rig_report(&rig, "attached"), 3);
	// One takes it, one goes.
	CU_ASSERT_EQUAL(recv(fds[0], &welcome, sizeof welcome, 0), sizeof welcome);
	CU_ASSERT_EQUAL(welcome.answer, PE_SHM_WELCOME);
	close(fds[1]);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 1));
	CU_ASSERT_PTR_NOT_NULL_FATAL((c = rig_open(&rig, NULL)));
	CU_ASSERT_EQUAL(presence_ping(c, &us), PRESENCE_OK);
	presence_close(c);
	for (unsigned i = 0; i < 12; i++)
		if (i != 1)
			close(fds[i]);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	rig_stop(&rig);
	rig_remove(&rig);
}

// The subscriptions of who has gone end, so that others have room: more lives than there are
// subscriptions.
static void test_subscriptions(void)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const struct presence_fence fence = {.id = 1, .query = &q};
	struct presence_watch_refusal refusal;
	static struct rig rig;

	rig_prepare(&rig);
	rig.config.engine.subscription_count_max = 8;
	rig_start(&rig);
	for (unsigned life = 1; life <= 40; life++) {
		struct presence_client *c = rig_open(&rig, NULL);
		struct presence_watch *w = NULL;
		enum presence_result result = PRESENCE_REFUSED;

		CU_ASSERT_PTR_NOT_NULL_FATAL(c);
		// An ended one lingers for a moment.
		for (unsigned turn = 0; turn < 3000 && result == PRESENCE_REFUSED; turn++) {
			result = presence_watch_open(c, NULL, NULL, &fence, 1, &w, &refusal);
			if (result == PRESENCE_REFUSED)
				rest_ms(20);
		}
		CU_ASSERT_EQUAL_FATAL(result, PRESENCE_OK);
		presence_close(c); // as who dies: without a word about the watch
		CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 0));
	}
	CU_ASSERT_TRUE(RIG_WAIT_COUNTER(&rig, subscriptions_ended, 40));
	CU_ASSERT_EQUAL(RIG_COUNTER(&rig, subscriptions_opened), 40);
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
	FAKE_TWO_OF_THREE, // version 2 without a wake
	FAKE_THREE_OF_TWO, // version 1 with one
	FAKE_WAKE,         // version 2 with one that is none
	FAKE_VERSION,
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
	pe_shm_new(memory, w->version, 16384, 16384, fake == FAKE_PAGE ? 8 : 7, &up, &down);
	munmap(memory, 4096);
	return fd;
}

static void *be_fake(void *context)
{
	struct fake_engine *e = context;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(3 * sizeof(int))];
	} ancillary = {0};
	struct pe_shm_welcome w = {.magic = PE_SHM_MAGIC,
		.version = e->fake == FAKE_VERSION                           ? PE_SHM_VERSION + 1 :
			e->fake == FAKE_TWO_OF_THREE || e->fake == FAKE_WAKE ? 2 :
									       1,
		.epoch = 7,
		.up_bytes = 16384,
		.down_bytes = e->fake == FAKE_SIZES ? 3 << 13 : 16384,
		.memory_bytes = 4096 + 2 * 16384};
	struct iovec part = {&w, e->fake == FAKE_SHORT ? 7 : pe_shm_welcome_bytes(&w)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	unsigned count = e->fake >= FAKE_THREE_OF_TWO ? 3 : 2;
	int fd = accept(e->listen_fd, NULL, NULL), fds[3];
	uint8_t hello[64];
	struct cmsghdr *c;

	(void)!recv(fd, hello, sizeof hello, 0);
	if (e->fake == FAKE_GARBAGE)
		memset(&w, 0xA5, sizeof w);
	fds[0] = fake_memory(e->fake, &w);
	fds[1] = eventfd(0, EFD_CLOEXEC);
	fds[2] = e->fake == FAKE_WAKE ? eventfd(0, EFD_CLOEXEC) : epoll_create1(EPOLL_CLOEXEC);
	if (e->fake >= FAKE_SMALL) {
		message.msg_control = ancillary.bytes;
		message.msg_controllen = sizeof ancillary.bytes;
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof fds[0]);
		memcpy(CMSG_DATA(c), fds, count * sizeof fds[0]);
		message.msg_controllen = CMSG_SPACE(count * sizeof fds[0]);
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL);
	for (unsigned i = 0; i < 3; i++)
		close(fds[i]);
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
	static struct rig rig;

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

static bool listened_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool heard;

	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	heard = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0;
	close(fd);
	return heard;
}

// Who ends takes away what it made, and not what another engine has made at its path since.
static void test_another_at_the_path(void)
{
	struct pe_source *first = NULL, *second = NULL;
	struct pe_error error = {0};
	static struct rig rig;
	const char *path = rig.config.sources[0].path;

	rig_prepare(&rig);
	CU_ASSERT_EQUAL_FATAL(pe_ring_open(&rig.config, 0, &first, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
	CU_ASSERT_EQUAL_FATAL(pe_ring_open(&rig.config, 0, &second, &error), PE_OK);
	first->ops->close(first);
	CU_ASSERT_TRUE(listened_at(path));
	second->ops->close(second);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	rig_remove(&rig);
}

struct opening {
	const struct pe_config *config;
	pthread_barrier_t *together;
	struct pe_source *source;
};

static void *open_with_others(void *context)
{
	struct opening *o = context;
	struct pe_error error = {0};

	pthread_barrier_wait(o->together);
	if (pe_ring_open(o->config, 0, &o->source, &error) != PE_OK)
		o->source = NULL;
	return NULL;
}

// Of engines that start at once one has what a crash left, and the others are told that it has.
static void test_at_once(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	pthread_barrier_t together;
	unsigned opened, none_or_two = 0, unheard = 0;
	pthread_t threads[2];
	static struct rig rig;

	rig_prepare(&rig);
	snprintf(at.sun_path, sizeof at.sun_path, "%s", rig.config.sources[0].path);
	pthread_barrier_init(&together, NULL, 2);
	for (unsigned round = 0; round < 300; round++) {
		struct opening o[2] = {
			{&rig.config, &together, NULL}, {&rig.config, &together, NULL}};
		int crashed = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		CU_ASSERT_EQUAL_FATAL(bind(crashed, (struct sockaddr *)&at, sizeof at), 0);
		close(crashed);
		for (unsigned i = 0; i < 2; i++)
			CU_ASSERT_EQUAL_FATAL(
				pthread_create(&threads[i], NULL, open_with_others, &o[i]), 0);
		opened = 0;
		for (unsigned i = 0; i < 2; i++) {
			pthread_join(threads[i], NULL);
			opened += o[i].source != NULL;
		}
		none_or_two += opened != 1;
		unheard += !listened_at(at.sun_path);
		for (unsigned i = 0; i < 2; i++)
			if (o[i].source)
				o[i].source->ops->close(o[i].source);
		(void)unlink(at.sun_path);
	}
	CU_ASSERT_EQUAL(none_or_two, 0);
	CU_ASSERT_EQUAL(unheard, 0);
	pthread_barrier_destroy(&together);
	rig_remove(&rig);
}

TESTING_MAIN("ring-source", {"life", test_life}, {"sleep", test_sleep}, {"refusals", test_refusals},
	{"silent", test_silent}, {"last words", test_last_words}, {"bulk", test_bulk},
	{"back-pressure", test_back_pressure}, {"broken rings", test_broken},
	{"broken as it leaves", test_broken_as_it_leaves}, {"kept memory", test_kept_memory},
	{"unread welcomes", test_unread_welcomes}, {"subscriptions", test_subscriptions},
	{"no engine", test_no_engine}, {"another at the path", test_another_at_the_path},
	{"at once", test_at_once})
