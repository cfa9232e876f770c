// Polygons: their regions hold what they hold and little more, and cells that are told in or out
// are.
#include "volume_testing.h"

#include <time.h>

static struct pe_space world(void)
{
	return prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
}

static struct pe_space flat_world(void)
{
	return prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
}

static void regions(void)
{
	const struct pe_space spaces[] = {world(),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {52.5, 13.4}}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {-90, 0}}),
		prepared((struct pe_space_config){
			.kind = PE_SPACE_GEODETIC, .home = {0, 180}, .extent_m = 1e6}),
		flat_world()};
	static struct pe_polygon polygon;
	unsigned missed = 0, held = 0, frames[PE_FRAMES_MAX + 1] = {0};

	random_seed("regions", 0x5EED45);
	for (unsigned n = 0; n < testing_amount(5000); n++) {
		const struct pe_space *s = &spaces[n % 5];
		bool flat = s->config.kind == PE_SPACE_CARTESIAN;
		struct pe_region region[PE_FRAMES_MAX];
		struct rings r;
		double centre[3];

		random_place(centre);
		if (n % 5 == 1 || n % 5 == 3)
			geodesic_to((double[]){s->config.home[0], s->config.home[1], 0},
				random_between(0, 360), random_between(0, 1e6), centre);
		rings_random(&r, !flat, centre, random_log(0.01, 1900000),
			3 + (unsigned)(random_bits() % 9), 0);
		CU_ASSERT_EQUAL_FATAL(rings_prepare(s, &r, &polygon), PE_VOLUME_ok);
		unsigned count = pe_polygon_regions(s, &polygon, region);

		if (n % 5 == 0)
			frames[count]++;
		for (unsigned i = 0; i < 60; i++) {
			struct pe_place place;
			double p[3];

			rings_place(&r, !flat, p);
			if (!pe_polygon_covers(&polygon, p) ||
				pe_space_locate(s, p, &place) != PE_REASON_none)
				continue;
			held++;
			missed += !region_of(region, count, &place);
		}
	}
	printf("\n    %u held, %u missed; worldwide by frames 0–6: %u %u %u %u %u %u %u ", held,
		missed, frames[0], frames[1], frames[2], frames[3], frames[4], frames[5],
		frames[6]);
	CU_ASSERT_EQUAL(missed, 0);
	CU_ASSERT(held > testing_amount(100000));
	CU_ASSERT(frames[0] == 0 && frames[1] > testing_amount(100) &&
		frames[2] > testing_amount(50));
}

// The bounds are those of the polygon: a fan of places inside comes near to them.
static void tight(void)
{
	static struct pe_polygon polygon;
	double worst = 0.0;

	random_seed("tight", 0x5EED46);
	for (unsigned n = 0; n < 200; n++) {
		struct pe_space s = prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC,
			.home = {random_between(-90, 90), random_between(-180, 180)}});
		struct pe_region region[PE_FRAMES_MAX];
		struct rings r;
		double lo[3] = {INFINITY, INFINITY, INFINITY},
		       hi[3] = {-INFINITY, -INFINITY, -INFINITY}, size = random_log(10, 1e6);
		double centre[3];

		geodesic_to((double[]){s.config.home[0], s.config.home[1], 0},
			random_between(0, 360), random_between(0, 1e6), centre);
		rings_random(&r, true, centre, size, 3 + (unsigned)(random_bits() % 5), 0);
		CU_ASSERT_EQUAL_FATAL(rings_prepare(&s, &r, &polygon), PE_VOLUME_ok);
		CU_ASSERT_EQUAL_FATAL(pe_polygon_regions(&s, &polygon, region), 1);
		for (unsigned i = 0; i < 20000; i++) {
			double p[3], m[3];

			geodesic_to(centre, random_between(0, 360),
				size * sqrt(random_between(0, 1)), p);
			if (i < r.vertices)
				memcpy(p, r.vertex[i], sizeof r.vertex[i]);
			else if (!pe_polygon_covers(&polygon, p))
				continue;
			pe_space_frame_metres(&s, 0, p, m);
			for (unsigned d = 0; d < 3; d++) {
				lo[d] = fmin(lo[d], m[d]);
				hi[d] = fmax(hi[d], m[d]);
			}
		}
		for (unsigned d = 0; d < 3; d++) {
			double unit = s.unit_m * (d == 2 ? 1u << s.z_shift : 1u);
			double over = fmax(lo[d] - (double)region[0].lo[d] * unit,
				(double)region[0].hi[d] * unit - hi[d]);

			worst = fmax(worst, (over - 2e-3) / size);
		}
	}
	printf(" [at most %.2g of the radius beyond what was drawn]", worst);
	CU_ASSERT(worst < 0.03);
}

