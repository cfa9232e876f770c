// Packing of answers by either method, and unpacking: full messages of a crowd of 4,000, whole
// results, SHORT ones and cells of 8 m; an operation is a byte of results. What a message holds and
// how much smaller it is goes to standard error when a case begins.
#include "modules.h"

#include "wire/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CROWD 4000u

enum form { WHOLE, SHORT, CELLS, FORMS };

static const char *const form_names[] = {"whole", "short", "cells"};
static const uint16_t form_flags[] = {0, PE_ANSWER_SHORT, PE_ANSWER_CELLS};
static uint8_t results[FORMS][CROWD * sizeof(struct pe_wire_result)];
static struct pe_pack_scratch scratch;
static uint8_t packed[PE_WIRE_BYTES_MAX];

struct job {
	enum form form;
	enum pe_pack_method method;
	bool unpacks;
};

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	return z ^ z >> 29;
}

static double within(uint64_t *state, double least, double most)
{
	return least + (most - least) * (double)(next(state) >> 11) / 0x1p53;
}

// People on foot around the origin, as they come: by no order of their distance.
static void make_crowd(void)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < CROWD; i++) {
		double x = within(&state, -2000, 2000), y = within(&state, -2000, 2000);
		struct pe_wire_result whole = {.entity_id = "walkers",
			.position = {x, y, 0},
			.age_ms = (int32_t)within(&state, 0, 3000),
			.distance_m = (float)hypot(x, y),
			.velocity = {(uint16_t)within(&state, 0x3000, 0x3E00),
				(uint16_t)within(&state, 0xB000, 0xBE00), 0},
			.ttl_left = (uint16_t)within(&state, 200, 300),
			.entity_type = PE_ENTITY_MOBILE};
		struct pe_wire_short brief = {.position = {x, y, 0}};
		struct pe_wire_cell cell = {
			.centre = {8 * floor(x / 8) + 4, 8 * floor(y / 8) + 4, 0},
			.count = 1 + (uint32_t)within(&state, 0, 3),
			.size_m = 8,
			.height_m = 1024,
			.newest_age_ms = (int32_t)within(&state, 0, 3000),
			.level = -1};

		whole.entity_id[14] = (uint8_t)(i >> 8);
		whole.entity_id[15] = (uint8_t)i;
		memcpy(brief.entity_id, whole.entity_id, sizeof brief.entity_id);
		memcpy(results[WHOLE] + i * sizeof whole, &whole, sizeof whole);
		memcpy(results[SHORT] + i * sizeof brief, &brief, sizeof brief);
		memcpy(results[CELLS] + i * sizeof cell, &cell, sizeof cell);
	}
}

static void prepare(void)
{
	static bool prepared;

	if (prepared)
		return;
	prepared = true;
	make_crowd();
	for (unsigned packs = 0; packs < 2; packs++) {
		size_t bytes = pe_wire_zstd_bytes(packs);
		void *memory = bytes ? malloc(bytes) : NULL;

		if (!memory || !pe_wire_zstd_start(&scratch, packs, memory, bytes))
			module_fail("no Zstandard");
	}
}

static uint32_t put(const struct job *job, unsigned at, unsigned count)
{
	const struct pe_wire_header header = {.stream_id = 1};
	const struct pe_wire_answer answer = {
		.query_id = 1, .flags = form_flags[job->form], .stream_id = 1};

	return pe_wire_put_packed(packed, sizeof packed, &header, &answer,
		results[job->form] + at * pe_answer_result_bytes(form_flags[job->form]), count,
		job->method, &scratch);
}

// As many results as fit a message, from `at` on.
static unsigned most(const struct job *job, unsigned at)
{
	unsigned count = CROWD - at;

	if (count > PE_PACKED_PLAIN_MAX / pe_answer_result_bytes(form_flags[job->form]))
		count = PE_PACKED_PLAIN_MAX / pe_answer_result_bytes(form_flags[job->form]);
	while (count && !put(job, at, count))
		count--;
	return count;
}

static void tell(const struct job *job)
{
	unsigned messages = 0, at = 0;
	uint64_t packed_bytes = 0;

	while (at < CROWD) {
		unsigned count = most(job, at);

		if (!count)
			module_fail("what does not shrink");
		packed_bytes += put(job, at, count) - 136;
		at += count;
		messages++;
	}
	fprintf(stderr, "%s of %s: %u messages of %u, %.2f times smaller\n",
		job->method == PE_PACKED_LZ4 ? "LZ4" : "Zstandard", form_names[job->form], messages,
		CROWD / messages,
		(double)CROWD * pe_answer_result_bytes(form_flags[job->form]) /
			(double)packed_bytes);
}

// `operations` is a multiple of BYTES: the batch's.
#define BYTES 1024u

static void pack_or_unpack(void *context, uint64_t operations)
{
	static uint8_t plain[PE_UNPACKED_BYTES_MAX];
	static const struct job *told;
	static unsigned count;
	const struct job *job = context;
	uint32_t bytes, each = pe_answer_result_bytes(form_flags[job->form]);
	struct pe_wire_view view;

	prepare();
	if (told != job) {
		told = job;
		if (!job->unpacks)
			tell(job);
		count = most(job, 0);
	}
	bytes = put(job, 0, count);
	for (uint64_t done = 0; done < operations; done += count * each) {
		if (job->unpacks ? pe_wire_unpack(packed, bytes, plain, &view, &scratch) !=
					PE_REASON_none :
				   put(job, 0, count) != bytes)
			module_fail("not as before");
		bench_keep(packed);
	}
}

void module_pack(void)
{
	static struct job jobs[FORMS * 4];
	static struct bench_case cases[FORMS * 4];
	static char names[FORMS * 4][32];
	unsigned n = 0;

	for (unsigned form = 0; form < FORMS; form++)
		for (unsigned method = PE_PACKED_LZ4; method <= PE_PACKED_ZSTD; method++)
			for (unsigned unpacks = 0; unpacks < 2; unpacks++, n++) {
				jobs[n] = (struct job){form, method, unpacks};
				snprintf(names[n], sizeof names[n], "%s/%s_%s",
					unpacks ? "unpack" : "pack",
					method == PE_PACKED_LZ4 ? "lz4" : "zstd", form_names[form]);
				cases[n] = (struct bench_case){names[n], pack_or_unpack, &jobs[n],
					BYTES * 1024, NULL, NULL};
			}
	if (pe_wire_pack_able() && pe_wire_zstd_bytes(true))
		bench_register(cases, n);
}
