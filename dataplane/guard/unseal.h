// A burst of messages out of their seals: session and window, then all tags, then what each of them
// moves, in the order of the messages. Tuned for bursts of up to PE_BURST_MAX messages of many
// sessions. The worker's thread; keeps nothing itself.
#pragma once

#include "session.h"

struct pe_sealed {
	uint8_t *data; // writable: opened in place
	uint32_t bytes;
	const struct pe_peer *peer;
	// Filled by pe_unseal_burst:
	struct pe_session *session; // NULL unless the verdict is OK
	// PE_SESSION_OK: the message is as it was before it was sealed, its tag zero
	enum pe_session_verdict verdict;
};

// Whether a message says that it belongs to a session, and is long enough to be looked at further.
static inline bool pe_is_sealed(const uint8_t *data, uint32_t bytes)
{
	uint64_t session_id;

	if (bytes < sizeof(struct pe_wire_header) || bytes > PE_WIRE_BYTES_MAX)
		return false;
	__builtin_memcpy(
		&session_id, data + offsetof(struct pe_wire_header, session_id), sizeof session_id);
	return session_id != 0;
}

// count ≤ PE_BURST_MAX messages for which pe_is_sealed. A session that an answer is due to is good
// until the next call of anything that may end one: answers are made within the turn. The header's
// session_id and sequence stay in the message.
void pe_unseal_burst(struct pe_session_table *table, struct pe_seal *seal,
	struct pe_sealed *messages, unsigned count, struct pe_now now);
