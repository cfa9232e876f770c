// Clients of the ring source at their worst: killed at any instant, stopped, writing anything
// anywhere into what they share. The engine lives in this process, with another client whose
// traffic must stay exact meanwhile; and in a process of its own where it is the one that dies.
// What is left afterwards is counted: descriptors, mappings, entities. The seed is printed.
#include "client/watch.h"
#include "tests/rings/ring_rig.h"
#include "tests/testing.h"
#include "wire/encode.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OWN_COUNT 64
#define OWN_AT    (-5e5) // where nobody else is

static uint64_t state;

static void rest_us(uint64_t us)
{
	nanosleep(&(struct timespec){(time_t)(us / 1000000), (long)(us % 1000000 * 1000)}, NULL);
}

static struct presence_update update(const char *name, uint64_t n, uint32_t sequence, double x)
{
	struct presence_update u = {.position = {x, (double)(n % 64), 0},
		.sequence = sequence,
		.type = PRESENCE_MOBILE,
		.ttl_ms = 1000,
		.position_confidence = -1,
		.status_confidence = -1};

	presence_id_from_u64(name, n, u.id);
	return u;
}

// ---- the one who behaves ----

struct own {
	struct presence_client *client;
	uint32_t sequence;
	uint64_t rounds;
	bool handed; // there are other workers: what they own is on its way to them when it is
	             // acknowledged
};

// One round: all that it says is applied, all that it asks is right.
static void own_round(struct own *o)
{
	const struct presence_query q = {
		.volume = PRESENCE_SPHERE, .a = {OWN_AT, 32, 0}, .radius_m = 100};
	struct presence_update u[OWN_COUNT];
	struct presence_ack acks[OWN_COUNT];
	struct presence_answer a;
	unsigned applied = 0;

	o->sequence++;
	for (unsigned i = 0; i < OWN_COUNT; i++) {
		u[i] = update("own", i, o->sequence, OWN_AT);
		u[i].ttl_ms = 600000;
	}
	CU_ASSERT_EQUAL(presence_publish(o->client, NULL, u, OWN_COUNT, acks, NULL), PRESENCE_OK);
	for (unsigned i = 0; i < OWN_COUNT; i++)
		applied += acks[i].status == PRESENCE_APPLIED ||
			(o->handed && acks[i].status == PRESENCE_ACCEPTED);
	CU_ASSERT_EQUAL(applied, OWN_COUNT);
	CU_ASSERT_EQUAL(presence_query(o->client, NULL, &q, &a), PRESENCE_OK);
	for (unsigned turn = 0; o->handed && a.count < OWN_COUNT && turn < 5000; turn++) {
		presence_answer_free(&a);
		rest_us(1000);
		CU_ASSERT_EQUAL(presence_query(o->client, NULL, &q, &a), PRESENCE_OK);
	}
	CU_ASSERT_EQUAL(a.count, OWN_COUNT);
	presence_answer_free(&a);
	o->rounds++;
}

static void own_begin(struct own *o, const struct rig *rig)
{
	*o = (struct own){.client = rig_open(rig, &(struct presence_options){.timeout_ms = 30000}),
		.handed = rig->config.worker_count > 1};
	if (!o->client)
		abort();
	own_round(o);
}

static void own_end(struct own *o)
{
	struct presence_traffic t = presence_traffic(o->client);

	own_round(o);
	CU_ASSERT_EQUAL(t.retries, 0);
	CU_ASSERT_EQUAL(t.malformed, 0);
	CU_ASSERT_EQUAL(t.attached, 1);
	presence_close(o->client);
}

// What the others left is gone within their ttl.
static void wait_for_the_ttl(const struct rig *rig, uint64_t most)
{
	for (unsigned turn = 0; turn < 3000 && pe_engine_entity_count(rig->engine) > most; turn++)
		rest_us(10000);
	CU_ASSERT_TRUE(pe_engine_entity_count(rig->engine) <= most);
}

// Everybody has gone: what there is, was there before the first of them came.
static void nothing_is_held(const struct rig *rig, unsigned descriptors, unsigned mappings)
{
	CU_ASSERT_TRUE(rig_wait_report(rig, "clients", 0));
	CU_ASSERT_TRUE(rig_wait_descriptors(descriptors));
	CU_ASSERT_EQUAL(rig_mappings(), mappings);
}

// A child that ends with this process, whatever ends it, and in which none of this process's
// descriptors are held: the engine's ends, and other clients'. As fork(2).
static pid_t fork_child(void)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(1);
	close_range(3, ~0u, 0);
	return 0;
}

