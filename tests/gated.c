#include "gated.h"

#include "dataplane/guard/roster.h"
#include "unit/guard/keyring_files.h"

static const char *const key_files[] = {"a.key", "a.psk", NULL};

// ---- the sink below ----

static uint8_t *reserve(void *context, const struct pe_peer *peer)
{
	struct gated *g = context;

	if (peer->link & 0x80000000u)
		HARNESS_CHECK(g->kept[peer->link & 0xFF].port != 0);
	if (g->buffers_refused)
		return NULL;
	g->reserved++;
	return aligned_alloc(8, (PE_WIRE_BYTES_MAX + 7) / 8 * 8);
}

static void commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	struct gated *g = context;

	// The gate's own links stay with it, and so does who it found somebody to be.
	HARNESS_CHECK((peer->link & PE_GATE_LINK) == 0 && peer->principal == g->known);
	g->reserved--;
	if (bytes && g->reply_count < HARNESS_REPLIES_MAX) {
		struct gated_reply *r = &g->replies[g->reply_count++];

		r->to = *peer;
		r->bytes = bytes;
		memcpy(r->data, data, bytes);
	}
	free(data);
}

static uint32_t keep(void *context, const struct pe_peer *peer, uint32_t kept)
{
	struct gated *g = context;
	uint32_t n = kept & 0xFF;

	if (g->links_refused)
		return kept;
	if (kept == PE_LINK_NONE) {
		for (n = 0; n < GATED_LINKS_MAX && g->kept[n].port; n++)
			;
		if (n == GATED_LINKS_MAX)
			return PE_LINK_NONE;
		g->kept_count++;
	}
	g->kept[n] = *peer;
	return n | 0x80000000u;
}

static void drop(void *context, const struct pe_peer *peer)
{
	struct gated *g = context;

	HARNESS_CHECK((peer->link & 0x80000000u) && g->kept[peer->link & 0xFF].port);
	g->kept[peer->link & 0xFF].port = 0;
	g->kept_count--;
}

// ---- start and stop ----

struct client_side gated_client(struct gated *g, uint8_t number)
{
	struct client_side c;

	client_make(&c, g->seal, number, g->engine_public);
	c.psk[0] = 0xA5;
	return c;
}

struct pe_keyring *gated_keyring(struct gated *g, unsigned without, bool turned)
{
	static char text[4096];
	int used = snprintf(text, sizeof text,
		"engine: {psk_file: a.psk, keys: [{secret_file: a.key}]}\nprincipals:\n");
	struct pe_keyring *keyring;
	struct pe_error error;

	for (unsigned i = 0; i < GATED_CLIENTS; i++) {
		unsigned n = turned ? GATED_CLIENTS - i : i + 1;
		struct client_side c = gated_client(g, (uint8_t)n);
		char digits[66];

		if (without >> n & 1)
			continue;
		keyring_hex_of(c.public, digits);
		used += snprintf(text + used, sizeof text - (size_t)used,
			"  - {id: 00000000-0000-4000-8000-00000000000%u, level: %s, keys: [{public_key: \"%s\"}]%s}\n",
			n, n == 3 ? "encrypt" : "sign", digits,
			n == 4 ? "" : ", grants: [{allow: [publish, query, subscribe]}]");
	}
	if (pe_keyring_load_text("k.yaml", keyring_folder, text, strlen(text), &keyring, &error) !=
			PE_OK ||
		pe_roster_number(g->roster, keyring, &error) != PE_OK) {
		printf("%s\n", error.text);
		exit(EXIT_FAILURE);
	}
	return keyring;
}

static void clean_up(void)
{
	keyring_files_remove(key_files);
}

void gated_start(struct gated *g, uint8_t level, const struct pe_engine_config *config)
{
	static const uint8_t engine_secret[32] = {7, 9}, psk[32] = {0xA5};
	static bool made;
	struct pe_engine_config own = harness_config();
	struct pe_error error;
	char digits[66];

	memset(g, 0, sizeof *g);
	if (pe_secret_start(&error) != PE_OK ||
		pe_seal_create(PE_SEAL_BEST, &g->seal, &error) != PE_OK) {
		printf("%s\n", error.text);
		exit(EXIT_FAILURE);
	}
	if (!made) {
		keyring_files_make();
		(void)atexit(clean_up);
		keyring_hex_of(engine_secret, digits);
		keyring_file("a.key", digits, 0600);
		keyring_hex_of(psk, digits);
		keyring_file("a.psk", digits, 0600);
	}
	made = true;
	pe_noise_public(engine_secret, g->engine_public);
	g->roster = pe_roster_create();
	g->replies = calloc(HARNESS_REPLIES_MAX, sizeof *g->replies);
	if (!g->roster || !g->replies)
		abort();
	g->keyring = gated_keyring(g, 0, false);
	harness_start(&g->h, config ? config : &own);
	g->config = (struct pe_gate_config){.worker = pe_engine_worker(g->h.engine, 0),
		.worker_count = 2, // so that there is another one whose sessions come here
		.session_count_max = 64,
		.link_count_max = 8,
		.cookie_seed = {1},
		.cookie_began_ms = g->h.now.mono_ms,
		.level = {level}};
	if (pe_gate_create(&g->config, g->keyring, &g->gate, &error) != PE_OK) {
		printf("%s\n", error.text);
		exit(EXIT_FAILURE);
	}
	g->below = (struct pe_sink){
		.context = g, .reserve = reserve, .commit = commit, .keep = keep, .drop = drop};
	g->connect_sequence = 1;
}

