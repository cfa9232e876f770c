// The handshake: the published known answer, and what breaks it.
#include "seal/noise.h"
#include "seal/secret.h"
#include "tests/testing.h"

#include <sodium.h>
#include <string.h>

static void hex(const char *text, uint8_t *out, size_t bytes)
{
	size_t got = 0;

	CU_ASSERT_EQUAL_FATAL(strlen(text), 2 * bytes);
	CU_ASSERT_EQUAL_FATAL(sodium_hex2bin(out, bytes, text, strlen(text), NULL, &got, NULL), 0);
}

// Noise_IKpsk2_25519_AESGCM_SHA256 of the vectors of the library cacophony (public domain).
static void test_known_answer(void)
{
	static const char *const plain[] = {"4c756477696720766f6e204d69736573",
		"4d757272617920526f746862617264", "462e20412e20486179656b",
		"4361726c204d656e676572"};
	static const char first_text[] =
		"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79445a1baf339186d7867062b0dd31f5de32"
		"2d370165d217939b2b7ed9e2bae7840458ea65c2ce1554e0e8077fe7334c4bd514c658fd04d97b86d216f58f59714a7e"
		"24144155045c8f36bed85a2cb0fd9af7";
	static const char second_text[] =
		"95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088432fe8d675e949799d2a968211a66cc7ba"
		"2b0f4cad8eda3c2bd37eae737bbf88";
	static const char *const transport[] = {
		"38cbf3835c78b7802df0dd0d9640ff8575debd0cb61cfb52590da1",
		"ffc365ff6955fc66c5d809b31ac995f812c5770bd29f0df12f0ffd"};
	uint8_t si[32], pi[32], ei[32], sr[32], pr[32], er[32], psk[32], prologue[9], hash[32];
	uint8_t payload[2][16], out[128], want[128], back[32], keys[2][2][32];
	static const uint8_t zero_nonce[12];
	struct pe_noise a, b;

	hex("4a6f686e2047616c74", prologue, 9);
	hex("54686973206973206d7920417573747269616e20706572737065637469766521", psk, 32);
	hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1", si, 32);
	hex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a", ei, 32);
	hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893", sr, 32);
	hex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b", er, 32);
	hex("48c3f1eb397c797af6b139032c6074cb41282ff033ee25d5aee4a4badd3a2c3f", hash, 32);
	hex(plain[0], payload[0], 16);
	hex(plain[1], payload[1], 15);
	pe_noise_public(si, pi);
	pe_noise_public(sr, pr);

	pe_noise_start(&a, true, prologue, 9, si, pi, pr, ei);
	pe_noise_start(&b, false, prologue, 9, sr, pr, NULL, er);
	CU_ASSERT(pe_noise_write_first(&a, payload[0], 16, out));
	hex(first_text, want, 112);
	CU_ASSERT(memcmp(out, want, 112) == 0);
	CU_ASSERT(pe_noise_read_first(&b, out, 112, back));
	CU_ASSERT(memcmp(back, payload[0], 16) == 0);
	CU_ASSERT(memcmp(b.remote_static, pi, 32) == 0);
	CU_ASSERT(pe_noise_write_second(&b, psk, payload[1], 15, out));
	hex(second_text, want, 63);
	CU_ASSERT(memcmp(out, want, 63) == 0);
	CU_ASSERT(pe_noise_read_second(&a, psk, out, 63, back));
	CU_ASSERT(memcmp(back, payload[1], 15) == 0);
	CU_ASSERT(memcmp(a.hash, hash, 32) == 0);
	CU_ASSERT(memcmp(b.hash, hash, 32) == 0);
	pe_noise_split(&a, keys[0][0], keys[0][1]);
	pe_noise_split(&b, keys[1][0], keys[1][1]);
	CU_ASSERT(memcmp(keys[0], keys[1], sizeof keys[0]) == 0);
	for (unsigned i = 0; i < 2; i++) { // the keys, by the first message each way
		uint8_t text[16];

		hex(plain[2 + i], text, 11);
		hex(transport[i], want, 27);
		crypto_aead_aes256gcm_encrypt(
			out, NULL, text, 11, NULL, 0, NULL, zero_nonce, keys[0][i]);
		CU_ASSERT(memcmp(out, want, 27) == 0);
	}
	pe_noise_wipe(&a);
	for (unsigned i = 0; i < sizeof a; i++)
		CU_ASSERT_EQUAL(((uint8_t *)&a)[i], 0);
}

struct side {
	uint8_t secret[32], public[32];
};

static struct side side_of(uint8_t n)
{
	// not in the first byte, whose lowest bits the curve clears
	struct side s = {.secret = {7, n}};

	pe_noise_public(s.secret, s.public);
	return s;
}

