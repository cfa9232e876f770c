// The gate between sources and engine: what passes and as whom, what goes back and where to, and
// every refusal with its reason.
#include "dataplane/guard/roster.h"
#include "tests/gated.h"
#include "tests/testing.h"
#include "tests/watching.h"

static struct gated g;

#define REASON(name)  HARNESS_REASON(&g.h, name)
#define COUNTER(name) HARNESS_COUNTER(&g.h, name)

static void ping(uint64_t mark)
{
	uint8_t buffer[128];
	struct pe_wire_header header = harness_header(&g.h, 0, 0);
	struct pe_wire_ping p = {{mark, 5}};

	harness_queue(&g.h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &p));
}

static uint64_t pong_mark(const struct gated_reply *r)
{
	uint64_t mark = 0;

	if (r->bytes == 96 && r->data[1] == PE_TYPE_PONG)
		memcpy(&mark, r->data + 80, sizeof mark);
	return mark;
}

// A sealed PING, answered to where it came from.
static bool answers(struct client_side *c, const struct pe_peer *from)
{
	static uint64_t mark = 1000;

	ping(++mark);
	(void)gated_send_sealed(&g, c, from, NULL);
	gated_turn(&g);
	return g.reply_count == 1 && gate_same_place(&g.replies[0].to, from) &&
		gated_opens(&g, c, 0) && pong_mark(&g.replies[0]) == mark;
}

static void test_opens(void)
{
	struct pe_peer p = gated_peer(1, 4000, false);

	gated_start(&g, PE_SEAL_SIGN, NULL);
	for (uint8_t n = 1; n <= 3; n++)
		for (uint8_t level = PE_SEAL_SIGN; level <= PE_SEAL_ENCRYPT; level++) {
			struct client_side c = gated_client(&g, n);
			struct pe_wire_update u = harness_update(n, level, n * 10.0, 0, 0);
			struct pe_wire_ack_record ack;
			struct pe_wire_view view;

			CU_ASSERT_FATAL(gated_open(&g, &c, &p, level));
			CU_ASSERT_EQUAL(c.grant.level, n == 3 ? PE_SEAL_ENCRYPT : level);
			CU_ASSERT(answers(&c, &p));
			(void)harness_queue_updates(&g.h, 0, HARNESS_INCARNATION, &u, 1, true);
			(void)gated_send_sealed(&g, &c, &p, NULL);
			gated_turn(&g);
			CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
			CU_ASSERT_FATAL(gated_opens(&g, &c, 0));
			// As outside of a session but for what the session has set.
			memset(g.replies[0].data + 24, 0, 8);
			CU_ASSERT_EQUAL_FATAL(
				pe_wire_check_reply(g.replies[0].data, g.replies[0].bytes, &view),
				PE_REASON_none);
			CU_ASSERT_EQUAL(view.body.ack.request_sequence, c.sequence);
			pe_wire_get_ack(&view, 0, &ack);
			CU_ASSERT_EQUAL(ack.status, PE_ACK_APPLIED);
		}
	CU_ASSERT_EQUAL(COUNTER(sessions_opened), 6);
	CU_ASSERT_EQUAL(pe_gate_session_count(g.gate), 6);
	CU_ASSERT_EQUAL(COUNTER(carried_session), 12);
	CU_ASSERT_EQUAL(COUNTER(messages_opened), 12);
	CU_ASSERT_EQUAL(COUNTER(messages_sealed), 12);
	gated_stop(&g);
}

