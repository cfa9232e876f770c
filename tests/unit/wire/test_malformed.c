// Every malformed form of every message, and the reason that it must get: each bit of each reserved
// field, each length
// from nothing to beyond the longest, each field out of its range. The rows of docs/protocol.md's
// table name these cases.
#include "testing.h"
#include "testing_wire.h"

#include <math.h>
#include <stddef.h>

struct sample {
	const char *name;
	bool client;        // what a client receives
	uint32_t min_bytes; // header and preamble: from here on a refusal may be answered
	uint8_t reply;      // of a refusal
	uint32_t bytes;
	uint8_t data[PE_WIRE_BYTES_MAX];
};

enum {
	UPDATE,
	WITHDRAW,
	QUERY,
	EXTENDED,
	PING,
	STATE_REQUEST,
	EXPLAIN,
	ERASE,
	ERASED,
	EXPLANATION,
	ACK_UPDATE,
	ACK_WITHDRAW,
	RESPONSE,
	PONG,
	STATE_RESPONSE,
	SAMPLE_COUNT
};
static struct sample samples[SAMPLE_COUNT];

static void make_samples(void)
{
	struct pe_wire_header plain = random_header(0), ack = random_header(PE_FLAG_ACK);
	struct pe_wire_update_preamble preamble = {.incarnation = 1700000000};
	struct pe_wire_update updates[3] = {
		random_update(true), random_update(true), random_update(true)};
	struct pe_wire_withdraw withdraws[2] = {random_withdraw(), random_withdraw()};
	struct pe_wire_query queries[2] = {random_query(true), random_query(true)};
	struct pe_wire_query extended[2] = {random_query(true), random_query(true)};
	const uint8_t extensions[40] = {1};
	struct pe_wire_ping ping = {.opaque = {1, 2}};
	struct pe_wire_state_request request = {.selector = PE_STATE_COUNTERS, .first = 3};
	struct pe_wire_ack_record acks[2] = {pe_wire_ack_record(PE_ACK_APPLIED, PE_REASON_none),
		pe_wire_ack_record(PE_ACK_REFUSED, PE_REASON_stale)};
	struct pe_wire_counter counters[2] = {{.index = 3, .value = 5}, {.index = 4, .value = 6}};
	struct pe_wire_response r;
	struct pe_wire_result result = random_result();
	struct sample *s = samples;
	uint8_t id[16] = {1};

	s[UPDATE] = (struct sample){"update", false, 104, PE_REPLY_ACK};
	s[UPDATE].bytes =
		pe_wire_put_update(s[UPDATE].data, PE_WIRE_BYTES_MAX, &ack, &preamble, updates, 3);
	s[WITHDRAW] = (struct sample){"withdraw", false, 104, PE_REPLY_ACK};
	s[WITHDRAW].bytes = pe_wire_put_withdraw(
		s[WITHDRAW].data, PE_WIRE_BYTES_MAX, &ack, &preamble, withdraws, 2);
	s[QUERY] = (struct sample){"query", false, 80, PE_REPLY_ANSWER};
	s[QUERY].bytes = pe_wire_put_query(s[QUERY].data, PE_WIRE_BYTES_MAX, &plain, queries, 2);
	for (unsigned i = 0; i < 2; i++) {
		extended[i].flags |= PE_QUERY_HAS_EXTENSION;
		extended[i].extension_bytes = i ? 32 : 8;
	}
	s[EXTENDED] = (struct sample){"query with extensions", false, 80, PE_REPLY_ANSWER};
	s[EXTENDED].bytes = pe_wire_put_query_extended(
		s[EXTENDED].data, PE_WIRE_BYTES_MAX, &plain, extended, 2, extensions, 40);
	s[PING] = (struct sample){"ping", false, 80, PE_REPLY_NONE};
	s[PING].bytes = pe_wire_put_ping(s[PING].data, PE_WIRE_BYTES_MAX, &plain, &ping);
	s[STATE_REQUEST] = (struct sample){"state request", false, 80, PE_REPLY_STATE};
	s[STATE_REQUEST].bytes = pe_wire_put_state_request(
		s[STATE_REQUEST].data, PE_WIRE_BYTES_MAX, &plain, &request);
	s[EXPLAIN] = (struct sample){"explain", false, 112, PE_REPLY_EXPLANATION};
	s[EXPLAIN].bytes = pe_wire_put_explain(s[EXPLAIN].data, PE_WIRE_BYTES_MAX, &plain,
		&(struct pe_wire_explain){{1}, PE_EXPLAIN_QUERY, 0, 0}, queries, NULL);
	s[EXPLANATION] = (struct sample){"explanation", true, 80};
	s[EXPLANATION].bytes = pe_wire_put_explanation(s[EXPLANATION].data, PE_WIRE_BYTES_MAX,
		&plain, PE_REASON_none,
		&(struct pe_wire_explanation){.verdict = PE_EXPLAIN_IN, .entity_id = {1}});
	s[ERASE] = (struct sample){"erase", false, 80, PE_REPLY_ERASED};
	s[ERASE].bytes = pe_wire_put_erase(s[ERASE].data, PE_WIRE_BYTES_MAX, &plain,
		&(struct pe_wire_erase){.entity_id = {1}, .incarnation = 5});
	s[ERASED] = (struct sample){"erased", true, 80};
	s[ERASED].bytes = pe_wire_put_erased(s[ERASED].data, PE_WIRE_BYTES_MAX, &plain,
		&(struct pe_wire_erased){
			.entity_id = {1}, .request_sequence = 9, .where = PE_ERASED_RECORD});
	s[ACK_UPDATE] = (struct sample){"acknowledgement of updates", true, 112};
	s[ACK_UPDATE].bytes = pe_wire_put_ack(s[ACK_UPDATE].data, PE_WIRE_BYTES_MAX, &plain,
		PE_TYPE_SPATIAL_UPDATE, id, 9, PE_REASON_none, acks, 2);
	s[ACK_WITHDRAW] = (struct sample){"acknowledgement of withdrawals", true, 112};
	s[ACK_WITHDRAW].bytes = pe_wire_put_ack(s[ACK_WITHDRAW].data, PE_WIRE_BYTES_MAX, &plain,
		PE_TYPE_WITHDRAW, id, 9, PE_REASON_none, acks, 2);
	s[PONG] = (struct sample){"pong", true, 80};
	s[PONG].bytes = pe_wire_put_pong(s[PONG].data, PE_WIRE_BYTES_MAX, &plain, &ping);
	s[STATE_RESPONSE] = (struct sample){"state response", true, 96};
	s[STATE_RESPONSE].bytes = pe_wire_put_state_response(s[STATE_RESPONSE].data,
		PE_WIRE_BYTES_MAX, &plain, &request, 9, 80, PE_REASON_none, counters, 2);
	s[RESPONSE] = (struct sample){"response", true, 80};
	pe_wire_response_begin(&r, s[RESPONSE].data, PE_WIRE_BYTES_MAX);
	if (!pe_wire_response_open(&r, 1, 2, 3, 0) || !pe_wire_response_add(&r, &result) ||
		!pe_wire_response_add(&r, &result))
		abort();
	pe_wire_response_close(&r, PE_REASON_none, PE_ANSWER_LAST, NULL);
	if (!pe_wire_response_open(&r, 2, 2, 3, 0))
		abort();
	pe_wire_response_close(&r, PE_REASON_query_kind, PE_ANSWER_LAST, NULL);
	s[RESPONSE].bytes = pe_wire_response_finish(&r, &plain);
}

