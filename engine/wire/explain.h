// EXPLAIN: why an entity is or isn't in the answer to a query, or in a fence of a subscription, for
// the one who asks. The request is a header with a count of 1, struct pe_wire_explain, one query
// and its extension, as SPATIAL_QUERY has them (of a fence 128 bytes of zero in their place); the
// answer is a header of the same type with PE_FLAG_RESPONSE, a count of 1, and struct
// pe_wire_explanation: 208 bytes, less than any request has, so that it may go to anyone.
// docs/protocol.md says the same in words. Writers are in wire/encode.h, the checks of messages in
// wire/decode.h. Shared with the client library; no state, any thread.
#pragma once

#include "base/reasons.h"

#include <assert.h>
#include <stdint.h>

// What is explained. Others are refused (body_reserved).
enum pe_explain_selector {
	PE_EXPLAIN_QUERY = 1, // the query that follows
	PE_EXPLAIN_FENCE = 2, // the fence that `subject` names; for trusted sources
};

struct pe_wire_explain {
	uint8_t entity_id[16]; // nil is refused
	uint32_t selector;     // enum pe_explain_selector
	uint32_t reserved;
	// PE_EXPLAIN_FENCE: the subscription in the low half, its fence in the high one. Else zero
	uint64_t subject;
};
static_assert(sizeof(struct pe_wire_explain) == 32, "explain");

enum pe_explain_verdict {
	PE_EXPLAIN_OUT = 0,
	PE_EXPLAIN_IN = 1, // of the answer, all its pages together; between its ENTER and its LEAVE
	PE_EXPLAIN_UNDECIDED = 2, // refused, or its state could not be read whole: ask again
};

// In the order in which they are looked at. Behind the first three nothing is looked at: none of
// the rest is told.
enum pe_why {
	PE_WHY_UNKNOWN = 1, // nothing of that id, or nothing that the asker may know of
	PE_WHY_GONE = 2,    // withdrawn or past its ttl; told to trusted askers, UNKNOWN to others
	PE_WHY_SPACE = 3,   // it is in another space
	PE_WHY_TYPE = 4,    // type_mask
	PE_WHY_STATE = 5,   // state_mask
	PE_WHY_HEIGHT = 6,  // HEIGHT_RANGE
	PE_WHY_FILTER = 7,  // the program; filter_step. Or the RESOLUTION's age, with step 0
	PE_WHY_VOLUME = 8,  // outside of the volume; distance_m, edge_m, beyond_m
	// the asker's point is further than the entity reaches; asker_m, radius_m
	PE_WHY_REACH = 9,
	PE_WHY_RANK = 10,  // NEAREST: enough others are nearer; edge_m is the last one's distance
	PE_WHY_BOUND = 11, // NEAREST: a bound of work was reached before it was met
	PE_WHY_SCOPE = 12, // the asker's point is outside of the entity's scope; to trusted askers,
	                   // UNKNOWN to others
	// Fences only, when nothing above keeps it out
	PE_WHY_DWELL = 13,    // it is inside since less than enter_ms; due_ms
	PE_WHY_UNLOOKED = 14, // nobody has looked yet: it enters when its owner does
	PE_WHY_ITSELF = 15,   // it is the entity that the fence follows
	// Not why it isn't in, but what else there is to know.
	PE_WHY_COALESCED = 16, // a threshold holds a newer state back; held_m, held_ms, due_ms
	PE_WHY_PENDING = 17,   // a newer state waits for a move that is being settled; likewise
	// another worker owns it: what is held back there is not known here, and of a fence not who
	// is in it
	PE_WHY_ELSEWHERE = 18,
	// Fences only
	PE_WHY_MARGIN = 19, // it is between the volume and its margin, where nothing changes
	PE_WHY_LEAVING =
		20, // in, but out of the volume since less than leave_ms; due_ms, and causes
	PE_WHY_OUTDATED = 21, // in, but it will leave when its owner looks; causes
	PE_WHY_WAITS = 22,    // something of the pair waits to be sent to the subscriber
	PE_WHY_KEPT = 23,     // another worker keeps the subscription: what waits is not known here
	PE_WHY_FULL = 24,     // with UNLOOKED: no membership is free on its owner
	PE_WHY_NOWHERE = 25,  // with VOLUME: the entity that the fence follows is not there
	// Why it isn't in, too: it is shown to others alone. Told to its owner and to
	// administrators; UNKNOWN to everyone else
	PE_WHY_VEILED = 26,
};
#define PE_EXPLAIN_DECIDING \
	(0x0000FFFEu | 1u << PE_WHY_VEILED) // bits of the causes for which it isn't in
#define PE_EXPLAIN_CAUSES (PE_EXPLAIN_DECIDING | 0x3FFu << PE_WHY_COALESCED)
// It is in, and the deciding causes say what it is going to leave for.
#define PE_EXPLAIN_GOING (1u << PE_WHY_LEAVING | 1u << PE_WHY_OUTDATED)

#define PE_EXPLAIN_NOT_TOLD (-1.0) // instead of a distance

struct pe_wire_explanation {
	uint64_t request_sequence;
	uint32_t selector;   // the request's
	uint32_t query_id;   // the query's
	uint8_t code;        // enum pe_code: SUCCESS, or why nothing is explained
	uint8_t reason;      // enum pe_reason
	uint8_t verdict;     // enum pe_explain_verdict
	uint8_t first_cause; // the lowest deciding cause; 0 without one
	uint32_t causes;     // bit n = enum pe_why n
	uint8_t entity_id[16];
	// Of what is published, as the asker may see it; zero (distances −1) unless the entity is
	// in the query's space
	double position[3];
	double distance_m; // from the query's a, as the volume measures; −1 = it doesn't
	double edge_m;     // SPHERE, POINT, NEAREST: where that would have to be at most; else −1
	double beyond_m;   // how far outside of the volume; 0 = inside; −1 = not told
	double asker_m;    // from the asker's point
	// from what is published to the newest accepted state; −1 = none, or not told
	double held_m;
	float radius_m; // its reach; 0 = no limit
	int32_t age_ms;
	uint32_t ttl_left_ms;
	uint32_t held_ms; // by so much event time the newest accepted state is newer
	// within which that is published; 0 = at once, or with a grace period. With DWELL or
	// LEAVING: until it enters or leaves
	uint32_t due_ms;
	uint16_t filter_step; // of the program, from 1: the one that decided; 0 = none did
	uint8_t state;        // as in a result
	uint8_t entity_type;
};
static_assert(sizeof(struct pe_wire_explanation) == 128, "explanation");

// Client: is the explanation sound? body_reserved (code, reason, verdict and causes contradict each
// other), state, entity_type, coordinates (numbers that are none, or distances that are negative
// and not −1).
[[nodiscard]] enum pe_reason pe_wire_check_explanation(
	const struct pe_wire_explanation *explanation);