static void cells(void)
{
	const struct pe_space spaces[] = {world(),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {-35, 174}}),
		flat_world()};
	static struct pe_polygon polygon;
	unsigned count[3] = {0}, wrong = 0, near = 0;

	random_seed("cells", 0x5EED47);
	for (unsigned n = 0; n < testing_amount(3000); n++) {
		const struct pe_space *s = &spaces[n % 3];
		bool flat = s->config.kind == PE_SPACE_CARTESIAN;
		struct rings r;
		double centre[3], size = random_log(1, 1000000);

		random_place(centre);
		if (n % 3 == 1)
			geodesic_to((double[]){s->config.home[0], s->config.home[1], 0},
				random_between(0, 360), random_between(0, 1e6), centre);
		rings_random(&r, !flat, centre, size, 3 + (unsigned)(random_bits() % 40),
			(unsigned)(random_bits() % 5));
		CU_ASSERT_EQUAL_FATAL(
			pe_polygon_prepare(s, r.vertex, r.size, r.count, -50, 50, &polygon),
			PE_VOLUME_ok);
		for (unsigned i = 0; i < 60; i++) {
			struct pe_place place;
			double p[3];

			rings_place(&r, !flat, p);
			if (pe_space_locate(s, p, &place) != PE_REASON_none)
				continue;
			// The cell of 2^level units about the position, as the grid cuts them.
			struct pe_units u = pe_place_units(place.key, place.word);
			unsigned level = (unsigned)(random_bits() % 31);
			int64_t lo[3], hi[3];

			for (unsigned d = 0; d < 3; d++) {
				lo[d] = u.v[d] & ~(((int64_t)1 << level) - 1);
				hi[d] = lo[d] + (((int64_t)1 << level) - 1);
			}
			enum pe_cell_side side = pe_polygon_classify(s, &polygon, u.frame, lo, hi);
			bool in = flat ? pe_polygon_holds(&polygon, p) :
					 pe_polygon_covers(&polygon, p);

			count[side]++;
			wrong += (side == PE_CELL_INSIDE && !in) || (side == PE_CELL_OUTSIDE && in);
			near += side == PE_CELL_CROSSING && level < 16 && size > 10000;
		}
	}
	printf(" [%u outside, %u crossing, %u inside, %u wrong; %u small cells of large polygons crossing]",
		count[0], count[1], count[2], wrong, near);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(count[PE_CELL_OUTSIDE] > testing_amount(10000) &&
		count[PE_CELL_INSIDE] > testing_amount(10000));
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// Printed, not tested: times wander on a shared machine.
static void speed(void)
{
	const struct pe_space spaces[] = {world(), flat_world()};
	static const unsigned sizes[] = {4, 16, 64, 256};
	static struct pe_polygon polygon;
	static double places[1024][3];
	volatile unsigned held = 0;

	random_seed("speed", 0x5EED48);
	for (unsigned s = 0; s < 2; s++)
		for (unsigned n = 0; n < 4; n++) {
			struct pe_region region[PE_FRAMES_MAX];
			struct rings r;
			double centre[3] = {48, 11, 0}, start, test, prepare, cover, classify;
			int64_t lo[3], hi[3];

			rings_random(&r, s == 0, centre, 20000, sizes[n], 0);
			for (unsigned i = 0; i < 1024; i++)
				rings_place(&r, s == 0, places[i]);
			start = now_ns();
			for (unsigned i = 0; i < 100; i++)
				CU_ASSERT_FATAL(
					rings_prepare(&spaces[s], &r, &polygon) == PE_VOLUME_ok);
			prepare = (now_ns() - start) / 100;
			start = now_ns();
			for (unsigned i = 0; i < 102400; i++)
				held += pe_polygon_holds(&polygon, places[i % 1024]);
			test = (now_ns() - start) / 102400;
			start = now_ns();
			for (unsigned i = 0; i < 100; i++)
				held += pe_polygon_regions(&spaces[s], &polygon, region);
			cover = (now_ns() - start) / 100;
			for (unsigned d = 0; d < 3; d++) {
				lo[d] = (region[0].lo[d] + region[0].hi[d]) / 2;
				hi[d] = lo[d] + 1000000;
			}
			start = now_ns();
			for (unsigned i = 0; i < 10000; i++)
				held += pe_polygon_classify(
					&spaces[s], &polygon, region[0].frame, lo, hi);
			classify = (now_ns() - start) / 10000;
			printf("\n    %s, %u vertices: test %.0f ns, cell %.0f ns, regions %.1f µs, prepare %.1f µs ",
				s ? "CARTESIAN" : "GEODETIC", sizes[n], test, classify, cover / 1e3,
				prepare / 1e3);
		}
	CU_ASSERT(held > 0);
}

TESTING_MAIN("space-polygon-region", {"regions", regions}, {"tight", tight}, {"cells", cells},
	{"speed", speed})