static uint8_t reply_got;

// Decodes an exact-size copy; what is refused offers nothing.
static enum pe_reason reason_of(const uint8_t *data, uint32_t bytes, bool client)
{
	struct pe_wire_view view;
	uint8_t *copy = copy_exact(data, bytes);
	enum pe_reason reason;

	memset(&view, 0xAA, sizeof view);
	reason = client ? pe_wire_check_reply(copy, bytes, &view) :
			  pe_wire_check(copy, bytes, &view);
	if (reason != PE_REASON_none) {
		CU_ASSERT_PTR_NULL(view.records);
		CU_ASSERT_EQUAL(view.records_bytes, 0);
		CU_ASSERT_EQUAL(view.count, 0);
	}
	reply_got = view.reply;
	free_exact(copy);
	return reason;
}

static void expect_at(int line, const struct sample *s, enum pe_reason want)
{
	enum pe_reason got = reason_of(s->data, s->bytes, s->client);

	if (got != want)
		fprintf(stderr, "\n  line %d, %s: %s, not %s\n", line, s->name,
			pe_reason_info[got].name, pe_reason_info[want].name);
	CU_ASSERT_EQUAL(got, want);
}
#define EXPECT_REASON(sample, want) expect_at(__LINE__, sample, want)

// Sets each bit of [from, from + bytes), one at a time.
static void each_bit(int sample, uint32_t from, uint32_t bytes, enum pe_reason want)
{
	for (uint32_t bit = 0; bit < bytes * 8; bit++) {
		struct sample s = samples[sample];

		s.data[from + bit / 8] ^= (uint8_t)(1u << bit % 8);
		EXPECT_REASON(&s, want);
		CU_ASSERT_EQUAL(reply_got, samples[sample].reply);
	}
}

