// What is promised of privacy, tried by who wants to know better: every attack of
// adversary_attacks.c on an entity of every precision level and method, in both kinds of space.
// Each attack finds an entity that hides nothing to a few centimetres, or it would prove nothing.
// Of one that is rounded, cloaked or in a crowd it finds the middle of what is published, and its
// whole correspondence is byte for byte the same where the entity is elsewhere in its cell; of one
// that is blurred it finds the place of the epoch, and the same where it moves about; of one that
// is hidden nothing, as if it did not exist. PE_TEST_SEED repeats a run, PE_TEST_LONG=1 makes it
// ten times as long.
#include "adversary.h"

#include "expect.h"
#include "internal.h"
#include "policy/crowd.h"
#include "space/coarse.h"
#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define TARGET      1u
#define HER         5u  // the target's principal
#define CLOSE_M     0.2 // to what is published an estimate is as close
#define SPREAD_M    5000.0
#define REPEATED    10000u
#define GRID_M      250.0
#define SCALE_M     100.0
#define AREA_M      50.0
#define K           4u
#define PRECISION_M 5.0f
#define REACH_M     55000.0f

enum method {
	EXACT,
	LEVEL_1,
	LEVEL_2,
	LEVEL_3,
	LEVEL_4,
	LEVEL_5,
	GRID,
	LAPLACE,
	CROWD,
	NAMELESS,
	NAMELESS_LEVEL,
	HIDDEN_ONE,
	METHODS
};

static const struct kind {
	const char *name;
	uint16_t attributes;
	uint8_t prefix; // of the id, by which a policy takes it
	double edge_m;  // of its cell
} kinds[METHODS] = {
	{"exact", 0, 0, 0},
	{"1 m", 1u << 7, 0, 1},
	{"10 m", 2u << 7, 0, 10},
	{"100 m", 3u << 7, 0, 100},
	{"1 km", 4u << 7, 0, 1000},
	{"10 km", 5u << 7, 0, 10000},
	{"grid", 0, 0xB2, GRID_M},
	{"laplace", 0, 0xB3, 0},
	{"crowd", 0, 0xB4, 0},
	{"anonymous", PE_ANONYMOUS << 3, 0, 0},
	{"anonymous, 100 m", PE_ANONYMOUS << 3 | 3u << 7, 0, 100},
	{"hidden", PE_HIDDEN << 3, 0, 0},
};

static struct harness h;
static struct pe_space spaces[2];
static uint64_t seed;

static double unit(uint64_t *from)
{
	return (double)(testing_random(from) >> 11) * 0x1p-53;
}

// ---- the world ----

static const struct pe_policy policies[] = {
	{.name = "grid",
		.space = PE_POLICY_EVERY_SPACE,
		.prefix = {0xB2},
		.prefix_bits = 8,
		.everyone = true,
		.cloak_m = GRID_M},
	{.name = "noise",
		.space = PE_POLICY_EVERY_SPACE,
		.prefix = {0xB3},
		.prefix_bits = 8,
		.everyone = true,
		.laplace_m = SCALE_M},
	{.name = "crowd",
		.space = PE_POLICY_EVERY_SPACE,
		.prefix = {0xB4},
		.prefix_bits = 8,
		.everyone = true,
		.k = K,
		.area_m = AREA_M},
};

// Thresholds of both spaces; 0 = none.
static void start_with(float threshold_m, uint32_t threshold_ms)
{
	struct pe_engine_config c = harness_config();

	for (unsigned i = 0; i < 2; i++) {
		struct pe_error error;

		// Volumes are tens of kilometres wide.
		c.spaces[i].space.leaf_edge_m = 4096;
		c.spaces[i].space.leaf_height_m = i ? 4096 : 65536;
		c.spaces[i].coalesce_distance_m = threshold_m;
		c.spaces[i].coalesce_interval_ms = threshold_ms;
		if (pe_space_prepare(&spaces[i], &c.spaces[i].space, i, &error) != PE_OK)
			abort();
	}
	c.views = (struct pe_views_config){
		.policies = policies, .policy_count = 3, .cohort_epochs = 1000};
	c.details_bytes = 1 << 20;
	c.fence_count_max = 64;
	c.subscription_count_max = 4;
	c.cell_count_max = 4096;
	harness_start(&h, &c);
	// Names and noise are random; here they are the same in all worlds.
	for (unsigned i = 0; i < sizeof h.engine->views.key; i++)
		h.engine->views.key[i] = (uint8_t)(seed >> i % 8 * 8 ^ i);
	h.now.wall_ms += PE_EPOCH_MS - h.now.wall_ms % PE_EPOCH_MS;
}

