// Whole messages over a way that gives them other sequences, as a session does: what is sent is
// what was given, what comes names the request as its sender does, unsound ones are left aside, and
// answers that came packed are handed on as they would have come plain.
#include "client/message.h"
#include "played_way.h"
#include "wire/encode.h"
#include "wire/erase.h"
#include "wire/explain.h"
#include "wire/pack.h"
#include "wire/subscribe.h"

#include <errno.h>
#include <string.h>

#define OTHER 1000000u // what the way adds to a sequence

static struct {
	int room; // how many are taken; below 0: errno
	uint8_t sent[PE_WIRE_BYTES_MAX];
	size_t sent_bytes;
	// what was handed on
	unsigned count;
	size_t bytes[64];
	uint8_t got[64][PRESENCE_UNPACKED_BYTES_MAX];
} way;
static struct pe_pack_scratch scratch;
static struct presence_client *client;

static int way_send(void *context, const struct iovec *messages, unsigned count)
{
	(void)context;
	CU_ASSERT_EQUAL(count, 1);
	if (way.room < 0)
		errno = -way.room;
	if (way.room <= 0)
		return way.room < 0 ? -1 : 0;
	memcpy(way.sent, messages[0].iov_base, messages[0].iov_len);
	way.sent_bytes = messages[0].iov_len;
	return 1;
}

static int way_descriptor(const void *context)
{
	(void)context;
	return 7;
}

static uint64_t way_original(const void *context, uint64_t sequence)
{
	(void)context;
	return sequence >= OTHER ? sequence - OTHER : sequence;
}

static const struct presence_transport transport = {.send = way_send,
	.receive = played_receive,
	.descriptor = way_descriptor,
	.close = played_close,
	.original = way_original};

static void begin(bool pack)
{
	const struct presence_options options = {.pack = pack};

	memset(&way, 0, sizeof way);
	memset(&played, 0, sizeof played);
	way.room = 1;
	CU_ASSERT_EQUAL_FATAL(presence_open_over(&transport, NULL, &options, &client), PRESENCE_OK);
}

static void came(void *context, const void *message, size_t bytes)
{
	CU_ASSERT_PTR_EQUAL(context, &way);
	CU_ASSERT_FATAL(way.count < 64 && bytes <= sizeof way.got[0]);
	memcpy(way.got[way.count], message, bytes);
	way.bytes[way.count++] = bytes;
}

// One reply of each kind to the request with that sequence; how many.
static unsigned replies(uint64_t sequence, uint8_t to[][PE_WIRE_BYTES_MAX], uint32_t bytes[])
{
	const struct pe_wire_header request = {.stream_id = 5, .sequence = sequence, .count = 1};
	const struct pe_wire_header header = pe_wire_reply_header(&request, 9, 10);
	const struct pe_wire_ack_record record = {.status = PE_ACK_APPLIED};
	const struct pe_wire_erased erased = {
		.entity_id = {1}, .request_sequence = sequence, .where = PE_ERASED_RECORD};
	const struct pe_wire_explanation explanation = {.request_sequence = sequence,
		.query_id = 1,
		.verdict = PE_EXPLAIN_IN,
		.entity_id = {1},
		.age_ms = 1};
	const struct pe_wire_subscribed subscribed = {.subscription_id = 1,
		.epoch = 1,
		.op = 1,
		.fault_index = PE_FAULT_NONE,
		.request_sequence = sequence};
	const struct pe_wire_ping ping = {.opaque = {3}};
	const struct pe_wire_state_request counters = {.selector = 1};
	static const enum pe_type acks[] = {
		PE_TYPE_SPATIAL_UPDATE, PE_TYPE_DETAILED_UPDATE, PE_TYPE_WITHDRAW};
	struct pe_wire_response r;
	unsigned n = 0;

	for (unsigned i = 0; i < 3; i++, n++)
		bytes[n] = pe_wire_put_ack(to[n], PE_WIRE_BYTES_MAX, &header, acks[i],
			(uint8_t[16]){2}, sequence, PE_REASON_none, &record, 1);
	bytes[n] = pe_wire_put_erased(to[n], PE_WIRE_BYTES_MAX, &header, &erased), n++;
	bytes[n] = pe_wire_put_explanation(
		to[n], PE_WIRE_BYTES_MAX, &header, PE_REASON_none, &explanation),
	n++;
	bytes[n] = pe_wire_put_subscribed(to[n], PE_WIRE_BYTES_MAX, &header, &subscribed), n++;
	bytes[n] = pe_wire_put_state_response(
		to[n], PE_WIRE_BYTES_MAX, &header, &counters, sequence, 9, PE_REASON_none, NULL, 0),
	n++;
	bytes[n] = pe_wire_put_pong(to[n], PE_WIRE_BYTES_MAX, &header, &ping), n++;
	pe_wire_response_begin(&r, to[n], PE_WIRE_BYTES_MAX);
	for (unsigned i = 0; i < 3; i++) { // one after the other in one message
		CU_ASSERT(pe_wire_response_open(&r, i + 1, 5, sequence + i, 0));
		pe_wire_response_close(&r, PE_REASON_none, PE_ANSWER_LAST, NULL);
	}
	bytes[n++] = pe_wire_response_finish(&r, &header);
	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_NOT_EQUAL_FATAL(bytes[i], 0);
	return n;
}

