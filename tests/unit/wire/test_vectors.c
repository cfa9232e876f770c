// The vectors of tests/vectors, written in Python from docs/protocol.md alone, against the codec:
// each message gets its reason, each record its own; every field of a sound message is where the
// page says, and the encoder makes the same bytes from the fields (vector_fields.c). And the page's
// table of bad input against base/reasons.h.
//
// test_vectors <folder of vectors> <docs/protocol.md>
#include "testing.h"
#include "testing_wire.h"
#include "vector_fields.h"
#include "wire/details.h"
#include "wire/extension.h"
#include "wire/subscribe.h"
#include "wire/pack.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stddef.h>

static const char *vectors_path, *page_path;

static const char *current; // the vector's name, for messages

static void fail(const char *what)
{
	fprintf(stderr, "\n  %s: %s\n", current, what);
	CU_FAIL("vector");
}

static void fill(void *to, const struct vector_field *fields, const json_t *from)
{
	const char *wrong = vector_fill(to, fields, from);

	if (wrong)
		fail(wrong);
}

static enum pe_reason reason_named(const char *name)
{
	for (unsigned r = 0; r < PE_REASON_COUNT; r++)
		if (strcmp(pe_reason_info[r].name, name) == 0)
			return (enum pe_reason)r;
	fail(name);
	return PE_REASON_COUNT;
}

static void same_bytes(const void *got, const void *want, size_t bytes, const char *what)
{
	if (memcmp(got, want, bytes) != 0)
		fail(what);
}

// The records of a sound message: their own reasons.
static void check_record_reasons(const json_t *v, const struct pe_wire_view *view)
{
	const json_t *reasons = json_object_get(v, "record_reasons");
	bool geodetic = strcmp(json_string_value(json_object_get(v, "space")), "geodetic") == 0;

	const uint8_t *extension = NULL, *record = view->records;
	struct pe_wire_extension checked;
	struct pe_details_blocks blocks;

	CU_ASSERT_EQUAL(json_array_size(reasons), view->count);
	for (unsigned i = 0; i < view->count; i++) {
		enum pe_reason want = reason_named(json_string_value(json_array_get(reasons, i)));
		enum pe_reason got = PE_REASON_none;
		struct pe_wire_update u;
		struct pe_wire_withdraw w;
		struct pe_wire_query q;

		switch (view->header.flags & PE_FLAG_RESPONSE ? 0 : view->header.type) {
		case PE_TYPE_SPATIAL_UPDATE:
			pe_wire_get_update(view, i, &u);
			got = pe_wire_check_update(
				&u, geodetic ? &geodetic_limits : &cartesian_limits);
			break;
		case PE_TYPE_DETAILED_UPDATE:
			got = pe_wire_check_detailed(record, &blocks);
			record += pe_wire_detailed_next(record);
			break;
		case PE_TYPE_WITHDRAW:
			pe_wire_get_withdraw(view, i, &w);
			got = pe_wire_check_withdraw(&w);
			break;
		case PE_TYPE_SPATIAL_QUERY:
		case PE_TYPE_EXPLAIN:
			pe_wire_get_query(view, i, &q);
			got = pe_wire_check_query(&q, geodetic);
			if (i == 0)
				extension = view->records + view->count * sizeof q;
			if (got == PE_REASON_none)
				got = pe_wire_check_extension(
					&q, extension, q.extension_bytes, &checked);
			if (q.flags & PE_QUERY_HAS_EXTENSION)
				extension += q.extension_bytes;
			break;
		default:
			break;
		}
		if (got != want)
			fail(pe_reason_info[got].name);
		CU_ASSERT_EQUAL(got, want);
	}
}

// Compares each record with the one made from its fields, and keeps the latter in `records`.
static unsigned check_records(const json_t *v, const struct pe_wire_view *view,
	const struct vector_field *fields, size_t record_bytes, void *records)
{
	const json_t *list = json_object_get(v, "records");
	unsigned count = (unsigned)json_array_size(list);

	CU_ASSERT_EQUAL_FATAL(count, view->count);
	memset(records, 0, count * record_bytes);
	for (unsigned i = 0; i < count; i++) {
		uint8_t *record = (uint8_t *)records + i * record_bytes;

		fill(record, fields, json_array_get(list, i));
		same_bytes(view->records + i * record_bytes, record, record_bytes, "record");
	}
	return count;
}

