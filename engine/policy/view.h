// The one builder of what leaves the engine about an entity. Every answer, count and notice is made from a view, never from a
// record; filters and limits are applied to the view. There are no policies yet, so that a view shows the whole published
// state — entities that ask for more than PUBLIC and EXACT are refused at the door — but this is where they will act.
// Pure; any RCU reader.
#pragma once

#include "entity/record.h"

struct pe_asker {
	bool trusted; // by configuration
};

struct pe_view {
	uint8_t id[16];
	struct pe_published shows;
};

// False: the asker is shown nothing of this entity. `published` is a whole copy (pe_record_read).
static inline bool pe_view_build(const struct pe_asker *asker, const struct pe_record *record,
	const struct pe_published *published, uint32_t now_tick, struct pe_view *view)
{
	(void)asker;
	// Nothing past its ttl is in any answer, however late its owner's timer runs.
	if ((int32_t)(now_tick - published->expiry_tick) >= 0)
		return false;
	memcpy(view->id, record->id, sizeof view->id);
	view->shows = *published;
	return true;
}
