// RELATIVE entities: placed in the frame of another one, the parent, at so many metres along its
// axes. The engine works out where they are when they are updated, and again when the parent's
// published place or orientation changes, if one worker owns both. A child whose parent is another
// worker's, or is gone, stays where it was until its own update or its ttl.
//
// Chains are at most PE_FRAME_DEPTH long, a parent has at most PE_FRAME_CHILDREN children that
// follow it, and one change moves at most PE_FRAME_MOVES entities. One thread: the owner's.
#pragma once

#include "base/memory.h"
#include "wire/details.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_FRAME_DEPTH    4u
#define PE_FRAME_CHILDREN 64u
#define PE_FRAME_MOVES    256u
#define PE_FRAME_LINKS    16384u // of one worker: a power of two
#define PE_FRAME_NONE     0xFFFFFFFFu

struct pe_worker;
struct pe_change;

struct pe_frame_link {
	uint32_t child, parent;                 // handles
	uint32_t next_of_child, next_of_parent; // in their buckets
};

// A worker's.
struct pe_frames {
	struct pe_frame_link *links;    // NULL: none are kept
	uint32_t *of_child, *of_parent; // first link of each bucket
	uint32_t free;
	unsigned depth, moves; // of the change that is followed
	struct pe_memory memory;
};

[[nodiscard]] bool pe_frames_create(struct pe_frames *frames);
void pe_frames_destroy(struct pe_frames *frames);

// Where a child is: c->update.position, metres in the frame of `parent_id`, becomes a position in
// the space, and *placed says both. *parent: its handle. frame_unknown, or out_of_bounds.
[[nodiscard]] enum pe_reason pe_frame_place(struct pe_worker *w, struct pe_change *c,
	const uint8_t parent_id[16], struct pe_wire_placed *placed, uint32_t *parent);
// Is there room for such a link? What has one already needs none.
[[nodiscard]] bool pe_frame_fits(struct pe_worker *w, uint32_t child, uint32_t parent);
// The child follows the parent from now on (PE_FRAME_NONE: no one), where this worker owns both.
void pe_frame_link(struct pe_worker *w, uint32_t child, uint32_t parent);
// The entity is gone: nobody follows it.
void pe_frame_forget(struct pe_worker *w, uint32_t handle);
// Its published place or orientation may have changed: moves those that follow it.
void pe_frame_follow(struct pe_worker *w, uint32_t parent);
