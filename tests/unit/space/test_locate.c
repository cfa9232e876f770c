// Preparing spaces, and positions to cells and words and back.
#include "space_testing.h"

static bool refused(struct pe_space_config config, const char *word)
{
	struct pe_space space;
	struct pe_error error = {0};
	enum pe_status status = pe_space_prepare(&space, &config, 0, &error);

	return status == PE_INVALID && error.status == PE_INVALID && strstr(error.text, word);
}

static void configurations(void)
{
	struct pe_space_config good = {.kind = PE_SPACE_CARTESIAN,
				       .leaf_edge_m = 64,
				       .leaf_height_m = 1024},
			       c;
	struct pe_space space;
	struct pe_error error;

	CU_ASSERT_EQUAL(pe_space_prepare(&space, &good, 0, &error), PE_OK);
	CU_ASSERT_EQUAL(space.z_shift, 4);
	CU_ASSERT_EQUAL(space.unit_m, 64.0 / 1048576.0);
	CU_ASSERT_EQUAL(pe_space_prepare(&space, &good, 64, &error), PE_INVALID);
#define REFUSED(word, ...) \
	do { \
		c = good; \
		__VA_ARGS__; \
		CU_ASSERT(refused(c, word)); \
	} while (0)
	REFUSED("leaf_edge_m", c.leaf_edge_m = 0);
	REFUSED("leaf_edge_m", c.leaf_edge_m = -1);
	REFUSED("leaf_edge_m", c.leaf_edge_m = NAN);
	REFUSED("leaf_edge_m", c.leaf_edge_m = INFINITY);
	REFUSED("leaf_height_m", c.leaf_height_m = 0);
	REFUSED("leaf_height_m", c.leaf_height_m = 32);
	REFUSED("leaf_height_m", c.leaf_height_m = 192);
	REFUSED("leaf_height_m", c.leaf_height_m = 64 * 512);
	REFUSED("leaf_height_m", c.leaf_height_m = NAN);
	REFUSED("extent_m", c.extent_m = -1);
	REFUSED("extent_m", c.extent_m = NAN);
	REFUSED("extent_m", c.extent_m = 16777217);
	REFUSED("extent_m", c.leaf_height_m = 64; c.extent_m = 1048577);
	REFUSED("worldwide", c.worldwide = true);
	REFUSED("kind", c.kind = (enum pe_space_kind)7);
	good.kind = PE_SPACE_GEODETIC;
	REFUSED("home", c.home[0] = 90.1);
	REFUSED("home", c.home[0] = NAN);
	REFUSED("home", c.home[1] = -181);
	REFUSED("extent_m", c.extent_m = 2e7);
	REFUSED("extent_m", c.leaf_edge_m = c.leaf_height_m = 1; c.extent_m = 300000);
	REFUSED("extent_m", c.worldwide = true; c.extent_m = 5);
	REFUSED("worldwide", c.worldwide = true; c.leaf_edge_m = 16);
	REFUSED("worldwide", c.worldwide = true; c.leaf_height_m = 64);
	for (double ratio = 1; ratio <= 256; ratio *= 2) {
		c = good;
		c.leaf_height_m = c.leaf_edge_m * ratio;
		CU_ASSERT_EQUAL(pe_space_prepare(&space, &c, 63, &error), PE_OK);
		CU_ASSERT_EQUAL(1u << space.z_shift, (unsigned)ratio);
	}
}

