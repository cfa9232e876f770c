// The directory of principals: what is refused, roles and areas by space, owners by prefix against
// a search of the whole list.
#include "policy/principals.h"
#include "testing.h"

#include <string.h>

#define SEED 20260712u

static enum pe_status make(const struct pe_directory_grant *grants, size_t grant_count,
	const struct pe_directory_owned *owned, size_t owned_count, struct pe_principals **d)
{
	struct pe_error error = {.status = PE_OK};
	enum pe_status status =
		pe_principals_create(grants, grant_count, owned, owned_count, d, &error);

	CU_ASSERT_EQUAL(status, error.status);
	CU_ASSERT((status == PE_OK) == (*d != NULL));
	return status;
}

static void nobody(void)
{
	static const uint8_t id[16] = {1};
	const double at[3] = {0};
	struct pe_principals *d;

	CU_ASSERT_EQUAL(pe_principals_owner(NULL, id), 0);
	CU_ASSERT_EQUAL(pe_principals_roles(NULL, 1, 0), 0);
	CU_ASSERT(!pe_principals_may_at(NULL, 1, 0, PE_ROLE_QUERY, false, at));
	CU_ASSERT_EQUAL_FATAL(make(NULL, 0, NULL, 0, &d), PE_OK);
	CU_ASSERT_EQUAL(pe_principals_owner(d, id), 0);
	CU_ASSERT_EQUAL(pe_principals_roles(d, 1, 0), 0);
	CU_ASSERT_EQUAL(pe_principals_roles(d, UINT32_MAX, 0), 0);
	pe_principals_destroy(d);
	pe_principals_destroy(NULL);
}

