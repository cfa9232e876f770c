// A client's side of sessions in C, for the tests of the engine's: opens handshakes, seals and
// opens messages. Written against docs/sessions.md on the engine's own primitives;
// tests/unit/guard/test_interop.py is the independent one.
#pragma once

#include "dataplane/guard/connect.h"
#include "seal/chain.h"
#include "seal/secret.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct client_side {
	uint8_t secret[32], public[32], psk[32];
	uint8_t engine_public[32];
	struct pe_noise noise;
	struct pe_wire_grant grant;
	struct pe_seal *seal;
	// by direction: to the engine, from it
	uint8_t chain[2][32];
	uint8_t epoch_secret[2][PE_SEAL_SECRET_BYTES];
	uint32_t epoch;
	uint64_t sequence;
};

static inline void client_make(struct client_side *c, struct pe_seal *seal, uint8_t number,
	const uint8_t engine_public[32])
{
	*c = (struct client_side){.seal = seal, .secret = {7, number}};
	pe_noise_public(c->secret, c->public);
	memcpy(c->engine_public, engine_public, 32);
}

static inline void client_mac(const struct client_side *c, struct pe_wire_connect *m)
{
	uint8_t key[32], mac[32];

	pe_chain_mac_key(c->engine_public, key);
	pe_noise_mac(key, m, offsetof(struct pe_wire_connect, mac), mac);
	memcpy(m->mac, mac, sizeof m->mac);
}

static inline struct pe_wire_connect client_knock(const struct client_side *c, uint64_t sequence)
{
	struct pe_wire_connect m = {.header = {.version = PE_WIRE_VERSION,
					    .type = PE_TYPE_CONNECT,
					    .stream_id = 9,
					    .sequence = sequence,
					    .count = 1},
		.step = PE_CONNECT_KNOCK};

	pe_chain_key_id(c->engine_public, m.key_id);
	client_mac(c, &m);
	return m;
}

static inline struct pe_wire_connect client_hello_with(struct client_side *c, uint64_t sequence,
	const uint8_t cookie[16], struct pe_wire_hello hello)
{
	struct pe_wire_connect m = client_knock(c, sequence);

	m.step = PE_CONNECT_HELLO;
	memcpy(m.cookie, cookie, 16);
	pe_noise_start(&c->noise, true, &m, PE_CONNECT_PROLOGUE_BYTES, c->secret, c->public,
		c->engine_public, NULL);
	if (!pe_noise_write_first(&c->noise, (const uint8_t *)&hello, sizeof hello, m.noise))
		abort();
	client_mac(c, &m);
	return m;
}

static inline struct pe_wire_connect client_hello(
	struct client_side *c, uint64_t sequence, const uint8_t cookie[16], uint8_t level)
{
	return client_hello_with(
		c, sequence, cookie, (struct pe_wire_hello){.level = level, .timestamp_ms = 1});
}

static inline bool client_welcome(struct client_side *c, const struct pe_wire_welcome *m)
{
	uint8_t split[2][32];

	if (!pe_noise_read_second(
		    &c->noise, c->psk, m->noise, sizeof m->noise, (uint8_t *)&c->grant))
		return false;
	pe_noise_split(&c->noise, split[0], split[1]);
	for (unsigned d = 0; d < 2; d++) {
		pe_chain_start(split[d], c->chain[d]);
		pe_chain_step(c->chain[d], c->epoch_secret[d]);
	}
	c->epoch = 0;
	c->sequence = 0;
	return true;
}

static inline void client_next_epoch(struct client_side *c)
{
	for (unsigned d = 0; d < 2; d++)
		pe_chain_step(c->chain[d], c->epoch_secret[d]);
	c->epoch++;
}

// Seals a message of any content: its header's session and sequence are set here.
static inline void client_seal(
	struct client_side *c, uint8_t *data, uint32_t bytes, uint64_t sequence)
{
	static struct pe_seal_key key;
	struct pe_seal_job job = {
		.data = data, .bytes = bytes, .level = c->grant.level, .key = &key};
	uint64_t id = c->grant.session_id | (c->epoch & 0xFF);

	memcpy(data + offsetof(struct pe_wire_header, session_id), &id, 8);
	memcpy(data + offsetof(struct pe_wire_header, sequence), &sequence, 8);
	pe_seal_expand(c->seal, c->epoch_secret[0], &key);
	pe_seal_close(c->seal, &job, 1);
}

static inline bool client_open(struct client_side *c, uint8_t *data, uint32_t bytes)
{
	static struct pe_seal_key key;
	struct pe_seal_job job = {
		.data = data, .bytes = bytes, .level = c->grant.level, .key = &key};

	pe_seal_expand(c->seal, c->epoch_secret[1], &key);
	pe_seal_open(c->seal, &job, 1);
	return job.sound;
}

// The engine's side of one sealed message, whole.
static inline enum pe_session_verdict engine_take(struct pe_session_table *table,
	struct pe_seal *seal, uint8_t *data, uint32_t bytes, const struct pe_peer *peer,
	struct pe_now now, struct pe_session **session)
{
	struct pe_session_opening opening;
	struct pe_seal_job job = {.data = data, .bytes = bytes};
	enum pe_session_verdict verdict;
	uint64_t id, sequence;

	memcpy(&id, data + offsetof(struct pe_wire_header, session_id), 8);
	memcpy(&sequence, data + offsetof(struct pe_wire_header, sequence), 8);
	verdict = pe_session_admit(table, id, sequence, 0, now, &opening);
	if (verdict != PE_SESSION_OK)
		return verdict;
	job.level = opening.session->level;
	job.key = opening.key;
	pe_seal_open(seal, &job, 1);
	if (!job.sound)
		return PE_SESSION_TAG;
	if (session)
		*session = opening.session;
	return pe_session_commit(table, &opening, peer, now);
}
