// Every message, written and read again: what goes in comes out, at the exact legal length, and no
// shorter buffer is written to.
#include "testing.h"
#include "testing_wire.h"

#include <math.h>

#define ROUNDS 2000

// Reads what was written, from an odd address; the sent header's fields must come back.
static uint8_t *read_back(const uint8_t *data, uint32_t bytes, bool client,
	const struct pe_wire_header *sent, struct pe_wire_view *view)
{
	uint8_t *copy = copy_exact(data, bytes);
	enum pe_reason reason =
		client ? pe_wire_check_reply(copy, bytes, view) : pe_wire_check(copy, bytes, view);

	CU_ASSERT_EQUAL_FATAL(reason, PE_REASON_none);
	CU_ASSERT_EQUAL(view->header.stream_id, sent->stream_id);
	CU_ASSERT_EQUAL(view->header.sequence, sent->sequence);
	CU_ASSERT_EQUAL(view->header.timestamp_ms, sent->timestamp_ms);
	CU_ASSERT_EQUAL(memcmp(view->header.space_id, sent->space_id, 16), 0);
	CU_ASSERT_EQUAL(view->header.version, PE_WIRE_VERSION);
	return copy;
}

static void test_update(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	for (int round = 0; round < ROUNDS; round++) {
		bool geodetic = random_below(2);
		struct pe_wire_header h = random_header((uint16_t)random_below(2));
		struct pe_wire_update_preamble p = {.incarnation = (uint32_t)random_u64()};
		struct pe_wire_update records[PE_UPDATE_COUNT_MAX], got;
		unsigned count = 1 + random_below(PE_UPDATE_COUNT_MAX);
		struct pe_wire_view view;
		uint32_t bytes;
		uint8_t *copy;

		random_bytes(p.broadcast_id, 16);
		for (unsigned i = 0; i < count; i++)
			records[i] = random_update(geodetic);
		CU_ASSERT_EQUAL(
			pe_wire_put_update(buffer, 104 + count * 80 - 1, &h, &p, records, count),
			0);
		bytes = pe_wire_put_update(buffer, sizeof buffer, &h, &p, records, count);
		CU_ASSERT_EQUAL_FATAL(bytes, 104 + count * 80);
		copy = read_back(buffer, bytes, false, &h, &view);
		CU_ASSERT_EQUAL(view.header.flags, h.flags);
		CU_ASSERT_EQUAL(view.reply, h.flags ? PE_REPLY_ACK : PE_REPLY_NONE);
		CU_ASSERT_EQUAL(view.count, count);
		CU_ASSERT_EQUAL(memcmp(&view.body.update, &p, sizeof p), 0);
		for (unsigned i = 0; i < count; i++) {
			pe_wire_get_update(&view, i, &got);
			CU_ASSERT_EQUAL(memcmp(&got, &records[i], sizeof got), 0);
			CU_ASSERT_EQUAL(pe_wire_check_update(&got,
						geodetic ? &geodetic_limits : &cartesian_limits),
				PE_REASON_none);
		}
		free_exact(copy);
	}
}

static void test_withdraw(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	for (int round = 0; round < ROUNDS; round++) {
		struct pe_wire_header h = random_header((uint16_t)random_below(2));
		struct pe_wire_update_preamble p = {.incarnation = (uint32_t)random_u64()};
		struct pe_wire_withdraw records[PE_WITHDRAW_COUNT_MAX], got;
		unsigned count = 1 + random_below(PE_WITHDRAW_COUNT_MAX);
		struct pe_wire_view view;
		uint32_t bytes;
		uint8_t *copy;

		for (unsigned i = 0; i < count; i++)
			records[i] = random_withdraw();
		CU_ASSERT_EQUAL(
			pe_wire_put_withdraw(buffer, 104 + count * 24 - 1, &h, &p, records, count),
			0);
		bytes = pe_wire_put_withdraw(buffer, sizeof buffer, &h, &p, records, count);
		CU_ASSERT_EQUAL_FATAL(bytes, 104 + count * 24);
		copy = read_back(buffer, bytes, false, &h, &view);
		CU_ASSERT_EQUAL(view.count, count);
		for (unsigned i = 0; i < count; i++) {
			pe_wire_get_withdraw(&view, i, &got);
			CU_ASSERT_EQUAL(memcmp(&got, &records[i], sizeof got), 0);
			CU_ASSERT_EQUAL(pe_wire_check_withdraw(&got), PE_REASON_none);
		}
		free_exact(copy);
	}
}

