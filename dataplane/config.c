#include "config.h"
#include "config_read.h"
#include "config_yaml.h"
#include "policy/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What runs when no file is named: loopback, no huge pages, no privileges. configs/reference.yaml
// describes the keys, docs/protocol.md the two spaces.
static const char embedded[] =
	"workers: {count: 1, idle: sleep}\n"
	"memory: {entities: 200000, details_mb: 16, no_huge: true, socket_mem_mb: 64}\n"
	"sources:\n"
	"  - socket: {address: 127.0.0.1, port: 10202}\n"
	"spaces:\n"
	"  - {id: 6c6f6361-6c00-4000-8000-000000000001, name: local, kind: cartesian}\n"
	"  - {id: 776f726c-6400-4000-8000-000000000001, name: world, kind: geodetic, worldwide: true}\n";

static bool read_workers(const struct reader *r, const struct raw_workers *raw, struct pe_config *c)
{
	static const char *const idles[] = {"spin", "pause", "sleep", NULL};
	unsigned idle = c->idle;
	uint32_t control = UINT32_MAX;
	char path[64];

	if (!read_u32(r, "workers.count", raw->count, 1, PE_WORKERS_MAX, &c->worker_count) ||
		!read_word(r, "workers.idle", raw->idle, idles, &idle) ||
		!read_u32(r, "workers.pause_after_turns", raw->pause_after_turns, 0, 1u << 30,
			&c->pause_after_turns) ||
		!read_u32(r, "workers.sleep_after_turns", raw->sleep_after_turns, 1, 1u << 30,
			&c->sleep_after_turns) ||
		!read_u32(r, "workers.sleep_us_max", raw->sleep_us_max, 1, 1000000,
			&c->sleep_us_max) ||
		!read_u32(r, "workers.control_core", raw->control_core, 0, 1023, &control))
		return false;
	c->idle = (enum pe_idle)idle;
	c->control_core = control == UINT32_MAX ? -1 : (int)control;
	if (raw->cores && raw->cores_count != c->worker_count) {
		raw_fail(r->file, r->error, "workers.cores",
			"must name one core for each of the %u workers, not %u", c->worker_count,
			raw->cores_count);
		return false;
	}
	for (unsigned i = 0; i < raw->cores_count; i++) {
		snprintf(path, sizeof path, "workers.cores[%u]", i);
		if (!read_u32(r, path, raw->cores[i], 0, 1023, &c->cores[i]))
			return false;
		for (unsigned j = 0; j < i; j++)
			if (c->cores[j] == c->cores[i])
				return fail(r, path, "must be a core that no other worker has",
					raw->cores[i]);
	}
	c->core_count = raw->cores_count;
	return true;
}

static bool read_memory(const struct reader *r, const struct raw_memory *raw, struct pe_config *c)
{
	static const char *const policies[] = {
		"refuse", "least_recently_seen", "lowest_priority", NULL};
	uint32_t details_mb = (uint32_t)(c->engine.details_bytes >> 20);
	unsigned when_full = c->engine.when_full;

	if (!read_word(r, "memory.when_full", raw->when_full, policies, &when_full))
		return false;
	c->engine.when_full = (enum pe_when_full)when_full;
	if (!read_u32(r, "memory.details_mb", raw->details_mb, 0,
		    (uint32_t)(PE_DETAILS_BYTES_TOTAL_MAX >> 20), &details_mb))
		return false;
	c->engine.details_bytes = (uint64_t)details_mb << 20;
	return read_u32(r, "memory.entities", raw->entities, 16, PE_ENTITIES_MAX,
		       &c->engine.entity_count_max) &&
		read_u32(r, "memory.pending", raw->pending, 0, PE_ENTITIES_MAX,
			&c->engine.pending_count_max) &&
		read_u32(r, "memory.cells", raw->cells, 0, PE_ENTITIES_MAX,
			&c->engine.cell_count_max) &&
		read_u32(r, "memory.nodes", raw->nodes, 0, 4 * PE_ENTITIES_MAX,
			&c->engine.node_count_max) &&
		read_u32(r, "memory.chunks", raw->chunks, 0, PE_ENTITIES_MAX / 2,
			&c->engine.chunk_count_max) &&
		read_u32(r, "memory.fences", raw->fences, 0, PE_FENCES_MAX,
			&c->engine.fence_count_max) &&
		read_u32(r, "memory.memberships", raw->memberships, 0, (1u << 30) - 1,
			&c->engine.member_count_max) &&
		read_u32(r, "memory.subscriptions", raw->subscriptions, 0, PE_SUBSCRIPTIONS_MAX,
			&c->engine.subscription_count_max) &&
		read_bool(r, "memory.huge_pages", raw->huge_pages, &c->engine.huge_pages) &&
		read_bool(r, "memory.no_huge", raw->no_huge, &c->no_huge) &&
		read_u32(r, "memory.socket_mem_mb", raw->socket_mem_mb, 16, 1u << 20, &c->dpdk_mb);
}

