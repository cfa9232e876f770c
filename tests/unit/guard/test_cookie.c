// Cookies: whom they hold for, for how long, and that workers agree without sharing.
#include "dataplane/guard/cookie.h"
#include "seal/secret.h"
#include "tests/testing.h"

#include <string.h>

#define MINUTE ((uint64_t)PE_COOKIE_MINUTE_MS)

static const uint8_t seed_bytes[32] = {1, 2, 3, 4};

static struct pe_peer peer_of(unsigned last, unsigned port)
{
	return (struct pe_peer){
		.address = {[10] = 0xFF, [11] = 0xFF, [12] = 192, [14] = 2, [15] = (uint8_t)last},
		.port = (uint16_t)port};
}

static void test_binds(void)
{
	struct pe_peer p = peer_of(1, 4000), other = peer_of(2, 4000), port = peer_of(1, 4001);
	uint8_t cookie[PE_COOKIE_BYTES], again[PE_COOKIE_BYTES];
	struct pe_cookie c;
	uint64_t now = 100 * MINUTE + 1;

	pe_cookie_start(&c, seed_bytes, now);
	CU_ASSERT(pe_cookie_tick(&c, now));
	CU_ASSERT(pe_cookie_make(&c, &p, now, cookie));
	CU_ASSERT(pe_cookie_make(&c, &p, now + 10, again));
	CU_ASSERT(memcmp(cookie, again, sizeof cookie) == 0); // nothing of it is random: no state
	CU_ASSERT(pe_cookie_holds(&c, &p, now, cookie));
	CU_ASSERT_FALSE(pe_cookie_holds(&c, &other, now, cookie));
	CU_ASSERT_FALSE(pe_cookie_holds(&c, &port, now, cookie));
	p.trusted = true; // what the configuration says of an address is no part of it
	p.link = 9;
	CU_ASSERT(pe_cookie_holds(&c, &p, now, cookie));
	p.source = 1;
	CU_ASSERT_FALSE(pe_cookie_holds(&c, &p, now, cookie));
	p.source = 0;
	for (unsigned bit = 0; bit < 128; bit++) {
		memcpy(again, cookie, sizeof again);
		again[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(pe_cookie_holds(&c, &p, now, again));
	}
	memset(again, 0, sizeof again);
	CU_ASSERT_FALSE(pe_cookie_holds(&c, &p, now, again));
}

// Its minute and the next, wherever in the secret's two minutes it was made.
static void test_times(void)
{
	struct pe_peer p = peer_of(1, 4000);
	uint8_t cookie[PE_COOKIE_BYTES];

	for (unsigned m = 0; m < 6; m++) {
		uint64_t made = (100 + m) * MINUTE + 30000;
		struct pe_cookie c;

		pe_cookie_start(&c, seed_bytes, made);
		CU_ASSERT(pe_cookie_make(&c, &p, made, cookie));
		for (uint64_t later = made; later < made + 4 * MINUTE; later += 5000) {
			CU_ASSERT(pe_cookie_tick(&c, later));
			CU_ASSERT_EQUAL(pe_cookie_holds(&c, &p, later, cookie),
				later / MINUTE - made / MINUTE < 2);
		}
	}
}

static void test_workers_agree(void)
{
	struct pe_peer p = peer_of(1, 4000);
	uint8_t cookie[PE_COOKIE_BYTES];
	struct pe_cookie a, b, other;
	uint64_t began = 7 * MINUTE, now = began + 95 * MINUTE;
	static const uint8_t other_seed[32] = {1, 2, 3, 5};

	pe_cookie_start(&a, seed_bytes, began);
	pe_cookie_start(&b, seed_bytes, began);
	pe_cookie_start(&other, other_seed, began);
	for (uint64_t t = began; t <= now; t += MINUTE / 3) // a is asked often, b never before
		CU_ASSERT(pe_cookie_tick(&a, t));
	CU_ASSERT(pe_cookie_tick(&b, now));
	CU_ASSERT(pe_cookie_tick(&other, now));
	CU_ASSERT(pe_cookie_make(&a, &p, now, cookie));
	CU_ASSERT(pe_cookie_holds(&b, &p, now, cookie));
	CU_ASSERT_FALSE(pe_cookie_holds(&other, &p, now, cookie));
}

// After a long sleep the chain catches up in bounded steps, and nothing holds before it has.
static void test_catches_up(void)
{
	struct pe_peer p = peer_of(1, 4000);
	uint8_t cookie[PE_COOKIE_BYTES], chain[32];
	struct pe_cookie c;
	uint64_t began = 60 * MINUTE, now = began + 1000 * 2 * MINUTE;
	unsigned calls = 1;

	pe_cookie_start(&c, seed_bytes, began);
	memcpy(chain, c.chain, 32);
	CU_ASSERT_FALSE(pe_cookie_tick(&c, now));
	CU_ASSERT_FALSE(pe_cookie_make(&c, &p, now, cookie));
	CU_ASSERT_FALSE(pe_cookie_holds(&c, &p, now, cookie));
	while (!pe_cookie_tick(&c, now))
		calls++;
	CU_ASSERT_EQUAL(calls, 1000 / PE_COOKIE_STEPS_MAX);
	CU_ASSERT(pe_cookie_make(&c, &p, now, cookie));
	CU_ASSERT(pe_cookie_holds(&c, &p, now, cookie));
	CU_ASSERT(memcmp(chain, c.chain, 32) != 0);
	// A clock that stepped back: refused, not believed.
	CU_ASSERT_FALSE(pe_cookie_tick(&c, began));
	CU_ASSERT_FALSE(pe_cookie_make(&c, &p, began, cookie));
	pe_cookie_wipe(&c);
	CU_ASSERT(c.chain[0] == 0 && c.current[0] == 0 && c.previous[0] == 0);
}

TESTING_MAIN("guard-cookie", {"bound to who asked", test_binds}, {"how long", test_times},
	{"workers agree", test_workers_agree}, {"catching up", test_catches_up})