static void test_query(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	for (int round = 0; round < ROUNDS; round++) {
		bool geodetic = random_below(2);
		struct pe_wire_header h = random_header(0);
		struct pe_wire_query queries[PE_QUERY_COUNT_MAX], got;
		unsigned count = 1 + random_below(PE_QUERY_COUNT_MAX);
		struct pe_wire_view view;
		uint32_t bytes;
		uint8_t *copy;

		for (unsigned i = 0; i < count; i++)
			queries[i] = random_query(geodetic);
		CU_ASSERT_EQUAL(
			pe_wire_put_query(buffer, 80 + count * 128 - 1, &h, queries, count), 0);
		bytes = pe_wire_put_query(buffer, sizeof buffer, &h, queries, count);
		CU_ASSERT_EQUAL_FATAL(bytes, 80 + count * 128);
		copy = read_back(buffer, bytes, false, &h, &view);
		CU_ASSERT_EQUAL(view.reply, PE_REPLY_ANSWER);
		CU_ASSERT_EQUAL(view.count, count);
		for (unsigned i = 0; i < count; i++) {
			pe_wire_get_query(&view, i, &got);
			CU_ASSERT_EQUAL(memcmp(&got, &queries[i], sizeof got), 0);
			CU_ASSERT_EQUAL(pe_wire_check_query(&got, geodetic), PE_REASON_none);
		}
		free_exact(copy);
	}
}

static void test_ping_pong(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header h = random_header(0), reply;
	struct pe_wire_ping ping = {.opaque = {random_u64(), random_u64()}};
	struct pe_wire_view view;
	uint8_t *copy;

	CU_ASSERT_EQUAL(pe_wire_put_ping(buffer, 95, &h, &ping), 0);
	CU_ASSERT_EQUAL(pe_wire_put_ping(buffer, 96, &h, &ping), 96);
	copy = read_back(buffer, 96, false, &h, &view);
	CU_ASSERT_EQUAL(view.reply, PE_REPLY_PONG);
	CU_ASSERT_EQUAL(memcmp(&view.body.ping, &ping, sizeof ping), 0);
	reply = pe_wire_reply_header(&view.header, 77, 1234567);
	CU_ASSERT_EQUAL(reply.stream_id, h.stream_id);
	CU_ASSERT_EQUAL(reply.sequence, 77);
	CU_ASSERT_EQUAL(reply.timestamp_ms, 1234567);
	free_exact(copy);
	CU_ASSERT_EQUAL(pe_wire_put_pong(buffer, 95, &reply, &ping), 0);
	CU_ASSERT_EQUAL(pe_wire_put_pong(buffer, 96, &reply, &ping), 96);
	copy = read_back(buffer, 96, true, &reply, &view);
	CU_ASSERT_EQUAL(memcmp(&view.body.ping, &ping, sizeof ping), 0);
	free_exact(copy);
}

