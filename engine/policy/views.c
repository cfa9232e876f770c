#include "policy/views.h"

#include "policy/crowd.h"
#include "policy/methods.h"
#include "policy/near.h"
#include "policy/principals.h"
#include "space/coarse.h"
#include "wire/metadata.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#ifdef PE_HAVE_SODIUM
#include <sodium.h>
#endif

#define PER_SPACE   (PE_AUDIENCE_POLICY - PE_AUDIENCE_COARSE) // layers that each space has
#define DAY_MINUTES 1440u
static_assert(PE_AUDIENCES_MAX <= PE_CROWD_SETS, "a set each");
static_assert(PE_POLICY_TAG_BYTES_MAX == PE_NAME_BYTES_MAX, "a tag of a context");

__attribute__((format(printf, 3, 4))) static enum pe_status refuse(
	struct pe_error *error, const struct pe_policy *p, const char *format, ...)
{
	int n = snprintf(error->text, sizeof error->text, "policy %.31s: ", p->name);
	va_list args;

	error->status = PE_INVALID;
	va_start(args, format);
	vsnprintf(error->text + n, sizeof error->text - (size_t)n, format, args);
	va_end(args);
	return PE_INVALID;
}

static enum pe_status check(const struct pe_policy *p, unsigned space_count, struct pe_error *error)
{
	struct pe_error wrong;

