// Bursts of sealed messages: twins, forgeries, changes of epoch and ends inside of a burst, against
// a model that takes one message after the other.
#include "client_side.h"
#include "guard_scene.h"
#include "dataplane/guard/unseal.h"
#include "keyring_files.h"
#include "tests/testing.h"

#define MESSAGE 96
#define CLIENTS 5

static struct pe_seal *seal;
static struct pe_keyring *keyring;
static const uint8_t engine_public[32] = {9};

static struct pe_session *begin(
	struct pe_session_table *t, struct client_side *c, uint8_t number, struct pe_now now)
{
	static const struct pe_peer peer = {.address = {[10] = 0xFF, [11] = 0xFF, [15] = 1}};
	uint8_t split[2][32];
	struct pe_session *s;

	client_make(c, seal, number, engine_public);
	if (pe_session_begin(t, c->public, 1 + number % 2, &peer, now, &s) != PE_OK)
		return NULL;
	c->grant.session_id = s->id;
	c->grant.level = s->level;
	pe_secret_random(split, sizeof split);
	for (unsigned d = 0; d < 2; d++) {
		pe_chain_start(split[d], c->chain[d]);
		pe_chain_step(c->chain[d], c->epoch_secret[d]);
	}
	pe_session_key(t, s, split[0], split[1]);
	return s;
}

static struct pe_session_table *make_table(void)
{
	struct pe_session_config config = {.session_count_max = 64};
	struct pe_session_table *t;

	CU_ASSERT_EQUAL_FATAL(pe_session_table_create(&config, seal, keyring, &t), PE_OK);
	return t;
}

static void test_shape(void)
{
	uint8_t data[PE_WIRE_BYTES_MAX + 1] = {1};

	CU_ASSERT_FALSE(pe_is_sealed(data, 96));
	data[24 + 7] = 1;
	CU_ASSERT(pe_is_sealed(data, 80));
	CU_ASSERT(pe_is_sealed(data, PE_WIRE_BYTES_MAX));
	CU_ASSERT_FALSE(pe_is_sealed(data, 79));
	CU_ASSERT_FALSE(pe_is_sealed(data, 0));
	CU_ASSERT_FALSE(pe_is_sealed(data, PE_WIRE_BYTES_MAX + 1));
}

