// Packed answers: the same results in the same order, in fewer datagrams; for who asked for it and
// is trusted, and while it is worth it.
#include "testing_engine.h"

static struct harness_answer plain, packed;

#define MANY 900u

static double spacing = 0.5; // m, of those who are alike
static unsigned by_zstd;     // of the last answer's messages

static void put_many(bool alike)
{
	uint64_t random = 5;

	for (unsigned i = 0; i < MANY; i += 12) {
		struct pe_wire_update u[12];

		for (unsigned k = 0; k < 12; k++) {
			unsigned n = 1 + i + k;

			u[k] = harness_update(n, 1, spacing * n, 3, 0);
			if (!alike) {
				for (unsigned b = 0; b < 16; b++)
					u[k].entity_id[b] = (uint8_t)testing_random(&random);
				u[k].position[0] = (double)(int64_t)testing_random(&random) / 1e15;
				u[k].position[1] = (double)(int64_t)testing_random(&random) / 1e15;
				u[k].position[2] = (double)(int64_t)testing_random(&random) / 1e15;
				for (unsigned v = 0; v < 3; v++)
					u[k].velocity[v] = testing_random(&random) & 0x3FFF;
				u[k].precision_m = (float)(testing_random(&random) % 900);
				u[k].ttl_ms = 1000 + testing_random(&random) % 6000000;
				u[k].time_offset_ms = -(int32_t)(testing_random(&random) % 900);
				u[k].position_confidence = (uint8_t)testing_random(&random);
				u[k].status_confidence = (uint8_t)testing_random(&random);
			}
		}
		(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 12, false);
		harness_turn(&h);
	}
	CU_ASSERT_EQUAL(pe_engine_entity_count(h.engine), MANY);
}

static unsigned replies_packed(uint32_t *bytes)
{
	unsigned n = 0;

	*bytes = 0;
	by_zstd = 0;
	for (unsigned i = 0; i < h.reply_count; i++) {
		const uint8_t *data = h.replies[i].data;

		if (pe_wire_is_packed(data, h.replies[i].bytes)) {
			n++;
			by_zstd += data[sizeof(struct pe_wire_header) +
					   sizeof(struct pe_wire_answer)] == PE_PACKED_ZSTD;
		}
		*bytes += h.replies[i].bytes;
	}
	return n;
}

// Both ways; how many messages came packed.
static unsigned ask_both(const struct pe_wire_query *q, const uint8_t *extension, uint32_t bytes)
{
	uint32_t plain_bytes, packed_bytes;
	unsigned n, before;

	h.packed = false;
	harness_ask_extended(&h, 0, PLANE, q, extension, bytes, &plain);
	before = h.reply_count;
	CU_ASSERT_EQUAL(replies_packed(&plain_bytes), 0);
	h.packed = true;
	harness_ask_extended(&h, 0, PLANE, q, extension, bytes, &packed);
	n = replies_packed(&packed_bytes);
	h.packed = false;
	CU_ASSERT(plain.whole && packed.whole);
	CU_ASSERT_EQUAL(plain.code, packed.code);
	CU_ASSERT_EQUAL(plain.truncated, packed.truncated);
	CU_ASSERT_EQUAL(plain.form, packed.form);
	CU_ASSERT_EQUAL(plain.count, packed.count);
	CU_ASSERT_EQUAL(memcmp(plain.cursor, packed.cursor, sizeof plain.cursor), 0);
	CU_ASSERT_EQUAL(
		memcmp(plain.results, packed.results, plain.count * sizeof plain.results[0]), 0);
	CU_ASSERT_EQUAL(
		memcmp(plain.cells, packed.cells,
			plain.form == PE_ANSWER_CELLS ? plain.count * sizeof plain.cells[0] : 0),
		0);
	CU_ASSERT(n == 0 || packed_bytes < plain_bytes);
	CU_ASSERT(h.reply_count <= before);
	return n;
}

static uint32_t put_resolution(uint8_t *extension, const struct pe_wire_resolution *r)
{
	return pe_wire_put_block(extension, 0, 64, PE_BLOCK_RESOLUTION, r, sizeof *r);
}

static void same_results(void)
{
	const struct pe_wire_resolution brief = {.attribute = 0},
					cells = {.spatial_m = 8, .attribute = 0.5f};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);
	uint8_t extension[64];
	uint64_t counted;

	start();
	put_many(true);
	CU_ASSERT(ask_both(&q, NULL, 0) > 5);
	CU_ASSERT_EQUAL(plain.count, MANY);
	counted = HARNESS_COUNTER(&h, tx_packed);
	CU_ASSERT(counted > 5);
	for (unsigned most = 1; most <= MANY; most += most < 70 ? 1 : 83) {
		q.max_results = (uint16_t)most;
		(void)ask_both(&q, NULL, 0);
		CU_ASSERT_EQUAL(plain.count, most);
	}
	q.max_results = 0;
	CU_ASSERT(ask_both(&q, extension, put_resolution(extension, &brief)) > 2);
	CU_ASSERT_EQUAL(plain.form, PE_ANSWER_SHORT);
	CU_ASSERT(ask_both(&q, extension, put_resolution(extension, &cells)) >= 1);
	CU_ASSERT_EQUAL(plain.form, PE_ANSWER_CELLS);
	// One message is enough: nothing to pack.
	q.max_results = 20;
	CU_ASSERT_EQUAL(ask_both(&q, NULL, 0), 0);
	stop();
}

