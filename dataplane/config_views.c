// The section `views` of the configuration: who is shown what. Principals stand in it by their
// names; they have numbers once there is a keyring.
#include "config_read.h"

#include "guard/listed.h"
#include "wire/metadata.h"
#include "policy/crowd.h"
#include "policy/methods.h"
#include "policy/near.h"
#include "space/coarse.h"

struct pe_config_views {
	struct pe_policy policies[PE_POLICIES_MAX];
	unsigned count, line[PE_POLICIES_MAX];
	struct pe_listed_name *names; // sorted, each once; the texts are owned
	unsigned name_count;
};

static const char *const role_words[] = {"publish", "query", "subscribe", "admin"};

#define AT(key) (snprintf(at, sizeof at, "%s.%s", path, key), at)

static bool read_bits(const struct reader *r, const char *path, char **texts, unsigned count,
	const char *const *words, unsigned *bits)
{
	char at[112];

	for (unsigned i = 0; i < count; i++) {
		unsigned word = 0;

		snprintf(at, sizeof at, "%s[%u]", path, i);
		if (!read_word(r, at, texts[i], words, &word))
			return false;
		*bits |= 1u << word;
	}
	return true;
}

static bool read_prefix(
	const struct reader *r, const char *path, const char *text, struct pe_policy *p)
{
	unsigned digits = 0;

	for (; text && text[digits]; digits++) {
		int c = text[digits];
		int digit = c >= '0' && c <= '9' ? c - '0' :
			c >= 'a' && c <= 'f'     ? c - 'a' + 10 :
						   -1;

		if (digit < 0 || digits == 32)
			return fail(
				r, path, "must be 1 to 32 hexadecimal digits, small ones", text);
		p->prefix[digits / 2] |= (uint8_t)(digit << (digits % 2 ? 0 : 4));
	}
	if (text && !digits)
		return fail(r, path, "must be 1 to 32 hexadecimal digits, small ones", text);
	p->prefix_bits = (uint8_t)(4 * digits);
	return true;
}

static bool read_tags(
	const struct reader *r, const char *path, char **texts, unsigned count, struct pe_policy *p)
{
	char at[112];
	uint32_t fault;

	for (unsigned i = 0; i < count; i++) {
		size_t bytes = strlen(texts[i]);

		snprintf(at, sizeof at, "%s[%u]", path, i);
		if (bytes < 1 || bytes > PE_NAME_BYTES_MAX ||
			!pe_name_sound((const uint8_t *)texts[i], (uint32_t)bytes, &fault))
			return fail(r, at, "must be a tag, of 1 to 32 bytes", texts[i]);
		p->tags[i].bytes = (uint8_t)bytes;
		memcpy(p->tags[i].text, texts[i], bytes);
	}
	p->tag_count = (uint8_t)count;
	return true;
}

static bool read_minute(
	const struct reader *r, const char *path, const char *text, uint16_t *minute)
{
	unsigned hours, minutes;
	char end;

	if (!text)
		return true;
	if (strlen(text) != 5 || sscanf(text, "%2u:%2u%c", &hours, &minutes, &end) != 2 ||
		hours > 23 || minutes > 59)
		return fail(r, path, "must be a time of day, hh:mm, UTC", text);
	*minute = (uint16_t)(hours * 60 + minutes);
	return true;
}

static bool read_area(const struct reader *r, const char *path, const struct raw_view_area *raw,
	struct pe_policy *p)
{
	char at[112];

	if (!raw)
		return true;
	if (raw->low_count != 3 || raw->high_count != 3) {
		raw_fail(r->file, r->error, path, "needs low and high, three numbers each");
		return false;
	}
	p->area = true;
	for (unsigned i = 0; i < 3; i++) {
		snprintf(at, sizeof at, "%s.low[%u]", path, i);
		if (!read_double(r, at, raw->low[i], -1e9, 1e9, &p->low[i]))
			return false;
		snprintf(at, sizeof at, "%s.high[%u]", path, i);
		if (!read_double(r, at, raw->high[i], -1e9, 1e9, &p->high[i]))
			return false;
	}
	return true;
}

static bool read_method(const struct reader *r, const char *path, const struct raw_view_method *raw,
	struct pe_policy *p)
{
	char at[112], names[256], what[300];
	struct pe_error error = {0};