static void start(void)
{
	start_with(0, 0);
}

struct target {
	enum method method;
	unsigned in;
	uint64_t n;
	uint32_t sequence;
	uint8_t id[16];
	double truth[3];
};

// Its course, too, would lead finer than a cell.
static struct pe_wire_update state_of(
	struct target *t, const double place[3], bool fast, bool other)
{
	struct pe_wire_update u = harness_update(t->n, ++t->sequence, place[0], place[1], place[2]);

	memcpy(u.entity_id, t->id, sizeof t->id);
	memcpy(t->truth, place, sizeof t->truth);
	u.attributes |= kinds[t->method].attributes;
	u.ttl_ms = 3600000;
	u.precision_m = PRECISION_M;
	u.radius_m = REACH_M;
	if (fast) {
		u.velocity[0] = 0x4200;                  // 3 m/s
		u.velocity[1] = other ? 0x4900 : 0xC400; // 10 m/s, or −4 m/s
	}
	return u;
}

static void publish(struct target *t, const double place[3], bool fast, bool other)
{
	struct pe_wire_update u = state_of(t, place, fast, other);
	uint64_t *tx = &pe_engine_worker(h.engine, 0)->tx_sequence, sent = *tx;
	uint64_t sequence = h.sequence;

	h.principal = HER;
	// What has details goes another way.
	if (t->sequence % 2 == 0) {
		const struct pe_wire_orientation as_it_is = {.q = {0, 0, 0, 1}};
		_Alignas(8) uint8_t record[256];

		(void)pe_wire_begin_details(record, sizeof record, &u);
		(void)pe_wire_put_details(
			record, sizeof record, PE_DETAILS_ORIENTATION, &as_it_is, sizeof as_it_is);
		(void)harness_send_detailed(&h, t->in, HARNESS_INCARNATION, record);
	} else {
		(void)harness_send(&h, t->in, HARNESS_INCARNATION, &u);
	}
	harness_settle(&h);
	h.principal = 0;
	// Messages have numbers; those to her are none of the attacker's.
	*tx = sent;
	h.sequence = sequence;
}

// Where it is published; *cell: what a place must have in common with another to be published there
// as well.
static void published(const struct target *t, const double place[3], double cell[3])
{
	const struct pe_space *space = &spaces[t->in];
	double centre[2];

	memcpy(cell, place, 3 * sizeof *cell);
	if (kinds[t->method].edge_m > 0)
		(void)pe_space_coarse(space, kinds[t->method].edge_m, place, true, cell);
	if (t->method != CROWD)
		return;
	(void)pe_crowd_centre(space, AREA_M, pe_crowd_cell_of(space, AREA_M, place), 0, centre);
	memcpy(cell, centre, sizeof centre);
	cell[2] = 0;
}

// Another place in the same cell, drawn from the target's own numbers.
static void elsewhere(
	const struct adversary *a, const struct target *t, uint64_t *random, double place[3])
{
	double edge_m = t->method == CROWD ? AREA_M : kinds[t->method].edge_m, cell[3], other[3],
	       at[3];

	if (!(edge_m > 0))
		return;
	published(t, place, cell);
	for (unsigned i = 0; i < 200; i++) {
		double x = (unit(random) - 0.5) * edge_m;

		adversary_offset(a, cell, x, (unit(random) - 0.5) * edge_m, at);
		at[2] = 0;
		published(t, at, other);
		if (memcmp(cell, other, sizeof cell) == 0) {
			memcpy(place, at, sizeof at);
			return;
		}
	}
	EXPECT(false, "%s: no place in the cell", kinds[t->method].name);
}

// K others at the place; the first one's update has the engine see the time.
static void gather(const struct target *t, const double place[3], uint32_t sequence)
{
	for (unsigned i = 0; i < K + 1; i++) {
		struct pe_wire_update u = harness_update(200 + i, sequence, place[0], place[1], 0);

		u.entity_id[0] = 0xB4;
		u.ttl_ms = 1000;
		h.principal = i > 0 ? 20 + i : HER;
		(void)harness_send(&h, t->in, HARNESS_INCARNATION, &u);
		harness_control(&h);
	}
	h.principal = 0;
}