void gated_stop(struct gated *g)
{
	HARNESS_CHECK(pe_gate_waiting(g->gate) == 0);
	HARNESS_CHECK(g->reserved == 0);
	harness_stop(&g->h);
	pe_gate_destroy(g->gate);
	pe_keyring_destroy(g->keyring);
	pe_roster_destroy(g->roster);
	pe_seal_destroy(g->seal);
	free(g->replies);
}

// ---- turns ----

struct pe_peer gated_peer(unsigned host, uint16_t port, bool trusted)
{
	return (struct pe_peer){
		.address = {[10] = 0xFF, [11] = 0xFF, [12] = 192, [14] = 2, [15] = (uint8_t)host},
		.port = port,
		.trusted = trusted};
}

void gated_send(struct gated *g, const void *data, uint32_t bytes, const struct pe_peer *from)
{
	unsigned i = g->count++;

	if (i == PE_BURST_MAX)
		abort();
	// At an odd address.
	memcpy(g->data[i] + 1, data, bytes);
	g->messages[i] = (struct pe_message){.data = g->data[i] + 1, .bytes = bytes, .peer = *from};
	g->messages[i].peer.link = i;
}

uint32_t gated_send_sealed(
	struct gated *g, struct client_side *c, const struct pe_peer *from, uint8_t *copy)
{
	struct harness_message *m = &g->h.queue[--g->h.queue_count];
	uint32_t bytes = m->bytes;

	// It counts when it is sent.
	g->h.sent_packets--;
	client_seal(c, m->data, bytes, ++c->sequence);
	gated_send(g, m->data, bytes, from);
	if (copy)
		memcpy(copy, m->data, bytes);
	free(m->data);
	return bytes;
}

void gated_turn(struct gated *g)
{
	struct pe_worker *w = g->config.worker;
	const struct pe_sink *sink = pe_gate_sink(g->gate, &g->below);
	unsigned count = g->count;
	uint64_t bytes = 0;

	g->reply_count = 0;
	for (unsigned i = 0; i < count; i++)
		bytes += g->messages[i].bytes;
	pe_count(pe_worker_counters(w), PE_COUNTER_rx_packets, count);
	pe_count(pe_worker_counters(w), PE_COUNTER_rx_bytes, bytes);
	g->h.sent_packets += count;
	g->count = 0;
	count = pe_gate_take(g->gate, g->h.now, g->messages, count);
	(void)pe_worker_turn(w, g->h.now, g->messages, count, sink);
	pe_gate_housekeep(g->gate, g->h.now);
	HARNESS_CHECK(g->reserved == 0);
}

bool gated_open(struct gated *g, struct client_side *c, const struct pe_peer *from, uint8_t level)
{
	struct pe_wire_connect m = client_knock(c, ++g->connect_sequence);
	struct pe_wire_welcome welcome;
	struct pe_wire_cookie cookie;

	gated_send(g, &m, sizeof m, from);
	gated_turn(g);
	if (g->reply_count != 1 || g->replies[0].bytes != sizeof cookie)
		return false;
	memcpy(&cookie, g->replies[0].data, sizeof cookie);
	m = client_hello(c, ++g->connect_sequence, cookie.cookie, level);
	gated_send(g, &m, sizeof m, from);
	gated_turn(g);
	if (g->reply_count != 1 || g->replies[0].bytes != sizeof welcome)
		return false;
	memcpy(&welcome, g->replies[0].data, sizeof welcome);
	return client_welcome(c, &welcome);
}

bool gated_opens(struct gated *g, struct client_side *c, unsigned n)
{
	struct gated_reply *r = &g->replies[n];
	uint64_t id;

	memcpy(&id, r->data + offsetof(struct pe_wire_header, session_id), sizeof id);
	return n < g->reply_count && id == (c->grant.session_id | (c->epoch & 0xFF)) &&
		client_open(c, r->data, r->bytes);
}
