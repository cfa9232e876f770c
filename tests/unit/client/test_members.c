// Sets of members against a plain table, by seeded events.
#include "client/members.h"
#include "testing.h"

#include <string.h>

#define FENCES   5
#define ENTITIES 60

static struct presence_watch_event event_of(
	uint8_t kind, unsigned fence, unsigned entity, unsigned n)
{
	struct presence_watch_event e = {.kind = kind, .fence = fence, .time_ms = n};

	// Ids that differ in their first bytes, in their last, and in all.
	e.entity.id[entity % 3 == 0 ? 0 : 15] = (uint8_t)(entity + 1);
	e.entity.id[7] = entity % 3 == 2 ? 0xFF : 0;
	e.entity.position[0] = n;
	return e;
}

struct order {
	const struct presence_member *last;
	unsigned count;
	bool sorted;
};

static void in_order(void *context, const struct presence_member *member)
{
	struct order *o = context;

	if (o->last &&
		(o->last->fence > member->fence ||
			(o->last->fence == member->fence &&
				memcmp(o->last->entity.id, member->entity.id, 16) >= 0)))
		o->sorted = false;
	o->last = member;
	o->count++;
}

static void against_a_table(void)
{
	uint64_t random = 42;
	struct presence_members *m = presence_members_create(FENCES * ENTITIES);
	struct {
		bool inside;
		unsigned n, since;
	} table[FENCES][ENTITIES] = {0};
	unsigned count = 0, most = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	for (unsigned n = 1; n < 60000; n++) {
		unsigned f = (unsigned)(testing_random(&random) % FENCES);
		unsigned e = (unsigned)(testing_random(&random) % ENTITIES);
		bool inside = table[f][e].inside;
		uint8_t kind = !inside              ? PRESENCE_ENTER :
			testing_random(&random) % 3 ? PRESENCE_MOVE :
						      PRESENCE_LEAVE;
		struct presence_watch_event event = event_of(kind, f, e, n);
		const struct presence_member *member;
		struct order order = {.sorted = true};

		if (n % 5000 == 0) {
			event = event_of(n % 10000 ? PRESENCE_GAP : PRESENCE_ENDED, 0, 0, n);
			memset(table, 0, sizeof table);
			count = 0;
			CU_ASSERT(presence_members_take(m, &event));
			CU_ASSERT_EQUAL(presence_members_count(m), 0);
			continue;
		}
		CU_ASSERT(presence_members_take(m, &event));
		table[f][e].inside = kind != PRESENCE_LEAVE;
		table[f][e].n = n;
		if (kind == PRESENCE_ENTER)
			table[f][e].since = n;
		count += kind == PRESENCE_ENTER;
		count -= kind == PRESENCE_LEAVE;
		most = count > most ? count : most;
		CU_ASSERT_FATAL(presence_members_count(m) == count);
		e = (unsigned)(testing_random(&random) % ENTITIES);
		event = event_of(0, f, e, 0);
		member = presence_members_find(m, f, event.entity.id);
		CU_ASSERT_FATAL((member != NULL) == table[f][e].inside);
		if (member)
			CU_ASSERT_FATAL(member->entity.position[0] == table[f][e].n &&
				member->since_ms == table[f][e].since);
		if (n % 1000)
			continue;
		presence_members_each(m, in_order, &order);
		CU_ASSERT(order.sorted);
		CU_ASSERT_EQUAL(order.count, count);
	}
	CU_ASSERT(most > 100);
	presence_members_free(m);
}

static void no_room(void)
{
	struct presence_members *m = presence_members_create(2);
	struct presence_watch_event e;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	for (unsigned i = 0; i < 3; i++) {
		e = event_of(PRESENCE_ENTER, 1, i, i);
		CU_ASSERT_EQUAL(presence_members_take(m, &e), i < 2);
	}
	CU_ASSERT_EQUAL(presence_members_missing(m), 1);
	e = event_of(PRESENCE_MOVE, 1, 2, 9);
	CU_ASSERT(presence_members_take(m, &e));
	e = event_of(PRESENCE_LEAVE, 1, 2, 9);
	CU_ASSERT(presence_members_take(m, &e));
	CU_ASSERT_EQUAL(presence_members_missing(m), 0);
	CU_ASSERT_EQUAL(presence_members_count(m), 2);
	e = event_of(PRESENCE_LEAVE, 1, 0, 9);
	CU_ASSERT(presence_members_take(m, &e));
	e = event_of(PRESENCE_SNAPSHOT_END, 0, 0, 9);
	CU_ASSERT(presence_members_take(m, &e));
	CU_ASSERT_EQUAL(presence_members_count(m), 1);
	presence_members_free(m);
	presence_members_free(NULL);
}

TESTING_MAIN("client/members", {"against a table", against_a_table}, {"no room", no_room})