static void cartesian_edges(void)
{
	struct pe_space s = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN}), small;
	struct pe_place p;
	struct pe_units u;

	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){0, 0, 0}, &p), PE_REASON_none);
	CU_ASSERT_EQUAL(p.key, pe_key_make(5, 0, 1 << 18, 1 << 18, 1 << 14));
	CU_ASSERT_EQUAL(p.word, 0);
	// One unit below a cell's edge is the neighbour's last; negative coordinates round down
	// too.
	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){64 - s.unit_m, -s.unit_m, -1e-9}, &p),
		PE_REASON_none);
	CU_ASSERT_EQUAL(p.key, pe_key_make(5, 0, 1 << 18, (1 << 18) - 1, (1 << 14) - 1));
	CU_ASSERT_EQUAL(p.word, PE_WORD_POSITION);
	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){64, -64, 1024}, &p), PE_REASON_none);
	CU_ASSERT_EQUAL(p.key, pe_key_make(5, 0, (1 << 18) + 1, (1 << 18) - 1, (1 << 14) + 1));
	CU_ASSERT_EQUAL(p.word, 0);
	u = pe_place_units(p.key, p.word);
	CU_ASSERT(u.v[0] == 1 << 20 && u.v[1] == -(1 << 20) && u.v[2] == 1 << 20);
	// The key's own ends: 2^18 cells of 64 m, the upper one outside.
	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){-16777216, -16777216, -16777216}, &p),
		PE_REASON_none);
	CU_ASSERT_EQUAL(p.key, pe_key_make(5, 0, 0, 0, 0));
	CU_ASSERT_EQUAL(
		pe_space_locate(&s, (double[]){16777215.9999, 0, 16777215.9}, &p), PE_REASON_none);
	CU_ASSERT_EQUAL(PE_KEY_X(p.key), 0x7FFFF);
	CU_ASSERT_EQUAL(PE_KEY_Z(p.key), 0x7FFF);
	CU_ASSERT_EQUAL(
		pe_space_locate(&s, (double[]){16777216, 0, 0}, &p), PE_REASON_out_of_bounds);
	CU_ASSERT_EQUAL(
		pe_space_locate(&s, (double[]){0, 0, 16777216}, &p), PE_REASON_out_of_bounds);
	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){0, -1e300, 0}, &p), PE_REASON_out_of_bounds);
	for (unsigned i = 0; i < 3; i++) {
		double bad[3] = {0};

		bad[i] = NAN;
		CU_ASSERT_EQUAL(pe_space_locate(&s, bad, &p), PE_REASON_coordinates);
		bad[i] = -INFINITY;
		CU_ASSERT_EQUAL(pe_space_locate(&s, bad, &p), PE_REASON_coordinates);
	}
	small = prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN, .extent_m = 100});
	CU_ASSERT_EQUAL(pe_space_locate(&small, (double[]){100, -100, 100}, &p), PE_REASON_none);
	CU_ASSERT_EQUAL(
		pe_space_locate(&small, (double[]){100.001, 0, 0}, &p), PE_REASON_out_of_bounds);
	CU_ASSERT_EQUAL(
		pe_space_locate(&small, (double[]){0, 0, -100.001}, &p), PE_REASON_out_of_bounds);
}

// Held position ≤ true one, and less than a unit below, an axis at a time.
static unsigned round_trip(const struct pe_space *s, const double position[3], double *worst)
{
	struct pe_place p;
	double metres[3];
	unsigned bad = 0;

	if (pe_space_locate(s, position, &p) != PE_REASON_none)
		return 1;
	struct pe_units u = pe_place_units(p.key, p.word);

	pe_space_frame_metres(s, u.frame, position, metres);
	for (unsigned i = 0; i < 3; i++) {
		double unit = s->unit_m * (i == 2 ? 1u << s->z_shift : 1u);
		double below = metres[i] - (double)u.v[i] * unit;

		*worst = fmax(*worst, below / unit);
		bad += below < -1e-8 || below > unit + 1e-8;
	}
	return bad;
}

static void round_trips(void)
{
	const struct pe_space spaces[] = {
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {52.5, 13.4}}),
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .home = {-90, 0}}),
		prepared((struct pe_space_config){.kind = PE_SPACE_CARTESIAN}),
		prepared((struct pe_space_config){
			.kind = PE_SPACE_CARTESIAN, .leaf_edge_m = 3.3, .leaf_height_m = 3.3}),
	};
	double worst = 0.0;
	unsigned bad = 0;

	random_seed("round trips", 0x5EED11);
	for (unsigned n = 0; n < 500000; n++) {
		const struct pe_space *s = &spaces[n % 5];
		double p[3];

		random_place(p);
		if (s->config.kind == PE_SPACE_CARTESIAN)
			for (unsigned i = 0; i < 3; i++)
				p[i] = copysign(random_log(1e-6, 5e4), random_between(-1, 1));
		bad += round_trip(s, p, &worst);
	}
	printf(" [at most %.6f units]", worst);
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(worst > 0.99);
}

static void same_places(void)
{
	struct pe_space s =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct pe_place a, b;

	random_seed("same places", 0x5EED12);
	for (unsigned n = 0; n < 20000; n++) {
		double lat = random_between(-90, 90), lon = random_between(-180, 180),
		       pole = n & 1 ? 90 : -90;

		CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){lat, 180, 0}, &a), PE_REASON_none);
		CU_ASSERT_EQUAL(
			pe_space_locate(&s, (double[]){lat, -180, 1e9}, &b), PE_REASON_none);
		CU_ASSERT(a.key == b.key && a.word == b.word);
		CU_ASSERT_EQUAL(
			pe_space_locate(&s, (double[]){pole, lon, -1e300}, &a), PE_REASON_none);
		CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){pole, 0, 0}, &b), PE_REASON_none);
		CU_ASSERT(a.key == b.key && a.word == b.word);
		CU_ASSERT_EQUAL(PE_KEY_FRAME(a.key), n & 1 ? 4 : 5);
	}
	CU_ASSERT_EQUAL(
		pe_space_locate(&s, (double[]){90.0000001, 0, 0}, &a), PE_REASON_coordinates);
	CU_ASSERT_EQUAL(
		pe_space_locate(&s, (double[]){0, -180.0000001, 0}, &a), PE_REASON_coordinates);
	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){0, 0, NAN}, &a), PE_REASON_coordinates);
	CU_ASSERT_EQUAL(pe_space_locate(&s, (double[]){0, 0, INFINITY}, &a), PE_REASON_coordinates);
}

