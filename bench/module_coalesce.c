// The decision whether an update is below the thresholds of its space, on records that are in
// cache; and whole updates of which all, or none, are below them.
#include "core.h"
#include "crowd.h"
#include "internal.h"
#include "modules.h"

#define NEAR 1024u

static void enter(void *context)
{
	(void)context;
	module_core_enter(true);
}

static void leave(void *context)
{
	(void)context;
	module_core_leave(true);
}

static void decide(void *context, uint64_t count)
{
	struct core *core = module_core(true);
	struct pe_worker *w = core->workers[0].worker;
	const struct pe_space_entry *s = &core->engine->spaces[0];
	uint64_t below = 0;

	(void)context;
	for (uint64_t i = 0; i < count; i++) {
		const struct pe_record *r =
			&core->engine->table.records[pe_handle_nth((uint32_t)i % NEAR)];
		struct pe_published p = r->shown;
		struct pe_place place;

		p.position[0] += 0.1;
		if (pe_space_locate(&s->space, p.position, &place) != PE_REASON_none)
			module_fail("a place out of bounds");
		below += pe_coalesce_below(w, s, r, NULL, &p, &place, NULL);
	}
	if (below < count)
		module_fail("a small move is not below the threshold");
}

static void update(void *context, uint64_t count)
{
	(void)core_run(module_core(true), context, count);
}

void module_coalesce(void)
{
	static struct core_work all = {.kind = CORE_UPDATES, .coalesced = 1},
				none = {.kind = CORE_UPDATES, .coalesced = 0};
	static const struct bench_case cases[] = {
		{"coalesce/decide", decide, NULL, 1024, enter, leave},
		{"coalesce/update_covered", update, &all, 25600, enter, leave},
		{"coalesce/update_written", update, &none, 25600, enter, leave},
	};

	MODULE_CASES(cases);
}
