// Filters that run: a program of wire/filter.h becomes a chain of tests, each with the test that
// follows when it is true and when it is false. So `and` and `or` stop as soon as they are decided,
// `not` costs nothing, there is no stack, and since every step leads forward, a run makes at most
// 64 tests.
//
// Most of an entity is at hand when a query meets it; context and metadata are kept apart, and
// reading them costs a cache line or more. So a filter is first run without them, and answers yes,
// no, or that it needs them; which it does only where the answer really hangs on them. (As
// three-valued logic has it: a test of what isn't at hand is unknown; `x or not x` counts as
// unknown then.)
//
// A compiled filter is a plain value in its owner's memory, and refers to nothing outside: any
// number of threads may run one that nobody writes.
#pragma once

#include "wire/filter.h"

#include <stdbool.h>
#include <stdint.h>

// One test. Destinations are indices of tests, or one of the two ends.
#define PE_FILTER_END_YES 0xFE
#define PE_FILTER_END_NO  0xFF
struct pe_filter_test {
	uint8_t op; // enum pe_filter_op
	uint8_t argument;
	uint8_t yes, no;       // which test follows; always a later one
	uint8_t constant_word; // its constant's place, in words of eight bytes
	uint8_t negated;       // it stands under an odd number of `not`
	uint16_t operand;
};
static_assert(sizeof(struct pe_filter_test) == 8, "filter test");

struct pe_filter {
	uint16_t constant_bytes;
	uint8_t test_count;
	uint8_t cold; // some test looks at context or metadata
	struct pe_filter_test tests[PE_FILTER_STEPS_MAX];
	_Alignas(8) uint8_t constants[PE_FILTER_BYTES_MAX];
};
static_assert(sizeof(struct pe_filter) == 8 + 8 * 64 + 512, "filter");

// What is known of an entity, as the one who asks may know it.
struct pe_facts {
	const uint8_t *id;    // 16 bytes; NULL = not told: in no list
	int64_t age_ms;       // now − event time; negative where a clock is ahead
	float radius_m;       // 0 = no limit
	uint16_t velocity[3]; // binary16, finite
	uint8_t entity_type;  // enum pe_entity_type
	uint8_t state;        // enum pe_state
	uint8_t custom_state;
	uint8_t position_confidence; // as in updates: 0 = not stated; after decay, where there is
	                             // one
	uint8_t status_confidence;
	bool stale; // announced updates have not come
	// Blocks of wire/metadata.h, checked when they came in; NULL and 0 = none. Not looked at by
	// pe_filter_run_hot.
	const uint8_t *context;
	uint32_t context_bytes;
	const uint8_t *metadata;
	uint32_t metadata_bytes;
};

enum pe_filter_verdict {
	PE_FILTER_NO = 0,
	PE_FILTER_YES = 1,
	PE_FILTER_NEEDS_COLD = 2, // hangs on context or metadata
};

// Checks the program (pe_filter_check) and compiles it. A fault leaves *filter without meaning.
// `program` isn't needed afterwards.
[[nodiscard]] enum pe_filter_fault pe_filter_compile(struct pe_filter *filter,
	const uint8_t *program, uint32_t bytes, struct pe_filter_error *error);

// Without context and metadata. At most 128 tests of fixed fields.
[[nodiscard]] enum pe_filter_verdict pe_filter_run_hot(
	const struct pe_filter *filter, const struct pe_facts *facts);

// With everything. At most 64 tests; one of metadata walks at most 1 KiB.
[[nodiscard]] bool pe_filter_run(const struct pe_filter *filter, const struct pe_facts *facts);
// The same, and which test decided: the last one that was made.
[[nodiscard]] bool pe_filter_decide(
	const struct pe_filter *filter, const struct pe_facts *facts, unsigned *test);