static void test_repeat(void)
{
	struct pe_peer p = gated_peer(1, 4000, true);
	struct client_side c;
	uint8_t message[PE_WIRE_BYTES_MAX], altered[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &p, PE_SEAL_ENCRYPT));
	ping(1);
	bytes = gated_send_sealed(&g, &c, &p, message);
	gated_send(&g, message, bytes, &p); // in the same burst
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 1);
	gated_send(&g, message, bytes, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 0);
	CU_ASSERT_EQUAL(REASON(session_replay), 2);
	// Every bit of one that would have been taken.
	ping(2);
	bytes = gated_send_sealed(&g, &c, &p, message);
	g.count = 0;
	for (unsigned bit = 0; bit < bytes * 8; bit++) {
		memcpy(altered, message, bytes);
		altered[bit / 8] ^= (uint8_t)(1u << bit % 8);
		gated_send(&g, altered, bytes, &p);
		gated_turn(&g);
		CU_ASSERT_EQUAL(g.reply_count, 0);
	}
	CU_ASSERT_EQUAL(COUNTER(messages_opened), 1);
	CU_ASSERT(REASON(seal) > 300);
	CU_ASSERT_EQUAL(REASON(version), 8);
	CU_ASSERT(REASON(session) > 0);
	CU_ASSERT(REASON(session_epoch) > 0);
	gated_send(&g, message, bytes, &p); // and it is taken still
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 1);
	// Nothing but a header, and less.
	gated_send(&g, message, 79, &p);
	gated_send(&g, message, 80, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(short_header), 1);
	CU_ASSERT_EQUAL(g.reply_count, 0);
	gated_stop(&g);
}

static void test_demands(void)
{
	struct pe_peer trusted = gated_peer(1, 4000, true), other = gated_peer(2, 4000, false),
		       known = gated_peer(3, 4000, false);
	struct client_side c;

	// A source that knows who speaks, as rings do.
	known.principal = 5;
	gated_start(&g, 0, NULL);
	ping(1);
	gated_send(&g, g.h.queue[0].data, g.h.queue[0].bytes, &trusted);
	gated_send(&g, g.h.queue[0].data, g.h.queue[0].bytes, &other);
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 1);
	CU_ASSERT_EQUAL(pong_mark(&g.replies[0]), 1); // not sealed
	CU_ASSERT_EQUAL(REASON(unsealed), 1);
	g.reply_count = 0;
	g.known = known.principal;
	gated_send(&g, g.h.queue[0].data, g.h.queue[0].bytes, &known);
	gated_turn(&g);
	g.known = 0;
	CU_ASSERT_EQUAL(g.reply_count, 1);
	CU_ASSERT_EQUAL(REASON(unsealed), 1);
	c = gated_client(&g, 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &other, PE_SEAL_SIGN));
	CU_ASSERT(answers(&c, &other));
	// What was queued in the harness was sent from here.
	free(g.h.queue[0].data);
	g.h.queue_count = 0;
	g.h.sent_packets--;
	gated_stop(&g);

	gated_start(&g, PE_SEAL_ENCRYPT, NULL);
	c = gated_client(&g, 1);
	ping(2);
	gated_send(&g, g.h.queue[0].data, g.h.queue[0].bytes, &trusted);
	gated_send(&g, g.h.queue[0].data, g.h.queue[0].bytes, &known);
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 0);
	CU_ASSERT_EQUAL(REASON(unsealed), 2);
	CU_ASSERT_FATAL(gated_open(&g, &c, &trusted, PE_SEAL_SIGN));
	CU_ASSERT_FALSE(answers(&c, &trusted));
	CU_ASSERT_EQUAL(REASON(seal_level), 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &trusted, PE_SEAL_ENCRYPT));
	CU_ASSERT(answers(&c, &trusted));
	free(g.h.queue[0].data);
	g.h.queue_count = 0;
	g.h.sent_packets--;
	gated_stop(&g);
}

static bool told_unproved; // by the last answer: that nobody has shown to receive there

// What the engine is told of who speaks: by a sealed query that would be answered at length.
static uint32_t asked_at_length(struct client_side *c, const struct pe_peer *from)
{
	struct pe_wire_query q = {.query_id = 1, .kind = PE_QUERY_SPHERE, .b = {1000}};

	(void)harness_queue_queries(&g.h, 0, &q, 1);
	(void)gated_send_sealed(&g, c, from, NULL);
	gated_turn(&g);
	told_unproved = g.replies[0].data[3] == PE_FLAG_UNPROVED >> 8;
	return g.reply_count == 1 && gated_opens(&g, c, 0) ? g.replies[0].bytes : 0;
}

