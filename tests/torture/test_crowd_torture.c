// Cohorts with several workers that publish beside the control thread that begins epochs, with a
// clock that goes on while they are at it, jumps ahead, and is set back. Apart from them it is
// noted, before each is told, who was in which cell in which epoch, and then which area was shown
// of it. Workers sleep now and then between two steps (PE_COHORT_STEP), when control is about to
// begin an epoch far more often. What must hold: an entity has one area an epoch; and whoever knows
// all that was noted, in the epoch of each area of an entity and in the one before, and intersects
// it over a period, is left with k principals or more, the entity's own among them. The seed is
// printed; PE_TEST_SEED sets it, but not what the threads make of it.
#include "policy/crowd.h"

#include "base/rcu.h"
#include "testing.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORKERS    3u
#define PRINCIPALS 40u
#define ENTITIES   120u
#define SIDE       16u // cells of the world, along x and y
#define PERIOD     6u
#define EPOCH_MS   60000u
#define POLICY     4u
#define K          3u
#define FIRST      (1000u * PERIOD)
#define SPAN       128u // epochs that may come, from FIRST on
#define TIMES_MAX  200u // how often the clock may be set
#define BURST      16u

static struct pe_crowd crowd;
// The clock, and how often it was set: ms from FIRST on, above 8 bits.
static _Atomic uint64_t clock_word;
static _Atomic uint64_t at_worker[WORKERS], at_control;
static _Atomic bool stop;
static _Atomic uint64_t turns, shown, hidden, two_areas;

// By time, epoch and principal: its cells, a bit each; by entity: 1 + the level and cell that it
// was shown in
struct noted {
	_Atomic uint64_t cells[PRINCIPALS][SIDE * SIDE / 64];
	_Atomic uint32_t area[ENTITIES];
};
static struct noted noted[TIMES_MAX][SPAN];

static _Thread_local uint64_t step_random;
static _Thread_local uint32_t step_mask; // a step sleeps once in so many, and one
void pe_test_step(void);
void pe_test_step(void)
{
	if ((testing_random(&step_random) & step_mask) == 0)
		usleep(100);
}

static uint32_t principal_of(unsigned n)
{
	return 1 + n % PRINCIPALS;
}

static uint64_t word_of(uint64_t ms, uint64_t times)
{
	return ms << 8 | times;
}

static uint64_t chance(unsigned n, uint64_t epoch)
{
	uint64_t from = epoch << 8 | n;

	return testing_random(&from);
}

// Some are silent for an epoch.
static bool silent(unsigned n, uint64_t epoch)
{
	return chance(n, epoch) % 16 == 0;
}

// Four or so live in a place of four cells; some are at another one's for an epoch, and everybody
// goes somewhere now and then.
static unsigned cell_of(unsigned n, uint64_t epoch, uint64_t random)
{
	uint64_t of_epoch = chance(n, epoch);
	unsigned lives = n / 4 + (of_epoch % 16 == 1 ? 1 : 0), x = lives % 8 * 2, y = lives / 8 * 2;

	if (random % 4096 == 0)
		return (unsigned)(random >> 16) % (SIDE * SIDE);
	if (random % 16 == 0)
		x += (unsigned)(random >> 16) % 2;
	return (y + n % 2) % SIDE * SIDE + x;
}

static void publish(struct noted *in, unsigned n, uint64_t epoch, uint64_t random)
{
	unsigned cell = cell_of(n, epoch, random);
	const struct pe_crowd_cell at = {4096 + cell % SIDE, 8192 + cell / SIDE};
	uint8_t id[16] = {1, (uint8_t)n};
	uint32_t area, before = 0;
	int level;

	atomic_fetch_or(&in->cells[principal_of(n) - 1][cell / 64], 1ull << cell % 64);
	level = pe_crowd_place(&crowd, FIRST + epoch, POLICY, 0, id, principal_of(n), at);
	if (level < 0) {
		atomic_fetch_add_explicit(&hidden, 1, memory_order_relaxed);
		return;
	}
	area = 1 + ((uint32_t)level << 16 | cell % SIDE >> level << 8 | cell / SIDE >> level);
	atomic_fetch_add_explicit(&shown, 1, memory_order_relaxed);
	if (!atomic_compare_exchange_strong(&in->area[n], &before, area) && before != area)
		atomic_fetch_add(&two_areas, 1);
}

static void *run_worker(void *context)
{
	unsigned index = *(unsigned *)context;
	uint64_t random = (uint64_t)index * 7919 + crowd.key.round[0][0];

	pe_rcu_register();
	while (!atomic_load(&stop)) {
		uint64_t word = atomic_load(&clock_word), epoch = (word >> 8) / EPOCH_MS;

		atomic_store_explicit(&crowd.wall_ms, (uint64_t)FIRST * EPOCH_MS + (word >> 8),
			memory_order_relaxed);
		// An epoch has just begun.
		step_mask = (word >> 8) % EPOCH_MS < EPOCH_MS / 9 ? 63 : 4095;
		for (unsigned i = 0; i < BURST; i++) {
			uint64_t r = testing_random(&random);
			unsigned n = (unsigned)(r >> 32) % ENTITIES;

			if (!silent(n, epoch))
				publish(&noted[word & 0xFF][epoch], n, epoch,
					testing_random(&random));
		}
		atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
		pe_rcu_quiescent();
		atomic_store(&at_worker[index], word);
	}
	pe_rcu_unregister();
	return NULL;
}

