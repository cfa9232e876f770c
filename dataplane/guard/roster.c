#include "roster.h"
#include "keyring_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct member {
	uint8_t id[16];
	uint32_t number;
};

struct pe_roster {
	struct member *members; // sorted by id
	uint32_t count;
};

struct pe_roster *pe_roster_create(void)
{
	return calloc(1, sizeof(struct pe_roster));
}

void pe_roster_destroy(struct pe_roster *roster)
{
	if (!roster)
		return;
	free(roster->members);
	free(roster);
}

uint32_t pe_roster_count(const struct pe_roster *roster)
{
	return roster->count;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(((const struct member *)a)->id, ((const struct member *)b)->id, 16);
}

static const struct member *find(const struct member *members, uint32_t count, const uint8_t id[16])
{
	struct member key;

	memcpy(key.id, id, sizeof key.id);
	return count ? bsearch(&key, members, count, sizeof key, by_id) : NULL;
}

enum pe_status pe_roster_number(
	struct pe_roster *roster, struct pe_keyring *keyring, struct pe_error *error)
{
	uint32_t count = roster->count;
	struct member *members =
		malloc(((size_t)count + keyring->principal_count + 1) * sizeof *members);

	error->status = PE_NO_MEMORY;
	snprintf(error->text, sizeof error->text, "principals: no memory");
	if (!members)
		return PE_NO_MEMORY;
	if (count)
		memcpy(members, roster->members, count * sizeof *members);
	for (uint32_t i = 0; i < keyring->principal_count; i++) {
		struct pe_principal *p = &keyring->principals[i];
		const struct member *known = find(roster->members, roster->count, p->id);

		// No id is twice in a keyring.
		p->number = known ? known->number : count;
		if (known)
			continue;
		memcpy(members[count].id, p->id, sizeof p->id);
		members[count++].number = p->number;
	}
	if (count > PE_ROSTER_MAX) {
		free(members);
		error->status = PE_FULL;
		snprintf(error->text, sizeof error->text,
			"principals: more than %u different ones since the start", PE_ROSTER_MAX);
		return PE_FULL;
	}
	qsort(members, count, sizeof *members, by_id);
	free(roster->members);
	roster->members = members;
	roster->count = count;
	error->status = PE_OK;
	return PE_OK;
}
