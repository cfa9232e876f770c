// From a keyring to the directory of principals that the engine looks things up in
// (engine/policy/principals.h): uuids of spaces become their indices, principals their numbers, and
// areas are checked against the kind of their space. At start, and whenever the keyring is read
// anew; not for the packet's path.
#pragma once

#include "engine.h"
#include "keyring.h"

// numbers: of each principal of the keyring by its index, as struct pe_peer.principal has them, no
// two the same; NULL: index + 1. PE_INVALID: a grant names a space that the engine has not, or an
// area that its kind of space cannot have; PE_NO_MEMORY. The text names principal and grant. On
// failure *directory is NULL; else it is the caller's, to be given to pe_engine_principals.
[[nodiscard]] enum pe_status pe_guard_directory(const struct pe_keyring *keyring,
	const uint32_t *numbers, const struct pe_engine_config *config,
	struct pe_principals **directory, struct pe_error *error);