static void refused(void)
{
	static const struct pe_directory_grant grants[] = {
		{0, 1, 0, {0}},
		{PE_PRINCIPAL_NUMBER_MAX + 1, 1, 0, {0}},
		{1, 1, PE_SPACES_MAX, {0}},
		{1, 1, 0, {4, {0}, {0}}},
		{1, 1, 0, {1, {0}, {0}}},
	};
	static const struct pe_directory_owned owned[] = {
		{{1}, 0, 1},
		{{1}, 129, 1},
		{{1}, 8, 0},
		{{1}, 8, PE_PRINCIPAL_NUMBER_MAX + 1},
		{{1, 1}, 8, 1},
		{{0x11}, 4, 1},
		{{0, 0, 0, 0, 0, 0, 0, 0, 1}, 64, 1},
		{{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 72, 1},
		{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 127, 1},
	};
	static const struct pe_directory_owned twice[] = {
		{{0x10}, 4, 1}, {{0x20}, 4, 1}, {{0x12}, 8, 2}};
	struct pe_directory_grant many[PE_DIRECTORY_GRANTS_MAX + 1];
	struct pe_principals *d;

	for (unsigned i = 0; i < sizeof grants / sizeof grants[0]; i++)
		CU_ASSERT_EQUAL(make(&grants[i], 1, NULL, 0, &d), PE_INVALID);
	for (unsigned i = 0; i < sizeof owned / sizeof owned[0]; i++)
		CU_ASSERT_EQUAL(make(NULL, 0, &owned[i], 1, &d), PE_INVALID);
	CU_ASSERT_EQUAL(make(NULL, 0, twice, 3, &d), PE_INVALID);
	CU_ASSERT_EQUAL(make(NULL, 0, twice, 2, &d), PE_OK);
	pe_principals_destroy(d);
	for (unsigned i = 0; i <= PE_DIRECTORY_GRANTS_MAX; i++)
		many[i] = (struct pe_directory_grant){2, 1, 0, {0}};
	CU_ASSERT_EQUAL(make(many, PE_DIRECTORY_GRANTS_MAX + 1, NULL, 0, &d), PE_INVALID);
	CU_ASSERT_EQUAL(make(many, PE_DIRECTORY_GRANTS_MAX, NULL, 0, &d), PE_OK);
	pe_principals_destroy(d);
}

static void roles(void)
{
	static const struct pe_directory_grant grants[] = {
		{7, PE_ROLE_QUERY, 1, {0}},
		{3, PE_ROLE_PUBLISH, 0, {2, {0, 0}, {10, 10}}},
		{3, PE_ROLE_QUERY, PE_DIRECTORY_EVERY_SPACE, {0}},
		{3, PE_ROLE_PUBLISH, 0, {2, {20, 0}, {30, 10}}},
		{7, PE_ROLE_ADMIN, 1, {2, {0, 0}, {10, 10}}},
	};
	const double in[3] = {5, 5, 0}, other[3] = {25, 5, 0}, out[3] = {15, 5, 0};
	const struct pe_bounds both = {.bounded = true, .low = {5, 5, 0}, .high = {25, 6, 0}};
	const struct pe_bounds one = {.bounded = true, .low = {21, 5, 0}, .high = {25, 6, 0}};
	struct pe_principals *d;

	CU_ASSERT_EQUAL_FATAL(make(grants, 5, NULL, 0, &d), PE_OK);
	CU_ASSERT_EQUAL(pe_principals_roles(d, 3, 0), PE_ROLE_PUBLISH | PE_ROLE_QUERY);
	CU_ASSERT_EQUAL(pe_principals_roles(d, 3, 1), PE_ROLE_QUERY);
	CU_ASSERT_EQUAL(pe_principals_roles_everywhere(d, 3, 0), PE_ROLE_QUERY);
	CU_ASSERT_EQUAL(pe_principals_roles(d, 7, 0), 0);
	CU_ASSERT_EQUAL(pe_principals_roles(d, 7, 1), PE_ROLE_QUERY | PE_ROLE_ADMIN);
	for (uint32_t n = 0; n < 10; n++)
		if (n != 3 && n != 7)
			CU_ASSERT_EQUAL(pe_principals_roles(d, n, 1), 0);
	CU_ASSERT(pe_principals_may_at(d, 3, 0, PE_ROLE_PUBLISH, false, in));
	CU_ASSERT(pe_principals_may_at(d, 3, 0, PE_ROLE_PUBLISH, false, other));
	CU_ASSERT(!pe_principals_may_at(d, 3, 0, PE_ROLE_PUBLISH, false, out));
	CU_ASSERT(pe_principals_may_at(d, 3, 5, PE_ROLE_QUERY, false, out));
	CU_ASSERT(!pe_principals_may_at(d, 3, 0, PE_ROLE_ADMIN, false, in));
	CU_ASSERT(pe_principals_may_within(d, 3, 0, PE_ROLE_PUBLISH, false, &one));
	// two grants are not one
	CU_ASSERT(!pe_principals_may_within(d, 3, 0, PE_ROLE_PUBLISH, false, &both));
	CU_ASSERT(pe_principals_may_within(d, 3, 0, PE_ROLE_QUERY, false, &both));
	CU_ASSERT(pe_principals_bytes(d) > 0);
	pe_principals_destroy(d);
}

static bool holds(const struct pe_directory_owned *o, const uint8_t id[16])
{
	for (unsigned bit = 0; bit < o->bits; bit++)
		if (((o->prefix[bit / 8] ^ id[bit / 8]) >> (7 - bit % 8)) & 1)
			return false;
	return true;
}

// Random disjoint prefixes of all lengths, few and many, against a search of the list.
static void owners_by_any_prefix(void)
{
	uint32_t at = 12345;
	static struct pe_directory_owned owned[20000];
	uint64_t state = SEED, found = 0;

	printf("seed %u ", SEED);
	for (unsigned round = 0; round < 4; round++) {
		static const unsigned counts[] = {1, 17, 300, 3000};
		struct pe_principals *d = NULL;
		struct pe_error error;
		unsigned count = 0;

		// Dense in the first bytes, so that buckets are shared and skipped.
		while (count < counts[round]) {
			struct pe_directory_owned o = {
				.bits = (uint8_t)(11 + testing_random(&state) % 118),
				.principal = 1 + count};
			bool alone = true;

			for (unsigned i = 0; i < 16; i++)
				o.prefix[i] = (uint8_t)testing_random(&state);
			if (testing_random(&state) & 1)
				o.prefix[0] = 0x80;
			for (unsigned bit = o.bits; bit < 128; bit++)
				o.prefix[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
			for (unsigned i = 0; i < count && alone; i++)
				alone = !holds(&owned[i], o.prefix) && !holds(&o, owned[i].prefix);
			if (alone)
				owned[count++] = o;
		}
		CU_ASSERT_EQUAL_FATAL(
			pe_principals_create(NULL, 0, owned, count, &d, &error), PE_OK);
		for (uint64_t i = 0; i < testing_amount(20000); i++) {
			uint32_t want = 0;
			uint8_t id[16];

			for (unsigned k = 0; k < 16; k++)
				id[k] = (uint8_t)testing_random(&state);
			if (i & 3) // beside or within one of them
				memcpy(id, owned[testing_random(&state) % count].prefix,
					1 + testing_random(&state) % 16);
			if ((i & 15) == 1)
				memset(id, i & 16 ? 0xFF : 0, 16);
			for (unsigned k = 0; k < count && !want; k++)
				want = holds(&owned[k], id) ? owned[k].principal : 0;
			CU_ASSERT_EQUAL(pe_principals_owner(d, id), want);
			// From wherever another was found, in this directory or in any.
			CU_ASSERT_EQUAL(pe_principals_owner_from(d, id, &at), want);
			found += want != 0;
		}
		pe_principals_destroy(d);
	}
	printf("%llu of them found ", (unsigned long long)found);
	CU_ASSERT(found > testing_amount(20000));
}

TESTING_MAIN("policy: principals", {"nobody", nobody}, {"refused", refused}, {"roles", roles},
	{"owners by any prefix", owners_by_any_prefix})
