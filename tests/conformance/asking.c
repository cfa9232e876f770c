#include "asking.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void rings_of(const struct words *in, struct asking *a)
{
	const char *ring;
	unsigned used = 0;

	while (a->polygon.ring_count < PRESENCE_RINGS_MAX &&
		(ring = words_nth(in, "ring", a->polygon.ring_count, NULL))) {
		unsigned n =
			words_numbers(ring, a->vertices[used], (PRESENCE_VERTICES_MAX - used) * 2);

		a->ring_vertices[a->polygon.ring_count++] = n / 2;
		used += n / 2;
	}
	a->polygon.vertices = (const double(*)[2])a->vertices;
	a->polygon.ring_vertices = a->ring_vertices;
	a->polygon.height_min = -INFINITY;
	a->polygon.height_max = INFINITY;
	a->polygon.rounded = used > 64;
	a->query.polygon = &a->polygon;
}

const char *asking_of(const struct words *in, struct asking *a)
{
	struct presence_query *q = &a->query;
	struct presence_filter_error error;
	double pair[2];
	const char *filter = words_text(in, "filter");

	memset(a, 0, sizeof *a);
	q->volume = (uint8_t)words_number(in, "volume", 0);
	(void)words_list(in, "a", q->a, 3);
	(void)words_list(in, "b", q->b, 3);
	q->radius_m = words_number(in, "radius", 0);
	(void)words_list(in, "half", q->half, 3);
	(void)words_list(in, "turn", q->orientation, 4);
	if (words_list(in, "angles", pair, 2) == 2) {
		q->horizontal_deg = pair[0];
		q->vertical_deg = pair[1];
	}
	if (words_list(in, "range", pair, 2) == 2) {
		q->near_m = pair[0];
		q->far_m = pair[1];
	}
	if (words_list(in, "heights", pair, 2) == 2) {
		q->has_heights = true;
		q->height_min = (float)pair[0];
		q->height_max = (float)pair[1];
	}
	q->has_origin = words_list(in, "origin", q->origin, 3) > 0;
	q->distance_3d = words_text(in, "3d");
	q->type_mask = (uint16_t)words_number(in, "types", 0);
	q->state_mask = (uint16_t)words_number(in, "states", 0);
	q->results_max = (uint16_t)words_number(in, "limit", 0);
	q->has_time = words_text(in, "ahead");
	q->ahead_ms = (uint32_t)words_number(in, "ahead", 0);
	q->cell_m = words_number(in, "cells", 0);
	q->brief = words_text(in, "brief");
	q->with_details = words_text(in, "details");
	q->age_max_ms = (uint32_t)words_number(in, "age", 0);
	if (q->volume == PRESENCE_POLYGON)
		rings_of(in, a);
	if (filter) {
		q->filter_bytes = presence_filter_parse(filter, a->program, &error);
		q->filter = a->program;
		if (!q->filter_bytes)
			return error.expected;
	}
	return NULL;
}

void put_number(const char *name, double number)
{
	words_put_numbers(name, &number, 1);
}

void put_details(const struct presence_details *d)
{
	char text[64];

	for (unsigned i = 0; i < d->tag_count; i++)
		words_put("tag", d->tags[i].text, d->tags[i].bytes);
	if (d->activity.bytes)
		words_put("activity", d->activity.text, d->activity.bytes);
	if (d->has_parent) {
		presence_id_print(d->parent, text);
		words_put_text("parent", text);
	}
	// A name, and behind it in a field of its type the value.
	for (unsigned i = 0; i < d->metadata_count; i++) {
		const struct presence_value *v = &d->metadata[i];

		words_put("meta", v->name.text, v->name.bytes);
		if (v->type == PRESENCE_NULL)
			words_put_text("n", "");
		else if (v->type == PRESENCE_BOOL)
			words_put_text("b", v->truth ? "1" : "0");
		else if (v->type == PRESENCE_F64)
			put_number("f", v->real);
		else if (v->type != PRESENCE_I64)
			words_put(
				v->type == PRESENCE_TEXT ? "t" : "x", v->data.text, v->data.bytes);
		else {
			snprintf(text, sizeof text, "%lld", (long long)v->whole);
			words_put_text("i", text);
		}
	}
}

void put_found(const struct presence_found *f)
{
	const double velocity[3] = {f->velocity[0], f->velocity[1], f->velocity[2]};
	char id[37];

	presence_id_print(f->id, id);
	words_put_text("id", id);
	words_put_numbers("position", f->position, f->height_unknown ? 2 : 3);
	words_put_numbers("velocity", velocity, 3);
	put_number("distance", (double)f->distance_m);
	put_number("precision", (double)f->precision_m);
	put_number("type", f->type);
	put_number("state", f->state);
	put_number("custom", f->custom_state);
	put_number("age", f->age_ms);
	put_number("ttl_left", f->ttl_left_ms);
	put_number("stale", f->stale);
}
