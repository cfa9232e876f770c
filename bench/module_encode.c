// Encoding: an answer of 20 results, opened, filled and closed; an operation is the answer.
#include "modules.h"

#include "wire/encode.h"

#include <stddef.h>

#define RESULTS 20u

static void encode_answers(void *context, uint64_t count)
{
	static uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header header = {.stream_id = 1};
	struct pe_wire_result result = {.entity_id = {1}, .position = {1, 2, 3}, .ttl_left = 300};

	(void)context;
	for (uint64_t i = 0; i < count; i++) {
		struct pe_wire_response response;

		pe_wire_response_begin(&response, buffer, sizeof buffer);
		if (!pe_wire_response_open(&response, 1, 1, i, 0))
			module_fail("no answer");
		for (unsigned r = 0; r < RESULTS; r++) {
			result.distance_m = (float)r;
			if (!pe_wire_response_add(&response, &result))
				module_fail("no room for a result");
		}
		pe_wire_response_close(&response, PE_REASON_none, PE_ANSWER_LAST, NULL);
		if (!pe_wire_response_finish(&response, &header))
			module_fail("no message");
		bench_keep(buffer);
	}
}

void module_encode(void)
{
	static const struct bench_case cases[] = {
		{"encode/answer_20", encode_answers, NULL, 256, NULL, NULL},
	};

	MODULE_CASES(cases);
}
