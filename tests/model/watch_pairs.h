// What the model of standing queries has of each pair (fence, entity) — out, about to enter, in or
// about to leave — and the events that it wants told, worked out from the protocol's words. One
// thread; the world and the clock are the test's.
#pragma once

#include "testing.h"
#include "watch_world.h"
#include "watching.h"

#define ENTITIES  80u
#define ANCHORS   3u // the first of them: fences follow them; they don't expire
#define FOLLOW_MS 100u
#define SUBS      7u
#define FENCES    6u
#define EXPECTED  4096u

enum pair_state { OUT, ENTERING, IN, LEAVING };

struct pair {
	enum pair_state state;
	uint64_t due_ms;
	double told[3];
};

struct subscriber {
	struct watching s;
	bool open, exact, slow;
	bool unsure;       // what is to be compared next may not be whole
	uint64_t lease_ms; // when it ends
	struct world_fence fences[FENCES];
	uint64_t looked_ms[FENCES]; // of one that follows: when it is looked after next
	struct pair pairs[FENCES][ENTITIES];
};

struct expected {
	uint32_t fence;
	unsigned n;                 // entity; 0: none
	uint8_t kind, cause, flags; // cause 0xFF: any
	double p[3];
};

extern struct harness h;
extern struct world_entity entities[ENTITIES]; // number n is entity n + 1
extern struct subscriber subs[SUBS];
extern struct expected expected[SUBS][EXPECTED];
extern unsigned expected_count[SUBS];
extern uint64_t followed; // times that a fence was found to have moved

#define EACH_PAIR(sub, f) \
	for (unsigned sub = 0; sub < SUBS; sub++) \
		for (unsigned f = 0; f < FENCES; f++) \
			if (subs[sub].open && subs[sub].fences[f].used)

// What a fence says of an entity; its own follower is none of its.
enum world_side pairs_take(
	const struct world_fence *fence, const struct world_entity *entity, bool *doubt);
// An event that this subscriber is to be told; entity n from 1, or 0.
void pairs_expect(
	unsigned sub, uint32_t fence, unsigned n, unsigned kind, unsigned cause, unsigned flags);
// Dwell times that are over by the clock.
void pairs_settle(unsigned sub, unsigned f, unsigned n);
// The entity is now as it is.
void pairs_look(unsigned sub, unsigned f, unsigned n);
// The entity is gone; late: by its time-out, so that a pair that was about to leave may have left
// before.
void pairs_gone(unsigned n, bool late);
// A fence that begins: what is inside is in at once. And one that ends.
void pairs_begin(unsigned sub, unsigned f);
void pairs_end(unsigned sub, unsigned f);
// Where the entity is that a fence follows. True: somewhere else than it was. And all whose time it
// is.
bool pairs_look_after(unsigned sub, unsigned f);
void pairs_look_after_all(void);
