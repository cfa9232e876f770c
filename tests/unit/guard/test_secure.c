// libpresence's sessions against the gate, in one process: the client's transport over a link that
// loses, repeats and delays what it carries, so that requests are repeated under other sequences;
// epochs; and an engine that is started again.
#include "client/secure.h"
#include "client/watch.h"
#include "dataplane/guard/roster.h"
#include "tests/gated.h"
#include "tests/testing.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUEUE 64u

static struct gated g;
static const struct pe_peer home = {.address = {[10] = 0xFF, [11] = 0xFF, [15] = 8}, .port = 4000};
static struct pe_peer from; // where the client's datagrams come from, as the engine sees it

// The link: what the client sends goes through a turn of the engine at once; what comes back waits
// here.
static struct {
	unsigned lose, repeat; // one of so many; 0 = none
	unsigned carried;
	bool down;
	unsigned knocks;    // that were carried
	uint16_t flags_set; // of what comes back, by somebody on the way
	unsigned count;
	uint32_t bytes[QUEUE];
	uint8_t data[QUEUE][PE_WIRE_BYTES_MAX];
} wire;

static bool lost(void)
{
	return wire.down || (wire.lose && ++wire.carried % wire.lose == 0);
}

static int link_send(void *context, const struct iovec *messages, unsigned count)
{
	(void)context;
	for (unsigned i = 0; i < count; i++) {
		if (lost())
			continue;
		wire.knocks += ((const uint8_t *)messages[i].iov_base)[1] == PE_TYPE_CONNECT;
		gated_send(&g, messages[i].iov_base, (uint32_t)messages[i].iov_len, &from);
		if (wire.repeat && wire.carried % wire.repeat == 0)
			gated_send(&g, messages[i].iov_base, (uint32_t)messages[i].iov_len, &from);
		g.h.now.wall_ms = (uint64_t)time(NULL) * 1000 + 500;
		gated_turn(&g);
		harness_control(&g.h);
		g.h.now.mono_ms++;
		for (unsigned r = 0; r < g.reply_count && wire.count < QUEUE; r++) {
			if (lost())
				continue;
			wire.bytes[wire.count] = g.replies[r].bytes;
			memcpy(wire.data[wire.count], g.replies[r].data, g.replies[r].bytes);
			wire.data[wire.count][3] |= (uint8_t)(wire.flags_set >> 8);
			wire.count++;
			// Twice: the client's window lets one of them in.
			if (wire.repeat && wire.count < QUEUE) {
				wire.bytes[wire.count] = g.replies[r].bytes;
				memcpy(wire.data[wire.count++], g.replies[r].data,
					g.replies[r].bytes);
			}
		}
	}
	return (int)count;
}

static int link_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	unsigned n = 0;

	(void)context;
	for (; n < count && n < wire.count; n++) {
		memcpy(messages[n].iov_base, wire.data[n], wire.bytes[n]);
		messages[n].iov_len = wire.bytes[n];
	}
	for (unsigned i = n; i < wire.count; i++) {
		memcpy(wire.data[i - n], wire.data[i], wire.bytes[i]);
		wire.bytes[i - n] = wire.bytes[i];
	}
	wire.count -= n;
	if (!n && timeout_ms > 0)
		usleep((useconds_t)(timeout_ms < 5 ? timeout_ms : 5) * 1000);
	return (int)n;
}

static int link_descriptor(const void *context)
{
	(void)context;
	return -1;
}

static void link_close(void *context)
{
	(void)context;
}

static const struct presence_transport link_transport = {.send = link_send,
	.receive = link_receive,
	.descriptor = link_descriptor,
	.close = link_close};

static char key_path[64], psk_path[64];

