// The shared ring: against a plain queue under random steps, between two threads, beside another
// side that writes anything, and the first packet of its handshake. The seed is printed.
#include "tests/testing.h"
#include "wire/shm_ring.h"

#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#define RING_BYTES PE_SHM_RING_BYTES_MIN
#define QUEUE_MAX  (RING_BYTES / PE_SHM_LINE)

static uint64_t state;

static unsigned below(unsigned n)
{
	return (unsigned)(testing_random(&state) % n);
}

struct pair {
	uint8_t *memory;
	struct pe_shm_rx up_rx, down_rx;
	struct pe_shm_tx up_tx, down_tx;
	struct pe_shm_welcome welcome;
};

static void make(struct pair *p)
{
	uint64_t bytes = pe_shm_footprint(RING_BYTES, RING_BYTES);

	// of exact size, so that a sanitizer sees a step over the end
	p->memory = aligned_alloc(4096, bytes);
	memset(p->memory, 0, bytes);
	pe_shm_new(p->memory, PE_SHM_VERSION, RING_BYTES, RING_BYTES, 7, &p->up_rx, &p->down_tx);
	p->welcome = (struct pe_shm_welcome){.version = PE_SHM_VERSION,
		.epoch = 7,
		.up_bytes = RING_BYTES,
		.down_bytes = RING_BYTES,
		.memory_bytes = bytes};
	CU_ASSERT_TRUE_FATAL(pe_shm_join(p->memory, &p->welcome, &p->up_tx, &p->down_rx));
}

static void fill(uint8_t *data, unsigned bytes, uint64_t number)
{
	for (unsigned i = 0; i < bytes; i++)
		data[i] = (uint8_t)(number * 31 + i);
}

static bool holds(const uint8_t *data, unsigned bytes, uint64_t number)
{
	for (unsigned i = 0; i < bytes; i++)
		if (data[i] != (uint8_t)(number * 31 + i) && (i + 8) % PE_SHM_LINE >= 8)
			return false;
	return true;
}

// What begins a line within a message looks like a record of the next lap there.
static void mimic(uint8_t *data, unsigned bytes, uint64_t position)
{
	for (unsigned i = PE_SHM_LINE - 8; i + 8 <= bytes; i += PE_SHM_LINE) {
		uint64_t word = pe_shm_word_of(position + i + 8 + RING_BYTES, 10);

		memcpy(data + i, &word, 8);
	}
}

// Against a queue: whatever the steps, what comes out is what went in, and "full" is said only when
// it is.
static void test_queue(void)
{
	static uint16_t queue[QUEUE_MAX];
	uint64_t put = 0, taken = 0, wraps = 0, full = 0;
	struct pair p;

	make(&p);
	for (uint64_t step = 0; step < testing_amount(300000); step++) {
		const uint8_t *data = NULL;
		bool broken = false;
		bool filling = step / 200 % 2;
		unsigned n = below(filling ? 5 : 8);

		for (; n < 5 && n > 0; n--) {
			unsigned bytes = below(3) ? 1 + below(PE_WIRE_BYTES_MAX) : 1 + below(60);
			uint64_t before = p.up_tx.tail;
			uint8_t *to = pe_shm_reserve(&p.up_tx, bytes, &broken);

			CU_ASSERT_FALSE(broken);
			wraps += p.up_tx.tail != before;
			if (!to) {
				full++;
				// Two of the longest, a wrap and the free line at most are in the
				// way.
				CU_ASSERT_TRUE(p.up_tx.tail - p.up_rx.shared->head >
					RING_BYTES - 3 * PE_SHM_RECORD_MAX);
				break;
			}
			const bool elsewhere = below(2);
			uint8_t made[PE_WIRE_BYTES_MAX], *in = elsewhere ? made : to;

			fill(in, bytes, put);
			mimic(in, bytes, p.up_tx.tail);
			// reserved for more than is needed, or not committed at all
			if (below(10) == 0)
				continue;
			if (elsewhere)
				pe_shm_put(&p.up_tx, to, made, bytes);
			else
				pe_shm_commit(&p.up_tx, bytes);
			queue[put++ % QUEUE_MAX] = (uint16_t)bytes;
		}
		if (n || (filling && below(4)))
			continue;
		const uint64_t given_back = p.up_rx.shared->head;

		for (n = below(6); n; n--) {
			// A wrap is seen as well, where nothing else came yet.
			bool seen = pe_shm_glance(&p.up_rx);
			int bytes = pe_shm_take(&p.up_rx, &data);

			CU_ASSERT_TRUE(seen || bytes == 0);
			if (taken == put) {
				CU_ASSERT_EQUAL(bytes, 0);
				break;
			}
			CU_ASSERT_EQUAL_FATAL(bytes, queue[taken % QUEUE_MAX]);
			CU_ASSERT_TRUE(holds(data, (unsigned)bytes, taken));
			taken++;
		}
		// What was taken stays until it is released: the producer may write over nothing of
		// it.
		CU_ASSERT_EQUAL(p.up_rx.shared->head, given_back);
		if (below(3))
			pe_shm_release(&p.up_rx);
	}
	CU_ASSERT_TRUE(wraps > 10 && full > 10 && taken > 1000);
	free(p.memory);
}

