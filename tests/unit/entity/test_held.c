// The queue of what is held back, against a list of what was put in: each entry comes out once, at
// its tick or when that was over, those of a tick in their order; whatever is put in when, it needs
// no more chunks than it says.
#include "entity/held.h"
#include "testing.h"

#include <time.h>

#define ENTRIES 200u

static struct pe_held held;
static uint64_t state;

static void make(uint32_t count_max, uint32_t tick)
{
	void *memory = aligned_alloc(64, (pe_held_bytes(count_max) + 63) / 64 * 64);

	if (!memory)
		abort();
	pe_held_init(&held, memory, count_max);
	held.tick = tick;
}

static void take_away(void)
{
	free(held.chunks);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)(testing_random(&state) % n);
}

static void in_their_order(void)
{
	struct pe_held_entry got[64];

	make(ENTRIES, 0xFFFFFF00u);
	CU_ASSERT_EQUAL(pe_held_take(&held, 0xFFFFFF10u, got, 64), 0);
	CU_ASSERT_EQUAL(pe_held_next(&held, 0xFFFFFF11u, 777), 777);
	for (uint32_t h = 0; h < 50; h++)
		pe_held_push(&held, h, 0x20); // beyond the counter's end
	pe_held_push(&held, 50, 0x1F);
	CU_ASSERT_EQUAL(pe_held_next(&held, 0xFFFFFF11u, 1000), 0x1F - 0xFFFFFF11u);
	CU_ASSERT_EQUAL(pe_held_next(&held, 0xFFFFFF11u, 100), 100);
	CU_ASSERT_EQUAL(pe_held_take(&held, 0x1E, got, 64), 0);
	CU_ASSERT_EQUAL(pe_held_take(&held, 0x1F, got, 64), 1);
	CU_ASSERT_EQUAL(got[0].handle, 50);
	// No more than asked for; the rest is late then, and first.
	CU_ASSERT_EQUAL(pe_held_take(&held, 0x20, got, 20), 20);
	CU_ASSERT_EQUAL(pe_held_next(&held, 0x21, 1000), 0);
	CU_ASSERT_EQUAL(pe_held_take(&held, 0x21, &got[20], 44), 30);
	for (uint32_t h = 0; h < 50; h++)
		CU_ASSERT(got[h].handle == h && got[h].tick == 0x20);
	CU_ASSERT_EQUAL(held.count, 0);
	take_away();
}

// Several at once, as if one by one: over the ends of chunks, behind others, and none.
static void at_once(void)
{
	struct pe_held_entry got[64];
	uint32_t handles[40];

	make(ENTRIES, 1000);
	for (uint32_t h = 0; h < 40; h++)
		handles[h] = 7 + h;
	CU_ASSERT_EQUAL(pe_held_room(&held), ENTRIES);
	pe_held_push_all(&held, handles, 0, 1500);
	CU_ASSERT_EQUAL(held.count, 0);
	for (uint32_t h = 0; h < 7; h++)
		pe_held_push(&held, h, 1500);
	pe_held_push_all(&held, handles, 40, 1500);
	pe_held_push(&held, 47, 1500);
	pe_held_push_all(&held, handles, 3, 1499);
	CU_ASSERT_EQUAL(pe_held_room(&held), ENTRIES - 51);
	CU_ASSERT_EQUAL(pe_held_take(&held, 1500, got, 64), 51);
	for (uint32_t i = 0; i < 3; i++)
		CU_ASSERT(got[i].handle == 7 + i && got[i].tick == 1499);
	for (uint32_t h = 0; h < 48; h++)
		CU_ASSERT(got[3 + h].handle == h && got[3 + h].tick == 1500);
	CU_ASSERT_EQUAL(pe_held_room(&held), ENTRIES);
	take_away();
}

