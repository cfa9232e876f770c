// The workers: N threads (EAL lcores) that each carry bursts from every source through the engine,
// and the control thread that runs the engine's grace periods. Worker threads live from
// pe_workers_start to pe_workers_join; the functions here are the main thread's.
#pragma once

#include "gate.h"
#include "source.h"

#include <pthread.h>
#include <stdatomic.h>

enum pe_phase {
	PE_PHASE_RUN,
	PE_PHASE_DRAIN,  // take what is queued already, until a worker finds nothing
	PE_PHASE_SETTLE, // receive nothing; carry what is in flight between workers to its end
	// once more: what a worker handed over before it saw SETTLE is seen by then
	PE_PHASE_LAST,
	PE_PHASE_STOP,
};

struct pe_workers;

struct pe_loop { // one worker's
	struct pe_workers *all;
	unsigned index;
	struct pe_worker *worker;
	struct pe_gate *gate; // NULL: there are no sessions
	uint64_t mono_ms;     // of this turn
	// when the clocks were looked at last, and the processor's counter then
	struct pe_now at;
	uint64_t clock_cycles, clock_cycles_max;
	bool looked; // at the clocks, since the turn before
	struct pe_load load;
	// written: the worker, relaxed; read: main and telemetry. enum pe_load_step
	_Atomic unsigned load_step;
	int wake_fd; // written: main thread, to end a sleep; read: the worker
	// written: the worker, release; read: main thread, acquire. The phase in which the worker
	// last found nothing left to do; it pairs with `phase`, so that what main sees of "quiet"
	// is later than its change of phase.
	_Alignas(64) _Atomic unsigned quiet_phase;
};

struct pe_workers {
	const struct pe_config *config;
	struct pe_engine *engine;
	struct pe_door *door; // NULL: all may come in and go out
	struct pe_source *sources[PE_SOURCES_MAX];
	struct pe_trust *trust; // NULL: there are no sessions
	unsigned source_count, loop_count;
	_Atomic unsigned phase; // written: main thread, release; read: workers and control, acquire
	pthread_t control;
	struct pe_loop loops[PE_WORKERS_MAX];
};

// config, engine, trust, door and sources are filled in by the caller.
[[nodiscard]] enum pe_status pe_workers_start(struct pe_workers *workers, struct pe_error *error);
// Takes what is queued, waits until nothing is in flight and ends the threads. Each step is bounded
// by limit_ms; false = a bound was hit and something may still have been in flight. The sources are
// still open afterwards.
bool pe_workers_drain(struct pe_workers *workers, uint32_t limit_ms);

// Ends the sleep of those who sleep.
void pe_workers_wake(struct pe_workers *workers);

// The body of a worker's lcore, until PE_PHASE_STOP. context = its struct pe_loop. Returns 0.
int pe_worker_run(void *context);