struct feeder {
	struct pair *pair;
	uint64_t count;
	_Atomic bool over;   // the consumer's: it has seen what it shouldn't
	_Atomic bool broken; // the feeder's: likewise
};

static void *feed(void *context)
{
	struct feeder *f = context;
	uint64_t own = 99;

	for (uint64_t n = 0; n < f->count; n++) {
		unsigned bytes = 1 + (unsigned)(testing_random(&own) % PE_WIRE_BYTES_MAX);
		bool broken = false;
		uint8_t *to;

		while (!(to = pe_shm_reserve(&f->pair->up_tx, bytes, &broken)) && !broken &&
			!atomic_load(&f->over))
			sched_yield();
		atomic_store(&f->broken, broken);
		if (!to)
			return NULL;
		if (n % 2) {
			fill(to, bytes, n);
			pe_shm_commit(&f->pair->up_tx, bytes);
		} else {
			uint8_t made[PE_WIRE_BYTES_MAX];

			fill(made, bytes, n);
			pe_shm_put(&f->pair->up_tx, to, made, bytes);
		}
	}
	return NULL;
}

static void test_threads(void)
{
	struct pair p;
	struct feeder f = {.pair = &p, .count = testing_amount(200000)};
	uint64_t own = 99, wrong = 0, n = 0;
	pthread_t thread;

	make(&p);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, feed, &f), 0);
	// A failure is told when the feeder has ended: it writes into what is this function's.
	while (n < f.count && !wrong && !atomic_load(&f.broken)) {
		const uint8_t *data = NULL;
		int bytes = pe_shm_take(&p.up_rx, &data);

		if (bytes < 0)
			break;
		if (bytes == 0) {
			sched_yield();
			continue;
		}
		wrong += (unsigned)bytes != 1 + testing_random(&own) % PE_WIRE_BYTES_MAX ||
			!holds(data, (unsigned)bytes, n);
		n++;
		pe_shm_release(&p.up_rx);
	}
	atomic_store(&f.over, true);
	pthread_join(thread, NULL);
	CU_ASSERT_FALSE(f.broken);
	CU_ASSERT_EQUAL(n, f.count);
	CU_ASSERT_EQUAL(wrong, 0);
	free(p.memory);
}

// Every word that isn't the one of its position is no record, and nothing beyond the ring is ever
// pointed at.
static void test_hostile_words(void)
{
	struct pair p;
	const uint8_t *data = NULL;
	static const uint32_t bad[] = {
		0, PE_WIRE_BYTES_MAX + 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE};
	_Atomic uint64_t *word;

	make(&p);
	word = pe_shm_word(p.up_rx.ring, p.up_rx.mask, 0);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		*word = pe_shm_word_of(0, bad[i]);
		CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), -1);
	}
	*word = pe_shm_word_of(0, PE_SHM_WRAP); // a wrap at the beginning would never end
	CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), -1);
	*word = pe_shm_word_of(RING_BYTES, 10); // of the next lap
	CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), -1);
	*word = pe_shm_word_of(0, 10);
	CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), 10);
	// Longer than what is left to the end.
	p.up_rx.head = RING_BYTES - PE_SHM_LINE;
	word = pe_shm_word(p.up_rx.ring, p.up_rx.mask, p.up_rx.head);
	*word = pe_shm_word_of(p.up_rx.head, 57);
	CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), -1);
	*word = pe_shm_word_of(p.up_rx.head, 56);
	CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), 56);
	CU_ASSERT_PTR_EQUAL(data, p.up_rx.ring + RING_BYTES - PE_SHM_LINE + 8);

	// Random bytes all over, words that look right among them.
	for (uint64_t n = 0; n < testing_amount(2000000); n++) {
		uint64_t at = (uint64_t)below(RING_BYTES / 8) * 8, random = testing_random(&state);
		int bytes;

		if (below(2)) {
			at = p.up_rx.head & p.up_rx.mask;
			random = pe_shm_word_of(p.up_rx.head, below(8) ? below(1600) : PE_SHM_WRAP);
		}
		memcpy(p.up_rx.ring + at, &random, 8);
		bytes = pe_shm_take(&p.up_rx, &data);
		if (bytes > 0 &&
			(bytes > PE_WIRE_BYTES_MAX || data < p.up_rx.ring + 8 ||
				data + bytes > p.up_rx.ring + RING_BYTES))
			CU_FAIL("points out of the ring");
		CU_ASSERT_EQUAL_FATAL(p.up_rx.head % PE_SHM_LINE, 0);
		pe_shm_release(&p.up_rx);
	}
	free(p.memory);
}