// Rates of one kind of sender; 0 or left out = no limit.
static bool read_budget(const struct reader *r, const char *key, const struct raw_budget *raw,
	struct pe_door_budget *b)
{
	const struct {
		const char *name, *text;
		double *value;
	} rates[] = {{"updates", raw->updates, &b->updates}, {"queries", raw->queries, &b->queries},
		{"bytes_out", raw->bytes_out, &b->bytes_out}};
	char path[64];

	for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		snprintf(path, sizeof path, "limits.%s.%s", key, rates[i].name);
		if (!read_double(r, path, rates[i].text, 0, 1e10, rates[i].value))
			return false;
		if (*rates[i].value > 0 && *rates[i].value < 0.01)
			return fail(r, path, "must be 0 or at least 0.01 a second", rates[i].text);
	}
	return true;
}

static bool read_budgets(const struct reader *r, const struct raw_limits *raw, struct pe_config *c)
{
	uint32_t burst_ms = (uint32_t)(c->door.burst_s * 1000);

	if (!read_budget(r, "network", &raw->network, &c->door.source) ||
		!read_budget(r, "principal", &raw->principal, &c->door.principal) ||
		!read_budget(r, "total", &raw->total, &c->door.total) ||
		!read_u32(r, "limits.network.entities", raw->network.entities, 0, PE_ENTITIES_MAX,
			&c->engine.network_entity_max) ||
		!read_u32(r, "limits.principal.entities", raw->principal.entities, 0,
			PE_ENTITIES_MAX, &c->engine.principal_entity_max) ||
		!read_u32(r, "limits.principal.subscriptions", raw->principal.subscriptions, 0,
			PE_SUBSCRIPTIONS_MAX, &c->engine.principal_subscription_max) ||
		!read_u32(r, "limits.burst_ms", raw->burst_ms, 10, 60000, &burst_ms))
		return false;
	c->door.burst_s = burst_ms / 1000.0;
	return true;
}

static bool read_load(const struct reader *r, const struct raw_load *raw, struct pe_config *c)
{
	struct pe_load_rules *rules = &c->load;

	if (!read_u32(r, "load.coarser_percent", raw->coarser_percent, 0, 100,
		    &rules->coarser_percent) ||
		!read_u32(r, "load.shedding_percent", raw->shedding_percent, 0, 100,
			&rules->shedding_percent) ||
		!read_u32(r, "load.factor", raw->factor, 1, PE_COARSE_MAX, &rules->factor))
		return false;
	if (rules->shedding_percent && rules->shedding_percent < rules->coarser_percent)
		return fail(r,
			raw->shedding_percent ? "load.shedding_percent" : "load.coarser_percent",
			"shedding_percent must not be below coarser_percent",
			raw->shedding_percent ? raw->shedding_percent : raw->coarser_percent);
	c->door.sheds = rules->shedding_percent != 0;
	c->engine.coarse_max = pe_load_wanted(rules) ? rules->factor : 1;
	return true;
}

static bool read_limits(const struct reader *r, const struct raw_limits *raw, struct pe_config *c)
{
	if (!read_u32(r, "limits.tombstone_ms", raw->tombstone_ms, 0, 3600000,
		    &c->engine.tombstone_ms) ||
		!read_u32(r, "limits.clock_ahead_ms", raw->clock_ahead_ms, 0, 60000,
			&c->engine.clock_ahead_ms) ||
		!read_u32(r, "limits.ring_records", raw->ring_records, 64, PE_RING_RECORDS_MAX,
			&c->engine.ring_records) ||
		!read_u32(r, "limits.query_results", raw->query_results, 1, PE_QUERY_RESULTS_MAX,
			&c->engine.query_results_max) ||
		!read_u32(r, "limits.query_cells", raw->query_cells, 1, PE_QUERY_CELLS_MAX,
			&c->engine.query_cells_max) ||
		!read_u32(r, "limits.query_candidates", raw->query_candidates, 64,
			PE_QUERY_CANDIDATES_MAX, &c->engine.query_candidates_max) ||
		!read_budgets(r, raw, c))
		return false;
	if (c->engine.ring_records & (c->engine.ring_records - 1))
		return fail(r, "limits.ring_records", "must be a power of two", raw->ring_records);
	return true;
}