// The frame is the one whose up is nearest, by the long way: angles to all six homes.
static void frames(void)
{
	struct pe_space s =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	unsigned bad = 0, seen[6] = {0};

	random_seed("frames", 0x5EED13);
	for (unsigned n = 0; n < 200000; n++) {
		double p[3], best = -2.0, own = 0.0, lat, lon;
		struct pe_place place;

		random_place(p);
		lat = p[0] * M_PI / 180.0, lon = p[1] * M_PI / 180.0;
		if (pe_space_locate(&s, p, &place)) {
			bad++;
			continue;
		}
		for (unsigned f = 0; f < 6; f++) {
			double dot = s.frame[f].up[0] * cos(lat) * cos(lon) +
				s.frame[f].up[1] * cos(lat) * sin(lon) +
				s.frame[f].up[2] * sin(lat);

			best = fmax(best, dot);
			if (f == PE_KEY_FRAME(place.key))
				own = dot;
		}
		bad += own < best - 1e-12;
		seen[PE_KEY_FRAME(place.key)]++;
	}
	CU_ASSERT_EQUAL(bad, 0);
	for (unsigned f = 0; f < 6; f++)
		CU_ASSERT(seen[f] > 10000);
	// Turning keeps lengths: each frame's rows are orthonormal and right-handed.
	for (unsigned f = 0; f < 6; f++)
		for (unsigned i = 0; i < 3; i++) {
			const double *x = s.frame[f].turn[i], *y = s.frame[f].turn[(i + 1) % 3],
				     *z = s.frame[f].turn[(i + 2) % 3];

			CU_ASSERT_DOUBLE_EQUAL(x[0] * x[0] + x[1] * x[1] + x[2] * x[2], 1.0, 1e-15);
			CU_ASSERT_DOUBLE_EQUAL(x[1] * y[2] - x[2] * y[1], z[0], 1e-15);
			CU_ASSERT_DOUBLE_EQUAL(x[2] * y[0] - x[0] * y[2], z[1], 1e-15);
		}
}

static void regional(void)
{
	struct pe_space s = prepared((struct pe_space_config){
		.kind = PE_SPACE_GEODETIC, .home = {60, 179.9}, .extent_m = 50000});
	struct pe_place p;
	double m[3], home[3] = {60, 179.9, 0}, q[3];

	pe_space_frame_metres(&s, 0, home, m);
	CU_ASSERT(fabs(m[0]) + fabs(m[1]) + fabs(m[2]) < 1e-8);
	for (double azimuth = -180; azimuth < 180; azimuth += 15) {
		geodesic_to(home, azimuth, 49999.9, q); // its chord is 0.13 m shorter
		CU_ASSERT_EQUAL(pe_space_locate(&s, q, &p), PE_REASON_none);
		geodesic_to(home, azimuth, 50000.3, q);
		CU_ASSERT_EQUAL(pe_space_locate(&s, q, &p), PE_REASON_out_of_bounds);
	}
	// East is +x and north is +y.
	geodesic_to(home, 90, 1000, q);
	pe_space_frame_metres(&s, 0, q, m);
	CU_ASSERT(fabs(m[0] - 1000) < 0.1 && fabs(m[1]) < 0.2 && m[2] < 0 && m[2] > -0.1);
	geodesic_to(home, 0, 1000, q);
	pe_space_frame_metres(&s, 0, q, m);
	CU_ASSERT(fabs(m[1] - 1000) < 0.1 && fabs(m[0]) < 0.2);
}

static void batch(void)
{
	struct pe_space s =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct { // as far apart as update records
		double position[3];
		char rest[56];
	} in[64];
	struct pe_place places[64];
	enum pe_reason reasons[64];

	random_seed("batch", 0x5EED14);
	for (unsigned turn = 0; turn < 1000; turn++) {
		for (unsigned i = 0; i < 64; i++) {
			random_place(in[i].position);
			if (random_bits() % 8 == 0)
				in[i].position[random_bits() % 3] = random_bits() & 1 ? NAN : 1e9;
		}
		pe_space_locate_batch(&s, in[0].position, sizeof in[0], 64, places, reasons);
		for (unsigned i = 0; i < 64; i++) {
			struct pe_place one;
			enum pe_reason reason = pe_space_locate(&s, in[i].position, &one);

			CU_ASSERT_EQUAL(reason, reasons[i]);
			if (!reason)
				CU_ASSERT(one.key == places[i].key && one.word == places[i].word);
		}
	}
}

TESTING_MAIN("space-locate", {"configurations", configurations},
	{"cartesian edges", cartesian_edges}, {"round trips", round_trips},
	{"same places", same_places}, {"frames", frames}, {"regional", regional}, {"batch", batch})