static void test_moves(void)
{
	struct pe_peer home = gated_peer(1, 4000, false), away = gated_peer(9, 4009, false);
	struct client_side c, poor;
	struct pe_wire_update u[16];
	struct pe_wire_connect knock;
	struct pe_wire_cookie cookie;
	uint8_t old[PE_WIRE_BYTES_MAX], buffer[128];
	struct pe_wire_header header;
	struct pe_wire_ping p;
	uint32_t bytes, most;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	poor = gated_client(&g, 4);
	CU_ASSERT_FATAL(gated_open(&g, &c, &home, PE_SEAL_SIGN));
	CU_ASSERT_FATAL(gated_open(&g, &poor, &home, PE_SEAL_SIGN));
	for (unsigned i = 0; i < 16; i++)
		u[i] = harness_update(i + 1, 1, i, 0, 0);
	(void)harness_queue_updates(&g.h, 0, HARNESS_INCARNATION, u, 16, false);
	(void)gated_send_sealed(&g, &c, &home, NULL);
	gated_turn(&g);
	most = asked_at_length(&c, &home);
	CU_ASSERT(most > 1000);
	CU_ASSERT_FALSE(told_unproved);
	CU_ASSERT(asked_at_length(&poor, &home) <= 208); // it may ask for nothing
	CU_ASSERT_FALSE(told_unproved);
	ping(7);
	bytes = gated_send_sealed(&g, &c, &home, old); // held back on its way
	g.count = 0;
	// From another address: answered there, but at no greater length than it was asked.
	CU_ASSERT(answers(&c, &away));
	CU_ASSERT(asked_at_length(&c, &away) <= 208);
	CU_ASSERT(told_unproved);
	gated_send(&g, old, bytes, &home);
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 1); // late, and true
	CU_ASSERT(asked_at_length(&c, &away) <= 208);
	// Somebody else's cookie proves nothing, its own does.
	knock = client_knock(&c, 900);
	gated_send(&g, &knock, sizeof knock, &home);
	gated_send(&g, &knock, sizeof knock, &away);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 2);
	for (unsigned i = 0; i < 2; i++) {
		struct gated_reply r = g.replies[i];

		memcpy(&cookie, r.data, sizeof cookie);
		memcpy(&p, cookie.cookie, sizeof p);
		header = harness_header(&g.h, 0, 0);
		harness_queue(&g.h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &p));
		knock = client_knock(&c, 901);
		(void)gated_send_sealed(&g, &c, &away, NULL);
		gated_turn(&g);
		CU_ASSERT_EQUAL(g.reply_count, 1);
		CU_ASSERT_EQUAL(asked_at_length(&c, &away) == most, i == 1);
		CU_ASSERT_EQUAL(told_unproved, i == 0);
		gated_send(&g, &knock, sizeof knock, &away);
		gated_send(&g, &knock, sizeof knock, &away);
		gated_turn(&g);
	}
	gated_stop(&g);
}

static struct pe_wire_fence fence_everywhere(void)
{
	return watching_sphere(1, 0, 0, 0, 100);
}

static void subscribe(struct client_side *c, const struct pe_peer *from, uint32_t id)
{
	struct pe_wire_fence fence = fence_everywhere();
	struct watching w;

	watching_init(&w, &g.h, 0, id);
	watching_send(&w, PE_SUBSCRIBE_OPEN, &fence, 1, NULL, 0);
	(void)gated_send_sealed(&g, c, from, NULL);
	watching_free(&w);
	gated_turn(&g);
}

// Moves an entity in or out and lets the turns pass that tell of it; how many notices came for the
// client, at `to`.
static unsigned told(struct client_side *c, const struct pe_peer *to, uint32_t sequence, double x)
{
	struct client_side other = gated_client(&g, 2);
	struct pe_wire_update u = harness_update(1, sequence, x, 0, 0);
	struct pe_peer from = gated_peer(77, 1, false);
	unsigned notices = 0;

	CU_ASSERT_FATAL(gated_open(&g, &other, &from, PE_SEAL_SIGN));
	(void)harness_queue_updates(&g.h, 0, HARNESS_INCARNATION, &u, 1, false);
	(void)gated_send_sealed(&g, &other, &from, NULL);
	for (unsigned i = 0; i < 100; i++) {
		gated_turn(&g);
		for (unsigned r = 0; r < g.reply_count; r++)
			if (gate_same_place(&g.replies[r].to, to) && gated_opens(&g, c, r) &&
				g.replies[r].data[1] == PE_TYPE_NOTICE)
				notices++;
		harness_control(&g.h);
		g.h.now.mono_ms += 5;
		g.h.now.wall_ms += 5;
	}
	return notices;
}