	if (!raw)
		return true;
	if (!raw->name) {
		raw_fail(r->file, r->error, path, "needs a name");
		return false;
	}
	p->method = pe_method_find(raw->name);
	if (!p->method) {
		pe_method_list(names, sizeof names);
		snprintf(what, sizeof what, "must be a method that is registered (%s)", names);
		return fail(r, AT("name"), what, raw->name);
	}
	if (!read_double(r, AT("first"), raw->first, -1e9, 1e9, &p->method_first) ||
		!read_double(r, AT("second"), raw->second, -1e9, 1e9, &p->method_second))
		return false;
	if (pe_method_check(p->method, p->method_first, p->method_second, &error) != PE_OK) {
		raw_fail(r->file, r->error, path, "%.200s", error.text);
		return false;
	}
	return true;
}

static bool read_space_name(const struct reader *r, const char *path, const char *text,
	const struct pe_config *c, struct pe_policy *p)
{
	p->space = PE_POLICY_EVERY_SPACE;
	for (unsigned i = 0; text && i < c->engine.space_count; i++)
		if (strcmp(c->engine.spaces[i].space.name, text) == 0)
			p->space = i;
	return !text || p->space != PE_POLICY_EVERY_SPACE ||
		fail(r, path, "must be the name of a space", text);
}

static bool add_name(const struct reader *r, const char *path, const char *text, bool role,
	bool deny, unsigned index, struct pe_config_views *v)
{
	struct pe_listed_name *grown = realloc(v->names, (v->name_count + 1) * sizeof *v->names);
	struct pe_listed_name *n;

	v->names = grown ? grown : v->names;
	n = grown ? &grown[v->name_count] : NULL;
	if (n)
		*n = (struct pe_listed_name){.text = strdup(text),
			.role = role,
			.allow = deny ? 0 : 1u << index,
			.deny = deny ? 1u << index : 0};
	if (!n || !n->text) {
		raw_fail(r->file, r->error, path, "no memory");
		return false;
	}
	v->name_count++;
	return true;
}

// Roles that give rights are the engine's; others are words of the keyring's.
static bool read_roles(const struct reader *r, const char *path, char **texts, unsigned count,
	bool deny, unsigned index, struct pe_config_views *v, uint8_t *roles)
{
	char at[112];

	for (unsigned i = 0; i < count; i++) {
		unsigned word = 0;

		snprintf(at, sizeof at, "%s[%u]", path, i);
		while (word < 4 && strcmp(texts[i], role_words[word]) != 0)
			word++;
		if (word < 4) {
			*roles |= (uint8_t)(1u << word);
			continue;
		}
		if (!texts[i][0] || strlen(texts[i]) >= PE_ROLE_NAME_MAX)
			return fail(r, at, "must be a role, of 1 to 31 bytes", texts[i]);
		if (!add_name(r, at, texts[i], true, deny, index, v))
			return false;
	}
	return true;
}

static bool read_who(const struct reader *r, const char *path, const struct raw_view_policy *raw,
	struct pe_config_views *v, unsigned index)
{
	struct pe_policy *p = &v->policies[index];
	char at[96];

	v->line[index] = raw_line(r->file, path);
	for (unsigned i = 0; i < raw->allow_count; i++)
		if (!add_name(r, path, raw->allow[i], false, false, index, v))
			return false;
	for (unsigned i = 0; i < raw->deny_count; i++)
		if (!add_name(r, path, raw->deny[i], false, true, index, v))
			return false;
	if (!read_roles(r, AT("allow_roles"), raw->allow_roles, raw->allow_roles_count, false,
		    index, v, &p->allow_roles) ||
		!read_roles(r, AT("deny_roles"), raw->deny_roles, raw->deny_roles_count, true,
			index, v, &p->deny_roles))
		return false;
	p->denies = raw->deny_count || raw->deny_roles_count;
	if (p->everyone && (raw->allow_count || raw->allow_roles_count)) {
		raw_fail(r->file, r->error, path,
			"either everyone is shown them or those that are named");
		return false;
	}
	return true;
}

// Each name once, with all the lists that it is in.
static void join_names(struct pe_config_views *v)
{
	unsigned used = 0;

	qsort(v->names, v->name_count, sizeof *v->names, pe_listed_compare);
	for (unsigned i = 0; i < v->name_count; i++) {
		struct pe_listed_name n = v->names[i];

		if (used && pe_listed_compare(&v->names[used - 1], &n) == 0) {
			v->names[used - 1].allow |= n.allow;
			v->names[used - 1].deny |= n.deny;
			free((char *)n.text);
		} else {
			v->names[used++] = n;
		}
	}
	v->name_count = used;
}

