// The entity table alone: two workers, each with a part of the index, that add and remove entities
// as fast as grace periods let them, look up all of them, and throw handles into the common store
// and draw them from there. All ids have their home in a few buckets, so that most entries live
// elsewhere. Now and then a worker sleeps between two steps (PE_TABLE_STEP). What must hold: who is
// always there is always found, by find and by seek; what was found keeps its id until the finder's
// next quiescent state; no handle is two workers'. Before that, step by step, what threads alone
// come to too seldom: a chain that is given back while another worker takes it. The seed is
// printed; PE_TEST_SEED sets it, but not what the threads make of it.
#include "base/rcu.h"
#include "entity/table.h"
#include "entity/wheel.h"
#include "testing.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS  2u
#define ENTITIES 4000u
#define HOMES    4u   // buckets of each part
#define ALWAYS   24u  // of each part
#define PASSING  100u // likewise
#define LOOKED   32u  // ids a turn
#define HOARD    1200u

struct known {
	uint8_t id[16];
	uint64_t hash;
	uint32_t handle; // its part's worker's; PE_HANDLE_NONE: not there
};

static struct pe_table table;
static struct known known[WORKERS][ALWAYS + PASSING];
static _Atomic uint8_t taken[ENTITIES]; // by a handle's number: is it somebody's?
static _Atomic uint64_t wrong, found_passing, missed_passing, added, hoarded;
static _Atomic bool stop_control;
static uint64_t turns;

#define EXPECT(what) \
	do { \
		if (!(what) && atomic_fetch_add(&wrong, 1) < 10) \
			printf("\n%s:%d: %s", __FILE__, __LINE__, #what); \
	} while (0)

static _Thread_local uint64_t step_random;
static _Thread_local uint32_t step_mask;           // a step sleeps once in so many, and one
static _Thread_local void (*step_meanwhile)(void); // what comes between instead, once
void pe_test_step(void);
void pe_test_step(void)
{
	if (step_meanwhile) {
		void (*meanwhile)(void) = step_meanwhile;

		step_meanwhile = NULL;
		meanwhile();
		return;
	}
	if ((testing_random(&step_random) & step_mask) == 0)
		usleep(50);
}

struct worker {
	unsigned index;
	uint64_t random;
	struct pe_handles handles;
	uint32_t hoard[HOARD];
};

static unsigned below(struct worker *w, unsigned n)
{
	return (unsigned)(testing_random(&w->random) % n);
}

static uint32_t take(struct worker *w)
{
	uint32_t handle = pe_handles_take(&table, &w->handles);

	if (handle != PE_HANDLE_NONE)
		EXPECT(atomic_exchange_explicit(
			       &taken[pe_handle_number(handle)], 1, memory_order_relaxed) == 0);
	return handle;
}

static void no_longer_taken(uint32_t handle)
{
	atomic_store_explicit(&taken[pe_handle_number(handle)], 0, memory_order_relaxed);
}

// As the engine does.
static void add(struct worker *w, struct known *k)
{
	uint32_t handle = take(w);
	struct pe_record *r;

	if (handle == PE_HANDLE_NONE)
		return;
	r = &table.records[handle];
	pe_record_name(r, k->id);
	r->key = 0;
	pe_wheel_link_init(&r->wheel);
	atomic_store_explicit(
		&r->status, pe_status_make(PE_LIFE_EMPTY, w->index, 0, 0), memory_order_release);
	if (!pe_index_add(&table.index, k->hash, handle)) {
		no_longer_taken(handle);
		pe_handles_give(&table, &w->handles, handle);
		return;
	}
	k->handle = handle;
	atomic_fetch_add_explicit(&added, 1, memory_order_relaxed);
}

static void remove_it(struct worker *w, struct known *k)
{
	EXPECT(pe_index_remove(&table.index, k->hash, k->handle));
	no_longer_taken(k->handle);
	pe_handles_retire(&table, &w->handles, k->handle);
	k->handle = PE_HANDLE_NONE;
}

static uint32_t look(struct worker *w, const struct known *k)
{
	if (below(w, 2))
		return pe_index_find(&table.index, table.records, k->hash, k->id);
	return pe_index_seek(&table.index, table.records, k->hash, k->id,
		pe_handle_spread(testing_random(&w->random), ENTITIES));
}

static void look_around(struct worker *w)
{
	const struct known *looked[LOOKED];
	uint32_t handles[LOOKED];

	for (unsigned i = 0; i < LOOKED; i++) {
		unsigned n = below(w, ALWAYS + PASSING);

		looked[i] = &known[below(w, WORKERS)][n];
		handles[i] = look(w, looked[i]);
		EXPECT(n >= ALWAYS || handles[i] != PE_HANDLE_NONE);
		if (n >= ALWAYS)
			atomic_fetch_add_explicit(
				handles[i] == PE_HANDLE_NONE ? &missed_passing : &found_passing, 1,
				memory_order_relaxed);
	}
	if (below(w, 16) == 0)
		usleep(100);
	for (unsigned i = 0; i < LOOKED; i++)
		if (handles[i] != PE_HANDLE_NONE)
			EXPECT(pe_id_equal(table.records[handles[i]].id, looked[i]->id));
}

// More than a worker keeps, and back, so that chains come and go; or back as they came, so that a
// chain is in the store again while the one that was behind it is not.
static void hoard(struct worker *w)
{
	unsigned count = 0, most = 1 + below(w, HOARD), reverse = below(w, 2);

	step_mask = 31;
	while (count < most && (w->hoard[count] = take(w)) != PE_HANDLE_NONE)
		pe_wheel_link_init(&table.records[w->hoard[count++]].wheel);
	for (unsigned i = 0; i < count; i++) {
		uint32_t handle = w->hoard[reverse ? count - 1 - i : i];

		no_longer_taken(handle);
		pe_handles_give(&table, &w->handles, handle);
	}
	step_mask = 4095;
	atomic_fetch_add_explicit(&hoarded, count, memory_order_relaxed);
}

static void *run_worker(void *context)
{
	struct worker *w = context;
	struct known *own = known[w->index];

	step_random = w->random + WORKERS;
	step_mask = 4095;
	pe_rcu_register();
	for (uint64_t turn = 0; turn < turns; turn++) {
		for (unsigned i = 1 + below(w, 8); i; i--) {
			struct known *k = &own[ALWAYS + below(w, PASSING)];

			if (k->handle == PE_HANDLE_NONE)
				add(w, k);
			else
				remove_it(w, k);
		}
		look_around(w);
		if (below(w, 16) == 0)
			hoard(w);
		pe_handles_reclaim(&table, &w->handles, 64);
		pe_rcu_quiescent();
	}
	pe_rcu_unregister();
	return NULL;
}

static void *run_control(void *context)
{
	(void)context;
	while (!atomic_load(&stop_control))
		pe_rcu_synchronize();
	return NULL;
}

// Ids of each part whose home is one of its first buckets.
static void choose_ids(void)
{
	unsigned count[WORKERS] = {0};

	for (uint64_t n = 1; count[0] + count[1] < WORKERS * (ALWAYS + PASSING); n++) {
		struct known k = {.handle = PE_HANDLE_NONE};
		unsigned part;

		memcpy(k.id, &n, sizeof n);
		k.hash = pe_hash_id(&table.index.key, k.id);
		part = pe_index_partition(&table.index, k.hash);
		if (count[part] == ALWAYS + PASSING ||
			pe_index_home(&table.index, k.hash) % table.index.partition_buckets >=
				HOMES)
			continue;
		known[part][count[part]++] = k;
	}
}

static void workers_beside_each_other(void)
{
	const char *text = getenv("PE_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS], control;

	printf("seed %" PRIu64 " ", seed);
	turns = testing_amount(100000);
	CU_ASSERT_EQUAL_FATAL(pe_table_create(&table, ENTITIES, WORKERS, false), PE_OK);
	choose_ids();
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i].index = i;
		workers[i].random = seed * WORKERS + i;
		pe_handles_init(&workers[i].handles);
		// Those that pass come between them, and are nearer to their home when they come
		// again.
		for (unsigned n = 0; n < PASSING; n++) {
			add(&workers[i], &known[i][ALWAYS + n]);
			if (n < ALWAYS)
				add(&workers[i], &known[i][n]);
		}
	}
	for (unsigned i = 0; i < WORKERS * (ALWAYS + PASSING); i++) {
		const struct known *k = &known[i % WORKERS][i / WORKERS];

		EXPECT(pe_index_find(&table.index, table.records, k->hash, k->id) == k->handle);
	}
	pthread_create(&control, NULL, run_control, NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, run_worker, &workers[i]);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&stop_control, true);
	pthread_join(control, NULL);
	printf("%" PRIu64 " added, %" PRIu64 " found of those that pass, %" PRIu64 " not, %" PRIu64
	       " handles drawn ",
		added, found_passing, missed_passing, hoarded);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(added > 1000 && found_passing > 1000 && missed_passing > 1000 && hoarded > 10000);
	CU_ASSERT(atomic_load(&table.index.furthest) > 2);
	pe_table_destroy(&table);
}

