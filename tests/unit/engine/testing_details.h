// What the tests of details share: a record that is written block by block, and what an answer
// shows of an entity.
#pragma once

#include "detailed.h"
#include "testing_engine.h"
#include "wire/filter.h"

static struct harness_answer a;
static struct detailed d;

static inline void start_keeping(uint64_t bytes)
{
	struct pe_engine_config config = harness_config();

	config.details_bytes = bytes;
	start_with(&config);
}

static inline struct pe_wire_ack_record send_details(void)
{
	return harness_send_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes);
}

static inline void begin(uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	detailed_begin(&d, &u);
}

// Everything with its details, as worker 0 sees it.
static inline void ask_all(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

	q.flags |= PE_QUERY_WITH_DETAILS;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS);
}

// Blocks of entity n among them; mask 0xFFFF: it is not there.
static inline struct pe_details_blocks blocks_of(uint64_t n)
{
	struct pe_details_blocks b = {.mask = 0xFFFF};

	ask_all();
	for (unsigned i = 0; i < a.count; i++)
		if (harness_id_number(a.results[i].entity_id) == n)
			pe_wire_get_details(a.details + a.details_at[i], &b);
	return b;
}

static inline int64_t number_of(uint64_t n, const char *name)
{
	struct pe_details_blocks b = blocks_of(n);
	struct pe_value value;

	if (b.mask == 0xFFFF || !b.content[PE_DETAILS_METADATA] ||
		!pe_metadata_find(b.content[PE_DETAILS_METADATA], b.bytes[PE_DETAILS_METADATA],
			(const uint8_t *)name, (uint32_t)strlen(name), &value))
		return INT64_MIN;
	return value.whole;
}

static inline bool tagged(uint64_t n, const char *tag)
{
	struct pe_details_blocks b = blocks_of(n);

	return b.content[PE_DETAILS_CONTEXT] &&
		pe_context_has_tag(b.content[PE_DETAILS_CONTEXT], b.bytes[PE_DETAILS_CONTEXT],
			(const uint8_t *)tag, (uint32_t)strlen(tag));
}

static inline unsigned ask_filter(const struct pe_filter_writer *w, uint16_t flags)
{
	_Alignas(8) uint8_t program[PE_FILTER_BYTES_MAX], extension[PE_FILTER_BYTES_MAX + 8];
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	struct pe_filter_error error;
	uint32_t bytes = pe_filter_finish(w, program, &error);

	CU_ASSERT(bytes > 0);
	bytes = pe_wire_put_block(extension, 0, sizeof extension, PE_BLOCK_FILTER, program, bytes);
	q.flags |= flags;
	harness_ask_extended(&h, 0, PLANE, &q, extension, bytes, &a);
	CU_ASSERT(a.whole && a.code == PE_CODE_SUCCESS);
	return a.count;
}
