// A configuration becomes the engine's: checked, with defaults where it says nothing, and each
// space made ready for what its policy asks. At start only.
#include "internal.h"

#include <math.h>
#include <stdlib.h>

static enum pe_status check_config(const struct pe_engine_config *c, struct pe_error *error)
{
	if (c->worker_count < 1 || c->worker_count > PE_WORKERS_MAX)
		return pe_fail(error, PE_INVALID, "workers: %u, but 1 to %u are possible",
			c->worker_count, PE_WORKERS_MAX);
	if (c->entity_count_max < 1 || c->entity_count_max > PE_ENTITIES_MAX)
		return pe_fail(error, PE_INVALID, "entities: %u, but 1 to %u are possible",
			c->entity_count_max, PE_ENTITIES_MAX);
	if (c->space_count < 1 || c->space_count > PE_SPACES_MAX)
		return pe_fail(error, PE_INVALID, "spaces: %u, but 1 to %u are possible",
			c->space_count, PE_SPACES_MAX);
	if (c->fence_count_max > PE_FENCES_MAX || c->member_count_max >= 1u << 30 ||
		c->subscription_count_max > PE_SUBSCRIPTIONS_MAX)
		return pe_fail(error, PE_INVALID,
			"fences, memberships and subscriptions: at most %u, %u and %u",
			PE_FENCES_MAX, (1u << 30) - 1, PE_SUBSCRIPTIONS_MAX);
	if ((c->event_count_max & (c->event_count_max - 1)) || c->event_count_max == 1 ||
		c->event_count_max > PE_SUBSCRIPTION_EVENTS_MAX)
		return pe_fail(error, PE_INVALID,
			"events of a subscription: %u is not a power of two from 2 to %u",
			c->event_count_max, PE_SUBSCRIPTION_EVENTS_MAX);
	if (c->ring_records & (c->ring_records - 1))
		return pe_fail(error, PE_INVALID, "ring records: %u is not a power of two",
			c->ring_records);
	if (c->tombstone_ms > PE_TTL_MAX_MS || c->clock_ahead_ms > PE_TTL_MAX_MS)
		return pe_fail(error, PE_INVALID, "tombstone and clock_ahead: at most %u ms",
			PE_TTL_MAX_MS);
	if (c->coarse_max > PE_COARSE_MAX)
		return pe_fail(error, PE_INVALID, "thresholds under load: at most %u times as wide",
			PE_COARSE_MAX);
	if (c->details_bytes > PE_DETAILS_BYTES_TOTAL_MAX)
		return pe_fail(error, PE_INVALID, "details: at most %llu bytes",
			PE_DETAILS_BYTES_TOTAL_MAX);
	if (c->query_cells_max > 1u << 30 || c->query_candidates_max > 1u << 30)
		return pe_fail(
			error, PE_INVALID, "query cells and candidates: at most %u", 1u << 30);
	if (c->query_results_max > PE_QUERY_RESULTS_MAX)
		return pe_fail(error, PE_INVALID, "query results: %u, but at most %u are possible",
			c->query_results_max, PE_QUERY_RESULTS_MAX);
	for (unsigned a = 0; a < c->space_count; a++)
		for (unsigned b = a + 1; b < c->space_count; b++)
			if (memcmp(c->spaces[a].space.id, c->spaces[b].space.id, 16) == 0)
				return pe_fail(error, PE_INVALID,
					"spaces %u and %u have the same id", a + 1, b + 1);
	return PE_OK;
}

// A crossing needs one for a grace period; an entity whose space holds its states back for a time
// of its own has one most of the time. What only the spatial threshold holds back needs none
// (entity/held.h).
static uint32_t default_pending(const struct pe_engine_config *c)
{
	uint32_t quarter = c->entity_count_max / 4 + 64, least = 8192;

	for (unsigned i = 0; i < c->space_count; i++)
		if (c->spaces[i].coalesce_interval_ms || c->spaces[i].frequency_default ||
			c->spaces[i].coalesce_attribute > 0)
			return quarter;
	if (c->entity_count_max / 32 > least)
		return c->entity_count_max / 32;
	return quarter < least ? quarter : least;
}