static void test_notices(void)
{
	struct pe_peer home = gated_peer(1, 4000, false), away = gated_peer(9, 4009, false);
	struct pe_engine_config config = harness_config();
	struct client_side c;
	struct pe_wire_connect knock;
	struct pe_wire_header header;
	struct pe_wire_cookie cookie;
	struct pe_wire_ping p;
	uint8_t buffer[128];

	config.fence_count_max = 16;
	config.subscription_count_max = 8;
	gated_start(&g, PE_SEAL_SIGN, &config);
	c = gated_client(&g, 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &home, PE_SEAL_ENCRYPT));
	subscribe(&c, &home, 5);
	CU_ASSERT_EQUAL(COUNTER(subscribes_taken), 1);
	CU_ASSERT_EQUAL(g.kept_count, 1);
	CU_ASSERT(told(&c, &home, 1, 10) > 0);
	// Away, and not shown to be there: nothing that it did not ask for.
	CU_ASSERT(answers(&c, &away));
	CU_ASSERT_EQUAL(told(&c, &away, 2, 500), 0);
	CU_ASSERT_EQUAL(told(&c, &home, 3, 10), 0);
	knock = client_knock(&c, 900);
	gated_send(&g, &knock, sizeof knock, &away);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
	memcpy(&cookie, g.replies[0].data, sizeof cookie);
	memcpy(&p, cookie.cookie, sizeof p);
	header = harness_header(&g.h, 0, 0);
	harness_queue(&g.h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &p));
	(void)gated_send_sealed(&g, &c, &away, NULL);
	gated_turn(&g);
	CU_ASSERT(told(&c, &away, 4, 500) > 0);
	CU_ASSERT_EQUAL(g.kept_count, 1);
	// The session ends, and its subscription with it.
	header = harness_header(&g.h, 0, 0);
	memset(&p, 0, sizeof p);
	harness_queue(&g.h, buffer, pe_wire_put_ping(buffer, sizeof buffer, &header, &p));
	g.h.queue[0].data[1] = PE_TYPE_DISCONNECT;
	(void)gated_send_sealed(&g, &c, &away, NULL);
	gated_turn(&g);
	CU_ASSERT_FALSE(answers(&c, &away));
	for (unsigned i = 0; i < 4000 && g.kept_count; i++) {
		g.h.now.mono_ms += 10;
		g.h.now.wall_ms += 10;
		gated_turn(&g);
		harness_control(&g.h);
	}
	CU_ASSERT_EQUAL(g.kept_count, 0);
	CU_ASSERT_EQUAL(COUNTER(subscriptions_ended), 1);
	CU_ASSERT_EQUAL(REASON(session), 1);
	gated_stop(&g);
}

static void test_epochs(void)
{
	struct pe_peer p = gated_peer(1, 4000, false);
	struct client_side c, before;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &p, PE_SEAL_SIGN));
	CU_ASSERT(answers(&c, &p));
	before = c;
	client_next_epoch(&c);
	CU_ASSERT_FALSE(answers(&c, &p)); // too soon
	CU_ASSERT_EQUAL(REASON(session_epoch), 1);
	g.h.now.mono_ms += PE_SESSION_EPOCH_MIN_MS;
	CU_ASSERT(answers(&c, &p));
	// The one before holds for a while, and is answered in the new one.
	before.sequence = c.sequence;
	ping(3);
	(void)gated_send_sealed(&g, &before, &p, NULL);
	c.sequence = before.sequence;
	gated_turn(&g);
	CU_ASSERT_EQUAL(g.reply_count, 1);
	CU_ASSERT(gated_opens(&g, &c, 0));
	g.h.now.mono_ms += PE_SESSION_EPOCH_OVERLAP_MS;
	before.sequence++;
	c.sequence++;
	CU_ASSERT_FALSE(answers(&before, &p));
	c.sequence++;
	CU_ASSERT_EQUAL(REASON(session_epoch), 2);
	// Two ahead.
	client_next_epoch(&c);
	client_next_epoch(&c);
	CU_ASSERT_FALSE(answers(&c, &p));
	CU_ASSERT_EQUAL(REASON(session_epoch), 3);
	gated_stop(&g);
}

