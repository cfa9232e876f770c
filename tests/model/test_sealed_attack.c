// Ten million packets of somebody who can read, keep, alter, repeat and invent everything on the
// wire but has no key of a session: not one of them is taken, and what the engine and its gate know
// is, byte for byte, what it was before. Among them every replay distance around the edges of the
// window, every bit of messages at both levels, every length, other principals' keys, other levels,
// the engine's own messages sent back, epochs that are over or not begun, sessions that have ended,
// and those of an engine that was started again. Then the honest messages of all sessions still
// pass. The seed is printed; PE_TEST_SEED sets it.
#include "internal.h"

#include "dataplane/guard/roster.h"
#include "tests/gated.h"
#include "tests/testing.h"

#include <inttypes.h>
#include <time.h>

#define PACKETS  10000000u
#define SESSIONS 4u // of clients 1 to 3, the first twice
#define RECORDED 4096u
// bytes of a recorded message: an update of one record with its acknowledgement
#define RECORD 208u

struct victim {
	struct client_side c;
	struct pe_peer from;
	uint8_t (*recorded)[RECORD]; // by sequence % RECORDED
	uint32_t bytes;
	uint8_t fresh[RECORD];  // sealed rightly, and never sent as it is
	uint8_t answer[RECORD]; // the engine's
	uint32_t answer_bytes;
};

static struct gated g;

static struct victim victims[SESSIONS];
static struct client_side dead, restarted;
static uint8_t of_epoch[2][RECORD]; // over; ahead
static uint8_t of_dead[RECORD], of_restarted[RECORD];
static uint32_t of_dead_bytes, of_restarted_bytes;
static struct pe_wire_connect hello; // right, from victim 0's address
static uint64_t seed, sent;

static uint64_t below(uint64_t n)
{
	return testing_random(&seed) % n;
}

// ---- what must not change ----

static uint64_t mix(uint64_t digest, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < bytes; i++)
		digest = (digest ^ at[i]) * 0x100000001B3u;
	return digest;
}

static uint64_t digest_now(void)
{
	const struct pe_engine *e = g.h.engine;
	uint64_t digest = 0xCBF29CE484222325u, v[PE_COUNTER_COUNT];

	for (unsigned i = 0; i < SESSIONS; i++)
		digest = mix(digest, pe_session_find(g.gate->table, victims[i].c.grant.session_id),
			sizeof(struct pe_session));
	digest = mix(digest, g.gate->kept, g.config.link_count_max * sizeof *g.gate->kept);
	digest = mix(digest, &g.gate->leaving_count, sizeof g.gate->leaving_count);
	for (uint32_t i = 0; i < e->config.entity_count_max; i++)
		digest = mix(digest, &e->table.records[i], sizeof e->table.records[i]);
	pe_engine_counters(e, v);
	for (unsigned i = 0; i < PE_COUNTER_NAMED_COUNT; i++)
		if (i != PE_COUNTER_rx_packets && i != PE_COUNTER_rx_bytes &&
			i != PE_COUNTER_tx_packets && i != PE_COUNTER_tx_bytes &&
			i != PE_COUNTER_turns && i != PE_COUNTER_turns_idle &&
			i != PE_COUNTER_carried_session)
			digest = mix(digest, &v[i], sizeof v[i]);
	return digest;
}

static void expect_refused(const char *what, uint64_t before)
{
	static uint64_t last;
	uint64_t now = digest_now();

	printf("    %-52s %9" PRIu64 " packets\n", what, sent - last);
	last = sent;
	CU_ASSERT_EQUAL_FATAL(now, before);
}

// ---- packets ----

static void flush(void)
{
	if (!g.count)
		return;
	sent += g.count;
	gated_turn(&g);
}

static void put(const void *data, uint32_t bytes, const struct pe_peer *from)
{
	gated_send(&g, data, bytes, from);
	if (g.count == PE_BURST_MAX)
		flush();
}

static struct pe_peer anybody(void)
{
	return gated_peer((unsigned)below(256), (uint16_t)(1 + below(60000)), below(2));
}

// From where the session is, or from anywhere.
static struct pe_peer somewhere(const struct victim *v)
{
	return below(2) ? v->from : anybody();
}

static uint32_t queue_update(uint64_t n, uint32_t sequence)
{
	struct pe_wire_update u = harness_update(n, sequence, (double)n, 0, 0);

	(void)harness_queue_updates(&g.h, 0, HARNESS_INCARNATION, &u, 1, true);
	return g.h.queue[g.h.queue_count - 1].bytes;
}

