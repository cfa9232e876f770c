// Details: kept, replaced, found by filters, answered, bounded, ordered like updates, never lost to
// a threshold and gone with their entity.
#include "testing_details.h"

static void kept_and_answered(void)
{
	struct pe_details_blocks b;

	start_keeping(1 << 20);
	begin(1, 1, 5);
	detailed_orientation(&d, 0, 0, 0.6f, 0.8f);
	detailed_context(&d, "sailing", "ferry blue");
	detailed_number(&d, "draught", 7);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	b = blocks_of(1);
	CU_ASSERT_EQUAL(b.mask,
		PE_DETAILS_BIT(PE_DETAILS_ORIENTATION) | PE_DETAILS_BIT(PE_DETAILS_CONTEXT) |
			PE_DETAILS_BIT(PE_DETAILS_METADATA));
	CU_ASSERT(tagged(1, "ferry") && tagged(1, "blue") && !tagged(1, "red"));
	CU_ASSERT_EQUAL(number_of(1, "draught"), 7);
	ASSERT_AT(1, 5);
	// A change of one name leaves the others and the rest.
	begin(1, 2, 6);
	detailed_number(&d, "crew", 12);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(number_of(1, "draught"), 7);
	CU_ASSERT_EQUAL(number_of(1, "crew"), 12);
	CU_ASSERT(tagged(1, "ferry"));
	begin(1, 3, 6);
	detailed_remove(&d, "draught");
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(number_of(1, "draught"), INT64_MIN);
	CU_ASSERT_EQUAL(number_of(1, "crew"), 12);
	// A context replaces; what has no bytes takes away.
	begin(1, 4, 6);
	detailed_put(&d, PE_DETAILS_ORIENTATION, "", 0);
	detailed_context(&d, NULL, "red");
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	b = blocks_of(1);
	CU_ASSERT_PTR_NULL(b.content[PE_DETAILS_ORIENTATION]);
	CU_ASSERT(tagged(1, "red") && !tagged(1, "ferry"));
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, details_changed), 4);
	// The same again changes nothing, and nothing at all is left in the end.
	begin(1, 5, 6);
	detailed_context(&d, NULL, "red");
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, details_changed), 4);
	begin(1, 6, 6);
	detailed_context(&d, NULL, "");
	detailed_remove(&d, "crew");
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(blocks_of(1).mask, 0);
	stop();
}

static void plain_updates_leave_them(void)
{
	struct pe_wire_update u[2];

	start_keeping(1 << 20);
	begin(1, 1, 5);
	detailed_number(&d, "draught", 7);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	u[0] = harness_update(1, 2, 7, 0, 0);
	(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, u, 1, false);
	harness_turn(&h);
	ASSERT_AT(1, 7);
	CU_ASSERT_EQUAL(number_of(1, "draught"), 7);
	// With an acknowledgement, into another cell, behind a crossing that is being settled, with
	// a cap.
	for (unsigned i = 3; i < 40; i++) {
		u[0] = harness_update(1, i, 100.0 * i, 0, 0);
		u[0].frequency = i % 7 == 0 ? 30 : 0;
		(void)send(&u[0]);
		CU_ASSERT_EQUAL(number_of(1, "draught"), 7);
		if (i % 3 == 0)
			harness_settle(&h);
		if (i % 5 == 0)
			harness_advance(&h, 2500);
	}
	// Nothing of them without being asked, and nothing of the engine's own in what is shown.
	{
		struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);

		harness_ask(&h, 0, PLANE, &q, &a);
		CU_ASSERT_EQUAL(a.count, 1);
		CU_ASSERT_EQUAL(a.details_bytes, 0);
		CU_ASSERT_EQUAL(a.results[0].state, PE_STATE_ACTIVE);
	}
	stop();
}

static void gone_with_their_entity(void)
{
	struct pe_wire_update u;

	start_keeping(1 << 20);
	begin(1, 1, 5);
	detailed_number(&d, "draught", 7);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	ASSERT_STATUS(withdraw(1, 2), PE_ACK_APPLIED);
	ASSERT_GONE(1);
	u = harness_update(1, 3, 1, 0, 0);
	(void)send(&u);
	harness_settle(&h);
	CU_ASSERT_EQUAL(blocks_of(1).mask, 0);
	// And by ttl.
	begin(2, 1, 5);
	detailed_number(&d, "draught", 8);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	harness_advance(&h, 30000);
	CU_ASSERT_EQUAL(blocks_of(2).mask, 0xFFFF);
	u = harness_update(2, 2, 1, 0, 0);
	(void)send(&u);
	harness_settle(&h);
	CU_ASSERT_EQUAL(blocks_of(2).mask, 0);
	stop();
}

