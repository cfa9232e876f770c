// The section `views` of the configuration: who is shown what. Principals stand in it by their names; they have numbers once there is a
// keyring.
#include "config_read.h"

#include "policy/crowd.h"
#include "policy/methods.h"
#include "space/coarse.h"

struct pe_config_views {
	struct pe_policy policies[PE_POLICIES_MAX];
	unsigned count;
	// of a policy those that are allowed, then those that are denied; owned
	struct {
		char **names;
		uint32_t *numbers;
		unsigned allow_count, deny_count, line;
	} who[PE_POLICIES_MAX];
};

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

static bool copy_names(const struct reader *r, const char *path, const struct raw_view_policy *raw,
	struct pe_config_views *v, unsigned index)
{
	unsigned count = raw->allow_count + raw->deny_count;

	v->who[index].line = raw_line(r->file, path);
	v->who[index].names = calloc(count + 1, sizeof(char *));
	v->who[index].numbers = calloc(count + 1, sizeof(uint32_t));
	if (!v->who[index].names || !v->who[index].numbers) {
		raw_fail(r->file, r->error, path, "no memory");
		return false;
	}
	v->who[index].allow_count = raw->allow_count;
	v->who[index].deny_count = raw->deny_count;
	for (unsigned i = 0; i < count; i++) {
		v->who[index].names[i] = strdup(
			i < raw->allow_count ? raw->allow[i] : raw->deny[i - raw->allow_count]);
		if (!v->who[index].names[i]) {
			raw_fail(r->file, r->error, path, "no memory");
			return false;
		}
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
		!read_prefix(r, AT("id_prefix"), raw->id_prefix, p) ||
		!read_area(r, AT("area"), raw->area, p) ||
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
	p->visibility = (uint8_t)visibility;
	p->type_mask = (uint16_t)type_mask;
	p->no_details = !details;
	p->no_velocity = !velocity;
	return copy_names(r, path, raw, c->views, index);
}

bool pe_config_read_views(const struct reader *r, const struct raw_views *raw, struct pe_config *c)
{
	struct pe_views views = {0};
	struct pe_error error = {0};

	if (!read_u32(r, "views.epoch_ms", raw->epoch_ms, PE_EPOCH_MIN_MS, PE_TTL_MAX_MS,
		    &c->engine.views.epoch_ms))
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
		// All that is wrong with it but who it names.
		struct pe_policy alone = c->views->policies[i];

		alone.allow_count = raw->policies[i].allow_count;
		alone.allow = c->views->who[i].numbers;
		if (pe_views_make(&views,
			    &(struct pe_views_config){.policies = &alone, .policy_count = 1},
			    c->engine.space_count, &error) != PE_OK) {
			char path[64];

			snprintf(path, sizeof path, "views.policies[%u]", i);
			raw_fail(r->file, r->error, path, "%.200s", error.text);
			pe_views_unmake(&views);
			return false;
		}
		pe_views_unmake(&views);
	}
	c->engine.views.policies = c->views->policies;
	c->engine.views.policy_count = c->views->count;
	return true;
}

enum pe_status pe_config_number_principals(struct pe_config *c,
	uint32_t (*number)(void *context, const char *name), void *context, struct pe_error *error)
{
	struct pe_config_views *v = c->views;

	for (unsigned i = 0; v && i < v->count; i++) {
		unsigned count = v->who[i].allow_count + v->who[i].deny_count;

		for (unsigned k = 0; k < count; k++) {
			const char *name = v->who[i].names[k];
			uint32_t n = number ? number(context, name) : 0;

			if (!n) {
				error->status = PE_INVALID;
				snprintf(error->text, sizeof error->text,
					"%.200s:%u: views.policies[%u].%s: there is no principal \"%.60s\"%s",
					c->file, v->who[i].line, i,
					k < v->who[i].allow_count ? "allow" : "deny", name,
					number ? ", or there are several" :
						 ": there is no keyring");
				return PE_INVALID;
			}
			v->who[i].numbers[k] = n;
		}
		v->policies[i].allow = v->who[i].numbers;
		v->policies[i].allow_count = v->who[i].allow_count;
		v->policies[i].deny = v->who[i].numbers + v->who[i].allow_count;
		v->policies[i].deny_count = v->who[i].deny_count;
	}
	return PE_OK;
}

void pe_config_free_views(struct pe_config *c)
{
	for (unsigned i = 0; c->views && i < c->views->count; i++) {
		unsigned count = c->views->who[i].allow_count + c->views->who[i].deny_count;

		for (unsigned k = 0; c->views->who[i].names && k < count; k++)
			free(c->views->who[i].names[k]);
		free(c->views->who[i].names);
		free(c->views->who[i].numbers);
	}
	free(c->views);
	c->views = NULL;
}
