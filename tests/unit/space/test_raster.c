// A polygon's raster against its edges, and what is refused for crossing against every pair of
// edges.
#include "space/geodesy.h"
#include "space/polygon_work.h"
#include "volume_testing.h"

// All edges of it, without the raster.
static bool by_edges(const struct pe_polygon *p, const double at[3])
{
	double point[3] = {at[0], at[1], 0}, across = at[0];

	if (p->kind == PE_SPACE_GEODETIC) {
		double normal[3];

		geo_normal(at[0], at[1], normal);
		geo_point(normal, 0, point);
		across = geo_longitude(at);
	}
	return geo_polygon_parity(p, 0, p->ring_end[p->ring_count - 1], across, point);
}

struct found {
	unsigned tested, inside, by_raster, wrong, refused, beyond;
};

static void compare(const struct pe_polygon *p, const struct rings *r, struct found *f)
{
	bool geodetic = p->kind == PE_SPACE_GEODETIC;

	for (unsigned n = 0; n < 60; n++) {
		double at[3] = {0}, point[3], normal[3], x, y;
		enum pe_cell_side side;

		if (n % 10)
			rings_place(r, geodetic, at);
		else if (geodetic) // anywhere on Earth
			random_place(at);
		memcpy(point, at, sizeof point);
		if (geodetic) {
			geo_normal(at[0], at[1], normal);
			geo_point(normal, 0, point);
		}
		x = geodetic ? geo_dot(point, p->axis[0]) : at[0];
		y = geodetic ? geo_dot(point, p->axis[1]) : at[1];
		side = pe_raster_side(&p->raster, x, y);
		if (geodetic && geo_dot(point, p->up) <= 0)
			side = PE_CELL_OUTSIDE;
		bool in = by_edges(p, at);

		f->beyond += geodetic && geo_dot(point, p->up) <= 0;
		f->tested++;
		f->inside += in;
		f->by_raster += side != PE_CELL_CROSSING;
		f->wrong += pe_polygon_covers(p, at) != in ||
			(side != PE_CELL_CROSSING && (side == PE_CELL_INSIDE) != in);
		// Anything within the margin is as the raster says, too.
		if (side == PE_CELL_CROSSING || geodetic)
			continue;
		for (unsigned k = 0; k < 4; k++) {
			double near[3] = {at[0] + (k & 1 ? 0.7 : -0.7) * p->margin_m,
				at[1] + (k & 2 ? 0.7 : -0.7) * p->margin_m, 0};

			f->wrong += by_edges(p, near) != in;
		}
	}
}

