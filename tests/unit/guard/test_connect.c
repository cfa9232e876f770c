// Opening sessions: both rounds, everything that gets silence, and that no answer is longer than
// what it answers.
#include "client_side.h"
#include "guard_scene.h"
#include "keyring_files.h"
#include "tests/testing.h"

static struct pe_seal *seal;
static struct pe_keyring *keyring;
static struct pe_cookie cookie;
static struct pe_session_table *table;
static struct pe_connect connection;
static uint8_t engine_public[2][32];

// Clients 1 and 2, 2 with a pre-shared key of its own and ENCRYPT at least.
static void setup(uint32_t sessions)
{
	static const uint8_t seed[32] = {3};
	static char text[2048];
	struct pe_session_config config = {.session_count_max = sessions, .worker = 1};
	struct client_side one, two;
	struct pe_error error;
	char digits[2][66];

	client_make(&one, seal, 1, engine_public[0]);
	client_make(&two, seal, 2, engine_public[0]);
	keyring_hex_of(one.public, digits[0]);
	keyring_hex_of(two.public, digits[1]);
	snprintf(text, sizeof text,
		"engine: {psk_file: a.psk, keys: [{secret_file: a.key}, {secret_file: b.key, until: \"2026-11-18T12:06:40Z\"}]}\n"
		"principals:\n"
		"  - {id: 00000000-0000-4000-8000-000000000001, keys: [{public_key: \"%s\"}]}\n"
		"  - {id: 00000000-0000-4000-8000-000000000002, level: encrypt, keys: [{public_key: \"%s\", psk_file: b.psk}]}\n",
		digits[0], digits[1]);
	if (pe_keyring_load_text("k.yaml", keyring_folder, text, strlen(text), &keyring, &error) !=
		PE_OK) {
		printf("%s\n", error.text);
		exit(EXIT_FAILURE);
	}
	for (unsigned i = 0; i < 2; i++)
		memcpy(engine_public[i], pe_keyring_engine_key_at(keyring, i)->public, 32);
	pe_cookie_start(&cookie, seed, 0);
	if (pe_session_table_create(&config, seal, keyring, &table) != PE_OK)
		exit(EXIT_FAILURE);
	connection = (struct pe_connect){.keyring = keyring, .cookie = &cookie, .table = table};
}

static void teardown(void)
{
	pe_session_table_destroy(table);
	pe_keyring_destroy(keyring);
}

static struct client_side client_of(uint8_t number, unsigned key)
{
	struct client_side c;

	client_make(&c, seal, number, engine_public[key]);
	c.psk[0] = number == 2 ? 0xB5 : 0xA5;
	return c;
}

static uint8_t reply[PE_CONNECT_REPLY_MAX];
static uint32_t reply_bytes;

static enum pe_connect_verdict receive(
	const void *data, uint32_t bytes, struct pe_peer peer, struct pe_now now)
{
	uint8_t *copy = malloc(bytes + 1); // of its exact size, at an odd address
	enum pe_connect_verdict verdict;

	memcpy(copy + 1, data, bytes);
	verdict = pe_connect_receive(&connection, copy + 1, bytes, &peer, now, reply, &reply_bytes);
	free(copy);
	CU_ASSERT(reply_bytes <= bytes);
	CU_ASSERT_EQUAL(reply_bytes > 0, verdict <= PE_CONNECT_WELCOMED);
	return verdict;
}

// The first round.
static struct pe_wire_cookie knock(struct client_side *c, struct pe_peer peer, struct pe_now now)
{
	struct pe_wire_connect m = client_knock(c, 77);
	struct pe_wire_cookie got;

	CU_ASSERT_EQUAL_FATAL(receive(&m, sizeof m, peer, now), PE_CONNECT_COOKIED);
	CU_ASSERT_EQUAL_FATAL(reply_bytes, sizeof got);
	memcpy(&got, reply, sizeof got);
	return got;
}