static void ordered_like_updates(void)
{
	struct pe_wire_ack_record acks[PE_UPDATE_COUNT_MAX];
	uint8_t many[3 * 256];
	enum pe_reason refused;
	uint32_t used = 0;
	uint64_t sequence;

	start_keeping(1 << 20);
	begin(1, 5, 5);
	detailed_number(&d, "a", 5);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	begin(1, 5, 6);
	detailed_number(&d, "a", 6);
	ASSERT_REFUSED(send_details(), stale);
	begin(1, 4, 6);
	detailed_number(&d, "a", 4);
	ASSERT_REFUSED(send_details(), stale);
	CU_ASSERT_EQUAL(number_of(1, "a"), 5);
	// Three in one packet: one after the other, none covers another.
	for (unsigned i = 0; i < 3; i++) {
		begin(1, 10 + i, 7);
		detailed_number(&d, (const char *[]){"b", "c", "d"}[i], i);
		memcpy(many + used, d.bytes, pe_wire_detailed_next(d.bytes));
		used += pe_wire_detailed_next(d.bytes);
	}
	sequence = harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, many, used, 3, true);
	harness_turn(&h);
	CU_ASSERT_EQUAL(harness_acks(&h, sequence, acks, &refused), 3);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_STATUS(acks[i], PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(number_of(1, "b"), 0);
	CU_ASSERT_EQUAL(number_of(1, "c"), 1);
	CU_ASSERT_EQUAL(number_of(1, "d"), 2);
	// Between plain updates of the same burst, before and behind it.
	for (unsigned i = 0; i < 3; i++) {
		struct pe_wire_update u = harness_update(1, 20 + i, 8 + i, 0, 0);

		if (i == 1) {
			detailed_begin(&d, &u);
			detailed_number(&d, "b", 99);
			(void)harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes,
				pe_wire_detailed_next(d.bytes), 1, false);
		} else {
			(void)harness_queue_updates(&h, PLANE, HARNESS_INCARNATION, &u, 1, false);
		}
	}
	harness_turn(&h);
	CU_ASSERT_EQUAL(number_of(1, "b"), 99);
	ASSERT_AT(1, 10);
	stop();
}

// What a threshold holds back is the position alone.
static void thresholds_hold_positions_back(void)
{
	struct pe_engine_config config = harness_config();

	for (unsigned way = 0; way < 3; way++) {
		config.details_bytes = 1 << 20;
		config.spaces[PLANE].coalesce_distance_m = way == 0 ? 10 : 0;
		config.spaces[PLANE].coalesce_interval_ms = way == 1 ? 5000 : 0;
		config.spaces[PLANE].frequency_default = way == 2 ? 6 : 0;
		start_with(&config);
		begin(1, 1, 5);
		ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
		begin(1, 2, 6);
		detailed_number(&d, "a", 2);
		(void)send_details();
		CU_ASSERT_EQUAL(number_of(1, "a"), 2);
		begin(1, 3, 7);
		detailed_number(&d, "b", 3);
		ASSERT_STATUS(send_details(), PE_ACK_COALESCED);
		CU_ASSERT_EQUAL(number_of(1, "a"), 2);
		CU_ASSERT_EQUAL(number_of(1, "b"), 3);
		begin(1, 4, 7.5);
		detailed_remove(&d, "a");
		ASSERT_STATUS(send_details(), PE_ACK_COALESCED);
		CU_ASSERT_EQUAL(number_of(1, "a"), INT64_MIN);
		harness_advance(&h, 10000);
		ASSERT_AT(1, 7.5);
		CU_ASSERT_EQUAL(number_of(1, "b"), 3);
		stop();
	}
}