static void write_key(char path[64], const char *name, const uint8_t key[32])
{
	char text[65];
	FILE *out;

	snprintf(path, 64, "/tmp/presence-secure-%ld-%s", (long)getpid(), name);
	presence_key_print(key, text);
	out = fopen(path, "w");
	if (!out || fputs(text, out) < 0 || fclose(out) != 0 || chmod(path, 0600) != 0)
		exit(EXIT_FAILURE);
}

static struct presence_client *open_client(uint8_t level)
{
	struct client_side c = gated_client(&g, 1);
	struct presence_session session = {
		.key_file = key_path, .psk_file = psk_path, .level = level};
	struct presence_options options = {
		.session = &session, .timeout_ms = 60, .attempts = 16, .stream_id = 3};
	struct presence_client *client;
	char error[300] = "";
	void *secure;

	from = home;
	memcpy(session.engine_key, g.engine_public, 32);
	write_key(key_path, "key", c.secret);
	write_key(psk_path, "psk", c.psk);
	CU_ASSERT_EQUAL_FATAL(
		presence_secure_open(&link_transport, NULL, &options, &secure, error, sizeof error),
		PRESENCE_OK);
	CU_ASSERT_EQUAL_FATAL(
		presence_open_over(&presence_secure, secure, &options, &client), PRESENCE_OK);
	(void)unlink(key_path);
	(void)unlink(psk_path);
	return client;
}

// What the client counts is its own.
static void stop(void)
{
	g.h.sent_records = g.h.sent_queries = UINT32_MAX;
	gated_stop(&g);
}

static void everything(struct presence_client *client, unsigned rounds)
{
	static uint32_t sequence;

	for (unsigned round = 0; round < rounds; round++) {
		uint32_t i = ++sequence;
		struct presence_update u = {.id = {1},
			.sequence = i,
			.type = PRESENCE_MOBILE,
			.position = {i, 0, 0},
			.position_confidence = -1,
			.status_confidence = -1};
		struct presence_query q = {.volume = PRESENCE_SPHERE, .a = {i, 0, 0}, .b = {1}};
		struct presence_refusal refusal;
		struct presence_explanation told;
		struct presence_answer answer = {0};
		struct presence_ack ack;
		uint64_t us;

		CU_ASSERT_EQUAL(presence_publish(client, NULL, &u, 1, &ack, &refusal), PRESENCE_OK);
		CU_ASSERT(ack.status <= PRESENCE_ACCEPTED);
		CU_ASSERT_EQUAL(presence_query(client, NULL, &q, &answer), PRESENCE_OK);
		CU_ASSERT_EQUAL(answer.count, 1);
		presence_answer_free(&answer);
		CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
		CU_ASSERT_EQUAL(
			presence_explain(client, NULL, u.id, &q, &told, &refusal), PRESENCE_OK);
	}
}

static void test_plain(void)
{
	gated_start(&g, PE_SEAL_SIGN, NULL);
	for (uint8_t level = PRESENCE_SIGN; level <= PRESENCE_ENCRYPT; level++) {
		struct presence_client *client = open_client(level);

		everything(client, 5);
		CU_ASSERT_EQUAL(presence_traffic(client).retries, 0);
		CU_ASSERT_EQUAL(presence_traffic(client).unexpected, 0);
		presence_close(client);
		gated_turn(&g);
		CU_ASSERT_EQUAL(pe_gate_session_count(g.gate), 0); // it said that it goes
	}
	stop();
}

static void test_lossy(void)
{
	gated_start(&g, PE_SEAL_SIGN, NULL);
	for (uint8_t level = PRESENCE_SIGN; level <= PRESENCE_ENCRYPT; level++) {
		struct presence_client *client = open_client(level);

		wire.lose = 5;
		wire.repeat = 3;
		everything(client, 12);
		wire.lose = wire.repeat = 0;
		CU_ASSERT(presence_traffic(client).retries > 5);
		presence_close(client);
		gated_turn(&g);
	}
	// Each repeat of the client's was a message of its own; those of the link were not.
	CU_ASSERT(HARNESS_REASON(&g.h, session_replay) > 5);
	CU_ASSERT_EQUAL(HARNESS_REASON(&g.h, seal), 0);
	stop();
}

