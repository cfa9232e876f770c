#include "seal/seal_backend.h"
#include "seal/secret.h"

#ifdef PE_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>

static_assert(sizeof(struct gcm_key_data) <= PE_SEAL_EXPANDED_MAX, "expanded key");

static void expand(void *state, const uint8_t key[16], uint8_t *expanded)
{
	IMB_MGR *manager = state;

	IMB_AES128_GCM_PRE(manager, key, (struct gcm_key_data *)(void *)expanded);
}

static void close_one(void *state, const uint8_t *expanded, const uint8_t nonce[12],
	const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
	uint8_t tag[16])
{
	const struct gcm_key_data *key = (const struct gcm_key_data *)(const void *)expanded;
	struct gcm_context_data context;
	IMB_MGR *manager = state;

	IMB_AES128_GCM_ENC(manager, key, &context, text, text, bytes, nonce, associated,
		associated_bytes, tag, 16);
}

static bool open_one(void *state, const uint8_t *expanded, const uint8_t nonce[12],
	const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
	const uint8_t tag[16])
{
	const struct gcm_key_data *key = (const struct gcm_key_data *)(const void *)expanded;
	struct gcm_context_data context;
	IMB_MGR *manager = state;
	uint8_t want[16];

	IMB_AES128_GCM_DEC(manager, key, &context, text, text, bytes, nonce, associated,
		associated_bytes, want, 16);
	return pe_secret_equal(want, tag, 16);
}

static void destroy(void *state)
{
	free_mb_mgr(state);
}

const struct pe_seal_ops *pe_seal_ipsec_mb(void **state)
{
	static const struct pe_seal_ops ops = {
		"intel-ipsec-mb", expand, close_one, open_one, destroy};
	IMB_MGR *manager = alloc_mb_mgr(0);

	if (!manager)
		return NULL;
	if (manager->features & IMB_FEATURE_AESNI && manager->features & IMB_FEATURE_PCLMULQDQ) {
		init_mb_mgr_auto(manager, NULL);
		if (imb_get_errno(manager) == 0) {
			*state = manager;
			return &ops;
		}
	}
	free_mb_mgr(manager);
	return NULL;
}

#else

const struct pe_seal_ops *pe_seal_ipsec_mb(void **state)
{
	*state = NULL;
	return NULL;
}
#endif
