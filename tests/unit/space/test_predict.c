// Courses: on a plane straight to the last bits; on Earth against PROJ's geodesic, from and to
// anywhere, heights included; what does not move stays to the bit; and velocities compared where
// axes turn.
#include "base/limits.h"
#include "space/geodesy.h"
#include "space/predict.h"
#include "space_testing.h"

#define ROUNDS 200000

static struct geod_geodesic geodesic;

static struct pe_space plane(void)
{
	struct pe_space_config c = {
		.kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 64, .leaf_height_m = 1024};
	struct pe_space space;

	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&space, &c, 0, NULL), PE_OK);
	return space;
}

static struct pe_space earth(void)
{
	struct pe_space_config c = {.kind = PE_SPACE_GEODETIC,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024,
		.worldwide = true};
	struct pe_space space;

	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&space, &c, 0, NULL), PE_OK);
	geod_init(&geodesic, GEO_A, GEO_F);
	return space;
}

static void straight(void)
{
	struct pe_space space = plane();

	random_seed("straight", 11);
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		struct pe_motion m = {0}, to;
		double seconds = random_between(0, 600);

		for (unsigned k = 0; k < 3; k++) {
			m.position[k] = random_between(-1e5, 1e5);
			m.velocity[k] = random_between(-200, 200);
		}
		to = pe_space_predict(&space, &m, seconds);
		for (unsigned k = 0; k < 3; k++) {
			CU_ASSERT_DOUBLE_EQUAL(
				to.position[k], m.position[k] + m.velocity[k] * seconds, 1e-9);
			CU_ASSERT_EQUAL(to.velocity[k], m.velocity[k]);
		}
	}
	// What is too fast gets as far as the fastest, in its direction.
	struct pe_motion fast = {.velocity = {4000, 0, 3000}},
			 to = pe_space_predict(&space, &fast, 10);

	CU_ASSERT_DOUBLE_EQUAL(to.position[0], 0.8 * PE_PREDICT_SPEED_MAX_MPS * 10, 1e-9);
	CU_ASSERT_DOUBLE_EQUAL(to.position[2], 0.6 * PE_PREDICT_SPEED_MAX_MPS * 10, 1e-9);
	CU_ASSERT_EQUAL(to.velocity[0], 4000);
}

// Against the geodesic that begins in the direction of the velocity, as long as the footprint's way
// is.
static void around_the_earth(void)
{
	struct pe_space space = earth();
	double worst_mm = 0, worst_far_m = 0, worst_turn = 0;

	random_seed("around the earth", 12);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct pe_motion m = {.height_known = random_bits() % 4 != 0}, to;
		double seconds = random_log(0.01, 600), azimuth, speed, way, radius, sine, n, c;
		double latitude, longitude, azimuth_there, apart, dn, de;

		random_place(m.position);
		if (!m.height_known)
			m.position[2] = 0;
		azimuth = random_between(0, 360);
		speed = random_log(0.01, 349);
		m.velocity[0] = speed * sin(azimuth * GEO_DEGREE);
		m.velocity[1] = speed * cos(azimuth * GEO_DEGREE);
		m.velocity[2] = random_between(-5, 5);
		// The radius of curvature in the direction, at the latitude.
		sine = sin(m.position[0] * GEO_DEGREE);
		n = GEO_A / sqrt(1 - GEO_E2 * sine * sine);
		c = n * n * n / (GEO_A * GEO_A) * (1 - GEO_E2);
		radius = 1 /
			(pow(cos(azimuth * GEO_DEGREE), 2) / c +
				pow(sin(azimuth * GEO_DEGREE), 2) / n);
		way = hypot(m.velocity[0], m.velocity[1]) * seconds * radius /
			(radius + m.position[2]);
		if (sqrt(geo_dot(m.velocity, m.velocity)) > PE_PREDICT_SPEED_MAX_MPS)
			continue;
		geod_direct(&geodesic, m.position[0], m.position[1], azimuth, way, &latitude,
			&longitude, &azimuth_there);
		to = pe_space_predict(&space, &m, seconds);
		CU_ASSERT(fabs(to.position[0]) <= 90 && fabs(to.position[1]) <= 180);
		geod_inverse(&geodesic, latitude, longitude, to.position[0], to.position[1], &apart,
			NULL, NULL);
		if (way < 30000)
			worst_mm = fmax(worst_mm, 1000 * apart);
		worst_far_m = fmax(worst_far_m, apart);
		CU_ASSERT_DOUBLE_EQUAL(to.position[2],
			m.position[2] + (m.height_known ? m.velocity[2] * seconds : 0), 1e-6);
		CU_ASSERT_DOUBLE_EQUAL(hypot(to.velocity[0], to.velocity[1]),
			hypot(m.velocity[0], m.velocity[1]), 1e-9);
		CU_ASSERT_EQUAL(to.velocity[2], m.velocity[2]);
		// Within a kilometre of a pole the two ends' meridians are too close to compare
		// azimuths.
		if (fabs(to.position[0]) < 89.9) {
			de = to.velocity[0] - speed * sin(azimuth_there * GEO_DEGREE);
			dn = to.velocity[1] - speed * cos(azimuth_there * GEO_DEGREE);
			worst_turn = fmax(worst_turn, hypot(de, dn) / speed);
		}
	}
	printf(" worst %.3f mm up to 30 km, %.3f m, turned %.2g of the speed ", worst_mm,
		worst_far_m, worst_turn);
	CU_ASSERT(worst_mm < 1 && worst_far_m < 0.3 && worst_turn < 1e-3);
}