static void test_restart(void)
{
	struct presence_client *client;
	struct pe_error error;
	uint64_t us;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	client = open_client(PRESENCE_SIGN);
	everything(client, 1);
	// The same keys, and no session that it knows.
	pe_gate_destroy(g.gate);
	CU_ASSERT_EQUAL_FATAL(pe_gate_create(&g.config, g.keyring, &g.gate, &error), PE_OK);
	for (unsigned i = 0; i < 20; i++)
		if (presence_ping(client, &us) == PRESENCE_OK)
			break;
	CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, sessions_opened), 2);
	CU_ASSERT(HARNESS_REASON(&g.h, session) > 0);
	presence_close(client);
	gated_turn(&g);
	stop();
}

static void publish_12(struct presence_client *client)
{
	static uint32_t sequence;

	sequence++;
	for (uint32_t i = 0; i < 12; i++) {
		struct presence_update u = {.id = {2, (uint8_t)i},
			.sequence = sequence,
			.type = PRESENCE_MOBILE,
			.position = {500 + i, 0, 0},
			.position_confidence = -1,
			.status_confidence = -1};
		struct presence_refusal refusal;
		struct presence_ack ack;

		CU_ASSERT_EQUAL(presence_publish(client, NULL, &u, 1, &ack, &refusal), PRESENCE_OK);
	}
}

// How many of 12 entities come, and whether the answer was cut.
static unsigned asked(struct presence_client *client, bool *truncated)
{
	struct presence_query q = {.volume = PRESENCE_SPHERE, .a = {500, 0, 0}, .radius_m = 200};
	struct presence_answer answer = {0};
	unsigned count;

	CU_ASSERT_EQUAL(presence_query(client, NULL, &q, &answer), PRESENCE_OK);
	count = answer.count;
	*truncated = answer.truncated;
	presence_answer_free(&answer);
	return count;
}

// Its address changes behind a NAT, which it doesn't see: the engine says so with the next answer,
// and after a cookie from there answers are as long as they were.
static void test_moves(void)
{
	gated_start(&g, PE_SEAL_SIGN, NULL);
	for (uint8_t level = PRESENCE_SIGN; level <= PRESENCE_ENCRYPT; level++) {
		struct presence_client *client = open_client(level);
		unsigned opened = (unsigned)HARNESS_COUNTER(&g.h, sessions_opened);
		unsigned moves = level == PRESENCE_SIGN ? 2 : 1;
		bool truncated;
		uint64_t us;

		publish_12(client);
		CU_ASSERT_EQUAL(asked(client, &truncated), 12);
		wire.knocks = 0;
		CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
		CU_ASSERT_EQUAL(wire.knocks, 0);
		for (unsigned move = 1; move <= moves; move++) {
			from.port = (uint16_t)(4000 + 7 * move);
			from.address[15] = (uint8_t)(8 + move % 2);
			// The first is still held to the length of its request.
			CU_ASSERT(asked(client, &truncated) < 12);
			CU_ASSERT(truncated);
			CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
			CU_ASSERT_EQUAL(wire.knocks, move);
			CU_ASSERT_EQUAL(asked(client, &truncated), 12);
			CU_ASSERT_FALSE(truncated);
			// It isn't shown twice, nor more than once a second.
			CU_ASSERT_EQUAL(wire.knocks, move);
			usleep(1050000);
		}
		// A PONG says so, too.
		from.port = 4999;
		CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
		CU_ASSERT_EQUAL(wire.knocks, moves + 1);
		CU_ASSERT_EQUAL(presence_traffic(client).unexpected, 0);
		CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, sessions_opened), opened);
		presence_close(client);
		gated_turn(&g);
		CU_ASSERT_EQUAL(pe_gate_session_count(g.gate), 0);
	}
	CU_ASSERT_EQUAL(HARNESS_REASON(&g.h, seal), 0);
	stop();
}

