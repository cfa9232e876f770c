// Oriented boxes and frusta: inside and outside against the quaternion and angles themselves,
// regions, cells, refusals.
#include "space/hull.h"
#include "space_testing.h"

#include <time.h>

#define F  (1 / 298.257223563L)
#define E2 (F * (2 - F))
#define A  6378137.0L

// Place → Earth-centred, by the textbook and in long doubles.
static void earth(const double place[3], long double point[3])
{
	long double lat = place[0] * (M_PIl / 180), lon = place[1] * (M_PIl / 180);
	long double n = A / sqrtl(1 - E2 * sinl(lat) * sinl(lat));

	point[0] = (n + place[2]) * cosl(lat) * cosl(lon);
	point[1] = (n + place[2]) * cosl(lat) * sinl(lon);
	point[2] = (n * (1 - E2) + place[2]) * sinl(lat);
}

// Earth-centred → place.
static void place_of(const long double point[3], double place[3])
{
	long double across = hypotl(point[0], point[1]), lat = atan2l(point[2], across * (1 - E2));
	long double n = A;

	for (unsigned round = 0; round < 12; round++) {
		n = A / sqrtl(1 - E2 * sinl(lat) * sinl(lat));
		lat = atan2l(point[2] + E2 * n * sinl(lat), across);
	}
	place[0] = (double)(lat * (180 / M_PIl));
	place[1] = (double)(atan2l(point[1], point[0]) * (180 / M_PIl));
	place[2] = (double)(across * cosl(lat) + point[2] * sinl(lat) -
		A * sqrtl(1 - E2 * sinl(lat) * sinl(lat)));
}

// East, north and up at a place.
static void local_axes(const double place[3], long double axis[3][3])
{
	long double lat = place[0] * (M_PIl / 180), lon = place[1] * (M_PIl / 180);
	long double all[3][3] = {{-sinl(lon), cosl(lon), 0},
		{-sinl(lat) * cosl(lon), -sinl(lat) * sinl(lon), cosl(lat)},
		{cosl(lat) * cosl(lon), cosl(lat) * sinl(lon), sinl(lat)}};

	memcpy(axis, all, sizeof all);
}

// v turned by the quaternion {x, y, z, w}, or back: v + 2w(q × v) + 2q × (q × v).
static void turned(const double q[4], bool back, long double v[3])
{
	long double sign = back ? -1 : 1, x = q[0] * sign, y = q[1] * sign, z = q[2] * sign;
	long double t[3] = {
		2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]), 2 * (x * v[1] - y * v[0])};
	long double r[3] = {v[0] + q[3] * t[0] + y * t[2] - z * t[1],
		v[1] + q[3] * t[1] + z * t[0] - x * t[2], v[2] + q[3] * t[2] + x * t[1] - y * t[0]};

	memcpy(v, r, sizeof r);
}

static void random_orientation(double q[4])
{
	double square;

	do {
		square = 0;
		for (unsigned i = 0; i < 4; i++) {
			q[i] = random_between(-1, 1);
			square += q[i] * q[i];
		}
	} while (square > 1 || square < 0.01);
	for (unsigned i = 0; i < 4; i++)
		q[i] /= sqrt(square);
	if (random_bits() % 8 == 0) {
		memset(q, 0, 4 * sizeof *q);
		q[random_bits() % 4] = random_bits() & 1 ? 1 : -1;
	}
}

// One of the two volumes, and where its own coordinates are from.
struct volume {
	bool geodetic, frustum;
	struct pe_oriented_box box;
	struct pe_frustum f;
	double size;
	struct pe_hull hull;
};

static const double *volume_place(const struct volume *v)
{
	return v->frustum ? v->f.apex : v->box.centre;
}

static const double *volume_orientation(const struct volume *v)
{
	return v->frustum ? v->f.orientation : v->box.orientation;
}

