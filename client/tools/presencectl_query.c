#include "client/tools/arguments.h"
#include "client/tools/details_arguments.h"
#include "client/tools/presencectl.h"
#include "client/tools/query_arguments.h"

#include <argp.h>
#include <sysexits.h>

struct request {
	struct ctl *ctl;
	struct query_arguments arguments;
	unsigned follow;
	uint16_t nearest; // how many; 0 = all that are inside
	uint8_t *id;      // whose explanation is asked for: the first argument; NULL = a query
	bool id_read;
	struct ctl_explained explained;
	bool subscription, fence; // are named, of the explanation
	bool heat;                // cells are meant, if no size is said either
};
#define HEAT_CELL_M 512.0

enum {
	KEY_LIMIT = 256,
	KEY_FOLLOW,
	KEY_CURSOR,
	KEY_WORK,
	KEY_NEAREST,
	KEY_CELLS,
	KEY_MAX_AGE,
	KEY_BRIEF,
	KEY_PRIORITY,
	KEY_AT,
	KEY_DETAILS,
	KEY_SUBSCRIPTION,
	KEY_FENCE
};

static const struct argp_option options[] = {
	{"limit", KEY_LIMIT, "N", 0, "results of one answer (the engine's cap)", 0},
	{"follow", KEY_FOLLOW, "PAGES", OPTION_ARG_OPTIONAL,
		"follow the cursor of truncated answers (at most 64 pages)", 0},
	{"cursor", KEY_CURSOR, "HIGH:LOW", 0, "go on where an earlier answer ended", 0},
	{"work", KEY_WORK, "TIME", 0,
		"the engine's own time-out, at most 65s: engines take it, and bound work by counts so far",
		0},
	{"details", KEY_DETAILS, NULL, 0,
		"with orientation, tags, activity, metadata, schedule and parent", 0},
	{"nearest", KEY_NEAREST, "K", 0,
		"the K nearest to a point, or within a sphere, in the order of their distance", 0},
	{"cells", KEY_CELLS, "SIZE", 0,
		"how many there are in each cell, of the coarsest cells up to this edge: 512m, 4km; limit is of cells",
		0},
	{"max-age", KEY_MAX_AGE, "TIME", 0, "only what was published since: 500ms, 30s, 5m", 0},
	{"brief", KEY_BRIEF, NULL, 0, "ids and positions only", 0},
	{"priority", KEY_PRIORITY, "CLASS", 0, "normal, low, high, critical (normal)", 0},
	{"at", KEY_AT, "TIME", 0,
		"where they will be so much later, at most 10m: as their courses lead; the bound of the error is told as precision",
		0},
	{0},
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

// Heat maps have what is about cells, and no more. Explanations show what says who is in an answer,
// and take the rest, which says how it is told, so that a query's line may stand as it is.
static bool is_of_heat(int key)
{
	return key != KEY_NEAREST && key != KEY_AT && key != KEY_DETAILS && key != KEY_BRIEF;
}

static bool says_who(int key)
{
	return key == KEY_NEAREST || key == KEY_AT || key == KEY_MAX_AGE;
}

static const struct argp_option *pick(
	struct argp_option picked[OPTION_COUNT], bool (*wanted)(int key), bool take_others)
{
	struct argp_option *next = picked;

	for (const struct argp_option *o = options; o->name; o++) {
		if (!wanted(o->key) && !take_others)
			continue;
		*next = *o;
		if (!wanted(o->key))
			next->flags |= OPTION_HIDDEN;
		next++;
	}
	*next = (struct argp_option){0};
	return picked;
}

static const struct argp_child children[] = {
	{&query_argp, 0, NULL, 0}, {&ctl_json_argp, 0, NULL, 0}, {0}};

// What was read, as one query.
static void finish(struct request *r, const struct argp_state *state)
{
	struct presence_query *q = &r->arguments.query;

	if (r->id && !r->id_read)
		argp_usage(state);
	if (r->subscription && q->volume)
		argp_error(state, "either a subscription's fence or a volume");
	if (r->heat && q->cell_m <= 0)
		q->cell_m = HEAT_CELL_M;
	if (!r->nearest)
		return;
	if (q->cell_m > 0)
		argp_error(state, "the nearest are not counted by cell");
	if (q->volume != PRESENCE_POINT && q->volume != PRESENCE_SPHERE)
		argp_error(state, "the nearest are those to a point, or within a sphere");
	q->volume = PRESENCE_NEAREST;
	q->results_max = r->nearest;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct request *r = state->input;
	struct presence_query *q = &r->arguments.query;
	unsigned long long cursor[2];
	uint32_t ms = 0;
	uint64_t n = 0;
	bool good = true;
	int end = 0;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->arguments;
		state->child_inputs[1] = r->ctl;
		if (r->id)
			state->child_inputs[2] = r;
		return 0;
	case KEY_LIMIT:
		good = argument_u64(text, UINT16_MAX, &n);
		q->results_max = (uint16_t)n;
		break;
	case KEY_FOLLOW:
		n = 64;
		good = !text || argument_u64(text, 1000, &n);
		r->follow = (unsigned)n;
		break;
	case KEY_CURSOR:
		good = sscanf(text, "%llx:%llx%n", &cursor[0], &cursor[1], &end) == 2 &&
			text[end] == 0;
		q->has_cursor = true;
		q->cursor[0] = cursor[0];
		q->cursor[1] = cursor[1];
		break;
	case KEY_WORK:
		good = argument_duration_ms(text, &ms) && ms <= UINT16_MAX;
		q->timeout_ms = (uint16_t)ms;
		break;
	case KEY_NEAREST:
		good = argument_u64(text, PRESENCE_NEAREST_MAX, &n) && n;
		r->nearest = (uint16_t)n;
		break;
	case KEY_CELLS:
		good = argument_length_m(text, &q->cell_m);
		break;
	case KEY_MAX_AGE:
		good = argument_duration_ms(text, &q->age_max_ms) && q->age_max_ms;
		break;
	case KEY_BRIEF:
		q->brief = true;
		break;
	case KEY_PRIORITY:
		good = argument_priority(text, &q->priority);
		break;
	case KEY_AT:
		good = argument_duration_ms(text, &q->ahead_ms) &&
			q->ahead_ms <= PRESENCE_AHEAD_MAX_MS;
		q->has_time = true;
		break;
	case KEY_DETAILS:
		q->with_details = true;
		break;
	case ARGP_KEY_ARG:
		if (!r->id || r->id_read)
			return ARGP_ERR_UNKNOWN; // the volume's words
		good = r->id_read = argument_id(text, r->id);
		break;
	case ARGP_KEY_END:
		finish(r, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, options, key, text);
	return 0;
}

json_t *ctl_found_json(const struct presence_found *f)
{
	json_t *out;
	json_t *position = json_pack("[f, f]", f->position[0], f->position[1]);
	char id[37];

	json_array_append_new(
		position, f->height_unknown ? json_null() : json_real(f->position[2]));
	presence_id_print(f->id, id);
	out = json_pack("{s:s, s:o, s:f, s:[f, f, f], s:s, s:i, s:s, s:i, s:i, s:I, s:f, s:f, s:f}",
		"id", id, "position", position, "distance_m", (double)f->distance_m, "velocity",
		(double)f->velocity[0], (double)f->velocity[1], (double)f->velocity[2], "type",
		presence_type_name(f->type), "type_code", f->type, "state",
		presence_state_name(f->state), "custom_state", f->custom_state, "age_ms", f->age_ms,
		"ttl_left_ms", (json_int_t)f->ttl_left_ms, "precision_m", (double)f->precision_m,
		"position_confidence", (double)f->position_confidence, "status_confidence",
		(double)f->status_confidence);
	if (f->stale)
		json_object_set_new(out, "stale", json_true());
	return out;
}

static json_t *found_to_json(const struct presence_answer *answer, const struct presence_found *f)
{
	struct presence_details details;
	json_t *out = ctl_found_json(f);

	if (presence_details_read(answer->details, f, &details))
		json_object_set_new(out, "details", details_to_json(&details));
	return out;
}

static json_t *brief_to_json(const struct presence_found *f)
{
	json_t *position = json_pack("[f, f]", f->position[0], f->position[1]);
	char id[37];

	json_array_append_new(
		position, f->height_unknown ? json_null() : json_real(f->position[2]));
	presence_id_print(f->id, id);
	return json_pack("{s:s, s:o}", "id", id, "position", position);
}

static void print_brief(const struct presence_answer *answer)
{
	for (size_t i = 0; i < answer->count; i++) {
		const struct presence_found *f = &answer->found[i];
		char id[37], height[32] = "?";

		presence_id_print(f->id, id);
		if (!f->height_unknown)
			snprintf(height, sizeof height, "%.2f", f->position[2]);
		printf("%s  %14.7f %14.7f %10s\n", id, f->position[0], f->position[1], height);
	}
}

// `ahead`: of a moment ahead, so that how exact they are is told, too.
static void print_table(const struct presence_answer *answer, bool brief, bool ahead)
{
	if (brief) {
		print_brief(answer);
		return;
	}
	if (answer->count)
		printf("%-36s  %14s %14s %10s  %11s  %-9s %-8s %8s %8s%s\n", "entity",
			"x / latitude", "y / longitude", "z / height", "distance m", "type",
			"state", "age s", "left s", ahead ? "   within m" : "");
	for (size_t i = 0; i < answer->count; i++) {
		const struct presence_found *f = &answer->found[i];
		char id[37], height[32] = "?";
		struct presence_details details;

		presence_id_print(f->id, id);
		if (!f->height_unknown)
			snprintf(height, sizeof height, "%.2f", f->position[2]);
		printf("%s  %14.7f %14.7f %10s  %11.2f  %-9s %-8s %8.1f %8.1f", id, f->position[0],
			f->position[1], height, (double)f->distance_m, presence_type_name(f->type),
			presence_state_name(f->state), f->age_ms / 1000.0, f->ttl_left_ms / 1000.0);
		if (ahead)
			printf(" %10.2f", (double)f->precision_m);
		puts(f->stale ? "  stale" : "");
		if (presence_details_read(answer->details, f, &details))
			details_print(stdout, &details);
	}
}

static void print_rest(const struct presence_answer *answer, const char *what)
{
	printf("%zu %s, %u part%s, %u page%s, %.2f ms%s\n", answer->count, what, answer->parts,
		answer->parts == 1 ? "" : "s", answer->pages, answer->pages == 1 ? "" : "s",
		(double)answer->elapsed_us / 1000, answer->truncated ? ", truncated" : "");
	if (answer->truncated)
		printf("go on with --cursor %llx:%llx\n", (unsigned long long)answer->cursor[0],
			(unsigned long long)answer->cursor[1]);
}

static void print_json(const struct presence_answer *answer, bool cells, bool brief)
{
	json_t *list = cells ? ctl_cells_to_json(answer) : json_array();
	char cursor[40] = "";

	for (size_t i = 0; i < answer->count && !cells; i++)
		json_array_append_new(list,
			brief ? brief_to_json(&answer->found[i]) :
				found_to_json(answer, &answer->found[i]));
	if (answer->truncated)
		snprintf(cursor, sizeof cursor, "%llx:%llx", (unsigned long long)answer->cursor[0],
			(unsigned long long)answer->cursor[1]);
	ctl_print_json(json_pack("{s:I, s:b, s:s, s:i, s:i, s:I, s:o}", "count",
		(json_int_t)answer->count, "truncated", answer->truncated, "cursor", cursor,
		"parts", (int)answer->parts, "pages", (int)answer->pages, "elapsed_us",
		(json_int_t)answer->elapsed_us, cells ? "cells" : "found", list));
}

// Where a program is at fault, if that is why.
static void print_fault(const struct presence_answer *answer)
{
	if (!answer->filter_fault)
		return;
	fprintf(stderr, "presencectl: filter, byte %u", answer->filter_at);
	if (answer->filter_step != 255)
		fprintf(stderr, " (step %u)", answer->filter_step + 1);
	fprintf(stderr, ": %s\n", presence_filter_fault_text(answer->filter_fault));
}

#define VOLUMES_DOC \
	"point X,Y[,Z]\nsphere X,Y[,Z] RADIUS\nbox X,Y[,Z] X,Y[,Z]\n--polygon|--oriented-box|--frustum …"
#define GEODETIC_DOC \
	"GEODETIC spaces: latitude, longitude, height; a box from south-west to north-east."

static int ask(struct ctl *ctl, int argc, char **argv, bool heat)
{
	struct argp_option of_heat[OPTION_COUNT];
	const struct argp query_doc = {options, parse, VOLUMES_DOC,
		"Finds entities. " GEODETIC_DOC
		"\vpresencectl query --nearest 5 point 60.17,24.96\n"
		"presencectl query --polygon '60,24 60,26 61,25' --filter 'type = mobile and age < 30s'\n"
		"presencectl query --at 30s sphere 60.17,24.96 2000",
		children, NULL, NULL};
	const struct argp heat_doc = {pick(of_heat, is_of_heat, false), parse, VOLUMES_DOC,
		"Counts entities by cell, of cells of up to 512m unless --cells says otherwise, over all pages. " GEODETIC_DOC
		"\vpresencectl heat sphere 60.17,24.96 20000 --cells 4km",
		children, NULL, NULL};
	struct request r = {.ctl = ctl, .heat = heat, .follow = heat ? 64 : 0};
	struct presence_answer answer;
	enum presence_result result;
	int code;

	argp_parse(heat ? &heat_doc : &query_doc, argc, argv, 0, NULL, &r);
	result = presence_query_all(
		ctl->client, ctl_space(ctl), &r.arguments.query, r.follow ? r.follow : 1, &answer);
	if (result) {
		code = ctl_failed(ctl, heat ? "heat" : "query", result,
			(struct presence_refusal){answer.code, answer.reason});
		print_fault(&answer);
		if (result == PRESENCE_INCOMPLETE)
			fprintf(stderr, "presencectl: %zu results in %u parts came\n", answer.count,
				answer.parts);
	} else {
		code = EX_OK;
		if (ctl->json) {
			print_json(&answer, r.arguments.query.cell_m > 0, r.arguments.query.brief);
		} else if (r.arguments.query.cell_m > 0) {
			ctl_print_cells(&answer);
			print_rest(&answer, answer.count == 1 ? "cell" : "cells");
		} else {
			print_table(&answer, r.arguments.query.brief, r.arguments.query.has_time);
			print_rest(&answer, "found");
		}
	}
	presence_answer_free(&answer);
	return code;
}

static const struct argp_option explain_options[] = {
	{"subscription", KEY_SUBSCRIPTION, "N", 0,
		"of a fence instead of a query: the number of its subscription (watch --id)", 0},
	{"fence", KEY_FENCE, "N", 0, "the fence's number (1)", 0}, {0}};

static error_t parse_fence(int key, char *text, struct argp_state *state)
{
	struct request *r = state->input;
	uint64_t n = 0;

	if (key == ARGP_KEY_END && r->fence && !r->subscription)
		argp_error(state, "a fence of which subscription?");
	if (key != KEY_SUBSCRIPTION && key != KEY_FENCE)
		return ARGP_ERR_UNKNOWN;
	if (!argument_u64(text, UINT32_MAX, &n))
		argument_unread(state, explain_options, key, text);
	if (key == KEY_FENCE) {
		r->explained.fence_id = (uint32_t)n;
		r->fence = true;
	} else {
		r->explained.subscription_id = (uint32_t)n;
		r->subscription = r->arguments.optional = true;
	}
	return 0;
}

static const struct argp fence_argp = {explain_options, parse_fence, NULL, NULL, NULL, NULL, NULL};
static const struct argp_child explain_children[] = {
	{&query_argp, 0, NULL, 0}, {&ctl_json_argp, 0, NULL, 0}, {&fence_argp, 0, NULL, 0}, {0}};

const struct ctl_explained *ctl_parse_explain(struct ctl *ctl, int argc, char **argv)
{
	struct argp_option judged[OPTION_COUNT];
	const struct argp argp = {pick(judged, says_who, true), parse,
		"ID point X,Y[,Z]\nID sphere X,Y[,Z] RADIUS\nID box X,Y[,Z] X,Y[,Z]\nID --polygon|--oriented-box|--frustum …\n--subscription N --fence N ID",
		"Says why an entity is or isn't in the answer to a query, or in a fence of a subscription. ID: a uuid, or name:number (mmsi:230035780). What a query has beside these options is taken and means nothing here."
		"\vpresencectl explain mmsi:230035780 sphere 60.17,24.96 500 --states active\n"
		"presencectl explain --subscription 7 --fence 1 mmsi:230035780",
		explain_children, NULL, NULL};
	static struct request r;

	r = (struct request){.ctl = ctl, .id = r.explained.id, .explained = {.fence_id = 1}};
	argp_parse(&argp, argc, argv, 0, NULL, &r);
	if (!r.subscription)
		r.explained.query = &r.arguments.query;
	return &r.explained;
}

int ctl_query(struct ctl *ctl, int argc, char **argv)
{
	return ask(ctl, argc, argv, false);
}

int ctl_heat(struct ctl *ctl, int argc, char **argv)
{
	return ask(ctl, argc, argv, true);
}
