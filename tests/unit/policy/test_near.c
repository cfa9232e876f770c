// What is near: whoever is within the reach, nobody much further, whole cells, and the same for all
// of a cell. Random pairs of places, on a plane and all over the Earth, where frames meet too.
#include "policy/near.h"
#include "testing.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define PAIRS 60000u

static struct pe_space plane, earth, town;
static uint64_t state;

static double unit(void)
{
	return (double)(testing_random(&state) >> 11) * 0x1p-53;
}

static void prepare(void)
{
	const struct pe_space_config configs[3] = {
		{.id = {1}, .kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 1024},
		{.id = {2},
			.kind = PE_SPACE_GEODETIC,
			.leaf_edge_m = 64,
			.leaf_height_m = 1024,
			.worldwide = true},
		{.id = {3},
			.kind = PE_SPACE_GEODETIC,
			.leaf_edge_m = 16,
			.leaf_height_m = 64,
			.home = {60, 25},
			.extent_m = 100000},
	};
	const char *text = getenv("PE_TEST_SEED");
	struct pe_error error;

	state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("\n    seed %" PRIu64 " ", state);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&plane, &configs[0], 0, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&earth, &configs[1], 1, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&town, &configs[2], 2, &error), PE_OK);
}

// Another place about so far away: along a frame's axes on the plane, by degrees on Earth.
static void beside(const struct pe_space *space, const double p[3], double far_m, double q[3])
{
	double turn = 6.283185307179586 * unit(), d = far_m * unit();

	memcpy(q, p, 3 * sizeof *q);
	if (space->config.kind == PE_SPACE_CARTESIAN) {
		q[0] += d * cos(turn);
		q[1] += d * sin(turn);
		q[2] += (unit() - 0.5) * far_m;
		return;
	}
	q[0] += d * cos(turn) / 111000;
	q[1] += d * sin(turn) / 111000 / fmax(cos(p[0] * 0.017453292519943295), 0.001);
	q[0] = fmin(fmax(q[0], -90), 90);
	q[1] = q[1] > 180 ? q[1] - 360 : q[1] < -180 ? q[1] + 360 : q[1];
}

static void place(const struct pe_space *space, double p[3])
{
	p[2] = 0;
	if (space == &plane) {
		p[0] = (unit() - 0.5) * 2e5;
		p[1] = (unit() - 0.5) * 2e5;
		p[2] = (unit() - 0.5) * 5000;
	} else if (space == &town) {
		p[0] = 60 + (unit() - 0.5) * 0.5;
		p[1] = 25 + (unit() - 0.5) * 0.5;
	} else {
		p[0] = asin(2 * unit() - 1) / 0.017453292519943295;
		p[1] = (unit() - 0.5) * 360;
		if (unit() < 0.3) // about the seams of frames
			p[1] = 45 + 90 * (double)(testing_random(&state) % 4) - 180 +
				(unit() - 0.5) * 0.02;
	}
}

static void near_and_far(void)
{
	const struct pe_space *spaces[3] = {&plane, &earth, &town};
	uint64_t near = 0, within = 0, other_frames = 0;

	prepare();
	for (uint64_t i = 0, n = testing_amount(PAIRS); i < n; i++) {
		const struct pe_space *s = spaces[i % 3];
		double edge_m = s->config.leaf_edge_m;
		double reach_m = 1 + unit() * unit() * (PE_NEAR_EDGES_MAX * edge_m - 1);
		double p[3], q[3], d;
		struct pe_place at, by;
		bool holds;

		place(s, p);
		beside(s, p, 3 * reach_m, q);
		if (pe_space_locate(s, p, &at) || pe_space_locate(s, q, &by))
			continue;
		d = pe_space_distance(s, p, q, false);
		holds = pe_near_holds(s, pe_near_place(s, p), reach_m, q);
		near += holds;
		within += d <= reach_m;
		other_frames += holds && PE_KEY_FRAME(at.key) != PE_KEY_FRAME(by.key);
		if (d <= reach_m)
			CU_ASSERT(holds);
		if (holds && s == &plane) {
			CU_ASSERT(hypot(p[0] - q[0], p[1] - q[1]) <= 1.5 * reach_m + 3 * edge_m);
			CU_ASSERT(fabs(p[2] - q[2]) <= reach_m + 2 * s->config.leaf_height_m);
		} else if (holds && s == &town) { // near its frame's home
			CU_ASSERT(d <= 1.5 * reach_m + 3.5 * edge_m);
		} else if (holds) {
			CU_ASSERT(d <= 2.5 * (reach_m + 3 * edge_m));
		}
	}
	printf("%" PRIu64 " near, %" PRIu64 " of them within, %" PRIu64 " in another frame ", near,
		within, other_frames);
	CU_ASSERT(near > within && within > 1000 && other_frames > 0);
}

