// Spheres: what is within the radius lies in the region of its own frame, what lies clearly beyond
// does not, and `sure` and the band never decide wrongly.
#include "space_testing.h"

struct tally {
	unsigned inside, outside, decided, undecided, missed, kept, wrong_sure, wrong_band,
		frames[PE_FRAMES_MAX + 1];
};

static void check(const struct pe_space *s, const double centre[3], double radius,
	const double point[3], const struct pe_region *regions, unsigned count, double band,
	struct tally *t)
{
	double d = pe_space_distance(s, centre, point, false);
	struct pe_place place;

	if (pe_space_locate(s, point, &place) != PE_REASON_none)
		return;
	const struct pe_region *in = region_of(regions, count, &place);

	t->inside += d <= radius;
	t->outside += d > radius;
	t->missed += d <= radius && !in;
	// Beyond the radius by more than two bands (the region's and the point's) nothing is kept.
	t->kept += d > radius + 2.0 * band && in;
	if (!in)
		return;
	double square = pe_region_square(in, place.key, place.word),
	       held = sqrt(square) * s->unit_m;

	if (s->config.kind == PE_SPACE_GEODETIC)
		held = pe_surface_from_chord(s, held, centre[0]);
	t->wrong_sure += square <= in->sure && d > radius;
	t->wrong_band += fabs(held - radius) > band && (held <= radius) != (d <= radius);
	t->decided += square <= in->sure;
	t->undecided += square > in->sure;
}

static void report(const struct tally *t)
{
	printf("\n    %u inside, %u outside, %u missed, %u kept from afar; %u sure (%u wrongly), %u for the geodesic, %u wrong by the "
	       "band\n    ",
		t->inside, t->outside, t->missed, t->kept, t->decided, t->wrong_sure, t->undecided,
		t->wrong_band);
	CU_ASSERT_EQUAL(t->missed, 0);
	CU_ASSERT_EQUAL(t->kept, 0);
	CU_ASSERT_EQUAL(t->wrong_sure, 0);
	CU_ASSERT_EQUAL(t->wrong_band, 0);
	CU_ASSERT(t->inside > 1000 && t->outside > 1000 && t->decided > 1000 && t->undecided > 100);
}

// A surface distance near the edge: within some bands of it, within a thousandth, or anywhere.
static double near_edge(double radius, double band)
{
	switch (random_bits() % 4) {
	case 0:
		return fmax(radius + random_between(-4, 4) * band, 0.0);
	case 1:
		return radius * random_between(0.999, 1.001);
	case 2:
		return radius * random_between(0.0, 1.0);
	default:
		return radius * random_between(0.9, 1.3);
	}
}

static void geodetic(const struct pe_space *s, unsigned centres, struct tally *t)
{
	for (unsigned n = 0; n < centres; n++) {
		double centre[3], band,
			radius = random_bits() % 8 ? random_log(1e-3, 2e6) :
			n & 1                      ? 0.0 :
						     2e6;
		struct pe_region regions[PE_FRAMES_MAX];

		random_place(centre);
		if (s->frame_count == 1)
			geodesic_to((double[]){s->config.home[0], s->config.home[1], 0.0},
				random_between(-180, 180), random_between(0, s->extent_m * 1.1),
				centre);
		CU_ASSERT_EQUAL(pe_space_check_sphere(s, centre, radius), PE_REASON_none);
		unsigned count = pe_space_sphere(s, centre, radius, regions, &band);

		t->frames[count]++;
		for (unsigned i = 0; i < 40; i++) {
			double point[3];

			geodesic_to(
				centre, random_between(-180, 180), near_edge(radius, band), point);
			check(s, centre, radius, point, regions, count, band, t);
		}
	}
}

static void worldwide(void)
{
	struct pe_space s =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct tally t = {0};

	random_seed("worldwide", 0x5EED21);
	geodetic(&s, 30000, &t);
	report(&t);
	printf("frames visited 0–6: %u %u %u %u %u %u %u", t.frames[0], t.frames[1], t.frames[2],
		t.frames[3], t.frames[4], t.frames[5], t.frames[6]);
	CU_ASSERT(t.frames[0] == 0 && t.frames[1] > 100 && t.frames[2] > 100 && t.frames[3] > 100);
}

static void regional(void)
{
	static const double homes[][2] = {
		{52.5, 13.4}, {90, 0}, {-90, 30}, {0, 180}, {-17, -180}, {45, 45}};
	struct tally t = {0};

	random_seed("regional", 0x5EED22);
	for (unsigned h = 0; h < 6; h++) {
		struct pe_space_config c = {.kind = PE_SPACE_GEODETIC,
			.home = {homes[h][0], homes[h][1]},
			.extent_m = 300000};
		struct pe_space s;

		if (h & 1) {
			c.leaf_edge_m = 8;
			c.leaf_height_m = 1024;
		}
		s = prepared(c);
		geodetic(&s, 4000, &t);
	}
	report(&t);
	printf("no region for %u spheres beyond the extent", t.frames[0]);
	CU_ASSERT(t.frames[0] > 0 && t.frames[2] == 0);
}