// A cohort of hers and K others, who are there in two epochs.
static void gather_crowd(struct target *t, const double place[3])
{
	gather(t, place, 1);
	harness_advance(&h, PE_EPOCH_MS - PE_EPOCH_MS / 4);
	publish(t, place, false, false);
	harness_control(&h);
	harness_advance(&h, PE_EPOCH_MS / 4);
	gather(t, place, 2);
	harness_advance(&h, 2000);
	harness_settle(&h);
}

// One world, and every attack in it. `other`: the true places are others, of which nothing may be
// told.
struct trial {
	uint64_t digest, replies, questions;
	double truth[3], shown[3];
	bool found[32], shown_at_all;
	double place[32][3];
};

static void run_trial(enum method method, unsigned in, uint64_t number, bool other,
	unsigned repeated, struct trial *trial)
{
	static const double homes[2][3] = {
		{0, 0, 0}, {45, 10, 0}}; // where two frames of the Earth meet
	struct target t = {.method = method, .in = in, .n = TARGET};
	uint64_t random = number, own = number ^ 0x5555555555555555ull;
	struct adversary a;
	double place[3], x, y;

	start();
	memset(trial, 0, sizeof *trial);
	harness_id(t.id, TARGET);
	t.id[0] = kinds[method].prefix ? kinds[method].prefix : t.id[0];
	adversary_begin(&a, &h, &spaces[in], in, homes[in], number);
	x = (unit(&random) - 0.5) * 2 * SPREAD_M;
	y = (unit(&random) - 0.5) * 2 * SPREAD_M;
	adversary_offset(&a, a.home, x, y, place);
	if (method == CROWD)
		gather_crowd(&t, place);
	for (unsigned i = 0; i < 3 && !(method == HIDDEN_ONE && other); i++) {
		// A blurred one goes where it likes.
		if (i && method == LAPLACE && other)
			adversary_offset(&a, place, 5000 * (unit(&own) - 0.5),
				5000 * (unit(&own) - 0.5), place);
		if (other)
			elsewhere(&a, &t, &own, place);
		publish(&t, place, i == 2, other);
	}
	memcpy(trial->truth, t.truth, sizeof trial->truth);
	// What anybody reads off one answer.
	memcpy(a.target, t.id, sizeof a.target);
	a.repeated = repeated;
	{
		struct pe_wire_query q = adversary_sphere(a.home, ADVERSARY_FAR_M);
		const struct pe_wire_result *r = adversary_ask(&a, &q, NULL, 0);

		trial->shown_at_all = r;
		if (r)
			memcpy(trial->shown, r->position, sizeof trial->shown);
	}
	for (unsigned i = 0; i < adversary_attack_count; i++)
		trial->found[i] = adversary_attacks[i].run(&a, trial->place[i]);
	trial->digest = a.digest;
	trial->replies = a.replies;
	trial->questions = a.questions;
	adversary_end(&a);
	h.principal = 0;
	harness_stop(&h);
}

// ---- the tests ----

static void begin(void)
{
	const char *text = getenv("PE_TEST_SEED");

	harness_failed = failed;
	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	wrong = 0;
}

static double error_of(const struct trial *trial, unsigned in, const double place[3])
{
	return pe_space_distance(&spaces[in], trial->truth, place, false);
}

