// The one builder of what leaves the engine about an entity. Every answer, count and notice is made
// from a view, never from a record; filters and limits are applied to the view. What may not be
// told of a place is not in what is published (engine/veil.c); whom an entity is shown to, and
// under which name, is decided here, by the audience that its published attributes name
// (policy/views.h). Pure; any RCU reader.
#pragma once

#include "entity/details.h"
#include "entity/record.h"
#include "policy/near.h"
#include "policy/views.h"

#define PE_VIEW_PRINCIPALS 16384u

struct pe_asker {
	bool trusted;       // by configuration
	uint32_t principal; // of the peer; 0 = nobody that is known
	// pe_views_sees; may be 0 (the open ones alone) while there is nothing veiled
	uint32_t sees;
	uint32_t counts; // pe_views_counts; not in `sees`
	// by which some entities are his own (discover/owned.h); NULL: he is not known, or nothing
	// is
	const struct pe_principals *directory;
	// pe_near_place of where he stands; may be NOWHERE where he sees none of who has to be near
	uint64_t place;
};

// What a space makes of what its entities state.
struct pe_view_rules {
	// Time constants of position_confidence by type, the last of CUSTOM; 0 = three announced
	// intervals, or for ever where none are announced. STATIC is not looked at.
	uint32_t decay_ms[5];
	bool decays; // one of them is set
	const struct pe_views *views;
	// Who has an entity made, by pe_handle_number (places.h: 1 to PE_VIEW_PRINCIPALS are
	// principals'); NULL: no policy asks
	const _Atomic uint16_t *publisher_of;
	const struct pe_space *space;
	// Audiences that an entity of the space has ever belonged to, a bit each but OPEN's, and
	// from the start those of who has to be near: or it would tell that there is somebody;
	// written: any worker, growing; read: anyone
	_Atomic uint32_t present;
};

struct pe_view {
	uint8_t id[16];
	struct pe_published shows; // attributes without PE_PUBLISHED_REST once it is completed
	const uint8_t *details; // as in results (wire/details.h), until the next quiescent state;
	                        // NULL = none
	bool stale;             // announced updates have not come
};

// May the asker see what has these attributes?
static inline bool pe_view_shown(const struct pe_asker *asker, uint16_t attributes)
{
	return !(attributes & PE_PUBLISHED_VEILED) ||
		(asker->sees >> pe_audience_of(attributes) & 1);
}

// Of what has none of PE_PUBLISHED_REST: everybody is shown it, and it is whole. False: it is past
// its ttl.
static inline bool pe_view_build_open(const struct pe_record *record,
	const struct pe_published *published, uint32_t now_tick, struct pe_view *view)
{
	// Nothing past its ttl is in any answer, however late its owner's timer runs.
	if ((int32_t)(now_tick - published->expiry_tick) >= 0)
		return false;
	memcpy(view->id, record->id, sizeof view->id);
	view->shows = *published;
	view->details = NULL;
	view->stale = false;
	return true;
}

// The view of what its record has all of, and that is shown as it stands there, for who takes many:
// of what has none of PE_PUBLISHED_REST, or has an audience and nothing else of it.
struct pe_view_plain {
	const uint8_t *id;
	struct pe_record_lanes shows;
};
enum pe_plain { PE_PLAIN_GONE, PE_PLAIN_SHOWN, PE_PLAIN_OTHERWISE };
#define PE_VIEW_ATTRIBUTES_SHIFT (8 * (offsetof(struct pe_published, attributes) % 8))
#define PE_VIEW_REST_IN_TAIL     ((uint64_t)PE_PUBLISHED_REST << PE_VIEW_ATTRIBUTES_SHIFT)
static_assert(offsetof(struct pe_published, attributes) / 8 == PE_PUBLISHED_EXPIRY_WORD,
	"PE_VIEW_REST_IN_TAIL");
static_assert(offsetof(struct pe_published, entity_type) % 8 == 0, "the lowest byte of the tail");

// Audiences, a bit each, that the asker belongs to and whose entities are shown under their own
// names, wherever he stands.
static inline uint32_t pe_view_as_they_are(
	const struct pe_asker *asker, const struct pe_view_rules *rules)
{
	return asker->sees ? asker->sees & ~(rules->views->anonymous | rules->views->within) : 0;
}

// Nothing but veiled, and of one of these audiences? A RECURRING entity's schedule is not in its
// record.
static inline bool pe_view_veiled_alone(uint64_t tail, uint32_t audiences)
{
	uint16_t attributes = (uint16_t)(tail >> PE_VIEW_ATTRIBUTES_SHIFT);

	return (attributes & PE_PUBLISHED_REST) == PE_PUBLISHED_VEILED &&
		(audiences >> pe_audience_of(attributes) & 1) &&
		(uint8_t)tail != PE_ENTITY_RECURRING;
}

// audiences: pe_view_as_they_are. GONE: past its ttl. OTHERWISE: there may be more to it than its
// record has, or it may not be shown, or its owner was writing.
static inline enum pe_plain pe_view_build_plain(const struct pe_record *record, uint32_t audiences,
	uint32_t now_tick, struct pe_view_plain *view)
{
	if (__builtin_expect(!pe_record_read_lanes(record, &view->shows), 0) ||
		(__builtin_expect(view->shows.tail & PE_VIEW_REST_IN_TAIL, 0) &&
			!pe_view_veiled_alone(view->shows.tail, audiences)))
		return PE_PLAIN_OTHERWISE;
	view->id = record->id;
	return (int32_t)(now_tick - (uint32_t)(view->shows.tail >> 32)) >= 0 ? PE_PLAIN_GONE :
									       PE_PLAIN_SHOWN;
}

// False: the asker is shown nothing of this entity. `published` is a whole copy (pe_record_read).
// Where its attributes have one of PE_PUBLISHED_REST or the space decays, it has to be completed.
static inline bool pe_view_build(const struct pe_asker *asker, const struct pe_record *record,
	const struct pe_published *published, uint32_t now_tick, struct pe_view *view)
{
	return pe_view_shown(asker, published->attributes) &&
		pe_view_build_open(record, published, now_tick, view);
}

// The id that an entity with these published attributes is told under.
void pe_view_id(const struct pe_view_rules *rules, const struct pe_record *record,
	uint16_t attributes, uint64_t wall_ms, uint8_t id[16]);

// Is what is published near enough to the asker for its audience? Of who belongs to it by
// pe_view_shown.
static inline bool pe_view_near(const struct pe_asker *asker, const struct pe_view_rules *rules,
	const struct pe_published *published)
{
	unsigned audience = pe_audience_of(published->attributes);

	return !(rules->views->within >> audience & 1) ||
		pe_near_holds(rules->space, asker->place,
			rules->views->policy[audience - PE_AUDIENCE_POLICY].within_m,
			published->position);
}

// Adds what is not in the record: details, whether a RECURRING entity is open (false: it is not),
// staleness, what age has left of its confidence; and takes away what its audience is not told.
// False, too: it is not near enough. wall_ms: of the engine.
[[nodiscard]] bool pe_view_complete(const struct pe_details_store *store, uint32_t handle,
	const struct pe_view_rules *rules, const struct pe_asker *asker, uint32_t now_tick,
	uint64_t wall_ms, struct pe_view *view);
