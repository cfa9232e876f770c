// Polygons on Earth against S2's, whose predicates are exact: the same directions, and so the same
// great circles.
#include "s2_oracle.h"
#include "volume_testing.h"

// What is as near to an edge is left out: the two compute a footprint in different ways, and each
// is right to some nanometres.
#define BAND_M 2e-8
#define RADIUS 6371000.0

static void direction_of(const double place[2], double direction[3])
{
	long double lat = place[0] * (M_PIl / 180), lon = place[1] * (M_PIl / 180);
	long double f = 1 / 298.257223563L;

	direction[0] = (double)(cosl(lat) * cosl(lon));
	direction[1] = (double)(cosl(lat) * sinl(lon));
	direction[2] = (double)((1 - f) * (1 - f) * sinl(lat));
	// A pole is one place, and a direction of the longitude 0 there.
	if (fabs(place[0]) == 90.0)
		direction[0] = direction[1] = 0.0;
}

struct tally {
	unsigned polygons, pairs, inside, near, wrong, refused;
	double furthest_wrong_m;
};

static struct s2_oracle *oracle_of(const struct rings *r)
{
	double directions[PE_POLYGON_VERTICES_MAX][3];

	for (unsigned i = 0; i < r->vertices; i++)
		direction_of(r->vertex[i], directions[i]);
	return s2_oracle_make(directions, r->size, r->count);
}

static void compare(
	const struct pe_space *space, const struct rings *r, unsigned places, struct tally *t)
{
	static struct pe_polygon polygon;
	struct s2_oracle *oracle;

	if (rings_prepare(space, r, &polygon) != PE_VOLUME_ok) {
		t->refused++;
		return;
	}
	oracle = oracle_of(r);
	CU_ASSERT(s2_oracle_valid(oracle));
	t->polygons++;
	for (unsigned n = 0; n < places; n++) {
		double p[3], d[3];

		rings_place(r, true, p);
		if (n % 64 == 0) {
			p[0] = n % 128 ? 90 : -90;
			p[1] = random_between(-180, 180);
		}
		direction_of(p, d);
		bool ours = pe_polygon_covers(&polygon, p), theirs = s2_oracle_holds(oracle, d);

		t->pairs++;
		t->inside += theirs;
		if (ours == theirs)
			continue;
		double off = s2_oracle_edge(oracle, d) * RADIUS;

		t->near += off <= BAND_M;
		t->wrong += off > BAND_M;
		t->furthest_wrong_m = fmax(t->furthest_wrong_m, off);
	}
	s2_oracle_free(oracle);
}

static void print(const struct tally *t)
{
	printf("\n    %u polygons (%u refused), %u pairs, %u inside, %u differ, at most %.2g m from an edge; %u wrong ",
		t->polygons, t->refused, t->pairs, t->inside, t->near + t->wrong,
		t->furthest_wrong_m, t->wrong);
}

static void stars(double least_m, double most_m)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct tally t = {0};

	for (unsigned n = 0; n < testing_amount(4000); n++) {
		struct rings r;
		double centre[3];
		unsigned vertices = n % 8 ? 3 + (unsigned)(random_bits() % 30) :
					    3 + (unsigned)(random_bits() % 220);

		random_place(centre);
		rings_random(&r, true, centre, random_log(least_m, most_m), vertices,
			(unsigned)(random_bits() % 5));
		compare(&world, &r, 60, &t);
	}
	print(&t);
	CU_ASSERT_EQUAL(t.wrong, 0);
	CU_ASSERT(t.refused <= t.polygons / 100);
	CU_ASSERT(t.inside > t.pairs / 4);
}

static void small(void)
{
	random_seed("small", 0x5EED61);
	stars(0.5, 5000);
}

static void large(void)
{
	random_seed("large", 0x5EED62);
	stars(5000, 1900000);
}

// Corners of whole degrees: edges along meridians and the antimeridian, from, to and over poles.
static void degrees(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	struct tally t = {0};

	random_seed("degrees", 0x5EED63);
	for (unsigned n = 0; n < testing_amount(4000); n++) {
		struct rings r = {.count = 1, .size = {3 + (unsigned)(random_bits() % 2)}};
		double lat = (double)(int)(random_bits() % 19) * 10 - 90,
		       lon = (double)(int)(random_bits() % 37) * 10 - 180;

		r.vertices = r.size[0];
		r.radius = 1000000;
		for (unsigned i = 0; i < r.vertices; i++) {
			r.vertex[i][0] =
				fmax(-90, fmin(90, lat + (double)(int)(random_bits() % 21) - 10));
			r.vertex[i][1] = wrap(lon + (double)(int)(random_bits() % 25) - 12);
			if (random_bits() % 3 == 0)
				r.vertex[i][1] = lon;
			if (fabs(lat) >= 80 && random_bits() % 2)
				r.vertex[i][1] = (double)(int)(random_bits() % 37) * 10 - 180;
		}
		r.centre[0] = r.vertex[0][0];
		r.centre[1] = r.vertex[0][1];
		compare(&world, &r, 60, &t);
	}
	print(&t);
	CU_ASSERT_EQUAL(t.wrong, 0);
	CU_ASSERT(t.polygons > testing_amount(1000) && t.inside > 5 * testing_amount(1000));
}

// What one refuses for crossing the other does too.
static void crossings(void)
{
	struct pe_space world =
		prepared((struct pe_space_config){.kind = PE_SPACE_GEODETIC, .worldwide = true});
	static struct pe_polygon polygon;
	unsigned crossing = 0, simple = 0, wrong = 0;

	random_seed("crossings", 0x5EED64);
	for (unsigned n = 0; n < testing_amount(20000); n++) {
		struct rings r = {.count = 1, .size = {4 + (unsigned)(random_bits() % 4)}};
		double centre[3], place[3], radius = random_log(1, 1900000);

		random_place(centre);
		r.vertices = r.size[0];
		for (unsigned i = 0; i < r.vertices; i++) {
			geodesic_to(centre, random_between(0, 360), radius * random_between(0, 1),
				place);
			r.vertex[i][0] = place[0];
			r.vertex[i][1] = place[1];
		}
		enum pe_volume_fault fault = rings_prepare(&world, &r, &polygon);
		struct s2_oracle *oracle = oracle_of(&r);

		crossing += fault == PE_VOLUME_crossing;
		simple += fault == PE_VOLUME_ok;
		wrong += (fault == PE_VOLUME_ok) != s2_oracle_valid(oracle);
		s2_oracle_free(oracle);
	}
	printf(" [%u crossing, %u not, %u wrong]", crossing, simple, wrong);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(crossing > testing_amount(2000) && simple > testing_amount(1000));
}

TESTING_MAIN("space-polygon-s2", {"small", small}, {"large", large}, {"degrees", degrees},
	{"crossings", crossings})
