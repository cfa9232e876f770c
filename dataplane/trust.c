#include "trust.h"

#include "guard/directory.h"
#include "guard/listed.h"
#include "guard/roster.h"
#include "ring/users.h"
#include "seal/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETIRED_MAX  4    // keyrings that some worker may still read
#define USED_WAIT_MS 3000 // for the workers to take another keyring up
#define BUSY_WAIT_MS 1000 // for the directory before the last to go

struct pe_trust {
	const struct pe_config *config;
	bool started; // what is odd about names is no reason any more to refuse a keyring
	struct pe_error *refusal; // of the first name that is one before
	struct pe_engine *engine;
	struct pe_roster *roster;
	struct pe_users *users; // as config has them
	struct pe_keyring *keyring;
	struct pe_keyring *retired[RETIRED_MAX];
	unsigned retired_count, gate_count;
	struct pe_gate *gates[PE_WORKERS_MAX];
	struct pe_gate_mail *mail; // NULL: one worker
};

// A name of a list that nobody goes by, or several do. At start it is a mistake where it would keep
// out nobody, or the wrong one.
static void odd_name(void *context, const struct pe_listed_name *name, enum pe_listed_fault fault)
{
	struct pe_trust *t = context;
	bool several = fault == PE_LISTED_SEVERAL;
	bool refused = !t->started && !name->role && (several || name->deny);
	char place[256];

	pe_config_name_place(t->config, name, refused && !several, place, sizeof place);
	if (!refused) {
		pe_log(PE_LOG_WARNING, "%s: %s \"%.60s\"%s", place,
			several            ? "several principals go by" :
				name->role ? "no principal has the role" :
					     "there is no principal",
			name->text,
			several && name->deny ? ": all of them are kept out, and none let in" :
				several       ? ": none of them is let in" :
						" yet");
		return;
	}
	if (t->refusal->status == PE_OK)
		snprintf(t->refusal->text, sizeof t->refusal->text,
			"%s: there is no principal \"%.60s\"%s", place, name->text,
			several ? ", or there are several" : "");
	t->refusal->status = PE_INVALID;
}

static enum pe_status put_lists(struct pe_trust *t, const struct pe_keyring *keyring,
	const uint32_t *numbers, struct pe_principals *directory, struct pe_error *error)
{
	struct pe_error refusal = {.status = PE_OK};
	unsigned count;
	struct pe_listed_name *names = pe_config_names(t->config, &count);
	enum pe_status status;

	t->refusal = &refusal;
	status = pe_listed_put(keyring, numbers, names, count, directory, odd_name, t, error);
	if (status == PE_OK && refusal.status != PE_OK) {
		*error = refusal;
		status = refusal.status;
	}
	return status;
}

// What the keyring's principals may do, and which lists they are on, under the numbers that their
// messages carry.
static enum pe_status make_directory(struct pe_trust *t, const struct pe_keyring *keyring,
	struct pe_principals **directory, struct pe_error *error)
{
	uint32_t count = pe_keyring_principal_count(keyring);
	uint32_t *numbers = calloc(count ? count : 1, sizeof *numbers);
	enum pe_status status;

	*directory = NULL;
	if (!numbers) {
		snprintf(error->text, sizeof error->text, "keyring: no memory");
		return error->status = PE_NO_MEMORY;
	}
	for (uint32_t i = 0; i < count; i++)
		numbers[i] = 1 + pe_keyring_principal(keyring, i)->number;
	status = pe_guard_directory(keyring, numbers, &t->config->engine, directory, error);
	if (status == PE_OK)
		status = put_lists(t, keyring, numbers, *directory, error);
	if (status != PE_OK) {
		pe_principals_destroy(*directory);
		*directory = NULL;
	}
	free(numbers);
	return status;
}

// Who the users of this machine are by the keyring, for those who attach from now on.
static enum pe_status set_users(
	struct pe_trust *t, const struct pe_keyring *keyring, struct pe_error *error)
{
	struct pe_user *list = calloc(PE_KEYRING_USERS_MAX, sizeof *list);
	enum pe_status status = PE_NO_MEMORY;
	uint32_t count = 0;