static void test_both_rounds(void)
{
	for (unsigned n = 1; n <= 2; n++)
		for (unsigned key = 0; key < 2; key++) {
			struct client_side c;
			struct pe_peer p = peer_of(n);
			struct pe_wire_cookie got;
			struct pe_wire_connect hello;
			struct pe_wire_welcome welcome;
			struct pe_session *s = NULL;
			uint8_t data[96] = {1, 3, [80] = 7};

			setup(10);
			c = client_of((uint8_t)n, key);
			got = knock(&c, p, at(5));
			CU_ASSERT(got.header.type == PE_TYPE_CONNECT_ACK && got.header.count == 1);
			CU_ASSERT(got.step == PE_CONNECT_COOKIE && got.request_sequence == 77);
			CU_ASSERT(got.header.stream_id == 9);
			CU_ASSERT_EQUAL(pe_session_count(table), 0);
			hello = client_hello(&c, 78, got.cookie, PE_SEAL_SIGN);
			CU_ASSERT_EQUAL(
				receive(&hello, sizeof hello, p, at(6)), PE_CONNECT_WELCOMED);
			memcpy(&welcome, reply, sizeof welcome);
			CU_ASSERT_EQUAL(reply_bytes, sizeof welcome);
			CU_ASSERT(welcome.step == PE_CONNECT_WELCOME &&
				welcome.request_sequence == 78);
			CU_ASSERT_FATAL(client_welcome(&c, &welcome));
			// The level is the higher of what was asked for and what must be.
			CU_ASSERT_EQUAL(c.grant.level, n == 2 ? PE_SEAL_ENCRYPT : PE_SEAL_SIGN);
			CU_ASSERT_EQUAL(c.grant.principal[15], n);
			CU_ASSERT_EQUAL(c.grant.window, PE_REPLAY_WINDOW);
			CU_ASSERT_EQUAL(c.grant.epoch_s, 3600);
			CU_ASSERT_EQUAL(c.grant.life_s, 86400);
			CU_ASSERT_EQUAL(c.grant.idle_s, 300);
			CU_ASSERT_EQUAL(c.grant.timestamp_ms, WALL + 6);
			CU_ASSERT_EQUAL(pe_session_worker(c.grant.session_id), 1);
			CU_ASSERT_EQUAL(pe_session_count(table), 1);
			client_seal(&c, data, sizeof data, 1);
			CU_ASSERT_EQUAL(engine_take(table, seal, data, sizeof data, &p, at(7), &s),
				PE_SESSION_OK);
			CU_ASSERT_PTR_NOT_NULL_FATAL(s);
			CU_ASSERT(s->live && s->proved && s->principal == n - 1);
			CU_ASSERT(memcmp(s->static_key, c.public, 32) == 0);
			teardown();
		}
}

static void expect_silence(enum pe_connect_verdict want, const struct pe_wire_connect *m,
	uint32_t bytes, struct pe_peer peer, struct pe_now now)
{
	uint64_t before = connection.counts[want];
	enum pe_connect_verdict got = receive(m, bytes, peer, now);

	if (got != want)
		printf("\n    verdict %d, not %d", got, want);
	CU_ASSERT_EQUAL(got, want);
	CU_ASSERT_EQUAL(connection.counts[want], before + 1);
}

