#include "seal/seal.h"
#include "seal/seal_backend.h"
#include "seal/secret.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_AT  offsetof(struct pe_wire_header, tag)
#define BODY_AT sizeof(struct pe_wire_header)

static_assert(TAG_AT == PE_SEAL_HEADER_BYTES && BODY_AT == TAG_AT + 16, "the tag ends the header");

struct pe_seal {
	const struct pe_seal_ops *ops;
	void *state;
};

enum pe_status pe_seal_create(
	enum pe_seal_backend backend, struct pe_seal **seal, struct pe_error *error)
{
	struct pe_seal *s = calloc(1, sizeof *s); // cold: at start

	*seal = NULL;
	if (s && backend != PE_SEAL_OPENSSL)
		s->ops = pe_seal_ipsec_mb(&s->state);
	if (s && !s->ops && backend != PE_SEAL_IPSEC_MB)
		s->ops = pe_seal_openssl(&s->state);
	if (s && s->ops) {
		*seal = s;
		return PE_OK;
	}
	error->status = s ? PE_UNSUPPORTED : PE_NO_MEMORY;
	free(s); // cold: at start
	snprintf(error->text, sizeof error->text, "sealing: %s",
		error->status == PE_NO_MEMORY       ? "no memory" :
			backend == PE_SEAL_IPSEC_MB ? "no intel-ipsec-mb here" :
						      "OpenSSL has no AES-128-GCM");
	return error->status;
}

void pe_seal_destroy(struct pe_seal *seal)
{
	if (!seal)
		return;
	seal->ops->destroy(seal->state);
	free(seal); // cold: at stop
}

const char *pe_seal_backend_name(const struct pe_seal *seal)
{
	return seal->ops->name;
}

void pe_seal_expand(
	struct pe_seal *seal, const uint8_t secret[PE_SEAL_SECRET_BYTES], struct pe_seal_key *key)
{
	memset(key, 0, sizeof *key);
	memcpy(&key->salt, secret + 16, sizeof key->salt);
	seal->ops->expand(seal->state, secret, key->expanded);
}

// The next message's key: the first lines are the round keys, those behind them the powers for the
// tag. 16 lines arrive in the time that a message of 200 bytes is worked.
static inline void prefetch_key(const struct pe_seal_key *key)
{
	for (unsigned at = 0; at < PE_SEAL_EXPANDED_MAX; at += 64)
		__builtin_prefetch(key->expanded + at);
}

static inline void nonce_of(const struct pe_seal_job *job, uint8_t nonce[12])
{
	memcpy(nonce, &job->key->salt, 4);
	memcpy(nonce + 4, job->data + offsetof(struct pe_wire_header, sequence), 8);
}

void pe_seal_close(struct pe_seal *seal, struct pe_seal_job *jobs, unsigned count)
{
	uint8_t nonce[12], tag[16];

	for (unsigned i = 0; i < count; i++) {
		struct pe_seal_job *job = &jobs[i];
		bool encrypt = job->level == PE_SEAL_ENCRYPT;

		assert(job->bytes >= BODY_AT && job->bytes <= PE_WIRE_BYTES_MAX);
		if (i + 1 < count)
			prefetch_key(jobs[i + 1].key);
		nonce_of(job, nonce);
		memset(job->data + TAG_AT, 0, sizeof tag);
		seal->ops->close(seal->state, job->key->expanded, nonce, job->data,
			encrypt ? TAG_AT : job->bytes, job->data + BODY_AT,
			encrypt ? job->bytes - (uint32_t)BODY_AT : 0, tag);
		memcpy(job->data + TAG_AT, tag, sizeof tag);
	}
}

void pe_seal_open(struct pe_seal *seal, struct pe_seal_job *jobs, unsigned count)
{
	uint8_t nonce[12], tag[16];

	for (unsigned i = 0; i < count; i++) {
		struct pe_seal_job *job = &jobs[i];
		bool encrypt = job->level == PE_SEAL_ENCRYPT;

		assert(job->bytes >= BODY_AT && job->bytes <= PE_WIRE_BYTES_MAX);
		if (i + 1 < count)
			prefetch_key(jobs[i + 1].key);
		nonce_of(job, nonce);
		memcpy(tag, job->data + TAG_AT, sizeof tag);
		memset(job->data + TAG_AT, 0, sizeof tag);
		job->sound = seal->ops->open(seal->state, job->key->expanded, nonce, job->data,
			encrypt ? TAG_AT : job->bytes, job->data + BODY_AT,
			encrypt ? job->bytes - (uint32_t)BODY_AT : 0, tag);
		// What a wrong tag decrypts to tells of the key stream: it goes no further.
		if (!job->sound)
			memset(job->data + BODY_AT, 0, job->bytes - BODY_AT);
	}
}

bool pe_seal_raw(struct pe_seal *seal, const struct pe_seal_key *key, const uint8_t nonce[12],
	const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
	bool open, uint8_t tag[16])
{
	if (open)
		return seal->ops->open(seal->state, key->expanded, nonce, associated,
			associated_bytes, text, bytes, tag);
	seal->ops->close(
		seal->state, key->expanded, nonce, associated, associated_bytes, text, bytes, tag);
	return true;
}
