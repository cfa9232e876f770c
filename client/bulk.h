// Bulk publishing in place: a packet's records are filled where they are sent from, as they travel.
// Tuned for feeds of millions of updates a second, where making a struct presence_update, checking
// it and making a record of it cost more than sending it; for anything else presence_send and
// presence_publish are simpler. Packets are gathered, and handed to the system 32 at a time.
//
//	while (more) {
//		result = presence_reserve(client, space, &records);
//		for (n = 0; n < PRESENCE_BATCH_MAX && more; n++)
//			records[n] = (struct presence_record){…};
//		result = presence_commit(client, n, false, NULL);
//	}
//	result = presence_flush(client, NULL);
//
// What a record says is not looked at: the engine checks every byte, and says why it refuses one
// when acknowledgements are asked for.
//
// Threads: those of presence.h.
#pragma once

#include "presence.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

// One state of one entity as it travels: SPATIAL_UPDATE in docs/protocol.md, little endian. All
// zero but id and sequence is sound.
struct presence_record {
	uint8_t id[16];
	double position[3]; // CARTESIAN x, y, z; GEODETIC latitude, longitude, height
	// must grow for each update of the entity within the client's incarnation
	uint32_t sequence;
	int32_t time_offset_ms; // of the state from now: −1000 = a second ago
	uint32_t ttl_ms;        // 0 = the space's default
	uint32_t duration_ms;   // of the state; 0 = until changed
	float radius_m;         // reach; 0 = no limit
	float precision_m;      // 0 = not stated
	uint16_t velocity[3];   // presence_half
	// updates a minute that the engine takes; 0 = the space's default
	uint16_t frequency_per_minute;
	uint16_t announced_per_minute; // updates a minute that the sender announces; 0 = not stated
	uint8_t position_confidence;   // 0 = not stated, else 1 + 254 × confidence
	uint8_t status_confidence;     // likewise
	uint8_t type;                  // enum presence_type
	uint8_t custom_state;          // with PRESENCE_STATE_CUSTOM
	uint16_t attributes;           // PRESENCE_RECORD_*
};

#define PRESENCE_RECORD_STATE(state)   ((uint16_t)(state))       // enum presence_state
#define PRESENCE_RECORD_POWER(mode)    ((uint16_t)((mode) << 5)) // enum presence_power
#define PRESENCE_RECORD_HEIGHT_UNKNOWN ((uint16_t)0x0400)        // GEODETIC; position[2] is then 0
#define PRESENCE_RECORD_RELOCATION     ((uint16_t)0x0800) // a STATIC entity was moved on purpose

// Room for PRESENCE_BATCH_MAX records of one packet. They are not cleared: write each whole. Any
// other call on the client but presence_commit, presence_error and presence_traffic gives the room
// back. PRESENCE_WOULD_BLOCK: the gathered packets have no room in the system yet; PRESENCE_SYSTEM:
// they cannot be sent. *records is then NULL.
enum presence_result presence_reserve(
	struct presence_client *client, const uint8_t *space, struct presence_record **records);

// Gathers the packet of the first `count` of them, 1 … PRESENCE_BATCH_MAX; 0 gives the room back.
// With `ack` the engine tells their fate (presence_poll) under *sequence, which may be NULL.
// PRESENCE_BAD_ARGUMENT: another count, or there is no room reserved.
enum presence_result presence_commit(
	struct presence_client *client, unsigned count, bool ack, uint64_t *sequence);

// The record of an update; false, and *record is as it was, for one that cannot be said.
bool presence_record_from(struct presence_record *record, const struct presence_update *update);
uint16_t presence_half(float metres_per_second); // nearest binary16; beyond ±65504 that

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
