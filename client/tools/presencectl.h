// presencectl, in pieces: one function a command, each of which gets the rest of the command line,
// an open client and what the common options said, prints on stdout and returns an exit code. One
// thread.
#pragma once

#include "client/presence.h"

#include <argp.h>
#include <jansson.h>

struct ctl {
	struct presence_client *client;
	bool json;
	bool has_space;
	uint8_t space_id[16];
};

static inline const uint8_t *ctl_space(const struct ctl *ctl)
{
	return ctl->has_space ? ctl->space_id : NULL;
}

int ctl_publish(struct ctl *ctl, int argc, char **argv);
int ctl_withdraw(struct ctl *ctl, int argc, char **argv);
int ctl_query(struct ctl *ctl, int argc, char **argv);
int ctl_erase(struct ctl *ctl, int argc, char **argv);
int ctl_explain(struct ctl *ctl, int argc, char **argv);
int ctl_heat(struct ctl *ctl, int argc, char **argv);
int ctl_stats(struct ctl *ctl, int argc, char **argv);
int ctl_watch(struct ctl *ctl, int argc, char **argv);
// Without an engine.
int ctl_keygen(struct ctl *ctl, int argc, char **argv);

// An id and the words of a query, or the names of a fence (then query is NULL); lives as long as
// the program. Ends the program where they are none.
struct ctl_explained {
	uint8_t id[16];
	const struct presence_query *query;
	uint32_t subscription_id, fence_id;
};
const struct ctl_explained *ctl_parse_explain(struct ctl *ctl, int argc, char **argv);

// --json, which may stand behind the command as well: a child of each command's parser, whose input
// is the struct ctl.
extern const struct argp ctl_json_argp;
extern const struct argp_child ctl_json_child[];

// Says on stderr (and with --json as an object on stdout) what went wrong; returns the exit code.
int ctl_failed(const struct ctl *ctl, const char *what, enum presence_result result,
	struct presence_refusal refusal);
// presencectl_heat.c: the cells of an answer, as a table or as JSON.
void ctl_print_cells(const struct presence_answer *answer);
json_t *ctl_cells_to_json(const struct presence_answer *answer);
// Prints and frees.
void ctl_print_json(json_t *object);
// An entity as queries and watches tell of it.
json_t *ctl_found_json(const struct presence_found *found);
