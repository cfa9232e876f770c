#include "client/internal.h"

#include <string.h>

static_assert((int)PRESENCE_ELSEWHERE == (int)PE_WHY_ELSEWHERE &&
		(int)PRESENCE_BOUND == (int)PE_WHY_BOUND &&
		(int)PRESENCE_ITSELF == (int)PE_WHY_ITSELF &&
		(int)PRESENCE_NOWHERE == (int)PE_WHY_NOWHERE &&
		(int)PRESENCE_VEILED == (int)PE_WHY_VEILED &&
		(int)PRESENCE_UNDECIDED == (int)PE_EXPLAIN_UNDECIDED,
	"verdicts and causes are those of the wire");

struct asking {
	const struct presence_client *client;
	uint64_t sequence;
	struct pe_wire_explain explain;
	struct pe_wire_explanation told;
	bool done;
};

static bool take_explanation(void *context, const struct pe_wire_view *view)
{
	struct asking *a = context;
	struct pe_wire_explanation told;

	if (a->done || view->header.type != PE_TYPE_EXPLAIN ||
		view->header.stream_id != a->client->stream_id)
		return false;
	pe_wire_get_explanation(view, &told);
	if (told.request_sequence != a->sequence || told.selector != a->explain.selector ||
		memcmp(told.entity_id, a->explain.entity_id, sizeof told.entity_id) != 0)
		return false;
	a->told = told;
	a->done = true;
	return true;
}

static void from_wire(const struct pe_wire_explanation *w, struct presence_explanation *e)
{
	*e = (struct presence_explanation){.verdict = w->verdict,
		.first_cause = w->first_cause,
		.causes = w->causes,
		.position = {w->position[0], w->position[1], w->position[2]},
		.distance_m = w->distance_m,
		.edge_m = w->edge_m,
		.beyond_m = w->beyond_m,
		.asker_m = w->asker_m,
		.held_m = w->held_m,
		.radius_m = w->radius_m,
		.age_ms = w->age_ms,
		.ttl_left_ms = w->ttl_left_ms,
		.held_ms = w->held_ms,
		.due_ms = w->due_ms,
		.filter_step = w->filter_step,
		.state = w->state & 7u,
		.height_unknown = w->state & PE_RESULT_HEIGHT_UNKNOWN,
		.type = w->entity_type,
		// Of what is not there, not there elsewhere, or not explained, nothing is told.
		.placed = w->code == PE_CODE_SUCCESS &&
			(w->verdict != PE_EXPLAIN_UNDECIDED || w->causes) &&
			(w->first_cause == 0 || w->first_cause > PE_WHY_SPACE)};
}

static enum presence_result ask(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], const struct pe_wire_explain *explain,
	const struct pe_wire_query *query, const uint8_t *extension,
	struct presence_explanation *explanation, struct presence_refusal *refusal)
{
	uint8_t packet[PE_WIRE_BYTES_MAX];
	struct asking a = {.client = client, .explain = *explain};
	struct client_taker taker = {&a, take_explanation};
	struct client_exchange exchange = {.packet = packet, .done = &a.done};
	struct pe_wire_header header = client_header(client, space, 0);
	enum presence_result result;

	a.sequence = header.sequence;
	memcpy(a.explain.entity_id, id, sizeof a.explain.entity_id);
	exchange.bytes =
		pe_wire_put_explain(packet, sizeof packet, &header, &a.explain, query, extension);
	if (!exchange.bytes)
		return client_bad(client,
			"a volume and a filter that together have no room in one message: shorten the filter");
	result = client_exchange(client, &exchange, &taker);
	if (result)
		return result;
	if (a.told.code != PE_CODE_SUCCESS) {
		if (refusal)
			*refusal = (struct presence_refusal){a.told.code, a.told.reason};
		return client_refused(client, a.told.code, a.told.reason);
	}
	from_wire(&a.told, explanation);
	return PRESENCE_OK;
}

static void begin(struct presence_explanation *explanation, struct presence_refusal *refusal)
{
	*explanation = (struct presence_explanation){.verdict = PRESENCE_UNDECIDED};
	if (refusal)
		*refusal = (struct presence_refusal){0};
}

