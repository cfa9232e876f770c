// A worker's turn: what time has ended, what other workers handed over, the messages (take.c), and
// what goes back; and what else its thread may do with a worker.
#include "answer.h"
#include "own.h"

#include "base/rcu.h"
#include "base/stages.h"

static bool waits_for_grace(const struct pe_worker *w)
{
	return pe_grid_deferred(w->engine->grid, w->index) || w->handles.retired_count ||
		w->arena.retired_count;
}

unsigned pe_worker_turn(struct pe_worker *worker, struct pe_now now,
	const struct pe_message *messages, unsigned count, const struct pe_sink *sink)
{
	unsigned did = 0;
	bool waits;

	assert(worker->attached && count <= PE_BURST_MAX);
	pe_stage_end(PE_STAGE_outside);
	// One turn in a row at most, so that timers with too much for one turn go on.
	worker->rested &= count && worker->tick == (uint32_t)now.mono_ms;
	worker->tick = (uint32_t)now.mono_ms;
	if (!worker->started) {
		worker->wheel.tick = worker->pending.wheel.tick = worker->held.tick = worker->tick;
		if (worker->watch)
			pe_watch_start_clock(worker);
		worker->started = true;
	}
	worker->wall_ms = now.wall_ms;
	worker->newest_ms = now.wall_ms + worker->engine->config.clock_ahead_ms;
	worker->sink = sink;
	worker->answers_left = UINT32_MAX;
	worker->authorized = (struct pe_authorized){0};
	pe_query_begin_turn(&worker->query);
	// What time has ended must not be met by this turn's messages, nor by what they say of it.
	// Who asks after silence has not to wait for what has just found nothing.
	if (!worker->rested) {
		did = pe_own_turn(worker);
		if (worker->watch)
			did += pe_watch_begin_turn(worker);
	}
	did += pe_apply_rings(worker);
	pe_stage_end(PE_STAGE_due);
	pe_take_messages(worker, messages, count);
	pe_apply_flush_rings(worker);
	pe_outbox_flush(worker);
	pe_stage_end(PE_STAGE_answer);
	if (worker->watch)
		did += pe_watch_turn(worker);
	pe_count(&worker->counters, PE_COUNTER_turns, 1);
	if (!did && !count)
		pe_count(&worker->counters, PE_COUNTER_turns_idle, 1);
	waits = waits_for_grace(worker);
	if (waits)
		atomic_store_explicit(&worker->engine->control_wanted, 1, memory_order_relaxed);
	worker->rested = !did && !count && !waits;
	pe_rcu_quiescent();
	return did;
}

void pe_worker_refuse(struct pe_worker *worker, struct pe_now now, const struct pe_message *message,
	enum pe_reason reason, const struct pe_sink *sink)
{
	struct pe_wire_view view;

	pe_count_reason(&worker->counters, reason, 1);
	if (!sink || pe_wire_check(message->data, message->bytes, &view))
		return;
	worker->wall_ms = now.wall_ms;
	worker->sink = sink;
	pe_answer_refused(worker, message, &view, reason);
}

void pe_worker_set_load(struct pe_worker *worker, uint32_t coarse, bool refuse_new)
{
	const struct pe_engine *e = worker->engine;

	assert(coarse >= 1 && coarse <= e->config.coarse_max);
	worker->coarse = (float)coarse;
	worker->refuse_new = refuse_new;
	for (unsigned i = 0; i < e->config.space_count; i++) {
		const struct pe_space *space = &e->spaces[i].space;
		bool straight = space->config.kind == PE_SPACE_CARTESIAN;

		worker->straight |= (uint64_t)straight << i;
		for (unsigned mode = 0; mode < 4; mode++) {
			float m = e->config.spaces[i].coalesce_distance_m *
				(float)pe_coalesce_factor((uint16_t)(mode << 5)) * worker->coarse;
			double most = straight ? (double)m : (double)m * space->units_per_m;

			worker->covered_square[i][mode] = most * most;
		}
	}
}

void pe_worker_attach(struct pe_worker *worker)
{
	pe_rcu_register();
	worker->attached = true;
}

void pe_worker_detach(struct pe_worker *worker)
{
	worker->attached = false;
	pe_rcu_unregister();
}

void pe_worker_end_subscriptions(struct pe_worker *worker)
{
	if (worker->watch)
		pe_watch_leave(worker);
}

void pe_worker_depart(struct pe_worker *worker, const struct pe_peer *peer)
{
	if (worker->watch)
		pe_watch_depart(worker, peer);
}

void pe_worker_end_link(struct pe_worker *worker, uint32_t link)
{
	if (worker->watch)
		pe_watch_end_link(worker, link);
}

void pe_worker_offline(struct pe_worker *worker)
{
	(void)worker;
	pe_rcu_offline();
}

void pe_worker_online(struct pe_worker *worker)
{
	(void)worker;
	pe_rcu_online();
}

uint32_t pe_worker_idle_ms(const struct pe_worker *worker, struct pe_now now)
{
	uint32_t tick = (uint32_t)now.mono_ms;
	uint32_t idle = pe_wheel_next(&worker->wheel, tick, 1000);

	idle = pe_wheel_next(&worker->pending.wheel, tick, idle);
	idle = pe_held_next(&worker->held, tick, idle);
	if (worker->watch)
		idle = pe_watch_idle_ms(worker, tick, idle);
	// A grace period takes about a millisecond; and another worker's records come without a
	// wake-up.
	if ((waits_for_grace(worker) || worker->engine->config.worker_count > 1) && idle > 1)
		idle = 1;
	return idle;
}

uint32_t pe_worker_in_flight(const struct pe_worker *worker)
{
	struct pe_engine *e = worker->engine;
	uint32_t waiting = atomic_load_explicit(&worker->owed, memory_order_relaxed);

	for (unsigned from = 0; from < e->config.worker_count; from++)
		if (from != worker->index)
			waiting += pe_ring_spsc_count(pe_ring_between(e, from, worker->index));
	return waiting;
}

struct pe_counters *pe_worker_counters(struct pe_worker *worker)
{
	return &worker->counters;
}
