#include "client/tools/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS      5000
#define DRAIN_STEP_MS 50
#define DRAIN_LEAST   4 // looks that must agree

static uint64_t value(const struct presence_stats *s, const char *name)
{
	int i = presence_counter_find(name);

	return i >= 0 && (unsigned)i < s->count ? s->value[i] : 0;
}

static uint64_t gain(const struct load_run *r, const char *name)
{
	return value(&r->after, name) - value(&r->before, name);
}

static uint64_t entities(const struct presence_stats *s)
{
	return value(s, "created") - value(s, "expired") - value(s, "withdrawn");
}

bool load_drain(struct load_run *r)
{
	unsigned agreed = 0;

	for (unsigned ms = 0; ms < DRAIN_MS && agreed < DRAIN_LEAST; ms += DRAIN_STEP_MS) {
		struct presence_stats now;

		nanosleep(&(struct timespec){.tv_nsec = DRAIN_STEP_MS * 1000000}, NULL);
		if (presence_stats(r->control, &now, NULL))
			continue;
		agreed = value(&now, "records_carried") == value(&r->after, "records_carried") &&
				now.records_difference == 0 && now.queries_difference == 0 ?
			agreed + 1 :
			0;
		r->after = now;
	}
	return r->after.count != 0;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static json_t *counters(const struct presence_stats *s)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < s->count && i < presence_counter_count(); i++)
		if (s->value[i])
			json_object_set_new(object, presence_counter_name(i),
				json_integer((json_int_t)s->value[i]));
	return object;
}

static json_t *acked(const struct load_run *r)
{
	json_t *object = json_object(), *reasons = json_object();

	for (unsigned i = 0; i < 5; i++)
		json_object_set_new(
			object, presence_status_name(i), json_integer((json_int_t)r->acked[i]));
	for (unsigned i = 1; i < 256; i++)
		if (r->acked_reason[i])
			json_object_set_new(reasons, presence_reason_name(i),
				json_integer((json_int_t)r->acked_reason[i]));
	json_object_set_new(object, "reasons", reasons);
	json_object_set_new(object, "packets_asked", json_integer((json_int_t)r->probes_sent));
	json_object_set_new(object, "packets_lost", json_integer((json_int_t)r->probes_lost));
	json_object_set_new(
		object, "packets_refused", json_integer((json_int_t)r->refused_packets));
	return object;
}

static json_t *latencies(const struct load_histogram *h)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "p50", (json_int_t)load_histogram_quantile(h, 0.5),
		"p99", (json_int_t)load_histogram_quantile(h, 0.99), "p999",
		(json_int_t)load_histogram_quantile(h, 0.999), "max", (json_int_t)h->largest);
}

// What the engine says of this run, and what both sides say of the same things. Others that talk to
// the engine at the same time show as differences.
static void add_accounting(const struct load_run *r, json_t *object)
{
	struct presence_traffic updates = presence_traffic(r->updates),
				queries = presence_traffic(r->queries);
	uint64_t refused = r->after.records_refused - r->before.records_refused;
	uint64_t dropped = r->after.records_dropped - r->before.records_dropped;
	uint64_t records = apart(updates.records_sent, gain(r, "records_carried"));
	uint64_t outcomes = apart(gain(r, "records_carried"),
		gain(r, "records_applied") + gain(r, "records_coalesced") + refused + dropped);
	uint64_t update_packets = apart(updates.packets_sent, gain(r, "carried_update"));
	uint64_t query_packets = apart(queries.packets_sent, gain(r, "carried_query"));
	uint64_t identities;

	identities = (uint64_t)llabs(r->after.packets_difference) +
		(uint64_t)llabs(r->after.records_difference) +
		(uint64_t)llabs(r->after.queries_difference);
	json_object_set_new(object, "entities", json_integer((json_int_t)entities(&r->after)));
	json_object_set_new(
		object, "received", json_integer((json_int_t)gain(r, "records_carried")));
	json_object_set_new(
		object, "applied", json_integer((json_int_t)gain(r, "records_applied")));
	json_object_set_new(
		object, "coalesced", json_integer((json_int_t)gain(r, "records_coalesced")));
	json_object_set_new(object, "refused", json_integer((json_int_t)refused));
	json_object_set_new(object, "dropped", json_integer((json_int_t)dropped));
	json_object_set_new(object, "accounting_difference",
		r->after.identities ? json_integer((json_int_t)(records + outcomes +
					      update_packets + query_packets + identities)) :
				      json_null());
	json_object_set_new(object, "accounting",
		json_pack("{s:I, s:I, s:I, s:I, s:I}", "records_sent_and_received",
			(json_int_t)records, "records_received_and_outcomes", (json_int_t)outcomes,
			"update_packets", (json_int_t)update_packets, "query_packets",
			(json_int_t)query_packets, "identities", (json_int_t)identities));
}

