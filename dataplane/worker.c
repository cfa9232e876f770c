#include "worker.h"

#include <poll.h>
#include <rte_cycles.h>
#include <rte_pause.h>
#include <time.h>

#define HOUSEKEEPING_TURNS 256
#define CLOCK_PARTS        50000u // of a second, for which a look at the clocks holds good: 20 µs
#define LOOKS              32u    // at clients, between two idle turns

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct pe_now now(void)
{
	return (struct pe_now){
		.mono_ms = clock_ms(CLOCK_MONOTONIC), .wall_ms = clock_ms(CLOCK_REALTIME)};
}

// The clocks are looked at when the processor's own counter has gone on far enough: a turn that
// finds nothing costs less than they do. What counts in them are milliseconds. A counter that jumps
// only has them looked at again, and so has every 256th turn, should it stand.
static void look_at_clocks(struct pe_loop *loop, unsigned turn)
{
	uint64_t cycles = rte_rdtsc();

	if (cycles - loop->clock_cycles >= loop->clock_cycles_max ||
		turn % HOUSEKEEPING_TURNS == 0) {
		loop->clock_cycles = cycles;
		loop->at = now();
	}
}

// Not again when that was done a microsecond ago, and something has come since: it is waited for.
static struct pe_now turn_time(struct pe_loop *loop, unsigned turn)
{
	if (!loop->looked)
		look_at_clocks(loop, turn);
	loop->looked = false;
	return loop->at;
}

static uint8_t *sink_reserve(void *context, const struct pe_peer *peer)
{
	const struct pe_loop *loop = context;
	struct pe_source *source = loop->all->sources[peer->source];

	if (loop->all->door && !pe_door_may_send(loop->all->door, loop->index, peer, loop->mono_ms))
		return NULL;
	return source->ops->reserve(source, loop->index, peer);
}

static void sink_commit(void *context, const struct pe_peer *peer, uint8_t *data, uint32_t bytes)
{
	const struct pe_loop *loop = context;
	struct pe_source *source = loop->all->sources[peer->source];

	if (loop->all->door && bytes)
		pe_door_sent(loop->all->door, loop->index, peer, bytes, loop->mono_ms);
	source->ops->commit(
		source, loop->index, peer, data, bytes, pe_worker_counters(loop->worker));
}

static uint32_t sink_keep(void *context, const struct pe_peer *peer, uint32_t kept)
{
	const struct pe_loop *loop = context;
	struct pe_source *source = loop->all->sources[peer->source];

	return source->ops->keep ? source->ops->keep(source, loop->index, peer, kept) : peer->link;
}

static void sink_drop(void *context, const struct pe_peer *peer)
{
	const struct pe_loop *loop = context;
	struct pe_source *source = loop->all->sources[peer->source];

	if (source->ops->drop)
		source->ops->drop(source, loop->index, peer);
}

