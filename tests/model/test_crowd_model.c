// K_ANONYMITY against brute force: principals wander, each with some entities, in both kinds of
// space; cohorts, their areas and who has left them are worked out from lists of who was where, and
// what is shown of everyone at every moment must be that. Apart from that, whoever knows of each
// area who was published in it, in the epoch and in the one before, intersects this over a period:
// k principals or more are left. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it ten times as
// long.
#include "expect.h"
#include "harness.h"
#include "internal.h"
#include "client/tools/load_source.h"
#include "policy/crowd.h"
#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define PRINCIPALS 60u // fewer than 64
#define ENTITIES   150u
#define EPOCHS     48u
#define PERIOD     8u
#define MOVES      1200u // an epoch
#define SEEN_MAX   4096u
#define COHORTS    200u // of a period
#define K          4u
#define AREA_M     50.0
#define EPOCH_MS   60000u

static struct harness h;
static struct harness_answer answer;
static struct pe_space space[2];
static uint64_t seed, state, shown, hidden, rows, levels_met;
static unsigned least;

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
	struct pe_crowd_cell last[2]; // published place of the last epoch and of this one
	bool known[2], inside[2];
	unsigned cohort; // 0: none
	int level;       // at which it is shown; −1: it isn't
	bool shown;      // in this epoch, in this area
	int shown_level;
	struct pe_crowd_cell area;
	// who was in all areas that were shown of it in epochs of the period that are over, and of
	// how many
	uint64_t row;
	unsigned row_length;
} entity[1 + ENTITIES];

static struct {
	uint64_t members,
		there; // bits of principals: who have not left; who were in the area in this epoch
	bool area;
	unsigned level;
	struct pe_crowd_cell cell;
} cohort[1 + COHORTS];
static unsigned cohort_count;
static bool begun; // the control thread has seen that the epoch began

static double between(double a, double b)
{
	return a + (b - a) * ((double)(testing_random(&state) >> 11) * 0x1p-53);
}

static uint32_t principal_of(unsigned n)
{
	return n % 10 == 0 ? 0 : 1 + n % PRINCIPALS;
}

static bool same(struct pe_crowd_cell a, struct pe_crowd_cell b, unsigned level)
{
	return a.x >> level == b.x >> level && a.y >> level == b.y >> level;
}

// ---- what should be ----

static bool in_area(unsigned n, struct pe_crowd_cell cell)
{
	unsigned c = entity[n].cohort;

	return c && cohort[c].area && (cohort[c].members >> principal_of(n) & 1) &&
		(cohort[c].level >= PE_CROWD_LEVELS || same(cell, cohort[c].cell, cohort[c].level));
}

// Of those without a cohort who were in a cell of a level.
static uint64_t loose_in(unsigned in, struct pe_crowd_cell cell, unsigned level)
{
	uint64_t who = 0;

	for (unsigned n = 1; n <= ENTITIES; n++)
		if (!entity[n].cohort && entity[n].known[0] && principal_of(n) &&
			entity[n].space == in && same(entity[n].last[0], cell, level))
			who |= 1ull << principal_of(n);
	return who;
}

// The level of the new cohort of a cell, or −1.
static int level_of(unsigned in, struct pe_crowd_cell cell)
{
	unsigned level = PE_CROWD_LEVELS - 1;

	if (__builtin_popcountll(loose_in(in, cell, level)) < (int)K)
		return -1;
	for (; level > 0; level--)
		for (unsigned i = 0; i < 4; i++) {
			struct pe_crowd_cell q = {((cell.x >> level) * 2 + i % 2) << (level - 1),
				((cell.y >> level) * 2 + i / 2) << (level - 1)};
			uint64_t who = loose_in(in, q, level - 1);

			if (who && __builtin_popcountll(who) < (int)K)
				return (int)level;
		}
	return 0;
}

static void join(void)
{
	static int level[1 + ENTITIES];

	for (unsigned n = 1; n <= ENTITIES; n++)
		level[n] = entity[n].cohort || !entity[n].known[0] || !principal_of(n) ?
			-1 :
			level_of(entity[n].space, entity[n].last[0]);
	for (unsigned n = 1; n <= ENTITIES; n++) {
		if (level[n] < 0 || entity[n].cohort)
			continue;
		if (++cohort_count > COHORTS)
			abort();
		cohort[cohort_count].area = true;
		cohort[cohort_count].level = (unsigned)level[n];
		cohort[cohort_count].cell = entity[n].last[0];
		cohort[cohort_count].members = 0;
		for (unsigned m = n; m <= ENTITIES; m++)
			if (level[m] >= 0 && entity[m].space == entity[n].space &&
				same(entity[m].last[0], entity[n].last[0], (unsigned)level[n])) {
				entity[m].cohort = cohort_count;
				cohort[cohort_count].members |= 1ull << principal_of(m);
			}
	}
}

