// Payloads that come in pieces: each that is whole is one event, whatever the way does to its
// pieces; what is not is none.
#include "watch_client.h"
#include "wire/encode.h"

static uint8_t got[64][PRESENCE_PAYLOAD_MAX];

static void open_watch(const struct presence_watch_options *options)
{
	open_watch_of(options, &fence, 1);
}

static void payload_watched(
	void *context, struct presence_watch *of, const struct presence_watch_event *event)
{
	if (event->kind == PRESENCE_PAYLOAD && seen_count < 64 && event->payload_bytes)
		memcpy(got[seen_count], event->payload, event->payload_bytes);
	watched(context, of, event);
}

// A piece of the payload of that entity, whose bytes are the entity's number and their places.
static void piece(unsigned entity, unsigned number, unsigned bytes, uint64_t time_ms)
{
	struct pe_wire_event *e = &fake.row[fake.count];
	unsigned from = number * PE_PIECE_BYTES;
	struct pe_wire_piece p;

	fake_event(&fake, PE_EVENT_PAYLOAD, (uint8_t)number, 7, entity);
	e->flags = (uint16_t)bytes;
	e->time_ms = time_ms;
	memcpy(&p, &e->result, sizeof p);
	for (unsigned i = 0; i < PE_PIECE_BYTES && from + i < bytes; i++)
		p.bytes[i] = (uint8_t)(entity + (from + i) * 3);
	memcpy(&e->result, &p, sizeof p);
}

static void whole(unsigned entity, unsigned bytes, uint64_t time_ms)
{
	for (unsigned i = 0; i < pe_wire_pieces(bytes); i++)
		piece(entity, i, bytes, time_ms);
}

static void expect_payload(unsigned at, unsigned entity, unsigned bytes, uint64_t time_ms)
{
	CU_ASSERT_FATAL(at < seen_count);
	CU_ASSERT_EQUAL(seen[at].kind, PRESENCE_PAYLOAD);
	CU_ASSERT_EQUAL(seen[at].cause, 0);
	CU_ASSERT(!seen[at].snapshot && !seen[at].corrected);
	CU_ASSERT_EQUAL(seen[at].fence, 7);
	CU_ASSERT_EQUAL(seen[at].time_ms, time_ms);
	CU_ASSERT_EQUAL(seen[at].payload_bytes, bytes);
	CU_ASSERT_EQUAL(memcmp(seen[at].entity.id + 8, &entity, sizeof entity), 0);
	for (unsigned i = 0; i < bytes; i++)
		CU_ASSERT_EQUAL(got[at][i], (uint8_t)(entity + i * 3));
}

// Pieces of all lengths, in turns with others' and over a way that loses, become one event each;
// what is not whole is none.
static void payloads(void)
{
	static const unsigned lengths[] = {0, 1, 47, 48, 49, 96, 97, 511, 512};
	const struct presence_events with = {.watched = payload_watched};
	unsigned count = sizeof lengths / sizeof lengths[0];

	open_watch(&(struct presence_watch_options){.payloads = true});
	CU_ASSERT_EQUAL(fake.open.flags, PE_SUBSCRIBE_PAYLOADS);
	fake.lose = fake.late = fake.repeat = 20;
	fake.random = 7;
	fake.notice_max = 2;
	for (unsigned i = 0; i < count; i++)
		whole(1 + i, lengths[i], 100 + i);
	piece(50, 0, 97, 200);
	piece(51, 0, 97, 200);
	piece(50, 1, 97, 200);
	piece(51, 1, 97, 200);
	piece(50, 2, 97, 200);
	piece(51, 2, 97, 200);
	piece(60, 1, 97, 300); // without its first
	piece(61, 0, 97, 300);
	piece(61, 2, 97, 300); // a hole
	piece(62, 0, 97, 300);
	piece(62, 1, 97, 301); // of another one
	piece(63, 0, 97, 300);
	piece(63, 1, 96, 300); // of another length
	piece(64, 0, 97, 300);
	whole(64, 97, 302);    // it begins anew
	piece(65, 0, 97, 300); // void with the GAP
	fake_event(&fake, PE_EVENT_SNAPSHOT_END, 0, 0, 0);
	fake_tell(&fake);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && seen_count < count + 4;)
		presence_poll(client, &with, 64, 5);
	fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
	piece(65, 1, 97, 300);
	piece(65, 2, 97, 300);
	whole(66, 5, 303);
	fake_tell(&fake);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && seen_count < count + 6;)
		presence_poll(client, &with, 64, 5);
	CU_ASSERT_EQUAL_FATAL(seen_count, count + 6);
	for (unsigned i = 0; i < count; i++)
		expect_payload(i, 1 + i, lengths[i], 100 + i);
	expect_payload(count, 50, 97, 200);
	expect_payload(count + 1, 51, 97, 200);
	expect_payload(count + 2, 64, 97, 302);
	CU_ASSERT_EQUAL(seen[count + 4].kind, PRESENCE_GAP);
	CU_ASSERT_PTR_NULL(seen[count + 4].payload);
	expect_payload(count + 5, 66, 5, 303);
	CU_ASSERT_EQUAL(presence_watch_status(watch).events, count + 6);
	CU_ASSERT(presence_watch_status(watch).halves == 8);
	presence_close(client);
}

// More that are half than there is room for: the oldest make room, and the newest become whole.
static void too_many_halves(void)
{
	const struct presence_events with = {.watched = payload_watched};

	open_watch(&(struct presence_watch_options){.payloads = true});
	for (unsigned i = 0; i < 40; i++)
		piece(1 + i, 0, 49, 100);
	for (unsigned i = 0; i < 40; i++)
		piece(1 + i, 1, 49, 100);
	fake_event(&fake, PE_EVENT_SNAPSHOT_END, 0, 0, 0);
	fake_tell(&fake);
	for (uint64_t end = now_ms() + 20000; now_ms() < end && seen_count < 33;)
		presence_poll(client, &with, 64, 5);
	CU_ASSERT_EQUAL_FATAL(seen_count, 33);
	for (unsigned i = 0; i < 32; i++)
		expect_payload(i, 9 + i, 49, 100);
	CU_ASSERT_EQUAL(presence_watch_status(watch).halves, 16);
	presence_close(client);
}

TESTING_MAIN("client-watch-payloads", {"payloads", payloads}, {"too many halves", too_many_halves})
