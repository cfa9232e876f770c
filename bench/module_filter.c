// Filters: one of the fixed fields, one that a fixed field decides before metadata, one of
// metadata; an operation is an entity. Compiling is one of its own.
#include "modules.h"

#include "discover/filter_run.h"
#include "wire/metadata.h"

#include <stddef.h>
#include <string.h>

#define ENTITIES 512u

static struct {
	bool made;
	uint8_t program[PE_FILTER_BYTES_MAX]; // of fixed and metadata together
	uint32_t program_bytes;
	struct pe_filter fixed, both, metadata;
	uint8_t block[ENTITIES][PE_METADATA_BYTES_MAX];
	struct pe_facts facts[ENTITIES];
} b;

static void put_fixed(struct pe_filter_writer *w)
{
	int64_t age_ms = 30000;

	pe_filter_put(w, PE_FILTER_TYPE, 0, 1 << PE_ENTITY_MOBILE | 1 << PE_ENTITY_STATIC);
	pe_filter_put(w, PE_FILTER_STATE, 0, 1 << PE_STATE_ACTIVE);
	pe_filter_put(w, PE_FILTER_AND, 0, 0);
	pe_filter_put_constant(w, PE_FILTER_AGE, PE_FILTER_LESS, &age_ms, sizeof age_ms);
	pe_filter_put(w, PE_FILTER_AND, 0, 0);
}

static void put_metadata(struct pe_filter_writer *w)
{
	struct pe_value value = {.type = PE_VALUE_F64, .real = 7.5};

	pe_filter_put_values(w, PE_FILTER_META, PE_FILTER_GREATER_EQUAL, (const uint8_t *)"draught",
		7, &value, 1);
}

static void compile(const struct pe_filter_writer *w, struct pe_filter *filter)
{
	struct pe_filter_error error;

	b.program_bytes = pe_filter_finish(w, b.program, &error);
	if (pe_filter_compile(filter, b.program, b.program_bytes, &error) != PE_FILTER_SOUND)
		module_fail("no filter");
}

static void make(void)
{
	static const char *const names[] = {"callsign", "cargo", "destination", "draught", "eta",
		"flag", "imo", "length", "speed_limit", "width"};
	struct pe_filter_writer w;

	if (b.made)
		return;
	for (unsigned i = 0; i < ENTITIES; i++) {
		pe_metadata_begin(b.block[i]);
		for (unsigned n = 0; n < sizeof names / sizeof names[0]; n++) {
			struct pe_entry entry = {.name = (const uint8_t *)names[n],
				.name_bytes = (uint8_t)strlen(names[n]),
				.value = {.type = PE_VALUE_F64, .real = (i * 37 + n) % 100 / 4.0}};

			if (pe_metadata_set(b.block[i], &entry) != PE_BLOCK_SOUND)
				module_fail("no metadata");
		}
		b.facts[i] = (struct pe_facts){.age_ms = i * 7919 % 60000,
			.entity_type = i % 3,
			.state = i / 3 % 4,
			.metadata = b.block[i],
			.metadata_bytes = pe_block_bytes(b.block[i], sizeof b.block[i])};
	}
	pe_filter_begin(&w);
	put_fixed(&w);
	compile(&w, &b.fixed);
	pe_filter_begin(&w);
	put_metadata(&w);
	compile(&w, &b.metadata);
	pe_filter_begin(&w);
	put_metadata(&w);
	put_fixed(&w);
	pe_filter_put(&w, PE_FILTER_AND, 0, 0);
	compile(&w, &b.both);
	b.made = true;
}

// As a query would: metadata only where it must.
static void run(const struct pe_filter *filter, uint64_t count)
{
	uint64_t found = 0;

	for (uint64_t i = 0; i < count; i++) {
		const struct pe_facts *facts = &b.facts[i % ENTITIES];
		enum pe_filter_verdict verdict = pe_filter_run_hot(filter, facts);

		if (verdict == PE_FILTER_NEEDS_COLD)
			verdict = pe_filter_run(filter, facts) ? PE_FILTER_YES : PE_FILTER_NO;
		found += verdict;
	}
	bench_keep(&found);
}

static void run_fixed(void *context, uint64_t count)
{
	(void)context;
	make();
	run(&b.fixed, count);
}

static void run_both(void *context, uint64_t count)
{
	(void)context;
	make();
	run(&b.both, count);
}

static void run_metadata(void *context, uint64_t count)
{
	(void)context;
	make();
	run(&b.metadata, count);
}

static void run_compile(void *context, uint64_t count)
{
	struct pe_filter filter;
	struct pe_filter_error error;

	(void)context;
	make();
	for (uint64_t i = 0; i < count; i++) {
		if (pe_filter_compile(&filter, b.program, b.program_bytes, &error) !=
			PE_FILTER_SOUND)
			module_fail("no filter");
		bench_keep(&filter);
	}
}

void module_filter(void)
{
	static const struct bench_case cases[] = {
		{"filter/fixed_fields", run_fixed, NULL, 512, NULL, NULL},
		{"filter/fixed_fields_before_metadata", run_both, NULL, 512, NULL, NULL},
		{"filter/metadata", run_metadata, NULL, 512, NULL, NULL},
		{"filter/compile", run_compile, NULL, 64, NULL, NULL},
	};

	MODULE_CASES(cases);
}
