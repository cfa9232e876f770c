#include "session.h"
#include "seal/chain.h"
#include "seal/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS_MAX 128 // half of the slots are free: the chance to need more is 2⁻¹²⁸
#define NONE      0u

struct slot {
	uint64_t id; // 0 = free
	uint32_t entry;
	uint32_t reserved;
};

struct pe_session_table {
	struct pe_session_config config;
	struct pe_seal *seal;
	const struct pe_keyring *keyring;
	struct pe_secret memory, scratch;
	struct pe_session *entries;
	struct slot *slots; // slot_mask + 1 ≥ 2 × entries
	uint32_t *keys;     // heads of chains by static key: entry + 1
	// one a message of a burst: a key that is not the current one, expanded for it
	struct pe_seal_key *neighbours;
	uint8_t key_seed[32];
	uint64_t slot_mask;
	uint32_t key_mask, count, free, sweep_at, keyring_number;
};

static uint64_t power_of_two(uint64_t least)
{
	uint64_t n = 1;

	while (n < least)
		n *= 2;
	return n;
}

enum pe_status pe_session_table_create(const struct pe_session_config *config, struct pe_seal *seal,
	const struct pe_keyring *keyring, struct pe_session_table **table)
{
	struct pe_session_table *t;
	uint32_t n = config->session_count_max;

	*table = NULL;
	if (n == 0 || n > PE_SESSIONS_MAX || config->worker >= PE_WORKERS_MAX)
		return PE_INVALID;
	t = calloc(1, sizeof *t); // cold: at start
	if (!t)
		return PE_NO_MEMORY;
	t->config = *config;
	t->config.opening_ms = config->opening_ms ? config->opening_ms : PE_SESSION_OPENING_MS;
	t->config.idle_ms = config->idle_ms ? config->idle_ms : PE_SESSION_IDLE_MS;
	t->config.life_ms = config->life_ms ? config->life_ms : PE_SESSION_LIFE_MS;
	t->seal = seal;
	t->keyring = keyring;
	t->slot_mask = power_of_two(2 * (uint64_t)n) - 1;
	t->key_mask = (uint32_t)power_of_two(n) - 1;
	t->slots = calloc(t->slot_mask + 1, sizeof *t->slots); // cold: at start
	t->keys = calloc(t->key_mask + 1, sizeof *t->keys);    // cold: at start
	if (!t->slots || !t->keys || pe_secret_map(n * sizeof *t->entries, &t->memory) != PE_OK ||
		pe_secret_map(PE_BURST_MAX * sizeof *t->neighbours, &t->scratch) != PE_OK) {
		pe_session_table_destroy(t);
		return PE_NO_MEMORY;
	}
	t->entries = t->memory.base;
	t->neighbours = t->scratch.base;
	pe_secret_random(t->key_seed, sizeof t->key_seed);
	for (uint32_t i = n; i-- > 0;) {
		t->entries[i].next_of_key = t->free;
		t->free = i + 1;
	}
	*table = t;
	return PE_OK;
}

void pe_session_table_destroy(struct pe_session_table *table)
{
	if (!table)
		return;
	pe_secret_unmap(&table->memory);
	pe_secret_unmap(&table->scratch);
	free(table->slots); // cold: at stop
	free(table->keys);  // cold: at stop
	free(table);        // cold: at stop
}

size_t pe_session_table_bytes(const struct pe_session_table *table)
{
	return sizeof *table + table->memory.mapped_bytes + table->scratch.mapped_bytes +
		(table->slot_mask + 1) * sizeof *table->slots +
		(table->key_mask + 1) * sizeof *table->keys;
}

bool pe_session_table_locked(const struct pe_session_table *table)
{
	return table->memory.locked && table->scratch.locked;
}

uint32_t pe_session_count(const struct pe_session_table *table)
{
	return table->count;
}

void pe_session_table_keyring(struct pe_session_table *table, const struct pe_keyring *keyring)
{
	table->keyring = keyring;
	table->keyring_number++;
}

static uint32_t *key_head(struct pe_session_table *t, const uint8_t static_key[32])
{
	uint8_t hash[32];
	uint32_t head;

	// Keyed, though nobody gets here with a key that is not in the keyring.
	pe_noise_mac(t->key_seed, static_key, 32, hash);
	memcpy(&head, hash, sizeof head);
	return &t->keys[head & t->key_mask];
}