static void volume_random(const struct pe_space *space, double most_m, struct volume *v)
{
	double place[3];

	v->geodetic = space->config.kind == PE_SPACE_GEODETIC;
	v->frustum = random_bits() & 1;
	v->size = random_log(1, most_m);
	random_place(place);
	if (!v->geodetic)
		for (unsigned i = 0; i < 3; i++)
			place[i] *= v->size / 30;
	else if (space->frame_count == 1)
		geodesic_to((double[]){space->config.home[0], space->config.home[1], 0},
			random_between(0, 360), random_between(0, 1e6), place);
	if (v->geodetic && random_bits() % 8 == 0)
		place[2] = random_between(-12000, 800000);
	memcpy(v->box.centre, place, sizeof place);
	memcpy(v->f.apex, place, sizeof place);
	random_orientation(v->box.orientation);
	memcpy(v->f.orientation, v->box.orientation, sizeof v->f.orientation);
	for (unsigned i = 0; i < 3; i++)
		v->box.half[i] = v->size * random_log(0.01, 0.55);
	v->f.horizontal_deg = random_between(1, 120);
	v->f.vertical_deg = random_between(0.5, 90);
	v->f.far_m = 0.5 * v->size;
	v->f.near_m = random_bits() & 1 ? 0 : v->f.far_m * random_between(0, 0.9);
	if (v->frustum)
		CU_ASSERT_EQUAL_FATAL(pe_hull_frustum(space, &v->f, &v->hull), PE_VOLUME_ok);
	if (!v->frustum)
		CU_ASSERT_EQUAL_FATAL(pe_hull_oriented_box(space, &v->box, &v->hull), PE_VOLUME_ok);
}

// A part of −reach … reach, as often as not at one end or all but there.
static double part(double reach)
{
	switch (random_bits() % 4) {
	case 0:
		return reach * (1 - 1e-6);
	case 1:
		return reach * (1e-6 - 1);
	default:
		return random_between(-reach, reach);
	}
}

// A place of own coordinates up to about `reach` of the volume.
static void volume_draw(const struct volume *v, double reach, double place[3])
{
	long double own[3], axis[3][3], origin[3];

	if (v->frustum) {
		own[0] = v->f.near_m + (v->f.far_m * reach - v->f.near_m) * (0.5 + 0.5 * part(1));
		own[1] = own[0] * tan(v->f.horizontal_deg * M_PI / 360) * part(reach);
		own[2] = own[0] * tan(v->f.vertical_deg * M_PI / 360) * part(reach);
	} else {
		for (unsigned i = 0; i < 3; i++)
			own[i] = v->box.half[i] * part(reach);
	}
	turned(volume_orientation(v), false, own);
	if (!v->geodetic) {
		for (unsigned i = 0; i < 3; i++)
			place[i] = volume_place(v)[i] + (double)own[i];
		return;
	}
	earth(volume_place(v), origin);
	local_axes(volume_place(v), axis);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = 0; k < 3; k++)
			origin[k] += own[i] * axis[i][k];
	place_of(origin, place);
}

// Is it inside, and how near is it to a face's plane?
static bool volume_holds(const struct volume *v, const double place[3], long double *nearest)
{
	long double own[3], axis[3][3], origin[3], point[3], off[6];
	bool in = true;

	if (v->geodetic) {
		earth(volume_place(v), origin);
		earth(place, point);
		local_axes(volume_place(v), axis);
		for (unsigned i = 0; i < 3; i++)
			own[i] = axis[i][0] * (point[0] - origin[0]) +
				axis[i][1] * (point[1] - origin[1]) +
				axis[i][2] * (point[2] - origin[2]);
	} else {
		for (unsigned i = 0; i < 3; i++)
			own[i] = (long double)place[i] - volume_place(v)[i];
	}
	turned(volume_orientation(v), true, own);
	if (v->frustum) {
		long double across = v->f.horizontal_deg * M_PIl / 360,
			    up = v->f.vertical_deg * M_PIl / 360;
		long double flat = hypotl(own[0], own[1]), tall = hypotl(own[0], own[2]);

		off[0] = v->f.far_m - own[0];
		off[1] = own[0] - v->f.near_m;
		// By angles: how far the way to the place is turned from the sides.
		off[2] = flat * sinl(across - fabsl(atan2l(own[1], own[0])));
		off[3] = tall * sinl(up - fabsl(atan2l(own[2], own[0])));
		off[4] = off[5] = off[3];
		if (own[0] < 0)
			off[4] = own[0];
	} else {
		for (unsigned i = 0; i < 6; i++)
			off[i] = v->box.half[i / 2] - fabsl(own[i / 2]);
	}
	*nearest = INFINITY;
	for (unsigned i = 0; i < 6; i++) {
		in = in && off[i] >= 0;
		*nearest = fminl(*nearest, fabsl(off[i]));
	}
	return in && !(v->geodetic && place[2] < PE_HEIGHT_LOWEST_M);
}

