#include "client/tools/presencectl.h"

#include <stdio.h>

#define BAR_MAX 32

static uint32_t largest(const struct presence_answer *answer)
{
	uint32_t most = 1;

	for (size_t i = 0; i < answer->count; i++)
		if (answer->cells[i].count > most)
			most = answer->cells[i].count;
	return most;
}

static uint64_t sum(const struct presence_answer *answer)
{
	uint64_t all = 0;

	for (size_t i = 0; i < answer->count; i++)
		all += answer->cells[i].count;
	return all;
}

// "12", "12+" where more comes, "<5" where there are too few to be told, "12,3x<5" where that is so
// of 3 parts of it, "?" untold.
static void print_count(const struct presence_cell *c, char text[40])
{
	int n = 0;

	if (c->count || !c->below_cells)
		n = snprintf(text, 40, "%u%s", c->count, c->below_cells ? "," : "");
	if (c->below_cells > 1)
		n += snprintf(text + n, 40 - (size_t)n, "%ux", c->below_cells);
	if (c->below_cells && c->below)
		n += snprintf(text + n, 40 - (size_t)n, "<%u", c->below);
	else if (c->below_cells)
		n += snprintf(text + n, 40 - (size_t)n, "?");
	snprintf(text + n, 40 - (size_t)n, "%s", c->more ? "+" : "");
}

void ctl_print_cells(const struct presence_answer *answer)
{
	uint32_t most = largest(answer);

	if (answer->count)
		printf("%14s %14s %10s  %9s %9s %10s %9s\n", "x / latitude", "y / longitude", "z",
			"across m", "up m", "count", "newest s");
	for (size_t i = 0; i < answer->count; i++) {
		const struct presence_cell *c = &answer->cells[i];
		unsigned bar = (unsigned)((uint64_t)c->count * BAR_MAX / most);
		char count[40];

		print_count(c, count);
		printf("%14.7f %14.7f %10.2f  %9g %9g %10s %9.1f  ", c->centre[0], c->centre[1],
			c->centre[2], (double)c->size_m, (double)c->height_m, count,
			c->newest_age_ms / 1000.0);
		for (unsigned k = 0; k < (bar ? bar : 1); k++)
			putchar('#');
		putchar('\n');
	}
	printf("%llu in ", (unsigned long long)sum(answer));
}

static json_t *cell_to_json(const struct presence_cell *c)
{
	json_t *object = json_pack("{s:[f, f, f], s:I, s:f, s:f, s:i, s:i, s:b}", "centre",
		c->centre[0], c->centre[1], c->centre[2], "count", (json_int_t)c->count, "size_m",
		(double)c->size_m, "height_m", (double)c->height_m, "level", (int)c->level,
		"newest_age_ms", (int)c->newest_age_ms, "more", (int)c->more);

	if (c->below_cells) {
		json_object_set_new(object, "below_cells", json_integer(c->below_cells));
		json_object_set_new(
			object, "below", c->below ? json_integer(c->below) : json_null());
	}
	return object;
}

json_t *ctl_cells_to_json(const struct presence_answer *answer)
{
	json_t *list = json_array();

	for (size_t i = 0; i < answer->count; i++)
		json_array_append_new(list, cell_to_json(&answer->cells[i]));
	return list;
}
