// One update or withdrawal on its way to its entity, in the form in which it crosses from worker to
// worker: the wire record as received, with what its packet said about it. 128 bytes; what an
// update with details says beside that is in the message, and on its way to another worker in a
// copy of its own.
#pragma once

#include "wire/wire.h"

enum pe_change_kind {
	PE_CHANGE_UPDATE = 1,   // to the owner, or to the partition's worker to find or make one
	PE_CHANGE_WITHDRAW = 2, // likewise; update.entity_id and update.sequence count
	// partition's worker → owner: `handle` is new and yours; apply the update
	PE_CHANGE_ADOPT = 3,
	PE_CHANGE_REMOVE = 4,   // owner → partition's worker: take `handle` out of the index
	PE_CHANGE_DETAILED = 5, // an update with details: as UPDATE, one by one
	PE_CHANGE_ADOPT_DETAILED = 6, // … as ADOPT
	PE_CHANGE_ERASE = 7,          // as WITHDRAW; incarnation: of lives that are over
};

// What the sender of a change may do, found where it was received.
enum pe_change_power {
	PE_POWER_ERASE = 1,    // whatever it is and whose
	PE_POWER_RELOCATE = 2, // say that a jump is none, if the entity is its own
};

// What an update may be spared.
enum pe_change_way {
	PE_WAY_GENERAL = 0,
	// nothing but a newer state: a MOBILE entity, no cap, no duration, no acknowledgement …
	PE_WAY_PLAIN = 1,   // … in a space that holds nothing back
	PE_WAY_COVERED = 2, // … in a space whose only threshold is the spatial one
	PE_WAY_COURSE = 3,  // … in a space that predicts, and has no threshold of time
};

#define PE_CHANGE_HOPS_MAX 4

struct pe_change {
	struct pe_wire_update update; // ttl_ms: the space's default filled in
	uint64_t time_ms;             // event time
	uint64_t hash;                // of the id
	union {
		struct {
			uint32_t incarnation;
			uint32_t handle; // where the sender believes the entity to be, or
			                 // PE_HANDLE_NONE
			// where its acknowledgement record goes, on the worker that received it; or
			// PE_ACK_NONE
			uint32_t ack;
			uint8_t kind; // enum pe_change_kind
			uint8_t space;
			uint8_t hops;  // hand-overs so far
			uint8_t owner; // the worker that received it: who shall own what is created
			uint8_t way;   // enum pe_change_way
			uint8_t parcelled;  // DETAILED: `record` is in a parcel (parcel.h), else in
			                    // the message
			uint16_t publisher; // who has it made, if it is new (places.h)
			uint32_t principal : 24; // who says so; ERASE, or a space that is guarded
			uint32_t powers : 8;     // enum pe_change_power; likewise
		};
		uint64_t about[3]; // all that, which those of a packet have in
		                   // common
	};
	const uint8_t *record; // DETAILED: a record of wire/details.h, checked
};
static_assert(sizeof(struct pe_change) == 128, "two lines");
#define PE_ACK_NONE 0xFFFFFFFFu
