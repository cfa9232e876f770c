// Entities that may be counted only, and not where there are few: what answers of cells say of
// them, and that nothing else says anything.
#include "testing.h"
#include "watching.h"
#include "wire/extension.h"

#include <math.h>
#include <string.h>

#define PLANE 0u
#define EARTH 1u
#define ALICE 1u
#define BOB   2u
#define K     3u

static struct harness h;
static struct harness_answer a;
static const uint32_t deny[] = {BOB};
static const struct pe_policy policies[] = {
	{.name = "counted",
		.space = PE_POLICY_EVERY_SPACE,
		.visibility = 1u << PE_PUBLIC | 1u << PE_ANONYMOUS,
		.prefix = {0xC7},
		.prefix_bits = 8,
		.everyone = true,
		.deny = deny,
		.deny_count = 1,
		.counts_below = K,
		.counts_cell_m = 600},
};

static void start(void)
{
	struct pe_engine_config c = harness_config();

	c.views = (struct pe_views_config){.policies = policies, .policy_count = 1};
	c.details_bytes = 1 << 20;
	c.fence_count_max = 64;
	c.subscription_count_max = 8;
	harness_failed = testing_failed;
	harness_start(&h, &c);
}

static struct pe_wire_update counted(uint64_t n, uint32_t sequence, double x, double y, double z)
{
	struct pe_wire_update u = harness_update(n, sequence, x, y, z);

	u.entity_id[0] = 0xC7;
	return u;
}

static void put(unsigned space, uint32_t principal, const struct pe_wire_update *u)
{
	h.principal = principal;
	CU_ASSERT_EQUAL(harness_send(&h, space, HARNESS_INCARNATION, u).status, PE_ACK_APPLIED);
	h.principal = 0;
}

// `count` of them in a row of metres, of so many principals.
static void put_many(
	unsigned space, uint64_t first, unsigned count, unsigned principals, double x, double y)
{
	for (unsigned i = 0; i < count; i++) {
		double step = space == EARTH ? i * 1e-6 : i;
		struct pe_wire_update u = counted(first + i, 1, x, y + step, 0);

		put(space, 100 + i % principals, &u);
	}
}

static void ask(uint32_t principal, unsigned space, struct pe_wire_query q, float spatial_m)
{
	struct pe_wire_resolution r = {.spatial_m = spatial_m, .attribute = 0.5f};
	_Alignas(8) uint8_t extension[64];
	uint32_t bytes = pe_wire_put_block(
		extension, 0, sizeof extension, PE_BLOCK_RESOLUTION, &r, sizeof r);

	h.principal = principal;
	harness_ask_extended(&h, 0, space, &q, extension, spatial_m > 0 ? bytes : 0, &a);
	h.principal = 0;
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS && !a.truncated);
}

static const struct pe_wire_cell *cell_at(double x, double y)
{
	for (unsigned i = 0; i < a.count; i++)
		if (a.cells[i].centre[0] == x && a.cells[i].centre[1] == y)
			return &a.cells[i];
	return NULL;
}

// The cell says a number, and nothing is left out of it.
static bool tells(const struct pe_wire_cell *c, unsigned count)
{
	return c && c->count == count && !c->flags && !c->below && !c->below_cells;
}

static bool few(const struct pe_wire_cell *c, unsigned cells)
{
	return c && c->count == 0 && c->flags == PE_CELL_BELOW && c->below == K &&
		c->below_cells == cells && c->newest_age_ms == 0;
}