static void test_ack(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	for (int round = 0; round < ROUNDS; round++) {
		struct pe_wire_header h = random_header(0);
		enum pe_type type = random_below(2) ? PE_TYPE_SPATIAL_UPDATE : PE_TYPE_WITHDRAW;
		unsigned count_max =
			type == PE_TYPE_WITHDRAW ? PE_WITHDRAW_COUNT_MAX : PE_UPDATE_COUNT_MAX;
		enum pe_reason refused = random_below(4) ? PE_REASON_none : PE_REASON_space_unknown;
		unsigned count = refused == PE_REASON_none ? 1 + random_below(count_max) : 0;
		struct pe_wire_ack_record records[PE_WITHDRAW_COUNT_MAX], got;
		struct pe_wire_view view;
		uint8_t id[16], *copy;
		uint64_t sequence = random_u64();
		uint32_t bytes;

		random_bytes(id, 16);
		for (unsigned i = 0; i < count; i++) {
			enum pe_reason reason = random_below(2) ?
				1 + random_below(PE_REASON_COUNT - 1) :
				PE_REASON_none;

			records[i] =
				pe_wire_ack_record((enum pe_ack_status)random_below(3), reason);
			records[i].known_incarnation = (uint32_t)random_u64();
			records[i].known_sequence = (uint32_t)random_u64();
			records[i].silence_ms = (uint32_t)random_u64();
		}
		CU_ASSERT_EQUAL(pe_wire_put_ack(buffer, 112 + count * 16 - 1, &h, type, id,
					sequence, refused, records, count),
			0);
		bytes = pe_wire_put_ack(
			buffer, sizeof buffer, &h, type, id, sequence, refused, records, count);
		CU_ASSERT_EQUAL_FATAL(bytes, 112 + count * 16);
		copy = read_back(buffer, bytes, true, &h, &view);
		CU_ASSERT_EQUAL(view.header.flags, PE_FLAG_RESPONSE);
		CU_ASSERT_EQUAL(memcmp(view.body.ack.broadcast_id, id, 16), 0);
		CU_ASSERT_EQUAL(view.body.ack.request_sequence, sequence);
		CU_ASSERT_EQUAL(view.body.ack.reason, refused);
		CU_ASSERT_EQUAL(view.body.ack.code, pe_reason_info[refused].code);
		CU_ASSERT_EQUAL(view.count, count);
		for (unsigned i = 0; i < count; i++) {
			pe_wire_get_ack(&view, i, &got);
			CU_ASSERT_EQUAL(memcmp(&got, &records[i], sizeof got), 0);
		}
		free_exact(copy);
	}
}

