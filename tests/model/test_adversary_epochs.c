// What an attacker learns over time of places, who keeps all that he was told. Of blurred ones:
// within an epoch nothing but the first; over n epochs of one that stands still and is known to be
// the same, no more than n independent samples hold. Of crowds: every area that is shown had k
// distinct principals in it, and k of them were in all areas that were shown of one entity in a
// period, also of one that moves, for whoever can follow it from area to area and knows who was in
// which at any time. Each way of attacking is shown to work where nothing is protected.
// PE_TEST_SEED repeats a run.
#include "epochs.h"
#include "policy/crowd.h"
#include "space/offset.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

static const struct pe_wire_result *find(uint64_t n)
{
	for (unsigned i = 0; i < answer.count; i++)
		if (harness_id_number(answer.results[i].entity_id) == n)
			return &answer.results[i];
	return NULL;
}

// ---- noise ----

#define BLURRED 384u
#define SAMPLES 25u
#define SCALE_M 100.0

// Metres from home, near it: x and y, or east and north.
static void metres_of(unsigned in, const double position[3], double m[2])
{
	double to[3] = {homes[in][0], position[1], 0};

	m[0] = position[0];
	m[1] = position[1];
	if (!in)
		return;
	m[0] = pe_space_distance(&spaces[in], homes[in], to, false);
	m[0] = position[1] < homes[in][1] ? -m[0] : m[0];
	to[0] = position[0];
	to[1] = homes[in][1];
	m[1] = pe_space_distance(&spaces[in], homes[in], to, false);
	m[1] = position[0] < homes[in][0] ? -m[1] : m[1];
}

static void publish_blurred(unsigned in, uint32_t sequence)
{
	for (unsigned i = 0; i < BLURRED; i += PE_UPDATE_COUNT_MAX) {
		struct pe_wire_update u[PE_UPDATE_COUNT_MAX];

		for (unsigned k = 0; k < PE_UPDATE_COUNT_MAX; k++) {
			u[k] = harness_update(1 + i + k + 1000 * in, sequence, homes[in][0],
				homes[in][1], homes[in][2]);
			u[k].ttl_ms = 2 * PE_EPOCH_MS;
		}
		harness_queue_updates(&h, in, HARNESS_INCARNATION, u, PE_UPDATE_COUNT_MAX, false);
		harness_turn(&h);
	}
	harness_settle(&h);
}

// The place from which the samples are least far, all in all: what is most likely of such noise.
static void least_far(double (*sample)[2], unsigned count, double at[2])
{
	for (unsigned round = 0; round < 200; round++) {
		double sum[2] = {0}, weights = 0;

		for (unsigned i = 0; i < count; i++) {
			double d = hypot(sample[i][0] - at[0], sample[i][1] - at[1]) + 1e-6;

			sum[0] += sample[i][0] / d;
			sum[1] += sample[i][1] / d;
			weights += 1 / d;
		}
		at[0] = sum[0] / weights;
		at[1] = sum[1] / weights;
	}
}

static void samples_of(unsigned in, double (*sample)[SAMPLES][2])
{
	unsigned within[3] = {0};
	double mean = 0, likely = 0;

	for (uint32_t epoch = 0; epoch < SAMPLES; epoch++) {
		publish_blurred(in, 10 * epoch + 1);
		ask(in, 20000);
		for (unsigned i = 0; i < BLURRED; i++) {
			const struct pe_wire_result *r = find(1 + i + 1000 * in);

			EXPECT(r, "epoch %u entity %u", epoch, i);
			if (r)
				metres_of(in, r->position, sample[i][epoch]);
		}
		// Asking again, and after more updates, is no second sample.
		publish_blurred(in, 10 * epoch + 2);
		ask(in, 20000 - 10 * epoch);
		for (unsigned i = 0; i < BLURRED; i++) {
			const struct pe_wire_result *r = find(1 + i + 1000 * in);
			double again[2];

			if (!r)
				continue;
			metres_of(in, r->position, again);
			EXPECT(memcmp(again, sample[i][epoch], sizeof again) == 0,
				"epoch %u entity %u: another sample", epoch, i);
		}
		harness_advance(&h, PE_EPOCH_MS);
	}
	for (unsigned i = 0; i < BLURRED; i++) {
		double at[2] = {0}, r = hypot(sample[i][0][0], sample[i][0][1]);

		for (unsigned k = 0; k < 3; k++)
			within[k] += r <= SCALE_M * (k + 1);
		for (unsigned k = 0; k < SAMPLES; k++) {
			at[0] += sample[i][k][0] / SAMPLES;
			at[1] += sample[i][k][1] / SAMPLES;
		}
		mean += at[0] * at[0] + at[1] * at[1];
		least_far(sample[i], SAMPLES, at);
		likely += at[0] * at[0] + at[1] * at[1];
	}
	mean = sqrt(mean / BLURRED * SAMPLES) / SCALE_M;
	likely = sqrt(likely / BLURRED * SAMPLES) / SCALE_M;
	printf("\n    after %u epochs the mean is off by %.3f, the likeliest by %.3f s/sqrt(n); "
	       "%.3f of one epoch's within s ",
		SAMPLES, mean, likely, (double)within[0] / BLURRED);
	// Distances of one epoch are of the law that is promised: 1 − (1 + r) e^−r within r scales;
	// five standard errors.
	for (unsigned k = 0; k < 3; k++)
		EXPECT(fabs((double)within[k] / BLURRED - (1 - (2.0 + k) * exp(-1.0 - k))) <
				5 * 0.5 / sqrt(BLURRED),
			"%u of %u within %u s", within[k], BLURRED, k + 1);
	// √6 of the mean, 2 of the best that there can be (Cramér and Rao); squares of 384 sums are
	// 5 % off, lengths half of that.
	EXPECT(mean > 0.87 * sqrt(6) && mean < 1.13 * sqrt(6), "the mean is off by %g", mean);
	EXPECT(likely > 0.87 * 2, "the likeliest place is off by %g", likely);
	// The attack works: it is better than the mean is.
	EXPECT(likely < mean, "%g, %g", likely, mean);
}

