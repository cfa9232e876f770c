#include "discover/filter_run.h"

#include "wire/half.h"
#include "wire/metadata.h"

#include <math.h>

// ---- compiling ----------------------------------------------------------------------------------

// A part of the program that is already a chain of tests, and where it is left: sets of tests (a
// bit each) whose exit `yes` or `no` has no destination yet, by what the part's value is there.
struct part {
	uint8_t first;
	uint64_t true_yes, true_no;   // leaving here the part is true
	uint64_t false_yes, false_no; // … false
};

static void lead(struct pe_filter *filter, uint64_t yes, uint64_t no, uint8_t to)
{
	for (; yes; yes &= yes - 1)
		filter->tests[__builtin_ctzll(yes)].yes = to;
	for (; no; no &= no - 1)
		filter->tests[__builtin_ctzll(no)].no = to;
}

// The right part is looked at where the left one doesn't decide.
static struct part join(
	struct pe_filter *filter, unsigned op, const struct part *left, const struct part *right)
{
	struct part p = *right;

	p.first = left->first;
	if (op == PE_FILTER_AND) {
		lead(filter, left->true_yes, left->true_no, right->first);
		p.false_yes |= left->false_yes;
		p.false_no |= left->false_no;
	} else {
		lead(filter, left->false_yes, left->false_no, right->first);
		p.true_yes |= left->true_yes;
		p.true_no |= left->true_no;
	}
	return p;
}

static struct part negate(struct pe_filter *filter, const struct part *part)
{
	// A part's tests are all there are from its first one on.
	for (unsigned i = part->first; i < filter->test_count; i++)
		filter->tests[i].negated ^= 1;
	return (struct part){.first = part->first,
		.true_yes = part->false_yes,
		.true_no = part->false_no,
		.false_yes = part->true_yes,
		.false_no = part->true_no};
}

static struct part test_of(
	struct pe_filter *filter, const struct pe_filter_step *step, uint32_t constants_at)
{
	uint8_t i = filter->test_count++;

	filter->tests[i] = (struct pe_filter_test){.op = step->op,
		.argument = step->argument,
		.operand = step->operand,
		.constant_word = (uint8_t)((step->constant_at - constants_at) / 8)};
	filter->cold |= pe_filter_op_cold(step->op);
	return (struct part){.first = i, .true_yes = 1ull << i, .false_no = 1ull << i};
}

enum pe_filter_fault pe_filter_compile(struct pe_filter *filter, const uint8_t *program,
	uint32_t bytes, struct pe_filter_error *error)
{
	enum pe_filter_fault fault = pe_filter_check(program, bytes, error);
	struct part stack[PE_FILTER_DEPTH_MAX];
	struct pe_filter_cursor cursor = {0};
	struct pe_filter_step step;
	uint32_t constants_at;
	unsigned depth = 0;

	if (fault != PE_FILTER_SOUND)
		return fault;
	memset(filter, 0, sizeof *filter);
	constants_at = sizeof(struct pe_wire_filter) +
		pe_round8(program[2] * (uint32_t)sizeof(struct pe_wire_filter_step));
	filter->constant_bytes = (uint16_t)(bytes - constants_at);
	memcpy(filter->constants, program + constants_at, bytes - constants_at);
	while (pe_filter_next(program, bytes, &cursor, &step)) {
		if (step.op == PE_FILTER_NOT) {
			stack[depth - 1] = negate(filter, &stack[depth - 1]);
		} else if (pe_filter_op_joins(step.op)) {
			depth--;
			stack[depth - 1] = join(filter, step.op, &stack[depth - 1], &stack[depth]);
		} else {
			stack[depth++] = test_of(filter, &step, constants_at);
		}
	}
	assert(depth == 1 && stack[0].first == 0);
	lead(filter, stack[0].true_yes, stack[0].true_no, PE_FILTER_END_YES);
	lead(filter, stack[0].false_yes, stack[0].false_no, PE_FILTER_END_NO);
	// A run ends because every test leads to a later one.
	for (unsigned i = 0; i < filter->test_count; i++)
		assert(filter->tests[i].yes > i && filter->tests[i].no > i);
	return PE_FILTER_SOUND;
}

