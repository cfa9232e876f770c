// Registered methods: what is taken into the table, what a method may draw, what of its answers is
// believed; and `scatter`.
#include "policy/methods.h"

#include "policy/views.h"
#include "space/coarse.h"
#include "testing.h"

#include <math.h>
#include <string.h>

static struct pe_space plane, earth, small;
static struct pe_views views;
static struct pe_error error;

static void prepare(void)
{
	struct pe_space_config c = {.name = "earth",
		.kind = PE_SPACE_GEODETIC,
		.worldwide = true,
		.leaf_edge_m = 64,
		.leaf_height_m = 1024};
	const struct pe_views_config none = {0};

	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&earth, &c, 0, &error), PE_OK);
	c.kind = PE_SPACE_CARTESIAN;
	c.worldwide = false;
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&plane, &c, 1, &error), PE_OK);
	c.extent_m = 130;
	CU_ASSERT_EQUAL_FATAL(pe_space_prepare(&small, &c, 2, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_views_make(&views, &none, 3, &error), PE_OK);
	memset(views.key, 7, sizeof views.key);
}

static void finish(void)
{
	pe_views_unmake(&views);
}

static struct pe_method_stream stream_of(const uint8_t id[16], uint64_t epoch, uint32_t policy)
{
	return (struct pe_method_stream){
		.views = &views, .id = id, .epoch = epoch, .policy = policy};
}

// ---- the table ----

static bool stay(const struct pe_method_case *c, double published[3], double *within_m)
{
	memcpy(published, c->position, sizeof c->position);
	*within_m = 0;
	return true;
}

static void the_table(void)
{
	static struct pe_method m[PE_METHODS_MAX + 1];
	static const char *const wrong[] = {"", "Upper", "a b", "a-b", "\xC3\xA4"};
	char list[512];

	pe_method_list(list, sizeof list);
	CU_ASSERT_STRING_EQUAL(list, "none");
	for (unsigned i = 0; i < 5; i++) {
		struct pe_method bad = {.publish = stay};

		memcpy(bad.name, wrong[i], strlen(wrong[i]));
		CU_ASSERT_EQUAL(pe_method_register(&bad, &error), PE_INVALID);
	}
	m[0] = (struct pe_method){.name = "m"};
	CU_ASSERT_EQUAL(pe_method_register(&m[0], &error), PE_INVALID); // no function
	m[0].publish = stay;
	m[0].first = (struct pe_method_range){.name = "x", .low = 2, .high = 1};
	CU_ASSERT_EQUAL(pe_method_register(&m[0], &error), PE_INVALID);
	m[0].first = (struct pe_method_range){.name = "x", .low = NAN, .high = 1};
	CU_ASSERT_EQUAL(pe_method_register(&m[0], &error), PE_INVALID);
	memset(m[0].name, 'a', sizeof m[0].name); // without an end
	m[0].first = (struct pe_method_range){.name = "x", .low = 1, .high = 2};
	CU_ASSERT_EQUAL(pe_method_register(&m[0], &error), PE_INVALID);
	CU_ASSERT_EQUAL(pe_method_register(&pe_method_scatter, &error), PE_OK);
	for (unsigned i = 1; i < PE_METHODS_MAX; i++) {
		m[i] = m[0];
		memset(m[i].name, 0, sizeof m[i].name);
		snprintf(m[i].name, sizeof m[i].name, "own_%u", i);
		CU_ASSERT_EQUAL(pe_method_register(&m[i], &error), PE_OK);
		CU_ASSERT_EQUAL(pe_method_register(&m[i], &error), PE_INVALID); // twice
		CU_ASSERT_PTR_EQUAL(pe_method_find(m[i].name), &m[i]);
	}
	m[PE_METHODS_MAX] = m[1];
	snprintf(m[PE_METHODS_MAX].name, sizeof m[0].name, "more");
	CU_ASSERT_EQUAL(pe_method_register(&m[PE_METHODS_MAX], &error), PE_FULL);
	CU_ASSERT_PTR_NULL(pe_method_find("more"));
	pe_method_list(list, sizeof list);
	CU_ASSERT(strncmp(list, "scatter, own_1, own_2", 21) == 0);
	pe_method_list(list, 12);
	CU_ASSERT_STRING_EQUAL(list, "scatter, ow");
	CU_ASSERT_EQUAL(pe_method_check(&m[1], 1, 0, &error), PE_OK);
	CU_ASSERT_EQUAL(pe_method_check(&m[1], 2.5, 0, &error), PE_RANGE);
	CU_ASSERT_EQUAL(pe_method_check(&m[1], NAN, 0, &error), PE_RANGE);
	CU_ASSERT_EQUAL(pe_method_check(&m[1], 1, 1, &error), PE_RANGE); // it has no second
}