static void whole_cells(void)
{
	struct pe_wire_query all = harness_sphere(0, 0, 0, 5000);

	start();
	put_many(PLANE, 1, 7, 4, 10, 10);    // four principals
	put_many(PLANE, 11, 9, 2, 600, 10);  // two: few, whatever their number
	put_many(PLANE, 31, 3, 3, 10, 600);  // just three
	put_many(PLANE, 41, 1, 1, -10, -10); // one
	put_many(PLANE, 51, 2, 1, 4200, 10); // in another cell of 4096 m
	// Whatever size is asked for, from a part of a leaf up to theirs.
	for (unsigned i = 0; i < 4; i++) {
		ask(ALICE, PLANE, all, i == 0 ? 1 : i == 1 ? 64 : i == 2 ? 512 : 4000);
		CU_ASSERT_EQUAL(a.count, 5);
		CU_ASSERT(tells(cell_at(256, 256), 7));
		CU_ASSERT(few(cell_at(768, 256), 1));
		CU_ASSERT(tells(cell_at(256, 768), 3));
		CU_ASSERT(few(cell_at(-256, -256), 1));
		CU_ASSERT(few(cell_at(4352, 256), 1));
		CU_ASSERT(a.count && a.cells[0].size_m == 512 && a.cells[0].level == 1);
	}
	// Larger ones are told as the sum of theirs, not otherwise.
	ask(ALICE, PLANE, all, 4096);
	CU_ASSERT_EQUAL(a.count, 3);
	const struct pe_wire_cell *c = cell_at(2048, 2048);
	CU_ASSERT(c && c->count == 10 && c->flags == PE_CELL_BELOW && c->below == K &&
		c->below_cells == 1 && c->size_m == 4096);
	CU_ASSERT(few(cell_at(-2048, -2048), 1));
	CU_ASSERT(few(cell_at(4096 + 2048, 2048), 1));
	// Wherever the volume ends: the cells that it touches, whole. Not even where nobody is.
	for (double r = 0.5; r < 250; r *= 3) {
		struct pe_wire_query q = harness_sphere(300, 300, 0, r);

		ask(ALICE, PLANE, q, 64);
		CU_ASSERT_EQUAL(a.count, 1);
		CU_ASSERT(tells(cell_at(256, 256), 7));
		q = harness_box((double[3]){11, 11, 0}, (double[3]){11 + r, 11 + r, 1});
		ask(ALICE, PLANE, q, 64);
		CU_ASSERT_EQUAL(a.count, 1);
		CU_ASSERT(tells(cell_at(256, 256), 7));
	}
	// The third principal comes and goes.
	struct pe_wire_update u = counted(99, 1, 1000, 500, 0);
	put(PLANE, 300, &u);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT(tells(cell_at(768, 256), 10));
	u.sequence = 2;
	u.position[0] = 1100; // another cell: nobody but that one is in it
	put(PLANE, 300, &u);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT(few(cell_at(768, 256), 1));
	CU_ASSERT(few(cell_at(1280, 256), 1));
	harness_settle(&h);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT(few(cell_at(768, 256), 1));
	CU_ASSERT(few(cell_at(1280, 256), 1));
	// Nothing past its ttl is counted.
	harness_advance(&h, 40000);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT_EQUAL(a.count, 0);
	harness_stop(&h);
}

// Whose number nobody knows is no principal; of who broadcasts for several it is one.
static void who_counts(void)
{
	struct pe_wire_query all = harness_sphere(0, 0, 0, 500);

	start();
	for (unsigned i = 0; i < 20; i++) {
		struct pe_wire_update u = counted(1 + i, 1, 5, 5 + i, 0);

		put(PLANE, i < 10 ? 0 : 77, &u);
	}
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT(a.count == 1 && few(&a.cells[0], 1));
	put_many(PLANE, 51, 1, 1, 5, 50);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT(a.count == 1 && few(&a.cells[0], 1));
	struct pe_wire_update u = counted(99, 1, 6, 5, 0);
	put(PLANE, 78, &u);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT(a.count == 1 && tells(&a.cells[0], 22));
	harness_stop(&h);
}

// Open ones stay exact, in cells of the size that is asked for; who is not told of the others is
// told what is there without them.
static void beside_open_ones(void)
{
	struct pe_wire_query all = harness_sphere(0, 0, 0, 5000);
	struct pe_wire_update u;

	start();
	put_many(PLANE, 1, 4, 4, 10, 10);
	for (unsigned i = 0; i < 5; i++) {
		u = harness_update(200 + i, 1, 12 + i, 20, 0);
		put(PLANE, 0, &u);
	}
	ask(0, PLANE, all, 64);
	CU_ASSERT_EQUAL(a.count, 1); // nobody in particular is denied where anybody is
	CU_ASSERT(tells(cell_at(32, 32), 5));
	ask(BOB, PLANE, all, 64);
	CU_ASSERT_EQUAL(a.count, 1);
	ask(ALICE, PLANE, all, 64);
	CU_ASSERT_EQUAL(a.count, 2);
	CU_ASSERT(tells(cell_at(32, 32), 5));
	CU_ASSERT(tells(cell_at(256, 256), 4));
	ask(ALICE, PLANE, all, 512);
	CU_ASSERT_EQUAL(a.count, 2);
	CU_ASSERT(a.cells[0].count + a.cells[1].count == 9);
	harness_stop(&h);
}

