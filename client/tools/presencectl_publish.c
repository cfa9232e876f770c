// presencectl publish and withdraw: states of entities are sent, and their fates printed.
#include "client/tools/arguments.h"
#include "client/tools/details_arguments.h"
#include "client/tools/presencectl.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define IDS_MAX 1024

static json_t *ack_to_json(const uint8_t id[16], const struct presence_ack *ack)
{
	char text[37];

	presence_id_print(id, text);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I}", "id", text, "status",
		presence_status_name(ack->status), "code", presence_code_name(ack->code), "reason",
		ack->reason ? presence_reason_name(ack->reason) : "", "remedy",
		ack->reason ? presence_reason_remedy(ack->reason) : "", "repeated", ack->repeated,
		"known_incarnation", (json_int_t)ack->known_incarnation, "known_sequence",
		(json_int_t)ack->known_sequence, "silence_ms", (json_int_t)ack->silence_ms);
}

// Prints the fate of each record; the exit code is that of the worst.
static int print_acks(const struct ctl *ctl, const uint8_t (*ids)[16],
	const struct presence_ack *acks, unsigned count)
{
	json_t *list = json_array();
	int code = EX_OK;

	for (unsigned i = 0; i < count; i++) {
		const struct presence_ack *ack = &acks[i];
		char text[37];

		presence_id_print(ids[i], text);
		if (ack->status == PRESENCE_NOT_TAKEN)
			code = EX_DATAERR;
		else if (ack->status == PRESENCE_DROPPED && code == EX_OK)
			code = EX_TEMPFAIL;
		json_array_append_new(list, ack_to_json(ids[i], ack));
		if (ctl->json)
			continue;
		printf("%s  %s", text, presence_status_name(ack->status));
		if (ack->code)
			printf("  %s: %s (%s)", presence_code_name(ack->code),
				presence_reason_text(ack->reason),
				presence_reason_name(ack->reason));
		if (ack->silence_ms)
			printf("  may be silent for %.3f s", ack->silence_ms / 1000.0);
		if (ack->known_incarnation)
			printf("  known: incarnation %u, sequence %u", ack->known_incarnation,
				ack->known_sequence);
		putchar('\n');
		if (ack->reason)
			printf("  what mends it: %s\n", presence_reason_remedy(ack->reason));
	}
	if (ctl->json)
		ctl_print_json(json_pack("{s:o}", "records", list));
	else
		json_decref(list);
	return code;
}

// Grows within the second that is the incarnation, so that one call after another is newer.
static uint32_t sequence_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint32_t)t.tv_nsec + 1;
}

struct publish {
	struct ctl *ctl;
	struct presence_update update;
	struct presence_details details;
	unsigned arguments;
};

enum {
	KEY_TYPE = 256,
	KEY_STATE,
	KEY_TTL,
	KEY_DURATION,
	KEY_VELOCITY,
	KEY_RADIUS,
	KEY_PRECISION,
	KEY_CONFIDENCE,
	KEY_FREQUENCY,
	KEY_ANNOUNCED,
	KEY_POWER,
	KEY_VISIBILITY,
	KEY_EXACTNESS,
	KEY_SEQUENCE,
	KEY_HEIGHT_UNKNOWN,
	KEY_RELOCATION,
	KEY_META,
	KEY_TAG,
	KEY_ACTIVITY,
	KEY_ORIENTATION,
	KEY_SCHEDULE,
	KEY_PARENT,
	KEY_PAYLOAD,
	KEY_SCOPE,
	KEY_RESOLUTION
};

