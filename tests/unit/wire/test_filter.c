// Filter programs: their layout to the byte, each fault with its byte and step, the writer's
// bounds.
#include "testing.h"
#include "testing_wire.h"
#include "wire/filter.h"

#include <math.h>

static struct pe_filter_writer w;
static uint8_t program[PE_FILTER_BYTES_MAX];
static struct pe_filter_error error;

// type = mobile and age < 30000, or tag = "ferry", or not meta.n >= 7
static uint32_t example(void)
{
	int64_t age_ms = 30000;
	struct pe_value seven = {.type = PE_VALUE_I64, .whole = 7};

	pe_filter_begin(&w);
	pe_filter_put(&w, PE_FILTER_TYPE, 0, 2);
	pe_filter_put_constant(&w, PE_FILTER_AGE, PE_FILTER_LESS, &age_ms, 8);
	pe_filter_put(&w, PE_FILTER_AND, 0, 0);
	pe_filter_put_text(&w, PE_FILTER_TAG, (const uint8_t *)"ferry", 5);
	pe_filter_put(&w, PE_FILTER_OR, 0, 0);
	pe_filter_put_values(
		&w, PE_FILTER_META, PE_FILTER_GREATER_EQUAL, (const uint8_t *)"n", 1, &seven, 1);
	pe_filter_put(&w, PE_FILTER_NOT, 0, 0);
	pe_filter_put(&w, PE_FILTER_OR, 0, 0);
	return pe_filter_finish(&w, program, &error);
}

static void layout(void)
{
	static const uint8_t expected[] = {
		72, 0, 8, 0, 0, 0, 0, 0,          // 72 bytes, 8 steps
		16, 0, 2, 0, 23, 3, 0, 0,         // TYPE 2, AGE <
		1, 0, 0, 0, 32, 0, 0, 0,          // AND, TAG
		2, 0, 0, 0, 34, 6, 0, 0,          // OR, META >=
		3, 0, 0, 0, 2, 0, 0, 0,           // NOT, OR
		0x30, 0x75, 0, 0, 0, 0, 0, 0,     // 30,000
		5, 'f', 'e', 'r', 'r', 'y', 0, 0, // ferry
		2, 1, 8, 0, 'n', 0, 0, 0,         // an i64 named n
		7, 0, 0, 0, 0, 0, 0, 0,           // 7
	};
	struct pe_filter_cursor cursor = {0};
	struct pe_filter_step step;
	unsigned steps = 0;

	CU_ASSERT_EQUAL_FATAL(example(), sizeof expected);
	CU_ASSERT(memcmp(program, expected, sizeof expected) == 0);
	while (pe_filter_next(program, sizeof expected, &cursor, &step)) {
		CU_ASSERT_EQUAL(step.at, 8 + 4 * steps);
		if (steps == 5)
			CU_ASSERT(step.op == PE_FILTER_META && step.constant_at == 56 &&
				step.constant_bytes == 16);
		steps++;
	}
	CU_ASSERT_EQUAL(steps, 8);
	CU_ASSERT_EQUAL(cursor.constant_at, sizeof expected);
}

struct change {
	uint16_t offset;
	uint8_t byte;
	uint8_t fault, step;
	uint16_t at;
};