// In spaces where a place is more than anybody's word, and of a reach that is few cells.
static bool read_within(const struct reader *r, const char *path, const char *text,
	const struct pe_config *c, struct pe_policy *p)
{
	for (unsigned i = 0; text && i < c->engine.space_count; i++) {
		const struct pe_space_policy *s = &c->engine.spaces[i];

		if (p->space != PE_POLICY_EVERY_SPACE && p->space != i)
			continue;
		if (s->authorization == PE_AUTHORIZATION_OPEN) {
			raw_fail(r->file, r->error, path,
				"the space \"%.31s\" is open: there anybody may say where somebody stands",
				s->space.name);
			return false;
		}
		if (!read_double(r, path, text, 1, PE_NEAR_EDGES_MAX * s->space.leaf_edge_m,
			    &p->within_m))
			return false;
	}
	return true;
}

static bool read_policy(const struct reader *r, unsigned index, const struct raw_view_policy *raw,
	struct pe_config *c)
{
	static const char *const wishes[] = {"public", "anonymous", "restricted", "hidden", NULL};
	static const char *const types[] = {
		"static", "mobile", "temporary", "recurring", "custom", NULL};
	struct pe_policy *p = &c->views->policies[index];
	unsigned visibility = 0, type_mask = 0;
	bool details = true, velocity = true;
	char path[64], at[96];

	snprintf(path, sizeof path, "views.policies[%u]", index);
	if (!raw->name || !raw->name[0] || strlen(raw->name) >= sizeof p->name) {
		raw_fail(r->file, r->error, path, "needs a name, shorter than 32 bytes");
		return false;
	}
	snprintf(p->name, sizeof p->name, "%s", raw->name);
	if (!read_space_name(r, AT("space"), raw->space, c, p) ||
		!read_bits(r, AT("visibility"), raw->visibility, raw->visibility_count, wishes,
			&visibility) ||
		!read_bits(r, AT("types"), raw->types, raw->types_count, types, &type_mask) ||
		!read_tags(r, AT("tags"), raw->tags, raw->tags_count, p) ||
		!read_prefix(r, AT("id_prefix"), raw->id_prefix, p) ||
		!read_area(r, AT("area"), raw->area, p) ||
		!read_within(r, AT("within_m"), raw->within_m, c, p) ||
		!read_bool(r, AT("everyone"), raw->everyone, &p->everyone) ||
		!read_minute(r, AT("from"), raw->from, &p->from_minute) ||
		!read_minute(r, AT("until"), raw->until, &p->until_minute) ||
		!read_bool(r, AT("anonymous"), raw->anonymous, &p->anonymous) ||
		!read_bool(r, AT("details"), raw->details, &details) ||
		!read_bool(r, AT("velocity"), raw->velocity, &velocity) ||
		!read_double(r, AT("grid_m"), raw->grid_m, 1, PE_ROUND_EDGE_MAX_M, &p->cloak_m) ||
		!read_double(r, AT("planar_laplace_m"), raw->planar_laplace_m, 1,
			PE_LAPLACE_SCALE_MAX, &p->laplace_m) ||
		!read_u32(r, AT("k_anonymity"), raw->k_anonymity, 2, PE_CROWD_K_MAX, &p->k) ||
		!read_double(r, AT("area_m"), raw->area_m, PE_CROWD_EDGE_MIN, PE_CROWD_EDGE_MAX,
			&p->area_m) ||
		!read_u32(r, AT("ttl_max_ms"), raw->ttl_max_ms, 1, PE_TTL_MAX_MS, &p->ttl_max_ms) ||
		!read_method(r, AT("method"), raw->method, p) ||
		!read_u32(r, AT("counts_below"), raw->counts_below, PE_COUNTS_BELOW_MIN,
			PE_COUNTS_BELOW_MAX, &p->counts_below) ||
		!read_double(r, AT("counts_cell_m"), raw->counts_cell_m, 1, PE_COUNTS_CELL_MAX,
			&p->counts_cell_m))
		return false;
	if (!raw->from != !raw->until) {
		raw_fail(r->file, r->error, path, "needs both of from and until, or neither");
		return false;
	}
	if (!raw->k_anonymity != !raw->area_m) {
		raw_fail(r->file, r->error, path,
			"needs both of k_anonymity and area_m, or neither");
		return false;
	}
	if (!raw->counts_below != !raw->counts_cell_m) {
		raw_fail(r->file, r->error, path,
			"needs both of counts_below and counts_cell_m, or neither");
		return false;
	}
	if (p->area && p->space == PE_POLICY_EVERY_SPACE) {
		raw_fail(r->file, r->error, AT("area"), "is one of a space: name it");
		return false;
	}
	if (p->tag_count && !c->engine.details_bytes) {
		raw_fail(r->file, r->error, AT("tags"),
			"nothing has tags without memory.details_mb");
		return false;
	}
	p->visibility = (uint8_t)visibility;
	p->type_mask = (uint16_t)type_mask;
	p->no_details = !details;
	p->no_velocity = !velocity;
	return read_who(r, path, raw, c->views, index);
}