enum presence_result presence_explain(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], const struct presence_query *query,
	struct presence_explanation *explanation, struct presence_refusal *refusal)
{
	const struct pe_wire_explain explain = {.selector = PE_EXPLAIN_QUERY};
	uint8_t extension[PE_WIRE_BYTES_MAX - sizeof(struct pe_wire_header) -
		sizeof(struct pe_wire_explain) - sizeof(struct pe_wire_query)];
	struct pe_wire_query wire;

	begin(explanation, refusal);
	if (!client_query_to_wire(query, 1, &wire) ||
		!client_query_extend(query, &wire, extension, sizeof extension))
		return client_bad(client, client_query_fault(query));
	return ask(client, space, id, &explain, &wire, extension, explanation, refusal);
}

enum presence_result presence_explain_fence(struct presence_client *client, const uint8_t *space,
	const uint8_t id[16], uint32_t subscription_id, uint32_t fence_id,
	struct presence_explanation *explanation, struct presence_refusal *refusal)
{
	static const struct pe_wire_query none = {0};
	const struct pe_wire_explain explain = {.selector = PE_EXPLAIN_FENCE,
		.subject = (uint64_t)fence_id << 32 | subscription_id};

	begin(explanation, refusal);
	return ask(client, space, id, &explain, &none, NULL, explanation, refusal);
}

static const struct {
	const char *name, *text;
} causes[] = {
	[PRESENCE_UNKNOWN] = {"UNKNOWN", "nothing is known of it here"},
	[PRESENCE_GONE] = {"GONE", "it was withdrawn, or its ttl has passed"},
	[PRESENCE_OTHER_SPACE] = {"SPACE", "it is in another space"},
	[PRESENCE_OTHER_TYPE] = {"TYPE", "entities of its type were not asked for"},
	[PRESENCE_OTHER_STATE] = {"STATE", "entities in its state were not asked for"},
	[PRESENCE_HEIGHT] = {"HEIGHT", "its height is not in the range, or not known"},
	[PRESENCE_FILTERED] = {"FILTER",
		"the filter, or the greatest age asked for, does not take it"},
	[PRESENCE_OUTSIDE] = {"VOLUME", "it is outside of the volume"},
	[PRESENCE_REACH] = {"REACH", "it does not reach as far as the asker's point"},
	[PRESENCE_RANK] = {"RANK", "as many as were asked for are nearer"},
	[PRESENCE_BOUND] = {"BOUND", "a bound was reached before it was met"},
	[PRESENCE_HELD_BACK] = {"COALESCED", "a newer state is held back by a threshold"},
	[PRESENCE_PENDING] = {"PENDING", "a newer state waits for a move that is being settled"},
	[PRESENCE_SCOPE] = {"SCOPE", "the asker's point is outside of its scope"},
	[PRESENCE_DWELL] = {"DWELL", "it is inside, but not for long enough yet"},
	[PRESENCE_UNLOOKED] = {"UNLOOKED", "it is inside, and enters when it is looked at"},
	[PRESENCE_ITSELF] = {"ITSELF", "it is the entity that the fence follows"},
	[PRESENCE_ELSEWHERE] = {"ELSEWHERE",
		"another worker owns it: what is held back, and who is in, is not known here"},
	[PRESENCE_IN_MARGIN] = {"MARGIN", "it is in the margin, where nothing changes"},
	[PRESENCE_LEAVING] = {"LEAVING", "it is outside, but not for long enough yet to leave"},
	[PRESENCE_OUTDATED] = {"OUTDATED", "it leaves when it is looked at"},
	[PRESENCE_WAITS] = {"WAITS", "something of it waits to be sent to the subscriber"},
	[PRESENCE_KEPT] = {"KEPT",
		"another worker keeps the subscription: what waits is not known here"},
	[PRESENCE_FULL] = {"FULL", "there is no room for another one in fences"},
	[PRESENCE_NOWHERE] = {"NOWHERE", "the entity that the fence follows is not there"},
	[PRESENCE_VEILED] = {"VEILED", "only others are shown it, or who asks for it by its id"},
};

const char *presence_cause_name(unsigned cause)
{
	return cause < sizeof causes / sizeof causes[0] && causes[cause].name ? causes[cause].name :
										"?";
}

const char *presence_cause_text(unsigned cause)
{
	return cause < sizeof causes / sizeof causes[0] && causes[cause].text ?
		causes[cause].text :
		"a cause that this library does not know";
}
