// Decoding: a datagram checked as a whole, its records copied out and checked one by one. An
// operation is a record, or a query.
#include "crowd.h"
#include "modules.h"
#include "wire/decode.h"
#include "wire/encode.h"

#define MESSAGES 64u // in cache, as a burst is

struct codec {
	unsigned records;
	uint32_t bytes;
	uint8_t message[MESSAGES][PE_WIRE_BYTES_MAX];
};

static void make_updates(void *context)
{
	struct codec *c = context;
	struct pe_wire_header header = {.stream_id = 1};
	struct pe_wire_update_preamble preamble = {.incarnation = CROWD_INCARNATION};
	struct pe_wire_update records[PE_UPDATE_COUNT_MAX] = {0};

	for (unsigned m = 0; m < MESSAGES; m++) {
		for (unsigned r = 0; r < c->records; r++) {
			uint32_t number = m * PE_UPDATE_COUNT_MAX + r;

			records[r].entity_type = PE_ENTITY_MOBILE;
			records[r].sequence = m + 1;
			crowd_id(number, records[r].entity_id);
			crowd_place(number, m, 1000, records[r].position);
		}
		c->bytes = pe_wire_put_update(
			c->message[m], PE_WIRE_BYTES_MAX, &header, &preamble, records, c->records);
	}
	if (!c->bytes)
		module_fail("no update message");
}

static void decode_updates(void *context, uint64_t count)
{
	static const struct pe_wire_limits limits = {
		.ttl_max_ms = 86400000, .precision_max_m = 1000};
	struct codec *c = context;

	for (uint64_t done = 0, m = 0; done < count; done += c->records, m++) {
		struct pe_wire_view view;

		if (pe_wire_check(c->message[m % MESSAGES], c->bytes, &view) != PE_REASON_none)
			module_fail("a message that is not sound");
		for (unsigned r = 0; r < view.count; r++) {
			struct pe_wire_update update;

			pe_wire_get_update(&view, r, &update);
			if (pe_wire_check_update(&update, &limits) != PE_REASON_none)
				module_fail("a record that is not sound");
			bench_keep(&update);
		}
	}
}

static void make_queries(void *context)
{
	struct codec *c = context;
	struct pe_wire_header header = {.stream_id = 1};
	struct pe_wire_query query = {.kind = PE_QUERY_SPHERE, .query_id = 1, .b = {30}};

	for (unsigned m = 0; m < MESSAGES; m++)
		c->bytes = pe_wire_put_query(c->message[m], PE_WIRE_BYTES_MAX, &header, &query, 1);
	if (!c->bytes)
		module_fail("no query message");
}

static void decode_queries(void *context, uint64_t count)
{
	const struct codec *c = context;

	for (uint64_t i = 0; i < count; i++) {
		struct pe_wire_view view;
		struct pe_wire_query query;

		if (pe_wire_check(c->message[i % MESSAGES], c->bytes, &view) != PE_REASON_none)
			module_fail("a message that is not sound");
		pe_wire_get_query(&view, 0, &query);
		if (pe_wire_check_query(&query, false) != PE_REASON_none)
			module_fail("a query that is not sound");
		bench_keep(&query);
	}
}

void module_codec(void)
{
	static struct codec one = {.records = 1}, sixteen = {.records = PE_UPDATE_COUNT_MAX}, query;
	static const struct bench_case cases[] = {
		{"codec/update_1", decode_updates, &one, 1024, make_updates, NULL},
		{"codec/update_16", decode_updates, &sixteen, 1024, make_updates, NULL},
		{"codec/query", decode_queries, &query, 1024, make_queries, NULL},
	};

	MODULE_CASES(cases);
}
