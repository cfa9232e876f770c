#include "client/tools/details_arguments.h"

#include "client/tools/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// x"…" in place; false: it is a text that only begins like it.
static bool bytes_of(char *text, struct presence_value *v)
{
	size_t length = strlen(text), n = 0;

	if (length < 3 || length % 2 == 0 || strncmp(text, "x\"", 2) != 0 ||
		text[length - 1] != '"')
		return false;
	for (size_t i = 2; i + 1 < length; i++)
		if (hex_digit(text[i]) < 0)
			return false;
	for (size_t i = 2; i + 2 < length; i += 2)
		text[n++] = (char)(hex_digit(text[i]) << 4 | hex_digit(text[i + 1]));
	v->type = PRESENCE_BYTES;
	v->data = (struct presence_text){text, (unsigned)n};
	return true;
}

static void value_of(char *text, struct presence_value *v)
{
	char *end;

	v->type = PRESENCE_NULL;
	if (strcmp(text, "null") == 0)
		return;
	v->type = PRESENCE_BOOL;
	v->truth = strcmp(text, "true") == 0;
	if (v->truth || strcmp(text, "false") == 0)
		return;
	errno = 0;
	v->type = PRESENCE_I64;
	v->whole = strtoll(text, &end, 10);
	if (end != text && *end == 0 && !errno && !isspace((unsigned char)*text))
		return;
	v->type = PRESENCE_F64;
	if (argument_double(text, &v->real) && !isspace((unsigned char)*text))
		return;
	if (bytes_of(text, v))
		return;
	v->type = PRESENCE_TEXT;
	v->data = (struct presence_text){text, (unsigned)strlen(text)};
}

bool argument_metadata(char *text, struct presence_details *d)
{
	struct presence_value *v;
	char *equals;

	if (*text == ' ') // argument_protect
		text++;
	equals = strchr(text, '=');
	if (d->metadata_count == PRESENCE_METADATA_MAX)
		return false;
	v = &d->metadata[d->metadata_count++];
	v->name = (struct presence_text){
		text, (unsigned)(equals ? (size_t)(equals - text) : strlen(text))};
	if (equals)
		value_of(equals + 1, v);
	else
		v->type = PRESENCE_REMOVE;
	return v->name.bytes >= 1 && v->name.bytes <= PRESENCE_NAME_MAX;
}

bool argument_tag(const char *text, struct presence_details *d)
{
	size_t n = strlen(text);

	d->has_context = true;
	if (d->tag_count == PRESENCE_TAGS_MAX || n > PRESENCE_NAME_MAX)
		return false;
	// An empty one: without tags.
	if (n)
		d->tags[d->tag_count++] = (struct presence_text){text, (unsigned)n};
	return true;
}

bool argument_activity(const char *text, struct presence_details *d)
{
	d->has_context = true;
	d->activity = (struct presence_text){text, (unsigned)strlen(text)};
	return d->activity.bytes <= PRESENCE_NAME_MAX;
}

bool argument_quaternion(const char *text, struct presence_details *d)
{
	double q[4], square = 0;

	if (strcmp(text, "none") == 0) {
		d->no_orientation = true;
		return true;
	}
	for (unsigned i = 0; i < 4; i++) {
		char *end;

		q[i] = strtod(text, &end);
		if (end == text || *end != (i < 3 ? ',' : 0))
			return false;
		text = end + 1;
		square += q[i] * q[i];
	}
	if (!(square > 1e-12 && square < 1e12))
		return false;
	for (unsigned i = 0; i < 4; i++)
		d->orientation[i] = (float)(q[i] / sqrt(square));
	d->has_orientation = true;
	return true;
}

bool argument_schedule(const char *text, struct presence_details *d)
{
	char part[3][32];
	double opening;

	if (strcmp(text, "none") == 0) {
		d->no_schedule = true;
		return true;
	}
	if (sscanf(text, "%31[^,],%31[^,],%31[^,]", part[0], part[1], part[2]) != 3)
		return false;
	if (strcmp(part[0], "now") == 0)
		d->opening_ms = (uint64_t)time(NULL) * 1000;
	else if (argument_double(part[0], &opening) && opening >= 0 && opening < 1e12)
		d->opening_ms = (uint64_t)(opening * 1000);
	else
		return false;
	d->has_schedule = true;
	return argument_duration_ms(part[1], &d->period_ms) &&
		argument_duration_ms(part[2], &d->open_for_ms) && d->open_for_ms > 0 &&
		d->open_for_ms <= d->period_ms;
}