// The extensions of the records, one behind the other.
static uint32_t get_extensions(const json_t *v, uint8_t *to)
{
	const json_t *list = json_object_get(v, "records");
	uint32_t bytes = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *hex = json_object_get(json_array_get(list, i), "extension");

		if (hex)
			bytes += (uint32_t)vector_unhex(
				json_string_value(hex), to + bytes, PE_WIRE_BYTES_MAX - bytes);
	}
	return bytes;
}

// Details of a record or a result, from its blocks: pairs of a type and its content.
static uint32_t put_blocks(uint8_t *to, const struct pe_wire_update *update, const json_t *object)
{
	const json_t *list = json_object_get(object, "blocks");
	uint32_t bytes = pe_wire_begin_details(to, PE_WIRE_BYTES_MAX, update);

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *pair = json_array_get(list, i);
		uint8_t content[PE_WIRE_BYTES_MAX];
		uint32_t n = (uint32_t)vector_unhex(
			json_string_value(json_array_get(pair, 1)), content, sizeof content);

		bytes = pe_wire_put_details(to, PE_WIRE_BYTES_MAX,
			(unsigned)json_integer_value(json_array_get(pair, 0)), content, n);
		CU_ASSERT_TRUE(bytes > 0);
	}
	return bytes;
}

static uint32_t encode_detailed(const json_t *v, const struct pe_wire_header *h,
	const struct pe_wire_update_preamble *preamble, uint8_t *out)
{
	const json_t *list = json_object_get(v, "records");
	uint8_t records[2 * PE_WIRE_BYTES_MAX];
	uint32_t bytes = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct pe_wire_update u = {0};

		fill(&u, vector_update, json_array_get(list, i));
		bytes += put_blocks(records + bytes, &u, json_array_get(list, i));
		CU_ASSERT_TRUE_FATAL(bytes <= PE_WIRE_BYTES_MAX);
	}
	return pe_wire_put_detailed(out, PE_WIRE_BYTES_MAX, h, preamble, records, bytes,
		(unsigned)json_array_size(list));
}

// One result of an answer, out of its fields: as it is in the message, and added again. Its bytes.
static uint32_t encode_result(
	struct pe_wire_response *r, const uint8_t *at, const json_t *object, unsigned flags)
{
	struct pe_wire_result result = {0};
	struct pe_wire_short brief = {0};
	struct pe_wire_cell cell = {0};

	if (flags & PE_ANSWER_CELLS) {
		fill(&cell, vector_cell, object);
		same_bytes(at, &cell, sizeof cell, "cell");
		CU_ASSERT_EQUAL(pe_wire_response_add_cells(r, &cell, 1), 1);
	} else if (flags & PE_ANSWER_SHORT) {
		fill(&brief, vector_short, object);
		same_bytes(at, &brief, sizeof brief, "short result");
		memcpy(result.entity_id, brief.entity_id, sizeof brief.entity_id);
		memcpy(result.position, brief.position, sizeof brief.position);
		CU_ASSERT_EQUAL(pe_wire_response_add_short(r, &result, 1), 1);
	} else {
		fill(&result, vector_result, object);
		same_bytes(at, &result, sizeof result, "result");
		if (flags & PE_ANSWER_DETAILED) {
			uint8_t details[PE_WIRE_BYTES_MAX];
			uint32_t n = put_blocks(details, NULL, object);

			CU_ASSERT_TRUE(pe_wire_response_add_detailed(r, &result, details, n));
			return pe_wire_result_bytes(at, true);
		}
		CU_ASSERT_TRUE(pe_wire_response_add(r, &result));
	}
	return pe_answer_result_bytes(flags);
}

