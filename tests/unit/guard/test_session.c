// Sessions: their epochs, ends, moves and limits, the table's bounds, and random traffic against a
// model that keeps every sequence.
#include "client_side.h"
#include "guard_scene.h"
#include "keyring_files.h"
#include "tests/testing.h"

#define MESSAGE 96

static struct pe_seal *seal;
static struct pe_keyring *keyring;
static const uint8_t engine_public[32] = {9};

// Ten principals, with clients 1 … 10; the key of 9 ends an hour after WALL, 10 insists on ENCRYPT.
// `without` is left out.
static struct pe_keyring *make_keyring(unsigned without)
{
	static char text[8192];
	size_t n = (size_t)snprintf(
		text, sizeof text, "engine: {keys: [{secret_file: a.key}]}\nprincipals:\n");
	struct pe_keyring *k;
	struct pe_error error;
	char digits[66];

	for (unsigned i = 1; i <= 10; i++) {
		struct client_side c;

		if (i == without)
			continue;
		client_make(&c, seal, (uint8_t)i, engine_public);
		keyring_hex_of(c.public, digits);
		n += (size_t)snprintf(text + n, sizeof text - n,
			"  - id: 00000000-0000-4000-8000-%012u\n    level: %s\n    keys: [{public_key: \"%s\"%s}]\n",
			i, i == 10 ? "encrypt" : "sign", digits,
			i == 9 ? ", until: \"2026-11-18T12:06:40Z\"" : "");
	}
	if (pe_keyring_load_text("k.yaml", keyring_folder, text, strlen(text), &k, &error) !=
		PE_OK) {
		printf("%s\n", error.text);
		exit(EXIT_FAILURE);
	}
	return k;
}

static struct pe_session_table *make_table(uint32_t count)
{
	struct pe_session_config config = {.session_count_max = count, .worker = 5};
	struct pe_session_table *t;

	CU_ASSERT_EQUAL_FATAL(pe_session_table_create(&config, seal, keyring, &t), PE_OK);
	return t;
}

// A session without the handshake: both sides get the same split.
static struct pe_session *begin(struct pe_session_table *t, struct client_side *c, uint8_t number,
	uint8_t level, struct pe_peer peer, struct pe_now now)
{
	uint8_t split[2][32];
	struct pe_session *s;

	client_make(c, seal, number, engine_public);
	if (pe_session_begin(t, c->public, level, &peer, now, &s) != PE_OK)
		return NULL;
	c->grant.session_id = s->id;
	c->grant.level = level;
	pe_secret_random(split, sizeof split);
	for (unsigned d = 0; d < 2; d++) {
		pe_chain_start(split[d], c->chain[d]);
		pe_chain_step(c->chain[d], c->epoch_secret[d]);
	}
	pe_session_key(t, s, split[0], split[1]);
	CU_ASSERT(split[0][0] == 0 && split[1][31] == 0);
	return s;
}

static enum pe_session_verdict send(struct pe_session_table *t, struct client_side *c,
	uint64_t sequence, struct pe_peer peer, struct pe_now now)
{
	uint8_t data[MESSAGE] = {1, 3};

	client_seal(c, data, sizeof data, sequence);
	return engine_take(t, seal, data, sizeof data, &peer, now, NULL);
}

