#include "wire/filter.h"

#include "wire/decode.h"

#include <math.h>

// What a step of an operation is made of: the one place that the rules of arguments, operands and
// constants come from.
enum constant { NO_CONSTANT, IDS, WHOLE, LENGTH, SPEED, TEXT, ENTRY, ENTRIES };

struct shape {
	uint8_t defined;
	uint8_t argument_min, argument_max;
	uint8_t constant; // enum constant
	uint16_t operand_min, operand_max;
};

#define COMPARES PE_FILTER_EQUAL, PE_FILTER_GREATER_EQUAL

static const struct shape shapes[] = {
	[PE_FILTER_AND] = {1, 0, 0, NO_CONSTANT, 0, 0},
	[PE_FILTER_OR] = {1, 0, 0, NO_CONSTANT, 0, 0},
	[PE_FILTER_NOT] = {1, 0, 0, NO_CONSTANT, 0, 0},
	[PE_FILTER_TYPE] = {1, 0, 0, NO_CONSTANT, 1, PE_QUERY_TYPE_MASK_DEFINED},
	[PE_FILTER_STATE] = {1, 0, 0, NO_CONSTANT, 1, PE_QUERY_STATE_MASK_DEFINED},
	[PE_FILTER_CUSTOM_TYPE] = {1, COMPARES, NO_CONSTANT, 0, 127},
	[PE_FILTER_CUSTOM_STATE] = {1, COMPARES, NO_CONSTANT, 0, 255},
	[PE_FILTER_ID] = {1, 1, 31, IDS, 0, 0},
	[PE_FILTER_POSITION_CONFIDENCE] = {1, COMPARES, NO_CONSTANT, 1, 255},
	[PE_FILTER_STATUS_CONFIDENCE] = {1, COMPARES, NO_CONSTANT, 1, 255},
	[PE_FILTER_AGE] = {1, COMPARES, WHOLE, 0, 0},
	[PE_FILTER_RADIUS] = {1, COMPARES, LENGTH, 0, 0},
	[PE_FILTER_SPEED] = {1, COMPARES, SPEED, 0, 0},
	[PE_FILTER_STALE] = {1, 0, 0, NO_CONSTANT, 0, 0},
	[PE_FILTER_TAG] = {1, 0, 0, TEXT, 0, 0},
	[PE_FILTER_ACTIVITY] = {1, 0, 0, TEXT, 0, 0},
	[PE_FILTER_META] = {1, COMPARES, ENTRY, 0, 0},
	[PE_FILTER_META_IN] = {1, 1, 63, ENTRIES, 0, 0},
	[PE_FILTER_META_EXISTS] = {1, 0, 0, TEXT, 0, 0},
};
// All bits up to the highest are defined, so that a mask is a range.
static_assert(PE_QUERY_TYPE_MASK_DEFINED == 31 && PE_QUERY_STATE_MASK_DEFINED == 31, "masks");

#define HEAD_BYTES ((uint32_t)sizeof(struct pe_wire_filter))
#define STEP_BYTES ((uint32_t)sizeof(struct pe_wire_filter_step))
#define NOT_THERE  0xFFFFFFFFu

const char *pe_filter_fault_text(enum pe_filter_fault fault)
{
	static const char *const texts[PE_FILTER_FAULTS] = {
		[PE_FILTER_SOUND] = "sound",
		[PE_FILTER_SHORT] = "ends before its steps do",
		[PE_FILTER_LENGTH] =
			"a length that is not exact, no multiple of eight, or above 512 bytes",
		[PE_FILTER_RESERVED] = "a reserved field that is not zero",
		[PE_FILTER_COUNT] = "no step, or more than 64",
		[PE_FILTER_PADDING] = "padding that is not zero",
		[PE_FILTER_OPERATION] = "an undefined operation",
		[PE_FILTER_ARGUMENT] = "a comparison or a count that the operation does not have",
		[PE_FILTER_OPERAND] = "a mask or a code that the operation does not have",
		[PE_FILTER_CONSTANT_SHORT] = "ends before its constant does",
		[PE_FILTER_CONSTANT] = "a constant that is not what the operation needs",
		[PE_FILTER_ORDER] = "ids out of order, or one id twice",
		[PE_FILTER_UNDERFLOW] = "nothing to join",
		[PE_FILTER_DEPTH] = "more than 16 values at once",
		[PE_FILTER_UNBALANCED] = "more than one value is left",
		[PE_FILTER_LEFT_OVER] = "bytes behind the last constant",
	};

	return (unsigned)fault < PE_FILTER_FAULTS ? texts[fault] : "?";
}

static const struct shape *shape_of(unsigned op)
{
	return op < sizeof shapes / sizeof shapes[0] && shapes[op].defined ? &shapes[op] : NULL;
}

