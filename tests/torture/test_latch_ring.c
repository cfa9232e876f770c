// The record's latch and the worker-to-worker ring under two threads: a reader must only ever see
// whole states, the newest or the one before; a consumer must get every element once, whole and in
// order.
#include "base/ring_spsc.h"
#include "entity/record.h"
#include "testing.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define RECORDS 2u

// Two records of one owner: the draft goes from one to the other while readers may be at it.
static union {
	_Alignas(PE_PAGE_BYTES) struct pe_record record[RECORDS];
	uint8_t page[PE_PAGE_BYTES];
} memory;
static struct pe_draft draft;
static _Atomic bool stop;
static uint64_t publishes;

static void fill(struct pe_published *p, uint64_t n)
{
	uint64_t words[8];

	for (unsigned i = 0; i < 8; i++)
		words[i] = n * 0x9E3779B97F4A7C15ull + i;
	memcpy(p, words, sizeof *p);
}

#define EXTENDED 0xEEEEEEEEu // an expiry that no copy is published with, in all likelihood

// As an ordinary query does.
static bool read_in_lanes(const struct pe_record *r, uint64_t words[PE_PUBLISHED_WORDS])
{
	struct pe_record_lanes lanes;
	bool whole = pe_record_read_lanes(r, &lanes);

	memcpy(words, &lanes.place, sizeof lanes.place);
	memcpy(words + 4, &lanes.rest, sizeof lanes.rest);
	// What is read twice is the same, but for an expiry that was given in between.
	if ((uint32_t)words[4] != (uint32_t)lanes.tail || words[5] != lanes.time_ms ||
		(uint32_t)words[6] != lanes.radius_bits)
		words[5] = ~words[5]; // which is nobody's
	words[4] = lanes.tail;
	return whole;
}

// Between two publications the owner may hold a newer state back beside the record, which nobody
// may see, and give what is published another expiry in place.
static void *publisher(void *arg)
{
	// Who yields on a busy machine waits for all others.
	const uint64_t yield_every = publishes / 512 & ~UINT64_C(3);
	struct pe_published p;

	for (uint64_t n = 1; n <= publishes; n++) {
		struct pe_record *record = &memory.record[n % RECORDS];

		if (n % 4 == 0) {
			*pe_record_held(record) = (struct pe_held_state){.position = {13}};
			pe_record_extend(record, EXTENDED);
			if (n % yield_every == 0)
				sched_yield(); // preempted here too
		}
		fill(&p, n);
		pe_record_publish(record, &draft, &p);
		if (n % yield_every == 0)
			// preempted between publishes now and then, even where one core is shared
			sched_yield();
	}
	atomic_store(&stop, true);
	return arg;
}

// Whole words? Their number, or UINT64_MAX.
static uint64_t number_of(const struct pe_published *p, bool *extended)
{
	uint64_t words[PE_PUBLISHED_WORDS];

	memcpy(words, p, sizeof words);
	*extended = words[PE_PUBLISHED_EXPIRY_WORD] >> 32 == EXTENDED;
	for (unsigned i = 1; i < PE_PUBLISHED_WORDS; i++) {
		uint64_t ahead = words[i] - words[0];

		if (ahead != i &&
			(i != PE_PUBLISHED_EXPIRY_WORD || (uint32_t)ahead != i || !*extended))
			return UINT64_MAX;
	}
	// 0x9E37… is odd, so n can be had back.
	return words[0] * 0xF1DE83E19937733Dull;
}

static void latch_is_whole(void)
{
	pthread_t thread;
	struct pe_published p;
	uint64_t reads = 0, last[RECORDS] = {0}, failed = 0, extended = 0, drafts = 0;

	publishes = testing_amount(20000000);
	fill(&p, 0);
	for (unsigned r = 0; r < RECORDS; r++)
		pe_record_publish(&memory.record[r], &draft, &p);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, publisher, NULL), 0);
	for (unsigned r = 0; !atomic_load_explicit(&stop, memory_order_relaxed);
		r = (r + 1) % RECORDS) {
		uint64_t words[PE_PUBLISHED_WORDS], n;
		bool in_place = reads & 1 ? read_in_lanes(&memory.record[r], words) :
					    pe_record_read_once(&memory.record[r], words),
		     more;

		if (in_place)
			memcpy(&p, words, sizeof p);
		else if (!pe_record_read(&memory.record[r], &draft, &p, 1)) {
			failed++;
			continue;
		}
		n = number_of(&p, &more);
		if (n == UINT64_MAX)
			CU_FAIL_FATAL("a torn state");
		// Time does not run backwards, and records do not get each other's states.
		CU_ASSERT_FATAL(n >= last[r] && n <= publishes && (n == 0 || n % RECORDS == r));
		last[r] = n;
		drafts += !in_place;
		extended += more;
		reads++;
	}
	pthread_join(thread, NULL);
	printf("(%llu publishes, %llu reads, %llu not at the first, %llu gave up) ",
		(unsigned long long)publishes, (unsigned long long)reads,
		(unsigned long long)drafts, (unsigned long long)failed);
	CU_ASSERT(reads > 1000 && extended > 0);
}