static void found_by_filters(void)
{
	struct pe_filter_writer w;
	struct pe_value seven = {.type = PE_VALUE_I64, .bytes = 8, .whole = 7};

	start_keeping(1 << 20);
	for (unsigned n = 1; n <= 10; n++) {
		begin(n, 1, n);
		if (n % 2)
			detailed_context(&d, n % 4 == 1 ? "sailing" : NULL, "ferry");
		if (n % 3 == 0)
			detailed_number(&d, "draught", n);
		ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	}
	for (uint16_t flags = 0; flags <= PE_QUERY_WITH_DETAILS; flags += PE_QUERY_WITH_DETAILS) {
		pe_filter_begin(&w);
		pe_filter_put_text(&w, PE_FILTER_TAG, (const uint8_t *)"ferry", 5);
		CU_ASSERT_EQUAL(ask_filter(&w, flags), 5);
		pe_filter_put(&w, PE_FILTER_NOT, 0, 0);
		CU_ASSERT_EQUAL(ask_filter(&w, flags), 5);
		pe_filter_begin(&w);
		pe_filter_put_text(&w, PE_FILTER_ACTIVITY, (const uint8_t *)"sailing", 7);
		CU_ASSERT_EQUAL(ask_filter(&w, flags), 3);
		pe_filter_begin(&w);
		pe_filter_put_values(&w, PE_FILTER_META, PE_FILTER_LESS, (const uint8_t *)"draught",
			7, &seven, 1);
		CU_ASSERT_EQUAL(ask_filter(&w, flags), 2);
		pe_filter_begin(&w);
		pe_filter_put_text(&w, PE_FILTER_META_EXISTS, (const uint8_t *)"draught", 7);
		pe_filter_put_text(&w, PE_FILTER_TAG, (const uint8_t *)"ferry", 5);
		pe_filter_put(&w, PE_FILTER_AND, 0, 0);
		CU_ASSERT_EQUAL(ask_filter(&w, flags), 2);
	}
	stop();
}

// One name with so many bytes.
static void put_bytes(const char *name, uint16_t bytes)
{
	static uint8_t value[PE_VALUE_BYTES_MAX];
	_Alignas(8) uint8_t change[PE_METADATA_BYTES_MAX];
	struct pe_entry e = {.name = (const uint8_t *)name,
		.name_bytes = (uint8_t)strlen(name),
		.value = {.type = PE_VALUE_BYTES, .bytes = bytes, .data = value}};

	pe_metadata_begin(change);
	CU_ASSERT_EQUAL(pe_metadata_set_change(change, &e), PE_BLOCK_SOUND);
	detailed_put(&d, PE_DETAILS_METADATA, change, pe_block_bytes(change, sizeof change));
}

static void too_large(void)
{
	static const char longest[] = "abcdefghabcdefghabcdefghabcdefgh";
	char tags[9 * 33] = "";

	start_keeping(1 << 20);
	// More names than there may be.
	for (unsigned i = 0; i < 17; i++) {
		begin(1, 1 + i, 1);
		detailed_number(&d, (char[]){(char)('a' + i), 0}, i);
		if (i < 16)
			ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
		else
			ASSERT_REFUSED(send_details(), details_large);
	}
	CU_ASSERT_EQUAL(number_of(1, "p"), 15);
	CU_ASSERT_EQUAL(number_of(1, "q"), INT64_MIN);
	// The pair is free again: nothing was changed.
	begin(1, 17, 1);
	detailed_number(&d, "a", 100);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	// The largest that fits, and then one block more.
	begin(2, 1, 1);
	put_bytes("v", 1000);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	begin(2, 2, 1);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(tags + strlen(tags), longest, 31);
		strcat(tags, (char[]){(char)('a' + i), ' ', 0});
	}
	tags[strlen(tags) - 1] = 0;
	detailed_context(&d, longest, tags);
	ASSERT_REFUSED(send_details(), details_large);
	CU_ASSERT(!tagged(2, "x"));
	// 8 + 8 + 1024 of metadata leave 216 bytes for the rest of PE_DETAILS_BYTES_MAX.
	begin(2, 2, 1);
	detailed_orientation(&d, 1, 0, 0, 0);
	detailed_context(&d, NULL, "x");
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT(tagged(2, "x"));
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, details_large), 2);
	stop();
}