// One by one they are shown to nobody, in no way.
static void nothing_else(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 5000);
	struct pe_wire_explanation e;
	struct pe_wire_fence f = watching_sphere(1, 0, 0, 0, 500);
	struct pe_wire_update u = counted(50, 1, 20, 20, 0);
	struct watching s;

	start();
	put_many(PLANE, 1, 8, 8, 10, 10);
	u.radius_m = 1000; // a reach is not for counts
	put(PLANE, 500, &u);
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT(a.count == 1 && tells(&a.cells[0], 8));
	ask(ALICE, PLANE, q, 0);
	CU_ASSERT_EQUAL(a.count, 0);
	q.kind = PE_QUERY_NEAREST;
	q.max_results = 5;
	q.b[0] = 0;
	ask(ALICE, PLANE, q, 0);
	CU_ASSERT_EQUAL(a.count, 0);
	q = harness_point(10, 10, 0);
	ask(ALICE, PLANE, q, 0);
	CU_ASSERT_EQUAL(a.count, 0);
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT_EQUAL(a.count, 0);
	// What can't be told of them can't be asked for.
	q = harness_sphere(0, 0, 0, 5000);
	q.type_mask = 1u << PE_ENTITY_MOBILE;
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT_EQUAL(a.count, 0);
	q.type_mask = 0;
	q.state_mask = 31;
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT_EQUAL(a.count, 0);
	q.state_mask = 0;
	q.flags = PE_QUERY_HEIGHT_RANGE;
	q.height_min = -1e6f;
	q.height_max = 1e6f;
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT_EQUAL(a.count, 0);
	// The origin is nobody's but the asker's.
	q = harness_sphere(0, 0, 0, 5000);
	q.flags = PE_QUERY_HAS_ORIGIN;
	q.origin[0] = 1e6;
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT(a.count == 1 && tells(&a.cells[0], 8));
	q.flags = 0;
	q.origin[0] = 0;
	h.principal = ALICE;
	CU_ASSERT(harness_explain(&h, 0, PLANE, u.entity_id, &q, NULL, 0, &e));
	CU_ASSERT_EQUAL(e.first_cause, PE_WHY_UNKNOWN);
	watching_init(&s, &h, PLANE, 7);
	s.subscribe.flags = PE_SUBSCRIBE_MOVES;
	watching_send(&s, PE_SUBSCRIBE_OPEN, &f, 1, NULL, 0);
	watching_run(&s, 6);
	h.principal = 0;
	u = counted(1, 2, 30, 30, 0);
	put(PLANE, 100, &u);
	watching_take(&s);
	watching_run(&s, 4);
	CU_ASSERT(s.whole && s.member_count == 0);
	CU_ASSERT(s.done.flags == 0);
	watching_free(&s);
	// With another id's beginning the same sender is open: shown, and counted beside them.
	u = harness_update(60, 1, 20, 20, 0);
	put(PLANE, 500, &u);
	ask(ALICE, PLANE, q, 0);
	CU_ASSERT_EQUAL(a.count, 1);
	ask(ALICE, PLANE, q, 64);
	CU_ASSERT(a.count == 2 && a.cells[0].count + a.cells[1].count == 9);
	harness_stop(&h);
}

// On Earth, at a corner of two frames too: cells are those that any asker is told of.
static void on_earth(void)
{
	struct pe_wire_query q = harness_sphere(60.17, 24.94, 0, 3000);
	double centre[3];

	start();
	put_many(EARTH, 1, 6, 5, 60.17, 24.94);
	put_many(EARTH, 11, 6, 5, 45.0001, 44.9999);
	put_many(EARTH, 21, 2, 2, 60.18, 24.94);
	ask(ALICE, EARTH, q, 64);
	CU_ASSERT_EQUAL_FATAL(a.count, 2);
	unsigned at = a.cells[0].count ? 0 : 1;
	CU_ASSERT(tells(&a.cells[at], 6) && few(&a.cells[1 - at], 1));
	memcpy(centre, a.cells[at].centre, sizeof centre);
	for (double r = 1; r < 100; r *= 4) {
		q = harness_sphere(60.17, 24.94, 0, r);
		ask(ALICE, EARTH, q, 8);
		CU_ASSERT(a.count >= 1);
		at = memcmp(a.cells[0].centre, centre, sizeof centre) ? 1 : 0;
		CU_ASSERT(tells(&a.cells[at], 6));
	}
	q = harness_sphere(45, 45, 0, 2000);
	ask(ALICE, EARTH, q, 64);
	uint32_t all = 0;
	for (unsigned i = 0; i < a.count; i++)
		all += a.cells[i].count + a.cells[i].below_cells;
	CU_ASSERT(all == 6 || a.count > 1);
	harness_stop(&h);
}

static void refused(void)
{
	struct pe_views v = {0};
	struct pe_error error;
	struct pe_policy p = policies[0];
	const struct pe_views_config c = {.policies = &p, .policy_count = 1};

	p.counts_below = 2; // fewer than 2 is 1
	CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_INVALID);
	p.counts_below = 65;
	CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_INVALID);
	p.counts_below = 64;
	CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_OK);
	CU_ASSERT_EQUAL(pe_views_sees(&v, NULL, 0, ALICE, 0) >> PE_AUDIENCE_POLICY & 1, 0);
	CU_ASSERT_EQUAL(pe_views_counts(&v, NULL, 0, ALICE, 0), 1u << PE_AUDIENCE_POLICY);
	CU_ASSERT_EQUAL(pe_views_counts(&v, NULL, 0, BOB, 0), 0);
	pe_views_unmake(&v);
	p.counts_cell_m = 0;
	CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_INVALID);
	p.counts_cell_m = NAN;
	CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_INVALID);
}

TESTING_MAIN("engine/counted", {"whole cells", whole_cells}, {"who counts", who_counts},
	{"beside open ones", beside_open_ones}, {"nothing else", nothing_else},
	{"on earth", on_earth}, {"refused", refused})
