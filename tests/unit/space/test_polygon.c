// Polygons: inside and outside against slow independent evaluations, edges that are shared,
// refusals.
#include "volume_testing.h"

static struct pe_space world(void)
{
	return prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
}

static struct pe_space flat_world(void)
{
	return prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
}

// Winding number of a ring in a plane, by the sum of the angles that its edges are seen under; and
// how far the nearest edge is.
static bool wound(
	long double (*v)[2], unsigned count, long double x, long double y, long double *nearest)
{
	long double turn = 0;

	for (unsigned i = 0; i < count; i++) {
		long double *a = v[i], *b = v[(i + 1) % count];
		long double ax = a[0] - x, ay = a[1] - y, bx = b[0] - x, by = b[1] - y;
		long double wx = b[0] - a[0], wy = b[1] - a[1];
		long double t = -(ax * wx + ay * wy) / (wx * wx + wy * wy);

		turn += atan2l(ax * by - ay * bx, ax * bx + ay * by);
		t = fminl(fmaxl(t, 0), 1);
		*nearest = fminl(*nearest, hypotl(ax + t * wx, ay + t * wy));
	}
	return fabsl(turn) > M_PIl;
}

static bool wound_rings(const struct rings *r, long double (*v)[2], long double x, long double y,
	long double *nearest)
{
	bool in = false;

	*nearest = INFINITY;
	for (unsigned i = 0, at = 0; i < r->count; at += r->size[i], i++)
		in ^= wound(v + at, r->size[i], x, y, nearest);
	return in;
}