json_t *load_summary(const struct load_run *r)
{
	struct presence_traffic updates = presence_traffic(r->updates),
				queries = presence_traffic(r->queries);
	json_t *object = json_object();

	json_object_set_new(object, "seconds", json_real((double)r->now_us / 1e6));
	if (r->has_stats)
		add_accounting(r, object);
	json_object_set_new(object, "queries", json_integer((json_int_t)queries.packets_sent));
	json_object_set_new(object, "answers", json_integer((json_int_t)r->answers));
	json_object_set_new(
		object, "lost", json_integer((json_int_t)(queries.packets_sent - r->answers)));
	json_object_set_new(
		object, "answers_refused", json_integer((json_int_t)r->answers_refused));
	json_object_set_new(
		object, "answers_truncated", json_integer((json_int_t)r->answers_truncated));
	json_object_set_new(object, "results", json_integer((json_int_t)r->results));
	json_object_set_new(object, "latency_us", latencies(&r->latency));
	json_object_set_new(object, "sent",
		json_pack("{s:I, s:I, s:I}", "packets", (json_int_t)updates.packets_sent, "records",
			(json_int_t)updates.records_sent, "bytes", (json_int_t)updates.bytes_sent));
	json_object_set_new(object, "acked", acked(r));
	json_object_set_new(object, "malformed_replies",
		json_integer((json_int_t)(updates.malformed + queries.malformed)));
	json_object_set_new(object, "replay_rounds", json_integer((json_int_t)r->replay.loops));
	json_object_set_new(object, "turns_held_back", json_integer((json_int_t)r->held_turns));
	if (r->has_stats)
		json_object_set_new(object, "engine",
			json_pack("{s:o, s:o}", "before", counters(&r->before), "after",
				counters(&r->after)));
	return object;
}

