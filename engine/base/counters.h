// The one list of counters, and their storage. Each worker owns one block; only that worker's
// thread writes it (relaxed atomic stores, no read-modify-write), anyone may read it. A reader that
// sums blocks beside running workers sees each counter whole but the set not at one instant; after
// a drain the two identities of `pe_identity_check` hold exactly.
//
// The identities:
//   packets  rx_packets = Σ refused(PACKET) + Σ dropped(PACKET) + Σ carried_*
//   records  records_carried = records_applied + records_coalesced + Σ refused(RECORD) + Σ
//            dropped(RECORD)
//   queries  queries_carried = queries_answered + Σ refused(QUERY) + Σ dropped(QUERY)
//   subscribes  carried_subscribe = subscribes_taken + Σ refused(SUBSCRIBE) + Σ dropped(SUBSCRIBE)
// rx_packets is counted where a packet is received (a source), records_carried where it is decoded,
// and the outcomes where they are decided: three places, so that a miscount shows.
#pragma once

#include "base/reasons.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// PE_COUNTER(name, unit, text)
// clang-format off
#define PE_COUNTERS(PE_COUNTER) \
	PE_COUNTER(rx_packets, "packets", "received at a source") \
	PE_COUNTER(rx_bytes, "bytes", "received at a source, message bytes or whole frames where the source sees frames") \
	PE_COUNTER(carried_update, "packets", "update packets carried on") \
	PE_COUNTER(carried_withdraw, "packets", "withdraw packets carried on") \
	PE_COUNTER(carried_query, "packets", "query packets carried on") \
	PE_COUNTER(carried_ping, "packets", "pings answered") \
	PE_COUNTER(carried_state, "packets", "state requests answered") \
	PE_COUNTER(carried_explain, "packets", "explain packets carried on; each is one of the queries") \
	PE_COUNTER(carried_link, "packets", "ARP, ICMP and neighbour discovery handled") \
	PE_COUNTER(records_carried, "records", "update and withdraw records carried on") \
	PE_COUNTER(records_applied, "records", "records that reached the entity") \
	PE_COUNTER(records_coalesced, "records", "records covered by a newer one, a threshold or the frequency cap") \
	PE_COUNTER(records_forwarded, "records", "records handed to the worker that owns the entity (not an outcome)") \
	PE_COUNTER(withdrawn, "records", "withdrawals among records_applied") \
	PE_COUNTER(created, "entities", "entities created") \
	PE_COUNTER(expired, "entities", "entities gone by ttl") \
	PE_COUNTER(status_elapsed, "entities", "states fallen back to INACTIVE after their duration") \
	PE_COUNTER(crossings, "moves", "moves into another cell") \
	PE_COUNTER(crossings_pending, "moves", "crossings that waited for a grace period") \
	PE_COUNTER(trailing, "records", "coalesced states published later, when their threshold's time had passed") \
	PE_COUNTER(pending_exhausted, "records", "records applied at once, or refused for their duration, since no pending entry was free") \
	PE_COUNTER(queries_carried, "queries", "queries decoded") \
	PE_COUNTER(queries_answered, "queries", "queries answered, whole or truncated") \
	PE_COUNTER(queries_truncated, "queries", "answers cut by a work, result or byte bound") \
	PE_COUNTER(query_cells, "cells", "leaf cells visited by queries") \
	PE_COUNTER(query_candidates, "entities", "positions tested by queries") \
	PE_COUNTER(query_results, "entities", "results found for answers") \
	PE_COUNTER(query_exact, "entities", "candidates at an edge decided with the geodesic") \
	PE_COUNTER(tx_packets, "packets", "messages handed to a source for sending") \
	PE_COUNTER(tx_bytes, "bytes", "message bytes handed to a source for sending") \
	PE_COUNTER(tx_dropped, "packets", "messages that the source could not send") \
	PE_COUNTER(reply_withheld, "messages", "replies not sent since they were longer than an untrusted request") \
	PE_COUNTER(turns, "turns", "turns of the poll loop") \
	PE_COUNTER(turns_idle, "turns", "turns that found nothing to do") \
	PE_COUNTER(latch_retries, "reads", "record reads repeated beside a writer") \
	PE_COUNTER(queries_normal, "queries", "queries of class NORMAL among queries_answered") \
	PE_COUNTER(queries_low, "queries", "queries of class LOW among queries_answered") \
	PE_COUNTER(queries_high, "queries", "queries of class HIGH among queries_answered") \
	PE_COUNTER(queries_critical, "queries", "queries of class CRITICAL among queries_answered") \
	PE_COUNTER(work_cut_normal, "queries", "answers of class NORMAL cut by a bound of work") \
	PE_COUNTER(work_cut_low, "queries", "answers of class LOW cut by a bound of work") \
	PE_COUNTER(work_cut_high, "queries", "answers of class HIGH cut by a bound of work") \
	PE_COUNTER(work_cut_critical, "queries", "answers of class CRITICAL cut by a bound of work") \
	PE_COUNTER(details_changed, "records", "details of entities set, replaced or taken away by a record") \
	PE_COUNTER(payloads, "records", "payloads of records that were taken") \
	PE_COUNTER(carried_subscribe, "packets", "subscribe packets carried on") \
	PE_COUNTER(subscribes_taken, "requests", "subscribe requests that were done, repeats included") \
	PE_COUNTER(subscriptions_opened, "subscriptions", "subscriptions opened") \
	PE_COUNTER(subscriptions_ended, "subscriptions", "subscriptions ended, whatever the cause") \
	PE_COUNTER(fences_added, "fences", "fences begun") \
	PE_COUNTER(fences_removed, "fences", "fences ended") \
	PE_COUNTER(fences_moved, "fences", "moves of fences that follow an entity") \
	PE_COUNTER(events_enter, "events", "ENTERs told") \
	PE_COUNTER(events_move, "events", "MOVEs told") \
	PE_COUNTER(events_leave, "events", "LEAVEs told") \
	PE_COUNTER(events_payload, "events", "pieces of payloads told") \
	PE_COUNTER(events_gap, "events", "GAPs told: a subscriber was too slow, or a ring too full") \
	PE_COUNTER(events_merged, "events", "events that newer ones of the same pair took the place of while they waited") \
	PE_COUNTER(events_repeated, "events", "events sent again since a subscriber asked for them") \
	PE_COUNTER(events_lost, "events", "events that found no room on their way (a GAP follows)") \
	PE_COUNTER(members_refused, "entities", "entries into fences for which there was no membership free") \
	PE_COUNTER(notices, "messages", "notices handed to a source for sending") \
	PE_COUNTER(carried_session, "packets", "CONNECTs answered and DISCONNECTs done") \
	PE_COUNTER(sessions_opened, "sessions", "sessions opened") \
	PE_COUNTER(messages_opened, "packets", "messages taken out of their seals (not an outcome)") \
	PE_COUNTER(messages_sealed, "messages", "messages sealed for sending") \
	PE_COUNTER(carried_erase, "packets", "erase packets carried on; each is one of the records") \
	PE_COUNTER(erased, "entities", "entities that were there and were erased, among records_applied") \
	PE_COUNTER(believed, "records", "records among those taken that were quarantined before, and confirmed") \
	PE_COUNTER(evicted, "entities", "entities taken away to make room for new ones") \
	PE_COUNTER(load_raised, "steps", "steps of a worker's load state towards shedding") \
	PE_COUNTER(load_lowered, "steps", "steps of a worker's load state towards normal") \
	PE_COUNTER(tx_packed, "packets", "parts of answers that were packed, among tx_packets") \
	PE_COUNTER(method_failed, "records", "places of which a registered method of anonymisation made none: nobody is shown the entity")