static const struct argp_option publish_options[] = {
	{"type", KEY_TYPE, "NAME", 0, "static, mobile (default), temporary, recurring, custom:N",
		0},
	{"state", KEY_STATE, "NAME", 0, "active (default), inactive, busy, away, custom:N", 0},
	{"ttl", KEY_TTL, "TIME", 0, "how long it is known without another update: 500ms, 30s, 5m",
		0},
	{"duration", KEY_DURATION, "TIME", 0, "how long the state holds", 0},
	{"velocity", KEY_VELOCITY, "X,Y,Z", 0, "m/s; GEODETIC: east, north, up", 0},
	{"radius", KEY_RADIUS, "M", 0, "how far it reaches; 0 = no limit", 0},
	{"precision", KEY_PRECISION, "M", 0, "of the position", 0},
	{"confidence", KEY_CONFIDENCE, "0-1", 0, "of position and status", 0},
	{"frequency", KEY_FREQUENCY, "N", 0, "updates a minute that the engine takes", 0},
	{"announced", KEY_ANNOUNCED, "N", 0, "updates a minute that are announced", 0},
	{"power", KEY_POWER, "MODE", 0,
		"high-accuracy, balanced, low-power or adaptive: how exact it must be known (high-accuracy)",
		0},
	{"visibility", KEY_VISIBILITY, "WORD", 0,
		"who is shown it: public, anonymous, restricted or hidden (public)", 0},
	{"exactness", KEY_EXACTNESS, "SIZE", 0,
		"how exactly others are told where it is: exact, 1m, 10m, 100m, 1km or 10km (exact)",
		0},
	{"sequence", KEY_SEQUENCE, "N", 0, "of the record (default: grows with the clock)", 0},
	{"height-unknown", KEY_HEIGHT_UNKNOWN, NULL, 0, "GEODETIC: the height is not known", 0},
	{"relocation", KEY_RELOCATION, NULL, 0, "a STATIC entity was moved on purpose", 0},
	{"meta", KEY_META, "NAME=VALUE", 0,
		"sets a name: null, true, false, a number, x\"hex\" or a text; NAME alone takes it away. May be repeated",
		0},
	{"tag", KEY_TAG, "TAG", 0, "the tags are these and no others; may be repeated", 0},
	{"activity", KEY_ACTIVITY, "NAME", 0, "what it is doing; tags and activity go together", 0},
	{"orientation", KEY_ORIENTATION, "X,Y,Z,W", 0, "a quaternion; none: takes it away", 0},
	{"schedule", KEY_SCHEDULE, "OPENING,PERIOD,OPEN", 0,
		"of a recurring entity: Unix seconds or now, then times (now,24h,8h); none: takes it away",
		0},
	{"parent", KEY_PARENT, "ID", 0, "it is placed in this entity's frame", 0},
	{"scope", KEY_SCOPE, "BOUNDS", 0,
		"told only to who asks from there: X,Y[,Z]:RADIUS or X,Y[,Z]:X,Y[,Z]; none: takes the scope away",
		0},
	{"resolution", KEY_RESOLUTION, "M", 0,
		"told as the middle of a cell of this size; goes with the scope", 0},
	{"payload", KEY_PAYLOAD, "TEXT", 0, "handed on to who subscribes, not kept", 0},
	{0},
};