static void full(void)
{
	struct pe_wire_update u;
	unsigned kept = 0;

	start_keeping(2048); // a piece
	for (unsigned n = 1; n <= 40; n++) {
		struct pe_wire_ack_record ack;

		begin(n, 1, n);
		detailed_number(&d, "draught", n); // 24 bytes of metadata: one unit
		ack = send_details();
		if (ack.status == PE_ACK_APPLIED)
			kept++;
		else
			ASSERT_REFUSED(ack, details_full);
	}
	CU_ASSERT_EQUAL(kept, 32);
	CU_ASSERT_EQUAL(HARNESS_REASON(&h, details_full), 8);
	// Who has none is served on, and who has some keeps them; what a change needs besides is
	// refused.
	u = harness_update(50, 1, 1, 1, 1);
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	begin(1, 2, 1);
	detailed_number(&d, "draught", 100);
	ASSERT_REFUSED(send_details(), details_full);
	CU_ASSERT_EQUAL(number_of(1, "draught"), 1);
	// Those that go give their room back, after a grace period.
	for (unsigned n = 1; n <= 32; n++)
		ASSERT_STATUS(withdraw(n, 3), PE_ACK_APPLIED);
	begin(60, 1, 1);
	detailed_number(&d, "draught", 1);
	ASSERT_REFUSED(send_details(), details_full);
	harness_settle(&h);
	begin(60, 1, 1);
	put_bytes("v", 1000); // whole pieces come together again
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	stop();
}

static void none_are_kept(void)
{
	start();
	begin(1, 1, 1);
	detailed_number(&d, "draught", 1);
	ASSERT_REFUSED(send_details(), details_full);
	begin(1, 1, 1);
	detailed_put(&d, PE_DETAILS_PAYLOAD, "hello", 5);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(blocks_of(1).mask, 0);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, payloads), 1);
	stop();
}

static void payloads(void)
{
	static uint8_t payload[PE_PAYLOAD_BYTES_MAX + 1];

	start_keeping(1 << 20);
	begin(1, 1, 1);
	detailed_put(&d, PE_DETAILS_PAYLOAD, payload, PE_PAYLOAD_BYTES_MAX);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(blocks_of(1).mask, 0);
	begin(1, 2, 1);
	detailed_put(&d, PE_DETAILS_PAYLOAD, payload, PE_PAYLOAD_BYTES_MAX + 1);
	ASSERT_REFUSED(send_details(), details_content);
	begin(1, 1, 1);
	detailed_put(&d, PE_DETAILS_PAYLOAD, payload, 1);
	ASSERT_REFUSED(send_details(), stale);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, payloads), 1);
	stop();
}

// Results of all lengths in parts, to a trusted source and to one that is not.
static void answers_of_many_lengths(void)
{
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	static uint8_t met[1 + 100];
	unsigned pages = 0, total = 0;

	start_keeping(1 << 20);
	for (unsigned n = 1; n <= 100; n++) {
		begin(n, 1, 20 * n);
		if (n % 3)
			put_bytes("v", (uint16_t)(n * 37 % 900));
		ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	}
	ask_all();
	CU_ASSERT_EQUAL(a.count, 100);
	CU_ASSERT(a.part_count > 20);
	q.flags |= PE_QUERY_WITH_DETAILS;
	q.kind = PE_QUERY_NEAREST;
	q.max_results = 50;
	harness_ask(&h, 0, PLANE, &q, &a);
	CU_ASSERT_EQUAL(a.count, 50);
	for (unsigned i = 0; i < a.count; i++) {
		struct pe_details_blocks b;

		CU_ASSERT_EQUAL(harness_id_number(a.results[i].entity_id), i + 1);
		pe_wire_get_details(a.details + a.details_at[i], &b);
		CU_ASSERT_EQUAL(b.mask, (i + 1) % 3 ? PE_DETAILS_BIT(PE_DETAILS_METADATA) : 0);
		if ((i + 1) % 3)
			CU_ASSERT_EQUAL(b.bytes[PE_DETAILS_METADATA],
				8 + pe_entry_bytes(1, (i + 1) * 37 % 900));
	}
	// A stranger asks ten at once to have room, pages through, and meets everyone once.
	h.untrusted = true;
	q = harness_sphere(0, 0, 0, 1e6);
	q.flags |= PE_QUERY_WITH_DETAILS;
	do {
		struct pe_wire_query ten[PE_QUERY_COUNT_MAX];
		uint64_t sequence;

		for (unsigned i = 0; i < PE_QUERY_COUNT_MAX; i++) {
			ten[i] = i ? harness_sphere(-1e5, 0, 0, 1) : q;
			ten[i].query_id = i + 1;
		}
		sequence = harness_queue_queries(&h, PLANE, ten, 5);
		harness_turn(&h);
		harness_answer(&h, sequence, 1, &a);
		CU_ASSERT(a.whole);
		for (unsigned i = 0; i < a.count; i++)
			CU_ASSERT(met[harness_id_number(a.results[i].entity_id)]++ == 0);
		total += a.count;
		q.flags |= PE_QUERY_HAS_CURSOR;
		memcpy(q.cursor, a.cursor, sizeof q.cursor);
		// Its details are more than what it may be sent: ask for the rest without them.
		if (a.truncated && !a.count)
			q.flags ^= PE_QUERY_WITH_DETAILS;
		else
			q.flags |= PE_QUERY_WITH_DETAILS;
	} while (a.truncated && ++pages < 1000);
	CU_ASSERT_EQUAL(total, 100);
	CU_ASSERT(pages > 10);
	stop();
}

