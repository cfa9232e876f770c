// Bulk publishing: what is filled in place is what travels, whatever the transport takes and
// whatever is called in between.
#include "client/bulk.h"
#include "client/internal.h"
#include "testing.h"
#include "wire/half.h"

#include <math.h>
#include <string.h>

#define ARRIVED_MAX 4096

// Takes so many datagrams and then none.
static struct {
	unsigned room;
	unsigned count, malformed;
	unsigned records[ARRIVED_MAX];
	struct pe_wire_header headers[ARRIVED_MAX];
	struct pe_wire_update first[ARRIVED_MAX];
	uint8_t last[PE_WIRE_BYTES_MAX];
} way;

static int way_send(void *context, const struct iovec *messages, unsigned count)
{
	(void)context;
	for (unsigned i = 0; i < count; i++) {
		struct pe_wire_view view;

		if (!way.room || way.count == ARRIVED_MAX)
			return (int)i;
		way.room--;
		if (pe_wire_check(messages[i].iov_base, (uint32_t)messages[i].iov_len, &view) !=
			PE_REASON_none) {
			way.malformed++;
			continue;
		}
		memcpy(way.last, messages[i].iov_base, messages[i].iov_len);
		pe_wire_get_update(&view, 0, &way.first[way.count]);
		way.records[way.count] = view.count;
		way.headers[way.count++] = view.header;
	}
	return (int)count;
}

static int way_receive(void *context, struct iovec *messages, unsigned count, int timeout_ms)
{
	(void)context, (void)messages, (void)count, (void)timeout_ms;
	return 0;
}

static int way_descriptor(const void *context)
{
	(void)context;
	return -1;
}

static void way_close(void *context)
{
	(void)context;
}

static const struct presence_transport transport = {
	way_send, way_receive, way_descriptor, way_close};
static struct presence_client *client;

static void begin(unsigned room)
{
	const struct presence_options options = {.stream_id = 9, .incarnation = 1000};

	memset(&way, 0, sizeof way);
	way.room = room;
	CU_ASSERT_EQUAL_FATAL(presence_open_over(&transport, NULL, &options, &client), PRESENCE_OK);
}

static struct presence_record record(unsigned n)
{
	struct presence_record r = {.sequence = n, .type = PRESENCE_MOBILE, .position = {n}};

	presence_id_from_u64("bulk", n, r.id);
	return r;
}

static enum presence_result put(unsigned n, unsigned count)
{
	struct presence_record *records;
	enum presence_result result = presence_reserve(client, NULL, &records);

	CU_ASSERT_EQUAL(records != NULL, result == PRESENCE_OK);
	for (unsigned i = 0; i < count && !result; i++)
		records[i] = record(n + i);
	return result ? result : presence_commit(client, count, false, NULL);
}