static uint32_t encode_response(const json_t *v, const struct pe_wire_view *view, uint8_t *out)
{
	const json_t *list = json_object_get(v, "answers");
	struct pe_wire_response r;
	struct pe_wire_answer got;
	const uint8_t *at;
	uint32_t offset = 0;

	CU_ASSERT_EQUAL(json_array_size(list), view->count);
	pe_wire_response_begin(&r, out, PE_WIRE_BYTES_MAX);
	for (unsigned i = 0; i < view->count; i++) {
		const json_t *object = json_array_get(list, i),
			     *results = json_object_get(object, "results");
		struct pe_wire_answer a = {0};

		fill(&a, vector_answer, object);
		CU_ASSERT_TRUE_FATAL(pe_wire_next_answer(view, &offset, &got, &at));
		same_bytes(&got, &a, sizeof a, "answer");
		CU_ASSERT_EQUAL_FATAL(json_array_size(results), got.result_count);
		CU_ASSERT_TRUE(pe_wire_response_open(
			&r, a.query_id, a.stream_id, a.request_sequence, a.part));
		for (unsigned j = 0; j < got.result_count; j++)
			at += encode_result(&r, at, json_array_get(results, j), got.flags);
		if (a.detail)
			pe_wire_response_detail(&r, a.detail);
		pe_wire_response_close(&r, (enum pe_reason)a.reason, a.flags, a.cursor);
	}
	return pe_wire_response_finish(&r, &view->header);
}

// The messages of a subscription.
static uint32_t encode_subscription(const json_t *v, const uint8_t *data,
	const struct pe_wire_view *view, const struct pe_wire_header *h, uint8_t *out)
{
	static union {
		struct pe_wire_fence fence[PE_SUBSCRIBE_FENCES_MAX];
		struct pe_wire_fence_name name[PE_SUBSCRIBE_NAMES_MAX];
		struct pe_wire_event event[PE_NOTICE_EVENTS_MAX];
	} r;
	const json_t *preamble = json_object_get(v, "preamble");
	struct pe_wire_subscribe s = {0};
	struct pe_wire_subscribed done = {0};
	struct pe_wire_notice notice = {0};
	uint8_t extensions[PE_WIRE_BYTES_MAX];
	uint32_t bytes;
	unsigned n;

	if (h->type == PE_TYPE_NOTICE) {
		fill(&notice, vector_notice, preamble);
		same_bytes(data + 80, &notice, sizeof notice, "preamble");
		n = check_records(v, view, vector_event, sizeof r.event[0], &r);
		return pe_wire_put_notice(out, PE_WIRE_BYTES_MAX, h, &notice, r.event, n);
	}
	if (h->flags & PE_FLAG_RESPONSE) {
		fill(&done, vector_subscribed, preamble);
		same_bytes(data + 80, &done, sizeof done, "preamble");
		return pe_wire_put_subscribed(out, PE_WIRE_BYTES_MAX, h, &done);
	}
	fill(&s, vector_subscribe, preamble);
	same_bytes(data + 80, &s, sizeof s, "preamble");
	if (s.op == PE_SUBSCRIBE_REMOVE) {
		n = check_records(v, view, vector_fence_name, sizeof r.name[0], &r);
		return pe_wire_put_remove(out, PE_WIRE_BYTES_MAX, h, &s, r.name, n);
	}
	n = check_records(v, view, vector_fence, sizeof r.fence[0], &r);
	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_EQUAL(pe_wire_check_fence(&r.fence[i], true), PE_REASON_none);
	bytes = get_extensions(v, extensions);
	same_bytes(view->records + n * sizeof r.fence[0], extensions, bytes, "extensions");
	return pe_wire_put_subscribe(out, PE_WIRE_BYTES_MAX, h, &s, r.fence, n, extensions, bytes);
}

