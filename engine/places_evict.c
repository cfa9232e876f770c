// Who gives up a place. Lower goes first: the rank by the policy, then who was seen longest ago.
#include "internal.h"
#include "own.h"

#include "base/rcu.h"

// Free handles that a worker keeps, and those that soon are.
static bool short_of_handles(const struct pe_worker *w)
{
	const struct pe_engine *e = w->engine;
	uint32_t reserve = e->config.entity_count_max / 16 / e->config.worker_count + 1;

	if (reserve > PE_EVICT_RESERVE)
		reserve = PE_EVICT_RESERVE;
	return w->handles.count + w->handles.retired_count < reserve &&
		pe_table_store_empty(&e->table);
}

static uint32_t random_number(struct pe_worker *w)
{
	w->evict_seed ^= w->evict_seed << 13;
	w->evict_seed ^= w->evict_seed >> 7;
	w->evict_seed ^= w->evict_seed << 17;
	return (uint32_t)(w->evict_seed >> 32);
}

// What an entity is worth by what it says of itself and who said it; the time decides among equals.
static unsigned rank_of(const struct pe_worker *w, uint32_t handle, const struct pe_record *r)
{
	static const uint8_t of_type[] = {[PE_ENTITY_STATIC] = 3,
		[PE_ENTITY_MOBILE] = 1,
		[PE_ENTITY_TEMPORARY] = 0,
		[PE_ENTITY_RECURRING] = 2};
	const struct pe_places *places = &w->engine->places;
	unsigned type = r->shown.entity_type, state = PE_ATTRIBUTE_STATE(r->shown.attributes);
	unsigned known = atomic_load_explicit(&places->of[pe_handle_number(handle)],
				 memory_order_relaxed) <= PE_PUBLISHER_PRINCIPALS;
	bool away = state == PE_STATE_INACTIVE || state == PE_STATE_AWAY;

	return known * 8 + !away * 4 + (type < sizeof of_type ? of_type[type] : 1);
}

struct candidate {
	uint32_t handle;
	uint64_t worth; // rank, then the time it was seen
};

// GONE already, and remembered for longer than until the next tick: it costs nobody anything. Or
// there: by the policy.
static bool weigh(const struct pe_worker *w, uint32_t handle, struct candidate *c)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);
	bool ranks = w->engine->config.when_full == PE_FULL_LOWEST_PRIORITY;
	uint32_t age_ms;

	// What the change that is worked is placed in stays.
	if (PE_STATUS_OWNER(status) != w->index || handle == w->parent)
		return false;
	// Free, or on its way in or out: whoever makes it next may write all of it meanwhile.
	if (PE_STATUS_LIFE(status) != PE_LIFE_GONE && PE_STATUS_LIFE(status) != PE_LIFE_THERE)
		return false;
	// Whose it is would be forgotten with it, and whoever filled the table could have the id.
	if (pe_authorize_owned(w, handle))
		return false;
	c->handle = handle;
	if (PE_STATUS_LIFE(status) == PE_LIFE_GONE) {
		c->worth = 0;
		return (int32_t)(r->wheel.tick - w->tick) > 1;
	}
	age_ms = (uint32_t)w->wall_ms - r->time_low;
	// An event time may lie a little ahead.
	if ((int32_t)age_ms < 0)
		age_ms = 0;
	c->worth = (1 + (ranks ? rank_of(w, handle, r) : 0ull)) << 32 | (UINT32_MAX - age_ms);
	return true;
}

static void take_away(struct pe_worker *w, uint32_t handle)
{
	const struct pe_record *r = &w->engine->table.records[handle];
	uint32_t status = atomic_load_explicit(&r->status, memory_order_relaxed);

	if (PE_STATUS_LIFE(status) == PE_LIFE_THERE) {
		pe_own_take_away(w, handle);
		pe_count(&w->counters, PE_COUNTER_evicted, 1);
	}
	// Nothing is remembered of it: the place is what it is about.
	pe_wheel_remove(&w->wheel, handle);
	pe_wheel_add(&w->wheel, handle, w->tick + 1);
}

void pe_places_evict(struct pe_worker *w)
{
	const struct pe_table *t = &w->engine->table;
	unsigned count = PE_EVICT_SAMPLES * (w->engine->config.worker_count > 1 ? 4 : 1), n = 0;
	uint32_t handles[PE_EVICT_SAMPLES * 4];
	struct candidate least[PE_EVICT_MOST] = {0}, c;

	if (!short_of_handles(w))
		return;
	for (unsigned i = 0; i < count; i++) {
		handles[i] = pe_handle_nth(random_number(w) % t->entity_count_max);
		pe_prefetch_two(&t->records[handles[i]], &t->records[handles[i]].key);
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned at;

		if (!weigh(w, handles[i], &c) || (n && least[0].handle == c.handle) ||
			(n > 1 && least[1].handle == c.handle))
			continue;
		at = n && least[0].worth <= c.worth ? 1 : 0;
		if (at < n && least[at].worth <= c.worth)
			continue;
		if (at == 0)
			least[1] = least[0];
		least[at] = c;
		n += n < PE_EVICT_MOST;
	}
	for (unsigned i = 0; i < n; i++)
		take_away(w, least[i].handle);
}