// Honest traffic: as many messages as are recorded, so that there is a window full of sequences
// that were taken.
static void record(struct victim *v, uint64_t n)
{
	for (unsigned i = 0; i < RECORDED; i++) {
		uint64_t sequence = v->c.sequence + 1;

		(void)queue_update(n, i + 1);
		v->bytes = gated_send_sealed(&g, &v->c, &v->from, v->recorded[sequence % RECORDED]);
		if (g.count == 32 || i + 1 == RECORDED) {
			gated_turn(&g);
			CU_ASSERT_FATAL(g.reply_count > 0);
			v->answer_bytes = g.replies[0].bytes;
			CU_ASSERT_FATAL(v->answer_bytes <= RECORD);
			memcpy(v->answer, g.replies[0].data, v->answer_bytes);
		}
	}
	(void)queue_update(n, RECORDED + 1);
	(void)gated_send_sealed(&g, &v->c, &v->from, v->fresh);
	g.count = 0;
	v->c.sequence--;
}

static void one_message(struct client_side *c, uint8_t *copy, uint32_t *bytes)
{
	unsigned count = g.count;

	(void)queue_update(77, 1);
	*bytes = gated_send_sealed(&g, c, &victims[0].from, copy);
	g.count = count; // not sent
}

static void set_up(void)
{
	struct pe_wire_connect m;
	struct pe_wire_cookie cookie;
	struct client_side early;
	struct pe_gate *living;
	uint32_t bytes;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct victim *v = &victims[i];

		v->c = gated_client(&g, (uint8_t)(1 + i % 3));
		v->from = gated_peer(1 + i, (uint16_t)(5000 + i), false);
		v->recorded = calloc(RECORDED, RECORD);
		CU_ASSERT_PTR_NOT_NULL_FATAL(v->recorded);
		CU_ASSERT_FATAL(
			gated_open(&g, &v->c, &v->from, i % 2 ? PE_SEAL_ENCRYPT : PE_SEAL_SIGN));
		(void)queue_update(50 + i, 1);
		(void)gated_send_sealed(&g, &v->c, &v->from, NULL);
		gated_turn(&g);
	}
	// The first one's epoch 0 is over when all begins, and its next is not begun.
	early = victims[0].c;
	g.h.now.mono_ms += PE_SESSION_EPOCH_MIN_MS;
	client_next_epoch(&victims[0].c);
	for (unsigned i = 0; i < SESSIONS; i++)
		record(&victims[i], 100 + i);
	g.h.now.mono_ms += PE_SESSION_EPOCH_OVERLAP_MS;
	for (unsigned i = 0; i < SESSIONS; i++)
		record(&victims[i], 200 + i);
	early.sequence = victims[0].c.sequence + 100;
	one_message(&early, of_epoch[0], &bytes);
	early = victims[0].c;
	early.sequence += 100;
	client_next_epoch(&early);
	client_next_epoch(&early);
	one_message(&early, of_epoch[1], &bytes);
	// A session that has ended.
	dead = gated_client(&g, 2);
	CU_ASSERT_FATAL(gated_open(&g, &dead, &victims[0].from, PE_SEAL_SIGN));
	one_message(&dead, of_dead, &of_dead_bytes);
	pe_session_end(g.gate->table, pe_session_find(g.gate->table, dead.grant.session_id));
	// One of the engine before it was started again: another gate, with other ids.
	{
		struct pe_error error;

		living = g.gate;
		CU_ASSERT_EQUAL_FATAL(pe_gate_create(&g.config, g.keyring, &g.gate, &error), PE_OK);
		restarted = gated_client(&g, 1);
		CU_ASSERT_FATAL(gated_open(&g, &restarted, &victims[0].from, PE_SEAL_ENCRYPT));
		one_message(&restarted, of_restarted, &of_restarted_bytes);
		pe_gate_destroy(g.gate);
		g.gate = living;
	}
	m = client_knock(&victims[0].c, 1);
	gated_send(&g, &m, sizeof m, &victims[0].from);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
	memcpy(&cookie, g.replies[0].data, sizeof cookie);
	hello = client_hello(&victims[0].c, 2, cookie.cookie, PE_SEAL_SIGN);
}

// ---- the attacks ----

// Each message that was taken again, and so every distance from 0 to far behind the window.
static void replays(void)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct victim *v = &victims[i];

		for (uint64_t back = 0; back < RECORDED; back++) {
			struct pe_peer from = somewhere(v);

			put(v->recorded[(v->c.sequence - back) % RECORDED], v->bytes, &from);
		}
	}
}

