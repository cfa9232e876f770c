// The replay window of a session: which sequences were taken already. A ring of 64-bit words as in
// RFC 6479, one of them spare, so that moving on clears whole words and shifts nothing. A sequence
// is looked up before its message's tag is worked out, which spares the work for plain repeats, and
// taken only after the tag was right: a forger moves nothing. Tuned for one word read and one
// written a message. Pure functions of the window; it belongs to one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PE_REPLAY_WORDS 32 // a power of two
// Sequences that may be missing behind the highest: what is further behind is refused unseen.
#define PE_REPLAY_WINDOW ((PE_REPLAY_WORDS - 1) * 64)

struct pe_replay {
	uint64_t top;                    // the highest that was taken; 0 = none yet
	uint64_t words[PE_REPLAY_WORDS]; // bit = sequence mod the ring's bits
};

// Whether the sequence is neither taken nor too old. 0 is no sequence.
static inline bool pe_replay_fresh(const struct pe_replay *replay, uint64_t sequence)
{
	if (sequence > replay->top)
		return true;
	if (sequence == 0 || replay->top - sequence >= PE_REPLAY_WINDOW)
		return false;
	return !(replay->words[sequence / 64 % PE_REPLAY_WORDS] >> sequence % 64 & 1);
}

// Takes it. False, and nothing is changed: it is not fresh, as when two of one burst carry the same
// sequence.
static inline bool pe_replay_take(struct pe_replay *replay, uint64_t sequence)
{
	if (!pe_replay_fresh(replay, sequence))
		return false;
	if (sequence > replay->top) {
		uint64_t steps = sequence / 64 - replay->top / 64;

		if (steps > PE_REPLAY_WORDS)
			steps = PE_REPLAY_WORDS;
		for (uint64_t i = 0; i < steps; i++)
			replay->words[(sequence / 64 - i) % PE_REPLAY_WORDS] = 0;
		replay->top = sequence;
	}
	replay->words[sequence / 64 % PE_REPLAY_WORDS] |= (uint64_t)1 << sequence % 64;
	return true;
}