static void test_samples_sound(void)
{
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		CU_ASSERT_TRUE_FATAL(samples[i].bytes > 0);
		EXPECT_REASON(&samples[i], PE_REASON_none);
		// and for the other side it is none of its messages
		CU_ASSERT_NOT_EQUAL(
			reason_of(samples[i].data, samples[i].bytes, !samples[i].client),
			PE_REASON_none);
	}
}

static void test_lengths(void)
{
	static uint8_t data[4096];

	for (int i = 0; i < SAMPLE_COUNT; i++)
		for (uint32_t bytes = 0; bytes <= sizeof data; bytes++) {
			enum pe_reason got, want = PE_REASON_length;

			if (bytes == samples[i].bytes)
				continue;
			if (bytes < 80)
				want = PE_REASON_short_header;
			memset(data, 0, sizeof data);
			memcpy(data, samples[i].data, samples[i].bytes);
			got = reason_of(data, bytes, samples[i].client);
			if (got != want)
				fprintf(stderr, "\n  %s, %u bytes: %s\n", samples[i].name, bytes,
					pe_reason_info[got].name);
			CU_ASSERT_EQUAL(got, want);
			CU_ASSERT_EQUAL(reply_got,
				bytes >= samples[i].min_bytes ? samples[i].reply : PE_REPLY_NONE);
		}
}

static void test_version(void)
{
	for (int i = 0; i < SAMPLE_COUNT; i++)
		for (unsigned version = 0; version < 256; version++) {
			struct sample s = samples[i];

			s.data[0] = (uint8_t)version;
			EXPECT_REASON(&s, version == 1 ? PE_REASON_none : PE_REASON_version);
			if (version != 1)
				CU_ASSERT_EQUAL(reply_got, PE_REPLY_NONE);
		}
}

static void test_types(void)
{
	for (unsigned type = 0; type < 256; type++) {
		bool engine_takes = type == PE_TYPE_SPATIAL_UPDATE ||
			type == PE_TYPE_SPATIAL_QUERY || type == PE_TYPE_WITHDRAW ||
			type == PE_TYPE_DETAILED_UPDATE || type == PE_TYPE_PING ||
			type == PE_TYPE_STATE_REQUEST || type == PE_TYPE_EXPLAIN ||
			type == PE_TYPE_REGION_SUBSCRIBE || type == PE_TYPE_ERASE;
		bool client_takes = type == PE_TYPE_SPATIAL_UPDATE || type == PE_TYPE_WITHDRAW ||
			type == PE_TYPE_DETAILED_UPDATE || type == PE_TYPE_SPATIAL_RESPONSE ||
			type == PE_TYPE_PONG || type == PE_TYPE_STATE_RESPONSE ||
			type == PE_TYPE_EXPLAIN || type == PE_TYPE_REGION_SUBSCRIBE ||
			type == PE_TYPE_NOTICE || type == PE_TYPE_ERASED;
		struct sample s = samples[PING];

		s.data[1] = (uint8_t)type;
		if (!engine_takes) {
			EXPECT_REASON(&s, PE_REASON_type_unknown);
			CU_ASSERT_EQUAL(reply_got, PE_REPLY_NONE);
		} else {
			CU_ASSERT_NOT_EQUAL(
				reason_of(s.data, s.bytes, false), PE_REASON_type_unknown);
		}
		s.client = true;
		if (!client_takes)
			EXPECT_REASON(&s, PE_REASON_type_unknown);
		else
			CU_ASSERT_NOT_EQUAL(
				reason_of(s.data, s.bytes, true), PE_REASON_type_unknown);
	}
}

