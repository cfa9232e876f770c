#include "policy/principals.h"

#include <stdlib.h>
#include <string.h>

// A prefix as two numbers that order like its bytes.
struct owned {
	uint64_t high, low;
	uint32_t principal;
	uint8_t bits;
};

struct pe_principals {
	uint32_t number_max; // of the principals with grants
	uint32_t grant_count, owned_count;
	uint32_t *first;                   // [number_max + 2]: where a number's grants begin
	struct pe_directory_grant *grants; // by principal
	struct owned *owned;               // sorted; none holds another
	// [65537]: how many prefixes are below each value of the first 16 bits; NULL: few
	uint32_t *by_head;
	struct pe_directory_listed *listed; // by principal, one each
	uint32_t listed_count;
	uint64_t bytes;
};

#define HEADS         65536u
#define FEW_TO_SEARCH 256u // so many are found as fast without by_head

static uint64_t word_of(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return __builtin_bswap64(word);
}

static bool below(const struct owned *o, uint64_t high, uint64_t low)
{
	return o->high < high || (o->high == high && o->low < low);
}

// Is it behind the id?
static inline unsigned above(const struct owned *o, uint64_t high, uint64_t low)
{
	return (unsigned)(o->high > high) |
		((unsigned)(o->high == high) & (unsigned)(o->low > low));
}

// Do the first `bits` agree?
static bool holds(const struct owned *o, uint64_t high, uint64_t low)
{
	if (o->bits <= 64)
		return (o->high ^ high) >> (64 - o->bits) == 0;
	return o->high == high && (o->low ^ low) >> (128 - o->bits) == 0;
}

// ---- making ----

static enum pe_status check(const struct pe_directory_grant *grants, size_t grant_count,
	const struct pe_directory_owned *owned, size_t owned_count, struct pe_error *error)
{
	if (grant_count > (size_t)PE_PRINCIPAL_NUMBER_MAX * 4 ||
		owned_count > PE_DIRECTORY_OWNED_MAX)
		return pe_fail(
			error, PE_INVALID, "more grants or owned prefixes than there may be");
	for (size_t i = 0; i < grant_count; i++)
		if (grants[i].principal < 1 || grants[i].principal > PE_PRINCIPAL_NUMBER_MAX ||
			(grants[i].space >= PE_SPACES_MAX &&
				grants[i].space != PE_DIRECTORY_EVERY_SPACE) ||
			grants[i].area.dimensions > 3 || grants[i].area.dimensions == 1)
			return pe_fail(error, PE_INVALID,
				"grant %zu: its principal, space or area is out of range", i + 1);
	for (size_t i = 0; i < owned_count; i++) {
		const struct pe_directory_owned *o = &owned[i];
		uint64_t high = word_of(o->prefix), low = word_of(o->prefix + 8);
		bool sound = o->bits >= 1 && o->bits <= 128 && o->principal >= 1 &&
			o->principal <= PE_PRINCIPAL_NUMBER_MAX;

		if (sound && o->bits < 64)
			sound = !(high << o->bits) && !low;
		else if (sound && o->bits < 128)
			sound = !(o->bits == 64 ? low : low << (o->bits - 64));
		if (!sound)
			return pe_fail(error, PE_INVALID,
				"owned prefix %zu: its principal or bits are out of range", i + 1);
	}
	return PE_OK;
}

static int by_prefix(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->high != y->high || x->low != y->low)
		return below(x, y->high, y->low) ? -1 : 1;
	return (int)x->bits - (int)y->bits;
}

static enum pe_status fill_owned(struct pe_principals *d, const struct pe_directory_owned *owned,
	size_t count, struct pe_error *error)
{
	uint32_t at = 0;

	for (size_t i = 0; i < count; i++)
		d->owned[i] = (struct owned){word_of(owned[i].prefix), word_of(owned[i].prefix + 8),
			owned[i].principal, owned[i].bits};
	qsort(d->owned, count, sizeof *d->owned, by_prefix);
	for (size_t i = 1; i < count; i++)
		if (holds(&d->owned[i - 1], d->owned[i].high, d->owned[i].low))
			return pe_fail(error, PE_INVALID,
				"entities of principal %u are principal %u's too",
				d->owned[i].principal, d->owned[i - 1].principal);
	d->owned_count = (uint32_t)count;
	for (uint32_t head = 0; d->by_head && head <= HEADS; head++) {
		while (at < count && d->owned[at].high >> 48 < head)
			at++;
		d->by_head[head] = at;
	}
	return PE_OK;
}