static void test_elsewhere(void)
{
	struct pe_peer p = gated_peer(1, 4000, true);
	struct client_side c;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &p, PE_SEAL_SIGN));
	c.grant.session_id |= 1u << 8;
	CU_ASSERT_FALSE(answers(&c, &p));
	CU_ASSERT_EQUAL(REASON(session_elsewhere), 1);
	c.grant.session_id |= 2u << 8; // a worker that is not there
	CU_ASSERT_FALSE(answers(&c, &p));
	CU_ASSERT_EQUAL(REASON(session), 1);
	gated_stop(&g);
}

// Another worker's gate takes messages in, and this one answers.
static void test_handed_over(void)
{
	enum { MANY = 70 }; // more than the ring holds
	struct pe_peer p = gated_peer(1, 4000, false), away = gated_peer(3, 5000, false);
	struct pe_gate_config other_config;
	struct pe_gate_mail *mail;
	struct pe_gate *other;
	struct pe_error error;
	struct client_side c;
	unsigned answered = 0;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	mail = pe_gate_mail_create(2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mail);
	pe_gate_destroy(g.gate);
	g.config.mail = mail;
	g.config.portable[0] = true;
	other_config = g.config;
	other_config.index = 1;
	CU_ASSERT_EQUAL_FATAL(pe_gate_create(&g.config, g.keyring, &g.gate, &error), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_gate_create(&other_config, g.keyring, &other, &error), PE_OK);
	(void)pe_gate_sink(other, &g.below);
	c = gated_client(&g, 1);
	CU_ASSERT_FATAL(gated_open(&g, &c, &p, PE_SEAL_ENCRYPT));
	CU_ASSERT(answers(&c, &p));
	CU_ASSERT_EQUAL(pe_gate_room(g.gate), PE_BURST_MAX);
	for (unsigned i = 0; i < MANY; i++) {
		ping(i + 1);
		(void)gated_send_sealed(&g, &c, &away, NULL);
		// Received by the other one.
		pe_count(g.gate->counters, PE_COUNTER_rx_packets, 1);
		g.h.sent_packets++;
		CU_ASSERT_EQUAL(pe_gate_take(other, g.h.now, g.messages, 1), 0);
		g.count = 0;
	}
	CU_ASSERT_EQUAL(REASON(steer_full), MANY - 64);
	CU_ASSERT_EQUAL(pe_gate_waiting(g.gate), 64);
	CU_ASSERT(pe_gate_room(g.gate) < PE_BURST_MAX);
	for (unsigned turn = 0; turn < 4; turn++) {
		gated_turn(&g);
		for (unsigned r = 0; r < g.reply_count; r++) {
			CU_ASSERT(gate_same_place(&g.replies[r].to, &away));
			CU_ASSERT(gated_opens(&g, &c, r));
			CU_ASSERT_EQUAL(pong_mark(&g.replies[r]), ++answered);
		}
	}
	CU_ASSERT_EQUAL(answered, 64);
	CU_ASSERT_EQUAL(pe_gate_waiting(g.gate), 0);
	pe_gate_destroy(other);
	gated_stop(&g);
	pe_gate_mail_destroy(mail);
}

