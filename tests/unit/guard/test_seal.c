// Sealing: known answers of both backends, that they agree byte for byte, and that no bit of a
// message may change.
#include "seal/seal.h"
#include "seal/secret.h"
#include "tests/testing.h"

#include <sodium.h>
#include <stddef.h>
#include <string.h>

static struct pe_seal *backends[2];
static unsigned backend_count;

static size_t hex(const char *text, uint8_t *out, size_t most)
{
	size_t got = 0;

	CU_ASSERT_EQUAL_FATAL(sodium_hex2bin(out, most, text, strlen(text), NULL, &got, NULL), 0);
	return got;
}

// The 128-bit cases with nonces of 96 bits that came with the mode's specification to NIST (test
// cases 1–4), a tag over associated data alone, and an empty one, of the validation program's files
// (gcmEncryptExtIV128).
static void test_known_answers(void)
{
	static const struct {
		const char *key, *nonce, *associated, *plain, *cipher, *tag;
	} cases[] = {
		{"00000000000000000000000000000000", "000000000000000000000000", "", "", "",
			"58e2fccefa7e3061367f1d57a4e7455a"},
		{"00000000000000000000000000000000", "000000000000000000000000", "",
			"00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
			"ab6e47d42cec13bdf53a67b21257bddf"},
		{"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
			"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
			"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
			"4d5c2af327cd64a62cf35abd2ba6fab4"},
		{"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
			"feedfacedeadbeeffeedfacedeadbeefabaddad2",
			"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
			"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
			"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
			"5bc94fbc3221a5db94fae95ae7121a47"},
		{"11754cd72aec309bf52f7687212e8957", "3c819d9a9bed087615030b65", "", "", "",
			"250327c674aaf477aef2675748cf6971"},
		{"77be63708971c4e240d1cb79e8d77feb", "e0e00f19fed7ba0136a797f3",
			"7a43ec1d9c0a5a78a0b16533a6213cab", "", "",
			"209fcc8d3675ed938e9c7166709dd946"},
	};

	for (unsigned b = 0; b < backend_count; b++)
		for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			uint8_t secret[PE_SEAL_SECRET_BYTES] = {0}, nonce[12], associated[32];
			uint8_t text[64], plain[64], want[64], tag[16], want_tag[16];
			static struct pe_seal_key key;
			size_t bytes, associated_bytes;

			hex(cases[i].key, secret, 16);
			hex(cases[i].nonce, nonce, 12);
			associated_bytes = hex(cases[i].associated, associated, sizeof associated);
			bytes = hex(cases[i].plain, plain, sizeof plain);
			CU_ASSERT_EQUAL(hex(cases[i].cipher, want, sizeof want), bytes);
			hex(cases[i].tag, want_tag, 16);
			memcpy(text, plain, sizeof text);
			pe_seal_expand(backends[b], secret, &key);
			CU_ASSERT(pe_seal_raw(backends[b], &key, nonce, associated,
				(uint32_t)associated_bytes, text, (uint32_t)bytes, false, tag));
			CU_ASSERT(memcmp(text, want, bytes) == 0);
			CU_ASSERT(memcmp(tag, want_tag, 16) == 0);
			CU_ASSERT(pe_seal_raw(backends[b], &key, nonce, associated,
				(uint32_t)associated_bytes, text, (uint32_t)bytes, true, tag));
			CU_ASSERT(memcmp(text, plain, bytes) == 0);
			tag[i] ^= 1;
			CU_ASSERT_FALSE(pe_seal_raw(backends[b], &key, nonce, associated,
				(uint32_t)associated_bytes, text, (uint32_t)bytes, true, tag));
		}
}

static void message(uint64_t *seed, uint8_t *data, uint32_t bytes, uint64_t sequence)
{
	for (uint32_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)testing_random(seed);
	memset(data + 64, 0, 16);
	memcpy(data + offsetof(struct pe_wire_header, sequence), &sequence, 8);
}

