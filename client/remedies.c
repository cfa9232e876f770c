#include "base/codes.h"
#include "base/reasons.h"
#include "client/presence.h"

// Where more can be said than the code of a reason says.
static const char *remedy_of(unsigned reason)
{
	switch (reason) {
	case PE_REASON_source_denied:
		return "name this address in `admitted` of the engine's configuration";
	case PE_REASON_not_trusted:
		return "name this address in `trusted` of the engine's configuration, or ask from one that is";
	case PE_REASON_space_unknown:
		return "use the id of a space of the engine's configuration (`spaces`), or none for its first one";
	case PE_REASON_incarnation_future:
	case PE_REASON_future:
		return "set this machine's clock or the engine's (chrony, systemd-timesyncd)";
	case PE_REASON_visibility:
		return "publish as PUBLIC and EXACT, or not at all";
	case PE_REASON_out_of_bounds:
		return "check the position's unit, or raise `extent_m` of the space";
	case PE_REASON_precision:
		return "state a precision of at most `precision_max_m` of the space";
	case PE_REASON_ttl:
		return "state at most `ttl_max_ms` of the space";
	case PE_REASON_ttl_missing:
		return "give the TEMPORARY entity a ttl or a duration";
	case PE_REASON_schedule_missing:
		return "give the RECURRING entity its schedule (presence_publish_detailed)";
	case PE_REASON_stale:
		return "number the entity's updates upwards, above the pair that the acknowledgement tells; one sender an entity. Where your clock was set back: begin again with an incarnation above the one that it tells";
	case PE_REASON_late:
		return "send states in the order of their times, or leave old ones out";
	case PE_REASON_relocation:
		return "say `relocation` when a STATIC entity is moved on purpose, or publish it as MOBILE";
	case PE_REASON_space_differs:
		return "withdraw the entity where it is known before it is published in another space";
	case PE_REASON_unknown_entity:
		return "nothing: it is gone already";
	case PE_REASON_table_full:
		return "raise `memory.entities`, or let entities expire sooner (shorter ttls)";
	case PE_REASON_grid_full:
		return "raise `memory.cells`, `memory.nodes` and `memory.chunks`";
	case PE_REASON_details_full:
		return "raise `memory.details_mb`, or publish fewer details";
	case PE_REASON_details_large:
		return "at most 16 names and 1 KiB an entity: remove some first";
	case PE_REASON_frame_unknown:
		return "publish the parent first, in the same space, and then again";
	case PE_REASON_role:
	case PE_REASON_query_role:
	case PE_REASON_subscribe_role:
		return "speak as a principal that has the role in this space, or give it one in the engine's keyring (docs/authorization.md)";
	case PE_REASON_area:
	case PE_REASON_query_area:
	case PE_REASON_subscribe_area:
		return "stay within the principal's area, or widen it in the engine's keyring (docs/authorization.md)";
	case PE_REASON_owner:
		return "publish for ids of your own, or have the owner or an administrator do it";
	case PE_REASON_implausible:
		return "check the position and its time; a true jump is believed when the next updates confirm it";
	case PE_REASON_unsealed:
	case PE_REASON_seal_level:
		return "open a session of the level that the source demands (`session` of presence_options, docs/sessions.md)";
	case PE_REASON_query_bounds:
		return "ask for a smaller volume, or for several";
	case PE_REASON_query_cursor:
		return "ask anew without a cursor: it belongs to one engine's run and one query";
	case PE_REASON_query_program:
		return "correct the filter where the answer says, or let presence_filter_parse make it";
	case PE_REASON_query_nearest:
		return "ask for 1 to 1000 of the nearest";
	case PE_REASON_query_time:
		return "ask for a moment within `predict_horizon_ms` of the space";
	case PE_REASON_explain_fence:
		return "ask from the address that watches, while it does, by the numbers of its subscription and fence";
	case PE_REASON_standing_off:
		return "set `memory.fences` above 0 in the engine's configuration";
	case PE_REASON_subscription_unknown:
		return "open the watch anew: its engine was started again or its lease is over; with `resubscribe` that is done for you";
	case PE_REASON_subscriptions_full:
		return "close watches that are not needed, or raise `memory.subscriptions`";
	case PE_REASON_fences_full:
		return "remove fences that are not needed, make them smaller, or raise `memory.fences`";
	case PE_REASON_fence_name:
		return "give each fence of a watch a number of its own, and remove only those that it has";
	default:
		return NULL;
	}
}

const char *presence_reason_remedy(unsigned reason)
{
	const char *remedy = remedy_of(reason);

	if (remedy)
		return remedy;
	if (reason == PE_REASON_none)
		return "nothing";
	if (reason >= PE_REASON_COUNT)
		return "use a libpresence of the engine's version: it knows the reason";
	switch (pe_reason_info[reason].code) {
	case PE_CODE_VERSION_MISMATCH:
	case PE_CODE_PROTOCOL_ERROR:
		return "use a libpresence of the engine's version";
	case PE_CODE_UNAUTHORIZED:
	case PE_CODE_AUTH_FAILED:
	case PE_CODE_INVALID_SIGNATURE:
	case PE_CODE_TOKEN_EXPIRED:
	case PE_CODE_ENCRYPTION_ERROR:
		return "check who may do this in the engine's configuration, and as whom this client speaks";
	case PE_CODE_OUT_OF_MEMORY:
	case PE_CODE_STORAGE_FULL:
		return "raise the table that is full in `memory` of the engine's configuration; `presencectl stats` tells which";
	case PE_CODE_CPU_EXCEEDED:
	case PE_CODE_RATE_LIMITED:
	case PE_CODE_BANDWIDTH_EXCEEDED:
		return "send less, or again after a pause; `presencectl stats` tells what the engine drops";
	default:
		return "correct the field that the reason names (docs/protocol.md)";
	}
}