static void standing(void)
{
	struct pe_space space = earth();

	random_seed("standing", 13);
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		struct pe_motion m = {.height_known = true}, to;

		random_place(m.position);
		to = pe_space_predict(&space, &m, random_between(0, 600));
		CU_ASSERT(memcmp(&to.position, &m.position, sizeof to.position) == 0);
		m.velocity[2] = 3; // up alone
		to = pe_space_predict(&space, &m, 10);
		CU_ASSERT(memcmp(&to.position, &m.position, 2 * sizeof(double)) == 0);
		CU_ASSERT_DOUBLE_EQUAL(to.position[2], m.position[2] + 30, 1e-9);
		m.height_known = false;
		m.position[2] = 0;
		to = pe_space_predict(&space, &m, 10);
		CU_ASSERT_EQUAL(to.position[2], 0);
		m.velocity[0] = 10;
		to = pe_space_predict(&space, &m, 0);
		CU_ASSERT(memcmp(&to.position, &m.position, sizeof to.position) == 0);
	}
}

// Who goes on over a pole or the antimeridian has turned in numbers, not in fact.
static void velocities(void)
{
	struct pe_space space = earth();
	double worst = 0;

	random_seed("velocities", 14);
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		double reach = random_log(1e-6, 1e-3), before = random_between(1, 50),
		       after = random_between(1, 50);
		struct pe_motion m = {.height_known = true}, half, whole, on;

		m.position[0] = (random_bits() & 1 ? 1 : -1) * (90 - reach);
		m.position[1] = random_between(-180, 180);
		if (random_bits() % 4 == 0) {
			m.position[0] = random_between(-80, 80);
			m.position[1] = 180 - reach;
		}
		m.velocity[0] = random_between(-20, 20);
		m.velocity[1] = random_between(-20, 20);
		half = pe_space_predict(&space, &m, before);
		on = pe_space_predict(&space, &half, after);
		whole = pe_space_predict(&space, &m, before + after);
		CU_ASSERT(pe_motion_apart_square(&space, &on, &whole) < 1e-6);
		worst = fmax(worst, pe_motion_turned(&space, &on, &whole));
		// The other way round is twice the speed.
		on.velocity[0] = -on.velocity[0];
		on.velocity[1] = -on.velocity[1];
		CU_ASSERT_DOUBLE_EQUAL(pe_motion_turned(&space, &on, &whole),
			2 * hypot(m.velocity[0], m.velocity[1]), 1e-3);
	}
	printf(" worst %.3g m/s ", worst);
	CU_ASSERT(worst < 1e-4);
	struct pe_motion low = {.position = {50, 10, 0}, .height_known = true}, high = low;

	high.position[2] = 40;
	CU_ASSERT_DOUBLE_EQUAL(pe_motion_apart_square(&space, &low, &high), 1600, 1e-6);
	high.height_known = false;
	CU_ASSERT_DOUBLE_EQUAL(pe_motion_apart_square(&space, &low, &high), 0, 1e-6);
}

TESTING_MAIN("space: predict", {"straight", straight}, {"around the earth", around_the_earth},
	{"standing", standing}, {"velocities", velocities})