static void test_flags(void)
{
	for (int i = 0; i < SAMPLE_COUNT; i++)
		for (unsigned flags = 0; flags < 65536; flags++) {
			bool carries = i == UPDATE || i == WITHDRAW,
			     ack = i == ACK_UPDATE || i == ACK_WITHDRAW || i == EXPLANATION;
			bool legal = ack ? flags == PE_FLAG_RESPONSE :
					   flags == 0 || (carries && flags == PE_FLAG_ACK) ||
					((i == QUERY || i == EXTENDED) &&
						(flags == PE_FLAG_PACKED ||
							flags == (PE_FLAG_PACKED | PE_FLAG_ZSTD)));
			struct sample s;
			uint16_t word = (uint16_t)flags;

			if (flags >= 16 && (flags & (flags - 1)) && flags != 65535)
				continue; // all small ones, each single bit, and all bits
			s = samples[i];
			memcpy(s.data + 2, &word, 2);
			EXPECT_REASON(&s, legal ? PE_REASON_none : PE_REASON_header_flags);
			if (!legal || !flags)
				CU_ASSERT_TRUE(reply_got == PE_REPLY_NONE || (!flags && !carries));
		}
}

static void test_header_reserved(void)
{
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		each_bit(i, 34, 2, PE_REASON_header_reserved);
		each_bit(i, 36, 4, PE_REASON_header_reserved);
		each_bit(i, 56, 8, PE_REASON_header_reserved);
	}
}

static void test_session_and_tag(void)
{
	for (int i = 0; i < SAMPLE_COUNT; i++) {
		each_bit(i, 24, 8, PE_REASON_session);
		each_bit(i, 64, 16, PE_REASON_tag);
	}
}

// Every count there is, the length kept, then the length made to fit wherever the count is legal.
static void test_counts(void)
{
	static const struct {
		int sample;
		uint32_t fixed, record, min, max;
	} rows[] = {
		{UPDATE, 104, 80, 1, 16},
		{WITHDRAW, 104, 24, 1, 48},
		{QUERY, 80, 128, 1, 10},
		{PING, 80, 16, 1, 1},
		{STATE_REQUEST, 80, 16, 1, 1},
		{EXPLAIN, 112, 128, 1, 1},
		{EXPLANATION, 80, 128, 1, 1},
		{ERASE, 80, 32, 1, 1},
		{ERASED, 80, 32, 1, 1},
		{ACK_UPDATE, 112, 16, 0, 16},
		{ACK_WITHDRAW, 112, 16, 0, 48},
		{PONG, 80, 16, 1, 1},
		{STATE_RESPONSE, 96, 16, 0, 84},
	};
	static uint8_t data[80 + 300 * 128];

	for (unsigned r = 0; r < sizeof rows / sizeof rows[0]; r++)
		for (unsigned count = 0; count < 65536; count += count < 300 ? 1 : 257) {
			const struct sample *s = &samples[rows[r].sample];
			uint32_t legal = rows[r].fixed + count * rows[r].record;
			bool in_range = count >= rows[r].min && count <= rows[r].max;
			uint16_t word = (uint16_t)count;
			enum pe_reason got;

			memcpy(data, s->data, PE_WIRE_BYTES_MAX);
			memcpy(data + 32, &word, 2);
			got = reason_of(data, s->bytes, s->client);
			CU_ASSERT_EQUAL(got,
				!in_range                 ? PE_REASON_count :
					legal == s->bytes ? PE_REASON_none :
							    PE_REASON_length);
			if (in_range) {
				CU_ASSERT_EQUAL(
					reason_of(data, legal - 1, s->client), PE_REASON_length);
				CU_ASSERT_EQUAL(
					reason_of(data, legal + 1, s->client), PE_REASON_length);
				if (!s->client)
					CU_ASSERT_EQUAL(
						reason_of(data, legal, false), PE_REASON_none);
			} else if (count < 300) {
				CU_ASSERT_EQUAL(reason_of(data, legal, s->client), PE_REASON_count);
			}
		}
}

