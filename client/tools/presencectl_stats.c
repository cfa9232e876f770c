#include "client/tools/presencectl.h"

#include <argp.h>
#include <string.h>
#include <sysexits.h>

static const struct argp_option options[] = {
	{"all", 'A', NULL, 0, "counters that are zero too", 0},
	{0},
};

struct request {
	struct ctl *ctl;
	bool all;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct request *r = state->input;

	if (key == ARGP_KEY_INIT)
		state->child_inputs[0] = r->ctl;
	else if (key == 'A')
		r->all = true;
	else if (key == ARGP_KEY_ARG)
		argp_usage(state);
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static void print_table(const struct presence_stats *s, bool all)
{
	for (unsigned i = 0; i < s->count; i++)
		if ((all || s->value[i]) && strcmp(presence_counter_name(i), "none") != 0)
			printf("%-28s %16llu %-9s %s\n", presence_counter_name(i),
				(unsigned long long)s->value[i], presence_counter_unit(i),
				presence_counter_text(i));
	if (!s->identities) {
		printf("the engine's list of counters differs from this program's: no identities, and names may be wrong\n");
		return;
	}
	printf("\nidentity                   difference (0 at rest)\n");
	printf("packets  %26lld received - refused - dropped - carried on\n",
		(long long)s->packets_difference);
	printf("records  %26lld carried on - applied - coalesced - refused - dropped\n",
		(long long)s->records_difference);
	printf("queries  %26lld carried on - answered - refused - dropped\n",
		(long long)s->queries_difference);
	printf("subscribes  %23lld carried on - taken - refused - dropped\n",
		(long long)s->subscribes_difference);
}

int ctl_stats(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {options, parse, NULL,
		"Prints the engine's counters and its accounting identities. Asked of running workers, each counter is whole, "
		"but the set is not of one instant.",
		ctl_json_child, NULL, NULL};
	static struct presence_stats stats;
	struct presence_refusal refusal;
	enum presence_result result;
	json_t *counters, *object;
	struct request r = {.ctl = ctl};

	argp_parse(&argp, argc, argv, 0, NULL, &r);
	result = presence_stats(ctl->client, &stats, &refusal);
	if (result)
		return ctl_failed(ctl, "stats", result, refusal);
	if (!ctl->json) {
		print_table(&stats, r.all);
		return EX_OK;
	}
	counters = json_object();
	for (unsigned i = 0; i < stats.count && i < presence_counter_count(); i++)
		if (strcmp(presence_counter_name(i), "none") != 0)
			json_object_set_new(counters, presence_counter_name(i),
				json_integer((json_int_t)stats.value[i]));
	object = json_pack("{s:o}", "counters", counters);
	if (stats.identities)
		json_object_set_new(object, "differences",
			json_pack("{s:I, s:I, s:I, s:I}", "packets",
				(json_int_t)stats.packets_difference, "records",
				(json_int_t)stats.records_difference, "queries",
				(json_int_t)stats.queries_difference, "subscribes",
				(json_int_t)stats.subscribes_difference));
	else
		json_object_set_new(object, "differences", json_null());
	ctl_print_json(object);
	return EX_OK;
}
