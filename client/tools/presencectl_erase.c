// presencectl erase: an entity and what is remembered of it, taken away for good.
#include "client/tools/arguments.h"
#include "client/tools/presencectl.h"

#include <argp.h>
#include <stdio.h>
#include <sysexits.h>

struct erasing {
	struct ctl *ctl;
	uint8_t id[16];
	unsigned ids;
	uint64_t incarnation;
};

static const struct argp_option options[] = {
	{"incarnation", 'i', "SECONDS", 0,
		"lives that started until then (Unix seconds) are over too (the one that is known)",
		0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct erasing *e = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = e->ctl;
		return 0;
	case 'i':
		if (!argument_u64(text, UINT32_MAX, &e->incarnation))
			argument_unread(state, options, key, text);
		return 0;
	case ARGP_KEY_ARG:
		if (e->ids++ || !argument_id(text, e->id))
			argp_error(state, "one id, not '%s'", text);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print(
	const struct ctl *ctl, const struct erasing *e, const struct presence_erased *erased)
{
	json_t *list = json_array();
	char text[37];

	presence_id_print(e->id, text);
	if (!ctl->json)
		printf("%s %s", text, presence_status_name(erased->status));
	for (unsigned bit = 1; bit && bit <= erased->where; bit <<= 1) {
		if (!(erased->where & bit))
			continue;
		json_array_append_new(list, json_string(presence_erased_name(bit)));
		if (!ctl->json)
			printf("%s %s", json_array_size(list) > 1 ? "," : ", from",
				presence_erased_name(bit));
	}
	if (!ctl->json) {
		printf("%s\n", erased->repeated ? " (asked for again: an answer was lost)" : "");
		json_decref(list);
		return;
	}
	ctl_print_json(json_pack("{s:s, s:s, s:o, s:b}", "id", text, "status",
		presence_status_name(erased->status), "where", list, "repeated", erased->repeated));
}

int ctl_erase(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {options, parse, "ID",
		"Erases an entity: what it says and what is remembered of it. For its owner, an administrator, or a "
		"trusted source in an open space.\vIDs are uuids or names such as mmsi:230035780. For example:\n"
		"  presencectl erase f47ac10b-58cc-4372-a567-0e02b2c3d479",
		ctl_json_child, NULL, NULL};
	struct erasing e = {.ctl = ctl};
	struct presence_refusal refusal;
	struct presence_erased erased;
	enum presence_result result;

	argp_parse(&argp, argc, argv, 0, NULL, &e);
	result = presence_erase(
		ctl->client, ctl_space(ctl), e.id, (uint32_t)e.incarnation, &erased, &refusal);
	if (result)
		return ctl_failed(ctl, "erase", result, refusal);
	print(ctl, &e, &erased);
	return EX_OK;
}