// The longest messages until there is no room, or *broken; a ring that never says so is wrong.
static void fill_up(struct pe_shm_tx *tx, bool *broken)
{
	unsigned count = 0;

	while (count <= QUEUE_MAX && pe_shm_reserve(tx, PE_WIRE_BYTES_MAX, broken) && !*broken) {
		pe_shm_commit(tx, PE_WIRE_BYTES_MAX);
		count++;
	}
	CU_ASSERT_TRUE(count <= QUEUE_MAX);
}

// What was given back must be what was published, in whole lines, and never less than before.
static void test_hostile_heads(void)
{
	struct pair p;
	bool broken;
	uint64_t published;
	const uint64_t wrong[] = {
		64, UINT64_MAX, UINT64_MAX - 63, 1, 63, UINT64_C(1) << 63, RING_BYTES * 4};

	make(&p);
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		p.down_tx.tail = p.down_tx.head_seen = 128 * 1024;
		broken = false;
		fill_up(&p.down_tx, &broken);
		published = p.down_tx.tail;
		CU_ASSERT_TRUE(broken); // head 0 is less than what was seen
		broken = false;
		p.down_tx.shared->head = wrong[i] + (i == 0 || i == 6 ? published : 0);
		CU_ASSERT_PTR_NULL(pe_shm_reserve(&p.down_tx, PE_WIRE_BYTES_MAX, &broken));
		// One line less than it was is less; all other ones are no positions of this ring.
		CU_ASSERT_TRUE(broken);
		broken = false;
		p.down_tx.shared->head = published;
		CU_ASSERT_PTR_NOT_NULL(pe_shm_reserve(&p.down_tx, 1, &broken));
		CU_ASSERT_FALSE(broken);
		p.down_tx.shared->head = 0;
	}
	// Full: not broken, only full.
	free(p.memory);
	make(&p);
	broken = false;
	fill_up(&p.down_tx, &broken);
	CU_ASSERT_FALSE(broken);
	CU_ASSERT_TRUE(p.down_tx.tail > RING_BYTES - 3 * PE_SHM_RECORD_MAX);
	free(p.memory);
}

static void test_sleep(void)
{
	struct pair p;
	const uint8_t *data;
	bool broken = false;

	make(&p);
	CU_ASSERT_FALSE(pe_shm_rouse(&p.up_tx));
	CU_ASSERT_TRUE(pe_shm_drowse(&p.up_rx));
	CU_ASSERT_PTR_NOT_NULL(pe_shm_reserve(&p.up_tx, 10, &broken));
	pe_shm_commit(&p.up_tx, 10);
	CU_ASSERT_TRUE(pe_shm_rouse(&p.up_tx));
	CU_ASSERT_FALSE(pe_shm_rouse(&p.up_tx));  // once
	CU_ASSERT_FALSE(pe_shm_drowse(&p.up_rx)); // there is something
	pe_shm_arise(&p.up_rx);
	CU_ASSERT_EQUAL(pe_shm_take(&p.up_rx, &data), 10);
	CU_ASSERT_FALSE(pe_shm_rouse(&p.up_tx));
	free(p.memory);
}