// Byte for byte what presence_submit_updates makes of the same, but for what names the packet.
static void in_place(void)
{
	const uint8_t space[16] = {1, 2, 3};
	struct presence_update updates[PRESENCE_BATCH_MAX] = {0};
	uint8_t submitted[PE_WIRE_BYTES_MAX];
	uint64_t a, b;

	begin(10);
	for (unsigned i = 0; i < PRESENCE_BATCH_MAX; i++) {
		updates[i] = (struct presence_update){.position = {i, -1.5 * i, 1e6},
			.velocity = {1.25f, -(float)i, 70000},
			.sequence = 7 + i,
			.type = (uint8_t)(i % 4),
			.state = (uint8_t)(i % 4),
			.relocation = i == 3,
			.height_unknown = i == 5,
			.power_mode = (uint8_t)(i % 4),
			.visibility = (uint8_t)((i + 1) % 4),
			.exactness = (uint8_t)(i % 6),
			.ttl_ms = 1000 * i,
			.duration_ms = i,
			.age_ms = (int32_t)i - 3,
			.radius_m = 5,
			.precision_m = 0.5f,
			.position_confidence = i == 2 ? -1 : 0.5f,
			.status_confidence = 1,
			.frequency_per_minute = 60,
			.announced_per_minute = 30};
		presence_id_from_u64("bulk", i, updates[i].id);
	}
	for (unsigned count = 1; count <= PRESENCE_BATCH_MAX; count += 15) {
		struct presence_record *records;

		CU_ASSERT_EQUAL(presence_submit_updates(client, space, updates, count, true, &a),
			PRESENCE_OK);
		CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
		memcpy(submitted, way.last, sizeof submitted);
		CU_ASSERT_EQUAL(presence_reserve(client, space, &records), PRESENCE_OK);
		CU_ASSERT_EQUAL((uintptr_t)records % _Alignof(struct presence_record), 0);
		memset(records, 0xFF, PRESENCE_BATCH_MAX * sizeof *records);
		for (unsigned i = 0; i < count; i++)
			CU_ASSERT(presence_record_from(&records[i], &updates[i]));
		CU_ASSERT_EQUAL(presence_commit(client, count, true, &b), PRESENCE_OK);
		CU_ASSERT_EQUAL(b, a + 1);
		CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
		CU_ASSERT_EQUAL(way.headers[way.count - 1].sequence, b);
		CU_ASSERT(way.headers[way.count - 1].flags == PE_FLAG_ACK);
		// The sequence, the time, and the broadcast id's second half.
		memcpy(submitted + 8, way.last + 8, 16);
		memcpy(submitted + 88, way.last + 88, 8);
		CU_ASSERT_EQUAL(memcmp(submitted, way.last,
					sizeof(struct pe_wire_header) +
						sizeof(struct pe_wire_update_preamble) +
						count * sizeof(struct presence_record)),
			0);
	}
	CU_ASSERT_EQUAL(way.malformed, 0);
	presence_close(client);
}

static void unsayable(void)
{
	struct presence_update update = {.id = {1}, .position = {NAN}};
	struct presence_record r = record(3), before = r;

	CU_ASSERT_FALSE(presence_record_from(&r, &update));
	CU_ASSERT_EQUAL(memcmp(&r, &before, sizeof r), 0);
	CU_ASSERT_EQUAL(pe_half_to_float(presence_half(1.5f)), 1.5f);
	CU_ASSERT_EQUAL(pe_half_to_float(presence_half(-1e9f)), -65504.0f);
	CU_ASSERT_EQUAL(presence_half(0), 0);
}

