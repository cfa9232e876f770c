#include "entity/wheel.h"
#include "testing.h"

#define NODES 512

struct element {
	int payload;
	struct pe_wheel_link link;
};
static struct element elements[NODES];
static struct pe_wheel wheel;

static void reset(uint32_t tick)
{
	for (unsigned i = 0; i < NODES; i++)
		pe_wheel_link_init(&elements[i].link);
	pe_wheel_init(&wheel, &elements[0].link, sizeof elements[0], tick);
}

static void due_to_the_tick(void)
{
	static const uint32_t ahead[] = {
		0, 1, 255, 256, 257, 65535, 65536, 70000, 1u << 24, (1u << 24) + 1, 86400000};

	for (unsigned s = 0; s < 5; s++) {
		uint32_t start = (const uint32_t[]){0, 255, 65535, 0xFFFFFFF0u, 0x00FFFF80u}[s];

		for (unsigned a = 0; a < sizeof ahead / sizeof ahead[0]; a++) {
			uint32_t tick = start + ahead[a], node = 0;
			unsigned calls = 0;

			reset(start);
			pe_wheel_add(&wheel, 7, tick);
			if (ahead[a])
				do {
					CU_ASSERT_EQUAL(
						pe_wheel_due(&wheel, tick - 1, &node, 1, 100000),
						0);
				} while (wheel.tick != tick && ++calls < 100);
			CU_ASSERT(pe_wheel_holds(&wheel, 7));
			CU_ASSERT_EQUAL(pe_wheel_due(&wheel, tick, &node, 1, 100000), 1);
			CU_ASSERT_EQUAL(node, 7);
			CU_ASSERT_FALSE(pe_wheel_holds(&wheel, 7));
		}
	}
}

// A process that stood still for a day has its time to catch up with, not each list of the day.
static void empty_stretches_cost_nothing(void)
{
	static const uint32_t ahead[] = {300, 65536, 1u << 24, 86400000, (1u << 31) - 1};

	for (unsigned s = 0; s < 4; s++) {
		uint32_t start = (const uint32_t[]){0, 255, 0xFFFFFFF0u, 0x80000001u}[s], node = 0;

		for (unsigned a = 0; a < sizeof ahead / sizeof ahead[0]; a++) {
			uint32_t tick = start + ahead[a];

			reset(start);
			CU_ASSERT_EQUAL(pe_wheel_due(&wheel, tick - 1, &node, 1, 2), 0);
			CU_ASSERT_EQUAL(wheel.tick, tick);
			reset(start);
			pe_wheel_add(&wheel, 7, tick);
			CU_ASSERT_EQUAL(pe_wheel_due(&wheel, tick - 1, &node, 1, 8), 0);
			CU_ASSERT_EQUAL(wheel.tick, tick);
			CU_ASSERT_EQUAL(pe_wheel_due(&wheel, tick, &node, 1, 8), 1);
			CU_ASSERT_EQUAL(node, 7);
		}
	}
}

static void random_against_a_plain_list(void)
{
	uint64_t seed = 0x9E3779B97F4A7C15ull;
	uint32_t due[NODES], now = 0xFFFF0000u;
	bool in[NODES] = {false};
	unsigned handed = 0;

	printf("(seed %llx) ", (unsigned long long)seed);
	reset(now);
	for (unsigned step = 0; step < 200000; step++) {
		uint32_t out[16];
		unsigned n, node;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		node = (unsigned)(seed >> 33) % NODES;
		if ((seed >> 60) < 8) {
			pe_wheel_remove(&wheel, node);
			due[node] = now + 1 +
				(uint32_t)((seed >> 20) % (((seed >> 50) & 3) ? 300 : 200000));
			pe_wheel_add(&wheel, node, due[node]);
			in[node] = true;
		} else if ((seed >> 60) < 10) {
			pe_wheel_remove(&wheel, node);
			in[node] = false;
		} else {
			now += (uint32_t)((seed >> 40) % 50);
		}
		// At most 50 ticks are gone, and each of the timers is handed out once.
		for (unsigned calls = 0; (n = pe_wheel_due(&wheel, now, out, 16, 64)) ||
			(int32_t)(now - wheel.tick) >= 0;
			calls++) {
			CU_ASSERT_FATAL(calls < 50 + NODES);
			for (unsigned i = 0; i < n; i++) {
				CU_ASSERT_FATAL(in[out[i]] && (int32_t)(now - due[out[i]]) >= 0);
				in[out[i]] = false;
				handed++;
			}
		}
		if (step % 64 == 0)
			for (unsigned i = 0; i < NODES; i++)
				CU_ASSERT_FATAL(!in[i] || (int32_t)(due[i] - now) > 0);
	}
	CU_ASSERT(handed > 10000);
}

static void next_is_never_late(void)
{
	reset(1000);
	pe_wheel_add(&wheel, 1, 1010);
	CU_ASSERT_EQUAL(pe_wheel_next(&wheel, 999, 1000), 11);
	uint32_t out;
	CU_ASSERT_EQUAL(pe_wheel_due(&wheel, 1005, &out, 1, 100), 0);
	CU_ASSERT_EQUAL(pe_wheel_next(&wheel, 1005, 1000), 5);
	CU_ASSERT_EQUAL(pe_wheel_due(&wheel, 1010, &out, 1, 100), 1);
	CU_ASSERT(pe_wheel_next(&wheel, 1010, 1000) <= 256);
}

// A timer of a higher level, asked for at the last millisecond before its list comes down.
static void next_where_a_level_comes_down(void)
{
	uint32_t out, now = 1023;

	reset(1000);
	pe_wheel_add(&wheel, 1, 1027);
	CU_ASSERT_EQUAL(pe_wheel_due(&wheel, now, &out, 1, 100), 0);
	CU_ASSERT_EQUAL(wheel.tick, 1024);
	for (unsigned i = 0; i < 10 && now < 1027; i++) {
		now += pe_wheel_next(&wheel, now, 1000);
		CU_ASSERT_EQUAL(pe_wheel_due(&wheel, now, &out, 1, 100), now == 1027);
	}
	CU_ASSERT_EQUAL(now, 1027);
}

TESTING_MAIN("entity/wheel", {"due to the tick, across levels and the wrap", due_to_the_tick},
	{"empty stretches cost nothing", empty_stretches_cost_nothing},
	{"random timers against a plain list", random_against_a_plain_list},
	{"next is never late", next_is_never_late},
	{"next where a level comes down", next_where_a_level_comes_down})
