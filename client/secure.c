#include "client/secure_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OPEN_MS_DEFAULT 5000

// ---- from one epoch, and one session, to the next ----

static void step_direction(struct secure *s, struct secure_direction *d)
{
	uint8_t secret[PE_SEAL_SECRET_BYTES];

	d->before = d->key;
	pe_chain_step(d->chain, secret);
	pe_seal_expand(s->seal, secret, &d->key);
	pe_secret_wipe(secret, sizeof secret);
}

// The message is a PING of our own: does the engine still know the session?
static void ask(struct secure *s, uint64_t now_us);

// What the clock asks for, before something is sent or received.
static void tick(struct secure *s)
{
	uint64_t now_us = secure_now_us();

	secure_connect_tick(s);
	if (!s->session_id) {
		secure_connect(s);
		return;
	}
	if (now_us - s->began_us >= s->life_us) {
		s->session_id = 0;
		secure_connect(s);
		return;
	}
	// In good time, while the one before is still good.
	if (now_us - s->began_us >= s->life_us / 8 * 7)
		secure_connect(s);
	if (now_us - s->epoch_us >= s->epoch_life_us / 8 * 7 ||
		s->sequence >= (uint64_t)(s->epoch + 1) << 31) {
		step_direction(s, &s->send);
		step_direction(s, &s->receive);
		s->epoch++;
		s->epoch_us = now_us;
	}
	if (!s->waiting)
		return;
	if (now_us - s->heard_us >= SECURE_LOST_US)
		secure_connect(s);
	else if (now_us - s->heard_us >= SECURE_QUIET_US &&
		now_us - s->asked_us >= SECURE_QUIET_US / 2)
		ask(s, now_us);
}

// ---- there ----

// Each greater than the one before, and the client's own wherever that is.
static void seal_message(struct secure *s, uint8_t *data, uint32_t bytes, struct pe_seal_job *job)
{
	uint64_t id = s->session_id | (s->epoch & 0xFF), original;

	memcpy(&original, data + offsetof(struct pe_wire_header, sequence), sizeof original);
	s->sequence =
		original > s->sequence && original < UINT64_MAX / 2 ? original : s->sequence + 1;
	s->names[s->sequence % SECURE_NAMES] =
		(struct secure_name){.sealed = s->sequence, .original = original};
	memcpy(data + offsetof(struct pe_wire_header, session_id), &id, sizeof id);
	memcpy(data + offsetof(struct pe_wire_header, sequence), &s->sequence, sizeof s->sequence);
	*job = (struct pe_seal_job){
		.data = data, .bytes = bytes, .level = s->session_level, .key = &s->send.key};
}

static void note_sent(struct secure *s)
{
	if (!s->waiting)
		s->heard_us = secure_now_us();
	s->waiting = true;
}

static void send_ping(struct secure *s, const uint64_t opaque[2])
{
	struct pe_seal_job job;
	struct iovec packet = {s->out[0], sizeof(struct pe_wire_header) + sizeof s->ping};
	struct pe_wire_header header = {.version = PE_WIRE_VERSION,
		.type = PE_TYPE_PING,
		.stream_id = s->stream_id,
		.sequence = s->sequence + 1,
		.count = 1};

	memcpy(s->out[0], &header, sizeof header);
	memcpy(s->out[0] + sizeof header, opaque, sizeof s->ping);
	seal_message(s, s->out[0], (uint32_t)packet.iov_len, &job);
	pe_seal_close(s->seal, &job, 1);
	(void)s->below->send(s->below_context, &packet, 1);
}

static void ask(struct secure *s, uint64_t now_us)
{
	s->asked_us = now_us;
	send_ping(s, s->ping);
}

// A datagram that is no message of the session.
static void take_other(struct secure *s, const uint8_t *data, uint32_t bytes)
{
	if (s->session_id && secure_prove_take(s, data, bytes))
		send_ping(s, s->proof);
	else
		secure_connect_take(s, data, bytes);
}

// While there is no session: takes what may open one.
static void listen(struct secure *s, int timeout_ms)
{
	struct iovec in[SECURE_BATCH_MAX];
	int came;

	for (unsigned i = 0; i < SECURE_BATCH_MAX; i++)
		in[i] = (struct iovec){s->in[i], sizeof s->in[i]};
	came = s->below->receive(s->below_context, in, SECURE_BATCH_MAX, timeout_ms);
	for (int i = 0; i < came; i++)
		if (in[i].iov_len <= sizeof s->in[i])
			secure_connect_take(s, s->in[i], (uint32_t)in[i].iov_len);
}

