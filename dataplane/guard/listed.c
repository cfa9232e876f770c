#include "listed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned find(
	const struct pe_listed_name *names, unsigned count, const char *text, bool role)
{
	const struct pe_listed_name wanted = {.text = text, .role = role};
	const struct pe_listed_name *found =
		count ? bsearch(&wanted, names, count, sizeof wanted, pe_listed_compare) : NULL;

	return found ? (unsigned)(found - names) : count;
}

// bearers: of each name, how many go by it; the last of them is noted. A role is everybody's who
// has it.
static void count_bearers(const struct pe_keyring *k, const uint32_t *numbers,
	struct pe_listed_name *names, unsigned count, uint32_t *bearers)
{
	for (uint32_t i = 0; i < pe_keyring_principal_count(k); i++) {
		unsigned n = find(names, count, pe_keyring_principal(k, i)->name, false);

		if (n < count) {
			bearers[n]++;
			names[n].last = numbers[i];
		}
		for (unsigned r = 0; r < pe_keyring_principal(k, i)->role_count; r++) {
			n = find(names, count, pe_keyring_role(k, i, r), true);
			if (n < count)
				bearers[n]++;
		}
	}
}

static struct pe_directory_listed listed_of(const struct pe_keyring *k, uint32_t principal,
	uint32_t number, const struct pe_listed_name *names, unsigned count,
	const uint32_t *bearers)
{
	const struct pe_principal *p = pe_keyring_principal(k, principal);
	struct pe_directory_listed l = {.principal = number};
	unsigned n = find(names, count, p->name, false);

	memcpy(l.stands, p->stands, sizeof l.stands);
	if (n < count) {
		l.allow |= bearers[n] == 1 ? names[n].allow : 0;
		l.deny |= names[n].deny;
	}
	for (unsigned r = 0; r < p->role_count; r++) {
		n = find(names, count, pe_keyring_role(k, principal, r), true);
		if (n < count) {
			l.allow |= names[n].allow;
			l.deny |= names[n].deny;
		}
	}
	return l;
}

enum pe_status pe_listed_put(const struct pe_keyring *k, const uint32_t *numbers,
	struct pe_listed_name *names, unsigned count, struct pe_principals *directory,
	void (*odd)(void *context, const struct pe_listed_name *name, enum pe_listed_fault fault),
	void *context, struct pe_error *error)
{
	uint32_t principals = pe_keyring_principal_count(k);
	struct pe_directory_listed *listed = calloc((size_t)principals + count + 1, sizeof *listed);
	uint32_t *bearers = calloc((size_t)count + 1, sizeof *bearers);
	enum pe_status status = PE_NO_MEMORY;
	size_t used = 0;

	if (listed && bearers) {
		count_bearers(k, numbers, names, count, bearers);
		for (uint32_t i = 0; i < principals; i++)
			listed[used++] = listed_of(k, i, numbers[i], names, count, bearers);
		for (unsigned n = 0; n < count; n++)
			if (!names[n].role && !bearers[n] && names[n].deny && names[n].last)
				listed[used++] = (struct pe_directory_listed){
					.principal = names[n].last, .deny = names[n].deny};
		status = pe_principals_list(directory, listed, used, error);
	} else {
		snprintf(error->text, sizeof error->text, "keyring: no memory");
		error->status = status;
	}
	for (unsigned n = 0; odd && status == PE_OK && n < count; n++)
		if (!bearers[n] || (bearers[n] > 1 && !names[n].role))
			odd(context, &names[n], bearers[n] ? PE_LISTED_SEVERAL : PE_LISTED_NOBODY);
	free(listed);
	free(bearers);
	return status;
}