static void cartesian(void)
{
	static const double scales[] = {1e-3, 1, 300, 1e5, 1e7};
	struct pe_space flat = flat_world();
	static struct pe_polygon polygon;
	static long double v[PE_POLYGON_VERTICES_MAX][2];
	unsigned wrong = 0, near = 0, inside = 0, tested = 0;

	random_seed("cartesian", 0x5EED41);
	for (unsigned n = 0; n < testing_amount(2000); n++) {
		struct rings r;
		double scale = scales[n % 5];
		double centre[3] = {
			random_between(-3, 3) * scale, random_between(-3, 3) * scale, 0};

		rings_random(&r, false, centre, scale, 3 + (unsigned)(random_bits() % 60),
			(unsigned)(random_bits() % 5));
		CU_ASSERT_EQUAL_FATAL(rings_prepare(&flat, &r, &polygon), PE_VOLUME_ok);
		for (unsigned i = 0; i < r.vertices; i++)
			for (unsigned k = 0; k < 2; k++)
				v[i][k] = r.vertex[i][k];
		for (unsigned i = 0; i < 60; i++) {
			double p[3];
			long double off;

			rings_place(&r, false, p);
			bool in = wound_rings(&r, v, p[0], p[1], &off);

			tested++;
			if (off < scale * 1e-14L) {
				near++;
				continue;
			}
			inside += in;
			wrong += in != pe_polygon_covers(&polygon, p);
		}
	}
	printf(" [%u tested, %u inside, %u too near to tell, %u wrong]", tested, inside, near,
		wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(inside > tested / 4 && near < tested / 100);
}

// Whole numbers: who owns a position on an edge, without rounding.
static void edges(void)
{
	struct pe_space flat = flat_world();
	static struct pe_polygon polygon;
	unsigned on = 0, wrong = 0, held = 0;

	random_seed("edges", 0x5EED42);
	for (unsigned n = 0; n < testing_amount(20000); n++) {
		struct rings r = {.count = 1, .size = {3 + (unsigned)(random_bits() % 4)}};

		r.vertices = r.size[0];
		for (unsigned i = 0; i < r.vertices; i++)
			for (unsigned k = 0; k < 2; k++)
				r.vertex[i][k] = (double)(int)(random_bits() % 21) - 10;
		if (rings_prepare(&flat, &r, &polygon) != PE_VOLUME_ok)
			continue;
		for (int x = -10; x <= 10; x++)
			for (int y = -10; y <= 10; y++) {
				// A position is inside if the place a little above and far less to
				// the right is, which is on no edge.
				long double v[8][2], off, px = x + 1e-9L, py = y + 1e-6L;

				if (random_bits() % 8)
					continue;
				for (unsigned i = 0; i < r.vertices; i++)
					for (unsigned k = 0; k < 2; k++)
						v[i][k] = r.vertex[i][k];
				for (unsigned i = 0; i < r.vertices; i++) {
					long double *a = v[i], *b = v[(i + 1) % r.vertices];
					long double t =
						b[0] == a[0] ? -1 : (x - a[0]) / (b[0] - a[0]);

					on += t >= 0 && t <= 1 &&
						a[1] + t * (b[1] - a[1]) == (long double)y;
				}
				off = INFINITY;
				bool in = wound(v, r.vertices, px, py, &off);

				held += in;
				wrong += in !=
					pe_polygon_covers(
						&polygon, (double[]){(double)x, (double)y, 0});
			}
	}
	printf(" [%u on edges, %u held, %u wrong]", on, held, wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(on > testing_amount(10000) && held > testing_amount(10000));
}

#define TILES 6
static double tile_corner[TILES + 1][TILES + 1][2];
static struct pe_polygon tile_polygon[TILES * TILES * 2];

// A net of triangles about a place; the outer ones are bounded by the same corners as what they
// fill.
static unsigned tiles_make(const struct pe_space *space, const double centre[3], double step)
{
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC;
	unsigned count = 0;

	for (unsigned i = 0; i <= TILES; i++)
		for (unsigned k = 0; k <= TILES; k++) {
			double x = (i - 0.5 * TILES) * step, y = (k - 0.5 * TILES) * step, to[3];
			double *corner = tile_corner[i][k];

			x += random_between(-0.2, 0.2) * step;
			y += random_between(-0.2, 0.2) * step;
			if (geodetic) {
				geodesic_to(centre, atan2(x, y) * 180 / M_PI, hypot(x, y), to);
				corner[0] = to[0];
				corner[1] = to[1];
			} else {
				corner[0] = centre[0] + x;
				corner[1] = centre[1] + y;
			}
		}
	for (unsigned i = 0; i < TILES; i++)
		for (unsigned k = 0; k < TILES; k++)
			for (unsigned half = 0; half < 2; half++) {
				double v[3][2];
				unsigned size = 3, third = half ? 0 : 1;
				bool back = random_bits() & 1;

				memcpy(v[back ? 2 : 0], tile_corner[i][k], sizeof v[0]);
				memcpy(v[1], tile_corner[i + 1][k + 1], sizeof v[1]);
				memcpy(v[back ? 0 : 2], tile_corner[i + third][k + 1 - third],
					sizeof v[2]);
				CU_ASSERT_EQUAL(pe_polygon_prepare(space, v, &size, 1, -1e9, 1e9,
							&tile_polygon[count++]),
					PE_VOLUME_ok);
			}
	return count;
}

static double between(double a, double b, double t)
{
	return a + (b - a) * t;
}

// A position in the net, on an edge or in a corner as often as not.
static void tiles_place(bool geodetic, double p[3])
{
	unsigned i = 1 + (unsigned)(random_bits() % (TILES - 1)),
		 k = 1 + (unsigned)(random_bits() % (TILES - 1));
	const double *a = tile_corner[i][k],
		     *b = tile_corner[i + random_bits() % 2][k + random_bits() % 2];
	double t = random_bits() & 1 ? 0.5 : random_between(0, 1);

	if (random_bits() % 4 == 0 || (geodetic && fabs(a[1] - b[1]) > 10))
		b = a;
	p[0] = between(a[0], b[0], t);
	p[1] = between(a[1], b[1], t);
	p[2] = 0;
	if (random_bits() % 4 == 0)
		for (unsigned d = 0; d < 2; d++) // off by a few last bits
			p[d] += (double)(int)(random_bits() % 7 - 3) * 0x1p-52 * fabs(p[d]);
	if (geodetic) {
		p[0] = fmin(fmax(p[0], -90), 90);
		p[1] = wrap(p[1]);
	}
}

// How far the nearest corner of the net is, m.
static double tiles_corner(const struct pe_space *space, const double p[3])
{
	double at[3], to[3], best = INFINITY;

	pe_space_frame_metres(space, 0, p, at);
	for (unsigned i = 0; i <= TILES; i++)
		for (unsigned k = 0; k <= TILES; k++) {
			pe_space_frame_metres(space, 0,
				(double[]){tile_corner[i][k][0], tile_corner[i][k][1], 0}, to);
			best = fmin(
				best, hypot(hypot(at[0] - to[0], at[1] - to[1]), at[2] - to[2]));
		}
	return best;
}

static void tiles(void)
{
	struct pe_space spaces[] = {world(), flat_world()};
	unsigned wrong = 0, tested = 0, corner = 0;

	random_seed("tiles", 0x5EED43);
	for (unsigned n = 0; n < testing_amount(800); n++) {
		bool geodetic = n % 4;
		double centre[3], step = random_log(1e-3, geodetic ? 300000 : 1e6);
		unsigned count;

		random_place(centre);
		if (n % 3 == 0) { // whole degrees, so that edges may be meridians
			centre[0] = round(centre[0]);
			centre[1] = round(centre[1]);
		}
		count = tiles_make(&spaces[!geodetic], centre, step);
		for (unsigned i = 0; i < 300; i++) {
			unsigned held = 0;
			double p[3];

			tiles_place(geodetic, p);
			if (i == 0 && geodetic && fabs(centre[0]) == 90)
				p[0] = centre[0];
			for (unsigned c = 0; c < count; c++)
				held += pe_polygon_holds(&tile_polygon[c], p);
			tested++;
			if (held == 1)
				continue;
			// Beside a corner three tiles may hold what no two edges agree on, never an
			// even number.
			if (held % 2 == 1 &&
				tiles_corner(&spaces[!geodetic], p) <=
					(geodetic ? 1e-8 : 1e-15 * (200 + 4 * step)))
				corner++;
			else
				wrong++;
		}
	}
	printf(" [%u positions, %u not in exactly one tile, and %u beside a corner]", tested, wrong,
		corner);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(corner <= tested / 1000);
}

// Seen from the Earth's centre onto the plane that touches amid the polygon, planes through the
// centre are lines.
static void shadow(const double place[2], long double axis[3][3], long double v[2])
{
	long double lat = place[0] * (M_PIl / 180), lon = place[1] * (M_PIl / 180),
		    b2 = powl(1 - 1 / 298.257223563L, 2);
	long double d[3] = {cosl(lat) * cosl(lon), cosl(lat) * sinl(lon), b2 * sinl(lat)};
	long double on[3];

	for (unsigned i = 0; i < 3; i++)
		on[i] = axis[i][0] * d[0] + axis[i][1] * d[1] + axis[i][2] * d[2];
	v[0] = on[0] / on[2];
	v[1] = on[1] / on[2];
}

static void shadow_axes(const double centre[2], long double axis[3][3])
{
	long double lat = centre[0] * (M_PIl / 180), lon = centre[1] * (M_PIl / 180);
	long double all[3][3] = {{-sinl(lon), cosl(lon), 0},
		{-sinl(lat) * cosl(lon), -sinl(lat) * sinl(lon), cosl(lat)},
		{cosl(lat) * cosl(lon), cosl(lat) * sinl(lon), sinl(lat)}};

	memcpy(axis, all, sizeof all);
}

static void geodetic(void)
{
	struct pe_space space = world();
	static struct pe_polygon polygon;
	static long double v[PE_POLYGON_VERTICES_MAX][2];
	unsigned wrong = 0, near = 0, inside = 0, tested = 0;

	random_seed("geodetic", 0x5EED44);
	for (unsigned n = 0; n < testing_amount(2000); n++) {
		long double axis[3][3];
		struct rings r;
		double centre[3];

		random_place(centre);
		rings_random(&r, true, centre, random_log(0.5, 1900000),
			3 + (unsigned)(random_bits() % 60), (unsigned)(random_bits() % 5));
		CU_ASSERT_EQUAL_FATAL(rings_prepare(&space, &r, &polygon), PE_VOLUME_ok);
		shadow_axes(centre, axis);
		for (unsigned i = 0; i < r.vertices; i++)
			shadow(r.vertex[i], axis, v[i]);
		for (unsigned i = 0; i < 60; i++) {
			long double off, at[2];
			double p[3];

			rings_place(&r, true, p);
			shadow(p, axis, at);
			bool in = wound_rings(&r, v, at[0], at[1], &off);

			tested++;
			if (off < 2e-8L / 6371000) {
				near++;
				continue;
			}
			inside += in;
			wrong += in != pe_polygon_covers(&polygon, p);
		}
	}
	printf(" [%u tested, %u inside, %u too near to tell, %u wrong]", tested, inside, near,
		wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(inside > tested / 4 && near < tested / 50);
}

static enum pe_volume_fault fault_of(const struct pe_space *space, unsigned rings,
	const unsigned *sizes, const double (*vertices)[2])
{
	static struct pe_polygon polygon;

	return pe_polygon_prepare(space, vertices, sizes, rings, 0, 100, &polygon);
}

#define SIZES(...) \
	sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned), (unsigned[]) \
	{ \
		__VA_ARGS__ \
	}
#define FAULT(space, fault, sizes, ...) \
	CU_ASSERT_EQUAL(fault_of(space, SIZES sizes, (double[][2]){__VA_ARGS__}), PE_VOLUME_##fault)

static void refusals(void)
{
	struct pe_space round = world(), flat = flat_world();
	static double many[PE_POLYGON_VERTICES_MAX + 1][2];
	static unsigned sizes[PE_POLYGON_RINGS_MAX + 1];
	static struct pe_polygon polygon;

	FAULT(&flat, ok, (3), {0, 0}, {1, 0}, {0, 1});
	FAULT(&flat, ok, (3), {0, 0}, {0, 1}, {1, 0});
	FAULT(&flat, not_finite, (3), {0, 0}, {1, NAN}, {0, 1});
	FAULT(&flat, not_finite, (3), {0, 0}, {INFINITY, 0}, {0, 1});
	FAULT(&round, not_finite, (3), {0, 0}, {1, -INFINITY}, {0, 1});
	FAULT(&round, off_earth, (3), {0, 0}, {90.0001, 0}, {0, 1});
	FAULT(&round, off_earth, (3), {0, 0}, {1, 0}, {0, -180.0001});
	FAULT(&flat, ok, (3), {0, 0}, {90.0001, 0}, {0, -181});
	FAULT(&flat, too_large, (3), {0, 0}, {1e300, 0}, {0, 1});
	FAULT(&flat, few_vertices, (2), {0, 0}, {1, 0});
	FAULT(&flat, few_vertices, (3, 0), {0, 0}, {1, 0}, {0, 1});
	FAULT(&flat, empty_edge, (4), {0, 0}, {1, 0}, {0, 1}, {0, 0});
	FAULT(&round, empty_edge, (4), {5, 180}, {5, -180}, {6, 180}, {6, 179});
	FAULT(&round, empty_edge, (4), {90, 7}, {90, 8}, {89, 180}, {89, 3});
	FAULT(&round, too_large, (3), {0, 0}, {0, 37}, {1, 20});
	FAULT(&round, too_large, (3), {0, 0}, {0, 180}, {1, 20});
	FAULT(&round, too_large, (3), {90, 0}, {-90, 0}, {1, 20});
	FAULT(&round, ok, (3), {0, 0}, {0, 36}, {1, 20});
	// An hourglass, a spike, a straight line back and forth, one ring over another, a vertex on
	// an edge.
	FAULT(&flat, crossing, (4), {0, 0}, {1, 1}, {1, 0}, {0, 1});
	FAULT(&round, crossing, (4), {0, 0}, {1, 1}, {1, 0}, {0, 1});
	FAULT(&flat, crossing, (4), {0, 0}, {2, 0}, {3, 0}, {1, 0});
	FAULT(&flat, crossing, (3), {0, 0}, {2, 0}, {1, 0});
	FAULT(&round, crossing, (3), {0, 10}, {0, 11}, {0, 12});
	FAULT(&flat, crossing, (4), {0, 0}, {4, 0}, {2, 0}, {2, 3});
	FAULT(&flat, crossing, (5), {0, 0}, {4, 0}, {4, 4}, {2, 0}, {0, 4});
	FAULT(&flat, crossing, (3, 3), {0, 0}, {8, 0}, {0, 8}, {1, 1}, {9, 1}, {1, 2});
	FAULT(&flat, crossing, (3, 3), {0, 0}, {8, 0}, {0, 8}, {0, 0}, {2, 1}, {1, 2});
	FAULT(&round, crossing, (3, 3), {0, 0}, {8, 0}, {0, 8}, {0, 0}, {8, 0}, {0, 8});
	// Many vertices on one line are no fault.
	FAULT(&flat, ok, (6), {0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {2, 2});
	FAULT(&round, ok, (6), {0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}, {2, 2});
	FAULT(&flat, ok, (3, 3), {0, 0}, {8, 0}, {0, 8}, {1, 1}, {2, 1}, {1, 2});
	FAULT(&flat, hole_outside, (3, 3), {0, 0}, {8, 0}, {0, 8}, {11, 1}, {12, 1}, {11, 2});
	FAULT(&round, hole_outside, (3, 3), {0, 0}, {8, 0}, {0, 8}, {11, 1}, {12, 1}, {11, 2});
	FAULT(&flat, hole_outside, (3, 3), {1, 1}, {2, 1}, {1, 2}, {0, 0}, {8, 0}, {0, 8});
	FAULT(&round, hole_nested, (3, 3, 3), {0, 0}, {8, 0}, {0, 8}, {1, 1}, {5, 1}, {1, 5},
		{2, 2}, {3, 2}, {2, 3});
	FAULT(&flat, hole_nested, (3, 3, 3), {0, 0}, {8, 0}, {0, 8}, {2, 2}, {3, 2}, {2, 3}, {1, 1},
		{5, 1}, {1, 5});
	for (unsigned i = 0; i <= PE_POLYGON_VERTICES_MAX; i++) {
		many[i][0] = cos(i * 0.02);
		many[i][1] = sin(i * 0.02);
	}
	CU_ASSERT_EQUAL(fault_of(&flat, 0, sizes, many), PE_VOLUME_rings);
	for (unsigned i = 0; i <= PE_POLYGON_RINGS_MAX; i++)
		sizes[i] = 3;
	CU_ASSERT_EQUAL(fault_of(&flat, PE_POLYGON_RINGS_MAX + 1, sizes, many), PE_VOLUME_rings);
	sizes[0] = PE_POLYGON_VERTICES_MAX;
	CU_ASSERT_EQUAL(fault_of(&flat, 1, sizes, many), PE_VOLUME_ok);
	CU_ASSERT_EQUAL(fault_of(&flat, 2, sizes, many), PE_VOLUME_many_vertices);
	sizes[0] = UINT32_MAX;
	CU_ASSERT_EQUAL(fault_of(&flat, 1, sizes, many), PE_VOLUME_many_vertices);
	sizes[0] = 3;
	CU_ASSERT_EQUAL(
		pe_polygon_prepare(&flat, many, sizes, 1, 2, 1, &polygon), PE_VOLUME_heights);
	CU_ASSERT_EQUAL(
		pe_polygon_prepare(&flat, many, sizes, 1, NAN, 1, &polygon), PE_VOLUME_heights);
	for (unsigned f = 1; f < PE_VOLUME_FAULT_COUNT; f++)
		CU_ASSERT(pe_volume_fault_info[f].reason == PE_REASON_query_shape ||
			pe_volume_fault_info[f].reason == PE_REASON_query_bounds ||
			pe_volume_fault_info[f].reason == PE_REASON_query_coordinates);
}

// Edges a few last bits beside a meridian, and positions between their ends' longitudes, north and
// south of them.
static void steep(void)
{
	static const double along[] = {0, 1e-300, 1e-17, -1e-9, 13.4, -90, 179.999};
	struct pe_space round = world();
	static struct pe_polygon polygon;
	unsigned wrong = 0, inside = 0, tested = 0;

	random_seed("steep", 0x5EED49);
	for (unsigned n = 0; n < testing_amount(20000); n++) {
		double lon = along[n % 7], high = random_between(-80, 80),
		       low = high - random_log(1e-8, 5), wide = (high - low) * random_log(0.1, 1);
		double bit[2] = {lon, lon};
		unsigned four = 4, steps = (unsigned)(random_bits() % 4);

		for (unsigned i = 0; i < steps; i++)
			bit[1] = nextafter(bit[1], 1000);
		if (random_bits() & 1) // more than last bits about the longitude 0
			bit[1] += random_log(1e-30, 1e-12);
		if (random_bits() & 1)
			wide = -wide;
		double corner[4][2] = {{low, bit[random_bits() % 2]},
			{high, bit[random_bits() % 2]}, {high - (high - low) / 4, wrap(lon + wide)},
			{low + (high - low) / 4, wrap(lon + wide)}};

		if (pe_polygon_prepare(&round, corner, &four, 1, 0, 0, &polygon) != PE_VOLUME_ok)
			continue;
		for (unsigned i = 0; i < 12; i++) {
			double up = random_log(1e-11, 10), at = i % 2 ? bit[i / 2 % 2] : 0;
			double p[3] = {i % 4 < 2 ? high + up : low - up, at, 0};

			if (i % 2 == 0)
				p[1] = bit[0] + (bit[1] - bit[0]) * random_between(0, 1);
			tested++;
			wrong += pe_polygon_covers(&polygon, p);
		}
		// And a place that is well inside.
		double middle[3] = {(low + high) / 2, wrap(lon + wide / 2), 0};

		inside++;
		wrong += !pe_polygon_covers(&polygon, middle);
	}
	printf(" [%u beyond the ends, %u inside, %u wrong]", tested, inside, wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(inside > testing_amount(10000));
}

// Poles, the antimeridian and heights, by hand.
static void by_hand(void)
{
	struct pe_space round = world();
	static struct pe_polygon p;
	unsigned four = 4, three = 3;

#define IN(latitude, longitude) pe_polygon_covers(&p, (double[]){latitude, longitude, 0})
	CU_ASSERT_EQUAL(
		pe_polygon_prepare(&round, (double[][2]){{80, 0}, {80, 90}, {80, 180}, {80, -90}},
			&four, 1, 0, 10, &p),
		PE_VOLUME_ok);
	CU_ASSERT(IN(90, 0) && IN(90, 77) && IN(89, -135) && IN(80.1, 0) && IN(80.1, 180));
	CU_ASSERT(!IN(79.9, 0) && !IN(80.1, 45) && !IN(-90, 0) && !IN(0, 10));
	CU_ASSERT(pe_polygon_holds(&p, (double[]){89, 0, 0}) &&
		pe_polygon_holds(&p, (double[]){89, 0, 10}) &&
		!pe_polygon_holds(&p, (double[]){89, 0, 10.001}) &&
		!pe_polygon_holds(&p, (double[]){89, 0, -0.001}) &&
		!pe_polygon_holds(&p, (double[]){89, 0, NAN}));
	// A corner in the pole, and an edge over it.
	CU_ASSERT_EQUAL(pe_polygon_prepare(&round, (double[][2]){{-90, 5}, {-80, 10}, {-80, 50}},
				&three, 1, 0, 0, &p),
		PE_VOLUME_ok);
	CU_ASSERT(IN(-85, 10) && IN(-89.999, 30) && IN(-81, 49.999));
	CU_ASSERT(!IN(-85, 50) && !IN(-85, 9.999) && !IN(-89, -150) && !IN(-79, 30));
	CU_ASSERT_EQUAL(pe_polygon_prepare(&round, (double[][2]){{80, 20}, {80, -160}, {75, 110}},
				&three, 1, 0, 0, &p),
		PE_VOLUME_ok);
	CU_ASSERT(IN(89, 110) && IN(85, 110) && !IN(89, -70) && !IN(74, 110));
	// Whole degrees about the antimeridian: north and east edges are its neighbours'.
	CU_ASSERT_EQUAL(pe_polygon_prepare(&round,
				(double[][2]){{-1, 179}, {-1, -179}, {1, -179}, {1, 179}}, &four, 1,
				0, 0, &p),
		PE_VOLUME_ok);
	CU_ASSERT(IN(0, 180) && IN(0, -180) && IN(0, 179) && IN(-1, 179));
	CU_ASSERT(!IN(0, -179) && !IN(1, 179) && !IN(0, 178.9999) && !IN(0, 0));
	// −180 and 180 are one meridian, however corners and positions state it; the polygon to its
	// east holds it.
	CU_ASSERT_EQUAL(
		pe_polygon_prepare(&round, (double[][2]){{0, 170}, {0, -180}, {5, 180}, {5, 170}},
			&four, 1, 0, 0, &p),
		PE_VOLUME_ok);
	CU_ASSERT(IN(2, 179.9999) && !IN(2, 180) && !IN(2, -180) && !IN(2, -179.9999));
	CU_ASSERT_EQUAL(
		pe_polygon_prepare(&round, (double[][2]){{0, 170}, {0, -180}, {5, -180}, {5, 170}},
			&four, 1, 0, 0, &p),
		PE_VOLUME_ok);
	CU_ASSERT(IN(2, 179.9999) && !IN(2, 180) && !IN(2, -180) && !IN(2, -179.9999));
	CU_ASSERT_EQUAL(
		pe_polygon_prepare(&round, (double[][2]){{0, -170}, {0, -180}, {5, 180}, {5, -170}},
			&four, 1, 0, 0, &p),
		PE_VOLUME_ok);
	CU_ASSERT(!IN(2, 179.9999) && IN(2, 180) && IN(2, -180) && IN(2, -179.9999));
	CU_ASSERT_EQUAL(pe_polygon_prepare(&round,
				(double[][2]){{-1, 179}, {-1, -179}, {1, -179}, {1, 179}}, &four, 1,
				0, 0, &p),
		PE_VOLUME_ok);
	// The arc between two places of a parallel passes nearer to the pole.
	CU_ASSERT(IN(1.0001, 180) && !IN(-1.0001, 179.0001) && IN(-1.00001, 180));
}

TESTING_MAIN("space-polygon", {"cartesian", cartesian}, {"edges", edges}, {"tiles", tiles},
	{"geodetic", geodetic}, {"steep", steep}, {"by hand", by_hand}, {"refusals", refusals})