static int secure_send(void *context, const struct iovec *messages, unsigned count)
{
	struct secure *s = context;
	struct pe_seal_job jobs[SECURE_BATCH_MAX];
	struct iovec sealed[SECURE_BATCH_MAX];
	int sent;

	tick(s);
	if (!s->session_id)
		listen(s, 0);
	if (!s->session_id)
		return 0;
	if (count > SECURE_BATCH_MAX)
		count = SECURE_BATCH_MAX;
	for (unsigned i = 0; i < count; i++) {
		uint32_t bytes = (uint32_t)messages[i].iov_len;

		if (bytes < sizeof(struct pe_wire_header) || bytes > PE_WIRE_BYTES_MAX) {
			errno = EMSGSIZE;
			return -1;
		}
		memcpy(s->out[i], messages[i].iov_base, bytes);
		seal_message(s, s->out[i], bytes, &jobs[i]);
		sealed[i] = (struct iovec){s->out[i], bytes};
	}
	pe_seal_close(s->seal, jobs, count);
	// Those that are not taken are sealed again later, with other sequences.
	sent = s->below->send(s->below_context, sealed, count);
	if (sent > 0)
		note_sent(s);
	return sent;
}

// ---- and back ----

// False: not the engine's, or repeated. What the session adds is taken away.
static bool open_message(struct secure *s, uint8_t *data, uint32_t bytes)
{
	struct pe_seal_job job = {.data = data, .bytes = bytes, .level = s->session_level};
	uint64_t id, sequence;
	uint16_t flags;

	if (!s->session_id || bytes < sizeof(struct pe_wire_header) || bytes > PE_WIRE_BYTES_MAX)
		return false;
	memcpy(&id, data + offsetof(struct pe_wire_header, session_id), sizeof id);
	memcpy(&sequence, data + offsetof(struct pe_wire_header, sequence), sizeof sequence);
	if ((id ^ s->session_id) >> 8 || !pe_replay_fresh(&s->replay, sequence))
		return false;
	if ((uint8_t)id == (uint8_t)s->epoch)
		job.key = &s->receive.key;
	else if (s->epoch && (uint8_t)id == (uint8_t)(s->epoch - 1))
		job.key = &s->receive.before;
	else
		return false;
	pe_seal_open(s->seal, &job, 1);
	if (!job.sound || !pe_replay_take(&s->replay, sequence))
		return false;
	memset(data + offsetof(struct pe_wire_header, session_id), 0, sizeof id);
	memcpy(&flags, data + offsetof(struct pe_wire_header, flags), sizeof flags);
	secure_prove_told(s, flags & PE_FLAG_UNPROVED);
	flags &= (uint16_t)~PE_FLAG_UNPROVED;
	memcpy(data + offsetof(struct pe_wire_header, flags), &flags, sizeof flags);
	s->waiting = false;
	return true;
}

static bool is_own_pong(const struct secure *s, const uint8_t *data, uint32_t bytes)
{
	return bytes == sizeof(struct pe_wire_header) + sizeof s->ping &&
		data[offsetof(struct pe_wire_header, type)] == PE_TYPE_PONG &&
		(memcmp(data + sizeof(struct pe_wire_header), s->ping, sizeof s->ping) == 0 ||
			memcmp(data + sizeof(struct pe_wire_header), s->proof, sizeof s->proof) ==
				0);
}

static int secure_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	struct secure *s = context;
	unsigned left = 0;
	int came;

	tick(s);
	came = s->below->receive(s->below_context, messages, count, timeout_ms);
	for (int i = 0; i < came; i++) {
		uint8_t *data = messages[i].iov_base;
		uint32_t bytes = (uint32_t)messages[i].iov_len;

		if (messages[i].iov_len > PE_WIRE_BYTES_MAX)
			continue;
		if (!open_message(s, data, bytes)) {
			take_other(s, data, bytes);
			continue;
		}
		if (is_own_pong(s, data, bytes))
			continue;
		// What comes out lies at the front.
		if (messages[left].iov_base != data)
			memcpy(messages[left].iov_base, data, bytes);
		messages[left++].iov_len = bytes;
	}
	return came < 0 ? came : (int)left;
}

static uint64_t secure_original(const void *context, uint64_t sequence)
{
	const struct secure *s = context;
	const struct secure_name *name = &s->names[sequence % SECURE_NAMES];

	return name->sealed == sequence ? name->original : sequence;
}

static int secure_descriptor(const void *context)
{
	const struct secure *s = context;

	return s->below->descriptor(s->below_context);
}

static bool secure_describe(const void *context, char *text, size_t size)
{
	const struct secure *s = context;

	return s->below->describe && s->below->describe(s->below_context, text, size);
}