// Every length of an extension, and the flag of each query: what the records say together is what
// the message has.
static void test_extension_lengths(void)
{
	for (unsigned i = 0; i < 2; i++) {
		const uint32_t record = 80 + i * 128;
		struct sample s;

		for (unsigned bytes = 0; bytes < 65536; bytes++) {
			uint16_t word = (uint16_t)bytes;

			s = samples[EXTENDED];
			memcpy(s.data + record + 112, &word, 2);
			EXPECT_REASON(
				&s, bytes == (i ? 32 : 8) ? PE_REASON_none : PE_REASON_length);
		}
		s = samples[EXTENDED];
		s.data[record + 6] &= (uint8_t)~PE_QUERY_HAS_EXTENSION;
		EXPECT_REASON(&s, PE_REASON_length);
		// Without its flag a length is that of nothing, and the record's own fault.
		s = samples[QUERY];
		s.data[record + 112] = 8;
		EXPECT_REASON(&s, PE_REASON_none);
		s.data[record + 6] |= PE_QUERY_HAS_EXTENSION;
		EXPECT_REASON(&s, PE_REASON_length);
	}
}

static void test_body_reserved(void)
{
	struct sample s;

	each_bit(UPDATE, 100, 4, PE_REASON_body_reserved);
	each_bit(WITHDRAW, 100, 4, PE_REASON_body_reserved);
	each_bit(STATE_REQUEST, 84, 12, PE_REASON_body_reserved);
	each_bit(STATE_REQUEST, 80, 2, PE_REASON_body_reserved); // a selector that is not served
	each_bit(EXPLAIN, 96, 4, PE_REASON_body_reserved);       // a selector that is not served
	each_bit(EXPLAIN, 100, 12, PE_REASON_body_reserved);
	each_bit(ERASE, 100, 12, PE_REASON_body_reserved);
	each_bit(ERASED, 80 + 31, 1, PE_REASON_record_reserved);
	each_bit(ERASED, 80 + 25, 3, PE_REASON_record_reserved); // undefined places
	each_bit(ERASED, 80 + 28, 3, PE_REASON_state); // status, code, reason against each other
	each_bit(EXPLANATION, 80 + 16, 3, PE_REASON_body_reserved); // code, reason, verdict
	each_bit(EXPLANATION, 80 + 19, 1, PE_REASON_body_reserved); // a cause without its bit
	each_bit(ACK_UPDATE, 106, 6, PE_REASON_body_reserved);
	each_bit(ACK_WITHDRAW, 106, 6, PE_REASON_body_reserved);
	each_bit(ACK_UPDATE, 104, 2,
		PE_REASON_body_reserved); // code without reason, reason without code
	each_bit(STATE_RESPONSE, 80, 2, PE_REASON_body_reserved);
	each_bit(STATE_RESPONSE, 86, 2, PE_REASON_body_reserved);
	each_bit(STATE_RESPONSE, 98, 6, PE_REASON_record_reserved);
	each_bit(STATE_RESPONSE, 96, 2, PE_REASON_record_reserved); // index out of order
	each_bit(RESPONSE, 80 + 40, 8, PE_REASON_body_reserved);
	each_bit(RESPONSE, 80 + 4, 2, PE_REASON_body_reserved);
	each_bit(RESPONSE, 80 + 24, 16, PE_REASON_body_reserved); // a cursor without TRUNCATED
	each_bit(ACK_UPDATE, 112 + 3, 1, PE_REASON_record_reserved);
	each_bit(ACK_UPDATE, 112 + 1, 2, PE_REASON_state); // APPLIED with a code or a reason
	s = samples[ACK_UPDATE];
	s.data[112] = 5;
	EXPECT_REASON(&s, PE_REASON_state);
	s.data[112] = PE_ACK_REFUSED; // without code and reason
	EXPECT_REASON(&s, PE_REASON_state);
	s = samples[ACK_UPDATE]; // a code of its own and records do not go together
	s.data[104] = PE_CODE_AUTH_FAILED;
	s.data[105] = PE_REASON_session;
	EXPECT_REASON(&s, PE_REASON_count);
}

