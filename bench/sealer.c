#include "sealer.h"

#include "dataplane/gate_internal.h"
#include "seal/chain.h"
#include "seal/secret.h"
#include "setup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PRINCIPALS 4u
#define SESSIONS   (PRINCIPALS * PE_SESSIONS_PER_KEY)

struct sealer {
	struct pe_seal *seal;
	uint8_t level;
	unsigned next;
	char folder[64];
	uint8_t public[PRINCIPALS][32];
	struct {
		struct pe_seal_key key;
		uint64_t id, sequence;
	} sessions[SESSIONS];
};

static void write_file(const struct sealer *s, const char *name, const char *text, char path[128])
{
	FILE *out;

	snprintf(path, 128, "%s/%s", s->folder, name);
	out = fopen(path, "w");
	if (!out || fputs(text, out) < 0 || fclose(out) != 0 || chmod(path, 0600) != 0)
		setup_fail(path, NULL);
}

static void hex(const uint8_t bytes[32], char text[65])
{
	for (unsigned i = 0; i < 32; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

struct sealer *sealer_create(struct pe_config *config, uint8_t level)
{
	struct sealer *s = aligned_alloc(64, (sizeof *s + 63) / 64 * 64);
	uint8_t secret[32];
	char digits[65], path[128], text[2048];
	struct pe_error error;
	int used;

	if (!s)
		setup_fail("no memory", NULL);
	memset(s, 0, sizeof *s);
	s->level = level;
	if (pe_secret_start(&error) != PE_OK ||
		pe_seal_create(PE_SEAL_BEST, &s->seal, &error) != PE_OK)
		setup_fail("sealing", &error);
	snprintf(s->folder, sizeof s->folder, "/tmp/presence-bench-XXXXXX");
	if (!mkdtemp(s->folder))
		setup_fail(s->folder, NULL);
	pe_secret_random(secret, sizeof secret);
	hex(secret, digits);
	write_file(s, "engine.key", digits, path);
	used = snprintf(
		text, sizeof text, "engine: {keys: [{secret_file: engine.key}]}\nprincipals:\n");
	for (unsigned i = 0; i < PRINCIPALS; i++) {
		pe_secret_random(secret, sizeof secret);
		pe_noise_public(secret, s->public[i]);
		hex(s->public[i], digits);
		used += snprintf(text + used, sizeof text - (size_t)used,
			"  - {id: 00000000-0000-4000-8000-00000000000%u, keys: [{public_key: %s}], grants: [{allow: [publish, query]}]}\n",
			i + 1, digits);
	}
	write_file(s, "keyring.yaml", text, config->keyring);
	config->sources[0].level = level;
	return s;
}

void sealer_open(struct sealer *s, struct pe_trust *trust)
{
	static const struct pe_peer anywhere = {.address = {[10] = 0xFF, [11] = 0xFF}};
	struct pe_gate *gate = pe_trust_gate(trust, 0);
	struct timespec mono, wall;
	struct pe_now now;
	char path[128];

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	now = (struct pe_now){(uint64_t)mono.tv_sec * 1000 + (uint64_t)mono.tv_nsec / 1000000,
		(uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000};
	for (unsigned i = 0; i < SESSIONS; i++) {
		uint8_t split[2][32], chain[32], secret[PE_SEAL_SECRET_BYTES];
		struct pe_session *session;

		if (pe_session_begin(gate->table, s->public[i % PRINCIPALS], s -> level, &anywhere,
			    now, &session) != PE_OK)
			setup_fail("no session", NULL);
		pe_secret_random(split, sizeof split);
		pe_chain_start(split[0], chain);
		pe_chain_step(chain, secret);
		pe_seal_expand(s->seal, secret, &s->sessions[i].key);
		s->sessions[i].id = session->id;
		pe_session_key(gate->table, session, split[0], split[1]);
		session->live = true; // the handshake's first message is not waited for
	}
	snprintf(path, sizeof path, "%s/engine.key", s->folder);
	(void)unlink(path);
	snprintf(path, sizeof path, "%s/keyring.yaml", s->folder);
	(void)unlink(path);
	(void)rmdir(s->folder);
}

void sealer_seal(void *context, uint8_t *message, uint32_t bytes)
{
	struct sealer *s = context;
	unsigned n = s->next++ % SESSIONS;
	struct pe_seal_job job = {
		.data = message, .bytes = bytes, .level = s->level, .key = &s->sessions[n].key};
	uint64_t sequence = ++s->sessions[n].sequence;

	memcpy(message + offsetof(struct pe_wire_header, session_id), &s->sessions[n].id, 8);
	memcpy(message + offsetof(struct pe_wire_header, sequence), &sequence, 8);
	pe_seal_close(s->seal, &job, 1);
}
