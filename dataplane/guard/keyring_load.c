#include "keyring_internal.h"
#include "keyring_read.h"
#include "seal/chain.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static bool read_times(const struct keyring_reader *r, const char *path, const char *from,
	const char *until, uint64_t *from_ms, uint64_t *until_ms)
{
	char at[128];

	*from_ms = 0;
	*until_ms = UINT64_MAX;
	snprintf(at, sizeof at, "%s.from", path);
	if (!keyring_time(r, at, from, from_ms))
		return false;
	snprintf(at, sizeof at, "%s.until", path);
	if (!keyring_time(r, at, until, until_ms))
		return false;
	if (*from_ms >= *until_ms) {
		raw_fail(r->file, r->error, at, "must be later than from");
		return false;
	}
	return true;
}

static bool read_engine(
	const struct keyring_reader *r, const struct raw_engine *raw, struct pe_keyring *k)
{
	char path[64], at[96];

	if (raw->keys_count == 0) {
		raw_fail(r->file, r->error, "engine", "needs at least one key under keys");
		return false;
	}
	if (!keyring_level(r, "engine.level", raw->level, &k->level) ||
		(raw->psk_file && !keyring_secret(r, "engine.psk_file", raw->psk_file, k->psks[0])))
		return false;
	for (unsigned i = 0; i < raw->keys_count; i++) {
		struct pe_engine_key *key = &k->engine_keys[i];

		snprintf(path, sizeof path, "engine.keys[%u]", i);
		snprintf(at, sizeof at, "%s.secret_file", path);
		if (!raw->keys[i].secret_file) {
			raw_fail(r->file, r->error, path, "needs secret_file");
			return false;
		}
		if (!keyring_secret(r, at, raw->keys[i].secret_file, key->secret) ||
			!read_times(r, path, raw->keys[i].from, raw->keys[i].until, &key->from_ms,
				&key->until_ms))
			return false;
		(void)crypto_scalarmult_base(key->public, key->secret);
		pe_chain_key_id(key->public, key->id);
		pe_chain_mac_key(key->public, key->mac_key);
		k->engine_key_count = i + 1;
		for (unsigned j = 0; j < i; j++)
			if (memcmp(k->engine_keys[j].id, key->id, sizeof key->id) == 0) {
				raw_fail(r->file, r->error, at, "is the key of engine.keys[%u] too",
					j);
				return false;
			}
	}
	return true;
}

static bool read_key(const struct keyring_reader *r, const char *path,
	const struct raw_principal_key *raw, struct pe_keyring *k)
{
	static const uint8_t one[32] = {1};
	struct pe_keyring_key *key = &k->keys[k->key_count];
	uint8_t product[32];
	char at[128];

	snprintf(at, sizeof at, "%s.public_key", path);
	if (!raw->public_key) {
		raw_fail(r->file, r->error, path, "needs public_key");
		return false;
	}
	if (!keyring_hex(r, at, raw->public_key, key->public))
		return false;
	// A point of small order has the product zero with every secret.
	if (crypto_scalarmult(product, one, key->public) != 0) {
		raw_fail(r->file, r->error, at, "is no public key");
		return false;
	}
	if (!read_times(r, path, raw->from, raw->until, &key->from_ms, &key->until_ms))
		return false;
	key->principal = k->principal_count;
	if (raw->psk_file) {
		snprintf(at, sizeof at, "%s.psk_file", path);
		if (!keyring_secret(r, at, raw->psk_file, k->psks[k->psk_count]))
			return false;
		key->psk = k->psk_count++;
	}
	k->key_count++;
	return true;
}

static bool read_area(const struct keyring_reader *r, const char *path, const struct raw_area *raw,
	struct pe_grant *grant)
{
	char at[160];

	if (raw->low_count != raw->high_count || raw->low_count < 2) {
		raw_fail(r->file, r->error, path, "needs low and high, of 2 or of 3 numbers each");
		return false;
	}
	grant->dimensions = (uint8_t)raw->low_count;
	for (unsigned i = 0; i < raw->low_count; i++) {
		snprintf(at, sizeof at, "%s.low[%u]", path, i);
		if (!keyring_number(r, at, raw->low[i], &grant->low[i]))
			return false;
		snprintf(at, sizeof at, "%s.high[%u]", path, i);
		if (!keyring_number(r, at, raw->high[i], &grant->high[i]))
			return false;
		// The second may be a longitude, and an area may lie across the antimeridian.
		if (i != 1 && grant->low[i] > grant->high[i]) {
			raw_fail(r->file, r->error, at, "must not be below low[%u]", i);
			return false;
		}
	}
	return true;
}