static void fill_defaults(struct pe_engine_config *c)
{
#define DEFAULT(field, value) \
	if (!c->field) \
	c->field = (value)
	DEFAULT(pending_count_max, default_pending(c));
	// One ring a pair of workers: smaller ones where there are many.
	DEFAULT(ring_records, c->worker_count <= 4 ? PE_RING_RECORDS_MAX : PE_RING_RECORDS_MAX / 8);
	DEFAULT(tombstone_ms, PE_TOMBSTONE_MS);
	DEFAULT(clock_ahead_ms, PE_CLOCK_AHEAD_MS);
	DEFAULT(query_results_max, PE_QUERY_RESULTS_MAX);
	DEFAULT(query_cells_max, PE_QUERY_CELLS_MAX);
	DEFAULT(query_candidates_max, PE_QUERY_CANDIDATES_MAX);
	DEFAULT(member_count_max,
		c->fence_count_max * 16 < 1u << 30 ? c->fence_count_max * 16 : 1u << 29);
	DEFAULT(subscription_count_max, PE_SUBSCRIPTIONS_DEFAULT);
	DEFAULT(event_count_max, 1024);
	DEFAULT(coarse_max, 1);
	for (unsigned i = 0; i < c->space_count; i++) {
		DEFAULT(spaces[i].ttl_default_ms, PE_TTL_DEFAULT_MS);
		DEFAULT(spaces[i].ttl_max_ms, PE_TTL_MAX_MS);
		DEFAULT(spaces[i].predict_horizon_ms, PE_PREDICT_HORIZON_MS);
		DEFAULT(spaces[i].stale_intervals, PE_STALE_INTERVALS);
		DEFAULT(spaces[i].owner_memory_ms, PE_OWNER_MEMORY_MS);
		DEFAULT(spaces[i].plausible_fixes, PE_PLAUSIBLE_FIXES);
		if (!(c->spaces[i].precision_max_m > 0))
			c->spaces[i].precision_max_m = PE_PRECISION_MAX_M;
	}
#undef DEFAULT
}

enum pe_status pe_engine_configure(
	struct pe_engine *e, const struct pe_engine_config *config, struct pe_error *error)
{
	enum pe_status status = check_config(config, error);

	if (status != PE_OK)
		return status;
	e->config = *config;
	fill_defaults(&e->config);
	return PE_OK;
}

// Whose word is taken in it, and how fast its entities may be.
static enum pe_status prepare_guard(struct pe_space_entry *s, const struct pe_space_policy *p,
	unsigned i, struct pe_error *error)
{
	if (p->authorization > PE_AUTHORIZATION_KEYRING ||
		p->owner_memory_ms > PE_OWNER_MEMORY_MAX_MS || p->plausible_fixes < 2 ||
		p->plausible_fixes > PE_PLAUSIBLE_FIXES_MAX)
		return pe_fail(error, PE_INVALID,
			"space %u: authorization, its owner memory (at most %u ms) or plausible fixes (2 to %u)",
			i + 1, PE_OWNER_MEMORY_MAX_MS, PE_PLAUSIBLE_FIXES_MAX);
	for (unsigned type = 0; type < 5; type++) {
		if (!(p->speed_max_mps[type] >= 0 && p->speed_max_mps[type] <= 1e9f))
			return pe_fail(error, PE_INVALID,
				"space %u: the greatest speed of a type must be 0 to 1e9 m/s",
				i + 1);
		s->limits_speed |= p->speed_max_mps[type] > 0;
	}
	s->authorizes = p->authorization != PE_AUTHORIZATION_OPEN;
	s->guarded = s->authorizes || s->limits_speed;
	s->owned = s->limits_speed || p->authorization == PE_AUTHORIZATION_FIRST;
	s->surely_m_per_ms = p->speed_max_mps[PE_ENTITY_MOBILE] > 0 ?
		p->speed_max_mps[PE_ENTITY_MOBILE] / 1000 :
		INFINITY;
	s->checks = (uint8_t)((s->limits_speed ? PE_SPACE_SPEED : 0) |
		(p->authorization == PE_AUTHORIZATION_FIRST ? PE_SPACE_OWNER : 0));
	return PE_OK;
}

// What is near is made of few cells.
static enum pe_status check_within(const struct pe_views *views, unsigned space,
	const struct pe_space_config *config, struct pe_error *error)
{
	for (unsigned i = 0; i < views->policy_count; i++) {
		const struct pe_policy *p = &views->policy[i];

		if ((p->space == PE_POLICY_EVERY_SPACE || p->space == space) &&
			p->within_m > PE_NEAR_EDGES_MAX * config->leaf_edge_m)
			return pe_fail(error, PE_INVALID,
				"policy %.31s: within_m: at most %u edges of a leaf cell of the space %.31s, which are %g m",
				p->name, PE_NEAR_EDGES_MAX, config->name,
				PE_NEAR_EDGES_MAX * config->leaf_edge_m);
	}
	return PE_OK;
}

