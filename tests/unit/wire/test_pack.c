// Packed answers: what is unpacked is what was packed; what is not sound is refused, and nothing is
// written beside the room.
#include "testing.h"
#include "wire/pack.h"

#include <string.h>

static struct pe_pack_scratch scratch;
static _Alignas(64) uint8_t zstd_packs[1 << 18], zstd_unpacks[1 << 18];
static enum pe_pack_method method = PE_PACKED_LZ4;
static uint8_t results[PE_PACKED_PLAIN_MAX], message[PE_WIRE_BYTES_MAX];
// Behind it a byte that must stay.
static uint8_t plain[PE_UNPACKED_BYTES_MAX + 1];

static void make_whole(unsigned count, uint64_t *random, bool alike)
{
	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_result r = {.position = {1000 + i, 2000, 1.5},
			.age_ms = 100,
			.distance_m = 3,
			.ttl_left = 300,
			.entity_type = PE_ENTITY_MOBILE};

		memcpy(r.entity_id, &i, sizeof i);
		r.entity_id[15] = 1;
		if (!alike) {
			uint64_t a = testing_random(random), b = testing_random(random);

			memcpy(r.entity_id, &a, sizeof a);
			r.position[0] = (double)(int64_t)testing_random(random);
			r.position[1] = (double)(int64_t)b;
			r.age_ms = (int32_t)testing_random(random);
		}
		memcpy(results + i * sizeof r, &r, sizeof r);
	}
}

static void make_short(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_short r = {.entity_id = {1, (uint8_t)i, (uint8_t)(i >> 8)},
			.position = {i, 2.0 * i, 3}};

		memcpy(results + i * sizeof r, &r, sizeof r);
	}
}

static void make_cells(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_cell c = {.centre = {64.0 * i, 32, 0},
			.count = 1 + i,
			.size_m = 64,
			.height_m = 1024};

		memcpy(results + i * sizeof c, &c, sizeof c);
	}
}

static struct pe_wire_answer head(uint16_t flags)
{
	return (struct pe_wire_answer){
		.query_id = 7, .flags = flags, .request_sequence = 99, .stream_id = 5, .part = 3};
}

static uint32_t pack(uint16_t flags, unsigned count, uint32_t size)
{
	const struct pe_wire_header header = {.sequence = 4, .timestamp_ms = 5, .stream_id = 5};
	const struct pe_wire_answer answer = head(flags);

	return pe_wire_put_packed(
		message, size, &header, &answer, results, count, method, &scratch);
}

static enum pe_reason unpack(const uint8_t *data, uint32_t bytes, struct pe_wire_view *view)
{
	enum pe_reason reason;

	plain[PE_UNPACKED_BYTES_MAX] = 0xA5;
	reason = pe_wire_unpack(data, bytes, plain, view, &scratch);
	CU_ASSERT_EQUAL(plain[PE_UNPACKED_BYTES_MAX], 0xA5);
	return reason;
}

static void expect_same(uint16_t flags, unsigned count)
{
	uint32_t bytes = pack(flags, count, PE_WIRE_BYTES_MAX), offset = 0;
	struct pe_wire_answer answer;
	struct pe_wire_view view;
	const uint8_t *found;

	CU_ASSERT_FATAL(bytes > 0 && bytes <= PE_WIRE_BYTES_MAX);
	CU_ASSERT(pe_wire_is_packed(message, bytes));
	// To who didn't ask for it it is no answer.
	CU_ASSERT_EQUAL(pe_wire_check_reply(message, bytes, &view), PE_REASON_header_flags);
	CU_ASSERT_EQUAL_FATAL(unpack(message, bytes, &view), PE_REASON_none);
	CU_ASSERT_EQUAL(view.header.sequence, 4);
	CU_ASSERT_EQUAL(view.header.flags, 0);
	CU_ASSERT_EQUAL(view.count, 1);
	CU_ASSERT(pe_wire_next_answer(&view, &offset, &answer, &found));
	CU_ASSERT_EQUAL(answer.query_id, 7);
	CU_ASSERT_EQUAL(answer.part, 3);
	CU_ASSERT_EQUAL(answer.flags, flags);
	CU_ASSERT_EQUAL_FATAL(answer.result_count, count);
	CU_ASSERT_EQUAL(memcmp(found, results, count * pe_answer_result_bytes(flags)), 0);
	CU_ASSERT_FALSE(pe_wire_next_answer(&view, &offset, &answer, &found));
}