static uint32_t constants_at(unsigned step_count)
{
	return HEAD_BYTES + pe_round8(step_count * STEP_BYTES);
}

// Bytes of a constant with its padding, of which `left` are there; NOT_THERE when it goes beyond.
static uint32_t constant_length(
	const struct shape *shape, unsigned argument, const uint8_t *p, uint32_t left)
{
	struct pe_entry entry;
	uint32_t bytes = 0, n;

	switch ((enum constant)shape->constant) {
	case NO_CONSTANT:
		return 0;
	case IDS:
		bytes = 16 * argument;
		break;
	case WHOLE:
	case LENGTH:
	case SPEED:
		bytes = 8;
		break;
	case TEXT:
		if (left == 0)
			return NOT_THERE;
		bytes = pe_round8(1u + p[0]);
		break;
	case ENTRY:
	case ENTRIES:
		for (unsigned i = 0; i < (shape->constant == ENTRY ? 1 : argument); i++) {
			n = pe_entry_read(p + bytes, left - bytes, &entry);
			if (!n)
				return NOT_THERE;
			bytes += n;
		}
		break;
	}
	return bytes <= left ? bytes : NOT_THERE;
}

bool pe_filter_next(const uint8_t *program, uint32_t bytes, struct pe_filter_cursor *cursor,
	struct pe_filter_step *step)
{
	struct pe_wire_filter_step wire;
	const struct shape *shape;
	uint32_t at, length;

	if (bytes < HEAD_BYTES || bytes > PE_FILTER_BYTES_MAX || cursor->step >= program[2] ||
		program[2] > PE_FILTER_STEPS_MAX || constants_at(program[2]) > bytes)
		return false;
	if (cursor->step == 0)
		cursor->constant_at = (uint16_t)constants_at(program[2]);
	at = HEAD_BYTES + cursor->step * STEP_BYTES;
	memcpy(&wire, program + at, sizeof wire);
	shape = shape_of(wire.op);
	if (!shape)
		return false;
	length = constant_length(
		shape, wire.argument, program + cursor->constant_at, bytes - cursor->constant_at);
	if (length == NOT_THERE)
		return false;
	*step = (struct pe_filter_step){.op = wire.op,
		.argument = wire.argument,
		.operand = wire.operand,
		.at = (uint16_t)at,
		.constant_at = cursor->constant_at,
		.constant_bytes = (uint16_t)length};
	cursor->step++;
	cursor->constant_at = (uint16_t)(cursor->constant_at + length);
	return true;
}

// The checks of constants: *at is from the constant's begin.

static enum pe_filter_fault check_ids(const uint8_t *p, unsigned count, uint32_t *at)
{
	for (*at = 0; *at < 16 * count; *at += 16) {
		if (pe_wire_id_nil(p + *at))
			return PE_FILTER_CONSTANT;
		if (*at && memcmp(p + *at - 16, p + *at, 16) >= 0)
			return PE_FILTER_ORDER;
	}
	return PE_FILTER_SOUND;
}

static enum pe_filter_fault check_text(const uint8_t *p, uint32_t bytes, uint32_t *at)
{
	*at = 0;
	if (p[0] < 1 || p[0] > PE_NAME_BYTES_MAX)
		return PE_FILTER_CONSTANT;
	if (!pe_name_sound(p + 1, p[0], at)) {
		++*at;
		return PE_FILTER_CONSTANT;
	}
	for (*at = 1u + p[0]; *at < bytes; ++*at)
		if (p[*at])
			return PE_FILTER_PADDING;
	return PE_FILTER_SOUND;
}

static enum pe_filter_fault check_entries(
	const uint8_t *p, uint32_t bytes, unsigned count, uint32_t *at)
{
	uint32_t offset = 0, n;

	for (unsigned i = 0; i < count; i++) {
		enum pe_block_fault fault = pe_entry_check(
			p + offset, bytes - offset, i ? PE_ENTRY_NAMELESS : 0, &n, at);

		*at += offset;
		if (fault == PE_BLOCK_SHORT)
			return PE_FILTER_CONSTANT_SHORT;
		if (fault == PE_BLOCK_PADDING)
			return PE_FILTER_PADDING;
		if (fault != PE_BLOCK_SOUND)
			return PE_FILTER_CONSTANT;
		offset += n;
	}
	return PE_FILTER_SOUND;
}

