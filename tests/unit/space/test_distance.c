// Surface distances from the index against PROJ's geodesic, and the band that bounds their error.
#include "space_testing.h"

static struct pe_space world;

static double chord_of(const double p[3], const double q[3])
{
	double a[3], b[3];

	pe_space_frame_metres(&world, 4, p, a);
	pe_space_frame_metres(&world, 4, q, b);
	return sqrt(pow(a[0] - b[0], 2) + pow(a[1] - b[1], 2) + pow(a[2] - b[2], 2));
}

// From slots to metres, as a query does it: 1 mm + 1e-6 of the distance, up to 100 km.
static void held_positions_agree(void)
{
	unsigned bad = 0, pairs = 0, crossing = 0;
	double worst = 0.0;

	world = prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	random_seed("held", 0x5EED01);
	while (pairs < 200000) {
		double p[3], q[3],
			metres = random_bits() & 1 ? random_between(0, 100000) :
						     random_log(1e-3, 1e5);
		struct pe_place a, b;

		random_place(p);
		geodesic_to(p, random_between(-180, 180), metres, q);
		if (pe_space_locate(&world, p, &a) || pe_space_locate(&world, q, &b)) {
			bad++;
			break;
		}
		crossing += fabs(p[1] - q[1]) > 180.0;
		// Distances are taken in the frame of the held one; the centre is turned into it.
		struct pe_units u = pe_place_units(b.key, b.word);
		double centre[3], square = 0.0;

		pe_space_frame_metres(&world, u.frame, p, centre);
		for (unsigned i = 0; i < 3; i++) {
			double at =
				(double)u.v[i] * world.unit_m * (i == 2 ? 1u << world.z_shift : 1u);

			square += (at - centre[i]) * (at - centre[i]);
		}
		double error =
			fabs(pe_surface_from_chord(&world, sqrt(square), p[0]) - geodesic_m(p, q));

		worst = fmax(worst, error / (1e-3 + 1e-6 * metres));
		bad += error > 1e-3 + 1e-6 * metres;
		pairs++;
	}
	printf(" [%u pairs, %u over the antimeridian, worst %.3f of the tolerance]", pairs,
		crossing, worst);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(crossing > 1000);
}

// pe_space_distance against places made with the direct problem.
static void distance_agrees(void)
{
	unsigned bad = 0;
	double worst = 0.0;

	random_seed("direct", 0x5EED02);
	for (unsigned n = 0; n < 100000; n++) {
		double p[3], q[3], metres = random_log(1e-3, 1e5);

		random_place(p);
		geodesic_to(p, random_between(-180, 180), metres, q);
		double error = fabs(pe_space_distance(&world, p, q, false) - metres);

		worst = fmax(worst, error);
		bad += error > 1e-6;
	}
	printf(" [worst %.1e m]", worst);
	CU_ASSERT_EQUAL(bad, 0);
}

// |surface from chord − geodesic| against the band: by latitude of either end, azimuth and
// distance.
static void band_bounds(void)
{
	static const double table[] = {1e2, 1e3, 1e4, 1e5, 5e5, 1e6, 2e6, 2.5e6};
	double largest[8] = {0}, worst = 0.0;
	unsigned bad = 0, sampled = 0;

	random_seed("band", 0x5EED03);
	for (unsigned t = 0; t < 8; t++)
		for (double latitude = -90.0; latitude <= 90.0; latitude += 1.5)
			for (double azimuth = 0.0; azimuth <= 180.0; azimuth += 3.0) {
				double p[3] = {latitude, 0.0, 0.0}, q[3];

				geodesic_to(p, azimuth, table[t], q);
				double c = chord_of(p, q);
				double e1 = fabs(pe_surface_from_chord(&world, c, p[0]) - table[t]);
				double e2 = fabs(pe_surface_from_chord(&world, c, q[0]) - table[t]);

				largest[t] = fmax(largest[t], fmax(e1, e2));
				bad += fmax(e1, e2) > pe_surface_band(table[t]);
			}
	for (; sampled < 300000; sampled++) {
		double p[3], q[3], metres = random_log(1.0, PE_SURFACE_BAND_MAX_M);

		random_place(p);
		geodesic_to(p, random_between(-180, 180), metres, q);
		metres = geodesic_m(p, q);
		double error = fabs(pe_surface_from_chord(&world, chord_of(p, q), p[0]) - metres);

		worst = fmax(worst, error / pe_surface_band(metres));
		bad += error > pe_surface_band(metres);
	}
	for (unsigned t = 0; t < 8; t++)
		printf("\n    %9.1f km: largest error %.3e m, band %.3e m", table[t] / 1e3,
			largest[t], pe_surface_band(table[t]));
	printf("\n    %u random pairs: worst %.3f of the band", sampled, worst);
	CU_ASSERT_EQUAL(bad, 0);
	// A band that bounded everything would be no use: it is tight within a factor of two.
	CU_ASSERT(largest[3] > 0.5 * pe_surface_band(1e5));
	CU_ASSERT(largest[6] > 0.5 * pe_surface_band(2e6));
	CU_ASSERT(pe_surface_band(1e5) < 0.014);
	CU_ASSERT(isinf(pe_surface_band(3e6)) && isinf(pe_surface_band(NAN)));
}