static void test_response(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	for (int round = 0; round < ROUNDS; round++) {
		struct pe_wire_header h = random_header(0);
		struct pe_wire_response r;
		struct pe_wire_result results[32], got;
		struct pe_wire_answer answers[32], answer;
		unsigned answer_count = 0, result_count = 0, seen = 0;
		uint32_t size = 128 + random_below(PE_WIRE_BYTES_MAX + 50), bytes, offset = 0;
		struct pe_wire_view view;
		const uint8_t *at;
		uint8_t *copy, *exact = malloc(size < PE_WIRE_BYTES_MAX ? size : PE_WIRE_BYTES_MAX);

		pe_wire_response_begin(&r, exact, size);
		do {
			unsigned room = pe_wire_response_room(&r), n = 0, want = random_below(8);
			struct pe_wire_answer a = {.query_id = (uint32_t)random_u64(),
				.stream_id = (uint32_t)random_u64(),
				.request_sequence = random_u64(),
				.part = (uint16_t)random_u64()};

			if (!pe_wire_response_open(
				    &r, a.query_id, a.stream_id, a.request_sequence, a.part)) {
				CU_ASSERT_EQUAL(room, 0);
				break;
			}
			CU_ASSERT_EQUAL(pe_wire_response_room(&r), room);
			if (random_below(8) == 0) { // one that is taken back leaves no trace
				struct pe_wire_result gone = random_result();

				if (room)
					CU_ASSERT_TRUE(pe_wire_response_add(&r, &gone));
				pe_wire_response_abandon(&r);
				continue;
			}
			for (; n < want; n++) {
				struct pe_wire_result result = random_result();

				if (!pe_wire_response_add(&r, &result))
					break;
				results[result_count + n] = result;
			}
			CU_ASSERT_EQUAL(n, want < room ? want : room);
			if (random_below(3) == 0) {
				a.flags = PE_ANSWER_LAST | PE_ANSWER_TRUNCATED;
				a.cursor[0] = random_u64();
				a.cursor[1] = 1;
			} else {
				a.flags = random_below(2) ? PE_ANSWER_LAST : 0;
			}
			a.result_count = (uint16_t)n;
			pe_wire_response_close(&r, PE_REASON_none, a.flags, a.cursor);
			answers[answer_count++] = a;
			result_count += n;
		} while (random_below(6));
		bytes = pe_wire_response_finish(&r, &h);
		if (!answer_count) {
			CU_ASSERT_EQUAL(bytes, 0);
			free(exact);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(bytes, 80 + answer_count * 48 + result_count * 64);
		CU_ASSERT_TRUE(bytes <= PE_WIRE_BYTES_MAX);
		memcpy(buffer, exact, bytes);
		free(exact);
		copy = read_back(buffer, bytes, true, &h, &view);
		CU_ASSERT_EQUAL(view.count, answer_count);
		for (unsigned i = 0; i < answer_count; i++) {
			CU_ASSERT_TRUE_FATAL(pe_wire_next_answer(&view, &offset, &answer, &at));
			CU_ASSERT_EQUAL(memcmp(&answer, &answers[i], sizeof answer), 0);
			for (unsigned j = 0; j < answer.result_count; j++) {
				pe_wire_get_result(at, j, &got);
				CU_ASSERT_EQUAL(memcmp(&got, &results[seen++], sizeof got), 0);
			}
		}
		CU_ASSERT_FALSE(pe_wire_next_answer(&view, &offset, &answer, &at));
		CU_ASSERT_EQUAL(seen, result_count);
		free_exact(copy);
	}
}

static void test_response_refusal(void)
{
	uint8_t buffer[128];
	struct pe_wire_header h = random_header(0);
	struct pe_wire_response r;
	struct pe_wire_answer answer;
	struct pe_wire_view view;
	const uint8_t *at;
	uint32_t offset = 0;
	uint8_t *copy;

	pe_wire_response_begin(&r, buffer, sizeof buffer);
	CU_ASSERT_TRUE(pe_wire_response_open(&r, 0, 5, 6, 0));
	CU_ASSERT_FALSE(pe_wire_response_open(&r, 0, 5, 6, 0));
	pe_wire_response_close(
		&r, PE_REASON_space_unknown, PE_ANSWER_LAST | PE_ANSWER_PACKET, NULL);
	CU_ASSERT_EQUAL(pe_wire_response_finish(&r, &h), 128);
	copy = read_back(buffer, 128, true, &h, &view);
	CU_ASSERT_TRUE(pe_wire_next_answer(&view, &offset, &answer, &at));
	CU_ASSERT_EQUAL(answer.code, PE_CODE_OUT_OF_BOUNDS);
	CU_ASSERT_EQUAL(answer.reason, PE_REASON_space_unknown);
	CU_ASSERT_EQUAL(answer.stream_id, 5);
	CU_ASSERT_EQUAL(answer.request_sequence, 6);
	free_exact(copy);
}

static void test_state(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];

	for (int round = 0; round < ROUNDS; round++) {
		struct pe_wire_header h = random_header(0);
		struct pe_wire_state_request q = {
			.selector = PE_STATE_COUNTERS, .first = (uint16_t)random_below(1000)};
		struct pe_wire_counter counters[PE_COUNTERS_COUNT_MAX] = {0}, got;
		enum pe_reason refused = random_below(4) ? PE_REASON_none : PE_REASON_not_trusted;
		unsigned count =
			refused == PE_REASON_none ? random_below(PE_COUNTERS_COUNT_MAX + 1) : 0;
		uint64_t sequence = random_u64();
		struct pe_wire_view view;
		uint32_t bytes;
		uint8_t *copy;

		CU_ASSERT_EQUAL(pe_wire_put_state_request(buffer, 95, &h, &q), 0);
		CU_ASSERT_EQUAL(pe_wire_put_state_request(buffer, sizeof buffer, &h, &q), 96);
		copy = read_back(buffer, 96, false, &h, &view);
		CU_ASSERT_EQUAL(view.reply, PE_REPLY_STATE);
		CU_ASSERT_EQUAL(view.body.state_request.first, q.first);
		free_exact(copy);
		for (unsigned i = 0; i < count; i++)
			counters[i] = (struct pe_wire_counter){
				.index = (uint16_t)(q.first + i), .value = random_u64()};
		bytes = pe_wire_put_state_response(
			buffer, sizeof buffer, &h, &q, sequence, 2000, refused, counters, count);
		CU_ASSERT_EQUAL_FATAL(bytes, 96 + count * 16);
		CU_ASSERT_EQUAL(pe_wire_put_state_response(buffer, bytes - 1, &h, &q, sequence,
					2000, refused, counters, count),
			0);
		copy = read_back(buffer, bytes, true, &h, &view);
		CU_ASSERT_EQUAL(view.body.state.request_sequence, sequence);
		CU_ASSERT_EQUAL(view.body.state.total, 2000);
		CU_ASSERT_EQUAL(view.count, count);
		for (unsigned i = 0; i < count; i++) {
			pe_wire_get_counter(&view, i, &got);
			CU_ASSERT_EQUAL(memcmp(&got, &counters[i], sizeof got), 0);
		}
		free_exact(copy);
	}
}