	static_assert(PE_KEYRING_USERS_MAX <= PE_USERS_MAX, "all of a keyring's fit");
	for (const struct pe_keyring_user *u;
		list && (u = pe_keyring_user_at(keyring, count)) != NULL; count++) {
		const struct pe_principal *p = pe_keyring_principal(keyring, u->principal);

		list[count] = (struct pe_user){.uid = u->uid,
			.principal = 1 + p->number,
			.asks = pe_keyring_roles_any(keyring, u->principal) &
				(PE_ROLE_QUERY | PE_ROLE_SUBSCRIBE | PE_ROLE_ADMIN)};
		memcpy(list[count].id, p->id, sizeof p->id);
	}
	if (list)
		status = pe_users_set(t->users, list, count);
	free(list);
	if (status != PE_OK)
		snprintf(error->text, sizeof error->text, "keyring: no memory for its users");
	return error->status = status;
}

// The engine's from now on. At start nothing is there that it could wait for.
static enum pe_status give_directory(
	struct pe_trust *t, struct pe_principals *directory, struct pe_error *error)
{
	const struct timespec little = {.tv_nsec = 1000000};

	for (uint32_t ms = 0; pe_engine_principals(t->engine, directory) != PE_OK; ms++) {
		if (ms >= BUSY_WAIT_MS) {
			pe_principals_destroy(directory);
			snprintf(error->text, sizeof error->text,
				"the engine has not given up the directory before the last yet");
			return error->status = PE_BUSY;
		}
		nanosleep(&little, NULL);
	}
	return PE_OK;
}

static enum pe_status load(struct pe_trust *t, struct pe_keyring **keyring, struct pe_error *error)
{
	enum pe_status status = pe_keyring_load(t->config->keyring, keyring, error);

	if (status == PE_OK) {
		status = pe_roster_number(t->roster, *keyring, error);
		if (status != PE_OK) {
			pe_keyring_destroy(*keyring);
			*keyring = NULL;
		}
	}
	return status;
}

static enum pe_status make_gates(
	struct pe_trust *t, struct pe_engine *engine, struct pe_error *error)
{
	const struct pe_config *c = t->config;
	struct timespec at;
	struct pe_gate_config config = {.worker_count = c->worker_count,
		.session_count_max = c->session_count_max,
		// each worker may keep all of them
		.link_count_max = c->engine.subscription_count_max ?
			c->engine.subscription_count_max :
			PE_SUBSCRIPTIONS_DEFAULT};
	enum pe_status status =
		pe_rate_make(c->connects_per_second, c->connects_burst, &config.connects);

	if (status != PE_OK) {
		snprintf(error->text, sizeof error->text,
			"security: connects_per_second and connects_burst");
		error->status = status;
		return status;
	}
	clock_gettime(CLOCK_MONOTONIC, &at);
	config.cookie_began_ms = (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
	pe_secret_random(config.cookie_seed, sizeof config.cookie_seed);
	for (unsigned i = 0; i < c->source_count; i++) {
		config.level[i] = c->sources[i].level;
		// All workers' sockets have the same address.
		config.portable[i] = c->sources[i].kind == PE_SOURCE_SOCKET;
	}
	if (c->worker_count > 1) {
		config.mail = t->mail = pe_gate_mail_create(c->worker_count);
		if (!t->mail) {
			snprintf(error->text, sizeof error->text,
				"sessions: no memory for rings between workers");
			return error->status = PE_NO_MEMORY;
		}
	}
	for (unsigned w = 0; w < c->worker_count && status == PE_OK; w++) {
		config.index = w;
		config.worker = pe_engine_worker(engine, w);
		status = pe_gate_create(&config, t->keyring, &t->gates[w], error);
		t->gate_count += status == PE_OK;
	}
	pe_secret_wipe(config.cookie_seed, sizeof config.cookie_seed);
	return status;
}

enum pe_status pe_trust_load(
	struct pe_config *config, struct pe_trust **trust, struct pe_error *error)
{
	struct pe_trust *t;
	enum pe_status status;

	*trust = NULL;
	if (!config->keyring[0])
		return pe_config_check_unkeyed(config, error);
	t = calloc(1, sizeof *t);
	if (t) {
		t->roster = pe_roster_create();
		t->users = pe_users_create();
	}
	if (!t || !t->roster || !t->users) {
		pe_trust_close(t);
		snprintf(error->text, sizeof error->text, "keyring: no memory");
		return error->status = PE_NO_MEMORY;
	}
	t->config = config;
	config->users = t->users;
	status = load(t, &t->keyring, error);
	if (status == PE_OK)
		status = set_users(t, t->keyring, error);
	if (status == PE_OK)
		*trust = t;
	else
		pe_trust_close(t);
	return status;
}

enum pe_status pe_trust_check(struct pe_trust *t, struct pe_error *error)
{
	struct pe_principals *directory;
	enum pe_status status;

