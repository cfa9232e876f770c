// Entity filters on the wire: which of the entities in a query's volume are wanted. A filter is a
// small program without jumps: tests, and the words `and`, `or`, `not` behind what they join
// (postfix), so that it is checked in one walk, and no program can run for longer than it is long.
// Shared with the client library (which makes programs from text, client/filter_text.h); the engine
// compiles them, discover/filter_run.h. docs/filters.md says the same for people. Nothing is
// allocated or kept. Any thread.
//
//   0  struct pe_wire_filter        8 bytes
//   8  struct pe_wire_filter_step   4 bytes each, 1–64; then zeros to a multiple of eight
//   …  constants, in the order of the steps that have one, each at a multiple of eight
// At most 512 bytes and 16 values on the stack. The form is canonical as far as one program goes:
// no gaps, no sharing.
#pragma once

#include "wire/value.h"
#include "wire/wire.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define PE_FILTER_BYTES_MAX 512u
#define PE_FILTER_STEPS_MAX 64u
#define PE_FILTER_DEPTH_MAX 16u // values on the stack

struct pe_wire_filter {
	uint16_t bytes; // of the whole program, a multiple of eight
	uint8_t step_count;
	uint8_t reserved0;
	uint32_t reserved1;
};
static_assert(sizeof(struct pe_wire_filter) == 8, "filter");

struct pe_wire_filter_step {
	uint8_t op;       // enum pe_filter_op
	uint8_t argument; // enum pe_filter_compare, a count, or 0: the table at the operations
	uint16_t operand; // a mask or a code, or 0: likewise
};
static_assert(sizeof(struct pe_wire_filter_step) == 4, "filter step");

enum pe_filter_compare {
	PE_FILTER_EQUAL = 1,
	PE_FILTER_NOT_EQUAL = 2,
	PE_FILTER_LESS = 3,
	PE_FILTER_LESS_EQUAL = 4,
	PE_FILTER_GREATER = 5,
	PE_FILTER_GREATER_EQUAL = 6,
};

// The entity stands left of a comparison, the program's number right of it.
enum pe_filter_op {
	// takes two values, gives one; NOT takes one
	PE_FILTER_AND = 1,
	PE_FILTER_OR = 2,
	PE_FILTER_NOT = 3,
	// Tests of what every entity has: give a value.
	PE_FILTER_TYPE = 16,         // operand: type_mask of a query, not 0
	PE_FILTER_STATE = 17,        // operand: state_mask of a query, not 0
	PE_FILTER_CUSTOM_TYPE = 18,  // compare, operand 0–127; false unless the type is CUSTOM
	PE_FILTER_CUSTOM_STATE = 19, // compare, operand 0–255; false unless the state is CUSTOM
	PE_FILTER_ID = 20,           // argument: 1–31 ids; constant: they, ascending, none nil
	// compare, operand 1–255 as in updates ((v − 1) / 254); false where it is not stated
	PE_FILTER_POSITION_CONFIDENCE = 21,
	PE_FILTER_STATUS_CONFIDENCE = 22,
	PE_FILTER_AGE = 23, // compare; constant: i64, ms
	// compare; constant: f64, m, ≥ 0. No limit is beyond every number and equal to +infinity
	PE_FILTER_RADIUS = 24,
	PE_FILTER_SPEED = 25, // compare; constant: f64, m/s, ≥ 0, finite. Length of the velocity
	PE_FILTER_STALE = 26, // announced updates have not come
	// Tests of context and metadata.
	PE_FILTER_TAG = 32,      // constant: text
	PE_FILTER_ACTIVITY = 33, // constant: text
	// compare; constant: an entry (wire/value.h), no removal. Null and bool: = and ≠ only.
	PE_FILTER_META = 34,
	// argument: 1–63 values; constant: as many entries, the first with the name, the others
	// without
	PE_FILTER_META_IN = 35,
	PE_FILTER_META_EXISTS = 36, // constant: text, the name
};
// A text: u8 of its bytes (1–32), they, zeros to a multiple of eight. It is a name as pe_name_sound
// has it.

static inline bool pe_filter_op_joins(unsigned op)
{
	return op <= PE_FILTER_NOT;
}

// Looks at context or metadata, which are kept apart from what every entity has.
static inline bool pe_filter_op_cold(unsigned op)
{
	return op >= PE_FILTER_TAG;
}

