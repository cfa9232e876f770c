#include "client/filter_text.h"
#include "client/filter_words.h"
#include "wire/filter.h"
#include "wire/half.h"

#include <float.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct printer {
	char *text;
	size_t size, length; // length of the whole, also beyond size
	const uint8_t *program;
	struct pe_filter_step steps[PE_FILTER_STEPS_MAX];
	uint8_t first[PE_FILTER_STEPS_MAX]; // where the part begins that a step ends
};

static void say(struct printer *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct printer *o, const char *format, ...)
{
	size_t left = o->length < o->size ? o->size - o->length : 0;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(left ? o->text + o->length : NULL, left, format, list);
	va_end(list);
	if (n > 0)
		o->length += (size_t)n;
}

static void say_text(struct printer *o, const uint8_t *text, uint32_t bytes)
{
	say(o, "\"");
	for (uint32_t i = 0; i < bytes; i++) {
		uint8_t c = text[i];

		if (c == '"' || c == '\\')
			say(o, "\\%c", c);
		else if (c == '\n')
			say(o, "\\n");
		else if (c < 0x20 || c == 0x7F)
			say(o, "\\x%02X", c);
		else
			say(o, "%c", c);
	}
	say(o, "\"");
}

// The fewest digits that are this number again, without an exponent where that is short.
static void say_real(struct printer *o, double real, bool marked)
{
	char text[40];
	int digits = 0, exponent;

	do
		snprintf(text, sizeof text, "%.*e", digits, real);
	while (digits++ < 16 && strtod(text, NULL) != real);
	exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	if (exponent >= -5 && exponent < 16)
		snprintf(text, sizeof text, "%.*f",
			digits - 1 > exponent ? digits - 1 - exponent : 0, real);
	say(o, "%s%s", text, marked && !strpbrk(text, ".e") ? ".0" : "");
}

static void say_value(struct printer *o, const struct pe_value *v)
{
	switch ((enum pe_value_type)v->type) {
	case PE_VALUE_BOOL:
		say(o, v->truth ? "true" : "false");
		break;
	case PE_VALUE_I64:
		say(o, "%lld", (long long)v->whole);
		break;
	case PE_VALUE_F64:
		say_real(o, v->real, true);
		break;
	case PE_VALUE_TEXT:
		say_text(o, v->data, v->bytes);
		break;
	case PE_VALUE_BYTES:
		say(o, "x\"");
		for (uint32_t i = 0; i < v->bytes; i++)
			say(o, "%02X", v->data[i]);
		say(o, "\"");
		break;
	default:
		say(o, "null");
	}
}

static void say_meta(struct printer *o, const uint8_t *name, uint32_t bytes)
{
	bool bare = true;

	for (uint32_t i = 0; i < bytes; i++)
		bare &= (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
			(name[i] >= '0' && name[i] <= '9') || name[i] == '_' || name[i] == '-' ||
			name[i] == '.';
	say(o, "meta.");
	if (bare)
		say(o, "%.*s", (int)bytes, (const char *)name);
	else
		say_text(o, name, bytes);
}

static void say_mask(struct printer *o, const char *field, unsigned mask, const char *const *words)
{
	bool list = (mask & (mask - 1)) != 0;
	const char *comma = "";

	say(o, list ? "%s in (" : "%s = ", field);
	for (unsigned i = 0; i < FILTER_MASK_WORDS; i++)
		if ((mask >> i) & 1) {
			say(o, "%s%s", comma, words[i]);
			comma = ", ";
		}
	say(o, list ? ")" : "");
}

static void say_ids(struct printer *o, const uint8_t *ids, unsigned count)
{
	say(o, count > 1 ? "id in (" : "id = ");
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < 16; j++)
			say(o, "%s%02x",
				j == 0                                        ? i ? ", " : "" :
					j == 4 || j == 6 || j == 8 || j == 10 ? "-" :
										"",
				ids[16 * i + j]);
	say(o, count > 1 ? ")" : "");
}

static void say_age(struct printer *o, const uint8_t *constant)
{
	int64_t ms;
	unsigned unit = 0;

	memcpy(&ms, constant, sizeof ms);
	while (ms % filter_units[unit].ms) // the last unit is 1
		unit++;
	if (ms == 0)
		unit = FILTER_UNITS - 2; // seconds
	say(o, "%lld%s", (long long)(ms / filter_units[unit].ms), filter_units[unit].name);
}

static void say_entries(
	struct printer *o, const struct pe_filter_step *step, const uint8_t *constant)
{
	struct pe_entry entry = {0};
	uint32_t at = pe_entry_read(constant, step->constant_bytes, &entry);

	say_meta(o, entry.name, entry.name_bytes);
	if (step->op == PE_FILTER_META) {
		say(o, " %s ", filter_compares[step->argument]);
		say_value(o, &entry.value);
		return;
	}
	say(o, " in (");
	for (unsigned i = 0;;) {
		say_value(o, &entry.value);
		if (++i == step->argument)
			break;
		say(o, ", ");
		at += pe_entry_read(constant + at, step->constant_bytes - at, &entry);
	}
	say(o, ")");
}