static void inside(const struct pe_space *space)
{
	unsigned tested = 0, held = 0, near = 0, wrong = 0;

	for (unsigned n = 0; n < testing_amount(2000); n++) {
		struct volume v;

		volume_random(space, 2e6, &v);
		for (unsigned i = 0; i < 50; i++) {
			double place[3];
			long double off;

			volume_draw(&v, i % 2 ? 1 : 1.3, place);
			if (i % 10 == 0)
				place[2] += v.size * random_between(-1, 1);
			bool in = volume_holds(&v, place, &off);

			tested++;
			if (off < (v.geodetic ? 2e-8L : 1e-14L * v.size)) {
				near++;
				continue;
			}
			held += in;
			wrong += in != pe_hull_holds(&v.hull, place);
		}
	}
	printf(" [%u tested, %u inside, %u too near to tell, %u wrong]", tested, held, near, wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(held > tested / 4 && held < tested * 9 / 10 && near < tested / 20);
}

static void cartesian(void)
{
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});

	random_seed("cartesian", 0x5EED51);
	inside(&flat);
}

static void geodetic(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});

	random_seed("geodetic", 0x5EED52);
	inside(&world);
}

static void regions(void)
{
	const struct pe_space spaces[] = {
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {52.5, 13.4}}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {-90, 0}}),
		prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN})};
	unsigned held = 0, missed = 0, frames[PE_FRAMES_MAX + 1] = {0}, cells[3] = {0}, wrong = 0;
	double width = 0, widths = 0;

	random_seed("regions", 0x5EED53);
	for (unsigned n = 0; n < testing_amount(4000); n++) {
		const struct pe_space *s = &spaces[n % 4];
		struct pe_region region[PE_FRAMES_MAX];
		struct volume v;
		double lo[2] = {INFINITY, INFINITY}, hi[2] = {-INFINITY, -INFINITY};

		volume_random(s, n % 8 < 4 ? 2e6 : 2e4, &v);
		unsigned count = pe_hull_regions(s, &v.hull, region);

		if (n % 4 == 0)
			frames[count]++;
		for (unsigned i = 0; i < 50; i++) {
			struct pe_place place, near;
			double p[3], metres[3];

			volume_draw(&v, 1, p);
			if (pe_space_locate(s, p, &place) != PE_REASON_none)
				continue;

			struct pe_units u = pe_place_units(place.key, place.word);
			unsigned level = (unsigned)(random_bits() % 31);
			int64_t low[3], high[3];
			bool in = pe_hull_holds(&v.hull, p);

			for (unsigned d = 0; d < 3; d++) {
				low[d] = u.v[d] & ~(((int64_t)1 << level) - 1);
				high[d] = low[d] + (((int64_t)1 << level) - 1);
			}
			enum pe_cell_side side = pe_hull_classify(s, &v.hull, u.frame, low, high);

			cells[side]++;
			wrong += (side == PE_CELL_INSIDE && !in) || (side == PE_CELL_OUTSIDE && in);
			// A place near by, which as a rule is outside.
			volume_draw(&v, 3, metres);
			if (pe_space_locate(s, metres, &near) == PE_REASON_none) {
				u = pe_place_units(near.key, near.word);
				level = (unsigned)(random_bits() % 24);
				for (unsigned d = 0; d < 3; d++) {
					low[d] = u.v[d] & ~(((int64_t)1 << level) - 1);
					high[d] = low[d] + (((int64_t)1 << level) - 1);
				}
				side = pe_hull_classify(s, &v.hull, u.frame, low, high);
				cells[side]++;
				wrong += side == PE_CELL_OUTSIDE && pe_hull_holds(&v.hull, metres);
				wrong += side == PE_CELL_INSIDE && !pe_hull_holds(&v.hull, metres);
			}
			if (!in)
				continue;
			held++;
			missed += !region_of(region, count, &place);
			pe_space_frame_metres(s, 0, p, metres);
			for (unsigned d = 0; d < 2; d++) {
				lo[d] = fmin(lo[d], metres[d]);
				hi[d] = fmax(hi[d], metres[d]);
			}
		}
		// How much wider than what was drawn, corners included: in the geometric mean,
		// which the few that are drawn high above a narrow footprint don't rule.
		if (v.geodetic && s->frame_count == 1 && count == 1 && hi[0] - lo[0] > 100) {
			width += log(((double)(region[0].hi[0] - region[0].lo[0]) * s->unit_m) /
				(hi[0] - lo[0]));
			widths++;
		}
	}
	printf("\n    %u held, %u missed; worldwide by frames 0–6: %u %u %u %u %u %u %u; mean width %.2f of what was drawn;"
	       "\n    cells: %u outside, %u crossing, %u inside, %u wrong ",
		held, missed, frames[0], frames[1], frames[2], frames[3], frames[4], frames[5],
		frames[6], exp(width / widths), cells[0], cells[1], cells[2], wrong);
	CU_ASSERT_EQUAL(missed, 0);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(held > testing_amount(100000));
	CU_ASSERT(exp(width / widths) < 1.2);
	CU_ASSERT(cells[PE_CELL_OUTSIDE] > testing_amount(10000) &&
		cells[PE_CELL_INSIDE] > testing_amount(1000));
}

