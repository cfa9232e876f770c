#include "telemetry.h"

#include <rte_telemetry.h>
#include <stdio.h>
#include <string.h>

static_assert(PE_COUNTER_COUNT <= RTE_TEL_MAX_DICT_ENTRIES, "a reply holds every counter");

// The lock is for the end: no reply may be under way while the engine is taken down.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
// written: main thread; read: telemetry thread; under the lock
static const struct pe_workers *shown;

static void add_counters(struct rte_tel_data *reply, unsigned from, unsigned to)
{
	uint64_t values[PE_COUNTER_COUNT];

	pe_engine_counters(shown->engine, values);
	for (unsigned c = from; c < to; c++)
		rte_tel_data_add_dict_u64(reply, pe_counter_name(c), values[c]);
}

static void add_identity(struct rte_tel_data *reply)
{
	uint64_t values[PE_COUNTER_COUNT];
	struct pe_identity i;
	struct pe_heap_use heap = pe_engine_heap_use(shown->engine);

	pe_engine_counters(shown->engine, values);
	i = pe_identity_check(values);
	const struct {
		const char *name;
		uint64_t value;
	} entries[] = {
		{"packets_received", i.packets_received},
		{"packets_refused", i.packets_refused},
		{"packets_dropped", i.packets_dropped},
		{"packets_carried", i.packets_carried},
		{"records_carried", i.records_carried},
		{"records_applied", i.records_applied},
		{"records_coalesced", i.records_coalesced},
		{"records_refused", i.records_refused},
		{"records_dropped", i.records_dropped},
		{"queries_carried", i.queries_carried},
		{"queries_answered", i.queries_answered},
		{"queries_refused", i.queries_refused},
		{"queries_dropped", i.queries_dropped},
		{"subscribes_carried", i.subscribes_carried},
		{"subscribes_taken", i.subscribes_taken},
		{"subscribes_refused", i.subscribes_refused},
		{"subscribes_dropped", i.subscribes_dropped},
		// Two's complement: 0 after a drain, and what is in flight before it.
		{"packets_difference", (uint64_t)i.packets_difference},
		{"records_difference", (uint64_t)i.records_difference},
		{"queries_difference", (uint64_t)i.queries_difference},
		{"subscribes_difference", (uint64_t)i.subscribes_difference},
		{"entities", pe_engine_entity_count(shown->engine)},
		{"memory_bytes", pe_engine_memory_bytes(shown->engine)},
		{"heap_taken_bytes", heap.taken_bytes},
		{"heap_max_bytes", heap.bytes_max},
		{"heap_mapped_bytes", heap.mapped_bytes},
	};

	for (unsigned e = 0; e < sizeof entries / sizeof entries[0]; e++)
		rte_tel_data_add_dict_u64(reply, entries[e].name, entries[e].value);
}

struct listing {
	struct rte_tel_data *reply;
	unsigned source;
};

static void add_report(void *context, const char *name, uint64_t value)
{
	const struct listing *listing = context;
	char full[RTE_TEL_MAX_STRING_LEN];

	snprintf(full, sizeof full, "source%u_%s", listing->source, name);
	rte_tel_data_add_dict_u64(listing->reply, full, value);
}

static int answer(const char *command, const char *params, struct rte_tel_data *reply)
{
	rte_tel_data_start_dict(reply);
	pthread_mutex_lock(&lock);
	if (!shown) {
		pthread_mutex_unlock(&lock);
		return 0;
	}
	if (strcmp(command, "/presence/stats") == 0) {
		add_counters(reply, 0, PE_COUNTER_NAMED_COUNT);
	} else if (strcmp(command, "/presence/drops") == 0) {
		add_counters(reply, PE_COUNTER_REASON(1), PE_COUNTER_COUNT);
	} else if (strcmp(command, "/presence/identity") == 0) {
		add_identity(reply);
	} else if (strcmp(command, "/presence/load") == 0) {
		for (unsigned w = 0; w < shown->loop_count; w++) {
			char name[RTE_TEL_MAX_STRING_LEN];

			snprintf(name, sizeof name, "worker%u", w);
			rte_tel_data_add_dict_u64(reply, name,
				atomic_load_explicit(
					&shown->loops[w].load_step, memory_order_relaxed));
		}
	} else {
		for (unsigned i = 0; i < shown->source_count; i++) {
			struct listing listing = {reply, i};

			shown->sources[i]->ops->report(shown->sources[i], add_report, &listing);
		}
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

void pe_telemetry_register(const struct pe_workers *workers)
{
	static const struct {
		const char *command, *help;
	} commands[] = {
		{"/presence/stats", "Counters, summed over the workers. Takes no parameters"},
		{"/presence/drops", "What was refused and dropped, by reason. Takes no parameters"},
		{"/presence/identity", "Both identities: received = outcomes. Takes no parameters"},
		{"/presence/load",
			"Load of each worker: 0 normal, 1 coarser, 2 to 5 shedding. Takes no parameters"},
		{"/presence/sources",
			"What the layers below the sources lost. Takes no parameters"},
	};

	pthread_mutex_lock(&lock);
	shown = workers;
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (rte_telemetry_register_cmd(commands[i].command, answer, commands[i].help) != 0)
			pe_log(PE_LOG_WARNING, "telemetry does not take %s", commands[i].command);
}

void pe_telemetry_forget(void)
{
	pthread_mutex_lock(&lock);
	shown = NULL;
	pthread_mutex_unlock(&lock);
}
