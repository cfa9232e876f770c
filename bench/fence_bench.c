// presence-fence-bench: standing volumes by themselves, index and memberships, under a synthetic
// crowd (fence_scene.h). An engine is not behind it: what is measured is what an update costs
// beside the rest of it.
//
//   presence-fence-bench SCENE [--core N]   sets the scene up, prints {"ready": …}, then measures
//                                           each line "updates SECONDS" of its input as it comes
//                                           and prints one line of JSON for it
//
// Scenes:
//   wide      23,000 circles of 5 km over 3,000 km, the entities among them; none crosses an edge
//             (the margin is wider than a move), nothing is told
//   none      the same circles, the entities elsewhere
//   small     a million circles of 50 m over 300 km
//   notices   23,000 circles of 5 km over 800 km, each update of who is inside is told (MOVE)
#include "fence_scene.h"
#include "tools_json.h"

#include <argp.h>
#include <string.h>

#define CHUNK 4096u // updates between two looks at the clock

static struct fence_scene scenes[] = {
	{.name = "wide",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 1500000,
		.entities_m = 1500000,
		.cells_max = 64,
		.margin_m = 100,
		.placements_max = 23000 * 64},
	{.name = "none",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 1500000,
		.entities_m = 500000,
		.apart_m = 2500000,
		.cells_max = 64,
		.margin_m = 100,
		.placements_max = 23000 * 64},
	{.name = "small",
		.fences = 1000000,
		.radius_m = 50,
		.fences_m = 150000,
		.entities_m = 150000,
		.cells_max = 64,
		.margin_m = 5,
		.placements_max = 12000000},
	{.name = "notices",
		.fences = 23000,
		.radius_m = 5000,
		.fences_m = 400000,
		.entities_m = 400000,
		.cells_max = 64,
		.margin_m = 100,
		.placements_max = 23000 * 64,
		.moves = true},
};

struct options {
	struct fence_scene *scene;
	int core;
};

static const struct argp_option option_list[] = {
	{"core", 'c', "N", 0, "the core to stand on (-1: any)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case 'c':
		o->core = (int)strtol(argument, &end, 10);
		if (*end || end == argument)
			argp_error(state, "\"%s\" is not a number", argument);
		return 0;
	case ARGP_KEY_ARG:
		for (unsigned i = 0; i < sizeof scenes / sizeof scenes[0] && !o->scene; i++)
			if (strcmp(scenes[i].name, argument) == 0)
				o->scene = &scenes[i];
		if (!o->scene)
			argp_error(state, "no such scene: \"%s\"", argument);
		return 0;
	case ARGP_KEY_END:
		if (!o->scene)
			argp_error(state, "which scene?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static json_t *measure(struct fence_scene *s, double seconds)
{
	uint64_t from_turn = s->turn, from_events = s->events;
	double from = tool_seconds(), took;

	do
		fence_scene_bursts(s, CHUNK);
	while ((took = tool_seconds() - from) < seconds);
	return json_pack("{s:f,s:f}", "updates", (double)(s->turn - from_turn) / took, "events",
		(double)(s->events - from_events) / took);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {option_list, parse_option, "SCENE",
		"Standing volumes by themselves: wide, none, small, notices.", NULL, NULL, NULL};
	struct options o = {.core = -1};
	struct pe_member_use use;
	char line[128], word[64];
	double seconds;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (!tool_pin(o.core))
		fprintf(stderr, "not pinned to core %d\n", o.core);
	fence_scene_make(o.scene);
	// Once all the way there and back, so that what enters has entered.
	fence_scene_bursts(o.scene, 2 * FENCE_ENTITIES / FENCE_BURST * FENCE_BURST);
	use = pe_member_use(o.scene->set);
	tool_print(json_pack("{s:{s:s,s:I,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:f}}", "ready", "scene",
			   o.scene->name, "fences", (json_int_t)o.scene->fences, "entities",
			   (json_int_t)FENCE_ENTITIES, "setup_s", o.scene->took_s, "placements",
			   (json_int_t)o.scene->use.placements, "index_bytes",
			   (json_int_t)o.scene->index_bytes, "member_bytes",
			   (json_int_t)o.scene->member_bytes, "inside", (json_int_t)use.inside,
			   "not_let_in", (json_int_t)use.refused, "volumes_an_update",
			   (double)o.scene->found / 3 / FENCE_ENTITIES),
		0);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "%63s %lf", word, &seconds) != 2 || strcmp(word, "updates") != 0 ||
			!(seconds > 0 && seconds <= 600))
			tool_print(json_pack("{s:s}", "error", "updates SECONDS"), 0);
		else
			tool_print(measure(o.scene, seconds), 0);
	}
	return EXIT_SUCCESS;
}
