// Areas: positions on their edges, across the antimeridian and at the poles; boxes about volumes,
// which hold all of them, by tables and by random points of random volumes.
#include "policy/area.h"
#include "testing.h"

#include <math.h>
#include <string.h>

#define SEED 20260711u

static struct pe_space plane, earth;

static void prepare(void)
{
	const struct pe_space_config configs[2] = {
		{.id = {1}, .kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 1024},
		{.id = {2},
			.kind = PE_SPACE_GEODETIC,
			.leaf_edge_m = 64,
			.leaf_height_m = 1024,
			.worldwide = true},
	};
	struct pe_error error;

	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&plane, &configs[0], 0, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&earth, &configs[1], 1, &error), PE_OK);
}

static void positions(void)
{
	static const struct {
		struct pe_area area;
		bool geodetic;
		double position[3];
		bool holds;
	} rows[] = {
		{{0}, false, {1e9, -1e9, 5}, true},
		{{2, {0, 0}, {10, 10}}, false, {0, 10, 1e9}, true},
		{{2, {0, 0}, {10, 10}}, false, {-1e-9, 5, 0}, false},
		{{2, {0, 0}, {10, 10}}, false, {5, 10.0000001, 0}, false},
		{{3, {0, 0, -1}, {10, 10, 1}}, false, {5, 5, 1}, true},
		{{3, {0, 0, -1}, {10, 10, 1}}, false, {5, 5, 1.001}, false},
		// A range that is inverted holds nothing where nothing turns.
		{{2, {0, 10}, {10, -10}}, false, {5, 0, 0}, false},
		{{2, {0, 10}, {10, -10}}, false, {5, 20, 0}, false},
		{{2, {59, 23}, {61, 26}}, true, {60, 24, 1e6}, true},
		{{2, {59, 23}, {61, 26}}, true, {60, 22.999, 0}, false},
		{{2, {59, 23}, {61, 26}}, true, {61.001, 24, 0}, false},
		{{2, {-20, 170}, {-10, -170}}, true, {-15, 180, 0}, true},
		{{2, {-20, 170}, {-10, -170}}, true, {-15, -180, 0}, true},
		{{2, {-20, 170}, {-10, -170}}, true, {-15, 170, 0}, true},
		{{2, {-20, 170}, {-10, -170}}, true, {-15, -170, 0}, true},
		{{2, {-20, 170}, {-10, -170}}, true, {-15, 0, 0}, false},
		{{2, {-20, 170}, {-10, -170}}, true, {-15, 169.99, 0}, false},
		{{2, {-20, 170}, {-10, 180}}, true, {-15, -180, 0}, true},
		{{2, {-20, -180}, {-10, -170}}, true, {-15, 180, 0}, true},
		{{2, {-90, -180}, {90, 180}}, true, {12, 34, 0}, true},
		{{2, {80, 10}, {90, 20}}, true, {90, -120, 0}, true},
		{{2, {80, 10}, {90, 20}}, true, {89.999, -120, 0}, false},
		{{3, {80, 10, 0}, {90, 20, 5}}, true, {90, -120, 6}, false},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
		CU_ASSERT_EQUAL(pe_area_holds(&rows[i].area, rows[i].geodetic, rows[i].position),
			rows[i].holds);
}

static bool lies_in(const struct pe_area *area, const struct pe_space *space,
	const struct pe_wire_query *q, double margin_m)
{
	struct pe_bounds b;

	pe_area_bounds(space, q, NULL, margin_m, 10, &b);
	return pe_area_holds_bounds(area, space == &earth, &b);
}

static void volumes(void)
{
	const struct pe_area box = {2, {0, 0}, {100, 100}}, flat = {3, {0, 0, 0}, {100, 100, 10}};
	const struct pe_area pacific = {2, {-20, 170}, {-10, -170}},
			     cap = {2, {80, -180}, {90, 180}};
	const struct pe_area quarter = {2, {80, 0}, {90, 90}}, everywhere = {0};
	struct pe_wire_query q = {.kind = PE_QUERY_SPHERE, .a = {50, 50, 5}, .b = {50}};

	prepare();
	CU_ASSERT(lies_in(&everywhere, &plane, &q, 0));
	CU_ASSERT(lies_in(&box, &plane, &q, 0));
	CU_ASSERT(!lies_in(&box, &plane, &q, 0.01));
	CU_ASSERT(!lies_in(&flat, &plane, &q, 0));
	q.flags = PE_QUERY_HEIGHT_RANGE;
	q.height_max = 10;
	CU_ASSERT(lies_in(&flat, &plane, &q, 0));
	q.height_max = 10.5f;
	CU_ASSERT(!lies_in(&flat, &plane, &q, 0));
	q = (struct pe_wire_query){.kind = PE_QUERY_BOX, .b = {100, 100, 10}};
	CU_ASSERT(lies_in(&flat, &plane, &q, 0));
	q.b[1] = 100.1;
	CU_ASSERT(!lies_in(&flat, &plane, &q, 0));
	q = (struct pe_wire_query){.kind = PE_QUERY_POINT, .a = {10, 10, 0}};
	CU_ASSERT(lies_in(&box, &plane, &q, 0)); // as far as a precision may reach
	q.a[0] = 9.99;
	CU_ASSERT(!lies_in(&box, &plane, &q, 0));
	q = (struct pe_wire_query){.kind = PE_QUERY_NEAREST, .a = {50, 50, 0}, .max_results = 1};
	CU_ASSERT(!lies_in(&box, &plane, &q, 0)); // it may find anyone
	CU_ASSERT(lies_in(&everywhere, &plane, &q, 0));
	q.b[0] = 50;
	CU_ASSERT(lies_in(&box, &plane, &q, 0));
	// On Earth.
	q = (struct pe_wire_query){.kind = PE_QUERY_SPHERE, .a = {-15, 180, 0}, .b = {500000}};
	CU_ASSERT(lies_in(&pacific, &earth, &q, 0));
	q.b[0] = 600000;
	CU_ASSERT(!lies_in(&pacific, &earth, &q, 0));
	q.a[1] = -179;
	q.b[0] = 1000;
	CU_ASSERT(lies_in(&pacific, &earth, &q, 0));
	q.a[1] = 0;
	CU_ASSERT(!lies_in(&pacific, &earth, &q, 0));
	q = (struct pe_wire_query){.kind = PE_QUERY_SPHERE, .a = {89, 10, 0}, .b = {500000}};
	CU_ASSERT(lies_in(&cap, &earth, &q, 0)); // over the pole
	CU_ASSERT(!lies_in(&quarter, &earth, &q, 0));
	q.b[0] = 1100000;
	CU_ASSERT(!lies_in(&cap, &earth, &q, 0));
	q = (struct pe_wire_query){.kind = PE_QUERY_BOX, .a = {-20, 170, 0}, .b = {-10, -170, 0}};
	CU_ASSERT(lies_in(&pacific, &earth, &q, 0));
	CU_ASSERT(!lies_in(&pacific, &earth, &q, 100));
	q.a[1] = -170; // the other way around the Earth
	q.b[1] = 170;
	CU_ASSERT(!lies_in(&pacific, &earth, &q, 0));
	q = (struct pe_wire_query){.kind = PE_QUERY_BOX, .a = {-18, 172, 0}, .b = {-12, -172, 0}};
	CU_ASSERT(lies_in(&pacific, &earth, &q, 50000));
}

static double between(uint64_t *state, double low, double high)
{
	return low + (high - low) * ((double)(testing_random(state) >> 11) * 0x1p-53);
}

// Random spheres on Earth, and random points in them: where the area is said to hold the sphere, it
// holds each.
static void spheres_hold_their_points(void)
{
	uint64_t state = SEED, within = 0, points = 0;
	const uint64_t rounds = testing_amount(20000);

	prepare();
	printf("seed %u ", SEED);
	for (uint64_t i = 0; i < rounds; i++) {
		double size = pow(10, between(&state, 0, 6.2));
		struct pe_wire_query q = {.kind = PE_QUERY_SPHERE,
			.a = {between(&state, -90, 90), between(&state, -180, 180), 0},
			.b = {size}};
		double span = size / 111000 * between(&state, 0.9, 3);
		struct pe_area area = {
			2, {q.a[0] - span, q.a[1] - span * 2}, {q.a[0] + span, q.a[1] + span * 2}};
		bool held;

		for (unsigned k = 0; k < 2; k++) {
			area.low[1] += area.low[1] < -180 ? 360 : 0;
			area.high[1] -= area.high[1] > 180 ? 360 : 0;
		}
		if (span * 4 >= 360) {
			area.low[1] = -180;
			area.high[1] = 180;
		}
		held = lies_in(&area, &earth, &q, 0);
		within += held;
		for (unsigned k = 0; held && k < 20; k++) {
			double p[3] = {q.a[0] + between(&state, -1, 1) * size / 110000,
				q.a[1] +
					between(&state, -1, 1) * size / 110000 /
						fmax(0.01, cos(q.a[0] * M_PI / 180)),
				0};

			p[1] = remainder(p[1], 360);
			if (fabs(p[0]) > 90 || pe_space_distance(&earth, q.a, p, false) > size)
				continue;
			points++;
			CU_ASSERT(pe_area_holds(&area, true, p));
		}
	}
	printf("%llu of %llu within, %llu points ", (unsigned long long)within,
		(unsigned long long)rounds, (unsigned long long)points);
	CU_ASSERT(within > rounds / 10 && within < rounds * 9 / 10);
	CU_ASSERT(points > rounds);
}

TESTING_MAIN("policy: area", {"positions", positions}, {"volumes", volumes},
	{"spheres hold their points", spheres_hold_their_points})
