#include "client/tools/fence_arguments.h"
#include "client/tools/arguments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { KEY_MARGIN = 768, KEY_ENTER, KEY_LEAVE, KEY_AROUND };

static const struct argp_option options[] = {
	{NULL, 0, NULL, 0, "Who is inside, and for how long:", 2},
	{"margin", KEY_MARGIN, "M", 0, "who is inside leaves only further outside than that", 2},
	{"enter", KEY_ENTER, "TIME", 0, "inside for so long before it enters", 2},
	{"leave", KEY_LEAVE, "TIME", 0, "outside for so long before it leaves", 2},
	{"follow", KEY_AROUND, "ID", 0,
		"around this entity, wherever it is: the volume is then sphere RADIUS", 2},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct fence_arguments *f = state->input;
	double d = 0;
	bool good = true;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &f->query;
		f->fence.query = &f->query.query;
		return 0;
	case KEY_MARGIN:
		good = argument_double(text, &d) && d >= 0;
		f->fence.margin_m = (float)d;
		break;
	case KEY_ENTER:
		good = argument_duration_ms(text, &f->fence.enter_ms);
		break;
	case KEY_LEAVE:
		good = argument_duration_ms(text, &f->fence.leave_ms);
		break;
	case KEY_AROUND:
		good = argument_id(text, f->fence.follow_id);
		f->fence.follow = f->query.around = true;
		break;
	case ARGP_KEY_END:
		if (f->query.query.volume == PRESENCE_POINT)
			argp_error(state, "a point has no inside: watch a sphere");
		if (f->fence.follow && f->query.query.volume != PRESENCE_SPHERE)
			argp_error(state, "around an entity is a sphere");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	if (!good)
		argument_unread(state, options, key, text);
	return 0;
}

const struct argp fence_argp = {options, parse, NULL, NULL,
	(const struct argp_child[]){{&query_argp, 0, NULL, 0}, {0}}, NULL, NULL};

int fence_line_words(char *line, char *words[FENCE_WORDS_MAX])
{
	int count = 0;

	for (char *in = line, *out = line; *in;) {
		char quote = 0, end;

		while (*in == ' ' || *in == '\t' || *in == '\r' || *in == '\n')
			in++;
		if (!*in || *in == '#')
			break;
		if (count == FENCE_WORDS_MAX)
			return -1;
		words[count++] = out;
		for (; *in && (quote || !strchr(" \t\r\n", *in)); in++) {
			if (quote ? *in == quote : *in == '\'' || *in == '"')
				quote = quote ? 0 : *in;
			else
				*out++ = *in;
		}
		if (quote)
			return -1;
		end = *in;
		*out++ = '\0';
		in += end != '\0';
	}
	return count;
}

static struct fence_arguments *read_line(char *name, char *line)
{
	char *words[FENCE_WORDS_MAX + 1];
	int count = fence_line_words(line, words);
	struct fence_arguments *f;
	uint64_t id;

	if (count == 0)
		return NULL;
	if (count < 2 || !argument_u64(words[0], UINT32_MAX, &id)) {
		fprintf(stderr, "%s: a fence is a number, and then its volume's words\n", name);
		exit(EX_USAGE);
	}
	f = calloc(1, sizeof *f);
	if (!f)
		exit(EX_OSERR);
	f->fence.id = (uint32_t)id;
	words[0] = name;
	words[count] = NULL;
	argument_protect(count, words);
	argp_parse(&fence_argp, count, words, ARGP_NO_HELP, NULL, f);
	// What protects a negative number is a copy.
	for (int i = 0; i < count; i++)
		if (*words[i] == ' ' && (words[i] < line || words[i] >= line + FENCE_LINE_MAX))
			free(words[i]);
	return f;
}

unsigned fence_file_read(const char *path, struct fence_arguments *fences[FENCE_FILE_MAX])
{
	static char line[FENCE_LINE_MAX], name[512];
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	unsigned count = 0, number = 0;

	if (!file) {
		fprintf(stderr, "presencectl: cannot read %s: %s\n", path, strerror(errno));
		return 0;
	}
	while (fgets(line, sizeof line, file)) {
		snprintf(name, sizeof name, "%s:%u", path, ++number);
		if (!strchr(line, '\n') && !feof(file)) {
			fprintf(stderr, "%s: a line of more than %d bytes\n", name,
				FENCE_LINE_MAX - 2);
			exit(EX_USAGE);
		}
		if (count == FENCE_FILE_MAX) {
			fprintf(stderr, "%s: more than %d fences\n", name, FENCE_FILE_MAX);
			exit(EX_USAGE);
		}
		fences[count] = read_line(name, line);
		count += fences[count] != NULL;
	}
	if (!count)
		fprintf(stderr, "presencectl: %s: no fences\n", path);
	if (file != stdin)
		fclose(file);
	return count;
}