static void there_and_back(void)
{
	for (unsigned count = 1; count <= 100; count++) {
		make_whole(count, NULL, true);
		expect_same(0, count);
		make_short(count);
		expect_same(PE_ANSWER_SHORT, count);
		make_cells(count);
		expect_same(PE_ANSWER_CELLS | PE_ANSWER_LAST, count);
	}
	// The most there may be.
	memset(results, 0, sizeof results);
	make_cells(PE_PACKED_PLAIN_MAX / 48);
	CU_ASSERT_EQUAL(pack(PE_ANSWER_CELLS, PE_PACKED_PLAIN_MAX / 48 + 1, PE_WIRE_BYTES_MAX), 0);
}

static void what_has_no_room(void)
{
	uint64_t random = 3;
	uint32_t bytes;

	make_whole(200, &random, false);
	CU_ASSERT_EQUAL(pack(0, 200, PE_WIRE_BYTES_MAX), 0);
	CU_ASSERT_EQUAL(pack(0, 0, PE_WIRE_BYTES_MAX), 0);
	CU_ASSERT_EQUAL(pack(PE_ANSWER_DETAILED, 1, PE_WIRE_BYTES_MAX), 0);
	make_whole(30, NULL, true);
	bytes = pack(0, 30, PE_WIRE_BYTES_MAX);
	CU_ASSERT(bytes > 136 && bytes < 600);
	// In any room: whole or not at all, and nothing behind it.
	for (uint32_t size = 0; size < bytes; size++) {
		memset(message, 0xEE, sizeof message);
		CU_ASSERT_EQUAL(pack(0, 30, size), 0);
		for (uint32_t i = size; i < sizeof message; i++)
			if (message[i] != 0xEE) {
				CU_FAIL("written behind the room");
				break;
			}
	}
}

static void refused(void)
{
	struct pe_wire_view view;
	uint8_t whole[PE_WIRE_BYTES_MAX + 1] = {0};
	struct pe_wire_answer answer;
	uint32_t bytes;

	make_whole(40, NULL, true);
	bytes = pack(0, 40, PE_WIRE_BYTES_MAX);
	memcpy(whole, message, bytes);
	memcpy(&answer, whole + 80, sizeof answer);
	for (uint32_t cut = 0; cut < bytes; cut++)
		CU_ASSERT_NOT_EQUAL(unpack(whole, cut, &view), PE_REASON_none);
	CU_ASSERT_EQUAL(unpack(whole, bytes + 1, &view), PE_REASON_length);
	CU_ASSERT_EQUAL(unpack(whole, sizeof whole, &view), PE_REASON_length);
	// Each field of the packed head, and the answer's that it depends on.
	for (unsigned i = 0; i < 8; i++) {
		memcpy(message, whole, bytes);
		message[128 + i] ^= 1;
		CU_ASSERT_NOT_EQUAL(unpack(message, bytes, &view), PE_REASON_none);
		CU_ASSERT_PTR_NULL(view.records);
	}
	for (unsigned wrong = 0; wrong <= 65535; wrong += wrong < 300 ? 1 : 255) {
		struct pe_wire_answer other = answer;

		if (wrong == 40)
			continue;
		memcpy(message, whole, bytes);
		other.result_count = (uint16_t)wrong;
		memcpy(message + 80, &other, sizeof other);
		CU_ASSERT_NOT_EQUAL(unpack(message, bytes, &view), PE_REASON_none);
	}
	memcpy(message, whole, bytes);
	answer.flags = PE_ANSWER_DETAILED;
	memcpy(message + 80, &answer, sizeof answer);
	CU_ASSERT_EQUAL(unpack(message, bytes, &view), PE_REASON_body_reserved);
	// What unpacks well and is no sound answer: a nil id.
	memset(results, 0, 16);
	bytes = pack(0, 40, PE_WIRE_BYTES_MAX);
	CU_ASSERT_EQUAL(unpack(message, bytes, &view), PE_REASON_id_nil);
	CU_ASSERT_EQUAL(view.count, 0);
}