enum pe_status pe_engine_prepare_spaces(struct pe_engine *e, struct pe_error *error)
{
	e->seen = calloc(
		// cold: at start
		(size_t)e->config.space_count * PE_AUDIENCES_MAX, sizeof *e->seen);
	if (!e->seen)
		return pe_fail(
			error, PE_NO_MEMORY, "no memory for %u spaces", e->config.space_count);
	for (unsigned i = 0; i < e->config.space_count; i++) {
		struct pe_space_entry *s = &e->spaces[i];
		const struct pe_space_policy *p = &e->config.spaces[i];
		enum pe_status status;

		if (p->ttl_max_ms > PE_TTL_MAX_MS || p->ttl_default_ms > p->ttl_max_ms)
			return pe_fail(error, PE_INVALID,
				"space %u: ttl default %u and cap %u must not be above %u ms",
				i + 1, p->ttl_default_ms, p->ttl_max_ms, PE_TTL_MAX_MS);
		if (p->coalesce_interval_ms > PE_TTL_MAX_MS)
			return pe_fail(error, PE_INVALID,
				"space %u: coalescing interval above %u ms", i + 1, PE_TTL_MAX_MS);
		if (!(p->coalesce_distance_m >= 0 && p->coalesce_distance_m <= 1e6f) ||
			!(p->coalesce_attribute >= 0 && p->coalesce_attribute <= 1))
			return pe_fail(error, PE_INVALID,
				"space %u: coalescing distance must be 0 to 1,000,000 m, attribute 0 to 1",
				i + 1);
		if (!(p->predict_distance_m >= 0 &&
			    p->predict_distance_m <= PE_PREDICT_DISTANCE_MAX_M) ||
			p->predict_horizon_ms > PE_PREDICT_HORIZON_MAX_MS)
			return pe_fail(error, PE_INVALID,
				"space %u: prediction distance must be 0 to %g m, its horizon at most %u ms",
				i + 1, (double)PE_PREDICT_DISTANCE_MAX_M,
				PE_PREDICT_HORIZON_MAX_MS);
		status = pe_space_prepare(&s->space, &p->space, i, error);
		if (status != PE_OK)
			return status;
		s->policy = *p;
		// A confidence that hardly changed covers no move: the attribute threshold alone
		// holds nothing back.
		s->thresholds = p->coalesce_distance_m > 0 || p->coalesce_interval_ms ||
			p->predict_distance_m > 0;
		atomic_init(&s->speed_seen, PE_WIRE_SPEED_LANES);
		s->limits = (struct pe_wire_limits){
			.geodetic = p->space.kind == PE_SPACE_GEODETIC,
			.ttl_max_ms = p->ttl_max_ms,
			.precision_max_m = p->precision_max_m,
		};
		s->ordinary = pe_wire_ordinary_make(&s->limits);
		s->rules.views = &e->views;
		s->rules.space = &s->space;
		atomic_init(&s->rules.present, pe_views_within(&e->views, i));
		status = check_within(&e->views, i, &p->space, error);
		if (status != PE_OK)
			return status;
		s->veils = pe_views_watch_all(&e->views, i);
		s->audience = &e->seen[(size_t)i * PE_AUDIENCES_MAX];
		for (unsigned a = 0; a < PE_AUDIENCES_MAX; a++)
			atomic_init(&s->audience[a].speed_seen, PE_WIRE_SPEED_LANES);
		for (unsigned type = 0; type < 5; type++) {
			s->rules.decay_ms[type] = p->decay_ms[type];
			s->rules.decays |= type && p->decay_ms[type];
		}
		s->frequencies = e->config.details_bytes ? UINT32_MAX : UINT16_MAX;
		for (unsigned mode = 0; mode < 4; mode++) {
			pe_predict_hidden(p, mode, s->hidden_m);
			s->hidden_m[0][mode] *= (float)e->config.coarse_max;
			s->hidden_m[1][mode] *= (float)e->config.coarse_max;
		}
		status = prepare_guard(s, p, i, error);
		if (status != PE_OK)
			return status;
		s->looked = s->guarded || s->veils;
		if (!p->frequency_default && !p->coalesce_interval_ms)
			s->way = p->predict_distance_m > 0 ? PE_WAY_COURSE :
				s->thresholds              ? PE_WAY_COVERED :
							     PE_WAY_PLAIN;
		e->covers |= s->way >= PE_WAY_COVERED;
		e->guards |= s->owned || e->views.tagged;
		e->predicts |= p->predict_distance_m > 0;
		e->holds |= p->coalesce_distance_m > 0 && !p->frequency_default &&
			!p->coalesce_interval_ms;
	}
	return PE_OK;
}