// ---- killed ----

// The life of a child, over and over, until it is killed.
static _Noreturn void live(const struct rig *rig, uint64_t seed)
{
	const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const struct presence_fence fence = {.id = 1, .query = &q};
	struct presence_update u[16];
	uint32_t sequence = 0;

	for (;;) {
		struct presence_client *c;
		struct presence_watch *w;
		char error[200];
		uint64_t us;

		if (presence_open(&(struct presence_options){.uri = rig->uri, .timeout_ms = 1000},
			    &c, error, sizeof error) != PRESENCE_OK)
			continue;
		for (unsigned what = (unsigned)(testing_random(&seed) % 40); what; what--) {
			for (unsigned i = 0; i < 16; i++)
				u[i] = update("kill", testing_random(&seed) % 1000, ++sequence, 0);
			switch (testing_random(&seed) % 4) {
			case 0:
				(void)presence_query(c, NULL, &q, &(struct presence_answer){0});
				break;
			case 1:
				if (testing_random(&seed) % 8 == 0)
					(void)presence_watch_open(
						c, NULL, NULL, &fence, 1, &w, NULL);
				(void)presence_ping(c, &us);
				break;
			default:
				(void)presence_submit_updates(c, NULL, u, 16, false, &us);
				(void)presence_flush(c, NULL);
				(void)presence_poll(c, &(struct presence_events){0}, 16, 0);
			}
		}
		presence_close(c);
	}
}

static void kill_many(uint64_t kills, unsigned workers)
{
	pid_t children[4] = {0};
	unsigned descriptors, mappings;
	uint64_t last = kills;
	struct own own;
	static struct rig rig;

	rig_prepare(&rig);
	rig.config.worker_count = workers;
	rig_start(&rig);
	descriptors = rig_descriptors();
	mappings = rig_mappings();
	own_begin(&own, &rig);
	for (uint64_t n = 0; n < last + 4; n++) {
		pid_t *child = &children[n % 4];
		uint64_t seed = testing_random(&state);

		if (*child) {
			rest_us(testing_random(&state) % 1500 * (1 + n / kills));
			kill(*child, SIGKILL);
			CU_ASSERT_EQUAL(waitpid(*child, NULL, 0), *child);
			*child = 0;
		}
		// On a busy machine many are killed before they had their turn: then there are more
		// of them, and they live longer.
		if (n + 1 == last && rig_report(&rig, "attached") <= kills / 4 && last < 20 * kills)
			last += 16;
		if (n < last) {
			*child = fork_child();
			if (*child == 0)
				live(&rig, seed);
			CU_ASSERT_TRUE_FATAL(*child > 0);
		}
		if (n % 16 == 0)
			own_round(&own);
	}
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 1));
	printf(" %" PRIu64 " killed, %" PRIu64 " rings attached, %" PRIu64 " own rounds ", last,
		rig_report(&rig, "attached"), own.rounds);
	CU_ASSERT_TRUE(rig_report(&rig, "attached") > kills / 4);
	// Those who were killed while they wrote broke nothing: what isn't published isn't there.
	CU_ASSERT_EQUAL(rig_report(&rig, "broken"), 0);
	wait_for_the_ttl(&rig, OWN_COUNT);
	own_end(&own);
	nothing_is_held(&rig, descriptors, mappings);
	rig_stop(&rig);
	rig_remove(&rig);
}

static void test_killed(void)
{
	const uint64_t kills = getenv("PE_TEST_LONG") ? 10000 : testing_amount(2000);

	kill_many(kills * 3 / 4, 1);
	kill_many(kills / 4, 2);
}

// ---- corrupted ----

struct corrupter {
	const struct rig *rig;
	uint64_t seed, stores, rings;
	_Atomic bool done;
};

static uint32_t put_evil(uint8_t *to, uint64_t *seed)
{
	struct pe_wire_header header = {.sequence = testing_random(seed)};
	struct pe_wire_update_preamble preamble = {.incarnation = 1700000000};
	struct pe_wire_update u = {.position = {1e6, 0, 0},
		.sequence = (uint32_t)testing_random(seed),
		.ttl_ms = 1000,
		.entity_type = PE_ENTITY_MOBILE};

	presence_id_from_u64("evil", testing_random(seed) % 256, u.entity_id);
	return pe_wire_put_update(to, PE_WIRE_BYTES_MAX, &header, &preamble, &u, 1);
}

