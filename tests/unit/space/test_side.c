// Cells against boxes, where in a column footprints are, and how far outside of volumes positions
// lie: against positions one by one.
#include "space/side.h"
#include "testing.h"

#include <math.h>
#include <string.h>

#define DEGREE (M_PI / 180.0)
#define EARTH  6371000.0

static uint64_t state = 20260101;

static double uniform(double lo, double hi)
{
	return lo + (hi - lo) * ((double)(testing_random(&state) >> 11) * 0x1p-53);
}

static void make_space(struct pe_space *space, bool geodetic)
{
	struct pe_space_config config = {.kind = geodetic ? PE_SPACE_GEODETIC : PE_SPACE_CARTESIAN,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024,
		.worldwide = geodetic};
	struct pe_error error;

	if (pe_space_prepare(space, &config, 3, &error) != PE_OK)
		abort();
}

static const double focuses[][2] = {{0, 45}, {52, 13}, {-16.8, 180}, {89.999, 0}, {-90, 0},
	{35.2644, 45}, {0, 179.99}, {89.5, -170}};
#define FOCUSES (sizeof focuses / sizeof focuses[0])

static void place_near(const double focus[2], double reach_m, double position[3])
{
	double lat = focus[0] + uniform(-reach_m, reach_m) / EARTH / DEGREE;
	double lon = focus[1] +
		uniform(-reach_m, reach_m) / EARTH / DEGREE / fmax(cos(focus[0] * DEGREE), 1e-4);

	if (fabs(lat) > 90.0)
		lat = copysign(180.0, lat) - lat;
	position[0] = lat;
	position[1] = remainder(lon, 360.0);
	position[2] = 0;
}

// A cell of so many leaves across that holds the place.
static void cell_of(
	const struct pe_place *at, unsigned bits, unsigned up, int64_t lo[3], int64_t hi[3])
{
	struct pe_units u = pe_place_units(at->key, at->word);

	for (unsigned i = 0; i < 3; i++) {
		unsigned shift = 20 + (i == 2 ? up : bits);

		lo[i] = (u.v[i] >> shift) * ((int64_t)1 << shift);
		hi[i] = lo[i] + ((int64_t)1 << shift) - 1;
	}
}

static void test_clip(void)
{
	struct pe_space space;
	unsigned narrowed = 0;

	make_space(&space, true);
	for (uint64_t n = 0; n < testing_amount(200000); n++) {
		double position[3];
		int64_t lo[3], hi[3], was_lo, was_hi;
		struct pe_place at;

		place_near(focuses[n % FOCUSES], pow(10.0, uniform(0, 6)), position);
		if (pe_space_locate(&space, position, &at) != PE_REASON_none)
			abort();
		cell_of(&at, (unsigned)(n / 8 % 18), (unsigned)(n / 8 % 13), lo, hi);
		was_lo = lo[2];
		was_hi = hi[2];
		if (!pe_cell_clip(&space, PE_KEY_FRAME(at.key), lo, hi)) {
			CU_FAIL("a footprint's cell is empty");
			return;
		}
		struct pe_units u = pe_place_units(at.key, at.word);

		narrowed += lo[2] > was_lo || hi[2] < was_hi;
		if (u.v[2] < lo[2] || u.v[2] > hi[2]) {
			CU_FAIL("a footprint is outside of what its cell holds");
			return;
		}
	}
	CU_ASSERT(narrowed > testing_amount(200000) / 4);
	int64_t lo[3] = {0, 0, 40 << 20}, hi[3] = {(1 << 20) - 1, (1 << 20) - 1, (41 << 20) - 1};

	CU_ASSERT(!pe_cell_clip(&space, 0, lo, hi)); // 41 km above home
}

static void random_box(bool geodetic, const double focus[2], double a[3], double b[3])
{
	double reach = pow(10.0, uniform(2, 5.5)), centre[3];

	if (!geodetic) {
		for (unsigned i = 0; i < 3; i++) {
			a[i] = uniform(-5000, 5000);
			b[i] = a[i] + uniform(0, 5000);
		}
		return;
	}
	place_near(focus, reach, centre);
	a[2] = b[2] = 0;
	a[0] = fmax(centre[0] - uniform(0, reach) / EARTH / DEGREE, -90);
	b[0] = fmin(centre[0] + uniform(0, reach) / EARTH / DEGREE, 90);
	double half =
		fmin(uniform(0, reach) / EARTH / DEGREE / fmax(cos(centre[0] * DEGREE), 1e-4), 170);

	a[1] = remainder(centre[1] - half, 360);
	b[1] = remainder(centre[1] + half, 360);
}