static error_t parse_publish(int key, char *text, struct argp_state *state)
{
	struct publish *p = state->input;
	struct presence_update *u = &p->update;
	uint64_t n = 0;
	double d = 0, v[3] = {0};
	bool good = true;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = p->ctl;
		return 0;
	case KEY_TYPE:
		good = argument_type(text, &u->type);
		break;
	case KEY_STATE:
		good = argument_state(text, &u->state, &u->custom_state);
		break;
	case KEY_TTL:
		good = argument_duration_ms(text, &u->ttl_ms);
		break;
	case KEY_DURATION:
		good = argument_duration_ms(text, &u->duration_ms);
		break;
	case KEY_VELOCITY:
		good = argument_vector(text, v);
		for (unsigned i = 0; i < 3; i++)
			u->velocity[i] = (float)v[i];
		break;
	case KEY_RADIUS:
		good = argument_double(text, &d);
		u->radius_m = (float)d;
		break;
	case KEY_PRECISION:
		good = argument_double(text, &d);
		u->precision_m = (float)d;
		break;
	case KEY_CONFIDENCE:
		good = argument_double(text, &d) && d >= 0 && d <= 1;
		u->position_confidence = u->status_confidence = (float)d;
		break;
	case KEY_FREQUENCY:
		good = argument_u64(text, UINT16_MAX, &n);
		u->frequency_per_minute = (uint16_t)n;
		break;
	case KEY_ANNOUNCED:
		good = argument_u64(text, UINT16_MAX, &n);
		u->announced_per_minute = (uint16_t)n;
		break;
	case KEY_POWER:
		good = argument_power(text, &u->power_mode);
		break;
	case KEY_VISIBILITY:
		good = argument_visibility(text, &u->visibility);
		break;
	case KEY_EXACTNESS:
		good = argument_exactness(text, &u->exactness);
		break;
	case KEY_SEQUENCE:
		good = argument_u64(text, UINT32_MAX, &n);
		u->sequence = (uint32_t)n;
		break;
	case KEY_HEIGHT_UNKNOWN:
		u->height_unknown = true;
		break;
	case KEY_RELOCATION:
		u->relocation = true;
		break;
	case KEY_META:
		good = argument_metadata(text, &p->details);
		break;
	case KEY_TAG:
		good = argument_tag(text, &p->details);
		break;
	case KEY_ACTIVITY:
		good = argument_activity(text, &p->details);
		break;
	case KEY_ORIENTATION:
		good = argument_quaternion(text, &p->details);
		break;
	case KEY_SCHEDULE:
		good = argument_schedule(text, &p->details);
		break;
	case KEY_PARENT:
		good = p->details.has_parent = argument_id(text, p->details.parent);
		break;
	case KEY_SCOPE:
		good = argument_scope(text, &p->details);
		break;
	case KEY_RESOLUTION:
		good = argument_double(text, &d) && d >= 0;
		p->details.scope_resolution_m = (float)d;
		p->details.has_scope = true;
		break;
	case KEY_PAYLOAD:
		p->details.payload = text;
		p->details.payload_bytes = (unsigned)strlen(text);
		good = p->details.payload_bytes <= PRESENCE_PAYLOAD_MAX;
		break;
	case ARGP_KEY_ARG:
		if (p->arguments == 0 && !argument_id(text, u->id))
			argp_error(state, "'%s' is no id: a uuid, or name:number", text);
		else if (p->arguments == 1 && !argument_vector(text, u->position))
			argp_error(state, "'%s' is no position: X,Y or X,Y,Z", text);
		else if (p->arguments > 1)
			argp_usage(state);
		p->arguments++;
		break;
	case ARGP_KEY_END:
		if (p->arguments != 2)
			argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, publish_options, key, text);
	return 0;
}

int ctl_publish(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {publish_options, parse_publish, "ID X,Y[,Z]",
		"Publishes one state of one entity and prints its fate. ID: a uuid, or name:number (mmsi:230035780).",
		ctl_json_child, NULL, NULL};
	struct publish p = {.ctl = ctl,
		.update = {.type = PRESENCE_MOBILE,
			.sequence = sequence_now(),
			.position_confidence = -1,
			.status_confidence = -1}};
	struct presence_refusal refusal;
	struct presence_ack ack;
	enum presence_result result;

	argp_parse(&argp, argc, argv, 0, NULL, &p);
	if (details_any(&p.details))
		result = presence_publish_detailed(
			ctl->client, ctl_space(ctl), &p.update, &p.details, 1, &ack, &refusal);
	else
		result =
			presence_publish(ctl->client, ctl_space(ctl), &p.update, 1, &ack, &refusal);
	if (result)
		return ctl_failed(ctl, "publish", result, refusal);
	return print_acks(ctl, (const uint8_t(*)[16])p.update.id, &ack, 1);
}

struct withdrawal {
	struct ctl *ctl;
	unsigned count;
	struct presence_withdrawal gone[IDS_MAX];
	uint8_t ids[IDS_MAX][16];
};

static error_t parse_withdraw(int key, char *text, struct argp_state *state)
{
	struct withdrawal *w = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = w->ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (w->count == IDS_MAX || !argument_id(text, w->ids[w->count]))
			argp_error(state, "cannot take '%s': ids only, at most %d", text, IDS_MAX);
		w->gone[w->count].sequence = sequence_now();
		memcpy(w->gone[w->count].id, w->ids[w->count], 16);
		w->count++;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int ctl_withdraw(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {NULL, parse_withdraw, "ID…",
		"Takes entities away at once and prints the fate of each. ID: a uuid, or name:number (mmsi:230035780).",
		ctl_json_child, NULL, NULL};
	static struct presence_ack acks[IDS_MAX];
	static struct withdrawal w;
	struct presence_refusal refusal;
	enum presence_result result;

	w.ctl = ctl;
	argp_parse(&argp, argc, argv, 0, NULL, &w);
	result = presence_withdraw(ctl->client, ctl_space(ctl), w.gone, w.count, acks, &refusal);
	if (result)
		return ctl_failed(ctl, "withdraw", result, refusal);
	return print_acks(ctl, (const uint8_t(*)[16])w.ids, acks, w.count);
}
