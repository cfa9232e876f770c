// The index of standing volumes: what sits where, edges to the millimetre, tables that are full,
// and that removal leaves nothing.
#include "base/limits.h"
#include "discover/fence.h"
#include "testing.h"

#include <math.h>
#include <string.h>

static struct pe_space space;
static struct pe_fence_index *fences;
static struct pe_fence_hit hits[4096];
static uint64_t state = 42;

static double uniform(double lo, double hi)
{
	return lo + (hi - lo) * ((double)(testing_random(&state) >> 11) * 0x1p-53);
}

static void begin(
	bool geodetic, uint32_t count, uint32_t placements, uint32_t cells, uint32_t stack)
{
	struct pe_space_config config = {.kind = geodetic ? PE_SPACE_GEODETIC : PE_SPACE_CARTESIAN,
		.leaf_edge_m = 64,
		.leaf_height_m = geodetic ? 1024 : 64,
		.worldwide = geodetic};
	struct pe_fence_config sizes = {.fence_count_max = count,
		.placement_count_max = placements,
		.fence_cells_max = cells,
		.stack_max = stack};
	struct pe_error error;

	if (pe_space_prepare(&space, &config, 63, &error) != PE_OK ||
		pe_fence_create(&sizes, &fences, &error) != PE_OK) {
		printf("%s\n", error.text);
		abort();
	}
	CU_ASSERT(pe_fence_plan(&sizes).hits_max <= sizeof hits / sizeof hits[0]);
}

static struct pe_fence_volume sphere(double x, double y, double z, double radius_m, double margin_m)
{
	return (struct pe_fence_volume){.kind = PE_FENCE_SPHERE,
		.a = {x, y, z},
		.radius_m = radius_m,
		.margin_m = margin_m,
		.height_min = -INFINITY,
		.height_max = INFINITY};
}

static uint32_t add(const struct pe_fence_volume *volume, enum pe_status wanted)
{
	uint32_t fence;

	CU_ASSERT_EQUAL(pe_fence_add(fences, &space, volume, 77, &fence), wanted);
	CU_ASSERT_EQUAL(fence == PE_FENCE_NONE, wanted != PE_OK);
	return fence;
}

static unsigned look(const double position[3])
{
	struct pe_fence_seek seek;
	struct pe_place at;

	if (pe_space_locate(&space, position, &at) != PE_REASON_none)
		abort();
	seek.key = at.key;
	pe_fence_seek(fences, &seek, 1);
	return pe_fence_look(fences, &seek, at.word, position, hits, NULL);
}

static uint32_t levels(uint64_t key)
{
	struct pe_fence_seek seek = {.key = key};

	pe_fence_seek(fences, &seek, 1);
	return seek.levels;
}

// What one fence says of a position: 0 outside, 1 margin, 2 inside.
static unsigned side(uint32_t fence, double x, double y, double z)
{
	double position[3] = {x, y, z};
	unsigned count = look(position);

	for (unsigned i = 0; i < count; i++)
		if (hits[i].fence == fence)
			return hits[i].side;
	return PE_FENCE_OUTSIDE;
}

// A position in a direction from c at nearly the distance, by scaling the way there.
static void position_at(const double c[2], double angle, double distance_m, double p[3])
{
	const double centre[3] = {c[0], c[1], 0};
	double reach = distance_m / 111000.0;

	for (unsigned round = 0; round < 4; round++) {
		p[0] = c[0] + reach * cos(angle);
		p[1] = remainder(
			c[1] + reach * sin(angle) / fmax(cos(c[0] * M_PI / 180), 1e-3), 360);
		p[2] = 0;
		if (fabs(p[0]) > 90) {
			p[0] = copysign(180, p[0]) - p[0];
			p[1] = remainder(p[1] + 180, 360);
		}
		reach *= distance_m / pe_space_distance(&space, centre, p, false);
	}
}

// On either side of a sphere's two edges, on Earth, where frames meet too.
static void test_edges(void)
{
	const double places[][2] = {
		{52, 13}, {0, 180}, {90, 0}, {35.2644, 45}, {0, 45}, {-60, -170}};
	unsigned sides[3] = {0}, close = 0;

	begin(true, 16, 16 * 256, 256, 16);
	for (uint64_t n = 0; n < testing_amount(3000); n++) {
		const double *c = places[n % 6];
		double radius = pow(10.0, uniform(1, 5));
		double margin = floor(radius * uniform(0, 0.2) * 1024) / 1024;
		struct pe_fence_volume v;

		margin = (double)(float)margin; // as an index holds it
		v = sphere(c[0], c[1], 0, radius, margin);
		uint32_t fence = add(&v, PE_OK);

		for (unsigned k = 0; k < 10; k++) {
			double edge = k & 1 ? radius : radius + margin, p[3], distance;
			unsigned wanted, found;

			position_at(c, uniform(0, 2 * M_PI), edge + uniform(-0.01, 0.01), p);
			distance = pe_space_distance(&space, v.a, p, false);
			wanted = distance <= radius         ? PE_FENCE_INSIDE :
				distance <= radius + margin ? PE_FENCE_MARGIN :
							      PE_FENCE_OUTSIDE;
			found = side(fence, p[0], p[1], p[2]);
			sides[found]++;
			close += fabs(distance - edge) < 0.01;
			if (found != wanted) {
				printf("\n  %g %g radius %.3f margin %.3f: at %.6f m %u and not %u",
					c[0], c[1], radius, margin, distance, found, wanted);
				CU_FAIL("another side of an edge");
				return;
			}
		}
		pe_fence_remove(fences, fence);
	}
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(sides[i] > testing_amount(3000));
	CU_ASSERT(close > testing_amount(3000) * 5);
	pe_fence_destroy(fences);
}