static const char *const role_words[] = {"publish", "query", "subscribe", "admin"};

static bool read_grant(const struct keyring_reader *r, const char *path,
	const struct raw_grant *raw, struct pe_grant *grant)
{
	char at[128];

	*grant = (struct pe_grant){.every_space = !raw->space};
	if (raw->allow_count == 0) {
		raw_fail(r->file, r->error, path,
			"needs allow: a list of publish, query, subscribe, admin");
		return false;
	}
	for (unsigned i = 0; i < raw->allow_count; i++) {
		unsigned word = 0;

		while (word < 4 && strcmp(raw->allow[i], role_words[word]) != 0)
			word++;
		if (word == 4) {
			snprintf(at, sizeof at, "%s.allow[%u]", path, i);
			raw_fail(r->file, r->error, at,
				"must be publish, query, subscribe or admin, not \"%.60s\"",
				raw->allow[i]);
			return false;
		}
		grant->roles |= (uint8_t)(1u << word);
	}
	snprintf(at, sizeof at, "%s.space", path);
	if (raw->space && !keyring_uuid(r, at, raw->space, grant->space_id))
		return false;
	snprintf(at, sizeof at, "%s.area", path);
	if (raw->area && !raw->space) {
		raw_fail(r->file, r->error, at, "needs a space, whose coordinates it is in");
		return false;
	}
	return !raw->area || read_area(r, at, raw->area, grant);
}

// Free roles: words of one's own, apart from those that give rights.
static bool read_roles(const struct keyring_reader *r, const char *path,
	const struct raw_principal *raw, struct pe_keyring *k, struct pe_principal *p)
{
	char at[96];

	p->first_role = k->role_count;
	for (unsigned i = 0; i < raw->roles_count; i++) {
		const char *text = raw->roles[i];

		snprintf(at, sizeof at, "%s.roles[%u]", path, i);
		if (!text[0] || strlen(text) >= PE_ROLE_NAME_MAX) {
			raw_fail(r->file, r->error, at, "must be of 1 to %u bytes",
				PE_ROLE_NAME_MAX - 1);
			return false;
		}
		for (unsigned n = 0; n < 4; n++)
			if (strcmp(text, role_words[n]) == 0) {
				raw_fail(r->file, r->error, at, "\"%s\" is given by grants", text);
				return false;
			}
		snprintf(k->roles[k->role_count++], PE_ROLE_NAME_MAX, "%s", text);
		p->role_count++;
	}
	return true;
}

// After its `owns`: the last so many of all.
static bool read_stands(const struct keyring_reader *r, const char *path,
	const struct raw_principal *raw, const struct pe_keyring *k, struct pe_principal *p)
{
	char at[96];

	snprintf(at, sizeof at, "%s.stands", path);
	if (!raw->stands)
		return true;
	if (!keyring_uuid(r, at, raw->stands, p->stands))
		return false;
	for (unsigned i = 1; i <= raw->owns_count; i++)
		if (pe_owned_holds(&k->owned[k->owned_count - i], p->stands))
			return true;
	raw_fail(r->file, r->error, at, "is not under its owns");
	return false;
}