static void test_join(void)
{
	struct pair p;
	struct pe_shm_welcome w;
	struct pe_shm_tx up;
	struct pe_shm_rx down;
	struct pe_shm_page *page;

	make(&p);
	page = (void *)p.memory;
#define REFUSED(change) \
	do { \
		w = p.welcome; \
		change; \
		CU_ASSERT_FALSE(pe_shm_join(p.memory, &w, &up, &down)); \
	} while (0)
	REFUSED(w.up_bytes = 3 << 14);
	REFUSED(w.down_bytes = 0);
	REFUSED(w.up_bytes *= 2);
	REFUSED(w.memory_bytes++);
	REFUSED(w.epoch++);
	REFUSED(w.version = 1);
	page->version = PE_SHM_VERSION + 1;
	REFUSED(w.version = PE_SHM_VERSION + 1);
	page->version = 0;
	REFUSED(w.version = 0);
	page->version = PE_SHM_VERSION;
	page->magic++;
	REFUSED((void)0);
	page->magic--;
	page->version++;
	REFUSED((void)0);
	page->version--;
	page->down_offset += 64;
	REFUSED((void)0);
	page->down_offset -= 64;
#undef REFUSED
	CU_ASSERT_TRUE(pe_shm_join(p.memory, &p.welcome, &up, &down));
	free(p.memory);
}

static void test_hello(void)
{
	const struct pe_shm_hello good = {
		.magic = PE_SHM_MAGIC, .version_min = 1, .version_max = 1, .up_bytes = 32768};
	const uint32_t most = 65536;
	struct pe_shm_hello h, got;
	uint8_t longer[sizeof h + 1] = {0};

#define ANSWER(change, answer) \
	do { \
		h = good; \
		change; \
		CU_ASSERT_EQUAL(pe_shm_check_hello(&h, sizeof h, most, &got), answer); \
	} while (0)
	ANSWER((void)0, PE_SHM_WELCOME);
	CU_ASSERT_EQUAL(got.up_bytes, 32768);
	CU_ASSERT_EQUAL(got.down_bytes, most);
	ANSWER(h.up_bytes = 1 << 20, PE_SHM_WELCOME);
	CU_ASSERT_EQUAL(got.up_bytes, most);
	ANSWER(h.magic++, PE_SHM_MALFORMED);
	ANSWER(h.reserved[15] = 1, PE_SHM_MALFORMED);
	ANSWER(h.version_min = 2, PE_SHM_MALFORMED);
	ANSWER((void)0, PE_SHM_WELCOME);
	CU_ASSERT_EQUAL(got.version_max, 1);
	ANSWER(h.version_min = h.version_max = 2, PE_SHM_WELCOME);
	CU_ASSERT_EQUAL(got.version_max, 2);
	ANSWER(h.version_min = h.version_max = 3, PE_SHM_VERSION_UNKNOWN);
	ANSWER(h.version_min = h.version_max = 0, PE_SHM_VERSION_UNKNOWN);
	ANSWER((h.version_min = 0, h.version_max = 9), PE_SHM_WELCOME);
	CU_ASSERT_EQUAL(got.version_max, PE_SHM_VERSION);
	ANSWER(h.up_bytes = 8192, PE_SHM_SIZE);
	ANSWER(h.up_bytes = 32767, PE_SHM_SIZE);
	ANSWER(h.down_bytes = 3 << 15, PE_SHM_SIZE);
	ANSWER(h.down_bytes = 1u << 31, PE_SHM_SIZE);
	ANSWER(h.down_bytes = UINT32_MAX, PE_SHM_SIZE);
#undef ANSWER
	memcpy(longer, &good, sizeof good);
	for (size_t bytes = 0; bytes <= sizeof longer; bytes++)
		CU_ASSERT_EQUAL(pe_shm_check_hello(longer, bytes, most, &got),
			bytes == sizeof good ? PE_SHM_WELCOME : PE_SHM_MALFORMED);
}

int main(void)
{
	static const struct testing_case cases[] = {{"queue", test_queue},
		{"threads", test_threads}, {"hostile words", test_hostile_words},
		{"hostile heads", test_hostile_heads}, {"sleep", test_sleep}, {"join", test_join},
		{"hello", test_hello}};
	const char *text = getenv("PE_TEST_SEED");

	state = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("PE_TEST_SEED=%" PRIu64 "\n", state);
	return testing_main("wire-shm-ring", cases, sizeof cases / sizeof cases[0]);
}
