// Every malformed form of an update, a withdrawal and a query record, and its reason. One case a
// reason: the rows of docs/protocol.md's table name them.
#include "testing.h"
#include "testing_wire.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

static const double odd[] = {NAN, INFINITY, -INFINITY};
static const float odd_float[] = {NAN, INFINITY, -INFINITY};

// A sound MOBILE, its height known.
static struct pe_wire_update mobile(bool geodetic)
{
	struct pe_wire_update u = random_update(geodetic);

	u.entity_type = PE_ENTITY_MOBILE;
	u.attributes &= (uint16_t)~PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	return u;
}

static enum pe_reason check(const struct pe_wire_update *u, bool geodetic)
{
	return pe_wire_check_update(u, geodetic ? &geodetic_limits : &cartesian_limits);
}

static void test_id_nil(void)
{
	struct pe_wire_update u = mobile(true);
	struct pe_wire_withdraw w = random_withdraw();

	memset(u.entity_id, 0, 16);
	memset(w.entity_id, 0, 16);
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_id_nil);
	CU_ASSERT_EQUAL(pe_wire_check_withdraw(&w), PE_REASON_id_nil);
	for (unsigned bit = 0; bit < 128; bit++) { // any bit makes it an id
		memset(u.entity_id, 0, 16);
		u.entity_id[bit / 8] = (uint8_t)(1u << bit % 8);
		memcpy(w.entity_id, u.entity_id, 16);
		CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
		CU_ASSERT_EQUAL(pe_wire_check_withdraw(&w), PE_REASON_none);
	}
}

static void test_record_reserved(void)
{
	for (unsigned bit = 12; bit < 16; bit++) {
		struct pe_wire_update u = mobile(true);

		u.attributes |= (uint16_t)(1u << bit);
		CU_ASSERT_EQUAL(check(&u, true), PE_REASON_record_reserved);
	}
}

static void test_entity_type(void)
{
	for (unsigned type = 0; type < 256; type++) {
		struct pe_wire_update u = mobile(false);
		enum pe_reason want = type > PE_ENTITY_RECURRING && type < PE_ENTITY_CUSTOM ?
			PE_REASON_entity_type :
			PE_REASON_none;

		u.entity_type = (uint8_t)type;
		CU_ASSERT_EQUAL(check(&u, false), want);
	}
}

static void test_state(void)
{
	for (unsigned state = 0; state < 8; state++)
		for (unsigned custom = 0; custom < 256; custom++) {
			struct pe_wire_update u = mobile(true);
			bool legal =
				state < PE_STATE_CUSTOM ? custom == 0 : state == PE_STATE_CUSTOM;

			u.attributes = (uint16_t)((u.attributes & ~7u) | state);
			u.custom_state = (uint8_t)custom;
			CU_ASSERT_EQUAL(check(&u, true), legal ? PE_REASON_none : PE_REASON_state);
		}
}

static void test_visibility(void)
{
	for (unsigned visibility = 0; visibility < 4; visibility++)
		for (unsigned level = 0; level < 8; level++) {
			struct pe_wire_update u = mobile(true);

			u.attributes |= (uint16_t)(visibility << 3 | level << 7);
			CU_ASSERT_EQUAL(check(&u, true),
				level > PE_PRECISION_LEVEL_MAX ? PE_REASON_visibility :
								 PE_REASON_none);
		}
}

static void test_coordinates(void)
{
	for (int g = 0; g < 2; g++)
		for (unsigned i = 0; i < 3; i++)
			for (unsigned j = 0; j < 3; j++) {
				struct pe_wire_update u = mobile(g);

				u.position[i] = odd[j];
				CU_ASSERT_EQUAL(check(&u, g), PE_REASON_coordinates);
				u = mobile(g);
				u.velocity[i] = (uint16_t)(j == 0 ? 0x7C00 :
						j == 1            ? 0xFC00 :
								    0x7E01);
				CU_ASSERT_EQUAL(check(&u, g), PE_REASON_coordinates);
				u.velocity[i] = 0x7BFF; // the largest there is
				CU_ASSERT_EQUAL(check(&u, g), PE_REASON_none);
			}
}

static void test_coordinates_on_earth(void)
{
	static const struct {
		double latitude, longitude;
		bool legal;
	} rows[] = {
		{90, 180, true},
		{-90, -180, true},
		{0, 0, true},
		{90.000000000001, 0, false},
		{-90.000000000001, 0, false},
		{0, 180.00000000001, false},
		{0, -180.00000000001, false},
		{1e300, 0, false},
		{0, -DBL_MAX, false},
	};

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pe_wire_update u = mobile(true);

		u.position[0] = rows[i].latitude;
		u.position[1] = rows[i].longitude;
		CU_ASSERT_EQUAL(
			check(&u, true), rows[i].legal ? PE_REASON_none : PE_REASON_coordinates);
		CU_ASSERT_EQUAL(check(&u, false), PE_REASON_none); // metres have no such range
	}
}