static bool read_principal(const struct keyring_reader *r, unsigned index,
	const struct raw_principal *raw, struct pe_keyring *k)
{
	struct pe_principal *p = &k->principals[index];
	char path[64], at[96];

	snprintf(path, sizeof path, "principals[%u]", index);
	if (!raw->id) {
		raw_fail(r->file, r->error, path, "needs an id");
		return false;
	}
	*p = (struct pe_principal){.level = k->level, .first_grant = k->grant_count};
	snprintf(at, sizeof at, "%s.id", path);
	if (!keyring_uuid(r, at, raw->id, p->id))
		return false;
	snprintf(at, sizeof at, "%s.name", path);
	if (raw->name && strlen(raw->name) >= sizeof p->name) {
		raw_fail(r->file, r->error, at, "must be shorter than %zu bytes", sizeof p->name);
		return false;
	}
	snprintf(p->name, sizeof p->name, "%s", raw->name ? raw->name : raw->id);
	snprintf(at, sizeof at, "%s.level", path);
	if (!keyring_level(r, at, raw->level, &p->level))
		return false;
	for (unsigned i = 0; i < raw->keys_count; i++) {
		snprintf(at, sizeof at, "%s.keys[%u]", path, i);
		if (!read_key(r, at, &raw->keys[i], k))
			return false;
	}
	for (unsigned i = 0; i < raw->owns_count; i++) {
		struct pe_owned *o = &k->owned[k->owned_count];

		snprintf(at, sizeof at, "%s.owns[%u]", path, i);
		if (!keyring_prefix(r, at, raw->owns[i], o->prefix, &o->bits))
			return false;
		o->principal = index;
		k->owned_count++;
	}
	for (unsigned i = 0; i < raw->uids_count; i++) {
		struct pe_keyring_user *user = &k->users[k->user_count];

		snprintf(at, sizeof at, "%s.uids[%u]", path, i);
		if (!keyring_uid(r, at, raw->uids[i], &user->uid))
			return false;
		user->principal = index;
		k->user_count++;
	}
	if (!read_stands(r, path, raw, k, p) || !read_roles(r, path, raw, k, p))
		return false;
	for (unsigned i = 0; i < raw->grants_count; i++) {
		snprintf(at, sizeof at, "%s.grants[%u]", path, i);
		if (!read_grant(r, at, &raw->grants[i], &k->grants[k->grant_count]))
			return false;
		k->grant_count++;
		p->grant_count++;
	}
	k->principal_count = index + 1;
	return true;
}

static int by_public(const void *a, const void *b)
{
	const struct pe_keyring_key *x = a, *y = b;

	return memcmp(x->public, y->public, sizeof x->public);
}

// A prefix stands right before what it holds.
static int by_prefix(const void *a, const void *b)
{
	const struct pe_owned *x = a, *y = b;
	int order = memcmp(x->prefix, y->prefix, sizeof x->prefix);

	return order ? order : (int)x->bits - (int)y->bits;
}

