// What the tests of engine/space share: a seeded generator whose seed is printed, random places
// that favour the awkward ones, and prepared spaces. One thread.
#pragma once

#include "space/space.h"
#include "testing.h"

#include <geodesic.h>
#include <math.h>
#include <string.h>

static uint64_t random_state;

static inline void random_seed(const char *test, uint64_t fallback)
{
	const char *text = getenv("PE_TEST_SEED");

	random_state = text ? strtoull(text, NULL, 0) : fallback;
	printf(" [%s: seed %#llx]", test, (unsigned long long)random_state);
}

// splitmix64
static inline uint64_t random_bits(void)
{
	uint64_t z = (random_state += 0x9E3779B97F4A7C15ull);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

static inline double random_between(double lo, double hi)
{
	return lo + (hi - lo) * ((double)(random_bits() >> 11) * 0x1p-53);
}

// Spread over magnitudes rather than values.
static inline double random_log(double lo, double hi)
{
	return exp(random_between(log(lo), log(hi)));
}

static inline double wrap(double longitude)
{
	return longitude > 180.0   ? longitude - 360.0 :
		longitude < -180.0 ? longitude + 360.0 :
				     longitude;
}

// A place on Earth: half of them anywhere, the others at or near poles, the equator, the
// antimeridian, the borders and the corners of the cube's faces.
static inline void random_place(double place[3])
{
	static const double awkward_lon[] = {-180, 180, -135, -90, -45, 0, 45, 90, 135};
	double near = random_bits() & 1 ? 0.0 : random_log(1e-9, 2.0);

	place[0] = asin(random_between(-1.0, 1.0)) / M_PI * 180.0;
	place[1] = random_between(-180.0, 180.0);
	place[2] = random_between(-500.0, 20000.0);
	switch (random_bits() % 10) {
	case 0: // a pole, or near it
		place[0] = random_bits() & 1 ? 90.0 - near : near - 90.0;
		break;
	case 1: // the equator
		place[0] = random_between(-1.0, 1.0) * near;
		break;
	case 2: // a meridian between faces or through a home, the antimeridian among them
	case 3:
		place[1] = wrap(awkward_lon[random_bits() % 9] + random_between(-1.0, 1.0) * near);
		break;
	case 4: { // a border between a side and a cap of the cube, or its corners
		double quarter = M_PI / 4.0,
		       off = random_bits() & 1 ? random_between(-quarter, quarter) : quarter;
		double side = (double)(random_bits() % 4) * 90.0 - 90.0;

		place[0] = atan(cos(off)) / M_PI * 180.0 + random_between(-1.0, 1.0) * near;
		place[0] = copysign(place[0], random_between(-1.0, 1.0));
		place[1] = wrap(side + off / M_PI * 180.0);
		break;
	}
	default:
		break;
	}
	place[0] = fmin(fmax(place[0], -90.0), 90.0);
}

static inline const struct geod_geodesic *wgs84(void)
{
	static struct geod_geodesic geodesic;

	if (geodesic.a == 0.0)
		geod_init(&geodesic, 6378137.0, 1.0 / 298.257223563);
	return &geodesic;
}

static inline double geodesic_m(const double p[3], const double q[3])
{
	double metres;

	geod_inverse(wgs84(), p[0], p[1], q[0], q[1], &metres, NULL, NULL);
	return metres;
}

// The place at a surface distance from another.
static inline void geodesic_to(const double from[3], double azimuth, double metres, double to[3])
{
	geod_direct(wgs84(), from[0], from[1], azimuth, metres, &to[0], &to[1], NULL);
	to[1] = wrap(to[1]);
	to[0] = fmin(fmax(to[0], -90.0), 90.0);
	to[2] = random_between(-500.0, 20000.0);
}

static inline struct pe_space prepared(struct pe_space_config config)
{
	struct pe_space space;
	struct pe_error error = {0};

	if (!config.leaf_edge_m) {
		config.leaf_edge_m = 64.0;
		config.leaf_height_m = 1024.0;
	}
	if (pe_space_prepare(&space, &config, 5, &error) != PE_OK) {
		fprintf(stderr, "prepare: %s\n", error.text);
		abort();
	}
	return space;
}

// Would a walk of these regions keep the slot? The test that the grid makes, in plain words.
static inline const struct pe_region *region_of(
	const struct pe_region *regions, unsigned count, const struct pe_place *place)
{
	struct pe_units u = pe_place_units(place->key, place->word);

	for (unsigned r = 0; r < count; r++) {
		bool in =
			regions[r].frame == u.frame && regions[r].space == PE_KEY_SPACE(place->key);

		for (unsigned i = 0; i < 3; i++)
			in = in && u.v[i] >= regions[r].lo[i] && u.v[i] <= regions[r].hi[i];
		if (in && regions[r].test == PE_REGION_SPHERE)
			in = pe_region_square(&regions[r], place->key, place->word) <=
				regions[r].square;
		if (in)
			return &regions[r];
	}
	return NULL;
}