static struct slot *slot_of(struct pe_session_table *t, uint64_t id)
{
	return &t->slots[(id >> 13) & t->slot_mask];
}

void pe_session_end(struct pe_session_table *table, struct pe_session *session)
{
	uint32_t entry = (uint32_t)(session - table->entries) + 1;
	uint32_t *link = key_head(table, session->static_key);

	while (*link != entry)
		link = &table->entries[*link - 1].next_of_key;
	*link = session->next_of_key;
	*slot_of(table, session->id) = (struct slot){0};
	pe_secret_wipe(session, sizeof *session);
	session->next_of_key = table->free;
	table->free = entry;
	table->count--;
}

// Its end by the key: looked up again when there is another keyring. False: the key is in it no
// more.
static bool in_keyring(struct pe_session_table *t, struct pe_session *s, struct pe_now now)
{
	const struct pe_keyring_key *key = pe_keyring_find(t->keyring, s->static_key, now.wall_ms);
	uint64_t life = s->opened_ms + t->config.life_ms;
	uint64_t left;

	if (!key || s->level < pe_keyring_principal(t->keyring, key->principal)->level)
		return false;
	left = key->until_ms - now.wall_ms;
	s->ends_ms = left < life && now.mono_ms + left < life ? now.mono_ms + left : life;
	s->principal = key->principal;
	s->principal_number = pe_keyring_principal(t->keyring, key->principal)->number;
	s->keyring_number = t->keyring_number;
	return true;
}

static bool has_ended(struct pe_session_table *t, struct pe_session *s, struct pe_now now)
{
	uint32_t silence = s->live ? t->config.idle_ms : t->config.opening_ms;

	return now.mono_ms >= s->ends_ms || now.mono_ms - s->heard_ms >= silence ||
		(s->keyring_number != t->keyring_number && !in_keyring(t, s, now));
}

// The sessions of a key that wait for a message, or those that do not: how many, and the one that
// was heard of the longest time ago, `but` aside.
static unsigned count_of_key(struct pe_session_table *t, const uint8_t static_key[32], bool live,
	const struct pe_session *but, struct pe_session **silent)
{
	unsigned count = 0;

	*silent = NULL;
	for (uint32_t e = *key_head(t, static_key); e != NONE; e = t->entries[e - 1].next_of_key) {
		struct pe_session *s = &t->entries[e - 1];

		if (s->live != live || memcmp(s->static_key, static_key, 32) != 0)
			continue;
		count++;
		if (s != but && (!*silent || s->heard_ms < (*silent)->heard_ms))
			*silent = s;
	}
	return count;
}

bool pe_session_repeats(
	struct pe_session_table *table, const uint8_t static_key[32], uint64_t hello)
{
	for (uint32_t e = *key_head(table, static_key); e != NONE;
		e = table->entries[e - 1].next_of_key) {
		const struct pe_session *s = &table->entries[e - 1];

		if (s->hello == hello && memcmp(s->static_key, static_key, 32) == 0)
			return true;
	}
	return false;
}

// A fresh id whose slot is free; 0: none was found.
static uint64_t draw_id(struct pe_session_table *t)
{
	for (unsigned i = 0; i < DRAWS_MAX; i++) {
		uint64_t id;

		pe_secret_random(&id, sizeof id);
		id = (id & ~(uint64_t)0x1FFF) | (uint64_t)t->config.worker << 8;
		if (id >> 13 && slot_of(t, id)->id == 0)
			return id;
	}
	return 0;
}