static long long number(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

// Why, of those records that acknowledgements were asked for, and what mends it.
static void print_refusals(const json_t *reasons)
{
	for (unsigned i = 1; i < 256; i++) {
		const char *name = presence_reason_name(i);
		long long count = number(reasons, name);

		if (count)
			fprintf(stderr, "         %s %lld of those acknowledged: %s; %s\n", name,
				count, presence_reason_text(i), presence_reason_remedy(i));
	}
}

void load_print_summary(const json_t *s)
{
	const json_t *latency = json_object_get(s, "latency_us"),
		     *sent = json_object_get(s, "sent");
	double seconds = json_real_value(json_object_get(s, "seconds"));
	double rate = seconds > 0 ? (double)number(sent, "records") / seconds : 0;

	fprintf(stderr, "sent     %lld records in %lld packets over %.1f s (%.0f/s)\n",
		number(sent, "records"), number(sent, "packets"), seconds, rate);
	fprintf(stderr,
		"engine   %lld received = %lld applied + %lld coalesced + %lld refused + %lld dropped; %lld entities\n",
		number(s, "received"), number(s, "applied"), number(s, "coalesced"),
		number(s, "refused"), number(s, "dropped"), number(s, "entities"));
	print_refusals(json_object_get(json_object_get(s, "acked"), "reasons"));
	fprintf(stderr,
		"queries  %lld sent, %lld answered, %lld lost; p50 %lld us, p99 %lld us, p99.9 %lld us\n",
		number(s, "queries"), number(s, "answers"), number(s, "lost"),
		number(latency, "p50"), number(latency, "p99"), number(latency, "p999"));
	if (json_is_integer(json_object_get(s, "accounting_difference")))
		fprintf(stderr, "accounts differ by %lld\n", number(s, "accounting_difference"));
}

// ---- while it runs
// ---------------------------------------------------------------------------------

struct rates {
	double seconds, sent, applied, coalesced, refused, answers;
	uint64_t p50, p99, p999, entities;
};

static struct rates rates(struct load_run *r)
{
	uint64_t records = presence_traffic(r->updates).records_sent;
	struct presence_stats now;
	struct rates x = {.seconds = (double)(r->now_us - r->last_us) / 1e6};

	x.sent = (double)(records - r->last_records) / x.seconds;
	x.answers = (double)(r->answers - r->last_answers) / x.seconds;
	x.p50 = load_histogram_quantile(&r->recent, 0.5);
	x.p99 = load_histogram_quantile(&r->recent, 0.99);
	x.p999 = load_histogram_quantile(&r->recent, 0.999);
	if (r->has_stats && presence_stats(r->control, &now, NULL) == PRESENCE_OK) {
		x.applied = (double)(value(&now, "records_applied") -
				    value(&r->last, "records_applied")) /
			x.seconds;
		x.coalesced = (double)(value(&now, "records_coalesced") -
				      value(&r->last, "records_coalesced")) /
			x.seconds;
		x.refused = (double)(now.records_refused + now.records_dropped -
				    r->last.records_refused - r->last.records_dropped) /
			x.seconds;
		r->last = now;
	}
	x.entities = entities(&r->last);
	r->last_us = r->now_us;
	r->last_records = records;
	r->last_answers = r->answers;
	load_histogram_clear(&r->recent);
	return x;
}

// Lines of the view are rewritten in place: up by as many as were drawn, each cleared to its end.
static void draw(struct load_run *r, const struct rates *x)
{
	unsigned lines = 0;

	if (r->view_lines)
		printf("\033[%uA", r->view_lines);
#define LINE(...) (printf(__VA_ARGS__), printf("\033[K\n"), lines++)
	LINE("\033[1mpresence-load\033[0m  %.0f s   replay round %" PRIu64, (double)r->now_us / 1e6,
		r->replay.loops + 1);
	LINE("updates   %9.0f/s sent   %9.0f/s applied   %9.0f/s coalesced   %6.0f/s not taken",
		x->sent, x->applied, x->coalesced, x->refused);
	LINE("entities  %9" PRIu64, x->entities);
	LINE("queries   %9.0f/s answered   %" PRIu64 " lost   p50 %" PRIu64 " us   p99 %" PRIu64
	     " us   p99.9 %" PRIu64 " us",
		x->answers, r->lost, x->p50, x->p99, x->p999);
	LINE("last answer%s:", r->sample_geo ? " about ships" : "");
	for (unsigned i = 0; i < LOAD_SAMPLE_MAX; i++) {
		const struct presence_found *f = &r->sample[i];
		uint64_t name = 0;

		if (i >= r->sample_count) {
			LINE(" ");
			continue;
		}
		for (unsigned k = 8; k < 16; k++)
			name = name << 8 | f->id[k];
		LINE("  %.8s %-10" PRIu64 " %12.6f %12.6f  %9.1f m  %-8s %5.1f s ago",
			(const char *)f->id, name, f->position[0], f->position[1],
			(double)f->distance_m, presence_state_name(f->state), f->age_ms / 1000.0);
	}
#undef LINE
	r->view_lines = lines;
	fflush(stdout);
}

void load_show(struct load_run *r)
{
	struct rates x;

	if (r->config->quiet && !r->config->view)
		return;
	x = rates(r);
	if (r->config->view && isatty(STDOUT_FILENO)) {
		draw(r, &x);
		return;
	}
	fprintf(stderr,
		"%6.1f s  sent %.0f/s  applied %.0f/s  coalesced %.0f/s  entities %" PRIu64
		"  answers %.0f/s  p50 %" PRIu64 " us  p99 %" PRIu64 " us\n",
		(double)r->now_us / 1e6, x.sent, x.applied, x.coalesced, x.entities, x.answers,
		x.p50, x.p99);
}
