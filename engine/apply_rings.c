// What other workers handed over: changes of entities that this one owns or is to make, and handles
// to be taken out of its part of the index. At most PE_BATCH_MAX of each other worker a turn.
#include "apply.h"
#include "own.h"

// The owner takes over what the partition's worker made for it.
static void adopt(struct pe_worker *w, const struct pe_change *c)
{
	struct pe_table *t = &w->engine->table;

	// An update that overtook this on another ring may have let it live and go meanwhile.
	// LIFE: acquire, before its timer
	if (pe_index_find(&t->index, t->records, c->hash, c->update.entity_id) != c->handle ||
		atomic_load_explicit(
			&pe_apply_record(w, c->handle)->status, memory_order_acquire) !=
			pe_status_make(PE_LIFE_EMPTY, w->index, c->space, 0))
		return;
	if (!pe_wheel_holds(&w->wheel, c->handle))
		pe_wheel_add(&w->wheel, c->handle, w->tick + 1);
}

unsigned pe_apply_rings(struct pe_worker *w)
{
	struct pe_engine *e = w->engine;
	unsigned taken = 0;

	for (unsigned from = 0; from < e->config.worker_count; from++) {
		struct pe_ring_spsc *ring;
		unsigned n = 0;

		if (from == w->index)
			continue;
		ring = pe_ring_between(e, from, w->index);
		for (const struct pe_change *c;
			n < PE_BATCH_MAX && (c = pe_ring_spsc_peek(ring, n)); n++) {
			switch (c->kind) {
			case PE_CHANGE_ADOPT:
			case PE_CHANGE_UPDATE: {
				struct pe_change *copy = pe_apply_next(w);

				if (c->kind == PE_CHANGE_ADOPT)
					adopt(w, c);
				*copy = *c;
				copy->kind = PE_CHANGE_UPDATE; // wherever it goes from here
				w->batch.veiled |= !!(c->update.attributes & PE_PUBLISHED_VEILED);
				pe_apply_add(w);
				break;
			}
			case PE_CHANGE_ADOPT_DETAILED:
			case PE_CHANGE_DETAILED: {
				struct pe_change copy = *c;

				pe_apply_flush(w);
				if (c->kind == PE_CHANGE_ADOPT_DETAILED)
					adopt(w, c);
				copy.kind = PE_CHANGE_DETAILED;
				pe_apply_detailed(w, &copy);
				break;
			}
			case PE_CHANGE_WITHDRAW:
				pe_apply_flush(w);
				pe_apply_withdraw(w, c);
				break;
			case PE_CHANGE_ERASE:
				pe_apply_flush(w);
				pe_apply_erase(w, c);
				break;
			case PE_CHANGE_REMOVE:
				pe_apply_flush(w);
				pe_own_unindex(w, c->handle, c->hash);
				break;
			}
		}
		pe_apply_flush(w);
		if (n)
			pe_ring_spsc_release(ring, n);
		taken += n;
	}
	return taken;
}

void pe_apply_flush_rings(struct pe_worker *w)
{
	for (unsigned to = 0; to < w->engine->config.worker_count; to++)
		if (to != w->index)
			pe_ring_spsc_flush(pe_ring_between(w->engine, w->index, to));
}