static void attack(enum method method, unsigned in, unsigned repeated)
{
	struct trial first, second;
	struct target t = {.method = method, .in = in};
	uint64_t number = seed ^ (uint64_t)method << 48 ^ (uint64_t)in << 40 ^ repeated;
	double cell[3], of_cell;

	run_trial(method, in, number, false, repeated, &first);
	EXPECT(first.shown_at_all == (method != HIDDEN_ONE), "%s", kinds[method].name);
	published(&t, first.truth, cell);
	of_cell =
		method == LAPLACE ? error_of(&first, in, first.shown) : error_of(&first, in, cell);
	for (unsigned i = 0; i < adversary_attack_count; i++) {
		const struct adversary_attack *attack = &adversary_attacks[i];
		bool wanted = method == EXACT;
		double error = first.found[i] ? error_of(&first, in, first.place[i]) : INFINITY;

		if (getenv("PE_TEST_SHOW"))
			printf("\n      %-18s %u %-14s %10.4f m of %10.4f", kinds[method].name, in,
				attack->name, error, of_cell);
		if (wanted)
			EXPECT(error <= attack->exact_m, "%s in %u is %g m off", attack->name, in,
				error);
		if (method == HIDDEN_ONE)
			EXPECT(!first.found[i], "%s in %u found who is hidden", attack->name, in);
		if (!first.found[i] || wanted)
			continue;
		// Nothing better than what is published, and that is no better than the cell.
		EXPECT(pe_space_distance(&spaces[in], first.place[i], first.shown, false) <=
				attack->exact_m + CLOSE_M,
			"%s in %u of %s is %g m from what is published", attack->name, in,
			kinds[method].name,
			pe_space_distance(&spaces[in], first.place[i], first.shown, false));
		EXPECT(error >= of_cell - attack->exact_m - CLOSE_M,
			"%s in %u of %s is %g m off, the cell %g", attack->name, in,
			kinds[method].name, error, of_cell);
		EXPECT(!attack->by_id || !(kinds[method].attributes >> 3 & 3), "%s in %u of %s",
			attack->name, in, kinds[method].name);
	}
	if (method == EXACT || method == NAMELESS)
		return;
	run_trial(method, in, number, true, repeated, &second);
	EXPECT(first.digest == second.digest && first.replies == second.replies,
		"%s in %u: another place in the cell is told apart, %" PRIu64 " and %" PRIu64
		" replies",
		kinds[method].name, in, first.replies, second.replies);
}

static void every_attack(void)
{
	uint64_t rounds = testing_amount(3);

	begin();
	printf("\n    seed %" PRIu64 " ", seed);
	for (uint64_t i = 0; i < (rounds ? rounds : 1); i++)
		for (unsigned in = 0; in < 2; in++)
			for (unsigned method = 0; method < METHODS; method++)
				attack(method, in,
					i ? 100 :
					    (unsigned)testing_amount(REPEATED) /
							(getenv("PE_TEST_LONG") ? 10 : 1));
	CU_ASSERT_EQUAL(wrong, 0);
}

// ---- heights ----

static bool above(struct adversary *a, double m, void *context)
{
	struct pe_wire_query q = adversary_sphere(a->home, ADVERSARY_FAR_M);

	(void)context;
	q.flags |= PE_QUERY_HEIGHT_RANGE;
	q.height_min = (float)m;
	q.height_max = 30000;
	return adversary_ask(a, &q, NULL, 0) != NULL;
}

// By ranges of heights: the height that is published, and no other.
static void height_of(enum method method, unsigned in)
{
	static const double home[2][3] = {{0, 0, 0}, {45, 10, 0}};
	double edge_m = method == CROWD ? AREA_M : kinds[method].edge_m, found[2], truth[2];
	uint64_t digest[2], random = seed ^ (uint64_t)method << 32 ^ in;
	// Far from where the next height begins.
	double step = edge_m > 0 ? edge_m : SCALE_M, middle = 2 * step;

	for (unsigned other = 0; other < 2; other++) {
		struct target t = {.method = method, .in = in, .n = TARGET};
		struct adversary a;
		double place[3];

		start();
		harness_id(t.id, TARGET);
		t.id[0] = kinds[method].prefix ? kinds[method].prefix : t.id[0];
		adversary_begin(&a, &h, &spaces[in], in, home[in], seed);
		memcpy(place, home[in], sizeof place);
		if (method == CROWD)
			gather_crowd(&t, place);
		place[2] = truth[other] = middle + (unit(&random) - 0.5) * 0.9 * step;
		publish(&t, place, false, false);
		found[other] = adversary_bisect(&a, 25000, above, NULL);
		digest[other] = a.digest;
		adversary_end(&a);
		h.principal = 0;
		harness_stop(&h);
	}
	for (unsigned i = 0; i < 2; i++) {
		double wanted = method == EXACT || method == NAMELESS ? truth[i] : middle;

		EXPECT(method == HIDDEN_ONE ? found[i] < 0 : fabs(found[i] - wanted) < 0.01,
			"%s in %u: a height of %g is found at %g", kinds[method].name, in, truth[i],
			found[i]);
	}
	EXPECT(method == EXACT || method == NAMELESS || method == HIDDEN_ONE ||
			digest[0] == digest[1],
		"%s in %u: heights are told apart", kinds[method].name, in);
}

static void heights(void)
{
	begin();
	for (unsigned in = 0; in < 2; in++)
		for (unsigned method = 0; method < METHODS; method++)
			height_of(method, in);
	CU_ASSERT_EQUAL(wrong, 0);
}