	if (p->space != PE_POLICY_EVERY_SPACE && p->space >= space_count)
		return refuse(error, p, "there is no space %u", p->space);
	if (p->prefix_bits > 128 || p->visibility > 15 || p->type_mask > 31)
		return refuse(
			error, p, "an id has 128 bits, and there are 4 visibilities and 5 types");
	if (p->everyone && (p->allow_count || p->allow_roles))
		return refuse(error, p, "either everyone is shown them or those that are named");
	if (p->everyone && (p->visibility & (1u << PE_HIDDEN | 1u << PE_RESTRICTED)))
		return refuse(error, p, "who asks to be hidden or restricted is not for everyone");
	if (p->allow_count > PE_POLICY_PRINCIPALS_MAX || p->deny_count > PE_POLICY_PRINCIPALS_MAX)
		return refuse(
			error, p, "at most %u principals in a list", PE_POLICY_PRINCIPALS_MAX);
	if ((p->allow_roles | p->deny_roles) >= 2 * PE_ROLE_ADMIN)
		return refuse(error, p, "there are 4 roles");
	if (p->tag_count > PE_POLICY_TAGS_MAX)
		return refuse(error, p, "at most %u tags", PE_POLICY_TAGS_MAX);
	for (unsigned i = 0; i < p->tag_count; i++) {
		uint32_t at;

		if (p->tags[i].bytes < 1 || p->tags[i].bytes > PE_NAME_BYTES_MAX ||
			!pe_name_sound(p->tags[i].text, p->tags[i].bytes, &at))
			return refuse(
				error, p, "a tag is UTF-8 of 1 to %u bytes", PE_NAME_BYTES_MAX);
	}
	if (p->from_minute >= DAY_MINUTES || p->until_minute >= DAY_MINUTES)
		return refuse(error, p, "a day has %u minutes", DAY_MINUTES);
	if (p->cloak_m != 0 && !(p->cloak_m >= 1 && p->cloak_m <= PE_ROUND_EDGE_MAX_M))
		return refuse(error, p, "grid: cells of 1 to %g m", PE_ROUND_EDGE_MAX_M);
	if (p->laplace_m != 0 && !(p->laplace_m >= 1 && p->laplace_m <= PE_LAPLACE_SCALE_MAX))
		return refuse(
			error, p, "planar_laplace: a scale of 1 to %g m", PE_LAPLACE_SCALE_MAX);
	if (p->k &&
		(p->k < 2 || p->k > PE_CROWD_K_MAX ||
			!(p->area_m >= PE_CROWD_EDGE_MIN && p->area_m <= PE_CROWD_EDGE_MAX)))
		return refuse(error, p, "k_anonymity: a k of 2 to %u, areas of %g to %g m",
			PE_CROWD_K_MAX, PE_CROWD_EDGE_MIN, PE_CROWD_EDGE_MAX);
	if ((p->k != 0) + (p->laplace_m != 0) + (p->cloak_m != 0) + (p->method != NULL) > 1)
		return refuse(error, p, "one of grid, planar_laplace, k_anonymity and method");
	if (p->counts_below &&
		(p->counts_below < PE_COUNTS_BELOW_MIN || p->counts_below > PE_COUNTS_BELOW_MAX ||
			!(p->counts_cell_m >= 1 && p->counts_cell_m <= PE_COUNTS_CELL_MAX)))
		return refuse(error, p, "counts_below: %u to %u, in cells of 1 to %g m",
			PE_COUNTS_BELOW_MIN, PE_COUNTS_BELOW_MAX, PE_COUNTS_CELL_MAX);
	if (p->method && pe_method_find(p->method->name) != p->method)
		return refuse(error, p, "a method that is not registered");
	if (p->method &&
		pe_method_check(p->method, p->method_first, p->method_second, &wrong) != PE_OK)
		return refuse(error, p, "%.200s", wrong.text);
	if (!(p->within_m >= 0 && isfinite(p->within_m)))
		return refuse(error, p, "within_m: metres");
	if (p->counts_below && p->within_m > 0)
		return refuse(error, p, "one of counts_below and within_m");
	if (p->area && (p->laplace_m != 0 || p->k || p->method))
		return refuse(
			error, p, "an area would tell on which side of its edge the true place is");
	for (unsigned i = 0; p->area && i < 3; i++)
		if (!isfinite(p->low[i]) || !isfinite(p->high[i]))
			return refuse(error, p, "area: corners are numbers");
	return PE_OK;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static const uint32_t *copy_list(uint32_t **at, const uint32_t *from, uint32_t count)
{
	uint32_t *list = *at;

	if (!count)
		return NULL;
	memcpy(list, from, count * sizeof *list);
	qsort(list, count, sizeof *list, by_number); // cold: at start
	*at += count;
	return list;
}

static void set_bits(struct pe_views *v)
{
	v->everyone =
		1u << PE_AUDIENCE_OPEN | 1u << PE_AUDIENCE_COARSE | 1u << PE_AUDIENCE_ANONYMOUS;
	v->anonymous = 1u << PE_AUDIENCE_ANONYMOUS;
	for (unsigned i = 0; i < v->policy_count; i++) {
		const struct pe_policy *p = &v->policy[i];
		uint32_t bit = 1u << (PE_AUDIENCE_POLICY + i);

		bool denies = p->deny_count || p->deny_roles || p->denies;

		v->everyone |= p->everyone && !denies && !(p->within_m > 0) ? bit : 0;
		v->anonymous |= p->anonymous || (p->visibility & 1u << PE_ANONYMOUS) ? bit : 0;
		v->within |= p->within_m > 0 ? bit : 0;
		v->crowds |= p->k != 0;
		v->tagged |= p->tag_count != 0;
		v->no_details |= p->no_details || p->counts_below ? bit : 0;
		v->counted |= p->counts_below ? bit : 0;
		v->timed |= p->from_minute != p->until_minute ? bit : 0;
	}
}

// False: there are more than a key can tell apart.
static bool number_layers(struct pe_views *v, unsigned space_count)
{
	unsigned next = PE_LAYER_FIRST;

	for (unsigned s = 0; s < space_count; s++) {
		for (unsigned a = PE_AUDIENCE_COARSE; a < PE_AUDIENCE_POLICY + v->policy_count;
			a++) {
			const struct pe_policy *p =
				a < PE_AUDIENCE_POLICY ? NULL : &v->policy[a - PE_AUDIENCE_POLICY];

			if (p && p->space != PE_POLICY_EVERY_SPACE && p->space != s)
				continue;
			if (next == PE_LAYER_FIRST + PE_LAYERS_MAX)
				return false;
			v->layer[s][a] = (uint8_t)next++;
#ifdef PE_PLANT_HIDDEN_BESIDE // tests only: hidden ones are left out of answers alone
			if (a == PE_AUDIENCE_HIDDEN)
				v->layer[s][a] = (uint8_t)s;
#endif
		}
	}
	return true;
}

enum pe_status pe_views_make(struct pe_views *v, const struct pe_views_config *config,
	unsigned space_count, struct pe_error *error)
{
	size_t principals = 0;
	uint32_t *at;

	memset(v, 0, sizeof *v);
	v->epoch_ms = config->epoch_ms ? config->epoch_ms : PE_EPOCH_MS;
	error->status = PE_INVALID;
	if (v->epoch_ms < PE_EPOCH_MIN_MS) {
		snprintf(error->text, sizeof error->text, "epoch: at least %u ms", PE_EPOCH_MIN_MS);
		return PE_INVALID;
	}
	v->cohort_epochs = config->cohort_epochs ? config->cohort_epochs : PE_CROWD_PERIOD;
	if (v->cohort_epochs < PE_CROWD_PERIOD_MIN || v->cohort_epochs > PE_CROWD_PERIOD_MAX) {
		snprintf(error->text, sizeof error->text, "cohort_epochs: %u to %u",
			PE_CROWD_PERIOD_MIN, PE_CROWD_PERIOD_MAX);
		return PE_INVALID;
	}
	if (config->policy_count > PE_POLICIES_MAX) {
		snprintf(error->text, sizeof error->text, "at most %u policies", PE_POLICIES_MAX);
		return PE_INVALID;
	}
	for (unsigned i = 0; i < config->policy_count; i++) {
		enum pe_status status = check(&config->policies[i], space_count, error);

		if (status != PE_OK)
			return status;
		principals += config->policies[i].allow_count + config->policies[i].deny_count;
	}
	v->principals = at = malloc((principals + 1) * sizeof *at); // cold: at start
	if (!at || getrandom(v->key, sizeof v->key, 0) != (ssize_t)sizeof v->key) {
		error->status = PE_NO_MEMORY;
		snprintf(error->text, sizeof error->text, "no memory or randomness for policies");
		return PE_NO_MEMORY;
	}
	v->policy_count = config->policy_count;
	for (unsigned i = 0; i < v->policy_count; i++) {
		struct pe_policy *p = &v->policy[i];

		*p = config->policies[i];
		p->allow = copy_list(&at, p->allow, p->allow_count);
		p->deny = copy_list(&at, p->deny, p->deny_count);
	}
	set_bits(v);
#ifdef PE_HAVE_SODIUM
	v->names = sodium_init() >= 0;
#endif
	if (!number_layers(v, space_count)) {
		snprintf(error->text, sizeof error->text,
			"%u spaces with %u policies need more than %u layers: name the spaces of the policies",
			space_count, v->policy_count, PE_LAYERS_MAX);
		return PE_INVALID;
	}
	error->status = PE_OK;
	return PE_OK;
}

void pe_views_unmake(struct pe_views *v)
{
	free(v->principals); // cold: at the end
	memset(v, 0, sizeof *v);
}

// ---- who ----

static bool among(const uint32_t *list, uint32_t count, uint32_t principal)
{
	return count && bsearch(&principal, list, count, sizeof *list, by_number);
}

static bool within_day(const struct pe_policy *p, uint64_t wall_ms)
{
	unsigned minute = (unsigned)(wall_ms / 60000 % DAY_MINUTES);

	if (p->from_minute == p->until_minute)
		return true;
	if (p->from_minute < p->until_minute)
		return minute >= p->from_minute && minute < p->until_minute;
	return minute >= p->from_minute || minute < p->until_minute;
}

static uint32_t belongs_to(const struct pe_views *v, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint64_t wall_ms)
{
	static const struct pe_directory_listed unlisted = {0};
	const struct pe_directory_listed *listed =
		v->policy_count ? pe_principals_listed(directory, principal) : NULL;
	uint32_t sees = v->everyone;

	if (!listed)
		listed = &unlisted;
	for (unsigned i = 0; i < v->policy_count; i++) {
		const struct pe_policy *p = &v->policy[i];
		uint32_t bit = 1u << (PE_AUDIENCE_POLICY + i);
		bool shown = p->everyone || (listed->allow >> i & 1) ||
			among(p->allow, p->allow_count, principal) ||
			(p->allow_roles &&
				(p->allow_roles &
					pe_principals_roles_everywhere(
						directory, principal, space)));

		if (!principal)
			shown = v->everyone & bit;
		else if ((listed->deny >> i & 1) || among(p->deny, p->deny_count, principal) ||
			(p->deny_roles &&
				(p->deny_roles & pe_principals_roles(directory, principal, space))))
			shown = false;
		if (shown && within_day(p, wall_ms))
			sees |= bit;
		else
			sees &= ~bit;
	}
	return sees;
}

uint32_t pe_views_sees(const struct pe_views *v, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint64_t wall_ms)
{
	return belongs_to(v, directory, space, principal, wall_ms) & ~v->counted;
}

uint32_t pe_views_counts(const struct pe_views *v, const struct pe_principals *directory,
	unsigned space, uint32_t principal, uint64_t wall_ms)
{
	return v->counted ? belongs_to(v, directory, space, principal, wall_ms) & v->counted : 0;
}

// ---- which, and how ----

// The precision levels' edges, metres.
static double level_edge(uint16_t attributes)
{
	static const double edges[8] = {0, 1, 10, 100, 1000, 10000, 0, 0};

	return edges[PE_ATTRIBUTE_PRECISION_LEVEL(attributes)];
}

static bool has_prefix(const struct pe_policy *p, const uint8_t id[16])
{
	unsigned bytes = p->prefix_bits / 8, bits = p->prefix_bits % 8;

	return memcmp(p->prefix, id, bytes) == 0 &&
		(!bits || (p->prefix[bytes] ^ id[bytes]) >> (8 - bits) == 0);
}

static bool within(double v, double low, double high)
{
	return low <= high ? v >= low && v <= high : v >= low || v <= high;
}

// By the place that is published, or the edge of the area would tell of the true one.
static bool in_area(const struct pe_policy *p, const struct pe_space *space,
	const struct pe_wire_update *u, double edge_m)
{
	bool geodetic = space->config.kind == PE_SPACE_GEODETIC;
	bool known = !(u->attributes & PE_ATTRIBUTE_HEIGHT_UNKNOWN);
	double at[3];

	memcpy(at, u->position, sizeof at);
	if (edge_m > 0)
		(void)pe_space_coarse(space, edge_m, u->position, known, at);
	return at[0] >= p->low[0] && at[0] <= p->high[0] &&
		(geodetic ? within(at[1], p->low[1], p->high[1]) :
			    at[1] >= p->low[1] && at[1] <= p->high[1]) &&
		(geodetic || (at[2] >= p->low[2] && at[2] <= p->high[2]));
}

static bool matches(const struct pe_policy *p, const struct pe_space *space,
	const struct pe_wire_update *u, double edge_m)
{
	unsigned wish = PE_ATTRIBUTE_VISIBILITY(u->attributes);
	unsigned type = u->entity_type >= PE_ENTITY_CUSTOM ? 4u : u->entity_type;

	return (p->space == PE_POLICY_EVERY_SPACE || p->space == space->index) &&
		(p->visibility ? p->visibility >> wish & 1 : wish == PE_PUBLIC) &&
		(!p->type_mask || p->type_mask >> type & 1) && has_prefix(p, u->entity_id) &&
		(!p->area || in_area(p, space, u, edge_m));
}

static bool has_tag(const struct pe_policy *p, const struct pe_tags *tags)
{
	for (unsigned i = 0; tags->context && i < p->tag_count; i++)
		if (pe_context_has_tag(
			    tags->context, tags->bytes, p->tags[i].text, p->tags[i].bytes))
			return true;
	return !p->tag_count;
}

enum pe_reason pe_views_match(const struct pe_views *v, const struct pe_space *space,
	const struct pe_wire_update *u, const struct pe_tags *tags, struct pe_veiling *veiling)
{
	double wish_m = level_edge(u->attributes);

	*veiling = (struct pe_veiling){.edge_m = wish_m};
	for (unsigned i = 0; i < v->policy_count; i++) {
		const struct pe_policy *p = &v->policy[i];
		double edge_m = fmax(fmax(wish_m, p->cloak_m), p->laplace_m);

		if (!matches(p, space, u, edge_m))
			continue;
		// Whoever has none of them is looked at further.
		veiling->open |= p->tag_count && !tags->known;
		if (!has_tag(p, tags))
			continue;
		veiling->audience = PE_AUDIENCE_POLICY + i;
		veiling->edge_m = fmax(wish_m, p->cloak_m);
		veiling->policy = p;
		// Without the library that draws them there are neither names nor noise.
		if (!v->names &&
			(v->anonymous >> veiling->audience & 1 || p->laplace_m > 0 || p->method))
			return PE_REASON_visibility;
		return PE_REASON_none;
	}
	switch (PE_ATTRIBUTE_VISIBILITY(u->attributes)) {
	case PE_ANONYMOUS:
		veiling->audience = PE_AUDIENCE_ANONYMOUS;
		return v->names ? PE_REASON_none : PE_REASON_visibility;
	case PE_HIDDEN:
		veiling->audience = PE_AUDIENCE_HIDDEN;
		return PE_REASON_none;
	case PE_RESTRICTED: // nothing says who may see it
		return PE_REASON_visibility;
	default:
		veiling->audience = wish_m > 0 ? PE_AUDIENCE_COARSE : PE_AUDIENCE_OPEN;
		return PE_REASON_none;
	}
}

uint32_t pe_views_within(const struct pe_views *v, unsigned space)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < v->policy_count; i++)
		if (v->policy[i].within_m > 0 &&
			(v->policy[i].space == PE_POLICY_EVERY_SPACE ||
				v->policy[i].space == space))
			bits |= 1u << (PE_AUDIENCE_POLICY + i);
	return bits;
}