// Each verdict on a CONNECT has its reason.
static void test_handshakes(void)
{
	struct pe_peer p = gated_peer(1, 4000, true);
	struct client_side c, stranger, other;
	struct pe_wire_connect knock, hello;
	struct pe_wire_cookie cookie;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	stranger = gated_client(&g, 99);
	other = c;
	other.engine_public[0] ^= 1;
	knock = client_knock(&c, 1);
	gated_send(&g, &knock, sizeof knock - 1, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_form), 1);
	gated_send(&g, &knock, sizeof knock, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
	memcpy(&cookie, g.replies[0].data, sizeof cookie);
	knock.mac[0] ^= 1;
	gated_send(&g, &knock, sizeof knock, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_mac), 1);
	knock = client_knock(&other, 1);
	gated_send(&g, &knock, sizeof knock, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_key), 1);
	hello = client_hello(&stranger, 2, cookie.cookie, PE_SEAL_SIGN);
	gated_send(&g, &hello, sizeof hello, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_stranger), 1);
	hello = client_hello(&c, 2, cookie.cookie, 3);
	gated_send(&g, &hello, sizeof hello, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_level), 1);
	hello = client_hello(&c, 2, cookie.cookie, PE_SEAL_SIGN);
	hello.noise[40] ^= 1;
	client_mac(&c, &hello);
	gated_send(&g, &hello, sizeof hello, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_handshake), 1);
	CU_ASSERT_EQUAL(g.reply_count, 0);
	// No buffer for an answer: nothing is done.
	g.buffers_refused = true;
	hello = client_hello(&c, 2, cookie.cookie, PE_SEAL_SIGN);
	gated_send(&g, &hello, sizeof hello, &p);
	gated_turn(&g);
	g.buffers_refused = false;
	CU_ASSERT_EQUAL(REASON(connect_busy), 1);
	CU_ASSERT_EQUAL(COUNTER(sessions_opened), 0);
	// CONNECTs that came sealed, or are the engine's, are no messages.
	CU_ASSERT_FATAL(gated_open(&g, &c, &p, PE_SEAL_SIGN));
	ping(1);
	g.h.queue[0].data[1] = PE_TYPE_CONNECT;
	(void)gated_send_sealed(&g, &c, &p, NULL);
	ping(1);
	g.h.queue[0].data[1] = PE_TYPE_CONNECT_ACK;
	(void)gated_send_sealed(&g, &c, &p, NULL);
	// A DISCONNECT with flags is none.
	ping(1);
	g.h.queue[0].data[1] = PE_TYPE_DISCONNECT;
	g.h.queue[0].data[2] = 1;
	(void)gated_send_sealed(&g, &c, &p, NULL);
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(type_unknown), 3);
	CU_ASSERT(answers(&c, &p));
	gated_stop(&g);
}

static void test_room(void)
{
	struct pe_peer p = gated_peer(1, 4000, true);
	struct client_side c[4];
	struct pe_error error;
	unsigned opened = 0;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	pe_gate_destroy(g.gate);
	g.config.session_count_max = 3;
	CU_ASSERT_EQUAL_FATAL(pe_gate_create(&g.config, g.keyring, &g.gate, &error), PE_OK);
	CU_ASSERT(pe_gate_bytes(g.gate) > 3 * sizeof(struct pe_session));
	for (uint8_t n = 1; n <= 3; n++) {
		c[n] = gated_client(&g, n);
		CU_ASSERT_FATAL(gated_open(&g, &c[n], &p, PE_SEAL_SIGN));
		CU_ASSERT(answers(&c[n], &p));
	}
	c[0] = gated_client(&g, 4);
	CU_ASSERT_FALSE(gated_open(&g, &c[0], &p, PE_SEAL_SIGN));
	CU_ASSERT_EQUAL(REASON(connect_full), 1);
	// Time makes room.
	g.h.now.mono_ms += PE_SESSION_IDLE_MS;
	g.h.now.wall_ms += PE_SESSION_IDLE_MS;
	gated_turn(&g);
	CU_ASSERT_EQUAL(pe_gate_session_count(g.gate), 0);
	opened = gated_open(&g, &c[0], &p, PE_SEAL_SIGN);
	CU_ASSERT(opened);
	gated_stop(&g);
}

