// The record's latch and the worker-to-worker ring under two threads: a reader must only ever see whole copies, the newest or
// the one before; a consumer must get every element once, whole and in order.
#include "base/ring_spsc.h"
#include "entity/record.h"
#include "testing.h"

#include <pthread.h>
#include <sched.h>

static struct pe_record record;
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

// Between two publications the owner may hold a newer state back in the copy that readers do not use, which nobody may see, and
// give what is published another expiry in place.
static void *publisher(void *arg)
{
	struct pe_published p;

	for (uint64_t n = 1; n <= publishes; n++) {
		if (n % 4 == 0) {
			static const uint64_t held[PE_PUBLISHED_WORDS] = {13};

			pe_record_hold_tick(&record, (uint32_t)n);
			pe_record_hold_words(&record, held);
			pe_record_extend(&record, EXTENDED);
			if (n % 4096 == 0)
				sched_yield(); // preempted here too
		}
		fill(&p, n);
		pe_record_publish(&record, &p);
		if (n % 4096 == 0)
			// preempted between publishes now and then, even where one core is shared
			sched_yield();
	}
	atomic_store(&stop, true);
	return arg;
}

static void latch_is_whole(void)
{
	pthread_t thread;
	struct pe_published p;
	uint64_t reads = 0, last = 0, failed = 0, extended = 0;

	publishes = testing_amount(20000000);
	fill(&p, 0);
	pe_record_publish(&record, &p);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, publisher, NULL), 0);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t words[8];

		if (!pe_record_read(&record, &p, 1000)) {
			failed++;
			continue;
		}
		memcpy(words, &p, sizeof words);
		for (unsigned i = 1; i < 8; i++)
			if (words[i] - words[0] != i &&
				(i < 7 || (uint32_t)(words[7] - words[0]) != 7 ||
					words[7] >> 32 != EXTENDED)) {
				CU_FAIL_FATAL("a torn copy");
			}
		// Time does not run backwards: 0x9E37… is odd, so n can be had back.
		uint64_t n = words[0] * 0xF1DE83E19937733Dull;

		extended += words[7] >> 32 == EXTENDED;
		CU_ASSERT_FATAL(n >= last && n <= publishes);
		last = n;
		reads++;
	}
	pthread_join(thread, NULL);
	printf("(%llu publishes, %llu reads, %llu gave up) ", (unsigned long long)publishes,
		(unsigned long long)reads, (unsigned long long)failed);
	CU_ASSERT(reads > 1000 && extended > 0);
}

struct element {
	uint64_t word[16];
};

static struct pe_ring_spsc ring;
static uint64_t elements_total;

static void *producer(void *arg)
{
	uint64_t n = 0;

	while (n < elements_total) {
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
	return arg;
}

static void ring_keeps_order(void)
{
	static struct element storage[256];
	pthread_t thread;
	uint64_t next = 0;

	elements_total = testing_amount(10000000);
	pe_ring_spsc_init(&ring, storage, 256, sizeof storage[0]);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, producer, NULL), 0);
	while (next < elements_total) {
		uint32_t n = 0;

		for (const struct element *e; n < 64 && (e = pe_ring_spsc_peek(&ring, n));
			n++, next++)
			for (unsigned i = 0; i < 16; i++)
				if (e->word[i] != next + i)
					CU_FAIL_FATAL("an element lost, torn or out of order");
		pe_ring_spsc_release(&ring, n);
		if (!n)
			sched_yield();
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(pe_ring_spsc_count(&ring), 0);
	CU_ASSERT_EQUAL(pe_ring_spsc_room(&ring, 256), 256);
}

TESTING_MAIN("torture/latch and ring",
	{"latch: copies are whole and do not go back", latch_is_whole},
	{"ring: every element once, whole, in order", ring_keeps_order})
