// Packed answers as a client takes them: by its waiting calls and by poll, mixed with plain ones,
// and never unasked.
#include "played_way.h"
#include "wire/encode.h"
#include "wire/pack.h"

#include <stdlib.h>
#include <string.h>

// Answers a query with `parts` packed parts of `each` results and a plain one without; what is
// wrong with it is told.
static struct {
	unsigned parts, each;
	bool spoil, unasked, lose_first;
	enum pe_pack_method method;
	unsigned asked;
	uint16_t flags; // of the last query
} way;

static struct pe_pack_scratch scratch;

static void answer(const struct pe_wire_view *view)
{
	struct pe_wire_header header = pe_wire_reply_header(&view->header, 1, 1);
	struct pe_wire_result results[64];
	struct pe_wire_response r;
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint16_t part = 0;

	way.flags = view->header.flags;
	way.asked++;
	played.queued = played.taken = 0;
	for (; part < way.parts; part++) {
		const struct pe_wire_answer a = {.query_id = 1,
			.request_sequence = view->header.sequence,
			.stream_id = view->header.stream_id,
			.part = part};
		uint32_t bytes;

		for (unsigned i = 0; i < way.each; i++) {
			unsigned n = part * way.each + i + 1;

			results[i] = (struct pe_wire_result){
				.position = {n}, .entity_type = PE_ENTITY_MOBILE};
			memcpy(results[i].entity_id, &n, sizeof n);
		}
		bytes = pe_wire_put_packed(data, sizeof data, &header, &a, (const uint8_t *)results,
			way.each, way.method, &scratch);
		if (way.spoil && way.asked == 1)
			data[way.method == PE_PACKED_ZSTD ? 136 : bytes / 2 + 60] ^= 0x55;
		if (!(way.lose_first && way.asked == 1 && part == 1))
			queue(data, bytes);
	}
	pe_wire_response_begin(&r, data, sizeof data);
	CU_ASSERT(
		pe_wire_response_open(&r, 1, view->header.stream_id, view->header.sequence, part));
	pe_wire_response_close(&r, PE_REASON_none, PE_ANSWER_LAST, NULL);
	queue(data, pe_wire_response_finish(&r, &header));
}

static int way_send(void *context, const struct iovec *messages, unsigned count)
{
	(void)context;
	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_view view;

		CU_ASSERT_EQUAL_FATAL(
			pe_wire_check(messages[i].iov_base, (uint32_t)messages[i].iov_len, &view),
			PE_REASON_none);
		answer(&view);
	}
	return (int)count;
}

static int way_descriptor(const void *context)
{
	(void)context;
	return -1;
}

static const struct presence_transport transport = {.send = way_send,
	.receive = played_receive,
	.descriptor = way_descriptor,
	.close = played_close};
static struct presence_client *client;
static enum pe_pack_method method = PE_PACKED_LZ4;
static const struct presence_query sphere = {.volume = PRESENCE_SPHERE, .radius_m = 9};

static void begin(bool pack)
{
	const struct presence_options options = {.timeout_ms = 200, .attempts = 3, .pack = pack};

	memset(&way, 0, sizeof way);
	memset(&played, 0, sizeof played);
	way.parts = 4;
	way.each = 50;
	way.method = method;
	CU_ASSERT_EQUAL_FATAL(presence_open_over(&transport, NULL, &options, &client), PRESENCE_OK);
}

static void expect_all(const struct presence_answer *a)
{
	CU_ASSERT_EQUAL_FATAL(a->count, 200);
	for (unsigned i = 0; i < 200; i++) {
		unsigned n = i + 1;

		CU_ASSERT_EQUAL(memcmp(a->found[i].id, &n, sizeof n), 0);
		CU_ASSERT_EQUAL(a->found[i].position[0], n);
	}
}

static void waited_for(void)
{
	struct presence_answer a;

	begin(true);
	CU_ASSERT_EQUAL(presence_query(client, NULL, &sphere, &a), PRESENCE_OK);
	CU_ASSERT_EQUAL(way.flags, PE_FLAG_PACKED | (pe_wire_zstd_bytes(false) ? PE_FLAG_ZSTD : 0));
	expect_all(&a);
	CU_ASSERT_EQUAL(a.parts, 5);
	CU_ASSERT_EQUAL(presence_traffic(client).packed, 4);
	presence_answer_free(&a);
	presence_close(client);
}

static void lost_and_spoilt(void)
{
	struct presence_answer a;

	for (unsigned spoil = 0; spoil < 2; spoil++) {
		begin(true);
		way.spoil = spoil;
		way.lose_first = !spoil;
		CU_ASSERT_EQUAL(presence_query(client, NULL, &sphere, &a), PRESENCE_OK);
		CU_ASSERT_EQUAL(a.attempts, 2);
		expect_all(&a);
		CU_ASSERT_EQUAL(presence_traffic(client).malformed > 0, spoil);
		presence_answer_free(&a);
		presence_close(client);
	}
}

// To who didn't ask it is no message.
static void unasked(void)
{
	struct presence_answer a;

	begin(false);
	CU_ASSERT_EQUAL(presence_query(client, NULL, &sphere, &a), PRESENCE_INCOMPLETE);
	CU_ASSERT_EQUAL(way.flags, 0);
	CU_ASSERT_EQUAL(presence_traffic(client).malformed, 12);
	CU_ASSERT_EQUAL(presence_traffic(client).packed, 0);
	presence_answer_free(&a);
	presence_close(client);
}

static unsigned found_count;

static void answered(
	void *context, const struct presence_part *part, const struct presence_found *found)
{
	(void)context;
	for (unsigned i = 0; i < part->result_count; i++) {
		unsigned n = part->part * 50 + i + 1;

		CU_ASSERT_EQUAL(memcmp(found[i].id, &n, sizeof n), 0);
		found_count++;
	}
}

static void polled(void)
{
	const struct presence_events events = {.answered = answered};
	uint64_t sequence;

	begin(true);
	found_count = 0;
	CU_ASSERT_EQUAL(presence_submit_query(client, NULL, &sphere, &sequence), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_poll(client, &events, 100, 0), 5);
	CU_ASSERT_EQUAL(found_count, 200);
	presence_close(client);
}

// The same by Zstandard.
static void by_zstd(void)
{
	static _Alignas(64) uint8_t memory[1 << 18];

	if (!pe_wire_zstd_bytes(true))
		return;
	CU_ASSERT_FATAL(pe_wire_zstd_start(&scratch, true, memory, sizeof memory));
	method = PE_PACKED_ZSTD;
	waited_for();
	lost_and_spoilt();
	polled();
	unasked();
}

int main(void)
{
	static const struct testing_case cases[] = {{"waited for", waited_for},
		{"lost and spoilt", lost_and_spoilt}, {"unasked", unasked}, {"polled", polled},
		{"by Zstandard", by_zstd}};

	if (!pe_wire_pack_able())
		testing_skip("this build has no LZ4");
	return testing_main("client-packed", cases, sizeof cases / sizeof cases[0]);
}
