#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// In place; the bytes that are left, or −1.
static long unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++, to++) {
		int high, low;

		*to = *from;
		if (*from != '%')
			continue;
		high = hex(from[1]);
		low = high < 0 ? -1 : hex(from[2]);
		if (low < 0)
			return -1;
		*to = (char)(high << 4 | low);
		from += 2;
	}
	*to = 0;
	return to - text;
}

int words_read(struct words *w)
{
	char *rest, *field;

	w->count = 0;
	if (!fgets(w->line, sizeof w->line, stdin))
		return 0;
	rest = strchr(w->line, '\n');
	if (!rest)
		return -1;
	*rest = 0;
	rest = w->line;
	w->verb = strsep(&rest, "\t");
	while ((field = strsep(&rest, "\t"))) {
		char *value = strchr(field, '=');
		long bytes;

		if (!value || w->count == WORDS_FIELDS_MAX)
			return -1;
		*value++ = 0;
		bytes = unescape(value);
		if (bytes < 0)
			return -1;
		w->fields[w->count].name = field;
		w->fields[w->count].value = value;
		w->fields[w->count++].bytes = (size_t)bytes;
	}
	return 1;
}

const char *words_nth(const struct words *w, const char *name, unsigned n, size_t *bytes)
{
	for (unsigned i = 0; i < w->count; i++)
		if (strcmp(w->fields[i].name, name) == 0 && !n--) {
			if (bytes)
				*bytes = w->fields[i].bytes;
			return w->fields[i].value;
		}
	return NULL;
}

const char *words_text(const struct words *w, const char *name)
{
	return words_nth(w, name, 0, NULL);
}

double words_number(const struct words *w, const char *name, double otherwise)
{
	const char *text = words_text(w, name);

	return text ? strtod(text, NULL) : otherwise;
}

unsigned words_numbers(const char *text, double *numbers, unsigned most)
{
	unsigned n = 0;

	while (text && *text && n < most) {
		char *end;

		numbers[n++] = strtod(text, &end);
		if (*end != ',')
			break;
		text = end + 1;
	}
	return n;
}

unsigned words_list(const struct words *w, const char *name, double *numbers, unsigned most)
{
	return words_numbers(words_text(w, name), numbers, most);
}

void words_begin(const char *verb)
{
	fputs(verb, stdout);
}

void words_put(const char *name, const void *value, size_t bytes)
{
	const unsigned char *c = value;

	printf("\t%s=", name);
	for (size_t i = 0; i < bytes; i++)
		if (c[i] > 0x20 && c[i] < 0x7F && c[i] != '%')
			putchar(c[i]);
		else
			printf("%%%02X", c[i]);
}

void words_put_text(const char *name, const char *value)
{
	words_put(name, value, strlen(value));
}

void words_put_numbers(const char *name, const double *numbers, unsigned count)
{
	printf("\t%s=", name);
	for (unsigned i = 0; i < count; i++)
		printf("%s%.17g", i ? "," : "", numbers[i]);
}

void words_end(void)
{
	putchar('\n');
	fflush(stdout);
}