static void *run_control(void *context)
{
	(void)context;
	while (!atomic_load(&stop)) {
		uint64_t word = atomic_load(&clock_word);

		pe_crowd_prepare(&crowd, EPOCH_MS);
		atomic_store(&at_control, word);
		if (word >> 8 & 1)
			usleep(50);
	}
	return NULL;
}

static bool wait_for(const _Atomic uint64_t *at, uint64_t word)
{
	for (unsigned i = 0; i < 1200000; i++) {
		if (atomic_load(at) == word)
			return true;
		usleep(50);
	}
	return false;
}

// Everybody has had a turn by this clock, and control has looked at it: nobody is later than by one
// of its steps.
static bool seen_by_all(uint64_t word)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (!wait_for(&at_worker[i], word))
			return false;
	// It may be about to tell of a look that it took before.
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&at_control, UINT64_MAX);
		if (!wait_for(&at_control, word))
			return false;
	}
	return true;
}

// ---- what an onlooker is left with ----

static bool was_in(struct noted *in, unsigned principal, uint32_t area)
{
	unsigned level = (area - 1) >> 16, x = (area - 1) >> 8 & 0xFF, y = (area - 1) & 0xFF;

	for (unsigned cell = 0; cell < SIDE * SIDE; cell++)
		if (cell % SIDE >> level == x && cell / SIDE >> level == y &&
			(in->cells[principal][cell / 64] >> cell % 64 & 1))
			return true;
	return false;
}

static void look(unsigned times, uint64_t *rows, unsigned *least, unsigned *without_itself)
{
	for (unsigned n = 0; n < ENTITIES; n++) {
		uint64_t left = ~0ull;

		for (uint64_t epoch = 0; epoch < SPAN; epoch++) {
			uint32_t area = noted[times][epoch].area[n];
			unsigned count;

			if (epoch % PERIOD == 0)
				left = ~0ull;
			if (!area)
				continue;
			for (unsigned p = 0; p < PRINCIPALS; p++)
				if (!epoch || !was_in(&noted[times][epoch], p, area) ||
					!was_in(&noted[times][epoch - 1], p, area))
					left &= ~(1ull << p);
			left &= (1ull << PRINCIPALS) - 1;
			count = (unsigned)__builtin_popcountll(left);
			*least = count < *least ? count : *least;
			*without_itself += !(left >> (principal_of(n) - 1) & 1);
			*rows += count < PRINCIPALS && epoch % PERIOD > 2;
		}
	}
}

static void epochs_begin_beside_workers(void)
{
	const char *text = getenv("PE_TEST_SEED");
	uint64_t random = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL), rows = 0;
	uint64_t steps = testing_amount(1200), ms = 0, times = 0, back = 0, ahead = 0;
	unsigned least = UINT32_MAX, without_itself = 0, index[WORKERS];
	pthread_t worker[WORKERS], control;
	struct pe_error error;

	// A short run has to come to the end of what may come, too.
	steps = steps < 1200 ? 1200 : steps;
	printf("seed %" PRIu64 " ", random);
	CU_ASSERT_EQUAL_FATAL(pe_crowd_make(&crowd, PERIOD, &error), PE_OK);
	crowd.k[POLICY] = K;
	for (unsigned i = 0; i < WORKERS; i++) {
		index[i] = i;
		pthread_create(&worker[i], NULL, run_worker, &index[i]);
	}
	pthread_create(&control, NULL, run_control, NULL);
	for (uint64_t step = 0; step < steps; step++) {
		uint64_t r = testing_random(&random), began = atomic_load(&turns);

		// So that everybody in an epoch has his turn in it.
		while (atomic_load(&turns) < began + 12)
			usleep(20);
		if (!seen_by_all(word_of(ms, times))) {
			CU_FAIL("a thread has stopped");
			break;
		}
		if (r % 100 == 0 && ms / EPOCH_MS + 40 < SPAN) {
			// Whoever is late by it takes it for a clock that was set back, and all
			// begins anew.
			if (++times == TIMES_MAX)
				break;
			ms += EPOCH_MS * (2 + (r >> 32) % 32);
			ahead++;
		} else if (((r >> 16) % 200 == 0 && ms / EPOCH_MS > PERIOD) ||
			ms / EPOCH_MS + 2 >= SPAN) {
			// Nothing that is less than two epochs is seen to be a step.
			if (++times == TIMES_MAX)
				break;
			ms -= EPOCH_MS * (3 + (r >> 32) % (ms / EPOCH_MS - 3));
			back++;
		} else {
			ms += EPOCH_MS / 9;
		}
		atomic_store(&clock_word, word_of(ms, times));
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(worker[i], NULL);
	pthread_join(control, NULL);
	for (unsigned i = 0; i < TIMES_MAX; i++)
		look(i, &rows, &least, &without_itself);
	printf("%" PRIu64 " shown, %" PRIu64 " not, %" PRIu64
	       " late in a period, at least %u behind a row, %" PRIu64 " steps back, %" PRIu64
	       " ahead ",
		shown, hidden, rows, least, back, ahead);
	CU_ASSERT_EQUAL(two_areas, 0);
	CU_ASSERT_EQUAL(without_itself, 0);
	CU_ASSERT(least >= K && least != UINT32_MAX);
	CU_ASSERT(shown > 1000 && hidden > 1000 && rows > 100 && back > 0 && ahead > 0);
	pe_crowd_unmake(&crowd);
}

TESTING_MAIN("crowd: torture", {"epochs begin beside workers", epochs_begin_beside_workers})