enum pe_status pe_session_begin(struct pe_session_table *table, const uint8_t static_key[32],
	uint8_t level, const struct pe_peer *peer, struct pe_now now, struct pe_session **session)
{
	struct pe_session *s;
	uint32_t entry, *head;
	uint64_t id;

	*session = NULL;
	if (!pe_keyring_find(table->keyring, static_key, now.wall_ms))
		return PE_NOT_FOUND;
	// A HELLO may be somebody's repeat of it: what it asks for displaces nothing but its like.
	if (count_of_key(table, static_key, false, NULL, &s) >= PE_SESSIONS_OPENING_PER_KEY)
		pe_session_end(table, s);
	id = table->free != NONE ? draw_id(table) : 0;
	if (id == 0)
		return PE_FULL;
	entry = table->free;
	s = &table->entries[entry - 1];
	table->free = s->next_of_key;
	*s = (struct pe_session){.id = id,
		.opened_ms = now.mono_ms,
		.heard_ms = now.mono_ms,
		.epoch_ms = now.mono_ms,
		.peer = *peer,
		.first = *peer,
		.level = level,
		.proved = true};
	memcpy(s->static_key, static_key, 32);
	head = key_head(table, static_key);
	s->next_of_key = *head;
	*head = entry;
	*slot_of(table, id) = (struct slot){.id = id, .entry = entry};
	table->count++;
	if (!in_keyring(table, s, now)) {
		pe_session_end(table, s);
		return PE_NOT_FOUND;
	}
	*session = s;
	return PE_OK;
}

void pe_session_key(struct pe_session_table *table, struct pe_session *session, uint8_t first[32],
	uint8_t second[32])
{
	struct pe_session *s = session;
	uint8_t secret[PE_SEAL_SECRET_BYTES];

	pe_chain_start(first, s->receive_secrets.chain);
	pe_chain_step(s->receive_secrets.chain, s->current);
	pe_chain_step(s->receive_secrets.chain, s->receive_secrets.next);
	pe_seal_expand(table->seal, s->current, &s->receive);
	pe_chain_start(second, s->send_secrets.chain);
	pe_chain_step(s->send_secrets.chain, secret);
	pe_chain_step(s->send_secrets.chain, s->send_secrets.next);
	pe_seal_expand(table->seal, secret, &s->send);
	pe_secret_wipe(secret, sizeof secret);
	pe_secret_wipe(first, 32);
	pe_secret_wipe(second, 32);
}

void pe_session_times(const struct pe_session_table *table, const struct pe_session *session,
	struct pe_now now, uint32_t *life_s, uint32_t *idle_s)
{
	uint64_t left = session->ends_ms > now.mono_ms ? session->ends_ms - now.mono_ms : 0;

	*life_s = (uint32_t)(left / 1000 < UINT32_MAX ? left / 1000 : UINT32_MAX);
	*idle_s = table->config.idle_ms / 1000;
}

struct pe_session *pe_session_find(struct pe_session_table *table, uint64_t session_id)
{
	const struct slot *slot = slot_of(table, session_id);

	return slot->id && slot->id == (session_id & ~(uint64_t)0xFF) ?
		&table->entries[slot->entry - 1] :
		NULL;
}

struct pe_session *pe_session_alive(
	struct pe_session_table *table, uint64_t session_id, struct pe_now now)
{
	struct pe_session *s = pe_session_find(table, session_id);

	return s && !has_ended(table, s, now) ? s : NULL;
}

uint32_t pe_session_number(const struct pe_session_table *table, const struct pe_session *session)
{
	return (uint32_t)(session - table->entries);
}

enum pe_session_verdict pe_session_admit(struct pe_session_table *table, uint64_t session_id,
	uint64_t sequence, unsigned index, struct pe_now now, struct pe_session_opening *opening)
{
	struct pe_session *s = pe_session_find(table, session_id);
	uint8_t ahead;

	assert(index < PE_BURST_MAX);
	*opening = (struct pe_session_opening){.session = s, .sequence = sequence};
	if (s)
		opening->id = s->id;
	if (!s || has_ended(table, s, now))
		return PE_SESSION_UNKNOWN;
	if (!pe_replay_fresh(&s->replay, sequence))
		return PE_SESSION_REPLAY;
	ahead = (uint8_t)(session_id - s->epoch);
	opening->epoch = s->epoch + (uint32_t)(int8_t)ahead;
	if (ahead == 0) {
		if (now.mono_ms - s->epoch_ms >=
				PE_SESSION_EPOCH_MS + PE_SESSION_EPOCH_OVERLAP_MS ||
			s->received >= PE_SESSION_EPOCH_PACKETS_MAX)
			return PE_SESSION_EPOCH;
		opening->key = &s->receive;
		return PE_SESSION_OK;
	}
	// A neighbour's key is expanded for this message alone: it costs a forger's victim 0.1 µs,
	// and an honest client no more than that for the few messages that overtake a change of
	// epochs.
	if (ahead == 1 && now.mono_ms - s->epoch_ms >= PE_SESSION_EPOCH_MIN_MS)
		pe_seal_expand(table->seal, s->receive_secrets.next, &table->neighbours[index]);
	else if (ahead == 0xFF && s->epoch > 0 &&
		now.mono_ms - s->epoch_ms < PE_SESSION_EPOCH_OVERLAP_MS)
		pe_seal_expand(table->seal, s->previous, &table->neighbours[index]);
	else
		return PE_SESSION_EPOCH;
	opening->key = &table->neighbours[index];
	return PE_SESSION_OK;
}

