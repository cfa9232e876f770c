#include "directory.h"

#include "keyring_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static enum pe_status fail(
	struct pe_error *error, const struct pe_principal *p, unsigned grant, const char *what)
{
	snprintf(error->text, sizeof error->text, "keyring: %.63s: grants[%u]: %s", p->name, grant,
		what);
	return error->status = PE_INVALID;
}

// The engine's space of a grant; PE_SPACES_MAX: it has none of that id.
static unsigned space_of(const struct pe_engine_config *c, const uint8_t id[16])
{
	unsigned i = 0;

	while (i < c->space_count && memcmp(c->spaces[i].space.id, id, 16) != 0)
		i++;
	return i < c->space_count ? i : PE_SPACES_MAX;
}

static const char *area_fault(const struct pe_grant *g, enum pe_space_kind kind)
{
	for (unsigned i = 0; i < g->dimensions; i++) {
		if (!isfinite(g->low[i]) || !isfinite(g->high[i]))
			return "area: not a number";
		if (kind == PE_SPACE_CARTESIAN && g->low[i] > g->high[i])
			return "area: low is above high, which only longitudes may be";
		if (kind == PE_SPACE_GEODETIC && i < 2 &&
			(fabs(g->low[i]) > (i ? 180 : 90) || fabs(g->high[i]) > (i ? 180 : 90)))
			return "area: not a latitude and a longitude";
	}
	return NULL;
}

static enum pe_status convert_grant(const struct pe_grant *from, const struct pe_principal *p,
	unsigned index, const struct pe_engine_config *config, struct pe_directory_grant *to,
	struct pe_error *error)
{
	unsigned space =
		from->every_space ? PE_DIRECTORY_EVERY_SPACE : space_of(config, from->space_id);
	const char *fault;

	if (space == PE_SPACES_MAX)
		return fail(error, p, index, "space: there is none of that id");
	to->roles = from->roles;
	to->space = (uint8_t)space;
	to->area.dimensions = from->dimensions;
	memcpy(to->area.low, from->low, sizeof to->area.low);
	memcpy(to->area.high, from->high, sizeof to->area.high);
	// The keyring's reader lets no area stand without a space.
	fault = from->every_space ? NULL : area_fault(from, config->spaces[space].space.kind);
	return fault ? fail(error, p, index, fault) : PE_OK;
}

static enum pe_status convert(const struct pe_keyring *k, const uint32_t *numbers,
	const struct pe_engine_config *config, struct pe_directory_grant *grants,
	struct pe_directory_owned *owned, struct pe_error *error)
{
	enum pe_status status = PE_OK;

	for (uint32_t i = 0; i < k->principal_count; i++) {
		const struct pe_principal *p = &k->principals[i];

		for (uint32_t n = 0; n < p->grant_count && status == PE_OK; n++) {
			struct pe_directory_grant *to = &grants[p->first_grant + n];

			to->principal = numbers ? numbers[i] : i + 1;
			status = convert_grant(
				&k->grants[p->first_grant + n], p, n, config, to, error);
		}
	}
	for (uint32_t i = 0; i < k->owned_count; i++) {
		uint32_t principal = k->owned[i].principal;

		owned[i].bits = k->owned[i].bits;
		owned[i].principal = numbers ? numbers[principal] : principal + 1;
		memcpy(owned[i].prefix, k->owned[i].prefix, sizeof owned[i].prefix);
	}
	return status;
}

enum pe_status pe_guard_directory(const struct pe_keyring *k, const uint32_t *numbers,
	const struct pe_engine_config *config, struct pe_principals **directory,
	struct pe_error *error)
{
	struct pe_directory_grant *grants = calloc(k->grant_count + 1, sizeof *grants);
	struct pe_directory_owned *owned = calloc(k->owned_count + 1, sizeof *owned);
	enum pe_status status = PE_NO_MEMORY;

	*directory = NULL;
	if (grants && owned) {
		status = convert(k, numbers, config, grants, owned, error);
	} else {
		snprintf(error->text, sizeof error->text, "keyring: no memory");
		error->status = status;
	}
	if (status == PE_OK)
		status = pe_principals_create(
			grants, k->grant_count, owned, k->owned_count, directory, error);
	free(grants);
	free(owned);
	return status;
}