// Bytes changed at random, and random bytes behind a sound head: refused, or an answer that is
// sound. ASan and the byte behind `plain` see what is written elsewhere.
static void random_blocks(void)
{
	uint64_t seed = 11, random = seed, runs = testing_amount(200000), good = 0;
	uint8_t whole[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	printf("seed %llu ", (unsigned long long)seed);
	make_whole(64, &random, true);
	bytes = pack(0, 64, PE_WIRE_BYTES_MAX);
	memcpy(whole, message, bytes);
	for (uint64_t run = 0; run < runs; run++) {
		unsigned changes = 1 + testing_random(&random) % 4;
		struct pe_wire_view view;
		uint8_t *exact;

		memcpy(message, whole, bytes);
		for (unsigned i = 0; i < changes; i++)
			message[80 + testing_random(&random) % (bytes - 80)] =
				(uint8_t)testing_random(&random);
		if (run % 8 == 0)
			for (uint32_t i = 136; i < bytes; i++)
				message[i] = (uint8_t)testing_random(&random);
		exact = malloc(bytes);
		memcpy(exact, message, bytes);
		good += unpack(exact, bytes, &view) == PE_REASON_none;
		free(exact);
	}
	printf("%llu of %llu were sound ", (unsigned long long)good, (unsigned long long)runs);
}

static void by_zstd(void)
{
	if (!scratch.zstd_packs)
		return;
	method = PE_PACKED_ZSTD;
	there_and_back();
	what_has_no_room();
	refused();
	random_blocks();
	method = PE_PACKED_LZ4;
}

// A frame of raw blocks, written by hand: of so many bytes in its header (−1: it doesn't say), the
// lanes of 40 results in it. Its bytes.
static uint32_t put_frame(
	uint8_t *to, uint32_t magic, int says, const uint8_t *lanes, uint32_t bytes)
{
	const uint32_t block = 1 | bytes << 3;
	uint32_t at = 4;

	memcpy(to, &magic, 4);
	if (says < 0) {
		to[at++] = 0;    // no size
		to[at++] = 0x50; // a window of 1 MiB
	} else {
		to[at++] = 0x60; // one segment, a size of two bytes
		to[at++] = (uint8_t)(says - 256);
		to[at++] = (uint8_t)((says - 256) >> 8);
	}
	memcpy(to + at, &block, 3);
	memcpy(to + at + 3, lanes, bytes);
	return at + 3 + bytes;
}

// A message around what is in message[136 …], of 8 results.
static enum pe_reason unpack_frame(uint32_t frame_bytes)
{
	struct pe_wire_packed packed = {
		.method = PE_PACKED_ZSTD, .packed_bytes = (uint16_t)frame_bytes};
	struct pe_wire_view view;

	memcpy(message + 128, &packed, sizeof packed);
	return unpack(message, 136 + frame_bytes, &view);
}

static void frames(void)
{
	enum { COUNT = 8, BYTES = COUNT * 64, MAGIC = 0xFD2FB528 };
	uint8_t lanes[BYTES], *frame = message + 136;
	uint32_t bytes;

	if (!scratch.zstd_packs)
		return;
	make_whole(COUNT, NULL, true);
	CU_ASSERT_FATAL(pack(0, COUNT, PE_WIRE_BYTES_MAX) > 0); // its head
	for (unsigned i = 0; i < COUNT; i++)
		for (unsigned k = 0; k < 64; k++)
			lanes[k * COUNT + i] = results[i * 64 + k];
	bytes = put_frame(frame, MAGIC, BYTES, lanes, BYTES);
	CU_ASSERT_EQUAL(unpack_frame(bytes), PE_REASON_none);
	// A byte more and a byte less, in the message and in the frame's own word.
	CU_ASSERT_EQUAL(unpack_frame(bytes + 1), PE_REASON_length);
	CU_ASSERT_EQUAL(unpack_frame(bytes - 1), PE_REASON_length);
	for (int says = BYTES - 2; says < BYTES + 3; says++)
		CU_ASSERT_EQUAL(unpack_frame(put_frame(frame, MAGIC, says, lanes, BYTES)),
			says == BYTES ? PE_REASON_none : PE_REASON_length);
	CU_ASSERT_EQUAL(
		unpack_frame(put_frame(frame, MAGIC, BYTES, lanes, BYTES - 64)), PE_REASON_length);
	// One that doesn't say; older formats; one to be skipped; two of them; none.
	CU_ASSERT_EQUAL(unpack_frame(put_frame(frame, MAGIC, -1, lanes, BYTES)), PE_REASON_length);
	for (uint32_t old = 0xFD2FB51E; old < MAGIC; old++)
		CU_ASSERT_EQUAL(
			unpack_frame(put_frame(frame, old, BYTES, lanes, BYTES)), PE_REASON_length);
	bytes = put_frame(frame, 0x184D2A50, BYTES, lanes, BYTES);
	memcpy(frame + 4, &(uint32_t){8}, 4);
	CU_ASSERT_EQUAL(unpack_frame(16), PE_REASON_length);
	bytes = put_frame(frame + 16, MAGIC, BYTES, lanes, BYTES);
	CU_ASSERT_EQUAL(unpack_frame(16 + bytes), PE_REASON_length);
	bytes = put_frame(frame, MAGIC, 256, lanes, 256);
	bytes += put_frame(frame + bytes, MAGIC, 256, lanes + 256, 256);
	CU_ASSERT_EQUAL(unpack_frame(bytes), PE_REASON_length);
	CU_ASSERT_EQUAL(unpack_frame(0), PE_REASON_length);
	CU_ASSERT_EQUAL(unpack_frame(3), PE_REASON_length);
	// One that repeats a byte for far longer than there is room, whatever it says.
	for (unsigned says = BYTES; says < 65792; says += 16320) {
		const uint32_t block = 3 | 100000 << 3;

		bytes = put_frame(frame, MAGIC, (int)says, lanes, 0);
		memcpy(frame + 7, &block, 3);
		frame[10] = 0x5A;
		CU_ASSERT_EQUAL(unpack_frame(11), PE_REASON_length);
	}
	(void)bytes;
	// A scratch without a context reads none.
	bytes = put_frame(frame, MAGIC, BYTES, lanes, BYTES);
	scratch.zstd_unpacks = NULL;
	CU_ASSERT_EQUAL(unpack_frame(bytes), PE_REASON_length);
	CU_ASSERT(pe_wire_zstd_start(&scratch, false, zstd_unpacks, sizeof zstd_unpacks));
	CU_ASSERT_EQUAL(unpack_frame(bytes), PE_REASON_none);
	CU_ASSERT_FALSE(pe_wire_zstd_start(&scratch, true, zstd_packs, 100));
	CU_ASSERT(pe_wire_zstd_start(&scratch, true, zstd_packs, pe_wire_zstd_bytes(true)));
	// What one method makes the other doesn't read.
	make_whole(40, NULL, true);
	for (method = PE_PACKED_LZ4; method <= PE_PACKED_ZSTD; method++) {
		struct pe_wire_view view;

		bytes = pack(0, 40, PE_WIRE_BYTES_MAX);
		message[128] ^= 3;
		CU_ASSERT_EQUAL(unpack(message, bytes, &view), PE_REASON_length);
	}
	method = PE_PACKED_LZ4;
}

int main(void)
{
	static const struct testing_case cases[] = {{"there and back", there_and_back},
		{"what has no room", what_has_no_room}, {"refused", refused},
		{"random blocks", random_blocks}, {"by Zstandard", by_zstd}, {"frames", frames}};

	if (!pe_wire_pack_able())
		testing_skip("this build has no LZ4");
	if (pe_wire_zstd_bytes(true) &&
		(!pe_wire_zstd_start(&scratch, true, zstd_packs, pe_wire_zstd_bytes(true)) ||
			!pe_wire_zstd_start(
				&scratch, false, zstd_unpacks, pe_wire_zstd_bytes(false))))
		return 1;
	return testing_main("wire-pack", cases, sizeof cases / sizeof cases[0]);
}
