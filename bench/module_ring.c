// The ring between two workers, elements of 128 bytes put and taken in bursts of 32: both ends on
// one thread, and each end on a thread of its own. An operation is an element handed over.
#include "base/ring_spsc.h"
#include "entity/change.h"
#include "modules.h"

#include <pthread.h>
#include <stdlib.h>

#define ELEMENTS 4096u
#define BURST    32u

static struct pe_ring_spsc *ring;

static void make_ring(void *context)
{
	void *memory;

	(void)context;
	if (ring)
		return;
	ring = aligned_alloc(64, sizeof *ring);
	memory = aligned_alloc(64, ELEMENTS * sizeof(struct pe_change));
	if (!ring || !memory)
		module_fail("no memory for a ring");
	memset(memory, 0, ELEMENTS * sizeof(struct pe_change));
	pe_ring_spsc_init(ring, memory, ELEMENTS, sizeof(struct pe_change));
}

static void put_burst(struct pe_change *change)
{
	for (unsigned i = 0; i < BURST; i++) {
		change->update.sequence++;
		memcpy(pe_ring_spsc_put(ring), change, sizeof *change);
	}
	pe_ring_spsc_flush(ring);
}

static uint32_t take_burst(uint32_t *sum)
{
	const struct pe_change *c;
	unsigned n = 0;

	for (; n < BURST && (c = pe_ring_spsc_peek(ring, n)); n++)
		*sum += c->update.sequence;
	if (n)
		pe_ring_spsc_release(ring, n);
	return n;
}

static void one_thread(void *context, uint64_t count)
{
	static struct pe_change change;
	uint32_t sum = 0;

	(void)context;
	for (uint64_t done = 0; done < count; done += BURST) {
		put_burst(&change);
		if (take_burst(&sum) != BURST)
			module_fail("an element is missing");
	}
	bench_keep(&sum);
}

struct other {
	uint64_t count;
	uint32_t sum;
};

static void *take_all(void *context)
{
	struct other *o = context;

	for (uint64_t done = 0; done < o->count;)
		done += take_burst(&o->sum);
	return NULL;
}

// A batch is large, so that starting the thread counts for little.
static void two_threads(void *context, uint64_t count)
{
	static struct pe_change change;
	struct other o = {.count = count};
	pthread_t thread;

	(void)context;
	if (pthread_create(&thread, NULL, take_all, &o))
		module_fail("no thread");
	for (uint64_t done = 0; done < count;)
		if (pe_ring_spsc_room(ring, BURST) >= BURST) {
			put_burst(&change);
			done += BURST;
		}
	pthread_join(thread, NULL);
	bench_keep(&o.sum);
}

void module_ring(void)
{
	static const struct bench_case cases[] = {
		{"ring/one_thread", one_thread, NULL, 1024, make_ring, NULL},
		{"ring/two_threads", two_threads, NULL, 1u << 21, make_ring, NULL},
	};

	MODULE_CASES(cases);
}
