#include "base/counters.h"

#include <assert.h>

struct counter_info {
	const char *name, *unit, *text;
};

static const struct counter_info named[] = {
#define INFO(name, unit, text) {#name, unit, text},
	PE_COUNTERS(INFO)
#undef INFO
};

static const struct counter_info reasons[PE_REASON_COUNT] = {{"none", "", "never written"},
#define UNIT_PACKET                            "packets"
#define UNIT_RECORD                            "records"
#define UNIT_QUERY                             "queries"
#define UNIT_SUBSCRIBE                         "requests"
#define REFUSED(name)                          "refused_" #name
#define DROPPED(name)                          "dropped_" #name
#define INFO(name, scope, verdict, code, text) {verdict(name), UNIT_##scope, text},
	PE_REASONS(INFO)
#undef INFO
};

static const struct counter_info *info(unsigned counter)
{
	assert(counter < PE_COUNTER_COUNT);
	return counter < PE_COUNTER_NAMED_COUNT ? &named[counter] :
						  &reasons[counter - PE_COUNTER_NAMED_COUNT];
}

const char *pe_counter_name(unsigned counter)
{
	return info(counter)->name;
}

const char *pe_counter_unit(unsigned counter)
{
	return info(counter)->unit;
}

const char *pe_counter_text(unsigned counter)
{
	return info(counter)->text;
}

static uint64_t sum(const uint64_t *values, enum pe_reason_scope scope, enum pe_verdict verdict)
{
	uint64_t total = 0;

	for (unsigned r = 1; r < PE_REASON_COUNT; r++)
		if (pe_reason_info[r].scope == scope && pe_reason_info[r].verdict == verdict)
			total += values[PE_COUNTER_REASON(r)];
	return total;
}

struct pe_identity pe_identity_check(const uint64_t values[PE_COUNTER_COUNT])
{
	struct pe_identity i = {
		.packets_received = values[PE_COUNTER_rx_packets],
		.packets_refused = sum(values, PE_SCOPE_PACKET, PE_VERDICT_REFUSED),
		.packets_dropped = sum(values, PE_SCOPE_PACKET, PE_VERDICT_DROPPED),
		.packets_carried = values[PE_COUNTER_carried_update] +
			values[PE_COUNTER_carried_withdraw] + values[PE_COUNTER_carried_query] +
			values[PE_COUNTER_carried_ping] + values[PE_COUNTER_carried_state] +
			values[PE_COUNTER_carried_explain] + values[PE_COUNTER_carried_link] +
			values[PE_COUNTER_carried_subscribe] + values[PE_COUNTER_carried_session] +
			values[PE_COUNTER_carried_erase],
		.records_carried = values[PE_COUNTER_records_carried],
		.records_applied = values[PE_COUNTER_records_applied],
		.records_coalesced = values[PE_COUNTER_records_coalesced],
		.records_refused = sum(values, PE_SCOPE_RECORD, PE_VERDICT_REFUSED),
		.records_dropped = sum(values, PE_SCOPE_RECORD, PE_VERDICT_DROPPED),
		.queries_carried = values[PE_COUNTER_queries_carried],
		.queries_answered = values[PE_COUNTER_queries_answered],
		.queries_refused = sum(values, PE_SCOPE_QUERY, PE_VERDICT_REFUSED),
		.queries_dropped = sum(values, PE_SCOPE_QUERY, PE_VERDICT_DROPPED),
		.subscribes_carried = values[PE_COUNTER_carried_subscribe],
		.subscribes_taken = values[PE_COUNTER_subscribes_taken],
		.subscribes_refused = sum(values, PE_SCOPE_SUBSCRIBE, PE_VERDICT_REFUSED),
		.subscribes_dropped = sum(values, PE_SCOPE_SUBSCRIBE, PE_VERDICT_DROPPED),
	};

	i.packets_difference = (int64_t)(i.packets_received - i.packets_refused -
		i.packets_dropped - i.packets_carried);
	i.records_difference = (int64_t)(i.records_carried - i.records_applied -
		i.records_coalesced - i.records_refused - i.records_dropped);
	i.queries_difference = (int64_t)(i.queries_carried - i.queries_answered -
		i.queries_refused - i.queries_dropped);
	i.subscribes_difference = (int64_t)(i.subscribes_carried - i.subscribes_taken -
		i.subscribes_refused - i.subscribes_dropped);
	return i;
}
