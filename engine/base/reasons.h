// Why a packet, a record or a query was not taken: the one list. Counters, acknowledgements,
// telemetry and the table in docs/protocol.md are made from it.
//
// PE_REASON(name, scope, verdict, code, text)
//   scope    PACKET: the whole packet; RECORD: one update or withdraw record; QUERY: one query;
//            SUBSCRIBE: one REGION_SUBSCRIBE that was carried on
//   verdict  REFUSED: the input is at fault; DROPPED: the engine had no room or no way to take it
//   code     the error code of the Spatio Protocol core that the sender is told (base/codes.h)
// The order is part of the protocol (acknowledgements carry the number): append only.
#pragma once

// clang-format off
#define PE_REASONS(PE_REASON) \
	/* Below the message: link, network and transport (dataplane). */ \
	PE_REASON(not_ip, PACKET, REFUSED, INVALID_MESSAGE, "frame that is neither IP, ARP nor one we answer") \
	PE_REASON(ip_header, PACKET, REFUSED, INVALID_MESSAGE, "malformed IP header or length") \
	PE_REASON(fragment, PACKET, REFUSED, INVALID_MESSAGE, "IP fragment") \
	PE_REASON(ip_checksum, PACKET, REFUSED, INVALID_MESSAGE, "wrong IP header checksum") \
	PE_REASON(not_udp, PACKET, REFUSED, INVALID_MESSAGE, "transport that is not UDP") \
	PE_REASON(udp_header, PACKET, REFUSED, INVALID_MESSAGE, "malformed UDP header or length") \
	PE_REASON(udp_checksum, PACKET, REFUSED, INVALID_MESSAGE, "wrong UDP checksum") \
	PE_REASON(not_for_us, PACKET, REFUSED, INVALID_MESSAGE, "address or port that is not ours") \
	PE_REASON(source_denied, PACKET, REFUSED, UNAUTHORIZED, "source that the configuration does not admit") \
	PE_REASON(no_buffer, PACKET, DROPPED, OUT_OF_MEMORY, "no packet buffer; a port's own are in its rx_no_buffer") \
	PE_REASON(steer_full, PACKET, DROPPED, CPU_EXCEEDED, "hand-over ring to another worker full") \
	/* The message as a whole. */ \
	PE_REASON(short_header, PACKET, REFUSED, INVALID_MESSAGE, "shorter than a message header") \
	PE_REASON(version, PACKET, REFUSED, VERSION_MISMATCH, "protocol version that is not spoken here") \
	PE_REASON(type_unknown, PACKET, REFUSED, PROTOCOL_ERROR, "message type that is not known or not served yet") \
	PE_REASON(header_flags, PACKET, REFUSED, INVALID_MESSAGE, "header flag that is not defined for this type") \
	PE_REASON(header_reserved, PACKET, REFUSED, INVALID_MESSAGE, "reserved header field that is not zero") \
	PE_REASON(length, PACKET, REFUSED, INVALID_MESSAGE, "length that is not exact for type and count") \
	PE_REASON(count, PACKET, REFUSED, INVALID_MESSAGE, "record count of zero or above the cap") \
	PE_REASON(session, PACKET, REFUSED, AUTH_FAILED, "session that is not known") \
	PE_REASON(tag, PACKET, REFUSED, INVALID_SIGNATURE, "authentication tag that is not zero outside a session") \
	PE_REASON(body_reserved, PACKET, REFUSED, INVALID_MESSAGE, "reserved body field that is not zero") \
	PE_REASON(space_unknown, PACKET, REFUSED, OUT_OF_BOUNDS, "space that this engine does not hold") \
	PE_REASON(incarnation_future, PACKET, REFUSED, INVALID_STATE, "incarnation ahead of our clock") \
	PE_REASON(not_trusted, PACKET, REFUSED, UNAUTHORIZED, "request that only a trusted source may make") \
	/* One update or withdraw record. */ \
	PE_REASON(id_nil, RECORD, REFUSED, INVALID_MESSAGE, "nil entity id") \
	PE_REASON(record_reserved, RECORD, REFUSED, INVALID_MESSAGE, "reserved record bits that are not zero") \
	PE_REASON(entity_type, RECORD, REFUSED, INVALID_MESSAGE, "entity type that is not defined") \
	PE_REASON(schedule_missing, RECORD, REFUSED, INVALID_STATE, "RECURRING entity without its schedule") \
	PE_REASON(state, RECORD, REFUSED, INVALID_STATE, "activity state that is not defined") \
	PE_REASON(visibility, RECORD, REFUSED, UNAUTHORIZED, "visibility that nothing provides, or an undefined precision level") \
	PE_REASON(coordinates, RECORD, REFUSED, INVALID_COORDINATES, "position or velocity that is not a number or not on Earth") \
	PE_REASON(out_of_bounds, RECORD, REFUSED, OUT_OF_BOUNDS, "position outside the space") \
	PE_REASON(precision, RECORD, REFUSED, PRECISION_ERROR, "precision that is negative, not finite or above the space's cap") \
	PE_REASON(radius, RECORD, REFUSED, INVALID_MESSAGE, "reach that is negative or not finite") \
	PE_REASON(ttl, RECORD, REFUSED, INVALID_MESSAGE, "ttl or duration above the cap") \
	PE_REASON(ttl_missing, RECORD, REFUSED, INVALID_STATE, "TEMPORARY entity without ttl or duration") \
	PE_REASON(future, RECORD, REFUSED, INVALID_STATE, "event time ahead of our clock") \
	PE_REASON(stale, RECORD, REFUSED, VERSION_CONFLICT, "(incarnation, sequence) not newer than what is known") \
	PE_REASON(late, RECORD, REFUSED, STATE_CONFLICT, "event time older than what is known") \
	PE_REASON(relocation, RECORD, REFUSED, SPATIAL_CONFLICT, "STATIC entity moved beyond its precision without the flag") \
	PE_REASON(space_differs, RECORD, REFUSED, SPATIAL_CONFLICT, "entity is known in another space") \
	PE_REASON(unknown_entity, RECORD, REFUSED, STATE_CONFLICT, "withdrawal of an entity that is not known") \
	PE_REASON(table_full, RECORD, REFUSED, OUT_OF_MEMORY, "entity table full") \
	PE_REASON(grid_full, RECORD, REFUSED, OUT_OF_MEMORY, "grid pools full") \
	PE_REASON(ring_full, RECORD, DROPPED, CPU_EXCEEDED, "ring to the owning worker full") \
	PE_REASON(reroute, RECORD, DROPPED, CPU_EXCEEDED, "entity changed hands too often on the way") \
	/* One query. */ \
	PE_REASON(query_kind, QUERY, REFUSED, INVALID_MESSAGE, "query kind that is not known or not served yet") \
	PE_REASON(query_flags, QUERY, REFUSED, INVALID_MESSAGE, "query flag or reserved field that is not defined") \
	PE_REASON(query_coordinates, QUERY, REFUSED, INVALID_COORDINATES, "volume or origin that is not a number, inverted or not on Earth") \
	PE_REASON(query_bounds, QUERY, REFUSED, OUT_OF_BOUNDS, "volume larger than the space allows") \
	PE_REASON(query_filter, QUERY, REFUSED, INVALID_MESSAGE, "filter mask with undefined bits, or an inverted height range") \
	PE_REASON(query_cursor, QUERY, REFUSED, INVALID_MESSAGE, "cursor that was not given by this engine for such a query") \
	PE_REASON(answer_no_buffer, QUERY, DROPPED, OUT_OF_MEMORY, "no buffer for the answer") \
	/* Later reasons of a query: numbers are not moved. */ \
	PE_REASON(query_shape, QUERY, REFUSED, INVALID_COORDINATES, "polygon, oriented box or frustum that bounds no volume") \
	PE_REASON(query_extension, QUERY, REFUSED, INVALID_MESSAGE, "extension that is missing, not wanted, or not laid out as its blocks say") \
	PE_REASON(query_program, QUERY, REFUSED, INVALID_MESSAGE, "filter that is not a sound program") \
	PE_REASON(query_nearest, QUERY, REFUSED, INVALID_MESSAGE, "nearest none, or more than the cap") \
	PE_REASON(explain_id, QUERY, REFUSED, INVALID_MESSAGE, "explanation of the nil entity") \
	PE_REASON(query_resolution, QUERY, REFUSED, INVALID_MESSAGE, "resolution that is negative or not a number, an attribute above 1, or cells of the nearest") \
	PE_REASON(query_time, QUERY, REFUSED, INVALID_MESSAGE, "moment before now, or further ahead than the space predicts") \
	/* Details of a record. */ \
	PE_REASON(details_form, RECORD, REFUSED, INVALID_MESSAGE, "details whose blocks are not laid out as their record says") \
	PE_REASON(details_content, RECORD, REFUSED, INVALID_MESSAGE, "orientation, context, metadata, schedule, frame or payload that is not sound") \
	PE_REASON(details_large, RECORD, REFUSED, INVALID_STATE, "details that would be more than an entity may have") \
	PE_REASON(details_full, RECORD, REFUSED, OUT_OF_MEMORY, "no room for details") \
	PE_REASON(frame_unknown, RECORD, REFUSED, STATE_CONFLICT, "parent of a RELATIVE entity that is not there, or relative to too many others") \
	PE_REASON(frame_full, RECORD, REFUSED, OUT_OF_MEMORY, "as many RELATIVE entities as there may be") \
	/* Standing queries: the message, then what it asks for. */ \
	PE_REASON(subscribe_op, PACKET, REFUSED, INVALID_MESSAGE, "operation on a subscription that is not defined") \
	PE_REASON(subscribe_fields, PACKET, REFUSED, INVALID_MESSAGE, "field of a subscription that is not defined or does not belong to the operation") \
	PE_REASON(standing_off, SUBSCRIBE, REFUSED, INVALID_STATE, "standing queries are switched off by the configuration") \
	PE_REASON(subscription_unknown, SUBSCRIBE, REFUSED, STATE_CONFLICT, "no such subscription of this source, or of another epoch") \
	PE_REASON(subscribe_order, SUBSCRIBE, REFUSED, STATE_CONFLICT, "number of a message, or of an event, that does not follow the last one") \
	PE_REASON(subscribe_busy, SUBSCRIBE, DROPPED, CPU_EXCEEDED, "the message before is still being worked") \
	PE_REASON(subscriptions_full, SUBSCRIBE, REFUSED, OUT_OF_MEMORY, "no room for another subscription") \
	PE_REASON(fence_rule, SUBSCRIBE, REFUSED, INVALID_MESSAGE, "fence whose flags, margin, dwell times or entity to follow are not sound") \
	PE_REASON(fence_kind, SUBSCRIBE, REFUSED, INVALID_MESSAGE, "query that cannot stand: a point, the nearest, a bound on results, a class, a cursor, a resolution, a moment, or details") \
	PE_REASON(fence_query, SUBSCRIBE, REFUSED, INVALID_MESSAGE, "fence whose query is refused; the acknowledgement tells the query's reason") \
	PE_REASON(fence_name, SUBSCRIBE, REFUSED, STATE_CONFLICT, "fence number that is in use already, or that is to be removed and is not known") \
	PE_REASON(fences_full, SUBSCRIBE, REFUSED, OUT_OF_MEMORY, "no room for another fence, its shape or its cells") \
	/* Explanations of fences; scopes. */ \
	PE_REASON(explain_fence, QUERY, REFUSED, STATE_CONFLICT, "explanation of a fence that the asker does not have, or more than once") \
	PE_REASON(scope_bounds, RECORD, REFUSED, OUT_OF_BOUNDS, "scope whose bounds are none of its space, or that would round a RELATIVE entity") \
	/* A shared-memory ring. */ \
	PE_REASON(ring_record, PACKET, REFUSED, INVALID_MESSAGE, "what lies in a client's ring is no record; the client is let go") \
	/* Sessions (dataplane/gate.h). */ \
	PE_REASON(unsealed, PACKET, REFUSED, AUTH_FAILED, "message outside of a session from a source that demands one") \
	PE_REASON(seal_level, PACKET, REFUSED, AUTH_FAILED, "session of a lower level than its source demands") \
	PE_REASON(session_elsewhere, PACKET, REFUSED, AUTH_FAILED, "session of another worker, to which it cannot be handed") \
	PE_REASON(session_epoch, PACKET, REFUSED, TOKEN_EXPIRED, "epoch of a session that is over, or not to be begun yet") \
	PE_REASON(session_replay, PACKET, REFUSED, AUTH_FAILED, "sequence of a session that was taken, or is behind the window") \
	PE_REASON(seal, PACKET, REFUSED, INVALID_SIGNATURE, "tag of a session's message that is wrong") \
	PE_REASON(connect_rate, PACKET, REFUSED, RATE_LIMITED, "more handshakes than its source may begin") \
	PE_REASON(connect_form, PACKET, REFUSED, INVALID_MESSAGE, "CONNECT whose length, fields or step are not sound") \
	PE_REASON(connect_key, PACKET, REFUSED, AUTH_FAILED, "CONNECT to a key that is none of the engine's now") \
	PE_REASON(connect_mac, PACKET, REFUSED, INVALID_SIGNATURE, "CONNECT from who does not know the engine's public key, or altered") \
	PE_REASON(connect_handshake, PACKET, REFUSED, AUTH_FAILED, "HELLO that was not made with the keys that it claims") \
	PE_REASON(connect_level, PACKET, REFUSED, INVALID_MESSAGE, "HELLO for a level that is not defined") \
	PE_REASON(connect_stranger, PACKET, REFUSED, AUTH_FAILED, "HELLO with a key that is not in the keyring now") \
	PE_REASON(connect_full, PACKET, DROPPED, OUT_OF_MEMORY, "no room for another session") \
	PE_REASON(connect_busy, PACKET, DROPPED, CPU_EXCEEDED, "too many handshakes at once, no buffer for an answer, or no cookies yet") \
	/* Who may say what (authorize.h), and what is believed (plausible.h). */ \
	PE_REASON(role, RECORD, REFUSED, UNAUTHORIZED, "space in which the sender has not the role for this") \
	PE_REASON(area, RECORD, REFUSED, UNAUTHORIZED, "position outside of the area that the sender may publish in") \
	PE_REASON(owner, RECORD, REFUSED, UNAUTHORIZED, "entity that is not the sender's") \
	PE_REASON(implausible, RECORD, REFUSED, SPATIAL_CONFLICT, "faster than an entity of its type may be") \
	PE_REASON(query_role, QUERY, REFUSED, UNAUTHORIZED, "space in which the asker may not ask") \
	PE_REASON(query_area, QUERY, REFUSED, UNAUTHORIZED, "volume that is not within the area that the asker may ask about") \
	PE_REASON(subscribe_role, SUBSCRIBE, REFUSED, UNAUTHORIZED, "space in which the sender may not subscribe") \
	PE_REASON(subscribe_area, SUBSCRIBE, REFUSED, UNAUTHORIZED, "fence that is not within the area that the sender may subscribe to") \
	/* Budgets and load. */ \
	PE_REASON(rate_source, PACKET, REFUSED, RATE_LIMITED, "more updates or queries than a network of unknown sources may send") \
	PE_REASON(rate_principal, PACKET, REFUSED, RATE_LIMITED, "more updates or queries than a principal may send") \
	PE_REASON(rate_total, PACKET, DROPPED, RATE_LIMITED, "more updates or queries than all sources together may send") \
	PE_REASON(bandwidth, PACKET, DROPPED, BANDWIDTH_EXCEEDED, "the bytes that may be sent to this source, or to all, are used up") \
	PE_REASON(shed_query, PACKET, DROPPED, CPU_EXCEEDED, "question of a class that is not answered under this load") \
	PE_REASON(shed_new, RECORD, DROPPED, CPU_EXCEEDED, "no new entities are taken under this load") \
	PE_REASON(entity_budget, RECORD, REFUSED, OUT_OF_MEMORY, "as many entities as this principal, or network, may have") \
	PE_REASON(subscription_budget, SUBSCRIBE, REFUSED, OUT_OF_MEMORY, "as many subscriptions as this principal, or address, may have")
// clang-format on

enum pe_reason {
	PE_REASON_none = 0,
#define PE_REASON_ENUM(name, scope, verdict, code, text) PE_REASON_##name,
	PE_REASONS(PE_REASON_ENUM)
#undef PE_REASON_ENUM
		PE_REASON_COUNT
};

enum pe_reason_scope { PE_SCOPE_PACKET, PE_SCOPE_RECORD, PE_SCOPE_QUERY, PE_SCOPE_SUBSCRIBE };
enum pe_verdict { PE_VERDICT_REFUSED, PE_VERDICT_DROPPED };

struct pe_reason_info {
	const char *name; // as in the metrics: "stale"
	const char *text;
	enum pe_reason_scope scope;
	enum pe_verdict verdict;
	unsigned char code; // enum pe_code
};

// Indexed by enum pe_reason; entry 0 is "none". Immutable, any thread.
extern const struct pe_reason_info pe_reason_info[PE_REASON_COUNT];