static int by_uid(const void *a, const void *b)
{
	const struct pe_keyring_user *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

// What no single line shows: that two are the same.
static bool check_whole(const struct keyring_reader *r, struct pe_keyring *k)
{
	char path[64];

	qsort(k->keys, k->key_count, sizeof *k->keys, by_public);
	for (uint32_t i = 1; i < k->key_count; i++)
		if (by_public(&k->keys[i - 1], &k->keys[i]) == 0) {
			snprintf(path, sizeof path, "principals[%u].keys", k->keys[i].principal);
			raw_fail(r->file, r->error, path, "a public key is principals[%u]'s too",
				k->keys[i - 1].principal);
			return false;
		}
	qsort(k->owned, k->owned_count, sizeof *k->owned, by_prefix);
	for (uint32_t i = 1; i < k->owned_count; i++)
		if (pe_owned_holds(&k->owned[i - 1], k->owned[i].prefix)) {
			snprintf(path, sizeof path, "principals[%u].owns", k->owned[i].principal);
			raw_fail(r->file, r->error, path,
				"entities below one entry are principals[%u]'s too",
				k->owned[i - 1].principal);
			return false;
		}
	qsort(k->users, k->user_count, sizeof *k->users, by_uid);
	for (uint32_t i = 1; i < k->user_count; i++)
		if (k->users[i - 1].uid == k->users[i].uid) {
			snprintf(path, sizeof path, "principals[%u].uids", k->users[i].principal);
			raw_fail(r->file, r->error, path, "user %u is principals[%u]'s too",
				k->users[i].uid, k->users[i - 1].principal);
			return false;
		}
	return true;
}

static int by_id(const void *a, const void *b)
{
	return memcmp(
		((const struct pe_principal *)a)->id, ((const struct pe_principal *)b)->id, 16);
}

// On a copy, since the order of the file is what indices mean.
static bool check_ids(const struct keyring_reader *r, const struct pe_keyring *k)
{
	size_t bytes = k->principal_count * sizeof *k->principals;
	struct pe_principal *copy = malloc(bytes + 1);
	bool sound = copy != NULL;

	if (!copy) {
		raw_fail(r->file, r->error, "principals", "no memory");
		r->error->status = PE_NO_MEMORY;
		return false;
	}
	memcpy(copy, k->principals, bytes);
	qsort(copy, k->principal_count, sizeof *copy, by_id);
	for (uint32_t i = 1; sound && i < k->principal_count; i++)
		if (by_id(&copy[i - 1], &copy[i]) == 0) {
			raw_fail(r->file, r->error, "principals",
				"%.60s and %.60s have the same id", copy[i - 1].name, copy[i].name);
			sound = false;
		}
	free(copy);
	return sound;
}

static bool reserve(
	const struct keyring_reader *r, const struct raw_keyring *raw, struct pe_keyring *k)
{
	size_t keys = 0, owned = 0, grants = 0, users = 0, roles = 0;
	size_t secret_at = PE_ENGINE_KEYS_MAX * sizeof *k->engine_keys;

	for (unsigned i = 0; i < raw->principals_count; i++) {
		keys += raw->principals[i].keys_count;
		owned += raw->principals[i].owns_count;
		grants += raw->principals[i].grants_count;
		users += raw->principals[i].uids_count;
		roles += raw->principals[i].roles_count;
	}
	if (owned > PE_KEYRING_OWNS_MAX) {
		raw_fail(r->file, r->error, "principals", "at most %u entries under owns in all",
			PE_KEYRING_OWNS_MAX);
		return false;
	}
	if (users > PE_KEYRING_USERS_MAX) {
		raw_fail(r->file, r->error, "principals", "at most %u entries under uids in all",
			PE_KEYRING_USERS_MAX);
		return false;
	}
	k->principals = calloc(raw->principals_count + 1, sizeof *k->principals);
	k->keys = calloc(keys + 1, sizeof *k->keys);
	k->owned = calloc(owned + 1, sizeof *k->owned);
	k->grants = calloc(grants + 1, sizeof *k->grants);
	k->users = calloc(users + 1, sizeof *k->users);
	k->roles = calloc(roles + 1, sizeof *k->roles);
	if (!k->principals || !k->keys || !k->owned || !k->grants || !k->users || !k->roles ||
		pe_secret_map(secret_at + (keys + 1) * sizeof *k->psks, &k->secret) != PE_OK) {
		raw_fail(r->file, r->error, "principals", "no memory");
		r->error->status = PE_NO_MEMORY;
		return false;
	}
	k->engine_keys = k->secret.base;
	k->psks = (void *)((uint8_t *)k->secret.base + secret_at);
	k->psk_count = 1;
	return true;
}

static bool read_all(
	const struct keyring_reader *r, const struct raw_keyring *raw, struct pe_keyring *k)
{
	if (!reserve(r, raw, k) || !read_engine(r, &raw->engine, k))
		return false;
	for (unsigned i = 0; i < raw->principals_count; i++)
		if (!read_principal(r, i, &raw->principals[i], k))
			return false;
	return check_ids(r, k) && check_whole(r, k);
}

enum pe_status pe_keyring_load_text(const char *name, const char *folder, const char *text,
	size_t bytes, struct pe_keyring **keyring, struct pe_error *error)
{
	struct pe_keyring *k;
	struct raw_file file;
	enum pe_status status;
	struct keyring_reader r = {.file = &file, .folder = folder, .error = error};

	*keyring = NULL;
	status = pe_secret_start(error);
	if (status != PE_OK)
		return status;
	status = raw_load(&file, &raw_keyring_schema, name, text, bytes, error);
	if (status == PE_OK && !file.value)
		status =
			raw_fail(&file, error, "engine", "is missing: a keyring needs at least it");
	if (status == PE_OK) {
		k = calloc(1, sizeof *k);
		if (!k) {
			snprintf(error->text, sizeof error->text, "%.300s: no memory", name);
			status = error->status = PE_NO_MEMORY;
		} else {
			k->level = PE_SEAL_SIGN;
			if (read_all(&r, file.value, k)) {
				*keyring = k;
			} else {
				status = error->status;
				pe_keyring_destroy(k);
			}
		}
	}
	raw_free(&file);
	return status;
}

enum pe_status pe_keyring_load(
	const char *path, struct pe_keyring **keyring, struct pe_error *error)
{
	const char *slash = strrchr(path, '/');
	enum pe_status status;
	char folder[512], *text;
	size_t bytes;

	*keyring = NULL;
	error->status = PE_IO;
	if ((size_t)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1,
		    slash ? path : ".") >= sizeof folder) {
		snprintf(error->text, sizeof error->text, "%.300s: the name is too long", path);
		return PE_IO;
	}
	text = raw_read(path, PE_KEYRING_FILE_MAX, true, &bytes, error);
	if (!text)
		return error->status;
	status = pe_keyring_load_text(path, folder, text, bytes, keyring, error);
	free(text);
	return status;
}
