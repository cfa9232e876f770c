// Rows of events over a way that loses, repeats and overtakes, from an engine that forgets and is
// started again: what is handed on is the engine's row, in order, each event once.
#include "watch_client.h"
#include "wire/encode.h"

#include <stdlib.h>

static void open_watch(const struct presence_watch_options *options)
{
	open_watch_of(options, &fence, 1);
}

// The row from `first` on, without a hole.
static void expect_row(unsigned at, uint64_t first, unsigned count)
{
	CU_ASSERT_EQUAL_FATAL(seen_count, at + count);
	for (unsigned i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(seen[at + i].sequence, first + i);
		CU_ASSERT_EQUAL(seen[at + i].kind, fake.row[first + i - 1].kind);
		CU_ASSERT_EQUAL(seen[at + i].time_ms, fake.row[first + i - 1].time_ms);
	}
}

static void in_order(void)
{
	uint64_t begin = now_ms();

	open_watch(NULL);
	enter_many(7, 40);
	fake_event(&fake, PE_EVENT_SNAPSHOT_END, 0, 0, 0);
	fake_event(&fake, PE_EVENT_LEAVE, PE_LEAVE_GONE, 7, 3);
	fake.row[0].flags = PE_EVENT_IN_SNAPSHOT;
	fake.row[1].flags = PE_EVENT_CORRECTED;
	fake_tell(&fake);
	CU_ASSERT(poll_until(42));
	expect_row(0, 1, 42);
	CU_ASSERT(seen[0].snapshot && !seen[0].corrected);
	CU_ASSERT(!seen[1].snapshot && seen[1].corrected);
	CU_ASSERT_EQUAL(seen[4].fence, 7);
	CU_ASSERT_EQUAL(seen[4].entity.id[8], 5);
	CU_ASSERT_EQUAL(seen[4].entity.position[0], 5);
	CU_ASSERT_EQUAL(seen[40].kind, PRESENCE_SNAPSHOT_END);
	CU_ASSERT_EQUAL(seen[41].cause, PRESENCE_LEFT_GONE);
	// A machine that stood still in the midst of it has time to wonder.
	CU_ASSERT(fake.resumes == 0 || now_ms() - begin >= 20);
	// All of it again, in one heap: nothing is told twice.
	for (unsigned i = 0; i < 3; i++)
		fake_notice(&fake, 1 + 11 * i, 16);
	poll_for(30);
	CU_ASSERT_EQUAL(seen_count, 42);
	CU_ASSERT_EQUAL(presence_watch_status(watch).repeated, 48);
	CU_ASSERT_EQUAL(presence_traffic(client).unexpected, 0);
	presence_close(client);
}

static void overtaken(void)
{
	open_watch(NULL);
	enter_many(7, 48);
	fake.told = 48;
	fake.deaf = true; // what is missing is asked for in vain
	fake_notice(&fake, 33, 16);
	poll_for(5);
	CU_ASSERT_EQUAL(seen_count, 0);
	CU_ASSERT_EQUAL(presence_watch_status(watch).held, 16);
	CU_ASSERT_EQUAL(presence_watch_status(watch).missing_before, 49);
	fake.deaf = false;
	// Over each other's edges.
	fake_notice(&fake, 10, 16);
	fake_notice(&fake, 1, 12);
	fake_notice(&fake, 20, 16);
	CU_ASSERT(poll_until(48));
	expect_row(0, 1, 48);
	CU_ASSERT_EQUAL(presence_watch_status(watch).held, 0);
	presence_close(client);
}

static void holes_are_asked_for(void)
{
	open_watch(NULL);
	enter_many(7, 48);
	fake.told = 48;
	fake_notice(&fake, 1, 16);
	fake_notice(&fake, 33, 16);
	CU_ASSERT(poll_until(48));
	expect_row(0, 1, 48);
	CU_ASSERT(fake.resumes >= 1);
	// What is lost at the end is found by a look.
	enter_many(7, 5);
	fake.told = 53;
	CU_ASSERT(poll_until(53));
	expect_row(0, 1, 53);
	presence_close(client);
}