// As the engine says them of the sequence that it saw, they come as if it had seen the sender's
// own.
static void named_again(void)
{
	static uint8_t told[16][PE_WIRE_BYTES_MAX], wanted[16][PE_WIRE_BYTES_MAX];
	uint32_t told_bytes[16], wanted_bytes[16];
	unsigned n = replies(77 + OTHER, told, told_bytes);

	CU_ASSERT_EQUAL(replies(77, wanted, wanted_bytes), n);
	begin(false);
	for (unsigned i = 0; i < n; i++)
		queue(told[i], told_bytes[i]);
	CU_ASSERT_EQUAL(presence_message_poll(client, came, &way, 5, 0), 5);
	CU_ASSERT_EQUAL(presence_message_poll(client, came, &way, 64, 0), (int)n - 5);
	CU_ASSERT_EQUAL(presence_message_poll(client, came, &way, 64, 0), 0);
	CU_ASSERT_EQUAL_FATAL(way.count, n);
	for (unsigned i = 0; i < n; i++) {
		CU_ASSERT_EQUAL_FATAL(way.bytes[i], wanted_bytes[i]);
		CU_ASSERT_EQUAL(memcmp(way.got[i], wanted[i], wanted_bytes[i]), 0);
	}
	CU_ASSERT_EQUAL(presence_socket(client), 7);
	presence_close(client);
}

static void unsound(void)
{
	static uint8_t told[16][PE_WIRE_BYTES_MAX];
	uint32_t bytes[16];
	uint64_t state = 20261126;
	unsigned n = replies(77, told, bytes), malformed = 0;
	uint8_t noise[PE_WIRE_BYTES_MAX + 8];

	begin(false);
	for (unsigned i = 0; i < n; i++) {
		queue(told[i], bytes[i] - 1);
		told[i][0] = 2;
		queue(told[i], bytes[i]);
		malformed += 2;
	}
	for (unsigned i = 0; i < 20; i++, malformed++) {
		for (unsigned k = 0; k < sizeof noise; k++)
			noise[k] = (uint8_t)testing_random(&state);
		noise[0] = 3;
		queue(noise, 1 + testing_random(&state) % sizeof noise);
	}
	CU_ASSERT_EQUAL(presence_message_poll(client, came, &way, 64, 0), (int)malformed);
	CU_ASSERT_EQUAL(way.count, 0);
	CU_ASSERT_EQUAL(presence_traffic(client).malformed, malformed);
	presence_close(client);
}

