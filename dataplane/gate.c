#include "gate_internal.h"

#include "seal/secret.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKET_SETS    4096u
#define SWEEP_SESSIONS 64u
#define SWEEP_LINKS    64u
#define MAIL_ROOM      16u // of a burst, while other workers hand over

enum kind { PASSES, SEALED, GONE };

static const uint8_t session_reason[PE_SESSION_VERDICTS] = {
	[PE_SESSION_UNKNOWN] = PE_REASON_session,
	[PE_SESSION_EPOCH] = PE_REASON_session_epoch,
	[PE_SESSION_REPLAY] = PE_REASON_session_replay,
	[PE_SESSION_TAG] = PE_REASON_seal,
};

static const uint8_t connect_reason[PE_CONNECT_VERDICTS] = {
	[PE_CONNECT_MALFORMED] = PE_REASON_connect_form,
	[PE_CONNECT_KEY] = PE_REASON_connect_key,
	[PE_CONNECT_MAC] = PE_REASON_connect_mac,
	[PE_CONNECT_LATE] = PE_REASON_connect_busy,
	[PE_CONNECT_HANDSHAKE] = PE_REASON_connect_handshake,
	[PE_CONNECT_LEVEL] = PE_REASON_connect_level,
	[PE_CONNECT_STRANGER] = PE_REASON_connect_stranger,
	[PE_CONNECT_FULL] = PE_REASON_connect_full,
};

static enum kind refuse(struct pe_gate *g, enum pe_reason reason)
{
	pe_count_reason(g->counters, reason, 1);
	return GONE;
}

// ---- start and stop ----

enum pe_status pe_gate_create(const struct pe_gate_config *config, const struct pe_keyring *keyring,
	struct pe_gate **gate, struct pe_error *error)
{
	const struct pe_session_config sessions = {.session_count_max = config->session_count_max,
		.worker = config->index,
		.opening_ms = config->opening_ms,
		.idle_ms = config->idle_ms,
		.life_ms = config->life_ms};
	struct pe_gate *g = aligned_alloc(64, (sizeof *g + 63) / 64 * 64); // cold: at start
	uint8_t key[64];

	*gate = NULL;
	error->status = PE_NO_MEMORY;
	snprintf(error->text, sizeof error->text,
		"sessions: no memory for %u a worker", // cold: at start
		config->session_count_max);
	if (!g)
		return PE_NO_MEMORY;
	memset(g, 0, sizeof *g);
	g->config = *config;
	g->counters = pe_worker_counters(config->worker);
	pe_secret_random(key, sizeof key);
	if (pe_seal_create(PE_SEAL_BEST, &g->seal, error) != PE_OK)
		goto fail;
	error->status = pe_session_table_create(&sessions, g->seal, keyring, &g->table);
	if (error->status != PE_OK)
		goto fail;
	error->status = pe_bucket_table_create(&g->buckets, BUCKET_SETS, &config->connects, key);
	if (error->status != PE_OK)
		goto fail;
	g->buckets_made = true;
	error->status = PE_NO_MEMORY;
	g->kept = calloc(config->link_count_max + 1, sizeof *g->kept); // cold: at start
	if (!g->kept)
		goto fail;
	gate_links_init(g);
	gate_links_sink(g);
	pe_cookie_start(&g->cookie, config->cookie_seed, config->cookie_began_ms);
	g->connect =
		(struct pe_connect){.keyring = keyring, .cookie = &g->cookie, .table = g->table};
	atomic_init(&g->offered, keyring);
	atomic_init(&g->used, keyring);
	error->status = PE_OK;
	*gate = g;
	return PE_OK;
fail:
	pe_gate_destroy(g);
	return error->status;
}

void pe_gate_destroy(struct pe_gate *gate)
{
	if (!gate)
		return;
	pe_session_table_destroy(gate->table);
	if (gate->buckets_made)
		pe_bucket_table_destroy(&gate->buckets);
	pe_seal_destroy(gate->seal);
	pe_cookie_wipe(&gate->cookie);
	pe_secret_wipe(gate->config.cookie_seed, sizeof gate->config.cookie_seed);
	free(gate->kept); // cold: at stop
	free(gate);       // cold: at stop
}