static void test_message(void)
{
	struct pe_session_table *t = make_table(10);
	struct client_side c, other;
	struct pe_session *s = begin(t, &c, 1, PE_SEAL_ENCRYPT, peer_of(1), at(0));
	uint8_t data[MESSAGE] = {1, 3, [80] = 42}, sealed[MESSAGE], twin[MESSAGE];
	struct pe_session_opening a, b;
	struct pe_peer peer = peer_of(1);
	uint64_t id, sequence;
	const struct pe_seal_key *key;

	CU_ASSERT_EQUAL(pe_session_count(t), 1);
	CU_ASSERT_EQUAL(pe_session_worker(s->id), 5);
	CU_ASSERT_EQUAL(s->id & 0xFF, 0);
	CU_ASSERT_FALSE(s->live);
	client_seal(&c, data, sizeof data, 1);
	memcpy(sealed, data, sizeof data);
	// A forger moves nothing: neither the window nor the epoch nor the address.
	data[90] ^= 1;
	peer = peer_of(66);
	CU_ASSERT_EQUAL(engine_take(t, seal, data, MESSAGE, &peer, at(1), NULL), PE_SESSION_TAG);
	CU_ASSERT(s->replay.top == 0 && !s->live && s->peer.address[15] == 1);
	peer = peer_of(1);
	memcpy(data, sealed, sizeof data);
	CU_ASSERT_EQUAL(engine_take(t, seal, data, MESSAGE, &peer, at(1), NULL), PE_SESSION_OK);
	CU_ASSERT(s->live && s->proved);
	CU_ASSERT_EQUAL(data[80], 42);
	memcpy(data, sealed, sizeof data);
	CU_ASSERT_EQUAL(engine_take(t, seal, data, MESSAGE, &peer, at(1), NULL), PE_SESSION_REPLAY);
	// Twins in one burst: both are admitted, one is taken.
	memset(data, 0, sizeof data);
	client_seal(&c, data, sizeof data, 2);
	memcpy(twin, data, sizeof data);
	CU_ASSERT_EQUAL(pe_session_admit(t, s->id, 2, 0, at(2), &a), PE_SESSION_OK);
	CU_ASSERT_EQUAL(pe_session_admit(t, s->id, 2, 1, at(2), &b), PE_SESSION_OK);
	CU_ASSERT_EQUAL(pe_session_commit(t, &a, &peer, at(2)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(pe_session_commit(t, &b, &peer, at(2)), PE_SESSION_REPLAY);
	// Ended by another message of the burst, and its entry taken by the next session.
	CU_ASSERT_PTR_NOT_NULL(begin(t, &other, 3, PE_SEAL_SIGN, peer, at(2)));
	CU_ASSERT_EQUAL(
		pe_session_admit(t, other.grant.session_id, 1, 0, at(2), &a), PE_SESSION_OK);
	pe_session_end(t, a.session);
	CU_ASSERT_EQUAL(pe_session_commit(t, &a, &peer, at(2)), PE_SESSION_UNKNOWN);
	CU_ASSERT_PTR_EQUAL(begin(t, &other, 3, PE_SEAL_SIGN, peer, at(2)), a.session);
	CU_ASSERT_EQUAL(pe_session_commit(t, &a, &peer, at(2)), PE_SESSION_UNKNOWN);
	CU_ASSERT(!a.session->live && a.session->replay.top == 0);
	pe_session_end(t, a.session);
	// Another session's message, another's id.
	CU_ASSERT_PTR_NOT_NULL(begin(t, &other, 2, PE_SEAL_ENCRYPT, peer, at(2)));
	other.grant.session_id = c.grant.session_id;
	CU_ASSERT_EQUAL(send(t, &other, 3, peer, at(3)), PE_SESSION_TAG);
	c.grant.session_id ^= (uint64_t)1 << 40;
	CU_ASSERT_EQUAL(send(t, &c, 3, peer, at(3)), PE_SESSION_UNKNOWN);
	c.grant.session_id ^= (uint64_t)1 << 40;
	// The way back.
	for (uint64_t n = 1; n < 4; n++) {
		struct pe_seal_job job = {.data = data, .bytes = MESSAGE, .level = s->level};

		memset(data, (int)n, sizeof data);
		CU_ASSERT(pe_session_answer(s, at(3), &id, &sequence, &key));
		CU_ASSERT(id == s->id && sequence == n);
		memcpy(data + 24, &id, 8);
		memcpy(data + 8, &sequence, 8);
		job.key = key;
		pe_seal_close(seal, &job, 1);
		memcpy(twin, data, sizeof data);
		CU_ASSERT(client_open(&c, data, MESSAGE));
		CU_ASSERT_EQUAL(data[80], n);
		// It is not a message of the client's: each direction has its own key.
		CU_ASSERT_EQUAL(engine_take(t, seal, twin, MESSAGE, &peer, at(3), NULL),
			n == 3 ? PE_SESSION_TAG : PE_SESSION_REPLAY);
	}
	pe_session_end(t, s);
	CU_ASSERT_EQUAL(send(t, &c, 9, peer, at(4)), PE_SESSION_UNKNOWN);
	CU_ASSERT_EQUAL(pe_session_count(t), 1);
	pe_session_table_destroy(t);
}

static void unhex(const char *text, uint8_t *out)
{
	for (; *text; text += 2) {
		unsigned byte;

		CU_ASSERT_EQUAL_FATAL(sscanf(text, "%2x", &byte), 1);
		*out++ = (uint8_t)byte;
	}
}

// The examples of docs/sessions.md, which the client in Python works out too.
static void test_page(void)
{
	static const char *const tags[2][2] = {
		{"65c92dc5712becc088b56238ca0fd449", "76020edfa90be34c3767a16c6d390023"},
		{"987656a0664428cefd8b37f644922b68", "cf781b4aadfd9024619e4db44e7801ed"}};
	static const char *const secrets[2] = {"a5fc634f03dc423bd256c18f6685f1054cb3259b",
		"9bed1d25d4f0c47d8d42f13817efaf5ed254bf0d"};
	uint8_t split[32], tag[16], secret[PE_SEAL_SECRET_BYTES];

	for (unsigned i = 0; i < 32; i++)
		split[i] = (uint8_t)i;
	for (uint8_t level = PE_SEAL_SIGN; level <= PE_SEAL_ENCRYPT; level++) {
		struct client_side c = {
			.seal = seal, .grant = {.session_id = 0x1122334455660500, .level = level}};

		for (unsigned d = 0; d < 2; d++) {
			pe_chain_start(split, c.chain[d]);
			pe_chain_step(c.chain[d], c.epoch_secret[d]);
		}
		for (unsigned epoch = 0; epoch < 2; epoch++) {
			struct pe_wire_header h = {.version = 1,
				.type = PE_TYPE_PING,
				.stream_id = 7,
				.timestamp_ms = 1795000000000,
				.count = 1};
			uint8_t data[96];

			memset(data, 0xAA, sizeof data);
			memcpy(data, &h, sizeof h);
			unhex(secrets[epoch], secret);
			CU_ASSERT(memcmp(c.epoch_secret[0], secret, sizeof secret) == 0);
			client_seal(&c, data, sizeof data, epoch + 1);
			unhex(tags[level - 1][epoch], tag);
			CU_ASSERT(memcmp(data + 64, tag, sizeof tag) == 0);
			client_next_epoch(&c);
		}
	}
}

static void test_epochs(void)
{
	struct pe_session_table *t = make_table(4);
	struct client_side c, old;
	struct pe_session *s = begin(t, &c, 1, PE_SEAL_SIGN, peer_of(1), at(0));
	struct pe_peer p = peer_of(1);
	uint64_t id, sequence, n = 0, now = 1000;
	const struct pe_seal_key *key;

	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_OK);
	old = c;
	client_next_epoch(&c);
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_EPOCH); // too soon
	now = PE_SESSION_EPOCH_MIN_MS;
	CU_ASSERT_EQUAL(send(t, &c, n, p, at(now)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(s->epoch, 1);
	CU_ASSERT(pe_session_answer(s, at(now), &id, &sequence, &key));
	CU_ASSERT_EQUAL(id, s->id + 1);
	// The one before for 30 s; the numbers go on through both.
	CU_ASSERT_EQUAL(send(t, &old, n, p, at(now)), PE_SESSION_REPLAY);
	CU_ASSERT_EQUAL(
		send(t, &old, ++n, p, at(now + PE_SESSION_EPOCH_OVERLAP_MS - 1)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(
		send(t, &old, ++n, p, at(now + PE_SESSION_EPOCH_OVERLAP_MS)), PE_SESSION_EPOCH);
	now += PE_SESSION_EPOCH_OVERLAP_MS;
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_OK);
	pe_session_sweep(t, 4, at(now));
	for (unsigned i = 0; i < sizeof s->previous; i++)
		CU_ASSERT_EQUAL(s->previous[i], 0);
	// Two steps at once are none.
	client_next_epoch(&c);
	client_next_epoch(&c);
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_EPOCH);
	// A key of the right epoch under a wrong number, and the other way round.
	old = c;
	old.epoch = 2;
	CU_ASSERT_EQUAL(send(t, &old, n, p, at(now)), PE_SESSION_TAG);
	CU_ASSERT_EQUAL(s->epoch, 1);
	pe_session_table_destroy(t);

	// An hour and its 30 s; the next epoch mends it. Then 300 of them, past where the number's
	// 8 bits wrap.
	t = make_table(4);
	s = begin(t, &c, 1, PE_SEAL_SIGN, p, at(0));
	n = 0;
	for (now = 0; now < PE_SESSION_EPOCH_MS + PE_SESSION_EPOCH_OVERLAP_MS; now += 200000)
		CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_OK);
	CU_ASSERT(now > PE_SESSION_EPOCH_MS + PE_SESSION_EPOCH_OVERLAP_MS);
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_EPOCH);
	CU_ASSERT_FALSE(pe_session_answer(s, at(now), &id, &sequence, &key));
	for (unsigned e = 1; e <= 300; e++) {
		client_next_epoch(&c);
		CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_OK);
		CU_ASSERT_EQUAL(s->epoch, e);
		now += PE_SESSION_EPOCH_MIN_MS;
	}
	CU_ASSERT(pe_session_answer(s, at(now), &id, &sequence, &key));
	CU_ASSERT_EQUAL(id, s->id + 300 % 256);
	// 2^32 messages.
	s->received = s->sent = PE_SESSION_EPOCH_PACKETS_MAX - 1;
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_EPOCH);
	CU_ASSERT(pe_session_answer(s, at(now), &id, &sequence, &key));
	CU_ASSERT_FALSE(pe_session_answer(s, at(now), &id, &sequence, &key));
	client_next_epoch(&c);
	CU_ASSERT_EQUAL(send(t, &c, ++n, p, at(now)), PE_SESSION_OK);
	CU_ASSERT(pe_session_answer(s, at(now), &id, &sequence, &key));
	pe_session_table_destroy(t);
}