// Each bit of both messages, a wrong psk, a wrong prologue, a wrong key: read_first or read_second
// fails, and its state is gone.
static void test_altered(void)
{
	struct side client = side_of(1), engine = side_of(2), other = side_of(3);
	uint8_t psk[32] = {5}, wrong_psk[32] = {6}, payload[32] = {1, 2, 3}, back[32];
	uint8_t first[128], second[80];
	struct pe_noise a, b, copy;

	pe_noise_start(&a, true, "p", 1, client.secret, client.public, engine.public, NULL);
	CU_ASSERT(pe_noise_write_first(&a, payload, 32, first));
	// Bit 255 among them: the curve ignores a point's highest bit, the transcript does not.
	for (unsigned bit = 0; bit < sizeof first * 8; bit++) {
		first[bit / 8] ^= (uint8_t)(1u << bit % 8);
		pe_noise_start(&b, false, "p", 1, engine.secret, engine.public, NULL, NULL);
		CU_ASSERT_FALSE(pe_noise_read_first(&b, first, sizeof first, back));
		CU_ASSERT_EQUAL(b.static_secret[0], 0); // wiped
		first[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	pe_noise_start(&b, false, "q", 1, engine.secret, engine.public, NULL, NULL);
	CU_ASSERT_FALSE(pe_noise_read_first(&b, first, sizeof first, back));
	pe_noise_start(&b, false, "p", 1, other.secret, other.public, NULL, NULL);
	CU_ASSERT_FALSE(pe_noise_read_first(&b, first, sizeof first, back));

	pe_noise_start(&b, false, "p", 1, engine.secret, engine.public, NULL, NULL);
	CU_ASSERT_FATAL(pe_noise_read_first(&b, first, sizeof first, back));
	CU_ASSERT(memcmp(back, payload, 32) == 0);
	CU_ASSERT(pe_noise_write_second(&b, psk, payload, 32, second));
	for (unsigned bit = 0; bit < sizeof second * 8; bit++) {
		second[bit / 8] ^= (uint8_t)(1u << bit % 8);
		copy = a;
		CU_ASSERT_FALSE(pe_noise_read_second(&copy, psk, second, sizeof second, back));
		second[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	copy = a;
	CU_ASSERT_FALSE(pe_noise_read_second(&copy, wrong_psk, second, sizeof second, back));
	CU_ASSERT_EQUAL(copy.static_secret[0], 0);
	CU_ASSERT(pe_noise_read_second(&a, psk, second, sizeof second, back));
	CU_ASSERT(memcmp(back, payload, 32) == 0);
}

// Points of small order, whose product with any secret is zero: both sides refuse them.
static void test_small_order(void)
{
	static const uint8_t zero[32], one[32] = {1};
	struct side engine = side_of(2), client = side_of(1);
	uint8_t first[96], back[32];
	struct pe_noise n;

	memset(first, 0, sizeof first);
	for (unsigned i = 0; i < 2; i++) {
		memcpy(first, i ? one : zero, 32);
		pe_noise_start(&n, false, NULL, 0, engine.secret, engine.public, NULL, NULL);
		CU_ASSERT_FALSE(pe_noise_read_first(&n, first, sizeof first, back));
		pe_noise_start(
			&n, true, NULL, 0, client.secret, client.public, i ? one : zero, NULL);
		CU_ASSERT_FALSE(pe_noise_write_first(&n, NULL, 0, first));
	}
}

// Two handshakes of the same two give other keys and other messages.
static void test_fresh(void)
{
	struct side client = side_of(1), engine = side_of(2);
	uint8_t psk[32] = {0}, message[2][96], answer[48], keys[2][2][32];

	for (unsigned i = 0; i < 2; i++) {
		struct pe_noise a, b;

		pe_noise_start(&a, true, "p", 1, client.secret, client.public, engine.public, NULL);
		pe_noise_start(&b, false, "p", 1, engine.secret, engine.public, NULL, NULL);
		CU_ASSERT(pe_noise_write_first(&a, NULL, 0, message[i]));
		CU_ASSERT(pe_noise_read_first(&b, message[i], 96, answer));
		CU_ASSERT(pe_noise_write_second(&b, psk, NULL, 0, answer));
		CU_ASSERT(pe_noise_read_second(&a, psk, answer, 48, answer));
		pe_noise_split(&a, keys[i][0], keys[i][1]);
	}
	CU_ASSERT(memcmp(message[0], message[1], 32) != 0);
	CU_ASSERT(memcmp(message[0] + 32, message[1] + 32, 48) != 0); // the same key, hidden twice
	CU_ASSERT(memcmp(keys[0][0], keys[1][0], 32) != 0);
	CU_ASSERT(memcmp(keys[0][0], keys[0][1], 32) != 0);
}

int main(void)
{
	static const struct testing_case cases[] = {{"known answer", test_known_answer},
		{"altered", test_altered}, {"points of small order", test_small_order},
		{"fresh keys", test_fresh}};
	struct pe_error error;

	if (pe_secret_start(&error) != PE_OK)
		testing_skip(error.text);
	return testing_main("guard-noise", cases, sizeof cases / sizeof cases[0]);
}