// Further ahead than there is room for: left aside, and asked for when it is its turn.
static void beyond(void)
{
	open_watch(NULL);
	enter_many(7, PRESENCE_WATCH_HELD_MAX + 200);
	fake.told = fake.count;
	fake.deaf = true;
	for (unsigned from = 2; from + 16 <= fake.count; from += 16)
		fake_notice(&fake, from, 16);
	poll_for(3);
	CU_ASSERT(presence_watch_status(watch).held < PRESENCE_WATCH_HELD_MAX);
	CU_ASSERT(presence_watch_status(watch).beyond > 100);
	fake.deaf = false;
	CU_ASSERT(poll_until(fake.count));
	expect_row(0, 1, fake.count);
	presence_close(client);
}

static void gaps(void)
{
	open_watch(NULL);
	enter_many(7, 30);
	fake.told = 30;
	fake_notice(&fake, 1, 5);
	fake_notice(&fake, 11, 10); // held, and then void
	CU_ASSERT(poll_until(5));
	fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
	fake_event(&fake, PE_EVENT_ENTER, 0, 7, 1);
	fake.told = 32;
	fake_notice(&fake, 31, 2);
	CU_ASSERT(poll_until(7));
	CU_ASSERT_EQUAL(seen[5].kind, PRESENCE_GAP);
	CU_ASSERT_EQUAL(seen[5].sequence, 31);
	CU_ASSERT_EQUAL(seen[6].sequence, 32);
	CU_ASSERT_EQUAL(presence_watch_status(watch).gaps, 1);
	CU_ASSERT_EQUAL(presence_watch_status(watch).held, 0);
	// What was before it comes late, and is nothing any more; so is the GAP itself.
	fake_notice(&fake, 6, 16);
	fake_notice(&fake, 22, 10);
	poll_for(30);
	CU_ASSERT_EQUAL(seen_count, 7);
	// One that is further ahead than there is room for.
	enter_many(7, PRESENCE_WATCH_HELD_MAX + 20);
	fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
	fake.told = fake.count;
	fake_notice(&fake, 40, 16);
	fake_notice(&fake, fake.count, 1);
	CU_ASSERT(poll_until(8));
	CU_ASSERT_EQUAL(seen[7].kind, PRESENCE_GAP);
	CU_ASSERT_EQUAL(seen[7].sequence, fake.count);
	// One that the engine makes since it kept too little.
	fake.retained = 4;
	enter_many(7, 10);
	fake.told = fake.count;
	fake_event(&fake, PE_EVENT_ENTER, 0, 7, 99);
	fake_tell(&fake);
	CU_ASSERT(poll_until(9));
	CU_ASSERT_EQUAL(seen[8].kind, PRESENCE_GAP);
	presence_close(client);
}

static void endings(void)
{
	open_watch(NULL);
	enter_many(7, 3);
	fake_event(&fake, PE_EVENT_LEAVE, PE_LEAVE_ENDED, 7, 1);
	fake_event(&fake, PE_EVENT_ENDED, PE_ENDED_EXPIRED, 0, 0);
	fake_tell(&fake);
	CU_ASSERT(poll_until(5));
	expect_row(0, 1, 5);
	CU_ASSERT_EQUAL(seen[4].cause, PRESENCE_END_EXPIRED);
	CU_ASSERT(presence_watch_status(watch).ended);
	// Nothing is asked any more.
	fake.log_count = 0;
	poll_for(100);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.log_count, 0);
	presence_close(client);

	// An engine that was started again.
	open_watch(NULL);
	enter_many(7, 3);
	fake_tell(&fake);
	CU_ASSERT(poll_until(3));
	fake.unknown = true;
	CU_ASSERT(poll_until(4));
	CU_ASSERT_EQUAL(seen[3].kind, PRESENCE_ENDED);
	CU_ASSERT_EQUAL(seen[3].cause, PRESENCE_END_UNKNOWN);
	CU_ASSERT_EQUAL(seen[3].sequence, 0);
	poll_for(20);
	CU_ASSERT_EQUAL(seen_count, 4);
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	presence_close(client);

	// What was before the end is lost, and the engine has forgotten all: the end is told all
	// the same.
	open_watch(NULL);
	enter_many(7, 3);
	fake_event(&fake, PE_EVENT_ENDED, PE_ENDED_REPLACED, 0, 0);
	fake.told = 4;
	fake_notice(&fake, 1, 1);
	fake_notice(&fake, 4, 1);
	fake.unknown = true;
	CU_ASSERT(poll_until(2));
	CU_ASSERT_EQUAL(seen_count, 2);
	CU_ASSERT_EQUAL(seen[1].kind, PRESENCE_ENDED);
	CU_ASSERT_EQUAL(seen[1].cause, PRESENCE_END_REPLACED);
	presence_close(client);
}