// Knocks and cookies that are lost are asked for again; who alters the word of the engine alters a
// sealed message.
static void test_moves_badly(void)
{
	struct presence_client *client;
	bool truncated;
	uint64_t us;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	client = open_client(PRESENCE_SIGN);
	publish_12(client);
	wire.knocks = 0;
	wire.flags_set = PE_FLAG_UNPROVED;
	CU_ASSERT_NOT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
	wire.flags_set = 0;
	CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_OK);
	CU_ASSERT_EQUAL(wire.knocks, 0);
	from.port = 4123;
	(void)asked(client, &truncated);
	CU_ASSERT(truncated);
	wire.lose = 3;
	for (unsigned i = 0; i < 300; i++) {
		(void)asked(client, &truncated);
		if (!truncated)
			break;
		usleep(20000);
	}
	wire.lose = 0;
	CU_ASSERT(wire.knocks >= 1);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&g.h, sessions_opened), 1);
	presence_close(client);
	gated_turn(&g);
	stop();
}

static void test_wrong(void)
{
	struct client_side c;
	struct presence_session session = {.key_file = key_path};
	struct presence_options options = {.session = &session, .timeout_ms = 50, .attempts = 2};
	uint8_t read[32], low[32] = {1};
	char error[300], text[65];
	void *secure;

	from = home;
	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	memcpy(session.engine_key, g.engine_public, 32);
	write_key(key_path, "key", c.secret);
	// Without the pre-shared key the welcome cannot be opened.
	CU_ASSERT_EQUAL(
		presence_secure_open(&link_transport, NULL, &options, &secure, error, sizeof error),
		PRESENCE_TIMED_OUT);
	CU_ASSERT_PTR_NULL(secure);
	// A point of small order.
	memcpy(session.engine_key, low, 32);
	CU_ASSERT_EQUAL(
		presence_secure_open(&link_transport, NULL, &options, &secure, error, sizeof error),
		PRESENCE_BAD_ARGUMENT);
	memcpy(session.engine_key, g.engine_public, 32);
	session.level = 3;
	CU_ASSERT_EQUAL(
		presence_secure_open(&link_transport, NULL, &options, &secure, error, sizeof error),
		PRESENCE_BAD_ARGUMENT);
	session.level = 0;
	CU_ASSERT(presence_key_read(key_path, read, error, sizeof error));
	CU_ASSERT_EQUAL(memcmp(read, c.secret, 32), 0);
	(void)chmod(key_path, 0604);
	CU_ASSERT_EQUAL(
		presence_secure_open(&link_transport, NULL, &options, &secure, error, sizeof error),
		PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_FALSE(presence_key_read(key_path, read, error, sizeof error));
	(void)unlink(key_path);
	CU_ASSERT_FALSE(presence_key_read(key_path, read, error, sizeof error));
	CU_ASSERT_FALSE(presence_key_read("/tmp", read, error, sizeof error));
	CU_ASSERT_FALSE(presence_key_read(NULL, read, error, sizeof error));
	presence_key_print(c.secret, text);
	CU_ASSERT(presence_key_parse(text, read));
	text[63] = '\0';
	CU_ASSERT_FALSE(presence_key_parse(text, read));
	memset(text, 'g', 64);
	CU_ASSERT_FALSE(presence_key_parse(text, read));
	CU_ASSERT_FALSE(presence_key_parse("", read));
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {{"everything, at both levels", test_plain},
		{"losses and repeats", test_lossy},
		{"an engine that was started again", test_restart}, {"another address", test_moves},
		{"another address, lossy", test_moves_badly}, {"what does not open", test_wrong}};

	harness_failed = testing_failed;
	return testing_main("client-secure", cases, sizeof cases / sizeof cases[0]);
}