static bool read_security(
	const struct reader *r, const struct raw_security *raw, struct pe_config *c)
{
	const char *slash = strrchr(r->file->name, '/');
	int folder = raw->keyring && raw->keyring[0] != '/' && slash ?
		(int)(slash + 1 - r->file->name) :
		0;

	if (!read_level(r, "security.level", raw->level, &c->level) ||
		!read_u32(r, "security.sessions", raw->sessions, 1, 1u << 20,
			&c->session_count_max) ||
		!read_double(r, "security.connects_per_second", raw->connects_per_second, 0, 1e6,
			&c->connects_per_second) ||
		!read_double(r, "security.connects_burst", raw->connects_burst, 1, 1e6,
			&c->connects_burst))
		return false;
	if (c->connects_per_second > 0 && c->connects_per_second < 0.01)
		return fail(r, "security.connects_per_second",
			"must be 0, for no limit, or at least 0.01", raw->connects_per_second);
	// From the configuration's folder, as the files that it names are from the keyring's.
	if (raw->keyring &&
		(size_t)snprintf(c->keyring, sizeof c->keyring, "%.*s%s", folder, r->file->name,
			raw->keyring) >= sizeof c->keyring)
		return fail(r, "security.keyring", "must be a shorter name", raw->keyring);
	if (c->level && !c->keyring[0])
		return fail(r, "security.level", "needs a keyring", raw->level);
	return true;
}

// Whose word is taken, and what is believed. path: of the space.
static bool read_trust(const struct reader *r, const char *path, const struct raw_space *raw,
	struct pe_space_policy *p)
{
	static const char *const rules[] = {"open", "first", "keyring", NULL};
	unsigned rule = PE_AUTHORIZATION_OPEN;
	char at[112];

#define AT(key) (snprintf(at, sizeof at, "%s.%s", path, key), at)
	if (!read_word(r, AT("authorization"), raw->authorization, rules, &rule) ||
		!read_u32(r, AT("owner_memory_ms"), raw->owner_memory_ms, 1, PE_OWNER_MEMORY_MAX_MS,
			&p->owner_memory_ms) ||
		!read_float(r, AT("speed_max_mobile_mps"), raw->speed_max_mobile_mps, 0, 1e9,
			&p->speed_max_mps[PE_ENTITY_MOBILE]) ||
		!read_float(r, AT("speed_max_temporary_mps"), raw->speed_max_temporary_mps, 0, 1e9,
			&p->speed_max_mps[PE_ENTITY_TEMPORARY]) ||
		!read_float(r, AT("speed_max_recurring_mps"), raw->speed_max_recurring_mps, 0, 1e9,
			&p->speed_max_mps[PE_ENTITY_RECURRING]) ||
		!read_float(r, AT("speed_max_custom_mps"), raw->speed_max_custom_mps, 0, 1e9,
			&p->speed_max_mps[4]) ||
		!read_u32(r, AT("plausible_fixes"), raw->plausible_fixes, 2, PE_PLAUSIBLE_FIXES_MAX,
			&p->plausible_fixes))
		return false;
#undef AT
	p->authorization = (uint8_t)rule;
	return true;
}