static void test_boxes_and_cells(void)
{
	unsigned sides[3] = {0};
	struct pe_space space;

	for (uint64_t n = 0; n < testing_amount(100000); n++) {
		bool geodetic = n % 4 != 0;
		double position[3], a[3], b[3];
		int64_t lo[3], hi[3];
		struct pe_place at;

		if (n < 2)
			make_space(&space, n == 1);
		make_space(&space, geodetic);
		random_box(geodetic, focuses[n % FOCUSES], a, b);
		if (geodetic)
			place_near(focuses[n % FOCUSES], pow(10.0, uniform(2, 6)), position);
		else
			for (unsigned i = 0; i < 3; i++)
				position[i] = uniform(-6000, 10000);
		if (pe_space_locate(&space, position, &at) != PE_REASON_none)
			abort();
		cell_of(&at, (unsigned)(n / 8 % 10), (unsigned)(n / 8 % 3), lo, hi);
		enum pe_cell_side side =
			pe_box_classify(&space, a, b, PE_KEY_FRAME(at.key), lo, hi);
		bool holds = pe_space_box_holds(&space, a, b, position);

		sides[side]++;
		if ((side == PE_CELL_INSIDE && !holds) || (side == PE_CELL_OUTSIDE && holds)) {
			printf("\n  %g %g in %g %g … %g %g: %d but %d", position[0], position[1],
				a[0], a[1], b[0], b[1], side, holds);
			CU_FAIL("a cell's side is not that of a position in it");
			return;
		}
	}
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(sides[i] > testing_amount(100000) / 100);
}

// What is outside of the wider box is at least the margin away from every place of the box.
static void test_widened(void)
{
	struct pe_space space;
	unsigned outside = 0;

	make_space(&space, true);
	for (uint64_t n = 0; n < testing_amount(20000); n++) {
		double a[3], b[3], wide_a[3], wide_b[3], position[3], within[3], width;
		double margin = pow(10.0, uniform(0, 4.5));

		random_box(true, focuses[n % FOCUSES], a, b);
		pe_box_widen(&space, a, b, margin, wide_a, wide_b);
		width = b[1] - a[1] + (a[1] > b[1] ? 360 : 0);
		// a place on the box's rim, and one near to it
		within[0] = testing_random(&state) & 1 ? b[0] : uniform(a[0], b[0]);
		within[1] = remainder(
			a[1] + (testing_random(&state) & 1 ? width : uniform(0, width)), 360);
		within[2] = 0;
		place_near(within, 2 * margin, position);
		if (!pe_space_box_holds(&space, wide_a, wide_b, within)) {
			CU_FAIL("not in the wider box");
			return;
		}
		if (pe_space_box_holds(&space, wide_a, wide_b, position))
			continue;
		outside++;
		if (pe_space_distance(&space, within, position, false) < margin * (1 - 1e-9)) {
			CU_FAIL("outside of the wider box by less than the margin");
			return;
		}
	}
	CU_ASSERT(outside > testing_amount(20000) / 20);
}

// The least straight distance to an edge's places, by going along it.
static double edge_distance(const struct pe_polygon *p, const double point[3])
{
	double least = INFINITY;

	for (unsigned i = 0; i < p->ring_end[p->ring_count - 1]; i++) {
		double lo = 0, hi = 1;

		if (p->length[i] == 0)
			continue;
		for (unsigned round = 0; round < 100; round++) {
			double t[2] = {lo + (hi - lo) / 3, hi - (hi - lo) / 3}, d[2];

			for (unsigned k = 0; k < 2; k++) {
				double at[3], size = 0, far = 0;

				for (unsigned c = 0; c < 3; c++) {
					at[c] = p->first[c][i] +
						t[k] * (p->last[c][i] - p->first[c][i]);
					size += at[c] * at[c] /
						(c < 2 ? 6378137.0 * 6378137.0 :
							 6356752.314245 * 6356752.314245);
				}
				for (unsigned c = 0; c < 3; c++) {
					at[c] = p->kind == PE_SPACE_GEODETIC ? at[c] / sqrt(size) :
									       at[c];
					far += (at[c] - point[c]) * (at[c] - point[c]);
				}
				d[k] = sqrt(far);
			}
			if (d[0] < d[1])
				hi = t[1];
			else
				lo = t[0];
			least = fmin(least, fmin(d[0], d[1]));
		}
	}
	return least;
}