static void faults(void)
{
	static const struct change changes[] = {
		{0, 80, PE_FILTER_LENGTH, 255, 0},
		{3, 1, PE_FILTER_RESERVED, 255, 3},
		{6, 1, PE_FILTER_RESERVED, 255, 4},
		{2, 0, PE_FILTER_COUNT, 255, 2},
		{2, 65, PE_FILTER_COUNT, 255, 2},
		{2, 64, PE_FILTER_SHORT, 255, 2},
		{2, 7, PE_FILTER_PADDING, 255, 36},
		{8, 0, PE_FILTER_OPERATION, 0, 8},
		{12, 4, PE_FILTER_OPERATION, 1, 12},
		{20, 37, PE_FILTER_OPERATION, 3, 20},
		{20, 255, PE_FILTER_OPERATION, 3, 20},
		{9, 1, PE_FILTER_ARGUMENT, 0, 9},
		{13, 0, PE_FILTER_ARGUMENT, 1, 13},
		{13, 7, PE_FILTER_ARGUMENT, 1, 13},
		{17, 1, PE_FILTER_ARGUMENT, 2, 17},
		{10, 0, PE_FILTER_OPERAND, 0, 10},
		{10, 32, PE_FILTER_OPERAND, 0, 10},
		{11, 1, PE_FILTER_OPERAND, 0, 10},
		{14, 1, PE_FILTER_OPERAND, 1, 14},
		{48, 0, PE_FILTER_CONSTANT, 3, 48},
		{48, 4, PE_FILTER_PADDING, 3, 53},
		{48, 22, PE_FILTER_CONSTANT, 3, 54},
		{48, 40, PE_FILTER_CONSTANT_SHORT, 3, 48},
		{49, 0xFF, PE_FILTER_CONSTANT, 3, 49},
		{51, 1, PE_FILTER_CONSTANT, 3, 51},
		{54, 1, PE_FILTER_PADDING, 3, 54},
		{56, 6, PE_FILTER_CONSTANT, 5, 56},
		{56, 255, PE_FILTER_CONSTANT, 5, 56},
		{57, 0, PE_FILTER_CONSTANT, 5, 57},
		{58, 9, PE_FILTER_CONSTANT_SHORT, 5, 56},
		{58, 7, PE_FILTER_CONSTANT, 5, 58},
		{61, 1, PE_FILTER_PADDING, 5, 61},
		{8, 3, PE_FILTER_OPERAND, 0, 10},
		{16, 3, PE_FILTER_UNBALANCED, 255, 40},
		{36, 3, PE_FILTER_UNBALANCED, 255, 40},
		{32, 1, PE_FILTER_UNDERFLOW, 7, 36},
	};
	uint8_t *copy;
	uint32_t bytes = example();

	for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		const struct change *c = &changes[i];
		enum pe_filter_fault fault;

		copy = copy_exact(program, bytes);
		copy[c->offset] = c->byte;
		fault = pe_filter_check(copy, bytes, &error);
		if (fault != c->fault || error.step != c->step || error.at != c->at)
			printf("byte %u = %u: %u step %u at %u\n", c->offset, c->byte, fault,
				error.step, error.at);
		CU_ASSERT(fault == c->fault && error.fault == fault && error.step == c->step &&
			error.at == c->at);
		free_exact(copy);
	}
	copy = copy_exact(program, bytes);
	copy[8] = PE_FILTER_NOT; // with nothing before it
	copy[10] = 0;
	CU_ASSERT_EQUAL(pe_filter_check(copy, bytes, &error), PE_FILTER_UNDERFLOW);
	CU_ASSERT(error.step == 0 && error.at == 8);
	free_exact(copy);
	memset(program + bytes, 0, 8);
	program[0] = (uint8_t)(bytes + 8);
	CU_ASSERT_EQUAL(pe_filter_check(program, bytes + 8, &error), PE_FILTER_LEFT_OVER);
	CU_ASSERT(error.step == PE_FILTER_NO_STEP && error.at == bytes);
	CU_ASSERT_EQUAL(pe_filter_check(program, 7, &error), PE_FILTER_SHORT);
	for (unsigned i = 0; i < PE_FILTER_FAULTS; i++)
		CU_ASSERT_STRING_NOT_EQUAL(pe_filter_fault_text((enum pe_filter_fault)i), "?");
	CU_ASSERT_STRING_EQUAL(pe_filter_fault_text(PE_FILTER_FAULTS), "?");
}

// A program of one step with such a constant.
static enum pe_filter_fault one(
	enum pe_filter_op op, unsigned argument, const void *constant, uint32_t bytes)
{
	pe_filter_begin(&w);
	CU_ASSERT(pe_filter_put_constant(&w, op, argument, constant, bytes));
	(void)!pe_filter_finish(&w, program, &error);
	return (enum pe_filter_fault)error.fault;
}