// Beyond the band's reach the estimate still grows with the chord and stays on Earth.
static void far_pairs(void)
{
	double last = 0.0, diameter = 2.0 * 6378137.0;

	for (double chord = 0.0; chord <= diameter; chord += 1000.0) {
		double metres = pe_surface_from_chord(&world, chord, 33.0);

		CU_ASSERT(metres >= last && metres < 20100000.0);
		last = metres;
	}
}

static void straight(void)
{
	const double a[3] = {0, 0, 100}, b[3] = {0, 180, 300}, c[3] = {90, 0, -10},
		     d[3] = {-90, 77, 10};
	const double e[3] = {47, 11, 1000}, f[3] = {47, 11, 1250}, g[3] = {10, 180, 5},
		     h[3] = {10, -180, 5};
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});

	CU_ASSERT_DOUBLE_EQUAL(pe_space_distance(&world, a, b, true), 2 * 6378137.0 + 400, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(pe_space_distance(&world, c, d, true), 2 * 6356752.314245179, 1e-6);
	CU_ASSERT_DOUBLE_EQUAL(pe_space_distance(&world, e, f, true), 250.0, 1e-8);
	CU_ASSERT_EQUAL(pe_space_distance(&world, e, f, false), 0.0);
	CU_ASSERT_EQUAL(pe_space_distance(&world, g, h, true), 0.0);
	CU_ASSERT_DOUBLE_EQUAL(pe_space_distance(&world, g, h, false), 0.0, 1e-9);
	CU_ASSERT_EQUAL(
		pe_space_distance(&flat, (double[]){1, 2, 3}, (double[]){4, 6, 15}, false), 13.0);
}

// One place is at no distance from itself, to the last bit, so that a sphere of radius 0 holds it.
static void straight_to_itself(void)
{
	random_seed("itself", 0x5EED05);
	for (unsigned i = 0; i < 20000; i++) {
		double p[3] = {random_between(-90, 90), random_between(-180, 180),
			random_between(-12000, 1e6)};
		double q[3] = {p[0], p[1], p[2]};

		if (i % 4 == 1) {
			p[0] = q[0] = i % 8 == 1 ? 90 : -90;
			q[1] = random_between(-180, 180);
		} else if (i % 4 == 2) {
			p[1] = 180;
			q[1] = -180;
		}
		CU_ASSERT_EQUAL(pe_space_distance(&world, p, q, true), 0.0);
		q[2] += 1e-6;
		CU_ASSERT_DOUBLE_EQUAL(pe_space_distance(&world, p, q, true), 1e-6, 1e-8);
	}
}

TESTING_MAIN("space-distance", {"held positions agree with PROJ", held_positions_agree},
	{"distance agrees with the direct problem", distance_agrees},
	{"the band bounds the error", band_bounds}, {"far pairs", far_pairs},
	{"straight", straight}, {"straight, to itself", straight_to_itself})
