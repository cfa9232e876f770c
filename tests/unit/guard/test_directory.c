// From a keyring's text to the engine's directory: spaces, numbers, areas, owners; and grants that
// no space can have.
#include "dataplane/guard/directory.h"
#include "keyring_files.h"
#include "tests/testing.h"

#define SECRET_A "1111111111111111111111111111111111111111111111111111111111111101"
#define PUBLIC_1 "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"
#define PUBLIC_2 "6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a"
#define ENGINE   "engine: {keys: [{secret_file: a.key}]}\n"
#define ID_1     "f47ac10b-58cc-4372-a567-0e02b2c3d479"
#define ID_2     "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
#define LOCAL    "6c6f6361-6c00-4000-8000-000000000001"
#define WORLD    "776f726c-6400-4000-8000-000000000001"

static struct pe_engine_config spaces(void)
{
	struct pe_engine_config c = {.space_count = 2};
	static const uint8_t local[16] = "local", world[16] = "world";

	memcpy(c.spaces[0].space.id, local, 16);
	memcpy(c.spaces[1].space.id, world, 16);
	c.spaces[0].space.id[6] = c.spaces[1].space.id[6] = 0x40;
	c.spaces[0].space.id[8] = c.spaces[1].space.id[8] = 0x80;
	c.spaces[0].space.id[15] = c.spaces[1].space.id[15] = 1;
	c.spaces[1].space.kind = PE_SPACE_GEODETIC;
	return c;
}

static struct pe_keyring *loaded(const char *text)
{
	struct pe_error error = {0};
	struct pe_keyring *k;
	enum pe_status status =
		pe_keyring_load_text("k.yaml", keyring_folder, text, strlen(text), &k, &error);

	if (status != PE_OK)
		printf("\n    %s", error.text);
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
	return k;
}

static const char two[] = ENGINE "principals:\n"
				 "  - id: " ID_1 "\n"
				 "    name: ferries\n"
				 "    keys: [{public_key: " PUBLIC_1 "}]\n"
				 "    owns: [" ID_1 ", 10000000-0000-0000-0000-000000000000/12]\n"
				 "    grants:\n"
				 "      - {allow: [publish], space: " WORLD
				 ", area: {low: [59.5, 170], high: [60.5, -170]}}\n"
				 "      - {allow: [query]}\n"
				 "  - id: " ID_2 "\n"
				 "    keys: [{public_key: " PUBLIC_2 "}]\n"
				 "    owns: [20000000-0000-0000-0000-000000000000/4]\n"
				 "    grants: [{allow: [admin, subscribe], space: " LOCAL "}]\n";

static void converted(void)
{
	static const uint32_t numbers[2] = {70, 3};
	struct pe_engine_config config = spaces();
	struct pe_keyring *k = loaded(two);
	const double in[3] = {60, 180, 0}, out[3] = {60, 0, 0};

	for (unsigned named = 0; named < 2; named++) {
		uint32_t a = named ? 70 : 1, b = named ? 3 : 2;
		uint8_t id[16] = {0x10, 0x0F, 1};
		struct pe_principals *d;
		struct pe_error error;

		CU_ASSERT_EQUAL_FATAL(
			pe_guard_directory(k, named ? numbers : NULL, &config, &d, &error), PE_OK);
		CU_ASSERT_EQUAL(pe_principals_roles(d, a, 1), PE_ROLE_PUBLISH | PE_ROLE_QUERY);
		CU_ASSERT_EQUAL(pe_principals_roles(d, a, 0), PE_ROLE_QUERY);
		CU_ASSERT_EQUAL(pe_principals_roles(d, b, 0), PE_ROLE_ADMIN | PE_ROLE_SUBSCRIBE);
		CU_ASSERT_EQUAL(pe_principals_roles(d, b, 1), 0);
		CU_ASSERT_EQUAL(pe_principals_roles(d, named ? 1 : 70, 1), 0);
		CU_ASSERT(pe_principals_may_at(d, a, 1, PE_ROLE_PUBLISH, true, in));
		CU_ASSERT(!pe_principals_may_at(d, a, 1, PE_ROLE_PUBLISH, true, out));
		CU_ASSERT_EQUAL(pe_principals_owner(d, id), a);
		id[1] = 0x1F;
		CU_ASSERT_EQUAL(pe_principals_owner(d, id), 0);
		id[0] = 0x2E;
		CU_ASSERT_EQUAL(pe_principals_owner(d, id), b);
		CU_ASSERT_EQUAL(pe_principals_owner(d, pe_keyring_principal(k, 0)->id), a);
		pe_principals_destroy(d);
	}
	pe_keyring_destroy(k);
}

static void refused(void)
{
	static const struct {
		const char *grant, *what;
	} rows[] = {
		{"{allow: [query], space: " ID_1 "}", "grants[1]: space"},
		{"{allow: [query], space: " LOCAL ", area: {low: [0, 2], high: [1, 1]}}",
			"grants[1]: area: low"},
		{"{allow: [query], space: " WORLD ", area: {low: [0, 2], high: [91, 3]}}",
			"grants[1]: area: not a latitude"},
		{"{allow: [query], space: " WORLD ", area: {low: [0, 2], high: [1, 181]}}",
			"grants[1]: area: not a latitude"},
	};
	struct pe_engine_config config = spaces();

	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[2048];
		struct pe_keyring *k;
		struct pe_principals *d;
		struct pe_error error = {0};

		snprintf(text, sizeof text,
			ENGINE "principals:\n  - id: " ID_1
			       "\n    name: ferries\n    keys: [{public_key: " PUBLIC_1
			       "}]\n    grants: [{allow: [query]}, %s]\n",
			rows[i].grant);
		k = loaded(text);
		CU_ASSERT_EQUAL(pe_guard_directory(k, NULL, &config, &d, &error), PE_INVALID);
		CU_ASSERT_PTR_NULL(d);
		CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "ferries"));
		CU_ASSERT_PTR_NOT_NULL(strstr(error.text, rows[i].what));
		pe_keyring_destroy(k);
	}
}

int main(void)
{
	static const char *const files[] = {"a.key", NULL};
	static const struct testing_case cases[] = {{"converted", converted}, {"refused", refused}};
	int code;

	keyring_files_make();
	keyring_file("a.key", SECRET_A "\n", 0600);
	code = testing_main("guard: directory", cases, sizeof cases / sizeof cases[0]);
	keyring_files_remove(files);
	return code;
}
