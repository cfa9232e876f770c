// The one builder of what leaves the engine about an entity. Every answer, count and notice is made from a view, never from a
// record; filters and limits are applied to the view. There are no policies yet, so that a view shows the whole published
// state — entities that ask for more than PUBLIC and EXACT are refused at the door — but this is where they will act.
// Pure; any RCU reader.
#pragma once

#include "entity/details.h"
#include "entity/record.h"

struct pe_asker {
	bool trusted;       // by configuration
	uint32_t principal; // of the peer; 0 = nobody that is known
};

// What a space makes of what its entities state.
struct pe_view_rules {
	// Time constants of position_confidence by type, the last of CUSTOM; 0 = three announced intervals, or for ever where none are
	// announced. STATIC is not looked at.
	uint32_t decay_ms[5];
	bool decays; // one of them is set
};

struct pe_view {
	uint8_t id[16];
	struct pe_published shows; // attributes without PE_PUBLISHED_MORE
	const uint8_t *
		details; // as in results (wire/details.h), until the next quiescent state; NULL = none
	bool stale;      // announced updates have not come
};

// False: the asker is shown nothing of this entity. `published` is a whole copy (pe_record_read). Where its attributes have one of
// PE_PUBLISHED_MORE or the space decays, it has to be completed.
static inline bool pe_view_build(const struct pe_asker *asker, const struct pe_record *record,
	const struct pe_published *published, uint32_t now_tick, struct pe_view *view)
{
	(void)asker;
	// Nothing past its ttl is in any answer, however late its owner's timer runs.
	if ((int32_t)(now_tick - published->expiry_tick) >= 0)
		return false;
	memcpy(view->id, record->id, sizeof view->id);
	view->shows = *published;
	view->details = NULL;
	view->stale = false;
	return true;
}

// Adds what is not in the record: details, whether a RECURRING entity is open (false: it is not), staleness, what age has left of its
// confidence. wall_ms: of the engine.
[[nodiscard]] bool pe_view_complete(const struct pe_details_store *store, uint32_t handle,
	const struct pe_view_rules *rules, uint32_t now_tick, uint64_t wall_ms,
	struct pe_view *view);