// What comes while another call waits is for the next poll.
static void kept_meanwhile(void)
{
	uint64_t us;

	open_watch(NULL);
	enter_many(7, 20);
	fake_tell(&fake);
	CU_ASSERT_EQUAL(presence_ping(client, &us), PRESENCE_TIMED_OUT); // the fake knows no pings
	CU_ASSERT_EQUAL(seen_count, 0);
	presence_poll(client, &events, 64, 1000);
	expect_row(0, 1, 20);
	// Without a callback they are gone, and counted.
	enter_many(7, 1);
	fake_tell(&fake);
	presence_poll(client, &(struct presence_events){0}, 64, 100);
	CU_ASSERT_EQUAL(presence_watch_status(watch).next_sequence, 22);
	presence_close(client);
}

static void window_and_lease(void)
{
	uint64_t passed;

	open_watch(&(struct presence_watch_options){.window = 8});
	enter_many(7, 8);
	fake_tell(&fake);
	CU_ASSERT(poll_until(8));
	CU_ASSERT_EQUAL(fake.acknowledged, 9);
	// It is lost: asking again tells as much.
	enter_many(7, 8);
	fake_tell(&fake);
	fake.lose = 100;
	CU_ASSERT(poll_until(16));
	fake.lose = 0;
	for (uint64_t end = now_ms() + 20000; fake.acknowledged < 17 && now_ms() < end;)
		presence_poll(client, &events, 64, 5);
	CU_ASSERT_EQUAL(fake.acknowledged, 17);
	presence_close(client);

	open_client(20, 4);
	fake.lease_ms = 100;
	CU_ASSERT_EQUAL(
		presence_watch_open(client, NULL, NULL, &fence, 1, &watch, NULL), PRESENCE_OK);
	CU_ASSERT(presence_watch_status(watch).lease_left_ms <= 100);
	passed = poll_for(300);
	for (uint64_t end = now_ms() + 30000; fake.renews < 2 && now_ms() < end;)
		passed += poll_for(100);
	CU_ASSERT(fake.renews >= 2 && fake.renews <= 12 * (1 + passed / 300));
	CU_ASSERT_EQUAL(presence_watch_close(watch), PRESENCE_OK);
	fake.unknown = false;
	fake.renews = 0;
	CU_ASSERT_EQUAL(
		presence_watch_open(client, NULL, &(struct presence_watch_options){.expire = true},
			&fence, 1, &watch, NULL),
		PRESENCE_OK);
	poll_for(150);
	CU_ASSERT_EQUAL(fake.renews, 0);
	CU_ASSERT_EQUAL(presence_watch_renew(watch, 0, NULL), PRESENCE_OK);
	CU_ASSERT_EQUAL(fake.renews, 1);
	presence_close(client);
}

// Messages for nobody, and numbers at the end of the world.
static void strangers(void)
{
	struct pe_wire_header header;
	struct pe_wire_notice notice;
	uint8_t data[PE_WIRE_BYTES_MAX];
	uint32_t bytes;

	open_watch(NULL);
	enter_many(7, 16);
	for (unsigned i = 0; i < 4; i++) {
		header = pe_wire_reply_header(&fake.header, 1, 1);
		notice = (struct pe_wire_notice){.subscription_id = fake.open.subscription_id,
			.epoch = fake.open.epoch,
			.first_sequence = 1};
		header.stream_id += i == 0;
		notice.epoch -= i == 1;
		notice.subscription_id += i == 2;
		if (i == 3)
			notice.first_sequence = UINT64_MAX - 16;
		bytes = pe_wire_put_notice(data, sizeof data, &header, &notice, fake.row, 16);
		fake_send(&fake, data, bytes);
	}
	presence_poll(client, &events, 64, 0);
	CU_ASSERT_EQUAL(seen_count, 0);
	CU_ASSERT_EQUAL(presence_traffic(client).unexpected, 3);
	CU_ASSERT_EQUAL(presence_watch_status(watch).beyond, 16);
	// Cut, stretched, and with every byte altered in turn: nothing but whole events is handed
	// on.
	notice.first_sequence = 1;
	bytes = pe_wire_put_notice(data, sizeof data, &header, &notice, fake.row, 2);
	for (unsigned cut = 0; cut < bytes; cut += 3)
		fake_send(&fake, data, cut);
	fake_send(&fake, data, bytes + 8);
	for (unsigned at = 0; at < bytes; at++) {
		data[at] ^= 0x80;
		fake_send(&fake, data, bytes);
		data[at] ^= 0x80;
	}
	for (unsigned i = 0; i < 20; i++)
		presence_poll(client, &events, 64, 0);
	CU_ASSERT(presence_traffic(client).malformed > bytes / 3 + 50);
	for (unsigned i = 0; i < seen_count; i++)
		CU_ASSERT(seen[i].kind >= PRESENCE_ENTER && seen[i].kind <= PRESENCE_ENDED);
	presence_close(client);
}

