// libFuzzer target of what the guard takes from strangers: CONNECT messages, sealed messages, and
// keyring files. The first byte of an input says which, and how much of it is made right before it
// is given: a fuzzer finds no MAC and no tag by itself. What is looked at is a heap copy of its
// exact size at an odd address. Beyond "no crash": nobody is welcomed without the client's secret
// key, no answer is longer than its question, and a message whose tag is wrong changes no session.
#include "../unit/guard/client_side.h"
#include "../unit/guard/keyring_files.h"

#define EXPECT(what) \
	do { \
		if (!(what)) \
			abort(); \
	} while (0)

static struct pe_seal *seal;
static struct pe_keyring *keyring;
static struct pe_session_table *table;
static struct pe_cookie cookie;
static struct pe_connect connection;
static struct client_side client, stranger;
static struct pe_session *session;
static const struct pe_peer peer = {.address = {[10] = 0xFF, [11] = 0xFF, [15] = 1}, .port = 4000};
static const struct pe_now now = {.mono_ms = 100000, .wall_ms = 1795000000000u};

static void clean_up(void)
{
	static const char *const names[] = {"a.key", NULL};

	keyring_files_remove(names);
}

static void start(void)
{
	static const uint8_t engine_secret[32] = {7, 9}, seed[32] = {1};
	struct pe_session_config config = {.session_count_max = 8};
	uint8_t engine_public[32], split[2][32] = {{1}, {2}};
	char digits[66], text[512];
	struct pe_error error;

	EXPECT(pe_secret_start(&error) == PE_OK);
	EXPECT(pe_seal_create(PE_SEAL_BEST, &seal, &error) == PE_OK);
	keyring_files_make();
	(void)atexit(clean_up);
	keyring_hex_of(engine_secret, digits);
	keyring_file("a.key", digits, 0600);
	pe_noise_public(engine_secret, engine_public);
	client_make(&client, seal, 1, engine_public);
	client_make(&stranger, seal, 2, engine_public);
	keyring_hex_of(client.public, digits);
	snprintf(text, sizeof text,
		"engine: {keys: [{secret_file: a.key}]}\nprincipals:\n"
		"  - {id: 00000000-0000-4000-8000-000000000001, keys: [{public_key: \"%s\"}]}\n",
		digits);
	EXPECT(pe_keyring_load_text("k", keyring_folder, text, strlen(text), &keyring, &error) ==
		PE_OK);
	EXPECT(pe_session_table_create(&config, seal, keyring, &table) == PE_OK);
	pe_cookie_start(&cookie, seed, now.mono_ms);
	connection = (struct pe_connect){.keyring = keyring, .cookie = &cookie, .table = table};
	EXPECT(pe_session_begin(table, client.public, PE_SEAL_ENCRYPT, &peer, now, &session) ==
		PE_OK);
	client.grant.session_id = session->id;
	client.grant.level = PE_SEAL_ENCRYPT;
	for (unsigned d = 0; d < 2; d++) {
		pe_chain_start(split[d], client.chain[d]);
		pe_chain_step(client.chain[d], client.epoch_secret[d]);
	}
	pe_session_key(table, session, split[0], split[1]);
}

// how: bit 0 the header is right, bit 1 the MAC, bit 2 the cookie, bit 3 a stranger's true
// handshake with one byte of the input over it.
static void connect_message(uint8_t how, uint8_t *data, uint32_t bytes)
{
	uint8_t reply[PE_CONNECT_REPLY_MAX], held[16];
	struct pe_wire_connect m, right = client_knock(&client, 5);
	enum pe_connect_verdict verdict;
	uint32_t reply_bytes;

	if (bytes == sizeof m) {
		EXPECT(pe_cookie_make(&cookie, &peer, now.mono_ms, held));
		memcpy(&m, data, sizeof m);
		if (how & 8) {
			struct pe_wire_connect hello =
				client_hello(&stranger, 5, held, PE_SEAL_SIGN);

			((uint8_t *)&hello)[data[0]] ^= data[1];
			m = hello;
		}
		if (how & 1) {
			m.header = right.header;
			memcpy(m.reserved, right.reserved, sizeof m.reserved);
			memcpy(m.key_id, right.key_id, sizeof m.key_id);
		}
		if (how & 4)
			memcpy(m.cookie, held, 16);
		if (how & 2)
			client_mac(&client, &m);
		memcpy(data, &m, sizeof m);
	}
	verdict = pe_connect_receive(&connection, data, bytes, &peer, now, reply, &reply_bytes);
	EXPECT(verdict != PE_CONNECT_WELCOMED);
	EXPECT(reply_bytes <= bytes);
	EXPECT((reply_bytes > 0) == (verdict == PE_CONNECT_COOKIED));
}

// how: bit 0 the session's id is right but for the epoch, bit 1 sealed by the client.
static void sealed_message(uint8_t how, uint8_t *data, uint32_t bytes)
{
	struct pe_replay before = session->replay;
	enum pe_session_verdict verdict;
	uint64_t sequence;

	if (bytes < sizeof(struct pe_wire_header) || bytes > PE_WIRE_BYTES_MAX)
		return;
	if (how & 1)
		memcpy(data + 25, (const uint8_t *)&session->id + 1, 7);
	memcpy(&sequence, data + 8, 8);
	if (how & 2)
		client_seal(&client, data, bytes, sequence);
	verdict = engine_take(table, seal, data, bytes, &peer, now, NULL);
	EXPECT(verdict != PE_SESSION_OK || how & 2);
	EXPECT(!(how & 2) || verdict == PE_SESSION_OK || verdict == PE_SESSION_REPLAY);
	EXPECT(verdict == PE_SESSION_OK || memcmp(&before, &session->replay, sizeof before) == 0);
	EXPECT(session->epoch == 0 && session->moves == 0);
	if (session->replay.top > UINT64_MAX / 2) // so that there is room for more
		session->replay = (struct pe_replay){0};
}

static void keyring_text(const uint8_t *data, uint32_t bytes)
{
	struct pe_keyring *k;
	struct pe_error error = {0};

	if (pe_keyring_load_text("k", keyring_folder, (const char *)data, bytes, &k, &error) ==
		PE_OK)
		pe_keyring_destroy(k);
	else
		EXPECT(k == NULL && error.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	uint8_t *copy;

	if (!started)
		start();
	started = true;
	if (size == 0 || size > 4096)
		return 0;
	copy = malloc(size);
	EXPECT(copy != NULL);
	memcpy(copy, data, size); // what is looked at begins behind the first byte
	if (data[0] % 3 == 0)
		connect_message(data[0] / 3, copy + 1, (uint32_t)size - 1);
	else if (data[0] % 3 == 1)
		sealed_message(data[0] / 3, copy + 1, (uint32_t)size - 1);
	else
		keyring_text(copy + 1, (uint32_t)size - 1);
	free(copy);
	return 0;
}