static bool read_space(
	const struct reader *r, unsigned index, const struct raw_space *raw, struct pe_config *c)
{
	static const char *const kinds[] = {"cartesian", "geodetic", NULL};
	struct pe_space_policy *p = &c->engine.spaces[index];
	struct pe_space_config *s = &p->space;
	unsigned kind = 0;
	char path[64], at[112];
	struct pe_error reason = {0};
	struct pe_space space;

	*p = (struct pe_space_policy){.stale_intervals = PE_STALE_INTERVALS,
		.owner_memory_ms = PE_OWNER_MEMORY_MS,
		.plausible_fixes = PE_PLAUSIBLE_FIXES};
	snprintf(path, sizeof path, "spaces[%u]", index);
#define AT(key) (snprintf(at, sizeof at, "%s.%s", path, key), at)
	if (!raw->id || !raw->kind) {
		raw_fail(r->file, r->error, path, "must have the key %s", raw->id ? "kind" : "id");
		return false;
	}
	if (!read_uuid(r, AT("id"), raw->id, s->id) ||
		!read_word(r, AT("kind"), raw->kind, kinds, &kind))
		return false;
	s->kind = kind == 0 ? PE_SPACE_CARTESIAN : PE_SPACE_GEODETIC;
	if (raw->name && strlen(raw->name) >= sizeof s->name)
		return fail(r, AT("name"), "must be shorter than 32 bytes", raw->name);
	snprintf(s->name, sizeof s->name, "%s", raw->name ? raw->name : "");
	s->leaf_edge_m = 64;
	if (!read_double(r, AT("leaf_edge_m"), raw->leaf_edge_m, 0.01, 1e6, &s->leaf_edge_m))
		return false;
	s->leaf_height_m = s->leaf_edge_m * 16;
	if (!read_double(
		    r, AT("leaf_height_m"), raw->leaf_height_m, 0.01, 256e6, &s->leaf_height_m) ||
		!read_bool(r, AT("worldwide"), raw->worldwide, &s->worldwide) ||
		!read_double(r, AT("extent_m"), raw->extent_m, 0, 1e9, &s->extent_m) ||
		!read_u32(r, AT("ttl_default_ms"), raw->ttl_default_ms, 1, PE_TTL_MAX_MS,
			&p->ttl_default_ms) ||
		!read_u32(r, AT("ttl_max_ms"), raw->ttl_max_ms, 1, PE_TTL_MAX_MS, &p->ttl_max_ms) ||
		!read_u32(r, AT("frequency_default"), raw->frequency_default, 0, 65535,
			&p->frequency_default) ||
		!read_float(r, AT("coalesce_distance_m"), raw->coalesce_distance_m, 0, 1e6,
			&p->coalesce_distance_m) ||
		!read_u32(r, AT("coalesce_interval_ms"), raw->coalesce_interval_ms, 0,
			PE_TTL_MAX_MS, &p->coalesce_interval_ms) ||
		!read_float(r, AT("coalesce_attribute"), raw->coalesce_attribute, 0, 1,
			&p->coalesce_attribute) ||
		!read_float(r, AT("predict_distance_m"), raw->predict_distance_m, 0,
			(double)PE_PREDICT_DISTANCE_MAX_M, &p->predict_distance_m) ||
		!read_u32(r, AT("predict_horizon_ms"), raw->predict_horizon_ms, 1000,
			PE_PREDICT_HORIZON_MAX_MS, &p->predict_horizon_ms) ||
		!read_float(r, AT("precision_max_m"), raw->precision_max_m, 0.001,
			(double)PE_PRECISION_MAX_M, &p->precision_max_m) ||
		!read_u32(r, AT("stale_after_intervals"), raw->stale_after_intervals, 1, 1000,
			&p->stale_intervals) ||
		!read_u32(r, AT("decay_mobile_ms"), raw->decay_mobile_ms, 0, PE_TTL_MAX_MS,
			&p->decay_ms[PE_ENTITY_MOBILE]) ||
		!read_u32(r, AT("decay_temporary_ms"), raw->decay_temporary_ms, 0, PE_TTL_MAX_MS,
			&p->decay_ms[PE_ENTITY_TEMPORARY]) ||
		!read_u32(r, AT("decay_recurring_ms"), raw->decay_recurring_ms, 0, PE_TTL_MAX_MS,
			&p->decay_ms[PE_ENTITY_RECURRING]) ||
		!read_u32(r, AT("decay_custom_ms"), raw->decay_custom_ms, 0, PE_TTL_MAX_MS,
			&p->decay_ms[4]) ||
		!read_trust(r, path, raw, p))
		return false;
	if ((p->ttl_default_ms ? p->ttl_default_ms : PE_TTL_DEFAULT_MS) >
		(p->ttl_max_ms ? p->ttl_max_ms : PE_TTL_MAX_MS)) {
		raw_fail(r->file, r->error, AT(p->ttl_default_ms ? "ttl_default_ms" : "ttl_max_ms"),
			"the default ttl (%u) must not be above the longest (%u)",
			p->ttl_default_ms ? p->ttl_default_ms : PE_TTL_DEFAULT_MS,
			p->ttl_max_ms ? p->ttl_max_ms : PE_TTL_MAX_MS);
		return false;
	}
	if (raw->home && (s->kind == PE_SPACE_CARTESIAN || s->worldwide)) {
		raw_fail(r->file, r->error, AT("home"), "only a regional geodetic space has one");
		return false;
	}
	if (s->worldwide && s->kind == PE_SPACE_CARTESIAN) {
		raw_fail(r->file, r->error, AT("worldwide"),
			"only a geodetic space can be worldwide");
		return false;
	}
	if (s->kind == PE_SPACE_GEODETIC && !s->worldwide) {
		if (raw->home_count != 2) {
			raw_fail(r->file, r->error, raw->home ? AT("home") : path,
				"a regional geodetic space needs home: [latitude, longitude]");
			return false;
		}
		if (!read_double(r, AT("home[0]"), raw->home[0], -90, 90, &s->home[0]) ||
			!read_double(r, AT("home[1]"), raw->home[1], -180, 180, &s->home[1]))
			return false;
	}
	for (unsigned j = 0; j < index; j++)
		if (memcmp(c->engine.spaces[j].space.id, s->id, 16) == 0) {
			raw_fail(r->file, r->error, AT("id"), "is the id of spaces[%u] too", j);
			return false;
		} else if (s->name[0] && strcmp(c->engine.spaces[j].space.name, s->name) == 0) {
			raw_fail(r->file, r->error, AT("name"), "is the name of spaces[%u] too", j);
			return false;
		}
#undef AT
	if (pe_space_prepare(&space, s, index, &reason) != PE_OK) {
		raw_fail(r->file, r->error, path, "%.300s", reason.text);
		return false;
	}
	return true;
}

