// Cohorts at the edges that the model of them (tests/model/test_crowd_model.c) doesn't come to:
// clocks that are set back, within a period and over the end of one, epochs that nobody saw, a full
// table, and words that are taken for those of another epoch. One thread; those of several are
// tests/torture/test_crowd_torture.c's.
#include "policy/cohorts.h"

#include "base/rcu.h"
#include "testing.h"

#include <string.h>

#define EPOCH_MS 60000u
#define PERIOD   4u
#define POLICY   4u
#define K        2u
#define FIRST    4000u // an epoch in which a period begins

static struct pe_crowd crowd;
static const struct pe_crowd_cell here = {4096, 4096}, there = {1 << 20, 1 << 20};

static void begin(void)
{
	struct pe_error error;

	pe_rcu_register();
	CU_ASSERT_EQUAL_FATAL(pe_crowd_make(&crowd, PERIOD, &error), PE_OK);
	crowd.k[POLICY] = K;
}

static void end(void)
{
	pe_crowd_unmake(&crowd);
	pe_rcu_unregister();
}

// A worker's clock, and what the control thread makes of it.
static void at(uint64_t epoch, uint32_t ms)
{
	crowd.wall_ms = epoch * EPOCH_MS + ms;
	pe_crowd_prepare(&crowd, EPOCH_MS);
}

static int place(uint64_t epoch, uint32_t number, struct pe_crowd_cell cell)
{
	uint8_t id[16] = {1};

	memcpy(id + 8, &number, sizeof number);
	return pe_crowd_place(&crowd, epoch, POLICY, 0, id, number, cell);
}

// So many, from one on, are in a cell; how many of them are shown then.
static unsigned together(uint64_t epoch, uint32_t from, uint32_t count, struct pe_crowd_cell cell)
{
	unsigned shown = 0;

	for (unsigned round = 0; round < 2; round++) {
		shown = 0;
		for (uint32_t i = 0; i < count; i++)
			shown += place(epoch, from + i, cell) >= 0;
	}
	return shown;
}

// The first epoch of a period shows nobody, and the second who was together in it.
static void as_ever(void)
{
	begin();
	at(FIRST, 0);
	CU_ASSERT_EQUAL(together(FIRST, 1, 3, here), 0);
	at(FIRST + 1, 0);
	CU_ASSERT_EQUAL(together(FIRST + 1, 1, 3, here), 3);
	// Alone, elsewhere, or only now there.
	CU_ASSERT_EQUAL(place(FIRST + 1, 9, here), PE_CROWD_NOWHERE);
	CU_ASSERT_EQUAL(place(FIRST + 1, 1, there), PE_CROWD_NOWHERE);
	CU_ASSERT(place(FIRST + 1, 1, here) >= 0);
	at(FIRST + 2, 0);
	CU_ASSERT_EQUAL(together(FIRST + 2, 1, 2, here), 2);
	// Who was in none before may make one another epoch later; who was not heard of has left.
	at(FIRST + 3, 0);
	CU_ASSERT_EQUAL(place(FIRST + 3, 3, here), PE_CROWD_NOWHERE);
	CU_ASSERT_EQUAL(together(FIRST + 3, 1, 2, here), 2);
	at(FIRST + 4, 0);
	CU_ASSERT_EQUAL(together(FIRST + 4, 1, 3, here), 0);
	end();
}

// 1 to 3 were in one place for two epochs, and so are a cohort in the third.
static void begin_together(void)
{
	begin();
	at(FIRST, 0);
	(void)together(FIRST, 1, 3, here);
	at(FIRST + 1, 0);
	(void)together(FIRST + 1, 1, 3, here);
}

// Of a clock that is set back by an epoch nobody can tell that it isn't a worker's that is late:
// its cohorts stay.
static void back_by_one(void)
{
	begin_together();
	at(FIRST + 2, 0);
	CU_ASSERT_EQUAL(together(FIRST + 2, 1, 3, here), 3);
	at(FIRST + 1, 30000);
	CU_ASSERT_EQUAL(together(FIRST + 1, 1, 3, here), 0);
	// What is published while the clock is back doesn't bring in who was never there.
	CU_ASSERT_EQUAL(together(FIRST + 1, 7, 3, here), 0);
	at(FIRST + 2, 0);
	CU_ASSERT_EQUAL(together(FIRST + 2, 1, 3, here), 3);
	CU_ASSERT_EQUAL(together(FIRST + 2, 7, 3, here), 0);
	at(FIRST + 3, 0);
	CU_ASSERT_EQUAL(together(FIRST + 3, 1, 3, here), 3);
	end();
}