// Gives the processor away until a source has something, a timer is due or the main thread calls. A
// source that can only be polled, and other workers that may hand records over, bound the sleep.
static void sleep_a_while(struct pe_loop *loop)
{
	const struct pe_workers *all = loop->all;
	struct pollfd fds[PE_SOURCES_MAX + 1] = {{.fd = loop->wake_fd, .events = POLLIN}};
	uint64_t most_us = (uint64_t)pe_worker_idle_ms(loop->worker, now()) * 1000;
	bool bounded = all->loop_count > 1;
	struct timespec limit;
	nfds_t count = 1;

	for (unsigned i = 0; i < all->source_count; i++) {
		int fd = all->sources[i]->ops->wait_fd(all->sources[i], loop->index);

		if (fd < 0)
			bounded = true;
		else
			fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if (bounded && most_us > all->config->sleep_us_max)
		most_us = all->config->sleep_us_max;
	if (most_us == 0)
		return;
	limit = (struct timespec){(time_t)(most_us / 1000000), (long)(most_us % 1000000 * 1000)};
	pe_worker_offline(loop->worker);
	(void)ppoll(fds, count, &limit, NULL);
	pe_worker_online(loop->worker);
}

// After a turn that found nothing: looks at the sources that can be looked at for little, which a
// turn can't, so that who asks there is answered at once. About a microsecond at most, since what
// else a turn looks after waits meanwhile; with pauses, or the line that a client is about to write
// would be taken from it again and again.
static bool look_around(const struct pe_loop *loop)
{
	const struct pe_workers *all = loop->all;
	unsigned looks = 0, before = 1;

	while (looks < LOOKS && looks != before) {
		before = looks;
		rte_pause();
		for (unsigned i = 0; i < all->source_count; i++)
			if (all->sources[i]->ops->waiting &&
				all->sources[i]->ops->waiting(all->sources[i], loop->index, &looks))
				return true;
	}
	return false;
}

static void idle(struct pe_loop *loop, unsigned turn, uint32_t turns)
{
	const struct pe_config *config = loop->all->config;

	look_at_clocks(loop, turn);
	loop->looked = look_around(loop);
	if (loop->looked)
		return;
	if (config->idle == PE_IDLE_SPIN || turns < config->pause_after_turns)
		return;
	if (config->idle == PE_IDLE_SLEEP && turns >= config->sleep_after_turns)
		sleep_a_while(loop);
	else
		rte_pause();
}

// Who has gone from a source that sees it is told nothing more.
static void part_from_departed(struct pe_loop *loop)
{
	const struct pe_workers *all = loop->all;
	struct pe_peer peer;

	for (unsigned i = 0; i < all->source_count; i++)
		while (all->sources[i]->ops->departed &&
			all->sources[i]->ops->departed(all->sources[i], loop->index, &peer))
			pe_worker_depart(loop->worker, &peer);
}

// Every 256th turn and in every idle one: where the run stands. False = end.
static bool housekeep(struct pe_loop *loop, unsigned *phase, bool quiet)
{
	part_from_departed(loop);
	// PHASE: acquire
	*phase = atomic_load_explicit(&loop->all->phase, memory_order_acquire);
	if (loop->gate)
		pe_gate_housekeep(loop->gate, now());
	if (quiet && *phase != PE_PHASE_RUN && pe_worker_in_flight(loop->worker) == 0)
		// PHASE: release: what it has counted comes before
		atomic_store_explicit(&loop->quiet_phase, *phase, memory_order_release);
	return *phase != PE_PHASE_STOP;
}

// *full: a source had as much as could be taken.
static unsigned take_burst(struct pe_loop *loop, bool fresh, struct pe_message *messages,
	unsigned turn, unsigned *seen, bool *full)
{
	const struct pe_workers *all = loop->all;
	unsigned room = loop->gate ? pe_gate_room(loop->gate) : PE_BURST_MAX;
	unsigned share = room / all->source_count, count = 0, part;

	for (unsigned i = 0; i < all->source_count; i++) {
		struct pe_source *source = all->sources[(turn + i) % all->source_count];

		count += source->ops->receive(source, loop->index, fresh, messages + count, share,
			&part, pe_worker_counters(loop->worker));
		*seen += part;
		*full |= part >= share;
	}
	return count;
}

// What the door refuses of a burst is refused here; returns what remains of it.
static unsigned admit(struct pe_loop *loop, struct pe_now at, struct pe_message *messages,
	unsigned count, const struct pe_sink *sink)
{
	struct pe_door_refused refused[PE_BURST_MAX];
	unsigned refused_count, kept;

	kept = pe_door_admit(
		loop->all->door, loop->index, messages, count, at.mono_ms, refused, &refused_count);
	for (unsigned i = 0; i < refused_count; i++)
		pe_worker_refuse(loop->worker, at, &refused[i].message, refused[i].reason,
			refused[i].reply ? sink : NULL);
	return kept;
}

// A turn more for the state of load; what a step means begins with the next turn.
static void weigh_load(struct pe_loop *loop, bool full)
{
	const struct pe_load_rules *rules = &loop->all->config->load;
	enum pe_load_step before = loop->load.step, step;
	struct pe_counters *counters = pe_worker_counters(loop->worker);

	if (!pe_load_turn(&loop->load, rules, loop->mono_ms, full))
		return;
	step = loop->load.step;
	if (step > before)
		pe_count(counters, PE_COUNTER_load_raised, step - before);
	else
		pe_count(counters, PE_COUNTER_load_lowered, before - step);
	pe_worker_set_load(
		loop->worker, step == PE_LOAD_NORMAL ? 1 : rules->factor, step == PE_LOAD_SHED_NEW);
	if (loop->all->door)
		pe_door_shed(loop->all->door, loop->index, pe_load_sheds(step));
	atomic_store_explicit(&loop->load_step, (unsigned)step, memory_order_relaxed);
}

int pe_worker_run(void *context)
{
	struct pe_loop *loop = context;
	const struct pe_workers *all = loop->all;
	struct pe_counters *counters = pe_worker_counters(loop->worker);
	const struct pe_sink sources = {.context = loop,
		.reserve = sink_reserve,
		.commit = sink_commit,
		.keep = sink_keep,
		.drop = sink_drop};
	const struct pe_sink *sink = loop->gate ? pe_gate_sink(loop->gate, &sources) : &sources;
	const bool weighs = pe_load_wanted(&all->config->load);
	struct pe_message messages[PE_BURST_MAX];
	unsigned phase = PE_PHASE_RUN;
	uint32_t idle_turns = 0;

	loop->clock_cycles_max = rte_get_tsc_hz() / CLOCK_PARTS;
	loop->clock_cycles = rte_rdtsc() - loop->clock_cycles_max;
	pe_worker_attach(loop->worker);
	for (unsigned turn = 0;; turn++) {
		unsigned seen = 0, count, done;
		bool full = false;
		struct pe_now at;

		count = take_burst(loop, phase <= PE_PHASE_DRAIN, messages, turn, &seen, &full);
		at = turn_time(loop, turn);
		loop->mono_ms = at.mono_ms;
		// Who speaks is known behind the gate.
		if (loop->gate)
			count = pe_gate_take(loop->gate, at, messages, count);
		if (all->door && count)
			count = admit(loop, at, messages, count, sink);
		if (phase >= PE_PHASE_SETTLE)
			pe_worker_end_subscriptions(loop->worker);
		done = pe_worker_turn(loop->worker, at, messages, count, sink);
		if (loop->gate)
			done += pe_gate_waiting(loop->gate);
		if (weighs)
			weigh_load(loop, full);
		for (unsigned i = 0; i < all->source_count; i++) {
			all->sources[i]->ops->flush(all->sources[i], loop->index, counters);
			all->sources[i]->ops->release(all->sources[i], loop->index);
		}
		idle_turns = seen | done ? 0 : idle_turns + 1;
		if ((idle_turns || turn % HOUSEKEEPING_TURNS == 0) &&
			!housekeep(loop, &phase, idle_turns != 0))
			break;
		if (idle_turns && phase == PE_PHASE_RUN)
			idle(loop, turn, idle_turns);
	}
	pe_worker_detach(loop->worker);
	return 0;
}