bool pe_views_watch_all(const struct pe_views *v, unsigned space)
{
	for (unsigned i = 0; i < v->policy_count; i++) {
		const struct pe_policy *p = &v->policy[i];

		if ((p->space == PE_POLICY_EVERY_SPACE || p->space == space) &&
			(!p->visibility || (p->visibility & 1u << PE_PUBLIC)))
			return true;
	}
	return false;
}

// ---- names and noise ----

#ifdef PE_HAVE_SODIUM
// One keyed function for both, apart by their first byte.
static void derive(const struct pe_views *v, uint8_t purpose, const uint8_t id[16], uint64_t epoch,
	const double cell[3], uint8_t out[32])
{
	uint8_t text[64] = {purpose};

	memcpy(text + 8, &epoch, sizeof epoch);
	memcpy(text + 16, id, 16);
	if (cell)
		memcpy(text + 32, cell, 3 * sizeof *cell);
	crypto_generichash(out, 32, text, sizeof text, v->key, sizeof v->key);
}

void pe_views_name(const struct pe_views *v, const uint8_t id[16], uint64_t epoch, uint8_t name[16])
{
	uint8_t out[32];

	derive(v, 1, id, epoch, NULL, out);
	memcpy(name, out, 16);
	name[0] |= 1; // never nil
}
#else
// Without the library no entity is let in that would need it.
static void derive(const struct pe_views *v, uint8_t purpose, const uint8_t id[16], uint64_t epoch,
	const double cell[3], uint8_t out[32])
{
	memset(out, 0, 32);
}

