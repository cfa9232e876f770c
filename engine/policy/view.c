#include "policy/view.h"

#include <math.h>

static unsigned type_index(uint8_t type)
{
	return type < PE_ENTITY_CUSTOM ? type : 4u;
}

static bool open_now(const uint8_t *details, uint64_t wall_ms)
{
	struct pe_details_blocks blocks;
	struct pe_wire_schedule schedule;

	// Its schedule is published a moment later than its first state.
	if (!details)
		return false;
	pe_wire_get_details(details, &blocks);
	if (!blocks.content[PE_DETAILS_SCHEDULE])
		return false;
	memcpy(&schedule, blocks.content[PE_DETAILS_SCHEDULE], sizeof schedule);
	return pe_schedule_open(&schedule, wall_ms);
}

// In the steps of 1/254 that the protocol has; 1 is 0.0.
static uint8_t decayed(uint8_t confidence, uint64_t time_ms, uint64_t wall_ms, uint32_t tau_ms)
{
	double age_ms = wall_ms > time_ms ? (double)(wall_ms - time_ms) : 0;

	if (!confidence || !tau_ms)
		return confidence;
	return (uint8_t)(1.5 + (confidence - 1) * exp(-age_ms / tau_ms));
}

// Times of anonymous ones are told in such steps: to the millisecond they would be as good as a
// name.
#define ANONYMOUS_STEP_MS 10000u

void pe_view_id(const struct pe_view_rules *rules, const struct pe_record *record,
	uint16_t attributes, uint64_t wall_ms, uint8_t id[16])
{
	if ((attributes & PE_PUBLISHED_VEILED) &&
		(rules->views->anonymous >> pe_audience_of(attributes) & 1))
		pe_views_name(rules->views, record->id, pe_views_epoch(rules->views, wall_ms), id);
	else
		memcpy(id, record->id, 16);
}

static bool scoped(const uint8_t *details)
{
	struct pe_details_blocks blocks;

	pe_wire_get_details(details, &blocks);
	return blocks.content[PE_DETAILS_SCOPE];
}

// False: nobody is shown it: to whom its scope lets it be told stands in details that are not told.
static bool veil(const struct pe_view_rules *rules, uint32_t now_tick, uint64_t wall_ms,
	struct pe_view *view)
{
	const struct pe_views *v = rules->views;
	struct pe_published *p = &view->shows;
	unsigned audience = pe_audience_of(p->attributes);
	uint8_t id[16];

	if ((v->no_details | v->anonymous) >> audience & 1) {
		if (view->details && scoped(view->details))
			return false;
		view->details = NULL;
	}
	if (v->anonymous >> audience & 1) {
		// Of the clock, not from now on, or the moment at which what is left changes would
		// tell the millisecond.
		uint64_t end_ms = wall_ms + (p->expiry_tick - now_tick) + ANONYMOUS_STEP_MS - 1;

		memcpy(id, view->id, sizeof id);
		pe_views_name(v, id, pe_views_epoch(v, wall_ms), view->id);
		p->time_ms -= p->time_ms % ANONYMOUS_STEP_MS;
		p->expiry_tick =
			now_tick + (uint32_t)(end_ms - end_ms % ANONYMOUS_STEP_MS - wall_ms);
	}
	p->attributes = pe_audience_put(p->attributes, PE_AUDIENCE_OPEN);
	return true;
}

bool pe_view_complete(const struct pe_details_store *store, uint32_t handle,
	const struct pe_view_rules *rules, const struct pe_asker *asker, uint32_t now_tick,
	uint64_t wall_ms, struct pe_view *view)
{
	struct pe_published *p = &view->shows;
	uint32_t tau_ms = rules->decay_ms[type_index(p->entity_type)];

	if (p->attributes & PE_PUBLISHED_DETAILS) {
		const struct pe_details_block *block = pe_details_get(store, handle);

		// DETAILS-AUDIENCE: relaxed: what is compared came with the record's version and
		// the block's number.
		view->details = block &&
				!pe_audience_differs(p->attributes,
					atomic_load_explicit(
						&block->audience, memory_order_relaxed)) ?
			(const uint8_t *)&block->head :
			NULL;
	}
	if (p->entity_type == PE_ENTITY_RECURRING && !open_now(view->details, wall_ms))
		return false;
	if ((p->attributes & PE_PUBLISHED_ANNOUNCED) && store->entries) {
		const struct pe_details_entry *entry = pe_details_entry(store, handle);
		uint32_t lead_ms = atomic_load_explicit(&entry->lead_ms, memory_order_relaxed);

		view->stale = (int32_t)(now_tick - (p->expiry_tick - lead_ms)) >= 0;
		if (!tau_ms)
			tau_ms = atomic_load_explicit(&entry->announced_ms, memory_order_relaxed);
	}
	if (p->entity_type != PE_ENTITY_STATIC)
		p->position_confidence =
			decayed(p->position_confidence, p->time_ms, wall_ms, tau_ms);
	if ((p->attributes & PE_PUBLISHED_VEILED) &&
		(!pe_view_near(asker, rules, p) || !veil(rules, now_tick, wall_ms, view)))
		return false;
	p->attributes &= (uint16_t)~PE_PUBLISHED_MORE;
	return true;
}