// One thing that a client may do to what it shares; most of them it had better not.
static void corrupt(struct corrupter *c, struct rig_raw *raw)
{
	uint64_t random = testing_random(&c->seed), value = testing_random(&c->seed);
	uint64_t head = atomic_load_explicit(&raw->up.shared->head, memory_order_relaxed);
	bool broken = false;
	uint8_t *to;

	if (random % 4)
		value = (uint64_t[]){0, UINT64_MAX, value % 2048,
			pe_shm_word_of(head, (uint32_t)(value % 1600))}[value >> 62];
	switch (random >> 8 & 31) {
	case 0: // words where the engine looks next
		memcpy(raw->up.ring + (head & raw->up.mask), &value, 8);
		break;
	case 1:
		memcpy(&raw->up.shared->head, &value, 8);
		break;
	case 2:
		memcpy(&raw->down.shared->head, &value, 8);
		break;
	case 3:
		memcpy(&raw->up.shared->asleep, &value, 4);
		memcpy(&raw->down.shared->asleep, &value, 4);
		break;
	case 4: // the page
		memcpy(raw->memory + (random >> 16) % (PE_SHM_PAGE_BYTES / 8) * 8, &value, 8);
		break;
	case 5:
		(void)!write(raw->event_fd, &(uint64_t){1}, 8);
		break;
	case 6 ... 15: // messages, some of which are altered after they show
		raw->up.head_seen = head;
		if (raw->up.tail - head > raw->up.mask + 1)
			break;
		to = pe_shm_reserve(&raw->up, PE_WIRE_BYTES_MAX, &broken);
		if (!to)
			break;
		pe_shm_commit(&raw->up, put_evil(to, &c->seed));
		if (random >> 32 & 1)
			to[random >> 40 & 127] ^= (uint8_t)value;
		break;
	case 16 ... 19: // the ring that the engine writes
		memcpy(raw->down.ring + (random >> 16) % ((raw->down.mask + 1) / 8) * 8, &value, 8);
		break;
	default:
		memcpy(raw->up.ring + (random >> 16) % ((raw->up.mask + 1) / 8) * 8, &value, 8);
	}
	c->stores++;
}

static void *corrupt_all(void *context)
{
	const uint64_t stores = testing_amount(10000000);
	struct pe_shm_hello hello = rig_hello();
	struct corrupter *c = context;
	struct rig_raw raw;

	while (c->stores < stores) {
		uint64_t left = 1 + testing_random(&c->seed) % 4000;

		if (!rig_attach(c->rig, &hello, sizeof hello, &raw)) {
			rest_us(200);
			continue;
		}
		c->rings++;
		// Also when the engine has long let go of it.
		while (left--)
			corrupt(c, &raw);
		rig_detach(&raw);
	}
	atomic_store(&c->done, true);
	return NULL;
}

static void test_corrupted(void)
{
	struct corrupter c = {.seed = testing_random(&state)};
	unsigned descriptors, mappings;
	pthread_t thread;
	struct own own;
	static struct rig rig;

	rig_prepare(&rig);
	rig.config.sources[0].ring_bytes = 16384;
	rig_start(&rig);
	descriptors = rig_descriptors();
	mappings = rig_mappings();
	own_begin(&own, &rig);
	c.rig = &rig;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, corrupt_all, &c), 0);
	while (!atomic_load(&c.done))
		own_round(&own);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 1));
	printf(" %" PRIu64 " stores into %" PRIu64 " rings, %" PRIu64 " found broken, %" PRIu64
	       " own rounds ",
		c.stores, c.rings, rig_report(&rig, "broken"), own.rounds);
	CU_ASSERT_TRUE(rig_report(&rig, "broken") > 10);
	// A ttl may have been altered on its way, and says what it then says: a few may stay.
	wait_for_the_ttl(&rig, OWN_COUNT + 2000);
	own_end(&own);
	nothing_is_held(&rig, descriptors, mappings);
	rig_stop(&rig);
	rig_remove(&rig);
}

// ---- stopped ----

static _Noreturn void ask_for_ever(const struct rig *rig)
{
	const struct presence_query q = {
		.volume = PRESENCE_SPHERE, .a = {OWN_AT, 32, 0}, .radius_m = 100};
	struct presence_client *c;
	uint64_t sequence;
	char error[200];

	if (presence_open(&(struct presence_options){.uri = rig->uri}, &c, error, sizeof error))
		_exit(1);
	for (;;) {
		(void)presence_submit_query(c, NULL, &q, &sequence);
		(void)presence_flush(c, NULL);
		(void)presence_poll(c, &(struct presence_events){0}, 4, 0);
	}
}

