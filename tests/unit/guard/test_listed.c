// Who is on the lists of policies, by the keyring: names, free roles, names that several go by or
// nobody, and what is remembered from one keyring to the next.
#include "dataplane/guard/directory.h"
#include "dataplane/guard/listed.h"
#include "keyring_files.h"
#include "tests/testing.h"

#define SECRET_A "1111111111111111111111111111111111111111111111111111111111111101"
#define ENGINE   "engine: {keys: [{secret_file: a.key}]}\n"
#define A        "10000000-0000-0000-0000-000000000001"
#define B        "20000000-0000-0000-0000-000000000002"
#define C        "30000000-0000-0000-0000-000000000003"

// Their numbers are the first digit of their ids.
static uint32_t odd_count, odd_several;
static char odd_text[64];

static void odd(void *context, const struct pe_listed_name *name, enum pe_listed_fault fault)
{
	odd_count++;
	odd_several += fault == PE_LISTED_SEVERAL;
	snprintf(odd_text, sizeof odd_text, "%.40s%s", name->text, name->role ? " (role)" : "");
}

static struct pe_principals *put(const char *text, struct pe_listed_name *names, unsigned count)
{
	static const struct pe_engine_config config = {.space_count = 1};
	struct pe_principals *directory;
	struct pe_error error = {0};
	struct pe_keyring *k;
	uint32_t numbers[8];

	if (pe_keyring_load_text("k.yaml", keyring_folder, text, strlen(text), &k, &error) != PE_OK)
		CU_FAIL_FATAL(error.text);
	for (uint32_t i = 0; i < pe_keyring_principal_count(k); i++)
		numbers[i] = pe_keyring_principal(k, i)->id[0] >> 4;
	CU_ASSERT_EQUAL_FATAL(pe_guard_directory(k, numbers, &config, &directory, &error), PE_OK);
	odd_count = odd_several = 0;
	CU_ASSERT_EQUAL_FATAL(
		pe_listed_put(k, numbers, names, count, directory, odd, NULL, &error), PE_OK);
	pe_keyring_destroy(k);
	return directory;
}

static uint32_t allow(const struct pe_principals *d, uint32_t number)
{
	const struct pe_directory_listed *l = pe_principals_listed(d, number);

	return l ? l->allow : 0;
}

static uint32_t deny(const struct pe_principals *d, uint32_t number)
{
	const struct pe_directory_listed *l = pe_principals_listed(d, number);

	return l ? l->deny : 0;
}

static void by_name_and_role(void)
{
	struct pe_listed_name names[] = {
		{.text = "ann", .allow = 1},
		{.text = "bob", .allow = 2, .deny = 4},
		{.text = "zoe", .allow = 16},
		{.text = "ann", .role = true, .allow = 8}, // not the principal's name
		{.text = "nurse", .role = true, .allow = 32, .deny = 64},
	};
	static const uint8_t stands[16] = {0x20, [15] = 7};
	struct pe_principals *d = put(ENGINE
		"principals:\n"
		"  - {id: " A ", name: ann}\n"
		"  - {id: " B
		", name: bob, roles: [nurse, porter], owns: [20000000-0000-0000-0000-000000000000/8], "
		"stands: 20000000-0000-0000-0000-000000000007}\n"
		"  - {id: " C ", roles: [nurse]}\n",
		names, 5);

	CU_ASSERT(allow(d, 1) == 1 && deny(d, 1) == 0);
	CU_ASSERT(allow(d, 2) == (2 | 32) && deny(d, 2) == (4 | 64));
	CU_ASSERT(allow(d, 3) == 32 && deny(d, 3) == 64);
	CU_ASSERT_EQUAL(memcmp(pe_principals_listed(d, 2)->stands, stands, 16), 0);
	CU_ASSERT_PTR_NULL(pe_principals_listed(d, 4));
	CU_ASSERT_PTR_NULL(pe_principals_listed(d, 0));
	// Nobody goes by zoe, and nobody has the role ann.
	CU_ASSERT(odd_count == 2 && odd_several == 0);
	CU_ASSERT_STRING_EQUAL(odd_text, "ann (role)");
	pe_principals_destroy(d);
}

// A name's bearers come and go.
static void from_keyring_to_keyring(void)
{
	struct pe_listed_name names[] = {{.text = "ann", .allow = 1}, {.text = "eve", .deny = 2}};
	struct pe_principals *d = put(ENGINE "principals: [{id: " A ", name: eve}]\n", names, 2);

	CU_ASSERT(deny(d, 1) == 2 && odd_count == 1);
	pe_principals_destroy(d);
	// Two of a name: neither is let in, both are kept out.
	d = put(ENGINE "principals: [{id: " A ", name: eve}, {id: " B ", name: eve}]\n", names, 2);
	CU_ASSERT(deny(d, 1) == 2 && deny(d, 2) == 2 && odd_several == 1);
	pe_principals_destroy(d);
	d = put(ENGINE "principals: [{id: " A ", name: ann}, {id: " B ", name: ann}]\n", names, 2);
	CU_ASSERT(allow(d, 1) == 0 && allow(d, 2) == 0 && odd_several == 1);
	// Who went by eve last is kept out under another name.
	CU_ASSERT(deny(d, 2) == 2 && deny(d, 1) == 0);
	pe_principals_destroy(d);
	// Who joins is on the lists; and a new eve is the one who is meant.
	d = put(ENGINE "principals: [{id: " A ", name: eve}, {id: " B ", name: ann}]\n", names, 2);
	CU_ASSERT(allow(d, 2) == 1 && deny(d, 1) == 2 && deny(d, 2) == 0 && odd_count == 0);
	pe_principals_destroy(d);
	d = put(ENGINE "principals: []\n", names, 2);
	CU_ASSERT(allow(d, 2) == 0 && deny(d, 1) == 2 && odd_count == 2);
	pe_principals_destroy(d);
}

int main(void)
{
	static const struct testing_case cases[] = {{"by name and role", by_name_and_role},
		{"from keyring to keyring", from_keyring_to_keyring}};
	static const char *const files[] = {"a.key", NULL};
	int code;

	keyring_files_make();
	keyring_file("a.key", SECRET_A "\n", 0600);
	code = testing_main("guard/listed", cases, 2);
	keyring_files_remove(files);
	return code;
}
