// libFuzzer target of the gate with the engine behind it: an input is a row of steps — bytes from
// anywhere, messages that a client has sealed, the same with a byte altered, repeats, handshakes
// whose MAC is made right, whole handshakes, turns, and time. Beyond "no crash": only what a client
// sealed is taken, and each of that once; nobody who has not shown where he is gets more than he
// sent; all buffers and links come back; and the counters' identities hold.
#include "../gated.h"

#include "dataplane/guard/roster.h"

#define EXPECT(what) \
	do { \
		if (!(what)) \
			abort(); \
	} while (0)

#define STEPS_MAX 64u

struct input {
	const uint8_t *at, *end;
};

static struct gated g;

static unsigned next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint32_t take(struct input *in, uint8_t *out, uint32_t most)
{
	uint32_t bytes = next(in) * 8u, left = (uint32_t)(in->end - in->at);

	bytes = bytes < most ? bytes : most;
	bytes = bytes < left ? bytes : left;
	memcpy(out, in->at, bytes);
	in->at += bytes;
	return bytes;
}

struct play {
	struct client_side clients[GATED_CLIENTS];
	bool open[GATED_CLIENTS];
	uint8_t last[PE_WIRE_BYTES_MAX];
	uint32_t last_bytes;
	uint64_t honest;        // messages that a client has sealed
	uint64_t opened_before; // by the engine's count
	uint64_t in, out;       // bytes of all
	uint8_t level;          // that is demanded
	bool opened;            // a session, whole
};

static void send(struct play *p, const void *data, uint32_t bytes, const struct pe_peer *from)
{
	if (g.count < PE_BURST_MAX) {
		gated_send(&g, data, bytes, from);
		p->in += bytes;
	}
}

static void turn(struct play *p)
{
	gated_turn(&g);
	for (unsigned i = 0; i < g.reply_count; i++)
		p->out += g.replies[i].bytes;
	// Who is in no session gets answers to CONNECTs, and those are shorter than these.
	EXPECT(p->out <= p->in || p->level == 0 || p->opened);
	g.h.now.mono_ms++;
	g.h.now.wall_ms++;
	EXPECT(HARNESS_COUNTER(&g.h, messages_opened) - p->opened_before <= p->honest);
}

static void sealed(struct play *p, struct input *in, const struct pe_peer *from, unsigned how)
{
	struct client_side *c = &p->clients[how % GATED_CLIENTS];
	uint8_t data[PE_WIRE_BYTES_MAX] = {PE_WIRE_VERSION, (uint8_t)next(in)};
	uint32_t bytes = 32 + take(in, data + 32, sizeof data - 32);

	if (bytes < sizeof(struct pe_wire_header))
		bytes = sizeof(struct pe_wire_header);
	if (!p->open[how % GATED_CLIENTS])
		return;
	client_seal(c, data, bytes, ++c->sequence);
	memcpy(p->last, data, bytes);
	p->last_bytes = bytes;
	// As it is, it may come later, as a repeat.
	p->honest++;
	if (how & 4)
		data[next(in) * 6u % bytes] ^= (uint8_t)(1u << how % 8);
	send(p, data, bytes, from);
}

static void handshake(struct play *p, struct input *in, const struct pe_peer *from, unsigned how)
{
	struct client_side *c = &p->clients[how % GATED_CLIENTS];
	struct pe_wire_connect m = client_knock(c, how);
	uint8_t cookie[16] = {0};

	if (how & 4) {
		(void)pe_cookie_tick(&g.gate->cookie, g.h.now.mono_ms);
		(void)!pe_cookie_make(&g.gate->cookie, from, g.h.now.mono_ms, cookie);
		m = client_hello(c, how, cookie, 1 + how % 2);
	}
	if (how & 8)
		((uint8_t *)&m)[next(in)] ^= (uint8_t)(1u + next(in) % 255);
	if (how & 16)
		client_mac(c, &m);
	send(p, &m, sizeof m, from);
}

static void step(struct play *p, struct input *in)
{
	unsigned what = next(in), how = next(in), place = next(in);
	struct pe_peer from = gated_peer(place % 4, (uint16_t)(1 + place / 16), place & 8);
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	switch (what % 8) {
	case 0:
		bytes = take(in, data, sizeof data);
		if (how & 1 && bytes >= 2) {
			data[0] = PE_WIRE_VERSION;
			data[1] = (uint8_t)(how >> 1);
		}
		if (how & 128 && bytes >= 32)
			memcpy(data + 24, &p->clients[how % GATED_CLIENTS].grant.session_id, 8);
		send(p, data, bytes, &from);
		break;
	case 1:
		sealed(p, in, &from, how);
		break;
	case 2:
		if (p->last_bytes)
			send(p, p->last, p->last_bytes, &from);
		break;
	case 3:
		handshake(p, in, &from, how);
		break;
	case 4: {
		uint64_t ms = (uint64_t)how * how * 20;

		g.h.now.mono_ms += ms;
		g.h.now.wall_ms += ms;
		break;
	}
	case 5:
		g.buffers_refused = how & 1;
		g.links_refused = how & 2;
		turn(p);
		g.buffers_refused = g.links_refused = false;
		break;
	case 6:
		turn(p);
		p->opened = true;
		if (how % GATED_CLIENTS < 3)
			p->open[how % GATED_CLIENTS] |= gated_open(
				&g, &p->clients[how % GATED_CLIENTS], &from, 1 + (how >> 4) % 2);
		break;
	default:
		if (how & 1 && p->open[how / 2 % GATED_CLIENTS])
			client_next_epoch(&p->clients[how / 2 % GATED_CLIENTS]);
		turn(p);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Another gate for each input, another engine only where a subscription was opened in the one
// before: it has a link of that gate.
static void start(struct play *p)
{
	static uint64_t subscriptions;
	static unsigned inputs;
	static bool started;
	struct pe_engine_config config = harness_config();
	struct pe_error error;

	if (started &&
		(++inputs % 256 == 0 ||
			HARNESS_COUNTER(&g.h, subscriptions_opened) != subscriptions)) {
		gated_stop(&g);
		started = false;
	}
	if (!started) {
		config.fence_count_max = 8;
		config.subscription_count_max = 4;
		gated_start(&g, 0, &config);
		g.config.link_count_max = 4;
		subscriptions = 0;
	}
	started = true;
	// What is sent is not the harness's to count.
	g.h.sent_records = g.h.sent_queries = UINT32_MAX;
	pe_gate_destroy(g.gate);
	g.config.level[0] = p->level;
	g.config.cookie_began_ms = g.h.now.mono_ms;
	EXPECT(pe_gate_create(&g.config, g.keyring, &g.gate, &error) == PE_OK);
	p->opened_before = HARNESS_COUNTER(&g.h, messages_opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;
	struct play *p;
	uint8_t *copy;

	if (size == 0 || size > 4096)
		return 0;
	p = calloc(1, sizeof *p);
	copy = malloc(size);
	EXPECT(p && copy);
	memcpy(copy, data, size);
	in = (struct input){copy, copy + size};
	p->level = (uint8_t)(next(&in) % 3);
	start(p);
	for (uint8_t i = 0; i < GATED_CLIENTS; i++)
		p->clients[i] = gated_client(&g, i + 1);
	for (unsigned i = 0; i < STEPS_MAX && in.at < in.end; i++)
		step(p, &in);
	for (unsigned i = 0; i < 2 * PE_GATE_WAITING_MAX && (g.count || pe_gate_waiting(g.gate));
		i++)
		turn(p);
	harness_check(&g.h);
	EXPECT(g.kept_count <= 4);
	free(copy);
	free(p);
	return 0;
}
