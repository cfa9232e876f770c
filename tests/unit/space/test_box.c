// Boxes: what a box holds lies in the region of its own frame, and the bounds are tight.
#include "space_testing.h"

// Corners at awkward and random places; thin, wide, whole-band, across the antimeridian, from or to
// a pole.
static void random_box(double a[3], double b[3])
{
	double p[3], q[3];

	random_place(p);
	random_place(q);
	if (random_bits() & 1) { // small, about a place
		double size = random_log(1e-7, 10.0);

		q[0] = fmin(fmax(p[0] + random_between(0, size), -90), 90);
		q[1] = p[1] + random_between(0, size);
		q[1] = wrap(q[1]);
	}
	a[0] = fmin(p[0], q[0]);
	b[0] = fmax(p[0], q[0]);
	a[1] = p[1];
	b[1] = q[1];
	a[2] = b[2] = 0.0;
	switch (random_bits() % 12) {
	case 0: // a whole band
		a[1] = -180.0;
		b[1] = 180.0;
		break;
	case 1: // a cap
		b[0] = 90.0;
		break;
	case 2:
		a[0] = -90.0;
		break;
	case 3: // one meridian
		b[1] = a[1];
		break;
	case 4: // one parallel
		b[0] = a[0];
		break;
	case 5: // along the antimeridian, from either side
		a[1] = 180.0;
		break;
	case 6:
		b[1] = -180.0;
		break;
	default:
		break;
	}
}

// A place in the box, often on its edges or in its corners.
static void box_place(const double a[3], const double b[3], double place[3])
{
	double width = b[1] - a[1] + (a[1] > b[1] ? 360.0 : 0.0);
	unsigned which = (unsigned)(random_bits() % 9);

	place[0] = which % 3 == 0 ? a[0] : which % 3 == 1 ? b[0] : random_between(a[0], b[0]);
	place[1] = which / 3 == 0 ? a[1] :
		which / 3 == 1    ? b[1] :
				    wrap(a[1] + random_between(0, width));
	place[2] = random_between(-1e4, 1e4);
}

static void geodetic(void)
{
	const struct pe_space spaces[] = {
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {52.5, 13.4}}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {-90, 0}}),
		prepared((struct pe_space_config){
			.kind = PE_SPACE_GEODETIC, .home = {0, 180}, .extent_m = 1e6}),
	};
	unsigned missed = 0, held = 0, outside_held = 0, frames[PE_FRAMES_MAX + 1] = {0},
		 inconsistent = 0;

	random_seed("boxes", 0x5EED31);
	for (unsigned n = 0; n < 60000; n++) {
		const struct pe_space *s = &spaces[n % 4];
		struct pe_region regions[PE_FRAMES_MAX];
		double a[3], b[3];

		random_box(a, b);
		unsigned count = pe_space_box(s, a, b, regions);

		if (s->frame_count > 1)
			frames[count]++;
		for (unsigned i = 0; i < 30; i++) {
			struct pe_place place;
			double p[3];
			bool drawn = i % 3 != 0;

			if (drawn)
				box_place(a, b, p);
			else
				random_place(p);
			bool in = pe_space_box_holds(s, a, b, p);

			// Places drawn inside are held, but for the rounding of a + (b − a) × t at
			// the edges.
			inconsistent += drawn && !in && p[0] != a[0] && p[0] != b[0] &&
				fabs(wrap(p[1] - a[1])) > 1e-12 && fabs(wrap(p[1] - b[1])) > 1e-12;
			outside_held += !drawn && in;
			if (!in || pe_space_locate(s, p, &place) != PE_REASON_none)
				continue;
			held++;
			missed += !region_of(regions, count, &place);
		}
	}
	printf("\n    %u held (%u of them drawn anywhere), %u missed; worldwide boxes by frames 0–6: %u %u %u %u %u %u %u",
		held, outside_held, missed, frames[0], frames[1], frames[2], frames[3], frames[4],
		frames[5], frames[6]);
	CU_ASSERT_EQUAL(missed, 0);
	CU_ASSERT_EQUAL(inconsistent, 0);
	CU_ASSERT(held > 500000);
	CU_ASSERT(frames[0] == 0 && frames[1] > 1000 && frames[2] > 1000 && frames[6] > 100);
}

