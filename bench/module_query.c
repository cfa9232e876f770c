// Queries by hit count, on the engine that core.h makes: an operation is a query, its records read
// and its answer encoded.
#include "core.h"
#include "modules.h"

struct core *module_core(bool thresholds)
{
	static struct core cores[2];
	struct core *c = &cores[thresholds];
	struct core_options o = {.entities = MODULE_ENTITIES,
		.workers = 1,
		.huge_pages = true,
		.fixed = true,
		.thresholds = thresholds,
		.cores = {-1, -1},
		.control_core = -1};
	struct pe_error error;

	if (!c->engine && core_start(c, &o, &error) == PE_OK)
		pe_worker_detach(c->workers[0].worker);
	if (!c->engine)
		module_fail(error.text);
	return c;
}

void module_core_enter(bool thresholds)
{
	pe_worker_attach(module_core(thresholds)->workers[0].worker);
}

void module_core_leave(bool thresholds)
{
	pe_worker_detach(module_core(thresholds)->workers[0].worker);
}

static void enter(void *context)
{
	(void)context;
	module_core_enter(false);
}

static void leave(void *context)
{
	(void)context;
	module_core_leave(false);
}

static void query(void *context, uint64_t count)
{
	(void)core_run(module_core(false), context, count);
}

void module_query(void)
{
	static struct core_work works[] = {{.kind = CORE_QUERIES, .hits = 5},
		{.kind = CORE_QUERIES, .hits = 20}, {.kind = CORE_QUERIES, .hits = 100},
		{.kind = CORE_QUERIES, .hits = 1000}};
	static const struct bench_case cases[] = {
		{"query/5", query, &works[0], 200, enter, leave},
		{"query/20", query, &works[1], 200, enter, leave},
		{"query/100", query, &works[2], 100, enter, leave},
		{"query/1000", query, &works[3], 20, enter, leave},
	};

	MODULE_CASES(cases);
}
