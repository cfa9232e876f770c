// presencectl explain: why an entity is or isn't in the answer to a query, or in a fence.
#include "client/filter_text.h"
#include "client/tools/arguments.h"
#include "client/tools/presencectl.h"

#include <sysexits.h>

#define CAUSES 32u

// The step of the filter that decided, as text; of a fence the filter is not known here.
static const char *step_text(const struct presence_query *q, unsigned step, char *text, size_t size)
{
	return step && q &&
			presence_filter_print_step(q->filter, q->filter_bytes, step, text, size) ?
		text :
		"";
}

static void print_numbers(const struct presence_explanation *e, unsigned cause)
{
	switch (cause) {
	case PRESENCE_OTHER_TYPE:
		printf(" (%s)", presence_type_name(e->type));
		break;
	case PRESENCE_OTHER_STATE:
		printf(" (%s)", presence_state_name(e->state));
		break;
	case PRESENCE_HEIGHT:
		if (!e->height_unknown)
			printf(" (%.2f m)", e->position[2]);
		break;
	case PRESENCE_OUTSIDE:
		if (e->beyond_m >= 0)
			printf(": by %.2f m", e->beyond_m);
		if (e->distance_m >= 0 && e->edge_m >= 0)
			printf(" (at %.2f m; the edge is at %.2f m)", e->distance_m, e->edge_m);
		break;
	case PRESENCE_REACH:
		printf(": that is %.2f m away, it reaches %.2f m", e->asker_m, (double)e->radius_m);
		break;
	case PRESENCE_RANK:
	case PRESENCE_BOUND:
		printf(": it is at %.2f m", e->distance_m);
		if (e->edge_m >= 0)
			printf(", the last one at %.2f m", e->edge_m);
		break;
	case PRESENCE_HELD_BACK:
	case PRESENCE_PENDING:
		printf(": %.2f m away, %.3f s newer, published within %.3f s", e->held_m,
			e->held_ms / 1000.0, e->due_ms / 1000.0);
		break;
	case PRESENCE_DWELL:
		printf(": it enters in %.3f s", e->due_ms / 1000.0);
		break;
	case PRESENCE_LEAVING:
		printf(": it leaves in %.3f s", e->due_ms / 1000.0);
		break;
	default:
		break;
	}
}

static void print_text(
	const uint8_t id[16], const struct presence_query *q, const struct presence_explanation *e)
{
	static const char *const verdicts[2][3] = {
		{"is not in the fence", "is in the fence", "may be in the fence or not"},
		{"is not in the answer", "is in the answer", "could not be read: ask again"},
	};
	char text[PRESENCE_FILTER_TEXT_MAX];

	presence_id_print(id, text);
	printf("%s %s\n", text, e->verdict < 3 ? verdicts[q != NULL][e->verdict] : "?");
	for (unsigned cause = 1; cause < CAUSES; cause++) {
		if (!(e->causes >> cause & 1))
			continue;
		printf("  %-9s  %s", presence_cause_name(cause), presence_cause_text(cause));
		print_numbers(e, cause);
		if (cause == PRESENCE_FILTERED && e->filter_step)
			printf(": step %u, %s", e->filter_step,
				step_text(q, e->filter_step, text, sizeof text));
		putchar('\n');
	}
	if (!e->placed)
		return;
	printf("  at %.7f %.7f ", e->position[0], e->position[1]);
	if (e->height_unknown)
		printf("?");
	else
		printf("%.2f", e->position[2]);
	printf("; %s, %s; age %.3f s, %.3f s left; %.2f m from the asker's point\n",
		presence_type_name(e->type), presence_state_name(e->state), e->age_ms / 1000.0,
		e->ttl_left_ms / 1000.0, e->asker_m);
}

static json_t *metres(double m)
{
	return m >= 0 ? json_real(m) : json_null();
}

static void print_json(
	const uint8_t id[16], const struct presence_query *q, const struct presence_explanation *e)
{
	static const char *const verdicts[] = {"out", "in", "undecided"};
	json_t *causes = json_array(), *position = json_null();
	char text[PRESENCE_FILTER_TEXT_MAX];

	for (unsigned cause = 1; cause < CAUSES; cause++)
		if (e->causes >> cause & 1)
			json_array_append_new(causes, json_string(presence_cause_name(cause)));
	if (e->placed) {
		position = json_pack("[f, f]", e->position[0], e->position[1]);
		json_array_append_new(
			position, e->height_unknown ? json_null() : json_real(e->position[2]));
	}
	presence_id_print(id, text);
	json_t *object = json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", text, "verdict",
		e->verdict < 3 ? verdicts[e->verdict] : "?", "first_cause",
		e->first_cause ? presence_cause_name(e->first_cause) : "", "causes", causes,
		"position", position);
	if (e->placed) {
		json_t *rest = json_pack(
			"{s:o, s:o, s:o, s:o, s:f, s:s, s:s, s:i, s:I, s:o, s:I, s:I, s:i, s:s}",
			"distance_m", metres(e->distance_m), "edge_m", metres(e->edge_m),
			"beyond_m", metres(e->beyond_m), "asker_m", metres(e->asker_m), "radius_m",
			(double)e->radius_m, "type", presence_type_name(e->type), "state",
			presence_state_name(e->state), "age_ms", e->age_ms, "ttl_left_ms",
			(json_int_t)e->ttl_left_ms, "held_m", metres(e->held_m), "held_ms",
			(json_int_t)e->held_ms, "due_ms", (json_int_t)e->due_ms, "filter_step",
			e->filter_step, "filter", step_text(q, e->filter_step, text, sizeof text));

		json_object_update(object, rest);
		json_decref(rest);
	}
	ctl_print_json(object);
}

int ctl_explain(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_explained *x;
	struct presence_explanation e;
	struct presence_refusal refusal;
	enum presence_result result;

	x = ctl_parse_explain(ctl, argc, argv);
	if (x->query)
		result = presence_explain(
			ctl->client, ctl_space(ctl), x->id, x->query, &e, &refusal);
	else
		result = presence_explain_fence(ctl->client, ctl_space(ctl), x->id,
			x->subscription_id, x->fence_id, &e, &refusal);
	if (result)
		return ctl_failed(ctl, "explain", result, refusal);
	if (ctl->json)
		print_json(x->id, x->query, &e);
	else
		print_text(x->id, x->query, &e);
	return EX_OK;
}