// The bounds are those of the box itself: a dense sample of its rim and inside reaches them.
static void tight(void)
{
	double worst = 0.0;

	random_seed("tight", 0x5EED32);
	for (unsigned n = 0; n < 100; n++) {
		struct pe_space s = prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC,
			.home = {random_between(-90, 90), random_between(-180, 180)}});
		struct pe_region r[PE_FRAMES_MAX];
		double a[3], b[3], lo[3] = {INFINITY, INFINITY, INFINITY},
				   hi[3] = {-INFINITY, -INFINITY, -INFINITY};

		random_box(a, b);
		double width = b[1] - a[1] + (a[1] > b[1] ? 360.0 : 0.0);

		CU_ASSERT_EQUAL_FATAL(pe_space_box(&s, a, b, r), 1);
		for (unsigned i = 0; i <= 100; i++)
			for (unsigned k = 0; k <= 100; k++) {
				double p[3] = {a[0] + (b[0] - a[0]) * i / 100,
					wrap(a[1] + width * k / 100), 0},
				       m[3];

				pe_space_frame_metres(&s, 0, p, m);
				for (unsigned d = 0; d < 3; d++) {
					lo[d] = fmin(lo[d], m[d]);
					hi[d] = fmax(hi[d], m[d]);
				}
			}
		// A sample of 100 steps misses a smooth extreme by at most step²/8 of the Earth's
		// radius, once in latitude and once in longitude.
		double step = fmax((b[0] - a[0]), width) / 100 * M_PI / 180;
		double allowed = 2 * 6378137.0 * step * step / 8 + 0.01;

		for (unsigned d = 0; d < 3; d++) {
			double unit = s.unit_m * (d == 2 ? 1u << s.z_shift : 1u);
			double over = fmax(lo[d] - (double)r[0].lo[d] * unit,
				(double)r[0].hi[d] * unit - hi[d]);

			worst = fmax(worst, over / allowed);
		}
	}
	printf(" [%.2f of the sampling error]", worst);
	CU_ASSERT(worst <= 1.0);
}

static bool holds(const double a[3], const double b[3], double latitude, double longitude)
{
	static struct pe_space world;

	if (!world.frame_count)
		world = prepared(
			(struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	return pe_space_box_holds(&world, a, b, (double[]){latitude, longitude, 1e5});
}

static void edges(void)
{
	const double a[3] = {10, 170, 0}, b[3] = {20, -170, 0}, c[3] = {-5, -180, 0},
		     d[3] = {5, -180, 0}, e[3] = {80, 10, 0}, f[3] = {90, 20, 0},
		     g[3] = {-90, -180, 0}, h[3] = {90, 180, 0};

	CU_ASSERT(holds(a, b, 10, 170) && holds(a, b, 20, -170) && holds(a, b, 15, 180) &&
		holds(a, b, 15, -180));
	CU_ASSERT(!holds(a, b, 15, 169.999999) && !holds(a, b, 15, -169.999999) &&
		!holds(a, b, 15, 0));
	CU_ASSERT(!holds(a, b, 9.999999, 175) && !holds(a, b, 20.000001, 175));
	CU_ASSERT(holds(c, d, 0, 180) && holds(c, d, 0, -180) && !holds(c, d, 0, 179.9999));
	CU_ASSERT(holds(e, f, 90, -120) && holds(e, f, 85, 15) && !holds(e, f, 85, -120));
	CU_ASSERT(holds(g, h, -90, 3) && holds(g, h, 0, 180) && holds(g, h, 33, -77));
	CU_ASSERT(!holds(a, b, NAN, 175) && !holds(a, b, 15, NAN));
}

static void centres(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	double c[3];

	pe_space_box_centre(&world, (double[]){10, 170, 0}, (double[]){20, -160, 0}, c);
	CU_ASSERT(c[0] == 15 && c[1] == -175 && c[2] == 0);
	pe_space_box_centre(&world, (double[]){10, 160, 0}, (double[]){20, -170, 0}, c);
	CU_ASSERT(c[0] == 15 && c[1] == 175);
	pe_space_box_centre(&world, (double[]){-10, 170, 0}, (double[]){10, -170, 0}, c);
	CU_ASSERT(c[0] == 0 && fabs(c[1]) == 180);
	pe_space_box_centre(&flat, (double[]){-1e308, 2, 3}, (double[]){1e308, 4, 9}, c);
	CU_ASSERT(c[0] == 0 && c[1] == 3 && c[2] == 6);
	random_seed("centres", 0x5EED33);
	for (unsigned n = 0; n < 10000; n++) {
		double a[3], b[3];

		random_box(a, b);
		pe_space_box_centre(&world, a, b, c);
		CU_ASSERT(fabs(c[0]) <= 90 && fabs(c[1]) <= 180);
		// Rounding may put the middle of a box one bit wide on the other side of its edge.
		if (b[0] - a[0] > 1e-9 && fabs(wrap(b[1] - a[1])) > 1e-9)
			CU_ASSERT(pe_space_box_holds(&world, a, b, c));
	}
}

static void cartesian(void)
{
	static const double sizes[][2] = {{64, 1024}, {64, 64}, {3.3, 3.3 * 8}, {0.5, 128}};
	struct pe_region r[PE_FRAMES_MAX];
	unsigned missed = 0, kept = 0, held = 0;

	random_seed("cartesian", 0x5EED34);
	for (unsigned n = 0; n < 60000; n++) {
		struct pe_space s = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN,
			.leaf_edge_m = sizes[n % 4][0],
			.leaf_height_m = sizes[n % 4][1]});
		double a[3], b[3];

		for (unsigned i = 0; i < 3; i++) {
			a[i] = copysign(random_log(1e-6, 5e4), random_between(-1, 1));
			if (random_bits() % 4 == 0)
				a[i] = sizes[n % 4][0] * (double)((int)(random_bits() % 9) - 4);
			b[i] = a[i] + (random_bits() % 8 ? random_log(1e-6, 1e5) : 0.0);
		}
		CU_ASSERT_EQUAL(pe_space_check_box(&s, a, b), PE_REASON_none);
		unsigned count = pe_space_box(&s, a, b, r);

		for (unsigned i = 0; i < 20; i++) {
			struct pe_place place;
			double p[3], off = 0.0;

			for (unsigned k = 0; k < 3; k++) {
				double unit = s.unit_m * (k == 2 ? 1u << s.z_shift : 1u);

				switch (random_bits() % 5) {
				case 0:
					p[k] = a[k] + random_between(-4, 4) * unit;
					break;
				case 1:
					p[k] = b[k] + random_between(-4, 4) * unit;
					break;
				case 2:
					p[k] = random_bits() & 1 ? a[k] : b[k];
					break;
				default:
					p[k] = random_between(a[k], b[k]);
				}
				off = fmax(off, fmax(a[k] - p[k], p[k] - b[k]) / unit);
			}
			bool in = pe_space_box_holds(&s, a, b, p);

			CU_ASSERT_EQUAL(in, off <= 0.0);
			if (pe_space_locate(&s, p, &place) != PE_REASON_none)
				continue;
			held += in;
			missed += in && !region_of(r, count, &place);
			kept += off > 1.001 && region_of(r, count, &place);
		}
	}
	printf(" [%u held, %u missed, %u kept from more than a unit away]", held, missed, kept);
	CU_ASSERT_EQUAL(missed, 0);
	CU_ASSERT_EQUAL(kept, 0);
	CU_ASSERT(held > 100000);
}