// A writer refuses what a reader would.
static void test_writers_refuse(void)
{
	uint8_t buffer[PE_WIRE_BYTES_MAX];
	struct pe_wire_header h = random_header(0), flagged = random_header(PE_FLAG_RESPONSE),
			      ack = random_header(PE_FLAG_ACK);
	struct pe_wire_update_preamble p = {0};
	static struct pe_wire_update updates[PE_UPDATE_COUNT_MAX + 1];
	static struct pe_wire_withdraw withdraws[PE_WITHDRAW_COUNT_MAX + 1];
	static struct pe_wire_query queries[PE_QUERY_COUNT_MAX + 1];
	static struct pe_wire_ack_record acks[PE_WITHDRAW_COUNT_MAX + 1];
	static struct pe_wire_counter counters[PE_COUNTERS_COUNT_MAX + 1];
	struct pe_wire_state_request q = {0};
	struct pe_wire_response r;
	uint8_t id[16] = {0};

	CU_ASSERT_EQUAL(pe_wire_put_update(buffer, sizeof buffer, &h, &p, updates, 0), 0);
	CU_ASSERT_EQUAL(
		pe_wire_put_update(buffer, 65535, &h, &p, updates, PE_UPDATE_COUNT_MAX + 1), 0);
	CU_ASSERT_EQUAL(pe_wire_put_update(buffer, sizeof buffer, &flagged, &p, updates, 1), 0);
	CU_ASSERT_EQUAL(pe_wire_put_withdraw(buffer, sizeof buffer, &h, &p, withdraws, 0), 0);
	CU_ASSERT_EQUAL(
		pe_wire_put_withdraw(buffer, 65535, &h, &p, withdraws, PE_WITHDRAW_COUNT_MAX + 1),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_withdraw(buffer, sizeof buffer, &flagged, &p, withdraws, 1), 0);
	CU_ASSERT_EQUAL(pe_wire_put_query(buffer, sizeof buffer, &h, queries, 0), 0);
	CU_ASSERT_EQUAL(pe_wire_put_query(buffer, 65535, &h, queries, PE_QUERY_COUNT_MAX + 1), 0);
	CU_ASSERT_EQUAL(pe_wire_put_query(buffer, sizeof buffer, &ack, queries, 1), 0);
	CU_ASSERT_EQUAL(pe_wire_put_ack(buffer, sizeof buffer, &h, PE_TYPE_PING, id, 0,
				PE_REASON_none, acks, 1),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_ack(buffer, sizeof buffer, &h, PE_TYPE_WITHDRAW, id, 0,
				PE_REASON_none, acks, 0),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_ack(buffer, sizeof buffer, &h, PE_TYPE_WITHDRAW, id, 0,
				PE_REASON_tag, acks, 1),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_ack(buffer, 65535, &h, PE_TYPE_SPATIAL_UPDATE, id, 0,
				PE_REASON_none, acks, PE_UPDATE_COUNT_MAX + 1),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_state_response(buffer, 65535, &h, &q, 0, 0, PE_REASON_none,
				counters, PE_COUNTERS_COUNT_MAX + 1),
		0);
	CU_ASSERT_EQUAL(pe_wire_put_state_response(buffer, sizeof buffer, &h, &q, 0, 0,
				PE_REASON_not_trusted, counters, 1),
		0);
	pe_wire_response_begin(&r, buffer, 127);
	CU_ASSERT_EQUAL(pe_wire_response_room(&r), 0);
	CU_ASSERT_FALSE(pe_wire_response_open(&r, 1, 1, 1, 0));
	CU_ASSERT_EQUAL(pe_wire_response_finish(&r, &h), 0);
	pe_wire_response_begin(&r, buffer, 3);
	CU_ASSERT_EQUAL(pe_wire_response_room(&r), 0);
	CU_ASSERT_FALSE(pe_wire_response_open(&r, 1, 1, 1, 0));
}

