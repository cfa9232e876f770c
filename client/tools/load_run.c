#include "client/tools/load.h"
#include "client/tools/arguments.h"
#include "client/tools/port_dpdk.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define TURN_RECORDS_MAX 1024 // made in one turn, so that answers are taken soon
#define TURN_QUERIES_MAX 64
#define FILL_WAIT_US     5000   // a packet that is not full leaves after this
#define PROBE_LOST_US    250000 // an acknowledgement that has not come by then was lost
#define SHOW_US          1000000

volatile sig_atomic_t load_stopped;

static uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void saw_ack(void *context, uint64_t sequence, struct presence_refusal refusal,
	const struct presence_ack *acks, unsigned count)
{
	struct load_run *r = context;

	r->refused_packets += refusal.code != 0;
	for (unsigned i = 0; i < count; i++) {
		if (acks[i].status < 5)
			r->acked[acks[i].status]++;
		if (acks[i].reason)
			r->acked_reason[acks[i].reason]++;
	}
	// What was sent before it has left the socket's buffer on the other side.
	while (r->probe_count && r->probes[r->probe_first].sequence <= sequence) {
		r->packets_behind = r->probes[r->probe_first].packet;
		r->probes_lost += r->probes[r->probe_first].sequence != sequence;
		r->probe_first = (r->probe_first + 1) % LOAD_PROBES_MAX;
		r->probe_count--;
	}
}

static void saw_answer(
	void *context, const struct presence_part *part, const struct presence_found *found)
{
	struct load_run *r = context;
	typeof(&r->asked[0]) q = &r->asked[part->sequence % LOAD_QUERIES_MAX];
	uint64_t us;

	if (q->sequence != part->sequence)
		return;
	q->parts++;
	r->results += part->result_count;
	if (part->last)
		q->parts_total = part->part + 1;
	if (part->part == 0 && part->result_count && (q->geo || r->replay.report_count == 0)) {
		r->sample_count =
			part->result_count < LOAD_SAMPLE_MAX ? part->result_count : LOAD_SAMPLE_MAX;
		memcpy(r->sample, found, r->sample_count * sizeof found[0]);
		r->sample_geo = q->geo;
	}
	if (q->parts != q->parts_total)
		return;
	us = clock_us() - r->begin_us - q->intended_us;
	load_histogram_add(&r->latency, us);
	load_histogram_add(&r->recent, us);
	r->answers++;
	r->answers_refused += part->code != 0;
	r->answers_truncated += part->truncated;
	q->sequence = 0;
}

static void take_replies(struct load_run *r)
{
	struct presence_events events = {r, saw_ack, saw_answer};

	(void)presence_poll(r->updates, &events, 256, 0);
	(void)presence_poll(r->queries, &events, 256, 0);
	while (r->probe_count && r->now_us - r->probes[r->probe_first].sent_us > PROBE_LOST_US &&
		r->now_us > r->probes[r->probe_first].sent_us) {
		r->packets_behind = r->probes[r->probe_first].packet;
		r->probes_lost++;
		r->probe_first = (r->probe_first + 1) % LOAD_PROBES_MAX;
		r->probe_count--;
	}
	while (r->asked_oldest <= r->asked_newest) {
		typeof(&r->asked[0]) q = &r->asked[r->asked_oldest % LOAD_QUERIES_MAX];

		if (q->sequence == r->asked_oldest) {
			if (r->now_us < q->intended_us + r->config->query_timeout_ms * 1000ull)
				break;
			r->lost++;
			q->sequence = 0;
		}
		r->asked_oldest++;
	}
}

static bool window_open(struct load_run *r)
{
	return !r->config->window || r->packets_made - r->packets_behind < r->config->window;
}

static bool send_packet(struct load_run *r, unsigned geo)
{
	uint64_t sequence;
	bool ack;

	// A window that is half full asks too when nobody else does, or a closed one would wait for
	// nothing.
	r->ack_debt += r->config->ack_share;
	ack = r->ack_debt >= 1 ||
		(r->config->window && !r->probe_count &&
			2 * (r->packets_made + 1 - r->packets_behind) >= r->config->window);
	ack = ack && r->probe_count < LOAD_PROBES_MAX;
	if (presence_submit_updates(r->updates, geo ? r->config->geo_space : r->config->space,
		    r->pending[geo], r->pending_count[geo], ack, &sequence)) {
		r->ack_debt -= r->config->ack_share;
		return false;
	}
	r->pending_count[geo] = 0;
	r->packets_made++;
	if (ack) {
		unsigned last = (r->probe_first + r->probe_count++) % LOAD_PROBES_MAX;

		r->ack_debt = r->ack_debt >= 1 ? r->ack_debt - 1 : 0;
		r->probes[last].sequence = sequence;
		r->probes[last].packet = r->packets_made;
		r->probes[last].sent_us = r->now_us;
		r->probes_sent++;
	}
	return true;
}