// Large volumes are held by few cells; what is within is found without a test, near the edge with
// one.
static void test_cells(void)
{
	struct pe_fence_volume large = sphere(48, 12, 0, 1900000, 1000), box;
	struct pe_fence_use use;
	uint32_t fence, other;

	begin(true, 4, 4 * 128, 128, 4);
	fence = add(&large, PE_OK);
	use = pe_fence_use(fences);
	CU_ASSERT(use.placements <= 128 && use.placements == pe_fence_cells(fences, fence));
	CU_ASSERT(use.whole > 0);
	CU_ASSERT_EQUAL(use.level[0], 0);
	CU_ASSERT_EQUAL(side(fence, 48, 12, 0), PE_FENCE_INSIDE);
	CU_ASSERT_EQUAL(side(fence, 60, 20, 9000), PE_FENCE_INSIDE);
	CU_ASSERT_EQUAL(side(fence, 48, 42, 0), PE_FENCE_OUTSIDE);
	CU_ASSERT_EQUAL(side(fence, -48, -168, 0), PE_FENCE_OUTSIDE);
	pe_fence_destroy(fences);

	begin(false, 4, 4 * 1024, 1024, 4);
	box = (struct pe_fence_volume){.kind = PE_FENCE_BOX,
		.a = {-512, -512, -64},
		.b = {512, 512, 64},
		.height_min = -INFINITY,
		.height_max = INFINITY};
	fence = add(&box, PE_OK);
	use = pe_fence_use(fences);
	// Eight nodes of 512 m are whole but for the faces that lie on the next cells.
	CU_ASSERT_EQUAL(use.level[1], 8);
	CU_ASSERT_EQUAL(use.whole, 8);
	CU_ASSERT_EQUAL(side(fence, -512, -512, -64), PE_FENCE_INSIDE);
	CU_ASSERT_EQUAL(side(fence, 511, 511, 63), PE_FENCE_INSIDE);
	CU_ASSERT_EQUAL(side(fence, 512, 0, 0), PE_FENCE_INSIDE);
	CU_ASSERT_EQUAL(side(fence, 512.001, 0, 0), PE_FENCE_OUTSIDE);
	CU_ASSERT_EQUAL(side(fence, 0, 0, 64.001), PE_FENCE_OUTSIDE);
	// A range of heights is looked at on whole cells too, and has the margin.
	box.height_min = -10;
	box.height_max = 10;
	box.margin_m = 5;
	other = add(&box, PE_OK);
	CU_ASSERT(pe_fence_use(fences).whole > 8);
	CU_ASSERT_EQUAL(side(other, 0, 0, 10), PE_FENCE_INSIDE);
	CU_ASSERT_EQUAL(side(other, 0, 0, 15), PE_FENCE_MARGIN);
	CU_ASSERT_EQUAL(side(other, 0, 0, 15.1), PE_FENCE_OUTSIDE);
	CU_ASSERT_EQUAL(side(other, 517, 517, 0), PE_FENCE_MARGIN);
	CU_ASSERT_EQUAL(pe_fence_id(fences, other), 77);
	pe_fence_destroy(fences);
}

// A place's fences are found on all levels at once, and only there.
static void test_levels(void)
{
	const double here[3] = {10, 20, 30}, there[3] = {-90000, 20, 30};
	struct pe_place at;

	begin(false, 16, 16 * 64, 64, 16);
	CU_ASSERT_EQUAL(look(here), 0);
	for (unsigned i = 0; i < 16; i++) {
		struct pe_fence_volume v = sphere(0, 0, 0, 50.0 * pow(2.0, i), 0);

		add(&v, PE_OK);
	}
	CU_ASSERT_EQUAL(look(here), 16);
	CU_ASSERT_EQUAL(look(there), 5); // of 102,400 m and more
	for (uint32_t i = 0; i < 16; i++)
		pe_fence_remove(fences, i);
	CU_ASSERT_EQUAL(look(here), 0);
	CU_ASSERT_EQUAL(pe_space_locate(&space, here, &at), PE_REASON_none);
	CU_ASSERT_EQUAL(levels(at.key), 0);
	pe_fence_destroy(fences);
}