// One handshake a turn; the others wait, as many as there is room for, and are answered in their
// order.
static void test_flood(void)
{
	enum { MANY = PE_GATE_WAITING_MAX + 8 };
	struct pe_peer p = gated_peer(1, 4000, false);
	struct client_side c;
	struct pe_wire_connect m;
	struct pe_wire_cookie cookie;
	struct pe_error error;
	uint64_t welcomed[MANY];
	unsigned count = 0, turns = 0;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	m = client_knock(&c, 1);
	gated_send(&g, &m, sizeof m, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
	memcpy(&cookie, g.replies[0].data, sizeof cookie);
	for (unsigned i = 0; i < MANY; i++) {
		m = client_hello(&c, 100 + i, cookie.cookie, PE_SEAL_SIGN);
		gated_send(&g, &m, sizeof m, &p);
	}
	do {
		gated_turn(&g);
		CU_ASSERT(g.reply_count <= PE_GATE_HANDSHAKES);
		for (unsigned i = 0; i < g.reply_count; i++)
			memcpy(&welcomed[count++], g.replies[i].data + 88, 8);
		turns++;
	} while (pe_gate_waiting(g.gate) && turns < 100);
	CU_ASSERT_EQUAL(count, PE_GATE_WAITING_MAX + 1);
	CU_ASSERT_EQUAL(turns, count);
	CU_ASSERT_EQUAL(REASON(connect_busy), MANY - count);
	for (unsigned i = 0; i < count; i++)
		CU_ASSERT_EQUAL(welcomed[i], 100 + i);
	CU_ASSERT_EQUAL(g.kept_count, 0); // where they came from is given back
	// A source that keeps no links: nothing waits.
	g.links_refused = true;
	for (unsigned i = 0; i < 3; i++)
		gated_send(&g, &m, sizeof m, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL(pe_gate_waiting(g.gate), 0);
	CU_ASSERT_EQUAL(REASON(connect_busy), MANY - count + 2);
	g.links_refused = false;
	// And by the bucket of who sends them.
	pe_gate_destroy(g.gate);
	CU_ASSERT_EQUAL_FATAL(pe_rate_make(1, 5, &g.config.connects), PE_OK);
	CU_ASSERT_EQUAL_FATAL(pe_gate_create(&g.config, g.keyring, &g.gate, &error), PE_OK);
	m = client_knock(&c, 1);
	gated_send(&g, &m, sizeof m, &p);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
	memcpy(&cookie, g.replies[0].data, sizeof cookie);
	// What anybody can send in his name takes nothing of it, and no room to wait.
	for (unsigned i = 0; i < 3 * PE_GATE_WAITING_MAX; i++) {
		if (i % 3 == 0)
			m = client_knock(&c, i);
		else if (i % 3 == 1)
			m = client_hello(&c, i, (const uint8_t[16]){7}, PE_SEAL_SIGN);
		else
			m.mac[0] ^= 1;
		gated_send(&g, &m, sizeof m, &p);
		if (i % 16 == 15)
			gated_turn(&g);
	}
	CU_ASSERT_EQUAL(pe_gate_waiting(g.gate), 0);
	CU_ASSERT_EQUAL(REASON(connect_rate), 0);
	for (unsigned i = 0; i < 9; i++) {
		m = client_hello(&c, 200 + i, cookie.cookie, PE_SEAL_SIGN);
		gated_send(&g, &m, sizeof m, &p);
	}
	gated_turn(&g);
	CU_ASSERT_EQUAL(REASON(connect_rate), 4);
	CU_ASSERT_EQUAL(g.reply_count + pe_gate_waiting(g.gate), 5);
	for (turns = 0; pe_gate_waiting(g.gate) && turns < 100; turns++)
		gated_turn(&g);
	gated_stop(&g);
}

// While there is much else to do, handshakes have a fifth of the time: one a millisecond, and what
// is sealed is answered in every turn.
static void test_flood_beside(void)
{
	struct pe_peer p = gated_peer(1, 4000, true), q = gated_peer(2, 4000, false);
	struct client_side c, good;
	struct pe_wire_connect m;
	struct pe_wire_cookie cookie;
	unsigned welcomed = 0, answered = 0;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	c = gated_client(&g, 1);
	good = gated_client(&g, 2);
	CU_ASSERT_FATAL(gated_open(&g, &good, &p, PE_SEAL_SIGN));
	m = client_knock(&c, 1);
	gated_send(&g, &m, sizeof m, &q);
	gated_turn(&g);
	CU_ASSERT_EQUAL_FATAL(g.reply_count, 1);
	memcpy(&cookie, g.replies[0].data, sizeof cookie);
	g.h.now.mono_ms += 5;
	for (unsigned turn = 0; turn < 40; turn++) {
		for (unsigned i = 0; i < PE_GATE_BUSY; i++) {
			ping(turn * 100 + i);
			(void)gated_send_sealed(&g, &good, &p, NULL);
		}
		if (turn < 20) {
			m = client_hello(&c, 100 + turn, cookie.cookie, PE_SEAL_SIGN);
			gated_send(&g, &m, sizeof m, &q);
		}
		g.h.now.mono_ms += turn % 10 == 9; // ten turns a millisecond
		gated_turn(&g);
		for (unsigned i = 0; i < g.reply_count; i++)
			if (g.replies[i].bytes == sizeof(struct pe_wire_welcome))
				welcomed++;
			else
				answered += gated_opens(&g, &good, i);
	}
	CU_ASSERT_EQUAL(answered, 40 * PE_GATE_BUSY);
	// One more, before it was known how much there is to do.
	CU_ASSERT(welcomed >= 4 && welcomed <= 6);
	CU_ASSERT_EQUAL(pe_gate_waiting(g.gate), 20 - welcomed);
	// The others have their turn when there is less to do.
	for (unsigned turn = 0; turn < 40 && pe_gate_waiting(g.gate); turn++) {
		gated_turn(&g);
		welcomed += g.reply_count;
	}
	CU_ASSERT_EQUAL(welcomed, 20);
	gated_stop(&g);
}

static void test_keyrings(void)
{
	struct pe_peer p = gated_peer(1, 4000, false);
	struct client_side a, b;
	struct pe_keyring *next;
	struct pe_session *s;
	uint32_t principal;

	gated_start(&g, PE_SEAL_SIGN, NULL);
	a = gated_client(&g, 1);
	b = gated_client(&g, 2);
	CU_ASSERT_FATAL(gated_open(&g, &a, &p, PE_SEAL_SIGN));
	CU_ASSERT_FATAL(gated_open(&g, &b, &p, PE_SEAL_SIGN));
	CU_ASSERT(answers(&a, &p) && answers(&b, &p));
	s = pe_session_find(g.gate->table, b.grant.session_id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	principal = gate_principal(s);
	CU_ASSERT_EQUAL(principal, 2);
	// Without the first, and the others the other way round.
	next = gated_keyring(&g, 1u << 1, true);
	pe_gate_offer(g.gate, next);
	CU_ASSERT_PTR_EQUAL(pe_gate_used(g.gate), g.keyring);
	gated_turn(&g);
	CU_ASSERT_PTR_EQUAL(pe_gate_used(g.gate), next);
	pe_keyring_destroy(g.keyring);
	g.keyring = next;
	CU_ASSERT(answers(&b, &p));
	CU_ASSERT_EQUAL(gate_principal(s), principal);
	CU_ASSERT_FALSE(answers(&a, &p));
	CU_ASSERT_EQUAL(REASON(session), 1);
	CU_ASSERT_FALSE(gated_open(&g, &a, &p, PE_SEAL_SIGN));
	// Back again, it is who it was.
	next = gated_keyring(&g, 0, true);
	CU_ASSERT_EQUAL(pe_roster_count(g.roster), GATED_CLIENTS);
	pe_gate_offer(g.gate, next);
	gated_turn(&g);
	pe_keyring_destroy(g.keyring);
	g.keyring = next;
	CU_ASSERT_FATAL(gated_open(&g, &a, &p, PE_SEAL_SIGN));
	CU_ASSERT(answers(&a, &p));
	CU_ASSERT_EQUAL(gate_principal(pe_session_find(g.gate->table, a.grant.session_id)), 1);
	gated_stop(&g);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"sessions open, and speak at both levels", test_opens},
		{"a message and its repeat", test_repeat}, {"what is demanded", test_demands},
		{"another address", test_moves}, {"notices", test_notices}, {"epochs", test_epochs},
		{"another worker's session", test_elsewhere}, {"handed over", test_handed_over},
		{"handshakes that fail", test_handshakes}, {"no room", test_room},
		{"a flood of handshakes", test_flood},
		{"a flood of handshakes beside others", test_flood_beside},
		{"another keyring", test_keyrings}};

	harness_failed = testing_failed;
	return testing_main("guard-gate", cases, sizeof cases / sizeof cases[0]);
}
