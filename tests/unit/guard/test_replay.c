// The replay window: a numbered table of edge cases, and random sequences against a plain set.
#include "seal/replay.h"
#include "tests/testing.h"

#include <assert.h>
#include <string.h>

#define W ((uint64_t)PE_REPLAY_WINDOW)

static_assert(PE_REPLAY_WINDOW >= 1024, "at least 1024");

// Each row: what is taken in order (0 ends the list), and whether the last of them is fresh.
static void test_edges(void)
{
	static const struct {
		unsigned number;
		const char *what;
		uint64_t taken[5];
		bool fresh;
	} rows[] = {
		{1, "the first", {1}, true},
		{2, "the first, far from 1", {1u << 20}, true},
		{3, "the first is the highest number", {UINT64_MAX}, true},
		{4, "a repeat of the first", {7, 7}, false},
		{5, "the next", {7, 8}, true},
		{6, "one missing is still taken", {7, 9, 8}, true},
		{7, "and then not again", {7, 9, 8, 8}, false},
		{8, "the left edge", {W + 10, 11}, true},
		{9, "the left edge again", {W + 10, 11, 11}, false},
		{10, "one past the left edge", {W + 10, 10}, false},
		{11, "two past the left edge", {W + 10, 9}, false},
		{12, "ahead by window - 1", {5, 5 + W - 1}, true},
		{13, "after it, the old highest is a repeat", {5, 5 + W - 1, 5}, false},
		{14, "after it, its neighbour is fresh", {5, 5 + W - 1, 6}, true},
		{15, "ahead by the window", {5, 5 + W}, true},
		{16, "after it, the old highest is too old", {5, 5 + W, 5}, false},
		{17, "after it, its neighbour is the left edge", {5, 5 + W, 6}, true},
		{18, "ahead by window + 1", {5, 5 + W + 1}, true},
		{19, "after it, the left edge", {5, 5 + W + 1, 7}, true},
		{20, "after it, one past the left edge", {5, 5 + W + 1, 6}, false},
		{21, "ahead by the ring", {5, 5 + W + 64}, true},
		{22, "after it, the same bit of the ring", {5, 5 + W + 64, 5 + W + 63}, true},
		{23, "2^63", {1, (uint64_t)1 << 63}, true},
		{24, "a repeat of 2^63", {1, (uint64_t)1 << 63, (uint64_t)1 << 63}, false},
		{25, "one below 2^63", {1, (uint64_t)1 << 63, ((uint64_t)1 << 63) - 1}, true},
		{26, "far behind 2^63", {1, (uint64_t)1 << 63, 2}, false},
		{27, "the highest number", {1, UINT64_MAX}, true},
		{28, "nothing wraps: 1 after it", {UINT64_MAX, 1}, false},
		{29, "nothing wraps: the highest again", {UINT64_MAX, UINT64_MAX}, false},
		{30, "one below the highest", {UINT64_MAX, UINT64_MAX - 1}, true},
		{31, "the left edge of the highest", {UINT64_MAX, UINT64_MAX - W + 1}, true},
		{32, "past the left edge of the highest", {UINT64_MAX, UINT64_MAX - W}, false},
		{33, "a jump clears the words between", {64, 64 * 3, 64 * 2}, true},
		{34, "the last bit of a word", {63, 127, 63}, false},
		{35, "the first bit of the next", {63, 64}, true},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pe_replay r = {0}, before;
		unsigned last = 0;
		bool fresh, taken;

		while (last + 1 < 5 && rows[i].taken[last + 1])
			last++;
		for (unsigned j = 0; j < last; j++)
			CU_ASSERT(pe_replay_take(&r, rows[i].taken[j]));
		before = r;
		fresh = pe_replay_fresh(&r, rows[i].taken[last]);
		CU_ASSERT(memcmp(&before, &r, sizeof r) == 0); // looking takes nothing
		taken = pe_replay_take(&r, rows[i].taken[last]);
		if (fresh != rows[i].fresh || taken != fresh)
			printf("\n    row %u: %s", rows[i].number, rows[i].what);
		CU_ASSERT_EQUAL(fresh, rows[i].fresh);
		CU_ASSERT_EQUAL(taken, fresh);
		CU_ASSERT(taken || memcmp(&before, &r, sizeof r) == 0);
		CU_ASSERT_FALSE(pe_replay_fresh(&r, rows[i].taken[last]));
	}
}

static void test_zero(void)
{
	struct pe_replay r = {0};

	CU_ASSERT_FALSE(pe_replay_fresh(&r, 0));
	CU_ASSERT_FALSE(pe_replay_take(&r, 0));
	CU_ASSERT(pe_replay_take(&r, 5));
	CU_ASSERT_FALSE(pe_replay_take(&r, 0));
}

// The same as the words say it: the highest, and whether each of the window's numbers was taken.
#define SET (1u << 16)
static uint64_t set[SET]; // by number modulo SET, which is far more than a window

static bool plain_take(uint64_t *top, uint64_t sequence)
{
	if (sequence == 0 || (*top >= W && sequence <= *top - W) || set[sequence % SET] == sequence)
		return false;
	set[sequence % SET] = sequence;
	if (sequence > *top)
		*top = sequence;
	return true;
}

static void test_model(void)
{
	uint64_t seed = 0x5EED0001, rounds = testing_amount(200);

	printf("seed %#llx ", (unsigned long long)seed);
	for (uint64_t round = 0; round < rounds; round++) {
		uint64_t top = 0, base = testing_random(&seed) % 3 ? 0 : testing_random(&seed) >> 1;
		struct pe_replay r = {0};

		memset(set, 0, sizeof set);
		for (unsigned i = 0; i < 20000; i++) {
			uint64_t x = testing_random(&seed), sequence;
			unsigned kind = x % 16;

			x >>= 8;
			if (top == 0)
				sequence = base + 1 + x % 8;
			else if (kind < 8) // near the front
				sequence = top + 3 - x % 8;
			else if (kind < 12) // anywhere in the window and a little behind it
				sequence = top - x % (W + 100);
			else if (kind < 14) // at its edges
				sequence = top - W + 4 - x % 8;
			else
				sequence = top + x % (kind == 14 ? 70 : 2 * W);
			if (sequence > top + 4 * W) // went below zero
				sequence = 1 + x % 4;
			bool want = plain_take(&top, sequence);

			if (pe_replay_fresh(&r, sequence) != want ||
				pe_replay_take(&r, sequence) != want || r.top != top) {
				printf("\n    round %llu, step %u: %llu at %llu",
					(unsigned long long)round, i, (unsigned long long)sequence,
					(unsigned long long)top);
				CU_FAIL("window and set differ");
				return;
			}
		}
	}
	CU_PASS("");
}

TESTING_MAIN("guard-replay", {"edges", test_edges}, {"zero is no sequence", test_zero},
	{"against a set", test_model})