static void by_hand(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	double half = sqrt(0.5);
	struct pe_oriented_box box = {{1, 2, 3}, {10, 20, 30}, {0, 0, 0, 1}};
	struct pe_frustum f = {{0, 0, 0}, {0, 0, 0, 1}, 90, 60, 1, 10};
	struct pe_hull h;

#define IN(x, y, z) pe_hull_holds(&h, (double[]){x, y, z})
	CU_ASSERT_EQUAL(pe_hull_oriented_box(&flat, &box, &h), PE_VOLUME_ok);
	CU_ASSERT(IN(11, 22, 33) && IN(-9, -18, -27) && IN(1, 2, 3)); // faces included
	CU_ASSERT(!IN(11.000001, 2, 3) && !IN(1, 22.000001, 3) && !IN(1, 2, -27.000001));
	CU_ASSERT(!IN(NAN, 2, 3) && !IN(1, 2, NAN));
	// A quarter turn about z takes x to y.
	memcpy(box.orientation, (double[]){0, 0, half, half}, sizeof box.orientation);
	CU_ASSERT_EQUAL(pe_hull_oriented_box(&flat, &box, &h), PE_VOLUME_ok);
	CU_ASSERT(IN(20.999, 2, 3) && !IN(21.001, 2, 3) && IN(1, 11.999, 3) && !IN(1, 12.001, 3));
	// Looks along x: the width in x-y, the height in x-z.
	CU_ASSERT_EQUAL(pe_hull_frustum(&flat, &f, &h), PE_VOLUME_ok);
	CU_ASSERT(IN(10, 0, 0) && IN(1, 0, 0) && IN(5, 4.999, 0) && IN(5, 0, 2.886));
	CU_ASSERT(!IN(10.001, 0, 0) && !IN(0.999, 0, 0) && !IN(5, 5.001, 0) && !IN(5, 0, 2.887) &&
		!IN(-5, 0, 0));
	// A quarter turn about z looks north, one about −y looks up.
	f = (struct pe_frustum){{60, 25, 100}, {0, 0, half, half}, 30, 10, 0, 10000};
	CU_ASSERT_EQUAL(pe_hull_frustum(&world, &f, &h), PE_VOLUME_ok);
	CU_ASSERT(IN(60.05, 25, 100) && !IN(59.95, 25, 100) && !IN(60, 25.05, 100) &&
		!IN(60.05, 25, 1000) && IN(60.05, 25.02, 100) && !IN(60.05, 25, NAN));
	memcpy(f.orientation, (double[]){0, -half, 0, half}, sizeof f.orientation);
	CU_ASSERT_EQUAL(pe_hull_frustum(&world, &f, &h), PE_VOLUME_ok);
	CU_ASSERT(IN(60, 25, 5000) && !IN(60, 25, 50) && !IN(60, 25, 10101) && IN(60, 25, 10099));
	// The ground falls away below a level box: 100 km to the east by 785 m.
	box = (struct pe_oriented_box){{0, 179.5, 0}, {200000, 1000, 100}, {0, 0, 0, 1}};
	CU_ASSERT_EQUAL(pe_hull_oriented_box(&world, &box, &h), PE_VOLUME_ok);
	CU_ASSERT(
		IN(0, 179.5, 99) && !IN(0, -179.6, 0) && IN(0, -179.6, 784) && !IN(0, -179.6, 890));
	box = (struct pe_oriented_box){{-90, 0, 0}, {1000, 1000, 20000}, {0, 0, 0, 1}};
	CU_ASSERT_EQUAL(pe_hull_oriented_box(&world, &box, &h), PE_VOLUME_ok);
	CU_ASSERT(IN(-90, 77, 0) && IN(-89.995, 100, 5) && !IN(-89.9, 0, 0) && IN(-90, 0, -12700) &&
		!IN(-90, 0, -12700.1));
}

