#include "connect.h"
#include "seal/secret.h"

#include <string.h>

static bool is_zero(const uint8_t *at, size_t bytes)
{
	uint8_t any = 0;

	for (size_t i = 0; i < bytes; i++)
		any |= at[i];
	return any == 0;
}

static bool well_formed(const struct pe_wire_connect *m)
{
	const struct pe_wire_header *h = &m->header;

	return h->version == PE_WIRE_VERSION && h->type == PE_TYPE_CONNECT && h->flags == 0 &&
		h->session_id == 0 && h->count == 1 && h->reserved0 == 0 && h->reserved1 == 0 &&
		h->reserved2 == 0 && is_zero(h->space_id, sizeof h->space_id) &&
		is_zero(h->tag, sizeof h->tag) && is_zero(m->reserved, sizeof m->reserved) &&
		(m->step == PE_CONNECT_HELLO ||
			(m->step == PE_CONNECT_KNOCK && is_zero(m->cookie, sizeof m->cookie) &&
				is_zero(m->noise, sizeof m->noise)));
}

static bool mac_is_right(const struct pe_wire_connect *m, const struct pe_engine_key *key)
{
	uint8_t want[32];

	pe_noise_mac(key->mac_key, m, offsetof(struct pe_wire_connect, mac), want);
	return pe_secret_equal(want, m->mac, sizeof m->mac);
}

static struct pe_wire_header answer_header(
	struct pe_connect *c, const struct pe_wire_connect *m, struct pe_now now)
{
	return (struct pe_wire_header){.version = PE_WIRE_VERSION,
		.type = PE_TYPE_CONNECT_ACK,
		.stream_id = m->header.stream_id,
		.sequence = ++c->sequence,
		.timestamp_ms = now.wall_ms,
		.count = 1};
}

static enum pe_connect_verdict give_cookie(struct pe_connect *c, const struct pe_wire_connect *m,
	const struct pe_peer *peer, struct pe_now now, uint8_t *reply, uint32_t *reply_bytes)
{
	struct pe_wire_cookie out = {.header = answer_header(c, m, now),
		.step = PE_CONNECT_COOKIE,
		.request_sequence = m->header.sequence};

	if (!pe_cookie_make(c->cookie, peer, now.mono_ms, out.cookie))
		return PE_CONNECT_LATE;
	memcpy(out.key_id, m->key_id, sizeof out.key_id);
	memcpy(reply, &out, sizeof out);
	*reply_bytes = sizeof out;
	return PE_CONNECT_COOKIED;
}

// The second message, once the first was right and its sender is known.
static enum pe_connect_verdict welcome(struct pe_connect *c, const struct pe_wire_connect *m,
	const struct pe_keyring_key *key, struct pe_noise *noise, uint8_t level,
	const struct pe_peer *peer, struct pe_now now, uint8_t *reply, uint32_t *reply_bytes)
{
	const struct pe_principal *principal = pe_keyring_principal(c->keyring, key->principal);
	struct pe_wire_welcome out = {.header = answer_header(c, m, now),
		.step = PE_CONNECT_WELCOME,
		.request_sequence = m->header.sequence};
	struct pe_wire_grant grant = {.level = level > principal->level ? level : principal->level,
		.window = PE_REPLAY_WINDOW,
		.epoch_s = PE_SESSION_EPOCH_MS / 1000,
		.timestamp_ms = now.wall_ms};
	uint8_t first[32], second[32];
	struct pe_session *session;
	enum pe_status status;
	uint64_t hello;

	// Whoever sees a HELLO can repeat it, and would push out the very session that it opened,
	// before the client's first message.
	memcpy(&hello, m->mac, sizeof hello);
	if (pe_session_repeats(c->table, noise->remote_static, hello))
		return PE_CONNECT_HANDSHAKE;
	status = pe_session_begin(c->table, noise->remote_static, grant.level, peer, now, &session);
	if (status != PE_OK)
		return status == PE_NOT_FOUND ? PE_CONNECT_STRANGER : PE_CONNECT_FULL;
	session->hello = hello;
	grant.session_id = session->id;
	pe_session_times(c->table, session, now, &grant.life_s, &grant.idle_s);
	memcpy(grant.principal, principal->id, sizeof grant.principal);
	if (!pe_noise_write_second(noise, pe_keyring_psk(c->keyring, key), (const uint8_t *)&grant,
		    sizeof grant, out.noise)) {
		pe_session_end(c->table, session);
		return PE_CONNECT_HANDSHAKE;
	}
	pe_noise_split(noise, first, second);
	pe_session_key(c->table, session, first, second);
	memcpy(reply, &out, sizeof out);
	*reply_bytes = sizeof out;
	return PE_CONNECT_WELCOMED;
}

static enum pe_connect_verdict hello(struct pe_connect *c, const struct pe_wire_connect *m,
	const struct pe_engine_key *own, const struct pe_peer *peer, struct pe_now now,
	uint8_t *reply, uint32_t *reply_bytes)
{
	enum pe_connect_verdict verdict = PE_CONNECT_HANDSHAKE;
	const struct pe_keyring_key *key;
	struct pe_noise noise;
	struct pe_wire_hello said;

	pe_noise_start(
		&noise, false, m, PE_CONNECT_PROLOGUE_BYTES, own->secret, own->public, NULL, NULL);
	if (pe_noise_read_first(&noise, m->noise, sizeof m->noise, (uint8_t *)&said)) {
		key = pe_keyring_find(c->keyring, noise.remote_static, now.wall_ms);
		if (!key)
			verdict = PE_CONNECT_STRANGER;
		else if ((said.level != PE_SEAL_SIGN && said.level != PE_SEAL_ENCRYPT) ||
			!is_zero(said.reserved0, sizeof said.reserved0) || said.reserved1[0] ||
			said.reserved1[1])
			verdict = PE_CONNECT_LEVEL;
		else
			verdict = welcome(
				c, m, key, &noise, said.level, peer, now, reply, reply_bytes);
	}
	pe_noise_wipe(&noise);
	return verdict;
}

static enum pe_connect_verdict receive(struct pe_connect *c, const uint8_t *data, uint32_t bytes,
	const struct pe_peer *peer, struct pe_now now, uint8_t *reply, uint32_t *reply_bytes)
{
	const struct pe_engine_key *own;
	struct pe_wire_connect m;

	if (bytes != sizeof m)
		return PE_CONNECT_MALFORMED;
	memcpy(&m, data, sizeof m);
	if (!well_formed(&m))
		return PE_CONNECT_MALFORMED;
	own = pe_keyring_engine_key(c->keyring, m.key_id, now.wall_ms);
	if (!own)
		return PE_CONNECT_KEY;
	if (!mac_is_right(&m, own))
		return PE_CONNECT_MAC;
	if (!pe_cookie_tick(c->cookie, now.mono_ms))
		return PE_CONNECT_LATE;
	if (m.step == PE_CONNECT_KNOCK || !pe_cookie_holds(c->cookie, peer, now.mono_ms, m.cookie))
		return give_cookie(c, &m, peer, now, reply, reply_bytes);
	return hello(c, &m, own, peer, now, reply, reply_bytes);
}

enum pe_connect_verdict pe_connect_receive(struct pe_connect *connect, const uint8_t *data,
	uint32_t bytes, const struct pe_peer *peer, struct pe_now now, uint8_t *reply,
	uint32_t *reply_bytes)
{
	enum pe_connect_verdict verdict;

	*reply_bytes = 0;
	verdict = receive(connect, data, bytes, peer, now, reply, reply_bytes);
	connect->counts[verdict]++;
	return verdict;
}