// From the fields to bytes again.
static void check_fields(
	const json_t *v, const uint8_t *data, uint32_t bytes, const struct pe_wire_view *view)
{
	static union {
		struct pe_wire_update update[PE_UPDATE_COUNT_MAX];
		struct pe_wire_withdraw withdraw[PE_WITHDRAW_COUNT_MAX];
		struct pe_wire_query query[PE_QUERY_COUNT_MAX];
		struct pe_wire_ack_record ack[PE_WITHDRAW_COUNT_MAX];
		struct pe_wire_counter counter[PE_COUNTERS_COUNT_MAX];
		struct pe_wire_ping ping;
		struct pe_wire_state_request state_request;
		struct pe_wire_explanation explanation;
		struct pe_wire_erase erase;
		struct pe_wire_erased erased;
	} r;
	const char *kind = json_string_value(json_object_get(v, "kind"));
	const json_t *preamble = json_object_get(v, "preamble");
	struct pe_wire_header h = {0};
	struct pe_wire_update_preamble up = {0};
	struct pe_wire_ack_preamble ap = {0};
	struct pe_wire_state_preamble sp = {0};
	uint8_t out[PE_WIRE_BYTES_MAX], extensions[PE_WIRE_BYTES_MAX];
	uint32_t got = 0, extensions_bytes;
	unsigned n;

	fill(&h, vector_header, json_object_get(v, "header"));
	same_bytes(&view->header, &h, sizeof h, "header");
	if (h.type == PE_TYPE_REGION_SUBSCRIBE || h.type == PE_TYPE_NOTICE) {
		got = encode_subscription(v, data, view, &h, out);
	} else if (strcmp(kind, "EXPLANATION") == 0) {
		check_records(v, view, vector_explanation, sizeof r.explanation, &r);
		got = pe_wire_put_explanation(
			out, sizeof out, &h, (enum pe_reason)r.explanation.reason, &r.explanation);
	} else if (h.flags & PE_FLAG_RESPONSE) {
		fill(&ap, vector_ack_preamble, preamble);
		same_bytes(&view->body.ack, &ap, sizeof ap, "preamble");
		n = check_records(v, view, vector_ack, sizeof r.ack[0], &r);
		got = pe_wire_put_ack(out, sizeof out, &h, (enum pe_type)h.type, ap.broadcast_id,
			ap.request_sequence, (enum pe_reason)ap.reason, r.ack, n);
	} else if (strcmp(kind, "SPATIAL_UPDATE") == 0) {
		fill(&up, vector_update_preamble, preamble);
		same_bytes(&view->body.update, &up, sizeof up, "preamble");
		n = check_records(v, view, vector_update, sizeof r.update[0], &r);
		got = pe_wire_put_update(out, sizeof out, &h, &up, r.update, n);
	} else if (strcmp(kind, "DETAILED_UPDATE") == 0) {
		fill(&up, vector_update_preamble, preamble);
		same_bytes(&view->body.update, &up, sizeof up, "preamble");
		got = encode_detailed(v, &h, &up, out);
	} else if (strcmp(kind, "WITHDRAW") == 0) {
		fill(&up, vector_update_preamble, preamble);
		same_bytes(&view->body.update, &up, sizeof up, "preamble");
		n = check_records(v, view, vector_withdraw, sizeof r.withdraw[0], &r);
		got = pe_wire_put_withdraw(out, sizeof out, &h, &up, r.withdraw, n);
	} else if (strcmp(kind, "SPATIAL_QUERY") == 0) {
		n = check_records(v, view, vector_query, sizeof r.query[0], &r);
		extensions_bytes = get_extensions(v, extensions);
		CU_ASSERT_EQUAL_FATAL(
			view->records_bytes, n * sizeof r.query[0] + extensions_bytes);
		same_bytes(view->records + n * sizeof r.query[0], extensions, extensions_bytes,
			"extensions");
		got = pe_wire_put_query_extended(
			out, sizeof out, &h, r.query, n, extensions, extensions_bytes);
	} else if (strcmp(kind, "PING") == 0 || strcmp(kind, "PONG") == 0) {
		check_records(v, view, vector_ping, sizeof r.ping, &r);
		same_bytes(&view->body.ping, &r.ping, sizeof r.ping, "opaque");
		got = strcmp(kind, "PING") == 0 ? pe_wire_put_ping(out, sizeof out, &h, &r.ping) :
						  pe_wire_put_pong(out, sizeof out, &h, &r.ping);
	} else if (strcmp(kind, "ERASE") == 0) {
		check_records(v, view, vector_erase, sizeof r.erase, &r);
		same_bytes(&view->body.erase, &r.erase, sizeof r.erase, "erase");
		got = pe_wire_put_erase(out, sizeof out, &h, &r.erase);
	} else if (strcmp(kind, "ERASED") == 0) {
		check_records(v, view, vector_erased, sizeof r.erased, &r);
		got = pe_wire_put_erased(out, sizeof out, &h, &r.erased);
	} else if (strcmp(kind, "STATE_REQUEST") == 0) {
		check_records(v, view, vector_state_request, sizeof r.state_request, &r);
		same_bytes(&view->body.state_request, &r.state_request, sizeof r.state_request,
			"request");
		got = pe_wire_put_state_request(out, sizeof out, &h, &r.state_request);
	} else if (strcmp(kind, "EXPLAIN") == 0) {
		struct pe_wire_explain explain = {0};
		const uint8_t *behind = view->records + sizeof r.query[0];

		fill(&explain, vector_explain, preamble);
		same_bytes(&view->body.explain, &explain, sizeof explain, "preamble");
		check_records(v, view, vector_query, sizeof r.query[0], &r);
		CU_ASSERT_EQUAL(
			view->records_bytes, sizeof r.query[0] + r.query[0].extension_bytes);
		got = pe_wire_put_explain(out, sizeof out, &h, &explain, &r.query[0], behind);
	} else if (strcmp(kind, "STATE_RESPONSE") == 0) {
		struct pe_wire_state_request request = {.selector = PE_STATE_COUNTERS};

		fill(&sp, vector_state_preamble, preamble);
		same_bytes(&view->body.state, &sp, sizeof sp, "preamble");
		n = check_records(v, view, vector_counter, sizeof r.counter[0], &r);
		request.first = sp.first;
		got = pe_wire_put_state_response(out, sizeof out, &h, &request, sp.request_sequence,
			sp.total, (enum pe_reason)sp.reason, r.counter, n);
	} else if (strcmp(kind, "SPATIAL_RESPONSE") == 0) {
		got = encode_response(v, view, out);
	} else {
		fail("kind");
	}
	CU_ASSERT_EQUAL(got, bytes);
	if (got == bytes)
		same_bytes(out, data, bytes, "encoded bytes");
}