static void fill_grants(
	struct pe_principals *d, const struct pe_directory_grant *grants, size_t count)
{
	for (size_t i = 0; i < count; i++)
		d->first[grants[i].principal + 1]++;
	for (uint32_t n = 1; n <= d->number_max + 1; n++)
		d->first[n] += d->first[n - 1];
	for (size_t i = count; i-- > 0;) // from behind, so that their order stays
		d->grants[--d->first[grants[i].principal + 1]] = grants[i];
	// Each was moved to where its number's begin: one place too far on.
	memmove(d->first, d->first + 1, (d->number_max + 1) * sizeof *d->first);
	d->first[d->number_max + 1] = (uint32_t)count;
	d->grant_count = (uint32_t)count;
}

enum pe_status pe_principals_create(const struct pe_directory_grant *grants, size_t grant_count,
	const struct pe_directory_owned *owned, size_t owned_count,
	struct pe_principals **directory, struct pe_error *error)
{
	enum pe_status status = check(grants, grant_count, owned, owned_count, error);
	struct pe_principals *d;

	*directory = NULL;
	if (status != PE_OK)
		return status;
	d = calloc(1, sizeof *d); // cold: a directory is made
	if (!d)
		return pe_fail(error, PE_NO_MEMORY, "no memory for the directory of principals");
	for (size_t i = 0; i < grant_count; i++)
		if (grants[i].principal > d->number_max)
			d->number_max = grants[i].principal;
	d->first = calloc(d->number_max + 2, sizeof *d->first); // cold: as above
	d->grants = calloc(grant_count + 1, sizeof *d->grants); // cold: as above
	d->owned = calloc(owned_count + 1, sizeof *d->owned);   // cold: as above
	if (owned_count > FEW_TO_SEARCH)
		d->by_head = calloc(HEADS + 1, sizeof *d->by_head); // cold: as above
	d->bytes = sizeof *d + (d->number_max + 2) * sizeof *d->first +
		(grant_count + 1) * sizeof *d->grants + (owned_count + 1) * sizeof *d->owned +
		(d->by_head ? (HEADS + 1) * sizeof *d->by_head : 0);
	if (!d->first || !d->grants || !d->owned || (owned_count > FEW_TO_SEARCH && !d->by_head)) {
		status = pe_fail(error, PE_NO_MEMORY, "no memory for the directory of principals");
	} else {
		fill_grants(d, grants, grant_count);
		status = fill_owned(d, owned, owned_count, error);
	}
	for (uint32_t n = 1; status == PE_OK && n <= d->number_max; n++)
		if (d->first[n + 1] - d->first[n] > PE_DIRECTORY_GRANTS_MAX)
			status = pe_fail(error, PE_INVALID, "principal %u has more than %u grants",
				n, PE_DIRECTORY_GRANTS_MAX);
	if (status != PE_OK) {
		pe_principals_destroy(d);
		return status;
	}
	*directory = d;
	return PE_OK;
}

static int by_principal(const void *a, const void *b)
{
	const struct pe_directory_listed *x = a, *y = b;

	return (x->principal > y->principal) - (x->principal < y->principal);
}

// Into what was said of the same one before. False: it stands at two entities.
static bool join(struct pe_directory_listed *to, const struct pe_directory_listed *from)
{
	static const uint8_t nil[16];

	to->allow |= from->allow;
	to->deny |= from->deny;
	if (memcmp(from->stands, nil, 16) == 0 || memcmp(from->stands, to->stands, 16) == 0)
		return true;
	if (memcmp(to->stands, nil, 16) != 0)
		return false;
	memcpy(to->stands, from->stands, 16);
	return true;
}

enum pe_status pe_principals_list(struct pe_principals *d, const struct pe_directory_listed *listed,
	size_t count, struct pe_error *error)
{
	static const uint8_t nil[16];
	struct pe_directory_listed *list;
	uint32_t used = 0;

	if (count > (size_t)PE_PRINCIPAL_NUMBER_MAX * 4)
		return pe_fail(error, PE_INVALID, "more entries of lists than there may be");
	list = calloc(count + 1, sizeof *list); // cold: a directory is made
	if (!list)
		return pe_fail(error, PE_NO_MEMORY, "no memory for the lists of principals");
	if (count)
		memcpy(list, listed, count * sizeof *list);
	qsort(list, count, sizeof *list, by_principal); // cold: as above
	for (size_t i = 0; i < count; i++) {
		struct pe_directory_listed one = list[i];
		bool sound = one.principal >= 1 && one.principal <= PE_PRINCIPAL_NUMBER_MAX;

		if (sound && memcmp(one.stands, nil, 16) != 0)
			sound = pe_principals_owner(d, one.stands) == one.principal;
		if (sound && used && list[used - 1].principal == one.principal)
			sound = join(&list[used - 1], &one);
		else
			list[used++] = one;
		if (!sound) {
			free(list); // cold: as above
			return pe_fail(error, PE_INVALID,
				"principal %u: its number is out of range, or where it stands is not one entity of its own",
				one.principal);
		}
	}
	free(d->listed); // cold: as above
	d->listed = list;
	d->listed_count = used;
	d->bytes += (count + 1) * sizeof *list;
	return PE_OK;
}