// clang-format on

enum pe_counter {
#define PE_COUNTER_ENUM(name, unit, text) PE_COUNTER_##name,
	PE_COUNTERS(PE_COUNTER_ENUM)
#undef PE_COUNTER_ENUM
	// One counter a reason follows the named ones: PE_COUNTER_REASON(r).
	PE_COUNTER_NAMED_COUNT,
	PE_COUNTER_COUNT = PE_COUNTER_NAMED_COUNT + PE_REASON_COUNT
};

#define PE_COUNTER_REASON(reason) ((unsigned)PE_COUNTER_NAMED_COUNT + (unsigned)(reason))

struct pe_counters {
	// written: the owning worker's thread; read: anyone
	_Alignas(64) _Atomic uint64_t value[PE_COUNTER_COUNT];
};

// Owner's thread only.
static inline void pe_count(struct pe_counters *c, unsigned counter, uint64_t n)
{
	uint64_t v = atomic_load_explicit(&c->value[counter], memory_order_relaxed);
	atomic_store_explicit(&c->value[counter], v + n, memory_order_relaxed);
}

// Owner's thread, its own count so far.
static inline uint64_t pe_counted(const struct pe_counters *c, unsigned counter)
{
	return atomic_load_explicit(&c->value[counter], memory_order_relaxed);
}

static inline void pe_count_reason(struct pe_counters *c, enum pe_reason reason, uint64_t n)
{
	pe_count(c, PE_COUNTER_REASON(reason), n);
}

// "rx_packets", … ; a reason's counter is "refused_stale", "dropped_ring_full", …
// counter < PE_COUNTER_COUNT; the counter of reason 0 is never written and named "none".
const char *pe_counter_name(unsigned counter);
const char *pe_counter_unit(unsigned counter);
const char *pe_counter_text(unsigned counter);

// The sides of the identities above, from a sum of blocks (values[PE_COUNTER_COUNT]).
struct pe_identity {
	uint64_t packets_received, packets_refused, packets_dropped, packets_carried;
	uint64_t records_carried, records_applied, records_coalesced, records_refused,
		records_dropped;
	uint64_t queries_carried, queries_answered, queries_refused, queries_dropped;
	int64_t packets_difference; // received − (refused + dropped + carried); 0 after a drain
	int64_t records_difference;
	int64_t queries_difference;
	uint64_t subscribes_carried, subscribes_taken, subscribes_refused, subscribes_dropped;
	int64_t subscribes_difference;
};

struct pe_identity pe_identity_check(const uint64_t values[PE_COUNTER_COUNT]);
