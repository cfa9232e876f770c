#include "stats.h"

#include <inttypes.h>

static void print_report(void *context, const char *name, uint64_t value)
{
	const struct pe_source *source = context;

	if (value)
		pe_log(PE_LOG_INFO, "source %s %s %" PRIu64, source->where, name, value);
}

void pe_stats_print(const struct pe_workers *workers)
{
	uint64_t values[PE_COUNTER_COUNT];
	struct pe_identity i;

	pe_engine_counters(workers->engine, values);
	i = pe_identity_check(values);
	for (unsigned c = 0; c < PE_COUNTER_COUNT; c++)
		if (values[c])
			pe_log(PE_LOG_INFO, "counter %s %" PRIu64, pe_counter_name(c), values[c]);
	for (unsigned s = 0; s < workers->source_count; s++)
		workers->sources[s]->ops->report(
			workers->sources[s], print_report, workers->sources[s]);
	for (unsigned w = 0; pe_load_wanted(&workers->config->load) && w < workers->loop_count; w++)
		pe_log(PE_LOG_INFO, "worker %u: load %s", w,
			pe_load_name(atomic_load_explicit(
				&workers->loops[w].load_step, memory_order_relaxed)));
	pe_log(PE_LOG_INFO, "entities %" PRIu64, pe_engine_entity_count(workers->engine));
	pe_log(PE_LOG_INFO,
		"packets received %" PRIu64 " = refused %" PRIu64 " + dropped %" PRIu64
		" + carried %" PRIu64 ", difference %" PRId64,
		i.packets_received, i.packets_refused, i.packets_dropped, i.packets_carried,
		i.packets_difference);
	pe_log(PE_LOG_INFO,
		"records carried %" PRIu64 " = applied %" PRIu64 " + coalesced %" PRIu64
		" + refused %" PRIu64 " + dropped %" PRIu64 ", difference %" PRId64,
		i.records_carried, i.records_applied, i.records_coalesced, i.records_refused,
		i.records_dropped, i.records_difference);
	pe_log(PE_LOG_INFO,
		"queries carried %" PRIu64 " = answered %" PRIu64 " + refused %" PRIu64
		" + dropped %" PRIu64 ", difference %" PRId64,
		i.queries_carried, i.queries_answered, i.queries_refused, i.queries_dropped,
		i.queries_difference);
	pe_log(PE_LOG_INFO,
		"subscribes carried %" PRIu64 " = taken %" PRIu64 " + refused %" PRIu64
		" + dropped %" PRIu64 ", difference %" PRId64,
		i.subscribes_carried, i.subscribes_taken, i.subscribes_refused,
		i.subscribes_dropped, i.subscribes_difference);
}