static void cartesian(void)
{
	static const double edges[][2] = {{64, 1024}, {64, 64}, {3.3, 3.3 * 8}, {0.5, 128}};
	struct tally t = {0};

	random_seed("cartesian", 0x5EED23);
	for (unsigned n = 0; n < 30000; n++) {
		struct pe_space s = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN,
			.leaf_edge_m = edges[n % 4][0],
			.leaf_height_m = edges[n % 4][1]});
		double centre[3], radius = random_log(1e-6, 1e5), band;
		struct pe_region regions[PE_FRAMES_MAX];

		for (unsigned i = 0; i < 3; i++) {
			centre[i] = copysign(random_log(1e-6, 1e4), random_between(-1, 1));
			if (random_bits() % 4 == 0) // on a cell's edge
				centre[i] =
					edges[n % 4][0] * (double)((int)(random_bits() % 9) - 4);
		}
		CU_ASSERT_EQUAL(pe_space_check_sphere(&s, centre, radius), PE_REASON_none);
		unsigned count = pe_space_sphere(&s, centre, radius, regions, &band);

		for (unsigned i = 0; i < 20; i++) {
			double point[3], v[3], length = 0.0, d = near_edge(radius, band);

			for (unsigned k = 0; k < 3; k++) {
				v[k] = random_between(-1, 1) * (random_bits() % 4 != 0);
				length += v[k] * v[k];
			}
			for (unsigned k = 0; k < 3; k++)
				point[k] =
					centre[k] + (length > 0.0 ? v[k] / sqrt(length) * d : 0.0);
			check(&s, centre, radius, point, regions, count, band, &t);
		}
	}
	report(&t);
}

static void bounds(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	struct pe_region regions[PE_FRAMES_MAX];
	struct pe_place place;
	double here[3] = {10, 20, 0}, far[3] = {-2e6, 2e6, 5};

	CU_ASSERT_EQUAL(pe_space_check_sphere(&world, here, 0), PE_REASON_none);
	CU_ASSERT_EQUAL(pe_space_check_sphere(&world, here, 2000000.0), PE_REASON_none);
	CU_ASSERT_EQUAL(pe_space_check_sphere(&world, here, 2000000.1), PE_REASON_query_bounds);
	for (unsigned i = 0; i < 3; i++) {
		double bad[3] = {1, 2, 3};

		bad[i] = NAN;
		CU_ASSERT_EQUAL(pe_space_check_sphere(&world, bad, 1), PE_REASON_query_coordinates);
		CU_ASSERT_EQUAL(pe_space_check_sphere(&flat, bad, 1), PE_REASON_query_coordinates);
		bad[i] = INFINITY;
		CU_ASSERT_EQUAL(pe_space_check_sphere(&world, bad, 1), PE_REASON_query_coordinates);
		CU_ASSERT_EQUAL(pe_space_check_sphere(&flat, bad, 1), PE_REASON_query_coordinates);
	}
	CU_ASSERT_EQUAL(pe_space_check_sphere(&world, (double[]){90.1, 0, 0}, 1),
		PE_REASON_query_coordinates);
	CU_ASSERT_EQUAL(pe_space_check_sphere(&world, (double[]){0, -180.1, 0}, 1),
		PE_REASON_query_coordinates);
	CU_ASSERT_EQUAL(pe_space_check_sphere(&flat, here, -1), PE_REASON_query_coordinates);
	CU_ASSERT_EQUAL(pe_space_check_sphere(&flat, here, NAN), PE_REASON_query_coordinates);
	CU_ASSERT_EQUAL(pe_space_check_sphere(&flat, here, INFINITY), PE_REASON_query_coordinates);
	CU_ASSERT_EQUAL(
		pe_space_check_sphere(&flat, (double[]){0, 2e7, 0}, 1), PE_REASON_query_bounds);
	// Any finite radius is taken on a CARTESIAN space and covers all of it, or what it reaches.
	CU_ASSERT_EQUAL(pe_space_check_sphere(&flat, here, 1e300), PE_REASON_none);
	CU_ASSERT_EQUAL(pe_space_sphere(&flat, here, 1e300, regions, NULL), 1);
	CU_ASSERT_EQUAL(pe_space_locate(&flat, far, &place), PE_REASON_none);
	CU_ASSERT_PTR_NOT_NULL(region_of(regions, 1, &place));
	CU_ASSERT(regions[0].lo[0] == flat.units_lo[0] && regions[0].hi[2] == flat.units_hi[2]);
	CU_ASSERT(pe_region_square(&regions[0], place.key, place.word) <= regions[0].sure);
}

TESTING_MAIN("space-sphere", {"worldwide", worldwide}, {"regional", regional},
	{"cartesian", cartesian}, {"bounds", bounds})
