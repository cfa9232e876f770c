#include "client/tools/query_arguments.h"
#include "client/tools/arguments.h"

#include <string.h>

enum {
	KEY_TYPES = 512,
	KEY_STATES,
	KEY_HEIGHTS,
	KEY_ORIGIN,
	KEY_3D,
	KEY_POLYGON,
	KEY_ORIENTED_BOX,
	KEY_FRUSTUM,
	KEY_FILTER
};

static const struct argp_option options[] = {
	{"types", KEY_TYPES, "LIST", 0, "static,mobile,temporary,recurring,custom (all)", 0},
	{"states", KEY_STATES, "LIST", 0, "active,inactive,busy,away,custom (all)", 0},
	{"heights", KEY_HEIGHTS, "MIN,MAX", 0, "only heights in this range, m", 0},
	{"origin", KEY_ORIGIN, "X,Y[,Z]", 0, "the asker's point (the volume's centre)", 0},
	{"3d", KEY_3D, NULL, 0, "GEODETIC: straight-line distance with heights", 0},
	{"filter", KEY_FILTER, "TEXT", 0,
		"only what it takes: type, state, id, custom_type, custom_state, position_confidence, status_confidence, age, radius, speed, stale, tag, activity, meta.NAME, joined by and, or, not",
		0},
	{NULL, 0, NULL, 0, "Volumes in the place of point, sphere and box:", 1},
	{"polygon", KEY_POLYGON, "\"X,Y X,Y X,Y … [/ X,Y …]\"", 0,
		"outer ring, and behind each / a hole; of any height (--heights bounds it); above 64 vertices rounded to a 65,534th of its extent; distances from its first vertex",
		1},
	{"oriented-box", KEY_ORIENTED_BOX, "\"X,Y,Z HX,HY,HZ [TURN]\"", 0,
		"centre, half extents in m, TURN in degrees: to the left, up, and about its x; without it along x, y, z, or east, north, up",
		1},
	{"frustum", KEY_FRUSTUM, "\"X,Y,Z W,H NEAR,FAR [TURN]\"", 0,
		"apex, whole angles in degrees, distances in m; TURN likewise; without it it looks along x, or east",
		1},
	{0},
};

static bool read_argument(struct query_arguments *r, const char *text)
{
	struct presence_query *q = &r->query;

	if (r->words_wanted == 0)
		return false; // an option was the volume
	if (r->words == 0) {
		q->volume = strcmp(text, "point") == 0 ? PRESENCE_POINT :
			strcmp(text, "sphere") == 0    ? PRESENCE_SPHERE :
			strcmp(text, "box") == 0       ? PRESENCE_BOX :
							 0;
		r->words_wanted = q->volume == PRESENCE_POINT || r->around ? 2 : 3;
		return q->volume == PRESENCE_SPHERE || (q->volume && !r->around);
	}
	if (r->around)
		return r->words == 1 && argument_double(text, &q->radius_m);
	if (r->words == 1)
		return argument_vector(text, q->a);
	if (r->words == 2 && q->volume == PRESENCE_SPHERE)
		return argument_double(text, &q->radius_m);
	return r->words == 2 && q->volume == PRESENCE_BOX && argument_vector(text, q->b);
}

static void read_filter(struct query_arguments *r, const char *text, const struct argp_state *state)
{
	struct presence_filter_error error;

	r->query.filter = r->filter;
	r->query.filter_bytes = presence_filter_parse(text, r->filter, &error);
	if (!r->query.filter_bytes)
		argp_error(state, "filter, at character %u: %s", error.column, error.expected);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct query_arguments *r = state->input;
	struct presence_query *q = &r->query;
	double v[3] = {0};
	bool good = true;

	switch (key) {
	case ARGP_KEY_INIT:
		r->words_wanted = 2;
		return 0;
	case KEY_TYPES:
		good = argument_mask(text, false, &q->type_mask);
		break;
	case KEY_STATES:
		good = argument_mask(text, true, &q->state_mask);
		break;
	case KEY_HEIGHTS:
		good = argument_vector(text, v) && v[0] <= v[1];
		q->has_heights = true;
		q->height_min = (float)v[0];
		q->height_max = (float)v[1];
		break;
	case KEY_ORIGIN:
		good = q->has_origin = argument_vector(text, q->origin);
		break;
	case KEY_3D:
		q->distance_3d = true;
		break;
	case KEY_POLYGON:
		good = argument_polygon(text, &r->polygon, q);
		r->words_wanted = 0;
		break;
	case KEY_ORIENTED_BOX:
		good = argument_oriented_box(text, q);
		r->words_wanted = 0;
		break;
	case KEY_FRUSTUM:
		good = argument_frustum(text, q);
		r->words_wanted = 0;
		break;
	case KEY_FILTER:
		read_filter(r, text, state);
		break;
	case ARGP_KEY_ARG:
		good = read_argument(r, text);
		if (!good && r->words == 0 && r->words_wanted)
			argp_error(state, "'%s' is no volume: %s", text,
				r->around ? "around an entity is a sphere" :
					    "point, sphere or box");
		r->words++;
		break;
	case ARGP_KEY_END:
		if (!(r->optional && !q->volume && !r->words) &&
			(!q->volume || r->words != r->words_wanted))
			argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, options, key, text);
	return 0;
}

const struct argp query_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};
