// Who is inside of which fence, and what is to be told of it: ENTER, MOVE and LEAVE. A membership
// is a pair (fence, entity) in a bounded hash set; it is in a list of its entity's and in one of
// its fence's, so that an entity that goes and a fence that ends find theirs without a search.
// Tuned for entities that are in no fence: these cost one bit of a bitmap.
//
// What holds: after an ENTER of a pair comes exactly one LEAVE of it before its next ENTER,
// whatever ends it, and MOVEs only between them. There is no room for a membership: then the entity
// does not enter (counted; it does with its next update if it is inside still and there is room),
// so that nothing is owed.
//
// When a pair changes. It enters when it was inside of the volume for enter_ms without a break, as
// far as its updates tell: one in the margin or outside begins anew. It leaves when it was outside
// by more than the margin for leave_ms without a break: an update in the margin or inside begins
// anew. With 0 ms it is at once. An update that is later than a change was due settles that change
// first.
//
// MOVE is for pairs that are inside, where the fence asks for it: further than move_m from where
// the entity was when it was told of last; none while it waits to leave. An update at the same
// place tells nothing.
//
// Which updates: accepted states in their order (a late one is the record's to refuse), with ticks
// that don't go back: an older tick counts as the newest one. Ticks are milliseconds that may wrap.
//
// One thread owns a set and calls everything here. Memory is taken at create.
#pragma once

#include "discover/fence.h"
#include "entity/wheel.h"

// as a hit's side: the entity may not be seen by this fence (any more); its LEAVE says GONE
#define PE_MEMBER_HIDDEN 3u

enum pe_member_kind { PE_MEMBER_ENTER, PE_MEMBER_MOVE, PE_MEMBER_LEAVE };
enum pe_member_cause {
	PE_CAUSE_NONE,  // ENTER, MOVE
	PE_CAUSE_MOVED, // out of the volume
	PE_CAUSE_GONE,  // expired, withdrawn, hidden
	PE_CAUSE_ENDED, // the fence was taken away
};

struct pe_member_event {
	uint8_t kind, cause;
	uint32_t fence, handle;
	uint32_t tick; // when it came about
};
// Called while the set is being changed: it must not call the set.
typedef void pe_member_tell(void *context, const struct pe_member_event *event);

struct pe_member_config {
	uint32_t member_count_max; // memberships, those that wait to enter included; < 2^31
	uint32_t fence_count_max;  // as of the index
	uint32_t handle_end;       // above all handles of entities
	bool huge_pages;
	pe_member_tell *tell;
	void *context; // of tell
};

struct pe_member_plan {
	uint64_t member_bytes, bucket_bytes, fence_bytes, entity_bytes, other_bytes, total_bytes;
};
// Of a configuration; total_bytes is 0 where pe_member_create would refuse it.
struct pe_member_plan pe_member_plan(const struct pe_member_config *config);

struct pe_member_set;
[[nodiscard]] enum pe_status pe_member_create(const struct pe_member_config *config, uint32_t tick,
	struct pe_member_set **set, struct pe_error *error);
void pe_member_destroy(struct pe_member_set *set); // nothing is told

struct pe_member_rule {
	uint32_t enter_ms, leave_ms; // ≤ PE_FENCE_DWELL_MAX_MS
	double move_m;               // ≥ 0: MOVE when further than that; < 0: none
};
// A fence that was added begins to have members; the space is the one that it is in. PE_INVALID: no
// such rule.
[[nodiscard]] enum pe_status pe_member_open(struct pe_member_set *set, uint32_t fence,
	const struct pe_space *space, const struct pe_member_rule *rule);
// The fence ends: its members LEAVE (ENDED), at most max of them; those that wait to enter go
// without a word. Returns how many are left: the caller comes back for them, removes the fence from
// the index when there are none, and opens no fence of that number before. From the first call on
// nobody enters.
uint32_t pe_member_close(struct pe_member_set *set, uint32_t fence, uint32_t tick, uint32_t max);