static void begin_epoch(uint64_t epoch)
{
	if (epoch % PERIOD == 0) {
		cohort_count = 0;
		for (unsigned n = 1; n <= ENTITIES; n++) {
			entity[n].cohort = entity[n].row_length = 0;
			entity[n].row = ~0ull;
		}
		return;
	}
	for (unsigned c = 1; c <= cohort_count; c++) {
		struct pe_crowd_cell low = {UINT32_MAX, UINT32_MAX}, high = {0, 0};
		uint64_t stay = 0;

		for (unsigned n = 1; n <= ENTITIES; n++) {
			struct pe_crowd_cell at = entity[n].last[0];

			if (entity[n].cohort != c || !entity[n].known[0] ||
				!(entity[n].inside[0] || in_area(n, at)))
				continue;
			stay |= 1ull << principal_of(n);
			low.x = at.x < low.x ? at.x : low.x;
			low.y = at.y < low.y ? at.y : low.y;
			high.x = at.x > high.x ? at.x : high.x;
			high.y = at.y > high.y ? at.y : high.y;
		}
		cohort[c].members = stay;
		cohort[c].area = __builtin_popcountll(stay) >= (int)K;
		cohort[c].cell = low;
		for (cohort[c].level = 0; cohort[c].area && !same(low, high, cohort[c].level);)
			cohort[c].level++;
	}
	join();
	for (unsigned c = 1; c <= cohort_count; c++)
		cohort[c].there = 0;
}

static void expect_of(unsigned n, uint64_t epoch)
{
	struct pe_crowd_cell cell =
		pe_crowd_cell_of(&space[entity[n].space], AREA_M, entity[n].position);
	unsigned c = entity[n].cohort;

	entity[n].level = -1;
	if (principal_of(n)) {
		entity[n].known[1] = true;
		entity[n].last[1] = cell;
		if (begun && epoch % PERIOD != 0 && in_area(n, cell)) {
			entity[n].inside[1] = true;
			cohort[c].there |= 1ull << principal_of(n);
			if (__builtin_popcountll(cohort[c].there) >= (int)K &&
				cohort[c].level < PE_CROWD_LEVELS)
				entity[n].level = (int)cohort[c].level;
		}
		if (seen_count[1] == SEEN_MAX)
			abort();
		seen[1][seen_count[1]++] =
			(struct seen){cell, (uint8_t)entity[n].space, principal_of(n)};
	}
	// The first update of an epoch has it begin, behind it.
	if (!begun) {
		begin_epoch(epoch);
		begun = true;
	}
}

// ---- what is ----

static void wander(unsigned n, uint64_t epoch)
{
	// Most live in towns, some anywhere.
	double reach = n % 4 ? 60 : 3000, town = n % 4 ? 400.0 * (n / 4 % 5) - 770 : 0;
	struct pe_wire_update u;

	entity[n].space = n % 3 == 0;
	if (!entity[n].sequence || testing_random(&state) % 400 == 0) {
		entity[n].position[0] = town + between(-reach, reach);
		entity[n].position[1] = between(-reach, reach);
		if (entity[n].space) {
			entity[n].position[0] = 60 + entity[n].position[0] / 111000;
			entity[n].position[1] = 25 + entity[n].position[1] / 55000;
		}
	} else {
		double step = entity[n].space ? 0.0001 : 10;

		entity[n].position[0] += between(-step, step);
		entity[n].position[1] += between(-step, step);
	}
	u = harness_update(n, ++entity[n].sequence, entity[n].position[0], entity[n].position[1],
		entity[n].position[2]);
	u.ttl_ms = 3600000;
	h.principal = principal_of(n);
	(void)harness_send(&h, entity[n].space, HARNESS_INCARNATION, &u);
	h.principal = 0;
	expect_of(n, epoch);
}

static const struct pe_wire_result *find(unsigned n)
{
	for (unsigned i = 0; i < answer.count; i++)
		if (harness_id_number(answer.results[i].entity_id) == n)
			return &answer.results[i];
	return NULL;
}