enum pe_filter_fault {
	PE_FILTER_SOUND = 0,
	PE_FILTER_SHORT, // ends before its steps do
	// its length is not what it says, no multiple of eight, or above 512
	PE_FILTER_LENGTH,
	PE_FILTER_RESERVED,       // a reserved field is not zero
	PE_FILTER_COUNT,          // no step, or more than 64
	PE_FILTER_PADDING,        // a byte between the fields is not zero
	PE_FILTER_OPERATION,      // an operation that is not defined
	PE_FILTER_ARGUMENT,       // a comparison or a count that the operation doesn't have
	PE_FILTER_OPERAND,        // a mask or a code that the operation doesn't have
	PE_FILTER_CONSTANT_SHORT, // the program ends before the step's constant does
	PE_FILTER_CONSTANT,       // the constant is not what the operation needs
	PE_FILTER_ORDER,          // ids are not in ascending order, or one is there twice
	PE_FILTER_UNDERFLOW,      // nothing to join
	PE_FILTER_DEPTH,          // more than 16 values at once
	PE_FILTER_UNBALANCED,     // what is left at the end is not one value
	PE_FILTER_LEFT_OVER,      // bytes behind the last constant
	PE_FILTER_FAULTS,
};

// A short English text without a full stop; "?" for a number that is not defined.
const char *pe_filter_fault_text(enum pe_filter_fault fault);

#define PE_FILTER_NO_STEP 255 // the fault is of the whole program

struct pe_filter_error {
	uint8_t fault; // enum pe_filter_fault
	uint8_t step;  // index of the step at fault, or PE_FILTER_NO_STEP
	// byte of the program at which the faulty field begins, or where it is to begin
	uint16_t at;
};

// Is this a program, whole and canonical? `bytes` must be exactly its length. The first fault is
// told, in this order: SHORT, LENGTH, RESERVED, COUNT, SHORT (the steps), PADDING (behind them);
// then for each step OPERATION, ARGUMENT, OPERAND, its constant, the stack; then UNBALANCED,
// LEFT_OVER. One walk over at most 512 bytes.
[[nodiscard]] enum pe_filter_fault pe_filter_check(
	const uint8_t *program, uint32_t bytes, struct pe_filter_error *error);

// A step with its constant.
struct pe_filter_step {
	uint8_t op, argument;
	uint16_t operand;
	uint16_t at;             // offset of the step
	uint16_t constant_at;    // offset of its constant; a multiple of eight
	uint16_t constant_bytes; // 0 = it has none
};

// Walks the steps: start with a cursor of zeros; false at the end, or where a program that was
// never checked leaves its bytes.
struct pe_filter_cursor {
	uint8_t step;
	uint16_t constant_at;
};
bool pe_filter_next(const uint8_t *program, uint32_t bytes, struct pe_filter_cursor *cursor,
	struct pe_filter_step *step);

// A program that is being made: begin, put steps in postfix order, finish. The first fault stays in
// `fault`, and every put after it returns false.
struct pe_filter_writer {
	uint8_t fault; // enum pe_filter_fault
	uint8_t step_count;
	uint8_t depth;
	uint16_t constants_bytes;
	struct pe_wire_filter_step steps[PE_FILTER_STEPS_MAX];
	uint8_t constants[PE_FILTER_BYTES_MAX];
};

void pe_filter_begin(struct pe_filter_writer *writer);

// AND, OR, NOT, TYPE, STATE, STALE, CUSTOM_* and *_CONFIDENCE: a step without a constant.
bool pe_filter_put(
	struct pe_filter_writer *writer, enum pe_filter_op op, unsigned argument, unsigned operand);
// ID, AGE, RADIUS, SPEED: bytes as they are.
bool pe_filter_put_constant(struct pe_filter_writer *writer, enum pe_filter_op op,
	unsigned argument, const void *constant, uint32_t bytes);
// TAG, ACTIVITY, META_EXISTS.
bool pe_filter_put_text(struct pe_filter_writer *writer, enum pe_filter_op op, const uint8_t *text,
	uint32_t text_bytes);
// META (one value) and META_IN (argument = count).
bool pe_filter_put_values(struct pe_filter_writer *writer, enum pe_filter_op op, unsigned argument,
	const uint8_t *name, uint32_t name_bytes, const struct pe_value *values, unsigned count);

// Writes the program into room for PE_FILTER_BYTES_MAX and checks it; its bytes, or 0 with *error.
[[nodiscard]] uint32_t pe_filter_finish(
	const struct pe_filter_writer *writer, uint8_t *program, struct pe_filter_error *error);