// ---- who has just become shy ----

// What was accepted of who showed himself, and was held back by a threshold, and where he is since
// he asks for less: neither is told any more.
static void told_after(enum method method, unsigned in)
{
	static const double home[2][3] = {{0, 0, 0}, {45, 10, 0}};
	struct target t = {.method = EXACT, .in = in, .n = TARGET};
	struct pe_wire_fence fence = watching_sphere(1, home[in][0], home[in][1], 0, 50000);
	struct pe_wire_update u;
	double places[3][3], cell[3], least[2] = {INFINITY, INFINITY};
	struct adversary a;
	unsigned events = 0;
	bool bound = false;

	start_with(30, 500);
	harness_id(t.id, TARGET);
	adversary_begin(&a, &h, &spaces[in], in, home[in], seed);
	watching_clear(&a.watcher);
	h.principal = ADVERSARY_ME;
	watching_send(&a.watcher, PE_SUBSCRIBE_ADD, &fence, 1, NULL, 0);
	adversary_settle(&a);
	for (unsigned i = 0; i < 3; i++) {
		adversary_offset(&a, home[in], 5020 + 10.0 * i, 5030 + 7.0 * i, places[i]);
		t.method = i == 2 ? method : EXACT;
		u = state_of(&t, places[i], false, false);
		h.principal = HER;
		harness_queue_updates(&h, in, HARNESS_INCARNATION, &u, 1, false);
		adversary_settle(&a);
		// The first one is told. The second is held back.
		if (i == 0) {
			EXPECT(a.watcher.count > 0, "nothing is told");
			// One of the attacker's own is bound to it.
			memcpy(a.target, t.id, sizeof a.target);
			adversary_bind(&a);
		}
		if (i < 2)
			watching_clear(&a.watcher);
	}
	published(&t, places[2], cell);
	for (unsigned i = 0; i < 60; i++) {
		struct pe_wire_query q = adversary_sphere(a.home, ADVERSARY_FAR_M);

		(void)adversary_ask(&a, &q, NULL, 0);
		bound |= a.answer->count > 1;
		for (unsigned n = 0; n < a.answer->count; n++)
			for (unsigned k = 1; k < 3; k++)
				least[k - 1] = fmin(least[k - 1],
					adversary_metres(
						&a, a.answer->results[n].position, places[k]));
		adversary_settle(&a);
		h.now.mono_ms += 50;
		h.now.wall_ms += 50;
	}
	for (unsigned e = 0; e < a.watcher.count; e++) {
		const struct pe_wire_event *event = &a.watcher.events[e];

		events++;
		for (unsigned k = 1; k < 3 && event->kind != PE_EVENT_LEAVE; k++)
			least[k - 1] = fmin(least[k - 1],
				adversary_metres(&a, event->result.position, places[k]));
	}
	if (method == EXACT) {
		// Else nothing would be found either.
		EXPECT(bound, "in %u nothing is bound to it", in);
		EXPECT(least[1] < 0.01, "in %u it is told %g m away", in, least[1]);
	} else {
		double of_cell =
			method == HIDDEN_ONE ? 10 : adversary_metres(&a, cell, places[2]) - 0.01;

		EXPECT(least[1] >= fmin(of_cell, 10), "%s in %u: told %g m from where it is",
			kinds[method].name, in, least[1]);
		EXPECT(least[0] >= 5 || least[0] >= adversary_metres(&a, cell, places[1]) - 0.01,
			"%s in %u: told %g m from what was held back", kinds[method].name, in,
			least[0]);
		EXPECT(events > 0, "%s in %u: no event", kinds[method].name, in);
	}
	adversary_end(&a);
	h.principal = 0;
	harness_stop(&h);
}

static void grown_shy(void)
{
	static const enum method methods[] = {
		EXACT, LEVEL_3, LEVEL_4, LEVEL_5, NAMELESS_LEVEL, HIDDEN_ONE};

	begin();
	for (unsigned in = 0; in < 2; in++)
		for (unsigned i = 0; i < sizeof methods / sizeof methods[0]; i++)
			told_after(methods[i], in);
	CU_ASSERT_EQUAL(wrong, 0);
}

TESTING_MAIN("model/adversary", {"every attack on every method", every_attack},
	{"heights", heights}, {"who has just become shy", grown_shy})
