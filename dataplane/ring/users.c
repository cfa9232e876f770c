#include "dataplane/ring/users.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pe_users {
	pthread_mutex_t lock; // of what follows
	struct pe_user *list; // sorted by uid
	uint32_t count;
};

struct pe_users *pe_users_create(void)
{
	struct pe_users *users = calloc(1, sizeof *users);

	if (users && pthread_mutex_init(&users->lock, NULL) != 0) {
		free(users);
		return NULL;
	}
	return users;
}

void pe_users_destroy(struct pe_users *users)
{
	if (!users)
		return;
	pthread_mutex_destroy(&users->lock);
	free(users->list);
	free(users);
}

static int by_uid(const void *a, const void *b)
{
	const struct pe_user *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

enum pe_status pe_users_set(struct pe_users *users, const struct pe_user *list, uint32_t count)
{
	struct pe_user *copy, *before;

	if (count > PE_USERS_MAX)
		return PE_RANGE;
	copy = malloc((count + 1) * sizeof *copy);
	if (!copy)
		return PE_NO_MEMORY;
	if (count)
		memcpy(copy, list, count * sizeof *copy);
	qsort(copy, count, sizeof *copy, by_uid);
	pthread_mutex_lock(&users->lock);
	before = users->list;
	users->list = copy;
	users->count = count;
	pthread_mutex_unlock(&users->lock);
	free(before);
	return PE_OK;
}

bool pe_users_find(struct pe_users *users, uint32_t uid, struct pe_user *user)
{
	const struct pe_user key = {.uid = uid}, *found = NULL;

	*user = (struct pe_user){0};
	if (!users)
		return false;
	pthread_mutex_lock(&users->lock);
	if (users->count)
		found = bsearch(&key, users->list, users->count, sizeof key, by_uid);
	if (found)
		*user = *found;
	pthread_mutex_unlock(&users->lock);
	return found != NULL;
}