static void schedules(void)
{
	uint64_t opening;
	struct pe_wire_update u = harness_update(1, 1, 1, 0, 0);

	start_keeping(1 << 20);
	u.entity_type = PE_ENTITY_RECURRING;
	u.ttl_ms = 3600000;
	ASSERT_REFUSED(send(&u), schedule_missing);
	detailed_begin(&d, &u);
	ASSERT_REFUSED(send_details(), schedule_missing);
	// Open for 10 s of each minute, from 20 s from now on.
	opening = h.now.wall_ms + 20000;
	detailed_schedule(&d, opening, 60000, 10000);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	for (unsigned s = 0; s < 200; s++) {
		bool open = h.now.wall_ms % 60000 >= opening % 60000 &&
			h.now.wall_ms % 60000 < opening % 60000 + 10000;

		CU_ASSERT_EQUAL(sees(1, NULL), open);
		CU_ASSERT_EQUAL(blocks_of(1).mask == 0xFFFF, !open);
		harness_advance(&h, 1000);
	}
	// A plain update of it is taken; not without its schedule.
	u.sequence = 2;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	u.sequence = 3;
	detailed_begin(&d, &u);
	detailed_put(&d, PE_DETAILS_SCHEDULE, "", 0);
	ASSERT_REFUSED(send_details(), schedule_missing);
	// As another type it is there always, and remembers.
	u.entity_type = PE_ENTITY_MOBILE;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	CU_ASSERT_EQUAL(sees(1, NULL), 1);
	u.sequence = 4;
	u.entity_type = PE_ENTITY_RECURRING;
	ASSERT_STATUS(send(&u), PE_ACK_APPLIED);
	stop();
}

static void open_times(void)
{
	const struct pe_wire_schedule s = {1000000, 1000, 300};

	for (uint64_t t = 1000000; t < 1000000 + 5000; t++)
		CU_ASSERT_EQUAL(pe_schedule_open(&s, t), (t - 1000000) % 1000 < 300);
	for (uint64_t t = 1000000 - 5000; t < 1000000; t++)
		CU_ASSERT_EQUAL(pe_schedule_open(&s, t), t % 1000 < 300);
	CU_ASSERT(pe_schedule_open(&(struct pe_wire_schedule){UINT64_MAX, 1, 1}, 0));
	CU_ASSERT(pe_schedule_open(&(struct pe_wire_schedule){0, UINT32_MAX, UINT32_MAX}, 7));
}

