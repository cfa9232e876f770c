// Plausibility: a space may say how fast an entity of each type can be. An update that would have
// had to be faster, from the newest accepted place and time of its entity, is quarantined: refused
// and counted, but remembered. It is believed once it is confirmed by fixes that follow it in time
// and that the speed allows from each to the next, with no update of the old course in between; or
// at once, when who may says that it is a relocation. So a glitch changes nothing, and a real jump
// costs its entity one or a few updates.
//
// Most updates are surely slow enough, which is seen from the record alone (surely.h); an entity
// that has a suspect says so in its status (PE_STATUS_SUSPECT), so that its next update is looked
// at here.
//
// Suspects lie in sets of PE_SUSPECT_WAYS by handle, a worker's own; where a set is full the one
// that was heard of longest ago is forgotten, and has to begin anew. One thread.
#pragma once

#include "base/memory.h"
#include "base/reasons.h"
#include "entity/change.h"

#include <stdbool.h>

#define PE_SUSPECT_WAYS 4u
// What positions that are held are rounded by, and more.
#define PE_PLAUSIBLE_ROUNDING_M 1e-3

struct pe_worker;
struct pe_space_entry;

struct pe_suspect {
	double position[3]; // of the last fix
	uint64_t time_ms;
	uint32_t incarnation, sequence;
	uint32_t handle; // PE_HANDLE_NONE: free
	uint32_t tick;   // heard of last
	uint32_t fixes;  // that agree
	float slack_m;   // by which its scope may have rounded the place
	uint8_t type, height_unknown;
	uint16_t reserved;
	uint32_t reserved1;
};
static_assert(sizeof(struct pe_suspect) == 64, "a line");

struct pe_suspects {
	struct pe_suspect *suspects; // [set_count × PE_SUSPECT_WAYS]
	uint32_t set_count;          // a power of two; 0: no space asks
	struct pe_memory memory;
};

// For a worker's share of the entities. False: no memory.
[[nodiscard]] bool pe_suspects_create(struct pe_suspects *suspects, uint32_t entities);
void pe_suspects_destroy(struct pe_suspects *suspects);

// The velocity that an update states: implausible, or none. Any thread.
[[nodiscard]] enum pe_reason pe_plausible_velocity(
	const struct pe_space_entry *s, const struct pe_wire_update *update);
// An update in order, of an entity that this worker owns and that is there or remembered:
// implausible, or none. *believed: it was quarantined, and is no longer, if the update is taken
// (pe_plausible_forget).
[[nodiscard]] enum pe_reason pe_plausible_check(
	struct pe_worker *w, const struct pe_change *c, uint32_t handle, bool *believed);
// What is remembered of a suspect is over. True: there was something.
bool pe_plausible_forget(struct pe_worker *w, uint32_t handle);