// Further back all begins anew, in the midst of the period.
static void back_within(void)
{
	begin_together();
	at(FIRST + 2, 0);
	(void)together(FIRST + 2, 1, 3, here);
	at(FIRST + 3, 0);
	CU_ASSERT_EQUAL(together(FIRST + 3, 1, 3, here), 3);
	at(FIRST + 1, 30000);
	CU_ASSERT_EQUAL(together(FIRST + 1, 1, 2, here), 0);
	at(FIRST + 2, 0);
	CU_ASSERT_EQUAL(together(FIRST + 2, 1, 3, here), 2);
	CU_ASSERT_EQUAL(place(FIRST + 2, 3, here), PE_CROWD_NOWHERE);
	end();
}

// Back over the end of a period: when that period comes again, nobody is taken for who had been in
// a cohort of it.
static void back_over_the_end(uint64_t ahead)
{
	begin();
	at(FIRST, 0);
	at(FIRST, (PERIOD - 1) * EPOCH_MS); // the next table is made ready
	at(FIRST + PERIOD, 0);
	(void)together(FIRST + PERIOD, 1, 2, here);
	for (uint64_t i = 1; i <= ahead; i++) {
		at(FIRST + PERIOD + i, 0);
		CU_ASSERT_EQUAL(together(FIRST + PERIOD + i, 1, 2, here), 2);
	}
	at(FIRST + 1, 0);
	for (uint64_t i = 1; i < PERIOD; i++)
		at(FIRST + i, 30000);
	// Others are there now; 1 and 2 are not.
	at(FIRST + PERIOD, 0);
	CU_ASSERT_EQUAL(together(FIRST + PERIOD, 11, 2, here), 0);
	at(FIRST + PERIOD + 1, 0);
	CU_ASSERT_EQUAL(together(FIRST + PERIOD + 1, 1, 2, here), 0);
	CU_ASSERT_EQUAL(together(FIRST + PERIOD + 1, 11, 2, here), 2);
	end();
}

static void back_a_period(void)
{
	for (uint64_t ahead = 1; ahead < PERIOD; ahead++)
		back_over_the_end(ahead);
}

// Epochs that nobody published in: who was to stay has left, and none of what was noted before is
// taken for a place of the epoch that it has the bits of.
static void skipped(uint64_t epochs)
{
	begin();
	// All in one period.
	crowd.period_epochs = 4000;
	at(FIRST, 0);
	(void)together(FIRST, 1, 3, here);
	at(FIRST + 1, 0);
	CU_ASSERT_EQUAL(together(FIRST + 1, 1, 3, here), 3);
	(void)together(FIRST + 1, 11, 3, here);
	// Workers are ahead of the control thread, as they are in a new epoch.
	CU_ASSERT_EQUAL(together(FIRST + 1 + epochs, 1, 2, here), 0);
	at(FIRST + 1 + epochs, 0);
	CU_ASSERT_EQUAL(together(FIRST + 1 + epochs, 1, 3, here), 0);
	CU_ASSERT_EQUAL(together(FIRST + 1 + epochs, 11, 3, here), 0);
	at(FIRST + 2 + epochs, 0);
	// Those who left are in none for the rest of it; those who were in none may be.
	CU_ASSERT_EQUAL(together(FIRST + 2 + epochs, 1, 3, here), 0);
	CU_ASSERT_EQUAL(together(FIRST + 2 + epochs, 11, 3, here), 3);
	end();
}

static void epochs_skipped(void)
{
	static const uint64_t epochs[] = {2, 3, 31, 32, 33, 64, 1024};

	for (unsigned i = 0; i < sizeof epochs / sizeof *epochs; i++)
		skipped(epochs[i]);
}