static void test_half(void)
{
	for (unsigned h = 0; h < 65536; h++) {
		float f = pe_half_to_float((uint16_t)h);

		CU_ASSERT_EQUAL(pe_half_finite((uint16_t)h), isfinite(f));
		if (isfinite(f))
			CU_ASSERT_EQUAL(pe_half_from_float(f), h);
	}
	CU_ASSERT_EQUAL(pe_half_from_float(1e9f), 0x7BFF);
	CU_ASSERT_EQUAL(pe_half_from_float(-1e9f), 0xFBFF);
	CU_ASSERT_EQUAL(pe_half_from_float(INFINITY), 0x7BFF);
	CU_ASSERT_TRUE(isnan(pe_half_to_float(pe_half_from_float(NAN))));
	CU_ASSERT_EQUAL(pe_half_from_float(1.0f), 0x3C00);
	CU_ASSERT_EQUAL(pe_half_from_float(2049.0f), pe_half_from_float(2048.0f)); // ties to even
}

static void test_confidence(void)
{
	for (unsigned c = 1; c < 256; c++)
		CU_ASSERT_EQUAL(pe_confidence_from_float(pe_confidence_to_float((uint8_t)c)), c);
	CU_ASSERT_EQUAL(pe_confidence_to_float(0), -1.0f);
	CU_ASSERT_EQUAL(pe_confidence_to_float(1), 0.0f);
	CU_ASSERT_EQUAL(pe_confidence_to_float(255), 1.0f);
	CU_ASSERT_EQUAL(pe_confidence_from_float(-0.5f), 0);
	CU_ASSERT_EQUAL(pe_confidence_from_float(NAN), 0);
	CU_ASSERT_EQUAL(pe_confidence_from_float(7.0f), 255);
}

static void test_event_time(void)
{
	CU_ASSERT_EQUAL(pe_wire_event_ms(1000, 5, 7), 1005);
	CU_ASSERT_EQUAL(pe_wire_event_ms(1000, -5, 7), 995);
	CU_ASSERT_EQUAL(pe_wire_event_ms(0, -5, 700), 695); // no clock: ours stands in
	CU_ASSERT_EQUAL(pe_wire_event_ms(3, -5, 700), 0);
	// At both ends it stays there.
	CU_ASSERT_EQUAL(pe_wire_event_ms(0x80000000u, INT32_MIN, 700), 0);
	CU_ASSERT_EQUAL(pe_wire_event_ms(0x80000001u, INT32_MIN, 700), 1);
	CU_ASSERT_EQUAL(pe_wire_event_ms(PE_WIRE_BASE_MAX_MS, 5, 700), PE_WIRE_BASE_MAX_MS + 5);
	for (unsigned shift = 0; shift < 63; shift += 2) {
		uint64_t far_ms = UINT64_MAX - (1ull << shift) + 1;

		CU_ASSERT_EQUAL(pe_wire_event_ms(far_ms, INT32_MIN, 700),
			PE_WIRE_BASE_MAX_MS - 0x80000000u);
		CU_ASSERT_EQUAL(
			pe_wire_event_ms(far_ms, INT32_MAX, 700), PE_WIRE_BASE_MAX_MS + INT32_MAX);
	}
}

int main(void)
{
	static const struct testing_case cases[] = {
		{"update", test_update},
		{"withdraw", test_withdraw},
		{"query", test_query},
		{"ping and pong", test_ping_pong},
		{"acknowledgement", test_ack},
		{"response", test_response},
		{"response of a refusal", test_response_refusal},
		{"state request and response", test_state},
		{"writers refuse", test_writers_refuse},
		{"half floats", test_half},
		{"confidences", test_confidence},
		{"event time", test_event_time},
	};

	random_seed();
	return testing_main("wire round trip", cases, sizeof cases / sizeof cases[0]);
}