// ---- running ------------------------------------------------------------------------------------

// By the comparison: which of less (1), equal (2), greater (4), none of them (8) it is true for.
static const uint8_t accepted[] = {
	[PE_FILTER_EQUAL] = 2,
	[PE_FILTER_NOT_EQUAL] = 1 | 4 | 8,
	[PE_FILTER_LESS] = 1,
	[PE_FILTER_LESS_EQUAL] = 1 | 2,
	[PE_FILTER_GREATER] = 4,
	[PE_FILTER_GREATER_EQUAL] = 4 | 2,
};

static inline bool accepts(unsigned compare, enum pe_order order)
{
	return (accepted[compare] >> ((int)order + 1)) & 1;
}
static_assert(PE_ORDER_LESS == -1 && PE_ORDER_NONE == 2, "the bits of accepted");

#define COMPARE(compare, a, b) \
	((accepted[compare] >> (((a) > (b)) * 2 + ((a) == (b)))) & 1) // numbers, none of them NaN

static inline double speed_of(const uint16_t velocity[3])
{
	double x = (double)pe_half_to_float(velocity[0]);
	double y = (double)pe_half_to_float(velocity[1]);
	double z = (double)pe_half_to_float(velocity[2]);

	return sqrt(x * x + y * y + z * z);
}

