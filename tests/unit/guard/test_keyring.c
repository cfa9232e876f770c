// The keyring: what is taken, what is found in it, and that every refusal names file, line and key
// and no secret.
#include "dataplane/guard/keyring.h"
#include "seal/noise.h"
#include "seal/seal.h"
#include "seal/secret.h"
#include "keyring_files.h"
#include "tests/testing.h"

#define NOW 1795000000000u // November 2026

#define SECRET_A "1111111111111111111111111111111111111111111111111111111111111101"
#define SECRET_B "2222222222222222222222222222222222222222222222222222222222222202"
#define PSK      "5555555555555555555555555555555555555555555555555555555555555505"
#define PUBLIC_1 "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"
#define PUBLIC_2 "6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a"
#define ENGINE   "engine: {keys: [{secret_file: a.key}]}\n"
#define ID_1     "f47ac10b-58cc-4372-a567-0e02b2c3d479"
#define ID_2     "6ba7b810-9dad-41d1-80b4-00c04fd430c8"

static enum pe_status load(const char *text, struct pe_keyring **k, struct pe_error *error)
{
	return pe_keyring_load_text("k.yaml", keyring_folder, text, strlen(text), k, error);
}

static struct pe_keyring *loaded(const char *text)
{
	struct pe_keyring *k;
	struct pe_error error = {0};
	enum pe_status status = load(text, &k, &error);

	if (status != PE_OK)
		printf("\n    %s", error.text);
	CU_ASSERT_EQUAL_FATAL(status, PE_OK);
	return k;
}

static void expect_error(const char *text, const char *where, const char *what)
{
	struct pe_keyring *k;
	struct pe_error error = {0};
	enum pe_status status = load(text, &k, &error);

	if (status != PE_INVALID || strncmp(error.text, where, strlen(where)) != 0 ||
		!strstr(error.text, what))
		printf("\n    got \"%s\", expected \"%s…%s\"", error.text, where, what);
	CU_ASSERT_EQUAL(status, PE_INVALID);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT(strncmp(error.text, where, strlen(where)) == 0);
	CU_ASSERT(strstr(error.text, what) != NULL);
	CU_ASSERT_PTR_NULL(strstr(error.text, "11111111"));
	CU_ASSERT_PTR_NULL(strstr(error.text, "22222222"));
	CU_ASSERT_PTR_NULL(strstr(error.text, "55555555"));
	if (k)
		pe_keyring_destroy(k);
}