static void refusals(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct pe_space flat = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN});
	const struct pe_oriented_box good = {{1, 2, 3}, {10, 20, 30}, {0, 0, 0, 1}};
	const struct pe_frustum fine = {{1, 2, 3}, {0.6, 0, 0.8, 0}, 90, 60, 1, 10};
	struct pe_oriented_box box;
	struct pe_frustum f;
	struct pe_hull h;

#define BOX(space, fault, field, value) \
	do { \
		box = good; \
		box.field = value; \
		CU_ASSERT_EQUAL(pe_hull_oriented_box(&(space), &box, &h), PE_VOLUME_##fault); \
	} while (0)
#define FRUSTUM(space, fault, field, value) \
	do { \
		f = fine; \
		f.field = value; \
		CU_ASSERT_EQUAL(pe_hull_frustum(&(space), &f, &h), PE_VOLUME_##fault); \
	} while (0)
	BOX(flat, ok, half[0], 1e9);
	BOX(flat, not_finite, centre[2], NAN);
	BOX(flat, not_finite, half[1], INFINITY);
	BOX(flat, not_finite, half[1], NAN);
	BOX(flat, not_finite, orientation[0], NAN);
	BOX(flat, rotation, orientation[0], 0.1);
	BOX(flat, rotation, orientation[3], 0);
	BOX(flat, ok, orientation[3], -1);
	BOX(flat, ok, orientation[3], 1.0000003);
	BOX(flat, extents, half[2], 0);
	BOX(flat, extents, half[0], -1);
	BOX(flat, too_large, half[0], 1e300);
	BOX(flat, too_large, centre[0], -1e300);
	BOX(flat, ok, centre[0], 91);
	BOX(world, off_earth, centre[0], 90.1);
	BOX(world, off_earth, centre[1], -180.1);
	BOX(world, too_large, centre[2], -12701);
	BOX(world, ok, centre[2], 800000);
	BOX(world, too_large, half[0], 2000000);
	BOX(world, ok, half[0], 1990000);
	FRUSTUM(flat, ok, near_m, 0);
	FRUSTUM(flat, not_finite, apex[0], INFINITY);
	FRUSTUM(flat, not_finite, near_m, NAN);
	FRUSTUM(flat, not_finite, far_m, INFINITY);
	FRUSTUM(flat, not_finite, vertical_deg, NAN);
	FRUSTUM(flat, rotation, orientation[2], 0.7);
	FRUSTUM(flat, angles, vertical_deg, 0);
	FRUSTUM(flat, angles, horizontal_deg, 170.1);
	FRUSTUM(flat, angles, horizontal_deg, -10);
	FRUSTUM(flat, ok, horizontal_deg, 170);
	FRUSTUM(flat, distances, near_m, 10);
	FRUSTUM(flat, distances, near_m, -1);
	FRUSTUM(flat, distances, far_m, 1);
	FRUSTUM(flat, too_large, far_m, 1e300);
	FRUSTUM(world, off_earth, apex[0], -91);
	FRUSTUM(world, too_large, far_m, 4000000);
	FRUSTUM(world, ok, far_m, 1000000);
}

// Printed, not tested: times wander on a shared machine.
static void speed(void)
{
	const struct pe_space spaces[] = {
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true}),
		prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN})};
	static double place[1024][3];
	volatile unsigned held = 0;

	random_seed("speed", 0x5EED54);
	for (unsigned s = 0; s < 2; s++) {
		struct timespec from, to;
		struct volume v;

		volume_random(&spaces[s], 1e5, &v);
		for (unsigned i = 0; i < 1024; i++)
			volume_draw(&v, 1.3, place[i]);
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (unsigned i = 0; i < 102400; i++)
			held += pe_hull_holds(&v.hull, place[i % 1024]);
		clock_gettime(CLOCK_MONOTONIC, &to);
		printf(" [%s: %.0f ns a test]", s ? "CARTESIAN" : "GEODETIC",
			((double)(to.tv_sec - from.tv_sec) * 1e9 +
				(double)(to.tv_nsec - from.tv_nsec)) /
				102400);
	}
	CU_ASSERT(held > 0);
}

TESTING_MAIN("space-hull", {"cartesian", cartesian}, {"geodetic", geodetic}, {"regions", regions},
	{"by hand", by_hand}, {"refusals", refusals}, {"speed", speed})