static bool id_in(const uint8_t *id, const uint8_t *ids, unsigned count)
{
	uint64_t a[2], b[2];

	if (!id)
		return false;
	memcpy(a, id, sizeof a);
	for (unsigned i = 0; i < count; i++) {
		memcpy(b, ids + 16 * i, sizeof b);
		if (((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0)
			return true;
	}
	return false;
}

static inline unsigned type_bit(unsigned type)
{
	return type < 4 ? 1u << type : type >= PE_ENTITY_CUSTOM ? 1u << 4 : 0;
}

static inline bool test_hot(
	const struct pe_filter_test *t, const uint8_t *constant, const struct pe_facts *f)
{
	double number;
	int64_t whole;

	switch ((enum pe_filter_op)t->op) {
	case PE_FILTER_TYPE:
		return (t->operand & type_bit(f->entity_type)) != 0;
	case PE_FILTER_STATE:
		return f->state <= PE_STATE_CUSTOM && ((t->operand >> f->state) & 1);
	case PE_FILTER_CUSTOM_TYPE:
		return f->entity_type >= PE_ENTITY_CUSTOM &&
			COMPARE(t->argument, f->entity_type - PE_ENTITY_CUSTOM, (int)t->operand);
	case PE_FILTER_CUSTOM_STATE:
		return f->state == PE_STATE_CUSTOM &&
			COMPARE(t->argument, f->custom_state, t->operand);
	case PE_FILTER_ID:
		return id_in(f->id, constant, t->argument);
	case PE_FILTER_POSITION_CONFIDENCE:
		return f->position_confidence &&
			COMPARE(t->argument, f->position_confidence, t->operand);
	case PE_FILTER_STATUS_CONFIDENCE:
		return f->status_confidence &&
			COMPARE(t->argument, f->status_confidence, t->operand);
	case PE_FILTER_AGE:
		memcpy(&whole, constant, sizeof whole);
		return COMPARE(t->argument, f->age_ms, whole);
	case PE_FILTER_STALE:
		return f->stale;
	case PE_FILTER_RADIUS:
		memcpy(&number, constant, sizeof number);
		return COMPARE(t->argument,
			f->radius_m == 0.0f ? (double)INFINITY : (double)f->radius_m, number);
	case PE_FILTER_SPEED:
		memcpy(&number, constant, sizeof number);
		return COMPARE(t->argument, speed_of(f->velocity), number);
	default:
		return false;
	}
}

// The name and, one after the other, the values of a constant made of entries.
static bool test_metadata(const struct pe_filter_test *t, const uint8_t *constant, uint32_t left,
	const struct pe_facts *f)
{
	struct pe_entry wanted;
	struct pe_value value;
	uint32_t n = pe_entry_read(constant, left, &wanted);
	unsigned count = t->op == PE_FILTER_META_IN ? t->argument : 1;
	unsigned compare = t->op == PE_FILTER_META_IN ? PE_FILTER_EQUAL : t->argument;

	if (!pe_metadata_find(
		    f->metadata, f->metadata_bytes, wanted.name, wanted.name_bytes, &value))
		return false;
	for (unsigned i = 0; i < count && n; i++) {
		if (accepts(compare, pe_value_compare(&value, &wanted.value)))
			return true;
		constant += n;
		left -= n;
		n = pe_entry_read(constant, left, &wanted);
	}
	return false;
}

static bool test_cold(const struct pe_filter_test *t, const uint8_t *constant, uint32_t left,
	const struct pe_facts *f)
{
	struct pe_value value;

	switch ((enum pe_filter_op)t->op) {
	case PE_FILTER_TAG:
		return pe_context_has_tag(f->context, f->context_bytes, constant + 1, constant[0]);
	case PE_FILTER_ACTIVITY:
		return pe_context_has_activity(
			f->context, f->context_bytes, constant + 1, constant[0]);
	case PE_FILTER_META_EXISTS:
		return pe_metadata_find(
			f->metadata, f->metadata_bytes, constant + 1, constant[0], &value);
	default:
		return test_metadata(t, constant, left, f);
	}
}

// A run in which tests of what isn't at hand turn out for the filter (`for_it`) or against it, each
// for itself. *met = one was on the way.
static bool run_supposing(
	const struct pe_filter *filter, const struct pe_facts *facts, bool for_it, bool *met)
{
	unsigned i = 0;

	while (i < PE_FILTER_STEPS_MAX) {
		const struct pe_filter_test *t = &filter->tests[i];
		bool result;

		if (pe_filter_op_cold(t->op)) {
			*met = true;
			result = for_it ^ t->negated;
		} else {
			result = test_hot(t, filter->constants + 8u * t->constant_word, facts);
		}
		i = result ? t->yes : t->no;
	}
	return i == PE_FILTER_END_YES;
}

enum pe_filter_verdict pe_filter_run_hot(
	const struct pe_filter *filter, const struct pe_facts *facts)
{
	bool met = false;
	// When even with everything against it the answer is yes, it is; and the other way round.
	bool least = run_supposing(filter, facts, false, &met);

	if (!met || least)
		return least ? PE_FILTER_YES : PE_FILTER_NO;
	return run_supposing(filter, facts, true, &met) ? PE_FILTER_NEEDS_COLD : PE_FILTER_NO;
}

static inline bool run(const struct pe_filter *filter, const struct pe_facts *facts, unsigned *last)
{
	unsigned i = 0;

	while (i < PE_FILTER_STEPS_MAX) {
		const struct pe_filter_test *t = &filter->tests[ *last = i];
		uint32_t at = 8u * t->constant_word;
		const uint8_t *constant = filter->constants + at;
		bool result = pe_filter_op_cold(t->op) ?
			test_cold(t, constant, filter->constant_bytes - at, facts) :
			test_hot(t, constant, facts);

		i = result ? t->yes : t->no;
	}
	return i == PE_FILTER_END_YES;
}

bool pe_filter_run(const struct pe_filter *filter, const struct pe_facts *facts)
{
	unsigned last;

	return run(filter, facts, &last);
}

bool pe_filter_decide(const struct pe_filter *filter, const struct pe_facts *facts, unsigned *test)
{
	*test = 0;
	return run(filter, facts, test);
}
