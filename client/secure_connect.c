#include "client/secure_internal.h"

#include <string.h>
#include <time.h>

#define WAIT_FIRST_US 1000000u
#define WAIT_MOST_US  8000000u

uint64_t secure_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void send_connect(struct secure *s, uint8_t step, uint64_t sequence)
{
	struct pe_wire_connect m = {.header = {.version = PE_WIRE_VERSION,
					    .type = PE_TYPE_CONNECT,
					    .stream_id = s->stream_id,
					    .sequence = sequence,
					    .timestamp_ms = wall_ms(),
					    .count = 1},
		.step = step};
	struct pe_wire_hello hello = {.level = s->level, .timestamp_ms = m.header.timestamp_ms};
	struct iovec packet = {&m, sizeof m};
	uint8_t key[32], mac[32];

	pe_chain_key_id(s->engine_key, m.key_id);
	if (step == PE_CONNECT_HELLO) {
		memcpy(m.cookie, s->cookie, sizeof m.cookie);
		pe_noise_start(&s->noise, true, &m, PE_CONNECT_PROLOGUE_BYTES, s->secret, s->public,
			s->engine_key, NULL);
		// Refused by the curve at open already where the engine's key is none.
		if (!pe_noise_write_first(
			    &s->noise, (const uint8_t *)&hello, sizeof hello, m.noise))
			return;
	}
	pe_chain_mac_key(s->engine_key, key);
	pe_noise_mac(key, &m, offsetof(struct pe_wire_connect, mac), mac);
	memcpy(m.mac, mac, sizeof m.mac);
	// What cannot be sent now is sent again like what was lost.
	(void)s->below->send(s->below_context, &packet, 1);
}

static void request(struct secure *s)
{
	s->again_us = secure_now_us() + s->wait_us;
	send_connect(s, s->step, ++s->request_sequence);
}

void secure_connect_knock(struct secure *s, uint64_t sequence)
{
	send_connect(s, PE_CONNECT_KNOCK, sequence);
}

static void go_to(struct secure *s, uint8_t step)
{
	s->step = step;
	s->wait_us = WAIT_FIRST_US;
	// Nobody off the path can guess it.
	pe_secret_random(&s->request_sequence, sizeof s->request_sequence);
	request(s);
}

void secure_connect(struct secure *s)
{
	if (!s->step)
		go_to(s, PE_CONNECT_KNOCK);
}

void secure_connect_tick(struct secure *s)
{
	if (!s->step || secure_now_us() < s->again_us)
		return;
	s->wait_us = 2 * s->wait_us < WAIT_MOST_US ? 2 * s->wait_us : WAIT_MOST_US;
	// An engine that was started anew has another cookie, and gives it to this HELLO too.
	request(s);
}

static void start_direction(struct secure *s, struct secure_direction *d, uint8_t split[32])
{
	uint8_t secret[PE_SEAL_SECRET_BYTES];

	pe_chain_start(split, d->chain);
	pe_chain_step(d->chain, secret);
	pe_seal_expand(s->seal, secret, &d->key);
	pe_secret_wipe(&d->before, sizeof d->before);
	pe_secret_wipe(secret, sizeof secret);
	pe_secret_wipe(split, 32);
}

static void take_welcome(struct secure *s, const struct pe_wire_welcome *m)
{
	struct pe_noise noise = s->noise;
	struct pe_wire_grant grant;
	uint8_t split[2][32];

	// On a copy: one that cannot be opened may be somebody's invention, and the true one come
	// after it.
	if (!pe_noise_read_second(&noise, s->psk, m->noise, sizeof m->noise, (uint8_t *)&grant) ||
		(grant.level != PE_SEAL_SIGN && grant.level != PE_SEAL_ENCRYPT) ||
		grant.level < s->level || !grant.session_id)
		return;
	pe_noise_split(&noise, split[0], split[1]);
	pe_noise_wipe(&noise);
	pe_noise_wipe(&s->noise);
	start_direction(s, &s->send, split[0]);
	start_direction(s, &s->receive, split[1]);
	s->session_id = grant.session_id;
	s->session_level = grant.level;
	s->epoch = 0;
	s->sequence = 0;
	s->replay = (struct pe_replay){0};
	s->began_us = s->epoch_us = s->heard_us = secure_now_us();
	s->waiting = false;
	secure_prove_reset(s);
	s->life_us = (uint64_t)grant.life_s * 1000000;
	s->epoch_life_us = (uint64_t)grant.epoch_s * 1000000;
	s->step = 0;
}

void secure_connect_take(struct secure *s, const uint8_t *data, uint32_t bytes)
{
	struct pe_wire_cookie cookie;
	struct pe_wire_welcome welcome;

	if (!s->step || bytes < sizeof(struct pe_wire_header) + 1 ||
		data[offsetof(struct pe_wire_header, version)] != PE_WIRE_VERSION ||
		data[offsetof(struct pe_wire_header, type)] != PE_TYPE_CONNECT_ACK)
		return;
	if (bytes == sizeof cookie && data[sizeof(struct pe_wire_header)] == PE_CONNECT_COOKIE) {
		memcpy(&cookie, data, sizeof cookie);
		if (cookie.request_sequence != s->request_sequence)
			return;
		memcpy(s->cookie, cookie.cookie, sizeof s->cookie);
		go_to(s, PE_CONNECT_HELLO);
	} else if (bytes == sizeof welcome && s->step == PE_CONNECT_HELLO &&
		data[sizeof(struct pe_wire_header)] == PE_CONNECT_WELCOME) {
		memcpy(&welcome, data, sizeof welcome);
		if (welcome.request_sequence == s->request_sequence)
			take_welcome(s, &welcome);
	}
}
