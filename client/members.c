#include "client/members.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct presence_members {
	void *tree; // of struct presence_member
	size_t count, count_max, missing;
};

static int compare(const void *a, const void *b)
{
	const struct presence_member *x = a, *y = b;

	if (x->fence != y->fence)
		return x->fence < y->fence ? -1 : 1;
	return memcmp(x->entity.id, y->entity.id, sizeof x->entity.id);
}

struct presence_members *presence_members_create(size_t count_max)
{
	struct presence_members *m = calloc(1, sizeof *m);

	if (m)
		m->count_max = count_max;
	return m;
}

static void clear(struct presence_members *m)
{
	tdestroy(m->tree, free);
	m->tree = NULL;
	m->count = m->missing = 0;
}

void presence_members_free(struct presence_members *m)
{
	if (m)
		clear(m);
	free(m);
}

static struct presence_member key_of(uint32_t fence, const uint8_t id[16])
{
	struct presence_member key = {.fence = fence};

	memcpy(key.entity.id, id, sizeof key.entity.id);
	return key;
}

static struct presence_member *find(
	const struct presence_members *m, uint32_t fence, const uint8_t id[16])
{
	const struct presence_member key = key_of(fence, id);
	struct presence_member **node = tfind(&key, &m->tree, compare);

	return node ? *node : NULL;
}

static bool enter(struct presence_members *m, const struct presence_watch_event *event)
{
	struct presence_member *member = find(m, event->fence, event->entity.id);

	if (!member && m->count < m->count_max) {
		member = malloc(sizeof *member);
		if (member) {
			*member = key_of(event->fence, event->entity.id);
			if (tsearch(member, &m->tree, compare)) {
				m->count++;
			} else {
				free(member);
				member = NULL;
			}
		}
	}
	if (!member) {
		m->missing++;
		return false;
	}
	member->since_ms = event->time_ms;
	member->entity = event->entity;
	return true;
}

static void leave(struct presence_members *m, const struct presence_watch_event *event)
{
	struct presence_member *member = find(m, event->fence, event->entity.id);

	if (!member) {
		m->missing -= m->missing > 0;
		return;
	}
	tdelete(member, &m->tree, compare);
	free(member);
	m->count--;
}

bool presence_members_take(struct presence_members *m, const struct presence_watch_event *event)
{
	struct presence_member *member;

	switch (event->kind) {
	case PRESENCE_ENTER:
		return enter(m, event);
	case PRESENCE_MOVE:
		member = find(m, event->fence, event->entity.id);
		if (member)
			member->entity = event->entity;
		return true;
	case PRESENCE_LEAVE:
		leave(m, event);
		return true;
	case PRESENCE_GAP:
	case PRESENCE_ENDED:
		clear(m);
		return true;
	}
	return true;
}

size_t presence_members_count(const struct presence_members *m)
{
	return m->count;
}

size_t presence_members_missing(const struct presence_members *m)
{
	return m->missing;
}

const struct presence_member *presence_members_find(
	const struct presence_members *m, uint32_t fence, const uint8_t id[16])
{
	return find(m, fence, id);
}

struct visit {
	void (*each)(void *context, const struct presence_member *member);
	void *context;
};

static void visit_one(const void *node, VISIT which, void *closure)
{
	const struct visit *visit = closure;

	if (which == postorder || which == leaf)
		visit->each(visit->context, *(const struct presence_member *const *)node);
}

void presence_members_each(const struct presence_members *m,
	void (*each)(void *context, const struct presence_member *member), void *context)
{
	struct visit visit = {each, context};

	twalk_r(m->tree, visit_one, &visit);
}
