// The letters of filters as text: words, signs, numbers, texts and values, read one after the other
// from the text itself (there are no tokens that are kept). What `need` stands in the name of says
// what it missed and where, and returns false; the first mistake stays. What `take` stands in the
// name of returns false and takes nothing. Spaces in front of what is read are passed over.
#pragma once

#include "client/filter_text.h"
#include "wire/filter.h"

#include <stdbool.h>

#define FILTER_VALUES_MAX 63

struct filter_scan {
	const char *begin;
	const char *p;
	unsigned nesting;
	struct pe_filter_writer *writer;
	struct presence_filter_error *error; // expected NULL = none yet
};

// Always false. `expected` lives for ever.
bool filter_fail(struct filter_scan *s, const char *at, const char *expected);

void filter_skip_space(struct filter_scan *s);

// The word, whole and in any case; given in lower case.
bool filter_take_word(struct filter_scan *s, const char *word);
bool filter_take(struct filter_scan *s, char c);
bool filter_need(struct filter_scan *s, char c, const char *expected);

bool filter_take_compare(struct filter_scan *s, unsigned *compare);
bool filter_need_compare(struct filter_scan *s, unsigned *compare);

// = x, != x, in (x, …), not in (x, …): what a set is asked.
bool filter_need_set(struct filter_scan *s, bool *negated, bool *list);
// After an element: does another follow? With a list its end is needed.
bool filter_more(struct filter_scan *s, bool list, bool *another);

bool filter_need_real(struct filter_scan *s, double *real, const char *expected);
bool filter_need_whole(struct filter_scan *s, long long *value, const char *expected);

// A quoted text that is a name, a tag or an activity, into room for PE_NAME_BYTES_MAX.
bool filter_need_name(struct filter_scan *s, uint8_t *to, uint32_t *bytes);
// The point behind `meta` and a name, bare or quoted.
bool filter_need_meta_name(struct filter_scan *s, uint8_t *name, uint32_t *bytes);
bool filter_need_id(struct filter_scan *s, uint8_t id[16]);

// Texts and bytes lie behind one another in `store`.
struct filter_values {
	struct pe_value value[FILTER_VALUES_MAX];
	unsigned count;
	uint32_t used;
	uint8_t store[PE_FILTER_BYTES_MAX];
};
// One more value.
bool filter_need_value(struct filter_scan *s, struct filter_values *v);
