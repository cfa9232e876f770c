// Recursive descent: each function takes what its name says and puts its steps behind those that
// are there, which is the order of the program.
#include "client/filter_scan.h"
#include "client/filter_words.h"
#include "wire/half.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#define NESTING_MAX 64 // what a program can be printed with
#define IDS_MAX     31

static_assert(PRESENCE_FILTER_BYTES_MAX == PE_FILTER_BYTES_MAX, "a program's room");

// ---- tests --------------------------------------------------------------------------------------

// What the writer says of the step that was put last.
static bool put(struct filter_scan *s, const char *at, bool done)
{
	switch (done ? PE_FILTER_SOUND : (enum pe_filter_fault)s->writer->fault) {
	case PE_FILTER_SOUND:
		return true;
	case PE_FILTER_COUNT:
		return filter_fail(s, at, "a shorter filter: this makes more than 64 steps");
	case PE_FILTER_LENGTH:
		return filter_fail(s, at, "a shorter filter: this makes more than 512 bytes");
	case PE_FILTER_DEPTH:
		return filter_fail(s, at, "fewer brackets: more than 16 values wait here");
	default:
		return filter_fail(
			s, at, pe_filter_fault_text((enum pe_filter_fault)s->writer->fault));
	}
}

static bool put_negated(struct filter_scan *s, const char *at, bool negated)
{
	return !negated || put(s, at, pe_filter_put(s->writer, PE_FILTER_NOT, 0, 0));
}

static bool parse_mask(struct filter_scan *s, const char *at, enum pe_filter_op op)
{
	bool types = op == PE_FILTER_TYPE, negated, list, another;
	const char *const *words = types ? filter_types : filter_states;
	unsigned mask = 0, i;

	if (!filter_need_set(s, &negated, &list))
		return false;
	do {
		for (i = 0; i < FILTER_MASK_WORDS && !filter_take_word(s, words[i]); i++)
			;
		if (i == FILTER_MASK_WORDS)
			return filter_fail(s, s->p,
				types ? "static, mobile, temporary, recurring or custom" :
					"active, inactive, busy, away or custom");
		mask |= 1u << i;
		if (!filter_more(s, list, &another))
			return false;
	} while (another);
	return put(s, at, pe_filter_put(s->writer, op, 0, mask)) && put_negated(s, at, negated);
}

static bool parse_id(struct filter_scan *s, const char *at)
{
	uint8_t ids[IDS_MAX + 1][16], id[16];
	bool negated, list, another;
	unsigned count = 0, i;

	if (!filter_need_set(s, &negated, &list))
		return false;
	do {
		if (!filter_need_id(s, id))
			return false;
		for (i = 0; i < count && memcmp(ids[i], id, 16) < 0; i++)
			;
		if (i == count || memcmp(ids[i], id, 16) != 0) {
			if (count == IDS_MAX)
				return filter_fail(s, at, "at most 31 ids in a list");
			memmove(ids[i + 1], ids[i], 16 * (size_t)(count - i));
			memcpy(ids[i], id, 16);
			count++;
		}
		if (!filter_more(s, list, &another))
			return false;
	} while (another);
	return put(s, at,
		       pe_filter_put_constant(s->writer, PE_FILTER_ID, count, ids, 16 * count)) &&
		put_negated(s, at, negated);
}

static bool parse_name(struct filter_scan *s, const char *at, enum pe_filter_op op)
{
	uint8_t name[PE_NAME_BYTES_MAX];
	const char *compare_at;
	unsigned compare;
	uint32_t bytes;

	filter_skip_space(s);
	compare_at = s->p;
	if (!filter_take_compare(s, &compare) || compare > PE_FILTER_NOT_EQUAL)
		return filter_fail(s, compare_at, "= or !=");
	if (!filter_need_name(s, name, &bytes))
		return false;
	return put(s, at, pe_filter_put_text(s->writer, op, name, bytes)) &&
		put_negated(s, at, compare == PE_FILTER_NOT_EQUAL);
}

static bool parse_code(struct filter_scan *s, const char *at, enum pe_filter_op op)
{
	bool type = op == PE_FILTER_CUSTOM_TYPE;
	const char *expected = type ? "a code of 0 to 127" : "a code of 0 to 255", *value_at;
	unsigned compare;
	long long code;

	if (!filter_need_compare(s, &compare))
		return false;
	filter_skip_space(s);
	value_at = s->p;
	if (!filter_need_whole(s, &code, expected))
		return false;
	if (code < 0 || code > (type ? 127 : 255))
		return filter_fail(s, value_at, expected);
	return put(s, at, pe_filter_put(s->writer, op, compare, (unsigned)code));
}