static void test_silence(void)
{
	struct pe_peer p = peer_of(1);
	struct client_side c, stranger, wrong_psk;
	struct pe_wire_connect m;
	struct pe_wire_cookie got;
	static uint8_t large[1452];

	setup(10);
	c = client_of(1, 0);
	m = client_knock(&c, 1);
	// Lengths: all of them but one.
	memcpy(large, &m, sizeof m);
	for (uint32_t bytes = 0; bytes < sizeof large; bytes++)
		if (bytes != sizeof m)
			CU_ASSERT_EQUAL(receive(large, bytes, p, at(1)), PE_CONNECT_MALFORMED);
	// Each bit of both messages, with the MAC as it was.
	for (unsigned bit = 0; bit < sizeof m * 8; bit++) {
		((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT(receive(&m, sizeof m, p, at(1)) >= PE_CONNECT_MALFORMED);
		((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	// With a MAC that is right: what is fixed is fixed, and only that.
	for (unsigned bit = 0; bit < offsetof(struct pe_wire_connect, mac) * 8; bit++) {
		unsigned byte = bit / 8;
		enum pe_connect_verdict want = PE_CONNECT_MALFORMED;

		if (byte >= offsetof(struct pe_wire_header, stream_id) &&
			byte < offsetof(struct pe_wire_header, session_id))
			want = PE_CONNECT_COOKIED;
		else if (byte >= offsetof(struct pe_wire_connect, key_id) &&
			byte < offsetof(struct pe_wire_connect, cookie))
			want = PE_CONNECT_KEY;
		else if (bit == offsetof(struct pe_wire_connect, step) * 8 + 1)
			want = PE_CONNECT_COOKIED; // KNOCK became HELLO, whose cookie does not hold
		((uint8_t *)&m)[byte] ^= (uint8_t)(1u << bit % 8);
		client_mac(&c, &m);
		CU_ASSERT_EQUAL(receive(&m, sizeof m, p, at(1)), want);
		((uint8_t *)&m)[byte] ^= (uint8_t)(1u << bit % 8);
	}
	got = knock(&c, p, at(1));
	m = client_hello(&c, 2, got.cookie, PE_SEAL_SIGN);
	for (unsigned bit = 0; bit < sizeof m * 8; bit++) {
		((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT(receive(&m, sizeof m, p, at(1)) >= PE_CONNECT_MALFORMED);
		((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	// The same with a MAC that is right, as who knows the public key can make it: what is not
	// shape is the handshake's, or asks for another cookie.
	for (unsigned bit = 0; bit < offsetof(struct pe_wire_connect, mac) * 8; bit += 3) {
		enum pe_connect_verdict got_verdict;

		((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		client_mac(&c, &m);
		got_verdict = receive(&m, sizeof m, p, at(1));
		CU_ASSERT(got_verdict != PE_CONNECT_WELCOMED && got_verdict != PE_CONNECT_MAC);
		CU_ASSERT_EQUAL(got_verdict == PE_CONNECT_COOKIED,
			bit / 8 >= offsetof(struct pe_wire_connect, cookie) &&
				bit / 8 < offsetof(struct pe_wire_connect, noise));
		((uint8_t *)&m)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	client_mac(&c, &m);
	CU_ASSERT_EQUAL(pe_session_count(table), 0);

	// Who does not know the engine's key at all, or an old one.
	c = client_of(1, 1);
	m = client_knock(&c, 3);
	expect_silence(PE_CONNECT_COOKIED, &m, sizeof m, p, at(3599999));
	expect_silence(PE_CONNECT_KEY, &m, sizeof m, p, at(3600000));
	m.key_id[0] ^= 1;
	expect_silence(PE_CONNECT_KEY, &m, sizeof m, p, at(1));
	// Who is not in the keyring.
	teardown();
	setup(10);
	stranger = client_of(3, 0);
	got = knock(&stranger, p, at(2));
	m = client_hello(&stranger, 2, got.cookie, PE_SEAL_SIGN);
	expect_silence(PE_CONNECT_STRANGER, &m, sizeof m, p, at(3));
	// Levels that are none.
	c = client_of(1, 0);
	m = client_hello(&c, 2, got.cookie, 0);
	expect_silence(PE_CONNECT_LEVEL, &m, sizeof m, p, at(3));
	m = client_hello(&c, 2, got.cookie, 3);
	expect_silence(PE_CONNECT_LEVEL, &m, sizeof m, p, at(3));
	for (unsigned byte = 0; byte < sizeof(struct pe_wire_hello);
		byte++) { // and reserved fields
		struct pe_wire_hello hello = {.level = PE_SEAL_SIGN};

		((uint8_t *)&hello)[byte] ^= 0x40;
		m = client_hello_with(&c, 2, got.cookie, hello);
		if (byte >= 8 && byte < 16) // a clock may say what it likes
			continue;
		expect_silence(PE_CONNECT_LEVEL, &m, sizeof m, p, at(3));
	}
	CU_ASSERT_EQUAL(pe_session_count(table), 0);
	// A wrong pre-shared key: the engine cannot tell yet, but the client cannot read the
	// answer, and its session ends unused.
	wrong_psk = client_of(1, 0);
	wrong_psk.psk[1] = 1;
	m = client_hello(&wrong_psk, 2, got.cookie, PE_SEAL_SIGN);
	CU_ASSERT_EQUAL(receive(&m, sizeof m, p, at(3)), PE_CONNECT_WELCOMED);
	CU_ASSERT_FALSE(client_welcome(&wrong_psk, (const void *)reply));
	CU_ASSERT_EQUAL(pe_session_sweep(table, 10, at(3 + PE_SESSION_OPENING_MS)), 1);
	teardown();
}

static void test_cookies(void)
{
	struct pe_peer p = peer_of(1), elsewhere = peer_of(2);
	struct client_side c;
	struct pe_wire_connect m;
	struct pe_wire_cookie got;
	struct pe_wire_welcome welcome;
	uint8_t data[96] = {1, 3};

	setup(10);
	c = client_of(1, 0);
	got = knock(&c, p, at(0));
	m = client_hello(&c, 2, got.cookie, PE_SEAL_SIGN);
	// From elsewhere, or too late: a cookie again, and no work.
	CU_ASSERT_EQUAL(receive(&m, sizeof m, elsewhere, at(1)), PE_CONNECT_COOKIED);
	CU_ASSERT_EQUAL(receive(&m, sizeof m, p, at(2 * PE_COOKIE_MINUTE_MS)), PE_CONNECT_COOKIED);
	// Another's cookie in a message of one's own: what was made for one cookie is good for no
	// other.
	got = knock(&c, elsewhere, at(2 * PE_COOKIE_MINUTE_MS));
	memcpy(m.cookie, got.cookie, 16);
	client_mac(&c, &m);
	CU_ASSERT_EQUAL(receive(&m, sizeof m, elsewhere, at(2 * PE_COOKIE_MINUTE_MS)),
		PE_CONNECT_HANDSHAKE);
	CU_ASSERT_EQUAL(pe_session_count(table), 0);
	// A key's HELLOs within the cookie's time hold few sessions that wait.
	for (unsigned i = 0; i < 50; i++) {
		m = client_hello(&c, 3 + i, got.cookie, PE_SEAL_SIGN);
		CU_ASSERT_EQUAL(receive(&m, sizeof m, elsewhere, at(2 * PE_COOKIE_MINUTE_MS)),
			PE_CONNECT_WELCOMED);
	}
	CU_ASSERT_EQUAL(pe_session_count(table), PE_SESSIONS_OPENING_PER_KEY);
	// Repeats of one hold none, and push out nobody, the session that it opened least of all.
	memcpy(&welcome, reply, sizeof welcome);
	CU_ASSERT_FATAL(client_welcome(&c, &welcome));
	for (unsigned i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(receive(&m, sizeof m, elsewhere, at(2 * PE_COOKIE_MINUTE_MS)),
			PE_CONNECT_HANDSHAKE);
	client_seal(&c, data, sizeof data, 1);
	CU_ASSERT_EQUAL(engine_take(table, seal, data, sizeof data, &elsewhere,
				at(2 * PE_COOKIE_MINUTE_MS), NULL),
		PE_SESSION_OK);
	CU_ASSERT_EQUAL(receive(&m, sizeof m, elsewhere, at(2 * PE_COOKIE_MINUTE_MS)),
		PE_CONNECT_HANDSHAKE);
	// A day without a message: the chain catches up by steps, with silence meanwhile.
	m = client_knock(&c, 9);
	CU_ASSERT_EQUAL(receive(&m, sizeof m, p, at(86400000)), PE_CONNECT_LATE);
	for (unsigned i = 0; i < 720 / PE_COOKIE_STEPS_MAX; i++)
		(void)receive(&m, sizeof m, p, at(86400000));
	CU_ASSERT_EQUAL(receive(&m, sizeof m, p, at(86400000)), PE_CONNECT_COOKIED);
	teardown();
}

static void test_full(void)
{
	struct pe_peer p = peer_of(1);
	struct client_side c[3];
	struct pe_wire_connect m;
	struct pe_wire_cookie got;

	setup(2);
	for (unsigned i = 0; i < 3; i++) {
		uint8_t data[96] = {1, 3};

		c[i] = client_of(i == 2 ? 2 : 1, 0);
		got = knock(&c[i], p, at(1));
		m = client_hello(&c[i], 2, got.cookie, PE_SEAL_ENCRYPT);
		CU_ASSERT_EQUAL(receive(&m, sizeof m, p, at(1)),
			i == 2 ? PE_CONNECT_FULL : PE_CONNECT_WELCOMED);
		if (i == 2)
			break;
		CU_ASSERT_FATAL(client_welcome(&c[i], (const void *)reply));
		client_seal(&c[i], data, sizeof data, 1);
		CU_ASSERT_EQUAL(engine_take(table, seal, data, sizeof data, &p, at(1), NULL),
			PE_SESSION_OK);
	}
	CU_ASSERT_EQUAL(pe_session_count(table), 2);
	CU_ASSERT_EQUAL(pe_session_sweep(table, 2, at(1 + PE_SESSION_IDLE_MS)), 2);
	teardown();
}

int main(void)
{
	static const struct testing_case cases[] = {{"both rounds", test_both_rounds},
		{"silence", test_silence}, {"cookies", test_cookies}, {"full", test_full}};
	static const char *const names[] = {"a.key", "b.key", "a.psk", "b.psk", NULL};
	static const char zeros[] =
		"00000000000000000000000000000000000000000000000000000000000000\n";
	char psk[80];
	struct pe_error error;
	int result;

	if (pe_secret_start(&error) != PE_OK)
		testing_skip(error.text);
	if (pe_seal_create(PE_SEAL_BEST, &seal, &error) != PE_OK)
		return EXIT_FAILURE;
	keyring_files_make();
	keyring_file("a.key", "1111111111111111111111111111111111111111111111111111111111111101\n",
		0600);
	keyring_file("b.key", "2222222222222222222222222222222222222222222222222222222222222202\n",
		0600);
	snprintf(psk, sizeof psk, "a5%s", zeros);
	keyring_file("a.psk", psk, 0600);
	snprintf(psk, sizeof psk, "b5%s", zeros);
	keyring_file("b.psk", psk, 0600);
	setup(1); // for the engine's public keys
	teardown();
	result = testing_main("guard-connect", cases, sizeof cases / sizeof cases[0]);
	pe_seal_destroy(seal);
	keyring_files_remove(names);
	return result;
}