// At each distance around the window's edges, and at the ends of the numbers, sequences that nobody
// sealed, on bytes that somebody did.
static void sequences(void)
{
	static const int64_t edges[] = {
		0, PE_REPLAY_WINDOW - 64, PE_REPLAY_WINDOW, PE_REPLAY_WINDOW + 64, 2048, 1024};
	static const uint64_t ends[] = {0, 1, 1ull << 32, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
	uint8_t copy[RECORD];

	for (unsigned i = 0; i < SESSIONS; i++) {
		struct victim *v = &victims[i];

		for (unsigned e = 0; e < sizeof edges / sizeof edges[0]; e++)
			for (int64_t around = -70; around <= 70; around++) {
				uint64_t at = v->c.sequence - (uint64_t)(edges[e] + around);

				memcpy(copy, v->fresh, v->bytes);
				if (at == v->c.sequence + 1)
					continue; // that is the honest one
				memcpy(copy + 8, &at, 8);
				put(copy, v->bytes, &v->from);
			}
		for (unsigned e = 0; e < sizeof ends / sizeof ends[0]; e++) {
			memcpy(copy, v->fresh, v->bytes);
			memcpy(copy + 8, &ends[e], 8);
			put(copy, v->bytes, &v->from);
		}
	}
}

static void flips(void)
{
	for (unsigned i = 0; i < SESSIONS; i++) {
		struct victim *v = &victims[i];

		for (unsigned bit = 0; bit < v->bytes * 8; bit++) {
			struct pe_peer from = somewhere(v);
			uint8_t copy[RECORD];

			memcpy(copy, v->fresh, v->bytes);
			copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
			put(copy, v->bytes, &from);
		}
	}
}

static void lengths(void)
{
	static uint8_t copy[PE_WIRE_BYTES_MAX];

	for (unsigned i = 0; i < SESSIONS; i++) {
		struct victim *v = &victims[i];

		memset(copy, 0, sizeof copy);
		memcpy(copy, v->fresh, v->bytes);
		for (uint32_t bytes = 0; bytes <= PE_WIRE_BYTES_MAX; bytes += bytes < 400 ? 1 : 37)
			if (bytes != v->bytes)
				put(copy, bytes, &v->from);
	}
}

// A session's id on what another session's keys have sealed, at either level, and on what the
// engine has sealed.
static void strange_keys(void)
{
	uint8_t copy[RECORD];
	uint32_t bytes;

	for (unsigned i = 0; i < SESSIONS; i++)
		for (unsigned j = 0; j < SESSIONS; j++)
			for (uint8_t level = PE_SEAL_SIGN; level <= PE_SEAL_ENCRYPT; level++) {
				struct client_side c = victims[j].c;

				if (i == j && level == c.grant.level)
					continue;
				c.grant.session_id = victims[i].c.grant.session_id;
				c.epoch = victims[i].c.epoch;
				c.grant.level = level;
				c.sequence = victims[i].c.sequence + below(1000);
				one_message(&c, copy, &bytes);
				put(copy, bytes, &victims[i].from);
			}
	for (unsigned i = 0; i < SESSIONS; i++) {
		uint64_t ahead = victims[i].c.sequence + 1;

		put(victims[i].answer, victims[i].answer_bytes, &victims[i].from);
		memcpy(copy, victims[i].answer, victims[i].answer_bytes);
		memcpy(copy + 8, &ahead, 8);
		put(copy, victims[i].answer_bytes, &victims[i].from);
	}
}

static void old_ones(void)
{
	put(of_epoch[0], victims[0].bytes, &victims[0].from);
	put(of_epoch[1], victims[0].bytes, &victims[0].from);
	put(of_dead, of_dead_bytes, &victims[0].from);
	put(of_restarted, of_restarted_bytes, &victims[0].from);
	for (unsigned i = 0; i < SESSIONS; i++)
		for (unsigned epoch = 0; epoch < 256; epoch++) {
			uint8_t copy[RECORD];

			if (epoch == (victims[i].c.epoch & 0xFF))
				continue;
			memcpy(copy, victims[i].fresh, victims[i].bytes);
			copy[24] = (uint8_t)epoch;
			put(copy, victims[i].bytes, &victims[i].from);
		}
}

// Not in a session: refused, whoever sends it.
static void bare(void)
{
	for (unsigned i = 0; i < 64; i++) {
		struct pe_peer from = anybody();

		(void)queue_update(1000 + i, 1);
		put(g.h.queue[0].data, g.h.queue[0].bytes, &from);
		free(g.h.queue[0].data);
		g.h.queue_count = 0;
		g.h.sent_packets--;
	}
}

// Handshakes: a right HELLO from elsewhere, altered ones, and those of strangers, most of which
// cost the engine public-key work.
static void handshakes(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_connect m = hello;
		struct pe_peer from = victims[0].from;

		switch (i % 4) {
		case 0: // another place than the cookie's
			from.port++;
			break;
		case 1:
			((uint8_t *)&m)[below(sizeof m)] ^= (uint8_t)(1u << below(8));
			break;
		case 2: // altered, with a MAC that is right again
			m.noise[below(128)] ^= (uint8_t)(1u << below(8));
			client_mac(&victims[0].c, &m);
			break;
		default:
			m.step = (uint8_t)below(256) & ~3u;
			break;
		}
		put(&m, sizeof m, &from);
	}
}