static enum pe_filter_fault check_constant(const struct shape *shape, unsigned argument,
	const uint8_t *p, uint32_t bytes, uint32_t *at)
{
	double number;

	*at = 0;
	switch ((enum constant)shape->constant) {
	case IDS:
		return check_ids(p, argument, at);
	case LENGTH:
	case SPEED:
		memcpy(&number, p, sizeof number);
		if (!(number >= 0) || (shape->constant == SPEED && number == (double)INFINITY))
			return PE_FILTER_CONSTANT;
		return PE_FILTER_SOUND;
	case TEXT:
		return check_text(p, bytes, at);
	case ENTRY:
		return check_entries(p, bytes, 1, at);
	case ENTRIES:
		return check_entries(p, bytes, argument, at);
	case NO_CONSTANT:
	case WHOLE:
		break;
	}
	return PE_FILTER_SOUND;
}

// Null and bool have no order.
static bool compare_fits(const struct pe_wire_filter_step *step, const uint8_t *constant)
{
	return step->op != PE_FILTER_META || step->argument <= PE_FILTER_NOT_EQUAL ||
		(constant[0] != PE_VALUE_NULL && constant[0] != PE_VALUE_BOOL);
}

static enum pe_filter_fault stack_after(unsigned op, unsigned *depth)
{
	unsigned takes = !pe_filter_op_joins(op) ? 0 : op == PE_FILTER_NOT ? 1 : 2;

	if (*depth < takes)
		return PE_FILTER_UNDERFLOW;
	*depth = *depth - takes + 1;
	return *depth > PE_FILTER_DEPTH_MAX ? PE_FILTER_DEPTH : PE_FILTER_SOUND;
}

// One step, its constant and the stack. *at is the step's offset and becomes that of the fault.
static enum pe_filter_fault check_step(const uint8_t *program, uint32_t bytes,
	uint32_t *constant_at, unsigned *depth, uint32_t *at)
{
	struct pe_wire_filter_step step;
	const struct shape *shape;
	enum pe_filter_fault fault;
	uint32_t length, step_at = *at;

	memcpy(&step, program + step_at, sizeof step);
	shape = shape_of(step.op);
	if (!shape)
		return PE_FILTER_OPERATION;
	*at = step_at + 1;
	if (step.argument < shape->argument_min || step.argument > shape->argument_max)
		return PE_FILTER_ARGUMENT;
	*at = step_at + 2;
	if (step.operand < shape->operand_min || step.operand > shape->operand_max)
		return PE_FILTER_OPERAND;
	length =
		constant_length(shape, step.argument, program + *constant_at, bytes - *constant_at);
	*at = *constant_at;
	if (length == NOT_THERE)
		return PE_FILTER_CONSTANT_SHORT;
	fault = check_constant(shape, step.argument, program + *constant_at, length, at);
	*at += *constant_at;
	if (fault != PE_FILTER_SOUND)
		return fault;
	*at = step_at + 1;
	if (!compare_fits(&step, program + *constant_at))
		return PE_FILTER_ARGUMENT;
	*constant_at += length;
	*at = step_at;
	return stack_after(step.op, depth);
}

static enum pe_filter_fault check_head(const uint8_t *program, uint32_t bytes, uint32_t *at)
{
	struct pe_wire_filter head;

	*at = 0;
	if (bytes < HEAD_BYTES)
		return PE_FILTER_SHORT;
	memcpy(&head, program, sizeof head);
	if (head.bytes != bytes || bytes % 8 || bytes > PE_FILTER_BYTES_MAX)
		return PE_FILTER_LENGTH;
	*at = 3;
	if (head.reserved0)
		return PE_FILTER_RESERVED;
	*at = 4;
	if (head.reserved1)
		return PE_FILTER_RESERVED;
	*at = 2;
	if (head.step_count < 1 || head.step_count > PE_FILTER_STEPS_MAX)
		return PE_FILTER_COUNT;
	if (constants_at(head.step_count) > bytes)
		return PE_FILTER_SHORT;
	for (*at = HEAD_BYTES + head.step_count * STEP_BYTES; *at < constants_at(head.step_count);
		++*at)
		if (program[*at])
			return PE_FILTER_PADDING;
	return PE_FILTER_SOUND;
}

enum pe_filter_fault pe_filter_check(
	const uint8_t *program, uint32_t bytes, struct pe_filter_error *error)
{
	uint32_t constant_at, at;
	unsigned depth = 0, step = PE_FILTER_NO_STEP;
	enum pe_filter_fault fault = check_head(program, bytes, &at);

	if (fault != PE_FILTER_SOUND)
		goto told;
	constant_at = constants_at(program[2]);
	for (unsigned i = 0; i < program[2]; i++) {
		at = HEAD_BYTES + i * STEP_BYTES;
		fault = check_step(program, bytes, &constant_at, &depth, &at);
		if (fault != PE_FILTER_SOUND) {
			step = i;
			goto told;
		}
	}
	at = HEAD_BYTES + program[2] * STEP_BYTES;
	if (depth != 1) {
		fault = PE_FILTER_UNBALANCED;
	} else {
		at = constant_at;
		fault = at == bytes ? PE_FILTER_SOUND : PE_FILTER_LEFT_OVER;
	}
told:
	*error = (struct pe_filter_error){
		.fault = (uint8_t)fault, .step = (uint8_t)step, .at = (uint16_t)at};
	return fault;
}