static void early_and_far(void)
{
	struct pe_held_entry got[64];

	make(ENTRIES, 1000);
	CU_ASSERT_EQUAL(pe_held_take(&held, 5000, got, 64), 0);
	pe_held_push(&held, 1, 4000); // over: with the next
	pe_held_push(&held, 2, 5001 + 10 * PE_HELD_TICKS);
	CU_ASSERT_EQUAL(pe_held_take(&held, 5001, got, 64), 1);
	CU_ASSERT_EQUAL(got[0].handle, 1);
	CU_ASSERT_EQUAL(pe_held_take(&held, 5001 + PE_HELD_TICKS - 2, got, 64), 0);
	CU_ASSERT_EQUAL(pe_held_take(&held, 5001 + PE_HELD_TICKS, got, 64), 1);
	CU_ASSERT_EQUAL(got[0].handle, 2);
	// A worker that stood still for hours.
	pe_held_push(&held, 3, 5001 + 2 * PE_HELD_TICKS);
	CU_ASSERT_EQUAL(pe_held_take(&held, 50000000, got, 64), 1);
	CU_ASSERT_EQUAL(held.tick, 50000001);
	take_away();
}

// Entries that are put in and taken out at random, some ticks late; most are put back once.
static void random_operations(void)
{
	static uint32_t due[ENTRIES];
	static bool in[ENTRIES];
	uint32_t now, chunks = ENTRIES / PE_HELD_CHUNK + 2 * PE_HELD_TICKS, taken = 0;

	make(ENTRIES, 0xFFFFF000u);
	now = held.tick;
	for (uint64_t n = 0; n < testing_amount(300000); n++) {
		struct pe_held_entry got[16];
		uint32_t h = below(ENTRIES), count;

		if (!in[h]) {
			CU_ASSERT_FATAL(!pe_held_full(&held));
			due[h] = now + 1 + below(1 + below(PE_HELD_TICKS / 2));
			// Where the queue is that late, it comes with what is furthest ahead.
			if (due[h] - held.tick >= PE_HELD_TICKS)
				due[h] = held.tick + PE_HELD_TICKS - 1;
			pe_held_push(&held, h, due[h]);
			in[h] = true;
		}
		if (below(4))
			continue;
		now += below(8) ? below(3) : below(400);
		count = pe_held_take(&held, now, got, 1 + below(16));
		for (uint32_t i = 0; i < count; i++) {
			CU_ASSERT_FATAL(got[i].handle < ENTRIES && in[got[i].handle]);
			CU_ASSERT_EQUAL(got[i].tick, due[got[i].handle]);
			CU_ASSERT((int32_t)(got[i].tick - now) <= 0);
			// What is before it has come out before it.
			CU_ASSERT(!i || (int32_t)(got[i - 1].tick - got[i].tick) <= 0);
			in[got[i].handle] = false;
		}
		taken += count;
		if ((int32_t)(held.tick - now) <= 0)
			continue;
		for (uint32_t o = 0; o < ENTRIES; o++)
			CU_ASSERT(!in[o] || (int32_t)(due[o] - now) > 0);
	}
	CU_ASSERT(held.fresh <= chunks);
	CU_ASSERT(taken > ENTRIES * 10);
	take_away();
}

// As many chunks as can be: each bucket's first begun, its last not full.
static void widest(void)
{
	const uint32_t most = 100000;
	struct pe_held_entry got[64];
	uint32_t chunks = most / PE_HELD_CHUNK + 2 * PE_HELD_TICKS, h = 0;

	make(most, 0);
	for (uint32_t round = 0; !pe_held_full(&held); round++) {
		for (uint32_t t = 0; t < PE_HELD_TICKS && !pe_held_full(&held); t++)
			pe_held_push(&held, h++ % most, held.tick + t);
		if (round % 3 == 2)
			for (unsigned n = 0; n < PE_HELD_TICKS / 8; n++)
				(void)pe_held_take(&held, held.tick, got, 1);
		CU_ASSERT_FATAL(round < 1000);
	}
	CU_ASSERT(held.fresh <= chunks);
	while (held.count)
		(void)pe_held_take(&held, held.tick + PE_HELD_TICKS, got, 64);
	// And again, from what was given back.
	for (; !pe_held_full(&held); h++)
		pe_held_push(&held, h % most, held.tick + h % PE_HELD_TICKS);
	CU_ASSERT(held.fresh <= chunks);
	take_away();
}

int main(void)
{
	static const struct testing_case cases[] = {{"in their order", in_their_order},
		{"at once", at_once}, {"early and far", early_and_far},
		{"random operations", random_operations}, {"widest", widest}};
	const char *seed = getenv("PE_TEST_SEED");

	state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%llu\n", (unsigned long long)state);
	return testing_main("entity: held", cases, sizeof cases / sizeof cases[0]);
}