// ---- a chain that was taken and given back while its taker hesitated ----

static struct worker hasty;

// The first two chains of the store; and back comes the first, the same handle in front, another
// one behind it than the taker has seen.
static void take_two_and_give_back_one(void)
{
	unsigned count = 0;

	while (count < 2 * table.chain && (hasty.hoard[count] = take(&hasty)) != PE_HANDLE_NONE)
		pe_wheel_link_init(&table.records[hasty.hoard[count++]].wheel);
	EXPECT(count == 2 * table.chain);
	while (count--) {
		no_longer_taken(hasty.hoard[count]);
		pe_handles_give(&table, &hasty.handles, hasty.hoard[count]);
	}
	EXPECT(hasty.handles.count == table.chain);
}

static void chain_given_back(void)
{
	static struct worker slow;
	uint32_t count = 0;

	CU_ASSERT_EQUAL_FATAL(pe_table_create(&table, ENTITIES, WORKERS, false), PE_OK);
	pe_handles_init(&slow.handles);
	pe_handles_init(&hasty.handles);
	step_mask = UINT32_MAX;
	step_meanwhile = take_two_and_give_back_one;
	while (take(&slow) != PE_HANDLE_NONE)
		count++;
	CU_ASSERT_PTR_NULL(step_meanwhile);
	while (take(&hasty) != PE_HANDLE_NONE)
		count++;
	CU_ASSERT_EQUAL(count, ENTITIES);
	CU_ASSERT_EQUAL(wrong, 0);
	pe_table_destroy(&table);
	memset(taken, 0, sizeof taken);
	atomic_store(&wrong, 0);
}

TESTING_MAIN("entity: table torture", {"a chain given back", chain_given_back},
	{"workers beside each other", workers_beside_each_other})