bool pe_config_read_views(const struct reader *r, const struct raw_views *raw, struct pe_config *c)
{
	struct pe_views views = {0};
	struct pe_error error = {0};

	if (!read_u32(r, "views.epoch_ms", raw->epoch_ms, PE_EPOCH_MIN_MS, PE_TTL_MAX_MS,
		    &c->engine.views.epoch_ms) ||
		!read_u32(r, "views.cohort_epochs", raw->cohort_epochs, PE_CROWD_PERIOD_MIN,
			PE_CROWD_PERIOD_MAX, &c->engine.views.cohort_epochs))
		return false;
	if (raw->policies_count > PE_POLICIES_MAX) {
		raw_fail(
			r->file, r->error, "views.policies", "at most %u entries", PE_POLICIES_MAX);
		return false;
	}
	if (!raw->policies_count)
		return true;
	c->views = calloc(1, sizeof *c->views);
	if (!c->views) {
		raw_fail(r->file, r->error, "views", "no memory");
		return false;
	}
	for (unsigned i = 0; i < raw->policies_count; i++) {
		// So that it is freed whatever is wrong with it.
		c->views->count = i + 1;
		if (!read_policy(r, i, &raw->policies[i], c))
			return false;
		if (pe_views_make(&views,
			    &(struct pe_views_config){
				    .policies = &c->views->policies[i], .policy_count = 1},
			    c->engine.space_count, &error) != PE_OK) {
			char path[64];

			snprintf(path, sizeof path, "views.policies[%u]", i);
			raw_fail(r->file, r->error, path, "%.200s", error.text);
			pe_views_unmake(&views);
			return false;
		}
		pe_views_unmake(&views);
	}
	join_names(c->views);
	c->engine.views.policies = c->views->policies;
	c->engine.views.policy_count = c->views->count;
	return true;
}

struct pe_listed_name *pe_config_names(const struct pe_config *c, unsigned *count)
{
	*count = c->views ? c->views->name_count : 0;
	return c->views ? c->views->names : NULL;
}

void pe_config_name_place(const struct pe_config *c, const struct pe_listed_name *name, bool deny,
	char *text, size_t bytes)
{
	unsigned policy;

	deny |= !name->allow;
	policy = (unsigned)__builtin_ctz(deny ? name->deny : name->allow);
	snprintf(text, bytes, "%.200s:%u: views.policies[%u].%s%s", c->file, c->views->line[policy],
		policy, deny ? "deny" : "allow", name->role ? "_roles" : "");
}

enum pe_status pe_config_check_unkeyed(const struct pe_config *c, struct pe_error *error)
{
	const struct pe_config_views *v = c->views;
	char place[256];

	if (v && v->name_count) {
		pe_config_name_place(c, &v->names[0], false, place, sizeof place);
		snprintf(error->text, sizeof error->text,
			"%s: there is no %s \"%.60s\": there is no keyring", place,
			v->names[0].role ? "role" : "principal", v->names[0].text);
		return error->status = PE_INVALID;
	}
	for (unsigned i = 0; v && i < v->count; i++) {
		const struct pe_policy *p = &v->policies[i];

		if (!p->allow_roles && !p->deny_roles && !(p->within_m > 0))
			continue;
		snprintf(error->text, sizeof error->text,
			"%.200s:%u: views.policies[%u]: nobody has a role or stands anywhere: there is no keyring",
			c->file, v->line[i], i);
		return error->status = PE_INVALID;
	}
	return PE_OK;
}

void pe_config_free_views(struct pe_config *c)
{
	for (unsigned i = 0; c->views && i < c->views->name_count; i++)
		free((char *)c->views->names[i].text);
	if (c->views)
		free(c->views->names);
	free(c->views);
	c->views = NULL;
}