// Room for one more record of the space; NULL while the window or the socket's buffer is closed.
static struct presence_update *room(struct load_run *r, unsigned geo)
{
	if (r->pending_count[geo] >= r->config->batch && (!window_open(r) || !send_packet(r, geo)))
		return NULL;
	if (!r->pending_count[geo])
		r->pending_since_us[geo] = r->now_us;
	return &r->pending[geo][r->pending_count[geo]];
}

// The crowds take turns in proportion to their counts.
static struct load_crowd *next_crowd(struct load_run *r)
{
	uint64_t total = 0, turn;

	for (unsigned i = 0; i < LOAD_CROWDS_MAX; i++)
		total += r->crowds[i].count;
	turn = (r->crowd_records * 2654435761u) % total;
	for (unsigned i = 0; i < LOAD_CROWDS_MAX; i++) {
		if (turn < r->crowds[i].count)
			return &r->crowds[i];
		turn -= r->crowds[i].count;
	}
	return &r->crowds[0];
}

static unsigned make_updates(struct load_run *r)
{
	uint64_t due = (uint64_t)((double)r->now_us * r->config->rate / 1e6);
	unsigned made = 0;
	struct presence_update *u;

	while (r->replay.report_count && made < TURN_RECORDS_MAX &&
		load_replay_due_us(&r->replay) <= r->now_us && (u = room(r, 1))) {
		load_replay_next(&r->replay, r->now_us, u);
		r->pending_count[1]++;
		made++;
	}
	while (r->crowd_records < due && made < TURN_RECORDS_MAX && (u = room(r, 0))) {
		load_crowd_next(next_crowd(r), (uint32_t)(r->now_us / 1000), u);
		r->pending_count[0]++;
		r->crowd_records++;
		made++;
	}
	r->held_turns += r->crowd_records < due && made < TURN_RECORDS_MAX;
	for (unsigned geo = 0; geo < 2; geo++)
		if (r->pending_count[geo] &&
			(r->pending_count[geo] >= r->config->batch ||
				r->now_us - r->pending_since_us[geo] >= FILL_WAIT_US) &&
			window_open(r))
			(void)send_packet(r, geo);
	(void)presence_flush(r->updates, NULL);
	return made;
}

static void ask(struct load_run *r, uint64_t number)
{
	bool crowds = r->config->rate > 0;
	bool geo = r->replay.report_count && (!crowds || number % 4 == 0);
	struct presence_query query = {.volume = PRESENCE_SPHERE};
	uint64_t sequence;
	typeof(&r->asked[0]) q;

	if (geo)
		load_replay_somewhere(&r->replay, query.a);
	else
		load_crowd_somewhere(next_crowd(r), query.a);
	query.radius_m = geo ? r->config->geo_radius_m : r->config->radius_m;
	if (presence_submit_query(
		    r->queries, geo ? r->config->geo_space : r->config->space, &query, &sequence))
		return;
	q = &r->asked[sequence % LOAD_QUERIES_MAX];
	r->lost += q->sequence != 0;
	q->sequence = sequence;
	q->intended_us = (uint64_t)((double)number * 1e6 / r->config->query_rate);
	q->parts = q->parts_total = 0;
	q->geo = geo;
	r->asked_newest = sequence;
}

static unsigned make_queries(struct load_run *r)
{
	uint64_t due = (uint64_t)((double)r->now_us * r->config->query_rate / 1e6);
	unsigned made = 0;

	while (r->queries_due < due && made++ < TURN_QUERIES_MAX)
		ask(r, ++r->queries_due);
	(void)presence_flush(r->queries, NULL);
	return made;
}

// Sleeps until something comes, or something is due, at most a millisecond.
static void rest(struct load_run *r)
{
	struct pollfd fds[2] = {{.fd = presence_socket(r->updates), .events = POLLIN},
		{.fd = presence_socket(r->queries), .events = POLLIN}};
	double wait_us = 1000;

	if (r->config->rate > 0)
		wait_us = (double)(r->crowd_records + r->config->batch) * 1e6 / r->config->rate -
			(double)r->now_us;
	if (r->config->query_rate > 0) {
		double query_us = (double)(r->queries_due + 1) * 1e6 / r->config->query_rate -
			(double)r->now_us;

		wait_us = query_us < wait_us ? query_us : wait_us;
	}
	wait_us = wait_us > 1000 ? 1000 : wait_us < 20 ? 20 : wait_us;
	// A port has nothing to wait on: it is polled.
	if (fds[0].fd < 0)
		sched_yield();
	else
		(void)ppoll(fds, 2, &(struct timespec){.tv_nsec = (long)(wait_us * 1000)}, NULL);
}

static bool queries_under_way(const struct load_run *r)
{
	for (unsigned i = 0; i < LOAD_QUERIES_MAX; i++)
		if (r->asked[i].sequence)
			return true;
	return false;
}