size_t pe_gate_bytes(const struct pe_gate *gate)
{
	return sizeof *gate + pe_session_table_bytes(gate->table) +
		gate->buckets.memory.mapped_bytes +
		(gate->config.link_count_max + 1) * sizeof *gate->kept;
}

bool pe_gate_locked(const struct pe_gate *gate)
{
	return pe_session_table_locked(gate->table);
}

const char *pe_gate_backend(const struct pe_gate *gate)
{
	return pe_seal_backend_name(gate->seal);
}

uint32_t pe_gate_session_count(const struct pe_gate *gate)
{
	return pe_session_count(gate->table);
}

const struct pe_sink *pe_gate_sink(struct pe_gate *gate, const struct pe_sink *below)
{
	gate->below = below;
	return &gate->sink;
}

// ---- opening ----

// Public-key work was done.
static bool was_dear(enum pe_connect_verdict verdict)
{
	return verdict == PE_CONNECT_WELCOMED || verdict >= PE_CONNECT_HANDSHAKE;
}

static bool handshake_now(const struct pe_gate *g)
{
	return g->handshakes < PE_GATE_HANDSHAKES &&
		(g->others < PE_GATE_BUSY || g->now.mono_ms != g->handshake_ms);
}

static void connect_now(
	struct pe_gate *g, const uint8_t *data, uint32_t bytes, const struct pe_peer *at)
{
	uint8_t *reply = g->below->reserve(g->below->context, at);
	enum pe_connect_verdict verdict;
	uint32_t reply_bytes = 0;

	if (!reply) {
		(void)refuse(g, PE_REASON_connect_busy);
		return;
	}
	verdict = pe_connect_receive(&g->connect, data, bytes, at, g->now, reply, &reply_bytes);
	if (was_dear(verdict)) {
		g->handshakes++;
		g->handshake_ms = g->now.mono_ms;
	}
	g->below->commit(g->below->context, at, reply, reply_bytes);
	if (verdict > PE_CONNECT_WELCOMED) {
		(void)refuse(g, connect_reason[verdict]);
		return;
	}
	pe_count(g->counters, PE_COUNTER_carried_session, 1);
	pe_count(g->counters, PE_COUNTER_tx_packets, 1);
	pe_count(g->counters, PE_COUNTER_tx_bytes, reply_bytes);
	if (verdict == PE_CONNECT_WELCOMED)
		pe_count(g->counters, PE_COUNTER_sessions_opened, 1);
}

// A HELLO, which is copied since its source takes its buffer back.
static void connect_later(struct pe_gate *g, const uint8_t *data, const struct pe_peer *at)
{
	struct gate_waiting *w =
		&g->waiting[(g->waiting_first + g->waiting_count) % PE_GATE_WAITING_MAX];
	uint32_t link = at->link;

	if (g->waiting_count < PE_GATE_WAITING_MAX && g->below->keep)
		link = g->below->keep(g->below->context, at, PE_LINK_NONE);
	if (g->waiting_count == PE_GATE_WAITING_MAX || (g->below->keep && link == PE_LINK_NONE)) {
		(void)refuse(g, PE_REASON_connect_busy);
		return;
	}
	w->at = *at;
	w->at.link = link;
	memcpy(&w->hello, data, sizeof w->hello);
	g->waiting_count++;
}

static void connect_waiting(struct pe_gate *g)
{
	while (g->waiting_count && handshake_now(g)) {
		struct gate_waiting *w = &g->waiting[g->waiting_first];

		g->waiting_first = (g->waiting_first + 1) % PE_GATE_WAITING_MAX;
		g->waiting_count--;
		connect_now(g, (const uint8_t *)&w->hello, sizeof w->hello, &w->at);
		if (g->below->drop)
			g->below->drop(g->below->context, &w->at);
	}
}

// Has a HELLO a cookie of where it comes from? Only then does it cost public-key work, and can
// nobody have sent it in another's name who does not see what goes there.
static bool is_dear(struct pe_gate *g, const struct pe_message *m)
{
	return m->bytes == sizeof(struct pe_wire_connect) &&
		m->data[offsetof(struct pe_wire_connect, step)] == PE_CONNECT_HELLO &&
		pe_cookie_tick(&g->cookie, g->now.mono_ms) &&
		pe_cookie_holds(&g->cookie, &m->peer, g->now.mono_ms,
			m->data + offsetof(struct pe_wire_connect, cookie));
}