static bool read_spaces(const struct reader *r, const struct raw_config *raw, struct pe_config *c)
{
	if (raw->spaces_count == 0 || raw->spaces_count > PE_SPACES_MAX) {
		raw_fail(r->file, r->error, "spaces", "must have from 1 to %u entries",
			PE_SPACES_MAX);
		return false;
	}
	c->engine.space_count = raw->spaces_count;
	for (unsigned i = 0; i < raw->spaces_count; i++)
		if (!read_space(r, i, &raw->spaces[i], c))
			return false;
	return true;
}

// Whether EAL would take the argument for the option: "-l0" as "-l", "--lcor=0" as "--lcores".
static bool is_option(const char *argument, const char *option)
{
	size_t name = strcspn(argument, "=");

	if (option[1] != '-')
		return strncmp(argument, option, 2) == 0;
	return name > 2 && name <= strlen(option) && memcmp(argument, option, name) == 0;
}

// What EAL answers by ending the program, as if all were well. -v takes no value: what stands
// behind it would be options of their own.
static bool asks_for_help(const struct raw_eal *raw, unsigned i)
{
	const char *argument = raw->arguments[i], *value = strchr(argument, '=');

	if (is_option(argument, "-h") || is_option(argument, "--help") ||
		(is_option(argument, "-v") && argument[2]))
		return true;
	if (!is_option(argument, "--log-level"))
		return false;
	if (!value && i + 1 < raw->arguments_count)
		return strcmp(raw->arguments[i + 1], "help") == 0;
	return value && strcmp(value + 1, "help") == 0;
}

// EAL's options that this program sets itself; a second one would contradict it.
static bool read_eal(const struct reader *r, const struct raw_eal *raw, struct pe_config *c)
{
	static const char *const ours[] = {"-l", "--lcores", "-c", "-s", "-S", "--main-lcore",
		"--proc-type", "--no-huge", "--in-memory", "--file-prefix", "-m", "--socket-mem",
		"--telemetry", "--no-telemetry"};
	char path[64];

	if (raw->arguments_count > PE_EAL_ARGUMENTS_MAX) {
		raw_fail(r->file, r->error, "eal.arguments", "at most %u entries",
			PE_EAL_ARGUMENTS_MAX);
		return false;
	}
	for (unsigned i = 0; i < raw->arguments_count; i++) {
		snprintf(path, sizeof path, "eal.arguments[%u]", i);
		for (unsigned j = 0; j < sizeof ours / sizeof ours[0]; j++)
			if (is_option(raw->arguments[i], ours[j]))
				return fail(r, path,
					"must not be an option that presenced sets itself",
					raw->arguments[i]);
		if (asks_for_help(raw, i))
			return fail(r, path, "must not be an option that asks for help",
				raw->arguments[i]);
		c->eal_arguments[i] = strdup(raw->arguments[i]);
		if (!c->eal_arguments[i]) {
			raw_fail(r->file, r->error, path, "no memory");
			return false;
		}
		c->eal_argument_count = i + 1;
	}
	return true;
}

