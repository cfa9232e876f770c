// Safe regions: how far an entity may go, within its leaf, before any standing volume has to look
// at it again. What a look found — who is inside of which volumes, and how far the nearest edge is
// — stays true for every position closer to where it was found than that edge; so an update within
// the region costs one line and a comparison, however many volumes there are. (The name and the
// idea are of S. Prabhakar et al., "Query indexing and velocity constrained indexing", IEEE
// Transactions on Computers 51 (10), 2002.)
//
// An entry is 16 bytes, one an entity, and is its owner's: it was found at `word` in the leaf that
// the entity is in still (who moves it to another leaf forgets it), under the volumes of a worker's
// `epoch`. A change of any volume is another epoch, and ends all regions at once.
#pragma once

#include "space/space.h"

#include <stdbool.h>
#include <stdint.h>

struct pe_safe_region {
	uint64_t word;  // positions, without flags
	uint64_t bound; // epoch << 16 | reach in PE_SAFE_UNITs, 0: refused; 0: none
};

#define PE_SAFE_UNIT      256u // of a leaf's edge / 2^20: 1.6 cm for one of 64 m
#define PE_SAFE_REACH_MAX 0xFFFFu
#define PE_SAFE_SLACK     4.0 // units: what rounding may have taken

// Epochs of worker w begin at PE_SAFE_EPOCH(w), and are never another worker's. 2^43 of them last
// for a year of 200,000 a second.
#define PE_SAFE_EPOCH(worker) ((uint64_t)(worker) << 43 | 1)

static inline void pe_safe_forget(struct pe_safe_region *s)
{
	s->bound = 0;
}

// room: units across to the nearest edge; 0 or less, or no number: there is no region.
static inline void pe_safe_set(
	struct pe_safe_region *s, uint64_t epoch, uint64_t word, double room_units)
{
	double reach = (room_units - PE_SAFE_SLACK) / PE_SAFE_UNIT;

	s->word = word & PE_WORD_POSITION;
	s->bound = !(reach >= 1.0) ?
		0 :
		epoch << 16 | (reach > PE_SAFE_REACH_MAX ? PE_SAFE_REACH_MAX : (uint64_t)reach);
}

// Each move is to be told: nobody needs to work out a region under these volumes.
static inline void pe_safe_refuse(struct pe_safe_region *s, uint64_t epoch)
{
	s->bound = epoch << 16;
}
static inline bool pe_safe_refused(const struct pe_safe_region *s, uint64_t epoch)
{
	return s->bound == epoch << 16;
}

// May the entity be at `word` of the same leaf without a look?
static inline bool pe_safe_holds(
	const struct pe_safe_region *s, uint64_t epoch, uint64_t word, unsigned z_shift)
{
	int64_t x = (int64_t)PE_WORD_X(word) - (int64_t)PE_WORD_X(s->word);
	int64_t y = (int64_t)PE_WORD_Y(word) - (int64_t)PE_WORD_Y(s->word);
	int64_t z = ((int64_t)PE_WORD_Z(word) - (int64_t)PE_WORD_Z(s->word)) * (1ll << z_shift);
	int64_t reach = (int64_t)(s->bound & PE_SAFE_REACH_MAX) * PE_SAFE_UNIT;

	return s->bound >> 16 == epoch && reach && x * x + y * y + z * z <= reach * reach;
}