static void test_near_polygon(void)
{
	static struct pe_polygon polygon;
	unsigned near = 0, tested = 0;

	for (uint64_t n = 0; n < testing_amount(3000); n++) {
		bool geodetic = n % 4 != 0;
		const double *focus = focuses[n % FOCUSES];
		double reach = pow(10.0, uniform(2, 5)), vertices[7][2], position[3], point[3];
		unsigned ring = 3 + (unsigned)(n / 8 % 5);
		struct pe_space space;

		make_space(&space, geodetic);
		for (unsigned i = 0; i < ring; i++) {
			double angle = 2 * M_PI * i / ring, r = reach * uniform(0.4, 1);
			double east = r * cos(angle), north = r * sin(angle);

			vertices[i][0] = geodetic ? focus[0] * 0.9 + north / EARTH / DEGREE : east;
			vertices[i][1] = geodetic ?
				remainder(focus[1] +
						east / EARTH / DEGREE /
							fmax(cos(focus[0] * 0.9 * DEGREE), 1e-4),
					360) :
				north;
		}
		if (pe_polygon_prepare(&space, (const double(*)[2])vertices, &ring, 1, -INFINITY,
			    INFINITY, &polygon) != PE_VOLUME_ok)
			continue;
		double middle[2] = {focus[0] * 0.9, focus[1]};

		if (geodetic)
			place_near(middle, reach, position);
		else
			for (unsigned i = 0; i < 3; i++)
				position[i] = uniform(-reach, reach);
		memcpy(point, position, sizeof point);
		if (geodetic) {
			double s = sin(position[0] * DEGREE), c = cos(position[0] * DEGREE);
			double prime = 6378137.0 / sqrt(1 - 0.0066943799901413165 * s * s);

			point[0] = prime * c * cos(position[1] * DEGREE);
			point[1] = prime * c * sin(position[1] * DEGREE);
			point[2] = prime * (1 - 0.0066943799901413165) * s;
		} else {
			point[2] = 0;
		}
		double least = edge_distance(&polygon, point);
		// a straight line to the edge, against the distance from its plane, which is
		// upright to 0.2 degrees only
		double doubt = least * 6e-6 + least * least * 2.7e-10 +
			least * least * least / EARTH / EARTH + 1e-3;

		if (!pe_polygon_near(&polygon, position, least + doubt) ||
			(least > doubt && pe_polygon_near(&polygon, position, least - doubt))) {
			printf("\n  %s, %g %g: %.6f m", geodetic ? "earth" : "plane", position[0],
				position[1], least);
			CU_FAIL("not as near as it is");
			return;
		}
		tested++;
		near += least < 0.1 * reach;
	}
	CU_ASSERT(tested > testing_amount(3000) / 2 && near > tested / 10);
}

static void test_near_hull(void)
{
	static struct pe_hull hull, wide;
	unsigned sides[3] = {0}, cells[3] = {0};

	for (uint64_t n = 0; n < testing_amount(20000); n++) {
		bool geodetic = n % 2;
		struct pe_oriented_box box = {
			.half = {uniform(10, 500), uniform(10, 500), uniform(10, 500)},
			.orientation = {0, 0, 0, 1}};
		double position[3], margin = uniform(1, 200), off[3];
		struct pe_space space;
		struct pe_place at;
		int64_t lo[3], hi[3];

		make_space(&space, geodetic);
		if (geodetic)
			memcpy(box.centre, focuses[1], sizeof focuses[1]);
		if (pe_hull_oriented_box(&space, &box, &hull) != PE_VOLUME_ok)
			abort();
		for (unsigned i = 0; i < 3; i++)
			off[i] = uniform(-900, 900);
		for (unsigned i = 0; i < 3; i++)
			position[i] = box.centre[i] + off[i];
		if (geodetic) {
			position[0] = box.centre[0] + off[1] / EARTH / DEGREE;
			position[1] = box.centre[1] +
				off[0] / EARTH / DEGREE / cos(box.centre[0] * DEGREE);
		}
		bool inside = pe_hull_holds(&hull, position);
		bool near = pe_hull_near(&hull, position, margin);

		if (inside && !near)
			CU_FAIL("inside and not near");
		// Corners are no further out than the ball about the volume grows, on Earth as well
		// (where `off` is roughly that).
		double from = sqrt(off[0] * off[0] + off[1] * off[1] + off[2] * off[2]);
		double ball = sqrt(box.half[0] * box.half[0] + box.half[1] * box.half[1] +
				      box.half[2] * box.half[2]) +
			margin;

		if (near && from > ball + (geodetic ? 8 : 1e-6)) {
			printf("\n  %s: %.3f m further out than the ball",
				geodetic ? "earth" : "plane", from - ball);
			CU_FAIL("near and beyond the ball");
			return;
		}
		if (!geodetic) {
			double out = 0;

			for (unsigned i = 0; i < 3; i++)
				out += pow(fmax(fabs(off[i]) - box.half[i], 0), 2);
			if (sqrt(out) < margin * 0.999999 && !near) {
				CU_FAIL("within the margin and not near");
				return;
			}
		}
		sides[inside ? 2 : near]++;
		if (pe_space_locate(&space, position, &at) != PE_REASON_none)
			abort();
		pe_hull_widen(&hull, margin, &wide);
		cell_of(&at, (unsigned)(n / 2 % 3), 0, lo, hi);
		enum pe_cell_side side =
			pe_hull_classify(&space, &wide, PE_KEY_FRAME(at.key), lo, hi);

		cells[side]++;
		if (side == PE_CELL_OUTSIDE && near) {
			CU_FAIL("near in a cell that is outside");
			return;
		}
	}
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT(sides[i] > testing_amount(20000) / 100);
	CU_ASSERT(cells[0] > 0 && cells[1] > 0);
}

TESTING_MAIN("sides", {"columns", test_clip}, {"boxes and cells", test_boxes_and_cells},
	{"wider boxes", test_widened}, {"near a polygon", test_near_polygon},
	{"near a hull", test_near_hull})
