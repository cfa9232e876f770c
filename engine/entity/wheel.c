#include "entity/wheel.h"

#include <assert.h>

// prev of a list's first node names the list.
#define IN_HEAD 0x80000000u

static struct pe_wheel_link *link_of(const struct pe_wheel *w, uint32_t node)
{
	return (struct pe_wheel_link *)(w->links + (size_t)node * w->stride);
}

void pe_wheel_init(struct pe_wheel *wheel, void *links, size_t stride, uint32_t tick)
{
	wheel->links = links;
	wheel->stride = stride;
	wheel->tick = tick;
	memset(wheel->head, 0xFF, sizeof wheel->head);
	memset(wheel->used, 0, sizeof wheel->used);
}

static void put(struct pe_wheel *w, uint32_t node, struct pe_wheel_link *l)
{
	uint32_t tick = (int32_t)(l->tick - w->tick) < 0 ? w->tick : l->tick;
	uint32_t differs = tick ^ w->tick;
	unsigned level = differs < 1u << 8 ? 0 :
		differs < 1u << 16         ? 1 :
		differs < 1u << 24         ? 2 :
					     3;
	unsigned slot = (tick >> (8 * level)) & 255;

	l->next = w->head[level][slot];
	l->prev = IN_HEAD | level << 8 | slot;
	if (l->next != PE_WHEEL_NONE)
		link_of(w, l->next)->prev = node;
	w->head[level][slot] = node;
	w->used[level][slot / 64] |= 1ull << (slot % 64);
}

void pe_wheel_add(struct pe_wheel *wheel, uint32_t node, uint32_t tick)
{
	struct pe_wheel_link *l = link_of(wheel, node);

	assert(l->prev == PE_WHEEL_NONE && !(node & IN_HEAD));
	l->tick = tick;
	put(wheel, node, l);
}

void pe_wheel_remove(struct pe_wheel *wheel, uint32_t node)
{
	struct pe_wheel_link *l = link_of(wheel, node);

	if (l->prev == PE_WHEEL_NONE)
		return;
	if (l->next != PE_WHEEL_NONE)
		link_of(wheel, l->next)->prev = l->prev;
	if (l->prev & IN_HEAD) {
		unsigned level = (l->prev >> 8) & 3, slot = l->prev & 255;

		wheel->head[level][slot] = l->next;
		if (l->next == PE_WHEEL_NONE)
			wheel->used[level][slot / 64] &= ~(1ull << (slot % 64));
	} else {
		link_of(wheel, l->prev)->next = l->next;
	}
	pe_wheel_link_init(l);
}

bool pe_wheel_holds(const struct pe_wheel *wheel, uint32_t node)
{
	return link_of(wheel, node)->prev != PE_WHEEL_NONE;
}

// First used slot at or after `from` in a level, or 256.
static unsigned next_used(const uint64_t used[4], unsigned from)
{
	for (unsigned word = from / 64; word < 4; word++) {
		uint64_t bits = used[word];

		if (word == from / 64)
			bits &= ~0ull << (from % 64);
		if (bits)
			return word * 64 + (unsigned)__builtin_ctzll(bits);
	}
	return 256;
}

// Moves the lists that begin at the wheel's tick down a level. False when the work ran out.
static bool cascade(struct pe_wheel *w, unsigned *work)
{
	for (unsigned level = PE_WHEEL_LEVELS - 1; level > 0; level--) {
		unsigned slot = (w->tick >> (8 * level)) & 255;
		uint32_t node;

		if (w->tick & ((1u << (8 * level)) - 1))
			continue;
		while ((node = w->head[level][slot]) != PE_WHEEL_NONE) {
			if (*work == 0)
				return false;
			(*work)--;
			pe_wheel_remove(w, node);
			put(w, node, link_of(w, node));
		}
	}
	return true;
}

// How far ahead of the wheel's tick the next list is that is to be looked at or moved down;
// UINT32_MAX: there is none. What begins at the tick itself is in level 0 already. A lower level's
// lists come before a higher one's.
static uint32_t next_list(const struct pe_wheel *w)
{
	for (unsigned level = 0; level < PE_WHEEL_LEVELS; level++) {
		unsigned shift = 8 * level, slot = (w->tick >> shift) & 255;
		unsigned next = next_used(w->used[level], slot);

		if (next < 256)
			return (w->tick >> shift << shift) + ((next - slot) << shift) - w->tick;
	}
	// Only ticks beyond the wrap have lower slots of the highest level.
	unsigned next = next_used(w->used[PE_WHEEL_LEVELS - 1], 0);

	return next < 256 ? (next << 8 * (PE_WHEEL_LEVELS - 1)) - w->tick : UINT32_MAX;
}

unsigned pe_wheel_due(
	struct pe_wheel *wheel, uint32_t now, uint32_t *nodes, unsigned max, unsigned work)
{
	unsigned count = 0;

	while ((int32_t)(now - wheel->tick) >= 0) {
		unsigned slot = wheel->tick & 255;
		uint32_t node, ahead;

		if (work == 0 || !cascade(wheel, &work))
			return count;
		work--;
		while ((node = wheel->head[0][slot]) != PE_WHEEL_NONE) {
			if (count == max)
				return count;
			pe_wheel_remove(wheel, node);
			nodes[count++] = node;
		}
		// Never past now + 1.
		ahead = next_list(wheel);
		wheel->tick = ahead > now - wheel->tick ? now + 1 : wheel->tick + ahead;
	}
	return count;
}

uint32_t pe_wheel_next(const struct pe_wheel *wheel, uint32_t now, uint32_t cap)
{
	uint32_t behind = now + 1 - wheel->tick; // 0 after a due call that finished
	uint32_t ahead;

	if ((int32_t)behind > 0)
		return 0;
	// Where a list of a higher level comes down, the lowest one does not show yet what is due.
	ahead = 0;
	if (wheel->tick & 255)
		ahead = next_used(wheel->used[0], wheel->tick & 255) - (wheel->tick & 255);
	ahead += wheel->tick - now;
	return ahead < cap ? ahead : cap;
}