static void next_epoch(struct pe_session_table *t, struct pe_session *s, struct pe_now now)
{
	memcpy(s->previous, s->current, sizeof s->previous);
	memcpy(s->current, s->receive_secrets.next, sizeof s->current);
	pe_seal_expand(t->seal, s->current, &s->receive);
	pe_chain_step(s->receive_secrets.chain, s->receive_secrets.next);
	pe_seal_expand(t->seal, s->send_secrets.next, &s->send);
	pe_chain_step(s->send_secrets.chain, s->send_secrets.next);
	s->epoch++;
	s->epoch_ms = now.mono_ms;
	s->received = s->sent = 0;
}

static bool same_place(const struct pe_peer *a, const struct pe_peer *b)
{
	return a->port == b->port && a->source == b->source &&
		memcmp(a->address, b->address, sizeof a->address) == 0;
}

// cold: once a session
static void come_alive(struct pe_session_table *t, struct pe_session *s)
{
	struct pe_session *silent;

	s->live = true;
	if (count_of_key(t, s->static_key, true, s, &silent) > PE_SESSIONS_PER_KEY)
		pe_session_end(t, silent);
}

enum pe_session_verdict pe_session_commit(struct pe_session_table *table,
	const struct pe_session_opening *opening, const struct pe_peer *peer, struct pe_now now)
{
	struct pe_session *s = opening->session;
	bool newest = opening->sequence > s->replay.top;

	if (s->id != opening->id) // a message before it in the burst ended it
		return PE_SESSION_UNKNOWN;
	if (!pe_replay_take(&s->replay, opening->sequence))
		return PE_SESSION_REPLAY;
	if (opening->epoch == s->epoch + 1)
		next_epoch(table, s, now);
	s->received += opening->epoch == s->epoch;
	s->heard_ms = now.mono_ms;
	if (!s->live)
		come_alive(table, s);
	// Only the newest message tells where the client is: what was held back on its way does not
	// pull it back.
	if (newest) {
		if (!same_place(&s->peer, peer)) {
			s->moves++;
			s->proved = false;
		}
		s->peer = *peer;
	}
	return PE_SESSION_OK;
}

bool pe_session_answer(struct pe_session *session, struct pe_now now, uint64_t *session_id,
	uint64_t *sequence, const struct pe_seal_key **key)
{
	if (session->sent >= PE_SESSION_EPOCH_PACKETS_MAX ||
		now.mono_ms - session->epoch_ms >=
			PE_SESSION_EPOCH_MS + PE_SESSION_EPOCH_OVERLAP_MS)
		return false;
	session->sent++;
	*session_id = session->id | (session->epoch & 0xFF);
	*sequence = ++session->send_sequence;
	*key = &session->send;
	return true;
}

void pe_session_prove(struct pe_session *session, const struct pe_peer *peer)
{
	if (same_place(&session->peer, peer))
		session->proved = true;
}

unsigned pe_session_sweep(struct pe_session_table *table, unsigned count, struct pe_now now)
{
	unsigned ended = 0;

	for (unsigned i = 0; i < count; i++) {
		struct pe_session *s = &table->entries[table->sweep_at];

		table->sweep_at = (table->sweep_at + 1) % table->config.session_count_max;
		if (s->id && has_ended(table, s, now)) {
			pe_session_end(table, s);
			ended++;
		}
		// The epoch before ends also where nobody asks for it.
		if (s->id && now.mono_ms - s->epoch_ms >= PE_SESSION_EPOCH_OVERLAP_MS)
			pe_secret_wipe(s->previous, sizeof s->previous);
	}
	return ended;
}