// Answers that do not fill the message, results that it does not hold.
static void test_response_structure(void)
{
	const uint32_t second = 80 + 48 + 2 * 64; // the answer without results
	struct sample s;

	for (unsigned count = 0; count < 65536; count++) {
		uint16_t word = (uint16_t)count;

		s = samples[RESPONSE];
		memcpy(s.data + 80 + 22, &word, 2);
		if (count == 2)
			continue;
		CU_ASSERT_NOT_EQUAL(reason_of(s.data, s.bytes, true), PE_REASON_none);
	}
	for (unsigned count = 0; count < 65536; count++) {
		uint16_t word = (uint16_t)count;

		s = samples[RESPONSE];
		memcpy(s.data + 32, &word, 2);
		if (count == 2)
			continue;
		EXPECT_REASON(&s, count == 0 || count > 28 ? PE_REASON_count : PE_REASON_length);
	}
	// flags: undefined bits; what contradicts itself
	for (unsigned flags = 0; flags < 65536; flags++) {
		uint16_t word = (uint16_t)flags;

		s = samples[RESPONSE];
		memcpy(s.data + second + 6, &word, 2);
		// refused, query_id 2: the last part, not truncated, not of a whole packet
		EXPECT_REASON(
			&s, flags == PE_ANSWER_LAST ? PE_REASON_none : PE_REASON_body_reserved);
	}
	s = samples[RESPONSE];
	memset(s.data + second, 0, 4); // query_id 0 may be of a whole packet
	s.data[second + 6] = PE_ANSWER_LAST | PE_ANSWER_PACKET;
	EXPECT_REASON(&s, PE_REASON_none);
	s.data[second + 20] = 1; // part 1 of a refusal
	EXPECT_REASON(&s, PE_REASON_body_reserved);
	s = samples[RESPONSE];
	s.data[80 + 6] = PE_ANSWER_LAST | PE_ANSWER_TRUNCATED; // a cursor of zero is the start
	EXPECT_REASON(&s, PE_REASON_none);
	s.data[80 + 24] = 1;
	EXPECT_REASON(&s, PE_REASON_none);
	s.data[80 + 6] = PE_ANSWER_TRUNCATED; // not the last part
	EXPECT_REASON(&s, PE_REASON_body_reserved);
}

// Short results, and cells.
static void test_other_results(void)
{
	const struct pe_wire_short brief = {.entity_id = {1}, .position = {1, 2, 3}};
	const struct pe_wire_cell cell = {
		.centre = {1, 2, 3}, .count = 1, .size_m = 8, .height_m = 1024};
	struct pe_wire_short r = brief;
	struct pe_wire_cell c = cell;

	CU_ASSERT_EQUAL(pe_wire_check_short(&r), PE_REASON_none);
	r.position[2] = NAN; // not known
	CU_ASSERT_EQUAL(pe_wire_check_short(&r), PE_REASON_none);
	r.position[2] = INFINITY;
	CU_ASSERT_EQUAL(pe_wire_check_short(&r), PE_REASON_coordinates);
	for (uint64_t other = 1; other; other <<= 1) { // a NaN of other bits, or none at all
		uint64_t bits = PE_SHORT_HEIGHT_UNKNOWN ^ other;
		double height;

		memcpy(&height, &bits, sizeof height);
		r.position[2] = height;
		CU_ASSERT_EQUAL(pe_wire_check_short(&r),
			isfinite(height) ? PE_REASON_none : PE_REASON_coordinates);
	}
	for (unsigned i = 0; i < 2; i++) {
		r = brief;
		r.position[i] = NAN;
		CU_ASSERT_EQUAL(pe_wire_check_short(&r), PE_REASON_coordinates);
		r.position[i] = -INFINITY;
		CU_ASSERT_EQUAL(pe_wire_check_short(&r), PE_REASON_coordinates);
	}
	r = (struct pe_wire_short){.position = {1, 2, 3}};
	CU_ASSERT_EQUAL(pe_wire_check_short(&r), PE_REASON_id_nil);

	CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_none);
	for (int level = -128; level < 128; level++) {
		c.level = (int8_t)level;
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c),
			level >= -3 && level <= 9 ? PE_REASON_none : PE_REASON_record_reserved);
	}
	for (unsigned flags = 0; flags < 256; flags++) {
		c = cell;
		c.flags = (uint8_t)flags;
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c),
			flags <= PE_CELL_MORE ? PE_REASON_none : PE_REASON_record_reserved);
		c.below_cells = 1;
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c),
			flags == 2 || flags == 3 ? PE_REASON_none : PE_REASON_record_reserved);
	}
	c = cell;
	c.count = 0;
	CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_record_reserved);
	c.flags = PE_CELL_BELOW;
	CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_record_reserved);
	c.below_cells = UINT32_MAX;
	CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_none);
	for (unsigned below = 1; below <= UINT16_MAX; below++) {
		c.below = (uint16_t)below;
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c),
			below < 3 ? PE_REASON_record_reserved : PE_REASON_none);
	}
	c = cell;
	c.below = 5;
	CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_record_reserved);
	for (unsigned i = 0; i < 3; i++) {
		const float bad[] = {NAN, -1, INFINITY};

		c = cell;
		c.centre[i] = (double)bad[2 * (i % 2)];
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_coordinates);
		c = cell;
		c.size_m = bad[i];
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_coordinates);
		c = cell;
		c.height_m = bad[i];
		CU_ASSERT_EQUAL(pe_wire_check_cell(&c), PE_REASON_coordinates);
	}
}