static void unhex(const char *text, uint8_t *out)
{
	for (unsigned i = 0; i < 32; i++) {
		unsigned byte;

		CU_ASSERT_EQUAL_FATAL(sscanf(text + 2 * i, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
}

static void test_all_keys(void)
{
	static const char text[] =
		"engine:\n"
		"  level: sign\n"
		"  psk_file: shared.psk\n"
		"  keys:\n"
		"    - {secret_file: a.key, until: \"2026-12-31T00:00:00Z\"}\n"
		"    - {secret_file: b.key, from: \"2026-11-01T00:00:00Z\"}\n"
		"principals:\n"
		"  - id: " ID_1 "\n"
		"    name: ferries\n"
		"    level: encrypt\n"
		"    keys:\n"
		"      - {public_key: " PUBLIC_1 ", psk_file: own.psk}\n"
		"    owns: [" ID_1 ", 10000000-0000-0000-0000-000000000000/12]\n"
		"    grants:\n"
		"      - allow: [publish, query]\n"
		"        space: 776f726c-6400-4000-8000-000000000001\n"
		"        area: {low: [59.5, 170], high: [60.5, -170]}\n"
		"      - {allow: [subscribe]}\n"
		"    uids: [1001, 0]\n"
		"  - id: " ID_2 "\n"
		"    uids: [1000, 4294967294]\n"
		"    keys: [{public_key: " PUBLIC_2 "}]\n"
		"    grants: [{allow: [admin], space: 6c6f6361-6c00-4000-8000-000000000001}]\n";
	static const uint8_t world[16] = {0x77, 0x6f, 0x72, 0x6c, 0x64, 0, 0x40, 0, 0x80, [15] = 1};
	struct pe_keyring *k = loaded(text);
	const struct pe_engine_key *a = pe_keyring_engine_key_at(k, 0), *b;
	const struct pe_keyring_key *key;
	const struct pe_principal *p;
	const struct pe_grant *grant;
	uint8_t public[32], want[32];

	b = pe_keyring_engine_key_at(k, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(a);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_PTR_NULL(pe_keyring_engine_key_at(k, 2));
	unhex(SECRET_A, want);
	CU_ASSERT(memcmp(a->secret, want, 32) == 0);
	pe_noise_public(want, public);
	CU_ASSERT(memcmp(a->public, public, 32) == 0);
	// Both are found while they overlap; each alone before and after.
	CU_ASSERT_PTR_EQUAL(pe_keyring_engine_key(k, a->id, NOW), a);
	CU_ASSERT_PTR_EQUAL(pe_keyring_engine_key(k, b->id, NOW), b);
	CU_ASSERT_PTR_EQUAL(pe_keyring_engine_key(k, a->id, 1790000000000u), a);
	CU_ASSERT_PTR_NULL(pe_keyring_engine_key(k, b->id, 1790000000000u));
	CU_ASSERT_PTR_NULL(pe_keyring_engine_key(k, a->id, 1798675200000u)); // until is excluded
	CU_ASSERT_PTR_EQUAL(pe_keyring_engine_key(k, a->id, 1798675199999u), a);
	CU_ASSERT_PTR_NULL(pe_keyring_engine_key(k, want, NOW));

	CU_ASSERT_EQUAL(pe_keyring_principal_count(k), 2);
	for (unsigned i = 0; i < 4; i++) {
		static const struct pe_keyring_user users[] = {
			{0, 0}, {1000, 1}, {1001, 0}, {4294967294u, 1}};
		const struct pe_keyring_user *u = pe_keyring_user_at(k, i);

		CU_ASSERT_PTR_NOT_NULL_FATAL(u);
		CU_ASSERT(u->uid == users[i].uid && u->principal == users[i].principal);
	}
	CU_ASSERT_PTR_NULL(pe_keyring_user_at(k, 4));
	unhex(PUBLIC_1, public);
	key = pe_keyring_find(k, public, NOW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT_EQUAL(key->principal, 0);
	unhex(PSK, want);
	CU_ASSERT(memcmp(pe_keyring_psk(k, key), want, 32) == 0);
	p = pe_keyring_principal(k, 0);
	CU_ASSERT_STRING_EQUAL(p->name, "ferries");
	CU_ASSERT_EQUAL(p->level, PE_SEAL_ENCRYPT);
	CU_ASSERT_EQUAL(p->grant_count, 2);
	grant = pe_keyring_grant(k, p->first_grant);
	CU_ASSERT_EQUAL(grant->roles, PE_ROLE_PUBLISH | PE_ROLE_QUERY);
	CU_ASSERT(grant->dimensions == 2 && grant->low[0] == 59.5 && grant->high[1] == -170);
	CU_ASSERT_EQUAL(
		pe_keyring_roles(k, 0, world), PE_ROLE_PUBLISH | PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE);
	CU_ASSERT_EQUAL(pe_keyring_roles(k, 0, p->id), PE_ROLE_SUBSCRIBE);
	CU_ASSERT_EQUAL(pe_keyring_roles(k, 1, world), 0);

	unhex(PUBLIC_2, public);
	key = pe_keyring_find(k, public, NOW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT_EQUAL(key->principal, 1);
	unhex(SECRET_B, want); // shared.psk holds it
	CU_ASSERT(memcmp(pe_keyring_psk(k, key), want, 32) == 0);
	CU_ASSERT_STRING_EQUAL(pe_keyring_principal(k, 1)->name, ID_2);
	CU_ASSERT_EQUAL(pe_keyring_principal(k, 1)->level, PE_SEAL_SIGN);
	public[0] ^= 1;
	CU_ASSERT_PTR_NULL(pe_keyring_find(k, public, NOW));
	pe_keyring_destroy(k);
}

// Whose entity: random prefixes that do not overlap, against asking each of them.
static void test_owners(void)
{
	static char text[64 * 4096];
	static struct {
		uint8_t prefix[16];
		unsigned bits, principal;
	} plain[600];
	uint64_t seed = 0x5EED0006;
	unsigned count = 0, principals = 20;
	struct pe_keyring *k;
	size_t at;

	printf("seed %#llx ", (unsigned long long)seed);
	for (unsigned tries = 0; tries < 2000 && count < 600; tries++) {
		unsigned bits = testing_random(&seed) % 4 ? 8 + testing_random(&seed) % 16 : 128;
		uint8_t prefix[16];
		bool clash = false;

		for (unsigned i = 0; i < 16; i++)
			prefix[i] = (uint8_t)testing_random(&seed);
		for (unsigned i = bits; i < 128; i++)
			prefix[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
		for (unsigned j = 0; j < count && !clash; j++) {
			unsigned least = bits < plain[j].bits ? bits : plain[j].bits, i = 0;

			while (i < least &&
				!((prefix[i / 8] ^ plain[j].prefix[i / 8]) & (0x80u >> i % 8)))
				i++;
			clash = i == least;
		}
		if (clash)
			continue;
		memcpy(plain[count].prefix, prefix, 16);
		plain[count].bits = bits;
		plain[count].principal = (unsigned)(testing_random(&seed) % principals);
		count++;
	}
	CU_ASSERT(count > 300);
	at = (size_t)snprintf(text, sizeof text, ENGINE "principals:\n");
	for (unsigned p = 0; p < principals; p++) {
		at += (size_t)snprintf(text + at, sizeof text - at,
			"  - id: 00000000-0000-4000-8000-%012u\n    owns: [", p + 1);
		for (unsigned i = 0, first = 1; i < count; i++) {
			const uint8_t *x = plain[i].prefix;

			if (plain[i].principal != p)
				continue;
			at += (size_t)snprintf(text + at, sizeof text - at,
				"%s%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x/%u",
				first ? "" : ", ", x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7],
				x[8], x[9], x[10], x[11], x[12], x[13], x[14], x[15],
				plain[i].bits);
			first = 0;
		}
		at += (size_t)snprintf(text + at, sizeof text - at, "]\n");
	}
	CU_ASSERT_FATAL(at < sizeof text);
	k = loaded(text);
	for (unsigned n = 0; n < 20000; n++) {
		unsigned from = (unsigned)(testing_random(&seed) % count);
		uint32_t want = PE_PRINCIPAL_NONE;
		uint8_t id[16];

		for (unsigned i = 0; i < 16; i++)
			id[i] = (uint8_t)testing_random(&seed);
		if (n % 4) { // below a prefix, or one bit beside it
			unsigned flip = (unsigned)(testing_random(&seed) % 129);

			for (unsigned i = 0; i < plain[from].bits; i++) {
				uint8_t bit = (uint8_t)(0x80u >> i % 8);

				id[i / 8] = (uint8_t)((id[i / 8] & ~bit) |
					(plain[from].prefix[i / 8] & bit));
			}
			if (flip < 128)
				id[flip / 8] ^= (uint8_t)(0x80u >> flip % 8);
		}
		for (unsigned j = 0; j < count; j++) {
			unsigned i = 0;

			while (i < plain[j].bits &&
				!((id[i / 8] ^ plain[j].prefix[i / 8]) & (0x80u >> i % 8)))
				i++;
			if (i == plain[j].bits)
				want = plain[j].principal;
		}
		CU_ASSERT_EQUAL(pe_keyring_owner(k, id), want);
	}
	pe_keyring_destroy(k);
}

static void test_rotation(void)
{
	static const char text[] =
		ENGINE "principals:\n"
		       "  - id: " ID_1 "\n"
		       "    keys:\n"
		       "      - {public_key: " PUBLIC_1 ", until: \"2026-11-20T12:00:00Z\"}\n"
		       "      - {public_key: " PUBLIC_2 ", from: \"2026-11-20T11:00:00Z\"}\n";
	const uint64_t noon = 1795176000000u, hour = 3600000;
	struct pe_keyring *k = loaded(text), *next;
	uint8_t one[32], two[32];

	unhex(PUBLIC_1, one);
	unhex(PUBLIC_2, two);
	CU_ASSERT_PTR_NOT_NULL(pe_keyring_find(k, one, noon - 2 * hour));
	CU_ASSERT_PTR_NULL(pe_keyring_find(k, two, noon - 2 * hour));
	CU_ASSERT_PTR_NOT_NULL(pe_keyring_find(k, one, noon - hour / 2)); // both
	CU_ASSERT_PTR_NOT_NULL(pe_keyring_find(k, two, noon - hour / 2));
	CU_ASSERT_PTR_NULL(pe_keyring_find(k, one, noon));
	CU_ASSERT_PTR_NOT_NULL(pe_keyring_find(k, two, noon));
	// A second load stands beside the first.
	next = loaded(ENGINE);
	CU_ASSERT_PTR_NULL(pe_keyring_find(next, two, noon));
	CU_ASSERT_PTR_NOT_NULL(pe_keyring_find(k, two, noon));
	pe_keyring_destroy(k);
	pe_keyring_destroy(next);
}

#define P(text) ENGINE "principals:\n  - id: " ID_1 "\n" text

static void test_refusals(void)
{
	expect_error("", "k.yaml:1: engine: ", "missing");
	expect_error("principals: []\n", "k.yaml:1: engine: ", "at least one key");
	expect_error("engine: {level: sign}\n", "k.yaml:1: engine: ", "at least one key");
	expect_error("engine: {keys: [{from: \"2026-01-01T00:00:00Z\"}]}\n",
		"k.yaml:1: engine.keys[0]: ", "needs secret_file");
	expect_error("engine:\n  keys:\n    - {secret_file: a.key}\n    - {secret_file: a2.key}\n",
		"k.yaml:4: engine.keys[1].secret_file: ", "engine.keys[0] too");
	expect_error("engine:\n  keys:\n    - secret_file: gone.key\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "No such file");
	expect_error("engine:\n  keys:\n    - secret_file: open.key\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "chmod 600");
	expect_error("engine:\n  keys:\n    - secret_file: .\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "is no file");
	expect_error("engine:\n  keys:\n    - secret_file: short.key\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "64 hexadecimal digits");
	expect_error("engine:\n  keys:\n    - secret_file: long.key\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "64 hexadecimal digits");
	expect_error("engine:\n  keys:\n    - secret_file: odd.key\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "64 hexadecimal digits");
	expect_error("engine:\n  keys:\n    - secret_file: empty.key\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "64 hexadecimal digits");
	// A secret that was pasted in: said without repeating it.
	expect_error("engine:\n  keys:\n    - secret_file: " SECRET_A "\n",
		"k.yaml:3: engine.keys[0].secret_file: ", "does not belong");
	expect_error(P("    keys: [{public_key: " PUBLIC_1 ", psk_file: " PSK "}]\n"),
		"k.yaml:4: principals[0].keys[0].psk_file: ", "does not belong");
	expect_error(P("    keys: [{public_key: \"" SECRET_A " \"}]\n"),
		"k.yaml:4: principals[0].keys[0].public_key: ", "64 hexadecimal digits");
	expect_error("engine: {keys: [{secret_file: a.key}], level: none}\n",
		"k.yaml:1: engine.level: ", "sign or encrypt");
	expect_error(P("    levels: sign\n"), "k.yaml:4: principals[0].levels: ", "no such key");
	expect_error(P("    level: sign\n    level: sign\n"),
		"k.yaml:5: principals[0].level: ", "twice");
	expect_error(
		ENGINE "principals: [{name: x}]\n", "k.yaml:2: principals[0]: ", "needs an id");
	expect_error(ENGINE "principals: [{id: x}]\n", "k.yaml:2: principals[0].id: ", "uuid");
	expect_error(ENGINE "principals: [{id: 00000000-0000-0000-0000-000000000000}]\n",
		"k.yaml:2: principals[0].id: ", "nil");
	expect_error(ENGINE "principals: [{id: " ID_1 "}, {id: " ID_1 ", name: b}]\n",
		"k.yaml:2: principals: ", "the same id");
	expect_error(
		P("    name: " SECRET_A "\n"), "k.yaml:4: principals[0].name: ", "shorter than 64");
	expect_error(P("    keys: [{psk_file: own.psk}]\n"),
		"k.yaml:4: principals[0].keys[0]: ", "needs public_key");
	expect_error(P("    keys: [{public_key: 00}]\n"),
		"k.yaml:4: principals[0].keys[0].public_key: ", "64 hexadecimal digits");
	expect_error(P("    keys: [{public_key: "
		       "\"0000000000000000000000000000000000000000000000000000000000000000\"}]\n"),
		"k.yaml:4: principals[0].keys[0].public_key: ", "is no public key");
	expect_error(P("    keys: [{public_key: " PUBLIC_1 "}, {public_key: " PUBLIC_1 "}]\n"),
		"k.yaml:4: principals[0].keys: ", "principals[0]'s too");
	expect_error(P("    keys: [{public_key: " PUBLIC_1 "}, {public_key: " PUBLIC_2
		       "}, {}, {}, {}]\n"),
		"k.yaml:4: principals[0].keys", "too many");
	expect_error(P("    keys: [{public_key: " PUBLIC_1 ", from: 2026-11-26}]\n"),
		"k.yaml:4: principals[0].keys[0].from: ", "2026-11-26T00:00:00Z");
	expect_error(P("    keys: [{public_key: " PUBLIC_1 ", from: \"2026-02-30T00:00:00Z\"}]\n"),
		"k.yaml:4: principals[0].keys[0].from: ", "must be a time");
	expect_error(P("    keys: [{public_key: " PUBLIC_1 ", from: \"2026-1-1T00:00:00Z\"}]\n"),
		"k.yaml:4: principals[0].keys[0].from: ", "must be a time");
	expect_error(
		P("    keys:\n      - public_key: " PUBLIC_1
		  "\n        from: \"2026-02-02T00:00:00Z\"\n        until: \"2026-02-02T00:00:00Z\"\n"),
		"k.yaml:7: principals[0].keys[0].until: ", "later than from");
	expect_error(P("    uids: [ferry]\n"), "k.yaml:4: principals[0].uids[0]: ", "id -u");
	expect_error(P("    uids: [-1]\n"), "k.yaml:4: principals[0].uids[0]: ", "id -u");
	expect_error(P("    uids: [1, 0x3]\n"), "k.yaml:4: principals[0].uids[1]: ", "id -u");
	expect_error(P("    uids: [\"\"]\n"), "k.yaml:4: principals[0].uids[0]: ", "id -u");
	expect_error(P("    uids: [4294967295]\n"), "k.yaml:4: principals[0].uids[0]: ", "id -u");
	expect_error(P("    uids: [18446744073709551617]\n"),
		"k.yaml:4: principals[0].uids[0]: ", "id -u");
	expect_error(P("    uids: [5, 5]\n"), "k.yaml:4: principals[0].uids: ", "user 5 is");
	expect_error(P("    uids: [5]\n  - id: " ID_2 "\n    uids: [6, 5]\n"),
		"k.yaml:", "user 5 is principals[");
	expect_error(P("    uids: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]\n"),
		"k.yaml:4: principals[0].uids", "too many");
	expect_error(P("    owns: [" ID_1 "/129]\n"), "k.yaml:4: principals[0].owns[0]: ", "/bits");
	expect_error(P("    owns: [" ID_1 "/0]\n"), "k.yaml:4: principals[0].owns[0]: ", "/bits");
	expect_error(P("    owns: [" ID_1 "/8x]\n"), "k.yaml:4: principals[0].owns[0]: ", "/bits");
	expect_error(P("    owns: [" ID_1 "/32]\n"),
		"k.yaml:4: principals[0].owns[0]: ", "zero behind its bits");
	expect_error(P("    owns: [f47ac10b]\n"), "k.yaml:4: principals[0].owns[0]: ", "uuid");
	expect_error(P("    owns: [" ID_1 ", f4000000-0000-0000-0000-000000000000/8]\n"),
		"k.yaml:4: principals[0].owns: ", "too");
	expect_error(P("    owns: [" ID_1 "]\n  - id: " ID_2 "\n    owns: [" ID_1 "]\n"),
		"k.yaml:", "entities below one entry are principals[");
	expect_error(P("    grants: [{space: " ID_1 "}]\n"),
		"k.yaml:4: principals[0].grants[0]: ", "needs allow");
	expect_error(P("    grants: [{allow: [fly]}]\n"),
		"k.yaml:4: principals[0].grants[0].allow[0]: ", "not \"fly\"");
	expect_error(
		P("    roles: [nurse, \"\"]\n"), "k.yaml:4: principals[0].roles[1]: ", "1 to 31");
	expect_error(P("    roles: [a2345678901234567890123456789012]\n"),
		"k.yaml:4: principals[0].roles[0]: ", "1 to 31");
	expect_error(P("    roles: [admin]\n"), "k.yaml:4: principals[0].roles[0]: ", "by grants");
	expect_error(P("    roles: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]\n"),
		"k.yaml:4: principals[0].roles", "too many");
	expect_error(P("    stands: here\n"), "k.yaml:4: principals[0].stands: ", "uuid");
	expect_error(
		P("    stands: " ID_2 "\n"), "k.yaml:4: principals[0].stands: ", "under its owns");
	expect_error(P("    owns: [" ID_1 "]\n    stands: " ID_2 "\n"),
		"k.yaml:5: principals[0].stands: ", "under its owns");
	expect_error(P("    grants: [{allow: [query], space: x}]\n"),
		"k.yaml:4: principals[0].grants[0].space: ", "uuid");
	expect_error(P("    grants: [{allow: [query], area: {low: [0, 0], high: [1, 1]}}]\n"),
		"k.yaml:4: principals[0].grants[0].area: ", "needs a space");
	expect_error(P("    grants: [{allow: [query], space: " ID_1
		       ", area: {low: [0, 0], high: [1]}}]\n"),
		"k.yaml:4: principals[0].grants[0].area: ", "2 or of 3");
	expect_error(
		P("    grants: [{allow: [query], space: " ID_1 ", area: {low: [0], high: [1]}}]\n"),
		"k.yaml:4: principals[0].grants[0].area: ", "2 or of 3");
	expect_error(P("    grants: [{allow: [query], space: " ID_1
		       ", area: {low: [0, 0], high: [1, nan]}}]\n"),
		"k.yaml:4: principals[0].grants[0].area.high[1]: ", "number");
	expect_error(P("    grants: [{allow: [query], space: " ID_1
		       ", area: {low: [2, 0], high: [1, 0]}}]\n"),
		"k.yaml:4: principals[0].grants[0].area.high[0]: ", "below low");
	expect_error("engine: [", "k.yaml:", "not YAML");
	expect_error("- x\n", "k.yaml:1: ", "keys and values");
}

static void test_files(void)
{
	struct pe_keyring *k;
	struct pe_error error = {0};
	char path[256];

	snprintf(path, sizeof path, "%s/keyring.yaml", keyring_folder);
	CU_ASSERT_EQUAL(pe_keyring_load(path, &k, &error), PE_IO);
	CU_ASSERT(strstr(error.text, "No such file") != NULL);
	// Nobody writes into this pipe: who waited for it would never hear of anything else again.
	CU_ASSERT_EQUAL_FATAL(mkfifo(path, 0600), 0);
	CU_ASSERT_EQUAL(pe_keyring_load(path, &k, &error), PE_IO);
	CU_ASSERT(strstr(error.text, "keyring.yaml: is no file") != NULL);
	CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
	CU_ASSERT_EQUAL(pe_keyring_load(keyring_folder, &k, &error), PE_IO);
	CU_ASSERT(strstr(error.text, ": is no file") != NULL);
	keyring_file("keyring.yaml", ENGINE,
		0644); // it holds no secret: who may read it is its owner's business
	CU_ASSERT_EQUAL_FATAL(pe_keyring_load(path, &k, &error), PE_OK);
	(void)pe_keyring_locked(k);
	pe_keyring_destroy(k);
	// Who may write it is not: anybody would make himself a principal of his.
	keyring_file("keyring.yaml", ENGINE, 0646);
	CU_ASSERT_EQUAL(pe_keyring_load(path, &k, &error), PE_INVALID);
	CU_ASSERT_PTR_NULL(k);
	CU_ASSERT(strstr(error.text, "keyring.yaml: everybody may write it") != NULL);
	keyring_file("keyring.yaml", ENGINE, 0664);
	CU_ASSERT_EQUAL_FATAL(pe_keyring_load(path, &k, &error), PE_OK);
	pe_keyring_destroy(k);
	pe_keyring_destroy(NULL);
}

int main(void)
{
	static const struct testing_case cases[] = {{"all keys", test_all_keys},
		{"owners against a list", test_owners}, {"rotation", test_rotation},
		{"refusals", test_refusals}, {"files", test_files}};
	static const char *const names[] = {"a.key", "a2.key", "b.key", "shared.psk", "own.psk",
		"open.key", "short.key", "long.key", "odd.key", "empty.key", "keyring.yaml", NULL};
	struct pe_error error;
	int result;

	if (pe_secret_start(&error) != PE_OK)
		testing_skip(error.text);
	keyring_files_make();
	keyring_file("a.key", SECRET_A "\n", 0600);
	keyring_file("a2.key", SECRET_A, 0600);
	keyring_file("b.key", SECRET_B "\r\n", 0400);
	keyring_file("shared.psk", SECRET_B, 0600);
	keyring_file("own.psk", PSK "\n", 0600);
	keyring_file("open.key", SECRET_A "\n", 0644);
	keyring_file("short.key", "11111111\n", 0600);
	keyring_file("long.key", SECRET_A "11\n", 0600);
	keyring_file("odd.key", "x" SECRET_A, 0600);
	keyring_file("empty.key", "", 0600);
	result = testing_main("guard-keyring", cases, sizeof cases / sizeof cases[0]);
	keyring_files_remove(names);
	return result;
}