static void sent(void)
{
	uint8_t message[PE_WIRE_BYTES_MAX + 1] = {PE_WIRE_VERSION, PE_TYPE_SPATIAL_QUERY};

	for (unsigned pack = 0; pack < 2; pack++) {
		begin(pack);
		CU_ASSERT_EQUAL(presence_message_send(client, message, 79), PRESENCE_BAD_ARGUMENT);
		CU_ASSERT_EQUAL(
			presence_message_send(client, message, 1453), PRESENCE_BAD_ARGUMENT);
		CU_ASSERT_EQUAL(way.sent_bytes, 0);
		CU_ASSERT_EQUAL(presence_message_send(client, message, 1452), PRESENCE_OK);
		CU_ASSERT_EQUAL(way.sent_bytes, 1452);
		CU_ASSERT_EQUAL(way.sent[2],
			!pack || !pe_wire_pack_able()     ? 0 :
				pe_wire_zstd_bytes(false) ? PE_FLAG_PACKED | PE_FLAG_ZSTD :
							    PE_FLAG_PACKED);
		way.sent[2] = 0;
		CU_ASSERT_EQUAL(memcmp(way.sent, message, 1452), 0);
		message[1] = PE_TYPE_PING;
		CU_ASSERT_EQUAL(presence_message_send(client, message, 96), PRESENCE_OK);
		CU_ASSERT(way.sent_bytes == 96 && way.sent[2] == 0);
		message[1] = PE_TYPE_SPATIAL_QUERY;
		way.room = 0;
		CU_ASSERT_EQUAL(presence_message_send(client, message, 96), PRESENCE_WOULD_BLOCK);
		way.room = -EPERM;
		CU_ASSERT_EQUAL(presence_message_send(client, message, 96), PRESENCE_SYSTEM);
		way.room = -ECONNREFUSED;
		CU_ASSERT_EQUAL(presence_message_send(client, message, 96), PRESENCE_OK);
		presence_close(client);
	}
}

static void unpacked(void)
{
	const struct pe_wire_header header = {.stream_id = 5, .timestamp_ms = 1};
	struct pe_wire_answer answer = {
		.query_id = 1, .request_sequence = 77 + OTHER, .stream_id = 5};
	static struct pe_wire_result results[256];
	uint8_t data[PE_WIRE_BYTES_MAX];
	struct pe_wire_answer got;

	if (!pe_wire_pack_able())
		return;
	for (unsigned i = 0; i < 256; i++)
		results[i] = (struct pe_wire_result){
			.entity_id = {1, (uint8_t)i}, .entity_type = PE_ENTITY_MOBILE};
	for (unsigned asked = 0; asked < 2; asked++) {
		begin(asked);
		for (unsigned count = 1; count <= 256; count *= 4) {
			uint32_t bytes = pe_wire_put_packed(data, sizeof data, &header, &answer,
				(const uint8_t *)results, count, PE_PACKED_LZ4, &scratch);

			queue(data, bytes);
			data[bytes - 1] ^= 0xFF;
			queue(data, bytes - 1);
		}
		CU_ASSERT_EQUAL(presence_message_poll(client, came, &way, 64, 0), 10);
		CU_ASSERT_EQUAL(presence_traffic(client).malformed, asked ? 5 : 10);
		CU_ASSERT_EQUAL_FATAL(way.count, asked ? 5 : 0);
		for (unsigned i = 0, count = 1; i < way.count; i++, count *= 4) {
			CU_ASSERT_EQUAL(way.bytes[i], 128 + 64 * count);
			CU_ASSERT_EQUAL(memcmp(way.got[i] + 128, results, 64 * count), 0);
			memcpy(&got, way.got[i] + 80, sizeof got);
			CU_ASSERT_EQUAL(got.request_sequence, 77);
			CU_ASSERT_EQUAL(got.result_count, count);
			CU_ASSERT_EQUAL(way.got[i][2], 0);
		}
		presence_close(client);
	}
}

int main(void)
{
	static const struct testing_case cases[] = {{"named again", named_again},
		{"unsound", unsound}, {"sent", sent}, {"unpacked", unpacked}};

	return testing_main("client-message", cases, sizeof cases / sizeof cases[0]);
}