static bool read_all(const struct reader *r, const struct raw_config *raw, struct pe_config *c)
{
	static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
	static const char *const switches[] = {"off", "on", NULL};
	unsigned level = c->log_level, sandbox = c->sandbox;

	if (!read_security(r, &raw->security, c) || !read_workers(r, &raw->workers, c) ||
		!read_memory(r, &raw->memory, c) || !read_limits(r, &raw->limits, c) ||
		!read_load(r, &raw->load, c) || !read_eal(r, &raw->eal, c) ||
		!read_word(r, "security.sandbox", raw->security.sandbox, switches, &sandbox) ||
		!read_bool(r, "telemetry", raw->telemetry, &c->telemetry) ||
		!read_word(r, "log", raw->log, levels, &level))
		return false;
	c->log_level = (enum pe_log_level)level;
	c->sandbox = sandbox;
	c->engine.worker_count = c->worker_count;
	if (raw_has(r->file, "trusted") &&
		!read_prefixes(r, "trusted", raw->trusted, raw->trusted_count, true, c->trusted,
			PE_PREFIXES_MAX, &c->trusted_count))
		return false;
	if (raw_has(r->file, "admitted") &&
		!read_prefixes(r, "admitted", raw->admitted, raw->admitted_count, true, c->admitted,
			PE_PREFIXES_MAX, &c->admitted_count))
		return false;
	for (unsigned i = 0; i < c->source_count; i++)
		c->sources[i].level = c->level;
	return (!raw_has(r->file, "sources") || pe_config_read_sources(r, raw, c)) &&
		(!raw_has(r->file, "spaces") || read_spaces(r, raw, c)) &&
		(!raw_has(r->file, "views") || pe_config_read_views(r, &raw->views, c));
}

static void set_defaults(struct pe_config *c)
{
	struct pe_prefix loopback[2] = {0};

	*c = (struct pe_config){
		.worker_count = 1,
		.control_core = -1,
		.idle = PE_IDLE_SLEEP,
		.pause_after_turns = 64,
		.sleep_after_turns = 1024,
		.sleep_us_max = 1000,
		.no_huge = true,
		.dpdk_mb = 64,
		.trusted_count = 2,
		.admitted_count = 2,
		.session_count_max = 4096,
		.connects_per_second = 20,
		.connects_burst = 60,
		.sandbox = true,
		.door = {.burst_s = 1},
		.load = {.factor = 4},
		.log_level = PE_LOG_INFO,
		.engine = {.entity_count_max = 200000,
			.fence_count_max = 1024,
			.views = {.epoch_ms = PE_EPOCH_MS, .cohort_epochs = PE_CROWD_PERIOD}},
	};
	(void)pe_prefix_parse("127.0.0.0/8", true, &loopback[0]);
	(void)pe_prefix_parse("::1/128", true, &loopback[1]);
	memcpy(c->trusted, loopback, sizeof loopback);
	memcpy(c->admitted, loopback, sizeof loopback);
}

static enum pe_status load_over(const char *name, const char *text, size_t bytes,
	struct pe_config *c, struct pe_error *error)
{
	struct raw_file file;
	enum pe_status status = raw_load(&file, &raw_config_schema, name, text, bytes, error);
	struct reader r = {.file = &file, .error = error};

	if (status == PE_OK && file.value && !read_all(&r, file.value, c))
		status = error->status;
	raw_free(&file);
	return status;
}

enum pe_status pe_config_load_text(const char *name, const char *text, size_t bytes,
	struct pe_config *config, struct pe_error *error)
{
	enum pe_status status;

	set_defaults(config);
	// What a file leaves out is as in the embedded default; lists are replaced whole.
	status = load_over("built-in", embedded, sizeof embedded - 1, config, error);
	if (status == PE_OK && text)
		status = load_over(name, text, bytes, config, error);
	snprintf(config->file, sizeof config->file, "%s", name);
	return status;
}

enum pe_status pe_config_load(const char *path, struct pe_config *config, struct pe_error *error)
{
	enum pe_status status;
	char *text;
	size_t bytes;

	if (!path)
		return pe_config_load_text("built-in", NULL, 0, config, error);
	*config = (struct pe_config){0};
	text = raw_read(path, PE_CONFIG_FILE_MAX, false, &bytes, error);
	if (!text)
		return PE_IO;
	status = pe_config_load_text(path, text, bytes, config, error);
	free(text);
	return status;
}

void pe_config_free(struct pe_config *config)
{
	for (unsigned i = 0; i < config->eal_argument_count; i++)
		free(config->eal_arguments[i]);
	config->eal_argument_count = 0;
	pe_config_free_views(config);
}