// What is cheap takes no token and no room to wait: anybody could spend those of others, by no more
// than writing their address.
__attribute__((noinline)) static void take_connect(struct pe_gate *g, const struct pe_message *m)
{
	bool dear = is_dear(g, m);

	g->connects++;
	if (dear &&
		!pe_bucket_table_take(&g->buckets, m->peer.address, g->now.mono_ms * 1000000, 1))
		(void)refuse(g, PE_REASON_connect_rate);
	else if (dear && (!handshake_now(g) || g->waiting_count))
		connect_later(g, m->data, &m->peer);
	else
		connect_now(g, m->data, m->bytes, &m->peer);
}

// ---- what comes sealed ----

static uint64_t header_word(const uint8_t *data, size_t at)
{
	uint64_t word;

	memcpy(&word, data + at, sizeof word);
	return word;
}

static enum kind sort(struct pe_gate *g, const struct pe_message *m)
{
	if (m->bytes < sizeof(struct pe_wire_header))
		return refuse(g, PE_REASON_short_header);
	if (m->data[offsetof(struct pe_wire_header, version)] != PE_WIRE_VERSION)
		return refuse(g, PE_REASON_version);
	if (pe_is_sealed(m->data, m->bytes)) {
		uint64_t id = header_word(m->data, offsetof(struct pe_wire_header, session_id));
		unsigned worker = pe_session_worker(id);

		if (worker == g->config.index || worker >= g->config.worker_count)
			return SEALED;
		if (!g->config.mail || !g->config.portable[m->peer.source])
			return refuse(g, PE_REASON_session_elsewhere);
		return gate_mail_post(g, worker, m) ? GONE : refuse(g, PE_REASON_steer_full);
	}
	if (m->data[offsetof(struct pe_wire_header, type)] == PE_TYPE_CONNECT) {
		take_connect(g, m);
		return GONE;
	}
	// Without a seal who speaks must be known to the source, or be trusted by the
	// configuration.
	if (g->config.level[m->peer.source] || !(m->peer.trusted || m->peer.principal))
		return refuse(g, PE_REASON_unsealed);
	return PASSES;
}

// A PING and a DISCONNECT have 16 bytes behind the header.
#define SHORT_BYTES (sizeof(struct pe_wire_header) + 16)

static bool shows_cookie(struct pe_gate *g, const struct pe_message *m)
{
	return m->bytes == SHORT_BYTES &&
		m->data[offsetof(struct pe_wire_header, type)] == PE_TYPE_PING &&
		pe_cookie_tick(&g->cookie, g->now.mono_ms) &&
		pe_cookie_holds(&g->cookie, &m->peer, g->now.mono_ms,
			m->data + sizeof(struct pe_wire_header));
}

// As long as a PING, its fields as a PING's; anything else is for the engine to refuse.
static bool is_disconnect(const struct pe_message *m)
{
	struct pe_wire_header h;

	if (m->bytes != SHORT_BYTES ||
		m->data[offsetof(struct pe_wire_header, type)] != PE_TYPE_DISCONNECT)
		return false;
	memcpy(&h, m->data, sizeof h);
	return h.flags == 0 && h.count == 1 && !h.reserved0 && !h.reserved1 && !h.reserved2;
}

// A message out of its seal. False: it goes no further, and is counted.
static bool admit(struct pe_gate *g, struct pe_message *m, const struct pe_sealed *sealed)
{
	static const uint8_t none[8];
	struct pe_session *s = sealed->session;
	struct gate_turn *t = &g->turn[g->turn_count];
	bool here;

	if (sealed->verdict != PE_SESSION_OK) {
		(void)refuse(g, session_reason[sealed->verdict]);
		return false;
	}
	pe_count(g->counters, PE_COUNTER_messages_opened, 1);
	if (s->level < g->config.level[m->peer.source]) {
		(void)refuse(g, PE_REASON_seal_level);
		return false;
	}
	here = gate_same_place(&s->peer, &m->peer);
	if (here && !s->proved && shows_cookie(g, m))
		pe_session_prove(s, &m->peer);
	if (here && s->links && s->links_moves != s->moves)
		gate_links_follow(g, s, &m->peer);
	if (is_disconnect(m)) {
		g->leaving[g->leaving_count++] = s->id;
		pe_count(g->counters, PE_COUNTER_carried_session, 1);
		return false;
	}
	*t = (struct gate_turn){.at = m->peer, .session = s, .unproved = !(here && s->proved)};
	memcpy(sealed->data + offsetof(struct pe_wire_header, session_id), none, sizeof none);
	// An answer that is longer than its request goes only to where the client has shown that it
	// receives it, and only to who may ask for something.
	m->peer = s->first;
	m->peer.source = t->at.source;
	m->peer.port = (uint16_t)(1 + pe_session_number(g->table, s));
	m->peer.principal = gate_principal(s);
	m->peer.trusted = !t->unproved &&
		pe_keyring_roles_any(g->connect.keyring, s->principal) &
			(PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE | PE_ROLE_ADMIN);
	m->peer.link = PE_GATE_LINK | g->turn_count++;
	return true;
}

