// Sealing: AES-128-GCM over whole messages, in place, as docs/sessions.md says. The nonce is the
// key's salt and the 8 bytes of the header's sequence; the tag lies at 64. ENCRYPT: the bytes from
// 80 on are encrypted, the first 64 are associated data. SIGN: nothing is encrypted, and the
// associated data is the whole message with zeros for its tag.
//
// Tuned for bursts of messages of 100–1452 bytes under many keys: keys are expanded once, and the
// next one's lines are fetched while a message is worked. Two backends with the same results:
// intel-ipsec-mb, and OpenSSL's EVP where the processor or the library is missing. A sealer and the
// keys expanded by it belong to one thread; each worker has its own.
#pragma once

#include "base/status.h"
#include "wire/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PE_SEAL_SECRET_BYTES 20 // a key of 16 and a salt of 4
#define PE_SEAL_HEADER_BYTES 64
#define PE_SEAL_EXPANDED_MAX 1024 // of a key; the larger backend's

enum pe_seal_level {
	PE_SEAL_SIGN = 1,
	PE_SEAL_ENCRYPT = 2,
};

enum pe_seal_backend {
	PE_SEAL_BEST, // ipsec-mb where library and processor have it
	PE_SEAL_IPSEC_MB,
	PE_SEAL_OPENSSL,
};

struct pe_seal_key {
	_Alignas(64) uint8_t expanded[PE_SEAL_EXPANDED_MAX];
	uint32_t salt;
};

// One message. Sealing reads `data` as it stands, its sequence set, and writes the tag; opening
// checks the tag, and leaves zeros in its place.
struct pe_seal_job {
	uint8_t *data;  // writable, any alignment
	uint32_t bytes; // from sizeof(struct pe_wire_header) to PE_WIRE_BYTES_MAX
	uint8_t level;  // enum pe_seal_level
	// opening: the tag was right. When it was not, the bytes from 80 on are zeroed
	bool sound;
	const struct pe_seal_key *key;
};

struct pe_seal;

// PE_UNSUPPORTED: the named backend is not there; PE_NO_MEMORY. error->text says which.
[[nodiscard]] enum pe_status pe_seal_create(
	enum pe_seal_backend backend, struct pe_seal **seal, struct pe_error *error);
void pe_seal_destroy(struct pe_seal *seal);
const char *pe_seal_backend_name(const struct pe_seal *seal);

// Expands a secret, some 100 ns. Wipe the key when it ends.
void pe_seal_expand(
	struct pe_seal *seal, const uint8_t secret[PE_SEAL_SECRET_BYTES], struct pe_seal_key *key);

// At most PE_BURST_MAX jobs; those to close must never repeat a (key, sequence).
void pe_seal_close(struct pe_seal *seal, struct pe_seal_job *jobs, unsigned count);
void pe_seal_open(struct pe_seal *seal, struct pe_seal_job *jobs, unsigned count);

// The cipher itself, for tests with known answers: `bytes` at `text` in place. Not for messages.
// Opening takes the tag, and returns whether it was right; closing writes it.
bool pe_seal_raw(struct pe_seal *seal, const struct pe_seal_key *key, const uint8_t nonce[12],
	const uint8_t *associated, uint32_t associated_bytes, uint8_t *text, uint32_t bytes,
	bool open, uint8_t tag[16]);