bool argument_scope(const char *text, struct presence_details *d)
{
	const char *colon = strchr(text, ':');
	char place[96];

	if (strcmp(text, "none") == 0) {
		d->no_scope = true;
		return true;
	}
	if (!colon || (size_t)(colon - text) >= sizeof place)
		return false;
	memcpy(place, text, (size_t)(colon - text));
	place[colon - text] = 0;
	d->has_scope = true;
	if (!argument_vector(place, d->scope_a))
		return false;
	d->scope_volume = strchr(colon, ',') ? PRESENCE_BOX : PRESENCE_SPHERE;
	return d->scope_volume == PRESENCE_BOX ?
		argument_vector(colon + 1, d->scope_b) :
		argument_double(colon + 1, &d->scope_b[0]) && d->scope_b[0] >= 0;
}

bool details_any(const struct presence_details *d)
{
	return d->has_orientation || d->no_orientation || d->has_context || d->metadata_count ||
		d->has_schedule || d->no_schedule || d->has_parent || d->payload_bytes ||
		d->has_scope || d->no_scope;
}

static json_t *value_to_json(const struct presence_value *v)
{
	json_t *bytes;
	char hex[3];

	switch (v->type) {
	case PRESENCE_BOOL:
		return json_boolean(v->truth);
	case PRESENCE_I64:
		return json_integer(v->whole);
	case PRESENCE_F64:
		return json_real(v->real);
	case PRESENCE_TEXT:
		return json_stringn(v->data.text, v->data.bytes);
	case PRESENCE_BYTES: {
		char *text = calloc(2, v->data.bytes + 1);

		for (unsigned i = 0; text && i < v->data.bytes; i++) {
			snprintf(hex, sizeof hex, "%02x", (unsigned char)v->data.text[i]);
			memcpy(text + 2 * i, hex, 2);
		}
		bytes = json_pack("{s:s}", "bytes", text ? text : "");
		free(text);
		return bytes;
	}
	default:
		return json_null();
	}
}

json_t *details_to_json(const struct presence_details *d)
{
	json_t *out = json_object(), *list;
	char id[37], name[PRESENCE_NAME_MAX + 1];

	if (d->has_orientation)
		json_object_set_new(out, "orientation",
			json_pack("[f, f, f, f]", (double)d->orientation[0],
				(double)d->orientation[1], (double)d->orientation[2],
				(double)d->orientation[3]));
	if (d->has_context) {
		list = json_array();
		for (unsigned i = 0; i < d->tag_count; i++)
			json_array_append_new(
				list, json_stringn(d->tags[i].text, d->tags[i].bytes));
		json_object_set_new(out, "tags", list);
		if (d->activity.bytes)
			json_object_set_new(
				out, "activity", json_stringn(d->activity.text, d->activity.bytes));
	}
	if (d->metadata_count) {
		list = json_object();
		for (unsigned i = 0; i < d->metadata_count; i++) {
			memcpy(name, d->metadata[i].name.text, d->metadata[i].name.bytes);
			name[d->metadata[i].name.bytes] = 0;
			json_object_set_new(list, name, value_to_json(&d->metadata[i]));
		}
		json_object_set_new(out, "metadata", list);
	}
	if (d->has_schedule)
		json_object_set_new(out, "schedule",
			json_pack("{s:I, s:I, s:I}", "opening_ms", (json_int_t)d->opening_ms,
				"period_ms", (json_int_t)d->period_ms, "open_for_ms",
				(json_int_t)d->open_for_ms));
	if (d->has_parent) {
		presence_id_print(d->parent, id);
		json_object_set_new(out, "parent", json_string(id));
		json_object_set_new(out, "position_in_parent",
			json_pack("[f, f, f]", d->position[0], d->position[1], d->position[2]));
	}
	if (d->has_scope) {
		list = json_pack("{s:f, s:i}", "resolution_m", (double)d->scope_resolution_m,
			"engines_max", (int)d->scope_engines_max);
		if (d->scope_volume) {
			json_object_set_new(list,
				d->scope_volume == PRESENCE_BOX ? "from" : "centre",
				json_pack(
					"[f, f, f]", d->scope_a[0], d->scope_a[1], d->scope_a[2]));
			json_object_set_new(list,
				d->scope_volume == PRESENCE_BOX ? "to" : "radius_m",
				d->scope_volume == PRESENCE_BOX ?
					json_pack("[f, f, f]", d->scope_b[0], d->scope_b[1],
						d->scope_b[2]) :
					json_real(d->scope_b[0]));
		}
		json_object_set_new(out, "scope", list);
	}
	return out;
}

void details_print(FILE *out, const struct presence_details *d)
{
	json_t *object = details_to_json(d);
	char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);

	// JSON quotes what would disturb a terminal.
	fprintf(out, "    %s\n", text ? text : "{}");
	free(text);
	json_decref(object);
}
