// Which principals the users of this machine are, for ring sources: the kernel says who connects,
// the keyring who that is. A table of a few entries that the main thread replaces whole when the
// keyring is read again, and that the threads which attach clients look into, under a lock; workers
// never do. Knows neither keyring nor DPDK.
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define PE_USERS_MAX 16384u

struct pe_user {
	uint32_t uid;
	uint32_t principal; // as struct pe_peer has it, at least 1
	uint8_t id[16];     // the principal's
	bool asks;          // it may query, subscribe or administer something
};

struct pe_users;

// NULL: no memory. Nobody is in it.
struct pe_users *pe_users_create(void);
void pe_users_destroy(struct pe_users *users); // NULL: nothing
// A copy of `list`, no uid twice, takes the place of who was there. PE_RANGE: more than
// PE_USERS_MAX; PE_NO_MEMORY: all stays as it was.
[[nodiscard]] enum pe_status pe_users_set(
	struct pe_users *users, const struct pe_user *list, uint32_t count);
// Any thread. False: nobody; *user is zero then. users NULL: nobody is known.
bool pe_users_find(struct pe_users *users, uint32_t uid, struct pe_user *user);
