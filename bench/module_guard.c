// What sealed messages cost beside their work: opening and closing by bursts of 32, of one record
// (184 bytes) and of sixteen (1384), under one key and in turn under a thousand, whose expanded
// keys and replay windows are larger than a core's second cache; and what strangers cost: buckets,
// cookies, the engine's side of a handshake. An operation is a message.
#include "dataplane/guard/bucket.h"
#include "dataplane/guard/cookie.h"
#include "seal/noise.h"
#include "seal/replay.h"
#include "seal/seal.h"
#include "seal/secret.h"
#include "modules.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define KEYS  1000u
#define BURST 32u

static struct pe_seal *seals[2]; // the best, OpenSSL
static struct pe_seal_key *keys[2];
static struct pe_replay *windows;
static uint8_t data[BURST][PE_WIRE_BYTES_MAX];

static void make_keys(void *context)
{
	uint8_t secret[PE_SEAL_SECRET_BYTES] = {1};
	struct pe_error error;

	(void)context;
	if (keys[0])
		return;
	windows = calloc(KEYS, sizeof *windows);
	if (!windows || pe_secret_start(&error) != PE_OK)
		module_fail("the guard does not start");
	for (unsigned b = 0; b < 2; b++) {
		keys[b] = aligned_alloc(64, KEYS * sizeof *keys[b]);
		if (!keys[b] ||
			pe_seal_create(b ? PE_SEAL_OPENSSL : PE_SEAL_BEST, &seals[b], &error) !=
				PE_OK)
			module_fail("no sealing backend");
		for (unsigned i = 0; i < KEYS; i++) {
			memcpy(secret, &i, sizeof i);
			pe_seal_expand(seals[b], secret, &keys[b][i]);
		}
	}
}

// What is opened has wrong tags: the same work, and zeros over the body besides.
struct run {
	bool openssl, open;
	uint8_t level;
	unsigned keys;
	uint32_t bytes;
};

static void seal_bursts(void *context, uint64_t count)
{
	const struct run *r = context;
	static struct pe_seal_job jobs[BURST];
	struct pe_seal *seal = seals[r->openssl];
	static uint64_t sequence;
	unsigned at = 0;

	for (uint64_t done = 0; done < count; done += BURST) {
		for (unsigned i = 0; i < BURST; i++) {
			jobs[i] = (struct pe_seal_job){.data = data[i],
				.bytes = r->bytes,
				.level = r->level,
				.key = &keys[r->openssl][(at + i) % r->keys]};
			sequence++;
			memcpy(data[i] + offsetof(struct pe_wire_header, sequence), &sequence, 8);
		}
		if (r->open) {
			for (unsigned i = 0; i < BURST; i++)
				if (!pe_replay_fresh(&windows[(at + i) % r->keys], sequence))
					module_fail("a sequence was taken");
			pe_seal_open(seal, jobs, BURST);
			for (unsigned i = 0; i < BURST; i++)
				(void)pe_replay_take(&windows[(at + i) % r->keys], sequence);
		} else {
			pe_seal_close(seal, jobs, BURST);
		}
		at = (at + BURST) % r->keys;
		bench_keep(jobs);
	}
}

static void buckets(void *context, uint64_t count)
{
	static struct pe_bucket_table table;
	static const uint8_t key[64] = {7};
	uint8_t address[16] = {0x20, 0x01};
	struct pe_rate rate;

	(void)context;
	if (!table.sets &&
		(pe_rate_make(1000, 100, &rate) != PE_OK ||
			pe_bucket_table_create(&table, 65536, &rate, key) != PE_OK))
		module_fail("no buckets");
	for (uint64_t i = 0; i < count; i++) {
		uint64_t prefix = i * 0x9E3779B97F4A7C15u;

		memcpy(address + 1, &prefix, 6);
		(void)pe_bucket_table_take(&table, address, i * 100, 1);
	}
	bench_keep(&table);
}

static void cookies(void *context, uint64_t count)
{
	static const uint8_t seed[32] = {7};
	struct pe_peer peer = {.address = {0x20, 0x01}};
	uint8_t cookie[PE_COOKIE_BYTES] = {0};
	struct pe_cookie c;
	unsigned held = 0;

	(void)context;
	pe_cookie_start(&c, seed, 120000);
	for (uint64_t i = 0; i < count; i++) { // wrong ones: the dearest
		peer.port = (uint16_t)i;
		held += pe_cookie_holds(&c, &peer, 180000, cookie);
	}
	if (held)
		module_fail("an invented cookie holds");
}

static void handshakes(void *context, uint64_t count)
{
	uint8_t secret[2][32] = {{7, 1}, {7, 2}}, public[2][32], psk[32] = {0};
	uint8_t first[128], second[96], payload[48] = {0}, said[32], split[2][32];
	struct pe_noise n;

	(void)context;
	for (unsigned i = 0; i < 2; i++)
		pe_noise_public(secret[i], public[i]);
	pe_noise_start(&n, true, "p", 1, secret[0], public[0], public[1], NULL);
	if (!pe_noise_write_first(&n, payload, 32, first))
		module_fail("no first message");
	for (uint64_t i = 0; i < count; i++) {
		pe_noise_start(&n, false, "p", 1, secret[1], public[1], NULL, NULL);
		if (!pe_noise_read_first(&n, first, sizeof first, said) ||
			!pe_noise_write_second(&n, psk, payload, sizeof payload, second))
			module_fail("a handshake failed");
		pe_noise_split(&n, split[0], split[1]);
	}
	bench_keep(split);
}

void module_guard(void)
{
	static struct run runs[] = {
		{false, true, PE_SEAL_SIGN, 1, 184},
		{false, true, PE_SEAL_SIGN, KEYS, 184},
		{false, true, PE_SEAL_SIGN, KEYS, 1384},
		{false, true, PE_SEAL_ENCRYPT, 1, 184},
		{false, true, PE_SEAL_ENCRYPT, KEYS, 184},
		{false, true, PE_SEAL_ENCRYPT, KEYS, 1384},
		{false, false, PE_SEAL_ENCRYPT, KEYS, 184},
		{true, true, PE_SEAL_ENCRYPT, KEYS, 184},
		{true, true, PE_SEAL_ENCRYPT, KEYS, 1384},
	};
	static const char *const names[] = {"guard/open_sign_184/keys:1",
		"guard/open_sign_184/keys:1000", "guard/open_sign_1384/keys:1000",
		"guard/open_encrypt_184/keys:1", "guard/open_encrypt_184/keys:1000",
		"guard/open_encrypt_1384/keys:1000", "guard/close_encrypt_184/keys:1000",
		"guard/openssl_open_encrypt_184/keys:1000",
		"guard/openssl_open_encrypt_1384/keys:1000"};
	static struct bench_case cases[sizeof runs / sizeof runs[0] + 3];
	unsigned n = sizeof runs / sizeof runs[0];

	for (unsigned i = 0; i < n; i++)
		cases[i] = (struct bench_case){.name = names[i],
			.function = seal_bursts,
			.context = &runs[i],
			.batch = 8192,
			.set_up = make_keys};
	cases[n++] =
		(struct bench_case){.name = "guard/bucket", .function = buckets, .batch = 8192};
	cases[n++] = (struct bench_case){
		.name = "guard/cookie", .function = cookies, .batch = 8192, .set_up = make_keys};
	cases[n++] = (struct bench_case){.name = "guard/handshake",
		.function = handshakes,
		.batch = 64,
		.set_up = make_keys};
	MODULE_CASES(cases);
}