static void secure_close(void *context)
{
	struct secure *s = context;
	struct pe_secret memory = s->memory;

	if (s->session_id) {
		struct pe_seal_job job;
		struct iovec packet = {s->out[0], sizeof(struct pe_wire_header) + 16};
		struct pe_wire_header header = {.version = PE_WIRE_VERSION,
			.type = PE_TYPE_DISCONNECT,
			.stream_id = s->stream_id,
			.sequence = s->sequence + 1,
			.count = 1};

		memset(s->out[0], 0, packet.iov_len);
		memcpy(s->out[0], &header, sizeof header);
		seal_message(s, s->out[0], (uint32_t)packet.iov_len, &job);
		pe_seal_close(s->seal, &job, 1);
		(void)s->below->send(s->below_context, &packet, 1);
	}
	s->below->close(s->below_context);
	pe_seal_destroy(s->seal);
	pe_secret_unmap(&memory);
}

const struct presence_transport presence_secure = {
	.send = secure_send,
	.receive = secure_receive,
	.descriptor = secure_descriptor,
	.close = secure_close,
	.describe = secure_describe,
	.original = secure_original,
};

// ---- open ----

static enum presence_result prepare(
	struct secure *s, const struct presence_session *session, char *error, size_t error_bytes)
{
	struct pe_error failure = {0};
	uint8_t product[32];

	if (session->level > PRESENCE_ENCRYPT) {
		snprintf(error, error_bytes, "a session's level is sign or encrypt");
		return PRESENCE_BAD_ARGUMENT;
	}
	s->level = session->level ? session->level : PRESENCE_SIGN;
	memcpy(s->engine_key, session->engine_key, 32);
	if (!presence_key_read(session->key_file, s->secret, error, error_bytes) ||
		(session->psk_file &&
			!presence_key_read(session->psk_file, s->psk, error, error_bytes)))
		return PRESENCE_BAD_ARGUMENT;
	pe_noise_public(s->secret, s->public);
	if (!pe_noise_product(s->secret, s->engine_key, product)) {
		snprintf(error, error_bytes, "the engine's key is no public key");
		return PRESENCE_BAD_ARGUMENT;
	}
	pe_secret_wipe(product, sizeof product);
	if (pe_seal_create(PE_SEAL_BEST, &s->seal, &failure) != PE_OK) {
		snprintf(error, error_bytes, "%s", failure.text);
		return failure.status == PE_NO_MEMORY ? PRESENCE_MEMORY : PRESENCE_SYSTEM;
	}
	pe_secret_random(&s->stream_id, sizeof s->stream_id);
	pe_secret_random(s->ping, sizeof s->ping);
	pe_secret_random(s->proof, sizeof s->proof); // none was shown yet
	return PRESENCE_OK;
}

enum presence_result presence_secure_open(const struct presence_transport *below,
	void *below_context, const struct presence_options *options, void **context, char *error,
	size_t error_bytes)
{
	uint64_t wait_us = options->timeout_ms && options->attempts ?
		(uint64_t)options->timeout_ms * options->attempts * 1000 :
		OPEN_MS_DEFAULT * 1000ull;
	enum presence_result result = PRESENCE_MEMORY;
	uint64_t end_us = secure_now_us() + wait_us, now_us;
	struct pe_secret memory;
	struct pe_error failure;
	struct secure *s;

	*context = NULL;
	if (pe_secret_start(&failure) != PE_OK) {
		snprintf(error, error_bytes, "%s", failure.text);
		below->close(below_context);
		errno = ENOTSUP;
		return PRESENCE_SYSTEM;
	}
	if (pe_secret_map(sizeof *s, &memory) != PE_OK) {
		snprintf(error, error_bytes, "no memory for a session");
		below->close(below_context);
		return PRESENCE_MEMORY;
	}
	s = memory.base;
	s->memory = memory;
	s->below = below;
	s->below_context = below_context;
	result = prepare(s, options->session, error, error_bytes);
	if (result == PRESENCE_OK) {
		secure_connect(s);
		while (!s->session_id && (now_us = secure_now_us()) < end_us) {
			uint64_t left_ms = (end_us - now_us) / 1000 + 1;

			listen(s, left_ms < 100 ? (int)left_ms : 100);
			secure_connect_tick(s);
		}
		if (!s->session_id) {
			snprintf(error, error_bytes,
				"the engine opens no session: it is not there, has another key than %s says, "
				"does not have ours in its keyring, or has another pre-shared key with it",
				"engine_key");
			result = PRESENCE_TIMED_OUT;
		}
	}
	if (result == PRESENCE_OK)
		*context = s;
	else
		secure_close(s);
	return result;
}
