#include "trust.h"
#include "worker.h"

#include <errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void *control(void *context)
{
	struct pe_workers *all = context;
	const struct timespec between = {.tv_nsec = 1000000};

	// One grace period a millisecond at most: a worker whose turn is long is asked by liburcu
	// to wake the waiting thread, which is a system call of its own (a tenth of its time at
	// five grace periods a millisecond).
	// PHASE: acquire
	while (atomic_load_explicit(&all->phase, memory_order_acquire) != PE_PHASE_STOP) {
		(void)pe_engine_control(all->engine);
		nanosleep(&between, NULL);
	}
	return NULL;
}

void pe_workers_wake(struct pe_workers *all)
{
	const uint64_t one = 1;

	for (unsigned w = 0; w < all->loop_count; w++)
		if (write(all->loops[w].wake_fd, &one, sizeof one) != sizeof one)
			continue; // full: it is awake already
}

static void set_phase(struct pe_workers *all, enum pe_phase phase)
{
	// PHASE: release
	atomic_store_explicit(&all->phase, (unsigned)phase, memory_order_release);
	pe_workers_wake(all);
}

// Until every worker has found nothing to do in this phase.
static bool wait_quiet(struct pe_workers *all, enum pe_phase phase, uint32_t limit_ms)
{
	uint64_t end = clock_ms() + limit_ms;
	const struct timespec little = {.tv_nsec = 1000000};

	for (;;) {
		unsigned quiet = 0;

		// PHASE: acquire: what the workers counted is there
		for (unsigned w = 0; w < all->loop_count; w++)
			quiet += atomic_load_explicit(&all->loops[w].quiet_phase,
					 memory_order_acquire) >= (unsigned)phase;
		if (quiet == all->loop_count)
			return true;
		if (clock_ms() >= end)
			return false;
		nanosleep(&little, NULL);
	}
}

static bool nothing_in_flight(struct pe_workers *all, uint32_t limit_ms)
{
	uint64_t end = clock_ms() + limit_ms;
	const struct timespec little = {.tv_nsec = 1000000};

	for (;;) {
		uint64_t left = 0;

		for (unsigned w = 0; w < all->loop_count; w++)
			left += pe_worker_in_flight(all->loops[w].worker);
		if (left == 0)
			return true;
		if (clock_ms() >= end)
			return false;
		nanosleep(&little, NULL);
	}
}

static void close_wake_fds(struct pe_workers *all)
{
	for (unsigned w = 0; w < all->loop_count; w++)
		close(all->loops[w].wake_fd);
}

enum pe_status pe_workers_start(struct pe_workers *all, struct pe_error *error)
{
	unsigned lcore, started = 0;
	int failed;

	error->status = PE_IO;
	all->loop_count = 0;
	for (unsigned w = 0; w < all->config->worker_count; w++) {
		struct pe_loop *loop = &all->loops[w];

		*loop = (struct pe_loop){.all = all,
			.index = w,
			.worker = pe_engine_worker(all->engine, w),
			.gate = pe_trust_gate(all->trust, w)};
		loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (loop->wake_fd < 0) {
			snprintf(
				error->text, sizeof error->text, "no eventfd: %s", strerror(errno));
			close_wake_fds(all);
			return PE_IO;
		}
		all->loop_count = w + 1;
	}
	failed = pthread_create(&all->control, NULL, control, all);
	if (failed) {
		snprintf(
			error->text, sizeof error->text, "no control thread: %s", strerror(failed));
		close_wake_fds(all);
		return PE_IO;
	}
	pthread_setname_np(all->control, "pe-control");
	RTE_LCORE_FOREACH_WORKER(lcore)
	if (started < all->loop_count &&
		rte_eal_remote_launch(pe_worker_run, &all->loops[started], lcore) == 0)
		started++;
	assert(started == all->loop_count && "EAL was started with one lcore a worker");
	return PE_OK;
}

bool pe_workers_drain(struct pe_workers *all, uint32_t limit_ms)
{
	bool clean;

	set_phase(all, PE_PHASE_DRAIN);
	// A sender that does not stop keeps a worker busy: the bound ends that, and is no loss.
	(void)wait_quiet(all, PE_PHASE_DRAIN, limit_ms);
	set_phase(all, PE_PHASE_SETTLE);
	clean = wait_quiet(all, PE_PHASE_SETTLE, limit_ms);
	set_phase(all, PE_PHASE_LAST);
	clean = wait_quiet(all, PE_PHASE_LAST, limit_ms) && nothing_in_flight(all, limit_ms) &&
		clean;
	set_phase(all, PE_PHASE_STOP);
	rte_eal_mp_wait_lcore();
	pthread_join(all->control, NULL);
	// What the others gave worker 0 to send after its last turn. Its thread has ended: its
	// counters are ours.
	for (unsigned i = 0; i < all->source_count; i++)
		all->sources[i]->ops->flush(
			all->sources[i], 0, pe_worker_counters(all->loops[0].worker));
	close_wake_fds(all);
	return clean;
}