static void noise(void)
{
	static const struct pe_policy p = {.name = "noise",
		.space = PE_POLICY_EVERY_SPACE,
		.everyone = true,
		.laplace_m = SCALE_M};
	static double sample[BLURRED][SAMPLES][2];

	for (unsigned in = 0; in < 2; in++) {
		begin(&p, 1, PE_EPOCH_MS, 0);
		samples_of(in, sample);
		harness_stop(&h);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

// ---- crowds ----

#define PRINCIPALS 40u
#define STAYING    12u // of whom so many stay where they are
#define SCATTERED  30u // and those above are anywhere at any time
#define PERIOD     12u // epochs
#define EPOCHS     30u
#define K          4u
#define AREA_M     50.0
#define SEEN_MAX   4096u

static struct {
	struct pe_crowd_cell cell;
	uint32_t principal;
} seen[2][SEEN_MAX];
static unsigned seen_count[2];

// What an attacker makes of a place that is shown: the area, by the policy's cells.
struct area {
	struct pe_crowd_cell cell;
	unsigned level;
};

static struct area area_of(unsigned in, const struct pe_wire_result *r)
{
	struct area area = {.cell = pe_crowd_cell_of(&spaces[in], AREA_M, r->position)};
	double centre[2];

	// Only of one level is that the middle.
	for (; area.level < PE_CROWD_LEVELS; area.level++) {
		(void)pe_crowd_centre(&spaces[in], AREA_M, area.cell, area.level, centre);
		if (centre[0] == r->position[0] && centre[1] == r->position[1])
			return area;
	}
	EXPECT(false, "no area has its middle at %g %g", r->position[0], r->position[1]);
	return area;
}

static bool in_area(struct pe_crowd_cell c, const struct area *area)
{
	return c.x >> area->level == area->cell.x >> area->level &&
		c.y >> area->level == area->cell.y >> area->level;
}

// Bits of the principals that were in an area in the epoch before, and in this one.
static uint64_t behind(const struct area *area)
{
	uint64_t who[2] = {0};

	for (unsigned k = 0; k < 2; k++)
		for (unsigned i = 0; i < seen_count[k]; i++)
			if (in_area(seen[k][i].cell, area))
				who[k] |= 1ull << seen[k][i].principal;
	return who[0] & who[1];
}

static struct {
	double position[3];
	bool shown;                // in this epoch
	unsigned areas;            // of the period
	unsigned shown_all, moved; // and in all
	struct area last;
	uint64_t always,
		ever; // principals that were in all its areas of the period, and of all periods
} entity[1 + PRINCIPALS];

static void wander(unsigned in, unsigned n, uint32_t sequence)
{
	struct pe_wire_update u;
	double reach = n <= STAYING ? 150 : 600, step = n > SCATTERED ? reach : 40;

	// Some walk, and some are anywhere.
	if (sequence == 1 || n > STAYING) {
		const double metres[3] = {between(-step, step), between(-step, step), 0};
		const double *from =
			sequence == 1 || n > SCATTERED ? homes[in] : entity[n].position;
		double to[3];

		if (!pe_space_offset(&spaces[in], from, metres, to))
			abort();
		memcpy(entity[n].position, to, sizeof to);
		entity[n].position[2] = 0;
	}
	u = harness_update(n, sequence, entity[n].position[0], entity[n].position[1], 0);
	u.ttl_ms = 3600000;
	h.principal = n;
	(void)harness_send(&h, in, HARNESS_INCARNATION, &u);
	h.principal = 0;
	if (seen_count[1] < SEEN_MAX) {
		seen[1][seen_count[1]].cell =
			pe_crowd_cell_of(&spaces[in], AREA_M, entity[n].position);
		seen[1][seen_count[1]++].principal = n;
	}
	harness_control(&h);
}

// Whoever follows an entity from area to area has fewer and fewer principals left.
static void intersect(unsigned n, const struct area *area)
{
	bool other = !entity[n].areas || area->level != entity[n].last.level ||
		!in_area(entity[n].last.cell, area);
	uint64_t left = behind(area) & entity[n].always;

	entity[n].shown = true;
	entity[n].moved += other && entity[n].areas;
	entity[n].areas += other;
	entity[n].shown_all++;
	entity[n].last = *area;
	EXPECT(__builtin_popcountll(left) >= (int)K,
		"entity %u: %d principals were in all its %u areas", n, __builtin_popcountll(left),
		entity[n].areas);
	EXPECT(left >> n & 1, "entity %u: its principal is ruled out", n);
}

// Once the epoch is over it is known who was in the area in it.
static void intersect_all(void)
{
	for (unsigned n = 1; n <= PRINCIPALS; n++)
		if (entity[n].shown) {
			uint64_t who = behind(&entity[n].last);

			entity[n].always &= who;
			entity[n].ever &= who;
			entity[n].shown = false;
		}
}

static void look_at_areas(unsigned in, bool crowded, unsigned *few)
{
	ask(in, 500000);
	for (unsigned i = 0; i < answer.count; i++) {
		const struct pe_wire_result *r = &answer.results[i];
		unsigned n = (unsigned)harness_id_number(r->entity_id), count;
		struct area area;

		if (!crowded) {
			// Of cells alone nobody knows how many are in them.
			area = (struct area){
				.cell = pe_crowd_cell_of(&spaces[in], AREA_M, r->position)};
			*few += __builtin_popcountll(behind(&area)) < (int)K;
			continue;
		}
		area = area_of(in, r);
		count = (unsigned)__builtin_popcountll(behind(&area));
		EXPECT(count >= K, "entity %u: %u principals behind it", n, count);
		EXPECT(in_area(pe_crowd_cell_of(&spaces[in], AREA_M, entity[n].position), &area),
			"entity %u is not in its area", n);
		intersect(n, &area);
	}
}

static void crowds_in(unsigned in, bool crowded)
{
	const struct pe_policy p = {.name = "crowd",
		.space = PE_POLICY_EVERY_SPACE,
		.everyone = true,
		.k = crowded ? K : 0,
		.area_m = crowded ? AREA_M : 0,
		.cloak_m = crowded ? 0 : AREA_M};
	unsigned shown_sum = 0, moved_sum = 0, few = 0, alone = 0;

	cohort_epochs = PERIOD;
	begin(&p, 1, PE_EPOCH_MIN_MS, 0);
	memset(entity, 0, sizeof entity);
	for (unsigned n = 1; n <= PRINCIPALS; n++)
		entity[n].always = entity[n].ever = ~0ull;
	seen_count[0] = seen_count[1] = 0;
	// So that there is a census to begin with.
	wander(in, 1, 1);
	seen_count[1] = 0;
	for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
		if (h.now.wall_ms / PE_EPOCH_MIN_MS % PERIOD == 0)
			for (unsigned n = 1; n <= PRINCIPALS; n++) {
				entity[n].areas = 0;
				entity[n].always = ~0ull;
			}
		for (uint32_t i = 0; i < 3; i++) {
			for (unsigned n = 1; n <= PRINCIPALS; n++)
				if (n <= SCATTERED || testing_random(&state) % 2)
					wander(in, n, 10 * epoch + i + (n == 1 ? 2 : 1));
			harness_advance(&h, PE_EPOCH_MIN_MS / 4);
			harness_settle(&h);
			if (epoch)
				look_at_areas(in, crowded, &few);
		}
		harness_advance(&h, PE_EPOCH_MIN_MS - 3 * (PE_EPOCH_MIN_MS / 4));
		if (crowded)
			intersect_all();
		memcpy(seen[0], seen[1], seen_count[1] * sizeof seen[0][0]);
		seen_count[0] = seen_count[1];
		seen_count[1] = 0;
	}
	harness_stop(&h);
	for (unsigned n = 1; n <= SCATTERED; n++) {
		shown_sum += entity[n].shown_all;
		moved_sum += entity[n].moved;
		alone += __builtin_popcountll(entity[n].ever) < (int)K;
	}
	if (!crowded) {
		EXPECT(few > 0, "counting finds nobody who is alone in a cell");
		return;
	}
	printf("\n    %u areas of who stays or walks, another than the last %u times; over periods, fewer than %u were in all of %u of %u ",
		shown_sum, moved_sum, K, alone, SCATTERED);
	EXPECT(shown_sum > 200 && moved_sum > 5, "%u, %u", shown_sum, moved_sum);
}

static void crowds(void)
{
	unsigned sum = 0;

	for (unsigned in = 0; in < 2; in++)
		for (unsigned crowded = 0; crowded < 2; crowded++) {
			crowds_in(in, crowded);
			sum += wrong;
		}
	CU_ASSERT_EQUAL(sum, 0);
}

TESTING_MAIN("model/adversary-epochs", {"noise over epochs", noise}, {"areas over epochs", crowds})
