// What tests of standing queries share: an engine with room for some, one subscriber whose turns
// are everybody's, and what it was told.
#pragma once

#include "testing.h"
#include "watching.h"

static struct harness h;

static inline struct pe_engine_config config(unsigned workers)
{
	struct pe_engine_config c = harness_config();

	c.worker_count = workers;
	c.fence_count_max = 64;
	c.member_count_max = 512;
	c.subscription_count_max = 8;
	return c;
}

static inline void start(unsigned workers, struct watching *s)
{
	struct pe_engine_config c = config(workers);

	harness_start(&h, &c);
	watching_init(s, &h, 0, 11);
}

static inline void stop(struct watching *s)
{
	watching_free(s);
	harness_stop(&h);
}

// Turns of all workers, and the clock a little on, until what is under way has come about.
static inline void run(struct watching *s, unsigned turns)
{
	watching_run(s, turns);
}

static inline void put(struct watching *s, uint64_t n, uint32_t sequence, double x)
{
	struct pe_wire_update u = harness_update(n, sequence, x, 0, 0);

	harness_queue_updates(&h, s->space, HARNESS_INCARNATION, &u, 1, false);
	run(s, 2);
}

static inline void open_with(struct watching *s, const struct pe_wire_fence *fences, unsigned count)
{
	watching_send(s, PE_SUBSCRIBE_OPEN, fences, count, NULL, 0);
	run(s, 4 + count); // a walk a turn
	CU_ASSERT_EQUAL(s->done.code, PE_CODE_SUCCESS);
	CU_ASSERT(s->whole);
}

// The whole reply to an operation.
static inline enum pe_reason told(
	struct watching *s, unsigned op, const struct pe_wire_fence *fences, unsigned count)
{
	unsigned answered = s->answered;

	watching_send(s, op, fences, count, NULL, 0);
	run(s, 3);
	CU_ASSERT_EQUAL(s->answered, answered + 1);
	CU_ASSERT_EQUAL(s->done.code,
		s->done.reason ? pe_reason_info[s->done.reason].code : PE_CODE_SUCCESS);
	return s->done.reason;
}

static inline enum pe_reason told_of(struct watching *s, unsigned op, uint64_t sequence)
{
	watching_sequence(s, op, sequence);
	run(s, 2);
	return s->done.reason;
}