static void test_height_unknown(void)
{
	struct pe_wire_update u = mobile(true);

	u.attributes |= PE_ATTRIBUTE_HEIGHT_UNKNOWN;
	u.position[2] = 0;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
	CU_ASSERT_EQUAL(check(&u, false), PE_REASON_coordinates);
	u.position[2] = 0.001;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_coordinates);
}

static void test_precision(void)
{
	struct pe_wire_update u = mobile(true);

	for (unsigned i = 0; i < 3; i++) {
		u.precision_m = odd_float[i];
		CU_ASSERT_EQUAL(check(&u, true), PE_REASON_precision);
	}
	u.precision_m = -FLT_MIN;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_precision);
	u.precision_m = 1000;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
	u.precision_m = nextafterf(1000, 2000);
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_precision);
}

static void test_radius(void)
{
	struct pe_wire_update u = mobile(true);

	for (unsigned i = 0; i < 3; i++) {
		u.radius_m = odd_float[i];
		CU_ASSERT_EQUAL(check(&u, true), PE_REASON_radius);
	}
	u.radius_m = -1;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_radius);
	u.radius_m = FLT_MAX;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
}

static void test_ttl(void)
{
	struct pe_wire_update u = mobile(true);

	u.ttl_ms = 86400000;
	u.duration_ms = 86400000;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
	u.ttl_ms++;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_ttl);
	u.ttl_ms = 0;
	u.duration_ms++;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_ttl);
}

static void test_ttl_missing(void)
{
	struct pe_wire_update u = mobile(true);

	u.entity_type = PE_ENTITY_TEMPORARY;
	u.ttl_ms = 0;
	u.duration_ms = 0;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_ttl_missing);
	u.duration_ms = 1;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
	u.duration_ms = 0;
	u.ttl_ms = 1;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
	u.ttl_ms = 0;
	u.entity_type = PE_ENTITY_MOBILE;
	CU_ASSERT_EQUAL(check(&u, true), PE_REASON_none);
}

// A sound query of a kind, without optional parts.
static struct pe_wire_query query(uint8_t kind, bool geodetic)
{
	struct pe_wire_query q;

	do
		q = random_query(geodetic);
	while (q.kind != kind);
	q.flags = 0;
	memset(q.origin, 0, sizeof q.origin);
	q.height_min = q.height_max = 0;
	memset(q.cursor, 0, sizeof q.cursor);
	return q;
}

#define EACH_QUERY(q) \
	for (unsigned i_ = 0; i_ < 6; i_++) \
		for (struct pe_wire_query q = query((uint8_t)(1 + i_ / 2), i_ & 1), *once_ = &q; \
			once_; once_ = NULL)
#define GEODETIC_ (i_ & 1)

static void test_query_kind(void)
{
	for (unsigned kind = 0; kind < 256; kind++) {
		struct pe_wire_query q = query(PE_QUERY_POINT, true);

		q.kind = (uint8_t)kind;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, true) == PE_REASON_query_kind,
			kind < 1 || kind > 7);
	}
}

static void test_query_flags(void)
{
	EACH_QUERY(q)
	{
		const struct pe_wire_query sound = q;

		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_none);
		for (unsigned bit = 6; bit < 16; bit++) {
			q = sound;
			q.flags |= (uint16_t)(1u << bit);
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_flags);
		}
		for (unsigned priority = 0; priority < 256; priority++) {
			q = sound;
			q.priority = (uint8_t)priority;
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_),
				priority <= PE_PRIORITY_CRITICAL ? PE_REASON_none :
								   PE_REASON_query_flags);
		}
		for (unsigned bit = 0; bit < 128; bit++) {
			q = sound;
			// an extension's length without its flag, and what is reserved
			((uint8_t *)&q)[offsetof(struct pe_wire_query, extension_bytes) + bit / 8] =
				(uint8_t)(1u << bit % 8);
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_flags);
		}
		for (unsigned i = 0; i < 3; i++) {
			q = sound;
			q.origin[i] = 1e-300; // an origin without its flag
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_flags);
			q = sound;
			q.b[i] = q.b[i] + 1; // what a kind has no use for
			if (q.kind == PE_QUERY_POINT || (q.kind == PE_QUERY_SPHERE && i))
				CU_ASSERT_EQUAL(
					pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_flags);
		}
	}
}