static unsigned checked_count, encoded_count;

// What it says plain, of the same results by another packer.
static void check_packed(const json_t *v, const uint8_t *data, uint32_t bytes, enum pe_reason want)
{
	static uint8_t plain[PE_UNPACKED_BYTES_MAX], expected[PE_UNPACKED_BYTES_MAX];
	static struct pe_pack_scratch scratch;
	static _Alignas(64) uint8_t zstd[1 << 18];
	struct pe_wire_view view;
	enum pe_reason got;
	size_t n;

	if (!pe_wire_pack_able())
		return;
	if (!scratch.zstd_unpacks && pe_wire_zstd_bytes(false))
		CU_ASSERT(pe_wire_zstd_start(&scratch, false, zstd, sizeof zstd));
	// A build without the one method refuses what is sound of it, as cut short.
	if (want == PE_REASON_none && bytes > 128 && data[128] == PE_PACKED_ZSTD &&
		!pe_wire_zstd_bytes(false))
		want = PE_REASON_length;
	CU_ASSERT(bytes < 136 || pe_wire_is_packed(data, bytes));
	got = pe_wire_unpack(data, bytes, plain, &view, &scratch);
	if (got != want)
		fail(pe_reason_info[got].name);
	CU_ASSERT_EQUAL(got, want);
	checked_count++;
	if (got)
		return;
	n = vector_unhex(json_string_value(json_object_get(v, "plain")), expected, sizeof expected);
	CU_ASSERT_EQUAL(n, sizeof(struct pe_wire_header) + view.records_bytes);
	same_bytes(plain, expected, (uint32_t)n, "unpacked");
}