void pe_principals_destroy(struct pe_principals *d)
{
	if (!d)
		return;
	free(d->first);   // cold: nobody reads it any more
	free(d->grants);  // cold: as above
	free(d->owned);   // cold: as above
	free(d->by_head); // cold: as above
	free(d->listed);  // cold: as above
	free(d);          // cold: as above
}

uint64_t pe_principals_bytes(const struct pe_principals *d)
{
	return d ? d->bytes : 0;
}

// ---- looking up ----

uint32_t pe_principals_owner(const struct pe_principals *d, const uint8_t id[16])
{
	uint32_t at = UINT32_MAX;

	return pe_principals_owner_from(d, id, &at);
}

uint32_t pe_principals_owner_from(const struct pe_principals *d, const uint8_t id[16], uint32_t *at)
{
	const struct owned *o;
	uint64_t high, low;
	uint32_t count;

	if (!d || !d->owned_count)
		return 0;
	high = word_of(id);
	low = word_of(id + 8);
	// As none holds another, it is the only one that may hold the id.
	if (*at < d->owned_count && holds(&d->owned[*at], high, low))
		return d->owned[*at].principal;
	o = d->owned;
	count = d->owned_count;
	if (d->by_head) {
		o += d->by_head[high >> 48];
		count = d->by_head[(high >> 48) + 1] - d->by_head[high >> 48];
	}
	// The last prefix that is not behind the id, or else the first, which then does not hold
	// it. Chance decides each step: it is no branch.
	while (count > 1) {
		uint32_t half = count / 2;

		o += half & (above(&o[half], high, low) - 1);
		count -= half;
	}
	// What a head has none of may have the one before it, whose prefix is shorter than a head.
	if (o > d->owned && (!count || above(o, high, low)))
		o--;
	if (!holds(o, high, low))
		return 0;
	*at = (uint32_t)(o - d->owned);
	return o->principal;
}

const struct pe_directory_listed *pe_principals_listed(
	const struct pe_principals *d, uint32_t principal)
{
	const struct pe_directory_listed wanted = {.principal = principal};

	if (!d || !principal || !d->listed_count)
		return NULL;
	return bsearch(&wanted, d->listed, d->listed_count, sizeof wanted, by_principal);
}

// The grants of a principal: from *grant, so many.
static uint32_t grants_of(
	const struct pe_principals *d, uint32_t principal, const struct pe_directory_grant **grant)
{
	if (!d || principal == 0 || principal > d->number_max)
		return 0;
	*grant = &d->grants[d->first[principal]];
	return d->first[principal + 1] - d->first[principal];
}

static bool is_of(const struct pe_directory_grant *g, unsigned space)
{
	return g->space == space || g->space == PE_DIRECTORY_EVERY_SPACE;
}

unsigned pe_principals_roles(const struct pe_principals *d, uint32_t principal, unsigned space)
{
	const struct pe_directory_grant *g = NULL;
	unsigned roles = 0;

	for (uint32_t n = grants_of(d, principal, &g); n; n--, g++)
		roles |= is_of(g, space) ? g->roles : 0u;
	return roles;
}

unsigned pe_principals_roles_everywhere(
	const struct pe_principals *d, uint32_t principal, unsigned space)
{
	const struct pe_directory_grant *g = NULL;
	unsigned roles = 0;

	for (uint32_t n = grants_of(d, principal, &g); n; n--, g++)
		roles |= is_of(g, space) && !g->area.dimensions ? g->roles : 0u;
	return roles;
}

bool pe_principals_may_at(const struct pe_principals *d, uint32_t principal, unsigned space,
	enum pe_role role, bool geodetic, const double position[3])
{
	const struct pe_directory_grant *g = NULL;

	for (uint32_t n = grants_of(d, principal, &g); n; n--, g++)
		if (is_of(g, space) && (g->roles & role) &&
			pe_area_holds(&g->area, geodetic, position))
			return true;
	return false;
}

bool pe_principals_may_within(const struct pe_principals *d, uint32_t principal, unsigned space,
	enum pe_role role, bool geodetic, const struct pe_bounds *bounds)
{
	const struct pe_directory_grant *g = NULL;

	for (uint32_t n = grants_of(d, principal, &g); n; n--, g++)
		if (is_of(g, space) && (g->roles & role) &&
			pe_area_holds_bounds(&g->area, geodetic, bounds))
			return true;
	return false;
}