// Bursts of random lengths under several keys: sealed alike by both, opened by both, and back to
// what they were.
static void test_bursts(void)
{
	enum { KEYS = 5, BURST = 64 };
	static struct pe_seal_key keys[2][KEYS];
	static uint8_t plain[BURST][PE_WIRE_BYTES_MAX], data[2][BURST][PE_WIRE_BYTES_MAX + 1];
	static struct pe_seal_job jobs[BURST];
	uint64_t seed = 0x5EED0004, rounds = testing_amount(100);

	printf("seed %#llx ", (unsigned long long)seed);
	for (unsigned k = 0; k < KEYS; k++) {
		uint8_t secret[PE_SEAL_SECRET_BYTES];

		for (unsigned i = 0; i < sizeof secret; i++)
			secret[i] = (uint8_t)testing_random(&seed);
		for (unsigned b = 0; b < backend_count; b++)
			pe_seal_expand(backends[b], secret, &keys[b][k]);
	}
	for (uint64_t round = 0; round < rounds; round++) {
		unsigned count = 1 + (unsigned)(testing_random(&seed) % BURST), odd = round % 2;
		uint32_t bytes[BURST];
		unsigned key[BURST];
		uint8_t level[BURST];

		for (unsigned i = 0; i < count; i++) {
			bytes[i] =
				80 + (uint32_t)(testing_random(&seed) % (PE_WIRE_BYTES_MAX - 79));
			key[i] = (unsigned)(testing_random(&seed) % KEYS);
			level[i] = 1 + testing_random(&seed) % 2;
			message(&seed, plain[i], bytes[i], round * BURST + i + 1);
		}
		for (unsigned b = 0; b < backend_count; b++) {
			for (unsigned i = 0; i < count; i++) {
				memcpy(data[b][i] + odd, plain[i], bytes[i]);
				jobs[i] = (struct pe_seal_job){.data = data[b][i] + odd,
					.bytes = bytes[i],
					.level = level[i],
					.key = &keys[b][key[i]]};
			}
			pe_seal_close(backends[b], jobs, count);
		}
		for (unsigned i = 0; i < count; i++) {
			const uint8_t *d = data[0][i] + odd;

			CU_ASSERT(memcmp(d, data[backend_count - 1][i] + odd, bytes[i]) == 0);
			CU_ASSERT(memcmp(d, plain[i], 64) == 0);
			// Signed: readable. Encrypted: not.
			CU_ASSERT_EQUAL(memcmp(d + 80, plain[i] + 80, bytes[i] - 80) == 0,
				level[i] == PE_SEAL_SIGN || bytes[i] == 80);
		}
		for (unsigned b = 0; b < backend_count; b++) { // each opens what the other closed
			for (unsigned i = 0; i < count; i++)
				jobs[i] = (struct pe_seal_job){
					.data = data[backend_count - 1 - b][i] + odd,
					.bytes = bytes[i],
					.level = level[i],
					.key = &keys[b][key[i]]};
			pe_seal_open(backends[b], jobs, count);
			for (unsigned i = 0; i < count; i++) {
				CU_ASSERT(jobs[i].sound);
				CU_ASSERT(memcmp(jobs[i].data, plain[i], bytes[i]) == 0);
			}
		}
	}
}

// Every bit of a message, its length, its level and its key.
static void test_altered(void)
{
	static struct pe_seal_key key, other;
	static uint8_t plain[200], sealed[216], data[216];
	uint8_t secret[PE_SEAL_SECRET_BYTES] = {1, 2, 3};
	uint64_t seed = 0x5EED0005;

	for (unsigned b = 0; b < backend_count; b++)
		for (uint8_t level = PE_SEAL_SIGN; level <= PE_SEAL_ENCRYPT; level++) {
			struct pe_seal_job job = {
				.data = sealed, .bytes = 200, .level = level, .key = &key};
			unsigned taken = 0;

			pe_seal_expand(backends[b], secret, &key);
			message(&seed, plain, 200, 77);
			memset(sealed, 0, sizeof sealed);
			memcpy(sealed, plain, 200);
			pe_seal_close(backends[b], &job, 1);
			job.data = data;
			for (unsigned bit = 0; bit < 200 * 8; bit++) {
				memcpy(data, sealed, sizeof data);
				data[bit / 8] ^= (uint8_t)(1u << bit % 8);
				pe_seal_open(backends[b], &job, 1);
				taken += job.sound;
				for (unsigned i = 80; i < 200; i++)
					taken += data[i] != 0; // nothing of the plain text stays
			}
			CU_ASSERT_EQUAL(taken, 0);
			for (job.bytes = 80; job.bytes < 216; job.bytes++) {
				memcpy(data, sealed, sizeof data);
				pe_seal_open(backends[b], &job, 1);
				CU_ASSERT_EQUAL(job.sound, job.bytes == 200);
			}
			job.bytes = 200;
			job.level = level == PE_SEAL_SIGN ? PE_SEAL_ENCRYPT : PE_SEAL_SIGN;
			memcpy(data, sealed, sizeof data);
			pe_seal_open(backends[b], &job, 1);
			CU_ASSERT_FALSE(job.sound);
			job.level = level;
			for (unsigned byte = 0; byte < PE_SEAL_SECRET_BYTES;
				byte++) { // key and salt
				secret[byte] ^= 1;
				pe_seal_expand(backends[b], secret, &other);
				secret[byte] ^= 1;
				job.key = &other;
				memcpy(data, sealed, sizeof data);
				pe_seal_open(backends[b], &job, 1);
				CU_ASSERT_FALSE(job.sound);
			}
			job.key = &key;
			memcpy(data, sealed, sizeof data);
			pe_seal_open(backends[b], &job, 1);
			CU_ASSERT(job.sound);
			CU_ASSERT(memcmp(data, plain, 200) == 0);
		}
}

int main(void)
{
	static const struct testing_case cases[] = {{"known answers", test_known_answers},
		{"bursts of both backends", test_bursts}, {"altered", test_altered}};
	struct pe_error error;
	int result;

	if (pe_secret_start(&error) != PE_OK)
		testing_skip(error.text);
	for (unsigned b = PE_SEAL_IPSEC_MB; b <= PE_SEAL_OPENSSL; b++) {
		if (pe_seal_create((enum pe_seal_backend)b, &backends[backend_count], &error) !=
			PE_OK) {
			printf("    not tested: %s\n", error.text);
			if (b == PE_SEAL_OPENSSL)
				return EXIT_FAILURE; // that one is everywhere
			continue;
		}
		printf("    backend: %s\n", pe_seal_backend_name(backends[backend_count]));
		backend_count++;
	}
	result = testing_main("guard-seal", cases, sizeof cases / sizeof cases[0]);
	for (unsigned b = 0; b < backend_count; b++)
		pe_seal_destroy(backends[b]);
	return result;
}