// Everything in between: a message of somebody, of which something is altered, or the start is kept
// and the rest invented.
static void random_ones(uint64_t count)
{
	uint8_t copy[RECORD];

	for (uint64_t i = 0; i < count; i++) {
		const struct victim *v = &victims[below(SESSIONS)];
		uint64_t r = testing_random(&seed);
		uint32_t bytes = v->bytes;
		struct pe_peer from = somewhere(v);

		memcpy(copy, r & 1 ? v->fresh : v->recorded[below(RECORDED)], bytes);
		switch (r >> 1 & 7) {
		case 0: // invented but for the session's name
			for (uint32_t at = 32; at + 8 <= bytes; at += 8) {
				uint64_t word = testing_random(&seed);

				memcpy(copy + at, &word, 8);
			}
			break;
		case 1: // a session that is invented
			for (uint32_t at = 25; at < 32; at++)
				copy[at] = (uint8_t)below(256);
			break;
		case 2: // a sequence ahead, or behind
		{
			uint64_t at = v->c.sequence - 3000 + below(6000);

			if (at == v->c.sequence + 1)
				at++;
			memcpy(copy + 8, &at, 8);
			break;
		}
		case 3: // cut
			bytes = (uint32_t)below(bytes);
			break;
		case 4: // two messages' halves
			memcpy(copy + 80, victims[below(SESSIONS)].fresh + 80, 32);
			copy[100 + below(40)] ^= 1;
			break;
		case 5: // a tag, drawn
			for (unsigned at = 64; at < 80; at++)
				copy[at] = (uint8_t)below(256);
			break;
		default: { // a bit or some
			unsigned flips = 1 + (unsigned)below(4);
			uint32_t at[4];

			for (unsigned f = 0; f < flips; f++) {
				at[f] = (uint32_t)below(bytes * 8);
				copy[at[f] / 8] ^= (uint8_t)(1u << at[f] % 8);
			}
			// Two that fell on one bit have undone each other.
			if (flips > 1 &&
				(flips == 4 || at[0] == at[1] || at[1] == at[flips - 1] ||
					at[0] == at[flips - 1]))
				copy[90] ^= 0xFF, copy[91] ^= 0x0F;
			break;
		}
		}
		put(copy, bytes, &from);
	}
}

static void test_all(void)
{
	const uint64_t amount = testing_amount(PACKETS);
	uint64_t before, opened, records, sessions;

	set_up();
	before = digest_now();
	opened = HARNESS_COUNTER(&g.h, messages_opened);
	records = HARNESS_COUNTER(&g.h, records_carried);
	sessions = HARNESS_COUNTER(&g.h, sessions_opened);
	printf("\n");
	replays();
	flush();
	expect_refused("each message again, to far behind the window", before);
	sequences();
	flush();
	expect_refused("sequences around the window's edges, never sealed", before);
	flips();
	flush();
	expect_refused("each bit of messages never sent", before);
	lengths();
	flush();
	expect_refused("each length", before);
	strange_keys();
	flush();
	expect_refused("others' keys, other levels, the engine's messages", before);
	old_ones();
	flush();
	expect_refused("epochs, ended sessions, the engine before", before);
	bare();
	flush();
	expect_refused("without a session", before);
	handshakes((unsigned)testing_amount(4000));
	flush();
	while (pe_gate_waiting(g.gate))
		gated_turn(&g);
	expect_refused("handshakes", before);
	while (sent < amount) {
		random_ones(amount - sent < 1000000 ? amount - sent : 1000000);
		flush();
		expect_refused("at random", before);
	}
	CU_ASSERT(sent >= amount);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, messages_opened), opened);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, records_carried), records);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, sessions_opened), sessions);
	// And the honest ones pass.
	for (unsigned i = 0; i < SESSIONS; i++) {
		victims[i].c.sequence++;
		put(victims[i].fresh, victims[i].bytes, &victims[i].from);
		flush();
		CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
		CU_ASSERT(gated_opens(&g, &victims[i].c, 0));
		free(victims[i].recorded);
	}
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, messages_opened), opened + SESSIONS);
	gated_stop(&g);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"ten million packets, none of them taken", test_all}};
	const char *given = getenv("PE_TEST_SEED");

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	harness_failed = testing_failed;
	printf("seed %" PRIu64 "\n", seed);
	return testing_main("sealed-attack", cases, 1);
}
