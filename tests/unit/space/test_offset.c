// Places so many metres from another one: as far as asked, in the direction that was asked for,
// anywhere on Earth.
#include "space/offset.h"
#include "testing.h"

#include <math.h>
#include <string.h>

static struct pe_space earth, plane;

static void prepare(void)
{
	struct pe_space_config c = {.kind = PE_SPACE_GEODETIC,
		.worldwide = true,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024};
	struct pe_error error;

	memset(c.id, 1, sizeof c.id);
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&earth, &c, 0, &error), PE_OK);
	c.kind = PE_SPACE_CARTESIAN;
	c.worldwide = false;
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&plane, &c, 1, &error), PE_OK);
}

static double uniform(uint64_t *random, double from, double to)
{
	return from + (to - from) * (double)(testing_random(random) >> 11) * 0x1p-53;
}

static void distances(void)
{
	uint64_t random = 20;

	prepare();
	for (unsigned i = 0; i < testing_amount(20000); i++) {
		double from[3] = {uniform(&random, -90, 90), uniform(&random, -180, 180),
			uniform(&random, -1000, 10000)};
		double m[3], to[3], back[3], length;

		for (unsigned k = 0; k < 3; k++)
			m[k] = uniform(&random, -50000, 50000);
		length = sqrt(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]);
		CU_ASSERT_FATAL(pe_space_offset(&earth, from, m, to));
		CU_ASSERT(to[0] >= -90 && to[0] <= 90 && to[1] >= -180 && to[1] <= 180);
		CU_ASSERT(fabs(pe_space_distance(&earth, from, to, true) - length) <
			1e-6 * length + 1e-6);
		// Nothing leads nowhere, and up is up.
		CU_ASSERT(pe_space_offset(&earth, from, (double[3]){0, 0, 0}, back));
		CU_ASSERT(pe_space_distance(&earth, from, back, true) < 1e-6);
		CU_ASSERT(pe_space_offset(&earth, from, (double[3]){0, 0, 1000}, back));
		CU_ASSERT(fabs(back[2] - from[2] - 1000) < 1e-6 && fabs(back[0] - from[0]) < 1e-9);
		// North is towards higher latitudes and east towards higher longitudes.
		if (fabs(from[0]) < 89) {
			CU_ASSERT(pe_space_offset(&earth, from, (double[3]){0, 100, 0}, back));
			CU_ASSERT(back[0] > from[0]);
			CU_ASSERT(pe_space_offset(&earth, from, (double[3]){100, 0, 0}, back));
			CU_ASSERT(back[1] > from[1] || from[1] > 179);
		}
	}
}

static void edges(void)
{
	double to[3];

	prepare();
	for (int pole = -1; pole <= 1; pole += 2) {
		CU_ASSERT(pe_space_offset(&earth, (double[3]){90.0 * pole, 30, 5},
			(double[3]){0, -1000.0 * pole, 0}, to));
		CU_ASSERT(fabs(fabs(to[0]) - (90 - 1000 / 111694.0)) < 1e-4);
	}
	CU_ASSERT(!pe_space_offset(&earth, (double[3]){0}, (double[3]){100001, 0, 0}, to));
	CU_ASSERT(!pe_space_offset(&earth, (double[3]){0}, (double[3]){NAN, 0, 0}, to));
	CU_ASSERT(pe_space_offset(&plane, (double[3]){1, 2, 3}, (double[3]){1e9, 0, -1}, to));
	CU_ASSERT(to[0] == 1e9 + 1 && to[1] == 2 && to[2] == 2);
	CU_ASSERT(!pe_space_offset(&plane, (double[3]){1, 2, 3}, (double[3]){INFINITY, 0, 0}, to));
}

TESTING_MAIN("space: offset", {"distances", distances}, {"edges", edges})
