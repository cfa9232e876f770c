#include "client/tools/volume_arguments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VERTICES_EXACT_MAX 64 // with holes and a filter beside them

static const char *skip_blanks(const char *text)
{
	while (*text == ' ' || *text == '\t' || *text == '\n')
		text++;
	return text;
}

// One word of `least` to `most` finite numbers; what follows it, or NULL.
static const char *read_word(const char *text, double *v, unsigned least, unsigned most)
{
	text = skip_blanks(text);
	for (unsigned i = 0; i < most; i++) {
		char *end;

		v[i] = strtod(text, &end);
		if (end == text || !isfinite(v[i]))
			return NULL;
		if (*end != ',')
			return i + 1 >= least ? skip_blanks(end) : NULL;
		text = end + 1;
	}
	return NULL;
}

bool argument_polygon(const char *text, struct volume_polygon *volume, struct presence_query *q)
{
	unsigned count = 0, rings = 1;

	memset(volume->ring_vertices, 0, sizeof volume->ring_vertices);
	for (text = skip_blanks(text); *text;) {
		if (*text == '/') {
			if (rings == PRESENCE_RINGS_MAX || volume->ring_vertices[rings - 1] < 3)
				return false;
			rings++;
			text = skip_blanks(text + 1);
			continue;
		}
		if (count == PRESENCE_VERTICES_MAX)
			return false;
		text = read_word(text, volume->vertices[count++], 2, 2);
		if (!text)
			return false;
		volume->ring_vertices[rings - 1]++;
	}
	if (volume->ring_vertices[rings - 1] < 3)
		return false;
	volume->polygon =
		(struct presence_polygon){.vertices = (const double(*)[2])volume->vertices,
			.ring_vertices = volume->ring_vertices,
			.ring_count = rings,
			.height_min = -INFINITY,
			.height_max = INFINITY,
			.rounded = count > VERTICES_EXACT_MAX};
	q->volume = PRESENCE_POLYGON;
	q->polygon = &volume->polygon;
	memcpy(q->a, volume->vertices[0], sizeof volume->vertices[0]);
	q->a[2] = 0;
	return true;
}

// Turned left by the yaw, then up by the pitch, then about the way it looks by the roll.
static bool read_turn(const char *text, double q[4])
{
	double turn[3] = {0}, s[3], c[3];

	if (*text) {
		text = read_word(text, turn, 1, 3);
		if (!text || *text)
			return false;
	}
	turn[1] = -turn[1]; // about y, which is to the left
	for (unsigned i = 0; i < 3; i++) {
		s[i] = sin(turn[i] * M_PI / 360);
		c[i] = cos(turn[i] * M_PI / 360);
	}
	q[0] = c[0] * c[1] * s[2] - s[0] * s[1] * c[2];
	q[1] = c[0] * s[1] * c[2] + s[0] * c[1] * s[2];
	q[2] = s[0] * c[1] * c[2] - c[0] * s[1] * s[2];
	q[3] = c[0] * c[1] * c[2] + s[0] * s[1] * s[2];
	return true;
}

bool argument_oriented_box(const char *text, struct presence_query *q)
{
	q->volume = PRESENCE_ORIENTED_BOX;
	text = read_word(text, q->a, 3, 3);
	if (text)
		text = read_word(text, q->half, 3, 3);
	return text && read_turn(text, q->orientation);
}

bool argument_frustum(const char *text, struct presence_query *q)
{
	double angles[2], range[2];

	q->volume = PRESENCE_FRUSTUM;
	text = read_word(text, q->a, 3, 3);
	if (text)
		text = read_word(text, angles, 2, 2);
	if (text)
		text = read_word(text, range, 2, 2);
	if (!text)
		return false;
	q->horizontal_deg = angles[0];
	q->vertical_deg = angles[1];
	q->near_m = range[0];
	q->far_m = range[1];
	return read_turn(text, q->orientation);
}