static void test_results(void)
{
	const struct pe_wire_result sound = random_result();
	struct pe_wire_result r = sound;

	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_none);
	memset(r.entity_id, 0, 16);
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_id_nil);
	for (unsigned bit = 0; bit < 8; bit++) {
		r = sound;
		r.reserved = (uint8_t)(1u << bit);
		CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_record_reserved);
		r = sound;
		r.state |= (uint8_t)(1u << bit);
		if (bit >= 5)
			CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_record_reserved);
	}
	for (unsigned type = 0; type < 256; type++) {
		r = sound;
		r.entity_type = (uint8_t)type;
		CU_ASSERT_EQUAL(pe_wire_check_result(&r),
			type > 3 && type < 128 ? PE_REASON_entity_type : PE_REASON_none);
	}
	r = sound;
	r.state = 5;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_state);
	r.state = PE_STATE_BUSY;
	r.custom_state = 1;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_state);
	for (int i = 0; i < 3; i++) {
		r = sound;
		r.position[i] = NAN;
		CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
		r.position[i] = -INFINITY;
		CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
		r = sound;
		r.velocity[i] = 0x7C00;
		CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
	}
	r = sound;
	r.state |= PE_RESULT_HEIGHT_UNKNOWN;
	r.position[2] = 1;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
	r = sound;
	r.distance_m = -1;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
	r.distance_m = NAN;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
	r.distance_m = INFINITY;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_coordinates);
	r = sound;
	r.precision = 0x7E00;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_precision);
	r.precision = 0xBC00;
	CU_ASSERT_EQUAL(pe_wire_check_result(&r), PE_REASON_precision);
}

// Two faults: the order that the protocol promises.
static void test_order(void)
{
	struct sample s = samples[UPDATE];

	s.data[100] = 1;
	EXPECT_REASON(&s, PE_REASON_body_reserved);
	s.data[64] = 1;
	EXPECT_REASON(&s, PE_REASON_tag);
	s.data[24] = 1;
	EXPECT_REASON(&s, PE_REASON_session);
	s.bytes -= 1;
	EXPECT_REASON(&s, PE_REASON_length);
	s.data[32] = 0;
	EXPECT_REASON(&s, PE_REASON_count);
	s.data[34] = 1;
	EXPECT_REASON(&s, PE_REASON_header_reserved);
	s.data[2] = 4;
	EXPECT_REASON(&s, PE_REASON_header_flags);
	s.data[1] = 0x77;
	EXPECT_REASON(&s, PE_REASON_type_unknown);
	s.data[0] = 2;
	EXPECT_REASON(&s, PE_REASON_version);
	s.bytes = 79;
	EXPECT_REASON(&s, PE_REASON_short_header);
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"samples sound", test_samples_sound},
		{"lengths", test_lengths},
		{"version", test_version},
		{"types", test_types},
		{"flags", test_flags},
		{"header reserved", test_header_reserved},
		{"session and tag", test_session_and_tag},
		{"counts", test_counts},
		{"extension lengths", test_extension_lengths},
		{"body reserved", test_body_reserved},
		{"response structure", test_response_structure},
		{"results", test_results},
		{"short results and cells", test_other_results},
		{"order", test_order},
	};

	random_seed();
	make_samples();
	return testing_main("wire malformed", cases, sizeof cases / sizeof cases[0]);
}