static void check_vector(const json_t *v)
{
	uint8_t raw[4096], *data;
	struct pe_wire_view view;
	uint32_t bytes;
	enum pe_reason want, got;

	current = json_string_value(json_object_get(v, "name"));
	bytes = (uint32_t)vector_unhex(
		json_string_value(json_object_get(v, "bytes")), raw, sizeof raw);
	data = copy_exact(raw, bytes);
	want = reason_named(json_string_value(json_object_get(v, "reason")));
	if (strcmp(json_string_value(json_object_get(v, "side")), "packed") == 0) {
		check_packed(v, data, bytes, want);
		free_exact(data);
		return;
	}
	got = strcmp(json_string_value(json_object_get(v, "side")), "client") == 0 ?
		pe_wire_check_reply(data, bytes, &view) :
		pe_wire_check(data, bytes, &view);
	if (got != want)
		fail(pe_reason_info[got].name);
	CU_ASSERT_EQUAL(got, want);
	if (got == PE_REASON_none && want == PE_REASON_none) {
		check_record_reasons(v, &view);
		// A reason that is newer than this build can be read but not written.
		if (json_object_get(v, "header") && strcmp(current, "ack-newer-reason") != 0) {
			check_fields(v, data, bytes, &view);
			encoded_count++;
		}
	}
	free_exact(data);
	checked_count++;
}

static void test_all_vectors(void)
{
	DIR *dir = opendir(vectors_path);
	unsigned files = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		size_t n = strlen(e->d_name);
		char path[4096];
		json_error_t error;
		json_t *root, *list;

		if (n < 5 || strcmp(e->d_name + n - 5, ".json") != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", vectors_path, e->d_name);
		root = json_load_file(path, 0, &error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(root);
		CU_ASSERT_EQUAL(
			json_integer_value(json_object_get(root, "protocol")), PE_WIRE_VERSION);
		list = json_object_get(root, "vectors");
		CU_ASSERT_TRUE(json_array_size(list) > 0);
		for (size_t i = 0; i < json_array_size(list); i++)
			check_vector(json_array_get(list, i));
		json_decref(root);
		files++;
	}
	closedir(dir);
	printf("%u files, %u vectors, %u encoded again ", files, checked_count, encoded_count);
	CU_ASSERT_TRUE(files >= 9);
	CU_ASSERT_TRUE(checked_count >= 500);
	CU_ASSERT_TRUE(encoded_count >= 20);
}

// | nr | `reason` | form | code | `counter` | told | test |: each reason has its row, in order, as
// in the list.
static void test_page(void)
{
	FILE *page = fopen(page_path, "r");
	char line[4096];
	unsigned next = 1;

	CU_ASSERT_PTR_NOT_NULL_FATAL(page);
	while (fgets(line, sizeof line, page)) {
		unsigned number, code;
		char name[64], form[512], counter[64];
		const struct pe_reason_info *info;
		char want[80];

		if (sscanf(line, "| %u | `%63[a-z0-9_]` | %511[^|] | 0x%x | `%63[a-z0-9_]` |",
			    &number, name, form, &code, counter) != 5)
			continue;
		CU_ASSERT_EQUAL_FATAL(number, next);
		CU_ASSERT_TRUE_FATAL(number < PE_REASON_COUNT);
		info = &pe_reason_info[number];
		snprintf(want, sizeof want, "%s_%s",
			info->verdict == PE_VERDICT_DROPPED ? "dropped" : "refused", info->name);
		CU_ASSERT_STRING_EQUAL(name, info->name);
		CU_ASSERT_EQUAL(code, info->code);
		CU_ASSERT_STRING_EQUAL(counter, want);
		next++;
	}
	fclose(page);
	CU_ASSERT_EQUAL(next, PE_REASON_COUNT);
}

int main(int argc, char **argv)
{
	static const struct testing_case cases[] = {
		{"vectors", test_all_vectors},
		{"the page's table of bad input", test_page},
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s <folder of vectors> <docs/protocol.md>\n", argv[0]);
		return 64;
	}
	vectors_path = argv[1];
	page_path = argv[2];
	return testing_main("wire vectors", cases, sizeof cases / sizeof cases[0]);
}