void pe_filter_begin(struct pe_filter_writer *writer)
{
	memset(writer, 0, sizeof *writer);
}

// Room for one more step and `bytes` of constants, filled with zeros; NULL when there is none.
static uint8_t *add(struct pe_filter_writer *w, enum pe_filter_op op, unsigned argument,
	unsigned operand, uint32_t bytes)
{
	unsigned depth = w->depth;
	uint8_t *constant = w->constants + w->constants_bytes;

	if (w->fault)
		return NULL;
	w->fault = (uint8_t)stack_after(op, &depth);
	if (w->step_count == PE_FILTER_STEPS_MAX)
		w->fault = PE_FILTER_COUNT;
	else if (bytes > PE_FILTER_BYTES_MAX ||
		constants_at(w->step_count + 1u) + w->constants_bytes + pe_round8(bytes) >
			PE_FILTER_BYTES_MAX)
		w->fault = PE_FILTER_LENGTH;
	if (w->fault)
		return NULL;
	w->steps[w->step_count++] = (struct pe_wire_filter_step){
		.op = (uint8_t)op, .argument = (uint8_t)argument, .operand = (uint16_t)operand};
	w->constants_bytes = (uint16_t)(w->constants_bytes + pe_round8(bytes));
	w->depth = (uint8_t)depth;
	return constant; // zero since pe_filter_begin
}

bool pe_filter_put(
	struct pe_filter_writer *writer, enum pe_filter_op op, unsigned argument, unsigned operand)
{
	return add(writer, op, argument, operand, 0) != NULL;
}

bool pe_filter_put_constant(struct pe_filter_writer *writer, enum pe_filter_op op,
	unsigned argument, const void *constant, uint32_t bytes)
{
	uint8_t *to = add(writer, op, argument, 0, bytes);

	if (to)
		memcpy(to, constant, bytes);
	return to != NULL;
}

bool pe_filter_put_text(struct pe_filter_writer *writer, enum pe_filter_op op, const uint8_t *text,
	uint32_t text_bytes)
{
	uint8_t *to;

	if (!writer->fault && (text_bytes < 1 || text_bytes > PE_NAME_BYTES_MAX))
		writer->fault = PE_FILTER_CONSTANT;
	to = add(writer, op, 0, 0, 1 + text_bytes);
	if (!to)
		return false;
	to[0] = (uint8_t)text_bytes;
	memcpy(to + 1, text, text_bytes);
	return true;
}

bool pe_filter_put_values(struct pe_filter_writer *writer, enum pe_filter_op op, unsigned argument,
	const uint8_t *name, uint32_t name_bytes, const struct pe_value *values, unsigned count)
{
	uint8_t entries[PE_FILTER_BYTES_MAX];
	uint32_t bytes = 0, n;

	if (!writer->fault && (name_bytes < 1 || name_bytes > PE_NAME_BYTES_MAX || count < 1))
		writer->fault = PE_FILTER_CONSTANT;
	for (unsigned i = 0; i < count && !writer->fault; i++) {
		struct pe_entry entry = {.name = i ? NULL : name,
			.name_bytes = i ? 0 : (uint8_t)name_bytes,
			.value = values[i]};

		n = pe_entry_write(entries + bytes, sizeof entries - bytes, &entry);
		if (!n)
			writer->fault = PE_FILTER_LENGTH;
		bytes += n;
	}
	return pe_filter_put_constant(writer, op, argument, entries, bytes);
}

uint32_t pe_filter_finish(
	const struct pe_filter_writer *writer, uint8_t *program, struct pe_filter_error *error)
{
	uint32_t at = constants_at(writer->step_count), bytes = at + writer->constants_bytes;
	struct pe_wire_filter head = {.bytes = (uint16_t)bytes, .step_count = writer->step_count};

	if (writer->fault) {
		*error = (struct pe_filter_error){
			.fault = writer->fault, .step = writer->step_count, .at = 0};
		return 0;
	}
	memset(program, 0, at);
	memcpy(program, &head, sizeof head);
	memcpy(program + HEAD_BYTES, writer->steps, writer->step_count * STEP_BYTES);
	memcpy(program + at, writer->constants, writer->constants_bytes);
	return pe_filter_check(program, bytes, error) == PE_FILTER_SOUND ? bytes : 0;
}