// An entity is now at this place, where these hits are (pe_fence_look), less those whose entity
// filter it doesn't pass, HIDDEN those that it is hidden from. True: whoever is inside is a member;
// false: one could not be (yet).
bool pe_member_update(struct pe_member_set *set, uint32_t handle, uint64_t key, uint64_t word,
	const struct pe_fence_hit *hits, unsigned hit_count, uint32_t tick);
// How far, in units across, the entity may go from where it is now before one of its members has
// something to tell, as long as it is in and outside of the same volumes; 0 where time alone may
// bring that about, −INFINITY where each move is told.
double pe_member_room(
	const struct pe_member_set *set, uint32_t handle, uint64_t key, uint64_t word);
// An entity that a new fence's snapshot found inside is a member at once, whatever the rule; ENTER
// is told unless it is one already. PE_FULL: there is no room, it is none (counted). PE_NOT_FOUND:
// the fence is not open.
[[nodiscard]] enum pe_status pe_member_start(struct pe_member_set *set, uint32_t fence,
	uint32_t handle, uint64_t key, uint64_t word, uint32_t tick);
// The entity is gone (expired, withdrawn, its owner changed …): all its members LEAVE (GONE). Its
// handle may be given out again.
void pe_member_gone(struct pe_member_set *set, uint32_t handle, uint32_t tick);

// Changes whose dwell time has passed, at most max, in at most `work` steps of the wheel. To be
// called before a turn's updates. Returns how many it settled.
unsigned pe_member_due(struct pe_member_set *set, uint32_t now, unsigned max, unsigned work);
// Milliseconds to the next moment at which that may have something to do, at most cap.
uint32_t pe_member_next(const struct pe_member_set *set, uint32_t now, uint32_t cap);

// May the entity be in any fence, or wait to be? The bit that an update of one that is in none
// reads.
bool pe_member_some(const struct pe_member_set *set, uint32_t handle);
// Asks for what updates of these entities (at most PE_FENCE_BURST) will read: a round for each of
// their first members.
void pe_member_prefetch(const struct pe_member_set *set, const uint32_t *handles, unsigned count);
// Members of a fence, those that wait to enter included, at most max from *cursor on
// (PE_MEMBER_LIST_START: from the first). *cursor is then where to go on, or PE_MEMBER_LIST_END.
// Between the calls members may come and go: those that come need not be met; when the one to go on
// with has gone, it begins again.
#define PE_MEMBER_LIST_START 0xFFFFFFFFu
#define PE_MEMBER_LIST_END   0xFFFFFFFEu
unsigned pe_member_list(const struct pe_member_set *set, uint32_t fence, uint32_t *cursor,
	uint32_t *handles, unsigned max);

// An empty set's clock, before its first use.
void pe_member_set_tick(struct pe_member_set *set, uint32_t tick);

// The next fence, from *cursor on (PE_MEMBER_LIST_START: the first), for which the entity is
// between its ENTER and its LEAVE; PE_MEMBER_LIST_END: there are no more. Between the calls the set
// must not change.
uint32_t pe_member_inside_next(const struct pe_member_set *set, uint32_t handle, uint32_t *cursor);
// How it stands with a pair, and until when it does if nothing else comes: *until of those that
// wait to enter or to leave.
enum pe_member_phase { PE_MEMBER_OUT, PE_MEMBER_ENTERS, PE_MEMBER_IN, PE_MEMBER_LEAVES };
enum pe_member_phase pe_member_phase(
	const struct pe_member_set *set, uint32_t fence, uint32_t handle, uint32_t *until);
// Is there no room for another one?
bool pe_member_full(const struct pe_member_set *set);
// Is the pair between its ENTER and its LEAVE?
bool pe_member_inside(const struct pe_member_set *set, uint32_t fence, uint32_t handle);

struct pe_member_use {
	uint32_t members;                  // now, with those that wait to enter
	uint32_t inside;                   // now, between ENTER and LEAVE
	uint64_t entered, moved;           // told
	uint64_t left[PE_CAUSE_ENDED + 1]; // told, by cause
	uint64_t refused;                  // did not enter, or begin to, for lack of room
	uint64_t returned;                 // waited to enter or to leave, and didn't
};
struct pe_member_use pe_member_use(const struct pe_member_set *set);