static void test_ends(void)
{
	struct pe_session_table *t = make_table(8);
	struct client_side c;
	struct pe_peer p = peer_of(1);
	uint32_t life, idle;
	struct pe_session *s;

	// Without a first message.
	s = begin(t, &c, 1, PE_SEAL_SIGN, p, at(0));
	pe_session_times(t, s, at(0), &life, &idle);
	CU_ASSERT_EQUAL(life, PE_SESSION_LIFE_MS / 1000);
	CU_ASSERT_EQUAL(idle, PE_SESSION_IDLE_MS / 1000);
	CU_ASSERT_EQUAL(send(t, &c, 1, p, at(PE_SESSION_OPENING_MS)), PE_SESSION_UNKNOWN);
	CU_ASSERT_EQUAL(pe_session_sweep(t, 8, at(PE_SESSION_OPENING_MS - 1)), 0);
	CU_ASSERT_EQUAL(pe_session_sweep(t, 8, at(PE_SESSION_OPENING_MS)), 1);
	CU_ASSERT_EQUAL(pe_session_count(t), 0);
	for (size_t i = 0; i < offsetof(struct pe_session, next_of_key); i++) // wiped
		CU_ASSERT_EQUAL_FATAL(((const uint8_t *)s)[i], 0);
	// Silence.
	CU_ASSERT_PTR_NOT_NULL(begin(t, &c, 1, PE_SEAL_SIGN, p, at(0)));
	CU_ASSERT_EQUAL(send(t, &c, 1, p, at(5)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(send(t, &c, 2, p, at(5 + PE_SESSION_IDLE_MS - 1)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(send(t, &c, 3, p, at(4 + 2 * PE_SESSION_IDLE_MS)), PE_SESSION_UNKNOWN);
	CU_ASSERT_EQUAL(pe_session_sweep(t, 8, at(4 + 2 * PE_SESSION_IDLE_MS)), 1);
	// A day.
	s = begin(t, &c, 1, PE_SEAL_SIGN, p, at(0));
	CU_ASSERT_EQUAL(send(t, &c, 1, p, at(0)), PE_SESSION_OK);
	s->heard_ms = s->epoch_ms = PE_SESSION_LIFE_MS - 10;
	CU_ASSERT_EQUAL(send(t, &c, 2, p, at(PE_SESSION_LIFE_MS - 1)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(send(t, &c, 3, p, at(PE_SESSION_LIFE_MS)), PE_SESSION_UNKNOWN);
	pe_session_end(t, s);
	// The key's own end, an hour from the start of these tests' clock.
	s = begin(t, &c, 9, PE_SEAL_SIGN, p, at(0));
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT(s->ends_ms < PE_SESSION_LIFE_MS);
	CU_ASSERT_EQUAL(send(t, &c, 1, p, at(0)), PE_SESSION_OK);
	s->heard_ms = s->epoch_ms = s->ends_ms - 10;
	CU_ASSERT_EQUAL(send(t, &c, 2, p, at(s->ends_ms - 1)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(send(t, &c, 3, p, at(s->ends_ms)), PE_SESSION_UNKNOWN);
	CU_ASSERT_PTR_NULL(begin(t, &c, 9, PE_SEAL_SIGN, p, at(s->ends_ms)));
	// A key that nobody has, and a level below the principal's.
	CU_ASSERT_PTR_NULL(begin(t, &c, 11, PE_SEAL_SIGN, p, at(0)));
	CU_ASSERT_PTR_NULL(begin(t, &c, 10, PE_SEAL_SIGN, p, at(0)));
	CU_ASSERT_EQUAL(pe_session_count(t), 1);
	pe_session_table_destroy(t);
}

static void test_another_keyring(void)
{
	struct pe_session_table *t = make_table(8);
	struct pe_keyring *without = make_keyring(2);
	struct client_side one, two;
	struct pe_peer p = peer_of(1);
	struct pe_session *s = begin(t, &one, 3, PE_SEAL_SIGN, p, at(0));

	CU_ASSERT_PTR_NOT_NULL(begin(t, &two, 2, PE_SEAL_SIGN, p, at(0)));
	CU_ASSERT_EQUAL(send(t, &one, 1, p, at(1)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(send(t, &two, 1, p, at(1)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(s->principal, 2);
	pe_session_table_keyring(t, without);
	CU_ASSERT_EQUAL(send(t, &one, 2, p, at(2)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(s->principal, 1); // as the new one numbers them
	CU_ASSERT_EQUAL(send(t, &two, 2, p, at(2)), PE_SESSION_UNKNOWN);
	CU_ASSERT_EQUAL(pe_session_sweep(t, 8, at(2)), 1);
	CU_ASSERT_EQUAL(pe_session_count(t), 1);
	pe_session_table_destroy(t);
	pe_keyring_destroy(without);
}

static void test_moves(void)
{
	struct pe_session_table *t = make_table(4);
	struct client_side c;
	struct pe_session *s = begin(t, &c, 1, PE_SEAL_SIGN, peer_of(1), at(0));
	struct pe_peer elsewhere = peer_of(2), nowhere = peer_of(3);

	CU_ASSERT_EQUAL(send(t, &c, 5, peer_of(1), at(1)), PE_SESSION_OK);
	CU_ASSERT(s->proved && s->moves == 0);
	CU_ASSERT_EQUAL(send(t, &c, 6, elsewhere, at(2)), PE_SESSION_OK);
	CU_ASSERT(!s->proved && s->moves == 1 && s->peer.address[15] == 2);
	// What was under way before it moved does not pull it back.
	CU_ASSERT_EQUAL(send(t, &c, 4, peer_of(1), at(3)), PE_SESSION_OK);
	CU_ASSERT(s->moves == 1 && s->peer.address[15] == 2);
	pe_session_prove(s, &nowhere);
	CU_ASSERT_FALSE(s->proved);
	pe_session_prove(s, &elsewhere);
	CU_ASSERT(s->proved);
	elsewhere.port++;
	CU_ASSERT_EQUAL(send(t, &c, 7, elsewhere, at(4)), PE_SESSION_OK);
	CU_ASSERT(!s->proved && s->moves == 2 && s->peer.port == elsewhere.port);
	pe_session_table_destroy(t);
}

static void test_bounds(void)
{
	struct pe_session_config config = {.session_count_max = 0};
	struct pe_session_table *t;
	struct client_side c, kept;
	struct pe_session *s;
	struct pe_peer p = peer_of(1);
	unsigned live = 0;

	CU_ASSERT_EQUAL(pe_session_table_create(&config, seal, keyring, &t), PE_INVALID);
	config.session_count_max = PE_SESSIONS_MAX + 1;
	CU_ASSERT_EQUAL(pe_session_table_create(&config, seal, keyring, &t), PE_INVALID);
	config.session_count_max = 1;
	config.worker = PE_WORKERS_MAX;
	CU_ASSERT_EQUAL(pe_session_table_create(&config, seal, keyring, &t), PE_INVALID);
	pe_session_table_destroy(NULL);

	// Waiting ones of a key: the oldest goes. Live ones: the longest silent goes.
	t = make_table(200);
	for (unsigned i = 0; i < 50; i++) {
		s = begin(t, &c, 1, PE_SEAL_SIGN, p, at(i));
		CU_ASSERT_PTR_NOT_NULL_FATAL(s);
		CU_ASSERT(pe_session_count(t) <= PE_SESSIONS_OPENING_PER_KEY);
	}
	CU_ASSERT_EQUAL(pe_session_count(t), PE_SESSIONS_OPENING_PER_KEY);
	CU_ASSERT_EQUAL(send(t, &c, 1, p, at(50)), PE_SESSION_OK); // the newest is there
	pe_session_table_destroy(t);
	t = make_table(200);
	for (unsigned i = 0; i < 50; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(begin(t, &c, 1, PE_SEAL_SIGN, p, at(i)));
		CU_ASSERT_EQUAL(send(t, &c, 1, p, at(i)), PE_SESSION_OK);
		if (i == 0)
			kept = c;
		else
			CU_ASSERT_EQUAL(send(t, &kept, i + 1, p, at(i)), PE_SESSION_OK);
		CU_ASSERT(pe_session_count(t) <= PE_SESSIONS_PER_KEY);
	}
	CU_ASSERT_EQUAL(pe_session_count(t), PE_SESSIONS_PER_KEY);
	// Handshakes that nobody finishes end no live one.
	for (unsigned i = 0; i < 50; i++)
		CU_ASSERT_PTR_NOT_NULL_FATAL(begin(t, &c, 1, PE_SEAL_SIGN, p, at(100 + i)));
	CU_ASSERT_EQUAL(pe_session_count(t), PE_SESSIONS_PER_KEY + PE_SESSIONS_OPENING_PER_KEY);
	for (unsigned i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(send(t, &kept, 100 + i, p, at(200)), PE_SESSION_OK);
	CU_ASSERT_EQUAL(pe_session_sweep(t, 200, at(200 + PE_SESSION_OPENING_MS)), 4);
	CU_ASSERT_EQUAL(pe_session_count(t), PE_SESSIONS_PER_KEY);
	// Another key is not touched by it, and the table's own bound holds.
	pe_session_table_destroy(t);
	t = make_table(20);
	for (unsigned n = 1; n <= 8; n++)
		for (unsigned i = 0; i < 4; i++)
			if (begin(t, &c, (uint8_t)n, PE_SEAL_SIGN, p, at(0))) {
				CU_ASSERT_EQUAL(send(t, &c, 1, p, at(1)), PE_SESSION_OK);
				live++;
			}
	CU_ASSERT_EQUAL(live, 20);
	CU_ASSERT_EQUAL(pe_session_count(t), 20);
	CU_ASSERT_EQUAL(pe_session_sweep(t, 20, at(PE_SESSION_IDLE_MS + 1)), 20);
	CU_ASSERT_PTR_NOT_NULL(begin(t, &c, 8, PE_SEAL_SIGN, p, at(PE_SESSION_IDLE_MS + 1)));
	CU_ASSERT(pe_session_table_bytes(t) > 20 * sizeof *s);
	(void)pe_session_table_locked(t);
	pe_session_table_destroy(t);
}

// Random clients, sequences, epochs, forgeries and pauses, against a model that remembers every
// sequence that was taken.
#define CLIENTS   6
#define SEQUENCES 8192
static void test_model(void)
{
	static uint8_t taken[CLIENTS][SEQUENCES];
	static struct client_side now_side[CLIENTS], old_side[CLIENTS];
	uint64_t seed = 0x5EED0007, steps = testing_amount(60000), now = 0, ok = 0;
	uint64_t top[CLIENTS], epoch_ms[CLIENTS], heard[CLIENTS];
	uint32_t epoch[CLIENTS] = {0};
	bool there[CLIENTS] = {0};
	struct pe_session_table *t = make_table(CLIENTS);
	struct pe_peer p = peer_of(1);

	printf("seed %#llx ", (unsigned long long)seed);
	for (uint64_t step = 0; step < steps; step++) {
		uint64_t x = testing_random(&seed), y = testing_random(&seed);
		unsigned i = x % CLIENTS;
		enum pe_session_verdict got, want;
		uint8_t data[MESSAGE] = {1};
		bool forged = y % 7 == 0, old = y % 5 == 0 && epoch[i] > 0;
		struct client_side *side = old ? &old_side[i] : &now_side[i];
		uint64_t sequence;
		unsigned kind = x / CLIENTS % 400;

		now += kind == 0 ? 20000 : kind < 40 ? 100 : 0;
		if (kind == 0)
			pe_session_sweep(t, CLIENTS, at(now));
		if (!there[i]) {
			CU_ASSERT_PTR_NOT_NULL_FATAL(begin(t, &now_side[i], (uint8_t)(i + 1),
				(uint8_t)(1 + y % 2), p, at(now)));
			memset(taken[i], 0, SEQUENCES);
			there[i] = true;
			top[i] = epoch[i] = 0;
			epoch_ms[i] = heard[i] = now;
			continue;
		}
		if (kind == 1) { // the client moves on, whether the engine will have it or not
			bool soon = now - epoch_ms[i] < PE_SESSION_EPOCH_MIN_MS;

			if (soon || now_side[i].epoch != epoch[i])
				continue;
			old_side[i] = now_side[i];
			client_next_epoch(&now_side[i]);
			continue;
		}
		sequence = kind < 200 ? top[i] + 1 + y / 64 % 4 : y / 64 % (top[i] + 2);
		if (kind >= 300 && top[i] > PE_REPLAY_WINDOW + 8)
			sequence = top[i] - PE_REPLAY_WINDOW + 3 - y / 64 % 6;
		if (sequence >= SEQUENCES) { // the arrays end here: begin another
			there[i] = false;
			for (unsigned n = 0; n < CLIENTS; n++)
				there[n] = false;
			pe_session_table_destroy(t);
			t = make_table(CLIENTS);
			continue;
		}
		client_seal(side, data, sizeof data, sequence);
		if (forged)
			data[y / 64 % 16 + 80] ^= (uint8_t)(1u << y / 4096 % 8);
		got = engine_take(t, seal, data, sizeof data, &p, at(now), NULL);
		if (now - heard[i] >= (top[i] ? PE_SESSION_IDLE_MS : PE_SESSION_OPENING_MS)) {
			want = PE_SESSION_UNKNOWN;
		} else if (sequence == 0 || taken[i][sequence] ||
			(sequence <= top[i] && top[i] - sequence >= PE_REPLAY_WINDOW)) {
			want = PE_SESSION_REPLAY;
		} else if (side->epoch + 1 == epoch[i] &&
			now - epoch_ms[i] >= PE_SESSION_EPOCH_OVERLAP_MS) {
			want = PE_SESSION_EPOCH;
		} else if (side->epoch == epoch[i] + 1 &&
			now - epoch_ms[i] < PE_SESSION_EPOCH_MIN_MS) {
			want = PE_SESSION_EPOCH;
		} else if (side->epoch + 2 <= epoch[i]) {
			want = PE_SESSION_EPOCH;
		} else {
			want = forged ? PE_SESSION_TAG : PE_SESSION_OK;
		}
		if (got != want)
			printf("\n    step %llu: client %u, sequence %llu of %llu, epoch %u of %u: %d, not %d",
				(unsigned long long)step, i, (unsigned long long)sequence,
				(unsigned long long)top[i], side->epoch, epoch[i], got, want);
		CU_ASSERT_EQUAL_FATAL(got, want);
		if (got == PE_SESSION_UNKNOWN) {
			(void)pe_session_sweep(t, CLIENTS, at(now));
			there[i] = false;
		}
		if (got != PE_SESSION_OK)
			continue;
		ok++;
		taken[i][sequence] = 1;
		heard[i] = now;
		top[i] = sequence > top[i] ? sequence : top[i];
		if (side->epoch == epoch[i] + 1) {
			epoch[i]++;
			epoch_ms[i] = now;
		}
	}
	CU_ASSERT(ok > steps / 10);
	pe_session_table_destroy(t);
}

int main(void)
{
	static const struct testing_case cases[] = {{"a message and its twins", test_message},
		{"the page's examples", test_page}, {"epochs", test_epochs}, {"ends", test_ends},
		{"another keyring", test_another_keyring}, {"moves", test_moves},
		{"bounds", test_bounds}, {"against a model", test_model}};
	static const char *const names[] = {"a.key", NULL};
	struct pe_error error;
	int result;

	if (pe_secret_start(&error) != PE_OK)
		testing_skip(error.text);
	if (pe_seal_create(PE_SEAL_BEST, &seal, &error) != PE_OK)
		return EXIT_FAILURE;
	keyring_files_make();
	keyring_file("a.key", "1111111111111111111111111111111111111111111111111111111111111101\n",
		0600);
	keyring = make_keyring(0);
	result = testing_main("guard-session", cases, sizeof cases / sizeof cases[0]);
	pe_keyring_destroy(keyring);
	pe_seal_destroy(seal);
	keyring_files_remove(names);
	return result;
}