static void end_leaving(struct pe_gate *g)
{
	for (unsigned i = 0; i < g->leaving_count; i++) {
		struct pe_session *s = pe_session_find(g->table, g->leaving[i]);

		if (s)
			pe_session_end(g->table, s);
	}
	g->leaving_count = 0;
}

unsigned pe_gate_take(
	struct pe_gate *g, struct pe_now now, struct pe_message *messages, unsigned count)
{
	struct pe_sealed sealed[PE_BURST_MAX];
	uint8_t kind[PE_BURST_MAX];
	unsigned sealed_count = 0, taken = 0, next = 0;

	assert(count <= PE_BURST_MAX);
	g->now = now;
	g->turn_count = 0;
	g->handshakes = g->connects = 0;
	end_leaving(g);
	connect_waiting(g);
	if (g->config.mail)
		count += gate_mail_take(g, messages + count, PE_BURST_MAX - count);
	for (unsigned i = 0; i < count; i++) {
		kind[i] = (uint8_t)sort(g, &messages[i]);
		if (kind[i] == SEALED)
			// A source's buffer is the worker's alone until it is released.
			sealed[sealed_count++] =
				(struct pe_sealed){.data = (uint8_t *)(uintptr_t)messages[i].data,
					.bytes = messages[i].bytes,
					.peer = &messages[i].peer};
	}
	// Behind the CONNECTs, which may end sessions: until the turn is over none ends any more.
	if (sealed_count)
		pe_unseal_burst(g->table, g->seal, sealed, sealed_count, now);
	for (unsigned i = 0; i < count; i++) {
		if (kind[i] == GONE ||
			(kind[i] == SEALED && !admit(g, &messages[i], &sealed[next++])))
			continue;
		if (taken != i)
			messages[taken] = messages[i];
		taken++;
	}
	g->others = count - g->connects;
	return taken;
}

unsigned pe_gate_waiting(const struct pe_gate *gate)
{
	return gate->waiting_count + gate_mail_waiting(gate);
}

unsigned pe_gate_room(const struct pe_gate *gate)
{
	return gate_mail_waiting(gate) ? PE_BURST_MAX - MAIL_ROOM : PE_BURST_MAX;
}

// ---- now and then ----

void pe_gate_offer(struct pe_gate *gate, const struct pe_keyring *keyring)
{
	// KEYRING: release: what is in it is there
	atomic_store_explicit(&gate->offered, keyring, memory_order_release);
}

const struct pe_keyring *pe_gate_used(const struct pe_gate *gate)
{
	// KEYRING-USED: acquire: the worker reads the one before no more
	return atomic_load_explicit(&gate->used, memory_order_acquire);
}

void pe_gate_housekeep(struct pe_gate *gate, struct pe_now now)
{
	// KEYRING: acquire pairs with offer's release: the keyring's contents are read below
	const struct pe_keyring *keyring =
		atomic_load_explicit(&gate->offered, memory_order_acquire);

	gate->now = now;
	if (keyring != gate->connect.keyring) {
		gate->connect.keyring = keyring;
		pe_session_table_keyring(gate->table, keyring);
		// KEYRING-USED: release pairs with pe_gate_used: no read of the one before comes
		// later
		atomic_store_explicit(&gate->used, keyring, memory_order_release);
	}
	(void)pe_session_sweep(gate->table, SWEEP_SESSIONS, now);
	gate_links_sweep(gate, SWEEP_LINKS);
}