// Records that arrive at the wrong worker take their details along, in parcels that are given back.
static void across_workers(void)
{
	struct pe_engine_config config = harness_config();
	struct pe_wire_query q = harness_sphere(0, 0, 0, 1e6);
	unsigned right = 0;

	config.worker_count = 2;
	config.details_bytes = 4 << 20;
	config.entity_count_max = 4000;
	start_with(&config);
	for (unsigned round = 1; round <= 12; round++) {
		for (unsigned n = 1; n <= 200; n++) {
			struct pe_wire_update u = harness_update(n, round, n, round, 0);

			u.ttl_ms = 10000000;
			detailed_begin(&d, &u);
			detailed_context(&d, NULL, "ferry");
			detailed_number(&d, "n", round * 1000 + n);
			(void)harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes,
				pe_wire_detailed_next(d.bytes), 1, true);
			harness_turn_worker(&h, (n + round) & 1);
		}
		harness_settle(&h);
	}
	CU_ASSERT(HARNESS_COUNTER(&h, records_forwarded) > 1000);
	CU_ASSERT_EQUAL(HARNESS_COUNTER(&h, records_applied), 12 * 200);
	q.flags |= PE_QUERY_WITH_DETAILS;
	for (unsigned worker = 0; worker < 2; worker++) {
		harness_ask(&h, worker, PLANE, &q, &a);
		CU_ASSERT_EQUAL(a.count, 200);
		for (unsigned i = 0; i < a.count; i++) {
			struct pe_details_blocks b;
			struct pe_value v;

			pe_wire_get_details(a.details + a.details_at[i], &b);
			CU_ASSERT(pe_metadata_find(b.content[PE_DETAILS_METADATA],
				b.bytes[PE_DETAILS_METADATA], (const uint8_t *)"n", 1, &v));
			right += v.whole ==
				12000 + (int64_t)harness_id_number(a.results[i].entity_id);
		}
	}
	CU_ASSERT_EQUAL(right, 400);
	// More than the ring takes are dropped, and none of their parcels is lost: afterwards as
	// many find one as before.
	for (unsigned flood = 0; flood < 3; flood++) {
		for (unsigned i = 0; i < 5000; i++) {
			uint64_t n = 1 + i % 200;
			struct pe_wire_update u =
				harness_update(n, 1000 + flood * 5000 + i, n, 0, 0);

			u.ttl_ms = 10000000;
			detailed_begin(&d, &u);
			detailed_number(&d, "n", i);
			(void)harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes,
				pe_wire_detailed_next(d.bytes), 1, false);
			if (h.queue_count == PE_BURST_MAX)
				harness_turn_worker(&h, 1);
		}
		harness_settle(&h);
	}
	CU_ASSERT(HARNESS_REASON(&h, ring_full) > 1000);
	{
		uint64_t dropped = HARNESS_REASON(&h, ring_full);

		for (unsigned i = 0; i < 400; i++) {
			struct pe_wire_update u = harness_update(1 + i % 200, 100000 + i, 1, 1, 0);

			detailed_begin(&d, &u);
			detailed_number(&d, "n", i);
			(void)harness_queue_detailed(&h, PLANE, HARNESS_INCARNATION, d.bytes,
				pe_wire_detailed_next(d.bytes), 1, false);
			if (h.queue_count == PE_BURST_MAX)
				harness_turn_worker(&h, 1);
		}
		harness_settle(&h);
		CU_ASSERT_EQUAL(HARNESS_REASON(&h, ring_full), dropped);
	}
	stop();
}

static void refused(void)
{
	start_keeping(1 << 20);
	begin(1, 1, 1);
	detailed_orientation(&d, 0, 0, 0, 1);
	d.bytes[4] = 1;
	ASSERT_REFUSED(send_details(), details_form);
	begin(1, 1, 1);
	detailed_orientation(&d, 0, 0, 0, 2);
	ASSERT_REFUSED(send_details(), details_content);
	// What is wrong with the update in it is told like an update's.
	begin(0, 1, 1);
	ASSERT_REFUSED(send_details(), id_nil);
	begin(1, 1, 1e300);
	ASSERT_REFUSED(send_details(), out_of_bounds);
	begin(1, 1, 1);
	d.bytes[8 + 78 + 1] = 0x10;
	ASSERT_REFUSED(send_details(), record_reserved);
	ASSERT_GONE(1);
	// Nothing of it is left: the pair is free.
	begin(1, 1, 1);
	detailed_orientation(&d, 0, 0, 0, 1);
	ASSERT_STATUS(send_details(), PE_ACK_APPLIED);
	stop();
}

static void memory_is_said(void)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	struct pe_engine_config config = harness_config();
	struct pe_engine *engine;
	struct pe_error error;

	start_keeping(1 << 20);
	pe_engine_print_plan(h.engine, out);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "details"));
	free(text);
	stop();
	config.details_bytes = PE_DETAILS_BYTES_TOTAL_MAX + 1;
	CU_ASSERT_EQUAL(pe_engine_create(&config, &engine, &error), PE_INVALID);
}

TESTING_MAIN("engine: details", {"kept and answered", kept_and_answered},
	{"plain updates leave them", plain_updates_leave_them},
	{"gone with their entity", gone_with_their_entity},
	{"ordered like updates", ordered_like_updates},
	{"thresholds hold positions back", thresholds_hold_positions_back},
	{"found by filters", found_by_filters}, {"too large", too_large}, {"full", full},
	{"none are kept", none_are_kept}, {"payloads", payloads},
	{"answers of many lengths", answers_of_many_lengths}, {"schedules", schedules},
	{"open times", open_times}, {"across workers", across_workers}, {"refused", refused},
	{"memory is said", memory_is_said})
