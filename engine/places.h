// Whose the places in the entity table are, and who gives one up when they run out.
//
// A place belongs to whoever made its entity: to a principal, to a network of sources that nobody
// knows (IPv4 /24, IPv6 /56, by a keyed hash: two networks of one number share their budget), or,
// where the source is trusted by configuration and nobody in particular, to no one. It is counted
// from the entity's creation until its handle is free again, so that what is remembered of an
// entity that is gone counts too. The numbers are kept beside the table, two bytes an entity, and
// only where something asks for them.
//
// Where the configuration names whom to evict, each creation beyond a small reserve looks at a few
// of the worker's own entities and takes the least of them away: what is gone already first, then
// by the policy. Its place is free two grace periods later, and what was known of its order is
// forgotten. Bounded work for each creation, none for anything else.
#pragma once

#include "engine.h"

#include "entity/table.h"

#define PE_PUBLISHER_NONE       0u // trusted, and nobody in particular
#define PE_PUBLISHER_PRINCIPALS 16384u
#define PE_PUBLISHER_NETWORKS   49151u // the rest of 16 bits
#define PE_PUBLISHERS           (1u + PE_PUBLISHER_PRINCIPALS + PE_PUBLISHER_NETWORKS)

// looked at for each creation; four times as many where workers share the table
#define PE_EVICT_SAMPLES 16
#define PE_EVICT_MOST    2 // taken away for each creation, so that the reserve fills up
#define PE_EVICT_RESERVE 256u

struct pe_places {
	uint32_t principal_max, network_max; // entities; 0 = no limit
	uint32_t entity_count_max;
	struct pe_hash_key key;
	// by handle's number. written: the partition's worker, before the entity can be found;
	// read: the same, and evicting workers, relaxed: a stale one costs a worse choice
	_Atomic uint16_t *of;
	// by publisher; written and read: any worker, relaxed
	_Atomic uint32_t *count;
	struct pe_memory memory;
};

// places->of stays NULL where the configuration needs none. PE_NO_MEMORY, PE_IO.
[[nodiscard]] enum pe_status pe_places_create(
	struct pe_places *places, const struct pe_engine_config *config);
void pe_places_destroy(struct pe_places *places);

// The number of who sends from there. Any thread.
uint16_t pe_places_publisher(const struct pe_places *places, const struct pe_peer *peer);

// A place for a new entity of a publisher, and back. False: it has as many as it may.
bool pe_places_take(struct pe_places *places, uint32_t handle, uint16_t publisher);
void pe_places_give(struct pe_places *places, uint32_t handle);

// places_evict.c. Before a creation on this worker.
struct pe_worker;
void pe_places_evict(struct pe_worker *w);