	if (!t)
		return PE_OK;
	status = make_directory(t, t->keyring, &directory, error);
	pe_principals_destroy(directory);
	return status;
}

enum pe_status pe_trust_open(struct pe_trust *t, struct pe_engine *engine, struct pe_error *error)
{
	struct pe_principals *directory;
	enum pe_status status;

	if (!t)
		return PE_OK;
	t->engine = engine;
	status = make_directory(t, t->keyring, &directory, error);
	if (status == PE_OK)
		status = give_directory(t, directory, error);
	if (status == PE_OK)
		status = make_gates(t, engine, error);
	t->started = status == PE_OK;
	return status;
}

void pe_trust_close(struct pe_trust *trust)
{
	if (!trust)
		return;
	for (unsigned w = 0; w < trust->gate_count; w++)
		pe_gate_destroy(trust->gates[w]);
	pe_gate_mail_destroy(trust->mail);
	for (unsigned i = 0; i < trust->retired_count; i++)
		pe_keyring_destroy(trust->retired[i]);
	pe_keyring_destroy(trust->keyring);
	pe_roster_destroy(trust->roster);
	pe_users_destroy(trust->users);
	free(trust);
}

struct pe_gate *pe_trust_gate(struct pe_trust *trust, unsigned worker)
{
	return trust ? trust->gates[worker] : NULL;
}

void pe_trust_say(const struct pe_trust *trust)
{
	size_t bytes = 0;
	bool locked = pe_keyring_locked(trust->keyring);
	char hex[65];

	for (unsigned w = 0; w < trust->gate_count; w++) {
		bytes += pe_gate_bytes(trust->gates[w]);
		locked = locked && pe_gate_locked(trust->gates[w]);
	}
	pe_log(PE_LOG_INFO,
		"keyring %s: %u principals; up to %u sessions a worker in %zu MiB, sealed by %s",
		trust->config->keyring, pe_keyring_principal_count(trust->keyring),
		trust->config->session_count_max, (bytes + 0xFFFFF) >> 20,
		pe_gate_backend(trust->gates[0]));
	for (unsigned i = 0; pe_keyring_engine_key_at(trust->keyring, i); i++) {
		const uint8_t *key = pe_keyring_engine_key_at(trust->keyring, i)->public;

		for (unsigned j = 0; j < 32; j++)
			snprintf(hex + 2 * j, 3, "%02x", key[j]);
		pe_log(PE_LOG_INFO, "the engine's public key: %s", hex);
	}
	if (!locked)
		pe_log(PE_LOG_WARNING,
			"keys may reach the swap: the limit of locked memory is too small for them (ulimit -l, LimitMEMLOCK=)");
}

// Gives back the keyrings before the present one once every worker uses that.
static bool give_back(struct pe_trust *t, uint32_t wait_ms)
{
	const struct timespec little = {.tv_nsec = 1000000};

	for (uint32_t ms = 0;; ms++) {
		unsigned used = 0;

		for (unsigned w = 0; w < t->gate_count; w++)
			used += pe_gate_used(t->gates[w]) == t->keyring;
		if (used == t->gate_count)
			break;
		if (ms >= wait_ms)
			return false;
		nanosleep(&little, NULL);
	}
	for (unsigned i = 0; i < t->retired_count; i++)
		pe_keyring_destroy(t->retired[i]);
	t->retired_count = 0;
	return true;
}

enum pe_status pe_trust_reload(
	struct pe_trust *trust, void (*wake)(void *context), void *context, struct pe_error *error)
{
	struct pe_principals *directory;
	struct pe_keyring *keyring;
	enum pe_status status;

	(void)give_back(trust, 0);
	if (trust->retired_count == RETIRED_MAX) {
		snprintf(error->text, sizeof error->text,
			"the workers have not taken up the keyrings before yet");
		return error->status = PE_FULL;
	}
	status = load(trust, &keyring, error);
	if (status != PE_OK)
		return status;
	status = make_directory(trust, keyring, &directory, error);
	if (status == PE_OK)
		status = give_directory(trust, directory, error);
	if (status != PE_OK) {
		pe_keyring_destroy(keyring);
		return status;
	}
	if (set_users(trust, keyring, error) != PE_OK) {
		// The engine has the new directory, and looks principals up by their numbers: those
		// of the keyring before go on with what it says.
		pe_keyring_destroy(keyring);
		return error->status;
	}
	trust->retired[trust->retired_count++] = trust->keyring;
	trust->keyring = keyring;
	for (unsigned w = 0; w < trust->gate_count; w++)
		pe_gate_offer(trust->gates[w], keyring);
	wake(context);
	(void)give_back(trust, USED_WAIT_MS);
	return PE_OK;
}