// A policy's method must be one of the table, with parameters in their ranges, and alone.
static void in_policies(void)
{
	static const struct pe_method stranger = {.name = "stranger", .publish = stay};
	struct pe_policy p = {
		.name = "p", .everyone = true, .method = &pe_method_scatter, .method_first = 50};
	const struct pe_views_config c = {.policies = &p, .policy_count = 1};
	struct pe_views v = {0};

#define REFUSED(what) \
	do { \
		CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_INVALID); \
		CU_ASSERT_PTR_NOT_NULL(strstr(error.text, what)); \
		pe_views_unmake(&v); \
	} while (0)
	CU_ASSERT_EQUAL(pe_views_make(&v, &c, 1, &error), PE_OK);
	pe_views_unmake(&v);
	p.method_second = 1.5;
	REFUSED("share");
	p.method_second = 1;
	p.cloak_m = 100;
	REFUSED("one of");
	p.cloak_m = 0;
	p.area = true;
	REFUSED("on which side");
	p.area = false;
	p.method = &stranger;
	p.method_first = p.method_second = 0;
	REFUSED("not registered");
#undef REFUSED
}

// ---- the stream ----

static void draws(void)
{
	uint8_t id[16] = {1}, other[16] = {2};
	struct pe_method_stream s[5];
	double first[5][PE_METHOD_DRAWS_MAX], sum = 0;

	prepare();
	s[0] = stream_of(id, 5, 4);
	s[1] = stream_of(id, 5, 4);
	s[2] = stream_of(other, 5, 4);
	s[3] = stream_of(id, 6, 4);
	s[4] = stream_of(id, 5, 7);
	for (unsigned k = 0; k < 5; k++)
		for (unsigned i = 0; i < PE_METHOD_DRAWS_MAX; i++) {
			first[k][i] = pe_method_draw(&s[k]);
			CU_ASSERT(first[k][i] > 0 && first[k][i] <= 1);
			sum += first[k][i];
		}
	CU_ASSERT(memcmp(first[0], first[1], sizeof first[0]) == 0);
	// Another entity's, another epoch's and another policy's; and none comes twice.
	for (unsigned k = 2; k < 5; k++)
		for (unsigned i = 0; i < PE_METHOD_DRAWS_MAX; i++)
			CU_ASSERT(first[0][i] != first[k][i]);
	for (unsigned i = 1; i < PE_METHOD_DRAWS_MAX; i++)
		CU_ASSERT(first[0][i] != first[0][i - 1]);
	sum /= 5 * PE_METHOD_DRAWS_MAX;
	CU_ASSERT(sum > 0.42 && sum < 0.58);
	CU_ASSERT_EQUAL(pe_method_draw(&s[0]), 1); // no more
	finish();
}

// ---- what is believed ----

static double given[3], given_within;
static unsigned drawing;
static bool gives;

static bool give(const struct pe_method_case *c, double published[3], double *within_m)
{
	for (unsigned i = 0; i < drawing; i++)
		(void)pe_method_draw(c->stream);
	memcpy(published, given, sizeof given);
	*within_m = given_within;
	return gives;
}

static bool silent(const struct pe_method_case *c, double published[3], double *within_m)
{
	return true; // of what, it doesn't say
}

static bool believed(const struct pe_space *space, bool height_known, double at[3])
{
	static const struct pe_method m = {.name = "given", .publish = give};
	static const uint8_t id[16] = {1};
	struct pe_method_stream s = stream_of(id, 1, 4);
	double within_m;

	at[0] = 1, at[1] = 2, at[2] = height_known ? 3 : 0;
	return pe_method_publish(&m, space, 0, 0, &s, height_known, at, &within_m);
}

static void answers_are_checked(void)
{
	static const double wrong[][3] = {
		{NAN, 0, 0}, {0, INFINITY, 0}, {0, 0, -INFINITY}, {91, 0, 0}, {0, 180.5, 0}};
	static const struct pe_method none = {.name = "none", .publish = silent};
	static const uint8_t id[16] = {1};
	struct pe_method_stream s;
	double at[3], within_m;

	prepare();
	gives = true;
	drawing = PE_METHOD_DRAWS_MAX;
	given_within = 5;
	memcpy(given, (double[3]){50, 60, 70}, sizeof given);
	CU_ASSERT(believed(&plane, true, at));
	CU_ASSERT(at[0] == 50 && at[1] == 60 && at[2] == 70);
	drawing++;
	CU_ASSERT(!believed(&plane, true, at));
	CU_ASSERT(at[0] == 1 && at[1] == 2 && at[2] == 3);
	drawing = 0;
	gives = false;
	CU_ASSERT(!believed(&plane, true, at));
	gives = true;
	for (unsigned i = 0; i < 5; i++) {
		memcpy(given, wrong[i], sizeof given);
		CU_ASSERT(!believed(&earth, true, at));
	}
	memcpy(given, (double[3]){10, 10, 131}, sizeof given);
	CU_ASSERT(!believed(&small, true, at)); // outside
	memcpy(given, (double[3]){10, 10, 1}, sizeof given);
	CU_ASSERT(!believed(&earth, false, at)); // a height that is not known
	CU_ASSERT(believed(&earth, true, at));
	for (unsigned i = 0; i < 3; i++) {
		given_within = i == 0 ? NAN : i == 1 ? -1 : INFINITY;
		CU_ASSERT(!believed(&earth, true, at));
	}
	s = stream_of(id, 1, 4);
	CU_ASSERT(!pe_method_publish(&none, &plane, 0, 0, &s, true, at, &within_m));
	finish();
}

