#include "seal/seal_backend.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

// One context for every key: setting a key costs a few hundred nanoseconds, which this backend's
// users can afford or else have the other one.
struct state {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *context;
};

static void expand(void *state, const uint8_t key[16], uint8_t *expanded)
{
	(void)state;
	memcpy(expanded, key, 16);
}

static void close_one(void *opaque, const uint8_t *expanded, const uint8_t nonce[12],
	const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
	uint8_t tag[16])
{
	struct state *s = opaque;
	uint8_t none[16];
	int n, ok = EVP_EncryptInit_ex2(s->context, s->cipher, expanded, nonce, NULL);

	if (associated_bytes)
		ok &= EVP_EncryptUpdate(s->context, NULL, &n, associated, (int)associated_bytes);
	if (bytes)
		ok &= EVP_EncryptUpdate(s->context, text, &n, text, (int)bytes);
	ok &= EVP_EncryptFinal_ex(s->context, none, &n);
	ok &= EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_AEAD_GET_TAG, 16, tag);
	assert(ok == 1); // nothing in it depends on what was received
}

static bool open_one(void *opaque, const uint8_t *expanded, const uint8_t nonce[12],
	const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
	const uint8_t tag[16])
{
	struct state *s = opaque;
	uint8_t none[16], wanted[16];
	int n, ok = EVP_DecryptInit_ex2(s->context, s->cipher, expanded, nonce, NULL);

	memcpy(wanted, tag, 16);
	if (associated_bytes)
		ok &= EVP_DecryptUpdate(s->context, NULL, &n, associated, (int)associated_bytes);
	if (bytes)
		ok &= EVP_DecryptUpdate(s->context, text, &n, text, (int)bytes);
	ok &= EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_AEAD_SET_TAG, 16, wanted);
	assert(ok == 1);
	return EVP_DecryptFinal_ex(s->context, none, &n) == 1;
}

static void destroy(void *opaque)
{
	struct state *s = opaque;

	EVP_CIPHER_CTX_free(s->context);
	EVP_CIPHER_free(s->cipher);
	free(s); // cold: at stop
}

const struct pe_seal_ops *pe_seal_openssl(void **state)
{
	static const struct pe_seal_ops ops = {"openssl", expand, close_one, open_one, destroy};
	struct state *s = calloc(1, sizeof *s); // cold: at start

	if (!s)
		return NULL;
	s->cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	s->context = EVP_CIPHER_CTX_new();
	if (!s->cipher || !s->context) {
		destroy(s);
		return NULL;
	}
	*state = s;
	return &ops;
}