// Whole periods that nobody published in: their tables are of none of them.
static void periods_skipped(void)
{
	for (uint64_t periods = 1; periods < 6; periods++) {
		uint64_t later = FIRST + PERIOD * periods;

		begin();
		at(FIRST, 0);
		(void)together(FIRST, 1, 3, here);
		at(FIRST + 1, 0);
		CU_ASSERT_EQUAL(together(FIRST + 1, 1, 3, here), 3);
		at(FIRST + 2, 0);
		CU_ASSERT_EQUAL(together(later, 11, 3, here), 0);
		at(later, 0);
		CU_ASSERT_EQUAL(together(later, 11, 3, here), 0);
		at(later + 1, 0);
		CU_ASSERT_EQUAL(together(later + 1, 1, 3, here), 0);
		CU_ASSERT_EQUAL(together(later + 1, 11, 3, here), 3);
		end();
	}
}

// A table that is full of others: who finds no room is shown to nobody, and counted for nobody; who
// has found some is shown as before.
static void full(void)
{
	uint32_t count = 0, n;
	unsigned shown = 0;

	begin();
	at(FIRST, 0);
	(void)together(FIRST, 1, 3, here);
	for (n = 100; n < 100 + 2 * PE_CROWD_ENTITIES; n++)
		(void)place(FIRST, n, there);
	for (uint32_t i = 0; i < PE_CROWD_ENTITIES; i++)
		count += crowd.table[FIRST / PERIOD & 1].entities[i].owner != 0;
	CU_ASSERT(count > PE_CROWD_ENTITIES * 9 / 10);
	at(FIRST + 1, 0);
	CU_ASSERT_EQUAL(together(FIRST + 1, 1, 3, here), 3);
	for (n = 100; n < 100 + 2 * PE_CROWD_ENTITIES; n++)
		shown += place(FIRST + 1, n, there) >= 0;
	// All but the first that came, who were not k yet.
	CU_ASSERT_EQUAL(shown, count - 3 - (K - 1));
	CU_ASSERT(crowd.seat_count <= PE_CROWD_ENTITIES && crowd.seat_count == count);
	// Nobody who found no room makes a cohort, however many they are.
	at(FIRST + 2, 0);
	CU_ASSERT_EQUAL(crowd.cohort_count, 2);
	end();
}

// As many cohorts as there may be.
static void all_cohorts(void)
{
	uint32_t pairs = PE_CROWD_COHORTS, shown = 0;

	begin();
	at(FIRST, 0);
	for (uint32_t i = 0; i < 2 * pairs; i++)
		(void)place(FIRST, 1 + i, (struct pe_crowd_cell){(i / 2) << 13, 77});
	at(FIRST + 1, 0);
	CU_ASSERT(crowd.cohort_count > pairs / 2 && crowd.cohort_count <= PE_CROWD_COHORTS);
	CU_ASSERT(crowd.seat_count >= K * crowd.cohort_count &&
		crowd.seat_count <= PE_CROWD_ENTITIES);
	for (uint32_t i = 0; i < 2 * pairs; i++)
		shown += place(FIRST + 1, 1 + i, (struct pe_crowd_cell){(i / 2) << 13, 77}) >= 0;
	CU_ASSERT_EQUAL(shown, crowd.cohort_count);
	end();
}

// Cells at all corners, of which words are made and taken apart again.
static void words(void)
{
	const uint32_t last = (1u << 29) - 1, some[] = {0, 1, 2047, 1u << 28, last - 1, last};

	for (unsigned i = 0; i < 36; i++) {
		struct pe_crowd_cell c = {some[i / 6], some[i % 6]}, back;

		for (uint64_t epoch = 0; epoch < 70; epoch++)
			for (unsigned inside = 0; inside < 2; inside++) {
				uint64_t word = pe_cohort_place(c, epoch, inside);

				back = pe_cohort_place_cell(word);
				CU_ASSERT(back.x == c.x && back.y == c.y &&
					(word & PE_COHORT_INSIDE) == inside);
				// 0 is of none: the first cell of all in an epoch that ends in 32
				// is taken for it, and its entity is not counted.
				CU_ASSERT(pe_cohort_place_epoch(word, epoch) == (word != 0) &&
					!pe_cohort_place_epoch(word, epoch + 1));
			}
	}
}

TESTING_MAIN("policy/crowd", {"as ever", as_ever}, {"back by an epoch", back_by_one},
	{"back within a period", back_within}, {"back over the end of a period", back_a_period},
	{"epochs skipped", epochs_skipped}, {"periods skipped", periods_skipped},
	{"a full table", full}, {"all cohorts", all_cohorts}, {"words", words})