static bool parse_confidence(struct filter_scan *s, const char *at, enum pe_filter_op op)
{
	static const char expected[] = "a number from 0 to 1";
	const char *value_at;
	unsigned compare;
	double value;

	if (!filter_need_compare(s, &compare))
		return false;
	filter_skip_space(s);
	value_at = s->p;
	if (!filter_need_real(s, &value, expected))
		return false;
	if (!(value >= 0 && value <= 1))
		return filter_fail(s, value_at, expected);
	return put(s, at,
		pe_filter_put(s->writer, op, compare, pe_confidence_from_float((float)value)));
}

static bool parse_age(struct filter_scan *s, const char *at)
{
	static const char expected[] = "a whole number with its unit: 500ms, 30s, 5min, 2h or 1d";
	const char *value_at;
	long long value, ms;
	unsigned compare, unit;

	if (!filter_need_compare(s, &compare))
		return false;
	filter_skip_space(s);
	value_at = s->p;
	if (!filter_need_whole(s, &value, expected))
		return false;
	for (unit = 0; unit < FILTER_UNITS && !filter_take_word(s, filter_units[unit].name); unit++)
		;
	if (unit == FILTER_UNITS)
		return filter_fail(s, value_at, expected);
	if (__builtin_mul_overflow(value, filter_units[unit].ms, &ms))
		return filter_fail(s, value_at, "a shorter time");
	return put(
		s, at, pe_filter_put_constant(s->writer, PE_FILTER_AGE, compare, &ms, sizeof ms));
}

static bool parse_measure(struct filter_scan *s, const char *at, enum pe_filter_op op)
{
	bool radius = op == PE_FILTER_RADIUS;
	const char *expected =
		radius ? "a length such as 100m or 2.5km, or unlimited" : "a speed such as 2.5m/s";
	const char *value_at;
	unsigned compare;
	double value;

	if (!filter_need_compare(s, &compare))
		return false;
	filter_skip_space(s);
	value_at = s->p;
	if (radius && filter_take_word(s, "unlimited")) {
		value = (double)INFINITY;
	} else {
		if (!filter_need_real(s, &value, expected))
			return false;
		if (radius && filter_take_word(s, "km"))
			value *= 1000;
		else if (filter_take_word(s, "m") && !radius &&
			(!filter_take(s, '/') || !filter_take_word(s, "s")))
			return filter_fail(s, value_at, expected);
		if (!(value >= 0 && value <= DBL_MAX))
			return filter_fail(s, value_at, expected);
	}
	return put(s, at, pe_filter_put_constant(s->writer, op, compare, &value, sizeof value));
}

static bool parse_meta(struct filter_scan *s, const char *at)
{
	uint8_t name[PE_NAME_BYTES_MAX];
	uint32_t bytes;
	unsigned compare;
	struct filter_values values = {.count = 0, .used = 0};
	const char *compare_at;
	bool negated, another;

	if (!filter_need_meta_name(s, name, &bytes))
		return false;
	if (filter_take_word(s, "exists"))
		return put(
			s, at, pe_filter_put_text(s->writer, PE_FILTER_META_EXISTS, name, bytes));
	filter_skip_space(s);
	compare_at = s->p;
	if (filter_take_compare(s, &compare)) {
		if (!filter_need_value(s, &values))
			return false;
		if (compare > PE_FILTER_NOT_EQUAL && values.value[0].type <= PE_VALUE_BOOL)
			return filter_fail(
				s, compare_at, "= or !=: null, true and false have no order");
		return put(s, at,
			pe_filter_put_values(
				s->writer, PE_FILTER_META, compare, name, bytes, values.value, 1));
	}
	negated = filter_take_word(s, "not");
	if (!filter_take_word(s, "in"))
		return filter_fail(s, compare_at, "one of = != < <= > >= in, not in, exists");
	if (!filter_need(s, '(', "( and a list"))
		return false;
	do {
		if (!filter_need_value(s, &values) || !filter_more(s, true, &another))
			return false;
	} while (another);
	return put(s, at,
		       pe_filter_put_values(s->writer, PE_FILTER_META_IN, values.count, name, bytes,
			       values.value, values.count)) &&
		put_negated(s, at, negated);
}