static void shapes(bool geodetic, unsigned polygons, struct found *f)
{
	struct pe_space space = prepared(geodetic ?
			(struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true} :
			(struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	static struct pe_polygon p;

	for (unsigned n = 0; n < polygons; n++) {
		struct rings r;
		static const unsigned sizes[] = {64, 256, 3, 7, 130, 20};
		unsigned size = sizes[n % 6], shape = n / 6 % 6;
		// Also tiny ones far out, of fewer places than they have corners, and such that
		// hold all that a space may.
		double far = random_log(1, 1e12);
		double centre[3] = {random_between(-far, far), random_between(-far, far), 0};
		double radius = random_log(1e-7, geodetic ? 4.9e6 : 1e12);

		if (geodetic)
			random_place(centre);
		if (geodetic && n % 5 == 0)
			centre[1] = random_between(-1, 1) + 179.5; // near the antimeridian
		if (geodetic && n % 7 == 0)
			centre[0] = n & 1 ? 89.99 : -89.99;
		if (geodetic)
			centre[1] = wrap(centre[1]);
		if (shape < 3)
			rings_random(&r, geodetic, centre, radius, size > 200 ? 220 : size,
				(unsigned)(random_bits() % 5));
		else {
			memcpy(r.centre, centre, sizeof r.centre);
			r.radius = radius;
			rings_odd(&r, geodetic, shape - 3, size < 8 ? 8 : size & ~1u);
		}
		if (rings_prepare(&space, &r, &p) == PE_VOLUME_ok)
			compare(&p, &r, f);
		else
			f->refused++;
	}
	printf(" [%u tested, %u inside, %u by the raster, %u wrong; %u far away; %u refused]",
		f->tested, f->inside, f->by_raster, f->wrong, f->beyond, f->refused);
	CU_ASSERT_EQUAL(f->wrong, 0);
	CU_ASSERT(f->refused < polygons / 4);
	CU_ASSERT(f->inside > f->tested / 8 && f->by_raster > f->tested / 4);
}

static void flat(void)
{
	struct found f = {0};

	random_seed("flat", 0x5EED71);
	shapes(false, testing_amount(6000), &f);
}

static void on_earth(void)
{
	struct found f = {0};

	random_seed("on earth", 0x5EED72);
	shapes(true, testing_amount(6000), &f);
	CU_ASSERT(f.beyond > 0);
}

// ---- crossings, of corners at whole numbers, where products are exact ----

static int turn(const double *a, const double *b, const double *c)
{
	double t = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);

	return (t > 0) - (t < 0);
}

static bool within(const double *a, const double *b, const double *c)
{
	return fmin(a[0], b[0]) <= c[0] && c[0] <= fmax(a[0], b[0]) && fmin(a[1], b[1]) <= c[1] &&
		c[1] <= fmax(a[1], b[1]);
}

static bool meet(const double *a, const double *b, const double *c, const double *d)
{
	int t[4] = {turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)};

	if (t[0] * t[1] < 0 && t[2] * t[3] < 0)
		return true;
	return (!t[0] && within(a, b, c)) || (!t[1] && within(a, b, d)) ||
		(!t[2] && within(c, d, a)) || (!t[3] && within(c, d, b));
}

static bool simple(const struct rings *r)
{
	unsigned count = r->size[0];

	for (unsigned i = 0; i < count; i++)
		for (unsigned j = i + 1; j < count; j++) {
			const double *a = r->vertex[i], *b = r->vertex[(i + 1) % count];
			const double *c = r->vertex[j], *d = r->vertex[(j + 1) % count];
			bool follows = j == i + 1, leads = (j + 1) % count == i;

			// Of those that share a corner the other ends have to be off the other one.
			if (follows ? !turn(a, b, d) && (within(a, b, d) || within(c, d, a)) :
					leads ?
				      !turn(c, d, b) && (within(c, d, b) || within(a, b, c)) :
				      meet(a, b, c, d))
				return false;
		}
	return true;
}

static void pairs(void)
{
	struct pe_space space = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	static struct pe_polygon p;
	unsigned wrong = 0, refused = 0, taken = 0;

	random_seed("pairs", 0x5EED73);
	for (unsigned n = 0; n < testing_amount(20000); n++) {
		static const double scales[] = {20, 200, 1e4, 1e6};
		struct rings r;
		unsigned size = n % 3 ? 4 + (unsigned)(random_bits() % 60) :
					4 + (unsigned)(random_bits() % 5);
		double centre[3] = {0}, scale = scales[random_bits() % 4];
		bool empty = false;

		rings_random(&r, false, centre, scale, size, 0);
		for (unsigned k = 0; k < (unsigned)(random_bits() % 3); k++) {
			double *v = r.vertex[random_bits() % size];

			v[0] = random_between(-1, 1) * scale;
			v[1] = random_between(-1, 1) * scale;
		}
		for (unsigned i = 0; i < size; i++)
			for (unsigned k = 0; k < 2; k++)
				r.vertex[i][k] = floor(r.vertex[i][k]);
		for (unsigned i = 0; i < size; i++)
			empty |= !memcmp(r.vertex[i], r.vertex[(i + 1) % size], sizeof r.vertex[i]);
		if (empty)
			continue;
		bool ok = rings_prepare(&space, &r, &p) == PE_VOLUME_ok;

		wrong += ok != simple(&r);
		refused += !ok;
		taken += ok;
	}
	printf(" [%u taken, %u refused, %u wrong]", taken, refused, wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(taken > testing_amount(2000) && refused > testing_amount(2000));
}

TESTING_MAIN("space-raster", {"flat", flat}, {"on earth", on_earth}, {"pairs", pairs})
