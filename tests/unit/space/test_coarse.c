// Rounded places: a grid that does not depend on what is in it, whose middles stay where they are;
// how far apart a place and its middle are; and what cannot be told apart afterwards.
#include "space/coarse.h"
#include "space_testing.h"

static struct pe_space earth, plane;

static void prepare(void)
{
	struct pe_space_config c = {.name = "earth", .kind = PE_SPACE_GEODETIC, .worldwide = true};
	struct pe_error error;

	c.leaf_edge_m = 64;
	c.leaf_height_m = 1024;
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&earth, &c, 0, &error), PE_OK);
	c.kind = PE_SPACE_CARTESIAN;
	c.worldwide = false;
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&plane, &c, 1, &error), PE_OK);
}

static void check(const struct pe_space *s, double resolution_m, const double p[3])
{
	double middle[3], again[3], within_m, same_m;

	within_m = (double)pe_space_coarse(s, resolution_m, p, true, middle);
	CU_ASSERT(pe_space_distance(s, p, middle, true) <= within_m);
	CU_ASSERT(fabs(p[2] - middle[2]) <= resolution_m * 0.500001 + 1e-9);
	// The middle is its own, and says the same of itself.
	memcpy(again, middle, sizeof again);
	same_m = (double)pe_space_coarse(s, resolution_m, again, true, again);
	CU_ASSERT_EQUAL(same_m, within_m);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(fabs(again[i] - middle[i]) <= 1e-9 * (1 + fabs(middle[i])));
	if (s == &earth)
		CU_ASSERT(fabs(middle[0]) < 90 && fabs(middle[1]) < 180);
	// Half a diagonal of a cube, but where parallels are cut into few parts.
	CU_ASSERT(within_m >= resolution_m * 0.86);
	CU_ASSERT(within_m <= resolution_m * (s == &earth ? 1.12 : 0.88));
}

static void places(void)
{
	static const double awkward[][3] = {{90, 0, 0}, {-90, 180, 0}, {90, -180, 5}, {0, 0, 0},
		{0, 180, -0.0}, {0, -180, 0}, {-89.9999, 12, 9}, {52, 179.9999999, 1}};

	random_seed("round", 31);
	prepare();
	for (unsigned i = 0; i < testing_amount(20000); i++) {
		double r = random_log(0.01, 100000);
		const double p[3] = {random_between(-90, 90), random_between(-180, 180),
			random_between(-1000, 10000)},
			     q[3] = {random_between(-1e7, 1e7), random_between(-1e7, 1e7),
				     random_between(-1e4, 1e4)};

		check(&earth, r, p);
		check(&earth, r, awkward[i % 8]);
		check(&plane, r, q);
	}
	printf(" ");
}

// All of a cell becomes the same number, bit for bit; and what is in the next one does not.
static void cells(void)
{
	prepare();
	for (unsigned i = 0; i < 1000; i++) {
		double p[3] = {random_between(100.001, 199.999), random_between(-299.999, -200.001),
			random_between(50.001, 149.999)};

		(void)pe_space_coarse(&plane, 100, p, true, p);
		CU_ASSERT(p[0] == 150 && p[1] == -250 && p[2] == 100);
	}
	for (unsigned i = 0; i < 1000; i++) {
		double at[3] = {random_between(-80, 80), random_between(-170, 170), 20}, to[3];

		memcpy(to, at, sizeof to);
		(void)pe_space_coarse(&earth, 100, at, true, at);
		for (unsigned k = 0; k < 2; k++) {
			double near[3] = {at[0], at[1], at[2]};

			// 40 m are less than half a cell, 110 m are more.
			near[k] += 40 / 111694.0;
			(void)pe_space_coarse(&earth, 100, near, true, near);
			CU_ASSERT(memcmp(near, at, sizeof near) == 0);
		}
		to[0] = at[0] + 110 / 110574.0;
		to[1] = at[1];
		to[2] = at[2];
		(void)pe_space_coarse(&earth, 100, to, true, to);
		CU_ASSERT(to[0] > at[0]);
	}
}

static void unknown_height(void)
{
	double p[3] = {48, 2, 0}, q[3] = {48, 2, 700};
	float with_m, without_m;

	prepare();
	without_m = pe_space_coarse(&earth, 1000, p, false, p);
	with_m = pe_space_coarse(&earth, 1000, q, true, q);
	CU_ASSERT(p[2] == 0 && q[2] == 1000);
	CU_ASSERT(without_m < with_m && without_m >= 700);
}

// The middle of a cell that the space ends in is as far as the space goes, and a place of it.
static void extent(void)
{
	double p[3] = {16777215, -16777215, 3}, q[3] = {95, -97, 99}, again[3];
	struct pe_space_config c = {.name = "small",
		.kind = PE_SPACE_CARTESIAN,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024,
		.extent_m = 100};
	struct pe_space small;
	struct pe_error error;
	struct pe_place place;

	prepare();
	(void)pe_space_coarse(&plane, 1000, p, true, p);
	CU_ASSERT(p[0] > 16777215 && p[0] < 16777216 && p[1] < -16777215 && p[1] > -16777216);
	CU_ASSERT_EQUAL(pe_space_locate(&plane, p, &place), PE_REASON_none);
	(void)pe_space_coarse(&plane, 1000, p, true, again);
	CU_ASSERT(memcmp(again, p, sizeof p) == 0);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&small, &c, 0, &error), PE_OK);
	(void)pe_space_coarse(&small, 90, q, true, q);
	CU_ASSERT(q[0] == 100 && q[1] == -100 && q[2] == 90);
	CU_ASSERT_EQUAL(pe_space_locate(&small, q, &place), PE_REASON_none);
}

TESTING_MAIN("space: rounded places", {"places", places}, {"cells", cells},
	{"unknown height", unknown_height}, {"extent", extent})
