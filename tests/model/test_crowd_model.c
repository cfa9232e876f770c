// K_ANONYMITY against brute force: principals wander, each with some entities, in both kinds of space; what is shown of everyone in every
// epoch is worked out from a list of who was where in the epoch before. Each answer has k distinct principals behind it, the
// same area serves all in it, and what is in none is shown to nobody. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it ten
// times as long.
#include "expect.h"
#include "harness.h"
#include "internal.h"
#include "policy/crowd.h"
#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define PRINCIPALS 60u
#define ENTITIES   150u
#define EPOCHS     40u
#define MOVES      300u // an epoch
#define SEEN_MAX   100000u
#define K          4u
#define AREA_M     50.0
#define EPOCH_MS   60000u

static struct harness h;
static struct harness_answer answer;
static struct pe_space space[2];
static uint64_t seed, state, shown, hidden, least, levels_met;

// Who was where, of the last epoch and of this one.
static struct seen {
	struct pe_crowd_cell cell;
	uint8_t space;
	uint32_t principal;
} seen[2][SEEN_MAX];
static unsigned seen_count[2];

static struct {
	double position[3];
	uint32_t sequence;
	unsigned space;
	bool known; // in this epoch
} entity[1 + ENTITIES];

static double between(double a, double b)
{
	return a + (b - a) * ((double)(testing_random(&state) >> 11) * 0x1p-53);
}

static uint32_t principal_of(unsigned n)
{
	return n % 10 == 0 ? 0 : 1 + n % PRINCIPALS;
}

static unsigned principals_in(const struct seen *list, unsigned count, unsigned in, unsigned level,
	uint32_t x, uint32_t y)
{
	bool met[1 + PRINCIPALS] = {false};
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct seen *s = &list[i];

		if (s->space != in || s->cell.x >> level != x || s->cell.y >> level != y ||
			met[s->principal])
			continue;
		met[s->principal] = true;
		n++;
	}
	return n;
}

// The level of its area by the last epoch's list, or −1; *behind: principals in it.
static int area_of(unsigned in, struct pe_crowd_cell c, unsigned *behind)
{
	const struct seen *list = seen[0];
	unsigned count = seen_count[0], level = PE_CROWD_LEVELS - 1;

	*behind = principals_in(list, count, in, level, c.x >> level, c.y >> level);
	if (*behind < K)
		return -1;
	for (; level > 0; level--) {
		unsigned down = level - 1, own = 0;
		bool few = false;

		for (unsigned i = 0; i < 4; i++) {
			uint32_t x = (c.x >> level) * 2 + i % 2, y = (c.y >> level) * 2 + i / 2;
			unsigned n = principals_in(list, count, in, down, x, y);

			few |= n > 0 && n < K;
			if (x == c.x >> down && y == c.y >> down)
				own = n;
		}
		if (few)
			break;
		if (!own)
			return -1;
		*behind = own;
	}
	return (int)level;
}

static void wander(unsigned n)
{
	double reach = n % 4 ? 150 : 3000;
	struct pe_wire_update u;

	entity[n].space = n % 3 == 0;
	if (!entity[n].sequence || testing_random(&state) % 4 == 0) {
		entity[n].position[0] = between(-reach, reach);
		entity[n].position[1] = between(-reach, reach);
		if (entity[n].space) {
			entity[n].position[0] = 60 + entity[n].position[0] / 111000;
			entity[n].position[1] = 25 + entity[n].position[1] / 55000;
		}
	} else {
		double step = entity[n].space ? 0.0003 : 30;

		entity[n].position[0] += between(-step, step);
		entity[n].position[1] += between(-step, step);
	}
	u = harness_update(n, ++entity[n].sequence, entity[n].position[0], entity[n].position[1],
		entity[n].position[2]);
	u.ttl_ms = 3600000;
	h.principal = principal_of(n);
	(void)harness_send(&h, entity[n].space, HARNESS_INCARNATION, &u);
	entity[n].known = true;
	if (h.principal && seen_count[1] < SEEN_MAX)
		seen[1][seen_count[1]++] = (struct seen){
			pe_crowd_cell_of(&space[entity[n].space], AREA_M, entity[n].position),
			(uint8_t)entity[n].space, h.principal};
	h.principal = 0;
}

