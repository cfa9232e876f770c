// Lines of the conformance driver in C: a verb and fields, apart by tabs. A field is name=value;
// what would not be seen of a value, and %, is %XX. The driver in Python (driver_library.py) writes
// and reads the same. Everything is bounded: a line, its fields, a list in a value. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_LINE_MAX   65536
#define WORDS_FIELDS_MAX 64

struct words {
	char line[WORDS_LINE_MAX];
	const char *verb;
	unsigned count;
	struct {
		const char *name;
		char *value; // terminated; may have zeros of its own
		size_t bytes;
	} fields[WORDS_FIELDS_MAX];
};

// The next line of standard input. 0: there is none; −1: it is none of this form.
int words_read(struct words *w);
// The value of a field, NULL without one; the nth of those with that name.
const char *words_text(const struct words *w, const char *name);
const char *words_nth(const struct words *w, const char *name, unsigned n, size_t *bytes);
double words_number(const struct words *w, const char *name, double otherwise);
// Numbers apart by commas, at most `most`; how many. 0 without the field.
unsigned words_list(const struct words *w, const char *name, double *numbers, unsigned most);
unsigned words_numbers(const char *text, double *numbers, unsigned most);

// One line of an answer, field by field.
void words_begin(const char *verb);
void words_put(const char *name, const void *value, size_t bytes);
void words_put_text(const char *name, const char *value);
void words_put_numbers(const char *name, const double *numbers, unsigned count);
void words_end(void);