static void loop(struct load_run *r)
{
	uint64_t shown_us = 0, end_us = r->config->for_ms * 1000ull;

	r->begin_us = clock_us();
	while (!load_stopped && (!end_us || r->now_us < end_us)) {
		r->now_us = clock_us() - r->begin_us;
		if (make_updates(r) + make_queries(r) == 0)
			rest(r);
		take_replies(r);
		if (r->now_us - shown_us >= SHOW_US) {
			shown_us = r->now_us;
			load_show(r);
		}
	}
	// What is half full leaves too; then the answers that are on their way are waited for.
	end_us = r->now_us + 2000000;
	while (r->now_us < end_us) {
		bool full = false;

		r->now_us = clock_us() - r->begin_us;
		for (unsigned geo = 0; geo < 2; geo++)
			if (r->pending_count[geo])
				full |= !send_packet(r, geo);
		full |= presence_flush(r->updates, NULL) != PRESENCE_OK;
		full |= presence_flush(r->queries, NULL) != PRESENCE_OK;
		take_replies(r);
		if (!full && !r->probe_count && !queries_under_way(r))
			break;
		rest(r);
	}
}

static enum presence_result open_client(struct load_run *r, struct presence_client **client)
{
	char error[300];
	enum presence_result result;

	if (r->config->port_device)
		result = port_dpdk_open(
			r->config->port_device, &r->config->engine, client, error, sizeof error);
	else
		result = presence_open(&r->config->engine, client, error, sizeof error);
	if (result)
		fprintf(stderr, "presence-load: %s\n",
			*error ? error : presence_result_text(result));
	return result;
}

static int open_all(struct load_run *r)
{
	const struct load_config *c = r->config;
	struct presence_refusal refusal;
	enum presence_result result;
	char error[300];

	for (unsigned i = 0; i < LOAD_CROWDS_MAX; i++) {
		uint32_t count = c->counts[i];

		if (!count)
			continue;
		if (!load_crowd_open(
			    &r->crowds[i], (enum load_motion)i, count, c->half_side_m, c->seed)) {
			fprintf(stderr, "presence-load: no memory for %u entities\n", count);
			return EX_OSERR;
		}
	}
	// Known for four rounds of updates, and for ten seconds at least.
	for (unsigned i = 0; i < LOAD_CROWDS_MAX; i++) {
		double all = (double)c->counts[0] + c->counts[1] + c->counts[2];
		double ttl_ms = c->rate > 0 ? all / c->rate * 4000 : 0;

		r->crowds[i].ttl_ms = ttl_ms > 86400000 ? 86400000 :
			ttl_ms < 10000                  ? 10000 :
							  (uint32_t)ttl_ms;
	}
	if (c->replay && !load_replay_open(&r->replay, c->replay, c->lapse, error, sizeof error)) {
		fprintf(stderr, "presence-load: %s\n", error);
		return access(c->replay, R_OK) ? EX_NOINPUT : EX_DATAERR;
	}
	if ((result = open_client(r, &r->control)) || (result = open_client(r, &r->updates)) ||
		(result = open_client(r, &r->queries)))
		return c->port_device ? EX_OSERR : open_exit_code(&c->engine, result);
	r->asked_oldest = 1;
	result = presence_stats(r->control, &r->before, &refusal);
	if (result == PRESENCE_TIMED_OUT) {
		fprintf(stderr, "presence-load: %s\n", presence_error(r->control));
		return EX_UNAVAILABLE;
	}
	r->has_stats = result == PRESENCE_OK;
	if (!r->has_stats)
		fprintf(stderr,
			"presence-load: no counters from the engine (%s): nothing can be compared\n",
			result == PRESENCE_REFUSED ? presence_reason_text(refusal.reason) :
						     presence_result_text(result));
	r->last = r->before;
	return EX_OK;
}

int load_run(const struct load_config *config)
{
	struct load_run *r = calloc(1, sizeof *r);
	json_t *summary;
	int code;

	if (!r)
		return EX_OSERR;
	r->config = config;
	code = open_all(r);
	if (code == EX_OK) {
		loop(r);
		if (r->has_stats)
			r->has_stats = load_drain(r);
		summary = load_summary(r);
		if (config->json) {
			json_dumpf(summary, stdout,
				JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
			putchar('\n');
		}
		if (!config->quiet || !config->json)
			load_print_summary(summary);
		json_decref(summary);
		if (!r->has_stats)
			code = EX_UNAVAILABLE;
	}
	presence_close(r->updates);
	presence_close(r->queries);
	presence_close(r->control);
	for (unsigned i = 0; i < LOAD_CROWDS_MAX; i++)
		load_crowd_close(&r->crowds[i]);
	load_replay_close(&r->replay);
	free(r);
	return code;
}