void pe_views_name(const struct pe_views *v, const uint8_t id[16], uint64_t epoch, uint8_t name[16])
{
	memset(name, 0xFF, 16);
}
#endif

void pe_views_draw(const struct pe_views *v, const uint8_t id[16], uint64_t epoch, uint32_t policy,
	uint32_t block, uint8_t out[32])
{
	const double of[3] = {policy, block, 0};

	derive(v, 3, id, epoch, of, out);
}

// In (0, 1].
static double unit(const uint8_t at[8])
{
	uint64_t bits;

	memcpy(&bits, at, sizeof bits);
	return ((double)(bits >> 11) + 1) * 0x1p-53;
}

void pe_views_noise(const struct pe_views *v, const uint8_t id[16], uint64_t epoch,
	const double cell[3], double scale_m, double noise_m[2])
{
	uint8_t out[32];
	double r, turn;

	derive(v, 2, id, epoch, cell, out);
	// The distance has a Gamma(2) distribution: two exponential ones, added (Andrés et al.,
	// geo-indistinguishability, 2013).
	r = -scale_m * (log(unit(out)) + log(unit(out + 8)));
	turn = 2 * M_PI * unit(out + 16);
	noise_m[0] = r * cos(turn);
	noise_m[1] = r * sin(turn);
}