static void bounds(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	struct pe_region r[PE_FRAMES_MAX];

#define CHECK(space, reason, a0, a1, a2, b0, b1, b2) \
	CU_ASSERT_EQUAL(pe_space_check_box(space, (double[]){a0, a1, a2}, (double[]){b0, b1, b2}), \
		PE_REASON_##reason)
	CHECK(&world, none, 10, 170, 0, 20, -170, 0);
	CHECK(&world, none, 80, -180, 0, 90, 180, 0);
	CHECK(&world, query_bounds, 0, -180, 0, 1, 180, 0);
	CHECK(&world, query_bounds, 0, 0, 0, 40, 1, 0);
	CHECK(&world, none, -17, -17, 0, 17, 17, 0);
	CHECK(&world, query_coordinates, 20, 0, 0, 10, 1, 0);
	CHECK(&world, query_coordinates, 0, 0, 0, 90.1, 1, 0);
	CHECK(&world, query_coordinates, 0, -181, 0, 1, 1, 0);
	CHECK(&world, query_coordinates, NAN, 0, 0, 1, 1, 0);
	CHECK(&world, query_coordinates, 0, 0, 0, 1, INFINITY, 0);
	CHECK(&flat, none, -1e300, -1e300, -1e300, 1e300, 1e300, 1e300);
	CHECK(&flat, query_coordinates, 1, 0, 0, 0, 1, 1);
	CHECK(&flat, query_coordinates, 0, 0, 1, 1, 1, 0);
	CHECK(&flat, query_coordinates, 0, NAN, 0, 1, 1, 1);
	CHECK(&flat, query_coordinates, -INFINITY, 0, 0, 1, 1, 1);
	// Everything, and nothing.
	CU_ASSERT_EQUAL(pe_space_box(&flat, (double[]){-1e300, -1e300, -1e300},
				(double[]){1e300, 1e300, 1e300}, r),
		1);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(r[0].lo[i] == flat.units_lo[i] && r[0].hi[i] == flat.units_hi[i]);
	CU_ASSERT_EQUAL(pe_space_box(&flat, (double[]){1e8, 0, 0}, (double[]){2e8, 1, 1}, r), 0);
	CU_ASSERT_EQUAL(pe_space_box(&flat, (double[]){-2e8, 0, 0}, (double[]){-1e8, 1, 1}, r), 0);
	CU_ASSERT_EQUAL(
		pe_space_box(&world, (double[]){-90, -180, 0}, (double[]){90, 180, 0}, r), 6);
}

TESTING_MAIN("space-box", {"geodetic", geodetic}, {"tight", tight}, {"edges", edges},
	{"centres", centres}, {"cartesian", cartesian}, {"bounds", bounds})