static void test_query_coordinates(void)
{
	EACH_QUERY(q)
	{
		const struct pe_wire_query sound = q;

		for (unsigned i = 0; i < 3; i++)
			for (unsigned j = 0; j < 3; j++) {
				q = sound;
				q.a[i] = odd[j];
				CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_),
					PE_REASON_query_coordinates);
				q = sound;
				q.flags = PE_QUERY_HAS_ORIGIN;
				q.origin[i] = odd[j];
				CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_),
					PE_REASON_query_coordinates);
				q = sound;
				q.b[i] = odd[j];
				if (q.kind == PE_QUERY_BOX || (q.kind == PE_QUERY_SPHERE && i == 0))
					CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_),
						PE_REASON_query_coordinates);
			}
		for (unsigned i = 0; i < 2; i++) {
			q = sound;
			q.a[i] = i ? -180.001 :
				     -90.001; // not on Earth, but metres to a CARTESIAN space
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, true), PE_REASON_query_coordinates);
			q = sound;
			q.flags = PE_QUERY_HAS_ORIGIN;
			q.origin[i] = i ? 180.001 : 90.001;
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_),
				GEODETIC_ ? PE_REASON_query_coordinates : PE_REASON_none);
		}
		if (q.kind == PE_QUERY_SPHERE) {
			q = sound;
			q.b[0] = -DBL_MIN;
			CU_ASSERT_EQUAL(
				pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_coordinates);
			q.b[0] = 0;
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_none);
		}
	}
}

static void test_query_box_inverted(void)
{
	for (unsigned i = 0; i < 3; i++) {
		struct pe_wire_query q = query(PE_QUERY_BOX, false);

		q.a[i] = 2;
		q.b[i] = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, false), PE_REASON_query_coordinates);
		q.b[i] = 2;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, false), PE_REASON_none);
		q = query(PE_QUERY_BOX, true);
		q.a[i] = 2;
		q.b[i] = 1;
		// west > east crosses the antimeridian; heights do not bound such a box and must be
		// zero
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, true),
			i == 1 ? PE_REASON_none : PE_REASON_query_coordinates);
		q.a[i] = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, true),
			i < 2 ? PE_REASON_none : PE_REASON_query_coordinates);
	}
}

static void test_query_filter(void)
{
	EACH_QUERY(q)
	{
		const struct pe_wire_query sound = q;

		for (unsigned bit = 5; bit < 16; bit++) {
			q = sound;
			q.type_mask |= (uint16_t)(1u << bit);
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
			q = sound;
			q.state_mask |= (uint16_t)(1u << bit);
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
		}
		q = sound;
		q.height_min = 1; // heights without their flag
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
		q = sound;
		q.height_max = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
		q = sound;
		q.flags = PE_QUERY_HEIGHT_RANGE; // 0 … 0 is a range
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_none);
		q.height_min = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
		for (unsigned i = 0; i < 3; i++) {
			q.height_min = odd_float[i];
			q.height_max = FLT_MAX;
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
			q.height_min = -FLT_MAX;
			q.height_max = odd_float[i];
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_filter);
		}
	}
}

// How many are asked for; no cursor; no limit below zero.
static void test_nearest(void)
{
	for (int g = 0; g < 2; g++) {
		struct pe_wire_query q = query(PE_QUERY_SPHERE, g);

		q.kind = PE_QUERY_NEAREST;
		for (unsigned k = 0; k < 65536; k++) {
			q.max_results = (uint16_t)k;
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, g),
				k >= 1 && k <= 1000 ? PE_REASON_none : PE_REASON_query_nearest);
		}
		q.max_results = 1;
		q.b[0] = 0;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, g), PE_REASON_none);
		q.flags = PE_QUERY_HAS_CURSOR;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, g), PE_REASON_query_cursor);
		q.flags = 0;
		q.b[1] = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, g), PE_REASON_query_flags);
		q.b[1] = 0;
		for (unsigned i = 0; i < 3; i++) {
			q.b[0] = odd[i];
			CU_ASSERT_EQUAL(pe_wire_check_query(&q, g), PE_REASON_query_coordinates);
		}
		q.b[0] = -1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, g), PE_REASON_query_coordinates);
	}
}

static void test_query_cursor(void)
{
	EACH_QUERY(q)
	{
		q.flags = PE_QUERY_HAS_CURSOR; // zero is the start
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_none);
		q.cursor[1] = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_none);
		q.flags = 0;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_cursor);
		q.cursor[1] = 0;
		q.cursor[0] = 1;
		CU_ASSERT_EQUAL(pe_wire_check_query(&q, GEODETIC_), PE_REASON_query_cursor);
	}
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"id_nil", test_id_nil},
		{"record_reserved", test_record_reserved},
		{"entity_type", test_entity_type},
		{"state", test_state},
		{"visibility", test_visibility},
		{"coordinates", test_coordinates},
		{"coordinates on Earth", test_coordinates_on_earth},
		{"height unknown", test_height_unknown},
		{"precision", test_precision},
		{"radius", test_radius},
		{"ttl", test_ttl},
		{"ttl_missing", test_ttl_missing},
		{"query_kind", test_query_kind},
		{"query_flags", test_query_flags},
		{"query_coordinates", test_query_coordinates},
		{"query box inverted", test_query_box_inverted},
		{"query_filter", test_query_filter},
		{"query_cursor", test_query_cursor},
		{"nearest", test_nearest},
	};

	random_seed();
	return testing_main("wire records", cases, sizeof cases / sizeof cases[0]);
}