static void test_full(void)
{
	struct pe_fence_volume v = sphere(10, 10, 10, 20, 0), w = sphere(5000, 10, 10, 3000, 0);
	uint32_t fence[8], last;
	struct pe_fence_use before, after;
	const double p[3] = {10, 10, 10};

	begin(false, 8, 64, 64, 3); // room for fences, not for cells
	for (unsigned i = 0; i < 3; i++)
		fence[i] = add(&v, PE_OK);
	before = pe_fence_use(fences);
	add(&v, PE_FULL); // the stack
	add(&w, PE_FULL); // the cells
	after = pe_fence_use(fences);
	CU_ASSERT_EQUAL(after.refused, 2);
	CU_ASSERT_EQUAL(after.fences, before.fences);
	CU_ASSERT_EQUAL(after.placements, before.placements);
	CU_ASSERT_EQUAL(look(p), 3);
	pe_fence_remove(fences, fence[1]);
	last = add(&v, PE_OK);
	CU_ASSERT_EQUAL(last, fence[1]);
	for (unsigned i = 0; i < 3; i++)
		pe_fence_remove(fences, fence[i]);
	add(&w, PE_OK);
	pe_fence_destroy(fences);

	begin(false, 2, 1000, 64, 3);
	add(&v, PE_OK);
	add(&v, PE_OK);
	add(&v, PE_FULL); // the fences
	pe_fence_destroy(fences);
}

static void test_refused(void)
{
	struct pe_fence_config config = {.fence_count_max = 1,
		.placement_count_max = 1,
		.fence_cells_max = 63,
		.stack_max = 1};
	struct pe_fence_volume v = sphere(0, 0, 0, 10, 0);
	struct pe_fence_index *index;
	struct pe_error error;

	CU_ASSERT_EQUAL(pe_fence_plan(&config).total_bytes, 0);
	CU_ASSERT_EQUAL(pe_fence_create(&config, &index, &error), PE_INVALID);
	CU_ASSERT_PTR_NULL(index);
	begin(true, 4, 1000, 64, 3);
	v.a[0] = 91;
	add(&v, PE_INVALID);
	v.a[0] = NAN;
	add(&v, PE_INVALID);
	v = sphere(0, 0, 0, -1, 0);
	add(&v, PE_INVALID);
	v = sphere(0, 0, 0, 1, -1);
	add(&v, PE_INVALID);
	v = sphere(0, 0, 0, 1, NAN);
	add(&v, PE_INVALID);
	v = sphere(0, 0, 0, 1, PE_FENCE_MARGIN_MAX_M * 1.01);
	add(&v, PE_INVALID);
	v = sphere(0, 0, 0, PE_QUERY_RADIUS_MAX_M, 1);
	add(&v, PE_INVALID);
	v = sphere(0, 0, 0, 1, 0);
	v.height_min = 1;
	v.height_max = 0;
	add(&v, PE_INVALID);
	v.height_min = NAN;
	add(&v, PE_INVALID);
	v.kind = (enum pe_fence_kind)9;
	v.height_min = -1;
	add(&v, PE_INVALID);
	CU_ASSERT_EQUAL(pe_fence_use(fences).fences, 0);
	CU_ASSERT_EQUAL(pe_fence_use(fences).placements, 0);
	pe_fence_destroy(fences);
}

// What comes and goes leaves no bit behind and no cell lost, crowded into few blocks.
static void test_comes_and_goes(void)
{
	uint32_t held[64];
	unsigned count = 0;

	begin(false, 64, 4096, 64, 64);
	for (uint64_t n = 0; n < testing_amount(20000); n++) {
		if (count == 64 || (count && testing_random(&state) % 2)) {
			unsigned i = (unsigned)(testing_random(&state) % count);

			pe_fence_remove(fences, held[i]);
			held[i] = held[--count];
		} else {
			struct pe_fence_volume v = sphere(uniform(-1e5, 1e5), uniform(-1e5, 1e5), 0,
				pow(10.0, uniform(0, 4.5)), 0);

			held[count++] = add(&v, PE_OK);
		}
	}
	while (count)
		pe_fence_remove(fences, held[--count]);
	for (unsigned n = 0; n < 20000; n++) {
		const double p[3] = {uniform(-1e5, 1e5), uniform(-1e5, 1e5), 0};
		struct pe_place at;

		if (pe_space_locate(&space, p, &at) != PE_REASON_none)
			abort();
		if (levels(at.key)) {
			CU_FAIL("something is left");
			break;
		}
	}
	struct pe_fence_volume all = sphere(0, 0, 0, 1e6, 0);

	for (unsigned i = 0; i < 64; i++)
		add(&all, PE_OK);
	CU_ASSERT_EQUAL(pe_fence_use(fences).fences, 64);
	pe_fence_destroy(fences);
}

TESTING_MAIN("standing volumes", {"edges", test_edges}, {"cells", test_cells},
	{"levels", test_levels}, {"no room", test_full}, {"refused", test_refused},
	{"come and go", test_comes_and_goes})
