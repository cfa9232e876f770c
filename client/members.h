// Who is inside, by the events of one watch: a set of (fence, entity) with the newest that was told
// of each. Tuned for programs that would otherwise keep such a set themselves; a tree, so that ids
// that strangers choose cost no more than others. Bounded by its creator. Threads: a set belongs to
// one thread at a time.
#pragma once

#include "watch.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct presence_member {
	uint32_t fence;
	uint64_t since_ms;            // Unix, the engine's: of its ENTER
	struct presence_found entity; // newest
};

struct presence_members;

// Room for so many members; memory is taken as they come. NULL: no memory.
struct presence_members *presence_members_create(size_t count_max);
void presence_members_free(struct presence_members *members); // NULL is allowed

// Takes an event, whatever its kind: a GAP or the end empties the set. False: an ENTER for which
// there was no room or no memory. Its entity is then missing until it enters again, and
// presence_members_missing counts it until it leaves.
bool presence_members_take(
	struct presence_members *members, const struct presence_watch_event *event);
size_t presence_members_count(const struct presence_members *members);
size_t presence_members_missing(const struct presence_members *members);
// NULL: no member. Valid until the next event is taken.
const struct presence_member *presence_members_find(
	const struct presence_members *members, uint32_t fence, const uint8_t id[16]);
// By fence, then by id. `each` must not change the set.
void presence_members_each(const struct presence_members *members,
	void (*each)(void *context, const struct presence_member *member), void *context);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