static void given_back(void)
{
	struct presence_record *records;
	struct presence_update update = {.id = {1}};

	begin(100);
	CU_ASSERT_EQUAL(presence_commit(client, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(presence_error(client), "presence_reserve"));
	CU_ASSERT_EQUAL(presence_commit(client, 0, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(put(1, 0), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_commit(client, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(put(1, 17), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(put(1, 1), PRESENCE_OK);
	// Whatever uses the gathered packets takes the room away.
	CU_ASSERT_EQUAL(presence_reserve(client, NULL, &records), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_commit(client, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_reserve(client, NULL, &records), PRESENCE_OK);
	CU_ASSERT_EQUAL(
		presence_submit_updates(client, NULL, &update, 1, false, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_commit(client, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_reserve(client, NULL, &records), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_poll(client, &(struct presence_events){0}, 1, 0), 0);
	CU_ASSERT_EQUAL(presence_commit(client, 1, false, NULL), PRESENCE_BAD_ARGUMENT);
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(way.count, 2);
	CU_ASSERT_EQUAL(presence_traffic(client).records_sent, 2);
	presence_close(client);
}

static void blocked(void)
{
	unsigned put_count = 0;
	unsigned packets;

	begin(0);
	while (put(put_count * 16 + 1, 16) == PRESENCE_OK)
		put_count++;
	CU_ASSERT_EQUAL(put_count, CLIENT_OUT_MAX);
	CU_ASSERT_EQUAL(put(1, 1), PRESENCE_WOULD_BLOCK);
	CU_ASSERT_PTR_NOT_NULL(strstr(presence_error(client), "presence_socket"));
	way.room = 5;
	CU_ASSERT_EQUAL(presence_flush(client, &packets), PRESENCE_WOULD_BLOCK);
	CU_ASSERT_EQUAL(packets, 5);
	CU_ASSERT_EQUAL(put(put_count++ * 16 + 1, 16), PRESENCE_OK);
	way.room = 100;
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(way.count, put_count);
	for (unsigned i = 0; i < way.count; i++)
		CU_ASSERT_EQUAL(way.first[i].sequence, i * 16 + 1);
	CU_ASSERT_EQUAL(presence_traffic(client).records_sent, put_count * 16);
	presence_close(client);
}

// Any order of calls, and a way that takes what it likes: each record that was committed arrives
// once, in order.
static void any_order(void)
{
	uint64_t seed = 1, random = seed;
	unsigned expected[ARRIVED_MAX], count[ARRIVED_MAX], put_count = 0, n = 1;

	printf("seed %llu ", (unsigned long long)seed);
	begin(0);
	while (put_count < ARRIVED_MAX - 64) {
		unsigned what = testing_random(&random) % 16,
			 size = 1 + testing_random(&random) % 16;
		struct presence_update update = {.id = {1}, .sequence = n};
		bool taken = false;

		if (testing_random(&random) % 4 == 0)
			way.room += testing_random(&random) % 12;
		if (what < 10) {
			taken = put(n, size) == PRESENCE_OK;
		} else if (what < 12) {
			size = 1;
			taken = presence_submit_updates(client, NULL, &update, 1, false, NULL) ==
				PRESENCE_OK;
		} else if (what < 13) {
			(void)!put(n, 0);
		} else {
			(void)!presence_flush(client, NULL);
		}
		if (taken) {
			expected[put_count] = n;
			count[put_count++] = size;
			n += size;
		}
	}
	way.room = ARRIVED_MAX;
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL_FATAL(way.count, put_count);
	CU_ASSERT_EQUAL(way.malformed, 0);
	for (unsigned i = 0; i < put_count; i++) {
		CU_ASSERT_EQUAL(way.first[i].sequence, expected[i]);
		CU_ASSERT_EQUAL(way.records[i], count[i]);
	}
	CU_ASSERT_EQUAL(presence_traffic(client).records_sent, n - 1);
	presence_close(client);
}

// What was submitted stays gathered, also when something is sent meanwhile that has no room either.
static void sent_behind(void)
{
	struct presence_update update = {.sequence = 1};
	uint64_t sequence;
	size_t sent = 9;

	presence_id_from_u64("bulk", 1, update.id);
	begin(0);
	CU_ASSERT_EQUAL(
		presence_submit_updates(client, NULL, &update, 1, true, &sequence), PRESENCE_OK);
	CU_ASSERT_EQUAL(presence_send(client, NULL, &update, 1, &sent), PRESENCE_WOULD_BLOCK);
	CU_ASSERT_EQUAL(sent, 0);
	way.room = 1;
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL_FATAL(way.count, 1);
	CU_ASSERT_EQUAL(way.headers[0].sequence, sequence);
	// With room for the one, and none for the other: that one isn't sent later.
	CU_ASSERT_EQUAL(
		presence_submit_updates(client, NULL, &update, 1, true, &sequence), PRESENCE_OK);
	way.room = 1;
	CU_ASSERT_EQUAL(presence_send(client, NULL, &update, 1, &sent), PRESENCE_WOULD_BLOCK);
	CU_ASSERT_EQUAL(sent, 0);
	way.room = 9;
	CU_ASSERT_EQUAL(presence_flush(client, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(way.count, 2);
	presence_close(client);
}

TESTING_MAIN("client-bulk", {"in place", in_place}, {"unsayable", unsayable},
	{"given back", given_back}, {"blocked", blocked}, {"any order", any_order},
	{"sent behind", sent_behind})