// An owner that is preempted halfway: its draft is read, however much of the record is written.
static void draft_stands_in(void)
{
	struct pe_record *r = &memory.record[0];
	struct pe_published p;
	uint64_t words[PE_PUBLISHED_WORDS];
	bool extended;

	fill(&p, 4);
	pe_record_publish(r, &draft, &p);
	for (unsigned written = 0; written <= PE_PUBLISHED_WORDS; written++) {
		fill(&p, 6);
		memcpy(words, &p, sizeof words);
		memcpy(draft.words, words, sizeof words);
		atomic_fetch_add(&r->version, 1);
		memcpy(&r->shown, words, written * sizeof words[0]);
		CU_ASSERT_FALSE(pe_record_read_once(r, words));
		CU_ASSERT_FALSE(read_in_lanes(r, words));
		memset(&p, 0, sizeof p);
		CU_ASSERT(pe_record_read(r, &draft, &p, 1));
		CU_ASSERT_EQUAL(number_of(&p, &extended), 6);
		atomic_fetch_add(&r->version, 1);
		fill(&p, 4);
		pe_record_publish(r, &draft, &p);
	}
	CU_ASSERT(pe_record_read_once(r, words));
	CU_ASSERT(read_in_lanes(r, words));
}

struct element {
	uint64_t word[16];
};

static struct pe_ring_spsc ring;
static uint64_t elements_total;
static _Atomic bool late;
static _Atomic uint64_t produced; // all of them, once there are no more

static void *producer(void *arg)
{
	uint64_t n = 0;

	while (n < elements_total && !atomic_load_explicit(&late, memory_order_relaxed)) {
		uint32_t room = pe_ring_spsc_room(&ring, 32);

		for (; room && n < elements_total; room--, n++) {
			struct element *e = pe_ring_spsc_put(&ring);

			for (unsigned i = 0; i < 16; i++)
				e->word[i] = n + i;
		}
		pe_ring_spsc_flush(&ring);
		if (!room)
			sched_yield();
	}
	atomic_store(&produced, n);
	return arg;
}

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

// Where both threads have to wait for others each time that the ring is full or empty, a part of
// them has to do: what can be done in a minute, and a hundredth at least.
static void ring_keeps_order(void)
{
	static struct element storage[256];
	pthread_t thread;
	time_t end = now_s() + 60;
	uint64_t next = 0;

	elements_total = testing_amount(10000000);
	pe_ring_spsc_init(&ring, storage, 256, sizeof storage[0]);
	atomic_store(&late, false);
	atomic_store(&produced, UINT64_MAX);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, producer, NULL), 0);
	for (bool more = true; more;) {
		uint64_t all = atomic_load(&produced);
		uint32_t n = 0;

		for (const struct element *e; n < 64 && (e = pe_ring_spsc_peek(&ring, n));
			n++, next++)
			for (unsigned i = 0; i < 16; i++)
				if (e->word[i] != next + i)
					CU_FAIL_FATAL("an element lost, torn or out of order");
		pe_ring_spsc_release(&ring, n);
		if (!n) {
			more = all == UINT64_MAX;
			if (now_s() > end && next > elements_total / 100)
				atomic_store(&late, true);
			sched_yield();
		}
	}
	pthread_join(thread, NULL);
	printf("(%llu of %llu) ", (unsigned long long)next, (unsigned long long)elements_total);
	CU_ASSERT_EQUAL(next, atomic_load(&produced));
	CU_ASSERT(next > elements_total / 100);
	CU_ASSERT_EQUAL(pe_ring_spsc_count(&ring), 0);
	CU_ASSERT_EQUAL(pe_ring_spsc_room(&ring, 256), 256);
}

TESTING_MAIN("torture/latch and ring",
	{"latch: states are whole and do not go back", latch_is_whole},
	{"latch: the draft of an owner that was preempted", draft_stands_in},
	{"ring: every element once, whole, in order", ring_keeps_order})