static void say_test(struct printer *o, const struct pe_filter_step *step)
{
	const uint8_t *constant = o->program + step->constant_at;
	const char *compare = filter_compares[step->argument <= 6 ? step->argument : 0];
	double real;

	switch ((enum pe_filter_op)step->op) {
	case PE_FILTER_TYPE:
		say_mask(o, "type", step->operand, filter_types);
		break;
	case PE_FILTER_STATE:
		say_mask(o, "state", step->operand, filter_states);
		break;
	case PE_FILTER_CUSTOM_TYPE:
		say(o, "custom_type %s %u", compare, step->operand);
		break;
	case PE_FILTER_CUSTOM_STATE:
		say(o, "custom_state %s %u", compare, step->operand);
		break;
	case PE_FILTER_ID:
		say_ids(o, constant, step->argument);
		break;
	case PE_FILTER_POSITION_CONFIDENCE:
	case PE_FILTER_STATUS_CONFIDENCE:
		// Three digits tell the 255 steps apart.
		say(o, "%s_confidence %s %.3g",
			step->op == PE_FILTER_POSITION_CONFIDENCE ? "position" : "status", compare,
			(double)pe_confidence_to_float((uint8_t)step->operand));
		break;
	case PE_FILTER_STALE:
		say(o, "stale");
		break;
	case PE_FILTER_AGE:
		say(o, "age %s ", compare);
		say_age(o, constant);
		break;
	case PE_FILTER_RADIUS:
	case PE_FILTER_SPEED:
		memcpy(&real, constant, sizeof real);
		say(o, "%s %s ", step->op == PE_FILTER_RADIUS ? "radius" : "speed", compare);
		if (real > DBL_MAX) {
			say(o, "unlimited");
			break;
		}
		say_real(o, real, false);
		say(o, step->op == PE_FILTER_RADIUS ? "m" : "m/s");
		break;
	case PE_FILTER_TAG:
	case PE_FILTER_ACTIVITY:
		say(o, step->op == PE_FILTER_TAG ? "tag = " : "activity = ");
		say_text(o, constant + 1, constant[0]);
		break;
	case PE_FILTER_META_EXISTS:
		say_meta(o, constant + 1, constant[0]);
		say(o, " exists");
		break;
	case PE_FILTER_META:
	case PE_FILTER_META_IN:
		say_entries(o, step, constant);
		break;
	default:
		break;
	}
}

static void say_part(struct printer *o, unsigned last);

static void say_bracketed(struct printer *o, unsigned last, bool brackets)
{
	say(o, brackets ? "(" : "");
	say_part(o, last);
	say(o, brackets ? ")" : "");
}

// The part that ends with a step. Parts are at most 64 deep, one step a level.
static void say_part(struct printer *o, unsigned last)
{
	const struct pe_filter_step *step = &o->steps[last];
	unsigned left, right, op = step->op;

	if (!pe_filter_op_joins(op)) {
		say_test(o, step);
		return;
	}
	right = last - 1;
	if (op == PE_FILTER_NOT) {
		say(o, "not ");
		say_bracketed(o, right,
			o->steps[right].op == PE_FILTER_AND || o->steps[right].op == PE_FILTER_OR);
		return;
	}
	// Chains are read from the left, and `and` binds closer: what is joined otherwise has
	// brackets.
	left = o->first[right] - 1u;
	say_bracketed(o, left, op == PE_FILTER_AND && o->steps[left].op == PE_FILTER_OR);
	say(o, op == PE_FILTER_AND ? " and " : " or ");
	say_bracketed(o, right,
		o->steps[right].op == op ||
			(op == PE_FILTER_AND && o->steps[right].op == PE_FILTER_OR));
}

// last: the step with which the part ends; 0 = the whole program.
static size_t print(const uint8_t *program, unsigned bytes, unsigned last, char *text, size_t size)
{
	struct printer o = {.text = text, .size = size, .program = program};
	struct pe_filter_cursor cursor = {0};
	struct pe_filter_error error;
	locale_t c_locale, before;
	unsigned count = 0;

	if (size)
		text[0] = '\0';
	if (pe_filter_check(program, bytes, &error) != PE_FILTER_SOUND)
		return 0;
	for (; pe_filter_next(program, bytes, &cursor, &o.steps[count]); count++) {
		o.first[count] = (uint8_t)count;
		if (o.steps[count].op == PE_FILTER_NOT)
			o.first[count] = o.first[count - 1];
		else if (pe_filter_op_joins(o.steps[count].op))
			o.first[count] = o.first[o.first[count - 1] - 1];
	}
	if (last > count)
		return 0;
	c_locale = newlocale(LC_ALL_MASK, "C", NULL);
	before = uselocale(c_locale);
	say_part(&o, (last ? last : count) - 1);
	uselocale(before);
	freelocale(c_locale);
	return o.length;
}

size_t presence_filter_print(const uint8_t *program, unsigned bytes, char *text, size_t size)
{
	return print(program, bytes, 0, text, size);
}

size_t presence_filter_print_step(
	const uint8_t *program, unsigned bytes, unsigned step, char *text, size_t size)
{
	if (size)
		text[0] = '\0';
	return step ? print(program, bytes, step, text, size) : 0;
}
