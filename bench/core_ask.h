// What core.c asks its engine: queries, and the subscription whose fences cover the crowd. Messages
// are made anew in the worker's memory each time; its thread.
#pragma once

#include "core.h"

#include "internal.h"

#define CORE_QUERY_MESSAGES 2u // of PE_QUERY_COUNT_MAX queries, a turn; of polygons, fewer fit

static const struct pe_peer core_peer = {
	.address = {[15] = 1}, .port = 40000, .trusted = true, .principal = 1};

static inline uint64_t core_counted(const struct core_worker *w, unsigned counter)
{
	return atomic_load_explicit(&w->worker->counters.value[counter], memory_order_relaxed);
}

// Requests that core_queries writes its places into, of one volume; it does so itself when the work
// asks for another one.
void core_prepare_requests(struct core_worker *w, enum core_volume volume);
// CORE_QUERY_MESSAGES messages of queries at random places, as the work says. Returns the number of
// queries.
unsigned core_queries(struct core_worker *w, const struct core_work *work,
	struct pe_message messages[CORE_QUERY_MESSAGES]);
// The next message of the one subscription, when the one before is done. Returns 1, or 0: it is
// not, or all were sent.
unsigned core_subscribe(struct core_worker *w, struct pe_message *message);
