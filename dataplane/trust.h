// What the main thread has of sessions: the keyring that is in use, the numbers of its principals,
// and the workers' gates (gate.h). Main thread only; without a keyring in the configuration there
// is none of it.
#pragma once

#include "config.h"
#include "gate.h"

struct pe_trust;

// Before the engine is made: reads the keyring and numbers its principals. *trust is NULL where the
// configuration names no keyring, and after a failure.
[[nodiscard]] enum pe_status pe_trust_load(
	struct pe_config *config, struct pe_trust **trust, struct pe_error *error);
// For --check-config, instead of pe_trust_open: do the keyring and the configuration fit each
// other? trust may be NULL.
[[nodiscard]] enum pe_status pe_trust_check(struct pe_trust *trust, struct pe_error *error);
// After the engine was made, before its workers run: what its principals may do, and the gates.
// trust may be NULL. It is still to be closed after a failure.
[[nodiscard]] enum pe_status pe_trust_open(
	struct pe_trust *trust, struct pe_engine *engine, struct pe_error *error);
// After the workers have ended; trust may be NULL.
void pe_trust_close(struct pe_trust *trust);

// NULL: there is none.
struct pe_gate *pe_trust_gate(struct pe_trust *trust, unsigned worker);
// A line or two for the log at start.
void pe_trust_say(const struct pe_trust *trust);

// Reads the keyring again and offers it to the workers, who take it up within a second; wake is
// called to bring that forward. After a mistake in it, which the text tells, the one before stays
// in use. The one before is given back here or at the next call.
[[nodiscard]] enum pe_status pe_trust_reload(
	struct pe_trust *trust, void (*wake)(void *context), void *context, struct pe_error *error);