static void constants(void)
{
	uint8_t ids[32 * 16] = {0};
	const double numbers[] = {0.0, -0.0, 1e300, (double)INFINITY, -1.0, (double)NAN};
	struct pe_value values[] = {{.type = PE_VALUE_NULL}, {.type = PE_VALUE_BOOL, .truth = true},
		{.type = PE_VALUE_TEXT, .bytes = 2, .data = (const uint8_t *)"ok"}};

	for (unsigned i = 0; i < 32; i++)
		ids[16 * i + 3] = (uint8_t)(i + 1);
	CU_ASSERT_EQUAL(one(PE_FILTER_ID, 1, ids, 16), PE_FILTER_SOUND);
	CU_ASSERT_EQUAL(one(PE_FILTER_ID, 30, ids, 480), PE_FILTER_SOUND);
	CU_ASSERT_EQUAL(one(PE_FILTER_ID, 3, ids, 32), PE_FILTER_CONSTANT_SHORT);
	CU_ASSERT(error.step == 0 && error.at == 16);
	CU_ASSERT_EQUAL(one(PE_FILTER_ID, 0, ids, 16), PE_FILTER_ARGUMENT);
	ids[16 + 3] = 1; // twice
	CU_ASSERT_EQUAL(one(PE_FILTER_ID, 3, ids, 48), PE_FILTER_ORDER);
	CU_ASSERT(error.step == 0 && error.at == 32);
	ids[3] = 0; // nil
	CU_ASSERT_EQUAL(one(PE_FILTER_ID, 1, ids, 16), PE_FILTER_CONSTANT);
	for (unsigned i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(one(PE_FILTER_RADIUS, 1, &numbers[i], 8),
			i < 4 ? PE_FILTER_SOUND : PE_FILTER_CONSTANT);
		CU_ASSERT_EQUAL(one(PE_FILTER_SPEED, 1, &numbers[i], 8),
			i < 3 ? PE_FILTER_SOUND : PE_FILTER_CONSTANT);
	}
	for (unsigned compare = 1; compare <= 6; compare++)
		for (unsigned v = 0; v < 3; v++) {
			pe_filter_begin(&w);
			pe_filter_put_values(&w, PE_FILTER_META, compare, (const uint8_t *)"n", 1,
				&values[v], 1);
			(void)!pe_filter_finish(&w, program, &error);
			// Null and bool have no order.
			CU_ASSERT_EQUAL(error.fault,
				compare <= 2 || v == 2 ? PE_FILTER_SOUND : PE_FILTER_ARGUMENT);
			CU_ASSERT(error.fault == PE_FILTER_SOUND || error.at == 9);
		}
	pe_filter_begin(&w);
	pe_filter_put_values(&w, PE_FILTER_META_IN, 3, (const uint8_t *)"n", 1, values, 3);
	CU_ASSERT_EQUAL(pe_filter_finish(&w, program, &error), 16 + 8 + 16 + 16);
	program[16 + 8 + 1] = 1; // the second one must have no name
	CU_ASSERT_EQUAL(pe_filter_check(program, 56, &error), PE_FILTER_CONSTANT);
	CU_ASSERT_EQUAL(error.at, 25);
}

static void bounds(void)
{
	char long_name[34] = "abcdefghijklmnopqrstuvwxyz0123456";
	unsigned i;

	pe_filter_begin(&w); // depth
	for (i = 0; pe_filter_put(&w, PE_FILTER_STATE, 0, 1); i++)
		;
	CU_ASSERT(i == PE_FILTER_DEPTH_MAX && w.fault == PE_FILTER_DEPTH);
	CU_ASSERT_EQUAL(pe_filter_finish(&w, program, &error), 0);
	CU_ASSERT(error.fault == PE_FILTER_DEPTH && error.step == 16);

	pe_filter_begin(&w); // steps
	pe_filter_put(&w, PE_FILTER_STATE, 0, 1);
	for (i = 1; pe_filter_put(&w, PE_FILTER_NOT, 0, 0); i++)
		;
	CU_ASSERT(i == PE_FILTER_STEPS_MAX && w.fault == PE_FILTER_COUNT);
	w.fault = 0;
	CU_ASSERT_EQUAL(pe_filter_finish(&w, program, &error), 8 + 256);

	pe_filter_begin(&w); // bytes: 40 of constants a step
	for (i = 0; pe_filter_put_text(&w, PE_FILTER_TAG, (uint8_t *)long_name, 32); i++)
		if (i)
			pe_filter_put(&w, PE_FILTER_OR, 0, 0);
	CU_ASSERT(w.fault == PE_FILTER_LENGTH && i == 10);
	w.fault = 0;
	CU_ASSERT_EQUAL(pe_filter_finish(&w, program, &error), 8 + pe_round8(4 * 19) + 10 * 40);

	pe_filter_begin(&w);
	CU_ASSERT(!pe_filter_put_text(&w, PE_FILTER_TAG, (uint8_t *)long_name, 33));
	CU_ASSERT_EQUAL(w.fault, PE_FILTER_CONSTANT);
	pe_filter_begin(&w);
	CU_ASSERT(!pe_filter_put(&w, PE_FILTER_AND, 0, 0) && w.fault == PE_FILTER_UNDERFLOW);
	pe_filter_begin(&w);
	CU_ASSERT_EQUAL(pe_filter_finish(&w, program, &error), 0);
	CU_ASSERT_EQUAL(error.fault, PE_FILTER_COUNT);

	// The same bounds in bytes that no writer made.
	memset(program, 0, sizeof program);
	program[0] = 8 + 17 * 4 + 4;
	program[2] = 17;
	for (i = 0; i < 17; i++) {
		program[8 + 4 * i] = PE_FILTER_STATE;
		program[10 + 4 * i] = 1;
	}
	CU_ASSERT_EQUAL(pe_filter_check(program, program[0], &error), PE_FILTER_DEPTH);
	CU_ASSERT(error.step == 16 && error.at == 8 + 16 * 4);
}

TESTING_MAIN("wire-filter", {"layout", layout}, {"faults and their places", faults},
	{"constants", constants}, {"bounds", bounds})
