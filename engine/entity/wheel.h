// A timer wheel: four levels of 256 lists over 32-bit millisecond ticks that may wrap. Nodes live
// in an array of the caller's (a link at a fixed offset of each element), so nothing is allocated.
// A node sits at the level of the highest byte in which its tick differs from the wheel's; it is
// moved down when the wheel reaches that byte. Ticks must be less than 2^31 ahead. One thread.
#pragma once

#include "entity/record.h"

#include <stddef.h>
#include <stdint.h>

#define PE_WHEEL_NONE   0xFFFFFFFFu
#define PE_WHEEL_LEVELS 4

struct pe_wheel {
	unsigned char *links; // of element 0
	size_t stride;
	uint32_t tick; // all ticks before this one have been handed out
	uint32_t head[PE_WHEEL_LEVELS][256];
	uint64_t used[PE_WHEEL_LEVELS][4]; // bit = list not empty
};

// links: address of the struct pe_wheel_link in element 0. Every element's link must be initialised
// with pe_wheel_link_init before it is used.
void pe_wheel_init(struct pe_wheel *wheel, void *links, size_t stride, uint32_t tick);
static inline void pe_wheel_link_init(struct pe_wheel_link *link)
{
	link->next = link->prev = PE_WHEEL_NONE;
}

// Puts a node that is in no list; a tick that was handed out already is due with the next one.
void pe_wheel_add(struct pe_wheel *wheel, uint32_t node, uint32_t tick);
// Takes a node out; nothing happens when it is in no list.
void pe_wheel_remove(struct pe_wheel *wheel, uint32_t node);
bool pe_wheel_holds(const struct pe_wheel *wheel, uint32_t node);

// Hands out nodes whose tick is ≤ now, at most max, in order of ticks to the millisecond; they are
// in no list afterwards. At most `work` steps (moves between levels, lists looked at) are made:
// what is left comes with the next call.
unsigned pe_wheel_due(
	struct pe_wheel *wheel, uint32_t now, uint32_t *nodes, unsigned max, unsigned work);

// Milliseconds from now to the next moment at which pe_wheel_due may have something to do, at most
// cap.
uint32_t pe_wheel_next(const struct pe_wheel *wheel, uint32_t now, uint32_t cap);