// ---- scatter ----

static void scatter_in(const struct pe_space *space, double x, double y, double z, double edge_m)
{
	double middle[3], cell[3], sum = 0, half = 0;
	unsigned n = 400;

	for (unsigned i = 0; i < n; i++) {
		uint8_t id[16] = {1, (uint8_t)i, (uint8_t)(i >> 8)};
		struct pe_method_stream s = stream_of(id, 9, 4), again = stream_of(id, 9, 4),
					next = stream_of(id, 10, 4);
		double p[3] = {x, y, z}, q[3], other[3] = {x, y, z}, within_m, within_too, d;

		(void)pe_space_coarse(space, edge_m, p, true, middle);
		// Another place of the cell leads to the same one.
		for (unsigned k = 0; k < 3; k++)
			q[k] = p[k] + 0.2 * (middle[k] - p[k]);
		CU_ASSERT(pe_method_publish(
			&pe_method_scatter, space, edge_m, 1, &s, true, p, &within_m));
		CU_ASSERT(pe_method_publish(
			&pe_method_scatter, space, edge_m, 1, &again, true, q, &within_too));
		CU_ASSERT(memcmp(p, q, sizeof p) == 0 && within_m == within_too);
		(void)pe_space_coarse(space, edge_m, p, true, cell);
		CU_ASSERT(memcmp(cell, middle, sizeof cell) == 0);
		CU_ASSERT_EQUAL(p[2], middle[2]);
		CU_ASSERT(pe_space_distance(space, p, (double[3]){x, y, z}, true) <= within_m);
		CU_ASSERT(pe_method_publish(
			&pe_method_scatter, space, edge_m, 1, &next, true, other, &within_m));
		CU_ASSERT(memcmp(p, other, sizeof p) != 0);
		d = pe_space_distance(space, p, middle, false);
		sum += d;
		half += d < edge_m / 4;
	}
	// Uniform in a square of edge 1: 0.3826 from its middle in the mean, and π / 16 of it
	// within a quarter.
	CU_ASSERT(fabs(sum / n / edge_m - 0.3826) < 0.03);
	CU_ASSERT(fabs(half / n - M_PI / 16) < 0.07);
}

static void scattered(void)
{
	static const uint8_t id[16] = {3};
	struct pe_method_stream s;
	double p[3] = {129, -129, 5}, middle[3], within_m;

	prepare();
	scatter_in(&plane, 1234.5, -987.6, 12, 50);
	scatter_in(&plane, -3, 3, 0, 10000);
	scatter_in(&earth, 60.17, 24.94, 10, 1000);
	scatter_in(&earth, -33.9, 179.9999, 0, 20);
	// A cell that the space ends in; and none of the cell is the middle.
	for (uint64_t epoch = 0; epoch < 50; epoch++) {
		s = stream_of(id, epoch, 4);
		memcpy(p, (double[3]){129, -129, 5}, sizeof p);
		CU_ASSERT(pe_method_publish(
			&pe_method_scatter, &small, 100, 1, &s, true, p, &within_m));
		CU_ASSERT(fabs(p[0]) <= 130 && fabs(p[1]) <= 130);
	}
	(void)pe_space_coarse(&plane, 100, (double[3]){7, 8, 9}, true, middle);
	s = stream_of(id, 1, 4);
	memcpy(p, (double[3]){7, 8, 9}, sizeof p);
	CU_ASSERT(pe_method_publish(&pe_method_scatter, &plane, 100, 0, &s, true, p, &within_m));
	CU_ASSERT(memcmp(p, middle, sizeof p) == 0);
	// About a pole cells are thin.
	for (uint64_t epoch = 0; epoch < 50; epoch++) {
		s = stream_of(id, epoch, 4);
		memcpy(p, (double[3]){89.99999, 100, 0}, sizeof p);
		CU_ASSERT(pe_method_publish(
			&pe_method_scatter, &earth, 100000, 1, &s, false, p, &within_m));
		CU_ASSERT(p[0] > 89 && p[2] == 0);
	}
	finish();
}

TESTING_MAIN("policy/methods", {"the table", the_table}, {"in policies", in_policies},
	{"draws", draws}, {"answers are checked", answers_are_checked}, {"scattered", scattered})