#define SEQUENCES 60000
static void test_model(void)
{
	static uint8_t taken[CLIENTS][SEQUENCES];
	static struct client_side side[CLIENTS], before[CLIENTS];
	static uint8_t data[PE_BURST_MAX][MESSAGE], plain[PE_BURST_MAX][MESSAGE];
	struct pe_sealed burst[PE_BURST_MAX];
	struct pe_peer peers[PE_BURST_MAX];
	enum pe_session_verdict want[PE_BURST_MAX];
	struct pe_session *sessions[CLIENTS];
	uint64_t seed = 0x5EED0008, bursts = testing_amount(2000), now = 0, top[CLIENTS] = {0};
	uint64_t epoch_ms[CLIENTS] = {0}, moved_in_burst = 0, both_in_burst = 0;
	uint32_t epoch[CLIENTS] = {0};
	struct pe_session_table *t = make_table();

	printf("seed %#llx ", (unsigned long long)seed);
	for (unsigned i = 0; i < CLIENTS; i++) {
		sessions[i] = begin(t, &side[i], (uint8_t)(i + 1), at(0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(sessions[i]);
		before[i] = side[i];
	}
	for (uint64_t b = 0; b < bursts; b++) {
		unsigned count = 1 + (unsigned)(testing_random(&seed) % PE_BURST_MAX);
		uint64_t start_top[CLIENTS];
		uint32_t start_epoch[CLIENTS];
		unsigned old_ones = 0, moves = 0;

		now += testing_random(&seed) % 300;
		memcpy(start_top, top, sizeof top);
		memcpy(start_epoch, epoch, sizeof epoch);
		for (unsigned i = 0; i < CLIENTS; i++)
			if (side[i].epoch == epoch[i] && now - epoch_ms[i] >= 12000) {
				before[i] = side[i];
				client_next_epoch(&side[i]); // and has sent some before it
			}
		for (unsigned m = 0; m < count; m++) {
			uint64_t x = testing_random(&seed), sequence;
			unsigned i = x % CLIENTS, kind = x / CLIENTS % 16;
			bool old = x / 1024 % 3 == 0 && before[i].epoch + 1 == side[i].epoch;

			sequence = kind < 10 ? start_top[i] + 1 + x / 65536 % 20 :
					       1 + x / 65536 % (start_top[i] + 1);
			CU_ASSERT_FATAL(sequence < SEQUENCES);
			for (unsigned n = 0; n < MESSAGE; n++)
				data[m][n] = (uint8_t)testing_random(&seed);
			client_seal(old ? &before[i] : &side[i], memcpy(plain[m], data[m], MESSAGE),
				MESSAGE, sequence);
			memcpy(data[m], plain[m], MESSAGE);
			want[m] = PE_SESSION_OK;
			if (kind == 15) {
				data[m][80 + x / 65536 % 16] ^= 1;
				want[m] = PE_SESSION_TAG;
			}
			if (kind == 14) { // nobody's
				data[m][30] ^= 1;
				want[m] = PE_SESSION_UNKNOWN;
			}
			peers[m] = (struct pe_peer){
				.address = {[15] = (uint8_t)m}, .port = (uint16_t)i};
			burst[m] = (struct pe_sealed){
				.data = data[m], .bytes = MESSAGE, .peer = &peers[m]};
			if (want[m] == PE_SESSION_UNKNOWN)
				continue;
			// Admission, by the state that the burst met.
			if ((sequence <= start_top[i] &&
				    (start_top[i] - sequence >= PE_REPLAY_WINDOW ||
					    taken[i][sequence] == 1)))
				want[m] = PE_SESSION_REPLAY;
			else if (old && before[i].epoch + 1 == start_epoch[i] &&
				now - epoch_ms[i] >= PE_SESSION_EPOCH_OVERLAP_MS)
				want[m] = PE_SESSION_EPOCH;
		}
		// What each moves, in their order.
		for (unsigned m = 0; m < count; m++) {
			unsigned i = peers[m].port;
			uint64_t sequence;
			struct client_side *from;

			memcpy(&sequence, plain[m] + 8, 8);
			if (want[m] != PE_SESSION_OK)
				continue;
			if (taken[i][sequence] ||
				(sequence <= top[i] && top[i] - sequence >= PE_REPLAY_WINDOW)) {
				want[m] = PE_SESSION_REPLAY;
				continue;
			}
			taken[i][sequence] = 2; // taken in this burst
			top[i] = sequence > top[i] ? sequence : top[i];
			from = plain[m][24] == (uint8_t)side[i].epoch ? &side[i] : &before[i];
			if (from->epoch == epoch[i] + 1) {
				epoch[i]++;
				epoch_ms[i] = now;
				moves++;
			}
			old_ones += from->epoch < epoch[i];
		}
		moved_in_burst += moves;
		both_in_burst += moves && old_ones;
		pe_unseal_burst(t, seal, burst, count, at(now));
		for (unsigned m = 0; m < count; m++) {
			unsigned i = peers[m].port;

			if (burst[m].verdict != want[m])
				printf("\n    burst %llu, message %u: %d, not %d",
					(unsigned long long)b, m, burst[m].verdict, want[m]);
			CU_ASSERT_EQUAL_FATAL(burst[m].verdict, want[m]);
			CU_ASSERT_PTR_EQUAL(
				burst[m].session, want[m] == PE_SESSION_OK ? sessions[i] : NULL);
		}
		for (unsigned i = 0; i < CLIENTS; i++) {
			CU_ASSERT_EQUAL(sessions[i]->replay.top, top[i]);
			CU_ASSERT_EQUAL(sessions[i]->epoch, epoch[i]);
			for (uint64_t n = start_top[i] > 2000 ? start_top[i] - 2000 : 0;
				n <= top[i]; n++)
				taken[i][n] = taken[i][n] != 0;
		}
	}
	// A shorter run has fewer, and one of them at least.
	CU_ASSERT(moved_in_burst > bursts / 100);
	CU_ASSERT(both_in_burst > bursts / 500);
	pe_session_table_destroy(t);
}

// A 17th session comes alive in the burst that holds a message of the one that goes for it.
static void test_ended_inside(void)
{
	static struct client_side c[PE_SESSIONS_PER_KEY + 1];
	static uint8_t data[2][MESSAGE];
	struct pe_peer peer = {.port = 1};
	struct pe_session_table *t = make_table();
	struct pe_sealed burst[2] = {{.data = data[0], .bytes = MESSAGE, .peer = &peer},
		{.data = data[1], .bytes = MESSAGE, .peer = &peer}};

	for (unsigned i = 0; i <= PE_SESSIONS_PER_KEY; i++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(begin(t, &c[i], 1, at(0)));
		if (i == PE_SESSIONS_PER_KEY)
			break;
		memset(data[0], 0, MESSAGE);
		client_seal(&c[i], data[0], MESSAGE, 1);
		pe_unseal_burst(t, seal, burst, 1, at(1 + i));
		CU_ASSERT_EQUAL(burst[0].verdict, PE_SESSION_OK);
	}
	// Heard of in this burst, and yet the longest silent: all the others were later.
	for (unsigned i = 1; i < PE_SESSIONS_PER_KEY; i++) {
		memset(data[0], 0, MESSAGE);
		client_seal(&c[i], data[0], MESSAGE, 2);
		pe_unseal_burst(t, seal, burst, 1, at(1000));
		CU_ASSERT_EQUAL(burst[0].verdict, PE_SESSION_OK);
	}
	client_seal(&c[0], data[0], MESSAGE, 2);
	client_seal(&c[PE_SESSIONS_PER_KEY], data[1], MESSAGE, 1);
	pe_unseal_burst(t, seal, burst, 2, at(900));
	CU_ASSERT_EQUAL(burst[1].verdict, PE_SESSION_OK);
	CU_ASSERT_EQUAL(burst[0].verdict, PE_SESSION_UNKNOWN);
	CU_ASSERT_PTR_NULL(burst[0].session);
	CU_ASSERT_EQUAL(pe_session_count(t), PE_SESSIONS_PER_KEY);
	pe_session_table_destroy(t);
}

// What an outsider can make of what it saw, and an insider of its own keys: none of it is taken,
// and no byte of any session changes.
static void test_attack(void)
{
	enum { SESSIONS = 40, SEEN = 50 };
	static struct client_side c[SESSIONS], old[SESSIONS];
	static struct pe_session *s[SESSIONS], copy[SESSIONS];
	static uint8_t seen[SESSIONS][SEEN][MESSAGE], data[PE_BURST_MAX][MESSAGE];
	struct pe_peer peer = {.address = {1}, .port = 6};
	struct pe_session_table *t = make_table(), *restarted = make_table();
	uint64_t seed = 0x5EED0009, messages = testing_amount(1000000), taken = 0;
	struct pe_sealed burst[PE_BURST_MAX];
	unsigned changed = 0;

	printf("seed %#llx ", (unsigned long long)seed);
	for (unsigned i = 0; i < SESSIONS; i++) {
		s[i] = begin(t, &c[i], (uint8_t)(1 + i % CLIENTS), at(0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(s[i]);
		for (unsigned n = 0; n < SEEN; n++) { // two epochs, with every second sequence
			if (n == SEEN / 2) {
				old[i] = c[i];
				client_next_epoch(&c[i]);
			}
			client_seal(&c[i], seen[i][n], MESSAGE, 2 * n + 2);
			memcpy(data[0], seen[i][n], MESSAGE);
			burst[0] = (struct pe_sealed){
				.data = data[0], .bytes = MESSAGE, .peer = &peer};
			pe_unseal_burst(t, seal, burst, 1, at(n < SEEN / 2 ? 0 : 10000));
			CU_ASSERT_EQUAL(burst[0].verdict, PE_SESSION_OK);
		}
		copy[i] = *s[i];
	}
	for (uint64_t done = 0; done < messages; done += PE_BURST_MAX) {
		bool restart = done / PE_BURST_MAX % 8 == 0;
		// Within the overlap of the epochs, and behind it.
		uint64_t now = done < messages / 2 ? 20000 : 50000;

		for (unsigned m = 0; m < PE_BURST_MAX; m++) {
			uint64_t x = testing_random(&seed), y = testing_random(&seed);
			unsigned i = x % SESSIONS, n = x / 64 % SEEN;
			struct client_side forger =
				c[(i + 1 + x / 8192 % (SESSIONS - 1)) % SESSIONS];
			uint64_t sequence = y / 65536 % (2 * SEEN + 40);

			memcpy(data[m], seen[i][n], MESSAGE);
			burst[m] = (struct pe_sealed){
				.data = data[m], .bytes = MESSAGE, .peer = &peer};
			if (restart) // as it was sent, to an engine that has started anew
				continue;
			switch (y % 8) {
			case 0: // repeated
				break;
			case 1: // a bit turned
				data[m][y / 8 % MESSAGE] ^= (uint8_t)(1u << y / 1024 % 8);
				break;
			case 2: // cut short
				burst[m].bytes = 80 + y / 8 % (MESSAGE - 80);
				break;
			case 3: // under a sequence that is free
				memcpy(data[m] + 8, &sequence, 8);
				break;
			case 4: // under another's id
				memcpy(data[m] + 24, &s[(i + 1) % SESSIONS]->id, 8);
				break;
			case 5: // another principal's keys, in the right epoch
				forger.grant.session_id = c[i].grant.session_id;
				client_seal(&forger, data[m], MESSAGE, sequence);
				break;
			case 6: // keys of an epoch under the number of another
				forger = y / 8 % 2 ? old[i] : c[i];
				forger.epoch ^= 1;
				client_seal(&forger, data[m], MESSAGE, 2 * SEEN + 3 + sequence);
				break;
			default: // anything, with an id that is there
				for (unsigned b = 0; b < MESSAGE; b++)
					data[m][b] = (uint8_t)(testing_random(&seed) >> 32);
				memcpy(data[m] + 25, (const uint8_t *)&s[i]->id + 1, 7);
			}
		}
		pe_unseal_burst(restart ? restarted : t, seal, burst, PE_BURST_MAX, at(now));
		for (unsigned m = 0; m < PE_BURST_MAX; m++)
			taken += burst[m].verdict == PE_SESSION_OK || burst[m].session;
	}
	CU_ASSERT_EQUAL(taken, 0);
	for (unsigned i = 0; i < SESSIONS; i++)
		changed += memcmp(&copy[i], s[i], sizeof copy[i]) != 0;
	CU_ASSERT_EQUAL(changed, 0);
	CU_ASSERT_EQUAL(pe_session_count(t), SESSIONS);
	// The true ones go on.
	for (unsigned i = 0; i < SESSIONS; i++) {
		client_seal(&c[i], data[0], MESSAGE, 2 * SEEN + 1);
		burst[0] = (struct pe_sealed){.data = data[0], .bytes = MESSAGE, .peer = &peer};
		pe_unseal_burst(t, seal, burst, 1, at(50000));
		CU_ASSERT_EQUAL(burst[0].verdict, PE_SESSION_OK);
	}
	pe_session_table_destroy(t);
	pe_session_table_destroy(restarted);
}

int main(void)
{
	static const struct testing_case cases[] = {{"shape", test_shape},
		{"against a model", test_model}, {"ended inside of a burst", test_ended_inside},
		{"attack", test_attack}};
	static const char *const names[] = {"a.key", NULL};
	static char text[2048];
	struct pe_error error;
	size_t n;
	int result;

	if (pe_secret_start(&error) != PE_OK)
		testing_skip(error.text);
	if (pe_seal_create(PE_SEAL_BEST, &seal, &error) != PE_OK)
		return EXIT_FAILURE;
	keyring_files_make();
	keyring_file("a.key", "1111111111111111111111111111111111111111111111111111111111111101\n",
		0600);
	n = (size_t)snprintf(
		text, sizeof text, "engine: {keys: [{secret_file: a.key}]}\nprincipals:\n");
	for (unsigned i = 1; i <= CLIENTS; i++) {
		struct client_side c;
		char digits[66];

		client_make(&c, seal, (uint8_t)i, engine_public);
		keyring_hex_of(c.public, digits);
		n += (size_t)snprintf(text + n, sizeof text - n,
			"  - {id: 00000000-0000-4000-8000-%012u, keys: [{public_key: \"%s\"}]}\n",
			i, digits);
	}
	if (pe_keyring_load_text("k", keyring_folder, text, n, &keyring, &error) != PE_OK) {
		printf("%s\n", error.text);
		return EXIT_FAILURE;
	}
	result = testing_main("guard-unseal", cases, sizeof cases / sizeof cases[0]);
	pe_keyring_destroy(keyring);
	pe_seal_destroy(seal);
	keyring_files_remove(names);
	return result;
}
