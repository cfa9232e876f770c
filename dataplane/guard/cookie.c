#include "cookie.h"
#include "seal/secret.h"

#include <sodium.h>
#include <string.h>

static_assert(crypto_shorthash_siphashx24_BYTES == PE_COOKIE_BYTES, "cookie");
static_assert(crypto_shorthash_siphashx24_KEYBYTES == 16, "secret");

#define PERIOD_MS (2 * PE_COOKIE_MINUTE_MS)

// One step: the next link, and the secret that belongs to it.
static void step(struct pe_cookie *cookie)
{
	static const uint8_t link[] = "presenced cookie link", secret[] = "presenced cookie secret";
	uint8_t next[32];

	(void)crypto_generichash(
		next, sizeof next, link, sizeof link, cookie->chain, sizeof cookie->chain);
	memcpy(cookie->previous, cookie->current, sizeof cookie->previous);
	(void)crypto_generichash(cookie->current, sizeof cookie->current, secret, sizeof secret,
		cookie->chain, sizeof cookie->chain);
	memcpy(cookie->chain, next, sizeof next);
	pe_secret_wipe(next, sizeof next);
	cookie->period++;
}

void pe_cookie_start(struct pe_cookie *cookie, const uint8_t seed[32], uint64_t began_ms)
{
	*cookie = (struct pe_cookie){.period = began_ms / PERIOD_MS - 2};
	memcpy(cookie->chain, seed, sizeof cookie->chain);
	step(cookie); // so that there is a secret of the period before, too
	step(cookie);
}

bool pe_cookie_tick(struct pe_cookie *cookie, uint64_t mono_ms)
{
	uint64_t period = mono_ms / PERIOD_MS;

	for (unsigned i = 0; i < PE_COOKIE_STEPS_MAX && cookie->period < period; i++)
		step(cookie);
	return cookie->period == period;
}

void pe_cookie_wipe(struct pe_cookie *cookie)
{
	pe_secret_wipe(cookie, sizeof *cookie);
}

static void hash(const uint8_t secret[16], const struct pe_peer *peer, uint64_t minute,
	uint8_t out[PE_COOKIE_BYTES])
{
	struct {
		uint8_t address[16];
		uint64_t minute;
		uint16_t port;
		uint8_t source;
		uint8_t zero[5];
	} said = {.minute = minute, .port = peer->port, .source = peer->source};

	static_assert(sizeof said == 32, "no padding in what is hashed");
	memcpy(said.address, peer->address, sizeof said.address);
	(void)crypto_shorthash_siphashx24(out, (const uint8_t *)&said, sizeof said, secret);
}

// The secret of a minute, or NULL.
static const uint8_t *secret_of(const struct pe_cookie *cookie, uint64_t minute)
{
	uint64_t period = minute / 2;

	return period == cookie->period      ? cookie->current :
		period + 1 == cookie->period ? cookie->previous :
					       NULL;
}

bool pe_cookie_make(const struct pe_cookie *cookie, const struct pe_peer *peer, uint64_t mono_ms,
	uint8_t out[PE_COOKIE_BYTES])
{
	uint64_t minute = mono_ms / PE_COOKIE_MINUTE_MS;

	if (minute / 2 != cookie->period)
		return false;
	hash(cookie->current, peer, minute, out);
	return true;
}

bool pe_cookie_holds(const struct pe_cookie *cookie, const struct pe_peer *peer, uint64_t mono_ms,
	const uint8_t in[PE_COOKIE_BYTES])
{
	uint64_t minute = mono_ms / PE_COOKIE_MINUTE_MS;
	uint8_t want[PE_COOKIE_BYTES];

	if (minute / 2 != cookie->period)
		return false;
	for (unsigned back = 0; back < 2; back++) {
		const uint8_t *secret = secret_of(cookie, minute - back);

		if (!secret)
			break;
		hash(secret, peer, minute - back, want);
		if (pe_secret_equal(want, in, sizeof want))
			return true;
	}
	return false;
}
