// The numbers of principals: who has been in a keyring keeps its number while the engine runs, also
// when the file names principals in another order, or names one again that was taken out. What the
// engine keeps of a principal is kept by this number. Start and main thread only.
#pragma once

#include "keyring.h"

#define PE_ROSTER_MAX 65536u // principals of all keyrings of one run

struct pe_roster;

// NULL: no memory.
struct pe_roster *pe_roster_create(void);
void pe_roster_destroy(struct pe_roster *roster);

// Gives every principal of a keyring its number, before anybody else sees the keyring. PE_FULL:
// there would be more than PE_ROSTER_MAX in this run; PE_NO_MEMORY. The keyring is of no use then.
[[nodiscard]] enum pe_status pe_roster_number(
	struct pe_roster *roster, struct pe_keyring *keyring, struct pe_error *error);
uint32_t pe_roster_count(const struct pe_roster *roster);