// Seeded rows over a bad way: all of it is handed on once and in order, but for what lies before a
// GAP.
static void any_way(void)
{
	uint64_t seed = getenv("PE_SEED") ? strtoull(getenv("PE_SEED"), NULL, 0) : 1,
		 rounds = testing_amount(40), total = 0, gaps_seen = 0, resumes = 0;

	for (uint64_t round = 0; round < rounds; round++) {
		uint64_t random = seed * 1000003 + round, next = 1;
		unsigned events_total = 200 + (unsigned)(testing_random(&random) % 3000);

		open_client(5, 16);
		fake.random = random;
		fake.lose = (unsigned)(testing_random(&random) % 40);
		fake.repeat = (unsigned)(testing_random(&random) % 40);
		fake.late = (unsigned)(testing_random(&random) % 60);
		fake.notice_max = 1 + (unsigned)(testing_random(&random) % 16);
		fake.retained = testing_random(&random) % 3 == 0 ?
			64 + (unsigned)(testing_random(&random) % 512) :
			0;
		if (presence_watch_open(client, NULL,
			    &(struct presence_watch_options){
				    .window = (uint16_t)(testing_random(&random) % 2)},
			    &fence, 1, &watch, NULL) != PRESENCE_OK) {
			presence_close(client); // all attempts were lost
			continue;
		}
		for (uint64_t end = now_ms() + 60000; now_ms() < end;) {
			if (fake.count < events_total) {
				unsigned n = 1 + (unsigned)(testing_random(&random) % 40);

				enter_many(7, n);
				if (testing_random(&random) % 50 == 0)
					fake_event(&fake, PE_EVENT_GAP, 0, 0, 0);
				fake_tell(&fake);
			} else if (presence_watch_status(watch).next_sequence > fake.count) {
				break;
			}
			presence_poll(client, &events, 64, 2);
		}
		for (unsigned i = 0; i < seen_count; i++) {
			const struct presence_watch_event *e = &seen[i];

			if (e->sequence != next && e->kind != PRESENCE_GAP) {
				fprintf(stderr, "seed %llu round %llu: %llu instead of %llu\n",
					(unsigned long long)seed, (unsigned long long)round,
					(unsigned long long)e->sequence, (unsigned long long)next);
				CU_FAIL_FATAL("a row with a hole");
			}
			CU_ASSERT_FATAL(e->sequence >= next && e->sequence <= fake.count);
			CU_ASSERT_FATAL(e->kind == fake.row[e->sequence - 1].kind &&
				e->time_ms == fake.row[e->sequence - 1].time_ms);
			gaps_seen += e->kind == PRESENCE_GAP;
			next = e->sequence + 1;
		}
		CU_ASSERT_EQUAL(next, fake.count + 1);
		total += seen_count;
		resumes += presence_watch_status(watch).resumes;
		presence_close(client);
	}
	printf("seed %llu: %llu events, %llu gaps, %llu resumes ", (unsigned long long)seed,
		(unsigned long long)total, (unsigned long long)gaps_seen,
		(unsigned long long)resumes);
	CU_ASSERT(total > rounds * 100 && gaps_seen > 0 && resumes > rounds);
}

TESTING_MAIN("client-watch-row", {"in order, once", in_order}, {"overtaken", overtaken},
	{"holes are asked for", holes_are_asked_for}, {"too far ahead", beyond}, {"gaps", gaps},
	{"endings", endings}, {"kept meanwhile", kept_meanwhile},
	{"window and lease", window_and_lease}, {"strangers", strangers}, {"any way", any_way})