static bool parse_test(struct filter_scan *s)
{
	const char *at = s->p;

	if (filter_take_word(s, "type"))
		return parse_mask(s, at, PE_FILTER_TYPE);
	if (filter_take_word(s, "state"))
		return parse_mask(s, at, PE_FILTER_STATE);
	if (filter_take_word(s, "custom_type"))
		return parse_code(s, at, PE_FILTER_CUSTOM_TYPE);
	if (filter_take_word(s, "custom_state"))
		return parse_code(s, at, PE_FILTER_CUSTOM_STATE);
	if (filter_take_word(s, "id"))
		return parse_id(s, at);
	if (filter_take_word(s, "position_confidence"))
		return parse_confidence(s, at, PE_FILTER_POSITION_CONFIDENCE);
	if (filter_take_word(s, "status_confidence"))
		return parse_confidence(s, at, PE_FILTER_STATUS_CONFIDENCE);
	if (filter_take_word(s, "stale"))
		return put(s, at, pe_filter_put(s->writer, PE_FILTER_STALE, 0, 0));
	if (filter_take_word(s, "age"))
		return parse_age(s, at);
	if (filter_take_word(s, "radius"))
		return parse_measure(s, at, PE_FILTER_RADIUS);
	if (filter_take_word(s, "speed"))
		return parse_measure(s, at, PE_FILTER_SPEED);
	if (filter_take_word(s, "tag"))
		return parse_name(s, at, PE_FILTER_TAG);
	if (filter_take_word(s, "activity"))
		return parse_name(s, at, PE_FILTER_ACTIVITY);
	if (filter_take_word(s, "meta"))
		return parse_meta(s, at);
	return filter_fail(s, at,
		"a test (type, state, custom_type, custom_state, id, position_confidence, status_confidence, "
		"age, radius, speed, stale, tag, activity, meta.name), not, or (");
}

// ---- and, or, not -------------------------------------------------------------------------------

static bool parse_any(struct filter_scan *s);

static bool parse_one(struct filter_scan *s)
{
	const char *at;
	bool negated, done;

	filter_skip_space(s);
	at = s->p;
	negated = filter_take_word(s, "not");
	if (!negated && *at != '(')
		return parse_test(s);
	if (s->nesting == NESTING_MAX)
		return filter_fail(s, at, "fewer brackets and not: more than 64 are open");
	s->nesting++;
	if (negated)
		done = parse_one(s) && put_negated(s, at, true);
	else
		done = filter_take(s, '(') && parse_any(s) && filter_need(s, ')', "and, or, )");
	s->nesting--;
	return done;
}

// Parts joined by a word, each join written behind its second part.
static bool parse_joined(struct filter_scan *s, bool (*part)(struct filter_scan *),
	const char *word, enum pe_filter_op op)
{
	if (!part(s))
		return false;
	for (;;) {
		const char *at;

		filter_skip_space(s);
		at = s->p;
		if (!filter_take_word(s, word))
			return true;
		if (!part(s) || !put(s, at, pe_filter_put(s->writer, op, 0, 0)))
			return false;
	}
}

static bool parse_all(struct filter_scan *s)
{
	return parse_joined(s, parse_one, "and", PE_FILTER_AND);
}

static bool parse_any(struct filter_scan *s)
{
	return parse_joined(s, parse_all, "or", PE_FILTER_OR);
}

unsigned presence_filter_parse(
	const char *text, uint8_t *program, struct presence_filter_error *error)
{
	struct pe_filter_writer writer;
	struct pe_filter_error fault = {0};
	struct filter_scan s = {.begin = text, .p = text, .writer = &writer, .error = error};
	// Numbers have a point, whatever the program's language. The C locale is the library's own
	// and takes no memory.
	locale_t c_locale = newlocale(LC_ALL_MASK, "C", NULL), before;
	uint32_t bytes = 0;
	bool done;

	*error = (struct presence_filter_error){0};
	if (strnlen(text, PRESENCE_FILTER_TEXT_MAX + 1) > PRESENCE_FILTER_TEXT_MAX) {
		error->column = 1;
		error->expected = "a filter of at most 4096 bytes";
		return 0;
	}
	before = uselocale(c_locale);
	pe_filter_begin(&writer);
	done = parse_any(&s);
	if (done) {
		filter_skip_space(&s);
		done = !*s.p || filter_fail(&s, s.p, "and, or, or the end");
	}
	if (done) {
		bytes = pe_filter_finish(&writer, program, &fault);
		if (!bytes)
			(void)filter_fail(
				&s, text, pe_filter_fault_text((enum pe_filter_fault)fault.fault));
	}
	uselocale(before);
	freelocale(c_locale);
	return bytes;
}