// Who was published in an area, both in the epoch before and in this one.
static uint64_t behind(unsigned in, struct pe_crowd_cell cell, unsigned level)
{
	uint64_t who[2] = {0};

	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < seen_count[k]; i++)
			if (seen[k][i].space == in && same(seen[k][i].cell, cell, level))
				who[k] |= 1ull << seen[k][i].principal;
	return who[0] & who[1];
}

static void compare(uint64_t epoch)
{
	harness_settle(&h);
	for (unsigned in = 0; in < 2; in++) {
		struct pe_wire_query q = harness_sphere(in ? 60 : 0, in ? 25 : 0, 0, 500000);
		unsigned expected = 0;

		harness_ask(&h, 0, in, &q, &answer);
		for (unsigned n = 1; n <= ENTITIES; n++) {
			const struct pe_wire_result *r = find(n);
			int level = entity[n].level, count;
			struct pe_crowd_cell c;
			double centre[2];
			uint64_t left;

			if (entity[n].space != in)
				continue;
			EXPECT((r != NULL) == (level >= 0), "epoch %" PRIu64 " entity %u level %d",
				epoch, n, level);
			hidden += level < 0 && entity[n].known[1];
			if (!r || level < 0)
				continue;
			expected++;
			shown++;
			levels_met |= 1ull << level;
			c = pe_crowd_cell_of(&space[in], AREA_M, entity[n].position);
			(void)pe_crowd_centre(&space[in], AREA_M, c, (unsigned)level, centre);
			EXPECT(r->position[0] == centre[0] && r->position[1] == centre[1],
				"epoch %" PRIu64 " entity %u level %d at %g %g", epoch, n, level,
				r->position[0], r->position[1]);
			EXPECT(!entity[n].shown ||
					(entity[n].shown_level == level &&
						same(c, entity[n].area, (unsigned)level)),
				"epoch %" PRIu64 " entity %u has two areas", epoch, n);
			entity[n].shown = true;
			entity[n].area = c;
			entity[n].shown_level = level;
			left = entity[n].row & behind(in, c, (unsigned)level);
			count = __builtin_popcountll(left);
			least = (unsigned)count < least ? (unsigned)count : least;
			EXPECT(count >= (int)K,
				"epoch %" PRIu64 " entity %u: %d are left of a row of %u", epoch, n,
				count, entity[n].row_length);
			EXPECT(left >> principal_of(n) & 1, "entity %u itself is not", n);
		}
		EXPECT(answer.count == expected, "%u answers, %u expected", answer.count, expected);
	}
}

static void end_epoch(void)
{
	for (unsigned n = 1; n <= ENTITIES; n++)
		if (entity[n].shown) {
			entity[n].row &= behind(
				entity[n].space, entity[n].area, (unsigned)entity[n].shown_level);
			entity[n].shown = false;
			rows += ++entity[n].row_length == 4;
		}
	memcpy(seen[0], seen[1], seen_count[1] * sizeof seen[0][0]);
	seen_count[0] = seen_count[1];
	seen_count[1] = 0;
	begun = false;
	for (unsigned n = 1; n <= ENTITIES; n++) {
		entity[n].last[0] = entity[n].last[1];
		entity[n].known[0] = entity[n].known[1];
		entity[n].inside[0] = entity[n].inside[1];
		entity[n].known[1] = entity[n].inside[1] = false;
		entity[n].level = -1;
	}
}

static const struct pe_policy policy = {.name = "crowd",
	.space = PE_POLICY_EVERY_SPACE,
	.everyone = true,
	.k = K,
	.area_m = AREA_M};

