// Who of a keyring is on the lists of policies (engine/policy/views.h): the names that stand in the
// configuration, against the names and the free roles of principals. Done again with every keyring,
// so that who joins belongs to its lists at once. Start and main thread.
#pragma once

#include "keyring.h"

#include <string.h>

// A name, or a free role, as it stands in lists. Sorted by pe_listed_compare, each once.
struct pe_listed_name {
	const char *text;
	bool role;
	uint32_t allow, deny; // bit n: in that list of the n-th policy
	// what is remembered from keyring to keyring: who went by this name last; a number as in
	// pe_peer.principal, 0 = nobody yet
	uint32_t last;
};
static inline int pe_listed_compare(const void *a, const void *b)
{
	const struct pe_listed_name *x = a, *y = b;

	return x->role != y->role ? (int)x->role - (int)y->role : strcmp(x->text, y->text);
}

// What is odd about a name: nobody goes by it, or several do.
enum pe_listed_fault { PE_LISTED_NOBODY = 1, PE_LISTED_SEVERAL };

// Puts the lists into a directory that was made of the same keyring; numbers: of its principals by
// index, as in it. A name that several go by lets in none of them, and keeps out all of them. A
// name to be kept out that nobody goes by any more keeps out who went by it last. odd: is told of
// each name with a fault, at the end; it may be NULL. PE_NO_MEMORY, or as pe_principals_list.
[[nodiscard]] enum pe_status pe_listed_put(const struct pe_keyring *keyring,
	const uint32_t *numbers, struct pe_listed_name *names, unsigned count,
	struct pe_principals *directory,
	void (*odd)(void *context, const struct pe_listed_name *name, enum pe_listed_fault fault),
	void *context, struct pe_error *error);