static const struct pe_wire_result *find(unsigned n)
{
	for (unsigned i = 0; i < answer.count; i++)
		if (harness_id_number(answer.results[i].entity_id) == n)
			return &answer.results[i];
	return NULL;
}

static void compare(unsigned epoch)
{
	for (unsigned in = 0; in < 2; in++) {
		struct pe_wire_query q = harness_sphere(in ? 60 : 0, in ? 25 : 0, 0, 500000);
		unsigned expected = 0;

		harness_settle(&h);
		harness_ask(&h, 0, in, &q, &answer);
		for (unsigned n = 1; n <= ENTITIES; n++) {
			const struct pe_wire_result *r = find(n);
			struct pe_crowd_cell c;
			unsigned behind;
			double centre[2];
			int level;

			if (entity[n].space != in || !entity[n].known) {
				EXPECT(!r, "entity %u of another epoch", n);
				continue;
			}
			c = pe_crowd_cell_of(&space[in], AREA_M, entity[n].position);
			level = principal_of(n) ? area_of(in, c, &behind) : -1;
			EXPECT((r != NULL) == (level >= 0), "epoch %u entity %u level %d", epoch, n,
				level);
			hidden += level < 0;
			if (!r || level < 0)
				continue;
			expected++;
			shown++;
			levels_met |= 1ull << level;
			least = behind < least ? behind : least;
			(void)pe_crowd_centre(&space[in], AREA_M, c, (unsigned)level, centre);
			EXPECT(r->position[0] == centre[0] && r->position[1] == centre[1],
				"epoch %u entity %u level %d at %g %g", epoch, n, level,
				r->position[0], r->position[1]);
			EXPECT(behind >= K, "epoch %u entity %u: %u", epoch, n, behind);
		}
		EXPECT(answer.count == expected, "%u answers, %u expected", answer.count, expected);
	}
}

static void run(void)
{
	static const struct pe_policy p = {.name = "crowd",
		.space = PE_POLICY_EVERY_SPACE,
		.everyone = true,
		.k = K,
		.area_m = AREA_M};
	struct pe_engine_config c = harness_config();
	const char *text = getenv("PE_TEST_SEED");
	uint64_t epochs = testing_amount(EPOCHS);
	struct pe_error error;

	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	least = UINT64_MAX;
	harness_failed = failed;
	c.views = (struct pe_views_config){.policies = &p, .policy_count = 1, .epoch_ms = EPOCH_MS};
	harness_start(&h, &c);
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(
			pe_space_prepare(&space[i], &c.spaces[i].space, i, &error), PE_OK);
	h.now.wall_ms += EPOCH_MS - h.now.wall_ms % EPOCH_MS;
	for (unsigned epoch = 0; epoch < epochs; epoch++) {
		uint64_t end = h.now.wall_ms + EPOCH_MS;

		seen_count[1] = 0;
		for (unsigned n = 1; n <= ENTITIES; n++)
			entity[n].known = false;
		for (unsigned i = 0; i < MOVES; i++) {
			wander(1 + (unsigned)(testing_random(&state) % ENTITIES));
			harness_control(&h);
			if (i % 100 == 99)
				compare(epoch);
			h.now.mono_ms += EPOCH_MS / (MOVES + 10);
			h.now.wall_ms += EPOCH_MS / (MOVES + 10);
		}
		harness_advance(&h, end - h.now.wall_ms);
		memcpy(seen[0], seen[1], seen_count[1] * sizeof seen[0][0]);
		seen_count[0] = seen_count[1];
	}
	harness_stop(&h);
	printf("\n    seed %" PRIu64 ": %" PRIu64 " shown, %" PRIu64 " not, at least %" PRIu64
	       " principals behind each, levels %" PRIx64 " ",
		seed, shown, hidden, least, levels_met);
	CU_ASSERT(shown > 100 && hidden > 10);
	CU_ASSERT(least >= K);
	CU_ASSERT((levels_met & (levels_met - 1)) != 0);
	CU_ASSERT_EQUAL(wrong, 0);
}

TESTING_MAIN("model/crowd", {"areas", run})