// Whoever takes Zstandard too gets it where it is smaller by a sixteenth, in no more messages than
// otherwise; whoever doesn't, never.
static void smaller_by_zstd(void)
{
	const struct pe_wire_resolution brief = {.attribute = 0},
					cells = {.spatial_m = 8, .attribute = 0.5f};
	struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);
	unsigned lz4, messages, chosen = 0;
	uint8_t extension[64];

	if (!pe_wire_zstd_bytes(true))
		return;
	spacing = 9;
	start();
	put_many(true);
	spacing = 0.5;
	for (unsigned form = 0; form < 3; form++) {
		const struct pe_wire_resolution *r = form == 1 ? &brief : &cells;
		uint32_t bytes = form ? put_resolution(extension, r) : 0;

		h.zstd = false;
		lz4 = ask_both(&q, form ? extension : NULL, bytes);
		messages = h.reply_count;
		CU_ASSERT(lz4 > 1);
		CU_ASSERT_EQUAL(by_zstd, 0);
		h.zstd = true;
		CU_ASSERT(ask_both(&q, form ? extension : NULL, bytes) <= lz4);
		CU_ASSERT(h.reply_count <= messages);
		// The first part is of LZ4, those from the second on are all alike; what came is
		// the same, ask_both says.
		CU_ASSERT(by_zstd == 0 || by_zstd + 1 == replies_packed(&bytes));
		chosen += by_zstd > 0;
	}
	// Of cells at least, which were asked for last.
	CU_ASSERT(by_zstd > 0 && chosen > 0);
	for (unsigned most = 30; most <= MANY; most += 29) {
		q.max_results = (uint16_t)most;
		(void)ask_both(&q, extension, put_resolution(extension, &cells));
	}
	h.zstd = false;
	stop();
}

static void not_worth_it(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 2e6);
	uint64_t before;

	config.spaces[0].ttl_max_ms = 10000000;
	start_with(&config);
	put_many(false);
	(void)ask_both(&q, NULL, 0);
	h.zstd = true;
	(void)ask_both(&q, NULL, 0);
	h.zstd = false;
	CU_ASSERT_EQUAL(plain.count, MANY);
	stop();
	// Who isn't trusted gets what fits, plain.
	start();
	put_many(true);
	h.untrusted = h.packed = true;
	before = HARNESS_COUNTER(&h, tx_packed);
	harness_ask(&h, 0, PLANE, &q, &plain);
	CU_ASSERT(plain.whole);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, tx_packed), before);
	stop();
}

// Several at once, beyond what a turn packs; and buffers that run out.
static void bounds(void)
{
	struct pe_wire_query q[8];
	uint64_t sequence;

	start();
	put_many(true);
	h.packed = true;
	for (unsigned i = 0; i < 8; i++) {
		q[i] = harness_sphere(0, 0, 0, 2e6);
		q[i].query_id = 10 + i;
	}
	sequence = harness_queue_queries(&h, PLANE, q, 8);
	harness_turn(&h);
	for (unsigned i = 0; i < 8; i++) {
		harness_answer(&h, sequence, 10 + i, &packed);
		CU_ASSERT(packed.whole);
		CU_ASSERT_EQUAL(packed.count, MANY);
		// 256 KiB are four of 57 kB and some.
		CU_ASSERT(i < 4 ? packed.part_count < 40 : packed.part_count > 40 || i == 4);
	}
	for (unsigned buffers = 0; buffers < 40; buffers += 3) {
		h.buffers_a_turn = buffers;
		harness_ask(&h, 0, PLANE, &q[0], &packed);
		CU_ASSERT(!packed.whole || packed.count == MANY);
	}
	h.buffers_a_turn = 0;
	harness_ask(&h, 0, PLANE, &q[0], &packed);
	CU_ASSERT(packed.whole && packed.count == MANY);
	stop();
}

int main(void)
{
	static const struct testing_case cases[] = {{"the same results", same_results},
		{"smaller by Zstandard", smaller_by_zstd}, {"not worth it", not_worth_it},
		{"bounds", bounds}};

	if (!pe_wire_pack_able())
		testing_skip("this build has no LZ4");
	return testing_main("engine-packed", cases, sizeof cases / sizeof cases[0]);
}
