#include "client/filter_scan.h"
#include "client/filter_words.h"
#include "wire/decode.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>

// ---- letters and words --------------------------------------------------------------------------

bool filter_fail(struct filter_scan *s, const char *at, const char *expected)
{
	unsigned column = 1;

	if (s->error->expected)
		return false;
	for (const char *c = s->begin; c < at; c++)
		column += ((unsigned char)*c & 0xC0) != 0x80; // what begins a character
	s->error->column = column;
	s->error->expected = expected;
	return false;
}

void filter_skip_space(struct filter_scan *s)
{
	while (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r')
		s->p++;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool word_letter(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || digit(c) || c == '_';
}

static bool bare_name_letter(char c)
{
	return word_letter(c) || c == '-' || c == '.';
}

bool filter_take_word(struct filter_scan *s, const char *word)
{
	size_t n = strlen(word);

	filter_skip_space(s);
	for (size_t i = 0; i < n; i++)
		if (lower(s->p[i]) != word[i])
			return false;
	if (word_letter(s->p[n]))
		return false;
	s->p += n;
	return true;
}

bool filter_take(struct filter_scan *s, char c)
{
	filter_skip_space(s);
	if (*s->p != c)
		return false;
	s->p++;
	return true;
}

bool filter_need(struct filter_scan *s, char c, const char *expected)
{
	return filter_take(s, c) || filter_fail(s, s->p, expected);
}

bool filter_take_compare(struct filter_scan *s, unsigned *compare)
{
	// Longer ones first.
	static const uint8_t order[] = {PE_FILTER_NOT_EQUAL, PE_FILTER_LESS_EQUAL,
		PE_FILTER_GREATER_EQUAL, PE_FILTER_EQUAL, PE_FILTER_LESS, PE_FILTER_GREATER};

	filter_skip_space(s);
	for (unsigned i = 0; i < sizeof order; i++) {
		size_t n = strlen(filter_compares[order[i]]);

		if (strncmp(s->p, filter_compares[order[i]], n) == 0) {
			*compare = order[i];
			s->p += n;
			return true;
		}
	}
	return false;
}

bool filter_need_compare(struct filter_scan *s, unsigned *compare)
{
	return filter_take_compare(s, compare) || filter_fail(s, s->p, "one of = != < <= > >=");
}

bool filter_need_set(struct filter_scan *s, bool *negated, bool *list)
{
	const char *at;
	unsigned compare;

	filter_skip_space(s);
	at = s->p;
	*list = false;
	if (filter_take_compare(s, &compare)) {
		*negated = compare == PE_FILTER_NOT_EQUAL;
		return compare <= PE_FILTER_NOT_EQUAL || filter_fail(s, at, "=, !=, in or not in");
	}
	*negated = filter_take_word(s, "not");
	*list = filter_take_word(s, "in");
	if (!*list)
		return filter_fail(s, at, "=, !=, in or not in");
	return filter_need(s, '(', "( and a list");
}

bool filter_more(struct filter_scan *s, bool list, bool *another)
{
	*another = list && filter_take(s, ',');
	return *another || !list || filter_need(s, ')', ", or )");
}

// ---- values -------------------------------------------------------------------------------------

// The characters of a number into a buffer, since what follows may be a unit with a letter of
// numbers in it.
static bool need_number(struct filter_scan *s, char text[64], bool *whole, const char *expected)
{
	const char *at;
	size_t n = 0, digits = 0;

	filter_skip_space(s);
	at = s->p;
	*whole = true;
	while (n < 63) {
		char c = at[n];
		bool exponent = (c == 'e' || c == 'E') && digits &&
			(digit(at[n + 1]) ||
				((at[n + 1] == '-' || at[n + 1] == '+') && digit(at[n + 2])));
		bool sign =
			(c == '-' || c == '+') && (n == 0 || at[n - 1] == 'e' || at[n - 1] == 'E');

		if (!digit(c) && !exponent && !sign && c != '.')
			break;
		digits += digit(c);
		if (exponent || c == '.')
			*whole = false;
		text[n++] = c;
	}
	text[n] = '\0';
	if (!digits || n == 63)
		return filter_fail(s, at, expected);
	s->p = at + n;
	return true;
}

bool filter_need_real(struct filter_scan *s, double *real, const char *expected)
{
	const char *at;
	char text[64], *end;
	bool whole;

	filter_skip_space(s);
	at = s->p;
	if (!need_number(s, text, &whole, expected))
		return false;
	*real = strtod(text, &end);
	if (*end || !(*real >= -DBL_MAX && *real <= DBL_MAX))
		return filter_fail(s, at, expected);
	return true;
}

bool filter_need_whole(struct filter_scan *s, long long *value, const char *expected)
{
	const char *at;
	char text[64], *end;
	bool whole;

	filter_skip_space(s);
	at = s->p;
	if (!need_number(s, text, &whole, expected))
		return false;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return (whole && !*end && !errno) || filter_fail(s, at, expected);
}

static int hex_digit(char c)
{
	return digit(c) ? c - '0' : lower(c) >= 'a' && lower(c) <= 'f' ? lower(c) - 'a' + 10 : -1;
}

// Two hexadecimal digits, or −1.
static int hex_byte(const char *p)
{
	int high = hex_digit(p[0]);
	int low = high < 0 ? -1 : hex_digit(p[1]);

	return low < 0 ? -1 : high * 16 + low;
}

// A character of a quoted text; −1 where it isn't one.
static int need_character(struct filter_scan *s)
{
	static const char escapes[] = "\"\\ntr", meanings[] = "\"\\\n\t\r";
	const char *found;
	int c = (unsigned char)*s->p;

	if (c == '\0')
		return filter_fail(s, s->p, "a \" that ends the text"), -1;
	if (c != '\\')
		return s->p++, c;
	if (s->p[1] == 'x') {
		c = hex_byte(s->p + 2);
		if (c < 1 || c > 0x7F)
			return filter_fail(s, s->p, "an escape \\x01 to \\x7F"), -1;
		s->p += 4;
		return c;
	}
	found = s->p[1] ? strchr(escapes, s->p[1]) : NULL;
	if (!found)
		return filter_fail(
			       s, s->p, "an escape: \\\" \\\\ \\n \\t \\r or \\x and two digits"),
		       -1;
	s->p += 2;
	return meanings[found - escapes];
}

// A text in quotes, decoded into `to`.
static bool need_text(struct filter_scan *s, uint8_t *to, uint32_t size, uint32_t *bytes)
{
	const char *at;
	uint32_t wrong;

	filter_skip_space(s);
	at = s->p;
	if (!filter_need(s, '"', "a text in \"quotes\""))
		return false;
	for (*bytes = 0; *s->p != '"'; ++*bytes) {
		int c = need_character(s);

		if (c < 0)
			return false;
		if (*bytes == size)
			return filter_fail(s, at, "a shorter text");
		to[*bytes] = (uint8_t)c;
	}
	s->p++;
	return pe_text_sound(to, *bytes, &wrong) || filter_fail(s, at, "a text in UTF-8");
}

bool filter_need_name(struct filter_scan *s, uint8_t *to, uint32_t *bytes)
{
	const char *at;
	uint32_t wrong;

	filter_skip_space(s);
	at = s->p;
	if (!need_text(s, to, PE_NAME_BYTES_MAX, bytes))
		return false;
	return pe_name_sound(to, *bytes, &wrong) ||
		filter_fail(s, at, "a text of 1 to 32 bytes without control characters");
}

bool filter_need_value(struct filter_scan *s, struct filter_values *v)
{
	static const char expected[] =
		"a value: null, true, false, a number, a \"text\" or x\"bytes\"";
	struct pe_value *value = &v->value[v->count];
	uint8_t *store = v->store + v->used;
	uint32_t room = (uint32_t)sizeof v->store - v->used, bytes = 0;
	long long integer;
	char text[64];
	const char *at;
	bool whole;

	filter_skip_space(s);
	at = s->p;
	if (v->count == FILTER_VALUES_MAX)
		return filter_fail(s, at, "at most 63 values");
	*value = (struct pe_value){.type = PE_VALUE_NULL, .data = store};
	if (filter_take_word(s, "null")) {
		value->type = PE_VALUE_NULL;
	} else if (filter_take_word(s, "true") || filter_take_word(s, "false")) {
		value->type = PE_VALUE_BOOL;
		value->truth = lower(*at) == 't';
	} else if (*at == '"') {
		value->type = PE_VALUE_TEXT;
		if (!need_text(s, store, room, &bytes))
			return false;
	} else if (lower(*at) == 'x' && at[1] == '"') {
		value->type = PE_VALUE_BYTES;
		for (s->p += 2; *s->p != '"'; s->p += 2) {
			int byte = hex_byte(s->p);

			if (byte < 0)
				return filter_fail(s, s->p, "two hexadecimal digits, or \"");
			if (bytes == room)
				return filter_fail(s, at, "fewer bytes");
			store[bytes++] = (uint8_t)byte;
		}
		s->p++;
	} else {
		if (!need_number(s, text, &whole, expected))
			return false;
		s->p = at;
		value->type = whole ? PE_VALUE_I64 : PE_VALUE_F64;
		if (whole ? !filter_need_whole(
				    s, &integer, "an integer of 64 bits (7.0 is a real number)") :
			    !filter_need_real(s, &value->real, "a finite number"))
			return false;
		if (whole)
			value->whole = integer;
	}
	value->bytes = (uint16_t)bytes;
	v->used += bytes;
	v->count++;
	return true;
}

bool filter_need_id(struct filter_scan *s, uint8_t id[16])
{
	static const char expected[] = "an id such as 0f8fad5b-d9cb-469f-a165-70867728950e";
	const char *at;

	filter_skip_space(s);
	at = s->p;
	for (unsigned i = 0; i < 16; i++) {
		int byte;

		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (*s->p != '-')
				return filter_fail(s, at, expected);
			s->p++;
		}
		byte = hex_byte(s->p);
		if (byte < 0)
			return filter_fail(s, at, expected);
		id[i] = (uint8_t)byte;
		s->p += 2;
	}
	if (bare_name_letter(*s->p))
		return filter_fail(s, at, expected);
	return !pe_wire_id_nil(id) || filter_fail(s, at, "an id that is not nil");
}

bool filter_need_meta_name(struct filter_scan *s, uint8_t *name, uint32_t *bytes)
{
	const char *at;

	if (!filter_need(s, '.', ". and a name"))
		return false;
	filter_skip_space(s);
	at = s->p;
	if (*at == '"')
		return filter_need_name(s, name, bytes);
	for (*bytes = 0; bare_name_letter(*s->p); s->p++, ++*bytes) {
		if (*bytes == PE_NAME_BYTES_MAX)
			return filter_fail(s, at, "a name of at most 32 bytes");
		name[*bytes] = (uint8_t)*s->p;
	}
	return *bytes ||
		filter_fail(
			s, at, "a name, in \"quotes\" if it is more than letters, digits, _ - .");
}