static void test_stopped(void)
{
	pid_t children[4];
	struct own own;
	static struct rig rig;

	rig_prepare(&rig);
	rig_start(&rig);
	own_begin(&own, &rig);
	for (unsigned i = 0; i < 4; i++) {
		children[i] = fork_child();
		if (children[i] == 0)
			ask_for_ever(&rig);
	}
	CU_ASSERT_TRUE(rig_wait_report(&rig, "attached", 5));
	for (unsigned turn = 0; turn < 20; turn++) {
		for (unsigned i = 0; i < 4; i++)
			kill(children[i], SIGSTOP);
		for (unsigned i = 0; i < 20; i++)
			own_round(&own);
		for (unsigned i = 0; i < 4; i++)
			kill(children[i], SIGCONT);
		rest_us(testing_random(&state) % 3000);
	}
	for (unsigned i = 0; i < 4; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	CU_ASSERT_TRUE(rig_wait_report(&rig, "clients", 1));
	own_end(&own);
	rig_stop(&rig);
	rig_remove(&rig);
}

// ---- the engine dies ----

static pid_t fork_engine(struct rig *rig)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	rig_start(rig);
	for (;;)
		pause();
}

struct watcher {
	struct presence_client *client;
	struct presence_watch *watch;
	unsigned enters, gaps;
	bool ended;
};

static void watched(
	void *context, struct presence_watch *watch, const struct presence_watch_event *event)
{
	struct watcher *w = context;

	(void)watch;
	w->enters += event->kind == PRESENCE_ENTER;
	w->gaps += event->kind == PRESENCE_GAP || event->kind == PRESENCE_ENDED;
	w->ended |= event->kind == PRESENCE_ENDED;
}

static void watch_on(struct watcher *w)
{
	static const struct presence_query q = {.volume = PRESENCE_SPHERE, .radius_m = 1000};
	const struct presence_fence fence = {.id = 1, .query = &q};
	struct presence_events events = {.context = w, .watched = watched};

	(void)presence_poll(w->client, &events, 64, 5);
	if (!w->ended)
		return;
	(void)presence_watch_close(w->watch);
	w->watch = NULL;
	if (presence_watch_open(w->client, NULL, NULL, &fence, 1, &w->watch, NULL) == PRESENCE_OK)
		w->ended = false;
}

static void test_restarts(void)
{
	static struct watcher all[8];
	static const unsigned count = 8;
	static struct rig rig;
	pid_t engine;

	memset(all, 0, sizeof all);
	rig_prepare(&rig);
	engine = fork_engine(&rig);
	CU_ASSERT_TRUE_FATAL(engine > 0);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned turn = 0; turn < 2000 && !all[i].client; turn++) {
			char error[200];

			if (presence_open(&(struct presence_options){.uri = rig.uri},
				    &all[i].client, error, sizeof error) != PRESENCE_OK)
				rest_us(5000);
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(all[i].client);
		all[i].ended = true;
	}
	for (unsigned life = 1; life <= 5; life++) {
		unsigned ready = 0;

		for (unsigned turn = 0; turn < 3000 && ready < count; turn++) {
			struct presence_update u = update("seen", life, turn + 1, 1);

			ready = 0;
			u.ttl_ms = 60000;
			for (unsigned i = 0; i < count; i++) {
				watch_on(&all[i]);
				ready += presence_traffic(all[i].client).attached == life &&
					!all[i].ended && all[i].enters >= life &&
					all[i].gaps + 1 >= life;
			}
			(void)presence_send(all[turn % count].client, NULL, &u, 1, NULL);
		}
		CU_ASSERT_EQUAL(ready, count);
		if (ready < count)
			for (unsigned i = 0; i < count; i++)
				printf(" [%u: attached %" PRIu64 ", %u enters, %u gaps%s]", i,
					presence_traffic(all[i].client).attached, all[i].enters,
					all[i].gaps, all[i].ended ? ", ended" : "");
		kill(engine, SIGKILL);
		waitpid(engine, NULL, 0);
		if (life < 5)
			engine = fork_engine(&rig);
	}
	for (unsigned i = 0; i < count; i++)
		presence_close(all[i].client);
	rig_remove(&rig);
}

int main(int argc, char **argv)
{
	static const struct testing_case cases[] = {{"killed", test_killed},
		{"corrupted", test_corrupted}, {"stopped", test_stopped},
		{"restarts", test_restarts}};
	const char *text = getenv("PE_TEST_SEED");

	state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", state);
	return testing_main("ring-hostile", cases, sizeof cases / sizeof cases[0]);
}