static void start(void)
{
	struct pe_engine_config c = harness_config();
	struct pe_wire_update u = harness_update(1000, 1, 0, 0, 0);
	struct pe_error error;

	c.views = (struct pe_views_config){.policies = &policy,
		.policy_count = 1,
		.epoch_ms = EPOCH_MS,
		.cohort_epochs = PERIOD};
	harness_start(&h, &c);
	for (unsigned i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(
			pe_space_prepare(&space[i], &c.spaces[i].space, i, &error), PE_OK);
	h.now.wall_ms += EPOCH_MS - h.now.wall_ms % EPOCH_MS;
	// So that there is a table to begin with.
	(void)harness_send(&h, 0, HARNESS_INCARNATION, &u);
	harness_control(&h);
}

static void run(void)
{
	const char *text = getenv("PE_TEST_SEED");
	uint64_t epochs = testing_amount(EPOCHS);

	// Rows take some epochs of a period, and a short run has to have some.
	if (epochs < 2 * PERIOD)
		epochs = 2 * PERIOD;
	seed = state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	least = UINT32_MAX;
	harness_failed = failed;
	start();
	begun = true;
	for (unsigned n = 1; n <= ENTITIES; n++) {
		entity[n].level = -1;
		entity[n].row = ~0ull;
	}
	for (uint64_t i = 0; i < epochs; i++) {
		uint64_t epoch = h.now.wall_ms / EPOCH_MS, end = (epoch + 1) * EPOCH_MS;
		// Some are silent for an epoch.
		unsigned silent = (unsigned)(testing_random(&state) % 24);

		for (unsigned move = 0; move < MOVES; move++) {
			unsigned n = 1 + (unsigned)(testing_random(&state) % ENTITIES);

			if (n % 12 == silent)
				continue;
			wander(n, epoch);
			harness_control(&h);
			if (move % 100 == 99)
				compare(epoch);
			h.now.mono_ms += EPOCH_MS / (MOVES + 10);
			h.now.wall_ms += EPOCH_MS / (MOVES + 10);
		}
		harness_advance(&h, end - h.now.wall_ms);
		end_epoch();
	}
	harness_stop(&h);
	printf("\n    seed %" PRIu64 ": %" PRIu64 " shown, %" PRIu64
	       " not, at least %u principals in all areas of a row, %" PRIu64
	       " rows of 4, levels %" PRIx64 " ",
		seed, shown, hidden, least, rows, levels_met);
	CU_ASSERT(shown > 100 && hidden > 10 && rows > 10);
	CU_ASSERT(least >= K);
	CU_ASSERT((levels_met & (levels_met - 1)) != 0);
	CU_ASSERT_EQUAL(wrong, 0);
}

// What it costs: 500 vehicles of the tools in a town of 10 km, each with a principal, a report
// every 10 s, a period of 24 epochs. Which share of the reports is not shown, behind the first
// epoch; and of how many edges areas are.
static double vehicles(uint32_t epoch_ms, double *edges)
{
	const uint32_t count = 500, step_ms = 10000;
	static struct pe_crowd crowd;
	struct load_crowd load;
	struct pe_error error;
	uint64_t first = 1000ull * PE_CROWD_PERIOD * epoch_ms, given = 0, none = 0;
	double sum = 0;

	if (!load_crowd_open(&load, LOAD_VEHICLES, count, 5000, 1) ||
		pe_crowd_make(&crowd, PE_CROWD_PERIOD, &error) != PE_OK)
		abort();
	crowd.k[PE_AUDIENCE_POLICY] = 5;
	for (uint32_t at_ms = 0; at_ms < PE_CROWD_PERIOD * epoch_ms; at_ms += step_ms) {
		uint64_t epoch = (first + at_ms) / epoch_ms;

		for (uint32_t i = 0; i < count; i++) {
			struct presence_update u;
			int level;

			load_crowd_next(&load, at_ms, &u);
			crowd.wall_ms = first + at_ms;
			if (i == 0)
				pe_crowd_prepare(&crowd, epoch_ms);
			level = pe_crowd_place(&crowd, epoch, PE_AUDIENCE_POLICY, 0, u.id, 1 + i,
				pe_crowd_cell_of(&space[0], 250, u.position));
			if (at_ms < epoch_ms)
				continue;
			given++;
			none += level < 0;
			sum += level < 0 ? 0 : 1u << level;
		}
	}
	load_crowd_close(&load);
	pe_crowd_unmake(&crowd);
	*edges = sum / (double)(given - none + (given == none));
	return (double)none / (double)given;
}

static void cost(void)
{
	static const uint32_t minutes[] = {1, 10, 60};

	for (unsigned i = 0; i < 3; i++) {
		double edges, none = vehicles(minutes[i] * 60000, &edges);

		printf("\n    epochs of %u min: %.0f %% of the reports hidden, areas of %.0f m on average ",
			minutes[i], 100 * none, 250 * edges);
		CU_ASSERT(none < 1);
	}
}

TESTING_MAIN("model/crowd", {"areas and rows of them", run}, {"vehicles", cost})