// Everything in a cell is near, or nothing of it: what is near is the cells of the boxes.
static void whole_cells(void)
{
	const struct pe_space *spaces[3] = {&plane, &earth, &town};

	prepare();
	for (unsigned i = 0; i < 3000; i++) {
		const struct pe_space *s = spaces[i % 3];
		double reach_m = 1 + unit() * 5 * s->config.leaf_edge_m;
		struct pe_region boxes[PE_FRAMES_MAX];
		double p[3], q[3];
		struct pe_place at;
		struct pe_units u;
		unsigned count, inside = 0;
		uint64_t place_of;

		place(s, p);
		place_of = pe_near_place(s, p);
		beside(s, p, 2 * reach_m, q);
		if (place_of == PE_NEAR_NOWHERE || pe_space_locate(s, q, &at))
			continue;
		count = pe_near_boxes(s, place_of, reach_m, boxes);
		CU_ASSERT(count >= 1);
		u = pe_place_units(at.key, at.word);
		for (unsigned b = 0; b < count; b++) {
			bool in = boxes[b].frame == u.frame;

			for (unsigned k = 0; k < 3; k++) {
				CU_ASSERT_EQUAL(boxes[b].lo[k] & ((1 << PE_CELL_BITS) - 1), 0);
				CU_ASSERT_EQUAL(
					(boxes[b].hi[k] + 1) & ((1 << PE_CELL_BITS) - 1), 0);
				in &= boxes[b].lo[k] >> PE_CELL_BITS <= u.v[k] >> PE_CELL_BITS &&
					u.v[k] >> PE_CELL_BITS <= boxes[b].hi[k] >> PE_CELL_BITS;
			}
			inside += in;
		}
		CU_ASSERT_EQUAL(inside != 0, pe_near_holds(s, place_of, reach_m, q));
		CU_ASSERT(inside <= 1);
	}
}

static void places(void)
{
	double p[3] = {10, 20, 0}, q[3] = {63.9, 0.1, 1000}, there[3] = {60.1, 24.9, 0},
	       no[3] = {NAN};
	struct pe_region boxes[PE_FRAMES_MAX];

	prepare();
	// A cell's places are one.
	CU_ASSERT_EQUAL(pe_near_place(&plane, p), pe_near_place(&plane, q));
	q[0] = 64.1;
	CU_ASSERT_NOT_EQUAL(pe_near_place(&plane, p), pe_near_place(&plane, q));
	CU_ASSERT_NOT_EQUAL(pe_near_place(&plane, p), PE_NEAR_NOWHERE);
	CU_ASSERT_NOT_EQUAL(pe_near_place(&earth, there), PE_NEAR_NOWHERE);
	// Nobody stands nowhere, and nothing is near him.
	CU_ASSERT_EQUAL(pe_near_place(&plane, no), PE_NEAR_NOWHERE);
	CU_ASSERT_EQUAL(pe_near_place(&earth, no), PE_NEAR_NOWHERE);
	CU_ASSERT_EQUAL(pe_near_boxes(&plane, PE_NEAR_NOWHERE, 100, boxes), 0);
	CU_ASSERT(!pe_near_holds(&plane, PE_NEAR_NOWHERE, 100, p));
	CU_ASSERT(pe_near_holds(&plane, PE_NEAR_EVERYWHERE, 1, p));
	CU_ASSERT(pe_near_holds(&earth, PE_NEAR_EVERYWHERE, 1, there));
	// Poles and the antimeridian.
	for (unsigned i = 0; i < 3; i++) {
		double a[3] = {i == 2 ? 0 : i ? 90 : -90, i == 2 ? 180 : 0, 0};
		double b[3] = {i == 2 ? 0 : i ? 89.9995 : -89.9995, i == 2 ? -179.9995 : 120, 0};

		CU_ASSERT(pe_near_holds(&earth, pe_near_place(&earth, a), 60, b));
		CU_ASSERT(pe_near_holds(&earth, pe_near_place(&earth, b), 60, a));
	}
}

TESTING_MAIN("policy/near", {"near and far", near_and_far}, {"whole cells", whole_cells},
	{"places", places})
